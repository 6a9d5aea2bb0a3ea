// The judge of what real clients of the cache saw: what is good passes, what is bad is refused and
// named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/key_judge.h"

namespace lockstep::sim {
namespace {

using ::testing::HasSubstr;

void ExpectLegal(BytesView history) {
  EXPECT_EQ(JudgeKeys(history).why, "");
}

void ExpectIllegal(BytesView history, const char* why) {
  const KeyJudgement judgement = JudgeKeys(history);
  EXPECT_FALSE(judgement.legal);
  EXPECT_THAT(judgement.why, HasSubstr(why));
}

TEST(KeyJudgeTest, WhatFollowsFromWhatWasAskedIsLegal) {
  const KeyJudgement judgement = JudgeKeys(R"(# A comment, and an empty line:

nemesis 0 5 5 + nodes 1,2,3 - 0
c1 1 1000 2000 +OK SET a v1
c2 2 3000 4000 =v1 GETSET a v2
c2 2 5000 6000 nil SET a v3 NX
c1 1 7000 8000 :1 CAS a v4 v2
c1 1 9000 9500 :0 CAS a v5 v2
c3 3 10000 11000 =v4 GETDEL a
c3 3 12000 13000 +OK SET a v6 NX PX 500
c3 3 14000 15000 =v6 COPY a
c3 3 16000 17000 :1 DEL a
c1 1 18000 19000 +OK MSET a v7 b v7
c1 1 20000 21000 [=v7,=v7,nil] MGET a b n
c1 1 22000 23000 :1 INCR n
c1 1 24000 25000 :2 INCR n
c1 1 26000 27000 =2 GET n
)");
  EXPECT_EQ(judgement.why, "");
  EXPECT_EQ(judgement.keys, 3u);
  EXPECT_EQ(judgement.too_hard, 0u);
}

TEST(KeyJudgeTest, AKeyMayForgetButNeverGoesBack) {
  const Bytes forgotten = "c1 1 1000 2000 +OK SET a v1\nc1 1 3000 4000 nil GET a\n";
  ExpectLegal(forgotten);
  ExpectIllegal(forgotten + "c1 1 5000 6000 =v1 GET a\n", "key 'a'");
  ExpectIllegal(R"(c1 1 1000 2000 :1 INCR n
c1 1 3000 4000 :2 INCR n
c1 1 5000 6000 :2 INCR n
)",
                "key 'n'");
}

TEST(KeyJudgeTest, WhatNobodyKnowsMayHappenLaterOrNeverAndWhatWasRefusedNever) {
  const Bytes open = "c1 1 1000 2000 ? SET a v1\nc2 2 3000 4000 +OK SET a v2\n";
  ExpectLegal(open + "c2 2 5000 6000 =v2 GET a\nc2 2 7000 8000 =v1 GET a\n");
  ExpectLegal("c1 1 1000 2000 ?UNCERTAIN CAS a v1 nil\nc2 2 3000 4000 =v1 GET a\n");
  ExpectIllegal("c1 1 1000 2000 -CLUSTERDOWN SET a v1\nc2 2 3000 4000 =v1 GET a\n", "key 'a'");
}

TEST(KeyJudgeTest, SeveralKeysAreJudgedEach) {
  ExpectIllegal(R"(c1 1 1000 2000 +OK MSET a v1 b v1
c1 1 3000 4000 +OK MSET a v2 b v2
c2 2 5000 6000 [=v2,=v1] MGET a b
)",
                "key 'b'");
}

TEST(KeyJudgeTest, ALineThatCannotBeReadIsNamed) {
  ExpectIllegal("c1 1 1000 2000 +OK SET a v1\nc1 1 2000 1000 +OK SET a v1\n", "line 2: it returns");
  ExpectIllegal("c1 1 1000 2000 +OK SET a\n", "line 1: words");
  ExpectIllegal("c1 1 1000 2000 +OK SET a v XX\n", "line 1: an option");
  ExpectIllegal("c1 1 1000 2000 :3 APPEND a vvv\n", "line 1: a command");
  ExpectIllegal("c1 1 1000 2000 :x INCR a\n", "line 1: no number");
}

}  // namespace
}  // namespace lockstep::sim
