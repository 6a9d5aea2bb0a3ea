// What the options of keys by prefix (DCACHE.NS) mean for this node's cache.
#include <algorithm>

#include "src/cache_shard.h"

namespace lockstep {
namespace {

// A lease is asked for every 50 ms while there is none (Agent): five times in vain, and its home
// is away. For a while nobody else who may miss need find that out by himself.
constexpr int64_t kMissAfterUs = 250 * kUsPerMs;
constexpr int64_t kMissOnUs = kUsPerSecond;

}  // namespace

// What becomes of the key's time when it is written; nothing: it stays as it is. A key that is new
// has none that it could keep.
std::optional<MonoTime> Cache::DeadlineOf(BytesView key, const mesi::Line* line,
                                          const Expiry& expiry) const {
  if (expiry.kind == Expiry::Kind::kIn) return DeadlineOf(expiry);
  const bool is_there = line != nullptr && line->present() && line->deadline() > now_;
  if (expiry.kind == Expiry::Kind::kKeep && is_there) return std::nullopt;
  const Space* space = SpaceOf(key);
  return space == nullptr || space->ttl_ms == 0 ? kNeverMono : now_ + space->ttl_ms * kUsPerMs;
}

// Whether this node has no lease of the key's home, and a read of it need not wait for one.
bool Cache::Misses(BytesView key) const {
  if (!MayMiss(key)) return false;
  const Shard& shard = FindShard(key);
  return shard.home != nullptr ? !shard.home->MayServe(now_) : shard.agent.lease_until() <= now_;
}

// Whether each of its keys is held, or misses and others have waited for its lease in vain.
bool Cache::MissesNow(const Waiting& waiting) {
  return waiting.may_miss &&
         std::all_of(waiting.wants.begin(), waiting.wants.end(), [this](const Want& want) {
           const bool misses = Misses(want.key) && now_ < FindShard(want.key).missed_until;
           return misses || Hold(now_, want.key, false);
         });
}

void Cache::LookForMisses() {
  std::vector<uint64_t> old;
  for (const auto& [number, waiting] : waiting_) {
    if (now_ - waiting.since < kMissAfterUs) break;
    if (!waiting.may_miss) continue;
    old.push_back(number);
    for (const Want& want : waiting.wants) {
      if (Misses(want.key)) FindShard(want.key).missed_until = now_ + kMissOnUs;
    }
  }
  for (const uint64_t number : old) LookAgain(number);
}

}  // namespace lockstep
