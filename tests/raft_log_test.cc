#include "cluster/raft/raft_log.h"

#include <gtest/gtest.h>

#include "src/base/rng.h"

namespace lockstep::raft {
namespace {

LogId Id(uint64_t term, uint64_t index) {
  return {Term{term}, Index{index}};
}

Entry Op(uint64_t term, uint64_t index, Bytes data = "x") {
  return {.id = Id(term, index),
          .time = {static_cast<int64_t>(index)},
          .kind = EntryKind::kOp,
          .data = std::move(data)};
}

Config VotersAre(std::initializer_list<uint64_t> nodes) {
  Config config;
  for (const uint64_t node : nodes) config.voters.push_back({NodeId{node}, DiskId{node}});
  return config;
}
Entry ConfigEntry(uint64_t term, uint64_t index, std::initializer_list<uint64_t> nodes) {
  Entry entry = Op(term, index, EncodeConfig(VotersAre(nodes)));
  entry.kind = EntryKind::kConfig;
  return entry;
}

Snapshot SnapshotAt(LogId last, std::initializer_list<uint64_t> voters = {1}) {
  return {.last = last,
          .time = {static_cast<int64_t>(last.index.value)},
          .config = VotersAre(voters),
          .data = {}};
}

// 1/1 1/2 2/3 2/4 2/5 4/6 after an empty beginning, all on disk.
RaftLog SixEntries() {
  return RaftLog(SnapshotAt(Id(0, 0)),
                 {Op(1, 1), Op(1, 2), Op(2, 3), Op(2, 4), Op(2, 5), Op(4, 6)});
}

TEST(RaftLogTest, WhatWasReadBackIsOnDisk) {
  const RaftLog log = SixEntries();
  EXPECT_EQ(log.last(), Id(4, 6));
  EXPECT_EQ(log.first_index(), Index{1});
  EXPECT_EQ(log.stable(), Index{6});
  EXPECT_FALSE(log.HasUnwritten());
  log.CheckInvariants();
}

TEST(RaftLogTest, AnEmptyLogEndsWhereItsSnapshotDoes) {
  const RaftLog log(SnapshotAt(Id(3, 40)), {});
  EXPECT_EQ(log.last(), Id(3, 40));
  EXPECT_EQ(log.first_index(), Index{41});
  EXPECT_EQ(log.last_time(), ClusterTime{40});
  EXPECT_TRUE(log.Matches(Id(3, 40)));
  EXPECT_FALSE(log.Matches(Id(3, 39)));
  EXPECT_FALSE(log.Matches(Id(3, 41)));
}

TEST(RaftLogTest, AnEntryIsStableOnceItsWriteIsOnDisk) {
  RaftLog log = SixEntries();
  log.Append(Op(4, 7));
  EXPECT_TRUE(log.HasUnwritten());
  EXPECT_EQ(log.TakeUnwritten(10).size(), 1u);
  EXPECT_FALSE(log.HasUnwritten());
  log.Append(Op(4, 8));
  EXPECT_EQ(log.TakeUnwritten(11).front().id, Id(4, 8));

  log.Persisted(9);
  EXPECT_EQ(log.stable(), Index{6});
  log.Persisted(10);
  EXPECT_EQ(log.stable(), Index{7});
  log.Persisted(11);
  EXPECT_EQ(log.stable(), Index{8});
}

// etcd's async_storage_writes_append_aba_race: the write of 7 and 8 ends after both were replaced.
TEST(RaftLogTest, AWriteThatEndsAfterATruncationDoesNotVouchForTheNewEntries) {
  RaftLog log = SixEntries();
  log.Append(Op(4, 7, "old"));
  log.Append(Op(4, 8, "old"));
  log.TakeUnwritten(10);

  log.TruncateFrom(Index{7});
  log.Append(Op(5, 7, "new"));
  log.Append(Op(5, 8, "new"));
  log.CheckInvariants();
  log.TakeUnwritten(11);
  log.Persisted(10);

  EXPECT_EQ(log.stable(), Index{6});
  log.Persisted(11);
  EXPECT_EQ(log.stable(), Index{8});
}

TEST(RaftLogTest, ATruncationBelowWhatIsStableTakesThatBack) {
  RaftLog log = SixEntries();
  log.TruncateFrom(Index{3});
  EXPECT_EQ(log.stable(), Index{2});
  log.Append(Op(5, 3));
  EXPECT_EQ(log.TakeUnwritten(1).size(), 1u);
  log.CheckInvariants();
}

TEST(RaftLogTest, LogsCanAgreeUpToTheLastTermThatBothMayHold) {
  const RaftLog log = SixEntries();
  EXPECT_EQ(log.LastAgreement(Id(4, 6)), Id(4, 6));
  EXPECT_EQ(log.LastAgreement(Id(4, 90)), Id(4, 6));  // Ours is shorter.
  EXPECT_EQ(log.LastAgreement(Id(3, 6)), Id(2, 5));   // Term 4 cannot be in a log that ends in 3.
  EXPECT_EQ(log.LastAgreement(Id(2, 4)), Id(2, 4));
  EXPECT_EQ(log.LastAgreement(Id(1, 6)), Id(1, 2));
  EXPECT_EQ(log.LastAgreement(Id(0, 6)), Id(0, 0));
}

TEST(RaftLogTest, CopiesKeepToTheirLimitsButMoveOn) {
  const RaftLog log = SixEntries();
  const size_t one = EntryBytes(log.At(Index{1}));
  EXPECT_EQ(log.Copy(Index{1}, 100, 100 * one).size(), 6u);
  EXPECT_EQ(log.Copy(Index{1}, 2, 100 * one).size(), 2u);
  EXPECT_EQ(log.Copy(Index{1}, 100, 3 * one).size(), 3u);
  EXPECT_EQ(log.Copy(Index{1}, 100, 1).size(), 1u);  // One that is too large goes alone.
  EXPECT_TRUE(log.Copy(Index{7}, 100, 100).empty());
  EXPECT_TRUE(log.Copy(Index{1}, 0, 100).empty());
}

TEST(RaftLogTest, CompactionKeepsTheIdBeforeTheFirstEntry) {
  RaftLog log = SixEntries();
  log.CompactTo(Index{4});
  EXPECT_EQ(log.base(), Id(2, 4));
  EXPECT_EQ(log.first_index(), Index{5});
  EXPECT_TRUE(log.Matches(Id(2, 4)));
  EXPECT_FALSE(log.Matches(Id(2, 3)));
  EXPECT_EQ(log.bytes(), 2 * EntryBytes(Op(1, 1)));
  log.CompactTo(Index{2});  // Nothing left to forget there.
  EXPECT_EQ(log.first_index(), Index{5});

  log.CompactTo(Index{6});
  EXPECT_EQ(log.last(), Id(4, 6));
  EXPECT_EQ(log.last_time(), ClusterTime{6});
  EXPECT_EQ(log.bytes(), 0u);
  log.CheckInvariants();
}

TEST(RaftLogTest, TheLatestConfigurationIsInForceAndTruncationTakesItBack) {
  RaftLog log(SnapshotAt(Id(1, 2), {1}), {});
  log.Append(Op(1, 3));
  log.Append(ConfigEntry(1, 4, {1, 2}));
  log.Append(Op(1, 5));
  log.Append(ConfigEntry(1, 6, {1, 2, 3}));
  EXPECT_EQ(log.config(), VotersAre({1, 2, 3}));
  EXPECT_EQ(log.config_index(), Index{6});
  EXPECT_EQ(log.ConfigAt(Index{2}), VotersAre({1}));
  EXPECT_EQ(log.ConfigAt(Index{3}), VotersAre({1}));
  EXPECT_EQ(log.ConfigAt(Index{4}), VotersAre({1, 2}));
  EXPECT_EQ(log.ConfigAt(Index{5}), VotersAre({1, 2}));

  log.TruncateFrom(Index{6});
  EXPECT_EQ(log.config(), VotersAre({1, 2}));
  log.TruncateFrom(Index{4});
  EXPECT_EQ(log.config(), VotersAre({1}));
  EXPECT_EQ(log.config_index(), Index{2});
}

TEST(RaftLogTest, CompactionKeepsTheConfigurationInForceAtItsEnd) {
  RaftLog log(SnapshotAt(Id(1, 2), {1}), {});
  log.Append(ConfigEntry(1, 3, {1, 2}));
  log.Append(Op(1, 4));
  log.Append(ConfigEntry(1, 5, {1, 2, 3}));
  log.CompactTo(Index{4});
  EXPECT_EQ(log.ConfigAt(Index{4}), VotersAre({1, 2}));
  log.TruncateFrom(Index{5});
  EXPECT_EQ(log.config(), VotersAre({1, 2}));
  log.CheckInvariants();
}

TEST(RaftLogTest, WhoWasAVoterSinceACommitIsKnown) {
  RaftLog log(SnapshotAt(Id(1, 2), {1}),
              {ConfigEntry(1, 3, {2}), Op(1, 4), ConfigEntry(1, 5, {3})});
  EXPECT_TRUE(log.IsVoterSince(Index{2}, NodeId{1}));
  EXPECT_FALSE(log.IsVoterSince(Index{3}, NodeId{1}));
  EXPECT_TRUE(log.IsVoterSince(Index{4}, NodeId{2}));
  EXPECT_FALSE(log.IsVoterSince(Index{5}, NodeId{2}));
  EXPECT_TRUE(log.IsVoterSince(Index{5}, NodeId{3}));
}

TEST(RaftLogTest, ASnapshotTakesTheLogsPlaceAndOlderWritesSayNothingAnyMore) {
  RaftLog log = SixEntries();
  log.Append(Op(4, 7));
  log.TakeUnwritten(3);
  log.ReplaceBy(SnapshotAt(Id(6, 5), {4}));
  EXPECT_EQ(log.last(), Id(6, 5));
  EXPECT_EQ(log.config(), VotersAre({4}));
  log.Append(Op(6, 6));
  log.Persisted(3);
  EXPECT_EQ(log.stable(), Index{5});
  log.CheckInvariants();
}

// The disk of a machine against the model: a map that each write replaces from its first entry on.
TEST(RaftLogTest, WhatIsStableIsOnDiskWhateverIsTruncatedMeanwhile) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    RaftLog log(SnapshotAt(Id(0, 0)), {});
    std::deque<std::pair<uint64_t, std::vector<Entry>>> under_way;
    std::vector<Entry> disk;
    uint64_t write = 0;
    uint64_t term = 1;
    for (int step = 0; step < 200; ++step) {
      const uint64_t choice = rng.Below(10);
      if (choice < 4) {
        log.Append(Op(term, log.last().index.value + 1, std::to_string(rng.Next())));
      } else if (choice < 6) {
        ++write;
        under_way.emplace_back(write, log.TakeUnwritten(write));
      } else if (choice < 8 && !under_way.empty()) {
        auto [done, entries] = std::move(under_way.front());
        under_way.pop_front();
        if (!entries.empty()) disk.resize(entries.front().id.index.value - 1);
        disk.insert(disk.end(), entries.begin(), entries.end());
        log.Persisted(done);
      } else if (choice == 8 && log.last().index > Index{0} && rng.Below(3) == 0) {
        log.TruncateFrom(Index{1 + rng.Below(log.last().index.value)});
        ++term;
      }
      log.CheckInvariants();
      ASSERT_LE(log.stable().value, disk.size());
      for (Index i{1}; i <= log.stable(); i = Next(i)) {
        ASSERT_EQ(log.At(i), disk[i.value - 1]) << "seed " << seed << " step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::raft
