// The rows of the commands on strings; those on any key are beside them (generic_table.cc).
#include "commands/string.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr KeySpec kReadKey[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess},
};
constexpr KeySpec kChangedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kUpdate},
};
constexpr KeySpec kWrittenKey[] = {
    {.access = KeySpec::Access::kOW, .intent = KeySpec::Intent::kUpdate},
};
constexpr KeySpec kInsertedKey[] = {
    {.access = KeySpec::Access::kOW, .intent = KeySpec::Intent::kInsert},
};
constexpr KeySpec kTakenKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kDelete, .answers = true},
};
constexpr KeySpec kToldKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kUpdate, .answers = true},
};
constexpr KeySpec kReadKeys[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess, .last = -1},
};
constexpr KeySpec kWrittenKeys[] = {
    {.access = KeySpec::Access::kOW, .intent = KeySpec::Intent::kUpdate, .last = -1, .step = 2},
};
constexpr KeySpec kInsertedKeys[] = {
    {.access = KeySpec::Access::kOW, .intent = KeySpec::Intent::kInsert, .last = -1, .step = 2},
};
constexpr KeySpec kExtendedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kInsert},
};
constexpr KeySpec kAskedKey[] = {{.access = KeySpec::Access::kRO}};

constexpr Argument kKey = {.name = "key", .type = Type::kKey, .key_spec = 0};
constexpr Argument kValue = {.name = "value"};
constexpr Argument kSeconds = {.name = "seconds", .type = Type::kInteger};
constexpr Argument kMilliseconds = {.name = "milliseconds", .type = Type::kInteger};
constexpr Argument kEx = {.name = "seconds", .type = Type::kInteger, .token = "EX"};
constexpr Argument kPx = {.name = "milliseconds", .type = Type::kInteger, .token = "PX"};
constexpr Argument kExat = {.name = "unix-time-seconds", .type = Type::kUnixTime, .token = "EXAT"};
constexpr Argument kPxat = {
    .name = "unix-time-milliseconds", .type = Type::kUnixTime, .token = "PXAT"};

constexpr Argument kKeyOnly[] = {kKey};
constexpr Argument kNxOrXx[] = {
    {.name = "nx", .type = Type::kPureToken, .token = "NX"},
    {.name = "xx", .type = Type::kPureToken, .token = "XX"},
};
constexpr Argument kSetTimes[] = {
    kEx, kPx, kExat, kPxat, {.name = "keepttl", .type = Type::kPureToken, .token = "KEEPTTL"},
};
constexpr Argument kSetArguments[] = {
    kKey,
    kValue,
    {.name = "condition", .type = Type::kOneOf, .optional = true, .children = kNxOrXx},
    {.name = "get", .type = Type::kPureToken, .token = "GET", .optional = true},
    {.name = "expiration", .type = Type::kOneOf, .optional = true, .children = kSetTimes},
};
constexpr Argument kSetexArguments[] = {kKey, kSeconds, kValue};
constexpr Argument kPsetexArguments[] = {kKey, kMilliseconds, kValue};
constexpr Argument kKeyAndValue[] = {kKey, kValue};
constexpr Argument kGetexTimes[] = {
    kEx, kPx, kExat, kPxat, {.name = "persist", .type = Type::kPureToken, .token = "PERSIST"},
};
constexpr Argument kGetexArguments[] = {
    kKey,
    {.name = "expiration", .type = Type::kOneOf, .optional = true, .children = kGetexTimes},
};
constexpr Argument kKeysOnly[] = {
    {.name = "key", .type = Type::kKey, .multiple = true, .key_spec = 0},
};
constexpr Argument kPairs[] = {
    {.name = "key_value", .type = Type::kBlock, .multiple = true, .children = kKeyAndValue},
};
constexpr Argument kGetrangeArguments[] = {
    kKey,
    {.name = "start", .type = Type::kInteger},
    {.name = "end", .type = Type::kInteger},
};
constexpr Argument kSetrangeArguments[] = {
    kKey,
    {.name = "offset", .type = Type::kInteger},
    kValue,
};
constexpr Argument kIncrbyArguments[] = {
    kKey,
    {.name = "increment", .type = Type::kInteger},
};
constexpr Argument kDecrbyArguments[] = {
    kKey,
    {.name = "decrement", .type = Type::kInteger},
};
constexpr Argument kIncrbyfloatArguments[] = {
    kKey,
    {.name = "increment", .type = Type::kDouble},
};

constexpr const char* kMgetTips[] = {"request_policy:multi_shard"};
constexpr const char* kMsetTips[] = {"request_policy:multi_shard", "response_policy:all_succeeded"};
constexpr const char* kMsetnxTips[] = {"request_policy:multi_shard", "response_policy:agg_min"};

constexpr CommandSpec kStringRows[] = {
    {.name = "GET",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringGet>,
     .on_keys = true,
     .ships = true,
     .summary = "Get the value of a key",
     .since = "1.0.0",
     .group = "string",
     .keys = kReadKey,
     .arguments = kKeyOnly},
    {.name = "SET",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCatString,
     .handler = OnKeys<StringSet>,
     .on_keys = true,
     .brief = true,
     .ships = true,
     .summary = "Set the string value of a key",
     .since = "1.0.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kSetArguments},
    {.name = "SETEX",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .categories = kCatString,
     .handler = OnKeys<StringSetex>,
     .on_keys = true,
     .brief = true,
     .ships = true,
     .summary = "Set the value and expiration of a key",
     .since = "2.0.0",
     .group = "string",
     .keys = kWrittenKey,
     .arguments = kSetexArguments},
    {.name = "PSETEX",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .categories = kCatString,
     .handler = OnKeys<StringPsetex>,
     .on_keys = true,
     .brief = true,
     .ships = true,
     .summary = "Set the value and expiration in milliseconds of a key",
     .since = "2.6.0",
     .group = "string",
     .keys = kWrittenKey,
     .arguments = kPsetexArguments},
    {.name = "SETNX",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringSetnx>,
     .on_keys = true,
     .ships = true,
     .summary = "Set the value of a key, only if the key does not exist",
     .since = "1.0.0",
     .group = "string",
     .keys = kInsertedKey,
     .arguments = kKeyAndValue},
    {.name = "GETSET",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringGetset>,
     .on_keys = true,
     .ships = true,
     .summary = "Set the string value of a key and return its old value",
     .since = "1.0.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kKeyAndValue},
    {.name = "GETDEL",
     .arity = 2,
     .flags = kWrite | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringGetdel>,
     .on_keys = true,
     .ships = true,
     .summary = "Get the value of a key and delete the key",
     .since = "6.2.0",
     .group = "string",
     .keys = kTakenKey,
     .arguments = kKeyOnly},
    {.name = "GETEX",
     .arity = -2,
     .flags = kWrite | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringGetex>,
     .on_keys = true,
     .summary = "Get the value of a key and optionally set its expiration",
     .since = "6.2.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kGetexArguments},
    {.name = "MGET",
     .arity = -2,
     .flags = kReadonly | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringMget, kToTheEnd>,
     .on_keys = true,
     .summary = "Get the values of all the given keys",
     .since = "1.0.0",
     .group = "string",
     .complexity = "O(N) where N is the number of keys to retrieve.",
     .keys = kReadKeys,
     .arguments = kKeysOnly,
     .tips = kMgetTips},
    {.name = "MSET",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCatString,
     .handler = OnKeys<StringMset, kToTheEnd, 2>,
     .on_keys = true,
     .summary = "Set multiple keys to multiple values",
     .since = "1.0.1",
     .group = "string",
     .complexity = "O(N) where N is the number of keys to set.",
     .keys = kWrittenKeys,
     .arguments = kPairs,
     .tips = kMsetTips},
    {.name = "MSETNX",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCatString,
     .handler = OnKeys<StringMsetnx, kToTheEnd, 2>,
     .on_keys = true,
     .summary = "Set multiple keys to multiple values, only if none of the keys exist",
     .since = "1.0.1",
     .group = "string",
     .complexity = "O(N) where N is the number of keys to set.",
     .keys = kInsertedKeys,
     .arguments = kPairs,
     .tips = kMsetnxTips},
    {.name = "APPEND",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringAppend>,
     .on_keys = true,
     .ships = true,
     .summary = "Append a value to a key",
     .since = "2.0.0",
     .group = "string",
     .complexity =
         "O(1). The amortized time complexity is O(1) assuming the appended value is small and the "
         "already present value is of any size, since the dynamic string library used by Redis "
         "will double the free space available on every reallocation.",
     .keys = kExtendedKey,
     .arguments = kKeyAndValue},
    {.name = "STRLEN",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringStrlen>,
     .on_keys = true,
     .ships = true,
     .summary = "Get the length of the value stored in a key",
     .since = "2.2.0",
     .group = "string",
     .keys = kAskedKey,
     .arguments = kKeyOnly},
    {.name = "GETRANGE",
     .arity = 4,
     .flags = kReadonly,
     .categories = kCatString,
     .handler = OnKeys<StringGetrange>,
     .on_keys = true,
     .ships = true,
     .summary = "Get a substring of the string stored at a key",
     .since = "2.4.0",
     .group = "string",
     .complexity =
         "O(N) where N is the length of the returned string. The complexity is ultimately "
         "determined by the returned length, but because creating a substring from an existing "
         "string is very cheap, it can be considered O(1) for small strings.",
     .keys = kReadKey,
     .arguments = kGetrangeArguments},
    {.name = "SUBSTR",
     .arity = 4,
     .flags = kReadonly,
     .categories = kCatString,
     .handler = OnKeys<StringGetrange>,
     .on_keys = true,
     .summary = "Get a substring of the string stored at a key",
     .since = "1.0.0",
     .group = "string",
     .complexity =
         "O(N) where N is the length of the returned string. The complexity is ultimately "
         "determined by the returned length, but because creating a substring from an existing "
         "string is very cheap, it can be considered O(1) for small strings.",
     .keys = kReadKey,
     .arguments = kGetrangeArguments},
    {.name = "SETRANGE",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .categories = kCatString,
     .handler = OnKeys<StringSetrange>,
     .on_keys = true,
     .ships = true,
     .summary = "Overwrite part of a string at key starting at the specified offset",
     .since = "2.2.0",
     .group = "string",
     .complexity = "O(1), not counting the time taken to copy the new string in place. Usually, "
                   "this string is very small so the amortized complexity is O(1). Otherwise, "
                   "complexity is O(M) with M being the length of the value argument.",
     .keys = kChangedKey,
     .arguments = kSetrangeArguments},
    {.name = "INCR",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringIncr>,
     .on_keys = true,
     .ships = true,
     .summary = "Increment the integer value of a key by one",
     .since = "1.0.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kKeyOnly},
    {.name = "INCRBY",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringIncrby>,
     .on_keys = true,
     .ships = true,
     .summary = "Increment the integer value of a key by the given amount",
     .since = "1.0.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kIncrbyArguments},
    {.name = "DECR",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringDecr>,
     .on_keys = true,
     .ships = true,
     .summary = "Decrement the integer value of a key by one",
     .since = "1.0.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kKeyOnly},
    {.name = "DECRBY",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringDecrby>,
     .on_keys = true,
     .ships = true,
     .summary = "Decrement the integer value of a key by the given number",
     .since = "1.0.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kDecrbyArguments},
    {.name = "INCRBYFLOAT",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatString,
     .handler = OnKeys<StringIncrbyfloat>,
     .on_keys = true,
     .ships = true,
     .summary = "Increment the float value of a key by the given amount",
     .since = "2.6.0",
     .group = "string",
     .keys = kToldKey,
     .arguments = kIncrbyfloatArguments},
};

}  // namespace

std::span<const CommandSpec> StringCommands() {
  static const std::vector<CommandSpec> rows = [] {
    std::vector<CommandSpec> all(std::begin(kStringRows), std::end(kStringRows));
    const std::span<const CommandSpec> generic = GenericRows();
    all.insert(all.end(), generic.begin(), generic.end());
    return all;
  }();
  return rows;
}

}  // namespace lockstep
