// Whole nodes that come, go, lose their disks and find each other again.
#include "cluster/raft/raft.h"
#include "commands/control_machine.h"
#include "commands/replica.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr GroupId kGroups[] = {kControlGroup, kLocksGroup};

class NodeMembersTest : public ::testing::Test {
 protected:
  // Of `nodes` machines the first `named` form a cluster; the others are not started.
  void Form(uint64_t nodes, uint64_t named, Bytes settings = {}) {
    cluster_ = std::make_unique<NodeCluster>(nodes, std::move(settings), named);
    for (uint64_t id = 1; id <= named; ++id) cluster().Start(NodeId{id});
    ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  }
  void Add(NodeId id) {
    cluster().Start(id);
    ASSERT_EQ(cluster().Ask(k1, Format("CLUSTER ADD %lu host-%lu:%lu", id.value, id.value,
                                       17'000 + id.value)),
              "+OK\r\n");
    ASSERT_TRUE(cluster().RunUntil([&] { return Votes(id, k1); }, 20'000));
  }
  // Whether `by` knows `id`, with the disk it has now, as a voter of every group.
  bool Votes(NodeId id, NodeId by) {
    for (const GroupId group : kGroups) {
      const raft::Raft* raft = cluster().node(by)->group(group);
      if (raft == nullptr || raft->config().joint() || !raft->config().IsVoter(id)) return false;
      if (raft->config().DiskOf(id) != cluster().node(id)->identity().disk) return false;
    }
    return true;
  }
  // Whether all groups, as `by` knows them, have these voters and no other members.
  bool VotersAre(std::vector<NodeId> nodes, NodeId by) {
    for (const GroupId group : kGroups) {
      const raft::Raft* raft = cluster().node(by)->group(group);
      if (raft == nullptr || raft->config_pending()) return false;
      if (!raft->config().learners.empty() || raft->config().All() != nodes) return false;
    }
    return true;
  }
  bool MoveLeaders(NodeId to) {
    return cluster().RunUntil([&] {
      for (const char* name : {"control", "locks"}) {
        cluster().Ask(to, Format("CLUSTER LEADER %s %lu", name, to.value));
      }
      cluster().Run(100);
      return cluster().Leader() == to && cluster().Leader(kControlGroup) == to;
    });
  }
  NodeRecord RecordOf(NodeId id, NodeId by) {
    const Replica* replica = cluster().node(by)->replica(kControlGroup);
    const auto& machine = dynamic_cast<const ControlMachine&>(replica->machine());
    return machine.nodes().at(id);
  }
  DiskId DiskOnRecord(NodeId id, NodeId by) { return RecordOf(id, by).disk; }
  void Empty(NodeId id) {
    cluster().Kill(id);
    cluster().EmptyDisk(id);
    cluster().Start(id);
  }
  NodeCluster& cluster() { return *cluster_; }

  std::unique_ptr<NodeCluster> cluster_;
};

// Finding each other -----------------------------------------------------------------------------

TEST_F(NodeMembersTest, ANodeAnswersALeaderThatItsOwnLogDoesNotName) {
  Form(4, 3);
  Add(k4);
  ASSERT_TRUE(MoveLeaders(k4));
  cluster().Name(k2, {1, 2, 3});  // As at its first start; so is its genesis.
  Empty(k2);
  EXPECT_TRUE(cluster().RunUntil([&] { return Votes(k2, k4); }, 20'000));
}

TEST_F(NodeMembersTest, ANewcomerAnswersALeaderThatItsConfigurationDoesNotName) {
  Form(5, 3);
  Add(k4);
  ASSERT_TRUE(MoveLeaders(k4));
  cluster().Name(NodeId{5}, {1, 5});
  Add(NodeId{5});
}

TEST_F(NodeMembersTest, AnEmptiedNodeIsToldOfItsClusterThoughItCanAskNobody) {
  Form(3, 3);
  const ClusterId formed = cluster().node(k1)->identity().cluster;
  cluster().Name(k3, {3, 9});  // Node 9 went long ago.
  Empty(k3);
  EXPECT_TRUE(cluster().RunUntil([&] { return Votes(k3, k1); }, 20'000));
  EXPECT_EQ(cluster().node(k3)->identity().cluster, formed);
}

// The way back of its vote is a joint configuration of two voters and three. CLUSTER STATUS names
// it a voter at once, and says under `moves` that it is not to be relied on yet.
TEST_F(NodeMembersTest, AnEmptiedNodeStandsInForAnotherOnceItsReturnIsNoMoveAnyMore) {
  Form(3, 3);
  ASSERT_TRUE(MoveLeaders(k1));
  Empty(k3);
  const auto is_learner = [&](GroupId group) {
    const raft::Raft& raft = *cluster().node(k1)->group(group);
    return !raft.config_pending() && raft.config().Contains(k3) && !raft.config().IsVoter(k3);
  };
  ASSERT_TRUE(cluster().RunUntil(
      [&] { return is_learner(kControlGroup) && is_learner(kLocksGroup); }, 20'000));
  cluster().StopDisk(k2, true);
  cluster().Run(500);
  const Bytes status = cluster().Ask(k1, "CLUSTER STATUS");
  EXPECT_TRUE(Has(status, "voters\r\n*3\r\n")) << status;
  EXPECT_FALSE(Has(status, "moves\r\n*0\r\n")) << status;

  cluster().Kill(k1);  // With it the only disk but one that can decide the change.
  cluster().StopDisk(k2, false);
  const auto has_leader = [&] {
    return cluster().Leader(kLocksGroup) != kNoNode || cluster().Leader(kControlGroup) != kNoNode;
  };
  cluster().Run(5000);  // Longer than they believe in the dead one.
  EXPECT_FALSE(cluster().RunUntil(has_leader, 5000));

  cluster().Start(k1);
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  const auto is_through = [&] {
    const NodeId leader = cluster().Leader();
    return leader != kNoNode && Votes(k3, leader) && VotersAre({k1, k2, k3}, leader);
  };
  ASSERT_TRUE(cluster().RunUntil(is_through, 20'000));
  cluster().Kill(cluster().Leader());
  EXPECT_NE(cluster().AwaitLeader(), kNoNode);
}

TEST_F(NodeMembersTest, NothingIsFormedWithADiskThatIsNotOnDisk) {
  cluster_ = std::make_unique<NodeCluster>(3);
  cluster().StopDisk(k2, true);
  cluster().StartAll();
  cluster().Run(3000);
  EXPECT_EQ(cluster().node(k1)->identity().cluster, ClusterId{});
  cluster().StopDisk(k2, false);
  EXPECT_NE(cluster().AwaitLeader(), kNoNode);
}

TEST_F(NodeMembersTest, AnEmptiedFounderDoesNotGoOnAsASecondCluster) {
  cluster_ = std::make_unique<NodeCluster>(2);
  cluster().Name(k1, {});
  cluster().Start(k1);
  ASSERT_EQ(cluster().Ask(k1, "LOCK.ACQUIRE jobs alice TTL 3600000").front(), ':');
  Add(k2);

  cluster().Kill(k1);
  cluster().EmptyDisk(k1);
  cluster().CutOff(k1);
  cluster().Start(k1);
  cluster().Run(100);
  cluster().StopDisk(k1, true);  // It can not go at once: what it wrote is still to be synced.
  const ClientId client = cluster().Connect(k1);
  cluster().Send(client, "LOCK.ACQUIRE jobs bob");
  cluster().Run(10);
  cluster().Heal();
  cluster().Run(10);
  const ClientId late = cluster().Connect(k1);
  cluster().Send(late, "PING");
  cluster().Run(10);
  EXPECT_EQ(cluster().Take(late), "");
  cluster().StopDisk(k1, false);

  EXPECT_TRUE(cluster().RunUntil([&] { return cluster().exited(k1); }, 3000));
  EXPECT_EQ(cluster().Take(client), "");
}

TEST_F(NodeMembersTest, ALoneNodeThatListensEverywhereIsOnRecordUnderAnAddressThatCanBeDialled) {
  cluster_ = std::make_unique<NodeCluster>(1, "bind *\n");
  cluster().Name(k1, {});
  cluster().Start(k1);
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  EXPECT_EQ(RecordOf(k1, k1).host, "127.0.0.1");
}

// Going ------------------------------------------------------------------------------------------

TEST_F(NodeMembersTest, OneOfTwoNodesCanBeRemoved) {
  for (const NodeId gone : {k1, k2}) {  // Each of them leads once, or does not.
    Form(2, 2);
    const NodeId stays = gone == k1 ? k2 : k1;
    ASSERT_EQ(cluster().Ask(stays, Format("CLUSTER REMOVE %lu", gone.value)), "+OK\r\n");
    EXPECT_TRUE(cluster().RunUntil([&] { return VotersAre({stays}, stays); }, 20'000));
    cluster().Kill(gone);
    EXPECT_EQ(cluster().Ask(stays, "LOCK.ACQUIRE jobs alice").front(), ':');
  }
}

TEST_F(NodeMembersTest, ANodeCanBeRemovedWhileAnotherIsAway) {
  Form(4, 4);
  cluster().Kill(k3);
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  ASSERT_EQ(cluster().Ask(k1, "CLUSTER REMOVE 4"), "+OK\r\n");
  EXPECT_TRUE(cluster().RunUntil([&] { return VotersAre({k1, k2, k3}, k1); }, 20'000));
}

// Group locks is led by the node that goes, and group control by another: locks follows all the
// same.
TEST_F(NodeMembersTest, ANodeThatIsRemovedLearnsItBeforeItIsLetGo) {
  Form(3, 3);
  ASSERT_TRUE(MoveLeaders(k3));
  cluster().RunUntil([&] {
    cluster().Ask(k1, "CLUSTER LEADER control 1");
    cluster().Run(100);
    return cluster().Leader(kControlGroup) == k1;
  });
  ASSERT_EQ(cluster().Leader(kLocksGroup), k3);
  bool told = false;  // The entry that removes it reaches it late.
  cluster().Lose([&](NodeId, NodeId to, const bus::EnvelopeHeader& header) {
    return !told && to == k3 && header.group == kControlGroup &&
           header.type == bus::MessageType::kRaft;
  });
  ASSERT_EQ(cluster().Ask(k1, "CLUSTER REMOVE 3"), "+OK\r\n");
  cluster().Run(1000);
  told = true;
  EXPECT_TRUE(cluster().RunUntil([&] { return VotersAre({k1, k2}, k1); }, 20'000));
}

// Two go in one step of group locks, and one of them leads group control: it is not told of the
// step's end, and so never sees that the other is let go.
TEST_F(NodeMembersTest, ALeaderOfControlThatGoesDoesNotWaitForWhatItIsNotTold) {
  Form(4, 4);
  ASSERT_TRUE(MoveLeaders(k1));
  ASSERT_TRUE(cluster().RunUntil([&] {
    cluster().Ask(k4, "CLUSTER LEADER control 4");
    cluster().Run(100);
    return cluster().Leader(kControlGroup) == k4;
  }));
  ASSERT_EQ(cluster().Leader(kLocksGroup), k1);
  bool told = false;  // Both removals reach the leader of locks together.
  cluster().Lose([&](NodeId, NodeId to, const bus::EnvelopeHeader& header) {
    return !told && to == k1 && header.group == kControlGroup &&
           header.type == bus::MessageType::kRaft;
  });
  ASSERT_EQ(cluster().Ask(k4, "CLUSTER REMOVE 2"), "+OK\r\n");
  ASSERT_EQ(cluster().Ask(k4, "CLUSTER REMOVE 4"), "+OK\r\n");
  told = true;
  EXPECT_TRUE(cluster().RunUntil([&] { return VotersAre({k1, k3}, k1); }, 60'000));
}

// Else nobody would tell it to leave what it leads, and it would not know whether to.
TEST_F(NodeMembersTest, ControlKeepsANodeThatGoesUntilEveryGroupHasLetGoOfItAlsoIfItLeads) {
  Form(5, 5);
  ASSERT_TRUE(MoveLeaders(k1));
  ASSERT_TRUE(cluster().RunUntil([&] {
    cluster().Ask(k2, "CLUSTER LEADER control 2");
    cluster().Run(100);
    return cluster().Leader(kControlGroup) == k2;
  }));
  bool deaf = true;  // The leader of locks, to control.
  cluster().Lose([&](NodeId, NodeId to, const bus::EnvelopeHeader& header) {
    return deaf && to == k1 && header.group == kControlGroup &&
           header.type == bus::MessageType::kRaft;
  });
  ASSERT_EQ(cluster().Ask(k2, "CLUSTER REMOVE 2"), "+OK\r\n");
  cluster().Run(3000);
  ASSERT_EQ(cluster().Leader(kLocksGroup), k1);
  ASSERT_TRUE(cluster().RunUntil([&] {
    cluster().Ask(k1, "CLUSTER LEADER locks 2");
    cluster().Run(100);
    const raft::Raft* locks = cluster().node(k1)->group(kLocksGroup);
    return cluster().Leader(kLocksGroup) == k2 || !locks->config().Contains(k2);  // It has left.
  }));
  deaf = false;
  EXPECT_TRUE(cluster().RunUntil(
      [&] { return VotersAre({k1, k3, k4, NodeId{5}}, k3); }, 60'000));
}

// A leader of locks that has just started knows of group control what its snapshot holds. By that a
// node which came back with another disk since would be a stranger.
TEST_F(NodeMembersTest, NobodyIsThrownOutByAStateFromBeforeTheStart) {
  Form(3, 3, "node-timeout 1000\n");
  ASSERT_TRUE(MoveLeaders(k2));
  cluster().Kill(k1);
  cluster().EmptyDisk(k1);
  cluster().Run(2000);
  cluster().Start(k1);
  ASSERT_TRUE(cluster().RunUntil([&] { return Votes(k1, k2); }, 20'000));

  for (const NodeId id : {k1, k2, k3}) cluster().Kill(id);
  bool control_is_silent = true;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    return control_is_silent && header.group == kControlGroup &&
           header.type == bus::MessageType::kRaft;
  });
  for (const NodeId id : {k1, k2, k3}) cluster().Start(id);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode; }));
  cluster().Run(1000);
  EXPECT_TRUE(cluster().node(cluster().Leader())->group(kLocksGroup)->config().IsVoter(k1));
  EXPECT_FALSE(cluster().node(cluster().Leader())->group(kLocksGroup)->config().joint());

  control_is_silent = false;
  EXPECT_TRUE(cluster().RunUntil([&] { return VotersAre({k1, k2, k3}, k2); }, 20'000));
}

// Of two that go, one is dead and the other leads. Without the one that is alive, the one that
// stays could decide nothing with the dead.
TEST_F(NodeMembersTest, TheLivingDoNotGoBeforeTheDead) {
  Form(3, 3);
  ASSERT_TRUE(MoveLeaders(k3));
  cluster().Kill(k2);
  ASSERT_EQ(cluster().Ask(k3, "CLUSTER REMOVE 2"), "+OK\r\n");
  ASSERT_EQ(cluster().Ask(k3, "CLUSTER REMOVE 3"), "+OK\r\n");
  EXPECT_TRUE(cluster().RunUntil([&] { return VotersAre({k1}, k1); }, 20'000));
  EXPECT_EQ(cluster().Ask(k1, "LOCK.ACQUIRE jobs alice").front(), ':');
}

TEST_F(NodeMembersTest, WhatIsBoundToARemovedNodeEnds) {
  Form(4, 4, "node-timeout 60000\n");
  ASSERT_TRUE(MoveLeaders(k1));
  const ClientId alice = cluster().Connect(k4);
  ASSERT_EQ(cluster().Ask(alice, "LOCK.ACQUIRE jobs alice BIND TTL 3600000").front(), ':');
  ASSERT_EQ(cluster().Ask(k1, "CLUSTER REMOVE 4"), "+OK\r\n");
  const ClientId bob = cluster().Connect(k1);
  EXPECT_EQ(cluster().Ask(bob, "LOCK.ACQUIRE jobs bob BLOCK 0").front(), ':');
}

TEST_F(NodeMembersTest, TheEndOfASessionIsLoggedLaterIfTheLogWasFull) {
  Form(3, 3, "node-timeout 2000\nraft-uncommitted-bytes 1mb\n");
  ASSERT_TRUE(MoveLeaders(k1));
  const ClientId alice = cluster().Connect(k2);
  ASSERT_EQ(cluster().Ask(alice, "LOCK.ACQUIRE jobs alice BIND TTL 3600000").front(), ':');
  cluster().StopDisk(k3, true);
  cluster().Kill(k2);
  const ClientId filler = cluster().Connect(k1);
  const auto fill = [&](size_t bytes) {
    cluster().Send(filler, "LOCK.ACQUIRE l filler META " + Bytes(bytes, 'm'));
    cluster().Run(1);
  };
  for (int i = 0; i < 300; ++i) fill(4000);
  for (size_t bytes = 3900; bytes > 100; bytes -= 100) fill(bytes);
  for (size_t bytes = 100; bytes > 0; --bytes) fill(bytes);  // To the last byte.
  cluster().Run(3000);  // Node 2 is given up; what is said of its session finds no room.
  ASSERT_TRUE(StartsWith(cluster().Ask(k1, "LOCK.ACQUIRE more filler"), "-TRYAGAIN"));
  ASSERT_EQ(cluster().Leader(), k1);

  cluster().StopDisk(k3, false);
  cluster().Run(50);
  const ClientId bob = cluster().Connect(k1);
  EXPECT_EQ(cluster().Ask(bob, "LOCK.ACQUIRE jobs bob BLOCK 0").front(), ':');
}

TEST_F(NodeMembersTest, ARemovedNodesClientsAreNotServed) {
  Form(4, 4);
  ASSERT_TRUE(MoveLeaders(k1));
  const ClientId client = cluster().Connect(k4);
  ASSERT_EQ(cluster().Ask(k1, "CLUSTER REMOVE 4"), "+OK\r\n");
  // At once: group locks has not let go of the node yet, nor ended its session.
  cluster().Send(client, "LOCK.ACQUIRE jobs alice TTL 3600000");
  cluster().Run(2000);
  EXPECT_EQ(cluster().Ask(k1, "LOCK.ACQUIRE jobs bob").front(), ':');
  cluster().RunUntil([&] { return cluster().closed(client); });
  EXPECT_TRUE(StartsWith(cluster().Take(client), "-"));
}

// Disks ------------------------------------------------------------------------------------------

// A leader that was cut off asks again for what it knew, once it is back: of a disk that is gone.
TEST_F(NodeMembersTest, ALateWordOfAFormerLeaderDoesNotPutADeadDiskOnRecord) {
  Form(5, 5, "node-timeout 500\n");
  ASSERT_TRUE(MoveLeaders(k1));
  Empty(k2);
  ASSERT_TRUE(
      cluster().RunUntil([&] { return cluster().node(k2)->identity().cluster != ClusterId{}; }));
  // All but its signs of life: it keeps its session, and what it has asked for in it.
  cluster().Lose([](NodeId from, NodeId, const bus::EnvelopeHeader& header) {
    return from == k1 && header.type != bus::MessageType::kPing;
  });
  const DiskId dead = cluster().node(k2)->identity().disk;
  ASSERT_TRUE(cluster().RunUntil([&] { return DiskOnRecord(k2, k3) == dead; }));
  Empty(k2);
  ASSERT_TRUE(cluster().RunUntil([&] { return Votes(k2, k3); }, 20'000));

  cluster().Lose({});
  EXPECT_TRUE(cluster().RunUntil([&] { return DiskOnRecord(k2, k3) == dead; }));
  EXPECT_TRUE(cluster().RunUntil([&] { return DiskOnRecord(k2, k3) != dead; }));
  EXPECT_TRUE(cluster().RunUntil([&] { return Votes(k2, k3); }, 20'000));
}

// The frame of its former self was under way when the emptied node said hello.
TEST_F(NodeMembersTest, AFrameCountsForTheDiskOfItsLinkNotOfTheLatestHello) {
  Form(3, 3, "node-timeout 500\n");
  ASSERT_TRUE(MoveLeaders(k1));
  const DiskId former = cluster().node(k2)->identity().disk;
  Empty(k2);
  ASSERT_TRUE(cluster().RunUntil([&] { return Votes(k2, k1); }, 20'000));
  cluster().Run(1000);
  cluster().Kill(k3);
  cluster().StopDisk(k2, true);  // What node 1 appends is acknowledged by nobody.
  const ClientId client = cluster().Connect(k1);
  cluster().Send(client, "LOCK.ACQUIRE jobs alice");
  cluster().Run(10);

  const raft::Raft* raft = cluster().node(k1)->group(kLocksGroup);
  ASSERT_LT(raft->commit(), raft->last().index);
  Bytes body;
  Writer out(&body);
  bus::EncodeHeader({bus::MessageType::kRaft, k2, raft->term(), kLocksGroup}, &out);
  raft::EncodeBody(raft::AppendReply{true, raft->last().index, {}, {}}, &out);
  cluster().node(k1)->Step(cluster().now(), PeerFrame{k2, body, former});
  cluster().Run(10);
  EXPECT_EQ(cluster().Take(client), "");

  cluster().node(k1)->Step(cluster().now(),
                           PeerFrame{k2, body, cluster().node(k2)->identity().disk});
  cluster().Run(10);
  EXPECT_EQ(cluster().Take(client).front(), ':');
}

TEST_F(NodeMembersTest, ASecondProcessWithOneNumberIsRefusedWhileTheFirstIsHeard) {
  Form(3, 3, "node-timeout 2000\n");
  cluster().Run(1000);
  bus::Identity second = cluster().node(k2)->identity();
  second.disk = DiskId{4711};
  const bus::Hello hello = bus::MakeHello(second, k1, bus::Lane::kControl);
  EXPECT_FALSE(bus::CheckHello(cluster().node(k1)->identity(), hello).ok());
  cluster().Kill(k2);
  cluster().Run(2500);
  EXPECT_TRUE(bus::CheckHello(cluster().node(k1)->identity(), hello).ok());
}

// Links ------------------------------------------------------------------------------------------

TEST_F(NodeMembersTest, ANodeThatLostPowerIsDialledAnewWhenItSaysHello) {
  Form(3, 3, "node-timeout 60000\n");
  const NodeId away = cluster().OtherThan(cluster().Leader(), cluster().Leader(kControlGroup));
  cluster().KillSilently(away);
  cluster().Run(500);
  cluster().Start(away);
  EXPECT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode; }, 3000));
}

TEST_F(NodeMembersTest, APeerThatHasFallenSilentIsDialledAnew) {
  Form(2, 2, "node-timeout 2000\n");
  cluster().DeafenLinks(k1, k2);
  cluster().Run(2500);
  EXPECT_NE(cluster().AwaitLeader(), kNoNode);
}

TEST_F(NodeMembersTest, WhatCannotBeSentIsNotUncertainThoughThePeerReachesUs) {
  Form(3, 3);
  ASSERT_TRUE(MoveLeaders(k1));
  cluster().RefuseDials(k2, k1);
  cluster().BreakLink(k2, k1);
  cluster().BreakLink(k1, k2);  // It says hello again.
  cluster().Run(10);
  EXPECT_TRUE(StartsWith(cluster().Ask(k2, "LOCK.ACQUIRE jobs alice"), "-CLUSTERDOWN"));
}

TEST_F(NodeMembersTest, OnlyTheLeadersWordOnTheStateStopsANode) {
  Form(3, 3);
  ASSERT_TRUE(MoveLeaders(k1));
  const Term term = cluster().node(k2)->group(kLocksGroup)->term();
  Bytes body;
  Writer out(&body);
  bus::EncodeHeader({bus::MessageType::kStateHash, k3, term, kLocksGroup}, &out);
  out.Put(Index{128});
  out.U64(0xbad);
  cluster().node(k2)->Step(cluster().now(), PeerFrame{k3, body, {}});
  const ClientId client = cluster().Connect(k1);
  for (int i = 0; i < 128; ++i) {
    cluster().Send(client, "LOCK.ACQUIRE jobs alice");
    cluster().Run(5);  // So that each has an entry of its own.
  }
  EXPECT_TRUE(cluster().RunUntil([&] {
    return cluster().node(k2)->group(kLocksGroup)->applied() > Index{128};
  }));
}

// Trap 56: the check is on in production, and what differs stops rather than answers.
TEST_F(NodeMembersTest, ANodeWhoseStateDiffersFromItsLeadersStops) {
  Form(3, 3);
  ASSERT_TRUE(MoveLeaders(k1));
  const ClientId client = cluster().Connect(k1);
  for (int i = 0; i < 128; ++i) {
    cluster().Send(client, "LOCK.ACQUIRE jobs alice");
    cluster().Run(5);  // So that each has an entry of its own.
  }
  ASSERT_TRUE(cluster().RunUntil([&] {
    return cluster().node(k2)->group(kLocksGroup)->applied() > Index{128};
  }));
  Bytes body;
  Writer out(&body);
  const Term term = cluster().node(k2)->group(kLocksGroup)->term();
  bus::EncodeHeader({bus::MessageType::kStateHash, k1, term, kLocksGroup}, &out);
  out.Put(Index{128});
  out.U64(0xbad);
  EXPECT_DEATH(cluster().node(k2)->Step(cluster().now(), PeerFrame{k1, body, {}}),
               "differs from its leader at entry 128");
}

}  // namespace
}  // namespace lockstep
