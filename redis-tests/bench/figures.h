// What a load generator measures, and the one line of JSON in which it tells.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;

inline double MillisecondsSince(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

// The bench that started us shows this line and stops: a figure from a run that went wrong is none.
[[noreturn]] inline void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

// How long things took, each of them: no histogram stands between the longest and the reader.
class Times {
 public:
  void Add(double milliseconds) { all_.push_back(static_cast<float>(milliseconds)); }
  size_t count() const { return all_.size(); }

  // `part` 0.5 is the median, 1 the longest.
  double At(double part) {
    if (all_.empty()) return 0;
    const auto last = static_cast<double>(all_.size() - 1);
    const auto place = all_.begin() + static_cast<std::ptrdiff_t>(part * last);
    std::nth_element(all_.begin(), place, all_.end());
    return static_cast<double>(*place);
  }

 private:
  std::vector<float> all_;
};

inline void Print(Times* times, size_t done, double seconds) {
  std::printf(
      "{\"done\": %zu, \"rate\": %.3f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, "
      "\"max_ms\": %.4f}\n",
      done, static_cast<double>(done) / seconds, times->At(0.5), times->At(0.99), times->At(1));
}
