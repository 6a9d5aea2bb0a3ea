// What the disk gives back is what was written, through truncations, snapshots and restarts.
#include "src/log_store.h"

#include <gtest/gtest.h>

#include "src/base/rng.h"
#include "tests/node_cluster.h"

namespace lockstep {
namespace {

raft::Entry EntryAt(uint64_t term, uint64_t index) {
  raft::Entry entry;
  entry.id = {Term{term}, Index{index}};
  entry.time = ClusterTime{static_cast<int64_t>(index)};
  entry.kind = raft::EntryKind::kOp;
  entry.data = Format("%lu/%lu", term, index);
  return entry;
}

class LogStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { PutTerm(1'000); }
  void PutTerm(uint64_t term) {
    WriteBatch batch;
    store_.PutHardState({Term{term}, kNoNode}, &batch);
    disk_.Write(batch);
  }
  void Append(uint64_t term, uint64_t from, uint64_t to) {
    std::vector<raft::Entry> entries;
    for (uint64_t index = from; index <= to; ++index) entries.push_back(EntryAt(term, index));
    WriteBatch batch;
    store_.Append(entries, &batch);
    disk_.Write(batch);
    log_.erase(log_.lower_bound(from), log_.end());
    for (const raft::Entry& entry : entries) log_[entry.id.index.value] = entry;
  }
  void Snapshot(uint64_t at, bool keep_log, Bytes data) {
    raft::Snapshot snapshot;
    snapshot.last = {Term{1}, Index{at}};
    if (keep_log && log_.contains(at)) snapshot.last.term = log_[at].id.term;
    snapshot.config.voters = {{NodeId{1}, DiskId{5}}};
    snapshot.data = std::move(data);
    WriteBatch batch;
    if (keep_log) {
      store_.PutSnapshot(snapshot, needs_, &batch);
    } else {
      store_.PutForeignSnapshot(snapshot, Index{kept_}, needs_, &batch);
    }
    disk_.Write(batch);
    if (keep_log) {
      log_.erase(log_.begin(), log_.upper_bound(at));
    } else {
      log_.clear();
    }
    snapshot_ = snapshot;
  }
  void ExpectWhatWasWritten() {
    LogStore fresh(GroupId{1});
    const Result<LogStore::Loaded> loaded = fresh.Load(disk_);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    std::vector<raft::Entry> expected;
    for (const auto& [index, entry] : log_) expected.push_back(entry);
    EXPECT_EQ(loaded->recovered.entries, expected);
    EXPECT_EQ(loaded->recovered.snapshot, snapshot_);
  }
  void Restart() {
    store_ = LogStore(GroupId{1});
    ASSERT_TRUE(store_.Load(disk_).ok());
  }

  std::optional<Bytes> DataOf(uint64_t index) {
    return store_.DataOf(Index{index}, [this](BytesView key) { return disk_.Get(key); });
  }

  MemoryDisk disk_;
  LogStore store_{GroupId{1}};
  LogStore::Needs needs_ = [](Index) { return false; };
  uint64_t kept_ = 0;  // Applied when a leader's snapshot comes.
  std::map<uint64_t, raft::Entry> log_;
  raft::Snapshot snapshot_;
};

TEST_F(LogStoreTest, NothingWrittenIsNothingFound) {
  disk_.Empty();
  const Result<LogStore::Loaded> loaded = store_.Load(disk_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE(loaded->found);
}

TEST_F(LogStoreTest, ATruncationTakesWhatFollows) {
  Append(1, 1, 10);
  Append(2, 5, 6);
  ExpectWhatWasWritten();
  Append(2, 7, 9);
  ExpectWhatWasWritten();
  Append(3, 3, 3);
  ExpectWhatWasWritten();
}

TEST_F(LogStoreTest, ASnapshotTakesTheLogThatItCovers) {
  Append(1, 1, 4);
  Append(1, 5, 8);
  Append(1, 9, 12);
  Snapshot(6, true, Bytes(3'000'000, 'x'));  // Three pieces.
  ExpectWhatWasWritten();
  Snapshot(12, true, "small");
  ExpectWhatWasWritten();
  Append(1, 13, 14);
  ExpectWhatWasWritten();
}

// One that was not finished is nothing, whether the node has ended meanwhile or a leader's came.
TEST_F(LogStoreTest, ASnapshotComesInAsManyBatchesAsItTakes) {
  const Bytes data(3'500'000, 'y');
  const auto begin = [&](size_t bytes) {
    WriteBatch batch;
    store_.DropUnfinished(&batch);
    store_.AddToSnapshot(BytesView(data).substr(0, bytes), &batch);
    disk_.Write(batch);
  };
  Append(1, 1, 9);
  Snapshot(4, true, Bytes(2'500'000, 'x'));
  begin(2'200'000);
  ExpectWhatWasWritten();
  Restart();
  ExpectWhatWasWritten();
  begin(1'300'000);
  Append(1, 10, 12);
  ExpectWhatWasWritten();

  snapshot_.last = {Term{1}, Index{8}};
  snapshot_.data = data;
  WriteBatch batch;
  store_.AddToSnapshot(BytesView(data).substr(1'300'000), &batch);
  store_.FinishSnapshot(snapshot_, needs_, &batch);
  disk_.Write(batch);
  log_.erase(log_.begin(), log_.upper_bound(8));
  ExpectWhatWasWritten();

  begin(3'400'000);
  Snapshot(50, false, Bytes(1'200'000, 'z'));
  ExpectWhatWasWritten();
  Restart();
  Snapshot(60, false, "small");
  ExpectWhatWasWritten();
}

TEST_F(LogStoreTest, ALeadersSnapshotReplacesTheLog) {
  Append(1, 1, 20);
  Snapshot(50, false, "state");
  ExpectWhatWasWritten();
  Append(4, 51, 52);
  ExpectWhatWasWritten();
}

// What the state has left in the log outlives it, and nothing else does.
TEST_F(LogStoreTest, WhatTheStateNeedsStaysBehindItsSnapshotUntilItIsDropped) {
  needs_ = [](Index entry) { return entry.value == 3 || entry.value == 4 || entry.value == 9; };
  Append(1, 1, 12);
  Snapshot(6, true, "state");
  Restart();
  ExpectWhatWasWritten();
  EXPECT_EQ(DataOf(3), "1/3");
  EXPECT_EQ(DataOf(4), "1/4");
  EXPECT_EQ(DataOf(5), std::nullopt);
  EXPECT_EQ(DataOf(8), "1/8") << "in the log itself";
  Snapshot(12, true, "state");
  EXPECT_EQ(DataOf(3), "1/3") << "not looked at again";
  EXPECT_EQ(DataOf(8), std::nullopt);
  EXPECT_EQ(DataOf(9), "1/9");
  WriteBatch batch;
  store_.Drop(Index{3}, &batch);
  disk_.Write(batch);
  EXPECT_EQ(DataOf(3), std::nullopt);
  EXPECT_EQ(DataOf(4), "1/4");
}

TEST_F(LogStoreTest, BesideALeadersSnapshotStandsWhatWasAppliedAndWhatWasFetched) {
  needs_ = [](Index entry) { return entry.value % 5 == 0; };
  Append(1, 1, 12);
  kept_ = 10;
  WriteBatch batch;
  store_.PutFetched(Index{15}, "fetched", &batch);
  store_.PutFetched(Index{20}, "fetched too", &batch);
  disk_.Write(batch);
  Snapshot(30, false, "state");
  Append(2, 31, 33);
  Restart();
  ExpectWhatWasWritten();
  EXPECT_EQ(DataOf(5), "1/5");
  EXPECT_EQ(DataOf(10), "1/10");
  EXPECT_EQ(DataOf(7), std::nullopt);
  EXPECT_EQ(DataOf(11), std::nullopt) << "it was in no state";
  EXPECT_EQ(DataOf(15), "fetched");
  EXPECT_EQ(DataOf(20), "fetched too");
  WriteBatch more;
  store_.Drop(Index{15}, &more);
  store_.PutFetched(Index{40}, "of one that never came", &more);
  disk_.Write(more);
  Restart();
  WriteBatch last;
  store_.DropFetched(&last);
  disk_.Write(last);
  EXPECT_EQ(DataOf(15), std::nullopt);
  EXPECT_EQ(DataOf(20), "fetched too");
  EXPECT_EQ(DataOf(40), std::nullopt);
}

TEST_F(LogStoreTest, ADamagedSnapshotIsNamed) {
  Snapshot(5, false, "state");
  WriteBatch damage;
  Bytes key("g\0\0\0\1t\0\0\0\0\0\0\0\0", 14);
  damage.Put(key, "stAte");
  disk_.Write(damage);
  const Result<LogStore::Loaded> loaded = LogStore(GroupId{1}).Load(disk_);
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find("snapshot of group 1"), Bytes::npos);
  EXPECT_TRUE(loaded.error().message.ends_with(kWayOut)) << loaded.error().message;
}

TEST_F(LogStoreTest, AMissingEntryIsNamed) {
  Append(1, 1, 4);
  Append(1, 5, 8);
  Append(1, 9, 12);
  WriteBatch damage;
  damage.Delete(Bytes("g\0\0\0\1l\0\0\0\0\0\0\0\5", 14));
  disk_.Write(damage);
  EXPECT_FALSE(LogStore(GroupId{1}).Load(disk_).ok());
}

TEST_F(LogStoreTest, RecordsThatContradictEachOtherAreDamageAndNoCrash) {
  const auto what_is_damaged = [&] {
    const Result<LogStore::Loaded> loaded = LogStore(GroupId{1}).Load(disk_);
    EXPECT_FALSE(loaded.ok());
    const Bytes said = loaded.ok() ? "" : loaded.error().message;
    return said.substr(0, said.find(" of group 1 on disk does not decode"));
  };
  const auto write = [&](const std::vector<raft::Entry>& entries) {
    disk_.Empty();
    SetUp();
    WriteBatch batch;
    LogStore(GroupId{1}).Append(entries, &batch);
    disk_.Write(batch);
  };
  write({EntryAt(3, 1), EntryAt(2, 2)});
  EXPECT_EQ(what_is_damaged(), "the log") << "a term falls";

  raft::Entry early = EntryAt(2, 2);
  early.time = ClusterTime{0};
  write({EntryAt(2, 1), early});
  EXPECT_EQ(what_is_damaged(), "the log") << "a stamp falls";

  // A joint configuration is left for its own new half and for nothing else.
  const raft::Member one{NodeId{1}, DiskId{1}}, two{NodeId{2}, DiskId{2}};
  const auto config_at = [](uint64_t index, const raft::Config& config) {
    raft::Entry entry = EntryAt(2, index);
    entry.kind = raft::EntryKind::kConfig;
    entry.data = raft::EncodeConfig(config);
    return entry;
  };
  const raft::Config joint{{two}, {one}, {}};
  write({config_at(1, joint), config_at(2, raft::Config{{one}, {}, {}})});
  EXPECT_EQ(what_is_damaged(), "the log") << "a joint configuration is left for another half";
  write({config_at(1, joint), config_at(2, joint)});
  EXPECT_EQ(what_is_damaged(), "the log") << "a joint configuration is not left";
  write({config_at(1, joint), config_at(2, raft::Config{{two}, {}, {}})});
  PutTerm(2);
  EXPECT_TRUE(LogStore(GroupId{1}).Load(disk_).ok());

  write({EntryAt(3, 1)});
  PutTerm(2);
  EXPECT_EQ(what_is_damaged(), "the hard state") << "the log is ahead of the node's own term";
}

TEST_F(LogStoreTest, WhatDoesNotDecodeIsNamed) {
  const auto with = [&](const Bytes& key, const Bytes& value) {
    disk_.Empty();
    WriteBatch batch;
    batch.Put(Bytes("g\0\0\0\1", 5) + key, value);
    disk_.Write(batch);
    const Result<LogStore::Loaded> loaded = LogStore(GroupId{1}).Load(disk_);
    return loaded.ok() ? "" : loaded.error().message.substr(0, 10);
  };
  EXPECT_EQ(with("h", "\1"), "the hard s");
  EXPECT_EQ(with("h", "\1\1\1\1"), "the hard s");
  const Bytes beyond_all_terms = Bytes(9, '\xff') + "\1\1\1";
  EXPECT_EQ(with("h", beyond_all_terms), "the hard s") << "the next one would overflow";
  EXPECT_EQ(with("s", "\1\1"), "the snapsh");
  EXPECT_EQ(with("l12345678", "\2\1"), "the log of");
  EXPECT_EQ(with(Bytes("l\0\0\0\0\0\0\0\1", 9), "\2\1"), "the log of");
  EXPECT_EQ(with("x", ""), "the key sp");
}

TEST_F(LogStoreTest, AnyOrderOfWritesComesBack) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    disk_.Empty();
    SetUp();
    store_ = LogStore(GroupId{1});
    log_.clear();
    snapshot_ = {};
    Rng rng(seed);
    uint64_t term = 1;
    for (int i = 0; i < 40; ++i) {
      const uint64_t low = snapshot_.last.index.value + 1;
      const uint64_t last = log_.empty() ? low - 1 : log_.rbegin()->first;
      switch (rng.Below(8)) {
        case 0:
          if (last >= low)
            Snapshot(low + rng.Below(last - low + 1), true, Bytes(rng.Below(9), 's'));
          break;
        case 1:
          Snapshot(last + 1 + rng.Below(5), false, Bytes(rng.Below(9), 'S'));
          break;
        case 2:
          Restart();
          break;
        case 3: {  // A new leader truncates.
          const uint64_t from = low + rng.Below(last - low + 2);
          Append(++term, from, from + rng.Below(4));
          break;
        }
        default:
          Append(term, last + 1, last + 1 + rng.Below(6));
      }
      ExpectWhatWasWritten();
      if (HasFailure()) FAIL() << "seed " << seed << " step " << i;
    }
  }
}

}  // namespace
}  // namespace lockstep
