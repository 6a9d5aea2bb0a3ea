#include "tests/sim/quiet.h"

#include <algorithm>

#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr int64_t kPatienceUs = 60 * kUsPerSecond;
constexpr const char* kHour = "3600000";
constexpr const char* kForEver = "0";

}  // namespace

// A leader may have been lost to a late heartbeat, so an election has to fit in.
Quiet::Quiet(World* world, std::vector<NodeId> serving)
    : world_(world),
      serving_(std::move(serving)),
      soon_us_(kUsPerSecond + 6 * world->swarm().election_timeout_ms * kUsPerMs +
               8 * world->swarm().latency_tail_us + 100 * world->swarm().sync_us) {}

void Quiet::Check() {
  WaitEndsInTime();
  ReleaseReachesTheWaiter();
  HangUpEndsTheBond();
  CircleHasItsVictim();
}

// Asking -----------------------------------------------------------------------------------------

NodeId Quiet::Any() const { return serving_[world_->rng().Below(serving_.size())]; }

Session* Quiet::Client(NodeId node) {
  sessions_.push_back(std::make_unique<Session>(world_));
  sessions_.back()->Prefer(node);
  return sessions_.back().get();
}

Quiet::Pending Quiet::Send(Session* session, std::vector<Bytes> argv) {
  auto call = std::make_shared<Call>();
  call->asked_us = world_->now_us();
  session->Call(argv, kPatienceUs, [this, call](const Reply* reply, bool) {
    if (reply != nullptr) call->reply = *reply;
    call->over = true;
    call->over_us = world_->now_us();
  });
  return call;
}

const Reply& Quiet::Await(const Pending& call, const char* what, int64_t within_us) {
  world_->events().RunUntil(std::max(world_->now_us(), call->asked_us + within_us),
                            [&call] { return call->over; });
  CHECK_SIM(call->over && call->reply, "in the quiet, %s has no answer after %ld ms", what,
            (world_->now_us() - call->asked_us) / kUsPerMs);
  return *call->reply;
}

void Quiet::MustGet(const Pending& call, const char* what, int64_t within_us) {
  const Reply& reply = Await(call, what, within_us);
  CHECK_SIM(reply.kind == Reply::Kind::kInteger && reply.integer > 0,
            "in the quiet, %s is not granted: %s", what,
            reply.is_nil() ? "nil" : reply.text.c_str());
}

void Quiet::Take(Session* session, const Bytes& name, const Bytes& owner, bool bind) {
  std::vector<Bytes> argv = {"LOCK.ACQUIRE", name, owner, "TTL", kHour};
  if (bind) argv.push_back("BIND");
  MustGet(Send(session, std::move(argv)), "a free lock", soon_us_);
}

void Quiet::Pass(int64_t us) { world_->events().RunUntil(world_->now_us() + us); }

// What must hold ---------------------------------------------------------------------------------

void Quiet::WaitEndsInTime() {
  Session* const holder = Client();
  Session* const waiter = Client();
  Take(holder, "quiet-wait", "holder");
  const int64_t block_ms = world_->rng().Between(1, 2000);
  const Pending wait = Send(waiter, {"LOCK.ACQUIRE", "quiet-wait", "waiter", "BLOCK",
                                           std::to_string(block_ms)});
  // The leader's clock may be slow by this much.
  const int64_t slow_us = block_ms * world_->swarm().clock_ppm_max / 1000;
  const Reply& reply = Await(wait, "a wait whose time is over",
                             block_ms * kUsPerMs + slow_us + soon_us_);
  CHECK_SIM(reply.is_nil(), "in the quiet, a wait for a lock that is held ends with %s",
            reply.text.c_str());
  ++world_->counters()[Count::kQuietWaits];
  MustGet(Send(holder, {"LOCK.RELEASE", "quiet-wait", "holder"}), "a release", soon_us_);
}

void Quiet::ReleaseReachesTheWaiter() {
  Session* const holder = Client();
  Session* const waiter = Client();
  Take(holder, "quiet-turn", "holder");
  const Pending wait =
      Send(waiter, {"LOCK.ACQUIRE", "quiet-turn", "waiter", "BLOCK", kForEver});
  Pass(soon_us_);
  CHECK_SIM(!wait->over, "in the quiet, a wait without end has ended");
  MustGet(Send(holder, {"LOCK.RELEASE", "quiet-turn", "holder"}), "a release", soon_us_);
  MustGet(wait, "a lock that was released", world_->now_us() - wait->asked_us + soon_us_);
  MustGet(Send(waiter, {"LOCK.RELEASE", "quiet-turn", "waiter"}), "a release", soon_us_);
}

// The lease is for an hour: only the connection's end can have freed the lock.
void Quiet::HangUpEndsTheBond() {
  Session* const holder = Client();
  Session* const waiter = Client();
  Take(holder, "quiet-bond", "holder", true);
  holder->HangUp();
  MustGet(Send(waiter, {"LOCK.ACQUIRE", "quiet-bond", "waiter", "BLOCK", kForEver}),
          "a lock whose connection was closed", soon_us_);
  ++world_->counters()[Count::kBoundEnded];
  MustGet(Send(waiter, {"LOCK.RELEASE", "quiet-bond", "waiter"}), "a release", soon_us_);
}

// The one that began last is the victim, and what it held goes to the other.
void Quiet::CircleHasItsVictim() {
  Session* const elder = Client();
  Session* const younger = Client();
  Take(elder, "quiet-circle-1", "elder");
  Take(younger, "quiet-circle-2", "younger");
  const Pending first =
      Send(elder, {"LOCK.ACQUIRE", "quiet-circle-2", "elder", "BLOCK", kForEver});
  const Pending last =
      Send(younger, {"LOCK.ACQUIRE", "quiet-circle-1", "younger", "BLOCK", kForEver});
  const Reply& victim = Await(last, "a wait that closes a circle", 2 * soon_us_);
  CHECK_SIM(victim.is_error() && victim.text.starts_with("DEADLOCK"),
            "in the quiet, the younger of a circle is answered '%s'", victim.text.c_str());
  MustGet(first, "what a victim held", 2 * soon_us_);
  MustGet(Send(elder, {"LOCK.RELEASE", "quiet-circle-1", "elder", "ALL"}), "a release",
          soon_us_);
}

void Quiet::CheckDeath(const Membership& membership) {
  const NodeId dying = Any();
  if (serving_.size() < 3 || !membership.CanSpare({dying})) return;
  std::erase(serving_, dying);
  Session* const holder = Client(dying);
  Session* const waiter = Client();
  Take(holder, "quiet-death", "holder", true);
  const std::vector<Bytes> argv = {"LOCK.ACQUIRE", "quiet-death", "waiter", "BLOCK", kForEver};
  Pending wait = Send(waiter, argv);
  Pass(soon_us_);
  CHECK_SIM(!wait->over, "in the quiet, a bound lock is lost while its connection stands");
  Process& process = world_->process(dying);
  process.Crash();
  // It may have been the leader, and the next one late: then the waiter has to ask again.
  const int64_t unheard_us = world_->swarm().node_timeout_ms * kUsPerMs * 11 / 10;
  const int64_t until_us = world_->now_us() + unheard_us + 2 * soon_us_;
  const auto left_us = [&] { return until_us - wait->asked_us; };
  while (Await(wait, "a lock bound to a node that died", left_us()).is_error()) {
    Pass(50'000);
    wait = Send(waiter, argv);
  }
  MustGet(wait, "a lock bound to a node that died", left_us());
  ++world_->counters()[Count::kBoundEnded];
  MustGet(Send(waiter, {"LOCK.RELEASE", "quiet-death", "waiter"}), "a release", soon_us_);
  ++world_->counters()[Count::kRestarts];
  process.Start();
}

}  // namespace lockstep::sim
