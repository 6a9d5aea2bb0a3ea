// The rows of the DQ.* commands.
#include "commands/dq.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr KeySpec kPushedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kInsert}};
constexpr KeySpec kPoppedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kDelete}};
constexpr KeySpec kChangedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kUpdate}};
constexpr KeySpec kReadKey[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess}};

constexpr Argument kQueue = {.name = "queue", .type = Type::kKey, .key_spec = 0};
constexpr Argument kReceipts = {.name = "receipt", .multiple = true};
constexpr Argument kCount = {
    .name = "count", .type = Type::kInteger, .token = "COUNT", .optional = true};
constexpr Argument kGroup = {.name = "group", .token = "GROUP", .optional = true};
constexpr Argument kPriority = {
    .name = "priority", .type = Type::kInteger, .token = "PRIORITY", .optional = true};
constexpr Argument kDelay = {
    .name = "milliseconds", .type = Type::kInteger, .token = "DELAY", .optional = true};
constexpr Argument kTtl = {
    .name = "milliseconds", .type = Type::kInteger, .token = "TTL", .optional = true};
constexpr Argument kRetry = {
    .name = "failures", .type = Type::kInteger, .token = "RETRY", .optional = true};
constexpr Argument kHeader[] = {{.name = "name"}, {.name = "value"}};
constexpr Argument kHeaderBlock[] = {
    {.name = "count", .type = Type::kInteger},
    {.name = "header", .type = Type::kBlock, .multiple = true, .children = kHeader},
};
constexpr Argument kHeaders = {.name = "headers", .type = Type::kBlock, .token = "HEADERS",
                               .optional = true, .children = kHeaderBlock};
constexpr Argument kFence = {
    .name = "token", .type = Type::kInteger, .token = "FENCE", .optional = true};

constexpr Argument kPushArguments[] = {
    kQueue, {.name = "body"}, {.name = "id", .token = "ID", .optional = true},
    kGroup, kPriority, kDelay, kTtl, kRetry, kHeaders, kFence,
};
constexpr Argument kMpushArguments[] = {
    kQueue, {.name = "count", .type = Type::kInteger}, {.name = "body", .multiple = true},
    kGroup, kPriority, kDelay, kTtl, kRetry, kHeaders, kFence,
};
constexpr Argument kAckBlock[] = {{.name = "count", .type = Type::kInteger}, kReceipts};
constexpr Argument kPopArguments[] = {
    {.name = "queue", .type = Type::kKey, .multiple = true, .key_spec = 0},
    kCount,
    {.name = "milliseconds", .type = Type::kInteger, .token = "BLOCK", .optional = true},
    {.name = "milliseconds", .type = Type::kInteger, .token = "LEASE", .optional = true},
    {.name = "tied", .type = Type::kPureToken, .token = "TIED", .optional = true},
    {.name = "noack", .type = Type::kPureToken, .token = "NOACK", .optional = true},
    {.name = "full", .type = Type::kPureToken, .token = "FULL", .optional = true},
    {.name = "ack", .type = Type::kBlock, .token = "ACK", .optional = true, .children = kAckBlock},
};
constexpr Argument kAckArguments[] = {kQueue, kReceipts};
constexpr Argument kHowWords[] = {
    {.name = "dead", .type = Type::kPureToken, .token = "DEAD"},
    {.name = "release", .type = Type::kPureToken, .token = "RELEASE"},
};
constexpr Argument kNackArguments[] = {
    kQueue, kReceipts, kDelay, {.name = "text", .token = "ERROR", .optional = true},
    {.name = "how", .type = Type::kOneOf, .optional = true, .children = kHowWords},
};
constexpr Argument kTouchArguments[] = {
    kQueue, {.name = "milliseconds", .type = Type::kInteger}, kReceipts};
constexpr Argument kOptionValue[] = {{.name = "option"}, {.name = "value"}};
constexpr Argument kSetArguments[] = {
    kQueue,
    {.name = "option", .type = Type::kBlock, .multiple = true, .children = kOptionValue},
};
constexpr Argument kPauseWords[] = {
    {.name = "in", .type = Type::kPureToken, .token = "IN"},
    {.name = "out", .type = Type::kPureToken, .token = "OUT"},
    {.name = "all", .type = Type::kPureToken, .token = "ALL"},
    {.name = "none", .type = Type::kPureToken, .token = "NONE"},
};
constexpr Argument kPauseArguments[] = {
    kQueue, {.name = "side", .type = Type::kOneOf, .children = kPauseWords}};
constexpr Argument kStateWords[] = {
    {.name = "ready", .type = Type::kPureToken, .token = "READY"},
    {.name = "delayed", .type = Type::kPureToken, .token = "DELAYED"},
    {.name = "leased", .type = Type::kPureToken, .token = "LEASED"},
    {.name = "dead", .type = Type::kPureToken, .token = "DEAD"},
};
constexpr Argument kPurgeArguments[] = {
    kQueue,
    {.name = "state", .type = Type::kOneOf, .optional = true, .multiple = true,
     .children = kStateWords},
};
constexpr Argument kDropArguments[] = {
    kQueue, {.name = "force", .type = Type::kPureToken, .token = "FORCE", .optional = true}};
constexpr Argument kDelArguments[] = {kQueue, {.name = "id", .multiple = true}};
constexpr Argument kMoveArguments[] = {kQueue, {.name = "destination"}, kCount};
constexpr Argument kQueueArguments[] = {kQueue};
constexpr Argument kPeekArguments[] = {
    kQueue, kCount, {.name = "id", .token = "FROM", .optional = true},
    {.name = "state", .type = Type::kOneOf, .token = "STATE", .optional = true,
     .children = kStateWords},
};
constexpr Argument kListArguments[] = {
    {.name = "cursor", .type = Type::kInteger, .token = "CURSOR", .optional = true},
    {.name = "pattern", .type = Type::kPattern, .token = "MATCH", .optional = true},
    kCount,
};

constexpr const char* kOutputVaries[] = {"nondeterministic_output"};

constexpr CommandSpec kQueueCommands[] = {
    {.name = "DQ.PUSH",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatQueue,
     .handler = DqPush,
     .summary = "Pushes a message; answers its id once a majority has it on disk.",
     .group = "queue",
     .complexity = "O(log(N)) in the messages that wait for a time.",
     .keys = kPushedKey,
     .arguments = kPushArguments,
     .tips = kOutputVaries},
    {.name = "DQ.MPUSH",
     .arity = -4,
     .flags = kWrite | kDenyOom,
     .categories = kCatQueue,
     .handler = DqMpush,
     .summary = "Pushes several messages, all or none; answers their ids.",
     .group = "queue",
     .complexity = "O(N) in the messages pushed.",
     .keys = kPushedKey,
     .arguments = kMpushArguments,
     .tips = kOutputVaries},
    {.name = "DQ.POP",
     .arity = -2,
     .flags = kWrite | kBlocking,
     .categories = kCatQueue,
     .handler = DqPop,
     .summary = "Leases messages, or waits for one; answers queue, receipt, body and attempt of "
                "each, or nil.",
     .group = "queue",
     .complexity = "O(N) in the messages answered and the receipts acknowledged.",
     .keys = kPoppedKey,
     .arguments = kPopArguments,
     .tips = kOutputVaries},
    {.name = "DQ.ACK",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCatQueue,
     .handler = DqAck,
     .summary = "Acknowledges messages: they are done; answers how many were.",
     .group = "queue",
     .complexity = "O(N) in the receipts.",
     .keys = kPoppedKey,
     .arguments = kAckArguments},
    {.name = "DQ.NACK",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCatQueue,
     .handler = DqNack,
     .summary = "Takes messages back: they failed and are retried, are dead, or are released.",
     .group = "queue",
     .complexity = "O(N*log(M)) in the receipts and the messages that wait for a time.",
     .keys = kChangedKey,
     .arguments = kNackArguments},
    {.name = "DQ.TOUCH",
     .arity = -4,
     .flags = kWrite | kFast,
     .categories = kCatQueue,
     .handler = DqTouch,
     .summary = "Extends leases; answers the remaining time of each, or -1 if it is lost.",
     .group = "queue",
     .complexity = "O(N*log(M)) in the receipts and the messages that wait for a time.",
     .keys = kChangedKey,
     .arguments = kTouchArguments},
    {.name = "DQ.LEN",
     .arity = 2,
     .flags = kReadonly | kFast,
     .categories = kCatQueue,
     .handler = DqLen,
     .summary = "Tells how many messages of a queue are ready.",
     .group = "queue",
     .keys = kReadKey,
     .arguments = kQueueArguments},
    {.name = "DQ.INFO",
     .arity = 2,
     .flags = kReadonly,
     .categories = kCatQueue,
     .handler = DqInfo,
     .summary = "Shows a queue: how many messages are in which state, what has happened, options.",
     .group = "queue",
     .keys = kReadKey,
     .arguments = kQueueArguments,
     .tips = kOutputVaries},
    {.name = "DQ.SET",
     .arity = -4,
     .flags = kWrite,
     .categories = kCatQueue,
     .handler = DqSet,
     .summary = "Sets options of a queue, and makes it if there is none.",
     .group = "queue",
     .complexity = "O(1); O(N) in the groups when group-concurrency changes.",
     .keys = kChangedKey,
     .arguments = kSetArguments},
    {.name = "DQ.LIST",
     .arity = -1,
     .flags = kReadonly,
     .categories = kCatQueue,
     .handler = DqList,
     .summary = "Iterates over the queues, as SCAN does over keys.",
     .group = "queue",
     .complexity = "O(1) for every call, O(N) for a complete iteration.",
     .arguments = kListArguments,
     .tips = kOutputVaries},
    {.name = "DQ.PEEK",
     .arity = -2,
     .flags = kReadonly,
     .categories = kCatQueue,
     .handler = DqPeek,
     .summary = "Shows messages of a queue without leasing them.",
     .group = "queue",
     .complexity = "O(N) in the messages shown.",
     .keys = kReadKey,
     .arguments = kPeekArguments,
     .tips = kOutputVaries},
    {.name = "DQ.DEL",
     .arity = -3,
     .flags = kWrite,
     .categories = kCatQueue,
     .handler = DqDel,
     .summary = "Deletes messages, whatever their state; answers how many there were.",
     .group = "queue",
     .complexity = "O(N) in the ids.",
     .keys = kPoppedKey,
     .arguments = kDelArguments},
    {.name = "DQ.MOVE",
     .arity = -3,
     .flags = kWrite,
     .categories = kCatQueue,
     .handler = DqMove,
     .summary = "Moves messages to another queue, failures forgotten, order kept; from "
                "<queue>!dead it is the redrive.",
     .group = "queue",
     .complexity = "O(N) in the messages moved.",
     .keys = kPoppedKey,
     .arguments = kMoveArguments},
    {.name = "DQ.PAUSE",
     .arity = 3,
     .flags = kWrite,
     .categories = kCatQueue,
     .handler = DqPause,
     .summary = "Stops a queue from taking pushes, from delivering, or both; NONE lets it go on.",
     .group = "queue",
     .keys = kChangedKey,
     .arguments = kPauseArguments},
    {.name = "DQ.PURGE",
     .arity = -2,
     .flags = kWrite,
     .categories = kCatQueue | kCatDangerous,
     .handler = DqPurge,
     .summary = "Deletes the messages of a queue, all or those in some states; answers how many.",
     .group = "queue",
     .complexity = "O(N) in the messages deleted.",
     .keys = kPoppedKey,
     .arguments = kPurgeArguments},
    {.name = "DQ.DROP",
     .arity = -2,
     .flags = kWrite,
     .categories = kCatQueue | kCatDangerous,
     .handler = DqDrop,
     .summary = "Drops a queue and its options; with FORCE, what is in it too.",
     .group = "queue",
     .complexity = "O(N) in the messages of the queue.",
     .keys = kPoppedKey,
     .arguments = kDropArguments},
};

}  // namespace

std::span<const CommandSpec> QueueCommands() { return kQueueCommands; }

}  // namespace lockstep
