// Options by prefix: which space a key is in, what changes it, and what is kept of it.
#include "commands/cache_spaces.h"

#include <gtest/gtest.h>

#include "src/base/rng.h"

namespace lockstep {
namespace {

using Option = SpaceChange::Option;

Reply Set(Spaces* spaces, const Bytes& prefix, Option option, int64_t value) {
  const Reply reply = spaces->Change({prefix, {{option, value}}});
  spaces->CheckInvariants();
  return reply;
}

Bytes PrefixOf(const Spaces& spaces, BytesView key) {
  const Space* space = spaces.Find(key);
  return space == nullptr ? "none" : "'" + space->prefix + "'";
}

TEST(Spaces, TheLongestPrefixCountsAndNoOther) {
  Spaces spaces;
  EXPECT_EQ(spaces.Find("user:1"), nullptr);
  for (const char* prefix : {"user:", "user:9", "user:99", "u", "user;", "userx"}) {
    EXPECT_EQ(Set(&spaces, prefix, Option::kTtl, 5), Reply::Ok());
  }
  EXPECT_EQ(PrefixOf(spaces, "user:1"), "'user:'");
  EXPECT_EQ(PrefixOf(spaces, "user:98"), "'user:9'");
  EXPECT_EQ(PrefixOf(spaces, "user:99"), "'user:99'");
  EXPECT_EQ(PrefixOf(spaces, "user:999"), "'user:99'");
  EXPECT_EQ(PrefixOf(spaces, "user:zz"), "'user:'");
  EXPECT_EQ(PrefixOf(spaces, "user"), "'u'");
  EXPECT_EQ(PrefixOf(spaces, "v"), "none");
  EXPECT_EQ(PrefixOf(spaces, ""), "none");
  EXPECT_EQ(Set(&spaces, "", Option::kTtl, 7), Reply::Ok());
  EXPECT_EQ(PrefixOf(spaces, "v"), "''");
  EXPECT_EQ(PrefixOf(spaces, ""), "''");
  EXPECT_EQ(spaces.Drop("user:"), Reply::Integer(1));
  EXPECT_EQ(PrefixOf(spaces, "user:1"), "'u'");
}

TEST(Spaces, WhatIsFoundIsWhatALookAtAllOfThemFinds) {
  Rng rng(1);
  const auto word = [&rng] {
    Bytes text;
    for (uint64_t n = rng.Below(6); n > 0; --n) text += static_cast<char>("\0ab\xff"[rng.Below(4)]);
    return text;
  };
  Spaces spaces;
  for (int round = 0; round < 20'000; ++round) {
    const Bytes prefix = word();
    if (rng.Below(3) == 0) {
      spaces.Drop(prefix);
    } else {
      Set(&spaces, prefix, Option::kTtl, 1);
    }
    const Bytes key = word();
    const Space* longest = nullptr;
    for (const Space& space : spaces.all()) {
      if (!key.starts_with(space.prefix)) continue;
      if (longest == nullptr || space.prefix.size() > longest->prefix.size()) longest = &space;
    }
    ASSERT_EQ(spaces.Find(key), longest);
  }
}

TEST(Spaces, AtFirstKeysThatAreLocksByTheirNamesAreOfClassQuorum) {
  Spaces spaces = Spaces::AtFirst();
  spaces.CheckInvariants();
  ASSERT_NE(spaces.Find("lock:jobs"), nullptr);
  EXPECT_EQ(spaces.Find("lock:jobs")->durability, Space::Durability::kQuorum);
  for (const char* other : {"lock", "locks:jobs", "", "jobs", "Lock:jobs"}) {
    EXPECT_EQ(PrefixOf(spaces, other), "none") << other;
  }
  EXPECT_EQ(spaces.Drop("lock:"), Reply::Integer(1));
  EXPECT_EQ(PrefixOf(spaces, "lock:jobs"), "none");
}

TEST(Spaces, AnOptionThatIsNotNamedStaysAsItIs) {
  Spaces spaces;
  Set(&spaces, "p", Option::kTtl, 500);
  Set(&spaces, "p", Option::kReads, 1);
  Set(&spaces, "pp", Option::kClass, 2);
  const Space* space = spaces.At("p");
  ASSERT_NE(space, nullptr);
  EXPECT_EQ(space->ttl_ms, 500);
  EXPECT_EQ(space->reads, Space::Reads::kExclusive);
  EXPECT_EQ(spaces.At("pp")->ttl_ms, 0);  // Not as in the shorter one.
  EXPECT_EQ(spaces.At("pp")->durability, Space::Durability::kQuorum);
}

TEST(Spaces, TheVersionGrowsWithEachChangeAndNothingElse) {
  Spaces spaces;
  Set(&spaces, "p", Option::kTtl, 500);
  EXPECT_EQ(spaces.version(), 1u);
  Set(&spaces, "p", Option::kTtl, 500);
  EXPECT_EQ(spaces.version(), 1u);
  Set(&spaces, "p", Option::kTtl, 501);
  EXPECT_EQ(spaces.version(), 2u);
  EXPECT_EQ(spaces.Drop("q"), Reply::Integer(0));
  EXPECT_EQ(spaces.version(), 2u);
}

TEST(Spaces, ThereAreLimitedlyManyAndFewerWithMemory) {
  Spaces spaces;
  for (size_t i = 0; i < kSpacesWithMemoryMax; ++i) {
    EXPECT_EQ(Set(&spaces, "m" + std::to_string(i), Option::kMemory, 1000), Reply::Ok());
  }
  const Reply no = Set(&spaces, "more", Option::kMemory, 1);
  EXPECT_TRUE(no.text.starts_with("LIMIT")) << no.text;
  EXPECT_EQ(spaces.At("more"), nullptr);
  const uint8_t number = spaces.At("m7")->number;
  EXPECT_EQ(Set(&spaces, "m7", Option::kMemory, 0), Reply::Ok());
  EXPECT_EQ(Set(&spaces, "more", Option::kMemory, 1), Reply::Ok());
  EXPECT_EQ(spaces.At("more")->number, number);

  for (size_t i = spaces.all().size(); i < kSpacesMax; ++i) {
    EXPECT_EQ(spaces.Change({"t" + std::to_string(i), {{Option::kTtl, 1}}}), Reply::Ok());
  }
  EXPECT_TRUE(Set(&spaces, "u", Option::kTtl, 1).text.starts_with("LIMIT"));
  EXPECT_EQ(Set(&spaces, "more", Option::kTtl, 1), Reply::Ok());
}

TEST(Spaces, WhatWasSavedIsLoadedAndWhatWasDamagedIsNot) {
  Spaces spaces;
  Set(&spaces, Bytes("p\0q", 3), Option::kMemory, 1 << 20);
  Set(&spaces, "a", Option::kTtl, 9);
  Bytes saved;
  Writer out(&saved);
  spaces.Save(&out);
  Spaces copy;
  Reader in(saved);
  copy.Load(&in);
  EXPECT_TRUE(in.done());
  EXPECT_EQ(copy.all(), spaces.all());
  EXPECT_EQ(copy.version(), spaces.version());
  EXPECT_EQ(PrefixOf(copy, "abc"), "'a'");
  for (size_t cut = 0; cut < saved.size(); ++cut) {
    Reader damaged(BytesView(saved).substr(0, cut));
    copy.Load(&damaged);
    EXPECT_FALSE(damaged.ok()) << cut;
    EXPECT_EQ(copy.Find("abc"), nullptr);
  }
}

}  // namespace
}  // namespace lockstep
