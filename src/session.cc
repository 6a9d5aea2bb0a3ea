#include "src/session.h"

#include <algorithm>
#include <utility>

#include "src/resp/writer.h"

namespace lockstep {

void Session::Write(const Reply& reply) {
  if (reply.kind != Reply::Kind::kNothing) resp::WriteReply(reply, client.protocol, &out_);
}

void Session::Answer(Reply&& reply, bool muted) {
  if (slots_.empty()) {
    if (!muted) Write(reply);
    return;
  }
  Slot slot;
  slot.filled = true;
  slot.muted = muted;
  slot.reply = std::move(reply);
  slots_.push_back(std::move(slot));
}

uint64_t Session::Open(Slot slot) {
  asked_ = slot.group;
  if (slot.read) ++open_reads_;
  if (slot.hands_over) ++open_hand_overs_;
  slots_.push_back(std::move(slot));
  return BackNumber();
}

Session::Slot* Session::Find(uint64_t number) {
  if (number < first_slot_ || number - first_slot_ >= slots_.size()) return nullptr;
  return &slots_[number - first_slot_];
}

Errand* Session::Attach(Slot* slot, std::unique_ptr<Task> task) {
  CHECK(slot->errand == nullptr && !slot->filled);
  slot->errand = std::make_unique<Errand>();
  slot->errand->task = std::move(task);
  slot->seq = 0;
  if (!std::exchange(slot->parked, false)) ++open_errands_;
  return slot->errand.get();
}

void Session::Park(Slot* slot, Reply elsewhere, std::unique_ptr<Task> task) {
  slot->parked = true;
  slot->task = std::move(task);
  slot->seq = 0;
  slot->reply = std::move(elsewhere);
  ++open_errands_;
}

void Session::Fill(uint64_t number, Reply reply) {
  Slot* slot = Find(number);
  if (slot == nullptr || slot->filled) return;
  if (slot->read) --open_reads_;
  if (slot->hands_over) --open_hand_overs_;
  if (slot->errand != nullptr || slot->parked) --open_errands_;
  slot->errand.reset();
  slot->task.reset();
  slot->parked = false;
  slot->filled = true;
  slot->reply = std::move(reply);
  WriteReady();
}

void Session::WriteReady() {
  while (!slots_.empty() && slots_.front().filled) {
    const Slot& slot = slots_.front();
    if (!slot.muted) Write(slot.reply);
    if (slot.gives()) {
      handed_.push_back({slot.group, slot.seq, slot.muted ? kNoSeq : taken_ + out_.size()});
    }
    slots_.pop_front();
    ++first_slot_;
  }
}

std::vector<Session::Handed> Session::TakeHandedBefore(size_t untaken) {
  std::vector<Handed> left;
  std::erase_if(handed_, [&](const Handed& one) {
    const bool gone = one.end == kNoSeq || (untaken <= taken_ && one.end <= taken_ - untaken);
    if (gone) left.push_back(one);
    return gone;
  });
  return left;
}

bool Session::IsBlocked() const {
  // A command that may wait is the last to be started until it is answered.
  return !slots_.empty() && slots_.back().waits && !slots_.back().filled;
}

}  // namespace lockstep
