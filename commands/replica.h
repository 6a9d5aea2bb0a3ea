// One replicated machine together with its memory of answered requests: what a node applies log
// entries to.
//
// A request may reach the log twice: its gateway sends it again to the next leader when the last
// one died with the answer. The second copy changes nothing and is answered as the first was. So a
// command that a client sent once happens at most once, whatever the cluster does (Lee et al.,
// "Implementing Linearizability at Large Scale and Low Latency", SOSP 2015: RIFL).
//
// A gateway opens a session before it asks; the place of the opening in the log is the session's
// incarnation: unique and growing, whatever became of the node's disk. Opening one ends those
// before it.
//
// An entry holds all that one gateway asked for in one turn, so an index stands for many requests.
// Each gets a place of its own, which is at least the index: see Position.
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
#include <vector>

#include "commands/state_machine.h"
#include "src/base/interval_set.h"
#include "src/base/seq_map.h"

namespace lockstep {

// What a gateway needs no more: everything below, and beyond it what was answered out of turn (a
// client may wait for a lock for hours while thousands come and go).
struct Answered {
  uint64_t below = 0;
  IntervalSet others;
};

// Makes the data of a log entry that holds requests of one gateway, in their order. Each operation
// is copied once, to where it will be logged.
class RequestsEntry {
 public:
  RequestsEntry(NodeId origin, uint64_t incarnation);

  NodeId origin() const { return origin_; }
  uint64_t incarnation() const { return incarnation_; }
  void Add(uint64_t seq, BytesView op);
  void Tell(const Answered& answered);
  size_t bytes() const { return data_.size(); }
  Bytes Finish();  // The last call.

 private:
  NodeId origin_;
  uint64_t incarnation_;
  Answered answered_;
  Bytes data_;
};
// The operations in an entry's data, for who must look at them before they are applied.
std::vector<BytesView> OperationsIn(BytesView data);

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
// `op`: for StateMachine::ApplyKeys. Answered to nobody.
void EncodeKeysWritten(BytesView op, Writer* out);

class Replica {
 public:
  explicit Replica(std::unique_ptr<StateMachine> machine);

  // `data` as made by RequestsEntry or the functions above. False: unreadable; nothing has changed
  // but the time (the same on every node).
  bool Apply(Index index, ClusterTime time, BytesView data, Effects* out);
  void Pulse(Index index, ClusterTime time, Effects* out);

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
  // Whoever has one.
  std::vector<NodeId> Origins() const;
  // Sessions that have ended, or were replaced by one of another disk, as far as was applied here:
  // whoever had one may not know it yet. Those that a snapshot has passed over count as well.
  uint64_t sessions_ended() const { return sessions_ended_; }
  // Changes with any session.
  uint64_t sessions_changed() const { return sessions_changed_; }
  Index last_place() const { return last_place_; }  // Of all that was applied.

  Bytes Save() const;
  // The same by and by: see StateMachine. Each appends to `out`.
  void BeginSave(Bytes* out);
  bool SaveMore(size_t records, Bytes* out);
  void EndSave() { machine_->EndSave(); }
  Result<void> Load(BytesView in);  // An error leaves an empty machine: the node must not go on.

  uint64_t Hash() const;            // Machine, sessions, and every answer given so far.
  size_t remembered() const;        // Answers and open requests kept.
  void CheckInvariants() const;

 private:
  void SaveSessions(Writer* out) const;
  struct Session {
    OpenSession open;
    Answered answered;
    SeqMap<std::optional<Reply>> requests;  // Empty: applied, not answered yet.

    bool NeedsNoMore(uint64_t seq) const {
      return seq < answered.below || answered.others.Contains(seq);
    }
    void Forget(const Answered& more);
    void ForgetRun(uint64_t from, uint64_t to);
  };

  struct LoggedRequest {
    uint64_t seq = 0;
    BytesView op;
  };
  struct LoggedRequests {
    NodeId origin;
    uint64_t incarnation = 0;
    Answered answered;
    std::vector<LoggedRequest> requests;
  };
  static bool Decode(Reader* in, LoggedRequests* out);

  Position Advance(Index index, ClusterTime time, Effects* out);
  void ApplyRequests(Position at, Effects* out);
  void TellHeard(uint64_t from, uint64_t to);
  void ApplyRequest(const Position& at, const LoggedRequest& request, Session* session,
                    Effects* out);
  void Open(const Position& at, NodeId origin, const SessionName& name, Effects* out);
  void End(const Position& at, NodeId origin, Effects* out);
  // Keeps the answers in `out` from `first` on for their sessions, and takes out of it those whose
  // session is over or whose gateway needs them no more.
  void Keep(size_t first, Effects* out);
  static Result<void> LoadSession(Reader* in, std::map<NodeId, Session>* sessions);

  std::unique_ptr<StateMachine> machine_;
  std::map<NodeId, Session> sessions_;
  Index last_place_;           // Of the latest request.
  uint64_t sessions_ended_ = 0;    // Not part of the state: what this node has seen.
  uint64_t sessions_changed_ = 0;
  uint64_t answers_hash_ = 0;  // Over all entries and answers so far.
  LoggedRequests entry_;       // Being applied; reused.

  friend std::vector<BytesView> OperationsIn(BytesView data);
};

}  // namespace lockstep
