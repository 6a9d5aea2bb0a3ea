#include "commands/queue_options.h"

#include "src/base/limits.h"

namespace lockstep {
namespace {

using Options = QueueOptions;

constexpr const char* kDeadWords[] = {"keep", "drop"};
constexpr const char* kOverflowWords[] = {"refuse", "drop-oldest"};
constexpr const char* kDurabilityWords[] = {"fsync"};
constexpr int64_t kManyMax = 1'000'000'000;
constexpr int64_t kRateMax = 1'000'000;
constexpr int64_t kBytesMax = int64_t{1} << 50;

constexpr QueueOption kOptions[] = {
    {"lease", &Options::lease_ms, 1, kTtlMsMax, {}},
    {"retry", &Options::retry, 1, kRetryMax, {}},
    {"backoff-base", &Options::backoff_base_ms, 0, kTtlMsMax, {}},
    {"backoff-max", &Options::backoff_max_ms, 0, kDelayMsMax, {}},
    {"backoff-factor", &Options::backoff_factor, 1, 100, {}},
    {"backoff-jitter", &Options::backoff_jitter, 0, 100, {}},
    {"dead", &Options::drop_dead, 0, 1, kDeadWords},
    {"maxlen", &Options::maxlen, 0, kManyMax, {}},
    {"maxbytes", &Options::maxbytes, 0, kBytesMax, {}},
    {"overflow", &Options::drop_oldest, 0, 1, kOverflowWords},
    {"ttl", &Options::ttl_ms, 0, kDelayMsMax, {}},
    {"dedup-window", &Options::dedup_window_ms, 0, kTtlMsMax, {}},
    {"group-concurrency", &Options::group_concurrency, 1, 64, {}},
    {"concurrency", &Options::concurrency, 0, kManyMax, {}},
    {"partitions", &Options::partitions, 1, kPartitionsMax, {}},
    {"rate", &Options::rate, 0, kRateMax, {}},
    {"durability", &Options::durability, 0, 0, kDurabilityWords,
     ": what was answered is never lost, all queues share one synced write a turn"},
};

}  // namespace

std::span<const QueueOption> AllQueueOptions() { return kOptions; }

size_t FindQueueOption(BytesView name) {
  size_t i = 0;
  while (i < std::size(kOptions) && !EqualsIgnoreCase(name, kOptions[i].name)) ++i;
  return i;
}

size_t PartitionsOption() { return FindQueueOption("partitions"); }

}  // namespace lockstep
