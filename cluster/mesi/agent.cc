#include "cluster/mesi/agent.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/log.h"

namespace lockstep::mesi {
namespace {

// A lease is asked for again after an eighth of it, and sooner while there is none.
constexpr int64_t kAskAgainUs = 50 * kUsPerMs;
constexpr uint64_t kSeqWorn = kSeqMax - (uint64_t{1} << 24);  // No one command writes so often.
// Nobody has wanted anything for so long, and nothing is owned: the lease may end.
constexpr int64_t kUnusedUs = 300 * kUsPerSecond;
constexpr size_t kLooks = 64;  // For a line to evict.

std::optional<AgentEvent> EventOf(MessageType type, bool keeps) {
  switch (type) {
    case MessageType::kDataS: return AgentEvent::kDataS;
    case MessageType::kDataX: return AgentEvent::kDataX;
    case MessageType::kUpgradeOk: return AgentEvent::kUpgradeOk;
    case MessageType::kInv: return AgentEvent::kInv;
    case MessageType::kRecallS: return AgentEvent::kRecallS;
    case MessageType::kRecallX: return AgentEvent::kRecallX;
    case MessageType::kWbAck: return keeps ? AgentEvent::kWbAckKeeps : AgentEvent::kWbAck;
    default: return std::nullopt;
  }
}

// As its owner knows it, and the home a little otherwise: who goes on reading it must ask the home,
// or he shows it when it is over there.
bool EndsByItself(const Line& line) { return line.deadline() != kNeverMono; }

}  // namespace

Agent::Agent(const Options& options, Stats* stats, Listener* listener)
    : options_(options), stats_(stats), listener_(listener) {}

// Sessions ----------------------------------------------------------------------------------------

void Agent::Follow(MonoTime now, NodeId home, Term epoch, bool owes_report) {
  CHECK(epoch > epoch_ && home != kNoNode && home != options_.self);
  std::vector<Bytes> owned;  // As the next home is to hear it.
  Report(now, [&](const Message& message) {
    Writer out(&owned.emplace_back());
    EncodeMessage(message, &out);
  });
  home_ = home;
  epoch_ = epoch;
  owes_report_ = owes_report;
  OpenSession(now);
  if (!open_) return;
  for (const Bytes& one : owned) {
    Reader in(one);
    Message message;
    CHECK(DecodeMessage(&in, &message));
    channel_->Send(message);
  }
  if (!owes_report_) channel_->Send({.type = MessageType::kReportDone});
  listener_->OnLost();
}

void Agent::SetIncarnation(MonoTime now, uint64_t incarnation) {
  if (incarnation == incarnation_) return;
  incarnation_ = incarnation;
  if (home_ != kNoNode && home_ != options_.self) StartAnew(now);
}

// The home is there now; what was said to it before it was has been lost.
void Agent::OnFence(MonoTime now) {
  if (open_ && lease_until_.us == 0) AskForLease(now);
}

// In the same epoch. What we owned is lost: the home has given us up, or will.
void Agent::StartAnew(MonoTime now) {
  OpenSession(now);
  if (open_ && !owes_report_) channel_->Send({.type = MessageType::kReportDone});
  listener_->OnLost();
}

// Nobody wants anything of it: the next one who does opens another.
void Agent::Close(MonoTime now) {
  Drop(now);
  open_ = false;
}

void Agent::FinishReport() {
  if (!std::exchange(owes_report_, false)) return;
  if (open_) channel_->Send({.type = MessageType::kReportDone});
}

void Agent::SayReport(const Message& message) {
  CHECK(open_ && owes_report_);
  channel_->Send(message);
}

// Ends the one before it: what we had is not ours any more.
void Agent::OpenSession(MonoTime now) {
  Drop(now);
  open_ = incarnation_ != 0;
  if (!open_) return;
  session_ = {incarnation_, session_.number + 1};
  channel_ = std::make_unique<Channel>();
  lease_asked_ = {};
  used_ = now;
  AskForLease(now);
}

void Agent::Drop(MonoTime now) {
  if (open_) ++stats_->sessions_over;
  if (lines_.size() > 0) listener_->OnAllUnreadable();
  if (lines_.size() > 0 && options_.events != nullptr) {
    options_.events->NoteOfAll(
        options_.shard, {.at = now, .kind = Event::Kind::kOver, .to = NameOf(Copy::kI)});
  }
  lines_.Clear();
  written_.clear();
  put_off_.clear();
  audited_.reset();
  asking_ = 0;
  lease_until_ = {};
  home_hands_over_ = wants_touches_ = false;
  (void)TakeTouches();
  for (const Bytes& key : std::exchange(committing_, {})) {
    listener_->OnCommitted(key, Committed::kLost);
  }
  LoseShips();
}

void Agent::AskForLease(MonoTime now) {
  lease_asked_ = now;
  ask_ = LeaseAsk{.shard = options_.shard,
                  .epoch = epoch_,
                  .session = session_,
                  .sent = now,
                  .received = channel_->received(),
                  .said = channel_->said(),
                  .touches = TakeTouches()};
  next_tick_ = std::min(next_tick_, now + kAskAgainUs);
}

// What comes when there is no room any more is as good as what came before: whatever is read much
// is soon among the first of another ask.
void Agent::NoteRead(BytesView key) {
  if (!wants_touches_ || touches_.size() >= kTouchesMax) return;
  if (key.size() > kTouchBytesMax - touch_bytes_) return;
  if (StateOf(lines_.Find(key)) != Copy::kS) return;  // What is owned does not go at home.
  if (touches_.emplace(key).second) touch_bytes_ += key.size();
}

std::vector<Bytes> Agent::TakeTouches() {
  touch_bytes_ = 0;
  const std::set<Bytes, std::less<>> touches = std::exchange(touches_, {});
  return {touches.begin(), touches.end()};
}

void Agent::OnGive(MonoTime now, const LeaseGive& give) {
  if (!open_ || give.epoch != epoch_ || give.session != session_) return;
  const bool sense = give.verdict == LeaseGive::Verdict::kGranted &&
                     channel_->OnWord(give.received, give.said);
  if (!sense) {
    StartAnew(now);
    return;
  }
  wants_touches_ = give.wants_touches;
  if (!wants_touches_) (void)TakeTouches();
  const bool had = now < lease_until_;
  lease_until_ = std::max(lease_until_, give.sent + give.length_us);
  next_tick_ = std::min(next_tick_, lease_until_);
  // What came before the lease did was not shown to anybody.
  if (!had && now < lease_until_) listener_->OnLost();
}

void Agent::OnPeerUp() {
  if (open_) channel_->SendAgain();
}

void Agent::Tick(MonoTime now) {
  if (now < next_tick_) return;
  next_tick_ = kNeverMono;
  if (!open_) return;
  const bool over = lease_until_.us != 0 && now >= lease_until_;
  if (over) {
    if (lines_.size() > 0) {
      LOCKSTEP_LOG(kInfo, "cache: the lease of shard %lu from node %lu is over: %zu lines dropped",
                   ShardOf(options_.shard), home_.value, lines_.size());
    }
    if (asking_ == 0) return Close(now);
    StartAnew(now);
  }
  DemoteIdle(now);
  const bool in_use = lines_.size() > 0 || channel_->kept_bytes() > 0 || owes_report_;
  const bool idle = now - used_ >= kUnusedUs && written_.empty() && asking_ == 0;
  if (!in_use || idle) return;
  const int64_t every = lease_until_.us == 0 ? kAskAgainUs : options_.times.cache_us / 8;
  if (now - lease_asked_ >= every) AskForLease(now);
  next_tick_ = std::min(next_tick_, lease_asked_ + every);
  if (lease_until_.us != 0) next_tick_ = std::min(next_tick_, lease_until_);
}

// Messages ----------------------------------------------------------------------------------------

bool Agent::OnFrame(MonoTime now, SessionId session, Reader* in) {
  if (!open_ || session != session_) return true;
  if (lease_until_.us != 0 && now >= lease_until_) {
    StartAnew(now);
    return true;
  }
  bool sense = true;
  const uint64_t number = session_.number;
  const bool whole = channel_->OnFrame(now, in, [&](const Message& message) {
    sense = OnMessage(now, message);
    return sense && number == session_.number;
  });
  if (sense && whole) return true;
  ++stats_->violations;
  LOCKSTEP_LOG(kError, "home of shard %lu, node %lu: what it says makes no sense",
               ShardOf(options_.shard), home_.value);
  StartAnew(now);
  return false;
}

void Agent::Pin(BytesView key) {
  if (Line* line = lines_.Find(key)) line->set_pinned(true);
}

void Agent::Unpin(MonoTime now, BytesView key) {
  if (Line* line = lines_.Find(key)) line->set_pinned(false);
  const auto first = std::stable_partition(put_off_.begin(), put_off_.end(),
                                           [&](const PutOff& one) { return one.key != key; });
  const std::vector<PutOff> now_due(first, put_off_.end());
  put_off_.erase(first, put_off_.end());
  for (const PutOff& one : now_due) {
    // The line may have gone meanwhile, since it was over. What it was owned for is answered then.
    const Line* line = lines_.Find(key);
    const bool owns = IsOwned(StateOf(line)) && line->gen() == one.gen;
    if (one.type != MessageType::kInv && !owns) continue;
    const Message message{.type = one.type, .key = one.key, .gen = one.gen};
    if (!OnMessage(now, message)) return StartAnew(now);
  }
}

void Agent::Commit(MonoTime now, const std::vector<DurableWrite>& writes) {
  for (size_t i = 0; i < writes.size(); ++i) {
    const DurableWrite& write = writes[i];
    const Line* line = lines_.Find(write.key);
    CHECK(line != nullptr && IsWritable(StateOf(line)) && line->durable());
    Payload payload = PayloadOf(*line);
    payload.present = write.present;
    payload.ttl_is_new = !write.keeps_ttl;
    payload.ends = write.ttl_us == kNoTtl ? kNeverMono : now + write.ttl_us;
    CHECK(committing_.insert(write.key).second);
    channel_->Send({.type = MessageType::kCommit,
                    .key = write.key,
                    .gen = line->gen(),
                    .keeps = i + 1 < writes.size(),
                    .fence = write.fence,
                    .payload = payload});
  }
}

bool Agent::OnOutcome(const Message& message) {
  if (committing_.erase(Bytes(message.key)) == 0) return false;
  if (!message.keeps) OnPushed(message.key);
  listener_->OnCommitted(message.key, !message.keeps  ? Committed::kDone
                                      : message.have ? Committed::kFenced
                                                     : Committed::kRefused);
  return true;
}

bool Agent::OnMessage(MonoTime now, const Message& message) {
  if (message.type == MessageType::kCommitted) return OnOutcome(message);
  if (message.type == MessageType::kVerdict) return OnVerdict(now, message);
  if (message.type == MessageType::kShipReply) return OnShipReply(message);
  std::optional<AgentEvent> event = EventOf(message.type, message.keeps);
  if (!event) return false;
  const Line* line = lines_.Find(message.key);
  const bool asks = *event == AgentEvent::kInv || *event == AgentEvent::kRecallS ||
                    *event == AgentEvent::kRecallX;
  if (asks && line != nullptr && line->pinned()) {
    put_off_.push_back({Bytes(message.key), message.type, message.gen});
    return true;
  }
  if (event == AgentEvent::kRecallS && line != nullptr && EndsByItself(*line)) {
    event = AgentEvent::kRecallX;
  }
  const bool of_grant = *event == AgentEvent::kRecallS || *event == AgentEvent::kRecallX ||
                        *event == AgentEvent::kWbAck || *event == AgentEvent::kWbAckKeeps;
  if (of_grant && (line == nullptr || line->gen() != message.gen)) return false;
  const bool data = *event == AgentEvent::kDataS || *event == AgentEvent::kDataX ||
                    *event == AgentEvent::kUpgradeOk;
  if (data && !message.payload) return false;
  if (data && message.have) listener_->OnContended(message.key);
  if (*event == AgentEvent::kInv) ++stats_->invs_received;
  if (*event == AgentEvent::kRecallS || *event == AgentEvent::kRecallX) ++stats_->recalls_received;
  return Does(now, message.key, *event, &message);
}

// One transition, and what it asks for. False: it cannot be.
bool Agent::Does(MonoTime now, BytesView key, AgentEvent event, const Message* from) {
  Line* line = lines_.Find(key);
  const Copy state = StateOf(line);
  const AgentStep step = Step(state, event);
  if (!step.possible) return false;
  if (audited_ && state != step.next && audited_->key == key) audited_->moved = true;
  if (IsReadable(state) && !IsReadable(step.next)) listener_->OnUnreadable(key);
  if (line == nullptr && step.next != Copy::kI) line = lines_.Add(key);
  if (IsAsking(state) != IsAsking(step.next)) asking_ += IsAsking(step.next) ? 1 : size_t{0} - 1;
  if ((step.actions & kInstall) != 0) Install(now, line, *from);
  if ((step.actions & kTakeGen) != 0) {
    line->set_gen(from->gen);
    line->set_ttl_is_new(false);
    line->set_durable(from->payload->durable);
    line->set_pushes(from->payload->pushes);
    if (!from->payload->present) {
      lines_.ClearValue(line);  // Its time was over at home before we were granted it.
      line->set_version(from->payload->version);
    } else if (line->present()) {
      lines_.SetDeadline(line, from->payload->ends);
    }
  }
  if (step.next == Copy::kE && state != Copy::kE) Watch(now, line);
  // The room of an asking line's generation tells when it asked.
  if ((step.actions & (kSendGetS | kSendGetX)) != 0) {
    line->set_gen(static_cast<uint64_t>(now.us) & kGenMax);
  }
  if (line != nullptr) {
    SendAbout(*line, step.actions);
    line->set_state(static_cast<uint8_t>(step.next));
  } else if ((step.actions & kAckInv) != 0) {
    channel_->Send({.type = MessageType::kInvAck, .key = key});
  }
  if (options_.events != nullptr) NoteStep(now, key, line, state, step, from);
  if ((step.actions & kDropValue) != 0) lines_.ClearValue(line);
  if (line != nullptr && step.next == Copy::kI) lines_.Remove(line);
  if ((step.actions & kServe) != 0 && from != nullptr) listener_->OnHeld(key);
  return true;
}

void Agent::Install(MonoTime now, Line* line, const Message& message) {
  const Payload& payload = *message.payload;
  const MonoTime asked{static_cast<int64_t>(line->gen())};
  line->set_version(payload.version);
  if (payload.present) {
    lines_.SetValue(line, payload.value);
    // A reader counts from when it asked: the answer has been under way for a while.
    const bool counts = message.type == MessageType::kDataS && payload.ends != kNeverMono;
    lines_.SetDeadline(line, counts ? asked + (payload.ends - now) : payload.ends);
  } else {
    lines_.ClearValue(line);
  }
  line->set_ttl_is_new(false);
  line->set_durable(payload.durable);
  line->set_pushes(payload.pushes);
  // Who reads keeps when it asked there.
  if (message.type == MessageType::kDataX) line->set_gen(message.gen);
}

// Whether it may not be shown any more. A reader stops before the home lets the line expire: it has
// counted from when it asked, and its clock may be the slower one. So nothing has to be said when a
// line expires.
bool Agent::IsOver(MonoTime now, const Line& line) const {
  if (line.deadline() == kNeverMono) return false;
  const Copy state = StateOf(&line);
  if (state != Copy::kS && state != Copy::kSX) return line.deadline() <= now;
  const MonoTime asked{static_cast<int64_t>(line.gen())};
  return asked + options_.times.Within(line.deadline() - asked) <= now;
}

// It is owned from now on, and is to go home when nobody writes it.
void Agent::Watch(MonoTime now, Line* line) {
  line->set_dirty(true);
  const MonoTime look_at = now + options_.dirty_us / 3;
  written_.push_back({look_at, line->gen(), Bytes(line->key())});
  next_tick_ = std::min(next_tick_, look_at);
}

void Agent::SendAbout(const Line& line, uint16_t actions) {
  Message message{.key = line.key()};
  if ((actions & (kSendGetS | kSendGetX | kSendGetXHave)) != 0) {
    message.type = (actions & kSendGetS) != 0 ? MessageType::kGetS : MessageType::kGetX;
    message.have = (actions & kSendGetXHave) != 0;
    if (message.have) ++stats_->upgrades;
    channel_->Send(message);
  }
  if ((actions & kAckInv) != 0) {
    message.type = MessageType::kInvAck;
    channel_->Send(message);
  }
  if ((actions & (kAckRecall | kSendWbEvict | kSendWbDemote)) == 0) return;
  message.type = (actions & kAckRecall) != 0 ? MessageType::kRecallAck : MessageType::kWriteBack;
  message.gen = line.gen();
  message.keeps = (actions & (kKeeping | kSendWbDemote)) != 0;
  if (message.type == MessageType::kWriteBack) ++stats_->write_backs;
  // Not of a line that was only granted: the home has its value.
  if (StateOf(&line) != Copy::kE) message.payload = PayloadOf(line);
  channel_->Send(message);
}

Payload Agent::PayloadOf(const Line& line) const {
  Payload payload{.version = line.version(),
                  .present = line.present(),
                  .value = line.value(),
                  .ttl_is_new = line.ttl_is_new(),
                  .durable = line.durable()};
  if (line.present()) payload.ends = line.deadline();
  return payload;
}

// This node's clients ----------------------------------------------------------------------------

bool Agent::Hold(MonoTime now, const HashedKey& hashed, bool write, Line** found, bool ships) {
  used_ = now;
  if (home_ == kNoNode || home_ == options_.self) return false;
  if (incarnation_ == 0) return false;
  const bool over = lease_until_.us != 0 && now >= lease_until_;
  if (!open_ || over) StartAnew(now);
  if (next_tick_ == kNeverMono) AskForLease(now);
  const BytesView key = hashed.bytes;
  Line* line = lines_.Find(hashed);
  if (line != nullptr && IsCommitting(*line)) return false;
  if (line != nullptr && IsOver(now, *line)) {
    const Copy state = StateOf(line);
    if (IsWritable(state) && EndsAtHome(*line)) {
      CHECK(Does(now, key, AgentEvent::kEvict, nullptr));
    } else if (IsWritable(state)) {
      Expire(line);
    } else if (state == Copy::kS) {
      (void)Does(now, key, AgentEvent::kEvict, nullptr);
      line = nullptr;
    } else if (IsReadable(state)) {
      return false;  // It is on its way to another state, and not to be shown any more.
    }
  }
  // A line may be written so often under one grant; long before, it goes home for another.
  const bool is_worn = line != nullptr && write && IsWritable(StateOf(line)) &&
                       line->version().gen == line->gen() && line->version().seq >= kSeqWorn;
  if (is_worn) CHECK(Does(now, key, AgentEvent::kEvict, nullptr));
  const Copy state = StateOf(line);
  const bool has = write ? IsWritable(state) : IsReadable(state);
  if (has && now < lease_until_) {
    lines_.Touch(line);
    if (found != nullptr) *found = line;
    return true;
  }
  if (has || (ships && write && listener_->IsContended(key))) return false;
  CHECK(Does(now, key, write ? AgentEvent::kStore : AgentEvent::kLoad, nullptr));
  return false;
}

void Agent::Wrote(Line* line) {
  CHECK(IsWritable(StateOf(line)));
  const Version before = line->version();
  const bool same = before.epoch == epoch_.value && before.gen == line->gen();
  CHECK(!same || before.seq < kSeqMax);
  line->set_version({epoch_.value, line->gen(), same ? before.seq + 1 : 1});
  line->set_dirty(true);
  line->set_state(static_cast<uint8_t>(Step(StateOf(line), AgentEvent::kStore).next));
}

// The owner's value has reached its end: that is a write.
void Agent::Expire(Line* line) {
  listener_->OnUnreadable(line->key());
  lines_.ClearValue(line);
  line->set_ttl_is_new(true);  // What is written next does not end when the home thinks.
  Wrote(line);
  ++stats_->expired;
}

// What was not written since it was last looked at goes home.
void Agent::DemoteIdle(MonoTime now) {
  while (!written_.empty() && written_.front().look_at <= now) {
    Written one = std::move(written_.front());
    written_.pop_front();
    Line* line = lines_.Find(one.key);
    if (line == nullptr || !IsWritable(StateOf(line)) || line->gen() != one.gen) continue;
    if (line->dirty() || line->pinned()) {
      line->set_dirty(false);
      one.look_at = now + options_.dirty_us / 3;
      written_.push_back(std::move(one));
    } else {
      const bool keeps = !EndsByItself(*line);
      CHECK(Does(now, one.key, keeps ? AgentEvent::kIdle : AgentEvent::kEvict, nullptr));
    }
  }
  if (!written_.empty()) next_tick_ = std::min(next_tick_, written_.front().look_at);
}

bool Agent::EvictOne(MonoTime now, std::optional<uint8_t> line_class) {
  const auto may_go = [](const Line& line) {
    return StateOf(&line) == Copy::kS || IsWritable(StateOf(&line));
  };
  return Evict(now, lines_.Victim(kLooks, may_go, line_class));
}

bool Agent::DropCopy(MonoTime now, uint8_t line_class) {
  const auto may_go = [](const Line& line) { return StateOf(&line) == Copy::kS; };
  return Evict(now, lines_.Victim(kLooks, may_go, line_class));
}

bool Agent::Evict(MonoTime now, const Line* line) {
  if (line == nullptr) return false;
  ++stats_->evictions;
  CHECK(Does(now, Bytes(line->key()), AgentEvent::kEvict, nullptr));
  return true;
}

// What it owns expires here; of what it reads, the home says so.
size_t Agent::SweepExpired(MonoTime now) {
  size_t looked = 0;
  std::vector<Line*> over;
  sweep_ = lines_.Scan(sweep_, 1, [&](Line* line) {
    ++looked;
    if (line->present() && IsOver(now, *line) && !line->pinned()) over.push_back(line);
  });
  for (Line* line : over) {
    const bool goes_home = IsWritable(StateOf(line)) && EndsAtHome(*line);
    if (StateOf(line) == Copy::kS || goes_home) {
      CHECK(Does(now, Bytes(line->key()), AgentEvent::kEvict, nullptr));
      continue;
    }
    if (!IsWritable(StateOf(line)) || now >= lease_until_) continue;
    Expire(line);
  }
  return looked;
}

void Agent::WriteBackAll(MonoTime now) {
  if (!open_) return;
  lines_.ForEach([&](Line* line) {
    if (!IsWritable(StateOf(line)) || line->pinned()) return;
    CHECK(Does(now, Bytes(line->key()), AgentEvent::kEvict, nullptr));
  });
}

bool Agent::OwesHome() const {
  return open_ && (channel_->kept_bytes() > 0 || owes_report_ || !written_.empty() ||
                   !committing_.empty());
}

void Agent::Put(Line* line, BytesView value, std::optional<MonoTime> deadline) {
  CHECK(line != nullptr);
  // What the home knows of the time to live is about a value that was there.
  if (!line->present()) line->set_ttl_is_new(true);
  lines_.SetValue(line, value);
  if (deadline && *deadline != line->deadline()) {
    lines_.SetDeadline(line, *deadline);
    line->set_ttl_is_new(true);
  }
  Wrote(line);
}

void Agent::SetDeadline(BytesView key, MonoTime deadline) {
  Line* line = lines_.Find(key);
  CHECK(line != nullptr && line->present());
  if (line->deadline() == deadline) return;
  lines_.SetDeadline(line, deadline);
  line->set_ttl_is_new(true);
  Wrote(line);
}

void Agent::Erase(BytesView key) {
  Line* line = lines_.Find(key);
  CHECK(line != nullptr);
  lines_.ClearValue(line);
  line->set_ttl_is_new(true);
  Wrote(line);
}

void Agent::CheckInvariants() const {
  CHECK(!open_ || channel_ != nullptr);
  CHECK(open_ || lines_.size() == 0);
}

}  // namespace lockstep::mesi
