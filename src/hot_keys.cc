#include "src/hot_keys.h"

#include <algorithm>
#include <cstring>

#include "src/base/hash.h"

namespace lockstep {
namespace {

constexpr uint64_t kSample = 1024;  // Parts of it: it has faded away when it was halved ten times.
constexpr int kHalvingsToNothing = 64;

uint8_t TagOf(uint64_t hash) { return static_cast<uint8_t>(hash >> 56); }

}  // namespace

void HotKeys::Sample(MonoTime now, BytesView key) {
  left_ = rng_.Between(1, 2 * kStrideMean - 1);
  Fade(now);
  const uint64_t hash = KeyedHash(key);
  size_t at = PlaceOf(hash, key);
  if (at == kKeys) {
    at = Least();
    errors_[at] = counts_[at];
    hashes_[at] = hash;
    tags_[at] = TagOf(hash);
    keys_[at] = key;
  }
  counts_[at] += kSample;
}

size_t HotKeys::PlaceOf(uint64_t hash, BytesView key) const {
  for (size_t at = 0; at < kKeys; ++at) {
    const void* const found = std::memchr(tags_.data() + at, TagOf(hash), kKeys - at);
    if (found == nullptr) return kKeys;
    at = static_cast<size_t>(static_cast<const uint8_t*>(found) - tags_.data());
    if (hashes_[at] == hash && counts_[at] > 0 && keys_[at] == key) return at;
  }
  return kKeys;
}

// What is least stays so until it is used: most searches are short.
size_t HotKeys::Least() {
  for (size_t i = 0; i < kKeys; ++i) {
    if (counts_[hand_] <= floor_) return hand_;
    hand_ = (hand_ + 1) % kKeys;
  }
  const auto least = std::min_element(counts_.begin(), counts_.end());
  floor_ = *least;
  return hand_ = static_cast<size_t>(least - counts_.begin());
}

void HotKeys::Fade(MonoTime now) {
  for (int i = 0; now - faded_ >= kHalfLifeUs && i < kHalvingsToNothing; ++i) {
    faded_ = faded_ + kHalfLifeUs;
    began_ = faded_ + -((faded_ - began_) / 2);
    for (uint64_t& count : counts_) count /= 2;
    for (uint64_t& error : errors_) error /= 2;
    floor_ = 0;
  }
  if (now - faded_ >= kHalfLifeUs) began_ = faded_ = now + -kHalfLifeUs / 2;
}

std::vector<HotKey> HotKeys::Top(MonoTime now, size_t n) {
  Fade(now);
  const auto us = static_cast<uint64_t>(std::max(now - began_, kUsPerSecond));
  std::vector<HotKey> hot;
  for (size_t at = 0; at < kKeys; ++at) {
    const uint64_t accesses = (counts_[at] - errors_[at]) * uint64_t{kStrideMean};
    const uint64_t per_second = accesses * uint64_t{kUsPerSecond} / us / kSample;
    if (per_second > 0) hot.push_back({keys_[at], per_second});
  }
  std::sort(hot.begin(), hot.end(), [](const HotKey& one, const HotKey& other) {
    if (one.per_second != other.per_second) return one.per_second > other.per_second;
    return one.key < other.key;
  });
  if (hot.size() > n) hot.resize(n);
  return hot;
}

}  // namespace lockstep
