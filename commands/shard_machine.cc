#include "commands/shard_machine.h"

#include <utility>

#include "src/base/hash.h"

namespace lockstep {

// Of a shard without durable keys, as it was before there were any.
uint64_t ShardMachine::HashOf(uint64_t queues) const {
  return keys_.empty() ? queues : HashMix(queues, keys_.Hash());
}

void ShardMachine::Save(Writer* out) const {
  queues_.Save(out);
  keys_.Save(out);
}

void ShardMachine::BeginSave(Writer* out) {
  saved_keys_.clear();
  Writer keys(&saved_keys_);
  keys_.Save(&keys);
  queues_.BeginSave(out);
}

bool ShardMachine::SaveMore(size_t records, Writer* out) {
  if (!queues_.SaveMore(records, out)) return false;
  out->Raw(std::exchange(saved_keys_, Bytes()));
  return true;
}

// Snapshots of earlier versions end behind the queues.
Result<void> ShardMachine::Load(Reader* in) {
  keys_.Clear();
  if (auto loaded = queues_.Load(in); !loaded) return loaded;
  if (in->left() == 0 || keys_.Load(in)) return {};
  Reader nothing{BytesView()};
  (void)queues_.Load(&nothing);
  return Error{"the durable keys of a shard's snapshot are damaged"};
}

}  // namespace lockstep
