// The auditor of whole nodes: what it costs, and that it finds what a home knows wrong.
#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/cache.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

GroupId GroupOf(BytesView key) { return ShardGroup(ShardOfSlot(SlotOf(key), 2)); }

std::vector<Bytes>& Logged() {
  static std::vector<Bytes> lines;
  return lines;
}

class NodeAuditTest : public NodeFixture {
 protected:
  void SetUp() override {
    Form(3);
    cluster().Run(8000);
    home_ = cluster().Leader(GroupOf("k"));
    ASSERT_NE(home_, kNoNode);
    reader_ = cluster().OtherThan(home_);
    ASSERT_EQ(cluster().Ask(home_, "SET k v"), "+OK\r\n");
    ASSERT_EQ(cluster().Ask(reader_, "GET k"), "$1\r\nv\r\n");
    Logged().clear();
    SetLogSink([](LogLevel level, BytesView line) {
      if (level == LogLevel::kError) Logged().emplace_back(line);
    });
  }
  void TearDown() override { SetLogSink(nullptr); }

  // Clients of the node use the key all the time.
  void Use(NodeId node, int times) {
    for (int i = 0; i < times; ++i) cluster().Ask(node, "GET k");
  }
  const mesi::Stats& StatsOf(NodeId node) { return cluster().node(node)->cache()->stats(); }
  mesi::Line* AtHome() {
    const mesi::Home* home = cluster().node(home_)->cache()->HomeOf("k");
    return const_cast<mesi::LineTable&>(home->lines()).Find("k");
  }

  NodeId home_, reader_;
};

TEST_F(NodeAuditTest, ANodeAsksAFewTimesASecondAndOnlyWhileItIsUsed) {
  const MonoTime began = cluster().now();
  const uint64_t before = StatsOf(reader_).audits;
  Use(reader_, 2000);
  const uint64_t asked = StatsOf(reader_).audits - before;
  const auto seconds = static_cast<uint64_t>((cluster().now() - began) / kUsPerSecond);
  EXPECT_GE(asked, 2 * seconds);
  EXPECT_LE(asked, 20 * (seconds + 1));
  cluster().Run(1000);
  const uint64_t rested = StatsOf(reader_).audits;
  cluster().Run(5000);
  EXPECT_EQ(StatsOf(reader_).audits, rested);
  EXPECT_EQ(StatsOf(home_).audits, 0u) << "a home asks nobody";
  for (const NodeId node : {k1, k2, k3}) EXPECT_EQ(StatsOf(node).violations, 0u);
}

TEST_F(NodeAuditTest, AReaderThatItsHomeHasForgottenIsFoundAndBothSidesTell) {
  AtHome()->set_sharers(0);
  Use(reader_, 600);
  EXPECT_GE(StatsOf(reader_).violations, 1u);
  ASSERT_GE(Logged().size(), 1u);
  EXPECT_TRUE(Has(Logged()[0], "this node has 'k' of shard ")) << Logged()[0];
  EXPECT_TRUE(Has(Logged()[0], Format("GetS from node %lu: U -> Sh", reader_.value)));
  EXPECT_TRUE(Has(Logged()[0], Format("Data.S from node %lu: IS -> S", home_.value)));
  const Bytes stats = cluster().Ask(reader_, "DCACHE.STATS");
  EXPECT_TRUE(Has(stats, "$10\r\nviolations\r\n:")) << stats;
  EXPECT_FALSE(Has(stats, "$10\r\nviolations\r\n:0\r\n"));
  EXPECT_EQ(StatsOf(home_).violations, 0u);
}

TEST_F(NodeAuditTest, ACopyOfAnOldValueIsFound) {
  mesi::Version newer = AtHome()->version();
  ++newer.gen;
  AtHome()->set_version(newer);
  Use(reader_, 600);
  EXPECT_GE(StatsOf(reader_).violations, 1u);
}

}  // namespace
}  // namespace lockstep
