// What must happen in time once nothing disturbs any more: while faults go on, a bound on time can
// be checked by nobody.
//
// Written straight down: each question lets the world go on until its answer is there.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tests/sim/membership.h"
#include "tests/sim/session.h"

namespace lockstep::sim {

class World;

class Quiet {
 public:
  // `serving`: the nodes that are whole and belong to the cluster.
  Quiet(World* world, std::vector<NodeId> serving);

  // Throws Failure.
  void Check();
  // The same, for a node that dies with a lock bound to it. It is started again. Only where the
  // others can do without it.
  void CheckDeath(const Membership& membership);

 private:
  // One command under way.
  struct Call {
    std::optional<Reply> reply;
    bool over = false;
    int64_t asked_us = 0;
    int64_t over_us = 0;
  };
  using Pending = std::shared_ptr<Call>;

  void WaitEndsInTime();
  void ReleaseReachesTheWaiter();
  void HangUpEndsTheBond();
  void CircleHasItsVictim();

  Session* Client(NodeId node);
  Session* Client() { return Client(Any()); }
  NodeId Any() const;
  Pending Send(Session* session, std::vector<Bytes> argv);
  // Fails if there is no answer within so long.
  const Reply& Await(const Pending& call, const char* what, int64_t within_us);
  void Take(Session* session, const Bytes& name, const Bytes& owner, bool bind = false);
  void MustGet(const Pending& call, const char* what, int64_t within_us);
  void Pass(int64_t us);

  World* world_;
  std::vector<NodeId> serving_;
  std::vector<std::unique_ptr<Session>> sessions_;  // Events to come know them, so they stay.
  int64_t soon_us_;  // What a command may take that waits for nothing.
};

}  // namespace lockstep::sim
