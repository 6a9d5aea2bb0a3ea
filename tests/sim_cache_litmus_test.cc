// The judge of what the cache's clients saw across keys: the classical litmus tests, each with what
// it forbids and with what it may as well show.
#include <gtest/gtest.h>

#include "src/base/rng.h"
#include "tests/sim/cache_litmus.h"

namespace lockstep::sim {
namespace {

using Seen = std::vector<std::optional<Bytes>>;
const std::optional<Bytes> kNil;
const Registers kOld = {{"x", "old"}, {"y", "old"}};

LitmusStep Load(const Bytes& key, const std::optional<Bytes>& seen) {
  return {{{key, false, seen}}};
}
LitmusStep Store(const Bytes& key, const std::optional<Bytes>& value) {
  return {{{key, true, value}}};
}
LitmusStep Both(bool writes, const std::optional<Bytes>& x, const std::optional<Bytes>& y) {
  return {{{"x", writes, x}, {"y", writes, y}}};
}

// The shape's program with its loads, thread by thread, having seen that.
std::vector<Thread> Observed(Shape shape, const Seen& seen) {
  std::vector<Thread> program = ProgramOf(shape, "x", "y", "v");
  size_t next = 0;
  for (Thread& thread : program) {
    for (LitmusStep& step : thread) {
      if (!step.accesses[0].writes) step.accesses[0].value = seen.at(next++);
    }
  }
  EXPECT_EQ(next, seen.size());
  return program;
}

// Every way in which the loads of a shape can see one of `values`, and how many are possible.
size_t CountPossible(Shape shape, size_t loads, const Seen& values) {
  size_t ways = 1;
  for (size_t i = 0; i < loads; ++i) ways *= values.size();
  size_t possible = 0;
  for (size_t way = 0; way < ways; ++way) {
    Seen seen;
    for (size_t i = 0, rest = way; i < loads; ++i, rest /= values.size()) {
      seen.push_back(values[rest % values.size()]);
    }
    possible += Possible(Observed(shape, seen), kOld);
  }
  return possible;
}

struct Row {
  Shape shape;
  Seen forbidden;
};
const Row kRows[] = {
    {Shape::kStoreBuffering, {"old", "old"}},
    {Shape::kMessagePassing, {"v1", "old"}},
    {Shape::kLoadBuffering, {"v1", "v1"}},
    {Shape::kIndependentReads, {"v1", "old", "v1", "old"}},
    {Shape::kCoherentReads, {"v1", "old"}},
    {Shape::kCoherentWrites, {"v2", "v1"}},
};

TEST(SimCacheLitmus, EachShapeForbidsItsOutcome) {
  for (const Row& row : kRows) {
    const std::vector<Thread> program = Observed(row.shape, row.forbidden);
    EXPECT_FALSE(Possible(program, kOld)) << NameOf(row.shape) << "\n" << Describe(program);
  }
}

TEST(SimCacheLitmus, EachShapeForbidsNothingElseOfOldAndNew) {
  for (const Row& row : kRows) {
    const size_t loads = row.forbidden.size();
    if (row.shape == Shape::kCoherentWrites) {
      // Of old, 1 and 2 nothing goes back: 6 of 9.
      EXPECT_EQ(CountPossible(row.shape, loads, {"old", "v1", "v2"}), 6U);
    } else {
      EXPECT_EQ(CountPossible(row.shape, loads, {"old", "v1"}), (1U << loads) - 1)
          << NameOf(row.shape);
    }
  }
}

TEST(SimCacheLitmus, AForgottenLineExplainsANilInPlaceOfTheOldValue) {
  for (const Row& row : kRows) {
    Seen seen = row.forbidden;
    bool had_old = false;
    for (auto& value : seen) {
      if (value != "old") continue;
      value = kNil;
      had_old = true;
    }
    EXPECT_EQ(Possible(Observed(row.shape, seen), kOld), had_old) << NameOf(row.shape);
    if (had_old) {
      EXPECT_TRUE(Possible(Observed(row.shape, seen))) << NameOf(row.shape);
    }
  }
}

TEST(SimCacheLitmus, AForgottenLineExplainsNoOlderValueAndNoneFromTheFuture) {
  EXPECT_FALSE(Possible(Observed(Shape::kCoherentReads, {kNil, "old"}), kOld));
  EXPECT_TRUE(Possible(Observed(Shape::kCoherentReads, {kNil, "v1"}), kOld));
  EXPECT_TRUE(Possible(Observed(Shape::kCoherentReads, {"v1", kNil}), kOld));
  EXPECT_FALSE(Possible(Observed(Shape::kLoadBuffering, {"v1", "v1"})));
  EXPECT_FALSE(Possible(Observed(Shape::kCoherentWrites, {"v2", "v1"})));
  // x and y are read nil by one, and then their old values by another who saw that the first was
  // done.
  EXPECT_FALSE(Possible({{Load("x", kNil), Store("y", "v1")}, {Load("y", "v1"), Load("x", "old")}},
                        kOld));
}

TEST(SimCacheLitmus, AThreadSeesItsOwnWritesOrNil) {
  EXPECT_FALSE(Possible({{Store("x", "v1"), Load("x", "old")}}, kOld));
  EXPECT_TRUE(Possible({{Store("x", "v1"), Load("x", "v1")}}, kOld));
  EXPECT_TRUE(Possible({{Store("x", "v1"), Load("x", kNil)}}, kOld));
  EXPECT_FALSE(Possible({{Store("x", "v1"), Store("x", kNil), Load("x", "v1")}}, kOld));
}

TEST(SimCacheLitmus, AValueThatNobodyWroteIsImpossible) {
  EXPECT_FALSE(Possible({{Load("x", "v9")}}, kOld));
  EXPECT_TRUE(Possible({}));
}

TEST(SimCacheLitmus, APairWrittenAtOnceIsSeenWhole) {
  const auto possible = [](const std::optional<Bytes>& x, const std::optional<Bytes>& y) {
    return Possible({{Both(true, "1", "1"), Both(true, "2", "2")}, {Both(false, x, y)}}, kOld);
  };
  EXPECT_TRUE(possible("old", "old"));
  EXPECT_TRUE(possible("1", "1"));
  EXPECT_TRUE(possible("2", "2"));
  EXPECT_TRUE(possible("1", kNil));  // Half of it is forgotten.
  EXPECT_TRUE(possible(kNil, kNil));
  EXPECT_FALSE(possible("1", "old"));
  EXPECT_FALSE(possible("1", "2"));
  EXPECT_FALSE(possible("2", "1"));
}

TEST(SimCacheLitmus, APairWrittenOneAfterTheOtherMayBeSeenInHalves) {
  const Thread writer = {Store("x", "1"), Store("y", "1")};
  EXPECT_TRUE(Possible({writer, {Both(false, "1", "old")}}, kOld));
  EXPECT_FALSE(Possible({writer, {Both(false, "old", "1")}}, kOld));
}

TEST(SimCacheLitmus, AnExchangeSeesWhatWasThereBeforeIt) {
  const LitmusStep swap = {{{"x", true, "new"}, {"x", false, "old"}}};
  EXPECT_TRUE(Possible({{swap, Load("x", "new")}}, kOld));
  EXPECT_FALSE(Possible({{swap}, {swap}}, kOld));
}

TEST(SimCacheLitmus, AWriteWhoseAnswerWasLostMayComeLateOrNever) {
  LitmusStep lost = Store("x", "v1");
  lost.answered = false;
  const Thread thread = {lost, Load("x", "old"), Load("x", "v1")};
  EXPECT_TRUE(Possible({thread}, kOld));
  EXPECT_TRUE(Possible({{lost, Load("x", "old")}}, kOld));
  EXPECT_FALSE(Possible({{Load("x", "v1"), lost}}, kOld));
  EXPECT_FALSE(Possible({{lost, Load("x", "v1"), Store("x", "v2"), Load("x", "v1")}}, kOld));
}

TEST(SimCacheLitmus, AReadWhoseAnswerWasLostSaysNothing) {
  LitmusStep lost = Load("x", "v9");
  lost.answered = false;
  EXPECT_TRUE(Possible({{lost}}));
}

TEST(SimCacheLitmus, ADescriptionShowsAThreadALine) {
  LitmusStep lost = Store("y", kNil);
  lost.answered = false;
  EXPECT_EQ(Describe({{Both(true, "1", "2"), Load("x", kNil)}, {lost}}),
            "1: { x=\"1\" y=\"2\" } x->nil\n2: y=nil?\n");
}

// Threads that take turns on registers that work and forget, some answers lost.
std::vector<Thread> Replay(Rng* rng, size_t threads, size_t steps) {
  std::vector<Thread> program(threads);
  Registers registers = kOld;
  for (size_t i = 0; i < steps; ++i) {
    if (rng->Below(6) == 0) registers.erase(rng->Below(2) == 0 ? "x" : "y");
    LitmusStep step;
    step.answered = rng->Below(10) > 0;
    const bool happens = step.answered || rng->Below(2) == 0;
    const bool writes = rng->Below(2) == 0;
    for (const Bytes key : {"x", "y"}) {
      if (rng->Below(3) == 0) continue;
      Access access = {key, writes, Bytes("v" + std::to_string(i))};
      const auto held = registers.find(key);
      if (!writes) access.value = held == registers.end() ? kNil : held->second;
      if (writes && happens) registers[key] = *access.value;
      step.accesses.push_back(access);
    }
    program[rng->Below(threads)].push_back(step);
  }
  return program;
}

TEST(SimCacheLitmus, WhatWorkingRegistersShowIsPossible) {
  Rng rng(1);
  for (int i = 0; i < 2'000; ++i) {
    const std::vector<Thread> program = Replay(&rng, 3, 12);
    EXPECT_TRUE(Possible(program, kOld)) << i << "\n" << Describe(program);
  }
}

TEST(SimCacheLitmus, AReadThatGoesBackInItsThreadIsFound) {
  Rng rng(2);
  size_t tried = 0;
  for (int i = 0; i < 2'000; ++i) {
    std::vector<Thread> program = Replay(&rng, 3, 12);
    // What the thread has written to x last by its own hand was seen there, so x is not old.
    for (Thread& thread : program) {
      bool has_written = false;
      for (const LitmusStep& step : thread) {
        for (const Access& access : step.accesses) {
          has_written = has_written || (access.writes && step.answered && access.key == "x");
        }
      }
      if (!has_written) continue;
      thread.push_back(Load("x", "old"));
      EXPECT_FALSE(Possible(program, kOld)) << i << "\n" << Describe(program);
      ++tried;
      break;
    }
  }
  EXPECT_GT(tried, 1'000U);
}

}  // namespace
}  // namespace lockstep::sim
