// The records of the lock table and their indexes: who holds, who waits, until when.
//
// Nothing is decided here; LockTable decides. What this class adds is that all ways to find a
// record, its deadline and the hash of the whole state change together with the record.
//
// Always true (CheckLinks):
//   1. Every list below is in the order of `seq`, which is the order in which its members began. So
//      the lists follow from the records, and a snapshot need not hold them.
//   2. A lock is here while it has a holder or a waiter; an owner while it holds or waits, or while
//      its age is remembered.
//   3. An owner holds a lock at most once and waits for it at most once.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "commands/deadline_heap.h"
#include "commands/lock_ops.h"
#include "commands/name_index.h"
#include "commands/slab.h"
#include "src/base/result.h"

namespace lockstep {

struct Hold;
struct Wait;

// The order in which holds and waits began, over the whole table.
using LockSeq = uint64_t;

// LIMIT as a lock has it in force.
constexpr uint32_t kLimitOpen = 0;                 // Nobody has asked to share it yet.
constexpr uint32_t kLimitUnlimited = UINT32_MAX;   // Shared by requests without LIMIT.

struct Lock {
  // Who waits here. Most locks have nobody waiting and no Line.
  struct Line {
    std::map<LockSeq, Slot<Wait>> queued;
    // Hold it shared and want it alone: ahead of the queue. At rest one at most, for two of them
    // are a deadlock.
    std::map<LockSeq, Slot<Wait>> upgrading;
    size_t size() const { return queued.size() + upgrading.size(); }
  };
  PackedName name;
  std::unique_ptr<Line> line;
  Slot<Hold> first_hold, last_hold;
  uint32_t holds = 0;
  uint32_t limit = kLimitOpen;
};

struct Owner {
  PackedName name;
  uint64_t age = 0;  // Place of the operation by which it first held or waited. Smaller is older.
  // After an abort the age outlives everything else until then, so that retries grow old (trap 49).
  ClusterTime remembered_until;
  Slot<Hold> first_hold, last_hold;
  Slot<Wait> first_wait, last_wait;
  uint32_t holds = 0;
  uint32_t waits = 0;
};

// What the owner had of this lock before a grant that it may not have heard of.
struct HeldBefore {
  uint64_t token = 0;
  LockMode mode = LockMode::kExclusive;
  ClusterTime deadline;
  ClusterTime granted_at;
  std::optional<BoundTo> bound;
  Bytes meta;
};

struct Hold {
  // What few holds have.
  struct Extra {
    Bytes meta;
    std::optional<BoundTo> bound;
    // The request that waited for this grant, until the owner shows that it knows of it; and what
    // is to be restored should nobody have heard the answer. None: it had nothing, or what it had
    // has ended since.
    std::optional<RequestId> unheard;
    std::optional<HeldBefore> before;
    bool empty() const { return meta.empty() && !bound && !unheard; }
  };
  uint64_t token = 0;
  ClusterTime deadline;    // Of the lease.
  ClusterTime granted_at;  // When this token was given.
  LockSeq seq = 0;
  Slot<Lock> lock;
  Slot<Owner> owner;
  Slot<Hold> lock_next, lock_previous;
  Slot<Hold> owner_next, owner_previous;
  LockMode mode = LockMode::kExclusive;
  std::unique_ptr<Extra> extra;
};

struct Wait {
  // One of the locks waited for, and where in its line.
  struct Part {
    enum class Place : uint8_t {
      kQueued,     // Holds nothing here: in the queue.
      kUpgrading,  // Holds it shared and wants it alone.
      kHeld,       // Holds what it wants here already, and waits for the other parts.
    };
    Slot<Lock> lock;
    Place place = Place::kQueued;
  };
  LockSeq seq = 0;
  RequestId request;
  Slot<Owner> owner;
  LockMode mode = LockMode::kExclusive;
  int64_t ttl_ms = 0;
  ClusterTime deadline = kNeverCluster;
  ClusterTime began;
  Bytes meta;
  std::optional<BoundTo> bound;
  Slot<Wait> owner_next, owner_previous;
  std::vector<Part> parts;  // In the order of the names in the command.
};

class LockState {
 public:
  // Finding. An invalid slot: there is none.
  Slot<Lock> FindLock(BytesView name) const;
  Slot<Owner> FindOwner(BytesView name) const;
  Slot<Hold> FindHold(Slot<Owner> owner, Slot<Lock> lock) const;
  Slot<Wait> FindWait(Slot<Owner> owner, Slot<Lock> lock) const;
  Slot<Wait> FindWait(const RequestId& request) const;

  const Slab<Lock>& locks() const { return locks_; }
  const Slab<Owner>& owners() const { return owners_; }
  const Slab<Hold>& holds() const { return holds_; }
  const Slab<Wait>& waits() const { return waits_; }
  const Lock& at(Slot<Lock> slot) const { return locks_[slot]; }
  const Owner& at(Slot<Owner> slot) const { return owners_[slot]; }
  const Hold& at(Slot<Hold> slot) const { return holds_[slot]; }
  const Wait& at(Slot<Wait> slot) const { return waits_[slot]; }
  BytesView NameOf(Slot<Lock> slot) const { return locks_[slot].name.view(); }
  BytesView NameOf(Slot<Owner> slot) const { return owners_[slot].name.view(); }

  // Bound to one connection, or to the sessions of a node below an incarnation. In order of seq.
  // Holds that only were so before a grant that may be taken back are among them.
  std::vector<Slot<Hold>> HoldsBoundTo(const BoundTo& low, const BoundTo& high) const;
  std::vector<Slot<Wait>> WaitsBoundTo(const BoundTo& low, const BoundTo& high) const;
  std::vector<Slot<Wait>> WaitsOfSessions(NodeId origin, uint64_t below_incarnation) const;
  // The holds that were granted to these requests by waiting and that they may not have heard of.
  std::vector<Slot<Hold>> UnheardBy(const RequestId& low, const RequestId& high) const;

  const DeadlineHeap& leases() const { return leases_; }
  const DeadlineHeap& wait_deadlines() const { return wait_deadlines_; }
  const DeadlineHeap& memories() const { return memories_; }

  // Changing.
  LockSeq NextSeq() { return next_seq_++; }
  Slot<Lock> AddLock(BytesView name);
  void SetLimit(Slot<Lock> lock, uint32_t limit);
  void DropLockIfIdle(Slot<Lock> lock);

  Slot<Owner> AddOwner(BytesView name, uint64_t age);
  void Remember(Slot<Owner> owner, ClusterTime until);  // {}: no more.
  void RemoveOwner(Slot<Owner> owner);  // Holds nothing, waits for nothing.

  // The links of the record are set here; all else is given.
  Slot<Hold> AddHold(Hold hold);
  // Changes anything but lock, owner, seq and links.
  template <class Change>
  void EditHold(Slot<Hold> slot, Change change) {
    Unindex(slot);
    change(&holds_[slot]);
    Index(slot);
  }
  void RemoveHold(Slot<Hold> slot);
  // The owner knows of the grant that this hold came with (or nobody can ask any more): it cannot
  // be taken back from here on.
  void MarkHeard(Slot<Hold> slot);

  // The places of its parts follow from what the owner holds.
  Slot<Wait> AddWait(Wait wait);
  // Changes anything but owner, seq, the locks of the parts, and links.
  template <class Change>
  void EditWait(Slot<Wait> slot, Change change) {
    Unindex(slot);
    change(&waits_[slot]);
    Index(slot);
  }
  void RemoveWait(Slot<Wait> slot);
  // Puts the owner's wait for this lock where it now belongs, after a change of what the owner
  // holds or wants there. Returns the wait if its place has changed.
  Slot<Wait> Replace(Slot<Owner> owner, Slot<Lock> lock);

  uint64_t hash() const { return hash_; }
  LockSeq next_seq() const { return next_seq_; }
  void CheckLinks() const;

  void Save(Writer* out) const;
  Result<void> Load(Reader* in);  // Into an empty state.

 private:
  struct WaitAt {
    Slot<Wait> wait;
    uint32_t part = 0;
  };

  Wait::Part::Place PlaceFor(const Wait& wait, Slot<Lock> lock) const;
  void EnterLine(Slot<Wait> slot, const Wait::Part& part);
  void LeaveLine(Slot<Wait> slot, const Wait::Part& part);
  // Deadline, indexes and hash of a record, out and in again around a change.
  void Unindex(Slot<Hold> slot);
  void Index(Slot<Hold> slot);
  void Unindex(Slot<Wait> slot);
  void Index(Slot<Wait> slot);
  uint64_t HashOf(Slot<Lock> slot) const;
  uint64_t HashOf(Slot<Owner> slot) const;
  uint64_t HashOf(const Hold& hold) const;
  uint64_t HashOf(const Wait& wait) const;

  void SaveHolds(Writer* out) const;
  void SaveWaits(Writer* out) const;
  Result<void> LoadLocks(Reader* in);
  Result<void> LoadOwners(Reader* in);
  Result<void> LoadHolds(Reader* in);
  Result<void> LoadWaits(Reader* in);
  Result<void> FinishLoad(Reader* in);
  void CheckLock(Slot<Lock> slot) const;
  void CheckOwner(Slot<Owner> slot) const;
  void CheckWait(Slot<Wait> slot) const;

  Slab<Lock> locks_;
  Slab<Owner> owners_;
  Slab<Hold> holds_;
  Slab<Wait> waits_;
  NameIndex lock_index_;
  NameIndex owner_index_;
  std::map<RequestId, Slot<Wait>> waits_by_request_;
  std::unordered_map<uint64_t, WaitAt> waits_by_place_;  // By owner and lock. Never walked.
  std::map<std::pair<BoundTo, LockSeq>, Slot<Hold>> bound_holds_;
  std::map<std::pair<BoundTo, LockSeq>, Slot<Wait>> bound_waits_;
  std::map<std::pair<RequestId, LockSeq>, Slot<Hold>> unheard_;
  DeadlineHeap leases_;
  DeadlineHeap wait_deadlines_;
  DeadlineHeap memories_;  // Of owners' ages.
  LockSeq next_seq_ = 1;
  // The sum of the hashes of all records: equal states have equal sums, however they came about.
  uint64_t hash_ = 0;
};

}  // namespace lockstep
