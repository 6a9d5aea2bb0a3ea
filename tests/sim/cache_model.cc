#include "tests/sim/cache_model.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "src/base/hash.h"
#include "tests/sim/cache_register.h"

namespace lockstep::sim {
namespace {

using Kind = CacheOperation::Kind;
using Told = CacheOperation::Told;
using Line = CacheLine;
using Step = CacheStep;

constexpr size_t kShownMax = 30;  // Operations, and states, in an explanation.
// Each new state is compared with those known: a second or two of work, then it is too hard.
constexpr uint64_t kComparisonsMax = 50'000'000;

// A way the history may have gone so far.
struct Branch {
  Line line;
  std::vector<uint32_t> done;  // Have taken effect, and have not returned yet. Sorted.
  std::vector<uint16_t> used;  // Of each sort of lost operation, how many have taken effect.
};

// Operations whose outcome nobody knows can take effect at any time after their call, or never, so
// those that do the same are one sort: which of them it was makes no difference. (The time to live
// may be that of any of them, which permits more, never less.)
struct Sort {
  Step step;
  std::vector<int64_t> calls_us;  // Ascending.
};

void Insert(std::vector<uint32_t>* sorted, uint32_t value) {
  sorted->insert(std::upper_bound(sorted->begin(), sorted->end(), value), value);
}
bool Contains(const std::vector<uint32_t>& sorted, uint32_t value) {
  return std::binary_search(sorted.begin(), sorted.end(), value);
}

bool IsAnswered(const CacheOperation& operation) { return operation.told == Told::kAnswered; }
// A read that nobody heard of says nothing.
bool IsLost(const CacheOperation& operation) {
  return operation.told == Told::kUnknown && operation.kind != Kind::kRead;
}

// The answer says that it changed nothing.
bool OnlyLooks(const CacheOperation& operation) {
  switch (operation.kind) {
    case Kind::kRead: return true;
    case Kind::kTake: return IsAnswered(operation) && !operation.seen;
    case Kind::kDelete:
    case Kind::kSetIfAbsent:
    case Kind::kCompareAndSet: return IsAnswered(operation) && operation.number == 0;
    case Kind::kWrite:
    case Kind::kAdd:
    case Kind::kAppend: return false;
  }
  return false;
}

class Search {
 public:
  Search(const std::vector<CacheOperation>& history, const CacheRules& rules)
      : history_(history), rules_(rules), register_(history, rules.may_forget, rules.ttl_slack_us) {
    for (const CacheOperation& operation : history_) steps_.push_back(register_.StepOf(operation));
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
      const bool returns = IsAnswered(history_[i]);
      if (returns || IsLost(history_[i])) events.push_back({history_[i].call_us, false, i});
      if (returns) events.push_back({history_[i].return_us, true, i});
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
  void SortLost() {
    sort_of_.resize(history_.size());
    std::map<std::tuple<Kind, uint32_t, uint32_t, int64_t>, uint32_t> known;
    for (uint32_t i = 0; i < history_.size(); ++i) {
      const CacheOperation& operation = history_[i];
      if (!IsLost(operation)) continue;
      const auto [sort, is_new] = known.try_emplace(
          {operation.kind, steps_[i].value, steps_[i].expected, operation.by},
          static_cast<uint32_t>(sorts_.size()));
      if (is_new) sorts_.push_back({steps_[i], {}});
      sort_of_[i] = sort->second;
      Step& step = sorts_[sort->second].step;
      step.ttl_min_us = std::min(step.ttl_min_us, steps_[i].ttl_min_us);
      step.ttl_max_us = std::max(step.ttl_max_us, steps_[i].ttl_max_us);
    }
  }

  void OnCall(uint32_t called) {
    if (IsLost(history_[called])) {
      sorts_[sort_of_[called]].calls_us.push_back(history_[called].call_us);
      return;
    }
    pending_.push_back(called);
    for (Branch& branch : branches_) LookAround(&branch);
  }

  // What only looks, and sees here what it was told, may as well look here. (A line that has to end
  // for that is another one afterwards.)
  void LookAround(Branch* branch) {
    for (const uint32_t looker : pending_) {
      if (!OnlyLooks(history_[looker]) || Contains(branch->done, looker)) continue;
      const int64_t until_us = history_[looker].return_us;
      if (register_.Take(branch->line, steps_[looker], until_us) == branch->line) {
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
      if (explored_.size() > rules_.states_max || found->size() > rules_.states_max) return false;
      if (comparisons_ > kComparisonsMax) return false;
      const Branch from = explored_[i];
      TryAnswered(from, target, target, found);
      for (const uint32_t other : pending_) {
        if (other != target) TryAnswered(from, other, target, found);
      }
      for (size_t sort = 0; sort < sorts_.size(); ++sort) TryLost(from, sort, target, found);
    }
    return true;
  }

  void TryAnswered(const Branch& from, uint32_t step, uint32_t target, std::vector<Branch>* found) {
    if (Contains(from.done, step)) return;
    for (const Line& line : WaysOn(from.line, steps_[step])) {
      Branch branch{line, from.done, from.used};
      Insert(&branch.done, step);
      Arrive(std::move(branch), target, found);
    }
  }

  void TryLost(const Branch& from, size_t sort, uint32_t target, std::vector<Branch>* found) {
    if (from.used[sort] == sorts_[sort].calls_us.size()) return;
    Step step = sorts_[sort].step;
    step.call_us = sorts_[sort].calls_us[from.used[sort]];
    for (const Line& line : WaysOn(from.line, step)) {
      if (line == from.line) continue;  // Then it may as well not have happened.
      Branch branch{line, from.done, from.used};
      ++branch.used[sort];
      Arrive(std::move(branch), target, found);
    }
  }

  // What `line` may be after `step`. The value is forgotten here only: right before a step takes
  // effect, and only if that can make a difference.
  //
  // That loses nothing. Between two steps nobody looks, so whatever is forgotten there may as well
  // be forgotten right before the next step; that a time to live is over can wait likewise, for it
  // still is. If that step is a write, it leaves the same either way, so nothing need be forgotten.
  // If it only looks, and sees what it was told with the value still there (another value than its
  // compare-and-set expects), the value can be forgotten after it instead. What remains are reads
  // of nil, deletes of nothing, a set-if-absent that is applied, a compare-and-set that is not
  // though the value is the expected one, sums and appends that start anew; and all of these where
  // nobody knows what they answered. With the value still there and absent both are then tried.
  std::vector<Line> WaysOn(const Line& line, const Step& step) {
    std::vector<Line> ways;
    const std::optional<Line> kept = register_.Take(line, step, until_us_);
    if (kept) ways.push_back(*kept);
    const bool sees_it = kept == line && OnlyLooks(*step.operation);
    if (sees_it || step.operation->kind == Kind::kWrite) return ways;
    const std::optional<Line> forgotten = register_.TakeForgotten(line, step, until_us_);
    if (forgotten) ways.push_back(*forgotten);
    return ways;
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
      if (Covers(explored_[known], branch)) return;
    }
    alike.push_back(static_cast<uint32_t>(explored_.size()));
    explored_.push_back(std::move(branch));
  }

  void KeepReturned(Branch branch, uint32_t returned, std::vector<Branch>* found) {
    std::erase(branch.done, returned);
    comparisons_ += found->size();
    for (const Branch& known : *found) {
      if (Covers(known, branch)) return;
    }
    std::erase_if(*found, [&](const Branch& known) { return Covers(branch, known); });
    found->push_back(std::move(branch));
  }

  static uint64_t Likeness(const Branch& branch) {
    uint64_t hash = branch.line.value;
    for (const uint32_t done : branch.done) hash = HashMix(hash, done);
    return hash;
  }

  static bool Covers(const Branch& a, const Branch& b) {
    if (!a.line.Covers(b.line) || a.done != b.done) return false;
    for (size_t i = 0; i < a.used.size(); ++i) {
      if (a.used[i] > b.used[i]) return false;
    }
    return true;
  }

  Bytes Explain(uint32_t returned) const {
    const CacheOperation& target = history_[returned];
    Bytes why = "nothing explains " + Describe(target) + "\n";
    if (target.seen) why += ExplainOrigin(*target.seen);
    // What touched the key shortly before or at the same time tells most.
    std::vector<const CacheOperation*> around;
    for (const CacheOperation& operation : history_) {
      const bool counts = IsAnswered(operation) || IsLost(operation);
      if (counts && &operation != &target && operation.call_us <= target.return_us) {
        around.push_back(&operation);
      }
    }
    const auto when = [](const CacheOperation* operation) {
      return IsLost(*operation) ? operation->call_us : operation->return_us;
    };
    std::stable_sort(around.begin(), around.end(),
                     [&](const auto* a, const auto* b) { return when(a) < when(b); });
    const size_t skip = around.size() > kShownMax ? around.size() - kShownMax : 0;
    for (size_t i = skip; i < around.size(); ++i) {
      const bool is_pending = !IsLost(*around[i]) && around[i]->return_us >= target.return_us;
      why += IsLost(*around[i]) ? "  lost     " : is_pending ? "  pending  " : "  before   ";
      why += Describe(*around[i]) + "\n";
    }
    for (size_t i = 0; i < branches_.size() && i < kShownMax; ++i) {
      why += "  the key may hold " + register_.Show(branches_[i].line) + "\n";
    }
    return why + (rules_.may_forget ? "  and may forget it\n" : "  and may not forget it\n");
  }

  Bytes ExplainOrigin(const Bytes& seen) const {
    Bytes text;
    for (const CacheOperation& operation : history_) {
      const bool writes = operation.kind != Kind::kRead && operation.kind != Kind::kDelete &&
                          operation.kind != Kind::kTake;
      if (!writes || operation.value != seen) continue;
      text += "  it comes from " + Describe(operation) + "\n";
    }
    return text.empty() ? "  no operation writes just this\n" : text;
  }

  const std::vector<CacheOperation>& history_;
  const CacheRules rules_;
  CacheRegister register_;
  std::vector<Step> steps_;
  std::vector<Branch> branches_;
  std::vector<Branch> explored_;
  // Their places, by what two must have in common for one to cover the other.
  std::unordered_map<uint64_t, std::vector<uint32_t>> explored_like_;
  std::vector<uint32_t> pending_;
  std::vector<Sort> sorts_;
  std::vector<uint32_t> sort_of_;  // Of each operation that is lost.
  int64_t until_us_ = 0;
  uint64_t comparisons_ = 0;
  Verdict verdict_;
};

Bytes DescribeAsked(const CacheOperation& operation) {
  const Bytes value = "\"" + Printable(operation.value) + "\"";
  switch (operation.kind) {
    case Kind::kRead: return "read";
    case Kind::kWrite: return "write " + value;
    case Kind::kDelete: return "delete";
    case Kind::kSetIfAbsent: return "set if absent " + value;
    case Kind::kAdd: return "add " + std::to_string(operation.by);
    case Kind::kCompareAndSet:
      return "compare and set \"" + Printable(operation.expected) + "\" to " + value;
    case Kind::kAppend: return "append " + value;
    case Kind::kTake: return "take";
  }
  return "?";
}

Bytes DescribeTold(const CacheOperation& operation) {
  if (operation.told == Told::kUnknown) return "?";
  if (operation.told == Told::kRefused) return "refused";
  if (operation.kind != Kind::kRead && operation.kind != Kind::kTake) {
    return operation.number ? std::to_string(*operation.number) : "OK";
  }
  return operation.seen ? "\"" + Printable(*operation.seen) + "\"" : "nil";
}

}  // namespace

Bytes Describe(const CacheOperation& operation) {
  const bool returned = operation.return_us != CacheOperation::kNoReturn;
  const Bytes end =
      returned ? Format("%.3f", static_cast<double>(operation.return_us) / 1000) : Bytes("...");
  Bytes text = Format("[%.3f %s] ", static_cast<double>(operation.call_us) / 1000, end.c_str());
  if (!operation.who.empty()) text += operation.who + " ";
  text += DescribeAsked(operation);
  if (operation.ttl_us != 0) {
    text += Format(" ttl %.3f", static_cast<double>(operation.ttl_us) / 1000);
  }
  return text + " -> " + DescribeTold(operation);
}

Verdict CheckCacheHistory(const std::vector<CacheOperation>& history, const CacheRules& rules) {
  return Search(history, rules).Run();
}

}  // namespace lockstep::sim
