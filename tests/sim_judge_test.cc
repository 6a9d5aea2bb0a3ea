// The judge of real histories: what is good passes, what is bad is refused and named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/judge.h"

namespace lockstep::sim {
namespace {

using ::testing::HasSubstr;

void ExpectLegal(BytesView history) { EXPECT_EQ(Judge(history).why, ""); }

void ExpectIllegal(BytesView history, const char* why) {
  const Judgement judgement = Judge(history);
  EXPECT_FALSE(judgement.legal);
  EXPECT_THAT(judgement.why, HasSubstr(why));
}

// What is good -----------------------------------------------------------------------------------

TEST(JudgeTest, AHistoryOfTwoWhoTakeTurnsIsLegal) {
  const Judgement judgement = Judge(R"(# A comment, and an empty line:

c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 10000
c2 2 1500 2500 nil LOCK.ACQUIRE a bob TTL 10000
c1 1 3000 3500 :1 LOCK.CHECK a 5
c3 3 3000 4000 {ann:exclusive:5}0 LOCK.INFO a
c2 2 4000 9000 :8 LOCK.ACQUIRE a bob TTL 10000 BLOCK 500
c1 1 5000 6000 :1 LOCK.RELEASE a ann TOKEN 5
)");
  EXPECT_EQ(judgement.why, "");
  EXPECT_EQ(judgement.operations, 6u);
  EXPECT_EQ(judgement.grants, 2u);
  EXPECT_EQ(judgement.checked, 1u);
  EXPECT_EQ(judgement.contended, 1u);
}

TEST(JudgeTest, ALeaseThatMayBeOverExplainsTheNextGrant) {
  ExpectLegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 1000
c2 2 1100000 1101000 :8 LOCK.ACQUIRE a bob TTL 1000
c1 1 1102000 1103000 :0 LOCK.RENEW a ann TTL 1000
)");
}

TEST(JudgeTest, WhatNobodyKnowsMayHaveHappenedMuchLaterOrNever) {
  ExpectLegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 60000
c1 1 3000 9000 ? LOCK.RELEASE a ann
c2 2 10000 11000 nil LOCK.ACQUIRE a bob TTL 60000
c2 2 12000 13000 :9 LOCK.ACQUIRE a bob TTL 60000
c3 1 14000 15000 ? LOCK.ACQUIRE b cid TTL 60000
c3 2 16000 17000 -TRYAGAIN LOCK.ACQUIRE b cid TTL 60000
c2 2 18000 19000 {}0 LOCK.INFO b
c2 2 20000 21000 {cid:exclusive:7}0 LOCK.INFO b
)");
}

TEST(JudgeTest, ReadersShareAndAVictimOfADeadlockLosesAll) {
  ExpectLegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann SHARED TTL 60000
c2 2 1000 2000 :6 LOCK.ACQUIRE a bob SHARED TTL 60000
c3 3 3000 4000 {ann:shared:5,bob:shared:6}1 LOCK.INFO a
c1 1 5000 6000 :1 LOCK.RELEASE a ann ALL
c2 2 5000 6000 :1 LOCK.RELEASE a bob ALL
c1 1 10000 11000 :10 LOCK.MACQUIRE 2 b c ann TTL 60000
c2 2 10000 11000 :11 LOCK.ACQUIRE d bob TTL 60000
c1 1 12000 20000 :13 LOCK.ACQUIRE d ann TTL 60000 BLOCK 1000
c2 2 13000 20000 -DEADLOCK LOCK.ACQUIRE b bob TTL 60000 BLOCK 1000
)");
}

TEST(JudgeTest, ARevocationOnItsWayMayComeBehindAGrantThatWasAskedForAfterIt) {
  ExpectLegal(R"(
c1 1 1000 4000 :1 LOCK.REVOKE a
c2 2 2000 3000 :5 LOCK.ACQUIRE a ann TTL 60000
c3 3 5000 6000 :8 LOCK.ACQUIRE a bob TTL 60000
)");
  ExpectLegal(R"(
c1 1 1000 3000 :1 LOCK.REVOKE a
c2 2 2000 4000 :5 LOCK.ACQUIRE a ann TTL 60000
c3 3 5000 6000 :8 LOCK.ACQUIRE a bob TTL 60000
)");
}

// What is bad ------------------------------------------------------------------------------------

TEST(JudgeTest, TwoHoldersOfAnExclusiveLockAreRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 60000
c2 2 3000 4000 :6 LOCK.ACQUIRE a bob TTL 60000
)",
                "line 3: ann and bob both hold 'a'");
}

TEST(JudgeTest, ARevocationThatWasAnsweredBeforeExplainsNoSecondHolder) {
  ExpectIllegal(R"(
c1 1 1000 2000 :0 LOCK.REVOKE a
c2 2 3000 4000 :5 LOCK.ACQUIRE a ann TTL 60000
c3 3 5000 6000 :8 LOCK.ACQUIRE a bob TTL 60000
)",
                "both hold");
}

TEST(JudgeTest, AGrantBeforeTheLeaseBeforeItCanBeOverIsRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 1000
c2 2 900000 950000 :8 LOCK.ACQUIRE a bob SHARED TTL 1000
)",
                "both hold 'a'");
}

TEST(JudgeTest, ATokenThatFallsOverTwoLocksIsRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :9 LOCK.ACQUIRE a ann TTL 60000
c2 2 3000 4000 :8 LOCK.ACQUIRE b bob TTL 60000
)",
                "token 8; 9 was given before it asked");
}

TEST(JudgeTest, ATokenThatIsGivenTwiceIsRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :9 LOCK.ACQUIRE a ann TTL 60000
c2 2 1000 2000 :9 LOCK.ACQUIRE b bob TTL 60000
)",
                "token 9 was given to");
}

TEST(JudgeTest, AGrantThatWasLostIsRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 60000
c2 2 3000 4000 {}0 LOCK.INFO a
)",
                "nothing explains [3.000 4.000] info");
}

TEST(JudgeTest, ARefusalWithNobodyInTheWayIsRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 60000
c1 1 3000 4000 :1 LOCK.RELEASE a ann
c2 2 5000 6000 nil LOCK.ACQUIRE a bob TTL 60000
)",
                "'a' is not linearizable");
}

TEST(JudgeTest, AReleaseWhoseWorkIsUndoneIsRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 60000
c1 1 3000 4000 :1 LOCK.RELEASE a ann
c2 2 5000 6000 :1 LOCK.CHECK a 5
)",
                "'a' is not linearizable");
}

TEST(JudgeTest, AWaitThatEndsTooEarlyIsRefused) {
  ExpectIllegal(R"(
c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL 60000
c2 2 3000 90000 nil LOCK.ACQUIRE a bob TTL 60000 BLOCK 1000
)",
                "bob waited for 'a' 87000 us only");
}

// What cannot be read ----------------------------------------------------------------------------

TEST(JudgeTest, ALineThatCannotBeReadIsNamedAndRefused) {
  ExpectIllegal("c1 1 1000 2000 :5 LOCK.ACQUIRE a ann TTL", "line 1: words are missing");
  ExpectIllegal("\nc1 1 1000 2000 :5 LOCK.ACQUIRE a ann BIND", "line 2: an option that cannot");
  ExpectIllegal("c1 1 1000 2000 yes LOCK.RELEASE a ann", "line 1: no answer: yes");
  ExpectIllegal("c1 1 2000 1000 :1 LOCK.RELEASE a ann", "line 1: it returns before it is called");
  ExpectIllegal("c1 1 1000 2000 -WRONGTYPE LOCK.INFO a", "unexpected reply to LOCK.INFO");
}

}  // namespace
}  // namespace lockstep::sim
