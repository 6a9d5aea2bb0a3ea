// The estimate of which keys are used most, against what is known.
#include "src/hot_keys.h"

#include <gtest/gtest.h>

#include <map>

#include "src/base/rng.h"

namespace lockstep {
namespace {

constexpr MonoTime kBegin{3'000'000};

std::vector<Bytes> Names(const std::vector<HotKey>& hot) {
  std::vector<Bytes> names;
  for (const HotKey& one : hot) names.push_back(one.key);
  return names;
}

// `n` accesses a second for so many seconds; `pick` names the i-th one's key.
template <class Pick>
MonoTime Use(HotKeys* keys, MonoTime now, int seconds, int n, const Pick& pick) {
  for (int i = 0; i < seconds * n; ++i) {
    now = now + kUsPerSecond / n;
    keys->Count(now, pick(i));
  }
  return now;
}

// Harmonic: the k-th of a million has 1/k of the first one's share.
Bytes Zipf(Rng* rng) {
  static const std::vector<uint64_t> sums = [] {
    std::vector<uint64_t> all;
    for (uint64_t k = 1, sum = 0; k <= 1'000'000; ++k) all.push_back(sum += 1'000'000'000 / k);
    return all;
  }();
  const uint64_t at = rng->Below(sums.back());
  return "key" + std::to_string(std::upper_bound(sums.begin(), sums.end(), at) - sums.begin() + 1);
}

TEST(HotKeysTest, TheHottestOfAMillionComeFirstWithAboutTheirRates) {
  Rng rng(1);
  HotKeys keys(1, kBegin);
  std::map<Bytes, uint64_t> truth;
  const MonoTime now = Use(&keys, kBegin, 20, 100'000, [&](int) {
    Bytes key = Zipf(&rng);
    ++truth[key];
    return key;
  });
  const std::vector<HotKey> hot = keys.Top(now, 5);
  EXPECT_EQ(Names(hot), (std::vector<Bytes>{"key1", "key2", "key3", "key4", "key5"}));
  for (const HotKey& one : hot) {
    const auto rate = static_cast<double>(truth[one.key]) / 20;
    EXPECT_NEAR(static_cast<double>(one.per_second), rate, rate / 5) << one.key;
  }
  EXPECT_EQ(keys.Top(now, 1000).size(), HotKeys::kKeys);
  EXPECT_EQ(keys.Top(now, 0).size(), 0u);
}

// With a stride that never changes, one key of 64 in turn would have all the samples, or none.
TEST(HotKeysTest, ClientsThatGoInCirclesAreNotMisjudged) {
  for (const int circle : {2, 3, 32, 64, 128}) {
    HotKeys keys(7, kBegin);
    const MonoTime now = Use(&keys, kBegin, 20, 100'000,
                             [&](int i) { return std::to_string(i % circle); });
    const std::vector<HotKey> hot = keys.Top(now, 1000);
    EXPECT_EQ(hot.size(), static_cast<size_t>(circle));
    const int fair = 100'000 / circle;
    EXPECT_NEAR(static_cast<double>(hot.front().per_second), fair, fair * 0.4) << circle;
    EXPECT_NEAR(static_cast<double>(hot.back().per_second), fair, fair * 0.4) << circle;
  }
}

TEST(HotKeysTest, WhatWasHotFadesAndWhatIsHotComesUp) {
  HotKeys keys(1, kBegin);
  MonoTime now = Use(&keys, kBegin, 60, 10'000, [](int) { return "old"; });
  EXPECT_EQ(Names(keys.Top(now, 2)), std::vector<Bytes>{"old"});
  EXPECT_NEAR(static_cast<double>(keys.Top(now, 1)[0].per_second), 10'000, 1000);
  now = Use(&keys, now, 30, 10'000, [](int) { return "new"; });
  EXPECT_EQ(Names(keys.Top(now, 2)), (std::vector<Bytes>{"new", "old"}));
  EXPECT_LT(keys.Top(now, 2)[1].per_second, 2000u);
  EXPECT_TRUE(keys.Top(now + 1000 * kUsPerSecond, 2).empty());
  now = Use(&keys, now + 1000 * kUsPerSecond, 20, 10'000, [](int) { return "newer"; });
  EXPECT_NEAR(static_cast<double>(keys.Top(now, 1)[0].per_second), 10'000, 3000);
}

// Many keys that come once each push each other out, and nothing that is used often.
TEST(HotKeysTest, AScanOfManyKeysPushesNoHotKeyOut) {
  HotKeys keys(1, kBegin);
  const MonoTime now = Use(&keys, kBegin, 20, 50'000, [](int i) {
    return i % 20 == 0 ? Bytes("hot") : "once" + std::to_string(i);
  });
  const std::vector<HotKey> hot = keys.Top(now, 2);
  EXPECT_EQ(hot.front().key, "hot");
  EXPECT_NEAR(static_cast<double>(hot.front().per_second), 2500, 600);
  EXPECT_LT(hot.back().per_second, 100u) << hot.back().key;
}

TEST(HotKeysTest, TheSameAccessesGiveTheSameAnswer) {
  HotKeys one(5, kBegin), other(5, kBegin);
  Rng rng(3), same(3);
  const MonoTime now = Use(&one, kBegin, 5, 10'000, [&](int) { return Zipf(&rng); });
  Use(&other, kBegin, 5, 10'000, [&](int) { return Zipf(&same); });
  EXPECT_EQ(one.Top(now, 256), other.Top(now, 256));
}

}  // namespace
}  // namespace lockstep
