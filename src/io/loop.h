// The event loop of one thread, and the turn: what the sockets have is taken in, then once, before
// the thread sleeps, the turn's function decides and hands out (src/io/server.cc).
//
// The turn runs in libuv's prepare phase: after timers and closings, just before the poll. So
// whatever callback brought the news, nothing sleeps on it, and the reads of one poll become one
// batch.
//
// Time is the kernel's boot clock, read at each question: it goes on while the machine sleeps, and
// libuv's own notion of now stands still for as long as a callback runs (a lease measured by it
// lives too long). libuv's timers only wake us; nothing is decided by them.
//
// Not thread-safe, but for Waker::Wake.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "src/base/time.h"

namespace lockstep::io {

// A libuv handle on the heap: libuv needs it until its close callback, its owner does not.
template <class T>
struct CloseHandle {
  void operator()(T* handle) const {
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<T*>(closed); });
  }
};
template <class T>
using HandlePtr = std::unique_ptr<T, CloseHandle<T>>;

class Loop {
 public:
  Loop();
  ~Loop();  // After everything that lives on it.
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  uv_loop_t* uv() { return &uv_; }

  // Never falls.
  MonoTime Now();
  // The latest Now of anybody: of this turn. For what need not be exact.
  MonoTime Lately() const { return latest_; }

  // Called once a turn. Returns when to be called again at the latest.
  void set_turn(std::function<MonoTime()> turn) { turn_ = std::move(turn); }

  // Counts polls.
  uint64_t turn_number() const { return turn_number_; }

  // What wants to be called once, when what was there at the last poll has been handed out; the
  // turn's function then runs again.
  class AfterTurn {
   public:
    virtual void OnAfterTurn() = 0;

   protected:
    ~AfterTurn() = default;
  };
  void CallAfterTurn(AfterTurn* who) { after_turn_.push_back(who); }
  void CancelAfterTurn(AfterTurn* who);

  // The longest time since the last call that a turn kept the loop from its sockets.
  int64_t TakeLagUs() { return std::exchange(lag_us_, 0); }

  void Run();
  void Stop() { uv_stop(&uv_); }

 private:
  void OnBeforePoll();
  void WakeAt(MonoTime when);

  uv_loop_t uv_;
  MonoTime latest_;
  uint64_t turn_number_ = 0;
  std::function<MonoTime()> turn_;
  std::vector<AfterTurn*> after_turn_;
  MonoTime polled_;  // When the last poll gave back.
  int64_t lag_us_ = 0;
  HandlePtr<uv_prepare_t> before_poll_;
  HandlePtr<uv_check_t> after_poll_;
  HandlePtr<uv_timer_t> wake_;
};

// Calls back once, `us` from now at the earliest. Destroyed, it calls no more.
class Timer {
 public:
  Timer(Loop* loop, std::function<void()> ring);
  void Start(int64_t us);
  void Stop() { uv_timer_stop(handle_.get()); }

 private:
  std::function<void()> ring_;
  HandlePtr<uv_timer_t> handle_;
};

// Calls back each time the process gets the signal.
class SignalWatch {
 public:
  SignalWatch(Loop* loop, int signal, std::function<void()> got);

 private:
  std::function<void()> got_;
  HandlePtr<uv_signal_t> handle_;
};

// Wakes the loop from any thread; several wakes may become one call.
class Waker {
 public:
  Waker(Loop* loop, std::function<void()> woken);
  void Wake() { uv_async_send(handle_.get()); }

 private:
  std::function<void()> woken_;
  HandlePtr<uv_async_t> handle_;
};

}  // namespace lockstep::io
