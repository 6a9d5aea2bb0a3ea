// Publish and subscribe: the table of listeners, and the commands on it.
#include <gtest/gtest.h>

#include "tests/fake_host.h"

namespace lockstep {
namespace {

class PubSubTest : public ::testing::Test {
 protected:
  Reply Run(Client& client, const std::vector<Bytes>& words) { return host_.Run(client, words); }
  Bytes Wire(const std::vector<Bytes>& words) { return host_.Wire(me_, words); }

  FakeHost host_;
  Client& me_ = host_.Connect(1);
  Client& you_ = host_.Connect(2);
};

TEST_F(PubSubTest, SubscriptionsAreConfirmedOneByOneAndCounted) {
  EXPECT_EQ(Wire({"SUBSCRIBE", "a", "b", "a"}),
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
  EXPECT_EQ(Wire({"PSUBSCRIBE", "n*"}), "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:3\r\n");
  EXPECT_EQ(Wire({"SSUBSCRIBE", "s"}), "*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n");
  EXPECT_EQ(Wire({"UNSUBSCRIBE", "a"}), "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n");
  EXPECT_EQ(Wire({"UNSUBSCRIBE"}), "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n");
  EXPECT_EQ(Wire({"UNSUBSCRIBE"}), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n");
  EXPECT_EQ(Wire({"SUNSUBSCRIBE"}), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n");
}

TEST_F(PubSubTest, AMessageThatWouldNotFitABusFrameIsRefused) {
  const Bytes largest(size_t{32} * 1024 * 1024, 'm');
  EXPECT_EQ(Run(me_, {"PUBLISH", "a", largest}), Reply::Integer(0));
  const Reply refused = Reply::Error(
      "LIMIT", "a channel has at most 1024 bytes and a message at most 32 MB; nothing was sent");
  EXPECT_EQ(Run(me_, {"PUBLISH", "a", largest + "m"}), refused);
  EXPECT_EQ(Run(me_, {"SPUBLISH", "a", largest + "m"}), refused);
  EXPECT_EQ(Run(me_, {"PUBLISH", Bytes(1025, 'c'), "m"}), refused);
  EXPECT_EQ(host_.stats().published, 1u);
}

TEST_F(PubSubTest, NamesAreBoundedInLengthAndNumberAndAllAreTakenOrNone) {
  const Bytes too_long(1025, 'c');
  for (const char* command : {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"}) {
    EXPECT_EQ(Run(me_, {command, "fits", too_long}),
              Reply::Error("LIMIT", "a channel or a pattern has at most 1024 bytes; nothing was "
                                    "subscribed to"));
  }
  EXPECT_EQ(me_.subscriptions(), 0u);

  std::vector<Bytes> many{"SUBSCRIBE"};
  for (int i = 0; i < 65'535; ++i) many.push_back(std::to_string(i));
  Run(me_, many);
  EXPECT_EQ(Run(me_, {"PSUBSCRIBE", "x"}), Reply::Nothing());
  EXPECT_EQ(me_.subscriptions(), 65'536u);
  EXPECT_EQ(Run(me_, {"SUBSCRIBE", "7", "y"}),
            Reply::Error("LIMIT", "a connection has at most 65536 subscriptions; nothing was "
                                  "subscribed to, use more connections or patterns"));
  EXPECT_EQ(Run(me_, {"SUBSCRIBE", "7"}), Reply::Nothing());  // It has that one.
}

TEST_F(PubSubTest, InATransactionTheConfirmationIsItsItemOfTheReply) {
  const auto confirmed = [](const char* kind, const char* name, int64_t count) {
    return Reply::Push({Reply::Bulk(kind), Reply::Bulk(name), Reply::Integer(count)});
  };
  EXPECT_EQ(host_.Run(me_, {"SUBSCRIBE", "a"}, /*in_exec=*/true), confirmed("subscribe", "a", 1));
  EXPECT_EQ(host_.Run(me_, {"SUBSCRIBE", "b", "c"}, true),
            Reply::Array({confirmed("subscribe", "b", 2), confirmed("subscribe", "c", 3)}));
  EXPECT_EQ(host_.Run(me_, {"UNSUBSCRIBE", "a"}, true), confirmed("unsubscribe", "a", 2));
  EXPECT_EQ(host_.Run(me_, {"SSUBSCRIBE", "a"}, true),
            Reply::Error("ERR", "SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
  EXPECT_TRUE(host_.pushed.empty());
}

TEST_F(PubSubTest, InResp3ConfirmationsAndMessagesArePushes) {
  me_.protocol = 3;
  EXPECT_EQ(Wire({"SUBSCRIBE", "a"}), ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  EXPECT_EQ(Wire({"PUBLISH", "a", "hi"}), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n:1\r\n");
  EXPECT_EQ(Wire({"UNSUBSCRIBE"}), ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n");
  EXPECT_EQ(Wire({"UNSUBSCRIBE"}), ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n");
}

TEST_F(PubSubTest, OneWhoListensTwiceHearsTwice) {
  Run(me_, {"SUBSCRIBE", "news"});
  Run(me_, {"PSUBSCRIBE", "n*", "*s"});
  host_.pushed.clear();
  EXPECT_EQ(Run(you_, {"PUBLISH", "news", "x"}), Reply::Integer(3));
  EXPECT_EQ(host_.pushed.size(), 3u);
  EXPECT_EQ(host_.pushed[0].second.items[0], Reply::Bulk("message"));
  EXPECT_EQ(host_.pushed[1].second.items[0], Reply::Bulk("pmessage"));
  EXPECT_EQ(Run(you_, {"PUBLISH", "other", "x"}), Reply::Integer(0));
  EXPECT_EQ(host_.stats().published, 2u);
}

TEST_F(PubSubTest, ShardChannelsAreANamespaceOfTheirOwn) {
  Run(me_, {"SUBSCRIBE", "a"});
  Run(you_, {"SSUBSCRIBE", "a"});
  host_.pushed.clear();
  EXPECT_EQ(Run(me_, {"SPUBLISH", "a", "x"}), Reply::Integer(1));
  EXPECT_EQ(host_.pushed[0].first, you_.id);
  EXPECT_EQ(Run(me_, {"PUBSUB", "SHARDCHANNELS"}), Reply::Array({Reply::Bulk("a")}));
  EXPECT_EQ(
      Run(me_, {"PUBSUB", "SHARDNUMSUB", "a", "b"}),
      Reply::Array({Reply::Bulk("a"), Reply::Integer(1), Reply::Bulk("b"), Reply::Integer(0)}));
}

TEST_F(PubSubTest, PubsubTellsWhoListens) {
  Run(me_, {"SUBSCRIBE", "a1", "b"});
  Run(you_, {"SUBSCRIBE", "a1"});
  Run(you_, {"PSUBSCRIBE", "x*"});
  EXPECT_EQ(Run(me_, {"PUBSUB", "CHANNELS"}), Reply::Array({Reply::Bulk("a1"), Reply::Bulk("b")}));
  EXPECT_EQ(Run(me_, {"PUBSUB", "CHANNELS", "a*"}), Reply::Array({Reply::Bulk("a1")}));
  EXPECT_EQ(Run(me_, {"PUBSUB", "CHANNELS", ""}), Reply::Array());
  EXPECT_EQ(Run(me_, {"PUBSUB", "NUMSUB", "a1"}),
            Reply::Array({Reply::Bulk("a1"), Reply::Integer(2)}));
  EXPECT_EQ(Run(me_, {"PUBSUB", "NUMPAT"}), Reply::Integer(1));
  EXPECT_EQ(Run(me_, {"PUBSUB", "CHANNELS", "a", "b"}),
            Reply::Error("ERR",
                         "unknown subcommand or wrong number of arguments for 'CHANNELS'. Try "
                         "PUBSUB HELP."));
}

TEST_F(PubSubTest, WhoLeavesIsForgotten) {
  Run(me_, {"SUBSCRIBE", "a", "b"});
  Run(me_, {"PSUBSCRIBE", "c*"});
  Run(me_, {"SSUBSCRIBE", "d"});
  EXPECT_TRUE(host_.pubsub().anyone());
  host_.pubsub().Leave(&me_);
  EXPECT_FALSE(host_.pubsub().anyone());
  EXPECT_EQ(me_.subscriptions(), 0u);
  EXPECT_EQ(host_.pubsub().Publish("a", [](ClientId, const Bytes*) {}), 0u);
}

TEST_F(PubSubTest, SubscribingTwiceChangesNothing) {
  PubSub& table = host_.pubsub();
  EXPECT_TRUE(table.Subscribe(&me_, "a"));
  EXPECT_FALSE(table.Subscribe(&me_, "a"));
  EXPECT_TRUE(table.Unsubscribe(&me_, "a"));
  EXPECT_FALSE(table.Unsubscribe(&me_, "a"));
  EXPECT_FALSE(table.PatternUnsubscribe(&me_, "a"));
  EXPECT_EQ(table.Subscribers("a", false), 0u);
}

TEST_F(PubSubTest, EventsAreMadeOnlyIfSomebodyMayListen) {
  PubSub& table = host_.pubsub();
  EXPECT_FALSE(table.AnyoneUnder("__lock__:"));
  table.Subscribe(&me_, "__lock__");
  table.Subscribe(&me_, "zebra");
  EXPECT_FALSE(table.AnyoneUnder("__lock__:"));
  table.Subscribe(&me_, "__lock__:jobs");
  EXPECT_TRUE(table.AnyoneUnder("__lock__:"));
  table.Unsubscribe(&me_, "__lock__:jobs");
  table.PatternSubscribe(&me_, "anything*");  // A pattern might match.
  EXPECT_TRUE(table.AnyoneUnder("__lock__:"));
}

TEST_F(PubSubTest, ChannelsAreBinarySafe) {
  const Bytes channel("\0\xff\r\n", 4);
  Run(me_, {"SUBSCRIBE", channel});
  EXPECT_EQ(Run(you_, {"PUBLISH", channel, "x"}), Reply::Integer(1));
}

}  // namespace
}  // namespace lockstep
