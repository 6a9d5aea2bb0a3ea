// The judge of what the cache's clients saw of one key, on histories made by hand. (By dice:
// sim_cache_random_test.cc.)
#include <gtest/gtest.h>

#include "tests/sim/cache_model.h"

namespace lockstep::sim {
namespace {

using Kind = CacheOperation::Kind;
using Told = CacheOperation::Told;
using History = std::vector<CacheOperation>;
constexpr auto kLegal = Verdict::Kind::kLegal;
constexpr auto kIllegal = Verdict::Kind::kIllegal;
constexpr CacheRules kNothingForgotten = {.may_forget = false};
const std::optional<Bytes> kNil;

// Operations of one key in milliseconds, each with when it was called and when it returned.
class Key {
 public:
  CacheOperation& Read(int64_t call, int64_t returns, std::optional<Bytes> seen) {
    CacheOperation& operation = Add(call, returns, Kind::kRead, {});
    operation.seen = std::move(seen);
    return operation;
  }
  CacheOperation& Write(int64_t call, int64_t returns, const Bytes& value, int64_t ttl = 0) {
    CacheOperation& operation = Add(call, returns, Kind::kWrite, {});
    operation.value = value;
    operation.ttl_us = ttl * 1000;
    return operation;
  }
  CacheOperation& Delete(int64_t call, int64_t returns, std::optional<int64_t> count) {
    return Add(call, returns, Kind::kDelete, count);
  }
  CacheOperation& SetIfAbsent(int64_t call, int64_t returns, const Bytes& value, int64_t applied) {
    CacheOperation& operation = Add(call, returns, Kind::kSetIfAbsent, applied);
    operation.value = value;
    return operation;
  }
  CacheOperation& Swap(int64_t call, int64_t returns, const Bytes& expected, const Bytes& value,
                       int64_t applied) {
    CacheOperation& operation = Add(call, returns, Kind::kCompareAndSet, applied);
    operation.expected = expected;
    operation.value = value;
    return operation;
  }
  CacheOperation& Incr(int64_t call, int64_t returns, int64_t by, int64_t sum) {
    CacheOperation& operation = Add(call, returns, Kind::kAdd, sum);
    operation.by = by;
    return operation;
  }
  CacheOperation& Append(int64_t call, int64_t returns, const Bytes& value, int64_t length) {
    CacheOperation& operation = Add(call, returns, Kind::kAppend, length);
    operation.value = value;
    return operation;
  }
  // What was added last was never answered, or surely did not happen.
  void Lose() { Tell(Told::kUnknown); }
  void Refuse() { Tell(Told::kRefused); }

  Verdict::Kind Judge(const CacheRules& rules = {}) const {
    return CheckCacheHistory(history_, rules).kind;
  }
  const History& history() const { return history_; }

 private:
  CacheOperation& Add(int64_t call, int64_t returns, Kind kind, std::optional<int64_t> number) {
    CacheOperation operation;
    operation.kind = kind;
    operation.call_us = call * 1000;
    operation.return_us = returns * 1000;
    operation.told = Told::kAnswered;
    operation.number = number;
    history_.push_back(operation);
    return history_.back();
  }
  void Tell(Told told) {
    history_.back().told = told;
    history_.back().number = {};
    history_.back().return_us = CacheOperation::kNoReturn;
  }

  History history_;
};

TEST(SimCacheModel, OneAfterTheOtherIsLegalThoughNothingMayBeForgotten) {
  Key key;
  key.Read(0, 1, kNil);
  key.Write(2, 3, "v1");
  key.Read(4, 5, "v1");
  key.SetIfAbsent(6, 7, "v2", 0);
  key.Swap(8, 9, "v1", "v3", 1);
  key.Swap(10, 11, "v1", "v4", 0);
  key.Append(12, 13, "xy", 4);
  key.Read(14, 15, "v3xy");
  key.Delete(16, 17, 1);
  key.Delete(18, 19, 0);
  key.Incr(20, 21, 5, 5);
  key.Incr(22, 23, -7, -2);
  key.Read(24, 25, "-2");
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
  EXPECT_EQ(key.Judge(), kLegal);
}

TEST(SimCacheModel, AStaleReadAfterAnybodySawTheNewerValueIsFound) {
  for (const bool overlaps : {true, false}) {
    Key key;
    key.Write(0, 1, "v1");
    key.Write(2, 100, "v2");  // Under way all the time.
    key.Read(10, 20, "v2");
    key.Read(overlaps ? 15 : 21, 30, "v1");
    EXPECT_EQ(key.Judge(), overlaps ? kLegal : kIllegal);
  }
}

TEST(SimCacheModel, AReadOfWhatWasOverwrittenIsFound) {
  Key key;
  key.Write(0, 1, "v1");
  key.Write(2, 3, "v2");
  key.Read(4, 5, "v1");
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, AReadOfWhatIsYetToBeWrittenIsFound) {
  Key key;
  key.Read(0, 1, "v1");
  key.Write(2, 3, "v1");
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, OverlappingWritesAreSeenByAllInOneOrder) {
  for (const bool agree : {true, false}) {
    Key key;
    key.Write(0, 50, "v1");
    key.Write(0, 50, "v2");
    key.Read(1, 10, "v1");
    key.Read(11, 20, "v2");
    key.Read(21, 30, agree ? "v2" : "v1");
    EXPECT_EQ(key.Judge(), agree ? kLegal : kIllegal);
  }
}

TEST(SimCacheModel, ANilIsLegalIfThingsMayBeForgotten) {
  Key key;
  key.Write(0, 1, "v1");
  key.Read(2, 3, kNil);
  EXPECT_EQ(key.Judge(), kLegal);
  EXPECT_EQ(key.Judge(kNothingForgotten), kIllegal);
}

TEST(SimCacheModel, WhatWasForgottenNeverComesBack) {
  Key key;
  key.Write(0, 1, "v1");
  key.Read(2, 3, kNil);
  key.Read(4, 5, "v1");
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, AnOlderValueDoesNotComeBackInPlaceOfTheForgottenOne) {
  Key key;
  key.Write(0, 1, "v1");
  key.Write(2, 3, "v2");
  key.Read(4, 5, kNil);
  key.Read(6, 7, "v1");
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, ANilBesideAReadMayComeAfterIt) {
  Key key;
  key.Write(0, 1, "v1");
  key.Read(2, 10, kNil);
  key.Read(3, 9, "v1");
  EXPECT_EQ(key.Judge(), kLegal);
}

TEST(SimCacheModel, EveryAnswerThatNeedsTheValueForgottenForgetsIt) {
  for (int answer = 0; answer < 6; ++answer) {
    Key key;
    key.Write(0, 1, "7");
    if (answer == 0) key.Read(2, 3, kNil);
    if (answer == 1) key.Delete(2, 3, 0);
    if (answer == 2) key.SetIfAbsent(2, 3, "9", 1);
    if (answer == 3) key.Swap(2, 3, "7", "9", 0);
    if (answer == 4) key.Incr(2, 3, 9, 9);
    if (answer == 5) key.Append(2, 3, "9", 1);
    EXPECT_EQ(key.Judge(), kLegal) << answer;
    EXPECT_EQ(key.Judge(kNothingForgotten), kIllegal) << answer;
    const bool absent = answer == 0 || answer == 1 || answer == 3;
    Key same = key;
    key.Read(4, 5, absent ? kNil : "9");
    EXPECT_EQ(key.Judge(), kLegal) << answer;
    same.Read(4, 5, "7");
    EXPECT_EQ(same.Judge(), kIllegal) << answer;
  }
}

TEST(SimCacheModel, AnswersThatTheValueGivesAreNoSignThatItIsGone) {
  Key key;
  key.Write(0, 1, "v1");
  key.Swap(2, 3, "v0", "v2", 0);
  key.SetIfAbsent(4, 5, "v3", 0);
  key.Read(6, 7, "v1");
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
}

TEST(SimCacheModel, AConditionThatCannotHaveHeldIsFound) {
  for (int answer = 0; answer < 4; ++answer) {
    Key key;
    key.Write(0, 1, "v1");
    key.Delete(2, 3, 1);
    if (answer == 0) key.Delete(4, 5, 1);
    if (answer == 1) key.SetIfAbsent(4, 5, "v2", 0);
    if (answer == 2) key.Swap(4, 5, "v1", "v2", 1);
    if (answer == 3) key.Append(4, 5, "x", 3);
    EXPECT_EQ(key.Judge(), kIllegal) << answer;
  }
}

TEST(SimCacheModel, OnlyOneOfTwoGetsToSetWhatIsAbsent) {
  Key key;
  key.SetIfAbsent(0, 10, "v1", 1);
  key.SetIfAbsent(0, 10, "v2", 1);
  EXPECT_EQ(key.Judge(kNothingForgotten), kIllegal);
  EXPECT_EQ(key.Judge(), kLegal);
}

TEST(SimCacheModel, ALostUpdateIsFound) {
  Key key;
  key.Incr(0, 1, 1, 1);
  key.Incr(2, 10, 1, 2);
  key.Incr(2, 10, 1, 2);
  // Each of the two follows the 1, so neither can follow a forgetting: that would answer 1.
  EXPECT_EQ(key.Judge(), kIllegal);
  EXPECT_EQ(key.Judge(kNothingForgotten), kIllegal);
}

TEST(SimCacheModel, ACounterThatWasForgottenStartsAnew) {
  Key key;
  key.Incr(0, 1, 1, 1);
  key.Incr(2, 3, 1, 2);
  key.Incr(4, 5, 1, 1);
  EXPECT_EQ(key.Judge(), kLegal);
  key.Incr(6, 7, 1, 3);
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, AnAnswerOfWhichNothingIsToldFitsWhateverItWas) {
  for (const bool present : {true, false}) {
    Key key;
    if (present) key.Write(0, 1, "v1");
    key.Delete(2, 3, {});
    key.Read(4, 5, kNil);
    EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
    key.Read(6, 7, "v1");
    EXPECT_EQ(key.Judge(), kIllegal);
  }
}

TEST(SimCacheModel, AnUnknownWriteMayTakeEffectLateOrNeverAndOnlyOnce) {
  Key key;
  key.Write(0, 1, "v1");
  key.Write(2, 3, "v2");
  key.Lose();
  key.Read(10, 11, "v1");  // Not yet.
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
  key.Read(100, 101, "v2");
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
  key.Write(102, 103, "v3");
  key.Read(104, 105, "v2");
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, AnUnknownWriteIsNotSeenBeforeItWasCalled) {
  Key key;
  key.Read(0, 1, "v1");
  key.Write(2, 3, "v1");
  key.Lose();
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, AnUnknownDeleteExplainsOneNilWhereNothingIsForgotten) {
  Key key;
  key.Write(0, 1, "v1");
  key.Delete(2, 3, {});
  key.Lose();
  key.Read(4, 5, "v1");
  key.Read(6, 7, kNil);
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
  key.Write(8, 9, "v2");
  key.Read(10, 11, kNil);
  EXPECT_EQ(key.Judge(kNothingForgotten), kIllegal);
}

TEST(SimCacheModel, EqualUnknownAddsCountAsOftenAsTheyWereCalled) {
  for (const int64_t sum : {1, 2, 3, 4}) {
    Key key;
    key.Incr(0, 1, 1, 0);
    key.Lose();
    key.Incr(0, 1, 1, 0);
    key.Lose();
    key.Incr(2, 3, 1, sum);
    EXPECT_EQ(key.Judge(), sum <= 3 ? kLegal : kIllegal);
  }
}

TEST(SimCacheModel, ALostOperationMayFollowAForgetting) {
  for (int lost = 0; lost < 3; ++lost) {
    Key key;
    key.Write(0, 1, "7");
    if (lost == 0) key.Incr(2, 3, 5, 0);
    if (lost == 1) key.Append(2, 3, "5", 0);
    if (lost == 2) key.SetIfAbsent(2, 3, "5", 0);
    key.Lose();
    key.Read(4, 5, "5");
    EXPECT_EQ(key.Judge(), kLegal) << lost;
    EXPECT_EQ(key.Judge(kNothingForgotten), kIllegal) << lost;
  }
}

TEST(SimCacheModel, ARefusedWriteThatIsSeenIsFound) {
  Key key;
  key.Write(0, 1, "v1");
  key.Refuse();
  key.Read(0, 1, kNil);
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
  key.Read(2, 3, "v1");
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, AReadThatWasNeverAnsweredSaysNothing) {
  Key key;
  key.Read(0, 1, "v9");
  key.Lose();
  key.Read(0, 1, "v9");
  key.Refuse();
  EXPECT_EQ(key.Judge(), kLegal);
}

TEST(SimCacheModel, ATimeToLiveThatEndsTooEarlyIsFoundUnlessThingsAreForgotten) {
  // Written at 0 at the earliest, so gone at 90 at the earliest.
  const CacheRules rules = {.may_forget = false, .ttl_slack_us = 10'000};
  for (const int64_t returns : {89, 90}) {
    Key key;
    key.Write(0, 5, "v1", 100);
    key.Read(80, returns, kNil);
    EXPECT_EQ(key.Judge(rules), returns == 90 ? kLegal : kIllegal);
    EXPECT_EQ(key.Judge(), kLegal);
  }
}

TEST(SimCacheModel, ATimeToLiveThatEndsTooLateIsFound) {
  // Written at 5 at the latest, so gone by 115.
  for (const bool may_forget : {true, false}) {
    for (const int64_t call : {115, 116}) {
      Key key;
      key.Write(0, 5, "v1", 100);
      key.Read(call, 120, "v1");
      EXPECT_EQ(key.Judge({.may_forget = may_forget, .ttl_slack_us = 10'000}),
                call == 115 ? kLegal : kIllegal);
    }
  }
}

TEST(SimCacheModel, ATimeToLiveCountsFromWhenItCanHaveBeenWrittenAtTheEarliest) {
  // The second write follows the delete, which was called at 50.
  for (const int64_t returns : {149, 150}) {
    Key key;
    key.Write(0, 1, "v1");
    key.SetIfAbsent(0, 60, "v2", 1).ttl_us = 100'000;
    key.Delete(50, 60, 1);
    key.Read(70, 71, "v2");
    key.Read(148, returns, kNil);
    EXPECT_EQ(key.Judge(kNothingForgotten), returns == 150 ? kLegal : kIllegal);
  }
}

TEST(SimCacheModel, SumsAndAppendsKeepTheTimeToLiveAndWritesEndIt) {
  for (int change = 0; change < 3; ++change) {
    Key key;
    key.Write(0, 1, "7", 100);
    if (change == 0) key.Incr(50, 51, 1, 8);
    if (change == 1) key.Append(50, 51, "x", 2);
    if (change == 2) key.Write(50, 51, "8");
    key.Read(200, 201, change == 1 ? "7x" : "8");
    EXPECT_EQ(key.Judge(kNothingForgotten), change == 2 ? kLegal : kIllegal) << change;
  }
}

TEST(SimCacheModel, WhatEndedIsAbsentForEveryOperationAndLeavesNoEndBehind) {
  Key key;
  key.Write(0, 1, "7", 100);
  key.SetIfAbsent(200, 201, "8", 1);
  key.Read(900, 901, "8");
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
  Key late;
  late.Write(0, 1, "7", 100);
  late.Incr(200, 201, 1, 8);
  EXPECT_EQ(late.Judge(), kIllegal);
}

TEST(SimCacheModel, AnUnknownWritesTimeToLiveCountsFromWheneverItTookEffect) {
  Key key;
  key.Write(0, 1, "v1", 100);
  key.Lose();
  key.Read(500, 501, "v1");
  EXPECT_EQ(key.Judge(), kLegal);
  key.Read(602, 603, "v1");
  EXPECT_EQ(key.Judge(), kIllegal);
}

TEST(SimCacheModel, OfEqualUnknownWritesAnyMayBeTheOneThatTookEffect) {
  for (const bool short_first : {true, false}) {
    for (const bool ended : {true, false}) {
      Key key;
      key.Write(0, 1, "v1", short_first ? 100 : 900);
      key.Lose();
      key.Write(0, 1, "v1", short_first ? 900 : 100);
      key.Lose();
      key.Read(10, 11, "v1");
      key.Read(500, 501, ended ? kNil : "v1");
      EXPECT_EQ(key.Judge(kNothingForgotten), kLegal) << short_first << ended;
    }
  }
}

TEST(SimCacheModel, ValuesNeedNotBeUnique) {
  Key key;
  key.Write(0, 1, "v1");
  key.Write(2, 3, "v2");
  key.Write(2, 9, "v1");
  key.Read(4, 5, "v2");
  key.Read(10, 11, "v1");
  EXPECT_EQ(key.Judge(kNothingForgotten), kLegal);
}

TEST(SimCacheModel, TooManyWaysAreTooHardAndNoViolation) {
  Key key;
  for (int64_t i = 0; i < 12; ++i) {
    key.Append(0, 1, Bytes(1, static_cast<char>('a' + i)), 0);
    key.Lose();
  }
  key.Read(2, 3, "lkjihgfedcba!");  // Each of the twelve may be a part of it.
  EXPECT_EQ(key.Judge({.states_max = 1000}), Verdict::Kind::kTooHard);
}

TEST(SimCacheModel, AnExplanationNamesWhatNothingExplainsAndWhatWasLeft) {
  Key key;
  key.Write(0, 1, "v1").who = "c1@n2";
  key.Write(2, 3, "v2");
  key.Write(3, 4, "v3");
  key.Lose();
  key.Delete(4, 9, 0);
  key.Read(4, 5, "v1").who = "c2@n1";
  const Verdict verdict = CheckCacheHistory(key.history());
  EXPECT_EQ(verdict.kind, kIllegal);
  EXPECT_EQ(verdict.why,
            "nothing explains [4.000 5.000] c2@n1 read -> \"v1\"\n"
            "  it comes from [0.000 1.000] c1@n2 write \"v1\" -> OK\n"
            "  before   [0.000 1.000] c1@n2 write \"v1\" -> OK\n"
            "  before   [2.000 3.000] write \"v2\" -> OK\n"
            "  lost     [3.000 ...] write \"v3\" -> ?\n"
            "  pending  [4.000 9.000] delete -> 0\n"
            "  the key may hold \"v2\" or another that nobody saw\n"
            "  and may forget it\n");
}

}  // namespace
}  // namespace lockstep::sim
