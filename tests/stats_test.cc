// Counting: histograms, errors by code, commands a second, latency spikes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "commands/latency_monitor.h"
#include "commands/stats.h"
#include "src/base/rng.h"

namespace lockstep {
namespace {

TEST(HistogramTest, QuantilesAreWithinSixPercent) {
  Rng rng(7);
  Histogram histogram;
  std::vector<uint64_t> all;
  for (int i = 0; i < 5000; ++i) {
    const uint64_t us = 1 + (rng.Next() >> (24 + rng.Below(38)));
    histogram.Add(us);
    all.push_back(us);
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.0, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(all.size())));
    const uint64_t exact = all[rank == 0 ? 0 : rank - 1];
    const uint64_t told = histogram.Quantile(q);
    EXPECT_GE(told, exact) << q;
    EXPECT_LE(static_cast<double>(told), static_cast<double>(exact) * 1.0626) << q;
  }
  EXPECT_EQ(histogram.count(), 5000u);
}

TEST(HistogramTest, CountsAreExactAtPowersOfTwo) {
  Histogram histogram;
  for (uint64_t us = 0; us <= 5000; ++us) histogram.Add(us);
  for (uint64_t us = 1; us <= 4096; us *= 2) EXPECT_EQ(histogram.CountAtMost(us), us + 1) << us;
  EXPECT_EQ(histogram.CountAtMost(8192), 5001u);
}

TEST(HistogramTest, TheEmptyAndTheEndlessAreHarmless) {
  Histogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), 0u);
  histogram.Add(UINT64_MAX);
  EXPECT_EQ(histogram.Quantile(0.5), uint64_t{1} << 40);
  histogram.Clear();
  EXPECT_EQ(histogram.count(), 0u);
}

TEST(StatsTest, ErrorsAreCountedByTheirFirstWord) {
  Stats stats;
  stats.CountError("ERR unknown command");
  stats.CountError("ERR syntax error");
  stats.CountError("LOADING");
  EXPECT_EQ(stats.errors().at("ERR"), 2u);
  EXPECT_EQ(stats.errors().at("LOADING"), 1u);
  EXPECT_EQ(stats.total_errors(), 3u);
}

TEST(StatsTest, MadeUpErrorCodesDoNotFillTheMemory) {
  Stats stats;
  for (int i = 0; i < 10'000; ++i) stats.CountError("CODE" + std::to_string(i) + " x");
  stats.CountError(Bytes(100'000, 'x'));
  EXPECT_LE(stats.errors().size(), 129u);
  EXPECT_EQ(stats.errors().at("OTHER"), 10'001u - 128u);
  EXPECT_EQ(stats.total_errors(), 10'001u);
}

TEST(StatsTest, OperationsASecondAreTheMeanOfTheLastSamples) {
  Stats stats;
  int64_t now = 1'000'000;
  stats.Sample(now);
  for (int i = 0; i < 16; ++i) {
    stats.commands_processed += 50;
    now += 100'000;
    stats.Sample(now);
  }
  EXPECT_EQ(stats.ops_per_second(), 500u);
  for (int i = 0; i < 8; ++i) stats.Sample(now += 100'000);
  EXPECT_EQ(stats.ops_per_second(), 250u);
  stats.Sample(now);  // No time has passed.
  EXPECT_EQ(stats.ops_per_second(), 250u);
}

TEST(StatsTest, ResetForgetsAll) {
  Stats stats;
  stats.Of(3).calls = 5;
  stats.commands_processed = 9;
  stats.CountError("ERR x");
  stats.Reset();
  EXPECT_EQ(stats.commands_processed, 0u);
  EXPECT_EQ(stats.Of(3).calls, 0u);
  EXPECT_TRUE(stats.errors().empty());
  stats.Sample(100);
  stats.Sample(200);
  EXPECT_EQ(stats.ops_per_second(), 0u);
}

TEST(LatencyMonitorTest, OnlyWhatIsLongEnoughIsKept) {
  LatencyMonitor monitor;
  monitor.Add("command", 10, 1'000'000);
  EXPECT_TRUE(monitor.events().empty());  // Off by default.
  monitor.Configure(100);
  monitor.Add("command", 10, 99'999);
  EXPECT_TRUE(monitor.events().empty());
  monitor.Add("command", 10, 100'000);
  monitor.Add("command", 10, 300'000);  // The same second: the worse one stays.
  monitor.Add("command", 11, 150'000);
  const auto& event = monitor.events().at("command");
  ASSERT_EQ(event.samples.size(), 2u);
  EXPECT_EQ(event.samples[0].ms, 300);
  EXPECT_EQ(event.max_ms, 300);
}

TEST(LatencyMonitorTest, SamplesAreBounded) {
  LatencyMonitor monitor;
  monitor.Configure(1);
  for (int64_t second = 0; second < 1000; ++second) monitor.Add("loop", second, 5000);
  EXPECT_EQ(monitor.events().at("loop").samples.size(), LatencyMonitor::kSamplesMax);
  EXPECT_EQ(monitor.events().at("loop").samples.back().unix_seconds, 999);
  EXPECT_FALSE(monitor.Reset("nosuch"));
  EXPECT_EQ(monitor.ResetAll(), 1u);
}

}  // namespace
}  // namespace lockstep
