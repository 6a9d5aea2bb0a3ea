#include "src/dispatcher.h"

#include <algorithm>
#include <utility>

#include "commands/redact.h"
#include "src/base/hash.h"
#include "src/base/log.h"

namespace lockstep {
namespace {

constexpr int kCommandsATurn = 64;  // Of one connection; then the next may go.
constexpr size_t kReplyBytesAUnit = 1024;  // Making so much costs about what a small command does.
constexpr size_t kKeysAheadMax = 512;  // Commands of one connection that wait for keys.
constexpr size_t kAheadBytesMax = size_t{8} << 20;  // Of their arguments, before the last.
constexpr size_t kOpenSlotsMax = 16'384;  // Then its socket waits.
constexpr size_t kLongReadsMax = 4;       // Open at once: their answers may be long,
constexpr size_t kHandOversMax = 64;      // as those of POPs.

bool IsReplicated(const CommandSpec& leaf) {
  return !leaf.on_keys && (leaf.categories & (kCatLock | kCatQueue)) != 0;
}

bool IsWatch(const CommandSpec& leaf) { return BytesView(leaf.name) == "WATCH"; }

// One of the groups that the command asks; of the shards, any.
GroupId AskedBy(const CommandSpec& leaf) {
  return (leaf.categories & kCatQueue) != 0 ? ShardGroup(0) : kLocksGroup;
}

// Changes nothing and sees nothing, so it can be answered while those before it are under way; the
// answer waits in its slot, and many of them must not cost much.
bool IsEcho(const CommandSpec& leaf, std::span<const BytesView> argv) {
  constexpr size_t kHeldBytesMax = 256;
  const BytesView name = leaf.name;
  return (name == "PING" || name == "ECHO") && (argv.size() < 2 || argv[1].size() <= kHeldBytesMax);
}

bool MayHaveHappened(const Reply& reply) {
  return !reply.is_error() || reply.text.starts_with("UNCERTAIN");
}

Bytes Subject(std::span<const BytesView> argv) {
  return argv.size() > 1 ? Bytes(argv[1].substr(0, 128)) : Bytes();
}

}  // namespace

Dispatcher::Dispatcher(Host* host, Gateway* gateway, std::function<MonoTime()> clock)
    : host_(host), gateway_(gateway), clock_(std::move(clock)) {}

void Dispatcher::Pause(MonoTime until, bool writes_only) {
  // As in Redis: a second pause prolongs the first and never weakens it.
  pause_writes_only_ = writes_only && (paused_until_ <= host_->Now() || pause_writes_only_);
  paused_until_ = std::max(paused_until_, until);
}

bool Dispatcher::Run(MonoTime now, Session* session, int64_t* budget) {
  batch_ = {};
  session->ExpectOutput();
  const bool more = RunSome(now, session, budget);
  CloseBatch();
  if (!is_measured_) measured_ = {};  // What it took is nobody else's.
  return more;
}

bool Dispatcher::RunSome(MonoTime now, Session* session, int64_t* budget) {
  const bool authenticated = session->client.authenticated;
  for (int i = 0; i < kCommandsATurn && *budget > 0; ++i) {
    const size_t before = session->output_bytes();
    const bool ran = Next(now, session);
    if (!ran || session->output_bytes() - before > kReplyBytesAUnit) CloseBatch();
    const size_t made = session->output_bytes() - std::min(before, session->output_bytes());
    *budget -= static_cast<int64_t>(1 + made / kReplyBytesAUnit);
    if (!ran) return false;
    // What a stranger may send has other bounds: they are to hold from the next command on.
    if (session->client.authenticated != authenticated) return true;
  }
  return true;
}

// One command. False: nothing can run now.
bool Dispatcher::Next(MonoTime now, Session* session) {
  session->lack = Session::Lack::kNothing;
  if (session->closing || session->Blocking() != nullptr) return false;
  if (session->open_slots() >= kOpenSlotsMax) return false;
  if (session->output_bytes() >= Session::kOutputPauseBytes) {
    session->lack = Session::Lack::kOutputRoom;
    return false;
  }
  // A command that had to wait is asked for again: bytes that came meanwhile, or only room for
  // them, may have moved the buffer that its arguments lie in.
  switch (session->parser.Next()) {
    case resp::ParseStatus::kNeedMore:
      session->lack = Session::Lack::kBytes;
      return false;
    case resp::ParseStatus::kError:
      host_->stats().CountError(session->parser.error());
      if (session->parser.error().ends_with("client-query-buffer-limit")) {
        ++host_->stats().query_buffer_disconnections;
      }
      session->Answer(Reply::Error("ERR", BytesView(session->parser.error()).substr(4)), false);
      session->closing = true;
      return false;
    case resp::ParseStatus::kClose:
      WarnOfHttp(now, *session);
      session->WriteRaw(session->parser.error());
      session->closing = true;
      return false;
    case resp::ParseStatus::kCommand:
      break;
  }
  if (!Execute(now, session, session->parser.args())) return false;
  session->parser.Consume();
  return true;
}

// A line a minute: whoever can make one can make many.
void Dispatcher::WarnOfHttp(MonoTime now, const Session& session) {
  if (now < next_http_warning_) return;
  next_http_warning_ = now + 60 * kUsPerSecond;
  LOCKSTEP_LOG(kWarn,
               "client %s speaks HTTP to the RESP port; closed (somebody may be making a browser "
               "talk to this node; more of them within a minute are not told)",
               session.client.address.c_str());
}

// False: not yet; the same command is looked at again when something has changed.
bool Dispatcher::Execute(MonoTime now, Session* session, std::span<const BytesView> argv) {
  Client& client = session->client;
  Call call;
  call.found = Find(session, argv);
  if (call.found.command != nullptr) call.row = &call.found.leaf();
  call.argv = argv;
  call.now = now;

  const std::optional<Reply> refusal = Refusal(*session, call);
  if (!refusal && !client.in_multi()) {
    const CommandSpec& leaf = call.leaf();
    if (MustWait(*session, call)) return false;
    session->stalled = HeldByPause(now, leaf);
    if (session->stalled) return false;
  }
  if (!refusal && client.in_multi()) {
    if (!session->idle()) return false;
    session->stalled = IsExec(call.found) && HeldByPause(now, *session);
    if (session->stalled) return false;
  }

  const bool same = call.row != nullptr && call.row == batch_.leaf;
  const bool goes_on = same && batch_.commands < kBatchMax;
  if (!goes_on) CloseBatch();
  if (measured_.us == 0) measured_ = clock_();
  call.started = measured_;
  is_measured_ = false;
  client.last_active = now;
  ++client.commands;
  ++host_->stats().commands_processed;
  call.muted = client.reply_mode != Client::ReplyMode::kOn;
  if (client.reply_mode == Client::ReplyMode::kSkipNext) {
    client.reply_mode = Client::ReplyMode::kOn;
  }
  if (refusal) {
    AnswerRefusal(session, call, *refusal);
  } else {
    Admit(session, call);
  }
  if (client.tracking_options.caching) EndCaching(session, call.found);
  return true;
}

FoundCommand Dispatcher::Find(Session* session, std::span<const BytesView> argv) {
  if (session->known_command != nullptr && session->known_name == argv[0]) {
    return {session->known_command, nullptr};
  }
  const FoundCommand found = CommandTable::Get().Find(argv);
  if (found.command != nullptr && found.command->subcommands.empty()) {
    session->known_name = argv[0];
    session->known_command = found.command;
  }
  return found;
}

// CLIENT CACHING is about the command behind it, or the transaction. One that waits for its keys
// still needs it.
void Dispatcher::EndCaching(Session* session, const FoundCommand& found) {
  const bool waits = !session->idle() && session->BackSlot().waiting != nullptr;
  const bool is_client = found.command != nullptr && BytesView(found.command->name) == "CLIENT";
  if (waits || is_client || session->client.in_multi()) return;
  session->client.tracking_options.caching = false;
}

void Dispatcher::AnswerRefusal(Session* session, const Call& call, const Reply& refusal) {
  if (session->client.in_multi()) session->client.dirty_exec = true;
  if (call.found.command != nullptr) {
    const size_t leaf = CommandTable::Get().LeafNumber(call.leaf());
    ++host_->stats().Of(leaf).rejected;
  }
  host_->stats().CountError(refusal.text);
  const bool is_exec = call.found.command != nullptr && IsExec(call.found);
  const bool aborts = is_exec && session->client.in_multi();
  session->Answer(aborts ? AbortExec(session, refusal) : Reply(refusal), call.muted);
}

// Why the command may not run or be queued at all, if so.
std::optional<Reply> Dispatcher::Refusal(const Session& session, const Call& call) const {
  const Client& client = session.client;
  if (call.found.command == nullptr) return UnknownCommand(call.argv);
  const CommandSpec& leaf = call.leaf();
  if (leaf.handler == nullptr && !IsTransactionControl(call.found)) {
    if (call.argv.size() < 2) return WrongArity(call.found);
    return UnknownSubcommand(call.argv);
  }
  if (!ArityFits(leaf, call.argv.size())) return WrongArity(call.found);
  if (!client.authenticated && host_->PasswordNeeded() && (leaf.flags & kNoAuth) == 0) {
    return Reply::Error("NOAUTH", "Authentication required.");
  }
  if (client.restricted_by_subscription()) {
    static constexpr const char* kAllowed[] = {
        "ping", "quit", "reset", "subscribe", "psubscribe", "ssubscribe",
        "unsubscribe", "punsubscribe", "sunsubscribe"};
    const Bytes name = Lower(call.argv[0]);
    const bool allowed = std::any_of(std::begin(kAllowed), std::end(kAllowed),
                                     [&](const char* a) { return name == a; });
    if (!allowed) {
      return Reply::Error(
          "ERR", Format("Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
                        "/ RESET are allowed in this context",
                        CommandTable::Get().LeafName(leaf).c_str()));
    }
  }
  if (client.in_multi() && (leaf.categories & kCatQueue) != 0) {
    return Reply::Error("ERR", "queues can be no part of a transaction: each has a log of its own; "
                               "send it outside MULTI, or in a pipeline without");
  }
  if (client.in_multi() && (leaf.flags & kNoMulti) != 0 && !IsWatch(leaf)) {
    return Reply::Error("ERR", "Command not allowed inside a transaction");
  }
  if (leaving_ && leaf.on_keys && (leaf.flags & kWrite) != 0) {
    return Reply::Error("CLUSTERDOWN", "this node is shutting down; nothing was changed; ask "
                                       "another one");
  }
  if ((leaf.flags & kDenyOom) != 0 && (host_->OverMemory() || IsFull(leaf, call.argv))) {
    return OverMemoryReply();
  }
  return std::nullopt;
}

// Rule 2 of the session: what goes to the same group may follow on its heels. But a write waits for
// the reads before it: a read has no place in the log, and would see a write that is applied before
// it is answered.
bool Dispatcher::MustWait(const Session& session, const Call& call) const {
  const CommandSpec& leaf = call.leaf();
  if (session.idle()) return false;
  // What a pipeline needs is asked for as it is read; it is run in its order all the same.
  const bool ahead = leaf.on_keys && session.WaitsForKeys();
  const bool has_room =
      session.open_slots() < kKeysAheadMax && session.ahead_bytes < kAheadBytesMax;
  if (ahead && has_room) return false;
  if (!IsReplicated(leaf)) return !IsEcho(leaf, call.argv);
  if (session.WaitsForKeys() || session.Commits()) return true;
  if (!session.AllSlotsAskLikeThis(AskedBy(leaf))) return true;
  if (session.open_hand_overs() >= kHandOversMax) return true;
  if ((leaf.categories & kCatQueue) != 0) {
    // What takes several steps, or would go another way than what was sent before it.
    if (session.open_errands() > 0) return true;
    if (session.spreads_epoch != host_->spreads().epoch()) return true;
  }
  if ((leaf.flags & kReadonly) == 0) return session.open_reads() > 0;
  return (leaf.flags & kFast) == 0 && session.open_reads() >= kLongReadsMax;
}

bool Dispatcher::HeldByPause(MonoTime now, const CommandSpec& leaf) const {
  if (now >= paused_until_ || (leaf.flags & kAdmin) != 0) return false;
  return !pause_writes_only_ || (leaf.flags & kWrite) != 0;
}

// EXEC does what was queued.
bool Dispatcher::HeldByPause(MonoTime now, const Session& session) const {
  if (now >= paused_until_) return false;
  return std::any_of(session.queue.begin(), session.queue.end(), [&](const auto& queued) {
    const std::vector<BytesView> argv(queued.begin(), queued.end());
    return HeldByPause(now, CommandTable::Get().Find(argv).leaf());
  });
}

void Dispatcher::Admit(Session* session, const Call& call) {
  const CommandSpec& leaf = call.leaf();
  if (watch_ && (leaf.flags & kSkipMonitor) == 0) watch_(*session, call.found, call.argv);
  if (session->last_leaf != &leaf) {
    session->client.last_command = CommandTable::Get().LeafName(leaf);
  }
  session->last_leaf = &leaf;
  if (IsTransactionControl(call.found)) {
    bool answered_later = false;
    Reply reply = RunTransactionControl(session, call, &answered_later);
    if (!answered_later) Answer(session, call, std::move(reply));
  } else if (session->client.in_multi() && IsWatch(leaf)) {
    // The transaction goes on as if nothing had been said.
    Answer(session, call, Reply::Error("ERR", "WATCH inside MULTI is not allowed"));
  } else if (session->client.in_multi() && !LeavesMulti(call.found)) {
    Queue(session, call);
  } else {
    RunNow(session, call);
  }
}

void Dispatcher::Queue(Session* session, const Call& call) {
  size_t bytes = session->queued_bytes;
  for (const BytesView arg : call.argv) bytes += arg.size() + sizeof(Bytes);
  if (session->queue.size() >= kMultiQueueMax || bytes > kMultiQueueBytesMax) {
    session->client.dirty_exec = true;
    session->Answer(Reply::Error("LIMIT", "a transaction holds at most 16384 commands and 8 MB; "
                                          "nothing was changed, DISCARD and use smaller ones"),
                    call.muted);
    return;
  }
  session->queued_bytes = bytes;
  session->queue.emplace_back(call.argv.begin(), call.argv.end());
  session->client.queued = static_cast<int64_t>(session->queue.size());
  session->Answer(Reply::Simple("QUEUED"), call.muted);
}

// A client that wants to know is sent to the node in charge, with what concerns one queue.
Action Dispatcher::Handle(Session* session, const Call& call) const {
  const CommandSpec& leaf = call.leaf();
  if ((leaf.categories & kCatQueue) != 0) {
    session->spreads_epoch = host_->spreads().epoch();
    const Bytes where = leaf.keys.empty() ? Bytes() : host_->SendsTo(call.argv[1]);
    if (!where.empty()) {
      return Reply::Error("MOVED", Format("%u %s", lockstep::SlotOf(call.argv[1]), where.c_str()));
    }
  }
  Context context{session->client, *host_, false};
  Args args(call.argv, call.found.subcommand != nullptr ? 2 : 1);
  return leaf.handler(context, args);
}

void Dispatcher::RunNow(Session* session, const Call& call) {
  Client& client = session->client;
  if (call.leaf().on_keys) return RunOnKeys(session, call);
  const bool was_off = client.reply_mode == Client::ReplyMode::kOff;
  Action action = Handle(session, call);

  if (auto* reply = std::get_if<Reply>(&action)) {
    Call now_known = call;
    // CLIENT REPLY ON answers OK though replies were off when it came.
    if (was_off && client.reply_mode == Client::ReplyMode::kOn) now_known.muted = false;
    Answer(session, now_known, std::move(*reply));
    if (client.close_after_reply) session->closing = true;
  } else if (auto* propose = std::get_if<Propose>(&action)) {
    Ask(session, call, propose->group,
        {Gateway::Kind::kWrite, std::move(propose->op), propose->may_wait, propose->hands_over},
        propose->binds, std::move(propose->if_nil));
  } else if (auto* task = std::get_if<std::unique_ptr<Task>>(&action)) {
    Session::Slot slot = SlotOf(call);
    slot.waits = (*task)->may_wait();
    slot.hands_over = (*task)->hands_over();
    slot.binds = (*task)->binds();
    slot.group = ShardGroup(0);  // Any of them.
    if (slot.waits) client.waiting_for = "queue:" + slot.subject;
    const uint64_t number = session->Open(std::move(slot));
    session->Park(session->Find(number), Reply::Nil(), std::move(*task));
    GoOn(call.now, session);
  } else {
    Query& query = std::get<Query>(action);
    Ask(session, call, query.group, {Gateway::Kind::kRead, std::move(query.query)}, false);
  }
}

void Dispatcher::Ask(Session* session, const Call& call, GroupId group, Gateway::Request request,
                     bool binds, std::unique_ptr<Task> if_nil) {
  const bool may_wait = request.may_wait;
  Session::Slot slot = SlotOf(call);
  slot.read = request.kind == Gateway::Kind::kRead;
  slot.waits = may_wait;
  slot.hands_over = request.hands_over;
  slot.binds = binds;
  slot.group = group;
  slot.task = std::move(if_nil);
  const uint64_t number = session->Open(std::move(slot));
  const uint64_t seq =
      gateway_->Ask(call.now, group, std::move(request), {session->client.id, number});
  if (seq == 0) return Complete(call.now, session, number, NotAsked());
  session->Find(number)->seq = seq;
  if (may_wait) {
    session->client.waiting_for = (IsShard(group) ? "queue:" : "lock:") + Subject(call.argv);
  }
}

Session::Slot Dispatcher::SlotOf(const Call& call) const {
  Session::Slot slot;
  slot.muted = call.muted;
  slot.leaf = CommandTable::Get().LeafNumber(call.leaf());
  slot.started = call.started;
  slot.subject = Subject(call.argv);
  return slot;
}

void Dispatcher::Answer(Session* session, const Call& call, Reply reply) {
  const size_t leaf = CommandTable::Get().LeafNumber(call.leaf());
  Account(*session, leaf, call.started, false, reply, [&call] {
    return Redacted(call.found, call.argv);
  });
  session->Answer(std::move(reply), call.muted);
}

// Of a command that only looks up what is held, or writes it.
void Dispatcher::AnswerFast(Session* session, const Call& call, Reply&& reply) {
  if (batch_.commands == 0) batch_ = {&call.leaf(), 0, call.started};
  ++batch_.commands;
  if (reply.kind == Reply::Kind::kNothing && session->idle()) return;  // It was written already.
  session->Answer(std::move(reply), call.muted);
}

void Dispatcher::Measure() {
  measured_ = clock_();
  is_measured_ = true;
}

void Dispatcher::CloseBatch() {
  if (batch_.commands == 0) return;
  Measure();
  const auto us = static_cast<uint64_t>(std::max<int64_t>(0, measured_ - batch_.started));
  Stats::PerCommand& figures = host_->stats().Of(CommandTable::Get().LeafNumber(*batch_.leaf));
  figures.calls += batch_.commands;
  figures.usec += us;
  figures.latency.Add(us / batch_.commands, batch_.commands);
  host_->latency().Add("command", host_->WallClockUs() / kUsPerSecond, static_cast<int64_t>(us));
  batch_ = {};
}

void Dispatcher::Complete(MonoTime now, Session* session, uint64_t number, Reply reply) {
  Session::Slot* slot = session->Find(number);
  if (slot == nullptr || slot->filled) return;
  const bool may_bind = slot->binds && slot->errand == nullptr;  // Its parts have told.
  if (may_bind && MayHaveHappened(reply)) session->Bind(slot->group);
  if (slot->exec != nullptr) reply = CompleteExec(std::move(*slot->exec), std::move(reply));
  Account(*session, slot->leaf, slot->started, slot->waits, reply, [slot] {
    return std::vector<BytesView>{CommandTable::Get().LeafName(slot->leaf), slot->subject};
  });
  if (slot->waits) session->client.waiting_for.clear();
  session->client.last_active = now;
  session->Fill(number, std::move(reply));
  if (session->FirstIsParked()) GoOn(now, session);
  if (session->WaitsForKeys()) RunNextHeld(session);
}

void Dispatcher::Account(const Session& session, size_t leaf, MonoTime started, bool waited,
                         const Reply& reply, const Shown& shown) {
  Stats& stats = host_->stats();
  Stats::PerCommand& figures = stats.Of(leaf);
  Measure();
  const int64_t us = std::max<int64_t>(0, measured_ - started);
  ++figures.calls;
  if (reply.is_error()) {
    ++figures.failed;
    stats.CountError(reply.text);
  }
  if (waited) return;  // Waiting for a lock is not slowness.
  figures.usec += static_cast<uint64_t>(us);
  figures.latency.Add(static_cast<uint64_t>(us));
  host_->latency().Add("command", host_->WallClockUs() / kUsPerSecond, us);
  if (host_->slowlog().Wants(us)) {
    host_->slowlog().Add(host_->WallClockUs() / kUsPerSecond, us, shown(), session.client.address,
                         session.client.name);
  }
}

}  // namespace lockstep
