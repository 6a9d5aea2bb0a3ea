// An owner that pushes what it writes: what it shows, and when; what it says, and what it need not.
#include "tests/mesi_agent_alone.h"

namespace lockstep::mesi {
namespace {

struct Clients final : Agent::Listener {
  void OnHeld(BytesView) override {}
  void OnLost() override {}
  void OnCommitted(BytesView, Committed outcome) override { outcomes.push_back(outcome); }
  std::vector<Committed> outcomes;
};

class MesiPush : public AgentAlone<Clients> {
 protected:
  // The line, owned, as a home of CLASS home grants it, or any other.
  Line* Own(bool pushes, MonoTime ends = kNeverMono) {
    EXPECT_FALSE(agent.Hold(kNow, "k", true));
    Message data{.type = MessageType::kDataX, .key = "k", .gen = 7};
    data.payload = Payload{
        .version = {1, 7, 0}, .present = true, .value = "v", .ends = ends, .pushes = pushes};
    Say(data);
    Line* line = nullptr;
    EXPECT_TRUE(agent.Hold(kNow, "k", true, &line));
    Hear();
    return line;
  }
  struct Said {
    MessageType type;
    bool has_value;
    bool operator==(const Said&) const = default;
  };
  std::vector<Said> Hear() {
    std::vector<Said> said;
    HearEach([&](const Message& message) {
      said.push_back({message.type, message.payload.has_value()});
    });
    return said;
  }
};

TEST_F(MesiPush, WhatIsWrittenIsShownWhenTheHomeHasItAndIsNotSaidAgain) {
  Line* line = Own(true);
  agent.Pin("k");
  agent.Put(line, "new", {});
  agent.Push({"k"});
  EXPECT_EQ(Hear(), (std::vector<Said>{{MessageType::kCommit, true}}));
  EXPECT_FALSE(agent.Hold(kNow, "k", false));
  Say({.type = MessageType::kRecallX, .key = "k", .gen = 7});
  EXPECT_EQ(Hear(), std::vector<Said>{}) << "it is pinned";
  EXPECT_EQ(clients.outcomes, std::vector<Committed>{});
  Say({.type = MessageType::kCommitted, .key = "k", .gen = 7});
  EXPECT_EQ(clients.outcomes, std::vector{Committed::kDone});
  EXPECT_TRUE(agent.Hold(kNow, "k", false));
  agent.Unpin(kNow, "k");
  EXPECT_EQ(Hear(), (std::vector<Said>{{MessageType::kRecallAck, false}}));
}

// The home may go back to what it has, and show that it is there: nobody may have seen it gone.
TEST_F(MesiPush, ThatItsTimeIsOverItLeavesToTheHome) {
  Own(true, kNow + 100 * kUsPerMs);
  EXPECT_FALSE(agent.Hold(kOver, "k", false));
  EXPECT_EQ(Hear(), (std::vector<Said>{{MessageType::kWriteBack, false}}));
}

TEST_F(MesiPush, ThatItsTimeIsOverAnyOtherOwnerSaysItself) {
  Own(false, kNow + 100 * kUsPerMs);
  EXPECT_TRUE(agent.Hold(kOver, "k", false));
  EXPECT_EQ(Hear(), std::vector<Said>{});
}

TEST_F(MesiPush, WhoPushesByItselfGoesOnAsLongAsItOwnsTheLine) {
  Line* line = Own(false);
  EXPECT_FALSE(line->pushes());
  agent.Pin("k");
  agent.Put(line, "new", {});
  agent.Push({"k"});
  Say({.type = MessageType::kCommitted, .key = "k", .gen = 7});
  agent.Unpin(kNow, "k");
  EXPECT_TRUE(line->pushes());
}

TEST_F(MesiPush, ASessionThatEndsInTheMidstKnowsNothingOfWhatItPushed) {
  Line* line = Own(true);
  agent.Pin("k");
  agent.Put(line, "new", {});
  agent.Push({"k"});
  agent.OnGive(kNow, {.shard = ShardGroup(0),
                      .epoch = Term{1},
                      .session = agent.session(),
                      .verdict = LeaseGive::Verdict::kOver});
  EXPECT_EQ(clients.outcomes, std::vector{Committed::kLost});
  EXPECT_EQ(agent.Find("k"), nullptr);
}

}  // namespace
}  // namespace lockstep::mesi
