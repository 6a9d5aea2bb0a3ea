// What this turn has to say to the peers: frames, encoded once, straight into the buffer that
// leaves.
#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "cluster/bus/envelope.h"
#include "cluster/bus/frame.h"
#include "cluster/bus/hello.h"
#include "src/base/codec.h"

namespace lockstep {

class Outbox {
 public:
  explicit Outbox(NodeId self) : self_(self) {}

  // `encode(Writer*)` writes the message's data behind its envelope.
  template <class Encode>
  void Send(NodeId to, bus::Lane lane, bus::MessageType type, GroupId group, Term term,
            const Encode& encode) {
    Bytes* out = &frames_[{to, lane}];
    const size_t at = bus::BeginFrame(out);
    Writer writer(out);
    bus::EncodeHeader({type, self_, term, group}, &writer);
    encode(&writer);
    bus::EndFrame(out, at);
    ++sent_;
    if (tap_) tap_(to, BytesView(*out).substr(at + bus::kFrameHeaderBytes));
  }

  // Sees each message that is sent: its receiver and its frame's body. For DEBUG BUS TAP.
  void set_tap(std::function<void(NodeId to, BytesView body)> tap) { tap_ = std::move(tap); }

  // Hands out what has gathered, by peer and lane.
  template <class Take>
  void Drain(const Take& take) {
    for (auto& [where, frames] : frames_) take(where.first, where.second, std::move(frames));
    frames_.clear();
  }
  bool empty() const { return frames_.empty(); }
  uint64_t sent() const { return sent_; }

 private:
  NodeId self_;
  std::map<std::pair<NodeId, bus::Lane>, Bytes> frames_;
  std::function<void(NodeId to, BytesView body)> tap_;
  uint64_t sent_ = 0;
};

}  // namespace lockstep
