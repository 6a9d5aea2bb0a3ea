// The repository as text, for the tests that hold it to its own rules. Read from LOCKSTEP_ROOT, or
// from the working directory.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep {

struct SourceFile {
  Bytes path;  // From the root: "src/base/bytes.h".
  std::vector<Bytes> lines;
};

inline std::filesystem::path RepositoryRoot() {
  const char* root = std::getenv("LOCKSTEP_ROOT");
  return root != nullptr ? root : ".";
}

inline std::vector<Bytes> SplitLines(const Bytes& text) {
  std::vector<Bytes> lines;
  std::istringstream in(text);
  for (Bytes line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline Bytes ReadRepositoryFile(const Bytes& path) {
  std::ifstream file(RepositoryRoot() / path);
  EXPECT_TRUE(file.good()) << path << ": run from the root of the repository, or set LOCKSTEP_ROOT";
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The .h and .cc files below the folders, sorted by path.
inline std::vector<SourceFile> ReadSources(std::initializer_list<const char*> folders) {
  const auto root = RepositoryRoot();
  std::vector<SourceFile> files;
  for (const char* folder : folders) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const auto extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      const Bytes path = entry.path().lexically_relative(root).string();
      files.push_back({path, SplitLines(ReadRepositoryFile(path))});
    }
  }
  EXPECT_FALSE(files.empty());
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace lockstep
