// The keyspace as a whole. Today its keys are locks: they live in group `locks`, whatever their
// slot, so each of these is a linearizable read of the whole cluster's keys, on any node.
#include <cctype>
#include <cerrno>
#include <cstdlib>

#include "commands/command.h"
#include "commands/lock_ops.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;
using Kind = KeyspaceQuery::Kind;

constexpr KeySpec kTypeKeys[] = {{.access = KeySpec::Access::kRO}};

Action Ask(Kind kind, BytesView argument = {}) {
  return Query{kLocksGroup, KeyspaceQuery{kind, Bytes(argument)}.Encode()};
}

// A key too long to be one does not exist; a question that long is not sent anywhere.
bool CanBeKey(BytesView name) {
  return !name.empty() && name.size() <= kNameBytesMax;
}

// DBSIZE
Action Dbsize(Context&, Args&) {
  return Ask(Kind::kSize);
}

// TYPE key: "lock", or "none".
Action TypeOfKey(Context&, Args& args) {
  const BytesView name = args.Next();
  return CanBeKey(name) ? Ask(Kind::kType, name) : Action(Reply::Simple("none"));
}

// KEYS pattern
Action Keys(Context&, Args& args) {
  const BytesView pattern = args.Next();
  if (auto refused = RefuseLongPattern(pattern)) return *refused;
  return Ask(Kind::kNames, pattern);
}

// As Redis reads it, with strtoul: signs, leading zeros and nothing at all pass, and a zero byte
// ends it.
bool ParseCursor(BytesView word, uint64_t* out) {
  const Bytes text(UpToZero(word));
  if (!text.empty() && std::isspace(static_cast<unsigned char>(text[0])) != 0) return false;
  char* end = nullptr;
  errno = 0;
  *out = std::strtoull(text.c_str(), &end, 10);
  return *end == '\0' && errno != ERANGE;
}

// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
Action Scan(Context&, Args& args) {
  ListQuery query;
  if (!ParseCursor(args.Next(), &query.cursor)) return Reply::Error("ERR", "invalid cursor");
  Bytes type = "lock";
  while (args.More()) {
    const BytesView option = args.Next();
    if (!args.More()) return SyntaxErrorReply();
    const BytesView value = args.Next();
    if (EqualsIgnoreCase(option, "match")) {
      if (auto refused = RefuseLongPattern(value)) return *refused;
      query.pattern = value;
    } else if (EqualsIgnoreCase(option, "count")) {
      int64_t count = 0;
      if (!ParseInt64(value, &count)) return NotAnIntegerReply();
      if (count < 1) return SyntaxErrorReply();
      query.count = static_cast<uint32_t>(std::min<int64_t>(count, kLockRowsMax));
    } else if (EqualsIgnoreCase(option, "type")) {
      type = Lower(value);
    } else {
      return SyntaxErrorReply();
    }
  }
  if (type != "lock") return Reply::Array({Reply::Bulk("0"), Reply::Array()});
  return Query{kLocksGroup, query.Encode()};
}

constexpr const char* kDbsizeTips[] = {"request_policy:all_shards", "response_policy:agg_sum"};
constexpr Argument kScanArguments[] = {
    {.name = "cursor", .type = Type::kInteger},
    {.name = "pattern", .type = Type::kPattern, .token = "MATCH", .optional = true},
    {.name = "count", .type = Type::kInteger, .token = "COUNT", .optional = true},
    {.name = "type", .token = "TYPE", .optional = true},
};
constexpr const char* kScanTips[] = {"nondeterministic_output", "request_policy:special"};
constexpr Argument kTypeArguments[] = {
    {.name = "key", .type = Type::kKey, .key_spec = 0},
};
constexpr Argument kKeysArguments[] = {
    {.name = "pattern", .type = Type::kPattern},
};
constexpr const char* kKeysTips[] = {"request_policy:all_shards", "nondeterministic_output_order"};
constexpr CommandSpec kKeyspaceRows[] = {
    {.name = "DBSIZE",
     .arity = 1,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = Dbsize,
     .summary = "Return the number of keys in the selected database",
     .since = "1.0.0",
     .group = "server",
     .tips = kDbsizeTips},
    {.name = "SCAN",
     .arity = -2,
     .flags = kReadonly,
     .categories = kCatKeyspace,
     .handler = Scan,
     .summary = "Incrementally iterate the keys space",
     .since = "2.8.0",
     .group = "generic",
     .complexity =
         "O(1) for every call. O(N) for a complete iteration, including enough command calls for "
         "the cursor to return back to 0. N is the number of elements inside the collection.",
     .arguments = kScanArguments,
     .tips = kScanTips},
    {.name = "TYPE",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = TypeOfKey,
     .summary = "Determine the type stored at key",
     .since = "1.0.0",
     .group = "generic",
     .keys = kTypeKeys,
     .arguments = kTypeArguments},
    {.name = "KEYS",
     .arity = 2,
     .flags = kReadonly,
     .categories = kCatKeyspace | kCatDangerous,
     .handler = Keys,
     .summary = "Find all keys matching the given pattern",
     .since = "1.0.0",
     .group = "generic",
     .complexity = "O(N) with N being the number of keys in the database, under the assumption "
                   "that the key names in the database and the given pattern have limited length.",
     .arguments = kKeysArguments,
     .tips = kKeysTips},
};

}  // namespace

std::span<const CommandSpec> KeyspaceCommands() {
  return kKeyspaceRows;
}

}  // namespace lockstep
