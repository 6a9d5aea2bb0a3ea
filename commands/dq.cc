// The DQ.* commands. The handlers translate; QueueStore decides.
#include "commands/dq.h"

#include <algorithm>

#include "commands/host.h"
#include "commands/queue_ops.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

// Where a queue lives: its dead are with it.
GroupId GroupOf(const Context& ctx, BytesView queue) {
  return ShardGroup(ShardOfSlot(SlotOf(SideOf(queue).queue), ctx.host.Shards()));
}

// "3.17.2": the 17th message of shard 3, as it was delivered the second time.
struct ReceiptText {
  uint64_t shard = 0;
  Receipt receipt;
};
std::optional<ReceiptText> ParseReceipt(BytesView text) {
  ReceiptText out;
  const size_t dot = text.find('.');
  const size_t second = dot == BytesView::npos ? dot : text.find('.', dot + 1);
  if (second == BytesView::npos) return std::nullopt;
  const bool sound = ParseUint64(text.substr(0, dot), &out.shard) &&
                     ParseUint64(text.substr(dot + 1, second - dot - 1), &out.receipt.seq) &&
                     ParseUint64(text.substr(second + 1), &out.receipt.lease);
  return sound ? std::optional(out) : std::nullopt;
}

// Takes `count` receipts. One of another shard is good for no message of this queue: it takes its
// place in the answer as one that was never given.
std::vector<Receipt> TakeReceipts(Args& args, GroupId group, size_t count) {
  std::vector<Receipt> receipts;
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
      receipts.push_back(ShardGroup(parsed->shard) == group ? parsed->receipt : Receipt{});
    }
  }
  return receipts;
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
  const BytesView name = args.Name(what);
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
  return Propose{GroupOf(ctx, op.queue), op.Encode()};
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
  args.Fail(Reply::Error("ERR", Bytes(option.name) + " must be " + known));
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

// "3.17"; of another shard it names no message of this queue.
uint64_t TakeId(Args& args, GroupId group) {
  const BytesView text = args.Next();
  if (args.failed()) return 0;
  const size_t dot = text.find('.');
  uint64_t shard = 0, seq = 0;
  const bool sound = dot != BytesView::npos && ParseUint64(text.substr(0, dot), &shard) &&
                     ParseUint64(text.substr(dot + 1), &seq);
  if (!sound) {
    args.Fail(
        Reply::Error("ERR", "'" + Printable(text) + "' is no message id: DQ.PUSH gives them"));
  }
  return ShardGroup(shard) == group ? seq : 0;
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
  const GroupId group = GroupOf(ctx, op.queues.front());
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
      op.acks = TakeReceipts(args, group, static_cast<size_t>(count));
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  for (const BytesView queue : op.queues) {
    if (GroupOf(ctx, queue) != group) {
      return Reply::Error("CROSSSLOT", "the queues of one DQ.POP must lie in one shard: give their "
                                       "names one {tag}; nothing was changed");
    }
  }
  return Propose{group, op.Encode(), op.wait_ms.has_value(), op.tied.has_value(), true};
}

// DQ.ACK queue receipt [receipt ...]
Action DqAck(Context& ctx, Args& args) {
  QueueAckOp op;
  op.queue = TakeQueue(args, "queue");
  const GroupId group = GroupOf(ctx, op.queue);
  op.receipts = TakeReceipts(args, group, args.left());
  if (args.failed()) return args.error();
  return Propose{group, op.Encode()};
}

// DQ.NACK queue receipt [receipt ...] [DELAY ms] [ERROR text] [DEAD] [RELEASE]
Action DqNack(Context& ctx, Args& args) {
  NackOp op;
  op.queue = TakeQueue(args, "queue");
  const GroupId group = GroupOf(ctx, op.queue);
  const std::span<const BytesView> rest = args.rest();
  const auto options = std::find_if(rest.begin(), rest.end(), IsNackOption);
  op.receipts = TakeReceipts(args, group, static_cast<size_t>(options - rest.begin()));
  if (!args.failed() && op.receipts.empty()) args.SyntaxError();
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
  return Propose{group, op.Encode()};
}

// DQ.TOUCH queue ms receipt [receipt ...]
Action DqTouch(Context& ctx, Args& args) {
  TouchOp op;
  op.queue = TakeQueue(args, "queue");
  op.lease_ms = args.Integer("milliseconds", 1, kTtlMsMax);
  const GroupId group = GroupOf(ctx, op.queue);
  op.receipts = TakeReceipts(args, group, args.left());
  if (args.failed()) return args.error();
  return Propose{group, op.Encode()};
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
  }
  if (args.failed()) return args.error();
  return Propose{GroupOf(ctx, op.queue), op.Encode()};
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
  return Propose{GroupOf(ctx, op.queue), op.Encode()};
}

// DQ.PURGE queue [READY] [DELAYED] [LEASED] [DEAD]
Action DqPurge(Context& ctx, Args& args) {
  PurgeOp op;
  op.queue = TakeQueue(args, "queue");
  uint8_t states = 0;
  while (args.More()) {
    if (const auto state = TakeState(args)) states |= static_cast<uint8_t>(1u << unsigned(*state));
  }
  if (args.failed()) return args.error();
  if (states != 0) op.states = states;
  return Propose{GroupOf(ctx, op.queue), op.Encode()};
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
  return Propose{GroupOf(ctx, op.queue), op.Encode()};
}

// DQ.DEL queue id [id ...]
Action DqDel(Context& ctx, Args& args) {
  DeleteOp op;
  op.queue = TakeQueue(args, "queue");
  const GroupId group = GroupOf(ctx, op.queue);
  if (args.left() > kReceiptsMax) {
    return Reply::Error("LIMIT", Format("at most %zu ids fit into one command; nothing was changed",
                                        kReceiptsMax));
  }
  while (args.More()) op.seqs.push_back(TakeId(args, group));
  if (args.failed()) return args.error();
  return Propose{group, op.Encode()};
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
  return Query{GroupOf(ctx, query.queue), query.Encode()};
}

// DQ.INFO queue
Action DqInfo(Context& ctx, Args& args) {
  const QueueInfoQuery query{TakeQueue(args, "queue")};
  if (args.failed()) return args.error();
  return Query{GroupOf(ctx, query.queue), query.Encode()};
}

// DQ.PEEK queue [COUNT n] [FROM id] [STATE READY|DELAYED|LEASED|DEAD]
Action DqPeek(Context& ctx, Args& args) {
  PeekQuery query;
  query.queue = TakeQueue(args, "queue");
  const GroupId group = GroupOf(ctx, query.queue);
  while (args.More()) {
    if (args.Token("COUNT")) {
      query.count = static_cast<uint32_t>(args.Integer("COUNT", 1, kPopCountMax));
    } else if (args.Token("FROM")) {
      query.from = TakeId(args, group);
    } else if (args.Token("STATE")) {
      query.state = TakeState(args);
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return Query{group, query.Encode()};
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
