// The lines of the coherent cache, beside a map; SIEVE, beside its rule written out; and what a
// line costs, by the allocator's own count.
#include "cluster/mesi/line_table.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

#include "src/base/rng.h"

namespace lockstep::mesi {
namespace {

Bytes KeyOf(uint64_t number) { return Format("key:%012lu", static_cast<unsigned long>(number)); }

Bytes RandomBytes(Rng* rng, size_t size) {
  Bytes bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(rng->Below(256));
  return bytes;
}

const auto kAnyMayGo = [](const Line&) { return true; };

// What the process has allocated.
size_t HeapBytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// A sanitizer's allocator does not tell.
bool HeapIsCounted() {
  const size_t before = HeapBytes();
  const auto probe = std::make_unique<Bytes>(100'000, 'x');
  return HeapBytes() > before + probe->size() / 2;
}

void ExpectWithin5Percent(size_t value, size_t expected) {
  EXPECT_GE(value * 100, expected * 95);
  EXPECT_LE(value * 100, expected * 105);
}

// Beside a map ------------------------------------------------------------------------------------

struct Expected {
  const Line* line = nullptr;  // Where it is, for as long as it lives.
  std::optional<Bytes> value;
  Version version;
  uint8_t state = 0;
  uint64_t grant = 0;
  uint8_t owner = 0;
  MonoTime deadline = kNeverMono;
  bool dirty = false;
  bool pinned = false;
};

// Does at random what can be done, to a table and to a map.
class BesideAMap {
 public:
  explicit BesideAMap(uint64_t seed) : rng_(seed) {}

  void Step(uint64_t keys) {
    const Bytes key = RandomKey(keys);
    Line* const line = table_.Find(key);
    const auto known = lines_.find(key);
    ASSERT_EQ(line != nullptr, known != lines_.end());
    if (line == nullptr) {
      lines_[key].line = table_.Add(key);
      Check(key, lines_[key]);
      return;
    }
    Expected& expected = known->second;
    ASSERT_EQ(line, expected.line);
    if (rng_.Below(5) == 0) {
      table_.Remove(line);
      lines_.erase(known);
    } else {
      Change(line, &expected);
      Check(key, expected);
    }
  }

  void RemoveTheVictim() {
    Line* const victim =
        table_.Victim(2 * table_.size(), [](const Line& line) { return !line.dirty(); });
    const auto may_go = [](const auto& row) { return !row.second.dirty && !row.second.pinned; };
    ASSERT_EQ(victim != nullptr, std::any_of(lines_.begin(), lines_.end(), may_go));
    if (victim == nullptr) return;
    ASSERT_TRUE(may_go(*lines_.find(Bytes(victim->key()))));
    lines_.erase(Bytes(victim->key()));
    table_.Remove(victim);
  }

  void RemoveOneInThreeOnAWalk() {
    table_.ForEach([this](Line* line) {
      if (rng_.Below(3) != 0) return;
      lines_.erase(Bytes(line->key()));
      table_.Remove(line);
    });
  }

  void Clear() {
    table_.Clear();
    lines_.clear();
    EXPECT_EQ(table_.bytes(), 0U);
  }

  void CheckAll() {
    size_t present = 0;
    for (const auto& [key, expected] : lines_) {
      Check(key, expected);
      present += expected.value.has_value();
    }
    EXPECT_EQ(table_.size(), lines_.size());
    EXPECT_EQ(table_.present(), present);
    std::set<Bytes> walked;
    table_.ForEach([&](Line* line) { EXPECT_TRUE(walked.emplace(line->key()).second); });
    EXPECT_EQ(walked.size(), lines_.size());
    std::set<Bytes> scanned;
    uint64_t cursor = 0;
    do {
      cursor = table_.Scan(cursor, 1 + rng_.Below(100), [&](Line* line) {
        EXPECT_TRUE(scanned.emplace(line->key()).second);
      });
    } while (cursor != 0);
    EXPECT_EQ(scanned, walked);
  }

 private:
  // Of 0 to 1024 bytes; the size is the number's own.
  Bytes RandomKey(uint64_t keys) {
    const uint64_t number = rng_.Below(keys);
    if (number < 3) return Bytes(number, '\0');
    Bytes key = std::to_string(number);
    key.resize(number % 100 == 0 ? 1024 : key.size() + number % 40, '.');
    return key;
  }

  // Most are small, so that many stay within what is allocated.
  Bytes RandomValue() {
    const uint64_t kind = rng_.Below(100);
    return RandomBytes(&rng_, rng_.Below(kind == 0 ? 200'000 : kind < 10 ? 5000 : 60));
  }

  void Change(Line* line, Expected* expected) {
    switch (rng_.Below(10)) {
      case 0:
      case 1:
      case 2:
        expected->value = RandomValue();
        return table_.SetValue(line, *expected->value);
      case 3: {  // To a part of what it is.
        const BytesView old = line->value();
        const BytesView part = old.substr(rng_.Below(old.size() + 1)).substr(0, rng_.Below(100));
        expected->value = Bytes(part);
        return table_.SetValue(line, part);
      }
      case 4:
        expected->value.reset();
        expected->deadline = kNeverMono;
        return table_.ClearValue(line);
      case 5:
        expected->deadline =
            rng_.Below(3) == 0 ? kNeverMono : MonoTime{static_cast<int64_t>(rng_.Next() >> 1)};
        return table_.SetDeadline(line, expected->deadline);
      case 6:
        expected->version = {rng_.Next() >> 32, rng_.Next() >> 16, rng_.Next() >> 32};
        return line->set_version(expected->version);
      case 7:
        return ChangeGrant(line, expected);
      case 8:
        line->set_dirty(expected->dirty = rng_.Below(2) == 0);
        return line->set_pinned(expected->pinned = rng_.Below(2) == 0);
      default:
        return table_.Touch(line);
    }
  }

  void ChangeGrant(Line* line, Expected* expected) {
    line->set_state(expected->state = static_cast<uint8_t>(rng_.Next()));
    line->set_owner(expected->owner = static_cast<uint8_t>(rng_.Below(64)));
    if (rng_.Below(2) == 0) {
      line->set_sharers(expected->grant = rng_.Next());
    } else {
      line->set_gen(expected->grant = rng_.Next() >> 16);
      EXPECT_EQ(line->gen(), expected->grant);
    }
  }

  void Check(const Bytes& key, const Expected& expected) {
    const Line* const line = table_.Find(key);
    ASSERT_EQ(line, expected.line);
    EXPECT_EQ(line->key(), key);
    EXPECT_EQ(line->present(), expected.value.has_value());
    EXPECT_EQ(line->value(), expected.value.value_or(""));
    EXPECT_EQ(line->version(), expected.version);
    EXPECT_EQ(line->state(), expected.state & 15);
    EXPECT_EQ(line->sharers(), expected.grant);
    EXPECT_EQ(line->owner(), expected.owner);
    EXPECT_EQ(line->deadline(), expected.deadline);
    EXPECT_EQ(line->dirty(), expected.dirty);
    EXPECT_EQ(line->pinned(), expected.pinned);
  }

  Rng rng_;
  LineTable table_;
  std::map<Bytes, Expected> lines_;
};

TEST(LineTable, DoesWhatAMapDoes) {
  BesideAMap both(1);
  for (int step = 0; step < 100'000; ++step) {
    // In waves, so that it grows and shrinks.
    both.Step(step / 5'000 % 2 == 0 ? 5'000 : 500);
    if (step % 4 == 0 && step / 5'000 % 2 == 1) both.RemoveTheVictim();
    if (step % 7'919 == 0) both.RemoveOneInThreeOnAWalk();
    if (step % 1'000 == 0) both.CheckAll();
    if (step % 40'000 == 39'999) both.Clear();
    if (::testing::Test::HasFailure()) FAIL() << "at step " << step;
  }
}

TEST(LineTable, ANewLineIsEmptyThoughARemovedOneWasInItsPlace) {
  LineTable table;
  Line* const old = table.Add("old");
  table.SetValue(old, "value");
  table.SetDeadline(old, MonoTime{5});
  old->set_version({1, 2, 3});
  old->set_state(4);
  old->set_sharers(5);
  old->set_owner(6);
  old->set_dirty(true);
  old->set_pinned(true);
  table.Touch(old);
  table.Remove(old);

  Line* const line = table.Add("new");

  EXPECT_EQ(line, old) << "records are used again";
  EXPECT_FALSE(line->present() || line->dirty() || line->pinned());
  EXPECT_EQ(line->value(), "");
  EXPECT_EQ(line->version(), Version());
  EXPECT_EQ(line->state() + line->sharers() + line->owner(), 0U);
  EXPECT_EQ(line->deadline(), kNeverMono);
  EXPECT_EQ(table.Victim(1, kAnyMayGo), line) << "not touched";
}

TEST(LineTable, EachFieldHoldsItsExtremesAndDisturbsNoOther) {
  LineTable table;
  Line* const line = table.Add(Bytes(1024, 'k'));
  table.SetValue(line, "value");
  const Version highest{UINT32_MAX, kGenMax, kSeqMax};
  line->set_version(highest);
  line->set_sharers(UINT64_MAX);
  line->set_owner(63);
  line->set_state(15);
  table.SetDeadline(line, MonoTime{-1});
  for (const bool bit : {true, false}) {
    line->set_dirty(bit);
    line->set_pinned(!bit);
    EXPECT_EQ(line->dirty(), bit);
    EXPECT_EQ(line->pinned(), !bit);
  }
  EXPECT_EQ(line->version(), highest);
  EXPECT_EQ(line->sharers(), UINT64_MAX);
  EXPECT_EQ(line->owner(), 63);
  EXPECT_EQ(line->state(), 15);
  EXPECT_EQ(line->deadline(), MonoTime{-1});
  EXPECT_EQ(line->key(), Bytes(1024, 'k'));
  EXPECT_EQ(line->value(), "value");
}

TEST(LineTable, HoldsTheLargestValue) {
  LineTable table;
  Line* const line = table.Add("");
  const Bytes value(kLineValueBytesMax, 'v');
  table.SetValue(line, value);
  table.SetDeadline(line, MonoTime{7});
  EXPECT_EQ(table.Find("")->value(), value);
  EXPECT_EQ(line->deadline(), MonoTime{7});
  ExpectWithin5Percent(table.bytes(), value.size());
  table.ClearValue(line);
  EXPECT_LT(table.bytes(), 30'000U);
}

// What it costs -----------------------------------------------------------------------------------

class LineTableMemory : public ::testing::Test {
 protected:
  static constexpr size_t kKeyBytes = 16;
  static constexpr size_t kValueBytes = 64;

  void SetUp() override {
    if (!HeapIsCounted()) GTEST_SKIP() << "this allocator does not count";
    before_ = HeapBytes();
  }

  void Add(uint64_t number) { table_.SetValue(table_.Add(KeyOf(number)), value_); }
  // Over key and value, in hundredths of a byte a line.
  size_t Overhead() const {
    return (HeapBytes() - before_) * 100 / table_.size() - (kKeyBytes + kValueBytes) * 100;
  }
  void ExpectBytesAreExact() {
    ExpectWithin5Percent(table_.bytes(), HeapBytes() - before_);
  }

  const Bytes value_ = Bytes(kValueBytes, 'v');
  size_t before_ = 0;
  LineTable table_;
};

TEST_F(LineTableMemory, ALineCostsAtMost60BytesOverKeyAndValueAtAnySizeOfTheIndex) {
  size_t worst = 0;
  for (uint64_t i = 0; i < 1'000'000; ++i) {
    Add(i);
    // Over one doubling of the index, which is all loads that it can have.
    if (i >= 500'000 && i % 10'000 == 0) worst = std::max(worst, Overhead());
  }
  std::printf("bytes over key and value: %.2f at a million lines, %.2f at worst since half of it\n",
              static_cast<double>(Overhead()) / 100, static_cast<double>(worst) / 100);
  EXPECT_LE(worst, 6'000U);
  ExpectBytesAreExact();

  // Each line is replaced by another, at random: some buckets have more room than they need.
  Rng rng(3);
  for (uint64_t i = 1'000'000; i < 2'000'000; ++i) {
    if (Line* const line = table_.Find(KeyOf(rng.Below(i)))) table_.Remove(line);
    if (table_.size() < 1'000'000) Add(i);
  }
  std::printf("after as many have come and gone: %.2f\n", static_cast<double>(Overhead()) / 100);
  EXPECT_LE(Overhead(), 6'000U);
  ExpectBytesAreExact();

  table_.Clear();
  EXPECT_EQ(table_.bytes(), 0U);
  EXPECT_LT(HeapBytes(), before_ + 1000) << "Clear() frees all";
}

TEST_F(LineTableMemory, BytesAreWhatIsAllocatedWhateverTheValues) {
  Rng rng(4);
  for (uint64_t i = 0; i < 20'000; ++i) {
    Line* const line = table_.Add(KeyOf(i));
    table_.SetValue(line, Bytes(rng.Below(2'000), 'v'));
    if (i % 3 == 0) table_.SetDeadline(line, MonoTime{1});
  }
  ExpectBytesAreExact();
  for (uint64_t i = 0; i < 20'000; ++i) {
    Line* const line = table_.Find(KeyOf(i));
    if (i % 2 == 0) {
      table_.SetValue(line, Bytes(rng.Below(20'000), 'v'));
    } else {
      table_.ClearValue(line);
    }
  }
  ExpectBytesAreExact();
  for (uint64_t i = 0; i < 20'000; ++i) {
    if (i % 10 != 0) table_.Remove(table_.Find(KeyOf(i)));
  }
  ExpectBytesAreExact();
}

TEST_F(LineTableMemory, NeitherFindNorAValueOfTheSameClassAllocates) {
  for (uint64_t i = 0; i < 1'000; ++i) Add(i);
  const struct mallinfo2 before = ::mallinfo2();
  for (uint64_t i = 0; i < 1'000; ++i) {
    Line* const line = table_.Find(KeyOf(i));
    const char* const where = line->value().data();
    table_.SetValue(line, BytesView(value_).substr(0, 60));
    table_.SetValue(line, value_);
    ASSERT_EQ(line->value().data(), where);
  }
  EXPECT_EQ(::mallinfo2().uordblks, before.uordblks);
}

TEST(LineIndex, NoCallMovesManyEntriesAndItShrinksAsItGrows) {
  Rng rng(5);
  std::vector<uint64_t> hashes;
  LineIndex index;
  size_t moved = 0;
  size_t most = 0;
  size_t all = 0;
  const auto hashes_of = [&](const std::vector<uint32_t>& numbers) {
    moved = numbers.size();
    std::vector<uint64_t> told;
    for (const uint32_t number : numbers) told.push_back(hashes[number]);
    return told;
  };
  for (uint32_t number = 0; number < 300'000; ++number) {
    hashes.push_back(rng.Next());
    moved = 0;
    index.Add(hashes.back(), number, hashes_of);
    most = std::max(most, moved);
    all += moved;
  }
  EXPECT_LE(most, 128U) << "at once";
  EXPECT_LE(all, 3U * 300'000);

  for (uint32_t number = 0; number < 300'000; ++number) {
    const auto is_it = [&](uint32_t candidate) { return candidate == number; };
    ASSERT_EQ(index.Find(hashes[number], is_it), number);
    ASSERT_EQ(index.Remove(hashes[number], is_it), number);
    ASSERT_EQ(index.Find(hashes[number], is_it), LineIndex::kNone);
    if (index.size() > 20'000) {
      ASSERT_LE(index.bytes(), index.size() * 8) << "it shrinks too";
    }
  }
  EXPECT_EQ(index.size(), 0U);
}

// SCAN --------------------------------------------------------------------------------------------

// What is there all the time is visited, though others come and go in waves meanwhile.
TEST(LineTable, AScanMissesNothingThatStaysWhileTheIndexGrowsAndShrinks) {
  Rng rng(6);
  for (int round = 0; round < 10; ++round) {
    LineTable table;
    for (uint64_t i = 0; i < 2'000; ++i) table.Add(KeyOf(i));  // Those stay.
    uint64_t from = 2'000;  // The others are [from, to).
    uint64_t to = from;
    bool grows = round % 2 == 0;
    if (!grows) {
      while (to < 60'000) table.Add(KeyOf(to++));
    }
    std::set<Bytes> visited;
    uint64_t cursor = 0;
    size_t calls = 0;
    do {
      cursor = table.Scan(cursor, 1 + rng.Below(20), [&](Line* line) {
        visited.emplace(line->key());
      });
      ASSERT_LE(cursor, uint64_t{1} << 48);
      if (rng.Below(10) == 0) grows = !grows;
      for (uint64_t change = rng.Below(5'000); change > 0; --change) {
        if (grows && to - from < 60'000) {
          table.Add(KeyOf(to++));
        } else if (from < to) {
          table.Remove(table.Find(KeyOf(from++)));
        }
      }
      ASSERT_LT(++calls, 100'000U) << "it ends";
    } while (cursor != 0);
    for (uint64_t i = 0; i < 2'000; ++i) {
      ASSERT_TRUE(visited.contains(KeyOf(i))) << i << " in round " << round;
    }
  }
}

TEST(LineTable, AScanMayRemoveWhatItIsGiven) {
  LineTable table;
  for (uint64_t i = 0; i < 50'000; ++i) {
    table.SetValue(table.Add(KeyOf(i)), i % 100 == 0 ? "stays" : "");
  }
  size_t removed = 0;
  std::set<Bytes> visited;
  uint64_t cursor = 0;
  do {
    cursor = table.Scan(cursor, 10, [&](Line* line) {
      visited.emplace(line->key());
      if (!line->value().empty()) return;
      table.Remove(line);
      ++removed;
    });
  } while (cursor != 0);
  EXPECT_EQ(visited.size(), 50'000U);
  EXPECT_EQ(removed, 49'500U) << "each once";
  EXPECT_EQ(table.size(), 500U);
  EXPECT_EQ(table.present(), 500U);
}

TEST(LineTable, AScanGivesAboutAsManyAsAreAskedForAndTakesAnyCursor) {
  LineTable table;
  EXPECT_EQ(table.Scan(12345, 10, [](Line*) { FAIL(); }), 0U);
  for (uint64_t i = 0; i < 100'000; ++i) table.Add(KeyOf(i));
  for (const uint64_t cursor : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 47, UINT64_MAX}) {
    size_t visited = 0;
    const uint64_t next = table.Scan(cursor, 1'000, [&](Line*) { ++visited; });
    EXPECT_LE(next, uint64_t{1} << 48);
    EXPECT_LE(visited, 1'100U);
    EXPECT_TRUE(visited >= 1'000 || next == 0);
  }
}

// SIEVE -------------------------------------------------------------------------------------------

// The rule, word for word: Zhang et al., NSDI 2024, algorithm 1, with pins, and two hands.
class SieveModel {
 public:
  void Add(const Bytes& key) { lines_.push_back({key}); }
  void Touch(const Bytes& key) { Find(key)->visited = true; }
  void SetPinned(const Bytes& key, bool pinned) { Find(key)->pinned = pinned; }
  void Remove(const Bytes& key) {
    const auto line = Find(key);
    for (auto& hand : hands_) {
      if (hand == line) ++hand;
    }
    lines_.erase(line);
  }
  template <class MayGo>
  std::optional<Bytes> Victim(size_t looks, const MayGo& may_go, size_t which) {
    if (lines_.empty()) return {};
    auto& hand = hands_[which];
    while (looks-- > 0) {
      if (hand == lines_.end()) hand = lines_.begin();
      const bool can_go = !hand->pinned && may_go(hand->key);
      if (can_go && !hand->visited) return hand->key;
      if (can_go) hand->visited = false;
      ++hand;
    }
    return {};
  }

 private:
  struct OneLine {
    Bytes key;
    bool visited = false;
    bool pinned = false;
  };
  std::list<OneLine>::iterator Find(const Bytes& key) {
    return std::find_if(lines_.begin(), lines_.end(),
                        [&](const OneLine& line) { return line.key == key; });
  }

  std::list<OneLine> lines_;  // The oldest first.
  std::array<std::list<OneLine>::iterator, 2> hands_ = {lines_.end(), lines_.end()};
};

TEST(LineTable, VictimsAreThoseOfSieve) {
  Rng rng(8);
  LineTable table;
  SieveModel model;
  size_t victims = 0;
  for (int step = 0; step < 100'000; ++step) {
    const Bytes key = KeyOf(rng.Below(step / 10'000 % 2 == 0 ? 100 : 20));
    Line* const line = table.Find(key);
    const uint64_t what = rng.Below(10);
    if (what == 0) {
      const uint64_t refused = rng.Below(10);
      const auto may_go = [&](BytesView name) {
        return static_cast<uint64_t>(name.back() - '0') != refused;
      };
      const size_t looks = rng.Below(30);
      const size_t hand = rng.Below(2);
      const std::optional<Bytes> expected = model.Victim(looks, may_go, hand);
      Line* const victim = table.Victim(
          looks, [&](const Line& candidate) { return may_go(candidate.key()); }, {}, hand);
      ASSERT_EQ(victim != nullptr, expected.has_value()) << "at step " << step;
      if (victim == nullptr) continue;
      ASSERT_EQ(victim->key(), *expected) << "at step " << step;
      ++victims;
      if (rng.Below(4) == 0) continue;  // It may stay: then it is found again.
      table.Remove(victim);
      model.Remove(*expected);
    } else if (line == nullptr) {
      table.Add(key);
      model.Add(key);
    } else if (what == 1) {
      table.Remove(line);
      model.Remove(key);
    } else if (what == 2) {
      const bool pinned = rng.Below(3) == 0;
      line->set_pinned(pinned);
      model.SetPinned(key, pinned);
    } else {
      table.Touch(line);
      model.Touch(key);
    }
  }
  EXPECT_GT(victims, 5'000U);
}

TEST(LineTable, VictimEndsThoughNoneMayGo) {
  LineTable table;
  EXPECT_EQ(table.Victim(SIZE_MAX, kAnyMayGo), nullptr) << "it is empty";
  Line* const line = table.Add("a");
  table.Touch(line);
  EXPECT_EQ(table.Victim(0, kAnyMayGo), nullptr);
  EXPECT_EQ(table.Victim(1, [](const Line&) { return false; }), nullptr);
  EXPECT_EQ(table.Victim(1, kAnyMayGo), nullptr) << "its second chance was left to it";
  line->set_pinned(true);
  EXPECT_EQ(table.Victim(10, kAnyMayGo), nullptr);
  line->set_pinned(false);
  EXPECT_EQ(table.Victim(1, kAnyMayGo), line);
}

// Keys by Zipf's law, and now and then a run of keys that are asked for once.
std::vector<uint64_t> ZipfTraceWithScans(size_t requests) {
  constexpr size_t kKeys = 20'000;
  std::vector<double> below;  // How likely is one of the keys up to this one.
  double sum = 0;
  for (size_t i = 1; i <= kKeys; ++i) below.push_back(sum += 1 / std::pow(i, 0.9));
  Rng rng(9);
  std::vector<uint64_t> trace;
  uint64_t scanned = kKeys;
  while (trace.size() < requests) {
    if (rng.Below(5'000) == 0) {
      for (int i = 0; i < 1'000; ++i) trace.push_back(scanned++);
    }
    const double drawn = sum * static_cast<double>(rng.Below(1'000'000'000)) / 1e9;
    const auto key = std::lower_bound(below.begin(), below.end(), drawn);
    trace.push_back(static_cast<uint64_t>(key - below.begin()));
  }
  return trace;
}

size_t HitsOfLru(const std::vector<uint64_t>& trace, size_t lines) {
  std::list<uint64_t> order;  // The latest first.
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> where;
  size_t hits = 0;
  for (const uint64_t key : trace) {
    if (const auto known = where.find(key); known != where.end()) {
      ++hits;
      order.splice(order.begin(), order, known->second);
      continue;
    }
    if (where.size() == lines) {
      where.erase(order.back());
      order.pop_back();
    }
    order.push_front(key);
    where[key] = order.begin();
  }
  return hits;
}

size_t HitsOfTheTable(const std::vector<uint64_t>& trace, size_t lines) {
  LineTable table;
  size_t hits = 0;
  for (const uint64_t number : trace) {
    const Bytes key = KeyOf(number);
    if (Line* const line = table.Find(key)) {
      ++hits;
      table.Touch(line);
      continue;
    }
    if (table.size() == lines) table.Remove(table.Victim(2 * lines, kAnyMayGo));
    table.Add(key);
  }
  return hits;
}

TEST(LineTable, HitsMoreOftenThanLruWouldUnderZipfWithScans) {
  const std::vector<uint64_t> trace = ZipfTraceWithScans(500'000);
  const size_t lru = HitsOfLru(trace, 1'000);
  const size_t sieve = HitsOfTheTable(trace, 1'000);
  std::printf("hits of %zu: SIEVE %zu, LRU %zu\n", trace.size(), sieve, lru);
  EXPECT_GT(sieve * 100, lru * 110) << "by a tenth at least";
}

}  // namespace
}  // namespace lockstep::mesi
