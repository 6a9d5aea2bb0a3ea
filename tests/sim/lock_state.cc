#include "tests/sim/lock_state.h"

#include <algorithm>

#include "src/base/hash.h"

namespace lockstep::sim {
namespace {

using Kind = Operation::Kind;
using Told = Operation::Told;

constexpr uint64_t kSomeToken = UINT64_MAX;  // Something was held; nobody was told its token.

// Of the same grant, what follows `b` can follow `a`: it may end no later.
bool NoStricter(const LockState::Holder& a, const LockState::Holder& b) {
  return a.owner == b.owner && a.shared == b.shared && a.token == b.token && a.above <= b.above &&
         a.ends_us <= b.ends_us && a.unheard == b.unheard && a.before_token == b.before_token;
}

}  // namespace

bool LockState::OnlyLooks(const Operation& operation) {
  switch (operation.kind) {
    case Kind::kCheck:
    case Kind::kInfo:
      return true;
    case Kind::kAcquire:
      return operation.told == Told::kNil;
    case Kind::kRelease:
    case Kind::kRevoke:
      return operation.told == Told::kNumber && operation.number == 0;
    case Kind::kRenew:
      return operation.told == Told::kNumber && operation.number == 0 && !operation.all;
    case Kind::kVacate:
    case Kind::kGiveBack:
      return false;
  }
  return false;
}

bool LockState::Take(const Step& step, const std::vector<Holder>& seen, int64_t until_us) {
  if (now_us_ > until_us) return false;
  const Operation& operation = *step.operation;
  if (OnlyLooks(operation)) return Looks(step, seen);

  const int64_t at_us = std::max(now_us_, step.call_us);
  bool taken = false;
  switch (operation.kind) {
    case Kind::kAcquire:
      taken = Acquire(step, at_us);
      break;
    case Kind::kRelease:
      taken = Release(step);
      break;
    case Kind::kRenew:
      taken = Renew(step, at_us);
      break;
    case Kind::kRevoke:
      taken = Revoke(step);
      break;
    case Kind::kVacate:
      taken = Vacate(step);
      break;
    case Kind::kGiveBack:
      taken = GiveBack(step);
      break;
    case Kind::kCheck:
    case Kind::kInfo:
      break;
  }
  now_us_ = at_us;
  return taken;
}

bool LockState::Expire(size_t i, int64_t until_us) {
  const int64_t ends_us = holders_[i].ends_us;
  if (ends_us > until_us || now_us_ > until_us) return false;
  now_us_ = std::max(now_us_, ends_us);
  holders_.erase(holders_.begin() + static_cast<std::ptrdiff_t>(i));
  return true;
}

LockState::Holder* LockState::Find(uint32_t owner) {
  for (Holder& holder : holders_) {
    if (holder.owner == owner) return &holder;
  }
  return nullptr;
}

bool LockState::Learn(Holder* holder, uint64_t token) {
  if (holder->token != 0) return holder->token == token;
  if (token <= holder->above) return false;
  holder->token = token;
  holder->above = 0;
  highest_token_ = std::max(highest_token_, token);
  return true;
}

bool LockState::tokens_known() const {
  return std::all_of(holders_.begin(), holders_.end(),
                     [](const Holder& holder) { return holder.token != 0; });
}

bool LockState::Acquire(const Step& step, int64_t at_us) {
  const Operation& operation = *step.operation;
  Holder* mine = Find(step.owner);
  if (mine == nullptr) return Grant(step, 0, at_us);

  if (operation.shared || !mine->shared) return AcquireAgain(operation, mine, at_us);
  // An upgrade, granted to the only holder, under a new token.
  if (holders_.size() > 1) return false;
  const uint64_t before_token = mine->token != 0 ? mine->token : kSomeToken;
  holders_.clear();
  return Grant(step, before_token, at_us);
}

bool LockState::AcquireAgain(const Operation& operation, Holder* mine, int64_t at_us) {
  const int64_t ends_us = at_us + operation.ttl_us;
  if (operation.told == Told::kUnknown) {
    // It would only make the lease longer, and nobody was told: nothing can be explained by that.
    if (mine->shared == operation.shared && ends_us >= mine->ends_us) return false;
  } else if (!Learn(mine, operation.number)) {
    // MACQUIRE's token is good for all its names, also for those that the owner had already.
    if (!operation.one_of_many || operation.number <= highest_token_) return false;
    mine->token = operation.number;
    highest_token_ = operation.number;
  }
  mine->shared = operation.shared;
  mine->ends_us = ends_us;
  mine->unheard = 0;
  mine->before_token = 0;
  return true;
}

bool LockState::Grant(const Step& step, uint64_t before_token, int64_t at_us) {
  const Operation& operation = *step.operation;
  for (const Holder& holder : holders_) {
    if (!operation.shared || !holder.shared) return false;
  }
  if (operation.limit != 0 && holders_.size() >= operation.limit) return false;

  Holder mine;
  mine.owner = step.owner;
  mine.shared = operation.shared;
  mine.ends_us = at_us + operation.ttl_us;
  if (operation.told == Told::kNumber) {
    if (operation.number <= highest_token_) return false;
    mine.token = operation.number;
    highest_token_ = operation.number;
  } else {
    mine.above = highest_token_;
    if (operation.blocks) {
      mine.unheard = step.lost;
      mine.before_token = before_token;
    }
  }
  holders_.insert(std::upper_bound(holders_.begin(), holders_.end(), mine), mine);
  return true;
}

bool LockState::Release(const Step& step) {
  Holder* mine = Find(step.owner);
  if (mine == nullptr) return false;
  const uint64_t token = step.operation->token;
  if (token != 0 && !Learn(mine, token)) return false;
  return Vacate(step);
}

bool LockState::Renew(const Step& step, int64_t at_us) {
  const Operation& operation = *step.operation;
  Holder* mine = Find(step.owner);
  const int64_t ends_us = at_us + operation.ttl_us;
  if (operation.told == Told::kUnknown && (mine == nullptr || ends_us >= mine->ends_us)) {
    return false;  // As with an acquire: it would explain nothing.
  }
  if (mine == nullptr) return operation.all;
  mine->ends_us = ends_us;
  return true;
}

bool LockState::Revoke(const Step& step) {
  const Operation& operation = *step.operation;
  if (holders_.empty()) return false;
  if (step.owner != 0) return Vacate(step) && operation.number <= 1;
  if (operation.told == Told::kNumber && operation.number != holders_.size()) return false;
  holders_.clear();
  return true;
}

bool LockState::Vacate(const Step& step) {
  const size_t before = holders_.size();
  std::erase_if(holders_, [&](const Holder& holder) { return holder.owner == step.owner; });
  const bool held = holders_.size() < before;
  // If nobody was told, it explains nothing unless it changes something.
  return held || (step.operation->kind == Kind::kVacate && step.operation->told != Told::kUnknown);
}

bool LockState::GiveBack(const Step& step) {
  Holder* mine = Find(step.owner);
  if (mine == nullptr || mine->unheard != step.of) return false;
  if (mine->before_token == 0) return Vacate(step);
  // An upgrade: what was held before is held again.
  mine->shared = true;
  mine->token = mine->before_token != kSomeToken ? mine->before_token : 0;
  mine->above = 0;
  mine->unheard = 0;
  mine->before_token = 0;
  return true;
}

bool LockState::Looks(const Step& step, const std::vector<Holder>& seen) {
  const Operation& operation = *step.operation;
  switch (operation.kind) {
    case Kind::kInfo:
      return LooksAtHolders(seen);
    case Kind::kCheck: {
      if (operation.number == 0) {
        return std::none_of(holders_.begin(), holders_.end(), [&](const Holder& holder) {
          return holder.token == operation.token;
        });
      }
      // Which of several unknown tokens it was is left open.
      return std::any_of(holders_.begin(), holders_.end(), [&](const Holder& holder) {
        return holder.token == operation.token ||
               (holder.token == 0 && holder.above < operation.token);
      });
    }
    case Kind::kRenew:
      return Find(step.owner) == nullptr;
    case Kind::kRelease: {
      const Holder* mine = Find(step.owner);
      return mine == nullptr || (operation.token != 0 && mine->token != operation.token);
    }
    case Kind::kRevoke:
      return step.owner == 0 ? holders_.empty() : Find(step.owner) == nullptr;
    case Kind::kAcquire:
      break;
    case Kind::kVacate:
    case Kind::kGiveBack:
      return false;
  }
  // An acquire that got nil: somebody else is in its way.
  if (operation.one_of_many || operation.line_of_many) return true;
  const Holder* mine = Find(step.owner);
  if (mine != nullptr && (operation.shared || !mine->shared)) return false;
  const size_t others = holders_.size() - (mine != nullptr ? 1 : 0);
  if (others == 0) return false;
  if (!operation.no_queue || !operation.shared) return true;
  return !holders_.front().shared || (operation.limit != 0 && others >= operation.limit);
}

bool LockState::LooksAtHolders(const std::vector<Holder>& seen) {
  if (seen.size() != holders_.size()) return false;
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seen[i].owner != holders_[i].owner || seen[i].shared != holders_[i].shared) return false;
    if (!Learn(&holders_[i], seen[i].token)) return false;
  }
  return true;
}

uint64_t LockState::Shape() const {
  uint64_t hash = holders_.size();
  for (const Holder& holder : holders_) {
    hash = HashMix(hash, holder.owner * 2 + (holder.shared ? 1 : 0));
    hash = HashMix(hash, holder.token);
    hash = HashMix(hash, HashMix(holder.unheard, holder.before_token));
  }
  return hash;
}

bool LockState::Covers(const LockState& other) const {
  return holders_.size() == other.holders_.size() && CoversAfterExpiry(other);
}

bool LockState::CoversAfterExpiry(const LockState& other) const {
  if (highest_token_ > other.highest_token_ || now_us_ > other.now_us_) return false;
  auto theirs = other.holders_.begin();
  for (const Holder& holder : holders_) {
    if (theirs != other.holders_.end() && NoStricter(holder, *theirs)) {
      ++theirs;
    } else if (holder.ends_us > other.now_us_) {
      return false;
    }
  }
  return theirs == other.holders_.end();
}

}  // namespace lockstep::sim
