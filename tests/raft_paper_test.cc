// The rules of the Raft paper (Ongaro & Ousterhout 2014) and of Ongaro's thesis, one test each, in
// the order of the paper. The peers of the node under test are written by hand.
#include <gtest/gtest.h>

#include <set>

#include "tests/raft_solo.h"

namespace lockstep::raft::testing {
namespace {

constexpr int64_t kTimeout = Options{}.election_timeout_us;
constexpr int64_t kHeartbeat = Options{}.heartbeat_us;

// §5.1: terms --------------------------------------------------------------------------------

TEST(RaftTerms, ANodeStartsAsAFollowerOfNobody) {
  Solo node(3);

  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().leader(), kNoNode);
  EXPECT_EQ(node.raft().term(), Term{0});
}

TEST(RaftTerms, AFollowerTakesUpAHigherTerm) {
  Solo node({.hard = {Term{1}, kNoNode}});

  node.Step(2, 3, Probe(At(0, 0)));

  EXPECT_EQ(node.raft().term(), Term{3});
  EXPECT_EQ(node.raft().leader(), NodeId{2});
}

TEST(RaftTerms, ACandidateTakesUpAHigherTermAndFollows) {
  Solo node(3);
  node.Stand();
  ASSERT_EQ(node.raft().role(), Role::kCandidate);

  node.Step(2, 5, Probe(At(0, 0)));

  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().term(), Term{5});
}

TEST(RaftTerms, ALeaderTakesUpAHigherTermAndFollows) {
  Solo node(3);
  node.Lead();

  node.Step(2, 5, Probe(At(0, 0)));

  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().term(), Term{5});
  EXPECT_EQ(node.raft().leader(), NodeId{2});
}

TEST(RaftTerms, AHigherTermInAReplyDeposesToo) {
  Solo node(3);
  node.Lead();

  node.Step(2, 5, Lacks(0, At(0, 0)));

  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().term(), Term{5});
  EXPECT_EQ(node.raft().leader(), kNoNode);
}

TEST(RaftTerms, WhatAnOldTermSaysChangesNothing) {
  Solo node({.hard = {Term{4}, kNoNode}, .log = LogOf({1, 2})});

  node.StepAndSync(2, 3, Appends(At(1, 1), {EntryAt(3, 2)}, 2));
  node.StepAndSync(2, 3, Beat(2));
  const auto said = node.StepAndSync(3, 3, StandsWith(At(9, 9)));

  EXPECT_EQ(node.raft().last(), At(2, 2));
  EXPECT_EQ(node.raft().commit(), Index{0});
  EXPECT_EQ(node.raft().leader(), kNoNode);
  for (const Message& message : Only<VoteReply>(said)) {
    EXPECT_FALSE(std::get<VoteReply>(message.body).granted);
  }
}

TEST(RaftTerms, AnOldLeaderIsToldOfTheNewTerm) {
  Solo node({.hard = {Term{4}, kNoNode}});

  const auto said = node.StepAndSync(2, 3, Probe(At(0, 0)));

  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].to, NodeId{2});
  EXPECT_EQ(said[0].term, Term{4});
}

// §5.2: elections ----------------------------------------------------------------------------

TEST(RaftElection, AFollowerStandsWhenItHearsNothingForATimeout) {
  Solo node(3);

  EXPECT_TRUE(node.Wait(kTimeout - 1).empty());
  EXPECT_EQ(node.raft().role(), Role::kFollower);
  const auto said = node.Wait(kTimeout + 1);

  EXPECT_NE(node.raft().role(), Role::kFollower);
  EXPECT_GE(Only<VoteRequest>(said).size(), 2u);
}

TEST(RaftElection, AFollowerThatHearsItsLeaderDoesNotStand) {
  Solo node(3);
  node.StepAndSync(2, 1, Probe(At(0, 0)));

  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(Only<VoteRequest>(node.Wait(kTimeout - 1)).empty());
    node.Step(2, 1, Beat());
  }

  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().term(), Term{1});
}

TEST(RaftElection, TimeoutsAreDrawnAnewSoThatTwoNodesRarelyStandAtOnce) {
  std::set<int64_t> drawn;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Options options;
    options.seed = seed;
    Solo node({.options = options});
    for (int i = 0; i < 5; ++i) {
      const MonoTime before = node.now();
      node.Timeout();
      drawn.insert(node.now() - before);
    }
  }

  EXPECT_GE(*drawn.begin(), kTimeout);
  EXPECT_LE(*drawn.rbegin(), 2 * kTimeout);
  EXPECT_GE(drawn.size(), 50u);
  EXPECT_GE(*drawn.rbegin() - *drawn.begin(), kTimeout / 2);
}

TEST(RaftElection, ACandidateVotesForItselfInANewTerm) {
  Solo node({.hard = {Term{2}, NodeId{2}}});

  const auto said = Only<VoteRequest>(node.Stand());

  EXPECT_EQ(node.raft().term(), Term{3});
  EXPECT_EQ(node.host().disk().hard, (HardState{Term{3}, NodeId{1}}));
  ASSERT_EQ(said.size(), 2u);
  for (const Message& message : said) EXPECT_EQ(message.term, Term{3});
}

TEST(RaftElection, VotesOfAMajorityAndNoFewerMakeALeader) {
  struct Case {
    uint64_t voters;
    uint64_t grants;
    bool wins;
  };
  const Case cases[] = {{1, 0, true},  {2, 0, false}, {2, 1, true},  {3, 0, false}, {3, 1, true},
                        {4, 1, false}, {4, 2, true},  {5, 1, false}, {5, 2, true},  {5, 4, true}};
  for (const Case& c : cases) {
    Solo node(c.voters);
    node.Stand();
    for (uint64_t peer = 2; peer < 2 + c.grants; ++peer) node.Step(peer, 1, Grant());
    EXPECT_EQ(node.raft().is_leader(), c.wins) << c.grants << " grants of " << c.voters;
  }
}

TEST(RaftElection, OneVoterThatGrantsTwiceCountsOnce) {
  Solo node(5);
  node.Stand();

  for (int i = 0; i < 4; ++i) node.Step(2, 1, Grant());

  EXPECT_EQ(node.raft().role(), Role::kCandidate);
}

TEST(RaftElection, AGrantOfAnotherTermDoesNotCount) {
  Solo node(3);
  node.Stand();
  node.Timeout();
  node.Stand();
  ASSERT_EQ(node.raft().role(), Role::kCandidate);
  ASSERT_GT(node.raft().term(), Term{1});

  node.Step(2, 1, Grant());

  EXPECT_EQ(node.raft().role(), Role::kCandidate);
}

TEST(RaftElection, APreVoteIsNoVote) {
  Solo node(3);
  node.Stand();

  node.Step(2, 1, VoteReply{.pre = true, .granted = true});
  node.Step(3, 1, VoteReply{.pre = true, .granted = true});

  EXPECT_EQ(node.raft().role(), Role::kCandidate);
}

TEST(RaftElection, ACandidateRefusedByAMajorityDoesNotLead) {
  Solo node(3);
  node.Stand();

  node.Step(2, 1, VoteReply{});
  node.Step(3, 1, VoteReply{});
  node.Step(2, 1, Grant());  // A second answer to one request: the first stands.

  EXPECT_FALSE(node.raft().is_leader());
}

TEST(RaftElection, ACandidateFollowsWhoeverLeadsInItsTerm) {
  for (const bool by_heartbeat : {false, true}) {
    Solo node(3);
    node.Stand();

    if (by_heartbeat) {
      node.Step(2, 1, Beat());
    } else {
      node.Step(2, 1, Probe(At(0, 0)));
    }

    EXPECT_EQ(node.raft().role(), Role::kFollower);
    EXPECT_EQ(node.raft().leader(), NodeId{2});
    EXPECT_EQ(node.raft().term(), Term{1});
    node.Sync();
    EXPECT_EQ(node.host().disk().hard.vote, NodeId{1});  // It remembers whom it voted for.
  }
}

TEST(RaftElection, AfterASplitVoteACandidateStandsAgain) {
  Solo node(3);
  node.Stand();
  node.Step(2, 1, VoteReply{});

  node.Timeout();
  node.Stand();

  EXPECT_EQ(node.raft().role(), Role::kCandidate);
  EXPECT_GT(node.raft().term(), Term{1});
}

TEST(RaftElection, ANodeVotesOnceATermFirstComeFirstServed) {
  Solo node(3);

  const auto first = node.StepAndSync(2, 1, StandsWith(At(0, 0)));
  const auto second = node.StepAndSync(3, 1, StandsWith(At(0, 0)));
  const auto again = node.StepAndSync(2, 1, StandsWith(At(0, 0)));

  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(first, 2)).granted);
  EXPECT_FALSE(BodyOf<VoteReply>(Find<VoteReply>(second, 3)).granted);
  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(again, 2)).granted);
}

TEST(RaftElection, AVoteIsRememberedThroughACrash) {
  Solo node(3);
  node.StepAndSync(2, 1, StandsWith(At(0, 0)));

  node.host().Crash();
  node.host().Restart(node.now());
  const auto said = node.StepAndSync(3, 1, StandsWith(At(0, 0)));

  EXPECT_FALSE(BodyOf<VoteReply>(Find<VoteReply>(said, 3)).granted);
}

TEST(RaftElection, AVoteIsGivenOnlyOnceItIsOnDisk) {
  Solo node(3);

  EXPECT_TRUE(node.Step(2, 1, StandsWith(At(0, 0))).empty());
  const auto said = node.Sync();

  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(said, 2)).granted);
}

TEST(RaftElection, AVoteAlreadyOnDiskIsGivenAgainWithoutAWrite) {
  Solo node(3);
  node.StepAndSync(2, 1, StandsWith(At(0, 0)));

  const auto said = node.Step(2, 1, StandsWith(At(0, 0)));

  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(said, 2)).granted);
  EXPECT_EQ(node.host().writes_pending(), 0u);
}

TEST(RaftElection, ACandidateAsksOnlyOnceItsOwnVoteIsOnDisk) {
  Solo node(3);
  node.Timeout();

  // Won the pre-vote: now its own vote is to be written, and only then may anyone hear of it.
  const auto early = node.Step(2, 0, VoteReply{.pre = true, .granted = true});
  EXPECT_TRUE(Only<VoteRequest>(early).empty());
  const auto said = Only<VoteRequest>(node.Sync());

  ASSERT_EQ(said.size(), 2u);
  EXPECT_FALSE(std::get<VoteRequest>(said[0].body).pre);
}

TEST(RaftElection, ALoneNodeLeadsOnlyOnceItsOwnVoteIsOnDisk) {
  Solo node(1);
  node.Timeout();
  EXPECT_FALSE(node.raft().is_leader());

  node.Sync();

  EXPECT_TRUE(node.raft().is_leader());
}

TEST(RaftElection, ALeaderSendsHeartbeatsToAll) {
  Solo node(3);
  node.Lead();

  const auto said = Only<HeartbeatRequest>(node.Wait(3 * kHeartbeat));

  EXPECT_GE(said.size(), 4u);
  EXPECT_LE(said.size(), 8u);
  EXPECT_TRUE(Find<HeartbeatRequest>(said, 2).has_value());
  EXPECT_TRUE(Find<HeartbeatRequest>(said, 3).has_value());
}

TEST(RaftElection, AHeartbeatIsAnsweredWithoutTheDisk) {
  Solo node(3);
  node.StepAndSync(2, 1, Probe(At(0, 0)));
  node.Step(2, 1, Appends(At(0, 0), {EntryAt(1, 1)}));  // Not on disk yet.

  const auto said = node.Step(2, 1, Beat(0, 7));

  EXPECT_EQ(BodyOf<HeartbeatReply>(Find<HeartbeatReply>(said, 2)).read_position, 7u);
}

// §5.4.1: the election restriction -----------------------------------------------------------

TEST(RaftRestriction, ACandidateSaysWhereItsLogEnds) {
  Solo node({.hard = {Term{4}, kNoNode}, .log = LogOf({1, 1, 4})});

  for (const Message& message : Only<VoteRequest>(node.Stand())) {
    EXPECT_EQ(std::get<VoteRequest>(message.body).last, At(4, 3));
  }
}

TEST(RaftRestriction, AVoteGoesOnlyToALogAtLeastAsComplete) {
  struct Case {
    std::vector<uint64_t> log;
    LogId candidate;
    bool granted;
  };
  const Case cases[] = {
      {{1}, At(1, 1), true},    {{1}, At(1, 2), true},    {{1, 1}, At(1, 1), false},
      {{1}, At(2, 1), true},    {{1, 1}, At(2, 1), true}, {{1, 1}, At(0, 0), false},
      {{2}, At(1, 1), false},   {{2}, At(1, 9), false},   {{1, 2}, At(1, 9), false},
      {{1, 2}, At(2, 2), true}, {{}, At(0, 0), true},     {{1, 1, 1}, At(1, 2), false},
  };
  for (const Case& c : cases) {
    for (const bool pre : {false, true}) {
      Solo node({.hard = {Term{2}, kNoNode}, .log = LogOf(c.log)});
      VoteRequest request = StandsWith(c.candidate);
      request.pre = pre;
      const auto said = node.StepAndSync(2, 3, request);
      EXPECT_EQ(BodyOf<VoteReply>(Find<VoteReply>(said, 2)).granted, c.granted)
          << "candidate at " << Text(c.candidate) << (pre ? " in pre-vote" : "");
    }
  }
}

// §5.3: replication --------------------------------------------------------------------------

TEST(RaftReplication, ALeaderBeginsWithAnEntryOfItsTerm) {
  Solo node({.hard = {Term{1}, kNoNode}, .log = LogOf({1})});

  node.Lead();

  EXPECT_EQ(node.raft().last(), At(2, 2));
  EXPECT_EQ(node.raft().entry(Index{2}).kind, EntryKind::kNoop);
}

TEST(RaftReplication, AProposalGoesToAllFollowers) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);
  node.Ack(3, 1);

  const auto said = Only<AppendRequest>(node.Propose("x"));

  ASSERT_EQ(said.size(), 2u);
  for (const Message& message : said) {
    const auto& append = std::get<AppendRequest>(message.body);
    EXPECT_EQ(append.previous, At(1, 1));
    EXPECT_EQ(append.commit, Index{1});
    ASSERT_EQ(append.entries.size(), 1u);
    EXPECT_EQ(append.entries[0].id, At(1, 2));
    EXPECT_EQ(append.entries[0].data, "x");
  }
}

TEST(RaftReplication, OnlyALeaderTakesProposals) {
  Solo follower(3);
  Solo candidate(3);
  candidate.Stand();

  for (Solo* node : {&follower, &candidate}) {
    const auto proposal = node->raft().Propose(node->now(), EntryKind::kOp, "x");
    EXPECT_EQ(proposal.refusal, Raft::Refusal::kNotLeader);
    EXPECT_EQ(node->raft().last(), At(0, 0));
  }
}

TEST(RaftReplication, WhatAMajorityHasIsCommittedAndAnnounced) {
  struct Case {
    uint64_t voters;
    uint64_t acks;
    bool committed;
  };
  const Case cases[] = {{1, 0, true},  {2, 0, false}, {2, 1, true},  {3, 0, false}, {3, 1, true},
                        {4, 1, false}, {4, 2, true},  {5, 1, false}, {5, 2, true},  {5, 4, true}};
  for (const Case& c : cases) {
    Solo node(c.voters);
    node.Lead();
    for (uint64_t peer = 2; peer <= c.voters; ++peer) node.Ack(peer, 1);
    node.Propose("x");
    node.Sync();
    for (uint64_t peer = 2; peer < 2 + c.acks; ++peer) node.Ack(peer, 2);
    EXPECT_EQ(node.raft().commit(), Index{c.committed ? 2u : 1u}) << c.acks << " of " << c.voters;
    EXPECT_EQ(node.host().machine().last.index, node.raft().commit());
    if (!c.committed || c.voters == 1) continue;
    // Followers learn of it, at the latest with the next heartbeat.
    node.Ack(2, 2);
    const auto said = node.Wait(kHeartbeat);
    EXPECT_EQ(BodyOf<HeartbeatRequest>(Find<HeartbeatRequest>(said, 2)).commit, Index{2});
  }
}

TEST(RaftReplication, AHeartbeatCommitsNoMoreThanTheFollowerIsKnownToHave) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);
  ASSERT_EQ(node.raft().commit(), Index{1});

  const auto said = node.Wait(kHeartbeat);

  EXPECT_EQ(BodyOf<HeartbeatRequest>(Find<HeartbeatRequest>(said, 2)).commit, Index{1});
  EXPECT_EQ(BodyOf<HeartbeatRequest>(Find<HeartbeatRequest>(said, 3)).commit, Index{0});
}

TEST(RaftReplication, OneFollowerThatAcknowledgesTwiceCountsOnce) {
  Solo node(5);
  node.Lead();

  for (int i = 0; i < 3; ++i) node.Ack(2, 1);

  EXPECT_EQ(node.raft().commit(), Index{0});
}

TEST(RaftReplication, EntriesOfOlderTermsCommitWithTheFirstOfThisTerm) {
  for (const auto& log : {std::vector<uint64_t>{}, {2}, {1, 2}, {1, 1, 1}}) {
    Solo node({.hard = {Term{2}, kNoNode}, .log = LogOf(log)});
    node.Lead();

    node.Ack(2, log.size() + 1);

    EXPECT_EQ(node.raft().commit(), Index{log.size() + 1});
    EXPECT_EQ(node.host().machine().last.index, Index{log.size() + 1});
  }
}

TEST(RaftReplication, CountingCommitsOnlyEntriesOfTheLeadersTerm) {
  Solo node({.hard = {Term{2}, kNoNode}, .log = LogOf({1, 2})});
  node.Lead();  // Its own entry is 3/3.

  node.Ack(2, 1);
  node.Ack(3, 1);
  EXPECT_EQ(node.raft().commit(), Index{0});
  node.Ack(2, 2);
  node.Ack(3, 2);
  EXPECT_EQ(node.raft().commit(), Index{0});
  node.Ack(2, 3);
  EXPECT_EQ(node.raft().commit(), Index{3});
}

TEST(RaftReplication, AFollowerCommitsAsItsLeaderSays) {
  Solo node(3);

  node.StepAndSync(2, 1, Appends(At(0, 0), {EntryAt(1, 1), EntryAt(1, 2, "x")}, 1));
  EXPECT_EQ(node.raft().commit(), Index{1});
  node.Step(2, 1, Beat(2));

  EXPECT_EQ(node.raft().commit(), Index{2});
  EXPECT_EQ(node.host().machine().last, At(1, 2));
}

TEST(RaftReplication, AFollowerCommitsOnlyWhatItKnowsToBeTheLeaders) {
  // 1/2 may be anything: this append vouches for the log up to 1/1 only (figure 2, "index of last
  // new entry").
  Solo node({.hard = {Term{1}, kNoNode}, .log = LogOf({1, 1})});

  node.StepAndSync(2, 2, Probe(At(1, 1), 2));

  EXPECT_EQ(node.raft().commit(), Index{1});
}

TEST(RaftReplication, AFollowerAcknowledgesOnlyWhatIsOnDisk) {
  Solo node(3);

  const auto early = node.Step(2, 1, Appends(At(0, 0), {EntryAt(1, 1), EntryAt(1, 2)}));
  EXPECT_TRUE(Only<AppendReply>(early).empty());
  const auto said = node.Sync();

  const auto& reply = BodyOf<AppendReply>(Find<AppendReply>(said, 2));
  EXPECT_TRUE(reply.success);
  EXPECT_EQ(reply.match, Index{2});
}

TEST(RaftReplication, ALeaderCountsItselfOnlyOnceItsOwnDiskHasTheEntry) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);
  node.Propose("x");

  node.Ack(2, 2);
  EXPECT_EQ(node.raft().commit(), Index{1});
  node.Sync();

  EXPECT_EQ(node.raft().commit(), Index{2});
}

TEST(RaftReplication, AMajorityWithoutTheLeadersDiskCommits) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);
  node.Ack(3, 1);
  node.Propose("x");

  node.Ack(2, 2);
  node.Ack(3, 2);

  EXPECT_EQ(node.raft().commit(), Index{2});  // Thesis §10.2.1.
}

TEST(RaftReplication, ALoneNodeCommitsOnlyOnceItsDiskHasTheEntry) {
  Solo node(1);
  node.Lead();
  ASSERT_EQ(node.raft().commit(), Index{1});

  node.Propose("x");
  EXPECT_EQ(node.raft().commit(), Index{1});
  node.Sync();

  EXPECT_EQ(node.raft().commit(), Index{2});
}

TEST(RaftReplication, AFollowerRefusesWhatDoesNotFollowItsLog) {
  struct Case {
    LogId previous;
    bool accepted;
    LogId hint_max;  // Where the logs may still agree.
  };
  const Case cases[] = {
      {At(0, 0), true, {}},        {At(1, 1), true, {}},        {At(2, 2), true, {}},
      {At(1, 2), false, At(1, 1)}, {At(3, 3), false, At(2, 2)}, {At(2, 9), false, At(2, 2)},
  };
  for (const Case& c : cases) {
    Solo node({.hard = {Term{2}, kNoNode}, .log = LogOf({1, 2})});
    const auto said = node.StepAndSync(2, 3, Probe(c.previous));
    const auto& reply = BodyOf<AppendReply>(Find<AppendReply>(said, 2));
    EXPECT_EQ(reply.success, c.accepted) << "after " << Text(c.previous);
    if (c.accepted) {
      EXPECT_EQ(reply.match, c.previous.index);
      continue;
    }
    EXPECT_EQ(reply.rejected, c.previous.index);
    EXPECT_LE(reply.hint.index, c.hint_max.index) << "after " << Text(c.previous);
    EXPECT_EQ(node.raft().last(), At(2, 2));  // A refusal changes nothing.
  }
}

TEST(RaftReplication, ConflictsAreCutOffAndNothingElseIs) {
  struct Case {
    LogId previous;
    std::vector<Entry> entries;
    std::vector<LogId> log;
  };
  const Case cases[] = {
      {At(2, 2), {EntryAt(3, 3)}, {At(1, 1), At(2, 2), At(3, 3)}},
      {At(1, 1), {EntryAt(3, 2), EntryAt(4, 3)}, {At(1, 1), At(3, 2), At(4, 3)}},
      {At(0, 0), {EntryAt(1, 1)}, {At(1, 1), At(2, 2)}},  // Old news shorten nothing.
      {At(0, 0), {EntryAt(3, 1)}, {At(3, 1)}},
      {At(1, 1), {EntryAt(2, 2)}, {At(1, 1), At(2, 2)}},
      {At(1, 1), {}, {At(1, 1), At(2, 2)}},
  };
  for (const Case& c : cases) {
    Solo node({.hard = {Term{2}, kNoNode}, .log = LogOf({1, 2})});
    const auto said = node.StepAndSync(2, 4, Appends(c.previous, c.entries));
    EXPECT_EQ(Ids(node.host().disk().entries), c.log) << "after " << Text(c.previous);
    EXPECT_EQ(node.raft().last(), c.log.back());
    const auto& reply = BodyOf<AppendReply>(Find<AppendReply>(said, 2));
    EXPECT_EQ(reply.match.value, c.previous.index.value + c.entries.size());
  }
}

TEST(RaftReplication, AnAppendThatIsAlreadyOnDiskIsAcknowledgedWithoutAWrite) {
  Solo node(3);
  node.StepAndSync(2, 1, Appends(At(0, 0), {EntryAt(1, 1), EntryAt(1, 2)}));

  const auto said = node.Step(2, 1, Appends(At(0, 0), {EntryAt(1, 1)}));

  EXPECT_TRUE(BodyOf<AppendReply>(Find<AppendReply>(said, 2)).success);
  EXPECT_EQ(node.host().writes_pending(), 0u);
}

// Figure 7: whatever a follower's log looks like, it becomes the leader's.
TEST(RaftReplication, EveryFollowerOfFigure7ComesToHaveTheLeadersLog) {
  const std::vector<uint64_t> leader = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<uint64_t> followers[] = {
      {1, 1, 1, 4, 4, 5, 5, 6, 6},
      {1, 1, 1, 4},
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
      {1, 1, 1, 4, 4, 4, 4},
      {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
  };
  for (const auto& follower : followers) {
    Cluster::Setup setup;
    setup.prior = [&](uint64_t n, DiskImage* disk) {
      disk->entries = LogOf(n == 1 ? leader : n == 2 ? follower : std::vector<uint64_t>{});
      disk->hard.term = Term{7};
    };
    Cluster cluster(std::move(setup));
    cluster.CutOneWay(2, 3);  // Node 3 gives the leader its majority, whatever node 2 thinks.
    cluster.Elect(1);
    cluster.Propose(1, "x");
    cluster.Settle();

    EXPECT_EQ(Ids(cluster.host(2).disk().entries), Ids(cluster.host(1).disk().entries));
    EXPECT_EQ(cluster[2].commit(), Index{12});
  }
}

// A follower that is far off is found in a few round trips, not one a term or one an entry.
TEST(RaftReplication, ALongConflictIsFoundInFewRoundTrips) {
  Cluster::Setup setup;
  setup.prior = [](uint64_t n, DiskImage* disk) {
    std::vector<uint64_t> terms(10, 1);
    terms.resize(500, n == 2 ? 2 : 3);
    disk->entries = LogOf(terms);
    disk->hard.term = Term{3};
  };
  Cluster cluster(std::move(setup));
  int refusals = 0;
  cluster.Hold([&](const Message& message) {
    const auto* reply = std::get_if<AppendReply>(&message.body);
    refusals += reply != nullptr && !reply->success ? 1 : 0;
    return false;
  });
  cluster.Elect(1);

  EXPECT_EQ(cluster[2].last(), cluster[1].last());
  EXPECT_LE(refusals, 3);
}

}  // namespace
}  // namespace lockstep::raft::testing
