// What this node knows of the others: who they said they are, when they were last heard, whether
// our link to them stands.
#pragma once

#include <map>
#include <vector>

#include "cluster/bus/failure_detector.h"
#include "cluster/bus/hello.h"
#include "commands/control_machine.h"
#include "src/node.h"

namespace lockstep {

class Peers {
 public:
  struct Peer {
    bus::Hello hello;        // The latest.
    bool introduced = false; // A hello has come.
    bool linked = false;     // Our link to it stands.
    MonoTime heard;
    uint64_t frames = 0;     // Received.
  };

  Peers(NodeId self, int64_t node_timeout_us) : self_(self), detector_(node_timeout_us) {}

  // The nodes to keep links to. True: that has changed.
  bool Follow(const std::vector<PeerAddress>& addresses, MonoTime now);
  const std::vector<PeerAddress>& addresses() const { return addresses_; }

  void OnUp(const bus::Hello& hello, MonoTime now);
  void OnDown(NodeId id);
  void OnFrame(NodeId id, MonoTime now);
  bus::FailureDetector::Changes Tick(MonoTime now) { return detector_.Tick(now); }
  void set_node_timeout_us(int64_t us) { detector_.set_node_timeout_us(us); }

  const Peer* Find(NodeId id) const;
  bool failed(NodeId id) const { return id != self_ && detector_.failed(id); }
  // The disk that the peer says it has; 0 if it has not said.
  DiskId DiskOf(NodeId id) const;

 private:
  NodeId self_;
  bus::FailureDetector detector_;
  std::vector<PeerAddress> addresses_;
  std::map<NodeId, Peer> peers_;
};

}  // namespace lockstep
