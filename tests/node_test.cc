// Whole nodes through their one interface: what a client sees of the cluster.
#include "tests/node_fixture.h"

#include <algorithm>

#include "cluster/raft/raft.h"
#include "commands/replica.h"

namespace lockstep {
namespace {

using NodeTest = NodeFixture;

TEST_F(NodeTest, ALoneNodeIsACluster) {
  Form(1);
  EXPECT_EQ(cluster().Ask(k1, "LOCK.ACQUIRE jobs alice").front(), ':');
}

TEST_F(NodeTest, AClusterFormsOnlyWhenAllItsNodesAreThere) {
  cluster_ = std::make_unique<NodeCluster>(3);
  cluster().Start(k1);
  cluster().Start(k2);
  cluster().Run(3000);
  EXPECT_TRUE(StartsWith(cluster().Ask(k1, "LOCK.ACQUIRE jobs alice"), "-CLUSTERDOWN"));
  EXPECT_TRUE(Has(cluster().Ask(k1, "CLUSTER STATUS"), "node 3 at host-3:17003"));

  cluster().Start(k3);

  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs alice").front(), ':');
}

TEST_F(NodeTest, EveryNodeAnswersForTheOneTable) {
  Form(3);
  const Bytes token = cluster().Ask(k1, "LOCK.ACQUIRE jobs alice");
  ASSERT_EQ(token.front(), ':');
  for (const NodeId node : {k1, k2, k3}) {
    EXPECT_EQ(cluster().Ask(node, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");
    EXPECT_EQ(cluster().Ask(node, "LOCK.CHECK jobs " + token.substr(1, token.size() - 3)),
              ":1\r\n");
  }
}

TEST_F(NodeTest, AGrantSurvivesTheDeathOfTheLeader) {
  Form(3);
  const Bytes token = cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice");
  cluster().Kill(leader_);
  // Asked at once: the request waits for the election instead of failing.
  const Bytes info = cluster().Ask(follower_, "LOCK.INFO jobs");
  EXPECT_TRUE(Has(info, "alice"));
  EXPECT_TRUE(Has(info, token));
}

TEST_F(NodeTest, AGrantSurvivesTheRestartOfAllNodes) {
  Form(3);
  const Bytes token = cluster().Ask(k1, "LOCK.ACQUIRE jobs alice TTL 3600000");
  for (const NodeId node : {k1, k2, k3}) cluster().Kill(node);
  cluster().StartAll();
  cluster().AwaitLeader();
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs alice TTL 3600000"), token);
}

TEST_F(NodeTest, AnAnswerThatWasLostIsGivenAgainAndNothingHappensTwice) {
  Form(3);
  bool lost = false;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    // The answer, and all that would let the follower find it in its own log.
    const bool hide = !lost && header.type == bus::MessageType::kAnswer;
    lost |= hide;
    return hide;
  });
  const ClientId client = cluster().Connect(follower_);
  const Bytes first = cluster().Ask(client, "LOCK.ACQUIRE jobs alice");
  ASSERT_EQ(first.front(), ':');
  EXPECT_TRUE(lost);
  EXPECT_EQ(cluster().Ask(client, "LOCK.RELEASE jobs alice"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(client, "LOCK.RELEASE jobs alice"), ":0\r\n");
}

TEST_F(NodeTest, ARequestThatWasLostOnTheWayIsSentAgainInOrder) {
  Form(3);
  int lost = 0;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    return header.type == bus::MessageType::kForward && lost++ == 0;
  });
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "LOCK.ACQUIRE a x");
  cluster().Run(5);
  cluster().Send(client, "LOCK.RELEASE a x\r\nLOCK.ACQUIRE a y");
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode && lost > 1; }));
  cluster().Run(3000);
  const Bytes replies = cluster().Take(client);
  // Not: release before acquire, which would answer 0 and leave x the holder.
  EXPECT_TRUE(Has(replies, "\r\n:1\r\n:")) << replies;
  EXPECT_TRUE(Has(cluster().Ask(leader_, "LOCK.INFO a"), "\r\ny\r\n"));
}

TEST_F(NodeTest, WithoutAMajorityARequestIsRefusedAndLaterNodesGoOn) {
  Form(3);
  const NodeId second = cluster().OtherThan(leader_, follower_);
  cluster().Kill(leader_);
  cluster().Kill(second);
  cluster().Run(4000);  // Until it has given up both.
  const Bytes refused = cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice");
  EXPECT_TRUE(StartsWith(refused, "-CLUSTERDOWN ")) << refused;
  EXPECT_TRUE(Has(refused, "nothing was changed"));
  EXPECT_TRUE(StartsWith(cluster().Ask(follower_, "LOCK.INFO jobs"), "-CLUSTERDOWN"));

  cluster().Start(second);

  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  EXPECT_EQ(cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice").front(), ':');
}

TEST_F(NodeTest, WhatWasNeverSentIsNotUncertain) {
  Form(3);
  const NodeId second = cluster().OtherThan(leader_, follower_);
  cluster().Kill(leader_);
  cluster().Kill(second);
  // At once: this node still believes in the leader, but its link to it is broken.
  EXPECT_TRUE(StartsWith(cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice"), "-CLUSTERDOWN "));
}

TEST_F(NodeTest, WhatEnteredALogThatNobodyReadsIsUncertain) {
  Form(3);
  cluster().CutOff(leader_);
  const ClientId client = cluster().Connect(leader_);
  const Bytes reply = cluster().Ask(client, "LOCK.ACQUIRE jobs alice");
  EXPECT_TRUE(StartsWith(reply, "-UNCERTAIN ")) << reply;
}

// Trap 33: what another leader has put in its place answers for nobody else.
TEST_F(NodeTest, ARequestWhoseEntryWasReplacedIsNotAnsweredByWhatStandsThere) {
  Form(3, "uncertain-after-ms 60000\n");
  const ClientId client = cluster().Connect(leader_);
  cluster().CutOff(leader_);
  cluster().Send(client, "LOCK.ACQUIRE jobs old TTL 600000");
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode &&
                                              cluster().Leader() != leader_; }));
  ASSERT_EQ(cluster().Ask(follower_, "LOCK.ACQUIRE jobs new TTL 600000").front(), ':');
  ASSERT_EQ(cluster().Take(client), "");
  cluster().Heal();

  Bytes reply;
  ASSERT_TRUE(cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }));
  EXPECT_EQ(reply, "$-1\r\n");  // Asked again under the new leader.
}

// A leader that hears its followers but sees nothing on their disks fills up. What it then refuses
// must be what it did not log, however often requests are sent again.
TEST_F(NodeTest, WhatIsRefusedBecauseTheLeaderIsFullDidNotHappen) {
  for (const bool at_leader : {true, false}) {
    Form(3, "raft-uncommitted-bytes 1mb\nuncertain-after-ms 60000\n");
    const NodeId node = at_leader ? leader_ : follower_;
    const ClientId client = cluster().Connect(node);
    for (const NodeId id : {k1, k2, k3}) {
      if (id != leader_) cluster().StopDisk(id, true);
    }
    constexpr int kLocks = 400;
    for (int i = 0; i < kLocks; ++i) {
      cluster().Send(client, Format("LOCK.ACQUIRE full/%d me META ", i) + Bytes(4000, 'm'));
    }
    cluster().Run(3000);  // Long enough for what is not answered to be sent again.
    for (const NodeId id : {k1, k2, k3}) cluster().StopDisk(id, false);
    Bytes replies;
    cluster().RunUntil([&] {
      replies += cluster().Take(client);
      return std::count(replies.begin(), replies.end(), '\n') == kLocks;
    });
    ASSERT_EQ(std::count(replies.begin(), replies.end(), '\n'), kLocks);

    int refused = 0;
    size_t at = 0;
    for (int i = 0; i < kLocks; ++i) {
      const bool taken = replies[at] == ':';
      const BytesView reply = BytesView(replies).substr(at, 9);
      at = replies.find('\n', at) + 1;
      EXPECT_TRUE(taken || reply == "-TRYAGAIN") << reply;
      refused += taken ? 0 : 1;
      const Bytes info = cluster().Ask(leader_, Format("LOCK.INFO full/%d", i));
      EXPECT_EQ(Has(info, "LOCKED"), taken) << "full/" << i << " at the leader: " << at_leader;
    }
    EXPECT_GT(refused, 50);
    EXPECT_LT(refused, kLocks - 50);
  }
}

// Nobody speaks, and the leader's pulse was in a log that another leader has cut.
TEST_F(NodeTest, ALeaseEndsInAnIdleGroupThoughAnEarlierPulseWasLost) {
  Form(3, "uncertain-after-ms 200\n");  // Given up before the cut ends, so never sent again.
  EXPECT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE x me TTL 3000").front(), ':');
  const NodeId first = leader_;
  cluster().Run(2600);
  // Writes that only the cut-off leader has, and a pulse behind them.
  const ClientId client = cluster().Connect(first);
  cluster().CutOff(first);
  for (int i = 0; i < 200; ++i) cluster().Send(client, Format("LOCK.ACQUIRE lost/%d me", i));
  cluster().Run(3000);
  cluster().Heal();
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  const Bytes order = Format("CLUSTER LEADER locks %lu", first.value);
  cluster().RunUntil([&] {
    if (cluster().Leader() == first) return true;
    cluster().Ask(cluster().Leader() == kNoNode ? first : cluster().Leader(), order);
    return false;
  });
  ASSERT_EQ(cluster().Leader(), first);
  EXPECT_EQ(cluster().Ask(first, "LOCK.ACQUIRE y me TTL 1000").front(), ':');
  EXPECT_TRUE(cluster().RunUntil([&] {
    return cluster().node(first)->replica(kLocksGroup)->NextDeadline() == kNeverCluster;
  })) << "the lease is never ended";
}

TEST_F(NodeTest, AnIsolatedLeaderDoesNotAnswerReads) {
  Form(3);
  cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice TTL 600000");
  const ClientId reader = cluster().Connect(leader_);
  cluster().CutOff(leader_);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode &&
                                              cluster().Leader() != leader_; }));
  ASSERT_EQ(cluster().Ask(follower_, "LOCK.RELEASE jobs alice"), ":1\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(reader, "LOCK.INFO jobs"), "-CLUSTERDOWN"));
}

// Trap 37: the leader's clock says that the lease is over; its entry says so once it is committed.
TEST_F(NodeTest, ALeaseIsEndedByAnEntryAndByNoClock) {
  Form(3);
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE jobs alice TTL 300").front(), ':');
  cluster().CutOff(leader_);
  const raft::Raft& raft = *cluster().node(leader_)->group(kLocksGroup);
  const Replica& replica = *cluster().node(leader_)->replica(kLocksGroup);
  ASSERT_TRUE(cluster().RunUntil([&] {
    return raft.time(cluster().now()) >= replica.NextDeadline() + 100;
  }));
  ASSERT_TRUE(raft.is_leader());

  EXPECT_NE(replica.NextDeadline(), kNeverCluster) << "ended by a leader that cannot commit";
  cluster().Heal();
  EXPECT_TRUE(cluster().RunUntil([&] { return replica.NextDeadline() == kNeverCluster; }));
}

TEST_F(NodeTest, ALeaseEndsByClusterTimeAndTheNextInLineIsServed) {
  Form(3);
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice TTL 500");
  const ClientId bob = cluster().Connect(k2);
  const MonoTime asked = cluster().now();
  const Bytes token = cluster().Ask(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  EXPECT_EQ(token.front(), ':');
  EXPECT_GE(cluster().now() - asked, 480 * kUsPerMs);
  EXPECT_LE(cluster().now() - asked, 600 * kUsPerMs);
}

TEST_F(NodeTest, AWaitEndsInTimeWithNil) {
  Form(3);
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice");
  const MonoTime asked = cluster().now();
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs bob BLOCK 300"), "$-1\r\n");
  EXPECT_GE(cluster().now() - asked, 300 * kUsPerMs);
  EXPECT_LE(cluster().now() - asked, 400 * kUsPerMs);
}

TEST_F(NodeTest, WhatIsBoundToADeadNodeEndsAfterTheNodeTimeout) {
  Form(3, "node-timeout 2000\n");
  const ClientId alice = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(alice, "LOCK.ACQUIRE jobs alice BIND TTL 600000").front(), ':');
  cluster().Kill(follower_);
  const ClientId bob = cluster().Connect(leader_);
  const MonoTime asked = cluster().now();
  EXPECT_EQ(cluster().Ask(bob, "LOCK.ACQUIRE jobs bob BLOCK 0").front(), ':');
  EXPECT_LE(cluster().now() - asked, 2500 * kUsPerMs);
}

TEST_F(NodeTest, WaitsOfADeadNodeEndWhenItIsBack) {
  Form(3, "node-timeout 60000\n");
  cluster().Ask(leader_, "LOCK.ACQUIRE jobs alice");
  const ClientId bob = cluster().Connect(follower_);
  cluster().Send(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  cluster().Run(50);
  ASSERT_TRUE(Has(cluster().Ask(leader_, "LOCK.INFO jobs"), "bob"));
  cluster().Kill(follower_);
  cluster().Start(follower_);
  cluster().Run(1000);
  EXPECT_FALSE(Has(cluster().Ask(leader_, "LOCK.INFO jobs"), "bob"));
}

TEST_F(NodeTest, ANodeWithAnEmptiedDiskIsBroughtUpToDateAndVotesAgain) {
  Form(3);
  const Bytes token = cluster().Ask(leader_, "LOCK.ACQUIRE jobs alice TTL 3600000");
  cluster().Kill(follower_);
  cluster().EmptyDisk(follower_);
  cluster().Start(follower_);
  const auto votes = [&] {
    const raft::Raft* raft = cluster().node(follower_)->group(kLocksGroup);
    return raft != nullptr && raft->config().IsVoter(follower_) && !raft->config().joint() &&
           raft->config().DiskOf(follower_) == cluster().node(follower_)->identity().disk;
  };
  ASSERT_TRUE(cluster().RunUntil(votes, 20'000));

  // Now it counts: with it, the cluster survives the loss of another node.
  const NodeId third = cluster().OtherThan(leader_, follower_);
  cluster().Kill(leader_);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode &&
                                              cluster().Leader() != leader_; }));
  EXPECT_EQ(cluster().Ask(third, "LOCK.ACQUIRE jobs alice TTL 3600000"), token);
  EXPECT_EQ(cluster().Ask(follower_, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");
}

TEST_F(NodeTest, RequestsOfANodeWithAnEmptiedDiskAreNotTakenForOldOnes) {
  Form(3);
  const ClientId before = cluster().Connect(follower_);
  for (int i = 0; i < 5; ++i) cluster().Ask(before, Format("LOCK.ACQUIRE old-%d alice", i));
  cluster().Kill(follower_);
  cluster().EmptyDisk(follower_);
  cluster().Start(follower_);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode; }, 20'000));
  cluster().Run(2000);
  const ClientId after = cluster().Connect(follower_);
  EXPECT_EQ(cluster().Ask(after, "LOCK.RELEASE old-0 alice"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(after, "LOCK.RELEASE old-0 alice"), ":0\r\n");
}

TEST_F(NodeTest, ANodeCanBeAddedAndTakenAway) {
  cluster_ = std::make_unique<NodeCluster>(4, "", 3);
  for (const NodeId node : {k1, k2, k3}) cluster().Start(node);
  leader_ = cluster().AwaitLeader();
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice TTL 3600000");
  cluster().Start(k4);
  EXPECT_EQ(cluster().Ask(k1, "CLUSTER ADD 4 host-4:17004"), "+OK\r\n");
  const auto is_voter = [&](NodeId node) {
    const raft::Raft* raft = cluster().node(k1)->group(kLocksGroup);
    return raft->config().IsVoter(node) && !raft->config().joint();
  };
  ASSERT_TRUE(cluster().RunUntil([&] { return is_voter(k4); }, 20'000));
  EXPECT_EQ(cluster().Ask(k4, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");

  EXPECT_EQ(cluster().Ask(k1, "CLUSTER REMOVE 4"), "+OK\r\n");
  ASSERT_TRUE(cluster().RunUntil([&] { return !is_voter(k4); }, 20'000));
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(k1, "CLUSTER ADD 4 host-4:17004"), "-ERR"));
}

TEST_F(NodeTest, LeadershipGoesWhereItIsAskedToGo) {
  Form(3);
  EXPECT_EQ(cluster().Ask(follower_, Format("CLUSTER LEADER locks %lu", follower_.value)),
            "+OK\r\n");
  EXPECT_TRUE(cluster().RunUntil([&] { return cluster().Leader() == follower_; }));
}

TEST_F(NodeTest, ATerminatedLeaderHandsOverAndLeaves) {
  Form(3);
  cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice");
  cluster().node(leader_)->Step(cluster().now(), Terminate{});
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != leader_ &&
                                              cluster().Leader() != kNoNode; }, 2000));
}

TEST_F(NodeTest, SnapshotsKeepWaitsAndTokensForANodeThatWasAway) {
  Form(3, "raft-snapshot-entries 100\nraft-log-max-bytes 1mb\n");
  const NodeId away = follower_;
  cluster().Kill(away);
  const ClientId client = cluster().Connect(leader_);
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(cluster().Ask(client, Format("LOCK.ACQUIRE l%d alice TTL 3600000", i)).front(), ':');
  }
  const ClientId waiting = cluster().Connect(leader_);
  cluster().Send(waiting, "LOCK.ACQUIRE l7 bob BLOCK 0");
  cluster().Run(50);
  cluster().Start(away);
  ASSERT_TRUE(cluster().RunUntil([&] {
    const Replica* here = cluster().node(leader_)->replica(kLocksGroup);
    const Replica* there = cluster().node(away)->replica(kLocksGroup);
    return there != nullptr && there->Hash() == here->Hash();
  }, 20'000));
  EXPECT_TRUE(Has(cluster().Ask(away, "LOCK.INFO l7"), "bob"));
}

// A gateway tells what it needs no more; the answers may be many while one client waits.
TEST_F(NodeTest, OneLongWaitDoesNotMakeAnswersBeRememberedWhereClientsAlsoRead) {
  Form(3);
  const ClientId waiting = cluster().Connect(follower_);
  const ClientId client = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(client, "LOCK.ACQUIRE jobs alice").front(), ':');
  cluster().Send(waiting, "LOCK.ACQUIRE jobs bob BLOCK 0");
  cluster().Run(50);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(cluster().Ask(client, "LOCK.RENEW jobs alice TTL 30000"), ":1\r\n");
    ASSERT_EQ(cluster().Ask(client, "LOCK.INFO jobs").front(), '*');
  }
  EXPECT_LE(cluster().node(leader_)->replica(kLocksGroup)->remembered(), 10U);
}

}  // namespace
}  // namespace lockstep
