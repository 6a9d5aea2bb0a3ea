// Commands that are run at their key's home, since nodes would only take the line from each other
// (cluster/mesi/ship.h). At home they wait for the line as the home's own clients do.
#include <algorithm>
#include <utility>

#include "src/cache_shard.h"

namespace lockstep {
namespace {

// That wait here for their lines; above it they are refused.
constexpr size_t kShipsHereMax = 16'384;
constexpr size_t kShipBytesHereMax = size_t{16} << 20;

void EncodeWords(std::span<const BytesView> argv, Writer* out) {
  out->Varint(argv.size());
  for (const BytesView word : argv) out->String(word);
}

// Views into `in`. False: they are no command on `key`.
bool DecodeWords(BytesView words, BytesView key, std::vector<BytesView>* argv) {
  Reader in(words);
  for (size_t n = in.Count(); n > 0 && in.ok(); --n) argv->push_back(in.String());
  return in.done() && argv->size() >= 2 && (*argv)[1] == key;
}

}  // namespace

// The cache ---------------------------------------------------------------------------------------

bool Cache::IsContended(BytesView key) const {
  return contended_.Has(now_, KeyedHash(key));
}

// What is durable, or of a class whose memory is counted, is written by who holds it.
bool Cache::MayShipKey(BytesView key) const {
  const Space* space = SpaceOf(key);
  return space == nullptr ||
         (space->durability == Space::Durability::kBack && space->number == 0);
}

bool Cache::MayShip(MonoTime now, BytesView key, size_t bytes) {
  now_ = now;
  const Shard& shard = FindShard(key);
  return !untold_refusal_ && shard.home == nullptr && MayShipKey(key) &&
         shard.agent.MayShip(now, bytes);
}

// Of one whose turn it is, and which has not asked for its line if that is contended.
bool Cache::LookWhetherItShips(uint64_t number) {
  const Waiting& waiting = waiting_.find(number)->second;
  const BytesView key = waiting.wants.front().key;
  if (!IsContended(key) || FindShard(key).agent.IsAskingFor(key)) return false;
  if (!MayShip(now_, key, waiting.ship_bytes)) {
    (void)Holds(now_, key, true);
    return false;
  }
  const Ticket ticket = waiting.ticket;
  (void)Take(ticket);
  runner_->OnShips(ticket);
  return false;
}

void Cache::Ship(MonoTime now, const Ticket& ticket, std::span<const BytesView> argv) {
  now_ = now;
  touched_ = true;
  Bytes words;
  Writer out(&words);
  EncodeWords(argv, &out);
  Shard& shard = FindShard(argv[1]);
  shard.ships[shard.agent.Ship(argv[1], words)] = {ticket, now};
  hot_keys_.Count(now, argv[1]);
}

// Called in the midst of what the agent does: who asked is told in the end. What is answered is
// good as long as our lease: no later home can have written before that is over.
void Cache::OnShipped(Shard* shard, uint64_t number, const mesi::Shipped& shipped) {
  touched_ = true;
  const bool was_run = shipped.outcome == mesi::Shipped::Outcome::kRun;
  if (was_run && shipped.contended) {
    contended_.Add(now_, KeyedHash(shipped.key));
  } else {
    contended_.Remove(KeyedHash(shipped.key));
  }
  const auto sent = shard->ships.find(number);
  if (sent == shard->ships.end()) return;  // Its client was told that it may happen.
  ShipDone done{sent->second.ticket, shipped.outcome, Reply::Nil()};
  shard->ships.erase(sent);
  if (was_run) {
    Reader in(shipped.words);
    done.reply = DecodeReply(&in);
    if (!in.done()) {
      done.outcome = mesi::Shipped::Outcome::kLost;
      ++stats_.violations;
    }
    Used(shard->agent.lease_until());
  }
  untold_refusal_ |= done.outcome == mesi::Shipped::Outcome::kRefused;
  shipped_.push_back(std::move(done));
}

bool Cache::TellShipped() {
  bool any = false;
  while (!shipped_.empty()) {
    any = true;
    for (ShipDone& done : std::exchange(shipped_, {})) {
      runner_->OnShipped(done.ticket, done.outcome, std::move(done.reply));
    }
    Settle();
  }
  untold_refusal_ = false;
  return any;
}

std::vector<Cache::Ticket> Cache::TakeOverdueShips(MonoTime before) {
  std::vector<Ticket> overdue;
  for (const auto& shard : shards_) {
    std::map<uint64_t, ShipSent>& ships = shard->ships;
    while (!ships.empty() && ships.begin()->second.since <= before) {
      overdue.push_back(ships.begin()->second.ticket);
      ships.erase(ships.begin());
    }
  }
  return overdue;
}

// The home ----------------------------------------------------------------------------------------

bool Cache::OnShip(Shard* shard, NodeId from, mesi::SessionId session,
                   const mesi::Message& message) {
  std::vector<BytesView> argv;
  if (!DecodeWords(message.words, message.key, &argv)) return false;
  ShipHere ship{shard, from, session, message.gen};
  const bool behind = ships_for_.find(message.key) != ships_for_.end();
  const bool waits = behind || !Holds(now_, argv[1], true);
  if (!waits) {
    RunShip(ship, argv);
    return true;
  }
  ship.bytes = message.words.size();
  if (ships_here_.size() >= kShipsHereMax || ship_bytes_here_ + ship.bytes > kShipBytesHereMax) {
    RefuseShips(shard, from, session);
    return true;
  }
  ship.argv.assign(argv.begin(), argv.end());
  ship_bytes_here_ += ship.bytes;
  ++ships_for_[Bytes(message.key)];
  const uint64_t id = ++next_number_;
  ships_here_.emplace(id, std::move(ship));
  Wait(now_, {kShipper, id}, {{Bytes(message.key), true}});
  return true;
}

Cache::ShipHere Cache::TakeShipHere(std::map<uint64_t, ShipHere>::iterator at) {
  ShipHere ship = std::move(at->second);
  ships_here_.erase(at);
  ship_bytes_here_ -= ship.bytes;
  const auto on = ships_for_.find(ship.argv[1]);
  if (--on->second == 0) ships_for_.erase(on);
  return ship;
}

// Its line has come.
void Cache::RunShipHere(uint64_t id) {
  const auto found = ships_here_.find(id);
  CHECK(found != ships_here_.end());
  const ShipHere ship = TakeShipHere(found);
  const std::vector<BytesView> argv(ship.argv.begin(), ship.argv.end());
  if (!Holds(now_, argv[1], true)) return RefuseShips(ship.shard, ship.from, ship.session);
  RunShip(ship, argv);
}

// The key is held to be written.
void Cache::RunShip(const ShipHere& ship, std::span<const BytesView> argv) {
  mesi::Home* home = ship.shard->home.get();
  const BytesView key = argv[1];
  const mesi::Version was = home->VersionOf(key);
  std::optional<Reply> reply;
  if (MayShipKey(key) && !IsDurableLine(key, FindLine(key))) reply = runner_->RunForCache(argv);
  Done();
  if (!reply) return RefuseShips(ship.shard, ship.from, ship.session);
  CHECK(!HasWritten());
  Bytes words;
  Writer out(&words);
  EncodeReply(*reply, &out);
  home->AnswerShip(now_, ship.from, ship.session, key, ship.number, words, was);
}

void Cache::RefuseShips(Shard* shard, NodeId from, mesi::SessionId session) {
  ++stats_.ships_refused;
  DropShips(shard, from);
  shard->home->RefuseShips(from, session);
}

// Those that wait here; of all caches, if none is named.
void Cache::DropShips(const Shard* shard, NodeId from) {
  std::vector<uint64_t> dropped;
  for (const auto& [id, ship] : ships_here_) {
    if (ship.shard != shard || (from != kNoNode && ship.from != from)) continue;
    dropped.push_back(id);
  }
  for (const uint64_t id : dropped) {
    (void)TakeShipHere(ships_here_.find(id));
    (void)Take({kShipper, id});
  }
}

}  // namespace lockstep
