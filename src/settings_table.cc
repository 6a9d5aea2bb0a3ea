#include "src/settings_table.h"

#include <algorithm>
#include <limits>

#include "src/base/limits.h"

namespace lockstep {
namespace {

using Change = SettingRow::Change;
using Unit = SettingRow::Unit;

constexpr int64_t kIntMax = std::numeric_limits<int32_t>::max();
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;
constexpr int64_t kPathBytesMax = 4096;
constexpr int64_t kPasswordBytesMax = 512;  // As in Redis.
constexpr int64_t kHostBytesMax = 255;      // RFC 1035 §3.1.

constexpr SettingRow Number(const char* name, int64_t Settings::*field, Change change, Unit unit,
                            int64_t low, int64_t high) {
  return {.name = name, .field = field, .change = change, .unit = unit, .low = low, .high = high};
}
constexpr SettingRow Text(const char* name, Bytes Settings::*field, Change change, int64_t low,
                          int64_t high) {
  return {.name = name, .field = field, .change = change, .low = low, .high = high};
}
template <class T>
constexpr SettingRow Other(const char* name, T Settings::*field, Change change) {
  return {.name = name, .field = field, .change = change};
}
constexpr SettingRow Fixed(const char* name, const char* value, const char* because) {
  return {.name = name, .change = Change::kFixed, .fixed_value = value, .fixed_because = because};
}

using S = Settings;
constexpr auto kLive = Change::kLive;
constexpr auto kRestart = Change::kRestart;

constexpr SettingRow kRows[] = {
    Fixed("appendfsync", "always", "nothing is acknowledged before it is on disk"),
    Fixed("appendonly", "yes", "what is acknowledged is on the disks of a majority"),
    Other("bind", &S::bind, kRestart),
    Number("bus-port", &S::bus_port, kRestart, Unit::kPort, 0, 65535),
    Other("client-output-buffer-limit", &S::client_output_buffer_limit, kLive),
    Number("client-query-buffer-limit", &S::client_query_buffer_limit, kLive, Unit::kBytes, kMiB,
           kGiB),
    Number("cluster-announce-bus-port", &S::cluster_announce_bus_port, kRestart, Unit::kPort, 0,
           65535),
    Text("cluster-announce-hostname", &S::cluster_announce_hostname, kRestart, 0, kHostBytesMax),
    Text("cluster-announce-ip", &S::cluster_announce_ip, kRestart, 0, kHostBytesMax),
    Number("cluster-announce-port", &S::cluster_announce_port, kRestart, Unit::kPort, 0, 65535),
    Fixed("cluster-enabled", "yes", "a node alone is a cluster of one"),
    Other("cluster-nodes", &S::cluster_nodes, kRestart),
    Other("cluster-redirect", &S::cluster_redirect, kLive),
    Text("cluster-zone", &S::cluster_zone, kRestart, 0, kZoneBytesMax),
    Fixed("daemonize", "no", "the server stays in the foreground, where a supervisor watches it"),
    Fixed("databases", "1", "there is one keyspace, as in Redis Cluster"),
    Number("dcache-dirty-max-age", &S::dcache_dirty_max_age, kRestart, Unit::kMilliseconds, 50,
           60'000),
    Number("dcache-memory", &S::dcache_memory, kLive, Unit::kBytes, 0, int64_t{1} << 50),
    Text("dir", &S::dir, kRestart, 1, kPathBytesMax),
    Other("dq-auto-create", &S::dq_auto_create, kLive),
    Number("dq-max-message", &S::dq_max_message, kLive, Unit::kBytes, 1, kMessageBytesMax),
    Number("dq-memory", &S::dq_memory, kLive, Unit::kBytes, int64_t{1} << 20, int64_t{1} << 40),
    Other("enable-debug-command", &S::enable_debug_command, kRestart),
    Number("http-port", &S::http_port, kRestart, Unit::kPort, 0, 65535),
    Number("io-threads", &S::io_threads, kRestart, Unit::kCount, 1, 16),
    Number("latency-monitor-threshold", &S::latency_monitor_threshold, kLive, Unit::kMilliseconds,
           0, kIntMax),
    Number("leader-wait-ms", &S::leader_wait_ms, kLive, Unit::kMilliseconds, 0, 60'000),
    Number("lock-default-ttl", &S::lock_default_ttl, kLive, Unit::kMilliseconds, 1, kTtlMsMax),
    Other("log-format", &S::log_format, kRestart),
    Text("logfile", &S::logfile, kRestart, 0, kPathBytesMax),
    Other("loglevel", &S::loglevel, kLive),
    Number("maxclients", &S::maxclients, kLive, Unit::kCount, 1, 1'000'000),
    Number("maxmemory", &S::maxmemory, kLive, Unit::kBytes, 0, int64_t{1} << 50),
    Fixed("maxmemory-policy", "noeviction", "a lock is never evicted to make room"),
    Number("node-id", &S::node_id, kRestart, Unit::kCount, 1, kNodeIdMax),
    Number("node-timeout", &S::node_timeout, kLive, Unit::kMilliseconds, 100, 600'000),
    Fixed("notify-keyspace-events", "", "locks tell their events on __lock__:<name> channels"),
    Number("port", &S::port, kRestart, Unit::kPort, 1, 65535),
    Other("protected-mode", &S::protected_mode, kLive),
    Number("proto-max-bulk-len", &S::proto_max_bulk_len, kLive, Unit::kBytes, kMiB, 64 * kMiB),
    Number("raft-append-bytes", &S::raft_append_bytes, kRestart, Unit::kBytes, 4096, 16 * kMiB),
    Number("raft-election-timeout-ms", &S::raft_election_timeout_ms, kRestart, Unit::kMilliseconds,
           50, 60'000),
    Number("raft-heartbeat-ms", &S::raft_heartbeat_ms, kRestart, Unit::kMilliseconds, 10, 10'000),
    Number("raft-log-max-bytes", &S::raft_log_max_bytes, kRestart, Unit::kBytes, kMiB, 64 * kGiB),
    Number("raft-snapshot-entries", &S::raft_snapshot_entries, kRestart, Unit::kCount, 10,
           1'000'000'000),
    Number("raft-uncommitted-bytes", &S::raft_uncommitted_bytes, kRestart, Unit::kBytes, kMiB,
           kGiB),
    Number("raft-window-bytes", &S::raft_window_bytes, kRestart, Unit::kBytes, 64 * 1024, kGiB),
    Number("raft-window-entries", &S::raft_window_entries, kRestart, Unit::kCount, 1, 1'000'000),
    Fixed("replica-read-only", "yes", "nodes are equal: each takes writes, none bypasses the log"),
    {.name = "requirepass",
     .field = &S::requirepass,
     .change = kLive,
     .low = 0,
     .high = kPasswordBytesMax,
     .secret = true},
    Fixed("save", "", "nothing is acknowledged before it is on disk; there is no dump to schedule"),
    Number("shards", &S::shards, kRestart, Unit::kCount, 1, kShardsMax),
    Number("shutdown-timeout", &S::shutdown_timeout, kLive, Unit::kSeconds, 0, 3600),
    Fixed("slave-read-only", "yes", "nodes are equal: each takes writes, none bypasses the log"),
    Number("slowlog-log-slower-than", &S::slowlog_log_slower_than, kLive, Unit::kMicroseconds, -1,
           std::numeric_limits<int64_t>::max()),
    Number("slowlog-max-len", &S::slowlog_max_len, kLive, Unit::kCount, 0, 1'000'000),
    Text("storage", &S::storage, kRestart, 1, kPathBytesMax),
    Number("tcp-backlog", &S::tcp_backlog, kRestart, Unit::kCount, 1, 65535),
    Number("tcp-keepalive", &S::tcp_keepalive, kLive, Unit::kSeconds, 0, kIntMax),
    Number("timeout", &S::timeout, kLive, Unit::kSeconds, 0, kIntMax),
    Fixed("tls-port", "0", "this version speaks no TLS; put a proxy that does in front of it"),
    Number("tracking-table-max-keys", &S::tracking_table_max_keys, kLive, Unit::kCount, 0,
           1'000'000'000),
    Number("uncertain-after-ms", &S::uncertain_after_ms, kLive, Unit::kMilliseconds, 100, 600'000),
};

constexpr bool SortedByName() {
  for (size_t i = 1; i < std::size(kRows); ++i) {
    if (BytesView(kRows[i - 1].name) >= BytesView(kRows[i].name)) return false;
  }
  return true;
}
static_assert(SortedByName());

}  // namespace

std::span<const SettingRow> SettingRows() { return kRows; }

const SettingRow* FindSetting(BytesView name) {
  const Bytes lower = Lower(name);
  const auto at = std::lower_bound(
      std::begin(kRows), std::end(kRows), lower,
      [](const SettingRow& row, const Bytes& wanted) { return row.name < wanted; });
  return at != std::end(kRows) && at->name == lower ? &*at : nullptr;
}

size_t SettingNumber(const SettingRow& row) {
  const auto number = &row - std::begin(kRows);
  CHECK(number >= 0 && number < std::ssize(kRows));
  return static_cast<size_t>(number);
}

BytesView NearestSetting(BytesView name) {
  // More edits than half of the word make another word of it.
  const Bytes lower = Lower(name.substr(0, 64));
  size_t best = std::min<size_t>(3, lower.size() / 2) + 1;
  BytesView nearest;
  for (const SettingRow& row : kRows) {
    const size_t edits = EditDistance(lower, row.name);
    if (edits >= best) continue;
    best = edits;
    nearest = row.name;
  }
  return nearest;
}

}  // namespace lockstep
