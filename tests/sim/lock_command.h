// A lock command as a client means it, its words, and what its reply says.
#pragma once

#include <optional>
#include <vector>

#include "src/resp/reply.h"
#include "tests/sim/lock_history.h"

namespace lockstep::sim {

struct LockCommand {
  enum class Kind : uint8_t {
    kAcquire,
    kMultiAcquire,
    kRelease,
    kReleaseAll,
    kRenew,
    kRenewAll,
    kCheck,
    kInfo,
    kRevoke,
  };
  Kind kind = Kind::kInfo;
  std::vector<Bytes> names;  // One, but for kMultiAcquire.
  Bytes owner;               // Revoke: empty for everybody.
  bool shared = false;
  int64_t ttl_ms = 30'000;
  std::optional<int64_t> block_ms;
  uint32_t limit = 0;
  bool bind = false;
  size_t meta_bytes = 0;     // Acquire: META of so many; which, follows from name and owner.
  uint64_t token = 0;        // Check; release: 0 for none.
  bool no_queue = false;     // Nobody ever waits for this lock.
  bool only_lock = false;    // This owner has to do with no other: no deadlock can be.

  const Bytes& name() const { return names.front(); }
  bool acquires() const { return kind == Kind::kAcquire || kind == Kind::kMultiAcquire; }
};

// The META that `owner` gives with an acquire of `name`, so that whoever sees another knows better.
Bytes MetaOf(const Bytes& name, const Bytes& owner, size_t bytes);
std::vector<Bytes> Argv(const LockCommand& command);

struct LockAnswer {
  enum class Kind : uint8_t {
    kToken,
    kNil,
    kNumber,
    kHolders,
    kDeadlock,
    kRefused,  // An error that promises that nothing has happened.
    kUnknown,
  };
  Kind kind = Kind::kUnknown;
  uint64_t number = 0;
  std::vector<Operation::Holder> holders;  // By owner.
  size_t waiters = 0;                      // kHolders.

  bool granted() const { return kind == Kind::kToken; }
  bool unknown() const { return kind == Kind::kUnknown; }
};

// `reply` null: none came. Throws Failure on a reply that the command cannot have.
LockAnswer Interpret(const LockCommand& command, const Reply* reply, bool sent);

}  // namespace lockstep::sim
