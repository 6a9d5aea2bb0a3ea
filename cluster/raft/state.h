// Raft's state and its steps, shared by the files that each hold one idea of the protocol:
//
//   raft.cc         the public face: construction, dispatch, time, Drain, Persisted
//   election.cc     pre-vote, vote, becoming leader, stepping down      (thesis §3.4, §9.6, §6.4.1)
//   transfer.cc     handing leadership over                             (§3.10)
//   replication.cc  entries out, acknowledgements in, commit            (§3.5, §3.6, §10.2)
//   read_index.cc   linearizable reads and the heartbeats they ride on  (§6.4)
//   snapshot.cc     pieces out, pieces in, installing, compaction       (§5)
//   membership.cc   joint consensus                                     (§4.3)
//   invariants.cc   what always holds
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "cluster/raft/progress.h"
#include "cluster/raft/raft.h"
#include "cluster/raft/raft_log.h"
#include "src/base/limits.h"

namespace lockstep::raft {

// "term/index", as narrations write it.
Bytes Text(LogId id);
Bytes Text(const Config& config);
Bytes Text(const Entry& entry);

// Pieces of a snapshot in flight to one follower, in bytes.
constexpr uint64_t kSnapshotWindowBytes = 2 * kSnapshotChunkBytes;
// In election timeouts: how long a silent follower's transfer is kept.
constexpr int64_t kSnapshotPatience = 20;

// The line is built only if somebody listens. For use inside Raft::State.
#define RAFT_SAYS(...)                                  \
  do {                                                  \
    if (narrator != nullptr && narrator->Narrating()) { \
      narrator->Say(::lockstep::Format(__VA_ARGS__));   \
    }                                                   \
  } while (false)

// A snapshot that arrives piece by piece: what is here, what was announced.
struct IncomingSnapshot {
  Snapshot snapshot;
  uint64_t total = 0;
  uint32_t checksum = 0;
};

struct Raft::State {
  State(const Options& options, Recovered recovered, MonoTime now, Narrator* narrator);

  // raft.cc -------------------------------------------------------------------------------------
  void Advance(MonoTime to);
  void Tick();
  MonoTime NextTick() const;
  void Step(Message& m);
  void OnOlderTerm(const Message& m);
  void Persisted(uint64_t write);
  Ready Drain(uint64_t write);
  bool HasReady() const;
  ClusterTime Time() const;
  void HearTime(Term term, ClusterTime heard);

  // Leaves with the next Drain.
  void Send(NodeId to, Body body) { Send(to, hard.term, std::move(body)); }
  void Send(NodeId to, Term term, Body body);
  // Leaves once all that is to be written by now is on disk; never, if our term moves on before.
  void Promise(NodeId to, Body body);
  void ReleasePromises();

  // Whether the configuration knows this node as the member that it is: its number and its disk.
  bool IsMe(const Member& member) const { return member == options.self; }
  bool IAmVoter() const;
  bool MayStand() const;
  bool IDecideAlone() const;
  bool HasItsCopy() const;  // Or it promises nothing: see HardState.
  static Index* CopyIn(Body* body);
  void NameCopy(Body* body) const;
  bool AmReplaced() const;  // Our number now belongs to another disk.

  // election.cc ---------------------------------------------------------------------------------
  enum class Ballot : uint8_t { kPre, kReal, kTransfer };
  void Campaign(Ballot ballot);
  void CountBallot();
  void OnVoteRequest(const Message& m, const VoteRequest& request);
  void OnVoteReply(const Message& m, const VoteReply& reply);
  Bytes WhyNoVote(const Message& m, const VoteRequest& request, bool sticky) const;
  bool HearsOtherLeaderThan(NodeId node) const;
  void FollowLeader(const Message& m);
  void BecomeFollower(Term new_term, NodeId new_leader);
  void BecomeLeader();
  void LayDownLeadership();
  void RestartElectionTimer();
  void CheckQuorum();

  // transfer.cc ---------------------------------------------------------------------------------
  bool TransferLeadership(NodeId target);
  void ContinueTransfer();
  void AbandonTransfer(const char* why);
  void OnTimeoutNow(const Message& m);

  // replication.cc ------------------------------------------------------------------------------
  Refusal WouldRefuse(size_t bytes, size_t ahead) const;
  Proposal Propose(EntryKind kind, Bytes data);
  Index AppendOwn(EntryKind kind, Bytes data);
  enum class Due : uint8_t { kNothing, kRequest, kSnapshot, kChunk };
  Due DueTo(const Progress& progress) const;
  bool AwaitsNotice(const Progress& progress) const;
  bool AnyAwaitsNotice() const;
  void Replicate();
  void SendAppend(NodeId to, Progress* progress);
  void OnAppendRequest(const Message& m, AppendRequest& request);
  void StoreEntries(NodeId from, std::vector<Entry> entries);
  void OnAppendReply(const Message& m, const AppendReply& reply);
  void OnMatch(NodeId from, Progress* progress, Index match);
  void AdvanceCommit();
  void CommitTo(Index index);
  bool CommittedInThisTerm() const;
  Progress* ProgressOf(NodeId node);
  Index MatchOf(const Member& member) const;

  // read_index.cc -------------------------------------------------------------------------------
  uint64_t Read();
  void BeginRound();
  void OnHeartbeatRequest(const Message& m, const HeartbeatRequest& request);
  void OnHeartbeatReply(const Message& m, const HeartbeatReply& reply);
  void ConfirmReads();

  // snapshot.cc ---------------------------------------------------------------------------------
  void BeginSnapshot(NodeId to, Progress* progress);
  void SendChunk(NodeId to, Progress* progress);
  void ProvideSnapshot(Snapshot snapshot);
  void OnSnapshotReply(const Message& m, const SnapshotReply& reply);
  void OnSnapshotChunk(const Message& m, const SnapshotChunk& chunk);
  bool TakeChunk(const SnapshotChunk& chunk);
  void AcceptSnapshot(Snapshot snapshot);
  void Install(Snapshot snapshot, NodeId from);
  void GiveUpIdleTransfers();
  void Compact(Index to, size_t keep, size_t keep_bytes);

  // membership.cc -------------------------------------------------------------------------------
  Proposal ProposeConfig(std::vector<Member> voters, std::vector<Member> learners);
  bool ConfigPending() const;
  void OnConfigChanged();
  void ContinueConfigChange();
  std::vector<MemberStatus> Members() const;

  // invariants.cc -------------------------------------------------------------------------------
  void CheckInvariants() const;

  // ---------------------------------------------------------------------------------------------
  const Options options;
  Narrator* const narrator;
  Rng rng;
  MonoTime now;  // Of the input that is being worked on.

  HardState hard;
  HardState handed_hard;  // As last handed out to be written.
  RaftLog log;
  Index commit;
  Index applied;
  LogId snapshot_id;  // Of the host's own snapshot.

  Role role = Role::kFollower;
  NodeId leader = kNoNode;
  MonoTime heard_leader;
  MonoTime election_deadline;
  std::map<NodeId, bool> votes;  // Of the ballot under way. At most one a member.
  uint64_t elections = 0;

  // Cluster time. While leading it is `time` + what our clock has advanced since `time_since`.
  ClusterTime time;
  Term time_term;  // Of the leader whose time it is.
  MonoTime time_since;

  // While leading. ------------------------------------------------------------------------------
  std::map<NodeId, Progress> progress;  // Of all other members: at most kNodesMax.
  size_t uncommitted_bytes = 0;
  MonoTime heartbeat_deadline;
  MonoTime notice_deadline;  // Of the oldest commit that some follower was not told of.
  bool heartbeat_due = false;
  MonoTime quorum_deadline;  // Until then a quorum has surely been heard from in time.
  NodeId transfer_target = kNoNode;
  MonoTime transfer_deadline;
  bool transfer_sent = false;
  bool handed = false;  // It stands, or leads, since the leader before has said so.

  struct PendingRead {
    uint64_t position;
    Index index;
  };
  std::deque<PendingRead> reads;  // One a round; CheckQuorum bounds how long they can pile up.
  uint64_t read_round = 0;        // The last that heartbeats have carried. Never reset.
  struct Round {
    uint64_t number = 0;
    MonoTime began;
  };
  std::deque<Round> rounds;  // While leading: those that no quorum has answered yet, in order.
  Term term_before;          // Of the last entry before this term's first.
  MonoTime majority_heard;   // Began the latest that one has; 0: none in this term.
  bool round_due = false;  // The last of `reads` waits for the next Drain to begin its round.

  std::weak_ptr<const OutgoingSnapshot> outgoing;  // Held by the transfers that use it.
  bool snapshot_asked = false;                     // The host owes us one.

  // While following: the snapshot that is coming in. --------------------------------------------
  std::optional<IncomingSnapshot> incoming;
  std::optional<Snapshot> offered;  // To be handed out.
  LogId offered_id;                 // Of the latest that was, until it is accepted.
  NodeId offered_by;

  // On its way out. -----------------------------------------------------------------------------
  struct HeldMessage {
    Message message;
    uint64_t covered_by;  // The write, plus one, that must be on disk. kNotHandedOut: next Drain's.
  };
  static constexpr uint64_t kNotHandedOut = ~uint64_t{0};
  std::deque<HeldMessage> promises;  // In order, so the first is always covered first.
  // Numbers of writes plus one, so that a host may begin with 0.
  uint64_t last_record = 0;  // The last write that holds a record of ours.
  uint64_t persisted = 0;
  uint64_t last_drain = 0;

  std::vector<Message> messages;
  std::optional<Snapshot> install;
  std::vector<Ready::Confirmed> confirmed;
  bool reads_lost = false;
  bool wants_snapshot = false;
};

}  // namespace lockstep::raft
