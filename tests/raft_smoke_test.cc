// Whole groups in memory: nodes elect, replicate, lose their leader, read, take snapshots and
// change their membership. The rules one by one are in raft_paper_test.cc.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <set>

#include "cluster/raft/raft.h"

namespace lockstep::raft {
namespace {

constexpr int64_t kHeartbeatUs = 100'000;
constexpr int64_t kTimeoutUs = 500'000;

Member MemberOf(uint64_t node) {
  return {NodeId{node}, DiskId{1000 + node}};
}
std::vector<Member> MembersOf(std::initializer_list<uint64_t> nodes) {
  std::vector<Member> members;
  for (const uint64_t node : nodes) members.push_back(MemberOf(node));
  return members;
}

// A host: its disk keeps what was written, its state machine is the list of operations applied.
struct Host {
  std::unique_ptr<Raft> raft;
  Recovered disk;
  uint64_t next_write = 1;
  std::deque<std::pair<uint64_t, Ready>> writing;
  std::vector<Bytes> state;
  std::vector<Ready::Confirmed> reads;
  bool reads_lost = false;
  bool up = true;
};

class Group {
 public:
  explicit Group(std::initializer_list<uint64_t> nodes) {
    Config config;
    config.voters = MembersOf(nodes);
    for (const uint64_t node : nodes) Add(node, config);
  }

  // A node that is not a member yet starts with nobody in its configuration.
  void Add(uint64_t node, const Config& config = {}) {
    hosts[node].disk.snapshot.config = config;
    Start(node);
  }

  void Start(uint64_t node) {
    Host& host = hosts[node];
    Options options;
    options.self = MemberOf(node);
    options.election_timeout_us = kTimeoutUs;
    options.heartbeat_us = kHeartbeatUs;
    options.append_bytes_max = 4096;
    options.uncommitted_bytes_max = 64 * 1024;
    options.seed = node;
    host.raft = std::make_unique<Raft>(options, host.disk, now, nullptr);
    host.state = StateOf(host.disk.snapshot.data);
    host.writing.clear();
    host.up = true;
  }
  // What was being written is lost.
  void Crash(uint64_t node) {
    hosts[node].up = false;
    hosts[node].writing.clear();
  }

  Raft& raft(uint64_t node) { return *hosts.at(node).raft; }
  Host& host(uint64_t node) { return hosts.at(node); }

  // The node that leads, 0 if none or if more than one does.
  uint64_t Leader() const {
    uint64_t found = 0;
    for (const auto& [node, host] : hosts) {
      if (!host.up || !host.raft->is_leader() || isolated.count(node) != 0) continue;
      if (found != 0) return 0;
      found = node;
    }
    return found;
  }
  uint64_t ElectOne() {
    RunUntil(
        [&] { return Leader() != 0 && raft(Leader()).commit() == raft(Leader()).last().index; });
    EXPECT_NE(Leader(), 0u);
    return Leader();
  }

  // Runs until `done`, for ten seconds of the group's time at most.
  bool RunUntil(const std::function<bool()>& done, int64_t us = 10'000'000) {
    for (const int64_t end = now.us + us; now.us < end; now = now + 1000) {
      if (done()) return true;
      Turn();
    }
    return done();
  }
  void RunFor(int64_t us) {
    RunUntil([] { return false; }, us);
  }

  // One turn of every node: messages, disk, time, output.
  void Turn() {
    std::deque<Message> arriving;
    arriving.swap(network);
    for (Message& message : arriving) {
      const uint64_t from = message.from.value;
      const uint64_t to = message.to.value;
      if (hosts.count(to) == 0 || !hosts[to].up) continue;
      if (isolated.count(from) != 0 || isolated.count(to) != 0) continue;
      raft(to).Step(now, std::move(message));
      raft(to).CheckInvariants();
    }
    for (auto& [node, host] : hosts) {
      if (host.up) TurnOf(&host);
    }
  }

  Raft::Proposal Propose(uint64_t node, const Bytes& data) {
    return raft(node).Propose(now, EntryKind::kOp, data);
  }
  bool AllHave(const std::vector<Bytes>& state) const {
    for (const auto& [node, host] : hosts) {
      if (host.up && isolated.count(node) == 0 && host.state != state) return false;
    }
    return true;
  }
  // As a host does that has persisted its state.
  void TakeSnapshot(uint64_t node, size_t keep) {
    Host& host = hosts[node];
    const Index at = host.raft->applied();
    host.disk.snapshot = SnapshotOf(host, at);
    std::erase_if(host.disk.entries, [&](const Entry& entry) { return entry.id.index <= at; });
    host.raft->Compact(at, keep);
  }

  std::map<uint64_t, Host> hosts;
  std::set<uint64_t> isolated;
  std::deque<Message> network;
  MonoTime now{1'000'000};

 private:
  static std::vector<Bytes> StateOf(BytesView data) {
    std::vector<Bytes> state;
    Reader in(data);
    while (in.left() > 0) state.emplace_back(in.String());
    return state;
  }
  static Snapshot SnapshotOf(const Host& host, Index at) {
    Snapshot snapshot;
    snapshot.last =
        at == host.raft->snapshot_id().index ? host.raft->snapshot_id() : host.raft->entry(at).id;
    snapshot.config = host.raft->ConfigAt(at);
    if (at >= host.raft->first_index()) snapshot.time = host.raft->entry(at).time;
    Writer out(&snapshot.data);
    for (const Bytes& item : host.state) out.String(item);
    return snapshot;
  }

  void TurnOf(Host* host) {
    Raft& raft = *host->raft;
    // The disk needs a turn.
    while (!host->writing.empty()) {
      const auto [write, ready] = std::move(host->writing.front());
      host->writing.pop_front();
      Write(ready, &host->disk);
      raft.Persisted(now, write);
      raft.CheckInvariants();
    }
    if (now >= raft.NextTick()) raft.Tick(now);
    EXPECT_GT(raft.NextTick(), now);
    if (!raft.HasReady()) return;

    const uint64_t write = host->next_write++;
    Ready ready = raft.Drain(now, write);
    raft.CheckInvariants();
    EXPECT_FALSE(ready.empty());
    EXPECT_FALSE(raft.HasReady());
    for (Message& message : ready.messages) network.push_back(std::move(message));
    if (ready.install) host->state = StateOf(ready.install->data);
    for (Index i = ready.apply_from; i <= ready.apply_to; i = Next(i)) {
      const Entry& entry = raft.entry(i);
      if (entry.kind == EntryKind::kOp) host->state.push_back(entry.data);
    }
    for (const auto& read : ready.reads) host->reads.push_back(read);
    host->reads_lost |= ready.reads_lost;
    if (ready.wants_snapshot) raft.ProvideSnapshot(SnapshotOf(*host, raft.applied()));
    host->writing.emplace_back(write, std::move(ready));
  }

  static void Write(const Ready& ready, Recovered* disk) {
    if (ready.hard) disk->hard = *ready.hard;
    if (ready.install) {
      disk->snapshot = *ready.install;
      disk->entries.clear();
    }
    if (ready.append.empty()) return;
    const Index from = ready.append.front().id.index;
    std::erase_if(disk->entries, [&](const Entry& entry) { return entry.id.index >= from; });
    disk->entries.insert(disk->entries.end(), ready.append.begin(), ready.append.end());
  }
};

TEST(RaftSmokeTest, ThreeNodesElectOneLeaderAndReplicate) {
  Group group({1, 2, 3});
  const uint64_t leader = group.ElectOne();

  EXPECT_EQ(group.Propose(leader, "a").refusal, Raft::Refusal::kNone);
  EXPECT_EQ(group.Propose(leader, "b").refusal, Raft::Refusal::kNone);

  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave({"a", "b"}); }));
  group.RunFor(5'000'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(group.raft(leader).term(), Term{1});
}

TEST(RaftSmokeTest, ACommitReachesFollowersWithoutWaitingForAHeartbeat) {
  Group group({1, 2, 3});
  const uint64_t leader = group.ElectOne();
  group.RunFor(kHeartbeatUs / 2);

  group.Propose(leader, "a");

  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave({"a"}); }, 10'000));
}

TEST(RaftSmokeTest, AnotherNodeLeadsWhenTheLeaderIsLost) {
  Group group({1, 2, 3});
  const uint64_t first = group.ElectOne();
  group.Propose(first, "a");
  group.RunUntil([&] { return group.AllHave({"a"}); });

  group.Crash(first);
  const uint64_t second = group.ElectOne();
  EXPECT_NE(second, first);
  group.Propose(second, "b");
  group.RunUntil([&] { return group.AllHave({"a", "b"}); });

  group.Start(first);
  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave({"a", "b"}); }));
  EXPECT_EQ(group.Leader(), second);
}

TEST(RaftSmokeTest, WhatAnIsolatedLeaderAppendedIsReplaced) {
  Group group({1, 2, 3});
  const uint64_t first = group.ElectOne();
  group.isolated = {first};
  group.Propose(first, "lost");

  const uint64_t second = group.ElectOne();
  group.Propose(second, "kept");
  group.RunUntil([&] { return group.AllHave({"kept"}); });
  EXPECT_FALSE(group.raft(first).is_leader());  // CheckQuorum.
  group.isolated.clear();

  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave({"kept"}); }));
  EXPECT_EQ(group.Leader(), second);
}

TEST(RaftSmokeTest, ReadsAreConfirmedByAQuorumAndLostWithTheLeader) {
  Group group({1, 2, 3});
  const uint64_t leader = group.ElectOne();
  Host& host = group.host(leader);
  group.Propose(leader, "a");

  const uint64_t position = group.raft(leader).Read(group.now);
  EXPECT_EQ(group.raft(leader).Read(group.now), position);  // One turn, one round.
  EXPECT_TRUE(group.RunUntil([&] { return !host.reads.empty(); }, 50'000));
  EXPECT_EQ(host.reads.front().position, position);
  EXPECT_EQ(host.reads.front().index, group.raft(leader).last().index);

  host.reads.clear();
  host.reads_lost = false;
  group.isolated = {leader};
  EXPECT_GT(group.raft(leader).Read(group.now), position);
  EXPECT_TRUE(group.RunUntil([&] { return host.reads_lost; }));
  EXPECT_TRUE(host.reads.empty());
}

TEST(RaftSmokeTest, AFollowerThatIsFarBehindTakesASnapshot) {
  Group group({1, 2, 3});
  const uint64_t leader = group.ElectOne();
  const uint64_t behind = leader == 1 ? 2 : 1;
  group.Crash(behind);
  std::vector<Bytes> state;
  for (int i = 0; i < 100; ++i) {
    state.push_back(Bytes(8000, static_cast<char>('a' + i % 26)));
    group.Propose(leader, state.back());
    group.RunFor(3'000);
  }
  ASSERT_TRUE(group.RunUntil([&] { return group.AllHave(state); }));
  group.TakeSnapshot(leader, 0);
  EXPECT_EQ(group.raft(leader).log_bytes(), 0u);

  group.Start(behind);

  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave(state); }));
  group.Propose(leader, "more");
  state.push_back("more");
  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave(state); }));
  EXPECT_GT(group.raft(behind).snapshot_id().index, Index{100});
}

TEST(RaftSmokeTest, MembersComeAndGoThroughAJointConfiguration) {
  Group group({1, 2, 3});
  const uint64_t leader = group.ElectOne();
  group.Propose(leader, "a");
  group.RunUntil([&] { return group.AllHave({"a"}); });
  group.Add(4);
  Raft& raft = group.raft(leader);

  ASSERT_EQ(raft.ProposeConfig(group.now, MembersOf({1, 2, 3}), MembersOf({4})).refusal,
            Raft::Refusal::kNone);
  EXPECT_FALSE(raft.config().joint());  // Only learners changed.
  EXPECT_EQ(raft.ProposeConfig(group.now, MembersOf({1, 2, 3, 4}), {}).refusal,
            Raft::Refusal::kConfigPending);
  ASSERT_TRUE(group.RunUntil([&] { return group.AllHave({"a"}) && !raft.config_pending(); }));

  // The leader itself is replaced by 4.
  std::vector<Member> voters = MembersOf({4});
  for (const uint64_t node : {1u, 2u, 3u}) {
    if (node != leader) voters.push_back(MemberOf(node));
  }
  ASSERT_EQ(raft.ProposeConfig(group.now, voters, {}).refusal, Raft::Refusal::kNone);
  EXPECT_TRUE(raft.config().joint());
  ASSERT_TRUE(group.RunUntil([&] { return !raft.is_leader(); }));
  group.Crash(leader);

  const uint64_t second = group.ElectOne();
  EXPECT_FALSE(group.raft(second).config().joint());
  EXPECT_FALSE(group.raft(second).config().Contains(NodeId{leader}));
  group.Propose(second, "b");
  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave({"a", "b"}); }));
}

// C_new is on the disk of the node that it leaves out, and nowhere else. The other one cannot win
// without that node's vote, which its shorter log does not get: so the node that leaves stands once
// more, brings C_new across, and goes (thesis §4.2.2).
TEST(RaftSmokeTest, WhoIsLeftOutStandsWhileOnlyItsOwnLogSaysSo) {
  Group group({1, 2});
  const uint64_t leaves = group.ElectOne();
  const uint64_t stays = 3 - leaves;
  Raft& raft = group.raft(leaves);
  ASSERT_EQ(raft.ProposeConfig(group.now, MembersOf({stays}), {}).refusal, Raft::Refusal::kNone);
  ASSERT_TRUE(group.RunUntil([&] { return !raft.config().joint(); }));
  group.Crash(stays);
  group.network.clear();
  group.Turn();  // Its disk has C_new.
  group.Crash(leaves);

  group.Start(leaves);
  group.Start(stays);
  ASSERT_FALSE(group.raft(leaves).config().Contains(NodeId{leaves}));
  ASSERT_TRUE(group.raft(stays).config().joint());

  EXPECT_TRUE(group.RunUntil([&] { return group.Leader() == stays; }));
  EXPECT_TRUE(group.RunUntil([&] { return !group.raft(stays).config_pending(); }));
}

TEST(RaftSmokeTest, LeadershipIsHandedOverWithoutATimeout) {
  Group group({1, 2, 3});
  const uint64_t first = group.ElectOne();
  const uint64_t target = first == 3 ? 2 : 3;
  const MonoTime began = group.now;

  ASSERT_TRUE(group.raft(first).TransferLeadership(group.now, NodeId{target}));
  EXPECT_EQ(group.Propose(first, "no").refusal, Raft::Refusal::kTransferring);

  EXPECT_TRUE(group.RunUntil([&] { return group.Leader() == target; }));
  EXPECT_LT(group.now - began, kTimeoutUs);
}

TEST(RaftSmokeTest, AGroupOfOneLeadsAtOnceAndCommitsWhatItsDiskHas) {
  Group group({1});
  EXPECT_EQ(group.ElectOne(), 1u);
  EXPECT_LT(group.now.us, 1'000'000 + 20'000);

  group.Propose(1, "a");
  const uint64_t position = group.raft(1).Read(group.now);
  group.Turn();
  EXPECT_TRUE(group.AllHave({}));  // Written, not on disk yet.
  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave({"a"}); }, 10'000));
  ASSERT_EQ(group.host(1).reads.size(), 1u);
  EXPECT_EQ(group.host(1).reads.front().position, position);

  group.Crash(1);
  group.Start(1);
  EXPECT_TRUE(group.RunUntil([&] { return group.AllHave({"a"}); }));
  EXPECT_EQ(group.raft(1).NextTick(), kNeverMono);  // Nobody to hear from, nobody to tell.
}

TEST(RaftSmokeTest, ALeaderWithoutAQuorumRefusesToGrow) {
  Group group({1, 2, 3});
  const uint64_t leader = group.ElectOne();
  group.isolated = {leader};

  int taken = 0;
  while (taken < 1000 && group.Propose(leader, Bytes(1000, 'x')).refusal == Raft::Refusal::kNone) {
    ++taken;
  }
  EXPECT_EQ(taken, 63);  // 1032 bytes each, 64 KiB in all.
  EXPECT_EQ(group.Propose(leader, "x").refusal, Raft::Refusal::kNone);  // This one still fits.
}

}  // namespace
}  // namespace lockstep::raft
