// Reading a command's arguments, and what is said of those that are wrong.
#include "commands/args.h"

#include <gtest/gtest.h>

#include "src/base/limits.h"

namespace lockstep {
namespace {

// Owns the words that an Args borrows.
struct Words {
  explicit Words(std::vector<Bytes> w) : words(std::move(w)), views(words.begin(), words.end()) {}
  std::vector<Bytes> words;
  std::vector<BytesView> views;
};

TEST(ArgsTest, ArgumentsAreReadFromLeftToRight) {
  const Words words({"CMD", "first", "TTL", "500"});
  Args args(words.views);
  EXPECT_EQ(args.left(), 3U);
  EXPECT_EQ(args.Next(), "first");
  EXPECT_TRUE(args.Token("TTL"));
  EXPECT_EQ(args.rest().size(), 1U);
  EXPECT_EQ(args.Integer("TTL", 1, 1'000), 500);
  EXPECT_FALSE(args.More());
  EXPECT_FALSE(args.failed());
  EXPECT_EQ(args.all().size(), 4U);
}

TEST(ArgsTest, ASubcommandsArgumentsBeginAfterItsName) {
  const Words words({"CLIENT", "KILL", "x"});
  Args args(words.views, 2);
  EXPECT_EQ(args.Next(), "x");
}

TEST(ArgsTest, TokensAreTakenInAnyCaseAndOnlyWhole) {
  const Words words({"CMD", "tTl", "TTLS"});
  Args args(words.views);
  EXPECT_FALSE(args.Token("BLOCK"));
  EXPECT_TRUE(args.Token("TTL"));
  EXPECT_FALSE(args.Token("TTL"));
  EXPECT_EQ(args.left(), 1U);
}

TEST(ArgsTest, TheFirstErrorStaysAndWhatFollowsIsEmpty) {
  const Words words({"CMD", "x", "name"});
  Args args(words.views);
  EXPECT_EQ(args.Integer("COUNT", 1, 10), 0);
  EXPECT_TRUE(args.failed());
  EXPECT_FALSE(args.More());
  EXPECT_EQ(args.Next(), "");
  EXPECT_EQ(args.Name("name"), "");
  args.SyntaxError();
  EXPECT_EQ(args.error().text, "ERR value is not an integer or out of range");
}

TEST(ArgsTest, WhatIsMissingAtTheEndIsASyntaxError) {
  const Words words({"CMD", "TTL"});
  Args args(words.views);
  EXPECT_TRUE(args.Token("TTL"));
  args.Integer("TTL", 1, 10);
  EXPECT_EQ(args.error().text, "ERR syntax error");
}

TEST(ArgsTest, NumbersAreReadAsRedisReadsThem) {
  for (const char* bad : {"", "+5", " 5", "5 ", "05", "5.0", "0x5", "9223372036854775808", "-"}) {
    const Words words({"CMD", bad});
    Args args(words.views);
    args.Integer("TTL", INT64_MIN, INT64_MAX);
    EXPECT_EQ(args.error().text, "ERR value is not an integer or out of range") << bad;
  }
  for (const int64_t good : {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX}) {
    const Words words({"CMD", std::to_string(good)});
    Args args(words.views);
    EXPECT_EQ(args.Integer("TTL", INT64_MIN, INT64_MAX), good);
    EXPECT_FALSE(args.failed());
  }
}

TEST(ArgsTest, ANumberOutOfBoundsIsToldTheBounds) {
  for (const char* bad : {"0", "86400001", "-5"}) {
    const Words words({"CMD", bad});
    Args args(words.views);
    args.Integer("TTL", 1, kTtlMsMax);
    EXPECT_EQ(args.error().text, "ERR TTL must be between 1 and 86400000");
  }
}

TEST(ArgsTest, TimeoutsHaveTheTextsOfRedis) {
  const auto error = [](const Bytes& text) {
    const Words words({"CMD", text});
    Args args(words.views);
    args.BlockMs();
    return args.failed() ? args.error().text : Bytes();
  };
  EXPECT_EQ(error("x"), "ERR timeout is not an integer or out of range");
  EXPECT_EQ(error("1.5"), "ERR timeout is not an integer or out of range");
  EXPECT_EQ(error("-1"), "ERR timeout is negative");
  EXPECT_EQ(error(std::to_string(kBlockMsMax + 1)), "ERR timeout is out of range");
  EXPECT_EQ(error(std::to_string(kBlockMsMax)), "");
  EXPECT_EQ(error("0"), "");
}

TEST(ArgsTest, NamesHaveABoundedLength) {
  const Words words({"CMD", "", Bytes(kNameBytesMax, 'n'), Bytes(kNameBytesMax + 1, 'n')});
  Args empty(words.views);
  empty.Name("lock name");
  EXPECT_EQ(empty.error().text, "ERR lock name is empty");
  Args longest(words.views, 2);
  EXPECT_EQ(longest.Name("lock name").size(), kNameBytesMax);
  longest.Name("lock name");
  EXPECT_EQ(longest.error().text, "ERR lock name has 1025 bytes, at most 1024 are allowed");
}

Bytes SyntaxErrorFor(const Bytes& word) {
  const Words words({"CMD", word});
  Args args(words.views);
  for (const char* token : {"SHARED", "TTL", "BLOCK", "TTL"}) args.Token(token);
  args.SyntaxError();
  return args.error().text;
}

TEST(ArgsTest, AMistypedOptionIsToldWhatItProbablyIs) {
  EXPECT_EQ(SyntaxErrorFor("TLT"), "ERR syntax error near 'TLT' (did you mean TTL?)");
  EXPECT_EQ(SyntaxErrorFor("shard"), "ERR syntax error near 'shard' (did you mean SHARED?)");
  EXPECT_EQ(SyntaxErrorFor("BLOKC"), "ERR syntax error near 'BLOKC' (did you mean BLOCK?)");
}

TEST(ArgsTest, AnOptionThatIsGivenTwiceIsASyntaxError) {
  const Words words({"CMD", "TTL", "5", "ttl", "6"});
  Args args(words.views);
  ASSERT_TRUE(args.Token("TTL"));
  EXPECT_EQ(args.Integer("TTL", 1, 10), 5);
  EXPECT_FALSE(args.Token("BLOCK"));
  EXPECT_FALSE(args.Token("TTL"));
  EXPECT_EQ(args.error().text, "ERR syntax error near 'ttl'");
}

TEST(ArgsTest, WhatResemblesNothingIsToldNothing) {
  EXPECT_EQ(SyntaxErrorFor("PERSISTENT"), "ERR syntax error near 'PERSISTENT'");
  EXPECT_EQ(SyntaxErrorFor("7"), "ERR syntax error near '7'");
  EXPECT_EQ(SyntaxErrorFor(""), "ERR syntax error near ''");
}

TEST(ArgsTest, AnErrorShowsOnlyTheBeginningOfALongArgumentAndNoRawBytes) {
  const Bytes text = SyntaxErrorFor(Bytes(5'000, 'x'));
  EXPECT_LT(text.size(), 200U);
  EXPECT_EQ(SyntaxErrorFor("a\r\nb").find('\r'), Bytes::npos);
}

}  // namespace
}  // namespace lockstep
