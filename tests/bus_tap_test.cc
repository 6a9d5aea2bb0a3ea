// DEBUG BUS TAP: each message between nodes as a line of JSON, for people who watch.
#include "src/bus_tap.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/forwarding.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

template <class Encode>
Json Described(bus::MessageType type, Encode encode) {
  Bytes body;
  Writer out(&body);
  bus::EncodeHeader({type, NodeId{2}, Term{7}, GroupId{1}}, &out);
  encode(&out);
  const Bytes line = DescribeMessage(NodeId{3}, body, true);
  EXPECT_EQ(line.find('\n'), Bytes::npos);
  return Json::parse(line);
}

Json Described(const raft::Body& body) {
  return Described(bus::MessageType::kRaft, [&](Writer* out) { raft::EncodeBody(body, out); });
}

TEST(BusTapTest, EveryMessageSaysFromWhomToWhomInWhichTermAndGroup) {
  const Json message = Described(bus::MessageType::kPing, [](Writer*) {});
  EXPECT_EQ(message["type"], "ping");
  EXPECT_EQ(message["sender"], 2);
  EXPECT_EQ(message["term"], 7);
  EXPECT_EQ(message["direction"], "out");
  EXPECT_EQ(message["data"], Json({{"bytes", 0}, {"group", 1}, {"to", 3}}));
}

TEST(BusTapTest, ARaftMessageIsNamedByItsOwnTypeAndShowsWhatItDecidesBy) {
  const raft::LogId last{Term{6}, Index{9}};
  const Json vote = Described(raft::VoteRequest{true, false, last});
  EXPECT_EQ(vote["type"], "vote");
  EXPECT_EQ(vote["data"]["pre"], true);
  EXPECT_EQ(vote["data"]["last"], Json({{"term", 6}, {"index", 9}}));
  EXPECT_EQ(Described(raft::VoteReply{false, true})["data"]["granted"], true);

  raft::AppendRequest append{last, Index{8}, {100}, {}};
  append.entries.push_back({{Term{6}, Index{10}}, {99}, raft::EntryKind::kOp, "secret"});
  const Json appended = Described(append)["data"];
  EXPECT_EQ(appended["commit"], 8);
  EXPECT_EQ(appended["entries"][0]["bytes"], 6);
  EXPECT_EQ(appended.dump().find("secret"), Bytes::npos) << "what clients wrote is not shown";
  EXPECT_EQ(Described(raft::AppendReply{false, Index{4}, last, Index{9}})["data"]["match"], 4);
  EXPECT_EQ(Described(raft::HeartbeatRequest{Index{3}, 5, {6}})["data"]["read"], 5);
  EXPECT_EQ(Described(raft::HeartbeatReply{5})["data"]["read"], 5);
  EXPECT_EQ(Described(raft::TimeoutNow{})["type"], "timeout-now");

  raft::SnapshotChunk chunk;
  chunk.config.voters = {{NodeId{1}, DiskId{4}}, {NodeId{2}, DiskId{5}}};
  chunk.total = 10;
  chunk.data = "abc";
  const Json piece = Described(chunk)["data"];
  EXPECT_EQ(piece["bytes"], 3);
  EXPECT_EQ(piece["total"], 10);
  EXPECT_EQ(piece["voters"], Json({1, 2}));
  EXPECT_EQ(Described(raft::SnapshotReply{last, 3, true, {}})["data"]["installed"], true);
}

TEST(BusTapTest, HeartbeatsOfAllGroupsAreShownEach) {
  const Json message = Described(bus::MessageType::kHeartbeats, [](Writer* out) {
    out->Varint(2);
    for (const uint64_t group : {uint64_t{0}, uint64_t{1}}) {
      out->Put(GroupId{group});
      out->Put(Term{7});
      raft::EncodeBody(raft::HeartbeatReply{group}, out);
    }
  });
  const Json& beats = message["data"]["beats"];
  ASSERT_EQ(beats.size(), 2u);
  EXPECT_EQ(beats[1]["group"], 1);
  EXPECT_EQ(beats[1]["type"], "heartbeat-reply");
  EXPECT_EQ(beats[1]["read"], 1);
}

TEST(BusTapTest, ForwardedRequestsAndAnswersAreShownByNumberAndSize) {
  Forward forward;
  forward.stream = 4;
  forward.position = 5;
  forward.requests.resize(1);
  forward.requests[0].kind = Forward::Kind::kRead;
  forward.requests[0].seq = 6;
  forward.requests[0].op = "query";
  const Json asked = Described(bus::MessageType::kForward,
                               [&](Writer* out) { EncodeForward(forward, out); })["data"];
  EXPECT_EQ(asked["requests"], Json::array({{{"seq", 6}, {"read", true}, {"bytes", 5}}}));
  EXPECT_EQ(asked["position"], 5);

  ForwardAnswer answer;
  answer.taken = 6;
  answer.answers.push_back({6, Reply::Ok()});
  const Json told = Described(bus::MessageType::kAnswer,
                              [&](Writer* out) { EncodeForwardAnswer(answer, out); })["data"];
  EXPECT_EQ(told["answers"], Json({6}));
  EXPECT_EQ(told["taken"], 6);
}

TEST(BusTapTest, APublishedMessageShowsItsChannelAndNotItsText) {
  const Json message = Described(bus::MessageType::kPublish, [](Writer* out) {
    out->Bool(true);
    out->String("ch\n\xff");
    out->String("text");
  });
  EXPECT_EQ(message["data"]["channel"], "ch\\n\\xff");
  EXPECT_EQ(message["data"]["shard"], true);
  EXPECT_EQ(message.dump().find("text"), Bytes::npos);
}

TEST(BusTapTest, WhatDoesNotDecodeIsSaidToBeDamaged) {
  for (const bus::MessageType type : {bus::MessageType::kRaft, bus::MessageType::kHeartbeats,
                                      bus::MessageType::kForward, bus::MessageType::kAnswer}) {
    const Json message = Described(type, [](Writer* out) { out->Raw("\x01\xff\xff\xff"); });
    EXPECT_EQ(message["data"]["damaged"], true) << bus::TypeName(type);
    EXPECT_EQ(message["sender"], 2);
  }
  EXPECT_TRUE(Json::parse(DescribeMessage(NodeId{3}, "\xff", false)).contains("damaged"));
}

using TappedNodeTest = NodeFixture;

TEST_F(TappedNodeTest, AClientThatTapsSeesBothDirectionsUntilItStops) {
  Form(3, "enable-debug-command yes\n");
  const ClientId client = cluster().Connect(leader_);
  EXPECT_TRUE(cluster().Ask(client, "DEBUG BUS TAP ON").starts_with("+OK\r\n"));
  cluster().Run(500);
  const Bytes seen = cluster().Take(client);
  EXPECT_TRUE(Has(seen, "\"direction\":\"in\"")) << seen.substr(0, 500);
  EXPECT_TRUE(Has(seen, "\"direction\":\"out\"")) << seen.substr(0, 500);

  cluster().Send(client, "DEBUG BUS TAP OFF");
  cluster().Run(10);
  EXPECT_TRUE(cluster().Take(client).ends_with("+OK\r\n"));
  cluster().Run(500);
  EXPECT_EQ(cluster().Take(client), "");
}

TEST_F(TappedNodeTest, ATapEndsWithItsConnection) {
  Form(3, "enable-debug-command yes\n");
  const ClientId client = cluster().Connect(leader_);
  ASSERT_TRUE(cluster().Ask(client, "DEBUG BUS TAP ON").starts_with("+OK\r\n"));
  cluster().Disconnect(client);
  cluster().Run(500);
  EXPECT_EQ(cluster().Ask(leader_, "PING"), "+PONG\r\n");
}

}  // namespace
}  // namespace lockstep
