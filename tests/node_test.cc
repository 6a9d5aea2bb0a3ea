// Whole nodes through their one interface: what a client sees of the cluster.
#include "tests/node_cluster.h"

#include <algorithm>

#include "cluster/raft/raft.h"
#include "commands/replica.h"

namespace lockstep {
namespace {

constexpr NodeId k1{1};
constexpr NodeId k2{2};
constexpr NodeId k3{3};
constexpr NodeId k4{4};

bool StartsWith(const Bytes& text, BytesView prefix) {
  return BytesView(text).substr(0, prefix.size()) == prefix;
}
// Not inline: arguments of an inline command are copies.
Bytes Echo(const Bytes& text) {
  return Format("*2\r\n$4\r\nECHO\r\n$%zu\r\n", text.size()) + text + "\r\n";
}
bool Has(const Bytes& text, BytesView part) { return text.find(part) != Bytes::npos; }

class NodeTest : public ::testing::Test {
 protected:
  void Form(uint64_t nodes, Bytes settings = {}) {
    cluster_ = std::make_unique<NodeCluster>(nodes, std::move(settings));
    cluster_->StartAll();
    leader_ = cluster_->AwaitLeader();
    ASSERT_NE(leader_, kNoNode);
    follower_ = cluster_->OtherThan(leader_);
  }
  NodeCluster& cluster() { return *cluster_; }

  std::unique_ptr<NodeCluster> cluster_;
  NodeId leader_;
  NodeId follower_;
};

TEST_F(NodeTest, ALoneNodeIsACluster) {
  Form(1);
  EXPECT_EQ(cluster().Ask(k1, "LOCK.ACQUIRE jobs alice").front(), ':');
}

TEST_F(NodeTest, AClusterFormsOnlyWhenAllItsNodesAreThere) {
  cluster_ = std::make_unique<NodeCluster>(3);
  cluster().Start(k1);
  cluster().Start(k2);
  cluster().Run(3000);
  EXPECT_TRUE(StartsWith(cluster().Ask(k1, "LOCK.ACQUIRE jobs alice"), "-CLUSTERDOWN"));
  EXPECT_TRUE(Has(cluster().Ask(k1, "CLUSTER STATUS"), "node 3 at host-3:17003"));

  cluster().Start(k3);

  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs alice").front(), ':');
}

TEST_F(NodeTest, EveryNodeAnswersForTheOneTable) {
  Form(3);
  const Bytes token = cluster().Ask(k1, "LOCK.ACQUIRE jobs alice");
  ASSERT_EQ(token.front(), ':');
  for (const NodeId node : {k1, k2, k3}) {
    EXPECT_EQ(cluster().Ask(node, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");
    EXPECT_EQ(cluster().Ask(node, "LOCK.CHECK jobs " + token.substr(1, token.size() - 3)),
              ":1\r\n");
  }
}

TEST_F(NodeTest, AGrantSurvivesTheDeathOfTheLeader) {
  Form(3);
  const Bytes token = cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice");
  cluster().Kill(leader_);
  // Asked at once: the request waits for the election instead of failing.
  const Bytes info = cluster().Ask(follower_, "LOCK.INFO jobs");
  EXPECT_TRUE(Has(info, "alice"));
  EXPECT_TRUE(Has(info, token));
}

TEST_F(NodeTest, AGrantSurvivesTheRestartOfAllNodes) {
  Form(3);
  const Bytes token = cluster().Ask(k1, "LOCK.ACQUIRE jobs alice TTL 3600000");
  for (const NodeId node : {k1, k2, k3}) cluster().Kill(node);
  cluster().StartAll();
  cluster().AwaitLeader();
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs alice TTL 3600000"), token);
}

TEST_F(NodeTest, AnAnswerThatWasLostIsGivenAgainAndNothingHappensTwice) {
  Form(3);
  bool lost = false;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    // The answer, and all that would let the follower find it in its own log.
    const bool hide = !lost && header.type == bus::MessageType::kAnswer;
    lost |= hide;
    return hide;
  });
  const ClientId client = cluster().Connect(follower_);
  const Bytes first = cluster().Ask(client, "LOCK.ACQUIRE jobs alice");
  ASSERT_EQ(first.front(), ':');
  EXPECT_TRUE(lost);
  EXPECT_EQ(cluster().Ask(client, "LOCK.RELEASE jobs alice"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(client, "LOCK.RELEASE jobs alice"), ":0\r\n");
}

TEST_F(NodeTest, ARequestThatWasLostOnTheWayIsSentAgainInOrder) {
  Form(3);
  int lost = 0;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    return header.type == bus::MessageType::kForward && lost++ == 0;
  });
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "LOCK.ACQUIRE a x");
  cluster().Run(5);
  cluster().Send(client, "LOCK.RELEASE a x\r\nLOCK.ACQUIRE a y");
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode && lost > 1; }));
  cluster().Run(3000);
  const Bytes replies = cluster().Take(client);
  // Not: release before acquire, which would answer 0 and leave x the holder.
  EXPECT_TRUE(Has(replies, "\r\n:1\r\n:")) << replies;
  EXPECT_TRUE(Has(cluster().Ask(leader_, "LOCK.INFO a"), "\r\ny\r\n"));
}

TEST_F(NodeTest, WithoutAMajorityARequestIsRefusedAndLaterNodesGoOn) {
  Form(3);
  const NodeId second = cluster().OtherThan(leader_, follower_);
  cluster().Kill(leader_);
  cluster().Kill(second);
  cluster().Run(4000);  // Until it has given up both.
  const Bytes refused = cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice");
  EXPECT_TRUE(StartsWith(refused, "-CLUSTERDOWN ")) << refused;
  EXPECT_TRUE(Has(refused, "nothing was changed"));
  EXPECT_TRUE(StartsWith(cluster().Ask(follower_, "LOCK.INFO jobs"), "-CLUSTERDOWN"));

  cluster().Start(second);

  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  EXPECT_EQ(cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice").front(), ':');
}

TEST_F(NodeTest, WhatWasNeverSentIsNotUncertain) {
  Form(3);
  const NodeId second = cluster().OtherThan(leader_, follower_);
  cluster().Kill(leader_);
  cluster().Kill(second);
  // At once: this node still believes in the leader, but its link to it is broken.
  EXPECT_TRUE(StartsWith(cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice"), "-CLUSTERDOWN "));
}

TEST_F(NodeTest, WhatEnteredALogThatNobodyReadsIsUncertain) {
  Form(3);
  cluster().CutOff(leader_);
  const ClientId client = cluster().Connect(leader_);
  const Bytes reply = cluster().Ask(client, "LOCK.ACQUIRE jobs alice");
  EXPECT_TRUE(StartsWith(reply, "-UNCERTAIN ")) << reply;
}

// A leader that hears its followers but sees nothing on their disks fills up. What it then refuses
// must be what it did not log, however often requests are sent again.
TEST_F(NodeTest, WhatIsRefusedBecauseTheLeaderIsFullDidNotHappen) {
  for (const bool at_leader : {true, false}) {
    Form(3, "raft-uncommitted-bytes 1mb\nuncertain-after-ms 60000\n");
    const NodeId node = at_leader ? leader_ : follower_;
    const ClientId client = cluster().Connect(node);
    for (const NodeId id : {k1, k2, k3}) {
      if (id != leader_) cluster().StopDisk(id, true);
    }
    constexpr int kLocks = 400;
    for (int i = 0; i < kLocks; ++i) {
      cluster().Send(client, Format("LOCK.ACQUIRE full/%d me META ", i) + Bytes(4000, 'm'));
    }
    cluster().Run(3000);  // Long enough for what is not answered to be sent again.
    for (const NodeId id : {k1, k2, k3}) cluster().StopDisk(id, false);
    Bytes replies;
    cluster().RunUntil([&] {
      replies += cluster().Take(client);
      return std::count(replies.begin(), replies.end(), '\n') == kLocks;
    });
    ASSERT_EQ(std::count(replies.begin(), replies.end(), '\n'), kLocks);

    int refused = 0;
    size_t at = 0;
    for (int i = 0; i < kLocks; ++i) {
      const bool taken = replies[at] == ':';
      const BytesView reply = BytesView(replies).substr(at, 9);
      at = replies.find('\n', at) + 1;
      EXPECT_TRUE(taken || reply == "-TRYAGAIN") << reply;
      refused += taken ? 0 : 1;
      const Bytes info = cluster().Ask(leader_, Format("LOCK.INFO full/%d", i));
      EXPECT_EQ(Has(info, "LOCKED"), taken) << "full/" << i << " at the leader: " << at_leader;
    }
    EXPECT_GT(refused, 50);
    EXPECT_LT(refused, kLocks - 50);
  }
}

// The cluster gave the node up and ended its session. What had not happened by then happens now.
TEST_F(NodeTest, ClientsOfANodeThatWasGivenUpSeeADelayAndNoMore) {
  Form(3, "node-timeout 1000\nuncertain-after-ms 20000\nleader-wait-ms 20000\n");
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE busy other TTL 600000").front(), ':');
  const ClientId waiting = cluster().Connect(follower_);
  const ClientId asking = cluster().Connect(follower_);
  const ClientId reading = cluster().Connect(follower_);
  cluster().Send(waiting, "LOCK.ACQUIRE busy me TTL 600000 BLOCK 0");
  cluster().Run(50);
  cluster().CutOff(follower_);
  cluster().Send(asking, "LOCK.ACQUIRE free me");
  cluster().Send(reading, "LOCK.INFO busy");
  cluster().Run(3000);  // Its session is over.
  cluster().Heal();
  Bytes asked;
  Bytes read;
  ASSERT_TRUE(cluster().RunUntil([&] {
    asked += cluster().Take(asking);
    read += cluster().Take(reading);
    return !asked.empty() && !read.empty();
  }));
  EXPECT_EQ(asked.front(), ':') << asked;
  EXPECT_TRUE(Has(read, "LOCKED")) << read;
  EXPECT_EQ(cluster().Take(waiting), "");
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.RELEASE busy other"), ":1\r\n");
  Bytes granted;
  ASSERT_TRUE(cluster().RunUntil([&] { return !(granted += cluster().Take(waiting)).empty(); }));
  EXPECT_EQ(granted.front(), ':') << granted;
}

TEST_F(NodeTest, AClientThatHasGoneLeavesNothingThatHappensLater) {
  Form(3);
  for (const NodeId id : {k1, k2, k3}) {
    if (id != follower_) cluster().Kill(id);
  }
  cluster().Run(4000);  // The follower knows that there is no leader.
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "LOCK.ACQUIRE late ghost");
  cluster().Run(100);
  cluster().Disconnect(client);
  for (const NodeId id : {k1, k2, k3}) {
    if (id != follower_) cluster().Start(id);
  }
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  EXPECT_TRUE(Has(cluster().Ask(follower_, "LOCK.INFO late"), "FREE"));
}

TEST_F(NodeTest, WhatATransactionHasBoundEndsWithTheConnection) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  cluster().Ask(client, "MULTI");
  cluster().Ask(client, "LOCK.ACQUIRE bound me BIND TTL 600000");
  EXPECT_EQ(cluster().Ask(client, "EXEC").substr(0, 5), "*1\r\n:");
  EXPECT_TRUE(Has(cluster().Ask(leader_, "LOCK.INFO bound"), "LOCKED"));
  cluster().Disconnect(client);
  EXPECT_TRUE(cluster().RunUntil(
      [this] { return Has(cluster().Ask(leader_, "LOCK.INFO bound"), "FREE"); }, 1000));
}

TEST_F(NodeTest, ATransactionMayHoldOnlySoMuch) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  EXPECT_EQ(cluster().Ask(client, "MULTI"), "+OK\r\n");
  const Bytes text(1 << 20, 'x');
  Bytes reply;
  for (int i = 0; i < 10; ++i) {
    cluster().SendRaw(client, Echo(text));
    cluster().Run(2);
    reply = cluster().Take(client);
  }
  EXPECT_TRUE(StartsWith(reply, "-LIMIT ")) << reply;
  EXPECT_TRUE(StartsWith(cluster().Ask(client, "EXEC"), "-EXECABORT"));
}

// Nobody speaks, and the leader's pulse was in a log that another leader has cut.
TEST_F(NodeTest, ALeaseEndsInAnIdleGroupThoughAnEarlierPulseWasLost) {
  Form(3, "uncertain-after-ms 200\n");  // Given up before the cut ends, so never sent again.
  EXPECT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE x me TTL 3000").front(), ':');
  const NodeId first = leader_;
  cluster().Run(2600);
  // Writes that only the cut-off leader has, and a pulse behind them.
  const ClientId client = cluster().Connect(first);
  cluster().CutOff(first);
  for (int i = 0; i < 200; ++i) cluster().Send(client, Format("LOCK.ACQUIRE lost/%d me", i));
  cluster().Run(3000);
  cluster().Heal();
  ASSERT_NE(cluster().AwaitLeader(), kNoNode);
  const Bytes order = Format("CLUSTER LEADER locks %lu", first.value);
  cluster().RunUntil([&] {
    if (cluster().Leader() == first) return true;
    cluster().Ask(cluster().Leader() == kNoNode ? first : cluster().Leader(), order);
    return false;
  });
  ASSERT_EQ(cluster().Leader(), first);
  EXPECT_EQ(cluster().Ask(first, "LOCK.ACQUIRE y me TTL 1000").front(), ':');
  EXPECT_TRUE(cluster().RunUntil([&] {
    return cluster().node(first)->replica(kLocksGroup)->NextDeadline() == kNeverCluster;
  })) << "the lease is never ended";
}

TEST_F(NodeTest, AnIsolatedLeaderDoesNotAnswerReads) {
  Form(3);
  cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice TTL 600000");
  const ClientId reader = cluster().Connect(leader_);
  cluster().CutOff(leader_);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode &&
                                              cluster().Leader() != leader_; }));
  ASSERT_EQ(cluster().Ask(follower_, "LOCK.RELEASE jobs alice"), ":1\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(reader, "LOCK.INFO jobs"), "-CLUSTERDOWN"));
}

TEST_F(NodeTest, ALeaseEndsByClusterTimeAndTheNextInLineIsServed) {
  Form(3);
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice TTL 500");
  const ClientId bob = cluster().Connect(k2);
  const MonoTime asked = cluster().now();
  const Bytes token = cluster().Ask(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  EXPECT_EQ(token.front(), ':');
  EXPECT_GE(cluster().now() - asked, 480 * kUsPerMs);
  EXPECT_LE(cluster().now() - asked, 600 * kUsPerMs);
}

TEST_F(NodeTest, AWaitEndsInTimeWithNil) {
  Form(3);
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice");
  const MonoTime asked = cluster().now();
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs bob BLOCK 300"), "$-1\r\n");
  EXPECT_GE(cluster().now() - asked, 300 * kUsPerMs);
  EXPECT_LE(cluster().now() - asked, 400 * kUsPerMs);
}

TEST_F(NodeTest, AClientThatLeavesStopsWaiting) {
  Form(3);
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice");
  const ClientId bob = cluster().Connect(follower_);
  cluster().Send(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  cluster().Run(50);
  ASSERT_TRUE(Has(cluster().Ask(k1, "LOCK.INFO jobs"), "bob"));
  cluster().Disconnect(bob);
  cluster().Run(50);
  EXPECT_FALSE(Has(cluster().Ask(k1, "LOCK.INFO jobs"), "bob"));
}

TEST_F(NodeTest, AClientThatLeavesBeforeThereIsALeaderDoesNotWaitLater) {
  cluster_ = std::make_unique<NodeCluster>(3);
  cluster().StartAll();
  ASSERT_TRUE(
      cluster().RunUntil([&] { return cluster().node(k1)->group(kLocksGroup) != nullptr; }));
  const ClientId bob = cluster().Connect(k1);
  cluster().Send(bob, "LOCK.ACQUIRE jobs alice TTL 600000");
  const ClientId eve = cluster().Connect(k1);
  cluster().Send(eve, "LOCK.ACQUIRE jobs eve BLOCK 0");
  cluster().Run(2);
  cluster().Disconnect(eve);
  cluster().AwaitLeader();
  cluster().Run(200);
  EXPECT_FALSE(Has(cluster().Ask(k2, "LOCK.INFO jobs"), "eve"));
}

TEST_F(NodeTest, WhatIsBoundToAConnectionEndsWithIt) {
  Form(3);
  const ClientId alice = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(alice, "LOCK.ACQUIRE jobs alice BIND").front(), ':');
  cluster().Disconnect(alice);
  cluster().Run(50);
  EXPECT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE jobs bob").front(), ':');
}

TEST_F(NodeTest, WhatIsBoundToADeadNodeEndsAfterTheNodeTimeout) {
  Form(3, "node-timeout 2000\n");
  const ClientId alice = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(alice, "LOCK.ACQUIRE jobs alice BIND TTL 600000").front(), ':');
  cluster().Kill(follower_);
  const ClientId bob = cluster().Connect(leader_);
  const MonoTime asked = cluster().now();
  EXPECT_EQ(cluster().Ask(bob, "LOCK.ACQUIRE jobs bob BLOCK 0").front(), ':');
  EXPECT_LE(cluster().now() - asked, 2500 * kUsPerMs);
}

TEST_F(NodeTest, WaitsOfADeadNodeEndWhenItIsBack) {
  Form(3, "node-timeout 60000\n");
  cluster().Ask(leader_, "LOCK.ACQUIRE jobs alice");
  const ClientId bob = cluster().Connect(follower_);
  cluster().Send(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  cluster().Run(50);
  ASSERT_TRUE(Has(cluster().Ask(leader_, "LOCK.INFO jobs"), "bob"));
  cluster().Kill(follower_);
  cluster().Start(follower_);
  cluster().Run(1000);
  EXPECT_FALSE(Has(cluster().Ask(leader_, "LOCK.INFO jobs"), "bob"));
}

TEST_F(NodeTest, ABlockedClientSeesNothingOfAFailover) {
  Form(3);
  cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice TTL 600000");
  const ClientId bob = cluster().Connect(follower_);
  cluster().Send(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  cluster().Run(50);
  cluster().Kill(leader_);
  cluster().Run(3000);
  ASSERT_EQ(cluster().Take(bob), "");
  EXPECT_EQ(cluster().Ask(follower_, "LOCK.RELEASE jobs alice"), ":1\r\n");
  cluster().Run(200);
  EXPECT_EQ(cluster().Take(bob).front(), ':');
}

TEST_F(NodeTest, RepliesComeInTheOrderOfThePipeline) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "PING a\r\nLOCK.ACQUIRE x me\r\nPING b\r\nLOCK.RELEASE x me\r\nNOSUCH\r\n"
                         "LOCK.RELEASE x me\r\nPING c");
  cluster().Run(500);
  const Bytes replies = cluster().Take(client);
  EXPECT_TRUE(StartsWith(replies, "$1\r\na\r\n:")) << replies;
  EXPECT_TRUE(Has(replies, "$1\r\nb\r\n:1\r\n-ERR unknown command")) << replies;
  EXPECT_TRUE(Has(replies, ":0\r\n$1\r\nc\r\n")) << replies;
}

// The arguments of a command lie in the buffer that the socket is read into.
TEST_F(NodeTest, ACommandThatHadToWaitIsWholeThoughMoreCameMeanwhile) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  const Bytes first(1000, 'f');
  const Bytes second(2500, 's');
  // What is done with leaves room in front: the second ECHO moves the first one there.
  cluster().SendRaw(client, "LOCK.ACQUIRE a x META " + Bytes(3000, 'm') + "\r\n" + Echo(first));
  cluster().Run(1);  // The answer of the lock is on its way, ECHO waits for it.
  ASSERT_EQ(cluster().Take(client), "");
  cluster().SendRaw(client, Echo(second));

  const Bytes wanted = "\r\n$1000\r\n" + first + "\r\n$2500\r\n" + second + "\r\n";
  Bytes replies;
  cluster().RunUntil([&] {
    replies += cluster().Take(client);
    return replies.size() > wanted.size();
  });
  EXPECT_TRUE(replies.ends_with(wanted)) << replies.substr(0, 200);
}

TEST_F(NodeTest, OneCommandMayBeLargerThanWhatIsReadAheadOfAWaitingClient) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  const Bytes value(size_t{5} << 20, 'v');
  const Bytes command = Echo(value);
  constexpr size_t kPiece = 65'536;
  for (size_t at = 0; at < command.size(); at += kPiece) {
    cluster().SendRaw(client, BytesView(command).substr(at, kPiece));
    cluster().Run(1);
  }
  EXPECT_EQ(cluster().Take(client), Format("$%zu\r\n", value.size()) + value + "\r\n");
}

TEST_F(NodeTest, AClientThatIsAheadOfItsAnswersIsNotReadFrom) {
  Form(3);
  const ClientId client = cluster().Connect(leader_);
  const ClientId holder = cluster().Connect(leader_);
  ASSERT_EQ(cluster().Ask(holder, "LOCK.ACQUIRE busy other").front(), ':');
  cluster().Send(client, "LOCK.ACQUIRE busy me BLOCK 0");
  const Bytes command = Echo(Bytes(50'000, 'e'));
  for (int i = 0; i < 100; ++i) {  // 5 MB behind a command that blocks.
    cluster().SendRaw(client, command);
    cluster().Run(1);
  }
  const Bytes list = cluster().Ask(holder, Format("CLIENT LIST ID %lu", client.value));
  const size_t at = list.find(" qbuf=");
  ASSERT_NE(at, Bytes::npos);
  EXPECT_LT(std::stoul(list.substr(at + 6)), size_t{2} << 20) << "read far ahead";

  ASSERT_EQ(cluster().Ask(holder, "LOCK.RELEASE busy other"), ":1\r\n");
  size_t bytes = 0;
  EXPECT_TRUE(cluster().RunUntil([&] {
    bytes += cluster().Take(client).size();
    return bytes >= 100 * 50'000;
  }));
}

TEST_F(NodeTest, AReadSeesTheWritesBeforeItInItsPipeline) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "LOCK.ACQUIRE x me META first\r\nLOCK.INFO x\r\nLOCK.RELEASE x me");
  cluster().Run(500);
  EXPECT_TRUE(Has(cluster().Take(client), "first"));
}

TEST_F(NodeTest, ATransactionHappensAsOne) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client,
                 "MULTI\r\nLOCK.ACQUIRE a me\r\nPING\r\nLOCK.ACQUIRE b me\r\nLOCK.RELEASE a me\r\n"
                 "EXEC");
  cluster().Run(500);
  const Bytes replies = cluster().Take(client);
  EXPECT_TRUE(StartsWith(replies, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n:"))
      << replies;
  EXPECT_TRUE(Has(replies, "+PONG\r\n:")) << replies;
}

TEST_F(NodeTest, ATransactionWithAMistakeInItIsDiscarded) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  cluster().Send(client, "MULTI\r\nLOCK.ACQUIRE a\r\nEXEC\r\nPING");
  cluster().Run(100);
  const Bytes replies = cluster().Take(client);
  EXPECT_TRUE(Has(replies, "-ERR wrong number of arguments for 'lock.acquire' command\r\n"
                           "-EXECABORT Transaction discarded because of previous errors.\r\n+PONG"))
      << replies;
}

TEST_F(NodeTest, ABlockedClientCanBeUnblocked) {
  Form(3);
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice");
  const ClientId bob = cluster().Connect(follower_);
  cluster().Send(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  cluster().Run(50);
  EXPECT_EQ(cluster().Ask(follower_, Format("CLIENT UNBLOCK %lu ERROR", bob.value)), ":1\r\n");
  cluster().Run(50);
  EXPECT_EQ(cluster().Take(bob), "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
}

TEST_F(NodeTest, APasswordIsAskedFor) {
  Form(1, "requirepass secret\n");
  const ClientId client = cluster().Connect(k1);
  EXPECT_EQ(cluster().Ask(client, "LOCK.ACQUIRE a b"), "-NOAUTH Authentication required.\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(client, "AUTH wrong"), "-WRONGPASS"));
  EXPECT_EQ(cluster().Ask(client, "AUTH secret"), "+OK\r\n");
  EXPECT_EQ(cluster().Ask(client, "LOCK.ACQUIRE a b").front(), ':');
}

TEST_F(NodeTest, WhatAStrangerMayNotSendIsTakenRightBehindThePassword) {
  Form(1, "requirepass secret\n");
  const ClientId client = cluster().Connect(k1);
  Bytes batch = "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*12\r\n";
  for (const char* word : {"LOCK.ACQUIRE", "n", "o", "SHARED", "TTL", "5000", "BLOCK", "1", "LIMIT",
                           "5", "META", "x"}) {
    batch += Format("$%zu\r\n%s\r\n", BytesView(word).size(), word);
  }
  cluster().SendRaw(client, batch);
  Bytes replies;
  cluster().RunUntil([&] {
    replies += cluster().Take(client);
    return std::count(replies.begin(), replies.end(), '\n') == 2;
  });
  EXPECT_TRUE(StartsWith(replies, "+OK\r\n:")) << replies;
}

TEST_F(NodeTest, AfterAResetThereIsTimeToLogInAgain) {
  Form(1, "requirepass secret\n");
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "AUTH secret");
  cluster().Run(11'000);
  EXPECT_EQ(cluster().Ask(client, "RESET"), "+RESET\r\n");
  cluster().Run(2'000);
  EXPECT_EQ(cluster().Ask(client, "AUTH secret"), "+OK\r\n");
  EXPECT_FALSE(cluster().closed(client));
}

TEST_F(NodeTest, APauseOfWritesHoldsATransactionThatWrites) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "MULTI");
  cluster().Ask(client, "LOCK.ACQUIRE paused me");
  EXPECT_EQ(cluster().Ask(k1, "CLIENT PAUSE 1000 WRITE"), "+OK\r\n");
  cluster().Send(client, "EXEC");
  cluster().Run(500);
  EXPECT_EQ(cluster().Take(client), "");
  EXPECT_TRUE(Has(cluster().Ask(k1, "LOCK.INFO paused"), "FREE"));
  cluster().Run(1000);
  EXPECT_EQ(cluster().Take(client).substr(0, 5), "*1\r\n:");
}

TEST_F(NodeTest, ACommandThatIsNamedLikeTransactionControlIsQueuedLikeAnyOther) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "MULTI");
  EXPECT_EQ(cluster().Ask(client, "SLOWLOG RESET"), "+QUEUED\r\n");
  EXPECT_EQ(cluster().Ask(client, "EXEC"), "*1\r\n+OK\r\n");
}

TEST_F(NodeTest, AnExecThatIsRefusedEndsTheTransaction) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "MULTI");
  EXPECT_EQ(cluster().Ask(client, "EXEC x"),
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' "
            "command\r\n");
  EXPECT_EQ(cluster().Ask(client, "EXEC"), "-ERR EXEC without MULTI\r\n");
}

TEST_F(NodeTest, NobodyIsShownAPassword) {
  Form(1, "requirepass hunter2\nslowlog-log-slower-than 0\n");
  const ClientId watcher = cluster().Connect(k1);
  cluster().Ask(watcher, "AUTH hunter2");
  cluster().Ask(watcher, "MONITOR");
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "HELLO 2 AUTH default hunter2");
  cluster().Ask(client, "CONFIG SET requirepass hunter2");
  cluster().Ask(client, "AUTH hunter2");
  const Bytes slow = cluster().Ask(client, "SLOWLOG GET");
  const Bytes watched = cluster().Take(watcher);
  EXPECT_TRUE(Has(watched, "CONFIG")) << watched;
  EXPECT_FALSE(Has(watched, "hunter2")) << watched;
  EXPECT_TRUE(Has(slow, "(redacted)")) << slow;
  EXPECT_FALSE(Has(slow, "hunter2")) << slow;
}

TEST_F(NodeTest, AMessageReachesSubscribersOfAllNodes) {
  Form(3);
  const ClientId listener = cluster().Connect(k1);
  cluster().Ask(listener, "SUBSCRIBE news");
  cluster().Ask(k3, "PUBLISH news hello");
  cluster().Run(50);
  EXPECT_EQ(cluster().Take(listener), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
}

TEST_F(NodeTest, LockEventsAreToldOnEveryNode) {
  Form(3);
  const ClientId listener = cluster().Connect(follower_);
  cluster().Ask(listener, "SUBSCRIBE __lock__:jobs");
  cluster().Ask(leader_, "LOCK.ACQUIRE jobs alice");
  cluster().Run(300);
  EXPECT_TRUE(Has(cluster().Take(listener), "granted"));
}

TEST_F(NodeTest, ANodeWithAnEmptiedDiskIsBroughtUpToDateAndVotesAgain) {
  Form(3);
  const Bytes token = cluster().Ask(leader_, "LOCK.ACQUIRE jobs alice TTL 3600000");
  cluster().Kill(follower_);
  cluster().EmptyDisk(follower_);
  cluster().Start(follower_);
  const auto votes = [&] {
    const raft::Raft* raft = cluster().node(follower_)->group(kLocksGroup);
    return raft != nullptr && raft->config().IsVoter(follower_) && !raft->config().joint() &&
           raft->config().DiskOf(follower_) == cluster().node(follower_)->identity().disk;
  };
  ASSERT_TRUE(cluster().RunUntil(votes, 20'000));

  // Now it counts: with it, the cluster survives the loss of another node.
  const NodeId third = cluster().OtherThan(leader_, follower_);
  cluster().Kill(leader_);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode &&
                                              cluster().Leader() != leader_; }));
  EXPECT_EQ(cluster().Ask(third, "LOCK.ACQUIRE jobs alice TTL 3600000"), token);
  EXPECT_EQ(cluster().Ask(follower_, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");
}

TEST_F(NodeTest, RequestsOfANodeWithAnEmptiedDiskAreNotTakenForOldOnes) {
  Form(3);
  const ClientId before = cluster().Connect(follower_);
  for (int i = 0; i < 5; ++i) cluster().Ask(before, Format("LOCK.ACQUIRE old-%d alice", i));
  cluster().Kill(follower_);
  cluster().EmptyDisk(follower_);
  cluster().Start(follower_);
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != kNoNode; }, 20'000));
  cluster().Run(2000);
  const ClientId after = cluster().Connect(follower_);
  EXPECT_EQ(cluster().Ask(after, "LOCK.RELEASE old-0 alice"), ":1\r\n");
  EXPECT_EQ(cluster().Ask(after, "LOCK.RELEASE old-0 alice"), ":0\r\n");
}

TEST_F(NodeTest, ANodeCanBeAddedAndTakenAway) {
  cluster_ = std::make_unique<NodeCluster>(4, "", 3);
  for (const NodeId node : {k1, k2, k3}) cluster().Start(node);
  leader_ = cluster().AwaitLeader();
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice TTL 3600000");
  cluster().Start(k4);
  EXPECT_EQ(cluster().Ask(k1, "CLUSTER ADD 4 host-4:17004"), "+OK\r\n");
  const auto is_voter = [&](NodeId node) {
    const raft::Raft* raft = cluster().node(k1)->group(kLocksGroup);
    return raft->config().IsVoter(node) && !raft->config().joint();
  };
  ASSERT_TRUE(cluster().RunUntil([&] { return is_voter(k4); }, 20'000));
  EXPECT_EQ(cluster().Ask(k4, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");

  EXPECT_EQ(cluster().Ask(k1, "CLUSTER REMOVE 4"), "+OK\r\n");
  ASSERT_TRUE(cluster().RunUntil([&] { return !is_voter(k4); }, 20'000));
  EXPECT_EQ(cluster().Ask(k2, "LOCK.ACQUIRE jobs bob"), "$-1\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(k1, "CLUSTER ADD 4 host-4:17004"), "-ERR"));
}

TEST_F(NodeTest, LeadershipGoesWhereItIsAskedToGo) {
  Form(3);
  EXPECT_EQ(cluster().Ask(follower_, Format("CLUSTER LEADER locks %lu", follower_.value)),
            "+OK\r\n");
  EXPECT_TRUE(cluster().RunUntil([&] { return cluster().Leader() == follower_; }));
}

TEST_F(NodeTest, ATerminatedLeaderHandsOverAndLeaves) {
  Form(3);
  cluster().Ask(follower_, "LOCK.ACQUIRE jobs alice");
  cluster().node(leader_)->Step(cluster().now(), Terminate{});
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader() != leader_ &&
                                              cluster().Leader() != kNoNode; }, 2000));
}

TEST_F(NodeTest, SnapshotsKeepWaitsAndTokensForANodeThatWasAway) {
  Form(3, "raft-snapshot-entries 100\nraft-log-max-bytes 1mb\n");
  const NodeId away = follower_;
  cluster().Kill(away);
  const ClientId client = cluster().Connect(leader_);
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(cluster().Ask(client, Format("LOCK.ACQUIRE l%d alice TTL 3600000", i)).front(), ':');
  }
  const ClientId waiting = cluster().Connect(leader_);
  cluster().Send(waiting, "LOCK.ACQUIRE l7 bob BLOCK 0");
  cluster().Run(50);
  cluster().Start(away);
  ASSERT_TRUE(cluster().RunUntil([&] {
    const Replica* here = cluster().node(leader_)->replica(kLocksGroup);
    const Replica* there = cluster().node(away)->replica(kLocksGroup);
    return there != nullptr && there->Hash() == here->Hash();
  }, 20'000));
  EXPECT_TRUE(Has(cluster().Ask(away, "LOCK.INFO l7"), "bob"));
}

}  // namespace
}  // namespace lockstep
