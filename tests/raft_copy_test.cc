// A member that has left a group throws its copy of the log away, and may come back: what it
// promised before it has forgotten, and must not promise again (HardState::copy).
#include <gtest/gtest.h>

#include "tests/raft_solo.h"

namespace lockstep::raft::testing {
namespace {

// Node 1 of three, which left by the configuration at 10 and knows of term 5.
Solo::Setup Returned(std::vector<uint64_t> log = {}) {
  return {.hard = {Term{5}, NodeId{2}, Index{10}}, .log = LogOf(log)};
}

TEST(RaftCopy, WhoeverHasThrownItsCopyAwayVotesForNobody) {
  Solo node(Returned());
  for (const bool pre : {true, false}) {
    VoteRequest request = StandsWith(At(5, 9));
    request.pre = pre;
    const VoteReply reply = BodyOf<VoteReply>(Find<VoteReply>(node.StepAndSync(3, 6, request), 3));
    EXPECT_FALSE(reply.granted);
  }
}

TEST(RaftCopy, NorDoesItStand) {
  Solo node(Returned({1, 1, 1}));
  EXPECT_EQ(node.raft().NextTick(), kNeverMono);
  EXPECT_TRUE(Only<VoteRequest>(node.StepAndSync(2, 5, TimeoutNow{})).empty());
  EXPECT_EQ(node.raft().role(), Role::kFollower);
}

TEST(RaftCopy, AloneInItsFirstConfigurationItStandsNoMoreThanAmongOthers) {
  Solo node({.voters = 1, .hard = {Term{5}, NodeId{2}, Index{10}}});
  node.Wait(10'000'000);
  EXPECT_EQ(node.raft().role(), Role::kFollower);
}

TEST(RaftCopy, OnceItsLogIsAsLongAgainItVotes) {
  Solo node(Returned());
  node.StepAndSync(2, 5, Appends({}, LogOf({1, 1, 2, 2, 2, 3, 3, 4, 5})));
  VoteRequest request = StandsWith(At(5, 10));
  request.transfer = true;
  EXPECT_FALSE(
      BodyOf<VoteReply>(Find<VoteReply>(node.StepAndSync(3, 6, request), 3)).granted);
  node.StepAndSync(2, 6, Appends(At(5, 9), {EntryAt(6, 10)}));
  request.last = At(6, 10);
  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(node.StepAndSync(3, 7, request), 3)).granted);
}

TEST(RaftCopy, ItsAnswersNameItsCopy) {
  Solo node(Returned());
  const auto said = node.StepAndSync(2, 5, Appends({}, LogOf({1, 1})));
  EXPECT_EQ(BodyOf<AppendReply>(Find<AppendReply>(said, 2)).copy, Index{10});
  const auto beat = node.StepAndSync(2, 5, Beat());
  EXPECT_EQ(BodyOf<HeartbeatReply>(Find<HeartbeatReply>(beat, 2)).copy, Index{10});
  EXPECT_EQ(node.host().disk().hard.copy, Index{10});
}

// The leader of three, whose followers have all there is.
class RaftCopyLeader : public ::testing::Test {
 protected:
  void SetUp() override {
    node_.Lead();
    for (int i = 0; i < 5; ++i) node_.Propose("op");
    node_.Sync();
    last_ = node_.raft().last().index.value;
    node_.Ack(2, last_);
    node_.Ack(3, last_);
    ASSERT_EQ(node_.raft().commit(), Index{last_});
  }
  Index MatchOf(uint64_t id) {
    for (const MemberStatus& status : node_.raft().members()) {
      if (status.member.node == NodeId{id}) return status.match;
    }
    return {};
  }
  uint64_t term() { return node_.raft().term().value; }

  Solo node_{3};
  uint64_t last_ = 0;
};

TEST_F(RaftCopyLeader, OfAMemberWithANewCopyNothingIsKnownAnyMore) {
  HeartbeatReply reply;
  reply.copy = Index{4};
  const auto said = node_.Step(3, term(), reply);
  EXPECT_EQ(MatchOf(3), Index{0});
  EXPECT_EQ(MatchOf(2), Index{last_});
  EXPECT_TRUE(Find<AppendRequest>(said, 3).has_value());  // Where does its log end?
}

TEST_F(RaftCopyLeader, WhatAFormerCopyAcknowledgedIsNoAcknowledgement) {
  AppendReply lacks = Lacks(last_, {});
  lacks.copy = Index{4};
  node_.Step(3, term(), lacks);
  node_.Step(3, term(), Has(last_));  // Late: of the copy before.
  EXPECT_EQ(MatchOf(3), Index{0});
  AppendReply has = Has(2);
  has.copy = Index{4};
  node_.Step(3, term(), has);
  EXPECT_EQ(MatchOf(3), Index{2});
}

}  // namespace
}  // namespace lockstep::raft::testing
