// What the lock table promises, said a second time and as plainly as can be: rows in vectors, and
// everything recomputed from them at every step. Slow and obvious, where LockTable is fast. The
// oracle test runs both on the same operations and compares all that comes out.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "commands/lock_ops.h"
#include "commands/state_machine.h"

namespace lockstep {

class LockModel {
 public:
  using Names = std::vector<Bytes>;
  struct Bond {
    NodeId origin;
    uint64_t incarnation = 0;
    ClientId client;
    auto operator<=>(const Bond&) const = default;
  };
  struct HoldRow {
    uint64_t seq = 0;
    Bytes lock, owner;
    LockMode mode = LockMode::kExclusive;
    uint64_t token = 0;
    ClusterTime deadline, granted_at;
    std::optional<Bond> bond;
    std::optional<RequestId> unheard;
    // What it was before a grant that may be taken back, if it was anything.
    struct Before {
      uint64_t token = 0;
      LockMode mode = LockMode::kExclusive;
      ClusterTime deadline, granted_at;
      std::optional<Bond> bond;
    };
    std::optional<Before> before;
  };
  struct WaitRow {
    uint64_t seq = 0;
    RequestId request;
    Bytes owner;
    Names locks;
    LockMode mode = LockMode::kExclusive;
    int64_t ttl_ms = 0;
    ClusterTime deadline = kNeverCluster, began;
    std::optional<Bond> bond;
  };
  struct OwnerRow {
    uint64_t age = 0;
    ClusterTime remembered_until;
  };
  enum class Place : uint8_t { kQueued, kUpgrading, kHeld };

  std::vector<HoldRow> holds;  // In order of seq, as `waits`.
  std::vector<WaitRow> waits;
  std::map<Bytes, OwnerRow> owners;
  std::map<Bytes, uint32_t> limits;  // 0: none yet; UINT32_MAX: shared without one.
  uint64_t last_token = 0;
  int deadlocks = 0;
  Effects out;

  void Advance(const Position& at) {
    at_ = at;
    ForgetIdle();
    while (true) {
      // The earliest deadline of all, holds and waits alike.
      std::pair<ClusterTime, uint64_t> first{kNeverCluster, 0};
      for (const HoldRow& h : holds) first = std::min(first, {h.deadline, h.seq});
      for (const WaitRow& w : waits) first = std::min(first, {w.deadline, w.seq});
      if (first.first >= at.time || first.first == kNeverCluster) return;
      if (HoldRow* hold = BySeq(&holds, first.second)) EndHold(*hold, "expired");
      if (WaitRow* wait = BySeq(&waits, first.second)) EndWait(*wait, Reply::Nil());
      Settle();
    }
  }

  void Apply(const Position& at, const RequestId& request, const LockOp& op) {
    at_ = at;
    if (auto reply = Run(request, op, false)) out.Give(request, *reply);
  }

  void EndSessions(const Position& at, NodeId origin, uint64_t incarnation) {
    at_ = at;
    for (const WaitRow& w : std::vector(waits)) {
      if (w.request.origin == origin && w.request.incarnation < incarnation) {
        EndWait(w, Reply::Nil());
      }
    }
    for (const HoldRow& h : std::vector(holds)) {
      if (h.bond && h.bond->origin == origin && h.bond->incarnation < incarnation) {
        EndHold(h, "released");
      }
    }
    for (HoldRow& h : holds) {
      const auto& bond = h.before ? h.before->bond : std::nullopt;
      if (bond && bond->origin == origin && bond->incarnation < incarnation) h.before.reset();
      if (h.unheard && h.unheard->origin == origin && h.unheard->incarnation < incarnation) {
        h.unheard.reset();
        h.before.reset();
      }
    }
    Settle();
  }

  // ---- What follows from the rows. ----

  std::vector<HoldRow> HoldersOf(const Bytes& lock) const {
    std::vector<HoldRow> rows;
    for (const HoldRow& h : holds) {
      if (h.lock == lock) rows.push_back(h);
    }
    return rows;
  }
  const HoldRow* Holding(const Bytes& owner, const Bytes& lock) const {
    for (const HoldRow& h : holds) {
      if (h.owner == owner && h.lock == lock) return &h;
    }
    return nullptr;
  }
  const WaitRow* Waiting(const Bytes& owner, const Bytes& lock) const {
    for (const WaitRow& w : waits) {
      if (w.owner == owner && Has(w.locks, lock)) return &w;
    }
    return nullptr;
  }
  Place PlaceOf(const WaitRow& wait, const Bytes& lock) const {
    const HoldRow* own = Holding(wait.owner, lock);
    if (own == nullptr) return Place::kQueued;
    const bool upgrade = own->mode == LockMode::kShared && wait.mode == LockMode::kExclusive;
    return upgrade ? Place::kUpgrading : Place::kHeld;
  }
  std::vector<WaitRow> LineOf(const Bytes& lock, Place place) const {
    std::vector<WaitRow> rows;
    for (const WaitRow& w : waits) {
      if (Has(w.locks, lock) && PlaceOf(w, lock) == place) rows.push_back(w);
    }
    return rows;
  }
  std::vector<WaitRow> WholeLineOf(const Bytes& lock) const {
    std::vector<WaitRow> rows = LineOf(lock, Place::kUpgrading);
    for (const WaitRow& w : LineOf(lock, Place::kQueued)) rows.push_back(w);
    return rows;
  }
  std::set<Bytes> LocksInUse() const {
    std::set<Bytes> names;
    for (const HoldRow& h : holds) names.insert(h.lock);
    for (const WaitRow& w : waits) names.insert(w.locks.begin(), w.locks.end());
    return names;
  }

  // The waits that would not be granted even if every owner without such a wait let go of all.
  std::set<uint64_t> Stuck() const {
    std::set<uint64_t> stuck;
    for (const WaitRow& w : waits) stuck.insert(w.seq);
    while (true) {
      std::set<uint64_t> still;
      for (const WaitRow& w : waits) {
        if (stuck.contains(w.seq) && !NeededBy(w, stuck).empty()) still.insert(w.seq);
      }
      if (still == stuck) return stuck;
      stuck = still;
    }
  }

 private:
  struct Edge {
    Bytes lock;
    uint64_t to = 0;  // A wait.
  };

  template <class Row>
  static Row* BySeq(std::vector<Row>* rows, uint64_t seq) {
    for (Row& row : *rows) {
      if (row.seq == seq) return &row;
    }
    return nullptr;
  }
  static bool Has(const Names& names, const Bytes& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  static bool IsSemaphore(uint32_t limit) { return limit != 0 && limit != UINT32_MAX; }

  bool HasStuckWait(const Bytes& owner, const std::set<uint64_t>& stuck) const {
    return std::any_of(waits.begin(), waits.end(), [&](const WaitRow& w) {
      return w.owner == owner && stuck.contains(w.seq);
    });
  }

  // The edges from one wait to stuck ones that keep it stuck, in the order of its locks and, for
  // each, of holders, upgraders, queue.
  std::vector<Edge> NeededBy(const WaitRow& wait, const std::set<uint64_t>& stuck) const {
    std::vector<Edge> edges;
    for (const Bytes& lock : wait.locks) {
      const auto owner = [&](const Bytes& name) {
        for (const WaitRow& w : waits) {
          if (w.owner == name && stuck.contains(w.seq)) edges.push_back({lock, w.seq});
        }
      };
      const Place place = PlaceOf(wait, lock);
      if (place == Place::kHeld) continue;
      if (place == Place::kUpgrading) {
        for (const HoldRow& h : HoldersOf(lock)) {
          if (h.owner != wait.owner) owner(h.owner);
        }
        continue;
      }
      std::vector<WaitRow> ahead;
      for (const WaitRow& w : LineOf(lock, Place::kQueued)) {
        if (w.seq < wait.seq) ahead.push_back(w);
      }
      // Places of a semaphore that are taken for good before this wait has its turn.
      uint32_t taken = 0;
      for (const HoldRow& h : HoldersOf(lock)) taken += HasStuckWait(h.owner, stuck) ? 1 : 0;
      for (const WaitRow& w : ahead) {
        taken += w.mode == LockMode::kShared && HasStuckWait(w.owner, stuck) ? 1 : 0;
      }
      const uint32_t limit = limits.at(lock);
      const bool all = wait.mode == LockMode::kExclusive || (IsSemaphore(limit) && taken >= limit);
      for (const HoldRow& h : HoldersOf(lock)) {
        if (all || h.mode == LockMode::kExclusive) owner(h.owner);
      }
      for (const WaitRow& w : LineOf(lock, Place::kUpgrading)) owner(w.owner);
      for (const WaitRow& w : ahead) {
        if (all || w.mode == LockMode::kExclusive) {
          owner(w.owner);
        } else if (w.locks.size() > 1 && stuck.contains(w.seq)) {
          edges.push_back({lock, w.seq});
        }
      }
    }
    return edges;
  }

  // Shortest path from a wait to itself over the edges between stuck waits, as (owner, lock) steps.
  std::vector<std::pair<Bytes, Bytes>> CircleThrough(uint64_t start) {
    const std::set<uint64_t> stuck = Stuck();
    if (!stuck.contains(start)) return {};
    struct Seen {
      uint64_t wait, parent;
      Bytes lock;
    };
    std::vector<Seen> seen{{start, 0, ""}};
    for (size_t i = 0; i < seen.size(); ++i) {
      for (const Edge& edge : NeededBy(*BySeq(&waits, seen[i].wait), stuck)) {
        if (edge.to == start) {
          std::vector<std::pair<Bytes, Bytes>> path;
          Bytes lock = edge.lock;
          for (size_t at = i;; at = seen[at].parent) {
            path.insert(path.begin(), {BySeq(&waits, seen[at].wait)->owner, lock});
            if (at == 0) return path;
            lock = seen[at].lock;
          }
        }
        const bool known = std::any_of(seen.begin(), seen.end(),
                                       [&](const Seen& s) { return s.wait == edge.to; });
        if (!known) seen.push_back({edge.to, i, edge.lock});
      }
    }
    return {};
  }

  bool CanJoin(const Bytes& lock, LockMode mode) const {
    const std::vector<HoldRow> holders = HoldersOf(lock);
    if (holders.empty()) return true;
    return mode == LockMode::kShared && holders[0].mode == LockMode::kShared &&
           holders.size() < limits.at(lock);
  }

  bool IsReady(const WaitRow& wait) const {
    return std::all_of(wait.locks.begin(), wait.locks.end(), [&](const Bytes& lock) {
      const Place place = PlaceOf(wait, lock);
      if (place == Place::kHeld) return true;
      if (place == Place::kUpgrading) return HoldersOf(lock).size() == 1;
      return LineOf(lock, Place::kUpgrading).empty() &&
             LineOf(lock, Place::kQueued)[0].seq == wait.seq && CanJoin(lock, wait.mode);
    });
  }

  // ---- Changes. ----

  void Tell(const Bytes& event, const Bytes& lock, const Bytes& owner, uint64_t token) {
    out.Tell("__lock__:" + lock, "{\"event\":\"" + event + "\",\"name\":\"" + lock +
                                     "\",\"owner\":\"" + owner +
                                     "\",\"token\":" + std::to_string(token) + "}");
  }

  void SuspectAllOf(const Bytes& owner) {
    for (const WaitRow& w : waits) {
      if (w.owner == owner) suspects_.push_back(w.seq);
    }
  }

  // Runs `change`, which touches what the owner holds of a lock. If that moves its wait there, or
  // makes it the only one who may hold the lock, its waits are looked at for circles.
  template <class Change>
  void Moving(const Bytes& owner, const Bytes& lock, Change change) {
    const WaitRow* wait = Waiting(owner, lock);
    const Place before = wait == nullptr ? Place::kHeld : PlaceOf(*wait, lock);
    const HoldRow* hold = Holding(owner, lock);
    const bool shared = hold != nullptr && hold->mode == LockMode::kShared;
    change();
    wait = Waiting(owner, lock);
    hold = Holding(owner, lock);
    const bool upgraded = shared && hold != nullptr && hold->mode == LockMode::kExclusive;
    const Place after = wait == nullptr ? Place::kHeld : PlaceOf(*wait, lock);
    if (upgraded || (after != before && after != Place::kHeld)) SuspectAllOf(owner);
  }

  void EndHold(const HoldRow& row, const char* event) {
    const HoldRow hold = row;
    Tell(event, hold.lock, hold.owner, hold.token);
    Moving(hold.owner, hold.lock, [&] {
      std::erase_if(holds, [&](const HoldRow& h) { return h.seq == hold.seq; });
    });
    DropIdleLocks();
  }

  void EndWait(const WaitRow& row, const Reply& reply) {
    const WaitRow wait = row;
    out.Give(wait.request, reply);
    std::erase_if(waits, [&](const WaitRow& w) { return w.seq == wait.seq; });
    DropIdleLocks();
  }

  void DropIdleLocks() {
    const std::set<Bytes> used = LocksInUse();
    std::erase_if(limits, [&](const auto& limit) { return !used.contains(limit.first); });
  }

  void ForgetIdle() {
    std::erase_if(owners, [&](const auto& owner) {
      const auto mine = [&](const auto& row) { return row.owner == owner.first; };
      return owner.second.remembered_until < at_.time &&
             std::none_of(holds.begin(), holds.end(), mine) &&
             std::none_of(waits.begin(), waits.end(), mine);
    });
  }

  void MarkHeard(const HoldRow& hold) {
    const auto request = hold.unheard;
    for (HoldRow& h : holds) {
      if (!request || h.unheard != request) continue;
      h.unheard.reset();
      h.before.reset();
    }
  }

  uint64_t Grant(const Bytes& owner, const Names& names, LockMode mode, int64_t ttl_ms,
                 std::optional<Bond> bond, std::optional<RequestId> waited) {
    std::set<uint64_t> tokens;
    for (const Bytes& name : names) {
      const HoldRow* own = Holding(owner, name);
      const bool enough =
          own != nullptr && (own->mode == LockMode::kExclusive || own->mode == mode);
      tokens.insert(enough ? own->token : 0);
    }
    const bool same = tokens.size() == 1 && *tokens.begin() != 0;
    if (!same) last_token = std::max(at_.index.value, last_token + 1);
    const uint64_t token = same ? *tokens.begin() : last_token;
    for (const Bytes& name : names) {
      Moving(owner, name, [&] {
        auto* own = const_cast<HoldRow*>(Holding(owner, name));
        if (own == nullptr) {
          HoldRow hold;
          hold.seq = next_seq_++;
          hold.lock = name;
          hold.owner = owner;
          hold.mode = mode;
          hold.token = token;
          hold.deadline = at_.time + ttl_ms;
          hold.granted_at = at_.time;
          hold.bond = bond;
          hold.unheard = waited;
          holds.push_back(hold);
          Tell("granted", name, owner, token);
          return;
        }
        MarkHeard(*own);
        if (own->token != token) {
          if (waited) {
            own->unheard = waited;
            own->before = {own->token, own->mode, own->deadline, own->granted_at, own->bond};
          }
          own->token = token;
          own->granted_at = at_.time;
          Tell("granted", name, owner, token);
        }
        own->mode = mode;
        own->deadline = at_.time + ttl_ms;
        own->bond = bond;
      });
    }
    return token;
  }

  void Settle() {
    while (true) {
      const auto ready =
          std::find_if(waits.begin(), waits.end(), [&](const WaitRow& w) { return IsReady(w); });
      if (ready != waits.end()) {
        const WaitRow wait = *ready;
        waits.erase(ready);
        const uint64_t token =
            Grant(wait.owner, wait.locks, wait.mode, wait.ttl_ms, wait.bond, wait.request);
        out.Give(wait.request, Reply::Integer(static_cast<int64_t>(token)));
        continue;
      }
      if (suspects_.empty()) break;
      const auto circle = CircleThrough(suspects_.front());
      if (circle.empty()) {
        suspects_.erase(suspects_.begin());
      } else {
        Abort(circle);
      }
    }
    ForgetIdle();
  }

  void Abort(const std::vector<std::pair<Bytes, Bytes>>& circle) {
    ++deadlocks;
    size_t youngest = 0;
    for (size_t i = 1; i < circle.size(); ++i) {
      const auto age = [&](size_t k) {
        return std::pair(owners[circle[k].first].age, circle[k].first);
      };
      if (age(i) > age(youngest)) youngest = i;
    }
    const Bytes victim = circle[youngest].first;
    Bytes words = victim;
    for (size_t i = 0; i < circle.size(); ++i) {
      const size_t k = (youngest + i) % circle.size();
      words += " -> " + circle[k].second + " -> " + circle[(k + 1) % circle.size()].first;
    }
    const Reply reply =
        Reply::Error("DEADLOCK", "waiting for '" + circle[youngest].second +
                                     "' would close a cycle: " + words + "; all locks of '" +
                                     victim + "' were released; try again");
    Tell("deadlock", circle[youngest].second, victim, 0);
    for (const WaitRow& w : std::vector(waits)) {
      if (w.owner == victim) EndWait(w, reply);
    }
    for (const HoldRow& h : std::vector(holds)) {
      if (h.owner == victim) EndHold(h, "released");
    }
    owners[victim].remembered_until = at_.time + 60'000;
  }

  // ---- Operations. ----

  std::optional<Reply> Run(const RequestId& request, const LockOp& op, bool in_batch) {
    if (const auto* o = std::get_if<AcquireOp>(&op)) return Acquire(request, *o, in_batch);
    if (const auto* o = std::get_if<RenewOp>(&op)) return Renew(*o);
    if (const auto* o = std::get_if<ReleaseOp>(&op)) return Release(*o);
    if (const auto* o = std::get_if<RevokeOp>(&op)) return Revoke(*o);
    if (const auto* o = std::get_if<BatchOp>(&op)) {
      Reply answers = Reply::Array();
      for (const BatchOp::Item& item : o->items) {
        answers.Add(*Run(request, *DecodeLockOp(item.bytes), true));
      }
      return answers;
    }
    if (const auto* o = std::get_if<CancelOp>(&op)) return Cancel(*o);
    return Hangup(std::get<HangupOp>(op));
  }

  std::optional<Reply> Acquire(const RequestId& request, const AcquireOp& op, bool in_batch) {
    const bool shared = op.mode == LockMode::kShared;
    const uint32_t asked = op.limit > 0 ? op.limit : UINT32_MAX;
    for (const Bytes& name : op.names) {
      const auto known = limits.find(name);
      if (shared && known != limits.end() && known->second != 0 && known->second != asked) {
        return Reply::Error("ERR", "another LIMIT");
      }
    }
    std::optional<Bond> bond;
    if (op.bind) bond = Bond{request.origin, request.incarnation, *op.bind};
    const auto enter = [&] {
      owners.try_emplace(op.owner, OwnerRow{at_.index.value, {}});
      for (const Bytes& name : op.names) {
        limits.try_emplace(name, 0);
        if (shared) limits[name] = asked;
      }
    };
    const auto free = [&](const Bytes& name) {
      const HoldRow* own = Holding(op.owner, name);
      if (own != nullptr) {
        return own->mode == LockMode::kExclusive || shared || HoldersOf(name).size() == 1;
      }
      for (const WaitRow& w : WholeLineOf(name)) {
        if (w.owner != op.owner) return false;
      }
      return CanJoin(name, op.mode);
    };
    const auto overlaps = [&](const WaitRow& older) {
      return older.owner == op.owner &&
             std::any_of(op.names.begin(), op.names.end(),
                         [&](const Bytes& name) { return Has(older.locks, name); });
    };
    if (std::all_of(op.names.begin(), op.names.end(), free)) {
      for (const WaitRow& older : std::vector(waits)) {
        if (overlaps(older)) EndWait(older, Reply::Nil());
      }
      enter();
      const uint64_t token = Grant(op.owner, op.names, op.mode, op.ttl_ms, bond, std::nullopt);
      Settle();
      return Reply::Integer(static_cast<int64_t>(token));
    }
    if (!op.wait_ms || in_batch) return Reply::Nil();

    WaitRow wait{.seq = 0, .request = request, .owner = op.owner, .locks = op.names,
                 .mode = op.mode, .ttl_ms = op.ttl_ms,
                 .deadline = *op.wait_ms == 0 ? kNeverCluster : at_.time + *op.wait_ms,
                 .began = at_.time, .bond = bond};
    bool taken_over = false;
    bool changes_mode = false;
    for (const WaitRow& older : std::vector(waits)) {
      if (!overlaps(older)) continue;
      if (std::set(older.locks.begin(), older.locks.end()) ==
          std::set(op.names.begin(), op.names.end())) {
        taken_over = true;
        changes_mode = older.mode != op.mode;
        wait.seq = older.seq;
        wait.began = older.began;
        wait.locks = older.locks;
        out.Give(older.request, Reply::Nil());
        *BySeq(&waits, older.seq) = wait;
      } else {
        EndWait(older, Reply::Nil());
      }
    }
    enter();
    if (!taken_over) {
      wait.seq = next_seq_++;
      waits.push_back(wait);
    }
    const bool upgrades = std::any_of(wait.locks.begin(), wait.locks.end(), [&](const Bytes& lock) {
      return PlaceOf(wait, lock) == Place::kUpgrading;
    });
    if (taken_over ? changes_mode : upgrades) {
      SuspectAllOf(op.owner);
    } else if (!taken_over) {
      suspects_.push_back(wait.seq);  // It is behind everybody: only what it needs is new.
    }
    Settle();
    return std::nullopt;
  }

  Reply Renew(const RenewOp& op) {
    int64_t renewed = 0;
    for (HoldRow& h : holds) {
      if (h.owner != op.owner || (!op.all && h.lock != op.name)) continue;
      if (!op.all) MarkHeard(h);
      h.deadline = at_.time + op.ttl_ms;
      if (h.before) h.before->deadline = h.deadline;
      ++renewed;
    }
    return Reply::Integer(renewed);
  }

  Reply Release(const ReleaseOp& op) {
    std::vector<HoldRow> released;
    for (const HoldRow& h : holds) {
      const bool meant = h.owner == op.owner && (op.all || h.lock == op.name);
      if (meant && (!op.token || *op.token == h.token)) released.push_back(h);
    }
    for (const WaitRow& w : std::vector(waits)) {
      const auto loses = [&](const HoldRow& h) { return Has(w.locks, h.lock); };
      const bool named = !op.token && (op.all || Has(w.locks, op.name));
      if (w.owner == op.owner &&
          (named || std::any_of(released.begin(), released.end(), loses))) {
        EndWait(w, Reply::Nil());
      }
    }
    for (const HoldRow& h : released) {
      MarkHeard(h);
      EndHold(h, "released");
    }
    Settle();
    return Reply::Integer(static_cast<int64_t>(released.size()));
  }

  Reply Revoke(const RevokeOp& op) {
    int64_t revoked = 0;
    for (const HoldRow& h : HoldersOf(op.name)) {
      if (op.owner && *op.owner != h.owner) continue;
      EndHold(h, "revoked");
      ++revoked;
    }
    Settle();
    return Reply::Integer(revoked);
  }

  Reply Cancel(const CancelOp& op) {
    for (const WaitRow& w : std::vector(waits)) {
      if (w.request != op.target) continue;
      EndWait(w, op.why == CancelOp::Why::kError
                     ? Reply::Error("UNBLOCKED", "client unblocked via CLIENT UNBLOCK")
                     : Reply::Nil());
      Settle();
      return Reply::Integer(1);
    }
    int64_t taken_back = 0;
    for (const HoldRow& row : std::vector(holds)) {
      if (op.why != CancelOp::Why::kGone || row.unheard != op.target) continue;
      taken_back = 1;
      if (!row.before || row.before->deadline < at_.time) {
        EndHold(row, row.before ? "expired" : "released");
        continue;
      }
      Moving(row.owner, row.lock, [&] {
        HoldRow* hold = BySeq(&holds, row.seq);
        hold->token = row.before->token;
        if (row.before->mode == LockMode::kShared) hold->mode = LockMode::kShared;
        hold->deadline = row.before->deadline;
        hold->granted_at = row.before->granted_at;
        hold->bond = row.before->bond;
        hold->before.reset();
        hold->unheard.reset();
      });
    }
    Settle();
    return Reply::Integer(taken_back);
  }

  Reply Hangup(const HangupOp& op) {
    const Bond bond{op.origin, op.incarnation, op.client};
    int64_t ended = 0;
    for (const WaitRow& w : std::vector(waits)) {
      if (w.bond == bond) EndWait(w, Reply::Nil()), ++ended;
    }
    for (const HoldRow& h : std::vector(holds)) {
      if (h.bond == bond) EndHold(h, "released");
      if (h.bond == bond || (h.before && h.before->bond == bond)) ++ended;
    }
    for (HoldRow& h : holds) {
      if (h.before && h.before->bond == bond) h.before.reset();
    }
    Settle();
    return Reply::Integer(ended);
  }

  Position at_;
  uint64_t next_seq_ = 1;
  std::vector<uint64_t> suspects_;
};

}  // namespace lockstep
