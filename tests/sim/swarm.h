// What one seed is like: how many nodes, which settings, which faults and how often, which work.
//
// Swarm testing (Groce et al., ISSTA 2012): a run that does a little of everything finds less than
// many runs that each leave most things out and overdo the rest.
#pragma once

#include <array>

#include "src/base/rng.h"

namespace lockstep::sim {

enum class Fault : uint8_t {
  kCrash,
  kCrashLeader,
  kCrashInWrite,  // Before, during or just after a sync, perhaps of a snapshot.
  kPowerCut,     // All nodes at once.
  kPause,
  kPauseLeader,
  kTerminate,
  kEmptyDisk,
  kDiskStall,
  kDeposeStalled,  // The leader, while its disk is slow.
  kSyncError,
  kFullDisk,
  kClockJump,
  kLinkReset,
  kOneWayCut,
  kIsolate,
  kIsolateLeader,
  kStaleLeader,  // It is not heard any more, and hears late.
  kHalve,
  kRing,         // Each node reaches its two neighbours only.
  kBridge,       // Two halves that share one node.
  kClog,
  kCutLane,      // One of a link's two connections.
  kDeadLink,     // For tens of seconds, and nobody is told.
  kCutClients,
  kMoveLeader,
  kAddNode,
  kRemoveNode,
  kEnd,
};
constexpr size_t kFaults = static_cast<size_t>(Fault::kEnd);
const char* NameOf(Fault fault);

enum class Work : uint8_t {
  kContention,
  kSemaphore,
  kDeadlocks,
  kLeases,
  kRetries,
  kKeepers,
  kReadersWriters,
  kBatches,
  kTwins,
  kBound,
  kOperator,
  kWatchers,
  kHauls,
  kPages,
  kPipelines,
  kProducers,
  kWorkers,
  kCacheUsers,
  kCounters,
  kLitmus,
  kMsets,
  kDurables,
  kPushers,
  kEnd,
};
constexpr size_t kWorks = static_cast<size_t>(Work::kEnd);
constexpr size_t kWorksBeforeCache = static_cast<size_t>(Work::kCacheUsers);
constexpr size_t kWorksBeforeDurables = static_cast<size_t>(Work::kDurables);

struct Swarm {
  explicit Swarm(uint64_t seed);

  // The cluster.
  size_t nodes = 3;
  uint64_t zones = 0;  // 0: nobody names one.
  int64_t election_timeout_ms = 300;
  int64_t heartbeat_ms = 60;
  int64_t snapshot_entries = 50;
  int64_t save_records = 5'000;
  int64_t piece_bytes = 1 << 20;
  int64_t window_entries = 64;
  int64_t window_bytes = 8 << 20;
  int64_t append_bytes = 4096;
  int64_t uncommitted_bytes = 64 << 20;
  int64_t log_max_bytes = 64 << 20;
  int64_t leader_wait_ms = 2000;
  int64_t uncertain_after_ms = 3000;
  int64_t node_timeout_ms = 2000;

  // The world.
  int64_t clock_ppm_max = 0;       // How wrong a node's clock may go, parts in a million.
  int64_t latency_us = 200;        // Of a frame, at least; mostly not much more.
  int64_t latency_tail_us = 5000;  // One in fifty takes up to this.
  bool harsh_links = false;        // Each frame for itself: lost, repeated, overtaken.
  uint64_t drop_ppm = 0;
  uint64_t repeat_ppm = 0;
  uint64_t reorder_ppm = 0;
  int64_t sync_us = 500;
  int64_t turn_us = 50;

  // Faults: one every so often, its kind by weight.
  int64_t fault_every_ms = 0;      // 0: none at all.
  std::array<uint32_t, kFaults> fault_weight{};

  // Work.
  std::array<uint32_t, kWorks> actors{};  // How many of each.
  int64_t safety_ms = 10'000;
  bool core_only = false;          // At the end only a majority comes back.
  bool has_cache_work = false;
  bool only_moves = false;         // Of all faults only leaders that move: so nothing is forgotten.
  bool sets_reads = false;         // Cache users say READS exclusive, and shared, of some keys.
  bool changes_class = false;      // Pushers say CLASS back, and home, and some writes DURABLE.
  int64_t cache_bytes = 0;         // dcache-memory: room for some lines. 0: as much as they want.
  uint64_t stall_ppm = 0;          // How often a process stands still within a turn.

 private:
  void DrawCluster(Rng* rng);
  void DrawWorld(Rng* rng);
  void DrawFaults(Rng* rng);
  void DrawWork(Rng* rng);
  void DrawCache(Rng* rng);
  void MoveOnly(Rng* rng);
};

}  // namespace lockstep::sim
