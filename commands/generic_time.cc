#include "commands/generic_time.h"

#include <algorithm>

#include "commands/host.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

// Redis adds its wall clock to what is from now, and refuses what overflows. Any time of these
// years will do for that: the same is refused on all nodes.
constexpr int64_t kSomeNowMs = 1'800'000'000'000;

}  // namespace

std::optional<int64_t> UsFromNow(const Host& host, int64_t amount, TimeUnit unit) {
  if (amount > INT64_MAX / unit.ms || amount < INT64_MIN / unit.ms) return std::nullopt;
  const int64_t ms = amount * unit.ms;
  if (!unit.since_1970 && ms > INT64_MAX - kSomeNowMs) return std::nullopt;
  constexpr int64_t kMsMax = kTtlUsMax / 1000;
  const int64_t us = std::clamp(ms, -kMsMax, kMsMax) * 1000;
  return unit.since_1970 ? us - host.WallClockUs() : us;
}

std::optional<Reply> TakeLifetime(const Context& ctx, const Args& args, BytesView amount,
                                  TimeUnit unit, Keys::Expiry* out) {
  int64_t value = 0;
  if (!ParseInt64(amount, &value)) return NotAnIntegerReply();
  const std::optional<int64_t> us = UsFromNow(ctx.host, value, unit);
  if (value <= 0 || !us) return InvalidExpireTime(args);
  *out = Keys::Expiry::In(*us);
  return std::nullopt;
}

Reply InvalidExpireTime(const Args& args) {
  return Reply::Error("ERR", "invalid expire time in '" + Lower(args.all()[0]) + "' command");
}

int64_t TtlMs(const Keys::Value& value) {
  return value.ttl_us ? *value.ttl_us / 1000 + (*value.ttl_us % 1000 > 0 ? 1 : 0) : -1;
}

Keys::Expiry ExpiryOf(const Keys::Value& value) {
  return value.ttl_us ? Keys::Expiry::In(*value.ttl_us) : Keys::Expiry::None();
}

void PutUnlessPast(Keys& keys, BytesView key, BytesView value, Keys::Expiry expiry) {
  if (expiry.kind == Keys::Expiry::Kind::kIn && expiry.us <= 0) {
    keys.Erase(key);
  } else {
    keys.Put(key, value, expiry);
  }
}

void ExpireOrErase(Keys& keys, BytesView key, Keys::Expiry expiry) {
  if (expiry.kind == Keys::Expiry::Kind::kIn && expiry.us <= 0) {
    keys.Erase(key);
  } else {
    keys.Expire(key, expiry);
  }
}

}  // namespace lockstep
