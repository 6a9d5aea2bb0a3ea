#include "src/base/bytes.h"

#include <algorithm>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

constexpr char LowerByte(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr char UpperByte(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

void AppendPrintable(char c, Bytes* out) {
  switch (c) {
    case '\n': *out += "\\n"; return;
    case '\r': *out += "\\r"; return;
    case '\t': *out += "\\t"; return;
    case '\a': *out += "\\a"; return;
    case '\b': *out += "\\b"; return;
    case '"': *out += "\\\""; return;
    case '\\': *out += "\\\\"; return;
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte < 0x7f) {
    out->push_back(c);
  } else {
    *out += Format("\\x%02x", byte);
  }
}

// Whether the class that starts after '[' at pattern[*at] holds `c`. Moves *at to the closing ']'
// (or to the last byte, for an unclosed class, as Redis does).
bool MatchClass(BytesView pattern, size_t* at, char c, bool ignore_case) {
  size_t i = *at + 1;
  const bool negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  const auto fold = [ignore_case](char x) { return ignore_case ? LowerByte(x) : x; };
  bool found = false;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      ++i;
      found |= fold(pattern[i]) == fold(c);
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      const auto [low, high] = std::minmax({fold(pattern[i]), fold(pattern[i + 2])});
      found |= fold(c) >= low && fold(c) <= high;
      i += 2;
    } else {
      found |= fold(pattern[i]) == fold(c);
    }
  }
  *at = std::min(i, pattern.size() - 1);
  return found != negated;
}

// Matches one byte of text against the token at pattern[*at]; moves *at past the token.
bool MatchOne(BytesView pattern, size_t* at, char c, bool ignore_case) {
  const auto fold = [ignore_case](char x) { return ignore_case ? LowerByte(x) : x; };
  bool matches = true;
  if (pattern[*at] == '[') {
    matches = MatchClass(pattern, at, c, ignore_case);
  } else if (pattern[*at] != '?') {
    if (pattern[*at] == '\\' && *at + 1 < pattern.size()) ++*at;
    matches = fold(pattern[*at]) == fold(c);
  }
  ++*at;
  return matches;
}

}  // namespace

Bytes Printable(BytesView in, size_t max) {
  Bytes out;
  for (const char c : in.substr(0, max)) AppendPrintable(c, &out);
  if (in.size() > max) out += "...";
  return out;
}

Bytes Lower(BytesView in) {
  Bytes out(in);
  std::transform(out.begin(), out.end(), out.begin(), LowerByte);
  return out;
}

Bytes Upper(BytesView in) {
  Bytes out(in);
  std::transform(out.begin(), out.end(), out.begin(), UpperByte);
  return out;
}

bool EqualsIgnoreCase(BytesView a, BytesView b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return LowerByte(x) == LowerByte(y);
         });
}

Bytes Format(const char* format, ...) {
  va_list args;
  va_start(args, format);
  va_list again;
  va_copy(again, args);
  const int size = std::vsnprintf(nullptr, 0, format, args);
  va_end(args);
  Bytes out(size > 0 ? static_cast<size_t>(size) : 0, '\0');
  if (size > 0) std::vsnprintf(out.data(), out.size() + 1, format, again);
  va_end(again);
  return out;
}

bool ParseUint64(BytesView in, uint64_t* out) {
  if (in.empty() || in.size() > 20 || (in[0] == '0' && in.size() > 1)) return false;
  uint64_t value = 0;
  for (const char c : in) {
    if (c < '0' || c > '9') return false;
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out = value;
  return true;
}

void AppendUint64(uint64_t value, Bytes* out) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out->append(digits, end);
}

bool ParseInt64(BytesView in, int64_t* out) {
  const bool negative = !in.empty() && in[0] == '-';
  uint64_t magnitude = 0;
  if (!ParseUint64(negative ? in.substr(1) : in, &magnitude)) return false;
  if (negative && magnitude == 0) return false;  // "-0" is not how any integer prints.
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (magnitude > kMax + (negative ? 1 : 0)) return false;
  *out = negative ? static_cast<int64_t>(~magnitude + 1) : static_cast<int64_t>(magnitude);
  return true;
}

bool GlobMatch(BytesView pattern, BytesView text, bool ignore_case) {
  // After a mismatch only the latest '*' need be tried again: what an earlier one could reach, the
  // latest can reach too. So the work is bounded by |pattern| * |text|.
  size_t p = 0;
  size_t t = 0;
  size_t star = BytesView::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    if (p < pattern.size() && MatchOne(pattern, &p, text[t], ignore_case)) {
      ++t;
      continue;
    }
    if (star == BytesView::npos) return false;
    p = star + 1;
    t = ++star_text;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

size_t EditDistance(BytesView a, BytesView b, size_t max) {
  const size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap > max) return max + 1;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return std::min(row[b.size()], max + 1);
}

}  // namespace lockstep
