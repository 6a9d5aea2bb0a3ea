// Linearizable reads without a log entry (ReadIndex, §6.4), and the heartbeats that they ride on.
//
// A read notes where the log ends and joins the round that the next Drain begins. Once a quorum has
// answered a heartbeat that carried this round, no other leader can have committed anything before
// the read came; once the state machine has applied what was noted, the read may be answered.
#include <algorithm>

#include "cluster/raft/quorum.h"
#include "cluster/raft/state.h"
#include "src/base/planted.h"

namespace lockstep::raft {

// The end of the log, not the commit index: a client that writes and then reads, without waiting in
// between, sees its write.
uint64_t Raft::State::Read() {
  if (role != Role::kLeader) return 0;
  if (!round_due) reads.push_back({.position = read_round + 1, .index = {}});
  round_due = true;
  reads.back().index = log.last().index;
  return reads.back().position;
}

void Raft::State::BeginRound() {
  if (round_due || heartbeat_due) rounds.push_back({++read_round, now});
  // Who decides alone has nobody to ask.
  const bool ask_for_reads = round_due && !IDecideAlone();
  if (heartbeat_due || ask_for_reads) {
    for (const auto& [node, other] : progress) {
      const bool tell_all = Planted(Mutant::kReplyForOverwritten);
      Send(node, HeartbeatRequest{.commit = tell_all ? commit : std::min(commit, other.match()),
                                  .read_position = read_round,
                                  .time = Time()});
    }
  }
  heartbeat_due = false;
  round_due = false;
  ConfirmReads();
}

// Promises nothing, so it does not wait for any disk.
void Raft::State::OnHeartbeatRequest(const Message& m, const HeartbeatRequest& request) {
  FollowLeader(m);
  HearTime(m.term, request.time);
  // The leader knows that our log is its own up to there; a message from before a snapshot that
  // we have installed since says less than we know.
  // What it knows it knows of the disk that the config names: of one that was emptied since, its
  // `match` says what the former disk acknowledged. Appends prove themselves; they will do until
  // then.
  if (log.config().DiskOf(options.self.node) == options.self.disk) {
    CommitTo(std::min(request.commit, log.last().index));
  }
  Send(m.from, HeartbeatReply{.read_position = request.read_position});
}

void Raft::State::OnHeartbeatReply(const Message& m, const HeartbeatReply& reply) {
  Progress* other = ProgressOf(m.from);
  if (other == nullptr) return;
  other->OnAlive(now, options.heartbeat_us);
  // The answer to an older round says nothing about a younger read, however late it comes.
  const uint64_t round = Planted(Mutant::kReadByAnyRound) ? read_round : reply.read_position;
  if (round <= other->read_position()) return;
  other->OnReadPosition(std::min(round, read_round));
  ConfirmReads();
}

void Raft::State::ConfirmReads() {
  // Before an entry of this term has committed, older ones may be committed unknown to us (etcd
  // #7331).
  const bool knows_commit = CommittedInThisTerm() || Planted(Mutant::kReadBeforeFirstCommit);
  if ((reads.empty() && rounds.empty()) || !knows_commit) return;
  const auto confirmed_round =
      ReachedByQuorum<uint64_t>(log.config(), [this](const Member& member) {
        if (IsMe(member) || Planted(Mutant::kReadByDeposedLeader)) return read_round;
        const auto other = progress.find(member.node);
        return other == progress.end() ? uint64_t{0} : other->second.read_position();
      });
  for (; !rounds.empty() && rounds.front().number <= confirmed_round; rounds.pop_front()) {
    majority_heard = rounds.front().began;
  }
  while (!reads.empty() && reads.front().position <= confirmed_round) {
    confirmed.push_back({.position = reads.front().position, .index = reads.front().index});
    reads.pop_front();
  }
}

}  // namespace lockstep::raft
