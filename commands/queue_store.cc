#include "commands/queue_store.h"

#include <algorithm>

#include "commands/overloaded.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

Bytes Quoted(BytesView name) { return "'" + Printable(name) + "'"; }

Reply Limit(const Bytes& what) { return Reply::Error("LIMIT", what + "; nothing was changed"); }

bool IsOverMax(int64_t max, uint64_t is) { return max > 0 && is > static_cast<uint64_t>(max); }

uint64_t BytesOf(const PushOp& op) {
  uint64_t bytes = 0;
  for (const BytesView body : op.bodies) bytes += body.size();
  return bytes;
}

Reply NoSuchQueue(BytesView name) {
  return Reply::Error("ERR", "there is no queue " + Quoted(name) +
                                 " and dq-auto-create is off; make it by DQ.SET");
}

// By DQ.SET, a push or DQ.MOVE: whoever waits at a queue, or pauses it, does not make it.
bool IsMade(const Queue& queue) {
  return queue.made || queue.counters.pushed > 0 || queue.messages() > 0;
}

// Several partitions outlive their queue.
bool IsDropped(const Queue& queue) {
  return queue.version != 0 && !IsMade(queue) && queue.ids.size() == 0 && !queue.stops_in &&
         !queue.stops_out;
}

// What nobody waits for ends together with others: each end is an entry in the log.
ClusterTime InWholeSeconds(ClusterTime time) {
  return ClusterTime{(time.ms + 999) / 1000 * 1000};
}

std::optional<BoundTo> BondOf(const RequestId& request, const PopOp& op) {
  if (!op.tied) return std::nullopt;
  return BoundTo{request.origin, request.incarnation, *op.tied};
}

}  // namespace

QueueStore::QueueStore(uint64_t shard, const QueueLimits& limits)
    : shard_(shard), limits_(limits) {}

// In the order of the deadlines, each with all its consequences before the next: so it makes no
// difference to who gets a message whether time is told in one step or in many. Of very many that
// end at once the rest waits for the next entry, so that no entry keeps its node busy for long:
// NextDeadline stays in the past, and the leader pulses.
void QueueStore::Advance(const Position& at, Effects* out) {
  at_ = at;
  out_ = out;
  for (size_t ended = 0; ended < limits_.changed_max; ++ended) {
    const auto ends = state_.NextEnds();
    const auto first = std::min_element(ends.begin(), ends.end(), [](const auto& a, const auto& b) {
      return a.deadline < b.deadline;
    });
    if (!IsOver(first->deadline, at.time)) return;
    EndOne(static_cast<QueueState::Ends>(first - ends.begin()), first->thing);
    Settle();
  }
}

void QueueStore::EndOne(QueueState::Ends kind, uint32_t thing) {
  switch (kind) {
    case QueueState::kDelayOrLease:
      return EndTimer(Slot<Message>{thing});
    case QueueState::kTtl:
      return Expire(Slot<Message>{thing});
    case QueueState::kDemand:
      return EndDemand(Slot<Demand>{thing}, Reply::NilArray());
    case QueueState::kPushedId:
      touched_.insert(state_.at(Slot<PushedId>{thing}).queue);
      return state_.RemoveId(Slot<PushedId>{thing});
    case QueueState::kIdleQueue:
      return state_.RemoveQueue(Slot<Queue>{thing});
    case QueueState::kPace:
      touched_.insert(Slot<Queue>{thing});
      return state_.SetOpens(Slot<Queue>{thing}, kNeverCluster);
    case QueueState::kEnds:
      break;
  }
}

void QueueStore::EndTimer(Slot<Message> message) {
  const bool leased = state_.at(message).state == MessageState::kLeased;
  if (leased && !Planted(Mutant::kLeaseEndIsNoFailure)) {
    Lose(message, "lease expired", std::nullopt);
  } else {
    ComeBack(message, 0);
  }
}

void QueueStore::Expire(Slot<Message> message) {
  ++state_.CountersOf(state_.at(message).queue).expired;
  Remove(message);
}

ClusterTime QueueStore::NextDeadline() const {
  ClusterTime next = kNeverCluster;
  for (const QueueState::End& end : state_.NextEnds()) next = std::min(next, end.deadline);
  return next;
}

void QueueStore::Apply(const Position& at, const RequestId& request, BytesView op, Effects* out) {
  at_ = at;
  out_ = out;
  const std::optional<QueueOp> decoded = DecodeQueueOp(op);
  if (!decoded) {
    out->Give(request, Reply::Error("ERR", "unreadable queue operation; nothing was changed"));
    return;
  }
  if (auto reply = Run(request, *decoded)) out->Give(request, *std::move(reply));
  Settle();
}

std::optional<Reply> QueueStore::Run(const RequestId& request, const QueueOp& op) {
  using Answer = std::optional<Reply>;
  return std::visit(Overloaded{
                        [&](const PushOp& o) { return Answer(Push(o)); },
                        [&](const PopOp& o) { return Pop(request, o); },
                        [&](const QueueAckOp& o) { return Answer(Ack(o)); },
                        [&](const NackOp& o) { return Answer(Nack(o)); },
                        [&](const TouchOp& o) { return Answer(Touch(o)); },
                        [&](const QueueSetOp& o) { return Answer(Set(o)); },
                        [&](const QueuePauseOp& o) { return Answer(Pause(o)); },
                        [&](const PurgeOp& o) { return Answer(Purge(o)); },
                        [&](const DropQueueOp& o) { return Answer(Drop(o)); },
                        [&](const DeleteOp& o) { return Answer(Delete(o)); },
                        [&](const MoveOp& o) { return Answer(Move(o)); },
                        [&](const CancelOp& o) { return Answer(Cancel(o)); },
                        [&](const HangupOp& o) { return Answer(Hangup(o)); },
                        [&](const NoteOp&) { return Answer(Reply::Ok()); },
                        [&](const AdoptOp& o) { return Answer(Adopt(o)); },
                    },
                    op);
}

Reply QueueStore::TooManyQueues() const {
  return Limit(Format("there are %zu queues in this shard already", limits_.queues_max));
}

bool QueueStore::HasRoomForQueues(size_t more) const {
  return state_.queues().size() + more <= limits_.queues_max;
}

Slot<Queue> QueueStore::FindOrAdd(BytesView name) {
  const Slot<Queue> known = state_.FindQueue(name);
  const Slot<Queue> queue = known.valid() ? known : state_.AddQueue(name);
  touched_.insert(queue);
  return queue;
}

// Push -------------------------------------------------------------------------------------------

Reply QueueStore::Push(const PushOp& op) {
  if (auto elsewhere = Misdirected(op.queue, op.version)) return *std::move(elsewhere);
  Slot<Queue> queue = state_.FindQueue(op.queue);
  const bool forgets = Planted(Mutant::kMovedIdForgotten) && queue.valid() && Misplaced(op, queue);
  if (queue.valid() && !op.id.empty() && !forgets) {
    // Whatever has become of the queue since: the first push is what happened (traps q5, q7).
    if (const Slot<PushedId> id = state_.FindId(queue, op.id); id.valid()) {
      ++state_.CountersOf(queue).duplicates;
      return Reply::Bulk(IdOf(state_.at(id).seq));
    }
  }
  if (auto elsewhere = Misplaced(op, queue)) return *std::move(elsewhere);
  if (auto refusal = PushRefusal(op, queue)) return *std::move(refusal);
  queue = FindOrAdd(op.queue);
  if (Planted(Mutant::kIdBeforePush) && !op.id.empty()) {
    state_.AddId(queue, op.id, state_.next_seq(), at_.time + 300'000);
  }
  if (auto refusal = MakeRoom(op, queue)) return *std::move(refusal);
  if (op.fence > state_.at(queue).fence) {
    state_.EditQueue(queue, [&op](Queue* q) { q->fence = op.fence; });
  }
  state_.CountersOf(queue).pushed += op.bodies.size();
  if (!op.many) return Reply::Bulk(IdOf(PushOne(op, queue, op.bodies.front())));
  Reply ids = Reply::Array();
  ids.items.reserve(op.bodies.size());
  for (const BytesView body : op.bodies) ids.Add(Reply::Bulk(IdOf(PushOne(op, queue, body))));
  return ids;
}

std::optional<Reply> QueueStore::PushRefusal(const PushOp& op, Slot<Queue> queue) const {
  if (SideOf(op.queue).dead) {
    return Reply::Error("ERR", Quoted(op.queue) + " is where the dead of " +
                                   Quoted(SideOf(op.queue).queue) +
                                   " are read; push to that one, nothing was changed");
  }
  if (!op.id.empty() && state_.ids().size() >= limits_.ids_max) {
    return Limit(Format("this shard remembers %zu ids already", limits_.ids_max));
  }
  if (!queue.valid()) {
    if (!op.creates) return NoSuchQueue(op.queue);
    if (HasRoomForQueues(1)) return std::nullopt;
    return TooManyQueues();
  }
  const Queue& known = state_.at(queue);
  if (!op.creates && !IsMade(known)) return NoSuchQueue(op.queue);
  if (op.fence != 0 && known.version != 0) {
    return Reply::Error("ERR", "queue " + Quoted(op.queue) + " has several partitions, and a "
                               "fencing token is compared in one place; nothing was changed");
  }
  if (op.fence != 0 && op.fence < known.fence) {
    return Reply::Error("FENCED", Format("queue %s has seen fencing token %lu, which is newer than "
                                         "%lu; nothing was changed",
                                         Quoted(op.queue).c_str(), known.fence, op.fence));
  }
  if (known.stops_in) return Limit("queue " + Quoted(op.queue) + " takes nothing: DQ.PAUSE IN");
  return std::nullopt;
}

bool QueueStore::IsOverLimits(Slot<Queue> queue, uint64_t messages, uint64_t bytes) const {
  const QueueOptions& options = state_.OptionsOf(queue);
  const Queue& known = state_.at(queue);
  return IsOverMax(ShareOf(queue, options.maxlen), known.live() + messages) ||
         IsOverMax(ShareOf(queue, options.maxbytes), known.bytes + bytes);
}

// Of a limit for the whole queue what this partition may have.
int64_t QueueStore::ShareOf(Slot<Queue> queue, int64_t limit) const {
  const int64_t partitions = state_.OptionsOf(queue).partitions;
  const bool one_more = int64_t{state_.at(queue).partition} < limit % partitions;
  return limit / partitions + (one_more ? 1 : 0);
}

Reply QueueStore::IsFull(BytesView name, Slot<Queue> queue) const {
  const QueueOptions& options = state_.OptionsOf(queue);
  const bool is_part = options.partitions > 1;
  return Limit(Format("%squeue %s is full: maxlen %ld, maxbytes %ld; it has %lu messages of %lu "
                      "bytes",
                      is_part ? "a partition of " : "", Quoted(name).c_str(),
                      ShareOf(queue, options.maxlen), ShareOf(queue, options.maxbytes),
                      state_.at(queue).live(), state_.at(queue).bytes));
}

// A limit that was lowered far below what is there is reached by and by: no push keeps its node
// busy for long.
std::optional<Reply> QueueStore::MakeRoom(const PushOp& op, Slot<Queue> queue) {
  const QueueOptions& options = state_.OptionsOf(queue);
  const uint64_t bytes = BytesOf(op);
  if (!IsOverLimits(queue, op.bodies.size(), bytes)) return std::nullopt;
  if (options.drop_oldest == 0) return IsFull(op.queue, queue);
  // What would not fit beside what stays in any case must drop nothing.
  const Queue& known = state_.at(queue);
  const uint64_t leased = known.in(MessageState::kLeased).size() - known.leased_from_dead;
  const bool never = IsOverMax(ShareOf(queue, options.maxlen), op.bodies.size() + leased) ||
                     IsOverMax(ShareOf(queue, options.maxbytes), bytes + known.leased_bytes);
  if (never) return IsFull(op.queue, queue);
  for (size_t dropped = 0;
       dropped < limits_.changed_max && IsOverLimits(queue, op.bodies.size(), bytes); ++dropped) {
    if (!DropOldest(queue)) return IsFull(op.queue, queue);
  }
  return std::nullopt;
}

// Never one that is leased: its consumer works on it (trap q32).
bool QueueStore::DropOldest(Slot<Queue> queue) {
  const Queue& known = state_.at(queue);
  uint64_t oldest = std::min(known.in(MessageState::kReady).first(),
                             known.in(MessageState::kDelayed).first());
  if (Planted(Mutant::kDropsLeased)) {
    oldest = std::min(oldest, known.in(MessageState::kLeased).first());
  }
  if (oldest == kNoSeq) return false;
  ++state_.CountersOf(queue).dropped;
  Remove(state_.FindMessage(oldest));
  return true;
}

// Where it lies in the entry that is being applied.
LogSpan QueueStore::SpanOf(BytesView body) const {
  const std::ptrdiff_t at = body.empty() ? 0 : body.data() - at_.data.data();
  CHECK(at >= 0 && static_cast<size_t>(at) + body.size() <= at_.data.size());
  return {at_.entry.value, static_cast<uint32_t>(at), static_cast<uint32_t>(body.size())};
}

uint64_t QueueStore::PushOne(const PushOp& op, Slot<Queue> queue, BytesView body) {
  const QueueOptions& options = state_.OptionsOf(queue);
  Message message;
  message.seq = state_.TakeSeq();
  message.pushed = at_.time;
  message.body = SpanOf(body);
  message.queue = queue;
  message.priority = op.priority;
  if (op.delay_ms > 0) {
    message.state = MessageState::kDelayed;
    message.deadline = at_.time + op.delay_ms;
  }
  const int64_t ttl_ms = op.ttl_ms > 0 ? op.ttl_ms : options.ttl_ms;
  if (ttl_ms > 0) {
    message.need_extra().ttl_ms = ttl_ms;
    message.need_extra().expires = at_.time + ttl_ms;
  }
  if (op.retry > 0) message.need_extra().retry = op.retry;
  for (const auto& [name, value] : op.headers) {
    message.need_extra().headers.emplace_back(name, value);
  }
  const uint64_t seq = message.seq;
  const uint64_t entry = message.body.entry;
  if (!op.id.empty()) {
    message.need_extra().id = Bytes(op.id);
    if (options.dedup_window_ms > 0 && !Planted(Mutant::kIdBeforePush)) {
      RememberId(op, queue, seq);
    }
  }
  state_.AddMessage(std::move(message), op.group);
  state_.SetEntryBytes(entry, at_.data.size());
  return seq;
}

// One that a group holds back here though it belongs elsewhere is remembered here too.
void QueueStore::RememberId(const PushOp& op, Slot<Queue> queue, uint64_t seq) {
  const ClusterTime forget_at =
      InWholeSeconds(at_.time + state_.OptionsOf(queue).dedup_window_ms);
  state_.AddId(queue, op.id, seq, forget_at);
  const Queue& known = state_.at(queue);
  const auto partitions = static_cast<uint32_t>(state_.OptionsOf(queue).partitions);
  if (known.version == 0 || PlaceOf(op, partitions) == known.partition) return;
  state_.EditQueue(queue, [&](Queue* q) { q->settles_at = std::max(q->settles_at, forget_at); });
}

// Pop --------------------------------------------------------------------------------------------

std::optional<Reply> QueueStore::Pop(const RequestId& request, const PopOp& op) {
  for (const BytesView name : op.queues) {
    if (auto elsewhere = Misdirected(name, op.version)) return elsewhere;
  }
  AckAll(op.queues.front(), op.acks);
  Settle();  // What that has made ready is for those who wait.
  const Terms terms{request, op.lease_ms, BondOf(request, op), op.noack, op.full};
  Reply rows = Reply::Array();
  size_t cost = 0;
  for (const BytesView name : op.queues) {
    const QueueSide side = SideOf(name);
    const Slot<Queue> queue = state_.FindQueue(side.queue);
    if (!queue.valid()) continue;
    const Side from = side.dead ? Side::kDead : Side::kLive;
    if (!DeliverFrom(queue, from, terms, op.count, &rows, &cost)) break;
  }
  if (!rows.items.empty()) return rows;
  if (!op.wait_ms) return Reply::NilArray();
  return BeginDemand(request, op);
}

std::optional<Reply> QueueStore::BeginDemand(const RequestId& request, const PopOp& op) {
  const auto is_new = [this](BytesView name) {
    return !state_.FindQueue(SideOf(name).queue).valid();
  };
  const auto made = static_cast<size_t>(std::count_if(op.queues.begin(), op.queues.end(), is_new));
  const bool too_many = state_.demands().size() >= limits_.demands_max;
  if (too_many || !HasRoomForQueues(made)) {
    const Bytes acked = op.acks.empty() ? "nothing was changed"
                                        : "what ACK named is acknowledged, nothing was popped";
    return Reply::Error("LIMIT", (too_many ? Format("%zu POPs wait in this shard already; ",
                                                    limits_.demands_max)
                                           : Format("there are %zu queues in this shard already; ",
                                                    limits_.queues_max)) + acked);
  }
  Demand demand;
  demand.request = request;
  for (const BytesView name : op.queues) {
    const QueueSide side = SideOf(name);
    demand.parts.push_back({FindOrAdd(side.queue), side.dead});
  }
  demand.count = op.count;
  demand.lease_ms = op.lease_ms;
  demand.tied = BondOf(request, op);
  demand.noack = op.noack;
  demand.full = op.full;
  if (*op.wait_ms > 0) demand.deadline = at_.time + *op.wait_ms;
  state_.AddDemand(std::move(demand));
  return std::nullopt;  // The operation that makes a message ready gives the answer.
}

void QueueStore::EndDemand(Slot<Demand> slot, const Reply& reply) {
  const Demand& demand = state_.at(slot);
  for (const Demand::Part& part : demand.parts) touched_.insert(part.queue);
  out_->Give(demand.request, reply);
  state_.RemoveDemand(slot);
}

// Queues -----------------------------------------------------------------------------------------

Reply QueueStore::Set(const QueueSetOp& op) {
  if (SideOf(op.queue).dead) return Reply::Error("ERR", "the dead have the options of their queue");
  if (!state_.FindQueue(op.queue).valid() && !HasRoomForQueues(1)) {
    return TooManyQueues();
  }
  const Slot<Queue> queue = FindOrAdd(op.queue);
  if (auto refusal = SetRefusal(op, queue)) return *std::move(refusal);
  const int64_t before = state_.OptionsOf(queue).partitions;
  state_.EditQueue(queue, [&](Queue* q) {
    QueueOptions options = q->options != nullptr ? *q->options : QueueOptions();
    for (const auto& [number, value] : op.values) {
      options.*AllQueueOptions()[number].field = value;
    }
    q->made = true;
    const bool usual = options == QueueOptions();
    q->options = usual ? nullptr : std::make_unique<QueueOptions>(options);
    if (options.partitions > before) q->before = static_cast<uint32_t>(before);
    if (options.partitions > 1) q->version = at_.index.value;
  });
  if (state_.OptionsOf(queue).partitions > before) Spreads(queue);
  return state_.at(queue).version == 0 ? Reply::Ok() : SpreadReply(queue, Elsewhere::kDone);
}

Reply QueueStore::Pause(const QueuePauseOp& op) {
  if (SideOf(op.queue).dead) return Reply::Error("ERR", "the dead are paused with their queue");
  if (!state_.FindQueue(op.queue).valid() && !HasRoomForQueues(1)) {
    return TooManyQueues();
  }
  const Slot<Queue> queue = FindOrAdd(op.queue);
  state_.EditQueue(queue, [&](Queue* q) {
    q->stops_in = op.stops_in;
    q->stops_out = op.stops_out;
    if (q->version != 0) q->version = at_.index.value;
  });
  return state_.at(queue).version == 0 ? Reply::Ok() : SpreadReply(queue, Elsewhere::kDone);
}

Reply QueueStore::Purge(const PurgeOp& op) {
  if (auto elsewhere = Misdirected(op.queue, op.version)) return *std::move(elsewhere);
  const QueueSide side = SideOf(op.queue);
  const Slot<Queue> queue = state_.FindQueue(side.queue);
  if (!queue.valid()) return Reply::Integer(0);
  const uint8_t states = StatesMeant(state_.at(queue), side, op.states);
  std::vector<Slot<Message>> purged;
  for (size_t i = 0; i < kMessageStates; ++i) {
    const auto state = static_cast<MessageState>(i);
    if (!HasState(states, state)) continue;
    const SeqSet& set = state_.at(queue).in(state);
    for (uint64_t seq = set.first(); seq != kNoSeq && purged.size() < limits_.changed_max;
         seq = set.FirstFrom(seq + 1)) {
      const Slot<Message> message = state_.FindMessage(seq);
      if (IsMeant(state_.at(message), side)) purged.push_back(message);
    }
  }
  for (const Slot<Message> message : purged) Remove(message);
  return Reply::Integer(static_cast<int64_t>(purged.size()));
}

// Who waits at it goes on waiting: the next push brings a queue of that name to life again. Its
// numbers are not used again, so an old receipt finds nothing there (trap q33). One that has
// several partitions keeps them: a node that has not heard of its end goes on pushing there.
Reply QueueStore::Drop(const DropQueueOp& op) {
  if (auto elsewhere = Misdirected(op.queue, op.version)) return *std::move(elsewhere);
  const Slot<Queue> queue = state_.FindQueue(op.queue);
  if (!queue.valid()) return Reply::Integer(0);
  const uint64_t messages = state_.at(queue).messages();
  if (IsDropped(state_.at(queue))) return Reply::Integer(0);
  if (messages > 0 && !op.force) {
    return Reply::Error("ERR", Format("queue %s has %lu messages; DQ.DROP %s FORCE drops them too, "
                                      "nothing was changed",
                                      Quoted(op.queue).c_str(), messages,
                                      Printable(op.queue).c_str()));
  }
  if (messages + state_.at(queue).ids.size() > 2 * limits_.changed_max) {
    const Bytes name = Printable(op.queue);
    return Limit(Format("queue %s has %lu messages and remembers %zu ids, too much for one step: "
                        "DQ.PURGE %s and DQ.PURGE %s!dead until they answer 0; ids are forgotten "
                        "when the dedup-window of their push is over",
                        Quoted(op.queue).c_str(), messages, state_.at(queue).ids.size(),
                        name.c_str(), name.c_str()));
  }
  std::vector<Slot<Message>> all;
  for (const SeqSet& set : state_.at(queue).by_state) {
    set.ForEach([&](uint64_t seq) { all.push_back(state_.FindMessage(seq)); });
  }
  for (const Slot<Message> message : all) Remove(message);
  for (const uint32_t id : state_.at(queue).ids.Numbers()) state_.RemoveId(Slot<PushedId>{id});
  state_.EditQueue(queue, [this](Queue* q) {
    const int64_t partitions = q->options != nullptr ? q->options->partitions : 1;
    q->options.reset();
    if (q->version != 0) {
      q->options = std::make_unique<QueueOptions>();
      q->options->partitions = partitions;
      if (q->partition == 0) q->version = at_.index.value;
      q->settles_at = {};
    }
    q->made = false;
    q->stops_in = q->stops_out = false;
    q->fence = 0;
  });
  state_.CountersOf(queue) = {};
  const Queue& dropped = state_.at(queue);
  if (dropped.line.empty() && dropped.dead_line.empty() && dropped.version == 0) {
    touched_.erase(queue);
    state_.RemoveQueue(queue);
  }
  return Reply::Integer(1);
}

Reply QueueStore::Delete(const DeleteOp& op) {
  int64_t deleted = 0;
  for (const uint64_t seq : op.seqs) {
    const Slot<Message> message = state_.FindMessage(seq);
    if (!message.valid()) continue;
    if (state_.NameOf(state_.at(message).queue) != SideOf(op.queue).queue) continue;
    Remove(message);
    ++deleted;
  }
  return Reply::Integer(deleted);
}

// In the order of the numbers, which the messages keep: so in the other queue too they stand in
// the order in which they were pushed.
Reply QueueStore::Move(const MoveOp& op) {
  if (auto elsewhere = Misdirected(op.queue, op.version)) return *std::move(elsewhere);
  const QueueSide from = SideOf(op.queue);
  if (SideOf(op.destination).dead) {
    return Reply::Error("ERR", "nothing is moved to the dead but by DQ.NACK ... DEAD");
  }
  if (!from.dead && from.queue == op.destination) {
    return Reply::Error("ERR", "a queue is not moved to itself; nothing was changed");
  }
  const Slot<Queue> queue = state_.FindQueue(from.queue);
  if (!queue.valid()) return Reply::Integer(0);
  const Slot<Queue> known = state_.FindQueue(op.destination);
  if (!op.creates && (!known.valid() || !IsMade(state_.at(known)))) {
    return NoSuchQueue(op.destination);
  }
  if (!known.valid() && !HasRoomForQueues(1)) {
    return TooManyQueues();
  }
  const Slot<Queue> destination = FindOrAdd(op.destination);
  if (destination != queue &&
      (state_.at(queue).version != 0 || state_.at(destination).version != 0)) {
    return Reply::Error("ERR", "a queue with several partitions takes back its own dead, but no "
                               "other queue's messages, and gives none; pop and push them");
  }
  const uint64_t most = op.count > 0 ? std::min<uint64_t>(op.count, limits_.changed_max)
                                     : limits_.changed_max;
  uint64_t moved = 0;
  while (moved < most) {
    const Queue& source = state_.at(queue);
    const uint64_t first = from.dead ? source.in(MessageState::kDead).first()
                                     : std::min(source.in(MessageState::kReady).first(),
                                                source.in(MessageState::kDelayed).first());
    if (first == kNoSeq) break;
    const Slot<Message> message = state_.FindMessage(first);
    if (IsOverLimits(destination, 1, state_.at(message).body.size)) {
      if (moved > 0) break;
      return IsFull(op.destination, destination);
    }
    if (queue != destination) state_.MoveMessage(message, destination);
    state_.EditMessage(message, [&](Message* m) { BeginAnew(m, from.dead); });
    touched_.insert(queue);
    ++moved;
  }
  return Reply::Integer(static_cast<int64_t>(moved));
}

// Among the dead time has stood still, and what is left of a TTL may be nothing: it begins anew.
void QueueStore::BeginAnew(Message* message, bool was_dead) const {
  message->failures = 0;
  if (!was_dead) return;
  message->state = MessageState::kReady;
  if (message->extra == nullptr) return;
  message->extra->error.clear();
  if (message->extra->ttl_ms > 0) message->extra->expires = at_.time + message->extra->ttl_ms;
}

// Connections and sessions -----------------------------------------------------------------------

Reply QueueStore::Cancel(const CancelOp& op) {
  if (const Slot<Demand> demand = state_.FindDemand(op.target); demand.valid()) {
    const bool error = op.why == CancelOp::Why::kError;
    EndDemand(demand, error ? Reply::Error("UNBLOCKED", "client unblocked via CLIENT UNBLOCK")
                            : Reply::NilArray());
    return Reply::Integer(1);
  }
  if (op.why != CancelOp::Why::kGone) return Reply::Integer(0);
  state_.Unpin(op.target, op.target);
  // The delivery crossed the closing of the connection: nobody has it (trap q30).
  const std::vector<Slot<Message>> unheard = state_.UnheardBy(op.target, op.target);
  for (const Slot<Message> message : unheard) {
    if (!Planted(Mutant::kUnheardStaysLeased)) GiveBack(message, 0);
  }
  return Reply::Integer(unheard.empty() ? 0 : 1);
}

Reply QueueStore::Hangup(const HangupOp& op) {
  const BoundTo bond{op.origin, op.incarnation, op.client};
  const std::vector<Slot<Message>> tied = state_.TiedTo(bond, bond);
  for (const Slot<Message> message : tied) Lose(message, "connection closed", 0);
  return Reply::Integer(static_cast<int64_t>(tied.size()));
}

void QueueStore::EndSessions(const Position& at, NodeId origin, uint64_t incarnation,
                             Effects* out) {
  at_ = at;
  out_ = out;
  if (incarnation == 0) return;
  const RequestId low{origin, 0, 0};
  const RequestId high{origin, incarnation - 1, UINT64_MAX};
  for (const Slot<Demand> demand : state_.DemandsOf(low, high)) {
    if (!Planted(Mutant::kDemandOutlivesSession)) EndDemand(demand, Reply::NilArray());
  }
  // Of an answer that its gateway has not delivered as far as anybody knows, its client knows
  // nothing either: it would lie there for a whole lease (trap q4).
  for (const Slot<Message> message : state_.UnheardBy(low, high)) GiveBack(message, 0);
  state_.Unpin(low, high);
  const BoundTo last{origin, incarnation - 1, ClientId{UINT64_MAX}};
  for (const Slot<Message> message : state_.TiedTo({origin, 0, {}}, last)) GiveBack(message, 0);
  Settle();
}

void QueueStore::Heard(const RequestId& from, const RequestId& to) {
  state_.Unpin(from, to);
  for (const Slot<Message> message : state_.UnheardBy(from, to)) {
    state_.EditMessage(message, [](Message* m) { m->extra->unheard.reset(); });
  }
}

// ------------------------------------------------------------------------------------------------

uint64_t QueueStore::Hash() const { return state_.hash(); }

QueueStore::Figures QueueStore::figures() const {
  return {state_.queues().size(), state_.messages().size(), state_.demands().size(),
          state_.ids().size()};
}

void QueueStore::CheckInvariants() const {
  state_.CheckLinks();
  CHECK(touched_.empty());
  for (Slot<Queue> q = state_.queues().first(); q.valid(); q = state_.queues().Next(q)) {
    CHECK(state_.at(q).line.empty() || !CanDeliver(q, Side::kLive));
    CHECK(state_.at(q).dead_line.empty() || !CanDeliver(q, Side::kDead));
  }
}

}  // namespace lockstep
