// Commands that are run at the home of their key, since that is contended. Those of a connection
// may be under way together as long as they are about one key, which keeps their order; what comes
// behind them waits until they are answered. A pipeline over several keys asks for their lines
// ahead all the same: most come in time, and several homes are at work at once.
#include "src/on_ships.h"

#include <numeric>
#include <utility>

#include "src/dispatcher.h"

namespace lockstep {
namespace {

// The words of a command that may be shipped; 0: it may not.
size_t BytesOf(const Client& client, const CommandSpec& leaf, std::span<const BytesView> argv) {
  const bool names_one = leaf.ships && (leaf.keys[0].last == 0 || argv.size() == 2);
  if (!names_one || client.tracking || argv[1].size() > kNameBytesMax) return 0;
  const size_t bytes = std::accumulate(
      argv.begin(), argv.end(), size_t{0},
      [](size_t sum, BytesView word) { return sum + word.size() + sizeof(uint64_t); });
  return bytes <= mesi::kShipBytesMax ? bytes : 0;
}

std::vector<BytesView> WordsOf(const Session::Slot& slot) {
  return ViewsOf(slot.waiting->queue.front());
}

const CommandSpec& LeafOf(std::span<const BytesView> argv) {
  return CommandTable::Get().Find(argv).leaf();
}

Reply NobodyKnows() {
  return Reply::Error("UNCERTAIN", "the home of the key was lost before it answered; the command "
                                   "may have happened");
}

// It cannot be asked for again: a write behind it may have happened.
Reply NotRead() {
  return Reply::Error("CLUSTERDOWN", "the home of the key was lost before it answered; nothing was "
                                     "changed; ask again");
}

}  // namespace

size_t ShipBytes(const Client& client, const CommandSpec& leaf, std::span<const BytesView> argv) {
  return leaf.ships && Writes(leaf.keys[0]) ? BytesOf(client, leaf, argv) : 0;
}

void Dispatcher::SendShip(MonoTime now, Session* session, uint64_t number) {
  Session::Slot* slot = session->Find(number);
  slot->shipped = true;
  cache_->Ship(now, {session->client.id, number}, WordsOf(*slot));
}

// Whether the slot's command, and it may only read, follows one on the same key.
bool Dispatcher::ShipsBehind(Session* session, uint64_t number) const {
  const Session::Slot* before = session->Find(number - 1);
  const Session::Slot* slot = session->Find(number);
  if (before == nullptr || !before->shipped || before->filled) return false;
  if (slot->filled || slot->waiting == nullptr || slot->waiting->exec) return false;
  const std::vector<BytesView> argv = WordsOf(*slot);
  if (slot->shipped || argv.size() < 2 || argv[1] != WordsOf(*before)[1]) return false;
  const size_t bytes = BytesOf(session->client, LeafOf(argv), argv);
  return bytes > 0 && cache_->MayShip(host_->Now(), argv[1], bytes);
}

void Dispatcher::Ship(MonoTime now, Session* session, uint64_t number) {
  SendShip(now, session, number);
  for (++number; session->Find(number) != nullptr && ShipsBehind(session, number); ++number) {
    cache_->Forget({session->client.id, number});
    SendShip(now, session, number);
  }
}

// A command that has just come. False: the session's last one is not on its way there, or this one
// cannot follow it.
bool Dispatcher::ShipBehind(Session* session, const Call& call) {
  const Session::Slot& last = session->BackSlot();
  if (!last.shipped || last.filled || call.argv.size() < 2) return false;
  if (call.argv[1] != BytesView(last.waiting->queue.front()[1])) return false;
  const size_t bytes = BytesOf(session->client, call.leaf(), call.argv);
  if (bytes == 0 || !cache_->MayShip(call.now, call.argv[1], bytes)) return false;
  Session::Slot slot = SlotOf(call);
  slot.waiting = std::make_unique<WaitingCommand>();
  slot.waiting->queue.emplace_back(call.argv.begin(), call.argv.end());
  session->ahead_bytes += bytes;
  SendShip(call.now, session, session->Open(std::move(slot)));
  return true;
}

void Dispatcher::OnShipped(MonoTime now, Session* session, uint64_t number,
                           mesi::Shipped::Outcome outcome, Reply reply) {
  Session::Slot* slot = session->Find(number);
  if (slot == nullptr || slot->filled || !slot->shipped) return;
  slot->shipped = false;
  const std::vector<BytesView> argv = WordsOf(*slot);
  const bool writes = Writes(LeafOf(argv).keys[0]);
  if (outcome == mesi::Shipped::Outcome::kRefused) {  // The ordinary way, at its turn.
    cache_->Wait(now, {session->client.id, number}, {{Bytes(argv[1]), writes}});
    return RunNextHeld(session);
  }
  if (outcome == mesi::Shipped::Outcome::kLost) reply = writes ? NobodyKnows() : NotRead();
  session->leased |= outcome == mesi::Shipped::Outcome::kRun;
  slot->waiting.reset();
  Complete(now, session, number, std::move(reply));
}

// Its client is another node's, whatever it is: a command that ships has nothing to do with it.
std::optional<Reply> Dispatcher::RunForCache(std::span<const BytesView> argv) {
  const FoundCommand found = CommandTable::Get().Find(argv);
  if (leaving_ || found.command == nullptr || found.subcommand != nullptr) return std::nullopt;
  Client nobody;
  if (!ArityFits(found.leaf(), argv.size()) || BytesOf(nobody, found.leaf(), argv) == 0) {
    return std::nullopt;
  }
  if ((found.leaf().flags & kDenyOom) != 0 && host_->OverMemory()) return OverMemoryReply();
  Context context{nobody, *host_, false, cache_, nullptr};
  Args args(argv, 1);
  Action action = found.leaf().handler(context, args);
  if (tracking_ != nullptr) tracking_->Settle({});
  return std::get<Reply>(std::move(action));
}

}  // namespace lockstep
