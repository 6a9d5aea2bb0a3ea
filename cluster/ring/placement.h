// Which nodes keep which shard, and who leads it: the ring's order within bounded loads (Mirrokni
// et al., "Consistent Hashing with Bounded Loads", SODA 2018).
//
// A placement follows from the one before it and the nodes: what need not move stays where it is,
// whatever the ring would say to an empty cluster. What moves goes where the ring leads it first.
//
// Always true of what Place gives, with N nodes and r = min(replicas, N):
//   1. Each shard is kept by r different nodes, in as many zones as there are, up to r.
//   2. No node keeps more than 1.1 times its share of replicas (rounded up) or less than 0.9 times
//      (rounded down); nor does it lead so many or so few shards. The zones come first: a node
//      that is alone in its zone may have to keep more.
//   3. Equal arguments give equal placements: every replica of group `control` computes it anew.
#pragma once

#include <span>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"

namespace lockstep::ring {

struct PlacedNode {
  NodeId id;
  Bytes zone;  // Nodes that may fail together. Empty: none is known, each node is its own.
};

// Of each shard: the nodes that keep it, all different, its leader first.
using Placement = std::vector<std::vector<NodeId>>;

// `before` is empty at first, else of as many shards. The nodes: at least one, all different.
Placement Place(const Placement& before, size_t shards, size_t replicas,
                std::span<const PlacedNode> nodes);

// How many replicas of `after` are new where they are: what has to be copied.
size_t Moves(const Placement& before, const Placement& after);

// The highest and the lowest load that rule 2 allows for a share of total/nodes.
struct Band {
  size_t low = 0;
  size_t high = 0;
};
Band BandOf(size_t total, size_t nodes);

}  // namespace lockstep::ring
