// Durable keys of whole nodes: what is refused (old tokens, what is too large) has changed nothing;
// and random work, with deaths.
#include <algorithm>
#include <array>
#include <random>

#include "tests/durable_fixture.h"

namespace lockstep {
namespace {

// ---- Fences. ----

TEST_F(NodeDurableTest, AnOlderTokenIsRefusedOnEveryNodeAndAnEqualOneIsNot) {
  for (const NodeId first : {home_, other_}) {
    const Bytes key = Format("by-%lu", first.value);
    EXPECT_EQ(cluster().Ask(first, "DCACHE.SET " + key + " seven FENCE 7"), kOk);
    for (const NodeId node : {home_, other_, third_}) {
      const Bytes told = cluster().Ask(node, "DCACHE.SET " + key + " six FENCE 6");
      EXPECT_TRUE(StartsWith(told, "-FENCED ")) << told;
      ExpectEverywhere(key, Bulk("seven"));
      EXPECT_EQ(cluster().Ask(node, "DCACHE.SET " + key + " again FENCE 7"), kOk);
      EXPECT_EQ(cluster().Ask(node, "DCACHE.SET " + key + " seven FENCE 7"), kOk);
    }
    EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET " + key + " eight FENCE 8"), kOk);
    EXPECT_TRUE(StartsWith(cluster().Ask(first, "DCACHE.SET " + key + " x FENCE 7"), "-FENCED "));
    ExpectEverywhere(key, Bulk("eight"));
  }
}

TEST_F(NodeDurableTest, WhatAFenceRefusesIsUndoneWithItsTimeAndItsLine) {
  EXPECT_EQ(cluster().Ask(home_, "DCACHE.SET k old PX 100000 FENCE 9"), kOk);
  for (const NodeId node : {home_, other_, third_}) {
    const ClientId client = cluster().Connect(node);
    cluster().Send(client, "DCACHE.SET k new PX 5 FENCE 8\r\nGET k\r\nPTTL k\r\nPING");
    Bytes replies;
    cluster().RunUntil([&] { return Has(replies += cluster().Take(client), "PONG"); });
    EXPECT_TRUE(StartsWith(replies, "-FENCED "));
    EXPECT_TRUE(Has(replies, Bulk("old"))) << replies;
    ExpectPttl(node, "k", 99'000, 100'000);
  }
  EXPECT_EQ(cluster().Ask(third_, "APPEND k er"), ":5\r\n");
  LoseThePowerOfAll();
  ExpectEverywhere("k", Bulk("older"));
}

TEST_F(NodeDurableTest, ATokenOutlivesItsKeyAndThePowerOfAllNodes) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v FENCE 9"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "DEL k"), ":1\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(home_, "DCACHE.SET k old FENCE 8"), "-FENCED "));
  ExpectEverywhere("k", kNil);
  LoseThePowerOfAll();
  EXPECT_TRUE(StartsWith(cluster().Ask(third_, "DCACHE.SET k old FENCE 8"), "-FENCED "));
  ExpectEverywhere("k", kNil);
  EXPECT_EQ(cluster().Ask(third_, "EXISTS k"), ":0\r\n");
  EXPECT_EQ(cluster().Ask(third_, "DBSIZE"), ":1\r\n") << "warm; a token is no key";
  EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET k new FENCE 10"), kOk);
  ExpectEverywhere("k", Bulk("new"));
}

TEST_F(NodeDurableTest, AConditionThatFailsNeitherFencesNorWrites) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v FENCE 5"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET k x NX FENCE 9"), kNil);
  EXPECT_EQ(cluster().Ask(home_, "DCACHE.SET k x IFEQ w DURABLE"), kNil);
  EXPECT_EQ(cluster().Ask(home_, "DCACHE.SET k six FENCE 6"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k x IFEQ six GET FENCE 7"), Bulk("six"));
  ExpectEverywhere("k", Bulk("x"));
}

TEST_F(NodeDurableTest, AReaderWhoWaitsWhileAFenceIsAskedSeesWhatWasBefore) {
  EXPECT_EQ(cluster().Ask(home_, "DCACHE.SET k old FENCE 9"), kOk);
  const ClientId late = SendTo(other_, "DCACHE.SET k never FENCE 3");
  std::vector<ClientId> readers;
  for (int ms = 0; ms < 10; ++ms) {
    for (const NodeId node : {k1, k2, k3}) readers.push_back(SendTo(node, "GET k"));
    cluster().Run(1);
  }
  EXPECT_TRUE(StartsWith(Await(late), "-FENCED "));
  for (const ClientId reader : readers) EXPECT_EQ(Await(reader), Bulk("old"));
}

TEST_F(NodeDurableTest, AFenceThatIsRefusedInTheMidstOfOthersLeavesTheirOrder) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k 0 FENCE 9"), kOk);
  std::vector<ClientId> clients;
  for (int i = 0; i < 12; ++i) {
    const NodeId node{1 + static_cast<uint64_t>(i) % 3};
    clients.push_back(SendTo(node, i % 2 == 0 ? "INCR k" : "DCACHE.SET k 1000 FENCE 8"));
  }
  for (int i = 0; i < 12; ++i) {
    const Bytes told = Await(clients[static_cast<size_t>(i)]);
    EXPECT_TRUE(i % 2 == 0 ? IntegerOf(told) > 0 && IntegerOf(told) <= 6
                           : StartsWith(told, "-FENCED ")) << told;
  }
  ExpectEverywhere("k", Bulk("6"));
}

TEST_F(NodeDurableTest, AFenceIsRememberedWhenAllKeysAreFlushed) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v FENCE 9"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "FLUSHALL"), kOk);
  EXPECT_TRUE(StartsWith(cluster().Ask(third_, "DCACHE.SET k old FENCE 8"), "-FENCED "));
}

TEST_F(NodeDurableTest, WhatAFenceRefusesOfAnOrdinaryKeyLeavesItOrdinary) {
  for (const NodeId writer : {home_, other_}) {
    EXPECT_EQ(cluster().Ask(writer, "DCACHE.SET k v FENCE 9"), kOk);
    EXPECT_EQ(cluster().Ask(writer, "DEL k"), ":1\r\n");
    EXPECT_EQ(cluster().Ask(writer, "SET k plain"), kOk);
    EXPECT_TRUE(StartsWith(cluster().Ask(writer, "DCACHE.SET k x FENCE 8"), "-FENCED "));
    ExpectEverywhere("k", Bulk("plain"));
    EXPECT_EQ(cluster().Ask(writer, "SET k plainer"), kOk);
  }
  cluster().Run(1000);
  cluster().KillSilently(other_);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("plainer")) << "it was at home by then";
}

TEST_F(NodeDurableTest, ATokenOutlivesAKeyThatIsWrittenAndDeletedAtOnce) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v FENCE 9"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DEL k"), ":1\r\n");
  EXPECT_EQ(Exec(other_, {"DCACHE.SET k v DURABLE", "DEL k"}), "*2\r\n+OK\r\n:1\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(third_, "DCACHE.SET k old FENCE 8"), "-FENCED "));
}

TEST_F(NodeDurableTest, ATokenOutlivesAKeyThatIsSetWhenItsTimeIsPast) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v FENCE 9"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DEL k"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v PXAT 1 FENCE 10"), kOk);
  ExpectEverywhere("k", kNil);
  EXPECT_TRUE(StartsWith(cluster().Ask(third_, "DCACHE.SET k old FENCE 9"), "-FENCED "));
  EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET fresh v PXAT 1 FENCE 10"), kOk);
  EXPECT_TRUE(StartsWith(cluster().Ask(third_, "DCACHE.SET fresh old FENCE 9"), "-FENCED "));
}

TEST_F(NodeDurableTest, ATokenIsComparedThoughTheTransactionWritesTheKeyAgainWithoutOne) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k nine FENCE 9"), kOk);
  const Bytes told = Exec(other_, {"DCACHE.SET k old FENCE 3", "DCACHE.SET k old DURABLE"});
  EXPECT_TRUE(Has(told, "-FENCED ")) << told;
}

TEST_F(NodeDurableTest, OfTwoTokensInATransactionTheHigherIsRemembered) {
  const Bytes told = Exec(other_, {"DCACHE.SET k nine FENCE 9", "DCACHE.SET k three FENCE 3"});
  EXPECT_TRUE(Has(told, "-FENCED ")) << "the second is below what the key has seen: " << told;
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k nine FENCE 9"), kOk);
  EXPECT_EQ(Exec(other_, {"DCACHE.SET k ten FENCE 10", "DCACHE.SET k on DURABLE"}),
            "*2\r\n+OK\r\n+OK\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(third_, "DCACHE.SET k old FENCE 9"), "-FENCED "));
}

// Whoever is refused is told the truth of the other keys: those stay as they were written.
TEST_F(NodeDurableTest, ATransactionThatAFenceRefusesTellsThatOtherKeysMayBeWritten) {
  for (const bool same_shard : {true, false}) {
    for (const NodeId node : {home_, other_}) {
      const Bytes fenced = KeyOf(same_shard, 2);
      EXPECT_EQ(cluster().Ask(node, "DCACHE.SET " + fenced + " v FENCE 9"), kOk);
      EXPECT_EQ(cluster().Ask(node, "SET plain old"), kOk);
      const Bytes told = Exec(node, {"SET plain new", "DCACHE.SET " + fenced + " x FENCE 8"});
      EXPECT_TRUE(Has(told, "-UNCERTAIN what the command wrote of some keys was refused (FENCED)"))
          << told;
      ExpectEverywhere(fenced, Bulk("v"));
      ExpectEverywhere("plain", Bulk("new"));
    }
  }
}

// Durable keys of one shard are written together, or not at all.
TEST_F(NodeDurableTest, ATransactionThatAFenceRefusesLeavesTheDurableKeysOfItsShard) {
  for (const NodeId node : {home_, other_}) {
    const Bytes fenced = KeyOf(true, 2), first = KeyOf(true, 3);
    EXPECT_EQ(cluster().Ask(node, "DCACHE.SET " + fenced + " v FENCE 9"), kOk);
    EXPECT_EQ(cluster().Ask(node, "DCACHE.SET " + first + " old DURABLE"), kOk);
    const Bytes told = Exec(node, {"SET " + first + " new",
                                   "DCACHE.SET " + fenced + " x FENCE 8"});
    EXPECT_TRUE(Has(told, "-FENCED the key has seen a higher token; nothing was changed")) << told;
    ExpectEverywhere(fenced, Bulk("v"));
    ExpectEverywhere(first, Bulk("old"));
  }
}

TEST_F(NodeDurableTest, ACommandThatIsRefusedForItsSizeTellsThatOthersWereWritten) {
  const Bytes large((1 << 20) + 1, 'x');
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET plain old"), kOk);
  Bytes mset = "*5\r\n$4\r\nMSET\r\n" + Bulk("plain") + Bulk("new") + Bulk("k") + Bulk(large);
  mset.resize(mset.size() - 2);
  const Bytes told = cluster().Ask(other_, mset);
  EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ")) << told;
  EXPECT_TRUE(Has(told, "was refused (LIMIT) and taken back")) << told;
  ExpectEverywhere("k", Bulk("old"));
  ExpectEverywhere("plain", Bulk("new"));
}

// ---- What is too large. ----

TEST_F(NodeDurableTest, ALargeValueIsRefusedAndNothingHasChanged) {
  const Bytes most(1 << 20, 'x');
  const auto set = [](const Bytes& key, const Bytes& value) {
    return Format("*4\r\n$10\r\nDCACHE.SET\r\n$%zu\r\n", key.size()) + key + "\r\n" + Bulk(value) +
           "$7\r\nDURABLE";
  };
  EXPECT_EQ(cluster().Ask(other_, set("most", most)), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  for (const NodeId node : {home_, other_, third_}) {
    EXPECT_TRUE(StartsWith(cluster().Ask(node, set("k", most + "y")), "-LIMIT "));
    EXPECT_TRUE(StartsWith(cluster().Ask(node, set("fresh", most + "y")), "-LIMIT "));
    EXPECT_TRUE(StartsWith(cluster().Ask(node, "APPEND most y"), "-LIMIT "));
    EXPECT_EQ(cluster().Ask(node, "STRLEN most"), Format(":%zu\r\n", most.size()));
    ExpectEverywhere("k", Bulk("old"));
    ExpectEverywhere("fresh", kNil);
  }
  EXPECT_EQ(cluster().Ask(third_, "APPEND k er"), ":5\r\n") << "it is as good as ever";
}

TEST_F(NodeDurableTest, WhatIsRefusedForItsSizeLeavesAnOrdinaryKeyOrdinary) {
  const Bytes large(2 << 20, 'x');
  const Bytes body = Bulk(large);
  for (const NodeId writer : {home_, other_}) {
    EXPECT_EQ(cluster().Ask(writer, "SET k plain"), kOk);
    EXPECT_TRUE(StartsWith(cluster().Ask(writer, "*4\r\n$10\r\nDCACHE.SET\r\n$1\r\nk\r\n" + body +
                                                     "$7\r\nDURABLE"), "-LIMIT "));
    ExpectEverywhere("k", Bulk("plain"));
    EXPECT_EQ(cluster().Ask(writer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" +
                                        body.substr(0, body.size() - 2)), kOk);
    EXPECT_EQ(cluster().Ask(third_, "STRLEN k"), Format(":%zu\r\n", large.size()));
  }
}

// ---- Nodes that keep nothing of the shard. ----

class FarDurableTest : public NodeDurableTest {
 protected:
  void SetUp() override {
    Form(5, "node-timeout 1000\n");
    cluster().Run(8000);
    home_ = cluster().node(k1)->leader(GroupOf("k"));
    ASSERT_NE(home_, kNoNode);
  }
};

TEST_F(FarDurableTest, NodesThatKeepNothingOfTheShardWriteDurablyAndAreFenced) {
  int64_t count = 0;
  EXPECT_EQ(cluster().Ask(k1, "DCACHE.SET k 0 DURABLE"), kOk);
  for (uint64_t id = 1; id <= 5; ++id) {
    const NodeId node{id};
    EXPECT_EQ(cluster().Ask(node, "INCR k"), Format(":%ld\r\n", ++count));
    EXPECT_EQ(cluster().Ask(node, Format("DCACHE.SET fenced v FENCE %lu", 10 + id)), kOk);
    EXPECT_TRUE(StartsWith(cluster().Ask(node, "DCACHE.SET fenced v FENCE 3"), "-FENCED "));
  }
  cluster().KillSilently(home_);
  const NodeId next = cluster().OtherThan(home_);
  EXPECT_EQ(Await(SendTo(next, "INCR k")), Format(":%ld\r\n", ++count));
  for (uint64_t id = 1; id <= 5; ++id) {
    if (NodeId{id} == home_) continue;
    EXPECT_EQ(Get(NodeId{id}), Bulk(Format("%ld", count)));
  }
}

// ---- Random work. ----

// Whatever is asked of whomever, and whoever dies: nobody catches itself wrong (CheckInvariants in
// every turn), counters never go back, and in the end all say the same.
TEST_F(NodeDurableTest, RandomWorkWithDeathsAndMovesLeavesAllOfOneMind) {
  std::mt19937_64 dice(42);
  const auto below = [&](uint64_t n) { return dice() % n; };
  const std::vector<Bytes> lines = {
      "DCACHE.SET %s 5 DURABLE",  "DCACHE.SET %s 5 PX 30 DURABLE", "SET %s 1",      "INCR %s",
      "DEL %s",                   "DCACHE.SET %s 7 FENCE 7",       "GET %s",        "GETDEL %s",
      "DCACHE.SET %s 7 FENCE 3",  "MSET %s 1 other 2 k 3",         "PEXPIRE %s 20", "APPEND %s 1",
      "RENAME %s other",          "COPY %s k REPLACE",             "PERSIST %s",    "FLUSHALL",
      "MULTI\r\nINCR %s\r\nINCR k\r\nDCACHE.SET other 1 DURABLE\r\nEXEC", "GETEX %s PX 50"};
  int64_t answered = 0;
  for (int round = 0; round < 1500; ++round) {
    std::vector<ClientId> clients;
    for (int i = 0; i < 6; ++i) {
      const NodeId node{1 + below(3)};
      if (cluster().node(node) == nullptr) continue;
      Bytes line = lines[below(lines.size())];
      if (line == "FLUSHALL" && below(10) != 0) line = "PING";
      if (const size_t at = line.find("%s"); at != Bytes::npos) {
        line.replace(at, 2, Format("key%lu", below(5)));
      }
      clients.push_back(SendTo(node, line + "\r\nPING"));
    }
    cluster().Run(static_cast<int64_t>(below(40)));
    for (const ClientId client : clients) answered += Has(cluster().Take(client), "PONG") ? 1 : 0;
    if (round % 150 == 149) {
      const NodeId dead{1 + below(3)};
      below(2) == 0 ? cluster().Kill(dead) : cluster().KillSilently(dead);
      cluster().Run(static_cast<int64_t>(below(4000)));
      cluster().Start(dead);
    } else if (round % 50 == 20) {
      const uint64_t to = 1 + below(3);
      SendTo(NodeId{to}, Format("CLUSTER LEADER shard-%lu %lu", below(2), to));
    }
  }
  EXPECT_GT(answered, 1000);
  Settle();
  for (int i = 0; i < 5; ++i) ExpectEverywhere(Format("key%d", i), Get(k1, Format("key%d", i)));
  ExpectEverywhere("other", Get(k1, "other"));
}

TEST_F(NodeDurableTest, CountersNeverGoBackWhoeverDies) {
  constexpr uint64_t kKeys = 6;
  std::mt19937_64 dice(43);
  std::array<int64_t, kKeys> told{}, asked{};
  for (uint64_t i = 0; i < kKeys; ++i) {
    ASSERT_EQ(cluster().Ask(home_, Format("DCACHE.SET key%lu 0 DURABLE", i)), kOk);
  }
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<ClientId, uint64_t>> sent;
    for (uint64_t i = 0; i < 9; ++i) {
      const uint64_t key = dice() % kKeys;
      sent.emplace_back(SendTo(NodeId{1 + i % 3}, Format("INCR key%lu", key)), key);
      ++asked[key];
    }
    const std::array<int64_t, kKeys> before = told;
    const NodeId dead{round % 10 == 9 ? 1 + dice() % 3 : 0};
    cluster().Run(static_cast<int64_t>(dice() % 6));
    if (dead != kNoNode) cluster().KillSilently(dead);
    for (const auto& [client, key] : sent) {
      const Bytes reply = Await(client, 200);
      if (IntegerOf(reply) <= 0) continue;
      EXPECT_GT(IntegerOf(reply), before[key]);
      told[key] = std::max(told[key], IntegerOf(reply));
    }
    if (dead == kNoNode) continue;
    cluster().Start(dead);
    Settle();
  }
  LoseThePowerOfAll();
  for (uint64_t i = 0; i < kKeys; ++i) {
    const Bytes value = Get(k1, Format("key%lu", i));
    const int64_t counted = std::atoll(value.c_str() + value.find('\n') + 1);
    EXPECT_GT(told[i], 50);
    EXPECT_GE(counted, told[i]);
    EXPECT_LE(counted, asked[i]);
    ExpectEverywhere(Format("key%lu", i), value);
  }
}

}  // namespace
}  // namespace lockstep
