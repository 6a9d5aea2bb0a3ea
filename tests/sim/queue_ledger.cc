#include "tests/sim/queue_ledger.h"

#include <algorithm>

#include "tests/sim/world.h"

namespace lockstep::sim {

void QueueLedger::OnPush(const Push& push) {
  Message& message = messages_[push.body];
  message.push = push;
  message.asked_us = world_->now_us();
  message.asked_fast_us = world_->FastUs();
  message.may_have_failed = push.may_die;
  queues_.insert(push.queue);
  if (!push.group.empty()) groups_[push.group].push_back(push.body);
}

void QueueLedger::OnPushed(const Bytes& body, Outcome outcome) {
  Message& message = Known(body);
  message.outcome = outcome;
  message.known = outcome != Outcome::kUnknown;
  if (outcome == Outcome::kDone) ++world_->counters()[Count::kPushes];
  CHECK_SIM(outcome != Outcome::kRefused || message.deliveries == 0,
            "the push of %s is refused though it was delivered", body.c_str());
}

QueueLedger::Message& QueueLedger::Known(const Bytes& body) {
  const auto found = messages_.find(body);
  CHECK_SIM(found != messages_.end(), "a message '%s' that nobody pushed", body.c_str());
  return found->second;
}

void QueueLedger::OnDelivered(const Bytes& queue, const Bytes& body, const Bytes& receipt,
                              int64_t attempt, int64_t asked_us) {
  Message& message = Known(body);
  CHECK_SIM(message.push.queue == queue, "%s was pushed to %s and is delivered from %s",
            body.c_str(), message.push.queue.c_str(), queue.c_str());
  CHECK_SIM(!message.known || message.outcome != Outcome::kRefused,
            "%s is delivered though its push was refused", body.c_str());
  CHECK_SIM(receipts_.insert(receipt).second, "the lease %s of %s is given twice", receipt.c_str(),
            body.c_str());
  CHECK_SIM(asked_us <= message.acked_us, "%s is delivered to a worker who asked after it was done",
            body.c_str());
  CHECK_SIM(world_->FastUs() - message.asked_fast_us >= message.push.delay_us,
            "%s is delivered before its delay of %ld ms is over", body.c_str(),
            message.push.delay_us / kUsPerMs);
  const auto is_over = [this](const Pop& pop) { return pop.lease_ends_us <= world_->now_us(); };
  const bool late = std::any_of(pops_.begin(), pops_.end(),
                                [&](const auto& pop) { return is_over(pop.second); });
  const bool unseen = std::any_of(elsewhere_.begin(), elsewhere_.end(), [&](const Pop& pop) {
    const auto asked = std::find(pop.queues.begin(), pop.queues.end(), queue);
    return asked != pop.queues.end() && is_over(pop) && pop.lease_ends_us >= message.asked_us;
  });
  CHECK_SIM(attempt == 1 || message.may_have_failed || pop_lost_ || late || unseen,
            "%s is on attempt %ld though it never failed", body.c_str(), attempt);
  CheckOrder(message);
  ++message.deliveries;
  ++world_->counters()[Count::kDeliveries];
  if (message.deliveries > 1) ++world_->counters()[Count::kDeliveriesAgain];
  if (message.push.delay_us > 0) ++world_->counters()[Count::kDelaysKept];
}

void QueueLedger::CheckOrder(const Message& message) {
  if (message.push.group.empty()) return;
  for (const Bytes& older : groups_[message.push.group]) {
    if (older == message.push.body) return;
    const Message& before = messages_[older];
    // Of unknown outcome, it may have entered the queue behind this one.
    const bool stands_before = before.known && before.outcome == Outcome::kDone;
    if (!stands_before) continue;
    CHECK_SIM(before.ack_asked || before.push.may_die,
              "%s is delivered though %s of its group is not done", message.push.body.c_str(),
              older.c_str());
    ++world_->counters()[Count::kGroupOrders];
  }
}

void QueueLedger::OnPop(const Bytes& worker, std::vector<Bytes> queues, int64_t lease_us) {
  constexpr int64_t kFastest = 50;  // A leader's clock gains no more than a fiftieth.
  pops_[worker] = {std::move(queues), world_->now_us() + lease_us - lease_us / kFastest};
}

void QueueLedger::OnPopAnswered(const Bytes& worker) {
  Pop pop = std::move(pops_.at(worker));
  pops_.erase(worker);
  const bool many = pop.queues.size() > 1 ||
                    std::any_of(pop.queues.begin(), pop.queues.end(),
                                [this](const Bytes& queue) { return spread_.contains(queue); });
  if (many) elsewhere_.push_back(std::move(pop));
}

void QueueLedger::OnAck(const Bytes& body) { Known(body).ack_asked = true; }

void QueueLedger::OnAcked(const Bytes& body, bool counted) {
  if (!counted) return;
  Message& message = Known(body);
  message.acked_us = std::min(message.acked_us, world_->now_us());
  ++world_->counters()[Count::kAcks];
}

void QueueLedger::OnFailure(const Bytes& body) { Known(body).may_have_failed = true; }

void QueueLedger::OnLeft(const Bytes& body) {
  Message& message = Known(body);
  CHECK_SIM(message.acked_us == INT64_MAX, "%s was done, and is there at the end", body.c_str());
  message.left = true;
  ++world_->counters()[Count::kMessagesLeft];
}

void QueueLedger::OnDead(const Bytes& body) {
  Message& message = Known(body);
  CHECK_SIM(message.push.may_die, "%s is dead, and never failed so often", body.c_str());
  message.dead = true;
  ++world_->counters()[Count::kDeadLetters];
}

void QueueLedger::CheckAll() {
  for (const auto& [body, message] : messages_) {
    if (!message.known || message.outcome != Outcome::kDone) continue;
    CHECK_SIM(message.ack_asked || message.left || message.dead,
              "%s was acknowledged as pushed at %ld us, and is lost; it was delivered %lu times",
              body.c_str(), message.asked_us, message.deliveries);
  }
}

}  // namespace lockstep::sim
