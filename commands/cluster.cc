// CLUSTER: rows, and the subcommands that need no more than a line.
#include "commands/cache_tasks.h"
#include "commands/cluster_command.h"
#include "commands/shared_replies.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

// CLUSTER KEYSLOT key
Action KeySlot(Context&, Args& args) {
  return Reply::Integer(SlotOf(args.Next()));
}

bool IsSlot(int64_t slot) {
  return slot >= 0 && slot < kSlots;
}

// CLUSTER COUNTKEYSINSLOT slot, of whichever node has it.
Action CountKeysInSlot(Context& ctx, Args& args) {
  int64_t slot = 0;
  if (!ParseInt64(args.Next(), &slot)) return NotAnIntegerReply();
  if (!IsSlot(slot)) return Reply::Error("ERR", "Invalid slot");
  return OutsideExec(ctx, MakeSlotCountTask(ctx.host.Shards(), static_cast<uint16_t>(slot)));
}

// CLUSTER GETKEYSINSLOT slot count
Action GetKeysInSlot(Context& ctx, Args& args) {
  int64_t slot = 0, count = 0;
  if (!ParseInt64(args.Next(), &slot)) return NotAnIntegerReply();
  if (!ParseInt64(args.Next(), &count)) return NotAnIntegerReply();
  if (!IsSlot(slot) || count < 0) return Reply::Error("ERR", "Invalid slot or number of keys");
  if (count == 0) return Reply::Array();
  return OutsideExec(ctx, MakeSlotKeysTask(ctx.host.Shards(), static_cast<uint16_t>(slot),
                                           static_cast<uint64_t>(count)));
}

// READONLY: this connection may be given what is not the latest, where a command offers it.
Action ReadOnly(Context& ctx, Args&) {
  ctx.client.readonly = true;
  return Reply::Ok();
}

// READWRITE
Action ReadWrite(Context& ctx, Args&) {
  ctx.client.readonly = false;
  return Reply::Ok();
}

// ASKING: every node takes every command anyway.
Action Asking(Context&, Args&) {
  return Reply::Ok();
}

constexpr const char* kHelp[] = {
    "ADD <node-id> <host:bus-port>",
    "    Make a node a member of the cluster.",
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>.",
    "FORGET <node-id>",
    "    Remove a node that will not come back from the cluster.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return key names stored by current node in a slot.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "LEADER <group> <node-id>",
    "    Ask the leader of a Raft group to hand over to a node.",
    "LINKS",
    "    Return information about all network links between this node and its peers.",
    "    Output format is an array of maps, each with the attributes of a link",
    "MYID",
    "    Return the node id.",
    "MYSHARDID",
    "    Return the id of the node's shard.",
    "NODES",
    "    Return cluster configuration seen by node. Output format:",
    "    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "REBALANCE",
    "    Give leadership of each group to the node that placement wants.",
    "REMOVE <node-id>",
    "    Remove a node from the cluster.",
    "REPLICAS <node-id>",
    "    Return <node-id> replicas.",
    "SHARDS",
    "    Return information about slot range mappings and the nodes associated with them.",
    "SLOTS",
    "    Return information about slots range mappings. Each range is made of:",
    "    start, end, master and replicas IP addresses, ports and ids",
    "STATUS",
    "    Return nodes, roles, leaders, epoch and moves.",
};

// CLUSTER HELP
Action Help(Context&, Args&) {
  return HelpReply("CLUSTER", kHelp);
}

constexpr const char* kChanging[] = {"nondeterministic_output"};
constexpr Argument kKeyArguments[] = {{.name = "key"}};
constexpr Argument kSlotArguments[] = {{.name = "slot", .type = Type::kInteger}};
constexpr Argument kSlotCountArguments[] = {
    {.name = "slot", .type = Type::kInteger},
    {.name = "count", .type = Type::kInteger},
};
constexpr Argument kNodeArguments[] = {{.name = "node-id"}};
constexpr Argument kAddArguments[] = {
    {.name = "node-id", .type = Type::kInteger},
    {.name = "host:bus-port"},
};
constexpr Argument kLeaderArguments[] = {{.name = "group"}, {.name = "node-id"}};
constexpr Argument kAnyArguments[] = {{.name = "arg", .optional = true, .multiple = true}};

// Known, so that whoever comes from Redis Cluster is told what to use.
constexpr CommandSpec Instead(const char* name) {
  return {.name = name,
          .arity = -2,
          .flags = kAdmin | kStale,
          .handler = ClusterInstead,
          .summary = "Redis Cluster's administration; answers with the command to use here",
          .since = "3.0.0",
          .group = "cluster",
          .arguments = kAnyArguments};
}

constexpr CommandSpec kClusterSubcommands[] = {
    {.name = "ADD",
     .arity = 4,
     .flags = kAdmin | kStale,
     .categories = kCatCluster,
     .handler = ClusterAdd,
     .summary = "Makes a node a member of the cluster",
     .since = "1.0.0",
     .group = "cluster",
     .arguments = kAddArguments},
    Instead("ADDSLOTS"),
    Instead("ADDSLOTSRANGE"),
    Instead("BUMPEPOCH"),
    Instead("COUNT-FAILURE-REPORTS"),
    {.name = "COUNTKEYSINSLOT",
     .arity = 3,
     .flags = kStale,
     .handler = CountKeysInSlot,
     .summary = "Return the number of local keys in the specified hash slot",
     .since = "3.0.0",
     .group = "cluster",
     .arguments = kSlotArguments},
    Instead("DELSLOTS"),
    Instead("DELSLOTSRANGE"),
    Instead("FAILOVER"),
    Instead("FLUSHSLOTS"),
    {.name = "FORGET",
     .arity = 3,
     .flags = kAdmin | kStale,
     .categories = kCatCluster,
     .handler = ClusterRemove,
     .summary = "Takes a node that will not come back out of the cluster for all time",
     .since = "1.0.0",
     .group = "cluster",
     .arguments = kNodeArguments},
    {.name = "GETKEYSINSLOT",
     .arity = 4,
     .flags = kStale,
     .handler = GetKeysInSlot,
     .summary = "Return local key names in the specified hash slot",
     .since = "3.0.0",
     .group = "cluster",
     .complexity = "O(log(N)) where N is the number of requested keys",
     .arguments = kSlotCountArguments,
     .tips = kChanging},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands",
     .since = "5.0.0",
     .group = "cluster"},
    {.name = "INFO",
     .arity = 2,
     .flags = kStale,
     .handler = ClusterInfo,
     .summary = "Provides info about Redis Cluster node state",
     .since = "3.0.0",
     .group = "cluster",
     .tips = kChanging},
    {.name = "KEYSLOT",
     .arity = 3,
     .flags = kStale,
     .handler = KeySlot,
     .summary = "Returns the hash slot of the specified key",
     .since = "3.0.0",
     .group = "cluster",
     .complexity = "O(N) where N is the number of bytes in the key",
     .arguments = kKeyArguments},
    {.name = "LEADER",
     .arity = 4,
     .flags = kAdmin | kStale,
     .categories = kCatCluster,
     .handler = ClusterLeader,
     .summary = "Asks the leader of a group to hand over to a node",
     .since = "1.0.0",
     .group = "cluster",
     .arguments = kLeaderArguments},
    {.name = "LINKS",
     .arity = 2,
     .flags = kStale,
     .handler = ClusterLinks,
     .summary = "Returns a list of all TCP links to and from peer nodes in cluster",
     .since = "7.0.0",
     .group = "cluster",
     .complexity = "O(N) where N is the total number of Cluster nodes",
     .tips = kChanging},
    Instead("MEET"),
    {.name = "MYID",
     .arity = 2,
     .flags = kStale,
     .handler = ClusterMyid,
     .summary = "Return the node id",
     .since = "3.0.0",
     .group = "cluster"},
    {.name = "MYSHARDID",
     .arity = 2,
     .flags = kStale,
     .handler = ClusterMyid,
     .summary = "Return the id of the shard of the node",
     .since = "7.2.0",
     .group = "cluster"},
    {.name = "NODES",
     .arity = 2,
     .flags = kStale,
     .handler = ClusterNodes,
     .summary = "Get Cluster config for the node",
     .since = "3.0.0",
     .group = "cluster",
     .complexity = "O(N) where N is the total number of Cluster nodes",
     .tips = kChanging},
    {.name = "REBALANCE",
     .arity = 2,
     .flags = kAdmin | kStale,
     .categories = kCatCluster,
     .handler = ClusterRebalance,
     .summary = "Gives leadership of each group to the node that placement wants",
     .since = "1.0.0",
     .group = "cluster",
     .complexity = "O(G) in the groups"},
    {.name = "REMOVE",
     .arity = 3,
     .flags = kAdmin | kStale,
     .categories = kCatCluster,
     .handler = ClusterRemove,
     .summary = "Takes a node out of the cluster for all time",
     .since = "1.0.0",
     .group = "cluster",
     .arguments = kNodeArguments},
    {.name = "REPLICAS",
     .arity = 3,
     .flags = kAdmin | kStale,
     .handler = ClusterReplicas,
     .summary = "List replica nodes of the specified master node",
     .since = "5.0.0",
     .group = "cluster",
     .arguments = kNodeArguments,
     .tips = kChanging},
    Instead("REPLICATE"),
    Instead("RESET"),
    Instead("SAVECONFIG"),
    Instead("SET-CONFIG-EPOCH"),
    Instead("SETSLOT"),
    {.name = "SHARDS",
     .arity = 2,
     .flags = kStale,
     .handler = ClusterShards,
     .summary = "Get array of cluster slots to node mappings",
     .since = "7.0.0",
     .group = "cluster",
     .complexity = "O(N) where N is the total number of cluster nodes",
     .tips = kChanging},
    {.name = "SLAVES",
     .arity = 3,
     .flags = kAdmin | kStale,
     .handler = ClusterReplicas,
     .summary = "List replica nodes of the specified master node",
     .since = "3.0.0",
     .group = "cluster",
     .arguments = kNodeArguments,
     .tips = kChanging},
    {.name = "SLOTS",
     .arity = 2,
     .flags = kStale,
     .handler = ClusterSlots,
     .summary = "Get array of Cluster slot to node mappings",
     .since = "3.0.0",
     .group = "cluster",
     .complexity = "O(N) where N is the total number of Cluster nodes",
     .tips = kChanging},
    {.name = "STATUS",
     .arity = 2,
     .flags = kStale,
     .categories = kCatCluster,
     .handler = ClusterStatus,
     .summary = "Nodes, roles, leaders, epoch and moves",
     .since = "1.0.0",
     .group = "cluster",
     .complexity = "O(N) in the nodes and groups",
     .tips = kChanging},
};

constexpr CommandSpec kClusterRows[] = {
    {.name = "CLUSTER",
     .arity = -2,
     .summary = "A container for cluster commands",
     .since = "3.0.0",
     .group = "cluster",
     .complexity = "Depends on subcommand.",
     .subcommands = kClusterSubcommands},
    {.name = "READONLY",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .categories = kCatConnection,
     .handler = ReadOnly,
     .summary = "Enables read queries for a connection to a cluster replica node",
     .since = "3.0.0",
     .group = "cluster"},
    {.name = "READWRITE",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .categories = kCatConnection,
     .handler = ReadWrite,
     .summary = "Disables read queries for a connection to a cluster replica node",
     .since = "3.0.0",
     .group = "cluster"},
    {.name = "ASKING",
     .arity = 1,
     .flags = kFast,
     .categories = kCatConnection,
     .handler = Asking,
     .summary = "Sent by cluster clients after an -ASK redirect",
     .since = "3.0.0",
     .group = "cluster"},
};

}  // namespace

std::span<const CommandSpec> ClusterCommands() {
  return kClusterRows;
}

}  // namespace lockstep
