// What DQ.* promises of one shard: order, leases, failures, the dead, who waits.
#include "commands/queue_store.h"

#include <algorithm>

#include "tests/queue_driver.h"

namespace lockstep {
namespace {

using How = NackOp::How;

INSTANTIATE_TEST_SUITE_P(PlainAndReloaded, QueueStoreTest, ::testing::Bool());

// Push and pop -----------------------------------------------------------------------------------

TEST_P(QueueStoreTest, WhatIsPushedIsPoppedOnceWithAReceiptOfShardNumberAndLease) {
  EXPECT_EQ(q_.Push("mail", "hello"), "3.1");
  const auto popped = q_.Pop("mail");
  EXPECT_EQ(popped.receipt_text, "3.1.1");
  EXPECT_EQ(popped.body, "hello");
  EXPECT_EQ(popped.attempt, 1);
  EXPECT_EQ(q_.PopBody("mail"), "");
  EXPECT_EQ(q_.Ack("mail", popped.receipt), 1);
  EXPECT_EQ(q_.Ack("mail", popped.receipt), 0);
  EXPECT_EQ(q_.store().figures().messages, 0u);
}

TEST_P(QueueStoreTest, AnEmptyQueueAnswersNilAndAnUnknownOneToo) {
  EXPECT_TRUE(q_.Do(QueueDriver::PopOf("nothing")).is_nil());
  q_.Push("mail", "x");
  q_.Pop("mail");
  EXPECT_TRUE(q_.Do(QueueDriver::PopOf("mail")).is_nil());
}

TEST_P(QueueStoreTest, AnEmptyBodyAndBytesOfAllKindsComeBackAsTheyWere) {
  const Bytes odd("\0\r\n\xff*$", 6);
  q_.Push(odd, "");
  q_.Push(odd, odd);
  EXPECT_NE(q_.Pop(odd).receipt_text, "");
  EXPECT_EQ(q_.PopBody(odd), odd);
}

TEST_P(QueueStoreTest, InTheOrderOfPushesAndTheHighestPriorityFirst) {
  PushOp op;
  op.queue = "mail";
  const std::pair<const char*, uint8_t> pushes[] = {
      {"a0", 0}, {"b5", 5}, {"c0", 0}, {"d9", 9}, {"e5", 5}};
  for (const auto& [body, priority] : pushes) {
    op.bodies = {body};
    op.priority = priority;
    q_.Do(op);
  }
  for (const char* body : {"d9", "b5", "e5", "a0", "c0"}) EXPECT_EQ(q_.PopBody("mail"), body);
}

TEST_P(QueueStoreTest, AMessageThatComesBackRegainsItsPlace) {
  for (const char* body : {"a", "b", "c"}) q_.Push("mail", body);
  const auto a = q_.Pop("mail");
  EXPECT_EQ(q_.Nack("mail", a.receipt, How::kRelease), 1);
  for (const char* body : {"a", "b", "c"}) EXPECT_EQ(q_.PopBody("mail"), body);
}

TEST_P(QueueStoreTest, ManyAreTakenAtOnceFromTheQueuesInTheirOrder) {
  q_.Push("low", "l1");
  q_.Push("high", "h1");
  q_.Push("high", "h2");
  PopOp op;
  op.queues = {"high", "nothing", "low"};
  op.count = 10;
  const Reply rows = q_.Do(op);
  ASSERT_EQ(rows.items.size(), 3u);
  EXPECT_EQ(rows.items[0].items[0].text, "high");
  EXPECT_EQ(rows.items[1].items[2].text, "h2");
  EXPECT_EQ(rows.items[2].items[0].text, "low");
}

TEST_P(QueueStoreTest, NoMoreIsTakenAtOnceThanFitsIntoOneAnswer) {
  q_.set_reload(false);
  const Bytes large(size_t{1} << 20, 'x');
  for (int i = 0; i < 20; ++i) q_.Push("q", large);
  PopOp op = QueueDriver::PopOf("q");
  op.count = 20;
  const Reply rows = q_.Do(op);
  EXPECT_GE(rows.items.size(), 5u);
  EXPECT_LE(ReplyCost(rows), kReplyCostMax);
  EXPECT_EQ(q_.Len("q"), 20 - static_cast<int64_t>(rows.items.size()));
}

TEST_P(QueueStoreTest, ManyArePushedAtOnceAndAnsweredByAsManyIds) {
  PushOp op;
  op.queue = "mail";
  op.bodies = {"a", "b", "c"};
  op.many = true;
  const Reply ids = q_.Do(op);
  ASSERT_EQ(ids.items.size(), 3u);
  EXPECT_EQ(ids.items[2].text, "3.3");
  op.bodies = {"d"};
  EXPECT_EQ(q_.Do(op).items.size(), 1u);
  for (const char* body : {"a", "b", "c", "d"}) EXPECT_EQ(q_.PopBody("mail"), body);
}

TEST_P(QueueStoreTest, AMessageTakenWithoutAcknowledgementIsGone) {
  q_.Push("mail", "x");
  PopOp op = QueueDriver::PopOf("mail");
  op.noack = true;
  EXPECT_EQ(QueueDriver::FirstOf(q_.Do(op)).body, "x");
  EXPECT_EQ(q_.store().figures().messages, 0u);
}

TEST_P(QueueStoreTest, EarlierReceiptsAreAcknowledgedOnTheWay) {
  q_.Push("mail", "a");
  q_.Push("mail", "b");
  PopOp op = QueueDriver::PopOf("mail");
  op.acks = {q_.Pop("mail").receipt};
  EXPECT_EQ(QueueDriver::FirstOf(q_.Do(op)).body, "b");
  EXPECT_EQ(q_.Info("mail", "acked"), 1);
}

TEST_P(QueueStoreTest, WithFullComesAllThatIsKnownOfAMessage) {
  PushOp push;
  push.queue = "mail";
  push.bodies = {"x"};
  push.id = "order-7";
  push.group = "alice";
  push.priority = 4;
  push.headers = {{"trace", "t1"}};
  q_.Do(push);
  q_.Pass(250);
  PopOp op = QueueDriver::PopOf("mail");
  op.full = true;
  const Reply details = q_.Do(op).items.at(0).items.at(4);
  const Reply expected = Reply::Map()
                             .Add("id", Reply::Bulk("order-7"))
                             .Add("group", Reply::Bulk("alice"))
                             .Add("priority", Reply::Integer(4))
                             .Add("pushed", Reply::Integer(250))
                             .Add("failures", Reply::Integer(0))
                             .Add("deliveries", Reply::Integer(1))
                             .Add("headers", Reply::Map().Add("trace", Reply::Bulk("t1")))
                             .Add("error", Reply::Nil());
  EXPECT_EQ(details, expected);
}

// Leases -----------------------------------------------------------------------------------------

TEST_P(QueueStoreTest, AMessageWhoseLeaseEndsComesAgainAfterItsBackoffAsAttemptTwo) {
  q_.Set("mail", "lease", 500);
  q_.Set("mail", "backoff-base", 1000);
  q_.Set("mail", "backoff-jitter", 0);
  q_.Push("mail", "x");
  EXPECT_EQ(q_.Pop("mail").attempt, 1);
  q_.Pass(500);
  EXPECT_EQ(q_.Info("mail", "leased"), 1) << "a lease lasts through its deadline";
  q_.Pass(1);
  EXPECT_EQ(q_.Info("mail", "delayed"), 1);
  q_.Pass(1000);
  EXPECT_EQ(q_.PopBody("mail"), "");
  q_.Pass(1);
  const auto again = q_.Pop("mail");
  EXPECT_EQ(again.body, "x");
  EXPECT_EQ(again.attempt, 2);
  EXPECT_EQ(again.receipt.lease, 2u);
}

TEST_P(QueueStoreTest, ALateAckCountsUnlessTheMessageWasLeasedAgain) {
  q_.Set("mail", "lease", 100);
  q_.Set("mail", "backoff-base", 0);
  q_.Push("mail", "x");
  const auto first = q_.Pop("mail");
  q_.Pass(101);
  const auto second = q_.Pop("mail");
  ASSERT_EQ(second.body, "x");
  EXPECT_EQ(q_.Ack("mail", first.receipt), 0);
  EXPECT_EQ(q_.Info("mail", "leased"), 1) << "the second lease is untouched";
  q_.Pass(101);
  EXPECT_EQ(q_.Ack("mail", second.receipt), 1) << "lapsed, but nobody else has it";
  EXPECT_EQ(q_.PopBody("mail"), "");
}

TEST_P(QueueStoreTest, ATouchedLeaseLastsAndALostOneIsToldSo) {
  q_.Push("mail", "x");
  PopOp op = QueueDriver::PopOf("mail");
  op.lease_ms = 100;
  const Receipt receipt = QueueDriver::FirstOf(q_.Do(op)).receipt;
  q_.Pass(90);
  TouchOp touch;
  touch.queue = "mail";
  touch.lease_ms = 100;
  touch.receipts = {receipt, {receipt.seq, 7}, {99, 1}};
  const Reply remaining = q_.Do(touch);
  EXPECT_EQ(remaining.items[0].integer, 100);
  EXPECT_EQ(remaining.items[1].integer, -1);
  EXPECT_EQ(remaining.items[2].integer, -1);
  q_.Pass(90);
  EXPECT_EQ(q_.Ack("mail", receipt), 1);
}

TEST_P(QueueStoreTest, ADelayLongerThanTheLeaseIsOneDelivery) {
  q_.Set("mail", "lease", 100);
  PushOp op;
  op.queue = "mail";
  op.bodies = {"x"};
  op.delay_ms = 6 * 3600 * 1000;
  q_.Do(op);
  q_.Pass(op.delay_ms);
  EXPECT_EQ(q_.PopBody("mail"), "");
  q_.Pass(1);
  const auto popped = q_.Pop("mail");
  EXPECT_EQ(popped.attempt, 1);
  EXPECT_EQ(q_.Info("mail", "delivered"), 1);
}

TEST_P(QueueStoreTest, TheSameReceiptTwiceInOneAckCountsOnce) {
  q_.Push("mail", "x");
  q_.Push("mail", "y");
  const Receipt receipt = q_.Pop("mail").receipt;
  QueueAckOp op;
  op.queue = "mail";
  op.receipts = {receipt, receipt};
  EXPECT_EQ(q_.Do(op).integer, 1);
  EXPECT_EQ(q_.Info("mail", "acked"), 1);
  EXPECT_EQ(q_.Info("mail", "bytes"), 1);
}

TEST_P(QueueStoreTest, AReceiptIsGoodForItsQueueOnly) {
  q_.Push("mail", "x");
  const Receipt receipt = q_.Pop("mail").receipt;
  EXPECT_EQ(q_.Ack("post", receipt), 0);
  EXPECT_EQ(q_.Nack("post", receipt), 0);
  EXPECT_EQ(q_.Ack("mail", receipt), 1);
}

// Failures and the dead --------------------------------------------------------------------------

TEST_P(QueueStoreTest, EachFailureDoublesTheBackoffUpToItsMaximum) {
  q_.Set("mail", "backoff-jitter", 0);
  q_.Set("mail", "backoff-max", 5000);
  q_.Push("mail", "x");
  for (const int64_t backoff : {1000, 2000, 4000, 5000, 5000}) {
    const auto popped = q_.Pop("mail");
    ASSERT_EQ(popped.body, "x");
    EXPECT_EQ(q_.Nack("mail", popped.receipt), 1);
    q_.Pass(backoff);
    EXPECT_EQ(q_.PopBody("mail"), "") << "before its time";
    q_.Pass(1);
  }
  EXPECT_EQ(q_.Pop("mail").attempt, 6);
}

TEST_P(QueueStoreTest, JitterSpreadsThoseThatFailedTogether) {
  for (int i = 0; i < 100; ++i) q_.Push("mail", "x");
  PopOp op = QueueDriver::PopOf("mail");
  op.count = 100;
  for (const Reply& row : q_.Do(op).items) q_.Nack("mail", QueueDriver::RowOf(row).receipt);
  q_.Pass(800);
  EXPECT_EQ(q_.Len("mail"), 0);
  q_.Pass(200);
  EXPECT_GT(q_.Len("mail"), 20);
  EXPECT_LT(q_.Len("mail"), 80);
  q_.Pass(201);
  EXPECT_EQ(q_.Len("mail"), 100);
}

TEST_P(QueueStoreTest, AfterRetryFailuresAMessageIsDeadWithItsLastError) {
  q_.Set("mail", "retry", 2);
  q_.Set("mail", "backoff-base", 0);
  q_.Push("mail", "x");
  q_.Nack("mail", q_.Pop("mail").receipt, How::kFailure, "first");
  q_.Nack("mail", q_.Pop("mail").receipt, How::kFailure, "second");
  EXPECT_EQ(q_.PopBody("mail"), "");
  EXPECT_EQ(q_.Len("mail!dead"), 1);
  PopOp op = QueueDriver::PopOf("mail!dead");
  op.full = true;
  const Reply row = q_.Do(op).items.at(0);
  EXPECT_EQ(row.items[0].text, "mail!dead");
  EXPECT_EQ(row.items[2].text, "x");
  EXPECT_EQ(row.items[4].items.back().text, "second");
}

TEST_P(QueueStoreTest, EveryWayToFailCountsAndBacksOffAndEveryOtherDoesNot) {
  struct Way {
    const char* name;
    bool fails;
    std::function<void(const Receipt&)> go;
  };
  const Way ways[] = {
      {"nack", true, [&](const Receipt& r) { q_.Nack("q", r); }},
      {"lease", true, [&](const Receipt&) { q_.Pass(101); }},
      {"hangup", true, [&](const Receipt&) { q_.Do(HangupOp{NodeId{1}, 1, ClientId{7}}); }},
      {"release", false, [&](const Receipt& r) { q_.Nack("q", r, How::kRelease); }},
      {"node death", false, [&](const Receipt&) { q_.EndSessions(NodeId{1}); }},
  };
  q_.Set("q", "lease", 100);
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    q_.Push("q", "x");
    PopOp op = QueueDriver::PopOf("q");
    op.tied = ClientId{7};
    const Receipt receipt = QueueDriver::FirstOf(q_.Do(op)).receipt;
    way.go(receipt);
    q_.Pass(1300);
    const auto again = q_.Pop("q");
    EXPECT_EQ(again.attempt, way.fails ? 2 : 1);
    EXPECT_EQ(q_.Ack("q", again.receipt), 1);
  }
}

TEST_P(QueueStoreTest, TheDeadAreLeasedAndAcknowledgedLikeOthersAndStayDeadOtherwise) {
  q_.Push("mail", "x");
  q_.Nack("mail", q_.Pop("mail").receipt, How::kDead, "no");
  const auto dead = q_.Pop("mail!dead");
  EXPECT_EQ(dead.body, "x");
  EXPECT_EQ(q_.Len("mail!dead"), 0);
  EXPECT_EQ(q_.PopBody("mail"), "");
  EXPECT_EQ(q_.Nack("mail!dead", dead.receipt), 1);
  EXPECT_EQ(q_.Len("mail!dead"), 1);
  PopOp op = QueueDriver::PopOf("mail!dead");
  op.lease_ms = 10;
  q_.Do(op);
  q_.Pass(11);
  EXPECT_EQ(q_.Len("mail!dead"), 1);
  EXPECT_EQ(q_.Ack("mail!dead", q_.Pop("mail!dead").receipt), 1);
  EXPECT_EQ(q_.store().figures().messages, 0u);
}

TEST_P(QueueStoreTest, ARedriveBringsTheDeadBackInTheirOrderWithoutFailures) {
  q_.Set("mail", "retry", 2);
  q_.Set("mail", "backoff-base", 0);
  for (const char* body : {"a", "b", "c"}) q_.Push("mail", body);
  for (int i = 0; i < 3; ++i) q_.Nack("mail", q_.Pop("mail").receipt, How::kDead);
  MoveOp move{"mail!dead", "mail", 2};
  EXPECT_EQ(q_.Do(move).integer, 2);
  const auto a = q_.Pop("mail");
  EXPECT_EQ(a.body, "a");
  EXPECT_EQ(a.attempt, 1);
  EXPECT_EQ(q_.PopBody("mail"), "b");
  EXPECT_EQ(q_.PopBody("mail"), "");
  // Fails again: dead again, and no loop by itself (trap q11).
  q_.Nack("mail", a.receipt);
  q_.Nack("mail", q_.Pop("mail").receipt);
  EXPECT_EQ(q_.Len("mail!dead"), 2);
  EXPECT_EQ(q_.PopBody("mail"), "");
}

TEST_P(QueueStoreTest, MessagesMoveToAnotherQueueInTheirOrder) {
  q_.Push("new", "n1");
  for (const char* body : {"a", "b", "c"}) q_.Push("old", body);
  const auto leased = q_.Pop("old");
  EXPECT_EQ(q_.Do(MoveOp{"old", "new", 0}).integer, 2);
  for (const char* body : {"n1", "b", "c"}) EXPECT_EQ(q_.PopBody("new"), body);
  EXPECT_EQ(q_.Ack("old", leased.receipt), 1);
  EXPECT_TRUE(q_.Do(MoveOp{"new", "new", 0}).is_error());
  EXPECT_TRUE(q_.Do(MoveOp{"new", "old!dead", 0}).is_error());
}

TEST_P(QueueStoreTest, TheDeadMayBeDroppedInstead) {
  q_.Set("mail", "dead", 1);
  q_.Push("mail", "x");
  q_.Nack("mail", q_.Pop("mail").receipt, How::kDead);
  EXPECT_EQ(q_.store().figures().messages, 0u);
  EXPECT_EQ(q_.Info("mail", "dropped"), 1);
}

// Trap q9: the consumer that dies by one of a hundred takes the other ninety-nine with it.
TEST_P(QueueStoreTest, OnItsLastAttemptAMessageIsDeliveredAlone) {
  q_.Set("q", "retry", 3);
  q_.Set("q", "backoff-base", 0);
  for (int i = 0; i < 20; ++i) q_.Push("q", i == 7 ? "poison" : "good");
  int acked = 0;
  for (int round = 0; round < 100 && q_.Len("q") > 0; ++round) {
    PopOp op = QueueDriver::PopOf("q");
    op.count = 100;
    op.lease_ms = 10;
    const Reply rows = q_.Do(op);
    const bool dies = std::any_of(rows.items.begin(), rows.items.end(), [](const Reply& row) {
      return row.items[2].text == "poison";
    });
    for (const Reply& row : rows.items) {
      if (!dies) acked += static_cast<int>(q_.Ack("q", QueueDriver::RowOf(row).receipt));
    }
    q_.Pass(11);
  }
  EXPECT_EQ(acked, 19);
  EXPECT_EQ(q_.Len("q!dead"), 1);
  EXPECT_EQ(q_.PopBody("q!dead"), "poison");
}

// Groups -----------------------------------------------------------------------------------------

TEST_P(QueueStoreTest, OfAGroupOneIsUnderWayAtATimeAndInOrder) {
  for (const char* body : {"a1", "a2", "a3"}) q_.PushIn("q", "a", body);
  q_.PushIn("q", "b", "b1");
  const auto a1 = q_.Pop("q");
  EXPECT_EQ(a1.body, "a1");
  EXPECT_EQ(q_.PopBody("q"), "b1");
  EXPECT_EQ(q_.PopBody("q"), "");
  EXPECT_EQ(q_.Len("q"), 2) << "ready, though their group is busy";
  q_.Ack("q", a1.receipt);
  EXPECT_EQ(q_.PopBody("q"), "a2");
}

TEST_P(QueueStoreTest, AFailingHeadHoldsItsGroupUntilItIsAcknowledgedOrDead) {
  q_.Set("q", "backoff-jitter", 0);
  q_.Set("q", "retry", 2);
  for (const char* body : {"a1", "a2"}) q_.PushIn("q", "a", body);
  q_.Nack("q", q_.Pop("q").receipt);
  EXPECT_EQ(q_.PopBody("q"), "");
  q_.Pass(1001);
  const auto a1 = q_.Pop("q");
  EXPECT_EQ(a1.body, "a1");
  q_.Nack("q", a1.receipt);
  EXPECT_EQ(q_.PopBody("q"), "a2");
  EXPECT_EQ(q_.Len("q!dead"), 1);
}

TEST_P(QueueStoreTest, ADelayedHeadHoldsItsGroup) {
  PushOp op;
  op.queue = "q";
  op.bodies = {"a1"};
  op.group = "a";
  op.delay_ms = 50;
  q_.Do(op);
  q_.PushIn("q", "a", "a2");
  EXPECT_EQ(q_.PopBody("q"), "");
  q_.Pass(51);
  EXPECT_EQ(q_.PopBody("q"), "a1");
}

TEST_P(QueueStoreTest, WithMoreRoomAGroupHasItsFirstFewUnderWay) {
  q_.Set("q", "group-concurrency", 2);
  for (const char* body : {"a1", "a2", "a3", "a4"}) q_.PushIn("q", "a", body);
  const auto a1 = q_.Pop("q");
  const auto a2 = q_.Pop("q");
  EXPECT_EQ(a2.body, "a2");
  EXPECT_EQ(q_.PopBody("q"), "");
  q_.Ack("q", a2.receipt);
  EXPECT_EQ(q_.PopBody("q"), "a3");
  q_.Nack("q", a1.receipt, How::kRelease);
  EXPECT_EQ(q_.PopBody("q"), "a1");
}

TEST_P(QueueStoreTest, RoomThatIsGivenLaterCountsForTheGroupsThatAreThere) {
  for (const char* body : {"a1", "a2", "a3"}) q_.PushIn("q", "a", body);
  q_.Pop("q");
  const RequestId waiting = q_.Block("q");
  EXPECT_TRUE(q_.Waits(waiting));
  q_.Set("q", "group-concurrency", 2);
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(waiting)).body, "a2");
  q_.Set("q", "group-concurrency", 1);
  EXPECT_EQ(q_.PopBody("q"), "");
}

TEST_P(QueueStoreTest, WhoComesBackFromTheDeadStandsWhereItStood) {
  for (const char* body : {"a1", "a2", "a3"}) q_.PushIn("q", "a", body);
  q_.Nack("q", q_.Pop("q").receipt, How::kDead);
  const auto a2 = q_.Pop("q");
  EXPECT_EQ(a2.body, "a2");
  EXPECT_EQ(q_.Do(MoveOp{"q!dead", "q", 0}).integer, 1);
  EXPECT_EQ(q_.PopBody("q"), "") << "one of the group is under way";
  q_.Ack("q", a2.receipt);
  EXPECT_EQ(q_.PopBody("q"), "a1") << "the head again";
  EXPECT_EQ(q_.PopBody("q"), "");
}

TEST_P(QueueStoreTest, NoMoreOfAGroupAreUnderWayThoughItsRoomShrinks) {
  q_.Set("q", "group-concurrency", 3);
  for (const char* body : {"a1", "a2", "a3", "a4"}) q_.PushIn("q", "a", body);
  const auto a1 = q_.Pop("q");
  const auto a2 = q_.Pop("q");
  const auto a3 = q_.Pop("q");
  q_.Set("q", "group-concurrency", 1);
  q_.Nack("q", a1.receipt, How::kRelease);
  EXPECT_EQ(q_.PopBody("q"), "");
  q_.Ack("q", a2.receipt);
  EXPECT_EQ(q_.PopBody("q"), "") << "a3 is still under way";
  q_.Ack("q", a3.receipt);
  EXPECT_EQ(q_.PopBody("q"), "a1");
}

// Or a busy consumer that acknowledges as it asks would keep a group to itself.
TEST_P(QueueStoreTest, WhatAnAcknowledgementSetsFreeIsForThoseWhoWait) {
  for (const char* body : {"a1", "a2"}) q_.PushIn("q", "a", body);
  const auto a1 = q_.Pop("q");
  const RequestId waiting = q_.Block("q");
  PopOp op = QueueDriver::PopOf("q");
  op.acks = {a1.receipt};
  EXPECT_TRUE(q_.Do(op).is_nil());
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(waiting)).body, "a2");
}

// Trap q9: its only attempt is its last.
TEST_P(QueueStoreTest, WhatMayFailOnlyOnceIsDeliveredAlone) {
  q_.Set("q", "retry", 1);
  for (const char* body : {"a", "b", "c"}) q_.Push("q", body);
  PopOp op = QueueDriver::PopOf("q");
  op.count = 10;
  EXPECT_EQ(q_.Do(op).items.size(), 1u);
}

TEST_P(QueueStoreTest, ADeadLetterThatIsGivenBackStaysThoughNoMoreAreKept) {
  q_.Push("q", "x");
  q_.Nack("q", q_.Pop("q").receipt, How::kDead);
  q_.Set("q", "dead", 1);
  q_.Nack("q!dead", q_.Pop("q!dead").receipt, How::kRelease);
  EXPECT_EQ(q_.Info("q", "dead"), 1);
}

// Who waits --------------------------------------------------------------------------------------

TEST_P(QueueStoreTest, WhoWaitsIsServedByThePushInTheOrderOfComing) {
  const RequestId first = q_.Block("mail");
  const RequestId second = q_.Block("mail");
  q_.Push("mail", "a");
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(first)).body, "a");
  EXPECT_TRUE(q_.Waits(second));
  q_.Push("mail", "b");
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(second)).body, "b");
}

TEST_P(QueueStoreTest, AWaitEndsWithNilAtItsTime) {
  const RequestId waiting = q_.Block("mail", 100);
  q_.Pass(100);
  EXPECT_TRUE(q_.Waits(waiting));
  q_.Pass(1);
  EXPECT_TRUE(q_.AnswerTo(waiting).is_nil());
  q_.Push("mail", "a");
  EXPECT_EQ(q_.Len("mail"), 1);
}

TEST_P(QueueStoreTest, WhoWaitsAtManyQueuesIsServedByOneAndStandsAtNoneAfterwards) {
  PopOp op;
  op.queues = {"a", "b", "c!dead"};
  op.wait_ms = 0;
  const RequestId waiting = q_.Ask(op.Encode());
  q_.Push("b", "x");
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(waiting)).body, "x");
  q_.Push("a", "y");
  EXPECT_EQ(q_.Len("a"), 1);
  EXPECT_TRUE(q_.Read(QueueInfoQuery{"c"}).is_nil()) << "nothing ever was there";
}

TEST_P(QueueStoreTest, WhateverMakesAMessageReadyServesWhoWaits) {
  q_.Set("q", "backoff-base", 0);
  q_.PushIn("q", "a", "a1");
  q_.PushIn("q", "a", "a2");
  const auto a1 = q_.Pop("q");
  const RequestId by_ack = q_.Block("q");
  EXPECT_TRUE(q_.Waits(by_ack));
  q_.Ack("q", a1.receipt);
  const auto a2 = QueueDriver::FirstOf(q_.AnswerTo(by_ack));
  EXPECT_EQ(a2.body, "a2");

  const RequestId by_nack = q_.Block("q");
  q_.Nack("q", a2.receipt);
  const auto again = QueueDriver::FirstOf(q_.AnswerTo(by_nack));
  EXPECT_EQ(again.attempt, 2);

  const RequestId by_death = q_.Block("q!dead");
  q_.Nack("q", again.receipt, How::kDead);
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(by_death)).body, "a2");

  PushOp late;
  late.queue = "q";
  late.bodies = {"late"};
  late.delay_ms = 10;
  q_.Do(late);
  const RequestId by_time = q_.Block("q");
  q_.Pass(11);
  EXPECT_EQ(QueueDriver::FirstOf(q_.AnswerTo(by_time)).body, "late");
}

TEST_P(QueueStoreTest, AnUnblockedWaiterIsToldNilOrAnErrorAndGetsNothingLater) {
  const RequestId one = q_.Block("q");
  const RequestId other = q_.Block("q");
  EXPECT_EQ(q_.Do(CancelOp{one, CancelOp::Why::kTimeout}).integer, 1);
  EXPECT_EQ(q_.Do(CancelOp{other, CancelOp::Why::kError}).integer, 1);
  EXPECT_TRUE(q_.AnswerTo(one).is_nil());
  EXPECT_EQ(q_.AnswerTo(other).text.substr(0, 9), "UNBLOCKED");
  EXPECT_EQ(q_.Do(CancelOp{one, CancelOp::Why::kTimeout}).integer, 0);
  q_.Push("q", "x");
  EXPECT_EQ(q_.Len("q"), 1);
}

// Trap q30: it costs no attempt.
TEST_P(QueueStoreTest, ADeliveryToAClientThatIsGoneIsGivenBackAtOnce) {
  const RequestId gone = q_.Block("q");
  q_.Push("q", "x");
  EXPECT_FALSE(q_.Waits(gone));
  EXPECT_EQ(q_.Do(CancelOp{gone, CancelOp::Why::kGone}).integer, 1);
  const auto popped = q_.Pop("q");
  EXPECT_EQ(popped.attempt, 1);
  EXPECT_EQ(popped.receipt.lease, 2u);
}

TEST_P(QueueStoreTest, ADeliveryThatWasHeardIsNotGivenBack) {
  const RequestId heard = q_.Block("q");
  q_.Push("q", "x");
  q_.Heard(heard);
  EXPECT_EQ(q_.Do(CancelOp{heard, CancelOp::Why::kGone}).integer, 0);
  q_.EndSessions(NodeId{1});
  EXPECT_EQ(q_.PopBody("q"), "");
  EXPECT_EQ(q_.Info("q", "leased"), 1);
}

// Trap q4: not after a lease of half an hour.
TEST_P(QueueStoreTest, WhatADyingGatewayHeldComesBackAtOnceWithoutAFailure) {
  q_.Push("q", "x");
  PopOp op = QueueDriver::PopOf("q");
  op.lease_ms = 1'800'000;
  q_.Ask(op.Encode(), NodeId{2});
  const RequestId waits_there = q_.Block("other", 0, NodeId{2});
  q_.EndSessions(NodeId{2});
  EXPECT_TRUE(q_.AnswerTo(waits_there).is_nil());
  const auto popped = q_.Pop("q");
  EXPECT_EQ(popped.body, "x");
  EXPECT_EQ(popped.attempt, 1);
  EXPECT_EQ(q_.Info("q", "failed"), 0);
}

TEST_P(QueueStoreTest, ATiedMessageComesBackWhenItsConnectionCloses) {
  q_.Push("q", "x");
  PopOp op = QueueDriver::PopOf("q");
  op.tied = ClientId{7};
  q_.Do(op);
  q_.Do(HangupOp{NodeId{1}, 1, ClientId{8}});
  EXPECT_EQ(q_.PopBody("q"), "");
  q_.Do(HangupOp{NodeId{1}, 1, ClientId{7}});
  EXPECT_EQ(q_.Pop("q").attempt, 2);
}

// Trap q14: a million messages of a group that is held up stand in front of those that could go.
TEST(QueueStoreScale, ABusyGroupInFrontCostsNothing) {
  QueueDriver q;
  PushOp op;
  op.queue = "q";
  op.group = "busy";
  op.bodies.assign(1000, "x");
  op.many = true;
  for (int i = 0; i < 1000; ++i) q.AskUnchecked(op.Encode());
  q.AskUnchecked(QueueDriver::PopOf("q").Encode());
  // To look at the others each time would take hours.
  for (int i = 0; i < 20'000; ++i) q.PushUnchecked("q", std::to_string(i), "y");
  EXPECT_EQ(q.Info("q", "leased"), 20'001);
}

// Each finds its place behind the one before it, not from the front.
TEST(QueueStoreScale, ARedriveOfOneGroupIsNotQuadratic) {
  QueueLimits limits;
  limits.changed_max = 100'000;
  QueueDriver q(limits);
  q.Set("q", "group-concurrency", 64);
  constexpr int kDead = 40'000;
  for (int i = 0; i < kDead; ++i) {
    q.PushUnchecked("q", "g", "x");
    q.NackUnchecked("q", static_cast<uint64_t>(i) + 1, 1, How::kDead);
  }
  q.PushIn("q", "g", "live");
  EXPECT_EQ(q.Do(MoveOp{"q!dead", "q", 0}).integer, kDead);
  EXPECT_EQ(q.Pop("q").receipt.seq, 1u);
}

// So many deadlines in one entry would keep a node from its peers: the rest is for the next ones.
TEST(QueueStoreScale, OfManyThatEndAtOnceAnEntryEndsSome) {
  QueueLimits limits;
  limits.changed_max = 10;
  QueueDriver q(limits);
  PushOp op;
  op.queue = "q";
  op.bodies = {"x"};
  op.delay_ms = 1'000;
  for (int i = 0; i < 25; ++i) q.Do(op);
  q.Pass(2'000);
  EXPECT_EQ(q.Len("q"), 10);
  EXPECT_LT(q.store().NextDeadline(), q.now());
  q.Pass(0);
  q.Pass(0);
  EXPECT_EQ(q.Len("q"), 25);
  EXPECT_EQ(q.Do(PurgeOp{"q", 0}).integer, 10);
  EXPECT_EQ(q.Do(MoveOp{"q", "r", 0}).integer, 10);
  EXPECT_TRUE(q.Do(DropQueueOp{"q", true}).integer == 1);
}

}  // namespace
}  // namespace lockstep
