// The lock table, rule by rule: who gets a lock, when, and with which token. Numbers of traps are
// those of the list that the design keeps.
#include "commands/lock_table.h"

#include <gtest/gtest.h>

#include "tests/lock_fixture.h"

namespace lockstep {
namespace {

using LockTableTest = LockTest;

// ---- Exclusive locks and their queue. ----

TEST_F(LockTableTest, AFreeLockIsGrantedWithTheIndexOfItsEntryForAToken) {
  EXPECT_EQ(Acquire("alice", "x"), Reply::Integer(101));
  EXPECT_EQ(Acquire("alice", "y"), Reply::Integer(102));
  EXPECT_EQ(Holders("x"), "alice");
  EXPECT_EQ(Info("x", "state"), Reply::Bulk("LOCKED"));
  EXPECT_EQ(Info("z", "state"), Reply::Bulk("FREE"));
}

TEST_F(LockTableTest, ALockThatOthersHoldIsNilAndLeavesNoTrace) {
  Acquire("alice", "x");
  const uint64_t before = table.Hash();
  EXPECT_EQ(Acquire("bob", "x"), Reply::Nil());
  EXPECT_EQ(table.Hash(), before);
  EXPECT_EQ(table.figures().owners, 1U);
}

TEST_F(LockTableTest, TheHolderThatAsksAgainGetsItsTokenAndAFreshLease) {
  const int64_t token = TokenOf(Acquire("alice", "x"));
  Pass(20'000);
  EXPECT_EQ(Acquire("alice", "x"), Reply::Integer(token));
  Pass(20'000);
  EXPECT_TRUE(Check("x", token));
}

TEST_F(LockTableTest, AReleaseGrantsToTheFirstWaiterInTheSameEntry) {
  Acquire("alice", "x");
  EXPECT_EQ(Acquire("bob", "x", kForever), std::nullopt);
  const RequestId bob = last;
  EXPECT_EQ(Acquire("carol", "x", kForever), std::nullopt);
  EXPECT_EQ(Release("alice", "x"), 1);
  EXPECT_EQ(AnswerTo(bob), Reply::Integer(Now()));
  EXPECT_EQ(Holders("x"), "bob");
  EXPECT_EQ(Waiters("x"), "carol");
}

TEST_F(LockTableTest, ATryDoesNotOvertakeThoseWhoWait) {
  Acquire("alice", "x", kTry);
  Share("bob", "y");
  Acquire("carol", "y", kForever);  // Waits for bob.
  EXPECT_EQ(Share("dave", "y"), Reply::Nil());
  EXPECT_EQ(Waiters("y"), "carol");
}

TEST_F(LockTableTest, AReleaseOfWhatIsNotHeldIsZero) {
  const int64_t token = TokenOf(Acquire("alice", "x"));
  EXPECT_EQ(Release("bob", "x"), 0);
  EXPECT_EQ(Release("alice", "y"), 0);
  EXPECT_EQ(Release("alice", "x", static_cast<uint64_t>(token - 1)), 0);
  EXPECT_EQ(Release("alice", "x", static_cast<uint64_t>(token)), 1);
  EXPECT_EQ(Release("alice", "x"), 0);
  EXPECT_EQ(table.figures().locks, 0U);
  EXPECT_EQ(table.figures().owners, 0U);
}

TEST_F(LockTableTest, AReleaseEndsTheOwnersWait) {
  Acquire("alice", "x");
  Acquire("bob", "x", kForever);
  const RequestId waiting = last;
  EXPECT_EQ(Release("bob", "x", 7), 0);  // Speaks of a grant that is not there: the wait goes on.
  EXPECT_EQ(AnswerTo(waiting), std::nullopt);
  EXPECT_EQ(Release("bob", "x"), 0);
  EXPECT_EQ(AnswerTo(waiting), Reply::Nil());
}

TEST_F(LockTableTest, ReleaseAllEndsAllLocksAndWaitsOfTheOwner) {
  Acquire("alice", "x");
  Acquire("alice", "y");
  Acquire("bob", "z");
  Acquire("alice", "z", kForever);
  const RequestId waiting = last;
  EXPECT_EQ(ReleaseAll("alice"), 2);
  EXPECT_EQ(AnswerTo(waiting), Reply::Nil());
  EXPECT_EQ(Holders("x") + Holders("y"), "");
  EXPECT_EQ(Holders("z"), "bob");
}

TEST_F(LockTableTest, ReleaseAllWithATokenIsEveryLockOfThatGrant) {
  const auto token = static_cast<uint64_t>(TokenOf(Acquire("alice", Names{"a", "b"}, kTry, {})));
  Acquire("alice", "c");
  EXPECT_EQ(Release("alice", "a", token, true), 2);
  EXPECT_EQ(Holders("c"), "alice");
}

TEST_F(LockTableTest, ARevokedHolderIsOutAndTheNextOneIn) {
  const int64_t token = TokenOf(Acquire("alice", "x"));
  Acquire("bob", "x", kForever);
  EXPECT_EQ(Revoke("x", "carol"), 0);
  EXPECT_EQ(Revoke("x"), 1);
  EXPECT_FALSE(Check("x", token));
  EXPECT_EQ(Holders("x"), "bob");
  EXPECT_EQ(Renew("alice", "x"), 0);  // Trap 36.
}

// ---- Shared locks, upgrades, downgrades, semaphores. ----

TEST_F(LockTableTest, OneReleaseGrantsAllReadersAtTheHeadEachWithItsOwnToken) {
  Acquire("alice", "x");
  std::vector<RequestId> readers;
  for (const char* owner : {"r1", "r2", "r3"}) {
    Share(owner, "x", kForever);
    readers.push_back(last);
  }
  Acquire("writer", "x", kForever);
  Share("r4", "x", kForever);
  Release("alice", "x");
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(AnswerTo(readers[static_cast<size_t>(i)]), Reply::Integer(Now() + i));
  }
  EXPECT_EQ(Holders("x"), "r1,r2,r3");
  EXPECT_EQ(Waiters("x"), "writer,r4");
  EXPECT_EQ(Info("x", "state"), Reply::Bulk("SHARED"));
  const int64_t newest = Now() + 2;
  EXPECT_EQ(TokenOf(Acquire("alice", "y")), newest + 1);  // Above all of them.
}

TEST_F(LockTableTest, AFloodOfReadersDoesNotStarveAWriter) {  // Trap 45.
  Share("r0", "x");
  Acquire("writer", "x", kForever);
  const RequestId writer = last;
  for (int i = 1; i < 50; ++i) {
    EXPECT_EQ(Share("r" + std::to_string(i), "x", kForever), std::nullopt);
  }
  Release("r0", "x");
  EXPECT_EQ(AnswerTo(writer), Reply::Integer(Now()));
  Release("writer", "x");
  EXPECT_EQ(table.figures().holds, 49U);
}

TEST_F(LockTableTest, TheOnlyReaderIsUpgradedAtOnceWithANewToken) {
  const int64_t shared = TokenOf(Share("alice", "x"));
  Share("bob", "x");
  Acquire("carol", "x", kForever);
  Release("bob", "x");
  const int64_t alone = TokenOf(Acquire("alice", "x"));  // Ahead of carol, who waits for it anyway.
  EXPECT_EQ(alone, Now());
  EXPECT_FALSE(Check("x", shared));
  EXPECT_TRUE(Check("x", alone));
}

TEST_F(LockTableTest, AnUpgradeWaitsForTheOtherReadersAheadOfTheQueue) {
  Share("alice", "x");
  Share("bob", "x");
  Acquire("carol", "x", kForever);
  EXPECT_EQ(Acquire("alice", "x"), Reply::Nil());
  EXPECT_EQ(Acquire("alice", "x", kForever), std::nullopt);
  const RequestId upgrade = last;
  EXPECT_EQ(Waiters("x"), "alice,carol");
  Release("bob", "x");
  EXPECT_EQ(AnswerTo(upgrade), Reply::Integer(Now()));
  EXPECT_EQ(Info("x", "state"), Reply::Bulk("LOCKED"));
}

TEST_F(LockTableTest, ASecondUpgraderIsADeadlockAtOnce) {  // Trap 44.
  Share("alice", "x");
  Share("bob", "x");
  Acquire("alice", "x", kForever);
  const RequestId upgrade = last;
  EXPECT_EQ(TextOf(Acquire("bob", "x", kForever)),
            "DEADLOCK waiting for 'x' would close a cycle: bob -> x -> alice -> x -> bob; all "
            "locks of 'bob' were released; try again");
  EXPECT_EQ(AnswerTo(upgrade), Reply::Integer(Now()));
}

TEST_F(LockTableTest, ADowngradeKeepsTheTokenAndLetsReadersInButNoWriter) {  // Trap 43.
  const int64_t token = TokenOf(Acquire("alice", "x"));
  Share("reader", "x", kForever);
  Acquire("writer", "x", kForever);
  EXPECT_EQ(Share("alice", "x"), Reply::Integer(token));
  EXPECT_EQ(Holders("x"), "alice,reader");
  EXPECT_EQ(Waiters("x"), "writer");
}

TEST_F(LockTableTest, ALimitMakesASemaphore) {
  for (const char* owner : {"a", "b", "c"}) TokenOf(Acquire(owner, Names{"x"}, kTry, Shared(3)));
  EXPECT_EQ(Acquire("d", Names{"x"}, kTry, Shared(3)), Reply::Nil());
  Acquire("d", Names{"x"}, kForever, Shared(3));
  const RequestId waiting = last;
  EXPECT_EQ(Info("x", "limit"), Reply::Integer(3));
  Release("b", "x");
  EXPECT_EQ(AnswerTo(waiting), Reply::Integer(Now()));
  EXPECT_EQ(Holders("x"), "a,c,d");
}

TEST_F(LockTableTest, AllWhoShareALockMustGiveTheSameLimit) {
  Acquire("a", Names{"x"}, kTry, Shared(3));
  const uint64_t before = table.Hash();
  EXPECT_EQ(TextOf(Acquire("b", Names{"x"}, kForever, Shared(4))),
            "ERR lock 'x' has LIMIT 3 in force; ask with the same, or when it is free; nothing was "
            "changed");
  EXPECT_TRUE(Share("b", "x")->is_error());
  EXPECT_EQ(table.Hash(), before);
  Share("a", "y");
  EXPECT_EQ(TextOf(Acquire("b", Names{"y"}, kTry, Shared(2))),
            "ERR lock 'y' is shared without LIMIT now; ask without LIMIT, or when it is free; "
            "nothing was changed");
}

TEST_F(LockTableTest, ALimitLivesAsLongAsTheLockHasHoldersOrWaiters) {
  Acquire("a", Names{"x"}, kTry, Shared(3));
  Acquire("b", "x", kForever);
  Release("a", "x");  // b holds it now, exclusively; the limit stands.
  EXPECT_TRUE(Acquire("c", Names{"x"}, kTry, Shared(5))->is_error());
  Release("b", "x");
  EXPECT_FALSE(Acquire("c", Names{"x"}, kTry, Shared(5))->is_error());
}

// ---- Several locks at once. ----

TEST_F(LockTableTest, SeveralLocksAreGrantedAllOrNone) {  // Trap 50.
  Acquire("bob", "b");
  EXPECT_EQ(Acquire("alice", Names{"a", "b", "c"}, kTry, {}), Reply::Nil());
  EXPECT_EQ(Acquire("alice", Names{"a", "b", "c"}, kForever, {}), std::nullopt);
  const RequestId waiting = last;
  EXPECT_EQ(Holders("a") + Holders("c"), "");
  Release("bob", "b");
  EXPECT_EQ(AnswerTo(waiting), Reply::Integer(Now()));
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(Holders(name), "alice");
    EXPECT_TRUE(Check(name, Now()));
  }
}

TEST_F(LockTableTest, NobodyOvertakesAWaitForSeveralLocksInAnyOfItsLines) {
  Acquire("bob", "b");
  Acquire("alice", Names{"a", "b"}, kForever, {});
  EXPECT_EQ(Acquire("carol", "a"), Reply::Nil());  // Free, but alice is first in line.
  Acquire("carol", "a", kForever);
  const RequestId carol = last;
  EXPECT_EQ(Waiters("a"), "alice,carol");
  Release("alice", "b");  // Gives up waiting.
  EXPECT_EQ(AnswerTo(carol), Reply::Integer(Now()));
}

TEST_F(LockTableTest, AbortingAWaitForSeveralLocksLeavesNothingOfIt) {  // Trap 50.
  Acquire("bob", "b");
  Acquire("alice", Names{"a", "b", "c"}, 100, {});
  Pass(101);
  TokenOf(Acquire("carol", Names{"a", "c"}, kTry, {}));
  EXPECT_EQ(Holders("a") + Holders("c"), "carolcarol");
  EXPECT_EQ(Waiters("b"), "");
}

TEST_F(LockTableTest, AskingAgainForSeveralLocksGivesTheSameToken) {
  const int64_t token = TokenOf(Acquire("alice", Names{"a", "b"}, kTry, {}));
  EXPECT_EQ(Acquire("alice", Names{"b", "a"}, kForever, {}), Reply::Integer(token));
  EXPECT_EQ(Acquire("alice", Names{"b"}, kTry, {}), Reply::Integer(token));
}

TEST_F(LockTableTest, TheTokenOfSeveralLocksIsGoodForAllOfThemEvenIfSomeWereHeldBefore) {
  const int64_t before = TokenOf(Acquire("alice", "a"));
  const int64_t token = TokenOf(Acquire("alice", Names{"a", "b"}, kTry, {}));
  EXPECT_EQ(token, Now());
  EXPECT_TRUE(Check("a", token) && Check("b", token));
  EXPECT_FALSE(Check("a", before));
}

TEST_F(LockTableTest, AHeldPartOfAWaitThatIsRevokedGoesBackToItsPlace) {
  Acquire("alice", "a");
  Acquire("bob", "b");
  Acquire("alice", Names{"a", "b"}, kForever, {});
  const RequestId waiting = last;
  Acquire("carol", "a", kForever);
  EXPECT_EQ(Waiters("a"), "carol");
  EXPECT_EQ(Revoke("a"), 1);
  EXPECT_EQ(Waiters("a"), "alice,carol");  // It asked first.
  Release("bob", "b");
  EXPECT_EQ(AnswerTo(waiting), Reply::Integer(Now()));
}

// ---- An owner's own waits. ----

TEST_F(LockTableTest, ARetryKeepsItsPlaceAndTakesTheAnswer) {
  Acquire("alice", "x");
  Acquire("bob", "x", kForever);
  const RequestId first = last;
  Acquire("carol", "x", kForever);
  EXPECT_EQ(Acquire("bob", "x", 5'000), std::nullopt);
  const RequestId second = last;
  EXPECT_EQ(AnswerTo(first), Reply::Nil());
  EXPECT_EQ(Waiters("x"), "bob,carol");
  Release("alice", "x");
  EXPECT_EQ(AnswerTo(second), Reply::Integer(Now()));
}

TEST_F(LockTableTest, ARetryInAnotherModeKeepsItsPlaceInThatMode) {
  Share("alice", "x");
  Acquire("bob", "x", kForever);
  Share("carol", "x", kForever);
  const RequestId carol = last;
  Share("bob", "x", kForever);  // Thinks better of it: nothing is in the way any more.
  EXPECT_EQ(Holders("x"), "alice,bob,carol");
  EXPECT_EQ(AnswerTo(carol), Reply::Integer(Now() + 1));
}

TEST_F(LockTableTest, ARequestThatOverlapsAnOlderWaitEndsIt) {
  Acquire("alice", "a");
  Acquire("bob", Names{"a", "b"}, kForever, {});
  const RequestId older = last;
  EXPECT_EQ(Acquire("bob", "a", kForever), std::nullopt);
  EXPECT_EQ(AnswerTo(older), Reply::Nil());
  EXPECT_EQ(Waiters("a"), "bob");
  EXPECT_EQ(Waiters("b"), "");
}

TEST_F(LockTableTest, ATryThatGetsNothingLeavesTheOwnersWaitAlone) {
  Acquire("alice", "a");
  Acquire("bob", Names{"a", "b"}, kForever, {});
  const RequestId waiting = last;
  EXPECT_EQ(Acquire("bob", "a"), Reply::Nil());
  EXPECT_EQ(AnswerTo(waiting), std::nullopt);
  Release("alice", "a");
  EXPECT_EQ(AnswerTo(waiting), Reply::Integer(Now()));
  EXPECT_TRUE(Check("b", Now()));
}

// The older one, granted later, would change the token or the mode under the newer one's feet.
TEST_F(LockTableTest, ANewerRequestThatIsGrantedAtOnceEndsTheOwnersOlderWaits) {
  Options shared;
  shared.mode = LockMode::kShared;
  Acquire("carol", "y");
  Acquire("alice", Names{"x", "y"}, kForever, shared);
  const RequestId older = last;
  // Its own wait is first in line for x: nobody is overtaken.
  const int64_t token = TokenOf(Acquire("alice", "x"));
  EXPECT_EQ(AnswerTo(older), Reply::Nil());
  Release("carol", "y");
  EXPECT_TRUE(Check("x", token));
  EXPECT_EQ(Share("bob", "x"), Reply::Nil());
}

TEST_F(LockTableTest, AnExclusiveWaitEndsWhenItsOwnerTakesTheLockSharedMeanwhile) {
  Share("bob", "x");
  Acquire("alice", "x", kForever);
  const RequestId older = last;
  const int64_t token = TokenOf(Share("alice", "x"));
  EXPECT_EQ(AnswerTo(older), Reply::Nil());
  Release("bob", "x");
  EXPECT_TRUE(Check("x", token));
}

// ---- Time. ----

// A stamp is cut to whole milliseconds: what is stamped with the deadline may have come before it.
TEST_F(LockTableTest, ALeaseEndsAfterItsDeadlineAndNotBefore) {
  const int64_t token = TokenOf(Acquire("alice", Names{"x"}, kTry, Lease(1'000)));
  EXPECT_EQ(table.NextDeadline(), at.time + 1'000);
  Pass(1'000);
  EXPECT_TRUE(Check("x", token));
  EXPECT_EQ(Field(Info("x", "holders").items[0], "ttl"), Reply::Integer(1));
  Acquire("bob", "x", kForever);
  const RequestId bob = last;
  Pass(1);
  EXPECT_EQ(AnswerTo(bob), Reply::Integer(Now()));
  EXPECT_FALSE(Check("x", token));
}

TEST_F(LockTableTest, ARenewedLeaseLivesOnAndALateRenewalIsZero) {
  Acquire("alice", Names{"x"}, kTry, Lease(1'000));
  Acquire("alice", Names{"y"}, kTry, Lease(1'000));
  Pass(900);
  EXPECT_EQ(Renew("alice", "x", 1'000), 1);
  Pass(900);
  EXPECT_EQ(Holders("x"), "alice");
  EXPECT_EQ(Renew("alice", "y", 1'000), 0);
  EXPECT_EQ(Renew("alice", "-", 1'000, true), 1);
  EXPECT_EQ(table.NextDeadline(), at.time + 1'000);
}

TEST_F(LockTableTest, AQueryDoesNotWaitForTheEntryThatEndsALease) {
  const int64_t token = TokenOf(Acquire("alice", Names{"x"}, kTry, Lease(1'000)));
  at.time = at.time + 1'001;  // The leader's clock, before it has proposed anything.
  EXPECT_FALSE(Check("x", token));
  EXPECT_EQ(Info("x", "state"), Reply::Bulk("FREE"));
  EXPECT_TRUE(Field(Ask(OwnerQuery{"alice"}), "locks").items.empty());
  EXPECT_TRUE(Ask(ListQuery{}).items[1].items.empty());
}

TEST_F(LockTableTest, AWaiterIsAnsweredNilAfterItsDeadlineAndNeverGetsTheLock) {  // Trap 41.
  Acquire("alice", "x");
  Acquire("bob", "x", 500);
  const RequestId bob = last;
  Pass(500);
  EXPECT_EQ(AnswerTo(bob), std::nullopt);
  Pass(1);
  EXPECT_EQ(AnswerTo(bob), Reply::Nil());
  Release("alice", "x");
  EXPECT_EQ(Holders("x"), "");
}

TEST_F(LockTableTest, AWaiterWhoseDeadlineIsBeforeTheEndOfTheLeaseIsSkipped) {  // Trap 40.
  Acquire("alice", Names{"x"}, kTry, Lease(1'000));
  Acquire("bob", "x", 999);
  const RequestId bob = last;
  Acquire("carol", "x", 5'000);
  const RequestId carol = last;
  Pass(3'000);  // All at once, as after an election.
  EXPECT_EQ(AnswerTo(bob), Reply::Nil());
  EXPECT_EQ(AnswerTo(carol), Reply::Integer(Now()));
}

TEST_F(LockTableTest, OfALeaseAndAWaitThatEndTogetherTheOneThatBeganFirstEndsFirst) {
  Acquire("alice", Names{"x"}, kTry, Lease(1'000));
  Acquire("bob", "x", 1'000);  // Began later: gets the lock at the last moment.
  const RequestId bob = last;
  Acquire("carol", "y");
  Acquire("dave", "y", 1'000);
  const RequestId dave = last;
  Release("carol", "y");  // dave holds it, began later than...
  Acquire("erin", "y", 1'000);
  const RequestId erin = last;
  Pass(1'001);
  EXPECT_EQ(AnswerTo(bob), Reply::Integer(Now()));
  EXPECT_EQ(AnswerTo(dave), Reply::Integer(Now() - 2));
  EXPECT_EQ(AnswerTo(erin), Reply::Nil());  // dave's lease is longer.
}

TEST_F(LockTableTest, ItMakesNoDifferenceInHowManyStepsTimePasses) {
  LockDriver often;
  for (LockDriver* driver : {static_cast<LockDriver*>(this), &often}) {
    driver->Acquire("a", Names{"x"}, kTry, Lease(100));
    driver->Acquire("b", Names{"x"}, 150, Lease(100'000));
    driver->Acquire("c", Names{"x"}, 90, Lease(100));
    driver->Acquire("d", Names{"y"}, kTry, Lease(300));
    driver->Acquire("e", Names{"y", "x"}, 400, Lease(100));
  }
  Pass(500);
  for (int i = 0; i < 50; ++i) often.Pass(10);
  EXPECT_EQ(Holders("x"), often.Holders("x"));
  EXPECT_EQ(Holders("y"), often.Holders("y"));
  EXPECT_EQ(answers.size(), often.answers.size());
}

TEST_F(LockTableTest, AHundredThousandLeasesEndInOneEntry) {  // Trap 51.
  check_invariants = false;
  for (int i = 0; i < 100'000; ++i) {
    Acquire("owner" + std::to_string(i % 1'000), Names{"lock" + std::to_string(i)}, kTry,
            Lease(1'000));
  }
  EXPECT_EQ(table.figures().holds, 100'000U);
  Pass(1'001);
  EXPECT_EQ(effects.events.size(), 100'000U);
  EXPECT_EQ(table.figures().locks, 0U);
  EXPECT_EQ(table.figures().owners, 0U);
  EXPECT_EQ(table.NextDeadline(), kNeverCluster);
  table.CheckInvariants();
}

}  // namespace
}  // namespace lockstep
