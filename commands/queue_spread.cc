// One partition of a queue that has several: what it takes, what it sends elsewhere, and how it
// hears of the others (spread.h).
#include <algorithm>

#include "commands/queue_store.h"
#include "src/base/planted.h"

namespace lockstep {

std::optional<Reply> QueueStore::Misdirected(BytesView name, uint64_t version) const {
  const Slot<Queue> queue = state_.FindQueue(SideOf(name).queue);
  const uint64_t known = queue.valid() ? state_.at(queue).version : 0;
  if (version == known) return std::nullopt;
  if (version < known) return SpreadReply(queue, Elsewhere::kSpread);
  return Reply::Elsewhere(static_cast<int64_t>(Elsewhere::kBehind), {});
}

Reply QueueStore::SpreadReply(Slot<Queue> slot, Elsewhere why) const {
  const Queue& queue = state_.at(slot);
  Spread spread;
  spread.queue = Bytes(queue.name.view());
  spread.version = queue.version;
  spread.before = queue.before;
  spread.options = state_.OptionsOf(slot);
  spread.stops_in = queue.stops_in;
  spread.stops_out = queue.stops_out;
  spread.made = queue.made;
  return Reply::Elsewhere(static_cast<int64_t>(why), spread.Encode());
}

// What belongs elsewhere stays here while it must follow what is here. Once it need not, it never
// has to again: nothing of its group comes in any more.
std::optional<Reply> QueueStore::Misplaced(const PushOp& op, Slot<Queue> slot) const {
  if (op.version == 0 || !slot.valid()) return std::nullopt;  // Pushed to the dead: refused.
  const Queue& queue = state_.at(slot);
  const auto place = PlaceOf(op, static_cast<uint32_t>(state_.OptionsOf(slot).partitions));
  if (!place || *place == queue.partition) return std::nullopt;
  const bool follows = !op.group.empty() && state_.FindGroup(slot, op.group).valid();
  if (follows && !Planted(Mutant::kGroupMovesAtOnce)) return std::nullopt;
  const Elsewhere why = IsSettled(slot, at_.time) ? Elsewhere::kSettled : Elsewhere::kMoved;
  return Reply::Elsewhere(static_cast<int64_t>(why), {});
}

bool QueueStore::IsSettled(Slot<Queue> queue, ClusterTime now) const {
  return state_.at(queue).misplaced == 0 && IsOver(state_.at(queue).settles_at, now);
}

Reply QueueStore::Answer(ClusterTime now, const SettledQuery& query) const {
  if (auto elsewhere = Misdirected(query.queue, query.version)) return *std::move(elsewhere);
  const Slot<Queue> queue = state_.FindQueue(SideOf(query.queue).queue);
  return Reply::Integer(!queue.valid() || IsSettled(queue, now) ? 1 : 0);
}

std::optional<Reply> QueueStore::SetRefusal(const QueueSetOp& op, Slot<Queue> queue) const {
  const int64_t has = state_.OptionsOf(queue).partitions;
  QueueOptions options = state_.OptionsOf(queue);
  for (const auto& [number, value] : op.values) {
    options.*AllQueueOptions()[number].field = value;
  }
  const int64_t wanted = options.partitions;
  for (const int64_t limit :
       {options.maxlen, options.maxbytes, options.concurrency, options.rate}) {
    if (limit == 0 || limit >= wanted) continue;
    return Reply::Error("ERR", Format("of a limit of %ld not each of %ld partitions can have a "
                                      "part; nothing was changed",
                                      limit, wanted));
  }
  if (wanted < has) {
    return Reply::Error("ERR", Format("the queue has %ld partitions, and they only become more; "
                                      "nothing was changed",
                                      has));
  }
  if (wanted == has) return std::nullopt;
  if (state_.at(queue).fence != 0) {
    return Reply::Error("ERR", "the queue has seen fencing tokens, which are compared in one "
                               "place: it keeps its one partition; nothing was changed");
  }
  if (op.settled == state_.at(queue).version) return std::nullopt;
  return SpreadReply(queue, Elsewhere::kSpread);
}

Reply QueueStore::Adopt(const AdoptOp& op) {
  std::optional<Spread> spread = DecodeSpread(op.spread);
  if (!spread || op.partition == 0 || op.partition >= spread->partitions()) {
    return Reply::Error("ERR", "unreadable queue operation; nothing was changed");
  }
  const Slot<Queue> known = state_.FindQueue(spread->queue);
  if (!known.valid() && !HasRoomForQueues(1)) return TooManyQueues();
  const Slot<Queue> queue = FindOrAdd(spread->queue);
  if (state_.at(queue).version >= spread->version) return Reply::Ok();
  const bool grows = state_.OptionsOf(queue).partitions < spread->options.partitions;
  state_.EditQueue(queue, [&](Queue* q) {
    q->partition = op.partition;
    q->version = spread->version;
    q->before = spread->before;
    q->options = std::make_unique<QueueOptions>(spread->options);
    q->stops_in = spread->stops_in;
    q->stops_out = spread->stops_out;
    q->made = spread->made;
  });
  if (grows) Spreads(queue);
  return Reply::Ok();
}

// There are more partitions now: what is remembered here may belong to another one, and who waits
// is to wait at all of them.
void QueueStore::Spreads(Slot<Queue> slot) {
  const ClusterTime until = state_.LastForgotten(slot);
  state_.EditQueue(slot, [&](Queue* q) { q->settles_at = std::max(q->settles_at, until); });
  if (Planted(Mutant::kGrowthForgetsWaiters)) return;
  const Reply where = SpreadReply(slot, Elsewhere::kSpread);
  for (const Queue::Line* line : {&state_.at(slot).line, &state_.at(slot).dead_line}) {
    while (!line->empty()) EndDemand(line->begin()->second, where);
  }
}

}  // namespace lockstep
