// CLUSTER: Redis Cluster's forms for its clients, and our own for the operator.
#include <gtest/gtest.h>

#include "commands/cluster_command.h"
#include "tests/fake_host.h"

namespace lockstep {
namespace {

class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest() {
    host_.view.cluster = ClusterId{0xabc};
    host_.view.epoch = 7;
    host_.view.ok = true;
    host_.view.members[0].slots = {{0, 5460}, {16'000, 16'383}};
    ClusterView::Member& second = host_.AddMember(2);
    second.slots = {{5461, 15'999}};
    second.heard_ms_ago = 40;
    second.link_up_ms = 1000;
    ClusterView::Group locks;
    locks.id = kLocksGroup;
    locks.name = "locks";
    locks.role = "follower";
    locks.leader = NodeId{2};
    locks.term = Term{3};
    locks.voters = {{1}, {2}};
    host_.view.groups.push_back(locks);
  }
  Reply Run(const std::vector<Bytes>& words) { return host_.Run(me_, words); }
  Bytes Wire(const std::vector<Bytes>& words) { return host_.Wire(me_, words); }
  Reply Err(BytesView sentence) { return Reply::Error("ERR", sentence); }
  static Bytes Name(int id) { return Bytes(39, 'a') + static_cast<char>('0' + id); }

  FakeHost host_;
  Client& me_ = host_.Connect(1);
};

TEST_F(ClusterTest, SlotsCoverEverySlotOnceInOrder) {
  EXPECT_EQ(Wire({"CLUSTER", "SLOTS"})
                .find("*3\r\n*3\r\n:0\r\n:5460\r\n*4\r\n$9\r\n127.0.0.1\r\n:7379\r\n$40\r\n" +
                      Name(1) + "\r\n*0\r\n*3\r\n:5461\r\n:15999\r\n"),
            0u);
  int64_t next = 0;
  for (const Reply& row : Run({"CLUSTER", "SLOTS"}).items) {
    EXPECT_EQ(row.items[0].integer, next);
    next = row.items[1].integer + 1;
  }
  EXPECT_EQ(next, 16'384);
}

TEST_F(ClusterTest, ANodesMetadataIsAMapInResp3) {
  me_.protocol = 3;
  const Bytes wire = Wire({"CLUSTER", "SLOTS"});
  EXPECT_NE(wire.find(Name(1) + "\r\n%0\r\n"), Bytes::npos) << wire;
}

TEST_F(ClusterTest, ShardsAreOneNodeEach) {
  const Bytes wire = Wire({"CLUSTER", "SHARDS"});
  const Bytes first =
      "*2\r\n*4\r\n$5\r\nslots\r\n*4\r\n:0\r\n:5460\r\n:16000\r\n:16383\r\n$5\r\nnodes\r\n*1\r\n*"
      "14\r\n"
      "$2\r\nid\r\n$40\r\n" +
      Name(1) +
      "\r\n$4\r\nport\r\n:7379\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
      "$8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$18\r\nreplication-"
      "offset\r\n"
      ":0\r\n$6\r\nhealth\r\n$6\r\nonline\r\n";
  EXPECT_EQ(wire.substr(0, first.size()), first);
}

TEST_F(ClusterTest, NodesHasALinePerMemberWithItsSlots) {
  const Reply reply = Run({"CLUSTER", "NODES"});
  EXPECT_EQ(reply.kind, Reply::Kind::kVerbatim);
  EXPECT_EQ(reply.text,
            Name(1) + " 127.0.0.1:7379@17379 myself,master - 0 0 7 connected 0-5460 16000-16383\n" +
                Name(2) +
                " 127.0.0.1:7380@17380 master - 0 1700000000083 7 connected 5461-15999\n");
}

TEST_F(ClusterTest, AFailedMemberAndANamedHostAreShownAsSuch) {
  ClusterView::Member& second = host_.view.members[1];
  second.failed = true;
  second.connected = false;
  second.host = "node-2.local";
  second.slots = {{5461, 5461}};
  const Bytes text = Run({"CLUSTER", "NODES"}).text;
  EXPECT_NE(text.find(" node-2.local:7380@17380,node-2.local master,fail - "), Bytes::npos) << text;
  EXPECT_NE(text.find(" disconnected 5461\n"), Bytes::npos) << text;
}

TEST_F(ClusterTest, ANodeWithoutANameIsWhereTheClientFoundIt) {
  host_.view.members[0].host = "";
  me_.local_address = "[fe80::7]:7379";
  EXPECT_EQ(Run({"CLUSTER", "SLOTS"}).items[0].items[2].items[0], Reply::Bulk("fe80::7"));
  const Bytes lines = Run({"CLUSTER", "NODES"}).text;
  EXPECT_NE(lines.find(" fe80::7:7379@17379 myself,master "), Bytes::npos) << lines;
  EXPECT_EQ(Run({"CLUSTER", "SHARDS"}).items[0].items[3].items[0].items[5],
            Reply::Bulk("fe80::7"));
  EXPECT_EQ(host_.Cluster().members[1].host, "127.0.0.1");  // It is another's.
}

TEST_F(ClusterTest, InfoSaysWhetherTheClusterServes) {
  host_.view.messages_sent = 11;
  host_.view.messages_received = 12;
  EXPECT_EQ(Run({"CLUSTER", "INFO"}).text,
            "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"
            "cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:2\r\n"
            "cluster_size:2\r\ncluster_current_epoch:7\r\ncluster_my_epoch:7\r\n"
            "cluster_stats_messages_sent:11\r\ncluster_stats_messages_received:12\r\n"
            "total_cluster_links_buffer_limit_exceeded:0\r\n");
  host_.view.ok = false;
  host_.view.members[1].failed = true;
  const Bytes text = Run({"CLUSTER", "INFO"}).text;
  EXPECT_EQ(text.substr(0, 18), "cluster_state:fail");
  EXPECT_NE(text.find("cluster_slots_fail:10539\r\n"), Bytes::npos) << text;
}

TEST_F(ClusterTest, LinksAreOursToConnectedPeers) {
  const Reply links = Run({"CLUSTER", "LINKS"});
  ASSERT_EQ(links.items.size(), 1u);
  EXPECT_EQ(links.items[0].items[3], Reply::Bulk(Name(2)));
  EXPECT_EQ(links.items[0].items[5], Reply::Integer(1'699'999'999'123));
  host_.view.members[1].connected = false;
  EXPECT_EQ(Run({"CLUSTER", "LINKS"}), Reply::Array());
}

TEST_F(ClusterTest, SmallQuestionsAreAnsweredAsRedisDoes) {
  EXPECT_EQ(Run({"CLUSTER", "MYID"}), Reply::Bulk(Name(1)));
  EXPECT_EQ(Run({"CLUSTER", "MYSHARDID"}), Reply::Bulk(Name(1)));
  EXPECT_EQ(Run({"CLUSTER", "KEYSLOT", "a"}), Reply::Integer(15'495));
  EXPECT_EQ(Run({"CLUSTER", "KEYSLOT", "{a}b"}), Reply::Integer(15'495));
  EXPECT_EQ(Run({"CLUSTER", "REPLICAS", Name(2)}), Reply::Array());
  EXPECT_EQ(Run({"CLUSTER", "REPLICAS", "x"}), Err("Unknown node x"));
  EXPECT_EQ(Run({"CLUSTER", "REPLICAS", "x\r\n"}), Err("Unknown node x"));
  EXPECT_EQ(Run({"CLUSTER", "REPLICAS", Bytes{'x', '\0', 'y'}}), Err("Unknown node x"));
  EXPECT_EQ(Run({"CLUSTER", "COUNTKEYSINSLOT", "16384"}), Err("Invalid slot"));
  EXPECT_EQ(Run({"CLUSTER", "GETKEYSINSLOT", "16384", "1"}), Err("Invalid slot or number of keys"));
  EXPECT_EQ(Run({"CLUSTER", "GETKEYSINSLOT", "16383", "0"}), Reply::Array());
  EXPECT_EQ(Run({"CLUSTER", "GETKEYSINSLOT", "1", "-1"}), Err("Invalid slot or number of keys"));
  EXPECT_EQ(Run({"CLUSTER", "GETKEYSINSLOT", "x", "1"}),
            Err("value is not an integer or out of range"));
  EXPECT_EQ(Run({"READONLY"}), Reply::Ok());
  EXPECT_TRUE(me_.readonly);
  EXPECT_EQ(Run({"READWRITE"}), Reply::Ok());
  EXPECT_FALSE(me_.readonly);
  EXPECT_EQ(Run({"ASKING"}), Reply::Ok());
}

const Reply& Field(const Reply& map, BytesView key) {
  for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
    if (map.items[i].text == key) return map.items[i + 1];
  }
  static const Reply kMissing = Reply::Simple("missing");
  return kMissing;
}

TEST_F(ClusterTest, StatusTellsNodesGroupsAndMoves) {
  const Reply status = Run({"CLUSTER", "STATUS"});
  EXPECT_EQ(Field(status, "state"), Reply::Bulk("ok"));
  EXPECT_EQ(Field(status, "waiting-for"), Reply::Nil());
  EXPECT_EQ(Field(status, "cluster-id"), Reply::Bulk("0000000000000abc"));
  EXPECT_EQ(Field(status, "epoch"), Reply::Integer(7));
  const Reply& nodes = Field(status, "nodes");
  ASSERT_EQ(nodes.items.size(), 2u);
  EXPECT_EQ(Field(nodes.items[0], "state"), Reply::Bulk("self"));
  EXPECT_EQ(Field(nodes.items[1], "state"), Reply::Bulk("up"));
  EXPECT_EQ(Field(nodes.items[1], "leads"), Reply::Array({Reply::Bulk("locks")}));
  EXPECT_EQ(Field(nodes.items[1], "slots"), Reply::Integer(10'539));
  const Reply& groups = Field(status, "groups");
  ASSERT_EQ(groups.items.size(), 1u);
  EXPECT_EQ(Field(groups.items[0], "leader"), Reply::Integer(2));
  EXPECT_EQ(Field(status, "moves"), Reply::Array());
  host_.view.groups[0].changing = true;
  EXPECT_EQ(Field(Run({"CLUSTER", "STATUS"}), "moves").items.size(), 1u);
}

TEST_F(ClusterTest, WhileFormingStatusSaysWhatItWaitsFor) {
  host_.view.cluster = ClusterId{};
  host_.view.waiting_for = "node 3 at 127.0.0.1:17381";
  const Reply status = Run({"CLUSTER", "STATUS"});
  EXPECT_EQ(Field(status, "state"), Reply::Bulk("forming"));
  EXPECT_EQ(Field(status, "waiting-for"), Reply::Bulk("node 3 at 127.0.0.1:17381"));
}

TEST_F(ClusterTest, AddAndRemoveGoThroughTheControlGroup) {
  EXPECT_EQ(Run({"CLUSTER", "ADD", "3", "10.0.0.3:17381"}), Reply::Ok());
  ASSERT_TRUE(host_.control.nodes().contains(NodeId{3}));
  EXPECT_EQ(host_.control.nodes().at(NodeId{3}).host, "10.0.0.3");
  EXPECT_EQ(host_.control.nodes().at(NodeId{3}).bus_port, 17'381);
  EXPECT_EQ(Run({"CLUSTER", "ADD", "4", "[::1]:17382"}), Reply::Ok());
  EXPECT_EQ(host_.control.nodes().at(NodeId{4}).host, "::1");
  EXPECT_EQ(Run({"CLUSTER", "REMOVE", "3"}), Reply::Ok());
  EXPECT_EQ(Run({"CLUSTER", "FORGET", "4"}), Reply::Ok());
  EXPECT_TRUE(host_.control.removed(NodeId{4}));
  EXPECT_TRUE(Run({"CLUSTER", "ADD", "3", "10.0.0.3:17381"}).is_error());
}

TEST_F(ClusterTest, ForgetTakesANameForTheSakeOfRedisCli) {
  ASSERT_EQ(Run({"CLUSTER", "ADD", "2", "127.0.0.1:17380"}), Reply::Ok());
  EXPECT_EQ(Run({"CLUSTER", "FORGET", Name(2)}), Reply::Ok());
  EXPECT_TRUE(host_.control.removed(NodeId{2}));
}

TEST_F(ClusterTest, BadNodesAndAddressesAreRefusedBeforeTheLog) {
  for (const char* id : {"0", "-1", "x", "1000001", ""}) {
    EXPECT_TRUE(Run({"CLUSTER", "ADD", id, "h:1"}).is_error()) << id;
    EXPECT_TRUE(Run({"CLUSTER", "REMOVE", id}).is_error()) << id;
  }
  for (const char* address :
       {"host", "host:", ":1", "host:0", "host:65536", "host:x", "::1:5", "a b:1"}) {
    EXPECT_TRUE(Run({"CLUSTER", "ADD", "3", address}).is_error()) << address;
  }
  EXPECT_EQ(host_.control.epoch(), 1u);
}

TEST_F(ClusterTest, LeadershipIsMovedByGroupNameOrNumber) {
  EXPECT_EQ(Run({"CLUSTER", "LEADER", "LOCKS", "1"}), Reply::Ok());
  EXPECT_EQ(Run({"CLUSTER", "LEADER", "1", "2"}), Reply::Ok());
  EXPECT_EQ(host_.transfers, (std::vector<std::pair<GroupId, NodeId>>{{kLocksGroup, NodeId{1}},
                                                                      {kLocksGroup, NodeId{2}}}));
  EXPECT_EQ(Run({"CLUSTER", "LEADER", "nosuch", "1"}),
            Err("there is no group 'nosuch'; CLUSTER STATUS lists them; nothing was changed"));
  EXPECT_EQ(Run({"CLUSTER", "LEADER", "locks", "9"}),
            Err("that node is no voter of the group; nothing was changed"));
  EXPECT_EQ(Run({"CLUSTER", "REBALANCE"}), Reply::Ok());
  EXPECT_EQ(host_.rebalanced, 1);
}

TEST_F(ClusterTest, RedisClustersAdministrationIsToldWhatToUse) {
  EXPECT_EQ(
      Run({"CLUSTER", "MEET", "1.2.3.4", "5"}),
      Err("CLUSTER MEET does not exist here: use CLUSTER ADD <id> <host:bus-port>; nothing was "
          "changed"));
  for (const char* name : {"ADDSLOTS", "ADDSLOTSRANGE", "DELSLOTS", "DELSLOTSRANGE", "FLUSHSLOTS",
                           "SETSLOT", "FAILOVER", "REPLICATE", "RESET", "SAVECONFIG", "BUMPEPOCH",
                           "SET-CONFIG-EPOCH", "COUNT-FAILURE-REPORTS"}) {
    const Reply reply = Run({"CLUSTER", name, "1", "2"});
    EXPECT_EQ(reply.text.find("ERR CLUSTER " + Bytes(name) + " does not exist here: "), 0u);
  }
}

TEST(AddressTest, HostAndPortArePartedAtTheLastColon) {
  Bytes host;
  uint16_t port = 0;
  ASSERT_TRUE(ParseAddress("node-3.example.org:17381", &host, &port));
  EXPECT_EQ(host, "node-3.example.org");
  EXPECT_EQ(port, 17'381);
  EXPECT_FALSE(ParseAddress("fe80::1:17381", &host, &port));
  EXPECT_FALSE(ParseAddress(Bytes(256, 'h') + ":1", &host, &port));
}

}  // namespace
}  // namespace lockstep
