// Whole nodes through their one interface: what one connection is owed, in which order, and what it
// may cost.
#include "tests/node_fixture.h"

#include <algorithm>

#include "cluster/raft/raft.h"
#include "commands/replica.h"

namespace lockstep {
namespace {

class NodeClientsTest : public NodeFixture {
 protected:
  // Of a client of the follower. The leader answers, and that gets lost on the way.
  void SendAndLoseTheAnswer(ClientId client, const Bytes& line) {
    cluster().Lose([this](NodeId, NodeId to, const bus::EnvelopeHeader& header) {
      return to == follower_ && header.type == bus::MessageType::kAnswer;
    });
    cluster().Send(client, line);
    cluster().Run(10);
    cluster().Lose(nullptr);
  }
};

// The cluster gave the node up and ended its session. What had not happened by then happens now.
TEST_F(NodeClientsTest, ClientsOfANodeThatWasGivenUpSeeADelayAndNoMore) {
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

// The leader has ended the session and passes over the write; the read behind it must not be
// answered as if the write were not to come.
TEST_F(NodeClientsTest, AReadBehindAWriteThatIsAskedAnewIsAskedAnewToo) {
  Form(3, "node-timeout 1000\nuncertain-after-ms 20000\n");
  const ClientId client = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(client, "LOCK.ACQUIRE warm me").front(), ':');
  cluster().CutOff(follower_);
  cluster().Run(3000);
  // It hears its leader again, and forwards, before it learns that its session is over.
  bool behind = true;
  cluster().Lose([&](NodeId, NodeId to, const bus::EnvelopeHeader& header) {
    return behind && to == follower_ && header.type == bus::MessageType::kRaft;
  });
  cluster().Heal();
  ASSERT_TRUE(cluster().RunUntil([&] {
    return cluster().node(follower_)->group(kLocksGroup)->leader() != kNoNode;
  }));
  cluster().Send(client, "LOCK.ACQUIRE x me\r\nLOCK.INFO x");
  cluster().Run(300);
  behind = false;
  Bytes replies;
  EXPECT_TRUE(cluster().RunUntil([&] {
    replies += cluster().Take(client);
    return Has(replies, "pending");
  }));
  EXPECT_EQ(replies.front(), ':') << replies;
  EXPECT_TRUE(Has(replies, "LOCKED")) << replies;
}

TEST_F(NodeClientsTest, AClientThatHasGoneLeavesNothingThatHappensLater) {
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

// What they asked is asked anew under the next session, and so is what takes them out of the line
// and lets go of what was bound: under the old one it would find nothing.
TEST_F(NodeClientsTest, OfClientsThatLeaveANodeThatWasGivenUpNothingWaitsOrIsHeldLater) {
  Form(3, "node-timeout 1000\nuncertain-after-ms 20000\nleader-wait-ms 20000\n");
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE busy other TTL 600000").front(), ':');
  const ClientId waiting = cluster().Connect(follower_);
  const ClientId binding = cluster().Connect(follower_);
  cluster().Send(waiting, "LOCK.ACQUIRE busy waiting TTL 600000 BLOCK 0");
  cluster().Run(50);
  cluster().CutOff(follower_);
  cluster().Send(binding, "LOCK.ACQUIRE free binding TTL 600000 BIND");
  cluster().Run(50);
  cluster().Disconnect(waiting);
  cluster().Disconnect(binding);
  cluster().Run(3000);  // Its session is over.
  cluster().Heal();
  const ClientId later = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(later, "LOCK.ACQUIRE later me").front(), ':');
  EXPECT_FALSE(Has(cluster().Ask(leader_, "LOCK.INFO busy"), "waiting"));
  EXPECT_TRUE(Has(cluster().Ask(leader_, "LOCK.INFO free"), "FREE"));
}

TEST_F(NodeClientsTest, AWaitThatIsAskedAnewEndsAsItsClientWasUnblockedMeanwhile) {
  Form(3, "node-timeout 1000\nuncertain-after-ms 20000\nleader-wait-ms 20000\n");
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE busy other TTL 600000").front(), ':');
  const ClientId waiting = cluster().Connect(follower_);
  cluster().Send(waiting, "LOCK.ACQUIRE busy waiting BLOCK 0");
  cluster().Run(50);
  cluster().CutOff(follower_);
  EXPECT_EQ(cluster().Ask(follower_, Format("CLIENT UNBLOCK %lu", waiting.value)), ":1\r\n");
  cluster().Run(3000);  // Its session is over.
  cluster().Heal();
  Bytes reply;
  ASSERT_TRUE(cluster().RunUntil([&] { return !(reply += cluster().Take(waiting)).empty(); }));
  EXPECT_EQ(reply, "$-1\r\n");
}

// Its leader has told the answer, in vain; its own replica has it within a snapshot.
TEST_F(NodeClientsTest, AnAnswerThatWasSkippedByASnapshotIsAskedForAgain) {
  Form(3, "raft-snapshot-entries 100\nraft-log-max-bytes 1mb\n");
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE busy other TTL 600000").front(), ':');
  const ClientId waiting = cluster().Connect(follower_);
  cluster().Send(waiting, "LOCK.ACQUIRE busy me TTL 600000 BLOCK 0");
  cluster().Run(50);
  bool behind = true;
  cluster().Lose([&](NodeId, NodeId to, const bus::EnvelopeHeader& header) {
    const bool carries = header.type == bus::MessageType::kRaft ||
                         header.type == bus::MessageType::kAnswer;
    return behind && to == follower_ && carries;
  });
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.RELEASE busy other"), ":1\r\n");
  const ClientId busy = cluster().Connect(leader_);
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(cluster().Ask(busy, Format("LOCK.ACQUIRE l%d other", i)).front(), ':');
  }
  behind = false;
  Bytes reply;
  ASSERT_TRUE(cluster().RunUntil([&] { return !(reply += cluster().Take(waiting)).empty(); }));
  EXPECT_EQ(reply.front(), ':') << reply;
}

// The first answer was lost; asked anew it would see what the second has not.
TEST_F(NodeClientsTest, ReadsOfOneConnectionNeverGoBackInTime) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(client, "LOCK.ACQUIRE warm me").front(), ':');
  SendAndLoseTheAnswer(client, "LOCK.INFO a");
  cluster().Send(client, "LOCK.INFO a");
  cluster().Run(50);
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE a other TTL 600000").front(), ':');
  Bytes replies;
  ASSERT_TRUE(cluster().RunUntil([&] {
    replies += cluster().Take(client);
    const size_t first = replies.find("state");
    return first != Bytes::npos && replies.find("state", first + 1) != Bytes::npos;
  }));
  const size_t locked = replies.find("LOCKED");
  EXPECT_TRUE(locked == Bytes::npos || replies.find("FREE", locked) == Bytes::npos) << replies;
}

TEST_F(NodeClientsTest, AReadWhoseAnswerWasLostIsAskedAnewThoughOthersGoOn) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  const ClientId other = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(other, "LOCK.ACQUIRE jobs other TTL 600000").front(), ':');
  SendAndLoseTheAnswer(client, "LOCK.INFO jobs");
  Bytes reply;
  for (int i = 0; i < 25 && reply.empty(); ++i) {
    ASSERT_EQ(cluster().Ask(other, "LOCK.RENEW jobs other TTL 600000"), ":1\r\n");
    cluster().Run(100);
    reply += cluster().Take(client);
  }
  EXPECT_TRUE(Has(reply, "LOCKED")) << reply;
}

TEST_F(NodeClientsTest, AWaitThatCannotReachItsLeaderIsRefusedLikeAnythingElse) {
  Form(3, "uncertain-after-ms 3000\n");
  cluster().RefuseDials(follower_, leader_);
  cluster().BreakLink(follower_, leader_);
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "LOCK.ACQUIRE a me BLOCK 500");
  Bytes reply;
  ASSERT_TRUE(cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }, 5000));
  EXPECT_TRUE(StartsWith(reply, "-CLUSTERDOWN")) << reply;
  EXPECT_EQ(cluster().node(follower_)->group(kLocksGroup)->leader(), leader_);
}

// They come and go while there is no leader, and have bound nothing.
TEST_F(NodeClientsTest, ClientsThatAskedInVainLeaveNothingBehind) {
  Form(3, "leader-wait-ms 200\n");
  ASSERT_EQ(cluster().Ask(follower_, "LOCK.ACQUIRE warm me BIND").front(), ':');
  cluster().CutOff(follower_);
  cluster().Run(3000);
  for (int i = 0; i < 20; ++i) {
    const ClientId client = cluster().Connect(follower_);
    cluster().Send(client, "LOCK.ACQUIRE a me BIND");
    cluster().Send(client, "LOCK.INFO a");
    if (i % 2 == 0) cluster().Run(400);
    cluster().Disconnect(client);
  }
  cluster().Run(400);
  EXPECT_LE(cluster().node(follower_)->requests_pending(kLocksGroup), 1u);
}

TEST_F(NodeClientsTest, WhatATransactionHasBoundEndsWithTheConnection) {
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

TEST_F(NodeClientsTest, ATransactionMayHoldOnlySoMuch) {
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

TEST_F(NodeClientsTest, WhatAClientIsOwedIsOnItsWayUnlessItWaitsForALockOrAPause) {
  Form(3);
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE busy other TTL 600000").front(), ':');
  const ClientId client = cluster().Connect(follower_);
  const auto owed = [&] { return cluster().node(follower_)->Owes(client); };
  EXPECT_EQ(owed(), Node::Owed::kNothing);
  cluster().Send(client, "LOCK.ACQUIRE free me TTL 600000");
  EXPECT_EQ(owed(), Node::Owed::kSoon);
  Bytes reply;
  ASSERT_TRUE(cluster().RunUntil([&] { return !(reply += cluster().Take(client)).empty(); }));
  EXPECT_EQ(owed(), Node::Owed::kNothing);
  cluster().Send(client, "LOCK.ACQUIRE busy me BLOCK 0");
  cluster().Run(50);
  EXPECT_EQ(owed(), Node::Owed::kLater);
  ASSERT_EQ(cluster().Ask(leader_, "LOCK.RELEASE busy other"), ":1\r\n");
  ASSERT_TRUE(cluster().RunUntil([&] { return owed() == Node::Owed::kNothing; }));
  ASSERT_EQ(cluster().Ask(follower_, "CLIENT PAUSE 60000 WRITE"), "+OK\r\n");
  cluster().Send(client, "LOCK.RELEASE free me");
  cluster().Run(50);
  EXPECT_EQ(owed(), Node::Owed::kLater);
}

TEST_F(NodeClientsTest, AClientThatLeavesStopsWaiting) {
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

TEST_F(NodeClientsTest, AClientThatLeavesBeforeThereIsALeaderDoesNotWaitLater) {
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

TEST_F(NodeClientsTest, WhatIsBoundToAConnectionEndsWithIt) {
  Form(3);
  const ClientId alice = cluster().Connect(follower_);
  ASSERT_EQ(cluster().Ask(alice, "LOCK.ACQUIRE jobs alice BIND").front(), ':');
  cluster().Disconnect(alice);
  cluster().Run(50);
  EXPECT_EQ(cluster().Ask(leader_, "LOCK.ACQUIRE jobs bob").front(), ':');
}

TEST_F(NodeClientsTest, ABlockedClientSeesNothingOfAFailover) {
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

TEST_F(NodeClientsTest, RepliesComeInTheOrderOfThePipeline) {
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
TEST_F(NodeClientsTest, ACommandThatHadToWaitIsWholeThoughMoreCameMeanwhile) {
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

TEST_F(NodeClientsTest, OneCommandMayBeLargerThanWhatIsReadAheadOfAWaitingClient) {
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

TEST_F(NodeClientsTest, AClientThatIsAheadOfItsAnswersIsNotReadFrom) {
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

TEST_F(NodeClientsTest, ACrowdWithLongPipelinesDelaysNobodyByMoreThanARound) {
  Form(1);
  constexpr size_t kCrowd = 200;
  constexpr size_t kCommands = 1000;
  const Bytes pong = "+PONG\r\n";
  Bytes pipeline;
  for (size_t i = 0; i < kCommands; ++i) pipeline += "PING\r\n";
  std::vector<ClientId> crowd;
  for (size_t i = 0; i < kCrowd; ++i) crowd.push_back(cluster().Connect(k1));
  const ClientId other = cluster().Connect(k1);
  for (const ClientId id : crowd) cluster().SendRaw(id, pipeline);
  cluster().Send(other, "PING");

  size_t answered = 0;
  const auto count = [&] {
    for (const ClientId id : crowd) answered += cluster().Take(id).size() / pong.size();
  };
  cluster().Run(1);
  count();
  EXPECT_GT(answered, 0u);
  EXPECT_LT(answered, 10'000u);  // The node looks at its peers and its disk in between.
  Bytes told;
  EXPECT_TRUE(cluster().RunUntil([&] {
    told += cluster().Take(other);
    return told == pong;
  }));
  count();
  EXPECT_LT(answered, kCrowd * kCommands / 10);
  EXPECT_TRUE(cluster().RunUntil([&] {
    count();
    return answered == kCrowd * kCommands;
  }));
}

TEST_F(NodeClientsTest, AReadSeesTheWritesBeforeItInItsPipeline) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "LOCK.ACQUIRE x me META first\r\nLOCK.INFO x\r\nLOCK.RELEASE x me");
  cluster().Run(500);
  EXPECT_TRUE(Has(cluster().Take(client), "first"));
}

TEST_F(NodeClientsTest, APingAmongLocksKeepsItsPlaceAndHoldsNobodyUp) {
  Form(3);
  const ClientId client = cluster().Connect(follower_);
  cluster().Send(client, "LOCK.ACQUIRE x me");
  cluster().Run(500);
  cluster().Take(client);
  Bytes pipeline, replies;
  for (int i = 0; i < 200; ++i) {
    pipeline += "LOCK.RENEW x me\r\nPING\r\nECHO hi\r\n";
    replies += ":1\r\n+PONG\r\n$2\r\nhi\r\n";
  }
  cluster().SendRaw(client, pipeline);
  cluster().Run(50);  // Far less than 200 times the way to the leader and back.
  EXPECT_EQ(cluster().Take(client), replies);
  // What blocks the connection blocks them too.
  cluster().SendRaw(client, "LOCK.ACQUIRE x other BLOCK 100\r\nPING\r\n");
  cluster().Run(50);
  EXPECT_EQ(cluster().Take(client), "");
  cluster().Run(200);
  EXPECT_EQ(cluster().Take(client), "$-1\r\n+PONG\r\n");
}

TEST_F(NodeClientsTest, ATransactionHappensAsOne) {
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

TEST_F(NodeClientsTest, ATransactionWithAMistakeInItIsDiscarded) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  cluster().Send(client, "MULTI\r\nLOCK.ACQUIRE a\r\nEXEC\r\nPING");
  cluster().Run(100);
  const Bytes replies = cluster().Take(client);
  EXPECT_TRUE(Has(replies, "-ERR wrong number of arguments for 'lock.acquire' command\r\n"
                           "-EXECABORT Transaction discarded because of previous errors.\r\n+PONG"))
      << replies;
}

TEST_F(NodeClientsTest, ABlockedClientCanBeUnblocked) {
  Form(3);
  cluster().Ask(k1, "LOCK.ACQUIRE jobs alice");
  const ClientId bob = cluster().Connect(follower_);
  cluster().Send(bob, "LOCK.ACQUIRE jobs bob BLOCK 0");
  cluster().Run(50);
  EXPECT_EQ(cluster().Ask(follower_, Format("CLIENT UNBLOCK %lu ERROR", bob.value)), ":1\r\n");
  cluster().Run(50);
  EXPECT_EQ(cluster().Take(bob), "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
}

TEST_F(NodeClientsTest, APasswordIsAskedFor) {
  Form(1, "requirepass secret\n");
  const ClientId client = cluster().Connect(k1);
  EXPECT_EQ(cluster().Ask(client, "LOCK.ACQUIRE a b"), "-NOAUTH Authentication required.\r\n");
  EXPECT_TRUE(StartsWith(cluster().Ask(client, "AUTH wrong"), "-WRONGPASS"));
  EXPECT_EQ(cluster().Ask(client, "AUTH secret"), "+OK\r\n");
  EXPECT_EQ(cluster().Ask(client, "LOCK.ACQUIRE a b").front(), ':');
}

TEST_F(NodeClientsTest, WhatAStrangerMayNotSendIsTakenRightBehindThePassword) {
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

TEST_F(NodeClientsTest, AfterAResetThereIsTimeToLogInAgain) {
  Form(1, "requirepass secret\n");
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "AUTH secret");
  cluster().Run(11'000);
  EXPECT_EQ(cluster().Ask(client, "RESET"), "+RESET\r\n");
  cluster().Run(2'000);
  EXPECT_EQ(cluster().Ask(client, "AUTH secret"), "+OK\r\n");
  EXPECT_FALSE(cluster().closed(client));
}

TEST_F(NodeClientsTest, APauseOfWritesHoldsATransactionThatWrites) {
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

TEST_F(NodeClientsTest, ACommandThatIsNamedLikeTransactionControlIsQueuedLikeAnyOther) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "MULTI");
  EXPECT_EQ(cluster().Ask(client, "SLOWLOG RESET"), "+QUEUED\r\n");
  EXPECT_EQ(cluster().Ask(client, "EXEC"), "*1\r\n+OK\r\n");
}

TEST_F(NodeClientsTest, AnExecThatIsRefusedEndsTheTransaction) {
  Form(1);
  const ClientId client = cluster().Connect(k1);
  cluster().Ask(client, "MULTI");
  EXPECT_EQ(cluster().Ask(client, "EXEC x"),
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' "
            "command\r\n");
  EXPECT_EQ(cluster().Ask(client, "EXEC"), "-ERR EXEC without MULTI\r\n");
}

TEST_F(NodeClientsTest, NobodyIsShownAPassword) {
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

TEST_F(NodeClientsTest, AMessageReachesSubscribersOfAllNodes) {
  Form(3);
  const ClientId listener = cluster().Connect(k1);
  cluster().Ask(listener, "SUBSCRIBE news");
  cluster().Ask(k3, "PUBLISH news hello");
  cluster().Run(50);
  EXPECT_EQ(cluster().Take(listener), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
}

TEST_F(NodeClientsTest, LockEventsAreToldOnEveryNode) {
  Form(3);
  const ClientId listener = cluster().Connect(follower_);
  cluster().Ask(listener, "SUBSCRIBE __lock__:jobs");
  cluster().Ask(leader_, "LOCK.ACQUIRE jobs alice");
  cluster().Run(300);
  EXPECT_TRUE(Has(cluster().Take(listener), "granted"));
}

}  // namespace
}  // namespace lockstep
