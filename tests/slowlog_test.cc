// The slow log and SLOWLOG.
#include <gtest/gtest.h>

#include "commands/redact.h"
#include "tests/fake_host.h"

namespace lockstep {
namespace {

class SlowlogTest : public ::testing::Test {
 protected:
  Reply Run(const std::vector<Bytes>& words) { return host_.Run(me_, words); }
  void Add(const std::vector<Bytes>& words, int64_t us = 20'000) {
    const std::vector<BytesView> argv(words.begin(), words.end());
    host_.slowlog().Add(1'700'000'000, us, argv, "1.2.3.4:5", "me");
  }

  FakeHost host_;
  Client& me_ = host_.Connect(1);
};

TEST_F(SlowlogTest, AnEntryHasRedisSixFieldsNewestFirst) {
  Add({"get", "a"});
  Add({"get", "b"}, 30'000);
  EXPECT_EQ(host_.Wire(me_, {"SLOWLOG", "GET", "1"}),
            "*1\r\n*6\r\n:1\r\n:1700000000\r\n:30000\r\n*2\r\n$3\r\nget\r\n$1\r\nb\r\n"
            "$9\r\n1.2.3.4:5\r\n$2\r\nme\r\n");
  EXPECT_EQ(Run({"SLOWLOG", "LEN"}), Reply::Integer(2));
  EXPECT_EQ(Run({"SLOWLOG", "GET", "-1"}).items.size(), 2u);
  EXPECT_EQ(Run({"SLOWLOG", "GET", "0"}), Reply::Array());
  EXPECT_EQ(Run({"SLOWLOG", "RESET"}), Reply::Ok());
  EXPECT_EQ(Run({"SLOWLOG", "LEN"}), Reply::Integer(0));
  Add({"x"});
  EXPECT_EQ(host_.slowlog().entries()[0].id, 2);  // Ids go on.
}

TEST_F(SlowlogTest, WithoutACountTenAreShown) {
  for (int i = 0; i < 20; ++i) Add({"x"});
  EXPECT_EQ(Run({"SLOWLOG", "GET"}).items.size(), 10u);
  const Reply wrong = Reply::Error("ERR", "count should be greater than or equal to -1");
  EXPECT_EQ(Run({"SLOWLOG", "GET", "x"}), wrong);
  EXPECT_EQ(Run({"SLOWLOG", "GET", "-2"}), wrong);
}

TEST_F(SlowlogTest, LongCommandsAreKeptInPart) {
  std::vector<Bytes> words(100, "a");
  words[1] = Bytes(1000, 'b');
  Add(words);
  const Slowlog::Entry& entry = host_.slowlog().entries()[0];
  ASSERT_EQ(entry.args.size(), 32u);
  EXPECT_EQ(entry.args[1], Bytes(128, 'b') + "... (872 more bytes)");
  EXPECT_EQ(entry.args[31], "... (69 more arguments)");
  Add(std::vector<Bytes>(32, "a"));
  EXPECT_EQ(host_.slowlog().entries()[0].args[31], "a");
}

TEST_F(SlowlogTest, TheThresholdAndTheLengthAreSettings) {
  Slowlog& log = host_.slowlog();
  EXPECT_TRUE(log.Wants(10'000));
  EXPECT_FALSE(log.Wants(9'999));
  log.Configure(-1, 3);
  EXPECT_FALSE(log.Wants(1'000'000));
  log.Configure(0, 3);
  EXPECT_TRUE(log.Wants(0));
  for (int i = 0; i < 10; ++i) Add({std::to_string(i)});
  ASSERT_EQ(log.entries().size(), 3u);
  EXPECT_EQ(log.entries()[2].args[0], "7");
  log.Configure(0, 1);
  EXPECT_EQ(log.entries().size(), 1u);
  log.Configure(0, 0);
  Add({"x"});
  EXPECT_TRUE(log.entries().empty());
}

// What is shown of a call, joined by blanks.
Bytes Shown(const std::vector<Bytes>& words) {
  const std::vector<BytesView> argv(words.begin(), words.end());
  Bytes line;
  for (const BytesView word : Redacted(CommandTable::Get().Find(argv), argv)) {
    line += (line.empty() ? "" : " ") + Bytes(word);
  }
  return line;
}

TEST(RedactTest, SecretsAreShownToNobody) {
  EXPECT_EQ(Shown({"auth", "p"}), "auth (redacted)");
  EXPECT_EQ(Shown({"AUTH", "u", "p", "x"}), "AUTH (redacted) (redacted) (redacted)");
  EXPECT_EQ(Shown({"hello", "3", "auth", "u", "p", "setname", "n"}),
            "hello 3 auth (redacted) (redacted) setname n");
  EXPECT_EQ(Shown({"hello", "3", "AUTH"}), "hello 3 AUTH");
  EXPECT_EQ(Shown({"acl", "setuser", "u", ">p"}), "acl setuser (redacted) (redacted)");
  EXPECT_EQ(Shown({"config", "set", "maxclients", "5", "RequirePass", "p"}),
            "config set maxclients 5 RequirePass (redacted)");
  EXPECT_EQ(Shown({"CONFIG", "SET", "requirepass"}), "CONFIG SET requirepass");
  EXPECT_EQ(Shown({"config", "get", "requirepass"}), "config get requirepass");
  EXPECT_EQ(Shown({"nosuch", "x"}), "nosuch x");
}

}  // namespace
}  // namespace lockstep
