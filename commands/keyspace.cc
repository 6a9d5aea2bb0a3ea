// The keyspace as a whole, wherever its keys are: strings. Locks are none of it, but what asks by
// name (TYPE) or by type (SCAN ... TYPE lock) finds them too.
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "commands/cache_tasks.h"
#include "commands/host.h"
#include "commands/lock_ops.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"
#include "commands/string.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr KeySpec kTypeKeys[] = {{.access = KeySpec::Access::kRO}};

// DBSIZE
Action Dbsize(Context& ctx, Args&) {
  return OutsideExec(ctx, MakeDbsizeTask(ctx.host.Shards()));
}

// TYPE key: "string", or what the locks say of it: "lock", or "none".
Action TypeOfKey(Context& ctx, Args& args) {
  if (AnyKeyIsTooLong(args.all(), 1, 1)) return RefuseLongKey(args.all(), 1);
  const BytesView name = args.Next();
  if (ctx.keys->Find(name)) return Reply::Simple("string");
  if (name.empty() || ctx.in_exec) return Reply::Simple("none");
  return Query{kLocksGroup, KeyspaceQuery{KeyspaceQuery::Kind::kType, Bytes(name)}.Encode()};
}

// KEYS pattern
Action KeysMatching(Context& ctx, Args& args) {
  const BytesView pattern = args.Next();
  if (auto refused = RefuseLongPattern(pattern)) return *refused;
  return OutsideExec(ctx, MakeKeysTask(ctx.host.Shards(), Bytes(pattern)));
}

// RANDOMKEY
Action RandomKey(Context& ctx, Args&) {
  const Bytes bytes = ctx.host.RandomBytes(2 * sizeof(uint64_t));
  Reader dice(bytes);
  const uint64_t one = dice.U64();
  return OutsideExec(ctx, MakeRandomKeyTask(ctx.host.Shards(), one, dice.U64()));
}

// FLUSHALL [ASYNC | SYNC], FLUSHDB. When it is answered it is done, either way.
Action FlushAll(Context& ctx, Args& args) {
  if (args.left() > 1) return SyntaxErrorReply();
  if (args.More()) {
    const BytesView how = args.Next();
    if (!EqualsIgnoreCase(how, "async") && !EqualsIgnoreCase(how, "sync")) {
      return SyntaxErrorReply();
    }
  }
  return OutsideExec(ctx, MakeFlushTask(ctx.host.Shards()));
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

struct ScanOptions {
  Bytes pattern = "*";
  uint32_t count = 10;
  Bytes type;
};

// An error: something is wrong with them.
std::optional<Reply> TakeScanOptions(Args& args, ScanOptions* out) {
  while (args.More()) {
    const BytesView option = args.Next();
    if (!args.More()) return SyntaxErrorReply();
    const BytesView value = args.Next();
    if (EqualsIgnoreCase(option, "match")) {
      if (auto refused = RefuseLongPattern(value)) return refused;
      out->pattern = value;
    } else if (EqualsIgnoreCase(option, "count")) {
      int64_t count = 0;
      if (!ParseInt64(value, &count)) return NotAnIntegerReply();
      if (count < 1) return SyntaxErrorReply();
      out->count = static_cast<uint32_t>(std::min<int64_t>(count, kCachePageMax));
    } else if (EqualsIgnoreCase(option, "type")) {
      out->type = Lower(value);
    } else {
      return SyntaxErrorReply();
    }
  }
  return std::nullopt;
}

// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
Action Scan(Context& ctx, Args& args) {
  uint64_t cursor = 0;
  if (!ParseCursor(args.Next(), &cursor)) return Reply::Error("ERR", "invalid cursor");
  ScanOptions options;
  if (auto error = TakeScanOptions(args, &options)) return *std::move(error);
  if (options.type == "lock") {
    return Query{kLocksGroup, ListQuery{cursor, options.pattern, options.count}.Encode()};
  }
  if (!options.type.empty() && options.type != "string") {
    return Reply::Array({Reply::Bulk("0"), Reply::Array()});
  }
  return OutsideExec(ctx, MakeScanTask(ctx.host.Shards(), UnpackScanPlace(cursor), options.count,
                                       std::move(options.pattern)));
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
constexpr const char* kRandomTips[] = {"request_policy:all_shards", "nondeterministic_output"};
constexpr const char* kFlushTips[] = {"request_policy:all_shards", "response_policy:all_succeeded"};
constexpr Argument kFlushModes[] = {
    {.name = "async", .type = Type::kPureToken, .token = "ASYNC"},
    {.name = "sync", .type = Type::kPureToken, .token = "SYNC"},
};
constexpr Argument kFlushArguments[] = {
    {.name = "async", .type = Type::kOneOf, .optional = true, .children = kFlushModes},
};
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
    {.name = "FLUSHALL",
     .arity = -1,
     .flags = kWrite,
     .categories = kCatKeyspace | kCatDangerous,
     .handler = FlushAll,
     .summary = "Remove all keys from all databases",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(N) where N is the total number of keys in all databases",
     .arguments = kFlushArguments,
     .tips = kFlushTips},
    {.name = "FLUSHDB",
     .arity = -1,
     .flags = kWrite,
     .categories = kCatKeyspace | kCatDangerous,
     .handler = FlushAll,
     .summary = "Remove all keys from the current database",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(N) where N is the number of keys in the selected database",
     .arguments = kFlushArguments,
     .tips = kFlushTips},
    {.name = "RANDOMKEY",
     .arity = 1,
     .flags = kReadonly,
     .categories = kCatKeyspace,
     .handler = RandomKey,
     .summary = "Return a random key from the keyspace",
     .since = "1.0.0",
     .group = "generic",
     .tips = kRandomTips},
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
     .on_keys = true,
     .summary = "Determine the type stored at key",
     .since = "1.0.0",
     .group = "generic",
     .keys = kTypeKeys,
     .arguments = kTypeArguments},
    {.name = "KEYS",
     .arity = 2,
     .flags = kReadonly,
     .categories = kCatKeyspace | kCatDangerous,
     .handler = KeysMatching,
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
  static const std::vector<CommandSpec> rows = [] {
    std::vector<CommandSpec> all(std::begin(kKeyspaceRows), std::end(kKeyspaceRows));
    all.push_back(ObjectCommand());
    return all;
  }();
  return rows;
}

}  // namespace lockstep
