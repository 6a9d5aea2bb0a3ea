// A disk that fails: the k-th thing that is asked of it, for every k. What was confirmed is there
// afterwards, the failure is told once, and nothing is written behind it (traps 5, 7, 8).
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "src/io/file.h"
#include "tests/storage_fixture.h"

namespace lockstep::io {
namespace {

// The failing is done between the process and the kernel, so that it meets RocksDB's files, the
// mark and the folders alike. Written while no other thread uses the disk.
class FailingDisk {
 public:
  // From now on counts what is asked in this folder. `fail_at`: from 1; 0: never.
  void Arm(const Bytes& folder, int fail_at, int code, bool for_ever) {
    folder_ = folder;
    suffix_.clear();
    fail_at_ = fail_at;
    code_ = code;
    for_ever_ = for_ever;
    deeds_ = 0;
    armed_ = true;
  }
  void ArmWritesTo(const Bytes& folder, const Bytes& suffix, int code) {
    Arm(folder, 1, code, true);
    suffix_ = suffix;
  }
  void Disarm() { armed_ = false; }
  int deeds() const { return deeds_; }
  bool failed() const { return fail_at_ != 0 && deeds_ >= fail_at_; }

  // False: it fails, with errno set.
  bool Allows(int fd) {
    if (!armed_) return true;
    char path[512];
    const ssize_t size = ::readlink(Format("/proc/self/fd/%d", fd).c_str(), path, sizeof path);
    return size <= 0 || Allows(BytesView(path, static_cast<size_t>(size)));
  }
  bool Allows(BytesView path) {
    if (!armed_ || !path.starts_with(folder_) || !path.ends_with(suffix_)) return true;
    const int deed = ++deeds_;
    const bool fails = fail_at_ != 0 && (for_ever_ ? deed >= fail_at_ : deed == fail_at_);
    if (fails) errno = code_;
    return !fails;
  }

 private:
  std::atomic<bool> armed_{false};
  std::atomic<int> deeds_{0};
  Bytes folder_;
  Bytes suffix_;
  int fail_at_ = 0;
  int code_ = 0;
  bool for_ever_ = false;
};

FailingDisk disk;

}  // namespace
}  // namespace lockstep::io

// In front of the C library's, for this program and the libraries that it loads.
extern "C" {
ssize_t write(int fd, const void* from, size_t size) {
  if (!lockstep::io::disk.Allows(fd)) return -1;
  return ::syscall(SYS_write, fd, from, size);
}
ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  if (!lockstep::io::disk.Allows(fd)) return -1;
  return ::syscall(SYS_pwrite64, fd, from, size, at);
}
int fsync(int fd) {
  if (!lockstep::io::disk.Allows(fd)) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
int fdatasync(int fd) {
  if (!lockstep::io::disk.Allows(fd)) return -1;
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
int rename(const char* from, const char* to) noexcept {
  if (!lockstep::io::disk.Allows(lockstep::BytesView(to))) return -1;
  return static_cast<int>(::syscall(SYS_rename, from, to));
}
}

namespace lockstep::io {
namespace {

struct Fault {
  int code;
  bool for_ever;
};
// A disk that has failed once may well succeed later; a full one stays full.
constexpr Fault kFaults[] = {{EIO, false}, {ENOSPC, true}, {ENOSPC, false}};

class DiskFailureTest : public StorageTest {
 protected:
  ~DiskFailureTest() override { disk.Disarm(); }

  Content WhatTheNextStartFinds() {
    disk.Disarm();
    auto storage = Open();
    if (storage == nullptr) return {};
    return *ContentOf(*storage);
  }
};

TEST_F(DiskFailureTest, AfterAnyFailedWriteOrSyncNothingIsWrittenAndNothingConfirmed) {
  constexpr uint64_t kBatches = 4;
  // The log's write, its sync, the mark's write; the mark's sync once. So each of them is met.
  constexpr int kDeeds = 3 * static_cast<int>(kBatches) + 1;
  for (const Fault& fault : kFaults) {
    for (int fail_at = 1; fail_at <= kDeeds; ++fail_at) {
      SCOPED_TRACE(Format("%s at deed %d", std::strerror(fault.code), fail_at));
      fs::remove_all(dir_);
      Reports reports;
      auto opened = OpenAt(dir_, &reports);
      ASSERT_TRUE(opened.ok()) << opened.error().message;
      StorageRocksdb& storage = **opened;
      disk.Arm(dir_, fail_at, fault.code, fault.for_ever);
      for (uint64_t n = 1; n <= kBatches && !disk.failed(); ++n) {
        storage.Submit(PutOne(KeyOf(n), "v"), n);
        reports.AwaitPersisted(storage, n);
      }
      const std::vector<Bytes> failures = reports.AwaitFailure();
      ASSERT_EQ(failures.size(), 1u);
      EXPECT_NE(failures.front().find(std::strerror(fault.code)), Bytes::npos) << failures.front();

      const uint64_t confirmed = storage.persisted();
      storage.Submit(PutOne("later", "v"), kBatches + 1);
      storage.Close();
      EXPECT_EQ(storage.persisted(), confirmed);
      EXPECT_EQ(disk.deeds(), fail_at) << "something was asked of the disk after it had failed";
      EXPECT_EQ(reports.AwaitFailure().size(), 1u);
      opened->reset();

      // All that was confirmed, at most one more, nothing later.
      const Content content = WhatTheNextStartFinds();
      EXPECT_GE(content.size(), confirmed);
      EXPECT_LE(content.size(), confirmed + 1);
      EXPECT_EQ(content.count("later"), 0u);
    }
  }
}

TEST_F(DiskFailureTest, AStartThatFailsAnywhereLosesNothingAndNeverSaysToEmptyTheFolder) {
  auto storage = Open();
  for (uint64_t n = 1; n <= 5; ++n) Write(storage.get(), PutOne(KeyOf(n), "v"), n);
  const Content content = *ContentOf(*storage);
  storage->Close();
  storage.reset();
  const Bytes kept = temp_ / "kept";
  fs::rename(dir_, kept);

  for (const Fault& fault : kFaults) {
    int refusals = 0;
    for (int fail_at = 1;; ++fail_at) {
      SCOPED_TRACE(Format("%s at deed %d", std::strerror(fault.code), fail_at));
      fs::remove_all(dir_);
      fs::copy(kept, dir_, fs::copy_options::recursive);
      disk.Arm(dir_, fail_at, fault.code, fault.for_ever);
      auto opened = OpenAt(dir_, &reports_);
      const bool was_met = disk.failed();
      if (opened) {  // Some of what RocksDB writes it can do without.
        EXPECT_EQ(*ContentOf(**opened), content);
        disk.Disarm();
        opened->reset();
      } else {
        ++refusals;
        const Bytes& why = opened.error().message;
        EXPECT_NE(why.find(std::strerror(fault.code)), Bytes::npos) << why;
        EXPECT_EQ(why.find(kWayOut), Bytes::npos) << why;
      }
      EXPECT_EQ(WhatTheNextStartFinds(), content);
      if (!was_met) break;
    }
    EXPECT_GT(refusals, 5);
  }
}

TEST_F(DiskFailureTest, AFolderWhoseMakingFailsAnywhereIsMadeByTheNextStart) {
  for (const Fault& fault : kFaults) {
    for (int fail_at = 1;; ++fail_at) {
      SCOPED_TRACE(Format("%s at deed %d", std::strerror(fault.code), fail_at));
      fs::remove_all(dir_);
      disk.Arm(dir_, fail_at, fault.code, fault.for_ever);
      auto opened = OpenAt(dir_, &reports_);
      const bool was_met = disk.failed();
      disk.Disarm();
      if (opened) opened->reset();
      auto storage = Open();
      ASSERT_NE(storage, nullptr);
      Write(storage.get(), PutOne("a", "1"), 1);
      if (!was_met) break;
    }
  }
}

// Trap 7: a rename may be lost with the power as long as its folder is not synced.
TEST_F(DiskFailureTest, AFileIsReplacedOnlyOnceItsFolderIsSynced) {
  fs::create_directories(dir_);
  const Bytes path = Bytes(dir_) + "/file";
  disk.Arm(dir_, 0, EIO, false);
  ASSERT_TRUE(ReplaceFile(path, "one").ok());
  const int last = disk.deeds();

  disk.Arm(dir_, last, EIO, false);
  const Result<void> replaced = ReplaceFile(path, "two");

  ASSERT_FALSE(replaced.ok());
  EXPECT_NE(replaced.error().message.find("sync folder"), Bytes::npos) << replaced.error().message;
}

// RocksDB writes its sorted files in the background, and tells of a failure at the next write.
TEST_F(DiskFailureTest, AMemtableThatCannotBeWrittenStopsTheNodeAndLosesNothing) {
  for (const int code : {EIO, ENOSPC}) {
    fs::remove_all(dir_);
    Reports reports;
    auto opened = OpenAt(dir_, &reports);
    ASSERT_TRUE(opened.ok());
    disk.ArmWritesTo(dir_, ".sst", code);
    const Bytes large(size_t{1} << 20, 'x');
    uint64_t number = 0;
    constexpr uint64_t kNumberMax = 40;  // Five memtables' worth.
    while ((*opened)->persisted() == number && number < kNumberMax) {
      ++number;
      (*opened)->Submit(PutOne(KeyOf(number), large), number);
      reports.AwaitPersisted(**opened, number);
    }
    ASSERT_LT((*opened)->persisted(), number);
    EXPECT_EQ(reports.AwaitFailure().size(), 1u);
    const uint64_t confirmed = (*opened)->persisted();
    opened->reset();

    const Content content = WhatTheNextStartFinds();
    EXPECT_GE(content.size(), confirmed);
    EXPECT_LE(content.size(), confirmed + 1);
  }
}

}  // namespace
}  // namespace lockstep::io
