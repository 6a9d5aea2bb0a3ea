// Shrinks a seed that fails and says what is left: for people, on standard output.
#pragma once

#include <cstdint>

#include "tests/sim/plan.h"

namespace lockstep::sim {

// The exit code: 0 if the seed does not fail.
int ShrinkSeed(uint64_t seed, const Plan& whole);

}  // namespace lockstep::sim
