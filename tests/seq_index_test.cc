#include "commands/seq_index.h"

#include <gtest/gtest.h>

#include <map>

#include "src/base/rng.h"

namespace lockstep {
namespace {

TEST(SeqIndexTest, FindsWhatIsThereAndNothingElse) {
  SeqIndex index;
  EXPECT_EQ(index.Find(0), SeqIndex::kAbsent);
  index.Add(63, 1);
  index.Add(64, 2);
  index.Add(uint64_t{1} << 40, 3);
  EXPECT_EQ(index.Find(63), 1U);
  EXPECT_EQ(index.Find(64), 2U);
  EXPECT_EQ(index.Find(uint64_t{1} << 40), 3U);
  EXPECT_EQ(index.Find(62), SeqIndex::kAbsent);
  EXPECT_EQ(index.Find(65), SeqIndex::kAbsent);
  index.Remove(64);
  EXPECT_EQ(index.Find(64), SeqIndex::kAbsent);
  EXPECT_EQ(index.size(), 2U);
}

// What lives comes and goes in any order, as messages do: most in the order of their numbers, some
// much later.
TEST(SeqIndexTest, AnyLifeIsAsInAMap) {
  Rng rng(4);
  SeqIndex index;
  std::map<uint64_t, uint32_t> model;
  uint64_t next = 1;
  for (int i = 0; i < 50'000; ++i) {
    if (rng.Below(2) == 0 || model.empty()) {
      next += rng.Below(10) == 0 ? 1 + rng.Below(300) : 1;
      const auto value = static_cast<uint32_t>(rng.Below(1'000'000));
      index.Add(next, value);
      model[next] = value;
    } else {
      const auto at = rng.Below(4) == 0 ? model.lower_bound(rng.Below(next)) : model.begin();
      if (at == model.end()) continue;
      index.Remove(at->first);
      model.erase(at);
    }
    const uint64_t any = rng.Below(next + 2);
    const auto known = model.find(any);
    ASSERT_EQ(index.Find(any), known == model.end() ? SeqIndex::kAbsent : known->second) << any;
    ASSERT_EQ(index.size(), model.size());
  }
  for (const auto& [seq, value] : model) ASSERT_EQ(index.Find(seq), value);
  auto at = model.begin();
  index.ForEach([&](uint64_t seq, uint32_t value) {
    ASSERT_NE(at, model.end());
    ASSERT_EQ(seq, at->first);
    ASSERT_EQ(value, at->second);
    ++at;
  });
  EXPECT_EQ(at, model.end());
}

}  // namespace
}  // namespace lockstep
