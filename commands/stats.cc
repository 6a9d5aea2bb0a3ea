#include "commands/stats.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lockstep {
namespace {

constexpr unsigned kStepBits = 4;  // 16 buckets per power of two.
constexpr uint64_t kSteps = uint64_t{1} << kStepBits;
constexpr uint64_t kLatencyUsMax = uint64_t{1} << 40;  // Twelve days.
constexpr size_t kErrorCodesMax = 128;
constexpr size_t kErrorCodeBytesMax = 64;

// The longest value, in microseconds, that falls into this bucket.
uint64_t UpperEdge(size_t bucket) {
  if (bucket < kSteps) return bucket + 1;
  const auto shift = static_cast<unsigned>(bucket / kSteps) - 1;
  return (kSteps + bucket % kSteps + 1) << shift;
}

}  // namespace

// Buckets are of us - 1, so that their upper edges, and not their lower ones, are the powers of
// two: that makes CountAtMost exact there.
size_t Histogram::BucketOf(uint64_t us) {
  const uint64_t v = std::min(std::max<uint64_t>(us, 1), kLatencyUsMax) - 1;
  if (v < kSteps) return static_cast<size_t>(v);
  const auto shift = static_cast<unsigned>(std::bit_width(v)) - 1 - kStepBits;
  return static_cast<size_t>((shift + 1) * kSteps + ((v >> shift) - kSteps));
}

void Histogram::Add(uint64_t us, uint64_t times) {
  const size_t bucket = BucketOf(us);
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  buckets_[bucket] += times;
  count_ += times;
  sum_ += us * times;
}

uint64_t Histogram::Quantile(double q) const {
  if (count_ == 0) return 0;
  const double rank = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
  const uint64_t wanted = std::clamp<uint64_t>(static_cast<uint64_t>(rank), 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return UpperEdge(i);
  }
  return UpperEdge(buckets_.size() - 1);
}

uint64_t Histogram::CountAtMost(uint64_t us) const {
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size() && UpperEdge(i) <= us; ++i) seen += buckets_[i];
  return seen;
}

Stats::PerCommand& Stats::Of(size_t leaf_number) {
  if (leaf_number >= commands_.size()) commands_.resize(leaf_number + 1);
  return commands_[leaf_number];
}

void Stats::CountError(BytesView reply_text) {
  const BytesView code = reply_text.substr(0, std::min(reply_text.find(' '), kErrorCodeBytesMax));
  const auto at = errors_.find(code);
  if (at != errors_.end()) {
    ++at->second;
  } else if (errors_.size() < kErrorCodesMax) {
    errors_.emplace(code, 1);
  } else {
    // DEBUG ERROR lets a client make codes up: they must not fill the memory.
    ++errors_["OTHER"];
  }
}

uint64_t Stats::total_errors() const {
  uint64_t total = 0;
  for (const auto& [code, count] : errors_) total += count;
  return total;
}

void Stats::Reset() {
  *this = Stats();
}

void Stats::Sample(int64_t now_us) {
  const int64_t elapsed_us = now_us - sampled_at_us_;
  if (elapsed_us <= 0) return;
  const bool first = sampled_at_us_ == 0;
  const uint64_t commands = commands_processed - std::min(commands_processed, sampled_commands_);
  sampled_at_us_ = now_us;
  sampled_commands_ = commands_processed;
  if (first) return;  // There is no span to divide by yet.
  samples_[next_sample_] = commands * 1'000'000 / static_cast<uint64_t>(elapsed_us);
  next_sample_ = (next_sample_ + 1) % samples_.size();
}

uint64_t Stats::ops_per_second() const {
  uint64_t sum = 0;
  for (const uint64_t sample : samples_) sum += sample;
  return sum / samples_.size();
}

}  // namespace lockstep
