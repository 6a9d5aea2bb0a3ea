#include "tests/sim/queue_leases.h"

#include <algorithm>

#include "src/base/time.h"
#include "tests/sim/failure.h"

namespace lockstep::sim {
namespace {

using Said = Lease::Said;
using Told = Lease::Told;

// The least that jitter leaves of it, as queues are set up by default.
int64_t BackoffUs(int64_t failures) {
  int64_t delay_us = 1'000 * kUsPerMs;
  for (int64_t i = 1; i < failures && delay_us < 600'000 * kUsPerMs; ++i) delay_us *= 2;
  return std::min(delay_us, 600'000 * kUsPerMs) / 100 * 80;
}

}  // namespace

// A lease ends once, so at most once as a failure. One of a dead message is none.
bool Lease::MayHaveFailed() const {
  if (said == Said::kRelease && told == Told::kCounted) return false;
  if (SaidFailure() && told != Told::kNot) return true;
  return !of_dead && followed && (over || (tied && closed));
}

bool Lease::SurelyFailed() const {
  if (SaidFailure() && told == Told::kCounted) return true;
  if (said == Said::kRelease && told != Told::kNot) return false;
  return !of_dead && followed && stood;
}

bool Lease::IsDone() const {
  return noack || (said == Said::kAck && told == Told::kCounted);
}

void Leases::CheckNew(const Terms& terms, const Lease& lease, bool is_new) const {
  CHECK_SIM(is_new, "lease %lu of %s is given twice", lease.number, terms.body.c_str());
  CHECK_SIM(lease.number > 0 && lease.attempt > 0, "%s is given by lease %lu on attempt %ld",
            terms.body.c_str(), lease.number, lease.attempt);
  const int64_t failures = lease.attempt - 1;
  CHECK_SIM(failures < static_cast<int64_t>(lease.number),
            "%s has failed %ld times by lease %lu of it", terms.body.c_str(), failures,
            lease.number);
  CHECK_SIM(lease.of_dead || failures < terms.retry,
            "%s is delivered though it has failed %ld of %ld times", terms.body.c_str(), failures,
            terms.retry);
  const bool killed = std::any_of(all_.begin(), all_.end(), [&](const auto& other) {
    return other.second.said == Said::kDead && other.second.told != Told::kNot;
  });
  CHECK_SIM(!lease.of_dead || killed || failures >= terms.retry,
            "%s is dead after %ld failures, not %ld", terms.body.c_str(), failures, terms.retry);
}

void Leases::Follow(const Terms& terms, Lease* earlier, const Lease& later,
                    const Standing& stands) {
  earlier->followed = true;
  earlier->stood = stands.session && stands.connection;
  earlier->closed = !stands.connection;
  earlier->over = later.got_fast_us >= earlier->until_fast_us - kStampSlackUs;
  const bool held = earlier->stood && !earlier->over && earlier->said == Said::kNothing;
  CHECK_SIM(!held, "%s gets lease %lu of %s while %s has lease %lu of it", later.worker.c_str(),
            later.number, terms.body.c_str(), earlier->worker.c_str(), earlier->number);
}

Leases::Bounds Leases::FailuresBetween(const Lease& one, const Lease& next) {
  const auto unseen = static_cast<int64_t>(next.number - one.number) - 1;
  return {one.SurelyFailed() ? 1 : 0, (one.MayHaveFailed() ? 1 : 0) + unseen};
}

void Leases::Check(const Terms& terms) const {
  CheckAcks(terms);
  if (terms.may_begin_anew) return;
  const Lease* one = nullptr;
  for (const auto& [number, next] : all_) {
    if (one != nullptr) {
      const Bounds bounds = FailuresBetween(*one, next);
      const int64_t failures = next.attempt - one->attempt;
      CHECK_SIM(failures >= bounds.least && failures <= bounds.most,
                "%s is on attempt %ld by lease %lu and on attempt %ld by lease %lu, and has failed "
                "%ld to %ld times in between",
                terms.body.c_str(), one->attempt, one->number, next.attempt, number, bounds.least,
                bounds.most);
      CheckDue(terms, *one, next);
    }
    one = &next;
  }
}

// Between two leases with none unseen: what took the message back told it when to come.
void Leases::CheckDue(const Terms& terms, const Lease& one, const Lease& next) {
  if (next.number != one.number + 1 || next.of_dead) return;
  int64_t due_us = INT64_MAX;
  const bool may_count = one.told != Told::kNot;
  if (next.attempt == one.attempt) {
    if (one.said != Said::kRelease || one.told != Told::kCounted) return;
    due_us = one.said_fast_us + one.delay_us.value_or(0);
  } else {
    if (one.said == Said::kDead && may_count) return;
    const int64_t backoff_us = BackoffUs(one.attempt);
    if (one.said == Said::kFail && may_count) {
      due_us = one.said_fast_us + one.delay_us.value_or(backoff_us);
    }
    const bool counted = one.said == Said::kFail && one.told == Told::kCounted;
    if (!counted) {
      due_us = std::min(due_us, one.until_fast_us + backoff_us);
      if (one.tied && one.closed) return;  // It comes back at once.
    }
  }
  CHECK_SIM(next.got_fast_us >= due_us - kStampSlackUs,
            "lease %lu of %s is given %ld ms before it is due", next.number, terms.body.c_str(),
            (due_us - next.got_fast_us) / kUsPerMs);
}

void Leases::CheckAcks(const Terms& terms) const {
  for (const auto& [number, lease] : all_) {
    const auto next = all_.upper_bound(number);
    if (next == all_.end()) return;
    CHECK_SIM(!lease.IsDone(),
              "lease %lu of %s was the last that anybody needed, and there is lease %lu", number,
              terms.body.c_str(), next->first);
    // It was there, and leased to nobody else yet: so that has counted.
    const bool counted = lease.said == Said::kAck && next->first == number + 1 &&
                         next->second.asked_us > lease.told_us;
    CHECK_SIM(!counted, "an ACK of lease %lu of %s was answered before lease %lu was asked for",
              number, terms.body.c_str(), next->first);
  }
}

bool Leases::MayBeDone() const {
  return std::any_of(all_.begin(), all_.end(), [](const auto& each) {
    const Lease& lease = each.second;
    return lease.noack || (lease.said == Said::kAck && lease.told != Told::kNot);
  });
}

bool Leases::IsDone() const {
  return std::any_of(all_.begin(), all_.end(),
                     [](const auto& each) { return each.second.IsDone(); });
}

bool Leases::MayBeDead() const {
  return std::any_of(all_.begin(), all_.end(), [](const auto& each) {
    return each.second.said == Said::kDead && each.second.told != Told::kNot;
  });
}

uint64_t Leases::unseen() const {
  return all_.empty() ? 0 : all_.rbegin()->first - all_.size();
}

uint64_t Leases::certain() const {
  uint64_t pairs = 0;
  const Lease* one = nullptr;
  for (const auto& [number, next] : all_) {
    if (one != nullptr) {
      const Bounds bounds = FailuresBetween(*one, next);
      pairs += bounds.least == bounds.most ? 1 : 0;
    }
    one = &next;
  }
  return pairs;
}

}  // namespace lockstep::sim
