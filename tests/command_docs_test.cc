// COMMAND and its subcommands: what clients route by and redis-cli shows.
#include <gtest/gtest.h>

#include "commands/command_docs.h"
#include "src/base/limits.h"
#include "tests/fake_host.h"

namespace lockstep {
namespace {

class CommandDocsTest : public ::testing::Test {
 protected:
  Reply Run(const std::vector<Bytes>& words) { return host_.Run(client_, words); }
  Bytes Wire(const std::vector<Bytes>& words) { return host_.Wire(client_, words); }

  FakeHost host_;
  Client& client_ = host_.Connect(1);
};

size_t DepthOf(const Reply& reply) {
  size_t deepest = 0;
  for (const Reply& item : reply.items) deepest = std::max(deepest, DepthOf(item));
  const bool aggregate = !reply.items.empty() || reply.kind >= Reply::Kind::kArray;
  return deepest + (aggregate ? 1 : 0);
}

const Reply* Get(const Reply& map, BytesView key) {
  for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
    if (map.items[i].text == key) return &map.items[i + 1];
  }
  return nullptr;
}

TEST_F(CommandDocsTest, NothingNestsDeeperThanHiredisReads) {
  EXPECT_LE(DepthOf(Run({"COMMAND"})), kReplyDepthMax);
  for (const CommandSpec* spec : CommandTable::Get().all()) {
    EXPECT_LE(DepthOf(Run({"COMMAND", "DOCS", spec->name})), kReplyDepthMax) << spec->name;
  }
  EXPECT_LE(DepthOf(Run({"CLUSTER", "STATUS"})), kReplyDepthMax);
  EXPECT_LE(DepthOf(Run({"CLUSTER", "SHARDS"})), kReplyDepthMax);
}

TEST_F(CommandDocsTest, EveryCommandIsInItsOwnList) {
  const Reply infos = Run({"COMMAND"});
  const Reply docs = Run({"COMMAND", "DOCS"});
  const size_t count = CommandTable::Get().all().size();
  EXPECT_EQ(infos.items.size(), count);
  EXPECT_EQ(docs.items.size(), 2 * count);
  EXPECT_EQ(Run({"COMMAND", "COUNT"}), Reply::Integer(static_cast<int64_t>(count)));
  EXPECT_EQ(Run({"COMMAND", "LIST"}).items.size(), count);
  for (const Reply& info : infos.items) {
    ASSERT_EQ(info.items.size(), 10u);
    EXPECT_NE(Get(docs, info.items[0].text), nullptr) << info.items[0].text;
  }
}

TEST_F(CommandDocsTest, InfoIsRedisOwnForACommandOfRedis) {
  EXPECT_EQ(
      Wire({"COMMAND", "INFO", "config|GET", "nosuch"}),
      "*2\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n*4\r\n+admin\r\n+noscript\r\n+loading\r\n"
      "+stale\r\n:0\r\n:0\r\n:0\r\n*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n*0\r\n*0\r\n*0\r\n"
      "$-1\r\n");
}

TEST_F(CommandDocsTest, InfoUsesSetsAndMapsInResp3) {
  client_.protocol = 3;
  EXPECT_EQ(
      Wire({"COMMAND", "INFO", "type"}),
      "*1\r\n*10\r\n$4\r\ntype\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
      "~3\r\n+@keyspace\r\n+@read\r\n+@fast\r\n~0\r\n"
      "~1\r\n%3\r\n$5\r\nflags\r\n~1\r\n+RO\r\n"
      "$12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex"
      "\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n%3\r\n"
      "$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n");
}

TEST_F(CommandDocsTest, DocsAreRedisOwnForACommandOfRedis) {
  EXPECT_EQ(
      Wire({"COMMAND", "DOCS", "PING", "nosuch"}),
      "*2\r\n$4\r\nping\r\n*10\r\n$7\r\nsummary\r\n$15\r\nPing the server\r\n$5\r\nsince\r\n"
      "$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n"
      "$9\r\narguments\r\n*1\r\n*6\r\n$4\r\nname\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring"
      "\r\n$5\r\nflags\r\n*1\r\n+optional\r\n");
  EXPECT_EQ(Wire({"COMMAND", "DOCS", "nosuch"}), "*0\r\n");
}

TEST_F(CommandDocsTest, SubcommandsAreDocumentedUnderTheirContainer) {
  const Reply docs = Run({"COMMAND", "DOCS", "client"});
  const Reply* client = Get(docs, "client");
  ASSERT_NE(client, nullptr);
  const Reply* subcommands = Get(*client, "subcommands");
  ASSERT_NE(subcommands, nullptr);
  const Reply* kill = Get(*subcommands, "client|kill");
  ASSERT_NE(kill, nullptr);
  EXPECT_EQ(Get(*kill, "group")->text, "connection");
}

TEST_F(CommandDocsTest, ListFiltersByPatternCategoryAndModule) {
  EXPECT_EQ(Run({"COMMAND", "LIST", "FILTERBY", "PATTERN", "config|g*"}),
            Reply::Array({Reply::Bulk("config|get")}));
  EXPECT_EQ(Run({"COMMAND", "LIST", "FILTERBY", "ACLCAT", "transaction"}),
            Reply::Array({Reply::Bulk("discard"), Reply::Bulk("exec"), Reply::Bulk("multi"),
                          Reply::Bulk("unwatch"), Reply::Bulk("watch")}));
  EXPECT_EQ(Run({"COMMAND", "LIST", "FILTERBY", "ACLCAT", "nosuch"}), Reply::Array());
  EXPECT_EQ(Run({"COMMAND", "LIST", "FILTERBY", "MODULE", "x"}), Reply::Array());
  for (const std::vector<Bytes>& words :
       {std::vector<Bytes>{"COMMAND", "LIST", "FILTERBY", "foo", "x"},
        std::vector<Bytes>{"COMMAND", "LIST", "foo"},
        std::vector<Bytes>{"COMMAND", "LIST", "FILTERBY", "PATTERN"}}) {
    EXPECT_EQ(Run(words), Reply::Error("ERR", "syntax error"));
  }
}

TEST_F(CommandDocsTest, ManyTimesTheSameIsRefused) {
  const Reply refused = Reply::Error("LIMIT", "the reply would take more than the 16 MB that one "
                                              "may; ask for fewer commands at once");
  for (const char* sub : {"INFO", "DOCS"}) {
    std::vector<Bytes> words(50'000, "LOCK.ACQUIRE");
    words[0] = "COMMAND";
    words[1] = sub;
    EXPECT_EQ(Run(words), refused);
  }
}

TEST_F(CommandDocsTest, GetkeysFindsKeysAndRefusesInRedisWords) {
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "memory", "usage", "x"}), Reply::Array({Reply::Bulk("x")}));
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "type", "x"}), Reply::Array({Reply::Bulk("x")}));
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "nosuch", "x"}),
            Reply::Error("ERR", "Invalid command specified"));
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "client", "foo"}),
            Reply::Error("ERR", "Invalid command specified"));
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "ping", "x"}),
            Reply::Error("ERR", "The command has no key arguments"));
  // A shard channel is routed like a key but is none.
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "spublish", "x", "y"}),
            Reply::Error("ERR", "The command has no key arguments"));
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "type", "x", "y"}),
            Reply::Error("ERR", "Invalid number of arguments specified for command"));
  EXPECT_EQ(Wire({"COMMAND", "GETKEYSANDFLAGS", "type", "x"}),
            "*1\r\n*2\r\n$1\r\nx\r\n*1\r\n+RO\r\n");
}

TEST_F(CommandDocsTest, TheKeysOfAMultipleAcquireAreCounted) {
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "lock.macquire", "2", "a", "b", "me"}),
            Reply::Array({Reply::Bulk("a"), Reply::Bulk("b")}));
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "lock.macquire", "9", "a", "b", "me"}),
            Reply::Error("ERR", "Invalid arguments specified for command"));
  EXPECT_EQ(Run({"COMMAND", "GETKEYS", "lock.acquire", "a", "me", "TTL", "5"}),
            Reply::Array({Reply::Bulk("a")}));
}

TEST_F(CommandDocsTest, LocksHaveAHelpGroupAndACategoryOfTheirOwn) {
  const Reply docs = Run({"COMMAND", "DOCS", "lock.acquire"});
  const Reply* acquire = Get(docs, "lock.acquire");
  ASSERT_NE(acquire, nullptr);
  EXPECT_EQ(Get(*acquire, "group")->text, "lock");
  const Reply names = Run({"COMMAND", "LIST", "FILTERBY", "ACLCAT", "lock"});
  EXPECT_GE(names.items.size(), 11u);
  for (const Reply& name : names.items) {
    EXPECT_EQ(name.text.substr(0, 5), "lock.");
    const Reply info = Run({"COMMAND", "INFO", name.text});
    EXPECT_EQ(info.items[0].items[0].text, name.text);
  }
}

TEST_F(CommandDocsTest, AnUnknownSubcommandIsNotTakenForCommandItself) {
  EXPECT_EQ(Run({"COMMAND", "foo"}),
            Reply::Error("ERR", "unknown subcommand 'foo'. Try COMMAND HELP."));
}

TEST_F(CommandDocsTest, EveryContainerExplainsItsSubcommands) {
  for (const CommandSpec* spec : CommandTable::Get().all()) {
    if (spec->subcommands.empty()) continue;
    const Reply help = Run({spec->name, "HELP"});
    ASSERT_GE(help.items.size(), 3u) << spec->name;
    EXPECT_EQ(help.items[0].text,
              Bytes(spec->name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    EXPECT_EQ(help.items.back().text, "    Prints this help.");
  }
}

}  // namespace
}  // namespace lockstep
