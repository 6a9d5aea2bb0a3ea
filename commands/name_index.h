// From a name to the number of its record. Keeps no names: the records do, and `name_of` finds
// them.
//
// Open addressing with linear probing (Knuth, TAOCP 3, 6.4, algorithms L and R): eight bytes a
// cell. Under the keyed hash, so that clients who choose the names cannot choose collisions; its
// order differs from node to node and is told to nobody.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/base/hash.h"

namespace lockstep {

// A name in 24 bytes if it has at most 23, else in an allocation of its own. Most names are short,
// and lie beside what they name: looking at them costs no further miss of the cache.
class PackedName {
 public:
  PackedName() = default;
  explicit PackedName(BytesView name) {
    CHECK(name.size() <= UINT16_MAX);
    if (name.size() <= kInlineMax) {
      std::memcpy(bytes_.data(), name.data(), name.size());
      bytes_.back() = static_cast<char>(name.size());
      return;
    }
    char* const far = new char[name.size()];
    std::memcpy(far, name.data(), name.size());
    const auto size = static_cast<uint16_t>(name.size());
    std::memcpy(bytes_.data(), &far, sizeof far);
    std::memcpy(bytes_.data() + sizeof far, &size, sizeof size);
    bytes_.back() = kFar;
  }
  PackedName(PackedName&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  PackedName& operator=(PackedName&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~PackedName() {
    if (bytes_.back() == kFar) delete[] Far();
  }

  BytesView view() const {
    if (bytes_.back() != kFar) return {bytes_.data(), static_cast<size_t>(bytes_.back())};
    uint16_t size = 0;
    std::memcpy(&size, bytes_.data() + sizeof(char*), sizeof size);
    return {Far(), size};
  }
  // What it has allocated beside itself.
  size_t far_bytes() const { return bytes_.back() == kFar ? view().size() : 0; }

 private:
  static constexpr size_t kInlineMax = 23;
  static constexpr char kFar = 24;
  char* Far() const {
    char* far = nullptr;
    std::memcpy(&far, bytes_.data(), sizeof far);
    return far;
  }

  std::array<char, 24> bytes_{};  // The last one: the size, or kFar.
};

class NameIndex {
 public:
  static constexpr uint32_t kAbsent = UINT32_MAX;

  template <class NameOf>
  uint32_t Find(BytesView name, const NameOf& name_of) const {
    if (cells_.empty()) return kAbsent;
    const uint32_t hash = HashOf(name);
    for (size_t i = hash & mask_; cells_[i].number != kAbsent; i = (i + 1) & mask_) {
      if (cells_[i].hash == hash && name_of(cells_[i].number) == name) return cells_[i].number;
    }
    return kAbsent;
  }

  // `name` must not be there yet.
  void Add(BytesView name, uint32_t number) {
    if ((size_ + 1) * 4 > cells_.size() * 3) Resize(cells_.empty() ? 16 : cells_.size() * 2);
    Place({HashOf(name), number});
    ++size_;
  }

  void Remove(BytesView name, uint32_t number) {
    size_t hole = HashOf(name) & mask_;
    while (cells_[hole].number != number) {
      CHECK(cells_[hole].number != kAbsent);
      hole = (hole + 1) & mask_;
    }
    // Whatever lies behind the hole and may lie in it moves up, so that no search stops too soon.
    for (size_t i = (hole + 1) & mask_; cells_[i].number != kAbsent; i = (i + 1) & mask_) {
      const size_t home = cells_[i].hash & mask_;
      if (((i - home) & mask_) >= ((i - hole) & mask_)) {
        cells_[hole] = cells_[i];
        hole = i;
      }
    }
    cells_[hole] = Cell();
    --size_;
    if (cells_.size() > 1024 && size_ * 8 < cells_.size()) Resize(cells_.size() / 2);
  }

  size_t size() const { return size_; }
  // Of all records, ascending.
  std::vector<uint32_t> Numbers() const {
    std::vector<uint32_t> numbers;
    numbers.reserve(size_);
    for (const Cell& cell : cells_) {
      if (cell.number != kAbsent) numbers.push_back(cell.number);
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }

 private:
  struct Cell {
    uint32_t hash = 0;
    uint32_t number = kAbsent;
  };

  static uint32_t HashOf(BytesView name) { return static_cast<uint32_t>(KeyedHash(name)); }
  void Place(Cell cell) {
    size_t i = cell.hash & mask_;
    while (cells_[i].number != kAbsent) i = (i + 1) & mask_;
    cells_[i] = cell;
  }
  void Resize(size_t cells) {
    std::vector<Cell> old(cells);
    old.swap(cells_);
    mask_ = cells_.size() - 1;
    for (const Cell& cell : old) {
      if (cell.number != kAbsent) Place(cell);
    }
  }

  std::vector<Cell> cells_;  // A power of two of them.
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace lockstep
