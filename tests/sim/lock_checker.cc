#include "tests/sim/lock_checker.h"

#include <algorithm>

#include "tests/sim/lock_model.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Kind = LockCommand::Kind;
using AnswerKind = LockAnswer::Kind;

constexpr int64_t kForWholeRunMs = 3'600'000;
// Stamps are whole milliseconds, cut off at each change of leader.
constexpr int64_t kSlackUs = 3 * kUsPerMs;

bool IsOwnerWide(const LockCommand& command) {
  return command.kind == Kind::kReleaseAll || command.kind == Kind::kRenewAll;
}

bool MayWait(const LockCommand& command) { return command.acquires() && command.block_ms; }

Operation::Kind OperationKind(Kind kind) {
  switch (kind) {
    case Kind::kAcquire:
    case Kind::kMultiAcquire: return Operation::Kind::kAcquire;
    case Kind::kRelease: return Operation::Kind::kRelease;
    case Kind::kReleaseAll: return Operation::Kind::kVacate;
    case Kind::kRenew:
    case Kind::kRenewAll: return Operation::Kind::kRenew;
    case Kind::kCheck: return Operation::Kind::kCheck;
    case Kind::kInfo: return Operation::Kind::kInfo;
    case Kind::kRevoke: return Operation::Kind::kRevoke;
  }
  return Operation::Kind::kInfo;
}

}  // namespace

// Sending ----------------------------------------------------------------------------------------

Operation LockChecker::MakeOperation(const Issued& issued) const {
  const LockCommand& command = issued.command;
  Operation operation;
  operation.kind = OperationKind(command.kind);
  operation.call_us = issued.call_us;
  operation.owner = command.owner;
  operation.shared = command.shared;
  operation.limit = command.limit;
  operation.blocks = MayWait(command);
  operation.no_queue = command.no_queue;
  operation.one_of_many = command.kind == Kind::kMultiAcquire;
  operation.all = command.kind == Kind::kRenewAll;
  operation.token = command.token;
  const bool leases = command.acquires() || operation.kind == Operation::Kind::kRenew;
  if (leases) operation.ttl_us = std::max<int64_t>(0, command.ttl_ms * kUsPerMs - kSlackUs);
  return operation;
}

size_t LockChecker::Issue(const LockCommand& command) {
  Issued issued;
  issued.command = command;
  issued.call_us = world_->FastUs();
  if (command.ttl_ms < kForWholeRunMs) {
    longest_lease_ms_ = std::max(longest_lease_ms_, command.ttl_ms);
  }
  if (!IsOwnerWide(command)) {
    for (const Bytes& name : command.names) {
      Lock& lock = locks_[name];
      issued.places.push_back(lock.history.size());
      lock.history.push_back(MakeOperation(issued));
    }
  }
  if (command.acquires()) {
    IssueAcquire(&issued);
  } else if (command.kind == Kind::kRelease) {
    Tie& tie = locks_[command.name()].ties[command.owner];
    ++tie.open_releases;
    tie.touched = issued.touched = ++touches_;
    Doubt(command.name(), command.owner);
  } else if (command.kind == Kind::kReleaseAll) {
    for (const Bytes& name : owners_[command.owner].names) {
      Tie& tie = locks_[name].ties[command.owner];
      ++tie.open_releases;
      tie.touched = issued.touched = ++touches_;
      Doubt(name, command.owner);
    }
  } else if (command.kind == Kind::kRenew) {
    Shorten(command.name(), issued);
  } else if (command.kind == Kind::kRenewAll) {
    for (const Bytes& name : owners_[command.owner].names) Shorten(name, issued);
  } else if (command.kind == Kind::kRevoke) {
    ++locks_[command.name()].open_revokes;
    Doubt(command.name(), command.owner);
  }
  issued_.push_back(std::move(issued));
  return issued_.size() - 1;
}

void LockChecker::IssueAcquire(Issued* issued) {
  const LockCommand& command = issued->command;
  Owner& owner = owners_[command.owner];
  owner.names.insert(command.names.begin(), command.names.end());
  if (MayWait(command)) {
    ++owner.waiting;
    owner.waits.push_back({issued_.size(), INT64_MAX});
  }
  for (const Bytes& name : command.names) {
    Lock& lock = locks_[name];
    Tie& tie = lock.ties[command.owner];
    ++tie.open_acquires;
    tie.touched = issued->touched = ++touches_;
    if (MayWait(command) && command.names.size() > 1) lock.line_of_many = true;
    Shorten(name, *issued);
    for (Belief& belief : lock.beliefs) {
      // A downgrade takes effect before it is answered.
      if (belief.owner == command.owner) belief.shared |= command.shared;
    }
  }
  // Whoever waits may become a deadlock's victim and lose everything.
  if (!MayWait(command) || command.only_lock) return;
  for (const Bytes& name : owner.names) Doubt(name, command.owner);
}

// Being answered ---------------------------------------------------------------------------------

void LockChecker::Conclude(size_t ticket, const LockAnswer& answer, ClientId socket) {
  const Issued& issued = issued_[ticket];
  const LockCommand& command = issued.command;
  Count_(issued, answer);
  if (command.acquires()) {
    ConcludeAcquire(issued, answer, socket);
  } else if (command.kind == Kind::kRelease) {
    Tie& tie = locks_[command.name()].ties[command.owner];
    --tie.open_releases;
    if (answer.unknown()) ++tie.lost_releases;
    const bool number = answer.kind == AnswerKind::kNumber;
    if (number && (command.token == 0 || answer.number > 0)) ReleasedAll(issued, &tie);
  } else if (IsOwnerWide(command)) {
    ConcludeOwnerWide(issued, answer);
    return;
  } else if (command.kind == Kind::kRevoke && !answer.unknown()) {
    --locks_[command.name()].open_revokes;
    locks_[command.name()].revoked_us = world_->FastUs();
  } else if (command.kind == Kind::kInfo && answer.kind == AnswerKind::kHolders) {
    const Lock& lock = locks_[command.name()];
    CHECK_SIM(!answer.holders.empty() || answer.waiters == 0 || lock.line_of_many,
              "'%s' has waiters and no holder", command.name().c_str());
  } else if (command.kind == Kind::kRenew && answer.number == 1) {
    Believe(issued, answer);
  }
  for (size_t i = 0; i < issued.places.size(); ++i) {
    Fill(&locks_[command.names[i]].history[issued.places[i]], answer);
  }
}

// Turns what the client was told into what the model is to explain. Refused: nothing, for it has
// not happened; the place in the history stays, so that others keep theirs.
void LockChecker::Fill(Operation* operation, const LockAnswer& answer) const {
  const auto nothing = [operation] { *operation = Operation{}; };
  switch (answer.kind) {
    case AnswerKind::kRefused: return nothing();
    case AnswerKind::kUnknown: return;
    case AnswerKind::kDeadlock:
      operation->kind = Operation::Kind::kVacate;
      operation->told = Operation::Told::kNil;
      break;
    case AnswerKind::kNil:
      operation->told = Operation::Told::kNil;
      break;
    case AnswerKind::kToken:
    case AnswerKind::kNumber:
      operation->told = Operation::Told::kNumber;
      operation->number = answer.number;
      break;
    case AnswerKind::kHolders:
      operation->told = Operation::Told::kHolders;
      operation->holders = answer.holders;
      break;
  }
  operation->return_us = world_->FastUs();
}

void LockChecker::ConcludeAcquire(const Issued& issued, const LockAnswer& answer,
                                  ClientId socket) {
  const LockCommand& command = issued.command;
  Owner& owner = owners_[command.owner];
  if (MayWait(command) && !answer.unknown()) {
    --owner.waiting;
    const auto ticket = static_cast<size_t>(&issued - issued_.data());
    const auto wait = std::find_if(owner.waits.rbegin(), owner.waits.rend(),
                                   [ticket](const Wait& w) { return w.ticket == ticket; });
    wait->end_us = world_->FastUs();
  }
  if (answer.kind == AnswerKind::kNil && MayWait(command)) CheckPatience(issued);
  if (answer.kind == AnswerKind::kDeadlock) CheckDeadlock(issued);
  for (const Bytes& name : command.names) {
    Tie& tie = locks_[name].ties[command.owner];
    --tie.open_acquires;
    tie.may_hold = tie.may_hold || answer.granted();
    if (!answer.unknown()) {
      if (!tie.may_be_here()) tie.gone_us = world_->FastUs();
      continue;
    }
    ++tie.lost_acquires;
    tie.first_lost_us = std::min(tie.first_lost_us, issued.call_us);
  }
  if (answer.granted()) {
    CheckToken(issued, answer.number);
    if (!command.bind) Believe(issued, answer);
  }

  Operation end;
  end.owner = command.owner;
  end.call_us = issued.call_us;
  if (command.bind && answer.kind != AnswerKind::kRefused) {
    // Its end is the connection's, or the node's that has accepted it.
    end.kind = Operation::Kind::kVacate;
    owner_wide_.push_back({end, {command.names.begin(), command.names.end()}, socket});
  }
  if (!MayWait(command)) return;
  if (answer.unknown()) {
    for (size_t i = 0; i < command.names.size(); ++i) {
      Operation back = end;
      back.kind = Operation::Kind::kGiveBack;
      back.call_us = issued.call_us;
      back.of = issued.places[i];
      locks_[command.names[i]].history.push_back(back);
    }
  }
  const bool may_be_victim = answer.unknown() && !command.only_lock;
  if (!may_be_victim && answer.kind != AnswerKind::kDeadlock) return;
  end.kind = Operation::Kind::kVacate;
  end.call_us = issued.call_us;
  if (!answer.unknown()) {
    end.told = Operation::Told::kNil;
    end.return_us = world_->FastUs();
  }
  owner_wide_.push_back({end, {}, {}});
}

void LockChecker::ConcludeOwnerWide(const Issued& issued, const LockAnswer& answer) {
  const LockCommand& command = issued.command;
  if (command.kind == Kind::kReleaseAll) {
    for (const Bytes& name : owners_[command.owner].names) {
      Tie& tie = locks_[name].ties[command.owner];
      // Of a lock that came in between, the release was not told; then it is as if lost.
      if (tie.open_releases > 0) --tie.open_releases;
      if (answer.unknown()) ++tie.lost_releases;
      if (answer.kind == AnswerKind::kNumber) ReleasedAll(issued, &tie);
    }
  }
  if (answer.kind == AnswerKind::kRefused) return;
  Operation operation = MakeOperation(issued);
  Fill(&operation, answer);
  owner_wide_.push_back({operation, {}, {}});
}

// Beliefs ----------------------------------------------------------------------------------------

void LockChecker::Doubt(const Bytes& name, const Bytes& owner) {
  std::erase_if(locks_[name].beliefs, [&](const Belief& belief) {
    return owner.empty() || belief.owner == owner;
  });
}

// From now on the lease may be the new one, whose time counts from when it was asked for.
void LockChecker::Shorten(const Bytes& name, const Issued& issued) {
  const int64_t until_us = issued.call_us + issued.command.ttl_ms * kUsPerMs - kSlackUs;
  for (Belief& belief : locks_[name].beliefs) {
    if (belief.owner != issued.command.owner) continue;
    belief.until_us = std::min(belief.until_us, until_us);
  }
}

void LockChecker::Believe(const Issued& issued, const LockAnswer& answer) {
  const LockCommand& command = issued.command;
  const Owner& owner = owners_[command.owner];
  if (owner.waiting > 0 && !command.only_lock) return;
  const int64_t now_us = world_->FastUs();
  for (const Bytes& name : command.names) {
    Lock& lock = locks_[name];
    const Tie& tie = lock.ties[command.owner];
    if (lock.open_revokes > 0 || lock.revoked_us >= issued.call_us) continue;
    if (tie.open_releases > 0 || tie.lost_releases > 0) continue;
    // A renewal says nothing about mode and token; it prolongs what is believed already.
    const int64_t until_us = issued.call_us + command.ttl_ms * kUsPerMs - kSlackUs;
    const auto mine = std::find_if(lock.beliefs.begin(), lock.beliefs.end(), [&](const Belief& b) {
      return b.owner == command.owner;
    });
    if (command.kind == Kind::kRenew) {
      if (mine == lock.beliefs.end() || tie.open_acquires + tie.lost_acquires > 0) continue;
      mine->until_us = until_us;
      WriteRegister(&lock, name, *mine);
      continue;
    }
    if (mine != lock.beliefs.end()) lock.beliefs.erase(mine);
    if (tie.open_acquires + tie.lost_acquires > 0 || until_us <= now_us) continue;
    const Belief belief{command.owner, command.shared, answer.number, until_us};
    WriteRegister(&lock, name, belief);
    lock.beliefs.push_back(belief);
  }
}

void LockChecker::WriteRegister(Lock* lock, const Bytes& name, const Belief& belief) {
  const int64_t now_us = world_->FastUs();
  std::erase_if(lock->beliefs, [&](const Belief& other) { return other.until_us <= now_us; });
  for (const Belief& other : lock->beliefs) {
    if (other.owner != belief.owner) ++world_->counters()[Count::kBeliefsCompared];
    CHECK_SIM(other.owner == belief.owner || (other.shared && belief.shared),
              "%s and %s both hold '%s', with tokens %lu and %lu", other.owner.c_str(),
              belief.owner.c_str(), name.c_str(), other.token, belief.token);
  }
  if (belief.shared) return;
  CHECK_SIM(belief.token >= lock->highest_written, "%s wrote under '%s' with token %lu after %lu",
            belief.owner.c_str(), name.c_str(), belief.token, lock->highest_written);
  lock->highest_written = belief.token;
}

// A token is one grant's, and later grants have higher ones, over all locks.
void LockChecker::CheckToken(const Issued& issued, uint64_t token) {
  const LockCommand& command = issued.command;
  const auto [known, is_new] = token_owner_.try_emplace(token, command.owner);
  CHECK_SIM(known->second == command.owner, "token %lu was given to %s and to %s", token,
            known->second.c_str(), command.owner.c_str());
  const auto highest_before = [this](int64_t time_us) {
    const auto after = highest_by_time_.lower_bound(time_us);
    return after == highest_by_time_.begin() ? uint64_t{0} : std::prev(after)->second;
  };
  if (is_new) {
    // Nobody was told of this grant so far. An acquire that was lost may have got it long ago.
    int64_t asked_us = issued.call_us;
    for (const Bytes& name : command.names) {
      const Tie& tie = locks_[name].ties[command.owner];
      asked_us = std::min(asked_us, tie.first_lost_us);
      if (tie.open_acquires > 0) asked_us = 0;
    }
    CHECK_SIM(token > highest_before(asked_us),
              "%s is granted '%s' with token %lu; %lu was given before it asked",
              command.owner.c_str(), command.name().c_str(), token, highest_before(asked_us));
  } else {
    ++world_->counters()[Count::kRetriesSameToken];
  }
  const uint64_t highest =
      highest_by_time_.empty() ? 0 : std::prev(highest_by_time_.end())->second;
  highest_by_time_[world_->FastUs()] = std::max(highest, token);
}

// A blocking acquire answers nil when its time has passed, or when another request of its owner has
// taken its place or ended it.
void LockChecker::CheckPatience(const Issued& issued) {
  const LockCommand& command = issued.command;
  for (const Bytes& name : command.names) {
    const Tie& tie = locks_[name].ties[command.owner];
    const bool alone = tie.open_acquires == 1 && tie.lost_acquires == 0 &&
                       tie.open_releases == 0 && tie.lost_releases == 0;
    if (!alone || (command.names.size() == 1 && tie.touched != issued.touched)) return;
  }
  if (command.bind) return;  // The node may have been given up.
  const int64_t waited_us = world_->FastUs() - issued.call_us;
  const bool for_ever = *command.block_ms == 0;
  CHECK_SIM(!for_ever && waited_us >= *command.block_ms * kUsPerMs - kSlackUs,
            "%s waited for '%s' %ld us only, it was to be %ld ms", command.owner.c_str(),
            command.name().c_str(), waited_us, *command.block_ms);
  ++world_->counters()[Count::kWaitsTimedOut];
}

// Deadlocks --------------------------------------------------------------------------------------

// Nothing that was sent after this release can have brought the lock back.
void LockChecker::ReleasedAll(const Issued& issued, Tie* tie) const {
  if (tie->touched > issued.touched || !tie->may_hold) return;
  tie->may_hold = false;
  if (!tie->may_be_here()) tie->gone_us = world_->FastUs();
}

bool LockChecker::MayBeAt(const Bytes& owner, const Bytes& name, int64_t since_us) const {
  const auto& ties = locks_.at(name).ties;
  const auto tie = ties.find(owner);
  return tie != ties.end() && (tie->second.may_be_here() || tie->second.gone_us >= since_us);
}

// Those for whom `owner` may have waited at some time since.
std::set<Bytes> LockChecker::NeededBy(const Bytes& owner, int64_t since_us) const {
  std::set<Bytes> needed;
  for (const Wait& wait : owners_.at(owner).waits) {
    if (wait.end_us < since_us) continue;
    for (const Bytes& name : issued_[wait.ticket].command.names) {
      for (const auto& [other, tie] : locks_.at(name).ties) {
        if (other != owner && MayBeAt(other, name, since_us)) needed.insert(other);
      }
    }
  }
  return needed;
}

// A victim has waited, and somebody in turn for it, be it over others. Who has what is known only
// so far, so this says no only where no circle was possible at all.
void LockChecker::CheckDeadlock(const Issued& issued) const {
  const LockCommand& command = issued.command;
  CHECK_SIM(MayWait(command), "%s is a deadlock's victim, and did not wait",
            command.owner.c_str());
  CHECK_SIM(!command.only_lock, "%s is a deadlock's victim, and had to do with one lock only",
            command.owner.c_str());
  std::vector<Bytes> reached = {command.owner};
  std::set<Bytes> seen;
  while (!reached.empty()) {
    const Bytes owner = std::move(reached.back());
    reached.pop_back();
    for (const Bytes& next : NeededBy(owner, issued.call_us)) {
      if (seen.insert(next).second) reached.push_back(next);
    }
    if (seen.contains(command.owner)) break;
  }
  CHECK_SIM(seen.contains(command.owner),
            "%s is a deadlock's victim, and nobody can have waited for anything of it",
            command.owner.c_str());
  ++world_->counters()[Count::kDeadlocksExplained];
}

// The end ----------------------------------------------------------------------------------------

void LockChecker::Check() {
  for (OwnerWide& wide : owner_wide_) {
    if (wide.bound_to) {
      const int64_t ended_us = std::min(world_->disturbed_at_fast_us(),
                                        world_->wires().closed_at_fast_us(*wide.bound_to));
      if (ended_us == Wires::kNotYet) continue;
      wide.operation.call_us = std::max(wide.operation.call_us, ended_us);
    }
    const std::set<Bytes>& names =
        wide.only.empty() ? owners_[wide.operation.owner].names : wide.only;
    for (const Bytes& name : names) locks_[name].history.push_back(wide.operation);
  }
  owner_wide_.clear();
  for (auto& [name, lock] : locks_) CheckHistory(name, &lock);
}

void LockChecker::CheckHistory(const Bytes& name, Lock* lock) {
  for (Operation& operation : lock->history) operation.line_of_many = lock->line_of_many;
  const Verdict verdict = CheckLinearizable(lock->history);
  if (world_->narrating()) {
    world_->Say("history of '%s': %zu operations, %zu states at most%s", name.c_str(),
                lock->history.size(), verdict.states_max,
                verdict.kind == Verdict::Kind::kTooHard ? ", too hard" : "");
  }
  CHECK_SIM(verdict.kind != Verdict::Kind::kIllegal, "'%s' is not linearizable:\n%s", name.c_str(),
            verdict.why.c_str());
  if (lock->ties.size() > 1) ++world_->counters()[Count::kHistoriesContended];
  ++world_->counters()[verdict.kind == Verdict::Kind::kLegal ? Count::kHistoriesChecked
                                                            : Count::kHistoriesTooHard];
}

std::vector<Bytes> LockChecker::names() const {
  std::vector<Bytes> names;
  for (const auto& [name, lock] : locks_) names.push_back(name);
  return names;
}

void LockChecker::Count_(const Issued& issued, const LockAnswer& answer) {
  Counters& counters = world_->counters();
  const LockCommand& command = issued.command;
  const bool some = answer.kind == AnswerKind::kNumber && answer.number > 0;
  switch (answer.kind) {
    case AnswerKind::kUnknown: ++counters[Count::kUnknown]; return;
    case AnswerKind::kRefused: ++counters[Count::kRefused]; return;
    case AnswerKind::kDeadlock: ++counters[Count::kDeadlocks]; return;
    case AnswerKind::kHolders: ++counters[Count::kReads]; return;
    case AnswerKind::kToken:
      ++counters[Count::kGrants];
      if (command.kind == Kind::kMultiAcquire) ++counters[Count::kMultiGrants];
      if (MayWait(command) && world_->FastUs() - issued.call_us > 100 * kUsPerMs) {
        ++counters[Count::kGrantsAfterWait];
      }
      return;
    case AnswerKind::kNil: return;
    case AnswerKind::kNumber: break;
  }
  if (command.kind == Kind::kCheck) ++counters[Count::kReads];
  if (command.kind == Kind::kRelease && some) ++counters[Count::kReleases];
  if (command.kind == Kind::kRenew && some) ++counters[Count::kRenewals];
  if (command.kind == Kind::kRevoke && some) ++counters[Count::kRevocations];
}

}  // namespace lockstep::sim
