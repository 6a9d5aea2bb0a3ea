#include "src/self.h"

#include <utility>

#include "src/base/limits.h"

namespace lockstep {
namespace {

constexpr BytesView kSelfKey = "mself";

}  // namespace

void EncodeRecords(const std::vector<NodeRecord>& records, Writer* out) {
  out->Varint(records.size());
  for (const NodeRecord& record : records) {
    out->Put(record.id);
    out->String(record.host);
    out->Varint(record.bus_port);
    out->U64(record.disk.value);
  }
}

std::vector<NodeRecord> DecodeRecords(Reader* in) {
  std::vector<NodeRecord> records(in->Count(11));
  if (records.size() > kNodesMax) in->Fail();
  NodeId previous = kNoNode;
  for (NodeRecord& record : records) {
    record.id = in->Get<NodeId>();
    record.host = Bytes(in->String());
    const uint64_t port = in->Varint();
    record.disk = DiskId{in->U64()};
    if (record.id <= previous || record.id.value > kNodeIdMax || port > 65535) in->Fail();
    record.bus_port = static_cast<uint16_t>(port);
    previous = record.id;
  }
  return in->ok() ? records : std::vector<NodeRecord>();
}

Result<Self> LoadSelf(StorageReader& storage) {
  Self self;
  const auto visit = [&self](BytesView key, BytesView value) -> Result<void> {
    if (key != kSelfKey) return {};
    Reader in(value);
    self.node = in.Get<NodeId>();
    self.disk = DiskId{in.U64()};
    self.boot = in.Varint();
    self.cluster = ClusterId{in.U64()};
    self.genesis = DecodeRecords(&in);
    self.shards = in.Varint();
    if (self.shards > kShardsMax || (self.formed() && self.shards == 0)) in.Fail();
    if (!in.done()) return Error{"the record of this node's identity does not decode"};
    return {};
  };
  const Result<void> scanned = storage.Scan("m", "n", visit);
  if (!scanned) return scanned.error();
  return self;
}

void PutSelf(const Self& self, WriteBatch* batch) {
  Bytes value;
  Writer out(&value);
  out.Put(self.node);
  out.U64(self.disk.value);
  out.Varint(self.boot);
  out.U64(self.cluster.value);
  EncodeRecords(self.genesis, &out);
  out.Varint(self.shards);
  batch->Put(Bytes(kSelfKey), std::move(value));
}

}  // namespace lockstep
