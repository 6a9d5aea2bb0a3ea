// The folder and the store: what was synced is there after any crash and any damage is named; what
// was not synced may be gone and never stops a start.
#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "src/io/storage_rocksdb.h"

namespace lockstep::io {
namespace {

namespace fs = std::filesystem;

class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/lockstep-io-XXXXXX";
    CHECK(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TempFolder() { fs::remove_all(path_); }
  Bytes operator/(const char* name) const { return path_ + "/" + name; }

 private:
  Bytes path_;
};

Bytes Contents(const Bytes& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Overwrite(const Bytes& path, BytesView text) {
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

Result<std::unique_ptr<StorageRocksdb>> OpenAt(const Bytes& dir, Reports* reports,
                                               rocksdb::Env* env = nullptr) {
  return StorageRocksdb::Open({.dir = dir,
                               .on_persisted = [reports] { reports->Persisted(); },
                               .on_failure = [reports](const Bytes& why) { reports->Failed(why); },
                               .env = env});
}

using Content = std::map<Bytes, Bytes>;

Result<Content> ContentOf(StorageRocksdb& storage, BytesView from = "",
                          BytesView to = "\xff\xff") {
  Content content;
  const auto scanned = storage.Scan(from, to, [&](BytesView key, BytesView value) -> Result<void> {
    content.emplace(key, value);
    return {};
  });
  if (!scanned) return scanned.error();
  return content;
}

WriteBatch PutOne(const Bytes& key, const Bytes& value) {
  WriteBatch batch;
  batch.Put(key, value);
  return batch;
}

Bytes KeyOf(uint64_t n) { return Format("k%03d", static_cast<int>(n)); }

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

  TempFolder temp_;
  const Bytes dir_ = temp_ / "data";
  Reports reports_;
};

TEST_F(StorageTest, WhatWasWrittenIsThereAfterARestartInOrderOfKeys) {
  auto storage = Open();
  WriteBatch first;
  first.Put("b", "2");
  first.Put(Bytes("a\0x", 3), Bytes("\0\xff", 2));
  first.Put("c", "");
  Write(storage.get(), std::move(first), 7);
  WriteBatch second;
  second.Delete("b");
  second.Put("d", "4");
  Write(storage.get(), std::move(second), 9);
  EXPECT_EQ(storage->persisted(), 9u);
  storage->Close();

  storage = Open();
  EXPECT_EQ(*ContentOf(*storage),
            (Content{{Bytes("a\0x", 3), Bytes("\0\xff", 2)}, {"c", ""}, {"d", "4"}}));
}

TEST_F(StorageTest, AScanVisitsFromAndNotTo) {
  auto storage = Open();
  WriteBatch batch;
  for (const char* key : {"a", "b", "ba", "c", "d"}) batch.Put(key, "v");
  Write(storage.get(), std::move(batch), 1);

  EXPECT_EQ(*ContentOf(*storage, "b", "c"), (Content{{"b", "v"}, {"ba", "v"}}));
  EXPECT_EQ(ContentOf(*storage, "", "")->size(), 0u);
}

TEST_F(StorageTest, AScanEndsWithTheVisitorsError) {
  auto storage = Open();
  Write(storage.get(), PutOne("a", "1"), 1);
  const auto scanned = storage->Scan("", "z", [](BytesView, BytesView) -> Result<void> {
    return Error{"the visitor said so"};
  });
  ASSERT_FALSE(scanned.ok());
  EXPECT_EQ(scanned.error().message, "the visitor said so");
}

TEST_F(StorageTest, ARangeIsDeletedUpToItsEndAndInTheOrderOfTheBatch) {
  auto storage = Open();
  WriteBatch batch;
  for (const char* key : {"a", "b", "ba", "c"}) batch.Put(key, "old");
  batch.DeleteRange("b", "c");
  batch.Put("bb", "new");
  batch.DeleteRange("z", "a");  // Empty: from is behind to.
  Write(storage.get(), std::move(batch), 1);
  storage->Close();

  storage = Open();
  EXPECT_EQ(*ContentOf(*storage), (Content{{"a", "old"}, {"bb", "new"}, {"c", "old"}}));
}

TEST_F(StorageTest, DeletingEveryKeyLeavesTheFolderUsable) {
  auto storage = Open();
  Write(storage.get(), PutOne("a", "1"), 1);
  WriteBatch all;
  all.DeleteRange("", "\xff\xff\xff");
  Write(storage.get(), std::move(all), 2);
  storage->Close();

  storage = Open();
  EXPECT_TRUE(ContentOf(*storage)->empty());
}

TEST_F(StorageTest, WhatIsSubmittedBeforeCloseIsWrittenByClose) {
  auto storage = Open();
  for (uint64_t n = 1; n <= 200; ++n) storage->Submit(PutOne(KeyOf(n), "v"), n);
  storage->Close();
  EXPECT_EQ(storage->persisted(), 200u);

  storage = Open();
  EXPECT_EQ(ContentOf(*storage)->size(), 200u);
}

TEST_F(StorageTest, ManyGenerationsOfFlushesAndRestartsKeepEverything) {
  const Bytes large(size_t{600} << 10, 'x');  // Several memtables' worth.
  uint64_t number = 0;
  for (int generation = 0; generation < 4; ++generation) {
    auto storage = Open();
    for (int i = 0; i < 10; ++i, ++number) {
      Write(storage.get(), PutOne(KeyOf(number), large), static_cast<uint64_t>(i) + 1);
    }
    storage->Close();
  }
  auto storage = Open();
  EXPECT_EQ(ContentOf(*storage)->size(), number);
}

TEST_F(StorageTest, TwoServersNeverShareAFolder) {
  auto storage = Open();
  const Bytes error = OpenError();
  EXPECT_NE(error.find(Format("process id %d", static_cast<int>(::getpid()))), Bytes::npos) << error;

  storage->Close();
  storage.reset();
  EXPECT_EQ(OpenError(), "");
}

TEST_F(StorageTest, AFolderOfAnotherFormatIsRefusedByName) {
  Open()->Close();
  Overwrite(dir_ + "/FORMAT", "lockstep folder, format 2\n");
  const Bytes error = OpenError();
  EXPECT_NE(error.find("has format 2"), Bytes::npos) << error;
  EXPECT_NE(error.find("format 1"), Bytes::npos) << error;
}

TEST_F(StorageTest, AFolderWithoutASmallFileOfItsIsRefused) {
  auto storage = Open();
  Write(storage.get(), PutOne("a", "1"), 1);
  storage->Close();
  storage.reset();
  for (const char* name : {"/FORMAT", "/SYNCED", "/store/CURRENT"}) {
    const Bytes text = Contents(dir_ + name);
    fs::remove(dir_ + name);
    EXPECT_NE(OpenError(), "") << name;
    Overwrite(dir_ + name, text);
    EXPECT_EQ(OpenError(), "") << name;
  }
}

TEST_F(StorageTest, AnyFlippedBitOfTheMarkIsRefused) {
  Open()->Close();
  const Bytes mark = Contents(dir_ + "/SYNCED");
  for (size_t bit = 0; bit < mark.size() * 8; ++bit) {
    Bytes damaged = mark;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    Overwrite(dir_ + "/SYNCED", damaged);
    ASSERT_NE(OpenError().find("SYNCED is damaged"), Bytes::npos) << bit;
  }
}

TEST_F(StorageTest, AStartThatWasCutShortWhileMakingTheFolderIsMadeAnew) {
  Open()->Close();
  fs::remove(dir_ + "/FORMAT");
  Overwrite(dir_ + "/SYNCED", "half");
  auto storage = Open();
  Write(storage.get(), PutOne("a", "1"), 1);
}

// Damage ------------------------------------------------------------------------------------------

// A folder whose log holds kBatches batches; the last may count as not yet synced.
class DamageTest : public StorageTest {
 protected:
  static constexpr uint64_t kBatches = 5;

  void SetUp() override {
    auto storage = Open();
    for (uint64_t n = 1; n <= kBatches; ++n) {
      Write(storage.get(), PutOne(KeyOf(n), Bytes(n, 'v')), n);
      // The number is told after the mark is written, and the log grows by whole batches.
      marks_.push_back(Contents(dir_ + "/SYNCED"));
      ends_.push_back(fs::file_size(Log()));
    }
    storage->Close();
    storage.reset();
    log_ = Log();
    text_ = Contents(log_);
    fs::rename(dir_, kept_);
  }
  Bytes Log() const {
    Bytes found;
    for (const auto& entry : fs::directory_iterator(dir_ + "/store")) {
      if (entry.path().extension() == ".log") found = entry.path();
    }
    return found;
  }
  // The folder as it was, with this log and the mark at batch `synced`.
  void Restore(BytesView log, uint64_t synced) {
    fs::remove_all(dir_);
    fs::copy(kept_, dir_, fs::copy_options::recursive);
    Overwrite(log_, log);
    Overwrite(dir_ + "/SYNCED", marks_[synced - 1]);
  }
  // How many batches a start finds: exactly a prefix. Nothing: it refuses.
  std::optional<uint64_t> BatchesFound() {
    auto opened = OpenAt(dir_, &reports_);
    if (!opened) {
      EXPECT_NE(opened.error().message.find(dir_), Bytes::npos) << opened.error().message;
      return std::nullopt;
    }
    const auto content = ContentOf(**opened);
    EXPECT_TRUE(content.ok());
    uint64_t n = 0;
    for (const auto& [key, value] : *content) {
      n += 1;
      EXPECT_EQ(key, KeyOf(n));
      EXPECT_EQ(value, Bytes(n, 'v'));
    }
    return n;
  }

  const Bytes kept_ = temp_ / "kept";
  std::vector<Bytes> marks_;
  std::vector<uintmax_t> ends_;  // Of the log, after each batch.
  Bytes log_;
  Bytes text_;
};

TEST_F(DamageTest, ALogCutAnywhereInItsUnsyncedTailBootsAndAnywhereBeforeIsRefused) {
  const size_t synced_end = ends_[kBatches - 2];
  for (size_t size = 0; size <= text_.size(); ++size) {
    Restore(BytesView(text_).substr(0, size), kBatches - 1);
    const auto found = BatchesFound();
    if (size < synced_end) {
      ASSERT_EQ(found, std::nullopt) << "cut to " << size;
    } else {
      ASSERT_EQ(found, size == text_.size() ? kBatches : kBatches - 1) << "cut to " << size;
    }
  }
}

TEST_F(DamageTest, AFlippedBitInTheUnsyncedTailBootsAndOneBeforeIsRefused) {
  const size_t synced_end = ends_[kBatches - 2];
  for (size_t at = 0; at < text_.size(); ++at) {
    Bytes damaged = text_;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    Restore(damaged, kBatches - 1);
    ASSERT_EQ(BatchesFound(), at < synced_end ? std::nullopt : std::optional(kBatches - 1))
        << "byte " << at;
  }
}

}  // namespace
}  // namespace lockstep::io
