// A queue in one piece of memory that is used again and again: what comes and goes costs no
// allocation. An empty one gives back what it has beyond kKept places.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "src/base/check.h"

namespace lockstep {

template <class T>
class Ring {
 public:
  static constexpr size_t kKept = 16;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  // From the front, 0 first.
  T& operator[](size_t i) { return cells_[Place(i)]; }
  const T& operator[](size_t i) const { return cells_[Place(i)]; }
  T& front() { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }

  void push_back(T value) {
    if (size_ == cells_.size()) Grow();
    cells_[(first_ + size_) & (cells_.size() - 1)] = std::move(value);
    ++size_;
  }
  void pop_front() {
    front() = T();
    first_ = (first_ + 1) & (cells_.size() - 1);
    if (--size_ == 0 && cells_.size() > kKept) *this = Ring();
  }

 private:
  size_t Place(size_t i) const {
    CHECK(i < size_);
    return (first_ + i) & (cells_.size() - 1);
  }
  void Grow() {
    std::vector<T> grown(cells_.empty() ? 2 : cells_.size() * 2);
    for (size_t i = 0; i < size_; ++i) grown[i] = std::move((*this)[i]);
    cells_ = std::move(grown);
    first_ = 0;
  }

  std::vector<T> cells_;  // A power of two of them, or none.
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace lockstep
