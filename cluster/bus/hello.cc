#include "cluster/bus/hello.h"

#include <algorithm>

namespace lockstep::bus {
namespace {

bool IsNode(NodeId node) { return node != kNoNode && node.value <= kNodeIdMax; }

// Nodes that have not formed a cluster yet may talk with anybody: that is how they form one.
bool SameCluster(ClusterId a, ClusterId b) {
  return a == b || a == ClusterId{0} || b == ClusterId{0};
}

// A field of ours that would break the peer's bound is cut, not refused: it is only shown.
BytesView Cut(BytesView text, size_t max) { return text.substr(0, max); }

// Fails the reader when the text is over its limit.
Bytes ReadText(Reader* in, size_t max) {
  const BytesView text = in->String();
  if (text.size() > max) in->Fail();
  return in->ok() ? Bytes(text) : Bytes();
}

uint16_t ReadU16(Reader* in) {
  const uint64_t v = in->Varint();
  if (v > UINT16_MAX) in->Fail();
  return in->ok() ? static_cast<uint16_t>(v) : uint16_t{0};
}

// A second process with the name of a node that is here and well: a folder that was copied, or
// two configurations with one number. The one with the disk on record stays.
Result<void> CheckDisk(const Identity& me, NodeId node, DiskId disk) {
  for (const auto& [present, recorded] : me.present) {
    if (present != node || recorded == disk) continue;
    return Error{Format("node %lu is here already, with another data folder; if that one is gone, "
                        "this one is let in when it has not been heard for node-timeout",
                        node.value)};
  }
  return {};
}

Error NotAPeer(uint32_t magic) {
  return Error{Format("the other end is no Lockstep node: it begins with %08x", magic)};
}

}  // namespace

Hello MakeHello(const Identity& me, NodeId to, Lane lane) {
  Hello hello;
  hello.cluster = me.cluster;
  hello.from = me.node;
  hello.to = to;
  hello.disk = me.disk;
  hello.incarnation = me.incarnation;
  hello.lane = lane;
  hello.server_version = me.server_version;
  hello.host = me.host;
  hello.client_port = me.client_port;
  hello.bus_host = me.bus_host;
  hello.bus_port = me.bus_port;
  hello.zone = me.zone;
  return hello;
}

Result<void> CheckHello(const Identity& me, const Hello& hello) {
  // First, and without a word about ourselves: all that follows is for members only.
  if (!SameCluster(me.cluster, hello.cluster)) {
    return Error{"this is a node of another cluster; check the address and the data folder"};
  }
  if (hello.protocol_min > kProtocolMax || hello.protocol_max < kProtocolMin) {
    return Error{Format("no common version of the bus protocol: you speak %u to %u, "
                        "this node %u to %u",
                        hello.protocol_min, hello.protocol_max, kProtocolMin, kProtocolMax)};
  }
  if (!IsNode(hello.from)) {
    return Error{Format("node id %lu is out of range, 1 to %lu", hello.from.value, kNodeIdMax)};
  }
  if (hello.to != me.node) {
    // The cluster is named only to one who has just named it.
    const bool knows_cluster = me.cluster != ClusterId{0} && hello.cluster == me.cluster;
    const Bytes of = knows_cluster ? Format(" of cluster %08lx", me.cluster.value) : Bytes();
    return Error{Format("this is node %lu%s, not node %lu", me.node.value, of.c_str(),
                        hello.to.value)};
  }
  if (hello.from == me.node) {
    const bool is_me = hello.disk == me.disk;
    return Error{is_me ? Format("node %lu has dialled itself", me.node.value)
                       : Format("two nodes say that they are node %lu", me.node.value)};
  }
  return CheckDisk(me, hello.from, hello.disk);
}

bool TakesUsForItsOwn(const Identity& me, const Hello& hello) {
  return me.alone && !SameCluster(me.cluster, hello.cluster) && hello.to == me.node &&
         hello.from != me.node;
}

HelloReply AnswerHello(const Identity& me, const Hello& hello) {
  HelloReply reply;
  if (const Result<void> verdict = CheckHello(me, hello); !verdict) {
    reply.reason = verdict.error().message;
    return reply;
  }
  reply.ok = true;
  reply.protocol = std::min(hello.protocol_max, kProtocolMax);
  reply.cluster = me.cluster;
  reply.from = me.node;
  reply.disk = me.disk;
  reply.incarnation = me.incarnation;
  reply.server_version = me.server_version;
  reply.host = me.host;
  reply.client_port = me.client_port;
  reply.zone = me.zone;
  return reply;
}

Result<void> CheckHelloReply(const Identity& me, NodeId to, const HelloReply& reply) {
  if (!reply.ok) return Error{"the peer refuses: " + Printable(reply.reason, kReasonBytesMax)};
  if (!SameCluster(me.cluster, reply.cluster)) {
    return Error{Format("the peer is of cluster %08lx, this node of %08lx", reply.cluster.value,
                        me.cluster.value)};
  }
  if (reply.from != to) {
    return Error{Format("the peer is node %lu, not node %lu", reply.from.value, to.value)};
  }
  if (reply.protocol < kProtocolMin || reply.protocol > kProtocolMax) {
    return Error{Format("the peer chose version %u of the bus protocol, this node speaks %u to %u",
                        reply.protocol, kProtocolMin, kProtocolMax)};
  }
  return CheckDisk(me, reply.from, reply.disk);
}

void EncodeHello(const Hello& hello, Writer* out) {
  out->U32(kHelloMagic);
  out->Varint(hello.protocol_min);
  out->Varint(hello.protocol_max);
  out->Put(hello.cluster);
  out->Put(hello.from);
  out->Put(hello.to);
  out->Put(hello.disk);
  out->Varint(hello.incarnation);
  out->U8(static_cast<uint8_t>(hello.lane));
  out->String(Cut(hello.server_version, kVersionBytesMax));
  out->String(Cut(hello.host, kHostBytesMax));
  out->Varint(hello.client_port);
  out->String(Cut(hello.bus_host, kHostBytesMax));
  out->Varint(hello.bus_port);
  out->String(Cut(hello.zone, kZoneBytesMax));
}

Result<Hello> DecodeHello(BytesView body) {
  Reader in(body);
  const uint32_t magic = in.U32();
  if (in.ok() && magic != kHelloMagic) return NotAPeer(magic);
  Hello hello;
  hello.protocol_min = ReadU16(&in);
  hello.protocol_max = ReadU16(&in);
  hello.cluster = ClusterId{in.Varint()};
  hello.from = in.Get<NodeId>();
  hello.to = in.Get<NodeId>();
  hello.disk = DiskId{in.Varint()};
  hello.incarnation = in.Varint();
  const uint8_t lane = in.U8();
  if (lane > static_cast<uint8_t>(Lane::kBulk)) in.Fail();
  hello.lane = static_cast<Lane>(lane);
  hello.server_version = ReadText(&in, kVersionBytesMax);
  hello.host = ReadText(&in, kHostBytesMax);
  hello.client_port = ReadU16(&in);
  if (in.left() > 0) {  // Else of a version that did not say it.
    hello.bus_host = ReadText(&in, kHostBytesMax);
    hello.bus_port = ReadU16(&in);
  }
  if (in.left() > 0) hello.zone = ReadText(&in, kZoneBytesMax);
  if (!in.ok()) return Error{Format("hello of %zu bytes is damaged", body.size())};
  return hello;
}

void EncodeHelloReply(const HelloReply& reply, Writer* out) {
  out->U32(kHelloReplyMagic);
  out->Bool(reply.ok);
  out->String(Cut(reply.reason, kReasonBytesMax));
  out->Varint(reply.protocol);
  out->Put(reply.cluster);
  out->Put(reply.from);
  out->Put(reply.disk);
  out->Varint(reply.incarnation);
  out->String(Cut(reply.server_version, kVersionBytesMax));
  out->String(Cut(reply.host, kHostBytesMax));
  out->Varint(reply.client_port);
  out->String(Cut(reply.zone, kZoneBytesMax));
}

Result<HelloReply> DecodeHelloReply(BytesView body) {
  Reader in(body);
  const uint32_t magic = in.U32();
  if (in.ok() && magic != kHelloReplyMagic) return NotAPeer(magic);
  HelloReply reply;
  reply.ok = in.Bool();
  reply.reason = ReadText(&in, kReasonBytesMax);
  reply.protocol = ReadU16(&in);
  reply.cluster = ClusterId{in.Varint()};
  reply.from = in.Get<NodeId>();
  reply.disk = DiskId{in.Varint()};
  reply.incarnation = in.Varint();
  reply.server_version = ReadText(&in, kVersionBytesMax);
  reply.host = ReadText(&in, kHostBytesMax);
  reply.client_port = ReadU16(&in);
  if (in.left() > 0) reply.zone = ReadText(&in, kZoneBytesMax);
  if (!in.ok()) return Error{Format("answer to hello of %zu bytes is damaged", body.size())};
  return reply;
}

}  // namespace lockstep::bus
