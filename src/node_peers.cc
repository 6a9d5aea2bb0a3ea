// The node's side of its peers: messages in and out, who belongs to the cluster, who leads.
#include <algorithm>
#include <utility>

#include "commands/lock_table.h"
#include "src/base/log.h"
#include "src/bus_tap.h"
#include "src/membership.h"
#include "src/node_core.h"

namespace lockstep {
namespace {

// No heartbeat and no vote stands behind entries or a snapshot.
bus::Lane LaneOf(const raft::Body& body) {
  const bool bulk = std::holds_alternative<raft::AppendRequest>(body) ||
                    std::holds_alternative<raft::AppendReply>(body) ||
                    std::holds_alternative<raft::SnapshotChunk>(body) ||
                    std::holds_alternative<raft::SnapshotReply>(body);
  return bulk ? bus::Lane::kBulk : bus::Lane::kControl;
}

bool IsHeartbeat(const raft::Body& body) {
  return std::holds_alternative<raft::HeartbeatRequest>(body) ||
         std::holds_alternative<raft::HeartbeatReply>(body);
}

// What only a member with the disk on record may say: votes and acknowledgements of a disk that was
// emptied mean nothing. Requests prove themselves by their term: a node far behind, whose own log
// still names a disk that its leader has long replaced, must hear that leader.
bool IsPromise(const raft::Body& body) {
  return std::holds_alternative<raft::VoteReply>(body) ||
         std::holds_alternative<raft::AppendReply>(body) ||
         std::holds_alternative<raft::SnapshotReply>(body) ||
         std::holds_alternative<raft::HeartbeatReply>(body);
}

}  // namespace

void Node::Parts::On(const PeerUp& input) {
  const bus::Hello& hello = input.hello;
  peers.OnUp(hello, now);
  gateway.OnPeerUp(hello.from);
}

void Node::Parts::On(const PeerDown& input) {
  peers.OnDown(input.id);
  gateway.OnPeerDown(input.id);
  for (const auto& [id, group] : groups) group->raft().Unreachable(input.id);
}

void Node::Parts::On(const PeerFrame& input) {
  const Result<bus::Envelope> envelope = bus::DecodeEnvelope(input.body);
  const bool sense = envelope.ok() && envelope->header.sender == input.from &&
                     OnMessage(input.from, *envelope);
  if (!sense) {
    LOCKSTEP_LOG(kWarn, "node %lu sent what makes no sense (%s): its links are cut",
                 input.from.value,
                 envelope.ok() ? bus::TypeName(envelope->header.type)
                               : envelope.error().message.c_str());
    cut_peers.push_back(input.from);
    return;
  }
  peers.OnFrame(input.from, now);
  if (taps > 0) Tap(me.node, input.body, false);
}

bool Node::Parts::OnMessage(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  switch (envelope.header.type) {
    case bus::MessageType::kRaft:
      return OnRaftMessage(from, envelope);
    case bus::MessageType::kHeartbeats:
      return OnHeartbeats(from, envelope);
    case bus::MessageType::kForward:
    case bus::MessageType::kForwardNack:
    case bus::MessageType::kAnswer:
      return OnForwarding(from, envelope);
    case bus::MessageType::kForm:
    case bus::MessageType::kFormed:
      return OnForming(from, envelope);
    case bus::MessageType::kPublish: {
      const bool shard = in.Bool();
      const BytesView channel = in.String();
      const BytesView payload = in.String();
      if (in.done()) Deliver(channel, payload, shard);
      return in.done();
    }
    case bus::MessageType::kStateHash: {
      const auto index = in.Get<Index>();
      const uint64_t hash = in.U64();
      const auto group = groups.find(envelope.header.group);
      if (in.done() && group != groups.end()) group->second->CompareStateHash(index, hash);
      return in.done();
    }
    case bus::MessageType::kTransfer: {
      const auto target = in.Get<NodeId>();
      const auto group = groups.find(envelope.header.group);
      if (in.done() && group != groups.end()) group->second->raft().TransferLeadership(now, target);
      return in.done();
    }
    case bus::MessageType::kPing:
      return true;
  }
  return false;
}

bool Node::Parts::OnRaftMessage(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  raft::Body body;
  if (!raft::DecodeBody(&in, &body) || !in.done()) return false;
  StepGroup(from, envelope.header.group, envelope.header.term, std::move(body));
  return true;
}

void Node::Parts::StepGroup(NodeId from, GroupId id, Term term, raft::Body body) {
  const auto found = groups.find(id);
  if (found == groups.end()) return;  // Not formed yet, or no member.
  Group& group = *found->second;
  const DiskId named = group.raft().config().DiskOf(from);
  const bool other_disk = named.value != 0 && named != peers.DiskOf(from);
  if (other_disk && IsPromise(body)) return;
  group.Step(now, raft::Message{from, me.node, term, std::move(body)});
}

bool Node::Parts::OnHeartbeats(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  const size_t n = in.Count(3);
  for (size_t i = 0; i < n; ++i) {
    const auto group = in.Get<GroupId>();
    const auto term = in.Get<Term>();
    raft::Body body;
    if (!raft::DecodeBody(&in, &body) || !IsHeartbeat(body)) return false;
    StepGroup(from, group, term, std::move(body));
  }
  return in.done();
}

// One frame a peer, however many groups there are.
void Node::Parts::SendHeartbeats() {
  for (const auto& [to, beats] : heartbeats) {
    outbox.Send(to, bus::Lane::kControl, bus::MessageType::kHeartbeats, kControlGroup, Term{0},
                [&beats = beats](Writer* out) {
                  out->Varint(beats.size());
                  for (const Heartbeat& beat : beats) {
                    out->Put(beat.group);
                    out->Put(beat.term);
                    raft::EncodeBody(beat.body, out);
                  }
                });
  }
  heartbeats.clear();
}

bool Node::Parts::OnForwarding(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  const GroupId id = envelope.header.group;
  if (envelope.header.type == bus::MessageType::kForward) {
    Forward forward;
    if (!DecodeForward(&in, &forward)) return false;
    const auto group = groups.find(id);
    if (group != groups.end())
      intake.OnForward(now, from, *group->second, envelope.header.term, forward);
    return true;
  }
  if (envelope.header.type == bus::MessageType::kForwardNack) {
    ForwardNack nack;
    if (!DecodeForwardNack(&in, &nack)) return false;
    gateway.OnForwardNack(now, from, id, nack);
    return true;
  }
  ForwardAnswer answer;
  if (!DecodeForwardAnswer(&in, &answer)) return false;
  gateway.OnForwardAnswer(from, id, std::move(answer));
  return true;
}

bool Node::Parts::OnForming(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  if (envelope.header.type == bus::MessageType::kForm) {
    const DiskId disk{in.U64()};
    if (!in.done() || disk.value == 0) return false;
    if (formation != nullptr) {
      formation->OnForm(from, disk);
    } else {
      outbox.Send(from, bus::Lane::kControl, bus::MessageType::kFormed, kControlGroup, Term{0},
                  [this](Writer* out) { EncodeFormed(me, out); });
    }
  } else {
    ClusterId cluster;
    std::vector<NodeRecord> genesis;
    if (!DecodeFormed(&in, &cluster, &genesis)) return false;
    if (formation != nullptr) formation->OnFormed(cluster, std::move(genesis));
  }
  if (formation != nullptr && formation->done()) FinishForming();
  return true;
}

void Node::Parts::Tap(NodeId to, BytesView body, bool sent) {
  const Reply line = Reply::Simple(DescribeMessage(to, body, sent));
  for (const auto& [id, session] : sessions) {
    if (!session->client.bus_tap) continue;
    session->Write(line);
    MakeDirty(session.get());
  }
}

// Groups -----------------------------------------------------------------------------------------

void Node::Parts::OnMessage(Group& group, raft::Message message) {
  if (IsHeartbeat(message.body)) {
    heartbeats[message.to].push_back({group.id(), message.term, std::move(message.body)});
    return;
  }
  outbox.Send(message.to, LaneOf(message.body), bus::MessageType::kRaft, group.id(), message.term,
              [&message](Writer* out) { raft::EncodeBody(message.body, out); });
}

void Node::Parts::OnAnswer(Group& group, const RequestId& request, Reply reply) {
  if (request.origin == me.node) {
    gateway.OnAnswer(group.id(), request, std::move(reply));
  } else {
    intake.OnAnswer(group, request, std::move(reply));
  }
}

void Node::Parts::OnEvent(const Bytes& channel, const Bytes& payload) {
  if (channels.anyone()) Deliver(channel, payload, false);
}

void Node::Parts::OnStateHash(Group& group, Index index, uint64_t hash) {
  for (const NodeId peer : group.raft().config().All()) {
    if (peer == me.node) continue;
    outbox.Send(peer, bus::Lane::kControl, bus::MessageType::kStateHash, group.id(),
                group.raft().term(), [&](Writer* out) {
                  out->Put(index);
                  out->U64(hash);
                });
  }
}

// Membership -------------------------------------------------------------------------------------

const ControlMachine* Node::Parts::control() const {
  const auto group = groups.find(kControlGroup);
  if (group == groups.end()) return nullptr;
  return static_cast<const ControlMachine*>(&group->second->replica().machine());
}

void Node::Parts::FollowMembers() {
  std::vector<PeerAddress> addresses;
  const auto add = [&](const NodeRecord& node) {
    if (node.id != me.node) addresses.push_back({node.id, node.host, node.bus_port});
  };
  if (const ControlMachine* machine = control()) {
    for (const auto& [id, node] : machine->nodes()) add(node);
    // And those that are only in the log yet: applying it may need an election, and the election
    // their votes.
    const raft::Raft& raft = groups.at(kControlGroup)->raft();
    for (Index i = Next(raft.applied()); i <= raft.last().index; i = Next(i)) {
      const std::optional<NodeRecord> node = DecodeAddNode(OperationIn(raft.entry(i).data));
      if (node && !machine->nodes().contains(node->id)) add(*node);
    }
    std::sort(addresses.begin(), addresses.end(),
              [](const PeerAddress& a, const PeerAddress& b) { return a.id < b.id; });
    const auto same = [](const PeerAddress& a, const PeerAddress& b) { return a.id == b.id; };
    addresses.erase(std::unique(addresses.begin(), addresses.end(), same), addresses.end());
  } else if (formation != nullptr) {
    for (const NodeRecord& node : formation->nodes()) add(node);
  }
  peers_changed |= peers.Follow(addresses, now);
}

void Node::Parts::GuideMembership() {
  const ControlMachine* machine = control();
  if (machine == nullptr) return;
  const Group& control_group = *groups.at(kControlGroup);
  if (control_group.raft().is_leader()) {
    for (const auto& [id, node] : machine->nodes()) {
      const DiskId disk = peers.DiskOf(id);
      const Peers::Peer* peer = peers.Find(id);
      const bool ours = peer != nullptr && peer->hello.cluster == me.cluster;
      if (!ours || disk == node.disk || disks_told[id] == disk) continue;
      disks_told[id] = disk;
      gateway.Ask(now, kControlGroup, Gateway::Kind::kWrite, EncodeNodeDisk(id, disk), false, {});
    }
  } else {
    disks_told.clear();
  }
  for (const auto& [id, group] : groups) {
    std::optional<MembershipStep> step = NextMembershipStep(group->raft(), machine->nodes());
    if (!step) continue;
    group->raft().ProposeConfig(now, std::move(step->voters), std::move(step->learners));
  }
}

// A node that was not heard for node-timeout has lost its connections as far as anybody can tell.
void Node::Parts::EndSessionsOfFailed() {
  for (const auto& [id, group] : groups) {
    for (const PeerAddress& peer : peers.addresses()) {
      const std::pair<GroupId, NodeId> key{id, peer.id};
      if (!group->raft().is_leader() || !peers.failed(peer.id)) {
        sessions_ended.erase(key);
        continue;
      }
      const uint64_t incarnation = group->replica().SessionOf(peer.id).incarnation;
      if (incarnation == 0 || !sessions_ended.insert(key).second) continue;
      Bytes logged;
      Writer out(&logged);
      EncodeSessionOver(peer.id, incarnation, &out);
      group->Write(now, std::move(logged));
    }
  }
}

// Shutting down ----------------------------------------------------------------------------------

NodeId Node::Parts::BestSuccessor(const raft::Raft& raft) const {
  NodeId best = kNoNode;
  Index match;
  for (const raft::MemberStatus& member : raft.members()) {
    if (!member.voter || !member.active || member.member.node == me.node) continue;
    if (best != kNoNode && member.match <= match) continue;
    best = member.member.node;
    match = member.match;
  }
  return best;
}

void Node::Parts::HandOver() {
  bool leading = false;
  for (const auto& [id, group] : groups) {
    raft::Raft& raft = group->raft();
    if (!raft.is_leader()) continue;
    const NodeId successor = BestSuccessor(raft);
    if (successor == kNoNode) continue;  // Nobody is there to take it.
    leading = true;
    if (raft.transfer_target() == kNoNode) raft.TransferLeadership(now, successor);
  }
  if (leading && now < terminate_by) return;
  if (!exit)
    LOCKSTEP_LOG(kInfo, "%s", leading ? "gave up handing over: going all the same" : "bye");
  exit = true;
  for (const auto& [id, session] : sessions) {
    if (Session::Slot* slot = session->Blocking()) {
      slot->filled = true;
      slot->reply = Reply::Error("UNBLOCKED", "this node is shutting down; ask another one again, "
                                              "under the same owner the place is kept");
      session->WriteReady();
    }
    session->closing = true;
    MakeDirty(session.get());
  }
}

}  // namespace lockstep
