// The linearizability checker of the simulator, on histories made by hand: a checker that calls
// something legal illegal is a nuisance, one that overlooks something is worse than none.
#include <gtest/gtest.h>

#include "src/base/rng.h"
#include "tests/sim/lock_model.h"

namespace lockstep::sim {
namespace {

constexpr int64_t kLong = 1'000'000'000;

// Operations in milliseconds, each with when it was called and when it returned.
class History {
 public:
  Operation& Add(int64_t call_ms, int64_t return_ms, Operation::Kind kind, const Bytes& owner) {
    Operation operation;
    operation.kind = kind;
    operation.call_us = call_ms * 1000;
    operation.return_us = return_ms < 0 ? kNoReturn : return_ms * 1000;
    operation.owner = owner;
    operation.ttl_us = kLong;
    operations_.push_back(operation);
    return operations_.back();
  }
  static void Number(Operation* operation, int64_t number) {
    if (number < 0) return;
    operation->told = Operation::Told::kNumber;
    operation->number = static_cast<uint64_t>(number);
  }

  // `token` 0: nil. -1: never told.
  Operation& Acquire(int64_t call, int64_t returns, const Bytes& owner, int64_t token) {
    Operation& operation = Add(call, returns, Operation::Kind::kAcquire, owner);
    Number(&operation, token);
    if (token == 0) operation.told = Operation::Told::kNil;
    return operation;
  }
  Operation& Share(int64_t call, int64_t returns, const Bytes& owner, int64_t token) {
    Operation& operation = Acquire(call, returns, owner, token);
    operation.shared = true;
    return operation;
  }
  Operation& Release(int64_t call, int64_t returns, const Bytes& owner, int64_t number) {
    Operation& operation = Add(call, returns, Operation::Kind::kRelease, owner);
    Number(&operation, number);
    return operation;
  }
  Operation& Renew(int64_t call, int64_t returns, const Bytes& owner, int64_t number) {
    Operation& operation = Add(call, returns, Operation::Kind::kRenew, owner);
    Number(&operation, number);
    return operation;
  }
  Operation& Check(int64_t call, int64_t returns, uint64_t token, int64_t number) {
    Operation& operation = Add(call, returns, Operation::Kind::kCheck, "");
    operation.token = token;
    Number(&operation, number);
    return operation;
  }
  Operation& Revoke(int64_t call, int64_t returns, const Bytes& owner, int64_t number) {
    Operation& operation = Add(call, returns, Operation::Kind::kRevoke, owner);
    Number(&operation, number);
    return operation;
  }
  Operation& Vacate(int64_t call, int64_t returns, const Bytes& owner) {
    Operation& operation = Add(call, returns, Operation::Kind::kVacate, owner);
    if (returns >= 0) operation.told = Operation::Told::kNil;
    return operation;
  }
  Operation& Info(int64_t call, int64_t returns, std::vector<Operation::Holder> holders) {
    Operation& operation = Add(call, returns, Operation::Kind::kInfo, "");
    operation.told = Operation::Told::kHolders;
    operation.holders = std::move(holders);
    return operation;
  }

  Verdict::Kind Judge() const { return CheckLinearizable(operations_).kind; }
  const std::vector<Operation>& operations() const { return operations_; }

 private:
  std::vector<Operation> operations_;
};

constexpr auto kLegal = Verdict::Kind::kLegal;
constexpr auto kIllegal = Verdict::Kind::kIllegal;

TEST(SimChecker, NothingHappenedIsLegal) { EXPECT_EQ(History().Judge(), kLegal); }

TEST(SimChecker, OneAfterTheOtherIsLegal) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Acquire(2, 3, "bob", 0);
  history.Release(4, 5, "alice", 1);
  history.Acquire(6, 7, "bob", 9);
  history.Info(8, 9, {{"bob", false, 9}});
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, TwoHoldersOfAnExclusiveLockAreFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Acquire(2, 3, "bob", 6);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, TwoOverlappingGrantsAreFoundThoughNeitherCameFirst) {
  History history;
  history.Acquire(0, 10, "alice", 5);
  history.Acquire(0, 10, "bob", 6);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AReleaseUnderWayExplainsTheNextGrant) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 10, "alice", 1);
  history.Acquire(3, 4, "bob", 6);
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, AGrantBeforeTheReleaseWasEvenCalledIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Acquire(3, 4, "bob", 6);
  history.Release(5, 10, "alice", 1);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ANilWhileNobodyHeldTheLockIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 3, "alice", 1);
  history.Acquire(4, 5, "bob", 0);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ANilBesideAReleaseMayComeFromBeforeIt) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 5, "alice", 1);
  history.Acquire(4, 6, "bob", 0);
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, ATokenThatFallsIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 9);
  history.Release(2, 3, "alice", 1);
  history.Acquire(4, 5, "bob", 8);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ATokenGivenTwiceIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 9);
  history.Release(2, 3, "alice", 1);
  history.Acquire(4, 5, "bob", 9);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AskingAgainGivesTheSameToken) {
  History history;
  history.Acquire(0, 1, "alice", 9);
  history.Acquire(2, 3, "alice", 9);
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, AskingAgainAndGettingAnotherTokenIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 9);
  history.Acquire(2, 3, "alice", 10);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AskingAgainAndGettingNilIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 9);
  history.Acquire(2, 3, "alice", 0);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ALeaseMayBeOverOnceItsTimeHasPassed) {
  History history;
  history.Acquire(0, 10, "alice", 5).ttl_us = 100'000;
  history.Acquire(95, 101, "bob", 6);
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, ALeaseThatEndsTooEarlyIsFound) {
  History history;
  history.Acquire(0, 10, "alice", 5).ttl_us = 100'000;
  history.Acquire(95, 99, "bob", 6);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ALeaseCountsFromWhenItCanHaveBeenGrantedAtTheEarliest) {
  // Bob's grant follows Alice's release, so it cannot lie before that was called.
  History history;
  history.Acquire(0, 10, "alice", 5);
  history.Acquire(0, 90, "bob", 6).ttl_us = 100'000;
  history.Release(80, 85, "alice", 1);
  history.Info(170, 179, {});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ARenewedLeaseThatEndsAtItsOldTimeIsFound) {
  History history;
  history.Acquire(0, 10, "alice", 5).ttl_us = 100'000;
  history.Renew(80, 90, "alice", 1).ttl_us = 100'000;
  history.Info(110, 120, {});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ARenewThatNobodyHeardOfProlongsNothingForSure) {
  History history;
  history.Acquire(0, 10, "alice", 5).ttl_us = 100'000;
  history.Renew(80, -1, "alice", -1).ttl_us = 100'000;
  history.Info(110, 120, {});
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, AnUnknownRenewMayHaveMadeTheLeaseShorter) {
  History history;
  history.Acquire(0, 10, "alice", 5);
  history.Renew(80, -1, "alice", -1).ttl_us = 10'000;
  history.Info(110, 120, {});
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, ARenewOfALostLeaseIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 3, "alice", 1);
  history.Renew(4, 5, "alice", 1);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ARenewRefusedToTheHolderIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Renew(4, 5, "alice", 0);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AnUnknownAcquireMayHaveTakenTheLock) {
  History history;
  history.Acquire(0, -1, "alice", -1);
  history.Acquire(10, 11, "bob", 0);
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, AnUnknownAcquireMayTakeEffectLongAfter) {
  History history;
  history.Acquire(0, -1, "alice", -1);
  history.Acquire(10, 11, "bob", 5);
  history.Release(12, 13, "bob", 1);
  history.Acquire(500, 501, "bob", 0);
  history.Info(502, 503, {{"alice", false, 7}});
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, AnUnknownAcquireTakesEffectOnce) {
  History history;
  history.Acquire(0, -1, "alice", -1);
  history.Info(10, 11, {{"alice", false, 7}});
  history.Release(12, 13, "alice", 1);
  history.Info(14, 15, {{"alice", false, 9}});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AHolderThatNeverAskedIsFound) {
  History history;
  history.Info(0, 1, {{"alice", false, 7}});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, TheTokenThatAnUnknownAcquireGotStaysOnceSeen) {
  History history;
  history.Acquire(0, -1, "alice", -1);
  history.Info(10, 11, {{"alice", false, 7}});
  history.Info(12, 13, {{"alice", false, 8}});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AnUnknownAcquireCannotHaveAnOlderTokenThanTheGrantBeforeIt) {
  History history;
  history.Acquire(0, 1, "bob", 7);
  history.Release(2, 3, "bob", 1);
  history.Acquire(4, -1, "alice", -1);
  history.Info(10, 11, {{"alice", false, 6}});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AnUnknownReleaseMayOrMayNotHaveHappened) {
  for (const bool happened : {false, true}) {
    History history;
    history.Acquire(0, 1, "alice", 5);
    history.Release(2, -1, "alice", -1);
    if (happened) {
      history.Acquire(3, 4, "bob", 6);
    } else {
      history.Acquire(3, 4, "bob", 0);
    }
    EXPECT_EQ(history.Judge(), kLegal);
  }
}

TEST(SimChecker, AnUnknownReleaseHappensOnce) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, -1, "alice", -1);
  history.Info(3, 4, {});
  history.Acquire(5, 6, "alice", 7);
  history.Info(7, 8, {});
  EXPECT_EQ(history.Judge(), kIllegal);
}

// A wait that was granted when its client had gone already.
History GrantedToNobody() {
  History history;
  history.Acquire(0, 1, "bob", 3);
  history.Acquire(0, -1, "alice", -1).blocks = true;
  history.Release(4, 5, "bob", 1);
  history.Info(6, 7, {{"alice", false, 5}});
  Operation& give_back = history.Add(2, -1, Operation::Kind::kGiveBack, "alice");
  give_back.of = 1;
  return history;
}

TEST(SimChecker, WhatNobodyReceivedMayBeTakenBack) {
  History history = GrantedToNobody();
  history.Info(8, 9, {});
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, WhatTheOwnerHasHeardOfMayNot) {
  History history = GrantedToNobody();
  history.Acquire(8, 9, "alice", 5);
  history.Info(10, 11, {});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AnUpgradeTakenBackLeavesWhatWasHeldBefore) {
  for (const int64_t token : {3, 5}) {
    History history;
    history.Share(0, 1, "alice", 3);
    history.Acquire(2, -1, "alice", -1).blocks = true;
    Operation& give_back = history.Add(3, -1, Operation::Kind::kGiveBack, "alice");
    give_back.of = 1;
    history.Info(6, 7, {{"alice", false, 5}});
    history.Share(8, 9, "bob", 6);
    history.Info(10, 11, {{"alice", true, static_cast<uint64_t>(token)}, {"bob", true, 6}});
    EXPECT_EQ(history.Judge(), token == 3 ? kLegal : kIllegal);
  }
}

TEST(SimChecker, ReadersShare) {
  History history;
  history.Share(0, 1, "alice", 5);
  history.Share(2, 3, "bob", 6);
  history.Acquire(4, 5, "carol", 0);
  history.Info(6, 7, {{"alice", true, 5}, {"bob", true, 6}});
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, ReadersGrantedTogetherStillHaveTheirOwnTokens) {
  for (const int64_t token : {5, 6}) {
    History history;
    history.Acquire(0, 1, "carol", 3);
    history.Share(2, 10, "alice", 5);
    history.Share(2, 10, "bob", token);
    history.Release(4, 5, "carol", 1);
    EXPECT_EQ(history.Judge(), token == 5 ? kIllegal : kLegal);
  }
}

TEST(SimChecker, AWriterBesideAReaderIsFound) {
  History history;
  history.Share(0, 1, "alice", 5);
  history.Acquire(2, 3, "bob", 6);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AReaderBesideAWriterIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Share(2, 3, "bob", 6);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, MoreHoldersThanTheLimitAreFound) {
  for (const uint32_t limit : {2U, 3U}) {
    History history;
    history.Share(0, 1, "alice", 5).limit = limit;
    history.Share(2, 3, "bob", 6).limit = limit;
    history.Share(4, 5, "carol", 7).limit = limit;
    EXPECT_EQ(history.Judge(), limit == 2 ? kIllegal : kLegal);
  }
}

TEST(SimChecker, ASemaphoreThatRefusesWhileItHasRoomIsFoundIfNobodyWaits) {
  for (const uint32_t limit : {2U, 3U}) {
    History history;
    history.Share(0, 1, "alice", 5).limit = limit;
    history.Share(2, 3, "bob", 6).limit = limit;
    Operation& refused = history.Share(4, 5, "carol", 0);
    refused.limit = limit;
    refused.no_queue = true;
    EXPECT_EQ(history.Judge(), limit == 2 ? kLegal : kIllegal);
  }
}

TEST(SimChecker, AnUpgradeNeedsToBeAlone) {
  History history;
  history.Share(0, 1, "alice", 5);
  history.Share(2, 3, "bob", 6);
  history.Acquire(4, 5, "alice", 7);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AnUpgradeGivesANewToken) {
  for (const int64_t token : {5, 7}) {
    History history;
    history.Share(0, 1, "alice", 5);
    history.Acquire(4, 5, "alice", token);
    history.Share(6, 7, "bob", 0);
    EXPECT_EQ(history.Judge(), token == 7 ? kLegal : kIllegal);
  }
}

TEST(SimChecker, ADowngradeKeepsTheTokenAndLetsReadersIn) {
  for (const int64_t token : {5, 7}) {
    History history;
    history.Acquire(0, 1, "alice", 5);
    history.Share(2, 3, "alice", token);
    history.Share(4, 5, "bob", 8);
    EXPECT_EQ(history.Judge(), token == 5 ? kLegal : kIllegal);
  }
}

TEST(SimChecker, AStaleReadIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 3, "alice", 1);
  history.Info(4, 5, {{"alice", false, 5}});
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ACheckThatForgetsTheHolderIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Check(2, 3, 5, 0);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ACheckThatKnowsAFormerHolderIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 3, "alice", 1);
  history.Acquire(4, 5, "bob", 6);
  history.Check(6, 7, 5, 1);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, TwoReadsThatDisagreeOnTheOrderAreFound) {
  // The release was under way all the time; but once a read has seen it, it has happened.
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 20, "alice", 1);
  history.Check(3, 4, 5, 0);
  history.Check(6, 7, 5, 1);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AReleaseUnderAnotherTokenReleasesNothing) {
  for (const int64_t number : {0, 1}) {
    History history;
    history.Acquire(0, 1, "alice", 5);
    history.Release(2, 3, "alice", number).token = 4;
    history.Check(4, 5, 5, 1);
    EXPECT_EQ(history.Judge(), number == 0 ? kLegal : kIllegal);
  }
}

TEST(SimChecker, AReleaseDeniedToTheHolderIsFound) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Release(2, 3, "alice", 0);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, RevokeTellsHowManyItThrewOut) {
  for (const int64_t number : {1, 2}) {
    History history;
    history.Share(0, 1, "alice", 5);
    history.Share(2, 3, "bob", 6);
    history.Revoke(4, 5, "", number);
    EXPECT_EQ(history.Judge(), number == 2 ? kLegal : kIllegal);
  }
}

TEST(SimChecker, ARevokedHolderIsGoneAndTheOthersStay) {
  History history;
  history.Share(0, 1, "alice", 5);
  history.Share(2, 3, "bob", 6);
  history.Revoke(4, 5, "alice", 1);
  history.Info(6, 7, {{"bob", true, 6}});
  EXPECT_EQ(history.Judge(), kLegal);
  history.Check(8, 9, 5, 1);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, ADeadlocksVictimHoldsNothingAfterwards) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Vacate(2, 20, "alice");
  history.Check(21, 22, 5, 1);
  EXPECT_EQ(history.Judge(), kIllegal);
}

TEST(SimChecker, AVictimLosesTheLockWhileItsAnswerIsUnderWay) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Vacate(2, 20, "alice");
  history.Check(3, 4, 5, 1);
  history.Acquire(5, 6, "bob", 7);
  EXPECT_EQ(history.Judge(), kLegal);
}

TEST(SimChecker, ABoundLockMayEndAfterItsConnectionAndNotBefore) {
  for (const int64_t closed : {2, 8}) {
    History history;
    history.Acquire(0, 1, "alice", 5);
    history.Vacate(closed, -1, "alice");
    history.Acquire(4, 5, "bob", 7);
    EXPECT_EQ(history.Judge(), closed == 2 ? kLegal : kIllegal);
  }
}

TEST(SimChecker, OneOfManyGetsTheirTokenAlsoWhereItWasHeld) {
  for (const bool one_of_many : {false, true}) {
    History history;
    history.Acquire(0, 1, "alice", 5);
    history.Acquire(2, 3, "alice", 7).one_of_many = one_of_many;
    history.Check(4, 5, 5, 0);
    EXPECT_EQ(history.Judge(), one_of_many ? kLegal : kIllegal);
  }
}

TEST(SimChecker, ANilOfManyExplainsItself) {
  History history;
  history.Acquire(0, 1, "alice", 0).one_of_many = true;
  EXPECT_EQ(history.Judge(), kLegal);
}

// A lock that works, asked by clients whose operations overlap: whatever order the lock saw them
// in, the checker must find one. And if one answer is then falsified, it must not, but for the rare
// time that the falsehood might be true.
class Replay {
 public:
  Replay(uint64_t seed, bool some_answers_lost) : rng_(seed), some_lost_(some_answers_lost) {}

  std::vector<Operation> Run(size_t operations) {
    int64_t now_us = 0;
    for (size_t i = 0; i < operations; ++i) {
      now_us += rng_.Between(1, 20'000);
      Apply(now_us);
    }
    return history_.operations();
  }

 private:
  void Apply(int64_t at_us) {
    if (held_ && ends_us_ <= at_us) held_ = false;
    const Bytes owner(1, static_cast<char>('a' + rng_.Below(4)));
    const bool is_mine = held_ && owner == owner_;
    Operation* operation = nullptr;
    switch (rng_.Below(4)) {
      case 0:
      case 1: {
        const bool granted = !held_ || is_mine;
        if (!held_) token_ += rng_.Below(5) + 1;
        operation = &history_.Acquire(0, 0, owner, granted ? static_cast<int64_t>(token_) : 0);
        operation->ttl_us = rng_.Between(1'000, 100'000);
        if (granted) Hold(owner, at_us + operation->ttl_us);
        break;
      }
      case 2:
        operation = &history_.Release(0, 0, owner, is_mine ? 1 : 0);
        if (is_mine) held_ = false;
        break;
      default:
        operation =
            held_ ? &history_.Info(0, 0, {{owner_, false, token_}}) : &history_.Info(0, 0, {});
        break;
    }
    operation->call_us = at_us - rng_.Between(0, 60'000);
    operation->return_us = at_us + rng_.Between(0, 60'000);
    const bool looks = operation->kind == Operation::Kind::kInfo;
    if (some_lost_ && !looks && rng_.Below(10) == 0) {
      operation->told = Operation::Told::kUnknown;
      operation->return_us = kNoReturn;
    }
  }
  void Hold(const Bytes& owner, int64_t ends_us) {
    held_ = true;
    owner_ = owner;
    ends_us_ = ends_us;
  }

  Rng rng_;
  bool some_lost_;
  History history_;
  bool held_ = false;
  Bytes owner_;
  uint64_t token_ = 0;
  int64_t ends_us_ = 0;
};

TEST(SimChecker, WhatAWorkingLockAnswersIsNeverIllegal) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Verdict verdict = CheckLinearizable(Replay(seed, true).Run(80));
    EXPECT_EQ(verdict.kind, kLegal) << "seed " << seed << ": " << verdict.why;
  }
}

TEST(SimChecker, AFalsifiedAnswerIsFound) {
  size_t found = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<Operation> history = Replay(seed, false).Run(80);
    Rng rng(seed);
    for (;;) {
      Operation& operation = history[rng.Below(history.size())];
      if (operation.told != Operation::Told::kHolders || operation.holders.empty()) continue;
      operation.holders[0].token += 1;
      break;
    }
    if (CheckLinearizable(history).kind == kIllegal) ++found;
  }
  EXPECT_GE(found, 195U);
}

TEST(SimChecker, AnExplanationNamesTheOperationThatNothingExplains) {
  History history;
  history.Acquire(0, 1, "alice", 5);
  history.Acquire(2, 3, "bob", 6);
  const Verdict verdict = CheckLinearizable(history.operations());
  EXPECT_NE(verdict.why.find("nothing explains [2.000 3.000] acquire bob exclusive"), Bytes::npos)
      << verdict.why;
  EXPECT_NE(verdict.why.find("may be held by: alice exclusive token 5"), Bytes::npos)
      << verdict.why;
}

}  // namespace
}  // namespace lockstep::sim
