// Keys of CLASS home on whole nodes: what their owner was answered his home has, in no log.
#include "tests/durable_fixture.h"

namespace lockstep {
namespace {

// All keys that begin with "k" are of it.
class NodeClassHomeTest : public NodeDurableTest {
 protected:
  void SetUp() override {
    NodeDurableTest::SetUp();
    SetClass("home");
  }
  void SetClass(const Bytes& name) {
    ASSERT_EQ(cluster().Ask(third_, "DCACHE.NS SET k CLASS " + name), kOk);
    cluster().Run(1000);
  }
  // What of the cache is lost on its way from one node to another.
  void LoseCache(NodeId from, NodeId to) {
    cluster().Lose([=](NodeId one, NodeId other, const bus::EnvelopeHeader& header) {
      return header.type == bus::MessageType::kCache && one == from && other == to;
    });
  }
  void LoseNothing() { cluster().Lose({}); }
  Index LogEnd() {
    return cluster().node(home_)->group(GroupOf("k"))->last().index;
  }
  void MoveHomeTo(NodeId node) {
    const uint64_t shard = ShardOf(GroupOf("k"));
    cluster().Ask(node, Format("CLUSTER LEADER shard-%lu %lu", shard, node.value));
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(GroupOf("k")) == node; }));
  }
};

// ---- What is promised. ----

TEST_F(NodeClassHomeTest, WhatIsAnsweredIsNotLostWithItsOwner) {
  const Bytes q = "q{k}";  // Of the same home, and of class back.
  EXPECT_EQ(cluster().Ask(home_, "SET k{k}gone v"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET " + q + " v"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET k v"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "APPEND k al"), ":3\r\n");
  EXPECT_EQ(cluster().Ask(other_, "APPEND k ue"), ":5\r\n");
  EXPECT_EQ(cluster().Ask(other_, "MSET k{k}a 1 k{k}b 2"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET k{k}t v PX 600000"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "APPEND k{k}t alue"), ":5\r\n");
  EXPECT_EQ(cluster().Ask(other_, "SET k{k}p v PX 600000"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "PERSIST k{k}p"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(other_, "SET k{k}e v"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "PEXPIRE k{k}e 700000"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(other_, "DEL k{k}gone"), ":1\r\n");
  cluster().KillSilently(other_);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("value"));
  EXPECT_EQ(Await(SendTo(home_, "MGET k{k}a k{k}b k{k}t k{k}p k{k}gone " + q)),
            "*6\r\n" + Bulk("1") + Bulk("2") + Bulk("value") + Bulk("v") + Bytes(kNil) +
                Bytes(kNil));
  ExpectPttl(third_, "k{k}t", 500'000, 600'000);
  ExpectPttl(third_, "k{k}e", 600'000, 700'000);
  EXPECT_EQ(cluster().Ask(third_, "PTTL k{k}p"), ":-1\r\n");
  EXPECT_TRUE(Has(cluster().Ask(home_, "DCACHE.STATS"), "$8\r\nrestored\r\n:6\r\n"));
}

TEST_F(NodeClassHomeTest, AnOwnerThatHasWrittenNothingYetLosesNothingOfOthers) {
  EXPECT_EQ(cluster().Ask(third_, "SET k v"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SETNX k never"), ":0\r\n");  // It owns the line now.
  cluster().KillSilently(other_);
  EXPECT_EQ(Await(SendTo(home_, "GET k")), Bulk("v"));
}

TEST_F(NodeClassHomeTest, EveryNodeSeesWhatAnyHasWrittenAndCountsOnIt) {
  for (int i = 0; i < 12; ++i) {
    const NodeId node{1 + static_cast<uint64_t>(i) % 3};
    EXPECT_EQ(cluster().Ask(node, "INCR k"), Format(":%d\r\n", 2 * i + 1));
    EXPECT_EQ(cluster().Ask(node, "INCR k"), Format(":%d\r\n", 2 * i + 2));
    if (i % 4 == 3) ExpectEverywhere("k", Bulk(std::to_string(2 * i + 2)));
  }
}

// What its home alone has goes with it. What another node has, too, the next home takes over.
TEST_F(NodeClassHomeTest, AHomeThatIsLostTakesWhatNobodyElseHas) {
  const Bytes alone = KeyOf(true, 0), read = KeyOf(true, 1), owned = KeyOf(true, 2);
  EXPECT_EQ(cluster().Ask(home_, "SET " + alone + " v"), kOk);
  EXPECT_EQ(cluster().Ask(home_, "SET " + read + " v"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "GET " + read), Bulk("v"));
  EXPECT_EQ(cluster().Ask(other_, "SET " + owned + " old"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET " + owned + " v"), kOk);
  cluster().KillSilently(home_);
  EXPECT_EQ(Await(SendTo(third_, "GET " + alone)), kNil);
  EXPECT_EQ(Await(SendTo(other_, "GET " + read)), Bulk("v"));
  EXPECT_EQ(Await(SendTo(third_, "GET " + owned)), Bulk("v"));
}

TEST_F(NodeClassHomeTest, WhatAHomeThatLeavesWasGivenTheNextOneHas) {
  EXPECT_EQ(cluster().Ask(other_, "SET k old"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET k v"), kOk);
  cluster().KillSilently(other_);
  MoveHomeTo(third_);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("v"));
  EXPECT_EQ(Await(SendTo(home_, "GET k")), Bulk("v"));
}

// ---- The price. ----

TEST_F(NodeClassHomeTest, AWriteTakesOneMessageThereAndOneBackAndNoLog) {
  EXPECT_EQ(cluster().Ask(other_, "SET k 0"), kOk);
  const Index end = LogEnd();
  uint64_t there = 0, back = 0;
  cluster().Lose([&](NodeId from, NodeId, const bus::EnvelopeHeader& header) {
    if (header.type == bus::MessageType::kCache) ++(from == other_ ? there : back);
    return false;
  });
  const ClientId client = cluster().Connect(other_);
  const MonoTime began = cluster().now();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(cluster().Ask(client, Format("SET k %d", i)), kOk);
  EXPECT_EQ(there, 50u);
  EXPECT_EQ(back, 50u);
  EXPECT_LE(cluster().now() - began, 50 * 3 * kUsPerMs);
  EXPECT_EQ(LogEnd(), end);
  there = back = 0;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(cluster().Ask(home_, Format("SET k{k}h %d", i)), kOk);
  EXPECT_EQ(there + back, 0u) << "its home has it";
  EXPECT_EQ(LogEnd(), end);
  SetClass("quorum");
  EXPECT_EQ(cluster().Ask(other_, "SET k v"), kOk);
  EXPECT_GT(LogEnd(), end);
}

// ---- Hidden until its home has it. ----

TEST_F(NodeClassHomeTest, NobodySeesAValueThatItsHomeDoesNotHave) {
  EXPECT_EQ(cluster().Ask(other_, "SET k old"), kOk);
  LoseCache(other_, home_);
  const ClientId writer = SendTo(other_, "SET k new");
  cluster().Run(50);
  const std::vector<ClientId> readers = {SendTo(other_, "GET k"), SendTo(third_, "GET k"),
                                         SendTo(home_, "GET k")};
  cluster().Run(300);
  EXPECT_EQ(cluster().Take(writer), "");
  for (const ClientId reader : readers) EXPECT_EQ(cluster().Take(reader), "");
  LoseNothing();
  EXPECT_EQ(Await(writer), kOk);
  for (const ClientId reader : readers) EXPECT_EQ(Await(reader), Bulk("new"));
}

TEST_F(NodeClassHomeTest, AnOwnerThatIsLostBeforeItsHomeHasHeardLeavesTheValueBefore) {
  EXPECT_EQ(cluster().Ask(other_, "SET k old"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "APPEND k er"), ":5\r\n");
  LoseCache(other_, home_);
  const ClientId writer = SendTo(other_, "SET k new");
  const ClientId reader = SendTo(other_, "GET k");
  cluster().Run(100);
  EXPECT_EQ(cluster().Take(writer) + cluster().Take(reader), "");
  cluster().KillSilently(other_);
  LoseNothing();
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("older"));
  EXPECT_EQ(Await(SendTo(home_, "APPEND k +")), ":6\r\n");
}

TEST_F(NodeClassHomeTest, WhoseHomeHasItAndDidNotSayDoesNotKnowAndOthersSeeIt) {
  EXPECT_EQ(cluster().Ask(other_, "SET k old"), kOk);
  cluster().Cut(home_, other_);
  const ClientId writer = SendTo(other_, "SET k new");
  cluster().Run(20);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("new"));
  const Bytes told = Await(writer);
  EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ")) << told;
  EXPECT_EQ(Await(SendTo(third_, "APPEND k er")), ":5\r\n");
  cluster().Heal();
  EXPECT_EQ(Await(SendTo(other_, "GET k")), Bulk("newer"));
}

// Trap c27.
TEST_F(NodeClassHomeTest, AnAnswerToTheFirstOfTwoWritesIsNoneToTheSecond) {
  EXPECT_EQ(cluster().Ask(other_, "SET k 0"), kOk);
  LoseCache(home_, other_);
  const ClientId first = SendTo(other_, "SET k 1");
  cluster().Run(20);
  const ClientId second = SendTo(other_, "SET k 2");
  cluster().Run(20);
  LoseCache(other_, home_);
  EXPECT_EQ(Await(first, 1500), kOk);
  cluster().Run(50);
  EXPECT_EQ(cluster().Take(second), "");
  cluster().KillSilently(other_);
  LoseNothing();
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("1"));
}

TEST_F(NodeClassHomeTest, AHomeThatIsLostInTheMidstLeavesTheNewValueOrNone) {
  for (const bool arrives : {true, false}) {
    EXPECT_EQ(cluster().Ask(other_, "SET k old"), kOk);
    LoseCache(arrives ? home_ : other_, arrives ? other_ : home_);
    const ClientId writer = SendTo(other_, "SET k new");
    cluster().Run(20);
    cluster().KillSilently(home_);
    LoseNothing();
    const Bytes told = Await(writer);
    EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ")) << told;
    const Bytes value = Await(SendTo(third_, "GET k"));
    EXPECT_NE(value, arrives ? Bulk("old") : Bulk("none")) << "it may have been seen";
    cluster().Start(home_);
    Settle();
    ExpectEverywhere("k", value);
  }
}

// What only its owner has is not what anybody has seen.
TEST_F(NodeClassHomeTest, AHomeThatLeavesInTheMidstKnowsWhatWasSeen) {
  EXPECT_EQ(cluster().Ask(other_, "SET k old"), kOk);
  LoseCache(other_, home_);
  const ClientId writer = SendTo(other_, "SET k new");
  cluster().Run(20);
  LoseNothing();
  MoveHomeTo(third_);
  const Bytes told = Await(writer);
  const Bytes value = Await(SendTo(home_, "GET k"));
  EXPECT_TRUE(told == kOk || StartsWith(told, "-UNCERTAIN ")) << told;
  EXPECT_EQ(value, Bulk(told == kOk ? "new" : "old"));
  ExpectEverywhere("k", value);
}

TEST_F(NodeClassHomeTest, ATransactionIsSeenAtOneInstantThoughItsKeysHaveTwoHomes) {
  const Bytes near = KeyOf(true), far = KeyOf(false);
  for (const NodeId writer : {home_, other_, third_}) {
    const Bytes value = std::to_string(writer.value);
    LoseCache(writer, cluster().OtherThan(writer));
    const ClientId client =
        SendTo(writer, "MSET " + near + " " + value + " " + far + " " + value);
    cluster().Run(50);
    std::vector<ClientId> readers;
    for (const NodeId node : {k1, k2, k3}) {
      readers.push_back(SendTo(node, "MGET " + near + " " + far));
    }
    cluster().Run(50);
    LoseNothing();
    EXPECT_EQ(Await(client), kOk);
    for (const ClientId reader : readers) {
      const Bytes seen = Await(reader);
      EXPECT_TRUE(seen == "*2\r\n" + Bulk(value) + Bulk(value) || !Has(seen, Bulk(value))) << seen;
    }
  }
}

// ---- Beside what is durable. ----

TEST_F(NodeClassHomeTest, WhatTheLogHasIsNotWhatWasPushedBefore) {
  EXPECT_EQ(cluster().Ask(other_, "SET k pushed"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k logged DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DEL k"), ":1\r\n");
  EXPECT_EQ(Get(other_), kNil);
  cluster().KillSilently(other_);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), kNil) << "that it is gone was seen";
}

TEST_F(NodeClassHomeTest, DurableKeysOfItAreDurable) {
  EXPECT_EQ(cluster().Ask(other_, "SET k pushed"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k logged DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "SET k again"), kOk);
  EXPECT_EQ(Exec(third_, {"SET k{k}2 one", "DCACHE.SET k{k}2 two DURABLE"}),
            "*2\r\n+OK\r\n+OK\r\n");
  LoseThePowerOfAll();
  ExpectEverywhere("k", Bulk("again"));
  ExpectEverywhere("k{k}2", Bulk("two"));
}

TEST_F(NodeClassHomeTest, WhatIsRefusedIsTakenBackAndLeavesNoTrace) {
  const Bytes near = KeyOf(true), far = KeyOf(false);
  EXPECT_EQ(cluster().Ask(home_, "DCACHE.SET " + near + " 1 FENCE 5"), kOk);
  EXPECT_EQ(cluster().Ask(home_, "SET " + far + " old"), kOk);
  const Bytes before = cluster().Ask(home_, "DCACHE.GET " + far + " META");
  const Bytes told = Exec(home_, {"SET " + far + " new", "DCACHE.SET " + near + " 2 FENCE 4"});
  EXPECT_TRUE(StartsWith(told, "-FENCED ")) << told;
  EXPECT_EQ(cluster().Ask(home_, "DCACHE.GET " + far + " META").substr(0, 20),
            before.substr(0, 20));
  ExpectEverywhere(far, Bulk("old"));
}

// ---- A prefix that changes. ----

// Its home counts on it that its owner pushes what it writes, as long as it has the line.
TEST_F(NodeClassHomeTest, WhoWasGrantedALineSoPushesThoughTheClassHasChanged) {
  EXPECT_EQ(cluster().Ask(other_, "SET k 0"), kOk);
  const ClientId client = cluster().Connect(other_);
  // So often that it does not go home meanwhile.
  for (int i = 1; i < 20; ++i) {
    EXPECT_EQ(cluster().Ask(client, Format("SET k %d", i)), kOk);
    if (i == 5) cluster().Ask(third_, "DCACHE.NS DEL k");
    if (i > 5) cluster().Run(100);
  }
  cluster().KillSilently(other_);
  const Bytes value = Await(SendTo(third_, "GET k"));
  EXPECT_TRUE(value == Bulk("19") || value == kNil) << value;
}

TEST_F(NodeClassHomeTest, WhatWasOwnedBeforeIsPushedWhenItIsWrittenNext) {
  SetClass("back");
  EXPECT_EQ(cluster().Ask(other_, "SET k 0"), kOk);
  const ClientId client = cluster().Connect(other_);
  for (int i = 1; i < 20; ++i) {
    EXPECT_EQ(cluster().Ask(client, Format("SET k %d", i)), kOk);
    if (i == 5) cluster().Ask(third_, "DCACHE.NS SET k CLASS home");
    if (i > 5) cluster().Run(100);
  }
  cluster().KillSilently(other_);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("19"));
}

TEST_F(NodeClassHomeTest, WhatIsOfClassBackAgainIsWrittenWithoutAWord) {
  EXPECT_EQ(cluster().Ask(other_, "SET k 0"), kOk);
  SetClass("back");
  EXPECT_EQ(cluster().Ask(third_, "SET k 1"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET k 2"), kOk);
  LoseCache(other_, home_);
  EXPECT_EQ(cluster().Ask(other_, "SET k 3"), kOk);
  cluster().KillSilently(other_);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), kNil);
}

// ---- Time. ----

TEST_F(NodeClassHomeTest, AKeyEndsOnAllNodesAtOnceAndAnIncrAtItsEndCountsOnOrBeginsAnew) {
  EXPECT_EQ(cluster().Ask(other_, "SET k v PX 1000"), kOk);
  bool gone = false;
  int seen = 0;
  for (int i = 0; i < 1200; ++i) {
    const Bytes reply = Get(NodeId{1 + static_cast<uint64_t>(i) % 3});
    ASSERT_TRUE(reply == kNil || reply == Bulk("v")) << reply;
    ASSERT_TRUE(!gone || reply == kNil) << "after " << i;
    gone |= reply == kNil;
    seen += reply == kNil ? 0 : 1;
  }
  EXPECT_TRUE(gone);
  EXPECT_GT(seen, 100);
  for (int at = 290; at < 310; ++at) {
    const Bytes key = Format("k%d", at);
    EXPECT_EQ(cluster().Ask(other_, "SET " + key + " 5 PX 300"), kOk);
    cluster().Run(at);
    const Bytes told = cluster().Ask(other_, "INCR " + key);
    EXPECT_TRUE(told == ":6\r\n" || told == ":1\r\n") << told;
    const Bytes ttl = cluster().Ask(third_, "PTTL " + key);
    EXPECT_TRUE(told == ":6\r\n" ? IntegerOf(ttl) != -1 : ttl == ":-1\r\n") << at << told << ttl;
  }
}

}  // namespace
}  // namespace lockstep
