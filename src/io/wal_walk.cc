#include "src/io/wal_walk.h"

#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "src/base/codec.h"

namespace lockstep::io {
namespace {

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
    highest_ = std::max(highest_, number);
  }
  return replayed_ ? WalProcessingOption::kContinueProcessing
                   : WalProcessingOption::kIgnoreCurrentRecord;
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
