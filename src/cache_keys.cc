// The keys of a shard as a whole, as its home answers for them.
//
// Whether a key is there only its owner knows, if a cache owns the line: it is read back first, and
// the question is answered when that has come. Who owns it then may write again at once: so what
// was found at the moment at which the home had it is remembered for whoever asked before
// (Witness). Each key is told of as it was at some instant after the question.
#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/hash.h"
#include "src/cache_shard.h"

namespace lockstep {
namespace {

using mesi::Dir;

constexpr int64_t kWitnessUs = 6 * kUsPerSecond;  // Longer than anybody goes on asking.
constexpr int64_t kForgetEveryUs = kUsPerSecond;
constexpr uint64_t kPageWorkMax = 16'384;  // In lines that are easily matched.

// How many plain comparisons a match is worth: long patterns on long names cost their product.
uint64_t MatchWork(BytesView pattern, BytesView name) {
  return 1 + pattern.size() * name.size() / 1024;
}

// The home's value is the latest: nobody may have written since.
bool HomeKnows(Dir state) { return mesi::HomeServes(state) || state == Dir::kBInv; }

Dir DirOf(const mesi::Line& line) { return static_cast<Dir>(line.state()); }

Bytes VersionText(const mesi::Version& version) {
  return Format("%lu.%lu.%lu", version.epoch, version.gen, version.seq);
}

int64_t TtlMs(MonoTime now, const mesi::Line& line) {
  if (!line.present() || line.deadline() <= now) return -2;
  return line.deadline() == kNeverMono ? -1 : (line.deadline() - now + 999) / 1000;
}

}  // namespace

Reply Cache::Answer(MonoTime now, GroupId group, MonoTime asked, BytesView encoded) {
  now_ = now;
  touched_ = true;
  std::optional<CacheQuery> query = DecodeCacheQuery(encoded);
  if (!query) return Reply::Error("ERR", "unreadable question about the keys of a shard");
  Shard* shard = ShardOfGroup(group);
  if (shard == nullptr || shard->home == nullptr || !shard->home->MayServe(now)) {
    return CachePage{.again = true, .home_tag = query->home_tag, .since = query->since}.Encode();
  }
  const uint32_t tag = HomeTag(shard->home->epoch());
  const bool ours = query->home_tag == tag && query->since <= now;
  if (!ours && query->kind != CacheQuery::Kind::kRandom) query->cursor = 0;
  if (!ours || query->since == MonoTime{}) query->since = asked;
  CachePage page{.home_tag = tag, .since = query->since};
  switch (query->kind) {
    case CacheQuery::Kind::kNames:
    case CacheQuery::Kind::kCount:
      AnswerNames(shard, *query, &page);
      break;
    case CacheQuery::Kind::kRandom:
      AnswerRandom(shard, *query, &page);
      break;
    case CacheQuery::Kind::kFlush:
    case CacheQuery::Kind::kFlushPrefix:
      FlushKeys(shard, *query, &page);
      break;
    case CacheQuery::Kind::kLine:
      page.body = DescribeLine(*shard, query->name);
      break;
  }
  return std::move(page).Encode();
}

// Nothing: only its owner knows.
std::optional<bool> Cache::IsThere(const Shard& shard, const mesi::Line& line,
                                   MonoTime since) const {
  // What is hidden nobody knows before the log does.
  const bool known = HomeKnows(DirOf(line)) && !shard.home->IsHidden(now_, line);
  if (known) return line.present() && line.deadline() > now_;
  const auto witness = shard.witnesses.find(line.key());
  if (witness == shard.witnesses.end() || !witness->second.seen) return std::nullopt;
  if (*witness->second.seen < since) return std::nullopt;
  return witness->second.present;
}

void Cache::AnswerNames(Shard* shard, const CacheQuery& query, CachePage* page) {
  const bool names = query.kind == CacheQuery::Kind::kNames;
  if (names) page->body = Reply::Array();
  int64_t count = 0;
  std::vector<Bytes> unknown;
  uint64_t work = 0;
  size_t bytes = 0;
  const auto visit = [&](const mesi::Line* line) {
    ++page->lines;
    const BytesView key = line->key();
    work += MatchWork(query.name, key);
    if (query.slot && SlotOf(key) != *query.slot) return;
    if (query.name != "*" && !GlobMatch(query.name, key)) return;
    const std::optional<bool> there = IsThere(*shard, *line, query.since);
    if (!there) unknown.emplace_back(key);
    if (!there.value_or(false)) return;
    ++count;
    bytes += kReplyItemCost + key.size();
    if (names) page->body.Add(Reply::Bulk(Bytes(key)));
  };
  const uint32_t lines = std::clamp<uint32_t>(query.count, 1, kCachePageMax);
  page->next = query.cursor;
  do {
    page->next = shard->home->lines().Scan(page->next, 1, visit);
  } while (page->next != 0 && page->lines < lines && work < kPageWorkMax && bytes < kPageBytesMax);
  if (!names) page->body = Reply::Integer(count);
  ReadBack(shard, unknown, page);
}

// Of the first keys from the cursor on, around the table.
void Cache::AnswerRandom(Shard* shard, const CacheQuery& query, CachePage* page) {
  mesi::LineTable& lines = shard->home->lines();
  page->lines = lines.present();
  std::vector<Bytes> there, unknown;
  uint64_t cursor = query.cursor;
  for (bool around = false; there.empty() && unknown.empty();) {
    cursor = lines.Scan(cursor, 1, [&](const mesi::Line* line) {
      const std::optional<bool> known = IsThere(*shard, *line, query.since);
      if (!known) unknown.emplace_back(line->key());
      if (known.value_or(false)) there.emplace_back(line->key());
    });
    if (around && (cursor == 0 || cursor >= query.cursor)) break;
    around |= cursor == 0;
  }
  if (!there.empty()) {
    page->body = Reply::Bulk(there[query.count % there.size()]);
  } else {
    ReadBack(shard, unknown, page);
  }
}

void Cache::ReadBack(Shard* shard, const std::vector<Bytes>& keys, CachePage* page) {
  if (keys.empty()) return;
  *page = {.again = true, .home_tag = page->home_tag, .since = page->since};
  for (const Bytes& key : keys) {
    shard->witnesses[key].asked = now_;
    (void)shard->home->Hold(now_, key, false);
  }
}

// What owners have comes back, and readers drop what they have, before a line is erased: so no
// older value comes back afterwards.
void Cache::FlushKeys(Shard* shard, const CacheQuery& query, CachePage* page) {
  mesi::Home* home = shard->home.get();
  std::vector<Bytes> keys;
  const bool by_prefix = query.kind == CacheQuery::Kind::kFlushPrefix;
  const uint32_t lines = std::clamp<uint32_t>(query.count, 1, kCachePageMax);
  page->next = home->lines().Scan(query.cursor, lines, [&](const mesi::Line* line) {
    const bool known = HomeKnows(DirOf(*line)) && !home->IsHidden(now_, *line);
    const bool gone = known && !line->present();
    const bool asked = !by_prefix || line->key().starts_with(query.name);
    if (!gone && asked) keys.emplace_back(line->key());
  });
  for (const Bytes& key : keys) {
    const auto known = shard->witnesses.find(key);
    const bool erased = known != shard->witnesses.end() && known->second.erased &&
                        *known->second.erased >= query.since;
    if (erased) continue;
    if (home->Hold(now_, key, true)) {
      const mesi::Line* line = home->lines().Find(key);
      if (line != nullptr && line->durable()) {
        home->EraseDurable(now_, key);
        page->again = true;
      } else {
        shard->OnUnreadable(key);
        home->Erase(key);
      }
      continue;
    }
    Shard::Witness& witness = shard->witnesses[key];
    witness.asked = now_;
    witness.erase = true;
    page->again = true;
  }
}

// The home has the line, for this moment.
void Cache::Witnessed(Shard* shard, BytesView key) {
  const auto found = shard->witnesses.find(key);
  if (found == shard->witnesses.end() || shard->home == nullptr) return;
  Shard::Witness& witness = found->second;
  if (now_ - witness.asked > kWitnessUs) return;
  const mesi::Line* line = shard->home->lines().Find(key);
  // The log has told of what a cache owns.
  const bool known = line == nullptr ||
                     (HomeKnows(DirOf(*line)) && !shard->home->IsHidden(now_, *line));
  if (!known) return;
  const bool alone = line == nullptr || (DirOf(*line) == Dir::kU && !line->durable());
  if (witness.erase && alone) {
    shard->OnUnreadable(key);
    shard->home->Erase(key);
    line = shard->home->lines().Find(key);
    witness.erase = false;
    witness.erased = now_;
  }
  witness.seen = now_;
  witness.present = line != nullptr && line->present() && line->deadline() > now_;
}

void Cache::ForgetWitnesses(MonoTime now, Shard* shard) {
  if (shard->witnesses.empty() || now < shard->forget_at) return;
  shard->forget_at = now + kForgetEveryUs;
  std::erase_if(shard->witnesses,
                [now](const auto& one) { return now - one.second.asked > kWitnessUs; });
}

// Names and values in turn, for DCACHE.STATE.
Reply Cache::DescribeLine(const Shard& shard, BytesView key) const {
  const mesi::Home& home = *shard.home;
  const mesi::Line* line = shard.home->lines().Find(key);
  const Dir state = line == nullptr ? Dir::kU : DirOf(*line);
  Reply owner = Reply::Nil();
  Reply sharers = Reply::Array();
  if (!HomeKnows(state)) {
    owner = Reply::Integer(static_cast<int64_t>(home.NodeOf(line->owner()).value));
  } else if (state != Dir::kU) {
    for (uint8_t i = 0; i < mesi::kCaches; ++i) {
      if ((line->sharers() & mesi::BitOf(i)) == 0) continue;
      sharers.Add(Reply::Integer(static_cast<int64_t>(home.NodeOf(i).value)));
    }
  }
  Reply parts = Reply::Array();
  const auto add = [&parts](const char* name, Reply value) {
    parts.Add(Reply::Bulk(name)).Add(std::move(value));
  };
  add("home", Reply::Integer(static_cast<int64_t>(options_.self.value)));
  add("epoch", Reply::Integer(static_cast<int64_t>(home.epoch().value)));
  add("directory", Reply::Bulk(mesi::NameOf(state)));
  add("owner", std::move(owner));
  add("sharers", std::move(sharers));
  add("home-events", Reply::Array());
  for (Bytes& text : events_.Tell(now_, key)) parts.items.back().Add(Reply::Bulk(std::move(text)));
  return parts;
}

// For whoever looks ------------------------------------------------------------------------------

Cache::HomeKeys Cache::KeysHere() const {
  HomeKeys here;
  for (const auto& shard : shards_) {
    if (shard->home == nullptr) continue;
    here.keys += shard->home->lines().present();
    here.expiring += shard->home->lines().with_deadline();
  }
  return here;
}

CacheFigures Cache::Figures() const {
  CacheFigures figures{.stats = stats_, .bytes = bytes()};
  for (const auto& shard : shards_) {
    if (shard->home == nullptr) {
      shard->agent.lines().ForEach([&](const mesi::Line* line) {
        const auto state = static_cast<mesi::Copy>(line->state());
        uint64_t* const of = state == mesi::Copy::kM   ? &figures.modified
                             : state == mesi::Copy::kE ? &figures.exclusive
                             : state == mesi::Copy::kS ? &figures.shared
                                                       : &figures.moving;
        ++*of;
      });
      continue;
    }
    shard->home->lines().ForEach([&](const mesi::Line* line) {
      const Dir state = DirOf(*line);
      uint64_t* const of = state == Dir::kU    ? &figures.home_alone
                           : state == Dir::kSh ? &figures.home_shared
                           : state == Dir::kX  ? &figures.home_owned
                                               : &figures.home_busy;
      ++*of;
    });
  }
  return figures;
}

CachedLine Cache::LineHere(BytesView key) const {
  Shard& shard = FindShard(key);
  const bool at_home = shard.home != nullptr;
  const mesi::Line* line = shard.lines().Find(key);
  const MonoTime lease = at_home ? shard.home->lease_until() : shard.agent.lease_until();
  CachedLine here{.state = StateOf(key), .events = events_.Tell(now_, key)};
  here.lease_ms = std::max<int64_t>(0, lease - now_) / 1000;
  if (line == nullptr || here.state == 'I') return here;
  here.version = VersionText(line->version());
  here.ttl_ms = TtlMs(now_, *line);
  here.bytes = line->value().size();
  return here;
}

}  // namespace lockstep
