// The lock table and those who use it: requests that are cancelled, connections that close, nodes
// that end, transactions, limits, and events.
#include "commands/lock_table.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/lock_fixture.h"

namespace lockstep {
namespace {

class LockSessionTest : public LockTest {
 protected:
  // Alice waits for x, which she may hold already, and y; and gets both. Her request.
  RequestId GrantAfterAWait(const Options& options) {
    Acquire("bob", "y");
    Acquire("alice", Names{"x", "y"}, kForever, options);
    const RequestId request = last;
    Release("bob", "y");
    return request;
  }
  // A transaction that asks the same again and again is answered at first, and then refused.
  void ExpectRefusedInTime(const Bytes& query) {
    BatchOp batch;
    for (size_t i = 0; i < kBatchItemsMax; ++i) batch.items.push_back({true, query});
    const std::optional<Reply> reply = Apply(batch.Encode());
    ASSERT_TRUE(reply.has_value());
    EXPECT_FALSE(reply->items.front().is_error());
    EXPECT_TRUE(reply->items.back().is_error());
  }
};
using Why = CancelOp::Why;

// ---- Cancelling, connections, sessions. ----

TEST_F(LockSessionTest, AnUnblockedWaiterIsAnsweredNilOrWithAnError) {
  Acquire("alice", "x");
  Acquire("bob", "x", kForever);
  const RequestId bob = last;
  Acquire("carol", "x", kForever);
  const RequestId carol = last;
  EXPECT_EQ(Cancel(bob, Why::kTimeout), 1);
  EXPECT_EQ(AnswerTo(bob), Reply::Nil());
  EXPECT_EQ(Cancel(carol, Why::kError), 1);
  EXPECT_EQ(TextOf(AnswerTo(carol)), "UNBLOCKED client unblocked via CLIENT UNBLOCK");
  EXPECT_EQ(Cancel(carol, Why::kError), 0);
}

TEST_F(LockSessionTest, ARequestIsEitherGrantedOrCancelledWhicheverComesFirst) {  // Trap 41.
  Acquire("alice", "x");
  Acquire("bob", "x", kForever);
  const RequestId bob = last;
  Release("alice", "x");
  EXPECT_EQ(Cancel(bob, Why::kTimeout), 0);  // Too late: bob has it, and has been told.
  EXPECT_EQ(Holders("x"), "bob");
}

TEST_F(LockSessionTest, AGrantThatCrossedTheClosingOfItsConnectionIsGivenBack) {
  Acquire("alice", "x");
  Acquire("bob", "x", kForever);
  const RequestId bob = last;
  Acquire("carol", "x", kForever);
  Release("alice", "x");
  EXPECT_EQ(Cancel(bob, Why::kGone), 1);
  EXPECT_EQ(Holders("x"), "carol");
}

TEST_F(LockSessionTest, AGrantThatItsOwnerKnowsOfIsNotGivenBack) {
  for (const char* name : {"x", "y", "z"}) {
    Acquire("alice", name);
    Acquire("bob", name, kForever);
    const RequestId bob = last;
    Release("alice", name);
    if (name[0] == 'x') Acquire("bob", name);  // Sent again over a new connection.
    if (name[0] == 'y') Renew("bob", name);
    if (name[0] == 'z') Renew("bob", "-", kTtl, true);  // A heartbeat for all knows of none.
    EXPECT_EQ(Cancel(bob, Why::kGone), name[0] == 'z' ? 1 : 0);
  }
  EXPECT_EQ(Holders("x") + Holders("y") + Holders("z"), "bobbob");
}

TEST_F(LockSessionTest, AnUpgradeThatNobodyHeardOfFallsBackToWhatWasHeld) {
  const int64_t token = TokenOf(Share("alice", "x"));
  Share("bob", "x");
  Acquire("alice", "x", kForever);
  const RequestId upgrade = last;
  Share("carol", "x", kForever);
  Release("bob", "x");
  EXPECT_EQ(Info("x", "state"), Reply::Bulk("LOCKED"));
  EXPECT_EQ(Cancel(upgrade, Why::kGone), 1);
  EXPECT_TRUE(Check("x", token));
  EXPECT_EQ(Holders("x"), "alice,carol");
}

// The connection that it was bound to has closed while another one's grant hid the bond.
TEST_F(LockSessionTest, AGrantThatNobodyHeardOfFallsBackToNoBondThatHasEnded) {
  Acquire("alice", Names{"x"}, kTry, Bound(7));
  const RequestId both = GrantAfterAWait({});
  Apply(HangupOp{origin, incarnation, ClientId{7}}.Encode());
  EXPECT_EQ(Holders("x"), "alice");  // Another connection of hers may know of the grant.
  EXPECT_EQ(Cancel(both, Why::kGone), 1);
  EXPECT_EQ(Holders("x") + Holders("y"), "");
}

TEST_F(LockSessionTest, ALockThatWasBoundToOneConnectionAndIsToAnotherEndsOnceWithTheirNode) {
  Acquire("alice", Names{"x"}, kTry, Bound(7));
  GrantAfterAWait(Bound(8));
  ++at.index.value;
  effects = {};
  table.EndSessions(at, origin, incarnation + 1, &effects);
  EXPECT_EQ(Holders("x") + Holders("y"), "");
}

TEST_F(LockSessionTest, AGrantThatNobodyHeardOfFallsBackToTheLeaseOfBefore) {
  Acquire("alice", Names{"x"}, kTry, Lease(1000));
  const RequestId both = GrantAfterAWait(Lease(100'000));
  EXPECT_EQ(Cancel(both, Why::kGone), 1);
  EXPECT_EQ(Holders("x"), "alice");
  Pass(1001);
  EXPECT_EQ(Holders("x"), "");

  Acquire("alice", Names{"x"}, kTry, Lease(1000));
  const RequestId late = GrantAfterAWait(Lease(100'000));
  Pass(1001);
  EXPECT_EQ(Holders("x"), "alice");
  EXPECT_EQ(Cancel(late, Why::kGone), 1);
  EXPECT_EQ(Holders("x"), "") << "the lease of before is over";

  Acquire("alice", Names{"x"}, kTry, Lease(1000));
  const RequestId renewed = GrantAfterAWait(Lease(100'000));
  Renew("alice", "-", 5000, true);  // A heartbeat for what she held before, for all it says.
  Pass(3000);
  EXPECT_EQ(Cancel(renewed, Why::kGone), 1);
  EXPECT_EQ(Holders("x"), "alice");
}

TEST_F(LockSessionTest, SeveralLocksThatNobodyHeardOfAreAllGivenBack) {
  Acquire("alice", "b");
  Acquire("bob", Names{"a", "b", "c"}, kForever, {});
  const RequestId bob = last;
  Release("alice", "b");
  EXPECT_EQ(Cancel(bob, Why::kGone), 1);
  EXPECT_EQ(table.figures().locks, 0U);
}

TEST_F(LockSessionTest, AHangupEndsWhatIsBoundToTheConnectionAndNothingElse) {
  Acquire("alice", Names{"x"}, kTry, Bound(7));
  Acquire("alice", Names{"y"}, kTry, Bound(8));
  Acquire("alice", "z");
  Acquire("bob", Names{"z"}, kForever, Bound(7));
  const RequestId bob = last;
  EXPECT_EQ(Apply(HangupOp{origin, incarnation, ClientId{7}}.Encode()), Reply::Integer(2));
  EXPECT_EQ(AnswerTo(bob), Reply::Nil());
  EXPECT_EQ(Holders("x"), "");
  EXPECT_EQ(Holders("y") + Holders("z"), "alicealice");
}

TEST_F(LockSessionTest, TheNewestRequestDecidesWhatAGrantIsBoundTo) {
  Acquire("alice", Names{"x"}, kTry, Bound(7));
  Acquire("alice", Names{"x"}, kTry, Bound(8));  // The client came back over another connection.
  Apply(HangupOp{origin, incarnation, ClientId{7}}.Encode());
  EXPECT_EQ(Holders("x"), "alice");
  Acquire("alice", "x");  // And now without BIND.
  Apply(HangupOp{origin, incarnation, ClientId{8}}.Encode());
  EXPECT_EQ(Holders("x"), "alice");
}

TEST_F(LockSessionTest, TheEndOfANodesSessionsEndsItsWaitsAndBoundGrants) {
  Acquire("alice", Names{"x"}, kTry, Bound(7));
  Acquire("alice", "y");
  Acquire("bob", "y", kForever);
  origin = NodeId{2};
  Acquire("carol", "y", kForever);
  const RequestId carol = last;
  effects = {};
  ++at.index.value;
  table.EndSessions(at, NodeId{1}, 2, &effects);
  table.CheckInvariants();
  EXPECT_EQ(Holders("x"), "");
  EXPECT_EQ(Waiters("y"), "carol");
  Release("alice", "y");
  EXPECT_EQ(AnswerTo(carol), Reply::Integer(Now()));
}

TEST_F(LockSessionTest, TheEndOfOlderSessionsLeavesTheLivingOneAlone) {
  incarnation = 5;
  Acquire("alice", Names{"x"}, kTry, Bound(7));
  Acquire("bob", "x", kForever);
  const uint64_t before = table.Hash();
  table.EndSessions(at, NodeId{1}, 5, &effects);
  table.EndSessions(at, NodeId{1}, 0, &effects);
  EXPECT_EQ(table.Hash(), before);
}

// ---- Batches. ----

TEST_F(LockSessionTest, ABatchIsOneEntryWithAnAnswerForEachItem) {
  Acquire("bob", "y");
  AcquireOp take;
  take.names = {"x"};
  take.owner = "alice";
  take.ttl_ms = kTtl;
  take.wait_ms = 0;
  AcquireOp wait = take;
  wait.names = {"y"};
  AcquireOp more = take;
  more.names = {"z"};
  const CheckQuery check{"x", at.index.value + 1};
  BatchOp batch;
  batch.items = {{false, take.Encode()},          {true, check.Encode()},
                 {false, wait.Encode()},          {false, more.Encode()},
                 {false, BatchOp{}.Encode()},     {false, CancelOp{}.Encode()},
                 {false, "not an operation"},     {true, "not a query"},
                 {false, ReleaseOp{"x", "alice", std::nullopt, false}.Encode()}};
  const std::optional<Reply> reply = Apply(batch.Encode());
  ASSERT_TRUE(reply.has_value());
  ASSERT_EQ(reply->items.size(), batch.items.size());
  EXPECT_EQ(reply->items[0], Reply::Integer(Now()));
  EXPECT_EQ(reply->items[1], Reply::Integer(1));
  EXPECT_EQ(reply->items[2], Reply::Nil());  // Nothing waits inside.
  EXPECT_EQ(reply->items[3], Reply::Integer(Now() + 1));
  for (size_t i = 4; i < 8; ++i) EXPECT_TRUE(reply->items[i].is_error()) << i;
  EXPECT_EQ(reply->items[8], Reply::Integer(1));
}

// Every node makes every answer of a batch, and keeps it until the client has it.
TEST_F(LockSessionTest, QueriesInABatchAnswerNoMoreThanOneReplyMayHold) {
  check_invariants = false;
  for (int i = 0; i < 2'000; ++i) Acquire("o", Bytes(1000, 'n') + std::to_string(i));
  BatchOp batch;
  ListQuery list;
  list.pattern = "*";
  list.count = kLockRowsMax;
  for (int i = 0; i < 1'000; ++i) batch.items.push_back({true, list.Encode()});
  AcquireOp take;
  take.names = {"last"};
  take.owner = "o";
  take.ttl_ms = kTtl;
  batch.items.push_back({false, take.Encode()});

  const std::optional<Reply> reply = Apply(batch.Encode());

  ASSERT_TRUE(reply.has_value());
  ASSERT_EQ(reply->items.size(), batch.items.size());
  EXPECT_LT(ReplyCost(*reply), kReplyCostMax);
  EXPECT_GT(reply->items[0].items[1].items.size(), 500U);
  EXPECT_EQ(reply->items[999].text.substr(0, 6), "LIMIT ");
  EXPECT_EQ(reply->items[1000].kind, Reply::Kind::kInteger);  // Operations all happen.
}

TEST_F(LockSessionTest, QueriesInABatchLookAtNoMoreThanTheyMayThoughTheyFindNothing) {
  check_invariants = false;
  for (int i = 0; i < 10'000; ++i) Acquire("o", "lock" + std::to_string(i));
  ListQuery list;
  list.pattern = "nothing*";
  list.count = kLockRowsMax;
  ExpectRefusedInTime(list.Encode());
}

TEST_F(LockSessionTest, ChecksInABatchWalkNoMoreHoldersThanTheyMay) {
  check_invariants = false;
  for (int i = 0; i < 10'000; ++i) Share("o" + std::to_string(i), "x");
  ExpectRefusedInTime(CheckQuery{"x", 1'000'000}.Encode());
}

// A heartbeat for all of an owner's locks costs as much as there are, and an entry holds thousands.
TEST_F(LockSessionTest, AnEntryRenewsOnlySoManyLeases) {
  check_invariants = false;
  for (int i = 0; i < 10'000; ++i) Acquire("o", "lock" + std::to_string(i));
  BatchOp batch;
  for (size_t i = 0; i < kBatchItemsMax; ++i) {
    const int64_t ttl_ms = kTtl + static_cast<int64_t>(i);
    batch.items.push_back({false, RenewOp{"-", "o", ttl_ms, true}.Encode()});
  }
  const std::optional<Reply> reply = Apply(batch.Encode());
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->items.front(), Reply::Integer(10'000));
  EXPECT_EQ(reply->items.back().text.substr(0, 5), "LIMIT");
  EXPECT_EQ(Renew("o", "-", kTtl, true), 10'000);  // Another entry.
}

TEST_F(LockSessionTest, APageEndsWhereItHasGrownLongAndTheScanStillMeetsEverything) {
  check_invariants = false;
  constexpr int kLocks = 3'000;
  for (int i = 0; i < kLocks; ++i) Acquire("o", Bytes(1000, 'n') + std::to_string(i));
  ListQuery list;
  list.pattern = "*";
  list.count = kLockRowsMax;
  std::set<Bytes> seen;
  int pages = 0;
  do {
    const Reply page = Ask(list);
    EXPECT_LT(ReplyCost(page), 2 * kPageBytesMax);
    for (const Reply& name : page.items[1].items) EXPECT_TRUE(seen.insert(name.text).second);
    ASSERT_TRUE(ParseUint64(page.items[0].text, &list.cursor));
    ++pages;
  } while (list.cursor != 0);
  EXPECT_EQ(seen.size(), static_cast<size_t>(kLocks));
  EXPECT_GT(pages, 1);
}

TEST_F(LockSessionTest, APatternThatIsHardToMatchGetsShortPages) {
  check_invariants = false;
  for (int i = 0; i < 2'000; ++i) Acquire("o", Bytes(1000, 'a') + std::to_string(i));
  ListQuery list;
  list.pattern = "*" + Bytes(1000, 'a') + "b";
  list.count = kLockRowsMax;
  const Reply page = Ask(list);
  EXPECT_NE(page.items[0].text, "0");  // Not the end: about ten names were looked at.
}

TEST_F(LockSessionTest, AnUnreadableOperationIsAnErrorAndChangesNothing) {
  Acquire("alice", "x");
  const uint64_t before = table.Hash();
  const Bytes op = AcquireOp{{"y"}, "bob", LockMode::kShared, 5, 5, 5, "m", ClientId{5}}.Encode();
  for (size_t size = 0; size < op.size(); ++size) {
    EXPECT_TRUE(Apply(op.substr(0, size))->is_error()) << size;
  }
  EXPECT_TRUE(Apply(op + "x")->is_error());
  EXPECT_EQ(table.Hash(), before);
}

// ---- Limits. ----

TEST_F(LockSessionTest, OverALimitIsAnErrorThatNamesItAndChangesNothing) {
  LockLimits limits;
  limits.locks_max = 2;
  limits.waiters_per_lock_max = 1;
  limits.locks_per_owner_max = 2;
  LockDriver small(limits);
  small.Acquire("a", "x");
  small.Acquire("a", "y");
  EXPECT_EQ(TextOf(small.Acquire("a", "z")),
            "LIMIT the number of locks is 2 already, the most that this version takes; nothing was "
            "changed");
  small.Acquire("b", "x", kForever);
  EXPECT_EQ(TextOf(small.Acquire("c", "x", kForever)),
            "LIMIT the number of waiters for 'x' is 1 already, the most that this version takes; "
            "nothing was changed");
  // Who waits already does not make the line longer, nor does a holder who wants more.
  EXPECT_EQ(small.Acquire("b", "x", kForever), std::nullopt);
  small.Release("a", "y");
  small.Share("b", "y");
  LockLimits roomy = limits;
  roomy.locks_max = 100;
  LockDriver other(roomy);
  other.Acquire("a", Names{"x", "y"}, kTry, {});
  EXPECT_EQ(TextOf(other.Acquire("a", "z")),
            "LIMIT the number of locks of this owner is 2 already, the most that this version "
            "takes; nothing was changed");
  EXPECT_FALSE(other.Acquire("a", Names{"x", "y"}, kTry, {})->is_error());  // It has them.
}

// ---- Events. ----

TEST_F(LockSessionTest, EventsTellWhatHappenedToALock) {
  Acquire("alice", Names{"jobs/7"}, kTry, Lease(1'000));
  ASSERT_EQ(effects.events.size(), 1U);
  EXPECT_EQ(effects.events[0].channel, "__lock__:jobs/7");
  EXPECT_EQ(effects.events[0].payload,
            R"({"event":"granted","name":"jobs/7","owner":"alice","token":101})");
  Pass(1'001);
  EXPECT_EQ(effects.events[0].payload,
            R"({"event":"expired","name":"jobs/7","owner":"alice","token":101})");
  Acquire("bob", "jobs/7");
  Revoke("jobs/7");
  EXPECT_EQ(effects.events[0].payload,
            R"({"event":"revoked","name":"jobs/7","owner":"bob","token":103})");
}

TEST_F(LockSessionTest, NamesInEventsAreJsonWhateverTheirBytes) {
  const Bytes odd("q\"\\\n\0\xff\xc3\xa9\xed\xa0\x80", 11);
  Acquire("o", odd);
  EXPECT_EQ(effects.events[0].payload,
            "{\"event\":\"granted\",\"name\":\"q\\\"\\\\\\u000a\\u0000\\u00ff\xc3\xa9"
            "\\u00ed\\u00a0\\u0080\",\"owner\":\"o\",\"token\":101}");
}

TEST_F(LockSessionTest, WhetherEventsAreWantedChangesNothingElse) {
  LockDriver quiet;
  quiet.table.set_events_wanted(false);
  for (LockDriver* driver : {static_cast<LockDriver*>(this), &quiet}) {
    driver->Acquire("alice", "x");
    driver->Acquire("bob", "x", kForever);
    driver->Release("alice", "x");
  }
  EXPECT_EQ(effects.events.size(), 2U);
  EXPECT_TRUE(quiet.effects.events.empty());
  EXPECT_EQ(table.Hash(), quiet.table.Hash());
}

}  // namespace
}  // namespace lockstep
