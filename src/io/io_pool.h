// Threads that talk to sockets: of what a small command costs a node, half is the kernel's work in
// recv and send, and that is done for many connections at the same time. The thread that asks works
// along, and goes on when all is done: so to everybody else it is as if it had done it alone.
//
// Always true: between calls of ForEach the pool's threads touch nothing and sleep; and what was
// written before such a call is seen by them, what they have written by whoever comes after it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep::io {

// What the kernel takes of them at once, never waiting; below 0: the error, as -errno. That it
// takes nothing now is none.
ssize_t SendNow(int fd, BytesView bytes);

// How much came into the room, never waiting; 0: nothing is there now. Below 0, in libuv's numbers:
// the error, or UV_EOF: an end in order.
ssize_t ReadNow(int fd, std::span<char> room);

class IoPool {
 public:
  // Worth being shared: to wake a thread costs about as much as one send.
  static constexpr size_t kJobsMin = 4;

  // So many threads beside the caller's. They leave signals to others.
  explicit IoPool(size_t threads);
  ~IoPool();
  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;

  // Calls `job` with each number below `n` once, in any order and on any thread: what it touches
  // under one number it must touch under no other.
  using Job = std::function<void(size_t)>;
  void ForEach(size_t n, const Job& job);

 private:
  struct Work {
    const Job* job = nullptr;  // Null: there is none.
    size_t n = 0;
  };
  void Serve();
  void TakePart(const Work& work);

  std::mutex mutex_;
  std::condition_variable begun_;
  std::condition_variable left_;
  // Under the mutex. While there is work whoever wakes up may take part.
  Work work_;
  uint64_t round_ = 0;
  size_t inside_ = 0;  // Threads that take part.
  bool closing_ = false;

  std::atomic<size_t> next_{0};  // The first number that nobody has taken.
  std::vector<std::thread> threads_;
};

}  // namespace lockstep::io
