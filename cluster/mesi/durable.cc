#include "cluster/mesi/durable.h"

#include "src/base/limits.h"

namespace lockstep::mesi {
namespace {

constexpr size_t kWritesMax = 1024;  // What one command works on.

enum Flag : uint8_t { kPresent = 1 << 0, kKeepsTtl = 1 << 1, kHasTtl = 1 << 2, kFlagsAll = 7 };

}  // namespace

void EncodeDurableWrites(const std::vector<DurableWrite>& writes, Writer* out) {
  out->Varint(writes.size());
  for (const DurableWrite& write : writes) {
    out->String(write.key);
    out->U8(static_cast<uint8_t>((write.present ? kPresent : 0) |
                                 (write.keeps_ttl ? kKeepsTtl : 0) |
                                 (write.ttl_us != kNoTtl ? kHasTtl : 0)));
    out->String(write.value);
    if (write.ttl_us != kNoTtl) out->Varint(static_cast<uint64_t>(write.ttl_us));
    out->Varint(write.fence);
  }
}

bool DecodeDurableWrites(Reader* in, std::vector<DurableWrite>* out) {
  const size_t n = in->Count(4);
  if (n > kWritesMax) in->Fail();
  for (size_t i = 0; i < n && in->ok(); ++i) {
    DurableWrite write;
    write.key = Bytes(in->String());
    const uint8_t flags = in->U8();
    if (flags > kFlagsAll || write.key.size() > kNameBytesMax) in->Fail();
    write.present = (flags & kPresent) != 0;
    write.keeps_ttl = (flags & kKeepsTtl) != 0;
    write.value = Bytes(in->String());
    if (write.value.size() > kDurableValueBytesMax) in->Fail();
    if ((flags & kHasTtl) != 0) {
      write.ttl_us = static_cast<int64_t>(in->Varint());
      if (write.ttl_us < 0 || write.ttl_us > kDurableTtlUsMax) in->Fail();
    }
    write.fence = in->Varint();
    out->push_back(std::move(write));
  }
  return in->ok();
}

}  // namespace lockstep::mesi
