#include "cluster/raft/quorum.h"

#include <gtest/gtest.h>

#include "src/base/rng.h"

namespace lockstep::raft {
namespace {

Member Of(uint64_t node) {
  return {NodeId{node}, DiskId{node}};
}
std::vector<Member> MembersUpTo(uint64_t nodes) {
  std::vector<Member> members;
  for (uint64_t node = 1; node <= nodes; ++node) members.push_back(Of(node));
  return members;
}
Config Voters(std::vector<Member> voters, std::vector<Member> outgoing = {}) {
  return {.voters = std::move(voters), .outgoing = std::move(outgoing), .learners = {}};
}

uint64_t Majority(std::vector<uint64_t> values) {
  return ReachedByMajority(std::span<uint64_t>(values));
}

TEST(RaftQuorumTest, AnEmptyGroupHasReachedNothing) {
  EXPECT_EQ(Majority({}), 0u);
}

TEST(RaftQuorumTest, AVoterAloneDecides) {
  EXPECT_EQ(Majority({7}), 7u);
}

TEST(RaftQuorumTest, TwoVotersNeedEachOther) {
  EXPECT_EQ(Majority({7, 3}), 3u);
}

TEST(RaftQuorumTest, OfThreeTheMiddleOneCounts) {
  EXPECT_EQ(Majority({1, 9, 5}), 5u);
}

TEST(RaftQuorumTest, OfFourThreeAreNeeded) {
  EXPECT_EQ(Majority({1, 9, 5, 7}), 5u);
}

TEST(RaftQuorumTest, EveryMajorityIsCountedAndNoMinority) {
  Rng rng(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint64_t> values(1 + rng.Below(9));
    for (uint64_t& value : values) value = rng.Below(6);

    // By definition: the highest value that more than half have reached.
    uint64_t expected = 0;
    for (uint64_t candidate = 0; candidate < 6; ++candidate) {
      const auto reached = std::count_if(values.begin(), values.end(),
                                         [&](uint64_t value) { return value >= candidate; });
      if (2 * static_cast<size_t>(reached) > values.size()) expected = candidate;
    }
    EXPECT_EQ(Majority(values), expected);
  }
}

TEST(RaftQuorumTest, AJointConfigurationNeedsBothHalves) {
  const auto match = [](const Member& member) { return Index{member.node.value}; };
  EXPECT_EQ(ReachedByQuorum<Index>(Voters({Of(7), Of(8), Of(9)}), match), Index{8});
  EXPECT_EQ(ReachedByQuorum<Index>(Voters({Of(7), Of(8), Of(9)}, {Of(1), Of(2), Of(3)}), match),
            Index{2});
  EXPECT_EQ(ReachedByQuorum<Index>(Voters({Of(1), Of(2), Of(3)}, {Of(7), Of(8), Of(9)}), match),
            Index{2});
}

TEST(RaftQuorumTest, ABallotIsOpenUntilAMajorityHasSpoken) {
  const Config config = Voters(MembersUpTo(5));
  std::map<NodeId, bool> votes;
  EXPECT_EQ(CountVotes(config, votes), Tally::kOpen);
  votes[NodeId{1}] = true;
  votes[NodeId{2}] = true;
  EXPECT_EQ(CountVotes(config, votes), Tally::kOpen);
  votes[NodeId{3}] = false;
  votes[NodeId{4}] = false;
  EXPECT_EQ(CountVotes(config, votes), Tally::kOpen);
  votes[NodeId{5}] = true;
  EXPECT_EQ(CountVotes(config, votes), Tally::kWon);
  votes[NodeId{5}] = false;
  EXPECT_EQ(CountVotes(config, votes), Tally::kLost);
}

TEST(RaftQuorumTest, HalfOfAnEvenGroupIsNoMajorityButItsRefusalIsEnough) {
  const Config config = Voters(MembersUpTo(4));
  EXPECT_EQ(CountVotes(config, {{NodeId{1}, true}, {NodeId{2}, true}}), Tally::kOpen);
  EXPECT_EQ(CountVotes(config, {{NodeId{1}, false}, {NodeId{2}, false}}), Tally::kLost);
}

TEST(RaftQuorumTest, VotesOfStrangersDoNotCount) {
  const Config config = Voters(MembersUpTo(3));
  EXPECT_EQ(CountVotes(config, {{NodeId{1}, true}, {NodeId{8}, true}, {NodeId{9}, true}}),
            Tally::kOpen);
}

TEST(RaftQuorumTest, AJointBallotIsWonInBothHalvesAndLostInEither) {
  const Config config = Voters({Of(3), Of(4), Of(5)}, {Of(1), Of(2), Of(3)});
  std::map<NodeId, bool> votes = {{NodeId{3}, true}, {NodeId{4}, true}};
  EXPECT_EQ(CountVotes(config, votes), Tally::kOpen);
  votes[NodeId{1}] = true;
  EXPECT_EQ(CountVotes(config, votes), Tally::kWon);
  votes[NodeId{1}] = votes[NodeId{2}] = false;
  EXPECT_EQ(CountVotes(config, votes), Tally::kLost);
}

}  // namespace
}  // namespace lockstep::raft
