#include "tests/sim/cache_checker.h"

#include <algorithm>
#include <vector>

#include "src/cache.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr size_t kKeysMax = 12;

struct Shown {
  NodeId node;
  bool writes = false;
  bool present = false;
  BytesView value;
};

// LineTable finds what it changes; here nothing is changed.
const mesi::Line* Find(const mesi::LineTable& lines, BytesView key) {
  return const_cast<mesi::LineTable&>(lines).Find(key);
}

// A home that serves has every key; one that it has no line of is absent.
bool AtHome(const mesi::Home& home, MonoTime now, BytesView key, Shown* shown) {
  if (!home.MayServe(now)) return false;
  const mesi::Line* line = Find(home.lines(), key);
  const auto state = line == nullptr ? mesi::Dir::kU : static_cast<mesi::Dir>(line->state());
  if (!mesi::HomeServes(state)) return false;
  // Its time is over, and the log has yet to say so: nobody is shown it, or that it is not there.
  const bool ends = line != nullptr && line->durable() && line->deadline() <= now;
  if (ends || (line != nullptr && home.IsCommitting(*line))) return false;
  shown->writes = state == mesi::Dir::kU;
  shown->present = line != nullptr && line->present() && line->deadline() > now;
  if (shown->present) shown->value = line->value();
  return true;
}

// A reader stops early: its clock may be slower than the home's, which says when it is over.
bool IsOver(const mesi::Line& line, mesi::Copy state, MonoTime now) {
  if (line.deadline() == kNeverMono) return false;
  if (state != mesi::Copy::kS && state != mesi::Copy::kSX) return line.deadline() <= now;
  const MonoTime asked{static_cast<int64_t>(line.gen())};
  return asked + mesi::LeaseTimes().Within(line.deadline() - asked) <= now;
}

bool AtAgent(const mesi::Agent& agent, MonoTime now, BytesView key, Shown* shown) {
  if (!agent.is_open() || now >= agent.lease_until()) return false;
  const mesi::Line* line = Find(agent.lines(), key);
  if (line == nullptr) return false;
  const auto state = static_cast<mesi::Copy>(line->state());
  if (!mesi::IsReadable(state)) return false;
  shown->writes = mesi::IsWritable(state);
  // A reader whose time is over asks again; an owner makes it absent.
  const bool is_over = IsOver(*line, state, now);
  if (is_over && (!shown->writes || line->durable() || line->pushes())) return false;
  if (agent.IsCommitting(*line)) return false;
  shown->present = line->present() && !is_over;
  if (shown->present) shown->value = line->value();
  return true;
}

const char* Doing(const Shown& shown) { return shown.writes ? "write" : "read"; }

void Compare(const Bytes& key, const Shown& a, const Shown& b) {
  CHECK_SIM(!a.writes && !b.writes, "node %lu may %s '%s', and node %lu may %s it", a.node.value,
            Doing(a), key.c_str(), b.node.value, Doing(b));
  CHECK_SIM(a.present == b.present && a.value == b.value,
            "node %lu may read '%s' as '%s', and node %lu as '%s'", a.node.value, key.c_str(),
            Printable(a.present ? a.value : "nil").c_str(), b.node.value,
            Printable(b.present ? b.value : "nil").c_str());
}

}  // namespace

void CheckCopies(World* world) {
  for (const Bytes& key : world->cache().WatchedKeys(kKeysMax)) {
    std::vector<Shown> all;
    for (const auto& [id, process] : world->processes()) {
      if (!process->up() || process->node()->cache() == nullptr) continue;
      process->Enter();  // Keys are found by its own hashes.
      const Cache& cache = *process->node()->cache();
      Shown shown;
      shown.node = id;
      const mesi::Home* home = cache.HomeOf(key);
      const MonoTime now = process->LocalNow();
      const bool may = home != nullptr ? AtHome(*home, now, key, &shown)
                                       : AtAgent(*cache.AgentOf(key), now, key, &shown);
      if (may) all.push_back(shown);
    }
    for (size_t i = 1; i < all.size(); ++i) {
      for (size_t j = 0; j < i; ++j) Compare(key, all[j], all[i]);
    }
    if (all.size() > 1) ++world->counters()[Count::kCopiesCompared];
  }
}

Bytes DescribeCopies(World* world, const Bytes& key) {
  Bytes text;
  for (const auto& [id, process] : world->processes()) {
    if (!process->up() || process->node()->cache() == nullptr) continue;
    process->Enter();
    const Cache& cache = *process->node()->cache();
    const MonoTime now = process->LocalNow();
    text += Format("\n  node %lu: ", id.value);
    if (const mesi::Home* home = cache.HomeOf(key)) {
      const mesi::Line* line = Find(home->lines(), key);
      const auto state = line == nullptr ? mesi::Dir::kU : static_cast<mesi::Dir>(line->state());
      text += Format("home of epoch %lu, %s, its lease for %ld ms, %s", home->epoch().value,
                     home->recovered() ? "recovered" : "waits for", 
                     (home->lease_until() - now) / kUsPerMs, mesi::NameOf(state));
      for (const NodeId node : home->Unreported()) text += Format(" node %lu", node.value);
      continue;
    }
    const mesi::Agent& agent = *cache.AgentOf(key);
    const mesi::Line* line = Find(agent.lines(), key);
    const auto state = line == nullptr ? mesi::Copy::kI : static_cast<mesi::Copy>(line->state());
    text += Format("cache of node %lu in epoch %lu, %s, its lease for %ld ms, %s, %zu asked for",
                   agent.home().value, agent.epoch().value, agent.is_open() ? "open" : "closed",
                   (agent.lease_until() - now) / kUsPerMs, mesi::NameOf(state), agent.asking());
  }
  return text;
}

}  // namespace lockstep::sim
