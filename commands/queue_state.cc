#include "commands/queue_state.h"

#include <algorithm>

#include "commands/spread.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

uint64_t HashOf(const RequestId& id) {
  return HashMix(HashMix(id.origin.value, id.incarnation), id.seq);
}

uint64_t HashOf(const BoundTo& bound) {
  return HashMix(HashMix(bound.origin.value, bound.incarnation), bound.client.value);
}

// The values of a map from (key, seq) whose keys are in [low, high], in order of seq.
template <class Key>
std::vector<Slot<Message>> InRange(const std::map<std::pair<Key, uint64_t>, Slot<Message>>& map,
                                   const Key& low, const Key& high) {
  std::vector<std::pair<uint64_t, Slot<Message>>> found;
  for (auto it = map.lower_bound({low, 0}); it != map.end() && it->first.first <= high; ++it) {
    found.emplace_back(it->first.second, it->second);
  }
  std::sort(found.begin(), found.end());
  std::vector<Slot<Message>> slots;
  slots.reserve(found.size());
  for (const auto& [seq, slot] : found) slots.push_back(slot);
  return slots;
}

template <class Change>
void CountBytes(const Message& message, Queue* queue, Change change) {
  if (message.is_of_the_dead()) return;
  change(&queue->bytes, message.body.size);
  if (message.state == MessageState::kLeased) change(&queue->leased_bytes, message.body.size);
}

}  // namespace

// Finding ----------------------------------------------------------------------------------------

Slot<Queue> QueueState::FindQueue(BytesView name) const {
  return {queue_index_.Find(name, [this](uint32_t n) { return NameOf(Slot<Queue>{n}); })};
}

Slot<Message> QueueState::FindMessage(uint64_t seq) const {
  return {by_seq_.Find(seq)};
}

Slot<MessageGroup> QueueState::FindGroup(Slot<Queue> queue, BytesView name) const {
  return {queues_[queue].groups.Find(
      name, [this](uint32_t n) { return groups_[Slot<MessageGroup>{n}].name.view(); })};
}

Slot<PushedId> QueueState::FindId(Slot<Queue> queue, BytesView id) const {
  return {queues_[queue].ids.Find(
      id, [this](uint32_t n) { return ids_[Slot<PushedId>{n}].id.view(); })};
}

Slot<Demand> QueueState::FindDemand(const RequestId& request) const {
  const auto found = demands_by_request_.find(request);
  return found == demands_by_request_.end() ? Slot<Demand>() : found->second;
}

const QueueOptions& QueueState::OptionsOf(Slot<Queue> slot) const {
  static const QueueOptions defaults;
  const Queue& queue = queues_[slot];
  return queue.options != nullptr ? *queue.options : defaults;
}

std::array<QueueState::End, QueueState::kEnds> QueueState::NextEnds() const {
  const auto top_of = [](const DeadlineHeap& heap) {
    return heap.empty() ? End() : End{heap.top().deadline, heap.top().thing};
  };
  std::array<End, kEnds> ends;
  if (!timers_.empty()) ends[kDelayOrLease] = {TimerOf(timers_.top()).first, timers_.top()};
  if (!expiries_.empty()) ends[kTtl] = {ExpiryOf(expiries_.top()).first, expiries_.top()};
  ends[kDemand] = top_of(demand_deadlines_);
  ends[kPushedId] = top_of(id_deadlines_);
  ends[kIdleQueue] = top_of(idle_queues_);
  ends[kPace] = top_of(paces_);
  return ends;
}

std::vector<Slot<Message>> QueueState::TiedTo(const BoundTo& low, const BoundTo& high) const {
  return InRange(tied_, low, high);
}

std::vector<Slot<Message>> QueueState::UnheardBy(const RequestId& low,
                                                 const RequestId& high) const {
  return InRange(unheard_, low, high);
}

std::vector<Slot<Demand>> QueueState::DemandsOf(const RequestId& low, const RequestId& high) const {
  std::vector<std::pair<uint64_t, Slot<Demand>>> found;
  for (auto it = demands_by_request_.lower_bound(low);
       it != demands_by_request_.end() && it->first <= high; ++it) {
    found.emplace_back(demands_[it->second].seq, it->second);
  }
  std::sort(found.begin(), found.end());
  std::vector<Slot<Demand>> slots;
  for (const auto& [seq, slot] : found) slots.push_back(slot);
  return slots;
}

// Queues -----------------------------------------------------------------------------------------

Slot<Queue> QueueState::AddQueue(BytesView name) {
  const Slot<Queue> slot = queues_.Add();
  queues_[slot].name = PackedName(name);
  queue_index_.Add(name, slot.value);
  hash_ += HashOf(queues_[slot]);
  return slot;
}

void QueueState::RemoveQueue(Slot<Queue> slot) {
  const Queue& queue = queues_[slot];
  CHECK(queue.messages() == 0 && queue.ids.size() == 0);
  CHECK(queue.line.empty() && queue.dead_line.empty());
  hash_ -= HashOf(queue);
  idle_queues_.Remove(slot.value);
  paces_.Remove(slot.value);
  queue_index_.Remove(NameOf(slot), slot.value);
  queues_.Remove(slot);
}

void QueueState::SetIdle(Slot<Queue> queue, ClusterTime forget_at) {
  queues_[queue].forget_at = forget_at;
  if (forget_at == kNeverCluster) return idle_queues_.Remove(queue.value);
  idle_queues_.Set(queue.value, forget_at, queue.value);
}

void QueueState::SetOpens(Slot<Queue> queue, ClusterTime at) {
  queues_[queue].opens_at = at;
  if (at == kNeverCluster) return paces_.Remove(queue.value);
  paces_.Set(queue.value, at, queue.value);
}

bool QueueState::IsMisplaced(Slot<Queue> queue, BytesView group) const {
  if (queues_[queue].version == 0) return false;
  const auto partitions = static_cast<uint32_t>(OptionsOf(queue).partitions);
  return PlaceOfGroup(group, partitions) != queues_[queue].partition;
}

void QueueState::CountMisplaced(Slot<Queue> queue) {
  uint64_t misplaced = 0;
  for (const uint32_t number : queues_[queue].groups.Numbers()) {
    misplaced += IsMisplaced(queue, groups_[Slot<MessageGroup>{number}].name.view()) ? 1 : 0;
  }
  queues_[queue].misplaced = misplaced;
}

ClusterTime QueueState::LastForgotten(Slot<Queue> queue) const {
  ClusterTime last;
  for (const uint32_t number : queues_[queue].ids.Numbers()) {
    last = std::max(last, ids_[Slot<PushedId>{number}].forget_at);
  }
  return last;
}

// Messages ---------------------------------------------------------------------------------------

Slot<Message> QueueState::AddMessage(Message message, BytesView group) {
  const Slot<Message> slot = messages_.Add();
  messages_[slot] = std::move(message);
  if (!group.empty()) JoinGroup(slot, group);
  Enter(slot);
  return slot;
}

void QueueState::Enter(Slot<Message> slot) {
  by_seq_.Add(messages_[slot].seq, slot.value);
  Need(messages_[slot].body.entry);
  Link(slot);
}

void QueueState::RemoveMessage(Slot<Message> slot) {
  Unlink(slot);
  if (messages_[slot].group().valid()) LeaveGroup(slot);
  by_seq_.Remove(messages_[slot].seq);
  NeedNoMore(messages_[slot].body.entry);
  messages_.Remove(slot);
}

void QueueState::Need(uint64_t entry) {
  const uint32_t count = needed_.Find(entry);
  if (count != SeqIndex::kAbsent) return needed_.Set(entry, count + 1);
  needed_.Add(entry, 1);
  entry_bytes_.Add(entry, 0);
}

void QueueState::SetEntryBytes(uint64_t entry, size_t bytes) {
  entry_bytes_.Set(entry, static_cast<uint32_t>(std::min<size_t>(bytes, UINT32_MAX - 1)));
}

void QueueState::NeedNoMore(uint64_t entry) {
  const uint32_t count = needed_.Find(entry);
  CHECK(count != SeqIndex::kAbsent && count > 0);
  if (count > 1) return needed_.Set(entry, count - 1);
  needed_.Remove(entry);
  entry_bytes_.Remove(entry);
  unneeded_.push_back(Index{entry});
}

void QueueState::Pin(const RequestId& request, Slot<Message> slot) {
  const Message& message = messages_[slot];
  const bool is_new = pins_.emplace(std::pair(request, message.seq), message.body.entry).second;
  CHECK(is_new);
  hash_ += HashOfPin(request, message.seq, message.body.entry);
  Need(message.body.entry);
}

void QueueState::Unpin(const RequestId& low, const RequestId& high) {
  auto pin = pins_.lower_bound({low, 0});
  while (pin != pins_.end() && pin->first.first <= high) {
    hash_ -= HashOfPin(pin->first.first, pin->first.second, pin->second);
    NeedNoMore(pin->second);
    pin = pins_.erase(pin);
  }
}

std::vector<Index> QueueState::NeededAfter(Index after) const {
  std::vector<Index> entries;
  needed_.ForEach([&](uint64_t entry, uint32_t) {
    if (entry > after.value) entries.push_back({entry});
  });
  return entries;
}

void QueueState::MoveMessage(Slot<Message> slot, Slot<Queue> destination) {
  Bytes group;
  Unlink(slot);
  if (messages_[slot].group().valid()) {
    group = Bytes(groups_[messages_[slot].group()].name.view());
    LeaveGroup(slot);
  }
  messages_[slot].queue = destination;
  if (!group.empty()) JoinGroup(slot, group);
  Link(slot);
}

// Deadlines, sets and hash of a message, out and in again around a change. Its line and its lane
// follow in Link: most changes leave it in its line.
void QueueState::Unlink(Slot<Message> slot) {
  const Message& message = messages_[slot];
  if (saving_ != nullptr) KeepForSave(slot);
  Queue& queue = queues_[message.queue];
  hash_ -= HashOf(message);
  SetInLane(slot, false);
  CHECK(queue.in(message.state).Remove(message.seq));
  CountBytes(message, &queue, [](uint64_t* sum, uint64_t n) { *sum -= n; });
  if (message.deadline != kNeverCluster) {
    timers_.Remove(slot.value, [this](uint32_t m) { return TimerOf(m); });
  }
  if (message.extra == nullptr) return;
  if (MayExpire(message)) expiries_.Remove(slot.value, [this](uint32_t m) { return ExpiryOf(m); });
  if (message.extra->from_dead) --queue.leased_from_dead;
  if (message.extra->in_line && message.state == MessageState::kLeased) {
    --groups_[message.extra->group].leased;
  }
  if (message.extra->tied) tied_.erase({*message.extra->tied, message.seq});
  if (message.extra->unheard) unheard_.erase({*message.extra->unheard, message.seq});
}

void QueueState::Link(Slot<Message> slot) {
  Message& message = messages_[slot];
  if (message.extra != nullptr && message.extra->empty()) message.extra.reset();
  Queue& queue = queues_[message.queue];
  hash_ += HashOf(message);
  CHECK(queue.in(message.state).Add(message.seq));
  CountBytes(message, &queue, [](uint64_t* sum, uint64_t n) { *sum += n; });
  if (message.deadline != kNeverCluster) {
    timers_.Add(slot.value, [this](uint32_t m) { return TimerOf(m); });
  }
  if (message.extra == nullptr) return SetInLane(slot, message.state == MessageState::kReady);

  const Message::Extra& extra = *message.extra;
  if (MayExpire(message)) expiries_.Add(slot.value, [this](uint32_t m) { return ExpiryOf(m); });
  if (extra.from_dead) ++queue.leased_from_dead;
  if (extra.tied) tied_[{*extra.tied, message.seq}] = slot;
  if (extra.unheard) unheard_[{*extra.unheard, message.seq}] = slot;
  if (!extra.group.valid()) return SetInLane(slot, message.state == MessageState::kReady);
  message.is_of_the_dead() ? LeaveLine(slot) : EnterLine(slot);
  if (extra.in_line && message.state == MessageState::kLeased) ++groups_[extra.group].leased;
  Refresh(extra.group);
}

// A lease holds it up, and among the dead time stands still.
bool QueueState::MayExpire(const Message& message) {
  const bool runs = message.state == MessageState::kReady ||
                    message.state == MessageState::kDelayed;
  return runs && message.extra != nullptr && message.extra->expires != kNeverCluster;
}

DeadlineLists::Key QueueState::TimerOf(uint32_t message) const {
  const Message& known = messages_[Slot<Message>{message}];
  return {known.deadline, known.seq};
}

DeadlineLists::Key QueueState::ExpiryOf(uint32_t message) const {
  const Message& known = messages_[Slot<Message>{message}];
  return {known.extra->expires, known.seq};
}

void QueueState::SetInLane(Slot<Message> slot, bool wanted) {
  Message& message = messages_[slot];
  if (message.in_lane == wanted) return;
  message.in_lane = wanted;
  std::vector<Queue::Lane>& lanes = queues_[message.queue].lanes;
  auto lane = std::find_if(lanes.begin(), lanes.end(), [&](const Queue::Lane& one) {
    return one.priority <= message.priority;
  });
  if (lane == lanes.end() || lane->priority != message.priority) {
    CHECK(wanted);
    lane = lanes.emplace(lane);
    lane->priority = message.priority;
  }
  CHECK(wanted ? lane->messages.Add(message.seq) : lane->messages.Remove(message.seq));
  if (lane->messages.empty()) lanes.erase(lane);
}

// Groups -----------------------------------------------------------------------------------------

void QueueState::JoinGroup(Slot<Message> slot, BytesView name) {
  const Slot<Queue> queue = messages_[slot].queue;
  Slot<MessageGroup> group = FindGroup(queue, name);
  if (!group.valid()) {
    group = groups_.Add();
    groups_[group].name = PackedName(name);
    groups_[group].queue = queue;
    queues_[queue].groups.Add(name, group.value);
    queues_[queue].misplaced += IsMisplaced(queue, name) ? 1 : 0;
  }
  ++groups_[group].members;
  messages_[slot].need_extra().group = group;
}

void QueueState::LeaveGroup(Slot<Message> slot) {
  const Slot<MessageGroup> group = messages_[slot].extra->group;
  LeaveLine(slot);
  messages_[slot].extra->group = {};
  if (--groups_[group].members > 0) return Refresh(group);
  Queue& queue = queues_[groups_[group].queue];
  queue.misplaced -= IsMisplaced(groups_[group].queue, groups_[group].name.view()) ? 1 : 0;
  queue.groups.Remove(groups_[group].name.view(), group.value);
  groups_.Remove(group);
}

// Nearly always at its end: what is pushed is the newest. What comes back from the dead comes in
// its order too: each behind the one before, else it is looked for from the front, where it failed.
void QueueState::EnterLine(Slot<Message> slot) {
  Message::Extra& extra = *messages_[slot].extra;
  if (std::exchange(extra.in_line, true)) return;
  MessageGroup& group = groups_[extra.group];
  Slot<Message> after = group.last;
  if (after.valid() && messages_[after].seq > messages_[slot].seq) {
    const bool goes_on =
        group.came_back.valid() && messages_[group.came_back].seq < messages_[slot].seq;
    after = goes_on ? group.came_back : Slot<Message>();
    for (Slot<Message> s = goes_on ? messages_[after].extra->next : group.first;
         messages_[s].seq < messages_[slot].seq; s = messages_[s].extra->next) {
      after = s;
    }
    group.came_back = slot;
  }
  extra.previous = after;
  extra.next = after.valid() ? messages_[after].extra->next : group.first;
  (extra.previous.valid() ? messages_[extra.previous].extra->next : group.first) = slot;
  (extra.next.valid() ? messages_[extra.next].extra->previous : group.last) = slot;
}

void QueueState::LeaveLine(Slot<Message> slot) {
  Message::Extra& extra = *messages_[slot].extra;
  if (!std::exchange(extra.in_line, false)) return;
  MessageGroup& group = groups_[extra.group];
  if (group.came_back == slot) group.came_back = extra.previous;
  (extra.previous.valid() ? messages_[extra.previous].extra->next : group.first) = extra.next;
  (extra.next.valid() ? messages_[extra.next].extra->previous : group.last) = extra.previous;
  extra.next = extra.previous = {};
}

// The first of the line may be delivered while fewer are leased, and nobody behind them. The one
// behind may have been among them before an older one came back.
void QueueState::Refresh(Slot<MessageGroup> group) {
  const int64_t most = OptionsOf(groups_[group].queue).group_concurrency;
  const bool has_room = groups_[group].leased < most;
  int64_t room = most;
  for (Slot<Message> s = groups_[group].first; s.valid(); s = messages_[s].extra->next) {
    SetInLane(s, has_room && room > 0 && messages_[s].state == MessageState::kReady);
    const bool freed = Planted(Mutant::kGroupFreedByNack) &&
                       messages_[s].state == MessageState::kDelayed && messages_[s].failures > 0;
    if (!freed && room-- == 0) return;
  }
}

// There was more room before, or less; nobody further back was in a lane, nor is.
void QueueState::RefreshGroups(Slot<Queue> queue, int64_t room_before) {
  const int64_t most = OptionsOf(queue).group_concurrency;
  for (const uint32_t number : queues_[queue].groups.Numbers()) {
    const Slot<MessageGroup> group{number};
    const bool has_room = groups_[group].leased < most;
    int64_t room = most, seen = 0;
    for (Slot<Message> s = groups_[group].first; s.valid() && seen < std::max(most, room_before);
         s = messages_[s].extra->next, ++seen) {
      SetInLane(s, has_room && room-- > 0 && messages_[s].state == MessageState::kReady);
    }
  }
}

// Ids and demands --------------------------------------------------------------------------------

void QueueState::AddId(Slot<Queue> queue, BytesView id, uint64_t seq, ClusterTime forget_at) {
  const Slot<PushedId> slot = ids_.Add();
  ids_[slot].id = PackedName(id);
  ids_[slot].queue = queue;
  ids_[slot].seq = seq;
  ids_[slot].forget_at = forget_at;
  queues_[queue].ids.Add(id, slot.value);
  id_deadlines_.Set(slot.value, forget_at, seq);
  hash_ += HashOf(ids_[slot]);
}

void QueueState::RemoveId(Slot<PushedId> slot) {
  hash_ -= HashOf(ids_[slot]);
  id_deadlines_.Remove(slot.value);
  queues_[ids_[slot].queue].ids.Remove(ids_[slot].id.view(), slot.value);
  ids_.Remove(slot);
}

Slot<Demand> QueueState::AddDemand(Demand demand) {
  const Slot<Demand> slot = demands_.Add();
  if (demand.seq == 0) demand.seq = next_demand_++;
  demands_[slot] = std::move(demand);
  const Demand& added = demands_[slot];
  demands_by_request_[added.request] = slot;
  for (const Demand::Part& part : added.parts) {
    Queue& queue = queues_[part.queue];
    (part.dead ? queue.dead_line : queue.line)[added.seq] = slot;
  }
  if (added.deadline != kNeverCluster) {
    demand_deadlines_.Set(slot.value, added.deadline, added.seq);
  }
  hash_ += HashOf(added);
  return slot;
}

void QueueState::RemoveDemand(Slot<Demand> slot) {
  const Demand& demand = demands_[slot];
  hash_ -= HashOf(demand);
  for (const Demand::Part& part : demand.parts) {
    Queue& queue = queues_[part.queue];
    (part.dead ? queue.dead_line : queue.line).erase(demand.seq);
  }
  demand_deadlines_.Remove(slot.value);
  demands_by_request_.erase(demand.request);
  demands_.Remove(slot);
}

// Hashes and checks ------------------------------------------------------------------------------

uint64_t QueueState::HashOf(const Queue& queue) const {
  uint64_t hash = HashMix(Hash64(queue.name.view()), queue.fence);
  hash = HashMix(hash, (queue.stops_in ? 1u : 0u) | (queue.stops_out ? 2u : 0u) |
                           (queue.made ? 4u : 0u));
  if (queue.version != 0) {
    hash = HashMix(hash, queue.version);
    hash = HashMix(hash, uint64_t{queue.before} << 32 | queue.partition);
    hash = HashMix(hash, static_cast<uint64_t>(queue.settles_at.ms));
  }
  hash = HashMix(hash, static_cast<uint64_t>(queue.paced_us));
  if (queue.options == nullptr) return hash;
  for (const QueueOption& option : AllQueueOptions()) {
    hash = HashMix(hash, static_cast<uint64_t>(*queue.options.*option.field));
  }
  return hash;
}

uint64_t QueueState::HashOf(const Message& message) const {
  uint64_t hash = HashMix(message.seq, static_cast<uint64_t>(message.pushed.ms));
  hash = HashMix(hash, message.body.entry);
  hash = HashMix(hash, uint64_t{message.body.at} << 32 | message.body.size);
  hash = HashMix(hash, static_cast<uint64_t>(message.deadline.ms));
  hash = HashMix(hash, uint64_t{message.queue.value} << 32 | message.deliveries);
  hash = HashMix(hash, uint64_t{message.failures} << 32 | uint64_t{message.priority} << 8u |
                           static_cast<uint64_t>(message.state));
  if (message.extra == nullptr) return hash;
  const Message::Extra& extra = *message.extra;
  hash = HashMix(hash, Hash64(extra.id));
  hash = HashMix(hash, Hash64(extra.error));
  hash = HashMix(hash, static_cast<uint64_t>(extra.retry));
  hash = HashMix(hash, static_cast<uint64_t>(extra.ttl_ms));
  hash = HashMix(hash, static_cast<uint64_t>(extra.expires.ms));
  if (extra.group.valid()) hash = HashMix(hash, Hash64(groups_[extra.group].name.view()));
  hash = HashMix(hash, extra.from_dead ? 1 : 0);
  if (extra.tied) hash = HashMix(hash, lockstep::HashOf(*extra.tied));
  if (extra.unheard) hash = HashMix(hash, lockstep::HashOf(*extra.unheard));
  return hash;
}

uint64_t QueueState::HashOf(const Demand& demand) const {
  uint64_t hash = HashMix(demand.seq, lockstep::HashOf(demand.request));
  hash = HashMix(hash, static_cast<uint64_t>(demand.deadline.ms));
  for (const Demand::Part& part : demand.parts) {
    hash = HashMix(hash, uint64_t{part.queue.value} << 1 | (part.dead ? 1 : 0));
  }
  return hash;
}

uint64_t QueueState::HashOfPin(const RequestId& request, uint64_t seq, uint64_t entry) {
  return HashMix(HashMix(lockstep::HashOf(request), seq), entry);
}

uint64_t QueueState::HashOf(const PushedId& id) const {
  const uint64_t hash = HashMix(HashMix(Hash64(id.id.view()), id.queue.value), id.seq);
  return HashMix(hash, static_cast<uint64_t>(id.forget_at.ms));
}

void QueueState::CheckLinks() const {
  uint64_t hash = 0;
  std::array<uint64_t, kMessageStates> states{};
  uint64_t in_lanes = 0, timers = 0, expiries = 0;
  for (Slot<Message> s = messages_.first(); s.valid(); s = messages_.Next(s)) {
    const Message& message = messages_[s];
    hash += HashOf(message);
    ++states[static_cast<size_t>(message.state)];
    in_lanes += message.in_lane ? 1 : 0;
    CHECK(FindMessage(message.seq) == s && message.seq < next_seq_);
    CHECK(NeedsEntry(message.body.entry));
    CHECK(queues_[message.queue].in(message.state).Contains(message.seq));
    const bool timed = message.state == MessageState::kDelayed ||
                       message.state == MessageState::kLeased;
    CHECK(timed == (message.deadline != kNeverCluster));
    timers += timed ? 1 : 0;
    expiries += MayExpire(message) ? 1 : 0;
    if (!message.group().valid()) CHECK(message.in_lane == (message.state == MessageState::kReady));
    if (message.group().valid()) CHECK(message.extra->in_line != message.is_of_the_dead());
  }
  for (Slot<MessageGroup> g = groups_.first(); g.valid(); g = groups_.Next(g)) {
    const MessageGroup& group = groups_[g];
    CHECK(FindGroup(group.queue, group.name.view()) == g && group.members > 0);
    const int64_t most = OptionsOf(group.queue).group_concurrency;
    int64_t room = most;
    uint64_t before = 0;
    uint32_t leased = 0;
    for (Slot<Message> s = group.first; s.valid(); s = messages_[s].extra->next) {
      CHECK(messages_[s].seq > before && messages_[s].group() == g);
      before = messages_[s].seq;
      leased += messages_[s].state == MessageState::kLeased ? 1 : 0;
      const bool may_go = group.leased < most && room-- > 0;
      CHECK(messages_[s].in_lane == (may_go && messages_[s].state == MessageState::kReady));
    }
    CHECK(leased == group.leased);
  }
  for (Slot<Queue> q = queues_.first(); q.valid(); q = queues_.Next(q)) {
    hash += HashOf(queues_[q]);
    uint64_t misplaced = 0;
    for (const uint32_t number : queues_[q].groups.Numbers()) {
      misplaced += IsMisplaced(q, groups_[Slot<MessageGroup>{number}].name.view()) ? 1 : 0;
    }
    CHECK(misplaced == queues_[q].misplaced);
    for (size_t i = 0; i < kMessageStates; ++i) states[i] -= queues_[q].by_state[i].size();
    for (const Queue::Lane& lane : queues_[q].lanes) {
      CHECK(!lane.messages.empty());
      in_lanes -= lane.messages.size();
    }
  }
  CHECK(states == (std::array<uint64_t, kMessageStates>{}) && in_lanes == 0);
  CHECK(timers_.size() == timers && expiries_.size() == expiries);
  for (Slot<Demand> d = demands_.first(); d.valid(); d = demands_.Next(d)) {
    hash += HashOf(demands_[d]);
    CHECK(FindDemand(demands_[d].request) == d);
  }
  for (Slot<PushedId> i = ids_.first(); i.valid(); i = ids_.Next(i)) hash += HashOf(ids_[i]);
  uint64_t needs = 0;
  needed_.ForEach([&needs](uint64_t, uint32_t count) { needs += count; });
  CHECK(needs == messages_.size() + pins_.size() && needed_.size() == entry_bytes_.size());
  for (const auto& [key, entry] : pins_) {
    CHECK(NeedsEntry(entry));
    hash += HashOfPin(key.first, key.second, entry);
  }
  CHECK(hash == hash_);
}

}  // namespace lockstep
