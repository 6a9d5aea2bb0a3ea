// What DQ.* promises of one shard: what is pushed twice, how much there may be, how it goes away,
// how it is read.
#include "commands/queue_store.h"

#include <algorithm>

#include "tests/queue_driver.h"

namespace lockstep {
namespace {

using How = NackOp::How;

INSTANTIATE_TEST_SUITE_P(PlainAndReloaded, QueueStoreTest, ::testing::Bool());

// Ids --------------------------------------------------------------------------------------------

TEST_P(QueueStoreTest, APushWithAnIdThatIsKnownAnswersTheFirstNumberAndPushesNothing) {
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.id = "order-7";
  const Bytes first = q_.Do(op).text;
  for (int i = 0; i < 6; ++i) EXPECT_EQ(q_.Do(op).text, first);
  EXPECT_EQ(q_.Len("q"), 1);
  EXPECT_EQ(q_.Info("q", "duplicates"), 6);
  q_.Ack("q", q_.Pop("q").receipt);
  EXPECT_EQ(q_.Do(op).text, first) << "done, and still not done twice";
  EXPECT_EQ(q_.Len("q"), 0);
  q_.Pass(301'001);  // Windows end with a second.
  EXPECT_NE(q_.Do(op).text, first) << "the window is over";
}

TEST_P(QueueStoreTest, IdsOfDifferentQueuesAreDifferent) {
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.id = "1";
  const Bytes first = q_.Do(op).text;
  op.queue = "r";
  EXPECT_NE(q_.Do(op).text, first);
  op.queue = "q";
  const Bytes many_ones(1024, '1');
  op.id = many_ones;
  const Bytes long_id = q_.Do(op).text;
  EXPECT_EQ(q_.Do(op).text, long_id);
}

TEST_P(QueueStoreTest, ARetriedPushIsAnsweredThoughTheQueueIsFullOrPausedByNow) {
  q_.Set("q", "maxlen", 1);
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.id = "1";
  const Bytes first = q_.Do(op).text;
  EXPECT_EQ(q_.Do(op).text, first);
  q_.Do(QueuePauseOp{"q", true, false});
  EXPECT_EQ(q_.Do(op).text, first);
}

// Or whoever asks again after LIMIT is told an id of a message that never was.
TEST_P(QueueStoreTest, AnIdWhosePushWasRefusedIsPushedWhenItIsAskedAgain) {
  q_.Set("q", "maxlen", 1);
  q_.Push("q", "first");
  PushOp op;
  op.queue = "q";
  op.bodies = {"second"};
  op.id = "2";
  EXPECT_TRUE(q_.Do(op).is_error());
  q_.Ack("q", q_.Pop("q").receipt);
  EXPECT_FALSE(q_.Do(op).is_error());
  EXPECT_EQ(q_.PopBody("q"), "second");
}

// Limits -----------------------------------------------------------------------------------------

TEST_P(QueueStoreTest, NoSecondHasMoreThanTheRateAndATenth) {
  q_.Set("q", "rate", 20);
  for (int i = 0; i < 100; ++i) q_.Push("q", "x");
  std::vector<int64_t> times;
  const ClusterTime began = q_.now();
  while (q_.now() - began < 3'000) {
    if (!q_.PopBody("q").empty()) times.push_back(q_.now() - began);
    q_.Pass(5);
  }
  EXPECT_GE(times.size(), 58U);
  EXPECT_LE(times.size(), 63U);
  for (size_t i = 22; i < times.size(); ++i) EXPECT_GE(times[i] - times[i - 22], 1'000) << i;
}

// Nobody asks, nothing is pushed: time alone serves who waits.
TEST_P(QueueStoreTest, WhoWaitsForTheRateIsServedWhenItAllows) {
  q_.Set("q", "rate", 10);
  for (int i = 0; i < 5; ++i) q_.Push("q", "x");
  std::vector<RequestId> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(q_.Block("q"));
  const auto served = [&] {
    return std::count_if(waiting.begin(), waiting.end(),
                         [this](const RequestId& one) { return !q_.Waits(one); });
  };
  EXPECT_EQ(served(), 2) << "one, and one that comes a tenth of a second early";
  for (int i = 3; i <= 5; ++i) {
    EXPECT_LE(q_.store().NextDeadline() - q_.now(), 101);
    q_.Pass(101);
    EXPECT_EQ(served(), i);
  }
  q_.Set("q", "rate", 0);
  for (int i = 0; i < 5; ++i) q_.Push("q", "x");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(q_.PopBody("q"), "x");
}

// What the rate holds back and what else does: neither is looked at again and again.
TEST_P(QueueStoreTest, ARateThatAllowsIsNoReasonToWakeWhereSomethingElseHoldsUp) {
  q_.Set("q", "rate", 1'000);
  q_.Set("q", "concurrency", 1);
  q_.Push("q", "a");
  q_.Push("q", "b");
  EXPECT_EQ(q_.PopBody("q"), "a");
  const RequestId waiting = q_.Block("q");
  q_.Pass(200);
  EXPECT_TRUE(q_.Waits(waiting));
  EXPECT_GT(q_.store().NextDeadline() - q_.now(), 1'000) << "the lease";
}

TEST_P(QueueStoreTest, AFullQueueRefusesAndNamesItsLimit) {
  q_.Set("q", "maxlen", 2);
  q_.Push("q", "a");
  q_.Pop("q");
  q_.Push("q", "b");
  EXPECT_EQ(q_.Push("q", "c").substr(0, 5), "LIMIT");
  EXPECT_EQ(q_.Len("q"), 1);
  q_.Set("q", "maxlen", 0);
  q_.Set("q", "maxbytes", 3);
  EXPECT_EQ(q_.Push("q", "cc").substr(0, 5), "LIMIT");
  EXPECT_EQ(q_.Push("q", "c"), "3.3");
}

TEST_P(QueueStoreTest, AQueueThatDropsItsOldestNeverDropsWhatIsLeased) {
  q_.Set("q", "maxlen", 3);
  q_.Set("q", "overflow", 1);
  for (const char* body : {"a", "b", "c"}) q_.Push("q", body);
  const auto a = q_.Pop("q");
  for (const char* body : {"d", "e", "f"}) q_.Push("q", body);
  EXPECT_EQ(q_.Info("q", "dropped"), 3);
  EXPECT_EQ(q_.Ack("q", a.receipt), 1);
  EXPECT_EQ(q_.PopBody("q"), "e");
  EXPECT_EQ(q_.PopBody("q"), "f");
}

// Whatever a limit that was lowered leaves to be dropped: one entry keeps its node busy for so long
// and no longer.
TEST(QueueLimits, APushDropsNoMoreAtOnceThanAnEntryMayChange) {
  QueueLimits limits;
  limits.changed_max = 10;
  QueueDriver q(limits);
  q.Set("q", "overflow", 1);
  for (int i = 0; i < 30; ++i) q.Push("q", "x");
  q.Set("q", "maxlen", 5);
  q.Push("q", "a");
  EXPECT_EQ(q.Len("q"), 21);
  q.Push("q", "b");
  EXPECT_EQ(q.Len("q"), 12);
  q.Push("q", "c");
  EXPECT_EQ(q.Len("q"), 5);
  q.Push("q", "d");
  EXPECT_EQ(q.Len("q"), 5);
  EXPECT_EQ(q.Info("q", "dropped"), 29);
}

TEST_P(QueueStoreTest, WhatIsMovedIntoAQueueMakesIt) {
  q_.Push("q", "x");
  q_.Do(MoveOp{"q", "r", 0});
  PushOp push;
  push.queue = "r";
  push.bodies = {"y"};
  push.creates = false;
  EXPECT_FALSE(q_.Do(push).is_error());
  push.queue = "s";
  EXPECT_TRUE(q_.Do(push).is_error());
}

TEST_P(QueueStoreTest, WhatCannotFitDropsNothing) {
  q_.Set("q", "maxlen", 2);
  q_.Set("q", "overflow", 1);
  q_.Push("q", "a");
  PushOp op;
  op.queue = "q";
  op.bodies = {"1", "2", "3"};
  op.many = true;
  EXPECT_EQ(q_.Do(op).text.substr(0, 5), "LIMIT");
  EXPECT_EQ(q_.Len("q"), 1);
}

TEST_P(QueueStoreTest, NoMoreAreLeasedThanTheQueueAllows) {
  q_.Set("q", "concurrency", 2);
  for (const char* body : {"a", "b", "c"}) q_.Push("q", body);
  const auto a = q_.Pop("q");
  q_.Pop("q");
  const RequestId waiting = q_.Block("q");
  EXPECT_TRUE(q_.Waits(waiting));
  q_.Ack("q", a.receipt);
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(waiting)).body, "c");
}

TEST_P(QueueStoreTest, PastItsTimeToLiveAMessageIsGoneUnlessItIsBeingWorkedOn) {
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.ttl_ms = 100;
  q_.Do(op);
  q_.Do(op);
  const auto leased = q_.Pop("q");
  q_.Pass(101);
  EXPECT_EQ(q_.Len("q"), 0);
  EXPECT_EQ(q_.Info("q", "expired"), 1);
  EXPECT_EQ(q_.Info("q", "leased"), 1);
  q_.Nack("q", leased.receipt, How::kRelease);
  EXPECT_EQ(q_.Info("q", "expired"), 2);
  EXPECT_EQ(q_.store().figures().messages, 0u);
}

TEST_P(QueueStoreTest, TheQueuesTimeToLiveIsForPushesThatNameNone) {
  q_.Set("q", "ttl", 50);
  q_.Push("q", "x");
  q_.Pass(51);
  EXPECT_EQ(q_.Len("q"), 0);
}

TEST_P(QueueStoreTest, APausedQueueTakesOrGivesNothing) {
  q_.Push("q", "a");
  q_.Do(QueuePauseOp{"q", false, true});
  EXPECT_EQ(q_.PopBody("q"), "");
  const RequestId waiting = q_.Block("q");
  q_.Push("q", "b");
  EXPECT_TRUE(q_.Waits(waiting));
  q_.Do(QueuePauseOp{"q", true, false});
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(waiting)).body, "a");
  EXPECT_EQ(q_.Push("q", "c").substr(0, 5), "LIMIT");
  q_.Do(QueuePauseOp{"q", false, false});
  EXPECT_EQ(q_.PopBody("q"), "b");
}

TEST_P(QueueStoreTest, AnOlderFencingTokenThanWasSeenIsRefused) {
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.fence = 7;
  EXPECT_EQ(q_.Do(op).text, "3.1");
  op.fence = 6;
  EXPECT_EQ(q_.Do(op).text.substr(0, 6), "FENCED");
  op.fence = 7;
  EXPECT_EQ(q_.Do(op).text, "3.2");
  EXPECT_EQ(q_.Push("q", "without"), "3.3");
}

TEST_P(QueueStoreTest, AQueueThatMayNotComeToLifeByItselfIsMadeBySet) {
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.creates = false;
  EXPECT_EQ(q_.Do(op).text.substr(0, 3), "ERR");
  q_.Set("q", "lease", 1000);
  EXPECT_EQ(q_.Do(op).text, "3.1");
}

// Deleting ---------------------------------------------------------------------------------------

TEST_P(QueueStoreTest, DeletedAndPurgedMessagesAreGoneInWhateverState) {
  for (int i = 0; i < 6; ++i) q_.Push("q", "x");
  const auto leased = q_.Pop("q");
  q_.Nack("q", q_.Pop("q").receipt, How::kDead);
  EXPECT_EQ(q_.Do(DeleteOp{"q", {leased.receipt.seq, 2, 3, 3, 99}}).integer, 3);
  EXPECT_EQ(q_.Ack("q", leased.receipt), 0);
  EXPECT_EQ(q_.Do(PurgeOp{"q", 0b1001}).integer, 3);
  EXPECT_EQ(q_.store().figures().messages, 0u);
  EXPECT_EQ(q_.Info("q", "bytes"), 0);
}

TEST_P(QueueStoreTest, APurgeTakesItsSideAndStatesOnly) {
  for (int i = 0; i < 4; ++i) q_.Push("q", "x");
  const auto leased = q_.Pop("q");
  q_.Nack("q", q_.Pop("q").receipt, How::kDead);
  EXPECT_EQ(q_.Do(PurgeOp{"q!dead"}).integer, 1);
  EXPECT_EQ(q_.Do(PurgeOp{"q", 1}).integer, 2);
  EXPECT_EQ(q_.Ack("q", leased.receipt), 1);
}

TEST_P(QueueStoreTest, ADroppedQueueForgetsAllAndItsNumbersAreNotUsedAgain) {
  q_.Set("q", "maxlen", 5);
  q_.Push("q", "x");
  const auto old = q_.Pop("q");
  EXPECT_EQ(q_.Do(DropQueueOp{"q", false}).text.substr(0, 3), "ERR");
  EXPECT_EQ(q_.Do(DropQueueOp{"q", true}).integer, 1);
  EXPECT_EQ(q_.Do(DropQueueOp{"q", true}).integer, 0);
  EXPECT_TRUE(q_.Read(QueueInfoQuery{"q"}).is_nil());
  q_.Push("q", "new");
  EXPECT_EQ(q_.Pop("q").body, "new");
  EXPECT_EQ(q_.Ack("q", old.receipt), 0);
  EXPECT_EQ(q_.Option("q", "maxlen"), 0);
}

TEST_P(QueueStoreTest, WhoWaitsAtADroppedQueueIsServedByItsSuccessor) {
  q_.Set("q", "maxlen", 5);
  const RequestId waiting = q_.Block("q");
  EXPECT_EQ(q_.Do(DropQueueOp{"q", false}).integer, 1);
  q_.Push("q", "x");
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(waiting)).body, "x");
}

// Trap q22: what names queues, groups and ids by the million must not keep them.
TEST_P(QueueStoreTest, WhatIsEmptyIsForgotten) {
  for (int i = 0; i < 50; ++i) {
    PushOp op;
    const Bytes queue = Format("q%d", i);
    const Bytes group = Format("g%d", i);
    op.queue = queue;
    op.bodies = {"x"};
    op.group = group;
    op.id = group;
    q_.Do(op);
    q_.Ack(queue, q_.Pop(queue).receipt);
  }
  EXPECT_EQ(q_.store().figures().queues, 50u);
  q_.Pass(301'001);
  EXPECT_EQ(q_.store().figures().ids, 0u);
  q_.Pass(3'660'001);
  EXPECT_EQ(q_.store().figures().queues, 0u);
  EXPECT_EQ(q_.store().NextDeadline(), kNeverCluster);
}

TEST_P(QueueStoreTest, WhereNothingEverWasIsForgottenAtOnce) {
  const RequestId waiting = q_.Block("mistyped", 100);
  q_.Do(QueuePauseOp{"other", false, false});
  EXPECT_EQ(q_.store().figures().queues, 1u);
  q_.Pass(101);
  EXPECT_TRUE(q_.AnswerTo(waiting).is_nil());
  EXPECT_EQ(q_.store().figures().queues, 0u);
}

TEST_P(QueueStoreTest, WhoWaitsAtAQueueDoesNotMakeIt) {
  q_.Block("q");
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.creates = false;
  EXPECT_TRUE(q_.Do(op).is_error());
  q_.Set("q", "retry", 16);
  EXPECT_FALSE(q_.Do(op).is_error());
}

TEST_P(QueueStoreTest, AQueueThatWasMadeStaysUntilItIsDropped) {
  q_.Set("q", "retry", 16);  // As it is anyway.
  q_.Pass(10'000'000);
  EXPECT_EQ(q_.store().figures().queues, 1u);
  EXPECT_EQ(q_.Do(DropQueueOp{"q", false}).integer, 1);
  EXPECT_EQ(q_.store().figures().queues, 0u);
}

// Reading ----------------------------------------------------------------------------------------

TEST_P(QueueStoreTest, APeekShowsAndLeasesNothing) {
  for (const char* body : {"a", "b", "c"}) q_.Push("q", body);
  q_.Nack("q", q_.Pop("q").receipt, How::kDead);
  q_.Pop("q");
  PeekQuery peek;
  peek.queue = "q";
  peek.count = 10;
  Reply rows = q_.Read(peek);
  ASSERT_EQ(rows.items.size(), 2u);
  EXPECT_EQ(rows.items[0].items[3].text, "leased");
  EXPECT_EQ(rows.items[1].items[7].text, "c");
  peek.queue = "q!dead";
  EXPECT_EQ(q_.Read(peek).items.size(), 1u);
  peek.queue = "q";
  peek.state = MessageState::kReady;
  peek.from = 2;
  rows = q_.Read(peek);
  ASSERT_EQ(rows.items.size(), 1u);
  EXPECT_EQ(rows.items[0].items[1].text, "3.3");
  EXPECT_EQ(q_.Len("q"), 1);
}

TEST_P(QueueStoreTest, WhatDoesNotDecodeIsRefusedAndChangesNothing) {
  const Bytes before = q_.Saved();
  for (const Bytes& op : {Bytes("\x01"), Bytes("\x63"), Bytes(3, '\0'), Bytes()}) {
    EXPECT_TRUE(q_.AnswerTo(q_.Ask(op)).is_error());
  }
  EXPECT_EQ(q_.Saved(), before);
}

TEST_P(QueueStoreTest, NobodyPushesToTheDead) {
  EXPECT_EQ(q_.Push("q!dead", "x").substr(0, 3), "ERR");
  EXPECT_TRUE(q_.Set("q!dead", "maxlen", 1).is_error());
}

}  // namespace
}  // namespace lockstep
