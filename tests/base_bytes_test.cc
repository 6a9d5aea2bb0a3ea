// Byte strings: printing, comparing, reading numbers.
#include "src/base/bytes.h"

#include <limits>

#include <gtest/gtest.h>

#include "src/base/rng.h"

namespace lockstep {
namespace {

constexpr auto kMin = std::numeric_limits<int64_t>::min();
constexpr auto kMax = std::numeric_limits<int64_t>::max();

TEST(PrintableTest, TextStaysAndTheRestIsEscaped) {
  EXPECT_EQ(Printable("jobs/7"), "jobs/7");
  EXPECT_EQ(Printable("a\r\n\tb"), "a\\r\\n\\tb");
  EXPECT_EQ(Printable("\"\\"), "\\\"\\\\");
  EXPECT_EQ(Printable(BytesView("\0\x1b[31m\x7f\xff", 8)), "\\x00\\x1b[31m\\x7f\\xff");
}

TEST(PrintableTest, WhatIsLeftOutShows) {
  EXPECT_EQ(Printable("abcdef", 3), "abc...");
  EXPECT_EQ(Printable("abc", 3), "abc");
  EXPECT_EQ(Printable(Bytes(1000, 'x')), Bytes(128, 'x') + "...");
}

TEST(CaseTest, OnlyAsciiLettersChange) {
  EXPECT_EQ(Lower("LOCK.Acquire-\xC4@["), "lock.acquire-\xC4@[");
  EXPECT_EQ(Upper("lock.Acquire-\xE4`{"), "LOCK.ACQUIRE-\xE4`{");
}

TEST(CaseTest, EqualsIgnoreCaseComparesTheWhole) {
  EXPECT_TRUE(EqualsIgnoreCase("PiNg", "pInG"));
  EXPECT_TRUE(EqualsIgnoreCase("", ""));
  EXPECT_FALSE(EqualsIgnoreCase("ping", "ping "));
  EXPECT_FALSE(EqualsIgnoreCase("@", "`"));  // 32 apart, but no letters.
}

TEST(FormatTest, LongTextsAreNotCut) {
  EXPECT_EQ(Format("%s-%d", Bytes(5000, 'x').c_str(), 7), Bytes(5000, 'x') + "-7");
  EXPECT_EQ(Format("%s", ""), "");
}

// The value, or nothing; and a refused text must leave the variable alone.
std::optional<int64_t> Signed(BytesView in) {
  int64_t v = 4711;
  if (ParseInt64(in, &v)) return v;
  EXPECT_EQ(v, 4711);
  return std::nullopt;
}
std::optional<uint64_t> Unsigned(BytesView in) {
  uint64_t v = 4711;
  if (ParseUint64(in, &v)) return v;
  EXPECT_EQ(v, 4711U);
  return std::nullopt;
}

TEST(ParseTest, IntegersAreReadToTheirEnds) {
  EXPECT_EQ(Signed("0"), 0);
  EXPECT_EQ(Signed("-1"), -1);
  EXPECT_EQ(Signed("9223372036854775807"), kMax);
  EXPECT_EQ(Signed("-9223372036854775808"), kMin);
  EXPECT_EQ(Unsigned("18446744073709551615"), std::numeric_limits<uint64_t>::max());
}

TEST(ParseTest, WhatDoesNotFitIsRefused) {
  EXPECT_EQ(Signed("9223372036854775808"), std::nullopt);
  EXPECT_EQ(Signed("-9223372036854775809"), std::nullopt);
  EXPECT_EQ(Signed("18446744073709551616"), std::nullopt);
  EXPECT_EQ(Signed("99999999999999999999"), std::nullopt);
  EXPECT_EQ(Unsigned("18446744073709551616"), std::nullopt);
  EXPECT_EQ(Unsigned("18446744073709551620"), std::nullopt);
  EXPECT_EQ(Unsigned("28446744073709551615"), std::nullopt);
  EXPECT_EQ(Unsigned("100000000000000000000"), std::nullopt);
}

TEST(ParseTest, OnlyTheOneFormInWhichANumberPrintsIsRead) {
  for (const BytesView text : {"", "-", "+1", "01", "00", "-0", "-01", " 1", "1 ", "1.0", "1e3",
                               "0x1", "--1", "1-", "a", "\xb2"}) {
    EXPECT_EQ(Signed(text), std::nullopt) << text;
  }
  EXPECT_EQ(Signed(BytesView("1\0", 2)), std::nullopt);
  EXPECT_EQ(Unsigned("-1"), std::nullopt);
}

TEST(ParseTest, EveryPrintedNumberIsReadBack) {
  Rng rng(5);
  for (int i = 0; i < 10'000; ++i) {
    const auto v = static_cast<int64_t>(rng.Next() >> rng.Below(64));
    EXPECT_EQ(Signed(std::to_string(v)), v);
    EXPECT_EQ(Unsigned(std::to_string(static_cast<uint64_t>(v))), static_cast<uint64_t>(v));
  }
}

TEST(EditDistanceTest, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(EditDistance("TTL", "TTL"), 0U);
  EXPECT_EQ(EditDistance("TLT", "TTL"), 2U);
  EXPECT_EQ(EditDistance("BLOK", "BLOCK"), 1U);
  EXPECT_EQ(EditDistance("", "abc"), 3U);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3U);
}

TEST(EditDistanceTest, BeyondTheBoundItIsTheBoundPlusOne) {
  EXPECT_EQ(EditDistance("abcdef", "uvwxyz", 3), 4U);
  EXPECT_EQ(EditDistance("a", Bytes(1'000'000, 'a'), 2), 3U);
}

}  // namespace
}  // namespace lockstep
