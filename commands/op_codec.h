// Reading operations: each value with its bounds, which fail the reader.
#pragma once

#include <algorithm>

#include "src/base/codec.h"
#include "src/base/limits.h"

namespace lockstep {

// A lock, an owner, a queue. Borrows.
inline BytesView ReadName(Reader* in) {
  const BytesView name = in->String();
  if (name.empty() || name.size() > kNameBytesMax) in->Fail();
  return name;
}

inline int64_t ReadBetween(Reader* in, int64_t low, int64_t high) {
  const int64_t value = in->Signed();
  if (value < low || value > high) in->Fail();
  return value;
}

inline uint32_t ReadUpTo(Reader* in, uint32_t max) {
  const uint64_t value = in->Varint();
  if (value > max) in->Fail();
  return static_cast<uint32_t>(std::min<uint64_t>(value, max));
}

}  // namespace lockstep
