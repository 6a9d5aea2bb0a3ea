// The keyspace as a whole, on whole nodes: keys that are created here, owned there, and asked for
// elsewhere.
#include "tests/node_fixture.h"

#include <set>

#include "src/base/hash.h"

namespace lockstep {
namespace {

constexpr uint64_t kShards = 4;

GroupId ShardGroupOf(BytesView key) { return ShardGroup(ShardOfSlot(SlotOf(key), kShards)); }

class NodeKeysTest : public NodeFixture {
 protected:
  void SetUp() override { FormWith(3); }
  void FormWith(uint64_t nodes) {
    Form(nodes, "shards 4\nuncertain-after-ms 20000\nleader-wait-ms 20000\n");
    for (uint64_t i = 0; i < kShards; ++i) {
      ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(ShardGroup(i)) != kNoNode; }));
    }
  }
  Bytes Ask(NodeId node, const Bytes& line) { return cluster().Ask(node, line); }
  void Set(NodeId node, const Bytes& key) {
    ASSERT_EQ(Ask(node, "SET " + key + " v"), "+OK\r\n") << key;
  }
  // A key whose home is `home`.
  Bytes KeyAt(NodeId home, const Bytes& prefix = "k") {
    for (int i = 0;; ++i) {
      const Bytes key = prefix + std::to_string(i);
      if (cluster().Leader(ShardGroupOf(key)) == home) return key;
    }
  }
  // What SCAN gives from cursor 0 to cursor 0, each as often as it comes.
  std::multiset<Bytes> ScanAll(NodeId node, const Bytes& options = "") {
    std::multiset<Bytes> names;
    Bytes cursor = "0";
    do {
      const std::vector<Bytes> bulks = Bulks(Ask(node, "SCAN " + cursor + options));
      if (bulks.empty()) {
        ADD_FAILURE() << "no answer to SCAN " << cursor;
        return names;
      }
      cursor = bulks[0];
      names.insert(bulks.begin() + 1, bulks.end());
    } while (cursor != "0");
    return names;
  }
  static std::vector<Bytes> Bulks(const Bytes& reply) {
    std::vector<Bytes> found;
    for (size_t at = reply.find('$'); at != Bytes::npos; at = reply.find('$', at + 1)) {
      const size_t begin = reply.find("\r\n", at) + 2;
      found.push_back(reply.substr(begin, reply.find("\r\n", begin) - begin));
    }
    return found;
  }
  static std::set<Bytes> SetOf(const std::multiset<Bytes>& all) { return {all.begin(), all.end()}; }
};

TEST_F(NodeKeysTest, AKeyThatOnlyItsOwnerHasIsThereOnceAndGoneWhenItIsErased) {
  const Bytes key = KeyAt(k2);
  Set(k1, key);  // Modified at 1; the home is 2.
  EXPECT_EQ(ScanAll(k3), std::multiset<Bytes>{key});
  Set(k1, key);
  EXPECT_EQ(Ask(k3, "DBSIZE"), ":1\r\n");
  Set(k1, key);
  EXPECT_EQ(Bulks(Ask(k3, "KEYS *")), std::vector<Bytes>{key});
  ASSERT_EQ(Ask(k1, "DEL " + key), ":1\r\n");
  EXPECT_EQ(ScanAll(k3), std::multiset<Bytes>());
  EXPECT_EQ(Ask(k2, "DBSIZE"), ":0\r\n");
  EXPECT_EQ(Ask(k3, "KEYS *"), "*0\r\n");
}

TEST_F(NodeKeysTest, DbsizeCountsEachKeyOnceWhereverItIs) {
  for (int i = 0; i < 60; ++i) Set(NodeId{1 + static_cast<uint64_t>(i) % 3}, Format("k%d", i));
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(Ask(node, "DBSIZE"), ":60\r\n");
  // Whoever has read a key that is not there has a line of it all the same.
  EXPECT_EQ(Ask(k1, "EXISTS none1 none2 none3"), ":0\r\n");
  EXPECT_EQ(Ask(k3, "DBSIZE"), ":60\r\n");
  for (int i = 0; i < 30; ++i) ASSERT_EQ(Ask(k2, Format("DEL k%d", i)), ":1\r\n");
  EXPECT_EQ(Ask(k1, "DBSIZE"), ":30\r\n");
}

TEST_F(NodeKeysTest, WhatIsPastItsTimeIsNotAKey) {
  const Bytes key = KeyAt(k2);
  ASSERT_EQ(Ask(k1, "SET " + key + " v PX 300"), "+OK\r\n");
  EXPECT_EQ(Ask(k3, "DBSIZE"), ":1\r\n");
  cluster().Run(400);
  EXPECT_EQ(Ask(k3, "DBSIZE"), ":0\r\n");
  EXPECT_EQ(ScanAll(k1), std::multiset<Bytes>());
  EXPECT_EQ(Ask(k1, "RANDOMKEY"), "$-1\r\n");
}

TEST_F(NodeKeysTest, TheEmptyKeyIsOneKeyAloneOrAmongOthers) {
  ASSERT_EQ(Ask(k1, "SET \"\" x"), "+OK\r\n");
  for (const NodeId node : {k1, k2, k3}) {
    EXPECT_EQ(Ask(node, "GET \"\""), "$1\r\nx\r\n");
    EXPECT_EQ(Ask(node, "EXISTS \"\" none"), ":1\r\n");
  }
  EXPECT_EQ(Ask(k2, "DEL \"\""), ":1\r\n");
  EXPECT_EQ(Ask(k3, "DBSIZE"), ":0\r\n");
}

TEST_F(NodeKeysTest, ScanTakesPatternsCountsAndTypes) {
  std::set<Bytes> all, some;
  for (int i = 0; i < 200; ++i) {
    const Bytes key = Format("%s%d", i % 2 == 0 ? "even:" : "odd:", i);
    Set(k1, key);
    all.insert(key);
    if (i % 2 == 0) some.insert(key);
  }
  EXPECT_EQ(SetOf(ScanAll(k2)), all);
  EXPECT_EQ(SetOf(ScanAll(k3, " COUNT 1")), all);
  EXPECT_EQ(SetOf(ScanAll(k2, " COUNT 100000")), all);
  EXPECT_EQ(SetOf(ScanAll(k2, " MATCH even:* COUNT 7")), some);
  EXPECT_EQ(SetOf(ScanAll(k2, " TYPE string MATCH even:*")), some);
  EXPECT_EQ(ScanAll(k2, " TYPE hash"), std::multiset<Bytes>());
  EXPECT_EQ(Bulks(Ask(k2, "KEYS even:*")).size(), 100u);
}

// A new home's table has another order: SCAN begins its shard anew.
TEST_F(NodeKeysTest, ScanMeetsEveryKeyThoughTheHomesMove) {
  std::set<Bytes> all;
  for (int i = 0; i < 400; ++i) {
    all.insert(Format("k%d", i));
    Set(k1, Format("k%d", i));
  }
  cluster().Run(1000);  // What is dirty is written back.
  std::set<Bytes> met;
  Bytes cursor = "0";
  int pages = 0;
  do {
    const std::vector<Bytes> bulks = Bulks(Ask(k1, "SCAN " + cursor + " COUNT 10"));
    ASSERT_FALSE(bulks.empty());
    cursor = bulks[0];
    met.insert(bulks.begin() + 1, bulks.end());
    if (++pages == 2) {
      for (uint64_t shard = 0; shard < kShards; ++shard) {
        const NodeId before = cluster().Leader(ShardGroup(shard));
        const NodeId after = cluster().OtherThan(before);
        ASSERT_EQ(Ask(k1, Format("CLUSTER LEADER shard-%lu %lu", shard, after.value)), "+OK\r\n");
        ASSERT_TRUE(cluster().RunUntil(
            [&] { return cluster().Leader(ShardGroup(shard)) == after; }));
      }
    }
  } while (cursor != "0");
  EXPECT_GT(pages, 4);
  EXPECT_EQ(met, all);
}

TEST_F(NodeKeysTest, FlushallTakesWhatIsDirtyElsewhereAndNothingComesBack) {
  for (int i = 0; i < 50; ++i) Set(NodeId{1 + static_cast<uint64_t>(i) % 3}, Format("k%d", i));
  for (int i = 0; i < 50; ++i) ASSERT_NE(Ask(k2, Format("GET k%d", i)), "$-1\r\n");  // Shared too.
  for (int i = 0; i < 25; ++i) Set(k1, Format("k%d", i));                            // And dirty.
  EXPECT_EQ(Ask(k3, "FLUSHALL"), "+OK\r\n");
  for (const NodeId node : {k1, k2, k3}) {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(Ask(node, Format("GET k%d", i)), "$-1\r\n") << i;
    EXPECT_EQ(Ask(node, "DBSIZE"), ":0\r\n");
  }
  cluster().Run(2000);  // Whatever is written back late.
  EXPECT_EQ(Ask(k1, "DBSIZE"), ":0\r\n");
  Set(k1, "k1");
  EXPECT_EQ(Ask(k2, "FLUSHDB ASYNC"), "+OK\r\n");
  EXPECT_EQ(Ask(k1, "GET k1"), "$-1\r\n");
}

// Each owner writes as often as it can: it has the line again before the home is asked again.
TEST_F(NodeKeysTest, KeysThatAreWrittenAllTheTimeAreCountedAndFlushed) {
  const Bytes key = KeyAt(k2);
  const ClientId writer = cluster().Connect(k1);
  const ClientId asker = cluster().Connect(k3);
  const auto ask = [&](const Bytes& line) {
    cluster().Send(asker, line);
    Bytes reply;
    for (int ms = 0; ms < 10'000 && reply.empty(); ++ms) {
      cluster().Send(writer, "INCR " + key);
      cluster().Run(1);
      reply = cluster().Take(asker);
    }
    return reply;
  };
  ASSERT_EQ(cluster().Ask(writer, "INCR " + key), ":1\r\n");
  EXPECT_EQ(ask("DBSIZE"), ":1\r\n");
  (void)cluster().Take(writer);
  EXPECT_EQ(ask("FLUSHALL"), "+OK\r\n");
  cluster().Run(50);
  // It was gone for a moment: the counter began anew.
  EXPECT_TRUE(Has(cluster().Take(writer), ":1\r\n"));
  cluster().Run(1000);
}

TEST_F(NodeKeysTest, AFlushAfterWritesOfTheSameConnectionTakesThem) {
  const ClientId client = cluster().Connect(k1);
  cluster().Send(client, "SET a 1\r\nSET b 2\r\nDBSIZE\r\nFLUSHALL\r\nSET c 3\r\nDBSIZE");
  cluster().Run(1000);
  EXPECT_EQ(cluster().Take(client), "+OK\r\n+OK\r\n:2\r\n+OK\r\n+OK\r\n:1\r\n");
}

TEST_F(NodeKeysTest, FlushallTouchesNoLock) {
  ASSERT_EQ(Ask(k1, "LOCK.ACQUIRE jobs alice").front(), ':');
  EXPECT_EQ(Ask(k2, "DBSIZE"), ":0\r\n");
  EXPECT_EQ(Ask(k2, "KEYS *"), "*0\r\n");
  EXPECT_EQ(Ask(k2, "FLUSHALL"), "+OK\r\n");
  EXPECT_EQ(Ask(k2, "TYPE jobs"), "+lock\r\n");
  EXPECT_EQ(Ask(k2, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");
  EXPECT_EQ(ScanAll(k3, " TYPE lock"), std::multiset<Bytes>{"jobs"});
}

TEST_F(NodeKeysTest, TypeAndMemoryAreOfTheKeyElseOfTheLock) {
  EXPECT_EQ(Ask(k1, "TYPE both"), "+none\r\n");
  EXPECT_EQ(Ask(k1, "MEMORY USAGE both"), "$-1\r\n");
  ASSERT_EQ(Ask(k1, "LOCK.ACQUIRE both alice").front(), ':');
  EXPECT_EQ(Ask(k2, "TYPE both"), "+lock\r\n");
  const Bytes of_lock = Ask(k2, "MEMORY USAGE both");
  Set(k3, "both");
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(Ask(node, "TYPE both"), "+string\r\n");
  EXPECT_NE(Ask(k2, "MEMORY USAGE both"), of_lock);
  const ClientId client = cluster().Connect(k1);
  cluster().Send(client, "MULTI\r\nTYPE both\r\nTYPE none\r\nDBSIZE\r\nEXEC");
  cluster().Run(100);
  EXPECT_TRUE(Has(cluster().Take(client), "*3\r\n+string\r\n+none\r\n-ERR this command"));
}

TEST_F(NodeKeysTest, RandomkeyGivesKeysThatThereAre) {
  EXPECT_EQ(Ask(k1, "RANDOMKEY"), "$-1\r\n");
  const Bytes only = KeyAt(k2);
  Set(k1, only);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Bulks(Ask(k3, "RANDOMKEY")), std::vector<Bytes>{only});
  for (int i = 0; i < 100; ++i) Set(k1, Format("more%d", i));
  std::set<Bytes> met;
  for (int i = 0; i < 60; ++i) met.insert(Bulks(Ask(k3, "RANDOMKEY")).at(0));
  EXPECT_GT(met.size(), 20u);
  for (const Bytes& key : met) EXPECT_EQ(Ask(k2, "EXISTS " + key), ":1\r\n");
}

TEST_F(NodeKeysTest, ASlotsKeysAreFoundFromAnyNode) {
  for (const char* key : {"{a}1", "{a}2", "{a}3", "b"}) Set(k1, key);
  const Bytes slot = std::to_string(SlotOf("a"));
  for (const NodeId node : {k1, k2, k3}) {
    EXPECT_EQ(Ask(node, "CLUSTER COUNTKEYSINSLOT " + slot), ":3\r\n");
    EXPECT_EQ(Bulks(Ask(node, "CLUSTER GETKEYSINSLOT " + slot + " 10")),
              (std::vector<Bytes>{"{a}1", "{a}2", "{a}3"}));
    EXPECT_EQ(Bulks(Ask(node, "CLUSTER GETKEYSINSLOT " + slot + " 2")).size(), 2u);
  }
  EXPECT_EQ(Ask(k1, "CLUSTER GETKEYSINSLOT " + slot + " 0"), "*0\r\n");
  EXPECT_EQ(Ask(k1, "CLUSTER COUNTKEYSINSLOT 1"), ":0\r\n");
}

TEST_F(NodeKeysTest, AHomeThatDiesDelaysAnAnswerAndMakesNone) {
  const Bytes key = KeyAt(k2);
  Set(k1, key);
  cluster().Run(1000);
  EXPECT_EQ(Ask(k3, "GET " + key), "$1\r\nv\r\n");
  Set(k1, key);
  cluster().Kill(k2);
  // The next home may have heard of it from its owner, or has forgotten it: for all alike.
  const Bytes size = Ask(k3, "DBSIZE");
  EXPECT_EQ(size, Ask(k3, "GET " + key) == "$-1\r\n" ? ":0\r\n" : ":1\r\n");
  EXPECT_EQ(Ask(k1, "FLUSHALL"), "+OK\r\n");
  EXPECT_EQ(Ask(k3, "DBSIZE"), ":0\r\n");
}

TEST_F(NodeKeysTest, AnOwnerThatIsSilentIsWaitedForAsLongAsItsLease) {
  const Bytes key = KeyAt(k2), other = KeyAt(k2, "other");
  Set(k1, key);
  Set(k3, other);
  cluster().KillSilently(k1);
  EXPECT_EQ(Ask(k3, "DBSIZE"), ":1\r\n");  // Its value is lost with it.
}

TEST_F(NodeKeysTest, StateTellsWhereALineIs) {
  const Bytes key = KeyAt(k2);
  Set(k1, key);
  const Bytes at_owner = Ask(k1, "DCACHE.STATE " + key);
  EXPECT_TRUE(Has(at_owner, "$5\r\nstate\r\n$1\r\nM\r\n")) << at_owner;
  EXPECT_TRUE(Has(at_owner, "$4\r\nhome\r\n:2\r\n")) << at_owner;
  EXPECT_TRUE(Has(at_owner, "$5\r\nowner\r\n:1\r\n")) << at_owner;
  EXPECT_TRUE(Has(Ask(k3, "DCACHE.STATE " + key), "$5\r\nstate\r\n$1\r\nI\r\n"));
  ASSERT_EQ(Ask(k3, "GET " + key), "$1\r\nv\r\n");
  const Bytes shared = Ask(k3, "DCACHE.STATE " + key);
  EXPECT_TRUE(Has(shared, "$5\r\nstate\r\n$1\r\nS\r\n")) << shared;
  EXPECT_TRUE(Has(shared, "$5\r\nowner\r\n$-1\r\n$7\r\nsharers\r\n*2\r\n")) << shared;
  EXPECT_TRUE(Has(Ask(k1, "DCACHE.STATS"), "$10\r\nviolations\r\n:0\r\n"));
  EXPECT_TRUE(Has(Ask(k3, "DCACHE.STATS HOT 3"), "$6\r\nshared\r\n:1\r\n"));
  EXPECT_TRUE(Has(Ask(k2, "INFO keyspace"), "db0:keys=1,expires=0"));
}

TEST_F(NodeKeysTest, StateTellsWhatHasBecomeOfALineHereAndAtItsHome) {
  const Bytes key = KeyAt(k2);
  Set(k1, key);
  ASSERT_EQ(Ask(k3, "GET " + key), "$1\r\nv\r\n");
  for (int i = 0; i < 40; ++i) Ask(k3, "GET " + key);  // Hits: nothing to tell.
  Set(k1, key);
  const Bytes reader = Ask(k3, "DCACHE.STATE " + key);
  const auto order = [&reader](const char* one, const char* other) {
    return Has(reader, one) && Has(reader, other) && reader.find(one) < reader.find(other);
  };
  EXPECT_TRUE(order("$6\r\nevents\r\n*3\r\n", " s GetS to node 2: I -> IS")) << reader;
  EXPECT_TRUE(order("GetS to node 2: I -> IS", "Data.S from node 2: IS -> S")) << reader;
  EXPECT_TRUE(order("Data.S from node 2: IS -> S", "Inv from node 2: S -> I")) << reader;
  EXPECT_TRUE(order("GetX from node 1: U -> X of node 1", "GetS from node 3: X -> B_RS of node 1"));
  EXPECT_TRUE(order("RecallAck from node 1: B_RS -> Sh", "GetX from node 1: Sh -> B_INV"));
  EXPECT_TRUE(order("GetX from node 1: Sh -> B_INV", "InvAck from node 3: B_INV -> X of node 1"));
  cluster().CutOff(k3);
  cluster().Run(3000);
  ASSERT_EQ(Ask(k1, "GET " + key), "$1\r\nv\r\n");
  ASSERT_EQ(Ask(k2, "SET " + key + " w"), "+OK\r\n");
  EXPECT_TRUE(Has(Ask(k2, "DCACHE.STATE " + key), "own write: "));
}

TEST_F(NodeKeysTest, TheHottestKeysOfANodeAreNamed) {
  const Bytes hot = KeyAt(k2, "hot"), warm = KeyAt(k2, "warm"), cold = KeyAt(k2, "cold");
  for (const Bytes& key : {hot, warm, cold}) Set(k1, key);
  EXPECT_TRUE(Has(Ask(k3, "DCACHE.STATS HOT 5"), "$3\r\nhot\r\n*0\r\n"));
  Bytes lines;
  for (int i = 0; i < 500; ++i) lines += "GET " + hot + "\r\nMGET " + hot + " " + warm + "\r\n";
  for (int i = 0; i < 20; ++i) Ask(k3, lines + "PING");
  const Bytes stats = Ask(k3, "DCACHE.STATS HOT 2");
  const Bytes first = Format("$3\r\nhot\r\n*2\r\n*2\r\n$%zu\r\n", hot.size()) + hot;
  EXPECT_TRUE(Has(stats, first)) << stats;
  EXPECT_LT(stats.find(first), stats.rfind("\r\n" + warm + "\r\n")) << stats;
  EXPECT_TRUE(Has(Ask(k2, "DCACHE.STATS HOT 5"), "$3\r\nhot\r\n*0\r\n")) << "not asked there";
}

TEST_F(NodeKeysTest, ANodeThatIsNoClusterYetSaysSo) {
  cluster_ = std::make_unique<NodeCluster>(3);
  cluster().Start(k1);
  cluster().Run(100);
  EXPECT_TRUE(StartsWith(Ask(k1, "DBSIZE"), "-CLUSTERDOWN"));
  EXPECT_TRUE(StartsWith(Ask(k1, "SCAN 0"), "-CLUSTERDOWN"));
  EXPECT_TRUE(StartsWith(Ask(k1, "TYPE x"), "-CLUSTERDOWN"));
  EXPECT_EQ(Ask(k1, "DCACHE.STATS").front(), '*');
}

}  // namespace
}  // namespace lockstep
