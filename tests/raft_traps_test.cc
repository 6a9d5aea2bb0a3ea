// What engines of this kind get wrong in practice about disks, elections and partial partitions.
// Each trap was met by a real system; where a test names one (etcd, hashicorp/raft, canonical/raft,
// Cloudflare 2020), that is where.
#include <gtest/gtest.h>

#include "tests/raft_solo.h"

namespace lockstep::raft::testing {
namespace {

constexpr int64_t kTimeout = Options{}.election_timeout_us;

// Durability ---------------------------------------------------------------------------------

// etcd-io/raft, async_storage_writes_append_aba_race.txt: entries are appended, overwritten by
// another leader and appended again by a third. The disk finishes the first write only then.
TEST(RaftDisk, AnOldWriteDoesNotAcknowledgeTheSameEntriesWrittenAgain) {
  Solo node(3);
  const std::vector<Entry> a = {EntryAt(1, 1), EntryAt(1, 2), EntryAt(1, 3)};
  node.Step(2, 1, Appends(At(0, 0), a));
  node.Step(3, 2, Appends(At(0, 0), {EntryAt(2, 1)}));
  node.Step(2, 3, Appends(At(0, 0), a));
  ASSERT_EQ(node.host().writes_pending(), 3u);

  const auto after_first = node.SyncOne();
  const auto after_second = node.SyncOne();
  const auto after_third = node.SyncOne();

  EXPECT_FALSE(Find<AppendReply>(after_first, 2).has_value());
  EXPECT_FALSE(Find<AppendReply>(after_second, 2).has_value());
  EXPECT_EQ(BodyOf<AppendReply>(Find<AppendReply>(after_third, 2)).match, Index{3});
}

TEST(RaftDisk, AnOldWriteDoesNotAcknowledgeOtherEntriesAtItsPlace) {
  Solo node(3);
  node.Step(2, 1, Appends(At(0, 0), {EntryAt(1, 1), EntryAt(1, 2), EntryAt(1, 3)}));
  node.Step(3, 2, Appends(At(0, 0), {EntryAt(2, 1), EntryAt(2, 2), EntryAt(2, 3)}));

  EXPECT_FALSE(Find<AppendReply>(node.SyncOne(), 3).has_value());
  EXPECT_EQ(BodyOf<AppendReply>(Find<AppendReply>(node.SyncOne(), 3)).match, Index{3});
}

// The same at a leader: what its disk finishes from an earlier term is no acknowledgement of what
// it leads with now (etcd, TestLeaderMsgAppSelfAckAfterTermChange).
TEST(RaftDisk, ALeadersDiskThatIsLateForItsOldTermDoesNotCommitInItsNewTerm) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.HoldDisk(1);
  cluster.Isolate(1);
  for (int i = 0; i < 3; ++i) cluster.Propose(1, "lost");  // 1/2 to 1/4, not on disk.
  cluster.Elect(2);
  cluster.Propose(2, "kept");
  cluster.Settle();
  cluster.Heal();
  cluster.RunForMs(300);
  ASSERT_GE(cluster.host(1).writes_pending(), 4u);

  while (cluster.host(1).writes_pending() > 0) {
    cluster.FinishWrite(1);  // CheckPromise looks on.
    cluster.RunForMs(100);
  }
  cluster.ReleaseDisk(1);
  cluster.RunForMs(300);

  EXPECT_EQ(Ids(cluster.host(1).disk().entries), Ids(cluster.host(2).disk().entries));
}

// A candidate's request tells of its log. If it left before log and vote were on disk, the grant
// could reach a successor that has forgotten both.
TEST(RaftDisk, NobodyHearsOfACandidateWhoseLogAndVoteCanStillBeLost) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.HoldDisk(3);
  cluster.Propose(1, "x");
  cluster.Settle();
  ASSERT_TRUE(cluster.ledger().HasCommitted("x"));  // By 1 and 2; at 3 it is only in memory.
  cluster.Isolate(1);
  cluster.Hold([](const Message& message) {
    const auto* vote = std::get_if<VoteReply>(&message.body);
    return vote != nullptr && !vote->pre;
  });
  cluster.Timeout(3);
  cluster.Settle();
  EXPECT_EQ(cluster.held(), 0u);

  cluster.Crash(3);
  cluster.Restart(3);
  cluster.ReleaseDisk(3);
  cluster.Timeout(3);
  cluster.Settle();
  cluster.Release();
  cluster.Settle();

  EXPECT_FALSE(cluster[3].is_leader());
  EXPECT_TRUE(cluster.Commits("y"));
}

// etcd #14370: the only node of a group said yes before its disk did.
TEST(RaftDisk, WhatALoneNodeHasCommittedSurvivesAnyCrash) {
  Cluster cluster(1);
  cluster.Elect(1);
  cluster.HoldDisk(1);
  cluster.Propose(1, "x");
  cluster.Propose(1, "y");
  cluster.FinishWrite(1);
  const Index committed = cluster[1].commit();

  cluster.Crash(1);
  cluster.Restart(1);

  EXPECT_GE(cluster[1].last().index, committed);
  EXPECT_EQ(cluster[1].commit(), Index{0});  // It cannot know before it leads again.
  cluster.ReleaseDisk(1);
  cluster.Elect(1);
  EXPECT_GE(cluster[1].commit(), committed);
}

TEST(RaftDisk, AFollowerOfASlowDiskStillFollows) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.HoldDisk(3);
  for (int i = 0; i < 20; ++i) cluster.Propose(1, "x");

  cluster.RunFor(10 * kTimeout);

  EXPECT_EQ(cluster.leader(), 1u);
  EXPECT_EQ(cluster[1].term(), Term{1});
  EXPECT_EQ(cluster[1].commit(), Index{21});
  cluster.ReleaseDisk(3);
  cluster.RunForMs(200);
  EXPECT_EQ(cluster[3].commit(), Index{21});
}

// etcd #15247: heartbeats do not wait for the disk, so a leader whose sync stalls goes on leading.
TEST(RaftDisk, ALeaderWhoseDiskStallsKeepsItsFollowersAndCommitsByTheirs) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.HoldDisk(1);
  cluster.Propose(1, "x");

  cluster.RunFor(10 * kTimeout);

  EXPECT_EQ(cluster.leader(), 1u);
  EXPECT_EQ(cluster[1].commit(), Index{2});
  EXPECT_EQ(cluster.host(1).disk().last(), At(1, 1));
}

// Figure 8 -----------------------------------------------------------------------------------

// (c) and (d): 2/2 is on three of five disks and yet is not committed, for it can be overwritten.
TEST(RaftFigure8, AnEntryOfAnOldTermOnAMajorityMayStillBeOverwritten) {
  Solo s1({.voters = 5, .hard = {Term{3}, kNoNode}, .log = LogOf({1, 2})});
  s1.Lead();
  ASSERT_EQ(s1.raft().term(), Term{4});

  s1.Ack(2, 2);
  s1.Ack(3, 2);
  EXPECT_EQ(s1.raft().commit(), Index{0});

  s1.StepAndSync(5, 5, Appends(At(1, 1), {EntryAt(3, 2), EntryAt(5, 3)}, 2));
  EXPECT_EQ(s1.raft().last(), At(5, 3));
  EXPECT_EQ(s1.raft().commit(), Index{2});
}

// (e): with an entry of term 4 on a majority too, both are committed and S5 cannot win.
TEST(RaftFigure8, AnEntryOfTheLeadersTermCommitsWhatIsBeforeIt) {
  Cluster::Setup setup{.voters = 5};
  setup.prior = [](uint64_t n, DiskImage* disk) {
    disk->entries = LogOf(n <= 2   ? std::vector<uint64_t>{1, 2}
                          : n == 5 ? std::vector<uint64_t>{1, 3}
                                   : std::vector<uint64_t>{1});
    disk->hard.term = Term{3};
  };
  Cluster cluster(std::move(setup));
  cluster.Isolate(5);
  cluster.Isolate(4);
  cluster.Elect(1);
  ASSERT_EQ(cluster[1].commit(), Index{3});

  cluster.Crash(1);
  cluster.Heal();
  cluster.Timeout(5);
  cluster.Settle();
  EXPECT_FALSE(cluster[5].is_leader());
  EXPECT_TRUE(cluster.Commits("x"));
  EXPECT_EQ(cluster[5].entry(Index{2}).id, At(2, 2));
}

// PreVote, stickiness, CheckQuorum -----------------------------------------------------------

TEST(RaftPreVote, ChangesNeitherTermNorVote) {
  Solo node({.hard = {Term{1}, kNoNode}});
  node.Timeout();
  EXPECT_EQ(node.raft().role(), Role::kPreCandidate);
  EXPECT_EQ(node.raft().term(), Term{1});

  const auto said = node.Step(2, 7, VoteRequest{.pre = true, .transfer = false, .last = At(0, 0)});

  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(said, 2)).granted);
  EXPECT_EQ(node.raft().term(), Term{1});
  EXPECT_EQ(node.host().writes_pending(), 0u);
  EXPECT_EQ(node.host().disk().hard, (HardState{Term{1}, kNoNode}));
}

TEST(RaftPreVote, ManyMayHaveTheSamePreVote) {
  Solo node(3);

  for (const uint64_t candidate : {2u, 3u}) {
    const auto said =
        node.Step(candidate, 1, VoteRequest{.pre = true, .transfer = false, .last = At(0, 0)});
    EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(said, candidate)).granted);
  }
}

TEST(RaftPreVote, ACutOffNodeComesBackWithoutUnseatingTheLeader) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(3);
  cluster.RunFor(20 * kTimeout);
  cluster.Propose(1, "x");
  cluster.Settle();

  cluster.Heal();
  cluster.RunFor(10 * kTimeout);

  EXPECT_EQ(cluster.leader(), 1u);
  EXPECT_EQ(cluster[1].term(), Term{1});
  EXPECT_EQ(cluster[3].term(), Term{1});
  EXPECT_EQ(cluster[3].commit(), Index{2});
}

// etcd #8243, canonical/raft #279: the node that was away has a term so old that nobody answers it,
// and it answers nobody.
TEST(RaftPreVote, ANodeOfAnOldTermIsOfUseWhenAnotherDies) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(3);
  for (const uint64_t next : {2u, 1u, 2u, 1u}) {
    ASSERT_TRUE(cluster.Transfer(3 - next, next));
    cluster.Settle();
  }
  ASSERT_EQ(cluster[1].term(), Term{5});

  cluster.Crash(2);
  cluster.Heal();

  EXPECT_TRUE(cluster.Commits("x", 10 * kTimeout));
}

// The same, when only the node of the old term can win: its log is the longer one.
TEST(RaftPreVote, ANodeOfAnOldTermWithTheBetterLogLearnsTheTermAndWins) {
  Cluster::Setup setup;
  setup.prior = [](uint64_t n, DiskImage* disk) {
    disk->entries = LogOf(n == 3 ? std::vector<uint64_t>{1, 1, 1} : std::vector<uint64_t>{1});
    disk->hard.term = Term{n == 3 ? 1u : 5u};
  };
  Cluster cluster(std::move(setup));
  cluster.Crash(2);

  EXPECT_TRUE(cluster.Commits("x", 20 * kTimeout));
  EXPECT_EQ(cluster.leader(), 3u);
  EXPECT_EQ(cluster[1].entry(Index{3}).id, At(1, 3));
}

// The other way about: a node whose term ran ahead while it was away must be able to come back.
TEST(RaftPreVote, ANodeOfANewerTermComesBackToTheGroup) {
  Cluster::Setup setup;
  setup.prior = [](uint64_t n, DiskImage* disk) { disk->hard.term = Term{n == 3 ? 9u : 0u}; };
  Cluster cluster(std::move(setup));
  cluster.Isolate(3);
  ASSERT_TRUE(cluster.Commits("x"));

  cluster.Heal();
  cluster.RunFor(20 * kTimeout);

  EXPECT_TRUE(cluster.Commits("y"));
  cluster.RunForMs(300);
  EXPECT_EQ(cluster[3].commit(), cluster[cluster.leader()].commit());
}

// hashicorp/raft #605: with one node down, the leader steps down for no reason that lasts. The
// other follower must not refuse it because it "has a leader": that one.
TEST(RaftPreVote, AnExLeaderAndItsFollowerElectAgain) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Crash(3);
  cluster.Cut(1, 2);
  cluster.Propose(1, "x");
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster[1].is_leader(); }, 3 * kTimeout));

  cluster.Heal();

  EXPECT_TRUE(cluster.Commits("y", 10 * kTimeout));
}

// canonical/raft #196: won the pre-vote, then lost the network. Its term must not run away.
TEST(RaftPreVote, ACandidateThatIsCutOffAfterItsPreVoteRaisesItsTermOnce) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Crash(1);
  cluster.Timeout(3);
  cluster.HoldDisk(3);
  cluster.Settle();  // The pre-vote is won; the vote is not on disk, so nothing has left.
  ASSERT_EQ(cluster[3].role(), Role::kCandidate);
  const Term term = cluster[3].term();
  cluster.Isolate(3);
  cluster.ReleaseDisk(3);

  cluster.RunFor(100 * kTimeout);

  EXPECT_LE(cluster[3].term().value, term.value + 1);
}

TEST(RaftStickiness, AVoterThatHearsItsLeaderRefusesAndKeepsItsTerm) {
  for (const bool pre : {false, true}) {
    Solo node(3);
    node.StepAndSync(2, 1, Probe(At(0, 0)));

    const auto said =
        node.StepAndSync(3, 9, VoteRequest{.pre = pre, .transfer = false, .last = At(9, 9)});

    EXPECT_EQ(node.raft().term(), Term{1});
    EXPECT_EQ(node.raft().leader(), NodeId{2});
    for (const Message& message : Only<VoteReply>(said)) {
      EXPECT_FALSE(std::get<VoteReply>(message.body).granted);
    }
  }
}

TEST(RaftStickiness, AVoterThatHasNotHeardItsLeaderForATimeoutVotes) {
  Options patient;  // Draws a timeout well above the minimum with some seed.
  for (patient.seed = 1; patient.seed < 50; ++patient.seed) {
    Solo node({.options = patient});
    node.StepAndSync(2, 1, Probe(At(0, 0)));
    node.Wait(kTimeout + 1000);
    if (node.raft().role() != Role::kFollower) continue;

    const auto said = node.StepAndSync(3, 2, StandsWith(At(0, 0)));

    EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(said, 3)).granted);
    return;
  }
  FAIL() << "no seed draws a timeout above the minimum";
}

TEST(RaftStickiness, DoesNotStandAgainstATransfer) {
  Solo node(3);
  node.StepAndSync(2, 1, Probe(At(0, 0)));

  const auto said =
      node.StepAndSync(3, 2, VoteRequest{.pre = false, .transfer = true, .last = At(0, 0)});

  EXPECT_TRUE(BodyOf<VoteReply>(Find<VoteReply>(said, 3)).granted);
}

TEST(RaftCheckQuorum, ALeaderThatHearsNoQuorumStepsDown) {
  Cluster cluster(5);
  cluster.Elect(1);
  for (const uint64_t gone : {3u, 4u, 5u}) cluster.Cut(1, gone);

  EXPECT_TRUE(cluster.RunUntil([&] { return !cluster[1].is_leader(); }, 3 * kTimeout));
  EXPECT_EQ(cluster[1].term(), Term{1});
}

TEST(RaftCheckQuorum, ALeaderThatHearsABareQuorumStays) {
  Cluster cluster(5);
  cluster.Elect(1);
  for (const uint64_t gone : {4u, 5u}) cluster.Crash(gone);

  cluster.RunFor(50 * kTimeout);

  EXPECT_EQ(cluster.leader(), 1u);
  EXPECT_EQ(cluster[1].term(), Term{1});
}

TEST(RaftCheckQuorum, ALeaderWhoseMessagesArriveButNoAnswersStepsDown) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.CutOneWay(2, 1);
  cluster.CutOneWay(3, 1);

  EXPECT_TRUE(cluster.Commits("x"));  // Else its heartbeats would keep everyone quiet for ever.
  EXPECT_NE(cluster.leader(), 1u);
}

// Partial partitions (trap 14) ---------------------------------------------------------------

class RaftPartialPartition : public ::testing::Test {
 protected:
  // Leaves only the links named, both ways.
  void LinksOnly(const std::set<std::pair<uint64_t, uint64_t>>& links) {
    for (uint64_t a = 1; a <= cluster_->size(); ++a) {
      for (uint64_t b = a + 1; b <= cluster_->size(); ++b) {
        if (!links.contains({a, b})) cluster_->Cut(a, b);
      }
    }
  }
  void Start(uint64_t voters, uint64_t leader) {
    cluster_.emplace(voters);
    cluster_->Elect(leader);
    cluster_->faults.delay_min = 500;
    cluster_->faults.delay_max = 5000;
  }
  // Work goes on, and in the long run without elections.
  void ExpectProgress(uint64_t elections_max) {
    EXPECT_TRUE(cluster_->Commits("first", 30 * kTimeout));
    const uint64_t term = (*cluster_)[cluster_->leader()].term().value;
    for (int i = 0; i < 20; ++i) {
      cluster_->RunFor(2 * kTimeout);
      EXPECT_TRUE(cluster_->Commits(Format("x%d", i), 10 * kTimeout));
    }
    EXPECT_LE((*cluster_)[cluster_->leader()].term().value, term + elections_max);
  }
  std::optional<Cluster> cluster_;
};

// Cloudflare, 2 November 2020: a switch fails halfway. Two nodes do not hear each other, the third
// hears both; the one without leader stood again and again and unseated the other.
TEST_F(RaftPartialPartition, TwoOfThreeCannotTalkAndTheLeaderStays) {
  Start(3, 1);
  LinksOnly({{1, 2}, {2, 3}});

  ExpectProgress(0);
  EXPECT_EQ(cluster_->leader(), 1u);
}

// Howard & Abraham, "Raft does not Guarantee Liveness in the face of Network Faults": only node 5
// is connected to a quorum, and the leader is another.
TEST_F(RaftPartialPartition, TheOnlyNodeWithAQuorumComesToLead) {
  Start(5, 4);
  LinksOnly({{1, 5}, {2, 5}, {3, 5}, {4, 5}});

  ExpectProgress(0);
  EXPECT_EQ(cluster_->leader(), 5u);
}

// The same post's second part: without CheckQuorum a leader that reaches one node keeps it, and
// with it the majority, from electing.
TEST_F(RaftPartialPartition, ALeaderThatReachesOneNodeOnlyDoesNotKeepTheMajorityHostage) {
  Start(5, 4);
  LinksOnly({{1, 2}, {1, 3}, {2, 3}, {3, 4}});

  ExpectProgress(0);
  EXPECT_NE(cluster_->leader(), 4u);
  EXPECT_NE(cluster_->leader(), 5u);
}

TEST_F(RaftPartialPartition, InAMajorityRingTheLeaderStays) {
  Start(5, 1);
  LinksOnly({{1, 2}, {2, 3}, {3, 4}, {4, 5}, {1, 5}});

  ExpectProgress(0);
}

TEST_F(RaftPartialPartition, OnABridgeTheLeaderStays) {
  Start(5, 1);
  LinksOnly({{1, 2}, {1, 3}, {2, 3}, {3, 4}, {3, 5}, {4, 5}});

  ExpectProgress(0);
}

TEST_F(RaftPartialPartition, AFollowerThatCannotHearItsLeaderDoesNotUnseatIt) {
  Start(3, 1);
  cluster_->CutOneWay(1, 3);

  ExpectProgress(0);
  EXPECT_EQ(cluster_->leader(), 1u);
}

TEST_F(RaftPartialPartition, AFollowerThatHearsButCannotSpeakDoesNoHarm) {
  Start(3, 1);
  cluster_->CutOneWay(3, 1);
  cluster_->CutOneWay(3, 2);

  ExpectProgress(0);
  EXPECT_EQ(cluster_->leader(), 1u);
}

TEST_F(RaftPartialPartition, OneWayLinksInARowLetALeaderBeFound) {
  Start(5, 1);
  cluster_->CutOneWay(2, 1);
  cluster_->CutOneWay(3, 1);
  cluster_->CutOneWay(4, 1);

  ExpectProgress(1);
}

}  // namespace
}  // namespace lockstep::raft::testing
