// The log of one member: what of it is in memory, what of it is on disk, and which configuration
// stands where.
//
//        base          first             stable     handed            last
//   ──────┼──────────────┬───────────────────┬──────────┬───────────────┬
//    gone │ a snapshot   │ in memory, and    │ being    │ not yet given │
//         │ stands for it│ on disk           │ written  │ to the disk   │
//
// Always true (CheckInvariants):
//   1. base <= stable <= handed <= last; indexes are consecutive from base + 1.
//   2. Terms and stamps never fall.
//   3. No write that is under way can make stable an entry that was replaced after the write began
//      (etcd's append ABA): truncation cuts the marks of writes as well.
//   4. The configuration in force is the latest in the log; truncation brings back the one before.
//
// Not thread-safe: owned by Raft.
#pragma once

#include <deque>
#include <vector>

#include "cluster/raft/types.h"

namespace lockstep::raft {

// What an entry is taken to cost beside its data, on the wire and in memory: so that a flood of
// empty entries is bounded too.
constexpr size_t kEntryOverheadBytes = 32;
inline size_t EntryBytes(const Entry& entry) {
  return kEntryOverheadBytes + entry.data.size();
}

class RaftLog {
 public:
  // Entries read back from the disk follow `snapshot`, whose data is not looked at.
  RaftLog(const Snapshot& snapshot, std::vector<Entry> entries);

  LogId base() const { return base_; }  // What the first entry follows.
  Index first_index() const { return Next(base_.index); }
  LogId last() const { return entries_.empty() ? base_ : entries_.back().id; }
  ClusterTime last_time() const { return entries_.empty() ? base_time_ : entries_.back().time; }
  size_t bytes() const { return bytes_; }

  // first_index() <= index <= last().
  const Entry& At(Index index) const;
  // base() <= index <= last().
  LogId IdAt(Index index) const;
  // Whether we have that very entry. By the Log Matching property all before it agree then too.
  bool Matches(LogId id) const;
  // The last place at or before `id` where a log that ends with `id` can agree with ours: behind it
  // all our terms are above its last. base() when that lies in what is gone, or cannot be at all.
  LogId LastAgreement(LogId id) const;
  // What the last entries follow: at most `count` of them, and no more than `bytes` hold.
  Index BeforeTail(size_t count, size_t bytes) const;
  // Copies entries from `from` on: at most `count`, and as many as `bytes` hold but at least one.
  std::vector<Entry> Copy(Index from, size_t count, size_t bytes) const;

  // `entry` follows last().
  void Append(Entry entry);
  void TruncateFrom(Index from);
  // Forgets entries up to `to`, which a snapshot on this disk stands for.
  void CompactTo(Index to);
  // Forgets everything: `snapshot` takes its place, and will be on disk with the next write.
  void ReplaceBy(const Snapshot& snapshot);

  // The disk's side. ----------------------------------------------------------------------------
  bool HasUnwritten() const { return handed_ < last().index; }
  // What the disk does not have yet, handed out as part of the write numbered `write`.
  std::vector<Entry> TakeUnwritten(uint64_t write);
  // All writes up to `write` are on disk.
  void Persisted(uint64_t write);
  // The highest index that is on disk. What we acknowledge, and count for ourselves, ends here.
  Index stable() const { return stable_; }
  // Of the entries above it: what a slow disk makes us hold.
  size_t unstable_bytes() const { return bytes_ - stable_bytes_; }

  // Configurations. -----------------------------------------------------------------------------
  const Config& config() const { return configs_.back().config; }
  Index config_index() const {
    return configs_.back().index;
  }                                           // Where it stands; <= base: snapshot.
  const Config& ConfigAt(Index index) const;  // In force as of `index` >= base().
  // By the configuration in force at `index` or by any later one. Looks at few: most often at one.
  bool IsVoterSince(Index index, NodeId node) const;

  void CheckInvariants() const;

 private:
  struct ConfigMark {
    Index index;
    Config config;
  };
  struct WriteMark {
    uint64_t write;
    Index last;  // The highest entry that this write and those before it hold and nobody replaced.
  };
  size_t Offset(Index index) const { return index.value - base_.index.value - 1; }

  LogId base_;
  ClusterTime base_time_;
  std::deque<Entry> entries_;
  size_t bytes_ = 0;
  std::deque<ConfigMark> configs_;  // Ascending; the first is the one in force at base.
  Index handed_;
  Index stable_;
  size_t stable_bytes_ = 0;  // Of the entries up to it.
  std::deque<WriteMark> writes_;  // Under way, oldest first.
};

}  // namespace lockstep::raft
