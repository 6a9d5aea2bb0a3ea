// What a cache has put off while a line was pinned is answered, whatever became of the line.
#include "tests/mesi_agent_alone.h"

namespace lockstep::mesi {
namespace {

struct Nobody final : Agent::Listener {
  void OnHeld(BytesView) override {}
  void OnLost() override {}
};

class MesiPin : public AgentAlone<Nobody> {
 protected:
  void Grant(MessageType type, uint64_t gen, MonoTime now = kNow) {
    Message data{.type = type, .key = "k", .gen = gen};
    data.payload = Payload{.version = {1, gen, 0}, .present = true, .value = "v",
                           .ends = now + 100 * kUsPerMs, .durable = type == MessageType::kDataX};
    Say(data, now);
  }
  std::vector<MessageType> Hear() {
    std::vector<MessageType> said;
    HearEach([&](const Message& message) { said.push_back(message.type); });
    return said;
  }
};

using enum MessageType;

// Or its home would wait for it for ever.
TEST_F(MesiPin, AReadersLineThatIsOverMeanwhileIsAnsweredFor) {
  EXPECT_FALSE(agent.Hold(kNow, "k", false));
  Grant(kDataS, 0);
  ASSERT_TRUE(agent.Hold(kNow, "k", false));
  agent.Pin("k");
  Say({.type = kInv, .key = "k"});
  EXPECT_EQ(Hear(), std::vector{kGetS});
  EXPECT_FALSE(agent.Hold(kOver, "k", false));
  agent.Unpin(kOver, "k");
  EXPECT_EQ(Hear(), (std::vector{kGetS, kInvAck}));
}

// What it has given up by itself is its answer; of the next grant nothing was asked.
TEST_F(MesiPin, AnOwnersLineThatIsOverMeanwhileEndsNoSession) {
  EXPECT_FALSE(agent.Hold(kNow, "k", true));
  Grant(kDataX, 7);
  ASSERT_TRUE(agent.Hold(kNow, "k", true));
  agent.Pin("k");
  Say({.type = kRecallX, .key = "k", .gen = 7});
  EXPECT_EQ(Hear(), std::vector{kGetX});
  EXPECT_FALSE(agent.Hold(kOver, "k", true));
  Say({.type = kWbAck, .key = "k", .gen = 7}, kOver);
  EXPECT_FALSE(agent.Hold(kOver, "k", true));
  Grant(kDataX, 9, kOver);
  ASSERT_TRUE(agent.Hold(kOver, "k", true));
  agent.Pin("k");
  agent.Unpin(kOver, "k");
  EXPECT_EQ(Hear(), (std::vector{kWriteBack, kGetX}));
  EXPECT_TRUE(agent.Hold(kOver, "k", true));
}

}  // namespace
}  // namespace lockstep::mesi
