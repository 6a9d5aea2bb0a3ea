// MEMORY: what this node's memory holds.
#include "commands/host.h"
#include "commands/keys.h"
#include "commands/lock_ops.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

// Of a line beside its key and value, about (cluster/mesi/line_table.h).
constexpr size_t kLineBytes = 60;

constexpr KeySpec kUsageKeys[] = {{.access = KeySpec::Access::kRO, .begin = 2}};

// MEMORY USAGE key [SAMPLES count]: of a key, or else of the lock with that name. SAMPLES is taken
// for the sake of tools: nothing here is sampled.
Action Usage(Context& ctx, Args& args) {
  const BytesView key = args.Next();
  while (args.More()) {
    if (!EqualsIgnoreCase(args.Next(), "samples") || !args.More()) return SyntaxErrorReply();
    int64_t samples = 0;
    if (!ParseInt64(args.Next(), &samples)) return NotAnIntegerReply();
    if (samples < 0) return SyntaxErrorReply();
  }
  if (key.size() > kNameBytesMax) return Reply::Nil();
  if (const auto value = ctx.keys->Find(key)) {
    const size_t deadline = value->ttl_us ? sizeof(MonoTime) : 0;
    const size_t bytes = kLineBytes + key.size() + value->bytes.size() + deadline;
    return Reply::Integer(static_cast<int64_t>(bytes));
  }
  if (ctx.in_exec) return Reply::Nil();
  return Query{kLocksGroup, KeyspaceQuery{KeyspaceQuery::Kind::kUsage, Bytes(key)}.Encode()};
}

// MEMORY STATS
Action Stats(Context& ctx, Args&) {
  size_t clients = 0;
  ctx.host.ForEachClient([&](Client& client) {
    clients += sizeof client + client.input_capacity + client.output_buffered + client.queued_bytes;
  });
  const auto number = [](size_t n) { return Reply::Integer(static_cast<int64_t>(n)); };
  Reply map = Reply::Map();
  map.Add("total.allocated", number(ctx.host.MemoryUsed()));
  map.Add("replication.backlog", number(0));
  map.Add("clients.slaves", number(0));
  map.Add("clients.normal", number(clients));
  map.Add("aof.buffer", number(0));
  return map;
}

// MEMORY DOCTOR
Action Doctor(Context& ctx, Args&) {
  size_t greedy = 0;
  ctx.host.ForEachClient([&](Client& client) {
    if (client.output_buffered > size_t{1024} * 1024) ++greedy;
  });
  if (greedy == 0) {
    return Reply::Verbatim(
        "Hi Sam, I can't find any memory issue in your instance. I can only account for what "
        "occurs "
        "on this base.\n");
  }
  return Reply::Verbatim(
      Format("Sam, I detected a few issues in this node's memory:\n\n * Slow readers: %zu clients "
             "leave more "
             "than 1 MB of output untaken each. See omem in CLIENT LIST, and "
             "client-output-buffer-limit.\n",
             greedy));
}

// MEMORY MALLOC-STATS: Redis's answer where it runs without jemalloc.
Action MallocStats(Context&, Args&) {
  return Reply::Bulk("Stats not supported for the current allocator");
}

// MEMORY PURGE: freed memory goes back to the system by itself; there are no dirty pages to purge.
Action Purge(Context&, Args&) {
  return Reply::Ok();
}

constexpr const char* kHelp[] = {
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
};

// MEMORY HELP
Action Help(Context&, Args&) {
  return HelpReply("MEMORY", kHelp);
}

constexpr const char* kMemoryDoctorTips[] = {"nondeterministic_output", "request_policy:all_shards",
                                             "response_policy:special"};
constexpr const char* kMemoryPurgeTips[] = {"request_policy:all_shards",
                                            "response_policy:all_succeeded"};
constexpr const char* kMemoryStatsTips[] = {"nondeterministic_output", "request_policy:all_shards",
                                            "response_policy:special"};
constexpr Argument kMemoryUsageArguments[] = {
    {.name = "key", .type = Type::kKey, .key_spec = 0},
    {.name = "count", .type = Type::kInteger, .token = "SAMPLES", .optional = true},
};
constexpr CommandSpec kMemorySubcommands[] = {
    {.name = "DOCTOR",
     .arity = 2,
     .handler = Doctor,
     .summary = "Outputs memory problems report",
     .since = "4.0.0",
     .group = "server",
     .tips = kMemoryDoctorTips},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands",
     .since = "4.0.0",
     .group = "server"},
    {.name = "MALLOC-STATS",
     .arity = 2,
     .handler = MallocStats,
     .summary = "Show allocator internal stats",
     .since = "4.0.0",
     .group = "server",
     .complexity = "Depends on how much memory is allocated, could be slow",
     .tips = kMemoryStatsTips},
    {.name = "PURGE",
     .arity = 2,
     .handler = Purge,
     .summary = "Ask the allocator to release memory",
     .since = "4.0.0",
     .group = "server",
     .complexity = "Depends on how much memory is allocated, could be slow",
     .tips = kMemoryPurgeTips},
    {.name = "STATS",
     .arity = 2,
     .handler = Stats,
     .summary = "Show memory usage details",
     .since = "4.0.0",
     .group = "server",
     .tips = kMemoryStatsTips},
    {.name = "USAGE",
     .arity = -3,
     .flags = kReadonly,
     .handler = Usage,
     .on_keys = true,
     .summary = "Estimate the memory usage of a key",
     .since = "4.0.0",
     .group = "server",
     .complexity = "O(N) where N is the number of samples.",
     .keys = kUsageKeys,
     .arguments = kMemoryUsageArguments},
};
constexpr CommandSpec kMemoryRow = {.name = "MEMORY",
                                    .arity = -2,
                                    .summary = "A container for memory diagnostics commands",
                                    .since = "4.0.0",
                                    .group = "server",
                                    .complexity = "Depends on subcommand.",
                                    .subcommands = kMemorySubcommands};

}  // namespace

CommandSpec MemoryCommand() {
  return kMemoryRow;
}

}  // namespace lockstep
