// Every combination of the options of SET, GETEX and EXPIRE, as redis-server 7.0.15 took it; and
// how times are rounded, on a clock that stands still.
#include <gtest/gtest.h>

#include <map>

#include "commands/generic_time.h"
#include "tests/fake_keys.h"

namespace lockstep {
namespace {

// All ways to leave some of `words` out, each joined by blanks, in order.
std::vector<Bytes> Combinations(std::span<const char* const> words) {
  std::vector<Bytes> all = {""};
  for (const char* word : words) {
    const size_t without = all.size();
    for (size_t i = 0; i < without; ++i) all.push_back(all[i] + (all[i].empty() ? "" : " ") + word);
  }
  return all;
}

class StringOptionsTest : public ::testing::Test {
 protected:
  // In seconds; "far" ends after the year 3000.
  Bytes Ttl() {
    const Bytes shown = redis_.Say("TTL k").substr(1);
    return shown.size() > 8 ? "far" : shown;
  }

  KeysHost redis_;
};

// What is answered, and value and time to live after it: of a key that was not there, and of one
// that was, for 50 seconds more.
struct SetCase {
  const char* options;
  const char* reply_absent;
  const char* after_absent;
  const char* reply_present;
  const char* after_present;
};
constexpr SetCase kSetCases[] = {
    {"", "OK", R"("new" -1)", "OK", R"("new" -1)"},
    {"NX", "OK", R"("new" -1)", "nil", R"("old" 50)"},
    {"XX", "nil", "nil -2", "OK", R"("new" -1)"},
    {"GET", "nil", R"("new" -1)", R"("old")", R"("new" -1)"},
    {"KEEPTTL", "OK", R"("new" -1)", "OK", R"("new" 50)"},
    {"EX 100", "OK", R"("new" 100)", "OK", R"("new" 100)"},
    {"PX 200000", "OK", R"("new" 200)", "OK", R"("new" 200)"},
    {"EXAT 33177117420", "OK", R"("new" far)", "OK", R"("new" far)"},
    {"PXAT 33177117420000", "OK", R"("new" far)", "OK", R"("new" far)"},
    {"NX GET", "nil", R"("new" -1)", R"("old")", R"("old" 50)"},
    {"NX KEEPTTL", "OK", R"("new" -1)", "nil", R"("old" 50)"},
    {"NX EX 100", "OK", R"("new" 100)", "nil", R"("old" 50)"},
    {"NX PX 200000", "OK", R"("new" 200)", "nil", R"("old" 50)"},
    {"NX EXAT 33177117420", "OK", R"("new" far)", "nil", R"("old" 50)"},
    {"NX PXAT 33177117420000", "OK", R"("new" far)", "nil", R"("old" 50)"},
    {"XX GET", "nil", "nil -2", R"("old")", R"("new" -1)"},
    {"XX KEEPTTL", "nil", "nil -2", "OK", R"("new" 50)"},
    {"XX EX 100", "nil", "nil -2", "OK", R"("new" 100)"},
    {"XX PX 200000", "nil", "nil -2", "OK", R"("new" 200)"},
    {"XX EXAT 33177117420", "nil", "nil -2", "OK", R"("new" far)"},
    {"XX PXAT 33177117420000", "nil", "nil -2", "OK", R"("new" far)"},
    {"GET KEEPTTL", "nil", R"("new" -1)", R"("old")", R"("new" 50)"},
    {"GET EX 100", "nil", R"("new" 100)", R"("old")", R"("new" 100)"},
    {"GET PX 200000", "nil", R"("new" 200)", R"("old")", R"("new" 200)"},
    {"GET EXAT 33177117420", "nil", R"("new" far)", R"("old")", R"("new" far)"},
    {"GET PXAT 33177117420000", "nil", R"("new" far)", R"("old")", R"("new" far)"},
    {"NX GET KEEPTTL", "nil", R"("new" -1)", R"("old")", R"("old" 50)"},
    {"NX GET EX 100", "nil", R"("new" 100)", R"("old")", R"("old" 50)"},
    {"NX GET PX 200000", "nil", R"("new" 200)", R"("old")", R"("old" 50)"},
    {"NX GET EXAT 33177117420", "nil", R"("new" far)", R"("old")", R"("old" 50)"},
    {"NX GET PXAT 33177117420000", "nil", R"("new" far)", R"("old")", R"("old" 50)"},
    {"XX GET KEEPTTL", "nil", "nil -2", R"("old")", R"("new" 50)"},
    {"XX GET EX 100", "nil", "nil -2", R"("old")", R"("new" 100)"},
    {"XX GET PX 200000", "nil", "nil -2", R"("old")", R"("new" 200)"},
    {"XX GET EXAT 33177117420", "nil", "nil -2", R"("old")", R"("new" far)"},
    {"XX GET PXAT 33177117420000", "nil", "nil -2", R"("old")", R"("new" far)"},
};

TEST_F(StringOptionsTest, SetTakesEachCombinationAsRedisDoes) {
  constexpr const char* kWords[] = {"NX",
                                    "XX",
                                    "GET",
                                    "KEEPTTL",
                                    "EX 100",
                                    "PX 200000",
                                    "EXAT 33177117420",
                                    "PXAT 33177117420000"};
  std::map<Bytes, SetCase> cases;
  for (const SetCase& one : kSetCases) cases[one.options] = one;
  const auto state = [this] { return redis_.Say("GET k") + ' ' + Ttl(); };
  const char* const kRefused = "-ERR syntax error";
  for (const Bytes& options : Combinations(kWords)) {
    const auto at = cases.find(options);
    const SetCase expected =
        at != cases.end() ? at->second : SetCase{"", kRefused, "nil -2", kRefused, R"("old" 50)"};
    redis_.Say("DEL k");
    EXPECT_EQ(redis_.Say("SET k new " + options), expected.reply_absent) << options;
    EXPECT_EQ(state(), expected.after_absent) << options;
    redis_.Say("SET k old EX 50");
    EXPECT_EQ(redis_.Say("SET k new " + options), expected.reply_present) << options;
    EXPECT_EQ(state(), expected.after_present) << options;
  }
}

TEST_F(StringOptionsTest, GetexTakesEachCombinationAsRedisDoes) {
  constexpr const char* kWords[] = {"EX 100", "PX 200000", "EXAT 33177117420",
                                    "PXAT 33177117420000", "PERSIST"};
  // The time to live after it, of a key that had 50 seconds and of one that had none.
  const std::map<Bytes, std::pair<Bytes, Bytes>> cases = {
      {"", {"50", "-1"}},
      {"EX 100", {"100", "100"}},
      {"PX 200000", {"200", "200"}},
      {"EXAT 33177117420", {"far", "far"}},
      {"PXAT 33177117420000", {"far", "far"}},
      {"PERSIST", {"-1", "-1"}},
  };
  for (const Bytes& options : Combinations(kWords)) {
    const auto at = cases.find(options);
    const Bytes reply = at != cases.end() ? R"("v")" : "-ERR syntax error";
    redis_.Say("SET k v EX 50");
    EXPECT_EQ(redis_.Say("GETEX k " + options), reply) << options;
    EXPECT_EQ(Ttl(), at != cases.end() ? at->second.first : "50") << options;
    redis_.Say("SET k v");
    EXPECT_EQ(redis_.Say("GETEX k " + options), reply) << options;
    EXPECT_EQ(Ttl(), at != cases.end() ? at->second.second : "-1") << options;
  }
}

TEST_F(StringOptionsTest, ExpireTakesEachCombinationAsRedisDoes) {
  // EXPIRE k 100 with them: of no key, of one that stays, of one that has 50 seconds, and of one
  // that has 200.
  struct Case {
    const char* options;
    const char* replies;
  };
  constexpr Case kCases[] = {
      {"", "0 1 1 1"},
      {"NX", "0 1 0 0"},
      {"XX", "0 0 1 1"},
      {"GT", "0 0 1 0"},
      {"LT", "0 1 0 1"},
      {"NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"NX LT", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"XX GT", "0 0 1 0"},
      {"XX LT", "0 0 0 1"},
      {"GT LT", "-ERR GT and LT options at the same time are not compatible"},
      {"NX XX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"NX XX LT", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"NX GT LT", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"XX GT LT", "-ERR GT and LT options at the same time are not compatible"},
      {"NX XX GT LT", "-ERR NX and XX, GT or LT options at the same time are not compatible"},
  };
  for (const Case& one : kCases) {
    Bytes replies;
    for (const char* before : {"DEL k", "SET k v", "SET k v EX 50", "SET k v EX 200"}) {
      redis_.Say(before);
      const Bytes ttl = Ttl();
      const Bytes reply = redis_.Say(Bytes("EXPIRE k 100 ") + one.options);
      EXPECT_EQ(Ttl(), reply == ":1" ? "100" : ttl) << one.options;
      if (reply[0] == '-') {
        replies = reply;
      } else {
        replies += (replies.empty() ? "" : " ") + reply.substr(1);
      }
    }
    EXPECT_EQ(replies, one.replies) << one.options;
  }
}

TEST_F(StringOptionsTest, SecondsAreRoundedToTheNearest) {
  const auto ttl_of = [this](const Bytes& px) {
    redis_.Run({"SET", "k", "v", "PX", px});
    return redis_.Say("TTL k");
  };
  EXPECT_EQ(ttl_of("1"), ":0");
  EXPECT_EQ(ttl_of("499"), ":0");
  EXPECT_EQ(ttl_of("500"), ":1");
  EXPECT_EQ(ttl_of("1499"), ":1");
  EXPECT_EQ(ttl_of("1500"), ":2");
}

TEST_F(StringOptionsTest, MillisecondsThatHaveBegunCount) {
  redis_.Say("SET k v PX 100");
  EXPECT_EQ(redis_.Say("PTTL k"), ":100");
  redis_.Advance(999);
  EXPECT_EQ(redis_.Say("PTTL k"), ":100");
  redis_.Advance(1);
  EXPECT_EQ(redis_.Say("PTTL k"), ":99");
  redis_.Advance(98'999);
  EXPECT_EQ(redis_.Say("PTTL k"), ":1");
  EXPECT_EQ(redis_.Say("GET k"), R"("v")");
  redis_.Advance(1);
  EXPECT_EQ(redis_.Say("PTTL k"), ":-2");
  EXPECT_EQ(redis_.Say("GET k"), "nil");
}

TEST_F(StringOptionsTest, ATimeSince1970ComesBackAsItWasGiven) {
  redis_.Say("SET k v");
  const int64_t now_s = redis_.host.wall_us / kUsPerSecond;
  for (const int64_t in_s : {1, 2, 60, 1'000'000'000}) {
    const Bytes at = std::to_string(now_s + in_s);
    redis_.Run({"EXPIREAT", "k", at});
    EXPECT_EQ(redis_.Say("EXPIRETIME k"), ":" + at);
    EXPECT_EQ(redis_.Say("PEXPIRETIME k"), ":" + at + "000");
    redis_.Advance(1'501);  // Off the whole millisecond.
    EXPECT_EQ(redis_.Say("EXPIRETIME k"), ":" + at);
    redis_.Run({"PEXPIREAT", "k", at + "001"});
    EXPECT_EQ(redis_.Say("PEXPIRETIME k"), ":" + at + "001");
    redis_.Run({"SET", "k", "v", "EXAT", at});
    EXPECT_EQ(redis_.Say("EXPIRETIME k"), ":" + at);
    redis_.Run({"GETEX", "k", "PXAT", at + "499"});
    EXPECT_EQ(redis_.Say("PEXPIRETIME k"), ":" + at + "499");
    EXPECT_EQ(redis_.Say("EXPIRETIME k"), ":" + at);
  }
}

TEST_F(StringOptionsTest, WhatEndsNowIsPast) {
  redis_.host.wall_us = 1'700'000'000 * kUsPerSecond;
  redis_.Say("SET k v");
  redis_.Say("SET j v");
  EXPECT_EQ(redis_.Say("EXPIREAT k 1700000000"), ":1");
  EXPECT_EQ(redis_.Say("PEXPIREAT j 1700000000001"), ":1");
  EXPECT_EQ(redis_.Say("EXISTS k j"), ":1");
  EXPECT_EQ(redis_.Say("SET j v EXAT 1700000000"), "OK");
  EXPECT_EQ(redis_.Say("EXISTS k j"), ":0");
}

TEST_F(StringOptionsTest, AnEqualTimeIsNeitherLongerNorShorter) {
  redis_.Say("SET k v EX 100");
  EXPECT_EQ(redis_.Say("EXPIRE k 100 GT"), ":0");
  EXPECT_EQ(redis_.Say("EXPIRE k 100 LT"), ":0");
  redis_.Advance(999);  // Within the same millisecond.
  EXPECT_EQ(redis_.Say("EXPIRE k 100 GT"), ":0");
  redis_.Advance(1);
  EXPECT_EQ(redis_.Say("EXPIRE k 100 LT"), ":0");
  EXPECT_EQ(redis_.Say("EXPIRE k 100 GT"), ":1");
}

TEST_F(StringOptionsTest, TheFarthestTimesAreCutAndFitIn53Bits) {
  const Bytes farthest = ":" + std::to_string(kTtlUsMax / 1000);
  EXPECT_EQ(redis_.Say("SET k v PX 9223370000000000000"), "OK");
  EXPECT_EQ(redis_.Say("PTTL k"), farthest);
  EXPECT_EQ(redis_.Say("PEXPIREAT k 9223372036854770000"), ":1");
  EXPECT_EQ(redis_.Say("PEXPIRETIME k"), farthest);
  EXPECT_LT(kTtlUsMax / 1000, int64_t{1} << 53);
}

TEST_F(StringOptionsTest, ATimeToLiveGoesWhereTheValueGoes) {
  redis_.Say("SET a v PX 100");
  redis_.Advance(60'000);
  redis_.Say("RENAME a b");
  redis_.Say("COPY b c");
  redis_.Advance(39'999);
  EXPECT_EQ(redis_.Say("EXISTS b c"), ":2");
  redis_.Advance(1);
  EXPECT_EQ(redis_.Say("EXISTS b c"), ":0");
}

}  // namespace
}  // namespace lockstep
