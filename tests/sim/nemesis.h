// Causes the faults that the swarm has drawn, one every so often, each with its own end; and heals
// everything when the time of safety is over and that of liveness begins.
#pragma once

#include <vector>

#include "tests/sim/session.h"
#include "tests/sim/swarm.h"

namespace lockstep::sim {

class Process;
class World;

class Nemesis {
 public:
  explicit Nemesis(World* world);

  void Start();
  void Stop() { stopped_ = true; }

  // Ends all faults. With `core_only` a minority stays away, dead or cut off, if the rest can do
  // without it. Gives the nodes that are whole and reach each other.
  std::vector<NodeId> Heal(bool core_only);

 private:
  void ScheduleNext();
  Fault Draw();
  void Cause(Fault fault);

  void Crash(Process* process);
  void PowerCut();
  void Pause(Process* process);
  void Terminate(Process* process);
  void EmptyDisk(int patience);
  void StallDisk();
  void JumpClock();
  void ResetLinks();
  void CutOneWay();
  void Isolate(Process* process);
  void Halve();
  void Ring();
  void Bridge();
  void Clog();
  void CutClients();
  void MoveLeader();
  void AddNode();
  void RemoveNode();

  void StartLater(Process* process, int64_t within_us);
  void CutPairs(std::vector<std::pair<NodeId, NodeId>> pairs, int64_t for_us);
  std::vector<NodeId> Shuffled();
  Process* AnyProcess();
  Process* Leader();
  // Whether the node's disk can be emptied with a majority of each group left.
  bool CanSpareDisk(NodeId id) const;
  bool CanSpare(const std::vector<NodeId>& away) const;
  int64_t Between(int64_t low, int64_t high);

  World* world_;
  Session operator_;
  bool stopped_ = false;
  bool changing_members_ = false;
};

}  // namespace lockstep::sim
