// Commands of several keys. All are asked for at once, and it would do to wait for the moment at
// which all are held; but nodes that want the same keys would take them from each other for ever.
// So keys are kept as they come, in one order for all nodes, those before them being kept, too:
// whoever has the first has a claim to the next that nobody else's can cross (Havender 1968). A key
// is kept for a moment only: whatever goes wrong, it is let go of then.
#include <algorithm>

#include "src/cache_shard.h"

namespace lockstep {
namespace {

constexpr int64_t kPinUsMax = 50 * kUsPerMs;

}  // namespace

// Whether all is held, now.
bool Cache::Gather(Waiting* waiting) {
  const Want& first = waiting->wants.front();
  if (waiting->wants.size() == 1) {
    return Hold(now_, first.key, PlaceOf(first.key), first.write, waiting->ship_bytes > 0);
  }
  bool all = true;
  for (size_t i = 0; i < waiting->wants.size(); ++i) {
    const Want& want = waiting->wants[i];
    const bool held = Holds(now_, want.key, want.write);
    if (!held && i < waiting->pinned) UnpinFrom(waiting, i);  // Its lease was over.
    all &= held;
    if (!all) continue;
    if (waiting->pinned == 0) waiting->pinned_since = now_;
    if (i >= waiting->pinned) ++pins_[want.key];
    waiting->pinned = std::max(waiting->pinned, i + 1);
    PinLine(want.key);
  }
  // Asking for one may have cost another, when a lease was found to be over.
  return all && std::all_of(waiting->wants.begin(), waiting->wants.end(), [this](const Want& want) {
    return Hold(now_, want.key, PlaceOf(want.key), want.write);
  });
}

void Cache::PinLine(BytesView key) {
  Shard& shard = FindShard(key);
  shard.home != nullptr ? shard.home->Pin(key) : shard.agent.Pin(key);
}

void Cache::ReleasePin(BytesView key) {
  const auto pin = pins_.find(key);
  if (pin == pins_.end() || --pin->second > 0) return;
  unpinned_.push_back(pin->first);
  pins_.erase(pin);
}

void Cache::UnpinFrom(Waiting* waiting, size_t first) {
  for (size_t i = first; i < waiting->pinned; ++i) ReleasePin(waiting->wants[i].key);
  waiting->pinned = std::min(waiting->pinned, first);
}

void Cache::ReleaseOldPins() {
  for (auto& [number, waiting] : waiting_) {
    if (waiting.pinned == 0 || now_ - waiting.pinned_since < kPinUsMax) continue;
    UnpinFrom(&waiting, 0);
    gather_again_.push_back(number);
  }
}

// Not where it was let go of: that may be in the midst of another line's transition.
void Cache::Settle() {
  while (!unpinned_.empty() || !gather_again_.empty() || !wake_.empty()) {
    touched_ = true;
    for (const Bytes& key : std::exchange(unpinned_, {})) {
      if (pins_.find(key) != pins_.end()) continue;
      Shard& shard = FindShard(key);
      shard.home != nullptr ? shard.home->Unpin(now_, key) : shard.agent.Unpin(now_, key);
    }
    for (const uint64_t number : std::exchange(gather_again_, {})) LookAgain(number);
    // After others have had what they asked for meanwhile.
    for (const Bytes& key : std::exchange(wake_, {})) OnKeyHeld(key);
  }
}

}  // namespace lockstep
