// Shrinking: from a seed that fails to the parts that it takes.
#include <gtest/gtest.h>

#include "tests/sim/run.h"
#include "tests/sim/shrink.h"

namespace lockstep::sim {
namespace {

Plan ShrinkWith(Shrinker::Try try_it, const Plan& whole, const Ending& first,
                size_t runs_max = 1000) {
  Shrinker shrinker(std::move(try_it), [=](size_t runs) { return runs >= runs_max; },
                    [](size_t, size_t) {});
  return shrinker.Shrink(whole, first);
}

TEST(PlanTest, ReadsWhatItWrites) {
  EXPECT_EQ(Text(PlanOf({"f7", "a2", "drop"}, 0)), "a2,drop,f7");
  EXPECT_EQ(Text(ParsePlan("r2,a2,drop,f7")), "r2,a2,drop,f7");
  EXPECT_EQ(ParsePlan("r2,repeat").roll, 2u);
  EXPECT_TRUE(ParsePlan("r2,repeat").Has("repeat"));
  EXPECT_FALSE(ParsePlan("r2,repeat").Has("reorder"));
  EXPECT_FALSE(ParsePlan(Text(PlanOf({}, 0))).Has("f1"));
  EXPECT_TRUE(ParsePlan("all").Has("f1"));
}

TEST(FailureKindTest, NamesAndNumbersMakeNoOtherKind) {
  EXPECT_EQ(KindOf("node 3 differs in 'c1' at 17: first\nmore"),
            KindOf("node 2 differs in 'd 2' at 9: first\nother"));
  EXPECT_NE(KindOf("node 3 differs"), KindOf("node 3 does not start"));
  EXPECT_NE(KindOf("src/a.cc:12: CHECK(x)"), KindOf("src/a.cc:13: CHECK(x)"));
}

class ShrinkerTest : public testing::Test {
 protected:
  ShrinkerTest() {
    for (int i = 1; i <= 40; ++i) first_.parts.push_back("f" + std::to_string(i));
    first_.failed = true;
    first_.what = "node 1 is wrong";
  }
  Ending EndingOf(const Plan& plan, bool failed, const Bytes& what = "node 2 is wrong") const {
    Ending ending;
    ending.failed = failed;
    ending.what = what;
    for (const Bytes& part : first_.parts) {
      if (plan.Has(part)) ending.parts.push_back(part);
    }
    return ending;
  }
  Ending first_;
};

TEST_F(ShrinkerTest, LeavesExactlyWhatTheFailureTakes) {
  const auto takes_two = [this](const Plan& plan) {
    return EndingOf(plan, plan.Has("f3") && plan.Has("f29"));
  };
  EXPECT_EQ(Text(ShrinkWith(takes_two, {}, first_)), "f29,f3");
}

TEST_F(ShrinkerTest, LeavesNothingIfNothingIsNeeded) {
  const auto always = [this](const Plan& plan) { return EndingOf(plan, true); };
  EXPECT_EQ(Text(ShrinkWith(always, {}, first_)), "none");
}

TEST_F(ShrinkerTest, DoesNotFollowAnotherFailure) {
  const auto other_if_less = [this](const Plan& plan) {
    const bool same = plan.Has("f5") && plan.Has("f6");
    return EndingOf(plan, true, same ? "node 9 is wrong" : "no answer");
  };
  EXPECT_EQ(Text(ShrinkWith(other_if_less, {}, first_)), "f5,f6");
}

TEST_F(ShrinkerTest, TriesAnotherRollBeforeItGivesUp) {
  const auto on_second_roll = [this](const Plan& plan) {
    return EndingOf(plan, plan.Has("f8") && (plan.all || plan.roll == 1));
  };
  EXPECT_EQ(Text(ShrinkWith(on_second_roll, {}, first_)), "r1,f8");
}

TEST_F(ShrinkerTest, ForgetsWhatWouldHaveComeAfterTheFailure) {
  const auto ends_early = [this](const Plan& plan) {
    Ending ending = EndingOf(plan, plan.Has("f2"));
    if (ending.failed) ending.parts = {"f2"};
    return ending;
  };
  EXPECT_EQ(Text(ShrinkWith(ends_early, {}, first_)), "f2");
}

TEST_F(ShrinkerTest, StopsWhenThereWereEnoughRuns) {
  size_t runs = 0;
  const auto counting = [&](const Plan& plan) {
    ++runs;
    return EndingOf(plan, plan.Has("f3") && plan.Has("f29"));
  };
  const Plan plan = ShrinkWith(counting, {}, first_, 5);
  EXPECT_EQ(runs, 5u);
  EXPECT_TRUE(plan.Has("f3"));
  EXPECT_TRUE(plan.Has("f29"));
}

// Whole simulations ------------------------------------------------------------------------------

// A bug that shows once a link was reset and somebody's clock has jumped.
Ending RunWithPlantedBug(uint64_t seed, const Plan& plan) {
  sim::Run run(seed, false, plan);
  Ending ending = run.GoToTheEnd();
  const Counters& counters = run.world().counters();
  if (ending.failed || counters[Count::kLinkResets] == 0) return ending;
  if (counters[Count::kClockJumps] == 0) return ending;
  ending.failed = true;
  ending.what = Format("%lu links were reset", counters[Count::kLinkResets]);
  return ending;
}

// The first seed that draws both, and not for long.
uint64_t SeedWithBoth() {
  for (uint64_t seed = 1;; ++seed) {
    const Swarm swarm(seed);
    const auto weight = [&](Fault fault) { return swarm.fault_weight[static_cast<size_t>(fault)]; };
    const bool both = weight(Fault::kLinkReset) > 0 && weight(Fault::kClockJump) > 0;
    const bool often = swarm.fault_every_ms > 0 && swarm.fault_every_ms <= 600;
    if (!both || !often || swarm.nodes == 1 || swarm.safety_ms > 7000) continue;
    if (RunWithPlantedBug(seed, {}).failed) return seed;
  }
}

TEST(ShrinkRunTest, OfAWholeRunThoseTwoFaultsAreLeft) {
  const uint64_t seed = SeedWithBoth();
  const auto try_it = [seed](const Plan& plan) { return RunWithPlantedBug(seed, plan); };
  const Ending first = try_it({});
  ASSERT_TRUE(first.failed);
  ASSERT_GT(first.parts.size(), 5u);

  const Plan plan = ShrinkWith(try_it, {}, first);

  EXPECT_EQ(plan.kept.size(), 2u) << Text(plan);
  sim::Run again(seed, false, ParsePlan(Text(plan)));
  EXPECT_FALSE(again.GoToTheEnd().failed);
  EXPECT_EQ(again.world().counters()[Count::kLinkResets], 1u);
  EXPECT_EQ(again.world().counters()[Count::kClockJumps], 1u);
}

TEST(ShrinkRunTest, APlanOfAllPartsIsTheWholeRun) {
  sim::Run whole(3, false);
  ASSERT_FALSE(whole.GoToTheEnd().failed);
  sim::Run again(3, false, PlanOf(whole.world().parts(), 0));
  ASSERT_FALSE(again.GoToTheEnd().failed);
  EXPECT_EQ(whole.world().story_hash(), again.world().story_hash());
}

}  // namespace
}  // namespace lockstep::sim
