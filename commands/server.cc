// The server as a whole: INFO, TIME, ROLE, MONITOR, SHUTDOWN ..., and the rows of what fills a file
// of its own.
#include <algorithm>

#include "commands/host.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"
#include "src/base/version.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

// INFO [section ...]
Action Info(Context& ctx, Args& args) {
  std::vector<Bytes> sections;
  while (args.More()) sections.emplace_back(args.Next());
  return Reply::Verbatim(ctx.host.Info(sections));
}

// TIME: Unix seconds, and microseconds within the second. For people; no lease follows this clock.
Action Time(Context& ctx, Args&) {
  const int64_t us = ctx.host.WallClockUs();
  return Reply::Array({Reply::Bulk(std::to_string(us / kUsPerSecond)),
                       Reply::Bulk(std::to_string(us % kUsPerSecond))});
}

// ROLE. Every node takes writes, so every node is a master; followers of the Raft groups are no
// replicas in Redis's sense.
Action Role(Context&, Args&) {
  return Reply::Array({Reply::Bulk("master"), Reply::Integer(0), Reply::Array()});
}

// LOLWUT [VERSION version]
Action Lolwut(Context&, Args& args) {
  if (args.left() >= 2 && EqualsIgnoreCase(args.rest()[0], "version")) {
    int64_t version = 0;
    if (!ParseInt64(args.rest()[1], &version)) return NotAnIntegerReply();
  }
  return Reply::Verbatim(
      Format("\n"
             "        .---.            .---.            .---.\n"
             "        | 1 |------------| 1 |------------| 1 |\n"
             "        | 2 |------------| 2 |------------| 2 |\n"
             "        | 3 |------------| 3 |------------| 3 |\n"
             "        '---'            '---'            '---'\n"
             "       left, right, left, right: all of them, or none\n"
             "\n"
             "Lockstep ver. %s\n",
             kLockstepVersion));
}

// MONITOR
Action Monitor(Context& ctx, Args&) {
  // Its lines would fall into the midst of EXEC's reply.
  if (ctx.in_exec) {
    return Reply::Error("ERR", "MONITOR isn't allowed for DENY BLOCKING client");
  }
  ctx.client.monitor = true;
  return Reply::Ok();
}

// MODULE LIST
Action ModuleList(Context&, Args&) {
  return Reply::Array();
}

constexpr const char* kModuleHelp[] = {
    "LIST",
    "    Return a list of loaded modules.",
};

// MODULE HELP
Action ModuleHelp(Context&, Args&) {
  return HelpReply("MODULE", kModuleHelp);
}

// SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]. Everything acknowledged is on disk already, so
// SAVE, NOSAVE and FORCE change nothing. The connection closes when the process ends: no reply is a
// good one.
Action Shutdown(Context& ctx, Args& args) {
  enum Word { kSave, kNosave, kNow, kForce, kAbort, kWords };
  static constexpr const char* kNames[kWords] = {"save", "nosave", "now", "force", "abort"};
  bool given[kWords] = {};
  while (args.More()) {
    const BytesView word = args.Next();
    const auto* const name = std::find_if(std::begin(kNames), std::end(kNames),
                                          [&](BytesView n) { return EqualsIgnoreCase(n, word); });
    if (name == std::end(kNames)) return SyntaxErrorReply();
    given[name - kNames] = true;
  }
  const bool stops = given[kSave] || given[kNosave] || given[kNow] || given[kForce];
  if ((given[kAbort] && stops) || (given[kSave] && given[kNosave])) return SyntaxErrorReply();
  if (given[kAbort]) {
    if (ctx.host.AbortShutdown()) return Reply::Ok();
    return Reply::Error("ERR", "No shutdown in progress.");
  }
  ctx.host.Shutdown(given[kNow]);
  return Reply::Nothing();
}

constexpr const char* kTimeTips[] = {"nondeterministic_output"};
constexpr Argument kLolwutArguments[] = {
    {.name = "version", .type = Type::kInteger, .token = "VERSION", .optional = true},
};
constexpr Argument kInfoArguments[] = {
    {.name = "section", .optional = true, .multiple = true},
};
constexpr const char* kInfoTips[] = {"nondeterministic_output", "request_policy:all_shards",
                                     "response_policy:special"};
constexpr Argument kSaveModes[] = {
    {.name = "nosave", .type = Type::kPureToken, .token = "NOSAVE"},
    {.name = "save", .type = Type::kPureToken, .token = "SAVE"},
};
constexpr Argument kShutdownArguments[] = {
    {.name = "nosave_save", .type = Type::kOneOf, .optional = true, .children = kSaveModes},
    {.name = "now", .type = Type::kPureToken, .token = "NOW", .optional = true},
    {.name = "force", .type = Type::kPureToken, .token = "FORCE", .optional = true},
    {.name = "abort", .type = Type::kPureToken, .token = "ABORT", .optional = true},
};
constexpr const char* kModuleListTips[] = {"nondeterministic_output_order"};
constexpr CommandSpec kModuleSubcommands[] = {
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = ModuleHelp,
     .summary = "Show helpful text about the different subcommands",
     .since = "5.0.0",
     .group = "server"},
    {.name = "LIST",
     .arity = 2,
     .flags = kAdmin | kNoScript,
     .handler = ModuleList,
     .summary = "List all modules loaded by the server",
     .since = "4.0.0",
     .group = "server",
     .complexity = "O(N) where N is the number of loaded modules.",
     .tips = kModuleListTips},
};
constexpr CommandSpec kServerRows[] = {
    {.name = "TIME",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .handler = Time,
     .summary = "Return the current server time",
     .since = "2.6.0",
     .group = "server",
     .tips = kTimeTips},
    {.name = "ROLE",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast,
     .categories = kCatAdmin | kCatDangerous,
     .handler = Role,
     .summary = "Return the role of the instance in the context of replication",
     .since = "2.8.12",
     .group = "server"},
    {.name = "LOLWUT",
     .arity = -1,
     .flags = kReadonly | kFast,
     .handler = Lolwut,
     .summary = "Display some computer art and the version",
     .since = "5.0.0",
     .group = "server",
     .arguments = kLolwutArguments},
    {.name = "INFO",
     .arity = -1,
     .flags = kLoading | kStale,
     .categories = kCatDangerous,
     .handler = Info,
     .summary = "Get information and statistics about the server",
     .since = "1.0.0",
     .group = "server",
     .arguments = kInfoArguments,
     .tips = kInfoTips},
    {.name = "MONITOR",
     .arity = 1,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Monitor,
     .summary = "Listen for all requests received by the server in real time",
     .since = "1.0.0",
     .group = "server"},
    {.name = "SHUTDOWN",
     .arity = -1,
     .flags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy,
     .handler = Shutdown,
     .summary = "Hands leadership over, finishes what is under way and stops the server",
     .since = "1.0.0",
     .group = "server",
     .arguments = kShutdownArguments},
    {.name = "MODULE",
     .arity = -2,
     .summary = "A container for module commands",
     .since = "4.0.0",
     .group = "server",
     .complexity = "Depends on subcommand.",
     .subcommands = kModuleSubcommands},
};

}  // namespace

std::span<const CommandSpec> ServerCommands() {
  static const std::vector<CommandSpec> rows = [] {
    std::vector<CommandSpec> all(std::begin(kServerRows), std::end(kServerRows));
    for (const auto& row : {CommandCommand, ConfigCommand, SlowlogCommand, LatencyCommand,
                            MemoryCommand, DebugCommand}) {
      all.push_back(row());
    }
    return all;
  }();
  return rows;
}

}  // namespace lockstep
