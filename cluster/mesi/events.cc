#include "cluster/mesi/events.h"

#include <algorithm>
#include <utility>

#include "src/base/hash.h"

namespace lockstep::mesi {
namespace {

Bytes WhatOf(const Event& event) {
  const char* const message = NameOf(event.message);
  switch (event.kind) {
    case Event::Kind::kHeard: return Format("%s from node %lu", message, event.peer.value);
    case Event::Kind::kSaid: return Format("%s to node %lu", message, event.peer.value);
    case Event::Kind::kOwnRead: return "own read";
    case Event::Kind::kOwnWrite: return "own write";
    case Event::Kind::kGone: return Format("node %lu is gone", event.peer.value);
    case Event::Kind::kOver: return "session over";
    case Event::Kind::kDropped: return "dropped";
    case Event::Kind::kLeft: return "home no more";
    case Event::Kind::kAdopted: return "taken over";
  }
  return {};
}

}  // namespace

Bytes TextOf(const Event& event, MonoTime now) {
  const int64_t ms = std::max<int64_t>(0, now - event.at) / kUsPerMs;
  Bytes text = Format("-%ld.%03ld s ", ms / 1000, ms % 1000) + WhatOf(event);
  text += Format(": %s -> %s", event.from, event.to);
  if (event.owner != kNoNode) text += Format(" of node %lu", event.owner.value);
  if (event.gen != 0) text += Format(", gen %lu", event.gen);
  const Version& version = event.version;
  if (version != Version{}) {
    text += Format(", version %lu.%lu.%lu", version.epoch, version.gen, version.seq);
  }
  return text;
}

Events::Ring* Events::Find(uint64_t hash) const {
  const size_t set = hash % (kLinesMax / kWays) * kWays;
  for (size_t way = 0; way < kWays; ++way) {
    Ring* const ring = rings_[set + way].get();
    if (ring != nullptr && ring->hash == hash) return ring;
  }
  return nullptr;
}

Events::Ring* Events::Find(MonoTime now, BytesView key) const {
  Ring* const ring = Find(KeyedHash(key));
  if (ring != nullptr) ring->kept_until = now + kKeptUs;
  return ring;
}

Events::Ring* Events::Make(uint64_t hash, MonoTime now) {
  const size_t set = hash % (kLinesMax / kWays) * kWays;
  std::unique_ptr<Ring>* best = nullptr;
  for (size_t way = 0; way < kWays; ++way) {
    std::unique_ptr<Ring>& ring = rings_[set + way];
    if (ring == nullptr) {
      ring = std::make_unique<Ring>();
      best = &ring;
      break;
    }
    const auto rank = [now](const Ring& one) {
      return std::pair(one.kept_until > now, one.Latest().at);
    };
    if (best == nullptr || rank(*ring) < rank(**best)) best = &ring;
  }
  **best = Ring();
  (*best)->hash = hash;
  return best->get();
}

void Events::Note(GroupId shard, BytesView key, const Event& event) {
  const uint64_t hash = KeyedHash(key);
  Ring* ring = Find(hash);
  if (ring == nullptr) ring = Make(hash, event.at);
  ring->shard = shard;
  ring->Add(event);
}

void Events::NoteIfKnown(BytesView key, const Event& event) {
  if (Ring* ring = Find(KeyedHash(key))) ring->Add(event);
}

void Events::NoteOfAll(GroupId shard, Event event) {
  for (const auto& ring : rings_) {
    if (ring == nullptr || ring->shard != shard) continue;
    event.from = ring->Latest().to;
    if (BytesView(event.from) != event.to) ring->Add(event);
  }
}

std::vector<Bytes> Events::Tell(MonoTime now, BytesView key) const {
  std::vector<Bytes> texts;
  const Ring* const ring = Find(now, key);
  if (ring == nullptr) return texts;
  const uint64_t first = ring->noted - std::min(ring->noted, uint64_t{kEventsMax});
  for (uint64_t n = first; n < ring->noted; ++n) {
    texts.push_back(TextOf(ring->events[n % kEventsMax], now));
  }
  return texts;
}

size_t Events::lines() const {
  return static_cast<size_t>(std::count_if(rings_.begin(), rings_.end(),
                                           [](const auto& ring) { return ring != nullptr; }));
}

}  // namespace lockstep::mesi
