#include "src/bus_tap.h"

#include <nlohmann/json.hpp>

#include "cluster/bus/envelope.h"
#include "cluster/raft/messages.h"
#include "src/forwarding.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

Json IdOf(const raft::LogId& id) { return {{"term", id.term.value}, {"index", id.index.value}}; }

Json Nodes(const std::vector<raft::Member>& members) {
  Json out = Json::array();
  for (const raft::Member& member : members) out.push_back(member.node.value);
  return out;
}

struct Describe {
  Json operator()(const raft::VoteRequest& m) const {
    return {{"pre", m.pre}, {"transfer", m.transfer}, {"last", IdOf(m.last)}};
  }
  Json operator()(const raft::VoteReply& m) const {
    return {{"pre", m.pre}, {"granted", m.granted}};
  }
  Json operator()(const raft::AppendRequest& m) const {
    Json entries = Json::array();
    for (const raft::Entry& entry : m.entries) {
      entries.push_back({{"index", entry.id.index.value},
                         {"term", entry.id.term.value},
                         {"time", entry.time.ms},
                         {"kind", static_cast<int>(entry.kind)},
                         {"bytes", entry.data.size()}});
    }
    return {{"previous", IdOf(m.previous)}, {"commit", m.commit.value}, {"entries", entries}};
  }
  Json operator()(const raft::AppendReply& m) const {
    return {{"success", m.success}, {"match", m.match.value}, {"hint", IdOf(m.hint)}};
  }
  Json operator()(const raft::HeartbeatRequest& m) const {
    return {{"commit", m.commit.value}, {"read", m.read_position}, {"time", m.time.ms}};
  }
  Json operator()(const raft::HeartbeatReply& m) const { return {{"read", m.read_position}}; }
  Json operator()(const raft::SnapshotChunk& m) const {
    return {{"last", IdOf(m.last)}, {"offset", m.offset}, {"total", m.total},
            {"bytes", m.data.size()}, {"voters", Nodes(m.config.voters)}};
  }
  Json operator()(const raft::SnapshotReply& m) const {
    return {{"last", IdOf(m.last)}, {"offset", m.offset}, {"installed", m.installed}};
  }
  Json operator()(const raft::TimeoutNow&) const { return Json::object(); }
};

Json DescribeHeartbeats(Reader* in) {
  Json beats = Json::array();
  const size_t n = in->Count(3);
  for (size_t i = 0; i < n; ++i) {
    const auto group = in->Get<GroupId>();
    const auto term = in->Get<Term>();
    raft::Body body;
    if (!raft::DecodeBody(in, &body)) return {{"damaged", true}};
    Json beat = std::visit(Describe{}, body);
    beat["type"] = raft::TypeName(body);
    beat["group"] = group.value;
    beat["term"] = term.value;
    beats.push_back(std::move(beat));
  }
  return {{"beats", std::move(beats)}};
}

Json DescribeForward(Reader* in) {
  Forward forward;
  if (!DecodeForward(in, &forward)) return {{"damaged", true}};
  Json requests = Json::array();
  for (const Forward::Request& request : forward.requests) {
    requests.push_back({{"seq", request.seq},
                        {"read", request.kind == Forward::Kind::kRead},
                        {"bytes", request.op.size()}});
  }
  return {{"stream", forward.stream}, {"position", forward.position}, {"requests", requests}};
}

Json DescribeAnswer(Reader* in) {
  ForwardAnswer answer;
  if (!DecodeForwardAnswer(in, &answer)) return {{"damaged", true}};
  Json seqs = Json::array();
  for (const ForwardAnswer::One& one : answer.answers) seqs.push_back(one.seq);
  return {{"stream", answer.stream}, {"taken", answer.taken}, {"answers", seqs}};
}

Json DescribeLeads(Reader* in) {
  std::vector<Lead> leads;
  if (!DecodeLeads(in, &leads)) return {{"damaged", true}};
  Json groups = Json::array();
  for (const Lead& lead : leads) {
    groups.push_back({{"group", lead.group.value}, {"term", lead.term.value}});
  }
  return {{"groups", groups}};
}

Json DescribeData(const bus::Envelope& envelope, Bytes* type) {
  Reader in(envelope.data);
  switch (envelope.header.type) {
    case bus::MessageType::kRaft: {
      raft::Body body;
      if (!raft::DecodeBody(&in, &body)) return {{"damaged", true}};
      *type = raft::TypeName(body);
      return std::visit(Describe{}, body);
    }
    case bus::MessageType::kHeartbeats:
      return DescribeHeartbeats(&in);
    case bus::MessageType::kForward:
      return DescribeForward(&in);
    case bus::MessageType::kAnswer:
      return DescribeAnswer(&in);
    case bus::MessageType::kLead:
      return DescribeLeads(&in);
    case bus::MessageType::kPublish: {
      const bool shard = in.Bool();
      return {{"shard", shard}, {"channel", Printable(in.String())}};
    }
    default:
      return {{"bytes", envelope.data.size()}};
  }
}

}  // namespace

Bytes DescribeMessage(NodeId to, BytesView body, bool sent) {
  const Result<bus::Envelope> envelope = bus::DecodeEnvelope(body);
  if (!envelope) return Json{{"damaged", Printable(envelope.error().message)}}.dump();
  Bytes type = bus::TypeName(envelope->header.type);
  Json data = DescribeData(*envelope, &type);
  data["group"] = envelope->header.group.value;
  data["to"] = to.value;
  const Json message = {{"type", type},
                        {"sender", envelope->header.sender.value},
                        {"term", envelope->header.term.value},
                        {"direction", sent ? "out" : "in"},
                        {"data", std::move(data)}};
  return message.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace lockstep
