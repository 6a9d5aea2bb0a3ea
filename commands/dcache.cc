// The DCACHE.* commands: the keys that Redis's string commands see, with what those cannot say:
// versions, conditions on them, counters with a limit.
//
//   DCACHE.GET  key [META] [FRESH]
//   DCACHE.SET  key value [NX | XX | IFVER version | IFEQ old]
//               [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] [GET] [META] [DURABLE] [FENCE token]
//   DCACHE.DEL  key [key ...]
//   DCACHE.MGET key [key ...]
//   DCACHE.INCR key delta [INIT n] [PX ms [ONCE]] [MAX n]
//   DCACHE.STATE key
//   DCACHE.STATS [HOT n]
#include "commands/cache_tasks.h"
#include "commands/generic_time.h"
#include "commands/host.h"
#include "commands/shared_replies.h"
#include "commands/string.h"

namespace lockstep {
namespace {

using Type = Argument::Type;
using mesi::Version;

// "epoch.gen.seq"
Bytes VersionText(const Version& version) {
  Bytes text;
  AppendUint64(version.epoch, &text);
  text += '.';
  AppendUint64(version.gen, &text);
  text += '.';
  AppendUint64(version.seq, &text);
  return text;
}

bool ParseVersion(BytesView text, Version* out) {
  const size_t first = text.find('.');
  const size_t second = first == BytesView::npos ? first : text.find('.', first + 1);
  return second != BytesView::npos && ParseUint64(text.substr(0, first), &out->epoch) &&
         ParseUint64(text.substr(first + 1, second - first - 1), &out->gen) &&
         ParseUint64(text.substr(second + 1), &out->seq);
}

Reply Error(const Bytes& sentence) {
  return Reply::Error("ERR", sentence);
}

// DCACHE.GET. What another node wrote is never missed, so there is nothing that FRESH must do.
Reply DcacheGet(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  bool meta = false;
  while (args.More()) {
    if (args.Token("META")) {
      meta = true;
    } else if (!args.Token("FRESH")) {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  const std::optional<Keys::Value> value = keys.Find(key);
  if (!meta || !value) return ValueOrNil(value);
  Reply map = Reply::Map();
  map.Add("value", ValueOrNil(value));
  map.Add("version", Reply::Bulk(VersionText(value->version)));
  map.Add("ttl", Reply::Integer(TtlMs(*value)));
  map.Add("state", Reply::Bulk(Bytes(1, keys.StateOf(key))));
  return map;
}

struct SetOptions {
  enum class If : uint8_t { kAlways, kAbsent, kPresent, kVersion, kEqual } when = If::kAlways;
  Version version;
  BytesView equal;
  Keys::Expiry expiry;
  bool has_expiry = false;
  bool get = false;
  bool meta = false;
  bool durable = false;
  int64_t fence = 0;
};

// An option that only one of `what` may be: an error if one is there already.
bool TakeOneOf(Args& args, const char* token, bool taken, const char* what) {
  if (!args.Token(token)) return false;
  if (taken) args.Fail(Error(Bytes(what) + " exclude each other; nothing was changed"));
  return true;
}

bool TakeCondition(Args& args, SetOptions* out) {
  using If = SetOptions::If;
  const auto take = [&](const char* token, If when) {
    const bool taken = out->when != If::kAlways;
    if (!TakeOneOf(args, token, taken, "NX, XX, IFVER and IFEQ")) return false;
    out->when = when;
    return true;
  };
  if (take("NX", If::kAbsent) || take("XX", If::kPresent)) return true;
  if (take("IFEQ", If::kEqual)) {
    out->equal = args.Next();
    return true;
  }
  if (!take("IFVER", If::kVersion)) return false;
  const BytesView text = args.Next();
  if (!args.failed() && !ParseVersion(text, &out->version)) {
    args.Fail(Error("'" + Printable(text) +
                    "' is no version: META shows them, as 1.2.3; nothing "
                    "was changed"));
  }
  return true;
}

// From now, 1 up; since 1970, any time: what is past leaves no key.
Keys::Expiry TakeTime(const Context& ctx, Args& args, const char* what, TimeUnit unit) {
  const int64_t amount = args.Integer(what, 1, kTtlUsMax / 1000 / unit.ms);
  return Keys::Expiry::In(UsFromNow(ctx.host, amount, unit).value_or(0));
}

bool TakeExpiry(const Context& ctx, Args& args, SetOptions* out) {
  const auto take = [&](const char* token) {
    if (!TakeOneOf(args, token, out->has_expiry, "EX, PX, EXAT, PXAT and KEEPTTL")) return false;
    out->has_expiry = true;
    return true;
  };
  const auto take_time = [&](const char* token, TimeUnit unit) {
    if (!take(token)) return false;
    out->expiry = TakeTime(ctx, args, token, unit);
    return true;
  };
  if (take("KEEPTTL")) {
    out->expiry = Keys::Expiry::Keep();
    return true;
  }
  return take_time("EX", kSeconds) || take_time("PX", kMilliseconds) ||
         take_time("EXAT", kUnixSeconds) || take_time("PXAT", kUnixMilliseconds);
}

SetOptions TakeSetOptions(const Context& ctx, Args& args) {
  SetOptions options;
  while (args.More()) {
    if (TakeCondition(args, &options) || TakeExpiry(ctx, args, &options)) continue;
    if (args.Token("GET")) {
      options.get = true;
    } else if (args.Token("META")) {
      options.meta = true;
    } else if (args.Token("DURABLE")) {
      options.durable = true;
    } else if (args.Token("FENCE")) {
      options.fence = args.Integer("FENCE", 1, INT64_MAX);
    } else {
      args.SyntaxError();
    }
  }
  return options;
}

bool Holds(const SetOptions& options, const std::optional<Keys::Value>& old) {
  switch (options.when) {
    case SetOptions::If::kAlways:
      return true;
    case SetOptions::If::kAbsent:
      return !old;
    case SetOptions::If::kPresent:
      return old.has_value();
    case SetOptions::If::kVersion:
      return old && old->version == options.version;
    case SetOptions::If::kEqual:
      return old && old->bytes == options.equal;
  }
  return false;
}

// The version of what was put. Where the time is past already the key is not there afterwards; its
// value had a version all the same.
Version PutForVersion(Keys& keys, BytesView key, BytesView value, Keys::Expiry expiry) {
  const bool past = expiry.kind == Keys::Expiry::Kind::kIn && expiry.us <= 0;
  keys.Put(key, value, past ? Keys::Expiry::None() : expiry);
  const std::optional<Keys::Value> now = keys.Find(key);
  CHECK(now.has_value());
  const Version version = now->version;
  if (past) keys.Erase(key);
  return version;
}

// DCACHE.SET. OK, or nil: the condition did not hold. With META the version that it now has, or
// nil; with GET the value before; with both a map of `old` and `version`.
Reply DcacheSet(Context& ctx, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const BytesView value = args.Next();
  const SetOptions options = TakeSetOptions(ctx, args);
  if (args.failed()) return args.error();
  const bool asks = options.get || options.when != SetOptions::If::kAlways;
  const std::optional<Keys::Value> before = asks ? keys.Find(key) : std::nullopt;
  Reply old = options.get ? ValueOrNil(before) : Reply::Nil();
  Reply done = Reply::Nil();
  if (Holds(options, before)) {
    // A token that is forgotten fences off nobody: so it is where the value is.
    if (options.durable || options.fence > 0) {
      keys.MakeDurable(key, static_cast<uint64_t>(options.fence));
    }
    if (options.meta) {
      done = Reply::Bulk(VersionText(PutForVersion(keys, key, value, options.expiry)));
    } else {
      PutUnlessPast(keys, key, value, options.expiry);
      done = Reply::Ok();
    }
  }
  if (!options.get) return done;
  if (!options.meta) return old;
  return Reply::Map().Add("old", std::move(old)).Add("version", std::move(done));
}

struct IncrOptions {
  int64_t init = 0;
  Keys::Expiry expiry = Keys::Expiry::Keep();
  bool once = false;
  std::optional<int64_t> max;
};

IncrOptions TakeIncrOptions(const Context& ctx, Args& args) {
  IncrOptions options;
  while (args.More()) {
    if (args.Token("INIT")) {
      options.init = args.Integer("INIT", INT64_MIN, INT64_MAX);
    } else if (args.Token("PX")) {
      options.expiry = TakeTime(ctx, args, "PX", kMilliseconds);
    } else if (args.Token("ONCE")) {
      options.once = true;
    } else if (args.Token("MAX")) {
      options.max = args.Integer("MAX", INT64_MIN, INT64_MAX);
    } else {
      args.SyntaxError();
    }
  }
  if (options.once && options.expiry.kind != Keys::Expiry::Kind::kIn) {
    args.Fail(Error("ONCE says when PX counts, and there is no PX; nothing was changed"));
  }
  return options;
}

// DCACHE.INCR: a map of `value`, `ttl` (as PTTL says it) and `applied`, 1 or 0. INIT is what an
// absent key counts from. MAX bounds what is counted up, never what is counted down.
Reply DcacheIncr(Context& ctx, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const int64_t delta = args.Integer("delta", INT64_MIN, INT64_MAX);
  const IncrOptions options = TakeIncrOptions(ctx, args);
  if (args.failed()) return args.error();

  const std::optional<Keys::Value> old = keys.Find(key);
  int64_t before = options.init;
  if (old && !ParseInt64(old->bytes, &before)) return NotAnIntegerReply();
  int64_t after = 0;
  const bool overflows = __builtin_add_overflow(before, delta, &after);
  const bool passes = options.max && delta > 0 && (overflows || after > *options.max);
  if (overflows && !passes) return Error("increment or decrement would overflow");
  if (!passes) {
    const bool keeps = options.once && old && old->ttl_us;
    PutInteger(keys, key, after, keeps ? Keys::Expiry::Keep() : options.expiry);
  }
  const std::optional<Keys::Value> now = keys.Find(key);
  Reply map = Reply::Map();
  map.Add("value", Reply::Integer(passes ? before : after));
  map.Add("ttl", Reply::Integer(now ? TtlMs(*now) : -2));
  map.Add("applied", Reply::Integer(passes ? 0 : 1));
  return map;
}

// DCACHE.STATE: a map of what this node has of the key's line, and what its home knows of it: who
// owns it, or who may read it. `events` and `home-events` tell what has become of it on this node
// and at its home of late, newest last.
Action DcacheState(Context& ctx, Args& args) {
  if (AnyKeyIsTooLong(args.all(), 1, 1)) return RefuseLongKey(args.all(), 1);
  const BytesView key = args.Next();
  const CachedLine line = ctx.host.LineHere(key);
  Reply map = Reply::Map();
  map.Add("node", Reply::Integer(static_cast<int64_t>(ctx.host.self().value)));
  map.Add("state", Reply::Bulk(Bytes(1, line.state)));
  map.Add("version", line.version.empty() ? Reply::Nil() : Reply::Bulk(line.version));
  map.Add("ttl", Reply::Integer(line.ttl_ms));
  map.Add("bytes", Reply::Integer(static_cast<int64_t>(line.bytes)));
  map.Add("lease", Reply::Integer(line.lease_ms));
  Reply events = Reply::Array();
  for (const Bytes& text : line.events) events.Add(Reply::Bulk(text));
  map.Add("events", std::move(events));
  return OutsideExec(ctx, MakeLineTask(ctx.host.Shards(), Bytes(key), std::move(map)));
}

// Of this node: [key, accesses a second] each, the hottest first.
Reply HottestKeys(const Context& ctx, size_t n) {
  Reply keys = Reply::Array();
  for (HotKey& hot : ctx.host.HotKeysNow(n)) {
    keys.Add(Reply::Array({Reply::Bulk(std::move(hot.key)),
                           Reply::Integer(static_cast<int64_t>(hot.per_second))}));
  }
  return keys;
}

// DCACHE.STATS: a map of this node's lines and of what its cache has done since it started. HOT n:
// the keys that its clients use most, up to 256, estimated from one access in 64.
Action DcacheStats(Context& ctx, Args& args) {
  std::optional<int64_t> hot;
  while (args.More()) {
    if (args.Token("HOT")) {
      hot = args.Integer("HOT", 0, kCachePageMax);
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  const CacheFigures f = ctx.host.CacheNow();
  Reply map = Reply::Map();
  const auto add = [&map](const char* name, uint64_t n) {
    map.Add(name, Reply::Integer(static_cast<int64_t>(n)));
  };
  add("modified", f.modified);
  add("exclusive", f.exclusive);
  add("shared", f.shared);
  add("moving", f.moving);
  add("home-alone", f.home_alone);
  add("home-shared", f.home_shared);
  add("home-owned", f.home_owned);
  add("home-busy", f.home_busy);
  add("bytes", f.bytes);
  add("hits", f.stats.hits);
  add("misses", f.stats.misses);
  add("upgrades", f.stats.upgrades);
  add("invalidations-sent", f.stats.invs_sent);
  add("invalidations-received", f.stats.invs_received);
  add("recalls-sent", f.stats.recalls_sent);
  add("recalls-received", f.stats.recalls_received);
  add("write-backs", f.stats.write_backs);
  add("evictions", f.stats.evictions);
  add("touches", f.stats.touches);
  add("expired", f.stats.expired);
  add("forgets", f.stats.forgets);
  add("pushes", f.stats.pushes);
  add("restored", f.stats.restored);
  add("ships-sent", f.stats.ships_sent);
  add("ships-lost", f.stats.ships_lost);
  add("ships-run", f.stats.ships_run);
  add("ships-refused", f.stats.ships_refused);
  add("audits", f.stats.audits);
  add("violations", f.stats.violations);
  if (hot) map.Add("hot", HottestKeys(ctx, static_cast<size_t>(*hot)));
  return map;
}

constexpr KeySpec kReadKey[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess}};
constexpr KeySpec kReadKeys[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess, .last = -1}};
constexpr KeySpec kChangedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kUpdate}};
constexpr KeySpec kErasedKeys[] = {
    {.access = KeySpec::Access::kRM, .intent = KeySpec::Intent::kDelete, .last = -1}};

constexpr Argument kKey = {.name = "key", .type = Type::kKey, .key_spec = 0};
constexpr Argument kMeta = {
    .name = "meta", .type = Type::kPureToken, .token = "META", .optional = true};
constexpr Argument kGetArguments[] = {
    kKey,
    kMeta,
    {.name = "fresh", .type = Type::kPureToken, .token = "FRESH", .optional = true},
};
constexpr Argument kConditions[] = {
    {.name = "nx", .type = Type::kPureToken, .token = "NX"},
    {.name = "xx", .type = Type::kPureToken, .token = "XX"},
    {.name = "version", .token = "IFVER"},
    {.name = "old", .token = "IFEQ"},
};
constexpr Argument kTimes[] = {
    {.name = "seconds", .type = Type::kInteger, .token = "EX"},
    {.name = "milliseconds", .type = Type::kInteger, .token = "PX"},
    {.name = "unix-time-seconds", .type = Type::kUnixTime, .token = "EXAT"},
    {.name = "unix-time-milliseconds", .type = Type::kUnixTime, .token = "PXAT"},
    {.name = "keepttl", .type = Type::kPureToken, .token = "KEEPTTL"},
};
constexpr Argument kSetArguments[] = {
    kKey,
    {.name = "value"},
    {.name = "condition", .type = Type::kOneOf, .optional = true, .children = kConditions},
    {.name = "expiration", .type = Type::kOneOf, .optional = true, .children = kTimes},
    {.name = "get", .type = Type::kPureToken, .token = "GET", .optional = true},
    kMeta,
    {.name = "durable", .type = Type::kPureToken, .token = "DURABLE", .optional = true},
    {.name = "token", .type = Type::kInteger, .token = "FENCE", .optional = true},
};
constexpr Argument kKeysOnly[] = {
    {.name = "key", .type = Type::kKey, .multiple = true, .key_spec = 0}};
constexpr Argument kPxOnce[] = {
    {.name = "milliseconds", .type = Type::kInteger, .token = "PX"},
    {.name = "once", .type = Type::kPureToken, .token = "ONCE", .optional = true},
};
constexpr Argument kIncrArguments[] = {
    kKey,
    {.name = "delta", .type = Type::kInteger},
    {.name = "init", .type = Type::kInteger, .token = "INIT", .optional = true},
    {.name = "expiration", .type = Type::kBlock, .optional = true, .children = kPxOnce},
    {.name = "max", .type = Type::kInteger, .token = "MAX", .optional = true},
};

constexpr Argument kKeyOnly[] = {kKey};
constexpr Argument kStatsArguments[] = {
    {.name = "n", .type = Type::kInteger, .token = "HOT", .optional = true},
};
constexpr const char* kShowTips[] = {"nondeterministic_output"};

constexpr CommandSpec kDcacheRows[] = {
    {.name = "DCACHE.GET",
     .arity = -2,
     .flags = kReadonly | kFast,
     .categories = kCatCache,
     .handler = OnKeys<DcacheGet>,
     .on_keys = true,
     .summary = "Gets a value, or nil; with META its version, time to live and state as well.",
     .group = "cache",
     .keys = kReadKey,
     .arguments = kGetArguments},
    {.name = "DCACHE.SET",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatCache,
     .handler = OnKeys<DcacheSet>,
     .on_keys = true,
     .summary = "Sets a value, if a condition on what was there holds; answers OK or nil.",
     .group = "cache",
     .keys = kChangedKey,
     .arguments = kSetArguments},
    {.name = "DCACHE.DEL",
     .arity = -2,
     .flags = kWrite | kFast,
     .categories = kCatCache,
     .handler = OnKeys<KeyDel, kToTheEnd>,
     .on_keys = true,
     .summary = "Deletes keys; answers how many there were.",
     .group = "cache",
     .complexity = "O(N) in the keys.",
     .keys = kErasedKeys,
     .arguments = kKeysOnly},
    {.name = "DCACHE.MGET",
     .arity = -2,
     .flags = kReadonly | kFast,
     .categories = kCatCache,
     .handler = OnKeys<StringMget, kToTheEnd>,
     .on_keys = true,
     .summary = "Gets the values of several keys, as they were at one instant.",
     .group = "cache",
     .complexity = "O(N) in the keys.",
     .keys = kReadKeys,
     .arguments = kKeysOnly},
    {.name = "DCACHE.INCR",
     .arity = -3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCatCache,
     .handler = OnKeys<DcacheIncr>,
     .on_keys = true,
     .summary = "Adds to a counter, up to a maximum if there is one; answers value, time to live "
                "and whether it was applied.",
     .group = "cache",
     .keys = kChangedKey,
     .arguments = kIncrArguments},
    {.name = "DCACHE.STATE",
     .arity = 2,
     .flags = kReadonly,
     .categories = kCatCache,
     .handler = DcacheState,
     .summary = "Where a key's line is: on this node, at its home, and who owns or shares it; and "
                "what has become of it of late.",
     .group = "cache",
     .keys = kReadKey,
     .arguments = kKeyOnly,
     .tips = kShowTips},
    {.name = "DCACHE.STATS",
     .arity = -1,
     .categories = kCatCache,
     .handler = DcacheStats,
     .summary = "What this node's cache has: lines by state; what it has done; and with HOT the n "
                "keys that are used most here, with their accesses a second, about.",
     .group = "cache",
     .complexity = "O(N) in the lines of this node.",
     .arguments = kStatsArguments,
     .tips = kShowTips},
};

}  // namespace

std::span<const CommandSpec> DcacheCommands() {
  return kDcacheRows;
}

}  // namespace lockstep
