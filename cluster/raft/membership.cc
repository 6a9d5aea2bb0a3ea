// Joint consensus (§4.3): C_old -> C_old,new -> C_new. A configuration is in force from the moment
// that it is in the log; the log takes it back when it is cut (raft_log.cc).
#include <algorithm>

#include "cluster/raft/state.h"

namespace lockstep::raft {
namespace {

void SortByNode(std::vector<Member>* members) {
  std::sort(members->begin(), members->end());
}

}  // namespace

Raft::Proposal Raft::State::ProposeConfig(std::vector<Member> voters,
                                          std::vector<Member> learners) {
  if (role != Role::kLeader) return {.refusal = Refusal::kNotLeader, .index = {}};
  if (transfer_target != kNoNode) return {.refusal = Refusal::kTransferring, .index = {}};
  // Ongaro's correction of 2015: before an entry of this term has committed, the configuration that
  // we go out from may itself be about to be replaced (trap 23).
  const bool settled = !ConfigPending() && CommittedInThisTerm();
  if (!settled) return {.refusal = Refusal::kConfigPending, .index = {}};

  SortByNode(&voters);
  SortByNode(&learners);
  const Config& current = log.config();
  Config next{.voters = std::move(voters), .outgoing = {}, .learners = std::move(learners)};
  // Voters that stay make every old majority a new one: learners come and go in one step.
  if (next.voters != current.voters) next.outgoing = current.voters;
  bool keeps_disks = true;
  for (const NodeId node : next.All()) {
    const bool stays = current.Contains(node);
    if (stays && current.DiskOf(node) != next.DiskOf(node)) keeps_disks = false;
  }
  const bool usable = next.Valid() && !next.voters.empty() && keeps_disks;
  if (!usable) return {.refusal = Refusal::kBadConfig, .index = {}};
  return {.refusal = Refusal::kNone, .index = AppendOwn(EntryKind::kConfig, EncodeConfig(next))};
}

bool Raft::State::ConfigPending() const {
  return log.config().joint() || log.config_index() > commit;
}

// Another configuration is in force at the leader: who is new is followed from now on, who left is
// not written to any more.
void Raft::State::OnConfigChanged() {
  const Config& config = log.config();
  std::erase_if(progress, [&](const auto& other) { return !config.Contains(other.first); });
  for (const NodeId node : config.All()) {
    if (node != options.self.node) progress.try_emplace(node, Next(log.last().index), now);
  }
  if (!IDecideAlone()) {
    quorum_deadline = std::min(quorum_deadline, now + options.election_timeout_us);
  }
  if (transfer_target != kNoNode && ProgressOf(transfer_target) == nullptr) {
    AbandonTransfer("it is no member any more");
  }
}

// The leader's part once something has committed. A leader that finds a joint configuration in its
// log, whoever began it, brings it to its end; one that the new configuration leaves out goes.
void Raft::State::ContinueConfigChange() {
  const Config& config = log.config();
  if (log.config_index() > commit || !CommittedInThisTerm()) return;
  if (config.joint()) {
    Config final = config;
    final.outgoing.clear();
    AppendOwn(EntryKind::kConfig, EncodeConfig(final));
    return;
  }
  if (IAmVoter()) return;

  // Best effort: the voter that is farthest takes over at once instead of after a timeout.
  NodeId successor = kNoNode;
  Index farthest = log.config_index();
  for (const Member& voter : config.voters) {
    const Index match = MatchOf(voter);
    if (match < farthest || (match == farthest && successor != kNoNode)) continue;
    successor = voter.node;
    farthest = match;
  }
  RAFT_SAYS("step down: not a voter by the configuration at %lu; %lu shall stand",
            log.config_index().value, successor.value);
  if (successor != kNoNode) Send(successor, TimeoutNow{});
  BecomeFollower(hard.term, kNoNode);
}

Index Raft::config_index() const {
  return state_->log.config_index();
}

std::vector<MemberStatus> Raft::State::Members() const {
  std::vector<MemberStatus> members;
  if (role != Role::kLeader) return members;
  const Config& config = log.config();
  for (const NodeId node : config.All()) {
    MemberStatus status;
    status.member = {.node = node, .disk = config.DiskOf(node)};
    status.voter = config.IsVoter(node);
    const auto other = progress.find(node);
    if (other == progress.end()) {
      status.match = log.stable();
      status.next = Next(log.last().index);
      status.active = true;
    } else {
      status.match = other->second.match();
      status.next = other->second.next();
      status.active = other->second.IsActive(now, options.election_timeout_us);
      status.snapshotting = other->second.mode() == Progress::Mode::kSnapshot;
    }
    members.push_back(status);
  }
  return members;
}

}  // namespace lockstep::raft
