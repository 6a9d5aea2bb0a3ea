// What leaves the cache of itself: by the limit of memory, and by time.
#include <algorithm>

#include "src/cache_shard.h"

namespace lockstep {
namespace {

constexpr size_t kEvictionsATurn = 4096;
// What others must drop, or take back, before it goes takes some time to do so.
constexpr int64_t kGoesWithinUs = 10 * kUsPerMs;
constexpr size_t kSweepLines = 2000;  // Each time that it is tidied.

}  // namespace

// From all shards, as many from each as it has of all lines. Those that are still to go count as
// gone, with what a line takes on average: else all would be sent away before the first has left.
void Cache::EvictDownTo(MonoTime now, size_t bytes_max) {
  const size_t all = std::max<size_t>(1, lines());
  const size_t one_line = bytes() / all;
  size_t going = 0;
  size_t idle = 0;
  const auto is_over = [&] { return bytes() > bytes_max + going * one_line; };
  for (size_t n = 0; n < kEvictionsATurn && idle < shards_.size() && is_over();) {
    Shard& shard = *shards_[evict_at_++ % shards_.size()];
    size_t share = 1 + shards_.size() * shard.lines().size() / all;
    bool any = false;
    for (; share > 0; --share, ++n) {
      const size_t lines_before = shard.lines().size();
      const bool one =
          shard.home != nullptr ? shard.home->EvictOne(now) : shard.agent.EvictOne(now);
      if (!one) break;
      any = true;
      going += shard.lines().size() == lines_before ? 1 : 0;
    }
    idle = any ? 0 : idle + 1;
  }
  if (going > 0) evict_again_ = now + kGoesWithinUs;
}

void Cache::Tidy(MonoTime now) {
  now_ = now;
  touched_ = true;
  if (class_shard_ < shards_.size()) ClassSome();
  for (size_t i = 0, looked = 0; i < shards_.size() && looked < kSweepLines; ++i) {
    Shard& shard = *shards_[sweep_at_++ % shards_.size()];
    looked += shard.home != nullptr ? shard.home->SweepExpired(now)
                                    : shard.agent.SweepExpired(now);
  }
}

}  // namespace lockstep
