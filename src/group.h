// One Raft group on this node: the log's engine, the machine that it drives, and the disk's
// records.
//
// Requests come in (from this node's gateway or another's), are logged, replicated, applied on
// every member, and answered: each member hears each answer in its own Apply and tells its own
// clients; the leader also tells the gateways elsewhere, which saves them the wait for their own
// commit index.
//
// A leader gathers what comes while its latest append is on its way to the disks: so under load a
// disk has one write under way and the next one is as large as can be (group commit), and all that
// comes at once is one entry a gateway.
//
// Always true:
//   1. A read is answered from a state at least as new as everything that was in the leader's log
//      when the read came: so it sees every write answered before it, and the writes before it on
//      its own connection.
//   2. A read is answered only while the session that asks is open: so it sees the writes before it
//      on its connection though they have to be asked anew.
//   3. No lease ends in a read: only an entry's stamp ends it. So a read never tells of an expiry
//      that a next leader could take back.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <variant>

#include "cluster/raft/raft.h"
#include "commands/replica.h"
#include "src/body_cache.h"
#include "src/log_store.h"

namespace lockstep {

class Group {
 public:
  struct Options {
    GroupId id;
    Bytes name;                       // "control", "locks".
    size_t log_bytes_max = 64 << 20;  // A snapshot is taken when the log in memory is larger,
    uint64_t snapshot_entries = 200'000;  // or when this many entries were applied since the last.
    size_t save_records = 5'000;          // Of a snapshot at a time: about a millisecond.
    // For what the state has left in the log: how one value is read from the disk, what was read
    // lately (of all groups), and an empty machine to see what a snapshot needs. The first may be
    // empty if the machine leaves nothing there.
    LogStore::Read read{};
    BodyCache* cache = nullptr;
    std::function<std::unique_ptr<StateMachine>()> make_machine{};
    // Shared by the groups of a node: one of them is making a snapshot, the others wait with
    // theirs. None: it is alone.
    bool* is_saving = nullptr;
    // Answers reads that are none of the machine's (IsCacheQuery), which came at `asked`. One that
    // it cannot answer yet (SaysAgain) is kept for a moment, and those behind it.
    std::function<Reply(MonoTime now, MonoTime asked, BytesView query)> ask_cache{};
  };

  // Told during Drain.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnAnswer(Group& group, const RequestId& request, Reply reply) = 0;
    virtual void OnEvent(const Bytes& channel, const Bytes& payload) = 0;
    virtual void OnKeys(Group& /*group*/, std::vector<Effects::KeyChange> /*changed*/) {}
    virtual void OnMessage(Group& group, raft::Message message) = 0;
    virtual void OnInstalled(Group& group) = 0;  // A snapshot: what it holds was not seen applied.
    virtual void OnStateHash(Group& group, Index index, uint64_t hash) = 0;  // Due to be compared.
    // The leader is to be asked for the data of these entries. False: not now.
    virtual bool OnFetch(Group& group, std::vector<Index> entries) = 0;
  };

  // `raft` and `replica` stand at the same snapshot; `time` is its stamp.
  Group(const Options& options, LogStore store, std::unique_ptr<raft::Raft> raft,
        std::unique_ptr<Replica> replica, ClusterTime time, Listener* listener);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Requests. -------------------------------------------------------------------------------------
  // kYes: it will be in the log, in the order of these calls, or this node's term as the leader is
  // over.
  enum class Taken : uint8_t { kYes, kNotLeader, kFull };
  Taken Write(const RequestId& request, BytesView op, const Answered& answered);
  // `logged`: as EncodeOpenSession or EncodeSessionOver made it.
  Taken WriteAlone(Bytes logged);
  Taken Read(const RequestId& request, BytesView query);

  // Raft's inputs. --------------------------------------------------------------------------------
  void Step(MonoTime now, raft::Message message) { MutableRaft().Step(now, std::move(message)); }
  void Tick(MonoTime now);
  void Persisted(MonoTime now, uint64_t write);

  // Records go to `batch`, which is write number `write`; the rest to the listener.
  void Drain(MonoTime now, uint64_t write, WriteBatch* batch);
  // A node has many groups, and most of them have nothing to do in most turns: what follows is
  // cheap to ask. Drain changes nothing unless it HasWork; Tick nothing before NextWakeup;
  // Persisted nothing unless it AwaitsDisk.
  bool HasWork() const { return touched_; }
  MonoTime NextWakeup() const { return wakeup_; }
  bool AwaitsDisk() const { return awaited_write_ != 0; }
  // Differs from what it was if the group may have changed since.
  uint64_t turns() const { return 2 * turns_ + (touched_ ? 1 : 0); }
  // A snapshot is made by and by: once in a turn, while it MaySave. What it has given to the disk
  // must be there before more of it comes.
  bool MaySave() const { return saving_ && saving_->write == 0; }
  void SaveSome(uint64_t write, WriteBatch* batch);
  // A follower needs a snapshot.
  bool WantsSnapshot() const { return wants_snapshot_; }
  void ProvideSnapshot();

  // What the state has left in the log (group_bodies.cc). -----------------------------------------
  // Puts it into the reply. False: the state has let go of it since; or, on a node that was brought
  // up to date a moment ago and does not lead, it is not readable yet.
  bool Resolve(Reply* reply);
  void ResolveWhatIsThere(Reply* rows);  // Without the rows of which the state has let go.
  static constexpr size_t kFetchEntriesMax = 256;  // Asked for at once.
  struct Fetched {
    Index entry;
    std::optional<Bytes> data;  // None: it is needed no more.
  };
  std::vector<Fetched> Give(const std::vector<Index>& entries);
  void OnFetched(MonoTime now, std::vector<Fetched> fetched);
  bool IsFetching() const { return arriving_ && !arriving_->lacks.empty(); }
  // Something of the group is here, or on its way.
  bool HasCopy() const {
    return raft_->last().index.value > 0 || raft_->IsReceiving() || arriving_.has_value();
  }

  // What the leader's machine hashed to at `index`. CHECKs that ours did too: nodes that differ
  // have granted different things, and going on would make it worse.
  void CompareStateHash(Index index, uint64_t hash);

  GroupId id() const { return options_.id; }
  const Bytes& name() const { return options_.name; }
  // To change it, which makes work.
  raft::Raft& MutableRaft() {
    touched_ = true;
    return *raft_;
  }
  const raft::Raft& raft() const { return *raft_; }
  Replica& replica() { return *replica_; }
  const Replica& replica() const { return *replica_; }
  Index applied() const { return applied_; }
  // Whether the state here has all that was committed before the leader's term, and all that it has
  // told us of since. After a start it has not, until a leader is heard.
  bool IsCurrent() const {
    return raft_->leader() != kNoNode && applied_ == raft_->commit() &&
           applied_id_.term == raft_->term();
  }
  uint64_t snapshots_taken() const { return snapshots_taken_; }
  uint64_t snapshots_installed() const { return snapshots_installed_; }
  void CheckInvariants() const;

 private:
  struct WaitingRead {
    uint64_t position = 0;
    RequestId request;
    Bytes query;
    std::optional<Index> index;  // Confirmed: to be answered once this is applied.
    std::optional<MonoTime> asked{};  // Of a question to the cache: when it could first be.
  };
  using Gathered = std::variant<RequestsEntry, Bytes, WaitingRead>;  // Bytes: an entry's data.
  struct HashAt {
    Index index;
    uint64_t hash = 0;
  };

  void ForgetGatheredBefore(Term term);
  Taken Admit(size_t bytes);
  void ProposeGathered(MonoTime now);
  bool ProposeFirst(MonoTime now);
  void Apply(Index from, Index to);
  void ConfirmReads(const raft::Ready::Confirmed& confirmed);
  bool ReadIsDue() const;
  void AnswerReads(MonoTime now);
  Reply AskCache(MonoTime now, WaitingRead* read);
  void Install(const raft::Snapshot& snapshot, WriteBatch* batch);
  void BeginSnapshotIfDue(WriteBatch* batch);
  void BeginSaving(bool for_follower);
  void SaveForFollower();
  void FinishSnapshot(uint64_t write, WriteBatch* batch);
  void GiveUpSaving(WriteBatch* batch);
  void EndSaving();
  void ProposePulseIfDue(MonoTime now);
  bool PulseIsUnderWay() const;
  void RememberHash(Index index);
  void CompareKnownHashes();

  MonoTime NextWakeup(MonoTime now) const;
  void RunRaft(MonoTime now, uint64_t write, WriteBatch* batch);
  bool ReadSpan(const LogSpan& span, Bytes* out);
  bool IsInMemory(Index entry) const;
  void DropUnneeded(WriteBatch* batch);
  void Prepare(MonoTime now, raft::Snapshot snapshot, WriteBatch* batch);
  void FetchWhatIsLacking(MonoTime now, uint64_t write, WriteBatch* batch);
  void AcceptIfWhole(MonoTime now, uint64_t write, WriteBatch* batch);
  void TakeOver(std::unique_ptr<Replica> replica, WriteBatch* batch);

  // A leader's snapshot that is whole, and waits for what it needs from beside it.
  struct Arriving {
    explicit Arriving(raft::Snapshot s) : id(s.last), snapshot(std::move(s)) {}
    raft::LogId id;
    raft::Snapshot snapshot;
    std::unique_ptr<Replica> replica;  // As of it.
    std::deque<Index> lacks;           // Entries still to be fetched, ascending.
    std::vector<Fetched> to_write;
    uint64_t write = 0;                // That brings the latest to disk; 0: it is there.
    std::set<Index> fetched;           // Written.
    MonoTime ask_at;
  };

  Options options_;
  bool touched_ = true;  // Since the latest Drain.
  uint64_t turns_ = 0;   // Drained.
  bool wants_snapshot_ = false;
  MonoTime wakeup_;      // As of the latest Drain.
  uint64_t awaited_write_ = 0;  // The latest that holds something of this group's; 0: none.
  LogStore store_;
  std::unique_ptr<raft::Raft> raft_;
  std::unique_ptr<Replica> replica_;
  Listener* listener_;
  Index applied_;
  raft::LogId applied_id_;
  ClusterTime applied_time_;
  Index snapshot_index_;      // Of the snapshot on disk, or on its way there.
  struct Compaction {
    uint64_t write = 0;  // That brings the snapshot to disk.
    Index to;
  };
  std::optional<Compaction> compaction_;
  // A snapshot that is being made, of the state as it was at `snapshot.last`.
  struct Saving {
    Saving(bool follower, Term t) : for_follower(follower), term(t) {}
    bool for_follower;          // Else for our disk, to which its data goes as it comes.
    Term term;                  // In which it was begun.
    uint64_t write = 0;         // Of what came last, until it is on disk.
    raft::Snapshot snapshot;
    size_t bytes = 0;           // Of it on their way to disk.
    size_t applied_bytes = 0;   // As they were when it began.
  };
  std::optional<Saving> saving_;
  bool is_saving_alone_ = false;  // Options::is_saving, if there is none.
  std::optional<Arriving> arriving_;
  raft::LogId pulse_;         // The latest pulse proposed.
  MonoTime next_pulse_;       // Not before: the latest was refused.
  std::deque<Gathered> gathered_;   // In `gathered_term_`, in the order in which it came.
  Term gathered_term_;
  size_t gathered_bytes_ = 0;
  std::deque<WaitingRead> reads_;
  MonoTime next_read_;  // Not before: the cache could not answer the first.
  std::deque<HashAt> own_hashes_;     // The last few, ascending.
  std::deque<HashAt> leader_hashes_;  // Told of indexes that we have not applied yet.
  size_t applied_bytes_ = 0;          // Since the latest snapshot,
  size_t snapshot_bytes_ = 0;         // which was so large.
  Effects effects_;                   // Reused.
  uint64_t snapshots_taken_ = 0;
  uint64_t snapshots_installed_ = 0;
};

}  // namespace lockstep
