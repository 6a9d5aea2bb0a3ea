// Deadlines of numbered things, the earliest at hand; equal deadlines in the order of `seq`. A
// thing has one deadline at most, and it can be moved or taken out at any time, each in O(log n).
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/base/time.h"

namespace lockstep {

class DeadlineHeap {
 public:
  struct Item {
    ClusterTime deadline;
    uint64_t seq = 0;  // Differs from thing to thing, so the order is total.
    uint32_t thing = 0;
  };

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const Item& top() const { return items_.front(); }

  void Set(uint32_t thing, ClusterTime deadline, uint64_t seq) {
    if (thing >= position_.size()) position_.resize(size_t{thing} + 1, kNowhere);
    uint32_t at = position_[thing];
    if (at == kNowhere) {
      at = static_cast<uint32_t>(items_.size());
      items_.emplace_back();
    }
    Put(at, Item{deadline, seq, thing});
    Settle(at);
  }

  void Remove(uint32_t thing) {
    if (thing >= position_.size() || position_[thing] == kNowhere) return;
    const uint32_t at = std::exchange(position_[thing], kNowhere);
    const Item last = items_.back();
    items_.pop_back();
    if (at == items_.size()) return;
    Put(at, last);
    Settle(at);
  }

 private:
  static constexpr uint32_t kNowhere = UINT32_MAX;
  static constexpr uint32_t kWidth = 4;  // Children of one parent lie side by side in memory.

  static bool Before(const Item& a, const Item& b) {
    return a.deadline != b.deadline ? a.deadline < b.deadline : a.seq < b.seq;
  }
  void Put(uint32_t at, const Item& item) {
    items_[at] = item;
    position_[item.thing] = at;
  }
  // Moves the item at `at` up or down to where it belongs.
  void Settle(uint32_t at) {
    const Item item = items_[at];
    while (at > 0 && Before(item, items_[(at - 1) / kWidth])) {
      Put(at, items_[(at - 1) / kWidth]);
      at = (at - 1) / kWidth;
    }
    const auto size = static_cast<uint32_t>(items_.size());
    for (uint32_t child = kWidth * at + 1; child < size; child = kWidth * at + 1) {
      const uint32_t end = std::min(child + kWidth, size);
      for (uint32_t other = child + 1; other < end; ++other) {
        if (Before(items_[other], items_[child])) child = other;
      }
      if (!Before(items_[child], item)) break;
      Put(at, items_[child]);
      at = child;
    }
    Put(at, item);
  }

  std::vector<Item> items_;
  std::vector<uint32_t> position_;  // Of each thing in items_.
};

}  // namespace lockstep
