// Who this node is, as its disk remembers it.
#pragma once

#include <vector>

#include "commands/control_machine.h"
#include "src/storage.h"

namespace lockstep {

struct Self {
  NodeId node;
  DiskId disk;          // Drawn when the folder was made.
  uint64_t boot = 0;    // Starts so far, this one included.
  ClusterId cluster;    // 0: not formed yet.
  std::vector<NodeRecord> genesis;  // The first members, with the disks they had then. By id.
  uint64_t shards = 0;              // Of the cluster, for all time; until it is formed, a wish.

  bool formed() const { return cluster.value != 0; }
};

// What the disk says; a fresh one gives node 0. An error names the damage.
Result<Self> LoadSelf(StorageReader& storage);
void PutSelf(const Self& self, WriteBatch* batch);

void EncodeRecords(const std::vector<NodeRecord>& records, Writer* out);
// Fails the reader unless ids are ascending, within bounds, and at most kNodesMax.
std::vector<NodeRecord> DecodeRecords(Reader* in);

}  // namespace lockstep
