// Options of keys by prefix, on whole nodes: what each makes of reads and writes.
#include "src/base/hash.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr BytesView kOk = "+OK\r\n";
constexpr BytesView kNil = "$-1\r\n";

GroupId GroupOf(BytesView key) { return ShardGroup(ShardOfSlot(SlotOf(key), 2)); }
Bytes Bulk(BytesView text) { return Format("$%zu\r\n", text.size()) + Bytes(text) + "\r\n"; }

// "p:k" is the key that most is about; `home_` is its home, and the others are not.
class NodeCacheSpacesTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3);
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(GroupOf("p:k")) != kNoNode; }));
    cluster().Run(8000);
    home_ = cluster().Leader(GroupOf("p:k"));
    other_ = cluster().OtherThan(home_);
    third_ = cluster().OtherThan(home_, other_);
    ASSERT_EQ(cluster().Ask(home_, "SET warm up"), kOk);
  }
  // Until all nodes have heard.
  void Set(const Bytes& options) {
    ASSERT_EQ(cluster().Ask(other_, "DCACHE.NS SET " + options), kOk);
    cluster().Run(1000);
  }
  Bytes Ask(NodeId node, const Bytes& line) { return cluster().Ask(node, line); }
  Bytes Get(NodeId node, BytesView key) { return Ask(node, "GET " + Bytes(key)); }
  Bytes StateAt(NodeId node, BytesView key) {
    const Bytes reply = Ask(node, "DCACHE.GET " + Bytes(key) + " META");
    return reply.size() < 3 ? reply : reply.substr(reply.size() - 3, 1);
  }
  int64_t Takes(NodeId node, const Bytes& line, BytesView answer) {
    const ClientId client = cluster().Connect(node);
    const MonoTime began = cluster().now();
    cluster().Send(client, line);
    Bytes reply;
    cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, 10'000);
    EXPECT_EQ(reply, answer) << line;
    return (cluster().now() - began) / kUsPerMs;
  }

  NodeId home_, other_, third_;
};

TEST_F(NodeCacheSpacesTest, EveryNodeShowsThem) {
  Set("p: TTL 5000");
  for (const NodeId node : {k1, k2, k3}) {
    EXPECT_TRUE(Has(Ask(node, "DCACHE.NS GET p:"), "$3\r\nttl\r\n:5000\r\n"));
    EXPECT_TRUE(StartsWith(Ask(node, "DCACHE.NS LIST"), "*2\r\n*14\r\n"));
  }
  EXPECT_EQ(Ask(third_, "DCACHE.NS DEL p:"), ":1\r\n");
  EXPECT_EQ(Ask(home_, "DCACHE.NS GET p:"), kNil);
}

TEST_F(NodeCacheSpacesTest, AReaderOwnsWhatNobodyElseHas) {
  EXPECT_EQ(Ask(home_, "SET p:k v"), kOk);
  EXPECT_EQ(Ask(home_, "SET p:j v"), kOk);
  EXPECT_EQ(StateAt(other_, "p:k"), "S");
  Set("p: READS exclusive");
  EXPECT_EQ(StateAt(other_, "p:k"), "S") << "it has it already";
  EXPECT_EQ(Ask(home_, "SET p:k w"), kOk);
  EXPECT_EQ(StateAt(other_, "p:k"), "E");

  uint64_t frames = 0;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    frames += header.type == bus::MessageType::kCache ? 1 : 0;
    return false;
  });
  EXPECT_EQ(Ask(other_, "SET p:k x"), kOk);
  EXPECT_EQ(frames, 0u) << "it may be written without a word";
  EXPECT_EQ(Get(third_, "p:k"), Bulk("x"));
  EXPECT_EQ(StateAt(third_, "p:k"), "S");
  EXPECT_EQ(StateAt(other_, "p:k"), "S");
  EXPECT_EQ(Get(home_, "p:k"), Bulk("x"));
  EXPECT_EQ(Get(other_, "p:none"), kNil);

  EXPECT_EQ(Ask(home_, "DCACHE.SET p:k durable DURABLE"), kOk);
  EXPECT_EQ(StateAt(other_, "p:k"), "S") << "its writes go by the home";
}

TEST_F(NodeCacheSpacesTest, WhatIsWrittenWithoutATimeGetsThatOfThePrefix) {
  EXPECT_EQ(Ask(home_, "SET p:old v"), kOk);
  EXPECT_EQ(Ask(home_, "SET p:n 1"), kOk);
  Set("p: TTL 100000");
  Set("p:q TTL 0");
  for (const NodeId node : {home_, other_}) {
    const auto ttl = [&](const Bytes& write, const Bytes& key) {
      EXPECT_FALSE(StartsWith(Ask(node, write), "-")) << write;
      const Bytes left = Ask(node, "PTTL " + key);
      return (std::atoi(left.c_str() + 1) + 999) / 1000;
    };
    const Bytes at = Format("p:%lu", node.value);
    EXPECT_EQ(ttl("SET " + at + " v", at), 100);
    EXPECT_EQ(ttl("SET " + at + " v EX 7", at), 7);
    EXPECT_EQ(ttl("SET " + at + " v KEEPTTL", at), 7);
    EXPECT_EQ(ttl("SET " + at + " v", at), 100);
    EXPECT_EQ(ttl("APPEND " + at + "a v", at + "a"), 100);
    EXPECT_EQ(ttl("INCR " + at + "i", at + "i"), 100);
    EXPECT_EQ(ttl("MSET " + at + "m v", at + "m"), 100);
    EXPECT_EQ(ttl("DCACHE.SET " + at + "d v", at + "d"), 100);
    EXPECT_EQ(ttl("PERSIST " + at + "d", at + "d"), 0);
    EXPECT_EQ(ttl("DCACHE.SET " + at + "l v DURABLE", at + "l"), 100);
    EXPECT_EQ(ttl("GETDEL " + at + "l", at + "l"), 0);
    EXPECT_EQ(ttl("INCR " + at + "l", at + "l"), 100);
    EXPECT_EQ(ttl("INCR p:n", "p:n"), 0) << "it keeps that it has none";
    EXPECT_EQ(ttl("SET p:q v", "p:q"), 0) << "the longer prefix counts";
    EXPECT_EQ(ttl("SET r v", "r"), 0);
  }
  EXPECT_EQ(Ask(third_, "PTTL p:old"), ":-1\r\n");
  cluster().Run(101'000);
  EXPECT_EQ(Get(third_, Format("p:%lua", home_.value)), kNil);
  EXPECT_EQ(Get(third_, "p:old"), Bulk("v"));
}

TEST_F(NodeCacheSpacesTest, AReadMayMissWhereItsHomeIsAway) {
  EXPECT_EQ(Ask(home_, "SET p:k v"), kOk);
  EXPECT_EQ(Get(third_, "p:k"), Bulk("v"));
  Set("p: ONNOLEASE miss");
  EXPECT_EQ(Get(third_, "p:k"), Bulk("v"));
  cluster().CutOff(third_);
  EXPECT_EQ(Get(third_, "p:k"), Bulk("v")) << "its lease is not over";
  EXPECT_LE(Takes(third_, "GET p:{p:k}2", kNil), 2100);
  // Others know from then on.
  EXPECT_LE(Takes(third_, "GET p:k", kNil), 10);
  EXPECT_LE(Takes(third_, "EXISTS p:k", ":0\r\n"), 10);
  EXPECT_LE(Takes(third_, "DCACHE.GET p:k META", kNil), 10);
  EXPECT_LE(Takes(third_, "MGET p:k p:{p:k}2", "*2\r\n$-1\r\n$-1\r\n"), 300);
  EXPECT_LE(Takes(third_, "GET p:k\r\nGET p:k\r\nGET p:k", "$-1\r\n$-1\r\n$-1\r\n"), 20);
  cluster().Run(3000);
  EXPECT_LE(Takes(third_, "GET p:k", kNil), 310) << "it is asked anew";
  // A write, and what another prefix is about, waits for longer and is refused.
  EXPECT_GT(Takes(third_, "SET p:k w", "-CLUSTERDOWN the home of a key could not be reached in "
                                       "time; nothing was changed; see CLUSTER STATUS\r\n"),
            4000);
  const ClientId reader = cluster().Connect(third_);
  cluster().Send(reader, "GET warm");
  cluster().Run(1000);
  EXPECT_EQ(cluster().Take(reader), "");
  cluster().Heal();
  cluster().Run(3000);
  EXPECT_EQ(cluster().Take(reader), Bulk("up"));
  EXPECT_EQ(Get(third_, "p:k"), Bulk("v"));
}

TEST_F(NodeCacheSpacesTest, WhoTracksDoesNotMiss) {
  EXPECT_EQ(Ask(home_, "SET p:k v"), kOk);
  Set("p: ONNOLEASE miss");
  const ClientId reader = cluster().Connect(third_);
  cluster().Ask(reader, "HELLO 3");
  EXPECT_EQ(cluster().Ask(reader, "CLIENT TRACKING ON"), kOk);
  cluster().CutOff(third_);
  cluster().Run(3000);
  cluster().Send(reader, "GET p:k");
  cluster().Run(2000);
  EXPECT_EQ(cluster().Take(reader), "");
  cluster().Heal();
  cluster().Run(3000);
  EXPECT_EQ(cluster().Take(reader), Bulk("v"));
}

TEST_F(NodeCacheSpacesTest, FlushErasesThePrefixAndNothingElseAndIsTold) {
  for (int i = 0; i < 60; ++i) {
    const NodeId node{1 + static_cast<uint64_t>(i) % 3};
    ASSERT_EQ(Ask(node, Format("SET p:%d v", i)), kOk);
    ASSERT_EQ(Ask(node, Format("SET q:%d v", i)), kOk);
  }
  const ClientId reader = cluster().Connect(home_);
  cluster().Ask(reader, "HELLO 3");
  EXPECT_EQ(cluster().Ask(reader, "CLIENT TRACKING ON"), kOk);
  cluster().Ask(reader, "GET p:k");
  EXPECT_EQ(Ask(home_, "SET p:k v"), kOk);
  cluster().Take(reader);
  EXPECT_EQ(cluster().Ask(reader, "GET p:k"), Bulk("v"));
  EXPECT_EQ(Ask(third_, "DCACHE.NS FLUSH p:"), kOk);
  EXPECT_EQ(cluster().Take(reader), ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\np:k\r\n");
  for (int i = 0; i < 60; ++i) {
    for (const NodeId node : {k1, k2, k3}) {
      ASSERT_EQ(Get(node, Format("p:%d", i)), kNil);
      ASSERT_EQ(Get(node, Format("q:%d", i)), Bulk("v"));
    }
  }
}

// Values of 500 bytes each, one node's: how many of them it finds again.
class NodeCacheLimitsTest : public NodeCacheSpacesTest {
 protected:
  static constexpr int kKeys = 2000;

  Bytes SetAll(NodeId node, const Bytes& prefix) {
    const ClientId client = cluster().Connect(node);
    const Bytes filler(500, 'x');
    Bytes replies;
    for (int i = 0; i < kKeys; i += 100) {
      Bytes lines;
      for (int k = i; k < i + 100; ++k) {
        lines += Format("SET %s%d ", prefix.c_str(), k) + filler + "\r\n";
      }
      cluster().Send(client, lines + "ECHO end");
      Bytes some;
      EXPECT_TRUE(cluster().RunUntil(
          [&] { return Has(some += cluster().Take(client), "end\r\n"); }, 60'000));
      replies += some;
    }
    cluster().Run(3000);
    return replies;
  }
  int Count(NodeId node, const Bytes& prefix, int from = 0, int to = kKeys) {
    int there = 0;
    for (int k = from; k < to; ++k) {
      there += Get(node, Format("%s%d", prefix.c_str(), k)) == kNil ? 0 : 1;
    }
    return there;
  }
};

TEST_F(NodeCacheLimitsTest, APrefixTakesNoMoreThanItMay) {
  Set("p: MAXMEMORY 300000");
  EXPECT_FALSE(Has(SetAll(home_, "q:"), "-"));
  EXPECT_FALSE(Has(SetAll(other_, "p:"), "-"));
  // Each of three nodes may keep so much, and those that are no homes give theirs to the homes.
  const int kept = Count(third_, "p:");
  EXPECT_GT(kept, 400);
  EXPECT_LT(kept, 3 * 550);
  EXPECT_EQ(Count(third_, "q:"), kKeys) << "nobody else pays for it";
}

TEST_F(NodeCacheLimitsTest, WhatIsThereAlreadyIsCountedToo) {
  EXPECT_FALSE(Has(SetAll(other_, "p:"), "-"));
  EXPECT_EQ(Count(other_, "p:"), kKeys);
  Set("p: MAXMEMORY 100000");
  cluster().Run(3000);
  EXPECT_LT(Count(home_, "p:"), 3 * 190);
  // Nor is it afterwards what has no limit any more.
  EXPECT_EQ(Ask(home_, "DCACHE.NS DEL p:"), ":1\r\n");
  EXPECT_FALSE(Has(SetAll(other_, "p:"), "-"));
  EXPECT_EQ(Count(other_, "p:"), kKeys);
}

TEST_F(NodeCacheLimitsTest, NoEvictionRefusesWrites) {
  Set("p: MAXMEMORY 300000 POLICY noeviction");
  const Bytes replies = SetAll(home_, "p:");
  EXPECT_TRUE(StartsWith(replies, "+OK\r\n+OK\r\n"));
  EXPECT_TRUE(Has(replies, "-OOM command not allowed when used memory > 'maxmemory'.\r\n"));
  const int kept = Count(home_, "p:");
  EXPECT_GT(kept, 300);
  EXPECT_LT(kept, 550);
  EXPECT_EQ(Count(home_, "p:", 0, 300), 300) << "what was there stays";
  EXPECT_EQ(Ask(home_, "DEL p:0 p:1"), ":2\r\n");
  EXPECT_EQ(Ask(home_, "SET p:0 v"), kOk);
  EXPECT_EQ(Ask(home_, "SET q:0 v"), kOk);
  // To read is always allowed; copies that are too many are dropped.
  Count(third_, "p:");
  EXPECT_EQ(Count(third_, "p:"), kept - 1);
}

// Where it is home: what other nodes read of theirs, a home does not see.
TEST_F(NodeCacheLimitsTest, WithLruWhatIsReadStays) {
  Set("p: MAXMEMORY 300000 POLICY lru");
  const Bytes prefix = "p:{p:k}";
  const Bytes filler(500, 'x');
  EXPECT_EQ(Ask(home_, "SET p:k v"), kOk);
  for (int k = 0; k < kKeys; ++k) {
    ASSERT_EQ(Ask(home_, Format("SET %s%d ", prefix.c_str(), k) + filler), kOk);
    ASSERT_EQ(Get(home_, "p:k"), Bulk("v")) << k;
  }
  EXPECT_EQ(Count(home_, prefix, 0, kKeys - 560), 0);
  EXPECT_EQ(Count(home_, prefix, kKeys - 480, kKeys), 480);
}

}  // namespace
}  // namespace lockstep
