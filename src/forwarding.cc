#include "src/forwarding.h"

#include <utility>

#include "commands/queue_ops.h"
#include "src/base/limits.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr size_t kMembersMax = 2 * kNodesMax;  // Of a group: some may be on their way out.
constexpr size_t kAnswerFrameAnswersMax = 4096;
// By ReplyCost. One answer may cost more (kReplyCostMax) and then has a frame of its own.
constexpr size_t kAnswerFrameCostMax = size_t{1} << 20;

// A plant: whether another request has brought the ID of this push here, committed or not.
bool IsIdSeen(const Group& group, const RequestId& id, BytesView encoded) {
  static std::map<std::pair<const Group*, Bytes>, RequestId> seen;
  const std::optional<QueueOp> op = IsShard(group.id()) ? DecodeQueueOp(encoded) : std::nullopt;
  const auto* push = op ? std::get_if<PushOp>(&*op) : nullptr;
  if (push == nullptr || push->id.empty()) return false;
  return seen.try_emplace({&group, Bytes(push->id)}, id).first->second != id;
}

}  // namespace

void EncodeForward(const Forward& forward, Writer* out) {
  forward.session.Encode(out);
  out->Varint(forward.incarnation);
  out->Varint(forward.stream);
  out->Varint(forward.position);
  out->Varint(forward.answered.below);
  forward.answered.others.Encode(out);
  out->Varint(forward.requests.size());
  for (const Forward::Request& request : forward.requests) {
    out->U8(static_cast<uint8_t>(request.kind));
    out->Varint(request.seq);
    out->String(request.op);
  }
}

bool DecodeForward(Reader* in, Forward* out) {
  out->session = SessionName::Decode(in);
  out->incarnation = in->Varint();
  out->stream = in->Varint();
  out->position = in->Varint();
  out->answered.below = in->Varint();
  out->answered.others = IntervalSet::Decode(in);
  out->requests.resize(in->Count(3));
  for (Forward::Request& request : out->requests) {
    const uint8_t kind = in->U8();
    if (kind > static_cast<uint8_t>(Forward::Kind::kOpenSession)) in->Fail();
    request.kind = static_cast<Forward::Kind>(kind);
    request.seq = in->Varint();
    if (request.seq == kNoSeq) in->Fail();
    request.op = in->String();
    if (request.kind == Forward::Kind::kWrite && request.op.empty()) in->Fail();
  }
  return in->done();
}

void EncodeForwardNack(const ForwardNack& nack, Writer* out) {
  nack.session.Encode(out);
  out->Varint(nack.stream);
  out->U8(static_cast<uint8_t>(nack.why));
  out->Varint(nack.expected);
}

bool DecodeForwardNack(Reader* in, ForwardNack* out) {
  out->session = SessionName::Decode(in);
  out->stream = in->Varint();
  const uint8_t why = in->U8();
  if (why > static_cast<uint8_t>(ForwardNack::Why::kSessionOver)) in->Fail();
  out->why = static_cast<ForwardNack::Why>(why);
  out->expected = in->Varint();
  return in->done();
}

void EncodeForwardAnswer(const ForwardAnswer& answer, Writer* out) {
  answer.session.Encode(out);
  out->Varint(answer.incarnation);
  out->Varint(answer.stream);
  out->Varint(answer.taken);
  out->Varint(answer.given);
  out->Varint(answer.answers.size());
  for (const ForwardAnswer::One& one : answer.answers) {
    out->Varint(one.seq);
    EncodeReply(one.reply, out);
  }
}

bool DecodeForwardAnswer(Reader* in, ForwardAnswer* out) {
  out->session = SessionName::Decode(in);
  out->incarnation = in->Varint();
  out->stream = in->Varint();
  out->taken = in->Varint();
  out->given = in->Varint();
  const size_t n = in->Count(2);
  out->answers.clear();
  for (size_t i = 0; i < n && in->ok(); ++i) {
    const uint64_t seq = in->Varint();
    out->answers.push_back({seq, DecodeReply(in)});
    if (HoldsLogged(out->answers.back().reply)) in->Fail();  // It lies in another's log.
  }
  return in->done();
}

namespace {

void EncodeLead(const Lead& lead, Writer* out) {
  out->Put(lead.group);
  out->Put(lead.term);
  for (const auto* nodes : {&lead.voters, &lead.learners}) {
    out->Varint(nodes->size());
    for (const NodeId node : *nodes) out->Put(node);
  }
  out->Bool(lead.changing);
  out->Put(lead.config_index);
  out->Put(lead.place);
  out->Varint(lead.incarnation);
  out->Varint(lead.stream);
  out->Varint(lead.given);
}

Lead DecodeLead(Reader* in) {
  Lead lead;
  lead.group = in->Get<GroupId>();
  lead.term = in->Get<Term>();
  for (auto* nodes : {&lead.voters, &lead.learners}) {
    const size_t n = in->Count();
    if (n > kMembersMax) in->Fail();
    for (size_t i = 0; i < n && in->ok(); ++i) nodes->push_back(in->Get<NodeId>());
  }
  lead.changing = in->Bool();
  lead.config_index = in->Get<Index>();
  lead.place = in->Get<Index>();
  lead.incarnation = in->Varint();
  lead.stream = in->Varint();
  lead.given = in->Varint();
  if (!IsShard(lead.group) || lead.term.value == 0) in->Fail();
  return lead;
}

}  // namespace

void EncodeLeads(const std::vector<Lead>& leads, Writer* out) {
  out->Varint(leads.size());
  for (const Lead& lead : leads) EncodeLead(lead, out);
}

bool DecodeLeads(Reader* in, std::vector<Lead>* out) {
  const size_t n = in->Count(10);
  if (n > kShardsMax) in->Fail();
  out->clear();
  for (size_t i = 0; i < n && in->ok(); ++i) out->push_back(DecodeLead(in));
  return in->done();
}

void Intake::Nack(NodeId to, const Group& group, const Forward& forward, ForwardNack::Why why,
                  uint64_t expected) {
  outbox_->Send(to, bus::Lane::kBulk, bus::MessageType::kForwardNack, group.id(),
                group.raft().term(), [&](Writer* out) {
                  EncodeForwardNack({forward.session, forward.stream, why, expected}, out);
                });
}

Group::Taken Intake::TakeOne(NodeId from, Group& group, const Forward& forward,
                             const Forward::Request& request, const Answered& answered) {
  const RequestId id{from, forward.incarnation, request.seq};
  switch (request.kind) {
    case Forward::Kind::kRead:
      return group.Read(id, request.op);
    case Forward::Kind::kWrite:
      if (Planted(Mutant::kIdBeforeCommit) && IsIdSeen(group, id, request.op)) {
        OnAnswer(group, id, Reply::Bulk("0.1"));
        return Group::Taken::kYes;
      }
      return group.Write(id, request.op, answered);
    case Forward::Kind::kOpenSession:
      break;
  }
  Bytes logged;
  Writer out(&logged);
  EncodeOpenSession(from, forward.session, &out);
  return group.WriteAlone(std::move(logged));
}

// A leader that has applied everything before its term knows every session that a gateway was told
// of. The name alone: it was opened, and ended before its gateway heard of it.
bool Intake::IsOver(NodeId from, const Group& group, const Forward& forward) {
  if (!group.IsCurrent()) return false;
  const Replica::OpenSession open = group.replica().SessionOf(from);
  if (forward.incarnation != 0) return open.incarnation != forward.incarnation;
  return open.incarnation == 0 && open.name == forward.session;
}

// It was asked to be opened in this stream.
void Intake::FollowOpening(NodeId from, Stream* stream) {
  if (stream->group == nullptr || stream->incarnation != 0) return;
  const Replica::OpenSession open = stream->group->replica().SessionOf(from);
  if (open.incarnation == 0 || open.name != stream->session) return;
  stream->incarnation = open.incarnation;
  stream->moved = true;
}

void Intake::OnForward(NodeId from, Group& group, Term term, const Forward& forward) {
  if (!group.raft().is_leader() || group.raft().term() != term) {
    return Nack(from, group, forward, ForwardNack::Why::kNotLeader, 0);
  }
  Stream& stream = streams_[{from, group.id()}];
  // Streams are numbered for as long as a gateway's process lives, whatever sessions it has.
  const auto age = [](const SessionName& session, uint64_t number) {
    return std::pair(session.boot, number);
  };
  const bool same_disk = stream.session.disk == forward.session.disk;
  const auto known = age(stream.session, stream.stream);
  const auto named = age(forward.session, forward.stream);
  if (same_disk && named < known) return;  // A straggler.
  if (!same_disk || named > known) {
    stream = Stream();
    stream.group = &group;
    stream.session = forward.session;
    stream.stream = forward.stream;
  }
  if (forward.incarnation != 0) stream.incarnation = forward.incarnation;
  if (IsOver(from, group, forward)) {
    return Nack(from, group, forward, ForwardNack::Why::kSessionOver, stream.expected);
  }
  if (stream.closed) return Nack(from, group, forward, ForwardNack::Why::kFull, stream.expected);
  if (forward.position > stream.expected) {
    return Nack(from, group, forward, ForwardNack::Why::kGap, stream.expected);
  }

  stream.moved = true;
  // What the gateway needs no more goes with the first write that is taken.
  static const Answered kNothing;
  const Answered* answered = &forward.answered;
  for (size_t i = 0; i < forward.requests.size(); ++i) {
    if (forward.position + i < stream.expected) continue;  // Taken before.
    const Group::Taken taken = TakeOne(from, group, forward, forward.requests[i], *answered);
    if (taken == Group::Taken::kNotLeader) {
      return Nack(from, group, forward, ForwardNack::Why::kNotLeader, stream.expected);
    }
    if (taken == Group::Taken::kFull) {
      stream.closed = true;
      return Nack(from, group, forward, ForwardNack::Why::kFull, stream.expected);
    }
    if (forward.requests[i].kind == Forward::Kind::kWrite) answered = &kNothing;
    ++stream.expected;
  }
}

void Intake::Forget(GroupId group) {
  std::erase_if(streams_, [group](const auto& stream) { return stream.first.second == group; });
}

void Intake::OnAnswer(const Group& group, const RequestId& request, Reply reply) {
  if (!group.raft().is_leader()) return;
  const auto found = streams_.find({request.origin, group.id()});
  if (found == streams_.end() || found->second.incarnation != request.incarnation) return;
  found->second.answers.push_back({request.seq, std::move(reply)});
}

Lead Intake::LeadOf(const Group& group, NodeId to) const {
  const raft::Raft& raft = group.raft();
  Lead lead{.group = group.id(), .term = raft.term(), .voters = {}, .learners = {},
            .config_index = {}, .place = {}};
  for (const raft::Member& voter : raft.config().voters) lead.voters.push_back(voter.node);
  for (const raft::Member& learner : raft.config().learners) lead.learners.push_back(learner.node);
  lead.changing = raft.config_pending();
  lead.config_index = raft.config_index();
  if (group.IsCurrent()) {
    lead.place = group.replica().last_place();
    lead.incarnation = group.replica().SessionOf(to).incarnation;
  }
  const auto found = streams_.find({to, group.id()});
  if (found == streams_.end() || found->second.incarnation != lead.incarnation) return lead;
  lead.stream = found->second.stream;
  lead.given = found->second.given;
  return lead;
}

void Intake::Flush() {
  for (auto& [key, stream] : streams_) {
    FollowOpening(key.first, &stream);
    if (!stream.moved && stream.answers.empty()) continue;
    stream.moved = false;
    size_t at = 0;
    do {  // Once even with no answer: to say what was taken.
      ForwardAnswer answer{stream.session, stream.incarnation, stream.stream,
                           stream.expected, stream.given,      {}};
      size_t cost = 0;
      for (; at < stream.answers.size() && answer.answers.size() < kAnswerFrameAnswersMax; ++at) {
        cost += ReplyCost(stream.answers[at].reply);
        if (cost > kAnswerFrameCostMax && !answer.answers.empty()) break;
        answer.answers.push_back(std::move(stream.answers[at]));
      }
      stream.given += answer.answers.size();
      outbox_->Send(key.first, bus::Lane::kBulk, bus::MessageType::kAnswer, key.second, Term{0},
                    [&](Writer* out) { EncodeForwardAnswer(answer, out); });
    } while (at < stream.answers.size());
    stream.answers.clear();
  }
}

}  // namespace lockstep
