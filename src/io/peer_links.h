// The links on which this node sends to its peers: two TCP connections to each, dialled by us.
//
//   waiting -> resolving -> connecting -> greeting -> up
//
// Each lane is dialled, lost and dialled again by itself. Names are looked up at every dial: in a
// container a peer returns under another address. Nothing is read from a link after the peer's
// answer to our hello: what the peer has to say comes on its own links to us (src/io/peer_door.h).
//
// What a peer does not take piles up here only to a limit; beyond it the link is cut, and the
// engines, which expect loss, send anew what still matters.
#pragma once

#include <map>
#include <string>

#include "cluster/bus/backoff.h"
#include "cluster/bus/frame.h"
#include "src/io/node_port.h"
#include "src/io/tcp_conn.h"

namespace lockstep::io {

// A handshake that takes longer is no handshake: connecting, hello and answer together. TCP asks at
// its beginning, after 1 s, after 3 s, and so on: the later ones are left to the next dial.
constexpr int64_t kHandshakeUsMax = 2 * kUsPerSecond;
// A link on which nothing is acknowledged for so long is broken. Pings go out several times within
// it, so a half-open link does not live longer. Much longer it must not be: TCP waits twice as long
// each time before it sends again, and so after a cut of 4 s for up to 4 s more.
constexpr int64_t kSilenceUsMax = 2 * kUsPerSecond;
// What may wait unsent before one more frame cuts the link.
constexpr size_t kControlUnsentBytesMax = size_t{4} << 20;
constexpr size_t kBulkUnsentBytesMax = size_t{64} << 20;

class PeerLinks {
 public:
  // `port` must outlive it.
  PeerLinks(Loop* loop, NodePort* port, uint64_t seed);
  ~PeerLinks();

  // Keeps links to these and no others.
  void SetPeers(const std::vector<PeerAddress>& peers);
  // Our identity is another: every link shakes hands anew.
  void Relink();
  // The links to this peer begin anew, after a moment.
  void Cut(NodeId id);
  // Lost if the lane is not up.
  void Send(Output::ToPeer frames);

 private:
  class Link;
  struct Peer {
    PeerAddress address;
    // The last trouble that was logged, so that a peer which stays away costs one line.
    Bytes trouble;
    MonoTime trouble_logged;
    std::unique_ptr<Link> lanes[2];
  };
  void Complain(Peer* peer, const Bytes& why);

  Loop* loop_;
  NodePort* port_;
  Rng rng_;
  std::map<NodeId, Peer> peers_;
};

}  // namespace lockstep::io
