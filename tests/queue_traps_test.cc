// How other queues lose messages, repeat them or leave them lying, where no test of one promise
// shows it. Each test names its trap by the number that it has in tests/README.md.
#include <functional>
#include <set>

#include "commands/queue_store.h"
#include "src/base/hash.h"
#include "src/base/rng.h"
#include "tests/any_queue_op.h"
#include "tests/node_fixture.h"
#include "tests/queue_driver.h"

namespace lockstep {
namespace {

using How = NackOp::How;
using Some = std::initializer_list<size_t>;

PushOp PushOf(BytesView queue, BytesView body, BytesView id = {}) {
  PushOp op;
  op.queue = queue;
  op.bodies = {body};
  op.id = id;
  return op;
}

bool IsLimit(const Reply& reply) { return reply.is_error() && StartsWith(reply.text, "LIMIT "); }

// One shard --------------------------------------------------------------------------------------

// Trap q2: only a later lease makes an acknowledgement stale, the death of the message does not.
TEST(QueueTraps, ALateAckOfADeadMessageCountsUnlessItWasLeasedFromThere) {
  for (const bool leased_again : {false, true}) {
    QueueDriver q;
    q.Set("q", "retry", 1);
    q.Push("q", "x");
    const Receipt late = q.Pop("q").receipt;
    q.Pass(30'001);
    ASSERT_EQ(q.Len("q!dead"), 1);
    if (leased_again) q.Pop("q!dead");
    EXPECT_EQ(q.Ack("q", late), leased_again ? 0 : 1);
  }
}

// Trap q9: if it dies with its consumer, what was delivered with it, from whichever queue, was the
// cause for all we know.
TEST(QueueTraps, OnItsLastAttemptAMessageIsDeliveredAloneThoughManyQueuesAreAsked) {
  QueueDriver q;
  q.Set("a", "retry", 2);
  q.Set("a", "backoff-base", 0);
  q.Push("a", "innocent");
  q.Nack("a", q.Pop("a").receipt);
  q.Push("b", "poison");
  PopOp op;
  op.queues = {"a", "b"};
  op.count = 10;
  const Reply rows = q.Do(op);
  EXPECT_EQ(QueueDriver::FirstOf(rows).body, "innocent");
  EXPECT_EQ(rows.items.size(), 1U);
}

// Trap q15: of a group, at most group-concurrency are in flight, also when an older one comes back
// in front of one that is leased.
TEST(QueueTraps, WhatIsRedrivenWaitsForWhatItsGroupHasUnderWay) {
  QueueDriver q;
  for (const char* body : {"a1", "a2"}) q.PushIn("q", "a", body);
  q.Nack("q", q.Pop("q").receipt, How::kDead);
  const auto a2 = q.Pop("q");
  ASSERT_EQ(q.Do(MoveOp{"q!dead", "q", 0}).integer, 1);
  EXPECT_EQ(q.PopBody("q"), "") << "two of one group are under way";
  q.Ack("q", a2.receipt);
  EXPECT_EQ(q.PopBody("q"), "a1");
}

void ExpectThatOnlyHeadsAreLeased(const QueueDriver& q, int step) {
  PeekQuery peek;
  peek.queue = "q";
  peek.count = 1000;
  std::set<Bytes> met;
  for (const Reply& row : q.Read(peek).items) {
    const bool is_head = met.insert(QueueDriver::In(row, "group").text).second;
    EXPECT_TRUE(is_head || QueueDriver::In(row, "state").text != "leased")
        << QueueDriver::In(row, "message").text << " in step " << step;
  }
}

// Traps q13 and q15: whose consumers change while acknowledgements are under way.
TEST(QueueTraps, HoweverConsumersComeAndGoOfAGroupOnlyTheHeadIsUnderWay) {
  QueueDriver q;
  Rng rng(15);
  q.Set("q", "lease", 100);
  q.Set("q", "backoff-base", 20);
  std::vector<Receipt> held(6);  // Of late; some are stale.
  const auto any_held = [&] { return held[held.size() - 1 - rng.Below(6)]; };
  for (int step = 0; step < 3000; ++step) {
    switch (rng.Below(8)) {
      case 0: q.PushIn("q", Format("g%lu", rng.Below(3)), "x"); break;
      case 1: q.Ack("q", any_held()); break;
      case 2: q.Nack("q", any_held(), rng.Below(2) == 0 ? How::kRelease : How::kFailure); break;
      case 3: q.Do(HangupOp{NodeId{1}, 1, ClientId{rng.Below(4)}}); break;
      case 4: q.Pass(rng.Between(0, 60)); break;
      case 5: if (step % 10 == 0) q.EndSessions(NodeId{1}); break;
      default: {
        PopOp op = QueueDriver::PopOf("q");
        op.count = static_cast<uint32_t>(rng.Between(1, 3));
        op.tied = ClientId{rng.Below(4)};
        for (const Reply& row : q.Do(op).items) held.push_back(QueueDriver::RowOf(row).receipt);
      }
    }
    ExpectThatOnlyHeadsAreLeased(q, step);
  }
  EXPECT_GT(q.Info("q", "acked"), 50);
}

// Trap q17: that fell due while nobody was there to say so.
TEST(QueueTraps, AHundredThousandDelaysThatEndTogetherAreOverSoonAndLeaveNoTimer) {
  QueueStore store(3);
  Effects effects;
  PushOp op = PushOf("q", "x");
  op.bodies.assign(1000, "x");
  op.many = true;
  op.delay_ms = 1000;
  for (uint64_t i = 1; i <= 100; ++i) {
    const Bytes entry = op.Encode();
    store.Apply({Index{i}, {1}, Index{i}, entry}, {NodeId{1}, 1, i}, entry, &effects);
  }
  for (uint64_t i = 200; i < 210 && store.NextDeadline() < ClusterTime{1002}; ++i) {
    store.Advance({Index{i}, {1002}}, &effects);
  }
  EXPECT_EQ(store.Query({1002}, LenQuery{"q"}.Encode()).integer, 100'000);
  EXPECT_EQ(store.NextDeadline(), kNeverCluster);
  store.CheckInvariants();
}

// Trap q19: what clients name is found by a hash that is different on each node.
TEST(QueueTraps, NodesWithDifferentHashKeysHaveTheSameQueues) {
  std::vector<Bytes> saved;
  for (uint64_t key = 1; key <= 3; ++key) {
    SetHashKey(key, key * 77);
    QueueDriver node;
    Rng rng(19);
    for (uint64_t step = 0; step < 2000; ++step) {
      node.Ask(AnyQueueOp(&rng, 1 + step / 2));
      node.Pass(rng.Between(0, 50));
    }
    saved.push_back(node.Saved());
  }
  EXPECT_EQ(saved[0], saved[1]);
  EXPECT_EQ(saved[0], saved[2]);
}

// Trap q22: attempts, groups, ids, consumers, acknowledgements out of order: nothing stays.
TEST(QueueTraps, OfWhatWentThroughAQueueNothingStays) {
  QueueDriver q;
  Rng rng(22);
  q.Set("q", "backoff-base", 0);
  std::vector<size_t> sizes;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 500; ++i) {
      const Bytes name = Format("%d-%d", round, i);
      PushOp op = PushOf("q", "body", name);
      op.ttl_ms = 3'600'000;
      if (i % 3 > 0) op.group = name;
      q.Do(op);
    }
    PopOp op = QueueDriver::PopOf("q");
    op.count = 50;
    while (q.Len("q") > 0) {
      op.tied = ClientId{rng.Below(9)};
      std::vector<Receipt> held;
      for (const Reply& row : q.Do(op).items) held.push_back(QueueDriver::RowOf(row).receipt);
      for (; !held.empty(); held.pop_back()) {
        std::swap(held[rng.Below(held.size())], held.back());
        rng.Below(4) == 0 ? q.Nack("q", held.back()) : q.Ack("q", held.back());
      }
    }
    q.Pass(301'001);
    const QueueStore::Figures left = q.store().figures();
    EXPECT_EQ(left.messages + left.ids + left.demands, 0U);
    EXPECT_EQ(q.Info("q", "groups"), 0);
    EXPECT_EQ(q.store().NextDeadline(), kNeverCluster);
    sizes.push_back(q.Saved().size());
  }
  EXPECT_LE(sizes[2], sizes[0] + 16) << "more than a counter's next digit";
}

// Trap q22: who names queues and ids without end is told where the end is.
TEST(QueueTraps, WhatAShardRemembersIsBoundedAndOverABoundNothingIsChanged) {
  QueueLimits few_ids;
  few_ids.ids_max = 2;
  QueueDriver ids(few_ids);
  for (const char* id : {"1", "2"}) EXPECT_FALSE(ids.Do(PushOf("q", "x", id)).is_error());
  EXPECT_TRUE(IsLimit(ids.Do(PushOf("q", "x", "3"))));
  EXPECT_FALSE(ids.Do(PushOf("q", "x", "1")).is_error()) << "it is known";
  EXPECT_FALSE(ids.Do(PushOf("q", "x")).is_error()) << "it needs none";
  EXPECT_EQ(ids.store().figures().messages, 3U);
  EXPECT_TRUE(IsLimit(ids.Do(PushOf("new", "x", "3")))) << "nor does a new queue make room";
  EXPECT_EQ(ids.store().figures().ids, 2U);

  QueueLimits few_queues;
  few_queues.queues_max = 2;
  QueueDriver queues(few_queues);
  for (const char* queue : {"a", "b"}) EXPECT_FALSE(queues.Do(PushOf(queue, "x")).is_error());
  EXPECT_TRUE(IsLimit(queues.Do(PushOf("c", "x"))));
  EXPECT_TRUE(IsLimit(queues.Set("c", "lease", 1)));
  EXPECT_TRUE(IsLimit(queues.Do(MoveOp{"a", "c", 0})));
  EXPECT_EQ(queues.store().figures().queues, 2U);
  EXPECT_EQ(queues.PopBody("a"), "x");
}

// Trap q22: in a shard with as many queues as there may be, consumers must still empty them.
TEST(QueueTraps, WhoWaitsAtAQueueThatIsThereNeedsNoRoomForAnother) {
  QueueLimits limits;
  limits.queues_max = 1;
  QueueDriver q(limits);
  q.Push("q", "x");
  q.Ack("q", q.Pop("q").receipt);
  const RequestId waiting = q.Block("q");
  ASSERT_TRUE(q.Waits(waiting)) << q.AnswerTo(waiting).text;
  q.Push("q", "y");
  EXPECT_EQ(QueueDriver::FirstOf(q.AnswerTo(waiting)).body, "y");
}

struct WayToBecomeReady {
  const char* name;
  const char* delivered;
  std::function<void(QueueDriver& q)> go;
};

// A POP waits while a1 of group a is leased, and a2 stands behind it.
const WayToBecomeReady kWaysToBecomeReady[] = {
    {"the head is deleted", "a2", [](QueueDriver& q) { q.Do(DeleteOp{"q", {1}}); }},
    {"what is leased is purged", "a2", [](QueueDriver& q) { q.Do(PurgeOp{"q", 0b0100}); }},
    {"its connection closes", "a1",
     [](QueueDriver& q) { q.Do(HangupOp{NodeId{1}, 1, ClientId{7}}); }},
    {"its node dies", "a1", [](QueueDriver& q) { q.EndSessions(NodeId{1}); }},
    {"the head is past its TTL", "c2",
     [](QueueDriver& q) {
       PushOp op = PushOf("q", "c1");
       op.group = "c";
       op.delay_ms = 1000;
       op.ttl_ms = 50;
       q.Do(op);
       q.PushIn("q", "c", "c2");
       q.Pass(51);
     }},
    {"the queue goes on", "b",
     [](QueueDriver& q) {
       q.Do(QueuePauseOp{"q", false, true});
       q.Push("q", "b");
       q.Do(QueuePauseOp{"q", false, false});
     }},
    {"more may be leased", "b",
     [](QueueDriver& q) {
       q.Set("q", "concurrency", 1);
       q.Push("q", "b");
       q.Set("q", "concurrency", 2);
     }},
    {"it is redriven", "b",
     [](QueueDriver& q) {
       q.Push("other", "b");
       q.Nack("other", q.Pop("other").receipt, How::kDead);
       q.Do(MoveOp{"other!dead", "q", 0});
     }},
};

// Trap q29: a lost wake-up.
TEST(QueueTraps, EveryWayToBecomeReadyServesWhoWaits) {
  for (const WayToBecomeReady& way : kWaysToBecomeReady) {
    SCOPED_TRACE(way.name);
    QueueDriver q;
    for (const char* body : {"a1", "a2"}) q.PushIn("q", "a", body);
    PopOp op = QueueDriver::PopOf("q");
    op.tied = ClientId{7};
    q.Do(op);
    const RequestId waiting = q.Block("q", 0, NodeId{2});
    ASSERT_TRUE(q.Waits(waiting));
    way.go(q);
    ASSERT_FALSE(q.Waits(waiting));
    EXPECT_EQ(QueueDriver::FirstOf(q.AnswerTo(waiting)).body, way.delivered);
  }
}

// Trap q32: LIMIT says that nothing was changed. What is leased takes room that cannot be made.
TEST(QueueTraps, APushThatIsRefusedHasDroppedNothing) {
  QueueDriver q;
  q.Set("q", "maxbytes", 10);
  q.Set("q", "overflow", 1);
  q.Push("q", "12345");
  q.Pop("q");
  q.Push("q", "abc");
  EXPECT_TRUE(IsLimit(q.Do(PushOf("q", "1234567"))));
  EXPECT_EQ(q.PopBody("q"), "abc");
}

// Trap q33: an acknowledgement that crosses a purge counts nothing and takes nothing away twice.
TEST(QueueTraps, AReceiptOfWhatWasPurgedIsGoodForNothing) {
  QueueDriver q;
  for (const char* body : {"a", "b", "c"}) q.Push("q", body);
  const Receipt receipt = q.Pop("q").receipt;
  EXPECT_EQ(q.Do(PurgeOp{"q"}).integer, 3);
  EXPECT_EQ(q.Ack("q", receipt), 0);
  EXPECT_EQ(q.Nack("q", receipt), 0);
  EXPECT_EQ(q.Do(TouchOp{"q", 1000, {receipt}}).items.at(0).integer, -1);
  for (const char* figure : {"ready", "leased", "dead", "bytes", "acked", "failed"}) {
    EXPECT_EQ(q.Info("q", figure), 0) << figure;
  }
}

// Trap q35: what is tried again goes before what is less urgent, also from among the dead.
TEST(QueueTraps, AMessageThatComesBackKeepsItsPriority) {
  QueueDriver q;
  q.Set("q", "backoff-base", 0);
  PushOp op = PushOf("q", "urgent");
  op.priority = 9;
  q.Do(op);
  q.Push("q", "other");
  for (const How how : {How::kFailure, How::kRelease, How::kDead}) {
    const auto urgent = q.Pop("q");
    ASSERT_EQ(urgent.body, "urgent");
    q.Nack("q", urgent.receipt, how);
  }
  EXPECT_EQ(q.Do(MoveOp{"q!dead", "q", 0}).integer, 1);
  EXPECT_EQ(q.PopBody("q"), "urgent");
}

// Trap q38: where numbers outgrow 32 bits. The snapshot is that of a shard that is empty and has
// given all lower ones away.
TEST(QueueTraps, NumbersGoOnPastFourBillion) {
  constexpr uint64_t kFirst = (uint64_t{1} << 32) - 3;
  Bytes saved;
  Writer out(&saved);
  out.U8(2);  // The version; shard, next message, next POP that waits; five empty lists; hash.
  for (const uint64_t n : {QueueDriver::kShard, kFirst, uint64_t{1}}) out.Varint(n);
  for (int i = 0; i < 5; ++i) out.Varint(0);
  out.U64(HashMix(0, kFirst));
  QueueDriver q;
  Reader in(saved);
  const Result<void> loaded = q.store().Load(&in);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  for (uint64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(q.Push("q", std::to_string(i)), Format("3.%lu", kFirst + i));
  }
  q.Reload();
  std::vector<Receipt> held;
  for (uint64_t i = 0; i < 6; ++i) {
    held.push_back(q.Pop("q").receipt);
    EXPECT_EQ(held.back(), (Receipt{kFirst + i, 1}));
  }
  for (const size_t i : Some{4, 1}) EXPECT_EQ(q.Nack("q", held[i], How::kRelease), 1);
  for (const char* body : {"1", "4"}) EXPECT_EQ(q.PopBody("q"), body);
  for (const size_t i : Some{0, 2, 3, 5}) EXPECT_EQ(q.Ack("q", held[i]), 1);
  EXPECT_EQ(q.Do(DeleteOp{"q", {kFirst + 1, kFirst + 4}}).integer, 2);
}

// Whole nodes ------------------------------------------------------------------------------------

GroupId GroupOf(BytesView queue) { return ShardGroup(ShardOfSlot(SlotOf(queue), 2)); }

Bytes Command(const std::vector<Bytes>& words) {
  Bytes out = Format("*%zu\r\n", words.size());
  for (const Bytes& word : words) out += Format("$%zu\r\n", word.size()) + word + "\r\n";
  return out;
}

// The bulk strings of a reply, in their order. Of a row of DQ.POP: queue, receipt, body.
std::vector<Bytes> BulksIn(const Bytes& reply) {
  std::vector<Bytes> bulks;
  size_t at = 0;
  while ((at = reply.find('$', at)) != Bytes::npos) {
    const size_t begin = reply.find("\r\n", at) + 2;
    const int64_t size = std::max(0L, std::stol(reply.substr(at + 1, begin - at - 3)));
    bulks.push_back(reply.substr(begin, static_cast<size_t>(size)));
    at = begin + static_cast<size_t>(size);
  }
  return bulks;
}
constexpr char kNone[] = "*-1\r\n";
Bytes PartOf(const Bytes& popped, size_t n) {
  const std::vector<Bytes> bulks = BulksIn(popped);
  return bulks.size() < 3 ? popped : bulks[n];
}
Bytes ReceiptIn(const Bytes& popped) { return PartOf(popped, 1); }
Bytes BodyIn(const Bytes& popped) { return PartOf(popped, 2); }

class QueueTrapsNodeTest : public NodeFixture {
 protected:
  // Nobody is told UNCERTAIN while a test looks on, unless it wants that.
  static constexpr char kPatient[] = "uncertain-after-ms 20000\nleader-wait-ms 20000\n";
  void SetUp() override { FormThree(kPatient); }
  void FormThree(const Bytes& settings) {
    Form(3, "node-timeout 1000\n" + settings);
    cluster().Run(5000);  // Until leadership is where it belongs, and stays.
    leads_ = LeaderNow();
    ASSERT_NE(leads_, kNoNode);
    other_ = cluster().OtherThan(leads_);
    third_ = cluster().OtherThan(leads_, other_);
  }
  NodeId LeaderNow() { return cluster().Leader(GroupOf("mail")); }
  bool AnotherLeads() { return LeaderNow() != kNoNode && LeaderNow() != leads_; }
  void RestartAll() {
    for (const NodeId id : {k1, k2, k3}) cluster().Kill(id);
    cluster().Run(3000);
    for (const NodeId id : {k1, k2, k3}) cluster().Start(id);
  }
  Bytes Await(ClientId client, int64_t ms = 10'000) {
    Bytes reply;
    cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, ms);
    return reply;
  }
  // The next of "mail", gone with that; kNone: there is none.
  Bytes TakeBody(NodeId from) { return BodyIn(cluster().Ask(from, "DQ.POP mail NOACK")); }
  void ExpectPushed(NodeId to, const Bytes& command) {
    const Bytes reply = cluster().Ask(to, command);
    ASSERT_TRUE(StartsWith(reply, "$")) << command << ": " << reply;
  }
  // "hello" goes to whoever asks next, as if nobody had been given it before.
  void ExpectThatItIsGivenBack(int64_t ms = 10'000) {
    const ClientId next = cluster().Connect(third_);
    cluster().Send(next, "DQ.POP mail BLOCK 0 FULL");
    const Bytes popped = Await(next, ms);
    EXPECT_TRUE(BodyIn(popped) == "hello" && Has(popped, "failures\r\n:0")) << popped;
  }

  NodeId leads_, other_, third_;  // leads_: the shard of "mail", at the start.
};

// Traps q3 and q34: what a leader decides alone nobody hears of, and the others go on without.
TEST_F(QueueTrapsNodeTest, ALeaderThatIsCutOffGivesNothingAwayAndTellsNothing) {
  ExpectPushed(other_, "DQ.PUSH mail first");
  const Bytes held = cluster().Ask(leads_, "DQ.POP mail LEASE 3600000");
  ASSERT_EQ(BodyIn(held), "first");
  ExpectPushed(other_, "DQ.PUSH mail second");
  cluster().Run(300);
  const ClientId pops = cluster().Connect(leads_);
  const ClientId acks = cluster().Connect(leads_);
  const ClientId reads = cluster().Connect(leads_);
  cluster().CutOff(leads_);
  cluster().Send(pops, "DQ.POP mail");
  cluster().Send(acks, "DQ.ACK mail " + ReceiptIn(held));
  cluster().Send(reads, "DQ.LEN mail");
  ASSERT_TRUE(cluster().RunUntil([&] { return AnotherLeads(); }));
  const Bytes popped = cluster().Ask(third_, "DQ.POP mail");
  EXPECT_EQ(BodyIn(popped), "second");
  EXPECT_EQ(cluster().Ask(other_, "DQ.ACK mail " + ReceiptIn(popped)), ":1\r\n");
  for (const ClientId client : {pops, acks, reads}) EXPECT_EQ(cluster().Take(client), "");
  cluster().Heal();
  EXPECT_EQ(Await(pops), kNone);
  EXPECT_EQ(Await(acks), ":1\r\n");
  EXPECT_EQ(Await(reads), ":0\r\n");
}

// Trap q4: nobody knows whether its client has it, so it must not lie there for half an hour.
TEST_F(QueueTrapsNodeTest, WhatALeaderGaveAwayAsItDiedComesBackSoonAndWithoutAFailure) {
  const ClientId waiting = cluster().Connect(leads_);
  cluster().Send(waiting, "DQ.POP mail BLOCK 0 LEASE 1800000");
  cluster().Run(50);
  ExpectPushed(other_, "DQ.PUSH mail hello");
  cluster().Kill(leads_);
  ExpectThatItIsGivenBack(5000);
}

// Traps q5 and q27: an id that is remembered before its push is on a majority makes the retry a
// duplicate of nothing.
TEST_F(QueueTrapsNodeTest, APushThatWasNeverCommittedIsUncertainAndItsRetryNoDuplicate) {
  FormThree("uncertain-after-ms 1000\nleader-wait-ms 1000\n");
  const ClientId client = cluster().Connect(leads_);
  cluster().CutOff(leads_);
  const Bytes reply = cluster().Ask(client, "DQ.PUSH mail hello ID order-7");
  EXPECT_TRUE(StartsWith(reply, "-UNCERTAIN ")) << reply;
  ASSERT_TRUE(cluster().RunUntil([&] { return AnotherLeads(); }));
  const Bytes id = cluster().Ask(other_, "DQ.PUSH mail hello ID order-7");
  ASSERT_TRUE(StartsWith(id, "$")) << id;
  cluster().Heal();
  cluster().Run(3000);
  EXPECT_EQ(cluster().Ask(client, "DQ.PUSH mail hello ID order-7"), id);
  for (const char* body : {"hello", kNone}) EXPECT_EQ(TakeBody(third_), body);
}

// Traps q5, q36: the answer was lost, the leader is another, the state was loaded from a snapshot,
// all were down, the retry comes by another way.
TEST_F(QueueTrapsNodeTest, APushIsThereOnceHoweverOftenAndWhereverItIsRepeated) {
  FormThree(kPatient + Bytes("raft-snapshot-entries 50\n"));
  const Bytes push = "DQ.PUSH mail hello ID order-7";
  int lost = 0;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    return header.type == bus::MessageType::kAnswer && lost++ == 0;
  });
  const Bytes id = cluster().Ask(other_, push);
  ASSERT_TRUE(StartsWith(id, "$")) << id;
  cluster().Kill(leads_);
  for (const NodeId node : {other_, third_}) EXPECT_EQ(cluster().Ask(node, push), id);
  for (int i = 0; i < 100; ++i) ExpectPushed(other_, "DQ.PUSH {mail}filler x");
  cluster().Start(leads_);
  EXPECT_EQ(cluster().Ask(leads_, push), id);
  RestartAll();
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(cluster().Ask(node, push), id);
  for (const char* body : {"hello", kNone}) EXPECT_EQ(TakeBody(third_), body);
}

// Traps q10 and q18: no time passes while there is no leader, and the next one goes on from there.
TEST_F(QueueTrapsNodeTest, AFailoverIsNoFailureAndShortensNoLease) {
  ExpectPushed(other_, "DQ.PUSH mail hello");
  const Bytes popped = cluster().Ask(other_, "DQ.POP mail LEASE 2000");
  ASSERT_EQ(BodyIn(popped), "hello");
  cluster().Run(300);
  cluster().Kill(leads_);
  ASSERT_TRUE(cluster().RunUntil([&] { return AnotherLeads(); }));
  cluster().Run(1000);
  const Bytes info = cluster().Ask(third_, "DQ.INFO mail");
  EXPECT_TRUE(Has(info, "leased\r\n:1") && Has(info, "failed\r\n:0")) << info;
  EXPECT_EQ(cluster().Ask(other_, "DQ.ACK mail " + ReceiptIn(popped)), ":1\r\n");
}

// Trap q17.
TEST_F(QueueTrapsNodeTest, WhatFallsDueWhileAllNodesAreDownComesOnceAfterwards) {
  Bytes push = "DQ.MPUSH mail 50";
  for (int i = 0; i < 50; ++i) push += Format(" m%d", i);
  ASSERT_TRUE(StartsWith(cluster().Ask(other_, push + " DELAY 500"), "*50\r\n"));
  RestartAll();
  std::multiset<Bytes> bodies;
  for (int turn = 0; turn < 60 && bodies.size() < 50; ++turn) {
    const std::vector<Bytes> bulks =
        BulksIn(cluster().Ask(third_, "DQ.POP mail COUNT 50 BLOCK 2000 NOACK"));
    for (size_t i = 2; i < bulks.size(); i += 3) bodies.insert(bulks[i]);
  }
  for (int i = 0; i < 50; ++i) EXPECT_EQ(bodies.count(Format("m%d", i)), 1U) << i;
  EXPECT_EQ(TakeBody(other_), kNone);
}

// Trap q21: where the log is the store, its oldest message keeps all that came after it.
TEST_F(QueueTrapsNodeTest, AMessageThatNobodyAcknowledgesDoesNotKeepTheLog) {
  FormThree(kPatient + Bytes("raft-snapshot-entries 100\n"));
  ExpectPushed(other_, "DQ.PUSH mail old");
  const Bytes held = cluster().Ask(other_, "DQ.POP mail LEASE 86400000");
  const ClientId client = cluster().Connect(other_);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(cluster().Ask(client, Format("DQ.PUSH mail m%d", i)).front(), '$');
    ASSERT_EQ(BodyIn(cluster().Ask(client, "DQ.POP mail NOACK")), Format("m%d", i));
  }
  cluster().Run(300);
  for (const NodeId id : {k1, k2, k3}) {
    const raft::Raft* raft = cluster().node(id)->group(GroupOf("mail"));
    EXPECT_LT(raft->last().index.value - raft->first_index().value, 250U);
  }
  RestartAll();
  EXPECT_EQ(cluster().Ask(third_, "DQ.ACK mail " + ReceiptIn(held)), ":1\r\n");
}

// Traps q23 and q24: a node comes, one goes; ids and receipts are good wherever the messages are.
TEST_F(QueueTrapsNodeTest, MessagesAndReceiptsOutliveTheNodesThatTheyWereMadeOn) {
  cluster_ = std::make_unique<NodeCluster>(4, kPatient, 3);
  for (const NodeId node : {k1, k2, k3}) cluster().Start(node);
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  ExpectPushed(k2, "DQ.PUSH mail held");
  const Bytes held = cluster().Ask(k2, "DQ.POP mail LEASE 3600000");
  const Bytes id = cluster().Ask(k2, "DQ.PUSH mail ready ID order-7");
  ExpectPushed(k1, "DQ.PUSH mail delayed DELAY 1000");
  const auto has_moved = [&] {
    const raft::Raft* raft = cluster().node(k2)->group(GroupOf("mail"));
    return raft->config().IsVoter(k4) && !raft->config().IsVoter(k1) && !raft->config().joint();
  };
  cluster().Start(k4);
  ASSERT_EQ(cluster().Ask(k2, "CLUSTER ADD 4 host-4:17004"), "+OK\r\n");
  ASSERT_TRUE(cluster().RunUntil([&] {
    const raft::Raft* raft = cluster().node(k2)->group(kLocksGroup);
    return raft->config().IsVoter(k4) && !raft->config().joint();
  }, 20'000));
  ASSERT_EQ(cluster().Ask(k2, "CLUSTER REMOVE 1"), "+OK\r\n");
  ASSERT_TRUE(cluster().RunUntil(has_moved, 20'000));
  cluster().Run(1000);
  EXPECT_EQ(cluster().Ask(k4, "DQ.ACK mail " + ReceiptIn(held)), ":1\r\n");
  EXPECT_EQ(cluster().Ask(k4, "DQ.PUSH mail ready ID order-7"), id);
  for (const char* body : {"ready", "delayed", kNone}) EXPECT_EQ(TakeBody(k4), body);
}

// Trap q27: CLUSTERDOWN says that it did not happen, so it must not happen later.
TEST_F(QueueTrapsNodeTest, APushThatWasRefusedIsNowhereAfterwards) {
  FormThree("uncertain-after-ms 1000\nleader-wait-ms 1000\n");
  for (const NodeId id : {leads_, third_}) cluster().Kill(id);
  cluster().Run(4000);
  const Bytes refused = cluster().Ask(other_, "DQ.PUSH mail hello");
  EXPECT_TRUE(StartsWith(refused, "-CLUSTERDOWN ")) << refused;
  for (const NodeId id : {leads_, third_}) cluster().Start(id);
  cluster().Run(5000);
  EXPECT_EQ(TakeBody(other_), kNone);
}

// Trap q28: "empty" is as true as any other answer.
TEST_F(QueueTrapsNodeTest, WhatWasPushedIsThereForWhoeverAsksNextOnAnyNode) {
  const NodeId nodes[] = {k1, k2, k3};
  for (size_t i = 0; i < 27; ++i) {
    const NodeId one = nodes[i % 3], next = nodes[i / 3 % 3], last = nodes[i / 9];
    ExpectPushed(one, Format("DQ.PUSH mail m%zu", i));
    EXPECT_EQ(cluster().Ask(next, "DQ.LEN mail"), ":1\r\n");
    EXPECT_EQ(TakeBody(last), Format("m%zu", i));
    EXPECT_EQ(cluster().Ask(next, "DQ.LEN mail"), ":0\r\n");
  }
}

// Trap q29: of those who waited, some have had their time and some are gone.
TEST_F(QueueTrapsNodeTest, EveryPushFindsOneOfTheManyWhoWait) {
  const NodeId nodes[] = {k1, k2, k3};
  std::vector<ClientId> waiting, leaving;
  for (size_t i = 0; i < 60; ++i) {
    const ClientId client = cluster().Connect(nodes[i % 3]);
    const bool in_vain = i % 5 == 1;
    cluster().Send(client, in_vain ? "DQ.POP mail BLOCK 40" : "DQ.POP mail BLOCK 0 NOACK");
    if (!in_vain) (i % 5 == 3 ? leaving : waiting).push_back(client);
  }
  cluster().Run(30);
  for (const ClientId client : leaving) cluster().Disconnect(client);
  cluster().Run(50);
  std::set<Bytes> bodies;
  size_t served = 0;
  for (size_t i = 0; i < waiting.size(); ++i) {
    ExpectPushed(nodes[i / 7 % 3], Format("DQ.PUSH mail m%zu", i));
    EXPECT_TRUE(cluster().RunUntil([&] {
      for (const ClientId client : waiting) {
        const Bytes popped = cluster().Take(client);
        if (!popped.empty() && bodies.insert(BodyIn(popped)).second) ++served;
      }
      return served == i + 1;
    }, 100)) << i;
  }
  EXPECT_EQ(cluster().Ask(k1, "DQ.LEN mail"), ":0\r\n");
}

// Trap q30: it waited behind the answer of another shard, so its client has never seen it.
TEST_F(QueueTrapsNodeTest, AnAnswerThatNeverLeftItsNodeIsGivenBackWhenTheClientGoes) {
  int n = 0;
  while (GroupOf(Format("slow%d", n)) == GroupOf("mail")) ++n;
  const Bytes slow = Format("slow%d", n);
  ExpectPushed(leads_, "DQ.PUSH mail hello");
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    return header.group == GroupOf(slow);
  });
  const ClientId gone = cluster().Connect(other_);
  cluster().Send(gone, "DQ.PUSH " + slow + " x\r\nDQ.POP mail LEASE 3600000");
  cluster().Run(200);
  ASSERT_EQ(cluster().Take(gone), "");
  ASSERT_TRUE(Has(cluster().Ask(third_, "DQ.INFO mail"), "leased\r\n:1"));
  cluster().Disconnect(gone);
  cluster().Lose({});
  ExpectThatItIsGivenBack();
}

// Trap q30: that its connection closed is a failure only of what it had.
TEST_F(QueueTrapsNodeTest, ATiedMessageThatNeverReachedItsConnectionHasNotFailed) {
  const ClientId gone = cluster().Connect(other_);
  cluster().Send(gone, "DQ.POP mail BLOCK 0 TIED");
  cluster().Run(50);
  cluster().CutOff(other_);
  ExpectPushed(leads_, "DQ.PUSH mail hello");
  cluster().Disconnect(gone);
  cluster().Heal();
  ExpectThatItIsGivenBack();
}

// Trap q37: those that were under way when the leader died are sent again, and none overtakes.
TEST_F(QueueTrapsNodeTest, APipelineOfPushesKeepsItsOrderThroughAFailover) {
  const ClientId client = cluster().Connect(other_);
  Bytes pipeline;
  for (int i = 0; i < 200; ++i) pipeline += Format("DQ.PUSH mail m%d GROUP g\r\n", i);
  cluster().Send(client, pipeline + "PING");
  cluster().Run(3);
  cluster().Kill(leads_);
  Bytes replies;
  ASSERT_TRUE(cluster().RunUntil([&] {
    replies += cluster().Take(client);
    return Has(replies, "PONG");
  }));
  EXPECT_EQ(BulksIn(replies).size(), 200U) << "and no error among them";
  for (int i = 0; i < 200; ++i) ASSERT_EQ(TakeBody(third_), Format("m%d", i));
  EXPECT_EQ(TakeBody(third_), kNone);
}

// Trap q38: nothing, all that a message may be, and bytes that a protocol could take for its own.
TEST_F(QueueTrapsNodeTest, MessagesOfAnySizeAndBytesSurviveARestart) {
  const Bytes odd("\0\r\n$-1\r\n*\xff", 10);
  const std::vector<Bytes> bodies = {"", Bytes(kMessageBytesMax, '\0'), odd, "x"};
  const ClientId client = cluster().Connect(other_);
  for (const Bytes& body : bodies) {
    cluster().SendRaw(client, Command({"DQ.PUSH", "mail", body, "GROUP", odd}));
    ASSERT_TRUE(StartsWith(Await(client), "$")) << body.size();
  }
  cluster().SendRaw(client, Command({"DQ.PUSH", "mail", bodies[1] + "x"}));
  EXPECT_TRUE(StartsWith(Await(client), "-LIMIT "));
  RestartAll();
  for (const Bytes& body : bodies) EXPECT_TRUE(TakeBody(third_) == body) << body.size();
  EXPECT_EQ(TakeBody(third_), kNone);
}

}  // namespace
}  // namespace lockstep
