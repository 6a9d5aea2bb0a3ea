// Client connections over real sockets on loopback, the node replaced by what it would say.
#include "src/io/clients.h"

#include <ifaddrs.h>

#include <algorithm>

#include "src/io/system.h"
#include "tests/io_support.h"

namespace lockstep::io {
namespace {

class ClientsFixture : public ::testing::Test {
 protected:
  void Listen(const Bytes& address) {
    const std::vector<Bytes> addresses{address};
    clients_ = std::make_unique<Clients>(&loop_, &port_, &settings_);
    const auto listening = clients_->Listen(addresses, 0, 16);
    ASSERT_TRUE(listening.ok()) << listening.error().message;
  }
  bool Run(const std::function<bool()>& done) {
    return RunUntil(&loop_, done, [this] {
      clients_->Read();
      clients_->Turn();
    });
  }
  void RunTurns(int turns) {
    ASSERT_TRUE(Run([&turns] { return turns-- == 0; }));
  }
  // Connects, and waits until the node has heard of it.
  PlainSocket Connect() {
    const size_t before = port_.opened.size();
    PlainSocket socket = PlainSocket::To(clients_->port());
    EXPECT_TRUE(Run([&] { return port_.opened.size() > before; }));
    return socket;
  }
  // The node has heard what it asks, and owes it the answer.
  PlainSocket ConnectAndAsk(Node::Owed owed) {
    PlainSocket socket = Connect();
    port_.owed[LatestId()] = owed;
    socket.Send("PING\r\n");
    EXPECT_TRUE(Run([&] { return port_.received[LatestId()].size() == 6; }));
    return socket;
  }
  void Reply(ClientId id, Bytes bytes, bool close = false) {
    std::vector<Output::ToClient> replies;
    replies.push_back({id, std::move(bytes), close});
    clients_->Deliver(std::move(replies));
  }
  void Kill(ClientId id) {
    std::vector<Output::ToClient> replies;
    replies.push_back({id, "", /*close=*/true, /*at_once=*/true});
    clients_->Deliver(std::move(replies));
  }
  ClientId LatestId() const { return port_.opened.back().id; }

  Loop loop_;
  RecordingPort port_;
  Settings settings_;
  std::unique_ptr<Clients> clients_;
};

// Whatever a client does, io-threads change nothing about it.
class ClientsTest : public ClientsFixture, public ::testing::WithParamInterface<int64_t> {
 protected:
  void SetUp() override {
    settings_.io_threads = GetParam();
    Listen("127.0.0.1");
  }
};
INSTANTIATE_TEST_SUITE_P(IoThreads, ClientsTest, ::testing::Values(1, 3));

TEST_P(ClientsTest, TheNodeLearnsWhoAClientIs) {
  const PlainSocket client = Connect();
  const ClientOpened& opened = port_.opened.back();
  EXPECT_TRUE(opened.loopback);
  EXPECT_EQ(opened.address.find("127.0.0.1:"), 0u);
  EXPECT_EQ(opened.local_address, Format("127.0.0.1:%u", clients_->port()));
}

TEST_P(ClientsTest, EachConnectionHasAnIdOfItsOwn) {
  const PlainSocket first = Connect();
  const ClientId first_id = LatestId();
  const PlainSocket second = Connect();
  EXPECT_NE(first_id, LatestId());
}

TEST_P(ClientsTest, ACommandThatComesByteByByteArrivesInOrder) {
  PlainSocket client = Connect();
  const Bytes command = "*1\r\n$4\r\nPING\r\n";
  for (size_t i = 0; i < command.size(); ++i) {
    ASSERT_EQ(client.Send(command.substr(i, 1)), 1u);
    ASSERT_TRUE(Run([&] { return port_.received[LatestId()].size() == i + 1; }));
  }
  EXPECT_EQ(port_.received[LatestId()], command);
}

TEST_P(ClientsTest, AReplyReachesItsClientAndNoOther) {
  PlainSocket first = Connect();
  const ClientId first_id = LatestId();
  PlainSocket second = Connect();
  Reply(first_id, "+ONE\r\n");
  Reply(LatestId(), "+TWO\r\n");
  ASSERT_TRUE(Run([&] { return !first.Receive().empty() && !second.Receive().empty(); }));
  EXPECT_EQ(first.Receive(), "+ONE\r\n");
  EXPECT_EQ(second.Receive(), "+TWO\r\n");
}

TEST_P(ClientsTest, ASlowReadersBacklogIsToldUntilItIsGoneAndNothingIsLost) {
  PlainSocket client = Connect();
  Bytes large;
  for (uint32_t i = 0; large.size() < (size_t{8} << 20); ++i) large += Format("%u,", i);
  const size_t half = large.size() / 2;
  Reply(LatestId(), large.substr(0, half));
  Reply(LatestId(), large.substr(half));
  ASSERT_TRUE(Run([&] { return !port_.backlogs.empty(); }));
  EXPECT_GT(port_.backlogs.back().bytes, size_t{1} << 20);

  ASSERT_TRUE(Run([&] { return client.Receive().size() == large.size(); }));
  EXPECT_TRUE(client.Receive() == large);
  ASSERT_TRUE(Run([&] { return port_.backlogs.back().bytes == 0; }));
  const size_t told = port_.backlogs.size();
  RunTurns(5);
  EXPECT_EQ(port_.backlogs.size(), told);  // Nothing new, nothing said.
}

TEST_P(ClientsTest, AClientThatIsAheadIsLeftInTheKernelUntilItIsReadAgain) {
  PlainSocket client = Connect();
  clients_->StopReading({LatestId()});
  client.Send("early");
  RunTurns(10);
  EXPECT_EQ(port_.received[LatestId()], "");

  clients_->ReadAgain({LatestId()});
  ASSERT_TRUE(Run([&] { return port_.received[LatestId()] == "early"; }));
}

TEST_P(ClientsTest, OneTurnTakesABoundedPieceOfAFlood) {
  PlainSocket client = Connect();
  size_t sent = 0;
  size_t seen = 0;
  const size_t total = size_t{2} << 20;
  ASSERT_TRUE(Run([&] {
    const size_t now = port_.received[LatestId()].size();
    EXPECT_LE(now - seen, TcpConn::kReadsPerTurn * ClientConn::kReadBytes);
    seen = now;
    if (sent < total) sent += client.Send(Bytes(std::min(total - sent, size_t{1} << 20), 'x'));
    return seen == total;
  }));
}

TEST_P(ClientsTest, TheLastReplyArrivesThoughTheClientIsStillSending) {
  PlainSocket client = Connect();
  clients_->StopReading({LatestId()});
  client.Send(Bytes(size_t{256} << 10, 'x'));  // Unread: a plain close would reset the connection.
  Reply(LatestId(), "-ERR Protocol error\r\n", /*close=*/true);
  ASSERT_TRUE(Run([&] { return client.Ended(); }));
  EXPECT_EQ(client.Receive(), "-ERR Protocol error\r\n");
  EXPECT_EQ(client.error(), 0);
  EXPECT_EQ(port_.closed, std::vector{LatestId()});
}

TEST_P(ClientsTest, ALargeLastReplyLeavesWholeBeforeTheEnd) {
  PlainSocket client = Connect();
  const Bytes large(size_t{6} << 20, 'y');
  Reply(LatestId(), large, /*close=*/true);
  ASSERT_TRUE(Run([&] { return client.Ended(); }));
  EXPECT_TRUE(client.Receive() == large);
  EXPECT_EQ(port_.closed, std::vector{LatestId()});
}

TEST_P(ClientsTest, OneThatIsKilledIsGoneThoughItTakesItsRepliesByteByByte) {
  PlainSocket client = Connect();
  Reply(LatestId(), Bytes(size_t{16} << 20, 'y'));
  Kill(LatestId());
  EXPECT_EQ(port_.closed, std::vector{LatestId()});
  ASSERT_TRUE(Run([&] { return client.Ended(); }));
  EXPECT_LT(client.Receive().size(), size_t{16} << 20);
}

// A connection of its own, whose deadlines are called without waiting for them.
TEST_P(ClientsTest, LastWordsAreNotKeptForEverForOneWhoTakesThemSlowly) {
  struct Nobody final : ClientConn::Watcher {
    void OnChanged(ClientId) override {}
  } nobody;
  std::unique_ptr<ClientConn> conn;
  Listener listener(&loop_, [&](uv_stream_t* from) {
    conn = std::make_unique<ClientConn>(&loop_, &port_, &nobody, ClientId{1});
    ASSERT_TRUE(conn->Accept(from).ok());
    conn->Open();
  });
  const std::vector<Bytes> addresses{"127.0.0.1"};
  ASSERT_TRUE(listener.Listen(addresses, 0, 16).ok());
  PlainSocket client = PlainSocket::To(listener.port());
  ASSERT_TRUE(Run([&] { return conn != nullptr; }));

  conn->Send(Bytes(size_t{64} << 20, 'y'));
  conn->Finish();
  const MonoTime began = loop_.Now();
  MonoTime now = began;
  const int64_t too_long = 2 * ClientConn::kFlushUsMax;
  while (conn->state() == ClientConn::State::kFlushing && now - began < too_long) {
    const size_t before = conn->backlog();
    ASSERT_TRUE(Run([&] { return client.Receive().size() > 0 && conn->backlog() < before; }));
    now = conn->deadline();
    conn->OnDeadline(now);
  }
  EXPECT_EQ(conn->state(), ClientConn::State::kGone);
  EXPECT_GE(now - began, ClientConn::kFlushUsMax - kUsPerSecond);
  EXPECT_LE(now - began, ClientConn::kFlushUsMax);
}

TEST_P(ClientsTest, NothingIsSaidOrHeardAfterTheNodesLastWord) {
  PlainSocket client = Connect();
  Reply(LatestId(), "+OK\r\n", /*close=*/true);
  Reply(LatestId(), "+LATE\r\n");
  client.Send("more");
  ASSERT_TRUE(Run([&] { return client.Ended(); }));
  EXPECT_EQ(client.Receive(), "+OK\r\n");
  EXPECT_EQ(port_.received[LatestId()], "");
}

TEST_P(ClientsTest, AClientThatShutItsSideStillGetsTheReplyToWhatItAsked) {
  PlainSocket client = ConnectAndAsk(Node::Owed::kLater);
  client.FinishSending();
  RunTurns(3);
  port_.owed.clear();
  const MonoTime answered = loop_.Now();
  Reply(LatestId(), "+PONG\r\n");
  EXPECT_EQ(port_.closed, std::vector{LatestId()});  // All is said: no grace is waited out.
  ASSERT_TRUE(Run([&] { return client.Ended(); }));
  EXPECT_EQ(client.Receive(), "+PONG\r\n");
  EXPECT_LT(loop_.Now() - answered, kUsPerSecond);
}

TEST_P(ClientsTest, WhatWasAnsweredLeavesWholeThoughTheClientHasShutItsSide) {
  PlainSocket client = Connect();
  const Bytes large(size_t{6} << 20, 'y');
  Reply(LatestId(), large);
  client.FinishSending();
  ASSERT_TRUE(Run([&] { return !port_.closed.empty(); }));  // It is owed nothing more.
  ASSERT_TRUE(Run([&] { return client.Ended(); }));
  EXPECT_TRUE(client.Receive() == large);
}

TEST_P(ClientsTest, AClientThatShutItsSideMayBeSlowToTakeItsAnswers) {
  PlainSocket client = ConnectAndAsk(Node::Owed::kLater);
  client.FinishSending();
  const Bytes large(size_t{8} << 20, 'y');
  Reply(LatestId(), large);
  const MonoTime answered = loop_.Now();
  ASSERT_TRUE(Run([&] { return loop_.Now() - answered > 2 * ClientConn::kHalfClosedGraceUs; }));
  EXPECT_TRUE(port_.closed.empty());  // What it has not taken shows that it may still be there.

  ASSERT_TRUE(Run([&] { return client.Receive().size() == large.size(); }));
  Reply(LatestId(), "+MORE\r\n");
  ASSERT_TRUE(Run([&] { return client.Receive().ends_with("+MORE\r\n"); }));
  ASSERT_TRUE(Run([&] { return !port_.closed.empty(); }));  // Still owed something: the grace.
}

// It may hold a lock by the answer that a slow disk keeps from it.
TEST_P(ClientsTest, AClientThatShutItsSideIsNotGoneWhileItsAnswerWaitsForUs) {
  PlainSocket client = ConnectAndAsk(Node::Owed::kSoon);
  client.FinishSending();
  const MonoTime asked = loop_.Now();
  ASSERT_TRUE(Run([&] { return loop_.Now() - asked > 3 * ClientConn::kHalfClosedGraceUs; }));
  EXPECT_TRUE(port_.closed.empty());
  port_.owed[LatestId()] = Node::Owed::kLater;  // What it asked next waits for a lock.
  Reply(LatestId(), "+PONG\r\n");
  ASSERT_TRUE(Run([&] { return client.Receive() == "+PONG\r\n"; }));
  ASSERT_TRUE(Run([&] { return !port_.closed.empty(); }));
}

TEST_P(ClientsTest, AClientThatShutItsSideAndIsGoneIsFoundOutByItsAnswers) {
  PlainSocket client = ConnectAndAsk(Node::Owed::kLater);
  client.FinishSending();
  client.Close();
  ASSERT_TRUE(Run([&] {
    Reply(LatestId(), "+ANSWER\r\n");  // Each would begin the grace anew.
    return !port_.closed.empty();
  }));
  EXPECT_EQ(port_.closed, std::vector{LatestId()});
}

TEST_P(ClientsTest, AClientThatIsOwedNothingIsGoneAtOnceHoweverLateItSpoke) {
  PlainSocket client = Connect();
  client.Send("PING\r\n");
  client.Close();
  bool had_spoken = false;
  port_.on_step = [&](const Input& input) {
    if (std::holds_alternative<ClientClosed>(input)) {
      had_spoken = port_.received[LatestId()].size() == 6;
    }
  };
  const MonoTime closed = loop_.Now();
  ASSERT_TRUE(Run([&] { return !port_.closed.empty(); }));
  EXPECT_TRUE(had_spoken);
  EXPECT_LT(loop_.Now() - closed, ClientConn::kHalfClosedGraceUs);
}

TEST_P(ClientsTest, AClientThatHadNothingUnderWayIsGoneBeforeOneThatHas) {
  const MonoTime asked = loop_.Now();
  PlainSocket busy = ConnectAndAsk(Node::Owed::kLater);
  PlainSocket silent = Connect();
  const ClientId silent_id = LatestId();
  busy.Close();
  silent.Close();
  ASSERT_TRUE(Run([&] {
    return std::find(port_.closed.begin(), port_.closed.end(), silent_id) != port_.closed.end();
  }));
  // A machine that stood still for so long has let the grace pass.
  if (loop_.Now() - asked < ClientConn::kHalfClosedGraceUs) {
    EXPECT_EQ(port_.closed, std::vector{silent_id});
  }
  ASSERT_TRUE(Run([&] { return port_.closed.size() == 2; }));
}

TEST_P(ClientsTest, AResetEndsTheClientOnce) {
  PlainSocket client = Connect();
  client.Send("x");
  ASSERT_TRUE(Run([&] { return port_.received[LatestId()] == "x"; }));
  Reply(LatestId(), Bytes(size_t{6} << 20, 'z'));  // On its way when the client goes.
  client.Reset();
  ASSERT_TRUE(Run([&] { return !port_.closed.empty(); }));
  RunTurns(5);
  EXPECT_EQ(port_.closed, std::vector{LatestId()});
}

// With io-threads. -------------------------------------------------------------------------------

class ClientsOfManyThreadsTest : public ClientsFixture {
 protected:
  static constexpr size_t kClients = 12;
  void SetUp() override {
    settings_.io_threads = 3;
    Listen("127.0.0.1");
    Connect(kClients);
  }
  using ClientsFixture::Connect;
  void Connect(size_t clients) {
    for (size_t i = 0; i < clients; ++i) {
      sockets_.push_back(Connect());
      ids_.push_back(LatestId());
    }
  }
  void SendFromAll(BytesView bytes) {
    for (PlainSocket& socket : sockets_) ASSERT_EQ(socket.Send(bytes), bytes.size());
  }
  bool AllHaveSent(BytesView bytes) {
    return std::all_of(ids_.begin(), ids_.end(),
                       [&](ClientId id) { return port_.received[id] == bytes; });
  }
  // `deed` is done when the first of those who are read together is taken in.
  void AtFirstRead(std::function<void(ClientId)> deed) {
    port_.on_step = [deed = std::move(deed)](const Input& input) mutable {
      const auto* read = std::get_if<ClientRead>(&input);
      if (read == nullptr || deed == nullptr) return;
      std::exchange(deed, nullptr)(read->id);
    };
  }
  // To each its own, together.
  void ReplyToAll(const std::function<Bytes(size_t)>& reply) {
    std::vector<Output::ToClient> replies;
    for (size_t i = 0; i < kClients; ++i) replies.push_back({ids_[i], reply(i)});
    clients_->Deliver(std::move(replies));
  }

  std::vector<PlainSocket> sockets_;
  std::vector<ClientId> ids_;
};

TEST_F(ClientsOfManyThreadsTest, OfEachItsOwnIsReadInOrder) {
  std::vector<Bytes> sent(kClients);
  const auto all_is_read = [&] {
    for (size_t i = 0; i < kClients; ++i) {
      if (port_.received[ids_[i]] != sent[i]) return false;
    }
    return true;
  };
  for (int round = 0; round < 100; ++round) {
    for (size_t i = 0; i < kClients; ++i) {
      const Bytes piece = Format("%zu:%d,", i, round);
      sockets_[i].Send(piece);
      sent[i] += piece;
    }
    if (round % 3 == 0) {
      ASSERT_TRUE(Run(all_is_read));
    }
  }
  ASSERT_TRUE(Run(all_is_read));
  EXPECT_GE(clients_->read_together(), 34 * kClients);
}

TEST_F(ClientsOfManyThreadsTest, FewAreReadWithoutTheOthersHelp) {
  for (int round = 0; round < 100; ++round) {
    sockets_[3].Send("x");
    sockets_[7].Send("y");
    ASSERT_TRUE(Run([&] { return port_.received[ids_[3]].size() > static_cast<size_t>(round); }));
  }
  ASSERT_TRUE(Run([&] { return port_.received[ids_[7]] == Bytes(100, 'y'); }));
  EXPECT_EQ(port_.received[ids_[3]], Bytes(100, 'x'));
  EXPECT_EQ(clients_->read_together(), 0u);
}

TEST_F(ClientsOfManyThreadsTest, OfFloodsATurnTakesSomePiecesEach) {
  const size_t total = size_t{1} << 20;
  std::vector<size_t> sent(kClients), seen(kClients);
  size_t most = 0;
  ASSERT_TRUE(Run([&] {
    bool done = true;
    for (size_t i = 0; i < kClients; ++i) {
      const size_t now = port_.received[ids_[i]].size();
      most = std::max(most, now - seen[i]);
      seen[i] = now;
      if (sent[i] < total) sent[i] += sockets_[i].Send(Bytes(total - sent[i], 'x'));
      done = done && now == total;
    }
    return done;
  }));
  EXPECT_EQ(most, TcpConn::kReadsPerTurn * ClientConn::kReadBytes);
}

TEST_F(ClientsOfManyThreadsTest, WhoIsKilledByTheFirstThatIsTakenInIsNotHeard) {
  ClientId first;
  AtFirstRead([&](ClientId id) {
    first = id;
    for (const ClientId other : ids_) {
      if (other != id) Kill(other);
    }
  });
  SendFromAll("hello");
  RunTurns(5);
  EXPECT_EQ(port_.closed.size(), kClients - 1);
  for (size_t i = 0; i < kClients; ++i) {
    EXPECT_EQ(port_.received[ids_[i]], ids_[i] == first ? "hello" : "");
    EXPECT_TRUE(ids_[i] == first || Run([&] { return sockets_[i].Ended(); }));
  }
}

TEST_F(ClientsOfManyThreadsTest, OfWhoIsNotToBeReadAnyMoreWhatHasBeenReadIsKept) {
  AtFirstRead([&](ClientId) { clients_->StopReading(ids_); });
  SendFromAll("early");
  ASSERT_TRUE(Run([&] { return AllHaveSent("early"); }));
  SendFromAll(",late");
  RunTurns(5);
  EXPECT_TRUE(AllHaveSent("early"));
  clients_->ReadAgain(ids_);
  EXPECT_TRUE(Run([&] { return AllHaveSent("early,late"); }));
}

TEST_F(ClientsOfManyThreadsTest, OnesThatEndOrAreResetAreReadAmongOthers) {
  for (const ClientId id : ids_) port_.owed[id] = Node::Owed::kSoon;
  SendFromAll("last");
  sockets_[2].FinishSending();
  sockets_[5].Close();
  ASSERT_TRUE(Run([&] { return AllHaveSent("last"); }));
  sockets_[8].Reset();
  sockets_[3].Send(",more");
  sockets_[4].Send(",more");
  sockets_[6].Send(",more");
  ASSERT_TRUE(Run([&] { return !port_.closed.empty(); }));
  ASSERT_TRUE(Run([&] { return port_.received[ids_[6]] == "last,more"; }));
  EXPECT_EQ(port_.closed, std::vector{ids_[8]});  // The others are still owed something.
  Reply(ids_[2], "+OK\r\n");
  ASSERT_TRUE(Run([&] { return !sockets_[2].Receive().empty(); }));
}

TEST_F(ClientsOfManyThreadsTest, ACrowdIsReadInSeveralGoes) {
  constexpr size_t kCrowd = 1100;
  ASSERT_GE(RaiseFileLimit(3 * kCrowd), 3 * kCrowd);
  Connect(kCrowd - kClients);
  SendFromAll("one of many");
  EXPECT_TRUE(Run([&] { return AllHaveSent("one of many"); }));
}

TEST_F(ClientsOfManyThreadsTest, EachIsSentItsOwnInOrder) {
  std::vector<Bytes> expected(kClients);
  for (int round = 0; round < 200; ++round) {
    ReplyToAll([&](size_t i) {
      expected[i] += Format("+%zu:%d\r\n", i, round);
      return Format("+%zu:%d\r\n", i, round);
    });
  }
  for (size_t i = 0; i < kClients; ++i) {
    EXPECT_TRUE(Run([&] { return sockets_[i].Receive().size() >= expected[i].size(); }));
    EXPECT_EQ(sockets_[i].Receive(), expected[i]);
  }
  EXPECT_EQ(clients_->sent_together(), 200 * kClients);
}

TEST_F(ClientsOfManyThreadsTest, OneThatTakesNothingLosesNothingAndHoldsUpNobody) {
  const Bytes large(size_t{1} << 20, 'x');
  for (int round = 0; round < 8; ++round) {
    ReplyToAll([&](size_t i) { return i == 3 ? large : Bytes("+OK\r\n"); });
  }
  for (size_t i = 0; i < kClients; ++i) {
    if (i == 3) continue;
    EXPECT_TRUE(Run([&] { return sockets_[i].Receive().size() == 8 * 5; }));
  }
  EXPECT_TRUE(Run([&] { return sockets_[3].Receive().size() == 8 * large.size(); }));
  EXPECT_EQ(sockets_[3].Receive().find_first_not_of('x'), Bytes::npos);
}

TEST_F(ClientsOfManyThreadsTest, OnesThatAreGoneOrToBeEndedAreAmongOthers) {
  sockets_[1].Reset();
  RunTurns(3);
  std::vector<Output::ToClient> replies;
  for (size_t i = 0; i < kClients; ++i) replies.push_back({ids_[i], "+last\r\n", i == 2, false});
  replies[4] = {ids_[4], "", true, true};
  clients_->Deliver(std::move(replies));
  for (size_t i = 0; i < kClients; ++i) {
    if (i == 1) continue;
    const bool ends = i == 2 || i == 4;
    EXPECT_TRUE(Run([&] { return sockets_[i].Receive().size() >= 7 || sockets_[i].Ended(); }));
    EXPECT_TRUE(Run([&] { return !ends || sockets_[i].Ended(); }));
    EXPECT_EQ(sockets_[i].Receive(), i == 4 ? "" : "+last\r\n");
  }
}

TEST_P(ClientsTest, OneClientTooManyIsToldSoAndTheNodeNeverHearsOfIt) {
  settings_.maxclients = 1;
  const PlainSocket first = Connect();
  PlainSocket second = PlainSocket::To(clients_->port());
  ASSERT_TRUE(Run([&] { return second.Ended(); }));
  EXPECT_EQ(second.Receive(), "-ERR max number of clients reached\r\n");
  EXPECT_EQ(port_.opened.size(), 1u);
  EXPECT_TRUE(port_.closed.empty());
}

TEST_P(ClientsTest, OfAFloodEachOneTooManyIsToldSo) {
  settings_.maxclients = 1;
  const PlainSocket first = Connect();
  std::vector<PlainSocket> flood;
  for (int i = 0; i < 200; ++i) {
    flood.push_back(PlainSocket::To(clients_->port()));
    ASSERT_TRUE(Run([&] { return clients_->turned_away() == flood.size(); }));
  }
  for (PlainSocket& one : flood) {
    ASSERT_TRUE(Run([&] { return one.Ended(); }));
    EXPECT_EQ(one.Receive(), "-ERR max number of clients reached\r\n");
    EXPECT_EQ(one.error(), 0);
  }
}

TEST_P(ClientsTest, APlaceThatBecameFreeIsTakenByTheNext) {
  settings_.maxclients = 1;
  PlainSocket first = Connect();
  first.Close();
  ASSERT_TRUE(Run([&] { return !port_.closed.empty(); }));
  const PlainSocket second = Connect();
  EXPECT_EQ(port_.opened.size(), 2u);
}

// An address of this machine that is not loopback's; empty: it has none.
Bytes OutsideAddress() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return "";
  Bytes found;
  for (const ifaddrs* at = all; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN];
    const auto* in = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
    ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    if (ntohl(in->sin_addr.s_addr) >> 24 != 127) found = text;
  }
  ::freeifaddrs(all);
  return found;
}

TEST_P(ClientsTest, WithoutAPasswordAStrangerIsDeniedInProtectedMode) {
  const Bytes outside = OutsideAddress();
  if (outside.empty()) GTEST_SKIP() << "this machine has no address but loopback's";
  Listen("*");
  PlainSocket stranger = PlainSocket::To(clients_->port(), outside.c_str());
  ASSERT_TRUE(Run([&] { return stranger.Ended(); }));
  EXPECT_EQ(stranger.Receive().find("-DENIED "), 0u);
  EXPECT_TRUE(port_.opened.empty());

  settings_.requirepass = "secret";
  const PlainSocket asked_later = PlainSocket::To(clients_->port(), outside.c_str());
  ASSERT_TRUE(Run([&] { return port_.opened.size() == 1; }));
  EXPECT_FALSE(port_.opened.back().loopback);

  settings_.requirepass.clear();
  settings_.protected_mode = false;
  const PlainSocket let_in = PlainSocket::To(clients_->port(), outside.c_str());
  ASSERT_TRUE(Run([&] { return port_.opened.size() == 2; }));
}

TEST_P(ClientsTest, AnAddressInUseIsAnErrorThatNamesThePort) {
  Clients second(&loop_, &port_, &settings_);
  const std::vector<Bytes> addresses{"127.0.0.1"};
  const auto listening = second.Listen(addresses, clients_->port(), 16);
  ASSERT_FALSE(listening.ok());
  EXPECT_NE(listening.error().message.find(Format("port %u", clients_->port())), Bytes::npos);
  EXPECT_NE(listening.error().message.find("in use"), Bytes::npos);
}

TEST_P(ClientsTest, AnAddressWithADashMayBeMissing) {
  Clients second(&loop_, &port_, &settings_);
  // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
  const std::vector<Bytes> missing{"192.0.2.1"};
  EXPECT_FALSE(second.Listen(missing, 0, 16).ok());
  const std::vector<Bytes> forgiven{"127.0.0.1", "-192.0.2.1"};
  EXPECT_TRUE(second.Listen(forgiven, 0, 16).ok());
}

}  // namespace
}  // namespace lockstep::io
