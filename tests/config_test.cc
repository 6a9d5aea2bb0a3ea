#include "src/config.h"

#include <gtest/gtest.h>

#include <map>

#include "src/config_text.h"
#include "src/settings_table.h"

namespace lockstep {
namespace {

using Pairs = std::vector<std::pair<Bytes, Bytes>>;

Result<Bytes> NoInclude(const Bytes&) { return Error{"no such file"}; }

Config Reading(BytesView text) {
  Config config;
  const auto read = config.ReadFile("test.conf", text, NoInclude);
  EXPECT_TRUE(read.ok()) << read.error().message;
  return config;
}

Bytes ErrorOf(const Result<void>& result) { return result.ok() ? "" : result.error().message; }

Bytes FileError(BytesView text) {
  Config config;
  return ErrorOf(config.ReadFile("test.conf", text, NoInclude));
}

Bytes CommandLineError(std::vector<Bytes> args) {
  const auto line = ParseCommandLine(args);
  if (!line) return line.error().message;
  Config config;
  return ErrorOf(config.ReadCommandLine(*line));
}

Bytes Value(const Config& config, BytesView name) {
  const auto found = config.Get(name);
  return found.size() == 1 ? found[0].second : "(" + std::to_string(found.size()) + " settings)";
}

// Files
// ---------------------------------------------------------------------------------------------

TEST(ConfigFile, AnEmptyFileLeavesTheDefaults) {
  EXPECT_EQ(Reading("").settings(), Settings());
  EXPECT_EQ(Reading("\n# a comment\n   \t\r\n").settings(), Settings());
}

TEST(ConfigFile, NamesAreTakenInAnyCaseAndValuesAsTheyStand) {
  const Config config = Reading("PORT 7000\r\n  dir '/var/Lib x'\nrequirepass \"a\\x20\\\"b\"\n");
  EXPECT_EQ(config.settings().port, 7000);
  EXPECT_EQ(config.settings().dir, "/var/Lib x");
  EXPECT_EQ(config.settings().requirepass, "a \"b");
}

TEST(ConfigFile, TheLastOfTwoLinesCounts) {
  EXPECT_EQ(Reading("port 7000\nport 7001\n").settings().port, 7001);
}

TEST(ConfigFile, ByteCountsTakeRedissUnits) {
  const std::map<Bytes, int64_t> counts = {
      {"5000000", 5'000'000}, {"5000000b", 5'000'000}, {"5000k", 5'000'000},  {"4096KB", 4 << 20},
      {"5m", 5'000'000},      {"5Mb", 5 << 20},        {"1g", 1'000'000'000}, {"1gb", 1 << 30}};
  for (const auto& [text, bytes] : counts) {
    EXPECT_EQ(Reading("maxmemory " + text).settings().maxmemory, bytes) << text;
  }
  for (const char* bad : {"mb", "-1mb", "1 mb", "1.5mb", "1tb", "0x10", "9223372036854775808",
                          "9007199254740993gb", "18446744073709551616"}) {
    EXPECT_NE(FileError(Bytes("maxmemory ") + bad), "") << bad;
  }
}

TEST(ConfigFile, AnErrorNamesFileLineSettingAndValue) {
  EXPECT_EQ(FileError("# one\n\nport 99999\n"),
            "test.conf:3: 'port 99999': argument must be between 1 and 65535 inclusive");
  EXPECT_EQ(FileError("maxclients many"),
            "test.conf:1: 'maxclients many': argument couldn't be parsed into an integer");
  EXPECT_EQ(FileError("protected-mode maybe"),
            "test.conf:1: 'protected-mode maybe': argument must be 'yes' or 'no'");
  EXPECT_EQ(FileError("log-format xml"),
            "test.conf:1: 'log-format xml': argument(s) must be one of the following: auto, text, "
            "json");
  EXPECT_EQ(FileError("port \"7000"), "test.conf:1: unbalanced quotes");
  EXPECT_EQ(FileError("port"), "test.conf:1: 'port': wrong number of arguments");
  EXPECT_EQ(FileError("port 1 2"), "test.conf:1: 'port 1 2': wrong number of arguments");
}

TEST(ConfigFile, AnUnknownNameIsAnsweredWithTheNearestOne) {
  EXPECT_EQ(FileError("prot 7000"), "test.conf:1: unknown setting 'prot' (did you mean port?)");
  EXPECT_EQ(FileError("raft-hartbeat-ms 1"),
            "test.conf:1: unknown setting 'raft-hartbeat-ms' (did you mean raft-heartbeat-ms?)");
  EXPECT_EQ(FileError("hz 10"), "test.conf:1: unknown setting 'hz'");
}

TEST(ConfigFile, ACommentBehindAValueIsExplained) {
  EXPECT_EQ(FileError("port 7000 # mine"),
            "test.conf:1: 'port 7000 # mine': wrong number of arguments (a comment needs a line of "
            "its own)");
}

TEST(ConfigFile, AnErrorNeverShowsASecret) {
  const Bytes error = FileError("requirepass " + Bytes(513, 'x'));
  EXPECT_EQ(error, "test.conf:1: 'requirepass ***': argument must be between 0 and 512 bytes long");
  EXPECT_EQ(FileError("requirepass hunter2 hunter3").find("hunter"), Bytes::npos);
}

TEST(ConfigFile, AFileThatFailsChangesNothing) {
  Config config = Reading("port 7000\n");
  EXPECT_FALSE(config.ReadFile("b.conf", "port 7001\nfoo 1\n", NoInclude).ok());
  EXPECT_EQ(config.settings().port, 7000);
}

TEST(ConfigFile, AFileOverTheLimitIsRefused) {
  EXPECT_EQ(FileError(Bytes(Config::kTextBytesMax + 1, '\n')), "test.conf: longer than 1 MB");
}

TEST(ConfigFile, AnIncludedFileStandsWhereItIsNamed) {
  const std::map<Bytes, Bytes> files = {{"b.conf", "port 2\nmaxclients 2\n"}};
  const auto include = [&](const Bytes& path) -> Result<Bytes> { return files.at(path); };
  Config config;

  ASSERT_TRUE(config.ReadFile("a.conf", "port 1\ninclude b.conf\nmaxclients 1\n", include).ok());

  EXPECT_EQ(config.settings().port, 2);
  EXPECT_EQ(config.settings().maxclients, 1);
}

TEST(ConfigFile, AnErrorInAnIncludedFileShowsTheWayToIt) {
  const auto include = [](const Bytes&) -> Result<Bytes> { return Bytes("\nport x\n"); };
  Config config;
  EXPECT_EQ(ErrorOf(config.ReadFile("a.conf", "include b.conf\n", include)),
            "a.conf:1: b.conf:2: 'port x': argument couldn't be parsed into an integer");
  EXPECT_EQ(FileError("include gone.conf"), "test.conf:1: include gone.conf: no such file");
  EXPECT_EQ(FileError("include"), "test.conf:1: include takes one path");
}

TEST(ConfigFile, AFileThatIncludesItselfIsRefused) {
  const auto itself = [](const Bytes&) -> Result<Bytes> { return Bytes("include a.conf\n"); };
  Config config;
  const Bytes error = ErrorOf(config.ReadFile("a.conf", "include a.conf\n", itself));
  EXPECT_NE(error.find("includes go deeper than 16"), Bytes::npos) << error;
}

TEST(ConfigFile, RedisLinesThatSayWhatLockstepDoesAnywayAreTaken) {
  EXPECT_EQ(FileError("appendonly yes\nsave \"\"\ndatabases 1\ncluster-enabled YES\n"), "");
}

TEST(ConfigFile, RedisLinesThatLockstepCannotKeepAreRefusedWithTheReason) {
  EXPECT_EQ(
      FileError("appendonly no"),
      "test.conf:1: 'appendonly no': it is always 'yes': what is acknowledged is on the disks "
      "of a majority");
  EXPECT_NE(FileError("save 900 1"), "");
  EXPECT_NE(FileError("databases 16"), "");
}

// Values with a form of their own
// -------------------------------------------------------------------

TEST(ConfigValues, NodesOfTheClusterAreReadFromOneWordOrMany) {
  const std::vector<NodeAddress> expected = {{NodeId{1}, "127.0.0.1", 17379},
                                             {NodeId{2}, "::1", 17380},
                                             {NodeId{3}, "node-3.example", 17381}};
  const Config one =
      Reading("cluster-nodes \"3=node-3.example:17381 1=127.0.0.1:17379  2=[::1]:17380\"\n");
  const Config many = Reading(
      "cluster-nodes 1=127.0.0.1:17379 2=[::1]:17380 "
      "3=node-3.example:17381\n");
  EXPECT_EQ(one.settings().cluster_nodes, expected);
  EXPECT_EQ(many.settings().cluster_nodes, expected);
  EXPECT_EQ(Value(one, "cluster-nodes"), "1=127.0.0.1:17379 2=[::1]:17380 3=node-3.example:17381");
}

TEST(ConfigValues, MalformedNodesAreRefused) {
  for (const char* bad :
       {"1", "1=a", "1=a:", "1=:7", "=a:7", "x=a:7", "1:7=a", "1=a:b:7", "0=a:7", "1000001=a:7",
        "1=a:0", "1=a:65536", "-1=a:7", "1=a:7,2=b:7", "1=[]:7", "1=a:7 1=b:7", "1=a:7 2=a:7"}) {
    EXPECT_NE(FileError(Bytes("cluster-nodes \"") + bad + "\""), "") << bad;
  }
  EXPECT_EQ(FileError("cluster-nodes 1=a:7 1=b:8"),
            "test.conf:1: 'cluster-nodes 1=a:7 1=b:8': node id twice: '1=b:8'");
}

TEST(ConfigValues, AClusterOfSixtyFourNodesIsTheLargest) {
  Bytes nodes;
  for (int id = 1; id <= 64; ++id)
    nodes += std::to_string(id) + "=host:" + std::to_string(id) + " ";
  EXPECT_EQ(FileError("cluster-nodes " + nodes), "");
  EXPECT_NE(FileError("cluster-nodes " + nodes + "65=host:65"), "");
}

TEST(ConfigValues, SeveralAddressesCanBeListenedOn) {
  EXPECT_EQ(Reading("bind 127.0.0.1 ::1").settings().bind,
            (std::vector<Bytes>{"127.0.0.1", "::1"}));
  EXPECT_NE(FileError("bind \"\""), "");
  Bytes many;
  for (int i = 0; i < 17; ++i) many += " 10.0.0." + std::to_string(i);
  EXPECT_NE(FileError("bind" + many), "");
}

TEST(ConfigValues, AnOutputLimitThatIsNotNamedKeepsItsValue) {
  Config config;
  ASSERT_TRUE(config.Set({{"client-output-buffer-limit", "pubsub 1mb 2k 3"}}).ok());
  EXPECT_EQ(config.settings().client_output_buffer_limit.pubsub, (OutputLimit{1 << 20, 2000, 3}));
  EXPECT_EQ(config.settings().client_output_buffer_limit.normal, OutputLimits().normal);
  EXPECT_EQ(Value(config, "client-output-buffer-limit"),
            "normal 268435456 67108864 60 slave 268435456 67108864 60 pubsub 1048576 2000 3");
  for (const char* name : {"slave", "replica"}) {
    ASSERT_TRUE(config.Set({{"client-output-buffer-limit", Bytes(name) + " 1k 0 0"}}).ok());
    EXPECT_EQ(config.settings().client_output_buffer_limit.replica.hard_bytes, 1000);
    ASSERT_TRUE(config.Set({{"client-output-buffer-limit", "replica 2mb 1mb 60"}}).ok());
    EXPECT_EQ(Value(config, "client-output-buffer-limit"),
              "normal 268435456 67108864 60 slave 2097152 1048576 60 pubsub 1048576 2000 3");
  }
}

TEST(ConfigValues, OutputLimitsAreRefusedInRedissWords) {
  const auto refusal = [](const char* value) {
    Config config;
    return ErrorOf(config.Set({{"client-output-buffer-limit", value}}));
  };
  const Bytes failed =
      "CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - ";
  EXPECT_EQ(refusal("normal 1"),
            failed + "Wrong number of arguments in buffer limit configuration.");
  EXPECT_EQ(refusal(""), failed + "Wrong number of arguments in buffer limit configuration.");
  EXPECT_EQ(refusal("foo 1 2 3"),
            failed + "Invalid client class specified in buffer limit configuration.");
  EXPECT_EQ(refusal("normal x 2 3"),
            failed + "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
  EXPECT_EQ(refusal("normal 1 2 -3"),
            failed + "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
}

TEST(ConfigValues, RedissNamesOfLogLevelsAreTaken) {
  const std::map<Bytes, LogLevel> levels = {
      {"trace", LogLevel::kTrace}, {"debug", LogLevel::kDebug}, {"verbose", LogLevel::kDebug},
      {"notice", LogLevel::kInfo}, {"info", LogLevel::kInfo},   {"warning", LogLevel::kWarn},
      {"warn", LogLevel::kWarn},   {"ERROR", LogLevel::kError}};
  for (const auto& [text, level] : levels) {
    EXPECT_EQ(Reading("loglevel " + text).settings().loglevel, level) << text;
  }
}

TEST(ConfigValues, PortsThatAreNotSetFollowPort) {
  const Settings settings = Reading("port 7000\n").settings();
  EXPECT_EQ(settings.BusPort(), 17000);
  EXPECT_EQ(settings.HttpPort(), 9000);
  EXPECT_EQ(settings.AnnouncedPort(), 7000);
  EXPECT_EQ(settings.AnnouncedBusPort(), 17000);

  const Settings own = Reading(
                           "bus-port 1\nhttp-port 2\ncluster-announce-port 3\n"
                           "cluster-announce-bus-port 4\n")
                           .settings();
  EXPECT_EQ(own.BusPort(), 1);
  EXPECT_EQ(own.HttpPort(), 2);
  EXPECT_EQ(own.AnnouncedPort(), 3);
  EXPECT_EQ(own.AnnouncedBusPort(), 4);
}

TEST(ConfigValues, AnAnnouncedNameGoesBeforeAnAddress) {
  EXPECT_EQ(Reading("cluster-announce-ip 10.0.0.1").settings().AnnouncedHost(), "10.0.0.1");
  EXPECT_EQ(Reading("cluster-announce-ip 10.0.0.1\ncluster-announce-hostname n1")
                .settings()
                .AnnouncedHost(),
            "n1");
}

TEST(ConfigValues, TextWithAZeroByteIsRefused) { EXPECT_NE(FileError("dir \"a\\x00b\""), ""); }

TEST(ConfigValues, EveryValueIsReadBackFromItsOwnText) {
  Config changed = Reading(
      "cluster-nodes 1=[::1]:1 7=b:2\nbind * ::1\nrequirepass \"a b\\n\"\nloglevel error\n"
      "log-format json\nenable-debug-command local\nclient-output-buffer-limit pubsub 0 0 0\n"
      "slowlog-log-slower-than -1\nmaxmemory 3gb\nprotected-mode no\n");
  for (const SettingRow& row : SettingRows()) {
    const Bytes text = SettingText(row, changed.settings());
    Settings read;
    const Bytes words[] = {text};
    ASSERT_TRUE(ReadSetting(row, words, &read).ok()) << row.name;
    EXPECT_EQ(SettingText(row, read), text) << row.name;

    const auto again = WordsOf(Bytes(row.name) + " " + QuotedValue(text));
    ASSERT_TRUE(again.has_value() && again->size() == 2) << row.name;
    EXPECT_EQ((*again)[1], text) << row.name;
  }
}

// What must agree
// -----------------------------------------------------------------------------------

TEST(ConfigCheck, TheDefaultsAgree) { EXPECT_EQ(ErrorOf(Config().Check()), ""); }

TEST(ConfigCheck, SettingsThatContradictEachOtherAreRefused) {
  const std::map<Bytes, Bytes> contradictions = {
      {"port 60000\nhttp-port 1", "port + 10000 is above 65535: set bus-port"},
      {"port 64000\nbus-port 1", "port + 2000 is above 65535: set http-port"},
      {"port 7000\nbus-port 7000", "port and bus-port are the same"},
      {"port 7000\nhttp-port 7000", "port and http-port are the same"},
      {"port 7000\nhttp-port 17000", "bus-port and http-port are the same"},
      {"node-id 2\ncluster-nodes 1=a:1 3=b:1", "cluster-nodes does not list this node's node-id"},
      {"raft-heartbeat-ms 251",
       "raft-heartbeat-ms is above half of raft-election-timeout-ms: one lost heartbeat would make "
       "an election"},
      {"raft-append-bytes 16mb", "raft-append-bytes is above raft-window-bytes"}};
  for (const auto& [text, says] : contradictions) {
    EXPECT_EQ(ErrorOf(Reading(text).Check()), says) << text;
  }
  EXPECT_EQ(ErrorOf(Reading("port 65535\nbus-port 1\nhttp-port 2").Check()), "");
  EXPECT_EQ(ErrorOf(Reading("node-id 3\ncluster-nodes 1=a:1 3=b:1").Check()), "");
}

// Environment and command line
// ----------------------------------------------------------------------

TEST(ConfigSources, TheLaterSourceWins) {
  Config config = Reading("port 1\nmaxclients 1\ntimeout 1\n");
  ASSERT_TRUE(
      config.ReadEnvironment({{"LOCKSTEP_MAXCLIENTS", "2"}, {"LOCKSTEP_TIMEOUT", "2"}}).ok());
  const std::vector<Bytes> args = {"--timeout", "3"};
  ASSERT_TRUE(config.ReadCommandLine(*ParseCommandLine(args)).ok());

  EXPECT_EQ(config.settings().port, 1);
  EXPECT_EQ(config.settings().maxclients, 2);
  EXPECT_EQ(config.settings().timeout, 3);
  EXPECT_EQ(config.OriginOf("maxmemory"), Origin::kDefault);
  EXPECT_EQ(config.OriginOf("port"), Origin::kFile);
  EXPECT_EQ(config.OriginOf("maxclients"), Origin::kEnvironment);
  EXPECT_EQ(config.OriginOf("timeout"), Origin::kCommandLine);
}

TEST(ConfigEnvironment, EverySettingHasAVariable) {
  EXPECT_EQ(EnvironmentName("raft-heartbeat-ms"), "LOCKSTEP_RAFT_HEARTBEAT_MS");
  Config config;
  ASSERT_TRUE(config
                  .ReadEnvironment({{"LOCKSTEP_RAFT_HEARTBEAT_MS", "40"},
                                    {"LOCKSTEP_CLUSTER_NODES", "1=a:1 2=b:2"},
                                    {"PATH", "/bin"}})
                  .ok());
  EXPECT_EQ(config.settings().raft_heartbeat_ms, 40);
  EXPECT_EQ(config.settings().cluster_nodes.size(), 2u);
}

TEST(ConfigEnvironment, AValueThatIsOutOfBoundsIsAnError) {
  Config config;
  const auto read = config.ReadEnvironment({{"LOCKSTEP_PORT", "0"}});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().message,
            "LOCKSTEP_PORT: 'port 0': argument must be between 1 and 65535 inclusive");
}

TEST(ConfigEnvironment, VariablesThatAreNoSettingsAreSkippedAndTold) {
  Config config;
  const auto skipped = config.ReadEnvironment({{"LOCKSTEP_MAXCLIENT", "1"},
                                               {"LOCKSTEP_SERVICE_HOST", "10.0.0.7"},
                                               {"lockstep_port", "1"},
                                               {"LOCKSTEP_port", "1"}});
  ASSERT_TRUE(skipped.ok());
  EXPECT_EQ(*skipped,
            (std::vector<Bytes>{
                "skip LOCKSTEP_MAXCLIENT: no setting has that name (did you mean maxclients?)",
                "skip LOCKSTEP_SERVICE_HOST: no setting has that name",
                "skip LOCKSTEP_port: no setting has that name (did you mean port?)"}));
  EXPECT_EQ(config.settings(), Settings());
}

TEST(ConfigEnvironment, AKubernetesServiceLinkIsNoPort) {
  Config config;
  const auto skipped = config.ReadEnvironment({{"LOCKSTEP_PORT", "tcp://10.0.0.7:7379"}});
  ASSERT_TRUE(skipped.ok());
  EXPECT_EQ(skipped->size(), 1u);
  EXPECT_EQ(config.settings().port, 7379);
}

TEST(ConfigEnvironment, ASecretMayStandInAFileOfItsOwn) {
  EXPECT_EQ(FileTwinOf("LOCKSTEP_REQUIREPASS_FILE"), "LOCKSTEP_REQUIREPASS");
  EXPECT_EQ(FileTwinOf("LOCKSTEP_REQUIREPASS"), "");
  EXPECT_EQ(FileTwinOf("LOCKSTEP_NO_SUCH_FILE"), "");
  EXPECT_EQ(FileTwinOf("OTHER_REQUIREPASS_FILE"), "");
}

TEST(ConfigSources, EachValueIsExplainedByItsSource) {
  Config config = Reading("port 1\n");
  ASSERT_TRUE(config.ReadEnvironment({{"LOCKSTEP_MAXCLIENTS", "2"}}).ok());
  const std::vector<Bytes> args = {"--node-id", "3"};
  ASSERT_TRUE(config.ReadCommandLine(*ParseCommandLine(args)).ok());
  ASSERT_TRUE(config.Set({{"timeout", "4"}}).ok());
  const Bytes explained = config.Explain();
  const auto line_of = [&](const Bytes& name) {
    const size_t at = explained.find("\n" + name + " ") + 1;
    const Bytes line = explained.substr(at, explained.find('\n', at) - at);
    return line.substr(line.find_last_of(' ', line.find('(') - 3) + 1);
  };
  EXPECT_EQ(line_of("port"), "1  (file)");
  EXPECT_EQ(line_of("maxclients"), "2  (environment)");
  EXPECT_EQ(line_of("node-id"), "3  (command line)");
  EXPECT_EQ(line_of("timeout"), "4  (config set)");
  EXPECT_EQ(line_of("tcp-backlog"), "511  (default)");
}

TEST(ConfigValues, ThereIsOneStorage) {
  EXPECT_EQ(FileError("storage rocksdb"), "");
  EXPECT_NE(FileError("storage redis").find("the one storage there is"), Bytes::npos);
}

TEST(ConfigCommandLine, AFileMayStandInFrontOfTheSettings) {
  const std::vector<Bytes> args = {"node.conf", "--port", "7000",   "--bind",
                                   "127.0.0.1", "::1",    "--save", ""};
  const auto line = ParseCommandLine(args);
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->file, "node.conf");
  EXPECT_EQ(line->wish, CommandLine::Wish::kRun);
  EXPECT_EQ(line->settings, (std::vector<std::vector<Bytes>>{
                                {"port", "7000"}, {"bind", "127.0.0.1", "::1"}, {"save", ""}}));
}

TEST(ConfigCommandLine, ADashIsStandardInput) {
  const std::vector<Bytes> args = {"-", "--port", "7000"};
  EXPECT_EQ(ParseCommandLine(args)->file, "-");
  EXPECT_EQ(ParseCommandLine({})->file, "");
}

TEST(ConfigCommandLine, WishesAreTakenInAnyPlace) {
  using Wish = CommandLine::Wish;
  const std::map<Bytes, Wish> wishes = {{"--help", Wish::kHelp},
                                        {"-h", Wish::kHelp},
                                        {"--version", Wish::kVersion},
                                        {"-v", Wish::kVersion},
                                        {"--check-config", Wish::kCheckConfig},
                                        {"--print-config", Wish::kPrintConfig}};
  for (const auto& [arg, wish] : wishes) {
    const std::vector<Bytes> args = {"a.conf", "--port", "1", arg};
    EXPECT_EQ(ParseCommandLine(args)->wish, wish) << arg;
  }
}

TEST(ConfigCommandLine, MistakesAreExplained) {
  EXPECT_EQ(CommandLineError({"--prot", "1"}),
            "command line: unknown setting 'prot' (did you mean port?)");
  EXPECT_EQ(CommandLineError({"--port"}), "command line: 'port': wrong number of arguments");
  EXPECT_EQ(CommandLineError({"a.conf", "b.conf"}),
            "unexpected argument 'b.conf': settings are --name value");
  EXPECT_EQ(CommandLineError({"-p", "7000"}),
            "unexpected argument '-p': settings are --name value");
}

// CONFIG GET, SET, REWRITE
// ---------------------------------------------------------------------------

TEST(ConfigGet, AGlobFindsSettingsInOrderOfName) {
  const Config config;
  EXPECT_EQ(config.Get("slowlog-*"),
            (Pairs{{"slowlog-log-slower-than", "10000"}, {"slowlog-max-len", "128"}}));
  EXPECT_EQ(config.Get("MAXclients"), (Pairs{{"maxclients", "10000"}}));
  EXPECT_TRUE(config.Get("nothing").empty());
  EXPECT_EQ(config.Get("*").size(), SettingRows().size());
}

TEST(ConfigGet, WhatClientsAskForAtTheStartIsAnswered) {
  const Config config;
  const std::map<Bytes, Bytes> answers = {{"save", ""},
                                          {"appendonly", "yes"},
                                          {"databases", "1"},
                                          {"timeout", "0"},
                                          {"replica-read-only", "yes"},
                                          {"slave-read-only", "yes"},
                                          {"maxclients", "10000"},
                                          {"cluster-enabled", "yes"},
                                          {"maxmemory-policy", "noeviction"},
                                          {"tls-port", "0"}};
  for (const auto& [name, value] : answers) EXPECT_EQ(Value(config, name), value) << name;
}

TEST(ConfigGet, ASecretIsNeverShown) {
  const Config config = Reading("requirepass hunter2\n");
  EXPECT_EQ(Value(config, "requirepass"), "");
  EXPECT_EQ(config.Explain().find("hunter2"), Bytes::npos);
  EXPECT_NE(config.Explain().find("***  (file)"), Bytes::npos);
}

TEST(ConfigSet, AllIsSetOrNothing) {
  Config config;
  EXPECT_TRUE(config.Set({{"timeout", "60"}, {"MaxClients", "5"}}).ok());
  EXPECT_EQ(config.settings().timeout, 60);
  EXPECT_EQ(config.settings().maxclients, 5);
  EXPECT_EQ(config.OriginOf("timeout"), Origin::kConfigSet);

  const Settings before = config.settings();
  EXPECT_FALSE(config.Set({{"timeout", "61"}, {"maxclients", "0"}}).ok());
  EXPECT_EQ(config.settings(), before);
}

TEST(ConfigSet, MistakesAreAnsweredInRedissWords) {
  const std::vector<std::pair<Pairs, Bytes>> mistakes = {
      {{{"foo", "1"}}, "Unknown option or number of arguments for CONFIG SET - 'foo'"},
      {{{"timeout", "1"}, {"foo", "2"}},
       "Unknown option or number of arguments for CONFIG SET - 'foo'"},
      {{{"port", "7000"}},
       "CONFIG SET failed (possibly related to argument 'port') - can't set immutable config"},
      {{{"timeout", "1"}, {"timeout", "2"}},
       "CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter"},
      {{{"maxclients", "abc"}},
       "CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be "
       "parsed "
       "into an integer"},
      {{{"maxmemory", "1x"}},
       "CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory "
       "value"},
      {{{"protected-mode", "x"}},
       "CONFIG SET failed (possibly related to argument 'protected-mode') - argument must be 'yes' "
       "or 'no'"},
      {{{"tcp-keepalive", "99999999999"}},
       "CONFIG SET failed (possibly related to argument 'tcp-keepalive') - argument must be "
       "between "
       "0 and 2147483647 inclusive"}};
  for (const auto& [values, says] : mistakes) {
    Config config;
    EXPECT_EQ(ErrorOf(config.Set(values)), says);
    EXPECT_EQ(config.settings(), Settings());
  }
}

TEST(ConfigSet, AFixedSettingTakesOnlyItsOwnValue) {
  Config config;
  EXPECT_TRUE(config.Set({{"save", ""}, {"appendonly", "YES"}}).ok());
  EXPECT_EQ(ErrorOf(config.Set({{"maxmemory-policy", "allkeys-lru"}})),
            "CONFIG SET failed (possibly related to argument 'maxmemory-policy') - it is always "
            "'noeviction': a lock is never evicted to make room");
}

TEST(ConfigSet, SettingsThatWouldContradictEachOtherAreRefused) {
  Config config;
  const auto set = config.Set({{"timeout", "5"}, {"client-query-buffer-limit", "1mb"}});
  EXPECT_EQ(ErrorOf(set),
            "CONFIG SET failed (possibly related to argument 'client-query-buffer-limit') - "
            "proto-max-bulk-len is above client-query-buffer-limit: such an argument could never "
            "arrive");
  EXPECT_EQ(config.settings(), Settings());
  EXPECT_TRUE(
      config.Set({{"client-query-buffer-limit", "1mb"}, {"proto-max-bulk-len", "1mb"}}).ok());
}

TEST(ConfigRewrite, CommentsOrderAndTrueLinesStay) {
  const Bytes text = "# My node.\nport 7000\n\n  Timeout 5\n# bytes\nmaxmemory 1gb\nnode-id 1";
  Config config = Reading(text);
  EXPECT_EQ(config.Rewrite(text), text);

  ASSERT_TRUE(config.Set({{"timeout", "6"}, {"maxmemory", "1073741824"}}).ok());

  EXPECT_EQ(config.Rewrite(text),
            "# My node.\nport 7000\n\ntimeout 6\n# bytes\nmaxmemory 1gb\nnode-id 1");
}

TEST(ConfigRewrite, WhatTheFileDoesNotSayIsAddedAtItsEndOnce) {
  const Bytes text = "port 7000";
  Config config = Reading(text);
  ASSERT_TRUE(
      config.Set({{"timeout", "6"}, {"requirepass", "a \"b\""}, {"maxclients", "10000"}}).ok());

  const Bytes once = config.Rewrite(text);

  EXPECT_EQ(once,
            "port 7000\n# Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\\"\"\ntimeout 6\n");
  EXPECT_EQ(config.Rewrite(once), once);
  EXPECT_EQ(Reading(once).settings(), config.settings());

  ASSERT_TRUE(config.Set({{"slowlog-max-len", "7"}}).ok());
  EXPECT_EQ(config.Rewrite(once), once + "slowlog-max-len 7\n");
}

TEST(ConfigRewrite, OfLinesThatStandTwiceOneIsLeft) {
  const Bytes text = "timeout 1\nport 7000\ntimeout 2\n";
  Config config = Reading(text);
  ASSERT_TRUE(config.Set({{"timeout", "3"}}).ok());
  EXPECT_EQ(config.Rewrite(text), "port 7000\ntimeout 3\n");
}

TEST(ConfigRewrite, AnIncludedFileDoesNotOverruleWhatWasSet) {
  const auto include = [](const Bytes&) -> Result<Bytes> { return Bytes("timeout 9\nport 2\n"); };
  const Bytes text = "timeout 1\ninclude b.conf\nport 1\n";
  Config config;
  ASSERT_TRUE(config.ReadFile("a.conf", text, include).ok());
  ASSERT_TRUE(config.Set({{"timeout", "0"}}).ok());  // The default, but not what b.conf says.

  const Bytes rewritten = config.Rewrite(text);

  EXPECT_EQ(rewritten, "include b.conf\nport 1\n# Generated by CONFIG REWRITE\ntimeout 0\n");
  Config again;
  ASSERT_TRUE(again.ReadFile("a.conf", rewritten, include).ok());
  EXPECT_EQ(again.settings(), config.settings());
}

TEST(ConfigRewrite, TheCommandLineIsWrittenAndTheEnvironmentIsNot) {
  Config config = Reading("port 1\n");
  ASSERT_TRUE(config.ReadEnvironment({{"LOCKSTEP_REQUIREPASS", "hunter2"}}).ok());
  const std::vector<Bytes> args = {"--port", "2"};
  ASSERT_TRUE(config.ReadCommandLine(*ParseCommandLine(args)).ok());
  EXPECT_EQ(config.Rewrite("port 1\n"), "port 2\n");
}

}  // namespace
}  // namespace lockstep
