#include "commands/latency_monitor.h"

#include <algorithm>

#include "src/base/check.h"

namespace lockstep {

void LatencyMonitor::Add(BytesView name, int64_t unix_seconds, int64_t us) {
  const int64_t ms = us / 1000;
  if (!enabled() || ms < threshold_ms_) return;
  CHECK(events_.size() <= kEventsMax);
  Event& event = events_[Bytes(name)];
  event.max_ms = std::max(event.max_ms, ms);
  if (!event.samples.empty() && event.samples.back().unix_seconds == unix_seconds) {
    event.samples.back().ms = std::max(event.samples.back().ms, ms);
    return;
  }
  event.samples.push_back({unix_seconds, ms});
  if (event.samples.size() > kSamplesMax) event.samples.pop_front();
}

bool LatencyMonitor::Reset(BytesView event) {
  const auto at = events_.find(event);
  if (at == events_.end()) return false;
  events_.erase(at);
  return true;
}

size_t LatencyMonitor::ResetAll() {
  const size_t count = events_.size();
  events_.clear();
  return count;
}

}  // namespace lockstep
