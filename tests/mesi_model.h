// What may happen next to a line, in a model around the real tables: agent_table, directory and
// recovery decide; here are only what they leave to their callers (channels, values, who waits,
// sessions and leases, the faults) and the invariants.
//
// A session is a channel both ways that keeps the order. It ends on the cache's side first, which
// drops the line; the home may take in what is under way until it ends its own side, or the cache
// opens the next one. Leases have no clock here: that a cache has stopped before its home counts it
// as gone, and a home before the next one shows anything, are orders of steps. Each rule can be
// taken away by a Mutant, which the search then must find.
#pragma once

#include "cluster/mesi/recovery.h"
#include "tests/mesi_config.h"
#include "tests/mesi_coverage.h"
#include "tests/mesi_state.h"

namespace lockstep::mesi {

class Model {
 public:
  Model(const Config& config, Coverage* coverage) : config_(config), covered_(coverage) {}

  State Initial() const {
    State s;
    HomeSide& home = s.homes[kNew];
    home.phase = Phase::kServing;
    home.epoch = 1;
    home.next_gen = 1;
    home.version = s.latest = {1, 1, 0};
    for (size_t c = 0; c < config_.caches; ++c) {
      s.caches[c].live = true;
      home.open |= static_cast<uint8_t>(1 << c);
    }
    s.stores = config_.stores;
    s.losses = config_.losses;
    s.moves = config_.moves;
    s.crashes = config_.crashes;
    s.cuts = config_.cuts;
    return s;
  }

  // Calls visit(name, next) for each step that `s` allows. `next` is normal; it says what it broke.
  template <class Visit>
  void ForEachStep(const State& s, const Visit& visit) const {
    const auto take = [&](const StepName& name) {
      State next = s;
      Take(&next, name);
      if (next.broken == nullptr) next.broken = BrokenInvariant(next);
      if (next.broken == nullptr) Normalize(&next);
      visit(name, next);
    };
    for (uint8_t c = 0; c < config_.caches; ++c) ForEachStepOfCache(s, c, take);
    for (uint8_t at : {kOld, kNew}) {
      if (s.homes[at].serves()) ForEachStepOfHome(s, at, take);
    }
    ForEachStepOfHomes(s, take);
  }

  // Nobody waits for anything.
  bool IsAtRest(const State& s) const {
    for (size_t c = 0; c < config_.caches; ++c) {
      if (s.caches[c].load || s.caches[c].stores > 0) return false;
    }
    for (const HomeSide& home : s.homes) {
      if (home.serves() && IsBusy(home.line.state)) return false;
    }
    return s.homes[kNew].phase == Phase::kServing;
  }

 private:
  using Kind = StepName::Kind;

  bool Is(Mutant mutant) const { return config_.mutant == mutant; }
  static void Break(State* s, const char* what) {
    if (s->broken == nullptr) s->broken = what;
  }

  // Which steps ---------------------------------------------------------------------------------

  // The home that the cache's session is with, if that session is not over.
  static std::optional<uint8_t> HomeOf(const State& s, size_t c) {
    if (!s.caches[c].live) return {};
    for (uint8_t at : {kOld, kNew}) {
      if (s.homes[at].epoch == s.caches[c].epoch) return at;
    }
    return {};
  }
  static bool IsAwaited(const State& s, uint8_t c) { return (s.awaited & BitOf(c)) != 0; }

  template <class Take>
  void ForEachStepOfCache(const State& s, uint8_t c, const Take& take) const {
    const CacheSide& cache = s.caches[c];
    take({Kind::kClientLoads, c});
    if (s.stores > 0) take({Kind::kClientStores, c});
    if (cache.live && StepOf(cache.state, AgentEvent::kEvict).possible) take({Kind::kEvict, c});
    const bool may_idle = cache.live && !config_.ends;
    if (may_idle && StepOf(cache.state, AgentEvent::kIdle).possible) take({Kind::kIdle, c});
    if (const auto home = HomeOf(s, c)) {
      const Channel& down = s.homes[*home].down[c];
      const size_t ends = Is(Mutant::kUnordered) ? down.size : std::min<size_t>(down.size, 1);
      for (uint8_t at = 0; at < ends; ++at) take({Kind::kToCache, c, *home, at});
    }
    if (cache.live && s.losses > 0) take({Kind::kLeaseOver, c});
    if (IsAwaited(s, c)) ForEachAnswer(s, c, take);
    if (cache.live) return;
    // It goes back to the home that it was with, or on to the one that did not wait for its answer.
    for (uint8_t at : {kOld, kNew}) {
      const bool there = s.homes[at].phase != Phase::kOver && s.homes[at].epoch >= cache.epoch;
      if (there && !(at == kNew && IsAwaited(s, c))) take({Kind::kOpen, c, at});
    }
  }

  template <class Take>
  void ForEachAnswer(const State& s, uint8_t c, const Take& take) const {
    take({Kind::kFence, c, kNew, false});
    const CacheSide& cache = s.caches[c];
    const bool has = IsOwned(cache.state) || IsReadable(cache.state);
    if (cache.live && has) take({Kind::kFence, c, kNew, true});
    // Without an answer: by time. No home renews its lease any more, and it has stopped by itself.
    const bool over = !s.caches[c].live && !s.homes[kOld].serves();
    if (over || Is(Mutant::kNewHomeWaitsForNoLease)) take({Kind::kLapsed, c, kNew});
  }

  template <class Take>
  void ForEachStepOfHome(const State& s, uint8_t at, const Take& take) const {
    const HomeSide& home = s.homes[at];
    for (uint8_t c = 0; c < config_.caches; ++c) {
      const Channel& up = home.up[c];
      const size_t ends = Is(Mutant::kUnordered) ? up.size : std::min<size_t>(up.size, 1);
      for (uint8_t i = 0; i < ends; ++i) take({Kind::kToHome, c, at, i, config_.reads_exclusive});
      if (config_.reads_either && ends > 0) take({Kind::kToHome, c, at, 0, true});
      if (MayBeGone(s, at, c)) take({Kind::kGone, c, at});
    }
    if (!HomeWaits(home, false)) take({Kind::kHomeLoads, 0, at});
    if (!HomeWaits(home, true) && s.stores > 0) take({Kind::kHomeStores, 0, at});
  }

  bool MayBeGone(const State& s, uint8_t at, uint8_t c) const {
    if ((s.homes[at].open & BitOf(c)) == 0) return false;
    if (at == kOld && (s.outlast & BitOf(c)) != 0) return false;
    const bool lives = HomeOf(s, c) == at;
    return !lives || (Is(Mutant::kHomeLeaseShorter) && s.losses > 0);
  }

  static bool HomeWaits(const HomeSide& home, bool write) {
    const auto is = [&](const Request& r) { return r.who == kHome && r.write == write; };
    if (IsBusy(home.line.state) && is(home.line.request)) return true;
    return std::any_of(home.waiting.begin(), home.waiting.end(), is);
  }

  template <class Take>
  void ForEachStepOfHomes(const State& s, const Take& take) const {
    const bool awaits_home = (s.awaited & kOldHomeBit) != 0;
    if (awaits_home && s.homes[kOld].phase == Phase::kServing) take({Kind::kOldHomeAnswers});
    if (awaits_home && s.homes[kOld].phase == Phase::kCutOff) take({Kind::kOldHomeLapsed});
    if (s.homes[kOld].serves()) return;  // No third home before the first is over.
    const bool serving = s.homes[kNew].phase == Phase::kServing;
    if (s.moves > 0 && serving) take({Kind::kMove});
    if (s.crashes > 0) take({Kind::kCrash});
    if (s.cuts > 0 && serving) take({Kind::kCutOff});
  }

  // What they do --------------------------------------------------------------------------------

  void Take(State* s, const StepName& name) const {
    const uint8_t c = name.who;
    HomeSide* home = &s->homes[name.home];
    switch (name.kind) {
      case Kind::kClientLoads:
        s->caches[c].load = true;
        return Happens(s, c, AgentEvent::kLoad);
      case Kind::kClientStores:
        --s->stores;
        ++s->caches[c].stores;
        return Happens(s, c, AgentEvent::kStore);
      case Kind::kEvict:
        return Happens(s, c, AgentEvent::kEvict);
      case Kind::kIdle:
        return Happens(s, c, AgentEvent::kIdle);
      case Kind::kToCache:
        return Arrives(s, c, home->down[c].Take(name.at));
      case Kind::kLeaseOver:
        --s->losses;
        return EndSession(s, c);
      case Kind::kOpen:
        return Open(s, home, c);
      case Kind::kFence:
        return Answer(s, c, name.at != 0);
      case Kind::kLapsed:
        return Heard(s, static_cast<uint8_t>(BitOf(c)));
      case Kind::kToHome:
        return Arrives(s, home, c, home->up[c].Take(name.at), name.exclusive);
      case Kind::kGone:
        if (HomeOf(*s, c) == name.home) --s->losses;
        return Gone(s, home, c);
      case Kind::kHomeLoads:
        return Ask(s, home, {kHome, false, false});
      case Kind::kHomeStores:
        --s->stores;
        return Ask(s, home, {kHome, true, false});
      default:
        return TakeOfHomes(s, name.kind);
    }
  }

  void TakeOfHomes(State* s, Kind kind) const {
    switch (kind) {
      case Kind::kMove:
        --s->moves;
        return Elect(s, Phase::kServing);
      case Kind::kCrash:
        --s->crashes;
        return Elect(s, Phase::kOver);
      case Kind::kCutOff:
        --s->cuts;
        return Elect(s, Phase::kCutOff);
      case Kind::kOldHomeAnswers:
        s->former_spoke = !Is(Mutant::kFormersWordIsLost);
        ReportOfHome(s, s->homes[kOld]);
        if (Is(Mutant::kOldHomeServesOn)) return Heard(s, kOldHomeBit);
        break;
      case Kind::kOldHomeLapsed:
        s->has_relic = Is(Mutant::kOlderEpochsReport);
        if (s->has_relic) s->relic = s->homes[kOld].version;
        if (Is(Mutant::kDeposedHomeServesOn)) return Heard(s, kOldHomeBit);
        break;
      default:
        CHECK(false);
    }
    Stop(&s->homes[kOld]);
    Heard(s, kOldHomeBit);
  }

  // A cache --------------------------------------------------------------------------------------

  AgentStep StepOf(Copy state, AgentEvent event) const {
    const bool changed =
        config_.cell && config_.cell->state == state && config_.cell->event == event;
    return changed ? config_.cell->step : Step(state, event);
  }

  // Something of the cache's own: it waits if there is no session.
  void Happens(State* s, uint8_t c, AgentEvent event) const {
    if (s->caches[c].live) Does(s, c, event, {});
  }

  void Arrives(State* s, uint8_t c, const Message& message) const {
    const CacheSide& cache = s->caches[c];
    const bool recall = message.says == Says::kRecallS || message.says == Says::kRecallX;
    const bool ack = message.says == Says::kWbAck || message.says == Says::kWbAckKeeps;
    if ((recall || ack) && (!IsOwned(cache.state) || cache.gen != message.gen))
      return Break(s, "a message of a generation that the cache does not own");
    static constexpr AgentEvent kEvents[] = {AgentEvent::kDataS,     AgentEvent::kDataX,
                                             AgentEvent::kUpgradeOk, AgentEvent::kInv,
                                             AgentEvent::kRecallS,   AgentEvent::kRecallX,
                                             AgentEvent::kWbAck,     AgentEvent::kWbAckKeeps};
    const auto at = static_cast<size_t>(message.says) - static_cast<size_t>(Says::kDataS);
    const bool drops = config_.ends && kEvents[at] == AgentEvent::kRecallS;
    Does(s, c, drops ? AgentEvent::kRecallX : kEvents[at], message);
  }

  void Does(State* s, uint8_t c, AgentEvent event, const Message& message) const {
    CacheSide& cache = s->caches[c];
    const AgentStep step = StepOf(cache.state, event);
    if (!step.possible) return Break(s, "an event that the cache has no row for");
    covered_->agent[static_cast<size_t>(cache.state)][static_cast<size_t>(event)] = true;
    const bool newer = cache.state == Copy::kM || cache.dirty;
    cache.state = step.next;
    cache.dirty = newer && IsLeaving(step.next);
    if ((step.actions & kInstall) != 0) cache.version = message.version;
    if ((step.actions & (kInstall | kTakeGen)) != 0) cache.gen = message.gen;
    SendOf(s, c, step.actions, newer);
    if ((step.actions & kDropValue) != 0) cache.version = {};
    if ((step.actions & kServe) != 0) Serve(s, c, event);
  }

  void SendOf(State* s, uint8_t c, uint16_t actions, bool newer) const {
    const CacheSide& cache = s->caches[c];
    const auto with_value = [&](Says says) {
      SendUp(s, c, {says, cache.gen, newer, newer ? cache.version : Version{}});
    };
    if ((actions & kSendGetS) != 0) SendUp(s, c, {Says::kGetS});
    if ((actions & kSendGetX) != 0) SendUp(s, c, {Says::kGetX});
    if ((actions & kSendGetXHave) != 0) SendUp(s, c, {Says::kGetXHave});
    if ((actions & kSendWbEvict) != 0) with_value(Says::kWbEvict);
    if ((actions & kSendWbDemote) != 0) with_value(Says::kWbDemote);
    if ((actions & kAckInv) != 0) SendUp(s, c, {Says::kInvAck});
    newer = newer && !Is(Mutant::kRecallAckWithoutValue);
    if ((actions & kAckRecall) != 0)
      with_value((actions & kKeeping) != 0 ? Says::kRecallAckKeeps : Says::kRecallAck);
  }

  static void SendUp(State* s, uint8_t c, const Message& message) {
    const auto home = HomeOf(*s, c);
    if (home && (s->homes[*home].open & BitOf(c)) != 0) s->homes[*home].up[c].Push(message);
  }

  // `event` is what has led here: a store that happens was allowed by its row.
  void Serve(State* s, uint8_t c, AgentEvent event) const {
    CacheSide& cache = s->caches[c];
    if (cache.load && IsReadable(cache.state)) {
      cache.load = false;
      Observe(s, cache.version);
    }
    if (cache.stores > 0 && IsWritable(cache.state)) {
      if (event != AgentEvent::kStore) return Does(s, c, AgentEvent::kStore, {});
      --cache.stores;
      const auto seq = static_cast<uint8_t>(cache.version.seq + 1);
      cache.version = {cache.epoch, cache.gen, seq};
      Write(s, cache.version);
      if (cache.stores > 0) return Does(s, c, AgentEvent::kStore, {});
    }
    AskAnew(s, c);
  }

  // Whoever still waits asks, if nothing was asked.
  void AskAnew(State* s, uint8_t c) const {
    const CacheSide& cache = s->caches[c];
    const bool idle = cache.state == Copy::kI || cache.state == Copy::kS;
    if (cache.stores > 0 && idle) return Does(s, c, AgentEvent::kStore, {});
    if (cache.load && cache.state == Copy::kI) Does(s, c, AgentEvent::kLoad, {});
  }

  static void Observe(State* s, const Version& version) {
    if (version != s->latest) Break(s, "somebody reads what is not the latest");
  }
  static void Write(State* s, const Version& version) {
    if (version <= s->latest) Break(s, "a version that is not above the latest");
    s->latest = version;
  }

  // Sessions -------------------------------------------------------------------------------------

  // On the cache's side. What it has sent is still under way.
  void EndSession(State* s, uint8_t c) const {
    CacheSide& cache = s->caches[c];
    const auto home = HomeOf(*s, c);
    if (home && !Is(Mutant::kGrantsOutliveSessions)) s->homes[*home].down[c] = {};
    cache.live = false;
    if (Is(Mutant::kLinesSurviveSessions)) return;
    cache.state = Copy::kI;
    cache.version = {};
    cache.dirty = false;
  }

  void Open(State* s, HomeSide* home, uint8_t c) const {
    CacheSide& cache = s->caches[c];
    Channel late;
    if (Is(Mutant::kGrantsOutliveSessions) && home->epoch == cache.epoch + 1)
      late = s->homes[kOld].down[c];
    if ((home->open & BitOf(c)) != 0) Gone(s, home, c);
    home->open |= static_cast<uint8_t>(BitOf(c));
    home->down[c] = late;
    cache.live = true;
    cache.epoch = home->epoch;
    AskAnew(s, c);
  }

  // The cache's session with this home is over, and so is its lease.
  void Gone(State* s, HomeSide* home, uint8_t c) const {
    home->open &= static_cast<uint8_t>(~BitOf(c));
    KeepLateWriteBacks(&home->up[c]);
    home->down[c] = {};
    Fifo<Request, 6> waiting;
    for (const Request& request : home->waiting) {
      if (request.who != c || Is(Mutant::kQueueOutlivesSession)) waiting.Push(request);
    }
    home->waiting = waiting;
    CoverGone(*home, c);
    DirLine& line = home->line;
    if (Is(Mutant::kGoneDoesNotAckInv) && line.state == Dir::kBInv) return;
    const uint64_t gen = home->next_gen + 1;
    const uint8_t requester = line.request.who;
    const DirStep step = OnGone(&line, c, &home->next_gen);
    if (Is(Mutant::kRequesterOutlivesSession) && IsBusy(line.state)) line.request.who = requester;
    HomeDoes(s, home, step, c, {}, gen);
  }

  void KeepLateWriteBacks(Channel* up) const {
    Channel late;
    for (const Message& message : *up) {
      const bool wb = message.says == Says::kWbEvict || message.says == Says::kWbDemote;
      if (wb && Is(Mutant::kLateWriteBacks)) late.Push(message);
    }
    *up = late;
  }

  // A home ---------------------------------------------------------------------------------------

  void Ask(State* s, HomeSide* home, Request request, bool exclusive = false) const {
    DirLine& line = home->line;
    const bool to_read = !request.write;
    if (exclusive && line.state == Dir::kU) request.write = true;
    CoverRequest(line, request);
    DirStep step = OnRequest(&line, request, &home->next_gen);
    if (Is(Mutant::kUpgradeUnchecked) && request.have && (step.actions & kGrantX) != 0)
      step.actions = kGrantUpgrade;
    if (Is(Mutant::kNoForgetOfReaders) && (step.actions & kGrantX) != 0)
      home->granted_to_read = to_read;
    if ((step.actions & kQueue) != 0) home->waiting.Push(request);
    HomeDoes(s, home, step, request.who, {}, 0);
    if (Is(Mutant::kNoWaitForInvAcks) && (step.actions & kSendInv) != 0) TakeAllInvAcks(s, home);
  }

  void TakeAllInvAcks(State* s, HomeSide* home) const {
    const uint64_t readers = home->line.sharers;
    for (uint8_t c = 0; c < config_.caches; ++c) {
      if ((readers & BitOf(c)) != 0)
        HomeDoes(s, home, OnInvAck(&home->line, c, &home->next_gen), c, {}, 0);
    }
  }

  void Arrives(State* s, HomeSide* home, uint8_t c, const Message& m, bool exclusive) const {
    using enum Says;
    switch (m.says) {
      case kGetS:
      case kGetX:
      case kGetXHave:
        return Ask(s, home, {c, m.says != kGetS, m.says == kGetXHave}, exclusive);
      case kInvAck:
        if (Is(Mutant::kNoWaitForInvAcks)) return;
        return InvAckArrives(s, home, c);
      case kRecallAck:
      case kRecallAckKeeps: {
        Cover(Coverage::kRecallAck, home->line.state, m.says == kRecallAckKeeps ? 1 : 0);
        FromOwner from{c, m.gen, m.says == kRecallAckKeeps};
        if (Is(Mutant::kKeeperUnrecorded)) from.keeps = false;
        return HomeDoes(s, home, OnRecallAck(&home->line, from, &home->next_gen), c, m, 0);
      }
      default:
        return WriteBackArrives(s, home, c, m);
    }
  }

  void InvAckArrives(State* s, HomeSide* home, uint8_t c) const {
    const bool last = std::popcount(home->line.sharers) == 1;
    Cover(Coverage::kInvAck, home->line.state, last ? 1 : 0);
    HomeDoes(s, home, OnInvAck(&home->line, c, &home->next_gen), c, {}, 0);
  }

  void WriteBackArrives(State* s, HomeSide* home, uint8_t c, const Message& m) const {
    DirLine& line = home->line;
    FromOwner from{c, m.gen, m.says == Says::kWbDemote};
    Cover(Coverage::kWriteBack, line.state, from.keeps ? 1 : 0);
    if (Is(Mutant::kWriteBackIsNoAnswer) && IsBusy(line.state))
      return HomeDoes(s, home, {kTakeData | kWbAck}, c, m, 0);
    const bool reads_on = Is(Mutant::kDemotionEndsRecallX) && line.state == Dir::kBRX && from.keeps;
    if (reads_on) from.keeps = false;
    DirStep step = OnWriteBack(&line, from, &home->next_gen);
    if (reads_on) step.actions = static_cast<uint16_t>((step.actions & ~kWbAck) | kWbAckKeeping);
    if (!step.possible && Is(Mutant::kLateWriteBacks)) {
      if (m.has_value) home->version = m.version;
      return;
    }
    HomeDoes(s, home, step, c, m, 0);
  }

  // `forgets` is the generation of what is absent from now on.
  void HomeDoes(State* s, HomeSide* home, const DirStep& step, uint8_t from, const Message& m,
                uint64_t forgets) const {
    if (!step.possible) return Break(s, "a message that the home has no row for");
    if ((step.actions & kTakeData) != 0 && m.has_value) home->version = m.version;
    if ((step.actions & kForget) != 0) Forget(s, home, forgets);
    if (Is(Mutant::kGenerationStays) && (step.actions & (kGrantX | kGrantUpgrade)) != 0)
      home->line.gen = --home->next_gen;
    Grant(s, home, step.actions);
    const DirLine& line = home->line;
    if ((step.actions & kNext) != 0 && line.request.who == kNobody)
      Cover(Coverage::kGrant, line.state, line.request.write ? 7 : 6);
    const auto gen = static_cast<uint8_t>(line.gen);
    for (uint8_t c = 0; c < config_.caches; ++c) {
      if ((step.actions & kSendInv) != 0 && (line.sharers & BitOf(c)) != 0)
        SendDown(s, home, c, {Says::kInv});
    }
    if ((step.actions & kSendRecallS) != 0) SendDown(s, home, line.owner, {Says::kRecallS, gen});
    if ((step.actions & kSendRecallX) != 0) SendDown(s, home, line.owner, {Says::kRecallX, gen});
    if ((step.actions & kWbAck) != 0) SendDown(s, home, from, {Says::kWbAck, m.gen});
    if ((step.actions & kWbAckKeeping) != 0) SendDown(s, home, from, {Says::kWbAckKeeps, m.gen});
    if ((step.actions & kNext) == 0 || Is(Mutant::kQueueStays)) return;
    while (!home->waiting.empty() && !IsBusy(line.state)) Ask(s, home, home->waiting.Take());
  }

  void Forget(State* s, HomeSide* home, uint64_t gen) const {
    if (Is(Mutant::kNoForget)) return;
    if (Is(Mutant::kNoForgetOfReaders) && home->granted_to_read) return;
    if (Is(Mutant::kForgetKeepsGeneration)) --gen;
    home->version = {home->epoch, static_cast<uint8_t>(gen), 0};
    Write(s, home->version);
  }

  void Grant(State* s, HomeSide* home, uint16_t actions) const {
    const uint8_t to = home->line.request.who;
    const auto gen = static_cast<uint8_t>(home->line.gen);
    if ((actions & (kGrantS | kGrantX | kGrantUpgrade)) == 0) return;
    const int kind = (actions & kGrantS) != 0 ? 0 : (actions & kGrantX) != 0 ? 1 : 2;
    Cover(Coverage::kGrant, home->line.state, kind * 2 + (to == kHome ? 1 : 0));
    if (to == kHome && kind == 0) return Observe(s, home->version);
    if (to == kHome) {
      home->version = {home->epoch, gen, 1};
      return Write(s, home->version);
    }
    if (kind == 0 && Is(Mutant::kReaderUnrecorded)) home->line.sharers &= ~BitOf(to);
    if (kind == 0) SendDown(s, home, to, {Says::kDataS, 0, true, home->version});
    if (kind == 1) SendDown(s, home, to, {Says::kDataX, gen, true, home->version});
    if (kind == 2) SendDown(s, home, to, {Says::kUpgradeOk, gen});
  }

  void SendDown(State* s, HomeSide* home, uint8_t c, const Message& message) const {
    if (c >= config_.caches || (home->open & BitOf(c)) == 0)
      return Break(s, "the home writes to a cache that has no session");
    const bool heard = s->caches[c].live && s->caches[c].epoch == home->epoch;
    if (heard) home->down[c].Push(message);
  }

  // Moves ----------------------------------------------------------------------------------------

  static void Stop(HomeSide* home) {
    HomeSide over;
    over.epoch = home->epoch;
    over.down = home->down;  // Still under way.
    *home = over;
  }

  // There is a new home, with nothing. What the one before does, `before` says.
  void Elect(State* s, Phase before) const {
    HomeSide& old = s->homes[kOld];
    HomeSide& home = s->homes[kNew];
    old = home;
    old.phase = before;
    home = {};
    home.phase = Phase::kRecovering;
    home.epoch = static_cast<uint8_t>(old.epoch + 1);
    s->reports = {};
    s->awaited = static_cast<uint8_t>((1 << config_.caches) - 1);
    if (old.serves()) s->awaited |= kOldHomeBit;
    if (!old.serves()) Stop(&old);
    if (s->has_relic) s->reports.Push({Report::Kind::kHomeHad, kHome, 0, false, s->relic});
  }

  // The cache drops what it has, says first what it owned, and is with the new home from now on.
  // Whether its lease outlasts the home before is a matter of clocks: it may.
  void Answer(State* s, uint8_t c, bool outlasts) const {
    const CacheSide& cache = s->caches[c];
    HomeSide* home = &s->homes[kNew];
    const bool counts = cache.live && cache.epoch + 1 == home->epoch;
    const bool sure = outlasts || Is(Mutant::kAllOwnersAreSure);
    if (counts && IsOwned(cache.state)) {
      const bool owner = IsWritable(cache.state) || Is(Mutant::kLeavingIsTrusted);
      const auto kind = owner ? Report::Kind::kOwner : Report::Kind::kLeaving;
      s->reports.Push({kind, c, cache.gen, sure, cache.version});
    }
    const bool reads = IsReadable(cache.state) && !IsWritable(cache.state);
    if (counts && reads && sure) {
      s->reports.Push({Report::Kind::kReads, c, 0, sure, cache.version});
    }
    if (outlasts) s->outlast |= static_cast<uint8_t>(BitOf(c));
    EndSession(s, c);
    Open(s, home, c);
    Heard(s, static_cast<uint8_t>(BitOf(c)));
  }

  void ReportOfHome(State* s, const HomeSide& old) const {
    const DirLine& line = old.line;
    const auto gen = static_cast<uint8_t>(line.gen);
    if (!HasOwner(line.state) || Is(Mutant::kOldHomeIsTrusted))
      s->reports.Push({Report::Kind::kHomeHad, kHome, gen, false, old.version});
    else
      s->reports.Push({Report::Kind::kOwnerKnown, line.owner, gen});
  }

  void Heard(State* s, uint8_t bit) const {
    s->awaited &= static_cast<uint8_t>(~bit);
    if (s->awaited == 0) BeginToServe(s);
  }

  void BeginToServe(State* s) const {
    HomeSide& home = s->homes[kNew];
    home.phase = Phase::kServing;
    if (const std::optional<Version> adopted = Judge(*s)) {
      home.version = *adopted;
    } else {
      if (MustAdopt(*s)) Break(s, "a new home forgets what it was told");
      home.next_gen = 1;
      home.version = {home.epoch, 1, 0};
      Write(s, home.version);
    }
    s->reports = {};
    s->outlast = 0;
    s->former_spoke = false;
    if (!s->homes[kOld].serves()) s->homes[kOld] = {};
  }

  // What the new home takes over, if anything.
  std::optional<Version> Judge(const State& s) const {
    Recovered recovered;
    Version owners, readers, formers;
    for (const Report& report : s.reports) {
      covered_->reports |= static_cast<uint8_t>(1 << static_cast<int>(report.kind));
      const bool any = Is(Mutant::kAnyKnownOwner);
      const NodeId node{any ? 1 : report.who + uint64_t{1}};
      const uint64_t gen = any ? 1 : report.gen;
      if (report.kind == Report::Kind::kOwnerKnown) {
        recovered.OnFormerOwner(node, gen);
      } else if (report.kind == Report::Kind::kHomeHad) {
        recovered.OnFormerValue();
        formers = report.version;
      } else if (report.kind == Report::Kind::kReads) {
        if (recovered.OnReader()) readers = report.version;
      } else {
        const bool leaving = report.kind == Report::Kind::kLeaving;
        const bool best = recovered.OnOwner({node, gen, leaving, report.sure});
        if (best || Is(Mutant::kLastReportWins)) owners = report.version;
      }
    }
    using enum Recovered::Verdict;
    const Recovered::Verdict verdict = recovered.Judge(s.former_spoke);
    if (verdict == kForgotten) return {};
    return verdict == kOwners ? owners : verdict == kReaders ? readers : formers;
  }

  // Invariants -----------------------------------------------------------------------------------

  const char* BrokenInvariant(const State& s) const {
    size_t readers = 0, writers = 0;
    for (size_t c = 0; c < config_.caches; ++c) {
      const CacheSide& cache = s.caches[c];
      if (!cache.live) continue;
      readers += IsReadable(cache.state) ? 1 : 0;
      writers += IsWritable(cache.state) ? 1 : 0;
      if (IsReadable(cache.state) && cache.version != s.latest)
        return "a copy that can be read is not the latest";
    }
    for (const HomeSide& home : s.homes) {
      if (!home.serves()) continue;
      if (!IsBusy(home.line.state) && !home.waiting.empty())
        return "requests wait for a line that is not busy";
      if (!HomeServes(home.line.state)) continue;
      readers += writers > 0 ? 1 : 0;
      if (home.version != s.latest) return "the home shows what is not the latest";
    }
    if (writers > 0 && readers > 1) return "a writer is not alone";
    return config_.values_only ? nullptr : BrokenDirectory(s);
  }

  // Whoever has something is known to have it.
  const char* BrokenDirectory(const State& s) const {
    for (uint8_t c = 0; c < config_.caches; ++c) {
      const auto at = HomeOf(s, c);
      if (!at || !s.homes[*at].serves()) continue;
      if (!IsKnown(s.homes[*at], s.caches[c], c)) return "the directory does not know of a copy";
    }
    return nullptr;
  }

  static bool IsKnown(const HomeSide& home, const CacheSide& cache, uint8_t c) {
    if (!IsReadable(cache.state) && !IsOwned(cache.state)) return true;
    const DirLine& line = home.line;
    if (HasOwner(line.state) && line.owner == c)
      return !IsOwned(cache.state) || line.gen == cache.gen;
    if (IsWritable(cache.state)) return false;
    if (HasSharers(line.state) && (line.sharers & BitOf(c)) != 0) return true;
    if (line.state == Dir::kBInv && line.request.who == c) return line.request.have;
    // It was taken back, and the answer is under way.
    return cache.state == Copy::kMI && !home.down[c].empty();
  }

  // What was reached -----------------------------------------------------------------------------

  void Cover(Coverage::Op op, Dir state, int variant) const {
    covered_->home[op][static_cast<size_t>(state)] |= static_cast<uint16_t>(1 << variant);
  }
  void CoverRequest(const DirLine& line, const Request& request) const {
    const uint64_t me = request.who < kCaches ? BitOf(request.who) : 0;
    const bool itself = line.state == Dir::kX && line.owner == request.who;
    const bool others = line.state == Dir::kSh ? (line.sharers & ~me) != 0 : line.state == Dir::kX;
    const int meets = itself ? 2 : others ? 1 : 0;
    Cover(Coverage::kRequest, line.state, meets + (request.write ? 3 : 0));
  }
  void CoverGone(const HomeSide& home, uint8_t c) const {
    const DirLine& line = home.line;
    int role = 0;
    if (HasSharers(line.state) && (line.sharers & BitOf(c)) != 0)
      role = std::popcount(line.sharers) == 1 ? 2 : 1;
    if (HasOwner(line.state) && line.owner == c) role = 3;
    if (IsBusy(line.state) && line.request.who == c) role = 4;
    Cover(Coverage::kGone, line.state, role);
  }

  Config config_;
  Coverage* covered_;
};

}  // namespace lockstep::mesi
