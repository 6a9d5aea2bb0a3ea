// A small deterministic generator (splitmix64, Steele, Lea & Flood 2014). The same seed gives the
// same numbers on every machine and compiler. Not for secrets.
#pragma once

#include <cstdint>

#include "src/base/check.h"

namespace lockstep {

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

  // Uniform in [0, n). n > 0. The bias of the modulo is below n / 2^64.
  uint64_t Below(uint64_t n) {
    CHECK(n > 0);
    return Next() % n;
  }

  // Uniform in [low, high].
  int64_t Between(int64_t low, int64_t high) {
    CHECK(low <= high);
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }

  // True `parts` times in a million on average.
  bool ChanceInMillion(uint64_t parts) { return Below(1'000'000) < parts; }

 private:
  uint64_t state_;
};

}  // namespace lockstep
