#include "tests/sim/cache_litmus.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lockstep::sim {
namespace {

using Place = std::pair<size_t, size_t>;  // Of a step: its thread, and where in it.

struct State {
  std::vector<size_t> at;    // Of each thread, how many steps have been taken.
  std::vector<Place> loose;  // Lost ones that may still happen. Sorted.
  Registers registers;
  auto operator<=>(const State&) const = default;
};

bool OnlyReads(const LitmusStep& step) {
  return std::none_of(step.accesses.begin(), step.accesses.end(),
                      [](const Access& access) { return access.writes; });
}

// Nothing but a nil needs the value forgotten, and a nil needs it absent from there on.
bool Read(const LitmusStep& step, Registers* registers) {
  for (const Access& access : step.accesses) {
    if (access.writes) continue;
    const auto held = registers->find(access.key);
    if (held == registers->end()) {
      if (access.value) return false;
    } else if (!access.value) {
      registers->erase(held);
    } else if (held->second != *access.value) {
      return false;
    }
  }
  return true;
}

void Write(const LitmusStep& step, Registers* registers) {
  for (const Access& access : step.accesses) {
    if (!access.writes) continue;
    if (access.value) {
      (*registers)[access.key] = *access.value;
    } else {
      registers->erase(access.key);
    }
  }
}

class Interleavings {
 public:
  explicit Interleavings(const std::vector<Thread>& program) : program_(program) {}

  bool AnyFrom(const Registers& before) {
    Visit({std::vector<size_t>(program_.size()), {}, before});
    while (!left_.empty() && !is_found_ && known_.size() <= kLitmusStatesMax) {
      const State state = left_.back();
      left_.pop_back();
      Expand(state);
    }
    return is_found_ || !left_.empty();
  }

 private:
  // Lost steps are set loose as soon as their thread comes to them.
  void Visit(State state) {
    bool is_over = true;
    for (size_t i = 0; i < program_.size(); ++i) {
      size_t& at = state.at[i];
      for (; at < program_[i].size() && !program_[i][at].answered; ++at) {
        if (!OnlyReads(program_[i][at])) state.loose.emplace_back(i, at);
      }
      is_over = is_over && at == program_[i].size();
    }
    std::sort(state.loose.begin(), state.loose.end());
    is_found_ = is_found_ || is_over;
    const auto [place, is_new] = known_.insert(std::move(state));
    if (is_new) left_.push_back(*place);
  }

  void Expand(const State& state) {
    std::vector<State> next;
    for (size_t i = 0; i < program_.size(); ++i) {
      if (state.at[i] == program_[i].size()) continue;
      const LitmusStep& step = program_[i][state.at[i]];
      State after = state;
      ++after.at[i];
      if (!Read(step, &after.registers)) continue;
      // Who sees here what he observed, and changes nothing, may as well look here.
      if (OnlyReads(step) && after.registers == state.registers) return Visit(std::move(after));
      Write(step, &after.registers);
      next.push_back(std::move(after));
    }
    for (size_t i = 0; i < state.loose.size(); ++i) {
      State after = state;
      after.loose.erase(after.loose.begin() + static_cast<std::ptrdiff_t>(i));
      const auto [thread, at] = state.loose[i];
      Write(program_[thread][at], &after.registers);
      next.push_back(std::move(after));
    }
    for (State& after : next) Visit(std::move(after));
  }

  const std::vector<Thread>& program_;
  std::set<State> known_;
  std::vector<State> left_;
  bool is_found_ = false;
};

}  // namespace

bool Possible(const std::vector<Thread>& program, const Registers& before) {
  return Interleavings(program).AnyFrom(before);
}

std::vector<Thread> ProgramOf(Shape shape, const Bytes& x, const Bytes& y, const Bytes& stamp) {
  const auto load = [](const Bytes& key) { return LitmusStep{{{key, false, {}}}}; };
  const auto store = [&](const Bytes& key, const char* number) {
    return LitmusStep{{{key, true, stamp + number}}};
  };
  switch (shape) {
    case Shape::kStoreBuffering: return {{store(x, "1"), load(y)}, {store(y, "1"), load(x)}};
    case Shape::kMessagePassing: return {{store(x, "1"), store(y, "1")}, {load(y), load(x)}};
    case Shape::kLoadBuffering: return {{load(x), store(y, "1")}, {load(y), store(x, "1")}};
    case Shape::kIndependentReads:
      return {{store(x, "1")}, {store(y, "1")}, {load(x), load(y)}, {load(y), load(x)}};
    case Shape::kCoherentReads: return {{store(x, "1")}, {load(x), load(x)}};
    case Shape::kCoherentWrites: return {{store(x, "1"), store(x, "2")}, {load(x), load(x)}};
  }
  return {};
}

const char* NameOf(Shape shape) {
  switch (shape) {
    case Shape::kStoreBuffering: return "SB";
    case Shape::kMessagePassing: return "MP";
    case Shape::kLoadBuffering: return "LB";
    case Shape::kIndependentReads: return "IRIW";
    case Shape::kCoherentReads: return "CoRR";
    case Shape::kCoherentWrites: return "CoWW";
  }
  return "?";
}

Bytes Describe(const std::vector<Thread>& program) {
  Bytes text;
  for (size_t i = 0; i < program.size(); ++i) {
    text += std::to_string(i + 1) + ":";
    for (const LitmusStep& step : program[i]) {
      text += step.accesses.size() > 1 ? " {" : "";
      for (const Access& access : step.accesses) {
        text += " " + Printable(access.key) + (access.writes ? "=" : "->");
        text += access.value ? "\"" + Printable(*access.value) + "\"" : Bytes("nil");
      }
      text += step.accesses.size() > 1 ? " }" : "";
      text += step.answered ? "" : "?";
    }
    text += "\n";
  }
  return text;
}

}  // namespace lockstep::sim
