// Consensus of one group (Ongaro & Ousterhout 2014; Ongaro's thesis). A pure state machine: bytes,
// clocks, disks and threads are its host's.
//
//   host:  Tick(now) · Step(now, message) · Propose(...) · Read(...) · Persisted(n)
//          then Drain(n): what to write, what to send, what to apply, which reads may be answered.
//
// Always true (CheckInvariants; tests and simulator call it after every step):
//   1. At most one leader a term, in the whole group (the checker compares nodes).
//   2. commit <= last index; applied <= commit; log terms and stamps never fall.
//   3. A message that promises something durable (a vote, an append acknowledgement, an installed
//      snapshot, the leader's own acknowledgement) leaves only after Persisted() has covered it.
//   4. Only an entry of the leader's own term is committed by counting (§5.4.2).
//   5. A read is confirmed only after an entry of this term has committed, and after a quorum has
//      answered a heartbeat that was sent after the read came (§6.4).
//   6. One configuration change at a time, none before an entry of this term has committed
//   (Ongaro's
//      2015 correction), each through a joint configuration.
//
// Not thread-safe: owned by ShardHost, used on the node thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cluster/raft/messages.h"
#include "cluster/raft/types.h"
#include "src/base/log.h"
#include "src/base/rng.h"

namespace lockstep::raft {

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
const char* RoleName(Role role);

struct Options {
  Member self;
  int64_t election_timeout_us = 500'000;   // Drawn from this to twice this, anew each time.
  int64_t heartbeat_us = 100'000;
  // A commit that has no entries to ride on is told to the followers after so long. They lag behind
  // by as much when a group falls silent; under load the next entries come sooner, and each message
  // that only says "committed" is saved, and its answer.
  int64_t commit_notice_us = 0;
  size_t window_entries_max = 4096;        // In flight to one follower.
  size_t window_bytes_max = 8 * 1024 * 1024;
  size_t append_bytes_max = 1024 * 1024;   // Of one AppendRequest; one larger entry goes alone.
  // Not committed, or not on our own disk: past it Propose refuses (trap 17).
  size_t uncommitted_bytes_max = 64 * 1024 * 1024;
  uint64_t seed = 1;                       // For election timeouts.
  // A leader's snapshot needs something from beside it: it is offered to the host, which says when
  // to install it (AcceptSnapshot).
  bool offers_snapshots = false;
};

// What the disk gave back at start. A new group has a snapshot at index 0 whose config is the first
// membership, and no data.
struct Recovered {
  HardState hard;
  Snapshot snapshot;           // `data` may be empty here: the host keeps it.
  std::vector<Entry> entries;  // Consecutive, the first follows snapshot.last.
};

// What Drain hands out. Records are to be written atomically, in the order of Drains, in the write
// whose number was given to Drain; Persisted(number) says that it is on disk.
struct Ready {
  std::optional<HardState> hard;
  std::vector<Entry> append;          // Entries to write; whatever the disk has at or above
                                      // append.front() is replaced by them.
  std::optional<Snapshot> install;    // A snapshot from the leader: replaces log and state machine.
                                      // To be written in the same batch, and loaded before `apply`.
  std::optional<Snapshot> offered;    // A whole one from the leader: see Options. Until it is
                                      // accepted, everything goes on as if it had not come.
  std::vector<Message> messages;      // May leave at once, in any order.
  Index apply_from;                   // Entries in [apply_from, apply_to] are committed and to be
  Index apply_to;                     // applied now; none if apply_to < apply_from.
  struct Confirmed {                  // Reads up to this position may be answered once
    uint64_t position = 0;            // the state machine has applied `index`.
    Index index;
  };
  std::vector<Confirmed> reads;
  bool reads_lost = false;            // Leadership went: every unconfirmed read is void.
  bool wants_snapshot = false;        // A follower needs what is compacted away: call
                                      // ProvideSnapshot().
  bool empty() const;
};

// How the leader sees a member; for INFO, CLUSTER STATUS and membership decisions.
struct MemberStatus {
  Member member;
  bool voter = false;
  Index match;
  Index next;
  bool active = false;      // Heard from within an election timeout.
  bool snapshotting = false;
};

class Raft {
 public:
  // `narrator` may be null; it outlives this.
  Raft(const Options& options, Recovered recovered, MonoTime now, Narrator* narrator);
  ~Raft();
  Raft(const Raft&) = delete;
  Raft& operator=(const Raft&) = delete;

  // Inputs. Time never falls from one call to the next. -----------------------------------------

  // Timeouts. Cheap when nothing is due; NextTick() says when something will be.
  void Tick(MonoTime now);
  MonoTime NextTick() const;

  // A message from the member `message.from`. Its envelope is already checked: right cluster, right
  // group, sent by the disk that the group's config names (the host sees to that).
  void Step(MonoTime now, Message message);

  enum class Refusal : uint8_t {
    kNone,
    kNotLeader,
    kTransferring,
    kFull,
    kConfigPending,
    kBadConfig
  };
  struct Proposal {
    Refusal refusal = Refusal::kNone;
    Index index;  // Where it stands in the log, if not refused. It may yet be overwritten.
  };
  // Whether Propose would refuse that many bytes of data, after others of `ahead` bytes.
  Refusal WouldRefuse(size_t bytes, size_t ahead) const;
  // Something that we appended is neither on our disk nor committed. What is proposed now gets its
  // turn no sooner than what is proposed when that has changed.
  bool HasAppendUnderWay() const;
  // Appends, stamped with the cluster time of now. kPulse needs no data.
  Proposal Propose(MonoTime now, EntryKind kind, Bytes data);
  // Goes to `voters` and `learners` through a joint configuration; both steps are ours.
  Proposal ProposeConfig(MonoTime now, std::vector<Member> voters, std::vector<Member> learners);

  // A linearizable read (leader only; 0 if not leader). All reads of one turn share one position
  // and one round. Confirmed in Ready::reads, lost with Ready::reads_lost.
  uint64_t Read(MonoTime now);

  // Everything handed out by Drain(n) for n <= `write` is on disk.
  void Persisted(MonoTime now, uint64_t write);

  // The snapshot that wants_snapshot asked for: state as of applied().
  void ProvideSnapshot(Snapshot snapshot);
  // What was offered may be installed: in Ready::install of the next Drain, unless the log has got
  // as far meanwhile.
  void AcceptSnapshot(Snapshot snapshot);
  // The host has persisted a snapshot at `to` (<= applied), after all writes whose records it
  // stands for: the log up to there may go. The log's `keep` last entries, as far as `keep_bytes`
  // hold them, stay in memory for followers that are a little behind.
  void Compact(Index to, size_t keep, size_t keep_bytes = SIZE_MAX);

  // Hands leadership to `target`; given up after an election timeout (trap 15). False: not leader,
  // or the target is no voter.
  bool TransferLeadership(MonoTime now, NodeId target);
  // The link to `node` was lost or came back: what was in flight may be gone.
  void Unreachable(NodeId node);

  // Output. `write` numbers the write that will hold what is handed out; it never falls.
  Ready Drain(MonoTime now, uint64_t write);
  bool HasReady() const;  // Drain has work to do. What it hands out may still turn out to be empty.

  // State. --------------------------------------------------------------------------------------
  Role role() const;
  bool is_leader() const { return role() == Role::kLeader; }
  Term term() const;
  NodeId leader() const;            // kNoNode: unknown.
  // It leads, or was heard within two election timeouts: a node that cannot stand, or was let go
  // of, keeps the name of a leader that may be gone.
  bool HearsLeader(MonoTime now) const;
  // When the latest round of heartbeats was begun that a quorum has answered in this term: nobody
  // else was elected before that. 0: none yet, or it does not lead. Only once an entry of the term
  // has committed. Who decides alone needs to hear nobody: then it is `now`.
  MonoTime MajorityHeard(MonoTime now) const;
  // Of the last entry before its own term, as the leader: in it another may have led. 0: none.
  Term TermBefore() const;
  bool IsReceiving() const;         // Part of a snapshot is here.
  Index copy() const;               // See HardState.
  Index commit() const;
  Index applied() const;            // Highest index handed out to be applied.
  LogId last() const;
  Index first_index() const;        // Lowest index still in memory.
  LogId snapshot_id() const;
  const Entry& entry(Index index) const;   // first_index() <= index <= last().index.
  size_t log_bytes() const;         // Of the entries in memory.
  ClusterTime time(MonoTime now) const;  // Leader: runs. Others: the latest heard; stands still.
  const Config& config() const;     // In force: the latest in the log.
  Index config_index() const;       // Where it stands there; at or below the snapshot: in it.
  // In force as of `index`, from first_index() - 1 to last().index: what a snapshot taken there
  // names.
  const Config& ConfigAt(Index index) const;
  bool config_pending() const;      // A change is not committed yet, or joint.
  NodeId transfer_target() const;   // kNoNode: no transfer under way.
  bool was_handed() const;          // It leads, and the leader before wanted it to.
  std::vector<MemberStatus> members() const;  // Leader only; else empty.
  uint64_t elections() const;       // Times that this node became leader since it started.

  // CHECKs what always holds within one node.
  void CheckInvariants() const;

 private:
  struct State;  // The implementer's: split over election.cc, replication.cc, snapshot.cc, ...
  std::unique_ptr<State> state_;
};

}  // namespace lockstep::raft
