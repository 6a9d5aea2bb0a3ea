#include "tests/sim/reference.h"

#include "commands/control_machine.h"
#include "commands/lock_table.h"
#include "commands/shard_machine.h"
#include "src/base/hash.h"
#include "tests/sim/failure.h"

namespace lockstep::sim {
namespace {

std::unique_ptr<StateMachine> MakeMachine(GroupId group) {
  if (group == kControlGroup) {
    return std::make_unique<ControlMachine>(std::vector<NodeRecord>());
  }
  if (group == kLocksGroup) return std::make_unique<LockTable>();
  return std::make_unique<ShardMachine>(ShardOf(group));
}

}  // namespace

// Its tables hash under a key of their own, as each node's do.
void Reference::Enter() { SetHashKey(0x5E7F, 0x0DD5); }

Reference::Reference(const Replica& like, GroupId group, Index at) : from_(at.value) {
  const Bytes saved = like.Save();
  Enter();
  replica_ = std::make_unique<Replica>(MakeMachine(group));
  const Result<void> loaded = replica_->Load(saved);
  CHECK_SIM(loaded.ok(), "what a replica saves does not load: %s", loaded.error().message.c_str());
  hashes_.push_back(replica_->Hash());
}

void Reference::Apply(const raft::Entry& entry) {
  CHECK(entry.id.index == Next(applied()));
  Enter();
  effects_.Clear();
  if (entry.kind == raft::EntryKind::kOp) {
    replica_->Apply(entry.id.index, entry.time, entry.data, &effects_);
  } else {
    replica_->Pulse(entry.id.index, entry.time, &effects_);
  }
  (void)replica_->machine().TakeUnneeded();  // It has no disk.
  hashes_.push_back(replica_->Hash());
}

void Reference::CheckInvariants() const {
  Enter();
  replica_->CheckInvariants();
}

}  // namespace lockstep::sim
