// Two clocks that must not be mixed up.
//
// MonoTime is this node's own monotonic clock, for timeouts between nodes; it means nothing to any
// other node. ClusterTime is data: a group's leader stamps it on each log entry, and every lease,
// wait and delay of the replicated machines ends by it. No wall clock decides anything.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace lockstep {

struct MonoTime {
  int64_t us = 0;
  auto operator<=>(const MonoTime&) const = default;
};
constexpr MonoTime operator+(MonoTime t, int64_t us) { return {t.us + us}; }
constexpr int64_t operator-(MonoTime a, MonoTime b) { return a.us - b.us; }  // Microseconds.

struct ClusterTime {
  int64_t ms = 0;
  auto operator<=>(const ClusterTime&) const = default;
};
constexpr ClusterTime operator+(ClusterTime t, int64_t ms) { return {t.ms + ms}; }
constexpr int64_t operator-(ClusterTime a, ClusterTime b) { return a.ms - b.ms; }  // Milliseconds.

constexpr MonoTime kNeverMono{std::numeric_limits<int64_t>::max()};
constexpr ClusterTime kNeverCluster{std::numeric_limits<int64_t>::max()};
constexpr int64_t kUsPerMs = 1000;
constexpr int64_t kUsPerSecond = 1'000'000;

}  // namespace lockstep
