#include "tests/sim/membership.h"

#include <algorithm>

#include "cluster/raft/raft.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr size_t kProcessesMax = 8;
constexpr int64_t kPatienceUs = 8'000'000;
constexpr int64_t kWatchEveryUs = 100'000;

}  // namespace

Membership::Membership(World* world) : world_(world), operator_(world) {}

bool Membership::Busy() const {
  return std::any_of(open_.begin(), open_.end(),
                     [](const auto& open) { return open.second.state != State::kLeaving; });
}

bool Membership::Awaited(NodeId id) const {
  const auto open = open_.find(id);
  return open != open_.end() && open->second.state == State::kAskedToCome;
}

std::vector<NodeId> Membership::Staying() const {
  std::vector<NodeId> ids;
  for (const auto& [id, process] : world_->processes()) {
    if (!process->removed() && !open_.contains(id)) ids.push_back(id);
  }
  return ids;
}

Bytes Membership::WhatIsOpen() const {
  Bytes text;
  for (const auto& [id, open] : open_) {
    const char* what = open.state == State::kAskedToCome ? "asked to come"
                       : open.state == State::kAskedToGo ? "asked to go"
                                                         : "removed, and still in a group";
    text += Format("%snode %lu is %s", text.empty() ? "" : ", ", id.value, what);
  }
  return text;
}

// Asking -----------------------------------------------------------------------------------------

void Membership::Add() {
  if (Busy() || world_->processes().size() > kProcessesMax) return;
  const NodeId id = Next(world_->processes().rbegin()->first);
  std::vector<NodeId> nodes = Staying();
  nodes.push_back(id);
  world_->AddProcess(id, nodes);
  open_[id] = {State::kAskedToCome, false};
  Ask(id);
}

void Membership::Remove() {
  const std::vector<NodeId> ids = Staying();
  if (Busy() || ids.size() < 2) return;
  const NodeId id = ids[world_->rng().Below(ids.size())];
  if (!RestIsWhole(id)) return;
  open_[id] = {State::kAskedToGo, false};
  Ask(id);
}

void Membership::Ask(NodeId id) {
  std::vector<Bytes> argv = {"CLUSTER", "REMOVE", std::to_string(id.value)};
  if (open_.at(id).state == State::kAskedToCome) {
    argv[1] = "ADD";
    argv.push_back(Format("node%lu:%lu", id.value, 17'000 + id.value));
  }
  world_->Say("CLUSTER %s %lu", argv[1].c_str(), id.value);
  operator_.Call(argv, kPatienceUs,
                 [this, id](const Reply* reply, bool sent) { OnAnswer(id, reply, sent); });
}

void Membership::OnAnswer(NodeId id, const Reply* reply, bool sent) {
  world_->Say("CLUSTER ADD or REMOVE %lu: %s", id.value,
              reply == nullptr ? "no answer" : reply->text.c_str());
  Open& open = open_.at(id);
  const bool unknown = reply == nullptr ? sent : reply->text.starts_with("UNCERTAIN");
  if (unknown && !open.lost) ++world_->counters()[Count::kChangesUnknown];
  open.lost = open.lost || unknown;
  if (reply != nullptr && !reply->is_error()) {
    return open.state == State::kAskedToCome ? OnAdded(id) : OnRemoved(id);
  }
  // That this time nothing has happened says nothing of the time before.
  if (open.lost) return AskAgain(id);
  OnRefused(id);
}

void Membership::AskAgain(NodeId id) {
  // Perhaps at another node: this one may be cut off, or no member any more.
  world_->events().After(world_->rng().Between(50'000, 500'000), [this, id] {
    operator_.HangUp();
    Ask(id);
  });
}

// What came of it --------------------------------------------------------------------------------

void Membership::OnAdded(NodeId id) {
  open_.erase(id);
  ++world_->counters()[Count::kNodesAdded];
  Process* process = &world_->process(id);
  world_->events().After(world_->rng().Between(1000, 2'000'000), [process] {
    if (!process->up() && !process->removed()) process->Start();
  });
}

void Membership::OnRemoved(NodeId id) {
  Counters& counters = world_->counters();
  ++counters[Count::kNodesRemoved];
  if (Staying().size() == 2) ++counters[Count::kTwoNodesLeft];
  if (Staying().size() == 1) ++counters[Count::kOneNodeLeft];
  open_.at(id).state = State::kLeaving;
  if (world_->Chance(400'000) && CanSpare({id})) {
    Process& process = world_->process(id);
    world_->Say("node %lu is taken away at once", id.value);
    process.MarkRemoved();
    if (process.up()) process.Crash();
    open_.erase(id);
    return;
  }
  if (!watching_) Watch();
}

void Membership::OnRefused(NodeId id) {
  if (Awaited(id)) world_->process(id).MarkRemoved();  // It never was there.
  open_.erase(id);
}

// Lets those go of whom no group needs anything any more. Half of them run on, outside.
void Membership::Watch() {
  watching_ = false;
  for (auto open = open_.begin(); open != open_.end();) {
    if (open->second.state != State::kLeaving || !IsOut(open->first)) {
      ++open;
      continue;
    }
    Process& process = world_->process(open->first);
    world_->Say("node %lu is out of all groups", open->first.value);
    process.MarkRemoved();
    if (process.up() && world_->Chance(500'000)) process.Crash();
    open = open_.erase(open);
  }
  const bool more = std::any_of(open_.begin(), open_.end(), [](const auto& open) {
    return open.second.state == State::kLeaving;
  });
  if (!more) return;
  watching_ = true;
  world_->events().After(kWatchEveryUs, [this] { Watch(); });
}

bool Membership::IsOut(NodeId id) const {
  for (const GroupId group : kGroups) {
    const Process* leader = world_->LeaderOf(group);
    if (leader == nullptr) return false;
    const raft::Raft* raft = leader->node()->group(group);
    if (raft->config_pending() || raft->config().Contains(id)) return false;
  }
  return true;
}

// With a disk lost, one voter less may be one too many: of three, one of whom has forgotten all,
// nobody may go before that one has caught up.
bool Membership::RestIsWhole(NodeId without) const {
  for (const GroupId group : kGroups) {
    const Process* leader = world_->LeaderOf(group);
    if (leader == nullptr) return false;
    for (const raft::Member& voter : leader->node()->group(group)->config().voters) {
      const Process* process = world_->FindProcess(voter.node);
      const bool goes = voter.node == without || process == nullptr || process->removed();
      if (!goes && process->disk_id() != voter.disk) return false;
    }
  }
  return true;
}

bool Membership::CanSpare(const std::vector<NodeId>& away) const {
  for (const GroupId group : kGroups) {
    const Process* leader = world_->LeaderOf(group);
    if (leader == nullptr) return false;
    const raft::Config& config = leader->node()->group(group)->config();
    if (config.joint() || leader->node()->group(group)->config_pending()) return false;
    size_t whole = 0;
    for (const raft::Member& voter : config.voters) {
      const bool goes = std::find(away.begin(), away.end(), voter.node) != away.end() ||
                        open_.contains(voter.node);
      const Process* process = world_->FindProcess(voter.node);
      if (goes || process == nullptr || !process->up() || process->removed()) continue;
      if (process->disk_id() == voter.disk) ++whole;
    }
    if (whole < config.voters.size() / 2 + 1) return false;
    // Nobody may be of another opinion about who decides.
    for (const auto& [id, process] : world_->processes()) {
      if (process->removed()) continue;
      if (!process->running() || process->cluster_id().value == 0) return false;
      const raft::Raft* raft = process->node()->group(group);
      const bool keeps = !IsShard(group) || config.Contains(id);
      if (raft == nullptr || (keeps && raft->config() != config)) return false;
    }
  }
  return true;
}

}  // namespace lockstep::sim
