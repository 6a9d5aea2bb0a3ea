// What a node keeps of what others say of themselves.
#include "src/peers.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

constexpr NodeId k2{2};
constexpr ClusterId kCluster{77};
constexpr int64_t kTimeoutUs = kUsPerSecond;

PeerUp Inbound(uint64_t node, uint64_t disk = 1000, uint64_t incarnation = 1) {
  bus::Hello hello;
  hello.cluster = kCluster;
  hello.from = NodeId{node};
  hello.disk = DiskId{disk};
  hello.incarnation = incarnation;
  hello.bus_host = "host";
  hello.bus_port = 17'000;
  return {.hello = hello};
}
PeerUp Ours(uint64_t node, bus::Lane lane, uint64_t disk = 1000, uint64_t incarnation = 1) {
  PeerUp up = Inbound(node, disk, incarnation);
  up.hello.lane = lane;
  up.hello.bus_port = 0;  // An answer does not say it.
  up.ours = true;
  return up;
}

class PeersTest : public ::testing::Test {
 protected:
  uint64_t Dials() {
    peers_.Follow({{k2, "host", 17'000}}, now_);
    return peers_.addresses().front().dials;
  }
  MonoTime now_{5 * kUsPerSecond};
  Peers peers_{NodeId{1}, kTimeoutUs};
};

TEST_F(PeersTest, APeerIsLinkedWhileOurBulkLaneIsUp) {
  peers_.OnUp(Inbound(2), now_);
  EXPECT_FALSE(peers_.linked(k2));
  peers_.OnUp(Ours(2, bus::Lane::kControl), now_);
  EXPECT_FALSE(peers_.linked(k2));
  peers_.OnUp(Ours(2, bus::Lane::kBulk), now_);
  EXPECT_TRUE(peers_.linked(k2));
  peers_.OnDown(k2, bus::Lane::kControl);
  EXPECT_TRUE(peers_.linked(k2));
  peers_.OnDown(k2, bus::Lane::kBulk);
  EXPECT_FALSE(peers_.linked(k2));
}

TEST_F(PeersTest, AHelloOfAnotherProcessCastsDoubtOnLinksThatAreUp) {
  EXPECT_EQ(Dials(), 0u);
  peers_.OnUp(Ours(2, bus::Lane::kBulk), now_);
  peers_.OnUp(Inbound(2), now_);
  EXPECT_EQ(Dials(), 0u);
  peers_.OnUp(Inbound(2, 1000, 2), now_);  // It has started anew.
  EXPECT_EQ(Dials(), 1u);
  peers_.OnDown(k2, bus::Lane::kBulk);
  peers_.OnUp(Inbound(2, 1000, 3), now_);  // Nothing is up that could lead nowhere.
  EXPECT_EQ(Dials(), 1u);
}

TEST_F(PeersTest, ALateHelloOfAFormerProcessSaysNothing) {
  peers_.OnUp(Ours(2, bus::Lane::kBulk, 1000, 7), now_);
  peers_.OnUp(Inbound(2, 1000, 6), now_);
  EXPECT_EQ(peers_.Find(k2)->hello.incarnation, 7u);
  EXPECT_EQ(Dials(), 0u);
}

TEST_F(PeersTest, OnlyTheProcessAtTheEndOfOurLinkSaysWhichDiskAPeerHas) {
  peers_.Follow({{k2, "host", 17'000}}, now_);
  peers_.OnUp(Inbound(2, 5), now_);
  EXPECT_EQ(peers_.Linked(k2, kCluster), nullptr);
  peers_.OnUp(Ours(2, bus::Lane::kBulk, 6), now_);
  peers_.OnUp(Inbound(2, 5), now_);
  ASSERT_NE(peers_.Linked(k2, kCluster), nullptr);
  EXPECT_EQ(peers_.Linked(k2, kCluster)->disk, DiskId{6});
  EXPECT_EQ(peers_.Linked(k2, ClusterId{78}), nullptr);
  now_ = now_ + kTimeoutUs;
  peers_.Tick(now_);
  EXPECT_EQ(peers_.Linked(k2, kCluster), nullptr);  // Silent.
}

TEST_F(PeersTest, WhoSaysHelloCanBeAnsweredForAsLongAsItIsHeard) {
  peers_.OnUp(Inbound(2), now_);
  peers_.OnUp(Ours(3, bus::Lane::kBulk), now_);  // Where it is we know from elsewhere.
  const std::vector<PeerAddress> heard{{k2, "host", 17'000}};
  EXPECT_EQ(peers_.Heard(kCluster, now_), heard);
  EXPECT_TRUE(peers_.Heard(ClusterId{78}, now_).empty());
  now_ = now_ + kTimeoutUs;
  EXPECT_TRUE(peers_.Heard(kCluster, now_).empty());
  peers_.OnFrame({k2, {}, {}}, now_);
  EXPECT_EQ(peers_.Heard(kCluster, now_), heard);
}

TEST_F(PeersTest, APeerIsPresentWithTheDiskThatItLastSpokeWith) {
  peers_.OnUp(Inbound(2, 5), now_);
  EXPECT_TRUE(peers_.Present(k2, DiskId{5}, now_));
  EXPECT_FALSE(peers_.Present(k2, DiskId{6}, now_));
  peers_.OnFrame({k2, {}, DiskId{6}}, now_);
  EXPECT_TRUE(peers_.Present(k2, DiskId{6}, now_));
  EXPECT_FALSE(peers_.Present(k2, DiskId{6}, now_ + kTimeoutUs));
}

TEST_F(PeersTest, WhoInventsNumbersPushesOutNobodyWhoIsFollowed) {
  peers_.Follow({{k2, "host", 17'000}}, now_);
  peers_.OnUp(Inbound(2, 5), now_);
  for (uint64_t node = 3; node < 3 + 2 * Peers::kPeersMax; ++node) {
    now_ = now_ + 1;
    peers_.OnUp(Inbound(node), now_);
  }
  EXPECT_EQ(peers_.DiskOf(k2), DiskId{5});
  EXPECT_EQ(peers_.Find(NodeId{3}), nullptr);
  EXPECT_EQ(peers_.Heard(kCluster, now_).size(), Peers::kPeersMax);
}

}  // namespace
}  // namespace lockstep
