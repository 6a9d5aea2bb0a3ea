// A client of durable keys: what it was told to be written is never lost, whatever happens, and who
// has an old fencing token writes nothing.
#include <algorithm>
#include <map>

#include "tests/sim/cache_client.h"

namespace lockstep::sim {
namespace {

class DurableUser final : public RestingClient {
 public:
  DurableUser(World* world, LockChecker* checker, uint32_t number)
      : RestingClient(world, checker, Format("durable%u", number), 10) {}

 private:
  void Round() override {
    world_->cache().JudgeOld();
    AskSome(4, [this] {
      const int64_t what = Between(0, 99);
      what < 60 ? OnDurable() : what < 90 ? OnMixed() : Together();
    });
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
      op.expected = seen();
      return DoKind(Kind::kCompareAndSet, key, op,
                    {"DCACHE.SET", key, op.value, "IFEQ", seen(), "DURABLE"});
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
    if (Chance(40)) AddTime(&argv, &op);
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
    std::vector<Bytes> keys;
    const auto ignore = [](const Reply*, bool) {};
    session().Call({"MULTI"}, kPatienceUs, ignore);
    for (const Argv& line : lines) {
      keys.push_back(line[1]);
      session().Call(line, kPatienceUs, ignore);
    }
    DoTogether(keys, op, {"EXEC"});
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

  void OnDone(const Op& op) override {
    const bool written = op.told == Told::kAnswered && op.kind == Kind::kWrite;
    if (written) ++world_->counters()[Count::kDurableWrites];
  }

  std::map<Bytes, int64_t> highest_;  // Of each key: the highest token that was answered to us.
};

}  // namespace

std::unique_ptr<Actor> MakeDurableUser(World* world, LockChecker* checker, uint32_t number) {
  return std::make_unique<DurableUser>(world, checker, number);
}

}  // namespace lockstep::sim
