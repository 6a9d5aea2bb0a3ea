// Whether what clients saw of one key of the cache can have happened one after the other
// (linearizability, Herlihy & Wing 1990), for a register that may forget: at any time its value may
// become absent, but an older one never comes back.
//
// The search is Lowe's just-in-time linearization, as in lock_model.h.
//
// Sound: what is called illegal is illegal, whether the values written are unique or not (a test
// that wants to find something writes unique ones). Complete but for times to live: when an
// operation took effect is known as an interval only, and that somebody saw a value does not narrow
// the interval in which it was written. With `may_forget` a value that vanishes before its time is
// no violation, only one that stays beyond it. An answer of "not a number" is not judged: give it
// as refused.
#pragma once

#include <vector>

#include "tests/sim/cache_history.h"
#include "tests/sim/lock_model.h"

namespace lockstep::sim {

struct CacheRules {
  // False, for runs in which nobody crashes and nothing is evicted: a nil must come from a delete,
  // from the end of a time to live, or from before the first write.
  bool may_forget = true;
  // A value whose time ends at t may be gone from t - slack, and must be gone after t + slack.
  int64_t ttl_slack_us = 0;
  // Bounds the search; past it the history is too hard, which is no violation.
  size_t states_max = 20'000;
};

// The operations of one key in any order. An answered one returns no earlier than it is called.
Verdict CheckCacheHistory(const std::vector<CacheOperation>& history, const CacheRules& rules = {});

}  // namespace lockstep::sim
