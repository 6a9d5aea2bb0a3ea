// Who is taken for failed, and when a lost peer is dialled again.
#include "cluster/bus/failure_detector.h"

#include <gtest/gtest.h>

#include "cluster/bus/backoff.h"

namespace lockstep::bus {
namespace {

constexpr NodeId kOne{1};
constexpr NodeId kTwo{2};
constexpr NodeId kThree{3};
constexpr MonoTime At(int64_t ms) { return {ms * kUsPerMs}; }

using Nodes = std::vector<NodeId>;

TEST(FailureDetectorTest, APeerIsFailedAfterTheTimeoutAndNotBefore) {
  FailureDetector detector;
  detector.Watch(kTwo, At(0));
  EXPECT_TRUE(detector.Tick(At(4'999)).empty());
  EXPECT_FALSE(detector.failed(kTwo));
  EXPECT_EQ(detector.Tick(At(5'000)).failed, Nodes{kTwo});
  EXPECT_TRUE(detector.failed(kTwo));
}

TEST(FailureDetectorTest, AChangeIsToldOnce) {
  FailureDetector detector;
  detector.Watch(kTwo, At(0));
  EXPECT_EQ(detector.Tick(At(6'000)).failed, Nodes{kTwo});
  EXPECT_TRUE(detector.Tick(At(7'000)).empty());
  detector.Heard(kTwo, At(7'500));
  EXPECT_EQ(detector.Tick(At(8'000)).back, Nodes{kTwo});
  EXPECT_TRUE(detector.Tick(At(9'000)).empty());
}

TEST(FailureDetectorTest, WhatWasHeardStartsTheTimeoutAnew) {
  FailureDetector detector;
  detector.Watch(kTwo, At(0));
  detector.Heard(kTwo, At(4'000));
  EXPECT_EQ(detector.last_heard(kTwo), At(4'000));
  EXPECT_TRUE(detector.Tick(At(8'999)).empty());
  EXPECT_EQ(detector.Tick(At(9'000)).failed, Nodes{kTwo});
}

TEST(FailureDetectorTest, AFailedPeerIsBackOnlyWithTheNextTick) {
  FailureDetector detector;
  detector.Watch(kTwo, At(0));
  EXPECT_EQ(detector.Tick(At(5'000)).failed, Nodes{kTwo});
  detector.Heard(kTwo, At(5'001));
  EXPECT_TRUE(detector.failed(kTwo));
  EXPECT_EQ(detector.Tick(At(5'002)).back, Nodes{kTwo});
  EXPECT_FALSE(detector.failed(kTwo));
}

TEST(FailureDetectorTest, ChangesComeInTheOrderOfNodeNumbers) {
  FailureDetector detector;
  detector.Watch(kThree, At(0));
  detector.Watch(kOne, At(0));
  detector.Watch(kTwo, At(0));
  detector.Heard(kTwo, At(3'000));
  EXPECT_EQ(detector.Tick(At(5'000)).failed, (Nodes{kOne, kThree}));
  detector.Heard(kThree, At(6'000));
  detector.Heard(kOne, At(6'000));
  const FailureDetector::Changes changes = detector.Tick(At(8'000));
  EXPECT_EQ(changes.failed, Nodes{kTwo});
  EXPECT_EQ(changes.back, (Nodes{kOne, kThree}));
}

TEST(FailureDetectorTest, TimeNeverRunsBackForAPeer) {
  FailureDetector detector;
  detector.Watch(kTwo, At(1'000));
  detector.Heard(kTwo, At(500));
  detector.Watch(kTwo, At(9'000));  // Known already: gains nothing.
  EXPECT_EQ(detector.last_heard(kTwo), At(1'000));
}

TEST(FailureDetectorTest, WhoIsNotWatchedIsFailedAndLeavesNothingBehind) {
  FailureDetector detector;
  detector.Heard(kThree, At(100));
  EXPECT_TRUE(detector.failed(kThree));
  EXPECT_EQ(detector.last_heard(kThree), MonoTime{});
  detector.Watch(kTwo, At(0));
  detector.Forget(kTwo);
  EXPECT_TRUE(detector.Tick(At(60'000)).empty());
  EXPECT_TRUE(detector.failed(kTwo));
}

TEST(FailureDetectorTest, TheTimeoutCanChangeWhileRunning) {
  FailureDetector detector(1'000 * kUsPerMs);
  detector.Watch(kTwo, At(0));
  detector.set_node_timeout_us(3'000 * kUsPerMs);
  EXPECT_TRUE(detector.Tick(At(2'999)).empty());
  EXPECT_EQ(detector.Tick(At(3'000)).failed, Nodes{kTwo});
}

TEST(BackoffTest, WaitsDoubleFrom50To500Milliseconds) {
  Rng rng(1);
  Backoff backoff(&rng);
  for (const int64_t step_ms : {50, 100, 200, 400, 500, 500, 500}) {
    const int64_t delay = backoff.NextDelayUs();
    EXPECT_GE(delay, step_ms * kUsPerMs / 2);
    EXPECT_LE(delay, step_ms * kUsPerMs);
  }
}

TEST(BackoffTest, SuccessStartsAnew) {
  Rng rng(2);
  Backoff backoff(&rng);
  for (int i = 0; i < 10; ++i) EXPECT_GT(backoff.NextDelayUs(), 0);
  backoff.Reset();
  EXPECT_LE(backoff.NextDelayUs(), kBackoffFirstUs);
}

TEST(BackoffTest, TheSameSeedWaitsTheSameAndTwoSeedsDiffer) {
  Rng rng_a(3);
  Rng rng_b(3);
  Rng rng_c(4);
  Backoff a(&rng_a);
  Backoff b(&rng_b);
  Backoff c(&rng_c);
  bool differs = false;
  for (int i = 0; i < 10; ++i) {
    const int64_t delay = a.NextDelayUs();
    EXPECT_EQ(delay, b.NextDelayUs());
    differs |= delay != c.NextDelayUs();
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace lockstep::bus
