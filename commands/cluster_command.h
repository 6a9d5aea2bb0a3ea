// The subcommands of CLUSTER by file; the rows that name them are in commands/cluster.cc.
#pragma once

#include "commands/command.h"
#include "commands/host.h"

namespace lockstep {

// commands/cluster_show.cc: the cluster in Redis Cluster's own forms. All members are masters.
Action ClusterSlots(Context& ctx, Args& args);
Action ClusterShards(Context& ctx, Args& args);
Action ClusterNodes(Context& ctx, Args& args);
Action ClusterInfo(Context& ctx, Args& args);
Action ClusterLinks(Context& ctx, Args& args);
Action ClusterMyid(Context& ctx, Args& args);
Action ClusterReplicas(Context& ctx, Args& args);

// commands/cluster_admin.cc: what an operator sees and does.
Action ClusterStatus(Context& ctx, Args& args);
Action ClusterAdd(Context& ctx, Args& args);
Action ClusterRemove(Context& ctx, Args& args);
Action ClusterRebalance(Context& ctx, Args& args);
Action ClusterLeader(Context& ctx, Args& args);
// MEET, ADDSLOTS, FAILOVER ...: which command to use instead.
Action ClusterInstead(Context& ctx, Args& args);

// The cluster as this client may use it: a node that listens everywhere and announces nothing
// stands there under the address that the client has used.
ClusterView ViewFor(Context& ctx);

// "host:port", or "[host]:port" for IPv6. False: neither.
bool ParseAddress(BytesView text, Bytes* host, uint16_t* port);

}  // namespace lockstep
