// What gateways and leaders say to each other, as bytes.
#include "src/forwarding.h"

#include <gtest/gtest.h>

#include <set>

#include "src/base/rng.h"

namespace lockstep {
namespace {

Forward SomeForward() {
  Forward forward{{DiskId{7}, 3, 1}, 42, 5, 17, {}, {}};
  forward.answered.below = 18;
  forward.answered.others.AddRun(20, 25);
  forward.answered.others.Add(30);
  forward.requests.push_back({Forward::Kind::kWrite, 19, "acquire"});
  forward.requests.push_back({Forward::Kind::kRead, 31, "info"});
  forward.requests.push_back({Forward::Kind::kOpenSession, 0, {}});
  return forward;
}

TEST(Forwarding, AForwardComesOutAsItWentIn) {
  const Forward forward = SomeForward();
  Bytes bytes;
  Writer out(&bytes);
  EncodeForward(forward, &out);

  Forward read;
  Reader in(bytes);
  ASSERT_TRUE(DecodeForward(&in, &read));
  EXPECT_EQ(read.session, forward.session);
  EXPECT_EQ(read.incarnation, 42U);
  EXPECT_EQ(read.position, 17U);
  ASSERT_EQ(read.requests.size(), 3U);
  EXPECT_EQ(read.answered.below, 18U);
  EXPECT_EQ(read.answered.others, forward.answered.others);
  EXPECT_EQ(read.requests[0].op, "acquire");
  EXPECT_EQ(read.requests[1].kind, Forward::Kind::kRead);
}

TEST(Forwarding, AForwardThatIsCutShortIsRefused) {
  Bytes bytes;
  Writer out(&bytes);
  EncodeForward(SomeForward(), &out);
  for (size_t size = 0; size < bytes.size(); ++size) {
    Forward read;
    Reader in(BytesView(bytes).substr(0, size));
    EXPECT_FALSE(DecodeForward(&in, &read)) << size;
  }
}

TEST(Forwarding, BytesOfAnyKindNeitherCrashNorAskForMoreMemoryThanTheyAre) {
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes;
    Writer out(&bytes);
    EncodeForward(SomeForward(), &out);
    for (uint64_t edits = rng.Below(4); edits > 0; --edits) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next() & 0xff);
    }
    Forward forward;
    Reader in(bytes);
    if (DecodeForward(&in, &forward)) {
      EXPECT_LE(forward.requests.size(), bytes.size());
    }
    ForwardAnswer answer;
    Reader again(bytes);
    (void)DecodeForwardAnswer(&again, &answer);
    ForwardNack nack;
    Reader third(bytes);
    (void)DecodeForwardNack(&third, &nack);
  }
}

// An operation always has bytes, and the last number is nobody's: what says otherwise would stop
// the leader, or make an entry unreadable for those who share it.
TEST(Forwarding, ARequestThatNoGatewayMakesIsRefused) {
  for (const Forward::Request& bad : {Forward::Request{Forward::Kind::kWrite, 19, {}},
                                      Forward::Request{Forward::Kind::kWrite, UINT64_MAX, "op"}}) {
    Forward forward = SomeForward();
    forward.requests.push_back(bad);
    Bytes bytes;
    Writer out(&bytes);
    EncodeForward(forward, &out);
    Forward read;
    Reader in(bytes);
    EXPECT_FALSE(DecodeForward(&in, &read)) << bad.seq;
  }
}

TEST(Forwarding, AnAnswerCarriesItsReplies) {
  ForwardAnswer answer{{DiskId{7}, 3, 1}, 42, 5, 18, 7, {}};
  answer.answers.push_back({19, Reply::Integer(100)});
  answer.answers.push_back({20, Reply::Error("DEADLOCK", "a -> b -> a")});
  Bytes bytes;
  Writer out(&bytes);
  EncodeForwardAnswer(answer, &out);

  ForwardAnswer read;
  Reader in(bytes);
  ASSERT_TRUE(DecodeForwardAnswer(&in, &read));
  EXPECT_EQ(read.taken, 18U);
  EXPECT_EQ(read.given, 7U);
  ASSERT_EQ(read.answers.size(), 2U);
  EXPECT_EQ(read.answers[1].reply, answer.answers[1].reply);
}

TEST(Forwarding, ALeaderTellsWhatItLeads) {
  const Lead lead{.group = ShardGroup(7),
                  .term = Term{3},
                  .voters = {NodeId{1}, NodeId{2}, NodeId{5}},
                  .learners = {NodeId{4}},
                  .changing = true,
                  .config_index = Index{850},
                  .place = Index{900},
                  .incarnation = 42,
                  .stream = 6,
                  .given = 18};
  const auto encoded = [](const Lead& one) {
    Bytes bytes;
    Writer out(&bytes);
    EncodeLeads({one, one}, &out);
    return bytes;
  };
  const auto decodes = [](const Bytes& bytes, std::vector<Lead>* leads) {
    Reader in(bytes);
    return DecodeLeads(&in, leads);
  };
  std::vector<Lead> read;
  ASSERT_TRUE(decodes(encoded(lead), &read));
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[1].group, lead.group);
  EXPECT_EQ(read[1].voters, lead.voters);
  EXPECT_EQ(read[1].learners, lead.learners);
  EXPECT_TRUE(read[1].changing);
  EXPECT_EQ(read[1].config_index, lead.config_index);
  EXPECT_EQ(read[1].place, lead.place);
  EXPECT_EQ(std::tuple(read[1].incarnation, read[1].stream, read[1].given), std::tuple(42, 6, 18));

  Lead bad = lead;
  bad.group = kLocksGroup;  // Every node keeps it.
  EXPECT_FALSE(decodes(encoded(bad), &read));
  bad = lead;
  bad.term = Term{};
  EXPECT_FALSE(decodes(encoded(bad), &read));
  bad = lead;
  bad.voters.resize(1000, NodeId{1});
  EXPECT_FALSE(decodes(encoded(bad), &read));
}

TEST(IntervalSets, RunsThatTouchBecomeOne) {
  IntervalSet set;
  set.AddRun(10, 12);
  set.AddRun(14, 16);
  EXPECT_EQ(set.runs(), 2U);
  set.AddRun(12, 14);
  EXPECT_EQ(set.runs(), 1U);
  EXPECT_TRUE(set.Contains(13));
  EXPECT_FALSE(set.Contains(16));
}

TEST(IntervalSets, BehaveAsSetsOfNumbers) {
  Rng rng(3);
  IntervalSet runs;
  std::set<uint64_t> numbers;
  for (int i = 0; i < 5000; ++i) {
    if (rng.Below(20) == 0) {
      const uint64_t below = rng.Below(200);
      runs.DropBelow(below);
      numbers.erase(numbers.begin(), numbers.lower_bound(below));
    } else {
      const uint64_t from = rng.Below(200);
      const uint64_t to = from + rng.Below(6);
      runs.AddRun(from, to);
      for (uint64_t v = from; v < to; ++v) numbers.insert(v);
    }
    for (uint64_t v = 0; v < 210; ++v) ASSERT_EQ(runs.Contains(v), numbers.contains(v));
    Bytes bytes;
    Writer out(&bytes);
    runs.Encode(&out);
    Reader in(bytes);
    ASSERT_EQ(IntervalSet::Decode(&in), runs);
    ASSERT_TRUE(in.done());
  }
}

}  // namespace
}  // namespace lockstep
