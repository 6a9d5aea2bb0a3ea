#include "cluster/ring/placement.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "cluster/ring/ring.h"
#include "src/base/check.h"

namespace lockstep::ring {
namespace {

// Works on numbers of nodes (their rank among the ids) from 0 on.
class Placer {
 public:
  Placer(size_t shards, size_t replicas, std::span<const PlacedNode> nodes);

  void Keep(const Placement& before);
  void SpreadOverZones();
  void Fill();
  void BalanceReplicas();
  void BalanceLeaders();
  Placement Result() const;

 private:
  using Node = size_t;
  struct Shard {
    std::vector<Node> keepers;
    std::optional<Node> leader;
    std::vector<Node> walk;    // All nodes, in the ring's order.
    std::vector<size_t> rank;  // Of each node in `walk`.
  };

  bool Keeps(const Shard& shard, Node node) const;
  size_t ZonesOf(const std::vector<Node>& keepers) const;
  size_t ZonesWith(const Shard& shard, std::optional<Node> without, Node with) const;
  Node NextKeeper(const Shard& shard) const;
  void Add(Shard* shard, Node node);
  void Replace(Shard* shard, Node from, Node to);
  std::vector<Node> ByLoad(const std::vector<size_t>& load) const;
  Shard* BestToMove(Node from, Node to);
  bool MoveOneReplica();
  void ElectMissing();
  bool MoveOneLeader();
  bool ShiftLeaders(Node from, Node to);

  std::vector<PlacedNode> nodes_;  // Ascending by id.
  std::vector<size_t> zone_;       // Of each node.
  size_t zones_ = 0;
  size_t replicas_;
  std::vector<Shard> shards_;
  std::vector<size_t> load_;   // Replicas that each node keeps,
  std::vector<size_t> leads_;  // and shards that it leads.
};

Placer::Placer(size_t shards, size_t replicas, std::span<const PlacedNode> nodes)
    : nodes_(nodes.begin(), nodes.end()),
      replicas_(std::min(replicas, nodes.size())),
      shards_(shards),
      load_(nodes.size()),
      leads_(nodes.size()) {
  std::sort(nodes_.begin(), nodes_.end(),
            [](const PlacedNode& a, const PlacedNode& b) { return a.id < b.id; });
  std::map<NodeId, Node> number;
  std::map<Bytes, size_t> named;
  std::vector<NodeId> ids;
  for (Node i = 0; i < nodes_.size(); ++i) {
    number[nodes_[i].id] = i;
    ids.push_back(nodes_[i].id);
    const bool alone = nodes_[i].zone.empty() || named.try_emplace(nodes_[i].zone, zones_).second;
    zone_.push_back(alone ? zones_++ : named[nodes_[i].zone]);
  }
  CHECK(number.size() == nodes_.size() && !nodes_.empty());

  const Ring ring(ids);
  for (size_t s = 0; s < shards; ++s) {
    shards_[s].rank.resize(nodes_.size());
    for (const NodeId id : ring.Walk(PointOfShard(s))) {
      shards_[s].rank[number[id]] = shards_[s].walk.size();
      shards_[s].walk.push_back(number[id]);
    }
  }
}

bool Placer::Keeps(const Shard& shard, Node node) const {
  return std::find(shard.keepers.begin(), shard.keepers.end(), node) != shard.keepers.end();
}

size_t Placer::ZonesOf(const std::vector<Node>& keepers) const {
  std::set<size_t> zones;
  for (const Node node : keepers) zones.insert(zone_[node]);
  return zones.size();
}

size_t Placer::ZonesWith(const Shard& shard, std::optional<Node> without, Node with) const {
  std::vector<Node> keepers = shard.keepers;
  if (without) std::erase(keepers, *without);
  keepers.push_back(with);
  return ZonesOf(keepers);
}

void Placer::Add(Shard* shard, Node node) {
  shard->keepers.push_back(node);
  ++load_[node];
}

void Placer::Replace(Shard* shard, Node from, Node to) {
  std::replace(shard->keepers.begin(), shard->keepers.end(), from, to);
  --load_[from];
  ++load_[to];
  if (shard->leader != from) return;
  --leads_[from];
  shard->leader.reset();
}

// What was, as far as its nodes are still there.
void Placer::Keep(const Placement& before) {
  CHECK(before.empty() || before.size() == shards_.size());
  for (size_t s = 0; s < before.size(); ++s) {
    for (const NodeId id : before[s]) {
      const auto at = std::lower_bound(
          nodes_.begin(), nodes_.end(), id,
          [](const PlacedNode& node, NodeId wanted) { return node.id < wanted; });
      if (at == nodes_.end() || at->id != id || shards_[s].keepers.size() == replicas_) continue;
      const auto node = static_cast<Node>(at - nodes_.begin());
      Add(&shards_[s], node);
      if (id != before[s].front()) continue;
      shards_[s].leader = node;
      ++leads_[node];
    }
  }
}

// A shard whose keepers share a zone while another zone has none of them is one failure from harm.
void Placer::SpreadOverZones() {
  for (Shard& shard : shards_) {
    for (const Node to : shard.walk) {
      if (ZonesOf(shard.keepers) == std::min(shard.keepers.size(), zones_)) break;
      const auto doubled = std::find_if(
          shard.keepers.rbegin(), shard.keepers.rend(), [&](Node from) {
            return ZonesWith(shard, from, to) > ZonesOf(shard.keepers);
          });
      if (!Keeps(shard, to) && doubled != shard.keepers.rend()) Replace(&shard, *doubled, to);
    }
  }
}

// The first on the ring's way of those that are worth most: that bring a new zone, then those that
// have too little (or it would have to be moved to them), then those that have room.
Placer::Node Placer::NextKeeper(const Shard& shard) const {
  const Band band = BandOf(shards_.size() * replicas_, nodes_.size());
  const size_t zones = ZonesOf(shard.keepers);
  std::optional<Node> best;
  const auto worth = [&](Node node) {
    const bool new_zone = ZonesWith(shard, std::nullopt, node) > zones;
    return std::tuple(new_zone, load_[node] < band.low, load_[node] < band.high);
  };
  for (const Node node : shard.walk) {
    if (Keeps(shard, node)) continue;
    if (!best || worth(node) > worth(*best)) best = node;
  }
  return *best;
}

void Placer::Fill() {
  for (Shard& shard : shards_) {
    while (shard.keepers.size() < replicas_) Add(&shard, NextKeeper(shard));
  }
}

// The least loaded first.
std::vector<Placer::Node> Placer::ByLoad(const std::vector<size_t>& load) const {
  std::vector<Node> order(load.size());
  for (Node i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](Node a, Node b) { return load[a] < load[b]; });
  return order;
}

// The shard on whose way `to` comes earliest.
Placer::Shard* Placer::BestToMove(Node from, Node to) {
  Shard* best = nullptr;
  for (Shard& shard : shards_) {
    if (!Keeps(shard, from) || Keeps(shard, to)) continue;
    if (ZonesWith(shard, from, to) < ZonesOf(shard.keepers)) continue;
    if (best == nullptr || shard.rank[to] < best->rank[to]) best = &shard;
  }
  return best;
}

// From the fullest node to the emptiest, as far as zones allow: a move that both need is one move
// instead of two.
bool Placer::MoveOneReplica() {
  const Band band = BandOf(shards_.size() * replicas_, nodes_.size());
  const std::vector<Node> order = ByLoad(load_);
  for (auto from = order.rbegin(); from != order.rend(); ++from) {
    for (const Node to : order) {
      if (load_[*from] <= load_[to] + 1) break;
      if (load_[*from] <= band.high && load_[to] >= band.low) break;
      if (Shard* shard = BestToMove(*from, to)) {
        Replace(shard, *from, to);
        return true;
      }
    }
  }
  return false;
}

void Placer::BalanceReplicas() {
  while (MoveOneReplica()) {
  }
}

// The first of its keepers on the ring's way that leads few enough.
void Placer::ElectMissing() {
  const Band band = BandOf(shards_.size(), nodes_.size());
  for (Shard& shard : shards_) {
    if (shard.leader) continue;
    std::vector<Node> keepers = shard.keepers;
    std::sort(keepers.begin(), keepers.end(),
              [&](Node a, Node b) { return shard.rank[a] < shard.rank[b]; });
    Node best = keepers.front();
    for (const Node node : keepers) {
      if (leads_[best] >= band.high && leads_[node] < leads_[best]) best = node;
    }
    shard.leader = best;
    ++leads_[best];
  }
}

// Along a chain of nodes, each of which hands a shard to the next: the two at its ends may have no
// shard in common. The shortest chain, found breadth first.
bool Placer::ShiftLeaders(Node from, Node to) {
  struct Step {
    Node before = 0;
    Shard* shard = nullptr;
  };
  std::map<Node, Step> reached{{from, {}}};
  std::deque<Node> open{from};
  while (!open.empty() && !reached.contains(to)) {
    const Node node = open.front();
    open.pop_front();
    for (Shard& shard : shards_) {
      if (shard.leader != node) continue;
      for (const Node next : shard.keepers) {
        if (reached.try_emplace(next, Step{node, &shard}).second) open.push_back(next);
      }
    }
  }
  if (!reached.contains(to)) return false;
  --leads_[from];
  ++leads_[to];
  for (Node node = to; node != from; node = reached[node].before) {
    reached[node].shard->leader = node;
  }
  return true;
}

bool Placer::MoveOneLeader() {
  const Band band = BandOf(shards_.size(), nodes_.size());
  const std::vector<Node> order = ByLoad(leads_);
  for (auto from = order.rbegin(); from != order.rend(); ++from) {
    for (const Node to : order) {
      if (leads_[*from] <= leads_[to] + 1) break;
      if (leads_[*from] <= band.high && leads_[to] >= band.low) break;
      if (ShiftLeaders(*from, to)) return true;
    }
  }
  return false;
}

void Placer::BalanceLeaders() {
  ElectMissing();
  while (MoveOneLeader()) {
  }
}

Placement Placer::Result() const {
  Placement placement;
  for (const Shard& shard : shards_) {
    std::vector<NodeId>& keepers = placement.emplace_back();
    keepers.push_back(nodes_[*shard.leader].id);
    for (const Node node : shard.keepers) {
      if (node != *shard.leader) keepers.push_back(nodes_[node].id);
    }
  }
  return placement;
}

}  // namespace

Band BandOf(size_t total, size_t nodes) {
  return {total * 9 / (nodes * 10), (total * 11 + nodes * 10 - 1) / (nodes * 10)};
}

Placement Place(const Placement& before, size_t shards, size_t replicas,
                std::span<const PlacedNode> nodes) {
  CHECK(replicas > 0);
  Placer placer(shards, replicas, nodes);
  placer.Keep(before);
  placer.SpreadOverZones();
  placer.Fill();
  placer.BalanceReplicas();
  placer.BalanceLeaders();
  return placer.Result();
}

size_t Moves(const Placement& before, const Placement& after) {
  size_t moves = 0;
  for (size_t s = 0; s < after.size(); ++s) {
    for (const NodeId node : after[s]) {
      const bool was_there = s < before.size() && std::find(before[s].begin(), before[s].end(),
                                                            node) != before[s].end();
      if (!was_there) ++moves;
    }
  }
  return moves;
}

}  // namespace lockstep::ring
