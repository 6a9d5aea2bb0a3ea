// What tests of a cache's side alone begin with: an agent that has a lease, and the other end of
// its channel, from which the test speaks as the home.
#pragma once

#include <gtest/gtest.h>

#include "cluster/mesi/agent.h"

namespace lockstep::mesi {

inline constexpr MonoTime kNow{1'000'000};
inline constexpr MonoTime kOver = kNow + 200 * kUsPerMs;

template <class Clients>
class AgentAlone : public ::testing::Test {
 protected:
  AgentAlone() {
    agent.SetIncarnation(kNow, 1);
    agent.Follow(kNow, NodeId{1}, Term{1}, false);
    agent.OnGive(kNow, {.shard = ShardGroup(0),
                        .epoch = Term{1},
                        .session = agent.session(),
                        .sent = kNow,
                        .length_us = 60 * kUsPerSecond});
    HearEach([](const Message&) {});
  }
  // As the home says it.
  void Say(const Message& message, MonoTime now = kNow) {
    channel.Send(message);
    Bytes frame;
    Writer out(&frame);
    channel.Flush(now, &out, 1 << 20);
    Reader in(frame);
    EXPECT_TRUE(agent.OnFrame(now, agent.session(), &in));
  }
  // What the cache has said since.
  template <class Visit>
  void HearEach(const Visit& visit) {
    while (agent.HasNews()) {
      Bytes frame;
      Writer out(&frame);
      agent.channel()->Flush(kNow, &out, 1 << 20);
      Reader in(frame);
      EXPECT_TRUE(channel.OnFrame(kNow, &in, [&](const Message& message) {
        visit(message);
        return true;
      }));
    }
  }

  Clients clients;
  Stats stats;
  Agent agent{{.self = NodeId{2}, .shard = ShardGroup(0), .times = {}}, &stats, &clients};
  Channel channel;
};

}  // namespace lockstep::mesi
