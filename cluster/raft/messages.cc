#include "cluster/raft/messages.h"

#include "src/base/limits.h"

namespace lockstep::raft {
namespace {

// Index, term, time, kind and the length of the data: a byte each at least.
constexpr size_t kEntryBytesMin = 5;

// 285,000 years of cluster time: nothing adds up to an overflow.
constexpr int64_t kTimeMsMax = int64_t{1} << 53;

ClusterTime DecodeTime(Reader* in) {
  const ClusterTime time = in->GetTime();
  if (time.ms < 0 || time.ms > kTimeMsMax) in->Fail();
  return time;
}

void Encode(const LogId& id, Writer* out) {
  out->Put(id.term);
  out->Put(id.index);
}
LogId DecodeLogId(Reader* in) {
  LogId id;
  id.term = in->Get<Term>();
  id.index = in->Get<Index>();
  return id;
}

void Encode(const VoteRequest& m, Writer* out) {
  out->Bool(m.pre);
  out->Bool(m.transfer);
  Encode(m.last, out);
}
void Decode(Reader* in, VoteRequest* m) {
  m->pre = in->Bool();
  m->transfer = in->Bool();
  m->last = DecodeLogId(in);
}

void Encode(const VoteReply& m, Writer* out) {
  out->Bool(m.pre);
  out->Bool(m.granted);
}
void Decode(Reader* in, VoteReply* m) {
  m->pre = in->Bool();
  m->granted = in->Bool();
}

void Encode(const AppendRequest& m, Writer* out) {
  Encode(m.previous, out);
  out->Put(m.commit);
  out->Put(m.time);
  out->Varint(m.entries.size());
  for (const Entry& entry : m.entries) EncodeEntry(entry, out);
}
void Decode(Reader* in, AppendRequest* m) {
  m->previous = DecodeLogId(in);
  m->commit = in->Get<Index>();
  m->time = DecodeTime(in);
  const size_t count = in->Count(kEntryBytesMin);
  LogId before = m->previous;
  for (size_t i = 0; i < count && in->ok(); ++i) {
    Entry entry;
    if (!DecodeEntry(in, &entry)) return;
    const bool follows = entry.id.index == Next(before.index) && entry.id.term >= before.term;
    const bool time_stands = m->entries.empty() || entry.time >= m->entries.back().time;
    if (!follows || !time_stands) return in->Fail();
    before = entry.id;
    m->entries.push_back(std::move(entry));
  }
}

void Encode(const AppendReply& m, Writer* out) {
  out->Bool(m.success);
  out->Put(m.match);
  Encode(m.hint, out);
  out->Put(m.rejected);
  out->Put(m.copy);
}
void Decode(Reader* in, AppendReply* m) {
  m->success = in->Bool();
  m->match = in->Get<Index>();
  m->hint = DecodeLogId(in);
  m->rejected = in->Get<Index>();
  m->copy = in->Get<Index>();
}

void Encode(const HeartbeatRequest& m, Writer* out) {
  out->Put(m.commit);
  out->Varint(m.read_position);
  out->Put(m.time);
}
void Decode(Reader* in, HeartbeatRequest* m) {
  m->commit = in->Get<Index>();
  m->read_position = in->Varint();
  m->time = DecodeTime(in);
}

void Encode(const HeartbeatReply& m, Writer* out) {
  out->Varint(m.read_position);
  out->Put(m.copy);
}
void Decode(Reader* in, HeartbeatReply* m) {
  m->read_position = in->Varint();
  m->copy = in->Get<Index>();
}

void Encode(const SnapshotChunk& m, Writer* out) {
  Encode(m.last, out);
  out->Put(m.time);
  out->String(EncodeConfig(m.config));
  out->Varint(m.offset);
  out->Varint(m.total);
  out->U32(m.checksum);
  out->String(m.data);
}
void Decode(Reader* in, SnapshotChunk* m) {
  m->last = DecodeLogId(in);
  m->time = DecodeTime(in);
  if (!DecodeConfig(in->String(), &m->config)) return in->Fail();
  m->offset = in->Varint();
  m->total = in->Varint();
  m->checksum = in->U32();
  const BytesView data = in->String();
  const bool fits = m->total <= kSnapshotBytesMax && m->offset <= m->total &&
                    data.size() <= m->total - m->offset && data.size() <= kSnapshotChunkBytes;
  if (!fits) return in->Fail();
  m->data = data;
}

void Encode(const SnapshotReply& m, Writer* out) {
  Encode(m.last, out);
  out->Varint(m.offset);
  out->Bool(m.installed);
  out->Put(m.match);
  out->Put(m.copy);
}
void Decode(Reader* in, SnapshotReply* m) {
  m->last = DecodeLogId(in);
  m->offset = in->Varint();
  m->installed = in->Bool();
  m->match = in->Get<Index>();
  m->copy = in->Get<Index>();
}

void Encode(const TimeoutNow&, Writer*) {}
void Decode(Reader*, TimeoutNow*) {}

template <class M>
void DecodeInto(Reader* in, Body* out) {
  M message;
  Decode(in, &message);
  if (in->ok()) *out = std::move(message);
}

// In the order of Body's alternatives, which is the order of the type bytes: append only.
using Decoder = void (*)(Reader*, Body*);
constexpr Decoder kDecoders[] = {
    DecodeInto<VoteRequest>,   DecodeInto<VoteReply>,        DecodeInto<AppendRequest>,
    DecodeInto<AppendReply>,   DecodeInto<HeartbeatRequest>, DecodeInto<HeartbeatReply>,
    DecodeInto<SnapshotChunk>, DecodeInto<SnapshotReply>,    DecodeInto<TimeoutNow>,
};
constexpr const char* kTypeNames[] = {
    "vote",           "vote-reply",     "append",
    "append-reply",   "heartbeat",      "heartbeat-reply",
    "snapshot-chunk", "snapshot-reply", "timeout-now",
};
static_assert(std::size(kDecoders) == std::variant_size_v<Body>);
static_assert(std::size(kTypeNames) == std::variant_size_v<Body>);

}  // namespace

const char* TypeName(const Body& body) {
  return kTypeNames[body.index()];
}

void EncodeBody(const Body& body, Writer* out) {
  out->U8(static_cast<uint8_t>(body.index()));
  std::visit([out](const auto& message) { Encode(message, out); }, body);
}

bool DecodeBody(Reader* in, Body* out) {
  const uint8_t type = in->U8();
  if (type >= std::size(kDecoders)) in->Fail();
  if (in->ok()) kDecoders[type](in, out);
  return in->ok();
}

void EncodeEntry(const Entry& entry, Writer* out) {
  Encode(entry.id, out);
  out->Put(entry.time);
  out->U8(static_cast<uint8_t>(entry.kind));
  out->String(entry.data);
}

bool DecodeEntry(Reader* in, Entry* out) {
  out->id = DecodeLogId(in);
  out->time = DecodeTime(in);
  const uint8_t kind = in->U8();
  if (kind > static_cast<uint8_t>(EntryKind::kPulse)) in->Fail();
  out->kind = static_cast<EntryKind>(kind);
  out->data = in->String();
  // Terms and indexes begin at 1; 0/0 is what stands before the first entry.
  if (out->id.term == Term{0} || out->id.index == Index{0}) in->Fail();
  if (in->ok() && out->kind == EntryKind::kConfig) {
    Config config;
    const bool decides = DecodeConfig(out->data, &config) && !config.voters.empty();
    if (!decides) in->Fail();
  }
  return in->ok();
}

}  // namespace lockstep::raft
