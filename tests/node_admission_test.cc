// What a node takes from a client and what not, when it cuts one off, and what it says to those who
// are there when it goes.
#include <algorithm>

#include "src/base/log.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

class NodeAdmissionTest : public NodeFixture {
 protected:
  // A node alone, and a client of it.
  ClientId Alone(const Bytes& settings = {}) {
    Form(1, settings);
    return cluster().Connect(k1);
  }
  Node& node() { return *cluster().node(k1); }
  void MeasureMemory(size_t bytes) {
    SystemFigures figures;
    figures.rss_bytes = bytes;
    node().Step(cluster().now(), figures);
  }
  Bytes Info(const Bytes& section) { return cluster().Ask(k1, "INFO " + section); }
};

// Log lines are told to a function, so what it heard is kept beside it.
std::vector<Bytes>& Heard() {
  static std::vector<Bytes> lines;
  return lines;
}

TEST_F(NodeAdmissionTest, WhatIsNoCommandIsAnsweredOnceAndEndsTheConnection) {
  const ClientId client = Alone();
  cluster().SendRaw(client, "PING\r\n*x\r\nPING\r\n");
  cluster().Run(5);
  EXPECT_EQ(cluster().Take(client), "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_TRUE(cluster().closed(client));
  EXPECT_TRUE(Has(Info("errorstats"), "errorstat_ERR:count=1"));
}

TEST_F(NodeAdmissionTest, ARequestOfABrowserIsClosedAndTheOperatorToldOnceAMinute) {
  Alone();
  Heard().clear();
  SetLogLevel(LogLevel::kWarn);
  SetLogSink([](LogLevel, BytesView line) { Heard().emplace_back(line); });
  const auto send = [&](const Bytes& line) {
    const ClientId client = cluster().Connect(k1);
    cluster().Send(client, line);
    cluster().Run(5);
    EXPECT_TRUE(cluster().closed(client));
    return cluster().Take(client);
  };
  EXPECT_EQ(send("POST / HTTP/1.1"), "");
  EXPECT_EQ(send("Host: localhost"), "");
  EXPECT_TRUE(send("GET / HTTP/1.1").starts_with("HTTP/1."));
  const auto told = [] {
    return std::count_if(Heard().begin(), Heard().end(),
                         [](const Bytes& line) { return Has(line, "speaks HTTP"); });
  };
  EXPECT_EQ(told(), 1);
  cluster().Run(60'000);
  send("POST / HTTP/1.1");
  EXPECT_EQ(told(), 2);
  SetLogSink(nullptr);
}

TEST_F(NodeAdmissionTest, ACommandThatOutgrowsTheQueryBufferIsCounted) {
  const ClientId client = Alone("client-query-buffer-limit 1mb\nproto-max-bulk-len 1mb\n");
  cluster().SendRaw(client, "*3\r\n$1000000\r\n" + Bytes(1'000'000, 'x') + "\r\n$1000000\r\n" +
                                Bytes(100'000, 'x'));
  cluster().Run(5);
  EXPECT_TRUE(Has(cluster().Take(client), "client-query-buffer-limit"));
  EXPECT_TRUE(cluster().closed(client));
  EXPECT_TRUE(Has(Info("stats"), "client_query_buffer_limit_disconnections:1"));
}

TEST_F(NodeAdmissionTest, InResp2ASubscriberMayOnlyListenAndInResp3Anything) {
  const ClientId client = Alone();
  cluster().Ask(client, "SUBSCRIBE news");
  EXPECT_EQ(cluster().Ask(client, "LOCK.INFO a"),
            "-ERR Can't execute 'lock.info': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
            "/ RESET are allowed in this context\r\n");
  EXPECT_EQ(cluster().Ask(client, "PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_EQ(cluster().Ask(client, "UNSUBSCRIBE"),
            "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n");
  EXPECT_EQ(cluster().Ask(client, "PUNSUBSCRIBE"), "*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n");
  EXPECT_FALSE(cluster().Ask(client, "LOCK.INFO a").starts_with("-ERR Can't"));

  cluster().Ask(client, "HELLO 3");
  cluster().Ask(client, "SUBSCRIBE news");
  EXPECT_EQ(cluster().Ask(client, "PING"), "+PONG\r\n");
}

TEST_F(NodeAdmissionTest, AShardMessageReachesItsSubscribersOnEveryNodeAndNobodyElse) {
  Form(3);
  const ClientId here = cluster().Connect(leader_);
  const ClientId there = cluster().Connect(follower_);
  const ClientId other = cluster().Connect(follower_);
  cluster().Ask(here, "SSUBSCRIBE news");
  cluster().Ask(there, "SSUBSCRIBE news");
  cluster().Ask(other, "SUBSCRIBE news");
  EXPECT_EQ(cluster().Ask(leader_, "SPUBLISH news hello"), ":1\r\n");
  cluster().Run(10);
  const Bytes message = "*3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n";
  EXPECT_EQ(cluster().Take(here), message);
  EXPECT_EQ(cluster().Take(there), message);
  EXPECT_EQ(cluster().Take(other), "");
}

TEST_F(NodeAdmissionTest, OverMaxmemoryOnlyWhatNeedsMoreIsRefused) {
  const ClientId client = Alone("maxmemory 1000\n");
  EXPECT_EQ(cluster().Ask(client, "LOCK.ACQUIRE a x").front(), ':');
  MeasureMemory(1'001);
  EXPECT_TRUE(cluster().Ask(client, "LOCK.ACQUIRE b x").starts_with("-OOM command not allowed"));
  EXPECT_EQ(cluster().Ask(client, "LOCK.RELEASE a x"), ":1\r\n");
  MeasureMemory(999);
  EXPECT_EQ(cluster().Ask(client, "LOCK.ACQUIRE b x").front(), ':');
}

TEST_F(NodeAdmissionTest, AClientThatLeavesTooMuchUnreadIsCutOffAtOnceOrAfterAWhile) {
  Alone("client-output-buffer-limit \"normal 1mb 1kb 5\"\n");
  const auto owes = [&](ClientId client, size_t bytes, int64_t ms) {
    for (int64_t waited = 0; waited <= ms && !cluster().closed(client); waited += 100) {
      node().Step(cluster().now(), ClientBacklog{client, bytes});
      cluster().Run(100);
    }
    return cluster().closed(client);
  };
  const ClientId slow = cluster().Connect(k1);
  EXPECT_FALSE(owes(slow, 2'000, 4'000));
  EXPECT_FALSE(owes(slow, 500, 200)) << "it has caught up: the time begins anew";
  EXPECT_FALSE(owes(slow, 2'000, 4'000));
  EXPECT_TRUE(owes(slow, 2'000, 2'000));
  EXPECT_TRUE(owes(cluster().Connect(k1), (1 << 20) + 1, 0));
  EXPECT_TRUE(Has(Info("stats"), "client_output_buffer_limit_disconnections:2"));
}

TEST_F(NodeAdmissionTest, AKilledClientIsClosedAndOneThatKillsItselfHearsOfIt) {
  const ClientId client = Alone();
  const ClientId victim = cluster().Connect(k1);
  const Bytes id = std::to_string(victim.value);
  EXPECT_EQ(cluster().Ask(client, "CLIENT KILL ID " + id), ":1\r\n");
  cluster().Run(5);
  EXPECT_TRUE(cluster().closed(victim));
  EXPECT_EQ(cluster().Ask(client, "CLIENT KILL ID " + std::to_string(client.value) + " SKIPME no"),
            ":1\r\n");
  cluster().Run(5);
  EXPECT_TRUE(cluster().closed(client));
}

TEST_F(NodeAdmissionTest, DebugIsForThoseWhomTheSettingNames) {
  const auto allowed = [&](const Bytes& settings, bool loopback) {
    Form(1, settings);
    const ClientId client{77};
    node().Step(cluster().now(), ClientOpened{client, "10.0.0.9:5", "10.0.0.1:7379", loopback});
    node().Step(cluster().now(), ClientData{client, "DEBUG SLEEP 0.25\r\n"});
    const Output out = node().Drain(cluster().now());
    EXPECT_EQ(out.sleep_us, out.clients[0].bytes == "+OK\r\n" ? 250'000 : 0);
    return out.clients[0].bytes == "+OK\r\n";
  };
  EXPECT_FALSE(allowed("", true));
  EXPECT_FALSE(allowed("enable-debug-command no\n", true));
  EXPECT_TRUE(allowed("enable-debug-command local\n", true));
  EXPECT_FALSE(allowed("enable-debug-command local\n", false));
  EXPECT_TRUE(allowed("enable-debug-command yes\n", false));
}

TEST_F(NodeAdmissionTest, SettingsAreReadThroughTheNode) {
  const ClientId client = Alone("timeout 7\n");
  EXPECT_EQ(cluster().Ask(client, "CONFIG GET timeout"), "*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n");
  EXPECT_EQ(cluster().Ask(client, "CONFIG SET timeout 8"), "+OK\r\n");
  EXPECT_EQ(cluster().Ask(client, "CONFIG GET timeout"), "*2\r\n$7\r\ntimeout\r\n$1\r\n8\r\n");
}

TEST_F(NodeAdmissionTest, PasswordsAreMadeOfTheNodesDiceAndNeverTwice) {
  const ClientId client = Alone();
  const Bytes one = cluster().Ask(client, "ACL GENPASS");
  const Bytes two = cluster().Ask(client, "ACL GENPASS");
  EXPECT_EQ(one.size(), 5 + 64 + 2u) << one;
  EXPECT_NE(one, two);
}

TEST_F(NodeAdmissionTest, AWaitThatNoLeaderHasHeardOfCanBeEnded) {
  Form(3, "leader-wait-ms 20000\n");
  const ClientId waiting = cluster().Connect(follower_);
  const ClientId friend_of_it = cluster().Connect(follower_);
  cluster().CutOff(follower_);
  cluster().Run(3'000);  // It knows no leader.
  cluster().Send(waiting, "LOCK.ACQUIRE a x BLOCK 0");
  cluster().Run(5);
  const Bytes id = std::to_string(waiting.value);
  EXPECT_EQ(cluster().Ask(friend_of_it, "CLIENT UNBLOCK " + id + " ERROR"), ":1\r\n");
  cluster().Run(5);
  EXPECT_TRUE(cluster().Take(waiting).starts_with("-UNBLOCKED"));
  cluster().Heal();
  cluster().Run(2'000);
  EXPECT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE a y").front(), ':') << "it was never asked for";
}

TEST_F(NodeAdmissionTest, AClientThatWaitsIsToldThatTheNodeGoes) {
  const ClientId client = Alone();
  cluster().Ask(client, "LOCK.ACQUIRE a x");
  cluster().Send(client, "LOCK.ACQUIRE a y BLOCK 0");
  cluster().Run(50);
  node().Step(cluster().now(), Terminate{});
  node().Step(cluster().now(), Tick{});
  const Output out = node().Drain(cluster().now());
  EXPECT_TRUE(out.exit);
  ASSERT_EQ(out.clients.size(), 1u);
  EXPECT_TRUE(out.clients[0].bytes.starts_with("-UNBLOCKED this node is shutting down"));
  EXPECT_TRUE(out.clients[0].close);
}

TEST_F(NodeAdmissionTest, AShutdownCanBeCalledOffWhileItHandsOver) {
  Form(3, "shutdown-timeout 10\n");
  cluster().CutOff(leader_);  // Nobody can take over: it goes on trying.
  const ClientId client = cluster().Connect(leader_);
  EXPECT_EQ(cluster().Ask(client, "SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
  const ClientId one = cluster().Connect(leader_);
  cluster().Send(one, "SHUTDOWN");
  EXPECT_EQ(cluster().Ask(client, "SHUTDOWN ABORT"), "+OK\r\n");
  cluster().Run(15'000);
  EXPECT_FALSE(cluster().exited(leader_));
}

TEST_F(NodeAdmissionTest, RebalanceGivesEachGroupToAVoterOfItsOwn) {
  Form(3);
  EXPECT_EQ(cluster().Ask(leader_, "CLUSTER REBALANCE"), "+OK\r\n");
  EXPECT_TRUE(cluster().RunUntil([&] {
    return cluster().Leader(kControlGroup) == k1 && cluster().Leader(kLocksGroup) == k2;
  }));
}

TEST_F(NodeAdmissionTest, APeerThatMakesNoSenseIsCutOffAndNamed) {
  Form(3);
  Node& node = *cluster().node(leader_);
  node.Step(cluster().now(), PeerFrame{follower_, "\xff\xff", {}});
  EXPECT_EQ(node.Drain(cluster().now()).cut_peers, std::vector<NodeId>{follower_});

  Bytes in_anothers_name;
  Writer out(&in_anothers_name);
  bus::EncodeHeader({bus::MessageType::kPing, leader_, Term{0}, kControlGroup}, &out);
  node.Step(cluster().now(), PeerFrame{follower_, in_anothers_name, {}});
  EXPECT_EQ(node.Drain(cluster().now()).cut_peers, std::vector<NodeId>{follower_});
}

// A term that the next election would overflow: believed, it would stop every node.
TEST_F(NodeAdmissionTest, APeerWhoseTermIsBeyondAllTermsIsCutOff) {
  Form(3);
  Node& node = *cluster().node(leader_);
  Bytes frame;
  Writer out(&frame);
  bus::EncodeHeader({bus::MessageType::kRaft, follower_, Term{UINT64_MAX}, kLocksGroup}, &out);
  raft::EncodeBody(raft::VoteRequest{}, &out);
  node.Step(cluster().now(), PeerFrame{follower_, frame, {}});
  EXPECT_EQ(node.Drain(cluster().now()).cut_peers, std::vector<NodeId>{follower_});
  EXPECT_LT(node.group(kLocksGroup)->term(), Term{1000});
}

TEST_F(NodeAdmissionTest, ATransactionMayBeThrownAway) {
  const ClientId client = Alone();
  cluster().Ask(client, "MULTI");
  EXPECT_EQ(cluster().Ask(client, "LOCK.ACQUIRE a x"), "+QUEUED\r\n");
  EXPECT_EQ(cluster().Ask(client, "DISCARD"), "+OK\r\n");
  EXPECT_EQ(cluster().Ask(client, "DISCARD"), "-ERR DISCARD without MULTI\r\n");
  EXPECT_EQ(cluster().Ask(client, "LOCK.CHECK a 1"), ":0\r\n");
}

TEST(NodeOpenTest, ANodeThatItsOwnListDoesNotNameDoesNotStart) {
  NodeOptions options;
  ASSERT_TRUE(options.config.ReadFile("test", "node-id 3\ncluster-nodes 1=a:1 2=b:2\n", {}).ok());
  MemoryDisk disk;
  const auto opened = Node::Open(std::move(options), disk, MonoTime{0});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().message,
            "cluster-nodes does not name node 3, which node-id says this is");
}

}  // namespace
}  // namespace lockstep
