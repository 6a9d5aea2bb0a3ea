// What group `control` replicates: who belongs to the cluster, who is to lead which shard, and the
// options of cached keys by prefix.
//
// Always true:
//   1. A node id is for all time: one that was removed never comes back (trap 26).
//   2. `epoch` grows by one with each change of the members.
//   3. Whoever departed was removed.
//   4. No two members share an address, and there is always at least one member (but for a machine
//      that was made without genesis and not loaded yet).
//   5. The placement names kReplicas members for each shard, or all if there are fewer, in as many
//      zones as it can. It changes with the members and their zones alone, and as little as it can.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "cluster/ring/placement.h"
#include "commands/cache_spaces.h"
#include "commands/state_machine.h"
#include "src/base/ids.h"

namespace lockstep {

struct NodeRecord {
  NodeId id;
  Bytes host;
  uint16_t bus_port = 0;
  DiskId disk;  // 0: not seen yet; told by the leader that first talks to it,
  Bytes zone{};  // as this: nodes of one zone may fail together. Empty: it is its own.
  bool operator==(const NodeRecord&) const = default;
};

// Operations: what CLUSTER ADD, REMOVE, FORGET and the leader itself propose.
Bytes EncodeAddNode(const NodeRecord& node);      // Answer: OK, or ERR why not.
// The node that such an operation adds; none if it is another operation.
std::optional<NodeRecord> DecodeAddNode(BytesView op);
Bytes EncodeRemoveNode(NodeId id);                // Answer: OK, or ERR why not.
// "This node now has this disk, and stands in this zone."
Bytes EncodeNodeDisk(NodeId id, DiskId disk, BytesView zone = {});
Bytes EncodeSetSpace(const SpaceChange& change);  // As Spaces::Change answers it,
Bytes EncodeDropSpace(BytesView prefix);          // and Drop.

// Queries. The empty one: the members, as an array of maps. These: one space as a map, or nil; all.
Bytes SpaceQuery(BytesView prefix);
Bytes SpacesQuery();

class ControlMachine final : public StateMachine {
 public:
  // The first members, as the cluster was formed, and how many shards it has.
  explicit ControlMachine(std::vector<NodeRecord> genesis, uint64_t shards = 0);

  void Advance(const Position& at, Effects* out) override;
  void Apply(const Position& at, const RequestId& request, BytesView op, Effects* out) override;
  void EndSessions(const Position& at, NodeId origin, uint64_t incarnation, Effects* out) override;
  Reply Query(ClusterTime now, BytesView query) const override;
  ClusterTime NextDeadline() const override;
  void Save(Writer* out) const override;
  Result<void> Load(Reader* in) override;
  uint64_t Hash() const override;
  void CheckInvariants() const override;

  const std::map<NodeId, NodeRecord>& nodes() const { return nodes_; }
  bool removed(NodeId id) const { return removed_.contains(id); }
  // The latest kNodesMax that were removed, oldest first, with where they were: until the groups'
  // configurations have let go of one, the others need its acknowledgements.
  const std::vector<NodeRecord>& departed() const { return departed_; }
  uint64_t epoch() const { return epoch_; }
  // Who is to lead the shard, as long as it is there and has all there is. kNoNode: no such shard.
  NodeId LeaderOf(uint64_t shard) const {
    return shard < placement_.size() ? placement_[shard].front() : kNoNode;
  }
  // Who is to keep each shard, its leader first.
  const ring::Placement& placement() const { return placement_; }
  const Spaces& spaces() const { return spaces_; }

 private:
  Reply Add(const NodeRecord& node);
  Reply Remove(NodeId id);
  Reply SetDisk(NodeId id, DiskId disk, BytesView zone);
  Reply QuerySpaces(BytesView query) const;
  void Changed();
  void Place();
  bool PlacesMembers() const;
  void Clear();
  void Rehash();

  std::map<NodeId, NodeRecord> nodes_;
  std::set<NodeId> removed_;
  std::vector<NodeRecord> departed_;
  ring::Placement placement_;  // Of each shard.
  Spaces spaces_ = Spaces::AtFirst();
  uint64_t epoch_ = 1;
  uint64_t hash_ = 0;
};

}  // namespace lockstep
