// What the lock table tells the world beside its answers: events for subscribers, and circles in
// words.
#include "commands/lock_table.h"

namespace lockstep {
namespace {

constexpr size_t kCircleBytesMax = 4096;

// The length of the UTF-8 sequence at the start of `in`, 0 if there is no valid one (RFC 3629: no
// overlong forms, no surrogates, nothing above U+10FFFF).
size_t Utf8Length(BytesView in) {
  const auto byte = [&in](size_t i) {
    return i < in.size() ? static_cast<uint8_t>(in[i]) : uint8_t{0};
  };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (length == 0 || in.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = byte(1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool out_of_range = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return overlong || out_of_range ? 0 : length;
}

// A JSON string. Names are bytes: what is not UTF-8 is written byte by byte as \u00XX.
void AppendJson(BytesView text, Bytes* out) {
  out->push_back('"');
  while (!text.empty()) {
    const auto byte = static_cast<uint8_t>(text[0]);
    const size_t length = Utf8Length(text);
    if (length == 0 || byte < 0x20) {
      *out += Format("\\u%04x", byte);
      text.remove_prefix(1);
      continue;
    }
    if (byte == '"' || byte == '\\') out->push_back('\\');
    out->append(text.substr(0, length));
    text.remove_prefix(length);
  }
  out->push_back('"');
}

}  // namespace

void LockTable::Tell(const char* event, Slot<Lock> lock, Slot<Owner> owner, uint64_t token) {
  if (!events_wanted_) return;
  Bytes channel = "__lock__:";
  channel += state_.NameOf(lock);
  Bytes payload = "{\"event\":\"";
  payload += event;
  payload += "\",\"name\":";
  AppendJson(state_.NameOf(lock), &payload);
  payload += ",\"owner\":";
  AppendJson(state_.NameOf(owner), &payload);
  payload += Format(",\"token\":%llu}", static_cast<unsigned long long>(token));
  out_->Tell(std::move(channel), std::move(payload));
}

// "alice -> jobs/7 -> bob -> x -> alice", from the owner of step `first` round to it again.
Bytes LockTable::Describe(const std::vector<WaitGraph::Step>& circle, size_t first) const {
  Bytes text;
  for (size_t i = 0; i < circle.size(); ++i) {
    const WaitGraph::Step& step = circle[(first + i) % circle.size()];
    text += Printable(state_.NameOf(step.owner)) + " -> ";
    text += Printable(state_.NameOf(step.lock)) + " -> ";
    if (text.size() > kCircleBytesMax && i + 1 < circle.size()) {
      text += Format("(%zu more) -> ", circle.size() - i - 1);
      break;
    }
  }
  return text + Printable(state_.NameOf(circle[first].owner));
}

}  // namespace lockstep
