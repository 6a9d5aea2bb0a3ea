// Commands that work on keys: all their keys are gathered, with the access that their rows name,
// and they run at the instant at which all of it is held. What is not held is asked for; meanwhile
// the connection's next commands wait, so that each takes effect in its turn.
#include <algorithm>
#include <utility>

#include "commands/command_keys.h"
#include "src/dispatcher.h"
#include "src/on_ships.h"

namespace lockstep {
namespace {

constexpr size_t kWantsMax = 1024;  // Of one command, or one EXEC.
constexpr size_t kFastBytesMax = 4096;
constexpr size_t kLineCost = 96;  // Beside key and value, at most.

Reply NoCacheYet() {
  return Reply::Error("CLUSTERDOWN", "this node is not part of a formed cluster yet; nothing was "
                                     "changed; see CLUSTER STATUS");
}

Reply TooManyKeys() {
  return Reply::Error("LIMIT", Format("a command or transaction works on at most %zu keys at once; "
                                      "nothing was changed",
                                      kWantsMax));
}

Reply NotHeld() {
  return Reply::Error("CLUSTERDOWN", "the home of a key could not be reached in time; nothing was "
                                     "changed; see CLUSTER STATUS");
}

// The key of a command that names one, and first: most do.
bool HasOneKey(const CommandSpec& leaf) {
  return leaf.keys.size() == 1 && leaf.keys[0].begin == 1 && !leaf.keys[0].keynum &&
         leaf.keys[0].last == 0;
}
// The same of one that could name several.
bool NamesOneKey(const CommandSpec& leaf, size_t words) {
  return HasOneKey(leaf) || (leaf.ships && words == 2);
}

// Each key once, to be written if anything writes it. False: the arguments name no keys as the row
// says; the handler will say what is wrong with them.
bool AddWants(const CommandSpec& leaf, std::span<const BytesView> argv,
              std::vector<KeyWant>* wants) {
  const std::optional<std::vector<KeyAt>> keys = KeysOf(leaf, argv);
  if (!keys) return false;
  for (const KeyAt& key : *keys) {
    if (argv[key.position].size() > kNameBytesMax) return false;
    wants->push_back({argv[key.position], Writes(*key.spec)});
  }
  return true;
}

// False: some were named more than once.
bool MakeUnique(std::vector<KeyWant>* wants) {
  std::sort(wants->begin(), wants->end(), [](const KeyWant& a, const KeyWant& b) {
    return a.key != b.key ? a.key < b.key : a.write > b.write;
  });
  const auto end =
      std::unique(wants->begin(), wants->end(),
                  [](const KeyWant& a, const KeyWant& b) { return a.key == b.key; });
  const bool were = end == wants->end();
  wants->erase(end, wants->end());
  return were;
}

}  // namespace

void Dispatcher::RunOnKeys(Session* session, const Call& call) {
  if (cache_ == nullptr) return Answer(session, call, NoCacheYet());
  FetchLot(session);
  const bool its_turn = session->idle();
  if (its_turn) session->ahead_bytes = 0;
  if (!its_turn && ShipBehind(session, call)) return;
  wants_.clear();
  size_t ship_bytes = 0;
  const bool one_key = NamesOneKey(call.leaf(), call.argv.size()) &&
                       call.argv[1].size() <= kNameBytesMax;
  const bool held = one_key ? HoldOne(session, call, its_turn, &ship_bytes) : HoldAll(call);
  if (wants_.size() > kWantsMax) return Answer(session, call, TooManyKeys());
  if (held && its_turn) return RunWithKeys(session, call, one_key);
  if (one_key) wants_.push_back({call.argv[1], Writes(call.leaf().keys[0])});
  auto waiting = std::make_unique<WaitingCommand>();
  waiting->queue.emplace_back(call.argv.begin(), call.argv.end());
  for (const BytesView word : call.argv) session->ahead_bytes += word.size();
  WaitForKeys(session, call, wants_, std::move(waiting), ship_bytes);
}

// Of a command that names one key. `ship_bytes`: if it is not held, and had better be shipped.
bool Dispatcher::HoldOne(Session* session, const Call& call, bool its_turn, size_t* ship_bytes) {
  const CommandSpec& leaf = call.leaf();
  const BytesView& key = call.argv[1];
  const bool writes = Writes(leaf.keys[0]);
  const bool ships = leaf.ships && its_turn;  // Those behind it ask ahead: it may come in time.
  if (cache_->Hold(call.now, key, PlaceOf(*session, key), writes, ships)) return true;
  if (!leaf.ships || !writes) return false;
  *ship_bytes = ShipBytes(session->client, leaf, call.argv);
  return ships && *ship_bytes == 0 && cache_->Holds(call.now, key, true);
}

// Puts all its keys into wants_, and holds them if they are not too many.
bool Dispatcher::HoldAll(const Call& call) {
  if (!AddWants(call.leaf(), call.argv, &wants_)) {
    wants_.clear();
    return true;
  }
  const bool unique = MakeUnique(&wants_);
  if (wants_.size() > kWantsMax) return false;
  FetchWants();
  const bool held = cache_->Hold(call.now, wants_, wanted_places_);
  if (!unique) cache_->Done();  // A key has other names than the one that was held.
  return held;
}

// All of them are held.
void Dispatcher::RunWithKeys(Session* session, const Call& call, bool one_key) {
  cache_->CountHit();
  session->leased = true;
  const size_t output_before = session->output_bytes();
  const bool straight = !call.muted && tracking_ == nullptr;
  Action action =
      RunHandler(session, call.found, call.argv, false, straight ? session->Straight() : nullptr);
  cache_->Done();
  if (auto* query = std::get_if<Query>(&action)) {
    return Ask(session, call, query->group, {Gateway::Kind::kRead, std::move(query->query)}, false);
  }
  Reply& reply = std::get<Reply>(action);
  if (tracking_ != nullptr) return AnswerTracked(session, call, std::move(reply));
  if (cache_->HasWritten()) return AnswerOnKeys(session, call, std::move(reply));
  // What may be slow is measured by itself, and may stand in the slow log.
  const CommandSpec& leaf = call.leaf();
  const bool brief = leaf.brief || (leaf.flags & kFast) != 0;
  const bool fast = brief && one_key && !reply.is_error() &&
                    call.argv.back().size() <= kFastBytesMax &&
                    reply.text.size() <= kFastBytesMax &&
                    session->output_bytes() - output_before <= kFastBytesMax;
  fast ? AnswerFast(session, call, std::move(reply)) : Answer(session, call, std::move(reply));
}

// `output`: see Context.
Action Dispatcher::RunHandler(Session* session, const FoundCommand& found,
                              std::span<const BytesView> argv, bool in_exec, Bytes* output) {
  Context context{session->client, *host_, in_exec, cache_, output};
  Args args(argv, found.subcommand != nullptr ? 2 : 1);
  return found.leaf().handler(context, args);
}

// A pipeline is likely to go on as it begins: most first arguments are keys.
void Dispatcher::FetchLot(Session* session) {
  if (!session->parser.lot_is_new()) return;
  to_fetch_.clear();
  session->parser.TakeLot(&to_fetch_);
  lot_.client = session->client.id;
  lot_.number = session->parser.lot();
  cache_->Fetch(to_fetch_, &lot_.places);
}

// Of a first argument.
KeyPlace Dispatcher::PlaceOf(const Session& session, BytesView key) const {
  const resp::Parser& parser = session.parser;
  const bool fetched = lot_.number != 0 && lot_.number == parser.lot() &&
                       lot_.client == session.client.id;
  return fetched ? lot_.places[parser.place_in_lot()] : cache_->PlaceOf(key);
}

void Dispatcher::FetchWants() {
  to_fetch_.clear();
  for (const KeyWant& want : wants_) to_fetch_.push_back(want.key);
  cache_->Fetch(to_fetch_, &wanted_places_);
}

void Dispatcher::AnswerTracked(Session* session, const Call& call, Reply reply) {
  Track(session, call.leaf(), call.argv);
  AnswerOnKeys(session, call, std::move(reply));
  tracking_->TellWriter(session->client.id);
}

// At once, or when what it wrote is logged.
void Dispatcher::AnswerOnKeys(Session* session, const Call& call, Reply reply) {
  if (!cache_->HasWritten()) return Answer(session, call, std::move(reply));
  Commit(call.now, session, session->Open(SlotOf(call)), std::move(reply));
}

// What it has read it has read under leases, and its answer leaves after they may have ended: so
// they must not have by now. The home judges what was written.
void Dispatcher::Commit(MonoTime now, Session* session, uint64_t number, Reply reply) {
  if (clock_() >= cache_->valid_until()) {
    reply = Reply::Error("UNCERTAIN", "this process was stopped for most of a lease; the command "
                                      "may have happened");
  }
  session->Find(number)->committing = true;
  cache_->Commit(now, {session->client.id, number}, std::move(reply));
}

// Whether it would write a key whose prefix has no room for more (DCACHE.NS: MAXMEMORY, POLICY).
bool Dispatcher::IsFull(const CommandSpec& leaf, std::span<const BytesView> argv) const {
  if (cache_ == nullptr || !cache_->any_may_be_full() || !leaf.on_keys) return false;
  const std::optional<std::vector<KeyAt>> keys = KeysOf(leaf, argv);
  if (!keys) return false;
  size_t more = keys->size() * kLineCost;
  for (const BytesView word : argv.subspan(1)) more += word.size();
  return std::any_of(keys->begin(), keys->end(), [&](const KeyAt& key) {
    return Writes(*key.spec) && cache_->IsFull(argv[key.position], more);
  });
}

// What the command has read, its client is to hear of; what it has written, others are.
void Dispatcher::Track(Session* session, const CommandSpec& leaf,
                       std::span<const BytesView> argv) {
  const Client& client = session->client;
  tracking_->Settle(client.id);
  if ((leaf.flags & kReadonly) == 0 || !Tracking::Remembers(client)) return;
  const std::optional<std::vector<KeyAt>> keys = KeysOf(leaf, argv);
  if (!keys) return;
  for (const KeyAt& at : *keys) {
    const BytesView key = argv[at.position];
    if (key.size() > kNameBytesMax) continue;
    const std::optional<Keys::Value> value = cache_->Find(key);
    const bool expires = value && value->ttl_us;
    tracking_->Remember(client.id, key, expires ? host_->Now() + *value->ttl_us : kNeverMono);
  }
}

void Dispatcher::WaitForKeys(Session* session, const Call& call, std::span<const KeyWant> wants,
                             std::unique_ptr<WaitingCommand> waiting, size_t ship_bytes) {
  Session::Slot slot = SlotOf(call);
  const bool is_exec = waiting->exec;
  slot.waiting = std::move(waiting);
  const uint64_t number = session->Open(std::move(slot));
  const Cache::Ticket ticket{session->client.id, number};
  const bool may_miss = !is_exec && MayMiss(*session, wants);
  std::vector<Want> kept;
  for (const KeyWant& want : wants) kept.push_back({Bytes(want.key), want.write});
  cache_->Wait(call.now, ticket, std::move(kept), may_miss, ship_bytes);
  const bool ships = ship_bytes > 0 && cache_->IsContended(wants.front().key);
  if (may_miss || ships) (void)cache_->LookAt(ticket);
}

// Who tracks what it reads would not hear of the key again.
bool Dispatcher::MayMiss(const Session& session, std::span<const KeyWant> wants) const {
  const bool reads =
      std::none_of(wants.begin(), wants.end(), [](const KeyWant& want) { return want.write; });
  const bool any = reads && std::any_of(wants.begin(), wants.end(), [this](const KeyWant& want) {
    return cache_->MayMiss(want.key);
  });
  return any && (tracking_ == nullptr || !Tracking::Remembers(session.client));
}

// Those whose turn has come, as far as their keys are held.
void Dispatcher::RunNextHeld(Session* session) {
  if (std::exchange(session->running_held, true)) return;  // Whoever is at it goes on.
  while (session->WaitsForKeys() &&
         cache_->LookAt({session->client.id, session->FrontNumber()})) {
  }
  session->running_held = false;
}

void Dispatcher::OnHeld(MonoTime now, Session* session, uint64_t number) {
  Session::Slot* slot = session->Find(number);
  if (slot == nullptr || slot->filled || slot->waiting == nullptr) return;
  const std::unique_ptr<WaitingCommand> waiting = std::move(slot->waiting);
  session->leased = true;
  Action action = waiting->exec ? ExecHeld(session, waiting->queue)
                                : RunHeld(session, waiting->queue.front());
  session->client.tracking_options.caching = false;  // It was about this command.
  if (auto* query = std::get_if<Query>(&action)) {  // The key alone does not tell.
    const uint64_t seq = gateway_->Ask(now, query->group,
                                       {Gateway::Kind::kRead, std::move(query->query)},
                                       {session->client.id, number});
    if (seq == 0) return Complete(now, session, number, NotAsked());
    return session->TurnIntoRead(slot, query->group, seq);
  }
  Reply reply = std::move(std::get<Reply>(action));
  if (cache_->HasWritten()) {
    Commit(now, session, number, std::move(reply));
  } else {
    Complete(now, session, number, std::move(reply));
  }
  if (tracking_ != nullptr) tracking_->TellWriter(session->client.id);
}

Action Dispatcher::RunHeld(Session* session, const std::vector<Bytes>& words) {
  const std::vector<BytesView> argv = ViewsOf(words);
  const FoundCommand found = CommandTable::Get().Find(argv);
  // Since it was admitted those before it may have filled the room that there was.
  if ((found.leaf().flags & kDenyOom) != 0 && IsFull(found.leaf(), argv)) return OverMemoryReply();
  Action action = RunHandler(session, found, argv, false, nullptr);
  if (tracking_ != nullptr) Track(session, found.leaf(), argv);
  return action;
}

void Dispatcher::GiveUpKeys(MonoTime now, Session* session, uint64_t number) {
  Session::Slot* slot = session->Find(number);
  if (slot == nullptr || slot->waiting == nullptr) return;
  cache_->Forget({session->client.id, number});
  if (slot->waiting->exec) DiscardQueue(session);
  Complete(now, session, number, NotHeld());
}

// EXEC -------------------------------------------------------------------------------------------

bool Dispatcher::WorksOnKeys(const std::vector<std::vector<Bytes>>& queue) const {
  return std::any_of(queue.begin(), queue.end(), [](const std::vector<Bytes>& argv) {
    return CommandTable::Get().Find(ViewsOf(argv)).leaf().on_keys;
  });
}

// What it watches it must see as it is when it runs.
void Dispatcher::ExecOnKeys(Session* session, const Call& call,
                            std::vector<std::vector<Bytes>> queue) {
  std::vector<KeyWant> wants;
  for (const std::vector<Bytes>& queued : queue) {
    const std::vector<BytesView> argv = ViewsOf(queued);
    const CommandSpec& leaf = CommandTable::Get().Find(argv).leaf();
    if (leaf.on_keys) (void)AddWants(leaf, argv, &wants);
  }
  for (const auto& [key, version] : session->client.watched) wants.push_back({key, false});
  MakeUnique(&wants);
  const bool too_many = wants.size() > kWantsMax;
  if (cache_ == nullptr || too_many) {
    return Answer(session, call, AbortExec(session, too_many ? TooManyKeys() : NoCacheYet()));
  }
  session->client.queued = -1;  // Its commands wait for EXEC no more, but for their keys.
  if (cache_->Hold(call.now, wants)) {
    cache_->Done();  // Its commands have other names for them.
    cache_->CountHit();
    session->leased = true;
    AnswerOnKeys(session, call, ExecHeld(session, queue));
    if (tracking_ != nullptr) tracking_->TellWriter(session->client.id);
    return;
  }
  auto waiting = std::make_unique<WaitingCommand>();
  waiting->queue = std::move(queue);
  waiting->exec = true;
  WaitForKeys(session, call, wants, std::move(waiting));
}

Reply Dispatcher::ExecHeld(Session* session, const std::vector<std::vector<Bytes>>& queue) {
  const auto watched = std::move(session->client.watched);
  DiscardQueue(session);
  for (const auto& [key, version] : watched) {
    if (cache_->VersionOf(key) != version) return Reply::NilArray();
  }
  Reply replies = Reply::Array();
  size_t cost = 0;
  for (const std::vector<Bytes>& queued : queue) {
    const std::vector<BytesView> argv = ViewsOf(queued);
    const FoundCommand found = CommandTable::Get().Find(argv);
    if (cost > kReplyCostMax) {
      replies.Add(Reply::Error("LIMIT", "the replies before this one take more than 16 MB; this "
                                        "command was not run"));
      continue;
    }
    Action action = RunHandler(session, found, argv, true, nullptr);
    auto* reply = std::get_if<Reply>(&action);
    if (reply == nullptr) {
      replies.Add(Reply::Error("ERR", "a transaction is about keys or about locks, not both; this "
                                      "command did not happen"));
      continue;
    }
    if (tracking_ != nullptr && found.leaf().on_keys) Track(session, found.leaf(), argv);
    cost += ReplyCost(*reply);
    replies.Add(std::move(*reply));
  }
  return replies;
}

}  // namespace lockstep
