// Options of cached keys by prefix of their names (DCACHE.NS): a part of what group `control`
// replicates, so every member has the same, a moment sooner or later.
//
// A key is in the space with the longest prefix that its name begins with; what that one does not
// set is as by default, not as in a shorter one. The empty prefix is a prefix of all.
//
// Always true:
//   1. At most kSpacesMax spaces, in order of their prefixes, each at most kNameBytesMax long.
//   2. A space with a limit of memory has a number of its own, 1 to kSpacesWithMemoryMax; no other
//      has one.
//   3. `version` grows with each change, and with nothing else.
//
// Not thread-safe. A space stays where it is until the next change.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/codec.h"
#include "src/base/limits.h"
#include "src/resp/reply.h"

namespace lockstep {

constexpr int64_t kSpaceTtlMsMax = int64_t{365} * 100 * 24 * 3600 * 1000;
constexpr int64_t kSpaceMemoryMax = int64_t{1} << 50;

struct Space {
  // What it takes to lose an acknowledged write: its owner, its home, a majority.
  enum class Durability : uint8_t { kBack, kHome, kQuorum };
  // Who reads a line that nobody has: one reader among others, or its owner from then on.
  enum class Reads : uint8_t { kShared, kExclusive };
  enum class Policy : uint8_t { kSieve, kLru, kNoEviction };
  // What a read gets while its node has no lease of the key's home.
  enum class OnNoLease : uint8_t { kError, kMiss };

  Bytes prefix;
  Durability durability = Durability::kBack;
  Reads reads = Reads::kShared;
  Policy policy = Policy::kSieve;
  OnNoLease on_no_lease = OnNoLease::kError;
  int64_t ttl_ms = 0;      // Of what is written without one; 0: it stays.
  int64_t memory_max = 0;  // Bytes of its lines on one node; 0: no limit of its own.
  uint8_t number = 0;      // With a memory_max.
  bool operator==(const Space&) const = default;

  // As DCACHE.NS shows it.
  Reply Describe() const;
};

// A change of some options of one prefix, which has a space from then on.
struct SpaceChange {
  enum class Option : uint8_t { kClass = 1, kReads, kTtl, kMemory, kPolicy, kOnNoLease };
  struct One {
    Option option;
    int64_t value;  // The enumerator's number, or the amount.
    bool operator==(const One&) const = default;
  };
  Bytes prefix;
  std::vector<One> options;
};

class Spaces {
 public:
  // As a cluster begins: what client libraries call a lock is lost with no single node (CACHE 4.8).
  static Spaces AtFirst();

  // Null: all options of the key are as by default. Allocates nothing.
  const Space* Find(BytesView key) const {
    const bool may_be_in_one = has_empty_ || (!key.empty() && begins_[ByteOf(key[0])]);
    return may_be_in_one ? FindLongest(key) : nullptr;
  }
  const Space* At(BytesView prefix) const;  // Of exactly this prefix; null: none.
  const std::vector<Space>& all() const { return all_; }
  uint64_t version() const { return version_; }

  // OK, or -LIMIT, or -ERR: then nothing was changed.
  Reply Change(const SpaceChange& change);
  Reply Drop(BytesView prefix);  // 1, or 0: there was none.

  void Save(Writer* out) const;
  void Load(Reader* in);  // Fails the reader on what can be no state; then nothing is here.
  void CheckInvariants() const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static uint8_t ByteOf(char c) { return static_cast<uint8_t>(c); }

  const Space* FindLongest(BytesView key) const;
  std::optional<uint8_t> FreeNumber() const;
  bool IsSound() const;
  void Link();

  std::vector<Space> all_;
  // Of each space, the one with the next shorter prefix of its own: kNone, if there is none.
  std::vector<uint32_t> shorter_;
  std::bitset<256> begins_;  // By the first bytes of prefixes: most keys are in no space.
  bool has_empty_ = false;   // The empty prefix is one of them.
  uint64_t version_ = 0;
};

// Without the operation's kind, which is the machine's.
void EncodeSpaceChange(const SpaceChange& change, Writer* out);
SpaceChange DecodeSpaceChange(Reader* in);  // Fails the reader on options that nobody has.

}  // namespace lockstep
