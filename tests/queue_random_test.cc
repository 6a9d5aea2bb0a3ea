// Random lives of a queue store: what must hold whatever happens.
#include <gtest/gtest.h>

#include <set>

#include "commands/replica.h"
#include "tests/any_queue_op.h"
#include "tests/queue_driver.h"

namespace lockstep {
namespace {

class QueueLife {
 public:
  explicit QueueLife(uint64_t seed) : rng_(seed) {}

  // One entry of the log, for each of these stores.
  void Step(const std::vector<QueueStore*>& stores) {
    at_.index.value += 1 + rng_.Below(3);
    if (rng_.Below(3) == 0) at_.time = at_.time + rng_.Between(0, 400);
    const RequestId request{NodeId{rng_.Below(2) + 1}, incarnation_, ++seq_};
    const Bytes op = rng_.Below(20) == 0 ? Cancel() : AnyQueueOp(&rng_, pushed_);
    at_.entry = at_.index;
    at_.data = op;
    const bool ends = rng_.Below(100) == 0;
    const bool hears = rng_.Below(4) == 0;
    for (QueueStore* store : stores) {
      effects_ = {};
      store->Advance(at_, &effects_);
      if (ends) store->EndSessions(at_, request.origin, incarnation_ + 1, &effects_);
      store->Apply(at_, request, op, &effects_);
      if (!hears) continue;
      store->Heard({request.origin, incarnation_, 1}, {request.origin, incarnation_, seq_});
    }
    if (ends) ++incarnation_;
    for (const Effects::Answer& answer : effects_.answers) Note(answer.reply);
  }

  const Effects& effects() const { return effects_; }
  Rng& rng() { return rng_; }

 private:
  Bytes Cancel() {
    const uint64_t seq = seq_ - std::min<uint64_t>(seq_, rng_.Below(20));
    const RequestId target{NodeId{rng_.Below(2) + 1}, incarnation_, seq};
    return CancelOp{target, static_cast<CancelOp::Why>(rng_.Below(3))}.Encode();
  }
  // The highest number that a push was answered.
  void Note(const Reply& reply) {
    for (const Reply& item : reply.items) Note(item);
    const size_t dot = reply.text.find('.');
    uint64_t seq = 0;
    if (reply.kind != Reply::Kind::kBulk || dot == Bytes::npos) return;
    if (ParseUint64(BytesView(reply.text).substr(dot + 1), &seq)) pushed_ = std::max(pushed_, seq);
  }

  Rng rng_;
  Position at_{Index{0}, ClusterTime{1000}};
  uint64_t seq_ = 0;
  uint64_t incarnation_ = 1;
  uint64_t pushed_ = 0;
  Effects effects_;
};

Bytes SavedOf(const QueueStore& store) {
  Bytes out;
  Writer writer(&out);
  store.Save(&writer);
  return out;
}

class QueueRandomTest : public ::testing::TestWithParam<uint64_t> {};

INSTANTIATE_TEST_SUITE_P(Seeds, QueueRandomTest, ::testing::Range<uint64_t>(1, 13));

// Trap q20: a snapshot at any point goes on as the whole log would.
TEST_P(QueueRandomTest, ASnapshotGoesOnAsTheStoreThatWasSaved) {
  QueueLife life(GetParam());
  QueueStore whole(3);
  auto reloaded = std::make_unique<QueueStore>(3);
  for (int step = 0; step < 3000; ++step) {
    life.Step({&whole, reloaded.get()});
    whole.CheckInvariants();
    ASSERT_EQ(whole.Hash(), reloaded->Hash()) << "step " << step;
    if (life.rng().Below(20) != 0) continue;
    const Bytes saved = SavedOf(*reloaded);
    ASSERT_EQ(saved, SavedOf(whole)) << "step " << step;
    reloaded = std::make_unique<QueueStore>(3);
    Reader in(saved);
    const Result<void> loaded = reloaded->Load(&in);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  }
}

// Made in slices while operations go on, a snapshot is of the moment in which it was begun.
TEST_P(QueueRandomTest, ASnapshotInSlicesIsTheOneOfItsBeginning) {
  QueueLife life(GetParam() + 300);
  QueueStore store(3);
  int made = 0, changed = 0;
  for (int step = 0; step < 2000; ++step) {
    life.Step({&store});
    if (life.rng().Below(10) != 0) continue;
    const Bytes expected = SavedOf(store);
    Bytes saved;
    Writer out(&saved);
    store.BeginSave(&out);
    const bool given_up = life.rng().Below(10) == 0;
    while (!store.SaveMore(1, &out)) {
      if (given_up) break;
      for (uint64_t more = life.rng().Below(6); more > 0; --more) life.Step({&store});
    }
    if (given_up) {
      store.EndSave();
      continue;
    }
    ASSERT_EQ(saved, expected) << "step " << step;
    store.CheckInvariants();
    ++made;
    changed += SavedOf(store) == saved ? 0 : 1;
  }
  EXPECT_GT(made, 50);
  EXPECT_GT(changed, 20) << "nothing has happened meanwhile";
}

// Rule 3 of queue_store.h: no receipt is given twice, whatever becomes of a message.
TEST_P(QueueRandomTest, NoLeaseIsGivenTwice) {
  QueueLife life(GetParam() + 100);
  QueueStore store(3);
  std::set<Bytes> receipts;
  for (int step = 0; step < 5000; ++step) {
    life.Step({&store});
    for (const Effects::Answer& answer : life.effects().answers) {
      if (answer.reply.kind != Reply::Kind::kArray) continue;
      for (const Reply& row : answer.reply.items) {
        if (row.kind != Reply::Kind::kArray) continue;
        EXPECT_TRUE(receipts.insert(row.items.at(1).text).second) << row.items[1].text;
      }
    }
  }
  EXPECT_GT(receipts.size(), 500u);
}

// A snapshot that a disk or a peer has spoilt is refused or harmless, never a crash.
TEST_P(QueueRandomTest, ADamagedSnapshotIsRefusedOrLoadsAsWhatItSays) {
  QueueLife life(GetParam() + 200);
  QueueStore store(3);
  for (int step = 0; step < 400; ++step) life.Step({&store});
  const Bytes saved = SavedOf(store);
  for (int i = 0; i < 400; ++i) {
    Bytes damaged = saved;
    const size_t at = life.rng().Below(damaged.size());
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << life.rng().Below(8)));
    if (life.rng().Below(4) == 0) damaged.resize(at);
    QueueStore loaded(3);
    Reader in(damaged);
    if (loaded.Load(&in).ok()) loaded.CheckInvariants();
  }
}

}  // namespace
}  // namespace lockstep
