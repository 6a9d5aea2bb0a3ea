#include "cluster/mesi/messages.h"

#include <algorithm>

#include "cluster/mesi/line_table.h"
#include "src/base/check.h"
#include "src/base/limits.h"

namespace lockstep::mesi {
namespace {

enum Flag : uint8_t {
  kHave = 1 << 0,
  kKeeps = 1 << 1,
  kHasPayload = 1 << 2,
  kPresent = 1 << 3,
  kHasTtl = 1 << 4,
  kTtlIsNew = 1 << 5,
  kIsDurable = 1 << 6,
  kPushes = 1 << 7,
};

constexpr int64_t kEndsUsMax = int64_t{3} << 61;

uint8_t FlagsOf(const Message& message) {
  int flags = (message.have ? kHave : 0) | (message.keeps ? kKeeps : 0);
  if (message.payload) {
    const Payload& payload = *message.payload;
    flags |= kHasPayload | (payload.present ? kPresent : 0) |
             (payload.ends != kNeverMono ? kHasTtl : 0) |
             (payload.ttl_is_new ? kTtlIsNew : 0) | (payload.durable ? kIsDurable : 0) |
             (payload.pushes ? kPushes : 0);
  }
  return static_cast<uint8_t>(flags);
}

bool HasWords(MessageType type) {
  return type == MessageType::kShip || type == MessageType::kShipReply;
}

void EncodeVersion(const Version& version, Writer* out) {
  out->Varint(version.epoch);
  out->Varint(version.gen);
  out->Varint(version.seq);
}

Version DecodeVersion(Reader* in) {
  Version version;
  version.epoch = in->Varint();
  version.gen = in->Varint();
  version.seq = in->Varint();
  if (version.epoch > UINT32_MAX || version.gen > kGenMax || version.seq > kSeqMax) in->Fail();
  return version;
}

void DecodePayload(Reader* in, int flags, Payload* out) {
  out->version = DecodeVersion(in);
  out->present = (flags & kPresent) != 0;
  out->ttl_is_new = (flags & kTtlIsNew) != 0;
  out->durable = (flags & kIsDurable) != 0;
  out->pushes = (flags & kPushes) != 0;
  if (out->present) out->value = in->String();
  if (out->value.size() > kLineValueBytesMax) in->Fail();
  if ((flags & kHasTtl) != 0) {
    out->ends = {in->Signed()};
    if (out->ends.us < -kEndsUsMax || out->ends.us > kEndsUsMax) in->Fail();
  }
}

static_assert(kTouchBytesMax >= kNameBytesMax);  // No key is too long to be told of.

void EncodeTouches(const std::vector<Bytes>& keys, Writer* out) {
  CHECK(keys.size() <= kTouchesMax);
  out->Varint(keys.size());
  size_t bytes = 0;
  for (const Bytes& key : keys) {
    bytes += key.size();
    out->String(key);
  }
  CHECK(bytes <= kTouchBytesMax);
}

std::vector<Bytes> DecodeTouches(Reader* in) {
  std::vector<Bytes> keys;
  const size_t n = in->Count();
  if (n > kTouchesMax) in->Fail();
  size_t bytes = 0;
  for (size_t i = 0; i < n && in->ok(); ++i) {
    const BytesView key = in->String();
    bytes += key.size();
    if (bytes > kTouchBytesMax) in->Fail();
    if (in->ok()) keys.emplace_back(key);
  }
  return keys;
}

void EncodeAsk(const LeaseAsk& ask, Writer* out) {
  out->Put(ask.shard);
  out->Put(ask.epoch);
  ask.session.Encode(out);
  out->Signed(ask.sent.us);
  out->Varint(ask.received);
  out->Varint(ask.said);
  EncodeTouches(ask.touches, out);
}

LeaseAsk DecodeAsk(Reader* in) {
  LeaseAsk ask;
  ask.shard = in->Get<GroupId>();
  ask.epoch = in->Get<Term>();
  ask.session = SessionId::Decode(in);
  ask.sent = {in->Signed()};
  ask.received = in->Varint();
  ask.said = in->Varint();
  ask.touches = DecodeTouches(in);
  return ask;
}

void EncodeGive(const LeaseGive& give, Writer* out) {
  out->Put(give.shard);
  out->Put(give.epoch);
  give.session.Encode(out);
  out->U8(static_cast<uint8_t>(give.verdict));
  out->Signed(give.sent.us);
  out->Signed(give.length_us);
  out->Varint(give.received);
  out->Varint(give.said);
  out->Bool(give.wants_touches);
}

LeaseGive DecodeGive(Reader* in) {
  LeaseGive give;
  give.shard = in->Get<GroupId>();
  give.epoch = in->Get<Term>();
  give.session = SessionId::Decode(in);
  const uint8_t verdict = in->U8();
  if (verdict > static_cast<uint8_t>(LeaseGive::Verdict::kOver)) in->Fail();
  give.verdict = static_cast<LeaseGive::Verdict>(verdict);
  give.sent = {in->Signed()};
  give.length_us = in->Signed();
  give.received = in->Varint();
  give.said = in->Varint();
  give.wants_touches = in->Bool();
  return give;
}

}  // namespace

void EncodeMessage(const Message& message, Writer* out) {
  out->U8(static_cast<uint8_t>(message.type));
  out->U8(FlagsOf(message));
  out->String(message.key);
  out->Varint(message.gen);
  if (message.type == MessageType::kReport) {
    out->U8(static_cast<uint8_t>(message.report));
    out->Put(message.owner);
    out->Put(message.epoch);
  }
  if (message.type == MessageType::kCommit) out->Varint(message.fence);
  if (message.type == MessageType::kShip) out->Varint(message.round);
  if (HasWords(message.type)) out->String(message.words);
  if (!message.payload) return;
  EncodeVersion(message.payload->version, out);
  if (message.payload->present) out->String(message.payload->value);
  const MonoTime ends = message.payload->ends;
  if (ends != kNeverMono) out->Signed(std::min(ends.us, kEndsUsMax));
}

bool DecodeMessage(Reader* in, Message* out) {
  const uint8_t type = in->U8();
  if (type < static_cast<uint8_t>(kMessageTypeFirst) ||
      type > static_cast<uint8_t>(kMessageTypeLast)) {
    in->Fail();
  }
  out->type = static_cast<MessageType>(type);
  const uint8_t flags = in->U8();
  out->have = (flags & kHave) != 0;
  out->keeps = (flags & kKeeps) != 0;
  out->key = in->String();
  if (out->key.size() > kNameBytesMax) in->Fail();
  out->gen = in->Varint();
  if (out->gen > kGenMax) in->Fail();
  if (in->ok() && out->type == MessageType::kReport) {
    const uint8_t kind = in->U8();
    if (kind > static_cast<uint8_t>(ReportKind::kWasHome)) in->Fail();
    out->report = static_cast<ReportKind>(kind);
    out->owner = in->Get<NodeId>();
    out->epoch = in->Get<Term>();
  }
  out->fence = out->type == MessageType::kCommit ? in->Varint() : 0;
  out->round = out->type == MessageType::kShip ? in->Varint() : 0;
  out->words = HasWords(out->type) ? in->String() : BytesView();
  out->payload.reset();
  if ((flags & kHasPayload) != 0) DecodePayload(in, flags, &out->payload.emplace());
  return in->ok();
}

void EncodeLeases(const Leases& leases, Writer* out) {
  out->Varint(leases.asks.size());
  for (const LeaseAsk& ask : leases.asks) EncodeAsk(ask, out);
  out->Varint(leases.gives.size());
  for (const LeaseGive& give : leases.gives) EncodeGive(give, out);
  out->Varint(leases.fences.size());
  for (const Fence& fence : leases.fences) {
    out->Put(fence.shard);
    out->Put(fence.epoch);
  }
}

bool DecodeLeases(Reader* in, Leases* out) {
  for (size_t n = in->Count(8); n > 0 && in->ok(); --n) out->asks.push_back(DecodeAsk(in));
  for (size_t n = in->Count(10); n > 0 && in->ok(); --n) out->gives.push_back(DecodeGive(in));
  for (size_t n = in->Count(2); n > 0 && in->ok(); --n) {
    Fence fence;
    fence.shard = in->Get<GroupId>();
    fence.epoch = in->Get<Term>();
    out->fences.push_back(fence);
  }
  return in->done();
}

const char* NameOf(MessageType type) {
  static constexpr const char* kNames[] = {
      "GetS", "GetX", "WB", "InvAck", "RecallAck", "Report", "ReportDone",
      "Commit", "Audit", "Ship", "Data.S", "Data.X", "UpgradeOK", "Inv", "Recall.S", "Recall.X",
      "WbAck", "Committed", "Verdict", "ShipReply"};
  return kNames[static_cast<size_t>(type) - 1];
}

}  // namespace lockstep::mesi
