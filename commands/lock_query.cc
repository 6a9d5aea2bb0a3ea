// Reading the lock table. A lease that has passed counts as over, even if the entry that ends it is
// yet to come: whoever reads must not be told that it still protects anything.
#include <algorithm>

#include "commands/lock_table.h"

namespace lockstep {
namespace {

constexpr size_t kInfoRowsMax = 1000;  // Holders, and waiters, that LOCK.INFO lists.

// A list in an answer. Whoever fills it stops, or only goes on counting, when it is full.
class Rows {
 public:
  explicit Rows(size_t rows_max) : rows_max_(rows_max) {}

  bool full() const { return list_.items.size() >= rows_max_ || bytes_ >= kPageBytesMax; }
  void Add(Reply row) {
    bytes_ += ReplyCost(row);
    list_.Add(std::move(row));
  }
  size_t size() const { return list_.items.size(); }
  Reply Take() { return std::move(list_); }

 private:
  const size_t rows_max_;
  size_t bytes_ = 0;
  Reply list_ = Reply::Array();
};

// How many plain comparisons a match is worth: long patterns on long names cost their product.
uint64_t MatchWork(BytesView pattern, BytesView name) {
  return 1 + pattern.size() * name.size() / 1024;
}

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
    ++looked_at_;
    if (hold.token == query.token) return Reply::Integer(IsOver(hold.deadline, now) ? 0 : 1);
  }
  return Reply::Integer(0);
}

// `holding` and `pending` count all; `holders` and `waiters` list the first of them.
Reply LockTable::Answer(ClusterTime now, const InfoQuery& query) const {
  Rows holders(kInfoRowsMax);
  Rows waiters(kInfoRowsMax);
  int64_t holding = 0;
  size_t pending = 0;
  const char* state = "FREE";
  Reply mode = Reply::Nil();
  Reply limit = Reply::Integer(0);  // None.

  if (const Slot<Lock> slot = state_.FindLock(query.name); slot.valid()) {
    const Lock& lock = state_.at(slot);
    looked_at_ += lock.holds;
    for (Slot<Hold> h = lock.first_hold; h.valid(); h = state_.at(h).lock_next) {
      const Hold& hold = state_.at(h);
      if (IsOver(hold.deadline, now)) continue;
      state = hold.mode == LockMode::kShared ? "SHARED" : "LOCKED";
      mode = Reply::Bulk(ModeName(hold.mode));
      ++holding;
      if (!holders.full()) holders.Add(HolderRow(now, hold));
    }
    if (lock.line != nullptr) {
      pending = lock.line->size();
      for (const auto* line : {&lock.line->upgrading, &lock.line->queued}) {
        for (auto at = line->begin(); at != line->end() && !waiters.full(); ++at) {
          waiters.Add(WaiterRow(now, state_.at(at->second)));
        }
      }
      looked_at_ += waiters.size();
    }
    if (lock.limit != kLimitUnlimited) limit = Reply::Integer(lock.limit);
  }

  Reply info = Reply::Map();
  info.Add("name", Reply::Bulk(query.name));
  info.Add("state", Reply::Bulk(state));
  info.Add("mode", std::move(mode));
  info.Add("limit", std::move(limit));
  info.Add("holders", holders.Take());
  info.Add("waiters", waiters.Take());
  info.Add("holding", Reply::Integer(holding));
  info.Add("pending", Number(pending));
  return info;
}

Reply LockTable::HolderRow(ClusterTime now, const Hold& hold) const {
  Reply row = Reply::Map();
  row.Add("owner", Reply::Bulk(Bytes(state_.NameOf(hold.owner))));
  row.Add("token", Number(hold.token));
  row.Add("mode", Reply::Bulk(ModeName(hold.mode)));
  // Rounded up: whoever holds has some of it left.
  row.Add("ttl", Reply::Integer(std::max<int64_t>(1, hold.deadline - now)));
  row.Add("held", Reply::Integer(std::max<int64_t>(0, now - hold.granted_at)));
  row.Add("meta", Reply::Bulk(hold.extra == nullptr ? Bytes() : hold.extra->meta));
  return row;
}

Reply LockTable::WaiterRow(ClusterTime now, const Wait& wait) const {
  Reply row = Reply::Map();
  row.Add("owner", Reply::Bulk(Bytes(state_.NameOf(wait.owner))));
  row.Add("mode", Reply::Bulk(ModeName(wait.mode)));
  row.Add("waited", Reply::Integer(std::max<int64_t>(0, now - wait.began)));
  return row;
}

// `age` is the place in the log by which the owner is older or younger; 0: not known here.
// `holding` and `pending` count all; `locks` and `waiting` list the first of them.
Reply LockTable::Answer(ClusterTime now, const OwnerQuery& query) const {
  Rows locks(kLockRowsMax);
  Rows waiting(kLockRowsMax);
  uint64_t age = 0;
  uint64_t holding = 0;
  uint64_t pending = 0;
  if (const Slot<Owner> slot = state_.FindOwner(query.owner); slot.valid()) {
    const Owner& owner = state_.at(slot);
    age = owner.age;
    looked_at_ += owner.holds + owner.waits;
    for (Slot<Hold> h = owner.first_hold; h.valid(); h = state_.at(h).owner_next) {
      if (IsOver(state_.at(h).deadline, now)) continue;
      ++holding;
      if (!locks.full()) locks.Add(Reply::Bulk(Bytes(state_.NameOf(state_.at(h).lock))));
    }
    for (Slot<Wait> w = owner.first_wait; w.valid(); w = state_.at(w).owner_next) {
      for (const Wait::Part& part : state_.at(w).parts) {
        if (part.place == Wait::Part::Place::kHeld) continue;
        ++pending;
        if (!waiting.full()) waiting.Add(Reply::Bulk(Bytes(state_.NameOf(part.lock))));
      }
    }
  }
  Reply info = Reply::Map();
  info.Add("owner", Reply::Bulk(query.owner));
  info.Add("age", Number(age));
  info.Add("locks", locks.Take());
  info.Add("waiting", waiting.Take());
  info.Add("holding", Number(holding));
  info.Add("pending", Number(pending));
  return info;
}

// The cursor is a record's number. A lock keeps its number while it is here, on every node and over
// snapshots, so one that is here during the whole scan is met exactly once. A page ends early where
// it has become long, or hard to find.
Reply LockTable::Answer(ClusterTime now, const ListQuery& query) const {
  Rows names(kLockRowsMax);
  Reply page = Reply::Array();
  Slot<Lock> slot;
  if (query.cursor <= UINT32_MAX) {
    slot = state_.locks().FirstFrom(static_cast<uint32_t>(query.cursor));
  }
  for (uint64_t work = 0; slot.valid() && work < query.count && !names.full();) {
    const BytesView name = state_.NameOf(slot);
    work += MatchWork(query.pattern, name);
    ++looked_at_;
    if (GlobMatch(query.pattern, name) && Exists(now, slot)) names.Add(Reply::Bulk(Bytes(name)));
    slot = state_.locks().Next(slot);
  }
  page.Add(Reply::Bulk(slot.valid() ? std::to_string(slot.value) : "0"));
  page.Add(names.Take());
  return page;
}

// Who waits for what because of whom: a row for each holder that a wait cannot share the lock with;
// where there is none, for whoever is directly ahead in the line. The first of them, if they are
// many.
Reply LockTable::Answer(ClusterTime, const GraphQuery&) const {
  Rows rows(kLockRowsMax);
  // From the waits, for there are few, to the locks, of which there may be millions.
  std::set<Slot<Lock>> locks;
  for (Slot<Wait> w = state_.waits().first(); w.valid() && locks.size() < kLockRowsMax;
       w = state_.waits().Next(w)) {
    ++looked_at_;
    for (const Wait::Part& part : state_.at(w).parts) {
      if (part.place != Wait::Part::Place::kHeld) locks.insert(part.lock);
    }
  }
  const auto add = [&](Slot<Owner> waiting, Slot<Lock> lock, Slot<Owner> holding) {
    Reply row = Reply::Array();
    for (const BytesView name :
         {state_.NameOf(waiting), state_.NameOf(lock), state_.NameOf(holding)}) {
      row.Add(Reply::Bulk(Bytes(name)));
    }
    rows.Add(std::move(row));
  };
  for (auto l = locks.begin(); l != locks.end() && !rows.full(); ++l) {
    const Lock& lock = state_.at(*l);
    Slot<Owner> ahead;
    for (const auto* line : {&lock.line->upgrading, &lock.line->queued}) {
      for (auto w = line->begin(); w != line->end() && !rows.full(); ++w) {
        const Wait& wait = state_.at(w->second);
        const size_t before = rows.size();
        const bool shareable = lock.holds > 0 && CanJoin(lock, wait.mode);
        Slot<Hold> h = shareable ? Slot<Hold>() : lock.first_hold;
        for (; h.valid() && !rows.full(); h = state_.at(h).lock_next) {
          if (state_.at(h).owner != wait.owner) add(wait.owner, *l, state_.at(h).owner);
        }
        if (rows.size() == before && ahead.valid()) add(wait.owner, *l, ahead);
        ahead = wait.owner;
        ++looked_at_;
      }
    }
  }
  return rows.Take();
}

// Newest first. `at` is cluster time; `ago` says how long that is past.
Reply LockTable::Answer(ClusterTime now, const DeadlocksQuery& query) const {
  Rows rows(query.count);
  for (auto it = deadlocks_.rbegin(); it != deadlocks_.rend() && !rows.full(); ++it) {
    Reply released = Reply::Array();
    for (const Bytes& name : it->released) released.Add(Reply::Bulk(name));
    if (it->released_count > it->released.size()) {
      const auto more = it->released_count - it->released.size();
      released.Add(Reply::Bulk("(" + std::to_string(more) + " more)"));
    }
    Reply row = Reply::Map();
    row.Add("at", Reply::Integer(it->at.ms));
    row.Add("victim", Reply::Bulk(it->victim));
    row.Add("cycle", Reply::Bulk(it->circle));
    row.Add("released", std::move(released));
    row.Add("ago", Reply::Integer(std::max<int64_t>(0, now - it->at)));
    rows.Add(std::move(row));
  }
  return rows.Take();
}

}  // namespace lockstep
