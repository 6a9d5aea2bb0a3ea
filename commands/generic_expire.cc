// The commands on how long keys live.
#include "commands/generic_time.h"
#include "commands/host.h"
#include "commands/shared_replies.h"
#include "commands/string.h"

namespace lockstep {
namespace {

constexpr int64_t kNoKey = -2;

struct Conditions {
  bool nx = false;  // Only if it has no time to live,
  bool xx = false;  // only if it has one,
  bool gt = false;  // only if it then lives longer (a key that stays lives longest),
  bool lt = false;  // only if it then lives shorter.
};

std::optional<Reply> TakeConditions(Args& args, Conditions* out) {
  while (args.More()) {
    const BytesView word = args.Next();
    if (EqualsIgnoreCase(word, "NX")) {
      out->nx = true;
    } else if (EqualsIgnoreCase(word, "XX")) {
      out->xx = true;
    } else if (EqualsIgnoreCase(word, "GT")) {
      out->gt = true;
    } else if (EqualsIgnoreCase(word, "LT")) {
      out->lt = true;
    } else {
      return Reply::Error("ERR", "Unsupported option " + Bytes(UpToZero(word)));
    }
  }
  if (out->nx && (out->xx || out->gt || out->lt)) {
    return Reply::Error("ERR", "NX and XX, GT or LT options at the same time are not compatible");
  }
  if (out->gt && out->lt) {
    return Reply::Error("ERR", "GT and LT options at the same time are not compatible");
  }
  return std::nullopt;
}

// In whole milliseconds, as clients see times: what took microseconds since is no difference.
bool Holds(const Conditions& conditions, const Keys::Value& value, int64_t us) {
  const int64_t now_ms = TtlMs(value);
  const int64_t new_ms = TtlMs({.bytes = {}, .ttl_us = us, .version = {}});
  const bool stays = !value.ttl_us;
  if (conditions.nx && !stays) return false;
  if (conditions.xx && stays) return false;
  if (conditions.gt && (stays || new_ms <= now_ms)) return false;
  return !conditions.lt || stays || new_ms < now_ms;
}

// EXPIRE and its like. What is past deletes.
Reply Expire(const Context& ctx, Keys& keys, Args& args, TimeUnit unit) {
  const BytesView key = args.Next();
  const BytesView amount = args.Next();
  Conditions conditions;
  if (auto error = TakeConditions(args, &conditions)) return *std::move(error);
  int64_t value = 0;
  if (!ParseInt64(amount, &value)) return NotAnIntegerReply();
  const std::optional<int64_t> us = UsFromNow(ctx.host, value, unit);
  if (!us) return InvalidExpireTime(args);
  const std::optional<Keys::Value> found = keys.Find(key);
  if (!found || !Holds(conditions, *found, *us)) return Reply::Integer(0);
  ExpireOrErase(keys, key, Keys::Expiry::In(*us));
  return Reply::Integer(1);
}

// In milliseconds since 1970; -1: the key stays; -2: there is none.
int64_t EndMs(const Context& ctx, Keys& keys, BytesView key) {
  const std::optional<Keys::Value> found = keys.Find(key);
  if (!found) return kNoKey;
  return found->ttl_us ? (ctx.host.WallClockUs() + *found->ttl_us + 500) / 1000 : -1;
}

int64_t LeftMs(Keys& keys, BytesView key) {
  const std::optional<Keys::Value> found = keys.Find(key);
  return found ? TtlMs(*found) : kNoKey;
}

// Rounded to the nearest; -1 and -2 stay what they are.
int64_t InSeconds(int64_t ms) {
  return ms < 0 ? ms : (ms + 500) / 1000;
}

}  // namespace

// EXPIRE key seconds [NX | XX | GT | LT]
Reply KeyExpire(Context& ctx, Keys& keys, Args& args) {
  return Expire(ctx, keys, args, kSeconds);
}

// PEXPIRE key milliseconds [NX | XX | GT | LT]
Reply KeyPexpire(Context& ctx, Keys& keys, Args& args) {
  return Expire(ctx, keys, args, kMilliseconds);
}

// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
Reply KeyExpireat(Context& ctx, Keys& keys, Args& args) {
  return Expire(ctx, keys, args, kUnixSeconds);
}

// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
Reply KeyPexpireat(Context& ctx, Keys& keys, Args& args) {
  return Expire(ctx, keys, args, kUnixMilliseconds);
}

// TTL key
Reply KeyTtl(Context&, Keys& keys, Args& args) {
  return Reply::Integer(InSeconds(LeftMs(keys, args.Next())));
}

// PTTL key
Reply KeyPttl(Context&, Keys& keys, Args& args) {
  return Reply::Integer(LeftMs(keys, args.Next()));
}

// EXPIRETIME key
Reply KeyExpiretime(Context& ctx, Keys& keys, Args& args) {
  return Reply::Integer(InSeconds(EndMs(ctx, keys, args.Next())));
}

// PEXPIRETIME key
Reply KeyPexpiretime(Context& ctx, Keys& keys, Args& args) {
  return Reply::Integer(EndMs(ctx, keys, args.Next()));
}

// PERSIST key
Reply KeyPersist(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const std::optional<Keys::Value> found = keys.Find(key);
  if (!found || !found->ttl_us) return Reply::Integer(0);
  keys.Expire(key, Keys::Expiry::None());
  return Reply::Integer(1);
}

}  // namespace lockstep
