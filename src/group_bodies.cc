// What a group's state has left in its log: read back, kept from being compacted away, and fetched
// from the leader when a snapshot comes that needs what this node never had.
#include <algorithm>

#include "src/base/log.h"
#include "src/group.h"

namespace lockstep {
namespace {

constexpr size_t kFetchedBytesMax = size_t{1} << 20;  // Given at once, or one entry.
constexpr int64_t kFetchAgainUs = 500 * kUsPerMs;  // No answer: it was lost, or the leader is new.
constexpr int64_t kFetchTurnUs = 20 * kUsPerMs;    // Another group is fetching.

}  // namespace

bool Group::Resolve(Reply* reply) {
  if (reply->kind == Reply::Kind::kLogged) {
    Bytes body;
    if (!ReadSpan(reply->span, &body)) return false;
    *reply = Reply::Bulk(std::move(body));
    return true;
  }
  return std::all_of(reply->items.begin(), reply->items.end(),
                     [this](Reply& item) { return Resolve(&item); });
}

void Group::ResolveWhatIsThere(Reply* rows) {
  std::erase_if(rows->items, [this](Reply& row) { return !Resolve(&row); });
  if (rows->items.empty()) *rows = Reply::NilArray();
}

bool Group::ReadSpan(const LogSpan& span, Bytes* out) {
  const Index entry{span.entry};
  std::shared_ptr<const Bytes> held;
  BytesView data;
  if (IsInMemory(entry)) {
    data = raft_->entry(entry).data;
  } else {
    held = options_.cache->Find(options_.id, entry);
    if (held == nullptr) {
      std::optional<Bytes> read = store_.DataOf(entry, options_.read);
      if (!read) return false;
      held = options_.cache->Add(options_.id, entry, std::move(*read));
    }
    data = *held;
  }
  CHECK_SAYS(span.at <= data.size() && span.size <= data.size() - span.at,
             "group %s: entry %lu is shorter than it was", options_.name.c_str(), span.entry);
  *out = data.substr(span.at, span.size);
  return true;
}

bool Group::IsInMemory(Index entry) const {
  return entry >= raft_->first_index() && entry <= raft_->last().index;
}

// Those that no snapshot stands for yet are looked at when one does.
void Group::DropUnneeded(WriteBatch* batch) {
  for (const Index entry : replica_->machine().TakeUnneeded()) {
    if (entry <= snapshot_index_) store_.Drop(entry, batch);
  }
}

// Giving ----------------------------------------------------------------------------------------

// As many as fit, in their order. Whoever asks has a snapshot whose entries are committed, so they
// are the same here. One that is not on disk, though the state is behind it, was dropped because of
// a committed entry that our log has: it is needed no more, and whoever asks will hear why from the
// log.
std::vector<Group::Fetched> Group::Give(const std::vector<Index>& entries) {
  std::vector<Fetched> given;
  if (!options_.read) return given;
  size_t bytes = 0;
  for (const Index entry : entries) {
    if (bytes >= kFetchedBytesMax || entry > raft_->last().index) break;
    if (IsInMemory(entry)) {
      given.push_back({entry, raft_->entry(entry).data});
    } else {
      given.push_back({entry, store_.DataOf(entry, options_.read)});
    }
    if (given.back().data) bytes += given.back().data->size();
  }
  return given;
}

// Taking ----------------------------------------------------------------------------------------

void Group::Prepare(MonoTime now, raft::Snapshot snapshot, WriteBatch* batch) {
  auto replica = std::make_unique<Replica>(options_.make_machine());
  const Result<void> loaded = replica->Load(snapshot.data);
  CHECK_SAYS(loaded.ok(), "group %s: snapshot of %lu does not load: %s", options_.name.c_str(),
             snapshot.last.index.value, loaded.error().message.c_str());
  // What was fetched for an earlier one is as good for this one.
  std::set<Index> fetched;
  if (arriving_) fetched.swap(arriving_->fetched);
  arriving_.emplace(std::move(snapshot));
  arriving_->ask_at = now;
  for (const Index entry : replica->machine().NeededAfter(applied_)) {
    if (fetched.erase(entry) > 0) {
      arriving_->fetched.insert(entry);
    } else {
      arriving_->lacks.push_back(entry);
    }
  }
  for (const Index entry : fetched) store_.DropFetched(entry, batch);
  arriving_->replica = std::move(replica);
  if (arriving_->lacks.empty()) return;
  LOCKSTEP_LOG(kInfo, "%s: the leader's snapshot of %lu needs %zu entries from beside it",
               options_.name.c_str(), arriving_->id.index.value, arriving_->lacks.size());
}

void Group::OnFetched(MonoTime now, std::vector<Fetched> fetched) {
  touched_ = true;
  for (Fetched& one : fetched) {
    if (!arriving_ || arriving_->lacks.empty() || arriving_->lacks.front() != one.entry) continue;
    arriving_->lacks.pop_front();
    arriving_->ask_at = now;
    if (one.data) arriving_->to_write.push_back(std::move(one));
  }
}

// No more is asked for before what has come is on disk: else a fast network would fill the memory.
void Group::FetchWhatIsLacking(MonoTime now, uint64_t write, WriteBatch* batch) {
  if (!arriving_) return;
  if (arriving_->id.index <= raft_->commit()) {  // The log has overtaken it.
    raft_->AcceptSnapshot(std::move(arriving_->snapshot));
    for (const Index entry : arriving_->fetched) store_.DropFetched(entry, batch);
    arriving_.reset();
    return;
  }
  for (Fetched& one : arriving_->to_write) {
    arriving_->fetched.insert(one.entry);
    store_.PutFetched(one.entry, std::move(*one.data), batch);
    arriving_->write = write;
  }
  arriving_->to_write.clear();
  if (arriving_->lacks.empty() || now < arriving_->ask_at || arriving_->write != 0) return;
  const size_t count = std::min(kFetchEntriesMax, arriving_->lacks.size());
  const auto end = arriving_->lacks.begin() + static_cast<std::ptrdiff_t>(count);
  const bool asked = listener_->OnFetch(*this, {arriving_->lacks.begin(), end});
  arriving_->ask_at = now + (asked ? kFetchAgainUs : kFetchTurnUs);
}

// Everything is here: now it takes the place of what we have.
void Group::AcceptIfWhole(MonoTime now, uint64_t write, WriteBatch* batch) {
  if (!arriving_ || !arriving_->lacks.empty()) return;
  raft_->AcceptSnapshot(std::move(arriving_->snapshot));
  RunRaft(now, write, batch);
}

// What only the state before it needed goes with that state.
void Group::TakeOver(std::unique_ptr<Replica> replica, WriteBatch* batch) {
  const StateMachine& next = replica->machine();
  std::vector<Index> gone;
  const auto drop = [&] {
    if (!gone.empty()) store_.DropAll(gone.front(), gone.back(), batch);
    gone.clear();
  };
  for (const Index entry : replica_->machine().NeededAfter(Index{0})) {
    if (entry > snapshot_index_) break;
    if (next.NeedsEntry(entry)) {
      drop();
    } else {
      gone.push_back(entry);
    }
  }
  drop();
  replica_ = std::move(replica);
}

}  // namespace lockstep
