// What the allocator keeps goes back to the system, measured in this process.
#include "src/io/spare_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace lockstep::io {
namespace {

constexpr size_t kPieceBytes = 16 * 1024;
using Piece = std::unique_ptr<char[]>;

Piece Filled(size_t bytes) {
  Piece piece(new char[bytes]);
  std::fill_n(piece.get(), bytes, 'x');
  return piece;
}

constexpr int64_t kHourUs = 3600 * kUsPerSecond;
constexpr size_t kPieces = 4000;

TEST(SpareMemoryPaceTest, HoweverMuchIsFreedNobodyLooksTwiceInASecond) {
  SpareMemory spare;
  const MonoTime now;
  std::vector<Piece> crowd;
  for (size_t i = 0; i < kPieces; ++i) crowd.push_back(Filled(kPieceBytes));
  spare.Look(now, MeasureProcess());
  crowd.clear();
  EXPECT_FALSE(spare.Look(now + kUsPerSecond, MeasureProcess()));
}

// How much goes back is glibc's; a sanitizer has an allocator of its own, which this cannot judge.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

// A crowd's pieces, each between two of others that keep the heap from shrinking at its end.
class SpareMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = MeasureProcess().own_bytes;
    for (size_t i = 0; i < kPieces; ++i) {
      crowd_.push_back(Filled(kPieceBytes));
      others_.push_back(Filled(64));
    }
  }
  // In all, of what the crowd took.
  double Held() const {
    const size_t now = MeasureProcess().own_bytes;
    return static_cast<double>(now - std::min(now, before_)) / (kPieces * kPieceBytes);
  }
  bool Look() {
    now_ = now_ + kHourUs;
    return spare_.Look(now_, MeasureProcess());
  }

  SpareMemory spare_;
  MonoTime now_;
  size_t before_ = 0;
  std::vector<Piece> crowd_;
  std::vector<Piece> others_;
};

TEST_F(SpareMemoryTest, WhatACrowdHasFreedGoesBackThoughOthersStandBetween) {
  EXPECT_FALSE(Look());  // All of it is in use.
  crowd_.clear();
  EXPECT_GT(Held(), 0.9);
  EXPECT_TRUE(Look());
  EXPECT_LT(Held(), 0.4);  // The pages at their ends are shared with others.
  EXPECT_FALSE(Look());  // What is left is scraps.
}

TEST_F(SpareMemoryTest, WhatIsFreedInTwoPartsGoesBackInTwo) {
  crowd_.resize(kPieces / 2);
  EXPECT_TRUE(Look());
  EXPECT_LT(Held(), 0.8);
  crowd_.clear();
  EXPECT_TRUE(Look());
  EXPECT_LT(Held(), 0.4);
}

#endif

}  // namespace
}  // namespace lockstep::io
