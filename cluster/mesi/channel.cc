#include "cluster/mesi/channel.h"

#include <algorithm>
#include <utility>

namespace lockstep::mesi {

uint64_t Channel::Send(const Message& message) {
  Bytes encoded;
  Writer out(&encoded);
  EncodeMessage(message, &out);
  kept_bytes_ += encoded.size();
  kept_.push_back(std::move(encoded));
  return said();
}

void Channel::OnHeard(uint64_t has) {
  if (has <= heard_) return;
  heard_ = has;
  words_ = 0;
  while (first_ <= has) {
    kept_bytes_ -= kept_.front().size();
    under_way_ -= std::min(under_way_, kept_.front().size());
    kept_.pop_front();
    ++first_;
  }
  if (next_ < first_) next_ = first_;
}

void Channel::Flush(MonoTime now, Writer* out, size_t bytes_max) {
  uint64_t end = next_;
  size_t bytes = 0;
  // A large one goes alone: two of the largest are more than a frame may hold.
  while (end <= said() && MaySend()) {
    const size_t one = kept_[end - first_].size();
    if (bytes > 0 && bytes + one > bytes_max) break;
    bytes += one;
    ++end;
  }
  under_way_ += bytes;
  out->Signed(now.us);
  out->Varint(received_);
  out->Bool(std::exchange(ask_again_, false));
  out->Varint(next_);
  out->Varint(end - next_);
  for (; next_ < end; ++next_) out->Raw(kept_[next_ - first_]);
  left_ = std::max(left_, end - 1);
  unsaid_bytes_ = 0;
}

}  // namespace lockstep::mesi
