// The binary form of a reply, which nodes send each other and keep.
#include "src/resp/reply.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Bytes Encoded(const Reply& reply) {
  Bytes out;
  Writer writer(&out);
  EncodeReply(reply, &writer);
  return out;
}

// Nothing when the input is refused or not all of it is used.
std::optional<Reply> Decoded(BytesView in) {
  Reader reader(in);
  Reply reply = DecodeReply(&reader);
  if (!reader.done()) return std::nullopt;
  return reply;
}

Reply Nested(size_t depth) {
  Reply reply = Reply::Integer(1);
  for (size_t i = 0; i < depth; ++i) reply = Reply::Array({reply});
  return reply;
}

Reply OneOfEach() {
  Reply map = Reply::Map();
  map.Add("name", Reply::Bulk(Bytes("\0\r\n", 3))).Add("waiters", Reply::Set({Reply::Integer(-1)}));
  return Reply::Array({Reply::Nil(), Reply::NilArray(), Reply::Ok(),
                       Reply::Error("FENCED", "a newer token"), map, Reply::Verbatim("text"),
                       Reply::Double(0.1), Reply::Boolean(true), Reply::Boolean(false),
                       Reply::Push({Reply::Bulk("message")}), Reply::Nothing(),
                       Reply::Integer(std::numeric_limits<int64_t>::min()),
                       Reply::Integer(std::numeric_limits<int64_t>::max())});
}

TEST(ReplyTest, EveryKindComesBackAsItWas) {
  for (const Reply& item : OneOfEach().items) {
    EXPECT_EQ(Decoded(Encoded(item)), item) << static_cast<int>(item.kind);
  }
  EXPECT_EQ(Decoded(Encoded(OneOfEach())), OneOfEach());
}

TEST(ReplyTest, NanComesBackAsNan) {
  const auto reply = Decoded(Encoded(Reply::Double(std::nan(""))));
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(std::isnan(reply->number));
}

TEST(ReplyTest, TheFormIsCompact) {
  EXPECT_EQ(Encoded(Reply::Nil()).size(), 1U);
  EXPECT_EQ(Encoded(Reply::Integer(60)).size(), 2U);
  EXPECT_EQ(Encoded(Reply::Ok()).size(), 4U);
}

TEST(ReplyTest, WhatIsCutShortAnywhereIsRefused) {
  const Bytes whole = Encoded(OneOfEach());
  for (size_t size = 0; size < whole.size(); ++size) {
    Reader reader(BytesView(whole).substr(0, size));
    EXPECT_TRUE(DecodeReply(&reader).is_nil()) << size;
    EXPECT_FALSE(reader.ok()) << size;
  }
}

TEST(ReplyTest, ListsNestAsDeepAsClientsReadAndNoDeeper) {
  const Reply deepest = Nested(kReplyDepthMax);
  EXPECT_EQ(Decoded(Encoded(deepest)), deepest);
  const Bytes one_more = Bytes("\x09\x01", 2) + Encoded(deepest);
  ASSERT_EQ(Encoded(Reply::Array({Reply::Nil()})).substr(0, 2), one_more.substr(0, 2));
  EXPECT_EQ(Decoded(one_more), std::nullopt);
}

TEST(ReplyTest, AMillionOpenListsAreRefusedWithoutRecursion) {
  Bytes bomb;
  for (int i = 0; i < 1'000'000; ++i) bomb += Bytes("\x09\x01", 2);
  EXPECT_EQ(Decoded(bomb), std::nullopt);
}

TEST(ReplyTest, ACountIsRefusedWhenTheInputCannotHoldIt) {
  Bytes claim("\x09", 1);
  Writer writer(&claim);
  writer.Varint(1'000'000'000);
  EXPECT_EQ(Decoded(claim), std::nullopt);
}

TEST(ReplyTest, MoreItemsThanAnyCommandAnswersAreRefused) {
  Bytes in("\x09", 1);
  Writer writer(&in);
  writer.Varint(kReplyItemsMax + 1);
  in.append(kReplyItemsMax + 1, '\0');  // Each a nil of one byte here, and a hundred in memory.
  EXPECT_EQ(Decoded(in), std::nullopt);
}

TEST(ReplyTest, ItemsOfAllListsTogetherAreCounted) {
  Bytes in("\x09\x02", 2);
  for (int list = 0; list < 2; ++list) {
    in += '\x09';
    Writer writer(&in);
    writer.Varint(kReplyItemsMax / 2);
    in.append(kReplyItemsMax / 2, '\0');
  }
  EXPECT_EQ(Decoded(in), std::nullopt);
}

TEST(ReplyTest, UnknownKindsOddMapsAndBadBooleansAreRefused) {
  EXPECT_EQ(Decoded(Bytes("\x0e", 1)), std::nullopt);
  EXPECT_EQ(Decoded(Bytes("\xff", 1)), std::nullopt);
  const Bytes map = Encoded(Reply::Map({Reply::Nil(), Reply::Nil()}));
  EXPECT_EQ(Decoded(map.substr(0, 1) + Bytes("\x01\x00", 2)), std::nullopt);
  const Bytes boolean = Encoded(Reply::Boolean(true));
  EXPECT_EQ(Decoded(boolean.substr(0, 1) + "\x02"), std::nullopt);
}

TEST(ReplyTest, TheCostCountsAllThatHangsOnItAndIsAboveTheEncoding) {
  EXPECT_EQ(ReplyCost(Reply::Nil()), kReplyItemCost);
  EXPECT_EQ(ReplyCost(Reply::Bulk(Bytes(1000, 'x'))), kReplyItemCost + 1000);
  const Reply list = Reply::Array({Reply::Bulk(Bytes(1000, 'x')), Reply::Nil()});
  EXPECT_EQ(ReplyCost(list), 3 * kReplyItemCost + 1000);
  EXPECT_GT(ReplyCost(list), Encoded(list).size());
  // What fits the limit of one reply decodes.
  EXPECT_LT(kReplyCostMax / kReplyItemCost, kReplyItemsMax);
}

TEST(ReplyDeathTest, AReplyDeeperThanPeersTakeIsOurBug) {
  EXPECT_DEATH(Encoded(Nested(kReplyDepthMax + 1)), "kReplyDepthMax");
  EXPECT_DEATH(Encoded(Reply::Map({Reply::Nil()})), "kMap");
}

}  // namespace
}  // namespace lockstep
