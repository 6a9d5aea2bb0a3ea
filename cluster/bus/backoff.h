// How long to wait before dialling a peer again.
//
// Doubles from 50 ms to 500 ms: a peer that restarts is found at once, one that is gone costs a few
// dials a second, and one whose cable is mended is there when it is needed for a majority.
// Half of each wait is drawn, so that nodes which lost a peer at the same moment do not all return
// at the same moment.
#pragma once

#include <algorithm>

#include "src/base/rng.h"
#include "src/base/time.h"

namespace lockstep::bus {

constexpr int64_t kBackoffFirstUs = 50 * kUsPerMs;
constexpr int64_t kBackoffMaxUs = 500 * kUsPerMs;

class Backoff {
 public:
  // `rng` stays the caller's.
  explicit Backoff(Rng* rng) : rng_(rng) {}

  // Microseconds to wait after one more failure: between half of the step and all of it.
  int64_t NextDelayUs() {
    const int64_t delay = rng_->Between(step_us_ / 2, step_us_);
    step_us_ = std::min(step_us_ * 2, kBackoffMaxUs);
    return delay;
  }

  // The peer has answered our hello. (A mere connect is not enough: what accepts and then refuses
  // would be dialled in a tight loop.)
  void Reset() { step_us_ = kBackoffFirstUs; }

 private:
  Rng* rng_;
  int64_t step_us_ = kBackoffFirstUs;
};

}  // namespace lockstep::bus
