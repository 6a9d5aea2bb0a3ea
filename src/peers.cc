#include "src/peers.h"

#include <algorithm>
#include <utility>

namespace lockstep {

bool Peers::Follow(std::vector<PeerAddress> addresses, MonoTime now) {
  for (PeerAddress& address : addresses) {
    const Peer* peer = Find(address.id);
    if (peer != nullptr) address.dials = peer->dials;
  }
  if (addresses == addresses_) return false;
  const std::vector<PeerAddress> before = std::exchange(addresses_, std::move(addresses));
  // What an old one said of itself is kept: it may only be out of sight for a moment.
  for (const PeerAddress& old : before) {
    if (Follows(old.id)) continue;
    detector_.Forget(old.id);
    for (const bus::Lane lane : {bus::Lane::kControl, bus::Lane::kBulk}) OnDown(old.id, lane);
  }
  for (const PeerAddress& address : addresses_) detector_.Watch(address.id, now);
  return true;
}

void Peers::OnUp(const PeerUp& input, MonoTime now) {
  const bus::Hello& hello = input.hello;
  Peer& peer = Meet(hello.from);
  const bool late = !input.ours && peer.introduced && hello.disk == peer.hello.disk &&
                    hello.incarnation < peer.hello.incarnation;
  if (late) return;  // From a process that the one we know has followed.
  peer.hello = hello;
  peer.introduced = true;
  peer.heard = now;
  peer.spoke = hello.disk;
  detector_.Heard(hello.from, now);
  if (hello.bus_port != 0) {
    peer.bus_host = hello.bus_host;
    peer.bus_port = hello.bus_port;
  }
  if (input.ours) {
    peer.lanes[static_cast<size_t>(hello.lane)] = {true, hello};
    if (hello.lane != bus::Lane::kBulk) return;
    if (!peer.linked) peer.linked_since = now;
    peer.linked = true;
    return;
  }
  // Its machine may have lost power: then nobody has told us that our links lead nowhere.
  const bool leads_nowhere = std::any_of(
      std::begin(peer.lanes), std::end(peer.lanes), [&hello](const Lane& lane) {
        return lane.up && (lane.hello.disk != hello.disk ||
                           lane.hello.incarnation != hello.incarnation);
      });
  if (leads_nowhere) Redial(hello.from);
}

void Peers::OnDown(NodeId id, bus::Lane lane) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  peer->second.lanes[static_cast<size_t>(lane)].up = false;
  if (lane == bus::Lane::kBulk) peer->second.linked = false;
}

void Peers::OnFrame(const PeerFrame& input, MonoTime now) {
  const auto peer = peers_.find(input.from);
  if (peer != peers_.end()) {
    peer->second.heard = now;
    peer->second.spoke = input.disk.value != 0 ? input.disk : peer->second.hello.disk;
    ++peer->second.frames;
  }
  detector_.Heard(input.from, now);
}

void Peers::Redial(NodeId id) {
  const auto peer = peers_.find(id);
  if (peer != peers_.end()) ++peer->second.dials;
}

void Peers::set_node_timeout_us(int64_t us) {
  node_timeout_us_ = us;
  detector_.set_node_timeout_us(us);
}

const Peers::Peer* Peers::Find(NodeId id) const {
  const auto peer = peers_.find(id);
  return peer == peers_.end() ? nullptr : &peer->second;
}

bool Peers::linked(NodeId id) const {
  const Peer* peer = Find(id);
  return peer != nullptr && peer->linked;
}

DiskId Peers::DiskOf(NodeId id) const {
  const Peer* peer = Find(id);
  return peer != nullptr ? peer->hello.disk : DiskId{};
}

const bus::Hello* Peers::Linked(NodeId id, ClusterId cluster) const {
  const Peer* peer = Find(id);
  if (peer == nullptr || !peer->linked || failed(id)) return nullptr;
  const bus::Hello& hello = peer->lanes[static_cast<size_t>(bus::Lane::kBulk)].hello;
  return hello.cluster == cluster ? &hello : nullptr;
}

std::optional<PeerAddress> Peers::AddressOf(NodeId id) const {
  for (const PeerAddress& address : addresses_) {
    if (address.id == id) return address;
  }
  const Peer* peer = Find(id);
  if (peer == nullptr || peer->bus_port == 0) return std::nullopt;
  return PeerAddress{id, peer->bus_host, peer->bus_port};
}

std::vector<PeerAddress> Peers::Heard(ClusterId cluster, MonoTime now) const {
  std::vector<PeerAddress> heard;
  for (const auto& [id, peer] : peers_) {
    const bool ours = peer.introduced && peer.hello.cluster == cluster && peer.bus_port != 0;
    if (ours && now - peer.heard < node_timeout_us_) {
      heard.push_back({id, peer.bus_host, peer.bus_port});
    }
  }
  return heard;
}

bool Peers::Present(NodeId id, DiskId disk, MonoTime now) const {
  const Peer* peer = Find(id);
  return peer != nullptr && peer->spoke == disk && now - peer->heard < node_timeout_us_;
}

bool Peers::Follows(NodeId id) const {
  return std::any_of(addresses_.begin(), addresses_.end(),
                     [id](const PeerAddress& address) { return address.id == id; });
}

// Whoever can reach the bus can give itself any number, so what is kept of numbers has a bound.
Peers::Peer& Peers::Meet(NodeId id) {
  if (peers_.size() < kPeersMax || peers_.contains(id)) return peers_[id];
  auto oldest = peers_.end();
  for (auto at = peers_.begin(); at != peers_.end(); ++at) {
    if (Follows(at->first)) continue;
    if (oldest == peers_.end() || at->second.heard < oldest->second.heard) oldest = at;
  }
  if (oldest != peers_.end()) peers_.erase(oldest);
  return peers_[id];
}

}  // namespace lockstep
