// A session's channel: each message once and in order, over links that lose, repeat and break.
#include "cluster/mesi/channel.h"

#include <gtest/gtest.h>

#include "cluster/mesi/line_table.h"
#include "src/base/rng.h"

namespace lockstep::mesi {
namespace {

constexpr size_t kFrame = 256 * 1024;
constexpr MonoTime kNow{5'000'000};

Message Inv(BytesView key) { return {.type = MessageType::kInv, .key = key}; }
Message Data(BytesView key, BytesView value, MonoTime ends = kNeverMono) {
  Message message{.type = MessageType::kDataS, .key = key};
  message.payload = Payload{.present = true, .value = value, .ends = ends};
  return message;
}

Bytes FrameOf(Channel* channel, MonoTime now = kNow) {
  Bytes frame;
  Writer out(&frame);
  channel->Flush(now, &out, kFrame);
  return frame;
}

// The keys that come out of a frame.
std::vector<Bytes> Take(Channel* channel, BytesView frame, MonoTime now = kNow) {
  std::vector<Bytes> keys;
  Reader in(frame);
  EXPECT_TRUE(channel->OnFrame(now, &in, [&](const Message& message) {
    keys.emplace_back(message.key);
    return true;
  }));
  return keys;
}

TEST(MesiChannel, CommandsAndTheirAnswersArriveWhole) {
  Channel one, other;
  const Bytes words("\x02\x04INCR\x01k", 8);
  one.Send({.type = MessageType::kShip, .key = "k", .gen = 7, .round = 3, .words = words});
  one.Send({.type = MessageType::kShipReply, .key = "k", .gen = 7, .have = true, .words = "+1"});
  EXPECT_EQ(one.left(), 0u);
  const Bytes frame = FrameOf(&one);
  EXPECT_EQ(one.left(), 2u);
  one.SendAgain();
  EXPECT_EQ(one.left(), 2u) << "what may be there may be";
  std::vector<Bytes> heard;
  Reader in(frame);
  EXPECT_TRUE(other.OnFrame(kNow, &in, [&](const Message& message) {
    EXPECT_EQ(message.gen, 7u);
    EXPECT_EQ(message.round, message.type == MessageType::kShip ? 3u : 0u);
    EXPECT_EQ(message.have, message.type == MessageType::kShipReply);
    heard.emplace_back(message.words);
    return true;
  }));
  EXPECT_EQ(heard, (std::vector<Bytes>{words, "+1"}));
}

TEST(MesiChannel, WhatIsSaidArrivesOnceAndInOrderWhateverTheLinksDo) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    Channel one, other;
    std::vector<Bytes> under_way, heard;
    int said = 0;
    for (int step = 0; step < 400 || heard.size() < 60; ++step) {
      ASSERT_LT(step, 20'000);
      if (said < 60 && rng.Below(3) == 0) one.Send(Inv(std::to_string(said++)));
      if (one.HasNews()) under_way.push_back(FrameOf(&one));
      if (!under_way.empty() && rng.Below(2) == 0) {
        const size_t at = rng.Below(under_way.size());
        for (const Bytes& key : Take(&other, under_way[at])) heard.push_back(key);
        if (rng.Below(4) != 0) under_way.erase(under_way.begin() + static_cast<long>(at));
      }
      if (!under_way.empty() && rng.Below(5) == 0) under_way.erase(under_way.begin());
      if (rng.Below(20) == 0) one.SendAgain();  // The link is new.
      if (rng.Below(10) == 0) {
        ASSERT_TRUE(one.OnWord(other.received(), other.said()));
      }
      if (other.HasNews() && rng.Below(2) == 0) Take(&one, FrameOf(&other));
    }
    for (size_t i = 0; i < heard.size(); ++i) ASSERT_EQ(heard[i], std::to_string(i)) << seed;
  }
}

// Two of the largest are more than a frame may hold.
TEST(MesiChannel, ALargeMessageGoesInAFrameOfItsOwn) {
  Channel one, other;
  one.Send(Data("small", Bytes(200'000, 's')));
  one.Send(Data("large", Bytes(kFrame, 'l')));
  EXPECT_EQ(Take(&other, FrameOf(&one)), std::vector<Bytes>{"small"});
  EXPECT_EQ(Take(&other, FrameOf(&one)), std::vector<Bytes>{"large"});
}

TEST(MesiChannel, NoMoreThanAWindowIsUnderWay) {
  Channel one, other;
  for (int i = 0; i < 64; ++i) one.Send(Data("key", Bytes(200'000, 'x')));
  std::vector<Bytes> frames;
  while (one.HasNews()) frames.push_back(FrameOf(&one));
  EXPECT_GE(frames.size(), 20u);
  EXPECT_LE(frames.size(), 22u);
  size_t heard = 0;
  for (const Bytes& frame : frames) heard += Take(&other, frame).size();
  EXPECT_EQ(heard, frames.size());
  ASSERT_TRUE(one.OnWord(other.received(), other.said()));
  EXPECT_TRUE(one.HasNews());
}

TEST(MesiChannel, WhatWasNotHeardOfForTwoWordsIsSaidAgainAndNotSooner) {
  Channel one, other;
  one.Send(Inv("lost"));
  FrameOf(&one);
  for (int word = 0; word < 2; ++word) {
    ASSERT_TRUE(one.OnWord(other.received(), other.said()));
    EXPECT_FALSE(one.HasNews()) << word;
  }
  ASSERT_TRUE(one.OnWord(other.received(), other.said()));
  ASSERT_TRUE(one.HasNews());
  EXPECT_EQ(Take(&other, FrameOf(&one)), std::vector<Bytes>{"lost"});
}

// However long it has lain there: each clock says something else, and runs.
TEST(MesiChannel, ATimeIsTranslatedFromOneClockToTheOther) {
  Channel one, other;
  one.Send(Data("key", "value", MonoTime{kNow.us + 1000}));
  FrameOf(&one, kNow);  // Lost.
  one.SendAgain();
  const Bytes frame = FrameOf(&one, MonoTime{kNow.us + 400});
  Reader in(frame);
  MonoTime ends;
  ASSERT_TRUE(other.OnFrame(MonoTime{77}, &in, [&](const Message& message) {
    ends = message.payload->ends;
    return true;
  }));
  EXPECT_EQ(ends.us, 77 + 600);
}

TEST(MesiChannel, WhatIsNotTakenIsLeftUntilItIsAskedForAgain) {
  Channel one, other;
  one.Send(Inv("first"));
  one.Send(Inv("second"));
  const Bytes frame = FrameOf(&one);
  Reader in(frame);
  EXPECT_TRUE(other.OnFrame(kNow, &in, [](const Message& m) { return m.key == "first"; }));
  EXPECT_EQ(other.received(), 1u);
  other.AskAgain();
  Take(&one, FrameOf(&other));
  EXPECT_EQ(Take(&other, FrameOf(&one)), std::vector<Bytes>{"second"});
}

TEST(MesiChannel, NoBytesOfAPeerBreakIt) {
  Channel one;
  one.Send(Data("key", "value", MonoTime{kNow.us + 1000}));
  one.Send(Inv("other"));
  const Bytes frame = FrameOf(&one);
  Rng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    Bytes damaged = frame;
    for (uint64_t n = rng.Below(3) + 1; n > 0; --n) {
      damaged[rng.Below(damaged.size())] = static_cast<char>(rng.Next());
    }
    if (rng.Below(4) == 0) damaged.resize(rng.Below(damaged.size()));
    Channel other;
    Reader in(damaged);
    (void)other.OnFrame(kNow, &in, [](const Message& message) {
      EXPECT_LE(message.key.size(), kNameBytesMax);
      EXPECT_LE(message.payload ? message.payload->value.size() : 0, kLineValueBytesMax);
      return true;
    });
  }
}

}  // namespace
}  // namespace lockstep::mesi
