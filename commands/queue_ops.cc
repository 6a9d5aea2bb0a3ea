#include "commands/queue_ops.h"

#include "commands/op_codec.h"

namespace lockstep {
namespace {

// The first byte of an operation or query. Old logs hold it, so no number gets a second meaning.
enum class Tag : uint8_t {
  kPush = 1,
  kPop = 2,
  kAck = 3,
  kNack = 4,
  kCancel = kCancelTag,
  kHangup = kHangupTag,
  kTouch = 7,
  kSet = 8,
  kPause = 9,
  kPurge = 10,
  kDrop = 11,
  kDelete = 12,
  kMove = 13,
  kAdopt = 14,
  kNote = kNoteTag,
  kLen = 65,
  kInfo = 66,
  kPeek = 67,
  kList = 68,
  kSettled = 69,
};

Writer Begin(Tag tag, Bytes* out, BytesView queue) {
  Writer writer(out);
  writer.U8(static_cast<uint8_t>(tag));
  writer.String(queue);
  return writer;
}

void PutReceipts(const std::vector<Receipt>& receipts, Writer* out) {
  out->Varint(receipts.size());
  for (const Receipt& receipt : receipts) {
    out->Varint(receipt.seq);
    out->Varint(receipt.lease);
  }
}

std::vector<Receipt> ReadReceipts(Reader* in) {
  std::vector<Receipt> receipts(in->Count(2));
  if (receipts.size() > kReceiptsMax) in->Fail();
  for (Receipt& receipt : receipts) {
    receipt.seq = in->Varint();
    receipt.lease = in->Varint();
  }
  return receipts;
}

BytesView ReadText(Reader* in, size_t max) {
  const BytesView text = in->String();
  if (text.size() > max) in->Fail();
  return text;
}

// `<queue>!dead` may be longer than a queue's own name.
BytesView ReadQueue(Reader* in) {
  const BytesView name = ReadText(in, kQueueNameBytesMax);
  const size_t size = SideOf(name).queue.size();
  if (size == 0 || size > kNameBytesMax) in->Fail();
  return name;
}

void ReadHeaders(Reader* in, PushOp* op) {
  const size_t headers = in->Count(2);
  if (headers > kHeadersMax) in->Fail();
  size_t bytes = 0;
  for (size_t i = 0; i < headers && in->ok(); ++i) {
    const BytesView name = in->String();
    const BytesView value = in->String();
    bytes += name.size() + value.size();
    op->headers.emplace_back(name, value);
  }
  if (bytes > kHeadersBytesMax) in->Fail();
}

// What a plain push has none of costs it one byte.
enum : uint8_t { kHasOptions = 1, kCreates = 2, kMany = 4, kHasVersion = 8 };

PushOp ReadPush(Reader* in) {
  PushOp op;
  op.queue = ReadQueue(in);
  const uint8_t flags = in->U8();
  if (flags > (kHasOptions | kCreates | kMany | kHasVersion)) in->Fail();
  if ((flags & kHasVersion) != 0) op.version = in->Varint();
  op.creates = (flags & kCreates) != 0;
  op.many = (flags & kMany) != 0;
  const size_t bodies = in->Count();
  if (bodies < 1 || bodies > (op.many ? kMultiPushMax : 1)) in->Fail();
  for (size_t i = 0; i < bodies && in->ok(); ++i) {
    op.bodies.push_back(ReadText(in, kMessageBytesMax));
  }
  if ((flags & kHasOptions) == 0) return op;
  op.id = ReadText(in, kNameBytesMax);
  if (!op.id.empty() && bodies > 1) in->Fail();
  op.group = ReadText(in, kNameBytesMax);
  op.priority = static_cast<uint8_t>(ReadUpTo(in, kPriorityMax));
  op.delay_ms = ReadBetween(in, 0, kDelayMsMax);
  op.ttl_ms = ReadBetween(in, 0, kDelayMsMax);
  op.retry = ReadBetween(in, 0, kRetryMax);
  ReadHeaders(in, &op);
  op.fence = in->Varint();
  return op;
}

PopOp ReadPop(Reader* in) {
  PopOp op;
  op.queues.push_back(ReadQueue(in));
  const size_t others = in->Count(2);
  if (others >= kPopQueuesMax) in->Fail();
  for (size_t i = 0; i < others && in->ok(); ++i) op.queues.push_back(ReadQueue(in));
  for (size_t i = 1; i < op.queues.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (op.queues[i] == op.queues[j]) in->Fail();
    }
  }
  op.count = ReadUpTo(in, kPopCountMax);
  if (op.count == 0) in->Fail();
  if (in->Bool()) op.wait_ms = ReadBetween(in, 0, kBlockMsMax);
  op.lease_ms = ReadBetween(in, 0, kTtlMsMax);
  if (in->Bool()) op.tied = in->Get<ClientId>();
  op.noack = in->Bool();
  op.full = in->Bool();
  op.acks = ReadReceipts(in);
  op.version = in->Varint();
  if (op.version != 0 && op.queues.size() > 1) in->Fail();
  return op;
}

QueueAckOp ReadAck(Reader* in) {
  QueueAckOp op;
  op.queue = ReadQueue(in);
  op.receipts = ReadReceipts(in);
  return op;
}

NackOp ReadNack(Reader* in) {
  NackOp op;
  op.queue = ReadQueue(in);
  op.receipts = ReadReceipts(in);
  const uint8_t how = in->U8();
  if (how > static_cast<uint8_t>(NackOp::How::kRelease)) in->Fail();
  op.how = static_cast<NackOp::How>(how);
  if (in->Bool()) op.delay_ms = ReadBetween(in, 0, kDelayMsMax);
  op.error = ReadText(in, kQueueErrorBytesMax);
  return op;
}

TouchOp ReadTouch(Reader* in) {
  TouchOp op;
  op.queue = ReadQueue(in);
  op.lease_ms = ReadBetween(in, 1, kTtlMsMax);
  op.receipts = ReadReceipts(in);
  return op;
}

QueueSetOp ReadSet(Reader* in) {
  QueueSetOp op;
  op.queue = ReadQueue(in);
  const size_t values = in->Count(2);
  for (size_t i = 0; i < values && in->ok(); ++i) {
    const uint32_t number = ReadUpTo(in, static_cast<uint32_t>(AllQueueOptions().size() - 1));
    const QueueOption& option = AllQueueOptions()[number];
    op.values.emplace_back(number, ReadBetween(in, option.low, option.high));
  }
  op.settled = in->Varint();
  return op;
}

QueuePauseOp ReadPause(Reader* in) {
  QueuePauseOp op;
  op.queue = ReadQueue(in);
  op.stops_in = in->Bool();
  op.stops_out = in->Bool();
  return op;
}

PurgeOp ReadPurge(Reader* in) {
  PurgeOp op;
  op.queue = ReadQueue(in);
  op.states = in->U8();
  if (op.states > kAllMessageStates) in->Fail();
  op.version = in->Varint();
  return op;
}

DropQueueOp ReadDrop(Reader* in) {
  DropQueueOp op;
  op.queue = ReadQueue(in);
  op.force = in->Bool();
  op.version = in->Varint();
  return op;
}

DeleteOp ReadDelete(Reader* in) {
  DeleteOp op;
  op.queue = ReadQueue(in);
  op.seqs.resize(in->Count());
  if (op.seqs.size() > kReceiptsMax) in->Fail();
  for (uint64_t& seq : op.seqs) seq = in->Varint();
  return op;
}

MoveOp ReadMove(Reader* in) {
  MoveOp op;
  op.queue = ReadQueue(in);
  op.destination = ReadQueue(in);
  op.count = in->Varint();
  op.creates = in->Bool();
  op.version = in->Varint();
  return op;
}

AdoptOp ReadAdopt(Reader* in) {
  AdoptOp op;
  op.spread = in->String();
  op.partition = ReadUpTo(in, static_cast<uint32_t>(kPartitionsMax - 1));
  return op;
}

QueueOp ReadOp(Reader* in) {
  switch (static_cast<Tag>(in->U8())) {
    case Tag::kPush: return ReadPush(in);
    case Tag::kPop: return ReadPop(in);
    case Tag::kAck: return ReadAck(in);
    case Tag::kNack: return ReadNack(in);
    case Tag::kTouch: return ReadTouch(in);
    case Tag::kSet: return ReadSet(in);
    case Tag::kPause: return ReadPause(in);
    case Tag::kPurge: return ReadPurge(in);
    case Tag::kDrop: return ReadDrop(in);
    case Tag::kDelete: return ReadDelete(in);
    case Tag::kMove: return ReadMove(in);
    case Tag::kCancel: return CancelOp::Decode(in);
    case Tag::kHangup: return HangupOp::Decode(in);
    case Tag::kNote: return NoteOp{};
    case Tag::kAdopt: return ReadAdopt(in);
    default: in->Fail(); return QueueAckOp{};
  }
}

PeekQuery ReadPeek(Reader* in) {
  PeekQuery query;
  query.queue = ReadQueue(in);
  query.count = ReadUpTo(in, kPopCountMax);
  if (query.count == 0) in->Fail();
  query.from = in->Varint();
  if (in->Bool()) {
    const uint8_t state = in->U8();
    if (state >= kMessageStates) in->Fail();
    query.state = static_cast<MessageState>(state);
  }
  query.version = in->Varint();
  return query;
}

QueueListQuery ReadList(Reader* in) {
  QueueListQuery query;
  query.pattern = ReadText(in, kNameBytesMax);
  query.cursor = in->Varint();
  query.shards = in->Varint();
  query.count = ReadUpTo(in, kQueueRowsMax);
  if (query.count == 0) in->Fail();
  return query;
}

// A queue and a version.
template <class Query>
Query ReadOfQueue(Reader* in) {
  Query query;
  query.queue = ReadQueue(in);
  query.version = in->Varint();
  return query;
}

QueueQuery ReadQuery(Reader* in) {
  switch (static_cast<Tag>(in->U8())) {
    case Tag::kLen: return ReadOfQueue<LenQuery>(in);
    case Tag::kInfo: return ReadOfQueue<QueueInfoQuery>(in);
    case Tag::kSettled: return ReadOfQueue<SettledQuery>(in);
    case Tag::kPeek: return ReadPeek(in);
    case Tag::kList: return ReadList(in);
    default: in->Fail(); return LenQuery{};
  }
}

}  // namespace

Bytes PushOp::Encode() const {
  Bytes out;
  size_t bytes = queue.size() + 32;
  for (const BytesView body : bodies) bytes += body.size() + 4;
  out.reserve(bytes);
  Writer writer = Begin(Tag::kPush, &out, queue);
  PushOp plain;
  plain.queue = queue;
  plain.bodies = bodies;
  plain.version = version;
  plain.creates = creates;
  plain.many = many;
  const bool is_plain = plain == *this;
  writer.U8(static_cast<uint8_t>((is_plain ? 0 : kHasOptions) | (creates ? kCreates : 0) |
                                 (many ? kMany : 0) | (version != 0 ? kHasVersion : 0)));
  if (version != 0) writer.Varint(version);
  writer.Varint(bodies.size());
  for (const BytesView body : bodies) writer.String(body);
  if (is_plain) return out;
  writer.String(id);
  writer.String(group);
  writer.Varint(priority);
  writer.Signed(delay_ms);
  writer.Signed(ttl_ms);
  writer.Signed(retry);
  writer.Varint(headers.size());
  for (const auto& [name, value] : headers) {
    writer.String(name);
    writer.String(value);
  }
  writer.Varint(fence);
  return out;
}

Bytes PopOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kPop, &out, queues.front());
  writer.Varint(queues.size() - 1);
  for (size_t i = 1; i < queues.size(); ++i) writer.String(queues[i]);
  writer.Varint(count);
  writer.Bool(wait_ms.has_value());
  if (wait_ms) writer.Signed(*wait_ms);
  writer.Signed(lease_ms);
  writer.Bool(tied.has_value());
  if (tied) writer.Put(*tied);
  writer.Bool(noack);
  writer.Bool(full);
  PutReceipts(acks, &writer);
  writer.Varint(version);
  return out;
}

Bytes QueueAckOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kAck, &out, queue);
  PutReceipts(receipts, &writer);
  return out;
}

Bytes NackOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kNack, &out, queue);
  PutReceipts(receipts, &writer);
  writer.U8(static_cast<uint8_t>(how));
  writer.Bool(delay_ms.has_value());
  if (delay_ms) writer.Signed(*delay_ms);
  writer.String(error);
  return out;
}

Bytes TouchOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kTouch, &out, queue);
  writer.Signed(lease_ms);
  PutReceipts(receipts, &writer);
  return out;
}

Bytes QueueSetOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kSet, &out, queue);
  writer.Varint(values.size());
  for (const auto& [number, value] : values) {
    writer.Varint(number);
    writer.Signed(value);
  }
  writer.Varint(settled);
  return out;
}

Bytes QueuePauseOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kPause, &out, queue);
  writer.Bool(stops_in);
  writer.Bool(stops_out);
  return out;
}

Bytes PurgeOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kPurge, &out, queue);
  writer.U8(states);
  writer.Varint(version);
  return out;
}

Bytes DropQueueOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kDrop, &out, queue);
  writer.Bool(force);
  writer.Varint(version);
  return out;
}

Bytes AdoptOp::Encode() const {
  Bytes out;
  Begin(Tag::kAdopt, &out, spread).Varint(partition);
  return out;
}

Bytes DeleteOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kDelete, &out, queue);
  writer.Varint(seqs.size());
  for (const uint64_t seq : seqs) writer.Varint(seq);
  return out;
}

Bytes MoveOp::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kMove, &out, queue);
  writer.String(destination);
  writer.Varint(count);
  writer.Bool(creates);
  writer.Varint(version);
  return out;
}

Bytes LenQuery::Encode() const {
  Bytes out;
  Begin(Tag::kLen, &out, queue).Varint(version);
  return out;
}

Bytes QueueInfoQuery::Encode() const {
  Bytes out;
  Begin(Tag::kInfo, &out, queue).Varint(version);
  return out;
}

Bytes SettledQuery::Encode() const {
  Bytes out;
  Begin(Tag::kSettled, &out, queue).Varint(version);
  return out;
}

Bytes PeekQuery::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kPeek, &out, queue);
  writer.Varint(count);
  writer.Varint(from);
  writer.Bool(state.has_value());
  if (state) writer.U8(static_cast<uint8_t>(*state));
  writer.Varint(version);
  return out;
}

Bytes QueueListQuery::Encode() const {
  Bytes out;
  Writer writer = Begin(Tag::kList, &out, pattern);
  writer.Varint(cursor);
  writer.Varint(shards);
  writer.Varint(count);
  return out;
}

std::optional<QueueOp> DecodeQueueOp(BytesView in) {
  Reader reader(in);
  QueueOp op = ReadOp(&reader);
  if (!reader.done()) return std::nullopt;
  return op;
}

std::optional<QueueQuery> DecodeQueueQuery(BytesView in) {
  Reader reader(in);
  QueueQuery query = ReadQuery(&reader);
  if (!reader.done()) return std::nullopt;
  return query;
}

std::optional<ReceiptText> ParseReceipt(BytesView text) {
  ReceiptText out;
  const size_t dot = text.find('.');
  const size_t second = dot == BytesView::npos ? dot : text.find('.', dot + 1);
  if (second == BytesView::npos) return std::nullopt;
  const bool sound = ParseUint64(text.substr(0, dot), &out.shard) &&
                     ParseUint64(text.substr(dot + 1, second - dot - 1), &out.receipt.seq) &&
                     ParseUint64(text.substr(second + 1), &out.receipt.lease);
  return sound ? std::optional(out) : std::nullopt;
}

bool IsQueueQuery(BytesView encoded) {
  return !encoded.empty() && static_cast<uint8_t>(encoded.front()) >= uint8_t(Tag::kLen);
}

QueueSide SideOf(BytesView name) {
  if (name.size() <= kDeadSuffix.size() || !name.ends_with(kDeadSuffix)) return {name, false};
  return {name.substr(0, name.size() - kDeadSuffix.size()), true};
}

}  // namespace lockstep
