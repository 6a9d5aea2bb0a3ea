// Where peers come in: their links to us, each a hello, our answer, then frames for the node.
//
// Always true:
//   1. Before its hello a connection may take kHelloBytesMax and kHandshakeUsMax, no more.
//   2. Of each peer and lane the newest link counts: an older one, which the peer has given up, is
//      cut before a frame of the newer is read. So nothing old arrives after something new.
//   3. A frame that is damaged, too long or no hello ends its connection, with the reason in the
//      log.
#pragma once

#include <map>

#include "cluster/bus/frame.h"
#include "src/io/listener.h"
#include "src/io/node_port.h"
#include "src/io/peer_links.h"
#include "src/io/tcp_conn.h"

namespace lockstep::io {

class PeerDoor {
 public:
  // Whatever the number of peers; beyond it a connection is closed as it comes.
  static constexpr size_t kConnectionsMax = 4 * kNodesMax;
  static constexpr size_t kReadBytes = size_t{64} << 10;

  // `port` must outlive it.
  PeerDoor(Loop* loop, NodePort* port, int64_t handshake_us = kHandshakeUsMax);
  ~PeerDoor();

  Result<void> Listen(std::span<const Bytes> addresses, uint16_t port, int64_t backlog);
  uint16_t port() const { return listener_.port(); }
  // Our identity is another: whoever was let in must say hello again.
  void CloseAll();
  // What this peer sends makes no sense.
  void Cut(NodeId id);
  void Close();

 private:
  class Guest;
  void Accept(uv_stream_t* from);
  void CloseOlder(const Guest& newest);
  void Remove(uint64_t number);
  void Complain(const Bytes& who, const Bytes& why);

  Loop* loop_;
  NodePort* port_;
  const int64_t handshake_us_;
  Listener listener_;
  uint64_t latest_ = 0;
  std::map<uint64_t, std::unique_ptr<Guest>> guests_;  // In the order in which they came.
  // The last complaint: a stranger that tries again and again costs a line a minute.
  Bytes complaint_;
  MonoTime complained_;
  // All complaints of a while: one that makes a new mistake each time costs a few lines a minute.
  int complaints_ = 0;
  MonoTime complaints_since_;
};

}  // namespace lockstep::io
