// MULTI, EXEC, DISCARD. What is queued for a group goes into its log as one entry: nothing comes
// between, and all of it is applied or none.
#include <utility>

#include "commands/lock_ops.h"
#include "src/dispatcher.h"

namespace lockstep {
namespace {

const CommandSpec* RowOf(BytesView name) { return CommandTable::Get().FindByName(name).command; }

}  // namespace

void Dispatcher::DiscardQueue(Session* session) {
  session->queue.clear();
  session->queued_bytes = 0;
  session->client.queued = -1;
  session->client.dirty_exec = false;
  session->client.watched.clear();
}

// By the command, not the leaf: SLOWLOG RESET is no RESET. By its row: each command is asked.
bool Dispatcher::IsTransactionControl(const FoundCommand& found) const {
  static const CommandSpec* const multi = RowOf("MULTI");
  static const CommandSpec* const discard = RowOf("DISCARD");
  if ((found.command->categories & kCatTransaction) == 0) return false;  // Most are not.
  return found.command == multi || found.command == discard || IsExec(found);
}
bool Dispatcher::IsExec(const FoundCommand& found) const {
  static const CommandSpec* const exec = RowOf("EXEC");
  return found.command == exec;
}
bool Dispatcher::LeavesMulti(const FoundCommand& found) const {
  const BytesView name = found.command->name;
  return name == "QUIT" || name == "RESET";
}

Reply Dispatcher::RunTransactionControl(Session* session, const Call& call, bool* answered_later) {
  Client& client = session->client;
  const BytesView name = call.leaf().name;
  if (name == "MULTI") {
    if (client.in_multi()) return Reply::Error("ERR", "MULTI calls can not be nested");
    client.queued = 0;
    return Reply::Ok();
  }
  if (!client.in_multi()) return Reply::Error("ERR", Bytes(name) + " without MULTI");
  if (name == "EXEC") return Exec(session, call, answered_later);
  DiscardQueue(session);
  return Reply::Ok();
}

// EXEC itself was refused. As in Redis, the transaction is over with it.
Reply Dispatcher::AbortExec(Session* session, const Reply& why) {
  DiscardQueue(session);
  const BytesView sentence = BytesView(why.text).substr(why.text.find(' ') + 1);
  return Reply::Error("EXECABORT", "Transaction discarded because of: " + Bytes(sentence));
}

Reply Dispatcher::Exec(Session* session, const Call& call, bool* answered_later) {
  std::vector<std::vector<Bytes>> queue = std::move(session->queue);
  const bool dirty = session->client.dirty_exec;
  if (!dirty && (WorksOnKeys(queue) || !session->client.watched.empty())) {
    *answered_later = true;
    ExecOnKeys(session, call, std::move(queue));
    return Reply::Nothing();
  }
  DiscardQueue(session);
  if (dirty) {
    return Reply::Error("EXECABORT", "Transaction discarded because of previous errors.");
  }

  auto exec = std::make_unique<ExecReply>();
  BatchOp batch;
  bool binds = false;
  size_t cost = 0;  // Of what is answered here; the group bounds its own.
  for (const std::vector<Bytes>& queued : queue) {
    if (cost > kReplyCostMax) {
      exec->replies.push_back(Reply::Error(
          "LIMIT", "the replies before this one take more than 16 MB; this command was not run"));
      continue;
    }
    const std::vector<BytesView> argv(queued.begin(), queued.end());
    const FoundCommand found = CommandTable::Get().Find(argv);
    Context context{session->client, *host_, true};
    Args args(argv, found.subcommand != nullptr ? 2 : 1);
    Action action = found.leaf().handler(context, args);
    if (auto* reply = std::get_if<Reply>(&action)) {
      cost += ReplyCost(*reply);
      exec->replies.push_back(std::move(*reply));
      continue;
    }
    auto* propose = std::get_if<Propose>(&action);
    const GroupId group = propose != nullptr ? propose->group : std::get<Query>(action).group;
    exec->replies.push_back(Reply::Error(
        "ERR",
        "this command is for another group of the cluster than the locks and can not be part "
        "of a transaction; it did not happen"));
    if (group != kLocksGroup) continue;
    binds |= propose != nullptr && propose->binds;
    exec->from_group.push_back(exec->replies.size() - 1);
    batch.items.push_back({propose == nullptr, propose != nullptr
                                                   ? std::move(propose->op)
                                                   : std::move(std::get<Query>(action).query)});
  }
  if (batch.items.empty()) return Reply::Array(std::move(exec->replies));

  *answered_later = true;
  const uint64_t number = session->open_slots();
  Ask(session, call, kLocksGroup, {Gateway::Kind::kWrite, batch.Encode()}, binds);
  if (session->open_slots() > number) session->BackSlot().exec = std::move(exec);
  return Reply::Nothing();
}

Reply CompleteExec(ExecReply exec, Reply batch) {
  if (batch.is_error()) return batch;
  for (size_t i = 0; i < exec.from_group.size() && i < batch.items.size(); ++i) {
    exec.replies[exec.from_group[i]] = std::move(batch.items[i]);
  }
  return Reply::Array(std::move(exec.replies));
}

}  // namespace lockstep
