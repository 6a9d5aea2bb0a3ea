// INFO: Redis's form and spelling, from figures that the node fills in.
#include <gtest/gtest.h>

#include "commands/command.h"
#include "src/info.h"

namespace lockstep {
namespace {

class InfoTest : public ::testing::Test {
 protected:
  InfoTest() {
    figures_.stats = &stats_;
    figures_.run_id = Bytes(40, 'f');
    figures_.tcp_port = 7379;
    figures_.node = NodeId{1};
  }
  Bytes Info(const std::vector<Bytes>& sections = {}) const {
    return BuildInfo(figures_, sections);
  }
  static bool Has(const Bytes& text, const Bytes& line) {
    return ("\r\n" + text).find("\r\n" + line + "\r\n") != Bytes::npos;
  }
  static std::vector<Bytes> Sections(const Bytes& text) {
    std::vector<Bytes> names;
    for (size_t at = text.find("# "); at != Bytes::npos; at = text.find("\n# ", at + 1)) {
      at += text[at] == '\n' ? 1 : 0;
      names.push_back(text.substr(at + 2, text.find('\r', at) - at - 2));
    }
    return names;
  }

  Stats stats_;
  InfoFigures figures_;
};

TEST_F(InfoTest, SectionsComeInRedisOrderAndOursLast) {
  EXPECT_EQ(
      Sections(Info()),
      (std::vector<Bytes>{"Server", "Clients", "Memory", "Persistence", "Stats", "Replication",
                          "CPU", "Modules", "Errorstats", "Cluster", "Keyspace", "Raft", "Locks"}));
  EXPECT_EQ(Info(), Info({"default"}));
  const auto all = Sections(Info({"ALL"}));
  EXPECT_EQ(all.size(), 15u);
  EXPECT_EQ(all[8], "Commandstats");
  EXPECT_EQ(all[10], "Latencystats");
  EXPECT_EQ(Info({"all"}), Info({"everything"}));
}

TEST_F(InfoTest, SectionsAreAskedForByNameEachOnce) {
  EXPECT_EQ(Sections(Info({"keyspace", "SERVER", "server"})),
            (std::vector<Bytes>{"Server", "Keyspace"}));
  EXPECT_EQ(Info({"nosuch"}), "");
  EXPECT_EQ(Sections(Info({"default", "commandstats"})).size(), 14u);
}

TEST_F(InfoTest, EveryLineIsASectionAFieldOrBlank) {
  figures_.cluster.groups.resize(2);
  figures_.cluster.groups[1].id = kLocksGroup;
  figures_.locks.held = 1;
  stats_.Of(0).calls = 1;
  stats_.Of(0).latency.Add(5);
  stats_.CountError("ERR x");
  const Bytes text = Info({"all"});
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find("\r\n", at);
    ASSERT_NE(end, Bytes::npos);
    const Bytes line = text.substr(at, end - at);
    EXPECT_TRUE(line.empty() || line.substr(0, 2) == "# " || line.find(':') != Bytes::npos) << line;
    EXPECT_EQ(line.find('\n'), Bytes::npos);
    at = end + 2;
  }
}

TEST_F(InfoTest, WhatClientsAndToolsInsistOnIsThere) {
  const Bytes text = Info({"all"});
  for (const char* line :
       {"expired_keys:0", "redis_version:7.0.15", "redis_mode:cluster", "role:master", "loading:0",
        "connected_slaves:0", "cluster_enabled:1", "tcp_port:7379", "rdb_bgsave_in_progress:0",
        "aof_rewrite_in_progress:0", "aof_enabled:0", "maxmemory_policy:noeviction",
        "server_name:lockstep", "lockstep_version:0.1.0", "arch_bits:64"}) {
    EXPECT_TRUE(Has(text, line)) << line;
  }
  EXPECT_TRUE(Has(text, "run_id:" + Bytes(40, 'f')));
  for (const char* field :
       {"used_memory", "connected_clients", "blocked_clients", "total_commands_processed",
        "total_connections_received", "instantaneous_ops_per_sec", "uptime_in_seconds",
        "maxclients", "used_cpu_sys", "keyspace_hits", "master_repl_offset",
        "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
        "io_threaded_reads_processed", "io_threaded_writes_processed"}) {
    EXPECT_NE(text.find("\r\n" + Bytes(field) + ":"), Bytes::npos) << field;
  }
}

TEST_F(InfoTest, CommandsAreNamedAsClientsCallThem) {
  const CommandTable& table = CommandTable::Get();
  const BytesView argv[] = {"client", "list"};
  auto& command = stats_.Of(table.LeafNumber(table.Find(argv).leaf()));
  command.calls = 4;
  command.usec = 10;
  command.rejected = 1;
  command.failed = 2;
  command.latency.Add(3);
  EXPECT_TRUE(Has(Info({"commandstats"}),
                  "cmdstat_client|list:calls=4,usec=10,usec_per_call=2.50,rejected_calls=1,"
                  "failed_calls=2"));
  EXPECT_TRUE(Has(Info({"latencystats"}),
                  "latency_percentiles_usec_client|list:p50=3.000,p99=3.000,p99.9=3.000"));
}

TEST_F(InfoTest, ErrorsAreCountedByCode) {
  stats_.CountError("WRONGPASS x");
  stats_.CountError("A\nB:C");
  EXPECT_TRUE(Has(Info({"errorstats"}), "errorstat_WRONGPASS:count=1"));
  EXPECT_TRUE(Has(Info({"errorstats"}), "errorstat_A\\nB:C:count=1"));
  EXPECT_TRUE(Has(Info({"stats"}), "total_error_replies:2"));
}

TEST_F(InfoTest, TheKeyspaceHasKeysAndNoLocks) {
  figures_.locks.held = 3;
  EXPECT_EQ(Info({"keyspace"}), "# Keyspace\r\n");
  figures_.keys = 5;
  figures_.keys_expiring = 2;
  figures_.cache.hits = 7;
  figures_.cache.misses = 6;
  EXPECT_TRUE(Has(Info({"keyspace"}), "db0:keys=5,expires=2,avg_ttl=0"));
  EXPECT_TRUE(Has(Info({"stats"}), "keyspace_hits:7"));
  EXPECT_TRUE(Has(Info({"stats"}), "keyspace_misses:6"));
}

TEST_F(InfoTest, LocksHaveASectionOfTheirOwn) {
  figures_.locks.waiters = 2;
  figures_.locks.highest_token = 99;
  EXPECT_TRUE(Has(Info({"locks"}), "lock_waiters:2"));
  EXPECT_TRUE(Has(Info({"locks"}), "lock_highest_token:99"));
}

TEST_F(InfoTest, RaftTellsTheLocksGroupThenAllGroupsAndPeers) {
  ClusterView::Group locks;
  locks.id = kLocksGroup;
  locks.name = "locks";
  locks.role = "leader";
  locks.leader = NodeId{1};
  locks.term = Term{4};
  locks.commit = Index{20};
  locks.applied = Index{19};
  locks.last = Index{21};
  locks.voters = {{1}, {2}, {3}};
  figures_.cluster.groups.push_back(locks);
  ClusterView::Member peer;
  peer.id = NodeId{2};
  peer.host = "10.0.0.2";
  peer.bus_port = 17'380;
  peer.connected = true;
  peer.heard_ms_ago = 2500;
  figures_.cluster.members.push_back(peer);
  figures_.cluster.waiting_for = "node 3 at h:1";
  const Bytes text = Info({"raft"});
  EXPECT_TRUE(Has(text, "raft_role:leader"));
  EXPECT_TRUE(Has(text, "raft_current_term:4"));
  EXPECT_TRUE(Has(text, "raft_num_voting_nodes:3"));
  EXPECT_TRUE(Has(text,
                  "raft_group_locks:role=leader,leader=1,term=4,commit=20,applied=19,last=21,"
                  "snapshot=0,voters=3,learners=0,elections=0,log_bytes=0,remembered=0"));
  EXPECT_TRUE(
      Has(text, "raft_node2:id=2,state=connected,voting=yes,addr=10.0.0.2:17380,last_conn_secs=2"));
  EXPECT_TRUE(Has(text, "raft_waiting_for:node 3 at h:1"));
}

TEST_F(InfoTest, BytesAreWrittenForPeopleAsRedisDoes) {
  EXPECT_EQ(HumanBytes(0), "0B");
  EXPECT_EQ(HumanBytes(1023), "1023B");
  EXPECT_EQ(HumanBytes(32 * 1024), "32.00K");
  EXPECT_EQ(HumanBytes(1'737'304), "1.66M");
  EXPECT_EQ(HumanBytes(25'276'026'880), "23.54G");
}

TEST_F(InfoTest, NothingIsDividedByZero) {
  figures_.memory_rss = 100;
  EXPECT_TRUE(Has(Info({"memory"}), "mem_fragmentation_ratio:0.00"));
  EXPECT_TRUE(Has(Info({"memory"}), "used_memory_peak_perc:0.00%"));
}

TEST_F(InfoTest, CpuTimeIsSecondsWithSixPlaces) {
  figures_.cpu_user_us = 3'000'042;
  EXPECT_TRUE(Has(Info({"cpu"}), "used_cpu_user:3.000042"));
}

}  // namespace
}  // namespace lockstep
