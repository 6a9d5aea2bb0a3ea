// One client's connection: what it has sent, what it is owed, in the order in which it asked.
//
// Always true:
//   1. Replies leave in the order of the commands. A command whose answer comes from a replicated
//      group opens a slot; what is answered behind it waits in a slot of its own.
//   2. Commands take effect in the order in which they were sent: a command runs only when those
//      before it have been answered, or are on their way to the same group in order, or when it has
//      no effect (PING). The shards of the queues go by themselves, as they do for a client that
//      sends each queue's commands to its node: order is within a queue.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "commands/client.h"
#include "commands/command.h"
#include "commands/task.h"
#include "src/base/ids.h"
#include "src/base/ring.h"
#include "src/base/seq_map.h"
#include "src/resp/parser.h"
#include "src/resp/reply.h"

namespace lockstep {

// What EXEC answers while the group's part of it is on its way: the replies that are known, and
// where the group's go.
struct ExecReply {
  std::vector<Reply> replies;
  std::vector<size_t> from_group;  // Positions in `replies`, in the order of the batch.
};

// A command, or those of an EXEC, that waits for its keys.
struct WaitingCommand {
  std::vector<std::vector<Bytes>> queue;  // One, but for an EXEC.
  bool exec = false;
};

// A command that asks several groups, and what it has asked.
struct Errand {
  struct Part {
    GroupId group;
    uint64_t seq = 0;       // The gateway's number.
    bool open = true;       // Not answered, not given up.
    bool may_wait = false;
    bool hands_over = false;
  };
  std::unique_ptr<Task> task;
  std::vector<Part> parts;
  std::optional<size_t> gave;  // The part that has handed something over.
};

class Session {
 public:
  // Output that the client has not taken: no more is made while there is as much.
  static constexpr size_t kOutputPauseBytes = size_t{1} << 20;

  enum class Stopped : uint8_t { kNo, kNil, kError };  // By CLIENT UNBLOCK.
  struct Slot {
    bool filled = false;
    bool muted = false;     // CLIENT REPLY OFF or SKIP.
    bool read = false;      // Linearizable: sees whatever is applied when it is answered.
    bool waits = false;     // The client may rightly wait long for it: it blocks the connection.
    bool binds = false;     // What it takes ends with the connection.
    bool hands_over = false;  // Its answer hands something over: see Propose.
    Reply reply;
    std::unique_ptr<ExecReply> exec;
    std::unique_ptr<WaitingCommand> waiting;
    std::unique_ptr<Errand> errand;
    // It waits for those before it: its answer points elsewhere, or it is a task to begin.
    bool parked = false;
    // It is run at the home of its key, as are those before it, which are on the same key. Until it
    // is answered it keeps what it waits with.
    bool shipped = false;
    bool committing = false;  // What it wrote is on its way to the log; the first slot's only.
    std::unique_ptr<Task> task;  // Parked; or if its answer is nil (Propose::if_nil).
    Stopped stopped = Stopped::kNo;
    size_t leaf = 0;        // Its command, for statistics.
    MonoTime started;
    GroupId group;
    uint64_t seq = 0;       // The gateway's number; 0: not a group's, or those of the errand.
    Bytes subject;          // Its first argument, for SLOWLOG.

    bool gives() const {
      return hands_over && filled && !reply.is_nil() && !reply.is_error() && seq != 0;
    }
  };

  // An answer that hands something over, and where in the output it ends.
  struct Handed {
    GroupId group;
    uint64_t seq = 0;
    uint64_t end = 0;  // kNoSeq: nobody reads it.
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
  std::vector<GroupId> bound; // Where something may be bound to it: its end must be told there.
  size_t ahead_bytes = 0;     // Of commands that wait behind one that waits for keys.
  bool running_held = false;  // Running those of its first slots whose keys are held.
  bool going_on = false;      // Following what its first slots point to.
  uint64_t spreads_epoch = 0; // What was known of partitions when it last asked a queue.
  const CommandSpec* last_leaf = nullptr;  // The row whose name client.last_command is.
  // A command that it has sent, as it wrote it: most clients send the same again.
  Bytes known_name;
  const CommandSpec* known_command = nullptr;
  bool leased = false;        // Its output shows what is good for a while only (Cache).
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
  // Takes out those that have left, as far as is known: all that was taken but `untaken` bytes, and
  // those that nobody reads.
  std::vector<Handed> TakeHandedBefore(size_t untaken);
  std::vector<Handed> TakeHanded() { return std::exchange(handed_, {}); }
  bool has_handed() const { return !handed_.empty(); }
  // The reply of a command that is answered at once. In order: behind open slots it waits.
  void Answer(Reply&& reply, bool muted);
  uint64_t Open(Slot slot);
  Slot* Find(uint64_t number);
  // What waited for keys asks a group now.
  void TurnIntoRead(Slot* slot, GroupId group, uint64_t seq) {
    slot->read = true;
    slot->group = group;
    slot->seq = seq;
    ++open_reads_;
  }
  Errand* Attach(Slot* slot, std::unique_ptr<Task> task);  // Until the slot is filled.
  void Park(Slot* slot, Reply elsewhere, std::unique_ptr<Task> task = nullptr);
  bool FirstIsParked() const { return !slots_.empty() && slots_[0].parked; }
  uint64_t FrontNumber() const { return first_slot_; }
  // The first waits for keys; so do all others that are not answered.
  bool WaitsForKeys() const { return !slots_.empty() && slots_[0].waiting != nullptr; }
  bool Commits() const { return !slots_.empty() && slots_[0].committing; }
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
  size_t open_hand_overs() const { return open_hand_overs_; }
  size_t open_errands() const { return open_errands_; }
  void Bind(GroupId group) {
    if (std::find(bound.begin(), bound.end(), group) == bound.end()) bound.push_back(group);
  }
  // Whether all open slots that are not filled ask the locks, or shards. (They ask one or the other
  // by construction: what asks elsewhere waits until the session is idle.)
  bool AllSlotsAskLikeThis(GroupId group) const {
    return !slots_.empty() && IsShard(asked_) == IsShard(group);
  }

  bool HasOutput() const { return !out_.empty(); }
  Bytes TakeOutput() {
    taken_ += out_.size();
    expected_ = std::min(out_.size(), kExpectedBytesMax);
    return std::exchange(out_, Bytes());
  }
  // Where the next reply may be written at once; null: it has to wait for others.
  Bytes* Straight() { return slots_.empty() ? &out_ : nullptr; }
  // Commands are run now: there will be about as much output as the last time.
  void ExpectOutput() {
    if (out_.capacity() < expected_) out_.reserve(expected_);
  }
  size_t output_bytes() const { return out_.size() + backlog; }

 private:
  Ring<Slot> slots_;
  uint64_t first_slot_ = 1;
  GroupId asked_;  // By the latest slot that was opened.
  size_t open_reads_ = 0;       // Not filled yet,
  size_t open_hand_overs_ = 0;  // as these,
  size_t open_errands_ = 0;     // and these, which are parked or have an errand.
  static constexpr size_t kExpectedBytesMax = 16 * 1024;
  Bytes out_;
  size_t expected_ = 0;
  uint64_t taken_ = 0;          // Bytes of output taken so far.
  std::vector<Handed> handed_;  // In their order in the output.
};

}  // namespace lockstep
