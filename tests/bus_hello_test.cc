// Who may talk with whom, and what a stranger learns.
#include "cluster/bus/hello.h"

#include <gtest/gtest.h>

namespace lockstep::bus {
namespace {

constexpr ClusterId kCluster{0x00c0ffee};
constexpr ClusterId kOtherCluster{0xbad};

Identity Node(uint64_t id, ClusterId cluster = kCluster) {
  Identity identity;
  identity.cluster = cluster;
  identity.node = NodeId{id};
  identity.disk = DiskId{1000 + id};
  identity.incarnation = 7;
  identity.server_version = "1.0.0";
  identity.host = "n" + std::to_string(id) + ".example";
  identity.client_port = static_cast<uint16_t>(6378 + id);
  identity.bus_host = "bus" + std::to_string(id) + ".example";
  identity.bus_port = static_cast<uint16_t>(16378 + id);
  return identity;
}

Bytes Encoded(const Hello& hello) {
  Bytes out;
  Writer writer(&out);
  EncodeHello(hello, &writer);
  return out;
}
Bytes Encoded(const HelloReply& reply) {
  Bytes out;
  Writer writer(&out);
  EncodeHelloReply(reply, &writer);
  return out;
}

// What node 2 says to `hello`; empty: welcome.
Bytes Refusal(const Hello& hello, const Identity& me = Node(2)) {
  const Result<void> verdict = CheckHello(me, hello);
  return verdict ? Bytes() : verdict.error().message;
}

TEST(HelloTest, AMemberIsWelcome) {
  const Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kBulk);
  EXPECT_EQ(Refusal(hello), "");
  const HelloReply reply = AnswerHello(Node(2), hello);
  EXPECT_TRUE(reply.ok);
  EXPECT_EQ(reply.from, NodeId{2});
  EXPECT_EQ(reply.disk, DiskId{1002});
  EXPECT_EQ(reply.cluster, kCluster);
  EXPECT_EQ(reply.protocol, kProtocolMax);
  EXPECT_TRUE(CheckHelloReply(Node(1), NodeId{2}, reply).ok());
}

TEST(HelloTest, ANodeThatHasFormedNothingYetMayTalkWithAnyone) {
  const ClusterId none{0};
  EXPECT_EQ(Refusal(MakeHello(Node(1, none), NodeId{2}, Lane::kControl)), "");
  EXPECT_EQ(Refusal(MakeHello(Node(1), NodeId{2}, Lane::kControl), Node(2, none)), "");
  EXPECT_EQ(Refusal(MakeHello(Node(1, none), NodeId{2}, Lane::kControl), Node(2, none)), "");
}

TEST(HelloTest, AnotherClustersNodeLearnsNothing) {
  // Wrong in every way: still the cluster is what it is told, and nothing of ours.
  Hello hello = MakeHello(Node(2, kOtherCluster), NodeId{3}, Lane::kControl);
  hello.protocol_min = 99;
  const HelloReply reply = AnswerHello(Node(2), hello);
  HelloReply nothing_revealed;
  nothing_revealed.reason =
      "this is a node of another cluster; check the address and the data folder";
  EXPECT_EQ(reply, nothing_revealed);
}

TEST(HelloTest, AHelloForAnotherNodeIsToldWhoIsHere) {
  EXPECT_EQ(Refusal(MakeHello(Node(1), NodeId{3}, Lane::kControl)),
            "this is node 2 of cluster 00c0ffee, not node 3");
}

TEST(HelloTest, TheClusterIsNamedOnlyToWhoHasNamedIt) {
  EXPECT_EQ(Refusal(MakeHello(Node(1, ClusterId{0}), NodeId{3}, Lane::kControl)),
            "this is node 2, not node 3");
}

TEST(HelloTest, ANodeThatDialsItselfIsTold) {
  EXPECT_EQ(Refusal(MakeHello(Node(2), NodeId{2}, Lane::kControl)), "node 2 has dialled itself");
}

TEST(HelloTest, TwoNodesWithOneNumberAreTold) {
  Hello hello = MakeHello(Node(2), NodeId{2}, Lane::kControl);
  hello.disk = DiskId{5};
  EXPECT_EQ(Refusal(hello), "two nodes say that they are node 2");
}

TEST(HelloTest, ASecondProcessOfANodeThatIsHereIsRefusedInBothDirections) {
  Identity me = Node(2);
  me.present = {{NodeId{1}, DiskId{1001}}, {NodeId{3}, DiskId{1003}}};
  Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  EXPECT_EQ(Refusal(hello, me), "");
  hello.disk = DiskId{5};
  EXPECT_EQ(Refusal(hello, me),
            "node 1 is here already, with another data folder; if that one is gone, this one is "
            "let in when it has not been heard for node-timeout");
  EXPECT_EQ(Refusal(hello, Node(2)), "");

  HelloReply reply = AnswerHello(Node(3), MakeHello(me, NodeId{3}, Lane::kControl));
  EXPECT_TRUE(CheckHelloReply(me, NodeId{3}, reply).ok());
  reply.disk = DiskId{5};
  EXPECT_FALSE(CheckHelloReply(me, NodeId{3}, reply).ok());
}

TEST(HelloTest, AFounderIsTakenForItsOwnByTheClusterThatItHasForgotten) {
  Identity founder = Node(2, kOtherCluster);
  founder.alone = true;
  const Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  EXPECT_TRUE(TakesUsForItsOwn(founder, hello));
  EXPECT_FALSE(AnswerHello(founder, hello).ok);

  EXPECT_FALSE(TakesUsForItsOwn(founder, MakeHello(Node(1), NodeId{3}, Lane::kControl)));
  EXPECT_FALSE(
      TakesUsForItsOwn(founder, MakeHello(Node(1, ClusterId{}), NodeId{2}, Lane::kControl)));
  EXPECT_FALSE(
      TakesUsForItsOwn(founder, MakeHello(Node(1, kOtherCluster), NodeId{2}, Lane::kControl)));
  founder.alone = false;  // It has a cluster of its own: an address is wrong somewhere.
  EXPECT_FALSE(TakesUsForItsOwn(founder, hello));
}

TEST(HelloTest, NodeNumbersOutOfRangeAreRefused) {
  Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  hello.from = NodeId{0};
  EXPECT_EQ(Refusal(hello), "node id 0 is out of range, 1 to 1000000");
  hello.from = NodeId{kNodeIdMax + 1};
  EXPECT_EQ(Refusal(hello), "node id 1000001 is out of range, 1 to 1000000");
}

TEST(HelloTest, TheHighestCommonVersionIsUsedOrNone) {
  Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  hello.protocol_max = kProtocolMax + 1;
  EXPECT_EQ(AnswerHello(Node(2), hello).protocol, kProtocolMax);
  hello.protocol_min = kProtocolMax + 1;
  EXPECT_EQ(Refusal(hello),
            "no common version of the bus protocol: you speak 12 to 12, this node 11 to 11");
  hello.protocol_min = 0;
  hello.protocol_max = kProtocolMin - 1;
  EXPECT_NE(Refusal(hello), "");
}

TEST(HelloTest, TheDiallerChecksWhoHasAnswered) {
  const Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  const HelloReply good = AnswerHello(Node(2), hello);
  const auto complaint = [](const HelloReply& reply) {
    const Result<void> verdict = CheckHelloReply(Node(1), NodeId{2}, reply);
    return verdict ? Bytes() : verdict.error().message;
  };
  EXPECT_EQ(complaint(good), "");

  HelloReply reply = good;
  reply.from = NodeId{3};
  EXPECT_EQ(complaint(reply), "the peer is node 3, not node 2");
  reply = good;
  reply.cluster = kOtherCluster;
  EXPECT_EQ(complaint(reply), "the peer is of cluster 00000bad, this node of 00c0ffee");
  reply = good;
  reply.protocol = kProtocolMax + 1;
  EXPECT_EQ(complaint(reply),
            "the peer chose version 12 of the bus protocol, this node speaks 11 to 11");
  reply = HelloReply();
  reply.reason = "go\naway";
  EXPECT_EQ(complaint(reply), "the peer refuses: go\\naway");
}

TEST(HelloTest, BothFormsComeBackAsTheyWere) {
  const Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kBulk);
  const auto hello_back = DecodeHello(Encoded(hello));
  ASSERT_TRUE(hello_back.ok());
  EXPECT_EQ(*hello_back, hello);

  for (const HelloReply& reply : {AnswerHello(Node(2), hello), AnswerHello(Node(3), hello)}) {
    const auto reply_back = DecodeHelloReply(Encoded(reply));
    ASSERT_TRUE(reply_back.ok());
    EXPECT_EQ(*reply_back, reply);
  }
}

TEST(HelloTest, FieldsThatALaterVersionAddsArePassedOver) {
  const Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  const auto back = DecodeHello(Encoded(hello) + "what comes after 1.0");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, hello);
}

// What a version said that did not know of bus_host and bus_port.
Bytes EncodedWithoutZone(const Hello& hello) {
  Bytes out = Encoded(hello);
  out.resize(out.size() - hello.zone.size() - 1);
  return out;
}
Bytes EncodedBefore(const Hello& hello) {
  Bytes out = EncodedWithoutZone(hello);
  Bytes last;
  Writer writer(&last);
  writer.String(hello.bus_host);
  writer.Varint(hello.bus_port);
  out.resize(out.size() - last.size());
  return out;
}

// So that it can be told that its version is too old.
TEST(HelloTest, AVersionThatDoesNotSayWhereItIsIsUnderstood) {
  Identity me = Node(1);
  me.zone = "rack 7";
  Hello hello = MakeHello(me, NodeId{2}, Lane::kControl);
  const auto without_zone = DecodeHello(EncodedWithoutZone(hello));
  const auto before = DecodeHello(EncodedBefore(hello));
  ASSERT_TRUE(without_zone.ok() && before.ok());
  EXPECT_EQ(*DecodeHello(Encoded(hello)), hello);
  hello.zone = Bytes();
  EXPECT_EQ(*without_zone, hello);
  hello.bus_host = Bytes();
  hello.bus_port = 0;
  EXPECT_EQ(*before, hello);
  HelloReply reply = AnswerHello(Node(2), MakeHello(me, NodeId{2}, Lane::kControl));
  reply.zone = Bytes();
  const Bytes whole = Encoded(reply);
  const auto answer = DecodeHelloReply(BytesView(whole).substr(0, whole.size() - 1));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(*answer, reply);
}

TEST(HelloTest, WhatIsCutShortIsRefused) {
  const Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  const Bytes whole = Encoded(hello);
  for (size_t size = 0; size < whole.size(); ++size) {
    if (size == EncodedBefore(hello).size() || size == EncodedWithoutZone(hello).size()) continue;
    EXPECT_FALSE(DecodeHello(BytesView(whole).substr(0, size)).ok()) << size;
  }
  const Bytes reply = Encoded(AnswerHello(Node(2), hello));
  for (size_t size = 0; size + 1 < reply.size(); ++size) {  // The last is its zone.
    EXPECT_FALSE(DecodeHelloReply(BytesView(reply).substr(0, size)).ok()) << size;
  }
}

TEST(HelloTest, AStrangeProtocolIsNamedByItsFirstBytes) {
  const auto hello = DecodeHello("GET / HTTP/1.1\r\n");
  ASSERT_FALSE(hello.ok());
  EXPECT_EQ(hello.error().message, "the other end is no Lockstep node: it begins with 20544547");
  // Nor is an answer a hello.
  EXPECT_FALSE(DecodeHello(Encoded(HelloReply())).ok());
  EXPECT_FALSE(DecodeHelloReply(Encoded(Hello())).ok());
}

TEST(HelloTest, TextsAreBoundedOnBothSides) {
  Identity talkative = Node(1);
  talkative.host = Bytes(100'000, 'h');
  talkative.server_version = Bytes(100'000, 'v');
  const Bytes body = Encoded(MakeHello(talkative, NodeId{2}, Lane::kControl));
  EXPECT_LE(body.size(), kHelloBytesMax);
  const auto hello = DecodeHello(body);
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(hello->host, Bytes(kHostBytesMax, 'h'));

  // One who does not keep the bound is refused: the last two fields of this hello are host and
  // port.
  Bytes longer = EncodedBefore(MakeHello(Node(1), NodeId{2}, Lane::kControl));
  longer.resize(longer.size() - Node(1).host.size() - 3);
  Writer writer(&longer);
  writer.String(Bytes(kHostBytesMax + 1, 'h'));
  writer.Varint(6379);
  EXPECT_FALSE(DecodeHello(longer).ok());
  longer = EncodedBefore(MakeHello(Node(1), NodeId{2}, Lane::kControl));
  writer.String(Bytes(kHostBytesMax + 1, 'h'));
  writer.Varint(16379);
  EXPECT_FALSE(DecodeHello(longer).ok());
}

TEST(HelloTest, UnknownLanesAndPortsAreRefused) {
  Hello hello = MakeHello(Node(1), NodeId{2}, Lane::kControl);
  hello.lane = static_cast<Lane>(2);
  EXPECT_FALSE(DecodeHello(Encoded(hello)).ok());
  hello.lane = Lane::kControl;
  Bytes body = EncodedBefore(hello);
  body.resize(body.size() - 2);  // The port.
  Writer(&body).Varint(65536);
  EXPECT_FALSE(DecodeHello(body).ok());
  body = EncodedBefore(hello);
  Writer writer(&body);
  writer.String("bus");
  writer.Varint(65536);
  EXPECT_FALSE(DecodeHello(body).ok());
}

}  // namespace
}  // namespace lockstep::bus
