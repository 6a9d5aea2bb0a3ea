// A set of numbers kept as runs: for sets that are dense but for a few holes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

#include "src/base/codec.h"

namespace lockstep {

class IntervalSet {
 public:
  bool operator==(const IntervalSet&) const = default;

  bool Contains(uint64_t v) const {
    const auto after = runs_.upper_bound(v);
    return after != runs_.begin() && std::prev(after)->second > v;
  }
  void Add(uint64_t v) { AddRun(v, v + 1); }

  // All of [from, to).
  void AddRun(uint64_t from, uint64_t to) {
    if (from >= to) return;
    auto at = runs_.upper_bound(from);
    if (at != runs_.begin() && std::prev(at)->second >= from) {
      --at;
      from = at->first;
    }
    while (at != runs_.end() && at->first <= to) {
      to = std::max(to, at->second);
      at = runs_.erase(at);
    }
    runs_[from] = to;
  }

  // Forgets everything below `v`.
  void DropBelow(uint64_t v) {
    while (!runs_.empty() && runs_.begin()->first < v) {
      const uint64_t to = runs_.begin()->second;
      runs_.erase(runs_.begin());
      if (to > v) runs_[v] = to;
    }
  }

  bool empty() const { return runs_.empty(); }
  size_t runs() const { return runs_.size(); }
  const std::map<uint64_t, uint64_t>& all() const { return runs_; }  // First to one past the last.
  void clear() { runs_.clear(); }

  void Encode(Writer* out) const {
    out->Varint(runs_.size());
    for (const auto& [from, to] : runs_) {
      out->Varint(from);
      out->Varint(to - from);
    }
  }
  // Fails the reader on runs that are empty, unsorted or touch.
  static IntervalSet Decode(Reader* in) {
    IntervalSet set;
    uint64_t end = 0;
    const size_t n = in->Count(2);
    for (size_t i = 0; i < n && in->ok(); ++i) {
      const uint64_t from = in->Varint();
      const uint64_t size = in->Varint();
      if (size == 0 || from + size < from || (i > 0 && from <= end)) {
        in->Fail();
        return {};
      }
      end = from + size;
      set.runs_[from] = end;
    }
    return in->ok() ? set : IntervalSet{};
  }

 private:
  std::map<uint64_t, uint64_t> runs_;
};

}  // namespace lockstep
