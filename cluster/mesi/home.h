// The home of a shard's lines: the leader of its group, for as long as it leads (its term is the
// epoch). It has the directory, and every value that no cache owns.
//
// It begins by asking whoever may have had lines from the home before (Recovered), and serves when
// all have answered or are out-waited.
//
// Always true:
//   1. A cache shows nothing of ours that we have granted to another meanwhile: it has said that it
//      dropped it, or its lease is over by our clock, which is later than by its own.
//   2. A lease is prolonged only for a session that has everything we asked it to drop or give
//      back: so whoever is cut off, one way or both, is waited for no longer than one lease.
//   3. We serve and grant only under our own lease: the majority has heard us lead, lately.
//
// Not thread-safe; used on the node thread. No clock, no sockets: who owns it says what time it is.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "cluster/mesi/channel.h"
#include "cluster/mesi/contended.h"
#include "cluster/mesi/directory.h"
#include "cluster/mesi/durable.h"
#include "cluster/mesi/events.h"
#include "cluster/mesi/lease.h"
#include "cluster/mesi/line_table.h"
#include "cluster/mesi/recovery.h"
#include "cluster/mesi/stats.h"

namespace lockstep::mesi {

class Home {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // This node's clients who wait for the key may look again: now, before anything else happens to
    // it.
    virtual void OnHeld(BytesView key) = 0;
    virtual void OnServing() = 0;  // It serves from now on, or again.
    // Whether a cache that reads the key, which nobody else has, is to own it: it will write it.
    virtual bool ReadsExclusive(BytesView) { return false; }
    // Whether a cache that is to own the key pushes what it writes (push.cc).
    virtual bool Pushes(BytesView) { return false; }
    // What could be read here cannot be any more, or is not what it was. Before whoever is to
    // change it hears from us that it may.
    virtual void OnUnreadable(BytesView) {}
    virtual void OnAllUnreadable() {}  // The same of all that was there.
    virtual void OnCommitted(BytesView, Committed) {}  // Once for each key of Commit.
    // A cache has a command to be run here: AnswerShip follows, or RefuseShips, or nothing is to,
    // once OnShipsOver says that none of its session is waited for. False: it makes no sense.
    virtual bool OnShip(NodeId, SessionId, const Message&) { return false; }
    virtual void OnShipsOver(NodeId) {}
  };
  struct Options {
    NodeId self;
    GroupId shard;
    Term epoch;
    Term before;            // In which the home before, if any, may have served. 0: there was none.
    NodeId home_before;     // kNoNode: not known.
    bool handed_over = false;  // It made way for this one, so it lives: its word is waited for.
    MonoTime began;         // When we were elected, or later.
    MonoTime not_before;    // Somebody who is no member any more may have a lease until then.
    std::set<NodeId> awaited;  // Whoever may have had a session with the home before; us too.
    LeaseTimes times;
    DurableStore* durable = nullptr;  // None: no key is.
    Events* events = nullptr;  // Null: nothing is noted.
    Contention* contention = nullptr;  // Null: no line is contended.
  };
  Home(const Options& options, Stats* stats, Listener* listener);
  ~Home();

  Term epoch() const { return options_.epoch; }
  Term before() const { return options_.before; }
  bool recovered() const { return recovered_; }
  // A majority has heard us lead at `heard`.
  void OnMajority(MonoTime now, MonoTime heard);
  // Every cache that may have a lease was heard lately: whoever is home next need not wait for one.
  bool HearsAll(MonoTime now) const;
  bool MayServe(MonoTime now) const { return recovered_ && now < lease_until_; }
  MonoTime lease_until() const { return lease_until_; }

  // For this node's own clients. ------------------------------------------------------------------
  // Whether they may read (write) the key now. If not it is asked for, and OnHeld follows, or
  // OnServing if it is not the key that is in the way.
  // `line`, if it is held: the key's, null if it has none.
  bool Hold(MonoTime now, const HashedKey& key, bool write, Line** line = nullptr);
  // What is held is kept, while a command gathers the rest of its keys: who asks for it waits. Only
  // for a moment.
  void Pin(BytesView key);
  void Unpin(MonoTime now, BytesView key);
  // The key, which is absent, keeps a line and so a version for a while: somebody watches it.
  void Remember(MonoTime now, BytesView key);
  // Only what is held.
  Line* Find(BytesView key) { return lines_.Find(key); }
  // Keeps its deadline unless it gets another. Gives the line. `line`: the key's, if it has one.
  Line* Put(BytesView key, Line* line, BytesView value, std::optional<MonoTime> deadline);
  void SetDeadline(BytesView key, MonoTime deadline);
  void Erase(BytesView key);

  // What is durable (home_durable.cc). -----------------------------------------------------------
  // What this node's clients wrote, of lines that they hold to be written: it is to be logged, all
  // of it at once. Nobody is shown it before Listener::OnCommitted; to be pinned until then. Other
  // than kDone: it will not be, and nothing follows.
  Committed Commit(MonoTime now, const std::vector<DurableWrite>& writes);
  // The log's value goes, and the line when that is logged. For a line that is held to be written.
  void EraseDurable(MonoTime now, BytesView key);
  // The log says something else of the key: a write was applied, or the value's time was over.
  void OnLogged(MonoTime now, BytesView key, bool written);
  bool IsCommitting(const Line& line) const {
    return line.durable() && committing_.contains(line.key());
  }

  // What its line holds is for nobody to see, before the log has told.
  bool IsHidden(MonoTime now, const Line& line) const {
    return line.durable() && (IsCommitting(line) || EndsByLog(now, line));
  }

  // Commands of caches (home_ship.cc). -----------------------------------------------------------
  // What Listener::OnShip gave was run: `words` is its answer, `was` its line's version before.
  void AnswerShip(MonoTime now, NodeId to, SessionId session, BytesView key, uint64_t number,
                  BytesView words, const Version& was);
  // It was not, and nothing of its session that is not answered will be. (The listener sees to what
  // it has got already.)
  void RefuseShips(NodeId to, SessionId session);
  Version VersionOf(BytesView key);  // None, if it has no line.

  // Drops the line that was used least of late (of this class of lines, if one is named), rather
  // one that no cache has; any other goes when caches have dropped theirs, unless it is wanted or
  // written until then. False: none of those that were looked at may go. For ten seconds from then
  // on caches are asked what they read (LeaseGive).
  bool EvictOne(MonoTime now, std::optional<uint8_t> line_class = {});
  // Looks at some lines for those whose time is over. Gives how many it has looked at.
  size_t SweepExpired(MonoTime now);

  // From caches. False: it makes no sense, the peer is to be cut off. -----------------------------
  bool OnFrame(MonoTime now, NodeId from, SessionId session, Reader* in);
  void OnAsk(MonoTime now, NodeId from, const LeaseAsk& ask);
  void OnReport(MonoTime now, NodeId from, const Message& report);  // Of this node's own.
  void OnReportDone(NodeId from);
  void OnPeerUp(NodeId peer);
  // The sessions that nodes have in the shard's log, all of them. Only under these are leases
  // given: so whoever is home next knows who may have one.
  void SetIncarnations(std::map<NodeId, uint64_t> incarnations) {
    incarnations_ = std::move(incarnations);
  }

  // Before it makes way for the next home (home_hand_over.cc): it grants and recalls nothing more,
  // and takes no commands of caches; who asks is left waiting. What is held is used as ever.
  void BeginHandOver();
  bool hands_over() const { return hands_over_; }
  // Whether nothing is under way whose loss would cost a value, or leave a client in doubt. If not,
  // what that takes is asked for.
  bool IsQuiet();
  void EndHandOver(MonoTime now);  // It did not come to that.

  void Tick(MonoTime now);
  MonoTime NextWakeup() const { return next_tick_; }

  // What is to be said. --------------------------------------------------------------------------
  struct ToCache {
    NodeId to;
    SessionId session;
    Channel* channel;
  };
  template <class Send>
  void Flush(const Send& send) {
    if (!std::exchange(news_, false)) return;
    for (const auto& session : sessions_) {
      if (session == nullptr) continue;
      Channel* channel = &session->channel;
      while (channel->HasNews()) send(ToCache{session->node, session->id, channel});
    }
  }
  bool HasNews() const { return news_; }
  std::vector<std::pair<NodeId, LeaseGive>> TakeGives() { return std::exchange(gives_, {}); }
  std::vector<NodeId> Unreported() const;  // Whom to ask again.

  // When it is the home no more: what the next is to hear of what it had.
  template <class Tell>
  void Report(MonoTime now, const Tell& tell);

  LineTable& lines() { return lines_; }
  const LineTable& lines() const { return lines_; }
  // Whose bit that is in a line's sharers, or its number as an owner; kNoNode: nobody's.
  NodeId NodeOf(uint8_t number) const {
    return sessions_[number] == nullptr ? kNoNode : sessions_[number]->node;
  }
  void CheckInvariants() const;

 private:
  struct Session {
    NodeId node;
    SessionId id;
    uint8_t number = 0;         // Its bit.
    Channel channel;
    MonoTime deadline;          // Of its lease, by our clock.
    uint64_t last_forward = 0;  // The latest Inv or Recall,
    uint64_t last_vital = 0;    // what must not be lost when we go,
    uint64_t last_notice = 0;   // and what is to be acknowledged at once.
    std::optional<MonoTime> ask;  // Waits until it has that; the latest.
    bool reported = false;
    std::vector<DurableWrite> writes;  // To be logged together; not all of them are here yet.
    std::vector<Bytes> pushed;         // Encoded, to be taken together: likewise.
    size_t committing = 0;             // Its keys that are on their way to the log. While there
    bool over = false;                 // are any, its end has to wait.
    bool dead = false;  // It has said what makes no sense: waited for, and not heard.
    uint64_t ship_round = 0;  // Of its commands those of earlier ones are refused.
  };
  struct Queued {
    Request request;
    SessionId session;
  };
  struct Busy {
    Request request;
    std::deque<Queued> queue;
    bool home_reads = false, home_writes = false;  // Asked for.
  };
  struct Kept {  // A payload that outlives its message.
    Version version;
    bool present = false;
    Bytes value;
    MonoTime deadline = kNeverMono;  // Its time goes on while others are waited for.
  };
  struct Candidate {
    Recovered recovered;
    Kept owners, readers, formers;
  };

  Session* SessionOf(NodeId node);
  Session* Open(MonoTime now, NodeId node, SessionId id);
  void End(MonoTime now, Session* session);
  void TryGrant(MonoTime now, Session* session);
  void Touch(const std::vector<Bytes>& keys);
  bool MayGo(const Line& line, Dir state) const;
  void Evict(Line* line);
  void LeaveIfDue(BytesView key);
  void SayOver(NodeId to, SessionId session);  // That session has ended.
  bool OnMessage(MonoTime now, Session* session, const Message& message, bool* taken);
  bool OnRequestOf(MonoTime now, Session* session, const Message& message);
  bool OnAudit(MonoTime now, Session* session, const Message& question);
  Bytes Testimony(MonoTime now, BytesView key, const DirLine& dir);
  void AdoptAll(MonoTime now);
  void Adopt(MonoTime now, BytesView key, const Kept& kept);
  bool MayHaveLease(const Session& session) const;
  void LookAtRecovery(MonoTime now);

  DirLine Load(const Line* line, BytesView key) const;
  Line* Store(BytesView key, Line* line, const DirLine& dir);
  // `from`: what was heard, of `speaker`. Null: he is gone, or, without one, a request's turn came.
  void Run(MonoTime now, BytesView key, DirLine dir, DirStep step, const Message* from,
           Session* speaker);
  void TakeData(MonoTime now, Line* line, const Payload& payload);
  void NoteStep(MonoTime now, BytesView key, Dir before, const DirLine& dir, const Message* from,
                const Session* speaker);
  void Grant(MonoTime now, BytesView key, Line* line, const DirLine& dir, int actions);
  bool NoteGrant(MonoTime now, const Line* line, const DirLine& dir);
  bool OnShip(Session* session, const Message& ship);
  void Forward(uint8_t to, const Message& message);
  void Say(Session* session, const Message& message);
  void ServeQueue(MonoTime now, BytesView key);
  bool IsAnyBusy();
  void DropIfEmpty(BytesView key);
  void ExpireIfDue(MonoTime now, Line* line);
  Payload PayloadOf(const Line& line) const;
  Line* FindOrAdd(BytesView key);
  std::optional<DurableValue> Logged(MonoTime now, BytesView key) const {
    return options_.durable == nullptr ? std::nullopt : options_.durable->Find(now, key);
  }
  Committed Propose(MonoTime now, const std::vector<DurableWrite>& writes) const;
  std::optional<uint64_t> GenOfOwner(const Session& session, BytesView key);
  bool OnCommit(MonoTime now, Session* session, const Message& message);
  void OnGrantX(Line* line);
  bool OnPush(MonoTime now, Session* session, const Message& message);
  bool TakePush(MonoTime now, Session* session, const Message& message);
  void RestoreLogged(Line* line, const DurableValue& logged);
  void LoadLogged(MonoTime now);
  bool EndsByLog(MonoTime now, const Line& line) const;
  bool IsKept(MonoTime now, const Line& line) const;
  void Forget(MonoTime now, Line* line, const DirLine& dir);
  Version VersionOfNothing(const DirLine& dir);
  Version NewVersion() { return {options_.epoch.value, ++next_gen_, 0}; }

  Options options_;
  Stats* stats_;
  Listener* listener_;
  LineTable lines_;
  uint64_t next_gen_ = 0;  // The latest that was given out.
  std::map<Bytes, Busy, std::less<>> busy_;
  std::array<std::unique_ptr<Session>, kCaches> sessions_;
  std::map<NodeId, SessionId> over_;  // The latest session of each that has ended.
  std::map<NodeId, uint64_t> incarnations_;
  struct Committing {
    uint8_t who = kHome;  // Or whose session; it is kept until then.
    uint64_t gen = 0;
  };
  std::map<Bytes, Committing, std::less<>> committing_;
  std::optional<MonoTime> former_spoke_;
  bool recovered_ = false;
  std::set<NodeId> silent_;   // Of those awaited: not heard yet.
  std::map<Bytes, Candidate, std::less<>> candidates_;
  uint64_t sweep_ = 0;  // Where SweepExpired goes on.
  MonoTime wants_touches_until_;
  std::map<Bytes, Version, std::less<>> leaving_;  // They go when caches have dropped them.
  MonoTime lease_until_;
  bool hands_over_ = false;
  bool lapsed_ = true;  // It was told that nothing can be read here.
  MonoTime next_tick_;
  std::vector<std::pair<NodeId, LeaseGive>> gives_;
  bool news_ = false;
};

template <class Tell>
void Home::Report(MonoTime now, const Tell& tell) {
  Message report{.type = MessageType::kReport,
                 .report = ReportKind::kWasHome,
                 .epoch = options_.epoch};
  tell(report);
  lines_.ForEach([&](Line* line) {
    if (line->durable()) return;  // The log knows better.
    const DirLine dir = Load(line, line->key());
    report.key = line->key();
    report.payload.reset();
    if (HomeServes(dir.state) || dir.state == Dir::kBInv || line->pushes()) {
      if (!line->present() || line->deadline() <= now) return;
      report.report = ReportKind::kFormer;
      report.payload = PayloadOf(*line);
    } else {
      if (sessions_[dir.owner] == nullptr) return;
      report.report = ReportKind::kFormerOwner;
      report.gen = dir.gen;
      report.owner = sessions_[dir.owner]->node;
    }
    tell(report);
  });
}

}  // namespace lockstep::mesi
