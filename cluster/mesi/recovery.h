// What a new home may take over: the rules by which it picks, line by line, among what it is told.
//
// A new home starts with nothing. It asks every node that may have had lines from the home before;
// each first says what it owned, and drops everything. The home before, if it is there, says what
// it had, and whom it knew as an owner. Whoever does not answer is waited for until it cannot show
// anything any more. Only what was said of the epoch right before counts: in an older one others
// may have written since.
//
// The rule: the latest value or none, never an older one. An owner that has been given up by its
// home is not an owner any more, and may be the last to know. So its word counts
//   - if the home before knows it as the owner, under that generation; or,
//   - when the home before does not speak, if its lease was to last longer than that home can have
//     been one: then it cannot have been given up. That it was giving the line up by itself must
//     not be: the home may have taken it, and given it on.
// A cache that may read the line has the latest value just as surely while its lease lasts, also
// one that goes on reading what it gives up (MS): it counts when the home before does not speak.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "src/base/ids.h"

namespace lockstep::mesi {

class Recovered {
 public:
  struct Owner {
    NodeId node;
    uint64_t gen = 0;
    bool leaving = false;  // It was giving the line up (MI, MS).
    bool sure = false;     // Its lease outlasts the home before.
    bool operator==(const Owner&) const = default;
  };

  // It owned the line (E, M), or was giving it up. True: it is the best of its kind so far.
  bool OnOwner(const Owner& owner) {
    if (owner_ && owner_->gen >= owner.gen) return false;
    owner_ = owner;
    return true;
  }
  // It could read it, and its lease outlasts the home before. True: its value is to be kept.
  bool OnReader() { return !std::exchange(has_reader_, true); }
  // The home before had the latest value: U, Sh, and B_INV, since nothing was granted yet.
  void OnFormerValue() { former_has_value_ = true; }
  // It knew this owner: X, B_RS, B_RX.
  void OnFormerOwner(NodeId node, uint64_t gen) { known_ = {node, gen}; }

  enum class Verdict : uint8_t { kForgotten, kOwners, kReaders, kFormers };
  // When all have spoken. `former_spoke`: the home of the epoch before was among them.
  Verdict Judge(bool former_spoke) const {
    if (former_has_value_) return Verdict::kFormers;
    if (former_spoke) {
      const bool known = owner_ && known_ && known_->node == owner_->node &&
                         known_->gen == owner_->gen;
      return known ? Verdict::kOwners : Verdict::kForgotten;
    }
    if (has_reader_) return Verdict::kReaders;
    const bool counts = owner_ && owner_->sure && !owner_->leaving;
    return counts ? Verdict::kOwners : Verdict::kForgotten;
  }

 private:
  struct Known {
    NodeId node;
    uint64_t gen = 0;
  };
  std::optional<Owner> owner_;
  std::optional<Known> known_;
  bool has_reader_ = false;
  bool former_has_value_ = false;
};

}  // namespace lockstep::mesi
