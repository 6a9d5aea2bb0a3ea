#include "cluster/bus/failure_detector.h"

#include <algorithm>

#include "src/base/check.h"

namespace lockstep::bus {

FailureDetector::FailureDetector(int64_t node_timeout_us) : node_timeout_us_(node_timeout_us) {
  CHECK(node_timeout_us > 0);
}

void FailureDetector::Watch(NodeId node, MonoTime now) {
  CHECK(node != kNoNode);
  peers_.try_emplace(node, Peer{.last_heard = now});
}

void FailureDetector::Forget(NodeId node) { peers_.erase(node); }

void FailureDetector::Heard(NodeId node, MonoTime now) {
  const auto it = peers_.find(node);
  if (it != peers_.end()) it->second.last_heard = std::max(it->second.last_heard, now);
}

FailureDetector::Changes FailureDetector::Tick(MonoTime now) {
  Changes changes;
  for (auto& [node, peer] : peers_) {
    const bool silent = now - peer.last_heard >= node_timeout_us_;
    if (silent == peer.failed) continue;
    peer.failed = silent;
    (silent ? changes.failed : changes.back).push_back(node);
  }
  return changes;
}

bool FailureDetector::failed(NodeId node) const {
  const auto it = peers_.find(node);
  return it == peers_.end() || it->second.failed;
}

MonoTime FailureDetector::last_heard(NodeId node) const {
  const auto it = peers_.find(node);
  return it == peers_.end() ? MonoTime{} : it->second.last_heard;
}

}  // namespace lockstep::bus
