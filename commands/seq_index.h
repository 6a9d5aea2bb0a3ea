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

  SeqIndex() = default;
  SeqIndex(SeqIndex&&) = default;
  SeqIndex& operator=(SeqIndex&&) = default;

  uint32_t Find(uint64_t seq) const {
    const Page* page = PageOf(seq);
    if (page == nullptr || !page->Has(seq)) return kAbsent;
    return page->values[page->Rank(seq)];
  }

  // `seq` must be there.
  void Set(uint64_t seq, uint32_t value) {
    Page* page = PageOf(seq);
    CHECK(page != nullptr && page->Has(seq));
    page->values[page->Rank(seq)] = value;
  }

  // `seq` must not be there yet.
  void Add(uint64_t seq, uint32_t value) {
    Page* page = PageOf(seq);
    if (page == nullptr) page = latest_ = &pages_[latest_number_];
    CHECK(!page->Has(seq));
    page->MakeRoom();
    page->values.insert(page->At(seq), value);
    page->live |= Bit(seq);
    ++size_;
  }

  void Remove(uint64_t seq) {
    Page* page = PageOf(seq);
    CHECK(page != nullptr && page->Has(seq));
    page->values.erase(page->At(seq));
    page->live &= ~Bit(seq);
    --size_;
    if (page->live != 0) return;
    pages_.erase(latest_number_);
    latest_ = nullptr;
  }

  size_t size() const { return size_; }

  // Numbers with the same quotient lie in one page. Those of all pages, ascending.
  static constexpr uint64_t kPage = 64;
  std::vector<uint64_t> Pages() const {
    std::vector<uint64_t> numbers;
    numbers.reserve(pages_.size());
    for (const auto& [number, page] : pages_) numbers.push_back(number);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }

  // `visit(seq, value)` in the order of the numbers.
  template <class Visit>
  void ForEach(const Visit& visit) const {
    for (const uint64_t number : Pages()) {
      const Page& page = pages_.at(number);
      uint64_t live = page.live;
      for (const uint32_t value : page.values) {
        visit(number * kPage + static_cast<uint64_t>(std::countr_zero(live)), value);
        live &= live - 1;
      }
    }
  }

 private:
  static uint64_t Bit(uint64_t seq) { return uint64_t{1} << seq % kPage; }

  struct Page {
    uint64_t live = 0;
    std::vector<uint32_t> values;

    bool Has(uint64_t seq) const { return (live & Bit(seq)) != 0; }
    uint32_t Rank(uint64_t seq) const {
      return static_cast<uint32_t>(std::popcount(live & (Bit(seq) - 1)));
    }
    std::vector<uint32_t>::iterator At(uint64_t seq) { return values.begin() + Rank(seq); }
    void MakeRoom() {
      if (values.size() < values.capacity()) return;
      values.reserve(std::clamp<size_t>(4 * values.size(), 4, kPage));
    }
  };

  // Null: there is none. Most who ask want the page that was asked for before.
  Page* PageOf(uint64_t seq) const {
    if (seq / kPage == latest_number_) return latest_;
    const auto page = pages_.find(seq / kPage);
    latest_number_ = seq / kPage;
    latest_ = page == pages_.end() ? nullptr : const_cast<Page*>(&page->second);
    return latest_;
  }

  std::unordered_map<uint64_t, Page> pages_;  // None is empty.
  size_t size_ = 0;
  mutable uint64_t latest_number_ = UINT64_MAX;
  mutable Page* latest_ = nullptr;
};

}  // namespace lockstep
