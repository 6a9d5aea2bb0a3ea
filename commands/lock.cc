// The LOCK.* commands. The handlers translate; LockTable decides.
#include <algorithm>
#include <set>

#include "commands/command.h"
#include "commands/host.h"
#include "commands/lock_ops.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

// Options that several commands share. Each takes its token and value if they come next.
bool TakeTtl(Args& args, int64_t* ttl_ms) {
  if (!args.Token("TTL")) return false;
  *ttl_ms = args.Integer("TTL", 1, kTtlMsMax);
  return true;
}

bool TakeMeta(Args& args, Bytes* meta) {
  if (!args.Token("META")) return false;
  const BytesView text = args.Next();
  if (text.size() > kMetaBytesMax) {
    args.Fail(Reply::Error("ERR", Format("META has %zu bytes, at most %zu are allowed", text.size(),
                                         kMetaBytesMax)));
  }
  *meta = Bytes(text);
  return true;
}

bool TakeCount(Args& args, uint32_t* count) {
  if (!args.Token("COUNT")) return false;
  // A hint, as in SCAN: tools give large ones, and get what one answer may hold.
  const int64_t asked = args.Integer("COUNT", 1, 1'000'000'000);
  *count = static_cast<uint32_t>(std::min<int64_t>(asked, kLockRowsMax));
  return true;
}

// What LOCK.ACQUIRE and LOCK.MACQUIRE have in common after the owner.
Action AcquireWith(Context& ctx, Args& args, AcquireOp op) {
  const bool single = op.names.size() == 1 && EqualsIgnoreCase(args.all()[0], "LOCK.ACQUIRE");
  op.ttl_ms = ctx.host.LockDefaultTtlMs();
  std::optional<LockMode> mode;
  while (args.More()) {
    if (!mode && args.Token("SHARED")) {
      mode = LockMode::kShared;
    } else if (!mode && args.Token("EXCLUSIVE")) {
      mode = LockMode::kExclusive;
    } else if (TakeTtl(args, &op.ttl_ms) || TakeMeta(args, &op.meta)) {
      continue;
    } else if (args.Token("BLOCK")) {
      op.wait_ms = args.BlockMs();
    } else if (single && args.Token("LIMIT")) {
      op.limit = static_cast<uint32_t>(args.Integer("LIMIT", 1, kLockLimitMax));
    } else if (args.Token("BIND")) {
      op.bind = ctx.client.id;
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  op.mode = mode.value_or(LockMode::kExclusive);
  if (op.limit > 0 && op.mode != LockMode::kShared) {
    return Reply::Error("ERR", "LIMIT counts holders that share the lock: give SHARED with it");
  }
  if (ctx.in_exec) op.wait_ms.reset();
  return Propose{kLocksGroup, op.Encode(), op.wait_ms.has_value(), op.bind.has_value()};
}

// LOCK.ACQUIRE name owner [SHARED|EXCLUSIVE] [TTL ms] [BLOCK ms] [LIMIT n] [META text] [BIND]
Action LockAcquire(Context& ctx, Args& args) {
  AcquireOp op;
  op.names.emplace_back(args.Name("lock name"));
  op.owner = Bytes(args.Name("owner"));
  return AcquireWith(ctx, args, std::move(op));
}

// LOCK.MACQUIRE numlocks name [name ...] owner [SHARED|EXCLUSIVE] [TTL ms] [BLOCK ms] [META text]
// [BIND]
Action LockMacquire(Context& ctx, Args& args) {
  AcquireOp op;
  const int64_t count = args.Integer("numlocks", 1, static_cast<int64_t>(kMultiLockNamesMax));
  if (args.failed()) return args.error();
  if (static_cast<uint64_t>(count) >= args.left()) {  // An owner must be left.
    return Reply::Error("ERR", "Number of keys can't be greater than number of args");
  }
  std::set<BytesView> seen;
  for (int64_t i = 0; i < count; ++i) {
    const BytesView name = args.Name("lock name");
    if (!args.failed() && !seen.insert(name).second) {
      args.Fail(Reply::Error("ERR", "lock '" + Printable(name) + "' is named twice"));
    }
    op.names.emplace_back(name);
  }
  op.owner = Bytes(args.Name("owner"));
  return AcquireWith(ctx, args, std::move(op));
}

// LOCK.RENEW name owner [TTL ms] [ALL]
Action LockRenew(Context& ctx, Args& args) {
  RenewOp op;
  op.name = Bytes(args.Name("lock name"));
  op.owner = Bytes(args.Name("owner"));
  op.ttl_ms = ctx.host.LockDefaultTtlMs();
  while (args.More()) {
    if (TakeTtl(args, &op.ttl_ms)) continue;
    if (args.Token("ALL")) {
      op.all = true;
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return Propose{kLocksGroup, op.Encode()};
}

// LOCK.RELEASE name owner [TOKEN n] [ALL]
Action LockRelease(Context&, Args& args) {
  ReleaseOp op;
  op.name = Bytes(args.Name("lock name"));
  op.owner = Bytes(args.Name("owner"));
  while (args.More()) {
    if (args.Token("TOKEN")) {
      op.token = static_cast<uint64_t>(args.Integer("TOKEN", 0, INT64_MAX));
    } else if (args.Token("ALL")) {
      op.all = true;
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return Propose{kLocksGroup, op.Encode()};
}

// LOCK.REVOKE name [OWNER owner]
Action LockRevoke(Context&, Args& args) {
  RevokeOp op;
  op.name = Bytes(args.Name("lock name"));
  while (args.More()) {
    if (args.Token("OWNER")) {
      op.owner = Bytes(args.Name("owner"));
    } else {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return Propose{kLocksGroup, op.Encode()};
}

// LOCK.CHECK name token
Action LockCheck(Context&, Args& args) {
  CheckQuery query;
  query.name = Bytes(args.Name("lock name"));
  query.token = static_cast<uint64_t>(args.Integer("token", 0, INT64_MAX));
  if (args.failed()) return args.error();
  return Query{kLocksGroup, query.Encode()};
}

// LOCK.INFO name
Action LockInfo(Context&, Args& args) {
  const InfoQuery query{Bytes(args.Name("lock name"))};
  if (args.failed()) return args.error();
  return Query{kLocksGroup, query.Encode()};
}

// LOCK.OWNER owner
Action LockOwner(Context&, Args& args) {
  const OwnerQuery query{Bytes(args.Name("owner"))};
  if (args.failed()) return args.error();
  return Query{kLocksGroup, query.Encode()};
}

// LOCK.LIST [CURSOR c] [MATCH pattern] [COUNT n]
Action LockList(Context&, Args& args) {
  ListQuery query;
  while (args.More()) {
    if (args.Token("CURSOR")) {
      const BytesView cursor = args.Next();
      if (!args.failed() && !ParseUint64(cursor, &query.cursor)) {
        args.Fail(Reply::Error("ERR", "invalid cursor"));  // As SCAN says it.
      }
    } else if (args.Token("MATCH")) {
      query.pattern = Bytes(args.Next());
      if (query.pattern.size() > kNameBytesMax) {
        args.Fail(Reply::Error("ERR", Format("pattern has %zu bytes, at most %zu are allowed",
                                             query.pattern.size(), kNameBytesMax)));
      }
    } else if (!TakeCount(args, &query.count)) {
      args.SyntaxError();
    }
  }
  if (args.failed()) return args.error();
  return Query{kLocksGroup, query.Encode()};
}

// LOCK.GRAPH
Action LockGraph(Context&, Args&) { return Query{kLocksGroup, GraphQuery{}.Encode()}; }

// LOCK.DEADLOCKS [COUNT n]
Action LockDeadlocks(Context&, Args& args) {
  DeadlocksQuery query;
  while (args.More()) {
    if (!TakeCount(args, &query.count)) args.SyntaxError();
  }
  if (args.failed()) return args.error();
  return Query{kLocksGroup, query.Encode()};
}

constexpr KeySpec kTakenKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kInsert}};
constexpr KeySpec kTakenKeys[] = {{.access = KeySpec::Access::kRW,
                                   .intent = KeySpec::Intent::kInsert,
                                   .keynum = true}};
constexpr KeySpec kRenewedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kUpdate}};
constexpr KeySpec kReleasedKey[] = {
    {.access = KeySpec::Access::kRW, .intent = KeySpec::Intent::kDelete}};
constexpr KeySpec kReadKey[] = {
    {.access = KeySpec::Access::kRO, .intent = KeySpec::Intent::kAccess}};
// An owner is no lock, but cluster clients route by the first argument.
constexpr KeySpec kOwnerToRouteBy[] = {{.access = KeySpec::Access::kRO, .not_key = true}};

constexpr Argument kModes[] = {
    {.name = "shared", .type = Type::kPureToken, .token = "SHARED"},
    {.name = "exclusive", .type = Type::kPureToken, .token = "EXCLUSIVE"},
};
constexpr Argument kTtl = {
    .name = "milliseconds", .type = Type::kInteger, .token = "TTL", .optional = true};
constexpr Argument kBlock = {
    .name = "milliseconds", .type = Type::kInteger, .token = "BLOCK", .optional = true};
constexpr Argument kMode = {
    .name = "mode", .type = Type::kOneOf, .optional = true, .children = kModes};
constexpr Argument kMeta = {.name = "text", .token = "META", .optional = true};
constexpr Argument kBind = {
    .name = "bind", .type = Type::kPureToken, .token = "BIND", .optional = true};
constexpr Argument kAll = {
    .name = "all", .type = Type::kPureToken, .token = "ALL", .optional = true};
constexpr Argument kCount = {
    .name = "count", .type = Type::kInteger, .token = "COUNT", .optional = true};
constexpr Argument kName = {.name = "name", .type = Type::kKey, .key_spec = 0};
constexpr Argument kOwner = {.name = "owner"};

constexpr Argument kAcquireArguments[] = {
    kName, kOwner, kMode, kTtl, kBlock,
    {.name = "holders", .type = Type::kInteger, .token = "LIMIT", .optional = true},
    kMeta, kBind,
};
constexpr Argument kMacquireArguments[] = {
    {.name = "numlocks", .type = Type::kInteger},
    {.name = "name", .type = Type::kKey, .multiple = true, .key_spec = 0},
    kOwner, kMode, kTtl, kBlock, kMeta, kBind,
};
constexpr Argument kRenewArguments[] = {kName, kOwner, kTtl, kAll};
constexpr Argument kReleaseArguments[] = {
    kName, kOwner,
    {.name = "token", .type = Type::kInteger, .token = "TOKEN", .optional = true},
    kAll,
};
constexpr Argument kRevokeArguments[] = {
    kName, {.name = "owner", .token = "OWNER", .optional = true}};
constexpr Argument kCheckArguments[] = {kName, {.name = "token", .type = Type::kInteger}};
constexpr Argument kInfoArguments[] = {kName};
constexpr Argument kOwnerArguments[] = {kOwner};
constexpr Argument kListArguments[] = {
    {.name = "cursor", .type = Type::kInteger, .token = "CURSOR", .optional = true},
    {.name = "pattern", .type = Type::kPattern, .token = "MATCH", .optional = true},
    kCount,
};
constexpr Argument kDeadlocksArguments[] = {kCount};

constexpr const char* kOutputVaries[] = {"nondeterministic_output"};

constexpr uint32_t kWrites = kCatLock | kCatWrite;
constexpr uint32_t kReads = kCatLock | kCatRead;

constexpr CommandSpec kLockCommands[] = {
    {.name = "LOCK.ACQUIRE",
     .arity = -3,
     .flags = kWrite | kDenyOom | kBlocking,
     .categories = kWrites | kCatSlow | kCatBlocking,
     .handler = LockAcquire,
     .summary = "Takes a lock, or waits for it; answers the fencing token, or nil if it is not "
                "free (in time).",
     .group = "lock",
     .complexity = "O(1) when the lock is free; O(W) when it is not, W being the waits that the "
                   "new one hangs on.",
     .keys = kTakenKey,
     .arguments = kAcquireArguments,
     .tips = kOutputVaries},
    {.name = "LOCK.MACQUIRE",
     .arity = -4,
     .flags = kWrite | kDenyOom | kBlocking | kMovableKeys,
     .categories = kWrites | kCatSlow | kCatBlocking,
     .handler = LockMacquire,
     .summary = "Takes several locks, all or none, or waits for them; answers one fencing token "
                "that is good for all of them, or nil.",
     .group = "lock",
     .complexity = "O(N) in the number of locks when they are free; O(N+W) when not, W being the "
                   "waits that the new one hangs on.",
     .keys = kTakenKeys,
     .arguments = kMacquireArguments,
     .tips = kOutputVaries},
    {.name = "LOCK.RENEW",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kWrites | kCatFast,
     .handler = LockRenew,
     .summary = "Extends the lease on a lock, or on every lock of an owner; answers how many.",
     .group = "lock",
     .complexity = "O(log(N)) in the leases of the table; with ALL, for each lock of the owner.",
     .keys = kRenewedKey,
     .arguments = kRenewArguments},
    {.name = "LOCK.RELEASE",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kWrites | kCatFast,
     .handler = LockRelease,
     .summary = "Releases a lock, or every lock of an owner, and ends the owner's wait for it; "
                "answers how many were released.",
     .group = "lock",
     .complexity = "O(log(N)) in the leases of the table; with ALL, for each lock of the owner.",
     .keys = kReleasedKey,
     .arguments = kReleaseArguments},
    {.name = "LOCK.CHECK",
     .arity = 3,
     .flags = kReadonly | kFast,
     .categories = kReads | kCatFast,
     .handler = LockCheck,
     .summary = "Tells whether the grant with this fencing token still holds the lock.",
     .group = "lock",
     .complexity = "O(H) in the holders of the lock.",
     .keys = kReadKey,
     .arguments = kCheckArguments},
    {.name = "LOCK.INFO",
     .arity = 2,
     .flags = kReadonly,
     .categories = kReads | kCatSlow,
     .handler = LockInfo,
     .summary = "Shows a lock: its state, its holders, and who waits for it in which order.",
     .group = "lock",
     .complexity = "O(H+W) in the holders and waiters of the lock.",
     .keys = kReadKey,
     .arguments = kInfoArguments,
     .tips = kOutputVaries},
    {.name = "LOCK.OWNER",
     .arity = 2,
     .flags = kReadonly,
     .categories = kReads | kCatSlow,
     .handler = LockOwner,
     .summary = "Shows an owner: its age, the locks it holds, and those it waits for.",
     .group = "lock",
     .complexity = "O(N) in the locks of the owner.",
     .keys = kOwnerToRouteBy,
     .arguments = kOwnerArguments},
    {.name = "LOCK.LIST",
     .arity = -1,
     .flags = kReadonly,
     .categories = kReads | kCatSlow,
     .handler = LockList,
     .summary = "Iterates over the locks that are held or waited for, as SCAN does over keys.",
     .group = "lock",
     .complexity = "O(1) for every call, O(N) for a complete iteration.",
     .arguments = kListArguments,
     .tips = kOutputVaries},
    {.name = "LOCK.GRAPH",
     .arity = 1,
     .flags = kReadonly,
     .categories = kReads | kCatSlow,
     .handler = LockGraph,
     .summary = "Shows who waits for which lock because of whom.",
     .group = "lock",
     .complexity = "O(W*log(W)+E) in the waits of the table and the rows of the answer.",
     .tips = kOutputVaries},
    {.name = "LOCK.DEADLOCKS",
     .arity = -1,
     .flags = kReadonly,
     .categories = kReads | kCatSlow,
     .handler = LockDeadlocks,
     .summary = "Shows the last deadlocks: who was the victim, of which cycle, and what it lost.",
     .group = "lock",
     .complexity = "O(N) in the deadlocks shown.",
     .arguments = kDeadlocksArguments,
     .tips = kOutputVaries},
    {.name = "LOCK.REVOKE",
     .arity = -2,
     .flags = kWrite | kAdmin,
     .categories = kWrites | kCatSlow | kCatAdmin | kCatDangerous,
     .handler = LockRevoke,
     .summary = "Throws out the holders of a lock, or one of them; their tokens are stale from "
                "then on. For operators.",
     .group = "lock",
     .complexity = "O(H) in the holders of the lock.",
     .keys = kReleasedKey,
     .arguments = kRevokeArguments},
};

}  // namespace

std::span<const CommandSpec> LockCommands() { return kLockCommands; }

}  // namespace lockstep
