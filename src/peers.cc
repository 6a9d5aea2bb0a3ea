#include "src/peers.h"

#include <algorithm>

namespace lockstep {

bool Peers::Follow(const std::vector<PeerAddress>& addresses, MonoTime now) {
  if (addresses == addresses_) return false;
  for (const PeerAddress& old : addresses_) {
    const bool stays = std::any_of(addresses.begin(), addresses.end(),
                                   [&](const PeerAddress& a) { return a.id == old.id; });
    if (stays) continue;
    detector_.Forget(old.id);
    peers_.erase(old.id);
  }
  addresses_ = addresses;
  for (const PeerAddress& address : addresses_) detector_.Watch(address.id, now);
  return true;
}

void Peers::OnUp(const bus::Hello& hello, MonoTime now) {
  Peer& peer = peers_[hello.from];
  peer.hello = hello;
  peer.introduced = true;
  peer.linked = true;
  peer.heard = now;
  detector_.Heard(hello.from, now);
}

void Peers::OnDown(NodeId id) {
  const auto peer = peers_.find(id);
  if (peer != peers_.end()) peer->second.linked = false;
}

void Peers::OnFrame(NodeId id, MonoTime now) {
  const auto peer = peers_.find(id);
  if (peer != peers_.end()) {
    peer->second.heard = now;
    ++peer->second.frames;
  }
  detector_.Heard(id, now);
}

const Peers::Peer* Peers::Find(NodeId id) const {
  const auto peer = peers_.find(id);
  return peer == peers_.end() ? nullptr : &peer->second;
}

DiskId Peers::DiskOf(NodeId id) const {
  const Peer* peer = Find(id);
  return peer != nullptr ? peer->hello.disk : DiskId{};
}

}  // namespace lockstep
