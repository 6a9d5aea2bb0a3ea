#include "commands/wait_graph.h"

#include <algorithm>

namespace lockstep {
namespace {

using Place = Wait::Part::Place;

bool IsSemaphore(const Lock& lock) {
  return lock.limit != kLimitOpen && lock.limit != kLimitUnlimited;
}

uint64_t PartKey(Slot<Wait> wait, Slot<Lock> lock) {
  return uint64_t{wait.value} << 32 | lock.value;
}

}  // namespace

std::vector<WaitGraph::Step> WaitGraph::CircleThrough(Slot<Wait> wait) {
  if (NobodyWaitsFor(state_->at(wait).owner)) return {};
  std::vector<Step> circle = Search(wait, Scope::kFirstCircle);
  if (circle.empty() || !saw_semaphore_) return circle;

  Search(wait, Scope::kAllReached);
  FindStuck();
  if (!WaitIsStuck(wait)) return {};
  return Search(wait, Scope::kStuckOnly);
}

// True without a search for whoever joins the end of a line and holds nothing that others want: the
// usual case. False may also mean "too much to look at".
bool WaitGraph::NobodyWaitsFor(Slot<Owner> slot) const {
  constexpr uint32_t kLooksMax = 64;
  const Owner& owner = state_->at(slot);
  if (owner.holds > kLooksMax || owner.waits > kLooksMax) return false;
  for (Slot<Hold> h = owner.first_hold; h.valid(); h = state_->at(h).owner_next) {
    if (state_->at(state_->at(h).lock).line != nullptr) return false;
  }
  for (Slot<Wait> w = owner.first_wait; w.valid(); w = state_->at(w).owner_next) {
    const Wait& wait = state_->at(w);
    for (const Wait::Part& part : wait.parts) {
      if (part.place == Place::kHeld) continue;  // Its hold was looked at above.
      const Lock::Line& line = *state_->at(part.lock).line;
      if (part.place == Place::kUpgrading || line.queued.rbegin()->first != wait.seq) return false;
    }
  }
  return true;
}

std::vector<WaitGraph::Step> WaitGraph::Search(Slot<Wait> start, Scope scope) {
  scope_ = scope;
  start_ = start;
  closes_.reset();
  saw_semaphore_ = false;
  nodes_.assign(1, Node{start, 0, {}});
  reached_ = {start.value};
  reached_owners_.clear();
  searched_.clear();
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    Expand(i);
    if (closes_ && scope != Scope::kAllReached) return PathTo(*closes_, closes_at_);
  }
  return {};
}

void WaitGraph::Expand(uint32_t node) {
  at_node_ = node;
  const Wait& wait = state_->at(nodes_[node].wait);
  for (const Wait::Part& part : wait.parts) {
    at_lock_ = part.lock;
    switch (part.place) {
      case Place::kHeld: break;
      case Place::kUpgrading: ReachHolders(state_->at(part.lock), wait.owner); break;
      case Place::kQueued: ExpandQueued(wait, part.lock); break;
    }
  }
}

void WaitGraph::ExpandQueued(const Wait& wait, Slot<Lock> slot) {
  const Lock& lock = state_->at(slot);
  const bool all = NeedsAll(wait, slot);
  Searched& searched = searched_[slot.value];

  if (all && !searched.holders) {
    searched.holders = true;
    ReachHolders(lock, {});
  } else if (lock.holds > 0 && state_->at(lock.first_hold).mode == LockMode::kExclusive) {
    ReachHolders(lock, {});
  }
  for (const auto& [seq, upgrading] : lock.line->upgrading) ReachOwner(state_->at(upgrading).owner);

  LockSeq from = searched.all_below;
  if (!all) from = std::max(from, searched.unshareable_below);
  const auto& queue = lock.line->queued;
  for (auto it = queue.lower_bound(from); it != queue.end() && it->first < wait.seq; ++it) {
    ++looked_at_;
    const Wait& ahead = state_->at(it->second);
    if (all || ahead.mode == LockMode::kExclusive) {
      ReachOwner(ahead.owner);
    } else if (ahead.parts.size() > 1) {
      ReachWait(it->second);
    }
  }
  LockSeq& below = all ? searched.all_below : searched.unshareable_below;
  below = std::max(below, wait.seq);
}

// Whether a queued wait needs all holders and all ahead of it, or only those it cannot share with.
bool WaitGraph::NeedsAll(const Wait& wait, Slot<Lock> slot) {
  if (wait.mode == LockMode::kExclusive) return true;
  if (!IsSemaphore(state_->at(slot))) return false;
  saw_semaphore_ = true;
  if (scope_ != Scope::kStuckOnly) return true;
  return crowded_.contains(PartKey(nodes_[at_node_].wait, slot));
}

void WaitGraph::ReachHolders(const Lock& lock, Slot<Owner> but) {
  for (Slot<Hold> h = lock.first_hold; h.valid(); h = state_->at(h).lock_next) {
    ++looked_at_;
    if (state_->at(h).owner != but) ReachOwner(state_->at(h).owner);
  }
}

void WaitGraph::ReachOwner(Slot<Owner> owner) {
  if (!reached_owners_.insert(owner.value).second) return;
  for (Slot<Wait> w = state_->at(owner).first_wait; w.valid(); w = state_->at(w).owner_next) {
    ReachWait(w);
  }
}

void WaitGraph::ReachWait(Slot<Wait> wait) {
  ++looked_at_;
  if (scope_ == Scope::kStuckOnly && !WaitIsStuck(wait)) return;
  if (wait == start_ && !closes_) {
    closes_ = at_node_;
    closes_at_ = at_lock_;
  }
  if (reached_.insert(wait.value).second) nodes_.push_back({wait, at_node_, at_lock_});
}

std::vector<WaitGraph::Step> WaitGraph::PathTo(uint32_t node, Slot<Lock> last) const {
  std::vector<Step> path;
  Slot<Lock> lock = last;
  for (uint32_t at = node;; at = nodes_[at].parent) {
    path.push_back({state_->at(nodes_[at].wait).owner, lock});
    if (at == 0) break;
    lock = nodes_[at].lock;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

// Of the waits reached: everyone is taken for stuck, and those who would be granted if all others
// that are not stuck let go are struck out, until nobody is. A lock is looked at again only when
// somebody who holds it or waits for it has been struck out.
void WaitGraph::FindStuck() {
  stuck_.clear();
  stuck_parts_.clear();
  crowded_.clear();
  in_scope_.clear();
  for (const Node& node : nodes_) {
    for (const Wait::Part& part : state_->at(node.wait).parts) {
      if (part.place == Place::kHeld) continue;
      ++stuck_[node.wait.value];
      stuck_parts_.insert(PartKey(node.wait, part.lock));
      in_scope_.insert(part.lock.value);
      LookAgainAt(part.lock);
    }
  }
  while (!due_.empty()) {
    const Slot<Lock> lock = due_.front();
    due_.pop_front();
    is_due_.erase(lock.value);
    FindStuckAt(lock);
  }
}

void WaitGraph::LookAgainAt(Slot<Lock> lock) {
  if (!in_scope_.contains(lock.value)) return;
  if (is_due_.insert(lock.value).second) due_.push_back(lock);
}

// The wait would be granted at this lock. When it would be at all that it wants, it is struck out.
void WaitGraph::GoesThroughAt(Slot<Wait> slot, Slot<Lock> lock) {
  if (stuck_parts_.erase(PartKey(slot, lock)) == 0) return;
  const auto parts = stuck_.find(slot.value);
  if (--parts->second > 0) return;
  stuck_.erase(parts);
  const Wait& wait = state_->at(slot);
  for (const Wait::Part& part : wait.parts) LookAgainAt(part.lock);
  if (OwnerIsStuck(wait.owner)) return;
  const Owner& owner = state_->at(wait.owner);
  for (Slot<Hold> h = owner.first_hold; h.valid(); h = state_->at(h).owner_next) {
    LookAgainAt(state_->at(h).lock);
  }
  for (Slot<Wait> w = owner.first_wait; w.valid(); w = state_->at(w).owner_next) {
    for (const Wait::Part& part : state_->at(w).parts) LookAgainAt(part.lock);
  }
}

// Once through the holders and the line of a lock: who of those that are stuck is not stuck here?
void WaitGraph::FindStuckAt(Slot<Lock> slot) {
  const Lock& lock = state_->at(slot);
  uint32_t holders_stuck = 0;
  for (Slot<Hold> h = lock.first_hold; h.valid(); h = state_->at(h).lock_next) {
    ++looked_at_;
    if (OwnerIsStuck(state_->at(h).owner)) ++holders_stuck;
  }
  const bool shared = lock.holds > 0 && state_->at(lock.first_hold).mode == LockMode::kShared;

  bool all = holders_stuck > 0;                      // Somebody before you is stuck,
  bool unshareable = holders_stuck > 0 && !shared;   // and you could not share with it,
  uint32_t users = holders_stuck;                    // or it keeps a place of the semaphore.
  for (const auto& [seq, wait] : lock.line->upgrading) {
    const bool stuck = OwnerIsStuck(state_->at(wait).owner);
    const bool others = holders_stuck > (stuck ? 1U : 0U);
    if (!others) GoesThroughAt(wait, slot);
    all = all || stuck;
    unshareable = unshareable || stuck;
  }
  for (const auto& [seq, wait] : lock.line->queued) {
    ++looked_at_;
    const bool exclusive = state_->at(wait).mode == LockMode::kExclusive;
    if (WaitIsStuck(wait)) {
      const bool crowded = !exclusive && IsSemaphore(lock) && users >= lock.limit;
      crowded ? void(crowded_.insert(PartKey(wait, slot)))
              : void(crowded_.erase(PartKey(wait, slot)));
      if (!crowded && !(exclusive ? all : unshareable)) GoesThroughAt(wait, slot);
    }
    const bool owner_stuck = OwnerIsStuck(state_->at(wait).owner);
    all = all || owner_stuck;
    if (exclusive) {
      unshareable = unshareable || owner_stuck;
    } else {
      users += owner_stuck ? 1 : 0;
      // One lock: then it is stuck here, by what is before it, and you are too.
      unshareable = unshareable || (state_->at(wait).parts.size() > 1 && WaitIsStuck(wait));
    }
  }
}

bool WaitGraph::OwnerIsStuck(Slot<Owner> owner) const {
  for (Slot<Wait> w = state_->at(owner).first_wait; w.valid(); w = state_->at(w).owner_next) {
    if (WaitIsStuck(w)) return true;
  }
  return false;
}

}  // namespace lockstep
