// Clients with a purpose of their own: those that never take an answer at its word, that keep what
// they have for ever, that tie locks to connections, and the operator.
#include <utility>

#include "tests/sim/actor.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Kind = LockCommand::Kind;

// Hangs up on every third command and asks again, elsewhere, under the same owner.
class Retrier final : public Actor {
 public:
  Retrier(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("retrier%u", number)) {
    hang_up_percent_ = 35;
  }

 private:
  void Round() override {
    LockCommand command = Acquire("retry");
    command.ttl_ms = Between(2000, 10'000);
    if (Chance(60)) command.block_ms = Between(200, 3000);
    Insist(command, [this, command](const LockAnswer& answer) {
      if (!answer.granted()) return Next(50'000);
      if (Chance(50)) return Again(command);
      GiveUp(answer.number);
    });
  }

  void Again(const LockCommand& command) {
    Insist(command, [this](const LockAnswer& answer) {
      if (!answer.granted()) return Next(50'000);
      GiveUp(answer.number);
    });
  }

  void GiveUp(uint64_t token) {
    LockCommand release = About(Kind::kRelease, "retry");
    release.token = token;
    Insist(release, [this](const LockAnswer&) { Next(20'000); });
  }
};

// Takes locks that nobody else wants, for an hour, and never gives them back: at the end all of
// them must be there.
class Keeper final : public Actor {
 public:
  Keeper(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("keeper%u", number)) {}

  void Check() override {
    for (const auto& [name, token] : kept_) {
      LockCommand check = About(Kind::kCheck, name);
      check.token = token;
      Do(check, [name = name, token = token](const LockAnswer& answer) {
        if (answer.kind != LockAnswer::Kind::kNumber) return;
        CHECK_SIM(answer.number == 1, "'%s' was granted with token %lu for an hour, and is lost",
                  name.c_str(), token);
      });
    }
  }

 private:
  void Round() override {
    const Bytes name = Format("%s-%zu", owner().c_str(), kept_.size());
    LockCommand command = Acquire(name);
    command.only_lock = false;
    command.ttl_ms = 3'600'000;
    Insist(command, [this, name](const LockAnswer& answer) {
      CHECK_SIM(answer.granted(), "'%s' is nobody else's, and not granted", name.c_str());
      kept_.push_back({name, answer.number});
      checker_->Keep(name);
      Next(300'000);
    });
  }

  std::vector<std::pair<Bytes, uint64_t>> kept_;
};

// BIND: the lock and the wait end with the connection, and by nothing else: the lease is for an
// hour. So at the end nothing may be left.
class Bound final : public Actor {
 public:
  Bound(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("bound%u", number)) {
    hang_up_percent_ = 15;
  }

  void Check() override { session().HangUp(); }

 private:
  void Round() override {
    LockCommand command = Acquire("bound");
    command.bind = true;
    command.ttl_ms = 3'600'000;
    if (Chance(60)) command.block_ms = Between(100, 4000);
    Do(command, [this](const LockAnswer& answer) {
      if (!answer.granted()) return Next(50'000);
      After(100'000, [this] { GiveUp(); });
    });
  }

  void GiveUp() {
    if (Chance(50)) {
      ++world_->counters()[Count::kBoundHungUp];
      session().HangUp();
      return Next(100'000);
    }
    Do(About(Kind::kRelease, "bound"), [this](const LockAnswer&) { Next(50'000); });
  }
};

// Looks at everything, throws people out now and then, asks what only operators ask.
class Operator final : public Actor {
 public:
  Operator(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("operator%u", number)) {}

 private:
  void Round() override {
    const std::vector<Bytes> names = checker_->names();
    if (names.empty()) return Next(100'000);
    const Bytes name = Pick(names);
    const bool may_revoke = name[0] == 'c' || name[0] == 'l' || name.starts_with("rw");
    if (may_revoke && Chance(15)) {
      return Do(About(Kind::kRevoke, name), [this](const LockAnswer&) { Next(60'000); });
    }
    if (Chance(30)) return Ask(name);
    Do(About(Kind::kInfo, name), [this](const LockAnswer&) { Next(60'000); });
  }

  void Ask(const Bytes& name) {
    const std::vector<std::vector<Bytes>> questions = {
        {"LOCK.LIST", "COUNT", "5"}, {"LOCK.OWNER", "txn1"}, {"LOCK.GRAPH"},
        {"LOCK.DEADLOCKS"},          {"CLUSTER", "STATUS"},  {"CLUSTER", "NODES"},
        {"INFO"},                    {"PING"},               {"CLIENT", "LIST"},
        {"LOCK.CHECK", name, "1"},
    };
    const std::vector<Bytes>& question = questions[world_->rng().Below(questions.size())];
    session().Call(question, 8'000'000, [this, question](const Reply* reply, bool) {
      if (reply != nullptr && reply->is_error()) {
        const bool refused = reply->text.starts_with("CLUSTERDOWN") ||
                             reply->text.starts_with("TRYAGAIN") ||
                             reply->text.starts_with("UNCERTAIN");
        CHECK_SIM(refused, "%s: %s", question.front().c_str(), reply->text.c_str());
      }
      Next(60'000);
    });
  }
};

// Takes a lock and gives it back, and after each looks at once through several nodes: what was
// answered must be seen everywhere, above all by a leader of a moment ago and by a fresh one.
class Watcher final : public Actor {
 public:
  Watcher(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("watcher%u", number)) {
    for (int i = 0; i < 3; ++i) eyes_.push_back(std::make_unique<Session>(world));
  }

 private:
  // Another lock every two seconds, or the histories would be long.
  void Round() override {
    name_ = Format("%s-%ld", owner().c_str(), world_->now_us() / (2 * kUsPerSecond));
    LockCommand command = Acquire(name_);
    command.ttl_ms = 60'000;
    Do(command, [this](const LockAnswer& answer) {
      if (!answer.granted()) return Next(50'000);
      token_ = answer.number;
      Look([this] { GiveUp(); });
    });
  }

  void GiveUp() {
    Do(About(Kind::kRelease, name_), [this](const LockAnswer&) {
      Look([this] { Next(20'000); });
    });
  }

  void Look(std::function<void()> then) {
    open_ = eyes_.size();
    then_ = std::move(then);
    for (const auto& eye : eyes_) {
      if (Chance(5)) eye->HangUp();  // To another node.
      LockCommand check = About(Kind::kCheck, name_);
      check.token = token_;
      DoOn(eye.get(), check, [this](const LockAnswer& answer) {
        if (answer.kind == LockAnswer::Kind::kNumber) {
          ++world_->counters()[Count::kLooksElsewhere];
        }
        if (--open_ > 0) return;
        const auto next = std::exchange(then_, nullptr);
        next();
      });
    }
  }

  std::vector<std::unique_ptr<Session>> eyes_;
  Bytes name_;
  uint64_t token_ = 0;
  size_t open_ = 0;
  std::function<void()> then_;
};

}  // namespace

std::unique_ptr<Actor> MakeOddClient(Work work, World* world, LockChecker* checker,
                                     uint32_t number) {
  switch (work) {
    case Work::kRetries: return std::make_unique<Retrier>(world, checker, number);
    case Work::kKeepers: return std::make_unique<Keeper>(world, checker, number);
    case Work::kBound: return std::make_unique<Bound>(world, checker, number);
    case Work::kWatchers: return std::make_unique<Watcher>(world, checker, number);
    case Work::kOperator: return std::make_unique<Operator>(world, checker, number);
    default: return nullptr;
  }
}

}  // namespace lockstep::sim
