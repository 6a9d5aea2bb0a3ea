// Talking to many sockets from several threads, over pairs of connected ones.
#include "src/io/io_pool.h"

#include <uv.h>

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
};

TEST(IoPoolTest, EachNumberIsDoneOnceWhoeverDoesIt) {
  IoPool pool(3);
  for (size_t n = 0; n < 500; ++n) {
    std::vector<int> done(n);  // Whatever one thread writes there is seen by this one.
    pool.ForEach(n, [&](size_t i) { ++done[i]; });
    ASSERT_EQ(done, std::vector<int>(n, 1));
  }
}

TEST(IoPoolTest, WhatOneSendsTheOtherReads) {
  IoPool pool(3);
  const std::vector<Pair> pairs(9);
  for (int round = 0; round < 500; ++round) {
    std::vector<Bytes> sent, got(pairs.size(), Bytes(100, '\0'));
    for (size_t i = 0; i < pairs.size(); ++i) sent.push_back(Format("%d of %zu", round, i));
    pool.ForEach(pairs.size(), [&](size_t i) {
      EXPECT_EQ(SendNow(pairs[i].ends[0], sent[i]), static_cast<ssize_t>(sent[i].size()));
    });
    pool.ForEach(pairs.size(), [&](size_t i) {
      const ssize_t n = ReadNow(pairs[i].ends[1], got[i]);
      got[i].resize(n > 0 ? static_cast<size_t>(n) : 0);
    });
    ASSERT_EQ(got, sent);
  }
}

TEST(IoPoolTest, NothingToDoIsDoneAtOnceAndItEndsWhileItSleeps) {
  for (int i = 0; i < 50; ++i) {
    IoPool pool(2);
    pool.ForEach(0, [](size_t) { FAIL(); });
  }
}

TEST(IoPoolTest, WhatTheKernelDoesNotTakeIsTold) {
  const Pair pair;
  const Bytes large(size_t{64} << 20, 'x');
  const ssize_t sent = SendNow(pair.ends[0], large);
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, static_cast<ssize_t>(large.size()));
  EXPECT_EQ(SendNow(pair.ends[0], large), 0);  // Full: no error.
  ::shutdown(pair.ends[0], SHUT_WR);
  EXPECT_EQ(SendNow(pair.ends[0], "lost"), -EPIPE);
}

TEST(IoPoolTest, ThatNothingHasComeIsNoEnd) {
  const Pair pair;
  char room[4];
  EXPECT_EQ(ReadNow(pair.ends[0], room), 0);
  EXPECT_EQ(ReadNow(pair.ends[0], {}), UV_ENOBUFS);
  ASSERT_EQ(SendNow(pair.ends[1], "12345"), 5);
  ::shutdown(pair.ends[1], SHUT_WR);
  EXPECT_EQ(ReadNow(pair.ends[0], room), 4);  // Its room is full.
  EXPECT_EQ(ReadNow(pair.ends[0], room), 1);
  EXPECT_EQ(ReadNow(pair.ends[0], room), UV_EOF);
}

TEST(IoPoolTest, AnErrorIsTold) {
  char room[4];
  EXPECT_EQ(ReadNow(-1, room), -EBADF);
}

}  // namespace
}  // namespace lockstep::io
