// A set of sequence numbers, in Roaring bitmaps (Lemire et al., "Roaring Bitmaps", 2018): two bytes
// a number when they are far apart, a bit when they are dense.
//
// CRoaring's own sets hold 32 bits; this is one of them for each upper half that occurs. Of its
// calls only those on single numbers are used: 0.2.66 corrupts sets through its `*_range` calls.
#pragma once

#include <roaring/roaring.h>

#include <cstdint>
#include <map>
#include <memory>

#include "src/base/seq_map.h"

namespace lockstep {

class SeqSet {
 public:
  bool empty() const { return size_ == 0; }
  uint64_t size() const { return size_; }

  bool Contains(uint64_t seq) const {
    const auto half = halves_.find(Upper(seq));
    return half != halves_.end() && roaring_bitmap_contains(half->second.get(), Lower(seq));
  }

  // False: it was there.
  bool Add(uint64_t seq) {
    Half& half = halves_[Upper(seq)];
    if (half == nullptr) half.reset(roaring_bitmap_create());
    if (!roaring_bitmap_add_checked(half.get(), Lower(seq))) return false;
    ++size_;
    return true;
  }

  // False: it was not there.
  bool Remove(uint64_t seq) {
    const auto half = halves_.find(Upper(seq));
    if (half == halves_.end()) return false;
    if (!roaring_bitmap_remove_checked(half->second.get(), Lower(seq))) return false;
    if (roaring_bitmap_is_empty(half->second.get())) halves_.erase(half);
    --size_;
    return true;
  }

  // kNoSeq: it is empty.
  uint64_t first() const {
    if (halves_.empty()) return kNoSeq;
    const auto& [upper, half] = *halves_.begin();
    return uint64_t{upper} << 32 | roaring_bitmap_minimum(half.get());
  }

  // The lowest number at or above `from`; kNoSeq: there is none.
  uint64_t FirstFrom(uint64_t from) const {
    for (auto half = halves_.lower_bound(Upper(from)); half != halves_.end(); ++half) {
      const uint32_t least = half->first == Upper(from) ? Lower(from) : 0;
      roaring_uint32_iterator_t at;
      roaring_init_iterator(half->second.get(), &at);
      if (at.has_value && roaring_move_uint32_iterator_equalorlarger(&at, least)) {
        return uint64_t{half->first} << 32 | at.current_value;
      }
    }
    return kNoSeq;
  }

  // `visit(seq)` from the lowest on; must not change the set.
  template <class Visit>
  void ForEach(const Visit& visit) const {
    for (const auto& [upper, half] : halves_) {
      roaring_uint32_iterator_t at;
      for (roaring_init_iterator(half.get(), &at); at.has_value;
           roaring_advance_uint32_iterator(&at)) {
        visit(uint64_t{upper} << 32 | at.current_value);
      }
    }
  }

 private:
  struct Free {
    void operator()(roaring_bitmap_t* set) const { roaring_bitmap_free(set); }
  };
  using Half = std::unique_ptr<roaring_bitmap_t, Free>;
  static uint32_t Upper(uint64_t seq) { return static_cast<uint32_t>(seq >> 32); }
  static uint32_t Lower(uint64_t seq) { return static_cast<uint32_t>(seq); }

  std::map<uint32_t, Half> halves_;  // None is empty.
  uint64_t size_ = 0;
};

}  // namespace lockstep
