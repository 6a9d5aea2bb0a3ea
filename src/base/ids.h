// Numbers that mean one thing each. NodeId{3} and Term{3} do not compare, assign or add.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace lockstep {

template <class Tag>
struct Id {
  uint64_t value = 0;
  auto operator<=>(const Id&) const = default;
};

using NodeId = Id<struct NodeIdTag>;      // 1 .. kNodeIdMax, given by the operator, for all time.
using DiskId = Id<struct DiskIdTag>;      // Random, made with the data folder: tells a node from
                                          // its successor that came back with an emptied disk.
using ClusterId = Id<struct ClusterIdTag>;  // 0: this node has not formed or joined a cluster yet.
using GroupId = Id<struct GroupIdTag>;    // A Raft group.
using Term = Id<struct TermTag>;
using Index = Id<struct IndexTag>;        // Position in a group's log; the first entry is 1.
using ClientId = Id<struct ClientIdTag>;  // A connection of this node, never reused while it runs.

constexpr NodeId kNoNode{0};
constexpr GroupId kControlGroup{0};  // Membership, placement, users, queue definitions.
constexpr GroupId kLocksGroup{1};    // The lock table.
constexpr uint64_t kFirstShardGroup = 2;  // The shards follow: queues.

constexpr GroupId ShardGroup(uint64_t shard) { return {kFirstShardGroup + shard}; }
constexpr bool IsShard(GroupId group) { return group.value >= kFirstShardGroup; }
constexpr uint64_t ShardOf(GroupId group) { return group.value - kFirstShardGroup; }

template <class Tag>
constexpr Id<Tag> Next(Id<Tag> id) {
  return {id.value + 1};
}
template <class Tag>
constexpr Id<Tag> Previous(Id<Tag> id) {
  return {id.value - 1};
}

// One request of one node's clients, unique in the life of the cluster. `incarnation` grows with
// each start of the node (and each time the cluster has declared its sessions ended), `seq` from 1
// within it.
struct RequestId {
  NodeId origin;
  uint64_t incarnation = 0;
  uint64_t seq = 0;
  auto operator<=>(const RequestId&) const = default;
};

}  // namespace lockstep

template <class Tag>
struct std::hash<lockstep::Id<Tag>> {
  size_t operator()(lockstep::Id<Tag> id) const noexcept {
    return static_cast<size_t>(id.value * 0x9E3779B97F4A7C15ULL);
  }
};
