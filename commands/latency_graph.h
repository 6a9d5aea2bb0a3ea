// LATENCY GRAPH: an event's samples as columns of characters, as Redis draws them (sparkline.c).
#pragma once

#include "commands/latency_monitor.h"

namespace lockstep {

// A heading, then four rows a line of 80 columns, under each column how long ago it was.
Bytes LatencyGraph(BytesView name, const LatencyMonitor::Event& event, int64_t unix_seconds);

}  // namespace lockstep
