// Which keys are used most on this node: an estimate that costs a GET one decrement.
//
// Every 64th access or so is looked at: after a stride that changes each time, so that clients who
// do the same over and over do not always fall on the same key. What is looked at goes into a
// Space-Saving table (Metwally et al., ICDT 2005) of 256 keys: a key that is not there takes the
// place of the least, and what that had is the error by which it may be overrated. All counts fade
// by half every ten seconds, and so does the time that they are held against.
//
// Always true: a key that has more than a 256th of all accesses is in the table, as far as a sample
// tells; memory is bounded by 256 keys.
#pragma once

#include <array>
#include <vector>

#include "commands/cache_figures.h"
#include "src/base/limits.h"
#include "src/base/rng.h"
#include "src/base/time.h"

namespace lockstep {

class HotKeys {
 public:
  static constexpr size_t kKeys = 256;
  static constexpr int64_t kStrideMean = 64;
  static constexpr int64_t kHalfLifeUs = 10 * kUsPerSecond;

  HotKeys(uint64_t seed, MonoTime now) : rng_(seed), began_(now), faded_(now) {}

  // True: it was one of those that are looked at.
  bool Count(MonoTime now, BytesView key) {
    if (--left_ != 0) return false;
    Sample(now, key);
    return true;
  }
  // The hottest first, with what they surely have of the samples, as accesses a second.
  std::vector<HotKey> Top(MonoTime now, size_t n);

 private:
  void Sample(MonoTime now, BytesView key);
  void Fade(MonoTime now);
  size_t PlaceOf(uint64_t hash, BytesView key) const;  // kKeys: it has none.
  size_t Least();

  Rng rng_;
  int64_t left_ = kStrideMean;     // Accesses to the next sample.
  MonoTime began_;                 // What the counts are held against: since then,
  MonoTime faded_;                 // ... moved closer with each fading. The latest was then.
  // No count is below `floor_`; those that are as low are looked for from `hand_` on.
  uint64_t floor_ = 0;
  size_t hand_ = 0;
  // Apart, since they are walked along. A tag is a byte of the hash.
  std::array<uint8_t, kKeys> tags_{};
  std::array<uint64_t, kKeys> hashes_{};
  std::array<uint64_t, kKeys> counts_{};  // In parts of a sample. 0: the place is free.
  std::array<uint64_t, kKeys> errors_{};  // So much of the count may be another key's.
  std::array<Bytes, kKeys> keys_;
};

}  // namespace lockstep
