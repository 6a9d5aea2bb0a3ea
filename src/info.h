// INFO: the node's figures as text, in Redis's form and spelling, for redis-cli --stat, exporters,
// consoles and clients that look for role, redis_mode and loading before they trust a server.
//
// A figure is here only if it is true: what Redis has and Lockstep has not is either absent or,
// where tools insist on the field, the constant that describes Lockstep (no replicas of a master,
// no AOF).
#pragma once

#include <vector>

#include "cluster/mesi/stats.h"
#include "commands/cluster_view.h"
#include "commands/stats.h"
#include "src/base/bytes.h"
#include "src/base/ids.h"

namespace lockstep {

// What the node fills in when INFO is asked. Borrows `stats` for the call.
struct InfoFigures {
  // Server.
  Bytes os;                   // "Linux 6.1.0-18-amd64 x86_64", as uname says it.
  int64_t process_id = 0;
  Bytes run_id;               // 40 hex digits, drawn at each start; clients see a restart by it.
  uint16_t tcp_port = 0;
  uint16_t bus_port = 0;
  uint16_t http_port = 0;     // 0: none.
  int64_t server_time_us = 0;  // Wall clock.
  int64_t uptime_seconds = 0;
  int64_t hz = 10;            // Ticks a second of the node.
  Bytes executable;
  Bytes config_file;          // Empty: started without one.
  NodeId node;

  // Clients.
  size_t connected_clients = 0;
  size_t clients_max = 0;
  size_t input_buffer_max = 0;   // The largest now.
  size_t output_buffer_max = 0;
  size_t blocked_clients = 0;
  size_t tracking_clients = 0;
  size_t tracking_keys = 0;      // That clients are to be told of,
  size_t tracking_items = 0;     // times the clients.
  size_t tracking_prefixes = 0;  // Of BCAST.
  size_t pubsub_clients = 0;
  size_t monitors = 0;
  int64_t io_threads = 1;
  uint64_t read_together = 0;
  uint64_t sent_together = 0;

  // Memory, bytes. `memory_used` is what Lockstep counts itself, or what the allocator says.
  size_t memory_used = 0;
  size_t memory_peak = 0;
  size_t memory_rss = 0;
  size_t memory_of_clients = 0;
  size_t memory_total_system = 0;
  size_t memory_max = 0;         // 0: no limit.
  Bytes memory_policy = "noeviction";
  Bytes allocator = "libc";

  // Persistence.
  bool loading = false;
  bool snapshot_in_progress = false;
  int64_t last_snapshot_unix = 0;
  uint64_t snapshots = 0;
  bool last_write_ok = true;     // False only between a failed sync and the end of the process.

  // Stats beside `stats`.
  size_t pubsub_channels = 0;
  size_t pubsub_patterns = 0;
  size_t pubsub_shard_channels = 0;

  // CPU, microseconds of this process.
  int64_t cpu_system_us = 0;
  int64_t cpu_user_us = 0;

  // The lock table as this node has applied it (LockTable::Figures).
  struct Locks {
    uint64_t held = 0;       // Locks with at least one holder.
    uint64_t holders = 0;
    uint64_t waiters = 0;
    uint64_t owners = 0;     // With a lock, a wait, or a remembered age.
    uint64_t deadlocks = 0;  // Since the cluster was made.
    uint64_t highest_token = 0;
    uint64_t expired = 0;    // Leases that ended by themselves while this node ran.
  } locks;

  // Keys whose home this node is, and those of them that will expire; what its cache has done.
  uint64_t keys = 0;
  uint64_t keys_expiring = 0;
  mesi::Stats cache;

  ClusterView cluster;              // Cluster and Raft sections.
  const Stats* stats = nullptr;     // Stats, Commandstats, Latencystats, Errorstats. Never null.
};

// The sections asked for, in Redis's order whatever the order of asking, each once. `sections` as
// INFO got them, any case: names, "default", "all", "everything"; empty means default (all but
// Commandstats and Latencystats). Unknown names give nothing.
Bytes BuildInfo(const InfoFigures& figures, const std::vector<Bytes>& sections);

// 1.66M, 512B: Redis's bytesToHuman.
Bytes HumanBytes(uint64_t n);

}  // namespace lockstep
