// Commands on the keyspace: what they take, what they ask of the homes, and what they make of the
// answers.
#include "commands/cache_tasks.h"

#include <gtest/gtest.h>

#include "cluster/mesi/line_table.h"
#include "tests/fake_keys.h"

namespace lockstep {
namespace {

using Kind = CacheQuery::Kind;

Reply Names(std::initializer_list<const char*> names) {
  Reply array = Reply::Array();
  for (const char* name : names) array.Add(Reply::Bulk(name));
  return array;
}

// A task, and the homes of its shards as the test plays them.
class CacheTaskTest : public ::testing::Test {
 protected:
  void Begin(std::unique_ptr<Task> task) {
    task_ = std::move(task);
    open_.clear();
    parts_.clear();
    Task::Next next;
    done_ = task_->Begin(&next);
    Take(std::move(next));
  }
  // What was asked last of the shard, and is not answered.
  CacheQuery Asked(uint64_t shard) {
    const auto part = open_.find(shard);
    EXPECT_NE(part, open_.end()) << shard;
    return part == open_.end() ? CacheQuery() : *DecodeCacheQuery(parts_[part->second].op);
  }
  void Answer(uint64_t shard, Reply reply) {
    ASSERT_TRUE(open_.contains(shard)) << shard;
    const size_t part = open_.at(shard);
    open_.erase(shard);
    Task::Next next;
    done_ = task_->OnReply(part, std::move(reply), &next);
    Take(std::move(next));
  }
  void Answer(uint64_t shard, Reply body, uint64_t next, uint64_t lines = 0) {
    CachePage page{.home_tag = tag_, .since = MonoTime{77}, .next = next, .lines = lines};
    page.body = std::move(body);
    Answer(shard, std::move(page).Encode());
  }
  void Again(uint64_t shard) {
    Answer(shard, CachePage{.again = true, .home_tag = tag_, .since = MonoTime{77}}.Encode());
  }

  std::unique_ptr<Task> task_;
  std::optional<Reply> done_;
  std::map<uint64_t, size_t> open_;  // By shard: the part.
  uint32_t tag_ = 5;

 private:
  void Take(Task::Next next) {
    for (Task::Part& part : next.ask) {
      EXPECT_TRUE(part.read);
      open_[ShardOf(part.group)] = parts_.size();
      parts_.push_back(std::move(part));
    }
  }
  std::vector<Task::Part> parts_;
};

constexpr uint64_t kPlace = uint64_t{1} << 40;  // In a table.

TEST_F(CacheTaskTest, DbsizeIsTheSumOfAllPagesOfAllShards) {
  Begin(MakeDbsizeTask(3));
  EXPECT_EQ(open_.size(), 3u);
  Answer(2, Reply::Integer(5), 0);
  Answer(0, Reply::Integer(10), kPlace);
  EXPECT_EQ(Asked(0), (CacheQuery{.kind = Kind::kCount, .cursor = kPlace, .home_tag = 5,
                                  .since = MonoTime{77}}));
  Answer(0, Reply::Integer(1), 0);
  EXPECT_FALSE(done_);
  Answer(1, Reply::Integer(0), 0);
  EXPECT_EQ(done_, Reply::Integer(16));
}

TEST_F(CacheTaskTest, AHomeThatCannotSayYetIsAskedTheSameAgain) {
  Begin(MakeDbsizeTask(1));
  Answer(0, Reply::Integer(10), kPlace);
  const CacheQuery before = Asked(0);
  Again(0);
  EXPECT_EQ(Asked(0), before);
  for (int i = 0; i < 249; ++i) {
    ASSERT_FALSE(done_) << i;
    Again(0);
  }
  ASSERT_FALSE(done_);
  Again(0);
  ASSERT_TRUE(done_);
  EXPECT_EQ(done_->text.substr(0, 11), "CLUSTERDOWN");
}

TEST_F(CacheTaskTest, WhatAFormerHomeGaveIsAskedAnewOfItsSuccessor) {
  Begin(MakeDbsizeTask(1));
  Answer(0, Reply::Integer(10), kPlace);
  tag_ = 6;
  Again(0);
  EXPECT_EQ(Asked(0).cursor, 0u);
  EXPECT_EQ(Asked(0).home_tag, 6u);
  Answer(0, Reply::Integer(11), 0);
  EXPECT_EQ(done_, Reply::Integer(11));

  Begin(MakeKeysTask(1, "*"));
  Answer(0, Names({"gone"}), kPlace);
  tag_ = 7;
  Answer(0, Names({"a"}), 0);  // It has begun anew by itself.
  EXPECT_EQ(done_, Names({"a"}));
}

TEST_F(CacheTaskTest, KeysNamesEachOnceAndNotMoreThanFit) {
  Begin(MakeKeysTask(2, "x*"));
  EXPECT_EQ(Asked(1).name, "x*");
  Answer(0, Names({"x2", "x1"}), kPlace);
  Answer(1, Names({"x9"}), 0);
  Answer(0, Names({"x1", "x3"}), 0);
  EXPECT_EQ(done_, Names({"x1", "x2", "x3", "x9"}));

  Begin(MakeKeysTask(1, "*"));
  for (int i = 0; i < 20 && !done_; ++i) {
    Reply page = Reply::Array();
    for (int j = 1000 * i; j < 1000 * (i + 1); ++j) {
      page.Add(Reply::Bulk(Format("%d", j) + Bytes(990, 'n')));
    }
    Answer(0, std::move(page), kPlace);
  }
  EXPECT_EQ(done_, Reply::Error("LIMIT", "more keys match than fit into one answer; use SCAN"));
}

TEST_F(CacheTaskTest, AFlushThatFailsSaysThatItMayBeDoneInPart) {
  Begin(MakeFlushTask(2));
  Again(1);
  Answer(0, Reply::Nil(), 0);
  Answer(1, Reply::Nil(), 0);
  EXPECT_EQ(done_, Reply::Ok());

  Begin(MakeFlushTask(2));
  Answer(0, Reply::Nil(), 0);
  Answer(1, Reply::Error("CLUSTERDOWN", "no leader"));
  ASSERT_TRUE(done_);
  EXPECT_EQ(done_->text.substr(0, 10), "UNCERTAIN ");
}

TEST_F(CacheTaskTest, ScanStopsInAPageAndGoesOnThere) {
  Begin(MakeScanTask(4, {}, 10, "*"));
  EXPECT_EQ(open_.size(), 1u);
  Answer(0, Names({"a"}), kPlace, 12);
  ASSERT_TRUE(done_);
  const uint64_t cursor = PackScanPlace({0, 5, kPlace});
  EXPECT_EQ(*done_, Reply::Array({Reply::Bulk(std::to_string(cursor)), Names({"a"})}));

  Begin(MakeScanTask(4, UnpackScanPlace(cursor), 10, "*"));
  EXPECT_EQ(Asked(0).cursor, kPlace);
  EXPECT_EQ(Asked(0).home_tag, 5u);
  Answer(0, Names({"b"}), 0, 10);
  EXPECT_EQ(*done_, Reply::Array({Reply::Bulk("1"), Names({"b"})}));
}

TEST_F(CacheTaskTest, ScanAsksMoreShardsWhileItHasNotLookedAtEnough) {
  Begin(MakeScanTask(8, {}, 10, "*"));
  Answer(0, Names({"a"}), 0, 4);
  EXPECT_EQ(open_.size(), 2u);
  EXPECT_EQ(Asked(1).count, 6u);
  Answer(2, Names({}), 0, 0);
  Answer(1, Names({"b"}), 0, 1);
  EXPECT_EQ(open_.size(), 4u);
  // Shard 4 is not through: what those behind it gave comes another time.
  Answer(5, Names({"later"}), 0, 1);
  Answer(6, Names({"later"}), kPlace, 9);
  Answer(3, Names({"c"}), 0, 1);
  Answer(4, Names({"d"}), kPlace, 6);
  const Bytes cursor = std::to_string(PackScanPlace({4, 5, kPlace}));
  EXPECT_EQ(done_, Reply::Array({Reply::Bulk(cursor), Names({"a", "b", "c", "d"})}));
}

TEST_F(CacheTaskTest, ScanEndsBehindTheLastShard) {
  Begin(MakeScanTask(4, {.shard = 3}, 10, "*"));
  Answer(3, Names({"z"}), 0, 50);
  EXPECT_EQ(done_, Reply::Array({Reply::Bulk("0"), Names({"z"})}));
  Begin(MakeScanTask(4, {.shard = 4}, 10, "*"));
  EXPECT_EQ(done_, Reply::Array({Reply::Bulk("0"), Names({})}));
}

TEST_F(CacheTaskTest, RandomkeyAsksOneShardAndThenTheOthers) {
  Begin(MakeRandomKeyTask(3, 4, 0));
  EXPECT_EQ(open_.size(), 1u);
  Answer(1, Reply::Bulk("k"), 0, 9);
  EXPECT_EQ(done_, Reply::Bulk("k"));

  Begin(MakeRandomKeyTask(3, 4, 9));
  Answer(1, Reply::Nil(), 0, 0);
  Answer(0, Reply::Bulk("a"), 0, 9);
  Answer(2, Reply::Bulk("b"), 0, 2);
  EXPECT_EQ(done_, Reply::Bulk("b"));

  Begin(MakeRandomKeyTask(2, 0, 0));
  Answer(0, Reply::Nil(), 0, 0);
  Answer(1, Reply::Nil(), 0, 0);
  EXPECT_EQ(done_, Reply::Nil());
}

TEST_F(CacheTaskTest, ASlotIsAskedOfItsShard) {
  Begin(MakeSlotCountTask(4, 16383));
  EXPECT_EQ(Asked(3).slot, 16383);
  Answer(3, Reply::Integer(2), 0);
  EXPECT_EQ(done_, Reply::Integer(2));
  Begin(MakeSlotKeysTask(4, 0, 2));
  Answer(0, Names({"a", "b", "c"}), kPlace);
  ASSERT_TRUE(done_);
  EXPECT_EQ(done_->items.size(), 2u);
}

TEST_F(CacheTaskTest, WhatIsNoPageIsNoAnswer) {
  for (const Reply& reply : {Reply::Ok(), Reply::Nil(), Reply::Array(), Names({"a", "b"})}) {
    Begin(MakeDbsizeTask(1));
    Answer(0, reply);
    ASSERT_TRUE(done_);
    EXPECT_TRUE(done_->is_error());
  }
}

TEST(CacheOps, QueriesComeBackAsTheyWere) {
  const CacheQuery query{.kind = Kind::kLine,
                         .cursor = kPlace,
                         .count = 7,
                         .name = Bytes(kNameBytesMax, 'k'),
                         .slot = 16383,
                         .home_tag = 32767,
                         .since = MonoTime{123456}};
  const Bytes encoded = query.Encode();
  EXPECT_TRUE(IsCacheQuery(encoded));
  EXPECT_EQ(DecodeCacheQuery(encoded), query);
  EXPECT_EQ(DecodeCacheQuery(CacheQuery().Encode()), CacheQuery());
  for (size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_EQ(DecodeCacheQuery(BytesView(encoded).substr(0, size)), std::nullopt) << size;
  }
  EXPECT_EQ(DecodeCacheQuery(encoded + "x"), std::nullopt);
  EXPECT_EQ(DecodeCacheQuery(CacheQuery{.name = Bytes(kNameBytesMax + 1, 'k')}.Encode()),
            std::nullopt);
  EXPECT_FALSE(IsCacheQuery(""));
}

TEST(CacheOps, APlaceOfScanIsANumberThatJavaScriptKeeps) {
  const uint64_t highest = ((uint64_t{1} << kCacheCursorBits) - 1) >> kCacheCursorZeros
                                                                   << kCacheCursorZeros;
  const ScanPlace last{1023, 32767, highest};
  EXPECT_EQ(UnpackScanPlace(PackScanPlace(last)), last);
  EXPECT_LT(PackScanPlace(last), uint64_t{1} << 53);
  EXPECT_EQ(PackScanPlace({}), 0u);
  EXPECT_EQ(PackScanPlace({.shard = 9, .home_tag = 3, .cursor = 0}), 9u);
  EXPECT_EQ(UnpackScanPlace(0), ScanPlace());
}

// What the lines of a table look like, through cursors that have come as SCAN's numbers.
TEST(CacheOps, NothingOfATablesCursorIsLost) {
  mesi::LineTable table;
  std::set<Bytes> all, met;
  for (int i = 0; i < 20'000; ++i) {
    all.insert(Format("k%d", i));
    table.Add(Format("k%d", i));
  }
  uint64_t cursor = 0;
  do {
    const uint64_t at = UnpackScanPlace(PackScanPlace({3, 4, cursor})).cursor;
    EXPECT_EQ(at, cursor);
    cursor = table.Scan(at, 1, [&](const mesi::Line* line) { met.emplace(line->key()); });
    if (met.size() % 7 == 0) table.Add(Format("new%lu", met.size()));
  } while (cursor != 0);
  for (const Bytes& key : all) ASSERT_TRUE(met.contains(key)) << key;
}

// Grammar, replies and errors: as Redis 7.0 says them.
class KeyspaceTest : public ::testing::Test {
 protected:
  Reply Run(const std::vector<Bytes>& words) { return host_.Run(words); }
  Reply Err(BytesView sentence) { return Reply::Error("ERR", sentence); }
  Bytes Say(const Bytes& line) { return host_.Say(line); }
  // What it asks first.
  CacheQuery Asks(const std::vector<Bytes>& words) {
    EXPECT_EQ(host_.host.Run(host_.client, words), Reply::Nothing());
    EXPECT_NE(host_.host.task, nullptr);
    Task::Next next;
    EXPECT_EQ(host_.host.task->Begin(&next), std::nullopt);
    return *DecodeCacheQuery(next.ask.at(0).op);
  }
  Reply Refused(const std::vector<Bytes>& words) { return host_.host.Run(host_.client, words); }

  KeysHost host_;
};

TEST_F(KeyspaceTest, CommandsAskWhatTheySay) {
  EXPECT_EQ(Asks({"DBSIZE"}), (CacheQuery{.kind = Kind::kCount}));
  EXPECT_EQ(Asks({"KEYS", "a*"}), (CacheQuery{.name = "a*"}));
  EXPECT_EQ(Asks({"FLUSHALL"}), (CacheQuery{.kind = Kind::kFlush}));
  EXPECT_EQ(Asks({"FLUSHDB", "async"}), (CacheQuery{.kind = Kind::kFlush}));
  EXPECT_EQ(Asks({"FLUSHALL", "SYNC"}), (CacheQuery{.kind = Kind::kFlush}));
  EXPECT_EQ(Asks({"RANDOMKEY"}).kind, Kind::kRandom);
  EXPECT_EQ(Asks({"SCAN", "0"}), (CacheQuery{.count = 10}));
  EXPECT_EQ(Asks({"scan", "0", "match", "b*", "count", "99", "type", "STRING"}),
            (CacheQuery{.count = 99, .name = "b*"}));
  EXPECT_EQ(Asks({"SCAN", "0", "COUNT", "999999999"}).count, kCachePageMax);
  EXPECT_EQ(Asks({"CLUSTER", "COUNTKEYSINSLOT", "7"}),
            (CacheQuery{.kind = Kind::kCount, .slot = 7}));
  EXPECT_EQ(Asks({"CLUSTER", "GETKEYSINSLOT", "7", "3"}), (CacheQuery{.slot = 7}));
  EXPECT_EQ(Asks({"DCACHE.STATE", "k"}), (CacheQuery{.kind = Kind::kLine, .name = "k"}));
}

TEST_F(KeyspaceTest, WhatIsWrongIsRefusedInRedisWords) {
  for (const char* flush : {"FLUSHALL", "FLUSHDB"}) {
    EXPECT_EQ(Refused({flush, "x"}), Err("syntax error"));
    EXPECT_EQ(Refused({flush, "ASYNC", "SYNC"}), Err("syntax error"));
  }
  EXPECT_EQ(Refused({"RANDOMKEY", "x"}), Err("wrong number of arguments for 'randomkey' command"));
  EXPECT_EQ(Refused({"SCAN", "0", "TYPE"}), Err("syntax error"));
  EXPECT_EQ(Refused({"SCAN", "0", "COUNT", "-1"}), Err("syntax error"));
  EXPECT_EQ(Refused({"SCAN", "x"}), Err("invalid cursor"));
  EXPECT_EQ(Refused({"OBJECT"}), Err("wrong number of arguments for 'object' command"));
  EXPECT_EQ(Refused({"OBJECT", "ENCODING"}),
            Err("wrong number of arguments for 'object|encoding' command"));
  EXPECT_EQ(Refused({"OBJECT", "foo", "a"}), Err("unknown subcommand 'foo'. Try OBJECT HELP."));
  EXPECT_TRUE(Refused({"DCACHE.STATE", Bytes(5000, 'x')}).text.starts_with("LIMIT"));
  EXPECT_TRUE(Refused({"DCACHE.STATS", "HOT"}).is_error());
  EXPECT_TRUE(Refused({"DCACHE.STATS", "COLD"}).is_error());
}

TEST_F(KeyspaceTest, TransactionsAreToldThatItIsNothingForThem) {
  for (const std::vector<Bytes>& words : std::vector<std::vector<Bytes>>{
           {"DBSIZE"}, {"KEYS", "*"}, {"SCAN", "0"}, {"FLUSHALL"}, {"RANDOMKEY"},
           {"CLUSTER", "COUNTKEYSINSLOT", "1"}, {"DCACHE.STATE", "k"}}) {
    EXPECT_TRUE(host_.host.Run(host_.client, words, true).is_error()) << words[0];
  }
}

TEST_F(KeyspaceTest, ObjectSaysWhatRedisWould) {
  EXPECT_EQ(Say("OBJECT ENCODING none"), "nil");
  EXPECT_EQ(Say("OBJECT FREQ none"), "nil");
  ASSERT_EQ(Run({"MSET", "number", "-17", "padded", "017", "short", Bytes(44, 's'), "long",
                 Bytes(45, 'l'), "large", "99999999999999999999", "shared", "9999", "own",
                 "10000"}),
            Reply::Ok());
  EXPECT_EQ(Say("OBJECT ENCODING number"), R"("int")");
  EXPECT_EQ(Say("OBJECT ENCODING padded"), R"("embstr")");
  EXPECT_EQ(Say("OBJECT ENCODING short"), R"("embstr")");
  EXPECT_EQ(Say("OBJECT ENCODING long"), R"("raw")");
  EXPECT_EQ(Say("OBJECT ENCODING large"), R"("embstr")");
  EXPECT_EQ(Say("OBJECT REFCOUNT shared"), ":2147483647");
  EXPECT_EQ(Say("OBJECT REFCOUNT own"), ":1");
  EXPECT_EQ(Say("OBJECT REFCOUNT number"), ":1");
  EXPECT_EQ(Say("OBJECT IDLETIME own"), ":0");
  EXPECT_EQ(Say("OBJECT FREQ own").substr(0, 44), "-ERR An LFU maxmemory policy is not selected");
}

TEST_F(KeyspaceTest, TypeAndMemoryUsageAreOfTheKeyOrOfTheLock) {
  EXPECT_EQ(Say("TYPE jobs"), "none");
  EXPECT_EQ(Say("MEMORY USAGE jobs"), "nil");
  ASSERT_EQ(host_.host.Run(host_.client, {"LOCK.ACQUIRE", "jobs", "me"}).kind,
            Reply::Kind::kInteger);
  EXPECT_EQ(Say("TYPE jobs"), "lock");
  const Bytes alone = Say("MEMORY USAGE jobs");
  ASSERT_EQ(host_.host.Run(host_.client, {"LOCK.ACQUIRE", "jobs", "you", "BLOCK", "0"}),
            Reply::Nothing());
  EXPECT_NE(Say("MEMORY USAGE jobs"), alone);  // Who waits takes memory too.
  ASSERT_EQ(Say("SET jobs 0123456789"), "OK");
  EXPECT_EQ(Say("TYPE jobs"), "string");
  EXPECT_EQ(Say("MEMORY USAGE jobs SAMPLES 0"), ":74");
  EXPECT_EQ(Run({"TYPE", ""}), Reply::Simple("none"));
  EXPECT_TRUE(Run({"TYPE", Bytes(5000, 'x')}).text.starts_with("LIMIT"));
  EXPECT_TRUE(Run({"OBJECT", "ENCODING", Bytes(5000, 'x')}).text.starts_with("LIMIT"));
  EXPECT_EQ(Run({"MEMORY", "USAGE", Bytes(5000, 'x')}), Reply::Nil());
  EXPECT_EQ(Say("MEMORY USAGE jobs SAMPLES"), "-ERR syntax error");
  EXPECT_EQ(Say("MEMORY USAGE jobs SAMPLES -1"), "-ERR syntax error");
  EXPECT_EQ(Say("MEMORY USAGE jobs foo 1"), "-ERR syntax error");
  EXPECT_EQ(Say("MEMORY USAGE jobs SAMPLES x"), "-ERR value is not an integer or out of range");
}

}  // namespace
}  // namespace lockstep
