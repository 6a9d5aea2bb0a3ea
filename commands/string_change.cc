// The commands that change a value in part, or count with it. The key's time to live stays.
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "commands/shared_replies.h"
#include "commands/string.h"

namespace lockstep {
namespace {

std::optional<Reply> RefuseLongValue(size_t before, size_t more) {
  if (before <= kValueBytesMax && more <= kValueBytesMax - before) return std::nullopt;
  return Reply::Error("ERR", "string exceeds maximum allowed size (proto-max-bulk-len)");
}

Reply Increment(Keys& keys, BytesView key, int64_t delta) {
  const std::optional<Keys::Value> old = keys.Find(key);
  int64_t value = 0;
  if (old && !ParseInt64(old->bytes, &value)) return NotAnIntegerReply();
  if (__builtin_add_overflow(value, delta, &value)) {
    return Reply::Error("ERR", "increment or decrement would overflow");
  }
  PutInteger(keys, key, value, Keys::Expiry::Keep());
  return Reply::Integer(value);
}

}  // namespace

void PutInteger(Keys& keys, BytesView key, int64_t value, Keys::Expiry expiry) {
  char digits[20];  // "-9223372036854775808"
  const char* const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  keys.Put(key, BytesView(digits, static_cast<size_t>(end - digits)), expiry);
}

bool ParseLongDouble(BytesView bytes, long double* out) {
  constexpr size_t kBytesMax = 5 * 1024;  // The longest that is printed has 4,952.
  if (bytes.empty() || bytes.size() >= kBytesMax) return false;
  if (std::isspace(static_cast<unsigned char>(bytes[0])) != 0) return false;
  const Bytes text(bytes);  // Ends with a zero.
  char* end = nullptr;
  errno = 0;
  const long double value = std::strtold(text.c_str(), &end);
  if (end != text.c_str() + text.size() || std::isnan(value)) return false;
  // Too large for one, or too small to be told from 0.
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return false;
  *out = value;
  return true;
}

Bytes LongDoubleText(long double value) {
  // It holds about 19 digits; two fewer are as people typed them.
  Bytes text = Format("%.17Lf", value);
  text.resize(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

// APPEND key value
Reply StringAppend(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const BytesView more = args.Next();
  const std::optional<Keys::Value> old = keys.Find(key);
  if (auto refused = RefuseLongValue(old ? old->bytes.size() : 0, more.size())) return *refused;
  Bytes value;
  value.reserve((old ? old->bytes.size() : 0) + more.size());
  if (old) value = old->bytes;
  value += more;
  keys.Put(key, value, Keys::Expiry::Keep());
  return Reply::Integer(static_cast<int64_t>(value.size()));
}

// SETRANGE key offset value: what was not there up to the offset becomes zeros.
Reply StringSetrange(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  int64_t offset = 0;
  if (!ParseInt64(args.Next(), &offset)) return NotAnIntegerReply();
  if (offset < 0) return Reply::Error("ERR", "offset is out of range");
  const auto begin = static_cast<size_t>(offset);
  const BytesView part = args.Next();
  const std::optional<Keys::Value> old = keys.Find(key);
  const BytesView before = old ? old->bytes : BytesView();
  if (part.empty()) return Reply::Integer(static_cast<int64_t>(before.size()));
  if (auto refused = RefuseLongValue(begin, part.size())) return *refused;
  Bytes value;
  value.reserve(std::max(before.size(), begin + part.size()));
  value = before;
  if (value.size() < begin + part.size()) value.resize(begin + part.size());
  part.copy(value.data() + begin, part.size());
  keys.Put(key, value, Keys::Expiry::Keep());
  return Reply::Integer(static_cast<int64_t>(value.size()));
}

// INCR key
Reply StringIncr(Context&, Keys& keys, Args& args) {
  return Increment(keys, args.Next(), 1);
}

// DECR key
Reply StringDecr(Context&, Keys& keys, Args& args) {
  return Increment(keys, args.Next(), -1);
}

// INCRBY key increment
Reply StringIncrby(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  int64_t delta = 0;
  if (!ParseInt64(args.Next(), &delta)) return NotAnIntegerReply();
  return Increment(keys, key, delta);
}

// DECRBY key decrement
Reply StringDecrby(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  int64_t delta = 0;
  if (!ParseInt64(args.Next(), &delta)) return NotAnIntegerReply();
  if (delta == INT64_MIN) return Reply::Error("ERR", "decrement would overflow");
  return Increment(keys, key, -delta);
}

// INCRBYFLOAT key increment. Computed once, here, and kept as text: nodes need not agree on it.
Reply StringIncrbyfloat(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const std::optional<Keys::Value> old = keys.Find(key);
  long double value = 0;
  long double delta = 0;
  if ((old && !ParseLongDouble(old->bytes, &value)) || !ParseLongDouble(args.Next(), &delta)) {
    return Reply::Error("ERR", "value is not a valid float");
  }
  value += delta;
  if (!std::isfinite(value)) {
    return Reply::Error("ERR", "increment would produce NaN or Infinity");
  }
  Bytes text = LongDoubleText(value);
  keys.Put(key, text, Keys::Expiry::Keep());
  return Reply::Bulk(std::move(text));
}

}  // namespace lockstep
