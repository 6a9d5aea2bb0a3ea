// A home that makes way for the next one in an orderly way. What is on its way then is lost with
// the sessions: data of a dirty line that a cache has given back, a grant that has not come, a
// command that was shipped, a write that is to be logged. So it begins nothing more, tells its
// caches, and goes when what it has begun is over.
#include <algorithm>
#include <utility>

#include "cluster/mesi/home.h"

namespace lockstep::mesi {

void Home::BeginHandOver() {
  if (std::exchange(hands_over_, true)) return;
  for (const auto& session : sessions_) {
    if (session == nullptr) continue;
    listener_->OnShipsOver(session->node);
    RefuseShips(session->node, session->id);
  }
}

void Home::EndHandOver(MonoTime now) {
  if (!std::exchange(hands_over_, false)) return;
  for (const auto& session : sessions_) {
    if (session != nullptr) RefuseShips(session->node, session->id);  // From now on it takes some.
  }
  std::vector<Bytes> waited_for;
  for (const auto& [key, busy] : busy_) waited_for.push_back(key);
  for (const Bytes& key : waited_for) {
    ServeQueue(now, key);
    DropIfEmpty(key);
  }
  listener_->OnServing();
}

bool Home::IsAnyBusy() {
  return std::any_of(busy_.begin(), busy_.end(), [this](const auto& one) {
    const Line* line = lines_.Find(one.first);
    return line != nullptr && IsBusy(static_cast<Dir>(line->state()));
  });
}

// A cache that has what was said to it says so when it likes, if it is not asked to.
bool Home::IsQuiet() {
  if (IsAnyBusy() || !committing_.empty()) return false;
  bool quiet = true;
  for (const auto& session : sessions_) {
    if (session == nullptr || session->channel.heard() >= session->last_vital) continue;
    quiet = false;
    if (session->last_notice < session->last_vital) RefuseShips(session->node, session->id);
  }
  return quiet;
}

}  // namespace lockstep::mesi
