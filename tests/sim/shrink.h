// From a seed that fails to the fewest faults and clients that still make it fail: halves are left
// out first, then quarters, at last single parts (Zeller & Hildebrandt's delta debugging, TSE 2002,
// less its tests of what is left out alone).
//
// A run with a part less goes another way from there on, so one that passes proves little: each
// candidate is tried with a few rolls of the dice before it is given up. What comes out fails for
// certain, under its own roll; that nothing less would, is likely and no more.
#pragma once

#include <functional>
#include <vector>

#include "tests/sim/plan.h"

namespace lockstep::sim {

// How a run under a plan has ended.
struct Ending {
  bool failed = false;
  Bytes what;                // Why.
  std::vector<Bytes> parts;  // Those that happened before that.
};

// What two failures of the same kind have in common: the first line, less names and numbers.
Bytes KindOf(const Bytes& what);

class Shrinker {
 public:
  using Try = std::function<Ending(const Plan&)>;
  using Progress = std::function<void(size_t runs, size_t left)>;
  // `enough` is asked before each run.
  Shrinker(Try try_it, std::function<bool(size_t runs)> enough, Progress progress)
      : try_(std::move(try_it)), enough_(std::move(enough)), progress_(std::move(progress)) {}

  // `first`: how the whole ended.
  Plan Shrink(const Plan& whole, const Ending& first);
  size_t runs() const { return runs_; }

 private:
  // Leaves out so many at a time, from the first to the last. False: all are needed.
  bool LeaveOut(size_t at_a_time);
  bool StillFails(const std::vector<Bytes>& parts);

  Try try_;
  std::function<bool(size_t runs)> enough_;
  Progress progress_;
  Bytes kind_;
  std::vector<Bytes> left_;
  uint64_t roll_ = 0;
  size_t runs_ = 0;
};

}  // namespace lockstep::sim
