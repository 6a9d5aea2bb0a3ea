// Threads that send: of what an answer costs a node, half is the kernel's work in send, and that is
// done for many connections at the same time. The thread that asks works along, and goes on when
// all is sent: so to everybody else it is as if it had done it alone.
//
// Always true: between calls of SendAll the pool's threads touch nothing and sleep.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep::io {

// What the kernel takes of them at once, never waiting; below 0: the error, as -errno. That it
// takes nothing now is none.
ssize_t SendNow(int fd, BytesView bytes);

class SendPool {
 public:
  // Worth being shared: to wake a thread costs about as much as one send.
  static constexpr size_t kJobsMin = 4;

  struct Job {
    int fd = -1;
    BytesView bytes;
    ssize_t sent = 0;  // SendNow's.
  };

  // So many threads beside the caller's. They leave signals to others.
  explicit SendPool(size_t threads);
  ~SendPool();
  SendPool(const SendPool&) = delete;
  SendPool& operator=(const SendPool&) = delete;

  // Each descriptor once at most.
  void SendAll(std::span<Job> jobs);

 private:
  void Work();
  void TakeJobs(std::span<Job> jobs);

  std::mutex mutex_;
  std::condition_variable begun_;
  std::condition_variable left_;
  // Under the mutex. While it is not empty whoever wakes up may take part.
  std::span<Job> jobs_;
  uint64_t round_ = 0;
  size_t inside_ = 0;  // Threads that take part.
  bool closing_ = false;

  std::atomic<size_t> next_{0};  // The first job that nobody has taken.
  std::vector<std::thread> threads_;
};

}  // namespace lockstep::io
