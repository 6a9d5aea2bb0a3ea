// A replica: a request is applied once however often it comes, answered as often as it is asked,
// and forgotten when nobody can ask any more. The machine beneath is a lock table.
#include "commands/replica.h"

#include <gtest/gtest.h>

#include "commands/lock_table.h"
#include "commands/queue_store.h"
#include "commands/shard_machine.h"
#include "src/base/rng.h"

namespace lockstep {
namespace {

class ReplicaTest : public testing::Test {
 protected:
  using Answers = std::vector<Effects::Answer>;

  static Bytes Take(const Bytes& owner, const Bytes& name,
                    std::optional<int64_t> wait_ms = std::nullopt,
                    std::optional<ClientId> bind = std::nullopt) {
    AcquireOp op;
    op.names = {name};
    op.owner = owner;
    op.ttl_ms = 30'000;
    op.wait_ms = wait_ms;
    op.bind = bind;
    return op.Encode();
  }
  static Bytes LetGo(const Bytes& owner, const Bytes& name) {
    return ReleaseOp{name, owner, std::nullopt, false}.Encode();
  }

  explicit ReplicaTest(std::unique_ptr<StateMachine> machine = std::make_unique<LockTable>())
      : replica(std::move(machine)) {
    Open(kNode, {kDisk, 1, 1});
  }

  // The next entry: a request of node 1's open session. Returns what it was answered, or nothing.
  std::optional<Reply> Send(uint64_t seq, const Bytes& op) {
    return Send({kNode, replica.SessionOf(kNode).incarnation, seq}, op);
  }
  std::optional<Reply> Send(const RequestId& id, const Bytes& op) {
    Apply(Entry(id.origin, id.incarnation, {{id.seq, op}}));
    for (const Effects::Answer& answer : effects.answers) {
      if (answer.request == id) return answer.reply;
    }
    return std::nullopt;
  }
  using Requests = std::vector<std::pair<uint64_t, Bytes>>;
  Bytes Entry(NodeId origin, uint64_t incarnation, const Requests& requests) const {
    RequestsEntry entry(origin, incarnation);
    for (const auto& [seq, op] : requests) entry.Add(seq, op);
    entry.Tell({answered_below, answered});
    return entry.Finish();
  }
  // Returns the incarnation that is open then.
  uint64_t Open(NodeId origin, const SessionName& name) {
    Bytes data;
    Writer writer(&data);
    EncodeOpenSession(origin, name, &writer);
    Apply(data);
    return replica.SessionOf(origin).incarnation;
  }
  void EndSession(NodeId origin, uint64_t incarnation) {
    Bytes data;
    Writer writer(&data);
    EncodeSessionOver(origin, incarnation, &writer);
    Apply(data);
  }
  // The token of what the latest entry granted.
  Reply Token() const { return Reply::Integer(static_cast<int64_t>(at.index.value)); }
  bool Apply(const Bytes& data) {
    ++at.index.value;
    effects = {};
    const bool readable = replica.Apply(at.index, at.time, data, &effects);
    replica.CheckInvariants();
    return readable;
  }
  Bytes HolderOf(const Bytes& name) const {
    const Reply info = replica.Query(at.time, InfoQuery{name}.Encode());
    const Reply& holders = info.items.at(9);
    return holders.items.empty() ? Bytes() : holders.items[0].items.at(1).text;
  }

  static constexpr NodeId kNode{1};
  static constexpr DiskId kDisk{77};
  Replica replica;
  Position at{Index{10}, ClusterTime{1'000}};
  uint64_t answered_below = 1;
  IntervalSet answered;
  Effects effects;
};

TEST_F(ReplicaTest, ARequestSentAgainIsAnsweredAsBeforeAndChangesNothing) {  // Trap 31.
  const std::optional<Reply> taken = Send(1, Take("alice", "x"));
  EXPECT_EQ(taken, Token());
  EXPECT_EQ(Send(2, LetGo("alice", "x")), Reply::Integer(1));
  Send(3, Take("bob", "x"));
  // Copies of the first two come late: neither alice's grant nor her release happens again.
  EXPECT_EQ(Send(1, Take("alice", "x")), taken);
  EXPECT_EQ(Send(2, LetGo("alice", "x")), Reply::Integer(1));
  EXPECT_EQ(HolderOf("x"), "bob");
  EXPECT_EQ(replica.remembered(), 3U);
}

TEST_F(ReplicaTest, ARequestThatWaitsIsNotAnsweredByItsCopyAndOnceInTheEnd) {
  Send(1, Take("alice", "x"));
  EXPECT_EQ(Send(2, Take("bob", "x", 0)), std::nullopt);
  EXPECT_EQ(Send(2, Take("bob", "x", 0)), std::nullopt);
  EXPECT_EQ(Send(3, LetGo("alice", "x")), Reply::Integer(1));
  ASSERT_EQ(effects.answers.size(), 2U);
  EXPECT_EQ(effects.answers[0].request.seq, 2U);
  const Reply granted = effects.answers[0].reply;
  EXPECT_EQ(granted, Token());
  EXPECT_EQ(Send(2, Take("bob", "x", 0)), granted);
}

class ReplicaOfQueuesTest : public ReplicaTest {
 protected:
  ReplicaOfQueuesTest() : ReplicaTest(std::make_unique<ShardMachine>(3)) {}
  static Bytes Push(BytesView body) {
    PushOp op;
    op.queue = "mail";
    op.bodies = {body};
    return op.Encode();
  }
};

// After a failover it comes again: still one POP, and so one message.
TEST_F(ReplicaOfQueuesTest, APopThatWaitsAndComesAgainGetsOneMessage) {
  PopOp pop;
  pop.queues = {"mail"};
  pop.wait_ms = 0;
  EXPECT_EQ(Send(1, pop.Encode()), std::nullopt);
  EXPECT_EQ(Send(1, pop.Encode()), std::nullopt);
  EXPECT_TRUE(Send(2, Push("hello")).has_value());
  EXPECT_EQ(effects.answers.size(), 2U) << "of the push, and of the POP";
  EXPECT_TRUE(Send(3, Push("again")).has_value());
  EXPECT_EQ(effects.answers.size(), 1U);
  EXPECT_EQ(replica.Query(at.time, LenQuery{"mail"}.Encode()), Reply::Integer(1));
}

TEST_F(ReplicaTest, AnswersThatAreNeededNoMoreAreForgottenAndTheirCopiesDropped) {
  Send(1, Take("alice", "x"));
  Send(2, LetGo("alice", "x"));
  answered_below = 3;
  Send(3, Take("bob", "y"));
  EXPECT_EQ(replica.remembered(), 1U);
  answered_below = 1;  // An old copy, with what its gateway knew then.
  EXPECT_EQ(Send(1, Take("alice", "x")), std::nullopt);
  EXPECT_TRUE(effects.answers.empty());
  EXPECT_EQ(HolderOf("x"), "");
}

TEST_F(ReplicaTest, OneLongWaitDoesNotMakeAllLaterAnswersBeRemembered) {
  Send(1, Take("alice", "x"));
  Send(2, Take("bob", "x", 0));  // Waits through all that follows.
  for (uint64_t seq = 3; seq < 1'000; ++seq) {
    answered_below = 2;
    if (seq > 3) answered.AddRun(3, seq);
    Send(seq, Take("carol", "y"));
    EXPECT_LE(replica.remembered(), 2U);
  }
  answered.clear();
  EXPECT_EQ(Send(500, Take("dave", "z")), std::nullopt);  // Dropped: it was answered long ago.
  EXPECT_EQ(HolderOf("z"), "");
  // The wait ends, and the hole closes.
  Send(1'000, LetGo("alice", "x"));
  EXPECT_EQ(HolderOf("x"), "bob");
  answered_below = 1'001;
  Send(1'001, Take("carol", "y"));
  EXPECT_EQ(replica.remembered(), 1U);
}

// ---- Sessions. ----

TEST_F(ReplicaTest, WithoutAnOpenSessionNothingIsApplied) {
  EXPECT_EQ(Send({NodeId{2}, 1, 1}, Take("alice", "x")), std::nullopt);
  EXPECT_EQ(Send({NodeId{2}, 0, 1}, Take("alice", "x")), std::nullopt);
  EXPECT_EQ(Send({kNode, replica.SessionOf(kNode).incarnation + 1, 1}, Take("alice", "x")),
            std::nullopt);
  EXPECT_EQ(HolderOf("x"), "");
  EXPECT_EQ(replica.SessionOf(NodeId{2}), Replica::OpenSession{});
}

TEST_F(ReplicaTest, ANewSessionEndsTheOldOneFirst) {
  const uint64_t old = replica.SessionOf(kNode).incarnation;
  Send(1, Take("alice", "x"));
  Send(2, Take("bound", "b", std::nullopt, ClientId{5}));
  Send(3, Take("bob", "x", 0));
  EXPECT_GT(Open(kNode, {kDisk, 2, 1}), old);  // The node has started again.
  EXPECT_TRUE(effects.answers.empty());        // Nobody of its former life is there to be told.
  EXPECT_EQ(replica.remembered(), 0U);
  EXPECT_EQ(HolderOf("x"), "alice");  // Not bound: it outlives its connection.
  EXPECT_EQ(HolderOf("b"), "");
  Send(1, LetGo("alice", "x"));
  EXPECT_EQ(HolderOf("x"), "");  // bob's wait is over too.
  EXPECT_EQ(Send({kNode, old, 4}, Take("late", "x")), std::nullopt);  // Trap 39.
  EXPECT_EQ(HolderOf("x"), "");
}

TEST_F(ReplicaTest, ALateCopyOfAnOpeningOpensNothing) {
  const uint64_t second = Open(kNode, {kDisk, 2, 1});
  EXPECT_EQ(Open(kNode, {kDisk, 1, 1}), second);
  EXPECT_EQ(Open(kNode, {kDisk, 2, 1}), second);
  EXPECT_GT(Open(kNode, {kDisk, 2, 2}), second);
  EXPECT_EQ(replica.SessionOf(kNode).name, (SessionName{kDisk, 2, 2}));
  // A node that came back with an emptied disk counts its starts from one again.
  EXPECT_GT(Open(kNode, {DiskId{88}, 1, 1}), second + 1);
}

TEST_F(ReplicaTest, ASessionThatIsOverNeverComesBack) {  // Trap 39.
  const uint64_t first = replica.SessionOf(kNode).incarnation;
  Send(1, Take("alice", "x"));
  EndSession(kNode, first);
  EXPECT_EQ(replica.SessionOf(kNode).incarnation, 0U);
  EXPECT_EQ(replica.remembered(), 0U);
  EXPECT_EQ(Send({kNode, first, 2}, Take("alice", "y")), std::nullopt);
  EXPECT_EQ(Open(kNode, {kDisk, 1, 1}), 0U);  // Its opening, once more.
  EXPECT_EQ(HolderOf("y"), "");
  const uint64_t second = Open(kNode, {kDisk, 1, 2});
  EndSession(kNode, first);  // The verdict on the first one, late.
  EXPECT_EQ(replica.SessionOf(kNode).incarnation, second);
  Send(1, Take("alice", "y"));
  EXPECT_EQ(HolderOf("y"), "alice");
}

TEST_F(ReplicaTest, SessionsOfDifferentNodesDoNotMeet) {
  const uint64_t other = Open(NodeId{2}, {DiskId{99}, 1, 1});
  const std::optional<Reply> token = Send(1, Take("alice", "x"));
  EXPECT_EQ(Send({NodeId{2}, other, 1}, Take("bob", "x")), Reply::Nil());
  EndSession(NodeId{2}, other);
  EXPECT_EQ(Send(1, Take("alice", "x")), token);
}

TEST_F(ReplicaTest, WhatCannotBeReadChangesNothingButTheTime) {
  Send(1, Take("alice", "x"));
  const uint64_t open = replica.SessionOf(kNode).incarnation;
  const Bytes data = Entry(kNode, open, {{2, Take("bob", "y")}, {3, Take("bob", "z")}});
  for (size_t size = 0; size < data.size(); ++size) EXPECT_FALSE(Apply(data.substr(0, size)));
  EXPECT_FALSE(Apply(data + "x"));
  EXPECT_FALSE(Apply("\x07"));
  EXPECT_EQ(HolderOf("y"), "");
  EXPECT_EQ(HolderOf("x"), "alice");
  at.time = at.time + 30'001;
  EXPECT_FALSE(Apply("?"));
  EXPECT_EQ(HolderOf("x"), "");
}

TEST_F(ReplicaTest, RequestsOfOneEntryAreAppliedInOrderAndEachHasAPlaceOfItsOwn) {
  const uint64_t open = replica.SessionOf(kNode).incarnation;
  Apply(Entry(kNode, open,
              {{1, Take("alice", "x")},
               {2, Take("bob", "y")},
               {3, Take("bob", "x")},
               {4, LetGo("alice", "x")},
               {5, Take("bob", "x")}}));
  const auto index = static_cast<int64_t>(at.index.value);
  ASSERT_EQ(effects.answers.size(), 5U);
  EXPECT_EQ(effects.answers[0].reply, Reply::Integer(index));
  EXPECT_EQ(effects.answers[1].reply, Reply::Integer(index + 1));
  EXPECT_EQ(effects.answers[2].reply, Reply::Nil());
  EXPECT_EQ(effects.answers[3].reply, Reply::Integer(1));
  EXPECT_EQ(effects.answers[4].reply, Reply::Integer(index + 4));
  // The next entry's place is above all of these, though its index is not.
  EXPECT_EQ(Send(6, Take("carol", "z")), Reply::Integer(index + 5));
}

TEST_F(ReplicaTest, OfTwoOwnersInOneEntryTheSecondIsTheYounger) {
  const uint64_t open = replica.SessionOf(kNode).incarnation;
  Apply(Entry(kNode, open,
              {{1, Take("zoe", "x")},
               {2, Take("adam", "y")},
               {3, Take("adam", "x", 0)},
               {4, Take("zoe", "y", 0)}}));
  ASSERT_EQ(effects.answers.size(), 4U);
  EXPECT_EQ(effects.answers[2].request.seq, 3U);
  EXPECT_TRUE(effects.answers[2].reply.is_error());  // adam, though zoe's name comes after his.
  EXPECT_EQ(HolderOf("y"), "zoe");
}

TEST_F(ReplicaTest, AnEntryThatComesTwiceChangesNothing) {
  const uint64_t open = replica.SessionOf(kNode).incarnation;
  const Bytes entry = Entry(kNode, open, {{1, Take("alice", "x")}, {2, LetGo("alice", "x")}});
  Apply(entry);
  const std::vector<Effects::Answer> first = effects.answers;
  Send(3, Take("bob", "x"));
  Apply(entry);
  ASSERT_EQ(effects.answers.size(), 2U);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(effects.answers[i].reply, first[i].reply);
  EXPECT_EQ(HolderOf("x"), "bob");
}

TEST_F(ReplicaTest, OperationsAreFoundInAnEntryBeforeItIsApplied) {
  const Bytes entry = Entry(kNode, 7, {{1, "first"}, {2, "second"}});
  EXPECT_EQ(OperationsIn(entry), (std::vector<BytesView>{"first", "second"}));
  Bytes other;
  Writer writer(&other);
  EncodeSessionOver(kNode, 7, &writer);
  EXPECT_TRUE(OperationsIn(other).empty());
  EXPECT_TRUE(OperationsIn(entry + "x").empty());
  EXPECT_TRUE(OperationsIn("").empty());
}

TEST_F(ReplicaTest, APulseEndsWaitsAndTheirAnswersAreRemembered) {
  Send(1, Take("alice", "x"));
  Send(2, Take("bob", "x", 500));
  EXPECT_EQ(replica.NextDeadline(), at.time + 500);
  at.time = at.time + 501;
  ++at.index.value;
  effects = {};
  replica.Pulse(at.index, at.time, &effects);
  ASSERT_EQ(effects.answers.size(), 1U);
  EXPECT_EQ(effects.answers[0].reply, Reply::Nil());
  EXPECT_EQ(Send(2, Take("bob", "x", 500)), Reply::Nil());
}

// ---- Snapshots. ----

TEST_F(ReplicaTest, ALoadedReplicaKnowsWhatWasAnsweredAndWhatStillWaits) {  // Traps 30, 32.
  const std::optional<Reply> token = Send(1, Take("alice", "x"));
  Send(2, Take("bob", "x", 0));
  answered.AddRun(3, 5);
  Send(5, Take("carol", "y"));
  const uint64_t other = Open(NodeId{2}, {DiskId{99}, 4, 2});
  Send({NodeId{2}, other, 1}, Take("dave", "x"));
  const Bytes saved = replica.Save();

  Replica loaded(std::make_unique<LockTable>());
  ASSERT_TRUE(loaded.Load(saved).ok());
  loaded.CheckInvariants();
  EXPECT_EQ(loaded.Save(), saved);
  EXPECT_EQ(loaded.Hash(), replica.Hash());
  EXPECT_EQ(loaded.remembered(), replica.remembered());
  EXPECT_EQ(loaded.SessionOf(NodeId{2}), replica.SessionOf(NodeId{2}));
  replica = std::move(loaded);
  EXPECT_EQ(Send(1, Take("alice", "x")), token);
  EXPECT_EQ(Send(2, Take("bob", "x", 0)), std::nullopt);
  EXPECT_EQ(Send(4, Take("erin", "z")), std::nullopt);  // Answered before the snapshot.
  EXPECT_EQ(HolderOf("z"), "");
  Send(6, LetGo("alice", "x"));
  EXPECT_EQ(effects.answers.size(), 2U);
}

TEST_F(ReplicaTest, ADamagedSnapshotIsRefusedAndLeavesNothing) {
  Send(1, Take("alice", "x"));
  Send(2, Take("bob", "x", 0));
  const Bytes saved = replica.Save();
  const uint64_t empty = LockTable().Hash();
  for (size_t size = 0; size < saved.size(); ++size) {
    Replica loaded(std::make_unique<LockTable>());
    EXPECT_FALSE(loaded.Load(BytesView(saved).substr(0, size)).ok()) << size;
    EXPECT_EQ(loaded.machine().Hash(), empty);
    EXPECT_EQ(loaded.remembered(), 0U);
  }
  Replica loaded(std::make_unique<LockTable>());
  EXPECT_FALSE(loaded.Load(saved + "x").ok());
  EXPECT_EQ(loaded.machine().Hash(), empty);
}

TEST_F(ReplicaTest, TwoReplicasOfOneLogAgreeEvenIfOneIsLoadedAgainAndAgain) {
  Rng rng(7);
  replica = Replica(std::make_unique<LockTable>());
  Replica other(std::make_unique<LockTable>());
  std::map<RequestId, Reply> first_answers;
  uint64_t sessions = 0;
  for (int i = 0; i < 5'000; ++i) {
    // Requests out of order, copies of them, sessions that open and end: whatever a log may hold.
    const NodeId origin{1 + rng.Below(2)};
    const uint64_t base = static_cast<uint64_t>(i) / 4;
    Bytes data;
    Writer writer(&data);
    if (i < 2 || rng.Below(500) == 0) {
      EncodeOpenSession(NodeId{1 + static_cast<uint64_t>(i) % 2}, {kDisk, 1, ++sessions}, &writer);
    } else if (rng.Below(1'000) == 0) {
      EncodeSessionOver(origin, replica.SessionOf(origin).incarnation, &writer);
    } else {
      const RequestId id{origin, replica.SessionOf(origin).incarnation, base + rng.Below(8) + 1};
      const Bytes owner = "o" + std::to_string(rng.Below(5));
      const Bytes name = "l" + std::to_string(rng.Below(4));
      const auto wait_ms = static_cast<int64_t>(rng.Below(400));
      const Bytes op = rng.Below(3) == 0 ? LetGo(owner, name) : Take(owner, name, wait_ms);
      answered_below = base > 20 ? base - 20 : 0;
      data = Entry(id.origin, id.incarnation, {{id.seq, op}, {id.seq + 1, Take(owner, name)}});
    }
    at.time = at.time + rng.Between(0, 20);
    Apply(data);
    Effects also;
    other.Apply(at.index, at.time, data, &also);
    ASSERT_EQ(effects.answers.size(), also.answers.size());
    ASSERT_EQ(replica.Hash(), other.Hash());
    for (const Effects::Answer& answer : effects.answers) {
      const auto [known, is_new] = first_answers.emplace(answer.request, answer.reply);
      ASSERT_EQ(known->second, answer.reply) << "a request has one answer";
    }
    if (i % 500 == 499) {
      const Bytes saved = other.Save();
      ASSERT_TRUE(other.Load(saved).ok());
    }
  }
  EXPECT_GT(first_answers.size(), 500U);
}

}  // namespace
}  // namespace lockstep
