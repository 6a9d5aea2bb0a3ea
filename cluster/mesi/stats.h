// What the protocol has done on this node, for DCACHE.STATS and the metrics.
#pragma once

#include <cstdint>

namespace lockstep::mesi {

struct Stats {
  uint64_t hits = 0;            // Commands that found what they need held,
  uint64_t misses = 0;          // and those that had to ask.
  uint64_t upgrades = 0;        // Writes of a line that was held for reading.
  uint64_t invs_sent = 0;
  uint64_t invs_received = 0;
  uint64_t recalls_sent = 0;
  uint64_t recalls_received = 0;
  uint64_t write_backs = 0;     // Sent: evictions, and lines that were not written for a while.
  uint64_t evictions = 0;
  uint64_t touches = 0;         // Lines at home that caches said they read: they stay for it.
  uint64_t expired = 0;
  uint64_t forgets = 0;         // Values lost with their owner, or with a home.
  uint64_t pushes = 0;          // Taken, as a home: writes of owners, before anybody saw them,
  uint64_t restored = 0;        // and values that were not lost with their owner for it.
  uint64_t sessions_over = 0;   // By the end of a lease, or worse.
  uint64_t ships_sent = 0;      // Commands that were to be run at their key's home,
  uint64_t ships_lost = 0;      // of which nobody knows whether they were,
  uint64_t ships_run = 0;       // those that were run here for caches,
  uint64_t ships_refused = 0;   // and those that were not: their caches asked for the line.
  uint64_t audits = 0;          // Lines that their home was asked about, and could say.
  uint64_t violations = 0;      // What may not be; 0.
};

}  // namespace lockstep::mesi
