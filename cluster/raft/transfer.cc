// Leadership transfer (§3.10): bring the target up to date, take no proposals meanwhile, tell it to
// stand at once.
#include <algorithm>

#include "cluster/raft/state.h"

namespace lockstep::raft {

bool Raft::State::TransferLeadership(NodeId target) {
  const std::vector<Member>& voters = log.config().voters;
  const bool can_lead = std::any_of(voters.begin(), voters.end(),
                                    [&](const Member& voter) { return voter.node == target; });
  if (role != Role::kLeader || !can_lead || target == options.self.node) return false;
  if (transfer_target == target) return true;

  RAFT_SAYS("transfer leadership to %lu", target.value);
  transfer_target = target;
  transfer_deadline = now + options.election_timeout_us;
  transfer_sent = false;
  ContinueTransfer();
  return true;
}

// The target's log must be ours to the end: then it wins unless another stands first.
void Raft::State::ContinueTransfer() {
  if (transfer_target == kNoNode || transfer_sent) return;
  const Progress* target = ProgressOf(transfer_target);
  if (target == nullptr || target->match() != log.last().index) return;
  RAFT_SAYS("tell %lu to stand for election: its log is at %s as ours is", transfer_target.value,
            Text(log.last()).c_str());
  Send(transfer_target, TimeoutNow{});
  transfer_sent = true;
}

// Whatever became of the target, clients are served again (trap 15).
void Raft::State::AbandonTransfer(const char* why) {
  RAFT_SAYS("transfer to %lu given up: %s", transfer_target.value, why);
  transfer_target = kNoNode;
}

void Raft::State::OnTimeoutNow(const Message& m) {
  if (role == Role::kLeader || !MayStand()) return;
  RAFT_SAYS("stand for election: leader %lu says so", m.from.value);
  Campaign(Ballot::kTransfer);
}

}  // namespace lockstep::raft
