// The lock table under any operations, through the bytes that a log entry holds.
//
// Hostile: whatever the bytes, every request is answered or waits, what cannot be read changes
// nothing, a query changes nothing, and the invariants hold after each step. Honest: operations
// within their bounds do what the plain model of tests/lock_model.h does: same answers, same
// events, same rows. In both, a saved table loads to the same hash and the same bytes, and goes on.
#include <map>
#include <memory>

#include "commands/lock_table.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lock_model.h"

namespace lockstep::fuzz {
namespace {

constexpr int kStepsMax = 400;

std::unique_ptr<LockTable> Reloaded(const LockTable& table) {
  Bytes saved;
  Writer out(&saved);
  table.Save(&out);
  auto loaded = std::make_unique<LockTable>();
  Reader in(saved);
  CHECK(loaded->Load(&in).ok() && in.done());
  CHECK(loaded->Hash() == table.Hash());
  CHECK(loaded->NextDeadline() == table.NextDeadline());
  Bytes again;
  Writer second(&again);
  loaded->Save(&second);
  CHECK(again == saved);
  loaded->CheckInvariants();
  return loaded;
}

// Honest -----------------------------------------------------------------------------------------

class Honest {
 public:
  explicit Honest(BytesView in) : choices_(in) {}

  void Run() {
    for (int step = 0; step < kStepsMax && choices_.more(); ++step) {
      Step();
      Compare();
      table_->CheckInvariants();
      if (choices_.Below(32) == 31) table_ = Reloaded(*table_);
    }
    (void)Reloaded(*table_);
  }

 private:
  Bytes AnyLock() { return Format("lock%d", static_cast<int>(choices_.Below(5))); }
  Bytes AnyOwner() { return Format("owner%d", static_cast<int>(choices_.Below(6))); }

  AcquireOp AnyAcquire() {
    AcquireOp op;
    const uint8_t how = choices_.Byte();
    for (int names = (how & 3) == 3 ? 3 : 1; names > 0; --names) {
      const Bytes name = AnyLock();
      if (std::find(op.names.begin(), op.names.end(), name) == op.names.end()) {
        op.names.push_back(name);
      }
    }
    op.owner = AnyOwner();
    op.mode = (how & 4) != 0 ? LockMode::kShared : LockMode::kExclusive;
    op.ttl_ms = 1 + static_cast<int64_t>(choices_.Below(100)) * 100;
    if ((how & 8) == 0) op.wait_ms = (how & 16) != 0 ? 0 : 50 * static_cast<int64_t>(how >> 5);
    if ((how & 32) != 0) op.bind = ClientId{1 + choices_.Below(3)};
    const bool one_shared = op.mode == LockMode::kShared && op.names.size() == 1;
    if (one_shared && (how & 64) != 0) op.limit = 1 + static_cast<uint32_t>(choices_.Below(3));
    return op;
  }

  ReleaseOp AnyRelease() {
    ReleaseOp op{AnyLock(), AnyOwner(), std::nullopt, choices_.Below(5) == 4};
    const LockModel::HoldRow* hold = model_.Holding(op.owner, op.name);
    if (choices_.Below(4) == 3) op.token = hold != nullptr ? hold->token : choices_.Below(9);
    return op;
  }

  CancelOp AnyCancel() {
    CancelOp op;
    op.why = static_cast<CancelOp::Why>(choices_.Below(3));
    op.target = {origin_, incarnation_, seq_ - std::min<uint64_t>(seq_, choices_.Below(8))};
    return op;
  }

  Bytes AnyOp() {
    switch (choices_.Below(12)) {
      case 6: case 7: return AnyRelease().Encode();
      case 8:
        return RenewOp{AnyLock(), AnyOwner(), 1 + static_cast<int64_t>(choices_.Below(100)) * 50,
                       choices_.Below(4) == 3}
            .Encode();
      case 9: {
        RevokeOp op{AnyLock(), std::nullopt};
        if (choices_.Flag()) op.owner = AnyOwner();
        return op.Encode();
      }
      case 10:
        return choices_.Flag() ? AnyCancel().Encode()
                               : HangupOp{origin_, incarnation_, ClientId{1 + choices_.Below(3)}}
                                     .Encode();
      case 11: {
        BatchOp op;
        for (uint64_t n = choices_.Below(4); n > 0; --n) {
          const bool acquires = choices_.Flag();
          op.items.push_back({false, acquires ? AnyAcquire().Encode() : AnyRelease().Encode()});
        }
        return op.Encode();
      }
      default: return AnyAcquire().Encode();
    }
  }

  void Step() {
    ++at_.index.value;
    at_.time = at_.time + static_cast<int64_t>(choices_.Number() % 100'000);
    effects_ = {};
    model_.out = {};
    table_->Advance(at_, &effects_);
    model_.Advance(at_);
    const uint64_t what = choices_.Below(64);
    if (what == 63) {
      ++incarnation_;
      table_->EndSessions(at_, origin_, incarnation_, &effects_);
      model_.EndSessions(at_, origin_, incarnation_);
    }
    if (what >= 62) return;  // A pulse.
    const RequestId request{origin_, incarnation_, ++seq_};
    const Bytes op = AnyOp();
    const auto decoded = DecodeLockOp(op);
    CHECK(decoded.has_value());
    table_->Apply(at_, request, op, &effects_);
    model_.Apply(at_, request, *decoded);
  }

  // The model's errors, DEADLOCK's aside, have the code alone.
  static Bytes Text(const Reply& reply) {
    if (reply.is_error() && !reply.text.starts_with("DEADLOCK")) {
      return reply.text.substr(0, reply.text.find(' '));
    }
    Bytes text = Format("%d:%ld:", static_cast<int>(reply.kind), reply.integer) + reply.text;
    for (const Reply& item : reply.items) text += "[" + Text(item) + "]";
    return text;
  }
  static std::map<RequestId, Bytes> Answers(const Effects& effects) {
    std::map<RequestId, Bytes> answers;
    for (const Effects::Answer& answer : effects.answers) {
      CHECK(answers.emplace(answer.request, Text(answer.reply)).second);
    }
    return answers;
  }
  static std::map<Bytes, std::vector<Bytes>> Events(const Effects& effects) {
    std::map<Bytes, std::vector<Bytes>> events;
    for (const auto& event : effects.events) events[event.channel].push_back(event.payload);
    return events;
  }

  void Compare() {
    CHECK(Answers(effects_) == Answers(model_.out));
    CHECK(Events(effects_) == Events(model_.out));
    const LockTable::Figures figures = table_->figures();
    CHECK(figures.holds == model_.holds.size());
    CHECK(figures.waits == model_.waits.size());
    CHECK(figures.owners == model_.owners.size());
    CHECK(figures.locks == model_.LocksInUse().size());
    CHECK(figures.last_token == model_.last_token);
    for (const LockModel::HoldRow& hold : model_.holds) {
      CHECK(table_->Query(at_.time, CheckQuery{hold.lock, hold.token}.Encode()) ==
            Reply::Integer(1));
    }
  }

  Choices choices_;
  std::unique_ptr<LockTable> table_ = std::make_unique<LockTable>();
  LockModel model_;
  Position at_{Index{1}, ClusterTime{1'000}};
  NodeId origin_{1};
  uint64_t incarnation_ = 1;
  uint64_t seq_ = 0;
  Effects effects_;
};

// Hostile ----------------------------------------------------------------------------------------

void FuzzHostile(BytesView in) {
  Choices choices(in);
  LockLimits limits;  // Small, so that they are met.
  limits.locks_max = 6;
  limits.waiters_per_lock_max = 3;
  limits.locks_per_owner_max = 4;
  limits.remembered_owners_max = 2;
  LockTable table(limits);
  Position at{Index{1}, ClusterTime{0}};
  for (int step = 0; step < kStepsMax && choices.more(); ++step) {
    ++at.index.value;
    at.time = at.time + static_cast<int64_t>(choices.Number() >> 16);
    Effects effects;
    table.Advance(at, &effects);
    const uint64_t before = table.Hash();
    const bool asks = choices.Below(4) == 3;
    const BytesView bytes = choices.Some();
    if (asks) {
      (void)table.Query(at.time, bytes);
      CHECK(table.Hash() == before);
    } else {
      const size_t answered = effects.answers.size();
      const RequestId request{NodeId{choices.Below(3)}, choices.Below(3), at.index.value};
      table.Apply(at, request, bytes, &effects);
      if (!DecodeLockOp(bytes)) {
        CHECK(effects.answers.size() == answered + 1 && effects.answers.back().reply.is_error());
        CHECK(table.Hash() == before);
      }
    }
    table.CheckInvariants();
    CHECK(table.figures().locks <= limits.locks_max);
  }
  (void)Reloaded(table);
}

// Codecs -----------------------------------------------------------------------------------------

// One encoding per value.
void FuzzCodec(BytesView in) {
  if (const auto op = DecodeLockOp(in)) {
    CHECK(std::visit([](const auto& value) { return value.Encode(); }, *op) == in);
  }
  if (const auto query = DecodeLockQuery(in)) {
    CHECK(std::visit([](const auto& value) { return value.Encode(); }, *query) == in);
  }
}

}  // namespace

// Operations and queries as FuzzHostile reads them: time, kind, length, bytes, sender.
std::vector<Bytes> Seeds() {
  AcquireOp shared{{"a"}, "x", LockMode::kShared, 1000, 0, 2, "meta", ClientId{1}};
  AcquireOp both{{"a", "b"}, "y", LockMode::kExclusive, 500, 100, 0, "", std::nullopt};
  BatchOp batch{{{false, AcquireOp{{"c"}, "x", {}, 9, {}, 0, "", {}}.Encode()},
                 {true, InfoQuery{"a"}.Encode()}}};
  const std::vector<Bytes> ops = {
      shared.Encode(),
      both.Encode(),
      RenewOp{"a", "x", 100, false}.Encode(),
      batch.Encode(),
      ReleaseOp{"a", "x", 3, false}.Encode(),
      ReleaseOp{"c", "x", std::nullopt, true}.Encode(),
      RevokeOp{"b", "y"}.Encode(),
      CancelOp{{NodeId{1}, 1, 3}, CancelOp::Why::kGone}.Encode(),
      HangupOp{NodeId{1}, 1, ClientId{1}}.Encode()};
  const std::vector<Bytes> queries = {
      CheckQuery{"a", 2}.Encode(),   InfoQuery{"a"}.Encode(),   OwnerQuery{"x"}.Encode(),
      ListQuery{0, "*", 2}.Encode(), GraphQuery{}.Encode(),     DeadlocksQuery{3}.Encode(),
      KeyspaceQuery{KeyspaceQuery::Kind::kType, "a"}.Encode(),
      KeyspaceQuery{KeyspaceQuery::Kind::kUsage, "b"}.Encode()};
  std::vector<Bytes> seeds;
  Bytes all = "\1";
  const auto add = [&](const Bytes& bytes, char asks) {
    all += Bytes{'\0', asks, static_cast<char>(bytes.size())} + bytes;
    if (asks == 0) all += "\1\1";
    seeds.push_back("\2" + bytes);
  };
  for (const Bytes& op : ops) add(op, 0);
  for (const Bytes& query : queries) add(query, 3);
  seeds.push_back(all);
  return seeds;
}

std::vector<Property> Properties() {
  return {[](BytesView in) { Honest(in).Run(); }, FuzzHostile, FuzzCodec};
}

}  // namespace lockstep::fuzz
