// The simulator's parts, each by itself: what is checked while a run goes on, and the disk.
#include <gtest/gtest.h>

#include "cluster/bus/envelope.h"
#include "cluster/raft/messages.h"
#include "commands/lock_table.h"
#include "src/log_store.h"
#include "tests/sim/disk.h"
#include "tests/sim/durability.h"
#include "tests/sim/lock_checker.h"
#include "tests/sim/reference.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr auto kNeedsNothing = [](Index) { return false; };

// Beliefs, victims, answers ----------------------------------------------------------------------

class LockCheckerTest : public testing::Test {
 protected:
  LockCommand Command(LockCommand::Kind kind, const Bytes& name, const Bytes& owner) {
    LockCommand command;
    command.kind = kind;
    command.names = {name};
    command.owner = owner;
    return command;
  }
  size_t Send(const LockCommand& command) { return checker_.Issue(command); }
  size_t Acquire(const Bytes& name, const Bytes& owner, std::optional<int64_t> block_ms = {}) {
    LockCommand command = Command(LockCommand::Kind::kAcquire, name, owner);
    command.block_ms = block_ms;
    return Send(command);
  }
  void Told(size_t ticket, LockAnswer::Kind kind, uint64_t number = 0) {
    LockAnswer answer;
    answer.kind = kind;
    answer.number = number;
    checker_.Conclude(ticket, answer, {});
  }
  void Granted(size_t ticket, uint64_t token) { Told(ticket, LockAnswer::Kind::kToken, token); }
  void Victim(size_t ticket) { Told(ticket, LockAnswer::Kind::kDeadlock); }
  void Pass(int64_t ms) { world_.events().RunUntil(world_.now_us() + ms * kUsPerMs); }

  World world_{1, false};
  LockChecker checker_{&world_};
};

TEST_F(LockCheckerTest, TwoWhoBelieveToHoldTheSameLockAreFound) {
  Granted(Acquire("x", "alice"), 7);
  EXPECT_THROW(Granted(Acquire("x", "bob"), 8), Failure);
}

TEST_F(LockCheckerTest, ABeliefEndsWithTheShorterLeaseThatWasAskedForLast) {
  Granted(Acquire("x", "alice"), 7);
  Granted(Acquire("y", "alice"), 8);
  LockCommand renew = Command(LockCommand::Kind::kRenewAll, "y", "alice");
  renew.ttl_ms = 50;
  const size_t ticket = Send(renew);
  Pass(100);

  EXPECT_NO_THROW(Granted(Acquire("x", "bob"), 9));
  EXPECT_NO_THROW(Told(ticket, LockAnswer::Kind::kNumber, 2));
}

TEST_F(LockCheckerTest, AVictimThatSomebodyWaitedForIsExplained) {
  Granted(Acquire("x", "alice"), 7);
  Granted(Acquire("y", "bob"), 8);
  Acquire("y", "alice", 0);
  EXPECT_NO_THROW(Victim(Acquire("x", "bob", 0)));
}

TEST_F(LockCheckerTest, AVictimMayOnlyStandInLineForWhatAnotherWants) {
  LockCommand both = Command(LockCommand::Kind::kMultiAcquire, "x", "bob");
  both.names.push_back("y");
  both.block_ms = 0;
  Granted(Acquire("x", "alice"), 7);
  const size_t ticket = Send(both);
  Acquire("y", "alice", 0);
  EXPECT_NO_THROW(Victim(ticket));
}

TEST_F(LockCheckerTest, AVictimThatNobodyWaitedForIsFound) {
  Granted(Acquire("x", "alice"), 7);
  Granted(Acquire("y", "bob"), 8);
  EXPECT_THROW(Victim(Acquire("x", "bob", 0)), Failure);
}

TEST_F(LockCheckerTest, AVictimThatHasGivenBackWhatTheOtherWantsIsFound) {
  Granted(Acquire("x", "alice"), 7);
  Granted(Acquire("y", "bob"), 8);
  Told(Send(Command(LockCommand::Kind::kRelease, "y", "bob")), LockAnswer::Kind::kNumber, 1);
  Pass(1);
  Acquire("y", "alice", 0);
  EXPECT_THROW(Victim(Acquire("x", "bob", 0)), Failure);
}

TEST_F(LockCheckerTest, AVictimThatDidNotWaitIsFound) {
  Granted(Acquire("y", "bob"), 8);
  Acquire("y", "alice", 0);
  EXPECT_THROW(Victim(Acquire("x", "bob")), Failure);
}

TEST_F(LockCheckerTest, AnotherOwnersMetaIsFound) {
  const LockCommand info = Command(LockCommand::Kind::kInfo, "x", "");
  const auto reply = [](const Bytes& meta) {
    Reply row = Reply::Map();
    row.Add("owner", Reply::Bulk("alice"));
    row.Add("token", Reply::Integer(7));
    row.Add("mode", Reply::Bulk("EXCLUSIVE"));
    row.Add("ttl", Reply::Integer(1));
    row.Add("meta", Reply::Bulk(meta));
    Reply holders = Reply::Array();
    holders.Add(std::move(row));
    Reply map = Reply::Map();
    map.Add("name", Reply::Bulk("x"));
    map.Add("state", Reply::Bulk("LOCKED"));
    map.Add("holders", std::move(holders));
    map.Add("waiters", Reply::Array());
    return map;
  };
  const Reply right = reply(MetaOf("x", "alice", 30));
  const Reply wrong = reply(MetaOf("x", "bob", 30));
  EXPECT_NO_THROW(Interpret(info, &right, true));
  EXPECT_THROW(Interpret(info, &wrong, true), Failure);
}

// The disk ---------------------------------------------------------------------------------------

raft::Snapshot SnapshotAt(uint64_t term, uint64_t index) {
  raft::Snapshot snapshot;
  snapshot.last = {Term{term}, Index{index}};
  return snapshot;
}

class SimDiskTest : public testing::Test {
 protected:
  void Write(uint64_t number) {
    WriteBatch batch;
    batch.Put("key", std::to_string(number));
    disk_.Write(number, std::move(batch), [this](uint64_t n) { heard_ = n; });
  }
  void Pass() { world_.events().RunUntil(world_.now_us() + kUsPerSecond); }
  Bytes Stored() {
    Bytes stored = "nothing";
    const Result<void> read = disk_.Scan("a", "z", [&](BytesView, BytesView value) {
      stored = Bytes(value);
      return Result<void>();
    });
    return read.ok() ? stored : "damage";
  }

  World world_{1, false};
  Bytes failed_;
  uint64_t heard_ = 0;
  Disk disk_{&world_, [this](const char* why) { failed_ = why; }};
};

TEST_F(SimDiskTest, WhatIsHeardIsStored) {
  Write(1);
  Pass();
  EXPECT_EQ(heard_, 1u);
  EXPECT_EQ(Stored(), "1");
}

TEST_F(SimDiskTest, AFullDiskTakesNothingAndSaysSoUntilThereIsRoom) {
  disk_.Fill(true);
  Write(1);
  Pass();
  EXPECT_EQ(failed_, "no space left on device");
  EXPECT_EQ(heard_, 0u);
  EXPECT_EQ(Stored(), "nothing");

  disk_.Fill(false);
  Write(2);
  Pass();
  EXPECT_EQ(Stored(), "2");
}

TEST_F(SimDiskTest, AFailedSyncIsNeverHeardAsDoneAndNothingIsWrittenAfterIt) {
  disk_.FailNextSync();
  Write(1);
  Write(2);
  Pass();
  EXPECT_EQ(failed_, "input/output error");
  EXPECT_EQ(heard_, 0u);
  EXPECT_NE(Stored(), "2");
  EXPECT_TRUE(disk_.idle());
}

TEST_F(SimDiskTest, WhoWaitsForTheNextWriteIsToldOnceWhileItGoesOn) {
  int told = 0;
  disk_.OnNextWrite(false, [&] { ++told; });
  EXPECT_EQ(told, 0);
  Write(1);
  Pass();
  Write(2);
  Pass();
  EXPECT_EQ(told, 1);
}

TEST_F(SimDiskTest, WhoWaitsForASnapshotIsNotToldOfAnotherWrite) {
  int told = 0;
  disk_.OnNextWrite(true, [&] { ++told; });
  Write(1);
  Pass();
  EXPECT_EQ(told, 0);

  WriteBatch batch;
  LogStore(kLocksGroup).PutSnapshot(SnapshotAt(1, 5), kNeedsNothing, &batch);
  disk_.Write(2, std::move(batch), [](uint64_t) {});
  Pass();
  EXPECT_EQ(told, 1);
}

// What a disk says of logs -----------------------------------------------------------------------

class DiskLogTest : public SimDiskTest {
 protected:
  void Append(uint64_t term, uint64_t from, uint64_t to) {
    std::vector<raft::Entry> entries;
    for (uint64_t i = from; i <= to; ++i) {
      entries.emplace_back();
      entries.back().id = {Term{term}, Index{i}};
    }
    store_.Append(entries, &batch_);
    Flush();
  }
  void Flush() {
    disk_.Write(++number_, std::exchange(batch_, {}), [](uint64_t) {});
    Pass();
  }
  // As the product reads it.
  void ExpectAsLoaded() {
    const Result<LogStore::Loaded> loaded = LogStore(kLocksGroup).Load(disk_);
    ASSERT_TRUE(loaded.ok());
    const raft::Recovered& recovered = loaded->recovered;
    EXPECT_EQ(disk_.log().snapshot(kLocksGroup), recovered.snapshot.last.index);
    EXPECT_EQ(disk_.log().hard(kLocksGroup), recovered.hard);
    Index last = recovered.snapshot.last.index;
    for (const raft::Entry& entry : recovered.entries) {
      last = entry.id.index;
      EXPECT_TRUE(disk_.log().Has(kLocksGroup, entry.id));
      EXPECT_FALSE(disk_.log().Has(kLocksGroup, {Term{99}, last}));
    }
    EXPECT_EQ(disk_.log().last(kLocksGroup), last);
    EXPECT_FALSE(disk_.log().Has(kLocksGroup, {Term{1}, Next(last)}));
  }

  LogStore store_{kLocksGroup};
  WriteBatch batch_;
  uint64_t number_ = 0;
};

TEST_F(DiskLogTest, ReadsALogThatWasCutAndWrittenAnew) {
  store_.PutHardState({Term{2}, NodeId{2}}, &batch_);
  Append(1, 1, 10);
  Append(1, 11, 12);
  ExpectAsLoaded();
  Append(2, 5, 6);
  ExpectAsLoaded();
  EXPECT_EQ(disk_.log().TermAt(kLocksGroup, Index{7}), std::nullopt);
  EXPECT_EQ(disk_.log().TermAt(kControlGroup, Index{5}), std::nullopt);
}

TEST_F(DiskLogTest, ReadsWhatASnapshotLeavesAndAVote) {
  Append(1, 1, 4);
  Append(1, 5, 9);
  store_.PutHardState({Term{3}, NodeId{2}}, &batch_);
  store_.PutSnapshot(SnapshotAt(1, 6), kNeedsNothing, &batch_);
  Flush();
  ExpectAsLoaded();
  store_.PutForeignSnapshot(SnapshotAt(3, 40), Index{9}, kNeedsNothing, &batch_);
  Flush();
  ExpectAsLoaded();
  EXPECT_TRUE(disk_.log().Has(kLocksGroup, {Term{2}, Index{30}}));
}

// Promises ---------------------------------------------------------------------------------------

class DurabilityTest : public testing::Test {
 protected:
  DurabilityTest() {
    process_.Start();
    world_.events().RunUntil(world_.now_us() + kUsPerMs);
  }
  void Send(const raft::Body& body) {
    Bytes frame;
    Writer out(&frame);
    bus::EncodeHeader({.type = bus::MessageType::kRaft,
                       .sender = NodeId{1},
                       .term = Term{7},
                       .group = kLocksGroup},
                      &out);
    raft::EncodeBody(body, &out);
    Durability(&world_).OnFrame(process_, NodeId{2}, frame);
  }

  World world_{1, false};
  Process& process_ = world_.AddProcess(NodeId{1}, {NodeId{1}, NodeId{2}, NodeId{3}});
};

TEST_F(DurabilityTest, AVoteThatIsNotOnDiskIsFound) {
  EXPECT_NO_THROW(Send(raft::VoteReply{.pre = false, .granted = false}));
  EXPECT_NO_THROW(Send(raft::VoteReply{.pre = true, .granted = true}));
  EXPECT_THROW(Send(raft::VoteReply{.pre = false, .granted = true}), Failure);
  EXPECT_THROW(Send(raft::VoteRequest{}), Failure);
}

TEST_F(DurabilityTest, AnAcknowledgementOfWhatIsNotOnDiskIsFound) {
  raft::AppendReply reply;
  EXPECT_NO_THROW(Send(reply));
  reply.success = true;
  EXPECT_NO_THROW(Send(reply));
  reply.match = Index{4};
  EXPECT_THROW(Send(reply), Failure);

  raft::SnapshotReply installed;
  installed.match = Index{4};
  EXPECT_NO_THROW(Send(installed));
  installed.installed = true;
  EXPECT_THROW(Send(installed), Failure);
}

// The reference ----------------------------------------------------------------------------------

TEST(ReferenceTest, IsAsAReplicaThatHasAppliedTheSameAndNotAsOneThatHasNot) {
  Replica replica(std::make_unique<LockTable>());
  Reference reference(replica, kLocksGroup, Index{0});
  Bytes opening;
  Writer out(&opening);
  EncodeOpenSession(NodeId{1}, {DiskId{5}, 1, 1}, &out);
  Effects effects;
  ASSERT_TRUE(replica.Apply(Index{1}, ClusterTime{10}, opening, &effects));

  reference.Apply({.id = {Term{1}, Index{1}}, .time = ClusterTime{10},
                   .kind = raft::EntryKind::kOp, .data = opening});
  EXPECT_TRUE(reference.Knows(Index{1}));
  EXPECT_FALSE(reference.Knows(Index{2}));
  EXPECT_EQ(reference.HashAt(Index{1}), replica.Hash());
  EXPECT_NE(reference.HashAt(Index{0}), replica.Hash());
}

}  // namespace
}  // namespace lockstep::sim
