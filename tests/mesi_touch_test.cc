// What a cache tells a home that evicts of what it reads: when, what, how much at most, and that it
// counts there.
#include <functional>

#include "cluster/mesi/home.h"
#include "src/base/limits.h"
#include "tests/mesi_agent_alone.h"
#include "tests/mesi_first_home.h"

namespace lockstep::mesi {
namespace {

// The cache's side --------------------------------------------------------------------------------

struct Clients final : Home::Listener, Agent::Listener {
  void OnHeld(BytesView key) override {
    if (on_held) on_held(key);
  }
  void OnServing() override {}
  void OnLost() override {}
  void OnUnreadable(BytesView) override {}
  void OnAllUnreadable() override {}
  std::function<void(BytesView)> on_held;
};

class MesiTouchAgent : public AgentAlone<Clients> {
 protected:
  MesiTouchAgent() { (void)agent.TakeAsk(); }

  void Give(bool wants_touches) {
    agent.OnGive(now, {.shard = ShardGroup(0),
                       .epoch = Term{1},
                       .session = agent.session(),
                       .sent = now,
                       .length_us = 60 * kUsPerSecond,
                       .wants_touches = wants_touches});
  }
  void Has(BytesView key, bool owned = false) {
    EXPECT_FALSE(agent.Hold(now, key, owned));
    Message data{.type = owned ? MessageType::kDataX : MessageType::kDataS, .key = key};
    data.gen = owned ? 7 : 0;
    data.payload = Payload{.version = {1, 7, 0}, .present = true, .value = "v"};
    Say(data, now);
    EXPECT_TRUE(agent.Hold(now, key, owned));
  }
  // What the next ask names.
  std::vector<Bytes> Touches() {
    now = now + kUsPerSecond;
    agent.Tick(now);
    const std::optional<LeaseAsk> ask = agent.TakeAsk();
    EXPECT_TRUE(ask.has_value());
    return ask ? ask->touches : std::vector<Bytes>{"no ask"};
  }

  MonoTime now = kNow;
};

TEST_F(MesiTouchAgent, WhatIsReadIsNamedInTheNextAskAndOnce) {
  Has("k");
  Has("other");
  Give(true);
  for (int i = 0; i < 3; ++i) agent.NoteRead("k");
  EXPECT_EQ(Touches(), std::vector<Bytes>{"k"});
  EXPECT_EQ(Touches(), std::vector<Bytes>{});
}

TEST_F(MesiTouchAgent, AHomeThatDoesNotEvictIsToldNothing) {
  Has("k");
  agent.NoteRead("k");
  EXPECT_EQ(Touches(), std::vector<Bytes>{});
  Give(true);
  agent.NoteRead("k");
  Give(false);
  agent.NoteRead("k");
  EXPECT_EQ(Touches(), std::vector<Bytes>{});
}

TEST_F(MesiTouchAgent, OnlyWhatTheHomeCannotKnowIsNamed) {
  Has("owned", true);
  EXPECT_FALSE(agent.Hold(now, "asked for", false));
  Give(true);
  for (const BytesView key : {"owned", "asked for", "not here"}) agent.NoteRead(key);
  EXPECT_EQ(Touches(), std::vector<Bytes>{});
}

TEST_F(MesiTouchAgent, WhatTheHomeBeforeWantedToKnowTheNextIsNotTold) {
  Has("k");
  Give(true);
  agent.NoteRead("k");
  agent.Follow(now, NodeId{3}, Term{2}, false);
  EXPECT_EQ(agent.TakeAsk().value().touches, std::vector<Bytes>{});
}

TEST_F(MesiTouchAgent, AnAskNamesSoManyAtMost) {
  Give(true);
  for (size_t i = 0; i < kTouchesMax + 5; ++i) {
    const Bytes key = "key" + std::to_string(i);
    Has(key);
    agent.NoteRead(key);
  }
  EXPECT_EQ(Touches().size(), kTouchesMax);
  agent.NoteRead("key3");
  EXPECT_EQ(Touches(), std::vector<Bytes>{"key3"}) << "there is room again";
}

TEST_F(MesiTouchAgent, AndSoManyBytesOfKeys) {
  const auto named = [](char letter, size_t size) { return Bytes(size, letter); };
  const std::vector<Bytes> keys = {named('a', kTouchBytesMax / 2), named('b', kTouchBytesMax / 2),
                                   "c", named('d', kNameBytesMax)};
  for (const Bytes& key : keys) Has(key);
  Give(true);
  for (const Bytes& key : keys) agent.NoteRead(key);
  EXPECT_EQ(Touches(), (std::vector<Bytes>{keys[0], keys[1]}));
  agent.NoteRead(keys[3]);
  EXPECT_EQ(Touches(), std::vector<Bytes>{keys[3]}) << "no key is too long";
}

// The home's side ---------------------------------------------------------------------------------

constexpr NodeId kHomeNode{1};
constexpr NodeId kCacheNode{2};

// With a cache, which names what it is told to.
class MesiTouchHome : public ::testing::Test {
 protected:
  MesiTouchHome() {
    home.lines().set_classes(&classes);
    home.OnReportDone(kHomeNode);
    home.OnMajority(now, now);
    home.Tick(now);
    home.SetIncarnations({{kCacheNode, 7}});
    agent.SetIncarnation(now, 7);
    agent.Follow(now, kHomeNode, Term{1}, false);
    EXPECT_FALSE(Asks());
  }
  // A second later. Whether the home wants to be told more.
  bool Asks() {
    now = now + kUsPerSecond;
    home.OnMajority(now, now);
    agent.Tick(now);
    Settle();
    const std::optional<LeaseAsk> ask = agent.TakeAsk();
    EXPECT_TRUE(ask.has_value());
    home.OnAsk(now, kCacheNode, ask.value());
    const auto gives = home.TakeGives();
    EXPECT_EQ(gives.size(), 1u);
    for (const auto& [to, give] : gives) agent.OnGive(now, give);
    return gives.back().second.wants_touches;
  }
  void Settle() {
    while (agent.HasNews() || home.HasNews()) {
      while (agent.HasNews()) {
        const Bytes frame = FrameOf(agent.channel());
        Reader in(frame);
        ASSERT_TRUE(home.OnFrame(now, kCacheNode, agent.session(), &in));
      }
      home.Flush([&](const Home::ToCache& to) {
        const Bytes frame = FrameOf(to.channel);
        Reader in(frame);
        EXPECT_TRUE(agent.OnFrame(now, agent.session(), &in));
      });
    }
  }
  Bytes FrameOf(Channel* channel) {
    Bytes frame;
    Writer out(&frame);
    channel->Flush(now, &out, 1 << 20);
    return frame;
  }
  void Reads(BytesView key) {
    if (agent.Hold(now, key, false)) return;
    Settle();
    ASSERT_TRUE(agent.Hold(now, key, false));
  }
  void Evict() {
    ASSERT_TRUE(home.EvictOne(now));
    Settle();
  }
  void EvictUnshared() {
    home.Put("unshared", nullptr, "v", {});
    Evict();
    ASSERT_FALSE(IsThere("unshared"));
  }
  bool IsThere(BytesView key) { return home.lines().Find(key) != nullptr; }

  MonoTime now = kNow;
  Clients clients;
  Stats stats;
  LineClasses classes;
  Home home{FirstHome(kHomeNode, kNow), &stats, &clients};
  Agent agent{{.self = kCacheNode, .shard = ShardGroup(0), .times = {}}, &stats, &clients};
};

TEST_F(MesiTouchHome, TouchesAreWantedForTenSecondsFromAnEviction) {
  for (const BytesView key : {"goes", "stays"}) Reads(key);
  EXPECT_FALSE(Asks());
  Evict();
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(Asks()) << i;
  EXPECT_FALSE(Asks());
  EvictUnshared();
  EXPECT_TRUE(Asks());
}

TEST_F(MesiTouchHome, WhatItsReadersNameStaysAndWhatTheyReadWithoutAWordGoes) {
  EvictUnshared();
  for (const BytesView key : {"named", "silent"}) Reads(key);
  ASSERT_TRUE(Asks());
  for (const BytesView key : {"named", "silent"}) Reads(key);
  agent.NoteRead("named");
  ASSERT_TRUE(Asks());
  EXPECT_EQ(stats.touches, 1u);
  Evict();
  EXPECT_TRUE(IsThere("named"));
  EXPECT_FALSE(IsThere("silent"));
  Evict();
  EXPECT_FALSE(IsThere("named")) << "that was before the other one went";
}

TEST_F(MesiTouchHome, ALineOfAnLruClassIsUsedAgainToo) {
  classes.of = [](BytesView) { return uint8_t{1}; };
  classes.lru = 1 << 1;
  EvictUnshared();
  for (const BytesView key : {"named", "silent"}) Reads(key);
  ASSERT_TRUE(Asks());
  agent.NoteRead("named");
  ASSERT_TRUE(Asks());
  Evict();
  EXPECT_TRUE(IsThere("named"));
  EXPECT_FALSE(IsThere("silent"));
}

// What is looked for first, and is not there, must not make it skip what is shared.
TEST_F(MesiTouchHome, SharedLinesGoInTheirOrderThoughNoneIsUnshared) {
  const std::vector<Bytes> keys = {"a", "b", "c", "d", "e"};
  for (const Bytes& key : keys) Reads(key);
  for (const Bytes& key : keys) {
    EXPECT_TRUE(IsThere(key));
    Evict();
    EXPECT_FALSE(IsThere(key));
  }
}

TEST_F(MesiTouchHome, WhatIsToGoGoesWithItsLastReaderUnlessItIsWantedOrWritten) {
  for (const BytesView key : {"wanted", "goes", "written"}) {
    Reads(key);
    home.lines().SetValue(home.lines().Find(key), "v");
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(home.EvictOne(now));
  EXPECT_FALSE(home.Hold(now, "written", true));
  clients.on_held = [this](BytesView key) {
    if (key == "written") home.Put(key, home.Find(key), "new", {});
  };
  ASSERT_TRUE(agent.EvictOne(now));
  EXPECT_FALSE(agent.Hold(now, "wanted", false));
  const uint64_t evictions = stats.evictions;
  EXPECT_TRUE(IsThere("goes"));
  Settle();
  EXPECT_FALSE(IsThere("goes"));
  EXPECT_TRUE(agent.Hold(now, "wanted", false));
  EXPECT_EQ(agent.Find("wanted")->value(), "v");
  ASSERT_TRUE(IsThere("written"));
  EXPECT_EQ(home.Find("written")->value(), "new");
  EXPECT_EQ(stats.evictions - evictions, 1u);
}

TEST_F(MesiTouchHome, WhatItDoesNotHaveIsPassedOver) {
  Reads("k");
  home.OnAsk(now, kCacheNode, {.shard = ShardGroup(0),
                               .epoch = Term{1},
                               .session = agent.session(),
                               .sent = now,
                               .received = agent.channel()->received(),
                               .said = agent.channel()->said(),
                               .touches = {"gone", "", "k"}});
  EXPECT_EQ(stats.touches, 1u);
  EXPECT_EQ(home.lines().size(), 1u);
}

// On the wire -------------------------------------------------------------------------------------

Leases OneAsk(std::vector<Bytes> touches) {
  Leases leases;
  leases.asks.push_back({.shard = ShardGroup(1),
                         .epoch = Term{2},
                         .session = {3, 4},
                         .sent = {5},
                         .received = 6,
                         .said = 7,
                         .touches = std::move(touches)});
  return leases;
}

Bytes Encoded(const Leases& leases) {
  Bytes bytes;
  Writer out(&bytes);
  EncodeLeases(leases, &out);
  return bytes;
}

// An ask that names so many keys of so many bytes each.
Bytes Frame(size_t keys, size_t key_bytes) {
  Bytes frame = Encoded(OneAsk({}));
  frame.resize(frame.size() - 3);  // It ends with: no touches, no gives, no fences.
  Writer out(&frame);
  out.Varint(keys);
  for (size_t i = 0; i < keys; ++i) out.String(Bytes(key_bytes, 'k'));
  out.Varint(0);
  out.Varint(0);
  return frame;
}

bool Makes(const Bytes& frame, Leases* out) {
  Reader in(frame);
  return DecodeLeases(&in, out);
}

TEST(MesiTouchCodec, AnAskAndAGiveComeBackAsTheyWere) {
  Leases leases = OneAsk({"a", "", Bytes("\0\r\n", 3)});
  leases.gives.push_back({.shard = ShardGroup(1), .epoch = {}, .session = {}});
  leases.gives.push_back(leases.gives[0]);
  leases.gives[1].wants_touches = true;
  Leases back;
  ASSERT_TRUE(Makes(Encoded(leases), &back));
  ASSERT_EQ(back.asks.size(), 1u);
  EXPECT_EQ(back.asks[0].touches, leases.asks[0].touches);
  EXPECT_EQ(back.asks[0].said, 7u);
  ASSERT_EQ(back.gives.size(), 2u);
  EXPECT_FALSE(back.gives[0].wants_touches);
  EXPECT_TRUE(back.gives[1].wants_touches);
}

TEST(MesiTouchCodec, TooManyOrTooLongMakeNoSense) {
  Leases most, longest, one;
  EXPECT_TRUE(Makes(Frame(kTouchesMax, kTouchBytesMax / kTouchesMax), &most));
  EXPECT_EQ(most.asks.at(0).touches.size(), kTouchesMax);
  EXPECT_TRUE(Makes(Frame(1, kTouchBytesMax), &longest));
  EXPECT_EQ(longest.asks.at(0).touches.at(0).size(), kTouchBytesMax);
  EXPECT_FALSE(Makes(Frame(kTouchesMax + 1, 1), &one));
  EXPECT_FALSE(Makes(Frame(1, kTouchBytesMax + 1), &one));
  EXPECT_FALSE(Makes(Frame(2, kTouchBytesMax / 2 + 1), &one));
}

TEST(MesiTouchCodec, WhatIsCutShortMakesNoSense) {
  const Bytes frame = Frame(3, 5);
  for (size_t size = 0; size < frame.size(); ++size) {
    Leases leases;
    EXPECT_FALSE(Makes(frame.substr(0, size), &leases)) << size;
  }
}

}  // namespace
}  // namespace lockstep::mesi
