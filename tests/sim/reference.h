// One more replica of a group, which no fault ever touches: it applies each entry once, when the
// first node commits it, and remembers the hash of its state after each.
//
// Every node is compared with it after every turn, wherever it has come to. That covers each index
// in between, too: the hash runs over every entry and every answer so far, not over the state
// alone, so two that agree at one index have agreed at all before it. And it is the state's own
// running hash, cheap enough for every entry; CheckInvariants holds it to the state that it is of.
#pragma once

#include <memory>
#include <vector>

#include "cluster/raft/types.h"
#include "commands/replica.h"

namespace lockstep::sim {

class Reference {
 public:
  // As `like` is after `at`, without sharing anything.
  Reference(const Replica& like, GroupId group, Index at);

  Index applied() const { return Index{from_ + hashes_.size() - 1}; }
  void Apply(const raft::Entry& entry);
  // From where it began to applied().
  bool Knows(Index at) const { return at.value >= from_ && at <= applied(); }
  uint64_t HashAt(Index at) const { return hashes_.at(at.value - from_); }
  void CheckInvariants() const;
  // The number under which a node's session is open; 0: none is.
  uint64_t SessionOf(NodeId node) const { return replica_->SessionOf(node).incarnation; }

 private:
  static void Enter();

  std::unique_ptr<Replica> replica_;
  uint64_t from_;
  std::vector<uint64_t> hashes_;
  Effects effects_;
};

}  // namespace lockstep::sim
