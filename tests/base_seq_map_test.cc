// The map of requests under way, beside std::map.
#include "src/base/seq_map.h"

#include <gtest/gtest.h>

#include "src/base/rng.h"

namespace lockstep {
namespace {

// The same walk and the same values.
void ExpectEqual(const SeqMap<int>& map, const std::map<uint64_t, int>& expected) {
  ASSERT_EQ(map.size(), expected.size());
  uint64_t seq = map.first();
  for (const auto& [key, value] : expected) {
    ASSERT_EQ(seq, key);
    ASSERT_EQ(map.At(key), value);
    seq = map.FirstFrom(seq + 1);
  }
  ASSERT_EQ(seq, kNoSeq);
}

TEST(SeqMap, IsEmptyAtFirstAndAfterItsLastIsGone) {
  SeqMap<int> map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.first(), kNoSeq);
  EXPECT_EQ(map.Find(0), nullptr);
  map.Add(7, 70);
  EXPECT_EQ(map.first(), 7U);
  EXPECT_EQ(map.Find(6), nullptr);
  EXPECT_EQ(map.Find(8), nullptr);
  map.Remove(7);
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.Find(7), nullptr);
}

TEST(SeqMap, OneThatStaysForLongDoesNotHoldTheOthers) {
  SeqMap<int> map;
  map.Add(1, 1);
  for (uint64_t seq = 2; seq < 1'000'000; ++seq) {
    map.Add(seq, 0);
    map.Remove(seq);
  }
  EXPECT_EQ(map.At(1), 1);
  EXPECT_EQ(map.first(), 1U);
  map.Add(1'000'000, 2);
  EXPECT_EQ(map.FirstFrom(2), 1'000'000U);
}

TEST(SeqMap, TakesNumbersFarApartAndOutOfOrder) {
  SeqMap<int> map;
  map.Add(1'000'000'000'000, 3);
  map.Add(5, 1);
  map.Add(1'000'000'000'001, 4);
  map.Add(500, 2);
  map.Add(kNoSeq - 1, 5);
  ExpectEqual(map, {{5, 1},
                    {500, 2},
                    {1'000'000'000'000, 3},
                    {1'000'000'000'001, 4},
                    {kNoSeq - 1, 5}});
}

TEST(SeqMap, DoesWhatAMapDoes) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    SeqMap<int> map;
    std::map<uint64_t, int> expected;
    uint64_t next = rng.Below(100);
    const uint64_t alive = 1 + rng.Below(200);
    for (int i = 0; i < 5'000; ++i) {
      const bool add = expected.empty() || (expected.size() < alive && rng.Below(10) < 6);
      if (add) {
        // Mostly the next one, now and then a gap or one from before.
        uint64_t seq = rng.Below(100) < 2 ? rng.Below(next + 1) : next;
        if (expected.contains(seq)) seq = next;
        if (seq == next) next += rng.Below(100) < 1 ? 1 + rng.Below(10'000) : 1;
        map.Add(seq, i);
        expected.emplace(seq, i);
      } else {
        // Mostly the lowest.
        auto at = expected.begin();
        if (rng.Below(10) < 3) std::advance(at, static_cast<int64_t>(rng.Below(expected.size())));
        map.Remove(at->first);
        expected.erase(at);
      }
      if (i % 50 == 0) ExpectEqual(map, expected);
    }
    ExpectEqual(map, expected);
  }
}

TEST(SeqMap, IsWalkedWhileItChanges) {
  SeqMap<int> map;
  for (uint64_t seq = 0; seq < 100; ++seq) map.Add(seq, 0);
  uint64_t seen = 0;
  for (uint64_t seq = map.first(); seq != kNoSeq; seq = map.FirstFrom(seq + 1)) {
    map.Remove(seq);
    if (seq < 10) map.Add(100 + seq, 0);
    ++seen;
  }
  EXPECT_EQ(seen, 110U);
  EXPECT_TRUE(map.empty());
}

}  // namespace
}  // namespace lockstep
