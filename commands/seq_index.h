// From ascending numbers to the numbers of records: five bytes each while most of them live.
//
// A page holds those of 64 numbers that live, packed, behind a bit for each (as in Google's
// sparsetable): a few that outlive their neighbours cost a page each and no more.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "src/base/check.h"

namespace lockstep {

class SeqIndex {
 public:
  static constexpr uint32_t kAbsent = UINT32_MAX;

  uint32_t Find(uint64_t seq) const {
    const auto page = pages_.find(seq / kPage);
    if (page == pages_.end() || !page->second.Has(seq)) return kAbsent;
    return page->second.values[page->second.Rank(seq)];
  }

  // `seq` must be there.
  void Set(uint64_t seq, uint32_t value) {
    const auto page = pages_.find(seq / kPage);
    CHECK(page != pages_.end() && page->second.Has(seq));
    page->second.values[page->second.Rank(seq)] = value;
  }

  // `seq` must not be there yet.
  void Add(uint64_t seq, uint32_t value) {
    Page& page = pages_[seq / kPage];
    CHECK(!page.Has(seq));
    page.values.insert(page.At(seq), value);
    page.live |= Bit(seq);
    ++size_;
  }

  void Remove(uint64_t seq) {
    const auto page = pages_.find(seq / kPage);
    CHECK(page != pages_.end() && page->second.Has(seq));
    page->second.values.erase(page->second.At(seq));
    page->second.live &= ~Bit(seq);
    if (page->second.live == 0) pages_.erase(page);
    --size_;
  }

  size_t size() const { return size_; }

  // `visit(seq, value)` in the order of the numbers.
  template <class Visit>
  void ForEach(const Visit& visit) const {
    std::vector<uint64_t> numbers;
    numbers.reserve(pages_.size());
    for (const auto& [number, page] : pages_) numbers.push_back(number);
    std::sort(numbers.begin(), numbers.end());
    for (const uint64_t number : numbers) {
      const Page& page = pages_.at(number);
      uint64_t live = page.live;
      for (const uint32_t value : page.values) {
        visit(number * kPage + static_cast<uint64_t>(std::countr_zero(live)), value);
        live &= live - 1;
      }
    }
  }

 private:
  static constexpr uint64_t kPage = 64;
  static uint64_t Bit(uint64_t seq) { return uint64_t{1} << seq % kPage; }

  struct Page {
    uint64_t live = 0;
    std::vector<uint32_t> values;

    bool Has(uint64_t seq) const { return (live & Bit(seq)) != 0; }
    uint32_t Rank(uint64_t seq) const {
      return static_cast<uint32_t>(std::popcount(live & (Bit(seq) - 1)));
    }
    std::vector<uint32_t>::iterator At(uint64_t seq) { return values.begin() + Rank(seq); }
  };

  std::unordered_map<uint64_t, Page> pages_;  // None is empty.
  size_t size_ = 0;
};

}  // namespace lockstep
