// The lock table: who holds which lock, and who waits for it.
//
// This is what group `locks` replicates. Every node applies the same operations in the same order
// and so has the same table. Nothing here reads a clock: leases and waits end by the time stamped
// on each entry.
//
// Always true (CheckInvariants):
//   1. A lock has one exclusive holder, or any number of shared ones up to its LIMIT, or none.
//   2. Whoever could be granted has been: at rest, the first in line of a lock is kept from it by a
//      holder, or wants several locks and is kept from another one of them. So a release with
//      waiters grants in the same entry (trap 42).
//   3. Fencing tokens only grow: a grant has the index of its log entry for a token, or one more
//      than the last token where an entry grants more than once. Several names of one MACQUIRE have
//      one.
//   4. The wait-for graph has no circle: the operation that closes one aborts its youngest owner.
//
// The rules of granting:
//   - First come, first served; nobody overtakes. The exception is an upgrade, which goes ahead of
//     the queue: those in it wait for the upgrader in any case. While several waits can be granted,
//     the one that began first is.
//   - A wait for several locks stands in all their lines and is granted when it is first in each
//     and compatible with the holders of each.
//   - An owner waits for a lock at most once. A request for the same names as an older wait of its
//     owner takes that wait's place, and the older request is answered nil; one that overlaps it
//     ends it and goes to the end. A request that does not wait leaves older waits alone.
//   - Asking for what one holds gives the same token, a fresh lease, and the bond of the newest
//     request (BIND or none). SHARED by an exclusive holder is a downgrade, same token.
//   - MACQUIRE answers one token that is good for all its names. So unless all are held with one
//     token, in a sufficient mode, those held get the new token as well.
//
// Deadlock: see wait_graph.h for what a circle is. Its youngest owner (largest age; then the name)
// is the victim: its waits are answered -DEADLOCK, its locks released, the next ones granted, all
// in the same entry. Its age is remembered for a while, so that it is not the youngest for ever.
//
// Not thread-safe. Owned by the Replica of group `locks`, used on the node thread.
#pragma once

#include <deque>
#include <set>
#include <span>

#include "commands/lock_state.h"
#include "commands/state_machine.h"
#include "commands/wait_graph.h"

namespace lockstep {

// Equal on all nodes of a cluster, or the tables part ways.
struct LockLimits {
  size_t locks_max = 10'000'000;
  size_t waiters_per_lock_max = 100'000;
  size_t locks_per_owner_max = 1'000'000;
  size_t remembered_owners_max = 1'000'000;  // More victims a minute than that lose their age.
  int64_t age_memory_ms = 60'000;            // The same on every node, so no setting.
  size_t deadlocks_kept = 128;
  size_t renewals_an_entry = 1'000'000;  // By RENEW ALL: some hundred milliseconds of work.
};

class LockTable final : public StateMachine {
 public:
  explicit LockTable(const LockLimits& limits = {});

  void Advance(const Position& at, Effects* out) override;
  void Apply(const Position& at, const RequestId& request, BytesView op, Effects* out) override;
  void EndSessions(const Position& at, NodeId origin, uint64_t incarnation,
                   Effects* out) override;
  Reply Query(ClusterTime now, BytesView query) const override;
  ClusterTime NextDeadline() const override;
  void Save(Writer* out) const override;
  Result<void> Load(Reader* in) override;
  uint64_t Hash() const override;
  void CheckInvariants() const override;

  // Whether events are made. This node's own affair and no part of the state: off while nobody here
  // listens to any __lock__:* channel.
  void set_events_wanted(bool wanted) { events_wanted_ = wanted; }

  struct Figures {
    size_t locks = 0, holds = 0, waits = 0, owners = 0;
    uint64_t last_token = 0;
    uint64_t deadlocks = 0;  // Since the cluster was created.
    uint64_t expired = 0;    // Leases that this node has seen end; no part of the state.
  };
  Figures figures() const;
  uint64_t graph_work() const { return graph_.looked_at(); }  // See WaitGraph.
  uint64_t query_work() const override { return looked_at_; }

 private:
  struct Deadlock {
    ClusterTime at;
    Bytes victim;
    Bytes circle;                 // "alice -> jobs/7 -> bob -> x -> alice", cut at a length.
    std::vector<Bytes> released;  // The first of them.
    uint64_t released_count = 0;
  };
  // How a lock is to be held.
  struct Terms {
    LockMode mode = LockMode::kExclusive;
    int64_t ttl_ms = 0;
    BytesView meta;
    std::optional<BoundTo> bound;
    const RequestId* waited = nullptr;  // The request that waited for the grant, if one did.
  };
  enum class Ending : uint8_t { kReleased, kExpired, kRevoked };

  // Operations (lock_table.cc). No reply: it waits.
  std::optional<Reply> Run(const RequestId& request, const LockOp& op, bool in_batch);
  std::optional<Reply> Acquire(const RequestId& request, const AcquireOp& op, bool in_batch);
  Reply Renew(const RenewOp& op);
  Reply Release(const ReleaseOp& op);
  Reply Revoke(const RevokeOp& op);
  Reply Cancel(const CancelOp& op);
  Reply Hangup(const HangupOp& op);
  Reply Batch(const RequestId& request, const BatchOp& op);

  void LookUp(const AcquireOp& op);  // Into wanted_.
  // Of wanted_: why an acquire cannot even be tried: a LIMIT in force, or a limit of the table.
  std::optional<Reply> Refusal(const AcquireOp& op) const;
  std::optional<Reply> LimitRefusal(const AcquireOp& op, Slot<Lock> lock) const;
  std::optional<Reply> LineRefusal() const;
  bool GrantableAtOnce(const AcquireOp& op) const;
  void AddIfMissing(const AcquireOp& op, BytesView name, Slot<Lock>* lock);
  std::vector<Slot<Lock>> FindOrAddLocks(const AcquireOp& op);
  Slot<Owner> WantedOwner(const AcquireOp& op);  // Added if it is not known yet.
  void BeginWait(const RequestId& request, const AcquireOp& op, Slot<Owner> owner);
  bool TakeOverWait(const RequestId& request, const AcquireOp& op, Slot<Owner> owner);
  // True: there were some, and locks that nobody else wanted went with them.
  bool EndOverlappingWaits(const AcquireOp& op, Slot<Owner> owner);
  std::vector<Slot<Wait>> OverlappingWaits(const AcquireOp& op, Slot<Owner> owner) const;

  // Granting and ending (lock_grant.cc).
  uint64_t Grant(Slot<Owner> owner, std::span<const Slot<Lock>> locks, const Terms& terms);
  uint64_t SameToken(Slot<Owner> owner, std::span<const Slot<Lock>> locks, LockMode mode) const;
  void GrantOne(Slot<Owner> owner, Slot<Lock> lock, const Terms& terms, uint64_t token);
  void Regrant(Slot<Hold> slot, const Terms& terms, uint64_t token);
  void EndHold(Slot<Hold> hold, Ending ending);
  void EndBond(Slot<Hold> hold, const BoundTo& low, const BoundTo& high);
  void TakeBack(Slot<Hold> hold);
  void EndWait(Slot<Wait> wait, const Reply& reply);
  void DropOwnerIfIdle(Slot<Owner> owner);
  void RememberAge(Slot<Owner> owner);
  void Moved(Slot<Owner> owner, Slot<Lock> lock);
  void LineMoved(Slot<Lock> lock);
  void SuspectAllOf(Slot<Owner> owner);

  // Bringing the table to rest after a change.
  void Settle();
  bool IsReady(Slot<Wait> wait) const;
  bool IsReadyAt(const Wait& wait, Slot<Wait> slot, const Wait::Part& part) const;
  bool CanJoin(const Lock& lock, LockMode mode) const;
  void GrantWait(Slot<Wait> wait);
  void Abort(const std::vector<WaitGraph::Step>& circle);

  // Deadlines.
  void ExpireHold(Slot<Hold> hold);

  // Reading (lock_query.cc).
  Reply Answer(ClusterTime now, const CheckQuery& query) const;
  Reply Answer(ClusterTime now, const InfoQuery& query) const;
  Reply Answer(ClusterTime now, const OwnerQuery& query) const;
  Reply Answer(ClusterTime now, const ListQuery& query) const;
  Reply Answer(ClusterTime now, const GraphQuery& query) const;
  Reply Answer(ClusterTime now, const DeadlocksQuery& query) const;
  Reply Answer(ClusterTime now, const KeyspaceQuery& query) const;  // lock_keyspace.cc
  Reply HolderRow(ClusterTime now, const Hold& hold) const;
  Reply WaiterRow(ClusterTime now, const Wait& wait) const;
  bool Exists(ClusterTime now, Slot<Lock> lock) const;
  size_t BytesOf(Slot<Lock> lock) const;

  // Telling (lock_events.cc).
  void Tell(const char* event, Slot<Lock> lock, Slot<Owner> owner, uint64_t token);
  Bytes Describe(const std::vector<WaitGraph::Step>& circle, size_t first) const;

  void Clear();
  void SaveDeadlocks(Writer* out) const;
  Result<void> LoadAll(Reader* in);
  Result<void> LoadDeadlocks(Reader* in);
  uint64_t HashOf(const Deadlock& deadlock) const;
  uint64_t HashOfSaved() const;
  void CheckLock(Slot<Lock> slot) const;

  LockLimits limits_;
  LockState state_;
  WaitGraph graph_;
  uint64_t last_token_ = 0;
  std::deque<Deadlock> deadlocks_;  // Newest last.
  uint64_t deadlocks_ever_ = 0;
  uint64_t deadlocks_hash_ = 0;  // The sum over those kept.
  bool events_wanted_ = true;
  uint64_t expired_ = 0;
  mutable uint64_t looked_at_ = 0;  // Locks, by queries: the work that they have made.

  // What the names of an acquire stand for; invalid: nothing yet.
  struct Wanted {
    Slot<Owner> owner;
    std::vector<Slot<Lock>> locks;  // In the order of its names.
  };

  // Of the operation being applied; nothing between operations.
  Position at_;
  Effects* out_ = nullptr;
  size_t renewed_ = 0;  // By RENEW ALL, in this entry.
  Wanted wanted_;
  std::set<std::pair<LockSeq, Slot<Wait>>> candidates_;  // May have become grantable.
  std::deque<std::pair<LockSeq, Slot<Wait>>> suspects_;  // May close a circle.
};

}  // namespace lockstep
