// One shard of this node's cache. Private to src/cache*.cc.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "src/base/hash.h"
#include "src/cache.h"

namespace lockstep {
// How often old pins are looked for.
constexpr int64_t kPinLookUs = 10 * kUsPerMs;
// In tickets: a cache, whose command waits here for its line.
constexpr ClientId kShipper{};
// How often those that may miss are looked at.
constexpr int64_t kMissLookUs = 25 * kUsPerMs;

// What it was home of it keeps until the next home has asked for it.
struct Cache::Shard final : mesi::Home::Listener, mesi::Agent::Listener, mesi::DurableStore {
  Shard(Cache* c, GroupId g)
      : cache(c), group(g),
        agent({.self = c->options_.self, .shard = g, .dirty_us = c->options_.dirty_us,
               .times = c->options_.times, .events = &c->events_},
              &c->stats_, this) {}

  void OnHeld(BytesView key) override {
    if (!witnesses.empty()) cache->Witnessed(this, key);
    cache->OnKeyHeld(key);
  }
  void OnServing() override { Lost(); }
  void OnLost() override { Lost(); }
  bool ReadsExclusive(BytesView key) override {
    const Space* space = cache->SpaceOf(key);
    return space != nullptr && space->reads == Space::Reads::kExclusive;
  }
  bool Pushes(BytesView key) override { return cache->IsOfClassHome(key); }
  void OnUnreadable(BytesView key) override {
    if (cache->tracker_ != nullptr) cache->tracker_->OnUnreadable(key);
  }
  void OnCommitted(BytesView key, mesi::Committed outcome) override {
    cache->OnKeyCommitted(key, outcome);
  }
  // Commands that are run where the key's home is: cache_ship.cc.
  bool IsContended(BytesView key) override { return cache->IsContended(key); }
  void OnContended(BytesView key) override { cache->contended_.Add(cache->now_, KeyedHash(key)); }
  void OnShipped(uint64_t number, const mesi::Shipped& shipped) override {
    cache->OnShipped(this, number, shipped);
  }
  bool OnShip(NodeId from, mesi::SessionId session, const mesi::Message& ship) override {
    return cache->OnShip(this, from, session, ship);
  }
  void OnShipsOver(NodeId from) override { cache->DropShips(this, from); }
  void OnAllUnreadable() override {
    if (cache->tracker_ != nullptr) cache->tracker_->OnAllUnreadable(ShardOf(group));
  }
  // DurableStore, of our group: cache_durable.cc.
  std::optional<mesi::DurableValue> Find(MonoTime now, BytesView key) const override;
  void ForEach(MonoTime now, const Visit& visit) const override;
  bool Propose(Term epoch, const std::vector<mesi::DurableWrite>& writes) override;

  mesi::LineTable& lines() { return home != nullptr ? home->lines() : agent.lines(); }
  bool hands_over() const { return home != nullptr ? home->hands_over() : agent.home_hands_over(); }
  void Lost() { lost = cache->any_lost_ = true; }

  Cache* cache;
  GroupId group;
  mesi::Agent agent;
  std::unique_ptr<mesi::Home> home;
  std::unique_ptr<mesi::Home> former;
  std::vector<Bytes> own_report;  // Of our agent, encoded: since we were elected.
  bool lost = false;
  // Whom the shard's group has followed, as far as was heard here.
  NodeId leader;
  Term led_in;
  NodeId leader_before;
  Term led_before;
  uint64_t sessions_ended = 0;
  uint64_t sessions_changed = UINT64_MAX;
  MonoTime not_before;           // See Home::Options.
  MonoTime next_fence;
  // Until then nobody need wait for a lease who may miss: others have, in vain.
  MonoTime missed_until;

  // A key that a cache owned when a question about the shard's keys came (cache_keys.cc): what was
  // found when the home had it back, if only for a moment.
  struct Witness {
    MonoTime asked;                    // The latest: it is forgotten some time after.
    std::optional<MonoTime> seen;      // Had back, and there or not,
    bool present = false;              // as this.
    bool erase = false;                // To be erased when it may be,
    std::optional<MonoTime> erased;    // and was.
  };
  std::map<Bytes, Witness, std::less<>> witnesses;
  MonoTime forget_at;
  std::vector<Effects::KeyChange> logged;  // Applied, and not looked at yet.
  std::map<uint64_t, ShipSent> ships;  // By the agent's numbers.
  // As a home: it ends its transactions until then, to hand over; not again before the next time.
  MonoTime hand_over_ends;
  MonoTime next_hand_over;
};

}  // namespace lockstep
