#include "cluster/raft/progress.h"

#include <algorithm>

#include "src/base/check.h"

namespace lockstep::raft {

void Progress::ForgetInFlight() {
  in_flight_.clear();
  bytes_in_flight_ = 0;
  awaits_answer_ = asks_ = ask_only_ = false;
}

void Progress::BecomeProbe(Index next, MonoTime now) {
  CHECK(next > match_);
  mode_ = Mode::kProbe;
  next_ = next;
  quiet_since_ = now;
  transfer_ = {};
  ForgetInFlight();
}

void Progress::BecomeReplicate(MonoTime now) {
  mode_ = Mode::kReplicate;
  next_ = Next(match_);
  quiet_since_ = now;
  transfer_ = {};
  ForgetInFlight();
}

void Progress::BecomeSnapshot(MonoTime now) {
  mode_ = Mode::kSnapshot;
  quiet_since_ = now;
  transfer_ = {};
  ForgetInFlight();
}

void Progress::OnSent(size_t count, size_t bytes, MonoTime now) {
  CHECK(mode_ != Mode::kSnapshot);
  asks_ = false;
  if (mode_ == Mode::kProbe) {
    // next stays where it is: the guess is not confirmed.
    awaits_answer_ = true;
    quiet_since_ = now;
    return;
  }
  if (count == 0) return;
  if (in_flight_.empty()) quiet_since_ = now;
  next_.value += count;
  in_flight_.push_back({.last = Previous(next_), .bytes = bytes});
  bytes_in_flight_ += bytes;
}

bool Progress::WindowIsOpen(size_t entries_max, size_t bytes_max) const {
  return EntriesInFlight() < entries_max && bytes_in_flight_ < bytes_max;
}

bool Progress::OnMatch(Index match, MonoTime now) {
  const bool confirms_guess = mode_ == Mode::kProbe && match >= Previous(next_);
  const bool is_news = match > match_;
  if (is_news) {
    match_ = match;
    quiet_since_ = now;
    next_ = std::max(next_, Next(match));
    while (!in_flight_.empty() && in_flight_.front().last <= match) {
      bytes_in_flight_ -= in_flight_.front().bytes;
      in_flight_.pop_front();
    }
  }
  if (confirms_guess || (is_news && mode_ == Mode::kProbe)) BecomeReplicate(now);
  return is_news;
}

bool Progress::OnRejected(Index rejected, Index guess, MonoTime now) {
  if (mode_ == Mode::kSnapshot) return false;
  // It has acknowledged that index since, or it answers another request than the one that counts.
  if (rejected <= match_) return false;
  if (mode_ == Mode::kProbe && rejected != Previous(next_)) return false;

  BecomeProbe(std::max(Next(match_), Next(std::min(guess, Previous(rejected)))), now);
  return true;
}

void Progress::OnAlive(MonoTime now, int64_t heartbeat_us) {
  const int64_t quiet_us = now - quiet_since_;
  if (mode_ == Mode::kProbe && awaits_answer_ && quiet_us >= heartbeat_us) {
    awaits_answer_ = false;
    ask_only_ = true;
  }
  if (quiet_us < 2 * heartbeat_us) return;
  if (mode_ == Mode::kReplicate && !in_flight_.empty()) {
    asks_ = true;
    quiet_since_ = now;
  }
  if (mode_ == Mode::kSnapshot) ResendChunks(now);
}

// One request follows at once: if the link has just come back it goes through. If the link is down
// it is lost as well; then no other follows before the next sign of life, however often we are
// told.
void Progress::OnUnreachable(MonoTime now, int64_t heartbeat_us) {
  const bool tried_just_now = now - quiet_since_ < heartbeat_us;
  switch (mode_) {
    case Mode::kReplicate:
      return BecomeProbe(Next(match_), now);
    case Mode::kProbe:
      if (!tried_just_now) awaits_answer_ = false;
      return;
    case Mode::kSnapshot:
      if (!tried_just_now) ResendChunks(now);
      return;
  }
}

void Progress::ResendChunks(MonoTime now) {
  if (transfer_.source == nullptr) return;
  transfer_.next = transfer_.acked;
  transfer_.ask = true;
  transfer_.resent = true;
  // It has all of it and is not done: that is no sign of life of the transfer.
  const bool is_there = transfer_.acked == transfer_.source->snapshot.data.size();
  if (!is_there) quiet_since_ = now;
}

void Progress::BeginAnew(Index copy, Index next, MonoTime now) {
  *this = Progress(next, now);
  copy_ = copy;
}

void Progress::OnReadPosition(uint64_t position) {
  read_position_ = std::max(read_position_, position);
}

void Progress::CheckInvariants() const {
  CHECK(match_ < next_);
  size_t bytes = 0;
  Index before = match_;
  for (const Sent& sent : in_flight_) {
    CHECK(sent.last > before);
    before = sent.last;
    bytes += sent.bytes;
  }
  CHECK(bytes == bytes_in_flight_);
  CHECK(in_flight_.empty() || mode_ == Mode::kReplicate);
  CHECK(mode_ != Mode::kReplicate || before == Previous(next_));
  CHECK((transfer_.source == nullptr) || mode_ == Mode::kSnapshot);
  CHECK(transfer_.acked <= transfer_.next);
}

}  // namespace lockstep::raft
