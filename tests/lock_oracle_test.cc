// The lock table against its own definition: random operations go to LockTable and to LockModel,
// and everything that comes out of the two is compared after every entry. What the model cannot say
// about itself is asserted on the side: nothing beside an exclusive holder, no stuck wait left,
// tokens that grow, victims that come back and win.
#include <gtest/gtest.h>

#include "commands/lock_table.h"
#include "src/base/rng.h"
#include "tests/lock_model.h"

namespace lockstep {
namespace {

// What kind of life a run leads. Few locks and many owners make conflicts; the rest makes variety.
struct Climate {
  uint64_t seed = 0;
  int entries = 0;
  uint64_t locks = 4;
  uint64_t owners = 6;
  uint64_t shared_percent = 40;
  uint64_t multi_percent = 20;
  uint64_t limit_percent = 0;  // Of shared requests; such runs use two locks as semaphores.
  uint64_t bind_percent = 10;
  uint64_t session_ends = 1;  // In a thousand entries.
  int64_t ttl_max = 5'000;
};

class Oracle {
 public:
  explicit Oracle(const Climate& climate) : climate_(climate), rng_(climate.seed) {}

  void Run() {
    for (int i = 0; i < climate_.entries && !testing::Test::HasFailure(); ++i) {
      Entry();
      Compare();
      if (i % 16 == 0) CompareAnswers();
      if (i % 64 == 0) table_->CheckInvariants();
      if (i % 128 == 0) Reload();
    }
  }

  int deadlocks() const { return model_.deadlocks; }
  int waited_grants() const { return waited_grants_; }

 private:
  bool Percent(uint64_t percent) { return rng_.Below(100) < percent; }
  Bytes AnyLock() { return "lock" + std::to_string(rng_.Below(climate_.locks)); }
  Bytes AnyOwner() { return "owner" + std::to_string(rng_.Below(climate_.owners)); }
  ClientId AnyClient() { return ClientId{rng_.Below(4) + 1}; }

  AcquireOp AnyAcquire() {
    AcquireOp op;
    op.names.push_back(AnyLock());
    if (Percent(climate_.multi_percent)) {
      for (uint64_t more = rng_.Below(3); more > 0; --more) {
        const Bytes name = AnyLock();
        if (std::find(op.names.begin(), op.names.end(), name) == op.names.end()) {
          op.names.push_back(name);
        }
      }
    }
    op.owner = AnyOwner();
    op.mode = Percent(climate_.shared_percent) ? LockMode::kShared : LockMode::kExclusive;
    op.ttl_ms = rng_.Between(1, climate_.ttl_max);
    if (Percent(80)) op.wait_ms = Percent(50) ? 0 : rng_.Between(1, 3'000);
    // Mostly the limit that belongs to the lock, at times another, which is refused.
    const bool semaphore = op.names[0] == "lock0" || op.names[0] == "lock1";
    if (op.mode == LockMode::kShared && op.names.size() == 1 && semaphore &&
        Percent(climate_.limit_percent)) {
      op.limit = Percent(95) ? 2 + (op.names[0] == "lock1" ? 1 : 0) : 1;
    }
    if (Percent(climate_.bind_percent)) op.bind = AnyClient();
    return op;
  }

  ReleaseOp AnyRelease() {
    ReleaseOp op{AnyLock(), AnyOwner(), std::nullopt, Percent(20)};
    if (!model_.holds.empty() && Percent(70)) {  // One that holds something.
      const LockModel::HoldRow& row = model_.holds[rng_.Below(model_.holds.size())];
      op.name = row.lock;
      op.owner = row.owner;
      if (Percent(30)) op.token = Percent(70) ? row.token : row.token - 1;
    }
    return op;
  }

  CancelOp AnyCancel() {
    CancelOp op;
    op.why = static_cast<CancelOp::Why>(rng_.Below(3));
    op.target = requests_[rng_.Below(requests_.size())];
    if (!model_.waits.empty() && Percent(50)) {
      op.target = model_.waits[rng_.Below(model_.waits.size())].request;
    } else {
      for (const LockModel::HoldRow& h : model_.holds) {
        if (h.unheard && Percent(50)) op.target = *h.unheard;
      }
    }
    return op;
  }

  BatchOp AnyBatch() {
    BatchOp op;
    for (uint64_t n = rng_.Below(4) + 1; n > 0; --n) {
      op.items.push_back({false, Percent(60) ? AnyAcquire().Encode() : AnyRelease().Encode()});
    }
    return op;
  }

  Bytes AnyOp() {
    const uint64_t kind = rng_.Below(100);
    if (kind < 58) return AnyAcquire().Encode();
    if (kind < 76) return AnyRelease().Encode();
    if (kind < 83) {
      return RenewOp{AnyLock(), AnyOwner(), rng_.Between(1, 2'000), Percent(30)}.Encode();
    }
    if (kind < 85) {
      return RevokeOp{AnyLock(), Percent(50) ? std::optional(AnyOwner()) : std::nullopt}.Encode();
    }
    if (kind < 93 && !requests_.empty()) return AnyCancel().Encode();
    if (kind < 96) return HangupOp{origin_, incarnation_, AnyClient()}.Encode();
    return AnyBatch().Encode();
  }

  void Entry() {
    ++at_.index.value;
    if (Percent(60)) at_.time = at_.time + rng_.Between(0, 300);
    if (Percent(1)) at_.time = at_.time + 20'000;  // The leader was away.
    effects_ = {};
    model_.out = {};
    waiting_before_.clear();
    for (const LockModel::WaitRow& w : model_.waits) waiting_before_.insert(w.request);
    table_->Advance(at_, &effects_);
    model_.Advance(at_);
    if (rng_.Below(1'000) < climate_.session_ends) {
      ++incarnation_;
      table_->EndSessions(at_, origin_, incarnation_, &effects_);
      model_.EndSessions(at_, origin_, incarnation_);
    }
    if (Percent(5)) return;  // A pulse.
    const RequestId request{origin_, incarnation_, ++seq_};
    requests_.push_back(request);
    const Bytes op = AnyOp();
    table_->Apply(at_, request, op, &effects_);
    model_.Apply(at_, request, *DecodeLockOp(op));
  }

  // Answers to different requests may come in any order; errors but DEADLOCK are compared by code.
  static std::map<RequestId, Bytes> Sorted(const Effects& effects) {
    std::map<RequestId, Bytes> sorted;
    for (const Effects::Answer& answer : effects.answers) {
      const Bytes text = Describe(answer.reply);
      EXPECT_TRUE(sorted.emplace(answer.request, text).second) << "a request is answered once";
    }
    return sorted;
  }
  static Bytes Describe(const Reply& reply) {
    if (reply.is_error() && !reply.text.starts_with("DEADLOCK")) {
      return reply.text.substr(0, reply.text.find(' '));
    }
    Bytes text = std::to_string(static_cast<int>(reply.kind)) + ":" +
                 std::to_string(reply.integer) + ":" + reply.text;
    for (const Reply& item : reply.items) text += "[" + Describe(item) + "]";
    return text;
  }
  // By channel; those of one channel in their order.
  static std::map<Bytes, std::vector<Bytes>> ByChannel(const Effects& effects) {
    std::map<Bytes, std::vector<Bytes>> events;
    for (const Effects::Event& event : effects.events) {
      events[event.channel].push_back(event.payload);
    }
    return events;
  }

  void Compare() {
    const auto where = [this] {
      return Format("seed %llu, entry %llu", static_cast<unsigned long long>(climate_.seed),
                    static_cast<unsigned long long>(at_.index.value));
    };
    ASSERT_EQ(Sorted(effects_), Sorted(model_.out)) << where();
    ASSERT_EQ(ByChannel(effects_), ByChannel(model_.out)) << where();
    ASSERT_TRUE(model_.Stuck().empty()) << where();  // No circle is left, whatever made it.
    for (const Bytes& lock : model_.LocksInUse()) {
      const auto holders = model_.HoldersOf(lock);
      for (const auto& h : holders) {
        ASSERT_TRUE(holders.size() == 1 || h.mode == LockMode::kShared) << where();
      }
      const uint32_t limit = model_.limits.at(lock);
      if (limit != 0) {
        ASSERT_LE(holders.size(), limit) << where();
      }
    }
    CheckTokens();
  }

  // A new token is above all that were given in earlier entries, whatever the lock (trap 52).
  void CheckTokens() {
    uint64_t newest = newest_token_;
    for (const Effects::Event& event : effects_.events) {
      if (event.payload.find("\"granted\"") == Bytes::npos) continue;
      const size_t at = event.payload.rfind(':') + 1;
      uint64_t token = 0;
      ASSERT_TRUE(ParseUint64(BytesView(event.payload).substr(at, event.payload.size() - at - 1),
                              &token));
      ASSERT_GT(token, newest_token_);
      ASSERT_GE(token, at_.index.value);
      newest = std::max(newest, token);
    }
    newest_token_ = newest;
    for (const Effects::Answer& answer : effects_.answers) {
      const bool waited = waiting_before_.contains(answer.request);
      if (waited && answer.reply.kind == Reply::Kind::kInteger) ++waited_grants_;
    }
  }

  void CompareAnswers() {
    const auto ask = [&](const auto& query) { return table_->Query(at_.time, query.Encode()); };
    for (const Bytes& lock : model_.LocksInUse()) {
      ASSERT_EQ(Describe(ask(InfoQuery{lock})), Describe(InfoOf(lock)));
      for (const LockModel::HoldRow& h : model_.HoldersOf(lock)) {
        ASSERT_EQ(ask(CheckQuery{lock, h.token}), Reply::Integer(1));
        ASSERT_EQ(ask(CheckQuery{lock, h.token + 1'000'000}), Reply::Integer(0));
      }
    }
    for (uint64_t i = 0; i < climate_.owners; ++i) {
      const Bytes owner = "owner" + std::to_string(i);
      ASSERT_EQ(Describe(ask(OwnerQuery{owner})), Describe(OwnerOf(owner)));
    }
    std::multiset<Bytes> rows;
    for (const Reply& row : ask(GraphQuery{}).items) rows.insert(Describe(row));
    ASSERT_EQ(rows, Graph());
    std::set<Bytes> names;
    for (uint64_t cursor = 0; true;) {
      const Reply page = ask(ListQuery{cursor, "*", 2});
      for (const Reply& name : page.items[1].items) {
        ASSERT_TRUE(names.insert(name.text).second) << name.text << " is listed twice";
      }
      ASSERT_TRUE(ParseUint64(page.items[0].text, &cursor));
      if (cursor == 0) break;
    }
    ASSERT_EQ(names, model_.LocksInUse());
  }

  static const char* ModeName(LockMode mode) {
    return mode == LockMode::kShared ? "SHARED" : "EXCLUSIVE";
  }
  Reply InfoOf(const Bytes& lock) const {
    Reply holders = Reply::Array();
    for (const auto& h : model_.HoldersOf(lock)) {
      Reply row = Reply::Map();
      row.Add("owner", Reply::Bulk(h.owner));
      row.Add("token", Reply::Integer(static_cast<int64_t>(h.token)));
      row.Add("mode", Reply::Bulk(ModeName(h.mode)));
      row.Add("ttl", Reply::Integer(std::max<int64_t>(1, h.deadline - at_.time)));
      row.Add("held", Reply::Integer(at_.time - h.granted_at)).Add("meta", Reply::Bulk(""));
      holders.Add(row);
    }
    Reply waiters = Reply::Array();
    for (const auto& w : model_.WholeLineOf(lock)) {
      Reply row = Reply::Map();
      row.Add("owner", Reply::Bulk(w.owner)).Add("mode", Reply::Bulk(ModeName(w.mode)));
      row.Add("waited", Reply::Integer(at_.time - w.began));
      waiters.Add(row);
    }
    const auto held = model_.HoldersOf(lock);
    const bool shared = !held.empty() && held[0].mode == LockMode::kShared;
    const uint32_t limit = model_.limits.at(lock);
    const auto holding = static_cast<int64_t>(holders.items.size());
    const auto pending = static_cast<int64_t>(waiters.items.size());
    Reply info = Reply::Map();
    info.Add("name", Reply::Bulk(lock));
    info.Add("state", Reply::Bulk(held.empty() ? "FREE" : shared ? "SHARED" : "LOCKED"));
    info.Add("mode", held.empty() ? Reply::Nil() : Reply::Bulk(ModeName(held[0].mode)));
    info.Add("limit", Reply::Integer(limit == UINT32_MAX ? 0 : limit));
    info.Add("holders", holders).Add("waiters", waiters);
    info.Add("holding", Reply::Integer(holding)).Add("pending", Reply::Integer(pending));
    return info;
  }
  Reply OwnerOf(const Bytes& owner) const {
    Reply locks = Reply::Array();
    for (const auto& h : model_.holds) {
      if (h.owner == owner) locks.Add(Reply::Bulk(h.lock));
    }
    Reply waiting = Reply::Array();
    for (const auto& w : model_.waits) {
      for (const Bytes& lock : w.locks) {
        const bool needed = model_.PlaceOf(w, lock) != LockModel::Place::kHeld;
        if (w.owner == owner && needed) waiting.Add(Reply::Bulk(lock));
      }
    }
    const auto known = model_.owners.find(owner);
    const uint64_t age = known == model_.owners.end() ? 0 : known->second.age;
    const auto holding = static_cast<int64_t>(locks.items.size());
    const auto pending = static_cast<int64_t>(waiting.items.size());
    Reply info = Reply::Map();
    info.Add("owner", Reply::Bulk(owner)).Add("age", Reply::Integer(static_cast<int64_t>(age)));
    info.Add("locks", locks).Add("waiting", waiting);
    info.Add("holding", Reply::Integer(holding)).Add("pending", Reply::Integer(pending));
    return info;
  }
  std::multiset<Bytes> Graph() const {
    std::multiset<Bytes> rows;
    for (const Bytes& lock : model_.LocksInUse()) {
      Bytes ahead;
      for (const auto& w : model_.WholeLineOf(lock)) {
        std::vector<Bytes> because;
        const auto holders = model_.HoldersOf(lock);
        for (const auto& h : holders) {
          const bool both_share = w.mode == LockMode::kShared && h.mode == LockMode::kShared;
          const bool full = holders.size() >= model_.limits.at(lock);
          if (h.owner != w.owner && (!both_share || full)) because.push_back(h.owner);
        }
        if (because.empty() && !ahead.empty()) because.push_back(ahead);
        for (const Bytes& holder : because) {
          rows.insert(Describe(Reply::Array(
              {Reply::Bulk(w.owner), Reply::Bulk(lock), Reply::Bulk(holder)})));
        }
        ahead = w.owner;
      }
    }
    return rows;
  }

  // A snapshot goes on exactly as the table would have (trap 30): from here on the loaded one runs.
  void Reload() {
    Bytes saved;
    Writer writer(&saved);
    table_->Save(&writer);
    auto loaded = std::make_unique<LockTable>();
    Reader reader(saved);
    const Result<void> done = loaded->Load(&reader);
    ASSERT_TRUE(done.ok()) << done.error().message;
    ASSERT_TRUE(reader.done());
    ASSERT_EQ(loaded->Hash(), table_->Hash());
    ASSERT_EQ(loaded->NextDeadline(), table_->NextDeadline());
    Bytes again;
    Writer second(&again);
    loaded->Save(&second);
    ASSERT_EQ(again, saved);
    loaded->CheckInvariants();
    table_ = std::move(loaded);
  }

  Climate climate_;
  Rng rng_;
  std::unique_ptr<LockTable> table_ = std::make_unique<LockTable>();
  LockModel model_;
  Position at_{Index{1}, ClusterTime{1'000}};
  NodeId origin_{1};
  uint64_t incarnation_ = 1;
  uint64_t seq_ = 0;
  std::vector<RequestId> requests_;
  uint64_t newest_token_ = 0;
  std::set<RequestId> waiting_before_;  // The entry being compared.
  int waited_grants_ = 0;
  Effects effects_;
};

class LockOracleTest : public testing::TestWithParam<uint64_t> {};

TEST_P(LockOracleTest, TheTableDoesWhatItsDefinitionSays) {
  Climate climate{.seed = GetParam(), .entries = 4'000};
  Rng rng(climate.seed);
  climate.locks = 2 + rng.Below(6);
  climate.owners = 3 + rng.Below(8);
  climate.shared_percent = 10 + rng.Below(80);
  climate.multi_percent = rng.Below(60);
  climate.limit_percent = rng.Below(2) * 100;
  climate.ttl_max = 1'000 + static_cast<int64_t>(rng.Below(3)) * 20'000;
  Oracle oracle(climate);
  oracle.Run();
  EXPECT_GT(oracle.waited_grants(), 50);  // Or the run has tried nothing.
}

TEST(LockOracleClimateTest, ManyOwnersOfFewLocksMeetManyDeadlocks) {
  Oracle oracle({.seed = 99, .entries = 6'000, .locks = 3, .owners = 8, .shared_percent = 50});
  oracle.Run();
  EXPECT_GT(oracle.deadlocks(), 100);
}

TEST(LockOracleClimateTest, WhatIsBoundEndsWithConnectionsAndSessions) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Oracle oracle({.seed = seed,
                   .entries = 6'000,
                   .locks = 3,
                   .owners = 4,
                   .multi_percent = 40,
                   .bind_percent = 80,
                   .session_ends = 30});
    oracle.Run();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LockOracleTest, testing::Range<uint64_t>(1, 17));

}  // namespace
}  // namespace lockstep
