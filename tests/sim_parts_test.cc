// The simulator's parts, each by itself: what is checked while a run goes on, and the disk.
#include <gtest/gtest.h>

#include "tests/sim/disk.h"
#include "tests/sim/lock_checker.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

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

}  // namespace
}  // namespace lockstep::sim
