// The queue that uses its memory again, beside std::deque.
#include "src/base/ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "src/base/rng.h"

namespace lockstep {
namespace {

TEST(Ring, DoesWhatAQueueDoes) {
  Rng rng(1);
  Ring<uint64_t> ring;
  std::deque<uint64_t> expected;
  for (uint64_t i = 0; i < 100'000; ++i) {
    // In waves, so that it grows, wraps around, empties and shrinks.
    const bool more = rng.Below(100) < (i / 500 % 2 == 0 ? 60U : 40U);
    if (more || expected.empty()) {
      ring.push_back(i);
      expected.push_back(i);
    } else {
      ring.pop_front();
      expected.pop_front();
    }
    ASSERT_EQ(ring.size(), expected.size());
    if (expected.empty()) continue;
    const size_t at = rng.Below(expected.size());
    ASSERT_EQ(ring[at], expected[at]);
    ASSERT_EQ(ring.front(), expected.front());
    ASSERT_EQ(ring.back(), expected.back());
  }
}

TEST(Ring, WhatHasLeftItIsDestroyedAtOnce) {
  const auto counted = std::make_shared<int>();
  Ring<std::shared_ptr<int>> ring;
  for (int i = 0; i < 100; ++i) ring.push_back(counted);
  EXPECT_EQ(counted.use_count(), 101);
  for (int i = 0; i < 40; ++i) ring.pop_front();
  EXPECT_EQ(counted.use_count(), 61);
  while (!ring.empty()) ring.pop_front();
  EXPECT_EQ(counted.use_count(), 1);
}

}  // namespace
}  // namespace lockstep
