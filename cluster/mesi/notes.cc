// What agent and home note of their lines' transitions (events.h).
#include "cluster/mesi/agent.h"
#include "cluster/mesi/home.h"

namespace lockstep::mesi {
namespace {

// What an agent says of its own accord; nothing: it says nothing.
std::optional<MessageType> SaidBy(uint16_t actions) {
  if ((actions & kSendGetS) != 0) return MessageType::kGetS;
  if ((actions & (kSendGetX | kSendGetXHave)) != 0) return MessageType::kGetX;
  if ((actions & (kSendWbEvict | kSendWbDemote)) != 0) return MessageType::kWriteBack;
  return std::nullopt;
}

}  // namespace

// Before the value is dropped, if it is.
void Agent::NoteStep(MonoTime now, BytesView key, const Line* line, Copy before, AgentStep step,
                     const Message* from) {
  Event event{.at = now, .peer = home_, .from = NameOf(before), .to = NameOf(step.next)};
  if (line != nullptr && (IsReadable(before) || IsReadable(step.next) || IsOwned(before))) {
    event.version = line->version();
  }
  if (from != nullptr) {
    event.message = from->type;
    event.gen = from->gen;
    return options_.events->Note(options_.shard, key, event);
  }
  if (const std::optional<MessageType> said = SaidBy(step.actions)) {
    event.kind = Event::Kind::kSaid;
    event.message = *said;
    if (IsOwned(step.next)) event.gen = line->gen();
    return options_.events->Note(options_.shard, key, event);
  }
  if (before == step.next) return;
  event.kind = Event::Kind::kDropped;
  options_.events->NoteIfKnown(key, event);
}

void Home::NoteStep(MonoTime now, BytesView key, Dir before, const DirLine& dir,
                    const Message* from, const Session* speaker) {
  Event event{.at = now, .from = NameOf(before), .to = NameOf(dir.state)};
  if (!HomeServes(dir.state) && dir.state != Dir::kBInv) {
    event.gen = dir.gen;
    event.owner = NodeOf(dir.owner);
  }
  if (const Line* line = lines_.Find(key)) event.version = line->version();
  if (from != nullptr) {
    event.message = from->type;
    event.peer = speaker->node;
  } else if (speaker != nullptr) {
    event.kind = Event::Kind::kGone;
    event.peer = speaker->node;
    return options_.events->NoteIfKnown(key, event);
  } else if (dir.request.who == kHome) {
    event.kind = dir.request.write ? Event::Kind::kOwnWrite : Event::Kind::kOwnRead;
  } else if (dir.request.who < kCaches) {
    event.message = dir.request.write ? MessageType::kGetX : MessageType::kGetS;
    event.peer = NodeOf(dir.request.who);
  }
  options_.events->Note(options_.shard, key, event);
}

}  // namespace lockstep::mesi
