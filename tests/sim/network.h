// What lies between nodes: a connection in each direction and on each lane, its handshake, and
// everything that goes wrong on the way.
//
// A link carries whole frames. In the tame mode they arrive in order while the link stands, as TCP
// carries them: a cut holds them up, and in the end the link breaks and they are lost. In the harsh
// mode each frame goes its own way, may be lost, come twice or late: nothing more is promised to a
// node (src/node.h, duty 3).
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "cluster/bus/backoff.h"
#include "src/node.h"

namespace lockstep::sim {

class World;

class Network {
 public:
  explicit Network(World* world) : world_(world) {}

  // What the processes' shells do.
  void Follow(NodeId from, const std::vector<PeerAddress>& peers);
  void Send(NodeId from, NodeId to, bus::Lane lane, BytesView frames);
  void Relink(NodeId id);
  // `silently`: the machine went with it, so nobody tells the others.
  void OnDeath(NodeId id, bool silently);

  // Faults.
  void Cut(NodeId from, NodeId to) { cuts_.insert({from, to}); }
  void CutLane(NodeId from, NodeId to, bus::Lane lane) { lane_cuts_.insert({from, to, lane}); }
  void CutUntold(NodeId from, NodeId to);  // And no connection breaks of it.
  void Mend(NodeId from, NodeId to);
  void MendAll();
  void Clog(NodeId from, NodeId to, int64_t delay_us) { clogs_[{from, to}] = delay_us; }
  void Reset(NodeId a, NodeId b);  // All connections between the two.
  // No more losing, repeating, overtaking; and nothing takes so long that leaders lose their lead.
  void CalmDown() { calm_ = true; }

  bool IsCut(NodeId from, NodeId to) const { return cuts_.contains({from, to}); }
  bool Linked(NodeId from, NodeId to) const;

 private:
  enum class State : uint8_t { kDown, kDialing, kUp };
  struct Key {
    NodeId from;
    NodeId to;
    bus::Lane lane;
    auto operator<=>(const Key&) const = default;
  };
  // Which processes a connection joins, and which of their connections it is.
  struct Ends {
    uint64_t generation = 0;
    uint64_t from_instance = 0;
    uint64_t to_instance = 0;
    DiskId from_disk;  // As its hello said.
    bool operator==(const Ends&) const = default;
  };
  struct Link {
    explicit Link(Rng* rng) : backoff(rng) {}
    State state = State::kDown;
    bool wanted = false;
    uint64_t dials = 0;  // See PeerAddress.
    Ends ends;        // As the dialling side sees it.
    Ends accepted;    // The latest that the other side has accepted.
    int64_t busy_until_us = 0;
    std::deque<Bytes> stalled;
    bus::Backoff backoff;
  };

  Link& At(const Key& key);
  bool Holds(const Key& key) const {
    return IsCut(key.from, key.to) || lane_cuts_.contains(key);
  }
  void Dial(const Key& key, int64_t delay_us);
  void Attempt(const Key& key, uint64_t generation);
  void Greet(const Key& key, Ends ends, const bus::Hello& hello, int patience);
  void Welcome(const Key& key, Ends ends, const bus::HelloReply& reply);
  void DialAgain(const Key& key, uint64_t generation);
  void Break(const Key& key, uint64_t generation);

  void SendFrame(const Key& key, Link* link, BytesView body);
  void SendTame(const Key& key, Link* link, Bytes body);
  void SendHarsh(const Key& key, const Link& link, Bytes body);
  void Arrive(const Key& key, const Ends& ends, Bytes body);
  int64_t Latency(NodeId from, NodeId to, size_t bytes);

  World* world_;
  std::map<Key, Link> links_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::set<std::pair<NodeId, NodeId>> untold_;  // Of those, whose connections stay.
  std::set<Key> lane_cuts_;
  std::map<std::pair<NodeId, NodeId>, int64_t> clogs_;
  bool calm_ = false;
};

}  // namespace lockstep::sim
