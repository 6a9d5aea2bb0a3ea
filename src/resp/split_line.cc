#include <optional>

#include "src/resp/parser.h"

namespace lockstep::resp {
namespace {

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
// What ends an unquoted argument. Narrower than what is skipped between arguments, as in Redis.
bool EndsWord(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::optional<unsigned> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

// Reads the escape whose backslash is at line[*at]; moves *at past it.
char ReadEscape(BytesView line, size_t* at) {
  const char c = line[*at + 1];
  if (c == 'x' && *at + 3 < line.size()) {
    const auto high = HexDigit(line[*at + 2]);
    const auto low = HexDigit(line[*at + 3]);
    if (high && low) {
      *at += 4;
      return static_cast<char>(*high * 16 + *low);
    }
  }
  *at += 2;
  switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
  }
}

// Reads up to the closing quote; *at is past the opening one and ends past the closing one. False:
// it never closes, or something other than a blank follows it.
bool ReadQuoted(BytesView line, char quote, size_t* at, Bytes* word) {
  while (*at < line.size()) {
    const char c = line[*at];
    const bool more = *at + 1 < line.size();
    if (c == quote) {
      ++*at;
      return !more || IsBlank(line[*at]);
    }
    if (quote == '"' && c == '\\' && more) {
      word->push_back(ReadEscape(line, at));
    } else if (quote == '\'' && c == '\\' && more && line[*at + 1] == '\'') {
      word->push_back('\'');
      *at += 2;
    } else {
      word->push_back(c);
      ++*at;
    }
  }
  return false;
}

// Reads one argument; a quote may open in its middle, and its closing ends the argument.
bool ReadWord(BytesView line, size_t* at, Bytes* word) {
  while (*at < line.size() && !EndsWord(line[*at])) {
    const char c = line[*at];
    ++*at;
    if (c == '"' || c == '\'') return ReadQuoted(line, c, at, word);
    word->push_back(c);
  }
  return true;
}

}  // namespace

bool SplitLine(BytesView line, std::vector<Bytes>* out) {
  out->clear();
  size_t at = 0;
  while (true) {
    while (at < line.size() && IsBlank(line[at])) ++at;
    if (at == line.size()) return true;
    if (!ReadWord(line, &at, &out->emplace_back())) return false;
  }
}

}  // namespace lockstep::resp
