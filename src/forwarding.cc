#include "src/forwarding.h"

#include <utility>

namespace lockstep {
namespace {

constexpr size_t kAnswerFrameAnswersMax = 4096;
// By ReplyCost. One answer may cost more (kReplyCostMax) and then has a frame of its own.
constexpr size_t kAnswerFrameCostMax = size_t{1} << 20;

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
  if (why > static_cast<uint8_t>(ForwardNack::Why::kFull)) in->Fail();
  out->why = static_cast<ForwardNack::Why>(why);
  out->expected = in->Varint();
  return in->done();
}

void EncodeForwardAnswer(const ForwardAnswer& answer, Writer* out) {
  answer.session.Encode(out);
  out->Varint(answer.incarnation);
  out->Varint(answer.stream);
  out->Varint(answer.taken);
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
  const size_t n = in->Count(2);
  out->answers.clear();
  for (size_t i = 0; i < n && in->ok(); ++i) {
    const uint64_t seq = in->Varint();
    out->answers.push_back({seq, DecodeReply(in)});
    if (HoldsLogged(out->answers.back().reply)) in->Fail();  // It lies in another's log.
  }
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
      return group.Write(id, request.op, answered);
    case Forward::Kind::kOpenSession:
      break;
  }
  Bytes logged;
  Writer out(&logged);
  EncodeOpenSession(from, forward.session, &out);
  return group.WriteAlone(std::move(logged));
}

void Intake::OnForward(NodeId from, Group& group, Term term, const Forward& forward) {
  if (!group.raft().is_leader() || group.raft().term() != term) {
    return Nack(from, group, forward, ForwardNack::Why::kNotLeader, 0);
  }
  Stream& stream = streams_[{from, group.id()}];
  const bool same_session = stream.session == forward.session;
  if (same_session && forward.stream < stream.stream) return;  // A straggler.
  if (!same_session || forward.stream > stream.stream) {
    stream = Stream();
    stream.session = forward.session;
    stream.stream = forward.stream;
  }
  stream.incarnation = forward.incarnation;
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

void Intake::OnAnswer(const Group& group, const RequestId& request, Reply reply) {
  if (!group.raft().is_leader()) return;
  const auto found = streams_.find({request.origin, group.id()});
  if (found == streams_.end() || found->second.incarnation != request.incarnation) return;
  found->second.answers.push_back({request.seq, std::move(reply)});
}

void Intake::Flush() {
  for (auto& [key, stream] : streams_) {
    if (!stream.moved && stream.answers.empty()) continue;
    stream.moved = false;
    size_t at = 0;
    do {  // Once even with no answer: to say what was taken.
      ForwardAnswer answer{stream.session, stream.incarnation, stream.stream, stream.expected, {}};
      size_t cost = 0;
      for (; at < stream.answers.size() && answer.answers.size() < kAnswerFrameAnswersMax; ++at) {
        cost += ReplyCost(stream.answers[at].reply);
        if (cost > kAnswerFrameCostMax && !answer.answers.empty()) break;
        answer.answers.push_back(std::move(stream.answers[at]));
      }
      outbox_->Send(key.first, bus::Lane::kBulk, bus::MessageType::kAnswer, key.second, Term{0},
                    [&](Writer* out) { EncodeForwardAnswer(answer, out); });
    } while (at < stream.answers.size());
    stream.answers.clear();
  }
}

}  // namespace lockstep
