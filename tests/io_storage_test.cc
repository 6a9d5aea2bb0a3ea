// The folder and the store: what was synced is there after any crash and any damage is named; what
// was not synced may be gone and never stops a start.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "src/io/wal_room.h"
#include "tests/storage_fixture.h"

namespace lockstep::io {
namespace {

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
  const auto scanned = storage->Scan(
      "", "z", [](BytesView, BytesView) -> Result<void> { return Error{"the visitor said so"}; });
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

// A write to what the log has already needs no new length synced; see src/io/wal_room.h.
TEST_F(StorageTest, TheLogGrowsByPiecesAndIsCutToItsRecordsAtTheEnd) {
  auto storage = Open();
  std::map<uintmax_t, int> sizes;
  for (uint64_t n = 1; n <= 40; ++n) {
    Write(storage.get(), PutOne(KeyOf(n), Bytes(20'000, 'v')), n);
    ++sizes[fs::file_size(Log())];
    ASSERT_LE(LogEnd(), fs::file_size(Log()));
    ASSERT_LE(fs::file_size(Log()), LogEnd() + kWalRoomBytes);
  }
  EXPECT_LE(sizes.size(), 40 * 20'100 / kWalRoomBytes + 1);
  const auto end = LogEnd();
  EXPECT_GT(end, 40u * 20'000);
  storage->Close();
  EXPECT_EQ(fs::file_size(Log()), end);
  storage.reset();
  EXPECT_EQ(ContentOf(*Open())->size(), 40u);
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
  EXPECT_NE(error.find(Format("process id %d", static_cast<int>(::getpid()))), Bytes::npos)
      << error;

  storage->Close();
  storage.reset();
  EXPECT_EQ(OpenError(), "");
}

TEST_F(StorageTest, AFolderOfAnotherFormatIsRefusedByName) {
  Open()->Close();
  Overwrite(dir_ + "/FORMAT", "lockstep folder, format 1\n");
  const Bytes error = OpenError();
  EXPECT_NE(error.find("has format 1"), Bytes::npos) << error;
  EXPECT_NE(error.find("writes format 9"), Bytes::npos) << error;
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

// Damage to its files ----------------------------------------------------------------------------

// A folder whose content lies in RocksDB's sorted files.
class FilesDamageTest : public StorageTest {
 protected:
  void SetUp() override {
    for (int generation = 0; generation < 3; ++generation) {
      auto storage = Open();  // Opening puts the log of the time before into a file.
      WriteBatch batch;
      for (uint64_t n = 0; n < 40; ++n)
        batch.Put(KeyOf(n), Bytes(300, static_cast<char>('a' + generation)));
      Write(storage.get(), std::move(batch), 1);
      storage->Close();
    }
    auto storage = Open();
    content_ = *ContentOf(*storage);
    storage->Close();
    storage.reset();
    fs::rename(dir_, kept_);
  }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(kept_ + "/store")) {
      if (fs::file_size(entry.path()) > 0) files.push_back(entry.path().filename());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  void Restore() {
    fs::remove_all(dir_);
    fs::copy(kept_, dir_, fs::copy_options::recursive);
  }
  // Refused, or whole: never something else.
  void ExpectNoSilentLoss(const Bytes& what) {
    auto opened = OpenAt(dir_, &reports_);
    if (!opened) return;
    const auto content = ContentOf(**opened);
    if (!content) {
      EXPECT_NE(content.error().message.find(dir_), Bytes::npos) << content.error().message;
      return;
    }
    EXPECT_TRUE(*content == content_) << what;
  }

  const Bytes kept_ = temp_ / "kept";
  Content content_;
};

TEST_F(FilesDamageTest, AFlippedBitInAnyFileIsNamedOrHarmless) {
  for (const fs::path& file : Files()) {
    const Bytes text = Contents(kept_ + "/store/" + file.string());
    // A prime step, so that every kind of record is met, in less than all day.
    for (size_t at = 0; at<text.size(); at += text.size()> 2000 ? 503 : 13) {
      Restore();
      Bytes damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
      Overwrite(dir_ + "/store/" + file.string(), damaged);
      ExpectNoSilentLoss(Format("%s at %zu", file.c_str(), at));
    }
  }
}

TEST_F(FilesDamageTest, AFileThatIsGoneOrCutIsNamedOrHarmless) {
  for (const fs::path& file : Files()) {
    const fs::path damaged = fs::path(dir_) / "store" / file;
    Restore();
    fs::remove(damaged);
    ExpectNoSilentLoss("without " + file.string());
    Restore();
    fs::resize_file(damaged, fs::file_size(damaged) / 2);
    ExpectNoSilentLoss("half of " + file.string());
  }
}

// A process that is killed ------------------------------------------------------------------------

// Writes until it is killed, and says so for each batch that is on disk.
[[noreturn]] void WriteUntilKilled(const Bytes& dir, uint64_t from, int tell) {
  Reports reports;
  auto opened = OpenAt(dir, &reports);
  if (!opened) ::_exit(1);
  for (uint64_t n = from;; ++n) {
    (*opened)->Submit(PutOne(Format("%08d", static_cast<int>(n)), Bytes(20'000, 'k')), n);
    reports.AwaitPersisted(**opened, n);
    if (::write(tell, &n, sizeof n) != sizeof n) ::_exit(1);
  }
}

TEST_F(StorageTest, AKilledProcessLosesNothingThatWasPersisted) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow the fork of a process that has threads";
#endif
  uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    int ends[2] = {};
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) WriteUntilKilled(dir_, last + 1, ends[1]);
    ::close(ends[1]);
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(::read(ends[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
    }
    ::kill(child, SIGKILL);
    while (::read(ends[0], &last, sizeof last) > 0) {
    }
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_GT(fs::file_size(Log()), LogEnd()) << "room was left behind the records";

    const Content content = *ContentOf(*Open());
    ASSERT_GE(content.size(), last);
    ASSERT_LE(content.size(), last + 1);
    last = content.size();
  }
}

}  // namespace
}  // namespace lockstep::io
