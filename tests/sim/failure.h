// How a simulation ends when it has found something: one sentence, and the line that runs it again.
#pragma once

#include "src/base/bytes.h"

namespace lockstep::sim {

struct Failure {
  Bytes what;
};

}  // namespace lockstep::sim

// With a printf explanation: CHECK_SIM(a <= b, "a %d is above b %d", a, b).
#define CHECK_SIM(condition, ...)                                                             \
  do {                                                                                        \
    if (!(condition)) [[unlikely]]                                                            \
      throw ::lockstep::sim::Failure{::lockstep::Format(__VA_ARGS__)};                        \
  } while (false)
