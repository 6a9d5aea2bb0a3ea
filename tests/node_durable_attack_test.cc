// Durable keys of whole nodes: what was answered is never lost, whatever is refused or over.
#include "src/base/hash.h"
#include "src/cache.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr BytesView kOk = "+OK\r\n";
constexpr BytesView kNil = "$-1\r\n";

uint64_t ShardNumberOf(BytesView key) { return ShardOfSlot(SlotOf(key), 2); }
GroupId GroupOf(BytesView key) { return ShardGroup(ShardNumberOf(key)); }
Bytes Bulk(BytesView text) { return Format("$%zu\r\n", text.size()) + Bytes(text) + "\r\n"; }

class NodeDurableAttackTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3);
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(GroupOf("k")) != kNoNode; }));
    cluster().Run(8000);
    home_ = cluster().Leader(GroupOf("k"));
    other_ = cluster().OtherThan(home_);
    third_ = cluster().OtherThan(home_, other_);
    ASSERT_EQ(Ask(home_, "SET warm up"), kOk);
  }
  Bytes Ask(NodeId node, const Bytes& line) { return cluster().Ask(node, line); }
  Bytes Get(NodeId node, BytesView key = "k") { return Ask(node, "GET " + Bytes(key)); }
  void StopDisks(bool stopped) {
    for (const NodeId node : {k1, k2, k3}) cluster().StopDisk(node, stopped);
  }
  Bytes Exec(NodeId node, const std::vector<Bytes>& lines) {
    const ClientId client = cluster().Connect(node);
    EXPECT_EQ(cluster().Ask(client, "MULTI"), kOk);
    for (const Bytes& line : lines) EXPECT_EQ(cluster().Ask(client, line), "+QUEUED\r\n");
    return cluster().Ask(client, "EXEC");
  }
  // Whose home is another node than that of "k".
  Bytes KeyElsewhere() const {
    for (int i = 0;; ++i) {
      Bytes key = Format("far%d", i);
      if (ShardNumberOf(key) != ShardNumberOf("k")) return key;
    }
  }

  NodeId home_, other_, third_;  // Of "k".
};

// It gives the line back without a value, when the log has told already that the key is over.
TEST_F(NodeDurableAttackTest, AnOwnerThatHasNotWrittenHidesNoKeyThatIsOver) {
  ASSERT_EQ(Ask(home_, "DCACHE.SET k v DURABLE PX 300"), kOk);
  cluster().Run(200);
  ASSERT_EQ(Ask(other_, "SET k x NX"), kNil);
  cluster().Run(1000);
  for (const NodeId node : {home_, other_, third_}) EXPECT_EQ(Get(node), kNil);
  EXPECT_EQ(Ask(third_, "SET k again"), kOk);
}

TEST_F(NodeDurableAttackTest, AWriteThatIsLoggedWhenTheKeyIsOverDoesNotMakeItStay) {
  for (const NodeId node : {home_, other_}) {
    ASSERT_EQ(Ask(node, "DCACHE.SET k v DURABLE PX 300"), kOk);
    cluster().Run(250);
    StopDisks(true);
    const ClientId first = cluster().Connect(home_);
    cluster().Send(first, "DCACHE.SET {k}1 v DURABLE");  // Its append is under way.
    cluster().Run(3);
    const ClientId late = cluster().Connect(node);
    cluster().Send(late, "APPEND k x");
    cluster().Run(100);
    StopDisks(false);
    Bytes reply;
    ASSERT_TRUE(cluster().RunUntil([&] { return !(reply += cluster().Take(late)).empty(); }));
    EXPECT_EQ(reply, ":2\r\n");
    cluster().Run(1000);
    for (const NodeId reader : {node, third_, home_}) EXPECT_EQ(Get(reader), kNil);
    EXPECT_EQ(Ask(third_, "SET k again"), kOk);
    EXPECT_EQ(Ask(home_, "DEL k"), ":1\r\n");
  }
}

TEST_F(NodeDurableAttackTest, ATokenIsRememberedHoweverTheValueGoes) {
  ASSERT_EQ(Ask(home_, "DCACHE.SET k v FENCE 9"), kOk);
  ASSERT_EQ(Ask(home_, "DEL k"), ":1\r\n");
  ASSERT_EQ(Ask(home_, "DCACHE.SET k v DURABLE PXAT 1"), kOk);
  EXPECT_TRUE(StartsWith(Ask(home_, "DCACHE.SET k old FENCE 5"), "-FENCED"));
  ASSERT_EQ(Ask(home_, "DCACHE.SET absent v FENCE 9 PXAT 1"), kOk);
  EXPECT_TRUE(StartsWith(Ask(other_, "DCACHE.SET absent old FENCE 5"), "-FENCED"));
}

TEST_F(NodeDurableAttackTest, ATransactionIsFencedByTheHighestOfItsTokens) {
  ASSERT_EQ(Exec(home_, {"DCACHE.SET k a FENCE 9", "DCACHE.SET k b DURABLE"}),
            "*2\r\n+OK\r\n+OK\r\n");
  EXPECT_TRUE(StartsWith(Ask(home_, "DCACHE.SET k old FENCE 5"), "-FENCED"));
}

TEST_F(NodeDurableAttackTest, ARefusalNeverHidesThatAPartHasHappened) {
  const Bytes far = KeyElsewhere();
  ASSERT_EQ(Ask(home_, "DCACHE.SET k v FENCE 9"), kOk);
  EXPECT_TRUE(StartsWith(Exec(home_, {"DCACHE.SET k no FENCE 5"}), "-FENCED"));
  for (const NodeId node : {k1, k2, k3}) {
    const Bytes plain = Exec(node, {"SET {k}plain v", "DCACHE.SET k no FENCE 5"});
    EXPECT_TRUE(StartsWith(plain, "-UNCERTAIN")) << plain;
    EXPECT_EQ(Get(other_, "{k}plain"), Bulk("v"));
    const Bytes both = Exec(node, {"DCACHE.SET " + far + " v DURABLE", "DCACHE.SET k no FENCE 5"});
    const bool far_happened = Get(other_, far) == Bulk("v");
    EXPECT_TRUE(StartsWith(both, far_happened ? "-UNCERTAIN" : "-FENCED")) << both;
    EXPECT_EQ(Get(third_), Bulk("v"));
    Ask(third_, "DEL " + far);
  }
}

// The log remembers its token, and knows nothing of what was written since.
TEST_F(NodeDurableAttackTest, APlainValueAfterAFencedOneMovesWithItsHome) {
  ASSERT_EQ(Ask(home_, "DCACHE.SET k v FENCE 9"), kOk);
  ASSERT_EQ(Ask(home_, "DEL k"), ":1\r\n");
  ASSERT_EQ(Ask(home_, "SET k plain"), kOk);
  cluster().Ask(home_, Format("CLUSTER LEADER shard-%lu %lu", ShardNumberOf("k"), other_.value));
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(GroupOf("k")) == other_; }));
  EXPECT_EQ(Get(third_), Bulk("plain"));
}

// Neither is it gone before it is, nor can it come back after it was.
TEST_F(NodeDurableAttackTest, ScanSaysNothingOfWhatIsOnItsWayToTheLog) {
  ASSERT_EQ(Ask(home_, "DCACHE.SET k v DURABLE"), kOk);
  const ClientId scan = cluster().Connect(home_);
  const ClientId del = cluster().Connect(home_);
  cluster().Send(scan, "KEYS k");
  cluster().Run(1);
  StopDisks(true);
  cluster().Send(del, "DEL k");
  cluster().Run(15);
  EXPECT_EQ(cluster().Take(scan), "");
  StopDisks(false);
  cluster().Run(500);
  EXPECT_EQ(cluster().Take(del), ":1\r\n");
  EXPECT_EQ(cluster().Take(scan), "*0\r\n");
}

TEST_F(NodeDurableAttackTest, AllOfItSurvivesTheLossOfPower) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(Ask(NodeId{1 + static_cast<uint64_t>(i) % 3},
                  Format("DCACHE.SET key%d v%d DURABLE", i, i)), kOk);
  }
  ASSERT_EQ(Ask(other_, "APPEND key7 +"), ":3\r\n");
  for (const NodeId node : {k1, k2, k3}) cluster().KillSilently(node);
  cluster().StartAll();
  cluster().AwaitLeader();
  cluster().Run(5000);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Get(k2, Format("key%d", i)), Bulk(Format("v%d%s", i, i == 7 ? "+" : "")));
  }
}

}  // namespace
}  // namespace lockstep
