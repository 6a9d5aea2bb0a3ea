#include "tests/sim/cache_ledger.h"

#include <algorithm>
#include <cstring>

#include "src/base/hash.h"
#include "src/cache.h"
#include "tests/sim/cache_model.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr int64_t kNameUs = 4 * kUsPerSecond;
// Whoever had a key may have it a lease longer than its time, on each way that it goes.
constexpr int64_t kTroubledSlackUs = 8 * kUsPerSecond;
// What is durable ends by its group's clock, which stands still while nobody leads.
constexpr int64_t kMixedSlackUs = 3'600 * kUsPerSecond;

GroupId GroupOf(const Bytes& key) { return ShardGroup(ShardOfSlot(SlotOf(key), kShards)); }

}  // namespace

CacheOperation::Told ToldBy(const Reply* reply, bool sent) {
  using Told = CacheOperation::Told;
  if (reply == nullptr) return sent ? Told::kUnknown : Told::kRefused;
  if (!reply->is_error()) return Told::kAnswered;
  if (reply->text.starts_with("UNCERTAIN")) return Told::kUnknown;
  constexpr const char* kRefusals[] = {"CLUSTERDOWN", "TRYAGAIN", "LIMIT", "OOM", "EXECABORT",
                                       "FENCED", "ERR value is not an integer"};
  CHECK_SIM(std::any_of(std::begin(kRefusals), std::end(kRefusals),
                        [&](const char* one) { return reply->text.starts_with(one); }),
            "a command on keys is answered: %s", reply->text.c_str());
  return Told::kRefused;
}

int64_t CacheLedger::NowUs() const { return world_->now_us(); }

Bytes CacheLedger::NameOf(const char* prefix, uint64_t number) {
  return Format("%s%lu-%ld", prefix, number, NowUs() / kNameUs);
}

CacheLedger::Ticket CacheLedger::OnCall(const Bytes& key, CacheOperation asked) {
  is_used_ = true;
  History& history = histories_[key];
  asked.call_us = history.last_call_us = NowUs();
  if (history.operations.empty()) history.first_call_us = NowUs();
  history.home_knew = history.home_knew && key.starts_with(kHomePrefix) && HomeKnowsClass(key);
  asked.told = Told::kUnknown;
  history.is_timed = history.is_timed || asked.ttl_us != 0;
  ++history.open;
  history.operations.push_back(std::move(asked));
  return {key, history.operations.size() - 1};
}

void CacheLedger::OnNode(const Ticket& ticket, NodeId node) {
  histories_.at(ticket.key).operations.at(ticket.number).who += Format("@n%lu", node.value);
}

void CacheLedger::OnReturn(const Ticket& ticket, const CacheOperation& told) {
  History& history = histories_.at(ticket.key);
  CacheOperation& operation = history.operations.at(ticket.number);
  --history.open;
  operation.told = told.told;
  operation.seen = told.seen;
  operation.number = told.number;
  if (told.told != Told::kAnswered) return;
  operation.return_us = NowUs();
  ++world_->counters()[Count::kCacheAnswers];
}

int64_t CacheLedger::TtlSlackUs() const {
  if (trouble_us_ != INT64_MAX) return kTroubledSlackUs;
  const Swarm& swarm = world_->swarm();
  return 100 * kUsPerMs + 20 * swarm.latency_tail_us + (swarm.harsh_links ? kUsPerSecond : 0);
}

bool CacheLedger::HomeKnowsClass(const Bytes& key) const {
  Process* const home = world_->LeaderOf(GroupOf(key));
  if (home == nullptr || home->node()->cache() == nullptr) return false;
  const Space* const space = home->node()->cache()->SpaceOf(key);
  return space != nullptr && space->durability == Space::Durability::kHome;
}

// Of CLASS home: who writes has told the key's home, and that is there still.
bool CacheLedger::MayForget(const Bytes& key, const History& history, int64_t last_us) const {
  if (key.starts_with(kDurablePrefix)) return false;
  if (world_->swarm().cache_bytes > 0) return true;
  if (trouble_us_ > last_us) return false;
  if (!key.starts_with(kHomePrefix) || !history.home_knew) return true;
  if (world_->swarm().changes_class) return true;
  const auto losses = losses_.find(GroupOf(key));
  return losses != losses_.end() &&
         std::any_of(losses->second.begin(), losses->second.end(), [&](int64_t at_us) {
           return at_us >= history.first_call_us && at_us <= last_us;
         });
}

void CacheLedger::Judge(const Bytes& key, const History& history) {
  int64_t last_us = history.last_call_us;
  for (const CacheOperation& operation : history.operations) {
    if (operation.told == Told::kAnswered) last_us = std::max(last_us, operation.return_us);
  }
  CacheRules rules;
  const bool is_durable = key.starts_with(kDurablePrefix);
  rules.may_forget = MayForget(key, history, last_us);
  const bool mixed = key.starts_with(kMixedPrefix) ||
                     (key.starts_with(kHomePrefix) && world_->swarm().changes_class);
  rules.ttl_slack_us = mixed ? kMixedSlackUs : TtlSlackUs();
  const Verdict verdict = CheckCacheHistory(history.operations, rules);
  CHECK_SIM(verdict.kind != Verdict::Kind::kIllegal, "key '%s' of the cache: %s", key.c_str(),
            verdict.why.c_str());
  Counters& counters = world_->counters();
  const bool too_hard = verdict.kind == Verdict::Kind::kTooHard;
  ++counters[too_hard ? Count::kHistoriesTooHard : Count::kCacheHistories];
  if (!too_hard && !rules.may_forget) ++counters[Count::kCacheKept];
  if (!too_hard && is_durable) ++counters[Count::kDurableHistories];
  if (too_hard || !key.starts_with(kHomePrefix)) return;
  ++counters[Count::kHomeHistories];
  if (!rules.may_forget && trouble_us_ <= last_us) ++counters[Count::kHomeKept];
}

void CacheLedger::JudgeOld() {
  if (NowUs() < judged_us_ + kUsPerSecond) return;
  judged_us_ = NowUs();
  std::erase_if(histories_, [this](const auto& one) {
    const auto& [key, history] = one;
    if (history.open > 0 || history.last_call_us + 2 * kNameUs > NowUs()) return false;
    Judge(key, history);
    return true;
  });
}

void CacheLedger::JudgeAll() {
  for (const auto& [key, history] : histories_) Judge(key, history);
  histories_.clear();
}

std::vector<Bytes> CacheLedger::LastKeys(size_t max, bool timed) const {
  std::vector<Bytes> keys;
  for (const auto& [key, history] : histories_) {
    if (history.is_timed == timed && keys.size() < max) keys.push_back(key);
  }
  return keys;
}

std::vector<Bytes> CacheLedger::WatchedKeys(size_t max) const {
  std::vector<Bytes> keys;
  for (const auto& [key, history] : histories_) {
    const bool of_late = history.last_call_us + kUsPerSecond > NowUs();
    if (of_late && keys.size() < max) keys.push_back(key);
  }
  return keys;
}

void CacheLedger::Judge(Shape shape, const std::vector<Thread>& program,
                        const Registers& before) {
  is_used_ = true;
  CHECK_SIM(Possible(program, before), "the litmus test %s saw what cannot be:\n%s",
            sim::NameOf(shape), Describe(program).c_str());
  ++world_->counters()[Count::kLitmusJudged];
}

void CacheLedger::JudgeStamps(const std::vector<Bytes>& keys, const std::vector<Reply>& values) {
  const Reply* first = nullptr;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].is_nil()) continue;
    if (first == nullptr) first = &values[i];
    CHECK_SIM(values[i].text == first->text,
              "keys that are written together, '%s' and others, are seen as %s and %s",
              keys.at(i).c_str(), first->text.c_str(), values[i].text.c_str());
  }
  if (first != nullptr) ++world_->counters()[Count::kStampsJudged];
}

}  // namespace lockstep::sim
