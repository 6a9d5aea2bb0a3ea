// The ledger that judges the simulated queues: a history that is right passes, and for each rule
// one that breaks it is found.
#include <gtest/gtest.h>

#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Outcome = QueueLedger::Outcome;
using Said = Lease::Said;
using Told = Lease::Told;

// Each has a connection and a session that are not known to stand, so only what needs neither is
// certain; a lease that stands is made by hand below.
class QueueLedgerTest : public testing::Test {
 protected:
  void Pushed(const Bytes& body, const Bytes& id, QueueLedger::Push push = {}) {
    push.queue = "q";
    push.body = body;
    ledger().OnPush(push);
    ledger().OnPushed(body, Outcome::kDone, id);
  }
  void Ask(const Bytes& worker, int64_t block_ms = 0, bool noack = false) {
    QueueLedger::Pop pop;
    pop.queues = {"q"};
    pop.lease_us = 1000 * kUsPerMs;
    pop.block_us = block_ms * kUsPerMs;
    pop.noack = noack;
    ledger().OnPop(worker, pop);
  }
  void Get(const Bytes& worker, const Bytes& body, const Bytes& receipt, int64_t attempt) {
    Ask(worker);
    Answer(worker, body, receipt, attempt);
  }
  void Answer(const Bytes& worker, const Bytes& body, const Bytes& receipt, int64_t attempt) {
    ledger().OnDelivered(worker, {"q", receipt, body, attempt});
    ledger().OnPopAnswered(worker, Outcome::kDone, false);
  }
  void Say(const Bytes& receipt, Said said, Told told, std::optional<int64_t> delay_us = {}) {
    ledger().OnSay(receipt, said, delay_us);
    ledger().OnTold(receipt, told);
  }
  void Pass(int64_t ms) { world_.events().RunUntil(world_.now_us() + ms * kUsPerMs); }
  QueueLedger& ledger() { return world_.queues(); }

 private:
  static uint64_t SeedOfRightClocks() {
    uint64_t seed = 1;
    while (Swarm(seed).clock_ppm_max != 0) ++seed;
    return seed;
  }
  World world_{SeedOfRightClocks(), false};
};

TEST_F(QueueLedgerTest, AMessageThatFailsComesAgainAndIsDone) {
  Pushed("a", "0.1");
  Get("ann", "a", "0.1.1", 1);
  Say("0.1.1", Said::kFail, Told::kCounted);
  Pass(1300);
  Get("bob", "a", "0.1.2", 2);
  Say("0.1.2", Said::kAck, Told::kCounted);
  EXPECT_NO_THROW(ledger().CheckAll());
}

TEST_F(QueueLedgerTest, WhatIsPushedAndNeverSeenAgainIsLost) {
  Pushed("a", "0.1");
  EXPECT_THROW(ledger().CheckAll(), Failure);
}

TEST_F(QueueLedgerTest, APopForGoodThatNobodyHeardOfTakesSoManyAndNoMore) {
  Pushed("a", "0.1");
  Ask("ann", 0, true);
  ledger().OnPopAnswered("ann", Outcome::kUnknown, false);
  EXPECT_NO_THROW(ledger().CheckAll());
  Pushed("b", "0.2");
  EXPECT_THROW(ledger().CheckAll(), Failure);
}

TEST_F(QueueLedgerTest, NothingIsGivenOutOnceItIsDone) {
  Pushed("a", "0.1");
  Get("ann", "a", "0.1.1", 1);
  Ask("bob");  // Before the ACK: that excuses nothing.
  Say("0.1.1", Said::kAck, Told::kCounted);
  EXPECT_THROW(Answer("bob", "a", "0.1.2", 1), Failure);
}

TEST_F(QueueLedgerTest, AStaleReceiptThatCountsIsFound) {
  Pushed("a", "0.1");
  Get("ann", "a", "0.1.1", 1);
  Pass(2000);
  Get("bob", "a", "0.1.2", 2);
  ledger().OnSay("0.1.1", Said::kAck);
  EXPECT_THROW(ledger().OnTold("0.1.1", Told::kCounted), Failure);
}

TEST_F(QueueLedgerTest, AnAckThatDoesNotCountThoughNobodyElseHadTheMessageIsFound) {
  Pushed("a", "0.1");
  Get("ann", "a", "0.1.1", 1);
  Pass(1100);
  Say("0.1.1", Said::kAck, Told::kNot);
  Pass(1000);
  EXPECT_THROW(Get("bob", "a", "0.1.2", 2), Failure);
}

TEST_F(QueueLedgerTest, AFailureIsCountedOnceAndWhatIsGivenBackIsNone) {
  Pushed("a", "0.1");
  Get("ann", "a", "0.1.1", 1);
  Say("0.1.1", Said::kFail, Told::kCounted, 0);
  EXPECT_THROW(Get("bob", "a", "0.1.2", 1), Failure);
  Pushed("b", "0.2");
  Get("ann", "b", "0.2.1", 1);
  Say("0.2.1", Said::kRelease, Told::kCounted);
  EXPECT_THROW(Get("bob", "b", "0.2.2", 2), Failure);
  Pushed("c", "0.3");
  Get("ann", "c", "0.3.1", 1);
  EXPECT_THROW(Get("bob", "c", "0.3.3", 3), Failure);  // Its time is not over; one was not seen.
}

TEST_F(QueueLedgerTest, ANackThatNobodyHeardOfMayHaveCounted) {
  Pushed("a", "0.1");
  Get("ann", "a", "0.1.1", 1);
  ledger().OnSay("0.1.1", Said::kFail, 0);
  EXPECT_NO_THROW(Get("bob", "a", "0.1.2", 2));
  Pushed("b", "0.2");
  Get("ann", "b", "0.2.1", 1);
  ledger().OnSay("0.2.1", Said::kFail, 0);
  EXPECT_NO_THROW(Get("bob", "b", "0.2.2", 1));  // Its node may have died first.
}

TEST_F(QueueLedgerTest, NothingComesBeforeItsDelayOrItsBackoffIsOver) {
  QueueLedger::Push push;
  push.delay_us = 500 * kUsPerMs;
  Pushed("a", "0.1", push);
  Pass(400);
  EXPECT_THROW(Get("ann", "a", "0.1.1", 1), Failure);
  Pushed("b", "0.2");
  Get("ann", "b", "0.2.1", 1);
  Say("0.2.1", Said::kFail, Told::kCounted);
  Pass(700);
  EXPECT_THROW(Get("bob", "b", "0.2.2", 2), Failure);
  Pushed("c", "0.3");
  Get("ann", "c", "0.3.1", 1);
  Pass(1500);  // Its lease is over, its back-off not.
  EXPECT_THROW(Get("bob", "c", "0.3.2", 2), Failure);
}

TEST_F(QueueLedgerTest, DeadIsWhatHasFailedOftenEnoughOrWasSaidToBe) {
  QueueLedger::Push push;
  push.retry = 2;
  push.may_die = true;
  Pushed("a", "0.1", push);
  Get("ann", "a", "0.1.1", 1);
  Say("0.1.1", Said::kFail, Told::kCounted, 0);
  EXPECT_THROW(ledger().OnDead({"q!dead", "0.1.2", "a", 2}), Failure);
  Pushed("b", "0.2", push);
  Get("ann", "b", "0.2.1", 1);
  Say("0.2.1", Said::kDead, Told::kCounted);
  EXPECT_NO_THROW(ledger().OnDead({"q!dead", "0.2.2", "b", 2}));
  Pushed("c", "0.3", push);
  Pass(100'000);
  EXPECT_THROW(Get("ann", "c", "0.3.3", 3), Failure);  // It should be dead.
}

TEST_F(QueueLedgerTest, AMessageIsOneHoweverOftenItIsPushed) {
  Pushed("a", "0.1");
  EXPECT_THROW(Get("ann", "a", "0.2.1", 1), Failure);
}

TEST_F(QueueLedgerTest, NobodyIsToldThatThereIsNothingWhileThereIs) {
  Ask("ann", 500);
  Pass(100);
  Pushed("a", "0.1");
  Pass(400);
  ledger().OnPopAnswered("ann", Outcome::kDone, true);
  Pass(1);
  EXPECT_THROW(Get("bob", "a", "0.1.1", 1), Failure);
}

TEST_F(QueueLedgerTest, AQueueThatIsPausedGivesAndTakesNothing) {
  Pushed("a", "0.1");
  ledger().OnPause("q", true, true);
  ledger().OnPaused("q", true, true, Outcome::kDone);
  Pass(1);
  EXPECT_THROW(Get("ann", "a", "0.1.1", 1), Failure);
  EXPECT_THROW(Pushed("b", "0.2"), Failure);
}

// Whose lease stood by all that can end it but its time.
Lease Standing(uint64_t number, int64_t attempt, int64_t got_us) {
  Lease lease;
  lease.number = number;
  lease.attempt = attempt;
  lease.asked_us = lease.got_fast_us = got_us;
  lease.until_fast_us = got_us + 1000 * kUsPerMs;
  return lease;
}

TEST(LeasesTest, AMessageHasOneLeaseAtATime) {
  const auto stand = [](const Lease&) { return Leases::Standing{true, true}; };
  const auto gone = [](const Lease&) { return Leases::Standing{false, true}; };
  const Leases::Terms terms{"a", 16, false};
  Leases leases;
  leases.Add(terms, Standing(1, 1, 0), stand);
  EXPECT_THROW(leases.Add(terms, Standing(2, 1, 500 * kUsPerMs), stand), Failure);
  Leases others;
  others.Add(terms, Standing(1, 1, 0), stand);
  EXPECT_NO_THROW(others.Add(terms, Standing(2, 1, 500 * kUsPerMs), gone));
}

TEST(LeasesTest, ALeaseThatEndsIsAFailureUnlessItsNodeIsGone) {
  const auto stand = [](const Lease&) { return Leases::Standing{true, true}; };
  const auto gone = [](const Lease&) { return Leases::Standing{false, true}; };
  const Leases::Terms terms{"a", 16, false};
  Leases leases;
  leases.Add(terms, Standing(1, 1, 0), stand);
  EXPECT_THROW(leases.Add(terms, Standing(2, 1, 3000 * kUsPerMs), stand), Failure);
  Leases others;
  others.Add(terms, Standing(1, 1, 0), stand);
  EXPECT_NO_THROW(others.Add(terms, Standing(2, 1, 3000 * kUsPerMs), gone));
}

}  // namespace
}  // namespace lockstep::sim
