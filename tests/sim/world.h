// One simulated world: the clock, the dice, the nodes, what lies between them, and those who watch.
// Everything that happens follows from the seed.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "src/base/hash.h"
#include "src/base/ids.h"
#include "src/base/rng.h"
#include "tests/sim/cache_ledger.h"
#include "tests/sim/cluster_checker.h"
#include "tests/sim/counters.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/failure.h"
#include "tests/sim/network.h"
#include "tests/sim/plan.h"
#include "tests/sim/process.h"
#include "tests/sim/queue_ledger.h"
#include "tests/sim/swarm.h"
#include "tests/sim/wires.h"

namespace lockstep::sim {

// Of every simulated cluster.
constexpr uint64_t kShards = 3;
constexpr GroupId kGroups[] = {kControlGroup, kLocksGroup, ShardGroup(0), ShardGroup(1),
                               ShardGroup(2)};

// Whose log lines follow; kNoNode: the world's own.
void SetSpeaker(NodeId node);

class World {
 public:
  World(uint64_t seed, bool narrating, Plan plan = {});

  uint64_t seed() const { return seed_; }
  const Swarm& swarm() const { return swarm_; }
  EventQueue& events() { return events_; }
  Rng& rng() { return rng_; }
  Counters& counters() { return counters_; }
  Network& network() { return network_; }
  Wires& wires() { return wires_; }
  ClusterChecker& checker() { return checker_; }
  QueueLedger& queues() { return queues_; }
  CacheLedger& cache() { return cache_; }

  const Plan& plan() const { return plan_; }
  // Whether a process is to stand still here.
  bool StallsNow(uint64_t times);
  void EndStalls() { swarm_.stall_ppm = 0; }

  bool Chance(uint64_t ppm) { return rng_.ChanceInMillion(ppm); }
  int64_t now_us() const { return events_.now_us(); }

  // Time as the fastest clock allowed would show it, jumps of all nodes included: no lease may be
  // over before this has advanced by its length.
  int64_t FastUs() const {
    const int64_t now = events_.now_us();
    return now + now * swarm_.clock_ppm_max / 1'000'000 + jumped_us_;
  }
  void OnClockJump(int64_t us) { jumped_us_ += us; }

  // Nodes, by id. A process is there from the start or once CLUSTER ADD needs it, up or down.
  std::map<NodeId, std::unique_ptr<Process>>& processes() { return processes_; }
  const std::map<NodeId, std::unique_ptr<Process>>& processes() const { return processes_; }
  Process& process(NodeId id) { return *processes_.at(id); }
  Process* FindProcess(NodeId id);
  // Not started. `nodes`: its cluster-nodes.
  Process& AddProcess(NodeId id, const std::vector<NodeId>& nodes);
  // The node that leads `group` in the highest term; null if no running one says that it does.
  Process* LeaderOf(GroupId group);

  // Who belongs to the cluster, as the node knows that has applied most of group `control`.
  std::set<NodeId> Members() const;

  // Since when the cluster may take a node for dead that is not.
  int64_t disturbed_at_fast_us() const { return disturbed_at_fast_us_; }
  void Disturb() {
    cache_.OnTrouble();
    if (disturbed_at_fast_us_ == INT64_MAX) disturbed_at_fast_us_ = FastUs();
  }

  // Whether this part of what the seed has drawn is to happen. Asked when its time has come.
  bool Happens(const Bytes& part);
  const std::vector<Bytes>& parts() const { return parts_; }  // That have happened, in order.
  // What is said from now on is about a part that happens.
  void set_at_part(bool at_part) { at_part_ = at_part; }

  // The story of this run, and its hash: equal for equal runs.
  bool narrating() const { return narrating_; }
  void Say(const char* format, ...) __attribute__((format(printf, 2, 3)));
  void Mix(uint64_t value) { story_hash_ = HashMix(story_hash_, value); }
  uint64_t story_hash() const { return story_hash_; }

 private:
  void LeaveOut();

  uint64_t seed_;
  bool narrating_;
  Plan plan_;
  std::vector<Bytes> parts_;
  bool at_part_ = false;
  Swarm swarm_;
  Rng rng_;
  EventQueue events_;
  Counters counters_;
  Network network_;
  Wires wires_;
  ClusterChecker checker_;
  QueueLedger queues_;
  CacheLedger cache_;
  std::map<NodeId, std::unique_ptr<Process>> processes_;
  int64_t jumped_us_ = 0;
  int64_t disturbed_at_fast_us_ = INT64_MAX;
  uint64_t story_hash_ = 0;
};

}  // namespace lockstep::sim
