// The dead of a queue: what `<queue>!dead` means to each command, and that looking at them changes
// nothing.
#include "tests/queue_driver.h"

namespace lockstep {
namespace {

using How = NackOp::How;

INSTANTIATE_TEST_SUITE_P(PlainAndReloaded, QueueStoreTest, ::testing::Bool());

// Two ready, one delayed, one leased, two dead, one of them leased.
class QueueSidesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* body : {"dead", "dead leased", "leased", "a", "b"}) q_.Push("q", body);
    q_.Nack("q", q_.Pop("q").receipt, How::kDead);
    q_.Nack("q", q_.Pop("q").receipt, How::kDead);
    leased_ = q_.Pop("q").receipt;
    PushOp delayed;
    delayed.queue = "q";
    delayed.bodies = {"delayed"};
    delayed.delay_ms = 60'000;
    q_.Do(delayed);
    PopOp dead = QueueDriver::PopOf("q!dead");
    dead.count = 2;
    const Reply rows = q_.Do(dead);
    dead_leased_ = QueueDriver::RowOf(rows.items.at(1)).receipt;
    q_.Nack("q!dead", QueueDriver::RowOf(rows.items.at(0)).receipt, How::kRelease);
  }
  std::vector<Bytes> Seen(BytesView name, std::optional<MessageState> state) {
    PeekQuery peek;
    peek.queue = name;
    peek.count = 100;
    peek.state = state;
    std::vector<Bytes> bodies;
    for (const Reply& row : q_.Read(peek).items) {
      bodies.push_back(QueueDriver::In(row, "body").text);
    }
    return bodies;
  }
  int64_t Purged(BytesView name, MessageState state) {
    return q_.Do(PurgeOp{name, MaskOf(state)}).integer;
  }

  QueueDriver q_;
  Receipt leased_, dead_leased_;
};
using Bodies = std::vector<Bytes>;

TEST_F(QueueSidesTest, APeekShowsItsSide) {
  EXPECT_EQ(Seen("q", {}), (Bodies{"leased", "a", "b", "delayed"}));
  EXPECT_EQ(Seen("q!dead", {}), (Bodies{"dead", "dead leased"}));
  EXPECT_EQ(Seen("q", MessageState::kLeased), (Bodies{"leased"}));
  EXPECT_EQ(Seen("q!dead", MessageState::kLeased), (Bodies{"dead leased"}));
  EXPECT_EQ(Seen("q", MessageState::kReady), (Bodies{"a", "b"}));
  EXPECT_EQ(Seen("q!dead", MessageState::kReady), (Bodies{"dead"}));
  EXPECT_EQ(Seen("q!dead", MessageState::kDead), (Bodies{"dead"}));
  EXPECT_EQ(Seen("q", MessageState::kDead), (Bodies{"dead"}));
  EXPECT_EQ(Seen("q!dead", MessageState::kDelayed), (Bodies{}));
}

TEST_F(QueueSidesTest, APurgeOfTheDeadTakesNothingThatLives) {
  EXPECT_EQ(Purged("q!dead", MessageState::kDelayed), 0);
  EXPECT_EQ(Purged("q!dead", MessageState::kReady), 1);
  EXPECT_EQ(Purged("q!dead", MessageState::kLeased), 1);
  EXPECT_EQ(q_.Ack("q!dead", dead_leased_), 0);
  EXPECT_EQ(q_.Do(PurgeOp{"q!dead"}).integer, 0);
  EXPECT_EQ(Seen("q", {}), (Bodies{"leased", "a", "b", "delayed"}));
}

TEST_F(QueueSidesTest, APurgeOfTheQueueTakesNoLeaseOfTheDead) {
  EXPECT_EQ(Purged("q", MessageState::kLeased), 1);
  EXPECT_EQ(q_.Ack("q", leased_), 0);
  EXPECT_EQ(q_.Do(PurgeOp{"q"}).integer, 3);
  EXPECT_EQ(q_.Ack("q!dead", dead_leased_), 1);
  EXPECT_EQ(Purged("q", MessageState::kDead), 1);
  EXPECT_EQ(q_.store().figures().messages, 0u);
}

// A worker that reads the dead and crashes, or that reads them by way of a browser, has learned
// nothing new about why they died.
TEST_P(QueueStoreTest, ALookAtADeadLetterLeavesItsErrorAndItsCounts) {
  q_.Push("q", "x");
  q_.Nack("q", q_.Pop("q").receipt, How::kDead, "no such user");
  PopOp look = QueueDriver::PopOf("q!dead");
  look.lease_ms = 10;
  q_.Do(look);
  q_.Pass(11);
  look.tied = ClientId{7};
  look.lease_ms = 0;
  q_.Do(look);
  q_.Do(HangupOp{NodeId{1}, 1, ClientId{7}});
  EXPECT_EQ(q_.Info("q", "dead"), 1);
  EXPECT_EQ(q_.Info("q", "failed"), 1);
  PeekQuery peek;
  peek.queue = "q!dead";
  const Reply row = q_.Read(peek).items.at(0);
  EXPECT_EQ(QueueDriver::In(row, "error").text, "no such user");
  EXPECT_EQ(QueueDriver::In(row, "failures").integer, 1);
}

void ExpectAMinuteToLive(QueueDriver* q) {
  q->Pass(59'000);
  EXPECT_EQ(q->Len("q"), 1);
  q->Pass(2'000);
  EXPECT_EQ(q->Len("q"), 0);
}

TEST_P(QueueStoreTest, ARedriveGivesTheDeadTheirTimeToLiveAnew) {
  q_.Set("q", "ttl", 60'000);
  q_.Push("q", "x");
  q_.Nack("q", q_.Pop("q").receipt, How::kDead);
  q_.Pass(100'000);
  EXPECT_EQ(q_.Do(MoveOp{"q!dead", "q", 0}).integer, 1);
  ExpectAMinuteToLive(&q_);
}

TEST_P(QueueStoreTest, EachRedriveGivesTheTimeToLiveOfThePushAndNoMore) {
  PushOp push;
  push.queue = "q";
  push.bodies = {"x"};
  push.ttl_ms = 60'000;
  q_.Do(push);
  for (int i = 0; i < 3; ++i) {
    q_.Nack("q", q_.Pop("q").receipt, How::kDead);
    q_.Pass(100'000);
    EXPECT_EQ(q_.Do(MoveOp{"q!dead", "q", 0}).integer, 1);
  }
  ExpectAMinuteToLive(&q_);
}

TEST_P(QueueStoreTest, ANameOfAllItsBytesHasItsDeadToo) {
  const Bytes name(kNameBytesMax, 'q');
  const Bytes dead = name + "!dead";
  q_.Push(name, "x");
  q_.Nack(name, q_.Pop(name).receipt, How::kDead);
  EXPECT_EQ(q_.Len(dead), 1);
  const auto popped = q_.Pop(dead);
  EXPECT_EQ(popped.body, "x");
  EXPECT_EQ(q_.Nack(dead, popped.receipt, How::kRelease), 1);
  EXPECT_EQ(q_.Do(MoveOp{dead, name, 0}).integer, 1);
  EXPECT_EQ(q_.PopBody(name), "x");
  EXPECT_TRUE(q_.Do(QueueAckOp{name + "x", {popped.receipt}}).is_error());
}

}  // namespace
}  // namespace lockstep
