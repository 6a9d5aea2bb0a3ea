// SLOWLOG: the commands that took longest lately on this node.
#include "commands/host.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

Reply Show(const Slowlog::Entry& entry) {
  Reply arguments = Reply::Array();
  for (const Bytes& argument : entry.args) arguments.Add(Reply::Bulk(argument));
  return Reply::Array({Reply::Integer(entry.id), Reply::Integer(entry.unix_seconds),
                       Reply::Integer(entry.us), std::move(arguments), Reply::Bulk(entry.address),
                       Reply::Bulk(entry.name)});
}

// SLOWLOG GET [count]: newest first; -1 is all.
Action Get(Context& ctx, Args& args) {
  if (args.left() > 1) return SubcommandSyntaxReply(args);
  int64_t count = 10;
  if (args.More() && (!ParseInt64(args.Next(), &count) || count < -1)) {
    return Reply::Error("ERR", "count should be greater than or equal to -1");
  }
  Reply list = Reply::Array();
  for (const Slowlog::Entry& entry : ctx.host.slowlog().entries()) {
    if (count-- == 0) break;
    list.Add(Show(entry));
  }
  return list;
}

// SLOWLOG LEN
Action Len(Context& ctx, Args&) {
  return Reply::Integer(static_cast<int64_t>(ctx.host.slowlog().entries().size()));
}

// SLOWLOG RESET
Action Reset(Context& ctx, Args&) {
  ctx.host.slowlog().Clear();
  return Reply::Ok();
}

constexpr const char* kHelp[] = {
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
};

// SLOWLOG HELP
Action Help(Context&, Args&) {
  return HelpReply("SLOWLOG", kHelp);
}

constexpr Argument kSlowlogGetArguments[] = {
    {.name = "count", .type = Type::kInteger, .optional = true},
};
constexpr const char* kSlowlogGetTips[] = {"request_policy:all_nodes", "nondeterministic_output"};
constexpr const char* kSlowlogLenTips[] = {"request_policy:all_nodes", "response_policy:agg_sum",
                                           "nondeterministic_output"};
constexpr const char* kSlowlogResetTips[] = {"request_policy:all_nodes",
                                             "response_policy:all_succeeded"};
constexpr CommandSpec kSlowlogSubcommands[] = {
    {.name = "GET",
     .arity = -2,
     .flags = kAdmin | kLoading | kStale,
     .handler = Get,
     .summary = "Get the slow log's entries",
     .since = "2.2.12",
     .group = "server",
     .complexity = "O(N) where N is the number of entries returned",
     .arguments = kSlowlogGetArguments,
     .tips = kSlowlogGetTips},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands",
     .since = "6.2.0",
     .group = "server"},
    {.name = "LEN",
     .arity = 2,
     .flags = kAdmin | kLoading | kStale,
     .handler = Len,
     .summary = "Get the slow log's length",
     .since = "2.2.12",
     .group = "server",
     .tips = kSlowlogLenTips},
    {.name = "RESET",
     .arity = 2,
     .flags = kAdmin | kLoading | kStale,
     .handler = Reset,
     .summary = "Clear all entries from the slow log",
     .since = "2.2.12",
     .group = "server",
     .complexity = "O(N) where N is the number of entries in the slowlog",
     .tips = kSlowlogResetTips},
};
constexpr CommandSpec kSlowlogRow = {.name = "SLOWLOG",
                                     .arity = -2,
                                     .summary = "A container for slow log commands",
                                     .since = "2.2.12",
                                     .group = "server",
                                     .complexity = "Depends on subcommand.",
                                     .subcommands = kSlowlogSubcommands};

}  // namespace

CommandSpec SlowlogCommand() {
  return kSlowlogRow;
}

}  // namespace lockstep
