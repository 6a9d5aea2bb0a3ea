// One Raft node as its host sees it, in memory: a disk that finishes writes when it is told to and
// forgets the others in a crash, a state machine that hashes what it applies, and a check on every
// message that leaves: what it promises must be on the disk.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/raft/raft.h"
#include "tests/raft_ledger.h"

namespace lockstep::raft::testing {

inline MonoTime Ms(int64_t ms) {
  return MonoTime{ms * kUsPerMs};
}

// What one sync puts on the disk, all or nothing.
struct DiskWrite {
  uint64_t number = 0;
  std::optional<HardState> hard;
  std::optional<Snapshot> install;  // From the leader: replaces the log.
  std::vector<Entry> append;
  std::optional<Snapshot> compact;  // Our own: replaces the log's beginning.
  size_t keep = 0;

  // Whether `entry`, if the disk holds it, is still there after this.
  bool Keeps(LogId entry) const {
    if (install.has_value() && entry.index > install->last.index) return false;
    if (append.empty() || append.front().id.index > entry.index) return true;
    const uint64_t at = entry.index.value - append.front().id.index.value;
    return at < append.size() && append[at].id == entry;
  }
};

struct DiskImage {
  DiskId id;
  HardState hard;
  Snapshot snapshot;
  std::vector<Entry> entries;

  LogId last() const { return entries.empty() ? snapshot.last : entries.back().id; }

  bool Holds(LogId entry) const {
    if (entry.index <= snapshot.last.index) return true;  // Committed, so it can only be this one.
    const uint64_t at = entry.index.value - snapshot.last.index.value - 1;
    return at < entries.size() && entries[at].id == entry;
  }

  void Commit(const DiskWrite& write) {
    if (write.hard.has_value()) {
      MUST(write.hard->term >= hard.term, "the term on disk falls from %lu to %lu", N(hard.term),
           N(write.hard->term));
      hard = *write.hard;
    }
    if (write.install.has_value()) {
      MUST(write.install->last.index >= snapshot.last.index, "snapshot %s replaces newer %s",
           Text(write.install->last).c_str(), Text(snapshot.last).c_str());
      snapshot = *write.install;
      entries.clear();
    }
    Append(write.append);
    if (write.compact.has_value()) Compact(*write.compact);
  }

 private:
  void Append(const std::vector<Entry>& append) {
    for (const Entry& entry : append) {
      if (entry.id.index <= snapshot.last.index) continue;  // Compacted while it was under way.
      const uint64_t at = entry.id.index.value - snapshot.last.index.value - 1;
      MUST(at <= entries.size(), "%s would leave a gap on disk after %s", Text(entry.id).c_str(),
           Text(last()).c_str());
      entries.resize(at);
      entries.push_back(entry);
    }
  }
  void Compact(const Snapshot& to) {
    if (to.last.index <= snapshot.last.index) return;
    const auto keep_from = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
      return entry.id.index > to.last.index;
    });
    entries.erase(entries.begin(), keep_from);
    snapshot = to;
  }
};

// A state machine whose state is the hash of all that it applied.
struct Machine {
  LogId last;
  ClusterTime time;
  uint64_t hash = 0;
  Config config;  // The latest that is committed.

  void Load(const Snapshot& snapshot) {
    *this = {snapshot.last, snapshot.time, 0, snapshot.config};
    if (!snapshot.data.empty()) hash = Reader(snapshot.data).U64();
  }
  // `padding` makes snapshots large enough for several chunks.
  Snapshot Save(size_t padding) const {
    Snapshot snapshot{last, time, config, {}};
    Writer(&snapshot.data).U64(hash);
    snapshot.data.append(padding, 'p');
    return snapshot;
  }
};

class Host {
 public:
  struct Setup {
    Options options;
    DiskImage disk;  // A new group's has a snapshot at 0 that names the first members.
    Ledger* ledger = nullptr;
    Narrator* narrator = nullptr;
  };

  Host(Setup setup, MonoTime now) : setup_(std::move(setup)) {
    disk_ = setup_.disk;
    disk_.id = setup_.options.self.disk;
    Start(now);
  }

  Raft& raft() { return *raft_; }
  const Raft& raft() const { return *raft_; }
  bool up() const { return raft_ != nullptr; }
  NodeId id() const { return setup_.options.self.node; }
  Member self() const { return {id(), disk_.id}; }
  const DiskImage& disk() const { return disk_; }
  const Machine& machine() const { return machine_; }
  size_t writes_pending() const { return writes_.size(); }
  size_t reads_waiting() const { return reads_.size(); }
  std::vector<Message> TakeOutbox() { return std::exchange(outbox_, {}); }

  size_t snapshot_padding = 0;
  bool provides_snapshots = true;

  // What this disk ever held although a later one does not: entries that it acknowledged in time.
  bool EverHeld(LogId entry) const {
    return disk_.Holds(entry) ||
           std::any_of(emptied_.begin(), emptied_.end(),
                       [&](const DiskImage& image) { return image.Holds(entry); });
  }

  void Drain(MonoTime now) {
    LookOver();
    for (int turns = 0; raft_->HasReady(); ++turns) {
      MUST(turns < 100, "node %lu has something ready for ever", N(id()));
      Take(raft_->Drain(now, next_write_));
      if (wants_snapshot_ && provides_snapshots) ProvideSnapshot();
    }
    MUST(raft_->applied() == machine_.last.index, "node %lu says it has handed out %lu of %lu",
         N(id()), N(raft_->applied()), N(machine_.last.index));
    LookOver();
  }

  // What holds from one look to the next.
  void LookOver() {
    raft_->CheckInvariants();
    MUST(raft_->term() >= term_seen_, "the term of node %lu falls", N(id()));
    MUST(raft_->commit() >= commit_seen_, "the commit index of node %lu falls", N(id()));
    term_seen_ = raft_->term();
    commit_seen_ = raft_->commit();
    // Leader Append-Only: in its term a leader's log only grows.
    if (raft_->is_leader()) {
      setup_.ledger->OnLeader(id(), *raft_);
      MUST(!led_.has_value() || led_->first != raft_->term() || led_->second <= raft_->last(),
           "leader %lu of term %lu shortens its log", N(id()), N(raft_->term()));
      led_ = {raft_->term(), raft_->last()};
    }
  }

  void ProvideSnapshot() {
    wants_snapshot_ = false;
    raft_->ProvideSnapshot(machine_.Save(snapshot_padding));
  }
  bool wants_snapshot() const { return wants_snapshot_; }

  // The oldest write is on disk now, and Raft hears of it.
  void FinishWrite(MonoTime now) {
    MUST(!writes_.empty(), "the disk of node %lu has nothing to write", N(id()));
    const DiskWrite write = std::move(writes_.front());
    writes_.pop_front();
    disk_.Commit(write);
    raft_->Persisted(now, write.number);
    if (write.compact.has_value()) raft_->Compact(write.compact->last.index, write.keep);
  }
  void FinishWrites(MonoTime now) {
    while (!writes_.empty()) FinishWrite(now);
  }

  // Writes a snapshot of what is applied; once it is on disk, the log up to there may go.
  void Compact(size_t keep) {
    if (machine_.last.index.value == 0) return;
    DiskWrite write;
    write.number = next_write_++;
    write.compact = machine_.Save(snapshot_padding);
    write.keep = keep;
    writes_.push_back(std::move(write));
  }

  // Power fails. Of the writes under way the first `landed` are on disk, though nobody heard of it.
  void Crash(size_t landed = 0) {
    for (size_t i = 0; i < landed && i < writes_.size(); ++i) disk_.Commit(writes_[i]);
    writes_.clear();
    outbox_.clear();
    reads_.clear();
    confirmed_.clear();
    raft_.reset();
  }
  void Restart(MonoTime now) {
    ++setup_.options.seed;  // A process that starts anew draws anew.
    Start(now);
  }
  // The node comes back with its name and without its memory. It knows no membership either.
  void RestartEmptied(MonoTime now, DiskId disk) {
    emptied_.push_back(std::exchange(disk_, DiskImage{}));
    disk_.id = disk;
    setup_.options.self.disk = disk;
    Restart(now);
  }

  // Asks for a linearizable read, which must see `committed`. The position, 0 if it was refused.
  uint64_t Read(MonoTime now, Index committed) {
    const uint64_t position = raft_->Read(now);
    if (position == 0) return 0;
    MUST(reads_.empty() || reads_.back().first <= position, "read positions of node %lu fall",
         N(id()));
    reads_.emplace_back(position, committed);
    return position;
  }
  // The index at which the read at `position` may be answered.
  std::optional<Index> Confirmed(uint64_t position) const {
    const auto it = confirmed_.find(position);
    return it == confirmed_.end() ? std::nullopt : std::optional<Index>(it->second);
  }

 private:
  void Start(MonoTime now) {
    Recovered recovered{disk_.hard, disk_.snapshot, disk_.entries};
    recovered.snapshot.data.clear();  // The host keeps it.
    machine_.Load(disk_.snapshot);
    commit_seen_ = machine_.last.index;
    wants_snapshot_ = false;
    raft_ = std::make_unique<Raft>(setup_.options, std::move(recovered), now, setup_.narrator);
    term_seen_ = raft_->term();
    led_.reset();
    MUST(raft_->term() == disk_.hard.term, "node %lu comes back with term %lu, its disk says %lu",
         N(id()), N(raft_->term()), N(disk_.hard.term));
    MUST(raft_->last() == disk_.last(), "node %lu comes back with log %s, its disk says %s",
         N(id()), Text(raft_->last()).c_str(), Text(disk_.last()).c_str());
  }

  void Take(Ready ready) {
    if (ready.hard.has_value() || ready.install.has_value() || !ready.append.empty()) {
      DiskWrite write;
      write.number = next_write_++;
      write.hard = ready.hard;
      write.install = ready.install;
      write.append = std::move(ready.append);
      LogWritten(write);
      writes_.push_back(std::move(write));
    }
    if (ready.install.has_value()) Install(*ready.install);
    if (ready.apply_to >= ready.apply_from) Apply(ready.apply_from, ready.apply_to);
    for (Message& message : ready.messages) {
      CheckPromise(message);
      outbox_.push_back(std::move(message));
    }
    for (const Ready::Confirmed& read : ready.reads) Confirm(read);
    if (ready.reads_lost) reads_.clear();
    wants_snapshot_ = wants_snapshot_ || ready.wants_snapshot;
  }

  void LogWritten(const DiskWrite& write) {
    for (size_t i = 0; i < write.append.size(); ++i) {
      const Entry& entry = write.append[i];
      std::optional<LogId> previous;
      if (i > 0) {
        previous = write.append[i - 1].id;
        MUST(Next(previous->index) == entry.id.index, "node %lu writes %s after %s", N(id()),
             Text(entry.id).c_str(), Text(*previous).c_str());
      } else {
        previous = IdAt(Previous(entry.id.index));
      }
      if (previous.has_value()) setup_.ledger->OnLogged(id(), *previous, entry);
    }
  }
  std::optional<LogId> IdAt(Index index) const {
    if (index == raft_->snapshot_id().index) return raft_->snapshot_id();
    if (index < raft_->first_index() || index > raft_->last().index) return std::nullopt;
    return raft_->entry(index).id;
  }

  void Install(const Snapshot& snapshot) {
    MUST(snapshot.last.index > machine_.last.index, "node %lu installs %s having applied %s",
         N(id()), Text(snapshot.last).c_str(), Text(machine_.last).c_str());
    machine_.Load(snapshot);
    MUST(machine_.hash == setup_.ledger->HashAt(snapshot.last.index),
         "snapshot %s installed by node %lu holds another state", Text(snapshot.last).c_str(),
         N(id()));
    commit_seen_ = std::max(commit_seen_, snapshot.last.index);
  }

  void Apply(Index from, Index to) {
    MUST(from == Next(machine_.last.index), "node %lu applies from %lu after %lu", N(id()), N(from),
         N(machine_.last.index));
    for (Index at = from; at <= to; at = Next(at)) {
      const Entry& entry = raft_->entry(at);
      setup_.ledger->OnCommitted(id(), raft_->term(), entry);
      machine_.last = entry.id;
      machine_.time = entry.time;
      machine_.hash = Ledger::HashOf(entry, machine_.hash);
      if (entry.kind == EntryKind::kConfig) {
        MUST(DecodeConfig(entry.data, &machine_.config), "the config at %s cannot be read",
             Text(entry.id).c_str());
      }
    }
    MUST(machine_.hash == setup_.ledger->HashAt(to), "node %lu differs from the others at %lu",
         N(id()), N(to));
  }

  void Confirm(const Ready::Confirmed& read) {
    // It may be above the commit index: a read sees the writes that its client sent before it.
    MUST(read.index <= raft_->last().index || !raft_->is_leader(),
         "leader %lu confirms a read at %lu, its log ends at %lu", N(id()), N(read.index),
         N(raft_->last().index));
    while (!reads_.empty() && reads_.front().first <= read.position) {
      MUST(read.index >= reads_.front().second,
           "stale read: node %lu reads at %lu, %lu was committed before the read came", N(id()),
           N(read.index), N(reads_.front().second));
      confirmed_[reads_.front().first] = read.index;
      reads_.pop_front();
    }
  }

  // Always true (3): a message that promises something durable leaves only after the disk has it.
  void CheckPromise(const Message& message) {
    MUST(message.from == id(), "node %lu speaks as %lu", N(id()), N(message.from));
    MUST(message.to != id(), "node %lu sends to itself", N(id()));
    if (const auto* vote = std::get_if<VoteReply>(&message.body)) {
      if (vote->pre || !vote->granted) return;
      MUST(VotesOnDisk(message.term, message.to),
           "node %lu votes for %lu in term %lu, on disk it has not", N(id()), N(message.to),
           N(message.term));
      setup_.ledger->OnVote(self(), message.term, message.to);
    } else if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
      if (!request->pre) CheckCandidacy(message.term, *request);
    } else if (const auto* append = std::get_if<AppendReply>(&message.body)) {
      if (append->success) CheckAcknowledged(message.term, append->match, "acknowledges");
    } else if (const auto* chunk = std::get_if<SnapshotReply>(&message.body)) {
      if (chunk->installed) CheckAcknowledged(message.term, chunk->match, "has installed");
    }
  }
  bool VotesOnDisk(Term term, NodeId candidate) const {
    return disk_.hard.term > term || (disk_.hard.term == term && disk_.hard.vote == candidate);
  }
  // The request tells others of the candidate's own vote, and of a log on which theirs will rest.
  // If either can be forgotten, a late grant elects whom it was not given to.
  void CheckCandidacy(Term term, const VoteRequest& request) {
    MUST(VotesOnDisk(term, id()),
         "node %lu stands in term %lu before its own vote is on disk", N(id()), N(term));
    MUST(disk_.hard.term > term || disk_.last() >= request.last,
         "node %lu stands with log %s, on disk it has %s", N(id()), Text(request.last).c_str(),
         Text(disk_.last()).c_str());
    setup_.ledger->OnVote(self(), term, id());
  }
  void CheckAcknowledged(Term term, Index match, const char* does) {
    MUST(disk_.hard.term >= term, "node %lu %s in term %lu, on disk its term is %lu", N(id()), does,
         N(term), N(disk_.hard.term));
    if (raft_->term() != term) return;
    const std::optional<LogId> at = IdAt(match);
    if (!at.has_value()) {
      MUST(match <= raft_->snapshot_id().index, "node %lu %s %lu, its log ends at %s", N(id()),
           does, N(match), Text(raft_->last()).c_str());
    }
    const LogId promised = at.value_or(LogId{Term{0}, match});
    MUST(match <= raft_->snapshot_id().index || disk_.Holds(promised),
         "node %lu %s %s, its disk ends at %s", N(id()), does, Text(promised).c_str(),
         Text(disk_.last()).c_str());
    // What was overwritten and came back (A, B, A): the first A is on disk, but B is still to land.
    for (const DiskWrite& write : writes_) {
      MUST(match <= raft_->snapshot_id().index || write.Keeps(promised),
           "node %lu %s %s, which write %lu under way takes off its disk", N(id()), does,
           Text(promised).c_str(), static_cast<unsigned long>(write.number));
    }
    MUST(match <= disk_.last().index, "node %lu %s %lu, its disk ends at %s", N(id()), does,
         N(match), Text(disk_.last()).c_str());
  }

  Setup setup_;
  DiskImage disk_;
  std::vector<DiskImage> emptied_;
  Machine machine_;
  std::unique_ptr<Raft> raft_;
  uint64_t next_write_ = 1;
  std::deque<DiskWrite> writes_;
  std::vector<Message> outbox_;
  std::deque<std::pair<uint64_t, Index>> reads_;  // Position, and what a read there must see.
  std::map<uint64_t, Index> confirmed_;
  bool wants_snapshot_ = false;
  Term term_seen_;
  Index commit_seen_;
  std::optional<std::pair<Term, LogId>> led_;
};

}  // namespace lockstep::raft::testing
