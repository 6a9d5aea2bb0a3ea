// Lines by class: what each takes, and who of it goes next.
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>

#include "cluster/mesi/line_table.h"
#include "src/base/rng.h"

namespace lockstep::mesi {
namespace {

constexpr auto kAnyMayGo = [](const Line&) { return true; };

// By the first letter: "a" is 1, "b" is 2, all others 0.
uint8_t ClassOfLetter(BytesView key) {
  return key[0] == 'a' ? uint8_t{1} : key[0] == 'b' ? uint8_t{2} : uint8_t{0};
}

TEST(LineClasses, ClassesAreCountedByWhatTheirLinesTake) {
  Rng rng(12);
  LineClasses classes{.of = ClassOfLetter};
  std::map<Bytes, size_t> values;
  {
    LineTable one, other;
    one.set_classes(&classes);
    other.set_classes(&classes);
    for (int step = 0; step < 20'000; ++step) {
      const char letter = "abc"[rng.Below(3)];
      const Bytes key = letter + std::to_string(rng.Below(50));
      LineTable& table = key.back() % 2 == 0 ? one : other;
      Line* line = table.Find(key);
      if (line != nullptr && rng.Below(4) == 0) {
        table.Remove(line);
        values.erase(key);
        continue;
      }
      if (line == nullptr) line = table.Add(key);
      ASSERT_EQ(line->line_class(), ClassOfLetter(key));
      values[key] = rng.Below(300);
      table.SetValue(line, Bytes(values[key], 'x'));
    }
    const size_t all = classes.bytes[1] + classes.bytes[2];
    size_t lines = 0, bytes = 0;
    for (const auto& [key, size] : values) {
      if (ClassOfLetter(key) == 0) continue;
      ++lines;
      bytes += 43 + (8 + key.size() + size + 8 + 15) / 16 * 16;
    }
    EXPECT_EQ(classes.lines[1] + classes.lines[2], lines);
    EXPECT_EQ(all, bytes);
    one.ForEach([&](Line* line) { one.SetClass(line, line->line_class() == 1 ? 2 : 0); });
    other.ForEach([&](Line* line) { other.SetClass(line, line->line_class() == 1 ? 2 : 0); });
    EXPECT_EQ(classes.bytes[1], 0u);
    EXPECT_GT(classes.bytes[2], 0u);
    EXPECT_LT(classes.bytes[2], all);
  }
  EXPECT_EQ(classes.bytes[2], 0u);
  EXPECT_EQ(classes.lines[2], 0u);
  EXPECT_EQ(classes.bytes[0], 0u);
}

TEST(LineClasses, AVictimIsOfTheClassThatIsNamedOrOfTheLargest) {
  LineClasses classes{.of = ClassOfLetter};
  LineTable table;
  table.set_classes(&classes);
  for (const char* key : {"x1", "a1", "b1", "x2", "a2", "b2"}) table.Add(key);
  table.SetValue(table.Find("b2"), Bytes(1000, 'x'));
  EXPECT_EQ(table.Victim(10, kAnyMayGo)->key(), "b1");
  EXPECT_EQ(table.Victim(10, kAnyMayGo, 0)->key(), "x1");
  EXPECT_EQ(table.Victim(10, kAnyMayGo, 1)->key(), "a1");
  EXPECT_EQ(table.Victim(10, kAnyMayGo, 3), nullptr);
  table.SetClass(table.Find("b2"), 1);
  EXPECT_EQ(table.Victim(10, kAnyMayGo)->key(), "a1");
  table.Remove(table.Find("a1"));
  EXPECT_EQ(table.Victim(10, kAnyMayGo, 1)->key(), "a2");
  table.Touch(table.Find("a2"));
  EXPECT_EQ(table.Victim(10, kAnyMayGo, 1)->key(), "b2");
}

TEST(LineClasses, WhereItIsAskedForTheLeastRecentlyUsedLineIsTheVictim) {
  Rng rng(13);
  LineClasses classes{.of = ClassOfLetter, .lru = 1 << 1};
  LineTable table;
  table.set_classes(&classes);
  std::list<Bytes> model;  // The least recently used first.
  size_t victims = 0;
  for (int step = 0; step < 20'000; ++step) {
    const Bytes key = "a" + std::to_string(rng.Below(40));
    Line* const line = table.Find(key);
    if (rng.Below(8) == 0 && !model.empty()) {
      Line* const victim = table.Victim(1, kAnyMayGo, 1);
      ASSERT_NE(victim, nullptr);
      ASSERT_EQ(victim->key(), model.front()) << "at step " << step;
      ++victims;
      table.Remove(victim);
      model.pop_front();
    } else if (line == nullptr) {
      table.Add(key);
      model.push_back(key);
    } else {
      table.Touch(line);
      model.splice(model.end(), model, std::find(model.begin(), model.end(), key));
    }
  }
  EXPECT_GT(victims, 1'000u);
}

}  // namespace
}  // namespace lockstep::mesi
