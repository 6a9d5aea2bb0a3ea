// Messages stay where the log put them: a snapshot does not hold them, so they must outlive the log
// that it stands for, and a node that never had them must get them before it counts as having them.
#include "tests/node_fixture.h"

#include "cluster/bus/envelope.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

class NodeBodiesTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3, "node-timeout 1000\nuncertain-after-ms 20000\nleader-wait-ms 20000\n"
            "raft-snapshot-entries 16\n");
    shard_ = ShardGroup(ShardOfSlot(SlotOf("mail"), 2));
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(shard_) != kNoNode; }));
  }
  static Bytes BodyOf(int n) { return Format("message-%d-", n) + Bytes(500, 'x'); }
  void Push(NodeId node, int from, int to) {
    const ClientId client = cluster().Connect(node);
    for (int n = from; n < to; ++n) {
      ASSERT_TRUE(Has(cluster().Ask(client, "DQ.PUSH mail " + BodyOf(n)), ".")) << n;
    }
  }
  void ExpectPopped(NodeId node, int from, int to) {
    const ClientId client = cluster().Connect(node);
    for (int n = from; n < to; ++n) {
      const Bytes popped = cluster().Ask(client, "DQ.POP mail NOACK");
      ASSERT_TRUE(Has(popped, BodyOf(n))) << n << ": " << popped.substr(0, 200);
    }
  }
  uint64_t SnapshotAt(NodeId node) {
    return cluster().node(node)->group(shard_)->snapshot_id().index.value;
  }

  GroupId shard_;
};

TEST_F(NodeBodiesTest, OutliveTheLogThatASnapshotStandsFor) {
  Push(k1, 0, 200);
  ASSERT_GT(SnapshotAt(k1), 100u);
  ExpectPopped(k2, 0, 50);
  for (const NodeId id : {k1, k2, k3}) cluster().Kill(id);
  for (const NodeId id : {k1, k2, k3}) cluster().Start(id);
  ExpectPopped(k3, 50, 200);
}

TEST_F(NodeBodiesTest, AreGoneFromTheDiskWithTheirMessages) {
  Push(k1, 0, 200);
  ExpectPopped(k2, 0, 200);
  Push(k1, 200, 240);  // Further snapshots.
  ExpectPopped(k2, 200, 240);
  cluster().Run(1000);
  for (const NodeId id : {k1, k2, k3}) EXPECT_LT(cluster().disk(id).bytes(), 100'000u);
}

// Trap q21: one that nobody acknowledges keeps its own entry, not the log behind it.
TEST_F(NodeBodiesTest, AnOldMessageKeepsNothingButItself) {
  Push(k1, 0, 1);
  const ClientId holder = cluster().Connect(k2);
  ASSERT_TRUE(Has(cluster().Ask(holder, "DQ.POP mail LEASE 3600000"), BodyOf(0)));
  for (int round = 0; round < 10; ++round) {
    Push(k1, 1 + 200 * round, 201 + 200 * round);
    ExpectPopped(k2, 1 + 200 * round, 201 + 200 * round);
  }
  cluster().Run(1000);
  for (const NodeId id : {k1, k2, k3}) {
    EXPECT_LT(cluster().disk(id).bytes(), 100'000u) << "of a megabyte that has passed";
  }
  for (const NodeId id : {k1, k2, k3}) cluster().Kill(id);
  for (const NodeId id : {k1, k2, k3}) cluster().Start(id);
  EXPECT_TRUE(Has(cluster().Ask(k3, "DQ.PEEK mail STATE LEASED"), BodyOf(0)));
}

TEST_F(NodeBodiesTest, AreFetchedByANodeThatWasAway) {
  Push(k1, 0, 40);
  cluster().Kill(k3);
  Push(k1, 40, 300);
  cluster().Start(k3);
  ASSERT_TRUE(cluster().RunUntil([&] { return SnapshotAt(k3) > 200; }));
  cluster().Run(500);
  // With it and one other, whichever leads.
  cluster().Kill(k1);
  ExpectPopped(k3, 0, 150);
  cluster().Start(k1);
  cluster().Run(3000);
  cluster().Kill(k2);
  ExpectPopped(k1, 150, 300);
}

TEST_F(NodeBodiesTest, AreFetchedByANodeWhoseDiskWasEmptied) {
  Push(k1, 0, 200);
  ExpectPopped(k1, 0, 20);
  cluster().Kill(k3);
  cluster().EmptyDisk(k3);
  cluster().Run(2000);
  cluster().Start(k3);
  ASSERT_TRUE(cluster().RunUntil([&] {
    const raft::Raft* raft = cluster().node(k3)->group(shard_);
    return raft != nullptr && raft->config().IsVoter(k3) && !raft->config_pending() &&
           SnapshotAt(k3) > 100;
  }, 30'000));
  cluster().Run(1000);
  cluster().Kill(k1);
  ExpectPopped(k3, 20, 200);
}

// What was fetched is on its way to the disk when the power fails: nothing of it counted.
TEST_F(NodeBodiesTest, AFetchThatIsInterruptedBeginsAnew) {
  cluster().Kill(k3);
  Push(k1, 0, 300);
  for (int i = 0; i < 20; ++i) {
    cluster().Start(k3);
    cluster().Run(20 + 13 * i);
    cluster().Kill(k3);
  }
  cluster().Start(k3);
  ASSERT_TRUE(cluster().RunUntil([&] { return SnapshotAt(k3) > 200; }));
  cluster().Run(500);
  cluster().Kill(k2);
  ExpectPopped(k3, 0, 300);
}

// The new leader can commit nothing before the node that was away has what it needs: so it must
// give it before it has committed anything.
TEST_F(NodeBodiesTest, AreGivenByALeaderThatCannotCommitYet) {
  cluster().Kill(k3);
  Push(k1, 0, 300);
  const NodeId leads = cluster().Leader(shard_);
  const NodeId other = leads == k1 ? k2 : k1;
  cluster().Start(k3);
  cluster().Kill(leads);
  ExpectPopped(other, 0, 300);
}

TEST_F(NodeBodiesTest, APeerThatAsksForNonsenseIsCutOffOrGetsNothing) {
  Push(k1, 0, 30);
  const NodeId leads = cluster().Leader(shard_);
  const NodeId peer = cluster().OtherThan(leads);
  Node& node = *cluster().node(leads);
  const auto ask = [&](GroupId group, std::vector<uint64_t> entries) {
    Bytes frame;
    Writer out(&frame);
    bus::EncodeHeader({bus::MessageType::kFetch, peer, node.group(group)->term(), group}, &out);
    out.Varint(entries.size());
    for (const uint64_t entry : entries) out.Varint(entry);
    node.Step(cluster().now(), PeerFrame{peer, frame, {}});
    return node.Drain(cluster().now());
  };
  const Output nothing = ask(kControlGroup, {0});
  EXPECT_TRUE(nothing.cut_peers.empty());
  EXPECT_EQ(ask(shard_, {2, 2}).cut_peers, std::vector<NodeId>{peer});
  EXPECT_EQ(ask(shard_, std::vector<uint64_t>(300, 1)).cut_peers, std::vector<NodeId>{peer});
  EXPECT_TRUE(ask(shard_, {0, 1, uint64_t{1} << 60}).cut_peers.empty());
}

TEST_F(NodeBodiesTest, AMessageThatIsDeletedAsItsAnswerIsOnTheWayIsNotPopped) {
  Push(k1, 0, 1);
  const Bytes peeked = cluster().Ask(k1, "DQ.PEEK mail");
  EXPECT_TRUE(Has(peeked, BodyOf(0)));
  EXPECT_EQ(cluster().Ask(k2, "DQ.PURGE mail"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(k3, "DQ.POP mail"), "*-1\r\n");
}

}  // namespace
}  // namespace lockstep
