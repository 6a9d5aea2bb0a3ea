// The cache of whole nodes: coherent on all of them, whatever becomes of one.
#include <array>

#include "src/base/hash.h"
#include "src/base/rng.h"
#include "src/cache.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr BytesView kOk = "+OK\r\n";
constexpr BytesView kNil = "$-1\r\n";

NodeId NodeOf(int i) { return NodeId{1 + static_cast<uint64_t>(i) % 3}; }
GroupId GroupOf(BytesView key) { return ShardGroup(ShardOfSlot(SlotOf(key), 2)); }
Bytes Bulk(BytesView text) { return Format("$%zu\r\n", text.size()) + Bytes(text) + "\r\n"; }

class NodeCacheTest : public NodeFixture {
 protected:
  void SetUp() override { Begin(""); }
  void Begin(const Bytes& settings) {
    Form(3, settings);
    Settle("k");
    other_ = cluster().OtherThan(home_);
    third_ = cluster().OtherThan(home_, other_);
  }
  // Until the leader of the key's shard stays, and the cache serves.
  void Settle(BytesView key) {
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(GroupOf(key)) != kNoNode; }));
    cluster().Run(8000);
    home_ = cluster().Leader(GroupOf(key));
    ASSERT_EQ(cluster().Ask(home_, "SET warm up"), kOk);
  }
  Bytes StateAt(NodeId node, BytesView key) {
    const Bytes reply = cluster().Ask(node, "DCACHE.GET " + Bytes(key) + " META");
    return reply.size() < 3 ? reply : reply.substr(reply.size() - 3, 1);
  }
  Bytes Get(NodeId node, BytesView key = "k") { return cluster().Ask(node, "GET " + Bytes(key)); }
  Bytes Await(ClientId client, int64_t ms = 10'000) {
    Bytes reply;
    cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, ms);
    return reply;
  }
  // How long it takes until the line is answered, in milliseconds, and that it is so.
  int64_t Takes(NodeId node, const Bytes& line, BytesView answer) {
    const ClientId client = cluster().Connect(node);
    const MonoTime began = cluster().now();
    cluster().Send(client, line);
    EXPECT_EQ(Await(client), answer) << line;
    return (cluster().now() - began) / kUsPerMs;
  }

  NodeId home_, other_, third_;  // Of "k".
};

TEST_F(NodeCacheTest, EveryNodeSeesWhatAnyHasWritten) {
  EXPECT_EQ(cluster().Ask(other_, "SET k one"), kOk);
  EXPECT_EQ(StateAt(other_, "k"), "M");
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(Get(node), Bulk("one"));
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(StateAt(node, "k"), "S");
  EXPECT_EQ(cluster().Ask(third_, "SET k two"), kOk);
  EXPECT_EQ(StateAt(third_, "k"), "M");
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(Get(node), Bulk("two"));
  EXPECT_EQ(cluster().Ask(home_, "DEL k"), ":1\r\n");
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(Get(node), kNil);
}

TEST_F(NodeCacheTest, WhatIsHeldCostsNoMessage) {
  EXPECT_EQ(cluster().Ask(other_, "SET k v"), kOk);
  EXPECT_EQ(Get(third_), Bulk("v"));
  cluster().Run(1000);
  uint64_t frames = 0;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    frames += header.type == bus::MessageType::kCache ? 1 : 0;
    return false;
  });
  const mesi::Stats& stats = cluster().node(third_)->cache()->stats();
  const uint64_t audits = stats.audits;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Get(third_), Bulk("v"));
  EXPECT_LE(stats.audits - audits, 20u);
  EXPECT_LE(frames, 2 * (stats.audits - audits + 1)) << "but for the auditor's";
}

// Its process may be stopped before they leave: then they are not to (src/io/server.cc).
TEST_F(NodeCacheTest, AnswersFromTheCacheSayUntilWhenTheyMayLeave) {
  EXPECT_EQ(cluster().Ask(home_, "SET k v"), kOk);
  EXPECT_EQ(Get(third_), Bulk("v"));
  const ClientId client = cluster().Connect(third_);
  Node& node = *cluster().node(third_);
  cluster().SendRaw(client, "GET k\r\n");
  const Output leased = node.Drain(cluster().now());
  ASSERT_EQ(leased.clients.size(), 1u);
  EXPECT_TRUE(leased.clients[0].leased);
  EXPECT_GT(leased.valid_until, cluster().now());
  EXPECT_LE(leased.valid_until - cluster().now(), 2 * kUsPerSecond);
  cluster().SendRaw(client, "PING\r\n");
  const Output free = node.Drain(cluster().now());
  ASSERT_EQ(free.clients.size(), 1u);
  EXPECT_FALSE(free.clients[0].leased);
  EXPECT_EQ(free.valid_until, kNeverMono);
}

TEST_F(NodeCacheTest, CountersOfAllNodesAreOne) {
  std::vector<ClientId> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(cluster().Connect(NodeOf(i)));
  for (int round = 0; round < 20; ++round) {
    for (const ClientId client : clients) cluster().Send(client, "INCR k");
    for (const ClientId client : clients) EXPECT_FALSE(Await(client).empty());
  }
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(Get(node), Bulk("600"));
}

TEST_F(NodeCacheTest, APipelineTakesEffectInItsOrder) {
  const ClientId client = cluster().Connect(other_);
  EXPECT_EQ(cluster().Ask(third_, "SET k 1"), kOk);
  cluster().Send(client, "GET k\r\nINCR k\r\nSET other x\r\nINCR k\r\nGET k\r\nGET other\r\nPING");
  Bytes replies;
  cluster().RunUntil([&] { return Has(replies += cluster().Take(client), "PONG"); });
  EXPECT_EQ(replies, Bulk("1") + ":2\r\n" + Bytes(kOk) + ":3\r\n" + Bulk("3") + Bulk("x") +
                         "+PONG\r\n");
}

TEST_F(NodeCacheTest, AWriteWaitsForANodeThatIsCutOffAsLongAsItsLease) {
  EXPECT_EQ(cluster().Ask(home_, "SET k old"), kOk);
  EXPECT_EQ(Get(third_), Bulk("old"));
  const ClientId reader = cluster().Connect(third_);
  cluster().CutOff(third_);
  const int64_t ms = Takes(other_, "SET k new", kOk);
  EXPECT_GT(ms, 1000);
  EXPECT_LE(ms, 2100);
  EXPECT_LE(Takes(other_, "SET k newer", kOk), 20) << "once";
  // It cannot be asked any more, and has stopped by itself.
  cluster().Send(reader, "GET k");
  cluster().Run(100);
  EXPECT_EQ(cluster().Take(reader), "");
  cluster().Heal();
  EXPECT_EQ(Await(reader), Bulk("newer"));
}

// The home is not heard by one of its readers, but hears it: its lease must not be prolonged.
TEST_F(NodeCacheTest, ALinkThatIsCutOneWayDelaysAWriteByOneLease) {
  EXPECT_EQ(cluster().Ask(home_, "SET k old"), kOk);
  EXPECT_EQ(Get(third_), Bulk("old"));
  cluster().Cut(home_, third_);
  const int64_t ms = Takes(other_, "SET k new", kOk);
  EXPECT_LE(ms, 2100);
  cluster().Heal();
  EXPECT_EQ(Get(third_), Bulk("new"));
}

TEST_F(NodeCacheTest, WhatAnOwnerHasNotWrittenForAWhileOutlivesIt) {
  EXPECT_EQ(cluster().Ask(other_, "SET k kept"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET lost x"), kOk);
  cluster().Run(510);
  EXPECT_EQ(cluster().Ask(other_, "SET lost y"), kOk);
  cluster().KillSilently(other_);
  EXPECT_EQ(Get(third_), Bulk("kept"));
  const Bytes lost = Get(third_, "lost");
  EXPECT_TRUE(lost == kNil || lost == Bulk("y")) << lost << ": never what was before";
}

TEST_F(NodeCacheTest, ALeaderThatMovesTakesTheValuesWithIt) {
  for (int i = 0; i < 60; ++i) {
    const NodeId node = NodeOf(i);
    ASSERT_EQ(cluster().Ask(node, Format("SET key%d v%d PX 600000", i, i)), kOk);
  }
  for (int i = 0; i < 20; ++i) Get(NodeOf(i), Format("key%d", i));
  for (const uint64_t shard : {uint64_t{0}, uint64_t{1}}) {
    const NodeId leads = cluster().Leader(ShardGroup(shard));
    const NodeId next = cluster().OtherThan(leads);
    cluster().Ask(leads, Format("CLUSTER LEADER shard-%lu %lu", shard, next.value));
    ASSERT_TRUE(
        cluster().RunUntil([&] { return cluster().Leader(ShardGroup(shard)) == next; }));
  }
  for (int i = 0; i < 60; ++i) {
    for (const NodeId node : {k1, k2, k3}) {
      EXPECT_EQ(Get(node, Format("key%d", i)), Bulk(Format("v%d", i)));
    }
  }
  const Bytes ttl = cluster().Ask(other_, "TTL key7");
  EXPECT_TRUE(ttl > ":580" && ttl <= ":600\r\n") << ttl;
}

TEST_F(NodeCacheTest, AMoveOfTheHomeKeepsNobodyWaitingForABeat) {
  EXPECT_EQ(cluster().Ask(other_, "SET k v"), kOk);
  const GroupId shard = GroupOf("k");
  cluster().Ask(home_, Format("CLUSTER LEADER shard-%lu %lu", ShardOf(shard), third_.value));
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(shard) == third_; }));
  EXPECT_LT(Takes(home_, "GET k", Bulk("v")), 30);  // Heartbeats come each 100 ms.
}

// It lives, as it has made way itself; what it says comes late.
TEST_F(NodeCacheTest, ALateWordOfAHomeThatMadeWayIsWaitedFor) {
  EXPECT_EQ(cluster().Ask(home_, "SET k v"), kOk);
  bool late = true;
  cluster().Lose([&](NodeId from, NodeId to, const bus::EnvelopeHeader& header) {
    return late && from == home_ && to == third_ && header.type == bus::MessageType::kCache;
  });
  const GroupId shard = GroupOf("k");
  cluster().Ask(home_, Format("CLUSTER LEADER shard-%lu %lu", ShardOf(shard), third_.value));
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(shard) == third_; }));
  cluster().Run(1000);
  late = false;
  EXPECT_EQ(Get(third_), Bulk("v"));
}

// Grants, recalls and what owners give back are under way all the time.
TEST_F(NodeCacheTest, MovesOfHomesUnderWayOfEverythingLoseNothing) {
  constexpr int kClients = 12, kKeys = 8, kMoves = 20;
  std::vector<ClientId> clients;
  for (int i = 0; i < kClients; ++i) clients.push_back(cluster().Connect(NodeOf(i)));
  for (int i = 0; i < kKeys; ++i) cluster().Ask(third_, Format("SET key%d 0", i));
  Rng rng(7);
  int64_t sent = 0;
  for (int move = 0; move < kMoves; ++move) {
    for (int round = 0; round < 20; ++round) {
      for (const ClientId client : clients) {
        cluster().Send(client, Format("INCR key%lu\r\nGET key%lu\r\nINCR key%lu",
                                      rng.Below(kKeys), rng.Below(kKeys), rng.Below(kKeys)));
        sent += 2;
      }
      cluster().Run(1);
      if (round != 5) continue;
      const GroupId shard = GroupOf(Format("key%d", move % kKeys));
      const NodeId leads = cluster().Leader(shard);
      cluster().Ask(leads, Format("CLUSTER LEADER shard-%lu %lu", ShardOf(shard),
                                  cluster().OtherThan(leads).value));
    }
  }
  for (const ClientId client : clients) cluster().Send(client, "PING");
  Bytes told;
  for (const ClientId client : clients) {
    Bytes one;
    ASSERT_TRUE(cluster().RunUntil([&] { return Has(one += cluster().Take(client), "PONG"); }));
    told += one;
  }
  EXPECT_FALSE(Has(told, "-")) << "none is refused, and of none it is not known";
  int64_t counted = 0;
  for (int i = 0; i < kKeys; ++i) {
    const Bytes value = Get(third_, Format("key%d", i));
    counted += std::stoll(value.substr(value.find('\n') + 1));
  }
  EXPECT_EQ(counted, sent);
}

TEST_F(NodeCacheTest, AHomeThatDiesLosesOnlyWhatNobodyElseOwned) {
  EXPECT_EQ(cluster().Ask(other_, "SET k owned"), kOk);
  cluster().KillSilently(home_);
  // An election, and then no longer than a home may think that it is one.
  EXPECT_LE(Takes(third_, "GET k", Bulk("owned")), 2100);
  EXPECT_EQ(cluster().Ask(third_, "SET k on"), kOk);
  EXPECT_EQ(Get(other_), Bulk("on"));
}

TEST_F(NodeCacheTest, ANodeThatEndsInOrderLosesNothing) {
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(cluster().Ask(NodeOf(i), Format("SET key%d v%d", i, i)), kOk);
  }
  cluster().node(home_)->Step(cluster().now(), Terminate{});
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().exited(home_); }));
  for (int i = 0; i < 40; ++i) EXPECT_EQ(Get(third_, Format("key%d", i)), Bulk(Format("v%d", i)));
}

TEST_F(NodeCacheTest, TransactionsSeeAllTheirKeysAtOneInstant) {
  const ClientId one = cluster().Connect(other_);
  EXPECT_EQ(cluster().Ask(one, "MULTI"), kOk);
  cluster().Ask(one, "SET k 1");
  cluster().Ask(one, "SET elsewhere 1");
  cluster().Ask(one, "INCR k");
  EXPECT_EQ(cluster().Ask(one, "EXEC"), "*3\r\n+OK\r\n+OK\r\n:2\r\n");
  EXPECT_EQ(cluster().Ask(third_, "MGET k elsewhere"), "*2\r\n" + Bulk("2") + Bulk("1"));

  EXPECT_EQ(cluster().Ask(one, "WATCH k elsewhere"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "SET elsewhere 5"), kOk);
  cluster().Ask(one, "MULTI");
  cluster().Ask(one, "SET k never");
  EXPECT_EQ(cluster().Ask(one, "EXEC"), "*-1\r\n");
  EXPECT_EQ(Get(home_), Bulk("2"));

  EXPECT_EQ(cluster().Ask(one, "WATCH k"), kOk);
  cluster().Ask(one, "MULTI");
  cluster().Ask(one, "SET k now");
  EXPECT_EQ(cluster().Ask(one, "EXEC"), "*1\r\n+OK\r\n");
  EXPECT_EQ(Get(home_), Bulk("now"));
}

// Trap 15: at no time nil and then the value, whatever the clocks say.
TEST_F(NodeCacheTest, AKeyEndsOnAllNodesAtOnce) {
  EXPECT_EQ(cluster().Ask(other_, "SET k v PX 1000"), kOk);
  bool gone = false;
  int seen = 0;
  for (int i = 0; i < 1500; ++i) {
    const Bytes reply = Get(NodeOf(i));
    if (reply == kNil) gone = true;
    if (reply != kNil) ++seen;
    ASSERT_TRUE(!gone || reply == kNil) << "after " << i;
  }
  EXPECT_TRUE(gone);
  EXPECT_GT(seen, 100);
}

TEST_F(NodeCacheTest, ATimeToLiveStaysTheSameHoweverOftenTheKeyMoves) {
  EXPECT_EQ(cluster().Ask(other_, "SET k 0 PX 100000"), kOk);
  const MonoTime began = cluster().now();
  for (int i = 0; i < 300; ++i) cluster().Ask(NodeOf(i), "INCR k");
  const int64_t passed = (cluster().now() - began) / kUsPerMs;
  const Bytes left = cluster().Ask(home_, "PTTL k");
  EXPECT_NEAR(std::atoi(left.c_str() + 1), static_cast<int>(100'000 - passed), 10);
}

class SmallCacheTest : public NodeCacheTest {
 protected:
  void SetUp() override { Begin("dcache-memory 2mb\n"); }
};

TEST_F(SmallCacheTest, MakesRoomAndForgetsButNeverLies) {
  const Bytes filler(500, 'x');
  const ClientId client = cluster().Connect(other_);
  for (int i = 0; i < 20'000; i += 100) {
    Bytes lines;
    for (int k = i; k < i + 100; ++k) lines += Format("SET key%d v%d.", k, k) + filler + "\r\n";
    cluster().Send(client, lines + "PING");
    Bytes replies;
    ASSERT_TRUE(cluster().RunUntil(
        [&] { return Has(replies += cluster().Take(client), "PONG"); }, 60'000));
    EXPECT_FALSE(Has(replies, "-"));
  }
  cluster().Run(2000);
  int kept = 0;
  for (int k = 0; k < 20'000; k += 97) {
    const Bytes reply = Get(third_, Format("key%d", k));
    if (reply == kNil) continue;
    EXPECT_TRUE(Has(reply, Format("\nv%d.x", k)));
    ++kept;
  }
  EXPECT_GT(kept, 5);
  EXPECT_LT(kept, 120);
}

// A home full of what its caches have too: what they read of it is invisible there.
class SharedCacheTest : public SmallCacheTest {
 protected:
  void SetUp() override {
    SmallCacheTest::SetUp();
    writer_ = cluster().Connect(other_);
    at_home_ = cluster().Connect(home_);
    readers_ = {cluster().Connect(other_), cluster().Connect(third_)};
  }
  // Lines of k's home that another node has written, and keeps to read; and one that two read.
  void Press(int rounds, const Bytes& hot) {
    for (; rounds > 0; --rounds) {
      for (int i = 0; i < 10; ++i, ++fillers_) {
        cluster().Send(writer_, Format("SET filler%d{k} ", fillers_) + Bytes(8000, 'x'));
        for (const ClientId reader : readers_) {
          for (int n = 0; n < 30; ++n) cluster().Send(reader, "GET " + hot);
        }
        for (int ms = 0; ms < 30; ++ms) {
          cluster().Send(at_home_, "PING");  // It has something to do all the time.
          cluster().Run(1);
        }
      }
    }
  }
  const Cache& At(NodeId node) { return *cluster().node(node)->cache(); }

  ClientId writer_, at_home_;
  std::array<ClientId, 2> readers_;
  int fillers_ = 0;
};

// Its readers take a while to drop what is to go, and all that time the home has too much.
TEST_F(SharedCacheTest, NoMoreGoesThanHasTo) {
  constexpr size_t kLine = 8000;
  constexpr size_t kRoom = size_t{2} << 20;
  Press(25, "k");
  size_t least = kRoom;
  for (int i = 0; i < 15; ++i) {
    Press(1, "k");
    least = std::min(least, At(home_).bytes());
    EXPECT_LE(At(home_).bytes(), kRoom + 2 * kLine);
  }
  EXPECT_GT(At(home_).stats().invs_sent, 100u);
  EXPECT_GT(least, kRoom - kRoom / 32 - 4 * kLine);
}

// Of all lines the one that is used most looks cold at home.
TEST_F(SharedCacheTest, WhatOthersReadAllTheTimeOutlastsWhatTheyDoNot) {
  Press(40, "before{k}");
  ASSERT_GT(At(home_).stats().invs_sent, 0u) << "it is full";
  for (const Bytes key : {"k", "cold{k}"}) {
    EXPECT_EQ(cluster().Ask(home_, "SET " + key + " v"), kOk);
    for (const NodeId node : {other_, third_}) EXPECT_EQ(Get(node, key), Bulk("v"));
  }
  const mesi::Stats before = At(third_).stats();
  Press(80, "k");
  EXPECT_EQ(At(home_).StateOf("cold{k}"), 'I') << "as many were evicted as there is room for";
  EXPECT_EQ(At(home_).StateOf("k"), 'S');
  EXPECT_EQ(At(third_).StateOf("k"), 'S');
  EXPECT_EQ(At(third_).stats().invs_received - before.invs_received, 1u) << "of the cold one";
  EXPECT_EQ(At(third_).stats().misses, before.misses);
  EXPECT_GT(At(home_).stats().touches, 0u);
}

}  // namespace
}  // namespace lockstep
