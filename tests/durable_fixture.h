// What tests of durable keys of whole nodes begin with: three nodes, which may all lose power.
#pragma once

#include <vector>

#include "src/base/hash.h"
#include "tests/node_fixture.h"

namespace lockstep {

inline constexpr BytesView kOk = "+OK\r\n";
inline constexpr BytesView kNil = "$-1\r\n";

inline GroupId GroupOf(BytesView key) { return ShardGroup(ShardOfSlot(SlotOf(key), 2)); }
inline Bytes Bulk(BytesView text) { return Format("$%zu\r\n", text.size()) + Bytes(text) + "\r\n"; }
inline int64_t IntegerOf(const Bytes& reply) {
  return reply.size() > 1 && reply[0] == ':' ? std::atoll(reply.c_str() + 1) : INT64_MIN;
}

class NodeDurableTest : public NodeFixture {
 protected:
  void SetUp() override { Begin(""); }
  void Begin(const Bytes& settings) {
    Form(3, settings);
    Settle();
  }
  // Until the leader of the key's shard stays, and the cache serves.
  void Settle() {
    ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(GroupOf("k")) != kNoNode; }));
    cluster().Run(8000);
    home_ = cluster().Leader(GroupOf("k"));
    ASSERT_EQ(cluster().Ask(home_, "SET warm up"), kOk);
    other_ = cluster().OtherThan(home_);
    third_ = cluster().OtherThan(home_, other_);
  }
  void LoseThePowerOfAll() {
    for (const NodeId node : {k1, k2, k3}) cluster().Kill(node);
    cluster().StartAll();
    Settle();
  }
  void StopDisks(bool stopped) {
    for (const NodeId node : {k1, k2, k3}) cluster().StopDisk(node, stopped);
  }
  Bytes Get(NodeId node, BytesView key = "k") { return cluster().Ask(node, "GET " + Bytes(key)); }
  void ExpectEverywhere(BytesView key, BytesView reply) {
    for (const NodeId node : {k1, k2, k3}) {
      EXPECT_EQ(Get(node, key), reply) << key;
    }
  }
  void ExpectPttl(NodeId node, BytesView key, int64_t low, int64_t high) {
    const int64_t ttl = IntegerOf(cluster().Ask(node, "PTTL " + Bytes(key)));
    EXPECT_GE(ttl, low) << key;
    EXPECT_LE(ttl, high) << key;
  }
  ClientId SendTo(NodeId node, const Bytes& line) {
    const ClientId client = cluster().Connect(node);
    cluster().Send(client, line);
    return client;
  }
  Bytes Await(ClientId client, int64_t ms = 20'000) {
    Bytes reply;
    cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, ms);
    return reply;
  }
  // The reply of EXEC.
  Bytes Exec(NodeId node, const std::vector<Bytes>& lines) {
    const ClientId client = cluster().Connect(node);
    EXPECT_EQ(cluster().Ask(client, "MULTI"), kOk);
    for (const Bytes& line : lines) EXPECT_EQ(cluster().Ask(client, line), "+QUEUED\r\n") << line;
    return cluster().Ask(client, "EXEC");
  }
  // A key whose home is another node than that of "k", or the same.
  Bytes KeyOf(bool same_shard, int n = 0) const {
    for (int i = 0;; ++i) {
      const Bytes key = Format("key%d", i);
      if ((GroupOf(key) == GroupOf("k")) == same_shard && n-- == 0) return key;
    }
  }

  NodeId home_, other_, third_;  // Of "k".
};

}  // namespace lockstep
