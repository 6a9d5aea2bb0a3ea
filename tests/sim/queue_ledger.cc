#include "tests/sim/queue_ledger.h"

#include <algorithm>

#include "commands/queue_ops.h"
#include "src/base/hash.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

ReceiptText Parsed(const Bytes& receipt) {
  const std::optional<ReceiptText> text = ParseReceipt(receipt);
  CHECK_SIM(text.has_value(), "'%s' is no receipt", receipt.c_str());
  return *text;
}

Bytes IdIn(const Bytes& receipt) { return receipt.substr(0, receipt.rfind('.')); }

}  // namespace

QueueLedger::Message& QueueLedger::Known(const Bytes& body) {
  const auto found = messages_.find(body);
  CHECK_SIM(found != messages_.end(), "a message '%s' that nobody pushed", body.c_str());
  return found->second;
}

// Pushes -----------------------------------------------------------------------------------------

void QueueLedger::OnPush(const Push& push) {
  Message& message = messages_[push.body];
  message.push = push;
  message.asked_us = world_->now_us();
  message.asked_fast_us = world_->FastUs();
  queues_.insert(push.queue);
  if (!push.group.empty()) groups_[push.group].push_back(push.body);
}

void QueueLedger::OnPushed(const Bytes& body, Outcome outcome, const Bytes& id) {
  Message& message = Known(body);
  message.outcome = outcome;
  message.known = outcome != Outcome::kUnknown;
  message.pushed_fast_us = world_->FastUs();
  CHECK_SIM(outcome != Outcome::kRefused || message.leases.all().empty(),
            "the push of %s is refused though it was delivered", body.c_str());
  if (outcome != Outcome::kDone) return;
  ++world_->counters()[Count::kPushes];
  CHECK_SIM(message.id.empty() || message.id == id, "%s is answered the id %s, and is %s",
            body.c_str(), id.c_str(), message.id.c_str());
  message.id = id;
  const Paused& paused = paused_[message.push.queue];
  CHECK_SIM(!paused.sure || !paused.in || message.asked_us <= paused.since_us,
            "%s is pushed though its queue takes nothing", body.c_str());
}

// Pops -------------------------------------------------------------------------------------------

void QueueLedger::OnPop(const Bytes& worker, Pop pop) {
  Asked& asked = pops_[worker];
  asked = {std::move(pop), world_->now_us(), world_->FastUs(), {}};
  for (uint64_t shard = 0; shard < kShards; ++shard) {
    asked.sessions[shard] = world_->checker().SessionOf(ShardGroup(shard), asked.pop.node);
  }
}

bool QueueLedger::SessionStands(const Asked& asked, uint64_t shard) const {
  const uint64_t session = asked.sessions.at(shard);
  return session != 0 &&
         session == world_->checker().SessionOf(ShardGroup(shard), asked.pop.node);
}

Leases::Standing QueueLedger::StandingOf(uint64_t shard, const Lease& lease) const {
  const uint64_t now = world_->checker().SessionOf(ShardGroup(shard), lease.node);
  return {lease.session != 0 && lease.session == now,
          world_->wires().closed_at_fast_us(lease.socket) == Wires::kNotYet};
}

void QueueLedger::OnDelivered(const Bytes& worker, const Row& row) {
  const Asked& asked = pops_.at(worker);
  const ReceiptText receipt = Parsed(row.receipt);
  CheckPause(row.queue, asked);
  Lease lease;
  lease.worker = worker;
  lease.noack = asked.pop.noack;
  lease.tied = asked.pop.tied;
  lease.node = asked.pop.node;
  lease.socket = asked.pop.socket;
  lease.asked_us = asked.asked_us;
  lease.until_fast_us = asked.asked_fast_us + asked.pop.lease_us;
  lease.session = asked.sessions.at(receipt.shard);
  if (!StandingOf(receipt.shard, lease).session) lease.session = 0;
  Deliver(row, std::move(lease));
  if (asked.pop.noack) ++world_->counters()[Count::kPopsForGood];
}

void QueueLedger::Deliver(const Row& row, Lease lease) {
  const Bytes queue(SideOf(row.queue).queue);
  Message& message = Known(row.body);
  const char* const body = row.body.c_str();
  CHECK_SIM(message.push.queue == queue, "%s was pushed to %s and is delivered from %s", body,
            message.push.queue.c_str(), row.queue.c_str());
  CHECK_SIM(!message.known || message.outcome != Outcome::kRefused,
            "%s is delivered though its push was refused", body);
  CHECK_SIM(message.id.empty() || message.id == IdIn(row.receipt), "%s is %s and %s", body,
            message.id.c_str(), row.receipt.c_str());
  CHECK_SIM(lease.asked_us <= message.deleted_us, "%s is delivered to a worker who asked after it "
            "was deleted", body);
  CHECK_SIM(lease.asked_us <= message.there_us, "%s is delivered to a worker who asked after it "
            "was not there any more", body);
  CHECK_SIM(world_->FastUs() - message.asked_fast_us >= message.push.delay_us - kStampSlackUs,
            "%s is delivered before its delay of %ld ms is over", body,
            message.push.delay_us / kUsPerMs);
  message.id = IdIn(row.receipt);
  bodies_[row.receipt] = row.body;
  const ReceiptText receipt = Parsed(row.receipt);
  lease.number = receipt.receipt.lease;
  lease.attempt = row.attempt;
  lease.of_dead = SideOf(row.queue).dead;
  lease.got_fast_us = world_->FastUs();
  if (!lease.of_dead) CheckOrder(message);
  CHECK_SIM(lease.number > 1 || lease.asked_us <= message.passed_over_us ||
                message.passed_over_us < 0,
            "%s was told that there is nothing, and %s was there", message.passed_over.c_str(),
            body);
  ++world_->counters()[Count::kDeliveries];
  if (!message.leases.all().empty()) ++world_->counters()[Count::kDeliveriesAgain];
  if (message.push.delay_us > 0) ++world_->counters()[Count::kDelaysKept];
  message.leases.Add(TermsOf(message), std::move(lease), [&](const Lease& other) {
    return StandingOf(receipt.shard, other);
  });
}

void QueueLedger::CheckOrder(const Message& message) {
  if (message.push.group.empty()) return;
  for (const Bytes& older : groups_[message.push.group]) {
    if (older == message.push.body) return;
    const Message& before = messages_[older];
    // Of unknown outcome, it may have entered the queue behind this one.
    const bool stands_before = before.known && before.outcome == Outcome::kDone;
    if (!stands_before) continue;
    CHECK_SIM(before.leases.MayBeDone() || MayBeDead(before) || MayBeGone(before),
              "%s is delivered though %s of its group is not done", message.push.body.c_str(),
              older.c_str());
    ++world_->counters()[Count::kGroupOrders];
  }
}

void QueueLedger::OnPopAnswered(const Bytes& worker, Outcome outcome, bool nothing) {
  const Asked asked = std::move(pops_.at(worker));
  pops_.erase(worker);
  if (outcome == Outcome::kRefused) return;
  if (nothing) NotePassedOver(worker, asked);
  const Pop& pop = asked.pop;
  const bool lost = outcome == Outcome::kUnknown;
  const bool many = pop.queues.size() > 1 || spread_.contains(pop.queues.front());
  // What several places gave at one moment, or one session after the other, went back.
  const uint64_t home = ShardOfSlot(SlotOf(pop.queues.front()), kShards);
  const bool uncounted = many || !SessionStands(asked, home);
  for (const Bytes& queue : pop.queues) {
    if (uncounted) uncounted_.insert(queue);
    if (lost) unheard_[queue] += pop.count;
    if (lost && pop.noack) taken_unheard_[queue] += pop.count;
  }
}

// It looked when it was asked for, at the earliest, and waited all of its time. What was there by
// then, and held up by nothing, was either given to somebody who asked before it was answered, or
// should have been given to it. Several places do not end a wait at one moment.
void QueueLedger::NotePassedOver(const Bytes& worker, const Asked& asked) {
  const Bytes& queue = asked.pop.queues.front();
  const Paused& paused = paused_[queue];
  const bool may_be_paused = paused.unknown || paused.may_stop_out_until_us >= asked.asked_us;
  if (asked.pop.queues.size() > 1 || may_be_paused || purges_.contains(queue)) return;
  const int64_t waited_us = spread_.contains(queue) ? 0 : asked.pop.block_us;
  const int64_t until_fast_us =
      asked.asked_fast_us + std::max<int64_t>(0, waited_us - kStampSlackUs);
  bool any = false;
  for (auto& [body, message] : messages_) {
    const Push& push = message.push;
    if (push.queue != queue || !push.group.empty()) continue;
    if (push.delay_us > 0 || push.ttl_us > 0) continue;
    if (!message.known || message.outcome != Outcome::kDone || message.may_be_deleted) continue;
    if (message.pushed_fast_us >= until_fast_us) continue;
    any = true;
    if (!message.leases.all().empty()) continue;
    message.passed_over_us = world_->now_us();
    message.passed_over = worker;
  }
  if (any) ++world_->counters()[Count::kNothingJudged];
}

// What workers say -------------------------------------------------------------------------------

Lease& QueueLedger::LeaseOf(const Bytes& receipt, Message** message) {
  *message = &Known(bodies_.at(receipt));
  return (*message)->leases.At(Parsed(receipt).receipt.lease);
}

void QueueLedger::OnSay(const Bytes& receipt, Lease::Said said, std::optional<int64_t> delay_us) {
  Message* message = nullptr;
  Lease& lease = LeaseOf(receipt, &message);
  lease.said = said;
  lease.delay_us = delay_us;
  lease.said_fast_us = world_->FastUs();
}

void QueueLedger::OnRefused(const Bytes& receipt) {
  Message* message = nullptr;
  LeaseOf(receipt, &message).said = Lease::Said::kNothing;
}

void QueueLedger::OnTold(const Bytes& receipt, Lease::Told told) {
  Message* message = nullptr;
  Lease& lease = LeaseOf(receipt, &message);
  lease.told = told;
  lease.told_us = world_->now_us();
  message->leases.Check(TermsOf(*message));
  Counters& counters = world_->counters();
  const bool is_ack = lease.said == Lease::Said::kAck;
  if (told == Lease::Told::kEither) ++counters[Count::kAcksInPops];
  if (told == Lease::Told::kCounted) ++counters[is_ack ? Count::kAcks : Count::kNacks];
  if (told == Lease::Told::kNot) ++counters[Count::kSaidTooLate];
}

// Asked for, it may count at once, and make the time shorter.
void QueueLedger::OnTouch(const Bytes& receipt, int64_t lease_us) {
  Message* message = nullptr;
  Lease& lease = LeaseOf(receipt, &message);
  lease.until_fast_us = std::min(lease.until_fast_us, world_->FastUs() + lease_us);
}

void QueueLedger::OnTouched(const Bytes& receipt, int64_t asked_fast_us, int64_t lease_us) {
  Message* message = nullptr;
  LeaseOf(receipt, &message).until_fast_us = asked_fast_us + lease_us;
  ++world_->counters()[Count::kTouches];
}

// Operators --------------------------------------------------------------------------------------

void QueueLedger::OnDelete(const Bytes& body) { Known(body).may_be_deleted = true; }

void QueueLedger::OnDeleted(const Bytes& body, Outcome outcome, bool was_there) {
  Message& message = Known(body);
  if (outcome != Outcome::kDone) return;
  int64_t* const since_us = was_there ? &message.deleted_us : &message.there_us;
  *since_us = std::min(*since_us, world_->now_us());
  if (was_there) ++world_->counters()[Count::kDeleted];
}

void QueueLedger::OnPurge(const Bytes& queue) {
  Purges& purges = purges_[queue];
  ++purges.open;
  purges.until_us = INT64_MAX;
}

// One that nobody was told about may come at any time: it stays open.
void QueueLedger::OnPurged(const Bytes& queue, Outcome outcome) {
  Purges& purges = purges_[queue];
  if (outcome == Outcome::kUnknown || --purges.open > 0) return;
  purges.until_us = world_->now_us();
}

void QueueLedger::OnPause(const Bytes& queue, bool, bool stops_out) {
  Paused& paused = paused_[queue];
  paused.contended = paused.open > 0;
  ++paused.open;
  paused.sure = false;
  if (stops_out) paused.may_stop_out_until_us = INT64_MAX;
}

void QueueLedger::OnPaused(const Bytes& queue, bool stops_in, bool stops_out, Outcome outcome) {
  Paused& paused = paused_[queue];
  --paused.open;
  if (outcome == Outcome::kUnknown) paused.unknown = true;
  if (outcome != Outcome::kDone || paused.contended || paused.open > 0 || paused.unknown) return;
  if (stops_in || stops_out) ++world_->counters()[Count::kQueuesPaused];
  paused.sure = true;
  paused.in = stops_in;
  paused.out = stops_out;
  paused.since_us = world_->now_us();
  if (!stops_out) {
    paused.may_stop_out_until_us = std::min(paused.may_stop_out_until_us, world_->now_us());
  }
}

void QueueLedger::CheckPause(const Bytes& queue, const Asked& asked) const {
  const auto found = paused_.find(queue);
  if (found == paused_.end()) return;
  const Paused& paused = found->second;
  CHECK_SIM(!paused.sure || !paused.out || asked.asked_us <= paused.since_us,
            "something is delivered from %s, which gives nothing", queue.c_str());
}

// In the end -------------------------------------------------------------------------------------

Leases::Terms QueueLedger::TermsOf(const Message& message) const {
  return {message.push.body, message.push.retry,
          moved_.contains(message.push.queue) && MayBeDead(message)};
}

bool QueueLedger::MayBeDead(const Message& message) const {
  return message.push.may_die || message.leases.MayBeDead();
}

bool QueueLedger::MayBePurged(const Message& message) const {
  const auto purges = purges_.find(message.push.queue);
  return purges != purges_.end() && message.asked_us <= purges->second.until_us;
}

bool QueueLedger::MayBeGone(const Message& message) const {
  const bool expired = message.push.ttl_us > 0 && world_->FastUs() - message.asked_fast_us >=
                                                      message.push.ttl_us - kStampSlackUs;
  return message.may_be_deleted || expired || MayBePurged(message);
}

void QueueLedger::OnDrained(const Row& row, bool dead) {
  Message& message = Known(row.body);
  const char* const body = row.body.c_str();
  CHECK_SIM(!message.leases.IsDone(), "%s was done, and is there at the end", body);
  // Long past it: the dead alone may outlive their TTL.
  constexpr int64_t kLongUs = 4'000'000;
  CHECK_SIM(dead || message.push.ttl_us == 0 || message.push.ttl_us > kLongUs,
            "%s is there at the end, and should live for %ld ms", body,
            message.push.ttl_us / kUsPerMs);
  CHECK_SIM(!dead || MayBeDead(message), "%s is dead, and never failed so often", body);
  (dead ? message.dead : message.left) = true;
  ++world_->counters()[dead ? Count::kDeadLetters : Count::kMessagesLeft];
  Lease lease;
  lease.worker = "the last of all";
  lease.noack = true;
  lease.asked_us = world_->now_us();
  Deliver(row, std::move(lease));
}

void QueueLedger::CheckAll() {
  std::map<Bytes, uint64_t> lost;
  CheckLost(&lost);
  for (const auto& [queue, messages] : lost) {
    CHECK_SIM(messages <= taken_unheard_[queue],
              "%lu messages of %s are lost, and POPs that nobody heard of took at most %lu",
              messages, queue.c_str(), taken_unheard_[queue]);
  }
  CheckUnseen();
}

void QueueLedger::CheckLost(std::map<Bytes, uint64_t>* lost) {
  for (const auto& [body, message] : messages_) {
    message.leases.Check(TermsOf(message));
    world_->counters()[Count::kAttemptsCertain] += message.leases.certain();
    if (!message.known || message.outcome != Outcome::kDone) continue;
    const bool accounted = message.leases.MayBeDone() || message.left || message.dead;
    if (accounted) continue;
    if (MayBeGone(message)) {
      if (message.push.ttl_us > 0) ++world_->counters()[Count::kExpired];
      if (MayBePurged(message)) ++world_->counters()[Count::kPurged];
      continue;
    }
    const uint64_t taken = ++(*lost)[message.push.queue];
    CHECK_SIM(taken <= taken_unheard_[message.push.queue],
              "%s was acknowledged as pushed at %ld us, and is lost; it was delivered %zu times",
              body.c_str(), message.asked_us, message.leases.all().size());
  }
}

void QueueLedger::CheckUnseen() {
  std::map<Bytes, uint64_t> unseen;
  for (const auto& [body, message] : messages_) {
    unseen[message.push.queue] += message.leases.unseen();
  }
  for (const Bytes& queue : queues_) {
    if (uncounted_.contains(queue)) continue;
    ++world_->counters()[Count::kLeasesAllKnown];
    CHECK_SIM(unseen[queue] <= unheard_[queue],
              "%lu leases of messages of %s went to nobody, and POPs that nobody heard of had at "
              "most %lu", unseen[queue], queue.c_str(), unheard_[queue]);
  }
}

}  // namespace lockstep::sim
