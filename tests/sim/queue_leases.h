// The leases of one message, as its workers have seen them, and what must hold among them.
//
// Receipts number the leases of a message, so what was given in which order no clock and no slow
// answer blurs; one that nobody saw leaves a gap. What ended a lease is often not known. Then it
// may have been a failure, and need not: rules are broken only by what neither can explain.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep::sim {

// Stamps are whole milliseconds, cut off at each change of leader.
constexpr int64_t kStampSlackUs = 3 * kUsPerMs;

struct Lease {
  enum class Said : uint8_t { kNothing, kAck, kFail, kDead, kRelease };
  // kNot: it changed nothing, the lease was over. kEither: it counted, or the lease was over.
  enum class Told : uint8_t { kUnknown, kCounted, kNot, kEither };

  uint64_t number = 0;
  int64_t attempt = 0;
  bool of_dead = false;  // Read from <queue>!dead.
  bool noack = false;
  bool tied = false;
  Bytes worker;
  NodeId node;
  ClientId socket;
  uint64_t session = 0;  // Of its node at its shard while it was asked for; 0: not one throughout.
  int64_t asked_us = 0;
  int64_t got_fast_us = 0;
  int64_t until_fast_us = 0;  // No sooner is its time over.

  // What its worker says of it, once at most.
  Said said = Said::kNothing;
  Told told = Told::kUnknown;
  int64_t said_fast_us = 0;
  int64_t told_us = INT64_MAX;
  std::optional<int64_t> delay_us;

  // When a later one was first seen: by then it had ended.
  bool followed = false;
  bool stood = false;   // Neither its session nor its connection had: time or its worker ended it.
  bool over = false;    // Its time may have been.
  bool closed = false;  // Its connection was.

  bool SaidFailure() const { return said == Said::kFail || said == Said::kDead; }
  bool MayHaveFailed() const;
  bool SurelyFailed() const;
  bool IsDone() const;  // Nobody needs another.
};

class Leases {
 public:
  // What the message was pushed with, and what was done to it.
  struct Terms {
    Bytes body;
    int64_t retry = 0;      // So many failures are its death.
    bool may_begin_anew = false;  // Failures may have been reset: DQ.MOVE.
  };

  // What is still there of what a lease hangs on.
  struct Standing {
    bool session = false;
    bool connection = false;
  };

  // Checks it against those before and behind it. `stands`: the Standing of a lease, now.
  template <class Stands>
  Lease& Add(const Terms& terms, Lease lease, const Stands& stands) {
    const uint64_t number = lease.number;
    const auto [at, is_new] = all_.emplace(number, std::move(lease));
    CheckNew(terms, at->second, is_new);
    for (auto& [other, earlier] : all_) {
      const auto last = all_.rbegin();
      if (other == last->first || earlier.followed) continue;
      const Lease& later = other < number ? at->second : last->second;
      Follow(terms, &earlier, later, stands(earlier));
    }
    Check(terms);
    return at->second;
  }
  Lease& At(uint64_t number) { return all_.at(number); }
  const std::map<uint64_t, Lease>& all() const { return all_; }

  // With all that is known by now.
  void Check(const Terms& terms) const;
  bool MayBeDone() const;  // Acknowledged, and that may have counted.
  bool IsDone() const;     // It did count.
  bool MayBeDead() const;  // Somebody has said so.
  uint64_t unseen() const;
  // Pairs of attempts between bounds that leave no choice.
  uint64_t certain() const;

 private:
  struct Bounds {
    int64_t least = 0, most = 0;
  };
  static Bounds FailuresBetween(const Lease& one, const Lease& next);
  void CheckNew(const Terms& terms, const Lease& lease, bool is_new) const;
  static void Follow(const Terms& terms, Lease* earlier, const Lease& later,
                     const Standing& stands);
  static void CheckDue(const Terms& terms, const Lease& one, const Lease& next);
  void CheckAcks(const Terms& terms) const;

  std::map<uint64_t, Lease> all_;  // By number.
};

}  // namespace lockstep::sim
