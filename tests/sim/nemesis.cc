#include "tests/sim/nemesis.h"

#include <algorithm>
#include <numeric>

#include "src/base/hash.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr uint64_t kDice = 0xFA17;
constexpr int64_t kStaleSteps = 10;
constexpr int64_t kExitWithinUs = 8'000'000;  // shutdown-timeout, and what a slow disk adds.

}  // namespace

// Its dice are its own, and each fault's another: so that a fault is the same whatever else
// happens (plan.h).
Nemesis::Nemesis(World* world)
    : world_(world),
      membership_(world),
      operator_(world),
      when_and_what_(HashMix(world->seed(), kDice)),
      dice_(kDice) {}

int64_t Nemesis::Between(int64_t low, int64_t high) { return dice_.Between(low, high); }

void Nemesis::Start() {
  if (world_->swarm().fault_every_ms > 0) ScheduleNext();
}

void Nemesis::ScheduleNext() {
  const int64_t every_us = world_->swarm().fault_every_ms * kUsPerMs;
  world_->events().After(when_and_what_.Between(every_us / 4, every_us * 2), [this] {
    if (stopped_) return;
    const Fault fault = Draw();
    const Bytes part = Format("f%lu", ++number_);
    if (fault != Fault::kEnd && world_->Happens(part)) {
      if (!world_->swarm().only_moves) world_->Disturb();
      dice_ = Rng(HashMix(HashMix(world_->seed(), kDice), number_));
      world_->set_at_part(true);
      world_->Say("%s: %s", part.c_str(), NameOf(fault));
      Cause(fault);
      world_->set_at_part(false);
    }
    ScheduleNext();
  });
}

Fault Nemesis::Draw() {
  const auto& weights = world_->swarm().fault_weight;
  const uint64_t all = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  if (all == 0) return Fault::kEnd;
  uint64_t at = when_and_what_.Below(all);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (at < weights[i]) return static_cast<Fault>(i);
    at -= weights[i];
  }
  return Fault::kEnd;
}

void Nemesis::Cause(Fault fault) {
  switch (fault) {
    case Fault::kCrash: return Crash(AnyProcess());
    case Fault::kCrashLeader: return Crash(Leader());
    case Fault::kCrashInWrite: return CrashInWrite();
    case Fault::kPowerCut: return PowerCut();
    case Fault::kPause: return Pause(AnyProcess());
    case Fault::kPauseLeader: return Pause(Leader());
    case Fault::kTerminate: return Terminate(AnyProcess());
    case Fault::kEmptyDisk: return EmptyDisk(20);
    case Fault::kDiskStall: return StallDisk(AnyProcess());
    case Fault::kDeposeStalled: return DeposeStalled();
    case Fault::kSyncError: return FailSync();
    case Fault::kFullDisk: return FillDisk();
    case Fault::kClockJump: return JumpClock();
    case Fault::kLinkReset: return ResetLinks();
    case Fault::kOneWayCut: return CutOneWay();
    case Fault::kIsolate: return Isolate(AnyProcess());
    case Fault::kIsolateLeader: return Isolate(Leader());
    case Fault::kStaleLeader: return MakeLeaderStale();
    case Fault::kHalve: return Halve();
    case Fault::kRing: return Ring();
    case Fault::kBridge: return Bridge();
    case Fault::kClog: return Clog();
    case Fault::kCutLane: return CutLane();
    case Fault::kDeadLink: return KillLink();
    case Fault::kCutClients: return CutClients();
    case Fault::kMoveLeader: return MoveLeader();
    case Fault::kAddNode: return membership_.Add();
    case Fault::kRemoveNode: return membership_.Remove();
    case Fault::kEnd: return;
  }
}

// Whom to hit ------------------------------------------------------------------------------------

std::vector<NodeId> Nemesis::Shuffled() {
  std::vector<NodeId> ids;
  for (const auto& [id, process] : world_->processes()) {
    if (!process->removed()) ids.push_back(id);
  }
  for (size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[dice_.Below(i)]);
  return ids;
}

Process* Nemesis::AnyProcess() { return &world_->process(Shuffled().front()); }

Process* Nemesis::Leader() {
  Process* leader = world_->LeaderOf(kLocksGroup);
  return leader != nullptr ? leader : AnyProcess();
}

// Processes --------------------------------------------------------------------------------------

void Nemesis::StartLater(Process* process, int64_t within_us) {
  world_->events().After(Between(1000, within_us), [this, process] {
    if (process->up() || process->removed() || away_.contains(process->id())) return;
    ++world_->counters()[Count::kRestarts];
    process->Start();
  });
}

void Nemesis::Crash(Process* process) {
  if (!process->up()) return;
  ++world_->counters()[Count::kCrashes];
  process->Crash();
  StartLater(process, dice_.ChanceInMillion(700'000) ? 300'000 : 4'000'000);
}

void Nemesis::CrashInWrite() {
  Process* process = dice_.ChanceInMillion(500'000) ? Leader() : AnyProcess();
  if (!process->up()) return;
  const bool of_snapshot = dice_.ChanceInMillion(400'000);
  const int64_t back_within_us = dice_.ChanceInMillion(400'000) ? 10'000 : 500'000;
  process->disk().OnNextWrite(of_snapshot, [=, this, instance = process->instance()] {
    if (stopped_ || process->instance() != instance || !process->up()) return;
    ++world_->counters()[of_snapshot ? Count::kCrashesAtSnapshots : Count::kCrashesInWrites];
    process->Crash();
    StartLater(process, back_within_us);
  });
}

void Nemesis::PowerCut() {
  ++world_->counters()[Count::kPowerCuts];
  for (const NodeId id : Shuffled()) Crash(&world_->process(id));
}

void Nemesis::Pause(Process* process) {
  if (!process->running()) return;
  ++world_->counters()[Count::kPauses];
  process->Pause();
  const int64_t for_us = dice_.ChanceInMillion(500'000) ? Between(10'000, 500'000)
                                                 : Between(500'000, 6'000'000);
  world_->events().After(for_us, [process, instance = process->instance()] {
    if (process->instance() == instance && process->state() == Process::State::kPaused) {
      process->Resume();
    }
  });
}

void Nemesis::Terminate(Process* process) {
  if (!process->running() || process->terminating()) return;
  ++world_->counters()[Count::kTerminations];
  process->Terminate();
  world_->events().After(kExitWithinUs, [this, process, instance = process->instance()] {
    const bool may_stall = world_->swarm().stall_ppm > 0;  // For as long as it had to end.
    CHECK_SIM(process->instance() != instance || !process->running() || stopped_ || may_stall,
              "node %lu was told to end, and runs on", process->id().value);
    StartLater(process, 500'000);
  });
}

// Disks and clocks -------------------------------------------------------------------------------

// The loss of a majority's disks is a loss of data by definition, so this waits until the others
// are whole and agree on it.
void Nemesis::EmptyDisk(int patience) {
  if (stopped_ || patience == 0) return;
  Process* process = AnyProcess();
  // Who was told of nobody else is a cluster of its own when it has forgotten the others, until one
  // of them dials it.
  const bool alone = world_->swarm().nodes == 1 && process->id() == NodeId{1};
  if (alone || !membership_.CanSpare({process->id()})) {
    world_->events().After(200'000, [this, patience] { EmptyDisk(patience - 1); });
    return;
  }
  ++world_->counters()[Count::kDisksEmptied];
  process->Crash();
  process->EmptyDisk();
  StartLater(process, 1'000'000);
}

void Nemesis::StallDisk(Process* process) {
  ++world_->counters()[Count::kDiskStalls];
  world_->Say("the disk of node %lu is slow", process->id().value);
  process->disk().Slow(Between(10'000, dice_.ChanceInMillion(300'000) ? 3'000'000 : 200'000));
  world_->events().After(Between(200'000, 5'000'000), [process] { process->disk().Slow(0); });
}

// What it has written it hears of in another term, when the log may have gone another way.
void Nemesis::DeposeStalled() {
  Process* process = Leader();
  StallDisk(process);
  world_->events().After(Between(5000, 300'000), [this, process] {
    if (stopped_ || process->removed()) return;
    ++world_->counters()[Count::kStalledDeposed];
    Isolate(process);
  });
}

// The node exits, as src/io does, and starts again with what had been synced.
void Nemesis::FailSync() {
  Process* process = AnyProcess();
  process->disk().FailNextSync();
  Supervise(process, world_->now_us() + 2'000'000);
}

// The node exits, and whoever starts it again finds the disk full as before, until there is room.
void Nemesis::FillDisk() {
  Process* process = AnyProcess();
  world_->Say("the disk of node %lu is full", process->id().value);
  process->disk().Fill(true);
  const int64_t for_us = Between(200'000, 5'000'000);
  world_->events().After(for_us, [process] { process->disk().Fill(false); });
  Supervise(process, world_->now_us() + for_us + 500'000);
}

// As an init system does with a process that exits by itself.
void Nemesis::Supervise(Process* process, int64_t until_us) {
  world_->events().After(Between(50'000, 500'000), [this, process, until_us] {
    if (stopped_ || process->removed()) return;
    if (!process->up() && !membership_.Awaited(process->id())) {
      ++world_->counters()[Count::kRestarts];
      process->Start();
    }
    if (world_->now_us() < until_us) Supervise(process, until_us);
  });
}

void Nemesis::JumpClock() {
  Process* process = AnyProcess();
  if (!process->up()) return;
  ++world_->counters()[Count::kClockJumps];
  process->JumpClock(Between(1000, 3'000'000));
}

// The network ------------------------------------------------------------------------------------

void Nemesis::CutPairs(std::vector<std::pair<NodeId, NodeId>> pairs, int64_t for_us) {
  for (const auto& [from, to] : pairs) {
    world_->Say("cut %lu -> %lu", from.value, to.value);
    world_->network().Cut(from, to);
  }
  world_->events().After(for_us, [this, pairs = std::move(pairs)] {
    if (stopped_) return;  // All are mended; those that are cut off now stay so.
    for (const auto& [from, to] : pairs) world_->network().Mend(from, to);
    world_->Say("cuts are mended");
  });
}

void Nemesis::ResetLinks() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 2) return;
  ++world_->counters()[Count::kLinkResets];
  world_->network().Reset(ids[0], ids[1]);
}

void Nemesis::CutOneWay() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 2) return;
  ++world_->counters()[Count::kOneWayCuts];
  CutPairs({{ids[0], ids[1]}}, Between(100'000, 5'000'000));
}

void Nemesis::Isolate(Process* process) {
  std::vector<std::pair<NodeId, NodeId>> pairs;
  for (const NodeId id : Shuffled()) {
    if (id == process->id()) continue;
    pairs.push_back({id, process->id()});
    pairs.push_back({process->id(), id});
  }
  if (pairs.empty()) return;
  ++world_->counters()[Count::kIsolations];
  CutPairs(std::move(pairs), Between(100'000, 6'000'000));
}

// The others choose anew, while what they have said before still comes to the leader of old: who
// counts that as fresh believes to lead on, and reads what is old. The answers to it come later and
// later, but one always before its patience ends; then nobody hears it any more.
void Nemesis::MakeLeaderStale() {
  const NodeId leader = Leader()->id();
  std::vector<NodeId> others = Shuffled();
  std::erase(others, leader);
  if (others.empty()) return;
  ++world_->counters()[Count::kStaleLeaders];
  const int64_t patience_us = world_->swarm().election_timeout_ms * kUsPerMs;
  std::vector<std::pair<NodeId, NodeId>> pairs;
  for (const NodeId id : others) {
    pairs.push_back({leader, id});
    for (int64_t step = 1; step <= kStaleSteps; ++step) {
      world_->events().After(step * patience_us / 2, [=, this] {
        if (!stopped_) world_->network().Clog(id, leader, step * patience_us * 2 / 5);
      });
    }
  }
  const int64_t cut_at_us = (kStaleSteps + 1) * patience_us / 2;
  const int64_t for_us = 4 * patience_us + Between(100'000, 1'000'000);
  world_->events().After(cut_at_us, [this, pairs, for_us] {
    if (!stopped_) CutPairs(pairs, for_us);
  });
  world_->events().After(cut_at_us + for_us, [this, leader, others] {
    if (stopped_) return;
    for (const NodeId id : others) world_->network().Mend(id, leader);
  });
}

void Nemesis::Halve() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 2) return;
  ++world_->counters()[Count::kHalvings];
  std::vector<std::pair<NodeId, NodeId>> pairs;
  const auto middle = static_cast<size_t>(Between(1, static_cast<int64_t>(ids.size()) - 1));
  for (size_t a = 0; a < middle; ++a) {
    for (size_t b = middle; b < ids.size(); ++b) {
      pairs.push_back({ids[a], ids[b]});
      pairs.push_back({ids[b], ids[a]});
    }
  }
  CutPairs(std::move(pairs), Between(100'000, 5'000'000));
}

void Nemesis::Ring() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 4) return;
  ++world_->counters()[Count::kRings];
  std::vector<std::pair<NodeId, NodeId>> pairs;
  for (size_t a = 0; a < ids.size(); ++a) {
    for (size_t b = 0; b < ids.size(); ++b) {
      const size_t apart = (b + ids.size() - a) % ids.size();
      if (apart > 1 && apart < ids.size() - 1) pairs.push_back({ids[a], ids[b]});
    }
  }
  CutPairs(std::move(pairs), Between(500'000, 5'000'000));
}

void Nemesis::Bridge() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 3) return;
  ++world_->counters()[Count::kBridges];
  std::vector<std::pair<NodeId, NodeId>> pairs;
  for (size_t a = 1; a < ids.size(); ++a) {  // ids[0] is the bridge.
    for (size_t b = 1; b < ids.size(); ++b) {
      if (a % 2 != b % 2) pairs.push_back({ids[a], ids[b]});
    }
  }
  CutPairs(std::move(pairs), Between(500'000, 5'000'000));
}

void Nemesis::Clog() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 2) return;
  ++world_->counters()[Count::kClogs];
  world_->Say("the link %lu -> %lu is clogged", ids[0].value, ids[1].value);
  world_->network().Clog(ids[0], ids[1], Between(10'000, 2'000'000));
  world_->events().After(Between(100'000, 5'000'000), [this, from = ids[0], to = ids[1]] {
    if (!stopped_) world_->network().Mend(from, to);
  });
}

// Heartbeats pass and entries do not, or the other way round: a connection of its own each.
void Nemesis::CutLane() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 2) return;
  ++world_->counters()[Count::kLaneCuts];
  const bus::Lane lane = dice_.ChanceInMillion(700'000) ? bus::Lane::kBulk : bus::Lane::kControl;
  world_->Say("lane %d is cut %lu -> %lu", static_cast<int>(lane), ids[0].value, ids[1].value);
  world_->network().CutLane(ids[0], ids[1], lane);
  world_->events().After(Between(100'000, 8'000'000), [this, from = ids[0], to = ids[1]] {
    if (!stopped_) world_->network().Mend(from, to);
  });
}

// A firewall that forgets: nothing passes, and no connection breaks, for longer than anybody's
// patience. Then all that was held up comes.
void Nemesis::KillLink() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 2) return;
  world_->Say("the link %lu - %lu is dead", ids[0].value, ids[1].value);
  world_->network().CutUntold(ids[0], ids[1]);
  world_->network().CutUntold(ids[1], ids[0]);
  world_->events().After(Between(10'000'000, 40'000'000), [this, from = ids[0], to = ids[1]] {
    if (stopped_) return;
    ++world_->counters()[Count::kDeadLinks];
    world_->network().Mend(from, to);
    world_->network().Mend(to, from);
  });
}

void Nemesis::CutClients() {
  const NodeId id = AnyProcess()->id();
  ++world_->counters()[Count::kClientsCutOff];
  world_->Say("clients of node %lu are cut off", id.value);
  world_->wires().CutOff(id);
  world_->events().After(Between(100'000, 5'000'000), [this, id] { world_->wires().Mend(id); });
}

// The operator -----------------------------------------------------------------------------------

void Nemesis::MoveLeader() {
  Bytes group = dice_.ChanceInMillion(700'000) ? "locks" : "control";
  if (world_->swarm().only_moves) group = Format("shard-%lu", dice_.Below(kShards));
  operator_.Call({"CLUSTER", "LEADER", group, std::to_string(AnyProcess()->id().value)},
                 5'000'000, [this](const Reply* reply, bool) {
                   if (reply != nullptr && !reply->is_error()) {
                     ++world_->counters()[Count::kLeadersMoved];
                   }
                 });
}

// The end ----------------------------------------------------------------------------------------

void Nemesis::EndFaults() {
  stopped_ = true;
  world_->Say("all faults end");
  world_->EndStalls();
  world_->network().CalmDown();
  world_->network().MendAll();
  world_->wires().MendAll();
  for (const NodeId id : Shuffled()) {
    Process& process = world_->process(id);
    process.disk().Mend();
    if (process.state() == Process::State::kPaused) process.Resume();
    process.EndStall();
    if (!process.up() && !membership_.Awaited(id)) process.Start();
  }
}

std::vector<NodeId> Nemesis::Core(bool core_only) {
  std::vector<NodeId> core = Shuffled();
  if (!core_only || core.size() < 3) return core;
  const auto some = static_cast<std::ptrdiff_t>((core.size() - 1) / 2);
  const std::vector<NodeId> away(core.begin(), core.begin() + some);
  if (!membership_.CanSpare(away)) return core;
  ++world_->counters()[Count::kMinoritiesAway];
  for (const NodeId id : away) SendAway(&world_->process(id), core);
  core.erase(core.begin(), core.begin() + some);
  return core;
}

void Nemesis::SendAway(Process* process, const std::vector<NodeId>& from) {
  world_->Say("node %lu stays away", process->id().value);
  if (dice_.ChanceInMillion(500'000)) {
    away_.insert(process->id());
    return process->Crash();
  }
  for (const NodeId other : from) {
    world_->network().Cut(process->id(), other);
    if (dice_.ChanceInMillion(500'000)) world_->network().Cut(other, process->id());
  }
}

}  // namespace lockstep::sim
