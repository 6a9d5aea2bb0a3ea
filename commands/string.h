// Redis's commands on strings, and on keys whatever they hold: the handlers, for their rows
// (commands/string_table.cc, commands/generic_table.cc), and what they and DCACHE.* share.
//
// Grammar, replies and texts are Redis 7.0's, byte for byte. A handler is run while all keys that
// its row names are held; it finds, decides and changes at once, and waits for nothing.
#pragma once

#include "commands/command.h"
#include "commands/keys.h"
#include "src/base/check.h"

namespace lockstep {

constexpr size_t kValueBytesMax = size_t{64} * 1024 * 1024;  // proto-max-bulk-len.
constexpr size_t kToTheEnd = SIZE_MAX;

// Whether a key is too long to be one: `words` from [1] to [last], each `step`-th. An empty key is
// one, as in Redis.
constexpr bool AnyKeyIsTooLong(std::span<const BytesView> words, size_t last, size_t step) {
  for (size_t at = 1; at < words.size() && at <= last; at += step) {
    if (words[at].size() > kNameBytesMax) return true;
  }
  return false;
}
// -LIMIT, of the first that is.
Reply RefuseLongKey(std::span<const BytesView> words, size_t step);

using KeysHandler = Reply (*)(Context&, Keys&, Args&);

// What `make` gives, made where it is to be: a reply is large to move.
template <class Make>
struct MadeInPlace {
  const Make& make;
  operator Reply() const { return make(); }
};

// A row's handler that runs `run`, once its keys can be keys.
template <KeysHandler run, size_t last = 1, size_t step = 1>
Action OnKeys(Context& context, Args& args) {
  if (AnyKeyIsTooLong(args.all(), last, step)) return RefuseLongKey(args.all(), step);
  CHECK(context.keys != nullptr);
  const auto reply = [&] { return run(context, *context.keys, args); };
  return Action(std::in_place_type<Reply>, MadeInPlace<decltype(reply)>{reply});
}

// string.cc: what reads.
Reply StringGet(Context& ctx, Keys& keys, Args& args);
Reply StringMget(Context& ctx, Keys& keys, Args& args);  // DCACHE.MGET too.
Reply StringStrlen(Context& ctx, Keys& keys, Args& args);
Reply StringGetrange(Context& ctx, Keys& keys, Args& args);  // SUBSTR too.

// string_set.cc: what writes a whole value, or reads one and does something to its key.
Reply StringSet(Context& ctx, Keys& keys, Args& args);
Reply StringSetex(Context& ctx, Keys& keys, Args& args);
Reply StringPsetex(Context& ctx, Keys& keys, Args& args);
Reply StringSetnx(Context& ctx, Keys& keys, Args& args);
Reply StringGetset(Context& ctx, Keys& keys, Args& args);
Reply StringGetdel(Context& ctx, Keys& keys, Args& args);
Reply StringGetex(Context& ctx, Keys& keys, Args& args);
Reply StringMset(Context& ctx, Keys& keys, Args& args);
Reply StringMsetnx(Context& ctx, Keys& keys, Args& args);

// string_change.cc: what changes a value in part, or counts with it; its time to live stays.
Reply StringAppend(Context& ctx, Keys& keys, Args& args);
Reply StringSetrange(Context& ctx, Keys& keys, Args& args);
Reply StringIncr(Context& ctx, Keys& keys, Args& args);
Reply StringIncrby(Context& ctx, Keys& keys, Args& args);
Reply StringDecr(Context& ctx, Keys& keys, Args& args);
Reply StringDecrby(Context& ctx, Keys& keys, Args& args);
Reply StringIncrbyfloat(Context& ctx, Keys& keys, Args& args);

// generic.cc: keys as such.
Reply KeyDel(Context& ctx, Keys& keys, Args& args);     // UNLINK, DCACHE.DEL too.
Reply KeyExists(Context& ctx, Keys& keys, Args& args);  // TOUCH too.
Reply KeyRename(Context& ctx, Keys& keys, Args& args);
Reply KeyRenamenx(Context& ctx, Keys& keys, Args& args);
Reply KeyCopy(Context& ctx, Keys& keys, Args& args);

// generic_expire.cc: how long they live.
Reply KeyExpire(Context& ctx, Keys& keys, Args& args);
Reply KeyPexpire(Context& ctx, Keys& keys, Args& args);
Reply KeyExpireat(Context& ctx, Keys& keys, Args& args);
Reply KeyPexpireat(Context& ctx, Keys& keys, Args& args);
Reply KeyTtl(Context& ctx, Keys& keys, Args& args);
Reply KeyPttl(Context& ctx, Keys& keys, Args& args);
Reply KeyExpiretime(Context& ctx, Keys& keys, Args& args);
Reply KeyPexpiretime(Context& ctx, Keys& keys, Args& args);
Reply KeyPersist(Context& ctx, Keys& keys, Args& args);

std::span<const CommandSpec> GenericRows();  // generic_table.cc

// The value, or nil.
Reply ValueOrNil(const std::optional<Keys::Value>& value);

// Puts `value` as the decimal text that it is read back from.
void PutInteger(Keys& keys, BytesView key, int64_t value, Keys::Expiry expiry);

// What INCRBYFLOAT reads and answers. No number: false. `bytes` as Redis's string2ld takes them.
bool ParseLongDouble(BytesView bytes, long double* out);
// 17 digits after the point, less zeros at the end; no exponent. `value` is finite.
Bytes LongDoubleText(long double value);

}  // namespace lockstep
