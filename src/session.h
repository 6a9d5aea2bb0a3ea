// One client's connection: what it has sent, what it is owed, in the order in which it asked.
//
// Always true:
//   1. Replies leave in the order of the commands. A command whose answer comes from a replicated
//      group opens a slot; what is answered behind it waits in a slot of its own.
//   2. Commands take effect in the order in which they were sent: a command runs only when those
//      before it have been answered, or are on their way to the same group in order, or when it has
//      no effect (PING).
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "commands/client.h"
#include "src/base/ids.h"
#include "src/base/ring.h"
#include "src/resp/parser.h"
#include "src/resp/reply.h"

namespace lockstep {

// What EXEC answers while the group's part of it is on its way: the replies that are known, and
// where the group's go.
struct ExecReply {
  std::vector<Reply> replies;
  std::vector<size_t> from_group;  // Positions in `replies`, in the order of the batch.
};

class Session {
 public:
  // Output that the client has not taken: no more is made while there is as much.
  static constexpr size_t kOutputPauseBytes = size_t{1} << 20;

  struct Slot {
    bool filled = false;
    bool muted = false;     // CLIENT REPLY OFF or SKIP.
    bool read = false;      // Linearizable: sees whatever is applied when it is answered.
    bool waits = false;     // The client may rightly wait long for it: it blocks the connection.
    bool binds = false;     // What it takes ends with the connection.
    Reply reply;
    std::unique_ptr<ExecReply> exec;
    size_t leaf = 0;        // Its command, for statistics.
    MonoTime started;
    GroupId group;
    uint64_t seq = 0;       // The gateway's number; 0: not a group's.
    Bytes subject;          // Its first argument, for SLOWLOG.
  };

  explicit Session(Client c) : client(std::move(c)) {}

  Client client;
  resp::Parser parser;
  // What must come before its next command can run; slots and pauses say so themselves.
  enum class Lack : uint8_t { kNothing, kBytes, kOutputRoom };
  Lack lack = Lack::kNothing;
  bool closing = false;       // Nothing more is read; closes when all is answered.
  bool killed = false;        // Closes at once, whatever it is owed.
  bool close_told = false;    // The shell knows; its ClientClosed is on the way.
  bool bound = false;         // Something may be bound to it: its end must be told.
  bool stalled = false;       // Its command waits for the end of a pause.
  bool runnable = false;      // In the node's list of sessions to run.
  bool dirty = false;         // In the node's list of sessions whose output is to be collected.
  bool reading = true;        // The shell reads from its socket.
  MonoTime stranger_since;    // While it is not authenticated: how long it has been so.
  size_t backlog = 0;         // Output that the socket has not taken.
  std::optional<MonoTime> soft_limit_since;
  std::vector<std::vector<Bytes>> queue;  // Between MULTI and EXEC.
  size_t queued_bytes = 0;                // Of it; at most kMultiQueueBytesMax.

  // Output. ---------------------------------------------------------------------------------------
  // What is to be written now, in the client's protocol.
  void Write(const Reply& reply);
  void WriteRaw(BytesView bytes) { out_ += bytes; }
  // The reply of a command that is answered at once. In order: behind open slots it waits.
  void Answer(Reply reply, bool muted);
  uint64_t Open(Slot slot);
  Slot* Find(uint64_t number);
  Slot& BackSlot() { return slots_.back(); }
  uint64_t BackNumber() const { return first_slot_ + slots_.size() - 1; }
  // Gives an open slot its reply and writes all that is ready.
  void Fill(uint64_t number, Reply reply);
  void WriteReady();

  bool idle() const { return slots_.empty(); }
  size_t open_slots() const { return slots_.size(); }
  // The slot that blocks the connection, if one does. It is the last.
  Slot* Blocking() { return IsBlocked() ? &slots_.back() : nullptr; }
  bool IsBlocked() const;
  const Ring<Slot>& slots() const { return slots_; }
  size_t open_reads() const { return open_reads_; }
  // Whether all open slots that are not filled ask this group. (They ask one group by construction:
  // what asks another waits until the session is idle.)
  bool AllSlotsAsk(GroupId group) const { return !slots_.empty() && asked_ == group; }

  bool HasOutput() const { return !out_.empty(); }
  Bytes TakeOutput() { return std::exchange(out_, Bytes()); }
  size_t output_bytes() const { return out_.size() + backlog; }

 private:
  Ring<Slot> slots_;
  uint64_t first_slot_ = 1;
  GroupId asked_;  // By the latest slot that was opened.
  size_t open_reads_ = 0;  // Not filled yet.
  Bytes out_;
};

}  // namespace lockstep
