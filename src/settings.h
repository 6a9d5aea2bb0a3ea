// What an operator can set, as typed values. The initial values here are the defaults, and the only
// place where they stand; src/settings_table.cc gives each field its name, its bounds and its text
// form, and conf/lockstep.conf explains it.
//
// Always true of settings that a Config has checked: every value is within its bounds, the three
// ports differ, and no heartbeat is slower than half an election timeout.
#pragma once

#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/log.h"

namespace lockstep {

enum class LogFormat : uint8_t { kAuto, kText, kJson };  // Auto: text on a terminal, else JSON.
enum class DebugAccess : uint8_t { kNo, kLocal, kYes };  // Local: connections from loopback.

// One of `cluster-nodes`: where a member's bus listens.
struct NodeAddress {
  NodeId id;
  Bytes host;  // A name or an address; IPv6 without its brackets.
  uint16_t bus_port = 0;
  bool operator==(const NodeAddress&) const = default;
};

// When a client that reads too slowly is cut off. 0: never.
struct OutputLimit {
  int64_t hard_bytes = 0;  // At once.
  int64_t soft_bytes = 0;  // When it has been above for soft_seconds on end.
  int64_t soft_seconds = 0;
  bool operator==(const OutputLimit&) const = default;
};
struct OutputLimits {
  OutputLimit normal{int64_t{256} << 20, int64_t{64} << 20, 60};
  // Nobody is one: kept and shown for tools and old redis.conf files that set it.
  OutputLimit replica{int64_t{256} << 20, int64_t{64} << 20, 60};
  OutputLimit pubsub{int64_t{32} << 20, int64_t{8} << 20, 60};
  bool operator==(const OutputLimits&) const = default;
};

struct Settings {
  // Network.
  int64_t port = 7379;
  int64_t bus_port = 0;   // 0: port + 10000. Read BusPort().
  int64_t http_port = 0;  // 0: port + 2000. Read HttpPort().
  std::vector<Bytes> bind{"127.0.0.1"};
  bool protected_mode = true;
  int64_t tcp_backlog = 511;
  int64_t tcp_keepalive = 300;  // Seconds; 0: off.

  // Node and cluster.
  int64_t node_id = 1;
  Bytes dir = "./data";
  Bytes storage = "rocksdb";
  std::vector<NodeAddress> cluster_nodes;  // Sorted by id. Empty: a cluster of one.
  bool cluster_redirect = false;
  Bytes cluster_announce_ip;
  int64_t cluster_announce_port = 0;      // 0: port.
  int64_t cluster_announce_bus_port = 0;  // 0: BusPort().
  Bytes cluster_announce_hostname;
  Bytes cluster_zone;
  int64_t node_timeout = 5000;  // ms

  // Requests that wait for the cluster.
  int64_t leader_wait_ms = 2000;
  int64_t uncertain_after_ms = 5000;
  int64_t shutdown_timeout = 10;  // Seconds.

  // Raft.
  int64_t raft_election_timeout_ms = 500;
  int64_t raft_heartbeat_ms = 100;
  int64_t raft_log_max_bytes = int64_t{64} << 20;
  int64_t raft_snapshot_entries = 200'000;
  int64_t raft_window_entries = 4096;
  int64_t shards = 64;
  int64_t dq_max_message = int64_t{1} << 20;
  int64_t dq_memory = int64_t{64} << 20;
  int64_t dcache_dirty_max_age = 500;
  int64_t dcache_memory = 0;  // 0: half of maxmemory, if that is set.
  bool dq_auto_create = true;
  int64_t raft_window_bytes = int64_t{8} << 20;
  int64_t raft_append_bytes = int64_t{1} << 20;
  int64_t raft_uncommitted_bytes = int64_t{64} << 20;

  // Locks.
  int64_t lock_default_ttl = 30'000;  // ms

  // Clients.
  Bytes requirepass;  // Empty: none is needed. Secret.
  int64_t io_threads = 1;
  int64_t maxclients = 10'000;
  int64_t timeout = 0;  // Seconds; 0: never.
  int64_t proto_max_bulk_len = int64_t{64} << 20;
  int64_t client_query_buffer_limit = int64_t{128} << 20;
  OutputLimits client_output_buffer_limit;
  int64_t maxmemory = 0;  // 0: no limit.
  int64_t tracking_table_max_keys = 1'000'000;  // 0: no limit.

  // Watching.
  int64_t slowlog_log_slower_than = 10'000;  // Microseconds; negative: off.
  int64_t slowlog_max_len = 128;
  int64_t latency_monitor_threshold = 0;  // ms; 0: off.
  DebugAccess enable_debug_command = DebugAccess::kNo;
  LogLevel loglevel = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kAuto;
  Bytes logfile;  // Empty: standard output.

  bool operator==(const Settings&) const = default;

  uint16_t Port() const { return static_cast<uint16_t>(port); }
  uint16_t BusPort() const {
    return static_cast<uint16_t>(bus_port != 0 ? bus_port : port + 10'000);
  }
  uint16_t HttpPort() const {
    return static_cast<uint16_t>(http_port != 0 ? http_port : port + 2000);
  }
  uint16_t AnnouncedPort() const {
    return cluster_announce_port != 0 ? static_cast<uint16_t>(cluster_announce_port) : Port();
  }
  uint16_t AnnouncedBusPort() const {
    return cluster_announce_bus_port != 0 ? static_cast<uint16_t>(cluster_announce_bus_port)
                                          : BusPort();
  }
  // What other nodes and clients are told. Empty: whatever address they see us under.
  const Bytes& AnnouncedHost() const {
    return !cluster_announce_hostname.empty() ? cluster_announce_hostname : cluster_announce_ip;
  }
  // The first address of `bind` that can be connected to. Empty: there are only such as stand for
  // all of a machine's addresses, or may be missing ("-::1").
  Bytes ReachableBind() const {
    for (const Bytes& address : bind) {
      const bool everywhere =
          address == "*" || address == "0.0.0.0" || address == "::" || address == "::*";
      if (!everywhere && !address.starts_with('-')) return address;
    }
    return {};
  }
};

}  // namespace lockstep
