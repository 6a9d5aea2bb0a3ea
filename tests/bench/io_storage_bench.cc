// What a synced batch costs, beside the bare minimum: an append to a file and its fdatasync. Run
// it where the disk is that counts: the files are made in the working folder.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "src/io/storage_rocksdb.h"

namespace lockstep::io {
namespace {

constexpr size_t kEntryBytes = 250;  // Of a LOCK.ACQUIRE: about 300 in the log.

class WorkFolder {
 public:
  WorkFolder() { CHECK(::mkdtemp(path_.data()) != nullptr); }
  ~WorkFolder() { std::filesystem::remove_all(path_); }
  Bytes operator/(const char* name) const { return path_ + "/" + name; }

 private:
  Bytes path_ = "storage-bench-XXXXXX";
};

double MicrosecondsOf(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

void BareAppendAndSync(benchmark::State& state) {
  const WorkFolder folder;
  const FileDescriptor file(
      ::open((folder / "file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
  const Bytes text(kEntryBytes + 50, 'x');
  for (auto _ : state) {
    CHECK(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    CHECK(::fdatasync(file.get()) == 0);
  }
}
BENCHMARK(BareAppendAndSync)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Handed over, written, synced, told. `disk_us` is the disk thread's part of it, `disk_cpu_us` what
// that thread computes.
void OneBatchAtATime(benchmark::State& state) {
  const WorkFolder folder;
  std::mutex mutex;
  std::condition_variable changed;
  auto opened = StorageRocksdb::Open({.dir = folder / "data",
                                      .on_persisted =
                                          [&] {
                                            const std::lock_guard lock(mutex);
                                            changed.notify_one();
                                          },
                                      .on_failure = [](const Bytes&) { std::abort(); }});
  CHECK(opened.ok());
  StorageRocksdb& storage = **opened;
  const Bytes value(kEntryBytes, 'x');
  uint64_t number = 0;
  double disk_us = 0;
  const double others_before =
      MicrosecondsOf(CLOCK_PROCESS_CPUTIME_ID) - MicrosecondsOf(CLOCK_THREAD_CPUTIME_ID);
  for (auto _ : state) {
    WriteBatch batch;
    batch.Put(Format("g0001l%08lu", number), value);
    storage.Submit(std::move(batch), ++number);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return storage.persisted() == number; });
    disk_us += static_cast<double>(storage.sync_us());
  }
  const double others =
      MicrosecondsOf(CLOCK_PROCESS_CPUTIME_ID) - MicrosecondsOf(CLOCK_THREAD_CPUTIME_ID);
  const auto batches = static_cast<double>(number);
  state.counters["disk_us"] = disk_us / batches;
  state.counters["disk_cpu_us"] = (others - others_before) / batches;
}
BENCHMARK(OneBatchAtATime)->Unit(benchmark::kMicrosecond)->UseRealTime();

// The part of it that DataFolder adds after each sync.
void TheMark(benchmark::State& state) {
  const WorkFolder folder;
  auto opened = DataFolder::Open(folder / "data");
  CHECK(opened.ok());
  uint64_t number = 0;
  for (auto _ : state) CHECK(opened->MarkSynced(++number).ok());
}
BENCHMARK(TheMark)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace lockstep::io

BENCHMARK_MAIN();
