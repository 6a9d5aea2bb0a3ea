// Which parts of what a seed draws are to happen: all of them, or those that a shrinker has left.
//
// Parts have names. "f7" is the seventh fault, "a2" the third client; "drop", "repeat", "reorder",
// "clocks", "stalls" and "minority" last for a whole run. A part keeps its name and its time
// whatever else is left out, since faults are drawn by dice of their own, each by its number. What
// the others do meanwhile does shift: so a plan may name another roll of the world's dice, "r2".
#pragma once

#include <set>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep::sim {

struct Plan {
  bool all = true;
  std::set<Bytes> kept;     // Unless all.
  uint64_t roll = 0;        // 0: the seed's own dice.
  bool tells_parts = false; // Says which parts happen, and when, as they do.
  // To see that the checks would notice. Clocks so wrong are to make runs fail, and so are answers
  // that leave late, if the time is read too early. (If it is read after a question has come, as
  // src/io does, what was looked up was right when the clock was read: nothing is to be noticed.)
  bool ignores_valid_until = false;  // What is leased leaves whenever it does.
  bool late_clients = false;  // Clients' input is taken at a time that was read before it came.
  int64_t clock_ppm = 0;             // Not 0: how wrong a clock may go, beyond what is promised.

  bool Has(const Bytes& part) const { return all || kept.contains(part); }
};

Plan PlanOf(const std::vector<Bytes>& parts, uint64_t roll);
// "f7,a2,drop"; "none" if nothing is kept.
Bytes Text(const Plan& plan);
Plan ParsePlan(BytesView text);

}  // namespace lockstep::sim
