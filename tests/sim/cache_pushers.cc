// Clients of keys of CLASS home: what one is answered is not lost with the node that it asked, as
// long as the home of the key lives.
#include "tests/sim/cache_client.h"

namespace lockstep::sim {
namespace {

class Pusher final : public RestingClient {
 public:
  Pusher(World* world, LockChecker* checker, uint32_t number)
      : RestingClient(world, checker, Format("pusher%u", number), 10) {}

 private:
  void Round() override {
    world_->cache().JudgeOld();
    if (!is_set_) return SetClass("home");
    if (world_->swarm().changes_class && Chance(2)) return SetClass("back");  // For a while.
    AskSome(4, [this] { Chance(90) ? One() : Together(); });
  }

  void SetClass(const Bytes& name) {
    const Argv argv = {"DCACHE.NS", "SET", kHomePrefix, "CLASS", name};
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool) {
      if (world_->narrating()) Tell(argv, reply);
      is_set_ = name == "home" && reply != nullptr && !reply->is_error();
      Next(30'000);
    });
  }

  Bytes AnyKey() { return world_->cache().NameOf(kHomePrefix, world_->rng().Below(4)); }

  void One() {
    const Bytes key = AnyKey();
    Op op;
    const int64_t what = Between(0, 99);
    if (what < 35) return Do(key, op, {"GET", key});
    op.value = NewValue();
    if (what < 40) return DoKind(Kind::kDelete, key, op, {"DEL", key});
    if (what < 44) return DoKind(Kind::kTake, key, op, {"GETDEL", key});
    // Mostly it asks for the line, and writes nothing.
    if (what < 54) return DoKind(Kind::kSetIfAbsent, key, op, {"SETNX", key, op.value});
    if (what < 60) return DoKind(Kind::kAppend, key, op, {"APPEND", key, op.value});
    if (what < 70) {
      op.expected = seen();
      return DoKind(Kind::kCompareAndSet, key, op,
                    {"DCACHE.SET", key, op.value, "IFEQ", seen()});
    }
    op.kind = Kind::kWrite;
    Argv argv = {"SET", key, op.value};
    if (world_->swarm().changes_class && Chance(20)) {  // It stays so until it is deleted.
      return Do(key, op, {"DCACHE.SET", key, op.value, "DURABLE"});
    }
    if (Chance(10)) AddTime(&argv, &op);
    Do(key, op, argv);
  }

  // Two keys, of one home or of two.
  void Together() {
    Op op;
    op.kind = Kind::kWrite;
    op.value = NewValue();
    const Bytes one = world_->cache().NameOf(kHomePrefix, 0);
    const Bytes other = world_->cache().NameOf(kHomePrefix, 1 + world_->rng().Below(3));
    DoTogether({one, other}, op, {"MSET", one, op.value, other, op.value});
  }

  bool is_set_ = false;
};

}  // namespace

std::unique_ptr<Actor> MakePusher(World* world, LockChecker* checker, uint32_t number) {
  return std::make_unique<Pusher>(world, checker, number);
}

}  // namespace lockstep::sim
