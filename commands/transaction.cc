// MULTI, EXEC, DISCARD: rows only. The dispatcher runs them itself, for it keeps the queue. WATCH
// and UNWATCH: what EXEC must find unchanged.
#include "commands/command.h"
#include "commands/keys.h"

namespace lockstep {
namespace {

// WATCH key [key ...]: remembers how each key is. It can only be seen with the keys held.
Action Watch(Context& context, Args& args) {
  while (args.More()) {
    const BytesView key = args.Next();
    if (key.size() > kNameBytesMax) {
      return Reply::Error("LIMIT", Format("a key has at most %zu bytes", kNameBytesMax));
    }
    context.client.watched.try_emplace(Bytes(key), context.keys->Watch(key));
  }
  return Reply::Ok();
}

// UNWATCH
Action Unwatch(Context& context, Args&) {
  context.client.watched.clear();
  return Reply::Ok();
}

constexpr KeySpec kWatchKeys[] = {{.access = KeySpec::Access::kRO, .last = -1}};
constexpr Argument kWatchArguments[] = {
    {.name = "key", .type = Argument::Type::kKey, .multiple = true, .key_spec = 0},
};

constexpr CommandSpec kTransactionRows[] = {
    {.name = "MULTI",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .categories = kCatTransaction,
     .summary = "Mark the start of a transaction block",
     .since = "1.2.0",
     .group = "transactions"},
    {.name = "EXEC",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kSkipSlowlog,
     .categories = kCatTransaction,
     .summary = "Execute all commands issued after MULTI",
     .since = "1.2.0",
     .group = "transactions",
     .complexity = "Depends on commands in the transaction"},
    {.name = "DISCARD",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .categories = kCatTransaction,
     .summary = "Discard all commands issued after MULTI",
     .since = "2.0.0",
     .group = "transactions",
     .complexity = "O(N), when N is the number of queued commands"},
    {.name = "WATCH",
     .arity = -2,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy | kNoMulti,
     .categories = kCatTransaction,
     .handler = Watch,
     .on_keys = true,
     .summary = "Watch the given keys to determine execution of the MULTI/EXEC block",
     .since = "2.2.0",
     .group = "transactions",
     .complexity = "O(1) for every key.",
     .keys = kWatchKeys,
     .arguments = kWatchArguments},
    {.name = "UNWATCH",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .categories = kCatTransaction,
     .handler = Unwatch,
     .summary = "Forget about all watched keys",
     .since = "2.2.0",
     .group = "transactions"},
};

}  // namespace

std::span<const CommandSpec> TransactionCommands() {
  return kTransactionRows;
}

}  // namespace lockstep
