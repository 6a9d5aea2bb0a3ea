// README.md names the commands that there are, and no other.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "commands/command.h"
#include "tests/source_tree.h"

namespace lockstep {
namespace {

// Names of the table's commands, those for which `wanted` says so.
template <class Wanted>
std::set<Bytes> CommandNames(const Wanted& wanted) {
  std::set<Bytes> names;
  for (const CommandSpec* command : CommandTable::Get().all()) {
    if (wanted(Bytes(command->name))) names.insert(command->name);
  }
  return names;
}

bool IsLockCommand(const Bytes& name) { return name.starts_with("LOCK."); }
bool IsQueueCommand(const Bytes& name) { return name.starts_with("DQ."); }
bool IsCacheCommand(const Bytes& name) { return name.starts_with("DCACHE."); }
bool IsOurs(const Bytes& name) {
  return IsLockCommand(name) || IsQueueCommand(name) || IsCacheCommand(name);
}

// What the first group of `pattern` matches in `text`.
std::set<Bytes> Matches(const Bytes& text, const std::regex& pattern) {
  std::set<Bytes> found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
    found.insert(at->str(1));
  }
  return found;
}

Bytes Between(const Bytes& text, const Bytes& from, const Bytes& to) {
  const size_t begin = text.find(from);
  const size_t end = text.find(to, begin);
  EXPECT_TRUE(begin != Bytes::npos && end != Bytes::npos) << from;
  return text.substr(begin, end - begin);
}

TEST(Readme, HasARowForEachOfOurCommandsAndNamesNoOther) {
  const Bytes readme = ReadRepositoryFile("README.md");
  EXPECT_EQ(Matches(readme, std::regex("\n\\| `((?:LOCK|DQ|DCACHE)\\.[A-Z]+)[ `]")),
            CommandNames(IsOurs));
  for (const Bytes& name : Matches(readme, std::regex("((?:LOCK|DQ|DCACHE)\\.[A-Z]+)"))) {
    EXPECT_TRUE(CommandNames(IsOurs).contains(name)) << name;
  }
}

TEST(Readme, ListsTheServerCommands) {
  const Bytes list =
      Between(ReadRepositoryFile("README.md"), "<!-- server commands", "<!-- end -->");
  EXPECT_EQ(Matches(list, std::regex("`([A-Z]+)`")),
            CommandNames([](const Bytes& name) { return !IsOurs(name); }));
}

// Every word that an argument is given with, those of alternatives too.
void CollectTokens(std::span<const Argument> arguments, std::set<Bytes>* tokens) {
  for (const Argument& argument : arguments) {
    if (argument.token != nullptr) tokens->insert(argument.token);
    CollectTokens(argument.children, tokens);
  }
}

TEST(Readme, ShowsTheOptionsOfEachOfOurCommands) {
  const Bytes readme = ReadRepositoryFile("README.md");
  for (const CommandSpec* command : CommandTable::Get().all()) {
    if (!IsOurs(command->name)) continue;
    const Bytes row = Between(readme, "\n| `" + Bytes(command->name), "` |");
    std::set<Bytes> tokens;
    CollectTokens(command->arguments, &tokens);
    for (const CommandSpec& subcommand : command->subcommands) {
      if (Bytes(subcommand.name) == "HELP") continue;
      tokens.insert(subcommand.name);
      CollectTokens(subcommand.arguments, &tokens);
    }
    EXPECT_EQ(Matches(row, std::regex("[ \\[|]([A-Z]+)\\b")), tokens) << command->name;
  }
}

TEST(Readme, TheClusterCommandsItNamesExist) {
  const Bytes readme = ReadRepositoryFile("README.md");
  for (const Bytes& name : Matches(readme, std::regex("`CLUSTER ([A-Z]+)"))) {
    const BytesView argv[] = {"CLUSTER", name};
    EXPECT_NE(CommandTable::Get().Find(argv).subcommand, nullptr) << name;
  }
}

}  // namespace
}  // namespace lockstep
