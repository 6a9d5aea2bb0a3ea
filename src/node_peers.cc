// The node's side of its peers: messages in and out, who belongs to the cluster.
#include <algorithm>
#include <utility>

#include "commands/lock_table.h"
#include "src/base/limits.h"
#include "src/base/log.h"
#include "src/bus_tap.h"
#include "src/membership.h"
#include "src/node_core.h"

namespace lockstep {
namespace {

constexpr int64_t kTellDiskAgainUs = kUsPerSecond;

// No heartbeat and no vote stands behind entries or a snapshot.
bus::Lane LaneOf(const raft::Body& body) {
  const bool bulk = std::holds_alternative<raft::AppendRequest>(body) ||
                    std::holds_alternative<raft::AppendReply>(body) ||
                    std::holds_alternative<raft::SnapshotChunk>(body) ||
                    std::holds_alternative<raft::SnapshotReply>(body);
  return bulk ? bus::Lane::kBulk : bus::Lane::kControl;
}

bool Names(const std::vector<NodeId>& nodes, NodeId id) {
  return std::find(nodes.begin(), nodes.end(), id) != nodes.end();
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
  if (input.refused) return StopAsImpostor(input.hello);
  const NodeId id = input.hello.from;
  peers.OnUp(input, now);
  tracking.OnGap();
  // What a gateway forwards goes out on our bulk lane: no other link says that it will arrive.
  if (input.ours && input.hello.lane == bus::Lane::kBulk) {
    gateway.OnPeerUp(id);
    if (cache != nullptr) cache->OnPeerUp(id);
    tracking.OnPeerUp(id);
    next_leads = now;
  }
  FollowMembers();  // Whoever talks to us may need an answer.
  if (input.ours && input.hello.lane == bus::Lane::kControl) TellFormed(id);
}

void Node::Parts::On(const PeerDown& input) {
  peers.OnDown(input.id, input.lane);
  if (input.lane == bus::Lane::kBulk) gateway.OnPeerDown(input.id);
  for (const auto& [id, group] : groups) group->MutableRaft().Unreachable(input.id);
}

void Node::Parts::On(const PeerFrame& input) {
  const Result<bus::Envelope> envelope = bus::DecodeEnvelope(input.body);
  const Sender from{input.from, input.disk.value != 0 ? input.disk : peers.DiskOf(input.from)};
  const bool sense = envelope.ok() && envelope->header.sender == input.from &&
                     OnMessage(from, *envelope);
  if (!sense) {
    LOCKSTEP_LOG(kWarn, "node %lu sent what makes no sense (%s): its links are cut",
                 input.from.value,
                 envelope.ok() ? bus::TypeName(envelope->header.type)
                               : envelope.error().message.c_str());
    cut_peers.push_back(input.from);
    return;
  }
  peers.OnFrame(input, now);
  if (taps > 0) Tap(me.node, input.body, false);
}

bool Node::Parts::OnMessage(const Sender& from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  switch (envelope.header.type) {
    case bus::MessageType::kRaft:
      return OnRaftMessage(from, envelope);
    case bus::MessageType::kHeartbeats:
      return OnHeartbeats(from, envelope);
    case bus::MessageType::kForward:
    case bus::MessageType::kForwardNack:
    case bus::MessageType::kAnswer:
      return OnForwarding(from.node, envelope);
    case bus::MessageType::kLead:
      return OnLeads(from.node, envelope);
    case bus::MessageType::kForm:
    case bus::MessageType::kFormed:
      return OnForming(from.node, envelope);
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
      if (in.done()) OnStateHash(from, envelope.header, index, hash);
      return in.done();
    }
    case bus::MessageType::kTransfer: {
      const auto target = in.Get<NodeId>();
      const auto group = groups.find(envelope.header.group);
      if (in.done() && group != groups.end() && group->second->raft().is_leader()) {
        (void)TransferLeadership(group->first, target);
      }
      return in.done();
    }
    case bus::MessageType::kFetch:
    case bus::MessageType::kFetched:
      return OnFetching(from.node, envelope);
    case bus::MessageType::kCache:
      return cache == nullptr || cache->OnFrame(now, from.node, envelope);
    case bus::MessageType::kCacheLeases:
      return cache == nullptr || cache->OnLeases(now, from.node, envelope);
    case bus::MessageType::kTracking: {
      const bool sense = tracking.OnMessage(from.node, &in);
      FollowTracking();
      return sense;
    }
    case bus::MessageType::kPing:
      return true;
  }
  return false;
}

bool Node::Parts::OnRaftMessage(const Sender& from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  raft::Body body;
  if (!raft::DecodeBody(&in, &body) || !in.done()) return false;
  StepGroup(from, envelope.header.group, envelope.header.term, std::move(body));
  return true;
}

// It is the link that says whose frame this is: a node that was emptied and is back may have said
// hello while frames of its former self are still on their way.
void Node::Parts::StepGroup(const Sender& from, GroupId id, Term term, raft::Body body) {
  const auto found = groups.find(id);
  if (found == groups.end()) return;  // Not formed yet, or no member.
  if (thrown_away.contains(id)) return;  // It may come back with what it had, if we end now.
  Group& group = *found->second;
  const DiskId named = group.raft().config().DiskOf(from.node);
  const bool other_disk = named.value != 0 && named != from.disk;
  if (other_disk && IsPromise(body)) return;
  group.Step(now, raft::Message{from.node, me.node, term, std::move(body)});
}

// A difference stops this node, so only the leader's word counts: whoever else says something has
// no log to go by.
void Node::Parts::OnStateHash(const Sender& from, const bus::EnvelopeHeader& header, Index index,
                              uint64_t hash) {
  const auto found = groups.find(header.group);
  if (found == groups.end()) return;
  const raft::Raft& raft = found->second->raft();
  if (raft.leader() != from.node || raft.term() != header.term) return;
  found->second->CompareStateHash(index, hash);
}

bool Node::Parts::OnHeartbeats(const Sender& from, const bus::Envelope& envelope) {
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
    // Nobody would end what a removed node's clients hold.
    const bool removed = control() != nullptr && control()->removed(from);
    if (group != groups.end() && !removed)
      intake.OnForward(from, *group->second, envelope.header.term, forward);
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
  gateway.OnForwardAnswer(now, from, id, std::move(answer));
  return true;
}

bool Node::Parts::OnLeads(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  std::vector<Lead> leads;
  if (!DecodeLeads(&in, &leads)) return false;
  for (const Lead& lead : leads) LeaveIfLetGo(from, lead);
  for (Lead& lead : leads) gateway.OnLead(now, from, std::move(lead));
  FollowCacheOfAll();
  return true;
}

// Whoever is let go of a group is written to no more, and does not hear from it that it has been.
// A word that is late tells of a configuration before the one that names us: that one came from the
// same leader. From one before it, it is in no log that counts.
void Node::Parts::LeaveIfLetGo(NodeId from, const Lead& lead) {
  const auto found = groups.find(lead.group);
  if (found == groups.end() || lead.changing || !Names(lead.voters, from)) return;
  if (Names(lead.voters, me.node) || Names(lead.learners, me.node)) return;
  const raft::Raft& raft = found->second->raft();
  const bool named = raft.config().Contains(me.node);
  const bool is_late = lead.term < raft.term() ||
                       (named && raft.config_index() >= lead.config_index &&
                        raft.last().term >= lead.term);
  if (is_late || raft.HearsLeader(now)) return;
  if (!named && !found->second->HasCopy()) return;
  ThrowAway(lead.group, from, lead.term, std::max(lead.config_index, Next(raft.copy())));
}

// Entries of which a snapshot needs the data, between a group's leader and a member.
bool Node::Parts::OnFetching(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  const auto found = groups.find(envelope.header.group);
  const bool asked = envelope.header.type == bus::MessageType::kFetch;
  std::vector<Group::Fetched> fetched;
  std::vector<Index> entries;
  size_t n = in.Count();
  if (n > Group::kFetchEntriesMax) return false;
  for (; n > 0 && in.ok(); --n) {
    const auto entry = in.Get<Index>();
    if (!entries.empty() && entry <= entries.back()) in.Fail();
    entries.push_back(entry);
    if (asked) continue;
    fetched.push_back({entries.back(), std::nullopt});
    if (in.Bool()) fetched.back().data = Bytes(in.String());
  }
  if (!in.done()) return false;
  if (found == groups.end()) return true;
  Group& group = *found->second;
  const raft::Raft& raft = group.raft();
  if (!asked) {
    if (raft.leader() == from) group.OnFetched(now, std::move(fetched));
    return true;
  }
  // What we have in memory may not be committed; it is what whoever asks in our term has to follow.
  if (!raft.is_leader() || raft.term() != envelope.header.term) return true;
  const std::vector<Group::Fetched> given = group.Give(entries);
  if (given.empty()) return true;
  outbox.Send(from, bus::Lane::kBulk, bus::MessageType::kFetched, group.id(), raft.term(),
              [&given](Writer* out) {
                out->Varint(given.size());
                for (const Group::Fetched& one : given) {
                  out->Put(one.entry);
                  out->Bool(one.data.has_value());
                  if (one.data) out->String(*one.data);
                }
              });
  return true;
}

// One group at a time: what comes has to be written, and the leader to be read it from its disk.
bool Node::Parts::OnFetch(Group& group, std::vector<Index> entries) {
  const auto other = groups.find(fetching);
  const bool busy = other != groups.end() && other->second->IsFetching() &&
                    other->second->raft().HearsLeader(now);  // Else nobody will answer it.
  if (fetching != group.id() && busy) return false;
  fetching = group.id();
  const NodeId leader = group.raft().leader();
  if (leader == kNoNode || leader == me.node) return true;
  outbox.Send(leader, bus::Lane::kBulk, bus::MessageType::kFetch, group.id(), group.raft().term(),
              [&entries](Writer* out) {
                out->Varint(entries.size());
                for (const Index entry : entries) out->Put(entry);
              });
  return true;
}

// Before our own disk is on disk nothing is decided with it: all this comes again.
bool Node::Parts::OnForming(NodeId from, const bus::Envelope& envelope) {
  Reader in(envelope.data);
  if (envelope.header.type == bus::MessageType::kForm) {
    const DiskId disk{in.U64()};
    if (!in.done() || disk.value == 0) return false;
    if (formation != nullptr) {
      if (birth_persisted) formation->OnForm(from, disk);
    } else {
      outbox.Send(from, bus::Lane::kControl, bus::MessageType::kFormed, kControlGroup, Term{0},
                  [this](Writer* out) { EncodeFormed(me, out); });
    }
  } else {
    Formed formed;
    if (!DecodeFormed(&in, &formed)) return false;
    if (formation != nullptr && birth_persisted) formation->OnFormed(std::move(formed));
  }
  if (formation != nullptr && formation->done()) FinishForming();
  return true;
}

void Node::Parts::Tap(NodeId to, BytesView body, bool sent) {
  const Reply line = Reply::Simple(DescribeMessage(to, body, sent));
  ForEachSession([&](Session* session) {
    if (!session->client.bus_tap) return;
    session->Write(line);
    MakeDirty(session);
  });
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

// What lies in the log is read where the answer is needed. If the state has let go of it since, the
// message was deleted or has another consumer: it was not popped. A node that does not lead may not
// be able to read it yet; then the leader tells.
void Node::Parts::OnAnswer(Group& group, const RequestId& request, Reply reply) {
  const bool here = request.origin == me.node;
  const bool leads = group.raft().is_leader();
  if (here ? !gateway.Awaits(group.id(), request) : !leads) return;
  if (HoldsLogged(reply)) {
    if (leads) {
      group.ResolveWhatIsThere(&reply);
    } else if (!group.Resolve(&reply)) {
      return gateway.OnUnreadable(group.id(), request.seq);
    }
  }
  if (here) {
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

// Those who belong to the cluster, and those who are needed for it to go on:
//   1. the members, as far as this node has applied or only has it in its log: applying may need an
//      election, and the election their votes;
//   2. whoever a group's configuration still names, removed or not: the change that lets go of a
//      node may need its acknowledgement;
//   3. whoever of our cluster talks to us: to a node that was away, or is new, the leader may be
//      one that its log does not name yet.
std::vector<PeerAddress> Node::Parts::WhomToFollow() const {
  std::map<NodeId, PeerAddress> wanted;
  const auto add = [&](NodeId id, const Bytes& host, uint16_t port) {
    if (id != me.node) wanted.try_emplace(id, PeerAddress{id, host, port});
  };
  const ControlMachine* machine = control();
  if (machine == nullptr) {
    for (const NodeRecord& node : formation->nodes()) add(node.id, node.host, node.bus_port);
  } else {
    for (const auto& [id, node] : machine->nodes()) add(id, node.host, node.bus_port);
    const raft::Raft& raft = groups.at(kControlGroup)->raft();
    for (Index i = Next(raft.applied()); i <= raft.last().index; i = Next(i)) {
      for (const BytesView op : OperationsIn(raft.entry(i).data)) {
        const std::optional<NodeRecord> node = DecodeAddNode(op);
        if (node) add(node->id, node->host, node->bus_port);
      }
    }
    for (const NodeId id : NamedByGroups()) {
      if (wanted.contains(id)) continue;
      for (const NodeRecord& gone : machine->departed()) {
        if (gone.id == id) add(id, gone.host, gone.bus_port);
      }
      if (const auto known = peers.AddressOf(id)) add(id, known->host, known->bus_port);
    }
    for (const PeerAddress& peer : peers.Heard(me.cluster, now)) {
      if (wanted.size() >= kNodesMax) break;  // Members come first.
      if (!machine->removed(peer.id)) add(peer.id, peer.host, peer.bus_port);
    }
  }
  std::vector<PeerAddress> addresses;
  for (auto& [id, address] : wanted) addresses.push_back(std::move(address));
  return addresses;
}

std::set<NodeId> Node::Parts::NamedByGroups() const {
  std::set<NodeId> named;
  const raft::Config* before = nullptr;
  for (const auto& [id, group] : groups) {
    if (const Lead* told = gateway.ToldOf(now, id)) {
      named.insert(told->voters.begin(), told->voters.end());
      continue;
    }
    const raft::Config& config = group->raft().config();
    // Else what we have of that group is old.
    if (!config.Contains(me.node) && !group->raft().is_leader()) continue;
    if (before != nullptr && *before == config) continue;
    before = &config;
    for (const NodeId node : config.All()) named.insert(node);
  }
  return named;
}

void Node::Parts::FollowMembers() {
  const std::vector<PeerAddress> before = peers.addresses();
  if (!peers.Follow(WhomToFollow(), now)) return;
  peers_changed = true;
  for (const auto* list : {&before, &peers.addresses()}) {
    for (const PeerAddress& peer : *list) {
      if (!peers.linked(peer.id)) gateway.OnPeerDown(peer.id);  // Until its link is up.
    }
  }
}

void Node::Parts::GuideMembership() {
  const ControlMachine* machine = control();
  // Who leads another group may have started a moment ago, with a state of group control from its
  // last snapshot: by that it would throw out who has come since, or come back with another disk.
  if (machine == nullptr || !groups.at(kControlGroup)->IsCurrent()) return;
  if (groups.at(kControlGroup)->raft().is_leader()) {
    TellDisks(*machine);
  } else {
    disks_told.clear();
  }
  const std::map<NodeId, NodeRecord> nobody;
  std::map<NodeId, NodeRecord> ever = machine->nodes();
  for (const NodeRecord& gone : machine->departed()) ever.emplace(gone.id, gone);
  for (const auto& [id, group] : groups) {
    if (!group->raft().is_leader()) continue;
    const std::map<NodeId, NodeRecord> wanted = MembersOf(*group, *machine);
    const bool keeps_me = machine->removed(me.node) && wanted.contains(me.node);
    if (keeps_me && HandOverControl(*machine)) continue;
    const std::map<NodeId, NodeRecord>& spare = IsShard(id) ? ever : nobody;
    std::optional<MembershipStep> step = NextMembershipStep(group->raft(), wanted, spare);
    if (!step) continue;
    group->MutableRaft().ProposeConfig(now, std::move(step->voters), std::move(step->learners));
  }
}

std::map<NodeId, NodeRecord> Node::Parts::MembersOf(const Group& group,
                                                    const ControlMachine& machine) const {
  if (group.id() == kControlGroup) return MembersOfControl(machine);
  if (!IsShard(group.id())) return machine.nodes();
  std::map<NodeId, NodeRecord> members;
  for (const NodeId id : machine.placement()[ShardOf(group.id())]) {
    members.emplace(id, machine.nodes().at(id));
  }
  return members;
}

// Whether the group's configuration names the node. If nobody says what it is now, it may: what we
// have of a group may be old.
bool Node::Parts::Needs(const Group& group, NodeId id) const {
  if (const Lead* told = gateway.ToldOf(now, group.id())) {
    return told->changing || Names(told->voters, id) || Names(told->learners, id);
  }
  const raft::Raft& raft = group.raft();
  const bool is_known = raft.HearsLeader(now) && raft.config().IsVoter(me.node);
  return !is_known || raft.config().Contains(id) ||
         raft.ConfigAt(raft.commit()).Contains(id);
}

// Group control lets go of a node last: the node may lead another group, which it must learn from
// control to leave. That goes for this node too: once control has let go of it, it hears no more of
// control, and a leader that does not know whether it is current changes nothing.
std::map<NodeId, NodeRecord> Node::Parts::MembersOfControl(const ControlMachine& machine) const {
  std::map<NodeId, NodeRecord> members = machine.nodes();
  const raft::Config& control_config = groups.at(kControlGroup)->raft().config();
  for (const NodeRecord& gone : machine.departed()) {
    if (!control_config.Contains(gone.id)) continue;
    const bool is_needed = std::any_of(groups.begin(), groups.end(), [&](const auto& one) {
      return one.first != kControlGroup && Needs(*one.second, gone.id);
    });
    if (!is_needed) continue;
    members[gone.id] = gone;
    members[gone.id].disk = control_config.DiskOf(gone.id);
  }
  // Nor does it let go of its leader before them: those who stay may be dead, and it is not.
  const bool keeps_others = members.size() > machine.nodes().size();
  if (keeps_others && machine.removed(me.node) && control_config.Contains(me.node)) {
    members[me.node] = {me.node, {}, 0, control_config.DiskOf(me.node)};
  }
  return members;
}

// A group that has let go of this node tells it no more, not even that it has. So one that
// stays has to judge who is still needed: the one of them that is farthest. False: there is none.
bool Node::Parts::HandOverControl(const ControlMachine& machine) {
  Group& group = *groups.at(kControlGroup);
  const auto stays = [&machine](NodeId id) { return machine.nodes().contains(id); };
  const NodeId successor = BestSuccessor(group, stays);
  return successor != kNoNode && group.MutableRaft().TransferLeadership(now, successor);
}

// Only the process that our link leads to counts, not what a hello once said. Said again and again
// while the record says otherwise: a word of a former leader may come after ours, of a disk that is
// no more.
void Node::Parts::TellDisks(const ControlMachine& machine) {
  for (const auto& [id, node] : machine.nodes()) {
    const bus::Hello* hello = peers.Linked(id, me.cluster);
    if (hello == nullptr && id != me.node) continue;
    const Seen seen = hello == nullptr ? Seen{me.disk, settings().cluster_zone}
                                       : Seen{hello->disk, hello->zone};
    if (seen == Seen{node.disk, node.zone}) {
      disks_told.erase(id);
      continue;
    }
    DiskTold& told = disks_told[id];
    if (told.seen == seen && now < told.again_at) continue;
    told = {seen, now + kTellDiskAgainUs};
    gateway.Ask(now, kControlGroup, {.op = EncodeNodeDisk(id, seen.disk, seen.zone)}, {});
  }
}

// An emptied node asks those whom its cluster-nodes names, and they may all be gone.
void Node::Parts::TellFormed(NodeId id) {
  const ControlMachine* machine = control();
  const Peers::Peer* peer = peers.Find(id);
  if (machine == nullptr || peer == nullptr || !machine->nodes().contains(id)) return;
  const Peers::Lane& lane = peer->lanes[static_cast<size_t>(bus::Lane::kControl)];
  if (!lane.up || lane.hello.cluster.value != 0) return;
  outbox.Send(id, bus::Lane::kControl, bus::MessageType::kFormed, kControlGroup, Term{0},
              [this](Writer* out) { EncodeFormed(me, out); });
}

void Node::Parts::TellAllFormed() {
  for (const PeerAddress& peer : peers.addresses()) TellFormed(peer.id);
}

// A node that was not heard for node-timeout has lost its connections as far as anybody can tell;
// one that was removed will not be served any more.
void Node::Parts::EndSessionsOfLost() {
  const ControlMachine* machine = control();
  if (machine == nullptr) return;
  for (const auto& [id, group] : groups) {
    if (!group->raft().is_leader()) continue;
    for (const PeerAddress& peer : peers.addresses()) {
      if (peers.failed(peer.id)) EndSession(*group, peer.id);
    }
    for (const NodeRecord& gone : machine->departed()) {
      if (gone.id != me.node) EndSession(*group, gone.id);
    }
  }
}

void Node::Parts::EndSession(Group& group, NodeId origin) {
  const SessionEnded ended{group.replica().SessionOf(origin).incarnation, group.raft().term()};
  if (ended.incarnation == 0) return;
  SessionEnded& known = sessions_ended[{group.id(), origin}];
  if (known == ended) return;
  Bytes logged;
  Writer out(&logged);
  EncodeSessionOver(origin, ended.incarnation, &out);
  if (group.WriteAlone(std::move(logged)) == Group::Taken::kYes) known = ended;
}

// Shutting down ----------------------------------------------------------------------------------

// At once: each grant from here on could contradict one of theirs.
void Node::Parts::StopAsImpostor(const bus::Hello& hello) {
  if (std::exchange(impostor, true)) return;
  LOCKSTEP_LOG(kError,
               "stopping: this folder is new, but node %lu of cluster %016lx has dialled node %lu "
               "here, which is me: my folder was emptied, and with empty cluster-nodes I have "
               "founded a cluster of my own. Name that cluster's nodes in cluster-nodes, empty "
               "`dir`, and start me again; or, if I have nothing to do with them, give me another "
               "node-id or address",
               hello.from.value, hello.cluster.value, me.node.value);
  On(Terminate{.now = true});
  HandOver();
}

}  // namespace lockstep
