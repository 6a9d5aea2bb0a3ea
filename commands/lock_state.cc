#include "commands/lock_state.h"

#include <algorithm>
#include <limits>

namespace lockstep {
namespace {

uint64_t PlaceKey(Slot<Owner> owner, Slot<Lock> lock) {
  return uint64_t{owner.value} << 32 | lock.value;
}

uint64_t HashOf(const RequestId& id) {
  return HashMix(HashMix(id.origin.value, id.incarnation), id.seq);
}

uint64_t HashOf(const BoundTo& bound) {
  return HashMix(HashMix(bound.origin.value, bound.incarnation), bound.client.value);
}

uint64_t HashOf(ClusterTime time) { return static_cast<uint64_t>(time.ms); }

// Appends a record to a doubly linked list that runs through the records' `next` and `previous`.
template <class T>
void Append(Slab<T>* slab, Slot<T> slot, Slot<T>* first, Slot<T>* last, Slot<T> T::*next,
            Slot<T> T::*previous) {
  if (last->valid()) {
    CHECK((*slab)[*last].seq < (*slab)[slot].seq);
    (*slab)[*last].*next = slot;
  } else {
    *first = slot;
  }
  (*slab)[slot].*previous = *last;
  *last = slot;
}

template <class T>
void Unlink(Slab<T>* slab, Slot<T> slot, Slot<T>* first, Slot<T>* last, Slot<T> T::*next,
            Slot<T> T::*previous) {
  T& record = (*slab)[slot];
  (record.*previous).valid() ? (*slab)[record.*previous].*next = record.*next
                             : *first = record.*next;
  (record.*next).valid() ? (*slab)[record.*next].*previous = record.*previous
                         : *last = record.*previous;
}

// The values of a map from (key, seq) whose keys are in [low, high], in order of seq, each once: a
// record may be there under two keys.
template <class Key, class T>
std::vector<Slot<T>> InRange(const std::map<std::pair<Key, LockSeq>, Slot<T>>& map, const Key& low,
                             const Key& high) {
  std::vector<std::pair<LockSeq, Slot<T>>> found;
  for (auto it = map.lower_bound({low, 0}); it != map.end() && it->first.first <= high; ++it) {
    found.emplace_back(it->first.second, it->second);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<Slot<T>> slots;
  slots.reserve(found.size());
  for (const auto& [seq, slot] : found) slots.push_back(slot);
  return slots;
}

}  // namespace

Slot<Lock> LockState::FindLock(BytesView name) const {
  return {lock_index_.Find(name, [this](uint32_t n) { return NameOf(Slot<Lock>{n}); })};
}

Slot<Owner> LockState::FindOwner(BytesView name) const {
  return {owner_index_.Find(name, [this](uint32_t n) { return NameOf(Slot<Owner>{n}); })};
}

Slot<Hold> LockState::FindHold(Slot<Owner> owner, Slot<Lock> lock) const {
  // Both lists at once, so that the shorter one bounds the work: a lock with ten thousand readers,
  // an owner with ten thousand locks.
  Slot<Hold> by_lock = locks_[lock].first_hold;
  Slot<Hold> by_owner = owners_[owner].first_hold;
  while (by_lock.valid() && by_owner.valid()) {
    const Hold& of_lock = holds_[by_lock];
    if (of_lock.owner == owner) return by_lock;
    const Hold& of_owner = holds_[by_owner];
    if (of_owner.lock == lock) return by_owner;
    by_lock = of_lock.lock_next;
    by_owner = of_owner.owner_next;
  }
  return {};
}

Slot<Wait> LockState::FindWait(Slot<Owner> owner, Slot<Lock> lock) const {
  if (owners_[owner].waits == 0) return {};
  const auto it = waits_by_place_.find(PlaceKey(owner, lock));
  return it == waits_by_place_.end() ? Slot<Wait>() : it->second.wait;
}

Slot<Wait> LockState::FindWait(const RequestId& request) const {
  const auto it = waits_by_request_.find(request);
  return it == waits_by_request_.end() ? Slot<Wait>() : it->second;
}

std::vector<Slot<Hold>> LockState::HoldsBoundTo(const BoundTo& low, const BoundTo& high) const {
  return InRange(bound_holds_, low, high);
}

std::vector<Slot<Wait>> LockState::WaitsBoundTo(const BoundTo& low, const BoundTo& high) const {
  return InRange(bound_waits_, low, high);
}

std::vector<Slot<Wait>> LockState::WaitsOfSessions(NodeId origin,
                                                   uint64_t below_incarnation) const {
  std::vector<std::pair<LockSeq, Slot<Wait>>> found;
  const RequestId end{origin, below_incarnation, 0};
  for (auto it = waits_by_request_.lower_bound({origin, 0, 0});
       it != waits_by_request_.end() && it->first < end; ++it) {
    found.emplace_back(waits_[it->second].seq, it->second);
  }
  std::sort(found.begin(), found.end());
  std::vector<Slot<Wait>> slots;
  for (const auto& [seq, slot] : found) slots.push_back(slot);
  return slots;
}

std::vector<Slot<Hold>> LockState::UnheardBy(const RequestId& low, const RequestId& high) const {
  return InRange(unheard_, low, high);
}

Slot<Lock> LockState::AddLock(BytesView name) {
  const Slot<Lock> slot = locks_.Add();
  locks_[slot].name = PackedName(name);
  lock_index_.Add(name, slot.value);
  hash_ += HashOf(slot);
  return slot;
}

void LockState::SetLimit(Slot<Lock> lock, uint32_t limit) {
  if (locks_[lock].limit == limit) return;
  hash_ -= HashOf(lock);
  locks_[lock].limit = limit;
  hash_ += HashOf(lock);
}

void LockState::DropLockIfIdle(Slot<Lock> slot) {
  const Lock& lock = locks_[slot];
  if (lock.holds > 0 || lock.line != nullptr) return;
  hash_ -= HashOf(slot);
  lock_index_.Remove(lock.name.view(), slot.value);
  locks_.Remove(slot);
}

Slot<Owner> LockState::AddOwner(BytesView name, uint64_t age) {
  const Slot<Owner> slot = owners_.Add();
  owners_[slot].name = PackedName(name);
  owners_[slot].age = age;
  owner_index_.Add(name, slot.value);
  hash_ += HashOf(slot);
  return slot;
}

void LockState::Remember(Slot<Owner> slot, ClusterTime until) {
  if (owners_[slot].remembered_until == until) return;
  hash_ -= HashOf(slot);
  owners_[slot].remembered_until = until;
  hash_ += HashOf(slot);
  if (until == ClusterTime{}) {
    memories_.Remove(slot.value);
  } else {
    memories_.Set(slot.value, until, slot.value);
  }
}

void LockState::RemoveOwner(Slot<Owner> slot) {
  CHECK(owners_[slot].holds == 0 && owners_[slot].waits == 0);
  Remember(slot, {});
  hash_ -= HashOf(slot);
  owner_index_.Remove(NameOf(slot), slot.value);
  owners_.Remove(slot);
}

Slot<Hold> LockState::AddHold(Hold hold) {
  const Slot<Hold> slot = holds_.Add();
  Lock& lock = locks_[hold.lock];
  Owner& owner = owners_[hold.owner];
  holds_[slot] = std::move(hold);
  Append(&holds_, slot, &lock.first_hold, &lock.last_hold, &Hold::lock_next, &Hold::lock_previous);
  Append(&holds_, slot, &owner.first_hold, &owner.last_hold, &Hold::owner_next,
         &Hold::owner_previous);
  ++lock.holds;
  ++owner.holds;
  Index(slot);
  return slot;
}

void LockState::RemoveHold(Slot<Hold> slot) {
  Unindex(slot);
  leases_.Remove(slot.value);
  Lock& lock = locks_[holds_[slot].lock];
  Owner& owner = owners_[holds_[slot].owner];
  Unlink(&holds_, slot, &lock.first_hold, &lock.last_hold, &Hold::lock_next, &Hold::lock_previous);
  Unlink(&holds_, slot, &owner.first_hold, &owner.last_hold, &Hold::owner_next,
         &Hold::owner_previous);
  --lock.holds;
  --owner.holds;
  holds_.Remove(slot);
}

void LockState::MarkHeard(Slot<Hold> slot) {
  if (holds_[slot].extra == nullptr || !holds_[slot].extra->unheard) return;
  const RequestId request = *holds_[slot].extra->unheard;
  // One request has one answer: whoever knows of one of its locks knows of all.
  for (const Slot<Hold> hold : UnheardBy(request, request)) {
    EditHold(hold, [](Hold* h) {
      h->extra->unheard.reset();
      h->extra->before.reset();
    });
  }
}

void LockState::Unindex(Slot<Hold> slot) {
  const Hold& hold = holds_[slot];
  hash_ -= HashOf(hold);
  if (hold.extra == nullptr) return;
  if (hold.extra->bound) bound_holds_.erase({*hold.extra->bound, hold.seq});
  if (const auto& before = hold.extra->before; before && before->bound) {
    bound_holds_.erase({*before->bound, hold.seq});
  }
  if (hold.extra->unheard) unheard_.erase({*hold.extra->unheard, hold.seq});
}

void LockState::Index(Slot<Hold> slot) {
  Hold& hold = holds_[slot];
  leases_.Set(slot.value, hold.deadline, hold.seq);
  if (hold.extra != nullptr && hold.extra->empty()) hold.extra.reset();
  hash_ += HashOf(hold);
  if (hold.extra == nullptr) return;
  if (hold.extra->bound) bound_holds_.insert({{*hold.extra->bound, hold.seq}, slot});
  if (const auto& before = hold.extra->before; before && before->bound) {
    bound_holds_.insert({{*before->bound, hold.seq}, slot});
  }
  if (hold.extra->unheard) unheard_.insert({{*hold.extra->unheard, hold.seq}, slot});
}

Slot<Wait> LockState::AddWait(Wait wait) {
  const Slot<Wait> slot = waits_.Add();
  Owner& owner = owners_[wait.owner];
  waits_[slot] = std::move(wait);
  Wait& added = waits_[slot];
  Append(&waits_, slot, &owner.first_wait, &owner.last_wait, &Wait::owner_next,
         &Wait::owner_previous);
  ++owner.waits;
  for (uint32_t i = 0; i < added.parts.size(); ++i) {
    Wait::Part& part = added.parts[i];
    const bool first = waits_by_place_.insert({PlaceKey(added.owner, part.lock), {slot, i}}).second;
    CHECK(first);  // An owner waits for a lock at most once.
    part.place = PlaceFor(added, part.lock);
    EnterLine(slot, part);
  }
  Index(slot);
  return slot;
}

void LockState::RemoveWait(Slot<Wait> slot) {
  Unindex(slot);
  wait_deadlines_.Remove(slot.value);
  const Wait& wait = waits_[slot];
  for (const Wait::Part& part : wait.parts) {
    LeaveLine(slot, part);
    waits_by_place_.erase(PlaceKey(wait.owner, part.lock));
  }
  Owner& owner = owners_[wait.owner];
  Unlink(&waits_, slot, &owner.first_wait, &owner.last_wait, &Wait::owner_next,
         &Wait::owner_previous);
  --owner.waits;
  waits_.Remove(slot);
}

Slot<Wait> LockState::Replace(Slot<Owner> owner, Slot<Lock> lock) {
  if (owners_[owner].waits == 0) return {};
  const auto it = waits_by_place_.find(PlaceKey(owner, lock));
  if (it == waits_by_place_.end()) return {};
  const Slot<Wait> slot = it->second.wait;
  Wait::Part& part = waits_[slot].parts[it->second.part];
  const Wait::Part::Place place = PlaceFor(waits_[slot], lock);
  if (place == part.place) return {};
  LeaveLine(slot, part);
  part.place = place;
  EnterLine(slot, part);
  return slot;
}

Wait::Part::Place LockState::PlaceFor(const Wait& wait, Slot<Lock> lock) const {
  const Slot<Hold> own = FindHold(wait.owner, lock);
  if (!own.valid()) return Wait::Part::Place::kQueued;
  const bool upgrade = holds_[own].mode == LockMode::kShared && wait.mode == LockMode::kExclusive;
  return upgrade ? Wait::Part::Place::kUpgrading : Wait::Part::Place::kHeld;
}

void LockState::EnterLine(Slot<Wait> slot, const Wait::Part& part) {
  if (part.place == Wait::Part::Place::kHeld) return;
  std::unique_ptr<Lock::Line>& line = locks_[part.lock].line;
  if (line == nullptr) line = std::make_unique<Lock::Line>();
  auto& where = part.place == Wait::Part::Place::kQueued ? line->queued : line->upgrading;
  where.emplace(waits_[slot].seq, slot);
}

void LockState::LeaveLine(Slot<Wait> slot, const Wait::Part& part) {
  if (part.place == Wait::Part::Place::kHeld) return;
  std::unique_ptr<Lock::Line>& line = locks_[part.lock].line;
  auto& where = part.place == Wait::Part::Place::kQueued ? line->queued : line->upgrading;
  where.erase(waits_[slot].seq);
  if (line->size() == 0) line.reset();
}

void LockState::Unindex(Slot<Wait> slot) {
  const Wait& wait = waits_[slot];
  hash_ -= HashOf(wait);
  waits_by_request_.erase(wait.request);
  if (wait.bound) bound_waits_.erase({*wait.bound, wait.seq});
}

void LockState::Index(Slot<Wait> slot) {
  const Wait& wait = waits_[slot];
  hash_ += HashOf(wait);
  const bool first = waits_by_request_.insert({wait.request, slot}).second;
  CHECK(first);  // A request waits once.
  if (wait.bound) bound_waits_.insert({{*wait.bound, wait.seq}, slot});
  if (wait.deadline == kNeverCluster) {
    wait_deadlines_.Remove(slot.value);
  } else {
    wait_deadlines_.Set(slot.value, wait.deadline, wait.seq);
  }
}

uint64_t LockState::HashOf(Slot<Lock> slot) const {
  const Lock& lock = locks_[slot];
  return HashMix(HashMix(Hash64(lock.name.view(), 1), lock.limit), slot.value);
}

uint64_t LockState::HashOf(Slot<Owner> slot) const {
  const Owner& owner = owners_[slot];
  uint64_t hash = HashMix(Hash64(owner.name.view(), 2), owner.age);
  hash = HashMix(hash, lockstep::HashOf(owner.remembered_until));
  return HashMix(hash, slot.value);
}

uint64_t LockState::HashOf(const Hold& hold) const {
  // Names are in the hashes of lock and owner; their slots stand for them.
  uint64_t hash = HashMix(3, PlaceKey(hold.owner, hold.lock));
  hash = HashMix(hash, hold.token);
  hash = HashMix(hash, hold.seq);
  hash = HashMix(hash, lockstep::HashOf(hold.deadline));
  hash = HashMix(hash, lockstep::HashOf(hold.granted_at));
  hash = HashMix(hash, static_cast<uint64_t>(hold.mode));
  if (hold.extra == nullptr) return hash;
  hash = HashMix(hash, Hash64(hold.extra->meta));
  if (hold.extra->bound) hash = HashMix(hash, lockstep::HashOf(*hold.extra->bound));
  if (hold.extra->unheard) hash = HashMix(hash, lockstep::HashOf(*hold.extra->unheard));
  if (!hold.extra->before) return hash;
  const HeldBefore& before = *hold.extra->before;
  hash = HashMix(hash, before.token * 2 + static_cast<uint64_t>(before.mode));
  hash = HashMix(hash, lockstep::HashOf(before.deadline));
  hash = HashMix(hash, lockstep::HashOf(before.granted_at));
  hash = HashMix(hash, Hash64(before.meta));
  return before.bound ? HashMix(hash, lockstep::HashOf(*before.bound)) : hash;
}

uint64_t LockState::HashOf(const Wait& wait) const {
  uint64_t hash = HashMix(4, wait.seq);
  hash = HashMix(hash, lockstep::HashOf(wait.request));
  hash = HashMix(hash, static_cast<uint64_t>(wait.mode));
  hash = HashMix(hash, static_cast<uint64_t>(wait.ttl_ms));
  hash = HashMix(hash, lockstep::HashOf(wait.deadline));
  hash = HashMix(hash, lockstep::HashOf(wait.began));
  hash = HashMix(hash, Hash64(wait.meta));
  if (wait.bound) hash = HashMix(hash, lockstep::HashOf(*wait.bound));
  for (const Wait::Part& part : wait.parts) hash = HashMix(hash, PlaceKey(wait.owner, part.lock));
  return hash;
}

void LockState::CheckLinks() const {
  size_t holds = 0;
  size_t parts = 0;
  uint64_t hash = 0;
  for (Slot<Lock> lock = locks_.first(); lock.valid(); lock = locks_.Next(lock)) {
    CheckLock(lock);
    holds += locks_[lock].holds;
    hash += HashOf(lock);
  }
  CHECK(holds == holds_.size() && holds == leases_.size());
  for (Slot<Owner> owner = owners_.first(); owner.valid(); owner = owners_.Next(owner)) {
    CheckOwner(owner);
    hash += HashOf(owner);
  }
  for (Slot<Hold> hold = holds_.first(); hold.valid(); hold = holds_.Next(hold)) {
    hash += HashOf(holds_[hold]);
  }
  for (Slot<Wait> wait = waits_.first(); wait.valid(); wait = waits_.Next(wait)) {
    CheckWait(wait);
    parts += waits_[wait].parts.size();
    hash += HashOf(waits_[wait]);
  }
  CHECK(parts == waits_by_place_.size());
  CHECK(waits_.size() == waits_by_request_.size());
  CHECK(locks_.size() == lock_index_.size() && owners_.size() == owner_index_.size());
  CHECK(hash == hash_);
}

void LockState::CheckLock(Slot<Lock> slot) const {
  const Lock& lock = locks_[slot];
  CHECK(FindLock(lock.name.view()) == slot);
  CHECK(lock.holds > 0 || lock.line != nullptr);
  CHECK(lock.line == nullptr || lock.line->size() > 0);
  uint32_t holds = 0;
  LockSeq seq = 0;
  for (Slot<Hold> h = lock.first_hold; h.valid(); h = holds_[h].lock_next) {
    CHECK(holds_[h].lock == slot && holds_[h].seq > seq);
    CHECK(FindHold(holds_[h].owner, slot) == h);
    seq = holds_[h].seq;
    ++holds;
  }
  CHECK(holds == lock.holds);
}

void LockState::CheckOwner(Slot<Owner> slot) const {
  const Owner& owner = owners_[slot];
  CHECK(FindOwner(owner.name.view()) == slot);
  CHECK(owner.holds > 0 || owner.waits > 0 || owner.remembered_until != ClusterTime{});
  uint32_t holds = 0;
  for (Slot<Hold> h = owner.first_hold; h.valid(); h = holds_[h].owner_next) {
    CHECK(holds_[h].owner == slot);
    ++holds;
  }
  CHECK(holds == owner.holds);
  uint32_t waits = 0;
  for (Slot<Wait> w = owner.first_wait; w.valid(); w = waits_[w].owner_next) {
    CHECK(waits_[w].owner == slot);
    ++waits;
  }
  CHECK(waits == owner.waits);
}

void LockState::CheckWait(Slot<Wait> slot) const {
  const Wait& wait = waits_[slot];
  CHECK(FindWait(wait.request) == slot);
  for (const Wait::Part& part : wait.parts) {
    CHECK(FindWait(wait.owner, part.lock) == slot);
    CHECK(part.place == PlaceFor(wait, part.lock));
    if (part.place == Wait::Part::Place::kHeld) continue;
    const Lock::Line& line = *locks_[part.lock].line;
    const auto& where = part.place == Wait::Part::Place::kQueued ? line.queued : line.upgrading;
    const auto it = where.find(wait.seq);
    CHECK(it != where.end() && it->second == slot);
  }
}

}  // namespace lockstep
