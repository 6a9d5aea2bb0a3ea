// What the keys and values of a node's storage mean.
//
//   m disk | cluster | boot | members     the node itself; see src/identity.h
//   g <group> h                           Raft's hard state
//   g <group> l <index>                   a log entry
//   g <group> s                           the snapshot: what it covers, its size and checksum, and
//                                         in which of two places its pieces lie
//   g <group> p <n>, g <group> t <n>      the n-th piece of a snapshot, in the one place or the
//                                         other
//   g <group> u <index>                   an entry's data, fetched from another node because a
//                                         snapshot that came from there needs it
//
// Always true:
//   1. A snapshot's pieces are written where those of the one before do not lie. What makes it the
//      snapshot, and deletes the log that it covers and the pieces of the one before, is in the
//      batch of its last piece.
//   2. Of the entries that the snapshot covers those stay that its state needs (StateMachine), as
//      log entries or as fetched ones. Nothing else stays.
//   3. A value is checksummed by the storage; what does not decode all the same is damage, and
//      named.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "cluster/raft/raft.h"
#include "src/storage.h"

namespace lockstep {

class LogStore {
 public:
  explicit LogStore(GroupId group, size_t piece_bytes = 1 << 20)
      : group_(group), piece_bytes_(piece_bytes) {}

  // What the disk has of this group. `snapshot.data` is whole. No hard state, log or snapshot: all
  // zero, and `found` is false. Entries that the snapshot covers are not looked at.
  struct Loaded {
    bool found = false;
    raft::Recovered recovered;
  };
  Result<Loaded> Load(StorageReader& storage);

  // Records for a batch.
  void PutHardState(const raft::HardState& hard, WriteBatch* batch);
  // All of the group goes, but for this.
  void Clear(const raft::HardState& hard, WriteBatch* batch);
  void Append(const std::vector<raft::Entry>& entries, WriteBatch* batch);
  using Needs = std::function<bool(Index entry)>;
  // Our own snapshot: all of its data, in order, in as many calls and batches as one likes, and the
  // rest of it at the end. The log behind it stays, and what `needs` says of what it covers.
  void AddToSnapshot(BytesView data, WriteBatch* batch);
  void FinishSnapshot(const raft::Snapshot& snapshot, const Needs& needs, WriteBatch* batch);
  // What was added comes to nothing; before the first of it, what an earlier start has left.
  void DropUnfinished(WriteBatch* batch);
  // The same in one go.
  void PutSnapshot(const raft::Snapshot& snapshot, const Needs& needs, WriteBatch* batch) {
    DropUnfinished(batch);
    AddToSnapshot(snapshot.data, batch);
    FinishSnapshot(snapshot, needs, batch);
  }
  // A leader's: the log is replaced by it, but for the entries up to `kept`, which we had applied,
  // as far as it needs them.
  void PutForeignSnapshot(const raft::Snapshot& snapshot, Index kept, const Needs& needs,
                          WriteBatch* batch);
  // An entry that the snapshot covers is needed no more.
  void Drop(Index entry, WriteBatch* batch);
  void DropAll(Index from, Index to, WriteBatch* batch);
  // The data of an entry that a snapshot needs which is to come.
  void PutFetched(Index entry, Bytes data, WriteBatch* batch);
  // It is not needed after all.
  void DropFetched(Index entry, WriteBatch* batch);
  // All of those behind the snapshot: what needs them did not come.
  void DropFetched(WriteBatch* batch);

  // The data of an entry that is on disk, by whoever reads one value there. Nothing: it is not.
  using Read = std::function<std::optional<Bytes>(BytesView key)>;
  std::optional<Bytes> DataOf(Index entry, const Read& read) const;

 private:
  Bytes Key(char what) const;
  Bytes Key(char what, uint64_t number) const;
  Bytes PieceKey(bool second, uint64_t number) const;
  void PutPiece(WriteBatch* batch);
  void PutHead(const raft::Snapshot& snapshot, WriteBatch* batch);
  void DropUnneeded(Index from, Index to, const Needs& needs, WriteBatch* batch);

  GroupId group_;
  size_t piece_bytes_;
  Index covered_;            // By the snapshot on disk.
  Index last_;               // Of the log on disk.
  bool has_pieces_ = false;  // The snapshot on disk,
  bool second_ = false;      // in the second place.
  // A snapshot that is on its way to disk, in the other place.
  struct Coming {
    uint64_t pieces = 0;  // Given out.
    uint64_t bytes = 0;   // All that was added,
    uint32_t checksum = 0;
    Bytes rest;           // of which this is not given out yet.
  };
  Coming coming_;
};

}  // namespace lockstep
