#include "src/io/io_pool.h"

#include <signal.h>
#include <sys/socket.h>
#include <uv.h>

#include <cerrno>

namespace lockstep::io {

// Not by write: send knows that it has a socket before it, and write has to find out each time.
ssize_t SendNow(int fd, BytesView bytes) {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

ssize_t ReadNow(int fd, std::span<char> room) {
  if (room.empty()) return UV_ENOBUFS;  // The kernel's answer would look like an end.
  const ssize_t got = ::recv(fd, room.data(), room.size(), MSG_DONTWAIT);
  if (got > 0) return got;
  if (got == 0) return UV_EOF;
  return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

IoPool::IoPool(size_t threads) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Serve(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

IoPool::~IoPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  begun_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

// One that wakes up late finds nothing left to do, or nobody at it: it is never waited for.
void IoPool::ForEach(size_t n, const Job& job) {
  const Work work{&job, n};
  {
    const std::lock_guard lock(mutex_);
    next_ = 0;
    work_ = work;
    ++round_;
  }
  begun_.notify_all();
  TakePart(work);
  std::unique_lock lock(mutex_);
  work_ = {};
  left_.wait(lock, [this] { return inside_ == 0; });
}

void IoPool::Serve() {
  std::unique_lock lock(mutex_);
  for (uint64_t seen = 0;;) {
    begun_.wait(lock, [&] { return closing_ || (round_ != seen && work_.job != nullptr); });
    if (closing_) return;
    seen = round_;
    const Work work = work_;
    ++inside_;
    lock.unlock();
    TakePart(work);
    lock.lock();
    if (--inside_ == 0) left_.notify_one();
  }
}

void IoPool::TakePart(const Work& work) {
  for (size_t i = next_++; i < work.n; i = next_++) (*work.job)(i);
}

}  // namespace lockstep::io
