// A reply as a value: what a command answers, before anybody has said which protocol the client
// speaks. Replies travel between nodes and lie in the replicated table of answered requests, so
// they have a binary form of their own (EncodeReply); the client's form is made by src/resp/writer.
#pragma once

#include <utility>
#include <vector>

#include "src/base/codec.h"
#include "src/base/limits.h"

namespace lockstep {

// A piece of the data of a log entry.
struct LogSpan {
  uint64_t entry = 0;  // Its index.
  uint32_t at = 0;     // Where in the data,
  uint32_t size = 0;   // and how much of it.
  bool operator==(const LogSpan&) const = default;
};

struct Reply {
  enum class Kind : uint8_t {
    kNil,        // RESP2 "$-1" (RESP3 "_").
    kNilArray,   // RESP2 "*-1" (RESP3 "_"): where Redis answers a null array (EXEC, BLPOP).
    kSimple,     // +OK
    kError,      // -CODE sentence. `text` holds all of it, code first.
    kInteger,    // Within 53 bits for tokens and counts, so that JavaScript keeps them.
    kBulk,
    kVerbatim,   // RESP3 "=", shown as txt; RESP2 bulk.
    kDouble,     // RESP3 ","; RESP2 bulk. Never for ids.
    kBoolean,    // RESP3 "#"; RESP2 :1 and :0.
    kArray,
    kMap,        // `items` alternates key, value. RESP2: flat array in the same order.
    kSet,        // RESP2: array.
    kPush,       // RESP3 ">"; RESP2: array. Only after the connection asked for pushes.
    kNothing,    // No reply at all: CLIENT REPLY SKIP, or what SUBSCRIBE has already pushed.
    kLogged,     // A bulk that lies in the log of the group that answers. Its node reads it there
                 // before the answer leaves (Group::Resolve): no client and no other node sees it.
    kElsewhere,  // Nothing was done: the node that asked is to ask elsewhere (commands/spread.h).
                 // `integer` says why, `text` where. No client sees it.
  };

  Kind kind = Kind::kNil;
  int64_t integer = 0;  // kInteger, kBoolean, kElsewhere.
  double number = 0;    // kDouble.
  Bytes text;           // kSimple, kError, kBulk, kVerbatim, kElsewhere.
  std::vector<Reply> items;
  LogSpan span;         // kLogged.

  bool operator==(const Reply&) const = default;

  static Reply Nil() { return {}; }
  static Reply NilArray() { return Of(Kind::kNilArray); }
  static Reply Nothing() { return Of(Kind::kNothing); }
  static Reply Ok() { return Simple("OK"); }
  static Reply Simple(Bytes text) { return Text(Kind::kSimple, std::move(text)); }
  static Reply Bulk(Bytes text) { return Text(Kind::kBulk, std::move(text)); }
  static Reply Verbatim(Bytes text) { return Text(Kind::kVerbatim, std::move(text)); }
  static Reply Logged(const LogSpan& span) {
    Reply r = Of(Kind::kLogged);
    r.span = span;
    return r;
  }
  static Reply Elsewhere(int64_t why, Bytes where) {
    Reply r = Text(Kind::kElsewhere, std::move(where));
    r.integer = why;
    return r;
  }
  // `code` is stable and UPPERCASE; `sentence` says what happened, whether anything changed, what
  // to do. CR and LF in it are the writer's concern.
  static Reply Error(BytesView code, BytesView sentence) {
    Bytes text(code);
    text += ' ';
    text += sentence;
    return Text(Kind::kError, std::move(text));
  }
  static Reply Integer(int64_t v) {
    Reply r = Of(Kind::kInteger);
    r.integer = v;
    return r;
  }
  static Reply Boolean(bool v) {
    Reply r = Of(Kind::kBoolean);
    r.integer = v ? 1 : 0;
    return r;
  }
  static Reply Double(double v) {
    Reply r = Of(Kind::kDouble);
    r.number = v;
    return r;
  }
  static Reply Array(std::vector<Reply> items = {}) { return List(Kind::kArray, std::move(items)); }
  static Reply Map(std::vector<Reply> items = {}) { return List(Kind::kMap, std::move(items)); }
  static Reply Set(std::vector<Reply> items = {}) { return List(Kind::kSet, std::move(items)); }
  static Reply Push(std::vector<Reply> items = {}) { return List(Kind::kPush, std::move(items)); }

  bool is_error() const { return kind == Kind::kError; }
  bool is_elsewhere() const { return kind == Kind::kElsewhere; }
  bool is_nil() const { return kind == Kind::kNil || kind == Kind::kNilArray; }

  // Appends to a kArray, kSet, kPush; to a kMap, a pair.
  Reply& Add(Reply item) {
    items.push_back(std::move(item));
    return *this;
  }
  Reply& Add(BytesView key, Reply value) {
    items.push_back(Bulk(Bytes(key)));
    items.push_back(std::move(value));
    return *this;
  }

 private:
  static Reply Of(Kind kind) {
    Reply r;
    r.kind = kind;
    return r;
  }
  static Reply Text(Kind kind, Bytes text) {
    Reply r = Of(kind);
    r.text = std::move(text);
    return r;
  }
  static Reply List(Kind kind, std::vector<Reply> items) {
    Reply r = Of(kind);
    r.items = std::move(items);
    return r;
  }
};

// Items of one reply, over all its lists: one key or value of each argument of the longest command.
constexpr size_t kReplyItemsMax = 2 * kMultibulkElementsMax;

// The binary form. Decoding refuses (fails the reader, gives nil) what nests deeper than
// kReplyDepthMax, a map with a key and no value, and more than kReplyItemsMax items.
void EncodeReply(const Reply& reply, Writer* out);
Reply DecodeReply(Reader* in);

// Whether any of it lies in a log.
bool HoldsLogged(const Reply& reply);

// What a reply costs, in bytes, for the limits: about what it takes in memory, and more than its
// encoding. The same in every build: replicas refuse by it what they must refuse alike.
constexpr size_t kReplyItemCost = 80;
size_t ReplyCost(const Reply& reply);

}  // namespace lockstep
