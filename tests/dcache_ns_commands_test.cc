// DCACHE.NS as clients see it.
#include <gtest/gtest.h>

#include "commands/cache_ops.h"
#include "tests/fake_keys.h"

namespace lockstep {
namespace {

class DcacheNsTest : public ::testing::Test {
 protected:
  Bytes Say(const std::vector<Bytes>& words) {
    std::vector<Bytes> all = {"DCACHE.NS"};
    all.insert(all.end(), words.begin(), words.end());
    return KeysHost::Shown(host_.Run(client_, all));
  }

  FakeHost host_;
  Client& client_ = host_.Connect(1);
};

TEST_F(DcacheNsTest, WhatIsSetIsShownAndTheRestIsAsByDefault) {
  EXPECT_EQ(Say({"GET", "p:"}), "nil");
  EXPECT_EQ(Say({"LIST"}), R"([{"prefix" "lock:" "class" "quorum" "reads" "shared" "ttl" :0 )"
                           R"("maxmemory" :0 "policy" "sieve" "onnolease" "error"}])");
  EXPECT_EQ(Say({"DEL", "lock:"}), ":1");
  EXPECT_EQ(Say({"LIST"}), "[]");
  EXPECT_EQ(Say({"SET", "p:", "TTL", "500", "reads", "EXCLUSIVE"}), "OK");
  const Bytes p = R"({"prefix" "p:" "class" "back" "reads" "exclusive" "ttl" :500 )"
                  R"("maxmemory" :0 "policy" "sieve" "onnolease" "error"})";
  EXPECT_EQ(Say({"GET", "p:"}), p);
  EXPECT_EQ(Say({"SET", "", "CLASS", "quorum", "POLICY", "lru", "ONNOLEASE", "miss", "MAXMEMORY",
                 "1048576"}),
            "OK");
  const Bytes all = R"({"prefix" "" "class" "quorum" "reads" "shared" "ttl" :0 )"
                    R"("maxmemory" :1048576 "policy" "lru" "onnolease" "miss"})";
  EXPECT_EQ(Say({"LIST"}), "[" + all + " " + p + "]");
  EXPECT_EQ(Say({"SET", "p:", "TTL", "0"}), "OK");
  EXPECT_EQ(host_.control.spaces().Find("p:1")->reads, Space::Reads::kExclusive);
  EXPECT_EQ(Say({"DEL", "p:"}), ":1");
  EXPECT_EQ(Say({"DEL", "p:"}), ":0");
  EXPECT_EQ(Say({"LIST"}), "[" + all + "]");
}

TEST_F(DcacheNsTest, NonsenseIsRefusedAndChangesNothing) {
  const Bytes before = Say({"LIST"});
  EXPECT_EQ(Say({"SET", "p", "CLASS", "front"}),
            "-ERR 'front' is no CLASS: back, home, quorum; nothing was changed");
  EXPECT_EQ(Say({"SET", "p", "READS", "back"}),
            "-ERR 'back' is no READS: shared, exclusive; nothing was changed");
  EXPECT_EQ(Say({"SET", "p", "TTL", "x"}), "-ERR value is not an integer or out of range");
  EXPECT_TRUE(BytesView(Say({"SET", "p", "TTL", "-1"})).starts_with("-ERR TTL must be"));
  EXPECT_TRUE(BytesView(Say({"SET", "p", "MAXMEMORY", "-1"})).starts_with("-ERR MAXMEMORY must"));
  EXPECT_TRUE(BytesView(Say({"SET", "p", "TLT", "1"})).starts_with("-ERR syntax error"));
  EXPECT_TRUE(BytesView(Say({"SET", "p", "TTL", "1", "TTL", "2"})).starts_with("-ERR syntax"));
  EXPECT_TRUE(BytesView(Say({"SET", "p", "TTL", "1", "READS"})).starts_with("-ERR"));
  EXPECT_TRUE(BytesView(Say({"SET", "p"})).starts_with("-ERR wrong number"));
  EXPECT_TRUE(BytesView(Say({"SET", Bytes(1025, 'p'), "TTL", "1"})).starts_with("-LIMIT"));
  EXPECT_TRUE(BytesView(Say({"SETT", "p"})).starts_with("-ERR unknown subcommand"));
  EXPECT_EQ(Say({"LIST"}), before);
}

TEST_F(DcacheNsTest, FlushIsATaskOfItsOwn) {
  EXPECT_EQ(host_.Run(client_, {"DCACHE.NS", "FLUSH", "p:"}).kind, Reply::Kind::kNothing);
  ASSERT_NE(host_.task, nullptr);
  Task::Next next;
  EXPECT_FALSE(host_.task->Begin(&next).has_value());
  ASSERT_EQ(next.ask.size(), host_.Shards());
  const auto query = DecodeCacheQuery(next.ask[0].op);
  ASSERT_TRUE(query.has_value());
  EXPECT_EQ(query->kind, CacheQuery::Kind::kFlushPrefix);
  EXPECT_EQ(query->name, "p:");
  EXPECT_TRUE(host_.Run(client_, {"DCACHE.NS", "FLUSH", "p:"}, true).is_error());
}

TEST_F(DcacheNsTest, ItHasNoKeysAndIsAContainer) {
  const FoundCommand found = CommandTable::Get().FindByName("dcache.ns|set");
  ASSERT_NE(found.subcommand, nullptr);
  EXPECT_TRUE(found.leaf().keys.empty());
  EXPECT_NE(CategoriesOf(found.leaf()) & kCatCache, 0u);
  EXPECT_EQ(CommandTable::Get().LeafName(found.leaf()), "dcache.ns|set");
  EXPECT_TRUE(BytesView(Say({"HELP"})).starts_with("[DCACHE.NS"));
}

}  // namespace
}  // namespace lockstep
