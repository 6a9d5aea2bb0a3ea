#include "commands/lock_table.h"

#include <algorithm>

#include "commands/overloaded.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

// What looking at one lock costs in a transaction, beside bytes of answers.
constexpr uint64_t kRowCost = 16;

Reply LimitError(size_t is, const char* what) {
  return Reply::Error("LIMIT", Format("%s %zu already, the most that this version takes; nothing "
                                      "was changed",
                                      what, is));
}

std::optional<BoundTo> BondOf(const RequestId& request, const AcquireOp& op) {
  if (!op.bind) return std::nullopt;
  return BoundTo{request.origin, request.incarnation, *op.bind};
}

ClusterTime WaitDeadline(ClusterTime now, const AcquireOp& op) {
  return *op.wait_ms == 0 ? kNeverCluster : now + *op.wait_ms;
}

}  // namespace

LockTable::LockTable(const LockLimits& limits) : limits_(limits), graph_(&state_) {}

// In the order of the deadlines, each with all its consequences before the next: so it makes no
// difference to who gets a lock whether time is told in one step or in many. A waiter whose
// deadline comes before the end of the lease it waits for is gone by then (traps 40, 41).
void LockTable::Advance(const Position& at, Effects* out) {
  at_ = at;
  out_ = out;
  renewed_ = 0;
  const auto due = [&at](const DeadlineHeap& heap) {
    return !heap.empty() && IsOver(heap.top().deadline, at.time);
  };
  while (due(state_.memories())) {
    const Slot<Owner> owner{state_.memories().top().thing};
    state_.Remember(owner, {});
    DropOwnerIfIdle(owner);
  }
  const DeadlineHeap& leases = state_.leases();
  const DeadlineHeap& waits = state_.wait_deadlines();
  while (due(leases) || due(waits)) {
    const auto key = [](const DeadlineHeap& heap) {
      return std::pair(heap.top().deadline, heap.top().seq);
    };
    const auto lease_is_first = [&] {
      return key(leases) < key(waits) || Planted(Mutant::kWaiterPastItsDeadline);
    };
    if (!due(waits) || (due(leases) && lease_is_first())) {
      ExpireHold(Slot<Hold>{leases.top().thing});
    } else {
      const Slot<Wait> wait{waits.top().thing};
      const Slot<Owner> owner = state_.at(wait).owner;
      EndWait(wait, Reply::Nil());
      DropOwnerIfIdle(owner);
    }
    Settle();
  }
}

ClusterTime LockTable::NextDeadline() const {
  ClusterTime next = kNeverCluster;
  for (const DeadlineHeap* heap :
       {&state_.leases(), &state_.wait_deadlines(), &state_.memories()}) {
    if (!heap->empty()) next = std::min(next, heap->top().deadline);
  }
  return next;
}

void LockTable::Apply(const Position& at, const RequestId& request, BytesView op, Effects* out) {
  at_ = at;
  out_ = out;
  const std::optional<LockOp> decoded = DecodeLockOp(op);
  if (!decoded) {
    out->Give(request, Reply::Error("ERR", "unreadable lock operation; nothing was changed"));
    return;
  }
  if (auto reply = Run(request, *decoded, false)) out->Give(request, *std::move(reply));
}

std::optional<Reply> LockTable::Run(const RequestId& request, const LockOp& op, bool in_batch) {
  using Answer = std::optional<Reply>;
  const auto refused = [] {
    return Reply::Error("ERR", "no such operation in a batch; nothing was changed");
  };
  return std::visit(
      Overloaded{
          [&](const AcquireOp& o) { return Acquire(request, o, in_batch); },
          [&](const RenewOp& o) { return Answer(Renew(o)); },
          [&](const ReleaseOp& o) { return Answer(Release(o)); },
          [&](const RevokeOp& o) { return Answer(Revoke(o)); },
          [&](const CancelOp& o) { return Answer(in_batch ? refused() : Cancel(o)); },
          [&](const HangupOp& o) { return Answer(in_batch ? refused() : Hangup(o)); },
          [&](const BatchOp& o) { return Answer(in_batch ? refused() : Batch(request, o)); },
      },
      op);
}

std::optional<Reply> LockTable::Acquire(const RequestId& request, const AcquireOp& op,
                                        bool in_batch) {
  LookUp(op);
  if (auto refusal = Refusal(op)) return refusal;

  if (GrantableAtOnce(op)) {
    const Slot<Owner> owner = WantedOwner(op);
    // The newest request has the answer. An older one, granted later, would change the token or
    // the mode of what the owner has just been given.
    if (EndOverlappingWaits(op, owner)) LookUp(op);
    for (size_t i = 0; i < op.names.size(); ++i) AddIfMissing(op, op.names[i], &wanted_.locks[i]);
    const uint64_t token = Grant(owner, wanted_.locks,
                                 {op.mode, op.ttl_ms, op.meta, BondOf(request, op), nullptr});
    Settle();
    return Reply::Integer(static_cast<int64_t>(token));
  }
  // Inside MULTI nothing waits: the rest of the transaction could not.
  if (!op.wait_ms || in_batch) return Reply::Nil();
  if (auto refusal = LineRefusal()) return refusal;
  const Slot<Owner> owner = WantedOwner(op);
  if (!TakeOverWait(request, op, owner)) BeginWait(request, op, owner);
  Settle();
  return std::nullopt;  // The operation that makes room gives the answer, or the deadline does.
}

void LockTable::LookUp(const AcquireOp& op) {
  wanted_.owner = state_.FindOwner(op.owner);
  wanted_.locks.clear();
  for (const Bytes& name : op.names) wanted_.locks.push_back(state_.FindLock(name));
}

std::optional<Reply> LockTable::Refusal(const AcquireOp& op) const {
  size_t new_locks = 0;
  for (const Slot<Lock> lock : wanted_.locks) {
    if (!lock.valid()) {
      ++new_locks;
    } else if (auto refusal = LimitRefusal(op, lock)) {
      return refusal;
    }
  }
  if (new_locks > 0 && state_.locks().size() + new_locks > limits_.locks_max) {
    return LimitError(state_.locks().size(), "the number of locks is");
  }
  const Slot<Owner> owner = wanted_.owner;
  if (!owner.valid()) return std::nullopt;
  const size_t held = state_.at(owner).holds;
  if (held + op.names.size() <= limits_.locks_per_owner_max) return std::nullopt;
  const auto is_new = [&](Slot<Lock> lock) {
    return !lock.valid() || !state_.FindHold(owner, lock).valid();
  };
  const auto more = std::count_if(wanted_.locks.begin(), wanted_.locks.end(), is_new);
  if (held + static_cast<size_t>(more) <= limits_.locks_per_owner_max) return std::nullopt;
  return LimitError(held, "the number of locks of this owner is");
}

// All who share a lock must agree on its LIMIT; it stands while the lock has holders or waiters.
std::optional<Reply> LockTable::LimitRefusal(const AcquireOp& op, Slot<Lock> lock) const {
  const uint32_t in_force = state_.at(lock).limit;
  const uint32_t asked = op.limit > 0 ? op.limit : kLimitUnlimited;
  if (op.mode == LockMode::kExclusive || in_force == kLimitOpen || in_force == asked) {
    return std::nullopt;
  }
  const Bytes name = Printable(state_.NameOf(lock));
  if (in_force == kLimitUnlimited) {
    return Reply::Error("ERR", Format("lock '%s' is shared without LIMIT now; ask without LIMIT, "
                                      "or when it is free; nothing was changed",
                                      name.c_str()));
  }
  return Reply::Error("ERR", Format("lock '%s' has LIMIT %u in force; ask with the same, or when "
                                    "it is free; nothing was changed",
                                    name.c_str(), in_force));
}

// Whoever waits already, or holds and wants more, does not make the line longer by asking again.
std::optional<Reply> LockTable::LineRefusal() const {
  const Slot<Owner> owner = wanted_.owner;
  for (const Slot<Lock> lock : wanted_.locks) {
    if (!lock.valid() || state_.at(lock).line == nullptr) continue;
    const bool known = owner.valid() && (state_.FindWait(owner, lock).valid() ||
                                         state_.FindHold(owner, lock).valid());
    if (known) continue;
    const size_t waiting = state_.at(lock).line->size();
    if (waiting < limits_.waiters_per_lock_max) continue;
    const Bytes name = Printable(state_.NameOf(lock));
    const Bytes what = Format("the number of waiters for '%s' is", name.c_str());
    return LimitError(waiting, what.c_str());
  }
  return std::nullopt;
}

// Whether nobody and nothing is in the way. The owner's own wait does not count: it is not
// overtaken by its owner. Changes nothing, so that a try for a lock held by others leaves no trace.
bool LockTable::GrantableAtOnce(const AcquireOp& op) const {
  const Slot<Owner> owner = wanted_.owner;
  for (const Slot<Lock> slot : wanted_.locks) {
    if (!slot.valid()) continue;
    const Lock& lock = state_.at(slot);
    const Slot<Hold> own = owner.valid() ? state_.FindHold(owner, slot) : Slot<Hold>();
    if (own.valid()) {
      const bool upgrade =
          state_.at(own).mode == LockMode::kShared && op.mode == LockMode::kExclusive;
      if (upgrade && lock.holds > 1) return false;
      continue;
    }
    const bool overtakes =
        op.mode == LockMode::kShared && Planted(Mutant::kReaderOvertakesWriter);
    if (lock.line != nullptr && !overtakes) {
      const bool only_own = lock.line->size() == 1 && owner.valid() &&
                            state_.FindWait(owner, slot).valid();
      if (!only_own) return false;
    }
    if (!CanJoin(lock, op.mode)) return false;
  }
  return true;
}

void LockTable::AddIfMissing(const AcquireOp& op, BytesView name, Slot<Lock>* lock) {
  if (!lock->valid()) *lock = state_.AddLock(name);
  if (op.mode == LockMode::kShared) {
    state_.SetLimit(*lock, op.limit > 0 ? op.limit : kLimitUnlimited);
  }
}

std::vector<Slot<Lock>> LockTable::FindOrAddLocks(const AcquireOp& op) {
  std::vector<Slot<Lock>> locks;
  for (const Bytes& name : op.names) {
    locks.push_back(state_.FindLock(name));
    AddIfMissing(op, name, &locks.back());
  }
  return locks;
}

Slot<Owner> LockTable::WantedOwner(const AcquireOp& op) {
  if (!wanted_.owner.valid()) wanted_.owner = state_.AddOwner(op.owner, at_.index.value);
  return wanted_.owner;
}

// The same names as an older wait of this owner: a client's retry, or a change of mind about the
// mode. It keeps the place in the lines.
bool LockTable::TakeOverWait(const RequestId& request, const AcquireOp& op, Slot<Owner> owner) {
  const std::vector<Slot<Wait>> overlapping = OverlappingWaits(op, owner);
  if (overlapping.size() != 1) return false;
  const Slot<Wait> slot = overlapping.front();
  if (state_.at(slot).parts.size() != op.names.size()) return false;
  for (const Bytes& name : op.names) {
    const Slot<Lock> lock = state_.FindLock(name);
    if (!lock.valid() || state_.FindWait(owner, lock) != slot) return false;
  }
  out_->Give(state_.at(slot).request, Reply::Nil());
  const bool changes_mode = state_.at(slot).mode != op.mode;
  state_.EditWait(slot, [&](Wait* wait) {
    wait->request = request;
    wait->mode = op.mode;
    wait->ttl_ms = op.ttl_ms;
    wait->deadline = WaitDeadline(at_.time, op);
    wait->meta = op.meta;
    wait->bound = BondOf(request, op);
  });
  candidates_.insert({state_.at(slot).seq, slot});
  for (const Slot<Lock> lock : FindOrAddLocks(op)) {
    state_.Replace(owner, lock);
    LineMoved(lock);
  }
  if (changes_mode) SuspectAllOf(owner);  // Else everybody needs whom they needed.
  return true;
}

void LockTable::BeginWait(const RequestId& request, const AcquireOp& op, Slot<Owner> owner) {
  EndOverlappingWaits(op, owner);
  Wait wait;
  wait.seq = state_.NextSeq();
  wait.request = request;
  wait.owner = owner;
  wait.mode = op.mode;
  wait.ttl_ms = op.ttl_ms;
  wait.deadline = WaitDeadline(at_.time, op);
  wait.began = at_.time;
  wait.meta = op.meta;
  wait.bound = BondOf(request, op);
  for (const Slot<Lock> lock : FindOrAddLocks(op)) wait.parts.push_back({lock, {}});
  const LockSeq seq = wait.seq;
  const Slot<Wait> slot = state_.AddWait(std::move(wait));
  candidates_.insert({seq, slot});
  const auto& parts = state_.at(slot).parts;
  const bool upgrades = std::any_of(parts.begin(), parts.end(), [](const Wait::Part& part) {
    return part.place == Wait::Part::Place::kUpgrading;
  });
  if (Planted(Mutant::kUpgradeLetsGo) && upgrades && parts.size() == 1) {
    EndHold(state_.FindHold(owner, parts.front().lock), Ending::kReleased);
  }
  for (const Wait::Part& part : parts) {
    if (Planted(Mutant::kMacquireShowsSubset) && IsReadyAt(state_.at(slot), slot, part)) {
      Grant(owner, {&part.lock, 1}, {op.mode, op.ttl_ms, op.meta, BondOf(request, op), nullptr});
    }
  }
  if (upgrades) {
    SuspectAllOf(owner);
  } else {
    suspects_.emplace_back(seq, slot);  // It is behind everybody: only what it needs is new.
  }
}

bool LockTable::EndOverlappingWaits(const AcquireOp& op, Slot<Owner> owner) {
  if (state_.at(owner).waits == 0) return false;
  const std::vector<Slot<Wait>> older = OverlappingWaits(op, owner);
  for (const Slot<Wait> wait : older) EndWait(wait, Reply::Nil());
  return !older.empty();
}

// In the order in which they began.
std::vector<Slot<Wait>> LockTable::OverlappingWaits(const AcquireOp& op, Slot<Owner> owner) const {
  std::vector<std::pair<LockSeq, Slot<Wait>>> found;
  for (const Bytes& name : op.names) {
    const Slot<Lock> lock = state_.FindLock(name);
    const Slot<Wait> wait = lock.valid() ? state_.FindWait(owner, lock) : Slot<Wait>();
    if (wait.valid()) found.emplace_back(state_.at(wait).seq, wait);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<Slot<Wait>> waits;
  for (const auto& [seq, wait] : found) waits.push_back(wait);
  return waits;
}

Reply LockTable::Renew(const RenewOp& op) {
  const Slot<Owner> owner = state_.FindOwner(op.owner);
  if (!owner.valid()) return Reply::Integer(Planted(Mutant::kLateRenewal) ? 1 : 0);
  const ClusterTime deadline = at_.time + op.ttl_ms;
  const auto renew = [deadline](Hold* hold) {
    hold->deadline = deadline;
    if (hold->extra != nullptr && hold->extra->before) hold->extra->before->deadline = deadline;
  };
  if (op.all) {
    // The first is always taken, so whoever sends one at a time is never refused.
    if (renewed_ >= limits_.renewals_an_entry) {
      return LimitError(renewed_, "leases renewed by requests that came together with this one:");
    }
    renewed_ += state_.at(owner).holds;
    // A heartbeat for all locks does not say that its sender knows of each of them.
    for (Slot<Hold> h = state_.at(owner).first_hold; h.valid(); h = state_.at(h).owner_next) {
      state_.EditHold(h, renew);
    }
    return Reply::Integer(state_.at(owner).holds);
  }
  const Slot<Lock> lock = state_.FindLock(op.name);
  const Slot<Hold> hold = lock.valid() ? state_.FindHold(owner, lock) : Slot<Hold>();
  if (!hold.valid()) return Reply::Integer(Planted(Mutant::kLateRenewal) ? 1 : 0);
  state_.MarkHeard(hold);
  state_.EditHold(hold, renew);
  return Reply::Integer(1);
}

// TOKEN speaks of one grant: another one, and any wait beside it, is left alone. With ALL it is
// every lock of that grant, which a MACQUIRE may have given several of.
Reply LockTable::Release(const ReleaseOp& op) {
  const Slot<Owner> owner = state_.FindOwner(op.owner);
  if (!owner.valid()) return Reply::Integer(0);

  std::vector<Slot<Hold>> holds;
  const auto add = [&](Slot<Hold> hold) {
    if (!op.token || state_.at(hold).token == *op.token) holds.push_back(hold);
  };
  if (op.all) {
    for (Slot<Hold> h = state_.at(owner).first_hold; h.valid(); h = state_.at(h).owner_next) add(h);
  } else if (const Slot<Lock> lock = state_.FindLock(op.name); lock.valid()) {
    if (const Slot<Hold> hold = state_.FindHold(owner, lock); hold.valid()) add(hold);
    const Slot<Wait> wait = state_.FindWait(owner, lock);
    if (!op.token && wait.valid()) EndWait(wait, Reply::Nil());
  }
  if (op.all && !op.token) {
    while (state_.at(owner).waits > 0) EndWait(state_.at(owner).first_wait, Reply::Nil());
  }
  for (const Slot<Hold> hold : holds) {
    state_.MarkHeard(hold);
    const Slot<Wait> wait = state_.FindWait(owner, state_.at(hold).lock);
    if (wait.valid()) EndWait(wait, Reply::Nil());
    EndHold(hold, Ending::kReleased);
  }
  DropOwnerIfIdle(owner);
  Settle();
  return Reply::Integer(static_cast<int64_t>(holds.size()));
}

Reply LockTable::Revoke(const RevokeOp& op) {
  const Slot<Lock> lock = state_.FindLock(op.name);
  if (!lock.valid()) return Reply::Integer(0);
  std::vector<Slot<Hold>> holds;
  for (Slot<Hold> h = state_.at(lock).first_hold; h.valid(); h = state_.at(h).lock_next) {
    if (!op.owner || state_.NameOf(state_.at(h).owner) == *op.owner) holds.push_back(h);
  }
  for (const Slot<Hold> hold : holds) {
    const Slot<Owner> owner = state_.at(hold).owner;
    EndHold(hold, Ending::kRevoked);
    DropOwnerIfIdle(owner);
  }
  Settle();
  return Reply::Integer(static_cast<int64_t>(holds.size()));
}

Reply LockTable::Cancel(const CancelOp& op) {
  if (const Slot<Wait> wait = state_.FindWait(op.target); wait.valid()) {
    const Slot<Owner> owner = state_.at(wait).owner;
    const bool error = op.why == CancelOp::Why::kError;
    EndWait(wait, error ? Reply::Error("UNBLOCKED", "client unblocked via CLIENT UNBLOCK")
                        : Reply::Nil());
    DropOwnerIfIdle(owner);
    Settle();
    return Reply::Integer(1);
  }
  if (op.why != CancelOp::Why::kGone) return Reply::Integer(0);
  // The grant crossed the closing of the connection: nobody has received it or would
  // release it.
  const std::vector<Slot<Hold>> holds = state_.UnheardBy(op.target, op.target);
  if (holds.empty()) return Reply::Integer(0);
  const Slot<Owner> owner = state_.at(holds.front()).owner;
  for (const Slot<Hold> hold : holds) TakeBack(hold);
  DropOwnerIfIdle(owner);
  Settle();
  return Reply::Integer(1);
}

Reply LockTable::Hangup(const HangupOp& op) {
  const BoundTo bond{op.origin, op.incarnation, op.client};
  const std::vector<Slot<Wait>> waits = state_.WaitsBoundTo(bond, bond);
  const std::vector<Slot<Hold>> holds = state_.HoldsBoundTo(bond, bond);
  for (const Slot<Wait> wait : waits) {
    const Slot<Owner> owner = state_.at(wait).owner;
    EndWait(wait, Reply::Nil());
    DropOwnerIfIdle(owner);
  }
  for (const Slot<Hold> hold : holds) {
    if (Planted(Mutant::kHangupForgetsBound)) break;
    EndBond(hold, bond, bond);
  }
  Settle();
  return Reply::Integer(static_cast<int64_t>(waits.size() + holds.size()));
}

void LockTable::EndSessions(const Position& at, NodeId origin, uint64_t incarnation,
                            Effects* out) {
  at_ = at;
  out_ = out;
  if (incarnation == 0) return;
  for (const Slot<Wait> wait : state_.WaitsOfSessions(origin, incarnation)) {
    const Slot<Owner> owner = state_.at(wait).owner;
    EndWait(wait, Reply::Nil());
    DropOwnerIfIdle(owner);
  }
  const BoundTo low{origin, 0, {}};
  const BoundTo high{origin, incarnation - 1, ClientId{UINT64_MAX}};
  for (const Slot<Hold> hold : state_.HoldsBoundTo(low, high)) EndBond(hold, low, high);
  // Nobody of these sessions can say any more that it did not hear of a grant.
  for (const Slot<Hold> hold :
       state_.UnheardBy({origin, 0, 0}, {origin, incarnation - 1, UINT64_MAX})) {
    state_.MarkHeard(hold);
  }
  Settle();
}

// Operations answer briefly; queries may ask for more than one reply can hold, and every node does
// their work. So what they cost is counted, the same everywhere, and beyond it they are refused.
Reply LockTable::Batch(const RequestId& request, const BatchOp& op) {
  Reply answers = Reply::Array();
  size_t cost = 0;
  for (const BatchOp::Item& item : op.items) {
    if (item.is_query && cost > kReplyCostMax / 2) {
      answers.Add(Reply::Error("LIMIT", "the answers of this transaction are too long together; "
                                        "this one was left out, ask again outside of it"));
      continue;
    }
    if (item.is_query) {
      const uint64_t looked_at = looked_at_;
      answers.Add(Query(at_.time, item.bytes));
      cost += ReplyCost(answers.items.back()) + (looked_at_ - looked_at) * kRowCost;
      continue;
    }
    const std::optional<LockOp> decoded = DecodeLockOp(item.bytes);
    if (!decoded) {
      answers.Add(Reply::Error("ERR", "unreadable lock operation; nothing was changed"));
      continue;
    }
    std::optional<Reply> answer = Run(request, *decoded, true);
    CHECK(answer.has_value());  // Nothing in a batch waits.
    answers.Add(*std::move(answer));
  }
  return answers;
}

LockTable::Figures LockTable::figures() const {
  return {.locks = state_.locks().size(),
          .holds = state_.holds().size(),
          .waits = state_.waits().size(),
          .owners = state_.owners().size(),
          .last_token = last_token_,
          .deadlocks = deadlocks_ever_,
          .expired = expired_};
}

uint64_t LockTable::Hash() const {
  uint64_t hash = HashMix(state_.hash(), state_.next_seq());
  hash = HashMix(hash, last_token_);
  return HashMix(hash, HashMix(deadlocks_hash_, deadlocks_ever_));
}

void LockTable::CheckInvariants() const {
  state_.CheckLinks();
  CHECK(candidates_.empty() && suspects_.empty());
  for (Slot<Lock> l = state_.locks().first(); l.valid(); l = state_.locks().Next(l)) CheckLock(l);
  WaitGraph graph(&state_);
  for (Slot<Wait> w = state_.waits().first(); w.valid(); w = state_.waits().Next(w)) {
    CHECK(graph.CircleThrough(w).empty());
  }
}

void LockTable::CheckLock(Slot<Lock> slot) const {
  const Lock& lock = state_.at(slot);
  const bool semaphore = lock.limit != kLimitOpen && lock.limit != kLimitUnlimited;
  for (Slot<Hold> h = lock.first_hold; h.valid(); h = state_.at(h).lock_next) {
    CHECK(lock.holds == 1 || state_.at(h).mode == LockMode::kShared);
    CHECK(state_.at(h).token <= last_token_);
  }
  CHECK(!semaphore || lock.holds <= lock.limit);
  if (lock.line == nullptr) return;
  CHECK(lock.line->upgrading.size() <= 1);
  if (!lock.line->upgrading.empty()) CHECK(!IsReady(lock.line->upgrading.begin()->second));
  if (!lock.line->queued.empty()) CHECK(!IsReady(lock.line->queued.begin()->second));
}

}  // namespace lockstep
