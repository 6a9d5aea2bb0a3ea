// What stands at the start of every message between nodes, and says for whom the rest is.
//
// The bus carries data that it does not understand: the engines encode and decode it. So it does
// not depend on any of them.
#pragma once

#include "src/base/codec.h"
#include "src/base/result.h"

namespace lockstep::bus {

// Numbers are on the wire: a new type takes the next one, none is ever given away again. A type is
// sent only to a peer whose agreed protocol version knows it.
enum class MessageType : uint8_t {
  kRaft = 1,     // A body of cluster/raft for one group.
  kForward,      // A client's request, on its way to the node that can answer it.
  kForwardNack,  // It was not taken, nothing has happened: why, and whom to ask.
  kAnswer,       // The reply to a forwarded request.
  kPublish,      // A message for subscribers on the receiving node.
  kStateHash,    // What the sender's machine of a group hashes to at an applied index.
  kPing,         // Nothing but a sign of life.
  kForm,         // An offer to form the cluster.
  kFormed,       // The cluster has been formed.
  kTransfer,     // Asks a group's leader to hand over to a member.
  kHeartbeats,   // Heartbeats, and answers to heartbeats, of all groups between two nodes.
  kFetch,        // Asks a group's leader for the data of log entries that a snapshot needs.
  kFetched,      // Some of it.
  kLead,         // Which groups the sender leads, to a node that keeps nothing of them.
  kCache,        // Messages between a shard's home and one of its caches (cluster/mesi).
  kCacheLeases,  // Their leases, of all shards between two nodes.
  kTracking,     // Keys that were written, to a node whose clients hear broadcasts of them.
};
constexpr MessageType kMessageTypeLast = MessageType::kTracking;

// "raft", "forward", ...: for log lines, INFO and metrics.
const char* TypeName(MessageType type);

struct EnvelopeHeader {
  MessageType type = MessageType::kPing;
  NodeId sender;   // Must be the node that the connection's hello named: the receiver compares.
  Term term;       // The sender's, in `group`; 0 where it means nothing.
  GroupId group;   // The control group (0) where it means nothing.
  bool operator==(const EnvelopeHeader&) const = default;
};

struct Envelope {
  EnvelopeHeader header;
  BytesView data;  // The type's own; borrows from the frame.
};

// Encode the header, then the data, between BeginFrame and EndFrame.
void EncodeHeader(const EnvelopeHeader& header, Writer* out);

// Refuses types that this version does not know, and senders that no node can be.
Result<Envelope> DecodeEnvelope(BytesView body);

}  // namespace lockstep::bus
