// Clients of the queues: those who push and those who work.
#include "tests/sim/actor.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Outcome = QueueLedger::Outcome;

constexpr int64_t kPatienceUs = 8'000'000;

// The grouped queue has messages that must keep their order, so none of them dies.
const Bytes& QueueOf(World* world, bool grouped) {
  static const std::vector<Bytes> plain = {"q0", "q1"};
  static const Bytes with_groups = "q2";
  return grouped ? with_groups : plain[world->rng().Below(plain.size())];
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
  void Round() override {
    if (Chance(4)) return Spread();
    QueueLedger::Push push;
    const bool grouped = Chance(40);
    push.queue = QueueOf(world_, grouped);
    push.body = Format("%s-%lu", owner().c_str(), ++pushed_);
    push.may_die = !grouped && Chance(10);
    if (push.may_die) push.body += "!";
    if (Chance(20)) push.delay_us = Between(1, 800) * kUsPerMs;
    std::vector<Bytes> argv = {"DQ.PUSH", push.queue, push.body};
    if (grouped) {
      push.group = Format("%s-group%ld", owner().c_str(), Between(0, 1));
      argv.insert(argv.end(), {"GROUP", push.group});
    }
    if (push.may_die) argv.insert(argv.end(), {"RETRY", "2"});
    if (push.delay_us > 0) {
      argv.insert(argv.end(), {"DELAY", std::to_string(push.delay_us / kUsPerMs)});
    }
    if (!grouped && Chance(20)) {
      argv.insert(argv.end(), {"PRIORITY", std::to_string(Between(0, 9))});
    }
    const bool has_id = Chance(50);
    if (has_id) argv.insert(argv.end(), {"ID", push.body});
    world_->queues().OnPush(push);
    Try(push.body, argv, has_id);
  }

  // It may be as wide already, or not settled.
  void Spread() {
    const Bytes partitions = std::to_string(Between(2, 3));
    const Bytes queue = QueueOf(world_, Chance(50));
    world_->queues().OnSpread(queue);
    session().Call({"DQ.SET", queue, "partitions", partitions}, kPatienceUs,
                   [this](const Reply* reply, bool) {
                     const bool done = reply != nullptr && !reply->is_error();
                     if (done) ++world_->counters()[Count::kQueuesSpread];
                     Next(20'000);
                   });
  }

  // Under an id the same push may be sent again until it is known to have happened.
  void Try(const Bytes& body, const std::vector<Bytes>& argv, bool has_id) {
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      const Outcome outcome = OutcomeOf(reply, sent);
      if (has_id && outcome != Outcome::kDone && maybe_done_.contains(body)) {
        return Again(body, argv);  // A refusal now says nothing about the time before.
      }
      if (has_id && outcome == Outcome::kUnknown) {
        maybe_done_.insert(body);
        return Again(body, argv);
      }
      world_->queues().OnPushed(body, outcome);
      Next(60'000);
    });
    if (Chance(hang_up_percent_)) HangUpSoon(50'000);
  }

  void Again(const Bytes& body, const std::vector<Bytes>& argv) {
    ++world_->counters()[Count::kPushesAgain];
    After(200'000, [=, this] { Try(body, argv, true); });
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
Bytes Told(const Reply* reply) {
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
  struct Job {
    Bytes queue, receipt, body;
  };

  void Round() override {
    const Bytes queue = QueueOf(world_, Chance(40));
    lease_ms_ = Between(100, 3000);
    tied_ = Chance(30);
    std::vector<Bytes> argv = {"DQ.POP", queue, "LEASE", std::to_string(lease_ms_)};
    std::vector<Bytes> queues = {queue};
    if (Chance(15)) queues.insert(queues.begin(), queue == "q1" ? "q2" : "q1");
    argv.insert(argv.begin() + 1, queues.begin(), queues.end() - 1);
    if (tied_) argv.push_back("TIED");
    if (Chance(30)) argv.insert(argv.end(), {"COUNT", std::to_string(Between(2, 5))});
    if (Chance(70)) argv.insert(argv.end(), {"BLOCK", std::to_string(Between(50, 2000))});
    const int64_t asked_us = world_->now_us();
    world_->queues().OnPop(owner(), std::move(queues), lease_ms_ * kUsPerMs);
    if (world_->narrating()) world_->Say("%s: %s", owner().c_str(), Joined(argv).c_str());
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      std::vector<Job> jobs;
      world_->queues().OnPopAnswered(owner());
      if (world_->narrating()) world_->Say("%s: %s", owner().c_str(), Told(reply).c_str());
      if (OutcomeOf(reply, sent) == Outcome::kUnknown) world_->queues().OnPopLost();
      if (reply != nullptr && reply->kind == Reply::Kind::kArray) {
        for (const Reply& row : reply->items) {
          const Job& job = jobs.emplace_back(
              Job{row.items.at(0).text, row.items.at(1).text, row.items.at(2).text});
          world_->queues().OnDelivered(job.queue, job.body, job.receipt, row.items.at(3).integer,
                                       asked_us);
          // Its lease may end, or its connection, before we say anything.
          world_->queues().OnFailure(job.body);
        }
      }
      if (jobs.empty()) return Next(80'000);
      WorkOn(std::move(jobs));
    });
    if (Chance(hang_up_percent_)) HangUpSoon(200'000);
  }

  // Mostly in time; now and then past the lease.
  void WorkOn(std::vector<Job> jobs) {
    const int64_t takes_us = Chance(85) ? Between(0, 50'000) : 2 * lease_ms_ * kUsPerMs;
    world_->events().After(takes_us, [this, jobs = std::move(jobs)] {
      open_ = jobs.size();
      for (const Job& job : jobs) Finish(job);
    });
  }

  void Finish(const Job& job) {
    const bool fails = job.body.ends_with('!') || Chance(8);
    if (Chance(5)) return OneLess();  // It dies without a word.
    if (fails) {
      ++world_->counters()[Count::kNacks];
      std::vector<Bytes> argv = {"DQ.NACK", job.queue, job.receipt};
      if (Chance(30)) {
        argv.push_back("RELEASE");
      } else {
        argv.insert(argv.end(), {"DELAY", std::to_string(Between(0, 300)), "ERROR", "on purpose"});
      }
      return session().Call(argv, kPatienceUs, [this](const Reply*, bool) { OneLess(); });
    }
    world_->queues().OnAck(job.body);
    session().Call({"DQ.ACK", job.queue, job.receipt}, kPatienceUs,
                   [this, job](const Reply* reply, bool) {
                     const bool counted = reply != nullptr && reply->integer == 1;
                     world_->queues().OnAcked(job.body, counted);
                     OneLess();
                   });
  }

  void OneLess() {
    if (--open_ == 0) Next(20'000);
  }

  int64_t lease_ms_ = 0;
  bool tied_ = false;
  size_t open_ = 0;
};

}  // namespace

std::unique_ptr<Actor> MakeQueueUser(Work work, World* world, LockChecker* checker,
                                     uint32_t number) {
  if (work == Work::kProducers) return std::make_unique<Producer>(world, checker, number);
  if (work == Work::kWorkers) return std::make_unique<Worker>(world, checker, number);
  return nullptr;
}

}  // namespace lockstep::sim
