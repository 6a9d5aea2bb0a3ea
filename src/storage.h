// Where a node keeps what must survive: ordered keys and values, written in atomic batches. What
// the keys mean is the node's (src/log_store.h); how they lie on a disk is the shell's.
//
// Fits an embedded store (RocksDB) and a remote one that knows ordered batches and range reads.
#pragma once

#include <functional>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/result.h"

namespace lockstep {

// What an operator can do about a folder that has lost something; ends every such refusal. An older
// copy of it has lost more: with its votes and entries forgotten, the node could help to undo what
// was promised. An empty folder is another disk, and so another member (src/membership.h).
constexpr const char* kWayOut =
    "do not put an older copy in its place; if a majority of the cluster is well without this "
    "node, empty the folder and start it again: it comes back as a learner with a new disk, and "
    "the others give it what it needs; if not, bring the others back first";

// All of it or nothing, in this order.
class WriteBatch {
 public:
  enum class Kind : uint8_t { kPut, kDelete, kDeleteRange };
  struct Op {
    Kind kind;
    Bytes key;
    Bytes value;  // kDeleteRange: the end, which stays.
  };

  void Put(Bytes key, Bytes value) { Add(Kind::kPut, std::move(key), std::move(value)); }
  void Delete(Bytes key) { Add(Kind::kDelete, std::move(key), {}); }
  void DeleteRange(Bytes from, Bytes to) {
    Add(Kind::kDeleteRange, std::move(from), std::move(to));
  }
  // Adds what `other` does, after what this does.
  void Append(WriteBatch other) {
    bytes_ += other.bytes_;
    for (Op& op : other.ops_) ops_.push_back(std::move(op));
  }

  bool empty() const { return ops_.empty(); }
  size_t bytes() const { return bytes_; }
  const std::vector<Op>& ops() const { return ops_; }

 private:
  void Add(Kind kind, Bytes key, Bytes value) {
    bytes_ += key.size() + value.size();
    ops_.push_back({kind, std::move(key), std::move(value)});
  }
  std::vector<Op> ops_;
  size_t bytes_ = 0;
};

// What was there when the node started: Scan is used before the first write only.
class StorageReader {
 public:
  virtual ~StorageReader() = default;
  // Visits every key in [from, to) in byte order. An error names the damage: the node must not
  // start.
  using Visit = std::function<Result<void>(BytesView key, BytesView value)>;
  virtual Result<void> Scan(BytesView from, BytesView to, const Visit& visit) = 0;
};

}  // namespace lockstep
