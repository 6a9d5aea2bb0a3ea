// A queue store as bytes: what a snapshot of a shard holds.
//
// Queues in the order of their numbers, by which they are served; messages, ids and demands in the
// order of theirs. Sets, lines, lanes and heaps follow from the records. So equal stores give equal
// bytes. The hash of the saved store is the last word: what loads differently is refused.
#include <algorithm>

#include "commands/op_codec.h"
#include "commands/queue_store.h"
#include "commands/save_codec.h"
#include "commands/spread.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr uint8_t kVersion = 2;

Error Damaged(const char* what) {
  return Error{Format("queue store snapshot is damaged: %s", what)};
}

uint64_t ReadWithin(Reader* in, uint64_t max) {
  const uint64_t value = in->Varint();
  if (value <= max) return value;
  in->Fail();
  return 0;
}

void PutExtra(const Message::Extra& extra, Writer* out) {
  out->String(extra.id);
  out->Varint(extra.headers.size());
  for (const auto& [name, value] : extra.headers) {
    out->String(name);
    out->String(value);
  }
  out->String(extra.error);
  out->Signed(extra.retry);
  out->Signed(extra.ttl_ms);
  out->Put(extra.expires);
  PutBound(extra.tied, out);
  out->Bool(extra.unheard.has_value());
  if (extra.unheard) out->Put(*extra.unheard);
  out->Bool(extra.from_dead);
}

Message::Extra GetExtra(Reader* in) {
  Message::Extra extra;
  extra.id = Bytes(in->String());
  const size_t headers = in->Count(2);
  for (size_t i = 0; i < headers && in->ok(); ++i) {
    const BytesView name = in->String();
    extra.headers.emplace_back(name, in->String());
  }
  extra.error = Bytes(in->String());
  extra.retry = ReadBetween(in, 0, kRetryMax);
  extra.ttl_ms = ReadBetween(in, 0, kDelayMsMax);
  extra.expires = in->GetTime();
  extra.tied = GetBound(in);
  if (in->Bool()) extra.unheard = in->GetRequestId();
  extra.from_dead = in->Bool();
  return extra;
}

}  // namespace

void QueueState::Save(Writer* out) const {
  SaveHead(out);
  SaveMessages(out);
  SaveTail(out);
}

void QueueState::SaveHead(Writer* out) const {
  out->Varint(next_seq_);
  out->Varint(next_demand_);
  SaveQueues(out);
  out->Varint(messages_.size());
}

void QueueState::SaveTail(Writer* out) const {
  SavePins(out);
  SaveIds(out);
  SaveDemands(out);
}

void QueueState::SaveQueues(Writer* out) const {
  out->Varint(queues_.size());
  uint32_t next = 0;
  for (Slot<Queue> q = queues_.first(); q.valid(); q = queues_.Next(q)) {
    const Queue& queue = queues_[q];
    out->Varint(q.value - next);
    next = q.value + 1;
    out->String(queue.name.view());
    out->Bool(queue.options != nullptr);
    if (queue.options != nullptr) PutOptions(*queue.options, out);
    out->Bool(queue.made);
    out->Bool(queue.stops_in);
    out->Bool(queue.stops_out);
    out->Varint(queue.fence);
    out->Varint(queue.version);
    out->Varint(queue.before);
    out->Varint(queue.partition);
    out->Put(queue.settles_at);
    out->Signed(queue.paced_us);
    out->Put(queue.opens_at);
    const Queue::Counters& c = queue.counters;
    for (const uint64_t n :
         {c.pushed, c.delivered, c.acked, c.failed, c.expired, c.dropped, c.duplicates}) {
      out->Varint(n);
    }
    out->Put(queue.forget_at);
  }
}

void QueueState::SaveMessages(Writer* out) const {
  Before before;
  by_seq_.ForEach([&](uint64_t, uint32_t number) {
    SaveMessage(Slot<Message>{number}, &before, out);
  });
}

void QueueState::SaveMessage(Slot<Message> slot, Before* before, Writer* out) const {
  const Message& message = messages_[slot];
  const Slot<MessageGroup> group = message.group();
  SaveMessage(message, group.valid() ? groups_[group].name.view() : BytesView(),
              EntryBytes(message.body.entry), before, out);
}

void QueueState::SaveMessage(const Message& message, BytesView group, size_t entry_bytes,
                             Before* before, Writer* out) {
  out->Varint(message.seq - before->seq);
  out->Varint(message.queue.value);
  const bool has_extra = message.extra != nullptr && !message.extra->empty();
  out->U8(static_cast<uint8_t>(static_cast<unsigned>(message.state) |
                               static_cast<unsigned>(message.priority) << 2u |
                               (has_extra ? 64u : 0u)));
  out->Varint(static_cast<uint64_t>(message.pushed.ms - before->pushed.ms));
  const bool timed = message.deadline != kNeverCluster;
  if (timed) out->Put(message.deadline);
  out->Varint(message.deliveries);
  out->Varint(message.failures);
  out->Varint(message.body.entry - before->entry);
  if (message.body.entry != before->entry) out->Varint(entry_bytes);
  out->Varint(message.body.at);
  out->Varint(message.body.size);
  *before = {message.seq, message.body.entry, message.pushed};
  if (!has_extra) return;
  PutExtra(*message.extra, out);
  out->String(group);
}

void QueueState::SaveIds(Writer* out) const {
  out->Varint(ids_.size());
  for (const Slot<PushedId> slot : InOrderOfSeq(ids_)) {
    const PushedId& id = ids_[slot];
    out->Varint(id.queue.value);
    out->String(id.id.view());
    out->Varint(id.seq);
    out->Put(id.forget_at);
  }
}

void QueueState::SaveDemands(Writer* out) const {
  out->Varint(demands_.size());
  for (const Slot<Demand> slot : InOrderOfSeq(demands_)) {
    const Demand& demand = demands_[slot];
    out->Varint(demand.seq);
    out->Put(demand.request);
    out->Varint(demand.parts.size());
    for (const Demand::Part& part : demand.parts) {
      out->Varint(part.queue.value);
      out->Bool(part.dead);
    }
    out->Varint(demand.count);
    out->Signed(demand.lease_ms);
    PutBound(demand.tied, out);
    out->Bool(demand.noack);
    out->Bool(demand.full);
    out->Put(demand.deadline);
  }
}

Result<void> QueueState::Load(Reader* in) {
  constexpr uint64_t kSeqMax = uint64_t{1} << 62;  // So that the next one does not overflow.
  next_seq_ = in->Varint();
  next_demand_ = in->Varint();
  if (next_seq_ > kSeqMax || next_demand_ > kSeqMax) return Damaged("numbers");
  if (const auto loaded = LoadQueues(in); !loaded) return loaded;
  if (const auto loaded = LoadMessages(in); !loaded) return loaded;
  if (const auto loaded = LoadPins(in); !loaded) return loaded;
  if (const auto loaded = LoadIds(in); !loaded) return loaded;
  return LoadDemands(in);
}

Result<void> QueueState::LoadQueues(Reader* in) {
  const size_t queues = in->Count(2);
  uint64_t next = 0;
  for (size_t i = 0; i < queues; ++i) {
    constexpr uint64_t kSlotsMax = uint64_t{1} << 21;
    constexpr uint64_t kPlacesMax = uint64_t{1} << 62;
    constexpr int64_t kPacedUsMax = int64_t{1} << 61;
    const uint64_t number = next + in->Varint();
    const BytesView name = ReadName(in);
    if (!in->ok() || number < next || number > kSlotsMax) return Damaged("queues");
    if (FindQueue(name).valid()) return Damaged("a queue is there twice");
    const Slot<Queue> slot{static_cast<uint32_t>(number)};
    next = number + 1;
    queues_.AddAt(slot);
    Queue& queue = queues_[slot];
    queue.name = PackedName(name);
    queue_index_.Add(name, slot.value);
    if (in->Bool()) queue.options = std::make_unique<QueueOptions>(GetOptions(in));
    queue.made = in->Bool();
    queue.stops_in = in->Bool();
    queue.stops_out = in->Bool();
    queue.fence = in->Varint();
    queue.version = in->Varint();
    queue.before = ReadUpTo(in, static_cast<uint32_t>(kPartitionsMax));
    queue.partition = ReadUpTo(in, static_cast<uint32_t>(kPartitionsMax - 1));
    queue.settles_at = in->GetTime();
    queue.paced_us = in->Signed();
    SetOpens(slot, in->GetTime());
    const auto partitions = static_cast<uint32_t>(OptionsOf(slot).partitions);
    const bool spread_is_sound = queue.before >= 1 && queue.before <= partitions &&
                                 queue.partition < partitions && queue.version <= kPlacesMax &&
                                 (queue.version != 0) == (partitions > 1);
    if (!spread_is_sound || queue.paced_us < 0 || queue.paced_us > kPacedUsMax) {
      return Damaged("partitions");
    }
    Queue::Counters& c = queue.counters;
    for (uint64_t* n : {&c.pushed, &c.delivered, &c.acked, &c.failed, &c.expired, &c.dropped,
                        &c.duplicates}) {
      *n = in->Varint();
    }
    hash_ += HashOf(queue);
    SetIdle(slot, in->GetTime());
  }
  queues_.FillGaps();
  if (!in->ok()) return Damaged("queues");
  return {};
}

Slot<Queue> QueueState::GetQueue(Reader* in) const {
  const uint64_t number = in->Varint();
  const Slot<Queue> slot{static_cast<uint32_t>(number)};
  if (number < UINT32_MAX && in->ok() && queues_.live(slot)) return slot;
  in->Fail();
  return {};
}

Result<void> QueueState::LoadMessages(Reader* in) {
  const size_t messages = in->Count(6);
  uint64_t before = 0, entry = 0, pushed = 0;
  constexpr uint64_t kMsMax = uint64_t{1} << 62;
  for (size_t i = 0; i < messages; ++i) {
    Message message;
    message.seq = before + in->Varint();
    if (message.seq <= before || message.seq >= next_seq_) return Damaged("numbers of messages");
    before = message.seq;
    message.queue = GetQueue(in);
    const uint8_t packed = in->U8();
    message.state = static_cast<MessageState>(packed & 3);
    message.priority = packed >> 2 & 15;
    pushed += ReadWithin(in, kMsMax - pushed);
    message.pushed = ClusterTime{static_cast<int64_t>(pushed)};
    const bool timed = message.state == MessageState::kDelayed ||
                       message.state == MessageState::kLeased;
    if (timed) message.deadline = in->GetTime();
    message.deliveries = ReadUpTo(in, UINT32_MAX);
    message.failures = ReadUpTo(in, UINT32_MAX);
    const uint64_t more = ReadWithin(in, kMsMax - entry);
    entry += more;
    const uint32_t entry_bytes = more > 0 ? ReadUpTo(in, UINT32_MAX - 1) : 0;
    message.body = {entry, ReadUpTo(in, UINT32_MAX), ReadUpTo(in, UINT32_MAX)};
    BytesView group;
    if ((packed & 64) != 0) {
      message.extra = std::make_unique<Message::Extra>(GetExtra(in));
      group = in->String();
    }
    const bool sound = in->ok() && message.priority <= kPriorityMax && packed < 128 &&
                       group.size() <= kNameBytesMax &&
                       (!timed || message.deadline != kNeverCluster) &&
                       (message.extra == nullptr || message.extra->id.size() <= kNameBytesMax);
    if (!sound) return Damaged("messages");
    const bool lone = message.extra == nullptr;
    const bool leased = message.state == MessageState::kLeased;
    if (!lone && !leased &&
        (message.extra->from_dead || message.extra->tied || message.extra->unheard)) {
      return Damaged("a lease without a lease");
    }
    AddMessage(std::move(message), group);
    if (more > 0) SetEntryBytes(entry, entry_bytes);
  }
  return {};
}

void QueueState::SavePins(Writer* out) const {
  out->Varint(pins_.size());
  for (const auto& [key, entry] : pins_) {
    out->Put(key.first);
    out->Varint(key.second);
    out->Varint(entry);
  }
}

Result<void> QueueState::LoadPins(Reader* in) {
  const size_t pins = in->Count(5);
  for (size_t i = 0; i < pins; ++i) {
    const RequestId request = in->GetRequestId();
    const uint64_t seq = in->Varint();
    const uint64_t entry = in->Varint();
    if (!in->ok() || !pins_.emplace(std::pair(request, seq), entry).second) return Damaged("pins");
    hash_ += HashOfPin(request, seq, entry);
    Need(entry);
  }
  return {};
}

Result<void> QueueState::LoadIds(Reader* in) {
  const size_t ids = in->Count(4);
  for (size_t i = 0; i < ids; ++i) {
    const Slot<Queue> queue = GetQueue(in);
    const BytesView id = ReadName(in);
    const uint64_t seq = in->Varint();
    const ClusterTime forget_at = in->GetTime();
    if (!in->ok() || FindId(queue, id).valid()) return Damaged("ids");
    AddId(queue, id, seq, forget_at);
  }
  return {};
}

Result<void> QueueState::LoadDemands(Reader* in) {
  const size_t demands = in->Count(8);
  uint64_t before = 0;
  for (size_t i = 0; i < demands; ++i) {
    Demand demand;
    demand.seq = in->Varint();
    demand.request = in->GetRequestId();
    const size_t parts = in->Count(2);
    if (parts < 1 || parts > kPopQueuesMax) in->Fail();
    for (size_t p = 0; p < parts && in->ok(); ++p) {
      const Slot<Queue> queue = GetQueue(in);
      demand.parts.push_back({queue, in->Bool()});
    }
    demand.count = ReadUpTo(in, kPopCountMax);
    demand.lease_ms = ReadBetween(in, 0, kTtlMsMax);
    demand.tied = GetBound(in);
    demand.noack = in->Bool();
    demand.full = in->Bool();
    demand.deadline = in->GetTime();
    const bool sound = in->ok() && demand.count > 0 && demand.seq > before &&
                       demand.seq < next_demand_ && !FindDemand(demand.request).valid();
    if (!sound) return Damaged("demands");
    before = demand.seq;
    AddDemand(std::move(demand));
  }
  if (!in->ok()) return Damaged("demands");
  for (Slot<Queue> q = queues_.first(); q.valid(); q = queues_.Next(q)) {
    const Queue& queue = queues_[q];
    const bool empty = queue.messages() == 0 && queue.ids.size() == 0 && queue.line.empty() &&
                       queue.dead_line.empty();
    if (!empty && queue.forget_at != kNeverCluster) return Damaged("a queue to be forgotten");
  }
  return {};
}

// By and by ---------------------------------------------------------------------------------------

// Fixed now, all at once: the queues, and what comes behind the messages. It is small, unless very
// many IDs are remembered: a million of them take a quarter of a second.
void QueueState::BeginSave(BytesView tail, Writer* out) {
  saving_ = std::make_unique<Saving>();
  saving_->end_seq = next_seq_;
  saving_->pages = by_seq_.Pages();
  Writer behind(&saving_->tail);
  SaveTail(&behind);
  behind.Raw(tail);
  SaveHead(out);
}

bool QueueState::SaveMore(size_t records, Writer* out) {
  Saving& saving = *saving_;
  size_t saved = 0;
  for (; saving.page < saving.pages.size(); ++saving.page) {
    const uint64_t from = saving.pages[saving.page] * SeqIndex::kPage;
    const uint64_t end = std::min(from + SeqIndex::kPage, saving.end_seq);
    for (saving.next_seq = std::max(saving.next_seq, from); saving.next_seq < end;
         ++saving.next_seq) {
      if (saved == records) return false;
      if (SaveAsItWas(saving.next_seq, out)) ++saved;
    }
  }
  out->Raw(saving.tail);
  saving_.reset();
  return true;
}

// False: there was no such message.
bool QueueState::SaveAsItWas(uint64_t seq, Writer* out) {
  Saving& saving = *saving_;
  const auto kept = saving.kept.begin();
  if (kept != saving.kept.end() && kept->first == seq) {
    SaveMessage(kept->second.message, kept->second.group, kept->second.entry_bytes, &saving.before,
                out);
    saving.kept.erase(kept);
    return true;
  }
  const Slot<Message> live = FindMessage(seq);
  if (live.valid()) SaveMessage(live, &saving.before, out);
  return live.valid();
}

void QueueState::KeepForSave(Slot<Message> slot) {
  const Message& message = messages_[slot];
  Saving& saving = *saving_;
  if (message.seq >= saving.end_seq || message.seq < saving.next_seq) return;
  if (Planted(Mutant::kSliceOfLater)) return;
  const auto [kept, is_new] = saving.kept.try_emplace(message.seq);
  if (!is_new) return;
  Message& copy = kept->second.message;
  copy.seq = message.seq;
  copy.pushed = message.pushed;
  copy.deadline = message.deadline;
  copy.body = message.body;
  if (message.extra != nullptr) copy.extra = std::make_unique<Message::Extra>(*message.extra);
  copy.queue = message.queue;
  copy.deliveries = message.deliveries;
  copy.failures = message.failures;
  copy.state = message.state;
  copy.priority = message.priority;
  const Slot<MessageGroup> group = message.group();
  if (group.valid()) kept->second.group = Bytes(groups_[group].name.view());
  kept->second.entry_bytes = EntryBytes(message.body.entry);
}

// What a snapshot could have left out.
void QueueState::ForgetPlanted() {
  const auto make_ready = [this](MessageState state) {
    for (Slot<Message> s = messages_.first(); s.valid(); s = messages_.Next(s)) {
      if (messages_[s].state != state) continue;
      EditMessage(s, [](Message* message) {
        message->state = MessageState::kReady;
        message->deadline = kNeverCluster;
        if (message->extra == nullptr) return;
        message->extra->tied.reset();
        message->extra->unheard.reset();
        message->extra->from_dead = false;
      });
    }
  };
  if (Planted(Mutant::kSnapshotWithoutLeases)) make_ready(MessageState::kLeased);
  if (Planted(Mutant::kSnapshotWithoutDelays)) make_ready(MessageState::kDelayed);
  if (Planted(Mutant::kSnapshotWithoutIds)) {
    for (Slot<PushedId> id = ids_.first(); id.valid(); id = ids_.first()) RemoveId(id);
  }
}

void QueueStore::Save(Writer* out) const {
  out->U8(kVersion);
  out->Varint(shard_);
  state_.Save(out);
  out->U64(Hash());
}

void QueueStore::BeginSave(Writer* out) {
  Bytes tail;
  Writer(&tail).U64(Hash());
  out->U8(kVersion);
  out->Varint(shard_);
  state_.BeginSave(tail, out);
}

bool QueueStore::SaveMore(size_t records, Writer* out) { return state_.SaveMore(records, out); }

Result<void> QueueStore::Load(Reader* in) {
  state_ = QueueState();
  touched_.clear();
  const auto loaded = [&]() -> Result<void> {
    if (in->U8() != kVersion) return Damaged("of another version");
    if (in->Varint() != shard_) return Damaged("of another shard");
    if (auto state = state_.Load(in); !state) return state;
    if (in->U64() != Hash() || !in->ok()) return Damaged("it loads as something else");
    return {};
  }();
  if (!loaded) state_ = QueueState();
  state_.ForgetPlanted();
  return loaded;
}

}  // namespace lockstep
