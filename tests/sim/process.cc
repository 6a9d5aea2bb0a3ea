#include "tests/sim/process.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cluster/bus/frame.h"
#include "src/resp/parser.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr int64_t kDayUs = 86'400 * kUsPerSecond;
constexpr int64_t kYear2026Us = 56 * 365 * kDayUs;
constexpr int64_t kIdleTurnsMax = 20'000;  // In a second, without any input.

}  // namespace

Process::Process(World* world, NodeId id, Bytes config_text)
    : world_(world), id_(id), config_text_(std::move(config_text)),
      disk_(world, [this](const char* why) { ExitOnDiskFailure(why); }) {}

Process::~Process() = default;

MonoTime Process::LocalNow() const {
  const int64_t passed_us = world_->now_us() - started_us_;
  return MonoTime{clock_base_us_ + passed_us + passed_us * clock_ppm_ / 1'000'000};
}

NodeOptions Process::Options() {
  NodeOptions options;
  Bytes text = config_text_;
  if (const uint64_t zones = world_->swarm().zones; zones > 0) {
    const uint64_t moved = instance_ % 4 == 0 ? 1 : 0;  // At some starts, and back at the next.
    text += Format("cluster-zone zone-%lu\n", (id_.value + moved) % zones);
  }
  const Result<void> read = options.config.ReadFile(
      "sim.conf", text, [](const Bytes&) -> Result<Bytes> { return Error{"no includes"}; });
  CHECK_SIM(read.ok(), "configuration of node %lu: %s", id_.value, read.error().message.c_str());
  const Result<void> checked = options.config.Check();
  CHECK_SIM(checked.ok(), "configuration of node %lu: %s", id_.value,
            checked.error().message.c_str());
  options.seed = seed_;
  options.wall_clock_us = wall_clock_us_;
  options.process_id = instance_;
  options.save_records = static_cast<size_t>(world_->swarm().save_records);
  options.piece_bytes = static_cast<size_t>(world_->swarm().piece_bytes);
  options.read_value = [this](BytesView key) { return disk_.Get(key); };
  options.clock = [this] { return LocalNow(); };
  return options;
}

void Process::Start() {
  CHECK(state_ == State::kDown);
  ++instance_;
  const int64_t wrong_ppm = world_->plan().clock_ppm;
  const int64_t ppm_max = wrong_ppm != 0 ? wrong_ppm : world_->swarm().clock_ppm_max;
  clock_ppm_ = world_->rng().Between(-ppm_max, ppm_max);
  started_us_ = world_->now_us();
  clock_base_us_ = world_->rng().Between(1, int64_t{1} << 40);
  world_->Say("node %lu starts, its clock %+ld ppm", id_.value, clock_ppm_);

  state_ = State::kRunning;
  seed_ = world_->rng().Next();
  // Set by anybody, back as well as forth: it decides nothing.
  wall_clock_us_ = kYear2026Us + world_->rng().Between(-kDayUs, kDayUs);
  Enter();
  Result<std::unique_ptr<Node>> opened = Node::Open(Options(), disk_, LocalNow());
  CHECK_SIM(opened.ok(), "node %lu does not start: %s", id_.value, opened.error().message.c_str());
  SetSpeaker(kNoNode);
  node_ = std::move(*opened);
  NoteIdentity();
  world_->checker().OnStart(*this);
  ScheduleTurn();
}

void Process::NoteIdentity() {
  const bus::Identity identity = node_->identity();
  disk_id_ = identity.disk;
  cluster_id_ = identity.cluster;
}

// Nodes hash under different keys, so nothing that is replicated can rest on the order of a hash
// table unnoticed (trap 54).
void Process::Enter() const {
  SetSpeaker(id_);
  SetHashKey(HashMix(seed_, 1), HashMix(seed_, 2));
}

void Process::Die() {
  state_ = State::kDown;
  terminating_ = false;
  node_.reset();
  inbox_.clear();
  turn_scheduled_ = is_within_ = false;
  output_.reset();
  wakeup_at_us_ = 0;
  ++wakeup_number_;
}

void Process::Crash() {
  CHECK(up());
  world_->Say("node %lu crashes", id_.value);
  const auto synced_unheard = [](const Item& item) {
    return std::holds_alternative<Persisted>(item.input);
  };
  if (std::any_of(inbox_.begin(), inbox_.end(), synced_unheard)) {
    ++world_->counters()[Count::kSyncsUnheard];
  }
  Die();
  disk_.Crash();
  world_->network().OnDeath(id_, world_->Chance(300'000));
  world_->wires().OnDeath(id_);
}

void Process::Exit() {
  world_->Say("node %lu exits", id_.value);
  CHECK_SIM(disk_.idle(), "node %lu exits before what it has written is on disk", id_.value);
  Die();
  world_->network().OnDeath(id_, false);
  world_->wires().OnDeath(id_);
}

// What src/io does when a write fails: exit 1 on the spot. The machine stays, so peers are told.
void Process::ExitOnDiskFailure(const char* why) {
  world_->Say("node %lu exits: its disk says '%s'", id_.value, why);
  Die();
  world_->network().OnDeath(id_, false);
  world_->wires().OnDeath(id_);
}

void Process::Pause() {
  CHECK(running());
  world_->Say("node %lu stands still", id_.value);
  state_ = State::kPaused;
}

void Process::Resume() {
  CHECK(state_ == State::kPaused);
  world_->Say("node %lu goes on", id_.value);
  state_ = State::kRunning;
  turn_scheduled_ = false;
  if (std::exchange(is_within_, false)) return GoOn();
  ScheduleTurn();
}

void Process::Terminate() {
  CHECK(running());
  world_->Say("node %lu is told to end", id_.value);
  terminating_ = true;
  Post(lockstep::Terminate{});
}

void Process::EmptyDisk() {
  CHECK(!up());
  world_->Say("the disk of node %lu is emptied", id_.value);
  disk_.Empty();
  disk_id_ = {};
  cluster_id_ = {};
}

void Process::JumpClock(int64_t us) {
  world_->Say("the clock of node %lu jumps %ld ms", id_.value, us / 1000);
  clock_base_us_ += us;
  world_->OnClockJump(us);
  if (running()) ScheduleTurn();
}

void Process::Post(Input input, Bytes bytes) {
  if (!up()) return;
  inbox_.push_back({std::move(input), std::move(bytes)});
  if (running()) ScheduleTurn();
}

void Process::ScheduleTurn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  int64_t delay_us = world_->rng().Between(1, world_->swarm().turn_us);
  if (world_->Chance(5'000)) delay_us *= 50;  // The kernel had something else to do.
  world_->events().After(delay_us, [this, instance = instance_] {
    if (instance != instance_ || !turn_scheduled_ || !running()) return;
    turn_scheduled_ = false;
    Turn();
  });
}

void Process::Turn() {
  if (inbox_.empty()) {
    GuardAgainstSpinning();
  } else {
    idle_turns_ = 0;
  }
  // Now and then the loop gets only so far.
  steps_left_ = inbox_.size();
  if (steps_left_ > 1 && world_->Chance(100'000)) {
    steps_left_ = world_->rng().Below(steps_left_) + 1;
  }
  is_ticked_ = false;
  GoOn();
}

// Each step at its own time, as in src/io.
void Process::GoOn() {
  Enter();
  for (; steps_left_ > 0; --steps_left_) {
    if (StandsStill()) return;
    Item item = std::move(inbox_.front());
    inbox_.pop_front();
    Feed(item, LocalNow());
  }
  if (!is_ticked_) {
    is_ticked_ = true;
    if (node_->NextWakeup() <= LocalNow()) node_->Step(LocalNow(), Tick{});
    turn_now_ = LocalNow();
    if (StandsStill(world_->plan().late_clients ? 120 : 1)) return;
  }
  if (!output_) {
    if (world_->plan().late_clients) FeedLateClients();
    output_ = node_->Drain(world_->plan().late_clients ? turn_now_ : LocalNow());
    world_->checker().OnTurn(*this);
    // Above all between what it has looked up and what it says of it.
    if (StandsStill(output_->valid_until == kNeverMono ? 1 : 30)) return;
  }
  Finish();
}

// Stopped by whoever runs the machine, for a moment or for several leases of the cache.
bool Process::StandsStill(uint64_t times) {
  if (!world_->StallsNow(times)) return false;
  is_within_ = turn_scheduled_ = true;
  const int64_t for_us = world_->Chance(600'000) ? world_->rng().Between(100, 50'000)
                                                 : world_->rng().Between(50'000, 6'000'000);
  world_->Say("node %lu stands still within a turn, %ld ms", id_.value, for_us / kUsPerMs);
  SetSpeaker(kNoNode);
  world_->events().After(for_us, [this, instance = instance_] {
    if (instance != instance_ || !is_within_ || !running()) return;
    is_within_ = turn_scheduled_ = false;
    GoOn();
  });
  return true;
}

void Process::EndStall() {
  if (!running() || !is_within_) return;
  is_within_ = turn_scheduled_ = false;
  GoOn();
}

void Process::Finish() {
  SetSpeaker(kNoNode);
  if (cluster_id_.value == 0) NoteIdentity();  // It is found once, and stays.
  Output output = std::move(*std::exchange(output_, std::nullopt));
  const bool exits = output.exit;
  Take(std::move(output));
  if (exits) {
    Exit();
    return;
  }
  if (!inbox_.empty()) ScheduleTurn();
  ScheduleWakeup();
}

// What only a shell does that reads the clock too early.
void Process::FeedLateClients() {
  std::deque<Item> others;
  for (Item& item : std::exchange(inbox_, {})) {
    if (std::holds_alternative<ClientOpened>(item.input) ||
        std::holds_alternative<ClientData>(item.input)) {
      Feed(item, turn_now_);
    } else {
      others.push_back(std::move(item));
    }
  }
  inbox_ = std::move(others);
}

void Process::GuardAgainstSpinning() {
  if (world_->now_us() - idle_since_us_ > kUsPerSecond) {
    idle_since_us_ = world_->now_us();
    idle_turns_ = 0;
  }
  ++idle_turns_;
  CHECK_SIM(idle_turns_ < kIdleTurnsMax, "node %lu spins: it wants to be woken again and again",
            id_.value);
}

void Process::Feed(Item& item, MonoTime now) {
  if (auto* data = std::get_if<ClientData>(&item.input)) {
    // Half of the bytes come as the real shell brings them: straight into the parser.
    const ReadRoom room = node_->ReadBuffer(data->id, item.bytes.size());
    if (room.bytes.size() >= item.bytes.size() && world_->Chance(500'000)) {
      std::memcpy(room.bytes.data(), item.bytes.data(), item.bytes.size());
      room.parser->ReadAhead(item.bytes.size());
      node_->Step(now, ClientRead{data->id, item.bytes.size()});
      return;
    }
    data->bytes = item.bytes;
  } else if (auto* frame = std::get_if<PeerFrame>(&item.input)) {
    frame->body = item.bytes;
  }
  node_->Step(now, item.input);
}

void Process::Take(Output output) {
  if (output.write_number != 0) {
    disk_.Write(output.write_number, std::move(output.write),
                [this](uint64_t number) { Post(Persisted{number}); });
  }
  const bool late = LocalNow() >= output.valid_until && !world_->plan().ignores_valid_until;
  for (Output::ToClient& to : output.clients) {
    if (late && to.leased) {
      to = {to.id, {}, true, true, false};
      ++world_->counters()[Count::kStaleTurns];
    }
    world_->wires().FromNode(to.id, std::move(to.bytes), to.close);
  }
  for (const ClientId id : output.stop_reading) world_->wires().StopReading(id);
  for (const ClientId id : output.read_again) world_->wires().ReadAgain(id);
  // First the new addresses, then what is sent there.
  if (output.peer_addresses) world_->network().Follow(id_, *output.peer_addresses);
  for (const Output::ToPeer& to : output.peers) {
    world_->network().Send(id_, to.to, to.lane, to.frames);
  }
  if (output.relink) world_->network().Relink(id_);
  CHECK_SIM(output.cut_peers.empty(), "node %lu says that what node %lu sends makes no sense",
            id_.value, output.cut_peers.front().value);
}

void Process::ScheduleWakeup() {
  const MonoTime wakeup = node_->NextWakeup();
  if (wakeup == kNeverMono) return;
  // The node's clock may be slow: what is a second to it is up to 1 % more to the world.
  const int64_t wait_us = std::max<int64_t>(0, wakeup - LocalNow());
  const int64_t world_us = wait_us - wait_us * clock_ppm_ / 1'000'000 + wait_us / 10'000 + 1;
  const int64_t at_us = world_->now_us() + world_us + world_->rng().Between(0, 200);
  if (wakeup_at_us_ > world_->now_us() && wakeup_at_us_ <= at_us) return;
  wakeup_at_us_ = at_us;
  const uint64_t number = ++wakeup_number_;
  world_->events().After(at_us - world_->now_us(), [this, number] {
    if (number != wakeup_number_ || !running()) return;
    wakeup_at_us_ = 0;
    ScheduleTurn();
  });
}

}  // namespace lockstep::sim
