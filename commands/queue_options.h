// What DQ.SET sets: the options of one queue, as a table of names and bounds.
#pragma once

#include <span>

#include "src/base/bytes.h"

namespace lockstep {

struct QueueOptions {
  int64_t lease_ms = 30'000;
  int64_t retry = 16;  // After so many failures a message is dead.
  int64_t backoff_base_ms = 1'000;
  int64_t backoff_max_ms = 600'000;
  int64_t backoff_factor = 2;
  int64_t backoff_jitter = 20;  // Percent, to either side.
  int64_t drop_dead = 0;        // 1: a message that would be dead is gone.
  int64_t maxlen = 0;           // Ready, delayed and leased messages; 0: no limit, as below.
  int64_t maxbytes = 0;         // Of their bodies.
  int64_t drop_oldest = 0;      // 1: over a limit the oldest that is not leased makes room.
  int64_t ttl_ms = 0;
  int64_t dedup_window_ms = 300'000;
  int64_t group_concurrency = 1;
  int64_t concurrency = 0;      // Leased at a time.
  int64_t partitions = 1;       // It only grows. Each has its part of the limits.
  int64_t rate = 0;             // Delivered in a second.
  int64_t durability = 0;       // 0, fsync: an answered push is on a majority of disks.
  bool operator==(const QueueOptions&) const = default;
};

struct QueueOption {
  const char* name;
  int64_t QueueOptions::*field;
  int64_t low = 0;
  int64_t high = 0;
  std::span<const char* const> words;  // If it takes words: what 0, 1, ... are called;
  const char* why = "";                // and behind that in an error.
};

// Its number in here stands in logs: new ones come at the end.
std::span<const QueueOption> AllQueueOptions();
// The number of the option of that name, in any case; none: as many as there are.
size_t FindQueueOption(BytesView name);
// Of `partitions`.
size_t PartitionsOption();

}  // namespace lockstep
