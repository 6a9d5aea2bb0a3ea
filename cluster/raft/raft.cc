#include "cluster/raft/raft.h"

#include <algorithm>
#include <utility>

#include "cluster/raft/quorum.h"
#include "cluster/raft/state.h"
#include "src/base/hash.h"
#include "src/base/planted.h"

namespace lockstep::raft {

const char* RoleName(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  CheckFailed(__FILE__, __LINE__, "role", "no such role");
}

bool Ready::empty() const {
  return !hard && append.empty() && !install && !offered && messages.empty() &&
         apply_to < apply_from && reads.empty() && !reads_lost && !wants_snapshot;
}

// Construction ----------------------------------------------------------------------------------

Raft::State::State(const Options& given, Recovered recovered, MonoTime start, Narrator* listener)
    : options(given),
      narrator(listener),
      // Nodes that were given one seed must not stand for election in step.
      rng(HashMix(given.seed, given.self.node.value)),
      now(start),
      hard(recovered.hard),
      handed_hard(recovered.hard),
      log(recovered.snapshot, std::move(recovered.entries)),
      // What else was committed we learn from a leader: the commit index is not kept (figure 2).
      commit(recovered.snapshot.last.index),
      applied(commit),
      snapshot_id(recovered.snapshot.last),
      time(log.last_time()) {
  CHECK(options.self.node != kNoNode);
  CHECK(options.election_timeout_us > 0 && options.heartbeat_us > 0);
  CHECK_SAYS(log.last().term <= hard.term, "the log ends in term %lu, above our term %lu",
             log.last().term.value, hard.term.value);
  RestartElectionTimer();
  // A group of one has nobody to wait for.
  if (IDecideAlone()) election_deadline = now;
}

Raft::Raft(const Options& options, Recovered recovered, MonoTime now, Narrator* narrator)
    : state_(std::make_unique<State>(options, std::move(recovered), now, narrator)) {}
Raft::~Raft() = default;

// Time ------------------------------------------------------------------------------------------

void Raft::State::Advance(MonoTime to) {
  CHECK_SAYS(to >= now, "time falls from %ld to %ld", now.us, to.us);
  now = to;
}

void Raft::State::Tick() {
  if (role != Role::kLeader) {
    const Ballot first = Planted(Mutant::kPreVoteSkipped) ? Ballot::kReal : Ballot::kPre;
    if (MayStand() && now >= election_deadline) Campaign(first);
    return;
  }
  if (now >= quorum_deadline) CheckQuorum();
  if (role != Role::kLeader) return;
  if (transfer_target != kNoNode && now >= transfer_deadline) AbandonTransfer("it took too long");
  if (now >= heartbeat_deadline) {
    // On a common beat: the heartbeats of all groups of a node leave in one turn, in one frame a
    // peer.
    heartbeat_deadline = {(now.us / options.heartbeat_us + 1) * options.heartbeat_us};
    heartbeat_due = !progress.empty();
    GiveUpIdleTransfers();
  }
}

// An idle node sleeps: who cannot stand for election waits for nothing, and so does a leader alone.
MonoTime Raft::State::NextTick() const {
  if (role != Role::kLeader) return MayStand() ? election_deadline : kNeverMono;
  MonoTime next = quorum_deadline;
  if (!progress.empty()) next = std::min(next, heartbeat_deadline);
  // Later it is Drain's business, not the clock's.
  if (now < notice_deadline && AnyAwaitsNotice()) next = std::min(next, notice_deadline);
  if (transfer_target != kNoNode) next = std::min(next, transfer_deadline);
  return next;
}

// What the latest leader says counts, even if it is behind what we know from the one before: that
// one may have been deposed without knowing, and its time ran on while the group's stood still. A
// leader that took over such a time would end every lease too soon, by as much.
void Raft::State::HearTime(Term term, ClusterTime heard) {
  if (Planted(Mutant::kOldLeadersExpiry)) time_term = std::max(time_term, term);
  time = term > time_term ? heard : std::max(time, heard);
  time_term = std::max(time_term, term);
}

ClusterTime Raft::State::Time() const {
  return role == Role::kLeader ? time + (now - time_since) / kUsPerMs : time;
}

// Messages --------------------------------------------------------------------------------------

void Raft::State::Step(Message& m) {
  // Not ours: sent to the node that had our number before, or a host's mistake.
  if (m.to != options.self.node || m.from == options.self.node || m.from == kNoNode) return;

  // Votes come first: whether they may raise our term is theirs to say.
  if (const auto* vote = std::get_if<VoteRequest>(&m.body)) return OnVoteRequest(m, *vote);

  if (m.term > hard.term) BecomeFollower(m.term, kNoNode);
  const auto* vote_reply = std::get_if<VoteReply>(&m.body);
  // Who answers a pre-vote may be in an older term than ours and stay there.
  const bool answers_pre_vote = vote_reply != nullptr && vote_reply->pre;
  if (m.term < hard.term && !answers_pre_vote) return OnOlderTerm(m);

  if (Progress* sender = ProgressOf(m.from)) {
    const Index* copy = CopyIn(&m.body);
    if (copy != nullptr && *copy < sender->copy()) return;
    if (copy != nullptr && *copy > sender->copy()) {
      sender->BeginAnew(*copy, Next(log.last().index), now);
    }
    sender->OnHeard(now);
  }
  struct Dispatch {
    State* state;
    const Message& m;
    void operator()(const VoteRequest&) const {}
    void operator()(const VoteReply& body) const { state->OnVoteReply(m, body); }
    void operator()(AppendRequest& body) const { state->OnAppendRequest(m, body); }
    void operator()(const AppendReply& body) const { state->OnAppendReply(m, body); }
    void operator()(const HeartbeatRequest& body) const { state->OnHeartbeatRequest(m, body); }
    void operator()(const HeartbeatReply& body) const { state->OnHeartbeatReply(m, body); }
    void operator()(const SnapshotChunk& body) const { state->OnSnapshotChunk(m, body); }
    void operator()(const SnapshotReply& body) const { state->OnSnapshotReply(m, body); }
    void operator()(const TimeoutNow&) const { state->OnTimeoutNow(m); }
  };
  std::visit(Dispatch{this, m}, m.body);
}

// A leader of an older term must learn that it is one, or a node that came back with a higher term
// would never be led again: with CheckQuorum and stickiness it cannot win an election either.
// Everything else from the past is forgotten.
void Raft::State::OnOlderTerm(const Message& m) {
  const bool from_leader = std::holds_alternative<AppendRequest>(m.body) ||
                           std::holds_alternative<HeartbeatRequest>(m.body) ||
                           std::holds_alternative<SnapshotChunk>(m.body);
  if (!from_leader) return;
  RAFT_SAYS("refuse %s from %lu: its term %lu is behind %lu", TypeName(m.body), m.from.value,
            m.term.value, hard.term.value);
  Send(m.from, AppendReply{});
}

// Where the message names its sender's copy; null: it does not.
Index* Raft::State::CopyIn(Body* body) {
  const auto find = [](auto& message) -> Index* {
    if constexpr (requires { message.copy; }) return &message.copy;
    return nullptr;
  };
  return std::visit(find, *body);
}

void Raft::State::NameCopy(Body* body) const {
  if (Index* copy = CopyIn(body)) *copy = hard.copy;
}

void Raft::State::Send(NodeId to, Term term, Body body) {
  NameCopy(&body);
  messages.push_back({.from = options.self.node, .to = to, .term = term, .body = std::move(body)});
}

// Promises --------------------------------------------------------------------------------------

void Raft::State::Promise(NodeId to, Body body) {
  NameCopy(&body);
  Message message{.from = options.self.node, .to = to, .term = hard.term, .body = std::move(body)};
  if (!promises.empty() && promises.back().covered_by == kNotHandedOut &&
      promises.back().message.to == to) {
    // Several acknowledgements in one turn are one: the farthest.
    auto* before = std::get_if<AppendReply>(&promises.back().message.body);
    const auto* reply = std::get_if<AppendReply>(&message.body);
    if (before != nullptr && reply != nullptr) {
      before->match = std::max(before->match, reply->match);
      return;
    }
  }
  const bool has_record = hard != handed_hard || install || log.HasUnwritten();
  const uint64_t covered_by = has_record ? kNotHandedOut : last_record;
  promises.push_back({.message = std::move(message), .covered_by = covered_by});
  ReleasePromises();
}

void Raft::State::ReleasePromises() {
  while (!promises.empty() && promises.front().covered_by <= persisted) {
    Message message = std::move(promises.front().message);
    promises.pop_front();
    if (message.to != options.self.node) {
      messages.push_back(std::move(message));
      continue;
    }
    // Our vote for ourselves, a promise like any other. It may make us leader, here and now.
    CHECK(message.term == hard.term);
    OnVoteReply(message, std::get<VoteReply>(message.body));
  }
}

void Raft::State::Persisted(uint64_t write) {
  persisted = std::max(persisted, write + 1);
  log.Persisted(write);
  ReleasePromises();
  // The leader's own acknowledgement: it counts for itself only what its disk has.
  AdvanceCommit();
}

// Output ----------------------------------------------------------------------------------------

Ready Raft::State::Drain(uint64_t write) {
  CHECK_SAYS(write + 1 >= last_drain, "write %lu after %lu", write, last_drain - 1);
  last_drain = write + 1;
  if (role == Role::kLeader) {
    BeginRound();
    Replicate();
  }

  Ready ready;
  if (hard != handed_hard) ready.hard = handed_hard = hard;
  ready.install = std::exchange(install, std::nullopt);
  ready.offered = std::exchange(offered, std::nullopt);
  ready.append = log.TakeUnwritten(write);
  if (ready.hard || ready.install || !ready.append.empty()) {
    last_record = write + 1;
    CHECK_SAYS(last_record > persisted, "write %lu is on disk already", write);
  }

  // A promise covers all that was handed out before it and with it: its own record is among these.
  for (auto held = promises.rbegin(); held != promises.rend(); ++held) {
    if (held->covered_by != kNotHandedOut) break;
    held->covered_by = last_record;
  }
  ReleasePromises();
  ready.messages = std::exchange(messages, {});

  // State machines live in memory, so they may run ahead of our disk: that a quorum has the entry
  // is what makes it committed.
  ready.apply_from = Next(applied);
  ready.apply_to = applied = commit;
  ready.reads = std::exchange(confirmed, {});
  ready.reads_lost = std::exchange(reads_lost, false);
  ready.wants_snapshot = std::exchange(wants_snapshot, false);
  return ready;
}

bool Raft::State::HasReady() const {
  if (hard != handed_hard || install || log.HasUnwritten()) return true;
  if (!messages.empty() || commit > applied) return true;
  if (!confirmed.empty() || reads_lost || wants_snapshot || offered) return true;
  if (!promises.empty() && promises.back().covered_by == kNotHandedOut) return true;
  if (role != Role::kLeader) return false;
  return heartbeat_due || round_due ||
         std::any_of(progress.begin(), progress.end(),
                     [this](const auto& member) { return DueTo(member.second) != Due::kNothing; });
}

// Who we are ------------------------------------------------------------------------------------

bool Raft::State::IAmVoter() const {
  return log.config().IsVoter(options.self.node) && !AmReplaced();
}

// Also whom the latest configuration leaves out stands, while that configuration may not be
// committed: if only its log has it, nobody else can win, for want of its vote (§4.2.2).
bool Raft::State::MayStand() const {
  return log.IsVoterSince(commit, options.self.node) && !AmReplaced() && HasItsCopy();
}

bool Raft::State::HasItsCopy() const {
  return log.last().index >= hard.copy || Planted(Mutant::kVoteWithoutCopy);
}

bool Raft::State::IDecideAlone() const {
  const Config& config = log.config();
  return !config.joint() && config.voters.size() == 1 && IsMe(config.voters.front());
}

bool Raft::State::AmReplaced() const {
  const Config& config = log.config();
  return config.Contains(options.self.node) &&
         config.DiskOf(options.self.node) != options.self.disk;
}

// The public face -------------------------------------------------------------------------------

void Raft::Tick(MonoTime now) {
  state_->Advance(now);
  state_->Tick();
}
MonoTime Raft::NextTick() const {
  return state_->NextTick();
}
void Raft::Step(MonoTime now, Message message) {
  state_->Advance(now);
  state_->Step(message);
}
Raft::Proposal Raft::Propose(MonoTime now, EntryKind kind, Bytes data) {
  state_->Advance(now);
  return state_->Propose(kind, std::move(data));
}
Raft::Proposal Raft::ProposeConfig(MonoTime now, std::vector<Member> voters,
                                   std::vector<Member> learners) {
  state_->Advance(now);
  return state_->ProposeConfig(std::move(voters), std::move(learners));
}
Raft::Refusal Raft::WouldRefuse(size_t bytes, size_t ahead) const {
  return state_->WouldRefuse(bytes, ahead);
}
bool Raft::HasAppendUnderWay() const {
  return state_->log.last().index > std::max(state_->commit, state_->log.stable());
}
uint64_t Raft::Read(MonoTime now) {
  state_->Advance(now);
  return state_->Read();
}
void Raft::Persisted(MonoTime now, uint64_t write) {
  state_->Advance(now);
  state_->Persisted(write);
}
void Raft::AcceptSnapshot(Snapshot snapshot) { state_->AcceptSnapshot(std::move(snapshot)); }

void Raft::ProvideSnapshot(Snapshot snapshot) {
  state_->ProvideSnapshot(std::move(snapshot));
}
void Raft::Compact(Index to, size_t keep, size_t keep_bytes) {
  state_->Compact(to, keep, keep_bytes);
}
bool Raft::TransferLeadership(MonoTime now, NodeId target) {
  state_->Advance(now);
  return state_->TransferLeadership(target);
}
void Raft::Unreachable(NodeId node) {
  if (Progress* other = state_->ProgressOf(node)) {
    other->OnUnreachable(state_->now, state_->options.heartbeat_us);
  }
}
Ready Raft::Drain(MonoTime now, uint64_t write) {
  state_->Advance(now);
  return state_->Drain(write);
}
bool Raft::HasReady() const {
  return state_->HasReady();
}

Role Raft::role() const {
  return state_->role;
}
Term Raft::term() const {
  return state_->hard.term;
}
NodeId Raft::leader() const {
  return state_->leader;
}
bool Raft::HearsLeader(MonoTime now) const {
  if (state_->leader == kNoNode || is_leader()) return is_leader();
  return now - state_->heard_leader < 2 * state_->options.election_timeout_us;
}
MonoTime Raft::MajorityHeard(MonoTime now) const {
  const State& state = *state_;
  const bool alone = is_leader() && state.IDecideAlone() && state.CommittedInThisTerm();
  return alone ? now : state.majority_heard;
}
Term Raft::TermBefore() const { return state_->term_before; }
bool Raft::IsReceiving() const {
  return state_->incoming.has_value();
}
Index Raft::copy() const {
  return state_->hard.copy;
}
Index Raft::commit() const {
  return state_->commit;
}
Index Raft::applied() const {
  return state_->applied;
}
LogId Raft::last() const {
  return state_->log.last();
}
Index Raft::first_index() const {
  return state_->log.first_index();
}
LogId Raft::snapshot_id() const {
  return state_->snapshot_id;
}
const Entry& Raft::entry(Index index) const {
  return state_->log.At(index);
}
size_t Raft::log_bytes() const {
  return state_->log.bytes();
}
ClusterTime Raft::time(MonoTime now) const {
  // The question may be older than the last input.
  const MonoTime at = std::max(now, state_->time_since);
  if (!is_leader()) return state_->time;
  return state_->time + (at - state_->time_since) / kUsPerMs;
}
const Config& Raft::config() const {
  return state_->log.config();
}
const Config& Raft::ConfigAt(Index index) const {
  return state_->log.ConfigAt(index);
}
bool Raft::config_pending() const {
  return state_->ConfigPending();
}
NodeId Raft::transfer_target() const {
  return state_->transfer_target;
}
std::vector<MemberStatus> Raft::members() const {
  return state_->Members();
}
bool Raft::was_handed() const { return is_leader() && state_->handed; }
uint64_t Raft::elections() const {
  return state_->elections;
}
void Raft::CheckInvariants() const {
  state_->CheckInvariants();
}

}  // namespace lockstep::raft
