// The keys of a shard whose values are on a majority's disks: what DURABLE and CLASS quorum write.
//
// A part of what a group `shard <n>` replicates. The home of the shard's lines, which leads the
// group, is the only one who writes here and reads (cluster/mesi/durable.h); it proposes a key's
// next write when the one before has been applied.
//
// Always true (CheckInvariants): a record is a value, or, without one, the highest fencing token
// that the key has seen: it is remembered for kFenceMemoryMs after the value has gone, so that a
// holder of an older one, who was paused meanwhile, is refused.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "cluster/mesi/durable.h"
#include "commands/state_machine.h"

namespace lockstep {

class DurableKeys {
 public:
  static constexpr int64_t kFenceMemoryMs = 3'600'000;
  static constexpr size_t kEndedMax = 50'000;  // By one entry; the rest by the next.

  struct Record {
    bool present = false;
    Bytes value{};
    ClusterTime deadline = kNeverCluster;  // Of the value; without one, of the record.
    uint64_t fence = 0;
    bool operator==(const Record&) const = default;
  };

  using Changes = std::vector<Effects::KeyChange>;
  void Advance(ClusterTime now, Changes* changed);
  bool Apply(ClusterTime now, BytesView op, Changes* changed);  // False: unreadable.

  const Record* Find(BytesView key) const;
  const std::map<Bytes, Record, std::less<>>& all() const { return records_; }
  bool empty() const { return records_.empty(); }
  ClusterTime NextDeadline() const {
    return deadlines_.empty() ? kNeverCluster : deadlines_.begin()->first;
  }

  void Save(Writer* out) const;
  bool Load(Reader* in);  // False: damaged; it is empty then.
  void Clear() { *this = {}; }
  uint64_t Hash() const { return hash_; }
  void CheckInvariants() const;

 private:
  void Put(BytesView key, Record record);
  void Remove(BytesView key);
  void Lose(ClusterTime now, BytesView key, uint64_t fence);

  std::map<Bytes, Record, std::less<>> records_;
  std::set<std::pair<ClusterTime, Bytes>> deadlines_;
  uint64_t hash_ = 0;  // Of each record, one on the other.
};

}  // namespace lockstep
