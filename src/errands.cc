// Commands that ask several groups: their parts go out, their answers go to the task, and its
// answer to the client.
#include <utility>

#include "commands/queue_tasks.h"
#include "src/dispatcher.h"

namespace lockstep {

namespace {

Reply Unblocked() { return Reply::Error("UNBLOCKED", "client unblocked via CLIENT UNBLOCK"); }

}  // namespace

Reply NotAsked() {
  return Reply::Error("CLUSTERDOWN", "this node is not part of a formed cluster yet, or has too "
                                     "many requests under way; nothing was changed; see CLUSTER "
                                     "STATUS");
}

void Dispatcher::OnReply(MonoTime now, Session* session, uint64_t number, size_t part,
                         Reply reply) {
  Session::Slot* slot = session->Find(number);
  if (slot == nullptr || slot->filled) return;
  if (slot->errand == nullptr) {
    const bool goes_on = reply.is_elsewhere() || (slot->task != nullptr && reply.is_nil());
    if (!goes_on) return Complete(now, session, number, std::move(reply));
    session->Park(slot, std::move(reply), std::move(slot->task));
    return GoOn(now, session);
  }
  Errand& errand = *slot->errand;
  errand.parts.at(part).open = false;
  const bool gives = errand.parts[part].hands_over && !reply.is_nil() && !reply.is_error() &&
                     !reply.is_elsewhere();
  if (gives) errand.gave = part;
  Task::Next next;
  std::optional<Reply> done = errand.task->OnReply(part, std::move(reply), &next);
  Proceed(now, session, number, std::move(done), std::move(next));
}

// In the order of the commands: what was asked for behind it may have been answered before it, but
// has not been done.
void Dispatcher::GoOn(MonoTime now, Session* session) {
  if (std::exchange(session->going_on, true)) return;  // Whoever is at it goes on.
  for (uint64_t number = 0; session->FirstIsParked() && session->FrontNumber() != number;) {
    number = session->FrontNumber();
    Session::Slot* slot = session->Find(number);
    if (slot->task != nullptr) {
      BeginErrand(now, session, number, std::move(slot->task));
    } else {
      GoElsewhere(now, session, number, std::move(slot->reply));
    }
  }
  session->going_on = false;
}

// One group was asked, and it is a matter of several.
void Dispatcher::GoElsewhere(MonoTime now, Session* session, uint64_t number, Reply where) {
  Bytes op = std::move(where.items.front().text);
  const QueueTaskContext context{&host_->spreads(), host_->Shards()};
  const bool of_queue = IsShard(session->Find(number)->group);
  auto task = of_queue ? MakeQueueTask(context, std::move(op), &where) : nullptr;
  const Session::Stopped stopped = session->Find(number)->stopped;
  if (task != nullptr && stopped != Session::Stopped::kNo) {
    task->StopWaiting(stopped == Session::Stopped::kError);
  }
  if (task != nullptr) return BeginErrand(now, session, number, std::move(task));
  Complete(now, session, number,
           Reply::Error("ERR", "the leader answered something else than was asked"));
}

void Dispatcher::BeginErrand(MonoTime now, Session* session, uint64_t number,
                             std::unique_ptr<Task> task) {
  Errand* errand = session->Attach(session->Find(number), std::move(task));
  Task::Next next;
  std::optional<Reply> done = errand->task->Begin(&next);
  Proceed(now, session, number, std::move(done), std::move(next));
}

// A part that can not be asked is answered at once.
void Dispatcher::Proceed(MonoTime now, Session* session, uint64_t number,
                         std::optional<Reply> done, Task::Next next) {
  std::vector<size_t> refused;
  for (;;) {
    Session::Slot* slot = session->Find(number);
    if (next.give_up || done) GiveUpParts(now, slot);
    if (done) {
      std::erase_if(next.ask, [](const Task::Part& part) { return !part.unheard; });
      (void)AskParts(now, session, number, std::move(next));
      slot = session->Find(number);
      if (const std::optional<size_t> gave = slot->errand->gave) {
        slot->group = slot->errand->parts[*gave].group;
        slot->seq = slot->errand->parts[*gave].seq;
        const bool goes = !done->is_nil() && !done->is_error();
        if (!goes) GiveUpErrand(now, slot);
      }
      return Complete(now, session, number, std::move(*done));
    }
    for (const size_t one : AskParts(now, session, number, std::move(next))) {
      refused.push_back(one);
    }
    if (refused.empty()) return;
    const size_t part = refused.back();
    refused.pop_back();
    next = {};
    done = session->Find(number)->errand->task->OnReply(part, NotAsked(), &next);
  }
}

// Those that were refused.
std::vector<size_t> Dispatcher::AskParts(MonoTime now, Session* session, uint64_t number,
                                         Task::Next next) {
  Session::Slot* slot = session->Find(number);
  Errand& errand = *slot->errand;
  std::vector<size_t> refused;
  for (Task::Part& part : next.ask) {
    const size_t at = errand.parts.size();
    const Gateway::Asker asker = part.unheard ? Gateway::Asker{}
                                              : Gateway::Asker{session->client.id, number, at};
    const auto kind = part.read ? Gateway::Kind::kRead : Gateway::Kind::kWrite;
    const bool binds = slot->binds && part.hands_over;
    const uint64_t seq = gateway_->Ask(
        now, part.group, {kind, std::move(part.op), part.may_wait, part.hands_over}, asker);
    if (part.unheard) continue;
    errand.parts.push_back({part.group, seq, seq != 0, part.may_wait, part.hands_over});
    if (seq == 0) refused.push_back(at);
    if (seq != 0 && binds) session->Bind(part.group);
  }
  return refused;
}

// What has been handed over goes with the answer, unless there is none.
void Dispatcher::GiveUpErrand(MonoTime now, Session::Slot* slot) {
  GiveUpParts(now, slot);
  if (const std::optional<size_t> gave = std::exchange(slot->errand->gave, std::nullopt)) {
    const Errand::Part& part = slot->errand->parts[*gave];
    gateway_->Abandon(now, part.group, part.seq);
  }
}

void Dispatcher::GiveUpParts(MonoTime now, Session::Slot* slot) {
  for (Errand::Part& part : slot->errand->parts) {
    if (std::exchange(part.open, false)) gateway_->Abandon(now, part.group, part.seq);
  }
}

void Dispatcher::StopWaiting(MonoTime now, Session* session, uint64_t number, bool with_error) {
  Session::Slot* slot = session->Find(number);
  if (slot->parked) {
    return Complete(now, session, number, with_error ? Unblocked() : Reply::NilArray());
  }
  slot->stopped = with_error ? Session::Stopped::kError : Session::Stopped::kNil;
  if (slot->errand == nullptr) return;  // Its group is told; should it point elsewhere, so is that.
  slot->errand->task->StopWaiting(with_error);
  const std::vector<Errand::Part> parts = slot->errand->parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    slot = session->Find(number);
    if (slot == nullptr || slot->errand == nullptr) return;  // It was answered.
    if (!slot->errand->parts[i].open || !parts[i].may_wait) continue;
    if (gateway_->Withdraw(parts[i].group, parts[i].seq)) {
      OnReply(now, session, number, i, with_error ? Unblocked() : Reply::NilArray());
    } else {
      gateway_->Cancel(now, parts[i].group, parts[i].seq,
                       with_error ? CancelOp::Why::kError : CancelOp::Why::kTimeout);
    }
  }
}

}  // namespace lockstep
