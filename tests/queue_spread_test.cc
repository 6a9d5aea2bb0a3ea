// Queues with several partitions: a partition's part, and the tasks that find their way between
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "commands/queue_store.h"
#include "commands/queue_tasks.h"
#include "src/base/hash.h"
#include "src/base/rng.h"

namespace lockstep {
namespace {

constexpr uint64_t kShards = 8;
const Bytes kQueue = "q";

// Shards in memory, and what one node knows of them. Each operation is applied at once; a POP that
// waits is answered when something comes.
class Cluster {
 public:
  explicit Cluster(const QueueLimits& limits = {}) : limits_(limits) {
    for (uint64_t shard = 0; shard < kShards; ++shard) {
      shards_.push_back(std::make_unique<QueueStore>(shard, limits));
    }
  }

  // One command, as a node would run it that knows what `spreads` says.
  struct Run {
    std::unique_ptr<Task> task;
    struct Part {
      GroupId group;
      uint64_t seq = 0;
      bool open = true;
    };
    std::vector<Part> parts;
    std::optional<Reply> answer;
  };
  Run* Begin(Spreads* spreads, Bytes op) {
    return Begin(MakeQueueTask({spreads, kShards}, std::move(op)));
  }
  Run* Begin(std::unique_ptr<Task> task) {
    Run& run = runs_.emplace_back();
    run.task = std::move(task);
    Task::Next next;
    run.answer = run.task->Begin(&next);
    Go(&run, std::move(next));
    return &run;
  }
  Reply Ask(Spreads* spreads, Bytes op) {
    Run* run = Begin(spreads, std::move(op));
    EXPECT_TRUE(run->answer.has_value());
    return run->answer.value_or(Reply::Nil());
  }
  Reply Apply(GroupId group, Bytes op) {
    const RequestId request{NodeId{1}, 1, ++seq_};
    return Apply({.group = group, .op = std::move(op)}, request).value_or(Reply::Nil());
  }
  void Pass(int64_t ms) { time_ = time_ + ms; }
  QueueStore& shard(uint64_t number) { return *shards_[number]; }
  size_t asked() const { return asked_; }
  void CheckInvariants() const {
    for (const auto& shard : shards_) shard->CheckInvariants();
  }

 private:
  void Go(Run* run, Task::Next next) {
    for (;;) {
      if (next.give_up || run->answer) GiveUp(run);
      if (run->answer) return;
      std::deque<std::pair<size_t, Reply>> answers;
      for (Task::Part& part : next.ask) {
        const RequestId request{NodeId{1}, 1, ++seq_};
        std::optional<Reply> reply = Apply(part, request);
        if (part.unheard) continue;
        run->parts.push_back({part.group, request.seq, !reply.has_value()});
        if (reply) answers.emplace_back(run->parts.size() - 1, *std::move(reply));
      }
      next = {};
      for (auto& [part, reply] : answers) {
        run->answer = run->task->OnReply(part, std::move(reply), &next);
        if (run->answer || next.give_up || !next.ask.empty()) break;
      }
      if (!run->answer && next.ask.empty() && !next.give_up) return;
    }
  }
  std::optional<Reply> Apply(const Task::Part& part, const RequestId& request) {
    ++asked_;
    Reload(ShardOf(part.group));
    QueueStore& store = *shards_[ShardOf(part.group)];
    if (part.read) return store.Query(time_, part.op);
    Effects effects;
    const Position at{Index{++index_}, time_, Index{index_}, part.op};
    store.Advance(at, &effects);
    store.Apply(at, request, part.op, &effects);
    std::optional<Reply> own;
    for (Effects::Answer& answer : effects.answers) {
      if (answer.request == request) {
        own = std::move(answer.reply);
      } else {
        others_.emplace_back(answer.request.seq, std::move(answer.reply));
      }
    }
    return own;
  }
  // A snapshot may come anywhere.
  void Reload(uint64_t shard) {
    const auto saved_of = [](const QueueStore& store) {
      Bytes saved;
      Writer out(&saved);
      store.Save(&out);
      return saved;
    };
    const Bytes saved = saved_of(*shards_[shard]);
    auto loaded = std::make_unique<QueueStore>(shard, limits_);
    Reader in(saved);
    EXPECT_TRUE(loaded->Load(&in).ok() && in.done());
    EXPECT_EQ(saved_of(*loaded), saved);
    shards_[shard] = std::move(loaded);
  }
  void GiveUp(Run* run) {
    for (Run::Part& part : run->parts) {
      if (!std::exchange(part.open, false)) continue;
      const CancelOp cancel{{NodeId{1}, 1, part.seq}, CancelOp::Why::kGone};
      (void)Apply({.group = part.group, .op = cancel.Encode()}, {NodeId{1}, 1, ++seq_});
    }
  }

 public:
  // Answers that came for those who wait.
  void Deliver() {
    while (!others_.empty()) {
      auto [seq, reply] = std::move(others_.front());
      others_.pop_front();
      for (Run& run : runs_) {
        for (size_t i = 0; i < run.parts.size(); ++i) {
          if (run.parts[i].seq != seq || !run.parts[i].open) continue;
          run.parts[i].open = false;
          Task::Next next;
          run.answer = run.task->OnReply(i, std::move(reply), &next);
          Go(&run, std::move(next));
          i = run.parts.size();
        }
      }
    }
  }

 private:
  QueueLimits limits_;
  std::vector<std::unique_ptr<QueueStore>> shards_;
  std::deque<Run> runs_;
  std::deque<std::pair<uint64_t, Reply>> others_;
  ClusterTime time_{1'000};
  uint64_t index_ = 0;
  uint64_t seq_ = 0;
  size_t asked_ = 0;
};

Bytes Set(int64_t partitions) {
  return QueueSetOp{kQueue, {{static_cast<uint32_t>(PartitionsOption()), partitions}}}.Encode();
}
Bytes Push(BytesView body, BytesView group = {}, BytesView id = {}) {
  PushOp op;
  op.queue = kQueue;
  op.bodies = {body};
  op.group = group;
  op.id = id;
  return op.Encode();
}
Bytes Pop(std::optional<int64_t> wait_ms = std::nullopt) {
  PopOp op;
  op.queues = {kQueue};
  op.wait_ms = wait_ms;
  return op.Encode();
}
uint64_t ShardIn(const Reply& id) {
  uint64_t shard = kShards;
  EXPECT_TRUE(ParseUint64(BytesView(id.text).substr(0, id.text.find('.')), &shard)) << id.text;
  return shard;
}
// Of a row.
Bytes ReceiptIn(const Reply& rows) { return rows.items.at(0).items.at(1).text; }

class QueueSpreadTest : public ::testing::Test {
 protected:
  Reply Ask(Bytes op) { return cluster_.Ask(&here_, std::move(op)); }
  // Acknowledges what the receipt names, where it lies.
  int64_t Ack(const Reply& rows) {
    const Bytes text = ReceiptIn(rows);
    const size_t dot = text.find('.'), second = text.find('.', dot + 1);
    uint64_t shard = 0;
    Receipt receipt;
    EXPECT_TRUE(ParseUint64(BytesView(text).substr(0, dot), &shard));
    EXPECT_TRUE(ParseUint64(BytesView(text).substr(dot + 1, second - dot - 1), &receipt.seq));
    EXPECT_TRUE(ParseUint64(BytesView(text).substr(second + 1), &receipt.lease));
    return cluster_.Apply(ShardGroup(shard), QueueAckOp{kQueue, {receipt}}.Encode()).integer;
  }

  Cluster cluster_;
  Spreads here_, there_;
};

TEST_F(QueueSpreadTest, MessagesWithoutAPlaceGoToAllPartitionsInTurn) {
  EXPECT_EQ(Ask(Set(4)), Reply::Ok());
  std::map<uint64_t, int> by_shard;
  for (int i = 0; i < 40; ++i) ++by_shard[ShardIn(Ask(Push("body")))];
  ASSERT_EQ(by_shard.size(), 4U);
  for (const auto& [shard, count] : by_shard) EXPECT_EQ(count, 10) << shard;
  EXPECT_EQ(Ask(LenQuery{kQueue}.Encode()).integer, 40);
  cluster_.CheckInvariants();
}

TEST_F(QueueSpreadTest, ANodeThatHasHeardOfNothingFindsItsWay) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  for (int i = 0; i < 12; ++i) (void)Ask(Push("body"));
  EXPECT_EQ(cluster_.Ask(&there_, LenQuery{kQueue}.Encode()).integer, 12);
  Spreads nobody;
  int popped = 0;
  while (!cluster_.Ask(&nobody, Pop()).is_nil()) ++popped;
  EXPECT_EQ(popped, 12);
}

// The rule of the contract: nothing is lost, repeated, or out of order within a group.
TEST_F(QueueSpreadTest, AGroupStaysWhereItsMessagesAreUntilTheyAreGone) {
  std::map<Bytes, uint64_t> at;
  for (int i = 0; i < 16; ++i) {
    const Bytes group = "g" + std::to_string(i);
    at[group] = ShardIn(Ask(Push(group, group)));
  }
  ASSERT_EQ(Ask(Set(8)), Reply::Ok());
  for (const auto& [group, shard] : at) {
    EXPECT_EQ(ShardIn(Ask(Push(group, group))), shard) << "behind the first";
    EXPECT_EQ(ShardIn(cluster_.Ask(&there_, Push(group, group))), shard) << "from anywhere";
  }
  EXPECT_EQ(Ask(Set(8)), Reply::Ok()) << "as many as there are";
  std::map<Bytes, int> seen;
  for (Reply rows = Ask(Pop()); !rows.is_nil(); rows = Ask(Pop())) {
    ++seen[rows.items.at(0).items.at(2).span.size > 0 ? "one" : ""];
    EXPECT_EQ(Ack(rows), 1);
  }
  EXPECT_EQ(seen["one"], 48);
  std::set<uint64_t> places;
  for (const auto& [group, shard] : at) places.insert(ShardIn(Ask(Push(group, group))));
  EXPECT_GT(places.size(), 3U) << "each in its own place now";
  cluster_.CheckInvariants();
}

TEST_F(QueueSpreadTest, WhatHasLetGoOfAllIsAskedNoMore) {
  (void)Ask(Push("one", "g"));
  ASSERT_EQ(Ask(Set(8)), Reply::Ok());
  EXPECT_EQ(Ack(Ask(Pop())), 1);
  Bytes elsewhere;
  for (int i = 0; elsewhere.empty(); ++i) {
    const Bytes group = "group" + std::to_string(i);
    if (PlaceOfGroup(group, 8) != 0) elsewhere = group;
  }
  (void)Ask(Push("two", elsewhere));
  const size_t before = cluster_.asked();
  (void)Ask(Push("three", elsewhere));
  EXPECT_EQ(cluster_.asked() - before, 1U);
}

// Trap q36.
TEST_F(QueueSpreadTest, AnIdIsPushedOnceBeforeAndAfterAGrowthAndFromAnyNode) {
  std::map<Bytes, Bytes> ids;
  for (int i = 0; i < 20; ++i) {
    const Bytes id = "id" + std::to_string(i);
    ids[id] = Ask(Push("body", {}, id)).text;
  }
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  for (const auto& [id, answer] : ids) {
    EXPECT_EQ(Ask(Push("body", {}, id)).text, answer);
    EXPECT_EQ(cluster_.Ask(&there_, Push("body", {}, id)).text, answer);
  }
  for (int i = 20; i < 40; ++i) {
    const Bytes id = "id" + std::to_string(i);
    const Bytes answer = Ask(Push("body", {}, id)).text;
    EXPECT_EQ(cluster_.Ask(&there_, Push("body", {}, id)).text, answer);
  }
  EXPECT_EQ(Ask(LenQuery{kQueue}.Encode()).integer, 40);
  EXPECT_EQ(Ask(Set(8)).text.substr(0, 8), "TRYAGAIN") << "IDs of before are remembered";
  cluster_.Pass(400'000);
  (void)Ask(Push("later"));
  EXPECT_EQ(Ask(Set(8)), Reply::Ok()) << "and forgotten";
}

TEST_F(QueueSpreadTest, ThereAreNeverFewer) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  EXPECT_TRUE(Ask(Set(3)).is_error());
  EXPECT_EQ(Ask(QueueSetOp{kQueue, {{0, 777}}}.Encode()), Reply::Ok());
  const Reply info = Ask(QueueInfoQuery{kQueue}.Encode());
  const auto partitions = std::find_if(info.items.begin(), info.items.end(),
                                       [](const Reply& one) { return one.text == "partitions"; });
  ASSERT_NE(partitions, info.items.end());
  EXPECT_EQ(std::next(partitions)->integer, 4);
}

// Trap q29: who waits hears of what is pushed to any partition, also to those that came later.
TEST_F(QueueSpreadTest, WhoWaitsWaitsAtAllPartitions) {
  Cluster::Run* first = cluster_.Begin(&there_, Pop(0));
  EXPECT_FALSE(first->answer.has_value());
  ASSERT_EQ(Ask(Set(8)), Reply::Ok());
  cluster_.Deliver();
  EXPECT_FALSE(first->answer.has_value());
  Bytes away;  // A group whose partition was none before.
  for (int i = 0; away.empty(); ++i) {
    const Bytes group = "group" + std::to_string(i);
    if (PlaceOfGroup(group, 8) != 0) away = group;
  }
  (void)Ask(Push("body", away));
  cluster_.Deliver();
  ASSERT_TRUE(first->answer.has_value());
  EXPECT_EQ(first->answer->items.size(), 1U);
  cluster_.CheckInvariants();
}

// Of two that come at once it takes one; the other is there for whoever asks next, and has not
// failed.
TEST_F(QueueSpreadTest, WhatComesTwiceToOneWhoWaitsIsGivenBack) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  Cluster::Run* waiting = cluster_.Begin(&there_, Pop(0));
  (void)Ask(Push("one"));
  (void)Ask(Push("two"));
  cluster_.Deliver();
  ASSERT_TRUE(waiting->answer.has_value());
  const Reply other = Ask(Pop());
  ASSERT_FALSE(other.is_nil());
  EXPECT_EQ(other.items.at(0).items.at(3).integer, 1) << "its first attempt";
  EXPECT_TRUE(Ask(Pop()).is_nil());
}

TEST_F(QueueSpreadTest, ADroppedQueueKeepsItsPartitions) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  for (int i = 0; i < 8; ++i) (void)Ask(Push("body"));
  EXPECT_TRUE(Ask(DropQueueOp{kQueue, false}.Encode()).is_error());
  EXPECT_EQ(Ask(DropQueueOp{kQueue, true}.Encode()).integer, 1);
  EXPECT_EQ(Ask(LenQuery{kQueue}.Encode()).integer, 0);
  (void)Ask(Push("again"));
  EXPECT_EQ(cluster_.Ask(&there_, LenQuery{kQueue}.Encode()).integer, 1);
  EXPECT_FALSE(cluster_.Ask(&there_, Pop()).is_nil());
}

// However a node hears of it: none of its partitions is a queue any more.
TEST_F(QueueSpreadTest, NoPartitionOfADroppedQueueTakesWhatMayNotMakeIt) {
  ASSERT_EQ(Ask(Set(2)), Reply::Ok());
  EXPECT_EQ(Ask(DropQueueOp{kQueue, false}.Encode()).integer, 1);
  EXPECT_EQ(Ask(DropQueueOp{kQueue, true}.Encode()).integer, 0);
  PushOp push;
  push.queue = kQueue;
  push.bodies = {"body"};
  push.creates = false;
  for (Spreads* node : {&here_, &there_, &here_, &there_}) {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(cluster_.Ask(node, push.Encode()).is_error()) << i;
  }
  ASSERT_EQ(Ask(Set(2)), Reply::Ok());
  for (Spreads* node : {&here_, &there_, &here_, &there_}) {
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(cluster_.Ask(node, push.Encode()).is_error()) << i;
  }
  EXPECT_EQ(Ask(DropQueueOp{kQueue, true}.Encode()).integer, 1);
}

// Home decides: where it refuses, no partition has lost its options.
TEST(QueueSpread, ADropThatHomeRefusesIsDoneNowhere) {
  QueueLimits limits;
  limits.changed_max = 5;
  Cluster cluster(limits);
  Spreads here;
  const auto lease = static_cast<uint32_t>(FindQueueOption("lease"));
  const std::pair<uint32_t, int64_t> two{static_cast<uint32_t>(PartitionsOption()), 2};
  ASSERT_EQ(cluster.Ask(&here, QueueSetOp{kQueue, {two, {lease, 777}}}.Encode()), Reply::Ok());
  const uint64_t home = ShardOfSlot(SlotOf(kQueue), kShards);
  Bytes group;  // Whose messages lie at home.
  for (int i = 0; group.empty(); ++i) {
    const Bytes name = std::to_string(i);
    if (ShardIn(cluster.Ask(&here, Push("body", name))) == home) group = name;
  }
  for (int i = 0; i < 10; ++i) (void)cluster.Ask(&here, Push("body", group));
  const Reply refused = cluster.Ask(&here, DropQueueOp{kQueue, true}.Encode());
  EXPECT_EQ(refused.text.substr(0, 5), "LIMIT") << refused.text;
  for (const uint64_t shard : {home, (home + 1) % kShards}) {
    const QueueInfoQuery query{kQueue, here.Find(kQueue)->spread.version};
    const Reply info = cluster.shard(shard).Query(ClusterTime{1'000}, query.Encode());
    EXPECT_EQ(info.items.back().items.at(1).integer, 777) << "its lease";
  }
  while (cluster.Ask(&here, PurgeOp{kQueue}.Encode()).integer > 0) {
  }
  EXPECT_EQ(cluster.Ask(&here, DropQueueOp{kQueue, true}.Encode()).integer, 1);
  EXPECT_EQ(cluster.Ask(&here, DropQueueOp{kQueue, true}.Encode()).integer, 0);
  cluster.CheckInvariants();
}

// A full partition holds up no other.
TEST_F(QueueSpreadTest, ARedriveGoesOnBehindAPartitionThatIsFull) {
  const std::pair<uint32_t, int64_t> two{static_cast<uint32_t>(PartitionsOption()), 2};
  const auto maxlen = static_cast<uint32_t>(FindQueueOption("maxlen"));
  ASSERT_EQ(Ask(QueueSetOp{kQueue, {two, {maxlen, 4}}}.Encode()), Reply::Ok());
  for (int i = 0; i < 4; ++i) (void)Ask(Push("body"));
  for (int i = 0; i < 4; ++i) {
    const Bytes text = ReceiptIn(Ask(Pop()));
    const ReceiptText receipt = ParseReceipt(text).value();
    NackOp nack;
    nack.queue = kQueue;
    nack.receipts = {receipt.receipt};
    nack.how = NackOp::How::kDead;
    EXPECT_EQ(cluster_.Apply(ShardGroup(receipt.shard), nack.Encode()).integer, 1);
  }
  const uint64_t home = ShardOfSlot(SlotOf(kQueue), kShards);
  int full = 0;
  while (full < 2) full += ShardIn(Ask(Push("more"))) == home ? 1 : 0;
  const int64_t had = Ask(LenQuery{kQueue}.Encode()).integer;
  const Reply moved = Ask(MoveOp{"q!dead", kQueue, 0}.Encode());
  EXPECT_EQ(moved, Reply::Integer(4 - had)) << "as many as the other had room for";
  const Reply none = Ask(MoveOp{"q!dead", kQueue, 0}.Encode());
  EXPECT_EQ(none.text.substr(0, 5), "LIMIT") << none.text;
}

// An ID says which partition it is of, whoever is asked.
TEST_F(QueueSpreadTest, APeekFromAnIdBeginsThereOnANodeThatHasHeardOfNothing) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  std::map<uint64_t, std::vector<Bytes>> ids;
  for (int i = 0; i < 16; ++i) {
    const Reply id = Ask(Push("body"));
    ids[ShardIn(id)].push_back(id.text);
  }
  const uint64_t home = ShardOfSlot(SlotOf(kQueue), kShards);
  const std::vector<Bytes>& third = ids.at((home + 2) % kShards);
  PeekQuery peek;
  peek.queue = kQueue;
  peek.count = 1;
  const Bytes& from = third.at(1);
  ASSERT_TRUE(ParseUint64(BytesView(from).substr(from.find('.') + 1), &peek.from));
  const auto peeked = [&](Spreads* node, uint32_t partition) {
    auto task = MakePeekTask({node, kShards}, peek.Encode(), partition);
    Cluster::Run* run = cluster_.Begin(std::move(task));
    return run->answer.value_or(Reply::Nil());
  };
  for (Spreads* node : {&there_, &there_, &here_}) {
    const Reply rows = peeked(node, 2);
    ASSERT_EQ(rows.items.size(), 1u);
    EXPECT_EQ(rows.items[0].items.at(1).text, from);
  }
  Spreads nobody;
  peek.queue = "another";
  EXPECT_TRUE(peeked(&nobody, 2).items.empty()) << "its one partition holds no such id";
}

// What was asked at one place is waited for though another refuses: nobody is told that nothing
// was changed who may have acknowledged something.
TEST_F(QueueSpreadTest, AnAckOnTheWayIsWaitedForThoughAnotherIsRefused) {
  ASSERT_EQ(Ask(Set(2)), Reply::Ok());
  std::vector<Task::Part> acks;
  for (int i = 0; i < 2; ++i) {
    (void)Ask(Push("body"));
    const Bytes text = ReceiptIn(Ask(Pop()));
    const ReceiptText receipt = ParseReceipt(text).value();
    acks.push_back({.group = ShardGroup(receipt.shard),
                    .op = QueueAckOp{kQueue, {receipt.receipt}}.Encode()});
  }
  for (const size_t refused : {0u, 1u}) {
    auto task = MakePopTask({&here_, kShards}, Pop(), acks);
    Task::Next next;
    ASSERT_FALSE(task->Begin(&next).has_value());
    ASSERT_EQ(next.ask.size(), 2u);
    const Reply no = Reply::Error("TRYAGAIN", "an election; nothing was changed");
    const Reply yes = Reply::Integer(1);
    EXPECT_FALSE(task->OnReply(refused, no, &next).has_value());
    const std::optional<Reply> answer = task->OnReply(1 - refused, yes, &next);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->text.substr(0, 9), "UNCERTAIN");
    task = MakePopTask({&here_, kShards}, Pop(), acks);
    next = {};
    ASSERT_FALSE(task->Begin(&next).has_value());
    EXPECT_FALSE(task->OnReply(0, no, &next).has_value());
    EXPECT_EQ(task->OnReply(1, no, &next), no);
    task = MakePopTask({&here_, kShards}, Pop(), acks);
    next = {};
    ASSERT_FALSE(task->Begin(&next).has_value());
    const Reply maybe = Reply::Error("UNCERTAIN", "it may have been done");
    EXPECT_FALSE(task->OnReply(refused, maybe, &next).has_value());
    EXPECT_EQ(task->OnReply(1 - refused, no, &next), maybe);
  }
}

// Its receipts were taken where it waited. When the queue grows it is asked for anew, and finds
// nothing to acknowledge any more.
TEST_F(QueueSpreadTest, APopThatAGrowthHasInterruptedDoesNotSayThatNothingWasChanged) {
  PopOp pop;
  pop.queues = {kQueue};
  pop.wait_ms = 0;
  pop.acks = {{1, 1}};
  ASSERT_EQ(Ask(Set(2)), Reply::Ok());
  const Reply grown = Reply::Elsewhere(static_cast<int64_t>(Elsewhere::kSpread),
                                       here_.Find(kQueue)->spread.Encode());
  auto task = MakePopTask({&there_, kShards}, pop.Encode(), {}, &grown);
  Task::Next next;
  ASSERT_FALSE(task->Begin(&next).has_value());
  ASSERT_EQ(next.ask.size(), 1u);
  ASSERT_FALSE(task->OnReply(0, Reply::Integer(0), &next).has_value());
  const Reply no = Reply::Error("CLUSTERDOWN", "no leader; nothing was changed");
  EXPECT_EQ(task->OnReply(1, no, &next).value_or(Reply::Nil()).text.substr(0, 9), "UNCERTAIN");
}

// NOACK, several at once from one of several places: one that could not be taken is back at once,
// and has not failed, for nobody has seen it.
TEST_F(QueueSpreadTest, WhatIsRefusedBesideWhatIsTakenGoesBack) {
  ASSERT_EQ(Ask(Set(2)), Reply::Ok());
  PopOp pop;
  pop.queues = {kQueue};
  pop.noack = true;
  pop.count = 2;
  pop.wait_ms = 0;
  auto task = MakePopTask({&here_, kShards}, pop.Encode(), {});
  Task::Next next;
  ASSERT_FALSE(task->Begin(&next).has_value());
  size_t part = 0;
  for (; next.ask.size() == 1; ++part) {  // It looks in at one after the other, then waits at both.
    const Task::Part look = next.ask.front();
    next = {};
    ASSERT_FALSE(task->OnReply(part, cluster_.Apply(look.group, look.op), &next).has_value());
  }
  ASSERT_EQ(next.ask.size(), 2u);
  const GroupId from = next.ask[0].group;
  PushOp push;
  push.queue = kQueue;
  push.bodies = {"a", "b"};
  push.many = true;
  push.version = here_.Find(kQueue)->spread.version;
  ASSERT_EQ(cluster_.Apply(from, push.Encode()).items.size(), 2u);
  const Reply rows = cluster_.Apply(from, next.ask[0].op);
  ASSERT_EQ(rows.items.size(), 2u);
  next = {};
  ASSERT_FALSE(task->OnReply(part, rows, &next).has_value());
  ASSERT_EQ(next.ask.size(), 2u);
  const Reply taken = cluster_.Apply(from, next.ask[0].op);
  next = {};
  ASSERT_FALSE(task->OnReply(part + 2, taken, &next).has_value());
  const Reply no = Reply::Error("TRYAGAIN", "an election; nothing was changed");
  const std::optional<Reply> answer = task->OnReply(part + 3, no, &next);
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->items.size(), 1u);
  ASSERT_EQ(next.ask.size(), 1u);
  EXPECT_TRUE(next.ask[0].unheard);
  EXPECT_EQ(cluster_.Apply(next.ask[0].group, next.ask[0].op).integer, 1);
  const Reply again = Ask(Pop());
  ASSERT_EQ(again.items.size(), 1u);
  EXPECT_EQ(again.items[0].items.at(3).integer, 1) << "its first attempt";
}

TEST_F(QueueSpreadTest, AFencingTokenAndPartitionsDoNotGoTogether) {
  PushOp fenced;
  fenced.queue = kQueue;
  fenced.bodies = {"body"};
  fenced.fence = 5;
  EXPECT_FALSE(Ask(fenced.Encode()).is_error());
  EXPECT_TRUE(Ask(Set(4)).is_error());
  const Bytes other = "other";
  const std::pair<uint32_t, int64_t> four{static_cast<uint32_t>(PartitionsOption()), 4};
  ASSERT_EQ(Ask(QueueSetOp{other, {four}}.Encode()), Reply::Ok());
  fenced.queue = other;
  EXPECT_TRUE(Ask(fenced.Encode()).is_error());
}

// Whatever names the dead of a queue that has several partitions is refused, by every shard alike.
TEST_F(QueueSpreadTest, NobodyPushesToTheDeadOrSetsThem) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  const Bytes dead = kQueue + "!dead";
  PushOp push;
  push.queue = dead;
  push.bodies = {"body"};
  for (Spreads* who : {&here_, &there_}) {
    EXPECT_EQ(cluster_.Ask(who, push.Encode()).text.substr(0, 3), "ERR");
    const std::pair<uint32_t, int64_t> eight{static_cast<uint32_t>(PartitionsOption()), 8};
    EXPECT_TRUE(cluster_.Ask(who, QueueSetOp{dead, {eight}}.Encode()).is_error());
    EXPECT_TRUE(cluster_.Ask(who, QueuePauseOp{dead, true, true}.Encode()).is_error());
  }
  EXPECT_EQ(cluster_.shard(0).Query(ClusterTime{1}, SettledQuery{"absent", 0}.Encode()).integer, 1);
}

// Of two who make it wider at once the slower one has asked about a version that is no more.
TEST_F(QueueSpreadTest, WhatWasSettledUnderOneVersionIsNotUnderTheNext) {
  ASSERT_EQ(Ask(Set(2)), Reply::Ok());
  (void)cluster_.Ask(&there_, LenQuery{kQueue}.Encode());
  auto slow = MakeQueueTask({&there_, kShards}, Set(8));
  Task::Next next;
  ASSERT_FALSE(slow->Begin(&next).has_value());
  const std::vector<Task::Part> asked = next.ask;
  ASSERT_EQ(asked.size(), 2U) << "whether both are settled";
  // Meanwhile the other is done, and this node hears of it.
  Bytes group;
  for (int i = 0; group.empty(); ++i) {
    const Bytes name = "group" + std::to_string(i);
    if (PlaceOfGroup(name, 2) == 1 && PlaceOfGroup(name, 4) == 2) group = name;
  }
  (void)Ask(Push("one", group));
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  (void)cluster_.Ask(&there_, LenQuery{kQueue}.Encode());
  next = {};
  ASSERT_FALSE(slow->OnReply(0, Reply::Integer(1), &next).has_value());
  next = {};
  ASSERT_FALSE(slow->OnReply(1, Reply::Integer(1), &next).has_value());
  ASSERT_EQ(next.ask.size(), 1U) << "home";
  const Reply home = cluster_.Apply(next.ask.front().group, next.ask.front().op);
  EXPECT_TRUE(home.is_elsewhere());
  EXPECT_EQ(static_cast<Elsewhere>(home.integer), Elsewhere::kSpread);
}

// What the others have done is done, though home was the first to say that it was asked too soon.
TEST_F(QueueSpreadTest, WhatWasPurgedInVainRoundsCounts) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  for (int i = 0; i < 8; ++i) (void)Ask(Push("body"));
  (void)cluster_.Ask(&there_, LenQuery{kQueue}.Encode());
  auto purge = MakeQueueTask({&there_, kShards}, PurgeOp{kQueue}.Encode());
  Task::Next next;
  ASSERT_FALSE(purge->Begin(&next).has_value());
  const std::vector<Task::Part> first = next.ask;
  ASSERT_EQ(first.size(), 4U);
  (void)cluster_.Apply(ShardGroup(ShardOfSlot(SlotOf(kQueue), kShards)),
                       QueueSetOp{kQueue, {{0, 777}}}.Encode());  // Nobody has told the others.
  std::optional<Reply> answer;
  for (size_t i = 0; i < 4; ++i) {
    next = {};
    answer = purge->OnReply(i, cluster_.Apply(first[i].group, first[i].op), &next);
    EXPECT_FALSE(answer.has_value());
  }
  std::vector<Task::Part> second;
  for (const Task::Part& part : next.ask) {
    if (part.unheard) (void)cluster_.Apply(part.group, part.op);
    if (!part.unheard) second.push_back(part);
  }
  ASSERT_EQ(second.size(), 4U);
  for (size_t i = 0; i < 4; ++i) {
    answer = purge->OnReply(4 + i, cluster_.Apply(second[i].group, second[i].op), &next);
  }
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->integer, 8);
}

TEST_F(QueueSpreadTest, ADropThatIsRefusedHasChangedNothing) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  ASSERT_EQ(Ask(QueueSetOp{kQueue, {{0, 777}}}.Encode()), Reply::Ok());
  const Bytes id = Ask(Push("body", {}, "id")).text;
  EXPECT_EQ(Ask(DropQueueOp{kQueue, false}.Encode()).text.substr(0, 3), "ERR");
  EXPECT_EQ(Ask(Push("body", {}, "id")).text, id);
  const Reply rows = Ask(Pop());
  EXPECT_EQ(Ack(rows), 1);
  EXPECT_EQ(Ask(DropQueueOp{kQueue, false}.Encode()).integer, 1);
}

// At most once is not never.
TEST_F(QueueSpreadTest, OfTwoThatComeAtOnceToANoackTheOtherIsNotLost) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  PopOp pop;
  pop.queues = {kQueue};
  pop.noack = true;
  pop.wait_ms = 0;
  Cluster::Run* waiting = cluster_.Begin(&there_, pop.Encode());
  for (int i = 0; i < 4; ++i) (void)Ask(Push("body"));
  cluster_.Deliver();
  ASSERT_TRUE(waiting->answer.has_value());
  ASSERT_EQ(waiting->answer->items.size(), 1U);
  EXPECT_EQ(Ask(LenQuery{kQueue}.Encode()).integer, 3);
  const Reply info = Ask(QueueInfoQuery{kQueue}.Encode());
  const auto leased = std::find_if(info.items.begin(), info.items.end(),
                                   [](const Reply& one) { return one.text == "leased"; });
  EXPECT_EQ(std::next(leased)->integer, 0) << "it is gone, as NOACK says";
}

TEST_F(QueueSpreadTest, ALimitOfWhichNotEachCanHaveAPartIsRefused) {
  ASSERT_EQ(Ask(Set(4)), Reply::Ok());
  const auto concurrency = static_cast<uint32_t>(FindQueueOption("concurrency"));
  EXPECT_TRUE(Ask(QueueSetOp{kQueue, {{concurrency, 3}}}.Encode()).is_error());
  EXPECT_EQ(Ask(QueueSetOp{kQueue, {{concurrency, 6}}}.Encode()), Reply::Ok());
  for (int i = 0; i < 40; ++i) (void)Ask(Push("body"));
  int leased = 0;
  while (!Ask(Pop()).is_nil()) ++leased;
  EXPECT_EQ(leased, 6);
}

// A limit is for the whole queue, each partition has its part.
TEST_F(QueueSpreadTest, EachPartitionHasItsPartOfALimit) {
  const std::pair<uint32_t, int64_t> four{static_cast<uint32_t>(PartitionsOption()), 4};
  const auto maxlen = static_cast<uint32_t>(FindQueueOption("maxlen"));
  ASSERT_EQ(Ask(QueueSetOp{kQueue, {four, {maxlen, 8}}}.Encode()), Reply::Ok());
  for (int i = 0; i < 8; ++i) EXPECT_FALSE(Ask(Push("body")).is_error()) << i;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Ask(Push("body")).is_error()) << i;
}

}  // namespace
}  // namespace lockstep
