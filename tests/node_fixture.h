// What tests of whole nodes begin with.
#pragma once

#include <memory>
#include <utility>

#include "tests/node_cluster.h"

namespace lockstep {

inline constexpr NodeId k1{1};
inline constexpr NodeId k2{2};
inline constexpr NodeId k3{3};
inline constexpr NodeId k4{4};

inline bool StartsWith(const Bytes& text, BytesView prefix) {
  return BytesView(text).substr(0, prefix.size()) == prefix;
}
// Not inline: arguments of an inline command are copies.
inline Bytes Echo(const Bytes& text) {
  return Format("*2\r\n$4\r\nECHO\r\n$%zu\r\n", text.size()) + text + "\r\n";
}
inline bool Has(const Bytes& text, BytesView part) { return text.find(part) != Bytes::npos; }

// A cluster that has formed, its leader, and one that is not.
class NodeFixture : public ::testing::Test {
 protected:
  void Form(uint64_t nodes, Bytes settings = {}) {
    cluster_ = std::make_unique<NodeCluster>(nodes, std::move(settings));
    cluster_->StartAll();
    leader_ = cluster_->AwaitLeader();
    ASSERT_NE(leader_, kNoNode);
    follower_ = cluster_->OtherThan(leader_);
  }
  NodeCluster& cluster() { return *cluster_; }

  std::unique_ptr<NodeCluster> cluster_;
  NodeId leader_;
  NodeId follower_;
};

}  // namespace lockstep
