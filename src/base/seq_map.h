// Values by number, for numbers that are handed out in ascending order and mostly done with in that
// order: requests under way.
//
// The young ones lie in a ring, by number, and cost no allocation each. What outlives many that
// came later (a client may wait for a lock for hours) moves to a map: it does not hold the ring
// open.
//
// Always true:
//   1. When something is added, the ring spans at most kSparse times as many numbers as live in it,
//      or kRingMin.
//   2. Walks go from the lowest number to the highest; one may add and remove while walking.
//   3. What Add and Find return is good until the next Add.
#pragma once

#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/check.h"

namespace lockstep {

constexpr uint64_t kNoSeq = UINT64_MAX;  // No such number; never a key.

template <class T>
class SeqMap {
 public:
  // `seq` must not be there yet.
  T& Add(uint64_t seq, T value) {
    CHECK(seq != kNoSeq);
    ++size_;
    if (seq < begin_) {
      const auto [at, is_new] = old_.try_emplace(seq, std::move(value));
      CHECK(is_new);
      return at->second;
    }
    MakeRoomFor(seq);
    std::optional<T>& cell = CellOf(seq);
    CHECK(!cell.has_value());
    end_ = seq < end_ ? end_ : seq + 1;
    ++young_;
    return cell.emplace(std::move(value));
  }

  T* Find(uint64_t seq) {
    if (seq >= begin_) {
      if (seq >= end_ || !CellOf(seq)) return nullptr;
      return &*CellOf(seq);
    }
    const auto at = old_.find(seq);
    return at == old_.end() ? nullptr : &at->second;
  }
  const T* Find(uint64_t seq) const { return const_cast<SeqMap*>(this)->Find(seq); }
  T& At(uint64_t seq) {
    T* found = Find(seq);
    CHECK(found != nullptr);
    return *found;
  }
  const T& At(uint64_t seq) const { return const_cast<SeqMap*>(this)->At(seq); }

  void Remove(uint64_t seq) {
    if (seq < begin_) {
      CHECK(old_.erase(seq) == 1);
    } else {
      CHECK(seq < end_ && CellOf(seq).has_value());
      CellOf(seq).reset();
      --young_;
      while (begin_ < end_ && !CellOf(begin_)) ++begin_;
    }
    --size_;
  }

  // The lowest number in [from, to); kNoSeq if there is none.
  uint64_t FirstFrom(uint64_t from, uint64_t to = kNoSeq) const {
    if (from < begin_) {
      const auto at = old_.lower_bound(from);
      if (at != old_.end()) return at->first < to ? at->first : kNoSeq;
      from = begin_;
    }
    for (to = to < end_ ? to : end_; from < to; ++from) {
      if (CellOf(from)) return from;
    }
    return kNoSeq;
  }
  uint64_t first() const { return FirstFrom(0); }

  // `visit(seq, T*)`; may add and remove.
  template <class Visit>
  void ForEach(const Visit& visit) {
    for (uint64_t seq = first(); seq != kNoSeq; seq = FirstFrom(seq + 1)) visit(seq, Find(seq));
  }
  template <class Visit>
  void ForEach(const Visit& visit) const {
    for (uint64_t seq = first(); seq != kNoSeq; seq = FirstFrom(seq + 1)) visit(seq, Find(seq));
  }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

 private:
  static constexpr uint64_t kRingMin = 64;
  static constexpr uint64_t kSparse = 4;
  static constexpr uint64_t kRingKept = 16'384;  // An empty ring that is longer goes.

  std::optional<T>& CellOf(uint64_t seq) { return ring_[seq & (ring_.size() - 1)]; }
  const std::optional<T>& CellOf(uint64_t seq) const { return ring_[seq & (ring_.size() - 1)]; }

  void MakeRoomFor(uint64_t seq) {
    if (young_ == 0) {
      begin_ = end_ = seq;
      if (ring_.size() > kRingKept) ring_ = std::vector<std::optional<T>>();
    }
    // Whoever holds a long ring open for few others goes to the map.
    while (seq - begin_ >= kRingMin && seq - begin_ >= young_ * kSparse) {
      old_.emplace_hint(old_.end(), begin_, *std::move(CellOf(begin_)));
      CellOf(begin_).reset();
      --young_;
      while (begin_ < end_ && !CellOf(begin_)) ++begin_;
      if (young_ == 0) begin_ = end_ = seq;
    }
    if (seq - begin_ >= ring_.size()) Grow(std::bit_ceil(seq - begin_ + 1));
  }
  void Grow(uint64_t size) {
    std::vector<std::optional<T>> old(size < kRingMin ? kRingMin : size);
    old.swap(ring_);
    for (uint64_t seq = begin_; seq < end_; ++seq) {
      CellOf(seq) = std::move(old[seq & (old.size() - 1)]);
    }
  }

  std::vector<std::optional<T>> ring_;  // A power of two of them, or none.
  uint64_t begin_ = 0;                  // The ring's numbers: [begin_, end_), the first one alive.
  uint64_t end_ = 0;
  size_t young_ = 0;                    // Alive in the ring.
  std::map<uint64_t, T> old_;           // All below begin_.
  size_t size_ = 0;
};

}  // namespace lockstep
