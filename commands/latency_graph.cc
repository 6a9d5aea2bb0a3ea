#include "commands/latency_graph.h"

#include <algorithm>
#include <cinttypes>
#include <vector>

namespace lockstep {
namespace {

constexpr size_t kColumns = 80;
constexpr int kRows = 4;
constexpr BytesView kLevels = "_o#";  // Of one row; what goes on above is a '|'.
constexpr int kSteps = kRows * static_cast<int>(kLevels.size());

struct Column {
  int step = 0;  // 0 to kSteps - 1.
  Bytes label;
};

Bytes AgeLabel(int64_t seconds) {
  if (seconds < 60) return Format("%" PRId64 "s", seconds);
  if (seconds < 3600) return Format("%" PRId64 "m", seconds / 60);
  if (seconds < 24 * 3600) return Format("%" PRId64 "h", seconds / 3600);
  return Format("%" PRId64 "d", seconds / (24 * 3600));
}

// What a column of height `step` shows in the row whose lowest level is `floor`.
char CharacterAt(int step, int floor) {
  const int level = step - floor;
  if (level < 0) return ' ';
  return level < static_cast<int>(kLevels.size()) ? kLevels[static_cast<size_t>(level)] : '|';
}

// One line of columns: the rows from the top, a blank one, the labels from top to bottom.
void Draw(const Column* begin, const Column* end, Bytes* out) {
  size_t label_rows = 0;
  for (const Column* at = begin; at != end; ++at) {
    label_rows = std::max(label_rows, at->label.size());
  }
  for (int row = kRows - 1; row >= 0; --row) {
    const int floor = row * static_cast<int>(kLevels.size());
    for (const Column* at = begin; at != end; ++at) *out += CharacterAt(at->step, floor);
    *out += '\n';
  }
  *out += Bytes(static_cast<size_t>(end - begin), ' ') + '\n';
  for (size_t row = 0; row < label_rows; ++row) {
    for (const Column* at = begin; at != end; ++at) {
      *out += row < at->label.size() ? at->label[row] : ' ';
    }
    *out += '\n';
  }
}

}  // namespace

Bytes LatencyGraph(BytesView name, const LatencyMonitor::Event& event, int64_t unix_seconds) {
  int64_t low = 0;
  int64_t high = 0;
  for (const LatencyMonitor::Sample& sample : event.samples) {
    const bool first = &sample == &event.samples.front();
    low = first ? sample.ms : std::min(low, sample.ms);
    high = std::max(high, sample.ms);
  }
  const int64_t range = std::max<int64_t>(1, high - low);
  std::vector<Column> columns;
  for (const LatencyMonitor::Sample& sample : event.samples) {
    const int64_t step = std::min<int64_t>(kSteps - 1, (sample.ms - low) * kSteps / range);
    columns.push_back({static_cast<int>(step), AgeLabel(unix_seconds - sample.unix_seconds)});
  }

  Bytes out(name);
  out += Format(" - high %" PRId64 " ms, low %" PRId64 " ms (all time high %" PRId64 " ms)\n", high,
                low, event.max_ms);
  out += Bytes(kColumns, '-') + '\n';
  for (size_t at = 0; at < columns.size(); at += kColumns) {
    if (at != 0) out += '\n';
    const Column* begin = columns.data() + at;
    Draw(begin, begin + std::min(kColumns, columns.size() - at), &out);
  }
  return out;
}

}  // namespace lockstep
