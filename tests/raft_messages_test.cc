#include "cluster/raft/messages.h"

#include <gtest/gtest.h>

#include "src/base/limits.h"
#include "src/base/rng.h"

namespace lockstep::raft {
namespace {

Bytes Encoded(const Body& body) {
  Bytes bytes;
  Writer out(&bytes);
  EncodeBody(body, &out);
  return bytes;
}

// All of `bytes` as one body.
std::optional<Body> Decoded(BytesView bytes) {
  Reader in(bytes);
  Body body;
  if (!DecodeBody(&in, &body) || !in.done()) return std::nullopt;
  return body;
}

// Small and large, with the powers of two where encodings change their length.
// Of any size that a term or an index may have (Reader::kCountMax), less the few that come behind.
uint64_t AnyNumber(Rng* rng) {
  const uint64_t bits = 3 + rng->Below(61);
  return rng->Next() >> bits;
}
LogId AnyId(Rng* rng) {
  return {Term{AnyNumber(rng)}, Index{AnyNumber(rng) / 2}};
}
ClusterTime AnyTime(Rng* rng) {
  return {static_cast<int64_t>(AnyNumber(rng) >> 11)};
}
bool AnyBool(Rng* rng) {
  return rng->Below(2) == 1;
}
Bytes AnyBytes(Rng* rng, size_t max) {
  Bytes bytes(rng->Below(max + 1), '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng->Next());
  return bytes;
}

Config AnyConfig(Rng* rng) {
  Config config;
  const bool joint = AnyBool(rng);
  for (uint64_t node = 1; node <= 9; ++node) {
    const Member member{NodeId{node * 1000}, DiskId{rng->Next()}};
    const uint64_t part = rng->Below(3);
    if (part == 0) config.voters.push_back(member);
    if (part == 1) config.learners.push_back(member);
    if (joint && AnyBool(rng)) config.outgoing.push_back(member);
  }
  if (config.voters.empty()) config.voters.push_back({NodeId{77'777}, DiskId{rng->Next()}});
  return config;
}

std::vector<Entry> AnyEntriesAfter(LogId previous, Rng* rng) {
  std::vector<Entry> entries(rng->Below(5));
  ClusterTime time = AnyTime(rng);
  for (Entry& entry : entries) {
    time.ms += static_cast<int64_t>(rng->Below(1000)) * (time.ms < 1'000'000 ? 1 : 0);
    previous.term.value = std::max<uint64_t>(previous.term.value, 1);
    previous.index = Next(previous.index);
    entry.id = previous;
    entry.time = time;
    entry.kind = static_cast<EntryKind>(rng->Below(4));
    if (entry.kind == EntryKind::kConfig) entry.data = EncodeConfig(AnyConfig(rng));
    if (entry.kind == EntryKind::kOp) entry.data = AnyBytes(rng, 300);
  }
  return entries;
}

Body AnyBody(Rng* rng) {
  switch (rng->Below(std::variant_size_v<Body>)) {
    case 0:
      return VoteRequest{.pre = AnyBool(rng), .transfer = AnyBool(rng), .last = AnyId(rng)};
    case 1:
      return VoteReply{.pre = AnyBool(rng), .granted = AnyBool(rng)};
    case 2: {
      AppendRequest request;
      request.previous = AnyId(rng);
      request.commit = Index{AnyNumber(rng)};
      request.time = AnyTime(rng);
      request.entries = AnyEntriesAfter(request.previous, rng);
      return request;
    }
    case 3:
      return AppendReply{.success = AnyBool(rng),
                         .match = Index{AnyNumber(rng)},
                         .hint = AnyId(rng),
                         .rejected = Index{AnyNumber(rng)}};
    case 4:
      return HeartbeatRequest{
          .commit = Index{AnyNumber(rng)}, .read_position = AnyNumber(rng), .time = AnyTime(rng)};
    case 5:
      return HeartbeatReply{.read_position = AnyNumber(rng)};
    case 6: {
      SnapshotChunk chunk;
      chunk.last = AnyId(rng);
      chunk.time = AnyTime(rng);
      chunk.config = AnyConfig(rng);
      chunk.data = AnyBytes(rng, 500);
      chunk.offset = rng->Below(10'000);
      chunk.total = chunk.offset + chunk.data.size() + rng->Below(10'000);
      chunk.checksum = static_cast<uint32_t>(rng->Next());
      return chunk;
    }
    case 7:
      return SnapshotReply{.last = AnyId(rng),
                           .offset = AnyNumber(rng),
                           .installed = AnyBool(rng),
                           .match = Index{AnyNumber(rng)}};
    default:
      return TimeoutNow{};
  }
}

TEST(RaftMessagesTest, WhatIsEncodedIsDecoded) {
  Rng rng(1);
  for (int i = 0; i < 5000; ++i) {
    const Body body = AnyBody(&rng);
    const std::optional<Body> decoded = Decoded(Encoded(body));
    ASSERT_TRUE(decoded.has_value()) << TypeName(body) << " round " << i;
    ASSERT_EQ(*decoded, body);
  }
}

TEST(RaftMessagesTest, EveryTruncationIsRefused) {
  Rng rng(2);
  for (int i = 0; i < 500; ++i) {
    const Bytes bytes = Encoded(AnyBody(&rng));
    for (size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_FALSE(Decoded(BytesView(bytes).substr(0, size)).has_value()) << "at " << size;
    }
  }
}

TEST(RaftMessagesTest, NothingMayFollowABody) {
  Rng rng(3);
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(Decoded(Encoded(AnyBody(&rng)) + '\0').has_value());
}

// What damage or malice makes of a message is refused or is another message, with one encoding.
TEST(RaftMessagesTest, DamagedBytesAreRefusedOrMeanExactlyOneMessage) {
  Rng rng(4);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = Encoded(AnyBody(&rng));
    for (uint64_t flips = 1 + rng.Below(4); flips > 0; --flips) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    }
    const std::optional<Body> decoded = Decoded(bytes);
    if (decoded) {
      ASSERT_EQ(Encoded(*decoded), bytes);
    }
  }
}

TEST(RaftMessagesTest, RandomBytesNeverCrash) {
  Rng rng(5);
  for (int i = 0; i < 50'000; ++i) {
    Bytes bytes = AnyBytes(&rng, 64);
    if (!bytes.empty()) bytes[0] = static_cast<char>(rng.Below(10));
    const std::optional<Body> decoded = Decoded(bytes);
    if (decoded) {
      ASSERT_EQ(Encoded(*decoded), bytes);
    }
    Config config;
    if (DecodeConfig(bytes, &config)) {
      ASSERT_EQ(EncodeConfig(config), bytes);
    }
  }
}

TEST(RaftMessagesTest, EachTypeHasAName) {
  EXPECT_STREQ(TypeName(VoteRequest{}), "vote");
  EXPECT_STREQ(TypeName(AppendRequest{}), "append");
  EXPECT_STREQ(TypeName(HeartbeatReply{}), "heartbeat-reply");
  EXPECT_STREQ(TypeName(TimeoutNow{}), "timeout-now");
}

TEST(RaftMessagesTest, AnUnknownTypeIsRefused) {
  for (int type = std::variant_size_v<Body>; type < 256; ++type) {
    EXPECT_FALSE(Decoded(Bytes(1, static_cast<char>(type))).has_value());
  }
}

class RaftBadAppendTest : public ::testing::Test {
 protected:
  RaftBadAppendTest() {
    request_.previous = {Term{2}, Index{7}};
    for (uint64_t index = 8; index <= 10; ++index) {
      request_.entries.push_back({.id = {Term{3}, Index{index}},
                                  .time = {static_cast<int64_t>(100 * index)},
                                  .kind = EntryKind::kOp,
                                  .data = "x"});
    }
  }
  bool Accepted() const { return Decoded(Encoded(request_)).has_value(); }
  AppendRequest request_;
};

TEST_F(RaftBadAppendTest, EntriesThatFollowEachOtherAreAccepted) {
  EXPECT_TRUE(Accepted());
}

TEST_F(RaftBadAppendTest, AGapIsRefused) {
  request_.entries[1].id.index = Index{10};
  EXPECT_FALSE(Accepted());
}

TEST_F(RaftBadAppendTest, AFirstEntryThatDoesNotFollowIsRefused) {
  request_.previous.index = Index{6};
  EXPECT_FALSE(Accepted());
}

TEST_F(RaftBadAppendTest, AFallingTermIsRefused) {
  request_.entries[2].id.term = Term{2};
  EXPECT_FALSE(Accepted());
}

TEST_F(RaftBadAppendTest, AFallingStampIsRefused) {
  request_.entries[2].time = {850};
  EXPECT_FALSE(Accepted());
}

TEST_F(RaftBadAppendTest, AnUnknownKindIsRefused) {
  request_.entries[2].kind = static_cast<EntryKind>(4);
  EXPECT_FALSE(Accepted());
}

TEST_F(RaftBadAppendTest, AConfigurationEntryMustHoldOne) {
  request_.entries[2].kind = EntryKind::kConfig;
  EXPECT_FALSE(Accepted());
  request_.entries[2].data = EncodeConfig(Config{});  // One in which nobody could ever decide.
  EXPECT_FALSE(Accepted());
  request_.entries[2].data =
      EncodeConfig({.voters = {{NodeId{1}, DiskId{1}}}, .outgoing = {}, .learners = {}});
  EXPECT_TRUE(Accepted());
}

TEST_F(RaftBadAppendTest, AStampOutsideAllTimeIsRefused) {
  request_.entries[0].time = {-1};
  EXPECT_FALSE(Accepted());
  request_.entries[0].time = {800};
  request_.entries[2].time = {std::numeric_limits<int64_t>::max()};
  EXPECT_FALSE(Accepted());
}

// A count must not ask for memory that its bytes could not fill.
TEST_F(RaftBadAppendTest, ACountBeyondTheBytesIsRefusedBeforeAnythingIsAllocated) {
  request_.entries.clear();
  Bytes bytes = Encoded(request_);
  bytes.pop_back();  // The count, zero.
  Writer(&bytes).Varint(uint64_t{1} << 60);
  EXPECT_FALSE(Decoded(bytes).has_value());
}

TEST(RaftMessagesTest, APieceBeyondItsSnapshotIsRefused) {
  SnapshotChunk chunk;
  chunk.config.voters = {{NodeId{1}, DiskId{1}}};
  chunk.data = "1234";
  chunk.offset = 6;
  chunk.total = 10;
  EXPECT_TRUE(Decoded(Encoded(chunk)).has_value());
  chunk.total = 9;
  EXPECT_FALSE(Decoded(Encoded(chunk)).has_value());
  chunk.total = 5;
  EXPECT_FALSE(Decoded(Encoded(chunk)).has_value());
  chunk.total = kSnapshotBytesMax + 1;
  EXPECT_FALSE(Decoded(Encoded(chunk)).has_value());
  chunk.total = kSnapshotBytesMax;
  chunk.data = Bytes(kSnapshotChunkBytes + 1, 'x');
  EXPECT_FALSE(Decoded(Encoded(chunk)).has_value());
}

// Configurations --------------------------------------------------------------------------------

Member Of(uint64_t node, uint64_t disk = 5) {
  return {NodeId{node}, DiskId{disk}};
}
bool Survives(const Config& config) {
  Config decoded;
  return DecodeConfig(EncodeConfig(config), &decoded) && decoded == config;
}

TEST(RaftConfigTest, AGroupThatWaitsForItsMembersIsWhole) {
  EXPECT_TRUE(Survives({}));
}

TEST(RaftConfigTest, AnUnsortedListIsRefused) {
  EXPECT_TRUE(Survives({.voters = {Of(1), Of(2)}, .outgoing = {}, .learners = {}}));
  EXPECT_FALSE(Survives({.voters = {Of(2), Of(1)}, .outgoing = {}, .learners = {}}));
  EXPECT_FALSE(Survives({.voters = {Of(1), Of(1)}, .outgoing = {}, .learners = {}}));
}

TEST(RaftConfigTest, NobodyIsVoterAndLearnerBeyondTheJointPhase) {
  EXPECT_FALSE(Survives({.voters = {Of(1), Of(2)}, .outgoing = {}, .learners = {Of(2)}}));
  const Config demotes{.voters = {Of(1)}, .outgoing = {Of(1), Of(2)}, .learners = {Of(2)}};
  EXPECT_TRUE(Survives(demotes));
  EXPECT_TRUE(demotes.IsVoter(NodeId{2}));
  EXPECT_FALSE(demotes.IsLearner(NodeId{2}));
}

TEST(RaftConfigTest, MembersWithoutVotersAreRefused) {
  EXPECT_FALSE(Survives({.voters = {}, .outgoing = {}, .learners = {Of(1)}}));
  EXPECT_FALSE(Survives({.voters = {}, .outgoing = {Of(1)}, .learners = {}}));
}

TEST(RaftConfigTest, ANodeIsNamedWithOneDisk) {
  EXPECT_FALSE(Survives({.voters = {Of(1), Of(2, 6)}, .outgoing = {Of(1), Of(2)}, .learners = {}}));
}

TEST(RaftConfigTest, NodeNumbersHaveBounds) {
  EXPECT_FALSE(Survives({.voters = {Of(0)}, .outgoing = {}, .learners = {}}));
  EXPECT_TRUE(Survives({.voters = {Of(kNodeIdMax)}, .outgoing = {}, .learners = {}}));
  EXPECT_FALSE(Survives({.voters = {Of(kNodeIdMax + 1)}, .outgoing = {}, .learners = {}}));
}

TEST(RaftConfigTest, AllNamesEachOnceAndDisksAreFound) {
  const Config config{.voters = {Of(3, 30), Of(5, 50)},
                      .outgoing = {Of(1, 10), Of(3, 30)},
                      .learners = {Of(1, 10), Of(4, 40)}};
  ASSERT_TRUE(config.Valid());
  EXPECT_EQ(config.All(), (std::vector<NodeId>{NodeId{1}, NodeId{3}, NodeId{4}, NodeId{5}}));
  EXPECT_EQ(config.DiskOf(NodeId{1}), DiskId{10});
  EXPECT_EQ(config.DiskOf(NodeId{9}), DiskId{0});
  EXPECT_TRUE(config.IsLearner(NodeId{4}));
  EXPECT_FALSE(config.Contains(NodeId{9}));
}

}  // namespace
}  // namespace lockstep::raft
