// Whether what nodes promise each other is on their disks. Looked at from outside, message by
// message: a promise that is given too early does harm only where a crash and a second candidate
// come in the same moment, and no number of seeds is sure to meet that.
//
//   1. A vote, a candidacy, an acknowledged entry or snapshot is on its sender's disk when the
//      message leaves (Raft figure 2).
//   2. What a leader calls committed is on the disks of a majority of its configuration, of both
//      while it is joint; and the last of it is of its own term (§5.4.2).
//   3. A node that starts has in its log all that its disk has.
#pragma once

#include <vector>

#include "cluster/raft/types.h"
#include "src/base/bytes.h"

namespace lockstep::bus {
struct Envelope;
}
namespace lockstep::raft {
class Raft;
}

namespace lockstep::sim {

class Process;
class World;

class Durability {
 public:
  explicit Durability(World* world) : world_(world) {}

  // A frame leaves `from`.
  void OnFrame(const Process& from, NodeId to, BytesView body);
  // `raft` has led since before its last turn, under the same configuration, and commits more.
  void OnCommit(const Process& leader, GroupId group, const raft::Raft& raft);
  void OnStart(const Process& process);

 private:
  void OnPromise(const Process& from, NodeId to, const bus::Envelope& envelope);
  void Acknowledges(const Process& from, GroupId group, Index match);
  bool MajorityHas(const std::vector<raft::Member>& voters, GroupId group, raft::LogId id) const;

  World* world_;
};

}  // namespace lockstep::sim
