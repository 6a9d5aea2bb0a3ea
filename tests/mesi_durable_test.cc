// A home, one of its caches and the log: what is durable, whatever the cache says or does not say.
#include <gtest/gtest.h>

#include <deque>

#include "cluster/mesi/home.h"
#include "commands/durable_keys.h"
#include "tests/mesi_first_home.h"

namespace lockstep::mesi {
namespace {

constexpr MonoTime kNow{1'000'000};
constexpr NodeId kSelf{1};
constexpr NodeId kPeer{2};
constexpr ClusterTime kLogNow{1000};

// What was proposed is in the log when a test says so.
class Log final : public DurableStore {
 public:
  std::optional<DurableValue> Find(MonoTime, BytesView key) const override {
    const DurableKeys::Record* record = keys_.Find(key);
    if (record == nullptr) return std::nullopt;
    return DurableValue{.present = record->present, .value = record->value, .fence = record->fence};
  }
  void ForEach(MonoTime now, const Visit& visit) const override {
    for (const auto& [key, record] : keys_.all()) visit(key, *Find(now, key));
  }
  bool Propose(Term, const std::vector<DurableWrite>& writes) override {
    Writer out(&proposed_.emplace_back());
    EncodeDurableWrites(writes, &out);
    return true;
  }
  void Apply(Home* home) {
    for (const Bytes& op : std::exchange(proposed_, {})) {
      DurableKeys::Changes changes;
      EXPECT_TRUE(keys_.Apply(kLogNow, op, &changes));
      for (const auto& change : changes) home->OnLogged(kNow, change.key, change.written);
    }
  }
  size_t proposed() const { return proposed_.size(); }

 private:
  DurableKeys keys_;
  std::deque<Bytes> proposed_;
};

struct Clients final : Home::Listener {
  void OnHeld(BytesView key) override { held.emplace_back(key); }
  void OnServing() override {}
  std::vector<Bytes> held;
};

class MesiDurable : public ::testing::Test {
 protected:
  MesiDurable() {
    home.SetIncarnations({{kPeer, 1}});
    home.OnReportDone(kSelf);
    home.OnMajority(kNow, kNow);
    home.Tick(kNow);
    Open(1);
  }
  void Open(uint64_t number) {
    session = {1, number};
    channel = Channel();
    channel.Send({.type = MessageType::kReportDone});
  }
  // False: it makes no sense to the home.
  bool Say(const Message& message) {
    channel.Send(message);
    Bytes frame;
    Writer out(&frame);
    channel.Flush(kNow, &out, 1 << 20);
    Reader in(frame);
    return home.OnFrame(kNow, kPeer, session, &in);
  }
  // The generation under which it is granted.
  uint64_t Acquire(BytesView key) {
    EXPECT_TRUE(Say({.type = MessageType::kGetX, .key = key}));
    return Heard(MessageType::kDataX, key);
  }
  // Whether, and with which generation, the home has said so; 0: it has not.
  uint64_t Heard(MessageType type, BytesView key) {
    home.Flush([&](const Home::ToCache& to) {
      Bytes frame;
      Writer out(&frame);
      to.channel->Flush(kNow, &out, 1 << 20);
      Reader in(frame);
      if (to.session != session) return;
      EXPECT_TRUE(channel.OnFrame(kNow, &in, [&](const Message& message) {
        heard[{message.type, Bytes(message.key)}] = message.gen;
        return true;
      }));
    });
    return heard[{type, Bytes(key)}];
  }
  static Message Commit(BytesView key, uint64_t gen, bool more = false,
                        MonoTime ends = kNeverMono) {
    Message message{.type = MessageType::kCommit, .key = key, .gen = gen, .keeps = more};
    message.payload = Payload{.present = true, .value = "v", .ends = ends, .ttl_is_new = true};
    return message;
  }
  Home::Options WithLog() {
    Home::Options options = FirstHome(kSelf, kNow);
    options.durable = &log;
    return options;
  }
  // That of a key which is durable already.
  uint64_t AcquireDurable(BytesView key) {
    const uint64_t gen = Acquire(key);
    EXPECT_TRUE(Say(Commit(key, gen)));
    log.Apply(&home);
    EXPECT_EQ(Heard(MessageType::kCommitted, key), gen);
    Message back{.type = MessageType::kWriteBack, .key = key, .gen = gen};
    back.payload = Payload{.version = {1, gen, 1}, .present = true, .value = "v", .durable = true};
    EXPECT_TRUE(Say(back));
    return Acquire(key);
  }

  Log log;
  Clients clients;
  Stats stats;
  Home home{WithLog(), &stats, &clients};
  SessionId session;
  Channel channel;
  std::map<std::pair<MessageType, Bytes>, uint64_t> heard;
};

TEST_F(MesiDurable, AnEndOfASessionWaitsForWhatItHasProposed) {
  const uint64_t gen = Acquire("k");
  ASSERT_TRUE(Say(Commit("k", gen)));
  Open(2);  // Its process has lost all that it had.
  EXPECT_TRUE(Say({.type = MessageType::kGetS, .key = "k"}));
  EXPECT_FALSE(home.Hold(kNow, "k", false));
  EXPECT_EQ(clients.held, std::vector<Bytes>{});
  log.Apply(&home);
  EXPECT_EQ(clients.held.back(), "k");
  Line* line = nullptr;
  ASSERT_TRUE(home.Hold(kNow, "k", false, &line));
  EXPECT_EQ(line->value(), "v");
  EXPECT_TRUE(line->durable());
}

TEST_F(MesiDurable, WhoGivesUpWhatIsToBeLoggedIsCutOff) {
  const uint64_t a = Acquire("a");
  const uint64_t b = Acquire("b");
  ASSERT_TRUE(Say(Commit("a", a, true)));
  Message back{.type = MessageType::kWriteBack, .key = "a", .gen = a};
  back.payload = Payload{.version = {1, a, 1}};
  ASSERT_TRUE(Say(back));
  EXPECT_FALSE(Say(Commit("b", b)));
  EXPECT_EQ(log.proposed(), 0u);
}

TEST_F(MesiDurable, WhoNamesAKeyTwiceIsCutOff) {
  const uint64_t gen = Acquire("k");
  ASSERT_TRUE(Say(Commit("k", gen, true)));
  EXPECT_FALSE(Say(Commit("k", gen)));
  EXPECT_EQ(log.proposed(), 0u);
}

TEST_F(MesiDurable, WhoAsksForWhatItOwnsAndCommitsIsCutOff) {
  const uint64_t gen = AcquireDurable("k");
  ASSERT_TRUE(Say(Commit("k", gen)));
  EXPECT_FALSE(Say({.type = MessageType::kGetX, .key = "k"}));
  log.Apply(&home);
}

// It would be in the log, and no node could read it.
TEST_F(MesiDurable, ATimeToLiveThatNoLogCanHoldIsRefused) {
  const uint64_t gen = Acquire("k");
  EXPECT_FALSE(Say(Commit("k", gen, false, MonoTime{int64_t{3} << 61})));
  EXPECT_EQ(log.proposed(), 0u);
}

// ---- What is pushed (CLASS home). ----

Message Push(BytesView key, uint64_t gen, uint64_t seq, bool more = false) {
  Message message{.type = MessageType::kCommit, .key = key, .gen = gen, .have = true,
                  .keeps = more};
  message.payload = Payload{.version = {1, gen, seq}, .present = true, .value = "v"};
  return message;
}

TEST_F(MesiDurable, WhatWasPushedStaysAsItIsWhenItsOwnerIsLost) {
  const uint64_t gen = Acquire("k");
  ASSERT_TRUE(Say(Push("k", gen, 3)));
  EXPECT_EQ(Heard(MessageType::kCommitted, "k"), gen);
  EXPECT_FALSE(home.Hold(kNow, "k", false)) << "it is its owner's";
  Open(2);
  EXPECT_TRUE(Say({.type = MessageType::kGetS, .key = "other"}));
  Line* line = nullptr;
  ASSERT_TRUE(home.Hold(kNow, "k", false, &line));
  ASSERT_NE(line, nullptr);
  EXPECT_EQ(line->value(), "v");
  EXPECT_EQ(line->version(), (Version{1, gen, 3}));
  EXPECT_EQ(log.proposed(), 0u);
  EXPECT_EQ(stats.restored, 1u);
  EXPECT_GT(Acquire("k"), gen);
}

TEST_F(MesiDurable, HalfOfWhatIsPushedTogetherIsNotTaken) {
  const uint64_t a = Acquire("a"), b = Acquire("b");
  ASSERT_TRUE(Say(Push("a", a, 1, true)));
  EXPECT_EQ(Heard(MessageType::kCommitted, "a"), 0u);
  ASSERT_TRUE(Say(Push("b", b, 1)));
  EXPECT_EQ(Heard(MessageType::kCommitted, "a"), a);
  EXPECT_EQ(Heard(MessageType::kCommitted, "b"), b);
  const uint64_t c = Acquire("c");
  ASSERT_TRUE(Say(Push("c", c, 1, true)));
  Open(2);
  EXPECT_TRUE(Say({.type = MessageType::kGetS, .key = "other"}));
  Line* line = nullptr;
  ASSERT_TRUE(home.Hold(kNow, "c", false, &line));
  EXPECT_TRUE(line == nullptr || !line->present());
}

TEST_F(MesiDurable, WhoPushesWhatItDoesNotOwnIsCutOff) {
  const uint64_t gen = Acquire("k");
  EXPECT_FALSE(Say(Push("k", gen + 1, 1)));
}

}  // namespace
}  // namespace lockstep::mesi
