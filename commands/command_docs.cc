#include "commands/command_docs.h"

#include <algorithm>

#include "commands/command_keys.h"

namespace lockstep {
namespace {

// By bit, in the order in which Redis prints them.
constexpr const char* kFlagNames[] = {"write",   "readonly",     "denyoom",      "admin",
                                      "pubsub",  "noscript",     "blocking",     "loading",
                                      "stale",   "skip_monitor", "skip_slowlog", "fast",
                                      "no_auth", "no_multi",     "movablekeys",  "allow_busy"};
constexpr const char* kCategoryNames[] = {
    "keyspace", "read",      "write",      "string",      "pubsub", "admin", "fast",  "slow",
    "blocking", "dangerous", "connection", "transaction", "lock",   "queue", "cache", "cluster"};
constexpr const char* kTypeNames[] = {"string",    "integer",    "double", "key",  "pattern",
                                      "unix-time", "pure-token", "oneof",  "block"};

template <size_t N>
Reply NamesOfBits(uint32_t bits, const char* const (&names)[N], BytesView prefix) {
  Reply set = Reply::Set();
  for (size_t i = 0; i < N; ++i) {
    if (bits & (uint32_t{1} << i)) set.Add(Reply::Simple(Bytes(prefix) + names[i]));
  }
  return set;
}

// Redis derives this flag: clients ask COMMAND GETKEYS for the keys of such a command.
uint32_t FlagsOf(const CommandSpec& spec) {
  const bool movable = std::any_of(spec.keys.begin(), spec.keys.end(),
                                   [](const KeySpec& key) { return key.keynum; });
  return spec.flags | (movable ? uint32_t{kMovableKeys} : 0);
}

Reply FindKeys(const KeySpec& key) {
  Reply spec = Reply::Map();
  if (key.keynum) {
    spec.Add("keynumidx", Reply::Integer(0));
    spec.Add("firstkey", Reply::Integer(1));
    spec.Add("keystep", Reply::Integer(key.step));
  } else {
    spec.Add("lastkey", Reply::Integer(key.last));
    spec.Add("keystep", Reply::Integer(key.step));
    spec.Add("limit", Reply::Integer(0));
  }
  Reply find = Reply::Map();
  find.Add("type", Reply::Bulk(key.keynum ? "keynum" : "range"));
  find.Add("spec", std::move(spec));
  return find;
}

Reply KeySpecOf(const KeySpec& key) {
  Reply begin = Reply::Map();
  begin.Add("type", Reply::Bulk("index"));
  begin.Add("spec", Reply::Map().Add("index", Reply::Integer(key.begin)));
  Reply map = Reply::Map();
  map.Add("flags", KeyFlags(key));
  map.Add("begin_search", std::move(begin));
  map.Add("find_keys", FindKeys(key));
  return map;
}

// Twice the name is not needed by anyone, so a subcommand's row holds only its own.
const Bytes& FullName(const CommandSpec& spec) {
  return CommandTable::Get().LeafName(spec);
}

Reply ArgumentsOf(std::span<const Argument> arguments);

Reply ArgumentOf(const Argument& argument) {
  Reply map = Reply::Map();
  map.Add("name", Reply::Bulk(argument.name));
  map.Add("type", Reply::Bulk(kTypeNames[static_cast<size_t>(argument.type)]));
  if (argument.key_spec >= 0) map.Add("key_spec_index", Reply::Integer(argument.key_spec));
  if (argument.token != nullptr) map.Add("token", Reply::Bulk(argument.token));
  Reply flags = Reply::Set();
  if (argument.optional) flags.Add(Reply::Simple("optional"));
  if (argument.multiple) flags.Add(Reply::Simple("multiple"));
  if (argument.multiple_token) flags.Add(Reply::Simple("multiple_token"));
  if (!flags.items.empty()) map.Add("flags", std::move(flags));
  if (!argument.children.empty()) map.Add("arguments", ArgumentsOf(argument.children));
  return map;
}

Reply ArgumentsOf(std::span<const Argument> arguments) {
  Reply list = Reply::Array();
  for (const Argument& argument : arguments) list.Add(ArgumentOf(argument));
  return list;
}

}  // namespace

Reply CommandInfoOf(const CommandSpec& spec) {
  const KeyRange range = LegacyKeyRange(spec);
  Reply tips = Reply::Set();
  for (const char* tip : spec.tips) tips.Add(Reply::Bulk(tip));
  Reply keys = Reply::Set();
  for (const KeySpec& key : spec.keys) keys.Add(KeySpecOf(key));
  Reply subcommands = Reply::Set();
  for (const CommandSpec& sub : spec.subcommands) subcommands.Add(CommandInfoOf(sub));

  Reply info = Reply::Array();
  info.Add(Reply::Bulk(FullName(spec)));
  info.Add(Reply::Integer(spec.arity));
  info.Add(NamesOfBits(FlagsOf(spec), kFlagNames, ""));
  info.Add(Reply::Integer(range.first));
  info.Add(Reply::Integer(range.last));
  info.Add(Reply::Integer(range.step));
  info.Add(NamesOfBits(CategoriesOf(spec), kCategoryNames, "@"));
  info.Add(std::move(tips));
  info.Add(std::move(keys));
  info.Add(std::move(subcommands));
  return info;
}

Reply CommandDocsOf(const CommandSpec& spec) {
  Reply docs = Reply::Map();
  docs.Add("summary", Reply::Bulk(spec.summary));
  docs.Add("since", Reply::Bulk(spec.since));
  docs.Add("group", Reply::Bulk(spec.group));
  docs.Add("complexity", Reply::Bulk(spec.complexity));
  if (!spec.arguments.empty()) docs.Add("arguments", ArgumentsOf(spec.arguments));
  if (!spec.subcommands.empty()) {
    Reply subcommands = Reply::Map();
    for (const CommandSpec& sub : spec.subcommands) {
      subcommands.Add(FullName(sub), CommandDocsOf(sub));
    }
    docs.Add("subcommands", std::move(subcommands));
  }
  return docs;
}

std::optional<Category> CategoryByName(BytesView name) {
  for (size_t i = 0; i < std::size(kCategoryNames); ++i) {
    if (EqualsIgnoreCase(kCategoryNames[i], name)) {
      return static_cast<Category>(uint32_t{1} << i);
    }
  }
  return std::nullopt;
}

std::span<const char* const> CategoryNames() {
  return kCategoryNames;
}

}  // namespace lockstep
