#include "src/io/send_pool.h"

#include <signal.h>
#include <sys/socket.h>

#include <cerrno>

namespace lockstep::io {

// Not by write: send knows that it has a socket before it, and write has to find out each time.
ssize_t SendNow(int fd, BytesView bytes) {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

SendPool::SendPool(size_t threads) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

SendPool::~SendPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  begun_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

// One that wakes up late finds nothing left to do, or nobody at it: it is never waited for.
void SendPool::SendAll(std::span<Job> jobs) {
  {
    const std::lock_guard lock(mutex_);
    next_ = 0;
    jobs_ = jobs;
    ++round_;
  }
  begun_.notify_all();
  TakeJobs(jobs);
  std::unique_lock lock(mutex_);
  jobs_ = {};
  left_.wait(lock, [this] { return inside_ == 0; });
}

void SendPool::Work() {
  std::unique_lock lock(mutex_);
  for (uint64_t seen = 0;;) {
    begun_.wait(lock, [&] { return closing_ || (round_ != seen && !jobs_.empty()); });
    if (closing_) return;
    seen = round_;
    const std::span<Job> jobs = jobs_;
    ++inside_;
    lock.unlock();
    TakeJobs(jobs);
    lock.lock();
    if (--inside_ == 0) left_.notify_one();
  }
}

void SendPool::TakeJobs(std::span<Job> jobs) {
  for (size_t i = next_++; i < jobs.size(); i = next_++) {
    jobs[i].sent = SendNow(jobs[i].fd, jobs[i].bytes);
  }
}

}  // namespace lockstep::io
