// What the clients of the cache have in common: they write down what they ask of each key.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "tests/sim/actor.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

class CacheClient : public Actor {
 public:
  CacheClient(World* world, LockChecker* checker, Bytes owner)
      : Actor(world, checker, std::move(owner)) {}

 protected:
  using Op = CacheOperation;
  using Kind = CacheOperation::Kind;
  using Told = CacheOperation::Told;
  using Argv = std::vector<Bytes>;
  using ThenOp = std::function<void(const Op&)>;
  using Ticket = CacheLedger::Ticket;

  static constexpr int64_t kPatienceUs = 8'000'000;

  // Unique, and none the beginning of another.
  Bytes NewValue() { return Format("%s.%lu;", owner().c_str(), ++written_); }

  Ticket Issue(const Bytes& key, Op op);
  // One command, which is `op` on `key`.
  void Ask(Session* session, const Bytes& key, const Op& op, const Argv& argv, ThenOp then);
  // What `op` came to, by what was answered.
  static void Fill(const Reply* reply, bool sent, Op* op);
  void Tell(const Argv& argv, const Reply* reply);
  // From time to time through another node.
  void MayMove(Session* session, uint64_t percent) {
    if (Chance(percent)) session->HangUp();
  }

 private:
  uint64_t written_ = 0;
};

// One that asks on one connection, now and then several things at once, and rests when all are
// answered.
class RestingClient : public CacheClient {
 public:
  // Of its rests, in so many percent it goes on through another node.
  RestingClient(World* world, LockChecker* checker, Bytes owner, uint64_t move_percent)
      : CacheClient(world, checker, std::move(owner)), move_percent_(move_percent) {}

 protected:
  // A round: `one` asks one thing, by one of the following.
  void AskSome(int64_t most, const std::function<void()>& one);
  void Do(const Bytes& key, const Op& op, const Argv& argv);
  void DoKind(Kind kind, const Bytes& key, Op op, const Argv& argv);
  // A time to live of a few milliseconds to a few seconds.
  void AddTime(Argv* argv, Op* op);
  // The command, which does `op` to each of the keys.
  void DoTogether(const std::vector<Bytes>& keys, const Op& op, const Argv& argv);
  void Done(const Op& op);
  virtual void OnDone(const Op&) {}

  const Bytes& seen() const { return seen_; }  // The latest value.

 private:
  const uint64_t move_percent_;
  Bytes seen_ = "nothing";
  size_t open_ = 0;
};

// Those of cache_several.cc.
std::unique_ptr<Actor> MakeSeveralKeysUser(Work work, World* world, LockChecker* checker,
                                           uint32_t number);

// That of cache_durables.cc.
std::unique_ptr<Actor> MakeDurableUser(World* world, LockChecker* checker, uint32_t number);

// That of cache_pushers.cc.
std::unique_ptr<Actor> MakePusher(World* world, LockChecker* checker, uint32_t number);

}  // namespace lockstep::sim
