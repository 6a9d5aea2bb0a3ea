// One replicated machine together with its memory of answered requests: what a node applies log
// entries to.
//
// A request may reach the log twice: its gateway sends it again to the next leader when the last
// one died with the answer. The second copy changes nothing and is answered as the first was. So a
// command that a client sent once happens at most once, whatever the cluster does (Lee et al.,
// "Implementing Linearizability at Large Scale and Low Latency", SOSP 2015: RIFL).
//
// A gateway opens a session before it asks; the log index of the opening is the session's
// incarnation: unique and growing, whatever became of the node's disk. Opening one ends those
// before it.
//
// Always true:
//   1. An answer is kept until its gateway says that it needs it no more, or its session is over.
//      So the memory is bounded by what gateways have in flight.
//   2. A request whose answer its gateway has, or whose session is over, is dropped whenever a late
//      copy of it arrives.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "commands/state_machine.h"
#include "src/base/interval_set.h"

namespace lockstep {

// What a log entry of kind kOp holds. `answered_below` and `answered` say what the gateway needs no
// more: everything below, and beyond it what was answered out of turn (a client may wait for a lock
// for hours while thousands come and go).
struct LoggedRequest {
  RequestId id;
  uint64_t answered_below = 0;
  IntervalSet answered;
  BytesView op;
};
void EncodeRequest(const LoggedRequest& request, Writer* out);
// The operation in an entry's data, for who must look at one before it is applied. Empty: none.
BytesView OperationIn(BytesView data);

// What a gateway calls its session: which disk, which start of the node, which session of that
// start.
struct SessionName {
  DiskId disk;
  uint64_t boot = 0;
  uint64_t number = 0;
  bool operator==(const SessionName&) const = default;

  void Encode(Writer* out) const;
  static SessionName Decode(Reader* in);
};
// Opens a session, unless it is open or a later one of the same disk is. Answered to nobody: each
// node sees it in its own replica.
void EncodeOpenSession(NodeId origin, const SessionName& name, Writer* out);
// "This session is over": proposed by a leader that has given the node up, answered to nobody.
void EncodeSessionOver(NodeId origin, uint64_t incarnation, Writer* out);

class Replica {
 public:
  explicit Replica(std::unique_ptr<StateMachine> machine);

  // `data` as made by the functions above. False: unreadable; nothing has changed but the time (the
  // same on every node).
  bool Apply(const Position& at, BytesView data, Effects* out);
  void Pulse(const Position& at, Effects* out);

  const StateMachine& machine() const { return *machine_; }
  StateMachine& machine() { return *machine_; }
  Reply Query(ClusterTime now, BytesView query) const { return machine_->Query(now, query); }
  ClusterTime NextDeadline() const { return machine_->NextDeadline(); }

  // The session of `origin` that is open; incarnation 0: none.
  struct OpenSession {
    SessionName name;
    uint64_t incarnation = 0;
    bool operator==(const OpenSession&) const = default;
  };
  OpenSession SessionOf(NodeId origin) const;

  Bytes Save() const;
  Result<void> Load(BytesView in);  // An error leaves an empty machine: the node must not go on.

  uint64_t Hash() const;            // Machine, sessions, and every answer given so far.
  size_t remembered() const;        // Answers and open requests kept.
  void CheckInvariants() const;

 private:
  struct Session {
    OpenSession open;
    uint64_t answered_below = 0;
    IntervalSet answered;                               // Above answered_below.
    std::map<uint64_t, std::optional<Reply>> requests;  // Empty: applied, not answered yet.

    bool NeedsNoMore(uint64_t seq) const { return seq < answered_below || answered.Contains(seq); }
    void Forget(uint64_t below, const IntervalSet& others);
  };

  void Advance(const Position& at, Effects* out);
  void ApplyRequest(const Position& at, const LoggedRequest& request, Effects* out);
  void Open(const Position& at, NodeId origin, const SessionName& name, Effects* out);
  void End(const Position& at, NodeId origin, Effects* out);
  // Keeps the answers in `out` from `first` on for their sessions, and takes out of it those whose
  // session is over or whose gateway needs them no more.
  void Keep(size_t first, Effects* out);
  static Result<void> LoadSession(Reader* in, std::map<NodeId, Session>* sessions);

  std::unique_ptr<StateMachine> machine_;
  std::map<NodeId, Session> sessions_;
  uint64_t answers_hash_ = 0;  // Over all entries and answers so far.
};

}  // namespace lockstep
