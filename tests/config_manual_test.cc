// conf/lockstep.conf is the manual: it documents every setting, and what it says is so.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "src/config.h"
#include "src/config_text.h"
#include "src/settings_table.h"
#include "tests/source_tree.h"

namespace lockstep {
namespace {

Bytes ErrorOf(const Result<void>& result) { return result.ok() ? "" : result.error().message; }

Config Reading(BytesView text) {
  const auto no_include = [](const Bytes&) -> Result<Bytes> { return Error{"no such file"}; };
  Config config;
  EXPECT_EQ(ErrorOf(config.ReadFile("manual", text, no_include)), "");
  return config;
}

// A setting as conf/lockstep.conf shows it: the comment above it, and the value.
struct Documented {
  Bytes comment;
  Bytes value;
};

std::map<Bytes, Documented> ReadManual() {
  std::map<Bytes, Documented> manual;
  const Bytes text = ReadRepositoryFile("conf/lockstep.conf");
  Bytes comment;
  for (BytesView rest = text; !rest.empty();) {
    const Bytes line(NextLine(&rest));
    if (line == "\n") {
      comment.clear();
    } else if (line[0] == '#') {
      comment += " " + line.substr(1, line.size() - 2);
    } else {
      const auto words = WordsOf(line).value_or(std::vector<Bytes>());
      EXPECT_EQ(words.size(), 2u) << line;
      const bool first = manual.insert({words.at(0), {comment, words.at(1)}}).second;
      EXPECT_TRUE(first) << words.at(0) << " stands twice";
    }
  }
  return manual;
}

Bytes BoundsText(const SettingRow& row) {
  using Unit = SettingRow::Unit;
  const bool bytes = row.unit == Unit::kBytes;
  const Bytes bounds = (bytes ? ByteCountText(row.low) : std::to_string(row.low)) + " to " +
                       (bytes ? ByteCountText(row.high) : std::to_string(row.high));
  switch (row.unit) {
    case Unit::kNone: return "";
    case Unit::kPort: return "A port, " + bounds + ".";
    case Unit::kCount: return "A number, " + bounds + ".";
    case Unit::kBytes: return "Bytes, " + bounds + ".";
    case Unit::kMicroseconds: return "Microseconds, " + bounds + ".";
    case Unit::kMilliseconds: return "Milliseconds, " + bounds + ".";
    case Unit::kSeconds: return "Seconds, " + bounds + ".";
  }
  return "";
}

TEST(ConfigManual, DocumentsEverySettingAndNoOther) {
  std::set<Bytes> documented;
  for (const auto& [name, entry] : ReadManual()) documented.insert(name);
  std::set<Bytes> settings;
  for (const SettingRow& row : SettingRows()) settings.insert(row.name);
  EXPECT_EQ(documented, settings);
}

TEST(ConfigManual, StatesEachDefault) {
  const Config config = Reading(ReadRepositoryFile("conf/lockstep.conf"));
  EXPECT_EQ(config.settings(), Settings());
  EXPECT_EQ(ErrorOf(config.Check()), "");
}

TEST(ConfigManual, StatesBoundsAndWhetherASettingMayChange) {
  for (const auto& [name, entry] : ReadManual()) {
    const SettingRow* row = FindSetting(name);
    ASSERT_NE(row, nullptr) << name;
    const Bytes& comment = entry.comment;
    const auto says = [&](const Bytes& text) { return comment.find(text) != Bytes::npos; };
    EXPECT_TRUE(says(BoundsText(*row))) << name << " lacks: " << BoundsText(*row);
    EXPECT_EQ(says("Can be changed while running"), row->change == SettingRow::Change::kLive)
        << name;
    EXPECT_EQ(says("Needs a restart."), row->change == SettingRow::Change::kRestart) << name;
    EXPECT_EQ(says("Fixed: "), row->change == SettingRow::Change::kFixed) << name;
  }
}

TEST(ConfigManual, TheThreeNodesOfMakeRunAgreeOnTheirCluster) {
  std::vector<NodeAddress> nodes;
  for (int id = 1; id <= 3; ++id) {
    const Bytes path = "conf/node-" + std::to_string(id) + ".conf";
    const Config config = Reading(ReadRepositoryFile(path));
    const Settings& settings = config.settings();
    EXPECT_EQ(ErrorOf(config.Check()), "") << path;
    EXPECT_EQ(settings.node_id, id);
    EXPECT_EQ(settings.port, 7378 + id);
    EXPECT_EQ(settings.dir, "./data/node-" + std::to_string(id));
    if (id == 1) nodes = settings.cluster_nodes;
    ASSERT_EQ(settings.cluster_nodes, nodes);
    EXPECT_EQ(nodes.at(static_cast<size_t>(id) - 1).bus_port, settings.BusPort());
  }
}

TEST(ConfigManual, TheContainersSetOnlyWhatThereIs) {
  static const std::regex kVariable("LOCKSTEP_[A-Z_]+");
  std::set<Bytes> variables;
  for (const char* path : {"docker-compose.yml", "conf/Dockerfile"}) {
    const Bytes text = ReadRepositoryFile(path);
    for (std::sregex_iterator at(text.begin(), text.end(), kVariable), end; at != end; ++at) {
      const Bytes plain = FileTwinOf(at->str());
      variables.insert(plain.empty() ? at->str() : plain);
    }
  }
  std::set<Bytes> known;
  for (const SettingRow& row : SettingRows()) known.insert(EnvironmentName(row.name));
  EXPECT_GE(variables.size(), 5u);
  for (const Bytes& variable : variables) EXPECT_TRUE(known.contains(variable)) << variable;
}

}  // namespace
}  // namespace lockstep
