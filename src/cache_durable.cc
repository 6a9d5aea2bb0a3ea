// Commands that write durable keys. They run like any other, at one instant, on lines that this
// node holds; but what they wrote is pinned and shown to nobody, and their clients are not
// answered, before it is in the log of its shard. What is refused there is taken back.
//
// The same of keys of CLASS home, which their homes are to have, in no log. Those whose home is
// here have no further to go.
#include <algorithm>
#include <utility>

#include "commands/shard_machine.h"
#include "src/cache_shard.h"

namespace lockstep {
namespace {

constexpr size_t kCommitBytesMax = size_t{8} << 20;  // Of one command, or one EXEC.

Reply Fenced() {
  return Reply::Error("FENCED", "the key has seen a higher token; nothing was changed");
}

Reply TooLarge() {
  return Reply::Error("LIMIT", Format("a durable value has at most %zu bytes, and what a command "
                                      "writes of them %zu; nothing was changed",
                                      mesi::kDurableValueBytesMax, kCommitBytesMax));
}

Reply NotNow() {
  return Reply::Error("TRYAGAIN",
                      "the home of a durable key cannot log it now; nothing was changed");
}

Reply NobodyKnows() {
  return Reply::Error("UNCERTAIN", "the home of a key was lost before it answered; the command may "
                                   "have happened, or a part of it");
}

// Its keys have several homes, or some are not durable: what happened to those stays.
Reply Partly(const Reply& refusal) {
  const Bytes code = refusal.text.substr(0, refusal.text.find(' '));
  return Reply::Error("UNCERTAIN", "what the command wrote of some keys was refused (" + code +
                                       ") and taken back; the rest of it has happened");
}

mesi::DurableValue ValueOf(const DurableKeys::Record& record, const Group& group, MonoTime now) {
  mesi::DurableValue value{.present = record.present, .value = record.value, .fence = record.fence};
  if (record.present && record.deadline != kNeverCluster) {
    value.ends = now + (record.deadline - group.raft().time(now)) * kUsPerMs;
  }
  return value;
}

const DurableKeys& KeysOfGroup(const Group& group) {
  return dynamic_cast<const ShardMachine&>(group.replica().machine()).keys();
}

}  // namespace

// The log ----------------------------------------------------------------------------------------

std::optional<mesi::DurableValue> Cache::Shard::Find(MonoTime now, BytesView key) const {
  const Group* const ours = cache->options_.group_of(group);
  const DurableKeys& keys = KeysOfGroup(*ours);
  const DurableKeys::Record* record = keys.empty() ? nullptr : keys.Find(key);
  if (record == nullptr) return std::nullopt;
  return ValueOf(*record, *ours, now);
}

void Cache::Shard::ForEach(MonoTime now, const Visit& visit) const {
  const Group* const ours = cache->options_.group_of(group);
  for (const auto& [key, record] : KeysOfGroup(*ours).all()) {
    visit(key, ValueOf(record, *ours, now));
  }
}

bool Cache::Shard::Propose(Term epoch, const std::vector<mesi::DurableWrite>& writes) {
  Group* const ours = cache->options_.group_of(group);
  if (ours->raft().term() != epoch) return false;
  Bytes op, entry;
  Writer op_out(&op), out(&entry);
  mesi::EncodeDurableWrites(writes, &op_out);
  EncodeKeysWritten(op, &out);
  return ours->WriteAlone(std::move(entry)) == Group::Taken::kYes;
}

void Cache::OnLogged(GroupId group, std::vector<Effects::KeyChange> changes) {
  Shard* shard = ShardOfGroup(group);
  if (shard == nullptr || shard->home == nullptr) return;
  std::move(changes.begin(), changes.end(), std::back_inserter(shard->logged));
}

void Cache::TakeLogged(MonoTime now, Shard* shard) {
  for (const Effects::KeyChange& change : std::exchange(shard->logged, {})) {
    if (shard->home != nullptr) shard->home->OnLogged(now, change.key, change.written);
  }
}

// A command --------------------------------------------------------------------------------------

// It stays so until it is deleted, whatever becomes of its space.
bool Cache::IsDurableLine(BytesView key, const mesi::Line* line) const {
  if (line != nullptr && line->durable()) return true;
  const Space* const space = SpaceOf(key);
  return space != nullptr && space->durability == Space::Durability::kQuorum &&
         options_.group_of != nullptr;
}

bool Cache::IsOfClassHome(BytesView key) const {
  const Space* const space = SpaceOf(key);
  return space != nullptr && space->durability == Space::Durability::kHome;
}

// Its home may count on it that this node pushes, or counts on nothing yet.
bool Cache::IsPushedLine(BytesView key, const mesi::Line* line) const {
  const bool pushes = (line != nullptr && line->pushes()) || IsOfClassHome(key);
  return pushes && FindShard(key).home == nullptr;
}

bool Cache::HasToGoHome(BytesView key, const mesi::Line* line) const {
  return IsDurableLine(key, line) || IsPushedLine(key, line);
}

// Null: what is written of the key is seen at once.
Cache::Writing* Cache::NoteWrite(BytesView key, bool durable) {
  mesi::Line* line = FindLine(key);
  const bool is_logged = durable || IsDurableLine(key, line);
  if (!is_logged && !IsPushedLine(key, line)) return nullptr;
  const auto noted = writing_.find(Bytes(key));
  if (noted != writing_.end()) {
    noted->second.is_logged |= is_logged;
    if (is_logged) FindShard(key).lines().Find(key)->set_durable(true);
    return &noted->second;
  }
  PinLine(key);
  line = FindShard(key).lines().Find(key);
  if (Latest* const latest = LatestOf(key)) latest->line = line;
  Writing writing{.is_logged = is_logged,
                  .was_durable = line->durable(),
                  .deadline = line->deadline(),
                  .version = line->version()};
  if (line->present()) writing.value = Bytes(line->value());
  if (is_logged) line->set_durable(true);
  ++pins_[Bytes(key)];
  return &writing_.emplace(Bytes(key), std::move(writing)).first->second;
}

void Cache::MakeDurable(BytesView key, uint64_t fence) {
  if (!options_.group_of) return;
  Writing* const writing = NoteWrite(key, true);
  writing->steps_back |= fence != 0 && fence < writing->fence;  // In an EXEC.
  writing->fence = std::max(writing->fence, fence);
}

mesi::DurableWrite Cache::WriteOf(MonoTime now, const Bytes& key, const Writing& writing) {
  const mesi::Line* line = FindShard(key).lines().Find(key);
  CHECK(line != nullptr);
  mesi::DurableWrite write{.key = key, .present = line->present(), .value = Bytes(line->value())};
  write.fence = writing.fence;
  write.keeps_ttl = writing.was_durable && writing.value && !writing.sets_ttl;
  const bool ends = !write.keeps_ttl && line->deadline() != kNeverMono;
  if (ends) write.ttl_us = std::max<int64_t>(0, line->deadline() - now);
  return write;
}

void Cache::Commit(MonoTime now, const Ticket& ticket, Reply reply) {
  now_ = now;
  touched_ = true;
  Done();
  std::map<GroupId, std::vector<mesi::DurableWrite>> here, elsewhere;  // By where their home is.
  std::map<GroupId, std::vector<Bytes>> pushed;
  const uint64_t number = ++next_number_;
  size_t bytes = 0;
  bool fits = true, steps_back = false;
  for (const auto& [key, writing] : writing_) {
    pending_of_[key] = number;
    const Shard& shard = FindShard(key);
    if (!writing.is_logged) {
      pushed[shard.group].push_back(key);
      continue;
    }
    auto& of = (shard.home != nullptr ? here : elsewhere)[shard.group];
    of.push_back(WriteOf(now, key, writing));
    bytes += of.back().value.size();
    fits &= of.back().value.size() <= mesi::kDurableValueBytesMax;
    steps_back |= writing.steps_back;
  }
  Pending& pending = pending_[number];  // Until the last of its keys.
  pending = {.ticket = ticket, .reply = std::move(reply), .open = std::exchange(writing_, {}),
             .since = now, .refusal = std::nullopt, .some_done = wrote_plain_};
  if (steps_back) pending.refusal = Fenced();
  if (!fits || bytes > kCommitBytesMax) pending.refusal = TooLarge();
  // First what is refused at once: then the rest need not happen.
  for (const auto* all : {&here, &elsewhere}) {
    for (const auto& [group, of] : *all) {
      Shard* shard = ShardOfGroup(group);
      auto outcome = mesi::Committed::kDone;
      if (pending.refusal) {
        outcome = mesi::Committed::kRefused;
      } else if (shard->home != nullptr) {
        outcome = shard->home->Commit(now, of);
      } else {
        shard->agent.Commit(now, of);
      }
      if (outcome == mesi::Committed::kDone) continue;
      for (const mesi::DurableWrite& write : of) OnKeyCommitted(write.key, outcome);
    }
  }
  for (const auto& [group, keys] : pushed) {
    if (!pending.refusal) {
      ShardOfGroup(group)->agent.Push(keys);
    } else {
      for (const Bytes& key : keys) OnKeyCommitted(key, mesi::Committed::kRefused);
    }
  }
}

void Cache::Undo(const Bytes& key, const Writing& writing) {
  Shard& shard = FindShard(key);
  mesi::Line* line = shard.lines().Find(key);
  if (line == nullptr) return;
  if (tracker_ != nullptr) tracker_->OnWritten(key);
  if (!writing.value) {
    shard.home != nullptr ? shard.home->Erase(key) : shard.agent.Erase(key);
  } else if (shard.home != nullptr) {
    (void)shard.home->Put(key, line, *writing.value, writing.deadline);
  } else {
    shard.agent.Put(line, *writing.value, writing.deadline);
  }
  line->set_durable(writing.was_durable);  // It is pinned, so it is there.
  // Nobody has seen the other; and its home, if we are lost, goes back to this one.
  if (line->pushes()) line->set_version(writing.version);
}

// Called in the midst of a line's transition: what follows is done later.
void Cache::OnKeyCommitted(BytesView named, mesi::Committed outcome) {
  const Bytes key(named);
  const auto of = pending_of_.find(key);
  if (of == pending_of_.end()) return;
  const auto found = pending_.find(of->second);
  Pending& pending = found->second;
  pending_of_.erase(of);
  const auto open = pending.open.find(key);
  const bool undone = outcome == mesi::Committed::kFenced || outcome == mesi::Committed::kRefused;
  if (undone) Undo(key, open->second);
  if (undone && !pending.refusal) {
    pending.refusal = outcome == mesi::Committed::kFenced ? Fenced() : NotNow();
  }
  pending.some_done |= outcome == mesi::Committed::kDone;
  pending.some_lost |= outcome == mesi::Committed::kLost;
  pending.open.erase(open);
  ReleasePin(key);
  wake_.push_back(key);
  touched_ = true;
  if (!pending.open.empty()) return;
  if (pending.some_lost) {
    pending.reply = NobodyKnows();
  } else if (pending.refusal) {
    pending.reply = pending.some_done ? Partly(*pending.refusal) : *pending.refusal;
  }
  committed_.push_back(std::move(pending));
  pending_.erase(found);
}

// Of those that began before then. Their clients are not answered any more; what they wrote stays
// hidden until the log has told.
std::vector<Cache::Ticket> Cache::TakeOverdue(MonoTime before) {
  std::vector<Ticket> overdue;
  for (auto& [number, pending] : pending_) {
    if (pending.since > before) break;  // In the order in which they came.
    if (!std::exchange(pending.overdue, true)) overdue.push_back(pending.ticket);
  }
  return overdue;
}

// Its home is this node no more: what it had proposed is in the log, or not.
void Cache::LoseCommits(const Shard& shard) {
  std::vector<Bytes> lost;
  for (const auto& [key, number] : pending_of_) {
    if (&FindShard(key) == &shard) lost.push_back(key);
  }
  for (const Bytes& key : lost) OnKeyCommitted(key, mesi::Committed::kLost);
}

bool Cache::TellCommitted() {
  bool any = false;
  while (!committed_.empty()) {
    any = true;
    for (Pending& pending : std::exchange(committed_, {})) {
      if (!pending.overdue) runner_->OnCommitted(pending.ticket, std::move(pending.reply));
    }
    Settle();
  }
  return any;
}

}  // namespace lockstep
