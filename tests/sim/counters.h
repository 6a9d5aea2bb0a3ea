// What a run has seen of each kind. A simulator that never causes a fault, or never sees what the
// fault should lead to, finds nothing: over many seeds no counter may stay zero.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lockstep::sim {

enum class Count : uint8_t {
  // Faults.
  kCrashes,
  kPowerCuts,
  kPauses,
  kTerminations,
  kRestarts,
  kDisksEmptied,
  kWritesLost,
  kWritesTorn,
  kWritesLanded,
  kSyncsUnheard,
  kDiskStalls,
  kSyncErrors,
  kWritesWithoutRoom,
  kClockJumps,
  kLinkResets,
  kFramesDropped,
  kFramesRepeated,
  kFramesReordered,
  kOneWayCuts,
  kIsolations,
  kHalvings,
  kRings,
  kBridges,
  kClogs,
  kLaneCuts,
  kDeadLinks,
  kClientsCutOff,
  kClientTimeouts,
  kNodesAdded,
  kNodesRemoved,
  kChangesUnknown,
  kTwoNodesLeft,
  kOneNodeLeft,
  kLeadersMoved,
  kMinoritiesAway,
  // What came of them.
  kElections,
  kFailovers,
  kSnapshotsTaken,
  kSnapshotsInstalled,
  kRequestsResent,
  kCommands,
  kGrants,
  kGrantsAfterWait,
  kWaitsTimedOut,
  kDeadlocks,
  kExpiries,
  kReleases,
  kRenewals,
  kUpgrades,
  kDowngrades,
  kMultiGrants,
  kBatches,
  kReads,
  kRevocations,
  kBoundEnded,
  kRetriesSameToken,
  kUncertain,
  kRefused,
  kUnknown,
  kHashesCompared,
  kEntriesCompared,
  kHistoriesChecked,
  kHistoriesTooHard,  // The only one that may stay zero, and better does.
  kEnd,
};

constexpr std::array<const char*, static_cast<size_t>(Count::kEnd)> kCountNames = {
    "crashes",
    "power cuts of all nodes",
    "pauses",
    "terminations",
    "restarts",
    "disks emptied",
    "writes lost in a crash",
    "writes torn in a crash",
    "writes landed in a crash",
    "syncs done, and crashed before it was heard",
    "disk stalls",
    "syncs that failed",
    "writes to a full disk",
    "clock jumps",
    "link resets",
    "frames dropped",
    "frames repeated",
    "frames reordered",
    "one-way cuts",
    "nodes isolated",
    "halvings",
    "rings",
    "bridges",
    "clogged links",
    "single lanes cut",
    "links dead for long, untold",
    "clients cut off",
    "client timeouts",
    "nodes added",
    "nodes removed",
    "membership changes of unknown outcome",
    "clusters of two nodes left",
    "clusters of one node left",
    "leaders moved on purpose",
    "minorities that stayed away",
    "elections won",
    "failovers",
    "snapshots taken",
    "snapshots installed",
    "requests sent again",
    "commands answered",
    "grants",
    "grants after a wait",
    "waits timed out",
    "deadlocks",
    "expiries",
    "releases",
    "renewals",
    "upgrades",
    "downgrades",
    "multi-lock grants",
    "EXEC batches",
    "linearizable reads",
    "revocations",
    "bound locks ended",
    "retries with the same token",
    "answers UNCERTAIN",
    "answers refused",
    "outcomes unknown",
    "state hashes compared",
    "log entries compared",
    "histories checked",
    "histories too hard to check",
};

class Counters {
 public:
  uint64_t& operator[](Count count) { return values_[static_cast<size_t>(count)]; }
  uint64_t operator[](Count count) const { return values_[static_cast<size_t>(count)]; }
  void Add(const Counters& other) {
    for (size_t i = 0; i < values_.size(); ++i) values_[i] += other.values_[i];
  }

 private:
  std::array<uint64_t, static_cast<size_t>(Count::kEnd)> values_{};
};

}  // namespace lockstep::sim
