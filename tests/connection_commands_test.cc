// PING to SELECT, and CLIENT: Redis 7.0's replies to the byte.
#include <gtest/gtest.h>

#include "commands/client_command.h"
#include "tests/fake_host.h"

namespace lockstep {
namespace {

class ConnectionTest : public ::testing::Test {
 protected:
  Reply Run(const std::vector<Bytes>& words) { return host_.Run(me_, words); }
  Bytes Wire(const std::vector<Bytes>& words) { return host_.Wire(me_, words); }
  Reply Err(BytesView sentence) { return Reply::Error("ERR", sentence); }
  Reply WrongPassword() {
    return Reply::Error("WRONGPASS", "invalid username-password pair or user is disabled.");
  }

  FakeHost host_;
  Client& me_ = host_.Connect(1);
};

TEST_F(ConnectionTest, PingAnswersItsMessageAndEchoTheBytesAsTheyAre) {
  EXPECT_EQ(Wire({"PING"}), "+PONG\r\n");
  EXPECT_EQ(Wire({"PING", "hi"}), "$2\r\nhi\r\n");
  EXPECT_EQ(Run({"PING", "a", "b"}), Err("wrong number of arguments for 'ping' command"));
  const Bytes binary("\0\r\n\xff", 4);
  EXPECT_EQ(Wire({"ECHO", binary}), "$4\r\n" + binary + "\r\n");
}

TEST_F(ConnectionTest, ASubscriberIsPingedInTheShapeOfAMessage) {
  Wire({"SUBSCRIBE", "news"});
  EXPECT_EQ(Wire({"PING"}), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_EQ(Wire({"PING", "x"}), "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
  me_.protocol = 3;
  EXPECT_EQ(Wire({"PING"}), "+PONG\r\n");
}

TEST_F(ConnectionTest, HelloGreetsInTheProtocolItChooses) {
  const Bytes start =
      "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:";
  const Bytes end =
      "\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
      "$7\r\nmodules\r\n*0\r\n";
  EXPECT_EQ(Wire({"HELLO"}), "*14\r\n" + start + "2" + end);
  EXPECT_EQ(Wire({"HELLO", "3", "SETNAME", "me"}), "%7\r\n" + start + "3" + end);
  EXPECT_EQ(me_.name, "me");
  EXPECT_EQ(Wire({"HELLO"}), "%7\r\n" + start + "3" + end);
  EXPECT_EQ(Wire({"HELLO", "2"}), "*14\r\n" + start + "2" + end);
}

TEST_F(ConnectionTest, HelloRefusesInRedisWords) {
  EXPECT_EQ(Run({"HELLO", "x"}), Err("Protocol version is not an integer or out of range"));
  EXPECT_EQ(Run({"HELLO", "4"}), Reply::Error("NOPROTO", "unsupported protocol version"));
  EXPECT_EQ(Run({"HELLO", "3", "foo"}), Err("Syntax error in HELLO option 'foo'"));
  EXPECT_EQ(Run({"HELLO", "3", "AUTH", "u"}), Err("Syntax error in HELLO option 'AUTH'"));
  EXPECT_EQ(Run({"HELLO", "3", "SETNAME", "a b"}),
            Err("Client names cannot contain spaces, newlines or special characters."));
  EXPECT_EQ(me_.protocol, 2);
}

TEST_F(ConnectionTest, HelloAsksForAPasswordWhereOneIsNeededAndTakesIt) {
  host_.password = "sesame";
  Client& client = host_.Connect(2);
  const Reply refused = host_.Run(client, {"HELLO", "3"});
  EXPECT_EQ(refused.text.substr(0, 60),
            "NOAUTH HELLO must be called with the client already authenti");
  EXPECT_EQ(client.protocol, 2);
  EXPECT_EQ(host_.Run(client, {"HELLO", "3", "AUTH", "default", "x"}), WrongPassword());
  EXPECT_FALSE(client.authenticated);
  EXPECT_EQ(host_.Run(client, {"HELLO", "3", "AUTH", "default", "sesame"}).kind, Reply::Kind::kMap);
  EXPECT_TRUE(client.authenticated);
  EXPECT_EQ(client.protocol, 3);
}

TEST_F(ConnectionTest, AuthNeedsTheRightUserAndPassword) {
  EXPECT_EQ(
      Run({"AUTH", "x"}),
      Err("AUTH <password> called without any password configured for the default user. Are you "
          "sure your configuration is correct?"));
  EXPECT_EQ(Run({"AUTH", "default", "anything"}), Reply::Ok());
  EXPECT_EQ(Run({"AUTH", "alice", "x"}), WrongPassword());
  EXPECT_EQ(Run({"AUTH", "a", "b", "c"}), Err("syntax error"));
  host_.password = "sesame";
  Client& client = host_.Connect(2);
  EXPECT_EQ(host_.Run(client, {"AUTH", "wrong"}), WrongPassword());
  EXPECT_EQ(host_.Run(client, {"AUTH", "alice", "sesame"}), WrongPassword());
  EXPECT_FALSE(client.authenticated);
  EXPECT_EQ(host_.Run(client, {"AUTH", "sesame"}), Reply::Ok());
  EXPECT_TRUE(client.authenticated);
  EXPECT_EQ(host_.stats().auth_denied, 3u);
}

TEST_F(ConnectionTest, QuitClosesAfterItsReplyAndResetStartsAnew) {
  EXPECT_EQ(Wire({"QUIT"}), "+OK\r\n");
  EXPECT_TRUE(me_.close_after_reply);
  Client& other = host_.Connect(2);
  host_.Run(other, {"HELLO", "3", "SETNAME", "x"});
  host_.Run(other, {"SUBSCRIBE", "a"});
  EXPECT_EQ(host_.Wire(other, {"RESET"}), "+RESET\r\n");
  EXPECT_EQ(other.protocol, 2);
  EXPECT_EQ(other.name, "");
  EXPECT_EQ(host_.pubsub().Subscribers("a", false), 0u);
}

TEST_F(ConnectionTest, ThereIsOneDatabase) {
  EXPECT_EQ(Run({"SELECT", "0"}), Reply::Ok());
  EXPECT_EQ(Run({"SELECT", "1"}), Err("SELECT is not allowed in cluster mode"));
  EXPECT_EQ(Run({"SELECT", "x"}), Err("value is not an integer or out of range"));
}

TEST_F(ConnectionTest, AClientKnowsItsIdAndName) {
  EXPECT_EQ(Run({"CLIENT", "ID"}), Reply::Integer(1));
  EXPECT_EQ(Run({"CLIENT", "GETNAME"}), Reply::Nil());
  EXPECT_EQ(Run({"CLIENT", "SETNAME", "worker-1"}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "GETNAME"}), Reply::Bulk("worker-1"));
  for (const char* bad : {"a b", "a\nb", "a\x7f", "a\xc3\xa9"}) {
    EXPECT_EQ(Run({"CLIENT", "SETNAME", bad}),
              Err("Client names cannot contain spaces, newlines or special characters."));
  }
  EXPECT_EQ(Run({"CLIENT", "GETNAME"}), Reply::Bulk("worker-1"));
  EXPECT_EQ(Run({"CLIENT", "SETNAME", ""}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "GETNAME"}), Reply::Nil());
}

TEST_F(ConnectionTest, LibrariesIntroduceThemselves) {
  EXPECT_EQ(Run({"CLIENT", "SETINFO", "LIB-NAME", "redis-py(django_v5.0)"}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "SETINFO", "lib-ver", "5.0.1"}), Reply::Ok());
  EXPECT_EQ(me_.library_name, "redis-py(django_v5.0)");
  EXPECT_EQ(me_.library_version, "5.0.1");
  EXPECT_EQ(Run({"CLIENT", "SETINFO", "LIB-NAME", "a b"}),
            Err("lib-name cannot contain spaces, newlines or special characters."));
  EXPECT_EQ(Run({"CLIENT", "SETINFO", "foo", "x"}), Err("Unrecognized option 'foo'"));
}

TEST_F(ConnectionTest, AClientsLineHasRedisFieldsAndThenOurs) {
  me_.last_command = "client|list";
  me_.input_buffered = 13;
  me_.input_capacity = 20'474;
  host_.now = host_.now + 5 * kUsPerSecond;
  const Bytes line = ClientLine(me_, host_.now);
  const Bytes total = std::to_string(sizeof(Client) + 20'474);
  EXPECT_EQ(
      line,
      "id=1 addr=127.0.0.1:50001 laddr=127.0.0.1:7379 fd=8 name= age=5 idle=5 flags=N db=0 sub=0 "
      "psub=0 ssub=0 multi=-1 qbuf=13 qbuf-free=20461 argv-mem=0 multi-mem=0 obl=0 oll=0 omem=0 "
      "tot-mem=" +
          total +
          " events=r cmd=client|list user=default redir=-1 resp=2 lib-name= "
          "lib-ver= waiting=");
  EXPECT_EQ(Run({"CLIENT", "INFO"}), Reply::Verbatim(line + "\n"));
}

TEST_F(ConnectionTest, FlagsAndWhatAClientWaitsForAreOneWordEach) {
  me_.monitor = me_.readonly = me_.no_evict = me_.no_touch = me_.close_after_reply = true;
  me_.tracking = me_.tracking_options.bcast = true;
  me_.queued = 3;
  me_.waiting_for = "lock:a b\n\xff";
  Run({"SUBSCRIBE", "x"});
  const Bytes line = ClientLine(me_, host_.now);
  EXPECT_NE(line.find(" flags=OPxbtBcreT "), Bytes::npos) << line;
  EXPECT_NE(line.find(" sub=1 psub=0 ssub=0 multi=3 "), Bytes::npos) << line;
  EXPECT_EQ(line.substr(line.rfind(' ')), " waiting=lock:a\\x20b\\n\\xff");
}

TEST_F(ConnectionTest, ClientsAreListedByTypeAndId) {
  Client& subscriber = host_.Connect(2);
  host_.Run(subscriber, {"SUBSCRIBE", "x"});
  const auto ids = [this](const std::vector<Bytes>& words) {
    Bytes found;
    const Bytes text = Run(words).text;
    for (size_t at = text.find("id="); at != Bytes::npos; at = text.find("\nid=", at)) {
      at += text[at] == '\n' ? 1 : 0;
      found += text[at + 3];
    }
    return found;
  };
  EXPECT_EQ(ids({"CLIENT", "LIST"}), "12");
  EXPECT_EQ(ids({"CLIENT", "LIST", "TYPE", "pubsub"}), "2");
  EXPECT_EQ(ids({"CLIENT", "LIST", "TYPE", "NORMAL"}), "1");
  EXPECT_EQ(ids({"CLIENT", "LIST", "TYPE", "replica"}), "");
  EXPECT_EQ(ids({"CLIENT", "LIST", "ID", "2", "9", "1"}), "21");
  EXPECT_EQ(Run({"CLIENT", "LIST", "TYPE", "foo"}), Err("Unknown client type 'foo'"));
  EXPECT_EQ(Run({"CLIENT", "LIST", "TYPE"}), Err("syntax error"));
  EXPECT_EQ(Run({"CLIENT", "LIST", "ID", "1", "foo"}), Err("Invalid client ID"));
}

TEST_F(ConnectionTest, KillTakesAnAddressOrFilters) {
  host_.Connect(2);
  host_.Run(host_.Connect(3), {"SUBSCRIBE", "x"});
  EXPECT_EQ(Run({"CLIENT", "KILL", "127.0.0.1:50002"}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "KILL", "1.2.3.4:5"}), Err("No such client"));
  EXPECT_EQ(Run({"CLIENT", "KILL", ""}), Err("No such client"));
  EXPECT_EQ(Run({"CLIENT", "KILL", "TYPE", "pubsub"}), Reply::Integer(1));
  EXPECT_EQ(Run({"CLIENT", "KILL", "ID", "1"}), Reply::Integer(0));  // Itself: skipped.
  EXPECT_EQ(host_.killed, (std::vector<ClientId>{{2}, {3}}));
  EXPECT_EQ(Run({"CLIENT", "KILL", "USER", "default", "LADDR", "127.0.0.1:7379"}),
            Reply::Integer(2));
  EXPECT_TRUE(host_.closed_after_replies.empty());
}

TEST_F(ConnectionTest, AnAddressIsAFilterAndOneselfIsSkippedUnlessAskedFor) {
  host_.Connect(2);
  EXPECT_EQ(Run({"CLIENT", "KILL", "ADDR", "127.0.0.1:50001", "SKIPME", "yes"}),
            Reply::Integer(0));
  EXPECT_EQ(Run({"CLIENT", "KILL", "ADDR", "127.0.0.1:50002", "SKIPME", "yes"}),
            Reply::Integer(1));
  EXPECT_EQ(host_.killed, std::vector<ClientId>{{2}});
}

TEST_F(ConnectionTest, WhoKillsItselfGetsTheReplyFirst) {
  EXPECT_EQ(Run({"CLIENT", "KILL", "ID", "1", "SKIPME", "no"}), Reply::Integer(1));
  // Its own address, in the old form, is not skipped.
  EXPECT_EQ(Run({"CLIENT", "KILL", "127.0.0.1:50001"}), Reply::Ok());
  EXPECT_EQ(host_.closed_after_replies, (std::vector<ClientId>{{1}, {1}}));
  EXPECT_TRUE(host_.killed.empty());
}

TEST_F(ConnectionTest, AZeroByteEndsWhatAnErrorShows) {
  const Bytes word{'a', '\0', 'b'};
  EXPECT_EQ(Run({"HELLO", "3", word}), Err("Syntax error in HELLO option 'a'"));
  EXPECT_EQ(Run({"CLIENT", "LIST", "TYPE", word}), Err("Unknown client type 'a'"));
  EXPECT_EQ(Run({"CLIENT", "KILL", "USER", word}), Err("No such user 'a'"));
}

TEST_F(ConnectionTest, WhatAClientCallsItselfIsBounded) {
  const auto is_limit = [](const Reply& reply) { return reply.text.starts_with("LIMIT "); };
  const Bytes longest(kNameBytesMax, 'x');
  EXPECT_EQ(Run({"CLIENT", "SETNAME", longest}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "SETNAME", longest + "x"}),
            Reply::Error("LIMIT", "client name has 1025 bytes, at most 1024 are allowed; nothing "
                                  "was changed"));
  EXPECT_TRUE(is_limit(Run({"HELLO", "3", "SETNAME", longest + "x"})));
  EXPECT_TRUE(is_limit(Run({"CLIENT", "SETINFO", "LIB-NAME", longest + "x"})));
  EXPECT_TRUE(is_limit(Run({"CLIENT", "SETINFO", "lib-ver", longest + "x"})));
  EXPECT_EQ(me_.name, longest);
  EXPECT_EQ(me_.library_name, "");
  EXPECT_EQ(me_.library_version, "");
}

TEST_F(ConnectionTest, ALongListOfTheSameClientIsRefused) {
  std::vector<Bytes> words{"CLIENT", "LIST", "ID"};
  words.resize(100'000, "1");
  words[2] = "ID";
  EXPECT_TRUE(Run(words).text.starts_with("LIMIT "));
}

TEST_F(ConnectionTest, PrefixesAreBoundedInNumberAndLength) {
  std::vector<Bytes> words{"CLIENT", "TRACKING", "on", "BCAST"};
  for (int i = 0; i < 1024; ++i) {
    words.push_back("PREFIX");
    words.push_back(Format("%04d", i));
  }
  EXPECT_EQ(Run(words), Reply::Ok());
  const Reply refused = Reply::Error(
      "LIMIT", "a connection tracks at most 1024 prefixes of at most 1024 bytes; nothing was "
               "changed");
  EXPECT_EQ(Run({"CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "x"}), refused);
  EXPECT_EQ(me_.tracking_options.prefixes.size(), 1024u);
  Run({"CLIENT", "TRACKING", "off"});
  EXPECT_EQ(Run({"CLIENT", "TRACKING", "on", "BCAST", "PREFIX", Bytes(1025, 'x')}), refused);
  EXPECT_FALSE(me_.tracking);
}

TEST_F(ConnectionTest, AnArgumentTooManyIsAnsweredAsRedisDoes) {
  for (const char* sub : {"UNBLOCK", "PAUSE"}) {
    EXPECT_EQ(Run({"CLIENT", sub, "1", "WRITE", "x"}),
              Err("unknown subcommand or wrong number of arguments for '" + Bytes(sub) +
                  "'. Try CLIENT HELP."));
  }
}

TEST_F(ConnectionTest, KillRefusesWhatItDoesNotKnow) {
  EXPECT_EQ(Run({"CLIENT", "KILL", "ID", "foo"}), Err("client-id should be greater than 0"));
  EXPECT_EQ(Run({"CLIENT", "KILL", "ID", "0"}), Err("client-id should be greater than 0"));
  EXPECT_EQ(Run({"CLIENT", "KILL", "USER", "foo"}), Err("No such user 'foo'"));
  EXPECT_EQ(Run({"CLIENT", "KILL", "SKIPME", "x"}), Err("syntax error"));
  EXPECT_EQ(Run({"CLIENT", "KILL", "ID", "1", "x"}), Err("syntax error"));
  EXPECT_TRUE(host_.killed.empty());
}

TEST_F(ConnectionTest, RepliesCanBeTurnedOffAndSkipped) {
  EXPECT_EQ(Run({"CLIENT", "REPLY", "SKIP"}), Reply::Nothing());
  EXPECT_EQ(me_.reply_mode, Client::ReplyMode::kSkipNext);
  EXPECT_EQ(Run({"CLIENT", "REPLY", "OFF"}), Reply::Nothing());
  EXPECT_EQ(Run({"CLIENT", "REPLY", "SKIP"}), Reply::Nothing());
  EXPECT_EQ(me_.reply_mode, Client::ReplyMode::kOff);  // SKIP does not turn replies on again.
  EXPECT_EQ(Run({"CLIENT", "REPLY", "ON"}), Reply::Ok());
  EXPECT_EQ(me_.reply_mode, Client::ReplyMode::kOn);
  EXPECT_EQ(Run({"CLIENT", "REPLY", "x"}), Err("syntax error"));
}

TEST_F(ConnectionTest, PauseEndsAtATimeOfThisNode) {
  EXPECT_EQ(Run({"CLIENT", "PAUSE", "250", "WRITE"}), Reply::Ok());
  EXPECT_EQ(host_.paused_until, host_.now + 250'000);
  EXPECT_TRUE(host_.paused_writes_only);
  EXPECT_EQ(Run({"CLIENT", "PAUSE", "9223372036854775807"}), Reply::Ok());  // Does not overflow.
  EXPECT_GT(*host_.paused_until, host_.now);
  EXPECT_FALSE(host_.paused_writes_only);
  EXPECT_EQ(Run({"CLIENT", "UNPAUSE"}), Reply::Ok());
  EXPECT_EQ(host_.paused_until, std::nullopt);
  EXPECT_EQ(Run({"CLIENT", "PAUSE", "x"}), Err("timeout is not an integer or out of range"));
  EXPECT_EQ(Run({"CLIENT", "PAUSE", "-1"}), Err("timeout is negative"));
  EXPECT_EQ(Run({"CLIENT", "PAUSE", "1", "foo"}), Err("CLIENT PAUSE mode must be WRITE or ALL"));
}

TEST_F(ConnectionTest, UnblockEndsTheWaitOfAnother) {
  host_.blocked[ClientId{2}] = false;
  host_.blocked[ClientId{3}] = false;
  EXPECT_EQ(Run({"CLIENT", "UNBLOCK", "2"}), Reply::Integer(1));
  EXPECT_EQ(Run({"CLIENT", "UNBLOCK", "3", "ERROR"}), Reply::Integer(1));
  EXPECT_EQ(Run({"CLIENT", "UNBLOCK", "3", "TIMEOUT"}), Reply::Integer(0));
  EXPECT_FALSE(host_.unblocked[ClientId{2}]);
  EXPECT_TRUE(host_.unblocked[ClientId{3}]);
  EXPECT_EQ(Run({"CLIENT", "UNBLOCK", "x"}), Err("value is not an integer or out of range"));
  EXPECT_EQ(Run({"CLIENT", "UNBLOCK", "4", "foo"}),
            Err("CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
}

TEST_F(ConnectionTest, ModesAreSwitchedByOnAndOff) {
  EXPECT_EQ(Run({"CLIENT", "NO-EVICT", "on"}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "NO-TOUCH", "ON"}), Reply::Ok());
  EXPECT_TRUE(me_.no_evict && me_.no_touch);
  EXPECT_EQ(Run({"CLIENT", "NO-EVICT", "off"}), Reply::Ok());
  EXPECT_FALSE(me_.no_evict);
  EXPECT_EQ(Run({"CLIENT", "NO-EVICT", "x"}), Err("syntax error"));
}

TEST_F(ConnectionTest, TrackingIsToldAsItWasAskedFor) {
  EXPECT_EQ(
      Wire({"CLIENT", "TRACKINGINFO"}),
      "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n");
  EXPECT_EQ(Run({"CLIENT", "GETREDIR"}), Reply::Integer(-1));
  me_.protocol = 3;
  EXPECT_EQ(Run({"CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "b", "PREFIX", "a"}), Reply::Ok());
  EXPECT_EQ(Wire({"CLIENT", "TRACKINGINFO"}),
            "%3\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$5\r\nbcast\r\n$8\r\nredirect\r\n:0\r\n"
            "$8\r\nprefixes\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_EQ(Run({"CLIENT", "TRACKING", "OFF"}), Reply::Ok());
  EXPECT_TRUE(me_.tracking_options.prefixes.empty());
}

TEST_F(ConnectionTest, TrackingModesThatContradictAreRefused) {
  const auto refuses = [this](const std::vector<Bytes>& options, BytesView start) {
    std::vector<Bytes> words = {"CLIENT", "TRACKING", "ON"};
    words.insert(words.end(), options.begin(), options.end());
    const Reply reply = Run(words);
    EXPECT_EQ(reply.text.substr(0, start.size() + 4), "ERR " + Bytes(start));
  };
  refuses({"PREFIX", "a"}, "PREFIX option requires BCAST mode to be enabled");
  refuses({"BCAST", "OPTIN"}, "OPTIN and OPTOUT are not compatible with BCAST");
  refuses({"OPTIN", "OPTOUT"}, "You can't specify both OPTIN mode and OPTOUT mode");
  refuses({"REDIRECT", "99"}, "The client ID you want redirect to does not exist");
  refuses({"REDIRECT", "x"}, "value is not an integer or out of range");
  refuses({"REDIRECT", "1", "REDIRECT", "1"},
          "A client can only redirect to a single other client");
  refuses({"BCAST", "PREFIX", "a", "PREFIX", "ab"},
          "Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client");
  refuses({"foo"}, "syntax error");
  EXPECT_FALSE(me_.tracking);

  ASSERT_EQ(Run({"CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:"}), Reply::Ok());
  refuses({"BCAST", "PREFIX", "user:1"},
          "Prefix 'user:1' overlaps with an existing prefix 'user:'.");
  refuses({}, "You can't switch BCAST mode on/off before disabling tracking for this client");
}

TEST_F(ConnectionTest, CachingIsForOptinAndOptout) {
  EXPECT_EQ(Run({"CLIENT", "CACHING", "yes"}).text.substr(0, 45),
            "ERR CLIENT CACHING can be called only when th");
  ASSERT_EQ(Run({"CLIENT", "TRACKING", "ON", "OPTIN"}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "CACHING", "NO"}),
            Err("CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."));
  EXPECT_EQ(Run({"CLIENT", "CACHING", "YES"}), Reply::Ok());
  EXPECT_TRUE(me_.tracking_options.caching);
  EXPECT_EQ(Run({"CLIENT", "TRACKING", "ON", "OPTOUT"}).text.substr(0, 39),
            "ERR You can't switch OPTIN/OPTOUT mode ");
}

TEST_F(ConnectionTest, CachingYesIsNotForOptoutAndMaybeIsForNobody) {
  ASSERT_EQ(Run({"CLIENT", "TRACKING", "ON", "OPTOUT", "NOLOOP"}), Reply::Ok());
  EXPECT_TRUE(me_.tracking_options.noloop);
  EXPECT_EQ(Run({"CLIENT", "CACHING", "YES"}),
            Err("CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."));
  EXPECT_EQ(Run({"CLIENT", "CACHING", "maybe"}), Err("syntax error"));
  EXPECT_FALSE(me_.tracking_options.caching);
  EXPECT_EQ(Run({"CLIENT", "CACHING", "NO"}), Reply::Ok());
}

TEST_F(ConnectionTest, ARedirectThatIsGoneIsToldAsBroken) {
  host_.Connect(2);
  ASSERT_EQ(Run({"CLIENT", "TRACKING", "ON", "REDIRECT", "2"}), Reply::Ok());
  EXPECT_EQ(Run({"CLIENT", "GETREDIR"}), Reply::Integer(2));
  host_.clients.erase(ClientId{2});
  const Reply info = Run({"CLIENT", "TRACKINGINFO"});
  EXPECT_EQ(info.items[1], Reply::Set({Reply::Bulk("on"), Reply::Bulk("broken_redirect")}));
}

TEST_F(ConnectionTest, RefusedLoginsAreLoggedTogether) {
  host_.password = "sesame";
  Run({"AUTH", "wrong"});
  Run({"AUTH", "wrong"});
  Run({"HELLO", "3", "AUTH", "eve", "x"});
  const auto& entries = host_.acl_log().entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].user, "eve");
  EXPECT_EQ(entries[0].command, "hello");
  EXPECT_EQ(entries[1].count, 2u);
  host_.now = host_.now + 61 * kUsPerSecond;
  Run({"AUTH", "wrong"});
  EXPECT_EQ(entries.size(), 3u);
  for (int i = 0; i < 200; ++i) Run({"AUTH", "user" + std::to_string(i), "x"});
  EXPECT_EQ(entries.size(), AclLog::kEntriesMax);
}

}  // namespace
}  // namespace lockstep
