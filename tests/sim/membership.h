// Who belongs to the cluster, as its operator has it: nodes come, and nodes go.
//
// A change whose outcome nobody was told has happened, or has not, or happens yet. So it is asked
// for again until the cluster has said which (CLUSTER ADD and REMOVE may be asked twice); until
// then the node is neither a member nor gone, and nothing is decided about it.
//
// A node that was removed has to stay until the groups have let go of it: the configuration that
// drops it is agreed on with its voice. Where the others are enough, it may be taken away at once.
//
// Always true: one change at a time is asked for.
#pragma once

#include <map>
#include <vector>

#include "tests/sim/session.h"

namespace lockstep::sim {

class Process;
class World;

class Membership {
 public:
  explicit Membership(World* world);

  // Nothing happens while another change is open, or if it would leave no cluster.
  void Add();
  void Remove();

  // Every change has come to its end. Else what is open.
  bool settled() const { return open_.empty(); }
  Bytes WhatIsOpen() const;
  // Down, and not to be started: nobody knows yet whether it belongs.
  bool Awaited(NodeId id) const;
  // Those of whom nobody has asked that they go. Once settled: the members.
  std::vector<NodeId> Staying() const;

  // Whether each group can do without these: everybody agrees on who decides, and of the voters
  // that stay a majority is up, with the disk that they voted with.
  bool CanSpare(const std::vector<NodeId>& away) const;

 private:
  enum class State : uint8_t {
    kAskedToCome,
    kAskedToGo,
    kLeaving,  // Removed; some group still counts its voice.
  };
  struct Open {
    State state = State::kAskedToCome;
    bool lost = false;  // It was asked for before, and nobody knows what became of that.
  };
  void Ask(NodeId id);
  void OnAnswer(NodeId id, const Reply* reply, bool sent);
  void AskAgain(NodeId id);
  void OnAdded(NodeId id);
  void OnRemoved(NodeId id);
  void OnRefused(NodeId id);
  void Watch();
  bool Busy() const;
  bool RestIsWhole(NodeId without) const;
  bool IsOut(NodeId id) const;

  World* world_;
  Session operator_;
  std::map<NodeId, Open> open_;
  bool watching_ = false;
};

}  // namespace lockstep::sim
