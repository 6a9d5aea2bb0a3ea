// What leaves the cache of itself: by the limit of memory, and by time.
#include <algorithm>

#include "src/cache_shard.h"

namespace lockstep {
namespace {

constexpr size_t kEvictionsATurn = 4096;
constexpr size_t kSweepLines = 2000;  // Each time that it is tidied.

}  // namespace

// From all shards, as many from each as it has of all lines.
void Cache::EvictDownTo(MonoTime now, size_t bytes_max) {
  const size_t all = std::max<size_t>(1, lines());
  size_t idle = 0;
  for (size_t n = 0; n < kEvictionsATurn && idle < shards_.size() && bytes() > bytes_max;) {
    Shard& shard = *shards_[evict_at_++ % shards_.size()];
    size_t share = 1 + shards_.size() * shard.lines().size() / all;
    bool any = false;
    for (; share > 0; --share, ++n) {
      const bool one =
          shard.home != nullptr ? shard.home->EvictOne(now) : shard.agent.EvictOne(now);
      if (!one) break;
      any = true;
    }
    idle = any ? 0 : idle + 1;
  }
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
