// The commands that write a whole value, and those that read one and do something to its key.
#include "commands/generic_time.h"
#include "commands/shared_replies.h"
#include "commands/string.h"

namespace lockstep {
namespace {

// EX, PX, EXAT and PXAT of SET and GETEX, and what goes with none of them: KEEPTTL and PERSIST.
struct TimeOption {
  const char* name;
  TimeUnit unit;
};
constexpr TimeOption kTimeOptions[] = {
    {"EX", kSeconds}, {"PX", kMilliseconds}, {"EXAT", kUnixSeconds}, {"PXAT", kUnixMilliseconds}};

struct TakenTime {
  const TimeOption* option = nullptr;
  BytesView amount;
  bool bare = false;  // KEEPTTL or PERSIST.
};

// False: `word` is none of them, or contradicts one before it. The same twice is fine, as in Redis.
bool TakeTimeOption(BytesView word, const char* bare, Args& args, TakenTime* out) {
  if (EqualsIgnoreCase(word, bare)) {
    out->bare = true;
    return out->option == nullptr;
  }
  for (const TimeOption& option : kTimeOptions) {
    if (!EqualsIgnoreCase(word, option.name)) continue;
    const bool contradicts = out->bare || (out->option != nullptr && out->option != &option);
    if (contradicts || !args.More()) return false;
    out->option = &option;
    out->amount = args.Next();
    return true;
  }
  return false;
}

struct SetOptions {
  bool nx = false;
  bool xx = false;
  bool get = false;
  TakenTime time = {};
};

bool TakeSetOption(BytesView word, Args& args, SetOptions* out) {
  if (EqualsIgnoreCase(word, "NX")) {
    out->nx = true;
    return !out->xx;
  }
  if (EqualsIgnoreCase(word, "XX")) {
    out->xx = true;
    return !out->nx;
  }
  if (EqualsIgnoreCase(word, "GET")) {
    out->get = true;
    return true;
  }
  return TakeTimeOption(word, "KEEPTTL", args, &out->time);
}

// Looks at what is there only if that matters: most SETs do not ask.
Reply Set(Keys& keys, BytesView key, BytesView value, const SetOptions& options,
          Keys::Expiry expiry) {
  Reply reply = Reply::Ok();
  if (options.nx || options.xx || options.get) {
    const std::optional<Keys::Value> old = keys.Find(key);
    if (options.get) reply = ValueOrNil(old);
    const bool refused = old ? options.nx : options.xx;
    if (refused) return options.get ? reply : Reply::Nil();
  }
  PutUnlessPast(keys, key, value, expiry);
  return reply;
}

// SETEX and PSETEX
Reply SetWithTime(const Context& ctx, Keys& keys, Args& args, TimeUnit unit) {
  const BytesView key = args.Next();
  Keys::Expiry expiry;
  if (auto error = TakeLifetime(ctx, args, args.Next(), unit, &expiry)) return *std::move(error);
  keys.Put(key, args.Next(), expiry);
  return Reply::Ok();
}

Reply WrongNumberOfWords(const Args& args) {
  return Reply::Error("ERR",
                      "wrong number of arguments for '" + Lower(args.all()[0]) + "' command");
}

void PutPairs(Keys& keys, std::span<const BytesView> pairs) {
  for (size_t at = 0; at < pairs.size(); at += 2) {
    keys.Put(pairs[at], pairs[at + 1], Keys::Expiry::None());
  }
}

}  // namespace

// SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
Reply StringSet(Context& ctx, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const BytesView value = args.Next();
  SetOptions options;
  while (args.More()) {
    if (!TakeSetOption(args.Next(), args, &options)) return SyntaxErrorReply();
  }
  Keys::Expiry expiry = options.time.bare ? Keys::Expiry::Keep() : Keys::Expiry::None();
  if (const TimeOption* time = options.time.option; time != nullptr) {
    if (auto error = TakeLifetime(ctx, args, options.time.amount, time->unit, &expiry)) {
      return *std::move(error);
    }
  }
  return Set(keys, key, value, options, expiry);
}

// SETEX key seconds value
Reply StringSetex(Context& ctx, Keys& keys, Args& args) {
  return SetWithTime(ctx, keys, args, kSeconds);
}

// PSETEX key milliseconds value
Reply StringPsetex(Context& ctx, Keys& keys, Args& args) {
  return SetWithTime(ctx, keys, args, kMilliseconds);
}

// SETNX key value
Reply StringSetnx(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  if (keys.Find(key)) return Reply::Integer(0);
  keys.Put(key, args.Next(), Keys::Expiry::None());
  return Reply::Integer(1);
}

// GETSET key value
Reply StringGetset(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  return Set(keys, key, args.Next(), {.get = true}, Keys::Expiry::None());
}

// GETDEL key
Reply StringGetdel(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  Reply value = ValueOrNil(keys.Find(key));
  if (!value.is_nil()) keys.Erase(key);
  return value;
}

// GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]
Reply StringGetex(Context& ctx, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  TakenTime time = {};
  while (args.More()) {
    if (!TakeTimeOption(args.Next(), "PERSIST", args, &time)) return SyntaxErrorReply();
  }
  const std::optional<Keys::Value> value = keys.Find(key);
  if (!value) return Reply::Nil();  // Before the time is looked at, as in Redis.
  Keys::Expiry expiry = Keys::Expiry::None();
  if (time.option != nullptr) {
    if (auto error = TakeLifetime(ctx, args, time.amount, time.option->unit, &expiry)) {
      return *std::move(error);
    }
  }
  Reply reply = ValueOrNil(value);
  const bool persists = time.bare && value->ttl_us;
  if (time.option != nullptr || persists) ExpireOrErase(keys, key, expiry);
  return reply;
}

// MSET key value [key value ...]
Reply StringMset(Context&, Keys& keys, Args& args) {
  if (args.left() % 2 != 0) return WrongNumberOfWords(args);
  PutPairs(keys, args.rest());
  return Reply::Ok();
}

// MSETNX key value [key value ...]: all, or none if one of them is there.
Reply StringMsetnx(Context&, Keys& keys, Args& args) {
  const std::span<const BytesView> pairs = args.rest();
  if (pairs.size() % 2 != 0) return WrongNumberOfWords(args);
  for (size_t at = 0; at < pairs.size(); at += 2) {
    if (keys.Find(pairs[at])) return Reply::Integer(0);
  }
  PutPairs(keys, pairs);
  return Reply::Integer(1);
}

}  // namespace lockstep
