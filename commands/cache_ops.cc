#include "commands/cache_ops.h"

#include <utility>

#include "commands/op_codec.h"
#include "src/base/check.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

constexpr int kShardBits = 10;
constexpr int kPlaceBits = kCacheCursorBits - kCacheCursorZeros;
static_assert(kShardsMax <= uint64_t{1} << kShardBits);
static_assert(kShardBits + kHomeTagBits + kPlaceBits <= 53);

constexpr uint64_t Low(uint64_t value, int bits) { return value & ((uint64_t{1} << bits) - 1); }

Reply Number(uint64_t value) { return Reply::Integer(static_cast<int64_t>(value)); }

}  // namespace

Bytes CacheQuery::Encode() const {
  Bytes out;
  Writer writer(&out);
  writer.U8(kCacheQueryTag);
  writer.U8(static_cast<uint8_t>(kind));
  writer.Varint(cursor);
  writer.Varint(count);
  writer.String(name);
  writer.Varint(slot ? uint64_t{*slot} + 1 : 0);
  writer.Varint(home_tag);
  writer.Signed(since.us);
  return out;
}

std::optional<CacheQuery> DecodeCacheQuery(BytesView in) {
  Reader reader(in);
  CacheQuery query;
  if (reader.U8() != kCacheQueryTag) return std::nullopt;
  const uint8_t kind = reader.U8();
  if (kind > static_cast<uint8_t>(CacheQuery::Kind::kFlushPrefix)) return std::nullopt;
  query.kind = static_cast<CacheQuery::Kind>(kind);
  query.cursor = reader.Varint();
  query.count = ReadUpTo(&reader, UINT32_MAX);
  query.name = reader.String();
  const uint32_t slot = ReadUpTo(&reader, kSlots);
  if (slot > 0) query.slot = static_cast<uint16_t>(slot - 1);
  query.home_tag = ReadUpTo(&reader, (uint32_t{1} << kHomeTagBits) - 1);
  query.since.us = reader.Signed();
  const bool fits = query.name.size() <= kNameBytesMax && query.cursor >> kCacheCursorBits == 0;
  if (!reader.done() || !fits || query.since.us < 0) return std::nullopt;
  return query;
}

Reply CachePage::Encode() && {
  return Reply::Array({Number(again ? 1 : 0), Number(home_tag), Reply::Integer(since.us),
                       Number(next), Number(lines), std::move(body)});
}

std::optional<CachePage> DecodeCachePage(Reply reply) {
  if (reply.kind != Reply::Kind::kArray || reply.items.size() != 6) return std::nullopt;
  for (size_t i = 0; i < 5; ++i) {
    const Reply& item = reply.items[i];
    if (item.kind != Reply::Kind::kInteger || item.integer < 0) return std::nullopt;
  }
  CachePage page;
  page.again = reply.items[0].integer != 0;
  page.home_tag = static_cast<uint32_t>(Low(static_cast<uint64_t>(reply.items[1].integer),
                                            kHomeTagBits));
  page.since.us = reply.items[2].integer;
  page.next = Low(static_cast<uint64_t>(reply.items[3].integer), kCacheCursorBits);
  page.lines = static_cast<uint64_t>(reply.items[4].integer);
  page.body = std::move(reply.items[5]);
  return page;
}

bool SaysAgain(const Reply& encoded) {
  return encoded.kind == Reply::Kind::kArray && encoded.items.size() == 6 &&
         encoded.items[0].integer != 0;
}

// A table's cursor is the end of a bucket, of which there are fewer than 2^28: its lowest bits are
// the last to be used, and never are.
uint64_t PackScanPlace(const ScanPlace& place) {
  CHECK(Low(place.cursor, kCacheCursorZeros) == 0);
  const uint64_t cursor = place.cursor >> kCacheCursorZeros;
  // At the beginning of a shard any home will do.
  const uint64_t tag = cursor == 0 ? 0 : place.home_tag;
  return cursor << (kShardBits + kHomeTagBits) | tag << kShardBits | place.shard;
}

ScanPlace UnpackScanPlace(uint64_t packed) {
  ScanPlace place;
  place.shard = Low(packed, kShardBits);
  place.home_tag = static_cast<uint32_t>(Low(packed >> kShardBits, kHomeTagBits));
  const uint64_t cursor = packed >> (kShardBits + kHomeTagBits);
  place.cursor = Low(cursor, kPlaceBits) << kCacheCursorZeros;
  return place;
}

}  // namespace lockstep
