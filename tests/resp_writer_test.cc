// Replies byte for byte, in both protocols.
#include "src/resp/writer.h"

#include <cstdlib>
#include <limits>

#include <gtest/gtest.h>

namespace lockstep::resp {
namespace {

Bytes Written(const Reply& reply, int protocol) {
  Bytes out;
  WriteReply(reply, protocol, &out);
  return out;
}
Bytes Resp2(const Reply& reply) { return Written(reply, 2); }
Bytes Resp3(const Reply& reply) { return Written(reply, 3); }

TEST(WriterTest, NilsDifferInResp2AndAreOneInResp3) {
  EXPECT_EQ(Resp2(Reply::Nil()), "$-1\r\n");
  EXPECT_EQ(Resp2(Reply::NilArray()), "*-1\r\n");
  EXPECT_EQ(Resp3(Reply::Nil()), "_\r\n");
  EXPECT_EQ(Resp3(Reply::NilArray()), "_\r\n");
}

TEST(WriterTest, TextsAndIntegersAreTheSameInBoth) {
  for (const int protocol : {2, 3}) {
    EXPECT_EQ(Written(Reply::Ok(), protocol), "+OK\r\n");
    EXPECT_EQ(Written(Reply::Error("ERR", "no"), protocol), "-ERR no\r\n");
    EXPECT_EQ(Written(Reply::Bulk("ab"), protocol), "$2\r\nab\r\n");
    EXPECT_EQ(Written(Reply::Bulk(""), protocol), "$0\r\n\r\n");
    EXPECT_EQ(Written(Reply::Integer(-42), protocol), ":-42\r\n");
  }
}

TEST(WriterTest, IntegersAreWrittenToTheirEnds) {
  constexpr auto kMin = std::numeric_limits<int64_t>::min();
  constexpr auto kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(Resp2(Reply::Integer(0)), ":0\r\n");
  EXPECT_EQ(Resp2(Reply::Integer(kMin)), ":-9223372036854775808\r\n");
  EXPECT_EQ(Resp2(Reply::Integer(kMax)), ":9223372036854775807\r\n");
}

TEST(WriterTest, ABulkHoldsAnyByte) {
  const Bytes any("\0\r\n\xff", 4);
  EXPECT_EQ(Resp2(Reply::Bulk(any)), "$4\r\n" + any + "\r\n");
}

// A client names a lock "x\r\n+OK": the error that quotes it must stay one line.
TEST(WriterTest, ASimpleStringOrErrorNeverHoldsCrOrLf) {
  EXPECT_EQ(Resp2(Reply::Error("ERR", "lock 'x\r\n+OK' is held")),
            "-ERR lock 'x  +OK' is held\r\n");
  EXPECT_EQ(Resp3(Reply::Simple("\ra\nb\r")), "+ a b \r\n");
  EXPECT_EQ(Resp2(Reply::Simple("\n")), "+ \r\n");
  Bytes out = "kept\r\n";
  WriteError("A\nB", &out);
  EXPECT_EQ(out, "kept\r\n-A B\r\n");
}

TEST(WriterTest, BooleansAreNumbersInResp2) {
  EXPECT_EQ(Resp2(Reply::Boolean(true)), ":1\r\n");
  EXPECT_EQ(Resp2(Reply::Boolean(false)), ":0\r\n");
  EXPECT_EQ(Resp3(Reply::Boolean(true)), "#t\r\n");
  EXPECT_EQ(Resp3(Reply::Boolean(false)), "#f\r\n");
}

TEST(WriterTest, AVerbatimStringIsATextInResp3AndABulkInResp2) {
  EXPECT_EQ(Resp3(Reply::Verbatim("# Server\r\n")), "=14\r\ntxt:# Server\r\n\r\n");
  EXPECT_EQ(Resp2(Reply::Verbatim("# Server\r\n")), "$10\r\n# Server\r\n\r\n");
}

TEST(WriterTest, ADoubleIsTheShortestTextThatReadsBackTheSame) {
  EXPECT_EQ(Resp3(Reply::Double(0.1)), ",0.1\r\n");
  EXPECT_EQ(Resp3(Reply::Double(3.0)), ",3\r\n");
  EXPECT_EQ(Resp3(Reply::Double(100000)), ",100000\r\n");
  EXPECT_EQ(Resp3(Reply::Double(-2.5)), ",-2.5\r\n");
  EXPECT_EQ(Resp3(Reply::Double(0.0)), ",0\r\n");
  EXPECT_EQ(Resp3(Reply::Double(-0.0)), ",-0\r\n");
  EXPECT_EQ(Resp3(Reply::Double(1e300)), ",1e+300\r\n");
  EXPECT_EQ(Resp2(Reply::Double(0.1)), "$3\r\n0.1\r\n");
  for (const double v : {1.0 / 3, 5e-324, 1.7976931348623157e308, -123456.789, 9.007e15}) {
    const Bytes text = Resp3(Reply::Double(v));
    EXPECT_EQ(std::strtod(text.c_str() + 1, nullptr), v) << text;
  }
}

TEST(WriterTest, InfinitiesAndNanHaveTheirWords) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(Resp3(Reply::Double(kInf)), ",inf\r\n");
  EXPECT_EQ(Resp3(Reply::Double(-kInf)), ",-inf\r\n");
  EXPECT_EQ(Resp3(Reply::Double(std::numeric_limits<double>::quiet_NaN())), ",nan\r\n");
  EXPECT_EQ(Resp2(Reply::Double(-kInf)), "$4\r\n-inf\r\n");
}

TEST(WriterTest, AMapIsAFlatArrayOfTheSameOrderInResp2) {
  Reply map = Reply::Map();
  map.Add("name", Reply::Bulk("x")).Add("holders", Reply::Integer(1));
  EXPECT_EQ(Resp3(map), "%2\r\n$4\r\nname\r\n$1\r\nx\r\n$7\r\nholders\r\n:1\r\n");
  EXPECT_EQ(Resp2(map), "*4\r\n$4\r\nname\r\n$1\r\nx\r\n$7\r\nholders\r\n:1\r\n");
}

TEST(WriterTest, ListsKeepTheirTypeInResp3AndAreArraysInResp2) {
  const std::vector<Reply> items = {Reply::Integer(1), Reply::Nil()};
  EXPECT_EQ(Resp3(Reply::Array(items)), "*2\r\n:1\r\n_\r\n");
  EXPECT_EQ(Resp3(Reply::Set(items)), "~2\r\n:1\r\n_\r\n");
  EXPECT_EQ(Resp3(Reply::Push(items)), ">2\r\n:1\r\n_\r\n");
  for (const Reply& list : {Reply::Array(items), Reply::Set(items), Reply::Push(items)}) {
    EXPECT_EQ(Resp2(list), "*2\r\n:1\r\n$-1\r\n");
  }
  EXPECT_EQ(Resp2(Reply::Array()), "*0\r\n");
  EXPECT_EQ(Resp3(Reply::Map()), "%0\r\n");
}

TEST(WriterTest, ListsNest) {
  Reply inner = Reply::Map();
  inner.Add("k", Reply::Array({Reply::Ok()}));
  EXPECT_EQ(Resp3(Reply::Array({inner, Reply::Nil()})),
            "*2\r\n%1\r\n$1\r\nk\r\n*1\r\n+OK\r\n_\r\n");
}

TEST(WriterTest, NoReplyWritesNothingButKeepsItsPlaceInAList) {
  EXPECT_EQ(Resp2(Reply::Nothing()), "");
  EXPECT_EQ(Resp2(Reply::Array({Reply::Nothing(), Reply::Integer(2)})), "*2\r\n$-1\r\n:2\r\n");
  Reply map = Reply::Map();
  map.Add("k", Reply::Nothing());
  EXPECT_EQ(Resp3(map), "%1\r\n$1\r\nk\r\n_\r\n");
}

TEST(WriterTest, PartsMakeTheSameBytesAsTheWhole) {
  Bytes parts;
  WriteArrayHeader(3, &parts);
  WriteBulk("a", &parts);
  WriteInteger(7, &parts);
  WriteMapHeader(1, 2, &parts);
  WriteSimple("k", &parts);
  WriteError("ERR v", &parts);
  const Reply map = Reply::Map({Reply::Simple("k"), Reply::Error("ERR", "v")});
  EXPECT_EQ(parts, Resp2(Reply::Array({Reply::Bulk("a"), Reply::Integer(7), map})));
}

TEST(WriterDeathTest, AMapWithAKeyAndNoValueIsOurBug) {
  EXPECT_DEATH(Resp3(Reply::Map({Reply::Bulk("k")})), "items.size");
}

}  // namespace
}  // namespace lockstep::resp
