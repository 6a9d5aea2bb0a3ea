// MULTI, EXEC, DISCARD: rows only. The dispatcher runs them itself, for it keeps the queue.
#include "commands/command.h"

namespace lockstep {
namespace {

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
};

}  // namespace

std::span<const CommandSpec> TransactionCommands() {
  return kTransactionRows;
}

}  // namespace lockstep
