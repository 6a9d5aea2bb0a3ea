// What a home has of its keys beside its memory: values that are in the shard's log, on the disks
// of a majority.
//
// Always true of a key that has a value there: it is the latest that anybody has seen, or will be
// shown to nobody before it is (a write is proposed first and shown when it has been applied). So
// whatever is lost, cache or home, the key has this value.
//
// The home's side is the group that it leads: what it proposes is in the log of its term, or that
// term is over and so is the home.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/codec.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep::mesi {

constexpr size_t kDurableValueBytesMax = size_t{1} << 20;
constexpr int64_t kNoTtl = -1;
constexpr int64_t kDurableTtlUsMax = int64_t{1} << 62;

// What becomes of one key.
struct DurableWrite {
  Bytes key;
  bool present = false;    // Else it is gone.
  Bytes value{};
  bool keeps_ttl = false;  // Of a value that was there: what the log knows of it stays.
  int64_t ttl_us = kNoTtl;  // From when it is logged.
  uint64_t fence = 0;      // The token under which it was written; 0: none.
  bool operator==(const DurableWrite&) const = default;
};
void EncodeDurableWrites(const std::vector<DurableWrite>& writes, Writer* out);
bool DecodeDurableWrites(Reader* in, std::vector<DurableWrite>* out);

struct DurableValue {
  bool present = false;  // Else only its fence is remembered.
  BytesView value{};
  MonoTime ends = kNeverMono;
  uint64_t fence = 0;
};

// What became of a key's write.
enum class Committed : uint8_t {
  kDone,
  kFenced,   // Nothing was written: the key has seen a higher token.
  kRefused,  // Nothing was written, for now.
  kLost,     // Who knew of it is gone, and so is the line: nobody can say.
};

class DurableStore {
 public:
  virtual ~DurableStore() = default;
  // Nothing: the log knows nothing of the key. Good until more is applied.
  virtual std::optional<DurableValue> Find(MonoTime now, BytesView key) const = 0;
  using Visit = std::function<void(BytesView key, const DurableValue&)>;
  virtual void ForEach(MonoTime now, const Visit& visit) const = 0;
  // By the home of this epoch. False: not now; nothing follows. Else all of it is applied at once,
  // or this term is over.
  virtual bool Propose(Term epoch, const std::vector<DurableWrite>& writes) = 0;
};

}  // namespace lockstep::mesi
