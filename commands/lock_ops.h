// What the lock table is asked: operations, which go through the log, and queries, which do not.
//
// Values and their bytes, nothing else; what they mean stands in lock_table.h. Encode() gives what
// a log entry (or a query) holds. Decoding never trusts its input and tests every bound, for the
// bytes may come from another version of the program.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "commands/wait_ops.h"
#include "src/base/limits.h"

namespace lockstep {

enum class LockMode : uint8_t { kExclusive = 0, kShared = 1 };

constexpr uint32_t kLockLimitMax = 1'000'000;    // LOCK.ACQUIRE ... LIMIT.
constexpr uint32_t kLockRowsMax = 10'000;        // COUNT of LOCK.LIST, rows of a long answer.
constexpr size_t kBatchItemsMax = kMultiQueueMax;

// LOCK.ACQUIRE (one name), LOCK.MACQUIRE (several, all or none).
struct AcquireOp {
  std::vector<Bytes> names;        // 1 to kMultiLockNamesMax, all different.
  Bytes owner;
  LockMode mode = LockMode::kExclusive;
  int64_t ttl_ms = 0;              // 1 to kTtlMsMax.
  std::optional<int64_t> wait_ms;  // None: answer at once. 0: for ever.
  uint32_t limit = 0;              // 0: none given.
  Bytes meta;
  // BIND: grant and wait end with this connection of the request's origin and incarnation.
  std::optional<ClientId> bind;

  bool operator==(const AcquireOp&) const = default;
  Bytes Encode() const;
};

struct RenewOp {
  Bytes name;
  Bytes owner;
  int64_t ttl_ms = 0;
  bool all = false;  // Every lock of the owner, whatever `name` says.

  bool operator==(const RenewOp&) const = default;
  Bytes Encode() const;
};

struct ReleaseOp {
  Bytes name;
  Bytes owner;
  std::optional<uint64_t> token;  // Only that grant.
  bool all = false;

  bool operator==(const ReleaseOp&) const = default;
  Bytes Encode() const;
};

struct RevokeOp {
  Bytes name;
  std::optional<Bytes> owner;  // None: every holder.

  bool operator==(const RevokeOp&) const = default;
  Bytes Encode() const;
};

// EXEC: all in one entry, nothing between. The answer is the array of the answers. No item waits;
// none may be a batch itself, nor a cancel or a hangup.
struct BatchOp {
  struct Item {
    bool is_query = false;
    Bytes bytes;  // An encoded operation or query.
    bool operator==(const Item&) const = default;
  };
  std::vector<Item> items;

  bool operator==(const BatchOp&) const = default;
  Bytes Encode() const;
};

using LockOp = std::variant<AcquireOp, RenewOp, ReleaseOp, RevokeOp, CancelOp, HangupOp, BatchOp>;

// Nothing if the bytes are not exactly one operation within its bounds.
std::optional<LockOp> DecodeLockOp(BytesView in);

struct CheckQuery {
  Bytes name;
  uint64_t token = 0;
  bool operator==(const CheckQuery&) const = default;
  Bytes Encode() const;
};
struct InfoQuery {
  Bytes name;
  bool operator==(const InfoQuery&) const = default;
  Bytes Encode() const;
};
struct OwnerQuery {
  Bytes owner;
  bool operator==(const OwnerQuery&) const = default;
  Bytes Encode() const;
};
struct ListQuery {
  uint64_t cursor = 0;
  Bytes pattern = "*";
  uint32_t count = 10;  // 1 to kLockRowsMax.
  bool operator==(const ListQuery&) const = default;
  Bytes Encode() const;
};
struct GraphQuery {
  bool operator==(const GraphQuery&) const = default;
  Bytes Encode() const;
};
struct DeadlocksQuery {
  uint32_t count = 10;
  bool operator==(const DeadlocksQuery&) const = default;
  Bytes Encode() const;
};
// Of a name that is no key: TYPE (commands/keyspace.cc), MEMORY USAGE.
struct KeyspaceQuery {
  enum class Kind : uint8_t {
    kType = 1,   // +lock or +none.
    kUsage = 3,  // Bytes held by it; nil if there is no such lock.
  };
  Kind kind = Kind::kType;
  Bytes name;  // Up to kNameBytesMax.
  bool operator==(const KeyspaceQuery&) const = default;
  Bytes Encode() const;
};
using LockQuery = std::variant<CheckQuery, InfoQuery, OwnerQuery, ListQuery, GraphQuery,
                               DeadlocksQuery, KeyspaceQuery>;
std::optional<LockQuery> DecodeLockQuery(BytesView in);

}  // namespace lockstep
