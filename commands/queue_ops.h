// What a queue store is asked: operations, which go through the log, and queries, which do not.
//
// Values and their bytes, nothing else; what they mean stands in queue_store.h. All texts borrow:
// from the command that they are made of, or from the log entry that they are read from. Decoding
// never trusts its input and tests every bound, for the bytes may come from another version of the
// program.
#pragma once

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "commands/queue_options.h"
#include "commands/wait_ops.h"
#include "src/base/limits.h"

namespace lockstep {

constexpr uint8_t kPriorityMax = 9;

// One delivery of one message: `<shard>.<seq>.<lease>` for the user. The shard is whoever is asked.
struct Receipt {
  uint64_t seq = 0;
  uint64_t lease = 0;  // Counts the message's deliveries, from 1.
  bool operator==(const Receipt&) const = default;
};

// "3.17.2": the 17th message of shard 3, as it was delivered the second time.
struct ReceiptText {
  uint64_t shard = 0;
  Receipt receipt;
};
std::optional<ReceiptText> ParseReceipt(BytesView text);

// DQ.PUSH, DQ.MPUSH.
struct PushOp {
  BytesView queue;
  std::vector<BytesView> bodies;  // 1 to kMultiPushMax.
  BytesView id;                   // Empty: none. Only with one body.
  BytesView group;                // Empty: none.
  uint8_t priority = 0;
  int64_t delay_ms = 0;
  int64_t ttl_ms = 0;             // 0: the queue's.
  int64_t retry = 0;              // 0: the queue's.
  std::vector<std::pair<BytesView, BytesView>> headers;
  uint64_t fence = 0;             // 0: none.
  uint64_t version = 0;           // See spread.h; so in all that follows.
  bool creates = true;            // The queue, if there is none.
  bool many = false;              // DQ.MPUSH: answered by an array, however many bodies there are.

  bool operator==(const PushOp&) const = default;
  Bytes Encode() const;
};

// DQ.POP.
struct PopOp {
  std::vector<BytesView> queues;   // 1 to kPopQueuesMax, all different; tried in this order.
  uint32_t count = 1;
  std::optional<int64_t> wait_ms;  // None: answer at once. 0: for ever.
  int64_t lease_ms = 0;            // 0: the queue's.
  std::optional<ClientId> tied;    // TIED: to this connection of the request's origin.
  bool noack = false;
  bool full = false;
  std::vector<Receipt> acks;       // Of the first queue.
  uint64_t version = 0;            // If it is not 0 there is one queue.

  bool operator==(const PopOp&) const = default;
  Bytes Encode() const;
};

struct QueueAckOp {
  BytesView queue;
  std::vector<Receipt> receipts;
  bool operator==(const QueueAckOp&) const = default;
  Bytes Encode() const;
};

struct NackOp {
  enum class How : uint8_t {
    kFailure = 0,  // Counts, and backs off.
    kDead = 1,     // Counts, and is dead now.
    kRelease = 2,  // Given back: no failure.
  };
  BytesView queue;
  std::vector<Receipt> receipts;
  How how = How::kFailure;
  std::optional<int64_t> delay_ms;  // Instead of the back-off; with kRelease too.
  BytesView error;
  bool operator==(const NackOp&) const = default;
  Bytes Encode() const;
};

struct TouchOp {
  BytesView queue;
  int64_t lease_ms = 0;
  std::vector<Receipt> receipts;
  bool operator==(const TouchOp&) const = default;
  Bytes Encode() const;
};

struct QueueSetOp {
  BytesView queue;
  std::vector<std::pair<uint32_t, int64_t>> values;  // By number in AllQueueOptions, in bounds.
  // For more partitions than there are: by which version they are settled, so that they may grow.
  uint64_t settled = 0;
  bool operator==(const QueueSetOp&) const = default;
  Bytes Encode() const;
};

struct QueuePauseOp {
  BytesView queue;
  bool stops_in = false;   // No PUSH is taken,
  bool stops_out = false;  // and nothing is delivered.
  bool operator==(const QueuePauseOp&) const = default;
  Bytes Encode() const;
};

enum class MessageState : uint8_t { kReady = 0, kDelayed = 1, kLeased = 2, kDead = 3 };
constexpr size_t kMessageStates = 4;
constexpr uint8_t kAllMessageStates = 0b1111;
constexpr uint8_t MaskOf(MessageState state) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(state));
}
constexpr bool HasState(uint8_t mask, MessageState state) { return (mask & MaskOf(state)) != 0; }

// To a partition, from home.
struct AdoptOp {
  BytesView spread;        // A Spread.
  uint32_t partition = 0;  // Which this is.
  bool operator==(const AdoptOp&) const = default;
  Bytes Encode() const;
};

struct PurgeOp {
  BytesView queue;
  uint8_t states = 0;  // Bits, by MessageState. None: what is read under that name.
  uint64_t version = 0;
  bool operator==(const PurgeOp&) const = default;
  Bytes Encode() const;
};

struct DropQueueOp {
  BytesView queue;
  bool force = false;  // With what is in it.
  uint64_t version = 0;
  bool operator==(const DropQueueOp&) const = default;
  Bytes Encode() const;
};

struct DeleteOp {
  BytesView queue;
  std::vector<uint64_t> seqs;
  bool operator==(const DeleteOp&) const = default;
  Bytes Encode() const;
};

// DQ.MOVE between queues of one shard.
struct MoveOp {
  BytesView queue;
  BytesView destination;
  uint64_t count = 0;  // At most; 0: all. Never more than QueueLimits say.
  bool creates = true;  // The destination, if there is none.
  uint64_t version = 0;  // Of `queue`.
  bool operator==(const MoveOp&) const = default;
  Bytes Encode() const;
};

using QueueOp = std::variant<PushOp, PopOp, QueueAckOp, NackOp, TouchOp, QueueSetOp, QueuePauseOp,
                             PurgeOp, DropQueueOp, DeleteOp, MoveOp, CancelOp, HangupOp, NoteOp,
                             AdoptOp>;

// Nothing if the bytes are not exactly one operation within its bounds.
std::optional<QueueOp> DecodeQueueOp(BytesView in);

struct LenQuery {
  BytesView queue;
  uint64_t version = 0;
  bool operator==(const LenQuery&) const = default;
  Bytes Encode() const;
};
struct QueueInfoQuery {
  BytesView queue;
  uint64_t version = 0;
  bool operator==(const QueueInfoQuery&) const = default;
  Bytes Encode() const;
};
struct PeekQuery {
  BytesView queue;
  uint32_t count = 1;
  uint64_t from = 0;
  std::optional<MessageState> state;  // None: what a POP of that name finds, or has found.
  uint64_t version = 0;
  bool operator==(const PeekQuery&) const = default;
  Bytes Encode() const;
};
// Whether a partition needs to be asked first no more: 1 or 0.
struct SettledQuery {
  BytesView queue;
  uint64_t version = 0;
  bool operator==(const SettledQuery&) const = default;
  Bytes Encode() const;
};
// DQ.LIST: one page of this shard's queues. At its end the cursor is the next shard's, or 0.
struct QueueListQuery {
  uint64_t cursor = 0;  // Shard << 32 | where in it.
  uint64_t shards = 1;
  uint32_t count = 10;
  BytesView pattern = "*";
  bool operator==(const QueueListQuery&) const = default;
  Bytes Encode() const;
};
using QueueQuery = std::variant<LenQuery, QueueInfoQuery, PeekQuery, QueueListQuery, SettledQuery>;
std::optional<QueueQuery> DecodeQueueQuery(BytesView in);
bool IsQueueQuery(BytesView encoded);  // Else an operation.

// `<queue>!dead` is where the dead of <queue> are read.
constexpr BytesView kDeadSuffix = "!dead";
constexpr size_t kQueueNameBytesMax = kNameBytesMax + kDeadSuffix.size();  // With that.
struct QueueSide {
  BytesView queue;
  bool dead = false;
};
QueueSide SideOf(BytesView name);

}  // namespace lockstep
