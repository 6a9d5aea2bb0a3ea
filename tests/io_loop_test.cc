// The loop: its clock, its turns, its timers.
#include "src/io/loop.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

namespace lockstep::io {
namespace {

TEST(LoopTest, TimeNeverFalls) {
  Loop loop;
  MonoTime last = loop.Now();
  for (int i = 0; i < 10'000; ++i) {
    const MonoTime now = loop.Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(LoopTest, TheTurnComesAgainWhenItAskedToAndNotBefore) {
  Loop loop;
  std::vector<MonoTime> turns;
  loop.set_turn([&] {
    turns.push_back(loop.Now());
    if (turns.size() == 4) loop.Stop();
    return loop.Now() + 5 * kUsPerMs;
  });
  loop.Run();
  ASSERT_EQ(turns.size(), 4u);
  // libuv counts in whole milliseconds, and may be one early.
  for (size_t i = 1; i < turns.size(); ++i) EXPECT_GE(turns[i] - turns[i - 1], 4 * kUsPerMs);
}

TEST(LoopTest, ATurnThatWantsToRunAgainAtOnceDoesNotKeepOthersOut) {
  Loop loop;
  int turns = 0;
  bool rang = false;
  Timer timer(&loop, [&] { rang = true; });
  timer.Start(kUsPerMs);
  loop.set_turn([&] {
    turns += 1;
    if (rang) loop.Stop();
    return MonoTime{};  // Long past.
  });
  loop.Run();
  EXPECT_TRUE(rang);
  EXPECT_GT(turns, 1);
}

TEST(LoopTest, WhatATimerBroughtIsTurnedBeforeTheLoopSleeps) {
  Loop loop;
  bool brought = false;
  Timer timer(&loop, [&] { brought = true; });
  timer.Start(kUsPerMs);
  loop.set_turn([&] {
    if (brought) loop.Stop();
    return kNeverMono;  // Nothing else would ever wake it.
  });
  loop.Run();
  EXPECT_TRUE(brought);
}

TEST(LoopTest, ATimerThatIsStoppedOrGoneDoesNotRing) {
  Loop loop;
  int rings = 0;
  Timer stopped(&loop, [&] { ++rings; });
  auto gone = std::make_unique<Timer>(&loop, [&] { ++rings; });
  Timer later(&loop, [&] { loop.Stop(); });
  stopped.Start(kUsPerMs);
  gone->Start(kUsPerMs);
  later.Start(20 * kUsPerMs);
  stopped.Stop();
  gone.reset();
  loop.Run();
  EXPECT_EQ(rings, 0);
}

TEST(LoopTest, AnotherThreadWakesALoopThatSleeps) {
  Loop loop;
  bool woken = false;
  Waker waker(&loop, [&] {
    woken = true;
    loop.Stop();
  });
  loop.set_turn([] { return kNeverMono; });
  std::thread other([&] { waker.Wake(); });
  loop.Run();
  other.join();
  EXPECT_TRUE(woken);
}

TEST(LoopTest, EachSignalIsCalledBack) {
  Loop loop;
  int got = 0;
  SignalWatch watch(&loop, SIGUSR1, [&] {
    if (++got == 2) return loop.Stop();
    ::raise(SIGUSR1);
  });
  ::raise(SIGUSR1);
  loop.Run();
  EXPECT_EQ(got, 2);
}

class CallOnce final : public Loop::AfterTurn {
 public:
  void OnAfterTurn() override { ++calls; }
  int calls = 0;
};

TEST(LoopTest, WhoWantsToBeCalledAfterATurnIsCalledOnceUnlessItTakesItBack) {
  Loop loop;
  CallOnce called;
  CallOnce cancelled;
  int turns = 0;
  loop.CallAfterTurn(&called);
  loop.CallAfterTurn(&cancelled);
  loop.CancelAfterTurn(&cancelled);
  loop.set_turn([&] {
    if (++turns == 4) loop.Stop();
    return loop.Now();
  });
  loop.Run();
  EXPECT_EQ(called.calls, 1);
  EXPECT_EQ(cancelled.calls, 0);
}

}  // namespace
}  // namespace lockstep::io
