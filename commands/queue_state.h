// The records of a queue store and their indexes: messages, groups, queues, and who waits.
//
// Nothing is decided here; QueueStore decides. What this class adds is that all ways to find a
// record, its deadline, its place in a lane and the hash of the whole state change together with
// the record.
//
// Always true (CheckLinks):
//   1. A message's number is its place in the order of pushes, over all queues of the shard; it is
//      never used again. Lists of messages are in that order, so a message that comes back regains
//      its place.
//   2. A message is in its queue's lane exactly if it may be delivered by itself: it is READY and,
//      if it has a group, among the first `group-concurrency` of it, of which fewer are leased. So
//      the group that has room is found by looking at the front of a lane, however many are held
//      up (trap q14).
//   3. A body stays in the entry that pushed it. The entry is needed until the last message of it
//      is gone, and what was taken without acknowledgement is with its client (Pin).
//   4. The dead, and those leased from among the dead, stand in no group's line.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "commands/deadline_heap.h"
#include "commands/deadline_lists.h"
#include "commands/name_index.h"
#include "commands/queue_ops.h"
#include "commands/seq_index.h"
#include "commands/seq_set.h"
#include "commands/slab.h"
#include "src/base/result.h"
#include "src/resp/reply.h"

namespace lockstep {

struct Demand;
struct Message;
struct MessageGroup;
struct Queue;

struct Message {
  // What few messages have, or only while they are leased.
  struct Extra {
    Bytes id;
    std::vector<std::pair<Bytes, Bytes>> headers;
    Bytes error;           // Of the latest failure.
    int64_t retry = 0;     // 0: the queue's.
    int64_t ttl_ms = 0;    // As it was pushed; 0: none.
    ClusterTime expires = kNeverCluster;
    // Of the lease.
    std::optional<BoundTo> tied;
    std::optional<RequestId> unheard;  // Who asked, until it is known to have the answer.
    bool from_dead = false;            // It goes back there.
    // Of the group.
    Slot<MessageGroup> group;
    Slot<Message> next, previous;
    bool in_line = false;

    bool empty() const {
      return id.empty() && headers.empty() && error.empty() && retry == 0 &&
             expires == kNeverCluster && !tied && !unheard && !from_dead && !group.valid();
    }
  };
  uint64_t seq = 0;
  ClusterTime pushed;
  ClusterTime deadline = kNeverCluster;  // DELAYED: until when. LEASED: until when.
  LogSpan body;
  std::unique_ptr<Extra> extra;
  Slot<Queue> queue;
  uint32_t deliveries = 0;
  uint32_t failures = 0;
  MessageState state = MessageState::kReady;
  uint8_t priority = 0;
  bool in_lane = false;

  bool is_of_the_dead() const {
    return state == MessageState::kDead || (extra != nullptr && extra->from_dead);
  }
  Extra& need_extra() {
    if (extra == nullptr) extra = std::make_unique<Extra>();
    return *extra;
  }
  Slot<MessageGroup> group() const {
    return extra != nullptr ? extra->group : Slot<MessageGroup>();
  }
};
static_assert(sizeof(Message) == 64);  // There may be tens of millions.

struct MessageGroup {
  PackedName name;
  Slot<Queue> queue;
  Slot<Message> first, last;  // Of the line.
  Slot<Message> came_back;    // The latest that entered it elsewhere than at its end.
  uint32_t members = 0;       // In the line or dead.
  uint32_t leased = 0;        // In the line.
};

// A push with an ID, remembered for a while. By the full id: a hash of it would take two for one
// (trap q6).
struct PushedId {
  PackedName id;
  Slot<Queue> queue;
  uint64_t seq = 0;
  ClusterTime forget_at;
};

struct Queue {
  struct Lane {
    uint8_t priority = 0;
    SeqSet messages;
  };
  // Since the queue came to life.
  struct Counters {
    uint64_t pushed = 0, delivered = 0, acked = 0, failed = 0, expired = 0, dropped = 0;
    uint64_t duplicates = 0;
    bool operator==(const Counters&) const = default;
  };
  using Line = std::map<uint64_t, Slot<Demand>>;  // Who waits, by Demand::seq.

  PackedName name;
  std::unique_ptr<QueueOptions> options;  // None: the defaults.
  bool made = false;       // By DQ.SET: it stays until it is dropped.
  bool stops_in = false, stops_out = false;
  uint64_t fence = 0;      // The highest that was seen.
  // Of a queue with several partitions (spread.h); version 0: this is all of it.
  uint64_t version = 0;
  uint32_t before = 1;     // Partitions, before the latest growth.
  uint32_t partition = 0;  // Which this is.
  uint64_t misplaced = 0;  // Groups here that belong to another one by now.
  ClusterTime settles_at;  // Until then an ID may be remembered that belongs to another one.
  // Of a queue with a rate: when the next message would be due if they came evenly, in
  // microseconds of cluster time; and when somebody who waits for that is looked at again.
  int64_t paced_us = 0;
  ClusterTime opens_at = kNeverCluster;
  std::vector<Lane> lanes; // The highest priority first; none is empty.
  std::array<SeqSet, kMessageStates> by_state;
  uint64_t leased_from_dead = 0;  // Of those LEASED.
  uint64_t bytes = 0;      // Of the bodies of those that are not dead,
  uint64_t leased_bytes = 0;  // and of those of them that are leased.
  NameIndex groups;
  NameIndex ids;           // Of PushedIds.
  Line line, dead_line;
  Counters counters;
  ClusterTime forget_at = kNeverCluster;  // It is idle; until then it is remembered.

  const SeqSet& in(MessageState state) const { return by_state[static_cast<size_t>(state)]; }
  SeqSet& in(MessageState state) { return by_state[static_cast<size_t>(state)]; }
  // Neither dead nor leased from among the dead.
  uint64_t live() const {
    return in(MessageState::kReady).size() + in(MessageState::kDelayed).size() +
           in(MessageState::kLeased).size() - leased_from_dead;
  }
  uint64_t messages() const {
    uint64_t n = 0;
    for (const SeqSet& set : by_state) n += set.size();
    return n;
  }
};

// A POP that waits.
struct Demand {
  struct Part {
    Slot<Queue> queue;
    bool dead = false;
  };
  uint64_t seq = 0;  // The order in which they began.
  RequestId request;
  std::vector<Part> parts;
  uint32_t count = 1;
  int64_t lease_ms = 0;
  std::optional<BoundTo> tied;
  bool noack = false;
  bool full = false;
  ClusterTime deadline = kNeverCluster;
};

class QueueState {
 public:
  // Finding. An invalid slot: there is none.
  Slot<Queue> FindQueue(BytesView name) const;
  Slot<Message> FindMessage(uint64_t seq) const;
  Slot<MessageGroup> FindGroup(Slot<Queue> queue, BytesView name) const;
  Slot<PushedId> FindId(Slot<Queue> queue, BytesView id) const;
  Slot<Demand> FindDemand(const RequestId& request) const;

  const Queue& at(Slot<Queue> slot) const { return queues_[slot]; }
  const Message& at(Slot<Message> slot) const { return messages_[slot]; }
  const MessageGroup& at(Slot<MessageGroup> slot) const { return groups_[slot]; }
  const PushedId& at(Slot<PushedId> slot) const { return ids_[slot]; }
  const Demand& at(Slot<Demand> slot) const { return demands_[slot]; }
  BytesView NameOf(Slot<Queue> slot) const { return queues_[slot].name.view(); }
  const QueueOptions& OptionsOf(Slot<Queue> slot) const;
  const Slab<Queue>& queues() const { return queues_; }
  const Slab<Message>& messages() const { return messages_; }
  const Slab<Demand>& demands() const { return demands_; }
  const Slab<PushedId>& ids() const { return ids_; }

  // In order of seq.
  std::vector<Slot<Message>> TiedTo(const BoundTo& low, const BoundTo& high) const;
  std::vector<Slot<Message>> UnheardBy(const RequestId& low, const RequestId& high) const;
  std::vector<Slot<Demand>> DemandsOf(const RequestId& low, const RequestId& high) const;

  // What ends next of each kind; `thing` is its slot.
  enum Ends : size_t {
    kDelayOrLease,  // Of a message, as
    kTtl,           // this.
    kDemand,
    kPushedId,
    kIdleQueue,
    kPace,
    kEnds
  };
  struct End {
    ClusterTime deadline = kNeverCluster;
    uint32_t thing = 0;
  };
  std::array<End, kEnds> NextEnds() const;

  // Changing.
  Slot<Queue> AddQueue(BytesView name);
  void RemoveQueue(Slot<Queue> queue);  // It has no messages, ids or demands.
  // Changes options, pauses or fence.
  template <class Change>
  void EditQueue(Slot<Queue> slot, Change change) {
    const int64_t room = OptionsOf(slot).group_concurrency;
    const int64_t partitions = OptionsOf(slot).partitions;
    hash_ -= HashOf(queues_[slot]);
    change(&queues_[slot]);
    hash_ += HashOf(queues_[slot]);
    if (OptionsOf(slot).group_concurrency != room) RefreshGroups(slot, room);
    if (OptionsOf(slot).partitions != partitions) CountMisplaced(slot);
  }
  // They are in no hash: what they count is.
  Queue::Counters& CountersOf(Slot<Queue> slot) { return queues_[slot].counters; }
  void SetIdle(Slot<Queue> queue, ClusterTime forget_at);  // kNeverCluster: it is not idle.
  void SetOpens(Slot<Queue> queue, ClusterTime at);        // kNeverCluster: nobody waits for it.
  ClusterTime LastForgotten(Slot<Queue> queue) const;      // Of its ids; 0: it has none.

  // `message` has seq, queue, and what was pushed; `group` is its name, empty for none.
  Slot<Message> AddMessage(Message message, BytesView group);
  uint64_t next_seq() const { return next_seq_; }
  uint64_t TakeSeq() { return next_seq_++; }
  // Changes state, deadline, counts, and what `extra` says of them.
  template <class Change>
  void EditMessage(Slot<Message> slot, Change change) {
    Unlink(slot);
    change(&messages_[slot]);
    Link(slot);
  }
  // To another queue, in the order of the numbers, into the group of the same name.
  void MoveMessage(Slot<Message> slot, Slot<Queue> destination);
  void RemoveMessage(Slot<Message> slot);
  // The answer to `request` holds the body of a message that is to be removed: kept until Unpin.
  void Pin(const RequestId& request, Slot<Message> slot);
  void Unpin(const RequestId& low, const RequestId& high);

  bool NeedsEntry(uint64_t entry) const { return needed_.Find(entry) != SeqIndex::kAbsent; }
  std::vector<Index> NeededAfter(Index after) const;
  // How large the entry is: what reading anything of it costs.
  void SetEntryBytes(uint64_t entry, size_t bytes);
  size_t EntryBytes(uint64_t entry) const { return entry_bytes_.Find(entry); }
  std::vector<Index> TakeUnneeded() { return std::exchange(unneeded_, {}); }

  void AddId(Slot<Queue> queue, BytesView id, uint64_t seq, ClusterTime forget_at);
  void RemoveId(Slot<PushedId> slot);

  Slot<Demand> AddDemand(Demand demand);  // `seq` is given here.
  void RemoveDemand(Slot<Demand> slot);

  uint64_t hash() const { return HashMix(hash_, next_seq_); }
  void CheckLinks() const;
  void Save(Writer* out) const;
  // The same by and by (queue_save.cc); `tail` comes behind it.
  void BeginSave(BytesView tail, Writer* out);
  bool SaveMore(size_t records, Writer* out);
  void EndSave() { saving_.reset(); }
  Result<void> Load(Reader* in);  // Into an empty state.
  void ForgetPlanted();           // See src/base/planted.h.

 private:
  void Link(Slot<Message> slot);
  void Unlink(Slot<Message> slot);
  void Enter(Slot<Message> slot);  // Link, and what does not change with a message's state.
  void JoinGroup(Slot<Message> slot, BytesView name);
  void LeaveGroup(Slot<Message> slot);
  void EnterLine(Slot<Message> slot);
  void LeaveLine(Slot<Message> slot);
  void Refresh(Slot<MessageGroup> group);
  void RefreshGroups(Slot<Queue> queue, int64_t room_before);
  bool IsMisplaced(Slot<Queue> queue, BytesView group) const;
  void CountMisplaced(Slot<Queue> queue);
  DeadlineLists::Key TimerOf(uint32_t message) const;
  DeadlineLists::Key ExpiryOf(uint32_t message) const;
  static bool MayExpire(const Message& message);
  void SetInLane(Slot<Message> slot, bool wanted);
  uint64_t HashOf(const Queue& queue) const;
  uint64_t HashOf(const Message& message) const;
  uint64_t HashOf(const Demand& demand) const;
  uint64_t HashOf(const PushedId& id) const;
  static uint64_t HashOfPin(const RequestId& request, uint64_t seq, uint64_t entry);

  void SaveQueues(Writer* out) const;
  // What the record of the message before says of this one.
  struct Before {
    uint64_t seq = 0, entry = 0;
    ClusterTime pushed{0};
  };
  void SaveHead(Writer* out) const;
  void SaveMessages(Writer* out) const;
  void SaveTail(Writer* out) const;
  void SaveMessage(Slot<Message> slot, Before* before, Writer* out) const;
  static void SaveMessage(const Message& message, BytesView group, size_t entry_bytes,
                          Before* before, Writer* out);
  void KeepForSave(Slot<Message> slot);
  bool SaveAsItWas(uint64_t seq, Writer* out);
  Result<void> LoadQueues(Reader* in);
  void SaveDemands(Writer* out) const;
  void SaveIds(Writer* out) const;
  void SavePins(Writer* out) const;
  Result<void> LoadMessages(Reader* in);
  Result<void> LoadDemands(Reader* in);
  Result<void> LoadIds(Reader* in);
  Result<void> LoadPins(Reader* in);
  Slot<Queue> GetQueue(Reader* in) const;

  Slab<Queue> queues_;
  Slab<Message> messages_;
  Slab<MessageGroup> groups_;
  Slab<PushedId> ids_;
  Slab<Demand> demands_;
  NameIndex queue_index_;
  void Need(uint64_t entry);
  void NeedNoMore(uint64_t entry);

  SeqIndex by_seq_;
  SeqIndex needed_;               // By entry: how many messages and pins need it.
  SeqIndex entry_bytes_;          // Of the same.
  std::vector<Index> unneeded_;   // Entries that left it, not yet taken.
  std::map<std::pair<RequestId, uint64_t>, uint64_t> pins_;  // By request and number: the entry.
  std::map<RequestId, Slot<Demand>> demands_by_request_;
  std::map<std::pair<BoundTo, uint64_t>, Slot<Message>> tied_;
  std::map<std::pair<RequestId, uint64_t>, Slot<Message>> unheard_;
  DeadlineLists timers_;    // Messages, by `deadline`.
  DeadlineLists expiries_;  // The same, by `expires`.
  DeadlineHeap demand_deadlines_;
  DeadlineHeap id_deadlines_;
  DeadlineHeap idle_queues_;
  DeadlineHeap paces_;  // Queues.
  // Of a save that is under way: messages go out in the order of their numbers, of which the pages
  // are known; one that changes before its turn is kept as it was.
  struct Saving {
    struct Kept {
      Message message;
      Bytes group;
      size_t entry_bytes = 0;
    };
    uint64_t end_seq = 0;  // Those from here on were pushed since.
    std::vector<uint64_t> pages;
    size_t page = 0;         // The next of them,
    uint64_t next_seq = 0;   // from this number on: those below are saved.
    std::map<uint64_t, Kept> kept;
    Before before;
    Bytes tail;
  };
  std::unique_ptr<Saving> saving_;
  uint64_t next_seq_ = 1;
  uint64_t next_demand_ = 1;
  uint64_t hash_ = 0;  // The sum over all queues, messages, demands and ids.
};

}  // namespace lockstep
