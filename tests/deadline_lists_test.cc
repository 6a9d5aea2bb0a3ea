#include "commands/deadline_lists.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "src/base/rng.h"

namespace lockstep {
namespace {

using Key = DeadlineLists::Key;

struct Things {
  std::map<uint32_t, Key> keys;
  std::set<std::pair<Key, uint32_t>> in_order;
  DeadlineLists lists;

  auto KeyOf() const {
    return [this](uint32_t thing) { return keys.at(thing); };
  }
  void Add(uint32_t thing, int64_t deadline, uint64_t seq) {
    const Key key{ClusterTime{deadline}, seq};
    keys[thing] = key;
    in_order.insert({key, thing});
    lists.Add(thing, KeyOf());
  }
  void Remove(uint32_t thing) {
    lists.Remove(thing, KeyOf());
    in_order.erase({keys.at(thing), thing});
    keys.erase(thing);
  }
  void Check() const {
    ASSERT_EQ(lists.size(), in_order.size());
    ASSERT_EQ(lists.empty(), in_order.empty());
    if (in_order.empty()) return;
    ASSERT_EQ(lists.top(), in_order.begin()->second);
  }
};

// Deadlines that come in order, as of delays that are all the same; at random; and of a few values
// only, as when time stands still.
TEST(DeadlineListsTest, HasTheEarliestAtHandWhateverComesAndGoes) {
  for (const int64_t spread : {0, 3, 1'000'000}) {
    Rng rng(static_cast<uint64_t>(spread) + 7);
    Things things;
    std::set<uint32_t> live;
    uint32_t next = 0;
    for (int i = 0; i < 60'000; ++i) {
      const bool grows = i / 10'000 % 2 == 0;
      if (live.empty() || rng.Below(100) < (grows ? 70U : 30U)) {
        const int64_t from = spread == 0 ? i : 0;
        things.Add(next, from + rng.Between(0, spread), next);
        live.insert(next++);
      } else if (rng.Below(3) == 0) {
        const uint32_t first = things.lists.top();
        things.Remove(first);
        live.erase(first);
      } else {
        auto at = live.lower_bound(static_cast<uint32_t>(rng.Below(next)));
        if (at == live.end()) at = live.begin();
        things.Remove(*at);
        live.erase(at);
      }
      things.Check();
    }
  }
}

TEST(DeadlineListsTest, EmptiedFromTheTopItGivesThemInOrder) {
  Rng rng(5);
  Things things;
  for (uint32_t thing = 0; thing < 20'000; ++thing) {
    things.Add(thing, rng.Between(0, 50), 100'000 - thing);
  }
  while (!things.in_order.empty()) {
    const uint32_t first = things.in_order.begin()->second;
    ASSERT_EQ(things.lists.top(), first);
    things.Remove(first);
  }
  EXPECT_TRUE(things.lists.empty());
}

// One earlier than all: it is the first list's, though that begins later.
TEST(DeadlineListsTest, WhatIsEarlierThanAllGoesFirst) {
  Things things;
  for (uint32_t thing = 0; thing < 2'000; ++thing) things.Add(thing, 1'000 + thing, thing);
  for (uint32_t thing = 2'000; thing < 4'000; ++thing) {
    things.Add(thing, 999 - static_cast<int64_t>(thing) / 10, thing);
    things.Check();
  }
}

}  // namespace
}  // namespace lockstep
