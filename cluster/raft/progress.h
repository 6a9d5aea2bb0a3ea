// What the leader knows and assumes about one other member (etcd's progress; thesis §10.2).
//
//   probe      next is a guess; one request at a time, until an answer says where the logs agree.
//   replicate  the logs agree; requests are pipelined within a window, next runs ahead of match.
//   snapshot   what it needs is compacted away; pieces of a snapshot go instead of entries.
//
// Always true (CheckInvariants):
//   1. match < next.
//   2. replicate: all of (match, next) is in flight, and BytesInFlight() adds it up.
//   3. Nothing is in flight in the other modes.
//
// Not thread-safe: owned by Raft, exists while this node leads.
#pragma once

#include <deque>
#include <memory>

#include "cluster/raft/types.h"

namespace lockstep::raft {

// A snapshot on its way to followers; all that need it share one.
struct OutgoingSnapshot {
  Snapshot snapshot;
  uint32_t checksum = 0;
};

struct SnapshotTransfer {
  std::shared_ptr<const OutgoingSnapshot> source;  // Null: the host has not provided it yet.
  uint64_t acked = 0;                              // The receiver has all before.
  uint64_t next = 0;    // What goes out next; [acked, next) is in flight.
  bool ask = false;     // Send a piece even if it is empty: an answer is wanted.
  bool resent = false;  // Nothing came back for long. An answer that says less than `acked` is now
                        // believed: the receiver has begun anew. Else it is only late.
};

class Progress {
 public:
  enum class Mode : uint8_t { kProbe, kReplicate, kSnapshot };

  Progress(Index next, MonoTime now) : next_(next), heard_(now), quiet_since_(now) {}

  Mode mode() const { return mode_; }
  Index match() const { return match_; }  // Its log is ours up to here, and on its disk.
  Index next() const { return next_; }    // The next entry to send.

  // Changes of mode. ----------------------------------------------------------------------------
  void BecomeProbe(Index next, MonoTime now);
  void BecomeReplicate(MonoTime now);
  void BecomeSnapshot(MonoTime now);

  // What went out. ------------------------------------------------------------------------------
  // `count` entries of `bytes` in all, from next() on. Zero: an empty request.
  void OnSent(size_t count, size_t bytes, MonoTime now);
  void OnToldCommit(Index commit) { told_commit_ = commit; }
  bool WindowIsOpen(size_t entries_max, size_t bytes_max) const;
  size_t EntriesInFlight() const {
    return mode_ == Mode::kReplicate ? next_.value - match_.value - 1 : 0;
  }
  size_t BytesInFlight() const { return bytes_in_flight_; }
  Index told_commit() const { return told_commit_; }
  bool awaits_answer() const { return awaits_answer_; }  // Probe: one at a time.
  bool asks() const { return asks_; }  // An empty request is due although nothing is new.
  // Probe: an earlier request with these entries may be waiting for its disk, so send none again.
  bool ask_only() const { return ask_only_; }

  // What came back. -----------------------------------------------------------------------------
  // Its log agrees with ours up to `match`, durably. True if that is news.
  bool OnMatch(Index match, MonoTime now);
  // It has no entry `rejected` that agrees with ours; the logs may agree up to `guess`. False: a
  // late answer that says nothing any more.
  bool OnRejected(Index rejected, Index guess, MonoTime now);
  // It answers, and yet what was sent is not acknowledged. Requests and answers may have been lost,
  // or its disk is slow. Ask rather than send all of it again: the answer tells which it is.
  void OnAlive(MonoTime now, int64_t heartbeat_us);
  void OnUnreachable(MonoTime now, int64_t heartbeat_us);

  // Its copy: an answer of an older one is late, of a newer one says that all before was forgotten.
  Index copy() const { return copy_; }
  void BeginAnew(Index copy, Index next, MonoTime now);

  // Liveness and reads. -------------------------------------------------------------------------
  void OnHeard(MonoTime now) { heard_ = now; }
  MonoTime heard() const { return heard_; }
  bool IsActive(MonoTime now, int64_t within_us) const { return now - heard_ < within_us; }
  void OnReadPosition(uint64_t position);
  uint64_t read_position() const { return read_position_; }
  MonoTime quiet_since() const { return quiet_since_; }

  SnapshotTransfer& transfer() { return transfer_; }
  const SnapshotTransfer& transfer() const { return transfer_; }
  // A piece of the snapshot was acknowledged.
  void OnTransferProgress(MonoTime now) { quiet_since_ = now; }

  void CheckInvariants() const;

 private:
  struct Sent {
    Index last;
    size_t bytes;
  };
  void ForgetInFlight();
  void ResendChunks(MonoTime now);

  Mode mode_ = Mode::kProbe;
  Index match_;
  Index next_;
  bool awaits_answer_ = false;
  bool asks_ = false;
  bool ask_only_ = false;
  Index told_commit_;
  Index copy_;
  std::deque<Sent> in_flight_;  // At most window_entries_max: each holds one entry or more.
  size_t bytes_in_flight_ = 0;
  MonoTime heard_;
  MonoTime quiet_since_;  // Since when nothing that was sent has been acknowledged.
  uint64_t read_position_ = 0;
  SnapshotTransfer transfer_;
};

}  // namespace lockstep::raft
