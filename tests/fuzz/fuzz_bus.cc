// What nodes send each other, less the engines' own data. The first byte chooses what the rest is.
//
// A hostile stream of frames: how it was cut changes nothing, and what comes out stood there. An
// honest one with a byte damaged: the frame that holds it never comes out. Envelopes and hellos
// either fail to decode or encode to the same bytes, a hello is answered by the rules, and
// the tap describes any message in JSON.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "cluster/bus/envelope.h"
#include "cluster/bus/frame.h"
#include "cluster/bus/hello.h"
#include "tests/fuzz/fuzz.h"
#include "src/bus_tap.h"

namespace lockstep::bus {
namespace {

constexpr size_t kBodyMax = 4096;

struct Read {
  std::vector<Bytes> bodies;
  Bytes error;
  bool operator==(const Read&) const = default;
};

Read ReadFrames(BytesView in, size_t piece) {
  FrameReader reader(kBodyMax);
  Read read;
  for (size_t at = 0; at < in.size() && read.error.empty(); at += piece) {
    reader.Append(in.substr(at, piece));
    while (true) {
      const auto next = reader.Next();
      if (!next.ok()) read.error = next.error().message;
      if (!next.ok() || !next->has_value()) break;
      CHECK((*next)->size() <= kBodyMax);
      read.bodies.emplace_back(**next);
    }
  }
  return read;
}

// A hostile stream: how it was cut changes nothing, and what came out is what stood there.
void FuzzStream(BytesView in) {
  const Read whole = ReadFrames(in, in.size() + 1);
  CHECK(ReadFrames(in, 1) == whole);
  CHECK(ReadFrames(in, 5) == whole);
  Bytes again;
  for (const Bytes& body : whole.bodies) AppendFrame(body, &again);
  CHECK(in.substr(0, again.size()) == again);
}

// An honest stream of frames, one byte of it damaged: the frame that holds it never comes out.
void FuzzDamage(BytesView in) {
  if (in.size() < 4) return;
  const auto byte = [in](size_t i) { return static_cast<uint8_t>(in[i]); };
  const size_t at = byte(0) * 256U + byte(1);
  const char change = in[2];
  const size_t piece = byte(3) + 1U;
  in.remove_prefix(4);

  Read sent;
  Bytes wire;
  for (size_t i = 0; i < in.size(); i += piece) {
    sent.bodies.emplace_back(in.substr(i, piece));
    AppendFrame(sent.bodies.back(), &wire);
  }
  CHECK(ReadFrames(wire, 3) == sent);
  if (at >= wire.size() || change == 0) return;

  wire[at] = static_cast<char>(wire[at] ^ change);
  const size_t whole_before = at / (piece + kFrameHeaderBytes);
  const Read read = ReadFrames(wire, wire.size());
  CHECK(read.bodies.size() == whole_before);
  CHECK(std::equal(read.bodies.begin(), read.bodies.end(), sent.bodies.begin()));
}

void FuzzEnvelope(BytesView in) {
  CHECK(nlohmann::json::accept(DescribeMessage(NodeId{1}, in, true)));  // Whoever taps the bus.
  const auto envelope = DecodeEnvelope(in);
  if (!envelope.ok()) return;
  Bytes again;
  Writer writer(&again);
  EncodeHeader(envelope->header, &writer);
  writer.Raw(envelope->data);
  CHECK(again == in);
}

void FuzzHello(BytesView in) {
  const auto hello = DecodeHello(in);
  if (!hello.ok()) return;
  Bytes again;
  Writer writer(&again);
  EncodeHello(*hello, &writer);
  CHECK(again.size() <= kHelloBytesMax);
  // A version that did not say its bus address ends before it; whatever is said reads back.
  const bool says_no_bus = hello->bus_host.empty() && hello->bus_port == 0;
  const BytesView said = BytesView(again).substr(0, again.size() - (says_no_bus ? 2 : 0));
  CHECK(in.substr(0, again.size()) == again || in == said);

  Identity me;
  me.cluster = ClusterId{7};
  me.node = NodeId{2};
  me.disk = DiskId{9};
  const HelloReply reply = AnswerHello(me, *hello);
  CHECK(reply.ok == CheckHello(me, *hello).ok());
  if (hello->cluster != me.cluster && hello->cluster != ClusterId{0}) {
    CHECK(!reply.ok && reply.from == kNoNode && reply.cluster == ClusterId{0});
  }
  Bytes body;
  Writer reply_writer(&body);
  EncodeHelloReply(reply, &reply_writer);
  const auto back = DecodeHelloReply(body);
  CHECK(back.ok() && *back == reply);
}

void FuzzHelloReply(BytesView in) {
  const auto reply = DecodeHelloReply(in);
  if (!reply.ok()) return;
  Bytes again;
  Writer writer(&again);
  EncodeHelloReply(*reply, &writer);
  CHECK(in.substr(0, again.size()) == again);
  Identity me;
  me.cluster = ClusterId{7};
  me.node = NodeId{1};
  const bool welcome = CheckHelloReply(me, NodeId{2}, *reply).ok();
  CHECK(!welcome || (reply->ok && reply->from == NodeId{2}));
}

}  // namespace
}  // namespace lockstep::bus

namespace lockstep::fuzz {

std::vector<Property> Properties() {
  return {bus::FuzzStream, bus::FuzzDamage, bus::FuzzEnvelope, bus::FuzzHello,
          bus::FuzzHelloReply};
}

std::vector<Bytes> Seeds() { return {}; }

}  // namespace lockstep::fuzz
