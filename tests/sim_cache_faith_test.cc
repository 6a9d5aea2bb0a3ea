// What the cache rests on it does rest on: without it, the simulator sees that something is wrong.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/sim/run.h"

namespace lockstep::sim {
namespace {

// Of so many seeds one is to show it.
constexpr uint64_t kSeeds = 150;

// Runs that fail are left standing: what is broken is not taken apart.
Ending EndOf(uint64_t seed, const Plan& plan) {
  static std::vector<std::unique_ptr<Run>>* const kFailed = new std::vector<std::unique_ptr<Run>>;
  auto run = std::make_unique<Run>(seed, false, plan);
  Ending ending = run->GoToTheEnd();
  if (ending.failed) kFailed->push_back(std::move(run));
  return ending;
}

// The first run that fails, with what it says; 0: none does.
uint64_t FirstToFail(const Plan& plan, BytesView says) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Ending ending = EndOf(seed, plan);
    if (ending.failed && ending.what.find(says) != Bytes::npos) return seed;
  }
  return 0;
}

TEST(TheFaithOfTheCache, ThatClocksGoAboutAlikeIsNeeded) {
  Plan plan;
  plan.clock_ppm = 200'000;
  const uint64_t seed = FirstToFail(plan, " may write");
  ASSERT_NE(seed, 0u);
  EXPECT_FALSE(EndOf(seed, {}).failed);
}

}  // namespace
}  // namespace lockstep::sim
