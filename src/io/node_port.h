// What connections need of the node: a narrow door, so that a connection can be driven without
// one.
#pragma once

#include "src/node.h"

namespace lockstep::io {

class NodePort {
 public:
  virtual void Step(const Input& input) = 0;
  virtual ReadRoom ReadBuffer(ClientId id, size_t bytes) = 0;
  virtual Node::Owed Owes(ClientId id) const = 0;
  virtual bus::Identity identity() const = 0;

 protected:
  ~NodePort() = default;
};

}  // namespace lockstep::io
