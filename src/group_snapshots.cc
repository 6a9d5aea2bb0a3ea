// Snapshots of a group: made in slices, so that a large state keeps no turn long; and installed.
#include <algorithm>

#include "src/base/log.h"
#include "src/group.h"

namespace lockstep {
namespace {

constexpr size_t kEntriesKeptMax = 10'000;  // In memory behind a snapshot, for members behind.

LogStore::Needs NeedsOf(const Replica& replica) {
  return [&replica](Index entry) { return replica.machine().NeedsEntry(entry); };
}

}  // namespace

// Making ------------------------------------------------------------------------------------------

void Group::BeginSnapshotIfDue(WriteBatch* batch) {
  const uint64_t since = applied_.value - snapshot_index_.value;
  if (since == 0 || compaction_ || *options_.is_saving) return;
  // The second half: while a follower takes a snapshot, the log behind it stays.
  const bool large = raft_->log_bytes() > options_.log_bytes_max &&
                     applied_bytes_ > options_.log_bytes_max / 4;
  if (!large && since < options_.snapshot_entries) return;
  // A large state is written anew only when as much has happened to it.
  if (applied_bytes_ < snapshot_bytes_ / 2) return;
  store_.DropUnfinished(batch);
  BeginSaving(false);
}

// For a follower it is made anew, in memory: the one on disk may lie before our log.
void Group::ProvideSnapshot() {
  if (*options_.is_saving) return;  // One at a time; it is asked for again.
  wants_snapshot_ = false;
  if (raft_->is_leader()) BeginSaving(true);
}

void Group::BeginSaving(bool for_follower) {
  *options_.is_saving = true;
  saving_.emplace(for_follower, raft_->term());
  saving_->applied_bytes = applied_bytes_;
  saving_->snapshot.last = applied_id_;
  saving_->snapshot.time = applied_time_;
  saving_->snapshot.config = raft_->ConfigAt(applied_);
  replica_->BeginSave(&saving_->snapshot.data);
}

void Group::SaveSome(uint64_t write, WriteBatch* batch) {
  if (!MaySave()) return;
  if (saving_->for_follower) return SaveForFollower();
  Bytes& data = saving_->snapshot.data;
  const bool is_whole = replica_->SaveMore(options_.save_records, &data);
  const size_t records = batch->ops().size();
  saving_->bytes += data.size();
  store_.AddToSnapshot(data, batch);
  data.clear();
  if (is_whole) FinishSnapshot(write, batch);
  if (batch->ops().size() == records) return;
  awaited_write_ = write;
  if (saving_) saving_->write = write;
}

// Who needed it asks the next leader.
void Group::SaveForFollower() {
  raft::Snapshot& snapshot = saving_->snapshot;
  if (!raft_->is_leader() || raft_->term() != saving_->term) {
    replica_->EndSave();
  } else if (replica_->SaveMore(options_.save_records, &snapshot.data)) {
    MutableRaft().ProvideSnapshot(std::move(snapshot));
  } else {
    return;
  }
  EndSaving();
}

void Group::EndSaving() {
  saving_.reset();
  *options_.is_saving = false;
}

void Group::FinishSnapshot(uint64_t write, WriteBatch* batch) {
  const raft::Snapshot& snapshot = saving_->snapshot;
  store_.FinishSnapshot(snapshot, NeedsOf(*replica_), batch);
  snapshot_index_ = snapshot.last.index;
  snapshot_bytes_ = saving_->bytes;
  applied_bytes_ -= saving_->applied_bytes;
  ++snapshots_taken_;
  compaction_ = {write, snapshot_index_};
  EndSaving();
}

void Group::GiveUpSaving(WriteBatch* batch) {
  if (!saving_) return;
  replica_->EndSave();
  if (!saving_->for_follower) store_.DropUnfinished(batch);
  EndSaving();
}

// Only now may the snapshot stand for what it replaces.
void Group::Persisted(MonoTime now, uint64_t write) {
  MutableRaft().Persisted(now, write);
  if (write >= awaited_write_) awaited_write_ = 0;
  if (arriving_ && write >= arriving_->write) arriving_->write = 0;
  if (saving_ && write >= saving_->write) saving_->write = 0;
  if (!compaction_ || write < compaction_->write) return;
  const size_t keep = std::min<size_t>(kEntriesKeptMax, options_.snapshot_entries / 4);
  // Well below the maximum, or the next snapshot would be due at once.
  raft_->Compact(compaction_->to, keep, options_.log_bytes_max / 4);
  LOCKSTEP_LOG(kDebug, "%s: snapshot at %lu, %zu bytes of log stay", options_.name.c_str(),
               compaction_->to.value, raft_->log_bytes());
  compaction_.reset();
}

// Installing --------------------------------------------------------------------------------------

void Group::Install(const raft::Snapshot& snapshot, WriteBatch* batch) {
  GiveUpSaving(batch);
  const bool is_prepared = arriving_ && arriving_->id == snapshot.last;
  if (is_prepared) {
    TakeOver(std::move(arriving_->replica), batch);
    arriving_.reset();
  } else {
    const Result<void> loaded = replica_->Load(snapshot.data);
    CHECK_SAYS(loaded.ok(), "group %s: snapshot of %lu does not load: %s", options_.name.c_str(),
               snapshot.last.index.value, loaded.error().message.c_str());
  }
  store_.PutForeignSnapshot(snapshot, applied_, NeedsOf(*replica_), batch);
  applied_ = snapshot.last.index;
  applied_id_ = snapshot.last;
  applied_time_ = snapshot.time;
  snapshot_index_ = applied_;
  snapshot_bytes_ = snapshot.data.size();
  own_hashes_.clear();
  ++snapshots_installed_;
  listener_->OnInstalled(*this);
  LOCKSTEP_LOG(kInfo, "%s: installed the leader's snapshot of %lu, %zu bytes",
               options_.name.c_str(), applied_.value, snapshot.data.size());
}

}  // namespace lockstep
