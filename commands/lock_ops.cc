#include "commands/lock_ops.h"

#include <algorithm>

#include "commands/op_codec.h"

namespace lockstep {
namespace {

// The first byte of an operation or query. Old logs hold it, so no number gets a second meaning.
enum class Tag : uint8_t {
  kAcquire = 1,
  kRenew = 2,
  kRelease = 3,
  kRevoke = 4,
  kCancel = kCancelTag,
  kHangup = kHangupTag,
  kBatch = 7,
  kCheck = 65,
  kInfo = 66,
  kOwner = 67,
  kList = 68,
  kGraph = 69,
  kDeadlocks = 70,
  kKeyspace = 71,
};

constexpr size_t kUsualBytes = 112;  // Of an operation: most need no second allocation.

Writer Begin(Tag tag, Bytes* out) {
  out->reserve(kUsualBytes);
  Writer writer(out);
  writer.U8(static_cast<uint8_t>(tag));
  return writer;
}

bool AllDifferent(std::vector<BytesView> names) {
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

AcquireOp ReadAcquire(Reader* in) {
  AcquireOp op;
  const size_t names = in->Count(2);
  if (names < 1 || names > kMultiLockNamesMax) {
    in->Fail();
    return op;
  }
  op.names.reserve(names);
  for (size_t i = 0; i < names; ++i) op.names.push_back(Bytes(ReadName(in)));
  if (names > 1 && !AllDifferent({op.names.begin(), op.names.end()})) in->Fail();
  op.owner = Bytes(ReadName(in));
  op.mode = in->Bool() ? LockMode::kShared : LockMode::kExclusive;
  op.ttl_ms = ReadBetween(in, 1, kTtlMsMax);
  if (in->Bool()) op.wait_ms = ReadBetween(in, 0, kBlockMsMax);
  op.limit = ReadUpTo(in, kLockLimitMax);
  // A semaphore's holders share it; and a limit is of one lock.
  if (op.limit > 0 && (op.mode != LockMode::kShared || names > 1)) in->Fail();
  const BytesView meta = in->String();
  if (meta.size() > kMetaBytesMax) in->Fail();
  op.meta = Bytes(meta);
  if (in->Bool()) op.bind = in->Get<ClientId>();
  return op;
}

RenewOp ReadRenew(Reader* in) {
  RenewOp op;
  op.name = Bytes(ReadName(in));
  op.owner = Bytes(ReadName(in));
  op.ttl_ms = ReadBetween(in, 1, kTtlMsMax);
  op.all = in->Bool();
  return op;
}

ReleaseOp ReadRelease(Reader* in) {
  ReleaseOp op;
  op.name = Bytes(ReadName(in));
  op.owner = Bytes(ReadName(in));
  if (in->Bool()) op.token = in->Varint();
  op.all = in->Bool();
  return op;
}

RevokeOp ReadRevoke(Reader* in) {
  RevokeOp op;
  op.name = Bytes(ReadName(in));
  if (in->Bool()) op.owner = Bytes(ReadName(in));
  return op;
}

BatchOp ReadBatch(Reader* in) {
  BatchOp op;
  const size_t items = in->Count(2);
  if (items > kBatchItemsMax) {
    in->Fail();
    return op;
  }
  op.items.resize(items);
  for (BatchOp::Item& item : op.items) {
    item.is_query = in->Bool();
    item.bytes = Bytes(in->String());
  }
  return op;
}

ListQuery ReadList(Reader* in) {
  ListQuery query;
  query.cursor = in->Varint();
  const BytesView pattern = in->String();
  if (pattern.size() > kNameBytesMax) in->Fail();
  query.pattern = Bytes(pattern);
  query.count = ReadUpTo(in, kLockRowsMax);
  if (query.count == 0) in->Fail();
  return query;
}

LockOp ReadOp(Reader* in) {
  switch (static_cast<Tag>(in->U8())) {
    case Tag::kAcquire: return ReadAcquire(in);
    case Tag::kRenew: return ReadRenew(in);
    case Tag::kRelease: return ReadRelease(in);
    case Tag::kRevoke: return ReadRevoke(in);
    case Tag::kCancel: return CancelOp::Decode(in);
    case Tag::kHangup: return HangupOp::Decode(in);
    case Tag::kBatch: return ReadBatch(in);
    default: in->Fail(); return BatchOp{};
  }
}

KeyspaceQuery ReadKeyspace(Reader* in) {
  KeyspaceQuery query;
  using Kind = KeyspaceQuery::Kind;
  query.kind = static_cast<Kind>(in->U8());
  if (query.kind != Kind::kType && query.kind != Kind::kUsage) in->Fail();
  query.name = in->String();
  if (query.name.size() > kNameBytesMax) in->Fail();
  return query;
}

LockQuery ReadQuery(Reader* in) {
  switch (static_cast<Tag>(in->U8())) {
    case Tag::kCheck: {
      CheckQuery query;
      query.name = Bytes(ReadName(in));
      query.token = in->Varint();
      return query;
    }
    case Tag::kInfo: return InfoQuery{Bytes(ReadName(in))};
    case Tag::kOwner: return OwnerQuery{Bytes(ReadName(in))};
    case Tag::kList: return ReadList(in);
    case Tag::kGraph: return GraphQuery{};
    case Tag::kDeadlocks: return DeadlocksQuery{ReadUpTo(in, kLockRowsMax)};
    case Tag::kKeyspace: return ReadKeyspace(in);
    default: in->Fail(); return GraphQuery{};
  }
}

}  // namespace

Bytes AcquireOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kAcquire, &out);
  writer.Varint(names.size());
  for (const Bytes& name : names) writer.String(name);
  writer.String(owner);
  writer.Bool(mode == LockMode::kShared);
  writer.Signed(ttl_ms);
  writer.Bool(wait_ms.has_value());
  if (wait_ms) writer.Signed(*wait_ms);
  writer.Varint(limit);
  writer.String(meta);
  writer.Bool(bind.has_value());
  if (bind) writer.Put(*bind);
  return out;
}

Bytes RenewOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kRenew, &out);
  writer.String(name);
  writer.String(owner);
  writer.Signed(ttl_ms);
  writer.Bool(all);
  return out;
}

Bytes ReleaseOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kRelease, &out);
  writer.String(name);
  writer.String(owner);
  writer.Bool(token.has_value());
  if (token) writer.Varint(*token);
  writer.Bool(all);
  return out;
}

Bytes RevokeOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kRevoke, &out);
  writer.String(name);
  writer.Bool(owner.has_value());
  if (owner) writer.String(*owner);
  return out;
}

Bytes BatchOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kBatch, &out);
  writer.Varint(items.size());
  for (const Item& item : items) {
    writer.Bool(item.is_query);
    writer.String(item.bytes);
  }
  return out;
}

Bytes CheckQuery::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kCheck, &out);
  writer.String(name);
  writer.Varint(token);
  return out;
}

Bytes InfoQuery::Encode() const {
  Bytes out;
  Begin(Tag::kInfo, &out).String(name);
  return out;
}

Bytes OwnerQuery::Encode() const {
  Bytes out;
  Begin(Tag::kOwner, &out).String(owner);
  return out;
}

Bytes ListQuery::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kList, &out);
  writer.Varint(cursor);
  writer.String(pattern);
  writer.Varint(count);
  return out;
}

Bytes GraphQuery::Encode() const {
  Bytes out;
  Begin(Tag::kGraph, &out);
  return out;
}

Bytes DeadlocksQuery::Encode() const {
  Bytes out;
  Begin(Tag::kDeadlocks, &out).Varint(count);
  return out;
}

Bytes KeyspaceQuery::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kKeyspace, &out);
  writer.U8(static_cast<uint8_t>(kind));
  writer.String(name);
  return out;
}

std::optional<LockOp> DecodeLockOp(BytesView in) {
  Reader reader(in);
  LockOp op = ReadOp(&reader);
  if (!reader.done()) return std::nullopt;
  return op;
}

std::optional<LockQuery> DecodeLockQuery(BytesView in) {
  Reader reader(in);
  LockQuery query = ReadQuery(&reader);
  if (!reader.done()) return std::nullopt;
  return query;
}

}  // namespace lockstep
