// Who gets which message, and how one comes back.
#include <algorithm>

#include "commands/queue_store.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

Bytes NameOnSide(BytesView name, bool dead) { return Bytes(name) + (dead ? "!dead" : ""); }

}  // namespace

bool QueueStore::CanDeliver(Slot<Queue> slot, Side side) const {
  const Queue& queue = state_.at(slot);
  if (queue.stops_out) return false;
  if (side == Side::kDead) return !queue.in(MessageState::kDead).empty();
  if (state_.OptionsOf(slot).rate > 0 && OpensUs(slot) > at_.time.ms * kUsPerMs) return false;
  const int64_t concurrency = ShareOf(slot, state_.OptionsOf(slot).concurrency);
  const uint64_t leased = queue.in(MessageState::kLeased).size() - queue.leased_from_dead;
  const bool has_room = concurrency == 0 || leased < static_cast<uint64_t>(concurrency);
  return has_room && !queue.lanes.empty();
}

// The generic cell rate algorithm (ITU-T I.371): messages may come so much before they would be due
// if they came evenly.
int64_t QueueStore::OpensUs(Slot<Queue> queue) const {
  constexpr int64_t kEarlyUs = 100 * kUsPerMs;
  return state_.at(queue).paced_us - kEarlyUs;
}

void QueueStore::Pace(Slot<Queue> queue) {
  const int64_t rate = ShareOf(queue, state_.OptionsOf(queue).rate);
  if (rate == 0) return;
  const int64_t now_us = at_.time.ms * kUsPerMs;
  state_.EditQueue(queue, [&](Queue* q) {
    q->paced_us = std::max(q->paced_us, now_us) + kUsPerSecond / rate;
  });
}

Slot<Message> QueueStore::NextOf(Slot<Queue> slot, Side side) const {
  const Queue& queue = state_.at(slot);
  return state_.FindMessage(side == Side::kDead ? queue.in(MessageState::kDead).first()
                                                : queue.lanes.front().messages.first());
}

int64_t QueueStore::RetryOf(const Message& message) const {
  const bool own = message.extra != nullptr && message.extra->retry > 0;
  return own ? message.extra->retry : state_.OptionsOf(message.queue).retry;
}

bool QueueStore::IsLastAttempt(const Message& message) const {
  return message.failures + 1 >= RetryOf(message);
}

// Up to `count` rows in all, as far as they fit into one answer, and as what is read for them is
// bounded (`cost`, over all queues): an entry of the log is read whole, once for all that lies in
// it. False: nothing more may come with them.
bool QueueStore::DeliverFrom(Slot<Queue> queue, Side side, const Terms& terms, size_t count,
                             Reply* rows, size_t* cost) {
  uint64_t entry = 0;  // The latest that is read.
  while (rows->items.size() < count && CanDeliver(queue, side)) {
    const Slot<Message> slot = NextOf(queue, side);
    const Message& message = state_.at(slot);
    const bool alone = side == Side::kLive && IsLastAttempt(message);
    const size_t read = message.body.entry == entry ? 0 : state_.EntryBytes(message.body.entry);
    const bool fits = *cost + std::max<size_t>(message.body.size, read) <= kReplyCostMax / 2;
    if (!rows->items.empty() && (alone || !fits)) return false;
    rows->Add(RowOf(message, side, message.deliveries + 1, terms.full));
    *cost += std::max(ReplyCost(rows->items.back()), read);
    entry = message.body.entry;
    ++state_.CountersOf(queue).delivered;
    touched_.insert(queue);
    if (side == Side::kLive) Pace(queue);
    if (terms.noack) {
      state_.Pin(terms.request, slot);
      Remove(slot);
    } else {
      Lease(slot, terms);
    }
    if (alone) return false;
  }
  return true;
}

void QueueStore::Lease(Slot<Message> slot, const Terms& terms) {
  const int64_t lease_ms = terms.lease_ms > 0
                               ? terms.lease_ms
                               : state_.OptionsOf(state_.at(slot).queue).lease_ms;
  state_.EditMessage(slot, [&](Message* message) {
    Message::Extra& extra = message->need_extra();
    extra.from_dead = message->state == MessageState::kDead;
    extra.tied = terms.tied;
    extra.unheard = terms.request;
    message->state = MessageState::kLeased;
    message->deadline = at_.time + lease_ms;
    ++message->deliveries;
  });
}

// [queue, receipt, body, attempt], with FULL a map of the rest. The receipt names the lease, which
// grows by each delivery; the attempt counts failures, so what was given back is attempted again
// under the same number.
Reply QueueStore::RowOf(const Message& message, Side side, uint64_t lease, bool full) const {
  Reply row = Reply::Array();
  row.items.reserve(full ? 5 : 4);
  row.Add(Reply::Bulk(NameOnSide(state_.NameOf(message.queue), side == Side::kDead)));
  Bytes receipt = IdOf(message.seq) + '.';
  AppendUint64(lease, &receipt);
  row.Add(Reply::Bulk(std::move(receipt)));
  row.Add(Reply::Logged(message.body));
  row.Add(Reply::Integer(int64_t{message.failures} + 1));
  if (full) row.Add(DetailsOf(message, at_.time, lease));
  return row;
}

// First come, first served.
void QueueStore::Serve(Slot<Queue> queue, Side side) {
  const Queue::Line& line =
      side == Side::kDead ? state_.at(queue).dead_line : state_.at(queue).line;
  while (!line.empty() && CanDeliver(queue, side)) {
    if (Planted(Mutant::kPushForgetsWaiter) && side == Side::kLive) return;
    const Slot<Demand> slot = line.begin()->second;
    const Demand& demand = state_.at(slot);
    const Terms terms{demand.request, demand.lease_ms, demand.tied, demand.noack, demand.full};
    Reply rows = Reply::Array();
    size_t cost = 0;
    (void)DeliverFrom(queue, side, terms, demand.count, &rows, &cost);
    EndDemand(slot, rows);
  }
}

// Brings the queues to rest after a change.
void QueueStore::Settle() {
  while (!touched_.empty()) {
    const Slot<Queue> queue = *touched_.begin();
    touched_.erase(touched_.begin());
    Serve(queue, Side::kLive);
    Serve(queue, Side::kDead);
    NoteIdle(queue);
  }
}

void QueueStore::NoteIdle(Slot<Queue> slot) {
  const Queue& queue = state_.at(slot);
  const bool idle = queue.messages() == 0 && queue.ids.size() == 0 && queue.line.empty() &&
                    queue.dead_line.empty() && queue.options == nullptr && !queue.stops_in &&
                    !queue.stops_out && queue.fence == 0 && !queue.made;
  // Who waits for the rate alone has to be looked at again.
  const int64_t opens_us = OpensUs(slot);
  const bool waits = state_.OptionsOf(slot).rate > 0 && !queue.line.empty() &&
                     !queue.lanes.empty() && opens_us > at_.time.ms * kUsPerMs;
  const ClusterTime opens_at{(opens_us + kUsPerMs - 1) / kUsPerMs - 1};
  if (waits || queue.opens_at != kNeverCluster) {
    state_.SetOpens(slot, waits ? opens_at : kNeverCluster);
  }
  // Somebody waited or looked in, and nothing ever came: there is nothing to remember.
  if (idle && queue.counters == Queue::Counters()) return state_.RemoveQueue(slot);
  // To the minute: each end is an entry in the log.
  const int64_t until_ms = (at_.time.ms + limits_.idle_memory_ms) / 60'000 * 60'000 + 60'000;
  state_.SetIdle(slot, idle ? ClusterTime{until_ms} : kNeverCluster);
}

// Receipts ---------------------------------------------------------------------------------------

// The message, if that lease was its last, whether or not it has ended since.
Slot<Message> QueueStore::Leased(BytesView queue, const Receipt& receipt) const {
  const Slot<Message> slot = state_.FindMessage(receipt.seq);
  if (!slot.valid() || receipt.lease == 0) return {};
  const Message& message = state_.at(slot);
  const bool same = message.deliveries == receipt.lease || Planted(Mutant::kStaleReceipt);
  const bool here = state_.NameOf(message.queue) == SideOf(queue).queue;
  return same && here ? slot : Slot<Message>();
}

size_t QueueStore::AckAll(BytesView queue, const std::vector<Receipt>& receipts) {
  size_t acked = 0;
  for (const Receipt& receipt : receipts) {
    const Slot<Message> message = Leased(queue, receipt);
    if (!message.valid()) continue;
    if (Planted(Mutant::kLateAckRefused) && state_.at(message).state != MessageState::kLeased) {
      continue;
    }
    ++state_.CountersOf(state_.at(message).queue).acked;
    Remove(message);
    ++acked;
  }
  return acked;
}

Reply QueueStore::Ack(const QueueAckOp& op) {
  return Reply::Integer(static_cast<int64_t>(AckAll(op.queue, op.receipts)));
}

Reply QueueStore::Nack(const NackOp& op) {
  int64_t taken = 0;
  for (const Receipt& receipt : op.receipts) {
    const Slot<Message> message = Leased(op.queue, receipt);
    if (!message.valid() || state_.at(message).state != MessageState::kLeased) continue;
    if (op.how == NackOp::How::kRelease && !Planted(Mutant::kReleaseIsFailure)) {
      GiveBack(message, op.delay_ms.value_or(0));
    } else {
      Fail(message, op.error, op.delay_ms, op.how == NackOp::How::kDead);
    }
    ++taken;
  }
  return Reply::Integer(taken);
}

Reply QueueStore::Touch(const TouchOp& op) {
  Reply remaining = Reply::Array();
  for (const Receipt& receipt : op.receipts) {
    const Slot<Message> message = Leased(op.queue, receipt);
    const bool held = message.valid() && state_.at(message).state == MessageState::kLeased;
    remaining.Add(Reply::Integer(held ? op.lease_ms : -1));
    if (!held) continue;
    state_.EditMessage(message, [&](Message* m) { m->deadline = at_.time + op.lease_ms; });
  }
  return remaining;
}

// Taking back ------------------------------------------------------------------------------------

// min(max, base * factor^(failures-1)), give or take jitter percent by a hash of what it is: so
// those that failed together do not come back together, and every node says the same.
int64_t QueueStore::BackoffMs(const Message& message) const {
  const QueueOptions& options = state_.OptionsOf(message.queue);
  int64_t delay = std::min(options.backoff_base_ms, options.backoff_max_ms);
  for (uint32_t i = 1; i < message.failures && options.backoff_factor > 1 && delay > 0 &&
                       delay < options.backoff_max_ms;
       ++i) {
    delay = std::min(delay * options.backoff_factor, options.backoff_max_ms);
  }
  const uint64_t dice = HashMix(HashMix(shard_, message.seq), message.failures);
  const int64_t jitter = options.backoff_jitter;
  const auto percent = static_cast<int64_t>(dice % static_cast<uint64_t>(2 * jitter + 1)) - jitter;
  return delay + delay * percent / 100;
}

void QueueStore::Fail(Slot<Message> slot, BytesView error, std::optional<int64_t> delay_ms,
                      bool dead_now) {
  ++state_.CountersOf(state_.at(slot).queue).failed;
  state_.EditMessage(slot, [&error](Message* message) {
    ++message->failures;
    if (Planted(Mutant::kDeadForgetError)) return;
    if (!error.empty()) message->need_extra().error = Bytes(error);
  });
  const Message& message = state_.at(slot);
  if (message.is_of_the_dead() || dead_now || message.failures >= RetryOf(message)) {
    Die(slot);
  } else {
    ComeBack(slot, delay_ms.value_or(BackoffMs(message)));
  }
}

// Whoever had it is gone. Why a dead one died it has not changed.
void QueueStore::Lose(Slot<Message> slot, BytesView error, std::optional<int64_t> delay_ms) {
  state_.at(slot).is_of_the_dead() ? GiveBack(slot, 0) : Fail(slot, error, delay_ms, false);
}

void QueueStore::GiveBack(Slot<Message> slot, int64_t delay_ms) {
  state_.at(slot).is_of_the_dead() ? Die(slot) : ComeBack(slot, delay_ms);
}

void QueueStore::ComeBack(Slot<Message> slot, int64_t delay_ms) {
  const Message& message = state_.at(slot);
  touched_.insert(message.queue);
  if (message.extra != nullptr && IsOver(message.extra->expires, at_.time)) return Expire(slot);
  state_.EditMessage(slot, [&](Message* m) {
    m->state = delay_ms > 0 ? MessageState::kDelayed : MessageState::kReady;
    m->deadline = delay_ms > 0 ? at_.time + delay_ms : kNeverCluster;
    if (m->extra == nullptr) return;
    m->extra->tied.reset();
    m->extra->unheard.reset();
  });
}

// In place: its queue, its number and its place in the order stay (trap q12).
void QueueStore::Die(Slot<Message> slot) {
  const Slot<Queue> queue = state_.at(slot).queue;
  const bool was_dead = state_.at(slot).is_of_the_dead();
  touched_.insert(queue);
  if (state_.OptionsOf(queue).drop_dead != 0 && !was_dead) {
    ++state_.CountersOf(queue).dropped;
    return Remove(slot);
  }
  state_.EditMessage(slot, [](Message* message) {
    message->state = MessageState::kDead;
    message->deadline = kNeverCluster;
    if (message->extra == nullptr) return;
    message->extra->from_dead = false;
    message->extra->tied.reset();
    message->extra->unheard.reset();
  });
}

void QueueStore::Remove(Slot<Message> slot) {
  touched_.insert(state_.at(slot).queue);
  state_.RemoveMessage(slot);
}

}  // namespace lockstep
