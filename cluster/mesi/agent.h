// A node's side of a shard whose home is elsewhere: the lines that it caches, in a session with the
// home.
//
// Always true:
//   1. Nothing is shown after the lease is over by our clock, which counts from when we asked. Who
//      answers a client looks at lease_until() after it has looked at the lines, and before the
//      answer leaves.
//   2. What comes from another session than ours is not for us.
//   3. When a session ends, everything that we have from the home is dropped. To the next home we
//      say first what we owned.
//
// Not thread-safe; used on the node thread. No clock, no sockets.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "cluster/mesi/agent_table.h"
#include "cluster/mesi/channel.h"
#include "cluster/mesi/durable.h"
#include "cluster/mesi/events.h"
#include "cluster/mesi/lease.h"
#include "cluster/mesi/line_table.h"
#include "cluster/mesi/ship.h"
#include "cluster/mesi/stats.h"

namespace lockstep::mesi {

class Agent {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Clients who wait for the key may look again: now, before anything else happens to it.
    virtual void OnHeld(BytesView key) = 0;
    // What was held or asked for is gone, or what was there may be shown now: whoever waits asks
    // anew, once this turn's events are through.
    virtual void OnLost() = 0;
    // What could be read here cannot be any more, or is not what it was. Before whoever is to
    // change it hears from us that it may.
    virtual void OnUnreadable(BytesView) {}
    virtual void OnAllUnreadable() {}  // The same of all that was there.
    virtual void OnCommitted(BytesView, Committed) {}  // Once for each key of Commit.
    // Whether a write of the key is to be shipped, so that the line need not come; and that the
    // home says so.
    virtual bool IsContended(BytesView) { return false; }
    virtual void OnContended(BytesView) {}
    // Once for each Ship.
    virtual void OnShipped(uint64_t, const Shipped&) {}
  };
  struct Options {
    NodeId self;
    GroupId shard;
    int64_t dirty_us = 500 * kUsPerMs;  // dcache-dirty-max-age.
    LeaseTimes times;
    Events* events = nullptr;  // Null: nothing is noted.
  };
  Agent(const Options& options, Stats* stats, Listener* listener);

  // The home to have a session with, from now on: one of a higher epoch than the one before.
  // `owes_report`: this node was the home before, and says what it had (SayReport, FinishReport).
  void Follow(MonoTime now, NodeId home, Term epoch, bool owes_report);
  void OnFence(MonoTime now);  // The home asks for our report.
  // The session that this node has in the shard's log: ours is named after it. 0: none yet, and
  // none is opened here.
  void SetIncarnation(MonoTime now, uint64_t incarnation);
  // This node is the home itself: `say` gets the report, and everything is dropped.
  template <class Say>
  void MoveHere(MonoTime now, Term epoch, const Say& say) {
    Report(now, say);
    Drop(now);
    home_ = options_.self;
    epoch_ = epoch;
    open_ = owes_report_ = false;
  }
  NodeId home() const { return home_; }
  Term epoch() const { return epoch_; }
  // Says to the home what this node had as the home before; ends the report with it.
  void FinishReport();
  bool owes_report() const { return owes_report_; }
  bool is_open() const { return open_; }
  void SayReport(const Message& message);  // Of it.

  // For this node's clients. ----------------------------------------------------------------------
  // Whether they may read (write) the key now. If not it is asked for, and OnHeld or OnLost
  // follows.
  // `line`, if it is held: the key's. `ships`: if it is contended it is not asked for.
  bool Hold(MonoTime now, const HashedKey& key, bool write, Line** line = nullptr,
            bool ships = false);
  Line* Find(BytesView key) { return lines_.Find(key); }  // Only what is held.
  // Keeps its deadline unless it gets another.
  void Put(Line* line, BytesView value, std::optional<MonoTime> deadline);
  void SetDeadline(BytesView key, MonoTime deadline);
  void Erase(BytesView key);
  MonoTime lease_until() const { return lease_until_; }
  // The key was read: said to a home that wants to know, with the next ask, if it cannot know.
  void NoteRead(BytesView key);
  // What is held is kept, while a command gathers the rest of its keys: what the home asks for is
  // done when it is let go of. Only for a moment.
  void Pin(BytesView key);
  void Unpin(MonoTime now, BytesView key);

  // What was written, of lines that are held to be written: it is to be logged, all of it at once.
  // Nobody is shown it before Listener::OnCommitted; to be pinned until then.
  void Commit(MonoTime now, const std::vector<DurableWrite>& writes);
  // The same of what the home is to have, in no log.
  void Push(const std::vector<Bytes>& keys);
  bool IsCommitting(const Line& line) const {
    return EndsAtHome(line) && committing_.contains(line.key());
  }

  // Commands that the home is to run (agent_ship.cc). --------------------------------------------
  bool IsAskingFor(BytesView key) { return IsAsking(StateOf(lines_.Find(key))); }
  // Only while the lease is good: so is what is answered then, if it still is.
  bool MayShip(MonoTime now, size_t bytes) const;
  // Those of one key are run in their order. Gives its number; Listener::OnShipped follows.
  uint64_t Ship(BytesView key, BytesView words);

  // As it says: it takes nothing that is to be run, logged or pushed there; OnLost follows.
  bool home_hands_over() const { return home_hands_over_; }

  // From the home. --------------------------------------------------------------------------------
  bool OnFrame(MonoTime now, SessionId session, Reader* in);  // False: it makes no sense.
  void OnGive(MonoTime now, const LeaseGive& give);
  void OnPeerUp();

  // Drops the line that was used least of late (of this class of lines, if one is named); one that
  // it owns goes home first. False: none of those that were looked at may go.
  bool EvictOne(MonoTime now, std::optional<uint8_t> line_class = {});
  // The same of those that it only reads.
  bool DropCopy(MonoTime now, uint8_t line_class);
  // Looks at some lines for those whose time is over. Gives how many it has looked at.
  size_t SweepExpired(MonoTime now);
  // Gives up all that it owns: before this node leaves.
  void WriteBackAll(MonoTime now);
  // Something that it owns, or has said, the home may not have yet.
  bool OwesHome() const;

  void Tick(MonoTime now);
  MonoTime NextWakeup() const { return next_tick_; }

  // Asks the home whether it knows of a line that can be read here (audit.cc). False: not now, or
  // nobody has used a line since the last time.
  bool Audit(MonoTime now);

  // What is to be said. ---------------------------------------------------------------------------
  bool HasNews() const { return open_ && channel_->HasNews(); }
  Channel* channel() { return channel_.get(); }
  SessionId session() const { return session_; }
  std::optional<LeaseAsk> TakeAsk() { return std::exchange(ask_, std::nullopt); }

  LineTable& lines() { return lines_; }
  const LineTable& lines() const { return lines_; }
  size_t asking() const { return asking_; }
  void CheckInvariants() const;

 private:
  struct Written {  // A line that was written under this grant, and is to be looked at then.
    MonoTime look_at;
    uint64_t gen = 0;
    Bytes key;
  };

  void OpenSession(MonoTime now);
  void StartAnew(MonoTime now);
  void Close(MonoTime now);
  void Drop(MonoTime now);
  template <class Say>
  void Report(MonoTime now, const Say& say);
  void AskForLease(MonoTime now);
  std::vector<Bytes> TakeTouches();
  struct PutOff {  // What the home has asked for meanwhile.
    Bytes key;
    MessageType type;
    uint64_t gen = 0;
  };
  bool OnMessage(MonoTime now, const Message& message);
  bool OnVerdict(MonoTime now, const Message& verdict);
  bool Does(MonoTime now, BytesView key, AgentEvent event, const Message* from);
  void Install(MonoTime now, Line* line, const Message& message);
  void NoteStep(MonoTime now, BytesView key, const Line* line, Copy before, AgentStep step,
                const Message* from);
  void SendAbout(const Line& line, uint16_t actions);
  void DemoteIdle(MonoTime now);
  void Watch(MonoTime now, Line* line);
  void Wrote(Line* line);
  void Expire(Line* line);
  bool Evict(MonoTime now, const Line* line);
  Payload PayloadOf(const Line& line) const;
  bool IsOver(MonoTime now, const Line& line) const;
  bool OnOutcome(const Message& message);
  void OnPushed(BytesView key);
  // That its time is over is a write, which its owner shows to nobody before the home knows.
  static bool EndsAtHome(const Line& line) { return line.durable() || line.pushes(); }
  bool OnShipReply(const Message& reply);
  void RefuseShips();
  void LoseShips();
  static Copy StateOf(const Line* line) {
    return line == nullptr ? Copy::kI : static_cast<Copy>(line->state());
  }

  Options options_;
  Stats* stats_;
  Listener* listener_;
  LineTable lines_;
  NodeId home_;
  Term epoch_;
  SessionId session_;       // The latest that was opened.
  uint64_t incarnation_ = 0;
  bool open_ = false;
  bool owes_report_ = false;  // Of what it had as a home; nothing else is said before it.
  std::unique_ptr<Channel> channel_;
  MonoTime lease_until_;
  MonoTime lease_asked_;
  MonoTime used_;           // When a client last wanted something of it.
  size_t asking_ = 0;       // Lines that wait for an answer.
  uint64_t sweep_ = 0;      // Where SweepExpired goes on.
  struct Audited {
    Bytes key;
    bool moved = false;  // The line has made a transition since.
  };
  std::optional<Audited> audited_;  // What the home was asked about.
  uint64_t audit_at_ = 0;           // Where Audit goes on,
  uint64_t audits_ = 0;             // after so many,
  MonoTime audit_used_;             // the latest when `used_` was this.
  std::vector<PutOff> put_off_;
  std::deque<Written> written_;  // By look_at.
  std::set<Bytes, std::less<>> committing_;
  struct UnderWay {
    Bytes key;
    uint64_t said = 0;  // Its number in the channel.
    size_t bytes = 0;
  };
  std::map<uint64_t, UnderWay> ships_;  // Of this session; numbers go on over all of them.
  size_t ship_bytes_ = 0;               // Of their words.
  uint64_t next_ship_ = 0;
  uint64_t ship_round_ = 0;
  bool home_hands_over_ = false;
  bool wants_touches_ = false;  // The home, as of its latest word.
  std::set<Bytes, std::less<>> touches_;  // For the next ask, within its bounds;
  size_t touch_bytes_ = 0;                // their keys' bytes.
  std::optional<LeaseAsk> ask_;
  MonoTime next_tick_ = kNeverMono;
};

// What it has and what counts: see Recovered. A copy that may be read is the latest value, too, as
// long as the lease lasts: nobody can have written before this cache has dropped it. So it says all
// of them if its lease outlasts the home before; that one may be dead, and its values with it.
template <class Say>
void Agent::Report(MonoTime now, const Say& say) {
  if (!open_ || now >= lease_until_) return;
  const bool sure = lease_until_ - now >= options_.times.Outlasts(options_.times.home_us);
  lines_.ForEach([&](Line* line) {
    if (line->durable()) return;  // The log knows better.
    const Copy state = StateOf(line);
    Message message{.type = MessageType::kReport, .key = line->key(), .epoch = epoch_};
    message.payload = PayloadOf(*line);
    if (IsOwned(state)) {
      message.gen = line->gen();
      message.report = IsLeaving(state) ? ReportKind::kLeaving
                       : sure           ? ReportKind::kSureOwner
                                        : ReportKind::kOwner;
      say(message);
    }
    const bool reads = IsReadable(state) && !IsWritable(state);
    if (!reads || !sure || !line->present() || IsOver(now, *line)) return;
    message.report = ReportKind::kReader;
    say(message);
  });
}

}  // namespace lockstep::mesi
