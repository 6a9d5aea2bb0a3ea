// The queue store under any operations, through the bytes that a log entry holds.
//
// Hostile: whatever the bytes, what cannot be read is refused and changes nothing, a query changes
// nothing, and the invariants hold after each step. Plausible: operations of the kind that clients
// send, with sessions that end and answers that are heard. In both, a saved store loads to the same
// hash and the same bytes, and goes on. Snapshots: bytes that are none are refused, or load as
// something whose invariants hold.
#include <memory>

#include "commands/queue_store.h"
#include "src/base/rng.h"
#include "tests/any_queue_op.h"
#include "tests/fuzz/fuzz.h"

namespace lockstep::fuzz {
namespace {

constexpr int kStepsMax = 300;
constexpr uint64_t kShard = 5;

// Small, so that they are met.
QueueLimits Limits() {
  QueueLimits limits;
  limits.queues_max = 6;
  limits.demands_max = 4;
  limits.ids_max = 5;
  limits.changed_max = 7;
  limits.idle_memory_ms = 1'000;
  return limits;
}

Bytes Saved(const QueueStore& store) {
  Bytes saved;
  Writer out(&saved);
  store.Save(&out);
  return saved;
}

std::unique_ptr<QueueStore> Reloaded(const QueueStore& store) {
  const Bytes saved = Saved(store);
  auto loaded = std::make_unique<QueueStore>(kShard, Limits());
  Reader in(saved);
  CHECK(loaded->Load(&in).ok() && in.done());
  CHECK(loaded->Hash() == store.Hash());
  CHECK(loaded->NextDeadline() == store.NextDeadline());
  CHECK(Saved(*loaded) == saved);
  loaded->CheckInvariants();
  return loaded;
}

class Shard {
 public:
  explicit Shard(BytesView in) : choices_(in) {}

  void Run(bool hostile) {
    for (int step = 0; step < kStepsMax && choices_.more(); ++step) {
      Effects effects;
      at_.time = at_.time + static_cast<int64_t>(choices_.Number() >> 16);
      at_.index = Next(at_.index);
      store_->Advance(at_, &effects);
      if (hostile) {
        DoHostile(&effects);
      } else {
        DoPlausible(&effects);
      }
      for (const Index entry : store_->TakeUnneeded()) CHECK(!store_->NeedsEntry(entry));
      store_->CheckInvariants();
      if (choices_.Below(32) == 31) store_ = Reloaded(*store_);
    }
    (void)Reloaded(*store_);
  }

 private:
  RequestId AnyRequest() { return {NodeId{choices_.Below(3)}, choices_.Below(3), at_.index.value}; }

  void Apply(BytesView op, Effects* effects) {
    at_.entry = at_.index;
    at_.data = op;
    store_->Apply(at_, AnyRequest(), op, effects);
  }

  void DoHostile(Effects* effects) {
    const uint64_t before = store_->Hash();
    const bool asks = choices_.Below(4) == 3;
    const BytesView bytes = choices_.Some();
    if (asks) {
      (void)store_->Query(at_.time, bytes);
      CHECK(store_->Hash() == before);
      return;
    }
    const size_t answered = effects->answers.size();
    Apply(bytes, effects);
    if (DecodeQueueOp(bytes)) return;
    CHECK(effects->answers.size() == answered + 1 && effects->answers.back().reply.is_error());
    CHECK(store_->Hash() == before);
  }

  void DoPlausible(Effects* effects) {
    switch (choices_.Below(12)) {
      case 0: {
        const NodeId origin{choices_.Below(3)};
        return store_->EndSessions(at_, origin, choices_.Below(4), effects);
      }
      case 1: {
        const RequestId last{NodeId{choices_.Below(3)}, choices_.Below(3), at_.index.value};
        return store_->Heard({last.origin, last.incarnation, 0}, last);
      }
      default: break;
    }
    Rng rng(choices_.Number());
    Apply(AnyQueueOp(&rng, at_.index.value), effects);
  }

  Choices choices_;
  Position at_{Index{1}, ClusterTime{0}};
  std::unique_ptr<QueueStore> store_ = std::make_unique<QueueStore>(kShard, Limits());
};

void FuzzSnapshot(BytesView in) {
  QueueStore store(kShard, Limits());
  Reader reader(in);
  if (!store.Load(&reader).ok()) return;
  store.CheckInvariants();
  Effects effects;
  store.Advance({Index{1}, ClusterTime{int64_t{1} << 40}}, &effects);
  store.CheckInvariants();
}

// One encoding per value.
void FuzzCodec(BytesView in) {
  if (const auto op = DecodeQueueOp(in)) {
    CHECK(std::visit([](const auto& value) { return value.Encode(); }, *op) == in);
  }
  if (const auto query = DecodeQueueQuery(in)) {
    CHECK(std::visit([](const auto& value) { return value.Encode(); }, *query) == in);
  }
}

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  Bytes hostile{'\0'};
  Bytes plausible{'\1'};
  Rng rng(7);
  for (uint64_t i = 0; i < 60; ++i) {
    const Bytes op = AnyQueueOp(&rng, i);
    seeds.push_back('\3' + op);
    if (op.size() < 240) hostile += Bytes{'\0', '\0', static_cast<char>(op.size())} + op + "\1\1\1";
    plausible += Bytes{'\1', '\5', static_cast<char>(rng.Below(240)), '\1', '\1', '\1'};
  }
  seeds.push_back(hostile);
  seeds.push_back(plausible);
  QueueStore store(kShard, Limits());
  Position at{Index{1}, ClusterTime{0}};
  for (uint64_t i = 0; i < 60; ++i) {
    at.index = at.entry = Next(at.index);
    const Bytes op = AnyQueueOp(&rng, i);
    at.data = op;
    Effects effects;
    store.Apply(at, {NodeId{1}, 1, i}, op, &effects);
  }
  seeds.push_back('\2' + Saved(store));
  return seeds;
}

std::vector<Property> Properties() {
  return {[](BytesView in) { Shard(in).Run(true); }, [](BytesView in) { Shard(in).Run(false); },
          FuzzSnapshot, FuzzCodec};
}

}  // namespace lockstep::fuzz
