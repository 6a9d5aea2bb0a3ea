// Every limit by name. A limit that an operator may move is a setting (src/config); these are the
// ones that hold always.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep {

constexpr uint64_t kNodeIdMax = 1'000'000;
constexpr uint64_t kShardsMax = 1024;
constexpr size_t kNodesMax = 64;            // Members of a cluster.
constexpr size_t kZoneBytesMax = 64;        // cluster-zone.
constexpr size_t kReplicas = 3;             // Members that keep a shard; all, if there are fewer.
constexpr size_t kNameBytesMax = 1024;      // Locks, owners, queues, keys, prefixes of keys.
constexpr size_t kSpacesMax = 1024;         // Prefixes with options (DCACHE.NS),
constexpr size_t kSpacesWithMemoryMax = 31; // of which so many may have a MAXMEMORY.
constexpr size_t kMetaBytesMax = 4096;      // LOCK.ACQUIRE ... META.
constexpr size_t kMultiLockNamesMax = 1024; // LOCK.MACQUIRE.
constexpr int64_t kTtlMsMax = 24 * 3600 * 1000;
constexpr int64_t kBlockMsMax = int64_t{365} * 24 * 3600 * 1000;

constexpr size_t kMessageBytesMax = 1024 * 1024;  // The body of a message.
constexpr size_t kHeadersBytesMax = 4096;   // DQ.PUSH ... HEADERS: names and values together,
constexpr size_t kHeadersMax = 64;          // and how many.
constexpr size_t kQueueErrorBytesMax = 1024;  // DQ.NACK ... ERROR.
constexpr size_t kPopQueuesMax = 64;        // Queues of one DQ.POP.
constexpr int64_t kPartitionsMax = 64;      // Of one queue; nor more than there are shards.
constexpr size_t kPopCountMax = 1000;       // DQ.POP ... COUNT, DQ.PEEK ... COUNT.
constexpr size_t kReceiptsMax = 1000;       // Of one DQ.ACK, NACK, TOUCH, DEL.
constexpr uint32_t kQueueRowsMax = 10'000;  // DQ.LIST ... COUNT.
constexpr size_t kMultiPushMax = 1000;      // Bodies of one DQ.MPUSH.
constexpr int64_t kRetryMax = 1'000'000;
constexpr int64_t kDelayMsMax = int64_t{365} * 24 * 3600 * 1000;

constexpr size_t kMultibulkElementsMax = 1024 * 1024;  // Arguments of one command.
constexpr size_t kInlineBytesMax = 64 * 1024;
constexpr size_t kMultiQueueMax = 16 * 1024;  // Commands between MULTI and EXEC.
constexpr size_t kMultiQueueBytesMax = 8 * 1024 * 1024;  // Of their arguments together.
constexpr size_t kReplyDepthMax = 8;          // hiredis 0.14 reads no deeper.

// What goes to a leader and what comes back must each fit into a frame of the bus, with room to
// spare. One request: a transaction at most (kMultiQueueBytesMax); one reply, by ReplyCost.
constexpr size_t kReplyCostMax = 16 * 1024 * 1024;
constexpr size_t kPageBytesMax = 1024 * 1024;  // Names and texts in one page of a long answer.
constexpr size_t kFrameBodyBytesMax = 64 * 1024 * 1024 + 64 * 1024;  // One bus frame.
constexpr size_t kSnapshotChunkBytes = 256 * 1024;
constexpr uint64_t kSnapshotBytesMax = uint64_t{4} * 1024 * 1024 * 1024;  // Of one group.

}  // namespace lockstep
