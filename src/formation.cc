#include "src/formation.h"

#include <algorithm>
#include <utility>

#include "src/base/hash.h"
#include "src/base/log.h"

namespace lockstep {
namespace {

constexpr int64_t kFormEveryUs = 100 * kUsPerMs;

ClusterId ClusterOf(const std::vector<NodeRecord>& genesis, uint64_t shards) {
  Bytes encoded;
  Writer out(&encoded);
  out.Varint(shards);
  for (const NodeRecord& record : genesis) {
    out.Put(record.id);
    out.U64(record.disk.value);
  }
  return ClusterId{std::max<uint64_t>(1, Hash64(encoded))};
}

}  // namespace

Formation::Formation(const Self& self, std::vector<NodeRecord> nodes, Outbox* outbox)
    : self_(self), nodes_(std::move(nodes)), outbox_(outbox) {
  for (NodeRecord& node : nodes_) node.disk = node.id == self_.node ? self_.disk : DiskId{};
  DecideIfAllHeard();  // A cluster of one.
}

void Formation::OnForm(NodeId from, DiskId disk) {
  for (NodeRecord& node : nodes_) {
    if (node.id == from) node.disk = disk;
  }
  DecideIfAllHeard();
}

void Formation::DecideIfAllHeard() {
  if (done() || nodes_.empty() || nodes_.front().id != self_.node) return;
  const bool all = std::all_of(nodes_.begin(), nodes_.end(),
                               [](const NodeRecord& node) { return node.disk.value != 0; });
  if (!all) return;
  self_.genesis = nodes_;
  self_.cluster = ClusterOf(nodes_, self_.shards);
  LOCKSTEP_LOG(kInfo, "cluster %016lx is formed: all %zu nodes of cluster-nodes are here",
               self_.cluster.value, nodes_.size());
}

void Formation::OnFormed(Formed formed) {
  const ClusterId cluster = formed.cluster;
  std::vector<NodeRecord>& genesis = formed.genesis;
  if (done() || cluster != ClusterOf(genesis, formed.shards)) return;
  const auto me = std::find_if(genesis.begin(), genesis.end(), [this](const NodeRecord& record) {
    return record.id == self_.node;
  });
  if (me == genesis.end()) {
    LOCKSTEP_LOG(kInfo, "joining cluster %016lx", cluster.value);
  } else if (me->disk != self_.disk) {
    LOCKSTEP_LOG(kWarn,
                 "cluster %016lx knows this node with another disk: its folder was emptied. It "
                 "votes again when the others have brought it up to date",
                 cluster.value);
  } else {
    LOCKSTEP_LOG(kInfo, "cluster %016lx is formed", cluster.value);
  }
  self_.cluster = cluster;
  self_.genesis = std::move(genesis);
  self_.shards = formed.shards;
}

void Formation::Tick(MonoTime now) {
  if (done() || now < next_form_) return;
  next_form_ = now + kFormEveryUs;
  for (const NodeRecord& node : nodes_) {
    if (node.id == self_.node) continue;
    outbox_->Send(node.id, bus::Lane::kControl, bus::MessageType::kForm, kControlGroup, Term{0},
                  [this](Writer* out) { out->U64(self_.disk.value); });
  }
}

Bytes Formation::WaitingFor() const {
  for (const NodeRecord& node : nodes_) {
    if (node.disk.value == 0) {
      return Format("node %lu at %s:%u", node.id.value, node.host.c_str(), node.bus_port);
    }
  }
  return Format("node %lu, which decides", nodes_.front().id.value);
}

void EncodeFormed(const Self& self, Writer* out) {
  out->U64(self.cluster.value);
  EncodeRecords(self.genesis, out);
  out->Varint(self.shards);
}

bool DecodeFormed(Reader* in, Formed* out) {
  out->cluster = ClusterId{in->U64()};
  out->genesis = DecodeRecords(in);
  out->shards = in->Varint();
  return in->done() && out->cluster.value != 0 && !out->genesis.empty() && out->shards > 0 &&
         out->shards <= kShardsMax;
}

}  // namespace lockstep
