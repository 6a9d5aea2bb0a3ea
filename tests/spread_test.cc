// Where the messages of a queue with several partitions belong, what a node learns of that, and
// what several places answer together.
#include "commands/spread.h"

#include <gtest/gtest.h>

#include "commands/queue_tasks.h"

namespace lockstep {
namespace {

// What moves when a place is added goes to the new one, and is its share.
TEST(SpreadTest, AGrowthMovesNoMoreThanItMust) {
  constexpr int kGroups = 20'000;
  for (uint32_t places = 1; places < 20; ++places) {
    int moved = 0;
    for (int i = 0; i < kGroups; ++i) {
      const Bytes group = "group" + std::to_string(i);
      const uint32_t before = PlaceOfGroup(group, places);
      const uint32_t after = PlaceOfGroup(group, places + 1);
      ASSERT_LT(before, places);
      if (before == after) continue;
      ASSERT_EQ(after, places);
      ++moved;
    }
    const int share = kGroups / static_cast<int>(places + 1);
    EXPECT_NEAR(moved, share, share / 5 + 100) << places;
  }
}

TEST(SpreadTest, WhatIsDamagedIsNotLearned) {
  Spread spread;
  spread.queue = "q";
  spread.version = 7;
  spread.options.partitions = 4;
  const Bytes sound = spread.Encode();
  EXPECT_EQ(DecodeSpread(sound), spread);
  Spreads spreads;
  for (size_t i = 0; i < sound.size(); ++i) {
    EXPECT_EQ(spreads.Learn(BytesView(sound).substr(0, i)), nullptr);
  }
  ASSERT_NE(spreads.Learn(sound), nullptr);
  spread.version = 6;
  EXPECT_EQ(spreads.Learn(spread.Encode()), nullptr) << "older";
  EXPECT_EQ(spreads.Find("q")->spread.version, 7U);
}

// Receipts, or ids, in several places.
TEST(GatherTest, OfTwoErrorsTheOneThatLeavesMoreOpenIsTold) {
  const Reply no = Reply::Error("TRYAGAIN", "an election; nothing was changed");
  const Reply maybe = Reply::Error("UNCERTAIN", "it may have been done");
  for (const size_t first : {0u, 1u}) {
    auto task = MakeSumTask(
        {{.group = ShardGroup(0), .op = "a"}, {.group = ShardGroup(1), .op = "b"}});
    Task::Next next;
    ASSERT_FALSE(task->Begin(&next).has_value());
    EXPECT_FALSE(task->OnReply(first, no, &next).has_value());
    EXPECT_EQ(task->OnReply(1 - first, maybe, &next), maybe);
  }
}

}  // namespace
}  // namespace lockstep
