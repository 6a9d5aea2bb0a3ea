// The buffer between a socket and a parser.
#include "src/base/receive_buffer.h"

#include <gtest/gtest.h>

#include "src/base/rng.h"

namespace lockstep {
namespace {

TEST(ReceiveBufferTest, WhatIsWrittenIsReadInOrder) {
  ReceiveBuffer buffer;
  EXPECT_EQ(buffer.view(), "");
  buffer.Append("abc");
  std::memcpy(buffer.Reserve(10), "defXXXX", 7);
  buffer.Commit(3);
  EXPECT_EQ(buffer.view(), "abcdef");
  buffer.Consume(4);
  EXPECT_EQ(buffer.view(), "ef");
  buffer.Append("g");
  EXPECT_EQ(buffer.view(), "efg");
}

TEST(ReceiveBufferTest, RoomThatHasBeenReadIsUsedAgain) {
  ReceiveBuffer buffer;
  for (int i = 0; i < 100'000; ++i) {
    buffer.Append("0123456789");
    buffer.Append("0123456789");
    buffer.Consume(10);
    buffer.Consume(10 - static_cast<size_t>(i % 2));
    if (buffer.size() > 500) buffer.Consume(buffer.size());
  }
  EXPECT_LE(buffer.capacity(), 4096U);
}

TEST(ReceiveBufferTest, WhatIsLeftMovesToTheFrontWhenMoreThanThatHasGone) {
  ReceiveBuffer buffer;
  buffer.Append(Bytes(1000, 'x'));
  const char* block = buffer.view().data();
  buffer.Consume(990);
  buffer.Append(Bytes(900, 'y'));
  EXPECT_EQ(buffer.view().data(), block);
  EXPECT_EQ(buffer.view(), Bytes(10, 'x') + Bytes(900, 'y'));
}

TEST(ReceiveBufferTest, BytesAreMovedAConstantNumberOfTimes) {
  ReceiveBuffer buffer;
  size_t grown = 0;
  size_t capacity = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    buffer.Append("x");
    if (buffer.capacity() != capacity) ++grown;
    capacity = buffer.capacity();
  }
  EXPECT_LE(grown, 21U);  // Doublings from 1 to 2^20.
}

TEST(ReceiveBufferTest, AnEmptyBufferKeepsAtMost64KiB) {
  ReceiveBuffer buffer;
  buffer.Append(Bytes(ReceiveBuffer::kIdleBytesMax, 'x'));
  buffer.Consume(buffer.size());
  EXPECT_EQ(buffer.capacity(), ReceiveBuffer::kIdleBytesMax);
  buffer.Append(Bytes(ReceiveBuffer::kIdleBytesMax + 1, 'x'));
  buffer.Consume(buffer.size());
  EXPECT_EQ(buffer.capacity(), 0U);
  buffer.Append("again");
  EXPECT_EQ(buffer.view(), "again");
}

TEST(ReceiveBufferTest, ReleaseLeavesUnreadBytesAlone) {
  ReceiveBuffer buffer;
  buffer.Append("unread");
  buffer.Release();
  EXPECT_EQ(buffer.view(), "unread");
  buffer.Consume(6);
  buffer.Release();
  EXPECT_EQ(buffer.capacity(), 0U);
}

TEST(ReceiveBufferTest, RandomUseAgreesWithAPlainString) {
  Rng rng(3);
  ReceiveBuffer buffer;
  Bytes plain;
  for (int i = 0; i < 20'000; ++i) {
    Bytes piece(rng.Below(300), '\0');
    for (char& c : piece) c = static_cast<char>(rng.Next());
    buffer.Append(piece);
    plain += piece;
    const size_t read = rng.Below(std::min<size_t>(plain.size(), 400) + 1);
    buffer.Consume(read);
    plain.erase(0, read);
    ASSERT_EQ(buffer.view(), plain);
  }
}

TEST(ReceiveBufferDeathTest, MoreThanThereIsCannotBeRead) {
  ReceiveBuffer buffer;
  buffer.Append("abc");
  EXPECT_DEATH(buffer.Consume(4), "size");
  EXPECT_DEATH(buffer.Commit(1'000'000), "capacity");
}

}  // namespace
}  // namespace lockstep
