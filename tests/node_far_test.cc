// Nodes that keep nothing of a shard: clients notice nothing of it, and what a node kept of a shard
// that has moved is gone.
#include "cluster/raft/raft.h"
#include "commands/control_machine.h"
#include "commands/replica.h"
#include "src/base/hash.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr NodeId k5{5};
const std::set<NodeId> kAll{k1, k2, k3, k4, k5};

class NodeFarTest : public NodeFixture {
 protected:
  void SetUp() override { FormAll("node-timeout 1000\n"); }
  void FormAll(Bytes settings) {
    Form(5, std::move(settings));
    ASSERT_TRUE(cluster().RunUntil([&] {
      return std::all_of(kAll.begin(), kAll.end(), [&](NodeId id) {
        return cluster().node(id)->leader(shard_) != kNoNode;
      });
    }));
    leads_ = cluster().node(k1)->leader(shard_);
    for (const NodeId id : kAll) {
      if (!Keepers().contains(id)) far_ = id;
    }
    keeps_ = *std::find_if(kAll.begin(), kAll.end(), [&](NodeId id) {
      return Keepers().contains(id) && id != leads_;
    });
    ASSERT_NE(far_, kNoNode);
  }
  // By the placement, as node `by` knows it.
  std::set<NodeId> Keepers(NodeId by = k1) {
    const Replica* replica = cluster().node(by)->replica(kControlGroup);
    const auto& machine = dynamic_cast<const ControlMachine&>(replica->machine());
    const std::vector<NodeId>& keepers = machine.placement().at(ShardOf(shard_));
    return {keepers.begin(), keepers.end()};
  }
  Bytes Await(ClientId client, int64_t ms = 10'000) {
    Bytes reply;
    cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, ms);
    return reply;
  }
  bool HasCopy(NodeId id) { return cluster().node(id)->group(shard_)->last().index.value > 0; }
  // Loses the first `count` messages of this type from one to the other.
  void LoseFirst(NodeId from, NodeId to, bus::MessageType type, int count) {
    cluster().Lose([=, shard = shard_, left = count](NodeId f, NodeId t,
                                     const bus::EnvelopeHeader& header) mutable {
      const bool is_it = f == from && t == to && header.type == type && header.group == shard;
      return is_it && left-- > 0;
    });
  }

  const GroupId shard_ = ShardGroup(ShardOfSlot(SlotOf("mail"), 2));
  NodeId leads_, keeps_, far_;  // Of the shard of "mail".
};

TEST_F(NodeFarTest, AShardIsKeptByThreeNodesAndAllKnowWhoLeadsIt) {
  EXPECT_EQ(Keepers().size(), kReplicas);
  for (const NodeId id : kAll) {
    EXPECT_EQ(HasCopy(id), Keepers().contains(id)) << id.value;
    EXPECT_EQ(cluster().node(id)->leader(shard_), leads_);
  }
  const Bytes info = cluster().Ask(far_, "CLUSTER INFO");
  EXPECT_TRUE(Has(info, "cluster_state:ok") && Has(info, "cluster_slots_ok:16384")) << info;
}

TEST_F(NodeFarTest, AMessageGoesThroughNodesThatKeepNothingOfIt) {
  const ClientId waiting = cluster().Connect(far_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  EXPECT_TRUE(Has(cluster().Ask(keeps_, "DQ.PUSH mail hello"), "."));
  EXPECT_TRUE(Has(Await(waiting), "hello"));
  EXPECT_TRUE(Has(cluster().Ask(far_, "DQ.PUSH mail again"), "."));
  EXPECT_TRUE(Has(cluster().Ask(leads_, "DQ.POP mail NOACK"), "again"));
  EXPECT_TRUE(Has(cluster().Ask(far_, "DQ.INFO mail"), "leased\r\n:1"));
}

TEST_F(NodeFarTest, AnAnswerThatWasLostIsGivenAgain) {
  ASSERT_TRUE(Has(cluster().Ask(far_, "DQ.PUSH mail first"), "."));
  // The one that says that the push is taken, and the one that says how it went.
  LoseFirst(leads_, far_, bus::MessageType::kAnswer, 2);
  const ClientId client = cluster().Connect(far_);
  cluster().Send(client, "DQ.PUSH mail second");
  EXPECT_TRUE(Has(Await(client, 3000), "."));
  EXPECT_TRUE(Has(cluster().Ask(keeps_, "DQ.INFO mail"), "ready\r\n:2"));
}

// Nobody asks: only the leader's word tells that there was an answer.
TEST_F(NodeFarTest, AMessageWhoseDeliveryWasLostOnItsWayIsDeliveredAllTheSame) {
  const ClientId waiting = cluster().Connect(far_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(100);
  LoseFirst(leads_, far_, bus::MessageType::kAnswer, 1);
  ASSERT_TRUE(Has(cluster().Ask(keeps_, "DQ.PUSH mail hello"), "."));
  EXPECT_TRUE(Has(Await(waiting, 2000), "hello"));
  EXPECT_TRUE(Has(cluster().Ask(keeps_, "DQ.INFO mail"), "leased\r\n:1"));
}

TEST_F(NodeFarTest, AFailoverIsSeenFromFarAsADelay) {
  const ClientId waiting = cluster().Connect(far_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0");
  cluster().Run(50);
  cluster().Kill(leads_);
  ASSERT_TRUE(Has(cluster().Ask(keeps_, "DQ.PUSH mail hello"), "."));
  EXPECT_TRUE(Has(Await(waiting), "hello"));
}

// Its session was ended while it was cut off, and what it had under way may have been done.
TEST_F(NodeFarTest, WhatWasUnderWayWhenItsSessionEndedIsUncertain) {
  ASSERT_TRUE(Has(cluster().Ask(far_, "DQ.PUSH mail first"), "."));
  const ClientId client = cluster().Connect(far_);
  cluster().Lose([this](NodeId from, NodeId to, const bus::EnvelopeHeader&) {
    return from == leads_ && to == far_;
  });
  cluster().Send(client, "DQ.PUSH mail second");
  cluster().Run(20);
  cluster().CutOff(far_);
  cluster().Lose({});
  cluster().Run(3000);
  cluster().Heal();
  EXPECT_TRUE(StartsWith(Await(client), "-UNCERTAIN "));
  EXPECT_TRUE(Has(cluster().Ask(far_, "DQ.PUSH mail third"), "."));
  EXPECT_TRUE(Has(cluster().Ask(keeps_, "DQ.INFO mail"), "ready\r\n:3"));
}

TEST_F(NodeFarTest, ALeaderIsMovedThroughANodeThatKeepsNothing) {
  const Bytes move = Format("CLUSTER LEADER shard-%lu %lu", ShardOf(shard_), keeps_.value);
  EXPECT_EQ(cluster().Ask(far_, move), "+OK\r\n");
  EXPECT_TRUE(cluster().RunUntil([&] { return cluster().node(far_)->leader(shard_) == keeps_; }));
  const Bytes not_there = Format("CLUSTER LEADER shard-%lu %lu", ShardOf(shard_), far_.value);
  EXPECT_TRUE(Has(cluster().Ask(far_, not_there), "is no voter"));
}

TEST_F(NodeFarTest, AShardMovesWithAllThatIsInItAndNothingStaysBehind) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(Has(cluster().Ask(far_, Format("DQ.PUSH mail m%02d", i)), "."));
  }
  // The node that leads it leaves the cluster; another takes over its copy.
  const NodeId gone = leads_;
  const std::set<NodeId> before = Keepers(far_);
  ASSERT_EQ(cluster().Ask(far_, Format("CLUSTER REMOVE %lu", gone.value)), "+OK\r\n");
  ASSERT_TRUE(cluster().RunUntil([&] { return !Keepers(far_).contains(gone); }));
  const auto has_moved = [&] {
    const NodeId leader = cluster().node(keeps_)->leader(shard_);
    if (leader == kNoNode || leader == gone) return false;
    const raft::Config& config = cluster().node(leader)->group(shard_)->config();
    const std::vector<NodeId> all = config.All();
    return !config.joint() && config.learners.empty() &&
           std::set<NodeId>(all.begin(), all.end()) == Keepers(far_);
  };
  ASSERT_TRUE(cluster().RunUntil(has_moved, 20'000));
  EXPECT_NE(Keepers(far_), before);
  cluster().Kill(gone);
  for (int i = 0; i < 50; ++i) {
    const Bytes popped = cluster().Ask(far_, "DQ.POP mail NOACK");
    ASSERT_TRUE(Has(popped, Format("m%02d", i))) << popped;
  }
}

TEST_F(NodeFarTest, WhatWasKeptOfAShardThatHasMovedIsThrownAwayForGood) {
  cluster_ = std::make_unique<NodeCluster>(6, "node-timeout 1000\n", 3);
  for (const NodeId id : {k1, k2, k3}) cluster().Start(id);
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  ASSERT_TRUE(Has(cluster().Ask(k1, "DQ.PUSH mail hello"), "."));
  for (const NodeId id : {k4, k5, NodeId{6}}) {
    cluster().Start(id);
    ASSERT_EQ(cluster().Ask(k1, Format("CLUSTER ADD %lu host-%lu:%lu", id.value, id.value,
                                       17'000 + id.value)),
              "+OK\r\n");
    cluster().Run(3000);
  }
  NodeId left;
  for (const NodeId id : {k1, k2, k3}) {
    if (!Keepers().contains(id)) left = id;
  }
  ASSERT_NE(left, kNoNode);  // Of six nodes no more than three keep it.
  ASSERT_TRUE(cluster().RunUntil([&] { return !HasCopy(left); }, 20'000));
  cluster().Run(100);
  size_t records = 0;
  Bytes prefix = "g";
  for (int shift = 24; shift >= 0; shift -= 8) prefix += static_cast<char>(shard_.value >> shift);
  MemoryDisk disk = cluster().disk(left);
  const Result<void> scanned = disk.Scan(
      prefix + '\0', prefix + '\x7f', [&records](BytesView, BytesView) -> Result<void> {
        ++records;
        return {};
      });
  ASSERT_TRUE(scanned.ok());
  EXPECT_EQ(records, 1U);  // That it had a copy.

  const Index copy = cluster().node(left)->group(shard_)->copy();
  EXPECT_GT(copy.value, 0U);
  cluster().Kill(left);
  cluster().Start(left);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().node(left)->leader(shard_) != kNoNode; }));
  EXPECT_FALSE(HasCopy(left));
  cluster().Run(2000);
  EXPECT_EQ(cluster().node(left)->group(shard_)->copy(), copy) << "there was nothing any more";

  // The others go, until it has to keep the shard again, and then alone with two of them.
  for (const NodeId id : {k1, k2, k3, k4, k5, NodeId{6}}) {
    if (id == left || Keepers(left).contains(left)) continue;
    ASSERT_EQ(cluster().Ask(left, Format("CLUSTER REMOVE %lu", id.value)), "+OK\r\n");
    const auto lets_go = [&](GroupId group) {
      const NodeId leader = cluster().node(left)->leader(group);
      if (leader == kNoNode || leader == id) return false;
      const raft::Raft& raft = *cluster().node(leader)->group(group);
      return raft.is_leader() && !raft.config_pending() && !raft.config().Contains(id);
    };
    ASSERT_TRUE(cluster().RunUntil([&] {
      return lets_go(kControlGroup) && lets_go(kLocksGroup) && lets_go(ShardGroup(0)) &&
             lets_go(ShardGroup(1));
    }, 30'000));
    cluster().Kill(id);
  }
  ASSERT_TRUE(Keepers(left).contains(left));
  EXPECT_TRUE(cluster().RunUntil([&] {
    const raft::Raft& raft = *cluster().node(left)->group(shard_);
    return raft.config().IsVoter(left) && raft.last().index >= copy;
  }, 20'000));
  std::set<NodeId> others = Keepers(left);
  others.erase(left);
  cluster().Kill(*others.begin());  // Now it decides with the one that is left.
  EXPECT_TRUE(Has(cluster().Ask(left, "DQ.POP mail"), "hello"));
}

// Until its disk has let go of it a copy may come back, so nothing is said in the new one's name.
TEST_F(NodeFarTest, ACopyIsThrownAwayAgainIfTheNodeDiesBeforeItsDiskHasDoneSo) {
  cluster_ = std::make_unique<NodeCluster>(6, "node-timeout 1000\n", 3);
  for (const NodeId id : {k1, k2, k3}) cluster().Start(id);
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  ASSERT_TRUE(Has(cluster().Ask(k1, "DQ.PUSH mail hello"), "."));
  NodeId left;
  for (const NodeId id : {k4, k5, NodeId{6}}) {
    cluster().Start(id);
    ASSERT_EQ(cluster().Ask(k1, Format("CLUSTER ADD %lu host-%lu:%lu", id.value, id.value,
                                       17'000 + id.value)),
              "+OK\r\n");
    // Who is let go does not write it down.
    for (int i = 0; i < 3000 && left == kNoNode; ++i) {
      cluster().Run(1);
      for (const NodeId old : {k1, k2, k3}) {
        if (HasCopy(old) && !Keepers().contains(old)) cluster().StopDisk(old, true);
        if (!HasCopy(old)) left = old;
      }
    }
  }
  ASSERT_NE(left, kNoNode);
  cluster().Kill(left);
  for (const NodeId id : {k1, k2, k3}) cluster().StopDisk(id, false);
  cluster().Start(left);
  EXPECT_TRUE(HasCopy(left));
  EXPECT_TRUE(cluster().RunUntil([&] { return !HasCopy(left); }, 20'000));
  EXPECT_TRUE(Has(cluster().Ask(left, "DQ.POP mail BLOCK 5000"), "hello"));
}

}  // namespace
}  // namespace lockstep
