// The placement of shards: balance, and how little moves when nodes come and go.
#include "cluster/ring/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "src/base/rng.h"

namespace lockstep::ring {
namespace {

constexpr size_t kShards = 64;
constexpr size_t kReplicas = 3;

std::vector<PlacedNode> NodesUpTo(uint64_t n) {
  std::vector<PlacedNode> nodes;
  for (uint64_t i = 1; i <= n; ++i) nodes.push_back({NodeId{i}, ""});
  return nodes;
}

std::map<NodeId, size_t> LoadsOf(const Placement& placement) {
  std::map<NodeId, size_t> loads;
  for (const auto& keepers : placement) {
    for (const NodeId node : keepers) ++loads[node];
  }
  return loads;
}

std::map<NodeId, size_t> LeadersOf(const Placement& placement) {
  std::map<NodeId, size_t> leaders;
  for (const auto& keepers : placement) ++leaders[keepers.front()];
  return leaders;
}

void ExpectWithin(std::map<NodeId, size_t> counts, const std::vector<PlacedNode>& nodes,
                  const Band& band) {
  for (const PlacedNode& node : nodes) {
    EXPECT_LE(counts[node.id], band.high) << "node " << node.id.value << " of " << nodes.size();
    EXPECT_GE(counts[node.id], band.low) << "node " << node.id.value << " of " << nodes.size();
  }
}

void ExpectSound(const Placement& placement, size_t shards, size_t replicas,
                 const std::vector<PlacedNode>& nodes) {
  std::set<NodeId> known;
  for (const PlacedNode& node : nodes) known.insert(node.id);
  ASSERT_EQ(placement.size(), shards);
  for (const auto& keepers : placement) {
    EXPECT_EQ(keepers.size(), std::min(replicas, nodes.size()));
    EXPECT_EQ(std::set(keepers.begin(), keepers.end()).size(), keepers.size());
    for (const NodeId node : keepers) EXPECT_TRUE(known.contains(node));
  }
  ExpectWithin(LoadsOf(placement), nodes,
               BandOf(shards * std::min(replicas, nodes.size()), nodes.size()));
  ExpectWithin(LeadersOf(placement), nodes, BandOf(shards, nodes.size()));
}

// What any placement that keeps to the band has to copy, whatever way it takes.
size_t LeastMoves(const Placement& before, const std::vector<PlacedNode>& nodes) {
  std::map<NodeId, size_t> loads = LoadsOf(before);
  const size_t replicas = std::min(kReplicas, nodes.size());
  const Band band = BandOf(before.size() * replicas, nodes.size());
  size_t stay = 0, lack = 0;
  for (const PlacedNode& node : nodes) {
    stay += std::min(loads[node.id], band.high);
    lack += band.low - std::min(loads[node.id], band.low);
  }
  return std::max(before.size() * replicas - std::min(stay, before.size() * replicas), lack);
}

TEST(PlacementTest, LoadsStayWithinTheBandForEverySizeOfCluster) {
  for (uint64_t n = 1; n <= 20; ++n) {
    for (const size_t shards : {1u, 7u, 64u, 256u}) {
      for (const size_t replicas : {1u, 3u, 5u}) {
        SCOPED_TRACE(Format("%lu nodes, %zu shards, %zu replicas", n, shards, replicas));
        ExpectSound(Place({}, shards, replicas, NodesUpTo(n)), shards, replicas, NodesUpTo(n));
      }
    }
  }
}

TEST(PlacementTest, NothingMovesWhileNothingChanges) {
  for (const uint64_t n : {1u, 3u, 5u, 9u, 15u}) {
    const Placement first = Place({}, kShards, kReplicas, NodesUpTo(n));
    EXPECT_EQ(Place(first, kShards, kReplicas, NodesUpTo(n)), first);
  }
}

TEST(PlacementTest, TheOrderInWhichNodesAreGivenDoesNotMatter) {
  std::vector<PlacedNode> nodes = NodesUpTo(9);
  const Placement one = Place({}, kShards, kReplicas, nodes);
  std::reverse(nodes.begin(), nodes.end());
  EXPECT_EQ(Place({}, kShards, kReplicas, nodes), one);
}

TEST(PlacementTest, ANodeThatJoinsTakesItsShareAndNoMoreMoves) {
  for (const uint64_t n : {3u, 5u, 9u, 15u}) {
    const Placement before = Place({}, kShards, kReplicas, NodesUpTo(n));
    const Placement after = Place(before, kShards, kReplicas, NodesUpTo(n + 1));
    ExpectSound(after, kShards, kReplicas, NodesUpTo(n + 1));
    EXPECT_EQ(Moves(before, after), LeastMoves(before, NodesUpTo(n + 1))) << n << " nodes";
    EXPECT_EQ(Moves(before, after), LoadsOf(after)[NodeId{n + 1}]) << "between those before";
  }
}

TEST(PlacementTest, OfANodeThatLeavesOnlyWhatItKeptMoves) {
  for (const uint64_t n : {4u, 5u, 9u, 15u}) {
    const Placement before = Place({}, kShards, kReplicas, NodesUpTo(n));
    for (uint64_t gone = 1; gone <= n; ++gone) {
      std::vector<PlacedNode> nodes = NodesUpTo(n);
      std::erase_if(nodes, [&](const PlacedNode& node) { return node.id == NodeId{gone}; });
      const Placement after = Place(before, kShards, kReplicas, nodes);
      ExpectSound(after, kShards, kReplicas, nodes);
      EXPECT_EQ(Moves(before, after), LeastMoves(before, nodes)) << gone << " of " << n;
    }
  }
}

TEST(PlacementTest, AShardWhoseKeepersAllStayKeepsThem) {
  const Placement before = Place({}, kShards, kReplicas, NodesUpTo(9));
  std::vector<PlacedNode> nodes = NodesUpTo(9);
  nodes.erase(nodes.begin() + 4);
  const Placement after = Place(before, kShards, kReplicas, nodes);
  for (size_t s = 0; s < kShards; ++s) {
    const std::set<NodeId> then(before[s].begin(), before[s].end());
    if (then.contains(NodeId{5})) continue;
    EXPECT_EQ(std::set<NodeId>(after[s].begin(), after[s].end()), then) << "shard " << s;
  }
}

TEST(PlacementTest, ThroughAnyHistoryOfNodesItStaysBalancedAndMovesWithinATenthOfTheLeast) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    std::set<uint64_t> ids{1, 2, 3};
    uint64_t next_id = 4;
    Placement placement;
    size_t moved = 0, least = 0;
    for (int step = 0; step < 60; ++step) {
      const bool join = ids.size() <= kReplicas || (ids.size() < 16 && rng.Below(2) == 0);
      if (step > 0 && join) ids.insert(next_id++);
      if (step > 0 && !join) ids.erase(std::next(ids.begin(), rng.Below(ids.size())));
      std::vector<PlacedNode> nodes;
      for (const uint64_t id : ids) nodes.push_back({NodeId{id}, ""});
      const Placement before = placement;
      placement = Place(before, kShards, kReplicas, nodes);
      SCOPED_TRACE(Format("seed %lu step %d, %zu nodes", seed, step, ids.size()));
      ExpectSound(placement, kShards, kReplicas, nodes);
      if (step == 0) continue;
      moved += Moves(before, placement);
      least += LeastMoves(before, nodes);
    }
    EXPECT_LE(moved * 10, least * 11) << moved << " moved, " << least << " had to";
  }
}

TEST(PlacementTest, EachShardIsInAsManyZonesAsItCanBe) {
  for (const size_t zones : {1u, 2u, 3u, 5u}) {
    for (uint64_t n = zones; n <= 12; ++n) {
      std::vector<PlacedNode> nodes = NodesUpTo(n);
      for (size_t i = 0; i < nodes.size(); ++i) nodes[i].zone = Format("zone%zu", i % zones);
      for (const auto& keepers : Place({}, kShards, kReplicas, nodes)) {
        std::set<Bytes> met;
        for (const NodeId node : keepers) met.insert(nodes[node.value - 1].zone);
        EXPECT_EQ(met.size(), std::min({zones, kReplicas, nodes.size()}));
      }
    }
  }
}

TEST(PlacementTest, AZoneThatComesLaterGetsAReplicaOfEachShard) {
  std::vector<PlacedNode> nodes = NodesUpTo(6);
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i].zone = i % 2 == 0 ? "a" : "b";
  const Placement before = Place({}, kShards, kReplicas, nodes);
  nodes.push_back({NodeId{7}, "c"});
  const Placement after = Place(before, kShards, kReplicas, nodes);
  for (const auto& keepers : after) {
    EXPECT_NE(std::find(keepers.begin(), keepers.end(), NodeId{7}), keepers.end());
  }
  EXPECT_EQ(Moves(before, after), kShards);
}

TEST(PlacementTest, NodesWithoutAZoneAreZonesOfTheirOwn) {
  std::vector<PlacedNode> nodes = NodesUpTo(4);
  nodes[0].zone = nodes[1].zone = "a";
  for (const auto& keepers : Place({}, kShards, kReplicas, nodes)) {
    const auto in_a = std::count_if(keepers.begin(), keepers.end(),
                                    [](NodeId node) { return node.value <= 2; });
    EXPECT_EQ(in_a, 1);
  }
}

}  // namespace
}  // namespace lockstep::ring
