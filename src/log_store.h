// What the keys and values of a node's storage mean.
//
//   m disk | cluster | boot | members     the node itself; see src/identity.h
//   g <group> h                           Raft's hard state
//   g <group> l <first index>             a run of log entries, as one turn wrote them
//   g <group> s                           the snapshot: what it covers, its size and checksum
//   g <group> t <n>                       the snapshot's n-th piece
//
// Always true:
//   1. A run overrides, from its first index on, every run before it. So a truncation writes the
//      new run and deletes those that begin behind it; the tail of the one before needs no
//      rewriting.
//   2. The snapshot, its pieces, and the deletion of the log that it covers are in one batch.
//   3. A value is checksummed by the storage; what does not decode all the same is damage, and
//      named.
#pragma once

#include <deque>
#include <vector>

#include "cluster/raft/raft.h"
#include "src/storage.h"

namespace lockstep {

class LogStore {
 public:
  explicit LogStore(GroupId group) : group_(group) {}

  // What the disk has of this group. `snapshot.data` is whole. No hard state, log or snapshot: all
  // zero, and `found` is false.
  struct Loaded {
    bool found = false;
    raft::Recovered recovered;
  };
  Result<Loaded> Load(StorageReader& storage);

  // Records for a batch.
  void PutHardState(const raft::HardState& hard, WriteBatch* batch);
  void Append(const std::vector<raft::Entry>& entries, WriteBatch* batch);
  // `keep_log`: entries behind snapshot.last stay (our own snapshot). Else the log is replaced by
  // it.
  void PutSnapshot(const raft::Snapshot& snapshot, bool keep_log, WriteBatch* batch);

 private:
  Bytes Key(char what) const;
  Bytes Key(char what, uint64_t number) const;
  void DropRunsCovered(Index to, WriteBatch* batch);

  GroupId group_;
  std::deque<Index> runs_;   // First index of each run on disk, ascending.
  Index last_;               // Of the log on disk.
  uint64_t pieces_ = 0;      // Of the snapshot on disk.
};

}  // namespace lockstep
