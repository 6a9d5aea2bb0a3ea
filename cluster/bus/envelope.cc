#include "cluster/bus/envelope.h"

#include "src/base/limits.h"

namespace lockstep::bus {

const char* TypeName(MessageType type) {
  switch (type) {
    case MessageType::kRaft: return "raft";
    case MessageType::kForward: return "forward";
    case MessageType::kForwardNack: return "forward-nack";
    case MessageType::kAnswer: return "answer";
    case MessageType::kPublish: return "publish";
    case MessageType::kStateHash: return "state-hash";
    case MessageType::kFetch: return "fetch";
    case MessageType::kFetched: return "fetched";
    case MessageType::kLead: return "lead";
    case MessageType::kPing: return "ping";
    case MessageType::kForm: return "form";
    case MessageType::kFormed: return "formed";
    case MessageType::kTransfer: return "transfer";
    case MessageType::kHeartbeats: return "heartbeats";
    case MessageType::kCache: return "cache";
    case MessageType::kCacheLeases: return "cache-leases";
    case MessageType::kTracking: return "tracking";
  }
  return "unknown";
}

void EncodeHeader(const EnvelopeHeader& header, Writer* out) {
  out->U8(static_cast<uint8_t>(header.type));
  out->Put(header.sender);
  out->Put(header.term);
  out->Put(header.group);
}

Result<Envelope> DecodeEnvelope(BytesView body) {
  Reader in(body);
  const uint8_t type = in.U8();
  Envelope envelope;
  envelope.header.sender = in.Get<NodeId>();
  envelope.header.term = in.Get<Term>();
  envelope.header.group = in.Get<GroupId>();
  if (!in.ok()) return Error{Format("message of %zu bytes ends within its header", body.size())};

  const bool type_is_known = type >= 1 && type <= static_cast<uint8_t>(kMessageTypeLast);
  if (!type_is_known) return Error{Format("message of unknown type %u", type)};
  envelope.header.type = static_cast<MessageType>(type);

  const NodeId sender = envelope.header.sender;
  if (sender == kNoNode || sender.value > kNodeIdMax) {
    return Error{Format("message from node %lu, which no node can be", sender.value)};
  }
  envelope.data = in.Raw(in.left());
  return envelope;
}

}  // namespace lockstep::bus
