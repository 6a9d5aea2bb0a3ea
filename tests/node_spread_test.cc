// Queues with several partitions on whole nodes: what tasks do to connections, hand-overs, order.
#include "tests/node_fixture.h"

#include <algorithm>
#include <map>

#include "src/base/hash.h"

namespace lockstep {
namespace {

constexpr uint64_t kShards = 4;

GroupId Partition(BytesView queue, uint64_t number) {
  return ShardGroup((ShardOfSlot(SlotOf(queue), kShards) + number) % kShards);
}

class NodeSpreadTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3, "shards 4\nnode-timeout 1000\nuncertain-after-ms 20000\nleader-wait-ms 20000\n");
    for (uint64_t i = 0; i < kShards; ++i) {
      ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(ShardGroup(i)) != kNoNode; }));
    }
  }
  void Spread(int partitions) {
    ASSERT_EQ(cluster().Ask(k1, Format("DQ.SET mail partitions %d", partitions)), "+OK\r\n");
  }
  // A body in each partition: what has no group goes to them in turn.
  void FillAll(int partitions) {
    for (int i = 0; i < partitions; ++i) {
      ASSERT_EQ(cluster().Ask(k1, Format("DQ.PUSH mail body%d", i)).front(), '$');
    }
  }
  Bytes Await(ClientId client, int64_t ms = 10'000) {
    Bytes reply;
    cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, ms);
    return reply;
  }
  // Until the number that INFO shows for `what` is this.
  bool Becomes(NodeId asked, BytesView what, int64_t number) {
    const Bytes wanted = Bytes(what) + Format("\r\n:%ld\r\n", number);
    for (int i = 0; i < 100; ++i) {
      if (Has(cluster().Ask(asked, "DQ.INFO mail"), wanted)) return true;
      cluster().Run(50);
    }
    return false;
  }
  // What the bulk strings of a reply hold that begin so.
  static std::vector<Bytes> Bulks(const Bytes& reply, BytesView prefix) {
    std::vector<Bytes> found;
    for (size_t at = reply.find('$'); at != Bytes::npos; at = reply.find('$', at + 1)) {
      const size_t begin = reply.find("\r\n", at) + 2;
      const Bytes bulk = reply.substr(begin, reply.find("\r\n", begin) - begin);
      if (bulk.starts_with(prefix)) found.push_back(bulk);
    }
    return found;
  }
  static Bytes ReceiptIn(const Bytes& reply) {
    for (const Bytes& bulk : Bulks(reply, "")) {
      if (std::count(bulk.begin(), bulk.end(), '.') == 2) return bulk;
    }
    return {};
  }
};

TEST_F(NodeSpreadTest, AnyNodeFindsWhatLiesInAnyPartition) {
  Spread(4);
  FillAll(8);
  EXPECT_EQ(cluster().Ask(k3, "DQ.LEN mail"), ":8\r\n");
  Bytes receipts;
  for (int i = 0; i < 8; ++i) {
    const Bytes popped = cluster().Ask(k2, "DQ.POP mail");
    ASSERT_FALSE(ReceiptIn(popped).empty()) << popped;
    receipts += " " + ReceiptIn(popped);
  }
  EXPECT_EQ(cluster().Ask(k2, "DQ.POP mail"), "*-1\r\n");
  EXPECT_EQ(cluster().Ask(k3, "DQ.ACK mail" + receipts), ":8\r\n") << "of four shards";
  EXPECT_EQ(cluster().Ask(k3, "DQ.ACK mail" + receipts), ":0\r\n");
  EXPECT_TRUE(Becomes(k1, "leased", 0));
}

// The POPs of one pipeline are under way together, and what is there they find, wherever it lies.
TEST_F(NodeSpreadTest, ThePopsOfAPipelineDoNotWaitForEachOther) {
  Spread(4);
  FillAll(35);
  const ClientId client = cluster().Connect(k2);
  for (int i = 0; i < 4; ++i) ASSERT_FALSE(ReceiptIn(cluster().Ask(client, "DQ.POP mail")).empty());
  const auto popped = [&](int pops, int64_t* ms) {
    Bytes pipeline, replies;
    for (int i = 0; i < pops; ++i) pipeline += "DQ.POP mail TIED\r\n";
    const MonoTime before = cluster().now();
    cluster().Send(client, pipeline + "PING");
    EXPECT_TRUE(cluster().RunUntil([&] { return Has(replies += cluster().Take(client), "PONG"); }));
    *ms = (cluster().now() - before) / kUsPerMs;
    size_t nils = 0;
    for (size_t at = 0; (at = replies.find("*-1\r\n", at)) != Bytes::npos; ++at) ++nils;
    return std::pair{Bulks(replies, "body").size(), nils};
  };
  int64_t together = 0, after = 0;
  EXPECT_EQ(popped(16, &together), (std::pair<size_t, size_t>{16, 0}));
  EXPECT_LE(together, 10);
  // Fifteen are left, in some partitions more than in others.
  EXPECT_EQ(popped(20, &after), (std::pair<size_t, size_t>{15, 5}));
  cluster().Disconnect(client);
  EXPECT_TRUE(Becomes(k1, "leased", 4)) << "those that were TIED are back";
}

TEST_F(NodeSpreadTest, TouchAnswersInTheOrderOfItsReceipts) {
  Spread(4);
  FillAll(4);
  std::vector<Bytes> receipts;
  for (int i = 0; i < 4; ++i) receipts.push_back(ReceiptIn(cluster().Ask(k2, "DQ.POP mail")));
  ASSERT_EQ(cluster().Ask(k2, "DQ.ACK mail " + receipts[1]), ":1\r\n");
  EXPECT_EQ(cluster().Ask(k3, "DQ.TOUCH mail 5000 " + receipts[0] + " " + receipts[1] + " " +
                                  receipts[2] + " 99.1.1 " + receipts[3]),
            "*5\r\n:5000\r\n:-1\r\n:5000\r\n:-1\r\n:5000\r\n");
}

// Pipelined, while another client makes it wider twice.
TEST_F(NodeSpreadTest, TheOrderOfAPipelineOutlivesGrowth) {
  const ClientId producer = cluster().Connect(k2);
  Bytes pipeline;
  constexpr int kMessages = 300;
  for (int i = 0; i < kMessages; ++i) {
    pipeline += Format("DQ.PUSH mail %c%03d GROUP %c\r\n", 'a' + i % 5, i, 'a' + i % 5);
    if (i % 3 == 0) pipeline += "ECHO between\r\n";  // Waits for nothing.
  }
  pipeline += "PING";
  cluster().Send(producer, pipeline);
  const ClientId operating = cluster().Connect(k3);
  cluster().Run(1);
  cluster().Send(operating, "DQ.SET mail partitions 2");
  Bytes replies;
  // Workers take the old ones away meanwhile, so that groups move.
  std::map<char, std::vector<Bytes>> seen;
  const auto work = [&](NodeId node) {
    const Bytes popped = cluster().Ask(node, "DQ.POP mail COUNT 3");
    for (const Bytes& bulk : Bulks(popped, "")) {
      if (bulk.size() == 4 && bulk[0] >= 'a' && bulk[0] <= 'e') seen[bulk[0]].push_back(bulk);
    }
    Bytes receipts;
    for (const Bytes& bulk : Bulks(popped, "")) {
      if (std::count(bulk.begin(), bulk.end(), '.') == 2) receipts += " " + bulk;
    }
    if (!receipts.empty()) cluster().Ask(node, "DQ.ACK mail" + receipts);
    replies += cluster().Take(producer);
    return !receipts.empty();
  };
  for (int i = 0; i < 40; ++i) work(i % 2 == 0 ? k1 : k3);
  for (int i = 0; i < 100 && !Has(cluster().Ask(k1, "DQ.SET mail partitions 4"), "OK"); ++i) {
    work(k2);
  }
  while (!Has(replies, "PONG")) work(k1);
  while (work(k3)) {}
  EXPECT_TRUE(Becomes(k2, "partitions", 4));
  size_t all = 0;
  for (const auto& [group, bodies] : seen) {
    EXPECT_TRUE(std::is_sorted(bodies.begin(), bodies.end())) << group;
    all += bodies.size();
  }
  EXPECT_EQ(all, kMessages);
}

TEST_F(NodeSpreadTest, WhoWaitsGetsWhatComesToAnyPartitionAndWaitsNowhereAfterwards) {
  const ClientId waiting = cluster().Connect(k3);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  Spread(4);
  for (int i = 0; i < 4; ++i) {
    FillAll(1);
    const Bytes popped = Await(waiting);
    ASSERT_TRUE(Has(popped, "body0")) << popped;
    EXPECT_TRUE(Becomes(k2, "waiters", 0));
    EXPECT_EQ(cluster().Ask(waiting, "DQ.ACK mail " + ReceiptIn(popped)), ":1\r\n");
    cluster().Send(waiting, "DQ.POP mail BLOCK 0");
    EXPECT_TRUE(Becomes(k2, "waiters", 1));
  }
}

TEST_F(NodeSpreadTest, AClientThatLeavesWaitsNowhere) {
  Spread(4);
  const ClientId waiting = cluster().Connect(k3);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  EXPECT_TRUE(Becomes(k1, "waiters", 1));
  cluster().Disconnect(waiting);
  EXPECT_TRUE(Becomes(k1, "waiters", 0));
  FillAll(4);
  EXPECT_EQ(cluster().Ask(k2, "DQ.LEN mail"), ":4\r\n");
}

TEST_F(NodeSpreadTest, AnUnblockedClientGetsNilOrAnErrorAndNoMessageLater) {
  Spread(4);
  const ClientId waiting = cluster().Connect(k3);
  for (const char* how : {"TIMEOUT", "ERROR"}) {
    cluster().Send(waiting, "DQ.POP mail BLOCK 0");
    ASSERT_TRUE(Becomes(k1, "waiters", 1));
    EXPECT_EQ(cluster().Ask(k3, Format("CLIENT UNBLOCK %lu %s", waiting.value, how)), ":1\r\n");
    const Bytes reply = Await(waiting);
    EXPECT_TRUE(*how == 'T' ? reply == "*-1\r\n" : Has(reply, "-UNBLOCKED")) << reply;
    EXPECT_TRUE(Becomes(k1, "waiters", 0));
  }
  FillAll(4);
  EXPECT_EQ(cluster().Ask(k2, "DQ.LEN mail"), ":4\r\n");
  EXPECT_EQ(cluster().Ask(waiting, "PING"), "+PONG\r\n");
}

TEST_F(NodeSpreadTest, ABlockThatEndsIsNil) {
  Spread(4);
  const ClientId waiting = cluster().Connect(k3);
  cluster().Send(waiting, "DQ.POP mail BLOCK 300");
  EXPECT_EQ(Await(waiting, 5'000), "*-1\r\n");
}

TEST_F(NodeSpreadTest, ATiedMessageComesBackFromWhateverPartitionItWas) {
  Spread(4);
  FillAll(4);
  const ClientId client = cluster().Connect(k2);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Has(cluster().Ask(client, "DQ.POP mail TIED"), "body"));
  EXPECT_EQ(cluster().Ask(k3, "DQ.LEN mail"), ":0\r\n");
  cluster().Disconnect(client);
  EXPECT_TRUE(Becomes(k3, "ready", 4));
}

// Trap q30, through a task.
TEST_F(NodeSpreadTest, WhatNobodyReadIsGivenBack) {
  Spread(4);
  FillAll(1);
  const ClientId deaf = cluster().Connect(k2);
  cluster().Send(deaf, "CLIENT REPLY OFF\r\nDQ.POP mail LEASE 3600000");
  const ClientId next = cluster().Connect(k3);
  cluster().Run(100);
  cluster().Send(next, "DQ.POP mail BLOCK 0 FULL");
  const Bytes popped = Await(next, 2'000);
  EXPECT_TRUE(Has(popped, "body0") && Has(popped, "failures\r\n:0")) << popped;
}

TEST_F(NodeSpreadTest, WhatWasHandedOverIsKnownToBeAMomentLater) {
  Spread(4);
  FillAll(4);
  const ClientId client = cluster().Connect(k2);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Has(cluster().Ask(client, "DQ.POP mail"), "body"));
  cluster().Run(500);
  for (uint64_t i = 0; i < kShards; ++i) {
    EXPECT_EQ(cluster().node(k2)->requests_pending(Partition("mail", i)), 0U) << i;
  }
  cluster().Kill(k2);
  cluster().Run(3'000);
  EXPECT_EQ(cluster().Ask(k3, "DQ.LEN mail"), ":0\r\n") << "they are the client's";
}

TEST_F(NodeSpreadTest, WaitingAtAllPartitionsOutlivesTheLeaderOfOne) {
  Spread(4);
  const NodeId leads = cluster().Leader(Partition("mail", 2));
  const NodeId other = cluster().OtherThan(leads);
  const ClientId waiting = cluster().Connect(other);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  ASSERT_TRUE(Becomes(other, "waiters", 1));
  cluster().Kill(leads);
  ASSERT_EQ(cluster().Ask(cluster().OtherThan(leads, other), "DQ.PUSH mail body0").front(), '$');
  EXPECT_TRUE(Has(Await(waiting, 20'000), "body0"));
}

TEST_F(NodeSpreadTest, OnePopWaitsAtQueuesOfSeveralShards) {
  Bytes other;
  for (int i = 0; other.empty(); ++i) {
    const Bytes name = Format("q%d", i);
    if (Partition(name, 0) != Partition("mail", 0)) other = name;
  }
  const ClientId waiting = cluster().Connect(k3);
  for (const Bytes& queue : {Bytes("mail"), other}) {
    cluster().Send(waiting, "DQ.POP mail " + other + " BLOCK 0");
    cluster().Run(100);
    ASSERT_EQ(cluster().Ask(k1, "DQ.PUSH " + queue + " hello").front(), '$');
    const Bytes popped = Await(waiting);
    EXPECT_TRUE(Has(popped, "hello") && Has(popped, queue)) << popped;
  }
  EXPECT_EQ(cluster().Ask(k1, "DQ.PUSH mail left").front(), '$');
  EXPECT_EQ(cluster().Ask(k1, "DQ.PUSH " + other + " right").front(), '$');
  EXPECT_TRUE(Has(cluster().Ask(waiting, "DQ.POP mail " + other), "left")) << "left to right";
  EXPECT_TRUE(Has(cluster().Ask(waiting, "DQ.POP mail " + other), "right"));
}

TEST_F(NodeSpreadTest, TheDeadOfAllPartitionsGoBack) {
  Spread(4);
  FillAll(4);
  for (int i = 0; i < 4; ++i) {
    const Bytes receipt = ReceiptIn(cluster().Ask(k2, "DQ.POP mail"));
    ASSERT_EQ(cluster().Ask(k2, "DQ.NACK mail " + receipt + " DEAD ERROR why"), ":1\r\n");
  }
  EXPECT_EQ(cluster().Ask(k3, "DQ.LEN mail!dead"), ":4\r\n");
  EXPECT_EQ(Bulks(cluster().Ask(k3, "DQ.PEEK mail!dead COUNT 10"), "body").size(), 8U)
      << "four bodies, each behind its key";
  EXPECT_EQ(cluster().Ask(k1, "DQ.MOVE mail!dead mail COUNT 3"), ":3\r\n");
  EXPECT_EQ(cluster().Ask(k1, "DQ.MOVE mail!dead mail"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(k3, "DQ.LEN mail"), ":4\r\n");
  EXPECT_EQ(cluster().Ask(k3, "DQ.PURGE mail"), ":4\r\n");
  size_t listed = 0;
  for (uint64_t shard = 0; shard < kShards; ++shard) {
    const Bytes page = cluster().Ask(k3, Format("DQ.LIST CURSOR %lu COUNT 100", shard << 32));
    listed += Bulks(page, "mail").size();
  }
  EXPECT_EQ(listed, 1U) << "once, not once a partition";
}

// A node that has heard of nothing finds out by the first, and does the second behind it.
TEST_F(NodeSpreadTest, APipelineThatLearnsOnTheWayKeepsItsOrder) {
  Spread(4);
  for (const NodeId node : {k2, k3}) {
    const ClientId client = cluster().Connect(node);
    cluster().Send(client, "DQ.PUSH mail one GROUP g\r\nDQ.POP mail\r\nDQ.LEN mail\r\nPING");
    Bytes replies;
    ASSERT_TRUE(cluster().RunUntil([&] {
      replies += cluster().Take(client);
      return Has(replies, "PONG");
    }));
    EXPECT_TRUE(Has(replies, "one")) << replies;
    EXPECT_TRUE(Has(replies, ":0\r\n+PONG")) << replies;
    ASSERT_EQ(cluster().Ask(client, "DQ.ACK mail " + ReceiptIn(replies)), ":1\r\n");
  }
}

// What goes straight may come back and go again: what takes several steps waits for it.
TEST_F(NodeSpreadTest, APopBehindAPushSeesItThoughAllHasChangedMeanwhile) {
  Spread(4);
  cluster().Ask(k2, "DQ.LEN mail");
  const ClientId client = cluster().Connect(k2);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(cluster().Ask(k1, Format("DQ.SET mail lease %d", 60'000 + i)), "+OK\r\n");
    cluster().Send(client, Format("DQ.PUSH mail body%d GROUP g%d\r\nDQ.POP mail NOACK\r\n"
                                  "DQ.LEN mail", i, i));
    Bytes replies;
    ASSERT_TRUE(cluster().RunUntil([&] {
      replies += cluster().Take(client);
      return replies.ends_with(":0\r\n");
    })) << replies;
    EXPECT_TRUE(Has(replies, Format("body%d", i))) << replies;
  }
}

TEST_F(NodeSpreadTest, NothingIsPushedToTheDeadThroughAnyNode) {
  Spread(4);
  for (const NodeId node : {k1, k2, k3}) {
    EXPECT_TRUE(Has(cluster().Ask(node, "DQ.PUSH mail!dead no"), "-ERR"));
    EXPECT_TRUE(Has(cluster().Ask(node, "DQ.SET mail!dead partitions 4"), "-ERR"));
    EXPECT_TRUE(Has(cluster().Ask(node, "DQ.PUSH mail yes"), "."));
  }
}

// One question leads to the next without a pause, however few nodes there are.
TEST_F(NodeSpreadTest, ALookIntoManyPartitionsWaitsForNothing) {
  Spread(4);
  cluster().Ask(k2, "DQ.LEN mail");
  const MonoTime began = cluster().now();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(cluster().Ask(k2, "DQ.POP mail"), "*-1\r\n");
  EXPECT_LT(cluster().now() - began, 400 * kUsPerMs);
}

// All the same, wherever it is asked: the options go to each partition.
TEST_F(NodeSpreadTest, AnOptionHoldsInAllPartitions) {
  Spread(4);
  ASSERT_EQ(cluster().Ask(k2, "DQ.SET mail retry 1"), "+OK\r\n");
  FillAll(4);
  for (int i = 0; i < 4; ++i) {
    const Bytes receipt = ReceiptIn(cluster().Ask(k3, "DQ.POP mail"));
    ASSERT_EQ(cluster().Ask(k3, "DQ.NACK mail " + receipt), ":1\r\n");
  }
  EXPECT_EQ(cluster().Ask(k1, "DQ.LEN mail!dead"), ":4\r\n");
  ASSERT_EQ(cluster().Ask(k3, "DQ.PAUSE mail IN"), "+OK\r\n");
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(Has(cluster().Ask(k1, "DQ.PUSH mail no"), "-LIMIT")) << i;
  }
}

}  // namespace
}  // namespace lockstep
