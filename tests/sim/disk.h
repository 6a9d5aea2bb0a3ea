// A node's disk: finishes batches in order, after a while; in a crash it keeps some first ones of
// those that were under way, and forgets the others.
//
// A batch is atomic, as Output.write demands of every shell (src/node.h). What lies on the disk is
// what a crash leaves.
#pragma once

#include <deque>
#include <functional>
#include <map>

#include "src/storage.h"
#include "tests/sim/event_queue.h"

namespace lockstep::sim {

class World;

class Disk final : public StorageReader {
 public:
  // `finished(number)`: everything up to that write is on the disk.
  using Finished = std::function<void(uint64_t number)>;
  explicit Disk(World* world) : world_(world) {}

  void Write(uint64_t number, WriteBatch batch, Finished finished);

  // Power fails. Of the writes under way a random number of first ones are on the disk.
  void Crash();
  void Empty();
  // Everything takes this much longer from now on.
  void Slow(int64_t by_us) { slow_us_ = by_us; }

  bool idle() const { return writes_.empty(); }
  bool empty() const { return stored_.empty(); }

  Result<void> Scan(BytesView from, BytesView to, const Visit& visit) override;

 private:
  struct UnderWay {
    uint64_t number;
    WriteBatch batch;
    Finished finished;
  };
  void Begin();
  void Finish(uint64_t life, size_t writes);
  void Store(const WriteBatch& batch);

  World* world_;
  std::map<Bytes, Bytes, std::less<>> stored_;
  std::deque<UnderWay> writes_;
  bool busy_ = false;
  uint64_t life_ = 0;  // Of the process; what an earlier one began never finishes.
  int64_t slow_us_ = 0;
};

}  // namespace lockstep::sim
