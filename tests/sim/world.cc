#include "tests/sim/world.h"

#include <cstdarg>
#include <cstdio>

#include "cluster/raft/raft.h"
#include "commands/control_machine.h"
#include "commands/replica.h"
#include "src/base/log.h"

namespace lockstep::sim {
namespace {

// A log sink is a plain function, so it finds the world here.
const World* g_world = nullptr;
NodeId g_speaker = kNoNode;

void PrintLine(BytesView line) {
  const double seconds =
      g_world == nullptr ? 0 : static_cast<double>(g_world->now_us()) / kUsPerSecond;
  const Bytes speaker = g_speaker == kNoNode ? Bytes("-") : std::to_string(g_speaker.value);
  std::printf("%11.6f %s  %.*s\n", seconds, speaker.c_str(), static_cast<int>(line.size()),
              line.data());
}

}  // namespace

void SetSpeaker(NodeId node) { g_speaker = node; }

World::World(uint64_t seed, bool narrating, Plan plan)
    : seed_(seed),
      narrating_(narrating),
      plan_(std::move(plan)),
      swarm_(seed),
      rng_(plan_.roll == 0 ? seed : HashMix(seed, plan_.roll)),
      network_(this),
      wires_(this),
      checker_(this),
      queues_(this),
      cache_(this) {
  g_world = this;
  g_speaker = kNoNode;
  SetLogSink(narrating ? [](LogLevel, BytesView line) { PrintLine(line); } : LogSink(nullptr));
  SetLogLevel(LogLevel::kDebug);
  LeaveOut();
}

bool World::Happens(const Bytes& part) {
  if (!plan_.Has(part)) return false;
  parts_.push_back(part);
  return true;
}

// What lasts for a whole run.
void World::LeaveOut() {
  if (swarm_.drop_ppm > 0 && !Happens("drop")) swarm_.drop_ppm = 0;
  if (swarm_.repeat_ppm > 0 && !Happens("repeat")) swarm_.repeat_ppm = 0;
  if (swarm_.reorder_ppm > 0 && !Happens("reorder")) swarm_.reorder_ppm = 0;
  if (swarm_.clock_ppm_max > 0 && !Happens("clocks")) swarm_.clock_ppm_max = 0;
  if (swarm_.stall_ppm > 0 && !Happens("stalls")) swarm_.stall_ppm = 0;
  if (swarm_.core_only && !Happens("minority")) swarm_.core_only = false;
}

bool World::StallsNow(uint64_t times) {
  if (swarm_.stall_ppm == 0 || !Chance(swarm_.stall_ppm * times)) return false;
  Disturb();
  ++counters_[Count::kStalls];
  return true;
}

void World::Say(const char* format, ...) {
  Mix(Hash64(format));
  if (!narrating_ && !(at_part_ && plan_.tells_parts)) return;
  va_list args;
  va_start(args, format);
  char line[1024];
  std::vsnprintf(line, sizeof line, format, args);
  va_end(args);
  PrintLine(line);
}

Process* World::FindProcess(NodeId id) {
  const auto found = processes_.find(id);
  return found == processes_.end() ? nullptr : found->second.get();
}

Process& World::AddProcess(NodeId id, const std::vector<NodeId>& nodes) {
  Bytes text = Format("node-id %lu\nport %lu\nshards %lu\n", id.value, 7000 + id.value, kShards);
  if (nodes.size() > 1) {
    text += "cluster-nodes \"";
    for (const NodeId node : nodes) {
      text += Format("%s%lu=node%lu:%lu", node == nodes.front() ? "" : " ", node.value, node.value,
                     17'000 + node.value);
    }
    text += "\"\n";
  }
  text += Format("raft-election-timeout-ms %ld\nraft-heartbeat-ms %ld\n",
                 swarm_.election_timeout_ms, swarm_.heartbeat_ms);
  text += Format("raft-snapshot-entries %ld\nraft-window-entries %ld\nraft-append-bytes %ld\n",
                 swarm_.snapshot_entries, swarm_.window_entries, swarm_.append_bytes);
  text += Format("raft-window-bytes %ld\nraft-uncommitted-bytes %ld\nraft-log-max-bytes %ld\n",
                 swarm_.window_bytes, swarm_.uncommitted_bytes, swarm_.log_max_bytes);
  text += Format("leader-wait-ms %ld\nuncertain-after-ms %ld\nnode-timeout %ld\n"
                 "shutdown-timeout 3\nloglevel debug\n",
                 swarm_.leader_wait_ms, swarm_.uncertain_after_ms, swarm_.node_timeout_ms);
  if (swarm_.cache_bytes > 0) text += Format("dcache-memory %ld\n", swarm_.cache_bytes);
  auto& process = processes_[id];
  CHECK(process == nullptr);
  process = std::make_unique<Process>(this, id, std::move(text));
  return *process;
}

Process* World::LeaderOf(GroupId group) {
  Process* leader = nullptr;
  Term term;
  for (const auto& [id, process] : processes_) {
    if (!process->running()) continue;
    const raft::Raft* raft = process->node()->group(group);
    if (raft == nullptr || !raft->is_leader() || raft->term() < term) continue;
    leader = process.get();
    term = raft->term();
  }
  return leader;
}

std::set<NodeId> World::Members() const {
  std::set<NodeId> members;
  Index applied;
  for (const auto& [id, process] : processes_) {
    const Replica* replica = process->up() ? process->node()->replica(kControlGroup) : nullptr;
    if (replica == nullptr || process->node()->group(kControlGroup)->applied() < applied) continue;
    applied = process->node()->group(kControlGroup)->applied();
    members.clear();
    const auto& control = dynamic_cast<const ControlMachine&>(replica->machine());
    for (const auto& [member, record] : control.nodes()) members.insert(member);
  }
  return members;
}

}  // namespace lockstep::sim
