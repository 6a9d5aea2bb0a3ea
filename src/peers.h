// What this node knows of the others: who they said they are, when they were last heard, whether
// our links to them stand.
//
// Hellos come from both directions, and each tells of the process that said it. Whether we can
// reach a peer is another question: only our own links answer it.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "cluster/bus/failure_detector.h"
#include "cluster/bus/hello.h"
#include "commands/control_machine.h"
#include "src/base/limits.h"
#include "src/node.h"

namespace lockstep {

class Peers {
 public:
  // One of our two links to a peer.
  struct Lane {
    bool up = false;
    bus::Hello hello;  // Of the process at its other end.
  };
  struct Peer {
    bus::Hello hello;        // The latest.
    bool introduced = false; // A hello has come.
    bool linked = false;     // Our bulk lane to it is up: what we forward arrives.
    MonoTime linked_since;
    Bytes bus_host;          // Where it says that it can be reached; port 0: it has not said.
    uint16_t bus_port = 0;
    MonoTime heard;
    DiskId spoke;            // The disk behind what was last heard.
    uint64_t frames = 0;     // Received.
    uint64_t dials = 0;      // See PeerAddress.
    Lane lanes[2];
  };
  // Beyond it, whoever was silent for longest and is not followed is forgotten.
  static constexpr size_t kPeersMax = 4 * kNodesMax;

  Peers(NodeId self, int64_t node_timeout_us)
      : self_(self), node_timeout_us_(node_timeout_us), detector_(node_timeout_us) {}

  // The nodes to keep links to, ascending. True: that has changed.
  bool Follow(std::vector<PeerAddress> addresses, MonoTime now);
  const std::vector<PeerAddress>& addresses() const { return addresses_; }

  void OnUp(const PeerUp& input, MonoTime now);
  void OnDown(NodeId id, bus::Lane lane);
  void OnFrame(const PeerFrame& input, MonoTime now);
  // Follow will ask for new links to it.
  void Redial(NodeId id);
  bus::FailureDetector::Changes Tick(MonoTime now) { return detector_.Tick(now); }
  void set_node_timeout_us(int64_t us);

  const Peer* Find(NodeId id) const;
  bool failed(NodeId id) const { return id != self_ && detector_.failed(id); }
  bool linked(NodeId id) const;
  // The disk that the peer says it has; 0 if it has not said.
  DiskId DiskOf(NodeId id) const;
  // What the process said that our bulk lane leads to, if it is of `cluster` and not silent; else
  // null.
  const bus::Hello* Linked(NodeId id, ClusterId cluster) const;
  // Where it was followed, or said that it is; nothing: never heard of.
  std::optional<PeerAddress> AddressOf(NodeId id) const;
  // Who said hello for `cluster`, told where it is, and was heard within node-timeout. Ascending.
  std::vector<PeerAddress> Heard(ClusterId cluster, MonoTime now) const;
  // Whether `id` was heard within node-timeout, speaking with `disk`.
  bool Present(NodeId id, DiskId disk, MonoTime now) const;

 private:
  bool Follows(NodeId id) const;
  Peer& Meet(NodeId id);

  NodeId self_;
  int64_t node_timeout_us_;
  bus::FailureDetector detector_;
  std::vector<PeerAddress> addresses_;
  std::map<NodeId, Peer> peers_;
};

}  // namespace lockstep
