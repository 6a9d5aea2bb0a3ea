// The write-ahead log, damaged in every way: what was synced is never lost without a word, and what
// a crash tore never stops a start (trap 6).
#include <algorithm>

#include "tests/storage_fixture.h"

namespace lockstep::io {
namespace {

// How many zeroes follow a log's records: none after an end in order; what was left of the room
// that was made for more after a crash (wal_room.h), over more than one of RocksDB's blocks.
const auto kRooms = ::testing::Values(size_t{0}, size_t{40} << 10);

// A folder whose log holds kBatches batches; the last may count as not yet synced.
class DamageTest : public StorageTest, public ::testing::WithParamInterface<size_t> {
 protected:
  static constexpr uint64_t kBatches = 5;

  void SetUp() override {
    auto storage = Open();
    for (uint64_t n = 1; n <= kBatches; ++n) {
      Write(storage.get(), PutOne(KeyOf(n), Bytes(n, 'v')), n);
      // The number is told after the mark is written, and records come by whole batches.
      marks_.push_back(Contents(dir_ + "/SYNCED"));
      ends_.push_back(LogEnd());
    }
    storage->Close();
    storage.reset();
    log_ = Log();
    text_ = Contents(log_);
    fs::rename(dir_, kept_);
  }
  // The folder as it was, with this log, the room behind it and the mark at batch `synced`.
  void Restore(BytesView log, uint64_t synced) {
    fs::remove_all(dir_);
    fs::copy(kept_, dir_, fs::copy_options::recursive);
    Overwrite(log_, Bytes(log) + Bytes(GetParam(), '\0'));
    Overwrite(dir_ + "/SYNCED", marks_[synced - 1]);
  }
  // How many batches a start finds: exactly a prefix. Nothing: it refuses.
  std::optional<uint64_t> BatchesFound() {
    auto opened = OpenAt(dir_, &reports_);
    if (!opened) {
      EXPECT_NE(opened.error().message.find(dir_), Bytes::npos) << opened.error().message;
      return std::nullopt;
    }
    const auto content = ContentOf(**opened);
    EXPECT_TRUE(content.ok());
    uint64_t n = 0;
    for (const auto& [key, value] : *content) {
      n += 1;
      EXPECT_EQ(key, KeyOf(n));
      EXPECT_EQ(value, Bytes(n, 'v'));
    }
    return n;
  }

  const Bytes kept_ = temp_ / "kept";
  std::vector<Bytes> marks_;
  std::vector<uintmax_t> ends_;  // Of the log, after each batch.
  Bytes log_;
  Bytes text_;
};

TEST_P(DamageTest, ALogCutAnywhereInItsUnsyncedTailBootsAndAnywhereBeforeIsRefused) {
  const size_t synced_end = ends_[kBatches - 2];
  for (size_t size = 0; size <= text_.size(); ++size) {
    Restore(BytesView(text_).substr(0, size), kBatches - 1);
    const auto found = BatchesFound();
    if (size < synced_end) {
      ASSERT_EQ(found, std::nullopt) << "cut to " << size;
    } else {
      ASSERT_EQ(found, size == text_.size() ? kBatches : kBatches - 1) << "cut to " << size;
    }
  }
}

TEST_P(DamageTest, AFlippedBitInTheUnsyncedTailBootsAndOneBeforeIsRefused) {
  const size_t synced_end = ends_[kBatches - 2];
  for (size_t at = 0; at < text_.size(); ++at) {
    Bytes damaged = text_;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    Restore(damaged, kBatches - 1);
    ASSERT_EQ(BatchesFound(), at < synced_end ? std::nullopt : std::optional(kBatches - 1))
        << "byte " << at;
  }
}

TEST_P(DamageTest, TornTailsOfManyCrashesLoseOnlyWhatWasUnderWay) {
  Restore(text_, kBatches);
  Content expected;
  for (uint64_t n = 1; n <= kBatches; ++n) expected[KeyOf(n)] = Bytes(n, 'v');
  for (uint64_t crash = 1; crash <= 6; ++crash) {
    auto storage = Open();
    EXPECT_EQ(*ContentOf(*storage), expected) << "before crash " << crash;
    const Bytes kept_key = KeyOf(100 + crash);
    if (crash % 2 == 0) {  // Every other crash tears the very first batch of a log.
      Write(storage.get(), PutOne(kept_key, "kept"), 1);
      expected[kept_key] = "kept";
    }
    const Bytes mark = Contents(dir_ + "/SYNCED");
    const Bytes log = Log();
    const auto synced_end = LogEnd();
    Write(storage.get(), PutOne(KeyOf(200 + crash), "torn"), 2);
    storage->Close();
    storage.reset();
    const auto torn_at = (synced_end + fs::file_size(log)) / 2;
    fs::resize_file(log, torn_at);
    fs::resize_file(log, torn_at + GetParam());
    Overwrite(dir_ + "/SYNCED", mark);
  }
  EXPECT_EQ(*ContentOf(*Open()), expected);
}

// RocksDB's log reader passes over zeroes silently, and what it finds behind them it replays.
TEST_F(StorageTest, AZeroedPageInsideTheLogIsRefusedHoweverOldTheMarkIs) {
  auto storage = Open();
  const Bytes old_mark = [&] {
    Write(storage.get(), PutOne("first", "1"), 1);
    return Contents(dir_ + "/SYNCED");
  }();
  constexpr uint64_t kLast = 6;
  for (uint64_t n = 2; n <= kLast; ++n) {
    Write(storage.get(), PutOne(KeyOf(n), Bytes(size_t{40} << 10, 'z')), n);
  }
  storage->Close();
  storage.reset();
  const Bytes log = Log();
  const Bytes text = Contents(log);
  const Bytes kept = temp_ / "kept";
  fs::rename(dir_, kept);

  constexpr size_t kPage = 4096;
  // Up to the last batch but one's start: what is behind it may count as torn.
  for (size_t at = 0; at + 2 * (size_t{41} << 10) < text.size(); at += kPage) {
    fs::remove_all(dir_);
    fs::copy(kept, dir_, fs::copy_options::recursive);
    Bytes damaged = text;
    damaged.replace(at, kPage, kPage, '\0');
    Overwrite(log, damaged);
    Overwrite(dir_ + "/SYNCED", old_mark);
    ASSERT_NE(OpenError(), "") << "page at " << at;
  }
}

// A mark that is old ------------------------------------------------------------------------------

// A log of synced batches whose mark tells of none of them: the power was lost within a second of
// the last one. Only the log itself can tell then what was synced.
class OldMarkTest : public StorageTest, public ::testing::WithParamInterface<size_t> {
 protected:
  // One batch for each size, numbered from 1, in a log that begins with RocksDB's own record.
  void Fill(std::vector<size_t> sizes) {
    sizes_ = std::move(sizes);
    ends_.clear();
    fs::remove_all(dir_);
    fs::remove_all(kept_);
    TearTheLogOfTheTimeBefore();
    auto storage = Open();
    const Bytes mark = Contents(dir_ + "/SYNCED");
    ends_.push_back(LogEnd());
    for (uint64_t n = 1; n <= sizes_.size(); ++n) {
      Write(storage.get(), PutOne(KeyOf(n), Bytes(sizes_[n - 1], 'v')), n);
      ends_.push_back(LogEnd());
    }
    storage->Close();
    storage.reset();
    log_ = Log();
    text_ = Contents(log_);
    Overwrite(dir_ + "/SYNCED", mark);
    fs::rename(dir_, kept_);
  }
  // After a torn tail RocksDB begins the next log with an empty batch.
  void TearTheLogOfTheTimeBefore() {
    auto storage = Open();
    Write(storage.get(), PutOne(KeyOf(0), ""), 1);
    const Bytes mark = Contents(dir_ + "/SYNCED");
    Write(storage.get(), PutOne("torn", ""), 2);
    storage->Close();
    storage.reset();
    fs::resize_file(Log(), fs::file_size(Log()) - 1);
    Overwrite(dir_ + "/SYNCED", mark);
  }
  // What a start says to this log with the room behind it. "": it starts, and `found_` is how many
  // batches it has.
  Bytes Start(BytesView log) {
    fs::remove_all(dir_);
    fs::copy(kept_, dir_, fs::copy_options::recursive);
    Overwrite(log_, Bytes(log) + Bytes(GetParam(), '\0'));
    auto opened = OpenAt(dir_, &reports_);
    if (!opened) return opened.error().message;
    const auto content = ContentOf(**opened);
    EXPECT_TRUE(content.ok());
    uint64_t n = 0;
    for (const auto& [key, value] : *content) {
      EXPECT_EQ(key, KeyOf(n));
      EXPECT_EQ(value.size(), n == 0 ? 0 : sizes_[n - 1]);
      ++n;
    }
    found_ = n - 1;
    return "";
  }
  Bytes Flipped(size_t at) const {
    Bytes damaged = text_;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    return damaged;
  }
  Bytes Zeroed(size_t from, size_t to) const {
    Bytes damaged = text_;
    std::fill(damaged.begin() + static_cast<std::ptrdiff_t>(from),
              damaged.begin() + static_cast<std::ptrdiff_t>(to), '\0');
    return damaged;
  }

  const Bytes kept_ = temp_ / "kept";
  std::vector<size_t> sizes_;
  std::vector<uintmax_t> ends_;  // Of the log, after each batch; the first: before them.
  Bytes log_;
  Bytes text_;
  uint64_t found_ = 0;
};

// RocksDB's reader drops the rest of a block with its first bad record, so that it sees nothing
// behind the damage: what stands there must be found without it.
TEST_P(OldMarkTest, ADamagedBatchInTheLastBlockIsRefusedForTheBatchesBehindIt) {
  Fill(std::vector<size_t>(30, 56));
  for (size_t n = 1; n < sizes_.size(); ++n) {
    const size_t middle = (ends_[n - 1] + ends_[n]) / 2;
    const Bytes refusal = Start(Flipped(middle));
    EXPECT_NE(refusal.find("batch 31 stands behind the damage"), Bytes::npos) << n << refusal;
    EXPECT_TRUE(refusal.ends_with(kWayOut)) << refusal;
    EXPECT_NE(Start(Zeroed(ends_[n - 1], ends_[n])), "") << n;
    if (n + 1 == sizes_.size()) continue;  // Else both of the last two are damaged.
    EXPECT_NE(Start(Zeroed(middle, ends_[n] + 1)), "") << n << ": with the next one's beginning";
  }
}

TEST_P(OldMarkTest, ALogCutAtAnyByteStartsWithThePrefixThatIsLeft) {
  Fill(std::vector<size_t>(12, 5));
  uint64_t whole = 0;
  for (size_t size = 0; size <= text_.size(); ++size) {
    while (whole < sizes_.size() && ends_[whole + 1] <= size) ++whole;
    ASSERT_EQ(Start(BytesView(text_).substr(0, size)), "") << "cut to " << size;
    ASSERT_EQ(found_, whole) << "cut to " << size;
  }
}

TEST_P(OldMarkTest, AnyDamagedByteIsRefusedOrCostsTheVeryLastBatch) {
  Fill(std::vector<size_t>(30, 5));
  for (size_t at = 0; at < text_.size(); ++at) {
    const Bytes refusal = Start(Flipped(at));
    ASSERT_EQ(refusal.empty(), at >= ends_[sizes_.size() - 1]) << "byte " << at << refusal;
    if (!refusal.empty()) continue;
    ASSERT_EQ(found_, sizes_.size() - 1) << "byte " << at;
  }
}

// RocksDB 7.8.3, told to skip damage, reads such a record again and again, for ever.
TEST_P(OldMarkTest, ARecordThatSaysThatItsFileWasRecycledIsDamageLikeAnyOther) {
  Fill(std::vector<size_t>(4, 56));
  constexpr size_t kTypeAt = 6;
  for (size_t n = 0; n + 1 < sizes_.size(); ++n) {
    for (char type = 0; type < 16; ++type) {
      Bytes damaged = text_;
      damaged[ends_[n] + kTypeAt] = type;
      EXPECT_EQ(Start(damaged).empty(), damaged == text_) << n << " type " << int{type};
      EXPECT_TRUE(damaged == text_ || Contents(log_) == damaged + Bytes(GetParam(), '\0'))
          << "a refusal changes nothing";
    }
  }
}

// Pages of one unsynced write reach the disk in any order.
TEST_P(OldMarkTest, ALargeBatchThatIsTornInTheMiddleIsATornTail) {
  Fill({5, size_t{150} << 10});
  constexpr size_t kPage = 4096;
  for (size_t at = ends_[1]; at + kPage < text_.size(); at += kPage) {
    ASSERT_EQ(Start(Zeroed(at, at + kPage)), "") << at;
    ASSERT_EQ(found_, 1u);
  }
}

TEST_P(OldMarkTest, ALargeBatchThatIsTornProvesThatTheOneBeforeItWasSynced) {
  Fill({5, 5, size_t{150} << 10});
  const Bytes torn = Zeroed(ends_[3] - 8192, ends_[3]);
  ASSERT_EQ(Start(torn), "");
  EXPECT_EQ(found_, 2u);
  Bytes damaged = torn;
  damaged[ends_[1] + 20] ^= 1;
  EXPECT_NE(Start(damaged), "");
}

// The number of such a batch stands half in one block, half in the next.
TEST_P(OldMarkTest, ABatchThatBeginsAtTheEndOfABlockIsFoundBehindDamage) {
  constexpr size_t kBlock = size_t{32} << 10;
  constexpr size_t kFirstEnd = 19 + 49;  // RocksDB's own record; a batch with a value of 5.
  for (size_t rest = 0; rest <= 64; ++rest) {
    Fill({5, kBlock - rest - kFirstEnd - 46, 5});
    ASSERT_EQ(ends_[2], kBlock - rest);
    const Bytes refusal = Start(Flipped((ends_[1] + ends_[2]) / 2));
    EXPECT_NE(refusal.find("batch 4 stands behind the damage"), Bytes::npos) << rest << refusal;
  }
}

INSTANTIATE_TEST_SUITE_P(Room, DamageTest, kRooms);
INSTANTIATE_TEST_SUITE_P(Room, OldMarkTest, kRooms);

}  // namespace
}  // namespace lockstep::io
