// How empty nodes become a cluster, once, and how a node with an empty disk finds the one there is.
//
// An empty node tells every node of `cluster-nodes` which disk it has. The one with the lowest id
// waits until it has heard all of them, and decides: these nodes, with these disks, are the
// cluster. Whoever belongs to a cluster answers an empty node with that decision.
//
// Always true:
//   1. The decision follows from the members and their disks alone: a decider that crashes and
//      decides again decides the same.
//   2. A node whose disk was emptied later finds another disk under its name in the decision. It is
//      no voter then: it has forgotten what it promised. The cluster takes it in anew
//      (src/membership.h).
#pragma once

#include <map>

#include "src/outbox.h"
#include "src/self.h"

namespace lockstep {

// What was decided: a kFormed's data.
struct Formed {
  ClusterId cluster;
  std::vector<NodeRecord> genesis;
  uint64_t shards = 0;
};
void EncodeFormed(const Self& self, Writer* out);
bool DecodeFormed(Reader* in, Formed* out);

class Formation {
 public:
  // `self` is not formed. `nodes`: of the configuration, this one among them.
  Formation(const Self& self, std::vector<NodeRecord> nodes, Outbox* outbox);

  void OnForm(NodeId from, DiskId disk);
  void OnFormed(Formed formed);
  void Tick(MonoTime now);
  MonoTime NextWakeup() const { return next_form_; }

  // Decided, here or elsewhere: self with cluster, genesis and shards filled in.
  bool done() const { return self_.formed(); }
  const Self& self() const { return self_; }
  // "node 3 at 127.0.0.1:17381": whom the decision waits for, as far as this node knows.
  Bytes WaitingFor() const;
  const std::vector<NodeRecord>& nodes() const { return nodes_; }

 private:
  void DecideIfAllHeard();

  Self self_;
  std::vector<NodeRecord> nodes_;
  Outbox* outbox_;
  MonoTime next_form_;
};

}  // namespace lockstep
