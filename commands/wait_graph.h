// Who waits for whom, and whether it goes round in a circle.
//
// The graph is not kept: it is read off the table's records. Its nodes are waits. A wait that is
// queued for a lock needs
//   - the owners of the holds that it cannot share the lock with, to let go: all their waits;
//   - the owners of those upgrading, and of those ahead in the queue that it cannot share with, to
//     be granted and then to let go, for nobody overtakes: all their waits;
//   - those ahead that it could share with to be granted, which, if they want several locks, may
//     hang on another lock: that wait;
//   - under a LIMIT of n, all but n - 1 of the holders and of those ahead to let go.
// An upgrade needs the other holders to let go.
//
// Without the last rule for n > 1, a wait is stuck if and only if it reaches a circle. With it, a
// circle may be broken by a holder outside it: so a wait counts as stuck only if it stays so when
// everyone who is not stuck finishes and lets go of everything (the greatest such set; Kshemkalyani
// & Singhal 1994, deadlock under the p-out-of-q request model). No deadlock is missed, none
// invented.
//
// A new circle goes through a wait that has just begun at the end of its lines; or through one of
// the waits of an owner who got ahead of others (by an upgrade, or because a part of a wait went
// back to its place when its hold ended). A grant to the first in line makes none: those behind
// needed it already.
#pragma once

#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "commands/lock_state.h"

namespace lockstep {

class WaitGraph {
 public:
  explicit WaitGraph(const LockState* state) : state_(state) {}

  // `owner` waits for `lock`, which the next step's owner keeps it from.
  struct Step {
    Slot<Owner> owner;
    Slot<Lock> lock;
  };
  // The shortest circle through this wait, beginning with its owner; among equals the one whose
  // steps come first in the order of holders, those upgrading, queue. Empty if there is none.
  std::vector<Step> CircleThrough(Slot<Wait> wait);

  // Waits and holds looked at so far: the work done, as the tests measure it (trap 48).
  uint64_t looked_at() const { return looked_at_; }

 private:
  struct Node {
    Slot<Wait> wait;
    uint32_t parent = 0;
    Slot<Lock> lock;  // Where the parent waits for this one.
  };
  // How far the line of a lock has been searched. What lies before was searched for somebody who
  // needed it all, so there is nothing new in it for anybody.
  struct Searched {
    bool holders = false;
    LockSeq all_below = 0;
    LockSeq unshareable_below = 0;
  };
  enum class Scope : uint8_t {
    kFirstCircle,  // Until a circle closes. Takes every holder of a full semaphore for needed.
    kAllReached,   // The same, to the end.
    kStuckOnly,    // Among the stuck ones.
  };

  bool NobodyWaitsFor(Slot<Owner> owner) const;
  std::vector<Step> Search(Slot<Wait> start, Scope scope);
  void Expand(uint32_t node);
  void ExpandQueued(const Wait& wait, Slot<Lock> lock);
  void ReachHolders(const Lock& lock, Slot<Owner> but);
  void ReachOwner(Slot<Owner> owner);
  void ReachWait(Slot<Wait> wait);
  bool NeedsAll(const Wait& wait, Slot<Lock> lock);
  std::vector<Step> PathTo(uint32_t node, Slot<Lock> last) const;

  void FindStuck();
  void FindStuckAt(Slot<Lock> lock);
  void LookAgainAt(Slot<Lock> lock);
  void GoesThroughAt(Slot<Wait> wait, Slot<Lock> lock);
  bool OwnerIsStuck(Slot<Owner> owner) const;
  bool WaitIsStuck(Slot<Wait> wait) const { return stuck_.contains(wait.value); }

  const LockState* state_;
  uint64_t looked_at_ = 0;

  // One search.
  Scope scope_ = Scope::kFirstCircle;
  Slot<Wait> start_;
  Slot<Lock> at_lock_;       // Of the part being expanded.
  uint32_t at_node_ = 0;
  std::optional<uint32_t> closes_;  // The node from which the start was reached again.
  Slot<Lock> closes_at_;
  bool saw_semaphore_ = false;
  std::vector<Node> nodes_;  // In the order reached: a breadth-first queue that is kept.
  std::unordered_set<uint32_t> reached_;
  std::unordered_set<uint32_t> reached_owners_;  // All of whose waits are reached.
  std::unordered_map<uint32_t, Searched> searched_;  // By lock. Never walked.

  // The stuck ones. None of these is ever walked.
  std::unordered_map<uint32_t, uint32_t> stuck_;  // Wait -> at how many of its locks.
  std::unordered_set<uint64_t> stuck_parts_;      // (wait, lock).
  std::unordered_set<uint32_t> in_scope_;         // Locks that somebody reached waits for.
  std::unordered_set<uint32_t> is_due_;           // What is in due_.
  std::deque<Slot<Lock>> due_;                    // To be looked at again.
  std::unordered_set<uint64_t> crowded_;  // (wait, lock): stuck by the LIMIT alone or also.
};

}  // namespace lockstep
