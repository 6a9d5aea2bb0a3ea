// Who may include whom is a straight line:
//   src/base <- src/resp <- cluster <- commands <- src <- src/io <- src/main.cc
// A file includes its own layer or one before it; the engines in cluster/ do not know each other;
// the world (sockets, disk, clock, threads, dice) is src/io's alone. What decides is deterministic.
#include <gtest/gtest.h>

#include <optional>
#include <regex>

#include "tests/source_tree.h"

namespace lockstep {
namespace {

enum Layer { kBase, kResp, kCluster, kCommands, kNode, kIo, kMain };

std::optional<Layer> LayerOf(const Bytes& path) {
  if (path == "src/main.cc") return kMain;
  if (path.starts_with("src/base/")) return kBase;
  if (path.starts_with("src/resp/")) return kResp;
  if (path.starts_with("src/io/")) return kIo;
  if (path.starts_with("src/")) return kNode;
  if (path.starts_with("cluster/")) return kCluster;
  if (path.starts_with("commands/")) return kCommands;
  return std::nullopt;
}

// "cluster/raft" of "cluster/raft/raft.h".
Bytes EngineOf(const Bytes& path) { return path.substr(0, path.rfind('/')); }

// Headers that reach outside the process or make two runs differ.
bool IsOfTheWorld(const Bytes& header) {
  static const std::regex kWorld(
      "uv\\.h|(openssl|rocksdb|hiredis|spdlog|sys|netinet|arpa)/.*|unistd\\.h|fcntl\\.h|signal\\.h|"
      "csignal|thread|mutex|shared_mutex|condition_variable|future|atomic|chrono|ctime|time\\.h|"
      "random|fstream|iostream|filesystem");
  return std::regex_match(header, kWorld);
}

// What is wrong with one line of the file at `path`; nothing if it is allowed.
std::optional<Bytes> IncludeOffence(const Bytes& path, const Bytes& line) {
  static const std::regex kInclude(R"re(#include (["<])([^">]+)[">].*)re");
  std::smatch match;
  if (!line.starts_with("#include") || !std::regex_match(line, match, kInclude)) {
    return std::nullopt;
  }
  const Layer layer = LayerOf(path).value();
  const Bytes header = match[2];

  if (match[1] == "<") {
    if (layer >= kIo || !IsOfTheWorld(header)) return std::nullopt;
    return path + " includes <" + header + ">, which only src/io and src/main.cc may";
  }
  const std::optional<Layer> theirs = LayerOf(header);
  if (!theirs) return path + " includes \"" + header + "\", which is in no layer";
  if (*theirs > layer) return path + " includes \"" + header + "\", which stands to its right";
  if (layer == kCluster && *theirs == kCluster && EngineOf(path) != EngineOf(header)) {
    return path + " includes \"" + header + "\": engines do not know each other";
  }
  return std::nullopt;
}

// Files whose code runs on every node and must do the same there.
bool IsReplicated(const Bytes& path) {
  static const std::regex kMachines(
      "cluster/.*|commands/(lock_|wait_graph|control_machine|cache_spaces|replica|state_machine|"
      "slab|name_index|deadline_heap).*");
  return std::regex_match(path, kMachines);
}

Bytes WithoutComment(const Bytes& line) { return line.substr(0, line.find("//")); }

std::optional<Bytes> DeterminismOffence(const Bytes& path, const Bytes& line) {
  static const std::regex kFloating(R"(\b(double|float)\b)");
  static const std::regex kPointerKey(R"(\b(map|set)<\s*(const\s+)?[\w:]+\s*(const\s*)?\*)");
  // Most lines have none of these words, and looking for them is far cheaper than the patterns.
  const auto has = [&line](const char* word) { return line.find(word) != Bytes::npos; };
  if ((has("double") || has("float")) && std::regex_search(WithoutComment(line), kFloating)) {
    return path + " uses floating point: " + line;
  }
  if ((has("map<") || has("set<")) && std::regex_search(WithoutComment(line), kPointerKey)) {
    return path + " uses pointers as keys: " + line;
  }
  return std::nullopt;
}

TEST(Layers, EachFileIncludesOnlyItsOwnLayerAndThoseBeforeIt) {
  for (const SourceFile& file : ReadSources({"src", "cluster", "commands"})) {
    for (const Bytes& line : file.lines) {
      if (const auto offence = IncludeOffence(file.path, line)) ADD_FAILURE() << *offence;
    }
  }
}

TEST(Layers, WhatIsReplicatedUsesNoFloatingPointAndNoPointersAsKeys) {
  for (const SourceFile& file : ReadSources({"cluster", "commands"})) {
    if (!IsReplicated(file.path)) continue;
    for (const Bytes& line : file.lines) {
      if (const auto offence = DeterminismOffence(file.path, line)) ADD_FAILURE() << *offence;
    }
  }
}

TEST(Layers, EachHeaderIsReadOnce) {
  for (const SourceFile& file : ReadSources({"src", "cluster", "commands", "tests"})) {
    if (!file.path.ends_with(".h")) continue;
    EXPECT_NE(std::find(file.lines.begin(), file.lines.end(), "#pragma once"), file.lines.end())
        << file.path;
  }
}

TEST(Layers, TheRulesThemselvesFindOffenders) {
  const auto offends = [](const Bytes& path, const Bytes& line) {
    return IncludeOffence(path, line).has_value();
  };
  EXPECT_TRUE(offends("src/base/bytes.h", "#include \"src/resp/reply.h\""));
  EXPECT_TRUE(offends("cluster/raft/raft.cc", "#include \"commands/action.h\""));
  EXPECT_TRUE(offends("cluster/raft/raft.cc", "#include \"cluster/bus/frame.h\""));
  EXPECT_TRUE(offends("commands/lock.cc", "#include \"src/node.h\""));
  EXPECT_TRUE(offends("src/node.cc", "#include \"src/io/loop.h\""));
  EXPECT_TRUE(offends("src/node.cc", "#include <chrono>  // A clock."));
  EXPECT_TRUE(offends("commands/lock.cc", "#include <sys/time.h>"));
  EXPECT_TRUE(offends("src/io/loop.cc", "#include \"tests/sim/sim.h\""));

  EXPECT_FALSE(offends("src/node.cc", "#include \"commands/host.h\""));
  EXPECT_FALSE(offends("cluster/raft/raft.cc", "#include \"cluster/raft/raft.h\""));
  EXPECT_FALSE(offends("src/io/loop.cc", "#include <uv.h>"));
  EXPECT_FALSE(offends("src/main.cc", "#include \"src/io/loop.h\""));
  EXPECT_FALSE(offends("commands/lock.cc", "#include <vector>"));
  EXPECT_FALSE(offends("commands/lock.cc", "// #include <chrono>"));

  EXPECT_TRUE(DeterminismOffence("x", "  double load = 0;").has_value());
  EXPECT_TRUE(DeterminismOffence("x", "  std::map<const Owner*, int> ages_;").has_value());
  EXPECT_FALSE(DeterminismOffence("x", "  int doubled = 2;  // Not a double.").has_value());
  EXPECT_FALSE(DeterminismOffence("x", "  std::map<NodeId, Owner*> owners_;").has_value());
}

}  // namespace
}  // namespace lockstep
