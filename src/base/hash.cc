#include "src/base/hash.h"

#include <array>
#include <bit>

#include <xxhash.h>

namespace lockstep {
namespace {

uint64_t g_key0 = 0x6C6F636B73746570ULL;
uint64_t g_key1 = 0x0706050403020100ULL;

struct SipState {
  uint64_t v0, v1, v2, v3;
  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
};

constexpr std::array<uint16_t, 256> MakeCrc16Table() {
  std::array<uint16_t, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    unsigned crc = i << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021U : 0U);
    table[i] = static_cast<uint16_t>(crc);
  }
  return table;
}
constexpr auto kCrc16Table = MakeCrc16Table();

// Of a byte that so many others follow: eight are looked up at once, and not one after the other
// (Kounavis & Berry, "Slicing-by-8", 2005).
constexpr std::array<std::array<uint16_t, 256>, 8> MakeCrc16Slices() {
  std::array<std::array<uint16_t, 256>, 8> slices{};
  slices[0] = kCrc16Table;
  for (size_t follow = 1; follow < 8; ++follow) {
    for (size_t i = 0; i < 256; ++i) {
      const unsigned crc = slices[follow - 1][i];
      slices[follow][i] = static_cast<uint16_t>((crc << 8) ^ kCrc16Table[crc >> 8]);
    }
  }
  return slices;
}
constexpr auto kCrc16Slices = MakeCrc16Slices();

}  // namespace

uint64_t Hash64(BytesView data, uint64_t seed) { return XXH64(data.data(), data.size(), seed); }

void SetHashKey(uint64_t k0, uint64_t k1) {
  g_key0 = k0;
  g_key1 = k1;
}

uint64_t KeyedHash(BytesView data) {
  SipState s{g_key0 ^ 0x736f6d6570736575ULL, g_key1 ^ 0x646f72616e646f6dULL,
             g_key0 ^ 0x6c7967656e657261ULL, g_key1 ^ 0x7465646279746573ULL};
  const char* at = data.data();
  const char* const words_end = at + data.size() / 8 * 8;
  for (; at != words_end; at += 8) {
    uint64_t word = 0;
    __builtin_memcpy(&word, at, 8);
    s.v3 ^= word;
    s.Round();
    s.v0 ^= word;
  }
  uint64_t last = static_cast<uint64_t>(data.size()) << 56;
  for (size_t i = 0; i < data.size() % 8; ++i) {
    last |= static_cast<uint64_t>(static_cast<uint8_t>(at[i])) << (8 * i);
  }
  s.v3 ^= last;
  s.Round();
  s.v0 ^= last;
  s.v2 ^= 0xff;
  s.Round();
  s.Round();
  s.Round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

namespace {

// Whether one of the eight bytes is '{' (Mycroft's test for a zero byte: exact as a yes or no).
bool HasBrace(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101ULL;
  const uint64_t zero_at_brace = word ^ (kOnes * '{');
  return ((zero_at_brace - kOnes) & ~zero_at_brace & (kOnes * 0x80)) != 0;
}

unsigned Crc16(BytesView key) {
  unsigned crc = 0;
  const auto* bytes = reinterpret_cast<const uint8_t*>(key.data());
  const uint8_t* const end = bytes + key.size();
  for (; end - bytes >= 8; bytes += 8) {
    crc = kCrc16Slices[7][bytes[0] ^ (crc >> 8)] ^ kCrc16Slices[6][bytes[1] ^ (crc & 0xff)] ^
          kCrc16Slices[5][bytes[2]] ^ kCrc16Slices[4][bytes[3]] ^ kCrc16Slices[3][bytes[4]] ^
          kCrc16Slices[2][bytes[5]] ^ kCrc16Slices[1][bytes[6]] ^ kCrc16Slices[0][bytes[7]];
  }
  for (; bytes != end; ++bytes) crc = ((crc << 8) & 0xffff) ^ kCrc16Table[(crc >> 8) ^ *bytes];
  return crc;
}

bool MayHaveTag(BytesView key) {
  const char* at = key.data();
  const char* const end = at + key.size();
  for (; end - at >= 8; at += 8) {
    uint64_t word = 0;
    __builtin_memcpy(&word, at, 8);
    if (HasBrace(word)) return true;
  }
  for (; at != end; ++at) {
    if (*at == '{') return true;
  }
  return false;
}

}  // namespace

uint16_t SlotOf(BytesView key) {
  if (MayHaveTag(key)) {
    const size_t open = key.find('{');
    const size_t close = key.find('}', open + 1);
    if (close != BytesView::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return static_cast<uint16_t>(Crc16(key) % kSlots);
}

}  // namespace lockstep
