#include "src/info.h"

#include <algorithm>
#include <cinttypes>

#include "commands/command.h"
#include "src/base/check.h"
#include "src/base/version.h"

namespace lockstep {
namespace {

// The lines of one section, in Redis's form: "name:value\r\n".
class Lines {
 public:
  explicit Lines(const char* section) : text_(Format("# %s\r\n", section)) {}

  Lines& Text(BytesView name, BytesView value) {
    text_ += name;
    text_ += ':';
    text_ += value;
    text_ += "\r\n";
    return *this;
  }
  Lines& Number(BytesView name, uint64_t value) { return Text(name, std::to_string(value)); }
  Lines& Signed(BytesView name, int64_t value) { return Text(name, std::to_string(value)); }
  Lines& Flag(BytesView name, bool value) { return Text(name, value ? "1" : "0"); }
  Lines& Ratio(BytesView name, double value) { return Text(name, Format("%.2f", value)); }
  Bytes Take() { return std::move(text_); }

 private:
  Bytes text_;
};

double Divide(uint64_t a, uint64_t b) {
  return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
}

Bytes Server(const InfoFigures& f) {
  return Lines("Server")
      .Text("redis_version", kRedisVersionCompatible)
      .Text("server_name", "lockstep")
      .Text("lockstep_version", kLockstepVersion)
      .Text("redis_mode", "cluster")
      .Text("os", f.os)
      .Number("arch_bits", 64)
      .Text("monotonic_clock", "POSIX clock_gettime")
      .Text("multiplexing_api", "epoll")
      .Signed("process_id", f.process_id)
      .Text("process_supervised", "no")
      .Text("run_id", f.run_id)
      .Number("tcp_port", f.tcp_port)
      .Number("bus_port", f.bus_port)
      .Number("http_port", f.http_port)
      .Signed("server_time_usec", f.server_time_us)
      .Signed("uptime_in_seconds", f.uptime_seconds)
      .Signed("uptime_in_days", f.uptime_seconds / (24 * 3600))
      .Signed("hz", f.hz)
      .Signed("configured_hz", f.hz)
      .Text("executable", f.executable)
      .Text("config_file", f.config_file)
      .Number("io_threads_active", f.io_threads > 1 ? 1 : 0)
      .Take();
}

Bytes Clients(const InfoFigures& f) {
  const auto others = std::count_if(f.cluster.members.begin(), f.cluster.members.end(),
                                    [](const auto& member) { return member.connected; });
  return Lines("Clients")
      .Number("connected_clients", f.connected_clients)
      .Signed("cluster_connections", others)
      .Number("maxclients", f.clients_max)
      .Number("client_recent_max_input_buffer", f.input_buffer_max)
      .Number("client_recent_max_output_buffer", f.output_buffer_max)
      .Number("blocked_clients", f.blocked_clients)
      .Number("tracking_clients", f.tracking_clients)
      .Number("pubsub_clients", f.pubsub_clients)
      .Number("monitors", f.monitors)
      .Number("clients_in_timeout_table", 0)
      .Take();
}

Bytes Memory(const InfoFigures& f) {
  const double of_peak = 100 * Divide(f.memory_used, f.memory_peak);
  return Lines("Memory")
      .Number("used_memory", f.memory_used)
      .Text("used_memory_human", HumanBytes(f.memory_used))
      .Number("used_memory_rss", f.memory_rss)
      .Text("used_memory_rss_human", HumanBytes(f.memory_rss))
      .Number("used_memory_peak", f.memory_peak)
      .Text("used_memory_peak_human", HumanBytes(f.memory_peak))
      .Text("used_memory_peak_perc", Format("%.2f%%", of_peak))
      .Number("total_system_memory", f.memory_total_system)
      .Text("total_system_memory_human", HumanBytes(f.memory_total_system))
      .Number("maxmemory", f.memory_max)
      .Text("maxmemory_human", HumanBytes(f.memory_max))
      .Text("maxmemory_policy", f.memory_policy)
      .Ratio("mem_fragmentation_ratio", Divide(f.memory_rss, f.memory_used))
      .Number("mem_clients_slaves", 0)
      .Number("mem_clients_normal", f.memory_of_clients)
      .Number("mem_aof_buffer", 0)
      .Text("mem_allocator", f.allocator)
      .Number("active_defrag_running", 0)
      .Take();
}

// Snapshots of the Raft groups stand where Redis has its dumps. There is no AOF: the log is synced
// before anything is acknowledged.
Bytes Persistence(const InfoFigures& f) {
  return Lines("Persistence")
      .Flag("loading", f.loading)
      .Number("async_loading", 0)
      .Number("rdb_changes_since_last_save", 0)
      .Flag("rdb_bgsave_in_progress", f.snapshot_in_progress)
      .Signed("rdb_last_save_time", f.last_snapshot_unix)
      .Text("rdb_last_bgsave_status", "ok")
      .Signed("rdb_last_bgsave_time_sec", -1)
      .Signed("rdb_current_bgsave_time_sec", -1)
      .Number("rdb_saves", f.snapshots)
      .Number("aof_enabled", 0)
      .Number("aof_rewrite_in_progress", 0)
      .Number("aof_rewrite_scheduled", 0)
      .Text("aof_last_bgrewrite_status", "ok")
      .Text("aof_last_write_status", f.last_write_ok ? "ok" : "err")
      .Take();
}

Bytes StatsSection(const InfoFigures& f) {
  const Stats& s = *f.stats;
  return Lines("Stats")
      .Number("total_connections_received", s.connections_received)
      .Number("total_commands_processed", s.commands_processed)
      .Number("instantaneous_ops_per_sec", s.ops_per_second())
      .Number("total_net_input_bytes", s.net_input_bytes)
      .Number("total_net_output_bytes", s.net_output_bytes)
      .Number("rejected_connections", s.connections_rejected)
      .Number("sync_full", 0)
      .Number("sync_partial_ok", 0)
      .Number("sync_partial_err", 0)
      .Number("expired_keys", f.locks.expired + f.cache.expired)
      .Number("evicted_keys", f.cache.evictions)
      .Number("evicted_clients", 0)
      .Number("keyspace_hits", f.cache.hits)
      .Number("keyspace_misses", f.cache.misses)
      .Number("pubsub_channels", f.pubsub_channels)
      .Number("pubsub_patterns", f.pubsub_patterns)
      .Number("pubsubshard_channels", f.pubsub_shard_channels)
      .Number("latest_fork_usec", 0)
      .Number("total_forks", 0)
      .Number("tracking_total_keys", f.tracking_keys)
      .Number("tracking_total_items", f.tracking_items)
      .Number("tracking_total_prefixes", f.tracking_prefixes)
      .Number("unexpected_error_replies", 0)
      .Number("total_error_replies", s.total_errors())
      .Number("acl_access_denied_auth", s.auth_denied)
      .Number("acl_access_denied_cmd", 0)  // There is one user, who may do everything.
      .Number("acl_access_denied_key", 0)
      .Number("acl_access_denied_channel", 0)
      .Number("client_query_buffer_limit_disconnections", s.query_buffer_disconnections)
      .Number("client_output_buffer_limit_disconnections", s.output_buffer_disconnections)
      .Number("io_threaded_reads_processed", f.read_together)
      .Number("io_threaded_writes_processed", f.sent_together)
      .Number("messages_published", s.published)
      .Number("requests_forwarded", s.forwarded)
      .Number("requests_resent", s.resent)
      .Take();
}

// Every node takes writes, so every node says "master"; how data is replicated stands under Raft.
Bytes Replication(const InfoFigures& f) {
  uint64_t offset = 0;
  for (const ClusterView::Group& group : f.cluster.groups) offset += group.applied.value;
  return Lines("Replication")
      .Text("role", "master")
      .Number("connected_slaves", 0)
      .Text("master_failover_state", "no-failover")
      .Text("master_replid", f.run_id)
      .Text("master_replid2", Bytes(40, '0'))
      .Number("master_repl_offset", offset)
      .Signed("second_repl_offset", -1)
      .Number("repl_backlog_active", 0)
      .Number("repl_backlog_size", 0)
      .Number("repl_backlog_first_byte_offset", 0)
      .Number("repl_backlog_histlen", 0)
      .Take();
}

Bytes Seconds(int64_t us) {
  return Format("%" PRId64 ".%06" PRId64, us / kUsPerSecond, us % kUsPerSecond);
}

Bytes Cpu(const InfoFigures& f) {
  return Lines("CPU")
      .Text("used_cpu_sys", Seconds(f.cpu_system_us))
      .Text("used_cpu_user", Seconds(f.cpu_user_us))
      .Text("used_cpu_sys_children", Seconds(0))
      .Text("used_cpu_user_children", Seconds(0))
      .Take();
}

Bytes Modules(const InfoFigures&) {
  return Lines("Modules").Take();
}

Bytes Commandstats(const InfoFigures& f) {
  Lines lines("Commandstats");
  const auto& commands = f.stats->commands();
  for (size_t i = 0; i < commands.size(); ++i) {
    const Stats::PerCommand& c = commands[i];
    if (c.calls == 0 && c.rejected == 0 && c.failed == 0) continue;
    lines.Text("cmdstat_" + CommandTable::Get().LeafName(i),
               Format("calls=%" PRIu64 ",usec=%" PRIu64
                      ",usec_per_call=%.2f,rejected_calls=%" PRIu64 ",failed_calls=%" PRIu64,
                      c.calls, c.usec, Divide(c.usec, c.calls), c.rejected, c.failed));
  }
  return lines.Take();
}

Bytes Errorstats(const InfoFigures& f) {
  Lines lines("Errorstats");
  for (const auto& [code, count] : f.stats->errors()) {
    lines.Text("errorstat_" + Printable(code), Format("count=%" PRIu64, count));
  }
  return lines.Take();
}

Bytes Latencystats(const InfoFigures& f) {
  Lines lines("Latencystats");
  const auto& commands = f.stats->commands();
  for (size_t i = 0; i < commands.size(); ++i) {
    const Histogram& h = commands[i].latency;
    if (h.count() == 0) continue;
    const auto at = [&h](double q) { return static_cast<double>(h.Quantile(q)); };
    lines.Text("latency_percentiles_usec_" + CommandTable::Get().LeafName(i),
               Format("p50=%.3f,p99=%.3f,p99.9=%.3f", at(0.5), at(0.99), at(0.999)));
  }
  return lines.Take();
}

Bytes Cluster(const InfoFigures& f) {
  return Lines("Cluster")
      .Number("cluster_enabled", 1)
      .Text("cluster_state", f.cluster.ok ? "ok" : "fail")
      .Number("cluster_known_nodes", f.cluster.members.size())
      .Number("cluster_epoch", f.cluster.epoch)
      .Take();
}

// The keys whose home is this node: those of all nodes together are the keyspace (DBSIZE).
Bytes Keyspace(const InfoFigures& f) {
  Lines lines("Keyspace");
  if (f.keys > 0) {
    lines.Text("db0", Format("keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0", f.keys,
                             f.keys_expiring));
  }
  return lines.Take();
}

Bytes GroupLine(const ClusterView::Group& g) {
  return Format("role=%s,leader=%" PRIu64 ",term=%" PRIu64 ",commit=%" PRIu64 ",applied=%" PRIu64
                ",last=%" PRIu64 ",snapshot=%" PRIu64 ",voters=%zu,learners=%zu,elections=%" PRIu64
                ",log_bytes=%zu,remembered=%zu",
                g.role.c_str(), g.leader.value, g.term.value, g.commit.value, g.applied.value,
                g.last.value, g.snapshot.value, g.voters.size(), g.learners.size(), g.elections,
                g.log_bytes, g.remembered);
}

// The first lines speak of the locks' group, in RedisRaft's words; then a line a group, a line a
// node.
Bytes Raft(const InfoFigures& f) {
  Lines lines("Raft");
  lines.Number("raft_node_id", f.node.value);
  for (const ClusterView::Group& group : f.cluster.groups) {
    if (group.id != kLocksGroup) continue;
    lines.Text("raft_role", group.role)
        .Number("raft_leader_id", group.leader.value)
        .Number("raft_current_term", group.term.value)
        .Number("raft_commit_index", group.commit.value)
        .Number("raft_last_applied_index", group.applied.value)
        .Number("raft_num_nodes", group.voters.size() + group.learners.size())
        .Number("raft_num_voting_nodes", group.voters.size());
  }
  for (const ClusterView::Group& group : f.cluster.groups) {
    lines.Text("raft_group_" + group.name, GroupLine(group));
  }
  for (const ClusterView::Member& member : f.cluster.members) {
    if (member.self) continue;
    lines.Text(Format("raft_node%" PRIu64, member.id.value),
               Format("id=%" PRIu64 ",state=%s,voting=%s,addr=%s:%u,last_conn_secs=%" PRId64,
                      member.id.value, member.connected ? "connected" : "disconnected",
                      member.voter ? "yes" : "no", member.host.c_str(), member.bus_port,
                      member.heard_ms_ago / 1000));
  }
  if (!f.cluster.waiting_for.empty()) lines.Text("raft_waiting_for", f.cluster.waiting_for);
  return lines.Take();
}

Bytes Locks(const InfoFigures& f) {
  return Lines("Locks")
      .Number("locks_held", f.locks.held)
      .Number("lock_holders", f.locks.holders)
      .Number("lock_waiters", f.locks.waiters)
      .Number("lock_owners", f.locks.owners)
      .Number("lock_deadlocks", f.locks.deadlocks)
      .Number("lock_highest_token", f.locks.highest_token)
      .Take();
}

struct Section {
  const char* name;  // Lower case, as INFO takes it.
  Bytes (*build)(const InfoFigures&);
  bool by_default = true;
};
// In the order of the answer.
constexpr Section kSections[] = {
    {"server", Server},
    {"clients", Clients},
    {"memory", Memory},
    {"persistence", Persistence},
    {"stats", StatsSection},
    {"replication", Replication},
    {"cpu", Cpu},
    {"modules", Modules},
    {"commandstats", Commandstats, false},
    {"errorstats", Errorstats},
    {"latencystats", Latencystats, false},
    {"cluster", Cluster},
    {"keyspace", Keyspace},
    {"raft", Raft},
    {"locks", Locks},
};

bool Wanted(const Section& section, const std::vector<Bytes>& asked) {
  if (asked.empty()) return section.by_default;
  return std::any_of(asked.begin(), asked.end(), [&](const Bytes& name) {
    if (EqualsIgnoreCase(name, "all") || EqualsIgnoreCase(name, "everything")) return true;
    if (EqualsIgnoreCase(name, "default")) return section.by_default;
    return EqualsIgnoreCase(name, section.name);
  });
}

}  // namespace

Bytes BuildInfo(const InfoFigures& figures, const std::vector<Bytes>& sections) {
  CHECK(figures.stats != nullptr);
  Bytes out;
  for (const Section& section : kSections) {
    if (!Wanted(section, sections)) continue;
    if (!out.empty()) out += "\r\n";
    out += section.build(figures);
  }
  return out;
}

Bytes HumanBytes(uint64_t n) {
  if (n < 1024) return Format("%" PRIu64 "B", n);
  double value = static_cast<double>(n);
  const char* unit = "";
  for (const char* next : {"K", "M", "G", "T", "P"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return Format("%.2f%s", value, unit);
}

}  // namespace lockstep
