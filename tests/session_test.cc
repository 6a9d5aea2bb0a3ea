// A connection's replies: in order, in its protocol, muted when it asked for that.
#include "src/session.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Session::Slot Asking(GroupId group) {
  Session::Slot slot;
  slot.group = group;
  slot.seq = 1;
  return slot;
}

TEST(Sessions, RepliesLeaveInTheOrderOfTheCommandsNotOfTheAnswers) {
  Session session{Client{}};
  const uint64_t first = session.Open(Asking(kLocksGroup));
  const uint64_t second = session.Open(Asking(kLocksGroup));
  session.Answer(Reply::Simple("third"), false);

  session.Fill(second, Reply::Integer(2));
  EXPECT_FALSE(session.HasOutput());
  session.Fill(first, Reply::Integer(1));

  EXPECT_EQ(session.TakeOutput(), ":1\r\n:2\r\n+third\r\n");
  EXPECT_TRUE(session.idle());
}

TEST(Sessions, AnAnswerThatComesTwiceIsTakenOnce) {
  Session session{Client{}};
  const uint64_t slot = session.Open(Asking(kLocksGroup));
  session.Fill(slot, Reply::Integer(1));
  session.Fill(slot, Reply::Integer(2));
  session.Fill(slot + 1, Reply::Integer(3));
  EXPECT_EQ(session.TakeOutput(), ":1\r\n");
}

TEST(Sessions, MutedRepliesAreNotWritten) {
  Session session{Client{}};
  Session::Slot muted = Asking(kLocksGroup);
  muted.muted = true;
  const uint64_t slot = session.Open(std::move(muted));
  session.Answer(Reply::Ok(), true);
  session.Answer(Reply::Simple("heard"), false);
  session.Fill(slot, Reply::Integer(1));
  EXPECT_EQ(session.TakeOutput(), "+heard\r\n");
}

TEST(Sessions, OnlyTheLatestCommandCanBlock) {
  Session session{Client{}};
  session.Open(Asking(kLocksGroup));
  EXPECT_EQ(session.Blocking(), nullptr);
  Session::Slot waits = Asking(kLocksGroup);
  waits.waits = true;
  const uint64_t slot = session.Open(std::move(waits));
  EXPECT_EQ(session.Blocking(), session.Find(slot));
}

TEST(Sessions, KnowHowManyReadsAreOpen) {
  Session session{Client{}};
  Session::Slot read = Asking(kLocksGroup);
  read.read = true;
  const uint64_t slot = session.Open(std::move(read));
  EXPECT_EQ(session.open_reads(), 1U);
  session.Fill(slot, Reply::Nil());
  EXPECT_EQ(session.open_reads(), 0U);
}

TEST(Sessions, EveryReplySpeaksTheProtocolOfItsTime) {
  Session session{Client{}};
  session.Answer(Reply::Nil(), false);
  session.client.protocol = 3;
  session.Answer(Reply::Nil(), false);
  EXPECT_EQ(session.TakeOutput(), "$-1\r\n_\r\n");
}

}  // namespace
}  // namespace lockstep
