// Durable keys of whole nodes: hidden until they are logged, and never lost from then on, whoever
// dies in the midst.
#include <algorithm>
#include <array>

#include "tests/durable_fixture.h"

namespace lockstep {
namespace {

// ---- What is promised. ----

TEST_F(NodeDurableTest, AllSeeWhatAnyNodeHasWrittenDurably) {
  for (const NodeId node : {home_, other_, third_, home_}) {
    const Bytes value = Format("of-%lu", node.value);
    EXPECT_EQ(cluster().Ask(node, "DCACHE.SET k " + value + " DURABLE"), kOk);
    ExpectEverywhere("k", Bulk(value));
  }
}

TEST_F(NodeDurableTest, NothingOfItIsLostWithThePowerOfAllNodes) {
  for (const NodeId node : {home_, other_, third_}) {
    const Bytes name = Format("by-%lu", node.value);
    EXPECT_EQ(cluster().Ask(node, "DCACHE.SET " + name + " old DURABLE"), kOk);
    EXPECT_EQ(cluster().Ask(node, "SET " + name + " plain"), kOk) << "durable, as it was";
    EXPECT_EQ(cluster().Ask(node, "APPEND " + name + " -longer"), ":12\r\n");
  }
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET gone v DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "DEL gone"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(third_, "SET gone v2"), kOk) << "durable no more";
  LoseThePowerOfAll();
  for (const NodeId node : {k1, k2, k3}) {
    ExpectEverywhere(Format("by-%lu", node.value), Bulk("plain-longer"));
  }
  ExpectEverywhere("gone", kNil);
  EXPECT_EQ(cluster().Ask(other_, "INCR by-1"), "-ERR value is not an integer or out of range\r\n");
}

TEST_F(NodeDurableTest, AKeyThatIsDurableStaysSoAfterItsHomeWasLost) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k 1 DURABLE"), kOk);
  cluster().KillSilently(home_);
  EXPECT_EQ(Await(SendTo(third_, "INCR k")), ":2\r\n");
  cluster().Start(home_);
  Settle();
  EXPECT_EQ(cluster().Ask(home_, "INCR k"), ":3\r\n");
  LoseThePowerOfAll();
  ExpectEverywhere("k", Bulk("3"));
}

TEST_F(NodeDurableTest, EveryKindOfWriteOfADurableKeyIsDurable) {
  const std::vector<std::array<Bytes, 3>> writes = {
      {"SET %s new", "+OK\r\n", "new"},
      {"MSET %s new plain x", "+OK\r\n", "new"},
      {"GETSET %s new", Bulk("12"), "new"},
      {"SETEX %s 1000 new", "+OK\r\n", "new"},
      {"APPEND %s 3", ":3\r\n", "123"},
      {"SETRANGE %s 1 9", ":2\r\n", "19"},
      {"INCRBY %s 30", ":42\r\n", "42"},
      {"INCRBYFLOAT %s 0.5", Bulk("12.5"), "12.5"},
      {"DCACHE.SET %s new XX", "+OK\r\n", "new"},
      {"RENAME source %s", "+OK\r\n", "from"},
      {"COPY source %s REPLACE", ":1\r\n", "from"},
  };
  int n = 0;
  for (const auto& [write, reply, value] : writes) {
    const Bytes key = Format("key%d", n);
    const NodeId writer{1 + static_cast<uint64_t>(n++) % 3};
    EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET " + key + " 12 DURABLE"), kOk);
    EXPECT_EQ(cluster().Ask(other_, "SET source from"), kOk);
    Bytes line = write;
    line.replace(line.find("%s"), 2, key);
    EXPECT_EQ(cluster().Ask(writer, line), reply) << line;
  }
  LoseThePowerOfAll();
  n = 0;
  for (const auto& [write, reply, value] : writes) {
    EXPECT_EQ(Get(other_, Format("key%d", n++)), Bulk(value)) << write;
  }
}

TEST_F(NodeDurableTest, WhatEndsAKeyEndsItForGood) {
  const std::vector<Bytes> ends = {"DEL %s",      "UNLINK %s",       "GETDEL %s", "RENAME %s other",
                                   "EXPIRE %s 0", "GETEX %s PXAT 1", "SET %s v PXAT 1"};
  int n = 0;
  for (const Bytes& end : ends) {
    const Bytes key = Format("key%d", n);
    EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET " + key + " v DURABLE"), kOk);
    Bytes line = end;
    line.replace(line.find("%s"), 2, key);
    EXPECT_NE(cluster().Ask(NodeId{1 + static_cast<uint64_t>(n++) % 3}, line)[0], '-') << line;
    ExpectEverywhere(key, kNil);
  }
  LoseThePowerOfAll();
  for (int i = 0; i < n; ++i) ExpectEverywhere(Format("key%d", i), kNil);
}

TEST_F(NodeDurableTest, FlushallTakesDurableKeysForGood) {
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(cluster().Ask(NodeId{1 + static_cast<uint64_t>(i) % 3},
                            Format("DCACHE.SET key%d v DURABLE", i)), kOk);
  }
  EXPECT_EQ(cluster().Ask(other_, "DBSIZE"), ":31\r\n") << "and warm";
  EXPECT_EQ(cluster().Ask(third_, "FLUSHALL"), kOk);
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(cluster().Ask(node, "DBSIZE"), ":0\r\n");
  LoseThePowerOfAll();
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Get(third_, Format("key%d", i)), kNil);
}

TEST_F(NodeDurableTest, TimesToLiveAreDurableAndWhatIsOverStaysOver) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v PX 60000 DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET later v DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(home_, "PEXPIRE later 90000"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET freed v PX 3000 DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "PERSIST freed"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET short v PX 1000 DURABLE"), kOk);
  cluster().Run(1010);
  ExpectEverywhere("short", kNil);
  LoseThePowerOfAll();
  ExpectEverywhere("short", kNil);
  ExpectEverywhere("freed", Bulk("v"));
  for (const NodeId node : {k1, k2, k3}) {
    ExpectPttl(node, "k", 40'000, 60'000);
    ExpectPttl(node, "later", 70'000, 90'000);
    EXPECT_EQ(cluster().Ask(node, "PTTL freed"), ":-1\r\n");
  }
  cluster().Run(90'000);
  ExpectEverywhere("k", kNil);
  ExpectEverywhere("later", kNil);
}

// Trap 15, of durable keys: at no time nil and then the value.
TEST_F(NodeDurableTest, ADurableKeyEndsOnAllNodesAtOnce) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k v PX 1000 DURABLE"), kOk);
  const MonoTime began = cluster().now();
  bool gone = false;
  int seen = 0;
  for (int i = 0; i < 1500; ++i) {
    const Bytes reply = Get(NodeId{1 + static_cast<uint64_t>(i) % 3});
    ASSERT_TRUE(reply == kNil || reply == Bulk("v")) << reply;
    ASSERT_TRUE(!gone || reply == kNil) << "after " << i;
    const bool early = cluster().now() - began < 970 * kUsPerMs;
    ASSERT_TRUE(reply != kNil || !early) << "after " << i;
    gone |= reply == kNil;
    seen += reply == kNil ? 0 : 1;
  }
  EXPECT_TRUE(gone);
  EXPECT_GT(seen, 100);
}

TEST_F(NodeDurableTest, EachWriteKeepsOrDropsTheTimeToLiveAsItDoesOfAnyKey) {
  const std::vector<std::pair<Bytes, bool>> writes = {
      {"SET %s 2", false},      {"SET %s 2 KEEPTTL", true},   {"GETSET %s 2", false},
      {"APPEND %s 3", true},    {"SETRANGE %s 0 4", true},    {"INCR %s", true},
      {"MSET %s 2 b 2", false}, {"DCACHE.SET %s 2", false},   {"DCACHE.SET %s 2 KEEPTTL", true},
      {"GETEX %s", true},       {"GETEX %s PERSIST", false},  {"DCACHE.INCR %s 1", true},
      {"PERSIST %s", false},    {"EXPIRE %s 600 GT", true},   {"DCACHE.SET %s 2 FENCE 4", false},
      {"INCRBYFLOAT %s 1", true}};
  size_t n = 0;
  for (const auto& [write, keeps] : writes) {
    const Bytes key = Format("key%zu", n);
    EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET " + key + " 1 PX 600000 DURABLE"), kOk);
    Bytes line = write;
    line.replace(line.find("%s"), 2, key);
    EXPECT_NE(cluster().Ask(NodeId{1 + n++ % 3}, line)[0], '-') << line;
  }
  EXPECT_EQ(cluster().Ask(other_, "SET plain 1 PX 600000"), kOk);
  EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET plain 2 KEEPTTL DURABLE"), kOk);
  for (const bool again : {false, true}) {
    if (again) LoseThePowerOfAll();
    n = 0;
    for (const auto& [write, keeps] : writes) {
      const Bytes key = Format("key%zu", n++);
      for (const NodeId node : {k1, k2, k3}) {
        SCOPED_TRACE(write);
        if (keeps) {
          ExpectPttl(node, key, 500'000, 600'000);
        } else {
          EXPECT_EQ(cluster().Ask(node, "PTTL " + key), ":-1\r\n") << again;
        }
      }
    }
    ExpectPttl(third_, "plain", 500'000, 600'000);
  }
}

// Either it was in time, and the key ends; or it made a new one, which has no end.
TEST_F(NodeDurableTest, AnIncrAtTheEndOfAKeysTimeCountsOnOrBeginsAnew) {
  for (const NodeId writer : {home_, other_}) {
    for (int at = 285; at < 315; ++at) {
      const Bytes key = Format("k%d-%lu", at, writer.value);
      EXPECT_EQ(cluster().Ask(writer, "DCACHE.SET " + key + " 5 PX 300 DURABLE"), kOk);
      cluster().Run(at);
      const Bytes told = cluster().Ask(writer, "INCR " + key);
      cluster().Run(100);
      EXPECT_TRUE(told == ":6\r\n" || told == ":1\r\n") << told;
      ExpectEverywhere(key, told == ":6\r\n" ? kNil : BytesView("$1\r\n1\r\n"));
      const Bytes ttl = told == ":6\r\n" ? ":-2\r\n" : ":-1\r\n";
      EXPECT_EQ(cluster().Ask(third_, "PTTL " + key), ttl) << at;
    }
  }
}

TEST_F(NodeDurableTest, AnIncrAfterDelInOneTransactionHasNoTime) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k 5 PX 5000 DURABLE"), kOk);
  EXPECT_EQ(Exec(third_, {"DEL k", "INCR k"}), "*2\r\n:1\r\n:1\r\n");
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(cluster().Ask(node, "PTTL k"), ":-1\r\n");
  LoseThePowerOfAll();
  EXPECT_EQ(cluster().Ask(other_, "PTTL k"), ":-1\r\n");
  EXPECT_EQ(Exec(third_, {"PEXPIRE k 100000", "INCR k"}), "*2\r\n:1\r\n:2\r\n");
  LoseThePowerOfAll();
  ExpectPttl(other_, "k", 80'000, 100'000);
}

TEST_F(NodeDurableTest, AsMuchAsOneCommandMayWriteIsLogged) {
  const Bytes value = Bulk(Bytes(1 << 20, 'x'));
  Bytes mset = "*15\r\n$4\r\nMSET\r\n";
  for (int i = 0; i < 7; ++i) {
    const Bytes key = Format("{k}%d", i);
    EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET " + key + " v DURABLE"), kOk);
    mset += Bulk(key) + value;
  }
  mset.resize(mset.size() - 2);
  for (const NodeId writer : {home_, other_}) EXPECT_EQ(cluster().Ask(writer, mset), kOk);
  LoseThePowerOfAll();
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(cluster().Ask(third_, Format("STRLEN {k}%d", i)), ":1048576\r\n");
  }
}

// An INCR that is asked for while there is time left, and is granted when it is over, must not take
// the time to live away: the next one would count on for ever.
class NodeEndsTest : public NodeDurableTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(PlainAndDurable, NodeEndsTest, ::testing::Values("", " DURABLE"));

TEST_P(NodeEndsTest, AWriteThatKeepsTheTimeAndComesLateLeavesNoKeyWithoutATime) {
  EXPECT_EQ(cluster().Ask(other_, Format("DCACHE.SET k 1 PX 2000%s", GetParam())), kOk);
  EXPECT_EQ(cluster().Ask(other_, "INCR k"), ":2\r\n");
  EXPECT_EQ(cluster().Ask(other_, "INCR k"), ":3\r\n");
  cluster().RunUntil([&] { return IntegerOf(cluster().Ask(other_, "PTTL k")) <= 30; });
  cluster().Cut(other_, home_);
  const ClientId client = SendTo(other_, "INCR k");
  cluster().Run(300);
  cluster().Heal();
  const Bytes told = Await(client);
  ASSERT_FALSE(told.empty());
  cluster().Run(3000);
  const Bytes ttl = cluster().Ask(third_, "PTTL k");
  if (told == ":4\r\n") {
    EXPECT_EQ(ttl, ":-2\r\n") << "it had a time, and that is over";
  } else {
    EXPECT_TRUE(ttl == ":-2\r\n" || told == ":1\r\n") << told << ttl;
  }
}

// ---- Hidden until it is logged. ----

TEST_F(NodeDurableTest, NobodySeesAValueBeforeAMajorityHasIt) {
  for (const NodeId writer : {home_, other_}) {
    EXPECT_EQ(cluster().Ask(third_, "DCACHE.SET k old DURABLE"), kOk);
    ExpectEverywhere("k", Bulk("old"));
    StopDisks(true);
    const ClientId client = SendTo(writer, "SET k new");
    cluster().Run(100);
    std::vector<ClientId> readers;
    for (const NodeId node : {k1, k2, k3}) readers.push_back(SendTo(node, "GET k"));
    cluster().Run(300);
    EXPECT_EQ(cluster().Take(client), "");
    for (const ClientId reader : readers) EXPECT_EQ(cluster().Take(reader), "");
    StopDisks(false);
    EXPECT_EQ(Await(client), kOk);
    for (const ClientId reader : readers) EXPECT_EQ(Await(reader), Bulk("new"));
  }
}

TEST_F(NodeDurableTest, NothingTellsOfAKeyBeforeAMajorityHasIt) {
  StopDisks(true);
  const std::vector<ClientId> writers = {SendTo(other_, "DCACHE.SET fresh v DURABLE"),
                                         SendTo(home_, "DCACHE.SET fresher v DURABLE")};
  cluster().Run(50);
  std::vector<ClientId> others;
  for (const NodeId node : {k1, k2, k3}) {
    for (const Bytes line : {"EXISTS fresh fresher", "PTTL fresh", "TYPE fresher", "STRLEN fresh",
                             "DCACHE.GET fresher META", "KEYS *", "DBSIZE", "SCAN 0"}) {
      others.push_back(SendTo(node, line));
    }
  }
  cluster().Run(300);
  for (const ClientId other : others) {
    const Bytes told = cluster().Take(other);
    EXPECT_FALSE(Has(told, "fresh") || Has(told, ":2") || Has(told, "string")) << told;
  }
  StopDisks(false);
  for (const ClientId writer : writers) EXPECT_EQ(Await(writer), kOk);
  EXPECT_EQ(cluster().Ask(third_, "EXISTS fresh fresher"), ":2\r\n");
}

TEST_F(NodeDurableTest, AMajorityIsEnough) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  cluster().StopDisk(third_, true);
  EXPECT_EQ(cluster().Ask(other_, "SET k new"), kOk);
  cluster().StopDisk(other_, true);
  const ClientId client = SendTo(home_, "SET k newer");
  cluster().Run(300);
  EXPECT_EQ(cluster().Take(client), "");
  cluster().StopDisk(third_, false);
  EXPECT_EQ(Await(client), kOk);
}

TEST_F(NodeDurableTest, WritersOfOneKeyWaitForEachOtherAndAPipelineKeepsItsOrder) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k 0 DURABLE"), kOk);
  StopDisks(true);
  std::vector<ClientId> clients;
  for (const NodeId node : {k1, k2, k3, k1, k2, k3}) {
    clients.push_back(SendTo(node, "INCR k\r\nGET other\r\nINCR k\r\nPING"));
  }
  cluster().Run(200);
  for (const ClientId client : clients) EXPECT_EQ(cluster().Take(client), "");
  StopDisks(false);
  std::vector<int64_t> counted;
  for (const ClientId client : clients) {
    Bytes replies;
    cluster().RunUntil([&] { return Has(replies += cluster().Take(client), "PONG"); });
    const Bytes behind = Bytes(kNil);
    const size_t middle = replies.find(behind);
    ASSERT_NE(middle, Bytes::npos) << replies;
    const int64_t first = IntegerOf(replies);
    const int64_t second = IntegerOf(replies.substr(middle + behind.size()));
    EXPECT_LT(first, second);
    counted.insert(counted.end(), {first, second});
  }
  std::sort(counted.begin(), counted.end());
  for (size_t i = 0; i < counted.size(); ++i) EXPECT_EQ(counted[i], static_cast<int64_t>(i) + 1);
}

TEST_F(NodeDurableTest, AWriterWhoLeavesHasWrittenAllTheSame) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  for (const NodeId writer : {home_, other_}) {
    StopDisks(true);
    const ClientId client = SendTo(writer, Format("SET k by-%lu", writer.value));
    cluster().Run(50);
    cluster().Disconnect(client);
    StopDisks(false);
    ExpectEverywhere("k", Bulk(Format("by-%lu", writer.value)));
  }
}

TEST_F(NodeDurableTest, ATransactionIsSeenAtOneInstantThoughItsKeysHaveTwoHomes) {
  const Bytes near = KeyOf(true), far = KeyOf(false);
  EXPECT_EQ(Exec(other_, {"DCACHE.SET " + near + " 1 DURABLE", "DCACHE.SET " + far + " 1 DURABLE",
                          "INCR " + near, "GET " + far}),
            "*4\r\n+OK\r\n+OK\r\n:2\r\n" + Bulk("1"));
  StopDisks(true);
  const ClientId writer = SendTo(other_, "MSET " + near + " 5 " + far + " 5");
  cluster().Run(100);
  const ClientId reader = SendTo(third_, "MGET " + near + " " + far);
  cluster().Run(200);
  EXPECT_EQ(cluster().Take(reader), "");
  StopDisks(false);
  EXPECT_EQ(Await(writer), kOk);
  EXPECT_EQ(Await(reader), "*2\r\n" + Bulk("5") + Bulk("5"));
}

TEST_F(NodeDurableTest, WhoWatchesADurableKeySeesItWritten) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  const ClientId client = cluster().Connect(third_);
  EXPECT_EQ(cluster().Ask(client, "WATCH k"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "SET k new"), kOk);
  cluster().Ask(client, "MULTI");
  cluster().Ask(client, "SET k never");
  EXPECT_EQ(cluster().Ask(client, "EXEC"), "*-1\r\n");
  ExpectEverywhere("k", Bulk("new"));
}

// ---- Who dies in the midst. ----

TEST_F(NodeDurableTest, AnOwnerThatIsLostInTheMidstHasWrittenWhatWasLogged) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  StopDisks(true);
  const ClientId client = SendTo(other_, "SET k new");
  cluster().Run(50);  // Long enough for the home to have proposed it.
  EXPECT_EQ(cluster().Take(client), "");
  cluster().KillSilently(other_);
  StopDisks(false);
  for (const NodeId node : {home_, third_}) {
    EXPECT_EQ(Await(SendTo(node, "GET k")), Bulk("new")) << "it is logged, so it is the latest";
  }
}

// Its client is told that nobody can say; then the log does.
TEST_F(NodeDurableTest, AnOwnerThatIsCutOffInTheMidstDoesNotKnowAndTheLogDoes) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  StopDisks(true);
  const ClientId client = SendTo(other_, "SET k new");
  cluster().Run(50);
  cluster().CutOff(other_);
  const Bytes told = Await(client);
  EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ")) << told;
  StopDisks(false);
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("new"));
  EXPECT_EQ(Await(SendTo(third_, "APPEND k er")), ":5\r\n");
  cluster().Heal();
  EXPECT_EQ(Await(SendTo(other_, "GET k")), Bulk("newer"));
}

// Its lease is over before the log has told: its end is put off until then.
TEST_F(NodeDurableTest, AnOwnerThatIsLostIsNotForgottenBeforeTheLogHasTold) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  StopDisks(true);
  SendTo(other_, "SET k new");
  cluster().Run(50);
  cluster().KillSilently(other_);
  const std::vector<ClientId> readers = {SendTo(third_, "GET k"), SendTo(home_, "GET k")};
  cluster().Run(3000);
  for (const ClientId reader : readers) EXPECT_EQ(cluster().Take(reader), "");
  StopDisks(false);
  for (const ClientId reader : readers) EXPECT_EQ(Await(reader), Bulk("new"));
}

TEST_F(NodeDurableTest, AnOwnerThatIsLostBeforeItsHomeHasHeardLeavesTheValueBefore) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "APPEND k er"), ":5\r\n");
  cluster().Cut(other_, home_);
  const ClientId client = SendTo(other_, "SET k new");
  cluster().Run(50);
  EXPECT_EQ(cluster().Take(client), "");
  cluster().KillSilently(other_);
  cluster().Heal();
  for (const NodeId node : {home_, third_}) {
    EXPECT_EQ(Await(SendTo(node, "GET k")), Bulk("older"));
  }
  EXPECT_EQ(cluster().Ask(third_, "APPEND k +"), ":6\r\n");
}

TEST_F(NodeDurableTest, AHomeThatIsLostInTheMidstLeavesADoneWriteOrNobodyKnows) {
  for (const bool followers_have_it : {true, false}) {
    EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
    StopDisks(true);
    const NodeId home = home_;
    if (!followers_have_it) {
      cluster().Lose([home](NodeId from, NodeId, const bus::EnvelopeHeader& header) {
        return from == home && header.type != bus::MessageType::kCache;
      });
    }
    const ClientId client = SendTo(other_, "SET k new");
    cluster().Run(50);
    EXPECT_EQ(cluster().Take(client), "");
    cluster().KillSilently(home_);
    cluster().Lose({});
    StopDisks(false);
    const Bytes told = Await(client);
    EXPECT_TRUE(told == kOk || StartsWith(told, "-UNCERTAIN ")) << told;
    const Bytes value = Await(SendTo(third_, "GET k"));
    EXPECT_EQ(value, Bulk(followers_have_it ? "new" : "old"));
    EXPECT_TRUE(told != kOk || value == Bulk("new"));
    cluster().Start(home_);
    Settle();
    ExpectEverywhere("k", value);
  }
}

// Both its home and its owner: what it wrote itself.
TEST_F(NodeDurableTest, AHomeThatWritesAndIsLostInTheMidstShowsNothingThatIsNotLogged) {
  EXPECT_EQ(cluster().Ask(home_, "DCACHE.SET k old DURABLE"), kOk);
  cluster().CutOff(home_);
  const ClientId client = SendTo(home_, "SET k never");
  cluster().Run(20);
  const ClientId reader = SendTo(home_, "GET k");
  EXPECT_EQ(Await(SendTo(third_, "GET k")), Bulk("old"));
  EXPECT_EQ(Await(SendTo(third_, "SET k new")), kOk);
  const Bytes told = Await(client);
  EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ")) << told;
  EXPECT_FALSE(Has(cluster().Take(reader), "never"));
  cluster().Heal();
  cluster().Run(3000);
  ExpectEverywhere("k", Bulk("new"));
}

TEST_F(NodeDurableTest, WithoutAMajorityNothingIsAnsweredOkAndNothingIsShown) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  ExpectEverywhere("k", Bulk("old"));
  cluster().KillSilently(other_);
  cluster().KillSilently(third_);
  const ClientId known = SendTo(home_, "SET k new");
  const ClientId fresh = SendTo(home_, "DCACHE.SET fresh v DURABLE");
  const Bytes of_known = Await(known, 30'000), of_fresh = Await(fresh, 30'000);
  for (const Bytes& told : {of_known, of_fresh}) {
    EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ") || StartsWith(told, "-CLUSTERDOWN ") ||
                StartsWith(told, "-TRYAGAIN "))
        << told;
  }
  cluster().Start(other_);
  cluster().Start(third_);
  Settle();
  const Bytes value = Get(third_), other = Get(third_, "fresh");
  EXPECT_TRUE(value == Bulk("old") || (value == Bulk("new") && Has(of_known, "UNCERTAIN")));
  EXPECT_TRUE(other == kNil || (other == Bulk("v") && Has(of_fresh, "UNCERTAIN")));
  ExpectEverywhere("k", value);
  ExpectEverywhere("fresh", other);
}

// None is refused either, nor left in doubt: they wait until the next home is there.
TEST_F(NodeDurableTest, LeadersThatMoveUnderWritesLoseAndRepeatNone) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k 0 DURABLE"), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.NS SET home: CLASS home"), kOk);
  cluster().Run(200);
  const GroupId shard = GroupOf("k");
  std::map<ClientId, int64_t> sent;
  for (const NodeId node : {k1, k2, k3}) sent[cluster().Connect(node)] = 0;
  for (int move = 0; move < 10; ++move) {
    const NodeId leads = cluster().Leader(shard);
    const NodeId next = cluster().OtherThan(leads);
    cluster().Ask(leads, Format("CLUSTER LEADER shard-%lu %lu", ShardOf(shard), next.value));
    // At any moment of it.
    uint64_t moment = 0;
    const bool moved = cluster().RunUntil([&] {
      for (auto& [client, n] : sent) {
        if (++moment % 16 != 0) continue;
        cluster().Send(client, Format("INCR k\r\nINCR home:{k}%lu", client.value));
        ++n;
      }
      return cluster().Leader(shard) == next;
    });
    ASSERT_TRUE(moved);
    for (const auto& [client, n] : sent) {
      cluster().Send(client, "PING");
      Bytes told;
      ASSERT_TRUE(cluster().RunUntil([&] { return Has(told += cluster().Take(client), "PONG"); }));
      EXPECT_FALSE(Has(told, "-")) << told;
    }
  }
  int64_t all = 0;
  for (const auto& [client, n] : sent) {
    ExpectEverywhere(Format("home:{k}%lu", client.value), Bulk(std::to_string(n)));
    all += n;
  }
  LoseThePowerOfAll();
  ExpectEverywhere("k", Bulk(std::to_string(all)));
}

// As for a lock: what is under way for five seconds is uncertain.
TEST_F(NodeDurableTest, NobodyWaitsForEverForDisksThatStandStill) {
  EXPECT_EQ(cluster().Ask(other_, "DCACHE.SET k old DURABLE"), kOk);
  StopDisks(true);
  const std::vector<ClientId> clients = {SendTo(other_, "SET k new"),
                                         SendTo(home_, "DCACHE.SET fresh v DURABLE"),
                                         SendTo(other_, "LOCK.ACQUIRE l alice")};
  for (const ClientId client : clients) {
    const Bytes told = Await(client, 15'000);
    EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ")) << "it says '" << told << "'";
  }
  StopDisks(false);
  ExpectEverywhere("k", Bulk("new"));
}

// ---- Memory and snapshots. ----

class SmallDurableTest : public NodeDurableTest {
 protected:
  void SetUp() override { Begin("dcache-memory 2mb\nraft-snapshot-entries 20\n"); }
};

TEST_F(SmallDurableTest, DurableKeysStayWhileOthersMakeRoom) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(cluster().Ask(NodeId{1 + static_cast<uint64_t>(i) % 3},
                            Format("DCACHE.SET key%d v%d DURABLE", i, i)), kOk);
  }
  const Bytes filler(500, 'x');
  const ClientId client = cluster().Connect(other_);
  for (int i = 0; i < 15'000; i += 100) {
    Bytes lines;
    for (int k = i; k < i + 100; ++k) lines += Format("SET filler%d ", k) + filler + "\r\n";
    cluster().Send(client, lines + "PING");
    Bytes replies;
    ASSERT_TRUE(cluster().RunUntil(
        [&] { return Has(replies += cluster().Take(client), "PONG"); }, 60'000));
  }
  for (int i = 0; i < 300; ++i) ExpectEverywhere(Format("key%d", i), Bulk(Format("v%d", i)));
}

TEST_F(SmallDurableTest, ASnapshotHasThemForANodeThatWasAwayAndForAllThatStartAgain) {
  cluster().Kill(third_);
  EXPECT_EQ(Await(SendTo(other_, "DCACHE.SET fenced v FENCE 9")), kOk);
  EXPECT_EQ(cluster().Ask(other_, "DEL fenced"), ":1\r\n");
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(cluster().Ask(other_, Format("DCACHE.SET key%d v%d DURABLE", i % 50, i)), kOk);
  }
  cluster().Start(third_);
  Settle();
  LoseThePowerOfAll();
  for (int i = 150; i < 200; ++i) {
    ExpectEverywhere(Format("key%d", i % 50), Bulk(Format("v%d", i)));
  }
  EXPECT_TRUE(StartsWith(cluster().Ask(third_, "DCACHE.SET fenced v FENCE 8"), "-FENCED "));
}

TEST_F(SmallDurableTest, MoreDurableKeysThanThereIsMemoryAreNotForgotten) {
  const Bytes filler(20'000, 'x');
  int kept = 0;
  for (int i = 0; i < 300; ++i) {
    const Bytes told = cluster().Ask(NodeId{1 + static_cast<uint64_t>(i) % 3},
                                     Format("DCACHE.SET key%d v%d", i, i) + filler + " DURABLE");
    EXPECT_TRUE(told == kOk || StartsWith(told, "-OOM ") || StartsWith(told, "-LIMIT ")) << told;
    if (told != kOk) break;
    ++kept;
  }
  EXPECT_GT(kept, 20);
  for (int i = 0; i < kept; ++i) {
    EXPECT_TRUE(Has(Get(third_, Format("key%d", i)), Format("v%dx", i))) << i;
  }
}

}  // namespace
}  // namespace lockstep
