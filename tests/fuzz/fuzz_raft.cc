// What Raft's members and the gateways send each other inside an envelope, and what of it lies in
// a log: message bodies, entries, configurations, forwarded requests and their answers.
//
// Bytes either fail to decode, or encode to the same bytes again: one encoding per value. What
// decodes keeps the rules that the engine builds on. A value that is cut short fails to decode.
#include "cluster/raft/messages.h"
#include "src/forwarding.h"
#include "tests/fuzz/fuzz.h"

namespace lockstep::fuzz {
namespace {

template <class Encode>
Bytes Encoded(Encode encode) {
  Bytes bytes;
  Writer out(&bytes);
  encode(&out);
  return bytes;
}

void CheckEntry(const raft::Entry& entry) {
  CHECK(entry.id.term.value > 0 && entry.id.index.value > 0 && entry.time.ms >= 0);
  raft::Config config;
  CHECK(entry.kind != raft::EntryKind::kConfig || raft::DecodeConfig(entry.data, &config));
}

void CheckBody(const raft::Body& body) {
  CHECK(raft::TypeName(body) != nullptr);
  if (const auto* append = std::get_if<raft::AppendRequest>(&body)) {
    raft::LogId before = append->previous;
    for (const raft::Entry& entry : append->entries) {
      CheckEntry(entry);
      CHECK(entry.id.index == Next(before.index) && entry.id.term >= before.term);
      before = entry.id;
    }
  }
  if (const auto* chunk = std::get_if<raft::SnapshotChunk>(&body)) {
    CHECK(chunk->config.Valid());
    CHECK(chunk->offset + chunk->data.size() <= chunk->total);
    CHECK(chunk->total <= kSnapshotBytesMax);
  }
}

void FuzzBody(BytesView in) {
  Reader reader(in);
  raft::Body body;
  if (!raft::DecodeBody(&reader, &body)) return;
  CheckBody(body);
  const size_t size = in.size() - reader.left();
  CHECK(Encoded([&](Writer* out) { raft::EncodeBody(body, out); }) == in.substr(0, size));

  // A body ends where its bytes end: with one less it fails.
  Reader cut(in.substr(0, size - 1));
  CHECK(!raft::DecodeBody(&cut, &body));
}

void FuzzEntry(BytesView in) {
  Reader reader(in);
  raft::Entry entry;
  if (!raft::DecodeEntry(&reader, &entry)) return;
  CheckEntry(entry);
  const BytesView read = in.substr(0, in.size() - reader.left());
  CHECK(Encoded([&](Writer* out) { raft::EncodeEntry(entry, out); }) == read);
}

void FuzzConfig(BytesView in) {
  raft::Config config;
  if (!raft::DecodeConfig(in, &config)) return;
  CHECK(config.Valid());
  CHECK(raft::EncodeConfig(config) == in);
  CHECK(config.All().size() <= 2 * kNodesMax + kNodesMax);
  for (const NodeId node : config.All()) {
    CHECK(config.Contains(node) && (config.IsVoter(node) || config.IsLearner(node)));
  }
}

void FuzzForward(BytesView in) {
  Reader reader(in);
  Forward forward;
  if (!DecodeForward(&reader, &forward)) return;
  CHECK(Encoded([&](Writer* out) { EncodeForward(forward, out); }) == in);
}

void FuzzNack(BytesView in) {
  Reader reader(in);
  ForwardNack nack;
  if (!DecodeForwardNack(&reader, &nack)) return;
  CHECK(Encoded([&](Writer* out) { EncodeForwardNack(nack, out); }) == in);
}

void FuzzAnswer(BytesView in) {
  Reader reader(in);
  ForwardAnswer answer;
  if (!DecodeForwardAnswer(&reader, &answer)) return;
  CHECK(Encoded([&](Writer* out) { EncodeForwardAnswer(answer, out); }) == in);
}

void FuzzLeads(BytesView in) {
  Reader reader(in);
  std::vector<Lead> leads;
  if (!DecodeLeads(&reader, &leads)) return;
  CHECK(Encoded([&](Writer* out) { EncodeLeads(leads, out); }) == in);
}

}  // namespace

std::vector<Bytes> Seeds() {
  raft::Config config;
  config.voters = {{NodeId{1}, DiskId{11}}, {NodeId{2}, DiskId{12}}};
  config.outgoing = {{NodeId{2}, DiskId{12}}, {NodeId{3}, DiskId{13}}};
  config.learners = {{NodeId{300}, DiskId{14}}};
  const Bytes encoded = raft::EncodeConfig(config);
  const raft::Entry op{{Term{2}, Index{5}}, {1000}, raft::EntryKind::kOp, "op"};
  const raft::Entry joint{{Term{3}, Index{6}}, {1001}, raft::EntryKind::kConfig, encoded};
  raft::AppendRequest append{{Term{2}, Index{4}}, Index{4}, {1002}, {op, joint}};
  raft::SnapshotChunk chunk;
  chunk.last = op.id;
  chunk.config = config;
  chunk.total = 10;
  chunk.data = "0123456789";

  std::vector<Bytes> seeds;
  const auto body = [&](raft::Body value) {
    seeds.push_back("\0" + Encoded([&](Writer* out) { raft::EncodeBody(value, out); }));
    seeds.back()[0] = '\0';
  };
  body(raft::VoteRequest{true, false, op.id});
  body(append);
  body(chunk);
  body(raft::AppendReply{false, Index{1}, op.id, Index{9}});
  body(raft::SnapshotReply{op.id, 5, true, Index{5}});
  for (raft::Entry entry : {op, joint}) {
    seeds.push_back("\1" + Encoded([&](Writer* out) { raft::EncodeEntry(entry, out); }));
  }
  seeds.push_back("\2" + encoded);
  Forward forward{{DiskId{7}, 1, 2}, 3, 4, 5, {}, {}};
  forward.requests.resize(2);
  forward.requests[0].op = "abc";
  forward.answered.others.AddRun(7, 9);
  seeds.push_back("\3" + Encoded([&](Writer* out) { EncodeForward(forward, out); }));
  const ForwardNack nack{forward.session, 4, ForwardNack::Why::kFull, 6};
  seeds.push_back("\4" + Encoded([&](Writer* out) { EncodeForwardNack(nack, out); }));
  const ForwardAnswer answer{forward.session, 3, 4, 5, 6,
                             {{1, Reply::Ok()}, {2, Reply::Array({Reply::Integer(-1)})}}};
  seeds.push_back("\5" + Encoded([&](Writer* out) { EncodeForwardAnswer(answer, out); }));
  const Lead lead{.group = ShardGroup(1),
                  .term = Term{3},
                  .voters = {NodeId{1}, NodeId{300}},
                  .learners = {NodeId{4}},
                  .config_index = Index{5},
                  .place = Index{7},
                  .incarnation = 6,
                  .stream = 2,
                  .given = 1};
  seeds.push_back("\6" + Encoded([&](Writer* out) { EncodeLeads({lead, lead}, out); }));
  return seeds;
}

std::vector<Property> Properties() {
  return {FuzzBody, FuzzEntry, FuzzConfig, FuzzForward, FuzzNack, FuzzAnswer, FuzzLeads};
}

}  // namespace lockstep::fuzz
