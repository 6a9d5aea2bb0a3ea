// Watches all nodes at once for what must always hold, whatever clients see.
//
//   1. At most one leader a term in each group.
//   2. What is committed at an index is the same on every node, for all time; a new leader has all
//      that was committed before its term (Raft figure 3).
//   3. Replicas that have applied the same entries are in the same state, and have given the same
//      answers (reference.h).
//   4. Promises are on disk before they are given (durability.h).
//   5. Each node's own invariants.
//   6. Of each key of the cache one node may write, or several may read, and what they may read is
//      the same (cache_checker.h).
//
// Knows nodes by group() and replica() only.
#pragma once

#include <map>

#include "cluster/mesi/stats.h"
#include "cluster/raft/raft.h"
#include "src/base/ids.h"
#include "src/node.h"
#include "tests/sim/durability.h"
#include "tests/sim/reference.h"

namespace lockstep::sim {

class Process;
class World;

class ClusterChecker {
 public:
  explicit ClusterChecker(World* world) : world_(world), durability_(world) {}

  // After each turn of `process`.
  void OnTurn(const Process& process);
  void OnStart(const Process& process);
  void OnFrame(const Process& from, NodeId to, BytesView body) {
    durability_.OnFrame(from, to, body);
  }
  // Every node's own invariants: dearer, so not after each turn.
  void LookOver();

  // As the group's log has it, up to what any node has applied; 0: none is open.
  uint64_t SessionOf(GroupId group, NodeId node) const;

 private:
  struct Committed {
    uint64_t hash = 0;
    uint64_t term = 0;        // Of the entry.
    uint64_t known_in = 0;    // The lowest term in which a node knew that it is committed.
  };
  struct PerGroup {
    std::map<Index, Committed> committed;
    std::unique_ptr<Reference> reference;
    std::map<Term, NodeId> leaders;
    NodeId moves_to;  // By its leader's will; kNoNode: nowhere.
  };
  // What a process looked like after its last turn.
  struct Seen {
    uint64_t instance = 0;
    Index commit;
    Term term;
    uint64_t elections = 0;
    Index copy;
    Index snapshot;
    Term led;            // The term that it led; 0: it did not lead.
    Index config_index;
  };

  void CheckGroup(const Process& process, GroupId id);
  void CheckCommitted(const Process& process, GroupId id, const raft::Raft& raft, const Seen& seen);
  void CheckLeader(const Process& process, GroupId id, const raft::Raft& raft, Seen* seen);
  void CheckState(const Process& process, GroupId id, const raft::Raft& raft);
  void CountAsking(const Process& process);
  void CountCache(const Process& process);
  void CountAdopted(const Process& process);
  void CountMoves(const Process& process, GroupId id);
  void CountSnapshots(const raft::Raft& raft, Seen* seen);
  void CheckInvariants(const Process& process);

  World* world_;
  Durability durability_;
  std::map<GroupId, PerGroup> groups_;
  std::map<std::pair<NodeId, GroupId>, Seen> seen_;
  std::map<NodeId, std::pair<uint64_t, Node::Asking>> asking_;  // By instance, as last seen.
  std::map<NodeId, std::pair<uint64_t, mesi::Stats>> cache_stats_;  // The same.
  std::map<std::pair<NodeId, GroupId>, Term> serving_;  // Homes that serve, by epoch.
  uint64_t turns_ = 0;
  std::map<std::pair<NodeId, GroupId>, Index> copies_;  // HardState::copy, as last seen.
  std::map<GroupId, std::pair<Term, std::vector<raft::Member>>> voters_;  // The latest known.
  // A process when its replicas were last looked through.
  struct LookedThrough {
    uint64_t instance = 0;
    std::map<GroupId, Index> applied;
    uint64_t turns = 0;  // Since.
    uint64_t holds = 0;  // In its table then.
  };
  std::map<NodeId, LookedThrough> looked_through_;
};

}  // namespace lockstep::sim
