// The coherent cache of this node: of each shard either its home (when this node leads it) or an
// agent of the home that another node is. Introduces them to the groups, the bus and the clients.
//
//   command -> Hold (all its keys at once) -> handler, over Keys
//                 \-> Wait: its permissions are asked for; when they come, it is run
//
// Always true:
//   1. Of each shard at most one of home and agent has lines, and follows the highest epoch that is
//      known here.
//   2. Whatever a command has seen of a line is good until TakeValidUntil(): its answer must have
//      left by then.
//   3. What was written of a durable key, or here of one of CLASS home that lives elsewhere, is
//      pinned, and seen by no other command, until OnCommitted.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "cluster/mesi/agent.h"
#include "cluster/mesi/contended.h"
#include "cluster/mesi/home.h"
#include "cluster/mesi/ship.h"
#include "commands/cache_figures.h"
#include "commands/cache_ops.h"
#include "commands/cache_spaces.h"
#include "commands/keys.h"
#include "src/gateway.h"
#include "src/group.h"
#include "src/hot_keys.h"
#include "src/outbox.h"

namespace lockstep {

// Where a key is kept. To find that costs more than most of what a command does then.
struct KeyPlace {
  uint64_t hash = 0;
  uint32_t shard = 0;
  uint32_t likely = mesi::LineTable::kNone;  // The record of its line, when it was fetched.
};

// A key, and what a command is going to do with it.
struct KeyWant {
  BytesView key;
  bool write = false;
};
struct Want {  // As long as it waits.
  Bytes key;
  bool write = false;
};

// Hears of what this node can show no more, or not as it was. Called within the turn in which it
// happens, so before anything that this node says of it leaves.
class Tracker {
 public:
  virtual ~Tracker() = default;
  virtual void OnWritten(BytesView key) = 0;     // By the command that is run here and now.
  virtual void OnUnreadable(BytesView key) = 0;  // Lost to others, or expired.
  virtual void OnAllUnreadable(uint64_t shard) = 0;
  virtual void OnFlush() = 0;  // All keys of all shards are erased.
};

class Cache final : public Keys {
 public:
  struct Options {
    NodeId self;
    uint64_t shards = 1;
    int64_t dirty_us = 500 * kUsPerMs;
    mesi::LeaseTimes times{};
    std::function<Group*(GroupId)> group_of{};  // For what is durable; none: nothing is.
    uint64_t seed = 1;  // Of which accesses are looked at for the hottest keys.
  };
  // A command that waits: whose, and which of its slots.
  struct Ticket {
    ClientId client;  // kShipper: it is another node's.
    uint64_t slot = 0;
    auto operator<=>(const Ticket&) const = default;
  };
  class Runner {
   public:
    virtual ~Runner() = default;
    // Those before it on its connection have been run.
    virtual bool MayRun(const Ticket& ticket) = 0;
    // What the command wants is held, now: it is to be run before this returns.
    virtual void OnHeld(const Ticket& ticket) = 0;
    // What it wrote is where it is to be, or never will be, or nobody can say: this is its answer.
    virtual void OnCommitted(const Ticket& ticket, Reply reply) = 0;
    // The command is to be shipped, now: Ship.
    virtual void OnShips(const Ticket& ticket) = 0;
    // What became of it. `reply`: if it was run.
    virtual void OnShipped(const Ticket& ticket, mesi::Shipped::Outcome outcome, Reply reply) = 0;
    // Runs a command of another node's client, whose one key is held. Nothing: it must not.
    virtual std::optional<Reply> RunForCache(std::span<const BytesView> argv) = 0;
  };

  Cache(const Options& options, Outbox* outbox, Runner* runner, MonoTime now);
  ~Cache() override;

  // The options of keys by prefix, as far as this node has heard; null: there are none yet.
  void set_spaces(const Spaces* spaces) { spaces_ = spaces; }
  const Space* SpaceOf(BytesView key) const {  // Null: all as by default.
    return spaces_ == nullptr ? nullptr : spaces_->Find(key);
  }

  // The command that was run after Hold has ended: what it called its keys may be reused.
  void Done() { latest_.clear(); }

  // Commands. -------------------------------------------------------------------------------------
  // Whether all of it is held at this instant; else what is lacking is asked for. Views only.
  // `ships`: but not if the key is contended; then Wait with its `ship_bytes`, or Hold without.
  bool Hold(MonoTime now, BytesView key, const KeyPlace& place, bool write, bool ships = false);
  bool Holds(MonoTime now, BytesView key, bool write);  // The same, not counted as an access.
  // `places`: of each, from Fetch; or none.
  bool Hold(MonoTime now, std::span<const KeyWant> wants, std::span<const KeyPlace> places = {});
  KeyPlace PlaceOf(BytesView key) const;
  // After Hold said no, or when its turn has not come: OnHeld follows, or Forget. Whose turn comes
  // later is looked at then. `may_miss`: it only reads, and it may be run as if there were no such
  // keys where their homes cannot be reached (DCACHE.NS, ONNOLEASE). `ship_bytes`: it writes one
  // key and may be shipped, and has so many; then Runner::OnShips may follow.
  void Wait(MonoTime now, const Ticket& ticket, std::vector<Want> wants, bool may_miss = false,
            size_t ship_bytes = 0);
  bool MayMiss(BytesView key) const {
    const Space* space = SpaceOf(key);
    return space != nullptr && space->on_no_lease == Space::OnNoLease::kMiss;
  }
  void Forget(const Ticket& ticket);
  bool LookAt(const Ticket& ticket);  // True: it was run.
  // Those that wait since before then, oldest first.
  std::vector<Ticket> WaitingSince(MonoTime before) const;
  // Commands on these keys come next: their lines are fetched from memory, all at the same time.
  // Tells where they are kept.
  void Fetch(std::span<const BytesView> keys, std::vector<KeyPlace>* places) const;
  void CountHit() { ++stats_.hits; }
  // Commands that are run where the key's home is (cache_ship.cc). Whether one with so many bytes
  // may be, and is to be if it is the first of its connection.
  bool MayShip(MonoTime now, BytesView key, size_t bytes);
  bool IsContended(BytesView key) const;
  // Its key is argv[1]. Those of one key are run in their order. Runner::OnShipped follows.
  void Ship(MonoTime now, const Ticket& ticket, std::span<const BytesView> argv);
  std::vector<Ticket> TakeOverdueShips(MonoTime before);  // Sent before then. Nothing follows.
  // Null while there is nobody to tell.
  void set_tracker(Tracker* tracker) { tracker_ = tracker; }
  // Durable keys, and those of CLASS home (cache_durable.cc). The command that was run last has
  // written some: its answer has to wait. Then Commit, and Runner::OnCommitted follows, whether its
  // client is there or not.
  bool HasWritten() const { return !writing_.empty(); }
  void Commit(MonoTime now, const Ticket& ticket, Reply reply);
  std::vector<Ticket> TakeOverdue(MonoTime before);
  // Of the shard's log: what was applied.
  void OnLogged(GroupId group, std::vector<Effects::KeyChange> changes);
  // Gives until when what was seen since the last call is good.
  MonoTime TakeValidUntil();
  MonoTime valid_until() const { return valid_until_; }

  // Keys. Of what is held.
  std::optional<Value> Find(BytesView key) override;
  mesi::Version VersionOf(BytesView key) override;
  mesi::Version Watch(BytesView key) override;
  void Put(BytesView key, BytesView value, Expiry expiry) override;
  void Expire(BytesView key, Expiry expiry) override;
  bool Erase(BytesView key) override;
  char StateOf(BytesView key) const override;
  void MakeDurable(BytesView key, uint64_t fence) override;
  bool IsDurable(BytesView key) override { return IsDurableLine(key, FindLine(key)); }

  // The groups. ----------------------------------------------------------------------------------
  // Of a shard: who leads it, and what its log says of sessions. Cheap when nothing has changed.
  void Follow(MonoTime now, const Group& group, const Gateway& gateway);
  void OnInstalled(MonoTime now, GroupId group);  // A snapshot: what it passed over was not seen.

  // Answers a question about the keys of the shard (commands/cache_ops.h) that came at `asked`.
  Reply Answer(MonoTime now, GroupId group, MonoTime asked, BytesView query);

  // The bus. -------------------------------------------------------------------------------------
  bool OnFrame(MonoTime now, NodeId from, const bus::Envelope& envelope);  // False: no sense.
  bool OnLeases(MonoTime now, NodeId from, const bus::Envelope& envelope);
  void OnPeerUp(NodeId peer);

  // The lines may take so much memory; 0: as much as they want.
  void set_memory(size_t bytes_max) { bytes_max_ = bytes_max; }
  // Whether the keys with this one's prefix take as much as they may here, or would with so many
  // bytes more, and none of them is evicted for another.
  bool IsFull(BytesView key, size_t more) const;
  bool any_may_be_full() const { return refuses_; }
  // Drops what is over it, and some of what has expired: a little at a time.
  void Tidy(MonoTime now);
  // Asks homes about some lines that can be read here, a few times a second at most.
  void Audit(MonoTime now);

  // Prepares for a move of the shard's leadership. Whether it may be now, so that it costs nobody a
  // value: a home that has not heard yet what was before it has nothing to pass on; and what is
  // under way has to end. To be asked again in the next turns; if nothing comes of it within a
  // moment, the shard goes on as it was. While a cache is silent it had better not be, since the
  // next home would wait for it anew. `in_haste`: neither that nor the moment keeps it any longer.
  bool ReadyToMove(MonoTime now, GroupId group, bool in_haste = false);
  // Before this node leaves: what it owns goes home, and what it was home of to the next. True: it
  // is all there.
  bool HandOver(MonoTime now);

  void Tick(MonoTime now);
  // As of the latest Flush: what happens in a turn is looked at in its end.
  MonoTime NextWakeup() const { return next_tick_; }
  // Those who lost what they waited for ask anew. True: something may have been run.
  bool RunLost(MonoTime now);
  void Flush(MonoTime now);  // At the end of a turn.

  // For whoever looks. ---------------------------------------------------------------------------
  const mesi::Stats& stats() const { return stats_; }
  HotKeys& hot_keys() { return hot_keys_; }
  size_t lines() const;
  size_t bytes() const;
  // Whether this node answers for the key as its home, now.
  const mesi::Home* HomeOf(BytesView key) const;
  const mesi::Agent* AgentOf(BytesView key) const;
  // cache_keys.cc, as what follows from Answer.
  struct HomeKeys {
    uint64_t keys = 0, expiring = 0;
  };
  HomeKeys KeysHere() const;     // Of which this node is the home, as far as it knows.
  CacheFigures Figures() const;  // Looks at every line.
  CachedLine LineHere(BytesView key) const;
  void CheckInvariants() const;

 private:
  struct Shard;
  struct Waiting {
    Ticket ticket;
    std::vector<Want> wants;  // By key.
    MonoTime since;
    // So many of them, from the first, are held and pinned.
    size_t pinned = 0;
    MonoTime pinned_since;
    bool may_miss = false;
    size_t ship_bytes = 0;
  };
  // A command that was shipped from here.
  struct ShipSent {
    Ticket ticket;
    MonoTime since;
  };
  struct ShipDone {
    Ticket ticket;
    mesi::Shipped::Outcome outcome;
    Reply reply;
  };
  // One that waits here for its line.
  struct ShipHere {
    Shard* shard;
    NodeId from;
    mesi::SessionId session;
    uint64_t number = 0;  // The cache's.
    std::vector<Bytes> argv{};
    size_t bytes = 0;
  };

  // What the command that runs writes of a key, to be logged or else pushed to its home; and what
  // was there before.
  struct Writing {
    bool is_logged = false;
    uint64_t fence = 0;       // The highest,
    bool steps_back = false;  // and a lower one behind it.
    bool sets_ttl = false;
    bool was_durable = false;
    std::optional<Bytes> value{};
    MonoTime deadline = kNeverMono;
    mesi::Version version{};
  };
  struct Pending {
    Ticket ticket;
    Reply reply;
    std::map<Bytes, Writing> open{};
    MonoTime since{};
    bool overdue = false;            // Its client was told so.
    std::optional<Reply> refusal{};  // The first.
    bool some_done = false;  // Of its keys,
    bool some_lost = false;  // and of these nobody knows.
  };
  bool IsDurableLine(BytesView key, const mesi::Line* line) const;
  bool IsOfClassHome(BytesView key) const;
  bool IsPushedLine(BytesView key, const mesi::Line* line) const;
  // What is written of it: to be logged there, or kept.
  bool HasToGoHome(BytesView key, const mesi::Line* line) const;
  Writing* NoteWrite(BytesView key, bool durable);
  mesi::DurableWrite WriteOf(MonoTime now, const Bytes& key, const Writing& writing);
  void Undo(const Bytes& key, const Writing& writing);
  void OnKeyCommitted(BytesView key, mesi::Committed outcome);
  void LoseCommits(const Shard& shard);
  void TakeLogged(MonoTime now, Shard* shard);
  bool TellCommitted();

  bool MayShipKey(BytesView key) const;
  bool OnShip(Shard* shard, NodeId from, mesi::SessionId session, const mesi::Message& ship);
  ShipHere TakeShipHere(std::map<uint64_t, ShipHere>::iterator at);
  void RunShip(const ShipHere& ship, std::span<const BytesView> argv);
  void RunShipHere(uint64_t id);
  void RefuseShips(Shard* shard, NodeId from, mesi::SessionId session);
  void DropShips(const Shard* shard, NodeId from);
  void OnShipped(Shard* shard, uint64_t number, const mesi::Shipped& shipped);
  bool TellShipped();

  bool HoldOne(MonoTime now, BytesView key, const KeyPlace& place, bool write,
               bool ships = false);
  void NoteUse(BytesView key);
  struct Limit {
    uint8_t number = 0;
    size_t bytes_max = 0;
    bool evicts = true;
    MonoTime look_again{};
  };

  // What was held last, while its command runs: a handler names the same bytes again.
  struct Latest {
    const char* key = nullptr;
    size_t size = 0;
    Shard* shard = nullptr;
    mesi::Line* line = nullptr;
  };

  Shard& ShardOfKey(BytesView key);
  Shard& FindShard(BytesView key) const;
  mesi::Line* FindLine(BytesView key);
  // Null: it goes by another name, or was not among the last that were held.
  Latest* LatestOf(BytesView key);
  Shard* ShardOfGroup(GroupId group) const;
  MonoTime WhenAllHaveEnded(MonoTime now) const;
  void BecomeHome(MonoTime now, Shard* shard, const Group& group);
  void LeaveHome(Shard* shard);
  void FollowSessions(MonoTime now, Shard* shard, const Group& group);
  void LeaveAgent(MonoTime now, Shard* shard, Term epoch);
  void ReportSelf(MonoTime now, Shard* shard);
  void SendReport(MonoTime now, Shard* shard);
  MonoTime WakeupOf(const Shard& shard) const;
  std::optional<Waiting> Take(const Ticket& ticket);
  bool LookAgain(uint64_t number);
  bool LookWhetherItShips(uint64_t number);
  bool Gather(Waiting* waiting);
  bool Misses(BytesView key) const;
  bool MissesNow(const Waiting& waiting);
  void LookForMisses();
  std::optional<MonoTime> DeadlineOf(BytesView key, const mesi::Line* line,
                                     const Expiry& expiry) const;
  void PinLine(BytesView key);
  void ReleasePin(BytesView key);
  void UnpinFrom(Waiting* waiting, size_t first);
  void ReleaseOldPins();
  void Settle();
  void EvictDownTo(MonoTime now, size_t bytes_max);
  void FollowSpaces();
  void KeepLimit(MonoTime now, Limit* limit);
  bool EvictForLimit(MonoTime now, const Limit& limit);
  void ClassSome();
  void OnKeyHeld(BytesView key);
  void AnswerNames(Shard* shard, const CacheQuery& query, CachePage* page);
  void AnswerRandom(Shard* shard, const CacheQuery& query, CachePage* page);
  void FlushKeys(Shard* shard, const CacheQuery& query, CachePage* page);
  Reply DescribeLine(const Shard& shard, BytesView key) const;
  std::optional<bool> IsThere(const Shard& shard, const mesi::Line& line, MonoTime since) const;
  void ReadBack(Shard* shard, const std::vector<Bytes>& keys, CachePage* page);
  void Witnessed(Shard* shard, BytesView key);
  static void ForgetWitnesses(MonoTime now, Shard* shard);
  void GatherLeases(Shard* shard);
  void SendFrame(NodeId to, const Shard& shard, Term epoch, mesi::SessionId session,
                 bool from_cache, mesi::Channel* channel);
  MonoTime DeadlineOf(const Expiry& expiry) const;
  void Used(MonoTime until) { valid_until_ = std::min(valid_until_, until); }

  Options options_;
  Outbox* outbox_;
  Runner* runner_;
  Tracker* tracker_ = nullptr;
  const Spaces* spaces_ = nullptr;
  uint64_t spaces_version_ = 0;  // That was last looked at. What follows is as of it:
  std::vector<Limit> limits_;
  bool refuses_ = false;    // One of them evicts nothing.
  size_t class_shard_ = 0;  // All lines of the shards before it are in their classes; in this one
  uint64_t class_cursor_ = 0;  // those before that.
  size_t limit_shard_ = 0;  // To evict from next.
  size_t may_miss_ = 0;   // Of those that wait.
  bool missing_ = false;  // What is run sees no keys whose homes cannot be reached.
  MonoTime now_;
  mesi::Stats stats_;
  mesi::Events events_;
  HotKeys hot_keys_;
  // Lines by the number of their space, if that has a limit of memory. Tables count in it.
  mesi::LineClasses classes_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::map<uint64_t, Waiting> waiting_;  // In the order in which they came,
  std::map<Bytes, std::set<uint64_t>, std::less<>> waiting_for_;  // as here.
  std::map<Ticket, uint64_t> numbers_;
  std::map<Bytes, size_t, std::less<>> pins_;  // By how many of those that wait.
  std::map<Bytes, Writing> writing_;
  bool wrote_plain_ = false;  // The command that runs has written what is not durable.
  std::map<uint64_t, Pending> pending_;  // By number.
  std::map<Bytes, uint64_t, std::less<>> pending_of_;
  std::vector<Pending> committed_;  // To be told.
  std::vector<Bytes> wake_;         // What they wrote: others may wait for it.
  mesi::Contention contention_;     // Of what is at home here,
  mesi::ContendedKeys contended_;   // and elsewhere.
  std::map<uint64_t, ShipHere> ships_here_;  // By their tickets' slots.
  std::map<Bytes, size_t, std::less<>> ships_for_;  // How many of them wait for the key.
  size_t ship_bytes_here_ = 0;
  std::vector<ShipDone> shipped_;   // To be told.
  bool untold_refusal_ = false;     // One of them was refused: what comes now may be behind it.
  std::vector<Bytes> unpinned_;       // To be let go of at the end of what is under way,
  std::vector<uint64_t> gather_again_;  // and who is to ask for his keys anew then.
  uint64_t next_number_ = 0;
  MonoTime valid_until_ = kNeverMono;
  std::vector<Latest> latest_;
  std::map<NodeId, mesi::Leases> leases_;  // To be sent.
  size_t bytes_max_ = 0;
  MonoTime evict_again_;  // Not before then.
  size_t evict_at_ = 0;  // The shard to evict from next,
  size_t sweep_at_ = 0;  // and to look for what has expired.
  size_t audit_shard_ = 0;  // To be audited next,
  MonoTime next_audit_;     // not before then.
  MonoTime next_tick_;
  bool touched_ = true;    // Something may be to be said, or to be waited for.
  bool any_lost_ = false;  // One of the shards has.
};

}  // namespace lockstep
