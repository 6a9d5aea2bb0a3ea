// Which lines nodes take from each other, to keep them for a moment or to write little: there the
// commands had better go to the line's home (ship.h). It is four messages to move a line, and
// nobody writes it meanwhile.
//
// A heuristic on both sides: what is wrong here costs time, and nothing else. So the tables are
// small and of a fixed size, each key has one place in them by its hash, and who comes later may
// take the place of who was there. Deterministic; no clock, no floating point.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/mesi/line.h"

namespace lockstep::mesi {

// The home's: what it has seen of its lines' writers, its own clients (kHome) among them. A run is
// what one of them writes, and the time that it takes, until another does.
class Contention {
 public:
  static constexpr size_t kPlaces = 8192;  // A power of two.
  // Longer, and with more writes, is worth a line's way.
  static constexpr int64_t kShortRunUs = 10 * kUsPerMs;
  static constexpr uint64_t kFewWrites = 24;
  static constexpr uint32_t kConflicts = 4;  // Short runs, one after another.
  static constexpr int64_t kForgetUs = kUsPerSecond;  // After the last of them.

  // `who` is granted the line, under generation `gen`; `was`: its version until now.
  void OnGrant(MonoTime now, uint64_t hash, uint8_t who, uint64_t gen, const Version& was);
  // A command of `who` was run here, and has changed it from `was` to `is`. Equal: it has not.
  void OnShip(MonoTime now, uint64_t hash, uint8_t who, const Version& was, const Version& is);
  bool Has(MonoTime now, uint64_t hash) const;

 private:
  struct Place {
    uint64_t hash = 0;
    MonoTime began;           // The run of `who`.
    MonoTime conflict_at;     // The end of the latest short one,
    uint32_t conflicts = 0;   // of so many; at most kConflicts.
    uint64_t writes = 0;      // Of it: commands that were shipped;
    Version version;          // after the latest.
    uint64_t gen = 0;         // Granted: what is written has versions of this generation.
    uint8_t who = 0;
    bool shipped = false;
    bool used = false;
  };
  Place* PlaceOf(MonoTime now, uint64_t hash);
  static bool IsContended(MonoTime now, const Place& place);
  static void EndRun(MonoTime now, uint64_t writes, Place* place);

  std::vector<Place> places_;  // None until the first grant.
};

// The cache's: what homes have said to be contended.
class ContendedKeys {
 public:
  static constexpr size_t kPlaces = 8192;
  static constexpr int64_t kForgetUs = kUsPerSecond;  // After a home said so last.

  void Add(MonoTime now, uint64_t hash);
  void Remove(uint64_t hash);
  bool Has(MonoTime now, uint64_t hash) const;

 private:
  struct Place {
    uint64_t hash = 0;
    MonoTime until;
  };
  std::vector<Place> places_;
};

}  // namespace lockstep::mesi
