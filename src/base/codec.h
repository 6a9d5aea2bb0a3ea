// How values become bytes: on disk, on the bus, in the log. Little-endian fixed integers, LEB128
// varints, strings with a varint length in front. No padding, no alignment, one encoding per value.
//
// A Reader never trusts its input: it fails once and for good (`ok()` turns false, every later read
// gives zero or empty), and a length is compared with what is left before anything is allocated.
#pragma once

#include <cstring>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep {

class Writer {
 public:
  explicit Writer(Bytes* out) : out_(out) {}

  void U8(uint8_t v) { out_->push_back(static_cast<char>(v)); }
  void U32(uint32_t v) { Fixed(v); }
  void U64(uint64_t v) { Fixed(v); }
  void Bool(bool v) { U8(v ? 1 : 0); }
  void Varint(uint64_t v) {
    char raw[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) raw[n++] = static_cast<char>(v | 0x80);
    raw[n++] = static_cast<char>(v);
    out_->append(raw, n);
  }
  // Zigzag: small negatives stay small.
  void Signed(int64_t v) {
    Varint((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63));
  }
  void String(BytesView v) {
    Varint(v.size());
    out_->append(v);
  }
  void Raw(BytesView v) { out_->append(v); }
  template <class Tag>
  void Put(Id<Tag> id) {
    Varint(id.value);
  }
  void Put(ClusterTime t) { Signed(t.ms); }
  void Put(const RequestId& id) {
    Put(id.origin);
    Varint(id.incarnation);
    Varint(id.seq);
  }

 private:
  template <class T>
  void Fixed(T v) {
    char raw[sizeof v];
    for (size_t i = 0; i < sizeof v; ++i) raw[i] = static_cast<char>(v >> (8 * i));
    out_->append(raw, sizeof v);
  }
  Bytes* out_;
};

class Reader {
 public:
  explicit Reader(BytesView in) : in_(in) {}

  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }  // All read, and nothing left over.
  size_t left() const { return in_.size(); }
  void Fail() {
    ok_ = false;
    in_ = {};
  }

  uint8_t U8() {
    if (in_.empty()) return Fail(), uint8_t{0};
    const auto v = static_cast<uint8_t>(in_[0]);
    in_.remove_prefix(1);
    return v;
  }
  uint32_t U32() { return Fixed<uint32_t>(); }
  uint64_t U64() { return Fixed<uint64_t>(); }
  bool Bool() {
    const uint8_t v = U8();
    if (v > 1) Fail();
    return v == 1;
  }
  uint64_t Varint() {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = U8();
      v |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        // The last byte must not be a zero that a shorter encoding would leave out, nor overflow.
        if ((byte == 0 && shift > 0) || (shift == 63 && byte > 1)) Fail();
        return ok_ ? v : 0;
      }
    }
    return Fail(), uint64_t{0};
  }
  int64_t Signed() {
    const uint64_t v = Varint();
    return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
  }
  // Borrows from the input.
  BytesView String() { return Raw(Varint()); }
  BytesView Raw(uint64_t size) {
    if (size > in_.size()) return Fail(), BytesView();
    const BytesView v = in_.substr(0, size);
    in_.remove_prefix(size);
    return v;
  }
  // A count of elements that follow, each at least `element_bytes_min` long: so a count can never
  // ask for more memory than the input could fill.
  size_t Count(size_t element_bytes_min = 1) {
    const uint64_t n = Varint();
    if (n > in_.size() / element_bytes_min) return Fail(), size_t{0};
    return n;
  }
  // A number that counts up by one. None comes near the maximum by itself; one beyond it is damage,
  // or a lie that would let the next one overflow.
  static constexpr uint64_t kCountMax = uint64_t{1} << 62;
  template <class Id>
  Id Get() {
    const uint64_t value = Varint();
    if (value > kCountMax) return Fail(), Id{};
    return Id{value};
  }
  ClusterTime GetTime() { return {Signed()}; }
  RequestId GetRequestId() {
    RequestId id;
    id.origin = Get<NodeId>();
    id.incarnation = Varint();
    id.seq = Varint();
    return id;
  }

 private:
  template <class T>
  T Fixed() {
    const BytesView raw = Raw(sizeof(T));
    T v = 0;
    for (size_t i = 0; i < raw.size(); ++i) {
      v |= static_cast<T>(static_cast<T>(static_cast<uint8_t>(raw[i])) << (8 * i));
    }
    return v;
  }
  BytesView in_;
  bool ok_ = true;
};

}  // namespace lockstep
