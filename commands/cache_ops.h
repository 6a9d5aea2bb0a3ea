// Questions about the keys of a shard as a whole: to the home of its lines, which is the leader of
// its group. They go where the group's reads go, and the home answers them instead of the machine.
//
// A home answers page by page: so many lines of its table, from a cursor on. What it cannot know
// (a cache owns the line) it asks for, and meanwhile answers "again". Cursors and times are those
// of one home: of another one they count for nothing, and the walk over the shard begins anew.
#pragma once

#include <cstdint>
#include <optional>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/resp/reply.h"

namespace lockstep {

constexpr uint8_t kCacheQueryTag = 200;    // A query's first byte; no machine has it.
constexpr uint32_t kCachePageMax = 4096;   // Lines of one page.
constexpr int kCacheCursorBits = 48;       // Of a home's table,
constexpr int kCacheCursorZeros = 20;      // of which so many, the lowest, are never set.

// What tells a home from the one before, in few bits: they are in SCAN's cursors.
constexpr int kHomeTagBits = 15;
constexpr uint32_t HomeTag(Term epoch) {
  return static_cast<uint32_t>(epoch.value % (uint64_t{1} << kHomeTagBits));
}

struct CacheQuery {
  enum class Kind : uint8_t {
    kNames = 0,   // An array.
    kCount = 1,   // An integer.
    kRandom = 2,  // Any one name, or nil; `cursor` and `count` are dice.
    kFlush = 3,   // Erases; nil.
    kLine = 4,    // Of one key: see Cache::DescribeLine.
    kFlushPrefix = 5,  // Erases those that begin so; nil.
  };
  Kind kind = Kind::kNames;
  uint64_t cursor = 0;
  uint32_t count = kCachePageMax;  // Lines to look at, about.
  Bytes name = "*";                // A glob. kLine: the key; kFlushPrefix: the prefix.
  std::optional<uint16_t> slot{};  // Only the keys of this one.
  uint32_t home_tag = 0;           // Of the home that gave cursor and `since`.
  MonoTime since{};                // When the walk began, by its clock. 0: it begins.

  bool operator==(const CacheQuery&) const = default;
  Bytes Encode() const;
};
inline bool IsCacheQuery(BytesView query) {
  return !query.empty() && static_cast<uint8_t>(query[0]) == kCacheQueryTag;
}
std::optional<CacheQuery> DecodeCacheQuery(BytesView in);

struct CachePage {
  bool again = false;     // Not known yet: the same is to be asked again.
  uint32_t home_tag = 0;
  MonoTime since{};
  uint64_t next = 0;      // The next page's cursor; 0: that was the last.
  uint64_t lines = 0;     // That were looked at. kRandom: about so many keys there are.
  Reply body{};

  Reply Encode() &&;
};
std::optional<CachePage> DecodeCachePage(Reply reply);
bool SaysAgain(const Reply& encoded);

// A place in the walk over all shards, as SCAN tells it: below 2^53. 0 is the beginning, and the
// end.
struct ScanPlace {
  uint64_t shard = 0;
  uint32_t home_tag = 0;
  uint64_t cursor = 0;
  bool operator==(const ScanPlace&) const = default;
};
uint64_t PackScanPlace(const ScanPlace& place);
// Any number: one that PackScanPlace never gave is some place, or a shard that there is not.
ScanPlace UnpackScanPlace(uint64_t packed);

}  // namespace lockstep
