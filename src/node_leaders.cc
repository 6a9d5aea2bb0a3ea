// The node's side of leadership: who is to lead which group, and handing over.
//
// A shard's leader is the node that the placement in group `control` names, as soon as that node
// has been there for a while and has all there is; groups `control` and `locks` are led by whoever
// was elected.
#include <algorithm>

#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/node_core.h"

namespace lockstep {
namespace {

// A node that comes and goes moves nothing: it is given something to lead only after it has stayed
// so long, and by a leader that has led for so long: it may have been handed over a moment ago.
constexpr int64_t kSettledUs = 3 * kUsPerSecond;
constexpr int64_t kLedForUs = 5 * kUsPerSecond;
// A leader that hands over takes nothing until its successor has the rest of the log: not much.
constexpr uint64_t kBehindMax = 32;
constexpr int64_t kPutOffUsMax = 5 * kUsPerSecond;
constexpr int64_t kLeadsUs = 500 * kUsPerMs;

}  // namespace

// Of several that have as much not the same one for every group.
NodeId Node::Parts::BestSuccessor(const Group& group,
                                  const std::function<bool(NodeId)>& may_lead) const {
  const raft::Raft& raft = group.raft();
  const auto rank = [&group](NodeId node) { return HashMix(group.id().value, node.value); };
  NodeId best = kNoNode;
  Index match;
  for (const raft::MemberStatus& member : raft.members()) {
    if (!member.voter || !member.active || member.member.node == me.node) continue;
    if (!may_lead(member.member.node)) continue;
    const bool as_far = member.match == match && rank(member.member.node) > rank(best);
    if (best != kNoNode && member.match <= match && !as_far) continue;
    best = member.member.node;
    match = member.match;
  }
  return best;
}

Result<void> Node::Parts::TransferLeadership(GroupId id, NodeId target) {
  const auto found = groups.find(id);
  if (found == groups.end()) return Error{Format("there is no group %lu", id.value)};
  const raft::Raft& raft = found->second->raft();
  const Lead* told = gateway.ToldOf(now, id);
  const bool votes = told == nullptr
                         ? raft.config().IsVoter(target)
                         : std::count(told->voters.begin(), told->voters.end(), target) > 0;
  if (!votes) {
    return Error{Format("node %lu is no voter of group %s", target.value,
                        found->second->name().c_str())};
  }
  const NodeId leader = gateway.LeaderOf(now, id);
  if (leader == kNoNode) {
    return Error{Format("group %s has no leader now", found->second->name().c_str())};
  }
  if (raft.is_leader()) {
    Move(id, target);
  } else {
    outbox.Send(leader, bus::Lane::kControl, bus::MessageType::kTransfer, id, raft.term(),
                [target](Writer* out) { out->Put(target); });
  }
  return {};
}

// As soon as it costs nobody anything: its lines may still be coming from the leader before.
void Node::Parts::Move(GroupId id, NodeId target) {
  moves[id] = {target, now + kPutOffUsMax};
  GoOnMoving();
}

void Node::Parts::GoOnMoving() {
  std::erase_if(moves, [this](const auto& one) {
    const auto& [id, move] = one;
    if (!groups.at(id)->raft().is_leader() || now >= move.second) return true;
    if (cache != nullptr && !cache->ReadyToMove(now, id)) return false;
    groups.at(id)->MutableRaft().TransferLeadership(now, move.first);
    return true;
  });
}

// Of the two groups that are in no placement, g belongs to the g-th voter.
NodeId Node::Parts::WantedLeader(const Group& group) const {
  if (IsShard(group.id())) {
    return control() == nullptr ? kNoNode : control()->LeaderOf(ShardOf(group.id()));
  }
  const std::vector<raft::Member>& voters = group.raft().config().voters;
  return voters.empty() ? kNoNode : voters[group.id().value % voters.size()].node;
}

void Node::Parts::Rebalance() {
  for (const auto& [id, group] : groups) {
    const NodeId wanted = WantedLeader(*group);
    if (wanted == kNoNode || gateway.LeaderOf(now, id) == wanted) continue;
    (void)TransferLeadership(id, wanted);
  }
}

// One at a time: each is a moment in which its shard takes nothing.
void Node::Parts::FollowPlacement() {
  if (terminating || groups.empty() || !groups.at(kControlGroup)->IsCurrent()) return;
  if (!moves.empty()) return;
  for (const auto& [id, group] : groups) {
    if (!IsShard(id) || !group->raft().is_leader()) continue;
    const NodeId wanted = WantedLeader(*group);
    Leading& leading = leading_since[id];
    if (leading.term != group->raft().term()) leading = {group->raft().term(), now};
    if (now - leading.since < kLedForUs) continue;
    if (wanted == kNoNode || wanted == me.node || !MayTakeOver(*group, wanted)) continue;
    leading.since = now;  // Should it fail.
    return Move(id, wanted);
  }
}

bool Node::Parts::MayTakeOver(const Group& group, NodeId id) const {
  if (!peers.linked(id) || peers.failed(id)) return false;
  const Peers::Peer* peer = peers.Find(id);
  if (now - peer->linked_since < kSettledUs) return false;
  const raft::Raft& raft = group.raft();
  const std::vector<raft::MemberStatus> members = raft.members();
  return std::any_of(members.begin(), members.end(), [&](const raft::MemberStatus& member) {
    return member.member.node == id && member.voter && member.active &&
           member.match.value + kBehindMax >= raft.last().index.value;
  });
}

// Nodes that keep nothing of a group, or not all of it yet, hear of it from its leader: at once
// when that or the members have changed, and again and again.
void Node::Parts::NoteLeading(const Group& group) {
  const raft::Raft& raft = group.raft();
  const bool leads = IsShard(group.id()) && raft.is_leader();
  if (leads && leads_told[group.id()] != std::pair(raft.term(), raft.config_index())) {
    leads_told[group.id()] = {raft.term(), raft.config_index()};
    next_leads = now;
  }
}

// Behind the answers of this turn, on their lane: what these say of them, the receiver has heard.
void Node::Parts::SendLeads() {
  next_leads = now + kLeadsUs;
  for (const PeerAddress& peer : peers.addresses()) {
    std::vector<Lead> leads;
    for (const Group* group : all_groups) {
      const raft::Raft& raft = group->raft();
      if (!IsShard(group->id()) || !raft.is_leader() || raft.config().IsVoter(peer.id)) continue;
      leads.push_back(intake.LeadOf(*group, peer.id));
    }
    if (leads.empty()) continue;
    outbox.Send(peer.id, bus::Lane::kBulk, bus::MessageType::kLead, kControlGroup, Term{0},
                [&leads](Writer* out) { EncodeLeads(leads, out); });
  }
}

// Who waits for a message is told to go elsewhere, and its wait ended before this node is: the next
// messages would go to it and come back only when the node is given up.
void Node::Parts::EndWaitsForMessages() {
  ForEachSession([&](Session* session) {
    Session::Slot* slot = session->Blocking();
    if (slot == nullptr || !slot->hands_over) return;
    if (slot->errand != nullptr) dispatcher.GiveUpErrand(now, slot);
    if (slot->seq != 0) gateway.Abandon(now, slot->group, slot->seq);
    slot->seq = 0;
    dispatcher.Complete(now, session, session->BackNumber(),
                        Reply::Error("UNBLOCKED", "this node is shutting down; ask another one "
                                                  "again"));
    MakeDirty(session);
    if (session->parser.buffered() > 0) MakeRunnable(session);
  });
}

void Node::Parts::HandOver() {
  EndWaitsForMessages();
  bool leading = false;
  for (const auto& [id, group] : groups) {
    const raft::Raft& raft = group->raft();
    if (!raft.is_leader()) continue;
    const NodeId successor = BestSuccessor(*group, [](NodeId) { return true; });
    if (successor == kNoNode) continue;  // Nobody is there to take it.
    leading = true;
    if (raft.transfer_target() == kNoNode &&
        (cache == nullptr || cache->ReadyToMove(now, id, true))) {
      group->MutableRaft().TransferLeadership(now, successor);
    }
  }
  // Whoever writes now makes more of what is to be handed over.
  if (!leading) dispatcher.set_leaving();
  // When nobody else is there, nothing can be handed over.
  const bool alone = peers.addresses().empty();
  const bool owes = cache != nullptr && !alone && !cache->HandOver(now);
  if ((leading || owes || gateway.HasEndings()) && now < terminate_by) return;
  if (!exit)
    LOCKSTEP_LOG(kInfo, "%s", leading ? "gave up handing over: going all the same" : "bye");
  exit = true;
  ForEachSession([&](Session* session) {
    if (Session::Slot* slot = session->Blocking()) {
      slot->filled = true;
      slot->reply = Reply::Error("UNBLOCKED", "this node is shutting down; ask another one again, "
                                              "under the same owner the place is kept");
      session->WriteReady();
    }
    session->closing = true;
    MakeDirty(session);
  });
}

}  // namespace lockstep
