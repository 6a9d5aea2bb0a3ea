// A queue store that is driven by hand: operations, a clock, and what was answered.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "commands/queue_store.h"
#include "tests/machine_log.h"

namespace lockstep {

class QueueDriver {
 public:
  static constexpr uint64_t kShard = 3;
  explicit QueueDriver(const QueueLimits& limits = {})
      : limits_(limits), store_(std::make_unique<QueueStore>(kShard, limits)) {}

  // With `reload`, the store is saved and loaded after each step: a snapshot may come anywhere.
  void set_reload(bool reload) { reload_ = reload; }

  RequestId Ask(const Bytes& op, NodeId origin = NodeId{1}) {
    const RequestId request{origin, 1, ++requests_};
    Effects effects;
    store_->Advance(Next(), &effects);
    Apply(op, request, &effects);
    Take(effects);
    return request;
  }
  // What was answered to it; fails the test if nothing was.
  Reply AnswerTo(const RequestId& request) const {
    const auto found = answers_.find(request);
    EXPECT_NE(found, answers_.end()) << "request " << request.seq << " was not answered";
    return found == answers_.end() ? Reply::Error("TEST", "no answer") : found->second;
  }
  bool Waits(const RequestId& request) const { return !answers_.contains(request); }
  template <class Op>
  Reply Do(const Op& op) {
    return AnswerTo(Ask(op.Encode()));
  }
  template <class Query>
  Reply Read(const Query& query) const {
    return log_.Read(store_->Query(now_, query.Encode()));
  }

  void Pass(int64_t ms) {
    now_ = now_ + ms;
    Effects effects;
    store_->Advance(Next(), &effects);
    Take(effects);
  }
  void EndSessions(NodeId origin) {
    Effects effects;
    store_->EndSessions(Next(), origin, 2, &effects);
    Take(effects);
  }
  void Heard(const RequestId& request) {
    store_->Heard(request, request);
    Take({});
  }

  QueueStore& store() { return *store_; }
  const QueueStore& store() const { return *store_; }
  ClusterTime now() const { return now_; }
  Bytes Saved() const {
    Bytes out;
    Writer writer(&out);
    store_->Save(&writer);
    return out;
  }
  void Reload() {
    const Bytes saved = Saved();
    auto loaded = std::make_unique<QueueStore>(kShard, limits_);
    Reader in(saved);
    const auto result = loaded->Load(&in);
    ASSERT_TRUE(result.ok()) << result.error().message;
    ASSERT_TRUE(in.done());
    store_ = std::move(loaded);
    ASSERT_EQ(Saved(), saved);
  }

  // Commands in short. ----------------------------------------------------------------------------
  Bytes Push(BytesView queue, BytesView body) {
    PushOp op;
    op.queue = queue;
    op.bodies = {body};
    return Do(op).text;
  }
  Bytes PushIn(BytesView queue, BytesView group, BytesView body) {
    PushOp op;
    op.queue = queue;
    op.bodies = {body};
    op.group = group;
    return Do(op).text;
  }
  static PopOp PopOf(BytesView queue) {
    PopOp op;
    op.queues = {queue};
    return op;
  }
  RequestId Block(BytesView queue, int64_t ms = 0, NodeId origin = NodeId{1}) {
    PopOp op = PopOf(queue);
    op.wait_ms = ms;
    return Ask(op.Encode(), origin);
  }
  // One message; no receipt: there was none.
  struct Popped {
    Bytes receipt_text;
    Receipt receipt;
    Bytes body;
    int64_t attempt = 0;
    bool operator==(const Popped&) const = default;
  };
  static Popped RowOf(const Reply& row) {
    Popped popped;
    popped.receipt_text = row.items.at(1).text;
    const size_t dot = popped.receipt_text.find('.');
    const size_t second = popped.receipt_text.find('.', dot + 1);
    popped.receipt.seq = std::stoull(popped.receipt_text.substr(dot + 1));
    popped.receipt.lease = std::stoull(popped.receipt_text.substr(second + 1));
    popped.body = row.items.at(2).text;
    popped.attempt = row.items.at(3).integer;
    return popped;
  }
  static Popped FirstOf(const Reply& rows) {
    if (rows.is_nil()) return {};
    return RowOf(rows.items.at(0));
  }
  Popped Pop(BytesView queue) { return FirstOf(Do(PopOf(queue))); }
  Bytes PopBody(BytesView queue) { return Pop(queue).body; }
  int64_t Ack(BytesView queue, const Receipt& receipt) {
    QueueAckOp op;
    op.queue = queue;
    op.receipts = {receipt};
    return Do(op).integer;
  }
  int64_t Nack(BytesView queue, const Receipt& receipt, NackOp::How how = NackOp::How::kFailure,
               BytesView error = {}, std::optional<int64_t> delay_ms = std::nullopt) {
    NackOp op;
    op.queue = queue;
    op.receipts = {receipt};
    op.how = how;
    op.error = error;
    op.delay_ms = delay_ms;
    return Do(op).integer;
  }
  Reply Set(BytesView queue, BytesView option, int64_t value) {
    QueueSetOp op;
    op.queue = queue;
    op.values = {{static_cast<uint32_t>(FindQueueOption(option)), value}};
    return Do(op);
  }
  // Without a look at the whole store after each: for many.
  void PushUnchecked(BytesView queue, BytesView group, BytesView body) {
    PushOp op;
    op.queue = queue;
    op.bodies = {body};
    op.group = group;
    AskUnchecked(op.Encode());
    AskUnchecked(PopOf(queue).Encode());
  }
  void NackUnchecked(BytesView queue, uint64_t seq, uint64_t lease, NackOp::How how) {
    NackOp op;
    op.queue = queue;
    op.receipts = {{seq, lease}};
    op.how = how;
    AskUnchecked(op.Encode());
  }
  void AskUnchecked(const Bytes& op) {
    Effects effects;
    store_->Advance(Next(), &effects);
    Apply(op, {NodeId{1}, 1, ++requests_}, &effects);
    log_.DropUnneeded(store_.get());
  }
  int64_t Len(BytesView queue) const { return Read(LenQuery{queue}).integer; }
  // A figure of DQ.INFO, or an option that it shows.
  int64_t Info(BytesView queue, BytesView key) const {
    return In(Read(QueueInfoQuery{queue}), key).integer;
  }
  int64_t Option(BytesView queue, BytesView key) const {
    return In(In(Read(QueueInfoQuery{queue}), "options"), key).integer;
  }
  static Reply In(const Reply& map, BytesView key) {
    for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
      if (map.items[i].text == key) return map.items[i + 1];
    }
    ADD_FAILURE() << "there is no " << key;
    return Reply::Nil();
  }

 private:
  Position Next() { return {Index{++index_}, now_}; }
  void Take(const Effects& effects) {
    for (const Effects::Answer& answer : effects.answers) {
      const bool first = answers_.emplace(answer.request, log_.Read(answer.reply)).second;
      EXPECT_TRUE(first) << "request " << answer.request.seq << " was answered twice";
    }
    log_.DropUnneeded(store_.get());
    store_->CheckInvariants();
    if (reload_) Reload();
  }
  void Apply(const Bytes& op, const RequestId& request, Effects* effects) {
    const Position at = log_.Add(Index{++index_}, now_, op);
    store_->Apply(at, request, at.data, effects);
  }

  QueueLimits limits_;
  std::unique_ptr<QueueStore> store_;
  bool reload_ = false;
  uint64_t index_ = 0;
  MachineLog log_;
  uint64_t requests_ = 0;
  ClusterTime now_{1000};
  std::map<RequestId, Reply> answers_;
};

// Each test runs twice: as it is, and with the store saved and loaded after each step.
class QueueStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override { q_.set_reload(GetParam()); }
  QueueDriver q_;
};

}  // namespace lockstep
