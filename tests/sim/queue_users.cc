// Clients of the queues: those who push and those who work.
#include <algorithm>

#include "tests/sim/actor.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Outcome = QueueLedger::Outcome;

constexpr int64_t kPatienceUs = 8'000'000;

// q0 stays in one place, and whoever pops it pops nothing else. The groups of q2 must keep their
// order. From q3 messages vanish by TTL and PURGE, and its dead come back.
constexpr const char* kStrict = "q0";
constexpr const char* kPlain = "q1";
constexpr const char* kGrouped = "q2";
constexpr const char* kLoose = "q3";

Bytes AnyQueue(Rng* rng) {
  constexpr const char* kQueues[] = {kStrict, kStrict, kPlain, kPlain, kGrouped, kGrouped, kGrouped,
                                     kLoose};
  return kQueues[rng->Below(std::size(kQueues))];
}

Outcome OutcomeOf(const Reply* reply, bool sent) {
  if (reply == nullptr) return sent ? Outcome::kUnknown : Outcome::kRefused;
  if (!reply->is_error()) return Outcome::kDone;
  return reply->text.starts_with("UNCERTAIN") ? Outcome::kUnknown : Outcome::kRefused;
}

class Producer final : public Actor {
 public:
  Producer(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("producer%u", number)) {}

 private:
  using Push = QueueLedger::Push;

  void Round() override {
    if (Chance(4)) return Spread();
    if (Chance(2)) return Pause(AnyQueue(&world_->rng()));
    if (Chance(3)) return Chance(50) ? Purge() : Move();
    Push push;
    push.queue = AnyQueue(&world_->rng());
    const bool grouped = push.queue == kGrouped;
    push.may_die = !grouped && Chance(10);
    if (push.may_die) push.retry = Between(1, 3);
    if (Chance(20)) push.delay_us = Between(1, 800) * kUsPerMs;
    if (push.queue == kLoose && Chance(30)) push.ttl_us = Between(100, 1500) * kUsPerMs;
    if (push.queue == kPlain && Chance(10)) push.ttl_us = 3600 * kUsPerSecond;
    if (grouped) push.group = Format("%s-group%ld", owner().c_str(), Between(0, 1));
    Chance(10) ? PushMany(push) : PushOne(push);
  }

  Bytes NewBody(const Push& push) {
    return Format("%s-%lu%s", owner().c_str(), ++pushed_, push.may_die ? "!" : "");
  }

  std::vector<Bytes> OptionsOf(const Push& push) {
    std::vector<Bytes> options;
    const auto add = [&options](const char* name, const Bytes& value) {
      options.insert(options.end(), {name, value});
    };
    if (!push.group.empty()) add("GROUP", push.group);
    if (push.may_die) add("RETRY", std::to_string(push.retry));
    if (push.delay_us > 0) add("DELAY", std::to_string(push.delay_us / kUsPerMs));
    if (push.ttl_us > 0) add("TTL", std::to_string(push.ttl_us / kUsPerMs));
    if (push.group.empty() && Chance(20)) add("PRIORITY", std::to_string(Between(0, 9)));
    return options;
  }

  void PushOne(Push push) {
    push.body = NewBody(push);
    std::vector<Bytes> argv = {"DQ.PUSH", push.queue, push.body};
    for (Bytes& option : OptionsOf(push)) argv.push_back(std::move(option));
    const bool has_id = Chance(50);
    if (has_id) argv.insert(argv.end(), {"ID", push.body});
    world_->queues().OnPush(push);
    Try(push, argv, has_id);
  }

  // All or none of them.
  void PushMany(const Push& push) {
    std::vector<Bytes> bodies;
    std::vector<Bytes> argv = {"DQ.MPUSH", push.queue, std::to_string(Between(2, 4))};
    for (int64_t i = std::stol(argv.back()); i > 0; --i) {
      Push one = push;
      bodies.push_back(one.body = NewBody(push));
      argv.push_back(one.body);
      world_->queues().OnPush(one);
    }
    for (Bytes& option : OptionsOf(push)) argv.push_back(std::move(option));
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      const Outcome outcome = OutcomeOf(reply, sent);
      const bool done = outcome == Outcome::kDone;
      CHECK_SIM(!done || reply->items.size() == bodies.size(), "%zu bodies have %zu ids",
                bodies.size(), reply->items.size());
      for (size_t i = 0; i < bodies.size(); ++i) {
        world_->queues().OnPushed(bodies[i], outcome, done ? reply->items[i].text : Bytes());
      }
      if (done) ++world_->counters()[Count::kManyPushes];
      Next(60'000);
    });
  }

  // It may be as wide already, or not settled.
  void Spread() {
    const Bytes partitions = std::to_string(Between(2, 3));
    const Bytes queue = Pick({kPlain, kGrouped, kLoose});
    world_->queues().OnSpread(queue);
    session().Call({"DQ.SET", queue, "partitions", partitions}, kPatienceUs,
                   [this](const Reply* reply, bool) {
                     const bool done = reply != nullptr && !reply->is_error();
                     if (done) ++world_->counters()[Count::kQueuesSpread];
                     Next(20'000);
                   });
  }

  // Under an id the same push may be sent again until it is known to have happened.
  void Try(const Push& push, const std::vector<Bytes>& argv, bool has_id) {
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      const Outcome outcome = OutcomeOf(reply, sent);
      if (has_id && outcome != Outcome::kDone && maybe_done_.contains(push.body)) {
        const bool stops = reply != nullptr && reply->text.starts_with("LIMIT");
        const auto again = [=, this] { Again(push, argv); };
        return stops ? EndPause(push.queue, again) : again();  // It says nothing about before.
      }
      if (has_id && outcome == Outcome::kUnknown) {
        maybe_done_.insert(push.body);
        return Again(push, argv);
      }
      const bool done = outcome == Outcome::kDone;
      world_->queues().OnPushed(push.body, outcome, done ? reply->text : Bytes());
      if (done && Chance(4)) return Delete(push, reply->text);
      Next(120'000);
    });
    if (Chance(hang_up_percent_)) HangUpSoon(50'000);
  }

  void Again(const Push& push, const std::vector<Bytes>& argv) {
    ++world_->counters()[Count::kPushesAgain];
    if (Chance(30)) session().HangUp();
    After(200'000, [=, this] { Try(push, argv, true); });
  }

  void Delete(const Push& push, const Bytes& id) {
    world_->queues().OnDelete(push.body);
    const std::vector<Bytes> argv = {"DQ.DEL", push.queue, id};
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      const Outcome outcome = OutcomeOf(reply, sent);
      const bool was_there = outcome == Outcome::kDone && reply->integer == 1;
      world_->queues().OnDeleted(push.body, outcome, was_there);
      Next(60'000);
    });
  }

  void Purge() {
    world_->queues().OnPurge(kLoose);
    const Bytes queue = Bytes(kLoose) + (Chance(50) ? "!dead" : "");
    session().Call({"DQ.PURGE", queue}, kPatienceUs, [this](const Reply* reply, bool sent) {
      world_->queues().OnPurged(kLoose, OutcomeOf(reply, sent));
      Next(60'000);
    });
  }

  void Move() {
    world_->queues().OnMove(kLoose);
    session().Call({"DQ.MOVE", Bytes(kLoose) + "!dead", kLoose}, kPatienceUs,
                   [this](const Reply* reply, bool) {
                     const bool moved = reply != nullptr && reply->integer > 0;
                     if (moved) ++world_->counters()[Count::kDeadMoved];
                     Next(60'000);
                   });
  }

  void Pause(const Bytes& queue) {
    const int64_t which = Between(0, 2);
    const Bytes word = which == 0 ? "IN" : which == 1 ? "OUT" : "ALL";
    Stop(queue, word, [=, this](Outcome) {
      After(400'000, [=, this] { EndPause(queue, [this] { Next(60'000); }); });
    });
  }

  void EndPause(const Bytes& queue, const std::function<void()>& then) {
    Stop(queue, "NONE", [=, this](Outcome outcome) {
      if (outcome == Outcome::kDone) return then();
      session().HangUp();  // Another node may be better off.
      After(200'000, [=, this] { EndPause(queue, then); });
    });
  }

  void Stop(const Bytes& queue, const Bytes& word, const std::function<void(Outcome)>& then) {
    const bool in = word == "IN" || word == "ALL";
    const bool out = word == "OUT" || word == "ALL";
    world_->queues().OnPause(queue, in, out);
    const std::vector<Bytes> argv = {"DQ.PAUSE", queue, word};
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      const Outcome outcome = OutcomeOf(reply, sent);
      world_->queues().OnPaused(queue, in, out, outcome);
      then(outcome);
    });
  }

  uint64_t pushed_ = 0;
  std::set<Bytes> maybe_done_;
};

Bytes Joined(const std::vector<Bytes>& argv) {
  Bytes line;
  for (const Bytes& word : argv) line += line.empty() ? word : " " + word;
  return line;
}

// What a POP was answered.
Bytes Answered(const Reply* reply) {
  if (reply == nullptr) return "no answer";
  if (reply->is_error()) return reply->text;
  Bytes bodies;
  for (const Reply& row : reply->items) bodies += " " + row.items.at(2).text;
  return "gets" + (bodies.empty() ? Bytes(" nothing") : bodies);
}

class Worker final : public Actor {
 public:
  Worker(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("worker%u", number)) {}

 private:
  using Said = Lease::Said;
  using Told = Lease::Told;
  using Pop = QueueLedger::Pop;
  using Row = QueueLedger::Row;

  void Round() override {
    std::vector<Row> acks = std::move(owed_);
    owed_.clear();
    Pop pop = AnyPop(acks.empty() ? AnyQueue(&world_->rng()) : acks.front().queue);
    std::erase_if(acks, [&pop](const Row& row) { return row.queue != pop.queues.front(); });
    const std::vector<Bytes> argv = Argv(pop, acks);
    for (const Row& row : acks) world_->queues().OnSay(row.receipt, Said::kAck);
    if (world_->narrating()) world_->Say("%s: %s", owner().c_str(), Joined(argv).c_str());
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      if (world_->narrating()) world_->Say("%s: %s", owner().c_str(), Answered(reply).c_str());
      // Where it has waited it has acknowledged before, and what came when its wait was ended was
      // given back.
      const bool waited = reply != nullptr && reply->text.starts_with("UNBLOCKED");
      const Outcome outcome = waited ? Outcome::kUnknown : OutcomeOf(reply, sent);
      for (const Row& row : acks) Settle(row.receipt, outcome, Told::kEither);
      Take(pop, reply, outcome);
    });
    pop.node = session().node();
    pop.socket = session().socket();
    lease_us_ = pop.lease_us;
    world_->queues().OnPop(owner(), std::move(pop));
    if (Chance(hang_up_percent_)) HangUpSoon(200'000);
  }

  Pop AnyPop(const Bytes& queue) {
    Pop pop;
    pop.queues = {queue};
    if (queue != kStrict && Chance(20)) pop.queues.push_back(queue == kPlain ? kGrouped : kPlain);
    pop.lease_us = Between(100, Chance(70) ? 600 : 3000) * kUsPerMs;
    pop.tied = Chance(30);
    if (Chance(50)) pop.count = static_cast<uint64_t>(Between(2, 8));
    if (Chance(70)) pop.block_us = Between(50, 2000) * kUsPerMs;
    // What is taken for good and lost on its way leaves its group for those behind it.
    const bool groups = std::count(pop.queues.begin(), pop.queues.end(), kGrouped) > 0;
    pop.noack = !groups && Chance(6);
    return pop;
  }

  static std::vector<Bytes> Argv(const Pop& pop, const std::vector<Row>& acks) {
    std::vector<Bytes> argv = {"DQ.POP"};
    argv.insert(argv.end(), pop.queues.begin(), pop.queues.end());
    argv.insert(argv.end(), {"LEASE", std::to_string(pop.lease_us / kUsPerMs)});
    if (pop.tied) argv.push_back("TIED");
    if (pop.noack) argv.push_back("NOACK");
    if (pop.count > 1) argv.insert(argv.end(), {"COUNT", std::to_string(pop.count)});
    if (pop.block_us > 0) {
      argv.insert(argv.end(), {"BLOCK", std::to_string(pop.block_us / kUsPerMs)});
    }
    if (!acks.empty()) argv.insert(argv.end(), {"ACK", std::to_string(acks.size())});
    for (const Row& row : acks) argv.push_back(row.receipt);
    return argv;
  }

  void Take(const Pop& pop, const Reply* reply, Outcome outcome) {
    std::vector<Row> jobs;
    if (outcome == Outcome::kDone) {
      for (const Reply& row : reply->items) {
        jobs.push_back({row.items.at(0).text, row.items.at(1).text, row.items.at(2).text,
                        row.items.at(3).integer});
        world_->queues().OnDelivered(owner(), jobs.back());
      }
    }
    world_->queues().OnPopAnswered(owner(), outcome, outcome == Outcome::kDone && jobs.empty());
    if (jobs.empty() || pop.noack) return Next(80'000);
    Chance(15) ? Touch(std::move(jobs)) : WorkOn(std::move(jobs));
  }

  void Touch(std::vector<Row> jobs) {
    const int64_t lease_us = Between(50, 3000) * kUsPerMs;
    const int64_t asked_fast_us = world_->FastUs();
    const Bytes receipt = jobs.front().receipt;
    world_->queues().OnTouch(receipt, lease_us);
    session().Call({"DQ.TOUCH", jobs.front().queue, std::to_string(lease_us / kUsPerMs), receipt},
                   kPatienceUs, [=, this](const Reply* reply, bool) {
                     const bool held = reply != nullptr && reply->items.size() == 1 &&
                                       reply->items.front().integer >= 0;
                     if (held) world_->queues().OnTouched(receipt, asked_fast_us, lease_us);
                     if (held) lease_us_ = lease_us;
                     WorkOn(jobs);
                   });
  }

  // Mostly in time; now and then past the lease, and past the time when another is at it.
  void WorkOn(std::vector<Row> jobs) {
    int64_t takes_us = Between(0, 50'000);
    if (Chance(8)) takes_us = 2 * lease_us_;
    if (Chance(8)) takes_us = lease_us_ + Between(0, 3'000'000);
    world_->events().After(takes_us, [this, jobs = std::move(jobs)] {
      open_ = jobs.size();
      for (const Row& job : jobs) Finish(job);
    });
  }

  void Finish(const Row& job) {
    if (Chance(5)) return OneLess();  // It dies without a word.
    if (job.body.ends_with('!') || Chance(8)) return Fail(job);
    if (Chance(20)) {
      owed_.push_back(job);
      return OneLess();
    }
    Say({"DQ.ACK", job.queue, job.receipt}, Said::kAck, {});
  }

  void Fail(const Row& job) {
    std::vector<Bytes> argv = {"DQ.NACK", job.queue, job.receipt};
    std::optional<int64_t> delay_us;
    Said said = Said::kFail;
    if (Chance(30)) said = Said::kRelease;
    if (said == Said::kFail && Chance(10)) said = Said::kDead;
    if (Chance(60)) delay_us = Between(0, 300) * kUsPerMs;
    if (delay_us) argv.insert(argv.end(), {"DELAY", std::to_string(*delay_us / kUsPerMs)});
    if (said == Said::kRelease) argv.push_back("RELEASE");
    if (said == Said::kDead) argv.push_back("DEAD");
    if (said == Said::kFail) argv.insert(argv.end(), {"ERROR", "on purpose"});
    Say(argv, said, delay_us);
  }

  void Say(const std::vector<Bytes>& argv, Said said, std::optional<int64_t> delay_us) {
    const Bytes receipt = argv.at(2);
    world_->queues().OnSay(receipt, said, delay_us);
    session().Call(argv, kPatienceUs, [this, receipt](const Reply* reply, bool sent) {
      const Outcome outcome = OutcomeOf(reply, sent);
      const bool counted = outcome == Outcome::kDone && reply->integer == 1;
      Settle(receipt, outcome, counted ? Told::kCounted : Told::kNot);
      OneLess();
    });
  }

  void Settle(const Bytes& receipt, Outcome outcome, Told told) {
    if (outcome == Outcome::kRefused) world_->queues().OnRefused(receipt);
    if (outcome == Outcome::kDone) world_->queues().OnTold(receipt, told);
  }

  void OneLess() {
    if (--open_ == 0) Next(20'000);
  }

  int64_t lease_us_ = 0;
  size_t open_ = 0;
  std::vector<Row> owed_;  // To be acknowledged by the next POP.
};

}  // namespace

std::unique_ptr<Actor> MakeQueueUser(Work work, World* world, LockChecker* checker,
                                     uint32_t number) {
  if (work == Work::kProducers) return std::make_unique<Producer>(world, checker, number);
  if (work == Work::kWorkers) return std::make_unique<Worker>(world, checker, number);
  return nullptr;
}

}  // namespace lockstep::sim
