// The rows of the commands on keys, whatever they hold.
#include "commands/string.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr KeySpec kErasedKeys[] = {
    {.access = KeySpec::Access::kRM, .intent = KeySpec::Intent::kDelete, .last = -1},
};
constexpr KeySpec kAskedKeys[] = {{.access = KeySpec::Access::kRO, .last = -1}};
constexpr KeySpec kChangedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kUpdate},
};
constexpr KeySpec kReadKey[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess},
};
constexpr KeySpec kRenameKeys[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kDelete, .answers = true},
    {.access = KeySpec::Access::kOW, .intent = KeySpec::Intent::kUpdate, .begin = 2},
};
constexpr KeySpec kRenamenxKeys[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kDelete, .answers = true},
    {.access = KeySpec::Access::kOW, .intent = KeySpec::Intent::kInsert, .begin = 2},
};
constexpr KeySpec kCopyKeys[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess},
    {.access = KeySpec::Access::kOW, .intent = KeySpec::Intent::kUpdate, .begin = 2},
};

constexpr Argument kKey = {.name = "key", .type = Type::kKey, .key_spec = 0};
constexpr Argument kNewKey = {.name = "newkey", .type = Type::kKey, .key_spec = 1};
constexpr Argument kConditionWords[] = {
    {.name = "nx", .type = Type::kPureToken, .token = "NX"},
    {.name = "xx", .type = Type::kPureToken, .token = "XX"},
    {.name = "gt", .type = Type::kPureToken, .token = "GT"},
    {.name = "lt", .type = Type::kPureToken, .token = "LT"},
};
constexpr Argument kCondition = {
    .name = "condition", .type = Type::kOneOf, .optional = true, .children = kConditionWords};

constexpr Argument kKeysOnly[] = {
    {.name = "key", .type = Type::kKey, .multiple = true, .key_spec = 0},
};
constexpr Argument kExpireArguments[] = {
    kKey,
    {.name = "seconds", .type = Type::kInteger},
    kCondition,
};
constexpr Argument kPexpireArguments[] = {
    kKey,
    {.name = "milliseconds", .type = Type::kInteger},
    kCondition,
};
constexpr Argument kExpireatArguments[] = {
    kKey,
    {.name = "unix-time-seconds", .type = Type::kUnixTime},
    kCondition,
};
constexpr Argument kPexpireatArguments[] = {
    kKey,
    {.name = "unix-time-milliseconds", .type = Type::kUnixTime},
    kCondition,
};
constexpr Argument kKeyOnly[] = {kKey};
constexpr Argument kRenameArguments[] = {kKey, kNewKey};
constexpr Argument kCopyArguments[] = {
    {.name = "source", .type = Type::kKey, .key_spec = 0},
    {.name = "destination", .type = Type::kKey, .key_spec = 1},
    {.name = "destination-db", .type = Type::kInteger, .token = "DB", .optional = true},
    {.name = "replace", .type = Type::kPureToken, .token = "REPLACE", .optional = true},
};

constexpr const char* kSumTips[] = {"request_policy:multi_shard", "response_policy:agg_sum"};
constexpr const char* kTtlTips[] = {"nondeterministic_output"};

constexpr CommandSpec kGenericRows[] = {
    {.name = "DEL",
     .arity = -2,
     .flags = kWrite,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyDel, kToTheEnd>,
     .on_keys = true,
     .ships = true,
     .summary = "Delete a key",
     .since = "1.0.0",
     .group = "generic",
     .complexity = "O(N) where N is the number of keys that will be removed. When a key to remove "
                   "holds a value other than a string, the individual complexity for this key is "
                   "O(M) where M is the number of elements in the list, set, sorted set or hash. "
                   "Removing a single key that holds a string value is O(1).",
     .keys = kErasedKeys,
     .arguments = kKeysOnly,
     .tips = kSumTips},
    {.name = "UNLINK",
     .arity = -2,
     .flags = kWrite | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyDel, kToTheEnd>,
     .on_keys = true,
     .ships = true,
     .summary = "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but "
                "non blocking.",
     .since = "4.0.0",
     .group = "generic",
     .complexity = "O(1) for each key removed regardless of its size. Then the command does O(N) "
                   "work in a different thread in order to reclaim memory, where N is the number "
                   "of allocations the deleted objects where composed of.",
     .keys = kErasedKeys,
     .arguments = kKeysOnly,
     .tips = kSumTips},
    {.name = "EXISTS",
     .arity = -2,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyExists, kToTheEnd>,
     .on_keys = true,
     .ships = true,
     .summary = "Determine if a key exists",
     .since = "1.0.0",
     .group = "generic",
     .complexity = "O(N) where N is the number of keys to check.",
     .keys = kAskedKeys,
     .arguments = kKeysOnly,
     .tips = kSumTips},
    {.name = "TOUCH",
     .arity = -2,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyExists, kToTheEnd>,
     .on_keys = true,
     .summary =
         "Alters the last access time of a key(s). Returns the number of existing keys specified.",
     .since = "3.2.1",
     .group = "generic",
     .complexity = "O(N) where N is the number of keys that will be touched.",
     .keys = kAskedKeys,
     .arguments = kKeysOnly,
     .tips = kSumTips},
    {.name = "EXPIRE",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyExpire>,
     .on_keys = true,
     .summary = "Set a key's time to live in seconds",
     .since = "1.0.0",
     .group = "generic",
     .keys = kChangedKey,
     .arguments = kExpireArguments},
    {.name = "PEXPIRE",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyPexpire>,
     .on_keys = true,
     .summary = "Set a key's time to live in milliseconds",
     .since = "2.6.0",
     .group = "generic",
     .keys = kChangedKey,
     .arguments = kPexpireArguments},
    {.name = "EXPIREAT",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyExpireat>,
     .on_keys = true,
     .summary = "Set the expiration for a key as a UNIX timestamp",
     .since = "1.2.0",
     .group = "generic",
     .keys = kChangedKey,
     .arguments = kExpireatArguments},
    {.name = "PEXPIREAT",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyPexpireat>,
     .on_keys = true,
     .summary = "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
     .since = "2.6.0",
     .group = "generic",
     .keys = kChangedKey,
     .arguments = kPexpireatArguments},
    {.name = "EXPIRETIME",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyExpiretime>,
     .on_keys = true,
     .summary = "Get the expiration Unix timestamp for a key",
     .since = "7.0.0",
     .group = "generic",
     .keys = kReadKey,
     .arguments = kKeyOnly},
    {.name = "PEXPIRETIME",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyPexpiretime>,
     .on_keys = true,
     .summary = "Get the expiration Unix timestamp for a key in milliseconds",
     .since = "7.0.0",
     .group = "generic",
     .keys = kReadKey,
     .arguments = kKeyOnly},
    {.name = "TTL",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyTtl>,
     .on_keys = true,
     .ships = true,
     .summary = "Get the time to live for a key in seconds",
     .since = "1.0.0",
     .group = "generic",
     .keys = kReadKey,
     .arguments = kKeyOnly,
     .tips = kTtlTips},
    {.name = "PTTL",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyPttl>,
     .on_keys = true,
     .ships = true,
     .summary = "Get the time to live for a key in milliseconds",
     .since = "2.6.0",
     .group = "generic",
     .keys = kReadKey,
     .arguments = kKeyOnly,
     .tips = kTtlTips},
    {.name = "PERSIST",
     .arity = 2,
     .flags = kWrite | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyPersist>,
     .on_keys = true,
     .summary = "Remove the expiration from a key",
     .since = "2.2.0",
     .group = "generic",
     .keys = kChangedKey,
     .arguments = kKeyOnly},
    {.name = "RENAME",
     .arity = 3,
     .flags = kWrite,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyRename, 2>,
     .on_keys = true,
     .summary = "Rename a key",
     .since = "1.0.0",
     .group = "generic",
     .keys = kRenameKeys,
     .arguments = kRenameArguments},
    {.name = "RENAMENX",
     .arity = 3,
     .flags = kWrite | kFast,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyRenamenx, 2>,
     .on_keys = true,
     .summary = "Rename a key, only if the new key does not exist",
     .since = "1.0.0",
     .group = "generic",
     .keys = kRenamenxKeys,
     .arguments = kRenameArguments},
    {.name = "COPY",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCatKeyspace,
     .handler = OnKeys<KeyCopy, 2>,
     .on_keys = true,
     .summary = "Copy a key",
     .since = "6.2.0",
     .group = "generic",
     .complexity = "O(N) worst case for collections, where N is the number of nested items. O(1) "
                   "for string values.",
     .keys = kCopyKeys,
     .arguments = kCopyArguments},
};

}  // namespace

std::span<const CommandSpec> GenericRows() {
  return kGenericRows;
}

}  // namespace lockstep
