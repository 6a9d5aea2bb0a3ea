// The DQ.* commands as a client writes and reads them.
#include <gtest/gtest.h>

#include "tests/fake_host.h"

namespace lockstep {
namespace {

class DqCommandsTest : public ::testing::Test {
 protected:
  Reply Run(const std::vector<Bytes>& words) { return host_.Run(client_, words); }
  Bytes Error(const std::vector<Bytes>& words) {
    const Reply reply = Run(words);
    EXPECT_TRUE(reply.is_error());
    return reply.text;
  }

  FakeHost host_;
  Client& client_ = host_.Connect(1);
};

TEST_F(DqCommandsTest, AMessageGoesInAndOut) {
  EXPECT_EQ(Run({"DQ.PUSH", "mail", "hello"}), Reply::Bulk("0.1"));
  EXPECT_EQ(Run({"dq.len", "mail"}), Reply::Integer(1));
  const Reply row = Reply::Array({Reply::Bulk("mail"), Reply::Bulk("0.1.1"), Reply::Bulk("hello"),
                                  Reply::Integer(1)});
  EXPECT_EQ(Run({"DQ.POP", "mail"}), Reply::Array({row}));
  EXPECT_EQ(Run({"DQ.POP", "mail"}), Reply::NilArray());
  EXPECT_EQ(Run({"DQ.TOUCH", "mail", "5000", "0.1.1", "0.9.1"}),
            Reply::Array({Reply::Integer(5000), Reply::Integer(-1)}));
  EXPECT_EQ(Run({"DQ.ACK", "mail", "0.1.1", "0.1.1"}), Reply::Integer(1));
}

TEST_F(DqCommandsTest, EveryOptionOfAPushIsTaken) {
  EXPECT_EQ(Run({"DQ.PUSH", "q", "x", "ID", "a", "GROUP", "g", "PRIORITY", "9", "TTL", "60000",
                 "RETRY", "2", "HEADERS", "1", "k", "v", "FENCE", "7"}),
            Reply::Bulk("0.1"));
  const Reply rows = Run({"DQ.POP", "q", "COUNT", "5", "LEASE", "100", "FULL"});
  ASSERT_EQ(rows.items.size(), 1u);
  EXPECT_EQ(rows.items[0].items.size(), 5u);
  EXPECT_EQ(Run({"DQ.PUSH", "q", "later", "DELAY", "50"}), Reply::Bulk("0.2"));
  EXPECT_EQ(Run({"DQ.LEN", "q"}), Reply::Integer(0));
  EXPECT_EQ(Run({"DQ.MPUSH", "q", "2", "a", "b", "PRIORITY", "1"}),
            Reply::Array({Reply::Bulk("0.3"), Reply::Bulk("0.4")}));
}

TEST_F(DqCommandsTest, TheDeadAreReadAndRedriven) {
  Run({"DQ.PUSH", "mail", "x"});
  Run({"DQ.POP", "mail"});
  EXPECT_EQ(Run({"DQ.NACK", "mail", "0.1.1", "ERROR", "no such user", "DEAD"}), Reply::Integer(1));
  EXPECT_EQ(Run({"DQ.LEN", "mail!dead"}), Reply::Integer(1));
  EXPECT_EQ(Run({"DQ.PEEK", "mail!dead"}).items.size(), 1u);
  EXPECT_EQ(Run({"DQ.MOVE", "mail!dead", "mail"}), Reply::Integer(1));
  EXPECT_EQ(Run({"DQ.LEN", "mail"}), Reply::Integer(1));
}

TEST_F(DqCommandsTest, AQueueIsSetPausedPurgedAndDropped) {
  EXPECT_EQ(Run({"DQ.SET", "q", "lease", "1000", "DEAD", "drop", "overflow", "drop-oldest"}),
            Reply::Ok());
  EXPECT_EQ(Run({"DQ.PAUSE", "q", "in"}), Reply::Ok());
  EXPECT_EQ(Error({"DQ.PUSH", "q", "x"}).substr(0, 6), "LIMIT ");
  EXPECT_EQ(Run({"DQ.PAUSE", "q", "NONE"}), Reply::Ok());
  Run({"DQ.PUSH", "q", "x"});
  Run({"DQ.PUSH", "q", "y"});
  EXPECT_EQ(Run({"DQ.DEL", "q", "0.1"}), Reply::Integer(1));
  EXPECT_EQ(Run({"DQ.PURGE", "q", "READY"}), Reply::Integer(1));
  EXPECT_EQ(Run({"DQ.DROP", "q"}), Reply::Integer(1));
  EXPECT_EQ(Run({"DQ.INFO", "q"}), Reply::Nil());
}

TEST_F(DqCommandsTest, QueuesAreListedPageByPage) {
  for (int i = 0; i < 25; ++i) Run({"DQ.PUSH", Format("q%d", i), "x"});
  std::set<Bytes> names;
  Bytes cursor = "0";
  int pages = 0;
  do {
    const Reply page = Run({"DQ.LIST", "CURSOR", cursor, "MATCH", "q*", "COUNT", "10"});
    cursor = page.items.at(0).text;
    for (const Reply& name : page.items.at(1).items) names.insert(name.text);
    ++pages;
  } while (cursor != "0");
  EXPECT_EQ(names.size(), 25u);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(Error({"DQ.LIST", "CURSOR", "x"}), "ERR invalid cursor");
}

TEST_F(DqCommandsTest, WhatIsWrongIsToldAndChangesNothing) {
  EXPECT_EQ(Error({"DQ.PUSH", "q", "x", "PRIORTY", "1"}),
            "ERR syntax error near 'PRIORTY' (did you mean PRIORITY?)");
  EXPECT_EQ(Error({"DQ.PUSH", "q", "x", "PRIORITY", "10"}).substr(0, 4), "ERR ");
  EXPECT_EQ(Error({"DQ.PUSH", "", "x"}), "ERR queue is empty");
  EXPECT_EQ(Error({"DQ.ACK", "q", "7"}), "ERR '7' is no receipt: DQ.POP gives them");
  EXPECT_EQ(Error({"DQ.ACK", "q", "1.2.3.4"}), "ERR '1.2.3.4' is no receipt: DQ.POP gives them");
  EXPECT_EQ(Error({"DQ.NACK", "q", "DELAY", "5"}).substr(0, 16), "ERR syntax error");
  EXPECT_EQ(Error({"DQ.NACK", "q", "0.1.1", "DEAD", "RELEASE"}).substr(0, 16), "ERR syntax error");
  EXPECT_EQ(Error({"DQ.SET", "q", "leese", "5"}).substr(0, 31), "ERR a queue has no option 'lees");
  EXPECT_EQ(Error({"DQ.SET", "q", "dead", "maybe"}), "ERR dead must be keep or drop");
  EXPECT_EQ(Error({"DQ.SET", "q", "durability", "memory"}),
            "ERR durability must be fsync: what was answered is never lost, all queues share one "
            "synced write a turn");
  EXPECT_EQ(Error({"DQ.SET", "q", "retry", "0"}).substr(0, 4), "ERR ");
  EXPECT_EQ(Error({"DQ.PUSH", "q", Bytes((1 << 20) + 1, 'x')}).substr(0, 6), "LIMIT ");
  EXPECT_EQ(Error({"DQ.PUSH", "q", "x", "HEADERS", "2", "a", "b"}).substr(0, 4), "ERR ");
  EXPECT_EQ(Error({"DQ.MPUSH", "q", "3", "a", "b"}).substr(0, 4), "ERR ");
  EXPECT_EQ(host_.queues.figures().queues, 0u);
}

TEST_F(DqCommandsTest, AReceiptOfAnotherShardIsGoodForNothingHere) {
  Run({"DQ.PUSH", "q", "x"});
  Run({"DQ.POP", "q"});
  EXPECT_EQ(Run({"DQ.ACK", "q", "5.1.1"}), Reply::Integer(0));
  EXPECT_EQ(Run({"DQ.TOUCH", "q", "10", "5.1.1", "0.1.1"}),
            Reply::Array({Reply::Integer(-1), Reply::Integer(10)}));
}

}  // namespace
}  // namespace lockstep
