#include "commands/slowlog.h"

namespace lockstep {
namespace {

constexpr size_t kArgumentsMax = 32;
constexpr size_t kArgumentBytesMax = 128;

// As much of an argument as is kept, and how much more there was, in Redis's words.
Bytes Trimmed(BytesView argument) {
  if (argument.size() <= kArgumentBytesMax) return Bytes(argument);
  const size_t more = argument.size() - kArgumentBytesMax;
  return Bytes(argument.substr(0, kArgumentBytesMax)) + "... (" + std::to_string(more) +
         " more bytes)";
}

}  // namespace

void Slowlog::Configure(int64_t threshold_us, size_t max) {
  threshold_us_ = threshold_us;
  max_ = max;
  while (entries_.size() > max_) entries_.pop_back();
}

void Slowlog::Add(int64_t unix_seconds, int64_t us, std::span<const BytesView> argv,
                  BytesView address, BytesView name) {
  if (max_ == 0) return;
  Entry entry;
  entry.id = next_id_++;
  entry.unix_seconds = unix_seconds;
  entry.us = us;
  const bool too_many = argv.size() > kArgumentsMax;
  const size_t shown = too_many ? kArgumentsMax - 1 : argv.size();
  for (const BytesView argument : argv.first(shown)) entry.args.push_back(Trimmed(argument));
  if (too_many) {
    entry.args.push_back("... (" + std::to_string(argv.size() - shown) + " more arguments)");
  }
  entry.address = address;
  entry.name = name;
  entries_.push_front(std::move(entry));
  if (entries_.size() > max_) entries_.pop_back();
}

}  // namespace lockstep
