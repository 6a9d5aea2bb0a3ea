// Makes each group's members follow what group `control` says: one step at a time, by the group's
// leader. A node that is new, or that came back with an emptied disk, is a learner until it has
// caught up; then it votes. One that was removed, or whose disk is not the one on record, votes no
// more. A shard moves from node to node in the same steps.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "cluster/raft/raft.h"
#include "commands/control_machine.h"

namespace lockstep {

struct MembershipStep {
  std::vector<raft::Member> voters;
  std::vector<raft::Member> learners;
  bool operator==(const MembershipStep&) const = default;
};

// The next configuration to propose for the group that `raft` leads; none if it is as it should be,
// or a change is under way. Of the others in `spare`, who are not wanted, whoever votes goes on
// voting until there are as many wanted voters as there should be: so no copy is given up before
// the next one is there.
std::optional<MembershipStep> NextMembershipStep(const raft::Raft& raft,
                                                 const std::map<NodeId, NodeRecord>& wanted,
                                                 const std::map<NodeId, NodeRecord>& spare = {});

}  // namespace lockstep
