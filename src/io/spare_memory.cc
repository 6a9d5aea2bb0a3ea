#include "src/io/spare_memory.h"

#include <malloc.h>

#include <algorithm>
#include <ctime>

namespace lockstep::io {
namespace {

constexpr int64_t kTimesItsCost = 100;
constexpr int64_t kLookEveryUsMin = 2 * kUsPerSecond;
constexpr int64_t kLookUsMax = 50 * kUsPerMs;
constexpr int64_t kSlowLookEveryUs = 3600 * kUsPerSecond;

int64_t ThreadCpuUs() {
  timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * kUsPerSecond + now.tv_nsec / 1000;
}

size_t BytesInUse() {
  const struct mallinfo2 heap = ::mallinfo2();  // Of all arenas.
  return heap.uordblks + heap.hblkhd;
}

size_t Above(size_t bytes, size_t part) { return bytes - std::min(bytes, part); }

}  // namespace

bool SpareMemory::Look(MonoTime now, const ProcessFigures& process) {
  if (now < next_look_) return false;
  const int64_t began = ThreadCpuUs();
  const size_t used = BytesInUse();
  const size_t spare = Above(process.own_bytes, used);
  const int64_t look_cost = ThreadCpuUs() - began;

  scraps_bytes_ = std::min(scraps_bytes_, spare);
  const bool worthwhile = spare - scraps_bytes_ >= std::max(kWorthwhileBytes, used / 4);
  if (worthwhile) {
    ::malloc_trim(0);
    scraps_bytes_ = Above(MeasureProcess().own_bytes, used);
  }
  const int64_t cost = ThreadCpuUs() - began;
  const int64_t least = look_cost > kLookUsMax ? kSlowLookEveryUs : kLookEveryUsMin;
  next_look_ = now + std::max(least, kTimesItsCost * cost);
  return worthwhile;
}

}  // namespace lockstep::io
