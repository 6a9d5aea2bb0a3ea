// Records by number. The number of a new record is the smallest that is free, so it follows from
// which numbers are in use: equal histories give equal numbers on every node, and a snapshot that
// holds the numbers in use holds all there is to know.
//
// Records lie in chunks and never move; a chunk that is empty goes back to the allocator, but for
// one, so that a record that comes and goes costs no allocation.
#pragma once

#include <array>
#include <bit>
#include <bitset>
#include <compare>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/base/check.h"

namespace lockstep {

// The number of a T. Slots of different records do not compare or assign.
template <class T>
struct Slot {
  uint32_t value = UINT32_MAX;
  bool valid() const { return value != UINT32_MAX; }
  auto operator<=>(const Slot&) const = default;
};

// Numbers of which the smallest is taken: a bit each, and on each further level a bit for every
// word below that is not zero.
class FreeNumbers {
 public:
  bool empty() const { return levels_.empty() || levels_.back().front() == 0; }

  void Add(uint32_t number) {
    size_t at = number;
    for (size_t level = 0;; ++level) {
      if (level == levels_.size()) {  // Its first bit is for what the level below has begun with.
        levels_.emplace_back(1, level > 0 && levels_[level - 1].front() != 0 ? 1 : 0);
      }
      std::vector<uint64_t>& words = levels_[level];
      if (at / 64 >= words.size()) words.resize(at / 64 + 1);
      words[at / 64] |= uint64_t{1} << at % 64;
      at /= 64;
      if (words.size() == 1) return;
    }
  }

  uint32_t TakeSmallest() {
    size_t at = 0;
    for (size_t level = levels_.size(); level-- > 0;) {
      at = at * 64 + static_cast<size_t>(std::countr_zero(levels_[level][at]));
    }
    size_t gone = at;
    for (std::vector<uint64_t>& words : levels_) {
      words[gone / 64] &= ~(uint64_t{1} << gone % 64);
      if (words[gone / 64] != 0) break;
      gone /= 64;
    }
    return static_cast<uint32_t>(at);
  }

 private:
  std::vector<std::vector<uint64_t>> levels_;  // The last one has one word.
};

template <class T>
class Slab {
 public:
  Slot<T> Add() {
    const Slot<T> slot = TakeFree();
    Occupy(slot);
    return slot;
  }

  // For loading: slots in ascending order. Call FillGaps once after the last.
  void AddAt(Slot<T> slot) {
    CHECK(slot.value >= end_ && slot.valid());
    end_ = slot.value + 1;
    Occupy(slot);
  }
  void FillGaps() {
    for (uint32_t i = 0; i < end_; ++i) {
      if (!live(Slot<T>{i})) free_.Add(i);
    }
  }

  void Remove(Slot<T> slot) {
    Chunk& chunk = ChunkOf(slot);
    CHECK(chunk.live[slot.value % kChunk]);
    chunk.live[slot.value % kChunk] = false;
    chunk.records[slot.value % kChunk] = T();
    free_.Add(slot.value);
    --size_;
    if (--chunk.count == 0) spare_ = std::move(chunks_[slot.value / kChunk]);
  }

  T& operator[](Slot<T> slot) { return ChunkOf(slot).records[slot.value % kChunk]; }
  const T& operator[](Slot<T> slot) const { return ChunkOf(slot).records[slot.value % kChunk]; }

  bool live(Slot<T> slot) const {
    const size_t chunk = slot.value / kChunk;
    return chunk < chunks_.size() && chunks_[chunk] != nullptr &&
           chunks_[chunk]->live[slot.value % kChunk];
  }
  // The first live slot at or after `from`; invalid if there is none.
  Slot<T> FirstFrom(uint32_t from) const {
    for (uint32_t i = from; i < end_; ++i) {
      if (i % kChunk == 0 && chunks_[i / kChunk] == nullptr) {
        i += kChunk - 1;
      } else if (live(Slot<T>{i})) {
        return Slot<T>{i};
      }
    }
    return Slot<T>();
  }
  Slot<T> first() const { return FirstFrom(0); }
  Slot<T> Next(Slot<T> slot) const { return FirstFrom(slot.value + 1); }
  size_t size() const { return size_; }

 private:
  static constexpr uint32_t kChunk = 128;
  struct Chunk {
    std::array<T, kChunk> records{};
    std::bitset<kChunk> live;
    uint32_t count = 0;
  };

  Slot<T> TakeFree() {
    if (free_.empty()) return Slot<T>{end_++};
    return Slot<T>{free_.TakeSmallest()};
  }
  void Occupy(Slot<T> slot) {
    const size_t at = slot.value / kChunk;
    if (at >= chunks_.size()) chunks_.resize(at + 1);
    if (chunks_[at] == nullptr && spare_ != nullptr) chunks_[at] = std::move(spare_);
    if (chunks_[at] == nullptr) chunks_[at] = std::make_unique<Chunk>();
    chunks_[at]->live[slot.value % kChunk] = true;
    ++chunks_[at]->count;
    ++size_;
  }
  Chunk& ChunkOf(Slot<T> slot) const {
    CHECK(live(slot));
    return *chunks_[slot.value / kChunk];
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::unique_ptr<Chunk> spare_;  // Nothing lives in it.
  FreeNumbers free_;  // All below end_.
  uint32_t end_ = 0;
  size_t size_ = 0;
};

}  // namespace lockstep
