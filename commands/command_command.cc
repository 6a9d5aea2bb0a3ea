// COMMAND: the command table tells of itself.
#include "commands/command_docs.h"
#include "commands/command_keys.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr const char* kFewerNames = "ask for fewer commands at once";

const CommandTable& Table() {
  return CommandTable::Get();
}

// COMMAND, and COMMAND INFO without names
Action All(Context&, Args& args) {
  if (args.More()) return UnknownSubcommand(args.all());
  Reply list = Reply::Array();
  for (const CommandSpec* spec : Table().all()) list.Add(CommandInfoOf(*spec));
  return list;
}

// COMMAND COUNT
Action Count(Context&, Args&) {
  return Reply::Integer(static_cast<int64_t>(Table().all().size()));
}

// COMMAND INFO [name ...]: nil where there is no such command.
Action Info(Context& ctx, Args& args) {
  if (!args.More()) return All(ctx, args);
  BoundedReply list(Reply::Array());
  for (const BytesView name : args.rest()) {
    const FoundCommand found = Table().FindByName(name);
    if (!list.Add(found.command == nullptr ? Reply::Nil() : CommandInfoOf(found.leaf()))) break;
  }
  return list.Take(kFewerNames);
}

// COMMAND DOCS [name ...]: unknown names are left out.
Action Docs(Context&, Args& args) {
  BoundedReply map(Reply::Map());
  const auto add = [&map](const CommandSpec& spec) {
    return map.Add(Table().LeafName(spec), CommandDocsOf(spec));
  };
  if (!args.More()) {
    for (const CommandSpec* spec : Table().all()) add(*spec);
  }
  for (const BytesView name : args.rest()) {
    const FoundCommand found = Table().FindByName(name);
    if (found.command != nullptr && !add(found.leaf())) break;
  }
  return map.Take(kFewerNames);
}

// The names of the commands and subcommands that `wanted` lets through.
template <class Wanted>
Reply NamesWhere(const Wanted& wanted) {
  Reply list = Reply::Array();
  const auto consider = [&](const CommandSpec& spec) {
    const Bytes& name = Table().LeafName(spec);
    if (wanted(spec, name)) list.Add(Reply::Bulk(name));
  };
  for (const CommandSpec* spec : Table().all()) {
    consider(*spec);
    for (const CommandSpec& sub : spec->subcommands) consider(sub);
  }
  return list;
}

// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN glob]
Action List(Context&, Args& args) {
  const auto rest = args.rest();
  if (rest.empty()) {
    // Without a filter only whole commands are listed, with one subcommands too, as in Redis.
    Reply list = Reply::Array();
    for (const CommandSpec* spec : Table().all()) list.Add(Reply::Bulk(Table().LeafName(*spec)));
    return list;
  }
  if (rest.size() != 3 || !EqualsIgnoreCase(rest[0], "filterby")) return SyntaxErrorReply();
  if (EqualsIgnoreCase(rest[1], "module")) return Reply::Array();  // There are no modules.
  if (EqualsIgnoreCase(rest[1], "aclcat")) {
    const auto category = CategoryByName(rest[2]);
    if (!category) return Reply::Array();
    return NamesWhere(
        [&](const CommandSpec& spec, const Bytes&) { return CategoriesOf(spec) & *category; });
  }
  if (EqualsIgnoreCase(rest[1], "pattern")) {
    if (auto refused = RefuseLongPattern(rest[2])) return *refused;
    return NamesWhere(
        [&](const CommandSpec&, const Bytes& name) { return GlobMatch(rest[2], name, true); });
  }
  return SyntaxErrorReply();
}

// The keys of the call that follows GETKEYS, each through `show`.
template <class Show>
Reply KeysOfCall(std::span<const BytesView> call, const Show& show) {
  const FoundCommand found = Table().Find(call);
  const bool container = found.command != nullptr && !found.command->subcommands.empty();
  if (found.command == nullptr || (container && found.subcommand == nullptr && call.size() > 1)) {
    return Reply::Error("ERR", "Invalid command specified");
  }
  const CommandSpec& leaf = found.leaf();
  if (!HasKeys(leaf)) return Reply::Error("ERR", "The command has no key arguments");
  if (!ArityFits(leaf, call.size())) {
    return Reply::Error("ERR", "Invalid number of arguments specified for command");
  }
  const auto keys = KeysOf(leaf, call);
  if (!keys) return Reply::Error("ERR", "Invalid arguments specified for command");
  BoundedReply list(Reply::Array());
  for (const KeyAt& key : *keys) {
    if (!list.Add(show(key, Reply::Bulk(Bytes(call[key.position]))))) break;
  }
  return list.Take("ask with fewer keys");
}

// COMMAND GETKEYS command [arg ...]
Action GetKeys(Context&, Args& args) {
  return KeysOfCall(args.rest(), [](const KeyAt&, Reply name) { return name; });
}

// COMMAND GETKEYSANDFLAGS command [arg ...]
Action GetKeysAndFlags(Context&, Args& args) {
  return KeysOfCall(args.rest(), [](const KeyAt& key, Reply name) {
    return Reply::Array({std::move(name), KeyFlags(*key.spec)});
  });
}

constexpr const char* kHelp[] = {
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
};

// COMMAND HELP
Action Help(Context&, Args&) {
  return HelpReply("COMMAND", kHelp);
}

constexpr Argument kCommandDocsArguments[] = {
    {.name = "command-name", .optional = true, .multiple = true},
};
constexpr const char* kCommandDocsTips[] = {"nondeterministic_output_order"};
constexpr Argument kCommandInfoArguments[] = {
    {.name = "command-name", .optional = true, .multiple = true},
};
constexpr const char* kCommandInfoTips[] = {"nondeterministic_output_order"};
constexpr Argument kCommandListFilterbyArguments[] = {
    {.name = "module-name", .token = "MODULE"},
    {.name = "category", .token = "ACLCAT"},
    {.name = "pattern", .type = Type::kPattern, .token = "PATTERN"},
};
constexpr Argument kCommandListArguments[] = {
    {.name = "filterby",
     .type = Type::kOneOf,
     .token = "FILTERBY",
     .optional = true,
     .children = kCommandListFilterbyArguments},
};
constexpr const char* kCommandListTips[] = {"nondeterministic_output_order"};
constexpr Argument kCallArguments[] = {
    {.name = "command"},
    {.name = "arg", .optional = true, .multiple = true},
};
constexpr CommandSpec kCommandSubcommands[] = {
    {.name = "COUNT",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = Count,
     .summary = "Get total number of commands",
     .since = "2.8.13",
     .group = "server"},
    {.name = "DOCS",
     .arity = -2,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = Docs,
     .summary = "Get array of specific command documentation",
     .since = "7.0.0",
     .group = "server",
     .complexity = "O(N) where N is the number of commands to look up",
     .arguments = kCommandDocsArguments,
     .tips = kCommandDocsTips},
    {.name = "GETKEYS",
     .arity = -4,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = GetKeys,
     .summary = "Extract keys given a full command",
     .since = "2.8.13",
     .group = "server",
     .complexity = "O(N) where N is the number of arguments to the command",
     .arguments = kCallArguments},
    {.name = "GETKEYSANDFLAGS",
     .arity = -4,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = GetKeysAndFlags,
     .summary = "Extract keys and access flags given a full command",
     .since = "7.0.0",
     .group = "server",
     .complexity = "O(N) where N is the number of arguments to the command",
     .arguments = kCallArguments},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands",
     .since = "5.0.0",
     .group = "server"},
    {.name = "INFO",
     .arity = -2,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = Info,
     .summary = "Get array of specific command details, or all when no argument is given.",
     .since = "2.8.13",
     .group = "server",
     .complexity = "O(N) where N is the number of commands to look up",
     .arguments = kCommandInfoArguments,
     .tips = kCommandInfoTips},
    {.name = "LIST",
     .arity = -2,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = List,
     .summary = "Get an array of command names",
     .since = "7.0.0",
     .group = "server",
     .complexity = "O(N) where N is the total number of commands",
     .arguments = kCommandListArguments,
     .tips = kCommandListTips},
};
constexpr const char* kCommandTips[] = {"nondeterministic_output_order"};
constexpr CommandSpec kCommandRow = {.name = "COMMAND",
                                     .arity = -1,
                                     .flags = kLoading | kStale,
                                     .categories = kCatConnection,
                                     .handler = All,
                                     .summary = "Get array of command details",
                                     .since = "2.8.13",
                                     .group = "server",
                                     .complexity = "O(N) where N is the total number of commands",
                                     .tips = kCommandTips,
                                     .subcommands = kCommandSubcommands};

}  // namespace

CommandSpec CommandCommand() {
  return kCommandRow;
}

}  // namespace lockstep
