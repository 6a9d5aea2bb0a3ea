// How a group follows the members of group control: the next step that its leader takes.
#include "src/membership.h"

#include <gtest/gtest.h>

#include "tests/raft_solo.h"

namespace lockstep {
namespace {

using raft::Member;
using raft::testing::MemberOf;
using raft::testing::Solo;

std::vector<Member> Members(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (const uint64_t node : nodes) members.push_back(MemberOf(node));
  return members;
}

class MembershipTest : public ::testing::Test {
 protected:
  // Node 1 leads `voters` voters and has committed the entry of its term at index 1.
  void Lead(uint64_t voters, uint64_t learners = 0) {
    node_.emplace(Solo::Setup{.voters = voters, .learners = learners});
    node_->Lead();
    AckAll();
    ASSERT_EQ(raft().commit(), Index{1});
  }
  void Want(const std::vector<uint64_t>& nodes) {
    wanted_.clear();
    for (const uint64_t node : nodes) WantAlso(MemberOf(node));
  }
  void WantAlso(Member member) {
    wanted_[member.node] = {member.node, "host", 17'000, member.disk};
  }
  void Spare(const std::vector<uint64_t>& nodes) {
    for (const uint64_t node : nodes) {
      spare_[NodeId{node}] = {NodeId{node}, "host", 17'000, MemberOf(node).disk};
    }
  }
  std::optional<MembershipStep> Step() { return NextMembershipStep(raft(), wanted_, spare_); }
  // Takes the step, and lets everybody who votes acknowledge it.
  void TakeStep() {
    std::optional<MembershipStep> step = Step();
    ASSERT_TRUE(step.has_value());
    const auto proposal =
        raft().ProposeConfig(node_->now(), std::move(step->voters), std::move(step->learners));
    ASSERT_EQ(proposal.refusal, raft::Raft::Refusal::kNone);
    while (raft().config_pending()) AckAll();
  }
  void AckAll() {
    node_->Drain();
    node_->Sync();
    const raft::Config config = raft().config();
    for (const NodeId peer : config.All()) {
      if (peer.value == 1 || !config.IsVoter(peer)) continue;
      node_->Ack(peer.value, raft().last().index.value);
    }
    node_->Sync();
  }
  raft::Raft& raft() { return node_->raft(); }

  std::optional<Solo> node_;
  std::map<NodeId, NodeRecord> wanted_;
  std::map<NodeId, NodeRecord> spare_;
};

TEST_F(MembershipTest, AGroupThatIsAsItShouldBeStaysSo) {
  Lead(3);
  Want({1, 2, 3});
  EXPECT_EQ(Step(), std::nullopt);
}

TEST_F(MembershipTest, OnlyALeaderTakesAStepAndOnlyOneAtATime) {
  node_.emplace(3);
  Want({1, 2, 3, 4});
  EXPECT_EQ(Step(), std::nullopt);
  Lead(3);
  ASSERT_TRUE(Step().has_value());
  raft().ProposeConfig(node_->now(), Members({1, 2, 3}), Members({4}));
  Want({1, 2, 3, 4, 5});
  EXPECT_EQ(Step(), std::nullopt);
}

TEST_F(MembershipTest, ANewNodeIsALearnerFirst) {
  Lead(3);
  Want({1, 2, 3, 4});
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2, 3}), Members({4})}));
}

TEST_F(MembershipTest, ANodeWhoseDiskNobodyHasSeenIsNotTakenIn) {
  Lead(3);
  Want({1, 2, 3});
  WantAlso(Member{NodeId{4}, DiskId{}});
  EXPECT_EQ(Step(), std::nullopt);
}

// In a young group everybody is close to the commit index: also one that is not there at all.
TEST_F(MembershipTest, ALearnerThatHasAcknowledgedNothingDoesNotVote) {
  Lead(3);
  Want({1, 2, 3, 4});
  TakeStep();
  ASSERT_TRUE(raft().config().IsLearner(NodeId{4}));
  EXPECT_EQ(Step(), std::nullopt);
}

TEST_F(MembershipTest, ALearnerThatHasOnlyWhatWasBeforeItDoesNotVote) {
  Lead(3);
  Want({1, 2, 3, 4});
  TakeStep();
  node_->Ack(4, raft().config_index().value - 1);
  EXPECT_EQ(Step(), std::nullopt);
}

TEST_F(MembershipTest, ALearnerVotesOnceItHasAcknowledgedThatItIsOne) {
  Lead(3);
  Want({1, 2, 3, 4});
  TakeStep();
  node_->Ack(4, raft().config_index().value);
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2, 3, 4}), {}}));
}

TEST_F(MembershipTest, ALearnerThatHasFallenSilentDoesNotVote) {
  Lead(3);
  Want({1, 2, 3, 4});
  TakeStep();
  node_->Ack(4, raft().config_index().value);
  for (int i = 0; i < 10; ++i) {
    node_->Wait(200 * kUsPerMs);
    AckAll();
  }
  ASSERT_TRUE(raft().is_leader());
  EXPECT_EQ(Step(), std::nullopt);
}

TEST_F(MembershipTest, ANodeThatIsNotWantedGoes) {
  Lead(4);
  Want({1, 2, 3});
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2, 3}), {}}));
  Lead(3, 1);
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2, 3}), {}}));
}

TEST_F(MembershipTest, AnEmptiedNodeGoesAndComesBackAsALearner) {
  Lead(3);
  Want({1, 2});
  WantAlso(MemberOf(3, 1));
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2}), {}}));
  TakeStep();
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2}), {MemberOf(3, 1)}}));
}

TEST_F(MembershipTest, WhoIsToGoStaysUntilSomebodyElseCanDecide) {
  Lead(1);
  Want({2});
  EXPECT_EQ(Step(), (MembershipStep{Members({1}), Members({2})}));
  TakeStep();
  EXPECT_EQ(Step(), std::nullopt);
  node_->Ack(2, raft().config_index().value);
  EXPECT_EQ(Step(), (MembershipStep{Members({2}), {}}));
}

// A shard moves: its copies go one by one, as those that take their places have come.
TEST_F(MembershipTest, ACopyIsGivenUpOnlyForOneThatIsThere) {
  Lead(3);
  Want({1, 4, 5});
  Spare({1, 2, 3, 4, 5});
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2, 3}), Members({4, 5})}));
  TakeStep();
  EXPECT_EQ(Step(), std::nullopt);
  node_->Ack(4, raft().config_index().value);
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 2, 4}), Members({5})}));
  TakeStep();
  node_->Ack(5, raft().config_index().value);
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 4, 5}), {}}));
}

TEST_F(MembershipTest, ALeaderThatIsToGoLeadsUntilAllOthersAreThere) {
  Lead(3);
  Want({3, 4, 5});
  Spare({1, 2, 3, 4, 5});
  TakeStep();
  node_->Ack(4, raft().config_index().value);
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 3, 4}), Members({5})}));
  TakeStep();
  node_->Ack(5, raft().config_index().value);
  EXPECT_EQ(Step(), (MembershipStep{Members({3, 4, 5}), {}}));
}

// It has forgotten its promises: as a voter it would be worse than none.
TEST_F(MembershipTest, AnEmptiedNodeIsNoSubstitute) {
  Lead(3);
  Want({1, 4, 5});
  Spare({1, 3, 4, 5});
  spare_[NodeId{2}] = {NodeId{2}, "host", 17'000, MemberOf(2, 1).disk};
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 3}), Members({4, 5})}));
}

TEST_F(MembershipTest, OfThoseWhoAreToGoWhoeverIsThereStays) {
  Lead(3, 1);
  for (int i = 0; i < 10; ++i) {
    node_->Wait(200 * kUsPerMs);
    node_->Ack(3, raft().last().index.value);
    node_->Ack(4, raft().last().index.value);
    node_->Sync();
  }
  ASSERT_TRUE(raft().is_leader());
  Want({1, 4, 5});
  Spare({1, 2, 3, 4, 5});
  EXPECT_EQ(Step(), (MembershipStep{Members({1, 3, 4}), Members({5})}));
}

}  // namespace
}  // namespace lockstep
