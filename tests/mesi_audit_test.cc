// The auditor between one home and one cache, with every message under the test's hand: it finds
// each lie, and takes nothing that is only under way for one.
#include <gtest/gtest.h>

#include <deque>

#include "cluster/mesi/agent.h"
#include "cluster/mesi/home.h"
#include "src/base/log.h"
#include "tests/mesi_first_home.h"

namespace lockstep::mesi {
namespace {

constexpr NodeId kHomeNode{1};
constexpr NodeId kCacheNode{2};
constexpr MonoTime kBegin{10'000'000};

struct Nobody final : Home::Listener, Agent::Listener {
  void OnHeld(BytesView) override {}
  void OnServing() override {}
  void OnLost() override {}
  void OnUnreadable(BytesView) override {}
  void OnAllUnreadable() override {}
};

std::vector<Bytes>& Logged() {
  static std::vector<Bytes> lines;
  return lines;
}

class MesiAudit : public ::testing::Test {
 protected:
  MesiAudit() {
    Logged().clear();
    SetLogSink([](LogLevel level, BytesView line) {
      if (level == LogLevel::kError) Logged().emplace_back(line);
    });
    home.OnReportDone(kHomeNode);
    home.OnMajority(now, now);
    home.Tick(now);
    home.SetIncarnations({{kCacheNode, 7}});
    agent.SetIncarnation(now, 7);
    agent.Follow(now, kHomeNode, Term{1}, false);
    home.OnAsk(now, kCacheNode, *agent.TakeAsk());
    for (const auto& [to, give] : home.TakeGives()) agent.OnGive(now, give);
    ToHome();
  }
  ~MesiAudit() override { SetLogSink(nullptr); }

  // Whatever the agent has said by now.
  bool ToHome() {
    bool sense = true;
    while (agent.HasNews()) {
      Bytes frame;
      Writer out(&frame);
      agent.channel()->Flush(now, &out, 1 << 20);
      Reader in(frame);
      sense &= home.OnFrame(now, kCacheNode, agent.session(), &in);
    }
    return sense;
  }
  // Whatever the home has said by now.
  bool ToCache() {
    std::deque<Bytes> frames;
    home.Flush([&](const Home::ToCache& to) {
      Writer out(&frames.emplace_back());
      to.channel->Flush(now, &out, 1 << 20);
    });
    bool sense = true;
    for (const Bytes& frame : frames) {
      Reader in(frame);
      sense &= agent.OnFrame(now, agent.session(), &in);
    }
    return sense;
  }
  void Settle() {
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE(ToHome());
      EXPECT_TRUE(ToCache());
    }
  }
  void Reads() {
    if (agent.Hold(now, "k", false)) return;
    Settle();
    ASSERT_TRUE(agent.Hold(now, "k", false));
  }
  void Writes() {
    Line* line = nullptr;
    if (!agent.Hold(now, "k", true, &line)) Settle();
    ASSERT_TRUE(agent.Hold(now, "k", true, &line));
    agent.Put(line, "written", {});
  }
  void HomeWrites(std::optional<MonoTime> deadline = {}) {
    if (!home.Hold(now, "k", true)) Settle();
    ASSERT_TRUE(home.Hold(now, "k", true));
    home.Put("k", home.Find("k"), "v", deadline);
  }
  void Pass(int64_t us) {
    now = now + us;
    home.OnMajority(now, now);
  }
  // One question, asked and answered; what it has found.
  void ExpectAudit(uint64_t audits, uint64_t violations) {
    Pass(1);
    Reads();  // Somebody uses it.
    ASSERT_TRUE(agent.Audit(now));
    Settle();
    EXPECT_EQ(stats.audits, audits);
    EXPECT_EQ(stats.violations, violations);
    EXPECT_EQ(Logged().size(), violations);
  }
  Home::Options WithEvents() {
    Home::Options options = FirstHome(kHomeNode, kBegin);
    options.events = &of_home;
    return options;
  }
  Line* AtHome() { return home.lines().Find("k"); }

  MonoTime now = kBegin;
  Nobody nobody;
  Stats stats;
  Events of_home, of_agent;
  Home home{WithEvents(), &stats, &nobody};
  Agent agent{{.self = kCacheNode, .shard = ShardGroup(0), .times = {}, .events = &of_agent},
              &stats,
              &nobody};
};

TEST_F(MesiAudit, WhatIsRightIsFoundRight) {
  HomeWrites();
  Reads();
  ExpectAudit(1, 0);
  Writes();
  ExpectAudit(2, 0);
  agent.Hold(now, "nothing", false);
  Settle();
  ExpectAudit(3, 0);
}

TEST_F(MesiAudit, WhoeverHasNothingOrDoesNothingAsksNothing) {
  EXPECT_FALSE(agent.Audit(now));
  HomeWrites();
  Reads();
  EXPECT_TRUE(agent.Audit(now));
  EXPECT_FALSE(agent.Audit(now)) << "one question at a time";
  Settle();
  Pass(1000);
  EXPECT_FALSE(agent.Audit(now)) << "nobody has used it since";
  Reads();
  EXPECT_TRUE(agent.Audit(now));
}

TEST_F(MesiAudit, AReaderThatItsHomeDoesNotKnowIsFound) {
  HomeWrites();
  Reads();
  AtHome()->set_sharers(0);
  ExpectAudit(1, 1);
  ASSERT_EQ(Logged().size(), 1u);
  const Bytes& line = Logged()[0];
  for (const char* part :
       {"this node has 'k' of shard 0 as S", "its home, node 1, says: Sh, gen 0, version 1.",
        "what happened there: -0.000 s GetS from node 2: U -> Sh, version 1.",
        "what happened here: -0.000 s GetS to node 1: I -> IS; -0.000 s Data.S from node 1: IS -> "
        "S, version 1."}) {
    EXPECT_NE(line.find(part), Bytes::npos) << part << "\n" << line;
  }
  EXPECT_TRUE(agent.Hold(now, "k", false)) << "the auditor changes nothing";
}

TEST_F(MesiAudit, AnOldCopyIsFound) {
  HomeWrites();
  Reads();
  AtHome()->set_version({1, 99, 0});
  ExpectAudit(1, 1);
}

TEST_F(MesiAudit, AnOwnerThatIsNoneIsFound) {
  Writes();
  AtHome()->set_gen(AtHome()->gen() + 1);
  ExpectAudit(1, 1);
  AtHome()->set_gen(AtHome()->gen() - 1);
  ExpectAudit(2, 1);
  AtHome()->set_owner(5);
  ExpectAudit(3, 2);
}

// In whichever direction.
TEST_F(MesiAudit, WhatIsUnderWayIsNotTakenForALie) {
  HomeWrites();
  Reads();
  // The question has left before the Inv, and comes behind it.
  ASSERT_TRUE(agent.Audit(now));
  ASSERT_FALSE(home.Hold(now, "k", true));
  Settle();
  EXPECT_EQ(stats.audits, 0u);
  // The same of an owner, and a Recall.
  Pass(1);
  Writes();
  ASSERT_TRUE(agent.Audit(now));
  ASSERT_FALSE(home.Hold(now, "k", false));
  Settle();
  EXPECT_EQ(stats.audits, 0u);
  // The Inv leaves while the question is being answered: behind the verdict.
  Pass(1);
  Reads();
  ASSERT_TRUE(agent.Audit(now));
  ASSERT_TRUE(ToHome());
  ASSERT_FALSE(home.Hold(now, "k", true));
  Settle();
  EXPECT_EQ(stats.audits, 1u);
  EXPECT_EQ(stats.violations, 0u);
}

TEST_F(MesiAudit, AnInvThatIsPutOffIsNotTakenForALie) {
  HomeWrites();
  Reads();
  agent.Pin("k");
  ASSERT_FALSE(home.Hold(now, "k", true));
  ASSERT_TRUE(ToCache());
  ASSERT_TRUE(agent.Audit(now));
  Settle();
  EXPECT_EQ(stats.audits, 0u);
  agent.Unpin(now, "k");
  Settle();
  EXPECT_TRUE(home.Hold(now, "k", true));
  EXPECT_EQ(stats.violations, 0u);
}

TEST_F(MesiAudit, ALineThatHasMovedSinceIsNotJudged) {
  HomeWrites();
  Reads();
  AtHome()->set_sharers(0);
  ASSERT_TRUE(agent.Audit(now));
  ASSERT_TRUE(ToHome());
  ASSERT_TRUE(agent.EvictOne(now));
  ASSERT_FALSE(agent.Hold(now, "k", false));  // There is a line again, but another.
  Settle();
  EXPECT_EQ(stats.audits, 0u);
  EXPECT_EQ(stats.violations, 0u);
}

// The home lets it expire without a word: by then the reader has stopped.
TEST_F(MesiAudit, WhatExpiresMeanwhileIsNotTakenForALie) {
  HomeWrites(now + 1 * kUsPerSecond);
  Reads();
  Pass(970 * kUsPerMs);
  Reads();
  ASSERT_TRUE(agent.Audit(now));
  Pass(30 * kUsPerMs);
  while (home.Find("k")->present()) home.SweepExpired(now);
  ASSERT_TRUE(ToHome());
  ASSERT_TRUE(ToCache());
  EXPECT_EQ(stats.audits, 0u);
  EXPECT_EQ(stats.violations, 0u);
}

TEST_F(MesiAudit, AVerdictThatNobodyAskedForMakesNoSense) {
  HomeWrites();
  Reads();
  Channel forger;
  for (uint64_t i = 0; i < agent.channel()->received(); ++i) forger.Send({});
  forger.Send({.type = MessageType::kVerdict, .key = "k"});
  Bytes frame;
  Writer out(&frame);
  forger.Flush(now, &out, 1 << 20);
  Reader in(frame);
  EXPECT_FALSE(agent.OnFrame(now, agent.session(), &in));
  EXPECT_EQ(stats.violations, 1u);
}

TEST_F(MesiAudit, QuestionsAndVerdictsGoThroughTheCodec) {
  for (const bool have : {false, true}) {
    Message sent{.type = have ? MessageType::kAudit : MessageType::kVerdict, .key = "k"};
    sent.gen = 5;
    sent.have = have;
    if (have) sent.payload = Payload{.version = {1, 2, 3}};
    Bytes bytes;
    Writer out(&bytes);
    EncodeMessage(sent, &out);
    Reader in(bytes);
    Message got;
    ASSERT_TRUE(DecodeMessage(&in, &got));
    EXPECT_TRUE(in.done());
    EXPECT_EQ(got.type, sent.type);
    EXPECT_EQ(got.key, "k");
    EXPECT_EQ(got.gen, 5u);
    EXPECT_EQ(got.have, have);
    EXPECT_EQ(got.payload.has_value(), have);
    const Version version = got.payload.value_or(Payload{}).version;
    EXPECT_EQ(version, (have ? Version{1, 2, 3} : Version{}));
  }
  EXPECT_STREQ(NameOf(MessageType::kVerdict), "Verdict");
}

}  // namespace
}  // namespace lockstep::mesi
