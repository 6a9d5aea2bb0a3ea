// What can be read from a lock table, and what a snapshot of it holds.
#include "commands/lock_table.h"

#include <gtest/gtest.h>

#include "tests/lock_fixture.h"

namespace lockstep {
namespace {

using LockReadTest = LockTest;

// ---- Reading. ----

TEST_F(LockReadTest, InfoShowsTheHolderTheLeaseAndTheNote) {
  Options options = Lease(10'000);
  options.meta = "host-3:4711";
  Acquire("alice", Names{"x"}, kTry, options);
  Pass(3'000);
  const Reply row = Info("x", "holders").items.at(0);
  EXPECT_EQ(Field(row, "owner"), Reply::Bulk("alice"));
  EXPECT_EQ(Field(row, "token"), Reply::Integer(101));
  EXPECT_EQ(Field(row, "mode"), Reply::Bulk("EXCLUSIVE"));
  EXPECT_EQ(Field(row, "ttl"), Reply::Integer(7'000));
  EXPECT_EQ(Field(row, "held"), Reply::Integer(3'000));
  EXPECT_EQ(Field(row, "meta"), Reply::Bulk("host-3:4711"));
}

TEST_F(LockReadTest, AScanMeetsEveryLockThatIsThereAllTheTimeExactlyOnce) {
  for (int i = 0; i < 500; ++i) Acquire("alice", "stays" + std::to_string(i));
  std::map<Bytes, int> met;
  uint64_t cursor = 0;
  int page = 0;
  do {
    const Reply reply = Ask(ListQuery{cursor, "stays*", 7});
    for (const Reply& name : reply.items[1].items) ++met[name.text];
    ASSERT_TRUE(ParseUint64(reply.items[0].text, &cursor));
    // Others come and go in between.
    Acquire("bob", "comes" + std::to_string(++page));
    if (page % 2 == 0) Release("bob", "comes" + std::to_string(page / 2));
  } while (cursor != 0);
  EXPECT_EQ(met.size(), 500U);
  for (const auto& [name, times] : met) EXPECT_EQ(times, 1) << name;
}

TEST_F(LockReadTest, AScanOfPastTheEndIsOver) {
  Acquire("alice", "x");
  const Reply reply = Ask(ListQuery{UINT64_MAX, "*", 10});
  EXPECT_EQ(reply.items[0], Reply::Bulk("0"));
  EXPECT_TRUE(reply.items[1].items.empty());
}

// ---- Snapshots and replicas. ----

Bytes SavedBy(const LockTable& table) {
  Bytes saved;
  Writer writer(&saved);
  table.Save(&writer);
  return saved;
}

class LockSnapshotTest : public LockTest {
 protected:
  void MakeHistory() {
    Acquire("alice", "x");
    Acquire("bob", "y");
    Acquire("alice", "y", kForever);
    Acquire("bob", "x", kForever);  // A deadlock: bob's age is remembered.
    Options options = Bound(9);
    options.meta = "note";
    Acquire("carol", Names{"x", "z"}, 5'000, options);
    Acquire("dave", Names{"s"}, kTry, Shared(2));
    Acquire("erin", Names{"s"}, kTry, Shared(2));
    Acquire("frank", Names{"s"}, kForever, Shared(2));
    Release("dave", "s");  // frank is granted by waiting.
  }
};

TEST_F(LockSnapshotTest, ALoadedTableHoldsEverythingThatWasSaved) {  // Trap 30.
  MakeHistory();
  LockTable loaded;
  const Bytes saved = SavedBy(table);
  Reader reader(saved);
  ASSERT_TRUE(loaded.Load(&reader).ok());
  EXPECT_TRUE(reader.done());
  loaded.CheckInvariants();
  EXPECT_EQ(loaded.Hash(), table.Hash());
  EXPECT_EQ(SavedBy(loaded), saved);
  EXPECT_EQ(loaded.figures().last_token, table.figures().last_token);
  EXPECT_EQ(loaded.Query(at.time, DeadlocksQuery{}.Encode()), Ask(DeadlocksQuery{}));
  EXPECT_EQ(loaded.Query(at.time, OwnerQuery{"bob"}.Encode()), Ask(OwnerQuery{"bob"}));
}

TEST_F(LockSnapshotTest, TokensGoOnAboveAllThatWereGivenBeforeARestore) {  // Trap 52.
  MakeHistory();
  const Bytes saved = SavedBy(table);
  Reader reader(saved);
  LockTable restored;
  ASSERT_TRUE(restored.Load(&reader).ok());
  // A log that begins again below: the index does not decide alone.
  Effects out;
  AcquireOp op{{"new"}, "zoe", LockMode::kExclusive, kTtl, std::nullopt, 0, "", std::nullopt};
  restored.Apply({Index{1}, at.time}, {NodeId{9}, 1, 1}, op.Encode(), &out);
  ASSERT_EQ(out.answers.size(), 1U);
  EXPECT_GT(out.answers[0].reply.integer, static_cast<int64_t>(table.figures().last_token));
}

TEST_F(LockSnapshotTest, ADamagedSnapshotIsRefusedAndLeavesAnEmptyTable) {
  MakeHistory();
  const Bytes saved = SavedBy(table);
  const uint64_t empty = LockTable().Hash();
  for (size_t size = 0; size < saved.size(); ++size) {
    LockTable loaded;
    Reader reader(BytesView(saved).substr(0, size));
    EXPECT_FALSE(loaded.Load(&reader).ok()) << size;
    EXPECT_EQ(loaded.Hash(), empty) << size;
  }
  for (size_t bit = 0; bit < saved.size() * 8; ++bit) {
    Bytes damaged = saved;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    LockTable loaded;
    Reader reader(damaged);
    const Result<void> done = loaded.Load(&reader);
    EXPECT_FALSE(done.ok() && reader.done()) << bit;
  }
}

TEST_F(LockSnapshotTest, NodesWithDifferentHashKeysHaveTheSameTable) {  // Trap 54.
  std::vector<Bytes> saved;
  for (uint64_t key = 1; key <= 3; ++key) {
    SetHashKey(key, key * 77);
    LockDriver node;
    for (int i = 0; i < 300; ++i) {
      const Bytes owner = "owner" + std::to_string(i % 17);
      node.Acquire(owner, "lock" + std::to_string(i * 7 % 40), i % 3 == 0 ? kTry : kForever);
      if (i % 5 == 0) node.ReleaseAll("owner" + std::to_string(i % 13));
      node.Pass(100);
    }
    saved.push_back(SavedBy(node.table));
  }
  EXPECT_EQ(saved[0], saved[1]);
  EXPECT_EQ(saved[0], saved[2]);
}

}  // namespace
}  // namespace lockstep
