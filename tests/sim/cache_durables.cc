// A client of durable keys: what it was told to be written is never lost, whatever happens, and who
// has an old fencing token writes nothing.
#include <algorithm>
#include <map>

#include "tests/sim/cache_client.h"

namespace lockstep::sim {
namespace {

class DurableUser final : public CacheClient {
 public:
  DurableUser(World* world, LockChecker* checker, uint32_t number)
      : CacheClient(world, checker, Format("durable%u", number)) {}

 private:
  void Round() override {
    world_->cache().JudgeOld();
    open_ = Chance(20) ? static_cast<size_t>(Between(2, 4)) : 1;
    for (size_t n = open_; n > 0; --n) {
      const int64_t what = Between(0, 99);
      what < 60 ? OnDurable() : what < 90 ? OnMixed() : Together();
    }
    if (Chance(hang_up_percent_)) HangUpSoon(20'000);
  }

  void OnDurable() {
    const Bytes key = world_->cache().NameOf(kDurablePrefix, world_->rng().Below(3));
    Op op;
    const int64_t what = Between(0, 99);
    if (what < 40) return Do(key, op, {"GET", key});
    if (what < 45) return DoKind(Kind::kDelete, key, op, {"DEL", key});
    if (what < 50) return DoKind(Kind::kTake, key, op, {"GETDEL", key});
    op.value = NewValue();
    if (what < 60) {
      op.expected = seen_;
      return DoKind(Kind::kCompareAndSet, key, op,
                    {"DCACHE.SET", key, op.value, "IFEQ", seen_, "DURABLE"});
    }
    op.kind = Kind::kWrite;
    if (what < 80) return Do(key, op, {"DCACHE.SET", key, op.value, "DURABLE"});
    Fenced(key, op);
  }

  void OnMixed() {
    const Bytes key = world_->cache().NameOf(kMixedPrefix, world_->rng().Below(2));
    Op op;
    const int64_t what = Between(0, 99);
    if (what < 40) return Do(key, op, {"GET", key});
    if (what < 50) return DoKind(Kind::kDelete, key, op, {"DEL", key});
    op.value = NewValue();
    if (what < 55) return DoKind(Kind::kAppend, key, op, {"APPEND", key, op.value});
    // Mostly it asks for the line, and writes nothing.
    if (what < 62) return DoKind(Kind::kSetIfAbsent, key, op, {"SETNX", key, op.value});
    op.kind = Kind::kWrite;
    Argv argv = {"DCACHE.SET", key, op.value};
    if (Chance(60)) argv.push_back("DURABLE");
    if (Chance(40)) {
      op.ttl_us = Between(50, 3000) * kUsPerMs;
      argv.insert(argv.end(), {"PX", std::to_string(op.ttl_us / kUsPerMs)});
    }
    Do(key, op, argv);
  }

  // Keys of several homes, durable and not, in one EXEC, of which one may be fenced off. What is
  // refused has not happened to any of them.
  void Together() {
    Op op;
    op.kind = Kind::kWrite;
    op.value = NewValue();
    const Bytes mixed = world_->cache().NameOf(kMixedPrefix, world_->rng().Below(2));
    const Bytes one = world_->cache().NameOf(kDurablePrefix, world_->rng().Below(2));
    const Bytes other = world_->cache().NameOf(kDurablePrefix, 2);
    std::vector<Argv> lines = {{"SET", mixed, op.value},
                               {"DCACHE.SET", one, op.value, "DURABLE"},
                               {"DCACHE.SET", other, op.value, "DURABLE"}};
    if (Chance(50)) lines.erase(lines.begin());
    if (Chance(60)) {
      const int64_t token = std::max<int64_t>(1, world_->now_us() - Between(0, kUsPerSecond));
      const bool first = Chance(50);
      Argv& fenced = lines[lines.size() - (first ? 2 : 1)];
      fenced.insert(fenced.end(), {"FENCE", std::to_string(token)});
    }
    std::vector<Ticket> tickets;
    for (const Argv& line : lines) tickets.push_back(Issue(line[1], op));
    const auto ignore = [](const Reply*, bool) {};
    session().Call({"MULTI"}, kPatienceUs, ignore);
    for (const Argv& line : lines) session().Call(line, kPatienceUs, ignore);
    session().Call({"EXEC"}, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      if (world_->narrating()) Tell({"EXEC of " + op.value}, reply);
      Op told;
      told.told = ToldBy(reply, sent);
      for (const Ticket& ticket : tickets) world_->cache().OnReturn(ticket, told);
      Done(told);
    });
    for (const Ticket& ticket : tickets) world_->cache().OnNode(ticket, session().node());
  }

  // Tokens grow with the world's time; now and then one is old.
  void Fenced(const Bytes& key, const Op& op) {
    int64_t token = 1 + world_->now_us();
    if (Chance(30)) token = std::max<int64_t>(1, token - Between(0, kUsPerSecond));
    const int64_t highest = highest_[key];
    Ask(&session(), key, op,
        {"DCACHE.SET", key, op.value, "FENCE", std::to_string(token)},
        [=, this](const Op& told) {
          if (told.told == Told::kAnswered) {
            CHECK_SIM(token >= highest, "'%s' was written under token %ld after %ld", key.c_str(),
                      token, highest);
            highest_[key] = std::max(highest_[key], token);
          } else if (token < highest && told.told == Told::kRefused) {
            ++world_->counters()[Count::kFencedOff];
          }
          Done(told);
        });
  }

  void DoKind(Kind kind, const Bytes& key, Op op, const Argv& argv) {
    op.kind = kind;
    Do(key, op, argv);
  }

  void Do(const Bytes& key, const Op& op, const Argv& argv) {
    Ask(&session(), key, op, argv, [this](const Op& told) { Done(told); });
  }

  void Done(const Op& op) {
    if (op.seen) seen_ = *op.seen;
    const bool answered = op.told == Told::kAnswered;
    if (answered && op.kind == Kind::kWrite) ++world_->counters()[Count::kDurableWrites];
    if (--open_ > 0) return;
    MayMove(&session(), answered ? 10 : 50);
    Next(answered ? 30'000 : 100'000);
  }

  Bytes seen_ = "nothing";  // The latest.
  size_t open_ = 0;
  std::map<Bytes, int64_t> highest_;  // Of each key: the highest token that was answered to us.
};

}  // namespace

std::unique_ptr<Actor> MakeDurableUser(World* world, LockChecker* checker, uint32_t number) {
  return std::make_unique<DurableUser>(world, checker, number);
}

}  // namespace lockstep::sim
