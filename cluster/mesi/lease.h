// How long who may show what (Gray & Cheriton, SOSP 1989). Only clock rates matter: a cache counts
// from when it asked, its home from when it granted, and a little longer; so the cache always
// stops first.
#pragma once

#include "src/base/time.h"

namespace lockstep::mesi {

struct LeaseTimes {
  int64_t cache_us = 2 * kUsPerSecond;  // What a home grants to a cache.
  // How long a home is one after a majority of its shard has heard it lead. Its successor waits as
  // long, since it may have been elected the moment after.
  int64_t home_us = 500 * kUsPerMs;
  int64_t drift_ppm = 20'000;           // By which two clocks' rates may differ: each by 1 %.
  int64_t slack_us = 5 * kUsPerMs;

  // What `us` by the other's clock may take by ours, with some to spare.
  int64_t Outlasts(int64_t us) const { return us + us / 1'000'000 * drift_ppm +
                                              us % 1'000'000 * drift_ppm / 1'000'000 + slack_us; }
  // What of `us` by the other's clock is surely not over by ours.
  int64_t Within(int64_t us) const { return us - (Outlasts(us) - us - slack_us); }
};

}  // namespace lockstep::mesi
