// Frames between nodes: what comes out is what went in, and nothing else ever comes out.
#include "cluster/bus/frame.h"

#include <gtest/gtest.h>

#include "src/base/codec.h"
#include "src/base/rng.h"

namespace lockstep::bus {
namespace {

Bytes Frame(BytesView body) {
  Bytes out;
  AppendFrame(body, &out);
  return out;
}

// All bodies that come out, and the error if one ended it.
struct Read {
  std::vector<Bytes> bodies;
  Bytes error;
  bool operator==(const Read&) const = default;
};

Read ReadInPieces(BytesView in, size_t piece, size_t limit = kFrameBodyBytesMax) {
  FrameReader reader(limit);
  Read read;
  for (size_t at = 0; at < in.size(); at += piece) {
    reader.Append(in.substr(at, piece));
    while (true) {
      auto next = reader.Next();
      if (!next) {
        read.error = next.error().message;
        break;
      }
      if (!next->has_value()) break;
      read.bodies.emplace_back(**next);
    }
  }
  return read;
}

TEST(FrameTest, AFrameIsItsSizeItsChecksumAndItsBodyInLittleEndian) {
  // CRC-32C of "123456789" is e3069283.
  EXPECT_EQ(Frame("123456789"), Bytes("\x09\0\0\0\x83\x92\x06\xe3", 8) + "123456789");
  EXPECT_EQ(Frame(""), Bytes(8, '\0'));
}

TEST(FrameTest, AFrameWrittenInPlaceIsTheSameAsOneCopied) {
  Bytes out = "before";
  const size_t at = BeginFrame(&out);
  out += "the body";
  EndFrame(&out, at);
  EXPECT_EQ(out, "before" + Frame("the body"));
}

TEST(FrameTest, FramesComeOutInOrderHoweverTheyWereCut) {
  const std::vector<Bytes> bodies = {"one", "", Bytes(1000, 'x'), Bytes("\0\r\n", 3)};
  Bytes wire;
  for (const Bytes& body : bodies) AppendFrame(body, &wire);
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, size_t{8}, size_t{9}, wire.size()}) {
    EXPECT_EQ(ReadInPieces(wire, piece), (Read{bodies, ""})) << piece;
  }
}

TEST(FrameTest, EveryFlippedBitOfAFrameIsNoticed) {
  const Bytes frame = Frame("grant 'jobs/7' to alice");
  for (size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Bytes damaged = frame;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const Read read = ReadInPieces(damaged, damaged.size(), 4096);
    EXPECT_TRUE(read.bodies.empty()) << bit;
    // A size that grew waits for bytes that never come; all else is an error at once.
    if (bit >= 32) {
      EXPECT_EQ(read.error, "frame checksum does not match its body") << bit;
    }
  }
}

TEST(FrameTest, ABodyOverTheLimitIsRefusedFromItsHeaderAlone) {
  Bytes header;
  Writer writer(&header);
  writer.U32(static_cast<uint32_t>(kFrameBodyBytesMax) + 1);
  writer.U32(0);
  FrameReader reader;
  reader.Append(header);
  const auto next = reader.Next();
  ASSERT_FALSE(next.ok());
  EXPECT_EQ(next.error().message,
            "frame body of 67174401 bytes is over the limit of 67174400");
  EXPECT_LT(reader.capacity(), 1024U);
}

TEST(FrameTest, TheLargestSizeThatCanBeWrittenIsRefusedToo) {
  EXPECT_NE(ReadInPieces(Bytes(8, '\xff'), 8).error, "");
}

TEST(FrameTest, ABodyOfExactlyTheLimitPasses) {
  const Bytes body(4096, 'b');
  EXPECT_EQ(ReadInPieces(Frame(body), 100, 4096), (Read{{body}, ""}));
  EXPECT_EQ(ReadInPieces(Frame(body), 100, 4095).bodies.size(), 0U);
}

TEST(FrameTest, TheLimitGrowsOnceThePeerIsKnown) {
  FrameReader reader(16);
  reader.Append(Frame("hello") + Frame(Bytes(1000, 'm')));
  ASSERT_EQ(**reader.Next(), "hello");
  reader.set_body_bytes_max(1000);
  ASSERT_EQ(**reader.Next(), Bytes(1000, 'm'));
}

TEST(FrameTest, AfterAnErrorNothingMoreIsRead) {
  Bytes bad = Frame("x");
  bad.back() = 'y';
  FrameReader reader;
  reader.Append(bad + Frame("good"));
  EXPECT_FALSE(reader.Next().ok());
  reader.Append(Frame("good"));
  EXPECT_EQ(reader.Next().error().message, "frame checksum does not match its body");
}

TEST(FrameTest, AClaimedSizeAsksForLittleUntilTheBytesCome) {
  Bytes header;
  Writer writer(&header);
  writer.U32(static_cast<uint32_t>(kFrameBodyBytesMax));
  writer.U32(0);
  FrameReader reader;
  reader.Append(header);
  ASSERT_TRUE(reader.Next().ok());
  EXPECT_LE(reader.capacity(), size_t{5} * 1024 * 1024);
}

TEST(FrameTest, BytesWrittenStraightIntoTheBufferAreReadToo) {
  const Bytes frame = Frame("direct");
  FrameReader reader;
  std::copy(frame.begin(), frame.end(), reader.Reserve(100));
  reader.Commit(frame.size());
  EXPECT_EQ(**reader.Next(), "direct");
  EXPECT_EQ(*reader.Next(), std::nullopt);
  EXPECT_EQ(reader.buffered(), 0U);
}

TEST(FrameTest, RandomFramesInRandomPiecesComeOutUnchanged) {
  Rng rng(11);
  for (int round = 0; round < 100; ++round) {
    std::vector<Bytes> bodies;
    Bytes wire;
    for (uint64_t n = rng.Below(10); n > 0; --n) {
      Bytes& body = bodies.emplace_back();
      const uint64_t size = rng.Below(10) == 0 ? rng.Below(100'000) : rng.Below(50);
      for (uint64_t i = 0; i < size; ++i) body.push_back(static_cast<char>(rng.Next()));
      AppendFrame(body, &wire);
    }
    EXPECT_EQ(ReadInPieces(wire, rng.Below(3'000) + 1), (Read{bodies, ""})) << round;
  }
}

TEST(FrameDeathTest, AMessageThatPeersWouldRefuseIsOurBug) {
  Bytes out;
  const size_t at = BeginFrame(&out);
  out.append(kFrameBodyBytesMax + 1, 'x');
  EXPECT_DEATH(EndFrame(&out, at), "a message of 67174401 bytes");
}

}  // namespace
}  // namespace lockstep::bus
