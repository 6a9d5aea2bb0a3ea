// How often a cache that is too small finds what it is asked for: Lockstep's own table of lines
// (SIEVE, cluster/mesi/line_table.h) beside one that drops what was used least recently (LRU).
//
//     cache_hits requests keys exponent scan-every scan-keys lines
//
// Keys are drawn by Zipf's law; after every `scan-every` requests on average comes a walk over
// `scan-keys` that are asked for once (0: none). Both caches see the same requests and hold as many
// `lines`. In this process: neither nodes nor time have a part in it, and each run tells the same.
#include <cmath>
#include <cstdint>
#include <list>
#include <random>
#include <unordered_map>

#include "cluster/mesi/line_table.h"
#include "figures.h"

namespace {

struct Trace {
  size_t requests, keys;
  double exponent;
  size_t scan_every, scan_keys;
};

std::vector<uint64_t> Draw(const Trace& trace) {
  std::mt19937_64 dice(1);
  std::vector<double> weights;
  for (size_t rank = 1; rank <= trace.keys; ++rank) {
    weights.push_back(std::pow(static_cast<double>(rank), -trace.exponent));
  }
  std::discrete_distribution<uint64_t> key(weights.begin(), weights.end());
  std::vector<uint64_t> drawn;
  uint64_t scanned = trace.keys;
  while (drawn.size() < trace.requests) {
    drawn.push_back(key(dice));
    if (trace.scan_every == 0 || dice() % trace.scan_every != 0) continue;
    for (size_t i = 0; i < trace.scan_keys; ++i) drawn.push_back(scanned++);
  }
  return drawn;
}

class Lru {
 public:
  explicit Lru(size_t lines) : lines_(lines) {}

  bool Ask(uint64_t key) {
    if (const auto known = where_.find(key); known != where_.end()) {
      order_.splice(order_.begin(), order_, known->second);
      return true;
    }
    if (where_.size() == lines_) {
      where_.erase(order_.back());
      order_.pop_back();
    }
    order_.push_front(key);
    where_[key] = order_.begin();
    return false;
  }

 private:
  size_t lines_;
  std::list<uint64_t> order_;  // The latest first.
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> where_;
};

class Sieve {
 public:
  explicit Sieve(size_t lines) : lines_(lines) {}

  bool Ask(uint64_t number) {
    const std::string key = std::to_string(number);
    if (lockstep::mesi::Line* const line = table_.Find(key)) {
      table_.Touch(line);
      return true;
    }
    if (table_.size() == lines_) {
      // Twice around, since on the first all may have a second chance to use up.
      table_.Remove(table_.Victim(2 * lines_, [](const lockstep::mesi::Line&) { return true; }));
    }
    table_.Add(key);
    return false;
  }

 private:
  size_t lines_;
  lockstep::mesi::LineTable table_;
};

template <class Cache>
double HitRatioOf(size_t lines, const std::vector<uint64_t>& trace) {
  Cache cache(lines);
  size_t hits = 0;
  for (const uint64_t key : trace) hits += cache.Ask(key) ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) Fail("cache_hits requests keys exponent scan-every scan-keys lines");
  const std::vector<uint64_t> trace =
      Draw({std::stoul(argv[1]), std::stoul(argv[2]), std::stod(argv[3]), std::stoul(argv[4]),
            std::stoul(argv[5])});
  const size_t lines = std::stoul(argv[6]);
  std::printf("{\"sieve\": %.6f, \"lru\": %.6f}\n", HitRatioOf<Sieve>(lines, trace),
              HitRatioOf<Lru>(lines, trace));
  return 0;
}
