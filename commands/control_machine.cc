#include "commands/control_machine.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "src/base/hash.h"
#include "src/base/limits.h"

namespace lockstep {
namespace {

constexpr size_t kHostBytesMax = 255;      // RFC 1035: a name is no longer.
constexpr size_t kRemovedMax = 1'000'000;  // As many as there can be ids.

enum class Kind : uint8_t { kAdd = 1, kRemove = 2, kDisk = 3, kSetSpace = 4, kDropSpace = 5 };
enum class Asks : uint8_t { kSpace = 1, kSpaces = 2 };

void PutNode(const NodeRecord& node, Writer* out) {
  out->Put(node.id);
  out->String(node.host);
  out->Varint(node.bus_port);
  out->U64(node.disk.value);
  out->String(node.zone);
}

// Fails the reader on what no node can be.
NodeRecord GetNode(Reader* in) {
  NodeRecord node;
  node.id = in->Get<NodeId>();
  node.host = in->String();
  const uint64_t port = in->Varint();
  node.disk = DiskId{in->U64()};
  node.zone = in->String();
  if (node.zone.size() > kZoneBytesMax) in->Fail();
  if (node.id == kNoNode || node.id.value > kNodeIdMax) in->Fail();
  if (node.host.empty() || node.host.size() > kHostBytesMax) in->Fail();
  if (port == 0 || port > UINT16_MAX) in->Fail();
  node.bus_port = static_cast<uint16_t>(port);
  return node;
}

Reply Refuse(Bytes sentence) {
  return Reply::Error("ERR", std::move(sentence) + "; nothing was changed");
}

}  // namespace

Bytes EncodeAddNode(const NodeRecord& node) {
  Bytes op;
  Writer out(&op);
  out.U8(static_cast<uint8_t>(Kind::kAdd));
  PutNode(node, &out);
  return op;
}

std::optional<NodeRecord> DecodeAddNode(BytesView op) {
  Reader in(op);
  if (in.U8() != static_cast<uint8_t>(Kind::kAdd)) return std::nullopt;
  NodeRecord node = GetNode(&in);
  if (!in.done()) return std::nullopt;
  return node;
}

Bytes EncodeRemoveNode(NodeId id) {
  Bytes op;
  Writer out(&op);
  out.U8(static_cast<uint8_t>(Kind::kRemove));
  out.Put(id);
  return op;
}

Bytes EncodeNodeDisk(NodeId id, DiskId disk, BytesView zone) {
  Bytes op;
  Writer out(&op);
  out.U8(static_cast<uint8_t>(Kind::kDisk));
  out.Put(id);
  out.U64(disk.value);
  out.String(zone);
  return op;
}

Bytes EncodeSetSpace(const SpaceChange& change) {
  Bytes op;
  Writer out(&op);
  out.U8(static_cast<uint8_t>(Kind::kSetSpace));
  EncodeSpaceChange(change, &out);
  return op;
}

Bytes EncodeDropSpace(BytesView prefix) {
  Bytes op;
  Writer out(&op);
  out.U8(static_cast<uint8_t>(Kind::kDropSpace));
  out.String(prefix);
  return op;
}

Bytes SpaceQuery(BytesView prefix) {
  Bytes query;
  Writer out(&query);
  out.U8(static_cast<uint8_t>(Asks::kSpace));
  out.String(prefix);
  return query;
}

Bytes SpacesQuery() {
  Bytes query;
  Writer(&query).U8(static_cast<uint8_t>(Asks::kSpaces));
  return query;
}

ControlMachine::ControlMachine(std::vector<NodeRecord> genesis, uint64_t shards)
    : placement_(shards) {
  for (NodeRecord& node : genesis) {
    const NodeId id = node.id;
    CHECK(nodes_.emplace(id, std::move(node)).second);
  }
  Place();
  Rehash();
}

void ControlMachine::Advance(const Position&, Effects*) {}  // Nothing here ends by time.

void ControlMachine::Apply(const Position&, const RequestId& request, BytesView op, Effects* out) {
  Reader in(op);
  Reply answer = Refuse("this node's version does not know that operation of group control");
  switch (static_cast<Kind>(in.U8())) {
    case Kind::kAdd: {
      const NodeRecord node = GetNode(&in);
      if (in.done()) answer = Add(node);
      break;
    }
    case Kind::kRemove: {
      const auto id = in.Get<NodeId>();
      if (in.done()) answer = Remove(id);
      break;
    }
    case Kind::kDisk: {
      const auto id = in.Get<NodeId>();
      const DiskId disk{in.U64()};
      const BytesView zone = in.String();
      if (in.done() && zone.size() <= kZoneBytesMax) answer = SetDisk(id, disk, zone);
      break;
    }
    case Kind::kSetSpace: {
      const SpaceChange change = DecodeSpaceChange(&in);
      if (in.done()) answer = spaces_.Change(change);
      Rehash();
      break;
    }
    case Kind::kDropSpace: {
      const BytesView prefix = in.String();
      if (in.done()) answer = spaces_.Drop(prefix);
      Rehash();
      break;
    }
  }
  out->Give(request, std::move(answer));
}

Reply ControlMachine::Add(const NodeRecord& node) {
  if (removed_.contains(node.id)) {
    return Refuse(Format("node id %" PRIu64
                         " belonged to a node that was removed, and an id is for "
                         "all time: give the newcomer an id that was never used",
                         node.id.value));
  }
  const auto same_place = [&node](const auto& other) {
    return other.second.host == node.host && other.second.bus_port == node.bus_port;
  };
  if (const auto known = nodes_.find(node.id); known != nodes_.end()) {
    // Asking twice is no mistake.
    if (same_place(*known)) return Reply::Ok();
    return Refuse(Format("node %" PRIu64 " is a member already, at %s:%u", node.id.value,
                         known->second.host.c_str(), known->second.bus_port));
  }
  if (const auto other = std::find_if(nodes_.begin(), nodes_.end(), same_place);
      other != nodes_.end()) {
    return Refuse(Format("%s:%u is node %" PRIu64 " already", node.host.c_str(), node.bus_port,
                         other->first.value));
  }
  if (nodes_.size() >= kNodesMax) {
    return Reply::Error("LIMIT",
                        Format("a cluster has at most %zu nodes; nothing was changed", kNodesMax));
  }
  nodes_.emplace(node.id, node);
  Place();
  Changed();
  return Reply::Ok();
}

Reply ControlMachine::Remove(NodeId id) {
  if (removed_.contains(id)) return Reply::Ok();
  const auto at = nodes_.find(id);
  if (at == nodes_.end()) {
    return Refuse(Format("there is no node %" PRIu64 " in the cluster", id.value));
  }
  if (nodes_.size() == 1) {
    return Refuse(Format("node %" PRIu64 " is the last one: a cluster without nodes could never "
                         "come back",
                         id.value));
  }
  if (departed_.size() == kNodesMax) departed_.erase(departed_.begin());
  departed_.push_back(std::move(at->second));
  nodes_.erase(at);
  removed_.insert(id);
  Place();
  Changed();
  return Reply::Ok();
}

// Not a change of membership, yet one of the epoch: a node that came back with an emptied disk has
// forgotten its votes, and everybody must see that.
Reply ControlMachine::SetDisk(NodeId id, DiskId disk, BytesView zone) {
  const auto at = nodes_.find(id);
  if (at == nodes_.end()) {
    return Refuse(Format("there is no node %" PRIu64 " in the cluster", id.value));
  }
  if (at->second.disk == disk && at->second.zone == zone) return Reply::Ok();
  at->second.disk = disk;
  const Bytes before = std::exchange(at->second.zone, Bytes(zone));
  if (at->second.zone != before) Place();
  Changed();
  return Reply::Ok();
}

void ControlMachine::Place() {
  if (nodes_.empty()) return;
  std::vector<ring::PlacedNode> placed;
  for (const auto& [id, node] : nodes_) placed.push_back({id, node.zone});
  placement_ = ring::Place(placement_, placement_.size(), kReplicas, placed);
}

bool ControlMachine::PlacesMembers() const {
  return std::all_of(placement_.begin(), placement_.end(), [this](const auto& keepers) {
    const std::set<NodeId> all(keepers.begin(), keepers.end());
    return all.size() == keepers.size() && all.size() == std::min(kReplicas, nodes_.size()) &&
           std::all_of(all.begin(), all.end(), [this](NodeId id) { return nodes_.contains(id); });
  });
}

void ControlMachine::Changed() {
  ++epoch_;
  Rehash();
}

// Changes are rare and nodes few, so the hash is made anew rather than kept up to date in parts.
void ControlMachine::Rehash() {
  Bytes state;
  Writer out(&state);
  Save(&out);
  hash_ = Hash64(state);
}

// Operations of group control are answered in their own entry: no session waits here.
void ControlMachine::EndSessions(const Position&, NodeId, uint64_t, Effects*) {}

Reply ControlMachine::Query(ClusterTime, BytesView query) const {
  if (!query.empty()) return QuerySpaces(query);
  Reply nodes = Reply::Array();
  for (const auto& [id, node] : nodes_) {
    Reply map = Reply::Map();
    map.Add("id", Reply::Integer(static_cast<int64_t>(id.value)));
    map.Add("host", Reply::Bulk(node.host));
    map.Add("bus-port", Reply::Integer(node.bus_port));
    nodes.Add(std::move(map));
  }
  return nodes;
}

Reply ControlMachine::QuerySpaces(BytesView query) const {
  Reader in(query);
  const auto asks = static_cast<Asks>(in.U8());
  if (asks == Asks::kSpace) {
    const BytesView prefix = in.String();
    const Space* space = spaces_.At(prefix);
    if (in.done()) return space == nullptr ? Reply::Nil() : space->Describe();
  } else if (asks == Asks::kSpaces && in.done()) {
    Reply all = Reply::Array();
    for (const Space& space : spaces_.all()) all.Add(space.Describe());
    return all;
  }
  return Refuse("this node's version does not know that query");
}

ClusterTime ControlMachine::NextDeadline() const {
  return kNeverCluster;
}

void ControlMachine::Save(Writer* out) const {
  out->Varint(epoch_);
  out->Varint(nodes_.size());
  for (const auto& [id, node] : nodes_) PutNode(node, out);
  out->Varint(removed_.size());
  for (const NodeId id : removed_) out->Put(id);
  out->Varint(departed_.size());
  for (const NodeRecord& node : departed_) PutNode(node, out);
  out->Varint(placement_.size());
  for (const std::vector<NodeId>& keepers : placement_) {
    out->Varint(keepers.size());
    for (const NodeId id : keepers) out->Put(id);
  }
  spaces_.Save(out);
}

void ControlMachine::Clear() {
  nodes_.clear();
  removed_.clear();
  departed_.clear();
  placement_.clear();
  spaces_ = Spaces::AtFirst();
  epoch_ = 1;
}

Result<void> ControlMachine::Load(Reader* in) {
  Clear();
  epoch_ = in->Varint();
  const size_t members = in->Count();
  if (members == 0) in->Fail();
  std::set<std::pair<Bytes, uint16_t>> addresses;
  for (size_t i = 0; i < members && in->ok(); ++i) {
    const NodeRecord node = GetNode(in);
    const bool is_new = nodes_.emplace(node.id, node).second;
    if (!is_new || !addresses.emplace(node.host, node.bus_port).second) in->Fail();
  }
  const size_t gone = in->Count();
  for (size_t i = 0; i < gone && in->ok(); ++i) {
    const auto id = in->Get<NodeId>();
    if (nodes_.contains(id) || !removed_.insert(id).second) in->Fail();
  }
  const size_t departed = in->Count();
  if (departed > kNodesMax) in->Fail();
  for (size_t i = 0; i < departed && in->ok(); ++i) {
    departed_.push_back(GetNode(in));
    if (in->ok() && !removed_.contains(departed_.back().id)) in->Fail();
  }
  const size_t shards = in->Count();
  if (shards > kShardsMax) in->Fail();
  for (size_t s = 0; s < shards && in->ok(); ++s) {
    std::vector<NodeId>& keepers = placement_.emplace_back();
    const size_t keep = in->Count();
    for (size_t i = 0; i < keep && in->ok(); ++i) keepers.push_back(in->Get<NodeId>());
  }
  spaces_.Load(in);
  const bool sound = in->ok() && epoch_ > 0 && nodes_.size() <= kNodesMax &&
                     removed_.size() <= kRemovedMax && PlacesMembers();
  if (!sound) {
    Clear();
    Rehash();
    return Error{"the state of group control can not be read"};
  }
  Rehash();
  return {};
}

uint64_t ControlMachine::Hash() const {
  return hash_;
}

void ControlMachine::CheckInvariants() const {
  CHECK(epoch_ >= 1);
  CHECK(nodes_.size() <= kNodesMax);
  for (const auto& [id, node] : nodes_) {
    CHECK(id == node.id && id != kNoNode);
    CHECK_SAYS(!removed_.contains(id), "node %" PRIu64 " was removed and is a member", id.value);
  }
  CHECK(departed_.size() <= kNodesMax);
  for (const NodeRecord& node : departed_) CHECK(removed_.contains(node.id));
  CHECK(nodes_.empty() || PlacesMembers());
  spaces_.CheckInvariants();
  Bytes state;
  Writer out(&state);
  Save(&out);
  CHECK(hash_ == Hash64(state));
}

}  // namespace lockstep
