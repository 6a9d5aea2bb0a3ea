// The judge of what the cache's clients saw of one key, on histories made by dice: compared with
// one that tries everything, and with a register that works.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "src/base/rng.h"
#include "tests/sim/cache_model.h"

namespace lockstep::sim {
namespace {

using Kind = CacheOperation::Kind;
using Told = CacheOperation::Told;
using History = std::vector<CacheOperation>;
constexpr auto kLegal = Verdict::Kind::kLegal;
constexpr auto kIllegal = Verdict::Kind::kIllegal;
constexpr CacheRules kNothingForgotten = {.may_forget = false};

// What the checker must agree with: every order is tried, at every millisecond, forgetting and
// ends of times to live at every one too. Exact for times in whole milliseconds (all bounds are
// differences), and hopeless for more than a handful of operations.
class Oracle {
 public:
  Oracle(const History& history, const CacheRules& rules) : history_(history), rules_(rules) {}
  bool IsLegal(int64_t until_ms) {
    until_us_ = until_ms * 1000;
    return From({0, 0, false, "", -1});
  }

 private:
  struct State {
    int64_t now_us;
    uint32_t done;
    bool present;
    Bytes value;
    int64_t deadline_us;  // -1: none.
    auto operator<=>(const State&) const = default;
  };

  bool From(const State& state) {
    if (!known_.insert(state).second) return false;
    const bool has_end = state.present && state.deadline_us >= 0;
    if (has_end && state.now_us > state.deadline_us + rules_.ttl_slack_us) {
      return From(Gone(state));
    }
    bool all = true;
    bool late = false;
    for (size_t i = 0; i < history_.size(); ++i) {
      const bool open = history_[i].told == Told::kAnswered && (state.done >> i & 1) == 0;
      all = all && !open;
      late = late || (open && history_[i].return_us <= state.now_us);
    }
    if (all) return true;
    const bool may_end = has_end && state.now_us >= state.deadline_us - rules_.ttl_slack_us;
    if (state.present && (rules_.may_forget || may_end) && From(Gone(state))) return true;
    for (uint32_t i = 0; i < history_.size(); ++i) {
      if ((state.done >> i & 1) != 0 || history_[i].told == Told::kRefused) continue;
      if (history_[i].call_us > state.now_us) continue;
      State next = state;
      next.done |= 1U << i;
      if (Apply(history_[i], &next) && From(next)) return true;
    }
    if (late || state.now_us >= until_us_) return false;
    State next = state;
    next.now_us += 1000;
    return From(next);
  }

  static State Gone(State state) {
    state.present = false;
    state.value = "";
    state.deadline_us = -1;
    return state;
  }

  static bool Apply(const CacheOperation& operation, State* state) {
    const bool lost = operation.told != Told::kAnswered;
    int64_t number = -1000;
    if (operation.kind == Kind::kRead) {
      const auto is = state->present ? std::optional(state->value) : std::nullopt;
      return lost || is == operation.seen;
    }
    if (operation.kind == Kind::kAdd) {
      int64_t sum = 0;
      if (state->present && !ParseInt64(state->value, &sum)) return false;
      number = sum + operation.by;
      state->value = std::to_string(number);
    } else if (operation.kind == Kind::kAppend) {
      state->value += operation.value;
      number = static_cast<int64_t>(state->value.size());
    } else if (operation.kind == Kind::kDelete) {
      number = state->present;
      *state = Gone(*state);
      return lost || !operation.number || number == *operation.number;
    } else {
      const bool equal = state->present && state->value == operation.expected;
      const bool applies = operation.kind == Kind::kWrite ||
                           (operation.kind == Kind::kSetIfAbsent ? !state->present : equal);
      if (!lost && operation.number && *operation.number != applies) return false;
      if (!applies) return true;
      state->value = operation.value;
      state->deadline_us = operation.ttl_us == 0 ? -1 : state->now_us + operation.ttl_us;
      state->present = true;
      return true;
    }
    state->present = true;
    return lost || !operation.number || number == *operation.number;
  }

  const History& history_;
  const CacheRules rules_;
  int64_t until_us_ = 0;
  std::set<State> known_;
};

// A handful of operations with answers that may or may not be possible.
History Guess(Rng* rng, bool has_ttl) {
  constexpr const char* kTexts[] = {"0", "1", "2", "a", "b", "ab"};
  const uint64_t texts = rng->Below(2) == 0 ? 3 : 6;  // Only numbers, or all.
  const auto value = [&] { return Bytes(kTexts[rng->Below(texts)]); };
  History history(1 + rng->Below(6));
  for (CacheOperation& operation : history) {
    operation.kind = static_cast<Kind>(rng->Below(7));
    operation.call_us = rng->Between(0, 8) * 1000;
    operation.return_us = operation.call_us + rng->Between(0, 4) * 1000;
    operation.value = value();
    operation.expected = value();
    operation.by = rng->Between(1, 2);
    operation.told = rng->Below(5) == 0 ? Told::kUnknown : Told::kAnswered;
    if (has_ttl && rng->Below(2) == 0) operation.ttl_us = rng->Between(2, 6) * 1000;
    if (operation.kind != Kind::kRead && operation.kind != Kind::kWrite) {
      operation.number = rng->Between(0, operation.kind == Kind::kAdd ? 3 : 1);
      if (operation.kind == Kind::kAppend) operation.number = rng->Between(1, 4);
    }
    if (rng->Below(3) > 0) operation.seen = value();
    if (operation.told == Told::kUnknown) operation.number = {};
  }
  return history;
}

Bytes Show(const History& history) {
  Bytes text;
  for (const CacheOperation& operation : history) text += "  " + Describe(operation) + "\n";
  return text;
}

TEST(SimCacheRandom, TheSearchAgreesWithTryingEverything) {
  size_t legal = 0;
  Rng rng(1);
  for (int i = 0; i < 10'000; ++i) {
    const History history = Guess(&rng, false);
    const CacheRules rules = {.may_forget = rng.Below(2) == 0};
    const bool is_legal = Oracle(history, rules).IsLegal(12);
    legal += is_legal;
    ASSERT_EQ(CheckCacheHistory(history, rules).kind, is_legal ? kLegal : kIllegal)
        << "history " << i << (rules.may_forget ? " may forget\n" : "\n") << Show(history);
  }
  EXPECT_GT(legal, 2'000U);
  EXPECT_LT(legal, 8'000U);
}

TEST(SimCacheRandom, WithTimesToLiveTheSearchRefusesNothingPossibleAndFewThingsLess) {
  size_t impossible = 0;
  size_t overlooked = 0;
  Rng rng(2);
  for (int i = 0; i < 10'000; ++i) {
    const History history = Guess(&rng, true);
    const CacheRules rules = {.may_forget = rng.Below(2) == 0,
                              .ttl_slack_us = rng.Between(0, 1) * 1000};
    const bool is_legal = Oracle(history, rules).IsLegal(12);
    const bool passes = CheckCacheHistory(history, rules).kind == kLegal;
    ASSERT_TRUE(passes || !is_legal) << "history " << i << "\n" << Show(history);
    impossible += !is_legal;
    overlooked += !is_legal && passes;
  }
  EXPECT_GT(impossible, 2'000U);
  EXPECT_LT(overlooked * 1000, impossible) << overlooked << " of " << impossible;
}

// A register that works, and forgets, asked by clients whose operations overlap. Whatever becomes
// of the answers, the checker must find it legal.
class Replay {
 public:
  struct Options {
    bool forgets = true;
    bool deletes = true;
    bool loses = true;
    bool counts = false;  // Sums of 1 and reads only, else everything else.
    int64_t ttl_max_ms = 0;
    int64_t slack_us = 2'000;
  };
  Replay(uint64_t seed, const Options& options) : rng_(seed), options_(options) {}

  History Run(size_t operations) {
    int64_t now_us = 0;
    for (size_t i = 0; i < operations; ++i) {
      now_us += rng_.Between(1, 10'000);
      while (!late_.empty() && late_.begin()->first <= now_us) {
        Advance(late_.begin()->first);
        CacheOperation late = late_.begin()->second;
        late_.erase(late_.begin());
        Apply(&late);
      }
      Advance(now_us);
      if (options_.forgets && rng_.Below(8) == 0) held_ = {};
      Ask();
    }
    return std::move(history_);
  }

 private:
  void Advance(int64_t to_us) {
    now_us_ = to_us;
    if (gone_us_ <= now_us_) Put({}, 0);
  }

  void Put(std::optional<Bytes> value, int64_t ttl_us) {
    held_ = std::move(value);
    gone_us_ = std::numeric_limits<int64_t>::max();
    if (ttl_us == 0) return;
    gone_us_ = now_us_ + ttl_us + rng_.Between(-options_.slack_us, options_.slack_us);
  }

  void Ask() {
    CacheOperation operation;
    operation.kind = AnyKind();
    operation.call_us = now_us_ - rng_.Between(0, 30'000);
    operation.value = "v" + std::to_string(history_.size());
    operation.expected = rng_.Below(4) == 0 ? "v0" : held_.value_or("v0");
    operation.by = 1;
    if (options_.ttl_max_ms > 0 && rng_.Below(2) == 0 && operation.kind != Kind::kAppend) {
      operation.ttl_us = rng_.Between(5, options_.ttl_max_ms) * 1000;
    }
    const uint64_t fate = options_.loses ? rng_.Below(20) : 20;
    if (fate == 0) operation.told = Told::kRefused;
    if (fate == 1) late_.emplace(now_us_ + rng_.Between(1, 100'000), operation);
    if (fate > 2) {
      Apply(&operation);
      operation.told = fate > 3 ? Told::kAnswered : Told::kUnknown;
    }
    if (operation.told == Told::kAnswered) {
      operation.return_us = now_us_ + rng_.Between(0, 30'000);
    } else {
      operation.seen = {};
      operation.number = {};
    }
    history_.push_back(operation);
  }

  Kind AnyKind() {
    if (rng_.Below(2) == 0) return Kind::kRead;
    if (options_.counts) return Kind::kAdd;
    constexpr Kind kKinds[] = {Kind::kWrite,         Kind::kWrite,  Kind::kSetIfAbsent,
                               Kind::kCompareAndSet, Kind::kAppend, Kind::kDelete,
                               Kind::kTake};
    return kKinds[rng_.Below(options_.deletes ? std::size(kKinds) : 5)];
  }

  void Apply(CacheOperation* operation) {
    switch (operation->kind) {
      case Kind::kRead: operation->seen = held_; break;
      case Kind::kWrite: Put(operation->value, operation->ttl_us); break;
      case Kind::kDelete:
        operation->number = held_.has_value();
        Put({}, 0);
        break;
      case Kind::kTake:
        operation->seen = held_;
        Put({}, 0);
        break;
      case Kind::kSetIfAbsent:
        operation->number = !held_;
        if (!held_) Put(operation->value, operation->ttl_us);
        break;
      case Kind::kCompareAndSet:
        operation->number = held_ == operation->expected;
        if (*operation->number) Put(operation->value, operation->ttl_us);
        break;
      case Kind::kAdd:
        operation->number = std::stoll(held_.value_or("0")) + operation->by;
        held_ = std::to_string(*operation->number);
        break;
      case Kind::kAppend:
        held_ = held_.value_or("") + operation->value;
        operation->number = static_cast<int64_t>(held_->size());
        break;
    }
  }

  Rng rng_;
  const Options options_;
  History history_;
  std::multimap<int64_t, CacheOperation> late_;  // Take effect though nobody hears of it.
  int64_t now_us_ = 0;
  std::optional<Bytes> held_;
  int64_t gone_us_ = std::numeric_limits<int64_t>::max();
};

TEST(SimCacheRandom, WhatAWorkingRegisterAnswersIsNeverIllegal) {
  for (uint64_t seed = 0; seed < 3'000; ++seed) {
    Rng rng(seed);
    const Replay::Options options = {.forgets = rng.Below(2) == 0,
                                     .counts = rng.Below(4) == 0,
                                     .ttl_max_ms = rng.Between(0, 1) * 60};
    const History history = Replay(seed, options).Run(30);
    const CacheRules rules = {.may_forget = options.forgets, .ttl_slack_us = options.slack_us};
    const Verdict verdict = CheckCacheHistory(history, rules);
    EXPECT_EQ(verdict.kind, kLegal) << "seed " << seed << ": " << verdict.why;
  }
}

// A dozen operations overlap at any time, and every seventh change is lost: more than clients do.
TEST(SimCacheRandom, ALongHistoryIsHardlyEverTooHard) {
  size_t too_hard = 0;
  for (uint64_t seed = 0; seed < 32; ++seed) {
    const Replay::Options options = {.forgets = (seed & 1) == 0,
                                     .counts = (seed & 2) == 0,
                                     .ttl_max_ms = (seed & 4) == 0 ? 0 : 60};
    const History history = Replay(seed, options).Run(600);
    const CacheRules rules = {.may_forget = options.forgets, .ttl_slack_us = options.slack_us};
    const Verdict verdict = CheckCacheHistory(history, rules);
    EXPECT_NE(verdict.kind, kIllegal) << "seed " << seed << ": " << verdict.why;
    too_hard += verdict.kind == Verdict::Kind::kTooHard;
  }
  EXPECT_LE(too_hard, 3U);
}

// One of the answered operations that fit; nothing if none does.
template <class Fits>
CacheOperation* AnyOf(History* history, Rng* rng, Fits fits) {
  std::vector<CacheOperation*> all;
  for (CacheOperation& operation : *history) {
    if (operation.told == Told::kAnswered && fits(operation)) all.push_back(&operation);
  }
  return all.empty() ? nullptr : all[rng->Below(all.size())];
}
bool SeesSomething(const CacheOperation& operation) {
  return operation.kind == Kind::kRead && operation.seen;
}

TEST(SimCacheRandom, AValueThatWasNeverWrittenIsAlwaysFound) {
  size_t tried = 0;
  for (uint64_t seed = 0; seed < 1'000; ++seed) {
    Rng rng(seed);
    History history = Replay(seed, {}).Run(30);
    CacheOperation* read = AnyOf(&history, &rng, SeesSomething);
    if (read == nullptr) continue;
    read->seen = "never";
    EXPECT_EQ(CheckCacheHistory(history).kind, kIllegal) << "seed " << seed << "\n"
                                                         << Show(history);
    ++tried;
  }
  EXPECT_GT(tried, 900U);
}

// v1 was written before v2, and v2 was seen before the read that now answers v1.
TEST(SimCacheRandom, AnOlderValueIsAlwaysFound) {
  size_t tried = 0;
  for (uint64_t seed = 0; seed < 3'000; ++seed) {
    Rng rng(seed);
    History history = Replay(seed, {}).Run(30);
    const CacheOperation* newer = AnyOf(&history, &rng, [](const CacheOperation& operation) {
      return operation.kind == Kind::kWrite;
    });
    if (newer == nullptr) continue;
    const CacheOperation* older = AnyOf(&history, &rng, [&](const CacheOperation& operation) {
      return operation.kind == Kind::kWrite && operation.return_us < newer->call_us;
    });
    const CacheOperation* seen = AnyOf(&history, &rng, [&](const CacheOperation& operation) {
      return SeesSomething(operation) && *operation.seen == newer->value;
    });
    if (older == nullptr || seen == nullptr) continue;
    CacheOperation* read = AnyOf(&history, &rng, [&](const CacheOperation& operation) {
      return operation.kind == Kind::kRead && operation.call_us > seen->return_us;
    });
    if (read == nullptr) continue;
    read->seen = older->value;
    EXPECT_EQ(CheckCacheHistory(history).kind, kIllegal) << "seed " << seed << "\n"
                                                         << Show(history);
    ++tried;
  }
  EXPECT_GT(tried, 250U);
}

TEST(SimCacheRandom, ANilThatNothingExplainsIsAlwaysFound) {
  size_t tried = 0;
  for (uint64_t seed = 0; seed < 1'000; ++seed) {
    Rng rng(seed);
    History history = Replay(seed, {.forgets = false, .deletes = false}).Run(30);
    int64_t written_us = std::numeric_limits<int64_t>::max();
    for (const CacheOperation& operation : history) {
      const bool writes = operation.kind == Kind::kWrite && operation.told == Told::kAnswered;
      if (writes) written_us = std::min(written_us, operation.return_us);
    }
    CacheOperation* read = AnyOf(&history, &rng, [&](const CacheOperation& operation) {
      return SeesSomething(operation) && operation.call_us > written_us;
    });
    if (read == nullptr) continue;
    read->seen = {};
    EXPECT_EQ(CheckCacheHistory(history, kNothingForgotten).kind, kIllegal) << "seed " << seed;
    ++tried;
  }
  EXPECT_GT(tried, 900U);
}

TEST(SimCacheRandom, TwoEqualSumsAreAlwaysFoundWhereNothingIsForgotten) {
  for (uint64_t seed = 0; seed < 1'000; ++seed) {
    Rng rng(seed);
    History history = Replay(seed, {.forgets = false, .counts = true}).Run(30);
    const auto adds = [](const CacheOperation& operation) { return operation.kind == Kind::kAdd; };
    const CacheOperation* one = AnyOf(&history, &rng, adds);
    CacheOperation* other = AnyOf(&history, &rng, adds);
    if (one == other) continue;
    other->number = one->number;
    EXPECT_EQ(CheckCacheHistory(history, kNothingForgotten).kind, kIllegal) << "seed " << seed;
  }
}

}  // namespace
}  // namespace lockstep::sim
