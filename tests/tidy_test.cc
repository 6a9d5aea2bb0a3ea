// The house numbers (ARCHITECTURE.md). They are a mirror, not a target: what is beyond one is
// listed, and only what is beyond reason fails. Split a file where an idea ends, never where a
// counter says so.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <regex>

#include "tests/source_tree.h"

namespace lockstep {
namespace {

constexpr size_t kFileLinesMax = 700;
constexpr size_t kFileLinesMedian = 180;
constexpr size_t kFunctionLinesMax = 70;
constexpr size_t kFunctionLinesMedian = 15;
constexpr size_t kColumnsMax = 100;
constexpr size_t kCommentPercentMin = 15;
constexpr size_t kCommentPercentMax = 30;

// What is over a number and better left so, with the reason.
const std::map<Bytes, Bytes> kDefended = {
    {"tests/lock_model.h",
     "the oracle's long function is naive on purpose: one rule a line"},
};

struct Function {
  size_t line = 0;   // Where its text begins, from 1.
  size_t lines = 0;  // Up to the brace that closes it.
};

size_t IndentOf(const Bytes& line) { return std::min(line.find_first_not_of(' '), line.size()); }

// Where the body opens of the function whose text begins at this line: at column 0, or at column 2
// for a method that is written in its class. Nothing if no function begins here.
std::optional<size_t> FindBody(const SourceFile& file, size_t begin) {
  static const std::regex kOther(
      R"(\s*(//|#|\}|using\b|namespace\b|class\b|struct\b|enum\b|union\b|extern\b|template\b))");
  const Bytes& first = file.lines[begin];
  const size_t indent = IndentOf(first);
  if (first.empty() || indent > 2 || indent == 1) return {};
  if (std::regex_search(first, kOther, std::regex_constants::match_continuous)) return {};
  bool has_arguments = false;
  for (size_t at = begin; at < file.lines.size(); ++at) {
    const Bytes& line = file.lines[at];
    if (at > begin && IndentOf(line) <= indent) return {};
    has_arguments = has_arguments || line.find('(') != Bytes::npos;
    if (line.ends_with("= {")) return {};
    if (line.ends_with("{")) return has_arguments ? std::optional(at) : std::nullopt;
    if (line.ends_with(";") || line.ends_with("}")) return {};
  }
  return {};
}

// What is indented deeper than a function's first line belongs to it.
std::vector<Function> FindFunctions(const SourceFile& file) {
  std::vector<Function> functions;
  for (size_t begin = 0; begin < file.lines.size(); ++begin) {
    const std::optional<size_t> body = FindBody(file, begin);
    if (!body) continue;
    const Bytes closing = Bytes(IndentOf(file.lines[begin]), ' ') + "}";
    size_t end = *body + 1;
    while (end < file.lines.size() && !file.lines[end].starts_with(closing)) ++end;
    functions.push_back({begin + 1, end - begin + 1});
    begin = end;
  }
  return functions;
}

// Characters, not bytes: a UTF-8 continuation byte takes no column.
size_t ColumnsOf(const Bytes& line) {
  return static_cast<size_t>(std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

size_t Median(std::vector<size_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// What is over a hard number, each as "path:line: what".
std::vector<Bytes> OffencesOf(const SourceFile& file) {
  std::vector<Bytes> offences;
  const auto add = [&](size_t line, const char* what, size_t number) {
    offences.push_back(Format("%s:%zu: %s %zu", file.path.c_str(), line, what, number));
  };
  if (file.lines.size() > kFileLinesMax) add(1, "lines of the file:", file.lines.size());
  for (const Function& function : FindFunctions(file)) {
    if (function.lines > kFunctionLinesMax)
      add(function.line, "lines of a function:", function.lines);
  }
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const size_t columns = ColumnsOf(file.lines[i]);
    if (columns > kColumnsMax) add(i + 1, "columns:", columns);
  }
  return offences;
}

TEST(Tidy, NothingIsBeyondTheHouseNumbers) {
  Bytes offences;
  for (const SourceFile& file : ReadSources({"src", "cluster", "commands", "tests"})) {
    if (kDefended.contains(file.path)) continue;
    for (const Bytes& offence : OffencesOf(file)) offences += "\n  " + offence;
  }
  EXPECT_TRUE(offences.empty()) << offences;
}

TEST(Tidy, WhatIsDefendedIsStillThereAndStillNeedsIt) {
  for (const auto& [path, reason] : kDefended) {
    const SourceFile file{path, SplitLines(ReadRepositoryFile(path))};
    EXPECT_FALSE(OffencesOf(file).empty()) << path << " needs no defence any more";
    EXPECT_FALSE(reason.empty()) << path;
  }
}

// Prints how the house stands; a reader judges.
TEST(Tidy, TheMirror) {
  std::vector<size_t> file_lines, function_lines;
  size_t lines = 0, comments = 0;
  for (const SourceFile& file : ReadSources({"src", "cluster", "commands"})) {
    file_lines.push_back(file.lines.size());
    for (const Function& function : FindFunctions(file)) function_lines.push_back(function.lines);
    for (const Bytes& line : file.lines) {
      if (line.empty()) continue;
      ++lines;
      comments += line.find("//") != Bytes::npos ? 1 : 0;
    }
  }
  ASSERT_GT(function_lines.size(), file_lines.size());  // Or the finder finds nothing.
  std::printf("  %zu files, median %zu lines (house: %zu)\n", file_lines.size(), Median(file_lines),
              kFileLinesMedian);
  std::printf("  %zu functions, median %zu lines (house: %zu)\n", function_lines.size(),
              Median(function_lines), kFunctionLinesMedian);
  std::printf("  %zu %% of %zu lines hold a comment (house: %zu to %zu)\n", comments * 100 / lines,
              lines, kCommentPercentMin, kCommentPercentMax);
}

TEST(Tidy, TheFinderSeesFunctionsAndMethodsAndNothingElse) {
  const SourceFile file{"x.cc", SplitLines(R"(namespace a {
constexpr int kTable[] = {
    1, 2,
};
struct S {
  int Get() const { return 1; }
  void Do(int a,
          int b) {
    if (a) {
      b = 1;
    }
  }
};
int Free(int a) {
  for (;;) {
  }
  return a;
}
}  // namespace a
)")};
  const std::vector<Function> functions = FindFunctions(file);
  ASSERT_EQ(functions.size(), 2u);
  EXPECT_EQ(functions[0].line, 7u);
  EXPECT_EQ(functions[0].lines, 6u);
  EXPECT_EQ(functions[1].line, 14u);
  EXPECT_EQ(functions[1].lines, 5u);
}

TEST(Tidy, TheRulesThemselvesFindOffenders) {
  EXPECT_EQ(OffencesOf({"x", std::vector<Bytes>(701, "a")}).size(), 1u);
  EXPECT_EQ(OffencesOf({"x", std::vector<Bytes>(700, "a")}).size(), 0u);
  EXPECT_EQ(OffencesOf({"x", {Bytes(101, 'a'), Bytes(100, 'a')}}).size(), 1u);
  EXPECT_EQ(ColumnsOf("a\xC2\xA7z"), 3u);

  std::vector<Bytes> body(69, "  a;");
  body.insert(body.begin(), "void F() {");
  body.push_back("}");
  EXPECT_EQ(OffencesOf({"x", body}).size(), 1u);
  body.erase(body.begin() + 1);
  EXPECT_EQ(OffencesOf({"x", body}).size(), 0u);
}

}  // namespace
}  // namespace lockstep
