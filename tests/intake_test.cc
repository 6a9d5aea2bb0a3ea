// The leader's side of forwarding: what it takes from a gateway elsewhere, and what it says back.
// Links repeat, delay and lose.
#include "cluster/bus/frame.h"
#include "commands/lock_ops.h"
#include "src/forwarding.h"
#include "tests/group_alone.h"

namespace lockstep {
namespace {

constexpr NodeId kGateway{2};

// A leader alone, and what a gateway's frames are answered by.
class IntakeTest : public GroupAlone {
 protected:
  IntakeTest() { Settle(); }

  // A turn, its write on disk at once, and what the gateway hears of it.
  void TurnAndHear() {
    SyncedTurn();
    intake_.Flush();
    outbox_.Drain([this](NodeId to, bus::Lane, Bytes frames) { Hear(to, frames); });
  }
  void Settle() {
    for (int i = 0; i < 10; ++i) TurnAndHear();
  }
  void Hear(NodeId to, const Bytes& frames) {
    EXPECT_EQ(to, kGateway);
    bus::FrameReader reader;
    reader.Append(frames);
    for (auto body = reader.Next(); body.ok() && body->has_value(); body = reader.Next()) {
      const Result<bus::Envelope> envelope = bus::DecodeEnvelope(**body);
      ASSERT_TRUE(envelope.ok());
      Reader in(envelope->data);
      if (envelope->header.type == bus::MessageType::kForwardNack) {
        ASSERT_TRUE(DecodeForwardNack(&in, &nacks_.emplace_back()));
      } else {
        ASSERT_TRUE(DecodeForwardAnswer(&in, &answers_.emplace_back()));
      }
    }
  }

  static SessionName Session(uint64_t number) { return {DiskId{22}, 1, number}; }
  uint64_t incarnation() const { return group_->replica().SessionOf(kGateway).incarnation; }
  void Open(uint64_t session, uint64_t stream) {
    Forward forward{Session(session), 0, stream, 0, {}, {}};
    forward.requests.push_back({Forward::Kind::kOpenSession, 0, {}});
    Take(forward);
  }
  void Send(uint64_t session, uint64_t stream, uint64_t position, uint64_t seq, const Bytes& op) {
    Forward forward{Session(session), incarnation(), stream, position, {}, {}};
    forward.requests.push_back({Forward::Kind::kWrite, seq, op});
    Take(forward);
  }
  void Take(const Forward& forward) {
    intake_.OnForward(kGateway, *group_, group_->raft().term(), forward);
  }
  static Bytes Acquire(const Bytes& owner, std::optional<int64_t> wait_ms = std::nullopt) {
    AcquireOp op;
    op.names = {"lock"};
    op.owner = owner;
    op.ttl_ms = 600'000;
    op.wait_ms = wait_ms;
    return op.Encode();
  }
  static Bytes Release(const Bytes& owner) {
    return ReleaseOp{"lock", owner, std::nullopt, false}.Encode();
  }
  std::vector<uint64_t> Answered() {
    std::vector<uint64_t> seqs;
    for (const ForwardAnswer& answer : std::exchange(answers_, {})) {
      for (const ForwardAnswer::One& one : answer.answers) seqs.push_back(one.seq);
    }
    return seqs;
  }

  void OnAnswer(Group& group, const RequestId& request, Reply reply) override {
    intake_.OnAnswer(group, request, std::move(reply));
  }

  Outbox outbox_{kSelf};
  Intake intake_{&outbox_};
  std::vector<ForwardAnswer> answers_;
  std::vector<ForwardNack> nacks_;
};

TEST_F(IntakeTest, WhoeverOpensASessionIsToldItsIncarnation) {
  Open(1, 1);
  Settle();
  ASSERT_FALSE(answers_.empty());
  EXPECT_NE(incarnation(), 0U);
  EXPECT_EQ(answers_.back().incarnation, incarnation());
  EXPECT_EQ(answers_.back().session, Session(1));
}

TEST_F(IntakeTest, AnswersAreNumberedInTheirStreamAndTheLeadersWordSaysHowManyThereWere) {
  Open(1, 1);
  Settle();
  answers_.clear();
  for (uint64_t seq = 1; seq <= 3; ++seq) Send(1, 1, seq, seq, Acquire("alice"));
  Settle();
  uint64_t given = 0;
  for (const ForwardAnswer& answer : answers_) {
    EXPECT_EQ(answer.given, given);
    given += answer.answers.size();
  }
  EXPECT_EQ(given, 3U);
  const Lead lead = intake_.LeadOf(*group_, kGateway);
  EXPECT_EQ(std::tuple(lead.incarnation, lead.stream, lead.given), std::tuple(incarnation(), 1, 3));
  Send(1, 2, 0, 3, Acquire("alice"));  // All is asked again, in a new stream.
  Settle();
  EXPECT_EQ(intake_.LeadOf(*group_, kGateway).given, 1U);
}

TEST_F(IntakeTest, AStragglerOfAFormerSessionChangesNothing) {
  Open(1, 1);
  Settle();
  const Forward straggler{Session(1), incarnation(), 1, 1, {}, {}};
  Open(2, 2);
  Settle();
  Send(2, 2, 1, 1, Acquire("alice"));
  Send(2, 2, 2, 2, Acquire("bob", 0));
  Settle();
  EXPECT_EQ(Answered(), (std::vector<uint64_t>{1}));
  Take(straggler);
  Send(2, 2, 3, 3, Release("alice"));
  Settle();
  EXPECT_EQ(Answered(), (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(intake_.LeadOf(*group_, kGateway).given, 3U);
  EXPECT_TRUE(nacks_.empty());
}

TEST_F(IntakeTest, AnOpeningThatComesAgainTakesNothingBack) {
  Open(1, 1);
  Settle();
  Send(1, 1, 1, 1, Acquire("alice"));
  Settle();
  EXPECT_EQ(Answered().back(), 1U);
  Send(1, 1, 2, 2, Release("alice"));
  TurnAndHear();  // It is on disk,
  Open(1, 1);     // and will be answered in this turn.
  Settle();
  EXPECT_EQ(Answered(), (std::vector<uint64_t>{2}));
}

TEST_F(IntakeTest, NothingIsTakenUnderASessionThatIsOver) {
  Open(1, 1);
  Settle();
  const uint64_t was = incarnation();
  Bytes over;
  Writer out(&over);
  EncodeSessionOver(kGateway, was, &out);
  ASSERT_EQ(group_->WriteAlone(std::move(over)), Group::Taken::kYes);
  Settle();
  Forward late{Session(1), was, 1, 1, {}, {}};
  const Bytes op = Acquire("alice");
  late.requests.push_back({Forward::Kind::kWrite, 1, op});
  Take(late);
  Settle();
  ASSERT_EQ(nacks_.size(), 1U);
  EXPECT_EQ(nacks_[0].why, ForwardNack::Why::kSessionOver);
  Open(1, 2);  // It has not heard that it was open, and is no more.
  Settle();
  ASSERT_EQ(nacks_.size(), 2U);
  EXPECT_EQ(nacks_[1].why, ForwardNack::Why::kSessionOver);
  Open(2, 3);
  Settle();
  EXPECT_GT(incarnation(), was);
}

}  // namespace
}  // namespace lockstep
