// Commands on contended keys, which are run at the key's home: once, in order, or said not to be
// known.
#include "src/base/hash.h"
#include "src/cache.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr BytesView kOk = "+OK\r\n";
Bytes Bulk(BytesView text) { return Format("$%zu\r\n", text.size()) + Bytes(text) + "\r\n"; }
Bytes Number(int64_t n) { return Format(":%ld\r\n", n); }

class NodeShipTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3, "");
    const GroupId group = ShardGroup(ShardOfSlot(SlotOf("k"), 2));
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(group) != kNoNode; }));
    cluster().Run(8000);
    home_ = cluster().Leader(group);
    other_ = cluster().OtherThan(home_);
    third_ = cluster().OtherThan(home_, other_);
    for (const NodeId node : {home_, other_, third_}) {
      ASSERT_EQ(cluster().Ask(node, "SET warm up"), kOk);
      clients_[node] = cluster().Connect(node);
    }
  }
  const mesi::Stats& StatsOf(NodeId node) { return cluster().node(node)->cache()->stats(); }
  Bytes Ask(NodeId node, const Bytes& line) { return cluster().Ask(clients_[node], line); }
  // Nodes that are not the home take it from each other. Gives what has been counted.
  int64_t Contend(BytesView key = "k") {
    int64_t count = 0;
    for (int i = 0; i < 12; ++i) {
      EXPECT_EQ(Ask(i % 2 == 0 ? other_ : third_, "INCR " + Bytes(key)), Number(++count));
    }
    return count;
  }
  uint64_t Shipped(NodeId node) { return StatsOf(node).ships_sent; }
  Bytes Await(ClientId client, BytesView until, int64_t ms = 10'000) {
    Bytes reply;
    cluster().RunUntil([&] { return Has(reply += cluster().Take(client), until); }, ms);
    return reply;
  }
  Bytes StateAt(NodeId node, BytesView key) {
    const Bytes reply = cluster().Ask(node, "DCACHE.GET " + Bytes(key) + " META");
    return reply.size() < 3 ? reply : reply.substr(reply.size() - 3, 1);
  }

  NodeId home_, other_, third_;  // Of "k".
  std::map<NodeId, ClientId> clients_;
};

TEST_F(NodeShipTest, KeysThatNodesTakeFromEachOtherAreWrittenAtHome) {
  Contend();
  const uint64_t recalls = StatsOf(home_).recalls_sent;
  const uint64_t run = StatsOf(home_).ships_run;
  for (int i = 13; i < 113; ++i) {
    const NodeId node = i % 3 == 0 ? home_ : i % 3 == 1 ? other_ : third_;
    EXPECT_EQ(Ask(node, "INCR k"), Number(i));
  }
  EXPECT_GE(StatsOf(home_).ships_run - run, 66u);
  EXPECT_LE(StatsOf(home_).recalls_sent - recalls, 2u);
  for (const NodeId node : {home_, other_, third_}) EXPECT_EQ(Ask(node, "GET k"), Bulk("112"));
}

TEST_F(NodeShipTest, PipelinesOfAllNodesCountExactly) {
  Contend();
  std::vector<ClientId> clients;
  for (uint64_t id = 1; id <= 3; ++id) clients.push_back(cluster().Connect(NodeId{id}));
  Bytes lines;
  for (int i = 0; i < 15; ++i) lines += "INCR k\r\n";
  for (int round = 0; round < 10; ++round) {
    for (const ClientId client : clients) cluster().Send(client, lines + "PING");
    for (const ClientId client : clients) EXPECT_TRUE(Has(Await(client, "PONG"), "PONG"));
  }
  EXPECT_GT(Shipped(other_), 100u);
  EXPECT_EQ(Ask(third_, "GET k"), Bulk(std::to_string(12 + 3 * 15 * 10)));
}

// Shipped together, as they are about one key, and then what is not.
TEST_F(NodeShipTest, APipelineOfShippedCommandsAndOthersKeepsItsOrder) {
  Contend();
  EXPECT_EQ(Ask(third_, "SET j 5"), kOk);
  const uint64_t before = Shipped(other_);
  cluster().Send(clients_[other_],
                 "INCR k\r\nGET k\r\nSET k 70\r\nSTRLEN k\r\nAPPEND k 1\r\nGET j\r\n"
                 "MSET k 9 j 6\r\nGET k\r\nINCR k\r\nGETDEL k\r\nGET j\r\nSETNX k z\r\nPING");
  EXPECT_EQ(Await(clients_[other_], "PONG"),
            Number(13) + Bulk("13") + Bytes(kOk) + Number(2) + Number(3) + Bulk("5") + Bytes(kOk) +
                Bulk("9") + Number(10) + Bulk("10") + Bulk("6") + Number(1) + "+PONG\r\n");
  EXPECT_GE(Shipped(other_) - before, 5u);
  EXPECT_EQ(Ask(third_, "GET k"), Bulk("z"));
}

// Whoever sees the second must see the first: so of two keys one waits for the other.
TEST_F(NodeShipTest, CommandsOnTwoContendedKeysTakeEffectOneAfterTheOther) {
  Contend("{k}1");
  Contend("{k}2");
  EXPECT_EQ(Ask(third_, "MSET {k}1 old {k}2 old"), kOk);
  EXPECT_EQ(Ask(home_, "SET {k}2 old"), kOk);
  cluster().CutOff(third_);  // It owns the first, and has to be waited for.
  const uint64_t before = Shipped(other_);
  cluster().Send(clients_[other_], "SET {k}1 new\r\nSET {k}2 new");
  cluster().Run(500);
  EXPECT_EQ(Shipped(other_) - before, 1u);
  EXPECT_EQ(Ask(home_, "GET {k}2"), Bulk("old"));
  EXPECT_EQ(cluster().Take(clients_[other_]), "");
  cluster().Run(2500);
  EXPECT_EQ(cluster().Take(clients_[other_]), Bytes(kOk) + Bytes(kOk));
  EXPECT_EQ(Ask(home_, "MGET {k}1 {k}2"), "*2\r\n" + Bulk("new") + Bulk("new"));
}

// Those that wait for a line that is away are run in their order, when it comes.
TEST_F(NodeShipTest, CommandsThatWaitAtHomeAreRunInTheirOrder) {
  Contend();
  EXPECT_EQ(Ask(third_, "MSET k a j b"), kOk);
  cluster().CutOff(third_);
  cluster().Send(clients_[other_], "APPEND k 1\r\nAPPEND k 2\r\nGET k");
  cluster().Run(50);
  const ClientId another = cluster().Connect(other_);
  cluster().Send(another, "APPEND k 3");
  cluster().Run(50);
  cluster().Send(clients_[home_], "APPEND k 4\r\nGET k");
  cluster().Run(3000);
  EXPECT_EQ(cluster().Take(clients_[other_]), Number(1) + Number(2) + Bulk("12"))
      << "what the owner had is lost with it";
  EXPECT_EQ(cluster().Take(another), Number(3));
  EXPECT_EQ(cluster().Take(clients_[home_]), Number(4) + Bulk("1234"));
}

TEST_F(NodeShipTest, ManyOfOneKeyAreUnderWayTogether) {
  Contend();
  Bytes lines, replies;
  for (int i = 13; i < 13 + 200; ++i) {
    lines += "INCR k\r\n";
    replies += Number(i);
  }
  const uint64_t before = Shipped(other_);
  const MonoTime began = cluster().now();
  cluster().Send(clients_[other_], lines + "PING");
  EXPECT_EQ(Await(clients_[other_], "PONG"), replies + "+PONG\r\n");
  EXPECT_EQ(Shipped(other_) - before, 200u);
  EXPECT_LE((cluster().now() - began) / kUsPerMs, 20);
}

TEST_F(NodeShipTest, ErrorsAndMutedRepliesAreAsEver) {
  Contend();
  cluster().Send(clients_[other_],
                 "CLIENT REPLY SKIP\r\nINCR k\r\nSET k text\r\nINCR k\r\nSET k 3 XX GET\r\nPING");
  EXPECT_EQ(Await(clients_[other_], "PONG"),
            Bytes(kOk) + "-ERR value is not an integer or out of range\r\n" + Bulk("text") +
                "+PONG\r\n");
  const Bytes info = Ask(other_, "INFO commandstats");
  EXPECT_TRUE(Has(info, "cmdstat_incr:calls=8,")) << info;
}

TEST_F(NodeShipTest, WhoWritesAloneOwnsTheLineAgain) {
  const int64_t count = Contend();
  for (int i = 1; i <= 30; ++i) {
    EXPECT_EQ(Ask(other_, "INCR k"), Number(count + i));
    cluster().Run(100);
  }
  EXPECT_EQ(StateAt(other_, "k"), "M");
  const uint64_t before = Shipped(other_);
  EXPECT_EQ(Ask(other_, "INCR k"), Number(count + 31));
  EXPECT_EQ(Shipped(other_), before);
}

TEST_F(NodeShipTest, LongRunsOfEachNodeTakeTheLineWithThem) {
  for (int round = 0; round < 20; ++round) {
    const NodeId node = round % 2 == 0 ? other_ : third_;
    for (int i = 1; i <= 25; ++i) EXPECT_EQ(Ask(node, "INCR k"), Number(25 * round + i));
  }
  EXPECT_EQ(Shipped(other_) + Shipped(third_), 0u);
}

TEST_F(NodeShipTest, SeveralKeysAndTransactionsAreNotShipped) {
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(Ask(i % 2 == 0 ? other_ : third_, "MSET k 1 k2 1"), kOk);
  }
  EXPECT_EQ(Ask(other_, "MULTI"), kOk);
  EXPECT_EQ(Ask(other_, "INCR k"), "+QUEUED\r\n");
  EXPECT_EQ(Ask(other_, "EXEC"), "*1\r\n:2\r\n");
  EXPECT_EQ(Ask(third_, "EXPIRE k 100"), Number(1));
  EXPECT_EQ(Shipped(other_) + Shipped(third_), 0u);
}

TEST_F(NodeShipTest, DurableKeysAreNotShipped) {
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(Ask(i % 2 == 0 ? other_ : third_, "DCACHE.SET k 1 DURABLE"), kOk);
  }
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(Ask(i % 2 == 0 ? other_ : third_, "INCR k"), Number(2 + i));
  }
  EXPECT_EQ(Shipped(other_) + Shipped(third_), 0u);
}

TEST_F(NodeShipTest, NorAreKeysWhoseMemoryIsCountedOrOfAnotherClass) {
  EXPECT_EQ(Ask(home_, "DCACHE.NS SET m: MAXMEMORY 100000"), kOk);
  EXPECT_EQ(Ask(home_, "DCACHE.NS SET q: CLASS quorum"), kOk);
  cluster().Run(100);
  for (const char* key : {"m:{k}", "q:{k}"}) Contend(key);
  EXPECT_EQ(Shipped(other_) + Shipped(third_), 0u);
}

// It became durable when its cache did not know; those behind it are not run before it.
TEST_F(NodeShipTest, WhatTheHomeRefusesIsRunTheOrdinaryWayAndInOrder) {
  Contend();
  EXPECT_EQ(Ask(home_, "DCACHE.SET k 50 DURABLE"), kOk);
  const uint64_t refused = StatsOf(home_).ships_refused;
  cluster().Send(clients_[other_], "INCR k\r\nAPPEND k 7\r\nGET k\r\nSET k x\r\nGET k\r\nPING");
  EXPECT_EQ(Await(clients_[other_], "PONG"),
            Number(51) + Number(3) + Bulk("517") + Bytes(kOk) + Bulk("x") + "+PONG\r\n");
  EXPECT_EQ(StatsOf(home_).ships_refused - refused, 1u) << "and all behind it with it";
}

// A refusal comes in the same turn as the next command of the client that it is for.
TEST_F(NodeShipTest, WhatComesWithARefusalDoesNotOvertakeWhatWasRefused) {
  Contend();
  EXPECT_EQ(Ask(home_, "DCACHE.SET k - DURABLE"), kOk);
  bool late = true;
  cluster().Lose([&](NodeId from, NodeId to, const bus::EnvelopeHeader& header) {
    return late && from == home_ && to == other_ && header.type == bus::MessageType::kCache;
  });
  const uint64_t refused = StatsOf(home_).ships_refused;
  Bytes sent;
  const auto append = [&] {
    const Bytes word = Format("%zu,", sent.size());
    cluster().Send(clients_[other_], "APPEND k " + word);
    sent += word;
    cluster().Run(1);
  };
  append();
  ASSERT_TRUE(cluster().RunUntil([&] { return StatsOf(home_).ships_refused > refused; }));
  EXPECT_EQ(Ask(home_, "DEL k"), Number(1));  // From now on it takes them.
  late = false;
  for (int i = 0; i < 2000; ++i) append();
  cluster().Send(clients_[other_], "PING");
  Await(clients_[other_], "PONG");
  EXPECT_EQ(Ask(third_, "GET k"), Bulk(sent));
}

// The command is at its home, or is not; the answer never comes.
TEST_F(NodeShipTest, WhatNobodyAnswersIsUncertainAndNeverRunTwice) {
  const int64_t count = Contend();
  const ClientId client = clients_[other_];
  cluster().Cut(home_, other_);
  cluster().Send(client, "INCR k\r\nGET k\r\nPING");
  const Bytes told = Await(client, "PONG");
  EXPECT_TRUE(StartsWith(told, "-UNCERTAIN ")) << told;
  EXPECT_TRUE(Has(told, "-CLUSTERDOWN ")) << "who only reads need not wonder: " << told;
  cluster().Heal();
  EXPECT_EQ(Ask(third_, "GET k"), Bulk(std::to_string(count + 1)));
  cluster().Run(5000);
  EXPECT_EQ(Ask(other_, "INCR k"), Number(count + 2));
}

TEST_F(NodeShipTest, WhatHasNotReachedItsHomeIsNotRunLater) {
  const int64_t count = Contend();
  cluster().Cut(other_, home_);
  cluster().Send(clients_[other_], "INCR k\r\nPING");
  EXPECT_TRUE(StartsWith(Await(clients_[other_], "PONG"), "-UNCERTAIN "));
  cluster().Heal();
  cluster().Run(5000);
  EXPECT_EQ(Ask(third_, "GET k"), Bulk(std::to_string(count)));
}

TEST_F(NodeShipTest, AHomeThatDiesLeavesNobodyWithoutAnAnswer) {
  Contend();
  std::vector<ClientId> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(cluster().Connect(i % 2 == 0 ? other_ : third_));
  for (const ClientId client : clients) cluster().Send(client, "INCR k\r\nINCR k\r\nPING");
  cluster().Run(1);
  cluster().KillSilently(home_);
  int64_t answered = 0, uncertain = 0;
  for (const ClientId client : clients) {
    const Bytes told = Await(client, "PONG");
    ASSERT_TRUE(Has(told, "PONG")) << told;
    for (size_t at = told.find(':'); at != Bytes::npos; at = told.find(':', at + 1)) ++answered;
    for (size_t at = told.find("-UNC"); at != Bytes::npos; at = told.find("-UNC", at + 1)) {
      ++uncertain;
    }
  }
  EXPECT_EQ(answered + uncertain, 12);
  EXPECT_GT(uncertain, 0);
  EXPECT_EQ(Ask(other_, "SET k 1"), kOk);
  EXPECT_EQ(Ask(third_, "INCR k"), Number(2));
}

TEST_F(NodeShipTest, WhatAHomeThatMovesHasNotRunIsRunOnce) {
  const int64_t count = Contend();
  const GroupId group = ShardGroup(ShardOfSlot(SlotOf("k"), 2));
  // Its frames are late: they come when another leads.
  bool late = true;
  cluster().Lose([&](NodeId from, NodeId to, const bus::EnvelopeHeader& header) {
    return late && from == other_ && to == home_ && header.type == bus::MessageType::kCache;
  });
  cluster().Send(clients_[other_], "INCR k\r\nPING");
  cluster().Run(2);
  Ask(home_, Format("CLUSTER LEADER shard-%lu %lu", ShardOf(group), third_.value));
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(group) == third_; }));
  late = false;
  EXPECT_EQ(Await(clients_[other_], "PONG"), Number(count + 1) + "+PONG\r\n");
  cluster().Run(3000);
  EXPECT_EQ(Ask(other_, "INCR k"), Number(count + 2));
}

TEST_F(NodeShipTest, AMoveThatIsPlannedLeavesNobodyInDoubt) {
  int64_t count = Contend();
  const GroupId group = ShardGroup(ShardOfSlot(SlotOf("k"), 2));
  const uint64_t shipped = Shipped(home_) + Shipped(other_) + Shipped(third_);
  std::vector<ClientId> clients;
  for (int i = 0; i < 9; ++i) clients.push_back(cluster().Connect(NodeId{1 + i % 3u}));
  for (int move = 0; move < 12; ++move) {
    for (int round = 0; round < 6; ++round) {
      for (const ClientId client : clients) cluster().Send(client, "INCR k\r\nGET k\r\nINCR k");
      count += 2 * static_cast<int64_t>(clients.size());
      cluster().Run(1);
      if (round != 2) continue;
      const NodeId leads = cluster().Leader(group);
      Ask(leads, Format("CLUSTER LEADER shard-%lu %lu", ShardOf(group),
                        cluster().OtherThan(leads).value));
    }
    for (const ClientId client : clients) cluster().Send(client, "PING");
    for (const ClientId client : clients) {
      const Bytes told = Await(client, "PONG");
      EXPECT_FALSE(Has(told, "-")) << told;
    }
  }
  EXPECT_GT(Shipped(home_) + Shipped(other_) + Shipped(third_) - shipped, 100u);
  EXPECT_EQ(Ask(other_, "GET k"), Bulk(std::to_string(count)));
}

TEST_F(NodeShipTest, AMoveWaitsForWhatWaitsAtHome) {
  Contend();
  EXPECT_EQ(Ask(third_, "MSET k 5 j b"), kOk);
  cluster().CutOff(third_);
  cluster().Send(clients_[other_], "INCR k\r\nPING");
  cluster().Run(50);
  const GroupId group = ShardGroup(ShardOfSlot(SlotOf("k"), 2));
  Ask(home_, Format("CLUSTER LEADER shard-%lu %lu", ShardOf(group), other_.value));
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(group) == other_; }));
  EXPECT_EQ(Await(clients_[other_], "PONG"), Number(1) + "+PONG\r\n") << "lost with its owner";
  EXPECT_EQ(Ask(home_, "GET k"), Bulk("1"));
}

TEST_F(NodeShipTest, AClientThatGoesAwayIsToldNothing) {
  const int64_t count = Contend();
  const ClientId client = cluster().Connect(other_);
  cluster().Send(client, "INCR k\r\nINCR k");
  cluster().Run(1);
  cluster().Disconnect(client);
  cluster().Run(100);
  EXPECT_EQ(Ask(third_, "GET k"), Bulk(std::to_string(count + 2)));
}

TEST_F(NodeShipTest, WhoHasReadTheKeyIsToldBeforeTheWriterIs) {
  Contend();
  const ClientId reader = cluster().Connect(third_);
  EXPECT_TRUE(StartsWith(cluster().Ask(reader, "HELLO 3"), "%"));
  EXPECT_EQ(cluster().Ask(reader, "CLIENT TRACKING ON"), kOk);
  EXPECT_EQ(cluster().Ask(reader, "GET k"), Bulk("12"));
  const uint64_t before = Shipped(other_);
  cluster().Send(clients_[other_], "INCR k");
  Bytes pushed, told;
  cluster().RunUntil([&] {
    pushed += cluster().Take(reader);
    told += cluster().Take(clients_[other_]);
    return !told.empty();
  });
  EXPECT_EQ(told, Number(13));
  EXPECT_EQ(Shipped(other_) - before, 1u);
  EXPECT_TRUE(Has(pushed, "invalidate")) << pushed;
}

// Else it would be told of its own write.
TEST_F(NodeShipTest, AClientThatTracksWritesHere) {
  Contend();
  const ClientId client = cluster().Connect(other_);
  EXPECT_TRUE(StartsWith(cluster().Ask(client, "HELLO 3"), "%"));
  EXPECT_EQ(cluster().Ask(client, "CLIENT TRACKING ON NOLOOP"), kOk);
  EXPECT_EQ(cluster().Ask(client, "GET k"), Bulk("12"));
  const uint64_t before = Shipped(other_);
  EXPECT_EQ(cluster().Ask(client, "INCR k"), Number(13));
  cluster().Run(100);
  EXPECT_EQ(cluster().Take(client), "");
  EXPECT_EQ(Shipped(other_), before);
}

TEST_F(NodeShipTest, WhatIsLargeGoesTheOrdinaryWay) {
  Contend();
  const uint64_t before = Shipped(other_);
  const Bytes value(mesi::kShipBytesMax, 'v');
  cluster().SendRaw(clients_[other_],
                    Format("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", value.size()) + value +
                        "\r\nPING\r\n");
  EXPECT_EQ(Await(clients_[other_], "PONG"), Bytes(kOk) + "+PONG\r\n");
  EXPECT_EQ(Shipped(other_), before);
  EXPECT_EQ(Ask(third_, "STRLEN k"), Number(int64_t(value.size())));
}

}  // namespace
}  // namespace lockstep
