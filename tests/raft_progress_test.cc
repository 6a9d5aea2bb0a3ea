#include "cluster/raft/progress.h"

#include <gtest/gtest.h>

namespace lockstep::raft {
namespace {

constexpr int64_t kHeartbeatUs = 100'000;
constexpr MonoTime kStart{1'000'000};

// Agrees with the leader up to 10.
Progress Replicating() {
  Progress progress(Index{11}, kStart);
  progress.OnSent(0, 0, kStart);
  EXPECT_TRUE(progress.OnMatch(Index{10}, kStart));
  return progress;
}

TEST(RaftProgressTest, AProbeWaitsForItsAnswer) {
  Progress progress(Index{11}, kStart);
  EXPECT_EQ(progress.mode(), Progress::Mode::kProbe);
  EXPECT_FALSE(progress.awaits_answer());

  progress.OnSent(3, 300, kStart);

  EXPECT_TRUE(progress.awaits_answer());
  EXPECT_EQ(progress.next(), Index{11});  // A guess is not moved by hope.
  progress.CheckInvariants();
}

TEST(RaftProgressTest, AConfirmedGuessStartsThePipeline) {
  Progress progress(Index{11}, kStart);
  progress.OnSent(3, 300, kStart);
  EXPECT_TRUE(progress.OnMatch(Index{13}, kStart));
  EXPECT_EQ(progress.mode(), Progress::Mode::kReplicate);
  EXPECT_EQ(progress.next(), Index{14});
  progress.CheckInvariants();
}

// After a fall back the probe starts at match: its success is no news, and yet says all.
TEST(RaftProgressTest, AGuessThatIsAlreadyKnownToMatchIsConfirmedToo) {
  Progress progress = Replicating();
  progress.BecomeProbe(Index{11}, kStart);
  progress.OnSent(0, 0, kStart);
  EXPECT_FALSE(progress.OnMatch(Index{10}, kStart));
  EXPECT_EQ(progress.mode(), Progress::Mode::kReplicate);
}

TEST(RaftProgressTest, TheWindowClosesByEntriesAndByBytes) {
  Progress progress = Replicating();
  progress.OnSent(5, 500, kStart);
  EXPECT_TRUE(progress.WindowIsOpen(6, 501));
  EXPECT_FALSE(progress.WindowIsOpen(5, 501));
  EXPECT_FALSE(progress.WindowIsOpen(6, 500));
  progress.CheckInvariants();

  EXPECT_TRUE(progress.OnMatch(Index{15}, kStart));
  EXPECT_TRUE(progress.WindowIsOpen(1, 1));
  EXPECT_EQ(progress.BytesInFlight(), 0u);
  EXPECT_EQ(progress.EntriesInFlight(), 0u);
}

TEST(RaftProgressTest, AnAcknowledgementInTheMiddleOfARequestFreesWhatIsWhole) {
  Progress progress = Replicating();
  progress.OnSent(2, 200, kStart);  // 11, 12
  progress.OnSent(2, 300, kStart);  // 13, 14
  EXPECT_TRUE(progress.OnMatch(Index{13}, kStart));
  EXPECT_EQ(progress.BytesInFlight(), 300u);
  EXPECT_EQ(progress.EntriesInFlight(), 1u);
  progress.CheckInvariants();
}

TEST(RaftProgressTest, LateAcknowledgementsChangeNothing) {
  Progress progress = Replicating();
  progress.OnSent(4, 400, kStart);
  progress.OnMatch(Index{14}, kStart);
  EXPECT_FALSE(progress.OnMatch(Index{12}, kStart));
  EXPECT_EQ(progress.match(), Index{14});
  EXPECT_EQ(progress.next(), Index{15});
}

TEST(RaftProgressTest, ARejectionWhileReplicatingFallsBackToWhatCanAgree) {
  Progress progress = Replicating();
  progress.OnSent(4, 400, kStart);
  progress.OnSent(4, 400, kStart);
  EXPECT_TRUE(progress.OnRejected(Index{14}, Index{12}, kStart));
  EXPECT_EQ(progress.mode(), Progress::Mode::kProbe);
  EXPECT_EQ(progress.next(), Index{13});
  EXPECT_EQ(progress.BytesInFlight(), 0u);
  progress.CheckInvariants();
}

TEST(RaftProgressTest, NoRejectionGoesBelowWhatMatches) {
  Progress progress = Replicating();
  progress.OnSent(4, 400, kStart);
  EXPECT_FALSE(progress.OnRejected(Index{10}, Index{3}, kStart));  // Overtaken by the match.
  EXPECT_TRUE(progress.OnRejected(Index{14}, Index{3}, kStart));
  EXPECT_EQ(progress.next(), Index{11});
}

TEST(RaftProgressTest, ARejectionOfAnEarlierProbeIsNotOfThisOne) {
  Progress progress(Index{100}, kStart);
  progress.OnSent(0, 0, kStart);
  EXPECT_TRUE(progress.OnRejected(Index{99}, Index{50}, kStart));
  EXPECT_EQ(progress.next(), Index{51});
  progress.OnSent(0, 0, kStart);
  EXPECT_FALSE(progress.OnRejected(Index{99}, Index{50}, kStart));
  EXPECT_TRUE(progress.awaits_answer());
}

// A hint at or above the rejected place would send the same probe for ever.
TEST(RaftProgressTest, EachRejectionMovesTheGuessDown) {
  Progress progress(Index{100}, kStart);
  progress.OnSent(0, 0, kStart);
  EXPECT_TRUE(progress.OnRejected(Index{99}, Index{99}, kStart));
  EXPECT_EQ(progress.next(), Index{99});
}

TEST(RaftProgressTest, ALostProbeIsRepeatedWithoutItsEntriesWhenTheFollowerIsAlive) {
  Progress progress(Index{11}, kStart);
  progress.OnSent(3, 300, kStart);
  progress.OnAlive(kStart + kHeartbeatUs / 2, kHeartbeatUs);
  EXPECT_TRUE(progress.awaits_answer());
  progress.OnAlive(kStart + kHeartbeatUs, kHeartbeatUs);
  EXPECT_FALSE(progress.awaits_answer());
  EXPECT_TRUE(progress.ask_only());
}

TEST(RaftProgressTest, APipelineThatStandsStillIsAskedAbout) {
  Progress progress = Replicating();
  progress.OnAlive(kStart + 10 * kHeartbeatUs, kHeartbeatUs);
  EXPECT_FALSE(progress.asks());  // Nothing is in flight: all is well.

  const MonoTime sent = kStart + 10 * kHeartbeatUs;
  progress.OnSent(3, 300, sent);
  progress.OnAlive(sent + kHeartbeatUs, kHeartbeatUs);
  EXPECT_FALSE(progress.asks());
  progress.OnAlive(sent + 2 * kHeartbeatUs, kHeartbeatUs);
  EXPECT_TRUE(progress.asks());
  progress.OnSent(0, 0, sent + 2 * kHeartbeatUs);
  EXPECT_FALSE(progress.asks());
  EXPECT_EQ(progress.next(), Index{14});
}

TEST(RaftProgressTest, ALostLinkLosesWhatWasInFlight) {
  Progress progress = Replicating();
  progress.OnSent(3, 300, kStart);
  progress.OnUnreachable(kStart, kHeartbeatUs);
  EXPECT_EQ(progress.mode(), Progress::Mode::kProbe);
  EXPECT_EQ(progress.next(), Index{11});
  EXPECT_FALSE(progress.awaits_answer());
  progress.CheckInvariants();
}

// A host that reports every message that it could not send must not be sent another for each.
TEST(RaftProgressTest, ALinkThatIsDownIsTriedOnceAHeartbeat) {
  Progress progress = Replicating();
  progress.OnUnreachable(kStart, kHeartbeatUs);
  progress.OnSent(1, 100, kStart);
  progress.OnUnreachable(kStart + 1, kHeartbeatUs);
  EXPECT_TRUE(progress.awaits_answer());
  progress.OnUnreachable(kStart + kHeartbeatUs, kHeartbeatUs);
  EXPECT_FALSE(progress.awaits_answer());
}

TEST(RaftProgressTest, ASilentSnapshotTransferGoesBackToWhatWasAcknowledged) {
  Progress progress = Replicating();
  progress.BecomeSnapshot(kStart);
  progress.transfer().source = std::make_shared<OutgoingSnapshot>();
  progress.transfer().acked = 100;
  progress.transfer().next = 300;
  progress.OnAlive(kStart + kHeartbeatUs, kHeartbeatUs);
  EXPECT_EQ(progress.transfer().next, 300u);
  progress.OnAlive(kStart + 2 * kHeartbeatUs, kHeartbeatUs);
  EXPECT_EQ(progress.transfer().next, 100u);
  EXPECT_TRUE(progress.transfer().ask);
  progress.CheckInvariants();
}

TEST(RaftProgressTest, LeavingASnapshotLetsGoOfIt) {
  Progress progress = Replicating();
  progress.BecomeSnapshot(kStart);
  const auto source = std::make_shared<OutgoingSnapshot>();
  progress.transfer().source = source;
  EXPECT_FALSE(progress.OnRejected(Index{50}, Index{1}, kStart));
  EXPECT_TRUE(progress.OnMatch(Index{40}, kStart));
  EXPECT_EQ(progress.mode(), Progress::Mode::kSnapshot);  // Whether that is enough, the log knows.
  progress.BecomeReplicate(kStart);
  EXPECT_EQ(progress.next(), Index{41});
  EXPECT_EQ(source.use_count(), 1);
}

TEST(RaftProgressTest, ReadPositionsNeverFall) {
  Progress progress = Replicating();
  progress.OnReadPosition(7);
  progress.OnReadPosition(3);
  EXPECT_EQ(progress.read_position(), 7u);
}

TEST(RaftProgressTest, AMemberIsActiveForAnElectionTimeoutAfterItWasHeard) {
  Progress progress = Replicating();
  progress.OnHeard(kStart);
  EXPECT_TRUE(progress.IsActive(kStart + 499'999, 500'000));
  EXPECT_FALSE(progress.IsActive(kStart + 500'000, 500'000));
}

}  // namespace
}  // namespace lockstep::raft
