// One lock as the linearizability checker sees it: what may be known of it from outside.
#pragma once

#include <optional>
#include <vector>

#include "tests/sim/lock_history.h"

namespace lockstep::sim {

// An operation as the search takes it, its owner as a number, for they are compared often.
struct Step {
  const Operation* operation = nullptr;
  uint32_t owner = 0;   // 0: nobody.
  int64_t call_us = 0;
  uint32_t lost = 0;  // An acquire whose outcome nobody knows: its sort, from 1. See lock_model.cc.
  uint32_t of = 0;      // Give back: the sort of the acquire.
};

class LockState {
 public:
  struct Holder {
    uint32_t owner = 0;
    bool shared = false;
    uint64_t token = 0;      // 0: whoever got it was never told.
    uint64_t above = 0;      // Then it is at least above this.
    int64_t ends_us = 0;     // No earlier than this can the lease be over.
    // The sort of acquire that got it by waiting, while nobody knows that it did; and what was held
    // before it.
    uint32_t unheard = 0;
    uint64_t before_token = 0;  // 0: nothing was.
    auto operator<=>(const Holder&) const = default;
  };

  // The state after `step`, if it can take effect now as its client was told. `until_us`: it has to
  // have done so by then. `seen` are the holders of a kInfo, owners as numbers.
  bool Take(const Step& step, const std::vector<Holder>& seen, int64_t until_us);

  // Ends the lease of holders()[i], if it can be over by `until_us`.
  bool Expire(size_t i, int64_t until_us);

  // Whether `step` changes nothing here whatever becomes of it, so that taking it at once loses no
  // way on: reads, refusals, numbers of 0.
  static bool OnlyLooks(const Operation& operation);

  // Whether everything that can follow `other` can follow this as well, the same steps being taken.
  bool Covers(const LockState& other) const;
  // The same, if leases that are over by now in `other` are allowed to end here first.
  bool CoversAfterExpiry(const LockState& other) const;

  // Equal for any two of which one can cover the other.
  uint64_t Shape() const;

  const std::vector<Holder>& holders() const { return holders_; }
  bool tokens_known() const;
  auto operator<=>(const LockState&) const = default;

 private:
  Holder* Find(uint32_t owner);
  bool Acquire(const Step& step, int64_t at_us);
  bool AcquireAgain(const Operation& operation, Holder* mine, int64_t at_us);
  bool Grant(const Step& step, uint64_t before_token, int64_t at_us);
  bool Release(const Step& step);
  bool Renew(const Step& step, int64_t at_us);
  bool Revoke(const Step& step);
  bool Vacate(const Step& step);
  bool GiveBack(const Step& step);
  bool Looks(const Step& step, const std::vector<Holder>& seen);
  bool LooksAtHolders(const std::vector<Holder>& seen);
  bool Learn(Holder* holder, uint64_t token);

  std::vector<Holder> holders_;  // Sorted by owner.
  uint64_t highest_token_ = 0;   // Of all grants so far whose token is known.
  int64_t now_us_ = 0;           // No earlier than this is it.
};

}  // namespace lockstep::sim
