// A breadth-first search of all that can happen to one line (mesi_model.h), to the first state that
// breaks an invariant: so its trace is a shortest one.
#pragma once

#include <cstdio>
#include <vector>

#include "src/base/hash.h"
#include "tests/mesi_model.h"

namespace lockstep::mesi {

// Byte strings, numbered as they come. Each is kept once, with two bytes of size.
class StateSet {
 public:
  StateSet() : slots_(1 << 12, kFree) {}

  size_t size() const { return offsets_.size(); }
  BytesView operator[](size_t at) const {
    const char* data = bytes_.data() + offsets_[at];
    return {data + 1, static_cast<uint8_t>(*data)};
  }
  // Its number, and whether it is new.
  std::pair<uint32_t, bool> Insert(BytesView state) {
    if (size() * 2 >= slots_.size()) Grow();
    uint32_t* slot = Find(state);
    if (*slot != kFree) return {*slot, false};
    *slot = static_cast<uint32_t>(size());
    offsets_.push_back(bytes_.size());
    CHECK(state.size() < 256);
    bytes_.push_back(static_cast<char>(state.size()));
    bytes_.append(state);
    return {*slot, true};
  }

 private:
  static constexpr uint32_t kFree = ~uint32_t{0};

  uint32_t* Find(BytesView state) {
    size_t at = static_cast<size_t>(Hash64(state)) & (slots_.size() - 1);
    while (slots_[at] != kFree && (*this)[slots_[at]] != state) at = (at + 1) & (slots_.size() - 1);
    return &slots_[at];
  }
  void Grow() {
    std::vector<uint32_t> old(slots_.size() * 2, kFree);
    old.swap(slots_);
    for (const uint32_t state : old) {
      if (state != kFree) *Find((*this)[state]) = state;
    }
  }

  Bytes bytes_;
  std::vector<size_t> offsets_;
  std::vector<uint32_t> slots_;  // Open addressing; a power of two, at most half full.
};

struct Found {
  size_t states = 0, transitions = 0, depth = 0;
  const char* broken = nullptr;  // The invariant; null if none is.
  Bytes trace;                   // The steps to there, one a line.
};

class Search {
 public:
  static constexpr size_t kStatesMax = 40'000'000;

  explicit Search(const Config& config) : config_(config), model_(config, &coverage_) {}

  const Coverage& coverage() const { return coverage_; }

  Found Run() {
    Insert(Initial(), 0);
    size_t level_ends = 1;
    for (uint32_t at = 0; at < seen_.size() && found_.broken == nullptr; ++at) {
      if (at == level_ends) {
        ++found_.depth;
        level_ends = seen_.size();
      }
      Expand(at);
      CHECK(seen_.size() < kStatesMax);
    }
    if (found_.broken == nullptr && !config_.values_only) FindWhoNeverRests();
    found_.states = seen_.size();
    return found_;
  }

 private:
  State Initial() const {
    State initial = model_.Initial();
    Normalize(&initial);
    return initial;
  }

  // Which cache is which does not count.
  BytesView Pack(const State& state) {
    State sorted = state;
    SortCaches(&sorted, config_.caches);
    packed_ = BitWriter();
    PackState(packed_, config_.caches, sorted);
    return packed_.Finish();
  }
  State Unpack(size_t at) const {
    State state;
    BitReader bits(seen_[at]);
    PackState(bits, config_.caches, state);
    return state;
  }

  uint32_t Insert(const State& state, uint32_t parent) {
    const auto [at, is_new] = seen_.Insert(Pack(state));
    if (is_new) parents_.push_back(parent);
    return at;
  }

  void Expand(uint32_t at) {
    const State state = Unpack(at);
    bool goes_on = false;
    model_.ForEachStep(state, [&](const StepName& name, const State& next) {
      if (found_.broken != nullptr) return;
      ++found_.transitions;
      goes_on = goes_on || name.must_come();
      if (next.broken != nullptr) return Fail(at, next.broken, true);
      const uint32_t to = Insert(next, at);
      if (!config_.values_only && name.must_come()) must_come_.push_back({at, to});
    });
    if (found_.broken != nullptr) return;
    const bool stuck = !goes_on && !model_.IsAtRest(state);
    if (stuck && !config_.values_only) Fail(at, "somebody waits, and nothing will come", false);
  }

  // By steps that must come alone, every state gets to one where nobody waits: backwards from
  // those.
  void FindWhoNeverRests() {
    std::vector<bool> rests(seen_.size());
    for (size_t at = 0; at < seen_.size(); ++at) rests[at] = model_.IsAtRest(Unpack(at));
    // Most steps lead to a state of a higher number, so few rounds are enough.
    for (bool changed = true; changed;) {
      changed = false;
      for (auto edge = must_come_.rbegin(); edge != must_come_.rend(); ++edge) {
        if (rests[edge->from] || !rests[edge->to]) continue;
        rests[edge->from] = changed = true;
      }
    }
    const auto never = std::find(rests.begin(), rests.end(), false);
    if (never == rests.end()) return;
    Fail(static_cast<uint32_t>(never - rests.begin()), "somebody waits for ever", false);
  }

  void Fail(uint32_t at, const char* broken, bool in_a_step) {
    found_.broken = broken;
    std::vector<uint32_t> path{at};
    while (path.back() != 0) path.push_back(parents_[path.back()]);
    found_.depth = path.size() - 1 + (in_a_step ? 1 : 0);
    found_.trace = TraceOf({path.rbegin(), path.rend()}, in_a_step, broken);
  }

  // What was seen has lost its caches' names (SortCaches): so the steps are walked once more.
  Bytes TraceOf(const std::vector<uint32_t>& path, bool in_a_step, const char* broken) {
    Bytes trace;
    State state = Initial();
    for (size_t i = 1; i < path.size(); ++i) {
      std::optional<State> to;
      model_.ForEachStep(state, [&](const StepName& name, const State& next) {
        if (to || next.broken != nullptr || Pack(next) != seen_[path[i]]) return;
        to = next;
        trace += Format("%2zu  %s\n      %s\n", i, Say(state, name).c_str(), Say(next).c_str());
      });
      state = *to;
    }
    if (in_a_step) trace += LastOf(state, broken, path.size());
    return trace + "    * " + broken + "\n";
  }

  Bytes LastOf(const State& state, const char* broken, size_t number) {
    Bytes trace;
    model_.ForEachStep(state, [&](const StepName& name, const State& next) {
      if (trace.empty() && next.broken == broken)
        trace = Format("%2zu  %s\n      %s\n", number, Say(state, name).c_str(), Say(next).c_str());
    });
    return trace;
  }

  static Bytes Say(const State& state, const StepName& name) {
    static constexpr const char* kNames[] = {"clients load",
                                             "clients store",
                                             "evict",
                                             "idle",
                                             "clients load",
                                             "clients store",
                                             "the lease is over",
                                             "the home moves",
                                             "the home crashes",
                                             "the home is cut off",
                                             "gets",
                                             "gets",
                                             "opens a session",
                                             "is gone for the home",
                                             "answers the new home",
                                             "is waited for no more",
                                             "the home before answers",
                                             "the home before has stopped"};
    const auto kind = static_cast<size_t>(name.kind);
    using enum StepName::Kind;
    const uint64_t epoch = state.homes[name.home].epoch;
    const bool of_home = name.kind == kHomeLoads || name.kind == kHomeStores;
    const bool of_homes = name.kind >= kMove && name.kind <= kCutOff;
    if (of_homes || name.kind >= kOldHomeAnswers) return kNames[kind];
    if (of_home) return Format("home %lu: %s", epoch, kNames[kind]);
    if (name.kind == kToCache) {
      const Message& message = state.homes[name.home].down[name.who].items[name.at];
      return Format("cache %d gets %s from home %lu", name.who, NameOf(message.says), epoch);
    }
    if (name.kind == kToHome) {
      const Message& message = state.homes[name.home].up[name.who].items[name.at];
      return Format("home %lu gets %s from cache %d", epoch, NameOf(message.says), name.who);
    }
    const bool names_home = name.kind == kOpen || name.kind == kGone;
    return Format("cache %d: %s", name.who, kNames[kind]) +
           (names_home ? Format(" (home %lu)", epoch) : Bytes());
  }

  static Bytes Say(const Channel& channel, const char* arrow) {
    Bytes text;
    for (const Message& message : channel) {
      text += Format("%s%s", text.empty() ? arrow : ",", NameOf(message.says));
      if (message.gen != 0) text += Format("/%d", message.gen);
    }
    return text;
  }

  Bytes Say(const State& s) const {
    Bytes text;
    for (size_t c = 0; c < config_.caches; ++c) {
      const CacheSide& cache = s.caches[c];
      text += Format("%zu:%s", c, cache.live ? NameOf(cache.state) : "-");
      if (cache.gen != 0) text += Format("/%d", cache.gen);
      if (IsReadable(cache.state) && cache.version != s.latest) text += "(old)";
      text += Format("%s%s", cache.load ? "?" : "", Bytes(cache.stores, '!').c_str());
      if (s.homes[kOld].epoch != 0 && cache.live) text += Format("@%d", cache.epoch);
      text += "  ";
    }
    for (const HomeSide& home : s.homes) {
      if (home.epoch == 0) continue;
      static constexpr const char* kPhases[] = {"over", "recovers", "", "cut off,"};
      text += Format("| home %d: %s", home.epoch, kPhases[static_cast<size_t>(home.phase)]);
      if (home.serves())
        text += Format(" %s%s sharers %lx owner %d/%lu waiting %d", NameOf(home.line.state),
                       home.version == s.latest ? "" : "(old)", home.line.sharers, home.line.owner,
                       home.line.gen, home.waiting.size);
      for (size_t c = 0; c < config_.caches; ++c) {
        text += Say(home.up[c], Format(" %zu>", c).c_str());
        text += Say(home.down[c], Format(" >%zu ", c).c_str());
      }
      text += " ";
    }
    return text;
  }

  struct Edge {
    uint32_t from, to;
  };

  Config config_;
  Coverage coverage_;
  Model model_;
  StateSet seen_;
  std::vector<uint32_t> parents_;
  std::vector<Edge> must_come_;
  BitWriter packed_;
  Found found_;
};

}  // namespace lockstep::mesi
