#include "src/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace lockstep {
namespace {
CheckFailureHook g_hook = nullptr;
}

void SetCheckFailureHook(CheckFailureHook hook) { g_hook = hook; }

void CheckFailed(const char* file, int line, const char* condition, const Bytes& detail) {
  const Bytes what = Format("%s:%d: CHECK(%s)%s%s", file, line, condition,
                            detail.empty() ? "" : " ", detail.c_str());
  std::fprintf(stderr, "%s\n", what.c_str());
  std::fflush(stderr);
  if (g_hook != nullptr) g_hook(what);
  std::abort();
}

}  // namespace lockstep
