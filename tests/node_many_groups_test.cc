// Many groups in one node cost what one costs: at rest two nodes exchange one frame a beat and its
// answer, whatever the number of groups.
#include <map>

#include "cluster/bus/envelope.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr uint64_t kShards = 64;

class NodeManyGroupsTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3, Format("shards %lu\nraft-heartbeat-ms 100\n", kShards));
    ASSERT_TRUE(cluster().RunUntil([&] { return LedBy(k1) + LedBy(k2) + LedBy(k3) == kShards; }));
    // Until leaders are where the placement wants them.
    ASSERT_TRUE(cluster().RunUntil(
        [&] { return LedBy(k1) >= 16 && LedBy(k2) >= 16 && LedBy(k3) >= 16; }, 60'000));
    cluster().Run(2'000);
  }
  uint64_t LedBy(NodeId node) {
    uint64_t led = 0;
    for (uint64_t shard = 0; shard < kShards; ++shard) {
      led += cluster().Leader(ShardGroup(shard)) == node ? 1 : 0;
    }
    return led;
  }
};

TEST_F(NodeManyGroupsTest, TwoNodesAtRestExchangeOneFrameABeatForAllGroups) {
  using Pair = std::pair<NodeId, NodeId>;
  std::map<Pair, uint64_t> beats, others;
  cluster().Lose([&](NodeId from, NodeId to, const bus::EnvelopeHeader& header) {
    ++(header.type == bus::MessageType::kHeartbeats ? beats : others)[{from, to}];
    return false;
  });
  constexpr uint64_t kBeats = 100;  // In the time that follows.
  cluster().Run(kBeats * 100);
  ASSERT_EQ(beats.size(), 6u);
  for (const auto& [pair, frames] : beats) {
    EXPECT_GE(frames, kBeats - 1);
    EXPECT_LE(frames, 2 * kBeats + kBeats / 2) << "its own beat, and answers to the other's";
  }
  // Each group commits something now and then, by which its clock and its sessions go on; and the
  // home of a shard's lines meets each node once.
  for (const auto& [pair, frames] : others) EXPECT_LE(frames, 5 * kShards);
}

// And what all of them write in one turn is one batch, which is synced once.
TEST_F(NodeManyGroupsTest, ATurnIsOneWriteForAllGroups) {
  const uint64_t before = cluster().writes(k1);
  const ClientId client = cluster().Connect(k1);
  Bytes pipeline;
  for (int i = 0; i < 256; ++i) pipeline += Format("DQ.PUSH q%d x\r\n", i);
  cluster().Send(client, pipeline + "PING");
  Bytes replies;
  ASSERT_TRUE(cluster().RunUntil([&] { return Has(replies += cluster().Take(client), "PONG"); }));
  EXPECT_FALSE(Has(replies, "-"));
  EXPECT_GT(cluster().writes(k1) - before, 0u);
  EXPECT_LE(cluster().writes(k1) - before, 40u) << "256 pushes to 64 groups";
}

}  // namespace
}  // namespace lockstep
