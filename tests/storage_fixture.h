// What tests of the store share: a folder of their own, a store in it, and what its disk thread
// reports.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "src/io/storage_rocksdb.h"

namespace lockstep::io {

namespace fs = std::filesystem;

// In memory where there is such a place: what is tested is what gets written, not the machine's
// disk, and thousands of syncs there take minutes.
class TempFolder {
 public:
  TempFolder() {
    for (const char* place : {"/dev/shm", "/tmp"}) {
      path_ = Bytes(place) + "/lockstep-io-XXXXXX";
      if (::mkdtemp(path_.data()) != nullptr) return;
    }
    CHECK(false);
  }
  ~TempFolder() { fs::remove_all(path_); }
  Bytes operator/(const char* name) const { return path_ + "/" + name; }

 private:
  Bytes path_;
};

inline Bytes Contents(const Bytes& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void Overwrite(const Bytes& path, BytesView text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
}

// What the disk thread reports, for the test's thread to wait on.
class Reports {
 public:
  void Persisted() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  void Failed(const Bytes& why) {
    const std::lock_guard lock(mutex_);
    failures_.push_back(why);
    changed_.notify_all();
  }
  void AwaitPersisted(const StorageRocksdb& storage, uint64_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return storage.persisted() >= number || !failures_.empty(); });
  }
  std::vector<Bytes> AwaitFailure() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !failures_.empty(); });
    return failures_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Bytes> failures_;
};

inline Result<std::unique_ptr<StorageRocksdb>> OpenAt(const Bytes& dir, Reports* reports) {
  return StorageRocksdb::Open(
      {.dir = dir,
       .on_persisted = [reports] { reports->Persisted(); },
       .on_failure = [reports](const Bytes& why) { reports->Failed(why); }});
}

using Content = std::map<Bytes, Bytes>;

inline Result<Content> ContentOf(StorageRocksdb& storage, BytesView from = "",
                                 BytesView to = "\xff\xff") {
  Content content;
  const auto scanned = storage.Scan(from, to, [&](BytesView key, BytesView value) -> Result<void> {
    content.emplace(key, value);
    return {};
  });
  if (!scanned) return scanned.error();
  return content;
}

inline WriteBatch PutOne(const Bytes& key, const Bytes& value) {
  WriteBatch batch;
  batch.Put(key, value);
  return batch;
}

inline Bytes KeyOf(uint64_t n) {
  return Format("k%03d", static_cast<int>(n));
}

// How much of a log is records; what follows is the room that was made for more (wal_room.h).
inline uintmax_t EndOfRecords(const Bytes& log) {
  constexpr size_t kBlock = size_t{32} << 10, kHeader = 7;
  size_t at = 0;
  for (;;) {
    const size_t left = kBlock - at % kBlock;
    const size_t next = left < kHeader ? at + left : at;  // Less is padding.
    if (next + kHeader > log.size() || log[next + 6] == 0) return at;
    at = next + kHeader + static_cast<uint8_t>(log[next + 4]) +
         256 * static_cast<uint8_t>(log[next + 5]);
  }
}

class StorageTest : public ::testing::Test {
 protected:
  std::unique_ptr<StorageRocksdb> Open() {
    auto opened = OpenAt(dir_, &reports_);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  Bytes OpenError() {
    const auto opened = OpenAt(dir_, &reports_);
    return opened ? "" : opened.error().message;
  }
  void Write(StorageRocksdb* storage, WriteBatch batch, uint64_t number) {
    storage->Submit(std::move(batch), number);
    reports_.AwaitPersisted(*storage, number);
  }
  uintmax_t LogEnd() const { return EndOfRecords(Contents(Log())); }
  // The latest of RocksDB's logs.
  Bytes Log() const {
    Bytes found;
    for (const auto& entry : fs::directory_iterator(dir_ + "/store")) {
      const Bytes path = entry.path();
      if (path.ends_with(".log") && path > found) found = path;  // Names are numbers.
    }
    return found;
  }

  TempFolder temp_;
  const Bytes dir_ = temp_ / "data";
  Reports reports_;
};

}  // namespace lockstep::io
