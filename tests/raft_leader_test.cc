// A Raft leader at work: reads, transfer of leadership, bounds on what it keeps, cluster time, long
// pauses. Traps named after the system that met them.
#include <gtest/gtest.h>

#include "tests/raft_solo.h"

namespace lockstep::raft::testing {
namespace {

constexpr int64_t kTimeout = Options{}.election_timeout_us;
constexpr int64_t kHeartbeat = Options{}.heartbeat_us;

// Reads (ReadIndex, thesis §6.4) -------------------------------------------------------------

// The position of the read round that `said` asks follower `to` to confirm.
uint64_t PositionIn(const std::vector<Message>& said, uint64_t to) {
  uint64_t position = 0;
  for (const Message& message : Only<HeartbeatRequest>(said)) {
    if (message.to != NodeId{to}) continue;
    position = std::max(position, std::get<HeartbeatRequest>(message.body).read_position);
  }
  return position;
}

TEST(RaftRead, OnlyALeaderReads) {
  Cluster cluster(3);
  cluster.Elect(1);

  EXPECT_EQ(cluster.Read(2), 0u);
  EXPECT_NE(cluster.Read(1), 0u);
}

TEST(RaftRead, IsConfirmedByAQuorumAtTheCommitIndexItCameAt) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Propose(1, "x");
  cluster.Settle();
  cluster.Crash(3);

  const uint64_t position = cluster.Read(1);
  EXPECT_EQ(cluster.host(1).Confirmed(position), std::nullopt);
  cluster.Settle();

  EXPECT_EQ(cluster.host(1).Confirmed(position), Index{2});
}

TEST(RaftRead, ALoneNodeConfirmsItsReadsItself) {
  Cluster cluster(1);
  cluster.Elect(1);

  const uint64_t position = cluster.Read(1);
  cluster.Settle();

  EXPECT_EQ(cluster.host(1).Confirmed(position), Index{1});
}

// etcd #7331: a new leader may not know yet what its predecessor committed.
TEST(RaftRead, WaitsForTheFirstCommitOfTheLeadersTerm) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Propose(1, "x");
  cluster.Hold([](const Message& message) {
    return std::holds_alternative<HeartbeatRequest>(message.body);
  });
  cluster.Settle();
  cluster.Crash(1);  // Node 2 has "x", and has not heard that it is committed.
  cluster.LoseAll();
  cluster.Hold(
      [](const Message& message) { return std::holds_alternative<AppendReply>(message.body); });
  cluster.Elect(2);

  const uint64_t position = cluster.Read(2);
  cluster.Settle();
  EXPECT_EQ(cluster.host(2).Confirmed(position), std::nullopt);
  EXPECT_EQ(cluster.host(2).reads_waiting(), 1u);
  cluster.Release();
  cluster.RunFor(2 * kHeartbeat);

  EXPECT_GE(cluster.host(2).Confirmed(position).value_or(Index{0}), Index{3});
}

TEST(RaftRead, AnEarlierRoundDoesNotConfirmALaterRead) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);
  const uint64_t first = node.host().Read(node.now(), Index{1});
  const uint64_t asked_first = PositionIn(node.Drain(), 2);
  const uint64_t second = node.host().Read(node.now(), Index{1});
  const uint64_t asked_second = PositionIn(node.Drain(), 2);
  ASSERT_GT(asked_second, asked_first);

  node.Step(2, 1, HeartbeatReply{asked_first});
  EXPECT_EQ(node.host().Confirmed(first), Index{1});
  EXPECT_EQ(node.host().Confirmed(second), std::nullopt);

  // Late and repeated answers (etcd #20418) prove nothing new.
  for (int i = 0; i < 3; ++i) node.Step(3, 1, HeartbeatReply{asked_first});
  EXPECT_EQ(node.host().Confirmed(second), std::nullopt);
  node.Step(3, 1, HeartbeatReply{asked_second});
  EXPECT_EQ(node.host().Confirmed(second), Index{1});
}

TEST(RaftRead, TheAnswerToAHeartbeatSentBeforeItCameDoesNotConfirmIt) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);
  const uint64_t before = PositionIn(node.Wait(kHeartbeat), 2);

  const uint64_t position = node.host().Read(node.now(), Index{1});
  node.Drain();
  node.Step(2, 1, HeartbeatReply{before});
  node.Step(3, 1, HeartbeatReply{before});

  EXPECT_EQ(node.host().Confirmed(position), std::nullopt);
}

TEST(RaftRead, OneFollowerThatAnswersTwiceIsOneFollower) {
  Solo node(5);
  node.Lead();
  node.Ack(2, 1);
  node.Ack(3, 1);
  const uint64_t position = node.host().Read(node.now(), Index{1});
  const uint64_t asked = PositionIn(node.Drain(), 2);

  for (int i = 0; i < 4; ++i) node.Step(2, 1, HeartbeatReply{asked});
  EXPECT_EQ(node.host().Confirmed(position), std::nullopt);
  node.Step(3, 1, HeartbeatReply{asked});

  EXPECT_EQ(node.host().Confirmed(position), Index{1});
}

TEST(RaftRead, TheAnswerOfALearnerDoesNotCount) {
  Solo node({.voters = 3, .learners = 2});
  node.Lead();
  node.Ack(2, 1);
  const uint64_t position = node.host().Read(node.now(), Index{1});
  const uint64_t asked = PositionIn(node.Drain(), 2);

  node.Step(4, 1, HeartbeatReply{asked});
  node.Step(5, 1, HeartbeatReply{asked});

  EXPECT_EQ(node.host().Confirmed(position), std::nullopt);
}

TEST(RaftRead, AnAnswerFromAnEarlierTermDoesNotConfirm) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);
  for (int i = 0; i < 5; ++i) {
    node.host().Read(node.now(), Index{1});
    node.Drain();
  }
  node.StepAndSync(2, 2, Probe(At(1, 1), 1));
  ASSERT_FALSE(node.raft().is_leader());
  EXPECT_EQ(node.host().reads_waiting(), 0u);  // All void.
  node.Wait(2 * kTimeout);
  node.Lead();
  ASSERT_GE(node.raft().term(), Term{3});
  node.Ack(2, 2);
  ASSERT_EQ(node.raft().commit(), Index{2});

  const uint64_t position = node.host().Read(node.now(), Index{2});
  const uint64_t asked = PositionIn(node.Drain(), 2);
  for (uint64_t old = 1; old <= asked + 5; ++old) node.Step(2, 1, HeartbeatReply{old});

  EXPECT_EQ(node.host().Confirmed(position), std::nullopt);
}

TEST(RaftRead, ARoundThatWasLostIsAskedAgain) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(1);
  const uint64_t position = cluster.Read(1);
  cluster.Settle();
  cluster.Heal();

  cluster.RunFor(2 * kHeartbeat);

  EXPECT_EQ(cluster.host(1).Confirmed(position), Index{1});
}

TEST(RaftRead, ReadsOfOneTurnShareARound) {
  Solo node(3);
  node.Lead();
  node.Ack(2, 1);

  for (int i = 0; i < 100; ++i) node.host().Read(node.now(), Index{1});
  const auto said = Only<HeartbeatRequest>(node.Drain());

  EXPECT_EQ(said.size(), 2u);
}

TEST(RaftRead, ADeposedLeadersReadsAreLost) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(1);
  const uint64_t position = cluster.Read(1);
  cluster.Elect(2);
  cluster.Propose(2, "x");
  cluster.Settle();
  EXPECT_EQ(cluster.host(1).Confirmed(position), std::nullopt);

  cluster.Heal();
  cluster.RunFor(4 * kTimeout);

  EXPECT_FALSE(cluster[1].is_leader());
  EXPECT_EQ(cluster.host(1).Confirmed(position), std::nullopt);
  EXPECT_EQ(cluster.host(1).reads_waiting(), 0u);
}

TEST(RaftRead, ALeaderThatStepsDownForWantOfAQuorumVoidsItsReads) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(1);
  cluster.Read(1);

  cluster.RunFor(4 * kTimeout);

  EXPECT_EQ(cluster.host(1).reads_waiting(), 0u);
}

// Answers that were under way when the process was paused come in first when it goes on.
TEST(RaftRead, APausedLeadersOldAnswersConfirmNothing) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.faults.delay_min = cluster.faults.delay_max = 20'000;
  cluster.Read(1);
  cluster.RunForMs(30);  // The answers to this round are on their way to node 1.
  cluster.Pause(1);
  cluster.RunFor(5 * kTimeout);
  ASSERT_TRUE(cluster.Commits("x"));
  ASSERT_NE(cluster.leader(), 1u);

  cluster.Resume(1);
  const uint64_t stale = cluster.Read(1);  // The check against stale reads is in Host.
  cluster.RunFor(5 * kTimeout);

  EXPECT_EQ(cluster.host(1).Confirmed(stale), std::nullopt);
}

// Leadership transfer ------------------------------------------------------------------------

TEST(RaftTransfer, TheTargetLeadsAtOnceAndNothingIsLost) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Propose(1, "x");

  EXPECT_TRUE(cluster.Transfer(1, 2));
  cluster.Settle();

  EXPECT_EQ(cluster.leader(), 2u);
  EXPECT_EQ(cluster[2].term(), Term{2});
  EXPECT_EQ(cluster[1].leader(), NodeId{2});
  EXPECT_TRUE(cluster.Commits("y"));
}

TEST(RaftTransfer, ATargetThatIsBehindCatchesUpFirst) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(3);
  for (int i = 0; i < 10; ++i) cluster.Propose(1, "x");
  cluster.Settle();
  cluster.Heal();

  EXPECT_TRUE(cluster.Transfer(1, 3));
  EXPECT_EQ(cluster[1].transfer_target(), NodeId{3});
  cluster.RunForMs(400);

  EXPECT_EQ(cluster.leader(), 3u);
  EXPECT_EQ(cluster[3].elections(), 1u);
}

TEST(RaftTransfer, MeanwhileProposalsAreRefusedAndAfterATimeoutTakenAgain) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(3);

  EXPECT_TRUE(cluster.Transfer(1, 3));
  EXPECT_EQ(cluster.Propose(1, "x").refusal, Raft::Refusal::kTransferring);
  cluster.RunFor(2 * kTimeout);

  EXPECT_EQ(cluster[1].transfer_target(), kNoNode);
  EXPECT_EQ(cluster.Propose(1, "y").refusal, Raft::Refusal::kNone);
  EXPECT_FALSE(cluster.ledger().HasCommitted("x"));
}

// hashicorp/raft #696: the flag outlived the leadership, and the leader of another day refused all.
TEST(RaftTransfer, ALeaderElectedAgainHasForgottenItsOldTransfer) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Isolate(3);
  EXPECT_TRUE(cluster.Transfer(1, 3));
  cluster.Heal();
  cluster.LoseAll();
  cluster.Isolate(1);
  cluster.Elect(2);
  cluster.Heal();
  cluster.RunForMs(200);
  ASSERT_EQ(cluster[1].role(), Role::kFollower);

  cluster.Elect(1);

  EXPECT_EQ(cluster[1].transfer_target(), kNoNode);
  EXPECT_EQ(cluster.Propose(1, "x").refusal, Raft::Refusal::kNone);
  cluster.Settle();
  EXPECT_TRUE(cluster.ledger().HasCommitted("x"));
}

TEST(RaftTransfer, OnlyALeaderTransfersAndOnlyToAVoter) {
  Cluster cluster(Cluster::Setup{.voters = 3, .learners = 1});
  cluster.Elect(1);

  EXPECT_FALSE(cluster.Transfer(2, 3));
  EXPECT_FALSE(cluster.Transfer(1, 4));
  EXPECT_FALSE(cluster.Transfer(1, 9));
  EXPECT_EQ(cluster.Propose(1, "x").refusal, Raft::Refusal::kNone);
}

TEST(RaftTransfer, ACallToStandFromAnOldTermIsIgnored) {
  Solo node({.hard = {Term{5}, kNoNode}});

  node.StepAndSync(2, 3, TimeoutNow{});

  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().term(), Term{5});
}

TEST(RaftTransfer, ALearnerDoesNotHeedTheCallToStand) {
  Solo node({.voters = 3, .learners = 1, .self = 4});
  node.StepAndSync(1, 1, Probe(At(0, 0)));

  node.StepAndSync(1, 1, TimeoutNow{});

  EXPECT_EQ(node.raft().role(), Role::kFollower);
  EXPECT_EQ(node.raft().term(), Term{1});
}

// Bounds -------------------------------------------------------------------------------------

// etcd, TestRawNodeBoundedLogGrowthWithPartition: a leader without a quorum is flooded.
TEST(RaftBounds, ALeaderWithoutAQuorumRefusesWhatItCannotKeep) {
  Cluster::Setup setup;
  setup.options.uncommitted_bytes_max = 10'000;
  Cluster cluster(std::move(setup));
  cluster.Elect(1);
  cluster.Isolate(1);

  int taken = 0;
  while (cluster.Propose(1, Bytes(100, 'x')).refusal == Raft::Refusal::kNone) ++taken;

  EXPECT_EQ(cluster.Propose(1, Bytes(100, 'x')).refusal, Raft::Refusal::kFull);
  EXPECT_GE(taken, 50);
  EXPECT_LE(taken, 101);
  cluster.Heal();
  EXPECT_TRUE(cluster.Commits("after", 3 * kTimeout) || cluster.Commits("again"));
}

// The others commit without it: what it holds for its own disk has a bound all the same.
TEST(RaftBounds, ALeaderWhoseDiskStandsStillRefusesWhatItCannotKeep) {
  Options options;
  options.uncommitted_bytes_max = 10'000;
  Solo node({.options = options});
  node.Lead();
  int taken = 0;
  while (node.raft().Propose(node.now(), EntryKind::kOp, Bytes(100, 'x')).refusal ==
         Raft::Refusal::kNone) {
    ASSERT_LE(++taken, 101);
    node.Drain();
    const uint64_t last = node.raft().last().index.value;
    node.Ack(2, last);
    node.Ack(3, last);
    EXPECT_EQ(node.raft().commit().value, last);
  }
  EXPECT_GE(taken, 50);
  node.Sync();
  EXPECT_EQ(node.raft().Propose(node.now(), EntryKind::kOp, "x").refusal, Raft::Refusal::kNone);
}

TEST(RaftBounds, WhatIsCommittedMakesRoom) {
  Cluster::Setup setup;
  setup.options.uncommitted_bytes_max = 1000;
  Cluster cluster(std::move(setup));
  cluster.Elect(1);

  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(cluster.Propose(1, Bytes(100, 'x')).refusal, Raft::Refusal::kNone);
    cluster.Settle();
  }
}

// Flow control -------------------------------------------------------------------------------

TEST(RaftReplication, ACommitRidesOnTheNextEntriesOrIsToldWhenItsTimeIsUp) {
  Options options;
  options.commit_notice_us = 1000;
  Solo node({.options = options});
  node.Lead();
  EXPECT_TRUE(Only<AppendRequest>(node.Ack(2, 1)).empty());
  EXPECT_EQ(node.raft().commit(), Index{1});
  node.Ack(3, 1);
  const std::vector<Message> entries = node.Propose("a");
  for (const uint64_t peer : {2U, 3U}) {
    EXPECT_EQ(BodyOf<AppendRequest>(Find<AppendRequest>(entries, peer)).commit, Index{1});
  }
  node.Sync();
  EXPECT_TRUE(Only<AppendRequest>(node.Ack(2, 2)).empty());
  node.Ack(3, 2);
  EXPECT_LE(node.raft().NextTick() - node.now(), 1000);
  const std::vector<Message> notices = node.Wait(1000);
  for (const uint64_t peer : {2U, 3U}) {
    EXPECT_EQ(BodyOf<AppendRequest>(Find<AppendRequest>(notices, peer)).commit, Index{2});
  }
  EXPECT_TRUE(Only<AppendRequest>(node.Wait(20'000)).empty());
}

// Nobody is waited for who cannot be told now, or the leader would never sleep.
TEST(RaftReplication, ACommitThatADeadFollowerWasNotToldOfKeepsNobodyAwake) {
  Options options;
  options.commit_notice_us = 1000;
  Solo node({.options = options});
  node.Lead();
  node.Ack(2, 1);
  node.Ack(3, 1);
  node.Propose("a");
  node.Sync();
  node.Ack(2, 2);
  node.raft().Unreachable(NodeId{3});
  node.Wait(1000);
  EXPECT_GT(node.raft().NextTick(), node.now());
}

// A large batch does not wait for one round trip per message, nor fly without bound.
TEST(RaftReplication, TheWindowBoundsWhatIsInFlight) {
  Options options;
  options.window_entries_max = 8;
  Solo node({.options = options});
  node.Lead();
  node.Ack(2, 1);
  node.Ack(3, 1);

  size_t flying = 0;
  for (int i = 0; i < 50; ++i) {
    for (const Message& message : Only<AppendRequest>(node.Propose("x"))) {
      if (message.to == NodeId{2}) flying += std::get<AppendRequest>(message.body).entries.size();
    }
  }
  EXPECT_GE(flying, 2u);  // Pipelined: not one at a time,
  EXPECT_LE(flying, 8u);  // and bounded.
  node.Sync();

  // What waited goes out as acknowledgements come in.
  std::vector<Message> said = node.Ack(2, 1 + flying);
  for (uint64_t match = 1 + flying; match < 51;) {
    const auto appends = Only<AppendRequest>(said);
    ASSERT_FALSE(appends.empty()) << "nothing follows " << match;
    for (const Message& message : appends) {
      const auto& append = std::get<AppendRequest>(message.body);
      if (message.to == NodeId{2}) match = append.previous.index.value + append.entries.size();
    }
    said = node.Ack(2, match);
  }
  EXPECT_EQ(node.raft().commit(), Index{51});
}

TEST(RaftReplication, OneAppendIsBoundedInBytesAndOneLargerEntryGoesAlone) {
  Options options;
  options.append_bytes_max = 1000;
  Cluster::Setup setup;
  setup.options = options;
  Cluster cluster(std::move(setup));
  cluster.Elect(1);
  cluster.Isolate(3);
  for (int i = 0; i < 20; ++i) cluster.Propose(1, Bytes(i == 10 ? 5000 : 300, 'x'));
  cluster.Settle();
  cluster.Hold([](const Message& message) {
    const auto* append = std::get_if<AppendRequest>(&message.body);
    if (append == nullptr || append->entries.size() <= 1) return false;
    size_t bytes = 0;
    for (const Entry& entry : append->entries) bytes += entry.data.size();
    MUST(bytes <= 1000, "an append of %lu bytes", static_cast<unsigned long>(bytes));
    return false;
  });
  cluster.Heal();
  cluster.RunForMs(2000);

  EXPECT_EQ(cluster[3].commit(), cluster[1].commit());
  EXPECT_EQ(cluster[3].last().index, Index{21});
}

// Time ---------------------------------------------------------------------------------------

TEST(RaftTime, RunsAtTheLeaderAndStandsStillElsewhere) {
  Cluster cluster(3);
  cluster.Elect(1);
  const ClusterTime before = cluster[1].time(cluster.now());

  cluster.RunForMs(5000);

  EXPECT_EQ(cluster[1].time(cluster.now()) - before, 5000);
  EXPECT_EQ(cluster[2].time(cluster.now()), cluster[2].time(cluster.now() + kTimeout));
}

TEST(RaftTime, EachEntryIsStampedWithTheTimeOfItsProposal) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.Propose(1, "x");
  cluster.RunForMs(1234);
  cluster.Propose(1, "y");
  cluster.Settle();

  EXPECT_EQ(cluster.ledger().entry(Index{3}).time - cluster.ledger().entry(Index{2}).time, 1234);
}

// etcd #13294: each change of leader gave every lease its full length again.
TEST(RaftTime, ANewLeaderGoesOnFromTheTimeItHasHeard) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.RunForMs(60'000);  // Not one entry in a minute: only heartbeats tell of it.
  const ClusterTime before = cluster[1].time(cluster.now());

  cluster.Crash(1);
  ASSERT_TRUE(cluster.RunUntilLeader());
  ASSERT_TRUE(cluster.Commits("x"));

  const Index last = cluster.ledger().committed();
  EXPECT_GE(cluster.ledger().entry(last).time - before, -Options{}.heartbeat_us / kUsPerMs);
  EXPECT_LE(cluster.ledger().entry(last).time - before, 1000);
}

// A leader that was cut off counts on for a while, and so does its successor. When the first leads
// again, it is the second's time that goes on: leases must not end by the first's.
TEST(RaftTime, WhatADeposedLeaderCountedDoesNotComeBack) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.SetClock(1, 0, 100'000);  // A hundred times too fast.
  cluster.Isolate(1);
  cluster.RunFor(kTimeout / 4);
  const ClusterTime wrong = cluster[1].time(cluster.Clock(1));
  cluster.SetClock(1, cluster.Clock(1).us - cluster.now().us, 1000);
  ASSERT_TRUE(cluster.Commits("x") || cluster.Commits("y"));
  ASSERT_NE(cluster.leader(), 1u);
  cluster.Heal();
  cluster.RunForMs(500);
  const uint64_t leader = cluster.leader();
  ASSERT_TRUE(cluster.Transfer(leader, 1));
  cluster.Settle();
  ASSERT_TRUE(cluster[1].is_leader());

  ASSERT_TRUE(cluster.Commits("z"));

  const ClusterTime stamped = cluster.ledger().entry(cluster.ledger().committed()).time;
  EXPECT_LT(stamped, wrong);
}

TEST(RaftTime, StandsStillWhileThereIsNoLeader) {
  Cluster cluster(3);
  cluster.Elect(1);
  cluster.RunForMs(1000);
  cluster.Isolate(1);
  cluster.Isolate(2);
  cluster.RunUntil([&] { return cluster.leader() == 0; }, 3 * kTimeout);
  const ClusterTime before = cluster[1].time(cluster.now());

  cluster.RunForMs(600'000);
  cluster.Heal();
  ASSERT_TRUE(cluster.Commits("x"));

  const ClusterTime after = cluster.ledger().entry(cluster.ledger().committed()).time;
  EXPECT_LE(after - before, 5000);
}

TEST(RaftTime, NeverFallsThoughLeadersChangeAndNodesRestart) {
  Cluster cluster(3);
  ClusterTime seen;
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(cluster.Commits(Format("x%d", i)));
    const ClusterTime now = cluster.ledger().entry(cluster.ledger().committed()).time;
    EXPECT_GE(now, seen);
    seen = now;
    cluster.RunForMs(777);
    const uint64_t leader = cluster.leader();
    cluster.Crash(leader);
    cluster.RunForMs(300);
    cluster.Restart(leader);
  }
}

TEST(RaftTime, ANodeThatRestartsAloneRemembersTheTimeOfItsLog) {
  Cluster cluster(1);
  cluster.Elect(1);
  cluster.RunForMs(5000);
  cluster.Propose(1, "x");
  cluster.Settle();
  const ClusterTime stamped = cluster.ledger().entry(Index{2}).time;

  cluster.Crash(1);
  cluster.Restart(1);
  EXPECT_EQ(cluster[1].time(cluster.now()), stamped);
  cluster.Elect(1);

  EXPECT_GE(cluster.ledger().entry(Index{3}).time, stamped);
}

// Long pauses --------------------------------------------------------------------------------

TEST(RaftPause, ALeaderThatWasPausedForLongFindsItsSuccessor) {
  Cluster cluster(3);
  cluster.faults.delay_min = cluster.faults.delay_max = 5000;
  ASSERT_TRUE(cluster.RunUntilLeader());
  const uint64_t paused = cluster.leader();
  cluster.RunForMs(1000);
  cluster.Pause(paused);
  cluster.RunForMs(10'000);
  ASSERT_NE(cluster.leader(), paused);
  ASSERT_TRUE(cluster.Commits("x"));

  cluster.Resume(paused);
  const auto proposal = cluster.Propose(paused, "stale");  // It does not know yet.
  EXPECT_EQ(proposal.refusal, Raft::Refusal::kNone);
  cluster.RunForMs(3000);

  EXPECT_FALSE(cluster[paused].is_leader());
  EXPECT_EQ(cluster[paused].commit(), cluster[cluster.leader()].commit());
  EXPECT_FALSE(cluster.ledger().HasCommitted("stale"));
}

}  // namespace
}  // namespace lockstep::raft::testing
