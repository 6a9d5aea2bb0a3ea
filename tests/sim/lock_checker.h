// What all clients together were told about locks, and whether it can be true.
//
// While the run goes on: who believes to hold what. Two who believe to hold the same exclusive lock
// at one moment, a token that falls, a wait that was given up too early are found at once. At the
// end: each lock's whole history must be linearizable (lock_model.h).
//
// A client believes that it holds a lock from the answer on, until its lease, counted from when it
// asked, may be over by the fastest clock; no longer than nobody else can have ended it, itself
// included: by a release, a revocation, a deadlock.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "src/base/ids.h"
#include "tests/sim/lock_command.h"

namespace lockstep::sim {

class World;

class LockChecker {
 public:
  explicit LockChecker(World* world) : world_(world) {}

  // A client sends this command. The ticket is for Conclude, which always follows.
  size_t Issue(const LockCommand& command);
  // `socket`: what BIND has tied it to.
  void Conclude(size_t ticket, const LockAnswer& answer, ClientId socket);

  // At the end: histories of all locks.
  void Check();

  std::vector<Bytes> names() const;
  // Granted for the whole run, and nobody else wants them.
  const std::set<Bytes>& kept() const { return kept_; }
  void Keep(const Bytes& name) { kept_.insert(name); }
  bool Knows(const Bytes& name) const { return locks_.contains(name); }
  // Of the locks that are left to time.
  int64_t longest_lease_ms() const { return longest_lease_ms_; }
  // Whether `owner` may have had to do with `name` at any time since `since_us`: as holder or in
  // its line.
  bool MayBeAt(const Bytes& owner, const Bytes& name, int64_t since_us) const;

 private:
  // An owner and a lock: what is under way between the two, and what was lost and may yet come.
  struct Tie {
    int open_acquires = 0;
    int lost_acquires = 0;
    int open_releases = 0;
    int lost_releases = 0;
    bool may_hold = false;         // It was granted, and nobody was told that it ended since.
    int64_t gone_us = -1;          // Until then it may have held the lock or have waited for it.
    uint64_t touched = 0;          // Changes with each acquire and release that is sent.
    bool may_be_here() const { return may_hold || open_acquires + lost_acquires > 0; }
    int64_t first_lost_us = INT64_MAX;  // The earliest acquire whose outcome nobody knows.
  };
  struct Belief {
    Bytes owner;
    bool shared = false;
    uint64_t token = 0;
    int64_t until_us = 0;
  };
  struct Lock {
    std::vector<Operation> history;
    std::map<Bytes, Tie> ties;
    std::vector<Belief> beliefs;
    uint64_t highest_written = 0;  // The register: tokens of those who write under it.
    uint32_t open_revokes = 0;     // On their way, or of unknown outcome: may happen any time.
    int64_t revoked_us = -1;       // When one was last answered.
    bool line_of_many = false;
  };
  struct Wait {
    size_t ticket = 0;
    int64_t end_us = INT64_MAX;  // As long as nobody knows that it is over.
  };
  struct Owner {
    std::set<Bytes> names;
    std::vector<Wait> waits;
    int waiting = 0;  // Blocking acquires under way, those included that nobody will hear of.
  };
  // Something that happens to all that an owner holds, wherever.
  struct OwnerWide {
    Operation operation;
    std::set<Bytes> only;            // Empty: everywhere.
    std::optional<ClientId> bound_to;  // Not before this connection has ended.
  };
  struct Issued {
    LockCommand command;
    int64_t call_us = 0;
    std::vector<size_t> places;    // In the history of each name.
    uint64_t touched = 0;
  };

  Operation MakeOperation(const Issued& issued) const;
  void IssueAcquire(Issued* issued);
  void ConcludeAcquire(const Issued& issued, const LockAnswer& answer, ClientId socket);
  void ConcludeOwnerWide(const Issued& issued, const LockAnswer& answer);
  void Fill(Operation* operation, const LockAnswer& answer) const;
  void Count_(const Issued& issued, const LockAnswer& answer);

  void Shorten(const Bytes& name, const Issued& issued);
  void Believe(const Issued& issued, const LockAnswer& answer);
  void WriteRegister(Lock* lock, const Bytes& name, const Belief& belief);
  void Doubt(const Bytes& name, const Bytes& owner);  // Empty owner: everybody's.
  void CheckToken(const Issued& issued, uint64_t token);
  void CheckPatience(const Issued& issued);
  void CheckDeadlock(const Issued& issued) const;
  std::set<Bytes> NeededBy(const Bytes& owner, int64_t since_us) const;
  void ReleasedAll(const Issued& issued, Tie* tie) const;
  void CheckHistory(const Bytes& name, Lock* lock);

  World* world_;
  std::map<Bytes, Lock> locks_;
  std::map<Bytes, Owner> owners_;
  std::vector<Issued> issued_;
  std::vector<OwnerWide> owner_wide_;
  std::map<uint64_t, Bytes> token_owner_;
  std::map<int64_t, uint64_t> highest_by_time_;  // Highest token returned by then.
  uint64_t touches_ = 0;
  std::set<Bytes> kept_;
  int64_t longest_lease_ms_ = 0;
};

}  // namespace lockstep::sim
