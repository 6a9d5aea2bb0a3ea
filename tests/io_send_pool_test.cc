// Sending from several threads, over pairs of connected sockets.
#include "src/io/send_pool.h"

#include "tests/io_support.h"

namespace lockstep::io {
namespace {

struct Pair {
  int ends[2] = {-1, -1};
  Pair() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  }
  ~Pair() {
    for (const int end : ends) ::close(end);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  Bytes Receive() const {
    Bytes got(1 << 20, '\0');
    const ssize_t n = ::recv(ends[1], got.data(), got.size(), 0);
    got.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return got;
  }
};

TEST(SendPoolTest, EveryJobIsDoneOnceWhoeverDoesIt) {
  SendPool pool(3);
  const std::vector<Pair> pairs(9);
  for (int round = 0; round < 500; ++round) {
    std::vector<Bytes> bytes;
    std::vector<SendPool::Job> jobs;
    for (size_t i = 0; i < pairs.size(); ++i) bytes.push_back(Format("%d of %zu", round, i));
    for (size_t i = 0; i < pairs.size(); ++i) jobs.push_back({pairs[i].ends[0], bytes[i]});
    pool.SendAll(jobs);
    for (size_t i = 0; i < pairs.size(); ++i) {
      ASSERT_EQ(jobs[i].sent, static_cast<ssize_t>(bytes[i].size()));
      ASSERT_EQ(pairs[i].Receive(), bytes[i]);
    }
  }
}

TEST(SendPoolTest, WhatTheKernelDoesNotTakeIsTold) {
  SendPool pool(2);
  const std::vector<Pair> pairs(2);
  ::shutdown(pairs[1].ends[0], SHUT_WR);
  const Bytes large(size_t{64} << 20, 'x');
  std::vector<SendPool::Job> jobs{{pairs[0].ends[0], large}, {pairs[1].ends[0], "lost"}};
  pool.SendAll(jobs);
  EXPECT_GT(jobs[0].sent, 0);
  EXPECT_LT(jobs[0].sent, static_cast<ssize_t>(large.size()));
  EXPECT_EQ(jobs[1].sent, -EPIPE);
  jobs.pop_back();
  pool.SendAll(jobs);
  EXPECT_EQ(jobs[0].sent, 0);  // Full: no error.
}

TEST(SendPoolTest, NothingToDoIsDoneAtOnceAndItEndsWhileItSleeps) {
  for (int i = 0; i < 50; ++i) {
    SendPool pool(2);
    pool.SendAll({});
  }
}

}  // namespace
}  // namespace lockstep::io
