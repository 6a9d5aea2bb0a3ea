// The hashes of the house.
#pragma once

#include "src/base/bytes.h"

namespace lockstep {

// xxHash64, unkeyed: equal on every node. For the ring and for state hashes; never for a table that
// clients feed.
uint64_t Hash64(BytesView data, uint64_t seed = 0);

// Folds `value` into a running hash.
constexpr uint64_t HashMix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9E3779B97F4A7C15ULL + (hash << 6) + (hash >> 2);
  hash *= 0xFF51AFD7ED558CCDULL;
  return hash ^ (hash >> 32);
}

// SipHash-1-3 under a key drawn at start: for tables whose keys clients choose, so that nobody can
// craft collisions. Set once, before any such table is made. Differs from node to node, so nothing
// replicated may depend on its order.
uint64_t KeyedHash(BytesView data);
void SetHashKey(uint64_t k0, uint64_t k1);

// For unordered maps with client-chosen keys; takes std::string_view without making a string.
struct KeyedHasher {
  using is_transparent = void;
  size_t operator()(BytesView data) const { return static_cast<size_t>(KeyedHash(data)); }
};

// Redis Cluster's slot of a key, 0..16383: CRC16-CCITT (XMODEM) of the key or, if it holds a
// non-empty {tag}, of the tag.
constexpr uint16_t kSlots = 16384;
uint16_t SlotOf(BytesView key);
// Which of so many shards a slot belongs to: equal runs of slots, in order.
constexpr uint64_t ShardOfSlot(uint16_t slot, uint64_t shards) { return slot * shards / kSlots; }
// The first slot that is the shard's: the rest follow, up to the next shard's first.
constexpr uint64_t FirstSlotOf(uint64_t shard, uint64_t shards) {
  return (shard * kSlots + shards - 1) / shards;
}

}  // namespace lockstep
