// tests/README.md's tables of traps and of planted bugs say what is so: each bug is planted and
// listed, and the tests that they name exist.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "src/base/planted.h"
#include "tests/source_tree.h"

namespace lockstep {
namespace {

#ifndef LOCKSTEP_MUTANTS
static_assert(!Planted(Mutant::kVoteTwice), "nothing of a plant is left without the switch");
#endif

constexpr size_t kTraps = 56;
constexpr size_t kQueueTraps = 38;  // Their numbers begin with a q,
constexpr size_t kCacheTraps = 34;  // and with a c.

// The rows of the table below `heading`, by what stands in the first column.
std::map<Bytes, Bytes> RowsBelow(const Bytes& heading) {
  const Bytes readme = ReadRepositoryFile("tests/README.md");
  const size_t begin = readme.find("\n" + heading + "\n");
  EXPECT_NE(begin, Bytes::npos) << heading;
  const size_t end = readme.find("\n## ", begin + 1);
  std::map<Bytes, Bytes> rows;
  static const std::regex kRow(R"(\| `?([a-z0-9-]+)`? \|(.*)\|)");
  for (const Bytes& line : SplitLines(readme.substr(begin, end - begin))) {
    std::smatch match;
    if (!std::regex_match(line, match, kRow) || match[1] == "mutant" || match[1] == "---") continue;
    EXPECT_TRUE(rows.emplace(match[1], match[2]).second) << "twice: " << line;
  }
  return rows;
}

// What a row names as `program: test`.
std::vector<std::pair<Bytes, Bytes>> TestsIn(const Bytes& row) {
  static const std::regex kTest(R"(`([\w./-]+): (\w+)`)");
  std::vector<std::pair<Bytes, Bytes>> tests;
  for (std::sregex_iterator at(row.begin(), row.end(), kTest), end; at != end; ++at) {
    tests.emplace_back(at->str(1), at->str(2));
  }
  return tests;
}

bool TestExists(const Bytes& program, const Bytes& test) {
  const std::filesystem::path root = RepositoryRoot();
  if (program == "trace_test") {
    return std::filesystem::exists(root / "tests/traces/raft" / (test + ".txt"));
  }
  const bool is_python = program.ends_with(".py");
  const Bytes path = is_python ? program : "tests/" + program + ".cc";
  if (!std::filesystem::exists(root / path)) return false;
  const Bytes declaration =
      is_python ? "def " + test + "\\(" : R"(\nTEST(_F|_P)?\(\w+, )" + test + "\\)";
  return std::regex_search(ReadRepositoryFile(path), std::regex(declaration));
}

TEST(Planted, TheTableNamesEachMutantAndNoOther) {
  std::set<Bytes> named;
  for (const auto& [name, row] : RowsBelow("## Planted bugs")) named.insert(name);
  EXPECT_EQ(named, std::set<Bytes>(std::begin(kMutantNames), std::end(kMutantNames)));
}

TEST(Planted, EachMutantIsPlanted) {
#define LOCKSTEP_MUTANT_ROW(mutant, name) "Planted(Mutant::" #mutant ")",
  for (const Bytes plant : {LOCKSTEP_EACH_MUTANT(LOCKSTEP_MUTANT_ROW)}) {
#undef LOCKSTEP_MUTANT_ROW
    bool found = false;
    for (const SourceFile& file : ReadSources({"src", "cluster", "commands"})) {
      for (const Bytes& line : file.lines) found = found || line.find(plant) != Bytes::npos;
    }
    EXPECT_TRUE(found) << plant << " stands nowhere";
  }
}

TEST(Planted, EachMutantHasATestThatExists) {
  for (const auto& [name, row] : RowsBelow("## Planted bugs")) {
    EXPECT_FALSE(TestsIn(row).empty()) << name;
    for (const auto& [program, test] : TestsIn(row)) {
      EXPECT_TRUE(TestExists(program, test)) << name << ": " << program << ": " << test;
    }
  }
}

TEST(Traps, EachHasATestThatExistsOrWhatMakesItImpossible) {
  const std::map<Bytes, Bytes> rows = RowsBelow("## Traps");
  EXPECT_EQ(rows.size(), kTraps + kQueueTraps + kCacheTraps);
  std::vector<Bytes> numbers;
  for (size_t n = 1; n <= kTraps; ++n) numbers.push_back(std::to_string(n));
  for (size_t n = 1; n <= kQueueTraps; ++n) numbers.push_back("q" + std::to_string(n));
  for (size_t n = 1; n <= kCacheTraps; ++n) numbers.push_back("c" + std::to_string(n));
  for (const Bytes& number : numbers) {
    const auto row = rows.find(number);
    ASSERT_NE(row, rows.end()) << number;
    const bool open = row->second.find("**Open.**") != Bytes::npos;
    EXPECT_NE(open, !TestsIn(row->second).empty()) << number << ":" << row->second;
    for (const auto& [program, test] : TestsIn(row->second)) {
      EXPECT_TRUE(TestExists(program, test)) << number << ": " << program << ": " << test;
    }
  }
}

TEST(Traps, ATestThatDoesNotExistIsFound) {
  EXPECT_TRUE(TestExists("planted_test", "ATestThatDoesNotExistIsFound"));
  EXPECT_FALSE(TestExists("planted_test", "ATestThatDoesNotExist"));
  EXPECT_FALSE(TestExists("no_such_test", "ATestThatDoesNotExistIsFound"));
  EXPECT_FALSE(TestExists("trace_test", "no_such_trace"));
  EXPECT_EQ(TestsIn("`a_test: B`, and `redis-tests/c.py: test_d`").size(), 2u);
}

}  // namespace
}  // namespace lockstep
