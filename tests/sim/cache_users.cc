// Clients of the cache: on any node, a few keys that all of them want.
#include <algorithm>

#include "tests/sim/cache_client.h"

namespace lockstep::sim {
namespace {

// A few keys, the first of them much more than the others.
class CacheUser final : public RestingClient {
 public:
  CacheUser(World* world, LockChecker* checker, uint32_t number)
      : RestingClient(world, checker, Format("cu%u", number), 4) {}

 private:
  static uint64_t AnyKey(Rng* rng) {
    constexpr uint64_t kKeys[] = {0, 0, 0, 0, 0, 1, 1, 1, 2, 3};
    return kKeys[rng->Below(std::size(kKeys))];
  }

  void Round() override {
    world_->cache().JudgeOld();
    if (world_->swarm().sets_reads && Chance(3)) SetReads();
    AskSome(5, [this] { One(); });
  }

  // Whoever reads a line that nobody has owns it from then on, or shares it.
  void SetReads() {
    const Bytes prefix = Chance(50) ? "" : "k";
    const Bytes reads = Chance(75) ? "exclusive" : "shared";
    Argv argv = {"DCACHE.NS", "SET", prefix, "READS", reads};
    if (Chance(15)) argv = {"DCACHE.NS", "DEL", prefix};
    session().Call(argv, kPatienceUs, [this, argv](const Reply* reply, bool) {
      if (world_->narrating()) Tell(argv, reply);
    });
  }

  void One() {
    const Bytes key = world_->cache().NameOf("k", AnyKey(&world_->rng()));
    const bool counts = key.starts_with("k3");
    Op op;
    const int64_t what = Between(0, 99);
    if (what < 40) return Do(key, op, {"GET", key});
    op.kind = Kind::kWrite;
    op.value = counts ? std::to_string(Between(0, 1000)) : NewValue();
    if (what < 60) return Do(key, op, WithTime({"SET", key, op.value}, &op));
    if (what < 66) return DoKind(Kind::kDelete, key, op, {"DEL", key});
    if (what < 73) return DoKind(Kind::kSetIfAbsent, key, op, {"SETNX", key, op.value});
    if (what < 77) return DoKind(Kind::kTake, key, op, {"GETDEL", key});
    if (counts) {
      op.by = 1;
      return DoKind(Kind::kAdd, key, op, {"INCR", key});
    }
    if (what < 86) return DoKind(Kind::kAppend, key, op, {"APPEND", key, op.value});
    op.kind = Kind::kCompareAndSet;
    op.expected = seen();
    Do(key, op, WithTime({"DCACHE.SET", key, op.value, "IFEQ", seen()}, &op));
  }

  Argv WithTime(Argv argv, Op* op) {
    if (Chance(85)) return argv;
    AddTime(&argv, op);
    return argv;
  }
};

// Counts on all nodes, and reads what was counted.
class Counter final : public CacheClient {
 public:
  Counter(World* world, LockChecker* checker, uint32_t number)
      : CacheClient(world, checker, Format("counter%u", number)) {
    for (int i = 0; i < 2; ++i) others_.push_back(std::make_unique<Session>(world));
  }

 private:
  void Round() override {
    world_->cache().JudgeOld();
    open_ = 0;
    const Bytes key = world_->cache().NameOf("n", world_->rng().Below(2));
    One(&session(), key);
    for (const auto& other : others_) {
      if (Chance(30)) One(other.get(), key);
    }
  }

  void One(Session* from, const Bytes& key) {
    ++open_;
    Op op;
    if (Chance(75)) op.kind = Kind::kAdd;
    op.by = Chance(80) ? 1 : Between(2, 9);
    Argv argv = {"GET", key};
    if (op.kind == Kind::kAdd && op.by == 1) argv = {"INCR", key};
    if (op.kind == Kind::kAdd && op.by > 1) argv = {"INCRBY", key, std::to_string(op.by)};
    Ask(from, key, op, argv, [this, from](const Op& told) {
      MayMove(from, told.told == Told::kAnswered ? 3 : 50);
      if (--open_ == 0) Next(told.told == Told::kAnswered ? 20'000 : 100'000);
    });
  }

  std::vector<std::unique_ptr<Session>> others_;
  size_t open_ = 0;
};

}  // namespace

CacheClient::Ticket CacheClient::Issue(const Bytes& key, Op op) {
  op.who = owner();
  return world_->cache().OnCall(key, std::move(op));
}

void CacheClient::Ask(Session* session, const Bytes& key, const Op& op, const Argv& argv,
                      ThenOp then) {
  const Ticket ticket = Issue(key, op);
  session->Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
    Op told = op;
    Fill(reply, sent, &told);
    if (world_->narrating()) Tell(argv, reply);
    world_->cache().OnReturn(ticket, told);
    then(told);
  });
  world_->cache().OnNode(ticket, session->node());
}

void CacheClient::Fill(const Reply* reply, bool sent, Op* op) {
  op->told = ToldBy(reply, sent);
  if (op->told != Told::kAnswered) return;
  switch (op->kind) {
    case Kind::kRead:
    case Kind::kTake:
      if (!reply->is_nil()) op->seen = reply->text;
      return;
    case Kind::kWrite: return;
    case Kind::kCompareAndSet: op->number = reply->is_nil() ? 0 : 1; return;
    case Kind::kDelete:
    case Kind::kSetIfAbsent:
    case Kind::kAdd:
    case Kind::kAppend: op->number = reply->integer; return;
  }
}

void CacheClient::Tell(const Argv& argv, const Reply* reply) {
  Bytes line;
  for (const Bytes& arg : argv) line += " " + arg;
  Bytes answer = reply == nullptr ? "no answer" : reply->text;
  if (reply != nullptr && reply->is_nil()) answer = "nil";
  if (reply != nullptr && reply->kind == Reply::Kind::kInteger) {
    answer = std::to_string(reply->integer);
  }
  if (reply != nullptr) {
    for (const Reply& item : reply->items) answer += " " + (item.is_nil() ? "nil" : item.text);
  }
  world_->Say("%s:%s -> %s", owner().c_str(), line.c_str(), answer.c_str());
}

void RestingClient::AskSome(int64_t most, const std::function<void()>& one) {
  open_ = Chance(20) ? static_cast<size_t>(Between(2, most)) : 1;
  for (size_t n = open_; n > 0; --n) one();
  if (Chance(hang_up_percent_)) HangUpSoon(20'000);
}

void RestingClient::Do(const Bytes& key, const Op& op, const Argv& argv) {
  Ask(&session(), key, op, argv, [this](const Op& told) { Done(told); });
}

void RestingClient::DoKind(Kind kind, const Bytes& key, Op op, const Argv& argv) {
  op.kind = kind;
  Do(key, op, argv);
}

void RestingClient::AddTime(Argv* argv, Op* op) {
  op->ttl_us = Between(50, 3000) * kUsPerMs;
  argv->insert(argv->end(), {"PX", std::to_string(op->ttl_us / kUsPerMs)});
}

void RestingClient::DoTogether(const std::vector<Bytes>& keys, const Op& op, const Argv& argv) {
  std::vector<Ticket> tickets;
  for (const Bytes& key : keys) tickets.push_back(Issue(key, op));
  session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
    if (world_->narrating()) Tell(argv, reply);
    Op told;
    told.told = ToldBy(reply, sent);
    for (const Ticket& ticket : tickets) world_->cache().OnReturn(ticket, told);
    Done(told);
  });
  for (const Ticket& ticket : tickets) world_->cache().OnNode(ticket, session().node());
}

void RestingClient::Done(const Op& op) {
  if (op.seen) seen_ = *op.seen;
  OnDone(op);
  if (--open_ > 0) return;
  const bool answered = op.told == Told::kAnswered;
  MayMove(&session(), answered ? move_percent_ : 50);
  Next(answered ? 30'000 : 100'000);
}

std::unique_ptr<Actor> MakeCacheUser(Work work, World* world, LockChecker* checker,
                                     uint32_t number) {
  if (work == Work::kCacheUsers) return std::make_unique<CacheUser>(world, checker, number);
  if (work == Work::kCounters) return std::make_unique<Counter>(world, checker, number);
  if (work == Work::kDurables) return MakeDurableUser(world, checker, number);
  if (work == Work::kPushers) return MakePusher(world, checker, number);
  return MakeSeveralKeysUser(work, world, checker, number);
}

}  // namespace lockstep::sim
