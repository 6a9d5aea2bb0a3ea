// The home's lines that go: the least used of them, and those whose time is over.
#include "cluster/mesi/home.h"

namespace lockstep::mesi {
namespace {

constexpr size_t kHandOfShared = 1;
constexpr int64_t kRememberUs = 60 * kUsPerSecond;
// For so long after an eviction caches are asked what they read.
constexpr int64_t kWantsTouchesUs = 10 * kUsPerSecond;

}  // namespace

// A cache's reads are not seen here, so what is shared may be in use however seldom its home is
// asked (CACHE's inclusive inversion): first what nobody else has, and of the rest first what no
// cache has named of late.
bool Home::EvictOne(MonoTime now, std::optional<uint8_t> line_class) {
  constexpr size_t kLooks = 64;
  const auto in = [this](Dir state) {
    return [this, state](const Line& line) { return MayGo(line, state); };
  };
  Line* line = lines_.Victim(kLooks, in(Dir::kU), line_class);
  if (line != nullptr) {
    Evict(line);
    wants_touches_until_ = now + kWantsTouchesUs;
    return true;
  }
  line = lines_.Victim(kLooks, in(Dir::kSh), line_class, kHandOfShared);
  if (line == nullptr || !MayServe(now) || hands_over_) return false;
  wants_touches_until_ = now + kWantsTouchesUs;
  const Bytes key(line->key());
  leaving_[key] = line->version();
  (void)Hold(now, key, true);
  return true;
}

bool Home::MayGo(const Line& line, Dir state) const {
  return !line.durable() && static_cast<Dir>(line.state()) == state &&
         busy_.find(line.key()) == busy_.end();
}

void Home::Evict(Line* line) {
  ++stats_->evictions;
  listener_->OnUnreadable(line->key());
  lines_.Remove(line);
}

// Its readers have dropped it by now, unless it is busy. If a cache has asked for it meanwhile, or
// it was written here, it stays.
void Home::LeaveIfDue(BytesView key) {
  const auto leaving = leaving_.find(key);
  if (leaving == leaving_.end()) return;
  Line* line = lines_.Find(key);
  if (line != nullptr && IsBusy(static_cast<Dir>(line->state()))) return;
  const Version version = leaving->second;
  leaving_.erase(leaving);
  if (line == nullptr || line->pinned() || line->version() != version) return;
  if (MayGo(*line, Dir::kU)) Evict(line);
}

// A cache may name what has gone meanwhile.
void Home::Touch(const std::vector<Bytes>& keys) {
  for (const Bytes& key : keys) {
    Line* line = lines_.Find(key);
    if (line == nullptr) continue;
    ++stats_->touches;
    lines_.Touch(line);
  }
}

size_t Home::SweepExpired(MonoTime now) {
  size_t looked = 0;
  std::vector<Bytes> over;
  sweep_ = lines_.Scan(sweep_, 1, [&](Line* line) {
    ++looked;
    if (line->present() && line->deadline() <= now) over.emplace_back(line->key());
    const bool remembered = line->dirty() && static_cast<Dir>(line->state()) == Dir::kU;
    if (!remembered || now - MonoTime{static_cast<int64_t>(line->gen())} < kRememberUs) return;
    line->set_dirty(false);
    over.emplace_back(line->key());
  });
  for (const Bytes& key : over) {
    ExpireIfDue(now, lines_.Find(key));
    DropIfEmpty(key);
  }
  return looked;
}

}  // namespace lockstep::mesi
