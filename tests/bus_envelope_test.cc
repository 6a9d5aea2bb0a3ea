// The header in front of every message between nodes.
#include "cluster/bus/envelope.h"

#include <set>

#include <gtest/gtest.h>

#include "src/base/limits.h"

namespace lockstep::bus {
namespace {

Bytes Encoded(const EnvelopeHeader& header, BytesView data = "") {
  Bytes out;
  Writer writer(&out);
  EncodeHeader(header, &writer);
  writer.Raw(data);
  return out;
}

EnvelopeHeader AnyHeader() {
  return {.type = MessageType::kRaft, .sender = NodeId{3}, .term = Term{70}, .group = GroupId{66}};
}

TEST(EnvelopeTest, HeaderAndDataComeBackAsTheyWere) {
  for (int type = 1; type <= static_cast<int>(kMessageTypeLast); ++type) {
    EnvelopeHeader header = AnyHeader();
    header.type = static_cast<MessageType>(type);
    const Bytes body = Encoded(header, Bytes("\0data", 5));
    const auto envelope = DecodeEnvelope(body);
    ASSERT_TRUE(envelope.ok());
    EXPECT_EQ(envelope->header, header);
    EXPECT_EQ(envelope->data, BytesView("\0data", 5));
  }
}

TEST(EnvelopeTest, DataMayBeEmpty) {
  const auto envelope = DecodeEnvelope(Encoded(AnyHeader()));
  ASSERT_TRUE(envelope.ok());
  EXPECT_EQ(envelope->data, "");
}

TEST(EnvelopeTest, AHeaderCutShortIsRefused) {
  const Bytes whole = Encoded(AnyHeader());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeEnvelope(BytesView(whole).substr(0, size)).ok()) << size;
  }
}

TEST(EnvelopeTest, TypesOfNoVersionAreRefused) {
  Bytes body = Encoded(AnyHeader());
  for (const int type : {0, static_cast<int>(kMessageTypeLast) + 1, 255}) {
    body[0] = static_cast<char>(type);
    const auto envelope = DecodeEnvelope(body);
    ASSERT_FALSE(envelope.ok());
    EXPECT_EQ(envelope.error().message, Format("message of unknown type %d", type));
  }
}

TEST(EnvelopeTest, SendersThatNoNodeCanBeAreRefused) {
  for (const uint64_t id : {uint64_t{0}, kNodeIdMax + 1, UINT64_MAX}) {
    EnvelopeHeader header = AnyHeader();
    header.sender = NodeId{id};
    EXPECT_FALSE(DecodeEnvelope(Encoded(header)).ok()) << id;
  }
  EnvelopeHeader last = AnyHeader();
  last.sender = NodeId{kNodeIdMax};
  EXPECT_TRUE(DecodeEnvelope(Encoded(last)).ok());
}

TEST(EnvelopeTest, EachTypeHasItsOwnName) {
  std::set<Bytes> names;
  for (int type = 1; type <= static_cast<int>(kMessageTypeLast); ++type) {
    names.insert(TypeName(static_cast<MessageType>(type)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kMessageTypeLast));
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_STREQ(TypeName(static_cast<MessageType>(200)), "unknown");
}

}  // namespace
}  // namespace lockstep::bus
