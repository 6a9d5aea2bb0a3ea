// A group of Raft nodes under faults drawn from a seed. After every step: what each node must hold
// (Raft::CheckInvariants), what the group has promised (Ledger), what messages promise (Host), that
// commits rest on disks (Cluster). In the end the faults stop, and the group must come to agree.
//
//   raft_random_test            a few hundred seeds
//   SEEDS=100000 ...            more of them
//   SEED=17 NARRATE=1 ...       one again, with what the engines say
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/raft_cluster.h"

namespace lockstep::raft::testing {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  uint64_t number = 0;
  return value != nullptr && ParseUint64(value, &number) ? number : otherwise;
}

class Printer final : public Narrator {
 public:
  explicit Printer(NodeId node) : node_(node) {}
  bool Narrating() const override { return true; }
  void Say(Bytes line) override { std::printf("%lu > %s\n", N(node_), line.c_str()); }

 private:
  NodeId node_;
};

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed) : rng_(seed), narrate_(FromEnvironment("NARRATE", 0) != 0) {
    Cluster::Setup setup;
    const uint64_t sizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5};
    setup.voters = sizes[rng_.Below(std::size(sizes))];
    setup.learners = rng_.Below(2);
    setup.outsiders = rng_.Below(3);
    setup.seed = seed;
    DrawOptions(&setup.options);
    if (narrate_) {
      setup.narrator = [this](NodeId node) {
        printers_.push_back(std::make_unique<Printer>(node));
        return printers_.back().get();
      };
    }
    cluster_.emplace(std::move(setup));
    for (uint64_t n = 1; n <= cluster_->size(); ++n) {
      if (Chance(30)) cluster_->host(n).snapshot_padding = rng_.Below(600'000);
      cluster_->SetClock(n, 0, rng_.Between(900, 1100));
    }
    DrawFaults();
    for (Percent& weight : weights_) weight = Chance(25) ? 0 : rng_.Below(100);
    weights_[kPropose] += 50;
  }

  void Run() {
    for (int step = 0; step < 250; ++step) {
      cluster_->RunFor(rng_.Between(0, Chance(10) ? 1'000'000 : 60'000));
      Act();
    }
    MustConverge();
  }

 private:
  using Percent = uint64_t;
  enum Action : size_t {
    kPropose,
    kRead,
    kCrash,
    kRestart,
    kCut,
    kHeal,
    kConfigure,
    kTransfer,
    kCompact,
    kDisk,
    kPause,
    kEmpty,
    kFaults,
    kLink,
    kActions
  };

  bool Chance(Percent percent) { return rng_.Below(100) < percent; }
  uint64_t AnyNode() { return 1 + rng_.Below(cluster_->size()); }
  // Mostly one who leads, or thinks so.
  uint64_t SomeLeader() {
    std::vector<uint64_t> leaders;
    for (uint64_t n = 1; n <= cluster_->size(); ++n) {
      if (Awake(n) && (*cluster_)[n].is_leader()) leaders.push_back(n);
    }
    return leaders.empty() || Chance(2) ? AnyNode() : leaders[rng_.Below(leaders.size())];
  }
  bool Awake(uint64_t n) { return cluster_->host(n).up() && !paused_.contains(n); }

  void DrawOptions(Options* options) {
    if (Chance(50)) options->window_entries_max = 1 + rng_.Below(8);
    if (Chance(30)) options->window_bytes_max = 100 + rng_.Below(2000);
    if (Chance(30)) options->append_bytes_max = 100 + rng_.Below(500);
    if (Chance(30)) options->uncommitted_bytes_max = 500 + rng_.Below(5000);
  }
  void DrawFaults() {
    Faults& faults = cluster_->faults;
    faults = {};
    if (Chance(50)) faults.lose = rng_.Below(200'000);
    if (Chance(50)) faults.repeat = rng_.Below(200'000);
    faults.delay_max = rng_.Between(0, Chance(20) ? 400'000 : 20'000);
    faults.write_max = rng_.Between(0, Chance(20) ? 600'000 : 10'000);
    if (Chance(50)) faults.lazy = rng_.Below(600'000);
  }

  void Act() {
    uint64_t total = 0;
    for (const Percent weight : weights_) total += weight;
    uint64_t drawn = rng_.Below(total);
    size_t action = 0;
    while (drawn >= weights_[action]) drawn -= weights_[action++];
    switch (static_cast<Action>(action)) {
      case kPropose:
        return Propose();
      case kRead:
        return Read();
      case kCrash:
        return Crash();
      case kRestart:
        return Restart();
      case kCut:
        return Cut();
      case kHeal:
        return cluster_->Heal();
      case kConfigure:
        return Configure();
      case kTransfer:
        return Transfer();
      case kCompact:
        return Compact();
      case kDisk:
        return HoldDisk();
      case kPause:
        return Pause();
      case kEmpty:
        return Empty();
      case kFaults:
        return DrawFaults();
      case kLink:
        return NoticeLink();
      case kActions:
        break;
    }
  }

  void Propose() {
    const uint64_t n = SomeLeader();
    if (!Awake(n)) return;
    for (uint64_t left = 1 + rng_.Below(Chance(20) ? 30 : 3); left > 0; --left) {
      cluster_->Propose(n, Format("%lu:", ++proposals_) + Bytes(rng_.Below(200), 'x'));
    }
  }
  void Read() {
    const uint64_t n = SomeLeader();
    if (Awake(n)) cluster_->Read(n);
  }
  void Crash() {
    const uint64_t n = AnyNode();
    if (!cluster_->host(n).up()) return;
    cluster_->Crash(n, rng_.Below(cluster_->host(n).writes_pending() + 1));
  }
  void Restart() {
    for (uint64_t n = 1; n <= cluster_->size(); ++n) {
      if (cluster_->host(n).up() || Chance(30)) continue;
      // A process knows nothing of the clock of the one before it.
      cluster_->SetClock(n, rng_.Between(0, 1'000'000'000), rng_.Between(900, 1100));
      cluster_->Restart(n);
    }
  }
  void Cut() {
    const uint64_t a = AnyNode();
    const uint64_t b = AnyNode();
    if (a == b || Chance(30)) return cluster_->Isolate(a);
    if (Chance(50)) return cluster_->CutOneWay(a, b);
    cluster_->Cut(a, b);
  }
  void Configure() {
    const uint64_t n = SomeLeader();
    if (!Awake(n)) return;
    std::vector<Member> voters, learners;
    const Config& now = (*cluster_)[n].config();
    for (uint64_t m = 1; m <= cluster_->size(); ++m) {
      const Member member = cluster_->host(m).self();
      const DiskId known = now.DiskOf(member.node);
      if (known != DiskId{0} && known != member.disk) continue;  // The old disk must leave first.
      // A renewed disk learns first, and votes once its own log says that it is the member.
      const bool knows = member == MemberOf(m) || IsMemberByItsLog(m);
      if (knows && Chance(60)) {
        voters.push_back(member);
      } else if (Chance(50)) {
        learners.push_back(member);
      }
    }
    cluster_->Configure(n, std::move(voters), std::move(learners));
  }
  bool IsMemberByItsLog(uint64_t n) {
    return cluster_->host(n).up() &&
           (*cluster_)[n].config().DiskOf(NodeId{n}) == cluster_->host(n).self().disk;
  }
  void Transfer() {
    const uint64_t n = SomeLeader();
    if (Awake(n)) cluster_->Transfer(n, AnyNode());
  }
  void Compact() {
    const uint64_t n = AnyNode();
    if (Awake(n)) cluster_->Compact(n, Chance(50) ? 0 : rng_.Below(20));
  }
  void HoldDisk() {
    const uint64_t n = AnyNode();
    if (Chance(50)) return cluster_->HoldDisk(n);
    for (uint64_t m = 1; m <= cluster_->size(); ++m) cluster_->ReleaseDisk(m);
  }
  void Pause() {
    for (const uint64_t n : std::exchange(paused_, {})) cluster_->Resume(n);
    if (Chance(50)) return;
    const uint64_t n = AnyNode();
    cluster_->Pause(n);
    paused_.insert(n);
  }
  void NoticeLink() {
    const uint64_t n = AnyNode();
    if (Awake(n)) cluster_->Unreachable(n, AnyNode());
  }

  // A disk is emptied now and then, but never so many that the rest cannot decide: no group
  // survives that. One at a time, while the configuration is at rest.
  void Empty() {
    const uint64_t leader = cluster_->leader();
    const uint64_t n = AnyNode();
    if (leader == 0 || n == leader) return;
    const Config& config = (*cluster_)[leader].config();
    if (config.voters.size() < 3 || (*cluster_)[leader].config_pending()) return;
    for (uint64_t m = 1; m <= cluster_->size(); ++m) {
      Host& host = cluster_->host(m);
      if (!host.up() || host.raft().config() != config) return;
      const DiskId known = config.DiskOf(host.id());
      if (known != DiskId{0} && known != host.self().disk) return;
    }
    cluster_->Crash(n);
    cluster_->RestartEmptied(n);
  }

  // Liveness: with the faults gone, the group elects, commits, and all its members come to the
  // same.
  void MustConverge() {
    cluster_->faults = {.delay_min = 100, .delay_max = 2000, .write_max = 2000};
    cluster_->Heal();
    for (uint64_t n = 1; n <= cluster_->size(); ++n) {
      cluster_->Resume(n);
      cluster_->ReleaseDisk(n);
      if (!cluster_->host(n).up()) cluster_->Restart(n);
    }
    MUST(cluster_->Commits("the end", 60 * kUsPerSecond),
         "the faults are over, yet nothing is committed: %s", Situation().c_str());
    MUST(cluster_->RunUntil([&] { return AllAgree(); }, 60 * kUsPerSecond),
         "the faults are over, yet the members do not come to agree: %s", Situation().c_str());
    const uint64_t leader = cluster_->leader();
    const uint64_t position = cluster_->Read(leader);
    cluster_->RunForMs(1000);
    MUST(cluster_->host(leader).Confirmed(position).has_value(), "a read is never confirmed");
  }
  bool AllAgree() {
    const uint64_t leader = cluster_->leader();
    if (leader == 0 || (*cluster_)[leader].config_pending()) return false;
    const Config& config = (*cluster_)[leader].config();
    for (const NodeId node : config.All()) {
      Host& host = cluster_->host(node.value);
      if (host.self().disk != config.DiskOf(node)) continue;
      if (host.raft().config() != config) return false;
      if (host.raft().commit() != (*cluster_)[leader].commit()) return false;
      if (host.machine().last.index != (*cluster_)[leader].commit()) return false;
      if (host.machine().hash != cluster_->host(leader).machine().hash) return false;
    }
    return true;
  }
  Bytes Situation() {
    Bytes text;
    for (uint64_t n = 1; n <= cluster_->size(); ++n) {
      const Raft& raft = (*cluster_)[n];
      text += Format("%s%lu is %s in term %lu, log %s, commit %lu", n == 1 ? "" : "; ",
                     N(NodeId{n}), RoleName(raft.role()), N(raft.term()), Text(raft.last()).c_str(),
                     N(raft.commit()));
    }
    return text;
  }

  Rng rng_;
  bool narrate_;
  std::vector<std::unique_ptr<Printer>> printers_;
  std::optional<Cluster> cluster_;
  Percent weights_[kActions] = {};
  std::set<uint64_t> paused_;
  unsigned long proposals_ = 0;
};

TEST(RaftRandom, NoScheduleOfFaultsBreaksAPromise) {
  const uint64_t only = FromEnvironment("SEED", 0);
  const uint64_t first = only != 0 ? only : 1;
  const uint64_t last = only != 0 ? only : FromEnvironment("SEEDS", 300);
  int failures = 0;
  for (uint64_t seed = first; seed <= last && failures < 5; ++seed) {
    try {
      RandomRun(seed).Run();
    } catch (const Violation& violation) {
      ++failures;
      ADD_FAILURE() << violation.what() << "\nAgain: SEED=" << seed << " raft_random_test";
    }
  }
}

}  // namespace
}  // namespace lockstep::raft::testing
