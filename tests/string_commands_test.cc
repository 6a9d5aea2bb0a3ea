// The string commands against what redis-server 7.0.15 answered to the same calls, word for word.
#include <gtest/gtest.h>

#include "commands/string.h"
#include "tests/fake_keys.h"

namespace lockstep {
namespace {

// A call, and what Redis answered.
struct Step {
  const char* call;
  const char* reply;
};

class StringCommandsTest : public ::testing::Test {
 protected:
  void Plays(std::initializer_list<Step> steps) {
    for (const Step& step : steps) EXPECT_EQ(redis_.Say(step.call), step.reply) << step.call;
  }

  KeysHost redis_;
};

TEST_F(StringCommandsTest, EachCommandOnStringsAnswersAsRedisDoes) {
  Plays({
      {"SET k v", "OK"},
      {"GET k", R"("v")"},
      {"GET none", "nil"},
      {"SET k w XX", "OK"},
      {"SET n v XX", "nil"},
      {"SET k w NX", "nil"},
      {"SET k x GET", R"("w")"},
      {"SET n x GET", "nil"},
      {"SETEX e 100 v", "OK"},
      {"TTL e", ":100"},
      {"PSETEX p 100000 v", "OK"},
      {"TTL p", ":100"},
      {"SETNX k v", ":0"},
      {"SETNX fresh v", ":1"},
      {"GETSET k y", R"("x")"},
      {"GETSET fresh2 y", "nil"},
      {"GETDEL k", R"("y")"},
      {"GETDEL k", "nil"},
      {"GETEX fresh", R"("v")"},
      {"GETEX none", "nil"},
      {"MSET a 1 b 2 a 3", "OK"},
      {"MGET a none b a", R"(["3" nil "2" "3"])"},
      {"MSETNX c 1 a 2", ":0"},
      {"EXISTS c", ":0"},
      {"MSETNX c 1 d 2 c 3", ":1"},
      {"MGET c d", R"(["3" "2"])"},
      {"APPEND c 45", ":3"},
      {"APPEND new ab", ":2"},
      {R"(APPEND empty "")", ":0"},
      {"EXISTS empty", ":1"},
      {"STRLEN c", ":3"},
      {"STRLEN none", ":0"},
      {"GETRANGE c 0 1", R"("34")"},
      {"SUBSTR c 1 -1", R"("45")"},
      {"SETRANGE c 1 xx", ":3"},
      {"GET c", R"("3xx")"},
      {"INCR i", ":1"},
      {"INCRBY i 41", ":42"},
      {"DECR i", ":41"},
      {"DECRBY i 40", ":1"},
      {"INCRBYFLOAT i 0.5", R"("1.5")"},
      {"GET i", R"("1.5")"},
  });
}

TEST_F(StringCommandsTest, EachCommandOnKeysAnswersAsRedisDoes) {
  Plays({
      {"MSET a 1 b 2 c 3 d 4", "OK"},
      {"SET e 5 EX 100", "OK"},
      {"DEL a b a none", ":2"},
      {"UNLINK c none", ":1"},
      {"EXISTS d d none", ":2"},
      {"TOUCH d d none", ":2"},
      {"EXPIRE d 100", ":1"},
      {"TTL d", ":100"},
      {"PEXPIRE d 200000", ":1"},
      {"TTL d", ":200"},
      {"EXPIREAT d 33177117420", ":1"},
      {"EXPIRETIME d", ":33177117420"},
      {"PEXPIRETIME d", ":33177117420000"},
      {"PEXPIREAT d 33177117420123", ":1"},
      {"PEXPIRETIME d", ":33177117420123"},
      {"EXPIRETIME d", ":33177117420"},
      {"PERSIST d", ":1"},
      {"PERSIST d", ":0"},
      {"PERSIST none", ":0"},
      {"TTL d", ":-1"},
      {"PTTL d", ":-1"},
      {"TTL none", ":-2"},
      {"PTTL none", ":-2"},
      {"EXPIRETIME none", ":-2"},
      {"PEXPIRETIME d", ":-1"},
      {"EXPIRE none 100", ":0"},
      {"RENAME d dd", "OK"},
      {"RENAME d dd", "-ERR no such key"},
      {"RENAMENX dd e", ":0"},
      {"RENAMENX dd ddd", ":1"},
      {"COPY ddd e", ":0"},
      {"COPY ddd e REPLACE", ":1"},
      {"GET e", R"("4")"},
      {"TTL e", ":-1"},
  });
}

TEST_F(StringCommandsTest, WrongNumbersOfArgumentsAreRefused) {
  Plays({
      {"MSET a", "-ERR wrong number of arguments for 'mset' command"},
      {"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"},
      {"msetnx a 1 b", "-ERR wrong number of arguments for 'msetnx' command"},
      {"GET", "-ERR wrong number of arguments for 'get' command"},
      {"get a b", "-ERR wrong number of arguments for 'get' command"},
      {"SET a", "-ERR wrong number of arguments for 'set' command"},
      {"GETEX", "-ERR wrong number of arguments for 'getex' command"},
      {"COPY a", "-ERR wrong number of arguments for 'copy' command"},
      {"EXPIRE a", "-ERR wrong number of arguments for 'expire' command"},
      {"INCRBY a", "-ERR wrong number of arguments for 'incrby' command"},
  });
}

TEST_F(StringCommandsTest, OptionsOfSetAreReadAsRedisReadsThem) {
  Plays({
      {"SET k v ex 100 nx", "OK"},
      {"TTL k", ":100"},
      {"SET k v EX 5 EX 100", "OK"},
      {"TTL k", ":100"},
      {"SET k v NX NX", "nil"},
      {"SET k v KEEPTTL KEEPTTL", "OK"},
      {"SET k v GET GET", R"("v")"},
      {"SET k v FOO", "-ERR syntax error"},
      {"SET k v EX", "-ERR syntax error"},
      {"SET k v EX 5 PX", "-ERR syntax error"},
      {"SET k v XX NX", "-ERR syntax error"},
      {"SET k v EX 5 KEEPTTL", "-ERR syntax error"},
      {"SET k v PERSIST", "-ERR syntax error"},
      {"SET k v nxx", "-ERR syntax error"},
      {"SET k v EX foo", "-ERR value is not an integer or out of range"},
      {R"(SET k v EX "")", "-ERR value is not an integer or out of range"},
      {"SET k v EX +5", "-ERR value is not an integer or out of range"},
      {"SET k v EX 05", "-ERR value is not an integer or out of range"},
      {"SET k v EX 1.5", "-ERR value is not an integer or out of range"},
      {"SET k v EX 0", "-ERR invalid expire time in 'set' command"},
      {"SET k v EX -1", "-ERR invalid expire time in 'set' command"},
      {"SET k v PX 0", "-ERR invalid expire time in 'set' command"},
      {"SET k v PX -9223372036854775808", "-ERR invalid expire time in 'set' command"},
      {"SET k v EXAT 0", "-ERR invalid expire time in 'set' command"},
      {"SET k v PXAT -1", "-ERR invalid expire time in 'set' command"},
      {"SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"},
      {"SET k v EX 9223372036854776", "-ERR invalid expire time in 'set' command"},
      {"SET k v EX 9223372036854775", "-ERR invalid expire time in 'set' command"},
      {"SET k v EX 9223370000000000", "OK"},
      {"SET k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command"},
      {"SET k v PX 9223372036854775808", "-ERR value is not an integer or out of range"},
      {"SET k v PX 9223370000000000000", "OK"},
      {"SET k v EXAT 9223372036854776", "-ERR invalid expire time in 'set' command"},
      {"SET k v EXAT 9223372036854775", "OK"},
      {"SET k v PXAT 9223372036854775807", "OK"},
      {"set k v ex 0", "-ERR invalid expire time in 'set' command"},
      {"SETEX k 0 v", "-ERR invalid expire time in 'setex' command"},
      {"SETEX k -1 v", "-ERR invalid expire time in 'setex' command"},
      {"SETEX k foo v", "-ERR value is not an integer or out of range"},
      {"SETEX k 9223372036854776 v", "-ERR invalid expire time in 'setex' command"},
      {"PSETEX k 0 v", "-ERR invalid expire time in 'psetex' command"},
      {"PSETEX k 9223372036854775807 v", "-ERR invalid expire time in 'psetex' command"},
      {"GETEX k EX 0", "-ERR invalid expire time in 'getex' command"},
      {"GETEX k PX foo", "-ERR value is not an integer or out of range"},
      {"GETEX k EXAT 9223372036854776", "-ERR invalid expire time in 'getex' command"},
      {"GETEX none EX 0", "nil"},
      {"GETEX none PX foo", "nil"},
      {"GETEX none EX", "-ERR syntax error"},
      {"GETEX k KEEPTTL", "-ERR syntax error"},
      {"GETEX k NX", "-ERR syntax error"},
      {"GETEX k PERSIST PERSIST", R"("v")"},
      {"GETEX k EX 5 EX 100", R"("v")"},
      {"TTL k", ":100"},
  });
}

TEST_F(StringCommandsTest, WhatIsPastFromTheStartIsGoneAndConditionsStillCount) {
  Plays({
      {"SET k v PXAT 1", "OK"},
      {"EXISTS k", ":0"},
      {"SET k v", "OK"},
      {"SET k w NX PXAT 1", "nil"},
      {"GET k", R"("v")"},
      {"SET n w XX EXAT 1", "nil"},
      {"EXISTS n", ":0"},
      {"SET k w GET EXAT 1", R"("v")"},
      {"EXISTS k", ":0"},
      {"SET k w XX EXAT 1", "nil"},
      {"SET k v", "OK"},
      {"SET k w XX PXAT 1", "OK"},
      {"GET k", "nil"},
      {"SET k v", "OK"},
      {"GETEX k PXAT 1", R"("v")"},
      {"GET k", "nil"},
      {"SET k v", "OK"},
      {"EXPIRE k -1", ":1"},
      {"EXISTS k", ":0"},
      {"SET k v", "OK"},
      {"EXPIRE k 0", ":1"},
      {"EXISTS k", ":0"},
      {"SET k v", "OK"},
      {"PEXPIRE k -9223372036854775808", ":1"},
      {"EXISTS k", ":0"},
      {"SET k v", "OK"},
      {"EXPIREAT k 1", ":1"},
      {"EXISTS k", ":0"},
      {"SET k v", "OK"},
      {"PEXPIREAT k -9223372036854770000", ":1"},
      {"EXISTS k", ":0"},
      {"SET k v EX 100", "OK"},
      {"EXPIRE k -1 GT", ":0"},
      {"EXPIRE k -1 NX", ":0"},
      {"EXPIRE k -1 LT", ":1"},
      {"EXISTS k", ":0"},
  });
}

TEST_F(StringCommandsTest, TimesOfExpireAreReadAsRedisReadsThem) {
  Plays({
      {"SET k v", "OK"},
      {"EXPIRE k foo", "-ERR value is not an integer or out of range"},
      {R"(EXPIRE k "")", "-ERR value is not an integer or out of range"},
      {"EXPIRE k 1.5", "-ERR value is not an integer or out of range"},
      {"EXPIRE k 9223372036854775808", "-ERR value is not an integer or out of range"},
      {"EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"},
      {"EXPIRE k -9223372036854775808", "-ERR invalid expire time in 'expire' command"},
      {"EXPIRE k 9223372036854776", "-ERR invalid expire time in 'expire' command"},
      {"EXPIRE k 9223372036854775", "-ERR invalid expire time in 'expire' command"},
      {"EXPIRE k -9223372036854776", "-ERR invalid expire time in 'expire' command"},
      {"PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"},
      {"PEXPIRE k 9223372036854770000", "-ERR invalid expire time in 'pexpire' command"},
      {"EXPIREAT k 9223372036854776", "-ERR invalid expire time in 'expireat' command"},
      {"PEXPIREAT k 9223372036854770000", ":1"},
      {"expire none 9223372036854775807", "-ERR invalid expire time in 'expire' command"},
      {"EXPIRE k 100 FOO", "-ERR Unsupported option FOO"},
      {"EXPIRE none 100 FOO", "-ERR Unsupported option FOO"},
      {"EXPIRE k foo BAR", "-ERR Unsupported option BAR"},
      {"EXPIRE k 100 NX XX",
       "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"EXPIRE k 100 GT LT", "-ERR GT and LT options at the same time are not compatible"},
      {"EXPIRE k 100 NX GT LT",
       "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"EXPIRE k foo NX XX",
       "-ERR NX and XX, GT or LT options at the same time are not compatible"},
      {"EXPIRE k 100 nx", ":0"},
      {"EXPIRE k 100 XX XX", ":1"},
      {"TTL k", ":100"},
  });
}

TEST_F(StringCommandsTest, IntegersAreReadStrictly) {
  Plays({
      {"SET k 007", "OK"},        {"INCR k", "-ERR value is not an integer or out of range"},
      {R"(SET k " 1")", "OK"},    {"INCR k", "-ERR value is not an integer or out of range"},
      {R"(SET k "1 ")", "OK"},    {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k -0", "OK"},         {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k +1", "OK"},         {"INCR k", "-ERR value is not an integer or out of range"},
      {R"(SET k "")", "OK"},      {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k 1e3", "OK"},        {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k 1.0", "OK"},        {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k 0x10", "OK"},       {"INCR k", "-ERR value is not an integer or out of range"},
      {R"(SET k "1\x00")", "OK"}, {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k -", "OK"},          {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k 0", "OK"},          {"INCR k", ":1"},
      {"SET k -1", "OK"},         {"INCR k", ":0"},
      {"SET k -5", "OK"},         {"DECRBY k -5", ":0"},
  });
}

TEST_F(StringCommandsTest, IntegersEndWhereInt64Does) {
  Plays({
      {"SET k 9223372036854775806", "OK"},
      {"INCR k", ":9223372036854775807"},
      {"INCR k", "-ERR increment or decrement would overflow"},
      {"GET k", R"("9223372036854775807")"},
      {"INCRBY k -9223372036854775808", ":-1"},
      {"INCRBY k 9223372036854775807", ":9223372036854775806"},
      {"SET k -9223372036854775807", "OK"},
      {"DECR k", ":-9223372036854775808"},
      {"DECR k", "-ERR increment or decrement would overflow"},
      {"GET k", R"("-9223372036854775808")"},
      {"SET k 9223372036854775808", "OK"},
      {"INCR k", "-ERR value is not an integer or out of range"},
      {"SET k 00", "OK"},
      {"INCR k", "-ERR value is not an integer or out of range"},
      {"INCRBY k2 +1", "-ERR value is not an integer or out of range"},
      {"INCRBY k2 01", "-ERR value is not an integer or out of range"},
      {R"(INCRBY k2 " 1")", "-ERR value is not an integer or out of range"},
      {"INCRBY k2 -0", "-ERR value is not an integer or out of range"},
      {"INCRBY k2 1.5", "-ERR value is not an integer or out of range"},
      {R"(INCRBY k2 "")", "-ERR value is not an integer or out of range"},
      {"INCRBY k2 9223372036854775808", "-ERR value is not an integer or out of range"},
      {"INCRBY k2 -9223372036854775808", ":-9223372036854775808"},
      {"INCR k2", ":-9223372036854775807"},
      {"DECRBY k2 -9223372036854775808", "-ERR decrement would overflow"},
      {"DECRBY k2 9223372036854775807", "-ERR increment or decrement would overflow"},
      {"DECRBY k3 9223372036854775807", ":-9223372036854775807"},
      {"DECRBY k3 1", ":-9223372036854775808"},
      {"DECRBY k3 1", "-ERR increment or decrement would overflow"},
      {"INCRBY k4 x", "-ERR value is not an integer or out of range"},
      {"EXISTS k4", ":0"},
  });
}

TEST_F(StringCommandsTest, WhatIsChangedInPartKeepsItsTime) {
  Plays({
      {"SET t 5 EX 100", "OK"},
      {"INCR t", ":6"},
      {"TTL t", ":100"},
      {"APPEND t 0", ":2"},
      {"TTL t", ":100"},
      {"SETRANGE t 0 9", ":2"},
      {"TTL t", ":100"},
      {"INCRBYFLOAT t 1", R"("91")"},
      {"TTL t", ":100"},
      {"GETSET t 1", R"("91")"},
      {"TTL t", ":-1"},
  });
}

TEST_F(StringCommandsTest, PartsOfValuesAreReadAndWrittenAsInRedis) {
  Plays({
      {"SET k hello", "OK"},
      {"GETRANGE k x 1", "-ERR value is not an integer or out of range"},
      {"GETRANGE k 0 x", "-ERR value is not an integer or out of range"},
      {"GETRANGE none 0 x", "-ERR value is not an integer or out of range"},
      {"GETRANGE k 0 9223372036854775808", "-ERR value is not an integer or out of range"},
      {"GETRANGE none 0 -1", R"("")"},
      {R"(SET e "")", "OK"},
      {"GETRANGE e 0 -1", R"("")"},
      {"SETRANGE k -1 x", "-ERR offset is out of range"},
      {R"(SETRANGE none -1 "")", "-ERR offset is out of range"},
      {"SETRANGE k x x", "-ERR value is not an integer or out of range"},
      {R"(SETRANGE k -1 "")", "-ERR offset is out of range"},
      {R"(SETRANGE none 5 "")", ":0"},
      {"EXISTS none", ":0"},
      {R"(SETRANGE k 100 "")", ":5"},
      {R"(SETRANGE k 5 " world")", ":11"},
      {"GET k", R"("hello world")"},
      {"SETRANGE k 0 J", ":11"},
      {"GET k", R"("Jello world")"},
      {"SETRANGE k 13 x", ":14"},
      {"GET k", R"("Jello world\x00\x00x")"},
      {"SETRANGE new 3 abc", ":6"},
      {"GET new", R"("\x00\x00\x00abc")"},
      {"SETRANGE k 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"},
      {"SETRANGE k 9223372036854775807 x",
       "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"},
      {"SETRANGE k 9223372036854775808 x", "-ERR value is not an integer or out of range"},
      {R"(SETRANGE new 2 "\x00\xff")", ":6"},
      {"GET new", R"("\x00\x00\x00\xffbc")"},
  });
}

TEST_F(StringCommandsTest, KeysAreRenamedAndCopiedWithTheirTimes) {
  Plays({
      {"SET a 1 EX 100", "OK"},
      {"SET b 2", "OK"},
      {"RENAME a b", "OK"},
      {"TTL b", ":100"},
      {"GET b", R"("1")"},
      {"EXISTS a", ":0"},
      {"RENAME b b", "OK"},
      {"RENAME none none", "-ERR no such key"},
      {"RENAMENX b b", ":0"},
      {"RENAMENX none b", "-ERR no such key"},
      {"SET c 3", "OK"},
      {"RENAMENX b c", ":0"},
      {"RENAMENX c d", ":1"},
      {"TTL d", ":-1"},
      {"COPY b e", ":1"},
      {"TTL e", ":100"},
      {"COPY b b", "-ERR source and destination objects are the same"},
      {"COPY none none", "-ERR source and destination objects are the same"},
      {"COPY none e", ":0"},
      {"COPY none e REPLACE", ":0"},
      {"COPY b d", ":0"},
      {"COPY b d replace REPLACE", ":1"},
      {"GET d", R"("1")"},
      {"TTL d", ":100"},
      {"COPY b e DB", "-ERR syntax error"},
      {"COPY b e DB x", "-ERR value is not an integer or out of range"},
      {"COPY b e DB 2147483648",
       "-ERR value is out of range, value must between -2147483648 and 2147483647"},
      {"COPY b e DB -2147483649",
       "-ERR value is out of range, value must between -2147483648 and 2147483647"},
      {"COPY b e DB -1", "-ERR DB index is out of range"},
      {"COPY b e DB 16", "-ERR DB index is out of range"},
      {"COPY b e DB 0 REPLACE", ":1"},
      {"COPY b e FOO", "-ERR syntax error"},
      {"COPY b new DB 0", ":1"},
      {"EXPIRE new 200", ":1"},
      {"RENAME d new", "OK"},
      {"TTL new", ":100"},
  });
}

TEST_F(StringCommandsTest, BothEndsOfARangeMayBeAnywhere) {
  // Of "hello": a row for each start, a column for each end; "-" is nothing.
  constexpr const char* kEnds[] = {
      "-9223372036854775808", "-100", "-6", "-5", "-3", "-1", "0", "1", "4", "5", "100",
      "9223372036854775807"};
  constexpr Step kRows[] = {
      {"-9223372036854775808", "h h h h hel hello h he hello hello hello hello"},
      {"-100", "- h h h hel hello h he hello hello hello hello"},
      {"-6", "- - h h hel hello h he hello hello hello hello"},
      {"-5", "- - - h hel hello h he hello hello hello hello"},
      {"-3", "- - - - l llo - - llo llo llo llo"},
      {"-1", "- - - - - o - - o o o o"},
      {"0", "h h h h hel hello h he hello hello hello hello"},
      {"1", "- - - - el ello - e ello ello ello ello"},
      {"4", "- - - - - o - - o o o o"},
      {"5", "- - - - - - - - - - - -"},
      {"100", "- - - - - - - - - - - -"},
      {"9223372036854775807", "- - - - - - - - - - - -"},
  };
  redis_.Say("SET k hello");
  for (const Step& row : kRows) {
    Bytes found;
    for (const char* end : kEnds) {
      const Reply part = redis_.Run({"GETRANGE", "k", row.call, end});
      found += (found.empty() ? "" : " ") + (part.text.empty() ? "-" : part.text);
    }
    EXPECT_EQ(found, row.reply) << row.call;
  }
}

struct Sum {
  const char* value;
  const char* delta;
  const char* reply;
};
constexpr Sum kSums[] = {
    {"10.5", "0.1", "10.6"},
    {"5.0e3", "2.0e2", "5200"},
    {"3", "1.1", "4.1"},
    {"3", "-3", "0"},
    {"-0", "0", "0"},
    {"0", "-0.0", "0"},
    {"0.1", "0.2", "0.3"},
    {"1", "1e-17", "1.00000000000000001"},
    {"1", "1e-18", "1"},
    {"0", "1e-18", "0"},
    {"0", "-1e-18", "0"},
    {"0", "3.0e3", "3000"},
    {"1e3", "0", "1000"},
    {"0", "1e20", "100000000000000000000"},
    {"0", "123456789012345678901234567890", "123456789012345678899921813504"},
    {"0.00000000000000001", "0", "0.00000000000000001"},
    {"0", "0.3", "0.3"},
    {"1.23", "-1.23", "0"},
    {"9007199254740993", "0", "9007199254740993"},
    {"9223372036854775807", "1", "9223372036854775808"},
    {"18446744073709551616", "1", "18446744073709551616"},
    {"-1.5", "-2.25", "-3.75"},
    {"1e30", "0", "1000000000000000000024696061952"},
    {"1e-5000", "0", "-ERR value is not a valid float"},
    {"0", "1e-4940", "0"},
    {"0", "1e5000", "-ERR value is not a valid float"},
    {"1e4932", "1e4932", "-ERR increment would produce NaN or Infinity"},
    {"inf", "0", "-ERR increment would produce NaN or Infinity"},
    {"0", "inf", "-ERR increment would produce NaN or Infinity"},
    {"-inf", "inf", "-ERR increment would produce NaN or Infinity"},
    {"0", "nan", "-ERR value is not a valid float"},
    {"0", "abc", "-ERR value is not a valid float"},
    {"abc", "1", "-ERR value is not a valid float"},
    {" 1", "1", "-ERR value is not a valid float"},
    {"1", " 1", "-ERR value is not a valid float"},
    {"1 ", "1", "-ERR value is not a valid float"},
    {"1", "1 ", "-ERR value is not a valid float"},
    {"", "1", "-ERR value is not a valid float"},
    {"1", "", "-ERR value is not a valid float"},
    {"0x10", "1", "17"},
    {"0", "0x1p3", "8"},
    {"+5", "+1", "6"},
    {"007", "1", "8"},
    {"1.", ".5", "1.5"},
    {".", "1", "-ERR value is not a valid float"},
    {"1e", "1", "-ERR value is not a valid float"},
    {"1e3", "1e-3", "1000.001"},
    {"1,5", "1", "-ERR value is not a valid float"},
    {R"(1\x00)", "1", "-ERR value is not a valid float"},
    {"infinity", "0", "-ERR increment would produce NaN or Infinity"},
    {"3.141592653589793238462643", "0", "3.14159265358979324"},
    {"0", "0.1234567890123456789", "0.12345678901234568"},
    {"100", "0.00000000000000001", "100.00000000000000001"},
    {"-9.99", "9.98", "-0.01"},
    {"0", "-0.000000000000000001", "0"},
};

TEST_F(StringCommandsTest, FloatsAreReadAndPrintedAsRedisDoes) {
  for (const Sum& sum : kSums) {
    redis_.Say(Bytes("SET k \"") + sum.value + '"');
    const Bytes reply = redis_.Say(Bytes("INCRBYFLOAT k \"") + sum.delta + '"');
    const bool refused = reply[0] == '-';
    EXPECT_EQ(refused ? reply : reply.substr(1, reply.size() - 2), sum.reply)
        << sum.value << " + " << sum.delta;
    EXPECT_EQ(redis_.Say("GET k"), refused ? '"' + Bytes(sum.value) + '"' : reply);
  }
}

TEST_F(StringCommandsTest, AFloatMayHaveAsManyDigitsAsThereAreAndNoMore) {
  Bytes digits(5 * 1024 - 1, '0');
  digits.back() = '7';
  EXPECT_EQ(redis_.Run({"INCRBYFLOAT", "k", digits}), Reply::Bulk("7"));
  EXPECT_EQ(redis_.Run({"INCRBYFLOAT", "k", '0' + digits}),
            Reply::Error("ERR", "value is not a valid float"));
  // The longest there is comes back whole.
  redis_.Say("SET k 1e4932");
  const Reply longest = redis_.Run({"INCRBYFLOAT", "k", "0"});
  EXPECT_EQ(longest.text.size(), 4933u);
  EXPECT_EQ(redis_.Run({"INCRBYFLOAT", "k", "0"}), longest);
}

TEST_F(StringCommandsTest, AKeyMayBeEmptyAndHasALimit) {
  Plays({{R"(SET "" v)", "OK"}, {R"(GET "")", R"("v")"}, {R"(DEL "")", ":1"}});
  const Bytes longest(kNameBytesMax, 'k');
  const Bytes too_long(kNameBytesMax + 1, 'k');
  const Reply refused = Reply::Error("LIMIT", "key has 1025 bytes, at most 1024");
  EXPECT_EQ(redis_.Run({"SET", longest, "v"}), Reply::Ok());
  EXPECT_EQ(redis_.Run({"GET", longest}), Reply::Bulk("v"));
  // A value may be as long.
  EXPECT_EQ(redis_.Run({"MSET", "a", too_long, "b", too_long}), Reply::Ok());
  EXPECT_EQ(redis_.Run({"RENAME", "a", too_long}), refused);
  EXPECT_EQ(redis_.Run({"MSET", "a", "1", too_long, "2"}), refused);
  EXPECT_EQ(redis_.Run({"MGET", "a", "b", too_long}), refused);
  EXPECT_EQ(redis_.Run({"GET", "a"}), Reply::Bulk(too_long));
}

TEST_F(StringCommandsTest, EveryCommandOnKeysRefusesALongKeyWhereverItStands) {
  const Bytes too_long(kNameBytesMax + 1, '1');
  size_t refused = 0;
  for (const CommandSpec* leaf : CommandTable::Get().all()) {
    if (!leaf->on_keys) continue;
    std::vector<Bytes> words(static_cast<size_t>(std::abs(leaf->arity)), "1");
    words[0] = leaf->name;
    if (leaf->keys.back().last == -1) words.resize(words.size() + 2, "1");
    const std::vector<BytesView> argv(words.begin(), words.end());
    const auto keys = KeysOf(*leaf, argv);
    ASSERT_TRUE(keys.has_value()) << leaf->name;
    for (const KeyAt& key : *keys) {
      std::vector<Bytes> call = words;
      call[key.position] = too_long;
      EXPECT_EQ(redis_.Run(call).text.substr(0, 5), "LIMIT") << leaf->name << ' ' << key.position;
      ++refused;
    }
  }
  EXPECT_GE(refused, 50u);
}

TEST_F(StringCommandsTest, AValueGrowsUpToItsLimit) {
  const Reply refused =
      Reply::Error("ERR", "string exceeds maximum allowed size (proto-max-bulk-len)");
  const Bytes end = std::to_string(kValueBytesMax - 1);
  EXPECT_EQ(redis_.Run({"SETRANGE", "k", end, "xy"}), refused);
  EXPECT_EQ(redis_.Run({"GET", "k"}), Reply::Nil());
  const Reply full = Reply::Integer(static_cast<int64_t>(kValueBytesMax));
  EXPECT_EQ(redis_.Run({"SETRANGE", "k", end, "x"}), full);
  EXPECT_EQ(redis_.Run({"APPEND", "k", "x"}), refused);
  EXPECT_EQ(redis_.Run({"APPEND", "k", ""}), full);
  EXPECT_EQ(redis_.Run({"STRLEN", "k"}), full);
}

TEST_F(StringCommandsTest, TheRowsAreThoseOfRedis) {
  // Arity, flags, categories, tips; and of each key spec the access, begin, last and step.
  constexpr Step kRows[] = {
      {"get", "2 [readonly fast] [@read @string @fast] [] RO 1 0 1"},
      {"set", "-3 [write denyoom] [@write @string @slow] [] RW 1 0 1"},
      {"setex", "4 [write denyoom] [@write @string @slow] [] OW 1 0 1"},
      {"psetex", "4 [write denyoom] [@write @string @slow] [] OW 1 0 1"},
      {"setnx", "3 [write denyoom fast] [@write @string @fast] [] OW 1 0 1"},
      {"getset", "3 [write denyoom fast] [@write @string @fast] [] RW 1 0 1"},
      {"getdel", "2 [write fast] [@write @string @fast] [] RW 1 0 1"},
      {"getex", "-2 [write fast] [@write @string @fast] [] RW 1 0 1"},
      {"mget", "-2 [readonly fast] [@read @string @fast] [request_policymulti_shard] RO 1 -1 1"},
      {"mset",
       "-3 [write denyoom] [@write @string @slow] [request_policymulti_shard "
       "response_policyall_succeeded] OW 1 -1 2"},
      {"msetnx",
       "-3 [write denyoom] [@write @string @slow] [request_policymulti_shard "
       "response_policyagg_min] OW 1 -1 2"},
      {"append", "3 [write denyoom fast] [@write @string @fast] [] RW 1 0 1"},
      {"strlen", "2 [readonly fast] [@read @string @fast] [] RO 1 0 1"},
      {"getrange", "4 [readonly] [@read @string @slow] [] RO 1 0 1"},
      {"substr", "4 [readonly] [@read @string @slow] [] RO 1 0 1"},
      {"setrange", "4 [write denyoom] [@write @string @slow] [] RW 1 0 1"},
      {"incr", "2 [write denyoom fast] [@write @string @fast] [] RW 1 0 1"},
      {"incrby", "3 [write denyoom fast] [@write @string @fast] [] RW 1 0 1"},
      {"decr", "2 [write denyoom fast] [@write @string @fast] [] RW 1 0 1"},
      {"decrby", "3 [write denyoom fast] [@write @string @fast] [] RW 1 0 1"},
      {"incrbyfloat", "3 [write denyoom fast] [@write @string @fast] [] RW 1 0 1"},
      {"del",
       "-2 [write] [@keyspace @write @slow] [request_policymulti_shard response_policyagg_sum] RM "
       "1 -1 1"},
      {"unlink",
       "-2 [write fast] [@keyspace @write @fast] [request_policymulti_shard "
       "response_policyagg_sum] RM 1 -1 1"},
      {"exists",
       "-2 [readonly fast] [@keyspace @read @fast] [request_policymulti_shard "
       "response_policyagg_sum] RO 1 -1 1"},
      {"touch",
       "-2 [readonly fast] [@keyspace @read @fast] [request_policymulti_shard "
       "response_policyagg_sum] RO 1 -1 1"},
      {"expire", "-3 [write fast] [@keyspace @write @fast] [] RW 1 0 1"},
      {"pexpire", "-3 [write fast] [@keyspace @write @fast] [] RW 1 0 1"},
      {"expireat", "-3 [write fast] [@keyspace @write @fast] [] RW 1 0 1"},
      {"pexpireat", "-3 [write fast] [@keyspace @write @fast] [] RW 1 0 1"},
      {"expiretime", "2 [readonly fast] [@keyspace @read @fast] [] RO 1 0 1"},
      {"pexpiretime", "2 [readonly fast] [@keyspace @read @fast] [] RO 1 0 1"},
      {"ttl", "2 [readonly fast] [@keyspace @read @fast] [nondeterministic_output] RO 1 0 1"},
      {"pttl", "2 [readonly fast] [@keyspace @read @fast] [nondeterministic_output] RO 1 0 1"},
      {"persist", "2 [write fast] [@keyspace @write @fast] [] RW 1 0 1"},
      {"rename", "3 [write] [@keyspace @write @slow] [] RW 1 0 1 OW 2 0 1"},
      {"renamenx", "3 [write fast] [@keyspace @write @fast] [] RW 1 0 1 OW 2 0 1"},
      {"copy", "-3 [write denyoom] [@keyspace @write @slow] [] RO 1 0 1 OW 2 0 1"},
  };
  for (const Step& row : kRows) {
    const Reply info = redis_.host.Run(redis_.client, {"COMMAND", "INFO", row.call}).items[0];
    Bytes shown;
    for (const size_t i : {1u, 2u, 6u, 7u}) shown += KeysHost::Shown(info.items[i]) + ' ';
    std::erase_if(shown, [](char c) { return c == ':' || c == '"'; });
    for (const KeySpec& key : CommandTable::Get().FindByName(row.call).leaf().keys) {
      shown += KeyFlags(key).items[0].text + Format(" %d %d %d ", key.begin, key.last, key.step);
    }
    EXPECT_EQ(shown, Bytes(row.reply) + ' ') << row.call;
  }
}

TEST_F(StringCommandsTest, AsMuchIsReadAtOnceAsOneValueMayHold) {
  redis_.Run({"SETRANGE", "k", std::to_string(kValueBytesMax / 2 - 1), "x"});
  EXPECT_EQ(redis_.Run({"MGET", "k", "none", "k"}).items.size(), 3u);
  redis_.Run({"SET", "one", "1"});
  EXPECT_EQ(redis_.Run({"MGET", "k", "k", "one"}),
            Reply::Error("LIMIT",
                         "the values have more than 67108864 bytes together; ask for "
                         "fewer keys at once"));
}

}  // namespace
}  // namespace lockstep
