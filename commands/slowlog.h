// The last commands that took long, as Redis's SLOWLOG keeps them.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep {

class Slowlog {
 public:
  struct Entry {
    int64_t id = 0;
    int64_t unix_seconds = 0;
    int64_t us = 0;
    std::vector<Bytes> args;  // At most 32, each at most 128 bytes, secrets redacted.
    Bytes address;
    Bytes name;
  };
  // `threshold_us` < 0: off. Keeps `max` entries.
  void Configure(int64_t threshold_us, size_t max);
  bool Wants(int64_t us) const { return threshold_us_ >= 0 && us >= threshold_us_; }
  void Add(int64_t unix_seconds, int64_t us, std::span<const BytesView> argv, BytesView address,
           BytesView name);
  const std::deque<Entry>& entries() const { return entries_; }  // Newest first.
  void Clear() { entries_.clear(); }

 private:
  int64_t threshold_us_ = 10'000;
  size_t max_ = 128;
  int64_t next_id_ = 0;
  std::deque<Entry> entries_;
};

}  // namespace lockstep
