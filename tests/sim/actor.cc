#include "tests/sim/actor.h"

#include <utility>

#include "tests/sim/world.h"

namespace lockstep::sim {

Actor::Actor(World* world, LockChecker* checker, Bytes owner)
    : world_(world), checker_(checker), owner_(std::move(owner)), session_(world) {}

bool Actor::Chance(uint64_t percent) { return world_->rng().Below(100) < percent; }
int64_t Actor::Between(int64_t low, int64_t high) { return world_->rng().Between(low, high); }
const Bytes& Actor::Pick(const std::vector<Bytes>& names) {
  return names[world_->rng().Below(names.size())];
}

void Actor::After(int64_t at_most_us, std::function<void()> then) {
  world_->events().After(Between(0, at_most_us), std::move(then));
}

void Actor::Next(int64_t pause_us) {
  in_round_ = false;
  After(pause_us, [this] {
    if (stopping_ || in_round_) return;
    in_round_ = true;
    Round();
  });
}

int64_t Actor::Patience(const LockCommand& command) {
  // Mostly longer than the cluster takes to say UNCERTAIN, now and then not.
  int64_t us = Chance(85) ? Between(6'000'000, 9'000'000) : Between(100'000, 3'000'000);
  if (command.block_ms) us += *command.block_ms * kUsPerMs;
  return us;
}

void Actor::DoOn(Session* session, const LockCommand& command, Then then) {
  const size_t ticket = checker_->Issue(command);
  const std::vector<Bytes> argv = Argv(command);
  if (world_->narrating()) {
    Bytes line;
    for (const Bytes& arg : argv) line += " " + arg;
    world_->Say("#%zu%s", ticket, line.c_str());
  }
  // A client's wait may have no end; its patience has.
  session->Call(argv, Patience(command),
                [this, session, command, ticket, then = std::move(then)](const Reply* reply,
                                                                         bool sent) {
                  const LockAnswer answer = Interpret(command, reply, sent);
                  if (world_->narrating()) {
                    const Bytes text = reply == nullptr ? "none" : reply->text;
                    world_->Say("#%zu -> kind %d number %lu %s", ticket,
                                static_cast<int>(answer.kind), answer.number, text.c_str());
                  }
                  CountAnswer(reply);
                  checker_->Conclude(ticket, answer, session->last_socket());
                  then(answer);
                });
  if (session == &session_ && Chance(hang_up_percent_)) HangUpSoon(100'000);
}

void Actor::CountAnswer(const Reply* reply) {
  if (reply == nullptr || !reply->is_error()) return;
  Counters& counters = world_->counters();
  if (reply->text.starts_with("UNCERTAIN")) ++counters[Count::kUncertain];
  if (reply->text.find("raft-uncommitted-bytes") != Bytes::npos) ++counters[Count::kLogFull];
}

void Actor::HangUpSoon(int64_t within_us) {
  After(within_us, [this, socket = session_.socket()] {
    if (session_.socket() == socket) session_.HangUp();
  });
}

void Actor::Insist(const LockCommand& command, Then then) {
  Do(command, [this, command, then = std::move(then)](const LockAnswer& answer) {
    if (!answer.unknown() && answer.kind != LockAnswer::Kind::kRefused) return then(answer);
    if (Chance(50)) session_.HangUp();  // Perhaps another node can.
    After(200'000, [this, command, then] { Insist(command, then); });
  });
}

void Actor::DoTogether(std::vector<LockCommand> commands,
                       std::function<void(const std::vector<LockAnswer>&)> then) {
  const auto ignore = [](const Reply* reply, bool) {
    CHECK_SIM(reply == nullptr || !reply->is_error(), "refused inside MULTI: %s",
              reply->text.c_str());
  };
  std::vector<size_t> tickets;
  session_.Call({"MULTI"}, 8'000'000, ignore);
  for (const LockCommand& command : commands) {
    tickets.push_back(checker_->Issue(command));
    session_.Call(Argv(command), 8'000'000, ignore);
  }
  world_->Say("MULTI #%zu to #%zu: %s %s", tickets.front(), tickets.back(),
              Argv(commands.front()).front().c_str(), commands.front().name().c_str());
  const auto done = [this, commands = std::move(commands), tickets = std::move(tickets),
                     then = std::move(then)](const Reply* reply, bool sent) {
    const bool each = reply != nullptr && !reply->is_error();
    CHECK_SIM(!each || reply->items.size() == commands.size(), "EXEC answers %zu of %zu",
              each ? reply->items.size() : 0, commands.size());
    CountAnswer(reply);
    const bool says = reply != nullptr && reply->is_error();
    world_->Say("EXEC of #%zu to #%zu -> %s", tickets.front(), tickets.back(),
                reply == nullptr ? "no answer" : says ? reply->text.c_str() : "its answers");
    std::vector<LockAnswer> answers;
    for (size_t i = 0; i < commands.size(); ++i) {
      answers.push_back(Interpret(commands[i], each ? &reply->items[i] : reply, sent));
      checker_->Conclude(tickets[i], answers.back(), session_.last_socket());
    }
    if (each) ++world_->counters()[Count::kBatches];
    then(answers);
  };
  session_.Call({"EXEC"}, 8'000'000, done);
  if (Chance(hang_up_percent_)) HangUpSoon(100'000);
}

LockCommand Actor::Acquire(const Bytes& name) const {
  LockCommand command = About(LockCommand::Kind::kAcquire, name);
  command.only_lock = true;
  return command;
}

LockCommand Actor::About(LockCommand::Kind kind, const Bytes& name) const {
  LockCommand command;
  command.kind = kind;
  command.names = {name};
  if (kind != LockCommand::Kind::kRevoke) command.owner = owner_;
  return command;
}

std::vector<Bytes> Names(const char* prefix, size_t n) {
  std::vector<Bytes> names;
  for (size_t i = 0; i < n; ++i) names.push_back(prefix + std::to_string(i));
  return names;
}

std::unique_ptr<Actor> MakeActor(Work work, World* world, LockChecker* checker, uint32_t number) {
  if (auto actor = MakeLockUser(work, world, checker, number)) return actor;
  if (auto actor = MakeTransaction(work, world, checker, number)) return actor;
  if (auto actor = MakeBigClient(work, world, checker, number)) return actor;
  if (auto actor = MakeQueueUser(work, world, checker, number)) return actor;
  if (auto actor = MakeCacheUser(work, world, checker, number)) return actor;
  auto actor = MakeOddClient(work, world, checker, number);
  CHECK(actor != nullptr);
  return actor;
}

}  // namespace lockstep::sim
