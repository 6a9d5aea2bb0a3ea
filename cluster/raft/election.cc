// Elections: pre-vote, vote, becoming leader, stepping down.
#include <utility>

#include "cluster/raft/quorum.h"
#include "cluster/raft/state.h"
#include "src/base/planted.h"

namespace lockstep::raft {

// "Each drawn anew from T to 2T": so that two nodes rarely stand at once (§3.4).
void Raft::State::RestartElectionTimer() {
  election_deadline =
      now + rng.Between(options.election_timeout_us, 2 * options.election_timeout_us);
}

// Standing --------------------------------------------------------------------------------------

// Each attempt begins with a pre-vote, also that of a candidate that got no answer: a node that is
// cut off asks for ever and its term stays where it is (§9.6).
void Raft::State::Campaign(Ballot ballot) {
  const NodeId self = options.self.node;
  leader = kNoNode;
  votes.clear();
  handed = ballot == Ballot::kTransfer;
  RestartElectionTimer();

  const bool pre = ballot == Ballot::kPre;
  if (pre) {
    role = Role::kPreCandidate;
    votes[self] = true;  // Binds nobody, so nothing has to be on disk.
  } else {
    BecomeFollower(Next(hard.term), kNoNode);
    role = Role::kCandidate;
    hard.vote = self;
  }
  const Term stands_for = pre ? Next(hard.term) : hard.term;
  RAFT_SAYS("%s for term %lu, last %s", RoleName(role), stands_for.value, Text(log.last()).c_str());

  // Our own vote is a promise as well, and comes first: were it forgotten in a crash, we could vote
  // for another in this term. The requests wait with it: an answer to a request that we have
  // forgotten would count for a later one, with another log behind it.
  if (!pre) Promise(self, VoteReply{.pre = false, .granted = true});
  for (const NodeId node : log.config().All()) {
    if (node == self || !log.config().IsVoter(node)) continue;
    VoteRequest request{.pre = pre, .transfer = ballot == Ballot::kTransfer, .last = log.last()};
    if (pre) {
      Send(node, stands_for, request);
    } else {
      Promise(node, request);
    }
  }
  CountBallot();
}

void Raft::State::CountBallot() {
  switch (CountVotes(log.config(), votes)) {
    case Tally::kOpen:
      return;
    case Tally::kWon:
      return role == Role::kPreCandidate ? Campaign(Ballot::kReal) : BecomeLeader();
    case Tally::kLost:
      RAFT_SAYS("%s no more: a quorum refuses", RoleName(role));
      return BecomeFollower(hard.term, kNoNode);
  }
}

// A pre-vote is counted whatever term its sender is in. One that is late, from an earlier ballot,
// can at worst start an election that the voters judge by the same rules.
void Raft::State::OnVoteReply(const Message& m, const VoteReply& reply) {
  const Role asked_as = reply.pre ? Role::kPreCandidate : Role::kCandidate;
  if (role != asked_as) return;
  // A refusal may be late, from an earlier ballot; a grant is never taken back.
  bool& granted = votes[m.from];
  granted = granted || reply.granted;
  CountBallot();
}

// Voting ----------------------------------------------------------------------------------------

// Stickiness (§6.4.1, §9.6): whoever hears from a leader does not help to unseat it. The leader
// itself always does; CheckQuorum sees to it that it is one. A leader that asks for votes says
// itself that it leads no more (hashicorp/raft #605).
bool Raft::State::HearsOtherLeaderThan(NodeId node) const {
  if (role == Role::kLeader) return true;
  return leader != kNoNode && leader != node && now - heard_leader < options.election_timeout_us;
}

// Grants at most one vote a term, and only to a log at least as complete as ours: so whoever wins
// has every committed entry (Raft §5.4.1). A pre-vote changes nothing here.
void Raft::State::OnVoteRequest(const Message& m, const VoteRequest& request) {
  const bool sticky = !request.transfer && HearsOtherLeaderThan(m.from);
  // While sticky we do not even take on the term: that alone would unseat the leader.
  if (!request.pre && !sticky && m.term > hard.term) BecomeFollower(m.term, kNoNode);

  const char* const what = request.pre ? "pre-vote" : "vote";
  const Bytes why_not = WhyNoVote(m, request, sticky);
  if (!why_not.empty()) {
    RAFT_SAYS("refuse %s to %lu: %s", what, m.from.value, why_not.c_str());
    // Carries our term: a candidate that is behind learns it so, and can stand again above it
    // (etcd #8243).
    return Send(m.from, VoteReply{.pre = request.pre, .granted = false});
  }
  RAFT_SAYS("grant %s to %lu for term %lu: its last %s, ours %s", what, m.from.value, m.term.value,
            Text(request.last).c_str(), Text(log.last()).c_str());
  if (request.pre) return Send(m.from, VoteReply{.pre = true, .granted = true});

  hard.vote = m.from;
  RestartElectionTimer();
  const VoteReply granted{.pre = false, .granted = true};
  if (Planted(Mutant::kVoteBeforeDisk)) return Send(m.from, granted);
  // The promise must survive a crash, so the answer leaves only once the vote is on disk.
  Promise(m.from, granted);
}

// Empty: nothing speaks against it. A learner votes: it may be a voter by a configuration that it
// does not know yet. So does a node that is no member by ours.
Bytes Raft::State::WhyNoVote(const Message& m, const VoteRequest& request, bool sticky) const {
  if (m.term < hard.term) {
    return Format("its term %lu is behind %lu", m.term.value, hard.term.value);
  }
  if (sticky && role != Role::kLeader) {
    return Format("heard from leader %lu this timeout", leader.value);
  }
  const bool is_behind = request.last < log.last();  // Compares term, then index.
  if (is_behind && !Planted(Mutant::kVoteForShorterLog)) {
    return Format("its last %s is behind %s", Text(request.last).c_str(), Text(log.last()).c_str());
  }
  if (sticky) return "this node leads";
  if (AmReplaced()) return "our place in the group is another disk's";
  if (!HasItsCopy()) return "this node had left the group, and has not caught up since";

  const bool is_of_later_term = request.pre && m.term > hard.term;
  const bool vote_is_free = hard.vote == kNoNode || hard.vote == m.from;
  if (!is_of_later_term && !vote_is_free && !Planted(Mutant::kVoteTwice)) {
    return Format("voted for %lu in term %lu", hard.vote.value, hard.term.value);
  }
  return {};
}

// Following -------------------------------------------------------------------------------------

// `m` comes from the leader of this term.
void Raft::State::FollowLeader(const Message& m) {
  CHECK_SAYS(role != Role::kLeader, "%lu leads term %lu as well", m.from.value, hard.term.value);
  if (role != Role::kFollower || leader != m.from) {
    const bool term_stood = role == Role::kPreCandidate;
    BecomeFollower(hard.term, m.from);
    RAFT_SAYS("follower of %lu, term %s%lu", m.from.value, term_stood ? "still " : "",
              hard.term.value);
  }
  heard_leader = now;
  RestartElectionTimer();
}

void Raft::State::BecomeFollower(Term new_term, NodeId new_leader) {
  CHECK(new_term >= hard.term);
  if (role == Role::kLeader) LayDownLeadership();
  if (new_term > hard.term) {
    hard.term = new_term;
    hard.vote = kNoNode;
    // What was promised in the older term and has not left: nobody waits for it, and what it
    // acknowledges may be replaced before it is on disk (trap 9).
    promises.clear();
    incoming.reset();
  }
  role = Role::kFollower;
  leader = new_leader;
  votes.clear();
}

// Leading ---------------------------------------------------------------------------------------

void Raft::State::BecomeLeader() {
  CHECK(hard.vote == options.self.node);
  role = Role::kLeader;
  leader = options.self.node;
  ++elections;
  RAFT_SAYS("leader in term %lu, last %s", hard.term.value, Text(log.last()).c_str());

  // Cluster time goes on from where the leaders before are known to have brought it. Nothing passed
  // while there was none.
  time = std::max(time, log.last_time());
  time_since = now;
  time_term = hard.term;

  term_before = log.last().term;
  incoming.reset();
  progress.clear();
  uncommitted_bytes = 0;
  for (Index i = Next(commit); i <= log.last().index; i = Next(i)) {
    uncommitted_bytes += EntryBytes(log.At(i));
  }
  heartbeat_deadline = now + options.heartbeat_us;
  quorum_deadline = kNeverMono;
  rounds.clear();
  majority_heard = {};
  OnConfigChanged();
  heartbeat_due = !progress.empty();  // Whoever waits for MajorityHeard need not wait for the beat.
  // Nothing of an older term is committed by counting; this takes all before it along (§5.4.2).
  AppendOwn(EntryKind::kNoop, {});
}

void Raft::State::LayDownLeadership() {
  time = Time();
  progress.clear();  // And with them the snapshot under way.
  transfer_target = kNoNode;
  heartbeat_due = false;
  uncommitted_bytes = 0;
  reads.clear();
  if (round_due) ++read_round;  // A position that was given away is not given to another read.
  round_due = false;
  rounds.clear();
  majority_heard = {};
  reads_lost = true;
  snapshot_asked = false;
  wants_snapshot = false;
  RestartElectionTimer();
}

// A leader that hears no quorum for an election timeout may have been replaced long ago: it stops
// before its clients wait for nothing (§6.2). The deadline is looked at only when it has passed;
// answers since then have moved it.
void Raft::State::CheckQuorum() {
  if (IDecideAlone()) {
    quorum_deadline = kNeverMono;
    return;
  }
  const auto heard = ReachedByQuorum<MonoTime>(log.config(), [this](const Member& member) {
    if (IsMe(member)) return now;
    const Progress* other = ProgressOf(member.node);
    return other == nullptr ? MonoTime{} : other->heard();
  });
  quorum_deadline = heard + options.election_timeout_us;
  if (now < quorum_deadline) return;

  RAFT_SAYS("step down: no quorum heard from for %ld ms", (now - heard) / kUsPerMs);
  BecomeFollower(hard.term, kNoNode);
}

}  // namespace lockstep::raft
