// What the cache rests on it does rest on: without it, the simulator sees that something is wrong.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/sim/run.h"

namespace lockstep::sim {
namespace {

constexpr uint64_t kSeedOfClocks = 10;
constexpr uint64_t kSeedOfAnswers = 56;

// Runs that fail are left standing: what is broken is not taken apart.
Ending EndOf(uint64_t seed, const Plan& plan) {
  static std::vector<std::unique_ptr<Run>>* const kRuns = new std::vector<std::unique_ptr<Run>>;
  kRuns->push_back(std::make_unique<Run>(seed, false, plan));
  return kRuns->back()->GoToTheEnd();
}

TEST(TheFaithOfTheCache, ThatClocksGoAboutAlikeIsNeeded) {
  EXPECT_FALSE(EndOf(kSeedOfClocks, {}).failed);
  Plan plan;
  plan.clock_ppm = 200'000;
  const Ending ending = EndOf(kSeedOfClocks, plan);
  EXPECT_TRUE(ending.failed);
  EXPECT_NE(ending.what.find("node 1 may write"), Bytes::npos) << ending.what;
}

TEST(TheFaithOfTheCache, ThatTheLeaseIsLookedAtBeforeAnAnswerLeavesIsNeeded) {
  Plan plan;
  plan.late_clients = true;
  const Ending looked = EndOf(kSeedOfAnswers, plan);
  EXPECT_FALSE(looked.failed) << looked.what;
  plan.ignores_valid_until = true;
  const Ending ending = EndOf(kSeedOfAnswers, plan);
  EXPECT_TRUE(ending.failed);
  EXPECT_NE(ending.what.find("of the cache: nothing explains"), Bytes::npos) << ending.what;
}

}  // namespace
}  // namespace lockstep::sim
