// Moments in which something took long, by kind of event, as Redis's LATENCY keeps them: a command
// ("command"), a disk sync ("disk-sync"), a turn of the loop ("loop"). Off unless
// latency-monitor-threshold is set.
#pragma once

#include <deque>
#include <map>

#include "src/base/bytes.h"

namespace lockstep {

class LatencyMonitor {
 public:
  static constexpr size_t kSamplesMax = 160;  // Of one event.
  static constexpr size_t kEventsMax = 32;    // Named by our own code, so this is never reached.

  struct Sample {
    int64_t unix_seconds = 0;
    int64_t ms = 0;
  };
  struct Event {
    std::deque<Sample> samples;  // Oldest first.
    int64_t max_ms = 0;          // Since the last RESET.
  };
  void Configure(int64_t threshold_ms) { threshold_ms_ = threshold_ms; }
  bool enabled() const { return threshold_ms_ > 0; }
  // Keeps it if it is long enough. Of one second only the worst is kept.
  void Add(BytesView event, int64_t unix_seconds, int64_t us);

  const std::map<Bytes, Event, std::less<>>& events() const { return events_; }
  bool Reset(BytesView event);  // False: there is none.
  size_t ResetAll();            // How many there were.

 private:
  int64_t threshold_ms_ = 0;
  std::map<Bytes, Event, std::less<>> events_;
};

}  // namespace lockstep
