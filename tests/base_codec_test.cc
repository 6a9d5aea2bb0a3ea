// The binary form of values, and that a Reader trusts nothing.
#include "src/base/codec.h"

#include <limits>

#include <gtest/gtest.h>

#include "src/base/rng.h"

namespace lockstep {
namespace {

Bytes Varint(uint64_t v) {
  Bytes out;
  Writer(&out).Varint(v);
  return out;
}

TEST(CodecTest, FixedIntegersAreLittleEndian) {
  Bytes out;
  Writer writer(&out);
  writer.U8(0xfe);
  writer.U32(0x01020304);
  writer.U64(0x1112131415161718);
  EXPECT_EQ(out, Bytes("\xfe\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11", 13));

  Reader reader(out);
  EXPECT_EQ(reader.U8(), 0xfe);
  EXPECT_EQ(reader.U32(), 0x01020304U);
  EXPECT_EQ(reader.U64(), 0x1112131415161718U);
  EXPECT_TRUE(reader.done());
}

TEST(CodecTest, VarintsTakeSevenBitsAByte) {
  EXPECT_EQ(Varint(0), Bytes("\0", 1));
  EXPECT_EQ(Varint(127), "\x7f");
  EXPECT_EQ(Varint(128), "\x80\x01");
  EXPECT_EQ(Varint(300), "\xac\x02");
  EXPECT_EQ(Varint(UINT64_MAX), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

TEST(CodecTest, EveryVarintIsReadBack) {
  Rng rng(1);
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t v = rng.Next() >> rng.Below(64);
    const Bytes in = Varint(v);
    Reader reader(in);
    EXPECT_EQ(reader.Varint(), v);
    EXPECT_TRUE(reader.done());
  }
}

// Two forms of one number would be two hashes of one state.
TEST(CodecTest, AVarintLongerThanNeededIsRefused) {
  for (const BytesView in : {BytesView("\x80\0", 2), BytesView("\xff\0", 2),
                             BytesView("\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", 10)}) {
    Reader reader(in);
    EXPECT_EQ(reader.Varint(), 0U);
    EXPECT_FALSE(reader.ok());
  }
}

TEST(CodecTest, AVarintOver64BitsIsRefused) {
  for (const BytesView in : {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
                             "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"}) {
    Reader reader(in);
    EXPECT_EQ(reader.Varint(), 0U);
    EXPECT_FALSE(reader.ok());
  }
}

TEST(CodecTest, SmallNegativesStaySmall) {
  const auto signed_bytes = [](int64_t v) {
    Bytes out;
    Writer(&out).Signed(v);
    return out;
  };
  EXPECT_EQ(signed_bytes(-1), "\x01");
  EXPECT_EQ(signed_bytes(1), "\x02");
  EXPECT_EQ(signed_bytes(-64), "\x7f");
  for (const int64_t v : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min(),
                          std::numeric_limits<int64_t>::max()}) {
    const Bytes in = signed_bytes(v);
    Reader reader(in);
    EXPECT_EQ(reader.Signed(), v);
    EXPECT_TRUE(reader.done());
  }
}

TEST(CodecTest, AllKindsOfValuesComeBackInOrder) {
  const RequestId id{NodeId{3}, 9, 1'000'000};
  Bytes out;
  Writer writer(&out);
  writer.Bool(true);
  writer.String(Bytes("\0x", 2));
  writer.Put(Term{70});
  writer.Put(ClusterTime{-5});
  writer.Put(id);
  writer.Raw("tail");

  Reader reader(out);
  EXPECT_TRUE(reader.Bool());
  EXPECT_EQ(reader.String(), BytesView("\0x", 2));
  EXPECT_EQ(reader.Get<Term>(), Term{70});
  EXPECT_EQ(reader.GetTime(), ClusterTime{-5});
  EXPECT_EQ(reader.GetRequestId(), id);
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(reader.left(), 4U);
  EXPECT_EQ(reader.Raw(4), "tail");
  EXPECT_TRUE(reader.done());
}

TEST(CodecTest, AReaderThatHasFailedStaysSo) {
  Reader reader("\x01\x02\x03");
  EXPECT_EQ(reader.U32(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U8(), 0);  // There was a byte, but what it means is not known any more.
  EXPECT_EQ(reader.String(), "");
  EXPECT_EQ(reader.left(), 0U);
  EXPECT_FALSE(reader.done());
}

TEST(CodecTest, ALengthBeyondTheInputIsRefused) {
  for (const uint64_t size : {uint64_t{5}, uint64_t{1} << 32, UINT64_MAX}) {
    const Bytes in = Varint(size) + "four";
    Reader reader(in);
    EXPECT_EQ(reader.String(), "");
    EXPECT_FALSE(reader.ok());
  }
}

TEST(CodecTest, ACountIsBoundedByWhatTheInputCouldHold) {
  const Bytes in = Varint(3) + "123456";
  EXPECT_EQ(Reader(in).Count(2), 3U);
  Reader reader(in);
  EXPECT_EQ(reader.Count(3), 0U);
  EXPECT_FALSE(reader.ok());
}

TEST(CodecTest, ANumberThatTheNextOneCouldOverflowIsRefused) {
  EXPECT_EQ(Reader(Varint(Reader::kCountMax)).Get<Term>(), Term{Reader::kCountMax});
  const Bytes in = Varint(Reader::kCountMax + 1);
  Reader reader(in);
  EXPECT_EQ(reader.Get<Term>(), Term{0});
  EXPECT_FALSE(reader.ok());
}

TEST(CodecTest, ABooleanIsZeroOrOne) {
  EXPECT_FALSE(Reader(BytesView("\0", 1)).Bool());
  EXPECT_TRUE(Reader("\x01").Bool());
  Reader reader("\x02");
  EXPECT_FALSE(reader.Bool());
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace lockstep
