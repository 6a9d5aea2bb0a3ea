// The text of a configuration file as lines and words, and how it is rewritten.
#pragma once

#include <optional>
#include <vector>

#include "src/settings.h"
#include "src/settings_table.h"

namespace lockstep {

// Takes the next line, with its newline if it has one, off `text`.
BytesView NextLine(BytesView* text);

// The words of a line: empty for a blank line or a comment, nothing for unbalanced quotes.
std::optional<std::vector<Bytes>> WordsOf(BytesView line);

// The value as one word that WordsOf reads back.
Bytes QuotedValue(const Bytes& value);

// Makes a file's text say what is in force, one setting after the other. A line is the unit: it
// stays as it is, goes, or is replaced; what is not said anywhere is added at the end, under a line
// that tells where it comes from.
class ConfigRewriter {
 public:
  ConfigRewriter(BytesView text, const Settings& settings);  // Borrows `settings`.

  void Write(const SettingRow& row);
  Bytes Text() const;

 private:
  struct Line {
    Bytes text;  // With its newline; empty: gone.
    std::vector<Bytes> words;
    bool Sets(BytesView name) const;
  };
  bool Says(const SettingRow& row, const std::vector<size_t>& places) const;

  const Settings& settings_;
  std::vector<Line> lines_;
  size_t after_includes_ = 0;  // Number of the line behind the last include; 0: none.
  Bytes added_;
};

}  // namespace lockstep
