#include "src/resp/reply.h"

#include <algorithm>
#include <bit>

#include "src/base/check.h"

namespace lockstep {
namespace {

using Kind = Reply::Kind;

// `depth`: lists around this one.
void Encode(const Reply& reply, size_t depth, Writer* out) {
  out->U8(static_cast<uint8_t>(reply.kind));
  switch (reply.kind) {
    case Kind::kNil:
    case Kind::kNilArray:
    case Kind::kNothing:
      return;
    case Kind::kSimple:
    case Kind::kError:
    case Kind::kBulk:
    case Kind::kVerbatim:
      return out->String(reply.text);
    case Kind::kInteger:
      return out->Signed(reply.integer);
    case Kind::kBoolean:
      return out->Bool(reply.integer != 0);
    case Kind::kDouble:
      return out->U64(std::bit_cast<uint64_t>(reply.number));
    case Kind::kElsewhere:
      out->Signed(reply.integer);
      return out->String(reply.text);
    case Kind::kLogged:
      out->Varint(reply.span.entry);
      out->Varint(reply.span.at);
      return out->Varint(reply.span.size);
    case Kind::kArray:
    case Kind::kMap:
    case Kind::kSet:
    case Kind::kPush:
      break;
  }
  // What the other side would refuse must not leave.
  CHECK(depth < kReplyDepthMax);
  CHECK(reply.kind != Kind::kMap || reply.items.size() % 2 == 0);
  out->Varint(reply.items.size());
  for (const Reply& item : reply.items) Encode(item, depth + 1, out);
}

LogSpan DecodeSpan(Reader* in) {
  LogSpan span;
  span.entry = in->Varint();
  const uint64_t at = in->Varint();
  const uint64_t size = in->Varint();
  if (at > UINT32_MAX || size > UINT32_MAX) in->Fail();
  span.at = static_cast<uint32_t>(at);
  span.size = static_cast<uint32_t>(size);
  return span;
}

// `budget`: replies that may still be made.
void Decode(Reader* in, size_t depth, size_t* budget, Reply* out) {
  const uint8_t kind = in->U8();
  if (kind > static_cast<uint8_t>(Kind::kElsewhere)) return in->Fail();
  out->kind = static_cast<Kind>(kind);
  switch (out->kind) {
    case Kind::kNil:
    case Kind::kNilArray:
    case Kind::kNothing:
      return;
    case Kind::kSimple:
    case Kind::kError:
    case Kind::kBulk:
    case Kind::kVerbatim:
      out->text = in->String();
      return;
    case Kind::kInteger:
      out->integer = in->Signed();
      return;
    case Kind::kBoolean:
      out->integer = in->Bool() ? 1 : 0;
      return;
    case Kind::kDouble:
      out->number = std::bit_cast<double>(in->U64());
      return;
    case Kind::kElsewhere:
      out->integer = in->Signed();
      out->text = in->String();
      return;
    case Kind::kLogged:
      out->span = DecodeSpan(in);
      return;
    case Kind::kArray:
    case Kind::kMap:
    case Kind::kSet:
    case Kind::kPush:
      break;
  }
  const size_t n = in->Count();
  // An item may be one byte here and is a hundred in memory, hence the budget.
  if (depth >= kReplyDepthMax || n > *budget) return in->Fail();
  if (out->kind == Kind::kMap && n % 2 != 0) return in->Fail();
  *budget -= n;
  out->items.resize(n);
  for (Reply& item : out->items) {
    Decode(in, depth + 1, budget, &item);
    if (!in->ok()) return;
  }
}

}  // namespace

void EncodeReply(const Reply& reply, Writer* out) { Encode(reply, 0, out); }

Reply DecodeReply(Reader* in) {
  Reply reply;
  size_t budget = kReplyItemsMax;
  Decode(in, 0, &budget, &reply);
  if (!in->ok()) return Reply::Nil();
  return reply;
}

bool HoldsLogged(const Reply& reply) {
  return reply.kind == Kind::kLogged ||
         std::any_of(reply.items.begin(), reply.items.end(), HoldsLogged);
}

size_t ReplyCost(const Reply& reply) {
  size_t cost = kReplyItemCost + reply.text.size() + reply.span.size;
  for (const Reply& item : reply.items) cost += ReplyCost(item);
  return cost;
}

}  // namespace lockstep
