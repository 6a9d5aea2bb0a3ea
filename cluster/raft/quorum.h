// Majorities, plain and joint. The same rule decides three things: how far the log is committed
// (matches), which reads are confirmed (read positions), and since when the leader has been without
// its group (times heard).
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <span>

#include "cluster/raft/types.h"
#include "src/base/check.h"
#include "src/base/limits.h"
#include "src/base/planted.h"

namespace lockstep::raft {

// The highest value that a majority has reached. `values` holds one per voter and is reordered. An
// empty group has reached nothing.
template <class T>
T ReachedByMajority(std::span<T> values) {
  if (values.empty()) return T{};

  // In descending order, the element in the middle is reached by all before it and by itself:
  // size/2 + 1 voters, which is a majority for odd and even sizes alike.
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end(), std::greater<>());
  return *middle;
}

template <class T, class ValueOf>
T ReachedByMajorityOf(const std::vector<Member>& voters, const ValueOf& value_of) {
  std::array<T, kNodesMax> values;
  CHECK(voters.size() <= values.size());
  for (size_t i = 0; i < voters.size(); ++i) values[i] = value_of(voters[i]);
  return ReachedByMajority(std::span<T>(values.data(), voters.size()));
}

// What the group as a whole has reached: in a joint configuration both halves must have (thesis
// §4.3). O(voters).
template <class T, class ValueOf>
T ReachedByQuorum(const Config& config, const ValueOf& value_of) {
  if (Planted(Mutant::kLearnerCounted) && !config.learners.empty() && !config.joint()) {
    std::vector<Member> counted = config.voters;
    counted.back() = config.learners.back();
    return ReachedByMajorityOf<T>(counted, value_of);
  }
  const T reached = ReachedByMajorityOf<T>(config.voters, value_of);
  if (!config.joint()) return reached;
  if (Planted(Mutant::kRemovedMemberCounted)) {
    return ReachedByMajorityOf<T>(config.outgoing, value_of);
  }
  return std::min(reached, ReachedByMajorityOf<T>(config.outgoing, value_of));
}

enum class Tally : uint8_t { kOpen, kWon, kLost };

// Won when each half has a majority of grants; lost as soon as one half cannot have it any more.
// Answers of nodes that are no voters do not count.
Tally CountVotes(const Config& config, const std::map<NodeId, bool>& granted_by);

}  // namespace lockstep::raft
