// Deadlocks: which are found, who is the victim, what is left alone, and what looking costs.
#include "commands/wait_graph.h"

#include <gtest/gtest.h>

#include "tests/lock_fixture.h"

namespace lockstep {
namespace {

class WaitGraphTest : public LockTest {
 protected:
  static bool IsDeadlock(const std::optional<Reply>& reply) {
    return reply && reply->is_error() && reply->text.starts_with("DEADLOCK ");
  }
  Bytes NewestCircle() {
    const Reply rows = Ask(DeadlocksQuery{1});
    return rows.items.empty() ? Bytes() : Field(rows.items[0], "cycle").text;
  }
};

TEST_F(WaitGraphTest, TheYoungestOwnerOfACycleIsAborted) {
  Acquire("alice", "x");
  Acquire("bob", "y");
  Acquire("alice", "y", kForever);
  const RequestId alice = last;
  EXPECT_EQ(TextOf(Acquire("bob", "x", kForever)),
            "DEADLOCK waiting for 'x' would close a cycle: bob -> x -> alice -> y -> bob; all "
            "locks of 'bob' were released; try again");
  EXPECT_EQ(AnswerTo(alice), Reply::Integer(Now()));  // In the same entry.
}

TEST_F(WaitGraphTest, TheVictimNeedNotBeTheOneWhoClosedTheCycle) {
  Acquire("alice", "x");
  Acquire("bob", "y");
  Acquire("bob", "x", kForever);
  const RequestId bob = last;
  EXPECT_TRUE(GrantedNow(Acquire("alice", "y", kForever)));
  EXPECT_TRUE(IsDeadlock(AnswerTo(bob)));
  EXPECT_EQ(Holders("x") + Holders("y"), "alicealice");
}

TEST_F(WaitGraphTest, ALongCycleIsFoundWhenItsLastWaitBegins) {  // Trap 46.
  constexpr int kOwners = 100;
  const auto owner = [](int i) { return "o" + std::to_string(i); };
  const auto lock = [](int i) { return "l" + std::to_string(i % kOwners); };
  for (int i = 0; i < kOwners; ++i) Acquire(owner(i), lock(i));
  for (int i = 0; i + 1 < kOwners; ++i) {
    EXPECT_EQ(Acquire(owner(i), lock(i + 1), kForever), std::nullopt);
  }
  EXPECT_TRUE(IsDeadlock(Acquire(owner(kOwners - 1), lock(kOwners), kForever)));
  EXPECT_EQ(Holders(lock(kOwners - 1)), owner(kOwners - 2));
  EXPECT_EQ(table.figures().deadlocks, 1U);
}

TEST_F(WaitGraphTest, AllVictimsWaitsAreAnsweredAndAllItsLocksReleased) {
  Acquire("alice", "x");
  Acquire("bob", "y");
  Acquire("bob", "z");
  Acquire("carol", "w");
  Acquire("bob", "w", kForever);
  const RequestId elsewhere = last;
  Acquire("dave", "z", kForever);
  const RequestId dave = last;
  Acquire("alice", "y", kForever);
  EXPECT_TRUE(IsDeadlock(Acquire("bob", "x", kForever)));
  EXPECT_TRUE(IsDeadlock(AnswerTo(elsewhere)));
  EXPECT_EQ(Holders("z"), "dave");
  EXPECT_FALSE(AnswerTo(dave)->is_error());
  EXPECT_EQ(Waiters("w"), "");
  EXPECT_EQ(table.figures().owners, 4U);  // bob's age is remembered.
}

TEST_F(WaitGraphTest, OneWaitThatClosesTwoCyclesLeavesNeither) {
  Acquire("alice", "x");  // Oldest.
  Share("bob", "s");
  Share("carol", "s");
  Acquire("bob", "x", kForever);
  const RequestId bob = last;
  Acquire("carol", "x", kForever);
  const RequestId carol = last;
  EXPECT_FALSE(IsDeadlock(Acquire("alice", "s", kForever)));
  EXPECT_TRUE(IsDeadlock(AnswerTo(bob)));
  EXPECT_TRUE(IsDeadlock(AnswerTo(carol)));
  EXPECT_EQ(Holders("s"), "alice");
}

TEST_F(WaitGraphTest, WhoIsAheadInTheQueueCountsForNobodyIsOvertaken) {
  Share("alice", "s");
  Acquire("bob", "x");
  Acquire("bob", "s", kForever);  // Behind alice's share.
  Share("carol", "y");
  // carol's share of s would be compatible with alice's; but bob is ahead of it.
  EXPECT_EQ(Share("carol", "s", kForever), std::nullopt);
  const RequestId carol = last;
  EXPECT_TRUE(GrantedNow(Acquire("bob", "y", kForever)));  // What the victim held.
  EXPECT_TRUE(IsDeadlock(AnswerTo(carol)));
  EXPECT_EQ(NewestCircle(), "carol -> s -> bob -> y -> carol");
}

TEST_F(WaitGraphTest, AReaderAheadIsNotInTheWayOfAReader) {
  Acquire("alice", "s");
  Share("bob", "s", kForever);
  Acquire("carol", "x");
  Share("carol", "s", kForever);  // Behind bob, but they will be granted together.
  EXPECT_EQ(Acquire("bob", "x", kForever), std::nullopt);  // No cycle: carol does not need bob.
  EXPECT_EQ(table.figures().deadlocks, 0U);
  Release("alice", "s");
  EXPECT_EQ(Holders("s"), "bob,carol");
}

TEST_F(WaitGraphTest, ACycleThroughTheLinesOfSeveralLocksIsFound) {
  Acquire("holder", "a");
  Acquire("alice", "m");
  EXPECT_EQ(Acquire("bob", Names{"a", "m"}, kForever, Shared()), std::nullopt);
  const RequestId bob = last;
  // alice could share a with bob, but bob is ahead and hangs on m, which alice holds.
  EXPECT_EQ(Share("alice", "a", kForever), std::nullopt);
  EXPECT_TRUE(IsDeadlock(AnswerTo(bob)));
  EXPECT_EQ(NewestCircle(), "bob -> m -> alice -> a -> bob");
}

TEST_F(WaitGraphTest, AnEndedWaitMakesNoCycle) {  // Trap 47: no victim by a stale edge.
  Acquire("alice", "x");
  Acquire("bob", "y");
  Acquire("alice", "y", 100);
  Pass(101);
  EXPECT_EQ(Acquire("bob", "x", kForever), std::nullopt);
  Acquire("carol", "z");
  Acquire("bob", "z", kForever);
  Release("carol", "z");
  EXPECT_EQ(Acquire("carol", "y", kForever), std::nullopt);
  EXPECT_EQ(table.figures().deadlocks, 0U);
}

TEST_F(WaitGraphTest, AnUpgradeThatGetsAheadOfAWaiterMayCloseACycleElsewhere) {
  Acquire("alice", "m");
  Share("bob", "s");
  Share("carol", "s");
  // dave is first in line for s, where there is room, and waits for m.
  EXPECT_EQ(Acquire("dave", Names{"s", "m"}, kForever, Shared()), std::nullopt);
  const RequestId dave = last;
  EXPECT_EQ(Acquire("bob", "m", kForever), std::nullopt);  // Behind dave.
  // Now bob gets ahead of dave, who already is ahead of bob at m.
  EXPECT_EQ(Acquire("bob", "s", kForever), std::nullopt);
  EXPECT_TRUE(IsDeadlock(AnswerTo(dave)));
}

TEST_F(WaitGraphTest, AnUpgradeGrantedAtOnceMayCloseACycleToo) {
  Acquire("alice", "m");
  Share("bob", "s");
  EXPECT_EQ(Acquire("dave", Names{"s", "m"}, kForever, Shared()), std::nullopt);
  const RequestId dave = last;
  EXPECT_EQ(Acquire("bob", "m", kForever), std::nullopt);
  EXPECT_TRUE(GrantedNow(Acquire("bob", "s")));  // The only reader.
  EXPECT_TRUE(IsDeadlock(AnswerTo(dave)));
}

// ---- Semaphores: a cycle through one holder is none while another may let go. ----

TEST_F(WaitGraphTest, AHolderOfASemaphoreThatIsNotStuckBreaksTheCycle) {
  for (const char* owner : {"alice", "bob"}) Acquire(owner, Names{"s"}, kTry, Shared(2));
  Acquire("carol", "x");
  EXPECT_EQ(Acquire("alice", "x", kForever), std::nullopt);
  EXPECT_EQ(Acquire("carol", Names{"s"}, kForever, Shared(2)), std::nullopt);
  const RequestId carol = last;
  EXPECT_EQ(table.figures().deadlocks, 0U);
  Release("bob", "s");
  EXPECT_EQ(AnswerTo(carol), Reply::Integer(Now()));
}

TEST_F(WaitGraphTest, ASemaphoreWhoseHoldersAreAllStuckIsADeadlock) {
  for (const char* owner : {"alice", "bob"}) Acquire(owner, Names{"s"}, kTry, Shared(2));
  Acquire("carol", "x");
  Acquire("alice", "x", kForever);
  Acquire("carol", Names{"s"}, kForever, Shared(2));
  const RequestId carol = last;
  EXPECT_EQ(Acquire("bob", "x", kForever), std::nullopt);  // The last one that could let go.
  EXPECT_TRUE(IsDeadlock(AnswerTo(carol)));
  EXPECT_EQ(Holders("x"), "alice");
}

TEST_F(WaitGraphTest, AWaitAheadTakesAPlaceOfTheSemaphoreToo) {
  Acquire("alice", Names{"s"}, kTry, Shared(1));
  Acquire("bob", "y");
  Acquire("bob", Names{"s"}, kForever, Shared(1));
  Acquire("carol", "x");
  Acquire("carol", Names{"s"}, kForever, Shared(1));  // Behind bob, who will keep the only place.
  const RequestId carol = last;
  EXPECT_TRUE(GrantedNow(Acquire("bob", "x", kForever)));  // What the victim held.
  EXPECT_TRUE(IsDeadlock(AnswerTo(carol)));
}

// ---- Ages. ----

TEST_F(WaitGraphTest, AVictimThatComesBackKeepsItsAge) {
  Acquire("alice", "x");
  Acquire("bob", "y");
  Acquire("alice", "y", kForever);
  EXPECT_TRUE(IsDeadlock(Acquire("bob", "x", kForever)));
  const Reply age = Field(Ask(OwnerQuery{"bob"}), "age");
  EXPECT_EQ(age, Reply::Integer(102));
  Pass(59'999);
  Acquire("bob", "z");
  EXPECT_EQ(Field(Ask(OwnerQuery{"bob"}), "age"), age);
}

TEST_F(WaitGraphTest, AnAgeIsKeptForAMinuteAfterAnAbortWhateverIsReleasedMeanwhile) {
  Acquire("alice", "x");
  Acquire("bob", "y");
  Acquire("alice", "y", kForever);
  EXPECT_TRUE(IsDeadlock(Acquire("bob", "x", kForever)));
  const Reply age = Field(Ask(OwnerQuery{"bob"}), "age");
  ReleaseAll("alice");

  // Its first lock it gets, the second not: it lets go of all and begins anew, none the younger.
  Acquire("bob", "z");
  Release("bob", "z");
  EXPECT_EQ(Field(Ask(OwnerQuery{"bob"}), "age"), age);

  Pass(60'001);
  EXPECT_EQ(Field(Ask(OwnerQuery{"bob"}), "age"), Reply::Integer(0));
  EXPECT_EQ(table.figures().owners, 0U);
}

TEST_F(WaitGraphTest, AnOwnerThatWasNoVictimIsAsYoungAsItsNextTransaction) {
  Acquire("alice", "x");
  const Reply first = Field(Ask(OwnerQuery{"alice"}), "age");
  ReleaseAll("alice");
  Acquire("alice", "y");
  EXPECT_NE(Field(Ask(OwnerQuery{"alice"}), "age"), first);
}

TEST_F(WaitGraphTest, AVictimThatTriesAgainWinsHoweverManyNewOnesCome) {  // Trap 49.
  int aborts = 0;
  bool won = false;
  for (int round = 0; round < 50 && !won; ++round) {
    // Each round a newcomer takes b, and bob, who holds a, runs into it: the newcomer is always
    // there first in this round, but bob is older from the second round on.
    const Bytes newcomer = "newcomer" + std::to_string(round);
    Acquire(newcomer, "b");
    Acquire("bob", "a");
    const RequestId asked = (Acquire("bob", "b", kForever), last);
    Acquire(newcomer, "a", kForever);
    const std::optional<Reply> answer = AnswerTo(asked);
    ASSERT_TRUE(answer.has_value());
    won = !answer->is_error();
    aborts += won ? 0 : 1;
    if (!won) ReleaseAll(newcomer);
    Pass(1'000);
  }
  EXPECT_TRUE(won);
  EXPECT_EQ(aborts, 1);
}

TEST_F(WaitGraphTest, OwnersThatBeganInOneEntryAreToldApartByName) {
  const auto item = [](const char* owner, const char* name) {
    AcquireOp op;
    op.names = {name};
    op.owner = owner;
    op.ttl_ms = kTtl;
    return BatchOp::Item{false, op.Encode()};
  };
  Apply(BatchOp{{item("zoe", "x"), item("adam", "y")}}.Encode());
  Acquire("adam", "x", kForever);
  const RequestId adam = last;
  EXPECT_TRUE(IsDeadlock(Acquire("zoe", "y", kForever)));
  EXPECT_EQ(AnswerTo(adam), Reply::Integer(Now()));
}

// ---- What is told about it. ----

TEST_F(WaitGraphTest, DeadlocksAreRememberedNewestFirstAndNotWithoutEnd) {
  for (int i = 0; i < 200; ++i) {
    const Bytes n = std::to_string(i);
    Acquire("alice" + n, "x" + n);
    Acquire("bob" + n, "y" + n);
    Acquire("alice" + n, "y" + n, kForever);
    Acquire("bob" + n, "x" + n, kForever);
  }
  Pass(5);
  const Reply rows = Ask(DeadlocksQuery{10'000});
  ASSERT_EQ(rows.items.size(), 128U);
  EXPECT_EQ(Field(rows.items[0], "victim"), Reply::Bulk("bob199"));
  EXPECT_EQ(Field(rows.items[0], "ago"), Reply::Integer(5));
  EXPECT_EQ(Field(rows.items[0], "released"), Reply::Array({Reply::Bulk("y199")}));
  EXPECT_EQ(Ask(DeadlocksQuery{3}).items.size(), 3U);
  EXPECT_EQ(table.figures().deadlocks, 200U);
}

TEST_F(WaitGraphTest, ACycleOfManyLongNamesIsCutShort) {
  constexpr int kOwners = 60;
  const auto owner = [](int i) { return Bytes(900, 'o') + std::to_string(i); };
  const auto lock = [](int i) { return Bytes(900, 'l') + std::to_string(i % kOwners); };
  for (int i = 0; i < kOwners; ++i) Acquire(owner(i), lock(i));
  for (int i = 0; i + 1 < kOwners; ++i) Acquire(owner(i), lock(i + 1), kForever);
  const std::optional<Reply> reply = Acquire(owner(kOwners - 1), lock(kOwners), kForever);
  ASSERT_TRUE(IsDeadlock(reply));
  EXPECT_LT(reply->text.size(), 5'000U);
  EXPECT_NE(reply->text.find(" more) -> "), Bytes::npos);
}

TEST_F(WaitGraphTest, TheGraphNamesWhoIsInTheWay) {
  Acquire("alice", "x");
  Acquire("bob", "x", kForever);
  Share("carol", "s");
  Acquire("dave", "s", kForever);
  Share("erin", "s", kForever);  // Could share with carol, but dave is ahead.
  std::vector<Bytes> rows;
  for (const Reply& row : Ask(GraphQuery{}).items) {
    rows.push_back(row.items[0].text + " " + row.items[1].text + " " + row.items[2].text);
  }
  EXPECT_EQ(rows, (std::vector<Bytes>{"bob x alice", "dave s carol", "erin s dave"}));
}

// ---- The work. ----

TEST_F(WaitGraphTest, AHotLockWithTenThousandWaitersCostsNothingToHandOn) {  // Trap 48.
  check_invariants = false;
  Acquire("first", "hot");
  for (int i = 0; i < 10'000; ++i) {
    const Bytes owner = "o" + std::to_string(i);
    Acquire(owner, "own" + std::to_string(i));  // Holds something that nobody else wants.
    Acquire(owner, "hot", kForever);
  }
  EXPECT_EQ(table.graph_work(), 0U);
  Release("first", "hot");
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(Release("o" + std::to_string(i), "hot"), 1);
  EXPECT_EQ(table.graph_work(), 0U);
  EXPECT_EQ(Holders("hot"), "o1000");
}

// Each wait that is struck out frees the next: it must not cost a look at all of them.
TEST_F(WaitGraphTest, AChainThatEndsInASemaphoreIsLookedAtOnce) {
  check_invariants = false;
  constexpr int kChain = 2'000;
  Options one_of_two;
  one_of_two.mode = LockMode::kShared;
  one_of_two.limit = 2;
  for (int i = 0; i < kChain; ++i) Acquire("o" + std::to_string(i), "l" + std::to_string(i));
  Acquire("a", Names{"s"}, kTry, one_of_two);
  Acquire("b", Names{"s"}, kTry, one_of_two);  // Waits for nothing: the circle is none.
  for (int i = 0; i + 1 < kChain; ++i) {
    Acquire("o" + std::to_string(i), "l" + std::to_string(i + 1), kForever);
  }
  Acquire("o" + std::to_string(kChain - 1), Names{"s"}, kForever, one_of_two);
  const uint64_t before = table.graph_work();
  EXPECT_EQ(Acquire("a", "l0", kForever), std::nullopt);
  EXPECT_LT(table.graph_work() - before, 20U * kChain);
}

TEST_F(WaitGraphTest, AnOwnerIsReachedOnceHoweverManyOfItsLocksAreWaitedFor) {
  check_invariants = false;
  constexpr int kLocks = 1'000;
  Acquire("other", "free");
  for (int i = 0; i < kLocks; ++i) {
    Acquire("hub", "h" + std::to_string(i));
    Acquire("other", "x" + std::to_string(i));
  }
  for (int i = 0; i < kLocks; ++i) Acquire("hub", "x" + std::to_string(i), kForever);
  Acquire("end", "e");
  Acquire("closer", "c");
  Acquire("end", "c", kForever);  // Somebody waits for closer.
  std::vector<Bytes> names;
  for (int i = 0; i < kLocks; ++i) names.push_back("h" + std::to_string(i));
  const uint64_t before = table.graph_work();
  EXPECT_EQ(Acquire("closer", names, kForever, {}), std::nullopt);
  EXPECT_LT(table.graph_work() - before, 10U * kLocks);
}

TEST_F(WaitGraphTest, ASearchVisitsALineOnceHoweverManyOfItsWaitersItMeets) {  // Trap 48.
  check_invariants = false;
  constexpr int kWaiters = 1'000;
  Acquire("first", "hot");
  for (int i = 0; i < kWaiters; ++i) {
    const Bytes n = std::to_string(i);
    Acquire("o" + n, "own" + n);
    Acquire("other" + n, "own" + n, kForever);  // So somebody waits for each of them.
    const uint64_t before = table.graph_work();
    Acquire("o" + n, "hot", kForever);
    // Each of those ahead as a place in the line and as a wait: not each of them from each.
    EXPECT_LE(table.graph_work() - before, 3U * static_cast<uint64_t>(i) + 10U);
  }
}

}  // namespace
}  // namespace lockstep
