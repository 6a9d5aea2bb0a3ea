#include "src/io/wal_walk.h"

#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace lockstep::io {
namespace {

// Of a record in the log: checksum, size, type; the checksum covers the type and what follows.
constexpr size_t kRecordHeaderBytes = 4 + 2 + 1;
constexpr size_t kChecksumFrom = 4 + 2;
enum RecordType : uint8_t { kFull = 1, kFirst, kMiddle, kLast };
// More than a batch's own header and its first record, with our number, take together.
constexpr size_t kHeadBytes = 64;

// RocksDB stores checksums so, lest a record that holds a record look like one (crc32c.h).
uint32_t Masked(uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

// Reads a batch's first record and no further.
class FirstRecord final : public rocksdb::WriteBatch::Handler {
 public:
  uint64_t number() const { return number_; }

  rocksdb::Status PutCF(uint32_t, const rocksdb::Slice& key, const rocksdb::Slice& value) override {
    if (key.ToStringView() == kBatchKey) number_ = DecodeBatchNumber(value.ToStringView());
    seen_ = true;
    return rocksdb::Status::OK();
  }
  rocksdb::Status DeleteCF(uint32_t, const rocksdb::Slice&) override { return Other(); }
  rocksdb::Status DeleteRangeCF(uint32_t, const rocksdb::Slice&, const rocksdb::Slice&) override {
    return Other();
  }
  bool Continue() override { return !seen_; }

 private:
  rocksdb::Status Other() {
    seen_ = true;
    return rocksdb::Status::OK();
  }
  bool seen_ = false;
  uint64_t number_ = 0;
};

// The status is not asked: what is cut off behind the number is no matter.
uint64_t NumberIn(const Bytes& head_of_batch) {
  FirstRecord record;
  rocksdb::WriteBatch(head_of_batch).Iterate(&record).PermitUncheckedError();
  return record.number();
}

rocksdb::Status ScanLog(const Bytes& path, WalScan* scan) {
  std::unique_ptr<rocksdb::SequentialFile> file;
  rocksdb::Status status =
      rocksdb::Env::Default()->NewSequentialFile(path, &file, rocksdb::EnvOptions());
  Bytes room(WalScan::kBlockBytes, '\0');
  rocksdb::Slice block;
  do {
    if (status.ok()) status = file->Read(room.size(), &block, room.data());
    if (!status.ok()) return status;
    scan->Add(block.ToStringView());
  } while (block.size() == room.size());
  return status;
}

}  // namespace

Bytes EncodeBatchNumber(uint64_t number) {
  Bytes value;
  Writer(&value).U64(number);
  return value;
}

uint64_t DecodeBatchNumber(BytesView value) {
  Reader reader(value);
  const uint64_t number = reader.U64();
  return reader.done() ? number : 0;
}

rocksdb::WalFilter::WalProcessingOption WalWalk::LogRecordFound(unsigned long long,
                                                                const std::string& log_file_name,
                                                                const rocksdb::WriteBatch& batch,
                                                                rocksdb::WriteBatch*, bool*) {
  FirstRecord record;
  const bool readable = batch.Iterate(&record).ok();
  const uint64_t number = readable ? record.number() : 0;
  // RocksDB itself adds an empty batch after a recovery. It has no number, and changes nothing.
  const bool is_ours = batch.Count() > 0;
  if (is_ours) {
    if (first_ == 0) first_ = number;
    const bool follows = number != 0 && (last_ == 0 || number == last_ + 1);
    if (!follows && file_of_hole_.empty()) file_of_hole_ = log_file_name;
    last_ = number;
  }
  return replayed_ ? WalProcessingOption::kContinueProcessing
                   : WalProcessingOption::kIgnoreCurrentRecord;
}

struct WalScan::Record {
  RecordType type = kFull;
  BytesView payload;
};

bool WalScan::ReadRecord(BytesView at, Record* record) {
  const auto type = static_cast<uint8_t>(at[kChecksumFrom]);
  if (type < kFull || type > kLast) return false;  // First, since it spares most checksums.
  Reader reader(at);
  const uint32_t checksum = reader.U32();
  const size_t low = reader.U8();
  const size_t size = low | size_t{reader.U8()} << 8;
  if (size > at.size() - kRecordHeaderBytes) return false;
  if (Masked(Crc32c(at.substr(kChecksumFrom, 1 + size))) != checksum) return false;
  *record = {static_cast<RecordType>(type), at.substr(kRecordHeaderBytes, size)};
  return true;
}

void WalScan::Add(BytesView block) {
  while (block.size() >= kRecordHeaderBytes) {  // Less is padding.
    Record record;
    if (ReadRecord(block, &record)) {
      Take(record);
      block.remove_prefix(kRecordHeaderBytes + record.payload.size());
    } else {
      in_batch_ = false;
      block.remove_prefix(1);
    }
  }
}

void WalScan::Take(const Record& record) {
  if (record.type == kFull || record.type == kFirst) {
    in_batch_ = true;
    head_.clear();
  }
  if (!in_batch_) return;  // The end of a batch whose beginning is damaged.
  head_.append(record.payload.substr(0, kHeadBytes - head_.size()));

  const bool is_whole = record.type == kFull || record.type == kLast;
  const uint64_t number = NumberIn(head_);
  if (number != 0) proven_ = std::max(proven_, is_whole ? number : number - 1);
  if (is_whole) in_batch_ = false;
}

rocksdb::Status ScanLogs(const Bytes& folder, WalProof* proof) {
  std::vector<std::string> names;
  rocksdb::Status status = rocksdb::Env::Default()->GetChildren(folder, &names);
  for (const std::string& name : names) {
    if (!name.ends_with(".log")) continue;
    WalScan scan;
    if (status.ok()) status = ScanLog(folder + "/" + name, &scan);
    if (scan.proven() > proof->batch) *proof = {scan.proven(), name};
  }
  return status;
}

void WarningLog::Logv(const char* format, va_list arguments) {
  char line[256];
  std::vsnprintf(line, sizeof line, format, arguments);
  const std::lock_guard lock(mutex_);
  if (text_.size() + sizeof line > kBytesMax) return;
  if (!text_.empty()) text_ += "; ";
  text_ += line;
}

Bytes WarningLog::Taken() {
  const std::lock_guard lock(mutex_);
  return std::exchange(text_, {});
}

}  // namespace lockstep::io
