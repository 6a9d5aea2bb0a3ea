// CHECK: our own bugs. On in production: a node that has caught itself wrong stops before it says
// something false; its peers go on without it.
#pragma once

#include "src/base/bytes.h"

namespace lockstep {

// Called once with "file:line: CHECK(condition) detail" before the process aborts. The simulator
// sets it to print the line that runs the seed again. It may throw only in tests.
using CheckFailureHook = void (*)(const Bytes& what);
void SetCheckFailureHook(CheckFailureHook hook);

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const Bytes& detail = {});

}  // namespace lockstep

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::lockstep::CheckFailed(__FILE__, __LINE__, #condition);        \
  } while (false)

// With a printf explanation: CHECK_SAYS(a <= b, "a %d is above b %d", a, b).
#define CHECK_SAYS(condition, ...)                                    \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::lockstep::CheckFailed(__FILE__, __LINE__, #condition,         \
                              ::lockstep::Format(__VA_ARGS__));       \
  } while (false)
