#include "tests/sim/lock_model.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "src/base/hash.h"
#include "tests/sim/lock_state.h"

namespace lockstep::sim {
namespace {

constexpr size_t kShownMax = 30;  // Operations, and states, in an explanation.
// Each new state is compared with those known: a second or two of work, then it is too hard.
constexpr uint64_t kComparisonsMax = 50'000'000;

// A way the history may have gone so far.
struct Branch {
  LockState state;
  std::vector<uint32_t> done;  // Have taken effect, and have not returned yet. Sorted.
  std::vector<uint16_t> used;  // Of each sort of lost operation, how many have taken effect.
};

// Operations whose outcome nobody knows can take effect at any time after their call, or never, so
// those that do the same to the same are one sort: which of them it was makes no difference. (Of
// their leases the shortest stands for all, which permits more, never less.)
struct Sort {
  Operation operation;
  Step step;
  std::vector<int64_t> calls_us;  // Ascending.
};

void Insert(std::vector<uint32_t>* sorted, uint32_t value) {
  sorted->insert(std::upper_bound(sorted->begin(), sorted->end(), value), value);
}
bool Contains(const std::vector<uint32_t>& sorted, uint32_t value) {
  return std::binary_search(sorted.begin(), sorted.end(), value);
}

bool IsLost(const Operation& operation) { return operation.told == Operation::Told::kUnknown; }

class Search {
 public:
  Search(const std::vector<Operation>& history, size_t states_max)
      : history_(history), states_max_(states_max) {
    for (const Operation& operation : history_) {
      steps_.push_back({&operation, Number(operation.owner), operation.call_us, 0, 0});
      std::vector<LockState::Holder> seen;
      for (const Operation::Holder& holder : operation.holders) {
        seen.push_back({Number(holder.owner), holder.shared, holder.token, 0, 0, 0, 0});
      }
      std::sort(seen.begin(), seen.end());
      seen_.push_back(std::move(seen));
    }
    SortLost();
    Branch start;
    start.used.resize(sorts_.size());
    branches_.push_back(std::move(start));
  }

  Verdict Run() {
    struct Event {
      int64_t at_us;
      bool returns;  // At one instant calls come first: more can overlap, so less is refused.
      uint32_t operation;
      auto operator<=>(const Event&) const = default;
    };
    std::vector<Event> events;
    for (uint32_t i = 0; i < history_.size(); ++i) {
      events.push_back({history_[i].call_us, false, i});
      if (!IsLost(history_[i])) {
        events.push_back({history_[i].return_us, true, i});
      }
    }
    std::sort(events.begin(), events.end());
    for (const Event& event : events) {
      if (!event.returns) {
        OnCall(event.operation);
      } else if (!OnReturn(event.operation)) {
        break;
      }
      verdict_.states_max = std::max(verdict_.states_max, branches_.size());
    }
    return verdict_;
  }

 private:
  uint32_t Number(const Bytes& owner) {
    if (owner.empty()) return 0;
    const auto next = static_cast<uint32_t>(numbers_.size() + 1);
    return numbers_.try_emplace(owner, next).first->second;
  }

  void SortLost() {
    sort_of_.resize(history_.size());
    std::map<std::tuple<int, Bytes, bool, uint32_t, uint64_t, uint32_t>, uint32_t> known;
    for (uint32_t i = 0; i < history_.size(); ++i) {
      const Operation& operation = history_[i];
      if (!IsLost(operation) || LockState::OnlyLooks(operation)) continue;
      const bool gives_back = operation.kind == Operation::Kind::kGiveBack;
      const uint32_t of = gives_back ? sort_of_[operation.of] : 0;
      const auto [sort, is_new] = known.try_emplace(
          {static_cast<int>(operation.kind), operation.owner, operation.shared, operation.limit,
           operation.token, of},
          static_cast<uint32_t>(known.size() + 1));
      sort_of_[i] = sort->second;
      if (is_new) sorts_.push_back({operation, steps_[i], {}});
      Sort& mine = sorts_[sort->second - 1];
      mine.step.of = of;
      mine.step.lost = sort->second;
      mine.operation.ttl_us = std::min(mine.operation.ttl_us, operation.ttl_us);
      mine.operation.blocks = mine.operation.blocks || operation.blocks;
    }
    for (Sort& sort : sorts_) sort.step.operation = &sort.operation;
  }

  void OnCall(uint32_t called) {
    if (IsLost(history_[called])) {
      const uint32_t sort = sort_of_[called];
      if (sort != 0) sorts_[sort - 1].calls_us.push_back(history_[called].call_us);
      return;
    }
    pending_.push_back(called);
    for (Branch& branch : branches_) LookAround(&branch);
  }

  // What only looks, and sees here what it was told, may as well look here. (While a token is not
  // known, seeing it rules something out, so that is tried like a change.)
  void LookAround(Branch* branch) {
    if (!branch->state.tokens_known()) return;
    for (const uint32_t looker : pending_) {
      if (!LockState::OnlyLooks(history_[looker]) || Contains(branch->done, looker)) continue;
      LockState state = branch->state;
      if (state.Take(steps_[looker], seen_[looker], history_[looker].return_us)) {
        Insert(&branch->done, looker);
      }
    }
  }

  bool OnReturn(uint32_t returned) {
    std::vector<Branch> next;
    for (const Branch& branch : branches_) {
      if (Contains(branch.done, returned)) KeepReturned(branch, returned, &next);
    }
    if (!Explore(returned, &next)) {
      verdict_.kind = Verdict::Kind::kTooHard;
      return false;
    }
    if (next.empty()) {
      verdict_.kind = Verdict::Kind::kIllegal;
      verdict_.why = Explain(returned);
      return false;
    }
    branches_ = std::move(next);
    std::erase(pending_, returned);
    return true;
  }

  // Every way on from the branches in which `target` has not taken effect to one in which it has.
  // As soon as it has, the rest of the way can wait for later returns.
  bool Explore(uint32_t target, std::vector<Branch>* found) {
    until_us_ = history_[target].return_us;
    explored_.clear();
    explored_like_.clear();
    for (const Branch& branch : branches_) {
      if (!Contains(branch.done, target)) Enqueue(branch);
    }
    for (size_t i = 0; i < explored_.size(); ++i) {
      if (explored_.size() > states_max_ || found->size() > states_max_) return false;
      if (comparisons_ > kComparisonsMax) return false;
      TryKnown(Branch(explored_[i]), target, target, found);
      for (const uint32_t other : pending_) {
        if (other != target) TryKnown(Branch(explored_[i]), other, target, found);
      }
      for (size_t sort = 0; sort < sorts_.size(); ++sort) {
        if (explored_[i].used[sort] == sorts_[sort].calls_us.size()) continue;
        TryLost(Branch(explored_[i]), sort, target, found);
      }
      for (size_t h = 0; h < explored_[i].state.holders().size(); ++h) {
        Branch branch = explored_[i];
        if (branch.state.Expire(h, until_us_)) Arrive(std::move(branch), target, found);
      }
    }
    return true;
  }

  void TryKnown(Branch branch, uint32_t step, uint32_t target, std::vector<Branch>* found) {
    if (Contains(branch.done, step)) return;
    if (!branch.state.Take(steps_[step], seen_[step], until_us_)) return;
    Insert(&branch.done, step);
    Arrive(std::move(branch), target, found);
  }

  void TryLost(Branch branch, size_t sort, uint32_t target, std::vector<Branch>* found) {
    Step step = sorts_[sort].step;
    step.call_us = sorts_[sort].calls_us[branch.used[sort]];
    if (!branch.state.Take(step, {}, until_us_)) return;
    ++branch.used[sort];
    Arrive(std::move(branch), target, found);
  }

  void Arrive(Branch branch, uint32_t target, std::vector<Branch>* found) {
    LookAround(&branch);
    if (Contains(branch.done, target)) {
      KeepReturned(std::move(branch), target, found);
    } else {
      Enqueue(std::move(branch));
    }
  }

  void Enqueue(Branch branch) {
    std::vector<uint32_t>& alike = explored_like_[Likeness(branch)];
    comparisons_ += alike.size();
    for (const uint32_t known : alike) {
      if (Covers(explored_[known], branch, false)) return;
    }
    alike.push_back(static_cast<uint32_t>(explored_.size()));
    explored_.push_back(std::move(branch));
  }

  void KeepReturned(Branch branch, uint32_t returned, std::vector<Branch>* found) {
    std::erase(branch.done, returned);
    comparisons_ += found->size();
    for (const Branch& known : *found) {
      if (Covers(known, branch, true)) return;
    }
    std::erase_if(*found, [&](const Branch& known) { return Covers(branch, known, true); });
    found->push_back(std::move(branch));
  }

  static uint64_t Likeness(const Branch& branch) {
    uint64_t hash = branch.state.Shape();
    for (const uint32_t done : branch.done) hash = HashMix(hash, done);
    return hash;
  }

  static bool Covers(const Branch& a, const Branch& b, bool after_expiry) {
    if (a.done != b.done) return false;
    for (size_t i = 0; i < a.used.size(); ++i) {
      if (a.used[i] > b.used[i]) return false;
    }
    return after_expiry ? a.state.CoversAfterExpiry(b.state) : a.state.Covers(b.state);
  }

  Bytes Explain(uint32_t returned) const {
    Bytes why = "nothing explains " + Describe(history_[returned]) + "\n";
    // What touched the lock shortly before or at the same time tells most.
    std::vector<const Operation*> around;
    for (const Operation& operation : history_) {
      const bool nothing = IsLost(operation) && LockState::OnlyLooks(operation);
      if (!nothing && operation.call_us <= history_[returned].return_us) {
        around.push_back(&operation);
      }
    }
    std::stable_sort(around.begin(), around.end(), [](const Operation* a, const Operation* b) {
      return a->return_us < b->return_us;
    });
    const size_t skip = around.size() > kShownMax ? around.size() - kShownMax : 0;
    for (size_t i = skip; i < around.size(); ++i) why += "  " + Describe(*around[i]) + "\n";
    size_t shown = 0;
    for (const Branch& branch : branches_) {
      if (++shown > kShownMax) break;
      why += "  may be held by:";
      for (const LockState::Holder& holder : branch.state.holders()) {
        why += Format(" %s %s token %lu until %.3f", NameOf(holder.owner).c_str(),
                      holder.shared ? "shared" : "exclusive", holder.token,
                      static_cast<double>(holder.ends_us) / 1000);
      }
      why += branch.state.holders().empty() ? " nobody\n" : "\n";
    }
    return why;
  }

  Bytes NameOf(uint32_t number) const {
    for (const auto& [owner, known] : numbers_) {
      if (known == number) return owner;
    }
    return "?";
  }

  const std::vector<Operation>& history_;
  const size_t states_max_;
  std::map<Bytes, uint32_t> numbers_;
  std::vector<Step> steps_;
  std::vector<std::vector<LockState::Holder>> seen_;
  std::vector<Branch> branches_;
  std::vector<Branch> explored_;
  // Their places, by what two must have in common for one to cover the other.
  std::unordered_map<uint64_t, std::vector<uint32_t>> explored_like_;
  std::vector<uint32_t> pending_;
  std::vector<Sort> sorts_;
  std::vector<uint32_t> sort_of_;  // Of each operation, from 1; 0: it is not lost.
  int64_t until_us_ = 0;
  uint64_t comparisons_ = 0;
  Verdict verdict_;
};

const char* KindName(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kAcquire: return "acquire";
    case Operation::Kind::kRelease: return "release";
    case Operation::Kind::kRenew: return "renew";
    case Operation::Kind::kCheck: return "check";
    case Operation::Kind::kInfo: return "info";
    case Operation::Kind::kRevoke: return "revoke";
    case Operation::Kind::kVacate: return "vacate";
    case Operation::Kind::kGiveBack: return "give back";
  }
  return "?";
}

Bytes DescribeTold(const Operation& operation) {
  switch (operation.told) {
    case Operation::Told::kUnknown: return "?";
    case Operation::Told::kNil: return "nil";
    case Operation::Told::kNumber: return std::to_string(operation.number);
    case Operation::Told::kHolders: break;
  }
  Bytes text = "{";
  for (const Operation::Holder& holder : operation.holders) {
    text += Format(" %s%s:%lu", holder.owner.c_str(), holder.shared ? "(s)" : "", holder.token);
  }
  return text + " }";
}

}  // namespace

Bytes Describe(const Operation& operation) {
  const bool returned = operation.return_us != kNoReturn;
  const Bytes end =
      returned ? Format("%.3f", static_cast<double>(operation.return_us) / 1000) : Bytes("...");
  Bytes text = Format("[%.3f %s] %s %s", static_cast<double>(operation.call_us) / 1000, end.c_str(),
                      KindName(operation.kind), operation.owner.c_str());
  if (operation.kind == Operation::Kind::kAcquire) {
    text += operation.shared ? " shared" : " exclusive";
    if (operation.limit != 0) text += " limit " + std::to_string(operation.limit);
    if (operation.blocks) text += " block";
    if (operation.one_of_many) text += " (multi)";
  }
  if (operation.ttl_us != 0)
    text += Format(" ttl %.3f", static_cast<double>(operation.ttl_us) / 1000);
  if (operation.token != 0) text += " token " + std::to_string(operation.token);
  return text + " -> " + DescribeTold(operation);
}

Verdict CheckLinearizable(const std::vector<Operation>& history, size_t states_max) {
  return Search(history, states_max).Run();
}

}  // namespace lockstep::sim
