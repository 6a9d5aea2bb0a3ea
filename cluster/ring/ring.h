// The consistent-hash ring (Karger et al., STOC 1997): each node stands at many points of a circle
// of 64-bit hashes, and what is to be placed walks clockwise from a point of its own. So a node
// that comes or goes changes the way of few.
//
// Always true: the order of a walk depends on the set of nodes and the point alone, not on the
// order in which they were given, nor on the machine.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "src/base/ids.h"

namespace lockstep::ring {

constexpr uint64_t kPointsPerNode = 150;

class Ring {
 public:
  explicit Ring(std::span<const NodeId> nodes);

  // Every node, in the order in which a walk from `point` first meets it.
  std::vector<NodeId> Walk(uint64_t point) const;

 private:
  std::vector<std::pair<uint64_t, NodeId>> points_;  // Ascending.
  size_t nodes_;
};

// Where shard number `shard` begins its walk.
uint64_t PointOfShard(uint64_t shard);

}  // namespace lockstep::ring
