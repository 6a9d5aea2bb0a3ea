// DCACHE.GET SET DEL MGET INCR: what they say beside what the string commands say of the same keys.
#include <gtest/gtest.h>

#include "tests/fake_keys.h"

namespace lockstep {
namespace {

struct Step {
  const char* call;
  const char* reply;
};

class DcacheCommandsTest : public ::testing::Test {
 protected:
  void Plays(std::initializer_list<Step> steps) {
    for (const Step& step : steps) EXPECT_EQ(cache_.Say(step.call), step.reply) << step.call;
  }
  // The version that the key has now.
  Bytes VersionOf(const Bytes& key) {
    const Bytes meta = cache_.Say("DCACHE.GET " + key + " META");
    const size_t begin = meta.find(R"("version" ")") + 11;
    return meta.substr(begin, meta.find('"', begin) - begin);
  }

  KeysHost cache_;
};

TEST_F(DcacheCommandsTest, TheKeysAreThoseOfTheStringCommands) {
  Plays({
      {"DCACHE.SET k v", "OK"},
      {"GET k", R"("v")"},
      {"SET j w", "OK"},
      {"DCACHE.GET j", R"("w")"},
      {"DCACHE.MGET k none j k", R"(["v" nil "w" "v"])"},
      {"DCACHE.DEL k none k j", ":2"},
      {"DCACHE.GET k", "nil"},
      {"EXISTS k j", ":0"},
      {R"(DCACHE.SET "" v)", "OK"},
      {R"(DCACHE.GET "")", R"("v")"},
  });
}

TEST_F(DcacheCommandsTest, MetaShowsVersionTimeAndState) {
  Plays({
      {"DCACHE.SET k v", "OK"},
      {"DCACHE.GET k META", R"({"value" "v" "version" "3.7.1" "ttl" :-1 "state" "M"})"},
      {"DCACHE.SET k w PX 1500", "OK"},
      {"dcache.get k meta fresh", R"({"value" "w" "version" "3.7.2" "ttl" :1500 "state" "M"})"},
      {"DCACHE.GET k FRESH", R"("w")"},
      {"DCACHE.GET none META", "nil"},
  });
  cache_.keys.state = 'S';
  cache_.Advance(999);
  EXPECT_EQ(cache_.Say("DCACHE.GET k META"),
            R"({"value" "w" "version" "3.7.2" "ttl" :1500 "state" "S"})");
}

TEST_F(DcacheCommandsTest, SetAnswersOkOrNilOrWhatItWasAskedFor) {
  Plays({
      {"DCACHE.SET k a XX", "nil"},
      {"DCACHE.SET k a NX", "OK"},
      {"DCACHE.SET k b NX", "nil"},
      {"DCACHE.SET k b XX", "OK"},
      {"DCACHE.SET k c GET", R"("b")"},
      {"DCACHE.SET k d NX GET", R"("c")"},
      {"DCACHE.SET n d XX GET", "nil"},
      {"DCACHE.SET n d GET", "nil"},
      {"DCACHE.GET k", R"("c")"},
      {"DCACHE.GET n", R"("d")"},
      {"DCACHE.SET k e META", R"("3.7.5")"},
      {"DCACHE.SET k f META NX", "nil"},
      {"DCACHE.SET k f META GET", R"({"old" "e" "version" "3.7.6"})"},
      {"DCACHE.SET k g META GET NX", R"({"old" "f" "version" nil})"},
      {"DCACHE.SET m g META GET XX", R"({"old" nil "version" nil})"},
      {"EXISTS m", ":0"},
  });
}

TEST_F(DcacheCommandsTest, AWriteOfAnotherMakesIfverFail) {
  cache_.Say("DCACHE.SET k 1");
  const Bytes seen = VersionOf("k");
  EXPECT_EQ(cache_.Say("DCACHE.SET k 2 IFVER " + seen), "OK");
  EXPECT_EQ(cache_.Say("DCACHE.SET k 3 IFVER " + seen), "nil");
  EXPECT_EQ(cache_.Say("DCACHE.GET k"), R"("2")");
  // The same value is not the same version.
  const Bytes before = VersionOf("k");
  cache_.Say("SET k 1");
  cache_.Say("SET k 2");
  EXPECT_EQ(cache_.Say("DCACHE.SET k 3 IFVER " + before), "nil");
  EXPECT_EQ(cache_.Say("DCACHE.SET k 3 IFVER " + VersionOf("k") + " META"), R"("3.7.5")");
  cache_.Say("DEL k");
  EXPECT_EQ(cache_.Say("DCACHE.SET k 4 IFVER 3.7.5"), "nil");
  EXPECT_EQ(cache_.Say("EXISTS k"), ":0");
}

TEST_F(DcacheCommandsTest, VersionsAreThreeNumbers) {
  cache_.Say("DCACHE.SET k v");
  Plays({
      {"DCACHE.SET k w IFVER 3.7.2", "nil"},
      {"DCACHE.SET k w IFVER 3.8.1", "nil"},
      {"DCACHE.SET k w IFVER 4.7.1", "nil"},
      {"DCACHE.SET k w IFVER 18446744073709551615.0.0", "nil"},
  });
  for (const char* text : {"3", "3.7", "3.7.1.0", "3..1", ".7.1", "3.7.", "03.7.1", "3.7.x",
                           "-3.7.1", "18446744073709551616.7.1"}) {
    EXPECT_EQ(cache_.Say(Bytes("DCACHE.SET k w IFVER ") + text),
              Bytes("-ERR '") + text +
                  "' is no version: META shows them, as 1.2.3; nothing was "
                  "changed");
  }
  EXPECT_EQ(cache_.Say("DCACHE.GET k"), R"("v")");
}

TEST_F(DcacheCommandsTest, IfeqComparesAllBytes) {
  Plays({
      {R"(DCACHE.SET k "" IFEQ "")", "nil"},
      {R"(DCACHE.SET k "a\x00b")", "OK"},
      {R"(DCACHE.SET k x IFEQ "a\x00c")", "nil"},
      {R"(DCACHE.SET k x IFEQ a)", "nil"},
      {R"(DCACHE.SET k "" IFEQ "a\x00b")", "OK"},
      {R"(DCACHE.SET k y IFEQ "")", "OK"},
      {R"(DCACHE.SET k z IFEQ NX GET)", R"("y")"},
      {"DCACHE.GET k", R"("y")"},
  });
}

TEST_F(DcacheCommandsTest, SetTakesTimesAsSetDoes) {
  Plays({
      {"DCACHE.SET k v EX 100", "OK"},
      {"TTL k", ":100"},
      {"DCACHE.SET k v KEEPTTL", "OK"},
      {"TTL k", ":100"},
      {"DCACHE.SET k v PX 200000", "OK"},
      {"TTL k", ":200"},
      {"DCACHE.SET k v EXAT 33177117420", "OK"},
      {"EXPIRETIME k", ":33177117420"},
      {"DCACHE.SET k v PXAT 33177117420123", "OK"},
      {"PEXPIRETIME k", ":33177117420123"},
      {"DCACHE.SET k v", "OK"},
      {"TTL k", ":-1"},
      {"DCACHE.SET k w EXAT 1 NX", "nil"},
      {"DCACHE.GET k", R"("v")"},
      {"DCACHE.SET k w EXAT 1 GET", R"("v")"},
      {"EXISTS k", ":0"},
      {"DCACHE.SET k w PXAT 1 META", R"("3.7.7")"},
      {"EXISTS k", ":0"},
      {"DCACHE.SET k v EX 0", "-ERR EX must be between 1 and 4611686018427"},
      {"DCACHE.SET k v EX 4611686018428", "-ERR EX must be between 1 and 4611686018427"},
      {"DCACHE.SET k v PX x", "-ERR value is not an integer or out of range"},
      {"DCACHE.SET k v PX", "-ERR syntax error"},
      {"EXISTS k", ":0"},
  });
}

TEST_F(DcacheCommandsTest, WhatContradictsIsRefusedWithAWayOut) {
  const char* const kConditions =
      "-ERR NX, XX, IFVER and IFEQ exclude each other; nothing was changed";
  const char* const kTimes =
      "-ERR EX, PX, EXAT, PXAT and KEEPTTL exclude each other; nothing was changed";
  Plays({
      {"DCACHE.SET k v NX XX", kConditions},
      {"DCACHE.SET k v IFVER 1.2.3 NX", kConditions},
      {"DCACHE.SET k v IFEQ a IFVER 1.2.3", kConditions},
      {"DCACHE.SET k v EX 1 PX 1", kTimes},
      {"DCACHE.SET k v KEEPTTL EXAT 1", kTimes},
      {"DCACHE.SET k v PXAT 1 KEEPTTL", kTimes},
      {"DCACHE.SET k v NX NX", "-ERR syntax error near 'NX'"},
      {"DCACHE.SET k v NX FENCE 0",
       "-ERR FENCE must be between 1 and 9223372036854775807"},
      {"DCACHE.SET k v MTEA", "-ERR syntax error near 'MTEA' (did you mean META?)"},
      {"DCACHE.SET k v IFVER", "-ERR syntax error"},
      {"DCACHE.GET k FRSH", "-ERR syntax error near 'FRSH' (did you mean FRESH?)"},
      {"DCACHE.GET", "-ERR wrong number of arguments for 'dcache.get' command"},
      {"EXISTS k", ":0"},
  });
}

TEST_F(DcacheCommandsTest, IncrCountsAndTellsWhatBecameOfIt) {
  Plays({
      {"DCACHE.INCR k 5", R"({"value" :5 "ttl" :-1 "applied" :1})"},
      {"DCACHE.INCR k -7", R"({"value" :-2 "ttl" :-1 "applied" :1})"},
      {"GET k", R"("-2")"},
      {"DCACHE.INCR new 1 INIT 41", R"({"value" :42 "ttl" :-1 "applied" :1})"},
      {"DCACHE.INCR new 1 INIT 7", R"({"value" :43 "ttl" :-1 "applied" :1})"},
      {"DCACHE.INCR zero 0", R"({"value" :0 "ttl" :-1 "applied" :1})"},
      {"EXISTS zero", ":1"},
      {"DCACHE.INCR k x", "-ERR value is not an integer or out of range"},
      {"DCACHE.INCR k 1 INIT", "-ERR syntax error"},
      {"DCACHE.INCR k 1 FOO", "-ERR syntax error near 'FOO'"},
      {"DCACHE.INCR k 1 PX 0", "-ERR PX must be between 1 and 4611686018427387"},
      {"DCACHE.INCR k 1 ONCE",
       "-ERR ONCE says when PX counts, and there is no PX; nothing was changed"},
      {"GET k", R"("-2")"},
      {"SET k 9223372036854775807", "OK"},
      {"DCACHE.INCR k 1", "-ERR increment or decrement would overflow"},
      {"SET k 007", "OK"},
      {"DCACHE.INCR k 1", "-ERR value is not an integer or out of range"},
      {"DCACHE.INCR k 1 MAX 5", "-ERR value is not an integer or out of range"},
      {"GET k", R"("007")"},
  });
}

TEST_F(DcacheCommandsTest, ACounterStopsAtItsMaximumAndCanGoDownFromAboveIt) {
  Plays({
      {"DCACHE.INCR k 9 MAX 10", R"({"value" :9 "ttl" :-1 "applied" :1})"},
      {"DCACHE.INCR k 2 MAX 10 PX 50", R"({"value" :9 "ttl" :-1 "applied" :0})"},
      {"DCACHE.INCR k 1 MAX 10", R"({"value" :10 "ttl" :-1 "applied" :1})"},
      {"DCACHE.INCR k 1 MAX 10", R"({"value" :10 "ttl" :-1 "applied" :0})"},
      {"DCACHE.INCR k 0 MAX 5", R"({"value" :10 "ttl" :-1 "applied" :1})"},
      {"DCACHE.INCR k -1 MAX 5", R"({"value" :9 "ttl" :-1 "applied" :1})"},
      {"DCACHE.INCR k 9223372036854775807 MAX 10", R"({"value" :9 "ttl" :-1 "applied" :0})"},
      {"GET k", R"("9")"},
      {"DCACHE.INCR none 6 MAX 5", R"({"value" :0 "ttl" :-2 "applied" :0})"},
      {"DCACHE.INCR none 3 INIT 3 MAX 5", R"({"value" :3 "ttl" :-2 "applied" :0})"},
      {"EXISTS none", ":0"},
  });
}

// A rate limit: so many in a window that begins with the first.
TEST_F(DcacheCommandsTest, OnceSetsTheTimeOnlyWhereThereIsNone) {
  EXPECT_EQ(cache_.Say("DCACHE.INCR k 1 PX 1000 ONCE MAX 2"),
            R"({"value" :1 "ttl" :1000 "applied" :1})");
  cache_.Advance(400'000);
  EXPECT_EQ(cache_.Say("DCACHE.INCR k 1 MAX 2 ONCE PX 1000"),
            R"({"value" :2 "ttl" :600 "applied" :1})");
  EXPECT_EQ(cache_.Say("DCACHE.INCR k 1 PX 1000 ONCE MAX 2"),
            R"({"value" :2 "ttl" :600 "applied" :0})");
  cache_.Advance(600'000);
  EXPECT_EQ(cache_.Say("DCACHE.INCR k 1 PX 1000 ONCE MAX 2"),
            R"({"value" :1 "ttl" :1000 "applied" :1})");
  cache_.Advance(400'000);
  EXPECT_EQ(cache_.Say("DCACHE.INCR k 1 PX 1000"), R"({"value" :2 "ttl" :1000 "applied" :1})");
  EXPECT_EQ(cache_.Say("DCACHE.INCR k 1"), R"({"value" :3 "ttl" :1000 "applied" :1})");
  cache_.Say("PERSIST k");
  EXPECT_EQ(cache_.Say("DCACHE.INCR k 1 PX 500 ONCE"), R"({"value" :4 "ttl" :500 "applied" :1})");
}

TEST_F(DcacheCommandsTest, MapsAreMapsInResp3AndFlatBefore) {
  cache_.Say("DCACHE.SET k v");
  const Reply meta = cache_.Run({"DCACHE.GET", "k", "META"});
  Bytes resp2;
  Bytes resp3;
  resp::WriteReply(meta, 2, &resp2);
  resp::WriteReply(meta, 3, &resp3);
  EXPECT_EQ(resp2.substr(0, 4), "*8\r\n");
  EXPECT_EQ(resp3.substr(0, 4), "%4\r\n");
}

}  // namespace
}  // namespace lockstep
