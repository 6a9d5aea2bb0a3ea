// Causes the faults that the swarm has drawn, one every so often, each with its own end; and heals
// everything when the time of safety is over and that of liveness begins.
#pragma once

#include <set>
#include <vector>

#include "tests/sim/membership.h"
#include "tests/sim/session.h"
#include "tests/sim/swarm.h"

namespace lockstep::sim {

class Process;
class World;

class Nemesis {
 public:
  explicit Nemesis(World* world);

  void Start();

  // Ends all faults and starts whoever is down.
  void EndFaults();
  // Every answer that the operator waits for has come, and every change of members is done. Before
  // that nobody can say who should be well.
  bool Settled() const { return operator_.idle() && membership_.settled(); }
  const Membership& membership() const { return membership_; }
  // With `core_only` a minority goes away for good, dead or cut off, if the rest can do without it.
  // Gives the nodes that are whole and reach each other.
  std::vector<NodeId> Core(bool core_only);

 private:
  void ScheduleNext();
  Fault Draw();
  void Cause(Fault fault);

  void Crash(Process* process);
  void CrashInWrite();
  void PowerCut();
  void Pause(Process* process);
  void Terminate(Process* process);
  void EmptyDisk(int patience);
  void StallDisk(Process* process);
  void DeposeStalled();
  void FailSync();
  void FillDisk();
  void JumpClock();
  void ResetLinks();
  void CutOneWay();
  void Isolate(Process* process);
  void MakeLeaderStale();
  void Halve();
  void Ring();
  void Bridge();
  void Clog();
  void CutLane();
  void KillLink();
  void CutClients();
  void MoveLeader();

  void StartLater(Process* process, int64_t within_us);
  void Supervise(Process* process, int64_t until_us);
  void SendAway(Process* process, const std::vector<NodeId>& from);
  void CutPairs(std::vector<std::pair<NodeId, NodeId>> pairs, int64_t for_us);
  std::vector<NodeId> Shuffled();
  Process* AnyProcess();
  Process* Leader();
  int64_t Between(int64_t low, int64_t high);

  World* world_;
  Membership membership_;
  Session operator_;
  Rng when_and_what_;    // Of faults.
  Rng dice_;             // Of the latest fault.
  uint64_t number_ = 0;  // Of faults drawn.
  std::set<NodeId> away_;  // Down, and not to come back.
  bool stopped_ = false;
};

}  // namespace lockstep::sim
