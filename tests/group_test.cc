// One group on one node: what its leader has taken is in its log, or its term is over.
#include <set>

#include "commands/lock_ops.h"
#include "tests/group_alone.h"

namespace lockstep {
namespace {

class GroupTest : public GroupAlone {
 protected:
  GroupTest() : GroupAlone(Limited()) {
    Settle();
    Bytes opening;
    Writer out(&opening);
    EncodeOpenSession(kSelf, {DiskId{7}, 1, 1}, &out);
    EXPECT_EQ(group_->WriteAlone(std::move(opening)), Group::Taken::kYes);
    Settle();
  }
  static raft::Options Limited() {
    raft::Options options;
    options.uncommitted_bytes_max = 3'000;
    return options;
  }

  // Turns, each write on disk at once, until nothing moves.
  void Settle() {
    for (int i = 0; i < 20; ++i) SyncedTurn();
  }
  Group::Taken Write(uint64_t seq, size_t bytes, const Answered& answered = {}) {
    AcquireOp op;
    op.names = {Bytes(bytes, 'x')};
    op.owner = "alice";
    op.ttl_ms = 1'000;
    const uint64_t incarnation = group_->replica().SessionOf(kSelf).incarnation;
    return group_->Write({kSelf, incarnation, seq}, op.Encode(), answered);
  }

  void OnAnswer(Group&, const RequestId& request, Reply) override { answered_.insert(request.seq); }

  std::set<uint64_t> answered_;
};

// What is told with the requests counts as well where there is hardly room for them.
// Nobody would look at it again, and the lease would not end.
TEST_F(GroupTest, APulseThatADrainHasProposedIsWorkForTheNext) {
  EXPECT_EQ(Write(1, 10), Group::Taken::kYes);
  Settle();
  Turn();
  EXPECT_FALSE(group_->HasWork());
  now_ = now_ + 5 * kUsPerSecond;
  Turn();
  EXPECT_TRUE(group_->HasWork());
}

TEST_F(GroupTest, WhatWasTakenIsInTheLogThoughTheLeaderIsAlmostFull) {
  for (size_t gap = 0; gap < 200; ++gap) {
    answered_.clear();
    const uint64_t seq = 1 + 4 * gap;
    Answered told{seq, {}};
    for (uint64_t run = 0; run < 20; ++run) told.others.Add(1'000'000 + 2 * run);
    ASSERT_EQ(Write(seq, 10), Group::Taken::kYes);
    Turn();  // Under way to the disk: what follows is gathered.
    ASSERT_EQ(Write(seq + 1, 1'000), Group::Taken::kYes);
    Bytes over;
    Writer out(&over);
    EncodeSessionOver(NodeId{9}, 1, &out);
    ASSERT_EQ(group_->WriteAlone(std::move(over)), Group::Taken::kYes);  // Ends the entry.
    std::set<uint64_t> taken{seq, seq + 1};
    for (const uint64_t more : {seq + 2, seq + 3}) {
      if (Write(more, 800 + gap, told) == Group::Taken::kYes) taken.insert(more);
    }
    Settle();
    ASSERT_EQ(answered_, taken) << gap;
  }
}

}  // namespace
}  // namespace lockstep
