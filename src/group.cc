#include "src/group.h"

#include <algorithm>

#include "commands/cache_ops.h"
#include "src/base/log.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr uint64_t kHashEvery = 128;        // Entries between two comparisons of state.
constexpr size_t kHashesKept = 64;
// Of requests that share an entry; one that is larger has its own.
constexpr size_t kEntryBytesMax = size_t{64} << 10;
constexpr size_t kGatheredBytesMax = size_t{1} << 20;  // Beyond, they do not wait for a disk.
constexpr int64_t kPulseRetryUs = 10 * kUsPerMs;  // After a refusal: leadership is on the move.
constexpr size_t kReadsWaitingMax = 1'000'000;
// By ReplyCost, and what was looked at for them: long answers are given over several turns, so that
// they are sent before more of them are made.
constexpr size_t kAnswersATurnCostMax = size_t{4} << 20;
constexpr uint64_t kLookCost = 4;
// What the cache has to ask its owners for comes in a round trip.
constexpr size_t kCacheReadCost = size_t{128} << 10;  // A page of a table.
constexpr int64_t kCacheLookUs = 2 * kUsPerMs;
constexpr int64_t kCacheLooksUs = 20 * kUsPerMs;

}  // namespace

Group::Group(const Options& options, LogStore store, std::unique_ptr<raft::Raft> raft,
             std::unique_ptr<Replica> replica, ClusterTime time, Listener* listener)
    : options_(options),
      store_(std::move(store)),
      raft_(std::move(raft)),
      replica_(std::move(replica)),
      listener_(listener),
      applied_(raft_->snapshot_id().index),
      applied_id_(raft_->snapshot_id()),
      applied_time_(time),
      snapshot_index_(applied_) {
  if (options_.is_saving == nullptr) options_.is_saving = &is_saving_alone_;
}

Group::~Group() {
  if (saving_) *options_.is_saving = false;
}

// What was gathered in an earlier term is as if it had been in that term's log and been replaced:
// its gateways ask whoever leads now.
void Group::ForgetGatheredBefore(Term term) {
  if (gathered_term_ == term) return;
  gathered_term_ = term;
  gathered_.clear();
  gathered_bytes_ = 0;
}

Group::Taken Group::Admit(size_t bytes) {
  ForgetGatheredBefore(raft_->term());
  switch (raft_->WouldRefuse(bytes, gathered_bytes_)) {
    case raft::Raft::Refusal::kNone:
      return Taken::kYes;
    case raft::Raft::Refusal::kFull:
      return Taken::kFull;
    default:
      return Taken::kNotLeader;
  }
}

Group::Taken Group::Write(const RequestId& request, BytesView op, const Answered& answered) {
  touched_ = true;
  const Taken taken = Admit(op.size());
  if (taken != Taken::kYes) return taken;
  auto* entry = gathered_.empty() ? nullptr : std::get_if<RequestsEntry>(&gathered_.back());
  const bool joins = entry != nullptr && entry->origin() == request.origin &&
                     entry->incarnation() == request.incarnation &&
                     entry->bytes() + op.size() <= kEntryBytesMax;
  if (!joins) {
    gathered_.emplace_back(RequestsEntry(request.origin, request.incarnation));
    entry = &std::get<RequestsEntry>(gathered_.back());
  }
  const size_t bytes = joins ? entry->bytes() : 0;
  entry->Add(request.seq, op);
  entry->Tell(answered);
  gathered_bytes_ += entry->bytes() - bytes;
  return Taken::kYes;
}

Group::Taken Group::WriteAlone(Bytes logged) {
  touched_ = true;
  const Taken taken = Admit(logged.size());
  if (taken != Taken::kYes) return taken;
  gathered_bytes_ += logged.size();
  gathered_.emplace_back(std::move(logged));
  return taken;
}

Group::Taken Group::Read(const RequestId& request, BytesView query) {
  if (!raft_->is_leader()) return Taken::kNotLeader;
  if (reads_.size() + gathered_.size() >= kReadsWaitingMax) return Taken::kFull;
  touched_ = true;
  ForgetGatheredBefore(raft_->term());
  gathered_.emplace_back(WaitingRead{0, request, Bytes(query), std::nullopt});
  return Taken::kYes;
}

// In order, so that a read sees the writes before it.
void Group::ProposeGathered(MonoTime now) {
  if (gathered_.empty()) return;
  ForgetGatheredBefore(raft_->is_leader() ? raft_->term() : Term{});
  const bool wait = raft_->HasAppendUnderWay() && gathered_bytes_ < kGatheredBytesMax;
  while (!gathered_.empty()) {
    auto* read = std::get_if<WaitingRead>(&gathered_.front());
    if (read != nullptr) {
      read->position = raft_->Read(now);
      reads_.push_back(std::move(*read));
    } else if (wait || !ProposeFirst(now)) {
      return;
    }
    gathered_.pop_front();
  }
}

// False: refused for now (leadership is on the move, or there is no room); a later turn tries
// again.
bool Group::ProposeFirst(MonoTime now) {
  if (auto* requests = std::get_if<RequestsEntry>(&gathered_.front())) {
    gathered_bytes_ -= requests->bytes();
    gathered_.front() = requests->Finish();  // Which makes it a bit longer.
    gathered_bytes_ += std::get<Bytes>(gathered_.front()).size();
  }
  Bytes& data = std::get<Bytes>(gathered_.front());
  const size_t bytes = data.size();
  if (raft_->WouldRefuse(bytes, 0) != raft::Raft::Refusal::kNone) return false;
  const auto proposal = raft_->Propose(now, raft::EntryKind::kOp, std::move(data));
  CHECK(proposal.refusal == raft::Raft::Refusal::kNone);  // What was taken is not lost.
  gathered_bytes_ -= bytes;
  return true;
}

void Group::Tick(MonoTime now) {
  MutableRaft().Tick(now);
  ProposePulseIfDue(now);
}

// A deadline has passed and no entry has carried the time past it: the leader says what time it is.
void Group::ProposePulseIfDue(MonoTime now) {
  if (!raft_->is_leader() || PulseIsUnderWay() || now < next_pulse_) return;
  if (!IsOver(replica_->NextDeadline(), raft_->time(now))) return;
  const raft::Raft::Proposal proposal = raft_->Propose(now, raft::EntryKind::kPulse, {});
  if (proposal.refusal == raft::Raft::Refusal::kNone) {
    pulse_ = {raft_->term(), proposal.index};
  } else {
    next_pulse_ = now + kPulseRetryUs;
  }
}

// In the term in which it was proposed it stays in the log; a later leader may have replaced it.
bool Group::PulseIsUnderWay() const {
  return pulse_.term == raft_->term() && pulse_.index > applied_;
}

MonoTime Group::NextWakeup(MonoTime now) const {
  MonoTime next = raft_->NextTick();
  const ClusterTime deadline = replica_->NextDeadline();
  if (ReadIsDue()) return std::max(now, next_read_);
  if (IsFetching() && arriving_->write == 0) next = std::min(next, arriving_->ask_at);
  if (!gathered_.empty()) next = std::min(next, now + kPulseRetryUs);  // It may be taken by then.
  if (raft_->is_leader() && !PulseIsUnderWay() && deadline != kNeverCluster) {
    const int64_t wait_ms = std::max<int64_t>(0, deadline + 1 - raft_->time(now));  // Past it.
    next = std::min(next, std::max(next_pulse_, now + wait_ms * kUsPerMs));
  }
  return next;
}

void Group::Drain(MonoTime now, uint64_t write, WriteBatch* batch) {
  const size_t records = batch->ops().size();
  ProposeGathered(now);
  RunRaft(now, write, batch);
  FetchWhatIsLacking(now, write, batch);
  AcceptIfWhole(now, write, batch);
  AnswerReads(now);
  ProposePulseIfDue(now);
  BeginSnapshotIfDue(batch);
  CompareKnownHashes();
  if (batch->ops().size() > records) awaited_write_ = write;
  touched_ = raft_->HasReady();  // A pulse of just now.
  ++turns_;
  wakeup_ = NextWakeup(now);
}

// Applying may lead to more (a single voter commits at once): until nothing is left.
void Group::RunRaft(MonoTime now, uint64_t write, WriteBatch* batch) {
  while (raft_->HasReady()) {
    raft::Ready ready = raft_->Drain(now, write);
    if (ready.hard) store_.PutHardState(*ready.hard, batch);
    if (ready.install) Install(*ready.install, batch);
    if (ready.offered) Prepare(now, std::move(*ready.offered), batch);
    store_.Append(ready.append, batch);
    if (ready.reads_lost) reads_.clear();  // Their gateways ask the next leader.
    for (raft::Message& message : ready.messages) listener_->OnMessage(*this, std::move(message));
    for (const raft::Ready::Confirmed& confirmed : ready.reads) ConfirmReads(confirmed);
    if (Planted(Mutant::kExpiryByLocalClock)) {
      replica_->Pulse(applied_, raft_->time(now), &effects_);
    }
    Apply(ready.apply_from, ready.apply_to);
    DropUnneeded(batch);
    wants_snapshot_ |= ready.wants_snapshot;
  }
}

void Group::Apply(Index from, Index to) {
  for (Index index = from; index <= to; index = Next(index)) {
    CHECK(index == Next(applied_));
    const raft::Entry& entry = raft_->entry(index);
    effects_.Clear();
    if (entry.kind == raft::EntryKind::kOp) {
      if (!replica_->Apply(index, entry.time, entry.data, &effects_)) {
        LOCKSTEP_LOG(kError, "%s: entry %lu does not decode; every node passes over it",
                     options_.name.c_str(), index.value);
      }
    } else {
      replica_->Pulse(index, entry.time, &effects_);
    }
    applied_ = index;
    applied_id_ = entry.id;
    applied_bytes_ += entry.data.size();
    applied_time_ = entry.time;
    for (Effects::Answer& answer : effects_.answers) {
      listener_->OnAnswer(*this, answer.request, std::move(answer.reply));
    }
    for (const Effects::Event& event : effects_.events) {
      listener_->OnEvent(event.channel, event.payload);
    }
    if (!effects_.keys.empty()) listener_->OnKeys(*this, std::move(effects_.keys));
    if (index.value % kHashEvery == 0) RememberHash(index);
  }
}

void Group::ConfirmReads(const raft::Ready::Confirmed& confirmed) {
  for (WaitingRead& read : reads_) {  // In order of position.
    if (read.position > confirmed.position) break;
    if (!read.index) read.index = confirmed.index;
  }
}

bool Group::ReadIsDue() const {
  return !reads_.empty() && reads_.front().index && *reads_.front().index <= applied_;
}

void Group::AnswerReads(MonoTime now) {
  if (now < next_read_) return;
  for (size_t cost = 0; ReadIsDue() && cost < kAnswersATurnCostMax;) {
    // Remaining times are shown by the leader's running clock, held at the next deadline.
    const ClusterTime shown =
        std::max(applied_time_, std::min(raft_->time(now), replica_->NextDeadline()));
    WaitingRead& read = reads_.front();
    // Of a session that is over, the writes before it are passed over and asked anew: so is it.
    const uint64_t open = replica_->SessionOf(read.request.origin).incarnation;
    if (read.request.incarnation == open && IsCacheQuery(read.query)) {
      Reply reply = AskCache(now, &read);
      if (now < next_read_) return;
      cost += ReplyCost(reply) + kCacheReadCost;
      listener_->OnAnswer(*this, read.request, std::move(reply));
    } else if (read.request.incarnation == open) {
      const uint64_t work = replica_->machine().query_work();
      Reply reply = replica_->Query(shown, read.query);
      cost += ReplyCost(reply) + (replica_->machine().query_work() - work) * kLookCost;
      listener_->OnAnswer(*this, read.request, std::move(reply));
    }
    reads_.pop_front();
  }
}

// If it is to be kept, next_read_ is later than now.
Reply Group::AskCache(MonoTime now, WaitingRead* read) {
  if (options_.ask_cache == nullptr) return Reply::Error("ERR", "this group has no keys");
  if (!read->asked) read->asked = now;
  Reply reply = options_.ask_cache(now, *read->asked, read->query);
  if (SaysAgain(reply) && now - *read->asked < kCacheLooksUs) next_read_ = now + kCacheLookUs;
  return reply;
}

void Group::RememberHash(Index index) {
  const uint64_t hash = replica_->Hash();
  own_hashes_.push_back({index, hash});
  if (own_hashes_.size() > kHashesKept) own_hashes_.pop_front();
  if (raft_->is_leader()) listener_->OnStateHash(*this, index, hash);
}

void Group::CompareStateHash(Index index, uint64_t hash) {
  leader_hashes_.push_back({index, hash});
  if (leader_hashes_.size() > kHashesKept) leader_hashes_.pop_front();
  CompareKnownHashes();
}

void Group::CompareKnownHashes() {
  std::erase_if(leader_hashes_, [this](const HashAt& told) {
    if (told.index > applied_) return false;
    for (const HashAt& own : own_hashes_) {
      CHECK_SAYS(own.index != told.index || own.hash == told.hash,
                 "group %s differs from its leader at entry %lu: %lx here, %lx there; take this "
                 "node out, keep its folder for analysis",
                 options_.name.c_str(), own.index.value, own.hash, told.hash);
    }
    return true;
  });
}

void Group::CheckInvariants() const {
  raft_->CheckInvariants();
  replica_->CheckInvariants();
  CHECK(applied_ <= raft_->commit());
  for (size_t i = 1; i < reads_.size(); ++i) CHECK(reads_[i - 1].position <= reads_[i].position);
}

}  // namespace lockstep
