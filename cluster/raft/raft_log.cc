#include "cluster/raft/raft_log.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/planted.h"

namespace lockstep::raft {

RaftLog::RaftLog(const Snapshot& snapshot, std::vector<Entry> entries) {
  ReplaceBy(snapshot);
  for (Entry& entry : entries) Append(std::move(entry));
  handed_ = stable_ = last().index;
  stable_bytes_ = bytes_;
}

const Entry& RaftLog::At(Index index) const {
  CHECK_SAYS(index > base_.index && index <= last().index, "entry %lu of a log of %lu..%lu",
             index.value, base_.index.value + 1, last().index.value);
  return entries_[Offset(index)];
}

LogId RaftLog::IdAt(Index index) const {
  return index == base_.index ? base_ : At(index).id;
}

bool RaftLog::Matches(LogId id) const {
  if (id.index < base_.index || id.index > last().index) return false;
  return IdAt(id.index) == id;
}

LogId RaftLog::LastAgreement(LogId id) const {
  if (id.index <= base_.index) return base_;
  const Index bound = std::min(id.index, last().index);

  // Terms never fall, so the entries that such a log could hold come first: search, do not walk.
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(bound.value - base_.index.value);
  const auto above =
      std::upper_bound(entries_.begin(), end, id.term,
                       [](Term term, const Entry& entry) { return term < entry.id.term; });
  return above == entries_.begin() ? base_ : std::prev(above)->id;
}

std::vector<Entry> RaftLog::Copy(Index from, size_t count, size_t bytes) const {
  std::vector<Entry> copy;
  size_t copied = 0;
  for (Index i = from; i <= last().index && copy.size() < count; i = Next(i)) {
    const Entry& entry = At(i);
    copied += EntryBytes(entry);
    if (copied > bytes && !copy.empty()) break;
    copy.push_back(entry);
  }
  return copy;
}

Index RaftLog::BeforeTail(size_t count, size_t bytes) const {
  Index before = last().index;
  for (size_t left = bytes; count > 0 && before > base_.index; --count) {
    const size_t next = EntryBytes(At(before));
    if (next > left) break;
    left -= next;
    before = Previous(before);
  }
  return before;
}

void RaftLog::Append(Entry entry) {
  CHECK_SAYS(entry.id.index == Next(last().index), "entry %lu cannot follow %lu",
             entry.id.index.value, last().index.value);
  CHECK_SAYS(entry.id.term >= last().term, "term falls from %lu to %lu at %lu", last().term.value,
             entry.id.term.value, entry.id.index.value);
  CHECK_SAYS(entry.time >= last_time(), "stamp falls from %ld to %ld at %lu", last_time().ms,
             entry.time.ms, entry.id.index.value);
  if (entry.kind == EntryKind::kConfig) {
    ConfigMark mark{.index = entry.id.index, .config = {}};
    CHECK(DecodeConfig(entry.data, &mark.config));  // DecodeEntry refused what is damaged.
    configs_.push_back(std::move(mark));
  }
  bytes_ += EntryBytes(entry);
  entries_.push_back(std::move(entry));
}

void RaftLog::TruncateFrom(Index from) {
  CHECK(from > base_.index);
  while (last().index >= from) {
    bytes_ -= EntryBytes(entries_.back());
    if (last().index <= stable_) stable_bytes_ -= EntryBytes(entries_.back());
    entries_.pop_back();
  }
  while (configs_.back().index >= from && !Planted(Mutant::kConfigNotRolledBack)) {
    configs_.pop_back();
  }

  // What the disk has, or is about to have, at and above `from` is not our log any more. A write
  // that ends later must not vouch for the entries that take those places.
  const Index kept = Previous(from);
  stable_ = std::min(stable_, kept);
  handed_ = std::min(handed_, kept);
  if (Planted(Mutant::kStaleDiskCompletion)) return;
  for (WriteMark& mark : writes_) mark.last = std::min(mark.last, kept);
}

void RaftLog::CompactTo(Index to) {
  CHECK(to <= last().index);
  if (to <= base_.index) return;
  while (base_.index < to) {
    bytes_ -= EntryBytes(entries_.front());
    if (entries_.front().id.index <= stable_) stable_bytes_ -= EntryBytes(entries_.front());
    base_ = entries_.front().id;
    base_time_ = entries_.front().time;
    entries_.pop_front();
  }
  while (configs_.size() > 1 && configs_[1].index <= to) configs_.pop_front();

  // The snapshot on disk vouches for all up to `to`.
  stable_ = std::max(stable_, to);
  handed_ = std::max(handed_, to);
}

void RaftLog::ReplaceBy(const Snapshot& snapshot) {
  base_ = snapshot.last;
  base_time_ = snapshot.time;
  entries_.clear();
  bytes_ = stable_bytes_ = 0;
  configs_.clear();
  configs_.push_back({.index = snapshot.last.index, .config = snapshot.config});
  handed_ = stable_ = snapshot.last.index;
  writes_.clear();
}

std::vector<Entry> RaftLog::TakeUnwritten(uint64_t write) {
  if (!HasUnwritten()) return {};
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(Offset(Next(handed_)));
  std::vector<Entry> unwritten(begin, entries_.end());
  handed_ = last().index;
  CHECK(writes_.empty() || writes_.back().write <= write);
  writes_.push_back({.write = write, .last = handed_});
  return unwritten;
}

void RaftLog::Persisted(uint64_t write) {
  while (!writes_.empty() && writes_.front().write <= write) {
    while (stable_ < writes_.front().last) {
      stable_ = Next(stable_);
      stable_bytes_ += EntryBytes(At(stable_));
    }
    writes_.pop_front();
  }
}

const Config& RaftLog::ConfigAt(Index index) const {
  CHECK_SAYS(index >= base_.index, "the configuration at %lu is gone: the log begins after %lu",
             index.value, base_.index.value);
  const auto above =
      std::upper_bound(configs_.begin(), configs_.end(), index,
                       [](Index at, const ConfigMark& mark) { return at < mark.index; });
  CHECK(above != configs_.begin());
  return std::prev(above)->config;
}

bool RaftLog::IsVoterSince(Index index, NodeId node) const {
  for (auto mark = configs_.rbegin(); mark != configs_.rend(); ++mark) {
    if (mark->config.IsVoter(node)) return true;
    if (mark->index <= index) return false;
  }
  return false;
}

void RaftLog::CheckInvariants() const {
  CHECK(base_.index <= stable_);
  CHECK(stable_ <= handed_);
  CHECK(handed_ <= last().index);
  CHECK(stable_bytes_ <= bytes_ && (stable_ < last().index || stable_bytes_ == bytes_));
  CHECK(last().index.value - base_.index.value == entries_.size());
  CHECK(!configs_.empty());
  CHECK(configs_.back().index <= last().index);
  CHECK(configs_.size() == 1 || configs_[1].index > base_.index);
  for (size_t i = 1; i < configs_.size(); ++i) {
    CHECK(configs_[i - 1].index < configs_[i].index);
    CHECK(configs_[i].config.MayFollow(configs_[i - 1].config));
  }
  for (const WriteMark& mark : writes_) CHECK(mark.last <= handed_);

  // Append keeps terms, stamps and indexes in order; look again at the end, where entries are
  // replaced. All of a long log after each step would make the simulator quadratic.
  constexpr size_t kLookedAt = 64;
  const size_t from = entries_.size() > kLookedAt ? entries_.size() - kLookedAt : 0;
  for (size_t i = from + 1; i < entries_.size(); ++i) {
    CHECK(entries_[i].id.index == Next(entries_[i - 1].id.index));
    CHECK(entries_[i].id.term >= entries_[i - 1].id.term);
    CHECK(entries_[i].time >= entries_[i - 1].time);
  }
}

}  // namespace lockstep::raft
