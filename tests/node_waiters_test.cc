// Trap q29 at its full size: ten thousand POPs wait on five nodes, of which some end and some are
// left, while messages come.
#include <set>

#include "src/base/rng.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr size_t kWaiters = 10'000;
constexpr NodeId kNodes[] = {k1, k2, k3, k4, NodeId{5}};

TEST(NodeWaiters, EveryPushIsHadAtOnceByOneOfTenThousandWhoWait) {
  NodeCluster cluster(5, "maxclients 20000\n");
  cluster.StartAll();
  ASSERT_NE(cluster.AwaitLeader(), kNoNode);
  Rng rng(29);
  std::vector<ClientId> waiting, leaving;
  for (size_t i = 0; i < kWaiters; ++i) {
    const ClientId client = cluster.Connect(kNodes[rng.Below(5)]);
    const uint64_t kind = rng.Below(8);
    cluster.Send(client, kind == 0 ? "DQ.POP mail BLOCK 300" : "DQ.POP mail BLOCK 0");
    if (kind > 0) (kind == 1 ? leaving : waiting).push_back(client);
  }
  cluster.Run(450);  // Those who wait for 300 ms wait no more.
  const auto line = [&] { return cluster.Ask(k2, "DQ.INFO mail"); };
  ASSERT_TRUE(Has(line(), Format("waiters\r\n:%zu\r\n", waiting.size() + leaving.size())));

  std::set<Bytes> bodies;
  const auto take = [&](ClientId client) {
    const Bytes popped = cluster.Take(client);
    const size_t at = popped.find("<m");
    if (at == Bytes::npos) return;
    EXPECT_TRUE(bodies.insert(popped.substr(at, popped.find('>') - at)).second) << popped;
  };
  size_t pushed = 0;
  for (int round = 0; round < 8; ++round) {
    const ClientId producer = cluster.Connect(kNodes[rng.Below(5)]);
    Bytes pipeline;
    for (int i = 0; i < 60; ++i) pipeline += Format("DQ.PUSH mail <m%zu>\r\n", pushed++);
    cluster.Send(producer, pipeline + "PING");
    // What is on its way to one who leaves goes to the next.
    for (int i = 0; i < 25 && !leaving.empty(); ++i, leaving.pop_back()) {
      cluster.Run(1);
      take(leaving.back());
      cluster.Disconnect(leaving.back());
    }
    cluster.Run(100);
    EXPECT_TRUE(Has(cluster.Ask(k1, "DQ.LEN mail"), ":0\r\n")) << round;
  }
  for (const ClientId client : waiting) take(client);
  for (const ClientId client : leaving) take(client);
  EXPECT_EQ(bodies.size(), pushed);
}

}  // namespace
}  // namespace lockstep
