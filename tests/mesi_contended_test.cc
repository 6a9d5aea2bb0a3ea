// Which lines are said to be contended: where nodes take them from each other for little.
#include "cluster/mesi/contended.h"

#include <gtest/gtest.h>

#include "cluster/mesi/directory.h"

namespace lockstep::mesi {
namespace {

constexpr uint64_t kHash = 77;
constexpr int64_t kMs = kUsPerMs;

class ContendedTest : public ::testing::Test {
 protected:
  // Of `who`, who then writes so often, as whoever is granted it next has it.
  void Grant(uint8_t who, uint64_t writes = 1, uint64_t hash = kHash) {
    contention_.OnGrant(now_, hash, who, ++gen_, was_);
    was_ = {1, gen_, writes};
  }
  void Ship(uint8_t who, uint64_t hash = kHash) {
    const Version is{1, ++gen_, 0};
    contention_.OnShip(now_, hash, who, was_, is);
    was_ = is;
  }
  bool Has(uint64_t hash = kHash) const { return contention_.Has(now_, hash); }
  // Two take it from each other, so many times.
  void Swap(int times, int64_t each_ms = 1, uint64_t writes = 1, uint64_t hash = kHash) {
    for (int i = 0; i < times; ++i) {
      Grant(i % 2 == 0 ? 1 : 2, writes, hash);
      Pass(each_ms);
    }
  }
  void Pass(int64_t ms) { now_ = now_ + ms * kMs; }

  MonoTime now_{1'000'000};
  Contention contention_;
  uint64_t gen_ = 0;
  Version was_;
};

TEST_F(ContendedTest, ALineIsContendedAfterSoManyShortRuns) {
  Swap(static_cast<int>(Contention::kConflicts));
  EXPECT_FALSE(Has()) << "the first took it from nobody";
  Grant(1);
  EXPECT_TRUE(Has());
  EXPECT_FALSE(Has(kHash + 1));
}

TEST_F(ContendedTest, WhoeverWritesAloneContendsWithNobody) {
  for (int i = 0; i < 100; ++i) Grant(1);
  EXPECT_FALSE(Has());
}

TEST_F(ContendedTest, LongRunsAreWorthTheWay) {
  constexpr uint64_t kMany = Contention::kFewWrites + 1;
  Swap(100, 10, kMany);
  EXPECT_FALSE(Has());
  Swap(6, 9, kMany);
  EXPECT_TRUE(Has()) << "many writes in a short time are not";
  Pass(10);
  Grant(1);
  EXPECT_FALSE(Has()) << "one of them ends it";
  Swap(6, 100, Contention::kFewWrites);
  EXPECT_TRUE(Has()) << "nor are few in a long time";
}

TEST_F(ContendedTest, ARunGoesOnWhenItsWriterIsGrantedTheLineAgain) {
  Grant(1);
  for (int i = 0; i < 100; ++i) {
    Pass(6);
    Grant(i / 2 % 2 == 0 ? 1 : 2, Contention::kFewWrites + 1);
  }
  EXPECT_FALSE(Has());
}

TEST_F(ContendedTest, TheHomesOwnClientsCountAsANode) {
  for (int i = 0; i < 10; ++i) {
    Pass(1);
    Grant(i % 2 == 0 ? 1 : kHome);
  }
  EXPECT_TRUE(Has());
}

TEST_F(ContendedTest, ASecondWithoutAConflictIsForgotten) {
  Swap(6);
  Pass(999);
  EXPECT_TRUE(Has());
  Pass(1);
  EXPECT_FALSE(Has());
  Grant(1);
  Swap(3);
  EXPECT_FALSE(Has()) << "it begins anew";
}

TEST_F(ContendedTest, ShippedCommandsOfSeveralKeepItSoAndOfOneDoNot) {
  Swap(6);
  for (int i = 0; i < 3000; ++i) {
    Pass(1);
    Ship(i % 2 == 0 ? 1 : 2);
    ASSERT_TRUE(Has()) << i;
  }
  for (int i = 0; i < 1001; ++i) {
    Pass(1);
    Ship(2);
  }
  EXPECT_FALSE(Has());
}

// What the home is granted for a command that was shipped is no run of its own clients.
TEST_F(ContendedTest, ALineThatIsTakenFromReadersForOneWriterIsNotContended) {
  Swap(6);
  Pass(1);
  Ship(2);
  for (int i = 0; i < 1001; ++i) {
    Pass(1);
    contention_.OnGrant(now_, kHash, kHome, ++gen_, was_);
    Ship(2);
  }
  EXPECT_FALSE(Has());
}

// Else half as many would do.
TEST_F(ContendedTest, ALineThatComesHomeForAShippedCommandHasMovedOnce) {
  Grant(1);
  Pass(1);
  Grant(kHome);
  Ship(2);
  for (uint8_t who : {uint8_t{1}, uint8_t{2}}) {
    Pass(1);
    Ship(who);
  }
  EXPECT_FALSE(Has());
  Pass(1);
  Ship(1);
  EXPECT_TRUE(Has());
}

TEST_F(ContendedTest, WhatTheHomesClientsWriteBetweenTwoOfOneCacheEndsItsRun) {
  Swap(6);
  for (int i = 0; i < 3000; ++i) {
    Pass(1);
    Ship(1);
    was_ = {1, ++gen_, 0};
  }
  EXPECT_TRUE(Has());
}

TEST_F(ContendedTest, WhatChangesNothingIsNoWrite) {
  Swap(6);
  for (int i = 0; i < 1001; ++i) {
    Pass(1);
    contention_.OnShip(now_, kHash, i % 2 == 0 ? 1 : 2, was_, was_);
  }
  EXPECT_FALSE(Has());
}

TEST_F(ContendedTest, AContendedLineKeepsItsPlace) {
  constexpr uint64_t kSamePlace = kHash + Contention::kPlaces;
  Swap(6);
  Swap(6, 1, 1, kSamePlace);
  EXPECT_TRUE(Has());
  EXPECT_FALSE(Has(kSamePlace));
  Pass(1001);
  Swap(6, 1, 1, kSamePlace);
  EXPECT_TRUE(Has(kSamePlace));
}

TEST_F(ContendedTest, ACacheForgetsWhatItWasToldAfterASecond) {
  ContendedKeys keys;
  EXPECT_FALSE(keys.Has(now_, kHash));
  keys.Add(now_, kHash);
  EXPECT_TRUE(keys.Has(now_ + 999 * kMs, kHash));
  EXPECT_FALSE(keys.Has(now_ + 1000 * kMs, kHash));
  EXPECT_FALSE(keys.Has(now_, kHash + ContendedKeys::kPlaces));
  keys.Remove(kHash + ContendedKeys::kPlaces);
  EXPECT_TRUE(keys.Has(now_, kHash));
  keys.Remove(kHash);
  EXPECT_FALSE(keys.Has(now_, kHash));
}

}  // namespace
}  // namespace lockstep::mesi
