// Clients that use one lock at a time: exclusive locks, semaphores, leases that nobody gives back,
// readers and writers.
#include <algorithm>

#include "tests/sim/actor.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Kind = LockCommand::Kind;

// Few locks, many who want them; takes, works, releases.
class Contender final : public Actor {
 public:
  Contender(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("contender%u", number)), names_(Names("c", 3)) {}

 private:
  void Round() override {
    const Bytes name = Pick(names_);
    LockCommand command = Acquire(name);
    command.only_lock = false;  // It goes on to another lock when it should still hold one.
    command.ttl_ms = Between(200, 5000);
    if (Chance(10)) command.meta_bytes = static_cast<size_t>(Between(1, 300));
    if (Chance(50)) command.block_ms = Chance(95) ? Between(50, 3000) : 0;  // 0: for ever.
    Do(command, [this, name, command](const LockAnswer& answer) {
      if (answer.granted()) return Work(name, answer.number);
      if (answer.unknown() && Chance(70)) {
        After(100'000, [this, command] { Retry(command); });
        return;
      }
      Next(50'000);
    });
  }

  void Retry(const LockCommand& command) {
    Insist(command, [this, name = command.name()](const LockAnswer& answer) {
      if (answer.granted()) return Work(name, answer.number);
      Next(50'000);
    });
  }

  void Work(const Bytes& name, uint64_t token) {
    After(60'000, [this, name, token] {
      if (Chance(30)) {
        LockCommand renew = About(Kind::kRenew, name);
        renew.ttl_ms = Between(200, 3000);
        return Do(renew, [this, name, token](const LockAnswer&) { GiveUp(name, token); });
      }
      if (Chance(30)) {
        LockCommand check = About(Kind::kCheck, name);
        check.token = token;
        return Do(check, [this, name, token](const LockAnswer&) { GiveUp(name, token); });
      }
      GiveUp(name, token);
    });
  }

  void GiveUp(const Bytes& name, uint64_t token) {
    LockCommand release = About(Kind::kRelease, name);
    if (Chance(70)) release.token = token;
    Do(release, [this](const LockAnswer&) { Next(30'000); });
  }

  std::vector<Bytes> names_;
};

// A counting semaphore. In half of the runs nobody waits, so that each refusal must be explained.
class SemaphoreUser final : public Actor {
 public:
  SemaphoreUser(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("user%u", number)),
        limit_(static_cast<uint32_t>(world->seed() % 3 + 1)),
        waits_(world->seed() % 2 == 0) {}

 private:
  void Round() override {
    LockCommand command = Acquire("semaphore");
    command.shared = true;
    command.limit = limit_;
    command.ttl_ms = Between(500, 5000);
    command.no_queue = !waits_;
    if (waits_ && Chance(60)) command.block_ms = Between(50, 2000);
    Do(command, [this](const LockAnswer& answer) {
      if (!answer.granted()) return Next(60'000);
      After(80'000, [this] {
        Do(About(Kind::kRelease, "semaphore"), [this](const LockAnswer&) { Next(40'000); });
      });
    });
  }

  uint32_t limit_;
  bool waits_;
};

// Takes short leases; keeps them alive for a while, or dies and leaves them to time.
class Lessee final : public Actor {
 public:
  Lessee(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("lessee%u", number)), names_(Names("l", 2)) {}

 private:
  void Round() override {
    const Bytes name = Pick(names_);
    LockCommand command = Acquire(name);
    command.only_lock = false;
    command.ttl_ms = Between(20, 300);
    if (Chance(60)) command.block_ms = Between(100, 2000);
    Do(command, [this, command](const LockAnswer& answer) {
      if (answer.unknown()) all_heard_ = false;
      if (!answer.granted()) return Next(50'000);
      beats_ = Chance(50) ? Between(1, 6) : 0;
      HeartBeat(command, answer.number);
    });
  }

  void HeartBeat(const LockCommand& lease, uint64_t token) {
    if (beats_-- <= 0) return Wait(lease, token);
    // Now and then just before its end, or just after.
    int64_t wait_us = Between(0, lease.ttl_ms * kUsPerMs);
    if (Chance(30)) {
      wait_us = std::max<int64_t>(0, lease.ttl_ms * kUsPerMs + Between(-5000, 60'000));
      ++world_->counters()[Count::kLateRenewals];
    }
    world_->events().After(wait_us, [this, lease, token] {
      LockCommand renew = About(Chance(50) ? Kind::kRenew : Kind::kRenewAll, lease.name());
      renew.ttl_ms = lease.ttl_ms;
      Do(renew, [this, lease, token](const LockAnswer& answer) {
        if (answer.unknown()) all_heard_ = false;
        HeartBeat(lease, token);
      });
    });
  }

  // Past the lease, the token must be worth nothing. Cluster time stands still without a leader, so
  // that is sure only where nothing was disturbed and the leader stayed.
  void Wait(const LockCommand& lease, uint64_t token) {
    const uint64_t elections = world_->counters()[Count::kElections];
    world_->events().After(3 * lease.ttl_ms * kUsPerMs + kUsPerSecond, [=, this] {
      LockCommand check = About(Kind::kCheck, lease.name());
      check.token = token;
      Do(check, [=, this](const LockAnswer& answer) {
        if (answer.kind != LockAnswer::Kind::kNumber) return Next(30'000);
        if (answer.number == 0) ++world_->counters()[Count::kExpiries];
        const bool sure = world_->disturbed_at_fast_us() == INT64_MAX && all_heard_ &&
                          elections == world_->counters()[Count::kElections];
        if (sure) {
          CHECK_SIM(answer.number == 0, "'%s' is held with token %lu long past its %ld ms",
                    lease.name().c_str(), token, lease.ttl_ms);
          ++world_->counters()[Count::kLeasesEndedInTime];
        }
        Next(30'000);
      });
    });
  }

  std::vector<Bytes> names_;
  int64_t beats_ = 0;
  bool all_heard_ = true;  // Nothing of what was sent can take effect late.
};

// Reads, writes, becomes a writer while it reads, and a reader while it writes. Every ten seconds
// on another lock: what was lost explains too much after a while.
class ReaderWriter final : public Actor {
 public:
  ReaderWriter(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("rw%u", number)) {}

 private:
  void Round() override {
    name_ = Format("rw%ld", world_->now_us() / (10 * kUsPerSecond));
    LockCommand command = Want(Chance(70));
    Do(command, [this, command](const LockAnswer& answer) {
      if (!answer.granted()) return Next(40'000);
      After(40'000, [this, shared = command.shared] { Change(shared); });
    });
  }

  LockCommand Want(bool shared) {
    LockCommand command = Acquire(name_);
    command.only_lock = false;  // Two upgraders are a deadlock.
    command.shared = shared;
    command.ttl_ms = Between(500, 4000);
    if (Chance(60)) command.block_ms = Between(50, 2000);
    return command;
  }

  void Change(bool shared) {
    if (Chance(50)) return GiveUp();
    Do(Want(!shared), [this, shared](const LockAnswer& answer) {
      if (answer.granted()) {
        ++world_->counters()[shared ? Count::kUpgrades : Count::kDowngrades];
      }
      After(40'000, [this] { GiveUp(); });
    });
  }

  void GiveUp() {
    Do(About(Kind::kRelease, name_), [this](const LockAnswer&) { Next(30'000); });
  }

  Bytes name_;
};

}  // namespace

std::unique_ptr<Actor> MakeLockUser(Work work, World* world, LockChecker* checker,
                                    uint32_t number) {
  switch (work) {
    case Work::kContention: return std::make_unique<Contender>(world, checker, number);
    case Work::kSemaphore: return std::make_unique<SemaphoreUser>(world, checker, number);
    case Work::kLeases: return std::make_unique<Lessee>(world, checker, number);
    case Work::kReadersWriters: return std::make_unique<ReaderWriter>(world, checker, number);
    default: return nullptr;
  }
}

}  // namespace lockstep::sim
