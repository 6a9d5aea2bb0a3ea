// What the write-ahead log holds: as RocksDB's replay tells it (WalWalk), and as its bytes say
// without RocksDB (WalScan).
//
// Each batch of ours begins with its number (kBatchKey), one more than the last: so a hole shows.
// It must be looked for: RocksDB's log reader passes over a region of zeroes without a word
// (log_reader.cc takes it for preallocated space), and replays what follows as if nothing were
// missing. At a bad record it drops the rest of the 32 KiB block, in every recovery mode: what
// stands behind the damage there is found by WalScan alone.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/wal_filter.h>

#include <mutex>

#include "src/base/bytes.h"

namespace lockstep::io {

// Keys of ours and of the node's never meet: each has its own first byte.
constexpr char kOwnKey = '!';
constexpr char kNodeKey = 'n';
constexpr BytesView kBatchKey = "!batch";  // Value: the batch's number, u64.

Bytes EncodeBatchNumber(uint64_t number);
// 0: no number of ours.
uint64_t DecodeBatchNumber(BytesView value);

// One walk over the log, called by RocksDB while it opens.
class WalWalk final : public rocksdb::WalFilter {
 public:
  // Replayed: the database takes what is found. Else it is only looked at.
  explicit WalWalk(bool replayed) : replayed_(replayed) {}

  uint64_t first() const { return first_; }  // 0: no batch in the log.
  // The file in which a batch does not follow the one before it. Empty: none.
  const Bytes& file_of_hole() const { return file_of_hole_; }

  const char* Name() const override { return "lockstep.WalWalk"; }
  WalProcessingOption LogRecordFound(unsigned long long log_number,
                                     const std::string& log_file_name,
                                     const rocksdb::WriteBatch& batch,
                                     rocksdb::WriteBatch* new_batch, bool* batch_changed) override;

 private:
  const bool replayed_;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
  Bytes file_of_hole_;
};

// What the bytes of one log prove, however damaged it is. A record that is bad is passed over byte
// by byte, until one is found whose checksum matches; RocksDB's format, log_format.h.
//
// One batch is written at a time: batch n+1 is begun when n is synced. So a batch that is readable
// to its end, or the beginning of the one after it, proves that a replay must reach it.
class WalScan {
 public:
  static constexpr size_t kBlockBytes = size_t{32} << 10;

  // Block after block, in order; the last may be shorter. No record crosses their borders.
  void Add(BytesView block);
  // The highest batch that the bytes prove. 0: none.
  uint64_t proven() const { return proven_; }

 private:
  struct Record;
  static bool ReadRecord(BytesView at, Record* record);
  void Take(const Record& record);

  uint64_t proven_ = 0;
  // A batch's records follow each other without a gap. `head_` is how the batch begins: enough for
  // its number, which may stand half in one record, half in the next.
  bool in_batch_ = false;
  Bytes head_;
};

struct WalProof {
  uint64_t batch = 0;
  Bytes file;  // Which log has it.
};
// Of all logs in the folder. An old one that RocksDB has not deleted yet does no harm: its batches
// are in the sorted files.
rocksdb::Status ScanLogs(const Bytes& folder, WalProof* proof);

// Keeps the first warnings that RocksDB gives, for our own log line. Called on any of its threads.
class WarningLog final : public rocksdb::Logger {
 public:
  WarningLog() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override;
  // "; "-separated; empty: there were none.
  Bytes Taken();

 private:
  static constexpr size_t kBytesMax = 512;
  std::mutex mutex_;
  Bytes text_;
};

}  // namespace lockstep::io
