// What group `control` replicates: who belongs to the cluster.
#include <gtest/gtest.h>

#include "commands/control_machine.h"
#include "src/base/limits.h"
#include "src/base/rng.h"

namespace lockstep {
namespace {

NodeRecord Node(uint64_t id, Bytes host = "10.0.0.1") {
  return {NodeId{id}, std::move(host), static_cast<uint16_t>(17'000 + id), DiskId{}};
}

Bytes SetTtl(const Bytes& prefix, int64_t ms) {
  return EncodeSetSpace({prefix, {{SpaceChange::Option::kTtl, ms}}});
}

class ControlMachineTest : public ::testing::Test {
 protected:
  Reply Apply(BytesView op) { return Apply(&machine_, op); }
  Reply Apply(ControlMachine* machine, BytesView op) {
    Effects effects;
    ++index_;
    machine->Apply({Index{index_}, ClusterTime{1}}, {NodeId{1}, 1, index_}, op, &effects);
    machine->CheckInvariants();
    EXPECT_EQ(effects.answers.size(), 1u);
    return effects.answers.at(0).reply;
  }
  static Bytes Saved(const ControlMachine& machine) {
    Bytes bytes;
    Writer out(&bytes);
    machine.Save(&out);
    return bytes;
  }

  ControlMachine machine_{{Node(1), Node(2), Node(3)}};
  uint64_t index_ = 0;
};

TEST_F(ControlMachineTest, EachChangeIsAnEpoch) {
  EXPECT_EQ(machine_.epoch(), 1u);
  EXPECT_EQ(Apply(EncodeAddNode(Node(4))), Reply::Ok());
  EXPECT_EQ(machine_.epoch(), 2u);
  EXPECT_EQ(Apply(EncodeRemoveNode(NodeId{2})), Reply::Ok());
  EXPECT_EQ(machine_.epoch(), 3u);
  EXPECT_EQ(Apply(EncodeNodeDisk(NodeId{4}, DiskId{77})), Reply::Ok());
  EXPECT_EQ(machine_.epoch(), 4u);
  EXPECT_EQ(machine_.nodes().size(), 3u);
  EXPECT_EQ(machine_.nodes().at(NodeId{4}).disk, DiskId{77});
}

TEST_F(ControlMachineTest, ARemovedIdNeverComesBack) {  // Trap 26.
  ASSERT_EQ(Apply(EncodeRemoveNode(NodeId{3})), Reply::Ok());
  const uint64_t hash = machine_.Hash();
  const Reply reply = Apply(EncodeAddNode(Node(3)));
  EXPECT_TRUE(reply.is_error());
  EXPECT_NE(reply.text.find("an id is for all time"), Bytes::npos) << reply.text;
  EXPECT_EQ(machine_.Hash(), hash);
  EXPECT_TRUE(machine_.removed(NodeId{3}));
  EXPECT_TRUE(Apply(EncodeNodeDisk(NodeId{3}, DiskId{1})).is_error());
}

TEST_F(ControlMachineTest, WhereARemovedNodeWasIsRememberedForAWhile) {
  ASSERT_EQ(Apply(EncodeNodeDisk(NodeId{3}, DiskId{33})), Reply::Ok());
  ASSERT_EQ(Apply(EncodeRemoveNode(NodeId{3})), Reply::Ok());
  NodeRecord gone = Node(3);
  gone.disk = DiskId{33};
  EXPECT_EQ(machine_.departed(), std::vector{gone});
  const Bytes saved = Saved(machine_);
  ControlMachine copy({});
  Reader in(saved);
  ASSERT_TRUE(copy.Load(&in).ok());
  EXPECT_EQ(copy.departed(), machine_.departed());

  for (uint64_t id = 4; id < 4 + kNodesMax; ++id) {
    ASSERT_EQ(Apply(EncodeAddNode(Node(id))), Reply::Ok());
    ASSERT_EQ(Apply(EncodeRemoveNode(NodeId{id})), Reply::Ok());
  }
  EXPECT_EQ(machine_.departed().size(), kNodesMax);
  EXPECT_EQ(machine_.departed().front().id, NodeId{4});
  EXPECT_TRUE(machine_.removed(NodeId{3}));
}

TEST_F(ControlMachineTest, AskingTwiceIsNoMistakeAndNoChange) {
  ASSERT_EQ(Apply(EncodeAddNode(Node(4))), Reply::Ok());
  ASSERT_EQ(Apply(EncodeRemoveNode(NodeId{1})), Reply::Ok());
  ASSERT_EQ(Apply(EncodeNodeDisk(NodeId{4}, DiskId{5})), Reply::Ok());
  const uint64_t epoch = machine_.epoch();
  EXPECT_EQ(Apply(EncodeAddNode(Node(4))), Reply::Ok());
  EXPECT_EQ(Apply(EncodeRemoveNode(NodeId{1})), Reply::Ok());
  EXPECT_EQ(Apply(EncodeNodeDisk(NodeId{4}, DiskId{5})), Reply::Ok());
  EXPECT_EQ(machine_.epoch(), epoch);
}

TEST_F(ControlMachineTest, WhatContradictsMembershipIsRefused) {
  const uint64_t hash = machine_.Hash();
  EXPECT_TRUE(Apply(EncodeAddNode(Node(1, "elsewhere"))).is_error());
  NodeRecord squatter = Node(9);
  squatter.bus_port = 17'001;  // Node 1's.
  EXPECT_TRUE(Apply(EncodeAddNode(squatter)).is_error());
  EXPECT_TRUE(Apply(EncodeRemoveNode(NodeId{9})).is_error());
  EXPECT_EQ(machine_.Hash(), hash);
  EXPECT_EQ(machine_.epoch(), 1u);
}

TEST_F(ControlMachineTest, TheLastNodeStays) {
  ASSERT_EQ(Apply(EncodeRemoveNode(NodeId{1})), Reply::Ok());
  ASSERT_EQ(Apply(EncodeRemoveNode(NodeId{2})), Reply::Ok());
  EXPECT_TRUE(Apply(EncodeRemoveNode(NodeId{3})).is_error());
  EXPECT_EQ(machine_.nodes().size(), 1u);
}

TEST_F(ControlMachineTest, AClusterHasALimitedNumberOfNodes) {
  for (uint64_t id = 4; id <= kNodesMax; ++id) {
    ASSERT_EQ(Apply(EncodeAddNode(Node(id))), Reply::Ok()) << id;
  }
  EXPECT_EQ(Apply(EncodeAddNode(Node(kNodesMax + 1))).text.substr(0, 6), "LIMIT ");
}

TEST_F(ControlMachineTest, OperationsThatNobodyCanHaveMadeChangeNothing) {
  const uint64_t hash = machine_.Hash();
  NodeRecord nameless = Node(5, "");
  NodeRecord portless = Node(5);
  portless.bus_port = 0;
  const std::vector<Bytes> ops = {"",
                                  "\x09",
                                  EncodeAddNode(nameless),
                                  EncodeAddNode(portless),
                                  EncodeAddNode(Node(0)),
                                  EncodeAddNode(Node(kNodeIdMax + 1)),
                                  EncodeAddNode(Node(5, Bytes(256, 'h'))),
                                  EncodeAddNode(Node(5)) + "x"};
  for (const Bytes& op : ops) EXPECT_TRUE(Apply(op).is_error()) << Printable(op);
  for (const Bytes& whole : {EncodeAddNode(Node(5)), SetTtl("prefix", 1000),
                             EncodeDropSpace("prefix")}) {
    for (size_t cut = 0; cut < whole.size(); ++cut) {
      EXPECT_TRUE(Apply(whole.substr(0, cut)).is_error()) << cut;
    }
  }
  EXPECT_TRUE(Apply(SetTtl("p", -1)).is_error());
  EXPECT_TRUE(Apply(SetTtl(Bytes(kNameBytesMax + 1, 'x'), 1)).is_error());
  EXPECT_EQ(machine_.Hash(), hash);
}

TEST_F(ControlMachineTest, AMachineThatWasLoadedGoesOnAsTheSavedOneWould) {
  Rng rng(3);
  for (int round = 0; round < 200; ++round) {
    ControlMachine copy({});
    const Bytes saved = Saved(machine_);
    Reader in(saved);
    ASSERT_TRUE(copy.Load(&in).ok());
    EXPECT_TRUE(in.done());
    EXPECT_EQ(copy.Hash(), machine_.Hash());
    EXPECT_EQ(copy.epoch(), machine_.epoch());
    const uint64_t id = 1 + rng.Below(12);
    const Bytes op = rng.Below(2) == 0   ? EncodeAddNode(Node(id))
                     : rng.Below(3) == 0 ? EncodeRemoveNode(NodeId{id})
                     : rng.Below(2) == 0 ? SetTtl(Bytes(id % 4, 'p'), static_cast<int64_t>(id))
                     : rng.Below(4) == 0 ? EncodeDropSpace(Bytes(id % 4, 'p'))
                                         : EncodeNodeDisk(NodeId{id}, DiskId{rng.Below(3)});
    EXPECT_EQ(Apply(&copy, op), Apply(op));
    EXPECT_EQ(copy.Hash(), machine_.Hash());
  }
}

TEST_F(ControlMachineTest, ADamagedSnapshotIsRefusedAndLeavesNothing) {
  Apply(EncodeRemoveNode(NodeId{2}));
  Apply(SetTtl("p", 5));
  const Bytes saved = Saved(machine_);
  for (size_t cut = 0; cut < saved.size(); ++cut) {
    ControlMachine copy({});
    Reader in(BytesView(saved).substr(0, cut));
    EXPECT_FALSE(copy.Load(&in).ok()) << cut;
    EXPECT_TRUE(copy.nodes().empty());
    EXPECT_TRUE(copy.departed().empty());
    EXPECT_EQ(copy.spaces().Find("p"), nullptr);
  }
}

TEST_F(ControlMachineTest, DifferentStatesHashDifferently) {
  const uint64_t before = machine_.Hash();
  Apply(EncodeNodeDisk(NodeId{1}, DiskId{1}));
  EXPECT_NE(machine_.Hash(), before);
  ControlMachine other({Node(1), Node(2)});
  EXPECT_NE(other.Hash(), before);
}

TEST_F(ControlMachineTest, OptionsByPrefixAreKeptAndShown) {
  EXPECT_EQ(Apply(SetTtl("p:", 50)), Reply::Ok());
  EXPECT_EQ(machine_.epoch(), 1u);  // Nobody came or went.
  ASSERT_NE(machine_.spaces().Find("p:1"), nullptr);
  EXPECT_EQ(machine_.spaces().Find("p:1")->ttl_ms, 50);
  const Reply shown = machine_.Query(ClusterTime{}, SpaceQuery("p:"));
  EXPECT_EQ(shown, machine_.spaces().Find("p:1")->Describe());
  EXPECT_TRUE(machine_.Query(ClusterTime{}, SpaceQuery("p")).is_nil());
  const Reply at_first = machine_.spaces().At("lock:")->Describe();
  EXPECT_EQ(machine_.Query(ClusterTime{}, SpacesQuery()), Reply::Array({at_first, shown}));
  EXPECT_TRUE(machine_.Query(ClusterTime{}, "?").is_error());
  EXPECT_EQ(Apply(EncodeDropSpace("p:")), Reply::Integer(1));
  EXPECT_EQ(Apply(EncodeDropSpace("p:")), Reply::Integer(0));
  EXPECT_EQ(machine_.spaces().Find("p:1"), nullptr);
}

TEST_F(ControlMachineTest, AShardIsKeptByThreeMembersOrByAll) {
  ControlMachine machine({Node(1), Node(2)}, 12);
  const auto keepers = [&machine] {
    std::set<size_t> sizes;
    for (const std::vector<NodeId>& shard : machine.placement()) {
      EXPECT_EQ(std::set(shard.begin(), shard.end()).size(), shard.size());
      for (const NodeId id : shard) EXPECT_TRUE(machine.nodes().contains(id));
      sizes.insert(shard.size());
    }
    return sizes;
  };
  EXPECT_EQ(keepers(), std::set<size_t>{2});
  for (const uint64_t id : {3U, 4U, 5U}) {
    EXPECT_EQ(Apply(&machine, EncodeAddNode(Node(id))), Reply::Ok());
    EXPECT_EQ(keepers(), std::set<size_t>{kReplicas});
  }
  EXPECT_EQ(Apply(&machine, EncodeRemoveNode(NodeId{2})), Reply::Ok());
  EXPECT_EQ(keepers(), std::set<size_t>{kReplicas});
}

TEST_F(ControlMachineTest, ZonesThatNodesTellSpreadEveryShard) {
  ControlMachine machine({Node(1), Node(2), Node(3), Node(4), Node(5), Node(6)}, 64);
  const auto zone_of = [&machine](NodeId id) { return machine.nodes().at(id).zone; };
  const uint64_t epoch = machine.epoch();
  for (uint64_t id = 1; id <= 6; ++id) {
    const Bytes zone = id <= 2 ? "a" : id <= 4 ? "b" : "c";
    EXPECT_EQ(Apply(&machine, EncodeNodeDisk(NodeId{id}, DiskId{id}, zone)), Reply::Ok());
  }
  EXPECT_EQ(machine.epoch(), epoch + 6);
  for (const std::vector<NodeId>& shard : machine.placement()) {
    std::set<Bytes> zones;
    for (const NodeId id : shard) zones.insert(zone_of(id));
    EXPECT_EQ(zones.size(), 3U);
  }
  // Another disk moves nothing.
  const ring::Placement before = machine.placement();
  EXPECT_EQ(Apply(&machine, EncodeNodeDisk(NodeId{2}, DiskId{99}, "a")), Reply::Ok());
  EXPECT_EQ(machine.placement(), before);
  EXPECT_TRUE(
      Apply(&machine, EncodeNodeDisk(NodeId{2}, DiskId{9}, Bytes(kZoneBytesMax + 1, 'z')))
          .is_error());
}

TEST_F(ControlMachineTest, TimeAndSessionsLeaveItAsItIs) {
  const uint64_t hash = machine_.Hash();
  Effects effects;
  machine_.Advance({Index{1}, ClusterTime{1'000'000}}, &effects);
  machine_.EndSessions({Index{2}, ClusterTime{1'000'000}}, NodeId{1}, 9, &effects);
  EXPECT_EQ(machine_.NextDeadline(), kNeverCluster);
  EXPECT_EQ(machine_.Hash(), hash);
  EXPECT_TRUE(effects.answers.empty());
}

TEST_F(ControlMachineTest, TheMembersCanBeRead) {
  const Reply nodes = machine_.Query(ClusterTime{}, "");
  ASSERT_EQ(nodes.items.size(), 3u);
  EXPECT_EQ(nodes.items[2].items[1], Reply::Integer(3));
  EXPECT_TRUE(machine_.Query(ClusterTime{}, "x").is_error());
}

}  // namespace
}  // namespace lockstep
