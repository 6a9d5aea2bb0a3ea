#include "src/resp/writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "src/base/check.h"

namespace lockstep::resp {
namespace {

using Kind = Reply::Kind;

char* WriteEndOfLine(char* at) {
  at[0] = '\r';
  at[1] = '\n';
  return at + 2;
}

// Of a number below 1000, its digits.
char* WriteSmall(size_t n, char* at) {
  if (n >= 100) *at++ = static_cast<char>('0' + n / 100);
  if (n >= 10) *at++ = static_cast<char>('0' + n / 10 % 10);
  *at++ = static_cast<char>('0' + n % 10);
  return at;
}

// A type byte, a number, CRLF.
void WriteNumberLine(char type, int64_t v, Bytes* out) {
  char line[24];
  line[0] = type;
  char* end = std::to_chars(line + 1, line + sizeof line - 2, v).ptr;
  end = WriteEndOfLine(end);
  out->append(line, static_cast<size_t>(end - line));
}

void WriteHeader(char type, size_t n, Bytes* out) {
  WriteNumberLine(type, static_cast<int64_t>(n), out);
}

// One line of text. CR or LF in it would end the reply early and make the rest a reply of its own,
// written by whoever chose the text (CVE-2025-67733).
void WriteTextLine(char type, BytesView text, Bytes* out) {
  out->push_back(type);
  const size_t at = out->size();
  out->append(text);
  for (size_t i = text.find_first_of("\r\n"); i < text.size(); ++i) {
    char& c = (*out)[at + i];
    if (c == '\r' || c == '\n') c = ' ';
  }
  out->append("\r\n");
}

// The shortest text that reads back as the same number; whole numbers without an exponent, as Redis
// prints them. `buffer` is the caller's.
BytesView DoubleText(double v, char (&buffer)[40]) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  constexpr double kExact = 9007199254740992.0;  // 2^53: below it each whole double is one integer.
  const bool whole = std::trunc(v) == v && std::fabs(v) < kExact && !(v == 0 && std::signbit(v));
  char* const limit = buffer + sizeof buffer;
  const char* end = whole ? std::to_chars(buffer, limit, static_cast<int64_t>(v)).ptr
                          : std::to_chars(buffer, limit, v).ptr;
  return {buffer, static_cast<size_t>(end - buffer)};
}

void WriteDouble(double v, int protocol, Bytes* out) {
  char buffer[40];
  const BytesView text = DoubleText(v, buffer);
  if (protocol == 2) return WriteBulk(text, out);
  WriteTextLine(',', text, out);
}

void WriteVerbatim(BytesView text, int protocol, Bytes* out) {
  if (protocol == 2) return WriteBulk(text, out);
  WriteHeader('=', text.size() + 4, out);
  out->append("txt:");
  out->append(text);
  out->append("\r\n");
}

void WriteItems(const std::vector<Reply>& items, int protocol, Bytes* out) {
  for (const Reply& item : items) {
    // "No reply" has no form inside a list, and leaving it out would shift all that follows.
    static const Reply kNil = Reply::Nil();
    WriteReply(item.kind == Kind::kNothing ? kNil : item, protocol, out);
  }
}

// Lists of RESP3 are arrays in RESP2.
void WriteList(char type, const std::vector<Reply>& items, int protocol, Bytes* out) {
  WriteHeader(protocol == 2 ? '*' : type, items.size(), out);
  WriteItems(items, protocol, out);
}

void WriteMap(const std::vector<Reply>& items, int protocol, Bytes* out) {
  CHECK(items.size() % 2 == 0);
  WriteMapHeader(items.size() / 2, protocol, out);
  WriteItems(items, protocol, out);
}

}  // namespace

void WriteReply(const Reply& reply, int protocol, Bytes* out) {
  switch (reply.kind) {
    case Kind::kNil:
      out->append(protocol == 2 ? "$-1\r\n" : "_\r\n");
      return;
    case Kind::kNilArray:
      out->append(protocol == 2 ? "*-1\r\n" : "_\r\n");
      return;
    case Kind::kSimple:
      return WriteSimple(reply.text, out);
    case Kind::kError:
      return WriteError(reply.text, out);
    case Kind::kInteger:
      return WriteInteger(reply.integer, out);
    case Kind::kBulk:
      return WriteBulk(reply.text, out);
    case Kind::kVerbatim:
      return WriteVerbatim(reply.text, protocol, out);
    case Kind::kDouble:
      return WriteDouble(reply.number, protocol, out);
    case Kind::kBoolean:
      if (protocol == 2) return WriteInteger(reply.integer != 0 ? 1 : 0, out);
      out->append(reply.integer != 0 ? "#t\r\n" : "#f\r\n");
      return;
    case Kind::kArray:
      return WriteList('*', reply.items, protocol, out);
    case Kind::kMap:
      return WriteMap(reply.items, protocol, out);
    case Kind::kSet:
      return WriteList('~', reply.items, protocol, out);
    case Kind::kPush:
      return WriteList('>', reply.items, protocol, out);
    case Kind::kLogged:     // Was read before it came here (Group::Resolve).
    case Kind::kElsewhere:  // Was followed (Dispatcher).
      return WriteReply(Reply::Nil(), protocol, out);
    case Kind::kNothing:
      return;
  }
}

void WriteArrayHeader(size_t n, Bytes* out) { WriteHeader('*', n, out); }

void WriteMapHeader(size_t pairs, int protocol, Bytes* out) {
  if (protocol == 2) {
    WriteHeader('*', pairs * 2, out);
  } else {
    WriteHeader('%', pairs, out);
  }
}

// A small one is put together first: the output grows once, not three times.
void WriteBulk(BytesView text, Bytes* out) {
  constexpr size_t kSmall = 512;
  if (text.size() > kSmall) {
    WriteHeader('$', text.size(), out);
    out->append(text);
    out->append("\r\n");
    return;
  }
  char whole[kSmall + 16];
  whole[0] = '$';
  char* end = WriteSmall(text.size(), whole + 1);
  end = WriteEndOfLine(end);
  end = std::copy_n(text.data(), text.size(), end);
  end = WriteEndOfLine(end);
  out->append(whole, static_cast<size_t>(end - whole));
}

void WriteInteger(int64_t v, Bytes* out) { WriteNumberLine(':', v, out); }
void WriteSimple(BytesView text, Bytes* out) { WriteTextLine('+', text, out); }
void WriteError(BytesView text, Bytes* out) { WriteTextLine('-', text, out); }

}  // namespace lockstep::resp
