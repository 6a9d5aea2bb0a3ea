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

// Those of cache_several.cc.
std::unique_ptr<Actor> MakeSeveralKeysUser(Work work, World* world, LockChecker* checker,
                                           uint32_t number);

// That of cache_durables.cc.
std::unique_ptr<Actor> MakeDurableUser(World* world, LockChecker* checker, uint32_t number);

// That of cache_pushers.cc.
std::unique_ptr<Actor> MakePusher(World* world, LockChecker* checker, uint32_t number);

}  // namespace lockstep::sim
