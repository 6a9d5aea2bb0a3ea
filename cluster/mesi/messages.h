// What home and cache say to each other about one line.
#pragma once

#include <optional>
#include <vector>

#include "cluster/mesi/line.h"
#include "src/base/codec.h"

namespace lockstep::mesi {

// Numbers are on the wire.
enum class MessageType : uint8_t {
  // From a cache to the home.
  kGetS = 1,
  kGetX,        // `have`: it has the value, and may read it.
  kWriteBack,   // Gives up what it owned under `gen`; `keeps`: all but its value.
  kInvAck,
  kRecallAck,   // Of what it owned under `gen`; `keeps` as above.
  kReport,      // To a new home: what it had from the one before. See Report.
  kReportDone,  // That was all; it has dropped it. The first word of a session but for reports.
  kCommit,      // What it owns under `gen` is to be in the log (durable.h) before anybody sees it.
                // `keeps`: more follows, to be logged with it. `have`: it is to be at home only,
                // in no log (push.cc).
  kAudit,       // It reads the payload's version (`have`), or owns it under `gen`: see audit.cc.
  kShip,        // The command `words`, on this key, is to be run at home (ship.h). Its number is
                // `gen`; `round`: so many kShipReply with `keeps` were heard in this session.
  // From the home to a cache.
  kDataS,
  kDataX,       // `have`, of this and the next: it is contended, so that commands on it had better
                // be shipped.
  kUpgradeOk,
  kInv,
  kRecallS,
  kRecallX,
  kWbAck,       // `keeps`: it may go on reading.
  kCommitted,   // It is in the log, or at home if that was asked for. `keeps`: it is not, and will
                // not be; `have`: for its fence.
  kVerdict,     // `have`: so the home believes. With a payload: it does not, and why. Else: it
                // cannot say now.
  kShipReply,   // `words`: what the command `gen` answers; `have`: as of kDataX. `keeps`, without
                // an answer: of this session's commands those that are not answered yet, and those
                // of this round that are on their way, were not run, and will not be; with `have`
                // (to be acknowledged at once) neither will others, until it says so without.
};
constexpr MessageType kMessageTypeFirst = MessageType::kGetS;
constexpr MessageType kMessageTypeLast = MessageType::kShipReply;
const char* NameOf(MessageType type);

// A value on its way. `present` false: there is no such key.
struct Payload {
  Version version{};
  bool present = false;
  BytesView value{};
  // When its time is over, by the clock of whoever has the message: a channel translates, so it
  // does not matter how long it has lain there. kNeverMono: it stays.
  MonoTime ends = kNeverMono;
  // Of an owner: whether it has changed the time to live. Else the home knows it better.
  bool ttl_is_new = false;
  bool durable = false;  // Of the home: the log knows the key.
  bool pushes = false;   // Of the home, with a grant: what is written under it is to be pushed.
};

// Who speaks in a report, and what it had: see Recovered.
enum class ReportKind : uint8_t {
  kOwner,
  kSureOwner,    // Its lease outlasts the home before.
  kLeaving,
  kReader,       // Its lease outlasts the home before.
  kFormer,       // The speaker was the home before, and this is its value.
  kFormerOwner,  // Whom it knew as the line's owner.
  kWasHome,      // Of no line: it was the home in this epoch, and says all that it had.
};

struct Message {
  MessageType type = MessageType::kGetS;
  BytesView key{};
  uint64_t gen = 0;
  bool have = false;
  bool keeps = false;
  ReportKind report = ReportKind::kOwner;
  NodeId owner{};  // kFormerOwner.
  Term epoch{};    // Of what a report is about.
  uint64_t fence = 0;  // kCommit.
  uint64_t round = 0;  // kShip.
  BytesView words{};   // kShip, kShipReply.
  std::optional<Payload> payload{};
};

// Borrows from what it was decoded from.
void EncodeMessage(const Message& message, Writer* out);
bool DecodeMessage(Reader* in, Message* out);

// A session between a cache and a home, named by the cache: the session that its node has in the
// shard's log, and a number. A later one ends those before it.
struct SessionId {
  uint64_t incarnation = 0;
  uint64_t number = 0;
  auto operator<=>(const SessionId&) const = default;
  void Encode(Writer* out) const {
    out->Varint(incarnation);
    out->Varint(number);
  }
  static SessionId Decode(Reader* in) {
    SessionId id;
    id.incarnation = in->Varint();
    id.number = in->Varint();
    return id;
  }
};

// What a cache reads without a word looks unused at its home. While that evicts, an ask names some
// of what was read since the one before: so many lines, and so many bytes of their keys together.
constexpr size_t kTouchesMax = 64;
constexpr size_t kTouchBytesMax = 1024;

// Beside the messages, and not in their order: the lease of a session, asked for by its cache.
struct LeaseAsk {
  GroupId shard;
  Term epoch;
  SessionId session;
  MonoTime sent;          // By the cache's clock; comes back with the grant.
  uint64_t received = 0;  // Messages of the home's, in order.
  uint64_t said = 0;      // Messages of the cache's so far.
  std::vector<Bytes> touches{};  // Keys, within the bounds above; no order that means anything.
};
struct LeaseGive {
  enum class Verdict : uint8_t {
    kGranted,   // From `sent` for `length_us`, both by the cache's clock.
    kOver,      // The session is over: drop everything, open the next.
  };
  GroupId shard;
  Term epoch;
  SessionId session;
  Verdict verdict = Verdict::kGranted;
  MonoTime sent{};
  int64_t length_us = 0;
  uint64_t received = 0;
  uint64_t said = 0;
  bool wants_touches = false;  // It has evicted of late.
};
// "I am the home of this shard from now on": whoever had something of it answers in a session with
// me.
struct Fence {
  GroupId shard;
  Term epoch;
};
// One frame holds all of a pair of nodes.
struct Leases {
  std::vector<LeaseAsk> asks;
  std::vector<LeaseGive> gives;
  std::vector<Fence> fences;
  bool empty() const { return asks.empty() && gives.empty() && fences.empty(); }
};
void EncodeLeases(const Leases& leases, Writer* out);
bool DecodeLeases(Reader* in, Leases* out);

}  // namespace lockstep::mesi
