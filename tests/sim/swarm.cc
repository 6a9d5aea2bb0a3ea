#include "tests/sim/swarm.h"

#include <algorithm>
#include <initializer_list>

namespace lockstep::sim {
namespace {

template <class T>
T Pick(Rng* rng, std::initializer_list<T> choices) {
  return *(choices.begin() + rng->Below(choices.size()));
}

bool Chance(Rng* rng, uint64_t percent) { return rng->Below(100) < percent; }

constexpr std::array<const char*, kFaults> kFaultNames = {
    "crash",
    "crash of the leader",
    "crash in a write",
    "power cut",
    "pause",
    "pause of the leader",
    "termination",
    "emptied disk",
    "slow disk",
    "leader deposed while its disk is slow",
    "failed sync",
    "full disk",
    "clock jump",
    "reset of a link",
    "one-way cut",
    "isolation",
    "isolation of the leader",
    "leader that hears late",
    "halving",
    "ring",
    "bridge",
    "clogged link",
    "cut lane",
    "dead link",
    "clients cut off",
    "leader moved",
    "node added",
    "node removed",
};

}  // namespace

const char* NameOf(Fault fault) {
  return fault == Fault::kEnd ? "none" : kFaultNames[static_cast<size_t>(fault)];
}

Swarm::Swarm(uint64_t seed) {
  Rng rng(seed * 0x2545F4914F6CDD1DULL + 1);
  DrawCluster(&rng);
  Rng slices(seed);
  save_records = Pick<int64_t>(&slices, {1, 100, 5'000});
  piece_bytes = Pick<int64_t>(&slices, {300, 5'000, 1 << 20});
  DrawWorld(&rng);
  DrawFaults(&rng);
  DrawWork(&rng);
  Rng cache(seed * 0x9E3779B97F4A7C15ULL + 3);  // Its own: the rest is as it was without it.
  DrawCache(&cache);
}

void Swarm::DrawCluster(Rng* rng) {
  nodes = Pick<size_t>(rng, {1, 3, 3, 3, 4, 5, 5});
  zones = Pick<uint64_t>(rng, {0, 0, 2, 3});
  election_timeout_ms = Pick<int64_t>(rng, {150, 300, 300, 500, 1000});
  heartbeat_ms = election_timeout_ms / Pick<int64_t>(rng, {3, 5, 10});
  snapshot_entries = Pick<int64_t>(rng, {10, 30, 100, 1000, 200'000});
  window_entries = Pick<int64_t>(rng, {1, 4, 64, 4096});
  window_bytes = Pick<int64_t>(rng, {64 << 10, 8 << 20});
  uncommitted_bytes = Pick<int64_t>(rng, {1 << 20, 64 << 20});
  // Entry by entry, nobody catches up with a long log in any time that one would wait.
  if (window_entries == 1) snapshot_entries = std::min<int64_t>(snapshot_entries, 300);
  log_max_bytes = Pick<int64_t>(rng, {1 << 20, 64 << 20});
  append_bytes = std::min(window_bytes, Pick<int64_t>(rng, {4096, 65536, 1 << 20}));
  leader_wait_ms = Pick<int64_t>(rng, {200, 2000, 2000, 10'000});
  uncertain_after_ms = Pick<int64_t>(rng, {500, 3000, 5000, 5000});
  node_timeout_ms = Pick<int64_t>(rng, {500, 2000, 5000, 5000});
}

void Swarm::DrawWorld(Rng* rng) {
  clock_ppm_max = Pick<int64_t>(rng, {0, 100, 10'000, 10'000});
  latency_us = Pick<int64_t>(rng, {50, 200, 1000, 5000});
  latency_tail_us = latency_us * Pick<int64_t>(rng, {2, 10, 50});
  harsh_links = Chance(rng, 40);
  if (harsh_links) {
    drop_ppm = Pick<uint64_t>(rng, {0, 1000, 10'000, 100'000});
    repeat_ppm = Pick<uint64_t>(rng, {0, 1000, 50'000});
    reorder_ppm = Pick<uint64_t>(rng, {0, 10'000, 200'000});
  }
  sync_us = Pick<int64_t>(rng, {20, 200, 1000, 5000});
  turn_us = Pick<int64_t>(rng, {10, 100, 1000});
}

void Swarm::DrawFaults(Rng* rng) {
  core_only = nodes > 1 && Chance(rng, 20);
  if (Chance(rng, 7)) return;  // A quiet run: what fails now fails without any fault.
  fault_every_ms = Pick<int64_t>(rng, {200, 600, 600, 1500, 3000});
  for (uint32_t& weight : fault_weight) {
    weight = Chance(rng, 45) ? Pick<uint32_t>(rng, {1, 3, 10}) : 0;
  }
  // Each takes a while and needs the one before to be over: so where there are any, there are many.
  fault_weight[static_cast<size_t>(Fault::kRemoveNode)] *= 2;
}

void Swarm::DrawWork(Rng* rng) {
  safety_ms = rng->Between(4000, 12'000);
  if (Chance(rng, 6)) {  // For what takes its time.
    safety_ms = rng->Between(30'000, 60'000);
    fault_weight[static_cast<size_t>(Fault::kDeadLink)] = 5;
  }
  for (;;) {
    uint32_t all = 0;
    for (size_t i = 0; i < kWorksBeforeCache; ++i) {
      uint32_t& n = actors[i];
      n = Chance(rng, 40) ? static_cast<uint32_t>(rng->Between(1, 3)) : 0;
      all += n;
    }
    if (all >= 3 && all <= 12) break;
  }
  // One without the other does little.
  uint32_t& producers = actors[static_cast<size_t>(Work::kProducers)];
  uint32_t& workers = actors[static_cast<size_t>(Work::kWorkers)];
  if (producers > 0) workers = 2 * producers;
  if (producers == 0) workers = 0;
  if (producers == 2 && save_records == 100) {  // One crowd among many small ones.
    producers = 6;
    workers = 16;
  }
  uint32_t& haulers = actors[static_cast<size_t>(Work::kHauls)];
  if (haulers == 0) return;
  // A state of a megabyte: it is not written down at every tenth entry.
  haulers = Chance(rng, 20) ? 3 : 0;
  if (haulers == 0) return;
  snapshot_entries = std::max<int64_t>(snapshot_entries, 100);
  uncommitted_bytes = 1 << 20;
  log_max_bytes = std::min<int64_t>(log_max_bytes, 8 << 20);  // Or nodes copy little else.
}

// Clocks do not jump then: the cache rests on their rates.
void Swarm::DrawCache(Rng* rng) {
  has_cache_work = Chance(rng, 35);
  if (!has_cache_work) return;
  fault_weight[static_cast<size_t>(Fault::kClockJump)] = 0;
  for (size_t i = 0; i < kWorksBeforeCache; ++i) {  // Or it would take its time.
    if (Chance(rng, 70)) actors[i] = 0;
  }
  uint32_t& producers = actors[static_cast<size_t>(Work::kProducers)];
  uint32_t& workers = actors[static_cast<size_t>(Work::kWorkers)];
  if (producers == 0 || workers == 0) producers = workers = 0;
  for (;;) {
    uint32_t all = 0;
    for (size_t i = kWorksBeforeCache; i < kWorksBeforeDurables; ++i) {
      actors[i] = Chance(rng, 50) ? static_cast<uint32_t>(rng->Between(1, 3)) : 0;
      all += actors[i];
    }
    if (all >= 2 && all <= 7) break;
  }
  if (fault_every_ms > 0) stall_ppm = Pick<uint64_t>(rng, {0, 10, 30, 100});
  if (Chance(rng, 60)) {
    actors[static_cast<size_t>(Work::kDurables)] = static_cast<uint32_t>(rng->Between(1, 3));
  }
  sets_reads = Chance(rng, 40);
  if (Chance(rng, 40)) {
    actors[static_cast<size_t>(Work::kPushers)] = static_cast<uint32_t>(rng->Between(1, 4));
  }
  changes_class = Chance(rng, 30);
  if (nodes > 1 && Chance(rng, 20)) return MoveOnly(rng);
  if (Chance(rng, 20)) cache_bytes = rng->Between(30'000, 36'000);
}

void Swarm::MoveOnly(Rng* rng) {
  only_moves = true;
  fault_every_ms = Pick<int64_t>(rng, {100, 300, 1000});
  fault_weight = {};
  fault_weight[static_cast<size_t>(Fault::kMoveLeader)] = 1;
  stall_ppm = drop_ppm = repeat_ppm = reorder_ppm = 0;
  harsh_links = core_only = false;
}

}  // namespace lockstep::sim
