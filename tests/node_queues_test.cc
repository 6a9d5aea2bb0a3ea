// Queues of whole nodes: any node takes any command, and what one of them holds when it dies comes
// back.
#include "tests/node_fixture.h"

#include "commands/replica.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

GroupId GroupOf(BytesView queue) { return ShardGroup(ShardOfSlot(SlotOf(queue), 2)); }

class NodeQueuesTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3, "node-timeout 1000\nuncertain-after-ms 20000\nleader-wait-ms 20000\n");
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(GroupOf("mail")) != kNoNode; }));
    leads_ = cluster().Leader(GroupOf("mail"));
    other_ = cluster().OtherThan(leads_);
    third_ = cluster().OtherThan(leads_, other_);
  }
  Bytes Await(ClientId client, int64_t ms = 10'000) {
    Bytes reply;
    cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, ms);
    return reply;
  }
  // The receipt in a POP's answer: its third bulk string.
  static Bytes ReceiptIn(const Bytes& reply) {
    size_t at = 0;
    for (int i = 0; i < 2; ++i) at = reply.find('$', at + (i == 0 ? 0 : 1));
    const size_t begin = reply.find("\r\n", at) + 2;
    return reply.substr(begin, reply.find("\r\n", begin) - begin);
  }

  NodeId leads_, other_, third_;  // leads_: the shard of "mail".
};

TEST_F(NodeQueuesTest, AMessageReachesWhoWaitsOnAnotherNode) {
  const ClientId waiting = cluster().Connect(other_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  EXPECT_TRUE(Has(cluster().Ask(third_, "DQ.PUSH mail hello"), "."));
  const Bytes popped = Await(waiting);
  EXPECT_TRUE(Has(popped, "hello")) << popped;
  EXPECT_EQ(cluster().Ask(third_, "DQ.ACK mail " + ReceiptIn(popped)), ":1\r\n");
  EXPECT_EQ(cluster().Ask(leads_, "DQ.POP mail"), "*-1\r\n");
}

TEST_F(NodeQueuesTest, EveryAcknowledgedPushIsThereAfterTheRestartOfAllNodes) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(cluster().Ask(other_, Format("DQ.PUSH q%d m%d", i, i)).front(), '$');
  }
  for (const NodeId id : {k1, k2, k3}) cluster().Kill(id);
  for (const NodeId id : {k1, k2, k3}) cluster().Start(id);
  for (int i = 0; i < 20; ++i) {
    const Bytes popped = cluster().Ask(third_, Format("DQ.POP q%d", i));
    EXPECT_TRUE(Has(popped, Format("m%d", i))) << popped;
  }
}

TEST_F(NodeQueuesTest, ABlockedPopSeesNothingOfAFailover) {
  const ClientId waiting = cluster().Connect(other_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  cluster().Kill(leads_);
  ASSERT_TRUE(Has(cluster().Ask(third_, "DQ.PUSH mail hello"), "."));
  EXPECT_TRUE(Has(Await(waiting), "hello"));
}

TEST_F(NodeQueuesTest, ABlockedPopGetsOneMessageThoughItIsAskedForAgainAfterAFailover) {
  const ClientId waiting = cluster().Connect(other_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  cluster().Kill(leads_);
  ASSERT_TRUE(Has(cluster().Ask(third_, "DQ.PUSH mail hello"), "."));
  ASSERT_TRUE(Has(cluster().Ask(third_, "DQ.PUSH mail again"), "."));
  EXPECT_TRUE(Has(Await(waiting), "hello"));
  EXPECT_TRUE(Has(cluster().Ask(third_, "DQ.POP mail"), "again"));
}

TEST_F(NodeQueuesTest, APushIsNotAnsweredBeforeItIsCommittedThoughItsIdIsAskedForAgain) {
  const ClientId first = cluster().Connect(other_);
  const ClientId second = cluster().Connect(third_);
  ASSERT_TRUE(Has(cluster().Ask(other_, "DQ.PUSH mail before"), "."));
  ASSERT_TRUE(Has(cluster().Ask(third_, "DQ.PUSH mail before"), "."));
  for (const NodeId id : {other_, third_}) cluster().StopDisk(id, true);
  for (const ClientId client : {first, second}) cluster().Send(client, "DQ.PUSH mail once ID 7");
  cluster().Run(1000);
  EXPECT_EQ(cluster().Take(first) + cluster().Take(second), "");
  for (const NodeId id : {other_, third_}) cluster().StopDisk(id, false);
  const Bytes answered = Await(first);
  EXPECT_TRUE(Has(answered, ".")) << answered;
  EXPECT_EQ(Await(second), answered);
}

TEST_F(NodeQueuesTest, WhatWasOnItsWayToAClientThatLeftGoesToTheNext) {
  const ClientId gone = cluster().Connect(other_);
  cluster().Send(gone, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  // The delivery is decided, and its answer on the way, when the client leaves.
  cluster().CutOff(other_);
  ASSERT_TRUE(Has(cluster().Ask(leads_, "DQ.PUSH mail hello"), "."));
  cluster().Disconnect(gone);
  cluster().Heal();
  const ClientId next = cluster().Connect(third_);
  cluster().Send(next, "DQ.POP mail BLOCK 0 FULL");
  const Bytes popped = Await(next);
  EXPECT_TRUE(Has(popped, "hello") && Has(popped, "failures\r\n:0")) << popped;
}

TEST_F(NodeQueuesTest, WhatANodeHeldWhenItDiedComesBackWithoutAFailure) {
  const ClientId client = cluster().Connect(other_);
  cluster().Send(client, "DQ.POP mail BLOCK 0 LEASE 3600000");
  cluster().Run(50);
  cluster().CutOff(other_);
  ASSERT_TRUE(Has(cluster().Ask(leads_, "DQ.PUSH mail hello"), "."));
  cluster().Kill(other_);
  const ClientId next = cluster().Connect(third_);
  cluster().Send(next, "DQ.POP mail BLOCK 0 FULL");
  const Bytes popped = Await(next);
  EXPECT_TRUE(Has(popped, "hello") && Has(popped, "failures\r\n:0")) << popped;
}

TEST_F(NodeQueuesTest, WhatAClientHasHadForAMomentIsItsOwnThoughItsNodeDies) {
  ASSERT_TRUE(Has(cluster().Ask(leads_, "DQ.PUSH mail hello"), "."));
  const ClientId client = cluster().Connect(other_);
  ASSERT_TRUE(Has(cluster().Ask(client, "DQ.POP mail LEASE 60000"), "hello"));
  cluster().Run(300);
  cluster().Kill(other_);
  cluster().Run(5000);
  EXPECT_EQ(cluster().Ask(third_, "DQ.POP mail"), "*-1\r\n");
  EXPECT_TRUE(Has(cluster().Ask(third_, "DQ.INFO mail"), "leased\r\n:1"));
}

TEST_F(NodeQueuesTest, ATiedMessageComesBackWhenItsConnectionCloses) {
  ASSERT_TRUE(Has(cluster().Ask(leads_, "DQ.PUSH mail hello"), "."));
  const ClientId client = cluster().Connect(other_);
  ASSERT_TRUE(Has(cluster().Ask(client, "DQ.POP mail TIED"), "hello"));
  EXPECT_EQ(cluster().Ask(third_, "DQ.POP mail"), "*-1\r\n");
  cluster().Disconnect(client);
  const ClientId next = cluster().Connect(third_);
  cluster().Send(next, "DQ.POP mail BLOCK 0");
  EXPECT_TRUE(Has(Await(next, 1000), "hello"));
}

TEST_F(NodeQueuesTest, AnUnblockedClientGetsNilAndNoMessageLater) {
  const ClientId waiting = cluster().Connect(other_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  EXPECT_EQ(cluster().Ask(other_, Format("CLIENT UNBLOCK %lu", waiting.value)), ":1\r\n");
  EXPECT_EQ(Await(waiting), "*-1\r\n");
  cluster().Ask(leads_, "DQ.PUSH mail hello");
  EXPECT_EQ(cluster().Ask(leads_, "DQ.LEN mail"), ":1\r\n");
}

// Trap q30: it left its node and no farther.
TEST_F(NodeQueuesTest, AnAnswerThatItsSocketNeverTookIsGivenBack) {
  const ClientId slow = cluster().Connect(other_);
  cluster().Send(slow, "DQ.POP mail BLOCK 0 LEASE 3600000");
  cluster().Run(50);
  ASSERT_TRUE(Has(cluster().Ask(leads_, "DQ.PUSH mail hello"), "."));
  const size_t bytes = Await(slow).size();
  ASSERT_GT(bytes, 0u);
  Node& node = *cluster().node(other_);
  node.Step(cluster().now(), ClientBacklog{slow, bytes});
  cluster().Run(1000);
  EXPECT_EQ(cluster().Ask(third_, "DQ.POP mail"), "*-1\r\n") << "it may still take it";
  node.Step(cluster().now(), ClientClosed{slow, bytes});
  const ClientId next = cluster().Connect(third_);
  cluster().Send(next, "DQ.POP mail BLOCK 0 FULL");
  const Bytes popped = Await(next, 1000);
  EXPECT_TRUE(Has(popped, "hello") && Has(popped, "failures\r\n:0")) << popped;
}

TEST_F(NodeQueuesTest, AnAnswerThatNobodyReadsIsGivenBack) {
  ASSERT_TRUE(Has(cluster().Ask(leads_, "DQ.PUSH mail hello"), "."));
  const ClientId deaf = cluster().Connect(other_);
  cluster().Send(deaf, "CLIENT REPLY OFF\r\nDQ.POP mail LEASE 3600000");
  cluster().Run(100);
  const ClientId next = cluster().Connect(third_);
  cluster().Send(next, "DQ.POP mail BLOCK 0 FULL");
  const Bytes popped = Await(next, 1000);
  EXPECT_TRUE(Has(popped, "hello") && Has(popped, "failures\r\n:0")) << popped;
}

// Or the next messages would go to it, and come back when the node is given up.
TEST_F(NodeQueuesTest, ANodeThatEndsEndsTheWaitsOfItsClientsFirst) {
  const ClientId waiting = cluster().Connect(other_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  cluster().node(other_)->Step(cluster().now(), Terminate{});
  EXPECT_TRUE(Has(Await(waiting), "UNBLOCKED"));
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().exited(other_); }));
  ASSERT_TRUE(Has(cluster().Ask(third_, "DQ.PUSH mail hello"), "."));
  EXPECT_TRUE(Has(cluster().Ask(third_, "DQ.POP mail"), "hello"));
}

TEST_F(NodeQueuesTest, AQueueIsNoPartOfATransaction) {
  const ClientId client = cluster().Connect(other_);
  cluster().Ask(client, "MULTI");
  EXPECT_TRUE(Has(cluster().Ask(client, "DQ.PUSH mail hello"), "-ERR queues can be no part"));
  EXPECT_TRUE(Has(cluster().Ask(client, "EXEC"), "-EXECABORT"));
}

TEST_F(NodeQueuesTest, ShardsAreLedWhereThePlacementSaysAndTheSlotsSaySo) {
  cluster().Run(15'000);
  const Bytes status = cluster().Ask(third_, "CLUSTER SLOTS");
  EXPECT_TRUE(Has(status, ":0\r\n:8191\r\n")) << status;
  EXPECT_TRUE(Has(status, ":8192\r\n:16383\r\n")) << status;
  EXPECT_NE(cluster().Leader(ShardGroup(0)), cluster().Leader(ShardGroup(1)));
}

// As in Redis Cluster, for clients that want to save the hop.
TEST_F(NodeQueuesTest, AClientThatWantsToKnowIsSentToTheNodeInCharge) {
  for (const NodeId id : {k1, k2, k3}) {
    EXPECT_EQ(cluster().Ask(id, "CONFIG SET cluster-redirect yes"), "+OK\r\n");
  }
  const Bytes moved = Format("-MOVED %u host-%lu:%lu\r\n", SlotOf("mail"), leads_.value,
                             7000 + leads_.value);
  for (const Bytes command : {"PUSH mail x", "POP mail BLOCK 0", "LEN mail", "ACK mail 0.1.1",
                              "SET mail retry 3", "PEEK mail"}) {
    EXPECT_EQ(cluster().Ask(other_, "DQ." + command), moved) << command;
  }
  EXPECT_TRUE(Has(cluster().Ask(other_, "DQ.LEN"), "-ERR wrong number of arguments"));
  EXPECT_EQ(cluster().Ask(leads_, "DQ.PUSH mail x").front(), '$');
  // Their name has another slot than their queue, and locks have one home for all.
  EXPECT_EQ(cluster().Ask(other_, "DQ.LEN mail!dead"), ":0\r\n");
  EXPECT_TRUE(Has(cluster().Ask(other_, "DQ.LIST"), "*2\r\n"));
  for (const NodeId id : {k1, k2, k3}) {
    EXPECT_FALSE(Has(cluster().Ask(id, "LOCK.ACQUIRE jobs me"), "MOVED"));
  }
  EXPECT_EQ(cluster().Ask(other_, "CONFIG SET cluster-redirect no"), "+OK\r\n");
  EXPECT_EQ(cluster().Ask(other_, "DQ.LEN mail"), ":1\r\n");
}

TEST_F(NodeQueuesTest, RepliesOfManyShardsComeInTheOrderOfThePipeline) {
  const ClientId client = cluster().Connect(other_);
  Bytes pipeline;
  for (int i = 0; i < 20; ++i) pipeline += Format("DQ.PUSH q%d m%d\r\nDQ.LEN q%d\r\n", i, i, i);
  pipeline += "LOCK.ACQUIRE jobs me\r\nPING";
  cluster().Send(client, pipeline);
  Bytes replies;
  ASSERT_TRUE(cluster().RunUntil([&] {
    replies += cluster().Take(client);
    return Has(replies, "PONG");
  }));
  size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    at = replies.find('$', at);
    ASSERT_NE(at, Bytes::npos);
    at = replies.find(":1\r\n", at);
    ASSERT_NE(at, Bytes::npos) << "the push before it is seen";
  }
}

}  // namespace
}  // namespace lockstep
