// Granting, ending, and bringing the table to rest: the part of LockTable that every operation and
// every deadline goes through.
#include <algorithm>

#include "commands/lock_table.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

using Place = Wait::Part::Place;

Hold::Extra* ExtraOf(Hold* hold) {
  if (hold->extra == nullptr) hold->extra = std::make_unique<Hold::Extra>();
  return hold->extra.get();
}

}  // namespace

// Gives all of `locks`, which must be free for it. Returns the token.
uint64_t LockTable::Grant(Slot<Owner> owner, std::span<const Slot<Lock>> locks,
                          const Terms& terms) {
  uint64_t token = SameToken(owner, locks, terms.mode);
  if (token == 0) {
    // An entry may grant several times (to several readers, or what a victim held): so the index is
    // where tokens start from, and the last one is what they must exceed.
    token = std::max(at_.index.value, last_token_ + 1);
    last_token_ = token;
  }
  for (const Slot<Lock> lock : locks) GrantOne(owner, lock, terms, token);
  return token;
}

// The token with which the owner holds all of `locks` in a sufficient mode; 0 if there is none.
uint64_t LockTable::SameToken(Slot<Owner> owner, std::span<const Slot<Lock>> locks,
                              LockMode mode) const {
  uint64_t token = 0;
  for (const Slot<Lock> lock : locks) {
    const Slot<Hold> slot = state_.FindHold(owner, lock);
    if (!slot.valid()) return 0;
    const Hold& hold = state_.at(slot);
    const bool upgrade = hold.mode == LockMode::kShared && mode == LockMode::kExclusive;
    if (upgrade || (token != 0 && hold.token != token)) return 0;
    token = hold.token;
  }
  return token;
}

void LockTable::GrantOne(Slot<Owner> owner, Slot<Lock> lock, const Terms& terms, uint64_t token) {
  if (const Slot<Hold> own = state_.FindHold(owner, lock); own.valid()) {
    Regrant(own, terms, token);
    return;
  }
  Hold hold;
  hold.token = token;
  hold.deadline = at_.time + terms.ttl_ms;
  hold.granted_at = at_.time;
  hold.seq = state_.NextSeq();
  hold.lock = lock;
  hold.owner = owner;
  hold.mode = terms.mode;
  if (!terms.meta.empty()) ExtraOf(&hold)->meta = Bytes(terms.meta);
  if (terms.bound) ExtraOf(&hold)->bound = terms.bound;
  if (terms.waited != nullptr) ExtraOf(&hold)->unheard = *terms.waited;
  state_.AddHold(std::move(hold));
  Tell("granted", lock, owner, token);
  Moved(owner, lock);
}

// To the holder: a retry, a renewal, an upgrade, a downgrade, or a part of a MACQUIRE.
void LockTable::Regrant(Slot<Hold> slot, const Terms& terms, uint64_t token) {
  state_.MarkHeard(slot);
  const Hold& before = state_.at(slot);
  const bool fresh = before.token != token;
  const bool changes_mode = before.mode != terms.mode;
  const bool take_back = fresh && terms.waited != nullptr;
  state_.EditHold(slot, [&](Hold* hold) {
    if (take_back) {
      Hold::Extra* extra = ExtraOf(hold);
      extra->unheard = *terms.waited;
      extra->before = {hold->token,      hold->mode,   hold->deadline,
                       hold->granted_at, extra->bound, extra->meta};
    }
    hold->mode = terms.mode;
    hold->deadline = at_.time + terms.ttl_ms;
    if (fresh) {
      hold->token = token;
      hold->granted_at = at_.time;
    }
    if (!terms.meta.empty()) ExtraOf(hold)->meta = Bytes(terms.meta);
    if (terms.bound || hold->extra != nullptr) ExtraOf(hold)->bound = terms.bound;
  });
  const Slot<Lock> lock = state_.at(slot).lock;
  const Slot<Owner> owner = state_.at(slot).owner;
  if (fresh) Tell("granted", lock, owner, token);
  if (!changes_mode) return;
  Moved(owner, lock);
  // An upgrade went ahead of those in line, who now need its owner; it may wait for them elsewhere.
  if (terms.mode == LockMode::kExclusive) SuspectAllOf(owner);
  LineMoved(lock);  // After a downgrade there may be room for readers.
}

// The caller drops the owner if that leaves it idle.
void LockTable::EndHold(Slot<Hold> slot, Ending ending) {
  const Hold& hold = state_.at(slot);
  const Slot<Lock> lock = hold.lock;
  const Slot<Owner> owner = hold.owner;
  const char* event = ending == Ending::kReleased  ? "released"
                      : ending == Ending::kExpired ? "expired"
                                                   : "revoked";
  Tell(event, lock, owner, hold.token);
  state_.RemoveHold(slot);
  Moved(owner, lock);
  if (!Planted(Mutant::kReleaseForgetsNext)) LineMoved(lock);
  state_.DropLockIfIdle(lock);
}

// The connections from `low` to `high` are gone. A grant that another connection of the owner may
// have heard of stays, but it must not fall back to what was bound to one of them.
void LockTable::EndBond(Slot<Hold> slot, const BoundTo& low, const BoundTo& high) {
  const std::optional<BoundTo> bound = state_.at(slot).extra->bound;
  if (!bound || *bound < low || *bound > high) {
    return state_.EditHold(slot, [](Hold* hold) { hold->extra->before.reset(); });
  }
  const Slot<Owner> owner = state_.at(slot).owner;
  EndHold(slot, Ending::kReleased);
  DropOwnerIfIdle(owner);
}

void LockTable::ExpireHold(Slot<Hold> slot) {
  const Slot<Owner> owner = state_.at(slot).owner;
  ++expired_;
  EndHold(slot, Ending::kExpired);
  DropOwnerIfIdle(owner);
}

// Undoes a grant that nobody has heard of. An upgrade falls back to what was held before it, token
// and lease included: the token in between was never seen by anybody. A downgrade stays one: others
// may share the lock by now. What would have ended meanwhile, by time or with its connection, does.
void LockTable::TakeBack(Slot<Hold> slot) {
  const std::optional<HeldBefore> before = state_.at(slot).extra->before;
  if (!before) return EndHold(slot, Ending::kReleased);
  if (IsOver(before->deadline, at_.time)) return EndHold(slot, Ending::kExpired);
  state_.EditHold(slot, [&before](Hold* hold) {
    hold->token = before->token;
    if (before->mode == LockMode::kShared) hold->mode = LockMode::kShared;
    hold->deadline = before->deadline;
    hold->granted_at = before->granted_at;
    hold->extra->bound = before->bound;
    hold->extra->meta = before->meta;
    hold->extra->before.reset();
    hold->extra->unheard.reset();
  });
  Moved(state_.at(slot).owner, state_.at(slot).lock);
  LineMoved(state_.at(slot).lock);
}

// The caller drops the owner if that leaves it idle.
void LockTable::EndWait(Slot<Wait> slot, const Reply& reply) {
  const Wait& wait = state_.at(slot);
  out_->Give(wait.request, reply);
  const std::vector<Wait::Part> parts = wait.parts;
  state_.RemoveWait(slot);
  for (const Wait::Part& part : parts) {
    LineMoved(part.lock);
    state_.DropLockIfIdle(part.lock);
  }
}

// An idle owner's age is kept while it is remembered, and else forgotten with it.
void LockTable::DropOwnerIfIdle(Slot<Owner> slot) {
  if (!state_.owners().live(slot)) return;  // Dropped already, by the first of several endings.
  const Owner& owner = state_.at(slot);
  if (owner.holds > 0 || owner.waits > 0 || owner.remembered_until > at_.time) return;
  state_.RemoveOwner(slot);
}

void LockTable::RememberAge(Slot<Owner> owner) {
  const bool remembered = state_.at(owner).remembered_until != ClusterTime{};
  if (remembered || state_.memories().size() < limits_.remembered_owners_max) {
    state_.Remember(owner, at_.time + limits_.age_memory_ms);
  }
}

// The owner's hold on this lock has come, changed or gone: its own wait may now stand elsewhere.
void LockTable::Moved(Slot<Owner> owner, Slot<Lock> lock) {
  const Slot<Wait> wait = state_.Replace(owner, lock);
  if (!wait.valid()) return;
  candidates_.insert({state_.at(wait).seq, wait});
  LineMoved(lock);
  const auto& parts = state_.at(wait).parts;
  const auto part = std::find_if(parts.begin(), parts.end(),
                                 [lock](const Wait::Part& p) { return p.lock == lock; });
  if (part->place != Place::kHeld) SuspectAllOf(owner);
}

// Whoever is behind one of the owner's waits needs the owner to finish, and so all its waits.
void LockTable::SuspectAllOf(Slot<Owner> owner) {
  for (Slot<Wait> w = state_.at(owner).first_wait; w.valid(); w = state_.at(w).owner_next) {
    suspects_.emplace_back(state_.at(w).seq, w);
  }
}

// Whoever is first in line now may have become grantable.
void LockTable::LineMoved(Slot<Lock> lock) {
  const Lock::Line* line = state_.at(lock).line.get();
  if (line == nullptr) return;
  if (!line->upgrading.empty()) candidates_.insert(*line->upgrading.begin());
  if (!line->queued.empty()) candidates_.insert(*line->queued.begin());
}

// First all that can be granted is, the oldest wait first; then circles are broken, which lets more
// be granted; until nothing moves.
void LockTable::Settle() {
  const auto gone = [this](const std::pair<LockSeq, Slot<Wait>>& wait) {
    return !state_.waits().live(wait.second) || state_.at(wait.second).seq != wait.first;
  };
  while (true) {
    if (!candidates_.empty()) {
      const auto oldest = *candidates_.begin();
      candidates_.erase(candidates_.begin());
      if (!gone(oldest) && IsReady(oldest.second)) GrantWait(oldest.second);
    } else if (!suspects_.empty()) {
      std::vector<WaitGraph::Step> circle;
      if (!gone(suspects_.front())) circle = graph_.CircleThrough(suspects_.front().second);
      // After an abort the same wait is looked at again: it may have closed two circles.
      circle.empty() ? suspects_.pop_front() : Abort(circle);
    } else {
      return;
    }
  }
}

bool LockTable::IsReady(Slot<Wait> slot) const {
  const Wait& wait = state_.at(slot);
  return std::all_of(wait.parts.begin(), wait.parts.end(), [&](const Wait::Part& part) {
    return IsReadyAt(wait, slot, part);
  });
}

bool LockTable::IsReadyAt(const Wait& wait, Slot<Wait> slot, const Wait::Part& part) const {
  const Lock& lock = state_.at(part.lock);
  switch (part.place) {
    case Place::kHeld: return true;
    case Place::kUpgrading: return lock.holds == 1;  // Its own.
    case Place::kQueued:
      return lock.line->upgrading.empty() && lock.line->queued.begin()->second == slot &&
             CanJoin(lock, wait.mode);
  }
  return false;
}

// Whether the holders leave room for one more in this mode.
bool LockTable::CanJoin(const Lock& lock, LockMode mode) const {
  if (lock.holds == 0) return true;
  return mode == LockMode::kShared && state_.at(lock.first_hold).mode == LockMode::kShared &&
         lock.holds < lock.limit;  // kLimitUnlimited is above any count.
}

void LockTable::GrantWait(Slot<Wait> slot) {
  const Wait& wait = state_.at(slot);
  const Slot<Owner> owner = wait.owner;
  const RequestId request = wait.request;
  const Bytes meta = wait.meta;
  const Terms terms{wait.mode, wait.ttl_ms, meta, wait.bound, &request};
  std::vector<Slot<Lock>> locks;
  for (const Wait::Part& part : wait.parts) locks.push_back(part.lock);

  state_.RemoveWait(slot);
  const uint64_t token = Grant(owner, locks, terms);
  out_->Give(request, Reply::Integer(static_cast<int64_t>(token)));
  for (const Slot<Lock> lock : locks) LineMoved(lock);
}

// Every replica walks the same graph and picks the same victim: the owner of the circle that began
// last, for it has the least to lose.
void LockTable::Abort(const std::vector<WaitGraph::Step>& circle) {
  size_t youngest = 0;
  const auto age = [&](size_t i) {
    return std::pair(state_.at(circle[i].owner).age, state_.NameOf(circle[i].owner));
  };
  for (size_t i = 1; i < circle.size(); ++i) {
    if ((age(youngest) < age(i)) != Planted(Mutant::kVictimNotYoungest)) youngest = i;
  }
  const Slot<Owner> victim = circle[youngest].owner;
  Deadlock deadlock{.at = at_.time,
                    .victim = Bytes(state_.NameOf(victim)),
                    .circle = Describe(circle, youngest),
                    .released = {},
                    .released_count = state_.at(victim).holds};
  const Reply reply = Reply::Error(
      "DEADLOCK",
      Format("waiting for '%s' would close a cycle: %s; all locks of '%s' were released; try again",
             Printable(state_.NameOf(circle[youngest].lock)).c_str(), deadlock.circle.c_str(),
             Printable(deadlock.victim).c_str()));

  Tell("deadlock", circle[youngest].lock, victim, 0);
  while (state_.at(victim).waits > 0) EndWait(state_.at(victim).first_wait, reply);
  constexpr size_t kReleasedKept = 16;
  const uint32_t kept = Planted(Mutant::kVictimKeepsOneLock) ? 1 : 0;
  while (state_.at(victim).holds > kept) {
    const Slot<Hold> hold = state_.at(victim).first_hold;
    if (deadlock.released.size() < kReleasedKept) {
      deadlock.released.emplace_back(state_.NameOf(state_.at(hold).lock));
    }
    EndHold(hold, Ending::kReleased);
  }
  RememberAge(victim);
  DropOwnerIfIdle(victim);

  ++deadlocks_ever_;
  deadlocks_hash_ += HashOf(deadlock);
  deadlocks_.push_back(std::move(deadlock));
  if (deadlocks_.size() > limits_.deadlocks_kept) {
    deadlocks_hash_ -= HashOf(deadlocks_.front());
    deadlocks_.pop_front();
  }
}

}  // namespace lockstep
