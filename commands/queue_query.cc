// Reading a queue store.
#include <algorithm>

#include "commands/overloaded.h"
#include "commands/queue_store.h"

namespace lockstep {
namespace {

constexpr size_t kLookBytes = 256;  // As much work as looking at one record.
constexpr const char* kStateNames[] = {"ready", "delayed", "leased", "dead"};

Reply Count(uint64_t n) { return Reply::Integer(static_cast<int64_t>(n)); }

}  // namespace

Bytes QueueStore::IdOf(uint64_t seq) const {
  Bytes id;
  AppendUint64(shard_, &id);
  id += '.';
  AppendUint64(seq, &id);
  return id;
}

Reply QueueStore::Query(ClusterTime now, BytesView query) const {
  const std::optional<QueueQuery> decoded = DecodeQueueQuery(query);
  if (!decoded) return Reply::Error("ERR", "unreadable queue query");
  return std::visit([&](const auto& q) { return Answer(now, q); }, *decoded);
}

Reply QueueStore::Answer(ClusterTime, const LenQuery& query) const {
  if (auto elsewhere = Misdirected(query.queue, query.version)) return *std::move(elsewhere);
  const QueueSide side = SideOf(query.queue);
  const Slot<Queue> queue = state_.FindQueue(side.queue);
  if (!queue.valid()) return Reply::Integer(0);
  return Count(
      state_.at(queue).in(side.dead ? MessageState::kDead : MessageState::kReady).size());
}

Reply QueueStore::Answer(ClusterTime now, const QueueInfoQuery& query) const {
  if (auto elsewhere = Misdirected(query.queue, query.version)) return *std::move(elsewhere);
  const Slot<Queue> slot = state_.FindQueue(SideOf(query.queue).queue);
  if (!slot.valid()) return Reply::Nil();
  const Queue& queue = state_.at(slot);
  uint64_t oldest = kNoSeq;
  for (const MessageState state :
       {MessageState::kReady, MessageState::kDelayed, MessageState::kLeased}) {
    oldest = std::min(oldest, queue.in(state).first());
  }
  const Slot<Message> first = state_.FindMessage(oldest);
  Reply map = Reply::Map();
  map.Add("ready", Count(queue.in(MessageState::kReady).size()));
  map.Add("delayed", Count(queue.in(MessageState::kDelayed).size()));
  map.Add("leased", Count(queue.in(MessageState::kLeased).size()));
  map.Add("dead", Count(queue.in(MessageState::kDead).size()));
  map.Add("groups", Count(queue.groups.size()));
  map.Add("waiters", Count(queue.line.size() + queue.dead_line.size()));
  map.Add("oldest", Reply::Integer(first.valid() ? now - state_.at(first).pushed : 0));
  map.Add("bytes", Count(queue.bytes));
  map.Add("pushed", Count(queue.counters.pushed));
  map.Add("delivered", Count(queue.counters.delivered));
  map.Add("acked", Count(queue.counters.acked));
  map.Add("failed", Count(queue.counters.failed));
  map.Add("expired", Count(queue.counters.expired));
  map.Add("dropped", Count(queue.counters.dropped));
  map.Add("duplicates", Count(queue.counters.duplicates));
  const char* paused = queue.stops_in ? (queue.stops_out ? "all" : "in")
                                      : (queue.stops_out ? "out" : "none");
  map.Add("paused", Reply::Bulk(paused));
  map.Add("partitions", Reply::Integer(state_.OptionsOf(slot).partitions));
  map.Add("shard", Count(shard_));  // The others follow it.
  // In a map of their own: `dead` is a count and an option.
  Reply shown = Reply::Map();
  const QueueOptions& options = state_.OptionsOf(slot);
  for (const QueueOption& option : AllQueueOptions()) {
    const int64_t value = options.*option.field;
    shown.Add(option.name, option.words.empty()
                               ? Reply::Integer(value)
                               : Reply::Bulk(option.words[static_cast<size_t>(value)]));
  }
  map.Add("options", std::move(shown));
  return map;
}

// What DQ.POP ... FULL and DQ.PEEK tell beside the body. Times are ages: a cluster has no calendar.
Reply QueueStore::DetailsOf(const Message& message, ClusterTime now,
                            uint64_t deliveries) const {
  Reply map = Reply::Map();
  const Message::Extra* extra = message.extra.get();
  const bool has_id = extra != nullptr && !extra->id.empty();
  map.Add("id", has_id ? Reply::Bulk(extra->id) : Reply::Nil());
  const Slot<MessageGroup> group = message.group();
  map.Add("group", group.valid() ? Reply::Bulk(Bytes(state_.at(group).name.view())) : Reply::Nil());
  map.Add("priority", Reply::Integer(message.priority));
  map.Add("pushed", Reply::Integer(std::max<int64_t>(0, now - message.pushed)));
  map.Add("failures", Reply::Integer(message.failures));
  map.Add("deliveries", Count(deliveries));
  Reply headers = Reply::Map();
  if (extra != nullptr) {
    for (const auto& [name, value] : extra->headers) headers.Add(name, Reply::Bulk(value));
  }
  map.Add("headers", std::move(headers));
  const bool failed = extra != nullptr && !extra->error.empty();
  map.Add("error", failed ? Reply::Bulk(extra->error) : Reply::Nil());
  return map;
}

// Where none are named, those that a POP of that name would find, or has found. The dead are what
// is ready among the dead, so there READY names them too.
uint8_t QueueStore::StatesMeant(const Queue& queue, const QueueSide& side, uint8_t named) {
  constexpr uint8_t kReady = MaskOf(MessageState::kReady);
  constexpr uint8_t kDelayed = MaskOf(MessageState::kDelayed);
  constexpr uint8_t kLeased = MaskOf(MessageState::kLeased);
  constexpr uint8_t kDead = MaskOf(MessageState::kDead);
  uint8_t meant = named;
  if (named == 0) meant = side.dead ? kDead | kLeased : kReady | kDelayed | kLeased;
  if (named != 0 && side.dead) {
    meant = (named & kLeased) | ((named & (kReady | kDead)) != 0 ? kDead : 0);
  }
  const uint64_t leased = queue.in(MessageState::kLeased).size();
  const bool none_there = side.dead ? queue.leased_from_dead == 0
                                    : queue.leased_from_dead == leased;
  return none_there ? meant & static_cast<uint8_t>(~kLeased) : meant;
}

// Of those in a state that is meant.
bool QueueStore::IsMeant(const Message& message, const QueueSide& side) {
  return message.state != MessageState::kLeased || message.is_of_the_dead() == side.dead;
}

Reply QueueStore::Answer(ClusterTime now, const PeekQuery& query) const {
  if (auto elsewhere = Misdirected(query.queue, query.version)) return *std::move(elsewhere);
  const QueueSide side = SideOf(query.queue);
  const Slot<Queue> slot = state_.FindQueue(side.queue);
  Reply rows = Reply::Array();
  if (!slot.valid()) return rows;
  const Queue& queue = state_.at(slot);
  const uint8_t states = StatesMeant(queue, side, query.state ? MaskOf(*query.state) : 0);
  size_t bytes = 0;
  uint64_t entry = 0;  // Of the log, read for the latest row.
  for (uint64_t from = query.from; rows.items.size() < query.count && bytes < kPageBytesMax;) {
    uint64_t seq = kNoSeq;
    for (size_t i = 0; i < kMessageStates; ++i) {
      const auto state = static_cast<MessageState>(i);
      if (HasState(states, state)) seq = std::min(seq, queue.in(state).FirstFrom(from));
    }
    if (seq == kNoSeq) break;
    from = seq + 1;
    ++looked_at_;
    const Message& message = state_.at(state_.FindMessage(seq));
    if (!IsMeant(message, side)) continue;
    Reply row = Reply::Map();
    row.Add("message", Reply::Bulk(IdOf(seq)));
    row.Add("state", Reply::Bulk(kStateNames[static_cast<size_t>(message.state)]));
    const bool timed = message.deadline != kNeverCluster;
    row.Add("remaining", timed ? Reply::Integer(std::max<int64_t>(0, message.deadline - now))
                               : Reply::Nil());
    row.Add("body", Reply::Logged(message.body));
    Reply details = DetailsOf(message, now, message.deliveries);
    std::move(details.items.begin(), details.items.end(), std::back_inserter(row.items));
    const size_t read = message.body.entry == entry ? 0 : state_.EntryBytes(message.body.entry);
    bytes += std::max(ReplyCost(row), read);
    entry = message.body.entry;
    rows.Add(std::move(row));
  }
  return rows;
}

// SCAN's guarantees: what is there all the time is shown. A queue's number stays while it lives.
Reply QueueStore::Answer(ClusterTime, const QueueListQuery& query) const {
  Reply names = Reply::Array();
  size_t bytes = 0;
  uint64_t looked_at = 0;
  const auto from = static_cast<uint32_t>(query.cursor);
  Slot<Queue> slot = state_.queues().FirstFrom(from);
  for (; slot.valid() && looked_at < query.count && bytes < kPageBytesMax;
       slot = state_.queues().Next(slot)) {
    const BytesView name = state_.NameOf(slot);
    // A pattern of many stars may look at each byte of a name again and again.
    looked_at += 1 + query.pattern.size() * name.size() / kLookBytes;
    if (!GlobMatch(query.pattern, name)) continue;
    if (state_.at(slot).partition != 0) continue;  // It is shown at home.
    bytes += name.size();
    names.Add(Reply::Bulk(Bytes(name)));
  }
  looked_at_ += looked_at;
  const uint64_t next_shard = shard_ + 1 < query.shards ? shard_ + 1 : 0;
  const uint64_t next = slot.valid() ? shard_ << 32 | slot.value : next_shard << 32;
  return Reply::Array().Add(Reply::Bulk(std::to_string(next))).Add(std::move(names));
}

}  // namespace lockstep
