// What the options of keys by prefix (DCACHE.NS) mean for this node's cache.
#include <algorithm>

#include "src/cache_shard.h"

namespace lockstep {
namespace {

// A lease is asked for every 50 ms while there is none (Agent): five times in vain, and its home
// is away. For a while nobody else who may miss need find that out by himself.
constexpr int64_t kMissAfterUs = 250 * kUsPerMs;
constexpr int64_t kMissOnUs = kUsPerSecond;

constexpr size_t kClassLines = 20'000;  // That are looked at in a go when prefixes have changed.
constexpr size_t kEvictionsOfOne = 4096;  // In a turn.
constexpr size_t kShardsToChooseFrom = 8;
constexpr int64_t kEvictAgainUs = 2 * kUsPerMs;
constexpr int64_t kNoneToEvictUs = 100 * kUsPerMs;

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
           return misses || Hold(now_, want.key, PlaceOf(want.key), false);
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

// Limits of memory --------------------------------------------------------------------------------

// New lines get their class when they are added; those that are there already, a few at a time: so
// for a while a limit does not count all that it is about.
void Cache::FollowSpaces() {
  spaces_version_ = spaces_->version();
  const bool had_any = !limits_.empty();
  limits_.clear();
  refuses_ = false;
  classes_.lru = 0;
  for (const Space& space : spaces_->all()) {
    if (space.number == 0) continue;
    const bool evicts = space.policy != Space::Policy::kNoEviction;
    limits_.push_back({space.number, static_cast<size_t>(space.memory_max), evicts});
    refuses_ |= !evicts;
    if (space.policy == Space::Policy::kLru) classes_.lru |= uint32_t{1} << space.number;
  }
  classes_.of = nullptr;
  if (!limits_.empty()) {
    classes_.of = [this](BytesView key) {
      const Space* space = SpaceOf(key);
      return space == nullptr ? uint8_t{0} : space->number;
    };
  }
  class_shard_ = limits_.empty() && !had_any ? shards_.size() : 0;
  class_cursor_ = 0;
}

void Cache::ClassSome() {
  size_t looked = 0;
  while (class_shard_ < shards_.size() && looked < kClassLines) {
    mesi::LineTable& lines = shards_[class_shard_]->lines();
    class_cursor_ = lines.Scan(class_cursor_, kClassLines / 4, [&](mesi::Line* line) {
      ++looked;
      lines.SetClass(line, classes_.of ? classes_.of(line->key()) : uint8_t{0});
    });
    if (class_cursor_ == 0) ++class_shard_;
  }
}

// What a prefix has too much of goes, and some more with it: lest each write has to wait for one.
// What has to go home first, or to be dropped by readers, goes on taking its room until then: so no
// more are evicted than it takes, and then for a moment none.
void Cache::KeepLimit(MonoTime now, Limit* limit) {
  const size_t bytes = classes_.bytes[limit->number];
  if (bytes <= limit->bytes_max || now < limit->look_again) return;
  touched_ = true;
  limit->look_again = now + kEvictAgainUs;
  const size_t over = bytes - limit->bytes_max + (limit->evicts ? limit->bytes_max / 32 : 0);
  const size_t enough = over / (bytes / classes_.lines[limit->number]) + 1;
  size_t idle = 0;
  for (size_t n = 0; n < std::min(enough, kEvictionsOfOne) && idle < shards_.size();) {
    const bool any = EvictForLimit(now, *limit);
    n += any ? 1 : 0;
    idle = any ? 0 : idle + 1;
  }
  if (idle == shards_.size()) limit->look_again = now + kNoneToEvictUs;
}

// From one of the next few shards, that in which it takes the most: each has an order of its own.
// Where nothing is to be evicted only copies go, of which the home has the value.
bool Cache::EvictForLimit(MonoTime now, const Limit& limit) {
  const auto bytes_in = [&](size_t shard) {
    return shards_[shard % shards_.size()]->lines().bytes_of(limit.number);
  };
  size_t fullest = limit_shard_++;
  for (size_t i = 1; i < std::min(kShardsToChooseFrom, shards_.size()); ++i) {
    if (bytes_in(limit_shard_ - 1 + i) > bytes_in(fullest)) fullest = limit_shard_ - 1 + i;
  }
  Shard& shard = *shards_[fullest % shards_.size()];
  if (!limit.evicts) return shard.home == nullptr && shard.agent.DropCopy(now, limit.number);
  return shard.home != nullptr ? shard.home->EvictOne(now, limit.number)
                               : shard.agent.EvictOne(now, limit.number);
}

bool Cache::IsFull(BytesView key, size_t more) const {
  const Space* space = SpaceOf(key);
  const bool refuses = space != nullptr && space->number > 0 &&
                       space->policy == Space::Policy::kNoEviction;
  return refuses &&
         classes_.bytes[space->number] + more > static_cast<size_t>(space->memory_max);
}

}  // namespace lockstep
