// The first frame on a connection between nodes, in each direction: who I am and whom I mean.
//
// The node that dials sends a Hello; the one that accepts answers a HelloReply and, if that is a
// refusal, closes. Nothing else is read from a connection before. Wrong wiring (a copied
// configuration, an address given to another machine, two clusters on one network) ends here with a
// sentence for the operator instead of inside Raft.
//
// To a stranger nothing is revealed: the cluster is compared first, and a refusal carries no
// identity (etcd told its cluster id to any caller).
#pragma once

#include <utility>
#include <vector>

#include "src/base/codec.h"
#include "src/base/limits.h"
#include "src/base/result.h"

namespace lockstep::bus {

constexpr uint32_t kHelloMagic = 0x4B43'4F4C;       // "LOCK": a Hello.
constexpr uint32_t kHelloReplyMagic = 0x5045'5453;  // "STEP": the answer.
constexpr size_t kHelloBytesMax = 4096;             // A connection's frame limit before its hello.
constexpr size_t kHostBytesMax = 255;
constexpr size_t kVersionBytesMax = 64;
constexpr size_t kReasonBytesMax = 512;

// Versions of the bus protocol that this build speaks. Two nodes use the highest that both know.
// A version is also what log entries and snapshots mean: builds that apply an entry differently
// must not share one (trap 55; tests/apply_level_test.cc).
constexpr uint16_t kProtocolMin = 11;
constexpr uint16_t kProtocolMax = 11;

// Two connections between each pair of nodes, so that no snapshot stands before a heartbeat.
enum class Lane : uint8_t { kControl = 0, kBulk = 1 };

// What a node knows of itself.
struct Identity {
  ClusterId cluster;  // 0: not formed yet.
  NodeId node;
  DiskId disk;
  uint64_t incarnation = 0;
  Bytes server_version;
  Bytes host;               // Where clients reach it; for MOVED and CLUSTER SLOTS.
  uint16_t client_port = 0;
  Bytes bus_host;           // Where nodes reach it; empty: under the address that it dials from.
  uint16_t bus_port = 0;
  Bytes zone;               // cluster-zone.

  // What CheckHello judges by, beside our name; not said to anybody. --------------------------
  bool alone = false;       // A cluster of one, formed.
  // Who was heard just now, and with the disk on record: two processes must not be one node.
  std::vector<std::pair<NodeId, DiskId>> present;
};

struct Hello {
  uint16_t protocol_min = kProtocolMin;
  uint16_t protocol_max = kProtocolMax;
  ClusterId cluster;
  NodeId from;
  NodeId to;
  DiskId disk;
  uint64_t incarnation = 0;
  Lane lane = Lane::kControl;
  Bytes server_version;
  Bytes host;
  uint16_t client_port = 0;
  Bytes bus_host;         // Of the dialler: so whoever is dialled can answer, even one whose own
  uint16_t bus_port = 0;  // log does not name it yet. 0: not said (an older version).
  Bytes zone;
  bool operator==(const Hello&) const = default;
};

// Refused (`ok` false): `reason` is a sentence and everything else is zero.
struct HelloReply {
  bool ok = false;
  Bytes reason;
  uint16_t protocol = 0;  // The version that both use from here on.
  ClusterId cluster;
  NodeId from;
  DiskId disk;
  uint64_t incarnation = 0;
  Bytes server_version;
  Bytes host;
  uint16_t client_port = 0;
  Bytes zone;
  bool operator==(const HelloReply&) const = default;
};

Hello MakeHello(const Identity& me, NodeId to, Lane lane);

// Whether I talk with whoever says this; the error's message is the refusal's reason.
Result<void> CheckHello(const Identity& me, const Hello& hello);

// Whether whoever says this is of a cluster that has a node of our name, under our address, while
// we have founded a cluster of our own: then our folder is the emptied one of a member, and what we
// grant contradicts what that cluster has granted.
bool TakesUsForItsOwn(const Identity& me, const Hello& hello);

// The answer that CheckHello's verdict asks for.
HelloReply AnswerHello(const Identity& me, const Hello& hello);

// Whether I talk with whoever answered so, having dialled `to`.
Result<void> CheckHelloReply(const Identity& me, NodeId to, const HelloReply& reply);

// Bodies of frames. Decoding fails on a wrong magic (no Lockstep node is at the other end), on
// fields over their limits and on what is cut short; bytes after the known fields are a later
// version's and are passed over.
void EncodeHello(const Hello& hello, Writer* out);
Result<Hello> DecodeHello(BytesView body);
void EncodeHelloReply(const HelloReply& reply, Writer* out);
Result<HelloReply> DecodeHelloReply(BytesView body);

}  // namespace lockstep::bus
