// All that clients asked of the cache and were told, key by key, for the checkers of
// cache_model.h and cache_litmus.h to judge.
//
// Times are the world's. Whether a key may be forgotten is drawn from what has happened to the
// cluster: as long as nothing has, and the key's shard has kept its home, nothing may be lost. Of
// keys of CLASS home nothing may be as long as the shard has kept its home, whatever else happens.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "src/base/ids.h"
#include "tests/sim/cache_history.h"
#include "tests/sim/cache_litmus.h"

namespace lockstep {
struct Reply;
}

namespace lockstep::sim {

class World;

// Keys that are only ever written durably, and never end: they are never forgotten.
constexpr const char* kDurablePrefix = "d";
// Keys that are written durably or not, some of them for a while.
constexpr const char* kMixedPrefix = "e";
// Keys of CLASS home, once a node has heard so.
constexpr const char* kHomePrefix = "h";

class CacheLedger {
 public:
  struct Ticket {
    Bytes key;
    size_t number = 0;
  };
  using Told = CacheOperation::Told;

  explicit CacheLedger(World* world) : world_(world) {}

  // `asked`: what is to be done; when, and what came of it, is filled in here.
  Ticket OnCall(const Bytes& key, CacheOperation asked);
  // `told`: its `told`, `seen` and `number` count.
  void OnReturn(const Ticket& ticket, const CacheOperation& told);
  // For explanations only.
  void OnNode(const Ticket& ticket, NodeId node);

  // Something after which what is not written down may be lost.
  void OnTrouble() { trouble_us_ = std::min(trouble_us_, NowUs()); }

  // The group of a shard has another leader, or the same in another term, and the one before did
  // not mean to make way for it.
  void OnHomeLost(GroupId group) {
    OnTrouble();
    losses_[group].push_back(NowUs());
  }

  // Litmus programs, as they were observed.
  void Judge(Shape shape, const std::vector<Thread>& program, const Registers& before);
  // What one MGET saw of keys that are only ever written together.
  void JudgeStamps(const std::vector<Bytes>& keys, const std::vector<Reply>& values);

  // The names in use: another every few seconds, so that histories stay short.
  Bytes NameOf(const char* prefix, uint64_t number);
  // Judges the histories that nobody adds to any more.
  void JudgeOld();
  void JudgeAll();
  // Keys of late, of which none ends by time, or each may.
  std::vector<Bytes> LastKeys(size_t max, bool timed = false) const;
  std::vector<Bytes> WatchedKeys(size_t max) const;

  bool is_used() const { return is_used_; }

 private:
  struct History {
    std::vector<CacheOperation> operations;
    size_t open = 0;
    bool is_timed = false;
    int64_t first_call_us = 0;
    int64_t last_call_us = 0;
    bool home_knew = true;  // What class it is of, whenever something was asked of it.
  };
  int64_t NowUs() const;
  bool HomeKnowsClass(const Bytes& key) const;
  bool MayForget(const Bytes& key, const History& history, int64_t last_us) const;
  void Judge(const Bytes& key, const History& history);
  int64_t TtlSlackUs() const;

  World* world_;
  std::map<Bytes, History> histories_;
  int64_t trouble_us_ = INT64_MAX;
  std::map<GroupId, std::vector<int64_t>> losses_;
  int64_t judged_us_ = 0;
  bool is_used_ = false;
};

// What a reply says of whether something took effect.
CacheOperation::Told ToldBy(const Reply* reply, bool sent);

}  // namespace lockstep::sim
