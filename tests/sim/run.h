// One seed from beginning to end: the faults, the healing, the checks.
//
// First safety: faults happen and nothing wrong may be seen. Then liveness: they end (for all nodes
// or for a majority), and within bounded time every client gets an answer, nobody waits any more,
// and all nodes agree.
#pragma once

#include <memory>
#include <vector>

#include "tests/sim/actor.h"
#include "tests/sim/lock_checker.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/quiet.h"
#include "tests/sim/shrink.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

class Run {
 public:
  Run(uint64_t seed, bool narrating, Plan plan = {});
  ~Run();

  // Throws Failure.
  void Go();
  // Does not throw.
  Ending GoToTheEnd();

  World& world() { return world_; }

 private:
  using OnValue = std::function<void(NodeId node, const Bytes& key, const Reply& value)>;
  void Setup();
  void SetupActors();
  void Safety();
  void Liveness();
  void ExpectAgreement();
  void FinalReads();
  void LocksEndByTime();
  void BodiesAreThere();
  void QueuesAreEmptied();
  void KeysAgree();
  void ReadEverywhere(const std::vector<Bytes>& keys, const OnValue& on_value);
  void Surely(Session* session, const std::vector<Bytes>& argv,
              const std::function<void(const Reply&)>& then);
  void Drain(Session* session, const Bytes& queue, bool dead);
  using OnRead = std::function<void(const LockCommand&, const LockAnswer&)>;
  void ReadAll(const OnRead& on_read);
  void Probe(NodeId node);
  bool ActorsIdle() const;
  Bytes WhoIsBusy() const;
  // Of the nodes that are whole, those that belong to the cluster.
  std::vector<NodeId> Serving() const;
  // Empty: all of these agree; else what differs.
  Bytes Disagreement() const;
  std::vector<NodeId> KeepersOf(GroupId id, const Process& process, bool* all_serve) const;
  void Within(int64_t us, const char* what, const std::function<bool()>& done,
              const std::function<Bytes()>& why = nullptr);

  World world_;
  LockChecker locks_;
  Nemesis nemesis_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::vector<std::unique_ptr<Session>> probes_;
  std::unique_ptr<Quiet> quiet_;
  std::vector<NodeId> core_;
  size_t open_probes_ = 0;
  size_t open_queues_ = 0;
  std::set<Bytes> open_gets_;
};

}  // namespace lockstep::sim
