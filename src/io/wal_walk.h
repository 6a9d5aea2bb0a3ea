// What RocksDB's replay of its write-ahead log tells whoever listens: which batches were found, in
// which order, and what was passed over.
//
// Each batch of ours begins with its number (kBatchKey), one more than the last: so a hole shows.
// It must be looked for: RocksDB's log reader passes over a region of zeroes without a word
// (log_reader.cc takes it for preallocated space), and replays what follows as if nothing were
// missing.
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
  uint64_t highest() const { return highest_; }
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
  uint64_t highest_ = 0;
  Bytes file_of_hole_;
};

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
