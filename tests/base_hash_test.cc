// Hashes and checksums against answers that others have published: each is on disk, on the wire or
// in a client's slot table, so it must be the field's, not merely a good one.
#include "src/base/hash.h"

#include <unordered_map>

#include <gtest/gtest.h>

#include "src/base/crc32c.h"

namespace lockstep {
namespace {

Bytes Counting(size_t n) {
  Bytes out;
  for (size_t i = 0; i < n; ++i) out.push_back(static_cast<char>(i));
  return out;
}

TEST(Crc32cTest, GivesTheAnswersOfRfc3720) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(Crc32c(Bytes(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(Bytes(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(Crc32c(Counting(32)), 0x46dd794eU);
  const Bytes up = Counting(32);
  EXPECT_EQ(Crc32c(Bytes(up.rbegin(), up.rend())), 0x113fdb5cU);
  EXPECT_EQ(Crc32c(""), 0U);
}

// Words of eight bytes and single ones take different instructions: no length may disagree.
TEST(Crc32cTest, EveryLengthAgreesWithTheDefinition) {
  const Bytes data = Counting(100);
  for (size_t size = 0; size <= data.size(); ++size) {
    uint32_t crc = ~0U;
    for (size_t i = 0; i < size; ++i) {
      crc ^= static_cast<uint8_t>(data[i]);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    }
    EXPECT_EQ(Crc32c(BytesView(data).substr(0, size)), ~crc) << size;
  }
}

TEST(Hash64Test, IsXxh64) {
  EXPECT_EQ(Hash64(""), 0xef46db3751d8e999U);
  EXPECT_EQ(Hash64("a"), 0xd24ec4f1a98c6e5bU);
  EXPECT_EQ(Hash64("abc"), 0x44bc2cf5ad770999U);
  EXPECT_EQ(Hash64("xxhash"), 3665147885093898016U);
  EXPECT_EQ(Hash64("xxhash", 20141025), 13067679811253438005U);
}

TEST(HashMixTest, TheOrderOfWhatIsMixedMatters) {
  EXPECT_NE(HashMix(HashMix(0, 1), 2), HashMix(HashMix(0, 2), 1));
  EXPECT_NE(HashMix(0, 0), 0U);
}

class KeyedHashTest : public ::testing::Test {
 protected:
  void TearDown() override { SetHashKey(1, 2); }
};

// The 32-bit halves are those of the Linux kernel's self-test of SipHash-1-3, for the key 00..0f
// and the messages "", 00, 00 01, ...
TEST_F(KeyedHashTest, IsSipHash13UnderTheKeyOfItsPaper) {
  SetHashKey(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  EXPECT_EQ(KeyedHash(""), 0xabac0158050fc4dcU);
  const uint32_t halves[] = {0x050fc4dc, 0x7d57ca93, 0x4dc7d44d, 0xe7ddf7fb};
  for (size_t size = 0; size < std::size(halves); ++size) {
    EXPECT_EQ(static_cast<uint32_t>(KeyedHash(Counting(size))), halves[size]) << size;
  }
}

// What CPython 3.11 gives for hash(b"...") with PYTHONHASHSEED=0, which is the key of all zeros.
TEST_F(KeyedHashTest, IsSipHash13UnderTheKeyOfZeros) {
  SetHashKey(0, 0);
  EXPECT_EQ(KeyedHash("a"), 0x407448d2b89b1813U);
  EXPECT_EQ(KeyedHash("foo"), 0x6a5cdcad01c973faU);
  EXPECT_EQ(KeyedHash("1234567"), 0xa33d651594fdae81U);
  EXPECT_EQ(KeyedHash("12345678"), 0x3489982430560a87U);
  EXPECT_EQ(KeyedHash("123456789"), 0x0fbc0f0007965fcfU);
  EXPECT_EQ(KeyedHash("lock:jobs/7"), 0xe092af918636ec3aU);
  EXPECT_EQ(KeyedHash(Counting(64)), 0x75e05fd5bbc870c6U);
}

TEST_F(KeyedHashTest, AnotherKeyIsAnotherHash) {
  SetHashKey(1, 2);
  const uint64_t one = KeyedHash("jobs/7");
  SetHashKey(1, 3);
  EXPECT_NE(KeyedHash("jobs/7"), one);
}

TEST_F(KeyedHashTest, ATableFindsByViewWithoutMakingAString) {
  std::unordered_map<Bytes, int, KeyedHasher, std::equal_to<>> table = {{"jobs/7", 1}};
  EXPECT_TRUE(table.find(BytesView("jobs/7")) != table.end());
  EXPECT_TRUE(table.find(BytesView("jobs/8")) == table.end());
}

TEST(SlotTest, IsTheSlotOfRedisCluster) {
  EXPECT_EQ(SlotOf("foo"), 12182);
  EXPECT_EQ(SlotOf("bar"), 5061);
  EXPECT_EQ(SlotOf("hello"), 866);
  EXPECT_EQ(SlotOf("123456789"), 0x31c3);  // CRC-16/XMODEM's own check value, below 16384.
  EXPECT_EQ(SlotOf(""), 0);
  EXPECT_EQ(SlotOf(BytesView("a\0b", 3)), 8383);
}

TEST(SlotTest, OnlyANonEmptyTagCountsInsteadOfTheKey) {
  EXPECT_EQ(SlotOf("{user1000}.following"), SlotOf("user1000"));
  EXPECT_EQ(SlotOf("{user1000}.followers"), 3443);
  EXPECT_EQ(SlotOf("foo{bar}{zap}"), SlotOf("bar"));     // The first tag.
  EXPECT_EQ(SlotOf("foo{{bar}}zap"), 4015);              // The tag is "{bar".
  EXPECT_EQ(SlotOf("foo{}{bar}"), 8363);                 // The first is empty: the whole key.
  EXPECT_EQ(SlotOf("foo{bar"), 15278);                   // Never closed: the whole key.
  EXPECT_EQ(SlotOf("foo}bar{"), 11073);
}

}  // namespace
}  // namespace lockstep
