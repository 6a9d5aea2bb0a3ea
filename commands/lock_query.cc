// Reading the lock table. A lease that has passed counts as over, even if the entry that ends it is
// yet to come: whoever reads must not be told that it still protects anything.
#include <algorithm>

#include "commands/lock_table.h"

namespace lockstep {
namespace {

constexpr size_t kInfoRowsMax = 1000;  // Holders, and waiters, that LOCK.INFO lists.

const char* ModeName(LockMode mode) {
  return mode == LockMode::kShared ? "SHARED" : "EXCLUSIVE";
}

Reply Number(uint64_t value) { return Reply::Integer(static_cast<int64_t>(value)); }

}  // namespace

Reply LockTable::Query(ClusterTime now, BytesView query) const {
  const std::optional<LockQuery> decoded = DecodeLockQuery(query);
  if (!decoded) return Reply::Error("ERR", "unreadable lock query");
  return std::visit([&](const auto& q) { return Answer(now, q); }, *decoded);
}

Reply LockTable::Answer(ClusterTime now, const CheckQuery& query) const {
  const Slot<Lock> lock = state_.FindLock(query.name);
  if (!lock.valid()) return Reply::Integer(0);
  for (Slot<Hold> h = state_.at(lock).first_hold; h.valid(); h = state_.at(h).lock_next) {
    const Hold& hold = state_.at(h);
    if (hold.token == query.token) return Reply::Integer(hold.deadline > now ? 1 : 0);
  }
  return Reply::Integer(0);
}

// `holding` and `pending` count all; `holders` and `waiters` list the first of them.
Reply LockTable::Answer(ClusterTime now, const InfoQuery& query) const {
  Reply holders = Reply::Array();
  Reply waiters = Reply::Array();
  int64_t holding = 0;
  int64_t pending = 0;
  const char* state = "FREE";
  Reply mode = Reply::Nil();
  Reply limit = Reply::Integer(0);  // None.

  if (const Slot<Lock> slot = state_.FindLock(query.name); slot.valid()) {
    const Lock& lock = state_.at(slot);
    for (Slot<Hold> h = lock.first_hold; h.valid(); h = state_.at(h).lock_next) {
      const Hold& hold = state_.at(h);
      if (hold.deadline <= now) continue;
      state = hold.mode == LockMode::kShared ? "SHARED" : "LOCKED";
      mode = Reply::Bulk(ModeName(hold.mode));
      if (++holding > static_cast<int64_t>(kInfoRowsMax)) continue;
      Reply row = Reply::Map();
      row.Add("owner", Reply::Bulk(Bytes(state_.NameOf(hold.owner))));
      row.Add("token", Number(hold.token));
      row.Add("mode", Reply::Bulk(ModeName(hold.mode)));
      row.Add("ttl", Reply::Integer(hold.deadline - now));
      row.Add("held", Reply::Integer(std::max<int64_t>(0, now - hold.granted_at)));
      row.Add("meta", Reply::Bulk(hold.extra == nullptr ? Bytes() : hold.extra->meta));
      holders.Add(std::move(row));
    }
    const auto add_waiter = [&](Slot<Wait> w) {
      if (++pending > static_cast<int64_t>(kInfoRowsMax)) return;
      const Wait& wait = state_.at(w);
      Reply row = Reply::Map();
      row.Add("owner", Reply::Bulk(Bytes(state_.NameOf(wait.owner))));
      row.Add("mode", Reply::Bulk(ModeName(wait.mode)));
      row.Add("waited", Reply::Integer(std::max<int64_t>(0, now - wait.began)));
      waiters.Add(std::move(row));
    };
    if (lock.line != nullptr) {
      for (const auto& [seq, wait] : lock.line->upgrading) add_waiter(wait);
      for (const auto& [seq, wait] : lock.line->queued) add_waiter(wait);
    }
    if (lock.limit != kLimitUnlimited) limit = Reply::Integer(lock.limit);
  }

  Reply info = Reply::Map();
  info.Add("name", Reply::Bulk(query.name));
  info.Add("state", Reply::Bulk(state));
  info.Add("mode", std::move(mode));
  info.Add("limit", std::move(limit));
  info.Add("holders", std::move(holders));
  info.Add("waiters", std::move(waiters));
  info.Add("holding", Reply::Integer(holding));
  info.Add("pending", Reply::Integer(pending));
  return info;
}

// `age` is the log index by which the owner is older or younger than others; 0: not known here.
Reply LockTable::Answer(ClusterTime now, const OwnerQuery& query) const {
  Reply locks = Reply::Array();
  Reply waiting = Reply::Array();
  uint64_t age = 0;
  if (const Slot<Owner> slot = state_.FindOwner(query.owner); slot.valid()) {
    const Owner& owner = state_.at(slot);
    age = owner.age;
    for (Slot<Hold> h = owner.first_hold; h.valid(); h = state_.at(h).owner_next) {
      if (locks.items.size() == kLockRowsMax) break;
      if (state_.at(h).deadline <= now) continue;
      locks.Add(Reply::Bulk(Bytes(state_.NameOf(state_.at(h).lock))));
    }
    for (Slot<Wait> w = owner.first_wait; w.valid(); w = state_.at(w).owner_next) {
      for (const Wait::Part& part : state_.at(w).parts) {
        if (part.place == Wait::Part::Place::kHeld) continue;
        if (waiting.items.size() == kLockRowsMax) break;
        waiting.Add(Reply::Bulk(Bytes(state_.NameOf(part.lock))));
      }
    }
  }
  Reply info = Reply::Map();
  info.Add("owner", Reply::Bulk(query.owner));
  info.Add("age", Number(age));
  info.Add("locks", std::move(locks));
  info.Add("waiting", std::move(waiting));
  return info;
}

// The cursor is a record's number. A lock keeps its number while it is here, on every node and over
// snapshots, so one that is here during the whole scan is met exactly once.
Reply LockTable::Answer(ClusterTime now, const ListQuery& query) const {
  Reply names = Reply::Array();
  Reply page = Reply::Array();
  Slot<Lock> slot;
  if (query.cursor <= UINT32_MAX) {
    slot = state_.locks().FirstFrom(static_cast<uint32_t>(query.cursor));
  }
  for (uint32_t seen = 0; slot.valid() && seen < query.count; ++seen) {
    const BytesView name = state_.NameOf(slot);
    if (GlobMatch(query.pattern, name) && Exists(now, slot)) names.Add(Reply::Bulk(Bytes(name)));
    slot = state_.locks().Next(slot);
  }
  page.Add(Reply::Bulk(slot.valid() ? std::to_string(slot.value) : "0"));
  page.Add(std::move(names));
  return page;
}

// Who waits for what because of whom: a row for each holder that a wait cannot share the lock with;
// where there is none, for whoever is directly ahead in the line. At most kLockRowsMax rows.
Reply LockTable::Answer(ClusterTime, const GraphQuery&) const {
  Reply rows = Reply::Array();
  const auto add = [&](Slot<Owner> waiting, Slot<Lock> lock, Slot<Owner> holding) {
    if (rows.items.size() >= kLockRowsMax) return;
    Reply row = Reply::Array();
    row.Add(Reply::Bulk(Bytes(state_.NameOf(waiting))));
    row.Add(Reply::Bulk(Bytes(state_.NameOf(lock))));
    row.Add(Reply::Bulk(Bytes(state_.NameOf(holding))));
    rows.Add(std::move(row));
  };
  // From the waits, for there are few, to the locks, of which there may be millions.
  std::set<Slot<Lock>> locks;
  for (Slot<Wait> w = state_.waits().first(); w.valid(); w = state_.waits().Next(w)) {
    for (const Wait::Part& part : state_.at(w).parts) {
      if (part.place != Wait::Part::Place::kHeld) locks.insert(part.lock);
    }
  }
  for (const Slot<Lock> l : locks) {
    const Lock& lock = state_.at(l);
    Slot<Owner> ahead;
    const auto add_wait = [&](Slot<Wait> slot) {
      if (rows.items.size() >= kLockRowsMax) return;
      const Wait& wait = state_.at(slot);
      const size_t before = rows.items.size();
      const bool shareable = lock.holds > 0 && wait.mode == LockMode::kShared &&
                             state_.at(lock.first_hold).mode == LockMode::kShared &&
                             lock.holds < lock.limit;
      for (Slot<Hold> h = lock.first_hold; h.valid() && !shareable; h = state_.at(h).lock_next) {
        if (state_.at(h).owner != wait.owner) add(wait.owner, l, state_.at(h).owner);
      }
      if (rows.items.size() == before && ahead.valid()) add(wait.owner, l, ahead);
      ahead = wait.owner;
    };
    for (const auto& [seq, wait] : lock.line->upgrading) add_wait(wait);
    for (const auto& [seq, wait] : lock.line->queued) add_wait(wait);
  }
  return rows;
}

// Newest first. `at` is cluster time; `ago` says how long that is past.
Reply LockTable::Answer(ClusterTime now, const DeadlocksQuery& query) const {
  Reply rows = Reply::Array();
  for (auto it = deadlocks_.rbegin(); it != deadlocks_.rend(); ++it) {
    if (rows.items.size() >= query.count) break;
    Reply released = Reply::Array();
    for (const Bytes& name : it->released) released.Add(Reply::Bulk(name));
    if (it->released_count > it->released.size()) {
      const auto more = it->released_count - it->released.size();
      released.Add(Reply::Bulk("(" + std::to_string(more) + " more)"));
    }
    Reply row = Reply::Map();
    row.Add("at", Reply::Integer(it->at.ms));
    row.Add("ago", Reply::Integer(std::max<int64_t>(0, now - it->at)));
    row.Add("victim", Reply::Bulk(it->victim));
    row.Add("cycle", Reply::Bulk(it->circle));
    row.Add("released", std::move(released));
    rows.Add(std::move(row));
  }
  return rows;
}

}  // namespace lockstep
