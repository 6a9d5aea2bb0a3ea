// INFO to SHUTDOWN, CONFIG, ACL, LATENCY, MEMORY, DEBUG, and the keyspace.
#include <gtest/gtest.h>

#include <map>

#include "src/base/log.h"
#include "tests/fake_host.h"

namespace lockstep {
namespace {

class ServerTest : public ::testing::Test {
 protected:
  Reply Run(const std::vector<Bytes>& words) { return host_.Run(me_, words); }
  Bytes Wire(const std::vector<Bytes>& words) { return host_.Wire(me_, words); }
  Reply Err(BytesView sentence) { return Reply::Error("ERR", sentence); }
  Reply SyntaxError() { return Err("syntax error"); }

  FakeHost host_;
  Client& me_ = host_.Connect(1);
};

TEST_F(ServerTest, InfoPassesTheSectionsOnAndIsVerbatim) {
  EXPECT_EQ(Run({"INFO", "server", "CPU"}), Reply::Verbatim("# Asked for\r\nserver\r\nCPU\r\n"));
}

TEST_F(ServerTest, TimeIsSecondsAndMicroseconds) {
  EXPECT_EQ(Wire({"TIME"}), "*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n");
}

TEST_F(ServerTest, EveryNodeIsAMasterWithoutReplicas) {
  EXPECT_EQ(Wire({"ROLE"}), "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
}

TEST_F(ServerTest, LolwutEndsWithTheVersion) {
  const Bytes art = Run({"LOLWUT"}).text;
  EXPECT_EQ(art.substr(art.size() - 20), "Lockstep ver. 0.1.0\n");
  EXPECT_EQ(Run({"LOLWUT", "VERSION", "x"}), Err("value is not an integer or out of range"));
}

TEST_F(ServerTest, MonitorIsAMode) {
  EXPECT_EQ(Run({"MONITOR"}), Reply::Ok());
  EXPECT_TRUE(me_.monitor);
  Client& other = host_.Connect(2);
  EXPECT_EQ(host_.Run(other, {"MONITOR"}, true),
            Err("MONITOR isn't allowed for DENY BLOCKING client"));
  EXPECT_FALSE(other.monitor);
}

TEST_F(ServerTest, ThereAreNoModules) {
  EXPECT_EQ(Wire({"MODULE", "LIST"}), "*0\r\n");
  EXPECT_EQ(Run({"MODULE", "LOAD", "x"}), Err("unknown subcommand 'LOAD'. Try MODULE HELP."));
}

TEST_F(ServerTest, ShutdownIsNotAnsweredUnlessItIsRefused) {
  EXPECT_EQ(Run({"SHUTDOWN", "NOSAVE"}), Reply::Nothing());
  EXPECT_EQ(host_.shut_down, false);
  EXPECT_EQ(Run({"SHUTDOWN", "ABORT"}), Reply::Ok());
  EXPECT_EQ(Run({"SHUTDOWN", "abort"}), Err("No shutdown in progress."));
  EXPECT_EQ(Run({"SHUTDOWN", "NOW", "FORCE"}), Reply::Nothing());
  EXPECT_EQ(host_.shut_down, true);
  EXPECT_EQ(Run({"SHUTDOWN", "SAVE", "NOSAVE"}), SyntaxError());
  EXPECT_EQ(Run({"SHUTDOWN", "ABORT", "NOW"}), SyntaxError());
  EXPECT_EQ(Run({"SHUTDOWN", "x"}), SyntaxError());
}

TEST_F(ServerTest, ConfigGetTakesPatternsAndTellsEachOnce) {
  EXPECT_EQ(Wire({"CONFIG", "GET", "port", "p*", "PORT", "nosuch"}),
            "*2\r\n$4\r\nport\r\n$4\r\n7379\r\n");
  me_.protocol = 3;
  EXPECT_EQ(Wire({"CONFIG", "GET", "save", "appendonly"}),
            "%2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_EQ(Wire({"CONFIG", "GET", "nosuch"}), "%0\r\n");
  EXPECT_EQ(Wire({"CONFIG", "GET", "PORT"}), "%1\r\n$4\r\nPORT\r\n$4\r\n7379\r\n");
  EXPECT_EQ(Wire({"CONFIG", "GET", "POR*", "PORT"}), "%1\r\n$4\r\nport\r\n$4\r\n7379\r\n");
}

TEST_F(ServerTest, LongPatternsAreRefused) {
  const Reply refused = Reply::Error("LIMIT", "a pattern has at most 1024 bytes");
  const Bytes pattern(1025, '*');
  EXPECT_EQ(Run({"CONFIG", "GET", pattern}), refused);
  EXPECT_EQ(Run({"COMMAND", "LIST", "FILTERBY", "PATTERN", pattern}), refused);
  EXPECT_EQ(Run({"PUBSUB", "CHANNELS", pattern}), refused);
  EXPECT_EQ(Run({"KEYS", pattern}), refused);
  std::vector<Bytes> words(1027, "p*");
  words[0] = "CONFIG";
  words[1] = "GET";
  EXPECT_EQ(Run(words), Reply::Error("LIMIT", "at most 1024 patterns at once"));
}

TEST_F(ServerTest, ConfigSetIsAllOrNothing) {
  EXPECT_EQ(Run({"CONFIG", "SET", "maxclients", "5", "save", "x"}), Reply::Ok());
  EXPECT_EQ(host_.config["maxclients"], "5");
  EXPECT_EQ(Run({"CONFIG", "SET", "maxclients", "6", "nosuch", "x"}),
            Err("Unknown option or number of arguments for CONFIG SET - 'nosuch'"));
  EXPECT_EQ(host_.config["maxclients"], "5");
  EXPECT_EQ(Run({"CONFIG", "SET", "maxclients", "10", "b"}), SyntaxError());
}

TEST_F(ServerTest, ConfigRewriteNeedsAFileAndResetstatForgets) {
  EXPECT_EQ(Run({"CONFIG", "REWRITE"}), Reply::Ok());
  EXPECT_EQ(host_.rewrites, 1);
  host_.has_config_file = false;
  EXPECT_EQ(Run({"CONFIG", "REWRITE"}), Err("The server is running without a config file"));
  host_.stats().commands_processed = 9;
  EXPECT_EQ(Run({"CONFIG", "RESETSTAT"}), Reply::Ok());
  EXPECT_EQ(host_.stats().commands_processed, 0u);
}

TEST_F(ServerTest, TheOneUserIsToldOfTruthfully) {
  EXPECT_EQ(Run({"ACL", "WHOAMI"}), Reply::Bulk("default"));
  EXPECT_EQ(Run({"ACL", "USERS"}), Reply::Array({Reply::Bulk("default")}));
  EXPECT_EQ(Run({"ACL", "LIST"}),
            Reply::Array({Reply::Bulk("user default on nopass ~* &* +@all")}));
  EXPECT_EQ(
      Wire({"ACL", "GETUSER", "default"}),
      "*12\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$6\r\nnopass\r\n$9\r\npasswords\r\n*0\r\n"
      "$8\r\ncommands\r\n$5\r\n+@all\r\n$4\r\nkeys\r\n$2\r\n~*\r\n$8\r\nchannels\r\n$2\r\n&*\r\n"
      "$9\r\nselectors\r\n*0\r\n");
  EXPECT_EQ(Run({"ACL", "GETUSER", "alice"}), Reply::Nil());
  host_.password = "sesame";
  const Bytes hash(64, 'e');
  EXPECT_EQ(Run({"ACL", "LIST"}),
            Reply::Array({Reply::Bulk("user default on #" + hash + " ~* &* +@all")}));
  const Reply user = Run({"ACL", "GETUSER", "default"});
  EXPECT_EQ(user.items[1], Reply::Set({Reply::Bulk("on")}));
  EXPECT_EQ(user.items[3], Reply::Array({Reply::Bulk(hash)}));
}

TEST_F(ServerTest, UsersCanNotBeMadeAndTheErrorSaysWhatCan) {
  for (const std::vector<Bytes>& words :
       {std::vector<Bytes>{"ACL", "SETUSER", "alice"},
        std::vector<Bytes>{"ACL", "DELUSER", "alice"}, std::vector<Bytes>{"ACL", "SAVE"},
        std::vector<Bytes>{"ACL", "LOAD"}}) {
    const Reply reply = Run(words);
    EXPECT_TRUE(reply.is_error());
    EXPECT_NE(reply.text.find("requirepass"), Bytes::npos) << reply.text;
    EXPECT_NE(reply.text.find("nothing was changed"), Bytes::npos) << reply.text;
  }
}

TEST_F(ServerTest, PasswordsHaveTheBitsAskedFor) {
  EXPECT_EQ(Run({"ACL", "GENPASS"}).text.size(), 64u);
  EXPECT_EQ(Run({"ACL", "GENPASS", "5"}).text.size(), 2u);
  EXPECT_EQ(Run({"ACL", "GENPASS", "1"}).text.size(), 1u);
  EXPECT_EQ(Run({"ACL", "GENPASS", "4096"}).text.size(), 1024u);
  EXPECT_NE(Run({"ACL", "GENPASS"}), Run({"ACL", "GENPASS"}));
  EXPECT_TRUE(Run({"ACL", "GENPASS", "0"}).is_error());
  EXPECT_TRUE(Run({"ACL", "GENPASS", "4097"}).is_error());
}

TEST_F(ServerTest, CategoriesListTheirCommandsAndSubcommands) {
  const Reply categories = Run({"ACL", "CAT"});
  EXPECT_NE(std::find(categories.items.begin(), categories.items.end(), Reply::Bulk("lock")),
            categories.items.end());
  EXPECT_EQ(Run({"ACL", "CAT", "transaction"}),
            Reply::Array({Reply::Bulk("discard"), Reply::Bulk("exec"), Reply::Bulk("multi"),
                          Reply::Bulk("unwatch"), Reply::Bulk("watch")}));
  const Reply admin = Run({"ACL", "CAT", "admin"});
  EXPECT_NE(std::find(admin.items.begin(), admin.items.end(), Reply::Bulk("config|set")),
            admin.items.end());
  EXPECT_EQ(Run({"ACL", "CAT", "foo"}), Err("Unknown category 'foo'"));
}

TEST_F(ServerTest, DryrunJudgesWithoutRunning) {
  EXPECT_EQ(Run({"ACL", "DRYRUN", "default", "SHUTDOWN"}), Reply::Ok());
  EXPECT_EQ(host_.shut_down, std::nullopt);
  EXPECT_EQ(Run({"ACL", "DRYRUN", "alice", "PING"}), Err("User 'alice' not found"));
  EXPECT_EQ(Run({"ACL", "DRYRUN", "default", "nosuch"}), Err("Command 'nosuch' not found"));
  EXPECT_EQ(Run({"ACL", "DRYRUN", "default", "type"}),
            Err("wrong number of arguments for 'type' command"));
  EXPECT_EQ(Run({"ACL", "DRYRUN", "default", "client", "foo"}),
            Err("Command 'client' not found"));
}

TEST_F(ServerTest, TheAclLogHoldsRefusedLogins) {
  EXPECT_EQ(Run({"ACL", "LOG"}), Reply::Array());
  Run({"AUTH", "eve", "x"});
  host_.now = host_.now + 1'500'000;
  const Reply log = Run({"ACL", "LOG"});
  ASSERT_EQ(log.items.size(), 1u);
  EXPECT_EQ(log.items[0].items[3], Reply::Bulk("auth"));
  EXPECT_EQ(log.items[0].items[9], Reply::Bulk("eve"));
  EXPECT_EQ(log.items[0].items[11], Reply::Double(1.5));
  EXPECT_EQ(Run({"ACL", "LOG", "0"}), Reply::Array());
  EXPECT_EQ(Run({"ACL", "LOG", "x"}), Err("value is not an integer or out of range"));
  EXPECT_EQ(Run({"ACL", "LOG", "RESET"}), Reply::Ok());
  EXPECT_EQ(Run({"ACL", "LOG"}), Reply::Array());
}

TEST_F(ServerTest, LatencyTellsEventsLatestAndHistory) {
  EXPECT_EQ(Run({"LATENCY", "LATEST"}), Reply::Array());
  host_.latency().Configure(100);
  host_.latency().Add("disk-sync", 10, 300'000);
  host_.latency().Add("disk-sync", 12, 200'000);
  EXPECT_EQ(Wire({"LATENCY", "LATEST"}), "*1\r\n*4\r\n$9\r\ndisk-sync\r\n:12\r\n:200\r\n:300\r\n");
  EXPECT_EQ(Wire({"LATENCY", "HISTORY", "disk-sync"}),
            "*2\r\n*2\r\n:10\r\n:300\r\n*2\r\n:12\r\n:200\r\n");
  EXPECT_EQ(Run({"LATENCY", "HISTORY", "x"}), Reply::Array());
  EXPECT_NE(Run({"LATENCY", "DOCTOR"}).text.find("disk-sync: 2 latency spikes (average 250ms)"),
            Bytes::npos);
  EXPECT_EQ(Run({"LATENCY", "RESET", "disk-sync", "x"}), Reply::Integer(1));
  EXPECT_EQ(Run({"LATENCY", "RESET"}), Reply::Integer(0));
}

TEST_F(ServerTest, AGraphIsDrawnAsRedisDoes) {
  EXPECT_EQ(Run({"LATENCY", "GRAPH", "command"}),
            Err("No samples available for event 'command'"));
  host_.latency().Configure(1);
  const int64_t now = host_.wall_us / kUsPerSecond;
  host_.latency().Add("command", now - 7200, 10'000);
  host_.latency().Add("command", now - 180, 50'000);
  host_.latency().Add("command", now - 12, 2'000);
  host_.latency().Add("command", now - 1, 30'000);
  EXPECT_EQ(Run({"LATENCY", "GRAPH", "command"}),
            Reply::Verbatim("command - high 50 ms, low 2 ms (all time high 50 ms)\n" +
                            Bytes(80, '-') +
                            "\n #  \n | o\n | |\n#|_|\n    \n2311\nhm2s\n  s \n"));
  for (int i = 0; i < 100; ++i) host_.latency().Add("loop", now - 100 + i, 5'000);
  const Bytes wide = Run({"LATENCY", "GRAPH", "loop"}).text;
  EXPECT_NE(wide.find("\n" + Bytes(80, '_') + "\n"), Bytes::npos) << wide;  // And a second line:
  EXPECT_NE(wide.find("\n" + Bytes(20, '_') + "\n"), Bytes::npos) << wide;
}

TEST_F(ServerTest, ALongHistogramIsRefused) {
  const BytesView argv[] = {"ping"};
  const CommandTable& table = CommandTable::Get();
  host_.stats().Of(table.LeafNumber(table.Find(argv).leaf())).latency.Add(3);
  std::vector<Bytes> words(50'000, "PING");
  words[0] = "LATENCY";
  words[1] = "HISTOGRAM";
  EXPECT_EQ(Run(words), Reply::Error("LIMIT", "the reply would take more than the 16 MB that one "
                                              "may; ask for fewer commands at once"));
}

TEST_F(ServerTest, TheDoctorSaysHowToTurnMonitoringOn) {
  EXPECT_NE(Run({"LATENCY", "DOCTOR"}).text.find("CONFIG SET latency-monitor-threshold"),
            Bytes::npos);
  host_.latency().Configure(1);
  EXPECT_NE(Run({"LATENCY", "DOCTOR"}).text.find("no latency spike"), Bytes::npos);
}

TEST_F(ServerTest, TheDoctorHasAdviceForEachEventThatThereIs) {
  host_.latency().Configure(1);
  const std::map<Bytes, Bytes> advice = {{"command", "SLOWLOG GET"},
                                         {"fast-command", "SLOWLOG GET"},
                                         {"disk-sync", "use a faster disk"},
                                         {"loop", "did not get to run"},
                                         {"of-another-version", "no advice is known"}};
  for (const auto& [event, says] : advice) {
    host_.latency().ResetAll();
    host_.latency().Add(event, 10, 300'000);
    EXPECT_NE(Run({"LATENCY", "DOCTOR"}).text.find(says), Bytes::npos) << event;
  }
}

TEST_F(ServerTest, AGraphsOldestColumnsCountInDays) {
  host_.latency().Configure(1);
  const int64_t now = host_.wall_us / kUsPerSecond;
  host_.latency().Add("loop", now - 3 * 24 * 3600, 10'000);
  host_.latency().Add("loop", now - 3600, 20'000);
  EXPECT_TRUE(Run({"LATENCY", "GRAPH", "loop"}).text.ends_with("\n31\ndh\n"));
}

TEST_F(ServerTest, HistogramsAreCumulativeInPowersOfTwo) {
  const BytesView argv[] = {"config", "get"};
  const CommandTable& table = CommandTable::Get();
  Histogram& latency = host_.stats().Of(table.LeafNumber(table.Find(argv).leaf())).latency;
  for (const uint64_t us : {1u, 3u, 4u, 100u}) latency.Add(us);
  me_.protocol = 3;
  const Bytes expected =
      "%1\r\n$10\r\nconfig|get\r\n%2\r\n$5\r\ncalls\r\n:4\r\n$14\r\nhistogram_usec\r\n%3\r\n"
      ":1\r\n:1\r\n:4\r\n:3\r\n:128\r\n:4\r\n";
  EXPECT_EQ(Wire({"LATENCY", "HISTOGRAM", "config|get"}), expected);
  EXPECT_EQ(Wire({"LATENCY", "HISTOGRAM", "config", "ping", "nosuch"}), expected);
  EXPECT_EQ(Wire({"LATENCY", "HISTOGRAM"}), expected);
}

TEST_F(ServerTest, MemoryAnswersForTheNode) {
  EXPECT_EQ(Run({"MEMORY", "STATS"}).items[1], Reply::Integer(1'000'000));
  EXPECT_EQ(Run({"MEMORY", "PURGE"}), Reply::Ok());
  EXPECT_EQ(Run({"MEMORY", "MALLOC-STATS"}),
            Reply::Bulk("Stats not supported for the current allocator"));
  EXPECT_NE(Run({"MEMORY", "DOCTOR"}).text.find("can't find any memory issue"), Bytes::npos);
  me_.output_buffered = 2'000'000;
  EXPECT_NE(Run({"MEMORY", "DOCTOR"}).text.find("Slow readers: 1 clients"), Bytes::npos);
}

TEST_F(ServerTest, DebugIsRefusedUnlessItIsAllowed) {
  EXPECT_EQ(
      Run({"DEBUG", "SLEEP", "1"}),
      Err("DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you "
          "can run it from a local connection, otherwise you need to set this option in the "
          "configuration file, and then restart the server."));
  EXPECT_EQ(host_.slept_us, 0);
}

TEST_F(ServerTest, DebugDoesTheLittleItKnows) {
  host_.debug_allowed = true;
  EXPECT_EQ(Run({"DEBUG", "SLEEP", "0.25"}), Reply::Ok());
  EXPECT_EQ(host_.slept_us, 250'000);
  for (const char* bad : {"x", "-1", "nan", "inf", "1e99", "", "1 "}) {
    EXPECT_TRUE(Run({"DEBUG", "SLEEP", bad}).is_error()) << bad;
  }
  EXPECT_EQ(host_.slept_us, 250'000);
  EXPECT_EQ(Wire({"DEBUG", "ERROR", "FOO bar"}), "-FOO bar\r\n");
  EXPECT_EQ(Run({"DEBUG", "BUS", "TAP", "ON"}), Reply::Ok());
  EXPECT_TRUE(me_.bus_tap);
  EXPECT_EQ(Run({"DEBUG", "BUS", "TAP", "off"}), Reply::Ok());
  EXPECT_FALSE(me_.bus_tap);
  EXPECT_EQ(Run({"DEBUG", "BUS", "TAP", "x"}), SyntaxError());
  EXPECT_EQ(Run({"DEBUG", "SEGFAULT"}),
            Err("unknown subcommand or wrong number of arguments for 'SEGFAULT'. Try DEBUG HELP."));
  EXPECT_EQ(Run({"DEBUG", "HELP"}).kind, Reply::Kind::kArray);
}

std::vector<Bytes>& Logged() {
  static std::vector<Bytes> lines;
  return lines;
}

TEST_F(ServerTest, DebugLogWritesALineThatNobodyCanForge) {
  host_.debug_allowed = true;
  Logged().clear();
  SetLogSink([](LogLevel, BytesView line) { Logged().emplace_back(line); });
  EXPECT_EQ(Run({"DEBUG", "LOG", "one\ntwo\a\b"}), Reply::Ok());
  SetLogSink(nullptr);
  EXPECT_EQ(Logged(), std::vector<Bytes>{"DEBUG LOG: one\\ntwo\\a\\b"});
}

TEST_F(ServerTest, DebugProtocolShowsOneReplyOfEachKind) {
  host_.debug_allowed = true;
  me_.protocol = 3;
  EXPECT_EQ(Wire({"DEBUG", "PROTOCOL", "string"}), "$11\r\nHello World\r\n");
  EXPECT_EQ(Wire({"DEBUG", "PROTOCOL", "double"}), ",3.141\r\n");
  EXPECT_EQ(Wire({"DEBUG", "PROTOCOL", "true"}), "#t\r\n");
  EXPECT_EQ(Wire({"DEBUG", "PROTOCOL", "map"}), "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n");
  EXPECT_EQ(Wire({"DEBUG", "PROTOCOL", "verbatim"}), "=29\r\ntxt:This is a verbatim\nstring\r\n");
  EXPECT_TRUE(Run({"DEBUG", "PROTOCOL", "bignum"}).is_error());
}

TEST_F(ServerTest, ScanOfTypeLockMeetsEveryLock) {
  std::set<Bytes> expected;
  for (int i = 0; i < 50; ++i) {
    expected.insert("k" + std::to_string(i));
    ASSERT_FALSE(Run({"LOCK.ACQUIRE", "k" + std::to_string(i), "me"}).is_error());
  }
  std::set<Bytes> met;
  Bytes cursor = "0";
  do {
    const Reply page = Run({"SCAN", cursor, "COUNT", "7", "MATCH", "k*", "TYPE", "lock"});
    ASSERT_EQ(page.items.size(), 2u);
    cursor = page.items[0].text;
    for (const Reply& name : page.items[1].items) met.insert(name.text);
  } while (cursor != "0");
  EXPECT_EQ(met, expected);
  EXPECT_EQ(Run({"SCAN", "0", "TYPE", "hash"}), Reply::Array({Reply::Bulk("0"), Reply::Array()}));
}

TEST_F(ServerTest, CursorsAreReadAsRedisReadsThem) {
  const Bytes zero_inside{'1', '\0', 'x'};
  for (const Bytes& cursor : {Bytes("-1"), Bytes(), Bytes("+5"), Bytes("007"), zero_inside}) {
    EXPECT_EQ(Run({"SCAN", cursor, "TYPE", "lock"}),
              Reply::Array({Reply::Bulk("0"), Reply::Array()}))
        << cursor;
  }
  for (const char* cursor : {" 1", "1 ", "\t1", "1x", "0x10", "99999999999999999999"}) {
    EXPECT_EQ(Run({"SCAN", cursor}), Err("invalid cursor")) << cursor;
  }
}

TEST_F(ServerTest, ScanRefusesInRedisWords) {
  EXPECT_EQ(Run({"SCAN", "x"}), Err("invalid cursor"));
  EXPECT_EQ(Run({"SCAN", "99999999999999999999"}), Err("invalid cursor"));
  EXPECT_EQ(Run({"SCAN", "0", "COUNT", "0"}), SyntaxError());
  EXPECT_EQ(Run({"SCAN", "0", "COUNT", "x"}), Err("value is not an integer or out of range"));
  EXPECT_EQ(Run({"SCAN", "0", "MATCH"}), SyntaxError());
  EXPECT_EQ(Run({"SCAN", "0", "foo", "x"}), SyntaxError());
}

}  // namespace
}  // namespace lockstep
