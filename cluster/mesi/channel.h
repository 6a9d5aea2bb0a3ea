// One end of a session: messages in both directions, each once and in order, over links that break,
// repeat and lose.
//
// What was sent is kept until the other end says that it has it; a gap, or a link that is new,
// makes the sender begin again behind what the other has. The order is what the protocol rests on:
// an Inv that overtakes the data which it is about leaves a stale copy for ever (IGNITE-627).
#pragma once

#include <deque>

#include "cluster/mesi/messages.h"

namespace lockstep::mesi {

class Channel {
 public:
  // Numbered from 1. Gives its number.
  uint64_t Send(const Message& message);

  uint64_t said() const { return first_ + kept_.size() - 1; }  // Messages given to Send so far.
  uint64_t heard() const { return heard_; }   // Of ours the other end has so many.
  uint64_t received() const { return received_; }
  uint64_t left() const { return left_; }     // Of ours that may be on their way, or there.
  size_t kept_bytes() const { return kept_bytes_; }  // That the other end may not have yet.

  // Something waits to be sent, and may be; or to be acknowledged soon.
  bool HasNews() const { return MaySend() || ask_again_ || unsaid_bytes_ >= kAckEveryBytes; }
  // Writes what HasNews: as much as fits in about `bytes_max`, one message at least.
  void Flush(MonoTime now, Writer* out, size_t bytes_max);

  // What is written by Flush. `take(message)` says whether it was taken; if not, it and what
  // follows it is left: the other end is asked for it again by AskAgain. False: it makes no sense.
  template <class Take>
  bool OnFrame(MonoTime now, Reader* in, const Take& take) {
    const MonoTime sent{in->Signed()};
    if (sent.us < 0 || sent.us > kClockUsMax) return false;
    const uint64_t has = in->Varint();
    const bool again = in->Bool();
    uint64_t seq = in->Varint();
    const size_t n = in->Count(4);
    if (!in->ok() || has > said()) return false;
    OnHeard(has);
    if (again) SendAgain();
    for (size_t i = 0; i < n; ++i, ++seq) {
      const size_t before = in->left();
      Message message;
      if (!DecodeMessage(in, &message)) return false;
      if (seq <= received_) continue;
      if (seq != received_ + 1) {
        ask_again_ = true;
        return true;
      }
      if (message.payload && message.payload->ends != kNeverMono) {
        message.payload->ends = now + (message.payload->ends - sent);
      }
      if (!take(message)) return true;
      received_ = seq;
      unsaid_bytes_ += before - in->left();
    }
    return in->done();
  }

  // By a lease's words: what the other end has, and has said.
  bool OnWord(uint64_t has, uint64_t said_by_other) {
    if (has > said()) return false;
    OnHeard(has);
    if (said_by_other > received_) ask_again_ = true;
    // What was under way at the word before the last must have come by now, or it is lost: until it
    // is heard, the lease is not prolonged. Much of it may take longer.
    words_ = has == word_before_ ? words_ + 1 : 0;
    word_before_ = has;
    if (words_ >= kWordsToWait + under_way_ / kBytesAWord && next_ > has + 1) SendAgain();
    return true;
  }
  void AskAgain() { ask_again_ = true; }
  void Acknowledge() { unsaid_bytes_ = kAckEveryBytes; }  // In the next Flush.
  // From the first that the other end may lack.
  void SendAgain() {
    next_ = first_;
    under_way_ = 0;
    words_ = 0;
  }

 private:
  static constexpr size_t kAckEveryBytes = 64 * 1024;
  // Beyond what the other end has: more would stand before other things in the link, or break it.
  static constexpr size_t kWindowBytes = 4 * 1024 * 1024;
  static constexpr size_t kWordsToWait = 2;
  static constexpr size_t kBytesAWord = 1024 * 1024;
  static constexpr int64_t kClockUsMax = int64_t{1} << 60;

  bool MaySend() const {
    return next_ <= said() && (under_way_ == 0 || under_way_ < kWindowBytes);
  }

  void OnHeard(uint64_t has);

  std::deque<Bytes> kept_;   // Encoded; the first is number first_.
  uint64_t first_ = 1;
  uint64_t next_ = 1;        // To be written by the next Flush.
  uint64_t left_ = 0;        // The last that was ever written.
  uint64_t heard_ = 0;
  uint64_t word_before_ = UINT64_MAX;
  size_t words_ = 0;         // That have said nothing new since.
  size_t under_way_ = 0;     // Bytes sent, and not heard of yet.
  size_t kept_bytes_ = 0;
  uint64_t received_ = 0;
  size_t unsaid_bytes_ = 0;  // Received, and not said so.
  bool ask_again_ = false;
};

}  // namespace lockstep::mesi
