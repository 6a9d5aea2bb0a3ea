// What members of a group say to each other. Names follow Ongaro's thesis ("Consensus: Bridging
// Theory and Practice", 2014).
//
// `term` is the sender's term, except in a pre-vote request, where it is the term it would stand
// in.
#pragma once

#include <variant>

#include "cluster/raft/types.h"
#include "src/base/codec.h"

namespace lockstep::raft {

struct VoteRequest {
  bool pre = false;        // PreVote (thesis §9.6): would you vote for me? Changes nothing.
  bool transfer = false;   // The leader told us to: stickiness does not apply (§4.2.3).
  LogId last;              // Where the candidate's log ends.
  bool operator==(const VoteRequest&) const = default;
};
struct VoteReply {
  bool pre = false;
  bool granted = false;
  bool operator==(const VoteReply&) const = default;
};

struct AppendRequest {
  LogId previous;               // The entry before the first of `entries`.
  Index commit;                 // The leader's commit index.
  ClusterTime time;             // The leader's cluster time now (see HeartbeatRequest).
  std::vector<Entry> entries;   // Consecutive. Empty: a probe.
  bool operator==(const AppendRequest&) const = default;
};
struct AppendReply {
  bool success = false;
  Index match;      // Success: the log is the leader's up to here, and on disk.
  LogId hint;  // Failure: the last place where the logs can agree (thesis §5.3's optimisation).
  Index rejected;  // Failure: `previous.index` of the request, so that a late one is known as such.
  Index copy{};    // The sender's: see HardState.
  bool operator==(const AppendReply&) const = default;
};

// Apart from appends so that no heartbeat waits for a disk (thesis §10.2; hashicorp/raft's
// divergence). `read_position` is the leader's count of read rounds: a reply that returns it proves
// that its sender still followed this leader after that round began (ReadIndex, §6.4). Never an id
// given by a caller (etcd #20418).
// `time` lets a follower that becomes leader go on from the time that its predecessor had reached,
// not from its last log entry: else each change of leader would prolong every lease.
struct HeartbeatRequest {
  Index commit;            // min(leader's commit, the follower's match).
  uint64_t read_position = 0;
  ClusterTime time;
  bool operator==(const HeartbeatRequest&) const = default;
};
struct HeartbeatReply {
  uint64_t read_position = 0;
  Index copy{};
  bool operator==(const HeartbeatReply&) const = default;
};

// One piece of a snapshot. Pieces come in order from offset 0; `total` bytes in all. A receiver
// that has another offset says so and the sender goes on from there.
struct SnapshotChunk {
  LogId last;
  ClusterTime time;
  Config config;
  uint64_t offset = 0;
  uint64_t total = 0;
  uint32_t checksum = 0;  // CRC-32C of all of the data.
  Bytes data;
  bool operator==(const SnapshotChunk&) const = default;
};
struct SnapshotReply {
  LogId last;              // Of the snapshot that is meant.
  uint64_t offset = 0;     // What the receiver has of it, and wants next.
  bool installed =
      false;  // All of it is there and on disk (or was not needed: match says how far).
  Index match;
  Index copy{};
  bool operator==(const SnapshotReply&) const = default;
};

// Stand for election now (leadership transfer, thesis §3.10).
struct TimeoutNow {
  bool operator==(const TimeoutNow&) const = default;
};

using Body = std::variant<VoteRequest, VoteReply, AppendRequest, AppendReply, HeartbeatRequest,
                          HeartbeatReply, SnapshotChunk, SnapshotReply, TimeoutNow>;

struct Message {
  NodeId from;
  NodeId to;
  Term term;
  Body body;
  bool operator==(const Message&) const = default;
};

// "append", "append-reply", "vote", ...: for narrations, INFO and the bus tap.
const char* TypeName(const Body& body);

// The body's binary form, its type in front. Decoding fails the reader on anything that no honest
// member can have sent: a bad enum, entries that do not follow each other, an unsorted config.
// `from`, `to` and `term` travel in the bus envelope.
void EncodeBody(const Body& body, Writer* out);
bool DecodeBody(Reader* in, Body* out);

void EncodeEntry(const Entry& entry, Writer* out);
bool DecodeEntry(Reader* in, Entry* out);

}  // namespace lockstep::raft
