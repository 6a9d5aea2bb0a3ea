#include "cluster/raft/quorum.h"

namespace lockstep::raft {
namespace {

Tally CountVotesOf(const std::vector<Member>& voters, const std::map<NodeId, bool>& granted_by) {
  size_t granted = 0;
  size_t refused = 0;
  for (const Member& voter : voters) {
    const auto answer = granted_by.find(voter.node);
    if (answer == granted_by.end()) continue;
    ++(answer->second ? granted : refused);
  }
  const size_t majority = voters.size() / 2 + 1;
  if (granted >= majority) return Tally::kWon;
  return voters.size() - refused < majority ? Tally::kLost : Tally::kOpen;
}

}  // namespace

Tally CountVotes(const Config& config, const std::map<NodeId, bool>& granted_by) {
  const Tally incoming = CountVotesOf(config.voters, granted_by);
  const Tally outgoing = config.joint() ? CountVotesOf(config.outgoing, granted_by) : incoming;
  if (incoming == Tally::kLost || outgoing == Tally::kLost) return Tally::kLost;
  return incoming == outgoing ? incoming : Tally::kOpen;
}

}  // namespace lockstep::raft
