// Entries out, acknowledgements in, commit.
#include <algorithm>

#include "cluster/raft/quorum.h"
#include "cluster/raft/state.h"
#include "src/base/planted.h"

namespace lockstep::raft {

// The leader's log ------------------------------------------------------------------------------

Raft::Proposal Raft::State::Propose(EntryKind kind, Bytes data) {
  CHECK(kind == EntryKind::kOp || kind == EntryKind::kPulse);  // The others are ours to make.
  const Refusal refusal = WouldRefuse(data.size(), 0);
  if (refusal != Refusal::kNone) return {.refusal = refusal, .index = {}};
  return {.refusal = Refusal::kNone, .index = AppendOwn(kind, std::move(data))};
}

Raft::Refusal Raft::State::WouldRefuse(size_t bytes, size_t ahead) const {
  if (role != Role::kLeader) return Refusal::kNotLeader;
  if (transfer_target != kNoNode) return Refusal::kTransferring;

  // A leader without a quorum must not grow until its memory ends (trap 17). One entry is let in
  // whatever its size, or it could never be.
  // Nor must one whose own disk stands still, while the others go on committing.
  const size_t held = std::max(uncommitted_bytes, log.unstable_bytes()) + ahead;
  const bool fits = held + bytes + kEntryOverheadBytes <= options.uncommitted_bytes_max;
  return !fits && held > 0 ? Refusal::kFull : Refusal::kNone;
}

// Goes out with the next Drain, to the followers and to our disk at the same time (§10.2.1).
Index Raft::State::AppendOwn(EntryKind kind, Bytes data) {
  CHECK(role == Role::kLeader);
  Entry entry{.id = {.term = hard.term, .index = Next(log.last().index)},
              .time = std::max(Time(), log.last_time()),
              .kind = kind,
              .data = std::move(data)};
  RAFT_SAYS("append %s", Text(entry).c_str());
  const Index index = entry.id.index;
  uncommitted_bytes += EntryBytes(entry);
  log.Append(std::move(entry));
  if (kind == EntryKind::kConfig) OnConfigChanged();
  return index;
}

// Out -------------------------------------------------------------------------------------------

// The one place that says whether something can go to a member now: HasReady asks, Drain acts.
Raft::State::Due Raft::State::DueTo(const Progress& other) const {
  if (other.mode() == Progress::Mode::kSnapshot) {
    const SnapshotTransfer& transfer = other.transfer();
    if (transfer.source == nullptr) return Due::kNothing;
    const uint64_t total = transfer.source->snapshot.data.size();
    const bool window_is_open = transfer.next - transfer.acked < kSnapshotWindowBytes;
    const bool has_more = transfer.next < total && window_is_open;
    return has_more || transfer.ask ? Due::kChunk : Due::kNothing;
  }
  if (other.next() <= log.base().index) {
    // A snapshot for somebody who is not there would be made in vain.
    return other.IsActive(now, options.election_timeout_us) ? Due::kSnapshot : Due::kNothing;
  }
  if (other.mode() == Progress::Mode::kProbe) {
    return other.awaits_answer() ? Due::kNothing : Due::kRequest;
  }
  const bool has_entries = other.next() <= log.last().index &&
                           other.WindowIsOpen(options.window_entries_max, options.window_bytes_max);
  const bool has_commit = AwaitsNotice(other) && now >= notice_deadline;
  return has_entries || has_commit || other.asks() ? Due::kRequest : Due::kNothing;
}

// There is a commit that it has the entries of and was not told of.
bool Raft::State::AwaitsNotice(const Progress& other) const {
  return other.mode() == Progress::Mode::kReplicate &&
         std::min(commit, Previous(other.next())) > other.told_commit();
}

bool Raft::State::AnyAwaitsNotice() const {
  return std::any_of(progress.begin(), progress.end(),
                     [this](const auto& member) { return AwaitsNotice(member.second); });
}

// All that came in one turn leaves in one request to each, as far as limits allow; what is more
// follows in further ones until the window is full.
void Raft::State::Replicate() {
  for (auto& [node, other] : progress) {
    for (Due due = DueTo(other); due != Due::kNothing; due = DueTo(other)) {
      if (due == Due::kRequest) SendAppend(node, &other);
      if (due == Due::kSnapshot) BeginSnapshot(node, &other);
      if (due == Due::kChunk) SendChunk(node, &other);
    }
  }
}

void Raft::State::SendAppend(NodeId to, Progress* other) {
  AppendRequest request;
  request.previous = log.IdAt(Previous(other->next()));
  request.commit = commit;
  request.time = Time();

  const bool window_is_open =
      other->WindowIsOpen(options.window_entries_max, options.window_bytes_max);
  if (window_is_open && !other->ask_only()) {
    const size_t count = options.window_entries_max - other->EntriesInFlight();
    request.entries = log.Copy(other->next(), count, options.append_bytes_max);
  }
  size_t bytes = 0;
  for (const Entry& entry : request.entries) bytes += EntryBytes(entry);

  const Index end{request.previous.index.value + request.entries.size()};
  other->OnSent(request.entries.size(), bytes, now);
  other->OnToldCommit(std::min(commit, end));
  Send(to, std::move(request));
}

// In, at a follower -----------------------------------------------------------------------------

void Raft::State::OnAppendRequest(const Message& m, AppendRequest& request) {
  FollowLeader(m);
  HearTime(m.term, request.time);

  // What we know to be committed every leader has; only what lies behind it can be news.
  const Index end{request.previous.index.value + request.entries.size()};
  if (request.previous.index < commit) {
    const auto known =
        std::min<uint64_t>(commit.value - request.previous.index.value, request.entries.size());
    request.entries.erase(request.entries.begin(),
                          request.entries.begin() + static_cast<std::ptrdiff_t>(known));
    request.previous = log.IdAt(commit);
  }

  if (!log.Matches(request.previous)) {
    const LogId hint = log.LastAgreement(request.previous);
    RAFT_SAYS("refuse append after %s from %lu: our log can agree up to %s",
              Text(request.previous).c_str(), m.from.value, Text(hint).c_str());
    return Send(
        m.from,
        AppendReply{
            .success = false, .match = {}, .hint = hint, .rejected = request.previous.index});
  }
  StoreEntries(m.from, std::move(request.entries));

  const Index match = std::max(end, commit);
  CommitTo(std::min(request.commit, match));
  const AppendReply reply{.success = true, .match = match, .hint = {}, .rejected = {}};
  if (Planted(Mutant::kAckBeforeSync)) return Send(m.from, reply);
  // Says "on disk", so it waits until that is true.
  Promise(m.from, reply);
}

// `entries` follow an entry that we have. Those that we have too are passed over, not written
// again: a request that was overtaken must not cut off what later ones brought (§5.3, figure 2).
void Raft::State::StoreEntries(NodeId from, std::vector<Entry> entries) {
  size_t known = 0;
  while (known < entries.size() && log.Matches(entries[known].id)) ++known;
  if (Planted(Mutant::kOvertakenAppendCuts) && known > 0 && known == entries.size() &&
      entries.back().id.index < log.last().index) {
    log.TruncateFrom(Next(entries.back().id.index));
  }
  if (known == entries.size()) return;

  const LogId first = entries[known].id;
  if (first.index <= log.last().index) {
    RAFT_SAYS("drop %s..%s: leader %lu has %s there", Text(log.IdAt(first.index)).c_str(),
              Text(log.last()).c_str(), from.value, Text(first).c_str());
    CHECK_SAYS(first.index > commit, "committed entry %lu would be replaced", first.index.value);
    log.TruncateFrom(first.index);
  }
  if (entries.size() - known == 1) {
    RAFT_SAYS("append %s; ack to %lu", Text(entries[known]).c_str(), from.value);
  } else {
    RAFT_SAYS("append %s..%s; ack to %lu", Text(first).c_str(), Text(entries.back().id).c_str(),
              from.value);
  }
  for (; known < entries.size(); ++known) {
    time = std::max(time, entries[known].time);
    log.Append(std::move(entries[known]));
  }
}

// In, at the leader -----------------------------------------------------------------------------

void Raft::State::OnAppendReply(const Message& m, const AppendReply& reply) {
  Progress* other = ProgressOf(m.from);
  if (other == nullptr) return;
  if (reply.success) return OnMatch(m.from, other, reply.match);

  // Where both logs can agree: not behind its hint, and not where our terms are above the hint's.
  Index guess = reply.hint.index;
  if (guess >= log.base().index) {
    const LogId agreed = log.LastAgreement(reply.hint);
    guess = agreed.term <= reply.hint.term ? agreed.index : Previous(agreed.index);
  }
  if (other->OnRejected(reply.rejected, guess, now)) {
    RAFT_SAYS("probe %lu at %lu: it can agree up to %s", m.from.value, other->next().value - 1,
              Text(reply.hint).c_str());
  }
}

// May end our leadership, and `other` with it.
void Raft::State::OnMatch(NodeId from, Progress* other, Index match) {
  if (match > log.last().index) return;  // No honest member has more than we sent.
  const bool is_news = other->OnMatch(match, now);
  if (other->mode() == Progress::Mode::kSnapshot) {
    const auto& source = other->transfer().source;
    if (other->match() >= log.base().index) {
      other->BecomeReplicate(now);  // The log goes on from what it has.
    } else if (source != nullptr && other->match() >= source->snapshot.last.index) {
      other->BecomeProbe(Next(other->match()), now);  // Compacted meanwhile: one more snapshot.
    }
  }
  if (!is_news) return;
  if (from == transfer_target) ContinueTransfer();
  AdvanceCommit();
}

// Commit ----------------------------------------------------------------------------------------

Index Raft::State::MatchOf(const Member& member) const {
  if (IsMe(member) && Planted(Mutant::kLeaderCountsUnsynced)) return log.last().index;
  if (IsMe(member)) return log.stable();  // Not last(): what our own disk has (etcd #14370).
  const auto other = progress.find(member.node);
  return other == progress.end() ? Index{0} : other->second.match();
}

void Raft::State::AdvanceCommit() {
  if (role != Role::kLeader) return;
  const Index reached = ReachedByQuorum<Index>(
      log.config(), [this](const Member& member) { return MatchOf(member); });
  // A quorum's copies commit an entry of this term only; older ones could still be replaced
  // (§5.4.2, figure 8).
  if (reached <= commit) return;
  if (log.IdAt(reached).term != hard.term && !Planted(Mutant::kOldTermCounted)) return;

  RAFT_SAYS("commit %lu", reached.value);
  CommitTo(reached);
  ConfirmReads();
  ContinueConfigChange();
}

void Raft::State::CommitTo(Index index) {
  if (index <= commit) return;
  CHECK_SAYS(index <= log.last().index, "commit %lu of a log that ends at %lu", index.value,
             log.last().index.value);
  if (role == Role::kLeader) {
    if (!AnyAwaitsNotice()) notice_deadline = now + options.commit_notice_us;
    for (Index i = Next(commit); i <= index; i = Next(i)) {
      uncommitted_bytes -= EntryBytes(log.At(i));
    }
  }
  commit = index;
  if (incoming && incoming->snapshot.last.index <= commit) incoming.reset();
}

bool Raft::State::CommittedInThisTerm() const {
  return log.IdAt(commit).term == hard.term;
}

Progress* Raft::State::ProgressOf(NodeId node) {
  const auto other = progress.find(node);
  return other == progress.end() ? nullptr : &other->second;
}

}  // namespace lockstep::raft
