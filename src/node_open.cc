// From a disk to a running node.
#include <algorithm>
#include <utility>

#include "commands/control_machine.h"
#include "commands/lock_table.h"
#include "commands/shard_machine.h"
#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/membership.h"
#include "src/node_core.h"

namespace lockstep {
namespace {

// Bounds that are for a group are divided by so many for each shard: rarely are more of them busy.
constexpr size_t kShardsAtWork = 8;

constexpr int64_t kCommitNoticeUs = kUsPerMs;

// Where a node that cluster-nodes does not name is to be found. "Everywhere" is nowhere to dial;
// nodes that it dials itself learn its address from that (bus::Identity).
Bytes OwnHost(const Settings& settings) {
  if (!settings.AnnouncedHost().empty()) return settings.AnnouncedHost();
  const Bytes bound = settings.ReachableBind();
  return bound.empty() ? Bytes("127.0.0.1") : bound;
}

std::vector<NodeRecord> ConfiguredNodes(const Settings& settings, NodeId self) {
  std::vector<NodeRecord> nodes;
  for (const NodeAddress& address : settings.cluster_nodes) {
    nodes.push_back({address.id, address.host, address.bus_port, DiskId{}});
  }
  if (nodes.empty()) nodes.push_back({self, OwnHost(settings), settings.AnnouncedBusPort(), {}});
  return nodes;
}

std::unique_ptr<StateMachine> MakeMachine(GroupId id, const Self& me) {
  if (id == kControlGroup) return std::make_unique<ControlMachine>(me.genesis, me.shards);
  if (id == kLocksGroup) return std::make_unique<LockTable>();
  return std::make_unique<ShardMachine>(ShardOf(id));
}

void LeaveOut(NodeId node, raft::Config* config) {
  std::erase_if(config->voters, [node](const raft::Member& one) { return one.node == node; });
}

Bytes GroupName(GroupId id) {
  if (id == kControlGroup) return "control";
  return id == kLocksGroup ? "locks" : Format("shard-%lu", ShardOf(id));
}

std::vector<GroupId> AllGroups(uint64_t shards) {
  std::vector<GroupId> groups{kControlGroup, kLocksGroup};
  for (uint64_t shard = 0; shard < shards; ++shard) groups.push_back(ShardGroup(shard));
  return groups;
}

// The folder's node, or a new one.
Result<Self> Awaken(const Settings& settings, StorageReader& storage, uint64_t seed) {
  Result<Self> self = LoadSelf(storage);
  if (!self) return self;
  const NodeId configured{static_cast<uint64_t>(settings.node_id)};
  if (self->node == kNoNode) {
    self->node = configured;
    self->disk = DiskId{std::max<uint64_t>(1, HashMix(seed, configured.value))};
  } else if (self->node != configured) {
    return Error{
        Format("the data folder belongs to node %lu, and node-id says %lu: start it as what it "
               "is, or give this node a folder of its own",
               self->node.value, configured.value)};
  }
  if (!self->formed()) self->shards = static_cast<uint64_t>(settings.shards);
  if (self->shards != static_cast<uint64_t>(settings.shards)) {
    LOCKSTEP_LOG(kWarn, "the cluster was formed with %lu shards, for all time: `shards %ld` is "
                        "ignored", self->shards, settings.shards);
  }
  ++self->boot;
  return self;
}

}  // namespace

Node::Parts::Parts(NodeOptions o, const Self& s, MonoTime at)
    : options(std::move(o)),
      me(s),
      started(at),
      now(at),
      outbox(s.node),
      peers(s.node, options.config.settings().node_timeout * kUsPerMs),
      bodies(static_cast<size_t>(options.config.settings().dq_memory)),
      intake(&outbox),
      gateway({s.node}, &outbox, this),
      dispatcher(this, &gateway,
                 options.clock ? options.clock : [this]() { return now; }),
      tracking(this, &outbox) {
  Rng rng(options.seed);
  for (int i = 0; i < 5; ++i) run_id += Format("%08x", static_cast<uint32_t>(rng.Next()));
  ApplySettings();
}

Result<std::unique_ptr<Node>> Node::Open(NodeOptions options, StorageReader& storage,
                                         MonoTime now) {
  const Settings& settings = options.config.settings();
  const Result<Self> self = Awaken(settings, storage, options.seed);
  if (!self) return self.error();
  std::vector<NodeRecord> nodes = ConfiguredNodes(settings, self->node);

  auto parts = std::make_unique<Parts>(std::move(options), *self, now);
  PutSelf(parts->me, &parts->batch);
  if (self->formed()) {
    const Result<void> loaded = parts->LoadGroups(storage);
    if (!loaded) return loaded.error();
  } else {
    const bool named = std::any_of(nodes.begin(), nodes.end(), [&](const NodeRecord& node) {
      return node.id == self->node;
    });
    if (!named) {
      return Error{Format("cluster-nodes does not name node %lu, which node-id says this is",
                          self->node.value)};
    }
    parts->formation = std::make_unique<Formation>(*self, std::move(nodes), &parts->outbox);
    if (parts->formation->done()) parts->FinishForming();
  }
  parts->FollowMembers();
  return std::unique_ptr<Node>(new Node(std::move(parts)));
}

void Node::Parts::FinishForming() {
  const uint64_t boot = me.boot;
  me = formation->self();
  me.boot = boot;
  formation.reset();
  PutSelf(me, &batch);
  first_placement = ControlMachine(me.genesis, me.shards).placement();
  for (const GroupId id : AllGroups(me.shards)) {
    const Result<void> added = AddGroup(id, nullptr);
    CHECK(added.ok());  // Nothing is read.
  }
  relink = true;  // Who we are has changed.
  OpenCache();
  FollowMembers();
}

Result<void> Node::Parts::LoadGroups(StorageReader& storage) {
  first_placement = ControlMachine(me.genesis, me.shards).placement();
  for (const GroupId id : AllGroups(me.shards)) {
    Result<void> added = AddGroup(id, &storage);
    if (!added) return added;
  }
  OpenCache();
  return {};
}

raft::Options Node::Parts::RaftOptions(GroupId id) const {
  raft::Options raft;
  const Settings& from = settings();
  raft.self = {me.node, me.disk};
  raft.election_timeout_us = from.raft_election_timeout_ms * kUsPerMs;
  // Many groups that say nothing: half as often, where two may still be lost before an election.
  const bool has_time = 4 * from.raft_heartbeat_ms <= from.raft_election_timeout_ms;
  raft.heartbeat_us = from.raft_heartbeat_ms * kUsPerMs * (IsShard(id) && has_time ? 2 : 1);
  raft.commit_notice_us = kCommitNoticeUs;
  raft.window_entries_max = static_cast<size_t>(from.raft_window_entries);
  // The shards share what one of the other groups has, but each may hold the largest request a few
  // times: what a pool of clients sends at once, while the leader's disk is behind the others'.
  const size_t share = IsShard(id) ? kShardsAtWork : 1;
  raft.window_bytes_max = static_cast<size_t>(from.raft_window_bytes) / share;
  raft.append_bytes_max = static_cast<size_t>(from.raft_append_bytes) / share;
  raft.uncommitted_bytes_max = static_cast<size_t>(from.raft_uncommitted_bytes) / share;
  if (IsShard(id)) {
    raft.uncommitted_bytes_max = std::max(raft.uncommitted_bytes_max, 4 * kMultiQueueBytesMax);
    raft.offers_snapshots = true;
  }
  raft.seed = HashMix(HashMix(options.seed, me.node.value), id.value + 1);
  return raft;
}

Result<void> Node::Parts::AddGroup(GroupId id, StorageReader* storage) {
  LogStore store(id, options.piece_bytes);
  raft::Recovered recovered;
  auto replica = std::make_unique<Replica>(MakeMachine(id, me));
  if (storage != nullptr) {
    Result<LogStore::Loaded> loaded = store.Load(*storage);
    if (!loaded) return loaded.error();
    store.DropUnfinished(&batch);
    if (IsShard(id)) store.DropFetched(&batch);  // Of a snapshot that had not come when we ended.
    recovered = std::move(loaded->recovered);
  }
  if (recovered.snapshot.last.index.value == 0) {
    recovered.snapshot.config = FirstConfig(id);
    if (recovered.hard.copy.value > 0) LeaveOut(me.node, &recovered.snapshot.config);
  } else {
    const Result<void> restored = replica->Load(recovered.snapshot.data);
    if (!restored) {
      return Error{Format("the snapshot of group %s does not load: %s", GroupName(id).c_str(),
                          restored.error().message.c_str())};
    }
    recovered.snapshot.data = Bytes();
  }
  MakeGroup(id, std::move(store), std::move(recovered), std::move(replica));
  gateway.AddGroup(now, groups[id].get());
  all_groups.push_back(groups[id].get());
  return {};
}

// Of the members that founded the cluster.
raft::Config Node::Parts::FirstConfig(GroupId id) const {
  raft::Config config;
  for (const NodeRecord& record : me.genesis) config.voters.push_back({record.id, record.disk});
  if (!IsShard(id)) return config;
  const std::vector<NodeId>& keepers = first_placement.at(ShardOf(id));
  std::erase_if(config.voters, [&keepers](const raft::Member& member) {
    return std::find(keepers.begin(), keepers.end(), member.node) == keepers.end();
  });
  return config;
}

void Node::Parts::MakeGroup(GroupId id, LogStore store, raft::Recovered recovered,
                            std::unique_ptr<Replica> replica) {
  const ClusterTime snapshot_time = recovered.snapshot.time;
  auto& narrator = narrators[id];
  narrator = std::make_unique<LogNarrator>(GroupName(id));
  auto raft = std::make_unique<raft::Raft>(RaftOptions(id), std::move(recovered), now,
                                           narrator.get());
  Group::Options group_options;
  group_options.id = id;
  group_options.name = GroupName(id);
  group_options.log_bytes_max =
      static_cast<size_t>(settings().raft_log_max_bytes) / (IsShard(id) ? kShardsAtWork : 1);
  if (IsShard(id)) {
    group_options.read = options.read_value;
    group_options.cache = &bodies;
    group_options.make_machine = [id, this] { return MakeMachine(id, me); };
    group_options.ask_cache = [id, this](MonoTime at, MonoTime asked, BytesView query) {
      return cache->Answer(at, id, asked, query);
    };
  }
  group_options.snapshot_entries = static_cast<uint64_t>(settings().raft_snapshot_entries);
  group_options.save_records = options.save_records;
  group_options.is_saving = &is_saving;
  groups[id] = std::make_unique<Group>(group_options, std::move(store), std::move(raft),
                                       std::move(replica), snapshot_time, this);
}

// As it would be if this node had never been a member, but that it remembers that it was.
void Node::Parts::ThrowAway(GroupId id, NodeId leader, Term term, Index copy) {
  Group* const before = groups.at(id).get();
  raft::Recovered recovered;
  CHECK(term >= before->raft().term());
  recovered.hard = {term, leader, copy};  // Whom we voted for in it, we may have forgotten.
  recovered.snapshot.config = FirstConfig(id);
  LeaveOut(me.node, &recovered.snapshot.config);
  LOCKSTEP_LOG(kInfo, "%s: has moved to other nodes; what was kept of it here is thrown away",
               before->name().c_str());
  LogStore store(id, options.piece_bytes);
  store.Clear(recovered.hard, &batch);
  const auto place = std::find(all_groups.begin(), all_groups.end(), before);
  intake.Forget(id);
  MakeGroup(id, std::move(store), std::move(recovered),
            std::make_unique<Replica>(MakeMachine(id, me)));
  *place = groups.at(id).get();
  gateway.ReplaceGroup(*place);
  thrown_away[id] = next_write;
}

}  // namespace lockstep
