// Bytes as they come from a socket: written at the end, read from the front.
//
// Always true: bytes that are not read yet are contiguous; a byte is moved at most a constant
// number of times however the input is cut up (growth doubles, and compaction waits until what is
// kept is no more than what has gone); no byte is ever zero-filled first.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "src/base/bytes.h"
#include "src/base/check.h"

namespace lockstep {

class ReceiveBuffer {
 public:
  // What an idle connection may keep.
  static constexpr size_t kIdleBytesMax = size_t{64} * 1024;

  // The unread bytes. Reserve, Append, Consume and Release end its life.
  BytesView view() const { return {data_.get() + start_, end_ - start_}; }
  // The same with n more, which have been written into the room and are not committed yet.
  BytesView ViewWith(size_t n) const {
    CHECK(n <= capacity_ - end_);
    return {data_.get() + start_, end_ - start_ + n};
  }
  size_t size() const { return end_ - start_; }
  bool empty() const { return start_ == end_; }
  size_t capacity() const { return capacity_; }

  // Room for n bytes after the unread ones; write there, then Commit what was written.
  char* Reserve(size_t n) {
    if (n > capacity_ - end_) MakeRoom(n);
    return data_.get() + end_;
  }
  void Commit(size_t n) {
    CHECK(n <= capacity_ - end_);
    end_ += n;
  }
  void Append(BytesView data) {
    if (data.empty()) return;
    std::memcpy(Reserve(data.size()), data.data(), data.size());
    Commit(data.size());
  }

  // The first n unread bytes are done with.
  void Consume(size_t n) {
    CHECK(n <= size());
    start_ += n;
    if (start_ < end_) return;
    start_ = end_ = 0;
    if (capacity_ > kIdleBytesMax) Release();
  }

  // Gives the memory of an empty buffer back.
  void Release() {
    if (!empty()) return;
    data_.reset();
    start_ = end_ = capacity_ = 0;
  }

 private:
  void MakeRoom(size_t n) {
    const size_t kept = size();
    CHECK(n <= SIZE_MAX / 2 - kept);
    // Moving pays when it gives enough room and costs no more than the bytes that have gone.
    if (kept <= start_ && n <= capacity_ - kept) {
      if (kept > 0) std::memmove(data_.get(), data_.get() + start_, kept);
    } else {
      const size_t doubled = std::min(capacity_, SIZE_MAX / 4) * 2;
      const size_t capacity = std::max(kept + n, std::min(doubled, kept * 2 + n));
      auto grown = std::make_unique_for_overwrite<char[]>(capacity);
      if (kept > 0) std::memcpy(grown.get(), data_.get() + start_, kept);
      data_ = std::move(grown);
      capacity_ = capacity;
    }
    start_ = 0;
    end_ = kept;
  }

  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  size_t start_ = 0;  // Bytes before it have been read.
  size_t end_ = 0;    // Bytes from it on are room.
};

}  // namespace lockstep
