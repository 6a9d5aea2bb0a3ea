// What a shard's log knows of durable keys: the same on every replica and after every snapshot.
#include "commands/durable_keys.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "commands/replica.h"
#include "commands/shard_machine.h"
#include "src/base/limits.h"
#include "tests/machine_log.h"

namespace lockstep {
namespace {

using mesi::DurableWrite;

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kSecondUs = 1'000'000;
constexpr ClusterTime kBegin{10'000};

Bytes OpOf(const std::vector<DurableWrite>& writes) {
  Bytes op;
  Writer out(&op);
  mesi::EncodeDurableWrites(writes, &out);
  return op;
}

DurableWrite Set(BytesView key, BytesView value, uint64_t fence = 0) {
  return {.key = Bytes(key), .present = true, .value = Bytes(value), .fence = fence};
}
DurableWrite SetFor(int64_t ttl_us, BytesView key, BytesView value, uint64_t fence = 0) {
  DurableWrite write = Set(key, value, fence);
  write.ttl_us = ttl_us;
  return write;
}
DurableWrite Keep(BytesView key, BytesView value) {
  DurableWrite write = Set(key, value);
  write.keeps_ttl = true;
  return write;
}
DurableWrite Gone(BytesView key, uint64_t fence = 0) {
  return {.key = Bytes(key), .fence = fence};
}

template <class Machine>
Bytes SavedBy(const Machine& machine) {
  Bytes saved;
  Writer out(&saved);
  machine.Save(&out);
  return saved;
}

// Applies as a replica does: first the time, then the operation.
class DurableKeysTest : public ::testing::Test {
 protected:
  using Changed = std::vector<std::pair<Bytes, bool>>;

  Changed Write(const std::vector<DurableWrite>& writes) {
    EXPECT_TRUE(ApplyBytes(OpOf(writes)));
    return std::exchange(changed_, {});
  }
  bool ApplyBytes(BytesView op) {
    DurableKeys::Changes changes;
    keys_.Advance(now_, &changes);
    const bool read = keys_.Apply(now_, op, &changes);
    Note(changes);
    return read;
  }
  Changed Pass(int64_t ms) {
    now_ = now_ + ms;
    DurableKeys::Changes changes;
    keys_.Advance(now_, &changes);
    Note(changes);
    return std::exchange(changed_, {});
  }
  void Note(const DurableKeys::Changes& changes) {
    for (const Effects::KeyChange& one : changes) changed_.emplace_back(one.key, one.written);
    keys_.CheckInvariants();
  }

  Bytes Value(BytesView key) const {
    const DurableKeys::Record* record = keys_.Find(key);
    return record != nullptr && record->present ? record->value : "(none)";
  }
  uint64_t Fence(BytesView key) const {
    const DurableKeys::Record* record = keys_.Find(key);
    return record != nullptr ? record->fence : 0;
  }
  ClusterTime Deadline(BytesView key) const {
    const DurableKeys::Record* record = keys_.Find(key);
    return record != nullptr ? record->deadline : ClusterTime{0};
  }

  DurableKeys keys_;
  ClusterTime now_ = kBegin;
  Changed changed_;
};

// ---- What is written. ----

TEST_F(DurableKeysTest, AKeyHasTheValueThatWasLoggedLast) {
  EXPECT_EQ(Write({Set("k", "one"), Set("other", "x")}), (Changed{{"k", true}, {"other", true}}));
  EXPECT_EQ(Value("k"), "one");
  EXPECT_EQ(Write({Set("k", "two")}), (Changed{{"k", true}}));
  EXPECT_EQ(Value("k"), "two");
  EXPECT_EQ(Write({Gone("k")}), (Changed{{"k", true}}));
  EXPECT_EQ(keys_.Find("k"), nullptr);
  EXPECT_EQ(Value("other"), "x");
}

TEST_F(DurableKeysTest, KeysAndValuesAreAnyBytes) {
  const Bytes odd("\0\r\n\xff k", 6), empty;
  Write({Set(odd, odd), Set("e", empty)});
  EXPECT_EQ(Value(odd), odd);
  EXPECT_EQ(Value("e"), "");
}

TEST_F(DurableKeysTest, WhatWasNeverThereIsRemovedWithoutATrace) {
  EXPECT_EQ(Write({Gone("k")}), (Changed{{"k", true}})) << "who waits for it is told";
  EXPECT_TRUE(keys_.empty());
  EXPECT_EQ(keys_.Hash(), DurableKeys().Hash());
}

TEST_F(DurableKeysTest, OfOneKeyTwiceInOneEntryTheLastStays) {
  Write({Set("k", "one", 7), Set("k", "two", 9)});
  EXPECT_EQ(Value("k"), "two");
  EXPECT_EQ(Fence("k"), 9u);
}

// ---- Time. ----

TEST_F(DurableKeysTest, AValueLastsThroughItsTimeAndNotBeyond) {
  Write({SetFor(2 * kSecondUs, "k", "v")});
  EXPECT_EQ(keys_.NextDeadline(), kBegin + 2000);
  EXPECT_EQ(Pass(2000), Changed());
  EXPECT_EQ(Value("k"), "v");
  EXPECT_EQ(Pass(1), (Changed{{"k", false}})) << "its time was over, nobody wrote it";
  EXPECT_TRUE(keys_.empty());
  EXPECT_EQ(keys_.NextDeadline(), kNeverCluster);
}

TEST_F(DurableKeysTest, NoTimeIsCutShortByRoundingToMilliseconds) {
  Write({SetFor(1, "k", "v"), SetFor(0, "at once", "v"), SetFor(1001, "longer", "v")});
  EXPECT_EQ(Deadline("k"), kBegin + 1);
  EXPECT_EQ(Deadline("at once"), kBegin);
  EXPECT_EQ(Deadline("longer"), kBegin + 2);
}

TEST_F(DurableKeysTest, TheLongestTimeThereIsOverflowsNothing) {
  Write({SetFor(mesi::kDurableTtlUsMax, "k", "v")});
  EXPECT_GT(Deadline("k"), kBegin + 1'000'000 * kHourMs);
  EXPECT_EQ(Pass(1'000'000 * kHourMs), Changed());
}

TEST_F(DurableKeysTest, AWriteSetsAnotherTimeOrNoneOrKeepsTheOneThatIs) {
  Write({SetFor(kSecondUs, "k", "v")});
  Pass(400);
  Write({Keep("k", "kept")});
  EXPECT_EQ(Deadline("k"), kBegin + 1000);
  Write({SetFor(kSecondUs, "k", "new")});
  EXPECT_EQ(Deadline("k"), kBegin + 1400);
  Write({Set("k", "for ever")});
  EXPECT_EQ(Deadline("k"), kNeverCluster);
  EXPECT_EQ(Pass(kHourMs), Changed()) << "its former deadlines mean nothing";
  EXPECT_EQ(Value("k"), "for ever");
}

TEST_F(DurableKeysTest, ManyEndInTheOrderOfTheirDeadlines) {
  Write({SetFor(3000, "c", ""), SetFor(1000, "a", ""), SetFor(2000, "b", ""), Set("d", "")});
  EXPECT_EQ(Pass(kHourMs), (Changed{{"a", false}, {"b", false}, {"c", false}}));
  EXPECT_EQ(keys_.all().size(), 1u);
}

// ---- Fences. ----

TEST_F(DurableKeysTest, TheHighestTokenIsRememberedWhateverIsWrittenAfterwards) {
  Write({Set("k", "v", 7)});
  EXPECT_EQ(Fence("k"), 7u);
  Write({Set("k", "plain")});
  EXPECT_EQ(Fence("k"), 7u);
  Write({Set("k", "newer", 9)});
  EXPECT_EQ(Fence("k"), 9u);
  Write({Set("k", "older", 8)});
  EXPECT_EQ(Fence("k"), 9u) << "whoever proposes has compared them";
}

TEST_F(DurableKeysTest, ATokenIsRememberedForAnHourAfterItsKeyWasDeleted) {
  Write({Set("k", "v", 7)});
  Write({Gone("k")});
  EXPECT_EQ(Value("k"), "(none)");
  EXPECT_EQ(Fence("k"), 7u);
  Pass(kHourMs);
  EXPECT_EQ(Fence("k"), 7u);
  Pass(1);
  EXPECT_TRUE(keys_.empty());
}

TEST_F(DurableKeysTest, ATokenIsRememberedForAnHourAfterItsValueIsOver) {
  Write({SetFor(kSecondUs, "k", "v", 7)});
  EXPECT_EQ(Pass(1001), (Changed{{"k", false}}));
  EXPECT_EQ(Value("k"), "(none)");
  EXPECT_EQ(Fence("k"), 7u);
  EXPECT_EQ(keys_.NextDeadline(), now_ + kHourMs);
  Pass(kHourMs + 1);
  EXPECT_TRUE(keys_.empty());
}

TEST_F(DurableKeysTest, AKeyThatIsWrittenAnewHasItsTokenAndNotTheTimeOfItsMemory) {
  Write({Set("k", "v", 7)});
  Write({Gone("k")});
  Write({Set("k", "again")});
  EXPECT_EQ(Fence("k"), 7u);
  EXPECT_EQ(Deadline("k"), kNeverCluster);
  EXPECT_EQ(Pass(2 * kHourMs), Changed());
  EXPECT_EQ(Value("k"), "again");
}

TEST_F(DurableKeysTest, ARemovalUnderATokenLeavesThatToken) {
  Write({Set("k", "v", 7)});
  Write({Gone("k", 9)});
  EXPECT_EQ(Value("k"), "(none)");
  EXPECT_EQ(Fence("k"), 9u);
}

TEST_F(DurableKeysTest, ATokenIsRememberedThoughItsKeyIsRemovedTwice) {
  Write({Set("k", "v", 7)});
  Write({Gone("k")});
  Pass(1000);
  Write({Gone("k")});
  EXPECT_EQ(Fence("k"), 7u);
  Write({Gone("k", 9)});
  EXPECT_EQ(Fence("k"), 9u);
  Pass(kHourMs + 1);
  EXPECT_TRUE(keys_.empty());
}

TEST_F(DurableKeysTest, ATokenIsRememberedOfAKeyThatWasRemovedUnderItBeforeItWas) {
  Write({Gone("k", 9)});
  EXPECT_EQ(Value("k"), "(none)");
  EXPECT_EQ(Fence("k"), 9u);
  Pass(kHourMs + 1);
  EXPECT_TRUE(keys_.empty());
}

// ---- What cannot be read. ----

TEST_F(DurableKeysTest, AnOperationThatIsDamagedAnywhereChangesNothing) {
  Write({Set("k", "v", 7), SetFor(kSecondUs, "timed", "t")});
  const Bytes before = SavedBy(keys_);
  const Bytes op = OpOf({Set("k", "new"), SetFor(5, "more", "m"), Gone("timed")});
  for (size_t size = 0; size < op.size(); ++size) {
    EXPECT_FALSE(ApplyBytes(op.substr(0, size))) << "cut at " << size;
  }
  EXPECT_FALSE(ApplyBytes(op + "x")) << "with something behind it";
  EXPECT_TRUE(changed_.empty());
  EXPECT_EQ(SavedBy(keys_), before);
  EXPECT_TRUE(ApplyBytes(op));
}

TEST_F(DurableKeysTest, AnOperationOverALimitChangesNothing) {
  const Bytes large(mesi::kDurableValueBytesMax + 1, 'x'), name(kNameBytesMax + 1, 'k');
  EXPECT_FALSE(ApplyBytes(OpOf({Set("first", "v"), Set("k", large)})));
  EXPECT_FALSE(ApplyBytes(OpOf({Set("first", "v"), Set(name, "v")})));
  EXPECT_FALSE(ApplyBytes(OpOf({SetFor(mesi::kDurableTtlUsMax + 1, "k", "v")})));
  EXPECT_FALSE(ApplyBytes(OpOf(std::vector<DurableWrite>(1025, Set("k", "v")))));
  EXPECT_TRUE(keys_.empty());
  EXPECT_TRUE(ApplyBytes(OpOf({Set("k", large.substr(1)), Set(name.substr(1), "v")})));
}

TEST_F(DurableKeysTest, AnOperationWithAFlagThatNobodyKnowsChangesNothing) {
  Bytes op;
  Writer out(&op);
  out.Varint(1);
  out.String("k");
  out.U8(8 | 1);
  out.String("v");
  out.Varint(0);
  EXPECT_FALSE(ApplyBytes(op));
  EXPECT_TRUE(keys_.empty());
}

TEST_F(DurableKeysTest, WritesAreReadAsTheyWereWritten) {
  const std::vector<DurableWrite> writes{
      Set("k", "v", 7), SetFor(0, "t", ""), Keep("kept", "v"), Gone("gone", UINT64_MAX),
      SetFor(mesi::kDurableTtlUsMax, Bytes("\0", 1), Bytes("\0", 1), 1)};
  const Bytes op = OpOf(writes);
  Reader in(op);
  std::vector<DurableWrite> read;
  ASSERT_TRUE(mesi::DecodeDurableWrites(&in, &read));
  EXPECT_TRUE(in.done());
  EXPECT_EQ(read, writes);
}

// ---- Snapshots. ----

class DurableSnapshotTest : public DurableKeysTest {
 protected:
  void SetUp() override {
    Write({Set("plain", "v"), SetFor(5 * kSecondUs, "timed", "t"), Set("fenced", "f", 7),
           SetFor(3 * kSecondUs, "both", "b", 8), Set("deleted", "d", 9)});
    Pass(1000);
    Write({Gone("deleted"), Set("plain", Bytes("\0\xff", 2))});
  }
};

TEST_F(DurableSnapshotTest, ALoadedOneHoldsWhatWasSavedAndGoesOnTheSame) {
  const Bytes saved = SavedBy(keys_);
  DurableKeys loaded;
  Reader in(saved);
  ASSERT_TRUE(loaded.Load(&in));
  EXPECT_TRUE(in.done());
  loaded.CheckInvariants();
  EXPECT_EQ(loaded.all(), keys_.all());
  for (int step = 0; step < 12; ++step) {
    EXPECT_EQ(loaded.NextDeadline(), keys_.NextDeadline());
    EXPECT_EQ(loaded.Hash(), keys_.Hash());
    EXPECT_EQ(SavedBy(loaded), SavedBy(keys_));
    now_ = now_ + (step < 9 ? 500 : kHourMs);
    DurableKeys::Changes one, two;
    keys_.Advance(now_, &one);
    loaded.Advance(now_, &two);
    ASSERT_EQ(one.size(), two.size()) << step;
  }
  EXPECT_EQ(keys_.all().size(), 2u) << "plain, and fenced with its value";
}

TEST_F(DurableSnapshotTest, OneThatIsCutOffAnywhereIsRefused) {
  const Bytes saved = SavedBy(keys_);
  for (size_t size = 0; size < saved.size(); ++size) {
    DurableKeys loaded;
    DurableKeys::Changes changes;
    ASSERT_TRUE(loaded.Apply(kBegin, OpOf({Set("before", "v")}), &changes));
    Reader in(BytesView(saved).substr(0, size));
    EXPECT_FALSE(loaded.Load(&in)) << size;
    EXPECT_TRUE(loaded.empty()) << size;
    loaded.CheckInvariants();
  }
}

TEST_F(DurableSnapshotTest, AnyBitThatIsWrongIsNoticed) {
  const Bytes saved = SavedBy(keys_);
  for (size_t bit = 0; bit < 8 * saved.size(); ++bit) {
    Bytes damaged = saved;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    DurableKeys loaded;
    Reader in(damaged);
    EXPECT_FALSE(loaded.Load(&in) && in.done()) << "bit " << bit;
  }
}

TEST_F(DurableSnapshotTest, ClearLeavesNothing) {
  keys_.Clear();
  EXPECT_TRUE(keys_.empty());
  EXPECT_EQ(keys_.NextDeadline(), kNeverCluster);
  EXPECT_EQ(keys_.Hash(), DurableKeys().Hash());
  EXPECT_EQ(Pass(2 * kHourMs), Changed());
}

// ---- The same everywhere. ----

class Dice {
 public:
  explicit Dice(uint64_t seed) : dice_(seed) {}
  uint64_t Below(uint64_t n) { return dice_() % n; }
  Bytes Key() { return Format("k%lu", Below(12)); }
  DurableWrite Any() {
    DurableWrite write;
    write.key = Key();
    write.present = Below(4) != 0;
    if (write.present) write.value = Bytes(Below(5), static_cast<char>('a' + Below(3)));
    write.keeps_ttl = Below(3) == 0;
    if (Below(2) == 0) write.ttl_us = static_cast<int64_t>(Below(4 * kSecondUs));
    if (Below(3) == 0) write.fence = Below(50);
    return write;
  }

 private:
  std::mt19937_64 dice_;
};

TEST(DurableKeysRandomTest, AReplicaThatIsSavedAndLoadedAtAnyTimeDoesAsTheOthers) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Dice dice(seed);
    DurableKeys one, other;
    ClusterTime now = kBegin;
    for (int step = 0; step < 200; ++step) {
      now = now + static_cast<int64_t>(dice.Below(dice.Below(20) == 0 ? 2 * kHourMs : 900));
      std::vector<DurableWrite> writes;
      for (uint64_t n = 1 + dice.Below(3); n > 0; --n) writes.push_back(dice.Any());
      DurableKeys::Changes first, second;
      for (const auto& [keys, changes] : {std::pair(&one, &first), std::pair(&other, &second)}) {
        keys->Advance(now, changes);
        ASSERT_TRUE(keys->Apply(now, OpOf(writes), changes));
        keys->CheckInvariants();
      }
      ASSERT_EQ(one.all(), other.all()) << "seed " << seed << ", step " << step;
      ASSERT_EQ(one.Hash(), other.Hash());
      ASSERT_EQ(first.size(), second.size());
      const Bytes saved = SavedBy(other);
      Reader in(saved);
      ASSERT_TRUE(other.Load(&in));
    }
  }
}

TEST(DurableKeysRandomTest, TheHashFollowsFromTheStateAndNotFromTheWayToIt) {
  DurableKeys straight, around;
  DurableKeys::Changes changes;
  ASSERT_TRUE(straight.Apply(kBegin, OpOf({Set("a", "1"), Set("b", "2", 7)}), &changes));
  for (const auto& writes : std::vector<std::vector<DurableWrite>>{
           {Set("b", "x", 7)}, {SetFor(9, "c", "y")}, {Set("a", "0"), Gone("c")},
           {Gone("a"), Set("b", "2")}, {Set("a", "1")}}) {
    EXPECT_NE(around.Hash(), straight.Hash());
    ASSERT_TRUE(around.Apply(kBegin, OpOf(writes), &changes));
  }
  EXPECT_EQ(around.all(), straight.all());
  EXPECT_EQ(around.Hash(), straight.Hash());
}

TEST(DurableKeysRandomTest, TheHashTellsEveryPartOfARecord) {
  DurableKeys keys;
  DurableKeys::Changes changes;
  std::set<uint64_t> hashes{keys.Hash()};
  for (const DurableWrite& write :
       {Set("k", "v"), Set("k", "w"), Set("k", ""), SetFor(1000, "k", ""), SetFor(2000, "k", ""),
        SetFor(2000, "k", "", 1), SetFor(2000, "k", "", 2), Gone("k")}) {
    ASSERT_TRUE(keys.Apply(kBegin, OpOf({write}), &changes));
    EXPECT_TRUE(hashes.insert(keys.Hash()).second);
  }
}

// ---- The machine of a shard. ----

class ShardMachineTest : public ::testing::Test {
 protected:
  Position Next(int64_t pass_ms = 0) {
    now_ = now_ + pass_ms;
    index_ = Index{index_.value + 1};
    return {index_, now_};
  }
  void Write(ShardMachine* machine, const std::vector<DurableWrite>& writes) {
    const Position at = Next();
    machine->Advance(at, &effects_);
    EXPECT_TRUE(machine->ApplyKeys(at, OpOf(writes), &effects_));
    machine->CheckInvariants();
  }
  void Push(ShardMachine* machine, BytesView body) {
    PushOp op;
    op.queue = "q";
    op.bodies = {body};
    const Position at = log_.Add(Next().index, now_, op.Encode());
    machine->Advance(at, &effects_);
    machine->Apply(at, {NodeId{1}, 1, ++requests_}, at.data, &effects_);
  }
  static Result<void> Load(ShardMachine* machine, BytesView saved, bool* done) {
    Reader in(saved);
    Result<void> loaded = machine->Load(&in);
    *done = in.done();
    return loaded;
  }

  ClusterTime now_ = kBegin;
  Index index_{100};
  uint64_t requests_ = 0;
  MachineLog log_;
  Effects effects_;
};

TEST_F(ShardMachineTest, ASnapshotOfBeforeThereWereDurableKeysIsLoaded) {
  QueueStore queues(3);
  const Bytes old = SavedBy(queues);
  ShardMachine machine(3);
  Write(&machine, {Set("k", "of another life")});
  bool done = false;
  ASSERT_TRUE(Load(&machine, old, &done).ok());
  EXPECT_TRUE(done);
  EXPECT_TRUE(machine.keys().empty());
  EXPECT_EQ(machine.Hash(), queues.Hash()) << "old and new nodes compare their hashes";
}

TEST_F(ShardMachineTest, ALoadedMachineHasQueuesAndKeysAndGoesOnTheSame) {
  ShardMachine one(3), other(3);
  Push(&one, "body");
  Write(&one, {SetFor(kSecondUs, "k", "v", 7), Set("plain", "p")});
  bool done = false;
  ASSERT_TRUE(Load(&other, SavedBy(one), &done).ok());
  EXPECT_TRUE(done);
  EXPECT_EQ(other.Hash(), one.Hash());
  EXPECT_EQ(other.keys().all(), one.keys().all());
  EXPECT_EQ(other.NextDeadline(), kBegin + 1000);
  effects_.Clear();
  other.Advance(Next(1001), &effects_);
  ASSERT_EQ(effects_.keys.size(), 1u);
  EXPECT_EQ(effects_.keys[0].key, "k");
  EXPECT_FALSE(effects_.keys[0].written);
  EXPECT_NE(other.Hash(), one.Hash());
}

TEST_F(ShardMachineTest, ASnapshotThatIsDamagedIsRefusedAndLeavesNothing) {
  ShardMachine saver(3);
  Push(&saver, "body");
  Write(&saver, {Set("k", "v", 7)});
  const Bytes saved = SavedBy(saver);
  const size_t queues = SavedBy(saver.queues()).size();
  for (size_t size = queues + 1; size < saved.size(); ++size) {
    ShardMachine machine(3);
    Write(&machine, {Set("before", "v")});
    bool done = false;
    const Result<void> loaded = Load(&machine, BytesView(saved).substr(0, size), &done);
    ASSERT_FALSE(loaded.ok()) << size;
    EXPECT_NE(loaded.error().message.find("durable keys"), Bytes::npos) << loaded.error().message;
    EXPECT_TRUE(machine.keys().empty());
    EXPECT_EQ(machine.Hash(), ShardMachine(3).Hash()) << "nor a queue";
  }
}

TEST_F(ShardMachineTest, ASnapshotThatIsMadeByAndByIsOfTheMomentAtWhichItBegan) {
  ShardMachine machine(3);
  for (int i = 0; i < 50; ++i) Push(&machine, "body");
  Write(&machine, {Set("k", "then", 7), SetFor(kSecondUs, "timed", "t"), Set("goes", "g")});
  const Bytes then = SavedBy(machine);
  Bytes saved;
  Writer out(&saved);
  machine.BeginSave(&out);
  int slices = 0;
  bool last = false;
  while (!last) {
    Write(&machine, {Set("k", "later", 9), Gone("goes"), Set(Format("new%d", slices), "n")});
    machine.Advance(Next(900), &effects_);
    last = machine.SaveMore(3, &out);
    ++slices;
  }
  EXPECT_GT(slices, 3);
  EXPECT_EQ(saved, then);
  machine.EndSave();
  EXPECT_NE(SavedBy(machine), then);
}

TEST_F(ShardMachineTest, OneThatIsGivenUpLeavesNothingToTheNext) {
  ShardMachine machine(3);
  Push(&machine, "body");
  Write(&machine, {Set("k", "then")});
  Bytes given_up, saved;
  Writer first(&given_up), second(&saved);
  machine.BeginSave(&first);
  machine.EndSave();
  Write(&machine, {Set("k", "now")});
  machine.BeginSave(&second);
  while (!machine.SaveMore(1, &second)) {
  }
  machine.EndSave();
  EXPECT_EQ(saved, SavedBy(machine));
}

TEST_F(ShardMachineTest, WhatIsUnreadableChangesNeitherQueuesNorKeys) {
  ShardMachine machine(3);
  Push(&machine, "body");
  Write(&machine, {Set("k", "v")});
  const uint64_t before = machine.Hash();
  EXPECT_FALSE(machine.ApplyKeys(Next(), "\x05nonsense", &effects_));
  EXPECT_EQ(machine.Hash(), before);
}

TEST_F(ShardMachineTest, KeysAreWrittenByEntriesOfTheirOwnAndAnswerNobody) {
  Replica replica(std::make_unique<ShardMachine>(3)), other(std::make_unique<ShardMachine>(3));
  Bytes entry;
  Writer out(&entry);
  EncodeKeysWritten(OpOf({Set("k", "v", 7)}), &out);
  ASSERT_TRUE(replica.Apply(Index{9}, kBegin, entry, &effects_));
  EXPECT_TRUE(effects_.answers.empty());
  ASSERT_EQ(effects_.keys.size(), 1u);
  EXPECT_TRUE(effects_.keys[0].written);
  ASSERT_TRUE(other.Load(replica.Save()).ok());
  const auto& keys = dynamic_cast<const ShardMachine&>(other.machine()).keys();
  ASSERT_NE(keys.Find("k"), nullptr);
  EXPECT_EQ(keys.Find("k")->value, "v");
  EXPECT_EQ(other.Hash(), replica.Hash());
}

TEST_F(ShardMachineTest, AMachineWithoutDurableKeysRefusesThem) {
  Replica replica(std::make_unique<QueueStore>(3));
  Bytes entry;
  Writer out(&entry);
  EncodeKeysWritten(OpOf({Set("k", "v")}), &out);
  EXPECT_FALSE(replica.Apply(Index{9}, kBegin, entry, &effects_));
  EXPECT_TRUE(effects_.keys.empty());
}

}  // namespace
}  // namespace lockstep
