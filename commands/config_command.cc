// CONFIG: the settings of this node, read and changed while it runs.
#include <map>

#include "commands/host.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr size_t kPatternsMax = 1024;

// CONFIG GET pattern [pattern ...]: what matches several patterns is told once. A plain name comes
// back as it was typed.
Action Get(Context& ctx, Args& args) {
  if (args.left() > kPatternsMax) {
    return Reply::Error("LIMIT", Format("at most %zu patterns at once", kPatternsMax));
  }
  struct Found {
    Bytes shown;
    Bytes value;
  };
  std::map<Bytes, Found> found;  // By name.
  while (args.More()) {
    const BytesView pattern = args.Next();
    if (auto refused = RefuseLongPattern(pattern)) return *refused;
    for (auto& [name, value] : ctx.host.ConfigGet(pattern)) {
      const Bytes shown = EqualsIgnoreCase(pattern, name) ? Bytes(pattern) : name;
      found.emplace(name, Found{shown, value});
    }
  }
  Reply map = Reply::Map();
  for (auto& [name, setting] : found) map.Add(setting.shown, Reply::Bulk(setting.value));
  return map;
}

// CONFIG SET name value [name value ...]: all or nothing.
Action Set(Context& ctx, Args& args) {
  if (args.left() % 2 != 0) return SyntaxErrorReply();
  std::vector<std::pair<Bytes, Bytes>> values;
  while (args.More()) {
    const Bytes name(args.Next());
    values.emplace_back(name, args.Next());
  }
  const Result<void> done = ctx.host.ConfigSet(values);
  return done ? Reply::Ok() : Reply::Error("ERR", done.error().message);
}

// CONFIG REWRITE
Action Rewrite(Context& ctx, Args&) {
  const Result<void> done = ctx.host.ConfigRewrite();
  return done ? Reply::Ok() : Reply::Error("ERR", done.error().message);
}

// CONFIG RESETSTAT
Action ResetStat(Context& ctx, Args&) {
  ctx.host.stats().Reset();
  return Reply::Ok();
}

constexpr const char* kHelp[] = {
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
};

// CONFIG HELP
Action Help(Context&, Args&) {
  return HelpReply("CONFIG", kHelp);
}

constexpr Argument kConfigGetParameterArguments[] = {
    {.name = "parameter"},
};
constexpr Argument kConfigGetArguments[] = {
    {.name = "parameter",
     .type = Type::kBlock,
     .multiple = true,
     .children = kConfigGetParameterArguments},
};
constexpr Argument kConfigSetParameterValueArguments[] = {
    {.name = "parameter"},
    {.name = "value"},
};
constexpr Argument kConfigSetArguments[] = {
    {.name = "parameter_value",
     .type = Type::kBlock,
     .multiple = true,
     .children = kConfigSetParameterValueArguments},
};
constexpr const char* kConfigSetTips[] = {"request_policy:all_nodes",
                                          "response_policy:all_succeeded"};
constexpr CommandSpec kConfigSubcommands[] = {
    {.name = "GET",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Get,
     .summary = "Get the values of configuration parameters",
     .since = "2.0.0",
     .group = "server",
     .complexity = "O(N) when N is the number of configuration parameters provided",
     .arguments = kConfigGetArguments},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands",
     .since = "5.0.0",
     .group = "server"},
    {.name = "RESETSTAT",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = ResetStat,
     .summary = "Reset the stats returned by INFO",
     .since = "2.0.0",
     .group = "server"},
    {.name = "REWRITE",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Rewrite,
     .summary = "Rewrite the configuration file with the in memory configuration",
     .since = "2.8.0",
     .group = "server"},
    {.name = "SET",
     .arity = -4,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Set,
     .summary = "Set configuration parameters to the given values",
     .since = "2.0.0",
     .group = "server",
     .complexity = "O(N) when N is the number of configuration parameters provided",
     .arguments = kConfigSetArguments,
     .tips = kConfigSetTips},
};
constexpr CommandSpec kConfigRow = {.name = "CONFIG",
                                    .arity = -2,
                                    .summary = "A container for server configuration commands",
                                    .since = "2.0.0",
                                    .group = "server",
                                    .complexity = "Depends on subcommand.",
                                    .subcommands = kConfigSubcommands};

}  // namespace

CommandSpec ConfigCommand() {
  return kConfigRow;
}

}  // namespace lockstep
