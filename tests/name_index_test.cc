// The parts that the lock table is built of, each beside a container of the library.
#include "commands/name_index.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "commands/deadline_heap.h"
#include "commands/slab.h"
#include "src/base/rng.h"

namespace lockstep {
namespace {

TEST(PackedName, HoldsAnyNameAndMoves) {
  for (const size_t size : {0U, 1U, 22U, 23U, 24U, 25U, 512U, 65'535U}) {
    const Bytes text(size, 'x');
    PackedName name{BytesView(text)};
    EXPECT_EQ(name.view(), text);
    EXPECT_EQ(name.far_bytes(), size > 23 ? size : 0);
    PackedName moved(std::move(name));
    EXPECT_EQ(moved.view(), text);
    PackedName other{BytesView("a name that is too long to lie inside")};
    other = std::move(moved);
    EXPECT_EQ(other.view(), text);
    other = PackedName();
    EXPECT_EQ(other.view(), "");
  }
}

TEST(NameIndex, FindsWhatAMapFinds) {
  Rng rng(1);
  NameIndex index;
  std::map<Bytes, uint32_t> expected;
  std::map<uint32_t, Bytes> names;
  const auto name_of = [&names](uint32_t number) { return BytesView(names.at(number)); };
  for (uint32_t i = 0; i < 40'000; ++i) {
    const Bytes name = "name " + std::to_string(rng.Below(i < 20'000 ? 5'000 : 50));
    const auto known = expected.find(name);
    ASSERT_EQ(index.Find(name, name_of),
              known == expected.end() ? NameIndex::kAbsent : known->second);
    if (known == expected.end()) {
      index.Add(name, i);
      expected.emplace(name, i);
      names.emplace(i, name);
    } else {
      index.Remove(name, known->second);
      names.erase(known->second);
      expected.erase(known);
    }
    ASSERT_EQ(index.size(), expected.size());
  }
}

TEST(DeadlineHeap, HasTheEarliestAtHandWhateverIsSetMovedOrTakenOut) {
  Rng rng(2);
  DeadlineHeap heap;
  std::map<uint32_t, std::pair<int64_t, uint64_t>> expected;
  for (uint64_t seq = 0; seq < 50'000; ++seq) {
    const auto thing = static_cast<uint32_t>(rng.Below(seq % 5'000 < 2'500 ? 300 : 5));
    if (rng.Below(3) == 0) {
      heap.Remove(thing);
      expected.erase(thing);
    } else {
      const int64_t deadline = rng.Between(0, 100);
      heap.Set(thing, ClusterTime{deadline}, seq);
      expected[thing] = {deadline, seq};
    }
    ASSERT_EQ(heap.size(), expected.size());
    if (expected.empty()) continue;
    const auto first = std::min_element(
        expected.begin(), expected.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    ASSERT_EQ(heap.top().thing, first->first);
    ASSERT_EQ(heap.top().deadline.ms, first->second.first);
  }
  // Emptied from the top, it gives them in order.
  std::pair<int64_t, uint64_t> last{-1, 0};
  while (!heap.empty()) {
    const std::pair<int64_t, uint64_t> next{heap.top().deadline.ms, heap.top().seq};
    ASSERT_LT(last, next);
    last = next;
    heap.Remove(heap.top().thing);
  }
}

TEST(FreeNumbers, GiveTheSmallestThatIsThere) {
  Rng rng(8);
  FreeNumbers numbers;
  std::set<uint32_t> expected;
  for (int i = 0; i < 50'000; ++i) {
    const uint32_t range = i % 5'000 < 2'500 ? 300'000 : 100;
    if (expected.empty() || rng.Below(100) < (i / 5'000 % 2 == 0 ? 70U : 30U)) {
      const auto number = static_cast<uint32_t>(rng.Below(range));
      if (expected.insert(number).second) numbers.Add(number);
    } else {
      ASSERT_EQ(numbers.TakeSmallest(), *expected.begin());
      expected.erase(expected.begin());
    }
    ASSERT_EQ(numbers.empty(), expected.empty());
  }
}

TEST(Slab, GivesTheSmallestNumberThatIsFree) {
  Rng rng(3);
  Slab<int> slab;
  std::set<uint32_t> live;
  for (int i = 0; i < 20'000; ++i) {
    const bool add = live.empty() || rng.Below(100) < (i / 2'000 % 2 == 0 ? 60U : 40U);
    if (add) {
      uint32_t free = 0;
      while (live.contains(free)) ++free;
      ASSERT_EQ(slab.Add().value, free);
      ASSERT_EQ(slab[Slot<int>{free}], 0) << "a new record is as made";
      slab[Slot<int>{free}] = i + 1;
      live.insert(free);
    } else {
      auto at = live.begin();
      std::advance(at, static_cast<int64_t>(rng.Below(live.size())));
      slab.Remove(Slot<int>{*at});
      live.erase(at);
    }
    ASSERT_EQ(slab.size(), live.size());
    ASSERT_EQ(slab.first().valid(), !live.empty());
    if (live.empty()) continue;
    ASSERT_EQ(slab.first().value, *live.begin());
  }
}

}  // namespace
}  // namespace lockstep
