// Links between nodes over real sockets on loopback: node 1 dials, node 2 lets in. Where the other
// end must misbehave it is a plain socket.
#include <netinet/tcp.h>

#include <algorithm>
#include <set>

#include "src/base/log.h"
#include "src/io/peer_door.h"
#include "src/io/peer_links.h"
#include "tests/io_support.h"

namespace lockstep::io {
namespace {

constexpr ClusterId kCluster{77};
constexpr bus::Lane kBothLanes[] = {bus::Lane::kControl, bus::Lane::kBulk};

bus::Identity IdentityOf(uint64_t node) {
  bus::Identity me;
  me.cluster = kCluster;
  me.node = NodeId{node};
  me.disk = DiskId{1000 + node};
  me.incarnation = 5;
  me.server_version = "test";
  me.host = "127.0.0.1";
  me.client_port = static_cast<uint16_t>(7000 + node);
  me.bus_port = static_cast<uint16_t>(17000 + node);
  return me;
}

Bytes HelloBody(const bus::Identity& from, uint64_t to, bus::Lane lane) {
  Bytes body;
  Writer writer(&body);
  bus::EncodeHello(bus::MakeHello(from, NodeId{to}, lane), &writer);
  return body;
}

Bytes Frame(BytesView body) {
  Bytes frame;
  bus::AppendFrame(body, &frame);
  return frame;
}

// The first frame's body in what a socket received. Nothing: not all there.
std::optional<Bytes> FirstBody(const Bytes& received) {
  bus::FrameReader reader;
  reader.Append(received);
  const auto body = reader.Next();
  if (!body.ok() || !body->has_value()) return std::nullopt;
  return Bytes(**body);
}

class PeersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    one_.me = IdentityOf(1);
    two_.me = IdentityOf(2);
    links_ = std::make_unique<PeerLinks>(&loop_, &one_, /*seed=*/1);
    OpenDoor();
  }
  void OpenDoor(uint16_t port = 0) {
    const std::vector<Bytes> addresses{"127.0.0.1"};
    door_ = std::make_unique<PeerDoor>(&loop_, &two_);
    const auto listening = door_->Listen(addresses, port, 16);
    ASSERT_TRUE(listening.ok()) << listening.error().message;
  }
  bool Run(const std::function<bool()>& done) { return RunUntil(&loop_, done); }
  void RunTurns(int turns) {
    ASSERT_TRUE(Run([&turns] { return turns-- == 0; }));
  }
  void Dial(uint64_t node = 2, const Bytes& host = "127.0.0.1") {
    links_->SetPeers({{NodeId{node}, host, door_->port()}});
  }
  void DialAndWait() {
    Dial();
    ASSERT_TRUE(Run([&] { return one_.up.size() == 2 && two_.up.size() == 2; }));
  }
  // A plain socket that has said hello as node 1 and been answered.
  PlainSocket Guest(bus::Lane lane) {
    PlainSocket socket = PlainSocket::To(door_->port());
    const size_t before = two_.up.size();
    socket.SendFrame(HelloBody(one_.me, 2, lane));
    EXPECT_TRUE(Run([&] { return two_.up.size() > before && FirstBody(socket.Receive()); }));
    return socket;
  }

  Loop loop_;
  RecordingPort one_;
  RecordingPort two_;
  std::unique_ptr<PeerLinks> links_;
  std::unique_ptr<PeerDoor> door_;
};

TEST_F(PeersTest, EachSideLearnsWhoTheOtherIsOnBothLanes) {
  DialAndWait();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(one_.up[i].from, NodeId{2});
    EXPECT_EQ(one_.up[i].disk, DiskId{1002});
    EXPECT_EQ(one_.up[i].client_port, 7002);
    EXPECT_EQ(two_.up[i].from, NodeId{1});
    EXPECT_EQ(two_.up[i].disk, DiskId{1001});
    EXPECT_EQ(two_.up[i].incarnation, 5u);
  }
  EXPECT_NE(one_.up[0].lane, one_.up[1].lane);
  EXPECT_NE(two_.up[0].lane, two_.up[1].lane);
}

TEST_F(PeersTest, WhoDoesNotSayUnderWhichAddressIsKnownByTheOneItDialsFrom) {
  DialAndWait();
  EXPECT_EQ(two_.up.back().bus_host, "127.0.0.1");
  EXPECT_EQ(two_.up.back().bus_port, 17001);
  one_.me.bus_host = "node-1.example";
  links_->Relink();
  ASSERT_TRUE(Run([&] { return two_.up.size() == 4; }));
  EXPECT_EQ(two_.up.back().bus_host, "node-1.example");
}

TEST_F(PeersTest, TheNodeIsToldWhoseLinkItIsAndOnWhichLaneItBroke) {
  std::set<std::pair<bool, bus::Lane>> up;
  std::set<bus::Lane> down;
  const auto note = [&](const Input& input) {
    if (const auto* one = std::get_if<PeerUp>(&input)) up.insert({one->ours, one->hello.lane});
    if (const auto* one = std::get_if<PeerDown>(&input)) down.insert(one->lane);
  };
  one_.on_step = note;
  two_.on_step = note;
  DialAndWait();
  EXPECT_EQ(up.size(), 4u);
  door_.reset();
  ASSERT_TRUE(Run([&] { return down.size() == 2; }));
}

TEST_F(PeersTest, AFrameCarriesTheDiskThatItsLinksHelloNamed) {
  DiskId disk;
  two_.on_step = [&](const Input& input) {
    if (const auto* frame = std::get_if<PeerFrame>(&input)) disk = frame->disk;
  };
  DialAndWait();
  links_->Send({NodeId{2}, bus::Lane::kBulk, Frame("a")});
  ASSERT_TRUE(Run([&] { return !two_.frames.empty(); }));
  EXPECT_EQ(disk, DiskId{1001});
}

TEST_F(PeersTest, ALinkThatTheNodeDoubtsIsDialledAnew) {
  DialAndWait();
  links_->SetPeers({{NodeId{2}, "127.0.0.1", door_->port(), 1}});
  EXPECT_EQ(one_.down.size(), 2u);
  ASSERT_TRUE(Run([&] { return one_.up.size() == 4 && two_.up.size() == 4; }));
  links_->SetPeers({{NodeId{2}, "127.0.0.1", door_->port(), 1}});
  RunTurns(5);
  EXPECT_EQ(one_.down.size(), 2u);
}

// A machine that has lost power says nothing, and TCP by itself waits for a quarter of an hour.
TEST_F(PeersTest, EachLinkThatWeHaveDialledGivesUpOnSilence) {
  DialAndWait();
  int impatient = 0;
  for (int fd = 3; fd < 256; ++fd) {
    unsigned ms = 0;
    socklen_t size = sizeof ms;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size) != 0) continue;
    impatient += ms == kSilenceUsMax / kUsPerMs;
  }
  EXPECT_EQ(impatient, 2);
}

TEST_F(PeersTest, APeerThatIsFollowedNoMoreIsReportedAsLost) {
  DialAndWait();
  links_->SetPeers({});
  EXPECT_EQ(one_.down.size(), 2u);
}

TEST_F(PeersTest, AFounderIsToldOfTheClusterThatTakesItForItsOwn) {
  two_.me.cluster = ClusterId{78};
  two_.me.alone = true;
  Dial();
  ASSERT_TRUE(Run([&] { return !two_.up.empty(); }));
  EXPECT_EQ(two_.up.front().cluster, kCluster);
  EXPECT_TRUE(one_.up.empty());
}

TEST_F(PeersTest, FramesArriveWholeAndInOrderOnTheirLane) {
  DialAndWait();
  const Bytes large(size_t{3} << 20, 'L');
  for (const bus::Lane lane : kBothLanes) {
    two_.frames.clear();
    Bytes frames;
    for (int i = 0; i < 100; ++i) frames += Frame(Format("message %d", i));
    links_->Send({NodeId{2}, lane, std::move(frames)});
    links_->Send({NodeId{2}, lane, Frame(large)});
    links_->Send({NodeId{2}, lane, Frame("last")});
    ASSERT_TRUE(Run([&] { return two_.frames.size() == 102; }));
    for (size_t i = 0; i < 100; ++i) {
      EXPECT_EQ(two_.frames[i], std::pair(NodeId{1}, Format("message %zu", i)));
    }
    EXPECT_TRUE(two_.frames[100].second == large);
    EXPECT_EQ(two_.frames[101].second, "last");
  }
}

TEST_F(PeersTest, FramesForALinkThatIsNotUpAreLost) {
  Dial();
  links_->Send({NodeId{2}, bus::Lane::kControl, Frame("too early")});
  links_->Send({NodeId{9}, bus::Lane::kControl, Frame("to nobody")});
  ASSERT_TRUE(Run([&] { return one_.up.size() == 2 && two_.up.size() == 2; }));
  links_->Send({NodeId{2}, bus::Lane::kControl, Frame("in time")});
  ASSERT_TRUE(Run([&] { return !two_.frames.empty(); }));
  EXPECT_EQ(two_.frames.front().second, "in time");
}

TEST_F(PeersTest, ANameIsLookedUp) {
  links_->SetPeers({{NodeId{2}, "localhost", door_->port()}});
  ASSERT_TRUE(Run([&] { return one_.up.size() == 2; }));
}

TEST_F(PeersTest, ALookUpUnderWayDoesNotOutliveItsLink) {
  links_->SetPeers({{NodeId{2}, "localhost", door_->port()}});
  links_->SetPeers({});
  RunTurns(5);
  EXPECT_TRUE(one_.up.empty());
}

TEST_F(PeersTest, APeerThatGoesIsReportedAndFoundAgain) {
  DialAndWait();
  const uint16_t port = door_->port();
  door_.reset();
  ASSERT_TRUE(Run([&] { return one_.down.size() == 2; }));
  EXPECT_EQ(one_.down.front(), NodeId{2});

  OpenDoor(port);
  ASSERT_TRUE(Run([&] { return one_.up.size() == 4; }));
  links_->Send({NodeId{2}, bus::Lane::kControl, Frame("back")});
  ASSERT_TRUE(Run([&] { return !two_.frames.empty(); }));
}

TEST_F(PeersTest, AnAddressThatIsAnotherNodesIsRefusedAndTheReasonIsLoggedOnce) {
  static std::vector<Bytes> lines;
  lines.clear();
  SetLogSink([](LogLevel, BytesView line) { lines.emplace_back(line); });
  Dial(/*node=*/3);  // But node 2 is there.
  // Long enough for each lane to be refused several times.
  const MonoTime until = loop_.Now() + 4 * bus::kBackoffFirstUs;
  ASSERT_TRUE(Run([&] { return lines.size() >= 2 && loop_.Now() > until; }));
  SetLogSink(nullptr);
  EXPECT_TRUE(one_.up.empty());
  EXPECT_TRUE(two_.up.empty());
  const auto says = [](const Bytes& start) {
    return std::count_if(lines.begin(), lines.end(),
                         [&](const Bytes& line) { return line.starts_with(start); });
  };
  EXPECT_EQ(says("node 3 at 127.0.0.1:"), 1);
  EXPECT_EQ(says("bus: node 1 at 127.0.0.1:"), 1);
}

TEST_F(PeersTest, ANodeOfAnotherClusterIsRefusedWithAReasonAndNoIdentity) {
  bus::Identity stranger = IdentityOf(1);
  stranger.cluster = ClusterId{78};
  PlainSocket socket = PlainSocket::To(door_->port());
  socket.SendFrame(HelloBody(stranger, 2, bus::Lane::kControl));
  ASSERT_TRUE(Run([&] { return socket.Ended(); }));
  const auto body = FirstBody(socket.Receive());
  ASSERT_TRUE(body.has_value());
  const auto reply = bus::DecodeHelloReply(*body);
  ASSERT_TRUE(reply.ok());
  EXPECT_FALSE(reply->ok);
  EXPECT_FALSE(reply->reason.empty());
  EXPECT_EQ(reply->cluster, ClusterId{});
  EXPECT_EQ(reply->from, kNoNode);
  EXPECT_TRUE(two_.up.empty());
}

TEST_F(PeersTest, ARelinkShakesHandsAsWhoWeAreNow) {
  DialAndWait();
  one_.me.incarnation = 6;
  links_->Relink();
  EXPECT_EQ(one_.down.size(), 2u);
  ASSERT_TRUE(Run([&] { return one_.up.size() == 4 && two_.up.size() == 4; }));
  EXPECT_EQ(two_.up.back().incarnation, 6u);
}

TEST_F(PeersTest, APeerWhoseAddressIsTheSameKeepsItsLinks) {
  DialAndWait();
  Dial();
  RunTurns(5);
  EXPECT_TRUE(one_.down.empty());
  EXPECT_EQ(one_.up.size(), 2u);
}

TEST_F(PeersTest, ANewerLinkTakesThePlaceOfTheOlderOnItsLaneOnly) {
  PlainSocket older = Guest(bus::Lane::kControl);
  PlainSocket bulk = Guest(bus::Lane::kBulk);
  PlainSocket newer = Guest(bus::Lane::kControl);
  ASSERT_TRUE(Run([&] { return older.Ended(); }));
  newer.SendFrame("new");
  ASSERT_TRUE(Run([&] { return two_.frames.size() == 1; }));
  bulk.SendFrame("bulk");
  ASSERT_TRUE(Run([&] { return two_.frames.size() == 2; }));
  EXPECT_FALSE(newer.Ended());
  EXPECT_FALSE(bulk.Ended());
}

TEST_F(PeersTest, FramesThatComeByteByByteArrive) {
  PlainSocket socket = PlainSocket::To(door_->port());
  const Bytes stream = Frame(HelloBody(one_.me, 2, bus::Lane::kBulk)) + Frame("a") + Frame("");
  for (const char byte : stream) {
    ASSERT_EQ(socket.Send(BytesView(&byte, 1)), 1u);
    RunTurns(2);
  }
  ASSERT_TRUE(Run([&] { return two_.frames.size() == 2; }));
  EXPECT_EQ(two_.frames[0].second, "a");
  EXPECT_EQ(two_.frames[1].second, "");
}

TEST_F(PeersTest, ADamagedFrameEndsTheLinkAndIsNotGivenToTheNode) {
  PlainSocket socket = Guest(bus::Lane::kControl);
  Bytes damaged = Frame("damaged on the way");
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  socket.Send(Frame("whole") + damaged + Frame("behind it"));
  ASSERT_TRUE(Run([&] { return socket.Ended(); }));
  ASSERT_EQ(two_.frames.size(), 1u);
  EXPECT_EQ(two_.frames.front().second, "whole");
}

TEST_F(PeersTest, BeforeItsHelloAConnectionMaySendLittleAndNothingElse) {
  PlainSocket long_frame = PlainSocket::To(door_->port());
  Bytes header;
  Writer writer(&header);
  writer.U32(bus::kHelloBytesMax + 1);
  writer.U32(0);
  long_frame.Send(header);
  PlainSocket no_hello = PlainSocket::To(door_->port());
  no_hello.SendFrame("good morning");
  PlainSocket a_client = PlainSocket::To(door_->port());
  a_client.Send("*1\r\n$4\r\nPING\r\n");
  ASSERT_TRUE(Run([&] { return long_frame.Ended() && no_hello.Ended() && a_client.Ended(); }));
  EXPECT_TRUE(two_.up.empty());
  EXPECT_TRUE(two_.frames.empty());
}

TEST_F(PeersTest, WhoeverDoesNotSayHelloInTimeIsPutOut) {
  const std::vector<Bytes> addresses{"127.0.0.1"};
  PeerDoor hasty(&loop_, &two_, /*handshake_us=*/20 * kUsPerMs);
  ASSERT_TRUE(hasty.Listen(addresses, 0, 16).ok());
  PlainSocket silent = PlainSocket::To(hasty.port());
  ASSERT_TRUE(Run([&] { return silent.Ended(); }));
}

TEST_F(PeersTest, MoreConnectionsThanANodeCanHavePeersAreNotTaken) {
  std::vector<PlainSocket> sockets;
  for (size_t i = 0; i < PeerDoor::kConnectionsMax + 10; ++i) {
    sockets.push_back(PlainSocket::To(door_->port()));
    RunTurns(1);
  }
  ASSERT_TRUE(Run([&] { return sockets.back().Ended(); }));
  EXPECT_FALSE(sockets.front().Ended());
}

TEST_F(PeersTest, APeerThatDoesNotReadCostsABoundedQueueAndThenItsLink) {
  uint16_t port = 0;
  PlainSocket listener = PlainSocket::Listening(&port);
  links_->SetPeers({{NodeId{2}, "127.0.0.1", port}});
  std::vector<PlainSocket> accepted;
  ASSERT_TRUE(Run([&] {
    PlainSocket next = listener.Accept();
    if (next.valid()) accepted.push_back(std::move(next));
    return accepted.size() == 2;
  }));
  for (PlainSocket& socket : accepted) {
    ASSERT_TRUE(Run([&] { return FirstBody(socket.Receive()).has_value(); }));
    const auto hello = bus::DecodeHello(*FirstBody(socket.Receive()));
    ASSERT_TRUE(hello.ok());
    Bytes body;
    Writer writer(&body);
    bus::EncodeHelloReply(bus::AnswerHello(two_.me, *hello), &writer);
    socket.SendFrame(body);
  }
  ASSERT_TRUE(Run([&] { return one_.up.size() == 2; }));

  const Bytes megabyte = Frame(Bytes(size_t{1} << 20, 'x'));
  size_t sent = 0;
  while (one_.down.empty() && sent < 200) {
    links_->Send({NodeId{2}, bus::Lane::kControl, megabyte});
    ++sent;
  }
  EXPECT_EQ(one_.down, std::vector{NodeId{2}});
  // Up to the limit it was kept; beyond that, and what the kernel holds, it was not.
  EXPECT_GT(sent, kControlUnsentBytesMax >> 20);
  EXPECT_LT(sent, size_t{100});
}

TEST_F(PeersTest, APeerThatSpeaksOnALinkThatIsNotItsOwnIsCutOff) {
  uint16_t port = 0;
  PlainSocket listener = PlainSocket::Listening(&port);
  links_->SetPeers({{NodeId{2}, "127.0.0.1", port}});
  PlainSocket accepted;
  ASSERT_TRUE(Run([&] {
    if (!accepted.valid()) accepted = listener.Accept();
    return accepted.valid() && FirstBody(accepted.Receive()).has_value();
  }));
  const auto hello = bus::DecodeHello(*FirstBody(accepted.Receive()));
  ASSERT_TRUE(hello.ok());
  Bytes body;
  Writer writer(&body);
  bus::EncodeHelloReply(bus::AnswerHello(two_.me, *hello), &writer);
  accepted.SendFrame(body);
  accepted.SendFrame("and another thing");
  ASSERT_TRUE(Run([&] { return accepted.Ended(); }));
  EXPECT_TRUE(one_.frames.empty());
}

TEST_F(PeersTest, APeerThatIsCutMustShakeHandsAgain) {
  DialAndWait();
  door_->Cut(NodeId{1});
  ASSERT_TRUE(Run([&] { return one_.down.size() == 2; }));
  ASSERT_TRUE(Run([&] { return two_.up.size() == 4; }));
  links_->Cut(NodeId{2});
  ASSERT_TRUE(Run([&] { return two_.up.size() == 6; }));
}

}  // namespace
}  // namespace lockstep::io
