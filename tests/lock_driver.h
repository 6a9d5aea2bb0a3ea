// Drives a lock table as a log would: one entry after another, each with its index and time, and
// keeps what comes out. After every entry the table's invariants are checked.
#pragma once

#include <map>
#include <optional>

#include "commands/lock_table.h"

namespace lockstep {

constexpr int64_t kTtl = 30'000;
constexpr std::optional<int64_t> kTry = std::nullopt;
constexpr std::optional<int64_t> kForever = 0;

class LockDriver {
 public:
  explicit LockDriver(const LockLimits& limits = {}) : table(limits) {}

  struct Options {
    LockMode mode = LockMode::kExclusive;
    int64_t ttl_ms = kTtl;
    uint32_t limit = 0;
    Bytes meta;
    std::optional<ClientId> bind;
  };

  // The answer, or nothing: it waits. The request is `last` then.
  std::optional<Reply> Acquire(const Bytes& owner, std::vector<Bytes> names,
                               std::optional<int64_t> wait_ms, const Options& options) {
    AcquireOp op;
    op.names = std::move(names);
    op.owner = owner;
    op.wait_ms = wait_ms;
    op.mode = options.mode;
    op.ttl_ms = options.ttl_ms;
    op.limit = options.limit;
    op.meta = options.meta;
    op.bind = options.bind;
    return Apply(op.Encode());
  }
  std::optional<Reply> Acquire(const Bytes& owner, const Bytes& name,
                               std::optional<int64_t> wait_ms = kTry) {
    return Acquire(owner, std::vector<Bytes>{name}, wait_ms, Options{});
  }
  std::optional<Reply> Share(const Bytes& owner, const Bytes& name,
                             std::optional<int64_t> wait_ms = kTry) {
    Options shared;
    shared.mode = LockMode::kShared;
    return Acquire(owner, std::vector<Bytes>{name}, wait_ms, shared);
  }
  int64_t Renew(const Bytes& owner, const Bytes& name, int64_t ttl_ms = kTtl, bool all = false) {
    return Number(Apply(RenewOp{name, owner, ttl_ms, all}.Encode()));
  }
  int64_t Release(const Bytes& owner, const Bytes& name,
                  std::optional<uint64_t> token = std::nullopt, bool all = false) {
    return Number(Apply(ReleaseOp{name, owner, token, all}.Encode()));
  }
  int64_t ReleaseAll(const Bytes& owner) { return Release(owner, "-", std::nullopt, true); }
  int64_t Revoke(const Bytes& name, std::optional<Bytes> owner = std::nullopt) {
    return Number(Apply(RevokeOp{name, std::move(owner)}.Encode()));
  }
  int64_t Cancel(const RequestId& target, CancelOp::Why why) {
    return Number(Apply(CancelOp{target, why}.Encode()));
  }

  // Any operation, as the next entry and in the name of a new request.
  std::optional<Reply> Apply(const Bytes& op) {
    last = RequestId{origin, incarnation, ++seq};
    ++at.index.value;
    effects = {};
    table.Advance(at, &effects);
    table.Apply(at, last, op, &effects);
    Take();
    const auto answer = answers.find(last);
    if (answer == answers.end()) return std::nullopt;
    return answer->second;
  }

  // Time passes, and a pulse tells it.
  void Pass(int64_t ms) {
    at.time = at.time + ms;
    ++at.index.value;
    effects = {};
    table.Advance(at, &effects);
    Take();
  }

  // The answer that a request that waited has had by now.
  std::optional<Reply> AnswerTo(const RequestId& request) const {
    const auto it = answers.find(request);
    if (it == answers.end()) return std::nullopt;
    return it->second;
  }

  template <class QueryType>
  Reply Ask(const QueryType& query) const {
    return table.Query(at.time, query.Encode());
  }
  bool Check(const Bytes& name, int64_t token) const {
    return Ask(CheckQuery{name, static_cast<uint64_t>(token)}).integer == 1;
  }
  // A field of LOCK.INFO.
  Reply Info(const Bytes& name, BytesView field) const {
    return Field(Ask(InfoQuery{name}), field);
  }
  // "alice,bob": the owners in the field `holders` or `waiters`.
  Bytes Owners(const Bytes& name, BytesView field) const {
    Bytes owners;
    for (const Reply& row : Info(name, field).items) {
      if (!owners.empty()) owners += ",";
      owners += Field(row, "owner").text;
    }
    return owners;
  }
  Bytes Holders(const Bytes& name) const { return Owners(name, "holders"); }
  Bytes Waiters(const Bytes& name) const { return Owners(name, "waiters"); }

  static Reply Field(const Reply& map, BytesView field) {
    for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
      if (map.items[i].text == field) return map.items[i + 1];
    }
    return Reply::Error("ERR", "no field " + Bytes(field));
  }

  LockTable table;
  Position at{Index{100}, ClusterTime{1'000'000}};
  RequestId last;                      // Of the latest Apply.
  NodeId origin{1};
  uint64_t incarnation = 1;
  uint64_t seq = 0;
  Effects effects;                     // Of the latest entry.
  std::map<RequestId, Reply> answers;  // To every request so far.
  bool check_invariants = true;

 private:
  void Take() {
    for (const Effects::Answer& answer : effects.answers) {
      const bool first = answers.emplace(answer.request, answer.reply).second;
      CHECK(first);  // A request is answered once.
    }
    if (check_invariants) table.CheckInvariants();
  }
  static int64_t Number(const std::optional<Reply>& reply) {
    CHECK(reply.has_value() && reply->kind == Reply::Kind::kInteger);
    return reply->integer;
  }
};

}  // namespace lockstep
