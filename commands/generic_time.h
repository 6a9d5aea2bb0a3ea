// Times to live, from how commands say them to how keys keep them, and back.
//
// Commands say seconds or milliseconds, from now or since 1970; keys keep microseconds from now.
// Only here does a wall clock matter: what is said since 1970 is told apart from now by this
// node's, and the key is kept by what is left.
#pragma once

#include "commands/command.h"
#include "commands/keys.h"

namespace lockstep {

struct TimeUnit {
  int64_t ms = 1;
  bool since_1970 = false;
};
constexpr TimeUnit kSeconds{1000, false};
constexpr TimeUnit kMilliseconds{1, false};
constexpr TimeUnit kUnixSeconds{1000, true};
constexpr TimeUnit kUnixMilliseconds{1, true};

// 146,000 years: who asks for more gets this. So sums of times do not overflow, and milliseconds
// stay within 53 bits.
constexpr int64_t kTtlUsMax = (int64_t{1} << 62) / 1000 * 1000;

// Microseconds from now, at most kTtlUsMax; 0 or less: it is past. Nothing: Redis refuses it, since
// its clock of milliseconds would overflow.
std::optional<int64_t> UsFromNow(const Host& host, int64_t amount, TimeUnit unit);

// As UsFromNow, of a word that must be a number above 0. Else: Redis's error, naming the command.
std::optional<Reply> TakeLifetime(const Context& ctx, const Args& args, BytesView amount,
                                  TimeUnit unit, Keys::Expiry* out);

// "ERR invalid expire time in 'set' command"
Reply InvalidExpireTime(const Args& args);

// What is left in milliseconds, rounded up: so never 0. -1: it stays.
int64_t TtlMs(const Keys::Value& value);

// Of what is copied or moved with its time to live.
Keys::Expiry ExpiryOf(const Keys::Value& value);

// As Keys::Put. What is past from the start (kIn of 0 or less) leaves no key.
void PutUnlessPast(Keys& keys, BytesView key, BytesView value, Keys::Expiry expiry);
// As Keys::Expire; the same.
void ExpireOrErase(Keys& keys, BytesView key, Keys::Expiry expiry);

}  // namespace lockstep
