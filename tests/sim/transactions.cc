// Clients that use several locks at once: in any order, so that they deadlock; all at once; in
// transactions.
#include <algorithm>

#include "tests/sim/actor.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Kind = LockCommand::Kind;

// Takes two to four locks one after the other, in an order of its own; a victim begins anew.
class Transaction final : public Actor {
 public:
  Transaction(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("txn%u", number)), names_(Names("d", 4)) {}

 private:
  void Round() override {
    order_ = names_;
    for (size_t i = order_.size(); i > 1; --i) {
      std::swap(order_[i - 1], order_[world_->rng().Below(i)]);
    }
    order_.resize(static_cast<size_t>(Between(2, 4)));
    if (Chance(25)) return TakeAll();
    TakeFrom(0);
  }

  void TakeFrom(size_t i) {
    if (i == order_.size()) return Work();
    LockCommand command = About(Kind::kAcquire, order_[i]);
    command.ttl_ms = Between(3000, 8000);
    command.block_ms = Between(500, 4000);
    command.shared = Chance(15);
    Do(command, [this, i](const LockAnswer& answer) {
      if (answer.granted()) return After(5000, [this, i] { TakeFrom(i + 1); });
      if (answer.kind == LockAnswer::Kind::kDeadlock) return Next(20'000);
      ReleaseAll();
    });
  }

  void TakeAll() {
    LockCommand command = About(Kind::kMultiAcquire, order_[0]);
    command.names = order_;
    command.ttl_ms = Between(1000, 5000);
    if (Chance(70)) command.block_ms = Between(100, 3000);
    Do(command, [this](const LockAnswer& answer) {
      if (answer.granted()) return Work();
      ReleaseAll();
    });
  }

  void Work() {
    After(30'000, [this] { ReleaseAll(); });
  }

  void ReleaseAll() {
    Do(About(Kind::kReleaseAll, order_[0]), [this](const LockAnswer&) { Next(20'000); });
  }

  std::vector<Bytes> names_;
  std::vector<Bytes> order_;
};

// MULTI ... EXEC: one log entry, nothing in between.
class Batcher final : public Actor {
 public:
  Batcher(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("batcher%u", number)), names_(Names("b", 3)) {}

 private:
  void Round() override {
    std::vector<LockCommand> commands;
    std::vector<Bytes> wanted;
    for (const Bytes& name : names_) {
      if (Chance(60)) wanted.push_back(name);
    }
    for (const Bytes& name : wanted) {
      LockCommand command = Acquire(name);
      command.ttl_ms = Between(100, 3000);
      commands.push_back(command);
    }
    for (const Bytes& name : names_) {
      if (Chance(30)) commands.push_back(About(Kind::kInfo, name));
    }
    if (commands.empty()) return Next(1000);
    DoTogether(commands, [this](const std::vector<LockAnswer>&) {
      After(40'000, [this] { GiveUp(); });
    });
  }

  void GiveUp() {
    std::vector<LockCommand> commands;
    for (const Bytes& name : names_) {
      commands.push_back(About(Chance(20) ? Kind::kRenew : Kind::kRelease, name));
    }
    DoTogether(commands, [this](const std::vector<LockAnswer>&) { Next(40'000); });
  }

  std::vector<Bytes> names_;
};

// Two locks that change only together, in one entry and for the same time. So whoever looks at both
// in one entry sees one owner, whatever is lost, late, or answered to nobody.
class Twin final : public Actor {
 public:
  Twin(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("twin%u", number)) {}

 private:
  void Round() override {
    const Bytes which = Chance(50) ? "t0" : "t1";
    names_ = {which + "a", which + "b"};
    if (Chance(40)) return Look();
    LockCommand command = Acquire(names_[0]);
    command.shared = Chance(20);
    command.ttl_ms = Between(50, 2000);
    Both(command, [this](bool granted) {
      if (!granted) return Next(50'000);
      After(50'000, [this] { Chance(30) ? Renew() : GiveUp(); });
    });
  }

  void Renew() {
    LockCommand command = About(Kind::kRenew, names_[0]);
    command.ttl_ms = Between(50, 1000);
    Both(command, [this](bool) { After(50'000, [this] { GiveUp(); }); });
  }

  void GiveUp() {
    if (Chance(20)) return Next(100'000);  // It is left to time.
    Both(About(Kind::kRelease, names_[0]), [this](bool) { Next(50'000); });
  }

  // `then` is told whether it worked.
  void Both(LockCommand command, std::function<void(bool)> then) {
    std::vector<LockCommand> commands = {command, command};
    commands[1].names = {names_[1]};
    const bool acquires = command.acquires();
    DoTogether(commands, [=, this](const std::vector<LockAnswer>& answers) {
      const LockAnswer& a = answers[0];
      const LockAnswer& b = answers[1];
      CHECK_SIM(a.kind == b.kind && (acquires || a.number == b.number),
                "half of a transaction: '%s' answers %d, %lu and '%s' answers %d, %lu",
                names_[0].c_str(), static_cast<int>(a.kind), a.number, names_[1].c_str(),
                static_cast<int>(b.kind), b.number);
      then(a.granted());
    });
  }

  void Look() {
    DoTogether({About(Kind::kInfo, names_[0]), About(Kind::kInfo, names_[1])},
               [this](const std::vector<LockAnswer>& answers) {
                 const auto same = [](const Operation::Holder& a, const Operation::Holder& b) {
                   return a.owner == b.owner && a.shared == b.shared;
                 };
                 const auto& a = answers[0].holders;
                 const auto& b = answers[1].holders;
                 CHECK_SIM(std::equal(a.begin(), a.end(), b.begin(), b.end(), same),
                           "half of a transaction is to be seen: '%s' has %zu holders, '%s' %zu",
                           names_[0].c_str(), a.size(), names_[1].c_str(), b.size());
                 if (answers[0].kind == LockAnswer::Kind::kHolders) {
                   ++world_->counters()[Count::kTwinsCompared];
                 }
                 Next(50'000);
               });
  }

  std::vector<Bytes> names_;
};

}  // namespace

std::unique_ptr<Actor> MakeTransaction(Work work, World* world, LockChecker* checker,
                                       uint32_t number) {
  switch (work) {
    case Work::kDeadlocks: return std::make_unique<Transaction>(world, checker, number);
    case Work::kBatches: return std::make_unique<Batcher>(world, checker, number);
    case Work::kTwins: return std::make_unique<Twin>(world, checker, number);
    default: return nullptr;
  }
}

}  // namespace lockstep::sim
