// From what a client has sent to what happens: the one place where a command is admitted (known,
// whole, authenticated, allowed in this state), run, queued for EXEC, or made to wait.
#pragma once

#include <functional>
#include <span>

#include "commands/command.h"
#include "commands/host.h"
#include "src/cache.h"
#include "src/gateway.h"
#include "src/session.h"
#include "src/tracking.h"

namespace lockstep {

class Dispatcher {
 public:
  // `clock` is for measuring how long commands take, and decides nothing.
  Dispatcher(Host* host, Gateway* gateway, std::function<MonoTime()> clock);

  // Runs what the session has received until it must wait: for bytes, an answer, the end of a
  // pause, or its turn (kCommandsATurn, or the end of `budget`, from which the work is taken: one
  // for a command, and more for long answers). True: there is more that could run now.
  bool Run(MonoTime now, Session* session, int64_t* budget);
  // Several Runs follow, with nothing between them: where one's last command was measured to end,
  // the next one's first begins.
  void BeginRuns() { measured_ = {}; }

  // An answer from a group, to what the slot asks for or to a part of it.
  void OnReply(MonoTime now, Session* session, uint64_t slot, size_t part, Reply reply);
  // This node ends in a moment: it writes no keys any more.
  void set_leaving() { leaving_ = true; }
  // The slot's answer.
  void Complete(MonoTime now, Session* session, uint64_t slot, Reply reply);
  // src/errands.cc
  void StopWaiting(MonoTime now, Session* session, uint64_t slot, bool with_error);
  void GiveUpErrand(MonoTime now, Session::Slot* slot);

  // src/on_keys.cc. What the slot's command wants is held: it is run.
  void OnHeld(MonoTime now, Session* session, uint64_t slot);
  // It has waited for long enough.
  void GiveUpKeys(MonoTime now, Session* session, uint64_t slot);
  // src/on_ships.cc. The slot's command is to be run at the home of its key, and those behind it
  // that can be. What became of it. And: another node's is to be run here; nothing: it must not.
  void Ship(MonoTime now, Session* session, uint64_t slot);
  void OnShipped(MonoTime now, Session* session, uint64_t slot, mesi::Shipped::Outcome outcome,
                 Reply reply);
  std::optional<Reply> RunForCache(std::span<const BytesView> argv);
  // None until the cluster has formed.
  void set_cache(Cache* cache) { cache_ = cache; }
  // Null while no client, here or elsewhere, is to be told of what changes.
  void set_tracking(Tracking* tracking) { tracking_ = tracking; }

  // CLIENT PAUSE. Sessions that wait for its end are marked `stalled`.
  void Pause(MonoTime until, bool writes_only);
  void Unpause() { paused_until_ = MonoTime{}; }
  MonoTime paused_until() const { return paused_until_; }

  // Someone watches: MONITOR. Called for each command that runs.
  using Watch = std::function<void(const Session& session, const FoundCommand& found,
                                   std::span<const BytesView> argv)>;
  void set_watch(Watch watch) { watch_ = std::move(watch); }

 private:
  struct Call {  // A command on its way through.
    FoundCommand found;
    const CommandSpec* row = nullptr;  // What runs; null: there is no such command.
    const CommandSpec& leaf() const { return *row; }
    std::span<const BytesView> argv;
    MonoTime now;
    MonoTime started;
    bool muted = false;
  };

  bool RunSome(MonoTime now, Session* session, int64_t* budget);
  bool Next(MonoTime now, Session* session);

  // src/on_keys.cc
  void RunNextHeld(Session* session);
  void RunOnKeys(Session* session, const Call& call);
  bool HoldOne(Session* session, const Call& call, bool its_turn, size_t* ship_bytes);
  bool HoldAll(const Call& call);
  void RunWithKeys(Session* session, const Call& call, bool one_key);
  Action RunHandler(Session* session, const FoundCommand& found, std::span<const BytesView> argv,
                    bool in_exec, Bytes* output);
  void FetchLot(Session* session);
  void FetchWants();
  KeyPlace PlaceOf(const Session& session, BytesView key) const;
  void AnswerOnKeys(Session* session, const Call& call, Reply reply);
  void Commit(MonoTime now, Session* session, uint64_t number, Reply reply);
  bool WorksOnKeys(const std::vector<std::vector<Bytes>>& queue) const;
  void ExecOnKeys(Session* session, const Call& call, std::vector<std::vector<Bytes>> queue);
  void WaitForKeys(Session* session, const Call& call, std::span<const KeyWant> wants,
                   std::unique_ptr<WaitingCommand> waiting, size_t ship_bytes = 0);
  bool ShipBehind(Session* session, const Call& call);
  bool ShipsBehind(Session* session, uint64_t slot) const;
  void SendShip(MonoTime now, Session* session, uint64_t slot);
  bool MayMiss(const Session& session, std::span<const KeyWant> wants) const;
  bool IsFull(const CommandSpec& leaf, std::span<const BytesView> argv) const;
  void Track(Session* session, const CommandSpec& leaf, std::span<const BytesView> argv);
  void AnswerTracked(Session* session, const Call& call, Reply reply);
  Action RunHeld(Session* session, const std::vector<Bytes>& words);
  Reply ExecHeld(Session* session, const std::vector<std::vector<Bytes>>& queue);
  void WarnOfHttp(MonoTime now, const Session& session);
  bool Execute(MonoTime now, Session* session, std::span<const BytesView> argv);
  static FoundCommand Find(Session* session, std::span<const BytesView> argv);
  std::optional<Reply> Refusal(const Session& session, const Call& call) const;
  bool MustWait(const Session& session, const Call& call) const;
  bool HeldByPause(MonoTime now, const CommandSpec& leaf) const;
  bool HeldByPause(MonoTime now, const Session& session) const;  // Any of what EXEC would run.
  void EndCaching(Session* session, const FoundCommand& found);
  void AnswerRefusal(Session* session, const Call& call, const Reply& refusal);
  void Admit(Session* session, const Call& call);
  void Queue(Session* session, const Call& call);
  Action Handle(Session* session, const Call& call) const;
  void RunNow(Session* session, const Call& call);
  void Ask(Session* session, const Call& call, GroupId group, Gateway::Request request, bool binds,
           std::unique_ptr<Task> if_nil = nullptr);
  void Answer(Session* session, const Call& call, Reply reply);
  Session::Slot SlotOf(const Call& call) const;

  // src/errands.cc
  void BeginErrand(MonoTime now, Session* session, uint64_t slot, std::unique_ptr<Task> task);
  void GoOn(MonoTime now, Session* session);
  void GiveUpParts(MonoTime now, Session::Slot* slot);
  void GoElsewhere(MonoTime now, Session* session, uint64_t slot, Reply where);
  void Proceed(MonoTime now, Session* session, uint64_t slot, std::optional<Reply> done,
               Task::Next next);
  std::vector<size_t> AskParts(MonoTime now, Session* session, uint64_t slot, Task::Next next);
  void AnswerFast(Session* session, const Call& call, Reply&& reply);
  void CloseBatch();
  void Measure();  // That a command ends now.
  // `shown`: the call as the slow log may show it, made only if it was slow.
  using Shown = std::function<std::vector<BytesView>()>;
  void Account(const Session& session, size_t leaf, MonoTime started, bool waited,
               const Reply& reply, const Shown& shown);

  // src/transaction.cc
  static void DiscardQueue(Session* session);
  bool IsTransactionControl(const FoundCommand& found) const;
  bool IsExec(const FoundCommand& found) const;
  bool LeavesMulti(const FoundCommand& found) const;
  Reply AbortExec(Session* session, const Reply& why);
  Reply RunTransactionControl(Session* session, const Call& call, bool* answered_later);
  Reply Exec(Session* session, const Call& call, bool* answered_later);

  Host* host_;
  Gateway* gateway_;
  std::function<MonoTime()> clock_;
  Cache* cache_ = nullptr;
  Tracking* tracking_ = nullptr;
  MonoTime measured_;  // When a command has ended of late; 0: not known.
  bool is_measured_ = false;  // It was the latest that has begun.
  // Commands of one kind that take less than looking at the clock does: they are measured together,
  // and share what they took.
  struct Batch {
    const CommandSpec* leaf = nullptr;
    uint64_t commands = 0;
    MonoTime started;
  };
  static constexpr uint64_t kBatchMax = 16;
  Batch batch_;
  // The lot that was fetched last: whose, and where its keys are kept.
  struct Lot {
    ClientId client;
    uint64_t number = 0;
    std::vector<KeyPlace> places;
  };
  Lot lot_;
  std::vector<KeyWant> wants_;           // Of RunOnKeys,
  std::vector<KeyPlace> wanted_places_;  // where they are kept,
  std::vector<BytesView> to_fetch_;      // and what is to be fetched: reused.
  Watch watch_;
  bool leaving_ = false;
  MonoTime paused_until_;
  bool pause_writes_only_ = false;
  MonoTime next_http_warning_;
};

// For a request that no group was asked.
Reply NotAsked();
inline Reply OverMemoryReply() {
  return Reply::Error("OOM", "command not allowed when used memory > 'maxmemory'.");
}

// Puts the group's answers where EXEC's reply has left room for them.
Reply CompleteExec(ExecReply exec, Reply batch);

}  // namespace lockstep
