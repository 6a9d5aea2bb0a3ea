// What clients asked of one lock and what they were told: the input of the linearizability checker.
//
// Times are microseconds of the fastest clock that any node may have (see World::FastUs): so a
// lease of t lasts at least t of them, whoever led the cluster meanwhile.
#pragma once

#include <limits>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep::sim {

constexpr int64_t kNoReturn = std::numeric_limits<int64_t>::max();

struct Operation {
  enum class Kind : uint8_t {
    kAcquire,  // LOCK.ACQUIRE, and LOCK.MACQUIRE as each of its names sees it.
    kRelease,
    kRenew,
    kCheck,
    kInfo,
    kRevoke,
    kVacate,  // Whatever ends all that `owner` holds here: RELEASE ALL, a deadlock's victim, a
              // bound connection that closed. If it holds nothing, nothing happens.
    kGiveBack,  // The cluster takes back what `of` got by waiting, for nobody received the answer.
  };
  // What the client was told. kUnknown: nothing, or UNCERTAIN: it may take effect at any time after
  // `call_us`, or never. Errors that promise that nothing happened never come here.
  enum class Told : uint8_t { kUnknown, kNil, kNumber, kHolders };

  struct Holder {
    Bytes owner;
    bool shared = false;
    uint64_t token = 0;
    bool operator==(const Holder&) const = default;
  };

  Kind kind = Kind::kInfo;
  int64_t call_us = 0;
  int64_t return_us = kNoReturn;
  Bytes owner;               // Revoke: empty means everybody.
  bool shared = false;
  uint32_t limit = 0;        // Acquire: LIMIT; 0: none.
  int64_t ttl_us = 0;        // Acquire, renew.
  bool blocks = false;       // Acquire: it may have waited.
  size_t of = 0;             // Give back: the acquire, by its place in the history.
  bool no_queue =
      false;  // Acquire: nobody ever waits for this lock, so a nil is the holders' doing.
  bool one_of_many = false;  // Acquire: MACQUIRE; a nil says nothing about a single name.
  bool line_of_many = false; // Acquire: somebody may stand in line here while he waits for another
                             // lock, so a nil may be the line's doing though nobody holds the lock.
  bool all = false;          // Renew: ALL; the number says nothing about a single name.
  uint64_t token = 0;        // Check: the one asked for. Release: TOKEN, 0 if not given.
  Told told = Told::kUnknown;
  uint64_t number = 0;            // kNumber: a token, or how many.
  std::vector<Holder> holders;    // kHolders, sorted by owner.
};

// "[12.3 14.1] acquire alice exclusive -> 81", times in ms.
Bytes Describe(const Operation& operation);

}  // namespace lockstep::sim
