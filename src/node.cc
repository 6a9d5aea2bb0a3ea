// A turn of the node: inputs in, outputs out.
#include "src/node.h"

#include <algorithm>
#include <utility>

#include "src/base/log.h"
#include "src/node_core.h"

namespace lockstep {
namespace {

constexpr int64_t kHousekeepUs = 100 * kUsPerMs;
constexpr int64_t kPingUs = 500 * kUsPerMs;
// Commands of all clients between two looks at sockets, disk and peers: some milliseconds.
constexpr int64_t kWorkADrain = 4096;
constexpr int kRoundsATurn = 8;  // A reply lets a client's next command run within the same turn.

}  // namespace

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Node::~Node() = default;

void Node::Step(MonoTime now, const Input& input) { parts_->Step(now, input); }
Output Node::Drain(MonoTime now) { return parts_->Drain(now); }
MonoTime Node::NextWakeup() const { return parts_->NextWakeup(); }
const Config& Node::config() const { return parts_->options.config; }

ReadRoom Node::ReadBuffer(ClientId id, size_t bytes) {
  Session* session = parts_->FindSession(id);
  if (session == nullptr || session->closing) return {};
  return {{session->parser.Reserve(bytes), bytes}, &session->parser};
}

bus::Identity Node::identity() const {
  const Self& me = parts_->me;
  const Settings& settings = config().settings();
  bus::Identity identity;
  identity.cluster = me.cluster;
  identity.node = me.node;
  identity.disk = me.disk;
  identity.incarnation = me.boot;
  identity.server_version = "lockstep";
  identity.host = settings.AnnouncedHost();
  identity.client_port = settings.AnnouncedPort();
  identity.bus_host = identity.host;
  identity.bus_port = settings.AnnouncedBusPort();
  identity.zone = settings.cluster_zone;
  for (const NodeAddress& address : settings.cluster_nodes) {
    if (address.id != me.node || !identity.host.empty()) continue;
    identity.bus_host = address.host;
    identity.bus_port = address.bus_port;
  }
  const ControlMachine* machine = parts_->control();
  if (machine == nullptr) return identity;
  identity.alone = machine->nodes().size() == 1 && machine->nodes().contains(me.node);
  for (const auto& [id, record] : machine->nodes()) {
    if (record.disk.value == 0 || !parts_->peers.Present(id, record.disk, parts_->now)) continue;
    identity.present.push_back({id, record.disk});
  }
  return identity;
}

Node::Asking Node::asking() const {
  const Gateway& gateway = parts_->gateway;
  const Gateway::Far& far = gateway.far();
  return {gateway.resent(), far.requests, far.answers_lost, far.sessions_lost};
}
size_t Node::requests_pending(GroupId id) const { return parts_->gateway.pending(id); }

const raft::Raft* Node::group(GroupId id) const {
  const auto group = parts_->groups.find(id);
  return group == parts_->groups.end() ? nullptr : &group->second->raft();
}

const Replica* Node::replica(GroupId id) const {
  const auto group = parts_->groups.find(id);
  return group == parts_->groups.end() ? nullptr : &group->second->replica();
}

NodeId Node::leader(GroupId id) const {
  return parts_->gateway.LeaderOf(parts_->now, id);
}

const Cache* Node::cache() const { return parts_->cache.get(); }

void Node::CheckInvariants() const {
  for (const auto& [id, group] : parts_->groups) group->CheckInvariants();
  if (parts_->cache != nullptr) parts_->cache->CheckInvariants();
  parts_->gateway.CheckInvariants();
}

void Node::Parts::Step(MonoTime at, const Input& input) {
  CHECK(at >= now);
  now = at;
  std::visit([this](const auto& one) { On(one); }, input);
}

void Node::Parts::On(const Persisted& input) {
  persisted = std::max(persisted, input.write);
  if (!birth_persisted && self_write != 0 && persisted >= self_write) {
    birth_persisted = true;
    gateway.Start(me.disk, me.boot);
  }
  std::erase_if(thrown_away, [this](const auto& one) { return one.second <= persisted; });
  for (Group* group : all_groups) {
    if (group->AwaitsDisk()) group->Persisted(now, input.write);
  }
}

void Node::Parts::On(const Tick&) {
  for (Group* group : all_groups) {
    if (group->NextWakeup() <= now) group->Tick(now);
  }
  gateway.Tick(now);
  if (cache != nullptr && cache->NextWakeup() <= now) cache->Tick(now);
  if (formation != nullptr && birth_persisted) {
    formation->Tick(now);
    if (formation->done()) FinishForming();
  }
  if (now >= next_housekeeping) Housekeep();
}

void Node::Parts::On(const SystemFigures& input) {
  const int64_t seconds = WallClockUs() / kUsPerSecond;
  latencies.Add("loop", seconds, input.loop_lag_us);
  if (input.sync_us != system.sync_us) latencies.Add("disk-sync", seconds, input.sync_us);
  figures.connections_rejected += input.clients_turned_away - system.clients_turned_away;
  system = input;
  rss_peak = std::max(rss_peak, input.rss_bytes);
}

void Node::Parts::On(const Terminate& input) {
  if (!terminating) {
    LOCKSTEP_LOG(kInfo, "shutting down: handing leadership over");
    terminate_by = now + settings().shutdown_timeout * kUsPerSecond;
  }
  terminating = true;
  if (input.now) terminate_by = now;
  next_housekeeping = now;
}

void Node::Parts::Housekeep() {
  next_housekeeping = now + kHousekeepUs;
  figures.Sample(now.us);
  // After a pause of our own, what came meanwhile is still to be read: nobody is judged this time.
  const bool paused = now - last_housekeeping > kUsPerSecond;
  last_housekeeping = now;
  for (const NodeId id : paused ? std::vector<NodeId>() : peers.Tick(now).failed) {
    LOCKSTEP_LOG(kWarn, "node %lu was not heard for %ld ms: marked failed", id.value,
                 settings().node_timeout);
    peers.Redial(id);
  }
  FollowMembers();
  GuideMembership();
  FollowPlacement();
  EndSessionsOfLost();
  tracking.Tick(now);
  FollowCacheOfAll();
  TidyCache();
  if (now >= next_ping) {
    next_ping = now + std::min(kPingUs, settings().node_timeout * kUsPerMs / 4);
    for (const PeerAddress& peer : peers.addresses()) {
      outbox.Send(peer.id, bus::Lane::kControl, bus::MessageType::kPing, kControlGroup, Term{0},
                  [](Writer*) {});
    }
  }
  if (now >= next_second) {
    next_second = now + kUsPerSecond;
    TellAllFormed();
    CloseIdleClients();
    CloseSlowReaders();
    ReleaseIdleBuffers();
  }
  if (dispatcher.paused_until() != MonoTime{} && now >= dispatcher.paused_until()) UnpauseClients();
  if (terminating) HandOver();
}

void Node::Parts::ApplySettings() {
  const Settings& s = settings();
  gateway.set_timeouts(s.leader_wait_ms * kUsPerMs, s.uncertain_after_ms * kUsPerMs);
  latencies.Configure(s.latency_monitor_threshold);
  slow.Configure(s.slowlog_log_slower_than, static_cast<size_t>(s.slowlog_max_len));
  bodies.set_bytes_max(static_cast<size_t>(s.dq_memory));
  tracking.set_keys_max(static_cast<size_t>(s.tracking_table_max_keys));
  peers.set_node_timeout_us(s.node_timeout * kUsPerMs);
  SetLogLevel(s.loglevel);
  ForEachSession([&](Session* session) { ApplyParserLimits(session); });
}

Output Node::Parts::Drain(MonoTime at) {
  CHECK(at >= now);
  now = at;
  Output out;
  TellDelivered();  // What the last turn gave has left by now, or its backlog was told.
  // Before its own snapshots, of which there may always be one due.
  const auto wants = std::find_if(all_groups.begin(), all_groups.end(),
                                  [](const Group* group) { return group->WantsSnapshot(); });
  if (wants != all_groups.end()) (*wants)->ProvideSnapshot();
  int64_t budget = kWorkADrain;
  for (int round = 0; round < kRoundsATurn; ++round) {
    RunSessions(&budget);
    flushed = gateway.asked();
    gateway.Flush(now);
    WantEvents();
    GoOnMoving();
    for (Group* group : all_groups) {
      if (!group->HasWork()) continue;
      group->Drain(now, next_write, &batch);
      NoteLeading(*group);
      FollowCache(*group);
    }
    if (cache != nullptr) (void)cache->RunLost(now);
    // An answer may have led to another question.
    if ((runnable.empty() && gateway.asked() == flushed) || budget <= 0) break;
  }
  for (Group* group : all_groups) {
    if (group->MaySave() && !exit) group->SaveSome(next_write, &batch);
  }
  intake.Flush();
  if (cache != nullptr) {
    cache->Flush(now);
    out.valid_until = cache->TakeValidUntil();
  }
  FlushTracking(&out);
  if (now >= next_leads) SendLeads();
  SendHeartbeats();
  CollectClients(&out);
  if (impostor) {
    for (Output::ToClient& client : out.clients) client = {client.id, {}, true};
  }
  outbox.Drain([&out](NodeId to, bus::Lane lane, Bytes frames) {
    out.peers.push_back({to, lane, std::move(frames)});
  });
  if (!batch.empty()) {
    out.write = std::exchange(batch, WriteBatch());
    out.write_number = next_write++;
    if (self_write == 0) self_write = out.write_number;
  }
  if (std::exchange(peers_changed, false)) out.peer_addresses = peers.addresses();
  out.relink = std::exchange(relink, false);
  out.cut_peers = std::exchange(cut_peers, {});
  out.sleep_us = std::exchange(sleep_us, 0);
  out.exit = exit && persisted + 1 == next_write;  // All that was written is on disk.
  return out;
}

MonoTime Node::Parts::NextWakeup() const {
  if (!runnable.empty() || gateway.asked() != flushed) return now;
  MonoTime next = std::min(next_housekeeping, gateway.NextWakeup());
  for (const Group* group : all_groups) {
    const bool at_once = group->HasWork() || (group->MaySave() && !exit);
    next = std::min(next, at_once ? now : group->NextWakeup());
  }
  if (formation != nullptr && birth_persisted) next = std::min(next, formation->NextWakeup());
  if (cache != nullptr) next = std::min(next, cache->NextWakeup());
  return next;
}

}  // namespace lockstep
