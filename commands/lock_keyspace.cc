// What commands on keys say of a lock, where there is no key of that name: its type, its size.
#include "commands/lock_table.h"

namespace lockstep {
namespace {

// What a record takes in memory, about. Written down and not measured: the answer may stand in a
// transaction, and must be the same in every build.
constexpr size_t kLockBytes = 64;
constexpr size_t kHoldBytes = 80;
constexpr size_t kWaitBytes = 224;

}  // namespace

Reply LockTable::Answer(ClusterTime now, const KeyspaceQuery& query) const {
  const Slot<Lock> lock = state_.FindLock(query.name);
  switch (query.kind) {
    case KeyspaceQuery::Kind::kType:
      return Reply::Simple(Exists(now, lock) ? "lock" : "none");
    case KeyspaceQuery::Kind::kUsage:
      if (!Exists(now, lock)) return Reply::Nil();
      return Reply::Integer(static_cast<int64_t>(BytesOf(lock)));
  }
  return Reply::Error("ERR", "unknown question about a lock");
}

// Held by a lease that has not passed, or waited for.
bool LockTable::Exists(ClusterTime now, Slot<Lock> lock) const {
  if (!lock.valid()) return false;
  if (state_.at(lock).line != nullptr) return true;
  for (Slot<Hold> h = state_.at(lock).first_hold; h.valid(); h = state_.at(h).lock_next) {
    ++looked_at_;
    if (!IsOver(state_.at(h).deadline, now)) return true;
  }
  return false;
}

size_t LockTable::BytesOf(Slot<Lock> lock) const {
  looked_at_ += state_.at(lock).holds;
  size_t bytes = kLockBytes + state_.NameOf(lock).size();
  for (Slot<Hold> h = state_.at(lock).first_hold; h.valid(); h = state_.at(h).lock_next) {
    bytes += kHoldBytes;
    if (state_.at(h).extra != nullptr) bytes += state_.at(h).extra->meta.size();
  }
  if (const auto& line = state_.at(lock).line; line != nullptr) {
    bytes += kWaitBytes * (line->size());
  }
  return bytes;
}

}  // namespace lockstep
