// Makes each group's members follow what group `control` says: one step at a time, by the group's
// leader. A node that is new, or that came back with an emptied disk, is a learner until it has
// caught up; then it votes. One that was removed, or whose disk is not the one on record, votes no
// more.
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
// or a change is under way.
std::optional<MembershipStep> NextMembershipStep(const raft::Raft& raft,
                                                 const std::map<NodeId, NodeRecord>& wanted);

}  // namespace lockstep
