// What a group `shard <n>` replicates: the shard's queues, and those of its keys that are durable.
// The two know nothing of each other; keys are written by entries of their own kind, which answer
// nobody.
#pragma once

#include <algorithm>

#include "commands/durable_keys.h"
#include "commands/queue_store.h"

namespace lockstep {

class ShardMachine final : public StateMachine {
 public:
  explicit ShardMachine(uint64_t shard) : queues_(shard) {}

  void Advance(const Position& at, Effects* out) override {
    queues_.Advance(at, out);
    keys_.Advance(at.time, &out->keys);
  }
  void Apply(const Position& at, const RequestId& request, BytesView op, Effects* out) override {
    queues_.Apply(at, request, op, out);
  }
  bool ApplyKeys(const Position& at, BytesView op, Effects* out) override {
    return keys_.Apply(at.time, op, &out->keys);
  }
  void EndSessions(const Position& at, NodeId origin, uint64_t incarnation,
                   Effects* out) override {
    queues_.EndSessions(at, origin, incarnation, out);
  }
  void Heard(const RequestId& from, const RequestId& to) override { queues_.Heard(from, to); }
  Reply Query(ClusterTime now, BytesView query) const override {
    return queues_.Query(now, query);
  }
  uint64_t query_work() const override { return queues_.query_work(); }
  ClusterTime NextDeadline() const override {
    return std::min(queues_.NextDeadline(), keys_.NextDeadline());
  }
  bool NeedsEntry(Index entry) const override { return queues_.NeedsEntry(entry); }
  std::vector<Index> NeededAfter(Index after) const override { return queues_.NeededAfter(after); }
  std::vector<Index> TakeUnneeded() override { return queues_.TakeUnneeded(); }
  void Save(Writer* out) const override;
  void BeginSave(Writer* out) override;
  bool SaveMore(size_t records, Writer* out) override;
  void EndSave() override {
    queues_.EndSave();
    saved_keys_.clear();
  }
  Result<void> Load(Reader* in) override;
  uint64_t Hash() const override { return HashOf(queues_.Hash()); }
  void CheckInvariants() const override {
    queues_.CheckInvariants();
    keys_.CheckInvariants();
  }

  const QueueStore& queues() const { return queues_; }
  const DurableKeys& keys() const { return keys_; }

 private:
  uint64_t HashOf(uint64_t queues) const;

  QueueStore queues_;
  DurableKeys keys_;
  Bytes saved_keys_;  // As they were when a snapshot began: they stand at its end.
};

}  // namespace lockstep
