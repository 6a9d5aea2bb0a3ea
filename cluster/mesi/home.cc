#include "cluster/mesi/home.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/log.h"

namespace lockstep::mesi {
namespace {

// How often what has not been heard is asked for again.
constexpr int64_t kAskAgainUs = 100 * kUsPerMs;

bool Concerns(const DirLine& dir, uint8_t cache) {
  if (dir.state == Dir::kU) return false;
  const bool shares = dir.state == Dir::kSh || dir.state == Dir::kBInv;
  if (shares && (dir.sharers & BitOf(cache)) != 0) return true;
  if (!shares && dir.owner == cache) return true;
  return IsBusy(dir.state) && dir.request.who == cache;
}

FromOwner OwnerOf(uint8_t number, const Message& message) {
  return {number, message.gen, message.keeps};
}

}  // namespace

Home::Home(const Options& options, Stats* stats, Listener* listener)
    : options_(options), stats_(stats), listener_(listener), silent_(options.awaited),
      next_tick_(options.began) {}

Home::~Home() = default;

// Recovery ----------------------------------------------------------------------------------------

void Home::OnReport(MonoTime now, NodeId from, const Message& report) {
  if (recovered_ || report.epoch != options_.before) return;
  if (report.report == ReportKind::kWasHome) {
    if (!former_spoke_) former_spoke_ = now;
    return;
  }
  Candidate& candidate = candidates_[Bytes(report.key)];
  if (report.report == ReportKind::kFormerOwner) {
    candidate.recovered.OnFormerOwner(report.owner, report.gen);
    return;
  }
  if (!report.payload) return;
  Kept* kept = &candidate.formers;
  if (report.report == ReportKind::kFormer) {
    candidate.recovered.OnFormerValue();
  } else if (report.report == ReportKind::kReader) {
    if (!candidate.recovered.OnReader()) return;
    kept = &candidate.readers;
  } else {
    const bool best =
        candidate.recovered.OnOwner({.node = from,
                                     .gen = report.gen,
                                     .leaving = report.report == ReportKind::kLeaving,
                                     .sure = report.report == ReportKind::kSureOwner});
    if (!best) return;
    kept = &candidate.owners;
  }
  const Payload& payload = *report.payload;
  *kept = {payload.version, payload.present, Bytes(payload.value), payload.ends};
}

void Home::OnReportDone(NodeId from) {
  silent_.erase(from);
  next_tick_ = options_.began;  // Look at once.
}

// Who is silent may show what the home before has granted, as long as its lease lasts; and the home
// before itself, what it has. It granted nothing to itself: a node that becomes the home drops what
// it had as a cache. But one that has made way is there, and what only it has is lost if it is not
// heard: so it is waited for longer than it could show that.
void Home::LookAtRecovery(MonoTime now) {
  if (recovered_) return;
  MonoTime until = options_.not_before;
  for (const NodeId node : silent_) {
    int64_t wait = options_.times.Outlasts(options_.times.home_us);
    const int64_t lease = options_.times.Outlasts(options_.times.cache_us);
    if (node != options_.home_before) {
      wait += lease;
    } else if (options_.handed_over) {
      wait = lease;
    }
    MonoTime over = options_.began + wait;
    // It has granted nothing since it spoke.
    if (former_spoke_) over = std::min(over, *former_spoke_ + lease);
    until = std::max(until, over);
  }
  // Nobody can have had anything: this is the first home.
  if (options_.before.value == 0) until = options_.began;
  if (now < until || (silent_.contains(options_.self))) {
    next_tick_ = std::max(now + 1, std::min(until, now + kAskAgainUs));
    return;
  }
  if (now >= lease_until_) return;
  AdoptAll(now);
}

void Home::AdoptAll(MonoTime now) {
  recovered_ = true;
  for (const auto& [key, candidate] : candidates_) {
    const std::optional<DurableValue> logged = Logged(now, key);
    if (logged && logged->present) continue;
    const Recovered::Verdict verdict = candidate.recovered.Judge(former_spoke_.has_value());
    if (verdict == Recovered::Verdict::kOwners) Adopt(now, key, candidate.owners);
    if (verdict == Recovered::Verdict::kReaders) Adopt(now, key, candidate.readers);
    if (verdict == Recovered::Verdict::kFormers) Adopt(now, key, candidate.formers);
    if (verdict == Recovered::Verdict::kForgotten) ++stats_->forgets;
  }
  candidates_.clear();
  LoadLogged(now);
  // What they asked for meanwhile was left with them.
  for (const auto& session : sessions_) {
    if (session != nullptr) session->channel.AskAgain();
  }
  news_ = true;
  listener_->OnServing();
}

void Home::Adopt(MonoTime now, BytesView key, const Kept& kept) {
  if (!kept.present || kept.deadline <= now) return;
  Line* line = lines_.Add(key);
  line->set_state(static_cast<uint8_t>(Dir::kU));
  lines_.SetValue(line, kept.value);
  line->set_version(kept.version);
  if (kept.deadline != kNeverMono) lines_.SetDeadline(line, kept.deadline);
  if (options_.events == nullptr) return;
  options_.events->NoteIfKnown(key, {.at = now, .kind = Event::Kind::kAdopted,
                                     .to = NameOf(Dir::kU), .version = kept.version});
}

std::vector<NodeId> Home::Unreported() const {
  return recovered_ ? std::vector<NodeId>() : std::vector<NodeId>(silent_.begin(), silent_.end());
}

void Home::OnMajority(MonoTime now, MonoTime heard) {
  const bool served = MayServe(now);
  lease_until_ = std::max(lease_until_, heard + options_.times.home_us);
  if (now < lease_until_ && std::exchange(lapsed_, false)) {
    next_tick_ = std::min(next_tick_, lease_until_);
  }
  if (!recovered_) {
    next_tick_ = std::min(next_tick_, now);
  } else if (!served && MayServe(now)) {
    listener_->OnServing();
  }
}

// Leases ------------------------------------------------------------------------------------------

Home::Session* Home::SessionOf(NodeId node) {
  for (const auto& session : sessions_) {
    if (session != nullptr && session->node == node) return session.get();
  }
  return nullptr;
}

// Whoever opens a session has dropped what it had in those before. Null: it may not.
Home::Session* Home::Open(MonoTime now, NodeId node, SessionId id) {
  Session* session = SessionOf(node);
  if (session != nullptr && session->id == id) return session;
  if (session != nullptr) {
    if (id < session->id) return nullptr;
    End(now, session);
    if (SessionOf(node) != nullptr) return nullptr;
  }
  const auto over = over_.find(node);
  if (over != over_.end() && id <= over->second) return nullptr;
  const auto free = std::find(sessions_.begin(), sessions_.end(), nullptr);
  if (free == sessions_.end()) return nullptr;
  *free = std::make_unique<Session>();
  (*free)->node = node;
  (*free)->id = id;
  (*free)->number = static_cast<uint8_t>(free - sessions_.begin());
  // It may never be given a lease; what it is granted must be had back all the same.
  (*free)->deadline = now + options_.times.Outlasts(options_.times.cache_us);
  next_tick_ = std::min(next_tick_, (*free)->deadline);
  return free->get();
}

void Home::End(MonoTime now, Session* session) {
  listener_->OnShipsOver(session->node);
  if (session->committing > 0) {
    session->over = session->dead = true;
    session->ask.reset();
    return;
  }
  ++stats_->sessions_over;
  over_[session->node] = session->id;
  const uint8_t number = session->number;
  // What is at rest first. What is busy may be granted to our clients then, whose commands want
  // other lines: none of those may name the session any more. They may add lines, too.
  std::vector<Bytes> resting, busy;
  lines_.ForEach([&](Line* line) {
    const DirLine dir = Load(line, line->key());
    if (Concerns(dir, number)) (IsBusy(dir.state) ? busy : resting).emplace_back(line->key());
  });
  const std::unique_ptr<Session> gone = std::exchange(sessions_[number], nullptr);
  for (const std::vector<Bytes>* keys : {&resting, &busy}) {
    for (const Bytes& key : *keys) {
      DirLine dir = Load(lines_.Find(key), key);
      const DirStep step = OnGone(&dir, number, &next_gen_);
      Run(now, key, dir, step, nullptr, gone.get());
    }
  }
}

bool Home::HearsAll(MonoTime now) const {
  const int64_t lease = options_.times.Outlasts(options_.times.cache_us);
  return std::all_of(sessions_.begin(), sessions_.end(), [&](const auto& session) {
    return session == nullptr || session->deadline - now >= lease - options_.times.cache_us / 4;
  });
}

bool Home::MayHaveLease(const Session& session) const {
  const auto known = incarnations_.find(session.node);
  return known != incarnations_.end() && known->second == session.id.incarnation;
}

void Home::SayOver(NodeId to, SessionId session) {
  gives_.push_back({to, {.shard = options_.shard,
                         .epoch = options_.epoch,
                         .session = session,
                         .verdict = LeaseGive::Verdict::kOver}});
}

void Home::OnAsk(MonoTime now, NodeId from, const LeaseAsk& ask) {
  Session* session = Open(now, from, ask.session);
  if (session != nullptr && session->dead) return;
  if (session == nullptr || !session->channel.OnWord(ask.received, ask.said)) {
    SayOver(from, ask.session);
    return;
  }
  Touch(ask.touches);
  session->ask = ask.sent;
  news_ = true;
  TryGrant(now, session);
}

// Not while it has not heard what it is to drop or give back: if it never does, its lease ends.
void Home::TryGrant(MonoTime now, Session* session) {
  if (!session->ask || now >= lease_until_ || !MayHaveLease(*session)) return;
  if (session->channel.heard() < session->last_forward) return;
  const int64_t length = options_.times.cache_us;
  session->deadline = std::max(session->deadline, now + options_.times.Outlasts(length));
  gives_.push_back({session->node, {.shard = options_.shard,
                                    .epoch = options_.epoch,
                                    .session = session->id,
                                    .sent = *std::exchange(session->ask, std::nullopt),
                                    .length_us = length,
                                    .received = session->channel.received(),
                                    .said = session->channel.said(),
                                    .wants_touches = now < wants_touches_until_}});
  next_tick_ = std::min(next_tick_, session->deadline);
}

void Home::Tick(MonoTime now) {
  if (now < next_tick_) return;
  next_tick_ = kNeverMono;
  LookAtRecovery(now);
  if (!lapsed_ && now >= lease_until_) {
    lapsed_ = true;
    listener_->OnAllUnreadable();
  }
  if (!lapsed_) next_tick_ = std::min(next_tick_, lease_until_);
  for (size_t i = 0; i < sessions_.size(); ++i) {
    Session* session = sessions_[i].get();
    if (session == nullptr || session->over) continue;
    if (now >= session->deadline) {
      LOCKSTEP_LOG(kDebug, "cache of node %lu: its lease on shard %lu is over", session->node.value,
                   ShardOf(options_.shard));
      End(now, session);
      continue;
    }
    TryGrant(now, session);
    next_tick_ = std::min(next_tick_, session->deadline);
  }
}

void Home::OnPeerUp(NodeId peer) {
  if (Session* session = SessionOf(peer)) {
    session->channel.SendAgain();
    news_ = true;
  }
}

// Messages ----------------------------------------------------------------------------------------

bool Home::OnFrame(MonoTime now, NodeId from, SessionId id, Reader* in) {
  Session* session = Open(now, from, id);
  if (session == nullptr) {
    SayOver(from, id);
    return true;
  }
  if (session->dead) return true;
  bool sense = true;
  const bool whole = session->channel.OnFrame(now, in, [&](const Message& message) {
    bool taken = false;
    sense = OnMessage(now, session, message, &taken);
    return sense && taken;
  });
  news_ = true;
  if (!sense || !whole) {
    ++stats_->violations;
    LOCKSTEP_LOG(kError, "cache of node %lu: what it says of shard %lu makes no sense",
                 from.value, ShardOf(options_.shard));
    session->dead = true;  // Its lease is not over: what it can show, nobody may change yet.
    session->ask.reset();
    return false;
  }
  TryGrant(now, session);
  return true;
}

bool Home::OnMessage(MonoTime now, Session* session, const Message& message, bool* taken) {
  *taken = true;
  switch (message.type) {
    case MessageType::kReport:
      if (session->reported) return false;
      OnReport(now, session->node, message);
      return true;
    case MessageType::kReportDone:
      session->reported = true;
      OnReportDone(session->node);
      return true;
    default:
      break;
  }
  if (!session->reported) return false;
  if (!recovered_) {
    *taken = false;  // It is asked for again when we serve.
    return true;
  }
  if (message.type == MessageType::kGetS || message.type == MessageType::kGetX) {
    return OnRequestOf(now, session, message);
  }
  if (message.type == MessageType::kCommit) return OnCommit(now, session, message);
  if (message.type == MessageType::kAudit) return OnAudit(now, session, message);
  if (message.type == MessageType::kShip) return OnShip(session, message);
  Line* line = lines_.Find(message.key);
  DirLine dir = Load(line, message.key);
  DirStep step;
  if (message.type == MessageType::kInvAck) {
    step = OnInvAck(&dir, session->number, &next_gen_);
  } else if (message.type == MessageType::kRecallAck) {
    step = OnRecallAck(&dir, OwnerOf(session->number, message), &next_gen_);
  } else if (message.type == MessageType::kWriteBack) {
    step = OnWriteBack(&dir, OwnerOf(session->number, message), &next_gen_);
  } else {
    return false;
  }
  if (!step.possible) return false;
  Run(now, message.key, dir, step, &message, session);
  return true;
}

bool Home::OnRequestOf(MonoTime now, Session* session, const Message& message) {
  const bool write = message.type == MessageType::kGetX;
  Request request{session->number, write, write && message.have};
  Line* line = lines_.Find(message.key);
  if (line != nullptr) ExpireIfDue(now, line);
  DirLine dir = Load(line, message.key);
  const bool pinned = line != nullptr && IsKept(now, *line) && !IsBusy(dir.state);
  const bool alone = line != nullptr && line->present() && dir.state == Dir::kU && !pinned;
  request.write |= alone && !line->durable() && listener_->ReadsExclusive(message.key);
  const bool stays = pinned || (hands_over_ && !IsBusy(dir.state));
  const DirStep step =
      stays ? DirStep{.actions = kQueue} : OnRequest(&dir, request, &next_gen_);
  if (!step.possible) return false;
  if ((step.actions & kQueue) != 0) {
    if (stays) busy_.try_emplace(Bytes(message.key)).first->second.request.who = kNobody;
    Busy& busy = busy_.find(message.key)->second;
    // One request of each cache at a time.
    if (busy.request.who == session->number) return false;
    for (const Queued& queued : busy.queue) {
      if (queued.request.who == session->number && queued.session == session->id) return false;
    }
    busy.queue.push_back({request, session->id});
    return true;
  }
  Run(now, message.key, dir, step, &message, session);
  return true;
}

// One transition of a line, and what it asks for -------------------------------------------------

DirLine Home::Load(const Line* line, BytesView key) const {
  DirLine dir;
  if (line == nullptr) return dir;
  dir.state = static_cast<Dir>(line->state());
  if (dir.state == Dir::kSh || dir.state == Dir::kBInv) {
    dir.sharers = line->sharers();
  } else if (dir.state != Dir::kU) {
    dir.owner = line->owner();
    dir.gen = line->gen();
  }
  if (IsBusy(dir.state)) dir.request = busy_.find(key)->second.request;
  return dir;
}

// Of an absent key. What its owner writes must be newer.
Version Home::VersionOfNothing(const DirLine& dir) {
  return dir.state == Dir::kX ? Version{options_.epoch.value, dir.gen, 0} : NewVersion();
}

Line* Home::Store(BytesView key, Line* line, const DirLine& dir) {
  if (line == nullptr && dir.state == Dir::kU) return nullptr;
  if (line == nullptr) {
    line = lines_.Add(key);
    line->set_version(VersionOfNothing(dir));
  }
  line->set_state(static_cast<uint8_t>(dir.state));
  if (dir.state == Dir::kSh || dir.state == Dir::kBInv) {
    line->set_sharers(dir.sharers);
  } else if (dir.state != Dir::kU) {
    line->set_gen(dir.gen);
    line->set_owner(dir.owner);
  }
  if (IsBusy(dir.state)) {
    auto busy = busy_.find(key);
    if (busy == busy_.end()) busy = busy_.emplace(Bytes(key), Busy()).first;
    busy->second.request = dir.request;
  }
  return line;
}

void Home::Run(MonoTime now, BytesView key, DirLine dir, DirStep step, const Message* from,
               Session* speaker) {
  const int actions = step.actions;
  Line* line = lines_.Find(key);
  const Dir before = line == nullptr ? Dir::kU : static_cast<Dir>(line->state());
  line = Store(key, line, dir);
  if ((actions & kTakeData) != 0 && from != nullptr && from->payload && line != nullptr) {
    TakeData(now, line, *from->payload);
  }
  if ((actions & kForget) != 0 && line != nullptr) Forget(now, line, dir);
  if (options_.events != nullptr) NoteStep(now, key, before, dir, from, speaker);
  if ((actions & (kWbAck | kWbAckKeeping)) != 0) {
    Say(speaker, {.type = MessageType::kWbAck,
                  .key = key,
                  .gen = from->gen,
                  .keeps = (actions & kWbAckKeeping) != 0});
  }
  if ((actions & kSendInv) != 0) {
    for (uint8_t i = 0; i < kCaches; ++i) {
      if ((dir.sharers & BitOf(i)) == 0) continue;
      ++stats_->invs_sent;
      Forward(i, {.type = MessageType::kInv, .key = key});
    }
  }
  if ((actions & (kSendRecallS | kSendRecallX)) != 0) {
    ++stats_->recalls_sent;
    const bool reads = (actions & kSendRecallS) != 0;
    Forward(dir.owner, {.type = reads ? MessageType::kRecallS : MessageType::kRecallX,
                        .key = key,
                        .gen = dir.gen});
  }
  if ((actions & (kGrantS | kGrantX | kGrantUpgrade)) != 0) Grant(now, key, line, dir, actions);
  if ((actions & kNext) != 0) ServeQueue(now, key);
  DropIfEmpty(key);
  if (!leaving_.empty()) LeaveIfDue(key);
}

void Home::Grant(MonoTime now, BytesView key, Line* line, const DirLine& dir, int actions) {
  const bool contended = dir.request.write && line != nullptr && NoteGrant(now, line, dir);
  if (dir.request.who == kHome) {
    const auto busy = busy_.find(key);
    if (busy != busy_.end()) busy->second.home_reads = busy->second.home_writes = false;
    listener_->OnHeld(key);
    return;
  }
  Session* session = sessions_[dir.request.who].get();
  CHECK(session != nullptr && line != nullptr);
  if (dir.request.write) OnGrantX(line);
  if (line->present()) ExpireIfDue(now, line);
  Message message{.type = MessageType::kDataS, .key = key, .have = contended};
  if (dir.request.write) message.gen = dir.gen;
  if ((actions & kGrantUpgrade) != 0) {
    message.type = MessageType::kUpgradeOk;  // It has the value, but not the time as we know it.
    message.payload = PayloadOf(*line);
    message.payload->value = {};
  } else {
    if ((actions & kGrantX) != 0) message.type = MessageType::kDataX;
    message.payload = PayloadOf(*line);
  }
  Say(session, message);
}

// Until the line is busy again. A request whose session is over was dropped with it.
void Home::ServeQueue(MonoTime now, BytesView key) {
  for (;;) {
    const auto busy = busy_.find(key);
    if (busy == busy_.end()) return;
    Line* line = lines_.Find(key);
    DirLine dir = Load(line, key);
    if (IsBusy(dir.state) || hands_over_) return;
    if (line != nullptr && IsKept(now, *line) && !busy->second.queue.empty()) return;
    if (busy->second.queue.empty()) {
      busy_.erase(busy);
      return;
    }
    const Queued next = busy->second.queue.front();
    busy->second.queue.pop_front();
    const Session* session =
        next.request.who < kCaches ? sessions_[next.request.who].get() : nullptr;
    if (next.request.who != kHome && (session == nullptr || session->id != next.session)) continue;
    if (line != nullptr) ExpireIfDue(now, line);
    const DirStep step = OnRequest(&dir, next.request, &next_gen_);
    CHECK(step.possible);  // Whoever owns the line asks for nothing, and has nothing queued.
    Run(now, key, dir, step, nullptr, nullptr);
  }
}

void Home::DropIfEmpty(BytesView key) {
  Line* line = lines_.Find(key);
  if (line == nullptr || line->present() || line->state() != static_cast<uint8_t>(Dir::kU)) return;
  if (line->pinned() || line->dirty() || busy_.find(key) != busy_.end()) return;
  lines_.Remove(line);
}

// `dirty` says so of a line at rest, and its generation's room when that was.
void Home::Remember(MonoTime now, BytesView key) {
  Line* line = FindOrAdd(key);
  if (static_cast<Dir>(line->state()) != Dir::kU) return;
  line->set_dirty(true);
  line->set_gen(static_cast<uint64_t>(now.us) & kGenMax);
}

void Home::Pin(BytesView key) { FindOrAdd(key)->set_pinned(true); }

// Without a line nobody has it, and there is no such key.
Line* Home::FindOrAdd(BytesView key) {
  Line* line = lines_.Find(key);
  if (line != nullptr) return line;
  line = lines_.Add(key);
  line->set_version(NewVersion());
  return line;
}

void Home::Unpin(MonoTime now, BytesView key) {
  if (Line* line = lines_.Find(key)) line->set_pinned(false);
  ServeQueue(now, key);
  DropIfEmpty(key);
}

// The home's deadline stands unless the owner has set another: so a line that is passed around
// keeps its time.
void Home::TakeData(MonoTime now, Line* line, const Payload& payload) {
  line->set_version(payload.version);
  const std::optional<DurableValue> logged = Logged(now, line->key());
  line->set_durable(logged && logged->present);
  // The log has told meanwhile that its time is over. (Who ends by himself keeps nothing to read.)
  const bool over = payload.present && payload.ends != kNeverMono && payload.durable &&
                    !line->durable();
  if (over) line->set_version(NewVersion());
  if (!payload.present || over) {
    lines_.ClearValue(line);
    return;
  }
  const bool was_there = line->present();
  lines_.SetValue(line, payload.value);
  if (line->durable()) {
    lines_.SetDeadline(line, logged->ends);
  } else if (payload.ttl_is_new || !was_there) {
    lines_.SetDeadline(line, payload.ends);
  }
}

Payload Home::PayloadOf(const Line& line) const {
  Payload payload{.version = line.version(), .present = line.present(), .value = line.value()};
  payload.durable = line.durable();
  payload.pushes = line.pushes();
  if (line.present()) payload.ends = line.deadline();
  return payload;
}

// Its readers have stopped before: their clocks are told so that they do.
void Home::ExpireIfDue(MonoTime now, Line* line) {
  if (!line->present() || line->deadline() > now || EndsByLog(now, *line)) return;
  if (!HomeServes(static_cast<Dir>(line->state()))) return;
  line->set_durable(false);
  listener_->OnUnreadable(line->key());
  lines_.ClearValue(line);
  line->set_version(NewVersion());
  ++stats_->expired;
}

void Home::Forward(uint8_t to, const Message& message) {
  Session* session = sessions_[to].get();
  CHECK(session != nullptr);
  session->last_forward = session->channel.Send(message);
  news_ = true;
}

void Home::Say(Session* session, const Message& message) {
  const uint64_t said = session->channel.Send(message);
  const MessageType type = message.type;
  const bool is_vital = type != MessageType::kWbAck && type != MessageType::kVerdict;
  if (is_vital) session->last_vital = said;
  news_ = true;
}

// This node's clients ----------------------------------------------------------------------------

bool Home::Hold(MonoTime now, const HashedKey& hashed, bool write, Line** found) {
  if (!MayServe(now)) return false;
  const BytesView key = hashed.bytes;
  Line* line = lines_.Find(hashed);
  if (found != nullptr) *found = line;
  if (line == nullptr) return true;
  if (line->deadline() <= now) ExpireIfDue(now, line);
  const auto state = static_cast<Dir>(line->state());
  // OnLogged follows. What a cache owns is asked for as ever.
  if (HomeServes(state) && IsHidden(now, *line)) return false;
  if (state == Dir::kU || (state == Dir::kSh && !write)) {
    lines_.Touch(line);
    return true;
  }
  if (hands_over_) return false;  // OnServing follows, here or at the next home.
  const Request request{kHome, write, false};
  if (IsBusy(state)) {
    Busy& busy = busy_.find(key)->second;
    bool& asked = write ? busy.home_writes : busy.home_reads;
    if (!std::exchange(asked, true)) busy.queue.push_back({request, {}});
    return false;
  }
  DirLine dir = Load(line, key);
  const DirStep step = OnRequest(&dir, request, &next_gen_);
  CHECK(step.possible && IsBusy(dir.state));
  Run(now, key, dir, step, nullptr, nullptr);
  (write ? busy_.find(key)->second.home_writes : busy_.find(key)->second.home_reads) = true;
  return false;
}

Line* Home::Put(BytesView key, Line* line, BytesView value, std::optional<MonoTime> deadline) {
  if (line == nullptr) line = lines_.Add(key);
  CHECK(line->state() == static_cast<uint8_t>(Dir::kU));
  lines_.SetValue(line, value);
  if (deadline && *deadline != line->deadline()) lines_.SetDeadline(line, *deadline);
  line->set_version(NewVersion());
  return line;
}

void Home::SetDeadline(BytesView key, MonoTime deadline) {
  Line* line = lines_.Find(key);
  CHECK(line != nullptr && line->present() && line->state() == static_cast<uint8_t>(Dir::kU));
  lines_.SetDeadline(line, deadline);
  line->set_version(NewVersion());
}

void Home::Erase(BytesView key) {
  Line* line = lines_.Find(key);
  if (line == nullptr) return;
  CHECK(line->state() == static_cast<uint8_t>(Dir::kU));
  if (line->pinned() || line->dirty() || busy_.find(key) != busy_.end()) {
    lines_.ClearValue(line);
    line->set_version(NewVersion());
  } else {
    lines_.Remove(line);
  }
}

void Home::CheckInvariants() const {
  for (const auto& [key, busy] : busy_) {
    for (const Queued& queued : busy.queue) CHECK(queued.request.who <= kHome);
  }
}

}  // namespace lockstep::mesi
