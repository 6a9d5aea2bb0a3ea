#include "src/membership.h"

#include <algorithm>

#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr uint64_t kCaughtUpEntries = 256;  // A learner this close to the commit index may vote.

bool IsWanted(const raft::Member& member, const std::map<NodeId, NodeRecord>& wanted) {
  const auto record = wanted.find(member.node);
  return record != wanted.end() && record->second.disk == member.disk;
}

// That it has acknowledged the entry which made it a learner shows that it is there, with that disk
// and no other: in a young group everybody is close to the commit index, heard or not.
bool HasCaughtUp(const raft::MemberStatus& status, const raft::Raft& raft) {
  return status.active && !status.snapshotting && status.match >= raft.config_index() &&
         status.match.value + kCaughtUpEntries >= raft.commit().value;
}

// Those who are to go, the most useful first: this leader, and whoever is there.
std::vector<raft::Member> Substitutes(const raft::Raft& raft,
                                      const std::map<NodeId, NodeRecord>& wanted,
                                      const std::map<NodeId, NodeRecord>& spare) {
  std::vector<raft::Member> here, away;
  if (Planted(Mutant::kCopyGivenUpEarly)) return here;
  for (const raft::MemberStatus& status : raft.members()) {
    const raft::Member& member = status.member;
    if (!status.voter || wanted.contains(member.node) || !IsWanted(member, spare)) continue;
    if (member.node == raft.leader()) {
      here.insert(here.begin(), member);
    } else {
      (status.active ? here : away).push_back(member);
    }
  }
  here.insert(here.end(), away.begin(), away.end());
  return here;
}

}  // namespace

std::optional<MembershipStep> NextMembershipStep(const raft::Raft& raft,
                                                 const std::map<NodeId, NodeRecord>& wanted,
                                                 const std::map<NodeId, NodeRecord>& spare) {
  if (!raft.is_leader() || raft.config_pending() || raft.transfer_target() != kNoNode) return {};
  const raft::Config& config = raft.config();

  MembershipStep step;
  for (const raft::Member& voter : config.voters) {
    if (IsWanted(voter, wanted)) step.voters.push_back(voter);
  }
  for (const raft::Member& learner : config.learners) {
    if (IsWanted(learner, wanted)) step.learners.push_back(learner);
  }
  for (const auto& [id, record] : wanted) {
    const raft::Member member{id, record.disk};
    // A member with a former disk goes first, and comes back as a learner in a later step: in a
    // joint configuration what the new disk says would count for the old one.
    if (record.disk.value != 0 && !config.Contains(id)) step.learners.push_back(member);
  }
  for (const raft::MemberStatus& status : raft.members()) {
    const auto at = std::find(step.learners.begin(), step.learners.end(), status.member);
    if (at == step.learners.end() || !HasCaughtUp(status, raft)) continue;
    step.voters.push_back(*at);
    step.learners.erase(at);
  }
  for (const raft::Member& member : Substitutes(raft, wanted, spare)) {
    if (step.voters.size() < wanted.size()) step.voters.push_back(member);
  }
  // Somebody must stay to decide: those who go wait for a newcomer that has caught up.
  if (step.voters.empty()) step.voters = config.voters;
  std::sort(step.voters.begin(), step.voters.end());
  std::sort(step.learners.begin(), step.learners.end());
  if (step == MembershipStep{config.voters, config.learners}) return {};
  return step;
}

}  // namespace lockstep
