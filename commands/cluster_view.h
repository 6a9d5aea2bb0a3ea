// The cluster as one node sees it now: a value that the node fills and commands render.
#pragma once

#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep {

struct ClusterView {
  struct Member {
    NodeId id;
    Bytes name;            // 40 hex digits, as Redis names nodes; from cluster id and node id.
    Bytes zone;
    Bytes host;            // Empty: the one under which the client has reached us.
    uint16_t port = 0;     // RESP.
    uint16_t bus_port = 0;
    bool self = false;
    bool failed = false;   // Not heard for node-timeout.
    bool connected = false;
    bool voter = true;
    int64_t heard_ms_ago = 0;
    int64_t link_up_ms = 0;       // How long our link to it has been up.
    size_t link_buffered = 0;     // Bytes that it has not taken yet.
    std::vector<std::pair<uint16_t, uint16_t>> slots;  // Inclusive; together all 16384.
  };
  struct Group {
    GroupId id;
    Bytes name;            // "control", "locks", "shard-0", ...
    Bytes role;            // "leader", "follower", "candidate", "pre-candidate", "none".
    NodeId leader;
    NodeId wanted;         // By the placement; kNoNode: nobody in particular.
    Term term;
    Index commit, applied, last, snapshot;
    uint64_t elections = 0;  // Times that this node became leader.
    std::vector<NodeId> voters, learners;
    bool changing = false;   // A membership change is under way.
    size_t log_bytes = 0;
    size_t remembered = 0;   // Requests kept for being sent again.
  };
  ClusterId cluster;         // 0: still forming.
  uint64_t epoch = 0;        // Of membership: grows with each change.
  bool ok = false;           // Every group has a leader that this node knows.
  std::vector<Member> members;  // Sorted by id; this node among them.
  std::vector<Group> groups;    // Sorted by id.
  Bytes waiting_for;         // While forming: "node 3 at 127.0.0.1:17381".
  uint64_t messages_sent = 0;      // On the bus, to all peers, since this node started.
  uint64_t messages_received = 0;  // From those that are peers now.
};

}  // namespace lockstep
