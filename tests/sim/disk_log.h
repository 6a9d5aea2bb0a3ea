// What a node's disk says of each group's log: the reading side of src/log_store.h, written apart
// from it, and small enough to be asked at each message.
//
// Always true: tells what the batches that have reached the disk say, and nothing of those under
// way.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "cluster/raft/types.h"
#include "src/storage.h"

namespace lockstep::sim {

class DiskLog {
 public:
  void Put(BytesView key, BytesView value);
  void Delete(const Bytes& key);
  void DeleteRange(const Bytes& from, const Bytes& to);
  void Clear();

  // Zero if there is none.
  raft::HardState hard(GroupId group) const;
  Index snapshot(GroupId group) const;
  // The term of the entry at `index`; nothing if there is none.
  std::optional<Term> TermAt(GroupId group, Index index) const;
  // An entry of that term stands there, or a snapshot stands for it.
  bool Has(GroupId group, raft::LogId id) const;
  // The data of that entry is there, as the log wrote it or fetched.
  bool HasData(GroupId group, Index index) const;
  // Where the log or the snapshot ends.
  Index last(GroupId group) const;

 private:
  std::map<Bytes, Term> terms_;  // Of the entries, by key.
  std::set<Bytes> fetched_;      // Keys.
  std::map<GroupId, raft::HardState> hard_;
  std::map<GroupId, Index> snapshots_;
};

}  // namespace lockstep::sim
