// A cache line: one key, what it holds, and in which state this node has it.
//
// One record serves both sides of the protocol. A node that caches the line for another (the agent)
// keeps its own state and the generation of the grant that it has; the home keeps its directory
// state, and who shares the line or owns it. An absent key may have a line too: then it is known
// that there is nothing.
#pragma once

#include <compare>
#include <cstdint>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep::mesi {

// Of a line's value. Grows with each write, over moves of the home too, and never repeats with
// another value: the home's epoch (the term of the shard's leader), the generation that the home
// gave the exclusive grant, and the owner's writes under it.
struct Version {
  uint64_t epoch = 0;  // Below 2^32.
  uint64_t gen = 0;    // Below 2^48.
  uint64_t seq = 0;    // Below 2^32.
  auto operator<=>(const Version&) const = default;
};

constexpr uint64_t kGenMax = (uint64_t{1} << 48) - 1;
constexpr uint64_t kSeqMax = UINT32_MAX;

}  // namespace lockstep::mesi
