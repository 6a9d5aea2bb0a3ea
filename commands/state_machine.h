// What a Raft group replicates: a machine that does the same on every node.
//
// Always true of every machine:
//   1. Deterministic: state and effects follow from the operations and their stamps alone. No
//   clock,
//      no dice, no pointer order, no walk over a hash map, no floating point in a decision.
//   2. Load(Save()) gives a machine that goes on exactly as the saved one would have: waits, ages,
//      deadlines and counters included (trap 30).
#pragma once

#include <utility>
#include <vector>

#include "src/base/codec.h"
#include "src/base/result.h"
#include "src/resp/reply.h"

namespace lockstep {

// What applying an entry causes outside the machine, in order.
struct Effects {
  struct Answer {
    RequestId request;
    Reply reply;
  };
  struct Event {  // To the subscribers of a channel; each node tells its own.
    Bytes channel;
    Bytes payload;
  };
  std::vector<Answer> answers;
  std::vector<Event> events;
  struct KeyChange {  // Of what the log knows of a key.
    Bytes key;
    bool written = false;  // Else its time was over.
  };
  std::vector<KeyChange> keys;

  void Clear() {
    answers.clear();
    events.clear();
    keys.clear();
  }

  void Give(const RequestId& request, Reply reply) {
    answers.push_back({request, std::move(reply)});
  }
  void Tell(Bytes channel, Bytes payload) {
    events.push_back({std::move(channel), std::move(payload)});
  }
};

// Where and when an operation stands in the one order of all of its group: an entry holds many, so
// this is the entry's index, or more: each operation's is above those of all before it.
struct Position {
  Index index;
  ClusterTime time;
  // The log entry that it stands in, and its data, which the operation is a piece of. None for a
  // pulse.
  Index entry{};
  BytesView data{};
};

// What has a deadline lasts through it. Stamps are cut to whole milliseconds: an entry stamped with
// the deadline may have come up to one before it, and no lease is shorter than its TTL.
inline bool IsOver(ClusterTime deadline, ClusterTime now) { return deadline < now; }

class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // The stamp of the next entry: everything whose deadline IsOver ends now, in the order of the
  // deadlines. Called before Apply, and alone for a pulse.
  virtual void Advance(const Position& at, Effects* out) = 0;

  // `op` was made by this machine's own command handlers, but may be of another version: what it
  // cannot read it answers with an error and leaves the state as it was. It may answer `request`
  // later, in another entry.
  virtual void Apply(const Position& at, const RequestId& request, BytesView op, Effects* out) = 0;

  // What was proposed for durable keys (cluster/mesi/durable.h). False: unreadable, or this machine
  // has none; nothing has changed.
  virtual bool ApplyKeys(const Position& /*at*/, BytesView /*op*/, Effects* /*out*/) {
    return false;
  }

  // The sessions of `origin` below `incarnation` are over: their waits end, and what is bound to
  // their connections.
  virtual void EndSessions(const Position& at, NodeId origin, uint64_t incarnation,
                           Effects* out) = 0;

  // The gateway of these requests has said that it needs their answers no more: whoever asked has
  // them, or is not there to have them and what they gave was given back before.
  virtual void Heard(const RequestId& /*from*/, const RequestId& /*to*/) {}

  // A read. Changes nothing.
  virtual Reply Query(ClusterTime now, BytesView query) const = 0;
  // How many records reads have looked at so far: short answers may cost long walks.
  virtual uint64_t query_work() const { return 0; }

  // When Advance would next have something to do; kNeverCluster if nothing waits for time.
  virtual ClusterTime NextDeadline() const = 0;

  // What is large may stay in the log, and the state only say where (Reply::Logged): the entries
  // that it needs are kept for it, though a snapshot stands for them.
  virtual bool NeedsEntry(Index /*entry*/) const { return false; }
  // Those behind `after`, ascending.
  virtual std::vector<Index> NeededAfter(Index /*after*/) const { return {}; }
  // Those that were needed and are no more, since this was last asked.
  virtual std::vector<Index> TakeUnneeded() { return {}; }

  virtual void Save(Writer* out) const = 0;
  virtual Result<void> Load(Reader* in) = 0;
  // What Save would give now, by and by while operations go on: at each call of SaveMore about so
  // many records; true: that was the last. One at a time; EndSave or Load gives it up.
  virtual void BeginSave(Writer* out) { Save(out); }
  virtual bool SaveMore(size_t /*records*/, Writer* /*out*/) { return true; }
  virtual void EndSave() {}

  // Equal on all nodes at equal index, and different (almost surely) if the states differ. Cheap:
  // kept up to date by Apply.
  virtual uint64_t Hash() const = 0;

  virtual void CheckInvariants() const = 0;
};

}  // namespace lockstep
