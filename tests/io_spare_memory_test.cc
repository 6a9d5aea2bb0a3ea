// What the allocator keeps goes back to the system, measured in this process.
#include "src/io/spare_memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace lockstep::io {
namespace {

// Glibc's; a sanitizer has an allocator of its own, which this cannot judge.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

constexpr size_t kPieceBytes = 16 * 1024;
using Piece = std::unique_ptr<char[]>;

Piece Filled(size_t bytes) {
  Piece piece(new char[bytes]);
  std::fill_n(piece.get(), bytes, 'x');
  return piece;
}

TEST(SpareMemoryTest, WhatACrowdHasFreedGoesBackThoughOthersStandBetween) {
  SpareMemory spare;
  const size_t before = MeasureProcess().own_bytes;
  EXPECT_FALSE(spare.Look(MonoTime{1}, MeasureProcess()));

  std::vector<Piece> crowd;
  std::vector<Piece> others;  // Keep the heap from shrinking at its end.
  for (int i = 0; i < 4000; ++i) {
    crowd.push_back(Filled(kPieceBytes));
    others.push_back(Filled(64));
  }
  const MonoTime later{kUsPerSecond * 3600};
  EXPECT_FALSE(spare.Look(later, MeasureProcess()));  // All of it is in use.

  crowd.clear();
  EXPECT_GT(MeasureProcess().own_bytes, before + 4000 * kPieceBytes / 2);
  EXPECT_TRUE(spare.Look(later + 3600 * kUsPerSecond, MeasureProcess()));
  EXPECT_LT(MeasureProcess().own_bytes, before + 4000 * kPieceBytes / 4);
}

TEST(SpareMemoryTest, ItLooksAgainOnlyAfterAWhileAndOnlyAfterGrowth) {
  SpareMemory spare;
  const ProcessFigures huge{.own_bytes = size_t{1} << 40};  // As if nearly all of it were spare.
  ASSERT_TRUE(spare.Look(MonoTime{1}, huge));
  EXPECT_FALSE(spare.Look(MonoTime{2}, huge));
  EXPECT_FALSE(spare.Look(MonoTime{3600 * kUsPerSecond}, MeasureProcess()));
  EXPECT_TRUE(spare.Look(MonoTime{3600 * kUsPerSecond}, huge));
}

#endif

}  // namespace
}  // namespace lockstep::io
