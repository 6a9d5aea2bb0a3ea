#include "src/cache_shard.h"

#include <algorithm>
#include <array>
#include <utility>

#include "src/base/hash.h"
#include "src/base/log.h"

namespace lockstep {
namespace {

constexpr size_t kFrameBytes = 256 * 1024;
constexpr int64_t kFenceAgainUs = 100 * kUsPerMs;
// What a home needs to end what it has begun is a round trip or two, if all its caches answer.
constexpr int64_t kHandOverUs = 100 * kUsPerMs;
constexpr int64_t kHandOverAgainUs = kUsPerSecond;

void TellIncarnations(mesi::Home* home, const Replica& replica) {
  std::map<NodeId, uint64_t> sessions;
  for (const NodeId node : replica.Origins()) {
    sessions[node] = replica.SessionOf(node).incarnation;
  }
  home->SetIncarnations(std::move(sessions));
}

}  // namespace

Cache::Cache(const Options& options, Outbox* outbox, Runner* runner, MonoTime now)
    : options_(options), outbox_(outbox), runner_(runner), now_(now),
      hot_keys_(options.seed, now) {
  for (uint64_t i = 0; i < options.shards; ++i) {
    shards_.push_back(std::make_unique<Shard>(this, ShardGroup(i)));
    shards_.back()->agent.lines().set_classes(&classes_);
    // Before our start there may have been sessions of which our log tells the end, and not when.
    shards_.back()->not_before = WhenAllHaveEnded(now);
  }
}

Cache::~Cache() = default;

// Leases of whose sessions nobody knows here, by homes that may be some for a while.
MonoTime Cache::WhenAllHaveEnded(MonoTime now) const {
  const mesi::LeaseTimes& times = options_.times;
  return now + times.Outlasts(times.home_us) + times.Outlasts(times.cache_us);
}

KeyPlace Cache::PlaceOf(BytesView key) const {
  return {.hash = KeyedHash(key),
          .shard = static_cast<uint32_t>(ShardOfSlot(SlotOf(key), shards_.size()))};
}

Cache::Shard& Cache::FindShard(BytesView key) const {
  return *shards_[ShardOfSlot(SlotOf(key), shards_.size())];
}

Cache::Shard& Cache::ShardOfKey(BytesView key) {
  const Latest* const latest = LatestOf(key);
  return latest != nullptr ? *latest->shard : FindShard(key);
}

Cache::Shard* Cache::ShardOfGroup(GroupId group) const {
  if (!IsShard(group) || ShardOf(group) >= shards_.size()) return nullptr;
  return shards_[ShardOf(group)].get();
}

// Leaders -----------------------------------------------------------------------------------------

void Cache::Follow(MonoTime now, const Group& group, const Gateway& gateway) {
  Shard* shard = ShardOfGroup(group.id());
  if (shard == nullptr) return;
  now_ = now;
  touched_ = true;
  TakeLogged(now, shard);  // Of this term, or of the one before.
  const raft::Raft& raft = group.raft();
  if (shard->home != nullptr && (!raft.is_leader() || raft.term() != shard->home->epoch())) {
    LeaveHome(shard);
  }
  if (raft.leader() != kNoNode && raft.term() > shard->led_in) {
    shard->leader_before = std::exchange(shard->leader, raft.leader());
    shard->led_before = std::exchange(shard->led_in, raft.term());
  }
  FollowSessions(now, shard, group);
  shard->agent.SetIncarnation(now, gateway.IncarnationIn(group.id()));
  SendReport(now, shard);  // Before anybody asks for a line in a session that this has opened.
  if (raft.is_leader()) {
    if (shard->agent.epoch() < raft.term()) LeaveAgent(now, shard, raft.term());
    // But a later home may have called on us, of which our replica has not heard yet.
    const bool elected =
        shard->agent.home() == options_.self && shard->agent.epoch() == raft.term();
    if (shard->home == nullptr && elected && group.IsCurrent()) BecomeHome(now, shard, group);
    if (shard->home != nullptr) {
      const bool goes_on = raft.transfer_target() != kNoNode || now < shard->hand_over_ends;
      if (!goes_on) shard->home->EndHandOver(now);
      const MonoTime heard = raft.MajorityHeard(now);
      if (heard.us != 0) shard->home->OnMajority(now, heard);
    }
    return;
  }
  const Gateway::LeaderAt leader = gateway.LeaderAndTermOf(now, group.id());
  if (leader.node == kNoNode || leader.node == options_.self) return;
  if (leader.term <= shard->agent.epoch()) return;
  shard->agent.Follow(now, leader.node, leader.term, shard->former != nullptr);
  SendReport(now, shard);
}

// Of a session that ended nobody can say here whether its node knows it.
void Cache::FollowSessions(MonoTime now, Shard* shard, const Group& group) {
  const Replica& replica = group.replica();
  if (replica.sessions_changed() == shard->sessions_changed) return;
  shard->sessions_changed = replica.sessions_changed();
  if (replica.sessions_ended() != std::exchange(shard->sessions_ended, replica.sessions_ended())) {
    OnInstalled(now, group.id());
  }
  if (shard->home != nullptr) TellIncarnations(shard->home.get(), replica);
}

void Cache::OnInstalled(MonoTime now, GroupId group) {
  Shard* shard = ShardOfGroup(group);
  if (shard == nullptr) return;
  shard->not_before = WhenAllHaveEnded(now);
}

void Cache::BecomeHome(MonoTime now, Shard* shard, const Group& group) {
  const raft::Raft& raft = group.raft();
  const Replica& replica = group.replica();
  mesi::Home::Options options{.self = options_.self,
                              .shard = shard->group,
                              .epoch = raft.term(),
                              .before = raft.TermBefore(),
                              .home_before = kNoNode,
                              .handed_over = raft.was_handed(),
                              .began = now,
                              .not_before = shard->not_before,
                              .awaited = {options_.self},
                              .times = options_.times,
                              .durable = options_.group_of ? shard : nullptr,
                              .events = &events_,
                              .contention = &contention_};
  if (shard->led_before == options.before) options.home_before = shard->leader_before;
  for (const NodeId node : replica.Origins()) options.awaited.insert(node);
  shard->home = std::make_unique<mesi::Home>(options, &stats_, shard);
  shard->home->lines().set_classes(&classes_);
  TellIncarnations(shard->home.get(), replica);
  shard->next_fence = now;
  next_tick_ = now;
  ReportSelf(now, shard);
}

// Elected: from now on others may count us as the home, and wait for us no longer than for one. So
// what we have as a cache is shown no more; what we own waits until our home is there to hear it.
void Cache::LeaveAgent(MonoTime now, Shard* shard, Term epoch) {
  shard->own_report.clear();
  shard->agent.MoveHere(now, epoch, [shard](const mesi::Message& message) {
    Writer out(&shard->own_report.emplace_back());
    mesi::EncodeMessage(message, &out);
  });
  shard->Lost();
}

// To ourselves, what we had as a cache, and as a former home.
void Cache::ReportSelf(MonoTime now, Shard* shard) {
  mesi::Home* home = shard->home.get();
  const auto say = [&](const mesi::Message& message) {
    home->OnReport(now, options_.self, message);
  };
  for (const Bytes& one : shard->own_report) {
    Reader in(one);
    mesi::Message message;
    CHECK(mesi::DecodeMessage(&in, &message));
    say(message);
  }
  if (shard->former != nullptr) shard->former->Report(now, say);
  shard->former.reset();
  shard->own_report.clear();
  home->OnReportDone(options_.self);
}

// What it has it shows to nobody any more; the next home may ask for it.
void Cache::LeaveHome(Shard* shard) {
  shard->former = std::move(shard->home);
  LoseCommits(*shard);
  DropShips(shard, kNoNode);
  shard->witnesses.clear();
  shard->Lost();
  shard->OnAllUnreadable();
  events_.NoteOfAll(shard->group, {.at = now_, .kind = mesi::Event::Kind::kLeft, .to = "I"});
  if (!shard->former->recovered()) shard->former.reset();
}

void Cache::SendReport(MonoTime now, Shard* shard) {
  mesi::Agent& agent = shard->agent;
  if (shard->former == nullptr || !agent.owes_report() || !agent.is_open()) return;
  shard->former->Report(now, [&](const mesi::Message& message) { agent.SayReport(message); });
  shard->former.reset();
  agent.FinishReport();
}

// Commands ----------------------------------------------------------------------------------------

bool Cache::Hold(MonoTime now, BytesView key, const KeyPlace& place, bool write, bool ships) {
  latest_.clear();
  if (!HoldOne(now, key, place, write, ships)) return false;
  if (hot_keys_.Count(now, key)) NoteUse(key);
  return true;
}

// Of one access in 64: of each it would cost about as much as the rest of a GET.
void Cache::NoteUse(BytesView key) {
  Shard& shard = ShardOfKey(key);
  if (shard.home == nullptr) shard.agent.NoteRead(key);
}

bool Cache::Holds(MonoTime now, BytesView key, bool write) {
  latest_.clear();
  return HoldOne(now, key, PlaceOf(key), write);
}

bool Cache::HoldOne(MonoTime now, BytesView key, const KeyPlace& place, bool write, bool ships) {
  now_ = now;
  wrote_plain_ = false;
  Shard& shard = *shards_[place.shard];
  const mesi::HashedKey hashed(key, place.hash, place.likely);
  mesi::Line* line = nullptr;
  const bool held = shard.home != nullptr ? shard.home->Hold(now, hashed, write, &line)
                                          : shard.agent.Hold(now, hashed, write, &line, ships);
  if (!held || (write && shard.hands_over() && HasToGoHome(key, line))) {
    touched_ = true;
    return false;
  }
  Used(shard.home != nullptr ? shard.home->lease_until() : shard.agent.lease_until());
  latest_.push_back({key.data(), key.size(), &shard, line});
  return true;
}

bool Cache::Hold(MonoTime now, std::span<const KeyWant> wants, std::span<const KeyPlace> places) {
  const auto hold = [&](size_t i) {
    return HoldOne(now, wants[i].key, places.empty() ? PlaceOf(wants[i].key) : places[i],
                   wants[i].write);
  };
  latest_.clear();
  const uint64_t sessions_over = stats_.sessions_over;
  bool all = true;
  for (size_t i = 0; i < wants.size(); ++i) all &= hold(i);
  if (all) {
    for (const KeyWant& want : wants) {
      if (hot_keys_.Count(now, want.key)) NoteUse(want.key);
    }
  }
  // Asking for one may have cost another, when a lease was found to be over.
  if (all && stats_.sessions_over != sessions_over) {
    latest_.clear();
    for (size_t i = 0; all && i < wants.size(); ++i) all = hold(i);
  }
  if (!all) Done();
  return all;
}

Cache::Latest* Cache::LatestOf(BytesView key) {
  constexpr size_t kLooked = 16;  // More are found sooner by their hash.
  if (latest_.size() > kLooked) return nullptr;
  for (Latest& latest : latest_) {
    if (latest.key == key.data() && latest.size == key.size()) return &latest;
  }
  return nullptr;
}

void Cache::Fetch(std::span<const BytesView> keys, std::vector<KeyPlace>* places) const {
  places->resize(keys.size());
  const std::unique_ptr<Shard>* const shards = shards_.data();
  for (size_t i = 0; i < keys.size(); ++i) (*places)[i] = PlaceOf(keys[i]);
  // In a round of its own: behind each hash in turn, few of them would be under way at once.
  for (const KeyPlace& place : *places) shards[place.shard]->lines().FetchBucket(place.hash);
  constexpr size_t kAtOnce = 16;  // A processor waits for about so many.
  for (std::span<KeyPlace> left = *places; !left.empty();) {
    const std::span<KeyPlace> some = left.first(std::min(left.size(), kAtOnce));
    for (KeyPlace& place : some) {
      place.likely = shards[place.shard]->lines().FetchRecord(place.hash);
    }
    for (const KeyPlace& place : some) shards[place.shard]->lines().FetchBlob(place.likely);
    left = left.subspan(some.size());
  }
}

void Cache::Wait(MonoTime now, const Ticket& ticket, std::vector<Want> wants, bool may_miss,
                 size_t ship_bytes) {
  ++stats_.misses;
  const uint64_t number = ++next_number_;
  for (const Want& want : wants) waiting_for_[want.key].insert(number);
  waiting_[number] = {ticket, std::move(wants), now, 0, {}, may_miss, ship_bytes};
  may_miss_ += may_miss ? 1 : 0;
  numbers_[ticket] = number;
}

void Cache::Forget(const Ticket& ticket) {
  if (std::optional<Waiting> waiting = Take(ticket)) UnpinFrom(&*waiting, 0);
}

std::optional<Cache::Waiting> Cache::Take(const Ticket& ticket) {
  const auto number = numbers_.find(ticket);
  if (number == numbers_.end()) return std::nullopt;
  const auto found = waiting_.find(number->second);
  for (const Want& want : found->second.wants) {
    const auto on = waiting_for_.find(want.key);
    if (on == waiting_for_.end()) continue;
    on->second.erase(number->second);
    if (on->second.empty()) waiting_for_.erase(on);
  }
  Waiting waiting = std::move(found->second);
  may_miss_ -= waiting.may_miss ? 1 : 0;
  waiting_.erase(found);
  numbers_.erase(number);
  return waiting;
}

std::vector<Cache::Ticket> Cache::WaitingSince(MonoTime before) const {
  std::vector<Ticket> old;
  for (const auto& [number, waiting] : waiting_) {
    if (waiting.since > before) break;
    if (waiting.ticket.client != kShipper) old.push_back(waiting.ticket);
  }
  return old;
}

// Those who wait for the key, in the order in which they came; each sees what those before it did.
void Cache::OnKeyHeld(BytesView key) {
  const auto on = waiting_for_.find(key);
  if (on == waiting_for_.end()) return;
  const std::set<uint64_t> numbers = on->second;
  for (const uint64_t number : numbers) LookAgain(number);
}

bool Cache::LookAgain(uint64_t number) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return false;
  const bool is_ours = found->second.ticket.client != kShipper;
  if (is_ours && !runner_->MayRun(found->second.ticket)) return false;
  const bool held = Gather(&found->second);
  if (!held && found->second.ship_bytes > 0) return LookWhetherItShips(number);
  if (!held && !MissesNow(found->second)) return false;
  std::optional<Waiting> waiting = Take(found->second.ticket);
  missing_ = !held;
  Done();  // The handler has other names for them.
  is_ours ? runner_->OnHeld(waiting->ticket) : RunShipHere(waiting->ticket.slot);
  missing_ = false;
  UnpinFrom(&*waiting, 0);
  return true;
}

bool Cache::LookAt(const Ticket& ticket) {
  const auto number = numbers_.find(ticket);
  return number != numbers_.end() && LookAgain(number->second);
}

bool Cache::RunLost(MonoTime now) {
  now_ = now;
  Settle();
  bool any = TellCommitted();
  any |= TellShipped();
  if (!std::exchange(any_lost_, false)) return any;
  std::set<const Shard*> lost;
  for (const auto& shard : shards_) {
    if (std::exchange(shard->lost, false)) lost.insert(shard.get());
  }
  std::vector<Bytes> keys;
  for (const auto& [key, tickets] : waiting_for_) {
    if (lost.contains(&FindShard(key))) keys.push_back(key);
  }
  for (const Bytes& key : keys) {
    any = true;
    OnKeyHeld(key);
  }
  Settle();
  return TellCommitted() || any;
}

MonoTime Cache::TakeValidUntil() { return std::exchange(valid_until_, kNeverMono); }

// Keys --------------------------------------------------------------------------------------------

std::optional<Keys::Value> Cache::Find(BytesView key) {
  std::optional<Value> found;
  if (missing_ && Misses(key)) return found;
  const mesi::Line* line = FindLine(key);
  if (line == nullptr || !line->present() || line->deadline() <= now_) return found;
  // Made where it is to be: a copy would wait for its parts to be written (a store that is not
  // forwarded), and a GET takes long enough to notice.
  Value& value = found.emplace();
  value.bytes = line->value();
  if (line->deadline() != kNeverMono) value.ttl_us = line->deadline() - now_;
  value.version = line->version();
  return found;
}

mesi::Line* Cache::FindLine(BytesView key) {
  if (const Latest* const latest = LatestOf(key)) return latest->line;
  return FindShard(key).lines().Find(key);
}

// A line whose time is over is another one, whether it was looked at since or not.
mesi::Version Cache::VersionOf(BytesView key) {
  const mesi::Line* line = FindLine(key);
  if (line == nullptr || (line->present() && line->deadline() <= now_)) return {};
  return line->version();
}

mesi::Version Cache::Watch(BytesView key) {
  Shard& shard = ShardOfKey(key);
  if (shard.home != nullptr && !Find(key)) {
    Done();
    shard.home->Remember(now_, key);
  }
  return VersionOf(key);
}

MonoTime Cache::DeadlineOf(const Expiry& expiry) const {
  return expiry.kind == Expiry::Kind::kNone ? kNeverMono : now_ + expiry.us;
}

void Cache::Put(BytesView key, BytesView value, Expiry expiry) {
  Shard& shard = ShardOfKey(key);
  Writing* const writing = NoteWrite(key, false);
  wrote_plain_ |= writing == nullptr;
  mesi::Line* line = FindLine(key);
  if (tracker_ != nullptr) tracker_->OnWritten(key);
  const std::optional<MonoTime> deadline = DeadlineOf(key, line, expiry);
  if (writing != nullptr) writing->sets_ttl |= deadline.has_value();
  if (shard.home != nullptr) {
    line = shard.home->Put(key, line, value, deadline);
  } else {
    shard.agent.Put(line, value, deadline);
  }
  if (Latest* const latest = LatestOf(key)) latest->line = line;
}

void Cache::Expire(BytesView key, Expiry expiry) {
  Shard& shard = ShardOfKey(key);
  const MonoTime deadline = DeadlineOf(expiry);
  Writing* const writing = NoteWrite(key, false);
  if (writing != nullptr) writing->sets_ttl = true;
  wrote_plain_ |= writing == nullptr;
  if (tracker_ != nullptr) tracker_->OnWritten(key);
  if (shard.home != nullptr) {
    shard.home->SetDeadline(key, deadline);
  } else {
    shard.agent.SetDeadline(key, deadline);
  }
}

bool Cache::Erase(BytesView key) {
  if (!Find(key)) return false;
  Shard& shard = ShardOfKey(key);
  Writing* const writing = NoteWrite(key, false);
  if (writing != nullptr) writing->sets_ttl = true;
  wrote_plain_ |= writing == nullptr;
  Done();
  if (tracker_ != nullptr) tracker_->OnWritten(key);
  if (shard.home != nullptr) {
    shard.home->Erase(key);
  } else {
    shard.agent.Erase(key);
  }
  return true;
}

char Cache::StateOf(BytesView key) const {
  Shard& shard = FindShard(key);
  if (shard.home != nullptr) {
    const mesi::Line* line = shard.home->lines().Find(key);
    if (line == nullptr) return 'I';
    switch (static_cast<mesi::Dir>(line->state())) {
      case mesi::Dir::kU: return 'M';
      case mesi::Dir::kSh: return 'S';
      default: return 'I';
    }
  }
  const mesi::Line* line = shard.agent.lines().Find(key);
  if (line == nullptr) return 'I';
  switch (static_cast<mesi::Copy>(line->state())) {
    case mesi::Copy::kM: return 'M';
    case mesi::Copy::kE: return 'E';
    case mesi::Copy::kS:
    case mesi::Copy::kSX:
    case mesi::Copy::kMS: return 'S';
    default: return 'I';
  }
}

// The bus -----------------------------------------------------------------------------------------

bool Cache::OnFrame(MonoTime now, NodeId from, const bus::Envelope& envelope) {
  now_ = now;
  touched_ = true;
  Reader in(envelope.data);
  const bool from_cache = in.Bool();
  const mesi::SessionId session = mesi::SessionId::Decode(&in);
  if (!in.ok()) return false;
  Shard* shard = ShardOfGroup(envelope.header.group);
  if (shard == nullptr) return true;
  if (from_cache) {
    if (shard->home == nullptr || shard->home->epoch() != envelope.header.term) return true;
    return shard->home->OnFrame(now, from, session, &in);
  }
  mesi::Agent& agent = shard->agent;
  if (agent.home() != from || agent.epoch() != envelope.header.term) return true;
  return agent.OnFrame(now, session, &in);
}

bool Cache::OnLeases(MonoTime now, NodeId from, const bus::Envelope& envelope) {
  now_ = now;
  touched_ = true;
  Reader in(envelope.data);
  mesi::Leases leases;
  if (!mesi::DecodeLeases(&in, &leases)) return false;
  for (const mesi::LeaseAsk& ask : leases.asks) {
    Shard* shard = ShardOfGroup(ask.shard);
    if (shard == nullptr) continue;
    if (shard->home != nullptr && shard->home->epoch() == ask.epoch) {
      shard->home->OnAsk(now, from, ask);
    }
  }
  for (const mesi::LeaseGive& give : leases.gives) {
    Shard* shard = ShardOfGroup(give.shard);
    if (shard != nullptr && shard->agent.home() == from) shard->agent.OnGive(now, give);
  }
  for (const mesi::Fence& fence : leases.fences) {
    Shard* shard = ShardOfGroup(fence.shard);
    if (shard == nullptr || from == options_.self) continue;
    if (shard->agent.home() == from && fence.epoch == shard->agent.epoch()) {
      shard->agent.OnFence(now);
    }
    if (fence.epoch <= shard->agent.epoch()) continue;
    // Our own replica may still think that we lead: the next home knows better.
    if (shard->home != nullptr && shard->home->epoch() < fence.epoch) LeaveHome(shard);
    shard->agent.Follow(now, from, fence.epoch, shard->former != nullptr);
    SendReport(now, shard);
  }
  return true;
}

void Cache::OnPeerUp(NodeId peer) {
  touched_ = true;
  for (const auto& shard : shards_) {
    if (shard->home != nullptr) shard->home->OnPeerUp(peer);
    if (shard->agent.home() == peer) shard->agent.OnPeerUp();
  }
}

bool Cache::ReadyToMove(MonoTime now, GroupId group, bool in_haste) {
  Shard* shard = ShardOfGroup(group);
  if (shard == nullptr) return true;
  if (shard->home == nullptr || !shard->home->recovered()) return false;
  mesi::Home& home = *shard->home;
  if (!in_haste && !home.HearsAll(now)) return false;
  touched_ = true;
  if (!home.hands_over()) {
    if (now < shard->next_hand_over) return in_haste;  // It was tried, in vain.
    home.BeginHandOver();
    shard->hand_over_ends = now + kHandOverUs;
    shard->next_hand_over = shard->hand_over_ends + kHandOverAgainUs;
  }
  return home.IsQuiet() || (in_haste && now >= shard->hand_over_ends);
}

bool Cache::HandOver(MonoTime now) {
  touched_ = true;
  bool done = true;
  for (const auto& shard : shards_) {
    shard->agent.WriteBackAll(now);
    done &= !shard->agent.OwesHome() && shard->former == nullptr;
  }
  return done;
}

void Cache::Tick(MonoTime now) {
  now_ = now;
  touched_ = true;
  ReleaseOldPins();
  if (may_miss_ > 0) LookForMisses();
  for (const auto& shard : shards_) {
    if (shard->home != nullptr) {
      ForgetWitnesses(now, shard.get());
      shard->home->Tick(now);
      if (now < shard->next_fence) continue;
      shard->next_fence = now + kFenceAgainUs;
      for (const NodeId node : shard->home->Unreported()) {
        if (node == options_.self) continue;
        leases_[node].fences.push_back({shard->group, shard->home->epoch()});
      }
    } else {
      shard->agent.Tick(now);
      SendReport(now, shard.get());
    }
  }
}

MonoTime Cache::WakeupOf(const Shard& shard) const {
  if (shard.home == nullptr) return shard.agent.NextWakeup();
  const bool recovered = shard.home->recovered();
  return recovered ? shard.home->NextWakeup()
                   : std::min(shard.home->NextWakeup(), shard.next_fence);
}

void Cache::SendFrame(NodeId to, const Shard& shard, Term epoch, mesi::SessionId session,
                      bool from_cache, mesi::Channel* channel) {
  outbox_->Send(to, bus::Lane::kBulk, bus::MessageType::kCache, shard.group, epoch,
                [&](Writer* out) {
                  out->Bool(from_cache);
                  session.Encode(out);
                  channel->Flush(now_, out, kFrameBytes);
                });
}

void Cache::GatherLeases(Shard* shard) {
  if (shard->home != nullptr) {
    for (auto& [node, give] : shard->home->TakeGives()) leases_[node].gives.push_back(give);
  }
  if (auto ask = shard->agent.TakeAsk()) {
    leases_[shard->agent.home()].asks.push_back(std::move(*ask));
  }
}

void Cache::Flush(MonoTime now) {
  now_ = now;
  Settle();
  if (bytes_max_ > 0 && bytes() > bytes_max_ && now >= evict_again_) {
    EvictDownTo(now, bytes_max_ - bytes_max_ / 32);  // Lest each write has to wait for one.
    touched_ = true;
  }
  if (spaces_ != nullptr && spaces_->version() != spaces_version_) FollowSpaces();
  for (Limit& limit : limits_) KeepLimit(now, &limit);
  if (!std::exchange(touched_, false)) return;
  next_tick_ = pins_.empty() && gather_again_.empty() ? kNeverMono : now + kPinLookUs;
  if (!committed_.empty() || !shipped_.empty()) next_tick_ = now;
  if (may_miss_ > 0) next_tick_ = std::min(next_tick_, now + kMissLookUs);
  for (const auto& shard : shards_) {
    next_tick_ = std::min(next_tick_, WakeupOf(*shard));
    if (shard->home != nullptr && shard->home->HasNews()) {
      shard->home->Flush([&](const mesi::Home::ToCache& to) {
        SendFrame(to.to, *shard, shard->home->epoch(), to.session, false, to.channel);
      });
    }
    mesi::Agent& agent = shard->agent;
    while (agent.HasNews()) {
      SendFrame(agent.home(), *shard, agent.epoch(), agent.session(), true, agent.channel());
    }
    GatherLeases(shard.get());
  }
  for (const auto& [to, leases] : leases_) {
    outbox_->Send(to, bus::Lane::kControl, bus::MessageType::kCacheLeases, kControlGroup, Term{0},
                  [&leases = leases](Writer* out) { mesi::EncodeLeases(leases, out); });
  }
  leases_.clear();
}

// For whoever looks ------------------------------------------------------------------------------

size_t Cache::lines() const {
  size_t lines = 0;
  for (const auto& shard : shards_) {
    lines += shard->lines().size();
  }
  return lines;
}

size_t Cache::bytes() const {
  size_t bytes = 0;
  for (const auto& shard : shards_) {
    bytes += shard->lines().bytes();
    if (shard->former != nullptr) bytes += shard->former->lines().bytes();
  }
  return bytes;
}

const mesi::Home* Cache::HomeOf(BytesView key) const { return FindShard(key).home.get(); }

const mesi::Agent* Cache::AgentOf(BytesView key) const {
  const Shard& shard = FindShard(key);
  return shard.home != nullptr ? nullptr : &shard.agent;
}

void Cache::CheckInvariants() const {
  for (const auto& shard : shards_) {
    if (shard->home != nullptr) {
      shard->home->CheckInvariants();
      CHECK(shard->agent.lines().size() == 0);
    }
    shard->agent.CheckInvariants();
  }
}

}  // namespace lockstep
