// One group on one node, its only member and leader; what it tells nobody hears, unless a test
// says otherwise.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "commands/lock_table.h"
#include "src/group.h"

namespace lockstep {

class GroupAlone : public ::testing::Test, public Group::Listener {
 protected:
  static constexpr NodeId kSelf{1};

  explicit GroupAlone(raft::Options options = {}) {
    const raft::Member me{kSelf, DiskId{7}};
    options.self = me;
    raft::Recovered recovered;
    recovered.snapshot.config.voters = {me};
    group_ = std::make_unique<Group>(
        Group::Options{kLocksGroup, "locks"}, LogStore(kLocksGroup),
        std::make_unique<raft::Raft>(options, std::move(recovered), now_, nullptr),
        std::make_unique<Replica>(std::make_unique<LockTable>()), ClusterTime{}, this);
    group_->Tick(now_);
  }

  // A turn without the disk.
  void Turn() {
    now_ = now_ + kUsPerMs;
    group_->Drain(now_, ++write_, &batch_);
  }
  // A turn, its write on disk at once.
  void SyncedTurn() {
    Turn();
    group_->Persisted(now_, write_);
  }

  void OnEvent(const Bytes&, const Bytes&) override {}
  void OnMessage(Group&, raft::Message) override {}
  void OnInstalled(Group&) override {}
  void OnStateHash(Group&, Index, uint64_t) override {}
  bool OnFetch(Group&, std::vector<Index>) override { return true; }

  MonoTime now_{1'000'000};
  uint64_t write_ = 0;
  WriteBatch batch_;
  std::unique_ptr<Group> group_;
};

}  // namespace lockstep
