// A node's disk: finishes batches in order, after a while. A crash may come at any point of that:
// what was not begun is lost; what was under way is torn, and cut off at the next start, or is on
// the disk though nobody was told. A write or a sync may fail; then the process has to exit, as
// src/io does, for nothing is ever written again.
//
// A batch is atomic, as Output.write demands of every shell (src/node.h). What lies on the disk is
// what a crash leaves.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "src/storage.h"
#include "tests/sim/disk_log.h"
#include "tests/sim/event_queue.h"

namespace lockstep::sim {

class World;

class Disk final : public StorageReader {
 public:
  // `finished(number)`: everything up to that write is on the disk.
  using Finished = std::function<void(uint64_t number)>;
  using Failed = std::function<void(const char* why)>;
  Disk(World* world, Failed failed) : world_(world), failed_(std::move(failed)) {}

  void Write(uint64_t number, WriteBatch batch, Finished finished);

  void Crash();  // Power fails.
  void Empty();
  // Everything takes this much longer from now on.
  void Slow(int64_t by_us) { slow_us_ = by_us; }
  // The next sync fails, whatever of its writes has reached the disk.
  void FailNextSync() { sync_fails_ = true; }
  // While it is full every write fails.
  void Fill(bool full) { full_ = full; }
  // Once: at some moment of the next sync (the next one of a snapshot, if asked for), or just after
  // it.
  void OnNextWrite(bool of_snapshot, std::function<void()> then);
  void Mend();

  bool idle() const { return writes_.empty(); }
  bool empty() const { return stored_.empty(); }
  const DiskLog& log() const { return log_; }

  Result<void> Scan(BytesView from, BytesView to, const Visit& visit) override;
  std::optional<Bytes> Get(BytesView key);

 private:
  struct Waiting {
    uint64_t number;
    WriteBatch batch;
    Finished finished;
  };
  void Begin();
  bool WritesSnapshot() const;
  void Finish(uint64_t life);
  void Fail();
  void Store(const WriteBatch& batch);
  void StoreFirst(size_t writes);
  void Forget();

  World* world_;
  Failed failed_;
  std::map<Bytes, Bytes, std::less<>> stored_;
  DiskLog log_;  // What of that is about logs.
  std::deque<Waiting> writes_;
  size_t under_way_ = 0;  // The first so many of `writes_` share the sync that goes on. 0: none.
  uint64_t life_ = 0;  // Of the process; what an earlier one began never finishes.
  int64_t slow_us_ = 0;
  bool sync_fails_ = false;
  bool full_ = false;
  std::function<void()> on_next_write_;
  bool only_snapshot_ = false;
};

}  // namespace lockstep::sim
