// Which peers are silent: a node that was not heard from for `node_timeout_us` is taken for failed.
//
// A suspicion, not a fact (Chandra & Toueg 1996: eventually perfect at best): it may steer where
// requests are sent, what INFO shows and when shards are moved, and nothing whose safety depends on
// it being right. Raft has its own timers.
//
// Always true: `failed` changes in Tick only, so whoever follows Tick's changes and whoever asks
// sees the same.
//
// Not thread-safe. Used on the node thread.
#pragma once

#include <map>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep::bus {

constexpr int64_t kNodeTimeoutUs = 5 * kUsPerSecond;

class FailureDetector {
 public:
  explicit FailureDetector(int64_t node_timeout_us = kNodeTimeoutUs);

  void set_node_timeout_us(int64_t us) { node_timeout_us_ = us; }

  // A peer that there is from now on; it has the whole timeout to speak up. Again for a known one:
  // nothing changes.
  void Watch(NodeId node, MonoTime now);
  void Forget(NodeId node);

  // Anything at all came from `node`. Of a node that is not watched, nothing is kept.
  void Heard(NodeId node, MonoTime now);

  // Ascending by node.
  struct Changes {
    std::vector<NodeId> failed;
    std::vector<NodeId> back;
    bool empty() const { return failed.empty() && back.empty(); }
  };
  Changes Tick(MonoTime now);

  // Of a node that is not watched: true, and the beginning of time.
  bool failed(NodeId node) const;
  MonoTime last_heard(NodeId node) const;

 private:
  struct Peer {
    MonoTime last_heard;
    bool failed = false;
  };
  int64_t node_timeout_us_;
  // Ordered, for Tick walks it and its order is seen. As many as the cluster has members.
  std::map<NodeId, Peer> peers_;
};

}  // namespace lockstep::bus
