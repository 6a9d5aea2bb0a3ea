// Who decides: joint configurations, learners, removed nodes, disks that were emptied (Ongaro's
// thesis, chapter 4, his correction of 2015, and what real systems got wrong about them).
#include <gtest/gtest.h>

#include "tests/raft_solo.h"

namespace lockstep::raft::testing {
namespace {

constexpr int64_t kTimeout = Options{}.election_timeout_us;
using Refusal = Raft::Refusal;

Cluster::Setup Voters(uint64_t voters, uint64_t outsiders, uint64_t learners = 0) {
  Cluster::Setup setup;
  setup.voters = voters;
  setup.learners = learners;
  setup.outsiders = outsiders;
  return setup;
}

// Changes ------------------------------------------------------------------------------------

TEST(RaftConfig, AChangeGoesThroughAJointConfigurationAndLeavesIt) {
  Cluster cluster(Voters(3, 1));
  cluster.Elect(1);

  EXPECT_EQ(cluster.Configure(1, MembersOf({1, 2, 3, 4}), {}).refusal, Refusal::kNone);
  EXPECT_TRUE(cluster[1].config().joint());
  EXPECT_EQ(cluster[1].config().outgoing, MembersOf({1, 2, 3}));
  EXPECT_TRUE(cluster[1].config_pending());
  cluster.RunForMs(500);

  for (const uint64_t n : {1u, 2u, 3u, 4u}) {
    EXPECT_FALSE(cluster[n].config().joint());
    EXPECT_EQ(cluster[n].config().voters, MembersOf({1, 2, 3, 4}));
    EXPECT_EQ(cluster[n].last(), cluster[1].last());
  }
  EXPECT_FALSE(cluster[1].config_pending());
}

TEST(RaftConfig, OneChangeAtATime) {
  Cluster cluster(Voters(3, 2));
  cluster.Elect(1);
  cluster.Isolate(1);

  EXPECT_EQ(cluster.Configure(1, MembersOf({1, 2, 3, 4}), {}).refusal, Refusal::kNone);
  EXPECT_EQ(cluster.Configure(1, MembersOf({1, 2, 3, 5}), {}).refusal, Refusal::kConfigPending);
  cluster.Heal();
  cluster.RunForMs(500);

  EXPECT_EQ(cluster.Configure(1, MembersOf({1, 2, 3, 5}), {}).refusal, Refusal::kNone);
}

TEST(RaftConfig, OnlyALeaderChangesAndOnlyToWhatMakesSense) {
  Cluster cluster(3);
  cluster.Elect(1);

  EXPECT_EQ(cluster.Configure(2, MembersOf({1, 2}), {}).refusal, Refusal::kNotLeader);
  EXPECT_EQ(cluster.Configure(1, {}, MembersOf({1, 2, 3})).refusal, Refusal::kBadConfig);
  EXPECT_EQ(cluster.Configure(1, MembersOf({1, 1, 2}), {}).refusal, Refusal::kBadConfig);
  EXPECT_EQ(cluster.Configure(1, MembersOf({1, 2}), MembersOf({2})).refusal, Refusal::kBadConfig);
  EXPECT_FALSE(cluster[1].config_pending());
}

TEST(RaftConfig, NoChangeBeforeAnEntryOfTheLeadersTermIsCommitted) {
  Cluster cluster(Voters(3, 1));
  cluster.Elect(1);
  cluster.Propose(1, "x");
  cluster.Settle();
  cluster.Crash(1);
  cluster.Hold(
      [](const Message& message) { return std::holds_alternative<AppendReply>(message.body); });
  cluster.Elect(2);

  EXPECT_NE(cluster.Configure(2, MembersOf({1, 2, 3, 4}), {}).refusal, Refusal::kNone);
  cluster.Release();
  cluster.Settle();

  EXPECT_EQ(cluster.Configure(2, MembersOf({1, 2, 3, 4}), {}).refusal, Refusal::kNone);
}

TEST(RaftConfig, WhileJointBothMajoritiesMustAgree) {
  for (const bool old_ones_are_gone : {true, false}) {
    Cluster cluster(Voters(3, 2));
    cluster.Elect(1);
    const Index before = cluster[1].commit();
    for (const uint64_t n : {2u, 3u, 4u, 5u}) {
      if ((n <= 3) == old_ones_are_gone) cluster.Crash(n);
    }

    cluster.Configure(1, MembersOf({1, 4, 5}), {});
    cluster.Propose(1, "x");
    cluster.RunForMs(400);

    EXPECT_EQ(cluster[1].commit(), before);
    for (const uint64_t n : {2u, 3u, 4u, 5u}) {
      if (!cluster.host(n).up()) cluster.Restart(n);
    }
    EXPECT_TRUE(cluster.Commits("y"));
  }
}

TEST(RaftConfig, WhileJointALeaderNeedsVotesOfBothMajorities) {
  Cluster cluster(Voters(3, 2));
  cluster.Elect(1);
  for (const uint64_t n : {2u, 3u}) cluster.Isolate(n);
  cluster.Configure(1, MembersOf({1, 4, 5}), {});
  cluster.Settle();  // On 1, 4 and 5: a majority of the new, none of the old.
  ASSERT_TRUE(cluster[4].config().joint());

  cluster.Crash(1);
  cluster.Restart(1);

  EXPECT_FALSE(cluster.RunUntilLeader(20 * kTimeout));
  cluster.Heal();
  EXPECT_TRUE(cluster.Commits("x"));
}

TEST(RaftConfig, ALeaderInAJointConfigurationStepsDownWithoutOneOfTheMajorities) {
  Cluster cluster(Voters(3, 2));
  cluster.Elect(1);
  for (const uint64_t n : {2u, 3u}) cluster.Crash(n);
  cluster.Configure(1, MembersOf({1, 4, 5}), {});

  EXPECT_TRUE(cluster.RunUntil([&] { return !cluster[1].is_leader(); }, 3 * kTimeout));
}

TEST(RaftConfig, ANewLeaderFinishesAChangeThatItsPredecessorBegan) {
  Cluster cluster(Voters(3, 2));
  cluster.Elect(1);
  cluster.Hold(
      [](const Message& message) { return std::holds_alternative<AppendReply>(message.body); });
  cluster.Configure(1, MembersOf({1, 2, 3, 4, 5}), {});
  cluster.Settle();  // All have the joint configuration; the leader does not know that.
  cluster.Crash(1);
  cluster.LoseAll();
  cluster.Hold(nullptr);

  ASSERT_TRUE(cluster.Commits("x"));
  cluster.RunForMs(500);

  const uint64_t leader = cluster.leader();
  EXPECT_NE(leader, 1u);
  EXPECT_FALSE(cluster[leader].config().joint());
  EXPECT_EQ(cluster[leader].config().voters, MembersOf({1, 2, 3, 4, 5}));
}

// Of two voters neither can be spared, and a third changes that only when the change is through: on
// all three disks, with its votes, the joint configuration still needs both of the old ones.
TEST(RaftConfig, TheThirdVoterDoesNotStandInForAnotherWhileTheConfigurationIsJoint) {
  Cluster cluster(Voters(2, 0, 1));
  cluster.Elect(1);
  cluster.Hold(
      [](const Message& message) { return std::holds_alternative<AppendReply>(message.body); });
  cluster.Configure(1, MembersOf({1, 2, 3}), {});
  cluster.Settle();
  for (const uint64_t n : {1u, 2u, 3u}) ASSERT_TRUE(cluster[n].config().joint());
  ASSERT_TRUE(cluster[1].config_pending());

  cluster.Crash(1);
  cluster.LoseAll();
  cluster.Hold(nullptr);

  EXPECT_FALSE(cluster.RunUntilLeader(20 * kTimeout));
  cluster.Restart(1);
  EXPECT_TRUE(cluster.Commits("x"));
  EXPECT_TRUE(cluster.RunUntil([&] { return !cluster[cluster.leader()].config_pending(); },
                               20 * kTimeout));
}

// Whichever of the others does not have the last step yet: the one that has it is elected.
TEST(RaftConfig, TheThirdVoterStandsInForTheLeaderOnceItSaysThatNoChangeIsUnderWay) {
  for (const uint64_t behind : {2u, 3u}) {
    Cluster cluster(Voters(2, 0, 1));
    cluster.Elect(1);
    cluster.Hold([](const Message& message) {
      return std::holds_alternative<AppendReply>(message.body);
    });
    cluster.Configure(1, MembersOf({1, 2, 3}), {});
    cluster.Settle();
    cluster.Release();
    cluster.Hold([behind](const Message& message) { return message.to == NodeId{behind}; });
    cluster.Settle();
    ASSERT_FALSE(cluster[1].config_pending());
    ASSERT_TRUE(cluster[behind].config().joint());

    cluster.Crash(1);
    cluster.LoseAll();
    cluster.Hold(nullptr);

    EXPECT_TRUE(cluster.Commits("x")) << "node " << behind << " is behind";
  }
}

TEST(RaftConfig, AGroupGrowsFromOneToFiveAndShrinksToOneAgain) {
  Cluster cluster(Voters(1, 4));
  cluster.Elect(1);
  ASSERT_EQ(cluster.Configure(1, MembersOf({1, 2, 3, 4, 5}), {}).refusal, Refusal::kNone);
  ASSERT_TRUE(cluster.Commits("five"));
  cluster.RunForMs(500);
  for (uint64_t n = 1; n <= 5; ++n) EXPECT_EQ(cluster[n].commit(), cluster[1].commit());

  ASSERT_EQ(cluster.Configure(1, MembersOf({1}), {}).refusal, Refusal::kNone);
  cluster.RunForMs(500);
  for (uint64_t n = 2; n <= 5; ++n) cluster.Crash(n);

  EXPECT_TRUE(cluster.Commits("one"));
}

// Ongaro's correction of 2015: a change that an older leader left uncommitted and a change that a
// newer one makes at once can have majorities that do not overlap. Three schedules.
class RaftConfigSchedules : public ::testing::Test {
 protected:
  // Node 1 leads, and its change reaches `helped` only. Node 2 is elected by the others and tries
  // its own before its first entry is committed, and again after. Then node 1 comes back for votes
  // with `allies`, cut off from the others.
  void Run(Cluster* cluster, const std::vector<Member>& first, std::vector<uint64_t> helped,
           const std::vector<Member>& second, std::vector<uint64_t> allies) {
    cluster->Elect(1);
    Only(cluster, 1, helped);
    ASSERT_EQ(cluster->Configure(1, first, {}).refusal, Refusal::kNone);
    cluster->Settle();
    cluster->Isolate(1);
    cluster->Hold([](const Message& message) {
      return message.to == NodeId{2} && std::holds_alternative<AppendReply>(message.body);
    });
    cluster->Elect(2);
    EXPECT_NE(cluster->Configure(2, second, {}).refusal, Refusal::kNone);

    cluster->Release();
    cluster->Settle();
    EXPECT_EQ(cluster->Configure(2, second, {}).refusal, Refusal::kNone);
    cluster->Propose(2, "second");
    cluster->Settle();
    EXPECT_TRUE(cluster->ledger().HasCommitted("second"));

    cluster->Heal();
    cluster->Crash(2);
    Only(cluster, 1, allies);
    cluster->Crash(1);
    cluster->Restart(1);
    cluster->RunFor(20 * kTimeout);  // The ledger sees to it that nothing committed is undone.
    cluster->Restart(2);
    cluster->Heal();
    EXPECT_TRUE(cluster->Commits("after"));
  }

 private:
  // Leaves node n no links but those to `others`.
  static void Only(Cluster* cluster, uint64_t n, const std::vector<uint64_t>& others) {
    cluster->Isolate(n);
    for (const uint64_t other : others) {
      cluster->HealOneWay(n, other);
      cluster->HealOneWay(other, n);
    }
  }
};

TEST_F(RaftConfigSchedules, OneAddsAndOneRemoves) {
  Cluster cluster(Voters(4, 1));
  Run(&cluster, MembersOf({1, 2, 3, 4, 5}), {5}, MembersOf({2, 3, 4}), {4, 5});
}

TEST_F(RaftConfigSchedules, TwoAdd) {
  Cluster cluster(Voters(4, 2));
  Run(&cluster, MembersOf({1, 2, 3, 4, 5}), {5}, MembersOf({1, 2, 3, 4, 6}), {4, 5});
}

TEST_F(RaftConfigSchedules, TwoRemove) {
  Cluster cluster(Voters(4, 0));
  Run(&cluster, MembersOf({1, 3, 4}), {}, MembersOf({2, 3, 4}), {4});
}

// Changes that never were --------------------------------------------------------------------

// canonical/raft #250, #323: what is rolled back must not live on in a snapshot or past a restart.
TEST(RaftConfigRollback, AnUncommittedChangeGoesWithItsEntry) {
  for (const bool snapshot : {false, true}) {
    for (const bool crash : {false, true}) {
      Cluster cluster(Voters(3, 1));
      cluster.Elect(1);
      cluster.Propose(1, "x");
      cluster.Settle();
      const Config before = cluster[1].config();
      cluster.Isolate(1);
      cluster.Configure(1, MembersOf({1, 2, 4}), {});
      cluster.Settle();
      if (snapshot) cluster.Compact(1);
      cluster.Settle();
      if (crash) {
        cluster.Crash(1);
        cluster.Restart(1);
      }
      EXPECT_TRUE(cluster[1].config().joint());  // In force from the moment it is in the log.

      cluster.Elect(2);
      cluster.Heal();
      cluster.RunForMs(1000);

      EXPECT_EQ(cluster[1].config(), before);
      EXPECT_EQ(cluster[1].last(), cluster[2].last());
      EXPECT_FALSE(cluster[2].config_pending());
      EXPECT_TRUE(cluster.Commits("y"));
    }
  }
}

TEST(RaftConfigRollback, AFollowerGivesUpAConfigurationThatIsCutOff) {
  Solo node(3);
  Config joint = node.raft().config();
  joint.outgoing = joint.voters;
  joint.voters = MembersOf({1, 2, 4});
  Entry change = EntryAt(1, 1);
  change.kind = EntryKind::kConfig;
  change.data = EncodeConfig(joint);
  node.StepAndSync(2, 1, Appends(At(0, 0), {change}));
  ASSERT_EQ(node.raft().config(), joint);

  node.StepAndSync(3, 2, Appends(At(0, 0), {EntryAt(2, 1)}));

  EXPECT_EQ(node.raft().config().voters, MembersOf({1, 2, 3}));
  EXPECT_FALSE(node.raft().config().joint());
}

TEST(RaftConfigRollback, ASnapshotSentMeanwhileNamesTheCommittedConfiguration) {
  Cluster cluster(Voters(4, 1));
  cluster.Elect(1);
  cluster.Isolate(4);
  for (int i = 0; i < 10; ++i) cluster.Propose(1, "x");
  cluster.Settle();
  const Config before = cluster[1].config();
  cluster.Compact(1);
  cluster.Settle();
  cluster.Hold(
      [](const Message& message) { return message.to == NodeId{1} && message.from != NodeId{4}; });
  cluster.Configure(1, MembersOf({1, 2, 5}), {});  // Cannot commit while node 1 hears nobody.

  cluster.Heal();
  cluster.RunForMs(300);

  EXPECT_EQ(cluster.host(4).disk().snapshot.config, before);
  EXPECT_EQ(cluster.host(4).machine().config, before);
}

// Removed nodes ------------------------------------------------------------------------------

// hashicorp/raft #524: who was removed while it was cut off knows nothing of it and stands for
// ever.
TEST(RaftRemoved, AFollowerRemovedWhileCutOffDoesNotDisturb) {
  Cluster cluster(4);
  cluster.Elect(1);
  cluster.Isolate(4);
  ASSERT_EQ(cluster.Configure(1, MembersOf({1, 2, 3}), {}).refusal, Refusal::kNone);
  cluster.RunFor(20 * kTimeout);
  ASSERT_FALSE(cluster[1].config_pending());

  cluster.Heal();
  cluster.RunFor(40 * kTimeout);

  EXPECT_EQ(cluster.leader(), 1u);
  EXPECT_EQ(cluster[1].term(), Term{1});
}

TEST(RaftRemoved, WhoKnowsThatItWasRemovedDoesNotStand) {
  Solo node(3);
  Config without = node.raft().config();
  without.voters = MembersOf({2, 3});
  Entry change = EntryAt(1, 1);
  change.kind = EntryKind::kConfig;
  change.data = EncodeConfig(without);
  node.StepAndSync(2, 1, Appends(At(0, 0), {change}, 1));
  ASSERT_EQ(node.raft().config(), without);

  EXPECT_TRUE(node.Wait(100 * kTimeout).empty());
  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().term(), Term{1});
}

TEST(RaftRemoved, ALeaderThatRemovesItselfLeadsUntilThatIsCommittedAndThenLeavesIt) {
  Cluster cluster(3);
  cluster.Elect(1);

  EXPECT_EQ(cluster.Configure(1, MembersOf({2, 3}), {}).refusal, Refusal::kNone);
  cluster.RunForMs(400);
  EXPECT_FALSE(cluster[1].is_leader());
  EXPECT_TRUE(cluster.Commits("x"));

  EXPECT_NE(cluster.leader(), 1u);
  EXPECT_EQ(cluster[cluster.leader()].config().voters, MembersOf({2, 3}));
  cluster.Crash(1);
  EXPECT_TRUE(cluster.Commits("y"));
}

// ClickHouse #118740: removed and added again within one life of the process.
TEST(RaftRemoved, WhoIsAddedAgainServesAgain) {
  Cluster cluster(3);
  cluster.Elect(1);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(cluster.Configure(1, MembersOf({1, 2}), {}).refusal, Refusal::kNone);
    ASSERT_TRUE(cluster.Commits(Format("without %d", i)));
    cluster.RunForMs(500);
    ASSERT_EQ(cluster.Configure(1, MembersOf({1, 2, 3}), {}).refusal, Refusal::kNone);
    ASSERT_TRUE(cluster.Commits(Format("with %d", i)));
    cluster.RunForMs(500);
    EXPECT_EQ(cluster[3].commit(), cluster[1].commit());
  }
  EXPECT_EQ(cluster.leader(), 1u);

  cluster.Crash(2);
  EXPECT_TRUE(cluster.Commits("by 1 and 3"));
  cluster.Restart(2);
  cluster.Crash(1);
  EXPECT_TRUE(cluster.Commits("by 2 and 3"));
}

// Learners -----------------------------------------------------------------------------------

TEST(RaftLearner, FollowsAndIsNotCounted) {
  Cluster cluster(Voters(3, 0, 1));
  cluster.Elect(1);
  EXPECT_EQ(cluster[4].commit(), cluster[1].commit());
  const Index before = cluster[1].commit();

  cluster.Crash(2);
  cluster.Crash(3);
  cluster.Propose(1, "x");
  cluster.Settle();

  EXPECT_EQ(cluster[4].last(), cluster[1].last());
  EXPECT_EQ(cluster[1].commit(), before);
  EXPECT_TRUE(cluster.RunUntil([&] { return !cluster[1].is_leader(); }, 3 * kTimeout));
}

TEST(RaftLearner, NeverStands) {
  Cluster cluster(Voters(3, 0, 1));
  cluster.Elect(1);
  for (const uint64_t n : {1u, 2u, 3u}) cluster.Crash(n);

  cluster.RunFor(100 * kTimeout);

  EXPECT_EQ(cluster[4].role(), Role::kFollower);
  EXPECT_EQ(cluster[4].term(), Term{1});
}

TEST(RaftLearner, ItsGrantIsNotCounted) {
  Solo node({.voters = 3, .learners = 2});
  node.Stand();

  node.Step(4, 1, Grant());
  node.Step(5, 1, Grant());

  EXPECT_EQ(node.raft().role(), Role::kCandidate);
}

// etcd-io/raft, campaign_learner_must_vote.txt: a learner that was made a voter and does not know
// it yet is asked by one who does.
TEST(RaftLearner, VotesWhenItIsAskedForItMayBeAVoterByNow) {
  Solo node({.voters = 2, .learners = 1, .self = 3});

  const auto said = node.StepAndSync(2, 1, StandsWith(At(0, 0)));

  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(said, 2)).granted);
}

TEST(RaftLearner, IsPromotedAndDemoted) {
  Cluster cluster(Voters(3, 1));
  cluster.Elect(1);
  ASSERT_EQ(cluster.Configure(1, MembersOf({1, 2, 3}), MembersOf({4})).refusal, Refusal::kNone);
  ASSERT_TRUE(cluster.Commits("learns"));
  cluster.RunForMs(500);
  EXPECT_EQ(cluster[4].commit(), cluster[1].commit());
  EXPECT_TRUE(cluster[4].config().IsLearner(NodeId{4}));

  ASSERT_EQ(cluster.Configure(1, MembersOf({1, 2, 4}), MembersOf({3})).refusal, Refusal::kNone);
  ASSERT_TRUE(cluster.Commits("swapped"));
  cluster.RunForMs(500);
  EXPECT_TRUE(cluster[3].config().IsLearner(NodeId{3}));
  cluster.Crash(2);
  EXPECT_TRUE(cluster.Commits("by 1 and 4"));

  cluster.Crash(4);
  const Index before = cluster[1].commit();
  cluster.Propose(1, "x");
  cluster.Settle();
  EXPECT_EQ(cluster[1].commit(), before);  // Node 3 has it, and does not count.
}

TEST(RaftLearner, ALeaderThatBecomesOneLetsAnotherLead) {
  Cluster cluster(3);
  cluster.Elect(1);

  ASSERT_EQ(cluster.Configure(1, MembersOf({2, 3}), MembersOf({1})).refusal, Refusal::kNone);
  cluster.RunForMs(500);
  ASSERT_TRUE(cluster.Commits("x"));
  cluster.RunForMs(500);

  EXPECT_NE(cluster.leader(), 1u);
  EXPECT_EQ(cluster[1].commit(), cluster[cluster.leader()].commit());
}

// Emptied disks ------------------------------------------------------------------------------

// Voters 1 and 2, and 3 with the disk that it has now.
std::vector<Member> Renewed(Cluster& cluster) {
  std::vector<Member> renewed = MembersOf({1, 2});
  renewed.push_back(cluster.host(3).self());
  return renewed;
}
// The old disk leaves before the new one comes: never are both in one joint configuration, where
// what the new one says would count for the old one too.
void Renew(Cluster* cluster) {
  EXPECT_EQ(cluster->Configure(1, Renewed(*cluster), {}).refusal, Refusal::kBadConfig);
  EXPECT_EQ(cluster->Configure(1, MembersOf({1, 2}), {}).refusal, Refusal::kNone);
  cluster->RunFor(2 * kTimeout);
  EXPECT_EQ(cluster->Configure(1, Renewed(*cluster), {}).refusal, Refusal::kNone);
  cluster->RunFor(2 * kTimeout);
}

// A node whose disk is not the one that the configuration names.
TEST(RaftEmptied, ADiskThatIsNoMemberNeitherStandsNorVotes) {
  Host::Setup setup;
  setup.options.self = MemberOf(3, 1);
  setup.disk.snapshot.config.voters = MembersOf({1, 2, 3});
  Ledger ledger;
  setup.ledger = &ledger;
  ThrowOnFailedChecks();
  MonoTime now;
  Host host(std::move(setup), now);

  for (int i = 0; i < 100; ++i) {
    now = now + kTimeout;
    host.raft().Tick(now);
    host.Drain(now);
    host.FinishWrites(now);
  }
  EXPECT_EQ(host.raft().role(), Role::kFollower);
  EXPECT_TRUE(Only<VoteRequest>(host.TakeOutbox()).empty());

  for (const bool transfer : {false, true}) {
    host.raft().Step(now, {NodeId{2}, NodeId{3}, Term{7},
                           VoteRequest{.pre = false, .transfer = transfer, .last = At(5, 5)}});
    host.Drain(now);
    host.FinishWrites(now);
    host.Drain(now);
    for (const Message& message : Only<VoteReply>(host.TakeOutbox())) {
      EXPECT_FALSE(std::get<VoteReply>(message.body).granted);
    }
  }
}

TEST(RaftEmptied, ANodeWithoutMemoryGivesNoOneAMajority) {
  Cluster cluster(3);
  cluster.Elect(1);
  ASSERT_TRUE(cluster.Commits("x"));
  cluster.Crash(3);
  cluster.Crash(1);
  cluster.RestartEmptied(3);

  cluster.RunFor(40 * kTimeout);
  EXPECT_EQ(cluster.leader(), 0u);
  cluster.Restart(1);

  EXPECT_TRUE(cluster.Commits("y"));
}

TEST(RaftEmptied, ItDisturbsNobodyAndServesAgainOnceItsNewDiskIsAMember) {
  Cluster cluster(3);
  cluster.Elect(1);
  for (int i = 0; i < 10; ++i) cluster.Propose(1, "x");
  cluster.Settle();
  cluster.Crash(3);
  cluster.RestartEmptied(3);
  cluster.RunFor(20 * kTimeout);
  ASSERT_EQ(cluster.leader(), 1u);
  ASSERT_EQ(cluster[1].term(), Term{1});
  EXPECT_TRUE(cluster.Commits("y"));

  const std::vector<Member> renewed = Renewed(cluster);
  Renew(&cluster);

  EXPECT_EQ(cluster[1].config().voters, renewed);
  EXPECT_FALSE(cluster[1].config_pending());
  EXPECT_EQ(cluster[3].commit(), cluster[1].commit());
  cluster.Crash(1);
  EXPECT_TRUE(cluster.Commits("by 2 and 3"));
}

// Its entries are gone, and the leader's log no longer begins at 1: it needs a snapshot.
TEST(RaftEmptied, ItCatchesUpBySnapshotWhenTheLogIsCompacted) {
  Cluster cluster(3);
  cluster.Elect(1);
  for (int i = 0; i < 10; ++i) cluster.Propose(1, "x");
  cluster.Settle();
  cluster.Compact(1);
  cluster.Settle();
  cluster.Crash(3);
  cluster.RestartEmptied(3);

  Renew(&cluster);

  EXPECT_EQ(cluster[3].commit(), cluster[1].commit());
  EXPECT_EQ(cluster[3].config().voters, Renewed(cluster));
}

// The leader believes that node 3 has what its old disk acknowledged. An entry of an older leader,
// late on the wire, may stand there instead.
TEST(RaftEmptied, WhatTheOldDiskHadIsNotTakenForWhatTheNewOneHas) {
  Cluster cluster(3);
  cluster.Hold([](const Message& message) {
    return message.from == NodeId{1} && std::holds_alternative<AppendRequest>(message.body);
  });
  cluster.Elect(1);  // 1/1 is on its own disk, and on its way to the others.
  cluster.Isolate(1);
  cluster.Elect(2);
  ASSERT_EQ(cluster[2].commit(), Index{1});  // 2/1, with node 3.
  cluster.Isolate(3);
  cluster.Crash(3);
  cluster.RestartEmptied(3);
  cluster.HealOneWay(1, 3);
  cluster.Release();
  cluster.Settle();
  ASSERT_EQ(cluster[3].last(), At(1, 1));

  cluster.Heal();
  cluster.RunForMs(400);  // Heartbeats of node 2. What node 3 applies, the ledger compares.

  EXPECT_TRUE(cluster.Commits("x"));
  EXPECT_NE(cluster[3].commit(), Index{1});
}

// Node 3 helped to elect node 2, lost its memory, and now hears of the old leader only. What it
// says counts for its new disk, never for the one that made the promise: else two majorities.
TEST(RaftEmptied, ANewDiskDoesNotSpeakForTheOldOne) {
  Cluster cluster(3);
  cluster.Elect(1);
  const Index before = cluster[1].commit();
  cluster.Isolate(1);
  cluster.Elect(2);
  cluster.Propose(2, "x");
  cluster.Settle();
  ASSERT_TRUE(cluster.ledger().HasCommitted("x"));
  cluster.Crash(3);
  cluster.RestartEmptied(3);
  cluster.Heal();
  cluster.Isolate(2);

  cluster.Configure(1, Renewed(cluster), {});
  cluster.Configure(1, MembersOf({1, 2}), {});
  cluster.Propose(1, "y");
  const uint64_t position = cluster.Read(1);
  cluster.RunFor(kTimeout / 2);

  EXPECT_EQ(cluster[1].commit(), before);
  EXPECT_FALSE(cluster.ledger().HasCommitted("y"));
  EXPECT_EQ(cluster.host(1).Confirmed(position), std::nullopt);
  cluster.Heal();
  EXPECT_TRUE(cluster.Commits("z"));
}

}  // namespace
}  // namespace lockstep::raft::testing
