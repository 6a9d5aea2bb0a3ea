#include "cluster/ring/ring.h"

#include <algorithm>

#include "src/base/codec.h"
#include "src/base/hash.h"

namespace lockstep::ring {
namespace {

// Two kinds of things stand on the ring. A point of each is a hash of all that names it.
constexpr uint64_t kNodeSeed = 1;
constexpr uint64_t kShardSeed = 2;

uint64_t PointOf(uint64_t seed, uint64_t first, uint64_t second) {
  Bytes name;
  Writer out(&name);
  out.U64(first);
  out.U64(second);
  return Hash64(name, seed);
}

}  // namespace

Ring::Ring(std::span<const NodeId> nodes) : nodes_(nodes.size()) {
  points_.reserve(nodes.size() * kPointsPerNode);
  for (const NodeId node : nodes) {
    for (uint64_t i = 0; i < kPointsPerNode; ++i) {
      points_.emplace_back(PointOf(kNodeSeed, node.value, i), node);
    }
  }
  std::sort(points_.begin(), points_.end());
}

std::vector<NodeId> Ring::Walk(uint64_t point) const {
  std::vector<NodeId> met;
  const auto first = std::lower_bound(points_.begin(), points_.end(), std::pair(point, kNoNode));
  const auto from = static_cast<size_t>(first - points_.begin());
  for (size_t i = 0; i < points_.size() && met.size() < nodes_; ++i) {
    const NodeId node = points_[(from + i) % points_.size()].second;
    if (std::find(met.begin(), met.end(), node) == met.end()) met.push_back(node);
  }
  return met;
}

uint64_t PointOfShard(uint64_t shard) { return PointOf(kShardSeed, shard, 0); }

}  // namespace lockstep::ring
