#include "cluster/raft/types.h"

#include <algorithm>

#include "src/base/codec.h"
#include "src/base/limits.h"

namespace lockstep::raft {
namespace {

// Lists hold at most kNodesMax members, so a walk is as quick as a search.
const Member* Find(const std::vector<Member>& members, NodeId node) {
  for (const Member& member : members) {
    if (member.node == node) return &member;
  }
  return nullptr;
}

void EncodeMembers(const std::vector<Member>& members, Writer* out) {
  out->Varint(members.size());
  for (const Member& member : members) {
    out->Put(member.node);
    out->U64(member.disk.value);  // Random: a varint would be longer.
  }
}

constexpr size_t kMemberBytesMin = 1 + 8;

// In order of node and each node once, else the reader fails: one encoding per value.
std::vector<Member> DecodeMembers(Reader* in) {
  std::vector<Member> members;
  const size_t count = in->Count(kMemberBytesMin);
  if (count > kNodesMax) in->Fail();
  for (size_t i = 0; i < count && in->ok(); ++i) {
    Member member;
    member.node = in->Get<NodeId>();
    member.disk = DiskId{in->U64()};
    const bool in_range = member.node != kNoNode && member.node.value <= kNodeIdMax;
    const bool in_order = members.empty() || members.back().node < member.node;
    if (!in_range || !in_order) in->Fail();
    members.push_back(member);
  }
  return members;
}

bool SameDiskWhereNamed(const std::vector<Member>& members, const std::vector<Member>& outgoing) {
  return std::all_of(members.begin(), members.end(), [&](const Member& member) {
    const Member* before = Find(outgoing, member.node);
    return before == nullptr || before->disk == member.disk;
  });
}

}  // namespace

bool Config::IsVoter(NodeId node) const {
  return Find(voters, node) != nullptr || Find(outgoing, node) != nullptr;
}

// A voter that becomes a learner votes until the joint configuration is left.
bool Config::IsLearner(NodeId node) const {
  return Find(learners, node) != nullptr && !IsVoter(node);
}

bool Config::Contains(NodeId node) const {
  return IsVoter(node) || Find(learners, node) != nullptr;
}

DiskId Config::DiskOf(NodeId node) const {
  for (const auto* members : {&voters, &outgoing, &learners}) {
    if (const Member* member = Find(*members, node)) return member->disk;
  }
  return DiskId{0};
}

std::vector<NodeId> Config::All() const {
  std::vector<NodeId> nodes;
  for (const auto* members : {&voters, &outgoing, &learners}) {
    for (const Member& member : *members) nodes.push_back(member.node);
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

// A group without members is whole: a node that is about to be added starts with one. Members
// without voters are not: nobody could ever decide anything.
bool Config::Valid() const {
  const auto sorted = [](const std::vector<Member>& members) {
    for (size_t i = 0; i < members.size(); ++i) {
      const NodeId node = members[i].node;
      if (node == kNoNode || node.value > kNodeIdMax) return false;
      if (i > 0 && members[i - 1].node >= node) return false;
    }
    return members.size() <= kNodesMax;
  };
  if (!sorted(voters) || !sorted(outgoing) || !sorted(learners)) return false;
  if (voters.empty() && !(outgoing.empty() && learners.empty())) return false;
  for (const Member& learner : learners) {
    if (Find(voters, learner.node) != nullptr) return false;
  }
  // A node answers with one disk. Were it named with two, its one answer would count for both.
  return SameDiskWhereNamed(voters, outgoing) && SameDiskWhereNamed(learners, outgoing);
}

Bytes EncodeConfig(const Config& config) {
  Bytes bytes;
  Writer out(&bytes);
  EncodeMembers(config.voters, &out);
  EncodeMembers(config.outgoing, &out);
  EncodeMembers(config.learners, &out);
  return bytes;
}

bool DecodeConfig(BytesView bytes, Config* out) {
  Reader in(bytes);
  Config config;
  config.voters = DecodeMembers(&in);
  config.outgoing = DecodeMembers(&in);
  config.learners = DecodeMembers(&in);
  if (!in.done() || !config.Valid()) return false;
  *out = std::move(config);
  return true;
}

}  // namespace lockstep::raft
