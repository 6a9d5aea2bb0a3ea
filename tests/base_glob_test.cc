// Redis's glob patterns, and that no pattern can make them slow.
#include <gtest/gtest.h>

#include "src/base/bytes.h"

namespace lockstep {
namespace {

TEST(GlobTest, PlainTextMatchesItselfOnly) {
  EXPECT_TRUE(GlobMatch("lock", "lock"));
  EXPECT_FALSE(GlobMatch("lock", "locks"));
  EXPECT_FALSE(GlobMatch("locks", "lock"));
  EXPECT_FALSE(GlobMatch("lock", "Lock"));
  EXPECT_TRUE(GlobMatch("", ""));
  EXPECT_FALSE(GlobMatch("", "x"));
  EXPECT_FALSE(GlobMatch("x", ""));
}

TEST(GlobTest, AStarIsAnyRun) {
  EXPECT_TRUE(GlobMatch("*", ""));
  EXPECT_TRUE(GlobMatch("*", "anything"));
  EXPECT_TRUE(GlobMatch("jobs:*", "jobs:"));
  EXPECT_TRUE(GlobMatch("*:7", "jobs:17:7"));
  EXPECT_TRUE(GlobMatch("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(GlobMatch("a*b*c", "aXbYbZ"));
  EXPECT_TRUE(GlobMatch("**a**", "bab"));
  EXPECT_TRUE(GlobMatch("*ab", "aab"));
}

TEST(GlobTest, AQuestionMarkIsOneByte) {
  EXPECT_TRUE(GlobMatch("h?llo", "hello"));
  EXPECT_FALSE(GlobMatch("h?llo", "hllo"));
  EXPECT_TRUE(GlobMatch("?", BytesView("\0", 1)));
  EXPECT_FALSE(GlobMatch("?", "\xC3\xA4"));  // Bytes, not characters.
}

TEST(GlobTest, AClassIsOneOfItsBytesOrRanges) {
  EXPECT_TRUE(GlobMatch("h[ae]llo", "hallo"));
  EXPECT_FALSE(GlobMatch("h[ae]llo", "hillo"));
  EXPECT_TRUE(GlobMatch("[a-c]", "b"));
  EXPECT_TRUE(GlobMatch("[c-a]", "b"));  // Turned round, as in Redis.
  EXPECT_FALSE(GlobMatch("[a-c]", "d"));
  EXPECT_TRUE(GlobMatch("[^a-c]", "d"));
  EXPECT_FALSE(GlobMatch("[^a-c]", "a"));
  EXPECT_TRUE(GlobMatch("[\\]]", "]"));
  // A range wants a byte after its '-', be it the bracket: this is ]-a, never closed. As in Redis.
  EXPECT_TRUE(GlobMatch("[a-]", "^"));
  EXPECT_FALSE(GlobMatch("[a-]", "-"));
  EXPECT_TRUE(GlobMatch("x[0-9]*", "x7y"));
}

TEST(GlobTest, ABackslashTakesTheNextByteAsItIs) {
  EXPECT_TRUE(GlobMatch("\\*", "*"));
  EXPECT_FALSE(GlobMatch("\\*", "x"));
  EXPECT_TRUE(GlobMatch("a\\?", "a?"));
  EXPECT_TRUE(GlobMatch("\\[a]", "[a]"));
  EXPECT_TRUE(GlobMatch("\\", "\\"));  // Alone at the end it is itself.
}

TEST(GlobTest, AnUnclosedClassEndsWithThePattern) {
  EXPECT_TRUE(GlobMatch("[ab", "a"));
  EXPECT_FALSE(GlobMatch("[ab", "c"));
  EXPECT_FALSE(GlobMatch("[", "["));
  EXPECT_TRUE(GlobMatch("[^", "x"));
  EXPECT_FALSE(GlobMatch("[]", "]"));  // An empty class matches nothing.
}

TEST(GlobTest, CaseIsIgnoredWhenAsked) {
  EXPECT_TRUE(GlobMatch("LOCK*", "lock-7", true));
  EXPECT_TRUE(GlobMatch("[A-C]x", "bX", true));
  EXPECT_FALSE(GlobMatch("LOCK*", "lock-7", false));
}

// CVE-2022-36021, CVE-2024-31228: matchers that try every star again take longer than the universe
// has lasted for these. This one takes at most |pattern| * |text| steps, here about a million each.
TEST(GlobTest, NoPatternTakesMoreThanPatternTimesTextSteps) {
  Bytes stars;
  for (int i = 0; i < 512; ++i) stars += "a*";
  const Bytes text(1024, 'a');
  EXPECT_FALSE(GlobMatch(stars + "b", text));
  EXPECT_TRUE(GlobMatch(stars, text));
  EXPECT_FALSE(GlobMatch("*" + Bytes(512, 'a') + "b", text));
  EXPECT_FALSE(GlobMatch(Bytes(1024, '*') + "b", text));
  Bytes classes;
  for (int i = 0; i < 200; ++i) classes += "*[^b]";
  EXPECT_FALSE(GlobMatch(classes + "b", text));
}

}  // namespace
}  // namespace lockstep
