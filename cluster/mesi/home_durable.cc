// The home's durable keys. A write of one is shown to nobody before it is applied: who owns the
// line keeps it until then, and if he is lost meanwhile, his end is put off until the log has told.
// So the log's value is the latest, always, and takes the place of what is forgotten elsewhere.
#include <utility>

#include "cluster/mesi/home.h"
#include "src/base/check.h"

namespace lockstep::mesi {
namespace {

// Of one command: what is gathered of a cache's before it is logged.
constexpr size_t kCommitBytesMax = size_t{16} << 20;
constexpr size_t kCommitWritesMax = 1024;

size_t BytesOf(const std::vector<DurableWrite>& writes) {
  size_t bytes = 0;
  for (const DurableWrite& write : writes) bytes += write.key.size() + write.value.size();
  return bytes;
}

}  // namespace

// One write of a key at a time: so what was applied is all that a token can have seen.
Committed Home::Propose(MonoTime now, const std::vector<DurableWrite>& writes) const {
  if (options_.durable == nullptr) return Committed::kRefused;
  for (const DurableWrite& write : writes) {
    if (write.fence == 0) continue;
    const std::optional<DurableValue> logged = Logged(now, write.key);
    if (logged && logged->fence > write.fence) return Committed::kFenced;
  }
  return options_.durable->Propose(options_.epoch, writes) ? Committed::kDone : Committed::kRefused;
}

Committed Home::Commit(MonoTime now, const std::vector<DurableWrite>& writes) {
  const Committed proposed = Propose(now, writes);
  if (proposed != Committed::kDone) return proposed;
  for (const DurableWrite& write : writes) {
    CHECK(lines_.Find(write.key)->durable());
    CHECK(committing_.try_emplace(write.key).second);
  }
  return proposed;
}

void Home::EraseDurable(MonoTime now, BytesView key) {
  if (Propose(now, {{.key = Bytes(key)}}) != Committed::kDone) return;
  CHECK(committing_.try_emplace(Bytes(key)).second);
}

// Of a line that it owns, and of which nothing is on its way to the log.
std::optional<uint64_t> Home::GenOfOwner(const Session& session, BytesView key) {
  const DirLine dir = Load(lines_.Find(key), key);
  const bool owned = !HomeServes(dir.state) && dir.state != Dir::kBInv;
  if (!owned || dir.owner != session.number || committing_.contains(key)) return std::nullopt;
  return dir.gen;
}

bool Home::OnCommit(MonoTime now, Session* session, const Message& message) {
  if (message.have) return OnPush(now, session, message);
  if (GenOfOwner(*session, message.key) != message.gen || !message.payload) return false;
  if (message.payload->value.size() > kDurableValueBytesMax) return false;
  const Payload& payload = *message.payload;
  DurableWrite write{.key = Bytes(message.key),
                     .present = payload.present,
                     .value = Bytes(payload.value),
                     .keeps_ttl = !payload.ttl_is_new,
                     .fence = message.fence};
  if (payload.ends != kNeverMono) write.ttl_us = std::max<int64_t>(0, payload.ends - now);
  if (write.ttl_us > kDurableTtlUsMax) return false;
  session->writes.push_back(std::move(write));
  if (session->writes.size() > kCommitWritesMax) return false;
  if (BytesOf(session->writes) > kCommitBytesMax) return false;
  if (message.keeps) return true;
  const std::vector<DurableWrite> writes = std::exchange(session->writes, {});
  std::map<BytesView, uint64_t> gens;  // It must have still what it named first, each key once.
  for (const DurableWrite& one : writes) {
    const std::optional<uint64_t> gen = GenOfOwner(*session, one.key);
    if (!gen || !gens.emplace(one.key, *gen).second) return false;
  }
  const Committed proposed = Propose(now, writes);
  for (const auto& [key, gen] : gens) {
    if (proposed == Committed::kDone) {
      lines_.Find(key)->set_pushes(false);  // From now on it is the log that has the latest.
      committing_[Bytes(key)] = {session->number, gen};
      ++session->committing;
    } else {
      Say(session, {.type = MessageType::kCommitted,
                    .key = key,
                    .gen = gen,
                    .have = proposed == Committed::kFenced,
                    .keeps = true});
    }
  }
  return true;
}

void Home::OnLogged(MonoTime now, BytesView logged_key, bool written) {
  const Bytes key(logged_key);
  const auto found = committing_.find(key);
  if (!written && found != committing_.end()) return;  // What is on its way tells.
  if (found != committing_.end()) {
    const Committing committing = found->second;
    committing_.erase(found);
    if (committing.who == kHome) {
      listener_->OnCommitted(key, Committed::kDone);
    } else {
      Session* session = sessions_[committing.who].get();
      CHECK(session != nullptr && session->committing > 0);
      Say(session, {.type = MessageType::kCommitted, .key = key, .gen = committing.gen});
      if (--session->committing == 0 && session->over) End(now, session);
    }
  }
  Line* line = lines_.Find(key);
  if (line == nullptr || !line->durable()) return;
  const auto state = static_cast<Dir>(line->state());
  const std::optional<DurableValue> logged = Logged(now, key);
  if (HomeServes(state) && !(logged && logged->present)) {
    if (line->present()) {
      listener_->OnUnreadable(key);
      lines_.ClearValue(line);
      line->set_version(NewVersion());
    }
    line->set_durable(false);
  }
  if (IsBusy(state)) return;
  listener_->OnHeld(key);
  ServeQueue(now, key);
  DropIfEmpty(key);
}

// Its time is over by our clock, and the log has not said so yet. It does in a moment; a next home
// could show it once more until then. (It may have said so while a cache had the line.)
bool Home::EndsByLog(MonoTime now, const Line& line) const {
  if (!line.durable() || !line.present() || line.deadline() > now) return false;
  if (!HomeServes(static_cast<Dir>(line.state()))) return false;
  if (IsCommitting(line)) return true;
  const std::optional<DurableValue> logged = Logged(now, line.key());
  return logged && logged->present;
}

// An owner keeps by himself what he has not got into the log yet.
bool Home::IsKept(MonoTime now, const Line& line) const {
  const bool serves = HomeServes(static_cast<Dir>(line.state()));
  return line.pinned() || (serves && IsHidden(now, line));
}

void Home::RestoreLogged(Line* line, const DurableValue& logged) {
  lines_.SetValue(line, logged.value);
  lines_.SetDeadline(line, logged.ends);
  line->set_durable(true);
}

void Home::LoadLogged(MonoTime now) {
  if (options_.durable == nullptr) return;
  options_.durable->ForEach(now, [this](BytesView key, const DurableValue& logged) {
    if (logged.present) RestoreLogged(FindOrAdd(key), logged);
  });
}

// Its owner is lost, and with it what the home does not have. What it pushed the home has, and it
// has shown nothing newer to anybody.
void Home::Forget(MonoTime now, Line* line, const DirLine& dir) {
  if (line->pushes()) {
    stats_->restored += line->present() ? 1 : 0;
    return;
  }
  line->set_version(VersionOfNothing(dir));
  const std::optional<DurableValue> logged = Logged(now, line->key());
  if (logged && logged->present) return RestoreLogged(line, *logged);
  line->set_durable(false);
  lines_.ClearValue(line);
  ++stats_->forgets;
}

}  // namespace lockstep::mesi
