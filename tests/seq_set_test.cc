#include "commands/seq_set.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "src/base/rng.h"

namespace lockstep {
namespace {

void ExpectEqual(const SeqSet& set, const std::set<uint64_t>& model) {
  EXPECT_EQ(set.size(), model.size());
  EXPECT_EQ(set.empty(), model.empty());
  EXPECT_EQ(set.first(), model.empty() ? kNoSeq : *model.begin());
  std::vector<uint64_t> walked;
  set.ForEach([&](uint64_t seq) { walked.push_back(seq); });
  EXPECT_EQ(walked, std::vector<uint64_t>(model.begin(), model.end()));
}

TEST(SeqSetTest, AnEmptySetHasNothing) {
  const SeqSet set;
  ExpectEqual(set, {});
  EXPECT_FALSE(set.Contains(0));
  EXPECT_EQ(set.FirstFrom(0), kNoSeq);
}

TEST(SeqSetTest, AddAndRemoveSayWhetherTheyChangedAnything) {
  SeqSet set;
  EXPECT_FALSE(set.Remove(7));
  EXPECT_TRUE(set.Add(7));
  EXPECT_FALSE(set.Add(7));
  EXPECT_TRUE(set.Remove(7));
  EXPECT_FALSE(set.Remove(7));
  EXPECT_TRUE(set.empty());
}

// Trap 38: ids pass 2^16 and 2^32, where containers and halves of the set end.
TEST(SeqSetTest, BoundariesOfContainersAndHalvesAreNumbersLikeOthers) {
  SeqSet set;
  std::set<uint64_t> model;
  for (const uint64_t edge : {uint64_t{1} << 16, uint64_t{1} << 31, uint64_t{1} << 32,
                              uint64_t{3} << 32, uint64_t{1} << 53}) {
    for (uint64_t seq = edge - 3; seq < edge + 3; ++seq) {
      EXPECT_TRUE(set.Add(seq));
      model.insert(seq);
    }
  }
  ExpectEqual(set, model);
  for (const uint64_t seq : model) {
    EXPECT_TRUE(set.Contains(seq));
    EXPECT_EQ(set.FirstFrom(seq), seq);
  }
  EXPECT_EQ(set.FirstFrom((uint64_t{1} << 32) + 3), (uint64_t{3} << 32) - 3);
  EXPECT_EQ(set.FirstFrom((uint64_t{1} << 53) + 3), kNoSeq);
  while (!model.empty()) {
    EXPECT_EQ(set.first(), *model.begin());
    EXPECT_TRUE(set.Remove(*model.begin()));
    model.erase(model.begin());
  }
  ExpectEqual(set, {});
}

TEST(SeqSetTest, ItDoesWhatASetDoesSparseAndDense) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Rng rng(seed);
    const uint64_t span = uint64_t{1} << (4 + 4 * seed);  // From a few numbers to beyond 32 bits.
    SeqSet set;
    std::set<uint64_t> model;
    for (int step = 0; step < 30'000; ++step) {
      const uint64_t seq = rng.Below(span);
      switch (rng.Below(4)) {
        case 0:
        case 1:
          ASSERT_EQ(set.Add(seq), model.insert(seq).second);
          break;
        case 2:
          ASSERT_EQ(set.Remove(seq), model.erase(seq) == 1);
          break;
        default: {
          const auto at = model.lower_bound(seq);
          ASSERT_EQ(set.Contains(seq), model.contains(seq));
          ASSERT_EQ(set.FirstFrom(seq), at == model.end() ? kNoSeq : *at);
        }
      }
    }
    ExpectEqual(set, model);
  }
}

// As a queue uses it: from the front out, in at the end, some back to where they were.
TEST(SeqSetTest, AFrontThatMovesAlongKeepsItsOrder) {
  SeqSet set;
  std::set<uint64_t> model;
  Rng rng(5);
  uint64_t next = (uint64_t{1} << 32) - 50'000;
  for (int step = 0; step < 200'000; ++step) {
    if (model.size() < 10'000 || rng.Below(2) == 0) {
      set.Add(next);
      model.insert(next++);
      continue;
    }
    const uint64_t front = set.first();
    ASSERT_EQ(front, *model.begin());
    set.Remove(front);
    model.erase(front);
    if (rng.Below(10) == 0) {
      set.Add(front);
      model.insert(front);
    }
  }
  ExpectEqual(set, model);
}

}  // namespace
}  // namespace lockstep
