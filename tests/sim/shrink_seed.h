// Shrinks a seed that fails and says what is left: for people, on standard output.
#pragma once

#include <cstdint>

#include "tests/sim/plan.h"

namespace lockstep::sim {

// Of processor time for one run: who needs more hangs.
constexpr unsigned kSecondsMax = 60;
void LimitTime();

// The exit code: 0 if the seed does not fail.
int ShrinkSeed(uint64_t seed, const Plan& whole);

}  // namespace lockstep::sim
