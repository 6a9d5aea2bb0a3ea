#include "cluster/ring/ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace lockstep::ring {
namespace {

std::vector<NodeId> NodesUpTo(uint64_t n) {
  std::vector<NodeId> nodes;
  for (uint64_t i = 1; i <= n; ++i) nodes.push_back(NodeId{i});
  return nodes;
}

TEST(RingTest, AWalkMeetsEveryNodeOnce) {
  const std::vector<NodeId> nodes = NodesUpTo(7);
  const Ring ring(nodes);
  for (uint64_t shard = 0; shard < 100; ++shard) {
    std::vector<NodeId> met = ring.Walk(PointOfShard(shard));
    std::sort(met.begin(), met.end());
    EXPECT_EQ(met, nodes);
  }
}

TEST(RingTest, TheOrderInWhichNodesAreGivenDoesNotMatter) {
  std::vector<NodeId> nodes = NodesUpTo(9);
  const Ring ring(nodes);
  std::reverse(nodes.begin(), nodes.end());
  const Ring reversed(nodes);
  for (uint64_t shard = 0; shard < 100; ++shard) {
    EXPECT_EQ(ring.Walk(PointOfShard(shard)), reversed.Walk(PointOfShard(shard)));
  }
}

TEST(RingTest, ARingWithoutNodesLeadsNowhere) {
  EXPECT_TRUE(Ring(std::vector<NodeId>()).Walk(PointOfShard(0)).empty());
}

// What is on disks and in other versions' heads must not change by a change of the hash.
TEST(RingTest, TheWayIsTheSameForAllTime) {
  const Ring ring(NodesUpTo(5));
  EXPECT_EQ(PointOfShard(0), 7411806791039536943u);
  const std::vector<NodeId> way{NodeId{5}, NodeId{1}, NodeId{4}, NodeId{3}, NodeId{2}};
  EXPECT_EQ(ring.Walk(PointOfShard(0)), way);
}

TEST(RingTest, ANewNodeChangesTheWayOfItsShareOnly) {
  constexpr uint64_t kShards = 10'000;
  const Ring before(NodesUpTo(9));
  const Ring after(NodesUpTo(10));
  uint64_t to_new = 0;
  for (uint64_t shard = 0; shard < kShards; ++shard) {
    const uint64_t point = PointOfShard(shard);
    const NodeId first = after.Walk(point).front();
    if (first == NodeId{10}) {
      ++to_new;
    } else {
      EXPECT_EQ(first, before.Walk(point).front());
    }
  }
  EXPECT_GT(to_new, kShards / 10 * 7 / 10);
  EXPECT_LT(to_new, kShards / 10 * 13 / 10);
}

TEST(RingTest, EachNodeIsFirstForAboutItsShare) {
  constexpr uint64_t kShards = 10'000;
  for (const uint64_t n : {3u, 5u, 9u, 15u}) {
    const Ring ring(NodesUpTo(n));
    std::map<NodeId, uint64_t> firsts;
    for (uint64_t shard = 0; shard < kShards; ++shard) {
      ++firsts[ring.Walk(PointOfShard(shard)).front()];
    }
    for (const auto& [node, count] : firsts) {
      EXPECT_GT(count, kShards / n * 7 / 10) << "node " << node.value << " of " << n;
      EXPECT_LT(count, kShards / n * 13 / 10) << "node " << node.value << " of " << n;
    }
  }
}

}  // namespace
}  // namespace lockstep::ring
