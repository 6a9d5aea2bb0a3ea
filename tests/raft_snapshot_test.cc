// Snapshots and compaction (Raft §7; thesis chapter 5): chunks that are lost, late, damaged or of
// another time; what a crash leaves; what must never be thrown away.
#include <gtest/gtest.h>

#include "src/base/crc32c.h"
#include "src/base/limits.h"
#include "tests/raft_solo.h"

namespace lockstep::raft::testing {
namespace {

constexpr int64_t kTimeout = Options{}.election_timeout_us;

// A group in which node 3 is cut off and can be brought up to date by a snapshot only.
class RaftSnapshot : public ::testing::Test {
 protected:
  void LeaveBehind(size_t padding = 0) {
    Group().host(1).snapshot_padding = Group().host(2).snapshot_padding = padding;
    Group().Elect(1);
    Group().Isolate(3);
    for (int i = 0; i < 50; ++i) Group().Propose(1, "x");
    Group().Settle();
    for (const uint64_t n : {1u, 2u}) Group().Compact(n);
    Group().Settle();
  }
  bool CatchesUp(int64_t us = 10 * kTimeout) {
    return Group().RunUntil(
        [&] {
          const uint64_t leader = Group().leader();
          return leader != 0 && Group().host(3).up() &&
                 Group()[3].commit() >= Group().ledger().committed();
        },
        us);
  }
  // Once more from the start, within one test.
  void StartAgain() { group_.emplace(3); }
  Cluster& Group() { return *group_; }
  std::optional<Cluster> group_{std::in_place, 3};
};

TEST_F(RaftSnapshot, BringsAFollowerThatIsFarBehindUpToDate) {
  LeaveBehind();
  ASSERT_EQ(Group()[1].first_index(), Index{52});
  ASSERT_LE(Group().host(3).disk().last().index, Index{1});

  Group().Heal();

  EXPECT_TRUE(CatchesUp());
  EXPECT_EQ(Group().host(3).disk().snapshot.last, At(1, 51));
  EXPECT_EQ(Group()[3].snapshot_id(), At(1, 51));
  EXPECT_EQ(Group()[3].first_index(), Index{52});
  EXPECT_EQ(Group().leader(), 1u);
}

TEST_F(RaftSnapshot, IsFollowedByAppends) {
  LeaveBehind();
  Group().Heal();
  ASSERT_TRUE(CatchesUp());

  Group().Propose(1, "y");
  Group().RunForMs(200);

  EXPECT_EQ(Group()[3].last(), At(1, 52));
  EXPECT_EQ(Group()[3].commit(), Index{52});
}

TEST_F(RaftSnapshot, GoesInChunksOfBoundedSize) {
  LeaveBehind(3 * kSnapshotChunkBytes);
  int chunks = 0;
  Group().Hold([&](const Message& message) {
    const auto* chunk = std::get_if<SnapshotChunk>(&message.body);
    if (chunk == nullptr) return false;
    MUST(chunk->data.size() <= kSnapshotChunkBytes, "a chunk is over the limit");
    ++chunks;
    return false;
  });
  Group().Heal();

  EXPECT_TRUE(CatchesUp());
  EXPECT_GE(chunks, 4);
  EXPECT_LE(chunks, 8);
}

TEST_F(RaftSnapshot, ArrivesThroughANetworkThatLosesRepeatsAndReorders) {
  LeaveBehind(6 * kSnapshotChunkBytes);
  Group().faults = {.lose = 200'000, .repeat = 200'000, .delay_min = 100, .delay_max = 30'000};
  Group().Heal();

  EXPECT_TRUE(CatchesUp(60 * kTimeout));
}

TEST_F(RaftSnapshot, StartsAgainAfterItsReceiverCrashed) {
  LeaveBehind(6 * kSnapshotChunkBytes);
  Group().faults.delay_min = Group().faults.delay_max = 10'000;
  Group().Heal();
  Group().RunForMs(150);
  ASSERT_LE(Group()[3].commit(), Index{1});

  Group().Crash(3);
  Group().Restart(3);

  EXPECT_TRUE(CatchesUp());
}

TEST_F(RaftSnapshot, GoesOnUnderAnotherLeader) {
  LeaveBehind(6 * kSnapshotChunkBytes);
  Group().faults.delay_min = Group().faults.delay_max = 10'000;
  Group().Heal();
  Group().RunForMs(150);
  ASSERT_LE(Group()[3].commit(), Index{1});

  Group().Crash(1);

  EXPECT_TRUE(Group().Commits("y"));  // Node 2 needs node 3 for it.
  EXPECT_TRUE(CatchesUp());
}

TEST_F(RaftSnapshot, IsInstalledByACrashedReceiverOnlyIfItsDiskHadIt) {
  for (const size_t landed : {size_t{0}, size_t{9}}) {
    StartAgain();
    LeaveBehind();
    Group().HoldDisk(3);
    Group().Heal();
    Group().RunForMs(300);

    Group().Crash(3, landed);
    Group().Restart(3);
    EXPECT_EQ(Group()[3].commit(), Index{landed == 0 ? 0u : 51u});
    Group().ReleaseDisk(3);

    EXPECT_TRUE(CatchesUp());
  }
}

TEST_F(RaftSnapshot, AnOldOneThatComesLateUndoesNothing) {
  LeaveBehind();
  std::vector<Message> seen;
  Group().Hold([&](const Message& message) {
    if (std::holds_alternative<SnapshotChunk>(message.body)) seen.push_back(message);
    return false;
  });
  Group().Heal();
  ASSERT_TRUE(CatchesUp());
  for (int i = 0; i < 10; ++i) Group().Propose(1, "y");
  Group().Settle();
  ASSERT_FALSE(seen.empty());

  for (const Message& message : std::vector<Message>(seen)) Group().Repeat(message);
  Group().Settle();

  EXPECT_EQ(Group()[3].last(), At(1, 61));
  EXPECT_EQ(Group().host(3).disk().last(), At(1, 61));
  // Nor when its place in the log is gone, so that the log cannot tell that it was there.
  Group().Compact(3);
  Group().Settle();
  ASSERT_EQ(Group()[3].first_index(), Index{62});
  for (const Message& message : std::vector<Message>(seen)) Group().Repeat(message);
  Group().Settle();
  EXPECT_EQ(Group()[3].last(), At(1, 61));
  EXPECT_EQ(Group()[3].commit(), Index{61});
  EXPECT_TRUE(Group().Commits("z"));
}

// redisraft #42, #43: while one is under way the leader takes another.
TEST_F(RaftSnapshot, OfTwoInFlightTheNewerStays) {
  LeaveBehind(2 * kSnapshotChunkBytes);
  Group().Hold(
      [](const Message& message) { return std::holds_alternative<SnapshotChunk>(message.body); });
  Group().Heal();
  Group().RunForMs(300);
  ASSERT_GE(Group().held(), 1u);
  for (int i = 0; i < 20; ++i) Group().Propose(1, "y");
  Group().Settle();
  Group().Compact(1);
  Group().RunForMs(1000);
  Group().Release();

  EXPECT_TRUE(CatchesUp());
  Group().Crash(2);
  EXPECT_TRUE(Group().Commits("z"));
}

TEST_F(RaftSnapshot, OneThatTheHostProvidesLateIsOfUseAndOneTooLateDoesNoHarm) {
  for (const bool deposed : {false, true}) {
    StartAgain();
    LeaveBehind();
    Group().host(1).provides_snapshots = false;
    Group().Heal();
    ASSERT_TRUE(Group().RunUntil([&] { return Group().host(1).wants_snapshot(); }, kTimeout));
    for (int i = 0; i < 10; ++i) Group().Propose(1, "y");
    Group().RunForMs(100);
    if (deposed) {
      ASSERT_TRUE(Group().Transfer(1, 2));
      Group().Settle();
      ASSERT_EQ(Group().leader(), 2u);
    }

    Group().host(1).provides_snapshots = true;
    Group().host(1).ProvideSnapshot();

    EXPECT_TRUE(CatchesUp());
    EXPECT_TRUE(Group().Commits("z"));
  }
}

TEST_F(RaftSnapshot, AFollowerALittleBehindIsServedFromWhatIsKept) {
  Group().Elect(1);
  Group().Isolate(3);
  for (int i = 0; i < 50; ++i) Group().Propose(1, "x");
  Group().Settle();
  Group().Compact(1, 100);
  Group().Settle();
  EXPECT_EQ(Group()[1].snapshot_id(), At(1, 51));
  EXPECT_EQ(Group()[1].first_index(), Index{1});

  Group().Heal();

  EXPECT_TRUE(CatchesUp());
  EXPECT_EQ(Group().host(3).disk().snapshot.last, At(0, 0));
}

TEST_F(RaftSnapshot, CompactionFreesMemoryAndMayBeRepeated) {
  Group().Elect(1);
  for (int i = 0; i < 50; ++i) Group().Propose(1, Bytes(1000, 'x'));
  Group().Settle();
  EXPECT_GE(Group()[1].log_bytes(), 50'000u);

  Group()[1].Compact(Index{30}, 0);
  EXPECT_LT(Group()[1].log_bytes(), 25'000u);
  EXPECT_EQ(Group()[1].first_index(), Index{31});
  Group()[1].Compact(Index{30}, 0);
  Group()[1].Compact(Index{20}, 0);
  EXPECT_EQ(Group()[1].first_index(), Index{31});
  EXPECT_EQ(Group()[1].last(), At(1, 51));
  Group()[1].CheckInvariants();
}

TEST_F(RaftSnapshot, ANodeRestartsFromItsSnapshotAndWhatFollows) {
  LeaveBehind();
  for (int i = 0; i < 5; ++i) Group().Propose(1, "y");
  Group().Settle();

  Group().Crash(2);
  Group().Restart(2);

  EXPECT_EQ(Group()[2].snapshot_id(), At(1, 51));
  EXPECT_EQ(Group()[2].commit(), Index{51});
  EXPECT_EQ(Group()[2].applied(), Index{51});
  EXPECT_EQ(Group()[2].first_index(), Index{52});
  EXPECT_EQ(Group()[2].last(), At(1, 56));
  EXPECT_EQ(Group()[2].config().voters, MembersOf({1, 2, 3}));
}

// One receiver, chunks by hand ---------------------------------------------------------------

Bytes StateAt(uint64_t hash) {
  Bytes data;
  Writer(&data).U64(hash);
  return data;
}
SnapshotChunk Chunk(LogId last, Bytes data) {
  SnapshotChunk chunk;
  chunk.last = last;
  chunk.config.voters = MembersOf({1, 2, 3});
  chunk.total = data.size();
  chunk.checksum = Crc32c(data);
  chunk.data = std::move(data);
  return chunk;
}
// A chunk may be answered at once, and again when all is on disk.
SnapshotReply LastReply(const std::vector<Message>& said) {
  const std::vector<Message> replies = Only<SnapshotReply>(said);
  MUST(!replies.empty(), "the chunk is not answered");
  return std::get<SnapshotReply>(replies.back().body);
}
// The state of a machine that has applied `log`.
Bytes StateOf(const std::vector<Entry>& log) {
  uint64_t hash = 0;
  for (const Entry& entry : log) hash = Ledger::HashOf(entry, hash);
  return StateAt(hash);
}

class RaftSnapshotReceiver : public ::testing::Test {
 protected:
  // The ledger of a lone node knows only what that node applied, so the group's history is told
  // here.
  void Start(const std::vector<uint64_t>& log, const std::vector<uint64_t>& committed) {
    node_.emplace(Solo::Setup{.hard = {Term{1}, kNoNode}, .log = LogOf(log)});
    history_ = LogOf(committed);
    for (const Entry& entry : history_) node_->ledger().OnCommitted(NodeId{2}, Term{2}, entry);
  }
  std::optional<Solo> node_;
  std::vector<Entry> history_;
};

TEST_F(RaftSnapshotReceiver, SaysThatItIsInstalledOnlyOnceItIsOnDisk) {
  Start({}, {1, 1, 2});

  for (const Message& early : node_->Step(2, 2, Chunk(At(2, 3), StateOf(history_)))) {
    EXPECT_FALSE(std::get<SnapshotReply>(early.body).installed);
  }
  const auto said = node_->Sync();

  const auto& reply = LastReply(said);
  EXPECT_TRUE(reply.installed);
  EXPECT_EQ(reply.last, At(2, 3));
  EXPECT_EQ(reply.match, Index{3});
  EXPECT_EQ(node_->raft().commit(), Index{3});
  EXPECT_EQ(node_->host().disk().snapshot.last, At(2, 3));
}

// What follows the snapshot in the log may have been acknowledged: it is not ours to throw away.
TEST_F(RaftSnapshotReceiver, KeepsTheLogBehindASnapshotThatMatchesIt) {
  Start({1, 1, 1, 1, 1}, {1, 1, 1});

  const auto said = node_->StepAndSync(2, 2, Chunk(At(1, 3), StateOf(history_)));

  EXPECT_EQ(node_->raft().last(), At(1, 5));
  EXPECT_EQ(node_->raft().commit(), Index{3});
  EXPECT_EQ(node_->host().machine().last, At(1, 3));
  EXPECT_EQ(node_->host().disk().last(), At(1, 5));
  const auto& reply = LastReply(said);
  EXPECT_TRUE(reply.installed);
  EXPECT_GE(reply.match, Index{3});
}

TEST_F(RaftSnapshotReceiver, ReplacesALogThatConflicts) {
  Start({1, 1, 1, 1, 1}, {1, 2, 2, 2});

  node_->StepAndSync(2, 2, Chunk(At(2, 4), StateOf(history_)));

  EXPECT_EQ(node_->raft().last(), At(2, 4));
  EXPECT_EQ(node_->host().disk().last(), At(2, 4));
  EXPECT_EQ(node_->raft().commit(), Index{4});
}

TEST_F(RaftSnapshotReceiver, AnOldSnapshotIsNotNeeded) {
  Start({1, 1, 1, 1}, {1, 1, 1, 1});
  node_->StepAndSync(2, 2, Probe(At(1, 4), 4));
  ASSERT_EQ(node_->raft().commit(), Index{4});

  const auto said = node_->StepAndSync(2, 2, Chunk(At(1, 2), StateAt(1)));

  EXPECT_EQ(node_->raft().commit(), Index{4});
  EXPECT_EQ(node_->host().machine().last, At(1, 4));
  const auto& reply = LastReply(said);
  EXPECT_TRUE(reply.installed);
  EXPECT_GE(reply.match, Index{2});
}

TEST_F(RaftSnapshotReceiver, ADamagedOneIsNotInstalledAndASoundOneAfterItIs) {
  Start({}, {1, 1, 2});
  SnapshotChunk damaged = Chunk(At(2, 3), StateOf(history_));
  damaged.data[3] = static_cast<char>(damaged.data[3] ^ 1);

  node_->StepAndSync(2, 2, damaged);
  EXPECT_EQ(node_->raft().commit(), Index{0});
  EXPECT_EQ(node_->host().disk().snapshot.last, At(0, 0));
  node_->StepAndSync(2, 2, Chunk(At(2, 3), StateOf(history_)));

  EXPECT_EQ(node_->raft().commit(), Index{3});
}

TEST_F(RaftSnapshotReceiver, SaysWhichPieceItWants) {
  Start({}, {1, 1, 2});
  const SnapshotChunk whole = Chunk(At(2, 3), StateOf(history_));
  SnapshotChunk first = whole, second = whole;
  first.data = whole.data.substr(0, 3);
  second.data = whole.data.substr(3);
  second.offset = 3;

  const auto too_early = node_->StepAndSync(2, 2, second);
  EXPECT_EQ(LastReply(too_early).offset, 0u);
  const auto half = node_->StepAndSync(2, 2, first);
  EXPECT_EQ(LastReply(half).offset, 3u);
  const auto again = node_->StepAndSync(2, 2, first);
  EXPECT_EQ(LastReply(again).offset, 3u);
  const auto all = node_->StepAndSync(2, 2, second);

  EXPECT_TRUE(LastReply(all).installed);
  EXPECT_EQ(node_->raft().commit(), Index{3});
}

TEST_F(RaftSnapshotReceiver, APieceOfAnotherSnapshotDoesNotMixIn) {
  Start({}, {1, 1, 2});
  const SnapshotChunk whole = Chunk(At(2, 3), StateOf(history_));
  SnapshotChunk other = Chunk(At(2, 2), StateAt(7));
  SnapshotChunk second = whole;
  other.data = other.data.substr(0, 3);
  second.data = whole.data.substr(3);
  second.offset = 3;

  node_->StepAndSync(2, 2, other);
  const auto said = node_->StepAndSync(2, 2, second);

  EXPECT_EQ(LastReply(said).offset, 0u);
  EXPECT_EQ(node_->raft().commit(), Index{0});
}

TEST_F(RaftSnapshotReceiver, AClaimOfAnAbsurdSizeAllocatesNothing) {
  Start({}, {1, 1, 2});
  SnapshotChunk chunk = Chunk(At(2, 3), "abc");
  chunk.total = uint64_t{1} << 60;

  node_->StepAndSync(2, 2, chunk);

  EXPECT_EQ(node_->raft().commit(), Index{0});
}

TEST_F(RaftSnapshotReceiver, ASnapshotFromAnOldLeaderIsRefused) {
  Start({}, {1, 1, 2});
  node_->StepAndSync(3, 5, Probe(At(0, 0)));

  const auto said = node_->StepAndSync(2, 2, Chunk(At(2, 3), StateOf(history_)));

  EXPECT_EQ(node_->raft().commit(), Index{0});
  for (const Message& message : said) EXPECT_EQ(message.term, Term{5});
}

TEST_F(RaftSnapshotReceiver, ItsConfigurationIsInForce) {
  Start({}, {1, 1, 2});
  SnapshotChunk chunk = Chunk(At(2, 3), StateOf(history_));
  chunk.config.voters = MembersOf({1, 2, 3, 4, 5});
  chunk.config.learners = MembersOf({6});

  node_->StepAndSync(2, 2, chunk);
  EXPECT_EQ(node_->raft().config(), chunk.config);
  node_->host().Crash();
  node_->host().Restart(node_->now());

  EXPECT_EQ(node_->raft().config(), chunk.config);
}

}  // namespace
}  // namespace lockstep::raft::testing
