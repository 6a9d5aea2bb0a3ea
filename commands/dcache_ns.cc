// DCACHE.NS: options of cached keys by prefix of their names. Group `control` keeps them
// (commands/cache_spaces.h); each node goes by them as soon as it has heard.
//
//   DCACHE.NS SET prefix option value [option value ...]
//   DCACHE.NS GET prefix
//   DCACHE.NS LIST
//   DCACHE.NS DEL prefix
//   DCACHE.NS FLUSH prefix
#include <span>
#include <utility>

#include "commands/cache_tasks.h"
#include "commands/control_machine.h"
#include "commands/host.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;
using Option = SpaceChange::Option;

// An option whose value is one of some words, in the order of its enumerators.
struct WordOption {
  const char* token;
  Option option;
  std::span<const char* const> words;
};
constexpr const char* kClasses[] = {"back", "home", "quorum"};
constexpr const char* kReads[] = {"shared", "exclusive"};
constexpr const char* kPolicies[] = {"sieve", "lru", "noeviction"};
constexpr const char* kOnNoLease[] = {"error", "miss"};
constexpr WordOption kWordOptions[] = {
    {"CLASS", Option::kClass, kClasses},
    {"READS", Option::kReads, kReads},
    {"POLICY", Option::kPolicy, kPolicies},
    {"ONNOLEASE", Option::kOnNoLease, kOnNoLease},
};

BytesView TakePrefix(Args& args) {
  const BytesView prefix = args.Next();
  if (prefix.size() > kNameBytesMax) {
    args.Fail(Reply::Error("LIMIT", Format("the prefix has %zu bytes, at most %zu are allowed; "
                                           "nothing was changed", prefix.size(), kNameBytesMax)));
  }
  return prefix;
}

Bytes Joined(std::span<const char* const> words) {
  Bytes text;
  for (const char* word : words) text += (text.empty() ? "" : ", ") + Bytes(word);
  return text;
}

int64_t TakeWord(Args& args, const WordOption& option) {
  const BytesView word = args.Next();
  for (size_t i = 0; i < option.words.size(); ++i) {
    if (EqualsIgnoreCase(word, option.words[i])) return static_cast<int64_t>(i);
  }
  args.Fail(Reply::Error("ERR", "'" + Printable(word) + "' is no " + option.token + ": " +
                                    Joined(option.words) + "; nothing was changed"));
  return 0;
}

bool TakeOption(Args& args, SpaceChange* change) {
  for (const WordOption& option : kWordOptions) {
    if (!args.Token(option.token)) continue;
    change->options.push_back({option.option, TakeWord(args, option)});
    return true;
  }
  if (args.Token("TTL")) {
    change->options.push_back({Option::kTtl, args.Integer("TTL", 0, kSpaceTtlMsMax)});
    return true;
  }
  if (!args.Token("MAXMEMORY")) return false;
  change->options.push_back({Option::kMemory, args.Integer("MAXMEMORY", 0, kSpaceMemoryMax)});
  return true;
}

// DCACHE.NS SET: options that are not named stay as they are.
Action NsSet(Context&, Args& args) {
  SpaceChange change;
  change.prefix = TakePrefix(args);
  while (args.More()) {
    if (!TakeOption(args, &change)) args.SyntaxError();
  }
  if (args.failed()) return args.error();
  return Propose{kControlGroup, EncodeSetSpace(change)};
}

// DCACHE.NS GET: a map, or nil.
Action NsGet(Context&, Args& args) {
  const BytesView prefix = TakePrefix(args);
  if (args.failed()) return args.error();
  return Query{kControlGroup, SpaceQuery(prefix)};
}

// DCACHE.NS LIST: an array of such maps, in order of the prefixes.
Action NsList(Context&, Args&) {
  return Query{kControlGroup, SpacesQuery()};
}

// DCACHE.NS DEL: 1, or 0. The keys stay.
Action NsDel(Context&, Args& args) {
  const BytesView prefix = TakePrefix(args);
  if (args.failed()) return args.error();
  return Propose{kControlGroup, EncodeDropSpace(prefix)};
}

// DCACHE.NS FLUSH: the keys whose names begin so, whether the prefix has options or not.
Action NsFlush(Context& ctx, Args& args) {
  const BytesView prefix = TakePrefix(args);
  if (args.failed()) return args.error();
  return OutsideExec(ctx, MakeFlushPrefixTask(ctx.host.Shards(), Bytes(prefix)));
}

constexpr const char* kHelp[] = {
    "SET <prefix> <option> <value> [<option> <value> ...]",
    "    Set options of the keys whose longest prefix this is:",
    "    CLASS back|home|quorum, READS shared|exclusive, TTL <milliseconds>,",
    "    MAXMEMORY <bytes>, POLICY sieve|lru|noeviction, ONNOLEASE error|miss",
    "GET <prefix>",
    "    Return the options of a prefix, or nil.",
    "LIST",
    "    Return all prefixes with their options.",
    "DEL <prefix>",
    "    Set the options of a prefix back to the defaults; its keys stay.",
    "FLUSH <prefix>",
    "    Delete all keys that begin with the prefix.",
};

// DCACHE.NS HELP
Action NsHelp(Context&, Args&) {
  return HelpReply("DCACHE.NS", kHelp);
}

constexpr Argument Enum(const char* name, const char* token, std::span<const Argument> values) {
  return {.name = name, .type = Type::kOneOf, .token = token, .optional = true,
          .children = values};
}
constexpr Argument Value(const char* name, const char* token) {
  return {.name = name, .type = Type::kPureToken, .token = token};
}
constexpr Argument kClassValues[] = {Value("back", "BACK"), Value("home", "HOME"),
                                     Value("quorum", "QUORUM")};
constexpr Argument kReadsValues[] = {Value("shared", "SHARED"), Value("exclusive", "EXCLUSIVE")};
constexpr Argument kPolicyValues[] = {Value("sieve", "SIEVE"), Value("lru", "LRU"),
                                      Value("noeviction", "NOEVICTION")};
constexpr Argument kOnNoLeaseValues[] = {Value("error", "ERROR"), Value("miss", "MISS")};
constexpr Argument kPrefix = {.name = "prefix"};
constexpr Argument kPrefixOnly[] = {kPrefix};
constexpr Argument kSetArguments[] = {
    kPrefix,
    Enum("class", "CLASS", kClassValues),
    Enum("reads", "READS", kReadsValues),
    {.name = "milliseconds", .type = Type::kInteger, .token = "TTL", .optional = true},
    {.name = "bytes", .type = Type::kInteger, .token = "MAXMEMORY", .optional = true},
    Enum("policy", "POLICY", kPolicyValues),
    Enum("onnolease", "ONNOLEASE", kOnNoLeaseValues),
};
constexpr const char* kFlushTips[] = {"request_policy:all_shards", "response_policy:all_succeeded"};

constexpr CommandSpec kNsSubcommands[] = {
    {.name = "DEL",
     .arity = 3,
     .flags = kAdmin | kWrite,
     .categories = kCatCache,
     .handler = NsDel,
     .summary = "Sets the options of a prefix back to the defaults; its keys stay.",
     .group = "cache",
     .complexity = "O(N) in the prefixes.",
     .arguments = kPrefixOnly},
    {.name = "FLUSH",
     .arity = 3,
     .flags = kWrite,
     .categories = kCatCache | kCatDangerous,
     .handler = NsFlush,
     .summary = "Deletes all keys that begin with a prefix.",
     .group = "cache",
     .complexity = "O(N) in the keys of all prefixes.",
     .arguments = kPrefixOnly,
     .tips = kFlushTips},
    {.name = "GET",
     .arity = 3,
     .flags = kReadonly,
     .categories = kCatCache,
     .handler = NsGet,
     .summary = "Shows the options of a prefix, or nil.",
     .group = "cache",
     .complexity = "O(log N) in the prefixes.",
     .arguments = kPrefixOnly},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kCatCache,
     .handler = NsHelp,
     .summary = "Shows helpful text about the subcommands.",
     .group = "cache"},
    {.name = "LIST",
     .arity = 2,
     .flags = kReadonly,
     .categories = kCatCache,
     .handler = NsList,
     .summary = "Shows all prefixes with their options.",
     .group = "cache",
     .complexity = "O(N) in the prefixes."},
    {.name = "SET",
     .arity = -5,
     .flags = kAdmin | kWrite,
     .categories = kCatCache,
     .handler = NsSet,
     .summary = "Sets options of the keys with a prefix: the longest that a key has counts.",
     .group = "cache",
     .complexity = "O(N) in the prefixes.",
     .arguments = kSetArguments},
};
constexpr CommandSpec kNsRows[] = {
    {.name = "DCACHE.NS",
     .arity = -2,
     .categories = kCatCache,
     .summary = "A container for the options of cached keys by prefix.",
     .group = "cache",
     .complexity = "Depends on subcommand.",
     .subcommands = kNsSubcommands},
};

}  // namespace

std::span<const CommandSpec> DcacheNsCommands() {
  return kNsRows;
}

}  // namespace lockstep
