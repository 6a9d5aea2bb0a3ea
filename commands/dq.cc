// The DQ.* commands. The handlers translate; QueueStore decides.
#include "commands/dq.h"

#include <algorithm>
#include <map>

#include "commands/host.h"
#include "commands/queue_ops.h"
#include "commands/queue_tasks.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

// Where a queue lives: its dead are with it.
GroupId GroupOf(const Context& ctx, BytesView queue) {
  return ShardGroup(ShardOfSlot(SlotOf(SideOf(queue).queue), ctx.host.Shards()));
}

GroupId PartitionOf(const Context& ctx, BytesView queue, uint32_t partition) {
  const uint64_t home = ShardOf(GroupOf(ctx, queue));
  return ShardGroup(ShardOfPartition(home, partition, ctx.host.Shards()));
}

Spreads::Known* SpreadOf(const Context& ctx, BytesView queue) {
  return ctx.host.spreads().Find(SideOf(queue).queue);
}

QueueTaskContext TaskContext(const Context& ctx) {
  return {&ctx.host.spreads(), ctx.host.Shards()};
}

// To where the queue lives, if that is one place as far as is known here.
template <class Op>
Action Ask(const Context& ctx, const Op& op) {
  if (SpreadOf(ctx, op.queue) != nullptr) return MakeQueueTask(TaskContext(ctx), op.Encode());
  return Propose{GroupOf(ctx, op.queue), op.Encode()};
}
template <class Query>
Action AskToRead(const Context& ctx, const Query& query) {
  if (SpreadOf(ctx, query.queue) != nullptr) {
    return MakeQueueTask(TaskContext(ctx), query.Encode());
  }
  return lockstep::Query{GroupOf(ctx, query.queue), query.Encode()};
}

// What a command names of one shard, and where it stood in the command.
template <class T>
struct OfShard {
  std::vector<T> things;
  std::vector<size_t> places;
};
template <class T>
using ByShard = std::map<uint64_t, OfShard<T>>;

// What can be of no message takes its place at the queue's home.
template <class T>
void AddTo(ByShard<T>* all, const Context& ctx, BytesView queue, uint64_t shard, const T& thing,
           size_t place) {
  const bool sound = shard < ctx.host.Shards();
  OfShard<T>& of = (*all)[sound ? shard : ShardOf(GroupOf(ctx, queue))];
  of.things.push_back(sound ? thing : T{});
  of.places.push_back(place);
}

ByShard<Receipt> TakeReceipts(const Context& ctx, Args& args, BytesView queue, size_t count) {
  ByShard<Receipt> receipts;
  if (count > kReceiptsMax) {
    args.Fail(Reply::Error("LIMIT", Format("at most %zu receipts fit into one command; nothing was "
                                           "changed", kReceiptsMax)));
  }
  for (size_t i = 0; i < count && !args.failed(); ++i) {
    const BytesView text = args.Next();
    if (args.failed()) break;
    const std::optional<ReceiptText> parsed = ParseReceipt(text);
    if (!parsed) {
      args.Fail(Reply::Error("ERR", "'" + Printable(text) + "' is no receipt: DQ.POP gives them"));
    } else {
      AddTo(&receipts, ctx, queue, parsed->shard, parsed->receipt, i);
    }
  }
  return receipts;
}

// One operation for each shard, which `make` makes of what was named there.
template <class T, class Make>
std::vector<Task::Part> PartsOf(const ByShard<T>& all, const Make& make) {
  std::vector<Task::Part> parts;
  for (const auto& [shard, of] : all) {
    parts.push_back({.group = ShardGroup(shard), .op = make(of.things)});
  }
  return parts;
}

// Answered by how many there were.
template <class T, class Make>
Action AskForSum(const ByShard<T>& all, const Make& make) {
  std::vector<Task::Part> parts = PartsOf(all, make);
  if (parts.size() == 1) return Propose{parts.front().group, std::move(parts.front().op)};
  return MakeSumTask(std::move(parts));
}

BytesView TakeText(Args& args, const char* what, size_t max) {
  const BytesView text = args.Next();
  if (text.size() > max) {
    args.Fail(Reply::Error("LIMIT", Format("%s has %zu bytes, at most %zu are allowed; nothing was "
                                           "changed", what, text.size(), max)));
  }
  return text;
}

BytesView TakeBody(const Context& ctx, Args& args) {
  const BytesView body = args.Next();
  const size_t max = ctx.host.MessageBytesMax();
  if (body.size() > max) {
    args.Fail(Reply::Error("LIMIT", Format("the message has %zu bytes, dq-max-message allows %zu; "
                                           "nothing was changed", body.size(), max)));
  }
  return body;
}

// The dead of a queue have no dead of their own.
BytesView TakeQueue(Args& args, const char* what) {
  const BytesView next = args.More() ? args.rest().front() : BytesView();
  const BytesView name = args.Name(what, SideOf(next).dead ? kQueueNameBytesMax : kNameBytesMax);
  if (!args.failed() && SideOf(name).dead && SideOf(SideOf(name).queue).dead) {
    args.Fail(Reply::Error("ERR", "'" + Printable(name) + "' can be no queue: `<queue>!dead` is "
                                  "where the dead of a queue are read"));
  }
  return name;
}

void TakeHeaders(Args& args, PushOp* op) {
  const int64_t count = args.Integer("HEADERS", 1, kHeadersMax);
  size_t bytes = 0;
  for (int64_t i = 0; i < count && !args.failed(); ++i) {
    const BytesView name = args.Next();
    const BytesView value = args.Next();
    bytes += name.size() + value.size();
    const bool again = std::any_of(op->headers.begin(), op->headers.end(),
                                   [name](const auto& header) { return header.first == name; });
    if (again) args.Fail(Reply::Error("ERR", "header '" + Printable(name) + "' is there twice"));
    op->headers.emplace_back(name, value);
  }
  if (bytes > kHeadersBytesMax) {
    args.Fail(Reply::Error("LIMIT", Format("the headers have %zu bytes, at most %zu are allowed; "
                                           "nothing was changed", bytes, kHeadersBytesMax)));
  }
}

Action PushWith(Context& ctx, Args& args, PushOp op) {
  while (args.More()) {
    if (!op.many && args.Token("ID")) {
      op.id = args.Name("ID");
    } else if (args.Token("GROUP")) {
      op.group = args.Name("GROUP");
    } else if (args.Token("PRIORITY")) {
      op.priority = static_cast<uint8_t>(args.Integer("PRIORITY", 0, kPriorityMax));
    } else if (args.Token("DELAY")) {
      op.delay_ms = args.Integer("DELAY", 0, kDelayMsMax);
    } else if (args.Token("TTL")) {
      op.ttl_ms = args.Integer("TTL", 1, kDelayMsMax);
    } else if (args.Token("RETRY")) {
      op.retry = args.Integer("RETRY", 1, kRetryMax);
    } else if (args.Token("HEADERS")) {
      TakeHeaders(args, &op);
    } else if (args.Token("FENCE")) {
      op.fence = static_cast<uint64_t>(args.Integer("FENCE", 1, INT64_MAX));
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  op.creates = ctx.host.QueuesComeByThemselves();
  Spreads::Known* known = SpreadOf(ctx, op.queue);
  if (known == nullptr) return Propose{GroupOf(ctx, op.queue), op.Encode()};
  op.version = known->spread.version;
  const std::optional<uint32_t> partition = StraightTo(known, op);
  if (!partition) return MakeQueueTask(TaskContext(ctx), op.Encode());
  return Propose{PartitionOf(ctx, op.queue, *partition), op.Encode()};
}

// From the partition whose turn it is: so the POPs of a pipeline need not wait for each other. Only
// where there is nothing one looks in at all of them.
std::optional<Action> PopStraight(const Context& ctx, PopOp op) {
  Spreads::Known* known = SpreadOf(ctx, op.queues.front());
  if (known == nullptr) return std::nullopt;
  const uint32_t partition = known->pop_turn % known->spread.partitions();
  if (!known->told[partition]) return std::nullopt;  // A task tells it, and takes the turn.
  ++known->pop_turn;
  auto look = MakePopTask(TaskContext(ctx), op.Encode(), {});
  op.version = known->spread.version;
  return Propose{PartitionOf(ctx, op.queues.front(), partition), op.Encode(), false,
                 op.tied.has_value(), true, std::move(look)};
}

bool IsPopOption(BytesView word) {
  constexpr const char* kOptions[] = {"COUNT", "BLOCK", "LEASE", "TIED", "NOACK", "FULL", "ACK"};
  return std::any_of(std::begin(kOptions), std::end(kOptions),
                     [word](const char* option) { return EqualsIgnoreCase(word, option); });
}

bool IsNackOption(BytesView word) {
  constexpr const char* kOptions[] = {"DELAY", "ERROR", "DEAD", "RELEASE"};
  return std::any_of(std::begin(kOptions), std::end(kOptions),
                     [word](const char* option) { return EqualsIgnoreCase(word, option); });
}

Reply UnknownOption(BytesView name) {
  Bytes known;
  for (const QueueOption& option : AllQueueOptions()) known += Bytes(" ") + option.name;
  return Reply::Error("ERR", "a queue has no option '" + Printable(name) + "'; it has" + known);
}

int64_t TakeOptionValue(Args& args, const QueueOption& option) {
  if (option.words.empty()) return args.Integer(option.name, option.low, option.high);
  const BytesView word = args.Next();
  Bytes known;
  for (size_t i = 0; i < option.words.size(); ++i) {
    if (EqualsIgnoreCase(word, option.words[i])) return static_cast<int64_t>(i);
    known += Bytes(known.empty() ? "" : " or ") + option.words[i];
  }
  args.Fail(Reply::Error("ERR", Bytes(option.name) + " must be " + known + option.why));
  return 0;
}

std::optional<MessageState> TakeState(Args& args) {
  if (args.Token("READY")) return MessageState::kReady;
  if (args.Token("DELAYED")) return MessageState::kDelayed;
  if (args.Token("LEASED")) return MessageState::kLeased;
  if (args.Token("DEAD")) return MessageState::kDead;
  args.SyntaxError();
  return std::nullopt;
}

// "3.17".
struct IdText {
  uint64_t shard = 0;
  uint64_t seq = 0;
};
IdText TakeId(Args& args) {
  IdText id;
  const BytesView text = args.Next();
  if (args.failed()) return id;
  const size_t dot = text.find('.');
  const bool sound = dot != BytesView::npos && ParseUint64(text.substr(0, dot), &id.shard) &&
                     ParseUint64(text.substr(dot + 1), &id.seq);
  if (!sound) {
    args.Fail(
        Reply::Error("ERR", "'" + Printable(text) + "' is no message id: DQ.PUSH gives them"));
  }
  return id;
}

}  // namespace

// DQ.PUSH queue body [ID id] [GROUP g] [PRIORITY 0-9] [DELAY ms] [TTL ms] [RETRY n]
// [HEADERS n k v ...] [FENCE token]
Action DqPush(Context& ctx, Args& args) {
  PushOp op;
  op.queue = TakeQueue(args, "queue");
  op.bodies.push_back(TakeBody(ctx, args));
  return PushWith(ctx, args, std::move(op));
}

// DQ.MPUSH queue count body ... [options of DQ.PUSH but ID]
Action DqMpush(Context& ctx, Args& args) {
  PushOp op;
  op.queue = TakeQueue(args, "queue");
  op.many = true;
  const int64_t count = args.Integer("count", 1, kMultiPushMax);
  if (args.failed()) return args.error();
  if (static_cast<uint64_t>(count) > args.left()) {
    return Reply::Error("ERR", "count is greater than the number of bodies");
  }
  size_t bytes = 0;
  for (int64_t i = 0; i < count; ++i) {
    op.bodies.push_back(TakeBody(ctx, args));
    bytes += op.bodies.back().size();
  }
  if (bytes > kMultiQueueBytesMax) {
    return Reply::Error("LIMIT", Format("the bodies have %zu bytes, one DQ.MPUSH takes %zu; "
                                        "nothing was changed",
                                        bytes, kMultiQueueBytesMax));
  }
  return PushWith(ctx, args, std::move(op));
}

// DQ.POP queue [queue ...] [COUNT n] [BLOCK ms] [LEASE ms] [TIED] [NOACK] [FULL]
// [ACK n receipt ...]
Action DqPop(Context& ctx, Args& args) {
  PopOp op;
  op.queues.push_back(TakeQueue(args, "queue"));
  size_t names = 1;
  while (args.More() && !IsPopOption(args.rest().front())) {
    if (++names > kPopQueuesMax) {
      return Reply::Error("LIMIT", Format("one DQ.POP names at most %zu queues; nothing was "
                                          "changed", kPopQueuesMax));
    }
    const BytesView name = TakeQueue(args, "queue");
    const bool again = std::find(op.queues.begin(), op.queues.end(), name) != op.queues.end();
    if (!args.failed() && !again) op.queues.push_back(name);
  }
  if (args.failed()) return args.error();
  ByShard<Receipt> acks;
  while (args.More()) {
    if (args.Token("COUNT")) {
      op.count = static_cast<uint32_t>(args.Integer("COUNT", 1, kPopCountMax));
    } else if (args.Token("BLOCK")) {
      op.wait_ms = args.BlockMs();
    } else if (args.Token("LEASE")) {
      op.lease_ms = args.Integer("LEASE", 1, kTtlMsMax);
    } else if (args.Token("TIED")) {
      op.tied = ctx.client.id;
    } else if (args.Token("NOACK")) {
      op.noack = true;
    } else if (args.Token("FULL")) {
      op.full = true;
    } else if (args.Token("ACK")) {
      const int64_t count = args.Integer("ACK", 1, kReceiptsMax);
      acks = TakeReceipts(ctx, args, op.queues.front(), static_cast<size_t>(count));
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  const GroupId group = GroupOf(ctx, op.queues.front());
  const bool one_shard =
      std::all_of(op.queues.begin(), op.queues.end(), [&](BytesView queue) {
        return GroupOf(ctx, queue) == group && SpreadOf(ctx, queue) == nullptr;
      });
  const bool acks_there = acks.empty() || (acks.size() == 1 && acks.contains(ShardOf(group)));
  if (one_shard && acks_there) {
    if (!acks.empty()) op.acks = acks.begin()->second.things;
    return Propose{group, op.Encode(), op.wait_ms.has_value(), op.tied.has_value(), true};
  }
  if (op.queues.size() == 1 && acks.empty() && !op.wait_ms) {
    if (auto straight = PopStraight(ctx, op)) return *std::move(straight);
  }
  std::vector<Task::Part> parts = PartsOf(acks, [&](const std::vector<Receipt>& receipts) {
    return QueueAckOp{op.queues.front(), receipts}.Encode();
  });
  return MakePopTask(TaskContext(ctx), op.Encode(), std::move(parts));
}

// DQ.ACK queue receipt [receipt ...]
Action DqAck(Context& ctx, Args& args) {
  QueueAckOp op;
  op.queue = TakeQueue(args, "queue");
  const ByShard<Receipt> receipts = TakeReceipts(ctx, args, op.queue, args.left());
  if (args.failed()) return args.error();
  return AskForSum(receipts, [&op](const std::vector<Receipt>& some) {
    op.receipts = some;
    return op.Encode();
  });
}

// DQ.NACK queue receipt [receipt ...] [DELAY ms] [ERROR text] [DEAD] [RELEASE]
Action DqNack(Context& ctx, Args& args) {
  NackOp op;
  op.queue = TakeQueue(args, "queue");
  const std::span<const BytesView> rest = args.rest();
  const auto options = std::find_if(rest.begin(), rest.end(), IsNackOption);
  const ByShard<Receipt> receipts =
      TakeReceipts(ctx, args, op.queue, static_cast<size_t>(options - rest.begin()));
  if (!args.failed() && receipts.empty()) args.SyntaxError();
  while (args.More()) {
    if (args.Token("DELAY")) {
      op.delay_ms = args.Integer("DELAY", 0, kDelayMsMax);
    } else if (args.Token("ERROR")) {
      op.error = TakeText(args, "ERROR", kQueueErrorBytesMax);
    } else if (op.how == NackOp::How::kFailure && args.Token("DEAD")) {
      op.how = NackOp::How::kDead;
    } else if (op.how == NackOp::How::kFailure && args.Token("RELEASE")) {
      op.how = NackOp::How::kRelease;
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return AskForSum(receipts, [&op](const std::vector<Receipt>& some) {
    op.receipts = some;
    return op.Encode();
  });
}

// DQ.TOUCH queue ms receipt [receipt ...]
Action DqTouch(Context& ctx, Args& args) {
  TouchOp op;
  op.queue = TakeQueue(args, "queue");
  op.lease_ms = args.Integer("milliseconds", 1, kTtlMsMax);
  const size_t count = args.left();
  const ByShard<Receipt> receipts = TakeReceipts(ctx, args, op.queue, count);
  if (args.failed()) return args.error();
  std::vector<Task::Part> parts = PartsOf(receipts, [&op](const std::vector<Receipt>& some) {
    op.receipts = some;
    return op.Encode();
  });
  if (parts.size() == 1) return Propose{parts.front().group, std::move(parts.front().op)};
  std::vector<std::vector<size_t>> places;
  for (const auto& [shard, of] : receipts) places.push_back(of.places);
  return MakePlacesTask(std::move(parts), std::move(places), count);
}

// DQ.SET queue option value [option value ...]
Action DqSet(Context& ctx, Args& args) {
  QueueSetOp op;
  op.queue = TakeQueue(args, "queue");
  while (args.More()) {
    const BytesView name = args.Next();
    const size_t number = FindQueueOption(name);
    if (number == AllQueueOptions().size()) return UnknownOption(name);
    op.values.emplace_back(static_cast<uint32_t>(number),
                           TakeOptionValue(args, AllQueueOptions()[number]));
    const bool too_many = number == PartitionsOption() &&
                          static_cast<uint64_t>(op.values.back().second) > ctx.host.Shards();
    if (!args.failed() && too_many) {
      return Reply::Error("ERR", Format("a queue has at most as many partitions as there are "
                                        "shards, here %lu; nothing was changed",
                                        ctx.host.Shards()));
    }
  }
  if (args.failed()) return args.error();
  return Ask(ctx, op);
}

// DQ.PAUSE queue IN|OUT|ALL|NONE
Action DqPause(Context& ctx, Args& args) {
  QueuePauseOp op;
  op.queue = TakeQueue(args, "queue");
  if (args.Token("IN")) {
    op.stops_in = true;
  } else if (args.Token("OUT")) {
    op.stops_out = true;
  } else if (args.Token("ALL")) {
    op.stops_in = op.stops_out = true;
  } else if (!args.Token("NONE")) {
    args.SyntaxError();
  }
  if (!args.failed() && args.More()) args.SyntaxError();
  if (args.failed()) return args.error();
  return Ask(ctx, op);
}

// DQ.PURGE queue [READY] [DELAYED] [LEASED] [DEAD]
Action DqPurge(Context& ctx, Args& args) {
  PurgeOp op;
  op.queue = TakeQueue(args, "queue");
  uint8_t states = 0;
  while (args.More()) {
    if (const auto state = TakeState(args)) states |= MaskOf(*state);
  }
  if (args.failed()) return args.error();
  if (states != 0) op.states = states;
  return Ask(ctx, op);
}

// DQ.DROP queue [FORCE]
Action DqDrop(Context& ctx, Args& args) {
  DropQueueOp op;
  op.queue = TakeQueue(args, "queue");
  while (args.More()) {
    if (args.Token("FORCE")) {
      op.force = true;
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return Ask(ctx, op);
}

// DQ.DEL queue id [id ...]
Action DqDel(Context& ctx, Args& args) {
  DeleteOp op;
  op.queue = TakeQueue(args, "queue");
  if (args.left() > kReceiptsMax) {
    return Reply::Error("LIMIT", Format("at most %zu ids fit into one command; nothing was changed",
                                        kReceiptsMax));
  }
  ByShard<uint64_t> ids;
  while (args.More()) {
    const IdText id = TakeId(args);
    if (!args.failed()) AddTo(&ids, ctx, op.queue, id.shard, id.seq, 0);
  }
  if (args.failed()) return args.error();
  return AskForSum(ids, [&op](const std::vector<uint64_t>& some) {
    op.seqs = some;
    return op.Encode();
  });
}

// DQ.MOVE queue destination [COUNT n]
Action DqMove(Context& ctx, Args& args) {
  MoveOp op;
  op.queue = TakeQueue(args, "queue");
  op.destination = TakeQueue(args, "destination");
  while (args.More()) {
    if (args.Token("COUNT")) {
      op.count = static_cast<uint64_t>(args.Integer("COUNT", 1, INT64_MAX));
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  op.creates = ctx.host.QueuesComeByThemselves();
  const bool takes_back = SideOf(op.queue).queue == op.destination;
  if (takes_back && SpreadOf(ctx, op.queue) != nullptr) {
    return MakeQueueTask(TaskContext(ctx), op.Encode());
  }
  if (Spreads::Known* known = SpreadOf(ctx, op.queue)) op.version = known->spread.version;
  if (GroupOf(ctx, op.queue) != GroupOf(ctx, op.destination)) {
    return Reply::Error("CROSSSLOT", "the two queues of DQ.MOVE must lie in one shard: give their "
                                     "names one {tag}; nothing was changed");
  }
  return Propose{GroupOf(ctx, op.queue), op.Encode()};
}

// DQ.LEN queue
Action DqLen(Context& ctx, Args& args) {
  const LenQuery query{TakeQueue(args, "queue")};
  if (args.failed()) return args.error();
  return AskToRead(ctx, query);
}

// DQ.INFO queue
Action DqInfo(Context& ctx, Args& args) {
  const QueueInfoQuery query{TakeQueue(args, "queue")};
  if (args.failed()) return args.error();
  return AskToRead(ctx, query);
}

// DQ.PEEK queue [COUNT n] [FROM id] [STATE READY|DELAYED|LEASED|DEAD]
Action DqPeek(Context& ctx, Args& args) {
  PeekQuery query;
  query.queue = TakeQueue(args, "queue");
  std::optional<IdText> from;
  while (args.More()) {
    if (args.Token("COUNT")) {
      query.count = static_cast<uint32_t>(args.Integer("COUNT", 1, kPopCountMax));
    } else if (args.Token("FROM")) {
      from = TakeId(args);
    } else if (args.Token("STATE")) {
      query.state = TakeState(args);
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  const uint64_t home = ShardOf(GroupOf(ctx, query.queue));
  const uint64_t shards = ctx.host.Shards();
  const uint64_t partition = from ? (from->shard % shards + shards - home) % shards : 0;
  const bool is_spread = SpreadOf(ctx, query.queue) != nullptr;
  if (from) query.from = from->seq;
  if (!is_spread && partition == 0) return Query{ShardGroup(home), query.Encode()};
  return MakePeekTask(TaskContext(ctx), query.Encode(), static_cast<uint32_t>(partition));
}

// DQ.LIST [CURSOR c] [MATCH pattern] [COUNT n]
Action DqList(Context& ctx, Args& args) {
  QueueListQuery query;
  query.shards = ctx.host.Shards();
  while (args.More()) {
    if (args.Token("CURSOR")) {
      const BytesView cursor = args.Next();
      const bool sound = ParseUint64(cursor, &query.cursor) && query.cursor >> 32 < query.shards;
      if (!args.failed() && !sound) args.Fail(Reply::Error("ERR", "invalid cursor"));
    } else if (args.Token("MATCH")) {
      query.pattern = TakeText(args, "pattern", kNameBytesMax);
    } else if (args.Token("COUNT")) {
      const int64_t asked = args.Integer("COUNT", 1, 1'000'000'000);
      query.count = static_cast<uint32_t>(std::min<int64_t>(asked, kQueueRowsMax));
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return Query{ShardGroup(query.cursor >> 32), query.Encode()};
}

}  // namespace lockstep
