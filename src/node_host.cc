// The node as its commands see it (commands/host.h), and what INFO and CLUSTER show of it.
#include <algorithm>
#include <utility>

#include "commands/lock_table.h"
#include "commands/queue_ops.h"
#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/node_core.h"

namespace lockstep {
namespace {

constexpr uint16_t kBusPortOffset = 10'000;

// The time depends on the length of `given` alone.
bool EqualInConstantTime(BytesView secret, BytesView given) {
  unsigned different = secret.size() == given.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char known = secret.empty() ? '\0' : secret[i % secret.size()];
    different |= static_cast<unsigned>(static_cast<unsigned char>(known ^ given[i]));
  }
  return different == 0;
}

// 40 hex digits that name a node for all time, as Redis names nodes.
Bytes NodeName(ClusterId cluster, NodeId node) {
  Bytes name;
  for (uint64_t part = 0; part < 5; ++part) {
    const uint64_t mixed = HashMix(HashMix(cluster.value, node.value), part);
    name += Format("%08x", static_cast<uint32_t>(mixed));
  }
  return name;
}

}  // namespace

// Settings ---------------------------------------------------------------------------------------

std::vector<std::pair<Bytes, Bytes>> Node::Parts::ConfigGet(BytesView pattern) const {
  return options.config.Get(pattern);
}

Result<void> Node::Parts::ConfigSet(const std::vector<std::pair<Bytes, Bytes>>& values) {
  Result<void> set = options.config.Set(values);
  if (set) ApplySettings();
  return set;
}

// What stands in the file is read anew: it may have been edited since the start, and only lines of
// settings that were changed here are ours to write.
Result<void> Node::Parts::ConfigRewrite() {
  if (options.config_file.empty() || !options.read_config || !options.write_config) {
    return Error{"The server is running without a config file"};
  }
  const Result<Bytes> old = options.read_config();
  const Result<void> written =
      old ? options.write_config(options.config.Rewrite(*old)) : Result<void>(old.error());
  if (written) return {};
  LOCKSTEP_LOG(kWarn, "CONFIG REWRITE: %s; the file is as it was", written.error().message.c_str());
  return Error{"Rewriting config file: " + written.error().message};
}

bool Node::Parts::DebugCommandAllowed(const Client& client) const {
  switch (settings().enable_debug_command) {
    case DebugAccess::kNo:
      return false;
    case DebugAccess::kLocal:
      return client.loopback;
    case DebugAccess::kYes:
      return true;
  }
  return false;
}

bool Node::Parts::PasswordMatches(BytesView user, BytesView password) const {
  const bool known = user == "default";
  return EqualInConstantTime(settings().requirepass, password) && known;
}

Bytes Node::Parts::PasswordHash() const {
  return options.sha256_hex ? options.sha256_hex(settings().requirepass) : Bytes();
}

Bytes Node::Parts::RandomBytes(size_t n) {
  if (options.random) return options.random(n);
  Bytes out;
  Rng rng(HashMix(options.seed, ++seeds_used));
  while (out.size() < n) out.push_back(static_cast<char>(rng.Next() & 0xff));
  return out;
}

// Connections ------------------------------------------------------------------------------------

void Node::Parts::ForEachClient(const std::function<void(Client&)>& visit) {
  ForEachSession([&](Session* session) { visit(session->client); });
}

Client* Node::Parts::FindClient(ClientId id) {
  Session* session = FindSession(id);
  return session == nullptr ? nullptr : &session->client;
}

void Node::Parts::KillClient(ClientId id) { CloseSession(id); }

void Node::Parts::CloseAfterReplies(ClientId id) {
  Session* session = FindSession(id);
  if (session == nullptr) return;
  session->client.close_after_reply = true;
  session->closing = true;
  MakeDirty(session);
}

bool Node::Parts::UnblockClient(ClientId id, bool with_error) {
  Session* session = FindSession(id);
  Session::Slot* slot = session == nullptr ? nullptr : session->Blocking();
  if (slot != nullptr && (slot->errand != nullptr || slot->parked)) {
    dispatcher.StopWaiting(now, session, session->BackNumber(), with_error);
    MakeDirty(session);
    if (session->parser.buffered() > 0) MakeRunnable(session);
    return true;
  }
  if (slot == nullptr || slot->seq == 0) return false;
  dispatcher.StopWaiting(now, session, session->BackNumber(), with_error);
  if (gateway.Withdraw(slot->group, slot->seq)) {
    OnReply({id, session->BackNumber()},
            with_error         ? Reply::Error("UNBLOCKED", "client unblocked via CLIENT UNBLOCK")
            : slot->hands_over ? Reply::NilArray()
                               : Reply::Nil());
    return true;
  }
  // Through the log, like the grant that may be on its way: the client gets one of the two.
  gateway.Cancel(now, slot->group, slot->seq,
                 with_error ? CancelOp::Why::kError : CancelOp::Why::kTimeout);
  return true;
}

void Node::Parts::PauseClients(MonoTime until, bool writes_only) {
  dispatcher.Pause(until, writes_only);
}

void Node::Parts::UnpauseClients() {
  dispatcher.Unpause();
  ForEachSession([&](Session* session) {
    if (session->stalled) MakeRunnable(session);
  });
}

void Node::Parts::ResetClient(Client* client) {
  channels.Leave(client);
  Session* session = FindSession(client->id);
  CHECK(session != nullptr);
  session->queue.clear();
  session->queued_bytes = 0;
  client->queued = -1;
  client->dirty_exec = false;
  client->watched.clear();
  client->monitor = false;
  client->bus_tap = false;
  client->readonly = false;
  client->no_evict = false;
  client->no_touch = false;
  client->tracking_options = {};
  if (std::exchange(client->tracking, false)) OnTracking(*client);
  client->reply_mode = Client::ReplyMode::kOn;
  client->name.clear();
  client->user = "default";
  client->protocol = 2;
  client->authenticated = !PasswordNeeded();
}

// In RESP2 a message looks like a reply. It waits behind the reply of an EXEC that has subscribed
// and whose locks are still being asked for.
void Node::Parts::PushTo(ClientId id, const Reply& message) {
  Session* session = FindSession(id);
  if (session == nullptr || session->killed) return;
  if (session->client.protocol == 2) {
    session->Answer(Reply(message), false);
  } else {
    session->Write(message);
  }
  MakeDirty(session);
}

size_t Node::Parts::Publish(BytesView channel, BytesView payload, bool shard) {
  size_t here = 0;
  const auto count = [&here](ClientId, const Bytes*) { ++here; };
  if (shard) {
    channels.ShardPublish(channel, count);
  } else {
    channels.Publish(channel, count);
  }
  Deliver(channel, payload, shard);
  for (const PeerAddress& peer : peers.addresses()) {
    outbox.Send(peer.id, bus::Lane::kBulk, bus::MessageType::kPublish, kControlGroup, Term{0},
                [&](Writer* out) {
                  out->Bool(shard);
                  out->String(channel);
                  out->String(payload);
                });
  }
  ++figures.published;
  return here;
}

// The cluster ------------------------------------------------------------------------------------

void Node::Parts::FillMember(const NodeRecord& record, ClusterView::Member* member) const {
  const bool own = record.id == me.node;
  const Peers::Peer* peer = peers.Find(record.id);
  member->id = record.id;
  member->name = NodeName(me.cluster, record.id);
  member->zone = record.zone;
  member->host = record.host;
  member->bus_port = record.bus_port;
  member->port = record.bus_port > kBusPortOffset
                     ? static_cast<uint16_t>(record.bus_port - kBusPortOffset)
                     : uint16_t{0};
  member->self = own;
  member->connected = own;
  if (own) {
    member->port = settings().AnnouncedPort();
    if (!settings().AnnouncedHost().empty()) {
      member->host = settings().AnnouncedHost();
    } else if (settings().ReachableBind().empty()) {
      member->host.clear();
    }
  } else if (peer != nullptr && peer->introduced) {
    member->port = peer->hello.client_port;
    if (!peer->hello.host.empty()) member->host = peer->hello.host;
    member->connected = peer->linked;
    member->heard_ms_ago = (now - peer->heard) / kUsPerMs;
    if (peer->linked) member->link_up_ms = (now - peer->linked_since) / kUsPerMs;
  }
  member->failed = peers.failed(record.id);
}

ClusterView::Group Node::Parts::ViewOf(const Group& group) const {
  const raft::Raft& raft = group.raft();
  ClusterView::Group view;
  view.id = group.id();
  view.name = group.name();
  view.role = raft::RoleName(raft.role());
  view.leader = gateway.LeaderOf(now, group.id());
  if (IsShard(group.id())) view.wanted = WantedLeader(group);
  view.term = raft.term();
  view.commit = raft.commit();
  view.applied = group.applied();
  view.last = raft.last().index;
  view.snapshot = raft.snapshot_id().index;
  view.elections = raft.elections();
  if (const Lead* told = gateway.ToldOf(now, group.id())) {
    if (!raft.config().Contains(me.node)) view.role = "none";
    view.term = told->term;
    view.voters = told->voters;
    view.learners = told->learners;
    view.changing = told->changing;
  } else {
    for (const raft::Member& one : raft.config().voters) view.voters.push_back(one.node);
    for (const raft::Member& one : raft.config().learners) view.learners.push_back(one.node);
    view.changing = raft.config_pending();
  }
  view.changing |= !view.learners.empty();
  if (control() == nullptr) return view;
  std::vector<NodeId> wanted;
  for (const auto& [id, record] : control()->nodes()) wanted.push_back(id);
  if (IsShard(group.id())) wanted = control()->placement().at(ShardOf(group.id()));
  std::sort(wanted.begin(), wanted.end());
  view.changing |= wanted != view.voters;
  view.log_bytes = raft.log_bytes();
  view.remembered = group.replica().remembered();
  return view;
}

ClusterView Node::Parts::Cluster() const {
  ClusterView view;
  view.cluster = me.cluster;
  std::vector<NodeRecord> records;
  if (const ControlMachine* machine = control()) {
    for (const auto& [id, record] : machine->nodes()) records.push_back(record);
    view.epoch = machine->epoch();
  } else if (formation != nullptr) {
    records = formation->nodes();
    view.waiting_for = formation->WaitingFor();
  }
  for (const auto& [id, group] : groups) view.groups.push_back(ViewOf(*group));
  view.messages_sent = outbox.sent();
  for (const PeerAddress& address : peers.addresses()) {
    const Peers::Peer* peer = peers.Find(address.id);
    if (peer != nullptr) view.messages_received += peer->frames;
  }
  view.ok = !view.groups.empty() &&
            std::all_of(view.groups.begin(), view.groups.end(),
                        [](const ClusterView::Group& group) { return group.leader != kNoNode; });
  for (const NodeRecord& record : records) {
    ClusterView::Member& member = view.members.emplace_back();
    FillMember(record, &member);
    const auto& locks = groups.find(kLocksGroup);
    member.voter = locks == groups.end() || locks->second->raft().config().IsVoter(member.id);
  }
  if (control() != nullptr) FillSlots(&view);
  return view;
}

// To the leader of its shard, if one is known here. The dead of a queue lie in its own slot, not in
// that which a client makes of their name: it would look for them elsewhere again and again.
Bytes Node::Parts::SendsTo(BytesView queue) const {
  if (!settings().cluster_redirect || control() == nullptr || SideOf(queue).dead) return {};
  const NodeId leader =
      gateway.LeaderOf(now, ShardGroup(ShardOfSlot(SlotOf(queue), Shards())));
  const auto record = control()->nodes().find(leader);
  if (leader == me.node || record == control()->nodes().end()) return {};
  ClusterView::Member member;
  FillMember(record->second, &member);
  return member.port == 0 ? Bytes() : member.host + ":" + std::to_string(member.port);
}

// A shard's slots are its leader's, as far as one is known here: what is sent there saves a hop.
void Node::Parts::FillSlots(ClusterView* view) const {
  const auto member_of = [view](NodeId id) {
    return std::find_if(view->members.begin(), view->members.end(),
                        [id](const ClusterView::Member& member) { return member.id == id; });
  };
  for (uint64_t shard = 0; shard < me.shards; ++shard) {
    auto owner = member_of(gateway.LeaderOf(now, ShardGroup(shard)));
    if (owner == view->members.end()) owner = member_of(control()->LeaderOf(shard));
    if (owner == view->members.end()) continue;
    const auto first = static_cast<uint16_t>(FirstSlotOf(shard, me.shards));
    const auto last = static_cast<uint16_t>(FirstSlotOf(shard + 1, me.shards) - 1);
    const bool goes_on = !owner->slots.empty() && owner->slots.back().second + 1 == first;
    if (goes_on) {
      owner->slots.back().second = last;
    } else {
      owner->slots.emplace_back(first, last);
    }
  }
}

bool Node::Parts::AbortShutdown() {
  if (!terminating || exit) return false;
  terminating = false;
  return true;
}

// Figures ----------------------------------------------------------------------------------------

bool Node::Parts::OverMemory() const {
  const auto allowed = static_cast<size_t>(settings().maxmemory);
  return allowed > 0 && MemoryUsed() > allowed;
}

Bytes Node::Parts::Info(const std::vector<Bytes>& sections) const {
  InfoFigures info;
  info.os = options.os;
  info.process_id = static_cast<int64_t>(options.process_id);
  info.run_id = run_id;
  info.tcp_port = settings().Port();
  info.bus_port = settings().BusPort();
  info.server_time_us = WallClockUs();
  info.uptime_seconds = (now - started) / kUsPerSecond;
  info.executable = options.executable;
  info.config_file = options.config_file;
  info.node = me.node;

  info.connected_clients = sessions.size();
  info.clients_max = static_cast<size_t>(settings().maxclients);
  ForEachSession([&](Session* session) {
    const Client& client = session->client;
    info.input_buffer_max = std::max(info.input_buffer_max, client.input_buffered);
    info.output_buffer_max = std::max(info.output_buffer_max, client.output_buffered);
    info.memory_of_clients += client.input_capacity + client.output_buffered;
    info.blocked_clients += client.waiting_for.empty() ? 0 : 1;
    info.pubsub_clients += client.subscriptions() > 0 ? 1 : 0;
  });
  info.tracking_clients = tracking.clients();
  info.tracking_keys = tracking.keys();
  info.tracking_items = tracking.items();
  info.tracking_prefixes = tracking.prefixes();
  info.monitors = monitors.size();
  info.io_threads = settings().io_threads;
  info.read_together = system.read_together;
  info.sent_together = system.sent_together;
  info.memory_used = system.rss_bytes;
  info.memory_rss = system.rss_bytes;
  info.memory_peak = rss_peak;
  info.memory_total_system = system.total_memory_bytes;
  info.memory_max = static_cast<size_t>(settings().maxmemory);
  for (const auto& [id, group] : groups) info.snapshots += group->snapshots_taken();
  info.pubsub_channels = channels.Channels("", false).size();
  info.pubsub_patterns = channels.patterns();
  info.pubsub_shard_channels = channels.Channels("", true).size();
  info.cpu_user_us = static_cast<int64_t>(system.cpu_user_seconds * 1e6);
  info.cpu_system_us = static_cast<int64_t>(system.cpu_system_seconds * 1e6);

  const auto locks = groups.find(kLocksGroup);
  if (locks != groups.end()) {
    const auto& table = static_cast<const LockTable&>(locks->second->replica().machine());
    const LockTable::Figures known = table.figures();
    info.locks.held = known.locks;
    info.locks.holders = known.holds;
    info.locks.waiters = known.waits;
    info.locks.owners = known.owners;
    info.locks.deadlocks = known.deadlocks;
    info.locks.highest_token = known.last_token;
    info.locks.expired = known.expired;
  }
  if (cache != nullptr) {
    const Cache::HomeKeys here = cache->KeysHere();
    info.keys = here.keys;
    info.keys_expiring = here.expiring;
    info.cache = cache->stats();
  }
  info.cluster = Cluster();
  Stats with_forwarding = figures;
  with_forwarding.forwarded = gateway.forwarded();
  with_forwarding.resent = gateway.resent();
  info.stats = &with_forwarding;
  return BuildInfo(info, sections);
}

}  // namespace lockstep
