#include "src/io/spare_memory.h"

#include <malloc.h>

#include <algorithm>
#include <ctime>

namespace lockstep::io {
namespace {

constexpr int64_t kTimesItsCost = 100;
constexpr int64_t kLookEveryUsMin = 2 * kUsPerSecond;

int64_t ThreadCpuUs() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * kUsPerSecond + now.tv_nsec / 1000;
}

bool IsWorthwhile(size_t held) {
  const struct mallinfo2 heap = ::mallinfo2();  // Of all arenas.
  const size_t used = heap.uordblks + heap.hblkhd;
  if (held <= used) return false;
  return held - used >= std::max(SpareMemory::kWorthwhileBytes, used / 4);
}

}  // namespace

bool SpareMemory::Look(MonoTime now, const ProcessFigures& process) {
  settled_bytes_ = std::min(settled_bytes_, process.own_bytes);
  if (now < next_look_ || process.own_bytes - settled_bytes_ < kWorthwhileBytes) return false;
  const int64_t began = ThreadCpuUs();
  const bool worthwhile = IsWorthwhile(process.own_bytes);
  if (worthwhile) {
    ::malloc_trim(0);
    settled_bytes_ = MeasureProcess().own_bytes;
  }
  const int64_t cost = ThreadCpuUs() - began;
  next_look_ = now + std::max(kLookEveryUsMin, kTimesItsCost * cost);
  return worthwhile;
}

}  // namespace lockstep::io
