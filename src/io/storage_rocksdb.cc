#include "src/io/storage_rocksdb.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <time.h>
#include <unistd.h>

#include "src/base/log.h"
#include "src/base/planted.h"
#include "src/base/time.h"
#include "src/io/wal_room.h"
#include "src/io/wal_walk.h"

namespace lockstep::io {
namespace {

constexpr int64_t kMarkSyncEveryUs = kUsPerSecond;
constexpr size_t kScanReadaheadBytes = size_t{256} << 10;

using Kind = WriteBatch::Kind;

unsigned long long Wide(uint64_t n) {
  return n;
}

const char* OrNoComplaint(const Bytes& warnings) {
  return warnings.empty() ? "no complaint" : warnings.c_str();
}

int64_t MonotonicUs() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kUsPerSecond + now.tv_nsec / 1000;
}

// The node's key as RocksDB sees it, without a copy.
class StoredKey {
 public:
  explicit StoredKey(BytesView key)
      : parts_{rocksdb::Slice(&kNodeKey, 1), rocksdb::Slice(key.data(), key.size())} {}
  rocksdb::SliceParts parts() const { return {parts_, 2}; }

 private:
  rocksdb::Slice parts_[2];
};

rocksdb::Status AddTo(rocksdb::WriteBatch* out, const WriteBatch::Op& op) {
  const StoredKey key(op.key);
  switch (op.kind) {
    case Kind::kPut: {
      const rocksdb::Slice value(op.value);
      return out->Put(key.parts(), rocksdb::SliceParts(&value, 1));
    }
    case Kind::kDelete:
      return out->Delete(key.parts());
    case Kind::kDeleteRange:
      if (op.key >= op.value) return rocksdb::Status::OK();  // RocksDB refuses from >= to.
      return out->DeleteRange(key.parts(), StoredKey(op.value).parts());
  }
  CHECK(false);
}

// Else RocksDB waits for a full disk to have room again and writes on by itself, while we have told
// that nothing is written any more.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* recover) override {
    *recover = false;
  }
};

rocksdb::BlockBasedTableOptions TableOptions() {
  rocksdb::BlockBasedTableOptions table;
  // What is read again and again, the node keeps itself (BodyCache).
  table.block_cache = rocksdb::NewLRUCache(size_t{4} << 20);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_size = size_t{16} << 10;
  return table;
}

}  // namespace

// What a look at the folder found before anything was changed.
struct StorageRocksdb::Recovered {
  uint64_t batch = 0;  // The last that a replay reaches.
  Bytes warnings;
};

StorageRocksdb::StorageRocksdb(Settings settings)
    : settings_(std::move(settings)), env_(EnvWithRoomInLogs()) {}
StorageRocksdb::~StorageRocksdb() {
  Close();
}

Result<std::unique_ptr<StorageRocksdb>> StorageRocksdb::Open(Settings settings) {
  CHECK(settings.on_persisted != nullptr && settings.on_failure != nullptr);
  Result<DataFolder> folder = DataFolder::Open(settings.dir);
  if (!folder) return folder.error();

  std::unique_ptr<StorageRocksdb> storage(new StorageRocksdb(std::move(settings)));
  storage->folder_ = std::move(*folder);
  if (const auto opened = storage->OpenDatabase(); !opened) return opened.error();
  storage->thread_ = std::thread([raw = storage.get()] { raw->RunDiskThread(); });
  return storage;
}

Result<void> StorageRocksdb::OpenDatabase() {
  if (folder_.is_new()) return CreateDatabase();

  const Result<Recovered> found = ExamineLog();
  if (!found) return found.error();
  if (const auto opened = OpenToWrite(found->batch); !opened) return opened.error();
  if (!found->warnings.empty()) {
    LOCKSTEP_LOG(kInfo,
                 "store: dropped a torn tail, which nobody was promised anything on: batch "
                 "%llu is the last whole one, %llu was surely synced; RocksDB: %s",
                 Wide(found->batch), Wide(folder_.synced()), found->warnings.c_str());
  }
  // Opening has put what was replayed into synced files.
  return folder_.MarkSynced(found->batch);
}

Result<void> StorageRocksdb::CreateDatabase() {
  rocksdb::Options options = DatabaseOptions(std::make_shared<WarningLog>());
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, folder_.store(), &db);
  if (!status.ok()) return Refusal(status);
  db_.reset(db);

  // A start that was cut short may have left a store, but an empty one: batches come after FORMAT.
  const Result<uint64_t> batch = BatchNumberIn(db);
  if (!batch) return batch.error();
  if (*batch != 0) return Refusal("FORMAT is missing though batches were written");
  return folder_.FinishMaking();
}

// Replays the log twice without changing anything. To open for writing at once would be too late
// to refuse: RocksDB then replaces the log by what it could read of it.
Result<StorageRocksdb::Recovered> StorageRocksdb::ExamineLog() {
  // First taking nothing: what the synced files have.
  WalWalk look(/*replayed=*/false);
  const auto in_files = OpenToLook(&look, std::make_shared<WarningLog>());
  if (!in_files) return in_files.error();

  // Then as the real replay goes: up to the first damage.
  WalWalk replay(/*replayed=*/true);
  const auto log = std::make_shared<WarningLog>();
  const auto batch = OpenToLook(&replay, log);
  if (!batch) return batch.error();
  const Recovered recovered{*batch, log->Taken()};

  if (!replay.file_of_hole().empty() || replay.first() > *in_files + 1) {
    return Refusal(
        Format("batches are missing inside its log, in %s",
               replay.file_of_hole().empty() ? "its oldest file" : replay.file_of_hole().c_str()));
  }
  if (Planted(Mutant::kDamageTakenForTornTail)) return recovered;
  // What is readable behind damage tells more than the mark, which may be a second old.
  WalProof proof;
  const rocksdb::Status scanned = ScanLogs(folder_.store(), &proof);
  if (!scanned.ok()) return Refusal(scanned);
  if (recovered.batch < proof.batch) {
    return Refusal(
        Format("its log can be read up to batch %llu, but batch %llu stands behind the damage, in "
               "%s; RocksDB: %s",
               Wide(recovered.batch), Wide(proof.batch), proof.file.c_str(),
               OrNoComplaint(recovered.warnings)));
  }
  if (recovered.batch < folder_.synced()) {
    return Refusal(
        Format("its log can be read up to batch %llu, but batch %llu was synced; "
               "RocksDB: %s",
               Wide(recovered.batch), Wide(folder_.synced()), OrNoComplaint(recovered.warnings)));
  }
  return recovered;
}

Result<uint64_t> StorageRocksdb::OpenToLook(rocksdb::WalFilter* filter,
                                            std::shared_ptr<rocksdb::Logger> log) {
  rocksdb::Options options = DatabaseOptions(std::move(log));
  options.wal_filter = filter;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, folder_.store(), &db);
  if (!status.ok()) return Refusal(status);
  const std::unique_ptr<rocksdb::DB> closes(db);
  return BatchNumberIn(db);
}

// RocksDB replays the same log again, now for good: it writes what it read into a sorted file and
// drops the log. That both replays end at the same batch is checked, not assumed.
Result<void> StorageRocksdb::OpenToWrite(uint64_t expected_batch) {
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(DatabaseOptions(std::make_shared<WarningLog>()), folder_.store(), &db);
  if (!status.ok()) return Refusal(status);
  db_.reset(db);
  if (const auto rests = Rest(); !rests) return rests.error();
  const Result<uint64_t> batch = BatchNumberIn(db);
  if (!batch) return batch.error();
  if (*batch != expected_batch) {
    return Refusal(Format("opened for writing it ends at batch %llu, a moment ago at %llu",
                          Wide(*batch), Wide(expected_batch)));
  }
  batch_ = *batch;
  return {};
}

// RocksDB compacts nothing while the store is read: from here to the first write. Compactions
// that opening has begun are awaited.
Result<void> StorageRocksdb::Rest() {
  const rocksdb::Status status = db_->PauseBackgroundWork();
  if (!status.ok()) return Refusal(status);
  rests_ = true;
  return {};
}

void StorageRocksdb::EndRest() {
  CHECK(db_->ContinueBackgroundWork().ok());  // Fails only where nothing rests.
  rests_ = false;
}

rocksdb::Options StorageRocksdb::DatabaseOptions(std::shared_ptr<rocksdb::Logger> log) const {
  rocksdb::Options options;
  options.env = env_.get();
  options.info_log = std::move(log);
  // Never kSkipAnyCorruptedRecords, not even to look: a damaged type that says "recycled" makes it
  // read the same record for ever (log_reader.cc, kOldRecord; 7.8.3).
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // Never: what an old log left behind the end of a new one would pass for a proof (WalScan).
  options.recycle_log_file_num = 0;
  options.paranoid_checks = true;
  // Nothing that failed is tried again. The listener is for a full disk, which the number is not.
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<NoRecovery>());

  // A node must fit beside others on a small machine: two memtables and little else.
  options.write_buffer_size = size_t{8} << 20;
  options.max_write_buffer_number = 2;
  options.max_open_files = 256;
  options.max_background_jobs = 2;
  options.max_manifest_file_size = size_t{8} << 20;
  options.manifest_preallocation_size = size_t{64} << 10;
  // RocksDB's own statistics would wake a thread for nothing; INFO has ours.
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;

  // Levels, not universal: a Raft log is appended and cut off by range, and universal would keep
  // what is cut off until its next whole rewrite.
  options.compaction_style = rocksdb::kCompactionStyleLevel;
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = uint64_t{16} << 20;
  options.max_bytes_for_level_base = uint64_t{64} << 20;
  options.compression = rocksdb::kNoCompression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions()));
  return options;
}

// 0: no batch was ever written. The key is in every batch, so nothing can delete it.
Result<uint64_t> StorageRocksdb::BatchNumberIn(rocksdb::DB* db) const {
  std::string value;
  const rocksdb::Status status =
      db->Get(rocksdb::ReadOptions(), rocksdb::Slice(kBatchKey.data(), kBatchKey.size()), &value);
  if (status.IsNotFound()) return uint64_t{0};
  if (!status.ok()) return Refusal(status);
  const uint64_t number = DecodeBatchNumber(value);
  if (number == 0) return Refusal("the record of the last batch does not decode");
  return number;
}

Error StorageRocksdb::Refusal(const Bytes& what) const {
  return Error{
      Format("folder %s cannot be used: %s; %s", folder_.dir().c_str(), what.c_str(), kWayOut)};
}

// A disk that is full, or may not be written, has lost nothing: whoever emptied the folders of all
// nodes for it would (trap 8). A file that is not there is damage.
Error StorageRocksdb::Refusal(const rocksdb::Status& status) const {
  Bytes line = status.ToString();  // RocksDB ends some of its messages with a line break.
  std::erase(line, '\n');
  if (!status.IsIOError() || status.IsPathNotFound()) return Refusal(line);
  return Error{
      Format("folder %s cannot be used: %s; see to the disk (space, permissions, health) "
             "and start again; keep the folder, it has lost nothing that we know of",
             folder_.dir().c_str(), line.c_str())};
}

Result<void> StorageRocksdb::Scan(BytesView from, BytesView to, const Visit& visit) {
  const Bytes first = kNodeKey + Bytes(from);
  const Bytes end = kNodeKey + Bytes(to);
  const rocksdb::Slice end_slice(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &end_slice;
  options.verify_checksums = true;
  options.readahead_size = kScanReadaheadBytes;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
  for (at->Seek(first); at->Valid(); at->Next()) {
    const BytesView key = at->key().ToStringView().substr(1);
    if (const auto visited = visit(key, at->value().ToStringView()); !visited) {
      return visited.error();
    }
  }
  if (!at->status().ok()) return Refusal(at->status());
  return {};
}

std::optional<Bytes> StorageRocksdb::Get(BytesView key) {
  Bytes value;
  rocksdb::ReadOptions options;
  options.verify_checksums = true;
  const rocksdb::Status status = db_->Get(options, kNodeKey + Bytes(key), &value);
  if (status.ok()) return value;
  if (!status.IsNotFound()) settings_.on_failure(status.ToString());
  return std::nullopt;
}

void StorageRocksdb::Submit(WriteBatch batch, uint64_t number) {
  {
    const std::lock_guard lock(mutex_);
    CHECK(number > waiting_number_ && number > persisted());
    waiting_.Append(std::move(batch));
    waiting_number_ = number;
  }
  changed_.notify_one();
}

// The mark is synced at most once a second: under load after a batch, else when the second is
// over.
void StorageRocksdb::RunDiskThread() {
  for (;;) {
    WriteBatch batch;
    uint64_t number = 0;
    {
      std::unique_lock lock(mutex_);
      const auto something = [this] { return waiting_number_ != 0 || stop_; };
      if (mark_is_synced_) {
        changed_.wait(lock, something);
      } else {
        changed_.wait_for(lock, std::chrono::microseconds(kMarkSyncEveryUs), something);
      }
      if (waiting_number_ == 0 && stop_) return;
      batch = std::exchange(waiting_, {});
      number = std::exchange(waiting_number_, 0);
    }
    if (number != 0) {
      if (rests_) EndRest();
      if (!WriteOne(batch)) return;
      persisted_.store(number, std::memory_order_release);
      settings_.on_persisted();
    }
    if (!SyncMarkIfDue()) return;
  }
}

// The number stands first in the batch: WalWalk reads no further. Batch, sync, mark, in this
// order: the mark never says more than the disk has.
bool StorageRocksdb::WriteOne(const WriteBatch& batch) {
  const int64_t began_us = MonotonicUs();
  rocksdb::WriteBatch records;
  rocksdb::Status status = records.Put(rocksdb::Slice(kBatchKey.data(), kBatchKey.size()),
                                       EncodeBatchNumber(batch_ + 1));
  for (const WriteBatch::Op& op : batch.ops()) {
    if (status.ok()) status = AddTo(&records, op);
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  if (status.ok()) status = db_->Write(options, &records);
  if (!status.ok()) {
    Fail(status.ToString());
    return false;
  }
  batch_ += 1;
  if (const auto marked = folder_.MarkSynced(batch_); !marked) {
    Fail(marked.error().message);
    return false;
  }
  mark_is_synced_ = false;
  sync_us_.store(MonotonicUs() - began_us, std::memory_order_relaxed);
  return true;
}

bool StorageRocksdb::SyncMarkIfDue() {
  const int64_t now_us = MonotonicUs();
  if (mark_is_synced_ || now_us - mark_synced_at_us_ < kMarkSyncEveryUs) return true;
  if (const auto synced = folder_.SyncMark(); !synced) {
    Fail(synced.error().message);
    return false;
  }
  mark_is_synced_ = true;
  mark_synced_at_us_ = now_us;
  return true;
}

void StorageRocksdb::Fail(const Bytes& why) {
  failed_ = true;
  settings_.on_failure(why);
}

// In order: what waits is written, the mark is synced, so that a power loss after it costs
// nothing.
void StorageRocksdb::Close() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  if (db_ == nullptr) return;
  // A disk that has failed is asked for nothing more; closing the database writes nothing.
  if (const auto synced = failed_ ? Result<void>() : folder_.SyncMark(); !synced) {
    LOCKSTEP_LOG(kWarn, "store: %s", synced.error().message.c_str());
  }
  const rocksdb::Status status = db_->Close();
  if (!status.ok()) LOCKSTEP_LOG(kWarn, "store: closing said: %s", status.ToString().c_str());
  db_.reset();
  folder_ = DataFolder();  // Unlocks it.
}

}  // namespace lockstep::io
