// Whether what the clients of one lock saw can have happened one after the other (linearizability,
// Herlihy & Wing 1990), with leases that may end by themselves once their time has passed.
//
// The search is Lowe's just-in-time linearization ("Testing for linearizability", 2017): walk
// through the history; whenever an operation returns, every state that the lock may be in is taken
// forward by whatever pending operations lead to one in which that operation has taken effect as
// its client was told. No state left: no order explains the history.
//
// Sound: what is called illegal is illegal. Not complete in three places, each on the permissive
// side: queues are not modelled (who waits, and in which order), a nil of MACQUIRE explains itself,
// and a reading operation does not move the clock.
#pragma once

#include <set>
#include <vector>

#include "tests/sim/lock_history.h"

namespace lockstep::sim {

struct Verdict {
  enum class Kind : uint8_t { kLegal, kIllegal, kTooHard } kind = Kind::kLegal;
  Bytes
      why;  // Illegal: the operation that nothing explains, what was pending, and the states left.
  size_t states_max = 0;  // The most that were alive at once.
};

// `states_max` bounds the search; past it the history is too hard, which is no violation.
Verdict CheckLinearizable(const std::vector<Operation>& history, size_t states_max = 20'000);

}  // namespace lockstep::sim
