// The queues of one shard: what is in them, who has it, and who waits for it.
//
// This is what a group `shard <n>` replicates. Every node applies the same operations in the same
// order and so has the same queues. Nothing here reads a clock: leases, delays and TTLs end by the
// time stamped on each entry, and no dice are thrown: a back-off's jitter follows from the id.
//
// Always true (CheckInvariants):
//   1. A message is READY, DELAYED, LEASED or DEAD, and stays until it is acknowledged, deleted,
//      past its TTL, or dropped by a policy that the user chose.
//   2. Whoever waits gets the message that can be had in the same entry: at rest, no POP waits at a
//      queue that could deliver (trap q29). So a failover loses no delivery and leaves none
//      hanging: to whom a message went is part of the state (traps q3, q4).
//   3. A message has one lease at a time. A receipt names the lease, and is good until the message
//      is leased again (trap q2).
//
// The rules of order:
//   - The highest priority first; within one, as they were pushed. A message that comes back
//     regains its place.
//   - A group delivers its first `group-concurrency` messages, whatever their state: one that is
//     leased, delayed or backs off holds up those behind it until it is acknowledged or dead.
//   - POPs are served in the order in which they came.
//   - A message on its last attempt is delivered alone: it may be the one that kills its consumer,
//     and those that it was delivered with would be dead with it (trap q9).
//
// What is a failure: NACK, the end of a lease, a connection that closes with a TIED message. What
// is none: RELEASE, a node that dies, and an answer that nobody took.
//
// Not thread-safe. Owned by the Replica of its group, used on the node thread.
#pragma once

#include <set>

#include "commands/queue_state.h"
#include "commands/spread.h"
#include "commands/state_machine.h"

namespace lockstep {

// Equal on all nodes of a cluster, or the stores part ways.
struct QueueLimits {
  size_t queues_max = 1'000'000;
  size_t demands_max = 1'000'000;
  size_t ids_max = 50'000'000;
  size_t changed_max = 50'000;  // By one entry: messages that it moves or purges, deadlines.
  int64_t idle_memory_ms = 3'600'000;  // A queue with nothing in it and no option set is forgotten.
};

class QueueStore final : public StateMachine {
 public:
  explicit QueueStore(uint64_t shard, const QueueLimits& limits = {});

  void Advance(const Position& at, Effects* out) override;
  void Apply(const Position& at, const RequestId& request, BytesView op, Effects* out) override;
  void EndSessions(const Position& at, NodeId origin, uint64_t incarnation,
                   Effects* out) override;
  void Heard(const RequestId& from, const RequestId& to) override;
  Reply Query(ClusterTime now, BytesView query) const override;
  uint64_t query_work() const override { return looked_at_; }
  ClusterTime NextDeadline() const override;
  bool NeedsEntry(Index entry) const override { return state_.NeedsEntry(entry.value); }
  std::vector<Index> NeededAfter(Index after) const override { return state_.NeededAfter(after); }
  std::vector<Index> TakeUnneeded() override { return state_.TakeUnneeded(); }
  void Save(Writer* out) const override;
  void BeginSave(Writer* out) override;
  bool SaveMore(size_t records, Writer* out) override;
  void EndSave() override { state_.EndSave(); }
  Result<void> Load(Reader* in) override;
  uint64_t Hash() const override;
  void CheckInvariants() const override;

  struct Figures {
    size_t queues = 0, messages = 0, demands = 0, ids = 0;
  };
  Figures figures() const;

 private:
  // How a message is to be delivered.
  struct Terms {
    RequestId request;
    int64_t lease_ms = 0;
    std::optional<BoundTo> tied;
    bool noack = false;
    bool full = false;
  };
  enum class Side : uint8_t { kLive, kDead };

  // Operations (queue_store.cc). No reply: it waits.
  std::optional<Reply> Run(const RequestId& request, const QueueOp& op);
  Reply Push(const PushOp& op);
  std::optional<Reply> Pop(const RequestId& request, const PopOp& op);
  Reply Set(const QueueSetOp& op);
  Reply Pause(const QueuePauseOp& op);
  Reply Purge(const PurgeOp& op);
  Reply Drop(const DropQueueOp& op);
  Reply Delete(const DeleteOp& op);
  Reply Move(const MoveOp& op);
  void BeginAnew(Message* message, bool was_dead) const;
  Reply Cancel(const CancelOp& op);
  Reply Hangup(const HangupOp& op);

  std::optional<Reply> PushRefusal(const PushOp& op, Slot<Queue> queue) const;
  std::optional<Reply> MakeRoom(const PushOp& op, Slot<Queue> queue);
  bool IsOverLimits(Slot<Queue> queue, uint64_t messages, uint64_t bytes) const;
  bool DropOldest(Slot<Queue> queue);
  LogSpan SpanOf(BytesView body) const;
  uint64_t PushOne(const PushOp& op, Slot<Queue> queue, BytesView body);
  void RememberId(const PushOp& op, Slot<Queue> queue, uint64_t seq);
  Slot<Queue> FindOrAdd(BytesView name);
  int64_t ShareOf(Slot<Queue> queue, int64_t limit) const;
  Reply IsFull(BytesView name, Slot<Queue> queue) const;
  bool HasRoomForQueues(size_t more) const;
  Reply TooManyQueues() const;
  std::optional<Reply> BeginDemand(const RequestId& request, const PopOp& op);
  void EndDemand(Slot<Demand> demand, const Reply& reply);

  // Of queues with several partitions (queue_spread.cc).
  std::optional<Reply> Misdirected(BytesView queue, uint64_t version) const;
  std::optional<Reply> Misplaced(const PushOp& op, Slot<Queue> queue) const;
  Reply SpreadReply(Slot<Queue> queue, Elsewhere why) const;
  bool IsSettled(Slot<Queue> queue, ClusterTime now) const;
  std::optional<Reply> SetRefusal(const QueueSetOp& op, Slot<Queue> queue) const;
  Reply Adopt(const AdoptOp& op);
  void Spreads(Slot<Queue> queue);
  Reply Answer(ClusterTime now, const SettledQuery& query) const;

  // Delivering, and taking back (queue_deliver.cc).
  bool CanDeliver(Slot<Queue> queue, Side side) const;
  Slot<Message> NextOf(Slot<Queue> queue, Side side) const;
  bool IsLastAttempt(const Message& message) const;
  int64_t OpensUs(Slot<Queue> queue) const;
  void Pace(Slot<Queue> queue);
  bool DeliverFrom(Slot<Queue> queue, Side side, const Terms& terms, size_t count, Reply* rows,
                   size_t* cost);
  void Lease(Slot<Message> message, const Terms& terms);
  Reply RowOf(const Message& message, Side side, uint64_t lease, bool full) const;
  Reply DetailsOf(const Message& message, ClusterTime now, uint64_t deliveries) const;
  void Serve(Slot<Queue> queue, Side side);
  void Settle();
  void NoteIdle(Slot<Queue> queue);

  Slot<Message> Leased(BytesView queue, const Receipt& receipt) const;
  size_t AckAll(BytesView queue, const std::vector<Receipt>& receipts);
  Reply Ack(const QueueAckOp& op);
  Reply Nack(const NackOp& op);
  Reply Touch(const TouchOp& op);
  void Fail(Slot<Message> message, BytesView error, std::optional<int64_t> delay_ms, bool dead_now);
  void Lose(Slot<Message> message, BytesView error, std::optional<int64_t> delay_ms);
  void GiveBack(Slot<Message> message, int64_t delay_ms);
  void ComeBack(Slot<Message> message, int64_t delay_ms);
  void Die(Slot<Message> message);
  void Remove(Slot<Message> message);
  int64_t BackoffMs(const Message& message) const;
  int64_t RetryOf(const Message& message) const;

  // Deadlines.
  void EndOne(QueueState::Ends kind, uint32_t thing);
  void EndTimer(Slot<Message> message);
  void Expire(Slot<Message> message);

  // Reading (queue_query.cc).
  Reply Answer(ClusterTime now, const LenQuery& query) const;
  Reply Answer(ClusterTime now, const QueueInfoQuery& query) const;
  Reply Answer(ClusterTime now, const PeekQuery& query) const;
  Reply Answer(ClusterTime now, const QueueListQuery& query) const;
  static uint8_t StatesMeant(const Queue& queue, const QueueSide& side, uint8_t named);
  static bool IsMeant(const Message& message, const QueueSide& side);
  Bytes IdOf(uint64_t seq) const;

  uint64_t shard_;
  QueueLimits limits_;
  QueueState state_;
  mutable uint64_t looked_at_ = 0;  // Records, by queries: the work that they have made.

  // Of the operation being applied; nothing between operations.
  Position at_;
  Effects* out_ = nullptr;
  std::set<Slot<Queue>> touched_;  // May be able to deliver, or have become idle.
};

}  // namespace lockstep
