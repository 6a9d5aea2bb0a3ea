// CLIENT TRACKING: by itself, with clients in memory; and of whole nodes, whose clients must hear
// of a change before whoever makes it is answered.
#include "src/tracking.h"

#include <gtest/gtest.h>

#include "tests/fake_host.h"
#include "tests/mesi_first_home.h"
#include "tests/node_fixture.h"

namespace lockstep {
namespace {

constexpr ClientId kAnn{1}, kBen{2}, kCat{3};

Reply Push(const char* kind, Reply what) {
  return Reply::Push().Add(Reply::Bulk(kind)).Add(std::move(what));
}
Reply Invalidate(std::vector<Bytes> keys) {
  Reply names = Reply::Array();
  for (Bytes& key : keys) names.Add(Reply::Bulk(std::move(key)));
  return Push("invalidate", std::move(names));
}

class TrackingTest : public ::testing::Test {
 protected:
  TrackingTest() {
    for (const ClientId id : {kAnn, kBen, kCat}) host_.Connect(id.value).protocol = 3;
  }
  Client& Of(ClientId id) { return *host_.FindClient(id); }
  void Track(ClientId id, TrackingOptions options = {}) {
    Of(id).tracking = true;
    Of(id).tracking_options = std::move(options);
    tracking_.Follow(Of(id));
  }
  static TrackingOptions With(bool TrackingOptions::*flag) {
    TrackingOptions options;
    options.*flag = true;
    return options;
  }
  void Redirect(ClientId id, ClientId to) {
    TrackingOptions options;
    options.redirect = to;
    Track(id, options);
  }
  void Broadcast(ClientId id, std::set<Bytes, std::less<>> prefixes, bool noloop = false) {
    TrackingOptions options;
    options.bcast = true;
    options.noloop = noloop;
    options.prefixes = std::move(prefixes);
    Track(id, options);
  }
  void Read(ClientId id, BytesView key) { tracking_.Remember(id, key, kNeverMono); }
  void Write(ClientId id, BytesView key) {
    tracking_.OnWritten(key);
    tracking_.Settle(id);
  }
  // What was pushed to the client since the last call, to anybody.
  std::vector<Reply> Pushed(ClientId id) {
    std::vector<Reply> to_it;
    for (auto& [to, push] : std::exchange(host_.pushed, {})) {
      if (to == id) to_it.push_back(std::move(push));
    }
    return to_it;
  }

  FakeHost host_;
  Outbox outbox_{NodeId{1}};
  Tracking tracking_{&host_, &outbox_};
};

using Pushes = std::vector<Reply>;

TEST_F(TrackingTest, AReaderIsToldOnceOfWhatAnotherWritesAndThenForgotten) {
  Track(kAnn);
  Read(kAnn, "k");
  EXPECT_EQ(tracking_.keys(), 1u);

  Write(kBen, "k");
  Write(kBen, "k");

  EXPECT_EQ(Pushed(kAnn), Pushes{Invalidate({"k"})});
  EXPECT_EQ(tracking_.keys(), 0u);
  EXPECT_EQ(tracking_.items(), 0u);
}

TEST_F(TrackingTest, WhatAClientWritesItselfItIsToldWhenItHasItsReply) {
  Track(kAnn);
  Read(kAnn, "k");
  Write(kAnn, "k");
  EXPECT_TRUE(Pushed(kAnn).empty());
  tracking_.TellWriter(kAnn);
  EXPECT_EQ(Pushed(kAnn), Pushes{Invalidate({"k"})});
}

TEST_F(TrackingTest, WithNoloopAClientHearsOfOthersWritesOnly) {
  Track(kAnn, With(&TrackingOptions::noloop));
  Read(kAnn, "mine");
  Read(kAnn, "theirs");
  Write(kAnn, "mine");
  tracking_.TellWriter(kAnn);
  EXPECT_TRUE(Pushed(kAnn).empty());
  Write(kBen, "theirs");
  EXPECT_EQ(Pushed(kAnn), Pushes{Invalidate({"theirs"})});
}

TEST_F(TrackingTest, OptinRemembersAfterYesOnlyAndOptoutAlwaysButAfterNo) {
  Client& ann = Of(kAnn);
  EXPECT_FALSE(Tracking::Remembers(ann));
  Track(kAnn, With(&TrackingOptions::optin));
  EXPECT_FALSE(Tracking::Remembers(ann));
  ann.tracking_options.caching = true;
  EXPECT_TRUE(Tracking::Remembers(ann));
  Track(kAnn, With(&TrackingOptions::optout));
  EXPECT_TRUE(Tracking::Remembers(ann));
  ann.tracking_options.caching = true;
  EXPECT_FALSE(Tracking::Remembers(ann));
}

TEST_F(TrackingTest, ASubscriberInResp2HearsForTheOneWhoRedirectsToIt) {
  Of(kBen).protocol = 2;
  Redirect(kAnn, kBen);
  Read(kAnn, "k");
  Write(kCat, "k");
  EXPECT_TRUE(Pushed(kBen).empty());  // It has subscribed to nothing: a message would be a reply.

  Of(kBen).channels.insert("any");
  Read(kAnn, "k");
  Write(kCat, "k");
  const Reply message = Push("message", Reply::Bulk("__redis__:invalidate"))
                            .Add(Reply::Array().Add(Reply::Bulk("k")));
  EXPECT_EQ(Pushed(kBen), Pushes{message});
}

TEST_F(TrackingTest, WhoRedirectsToAClientThatIsGoneIsToldSo) {
  Redirect(kAnn, kBen);
  Read(kAnn, "k");
  host_.clients.erase(kBen);
  Write(kCat, "k");
  EXPECT_EQ(Pushed(kAnn), Pushes{Push("tracking-redir-broken", Reply::Integer(2))});
}

TEST_F(TrackingTest, InResp2NobodyIsPushedAnything) {
  Of(kAnn).protocol = 2;
  Track(kAnn);
  Read(kAnn, "k");
  Write(kBen, "k");
  EXPECT_TRUE(Pushed(kAnn).empty());
}

TEST_F(TrackingTest, AFlushIsTheNilThatMeansAllAndForgetsAll) {
  Track(kAnn);
  Track(kBen);
  Read(kAnn, "k");
  tracking_.OnFlush();
  tracking_.Settle(kBen);
  EXPECT_EQ(Pushed(kAnn), Pushes{Push("invalidate", Reply::Nil())});
  tracking_.TellWriter(kBen);
  EXPECT_EQ(Pushed(kBen), Pushes{Push("invalidate", Reply::Nil())});
  EXPECT_EQ(tracking_.keys(), 0u);
}

TEST_F(TrackingTest, AboveTheLimitAKeyIsForgottenWithAPush) {
  tracking_.set_keys_max(2);
  Track(kAnn);
  for (const char* key : {"a", "b", "c", "d", "e"}) Read(kAnn, key);
  EXPECT_EQ(tracking_.keys(), 2u);
  EXPECT_EQ(Pushed(kAnn).size(), 3u);

  tracking_.set_keys_max(1);
  tracking_.Tick(host_.now);
  EXPECT_EQ(tracking_.keys(), 1u);
  EXPECT_EQ(Pushed(kAnn).size(), 1u);
}

TEST_F(TrackingTest, AKeyThatExpiresIsPushedThoughNobodyAsksForIt) {
  Track(kAnn);
  tracking_.Remember(kAnn, "k", host_.now + 10);
  tracking_.Tick(host_.now + 9);
  EXPECT_TRUE(Pushed(kAnn).empty());
  tracking_.Tick(host_.now + 10);
  EXPECT_EQ(Pushed(kAnn), Pushes{Invalidate({"k"})});
  tracking_.Tick(host_.now + 20);
  EXPECT_TRUE(Pushed(kAnn).empty());
}

TEST_F(TrackingTest, KeysThatAreLostAllAtOnceShareAPush) {
  Track(kAnn);
  Read(kAnn, "b");
  Read(kAnn, "a");
  tracking_.OnAllUnreadable(0);
  EXPECT_EQ(Pushed(kAnn), Pushes{Invalidate({"a", "b"})});
  EXPECT_EQ(tracking_.keys(), 0u);
}

TEST_F(TrackingTest, NothingIsPushedToWhoTracksNoMoreOrBroadcastsNow) {
  Track(kBen);
  Track(kAnn);
  Read(kAnn, "k");
  Broadcast(kAnn, {"x"});
  Write(kBen, "k");
  Of(kAnn).tracking = false;
  tracking_.Follow(Of(kAnn));
  Write(kBen, "x1");
  tracking_.Flush({});
  EXPECT_TRUE(host_.pushed.empty());
}

TEST_F(TrackingTest, WhenTheLastClientHasLeftNothingIsKept) {
  Track(kAnn);
  Read(kAnn, "k");
  Of(kAnn).tracking = false;
  tracking_.Follow(Of(kAnn));
  EXPECT_FALSE(tracking_.active());
  EXPECT_EQ(tracking_.keys() + tracking_.items(), 0u);
}

TEST_F(TrackingTest, ABroadcastNamesTheKeysOfAPrefixOnceATurn) {
  Broadcast(kAnn, {"a", "b"});
  for (const char* key : {"a2", "c", "a1", "b1", "a2"}) Write(kBen, key);
  EXPECT_TRUE(host_.pushed.empty());
  tracking_.Flush({});
  EXPECT_EQ(Pushed(kAnn), (Pushes{Invalidate({"a1", "a2"}), Invalidate({"b1"})}));
  tracking_.Flush({});
  EXPECT_TRUE(host_.pushed.empty());
  EXPECT_EQ(tracking_.prefixes(), 2u);
}

TEST_F(TrackingTest, WithNoloopABroadcastLeavesOutOnesOwnKeys) {
  Broadcast(kAnn, {""}, true);
  Write(kAnn, "mine");
  Write(kBen, "theirs");
  tracking_.Flush({});
  EXPECT_EQ(Pushed(kAnn), Pushes{Invalidate({"theirs"})});
}

TEST_F(TrackingTest, WhatMayHaveBeenMissedIsBroadcastAsAll) {
  Broadcast(kAnn, {"a"});
  Track(kBen);
  tracking_.OnGap();
  tracking_.Flush({});
  ASSERT_EQ(host_.pushed.size(), 1u);
  EXPECT_EQ(Pushed(kAnn), Pushes{Push("invalidate", Reply::Nil())});
}

TEST_F(TrackingTest, APeersWordThatMakesNoSenseIsRefused) {
  for (const Bytes& word : {Bytes(), Bytes("\x09"), Bytes("\x02\x05" "ab"), Bytes("\x01x")}) {
    Reader in(word);
    EXPECT_FALSE(tracking_.OnMessage(NodeId{2}, &in));
  }
}

// A home ------------------------------------------------------------------------------------------

struct Ear final : mesi::Home::Listener {
  void OnHeld(BytesView) override {}
  void OnServing() override {}
  void OnUnreadable(BytesView key) override { keys.emplace_back(key); }
  void OnAllUnreadable() override { ++lost; }
  std::vector<Bytes> keys;
  int lost = 0;
};

// One that is alone, and serves.
class HomeTracking : public ::testing::Test {
 protected:
  static constexpr MonoTime began{1'000'000};

  HomeTracking() {
    home.OnReportDone(NodeId{1});
    home.OnMajority(began, began);
    home.Tick(began);
  }

  Ear ear;
  mesi::Stats stats;
  mesi::Home home{mesi::FirstHome(NodeId{1}, began), &stats, &ear};
};

TEST_F(HomeTracking, WhatItDropsToMakeRoomOrSinceItsTimeIsOverIsNamed) {
  ASSERT_TRUE(home.Hold(began, "k", true));
  home.Put("k", nullptr, "v", {});
  EXPECT_TRUE(home.EvictOne(began));
  EXPECT_EQ(ear.keys, std::vector<Bytes>{"k"});

  home.Put("ends", nullptr, "v", began + 10);
  home.SweepExpired(began + 10);
  EXPECT_EQ(ear.keys, (std::vector<Bytes>{"k", "ends"}));
}

TEST_F(HomeTracking, WhatItHasIsUnreadableFromTheEndOfItsLeaseUntilItServesAgain) {
  ASSERT_TRUE(home.Hold(began, "k", false));
  for (int lapse = 1; lapse <= 2; ++lapse) {
    const MonoTime over = home.lease_until();
    EXPECT_LE(home.NextWakeup(), over);
    home.Tick(over + -1);
    EXPECT_EQ(ear.lost, lapse - 1);
    home.Tick(over);
    home.Tick(over + 1);
    EXPECT_EQ(ear.lost, lapse);
    home.OnMajority(over + 2, over + 2);
  }
}

// Whole nodes -------------------------------------------------------------------------------------

class NodeTrackingTest : public NodeFixture {
 protected:
  // The node that is no home of the key, and its home.
  void FormAround(const Bytes& key) {
    Form(3);
    cluster().Run(10'000);  // Until shards are led where the placement wants it.
    home_ = cluster().Leader(ShardGroup(ShardOfSlot(SlotOf(key), 2)));
    ASSERT_NE(home_, kNoNode);
    reader_ = cluster().OtherThan(home_);
    other_ = cluster().OtherThan(home_, reader_);
  }
  ClientId Resp3(NodeId to, const Bytes& options = "") {
    const ClientId id = cluster().Connect(to);
    EXPECT_TRUE(Has(cluster().Ask(id, "HELLO 3"), "proto"));
    EXPECT_EQ(cluster().Ask(id, "CLIENT TRACKING ON " + options), "+OK\r\n");
    return id;
  }
  static Bytes Invalid(const Bytes& key) {
    return Format(">2\r\n$10\r\ninvalidate\r\n*1\r\n$%zu\r\n%s\r\n", key.size(), key.c_str());
  }
  // That `client` has heard of the key when the write on `to` is answered.
  void WriteAndExpectPush(ClientId client, NodeId to, const Bytes& command, const Bytes& push) {
    const ClientId writer = cluster().Connect(to);
    cluster().Send(writer, command);
    Bytes heard, answered;
    for (int ms = 0; ms < 10'000 && answered.empty(); ++ms) {
      cluster().Run(1);
      answered = cluster().Take(writer);
      heard += cluster().Take(client);
      EXPECT_TRUE(answered.empty() || !heard.empty()) << command;
    }
    EXPECT_NE(answered, "");
    EXPECT_EQ(heard, push);
    cluster().Disconnect(writer);
  }

  NodeId home_, reader_, other_;
};

TEST_F(NodeTrackingTest, AReaderHearsOfAWriteOnAnyNodeBeforeItIsAnswered) {
  FormAround("k");
  for (const NodeId at : {reader_, home_}) {
    const ClientId client = Resp3(at);
    for (const NodeId to : {home_, other_, reader_}) {
      cluster().Ask(client, "GET k");
      WriteAndExpectPush(client, to, "SET k " + std::to_string(to.value), Invalid("k"));
      for (const char* change : {"PEXPIRE k 100000", "PERSIST k", "INCR k", "DEL k"}) {
        cluster().Ask(client, "GET k");
        WriteAndExpectPush(client, to, change, Invalid("k"));
      }
    }
    cluster().Disconnect(client);
  }
}

TEST_F(NodeTrackingTest, WhatOthersOnlyReadIsToldToNobody) {
  FormAround("k");
  cluster().Ask(other_, "SET k 1");
  const ClientId client = Resp3(reader_);
  EXPECT_EQ(cluster().Ask(client, "GET k"), "$1\r\n1\r\n");
  for (const NodeId to : {home_, other_, reader_}) cluster().Ask(to, "GET k");
  cluster().Run(5'000);
  EXPECT_EQ(cluster().Take(client), "");
  EXPECT_TRUE(Has(cluster().Ask(reader_, "INFO stats"), "tracking_total_keys:1\r\n"));
  EXPECT_TRUE(Has(cluster().Ask(reader_, "INFO clients"), "tracking_clients:1\r\n"));
}

TEST_F(NodeTrackingTest, WhoIsCutOffWithItsNodeHearsThatWhatItReadMayChange) {
  FormAround("k");
  cluster().Ask(other_, "SET k 1");
  const ClientId client = Resp3(reader_);
  cluster().Ask(client, "GET k");
  cluster().CutOff(reader_);
  WriteAndExpectPush(client, other_, "SET k 2", Invalid("k"));
}

TEST_F(NodeTrackingTest, ReadersAtAHomeThatIsCutOffHearBeforeTheNextHomeServes) {
  FormAround("k");
  cluster().Ask(home_, "SET k 1");
  const ClientId client = Resp3(home_);
  cluster().Ask(client, "GET k");
  cluster().CutOff(home_);
  Bytes heard;
  const ClientId writer = cluster().Connect(other_);
  Bytes answered = "-";
  for (int i = 0; i < 5 && StartsWith(answered, "-"); ++i) {
    answered = cluster().Ask(writer, "SET k 2");
    heard += cluster().Take(client);
    EXPECT_TRUE(answered != "+OK\r\n" || !heard.empty());
  }
  EXPECT_EQ(answered, "+OK\r\n");
  EXPECT_EQ(heard, Invalid("k"));
}

TEST_F(NodeTrackingTest, ReadersAtAHomeThatHandsOverHear) {
  FormAround("k");
  const ClientId client = Resp3(home_);
  cluster().Ask(client, "GET k");
  const uint64_t shard = ShardOfSlot(SlotOf("k"), 2);
  cluster().Ask(home_, Format("CLUSTER LEADER shard-%lu %lu", shard, other_.value));
  ASSERT_TRUE(cluster().RunUntil([&] { return cluster().Leader(ShardGroup(shard)) == other_; }));
  EXPECT_EQ(cluster().Take(client), Invalid("k"));
}

TEST_F(NodeTrackingTest, OnesOwnWriteIsToldBehindItsReplyAndNotWithNoloop) {
  FormAround("k");
  for (const NodeId at : {reader_, home_}) {
    const ClientId client = Resp3(at);
    cluster().Ask(client, "GET k");
    for (int held = 0; held < 2; ++held) {
      EXPECT_EQ(cluster().Ask(client, "SET k 1"), "+OK\r\n" + Invalid("k"));
      cluster().Ask(client, "GET k");
    }
    EXPECT_TRUE(Has(cluster().Ask(client, "MULTI\r\nGET k\r\nSET k 2\r\nEXEC"),
                    "*2\r\n$1\r\n1\r\n+OK\r\n" + Invalid("k")));
    const ClientId quiet = Resp3(at, "NOLOOP");
    cluster().Ask(quiet, "GET k");
    EXPECT_EQ(cluster().Ask(quiet, "SET k 3"), "+OK\r\n");
    cluster().Ask(quiet, "MULTI\r\nSET k 2\r\nGET k\r\nEXEC");
    WriteAndExpectPush(quiet, other_, "SET k 4", Invalid("k"));
  }
}

TEST_F(NodeTrackingTest, OptinIsAboutTheNextCommandThoughItWaitsForItsKey) {
  FormAround("k");
  const ClientId client = Resp3(reader_, "OPTIN");
  cluster().Ask(client, "GET k");
  cluster().Ask(other_, "SET k 1");
  EXPECT_EQ(cluster().Take(client), "");

  EXPECT_EQ(cluster().Ask(client, "CLIENT CACHING YES"), "+OK\r\n");
  EXPECT_EQ(cluster().Ask(client, "GET k"), "$1\r\n1\r\n");
  WriteAndExpectPush(client, other_, "SET k 2", Invalid("k"));
  cluster().Ask(client, "GET k");
  cluster().Ask(other_, "SET k 3");
  EXPECT_EQ(cluster().Take(client), "");

  cluster().Ask(client, "CLIENT CACHING YES");
  cluster().Ask(client, "PING");
  cluster().Ask(client, "GET k");
  cluster().Ask(other_, "SET k 4");
  EXPECT_EQ(cluster().Take(client), "");

  cluster().Ask(client, "CLIENT CACHING YES\r\nMULTI\r\nGET k\r\nEXEC");
  cluster().Run(100);
  cluster().Take(client);
  WriteAndExpectPush(client, other_, "SET k 5", Invalid("k"));
}

TEST_F(NodeTrackingTest, OptoutLeavesOutTheCommandAfterNo) {
  FormAround("k");
  const ClientId client = Resp3(reader_, "OPTOUT");
  cluster().Ask(client, "CLIENT CACHING NO");
  cluster().Ask(client, "GET k");
  cluster().Ask(other_, "SET k 1");
  EXPECT_EQ(cluster().Take(client), "");
  cluster().Ask(client, "GET k");
  WriteAndExpectPush(client, other_, "SET k 2", Invalid("k"));
}

TEST_F(NodeTrackingTest, AResp2SubscriberHearsForTheConnectionThatReads) {
  FormAround("k");
  const ClientId ear = cluster().Connect(reader_);
  const ClientId reads = cluster().Connect(reader_);
  cluster().Ask(ear, "SUBSCRIBE __redis__:invalidate");
  EXPECT_EQ(cluster().Ask(reads, Format("CLIENT TRACKING ON REDIRECT %lu", ear.value)), "+OK\r\n");
  cluster().Ask(reads, "GET k");
  WriteAndExpectPush(ear, other_, "SET k 1",
                     "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n");

  cluster().Ask(reads, "HELLO 3");
  cluster().Ask(reads, "GET k");
  cluster().Disconnect(ear);
  WriteAndExpectPush(reads, other_, "SET k 2",
                     Format(">2\r\n$21\r\ntracking-redir-broken\r\n:%lu\r\n", ear.value));
}

TEST_F(NodeTrackingTest, AKeyThatExpiresIsPushedToItsReaders) {
  FormAround("k");
  cluster().Ask(other_, "SET k 1 PX 3000");
  const ClientId client = Resp3(reader_);
  EXPECT_EQ(cluster().Ask(client, "GET k"), "$1\r\n1\r\n");
  cluster().Run(3'500);
  EXPECT_EQ(cluster().Take(client), Invalid("k"));
}

TEST_F(NodeTrackingTest, ABroadcastComesFromWhicheverNodeWrites) {
  FormAround("k");
  const ClientId client = Resp3(reader_, "BCAST PREFIX k PREFIX z");
  cluster().Run(10);
  for (const NodeId to : {home_, other_, reader_}) {
    cluster().Ask(to, "SET k " + std::to_string(to.value));
    cluster().Ask(to, "SET y 1");
    cluster().Run(10);
    EXPECT_TRUE(Has(cluster().Take(client), Invalid("k")));
  }
  // What was read through this node is told before the write is answered.
  cluster().Ask(client, "GET k");
  const ClientId writer = cluster().Connect(other_);
  cluster().Send(writer, "SET k 9");
  Bytes heard;
  EXPECT_TRUE(cluster().RunUntil([&] { return !(heard += cluster().Take(client)).empty(); }));
  EXPECT_EQ(cluster().Take(writer), "");
  EXPECT_EQ(heard, Invalid("k"));
}

TEST_F(NodeTrackingTest, WhatABrokenLinkMayHaveLostIsBroadcastAsAll) {
  FormAround("k");
  const ClientId client = Resp3(reader_, "BCAST");
  cluster().Run(10);
  EXPECT_EQ(cluster().Take(client), "");
  cluster().BreakLink(other_, reader_);
  cluster().Run(10);
  EXPECT_TRUE(Has(cluster().Take(client), ">2\r\n$10\r\ninvalidate\r\n_\r\n"));
}

TEST_F(NodeTrackingTest, ANodeThatStartsLaterHearsWhoWantsBroadcasts) {
  FormAround("k");
  cluster().Kill(other_);
  const ClientId client = Resp3(reader_, "BCAST");
  cluster().Run(10);
  cluster().Start(other_);
  cluster().Run(10'000);
  cluster().Take(client);
  EXPECT_EQ(cluster().Ask(other_, "SET k 1"), "+OK\r\n");
  cluster().Run(10);
  EXPECT_TRUE(Has(cluster().Take(client), Invalid("k")));
}

TEST_F(NodeTrackingTest, AfterTheLastBroadcastClientHasLeftNoNodeIsToldOfKeys) {
  FormAround("k");
  const ClientId client = Resp3(reader_, "BCAST");
  cluster().Run(10);
  cluster().Disconnect(client);
  cluster().Run(10);
  size_t told = 0;
  cluster().Lose([&](NodeId, NodeId, const bus::EnvelopeHeader& header) {
    told += header.type == bus::MessageType::kTracking ? 1 : 0;
    return false;
  });
  for (const NodeId to : {home_, other_}) cluster().Ask(to, "SET k 1");
  cluster().Run(10);
  EXPECT_EQ(told, 0u);
}

}  // namespace
}  // namespace lockstep
