// The lock table as bytes: what a snapshot of group `locks` holds.
//
// Locks and owners in the order of their numbers, which LOCK.LIST's cursors and the hash depend on;
// holds and waits in the order of `seq`, from which all lists follow. So equal tables give equal
// bytes. The hash of the saved table is the last word: what loads differently is refused.
#include <algorithm>

#include "commands/lock_table.h"
#include "commands/save_codec.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr uint8_t kVersion = 2;

LockMode GetMode(Reader* in) { return in->Bool() ? LockMode::kShared : LockMode::kExclusive; }

BytesView GetName(Reader* in) {
  const BytesView name = in->String();
  if (name.empty() || name.size() > kNameBytesMax) in->Fail();
  return name;
}

Bytes GetMeta(Reader* in) {
  const BytesView meta = in->String();
  if (meta.size() > kMetaBytesMax) in->Fail();
  return Bytes(meta);
}

void PutExtra(const Hold::Extra* extra, Writer* out) {
  out->Bool(extra != nullptr);
  if (extra == nullptr) return;
  out->String(extra->meta);
  PutBound(extra->bound, out);
  out->Bool(extra->unheard.has_value());
  if (!extra->unheard) return;
  out->Put(*extra->unheard);
  out->Bool(extra->before.has_value());
  if (!extra->before) return;
  out->Varint(extra->before->token);
  out->Bool(extra->before->mode == LockMode::kShared);
  out->Put(extra->before->deadline);
  out->Put(extra->before->granted_at);
  PutBound(extra->before->bound, out);
  out->String(extra->before->meta);
}

std::unique_ptr<Hold::Extra> GetExtra(Reader* in) {
  if (!in->Bool()) return nullptr;
  auto extra = std::make_unique<Hold::Extra>();
  extra->meta = GetMeta(in);
  extra->bound = GetBound(in);
  if (!in->Bool()) return extra;
  extra->unheard = in->GetRequestId();
  if (!in->Bool()) return extra;
  HeldBefore& before = extra->before.emplace();
  before.token = in->Varint();
  before.mode = GetMode(in);
  before.deadline = in->GetTime();
  before.granted_at = in->GetTime();
  before.bound = GetBound(in);
  before.meta = GetMeta(in);
  return extra;
}

Error Damaged(const char* what) {
  return Error{Format("lock table snapshot is damaged: %s", what)};
}

// The slot that `number` names, if it is live.
template <class T>
Slot<T> LiveSlot(const Slab<T>& slab, uint64_t number) {
  if (number >= UINT32_MAX) return {};
  const Slot<T> slot{static_cast<uint32_t>(number)};
  return slab.live(slot) ? slot : Slot<T>();
}

// The slot of the next record of a list in ascending order; fails the reader if it is none. Numbers
// are dense but for what has come and gone, so one far beyond them is damage, not a big table.
template <class T>
Slot<T> GetSlot(uint64_t next, Reader* in) {
  const uint64_t number = next + in->Varint();
  constexpr uint64_t kSlotsMax = uint64_t{1} << 26;
  if (number < next || number > kSlotsMax) in->Fail();
  return Slot<T>{static_cast<uint32_t>(std::min(number, kSlotsMax))};
}

}  // namespace

void LockState::Save(Writer* out) const {
  out->Varint(next_seq_);
  out->Varint(locks_.size());
  uint32_t next = 0;
  for (Slot<Lock> l = locks_.first(); l.valid(); l = locks_.Next(l)) {
    out->Varint(l.value - next);
    next = l.value + 1;
    out->String(NameOf(l));
    out->Varint(locks_[l].limit);
  }
  out->Varint(owners_.size());
  next = 0;
  for (Slot<Owner> o = owners_.first(); o.valid(); o = owners_.Next(o)) {
    out->Varint(o.value - next);
    next = o.value + 1;
    out->String(NameOf(o));
    out->Varint(owners_[o].age);
    out->Put(owners_[o].remembered_until);
  }
  SaveHolds(out);
  SaveWaits(out);
  out->U64(hash_);
}

void LockState::SaveHolds(Writer* out) const {
  out->Varint(holds_.size());
  for (const Slot<Hold> slot : InOrderOfSeq(holds_)) {
    const Hold& hold = holds_[slot];
    out->Varint(hold.seq);
    out->Varint(hold.lock.value);
    out->Varint(hold.owner.value);
    out->Varint(hold.token);
    out->Put(hold.deadline);
    out->Put(hold.granted_at);
    out->Bool(hold.mode == LockMode::kShared);
    PutExtra(hold.extra.get(), out);
  }
}

void LockState::SaveWaits(Writer* out) const {
  out->Varint(waits_.size());
  for (const Slot<Wait> slot : InOrderOfSeq(waits_)) {
    const Wait& wait = waits_[slot];
    out->Varint(wait.seq);
    out->Put(wait.request);
    out->Varint(wait.owner.value);
    out->Bool(wait.mode == LockMode::kShared);
    out->Signed(wait.ttl_ms);
    out->Put(wait.deadline);
    out->Put(wait.began);
    out->String(wait.meta);
    PutBound(wait.bound, out);
    out->Varint(wait.parts.size());
    for (const Wait::Part& part : wait.parts) out->Varint(part.lock.value);
  }
}

Result<void> LockState::Load(Reader* in) {
  CHECK(locks_.size() == 0 && owners_.size() == 0);
  next_seq_ = in->Varint();
  if (auto done = LoadLocks(in); !done) return done;
  if (auto done = LoadOwners(in); !done) return done;
  if (auto done = LoadHolds(in); !done) return done;
  if (auto done = LoadWaits(in); !done) return done;
  return FinishLoad(in);
}

Result<void> LockState::LoadLocks(Reader* in) {
  const size_t count = in->Count(3);
  uint64_t next = 0;
  for (size_t i = 0; i < count && in->ok(); ++i) {
    const auto slot = GetSlot<Lock>(next, in);
    const BytesView name = GetName(in);
    const uint64_t limit = in->Varint();
    if (!in->ok() || limit > UINT32_MAX || FindLock(name).valid()) return Damaged("a lock");
    locks_.AddAt(slot);
    locks_[slot].name = PackedName(name);
    locks_[slot].limit = static_cast<uint32_t>(limit);
    lock_index_.Add(name, slot.value);
    hash_ += HashOf(slot);
    next = uint64_t{slot.value} + 1;
  }
  locks_.FillGaps();
  return {};
}

Result<void> LockState::LoadOwners(Reader* in) {
  const size_t count = in->Count(4);
  uint64_t next = 0;
  for (size_t i = 0; i < count && in->ok(); ++i) {
    const auto slot = GetSlot<Owner>(next, in);
    const BytesView name = GetName(in);
    const uint64_t age = in->Varint();
    const ClusterTime until = in->GetTime();
    if (!in->ok() || FindOwner(name).valid()) return Damaged("an owner");
    owners_.AddAt(slot);
    owners_[slot].name = PackedName(name);
    owners_[slot].age = age;
    owner_index_.Add(name, slot.value);
    hash_ += HashOf(slot);
    Remember(slot, until);
    next = uint64_t{slot.value} + 1;
  }
  owners_.FillGaps();
  return {};
}

Result<void> LockState::LoadHolds(Reader* in) {
  const size_t count = in->Count(8);
  LockSeq last = 0;
  for (size_t i = 0; i < count && in->ok(); ++i) {
    Hold hold;
    hold.seq = in->Varint();
    hold.lock = LiveSlot(locks_, in->Varint());
    hold.owner = LiveSlot(owners_, in->Varint());
    hold.token = in->Varint();
    hold.deadline = in->GetTime();
    hold.granted_at = in->GetTime();
    hold.mode = GetMode(in);
    hold.extra = GetExtra(in);
    const bool in_order = hold.seq > last && hold.seq < next_seq_;
    if (!in->ok() || !in_order || !hold.lock.valid() || !hold.owner.valid()) {
      return Damaged("a holder");
    }
    if (FindHold(hold.owner, hold.lock).valid()) return Damaged("a holder that holds twice");
    last = hold.seq;
    AddHold(std::move(hold));
  }
  return {};
}

Result<void> LockState::LoadWaits(Reader* in) {
  const size_t count = in->Count(12);
  LockSeq last = 0;
  for (size_t i = 0; i < count && in->ok(); ++i) {
    Wait wait;
    wait.seq = in->Varint();
    wait.request = in->GetRequestId();
    wait.owner = LiveSlot(owners_, in->Varint());
    wait.mode = GetMode(in);
    wait.ttl_ms = in->Signed();
    wait.deadline = in->GetTime();
    wait.began = in->GetTime();
    wait.meta = GetMeta(in);
    wait.bound = GetBound(in);
    const size_t parts = in->Count();
    const bool in_order = wait.seq > last && wait.seq < next_seq_;
    const bool bounded = wait.ttl_ms >= 1 && wait.ttl_ms <= kTtlMsMax && parts >= 1 &&
                         parts <= kMultiLockNamesMax;
    if (!in->ok() || !in_order || !bounded || !wait.owner.valid()) return Damaged("a waiter");
    if (FindWait(wait.request).valid()) return Damaged("a request that waits twice");
    std::unordered_map<uint32_t, bool> named;
    for (size_t p = 0; p < parts; ++p) {
      const Slot<Lock> lock = LiveSlot(locks_, in->Varint());
      if (!lock.valid() || FindWait(wait.owner, lock).valid() ||
          !named.emplace(lock.value, true).second) {
        return Damaged("what a waiter waits for");
      }
      wait.parts.push_back({lock, {}});
    }
    last = wait.seq;
    AddWait(std::move(wait));
  }
  return {};
}

Result<void> LockState::FinishLoad(Reader* in) {
  const uint64_t hash = in->U64();
  if (!in->ok()) return Damaged("it ends too soon");
  if (hash != hash_) return Damaged("its records do not have the hash that was saved");
  if (Planted(Mutant::kSnapshotWithoutAges)) {
    for (Slot<Owner> o = owners_.first(); o.valid(); o = owners_.Next(o)) owners_[o].age = 0;
  }
  return {};
}

void LockTable::Save(Writer* out) const {
  out->U8(kVersion);
  out->Varint(last_token_);
  SaveDeadlocks(out);
  state_.Save(out);
  out->U64(HashOfSaved());
}

void LockTable::SaveDeadlocks(Writer* out) const {
  out->Varint(deadlocks_ever_);
  out->Varint(deadlocks_.size());
  for (const Deadlock& deadlock : deadlocks_) {
    out->Put(deadlock.at);
    out->String(deadlock.victim);
    out->String(deadlock.circle);
    out->Varint(deadlock.released_count);
    out->Varint(deadlock.released.size());
    for (const Bytes& name : deadlock.released) out->String(name);
  }
}

Result<void> LockTable::Load(Reader* in) {
  Clear();
  Result<void> done = LoadAll(in);
  if (!done) Clear();
  // As if the snapshot, and with it its hash, had left something out.
  if (Planted(Mutant::kSnapshotWithoutLastToken)) last_token_ = 0;
  const auto& waits = state_.waits();
  if (Planted(Mutant::kSnapshotWithoutWaits)) {
    while (waits.size() > 0) state_.RemoveWait(waits.first());
  } else if (Planted(Mutant::kSnapshotWithoutDeadlines)) {
    for (Slot<Wait> w = waits.first(); w.valid(); w = waits.Next(w)) {
      state_.EditWait(w, [](Wait* wait) { wait->deadline = kNeverCluster; });
    }
  }
  return done;
}

void LockTable::Clear() {
  state_ = LockState();
  last_token_ = 0;
  deadlocks_.clear();
  deadlocks_ever_ = 0;
  deadlocks_hash_ = 0;
}

Result<void> LockTable::LoadAll(Reader* in) {
  const uint8_t version = in->U8();
  if (in->ok() && version != kVersion) {
    return Error{Format("lock table snapshot has format %u; this program reads %u", version,
                        kVersion)};
  }
  last_token_ = in->Varint();
  if (auto done = LoadDeadlocks(in); !done) return done;
  if (auto done = state_.Load(in); !done) return done;
  const uint64_t hash = in->U64();
  if (!in->ok()) return Damaged("it ends too soon");
  if (hash != HashOfSaved()) return Damaged("its counters do not have the hash that was saved");
  return {};
}

Result<void> LockTable::LoadDeadlocks(Reader* in) {
  deadlocks_ever_ = in->Varint();
  const size_t count = in->Count(5);
  for (size_t i = 0; i < count && in->ok(); ++i) {
    Deadlock deadlock;
    deadlock.at = in->GetTime();
    deadlock.victim = Bytes(in->String());
    deadlock.circle = Bytes(in->String());
    deadlock.released_count = in->Varint();
    const size_t released = in->Count();
    for (size_t r = 0; r < released && in->ok(); ++r) {
      deadlock.released.emplace_back(in->String());
    }
    deadlocks_hash_ += HashOf(deadlock);
    deadlocks_.push_back(std::move(deadlock));
  }
  if (!in->ok()) return Damaged("a deadlock");
  return {};
}

// Over the words as well: within one snapshot they are the same for reader and writer.
uint64_t LockTable::HashOfSaved() const {
  uint64_t hash = Hash();
  for (const Deadlock& deadlock : deadlocks_) hash = HashMix(hash, Hash64(deadlock.circle));
  return hash;
}

// Not over the circle's words: another version may put them otherwise.
uint64_t LockTable::HashOf(const Deadlock& deadlock) const {
  uint64_t hash = HashMix(Hash64(deadlock.victim), static_cast<uint64_t>(deadlock.at.ms));
  for (const Bytes& name : deadlock.released) hash = HashMix(hash, Hash64(name));
  return HashMix(hash, deadlock.released_count);
}

}  // namespace lockstep
