// A node's storage in one RocksDB, and the thread that writes it.
//
// The disk thread takes what waits, writes it as one batch with one sync, says so, and takes what
// has gathered meanwhile: group commit by itself, as deep as the disk is slow. At most one batch
// is under way, so a crash can tear only the last one; whatever is readable behind damage proves
// that the damaged was synced (WalScan finds it). Open refuses then, and when the recovered number
// is below the folder's mark.
//
// A write or sync that fails is reported once and nothing is written after it: after a failed
// fsync the kernel may have dropped the pages and call the next one a success (Rebello et al., ATC
// 2020).
//
// Always true:
//   1. Batch n+1 is written only after batch n is synced and marked.
//   2. persisted() never tells a number whose batch is not on disk.
//
// Open, Scan, Submit, Close on the node thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "src/io/data_folder.h"
#include "src/storage.h"

namespace rocksdb {
class DB;
class Env;
class Logger;
class Status;
class WalFilter;
class WriteBatch;
struct Options;
}  // namespace rocksdb

namespace lockstep::io {

class StorageRocksdb final : public StorageReader {
 public:
  struct Settings {
    Bytes dir;
    // Called on the disk thread when persisted() has grown: wake the node thread.
    std::function<void()> on_persisted;
    // Called on the disk thread, once, with what the disk said; nothing is written any more. The
    // server logs it and ends the process on the spot.
    std::function<void(const Bytes& why)> on_failure;
  };

  // An error is a sentence for the operator: the node must not start.
  static Result<std::unique_ptr<StorageRocksdb>> Open(Settings settings);
  ~StorageRocksdb() override;
  StorageRocksdb(const StorageRocksdb&) = delete;
  StorageRocksdb& operator=(const StorageRocksdb&) = delete;

  // Every block's checksum is verified on the way.
  Result<void> Scan(BytesView from, BytesView to, const Visit& visit) override;

  // One value; nothing: it is not there. At any time, on the node thread. What cannot be read, or
  // is damaged, is told as a failure of the disk.
  std::optional<Bytes> Get(BytesView key);

  // Hands over. `number` grows from call to call.
  void Submit(WriteBatch batch, uint64_t number);
  // The latest number that is on disk, and with it all before.
  uint64_t persisted() const { return persisted_.load(std::memory_order_acquire); }
  // What the latest synced write took.
  int64_t sync_us() const { return sync_us_.load(std::memory_order_relaxed); }

  // Writes what was submitted, then stops the thread and closes the database.
  void Close();

 private:
  explicit StorageRocksdb(Settings settings);

  struct Recovered;
  Result<void> OpenDatabase();
  Result<void> CreateDatabase();
  Result<Recovered> ExamineLog();
  Result<uint64_t> OpenToLook(rocksdb::WalFilter* filter, std::shared_ptr<rocksdb::Logger> log);
  Result<void> OpenToWrite(uint64_t expected_batch);
  Result<void> Rest();
  rocksdb::Options DatabaseOptions(std::shared_ptr<rocksdb::Logger> log) const;
  Result<uint64_t> BatchNumberIn(rocksdb::DB* db) const;
  Error Refusal(const Bytes& what) const;
  Error Refusal(const rocksdb::Status& status) const;

  void RunDiskThread();
  void EndRest();
  bool WriteOne(const WriteBatch& batch);
  bool SyncMarkIfDue();
  void Fail(const Bytes& why);

  Settings settings_;
  DataFolder folder_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<rocksdb::DB> db_;

  // The disk thread's alone, while it runs.
  uint64_t batch_ = 0;  // Number of the latest batch on disk, over the folder's whole life.
  bool failed_ = false;
  bool rests_ = false;
  bool mark_is_synced_ = true;
  int64_t mark_synced_at_us_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  WriteBatch waiting_;           // Under mutex_, as the two below.
  uint64_t waiting_number_ = 0;  // 0: nothing waits.
  bool stop_ = false;

  std::atomic<uint64_t> persisted_{0};
  std::atomic<int64_t> sync_us_{0};
  std::thread thread_;
};

}  // namespace lockstep::io
