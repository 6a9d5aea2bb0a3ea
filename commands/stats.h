// What the node counts about commands: calls, time, failures, a histogram each; and errors by code.
// Feeds INFO commandstats, latencystats, errorstats, LATENCY HISTOGRAM and the metrics page.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep {

// Log-linear buckets: 16 per power of two, so a quantile is within 6 %. Microseconds, up to 2^40.
class Histogram {
 public:
  void Add(uint64_t us, uint64_t times = 1);
  uint64_t count() const { return count_; }
  uint64_t sum() const { return sum_; }
  uint64_t Quantile(double q) const;  // Upper edge of the bucket; 0 if empty.
  uint64_t CountAtMost(uint64_t us) const;  // For powers of two, exact.
  void Clear() { *this = Histogram(); }

 private:
  static size_t BucketOf(uint64_t us);
  std::vector<uint64_t> buckets_;  // Grows to the highest bucket used.
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
};

class Stats {
 public:
  struct PerCommand {
    uint64_t calls = 0;
    uint64_t usec = 0;
    uint64_t rejected = 0;  // Before running: arity, auth, ...
    uint64_t failed = 0;    // Answered an error.
    Histogram latency;  // From whole command read to reply, waits included only if not blocking.
  };
  PerCommand& Of(size_t leaf_number);
  const std::vector<PerCommand>& commands() const { return commands_; }
  void CountError(BytesView reply_text);  // By its first word; at most 128 of them, then "OTHER".
  const std::map<Bytes, uint64_t, std::less<>>& errors() const { return errors_; }
  uint64_t total_errors() const;
  void Reset();

  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t commands_processed = 0;
  uint64_t net_input_bytes = 0;
  uint64_t net_output_bytes = 0;
  uint64_t query_buffer_disconnections = 0;
  uint64_t output_buffer_disconnections = 0;
  uint64_t auth_denied = 0;
  uint64_t forwarded = 0;         // Requests sent to another node.
  uint64_t resent = 0;            // Of these, sent again after a change of leader.
  uint64_t published = 0;
  // Commands a second: sampled by the node, mean of the last 16 samples as in Redis.
  void Sample(int64_t now_us);
  uint64_t ops_per_second() const;

 private:
  std::vector<PerCommand> commands_;
  std::map<Bytes, uint64_t, std::less<>> errors_;
  std::array<uint64_t, 16> samples_{};
  size_t next_sample_ = 0;
  int64_t sampled_at_us_ = 0;
  uint64_t sampled_commands_ = 0;
};

}  // namespace lockstep
