// A client that works: one round after the other, each some lock commands, until it is told to
// stop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tests/sim/lock_checker.h"
#include "tests/sim/session.h"
#include "tests/sim/swarm.h"

namespace lockstep::sim {

class World;

class Actor {
 public:
  Actor(World* world, LockChecker* checker, Bytes owner);
  virtual ~Actor() = default;
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  void Start() { Next(200'000); }
  // The round under way is the last one.
  void Stop() { stopping_ = true; }
  bool idle() const { return stopping_ && !in_round_ && session_.idle(); }
  const Bytes& owner() const { return owner_; }
  Session& session() { return session_; }

  // Once everything is quiet: what this one alone can tell.
  virtual void Check() {}

 protected:
  using Then = std::function<void(const LockAnswer&)>;

  virtual void Round() = 0;
  // The round is over; the next begins within `pause_us`.
  void Next(int64_t pause_us);

  void Do(const LockCommand& command, Then then) { DoOn(&session_, command, std::move(then)); }
  void DoOn(Session* session, const LockCommand& command, Then then);
  // Again and again, under the same owner, until the outcome is known.
  void Insist(const LockCommand& command, Then then);
  // MULTI, all of them, EXEC. Answers in the same order.
  void DoTogether(std::vector<LockCommand> commands,
                  std::function<void(const std::vector<LockAnswer>&)> then);
  void After(int64_t at_most_us, std::function<void()> then);

  LockCommand Acquire(const Bytes& name) const;
  LockCommand About(LockCommand::Kind kind, const Bytes& name) const;

  bool Chance(uint64_t percent);
  int64_t Between(int64_t low, int64_t high);
  const Bytes& Pick(const std::vector<Bytes>& names);
  void HangUpSoon(int64_t within_us);

  World* world_;
  LockChecker* checker_;
  uint64_t hang_up_percent_ = 3;

 private:
  int64_t Patience(const LockCommand& command);
  void CountAnswer(const Reply* reply);

  Bytes owner_;
  Session session_;
  bool stopping_ = false;
  bool in_round_ = false;
};

// "c0", "c1", ...
std::vector<Bytes> Names(const char* prefix, size_t n);

// One actor of this kind; `number` tells it from the others.
std::unique_ptr<Actor> MakeActor(Work work, World* world, LockChecker* checker, uint32_t number);
// Its parts, by file.
std::unique_ptr<Actor> MakeLockUser(Work work, World* world, LockChecker* checker, uint32_t number);
std::unique_ptr<Actor> MakeTransaction(Work work, World* world, LockChecker* checker,
                                       uint32_t number);
std::unique_ptr<Actor> MakeBigClient(Work work, World* world, LockChecker* checker,
                                     uint32_t number);
std::unique_ptr<Actor> MakeQueueUser(Work work, World* world, LockChecker* checker,
                                     uint32_t number);
std::unique_ptr<Actor> MakeCacheUser(Work work, World* world, LockChecker* checker,
                                     uint32_t number);
std::unique_ptr<Actor> MakeOddClient(Work work, World* world, LockChecker* checker,
                                     uint32_t number);

}  // namespace lockstep::sim
