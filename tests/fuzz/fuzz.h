// What the fuzzers share: an input as a row of choices, a strict reader of replies, and what each
// says of itself.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/check.h"
#include "src/base/limits.h"

namespace lockstep::fuzz {

// The input, taken from its front piece by piece. Once it is used up every choice is 0.
class Choices {
 public:
  explicit Choices(BytesView in) : in_(in) {}

  bool more() const { return !in_.empty(); }
  uint8_t Byte() {
    if (in_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(in_[0]);
    in_.remove_prefix(1);
    return byte;
  }
  // In [0, n), n at most 256.
  uint64_t Below(uint64_t n) { return Byte() % n; }
  bool Flag() { return (Byte() & 1) != 0; }
  // Mostly small; every 64-bit number can be had.
  uint64_t Number() {
    const uint8_t byte = Byte();
    if (byte < 248) return byte;
    uint64_t number = 0;
    for (int i = byte - 247; i > 0; --i) number = number << 8 | Byte();
    return number;
  }
  BytesView Take(size_t size) {
    const BytesView taken = in_.substr(0, std::min(size, in_.size()));
    in_.remove_prefix(taken.size());
    return taken;
  }
  BytesView Some() { return Take(static_cast<size_t>(Number())); }
  BytesView Rest() { return Take(in_.size()); }

 private:
  BytesView in_;
};

// Takes one reply off the front of `in`, as a strict client would. False: there is none.
inline bool TakeReply(BytesView* in, size_t depth = 0) {
  const size_t end = in->find("\r\n");
  if (end == BytesView::npos || end == 0 || depth > kReplyDepthMax + 1) return false;
  const char type = in->front();
  const BytesView line = in->substr(1, end - 1);
  in->remove_prefix(end + 2);
  if (line.find_first_of("\r\n") != BytesView::npos) return false;
  int64_t n = 0;
  switch (type) {
    case '+': case '-': case ',': return true;
    case '_': return line.empty();
    case '#': return line == "t" || line == "f";
    case ':': return ParseInt64(line, &n);
    default: break;
  }
  if (!ParseInt64(line, &n)) return false;
  if (n == -1) return type == '$' || type == '*';
  if (type == '$' || type == '=') {
    const auto size = static_cast<size_t>(n);
    if (n < 0 || in->size() < size + 2 || in->substr(size, 2) != "\r\n") return false;
    in->remove_prefix(size + 2);
    return true;
  }
  if (BytesView("*%~>").find(type) == BytesView::npos) return false;
  for (int64_t i = 0; i < (type == '%' ? 2 * n : n); ++i) {
    if (!TakeReply(in, depth + 1)) return false;
  }
  return true;
}

// What each fuzzer defines and tests/fuzz/entry.cc gives to libFuzzer. Where there are several
// properties the first byte of an input chooses one, and the rest is what it looks at.
using Property = void (*)(BytesView in);
std::vector<Property> Properties();
// What our own encoders make, to begin with. A mutation of something whole gets further than noise
// does.
std::vector<Bytes> Seeds();

}  // namespace lockstep::fuzz
