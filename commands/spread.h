// A queue of several partitions: where they lie, which message belongs where, and what a node that
// takes commands knows of it.
//
// Partition 0 is where the queue has always been, its home; the others follow it, shard by shard.
// In each of them stands a queue of the same name. Which partitions there are and what their
// options are is decided at home, under a version (a place in its log), and told to the others by
// whoever needs them. A request says by which version it was sent; a partition that knows a newer
// one does nothing and tells it (Reply::kElsewhere), so nobody has to be up to date.
//
// A message with a GROUP, or else an ID, belongs to the partition that its hash says. When there
// are more partitions than before, a group that has messages in the old one stays there until the
// last of them is gone, and an ID that the old one remembers is answered there: the old partition
// is asked first, and says so when it has let go of it for good. So an order or an ID is never in
// two places.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "commands/queue_options.h"
#include "commands/queue_ops.h"
#include "src/base/codec.h"
#include "src/base/ids.h"

namespace lockstep {

// Why a request was not done where it was asked. kSpread, kDone: Reply::text is a Spread.
enum class Elsewhere : int64_t {
  kSpread = 0,   // The version is newer.
  kBehind = 1,   // The partition does not know that version yet.
  kMoved = 2,    // The message does not belong here any more, and nothing here is before it.
  kSettled = 3,  // The same, and that holds for all that ever belonged here.
  kDone = 4,     // It was done at home; the others are to be told.
};

// What the partitions of a queue have in common.
struct Spread {
  Bytes queue;
  uint64_t version = 0;  // 0: it has one partition and always had.
  uint32_t before = 1;   // So many partitions there were before the latest growth.
  QueueOptions options;
  bool stops_in = false, stops_out = false;
  bool made = false;     // By DQ.SET, and not dropped since.

  uint32_t partitions() const { return static_cast<uint32_t>(options.partitions); }
  bool operator==(const Spread&) const = default;
  Bytes Encode() const;
};
std::optional<Spread> DecodeSpread(BytesView in);
// As they stand in an operation or a snapshot.
void PutOptions(const QueueOptions& options, Writer* out);
QueueOptions GetOptions(Reader* in);

// The partition of a message that was pushed so; none: any will do.
std::optional<uint32_t> PlaceOf(const PushOp& op, uint32_t partitions);
uint32_t PlaceOfGroup(BytesView group, uint32_t partitions);

constexpr uint64_t ShardOfPartition(uint64_t home, uint32_t partition, uint64_t shards) {
  return (home + partition) % shards;
}

// What this node has heard of queues with several partitions. It may be late, never wrong.
class Spreads {
 public:
  struct Known {
    Spread spread;
    std::vector<bool> told;     // Partitions that know this version, or will before what follows.
    std::vector<bool> settled;  // Old partitions that need not be asked first any more.
    // The partition that is next: of what may be pushed to any, and of those who look in at all.
    uint32_t push_turn = 0, pop_turn = 0;
  };
  Known* Find(BytesView queue) {
    if (known_.empty()) return nullptr;
    const auto found = known_.find(queue);
    return found == known_.end() ? nullptr : &found->second;
  }
  // Null: it is older than what is known, or does not decode.
  Known* Learn(BytesView encoded);
  void Settle(Known* known, uint32_t partition);
  void Told(Known* known, uint32_t partition) { known->told.at(partition) = true; }
  void Untold(Known* known) {
    known->told.assign(known->told.size(), false);
    ++epoch_;
  }
  // Differs after each change of where a message is sent.
  uint64_t epoch() const { return epoch_; }

 private:
  static constexpr size_t kKnownMax = 100'000;  // Beyond, all are learned anew.
  std::map<Bytes, Known, std::less<>> known_;
  uint64_t epoch_ = 0;
};

}  // namespace lockstep
