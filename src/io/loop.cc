#include "src/io/loop.h"

#include <signal.h>
#include <time.h>

#include <algorithm>

#include "src/base/check.h"

namespace lockstep::io {
namespace {

// libuv fails here only for a bad argument or for want of descriptors at start.
void Must(int status) {
  CHECK_SAYS(status == 0, "%s", uv_strerror(status));
}

template <class T>
HandlePtr<T> MakeHandle(void* data) {
  HandlePtr<T> handle(new T);
  handle->data = data;
  return handle;
}

// Rounded up: a timer that rings a little early would find nothing due and spin.
uint64_t CeilMs(int64_t us) {
  return us <= 0 ? 0 : static_cast<uint64_t>((us + kUsPerMs - 1) / kUsPerMs);
}

// A wait longer than any reason to wait; keeps libuv's sums far from overflow.
constexpr int64_t kSleepUsMax = 3600 * kUsPerSecond;

}  // namespace

Loop::Loop() {
  ::signal(SIGPIPE, SIG_IGN);  // A write to a socket that is closed is an error like any other.
  Must(uv_loop_init(&uv_));
  before_poll_ = MakeHandle<uv_prepare_t>(this);
  Must(uv_prepare_init(&uv_, before_poll_.get()));
  Must(uv_prepare_start(before_poll_.get(),
                        [](uv_prepare_t* h) { static_cast<Loop*>(h->data)->OnBeforePoll(); }));
  after_poll_ = MakeHandle<uv_check_t>(this);
  Must(uv_check_init(&uv_, after_poll_.get()));
  Must(uv_check_start(after_poll_.get(), [](uv_check_t* h) {
    auto* loop = static_cast<Loop*>(h->data);
    loop->polled_ = std::max(loop->polled_, loop->Now());
  }));
  wake_ = MakeHandle<uv_timer_t>(this);
  Must(uv_timer_init(&uv_, wake_.get()));
  polled_ = Now();
}

// Handles are closed by their owners before; what is left for libuv to do is to call back their
// closing (and a name's look-up that is under way: it cannot be broken off).
Loop::~Loop() {
  turn_ = nullptr;
  before_poll_.reset();
  after_poll_.reset();
  wake_.reset();
  uv_run(&uv_, UV_RUN_DEFAULT);  // Only close callbacks are left.
  const int closed = uv_loop_close(&uv_);
  CHECK_SAYS(closed == 0, "%s", uv_strerror(closed));
}

MonoTime Loop::Now() {
  timespec now = {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  latest_ = std::max(latest_, MonoTime{now.tv_sec * kUsPerSecond + now.tv_nsec / 1000});
  return latest_;
}

void Loop::CancelAfterTurn(AfterTurn* who) {
  std::replace(after_turn_.begin(), after_turn_.end(), who, static_cast<AfterTurn*>(nullptr));
}

void Loop::Run() {
  uv_run(&uv_, UV_RUN_DEFAULT);
}

// The second call of the turn's function is for what the callbacks brought: else it would lie
// until the next wake-up.
void Loop::OnBeforePoll() {
  if (turn_ == nullptr) return;
  MonoTime when = turn_();
  if (!after_turn_.empty()) {
    // Called in place: whoever is destroyed meanwhile takes itself out of the list.
    for (size_t i = 0; i < after_turn_.size(); ++i) {
      if (AfterTurn* who = std::exchange(after_turn_[i], nullptr)) who->OnAfterTurn();
    }
    after_turn_.clear();
    when = turn_();
  }
  lag_us_ = std::max(lag_us_, Now() - polled_);
  turn_number_ += 1;
  WakeAt(after_turn_.empty() ? when : latest_);  // New ones: look at the sockets, then come back.
}

void Loop::WakeAt(MonoTime when) {
  const int64_t us = when <= latest_ ? 0 : std::min(when - latest_, kSleepUsMax);
  // Must wake up the poll and nothing else: the turn comes of itself.
  uv_timer_start(
      wake_.get(), [](uv_timer_t*) {}, CeilMs(us), 0);
}

Timer::Timer(Loop* loop, std::function<void()> ring)
    : ring_(std::move(ring)), handle_(MakeHandle<uv_timer_t>(this)) {
  Must(uv_timer_init(loop->uv(), handle_.get()));
}

void Timer::Start(int64_t us) {
  uv_update_time(handle_->loop);  // Else it counts from the start of the turn.
  uv_timer_start(
      handle_.get(), [](uv_timer_t* h) { static_cast<Timer*>(h->data)->ring_(); }, CeilMs(us), 0);
}

SignalWatch::SignalWatch(Loop* loop, int signal, std::function<void()> got)
    : got_(std::move(got)), handle_(MakeHandle<uv_signal_t>(this)) {
  Must(uv_signal_init(loop->uv(), handle_.get()));
  Must(uv_signal_start(
      handle_.get(), [](uv_signal_t* h, int) { static_cast<SignalWatch*>(h->data)->got_(); },
      signal));
}

Waker::Waker(Loop* loop, std::function<void()> woken)
    : woken_(std::move(woken)), handle_(MakeHandle<uv_async_t>(this)) {
  Must(uv_async_init(loop->uv(), handle_.get(),
                     [](uv_async_t* h) { static_cast<Waker*>(h->data)->woken_(); }));
}

}  // namespace lockstep::io
