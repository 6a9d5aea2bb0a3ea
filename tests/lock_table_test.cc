// The lock table, rule by rule. Trap numbers are those of the house's list of known traps.
#include "commands/lock_table.h"

#include <gtest/gtest.h>

#include "tests/lock_driver.h"

namespace lockstep {
namespace {

constexpr auto kShared = LockMode::kShared;
constexpr auto kExclusive = LockMode::kExclusive;

class LockTableTest : public testing::Test, protected LockDriver {
 protected:
  static Bytes ErrorOf(const std::optional<Reply>& reply) {
    return reply && reply->is_error() ? reply->text : Bytes("(no error)");
  }
  int64_t TokenOf(const std::optional<Reply>& reply) {
    EXPECT_TRUE(reply && reply->kind == Reply::Kind::kInteger);
    return reply ? reply->integer : 0;
  }
};

TEST_F(LockTableTest, AFreeLockIsGrantedWithTheIndexOfItsEntryForAToken) {
  EXPECT_EQ(Acquire("alice", "x"), Reply::Integer(101));
  EXPECT_EQ(Acquire("alice", "y"), Reply::Integer(102));
  EXPECT_EQ(Holders("x"), "alice");
  EXPECT_EQ(Info("x", "state"), Reply::Bulk("LOCKED"));
}

TEST_F(LockTableTest, ALockThatOthersHoldIsNilAndLeavesNoTrace) {
  Acquire("alice", "x");
  const uint64_t before = table.Hash();
  EXPECT_EQ(Acquire("bob", "x"), Reply::Nil());
  EXPECT_EQ(table.Hash(), before);
  EXPECT_EQ(table.figures().owners, 1U);
}

TEST_F(LockTableTest, TheHolderThatAsksAgainGetsItsTokenAndAFreshLease) {
  const int64_t token = TokenOf(Acquire("alice", "x"));
  Pass(20'000);
  EXPECT_EQ(Acquire("alice", "x"), Reply::Integer(token));
  Pass(20'000);
  EXPECT_TRUE(Check("x", token));
}

TEST_F(LockTableTest, AReleaseGrantsToTheFirstWaiterInTheSameEntry) {
  Acquire("alice", "x");
  EXPECT_EQ(Acquire("bob", "x", kForever), std::nullopt);
  const RequestId bob = last;
  EXPECT_EQ(Acquire("carol", "x", kForever), std::nullopt);
  EXPECT_EQ(Release("alice", "x"), 1);
  EXPECT_EQ(AnswerTo(bob), Reply::Integer(static_cast<int64_t>(at.index.value)));
  EXPECT_EQ(Holders("x"), "bob");
  EXPECT_EQ(Waiters("x"), "carol");
}

TEST_F(LockTableTest, TheYoungestOwnerOfACycleIsAborted) {
  EXPECT_EQ(Acquire("alice", "x", kForever), Reply::Integer(101));
  EXPECT_EQ(Acquire("bob", "y", kForever), Reply::Integer(102));
  EXPECT_EQ(Acquire("alice", "y", kForever), std::nullopt);
  const RequestId alice = last;
  const std::optional<Reply> reply = Acquire("bob", "x", kForever);
  EXPECT_EQ(ErrorOf(reply),
            "DEADLOCK waiting for 'x' would close a cycle: bob -> x -> alice -> y -> bob; all locks "
            "of 'bob' were released; try again");
  EXPECT_EQ(AnswerTo(alice), Reply::Integer(104));  // In the same entry.
  EXPECT_EQ(Holders("y"), "alice");
}

}  // namespace
}  // namespace lockstep
