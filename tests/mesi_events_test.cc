// What a node remembers of its lines' latest transitions.
#include "cluster/mesi/events.h"

#include <gtest/gtest.h>

#include <memory>

namespace lockstep::mesi {
namespace {

constexpr GroupId kShard = ShardGroup(0);
constexpr GroupId kOtherShard = ShardGroup(1);

Event Inv(MonoTime at, uint64_t gen = 0) {
  return {.at = at, .message = MessageType::kInv, .peer = NodeId{2}, .from = "S", .to = "I",
          .gen = gen};
}

class MesiEvents : public ::testing::Test {
 protected:
  std::unique_ptr<Events> events = std::make_unique<Events>();
};

TEST_F(MesiEvents, AnEventReadsLikeASentence) {
  const MonoTime now{20'000'000};
  EXPECT_EQ(TextOf(Inv(now + -12'345'678, 7), now), "-12.345 s Inv from node 2: S -> I, gen 7");
  EXPECT_EQ(TextOf({.at = now + -1000,
                    .kind = Event::Kind::kSaid,
                    .message = MessageType::kGetS,
                    .peer = NodeId{1},
                    .from = "I",
                    .to = "IS"},
                   now),
            "-0.001 s GetS to node 1: I -> IS");
  EXPECT_EQ(TextOf({.at = now,
                    .message = MessageType::kRecallAck,
                    .peer = NodeId{3},
                    .owner = NodeId{2},
                    .from = "B_RX",
                    .to = "X",
                    .gen = 9,
                    .version = {4, 8, 1}},
                   now),
            "-0.000 s RecallAck from node 3: B_RX -> X of node 2, gen 9, version 4.8.1");
}

TEST_F(MesiEvents, OfALineTheLatestSixteenAreKeptNewestLast) {
  for (int64_t i = 1; i <= 40; ++i) events->Note(kShard, "k", Inv({i * 1000}));
  const std::vector<Bytes> texts = events->Tell({40'000}, "k");
  ASSERT_EQ(texts.size(), Events::kEventsMax);
  EXPECT_EQ(texts.front(), "-0.015 s Inv from node 2: S -> I");
  EXPECT_EQ(texts.back(), "-0.000 s Inv from node 2: S -> I");
  EXPECT_TRUE(events->Tell({40'000}, "other").empty());
}

TEST_F(MesiEvents, ThereAreSoManyLinesAtMostAndTheOldestGoFirst) {
  for (int64_t i = 0; i < 20'000; ++i) events->Note(kShard, std::to_string(i), Inv({i}));
  EXPECT_EQ(events->lines(), Events::kLinesMax);
  EXPECT_FALSE(events->Tell({20'000}, "19999").empty());
  EXPECT_TRUE(events->Tell({20'000}, "0").empty());
}

TEST_F(MesiEvents, WhatSomebodyHasAskedForStaysForAMinute) {
  events->Note(kShard, "k", Inv({0}));
  events->Keep({1}, "k");
  for (int64_t i = 0; i < 20'000; ++i) events->Note(kShard, std::to_string(i), Inv({i}));
  EXPECT_EQ(events->Tell({20'000}, "k").size(), 1u);
  const int64_t later = 20'000 + Events::kKeptUs;
  for (int64_t i = 0; i < 20'000; ++i) events->Note(kShard, std::to_string(i), Inv({later + i}));
  EXPECT_TRUE(events->Tell({later + 20'000}, "k").empty());
}

TEST_F(MesiEvents, WhatBefallsAllLinesOfAShardIsNotedOfThoseThatAreKnown) {
  Event data = Inv({0});
  data.message = MessageType::kDataS;
  data.to = "S";
  events->Note(kShard, "k", data);
  events->Note(kShard, "gone", Inv({0}));
  events->Note(kOtherShard, "elsewhere", data);
  events->NoteOfAll(kShard, {.at = {5000}, .kind = Event::Kind::kOver, .to = "I"});
  EXPECT_EQ(events->Tell({5000}, "k").back(), "-0.000 s session over: S -> I");
  EXPECT_EQ(events->Tell({5000}, "gone").size(), 1u);
  EXPECT_EQ(events->Tell({5000}, "elsewhere").size(), 1u);
  events->NoteIfKnown("never", Inv({5000}));
  EXPECT_TRUE(events->Tell({5000}, "never").empty());
}

}  // namespace
}  // namespace lockstep::mesi
