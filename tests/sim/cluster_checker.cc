#include "tests/sim/cluster_checker.h"

#include <algorithm>

#include "cluster/raft/raft.h"
#include "commands/lock_table.h"
#include "commands/replica.h"
#include "src/base/hash.h"
#include "src/cache.h"
#include "tests/sim/cache_checker.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr uint64_t kInvariantsEvery = 8;  // Turns, at the most often.
constexpr uint64_t kCopiesEvery = 20;     // Turns of all nodes.
constexpr uint64_t kKeptMax = 10'000;     // As src/group.cc has it.

// Some key that is kept there.
const Bytes& KeyOfShard(uint64_t shard) {
  static const std::vector<Bytes> kKeys = [] {
    std::vector<Bytes> keys(kShards);
    for (uint64_t n = 0; n < 100; ++n) {
      const Bytes key = std::to_string(n);
      keys[ShardOfSlot(SlotOf(key), kShards)] = key;
    }
    return keys;
  }();
  return kKeys[shard];
}

uint64_t HashOf(const raft::Entry& entry) {
  uint64_t hash = HashMix(entry.id.term.value, entry.id.index.value);
  hash = HashMix(hash, static_cast<uint64_t>(entry.time.ms));
  hash = HashMix(hash, static_cast<uint64_t>(entry.kind));
  return HashMix(hash, Hash64(entry.data));
}

}  // namespace

uint64_t ClusterChecker::SessionOf(GroupId group, NodeId node) const {
  const auto found = groups_.find(group);
  const bool known = found != groups_.end() && found->second.reference != nullptr;
  return known ? found->second.reference->SessionOf(node) : 0;
}

void ClusterChecker::OnStart(const Process& process) {
  for (const GroupId id : kGroups) seen_[{process.id(), id}] = {};
  durability_.OnStart(process);
}

void ClusterChecker::OnTurn(const Process& process) {
  world_->Mix(process.id().value);
  for (const GroupId id : kGroups) {
    if (process.node()->group(id) != nullptr) CheckGroup(process, id);
  }
  CountAsking(process);
  if (world_->swarm().has_cache_work) {
    CountCache(process);
    if (++turns_ % kCopiesEvery == 0) CheckCopies(world_);
  }
  for (const GroupId id : kGroups) {
    if (IsShard(id)) CountMoves(process, id);
  }
  process.Enter();  // The reference has hashed under a key of its own.
  CheckInvariants(process);
}

void ClusterChecker::CountAsking(const Process& process) {
  auto& [instance, before] = asking_[process.id()];
  if (instance != process.instance()) before = {};
  instance = process.instance();
  const Node::Asking now = process.node()->asking();
  Counters& counters = world_->counters();
  counters[Count::kRequestsResent] += now.resent - before.resent;
  counters[Count::kFarRequests] += now.far_requests - before.far_requests;
  counters[Count::kFarAnswersLost] += now.far_answers_lost - before.far_answers_lost;
  counters[Count::kFarSessionsLost] += now.far_sessions_lost - before.far_sessions_lost;
  before = now;
}

void ClusterChecker::CountCache(const Process& process) {
  if (process.node()->cache() == nullptr) return;
  auto& [instance, before] = cache_stats_[process.id()];
  if (instance != process.instance()) before = {};
  instance = process.instance();
  const mesi::Stats& now = process.node()->cache()->stats();
  Counters& counters = world_->counters();
  counters[Count::kCacheHits] += now.hits - before.hits;
  counters[Count::kCacheMisses] += now.misses - before.misses;
  counters[Count::kLineUpgrades] += now.upgrades - before.upgrades;
  counters[Count::kInvalidations] += now.invs_sent - before.invs_sent;
  counters[Count::kRecalls] += now.recalls_sent - before.recalls_sent;
  counters[Count::kWriteBacks] += now.write_backs - before.write_backs;
  counters[Count::kLinesExpired] += now.expired - before.expired;
  counters[Count::kLinesAudited] += now.audits - before.audits;
  counters[Count::kShips] += now.ships_run - before.ships_run;
  counters[Count::kShipsRefused] += now.ships_refused - before.ships_refused;
  counters[Count::kShipsLost] += now.ships_lost - before.ships_lost;
  counters[Count::kLinesForgotten] += now.forgets - before.forgets;
  counters[Count::kLinesEvicted] += now.evictions - before.evictions;
  counters[Count::kLinesTouched] += now.touches - before.touches;
  counters[Count::kPushesTaken] += now.pushes - before.pushes;
  counters[Count::kLinesRestored] += now.restored - before.restored;
  counters[Count::kCacheLeasesOver] += now.sessions_over - before.sessions_over;
  CHECK_SIM(now.violations == before.violations,
            "node %lu hears what makes no sense of its cache, or its auditor finds a line wrong",
            process.id().value);
  before = now;
  CountAdopted(process);
}

// What a home has in the turn in which it begins to serve.
void ClusterChecker::CountAdopted(const Process& process) {
  for (const GroupId id : kGroups) {
    if (!IsShard(id)) continue;
    const mesi::Home* home = process.node()->cache()->HomeOf(KeyOfShard(ShardOf(id)));
    Term& epoch = serving_[{process.id(), id}];
    if (home == nullptr || !home->recovered() || home->epoch() == epoch) continue;
    epoch = home->epoch();
    world_->counters()[Count::kLinesAdopted] += home->lines().size();
  }
}

// Copies of a shard that another node has taken over, as its leaders see it.
void ClusterChecker::CountMoves(const Process& process, GroupId id) {
  const raft::Raft* raft = process.node()->group(id);
  if (raft == nullptr) return;
  Index& copy = copies_[{process.id(), id}];
  if (raft->copy() > copy) ++world_->counters()[Count::kCopiesThrownAway];
  copy = raft->copy();
  if (!raft->is_leader() || raft->config_pending()) return;
  auto& [term, voters] = voters_[id];
  const std::vector<raft::Member>& now = raft->config().voters;
  if (raft->term() < term || voters == now) return;
  if (term.value != 0) {
    world_->counters()[Count::kCopiesMoved] += static_cast<uint64_t>(
        std::count_if(now.begin(), now.end(), [&before = voters](const raft::Member& member) {
          return std::find(before.begin(), before.end(), member) == before.end();
        }));
  }
  term = raft->term();
  voters = now;
}

// A table is looked through every few turns, a large one more seldom, so that a turn costs about
// the same with each: faults in it stay, and are found a little later. One to which nothing was
// applied since is as it was.
void ClusterChecker::CheckInvariants(const Process& process) {
  LookedThrough& last = looked_through_[process.id()];
  if (++last.turns < kInvariantsEvery) return;
  std::map<GroupId, Index> applied;
  for (const GroupId id : {kControlGroup, kLocksGroup}) {
    const raft::Raft* raft = process.node()->group(id);
    if (raft != nullptr) applied[id] = raft->applied();
  }
  const bool same = last.instance == process.instance() && last.applied == applied;
  if (last.turns < (same ? 8 * kInvariantsEvery : last.holds / 4)) {
    if (last.turns % kInvariantsEvery != 0) return;
    for (const auto& [id, at] : applied) process.node()->group(id)->CheckInvariants();
    return;
  }
  process.node()->CheckInvariants();
  last = {process.instance(), std::move(applied), 0, 0};
  if (const Replica* locks = process.node()->replica(kLocksGroup); locks != nullptr) {
    last.holds = dynamic_cast<const LockTable&>(locks->machine()).figures().holds;
  }
}

void ClusterChecker::LookOver() {
  for (const auto& [id, process] : world_->processes()) {
    if (!process->up()) continue;
    process->Enter();
    process->node()->CheckInvariants();
  }
  for (const auto& [id, group] : groups_) {
    if (group.reference != nullptr) group.reference->CheckInvariants();
  }
}

void ClusterChecker::CheckGroup(const Process& process, GroupId id) {
  const raft::Raft& raft = *process.node()->group(id);
  Seen& seen = seen_[{process.id(), id}];
  if (seen.instance != process.instance()) {
    seen = Seen{};
    seen.instance = process.instance();
    seen.snapshot = raft.snapshot_id().index;  // It found that on its disk.
  }
  auto& reference = groups_[id].reference;
  // Until something was applied, a cluster may be forgotten, and formed anew of other disks.
  const bool forgotten = raft.applied().value == 0 && groups_[id].committed.empty();
  if (reference == nullptr || forgotten) {
    reference = std::make_unique<Reference>(*process.node()->replica(id), id, raft.applied());
  }

  if (raft.copy() > seen.copy) {  // It has thrown away what it had, and begins anew.
    seen.commit = seen.snapshot = Index{};
    seen.copy = raft.copy();
  }
  CHECK_SIM(raft.term() >= seen.term, "the term of node %lu falls in group %lu", process.id().value,
            id.value);
  CHECK_SIM(raft.commit() >= seen.commit, "the commit index of node %lu falls in group %lu",
            process.id().value, id.value);
  if (raft.is_leader()) CheckLeader(process, id, raft, &seen);
  if (raft.commit() > seen.commit) {
    CheckCommitted(process, id, raft, seen);
    CheckState(process, id, raft);
    CountSnapshots(raft, &seen);
    const bool as_before = raft.is_leader() && seen.led == raft.term() &&
                           seen.config_index == raft.config_index();
    if (as_before) durability_.OnCommit(process, id, raft);
  }
  seen.led = raft.is_leader() ? raft.term() : Term{};
  seen.config_index = raft.config_index();
  seen.term = raft.term();
  seen.commit = raft.commit();
  world_->Mix(raft.commit().value);
}

void ClusterChecker::CheckLeader(const Process& process, GroupId id, const raft::Raft& raft,
                                 Seen* seen) {
  world_->counters()[Count::kElections] += raft.elections() - seen->elections;
  seen->elections = raft.elections();
  PerGroup& group = groups_[id];
  const auto [leader, is_new] = group.leaders.try_emplace(raft.term(), process.id());
  CHECK_SIM(leader->second == process.id(), "nodes %lu and %lu both lead group %lu in term %lu",
            leader->second.value, process.id().value, id.value, raft.term().value);
  const bool is_latest = std::next(leader) == group.leaders.end();
  if (is_latest && !is_new) group.moves_to = raft.transfer_target();
  if (!is_new) return;
  world_->Say("node %lu leads group %lu in term %lu", process.id().value, id.value,
              raft.term().value);
  // Its first home has nothing that could be lost.
  if (IsShard(id) && leader != group.leaders.begin()) {
    const bool as_planned = std::exchange(group.moves_to, kNoNode) == process.id();
    // What makes way in the midst of trouble may be lost before the next home has heard of it.
    const bool calm = world_->disturbed_at_fast_us() == INT64_MAX;
    if (!as_planned || !calm) world_->cache().OnHomeLost(id);
    ++world_->counters()[as_planned ? Count::kHomesMadeWay : Count::kHomesMoved];
  }
  if (leader != group.leaders.begin() && std::prev(leader)->second != process.id()) {
    ++world_->counters()[Count::kFailovers];
  }
  // A candidate whose votes come late may win an old term, without what newer terms committed.
  auto needed = group.committed.rbegin();
  while (needed != group.committed.rend() && needed->second.known_in >= raft.term().value) ++needed;
  if (needed == group.committed.rend()) return;
  CHECK_SIM(raft.last().index >= needed->first,
            "leader %lu of term %lu in group %lu ends at %lu, %lu was committed before",
            process.id().value, raft.term().value, id.value, raft.last().index.value,
            needed->first.value);
  if (needed->first < raft.first_index()) return;
  CHECK_SIM(raft.entry(needed->first).id.term.value == needed->second.term,
            "leader %lu of term %lu in group %lu has another entry at %lu than was committed there",
            process.id().value, raft.term().value, id.value, needed->first.value);
}

void ClusterChecker::CheckCommitted(const Process& process, GroupId id, const raft::Raft& raft,
                                    const Seen& seen) {
  PerGroup& group = groups_[id];
  // What has been compacted away already was applied, and the state hash stands for it.
  const Index from = std::max(Next(seen.commit), raft.first_index());
  for (Index at = from; at <= raft.commit(); at = Next(at)) {
    const raft::Entry& entry = raft.entry(at);
    const uint64_t hash = HashOf(entry);
    const auto [known, is_new] = group.committed.try_emplace(
        at, Committed{hash, entry.id.term.value, raft.term().value});
    CHECK_SIM(known->second.hash == hash,
              "node %lu commits another entry at %lu of group %lu (term %lu) than others did (term "
              "%lu)",
              process.id().value, at.value, id.value, entry.id.term.value, known->second.term);
    known->second.known_in = std::min(known->second.known_in, raft.term().value);
    if (is_new && at > group.reference->applied()) group.reference->Apply(entry);
    if (!is_new) {
      ++world_->counters()[Count::kEntriesCompared];
    } else if (world_->narrating()) {
      world_->Say("group %lu commits %lu at cluster time %ld ms", id.value, at.value,
                  entry.time.ms);
    }
  }
}

void ClusterChecker::CheckState(const Process& process, GroupId id, const raft::Raft& raft) {
  const Replica* replica = process.node()->replica(id);
  const uint64_t hash = replica->Hash();
  const Reference& reference = *groups_[id].reference;
  CHECK_SIM(reference.Knows(raft.applied()) && reference.HashAt(raft.applied()) == hash,
            "the replica of node %lu in group %lu differs at %lu", process.id().value, id.value,
            raft.applied().value);
  ++world_->counters()[Count::kHashesCompared];
  world_->Mix(hash);
}

void ClusterChecker::CountSnapshots(const raft::Raft& raft, Seen* seen) {
  const Index snapshot = raft.snapshot_id().index;
  if (snapshot <= seen->snapshot) return;
  // A snapshot of the leader's replaces the log. After its own a node keeps the log's end, at least
  // this many entries, so its log begins behind the snapshot only if as many stand there.
  const auto kept = static_cast<uint64_t>(world_->swarm().snapshot_entries / 4);
  const bool replaced = raft.first_index() == Next(snapshot) &&
                        raft.last().index.value - snapshot.value < std::min(kept, kKeptMax);
  ++world_->counters()[replaced ? Count::kSnapshotsInstalled : Count::kSnapshotsTaken];
  seen->snapshot = snapshot;
}

}  // namespace lockstep::sim
