// The commands that read strings.
#include "commands/string.h"

#include <algorithm>

#include "commands/shared_replies.h"
#include "src/resp/writer.h"

namespace lockstep {

Reply RefuseLongKey(std::span<const BytesView> words, size_t step) {
  size_t at = 1;
  while (words[at].size() <= kNameBytesMax) at += step;
  return Reply::Error("LIMIT",
                      Format("key has %zu bytes, at most %zu", words[at].size(), kNameBytesMax));
}

Reply ValueOrNil(const std::optional<Keys::Value>& value) {
  return value ? Reply::Bulk(Bytes(value->bytes)) : Reply::Nil();
}

// GET key
Reply StringGet(Context& ctx, Keys& keys, Args& args) {
  const std::optional<Keys::Value> value = keys.Find(args.Next());
  if (!value || ctx.output == nullptr) return ValueOrNil(value);
  resp::WriteBulk(value->bytes, ctx.output);
  return Reply::Nothing();
}

// MGET key [key ...]. The same large value may be asked for a thousand times: so there is a limit
// to all of them together, which is that of one.
Reply StringMget(Context&, Keys& keys, Args& args) {
  Reply values = Reply::Array();
  values.items.reserve(args.left());
  size_t bytes = 0;
  while (args.More()) {
    const std::optional<Keys::Value> value = keys.Find(args.Next());
    bytes += value ? value->bytes.size() : 0;
    if (bytes > kValueBytesMax) {
      return Reply::Error("LIMIT", Format("the values have more than %zu bytes together; ask for "
                                          "fewer keys at once",
                                          kValueBytesMax));
    }
    values.Add(ValueOrNil(value));
  }
  return values;
}

// STRLEN key
Reply StringStrlen(Context&, Keys& keys, Args& args) {
  const std::optional<Keys::Value> value = keys.Find(args.Next());
  return Reply::Integer(value ? static_cast<int64_t>(value->bytes.size()) : 0);
}

// GETRANGE key start end: both ends belong to it, and below 0 count from the end of the value.
Reply StringGetrange(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  int64_t start = 0;
  int64_t end = 0;
  if (!ParseInt64(args.Next(), &start) || !ParseInt64(args.Next(), &end)) {
    return NotAnIntegerReply();
  }
  const std::optional<Keys::Value> value = keys.Find(key);
  // Two that are both before the value's begin would else both be its first byte.
  if (!value || value->bytes.empty() || (start < 0 && end < 0 && start > end)) {
    return Reply::Bulk("");
  }
  const auto size = static_cast<int64_t>(value->bytes.size());
  const auto from_begin = [size](int64_t at) {
    return std::max<int64_t>(at < 0 ? size + at : at, 0);
  };
  start = from_begin(start);
  end = std::min(from_begin(end), size - 1);
  if (start > end) return Reply::Bulk("");
  return Reply::Bulk(
      Bytes(value->bytes.substr(static_cast<size_t>(start), static_cast<size_t>(end - start + 1))));
}

}  // namespace lockstep
