#include "src/log_store.h"

#include <algorithm>
#include <utility>

#include "src/base/crc32c.h"
#include "src/base/limits.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr uint64_t kLastNumber = ~uint64_t{0};

void AppendBigEndian(uint64_t v, int bytes, Bytes* out) {  // So that byte order is number order.
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(v >> (8 * i)));
}

Error Damaged(GroupId group, const char* what) {
  return Error{Format("the %s of group %lu on disk does not decode, so the folder is damaged; %s",
                      what, group.value, kWayOut)};
}

// What the engine builds on: along a log neither term nor stamp falls, configurations follow each
// other by their rule, and the node's own term is not behind. Null: so it is; else what is damaged.
const char* WhatIsOutOfOrder(const raft::Recovered& recovered) {
  Term term = recovered.snapshot.last.term;
  ClusterTime time = recovered.snapshot.time;
  raft::Config config = recovered.snapshot.config;
  if (time.ms < 0) return "snapshot";
  for (const raft::Entry& entry : recovered.entries) {
    if (entry.id.term < term || entry.time < time) return "log";
    term = entry.id.term;
    time = entry.time;
    if (entry.kind != raft::EntryKind::kConfig) continue;
    raft::Config next;
    if (!raft::DecodeConfig(entry.data, &next) || !next.MayFollow(config)) return "log";
    config = std::move(next);
  }
  return recovered.hard.term < term ? "hard state" : nullptr;
}

Result<void> ReadEntry(GroupId group, BytesView key, BytesView value,
                       std::vector<raft::Entry>* log) {
  uint64_t index = 0;
  for (const char c : key) index = index << 8 | static_cast<uint8_t>(c);
  raft::Entry entry;
  Reader in(value);
  if (!raft::DecodeEntry(&in, &entry) || !in.done()) return Damaged(group, "log");
  const bool follows = log->empty() || Next(log->back().id.index) == entry.id.index;
  if (entry.id.index.value != index || !follows) return Damaged(group, "log");
  log->push_back(std::move(entry));
  return {};
}

struct SnapshotHead {
  raft::Snapshot snapshot;
  bool second = false;
  uint64_t bytes = 0;
  uint32_t checksum = 0;
};

Result<SnapshotHead> ReadSnapshotHead(GroupId group, BytesView value) {
  SnapshotHead head;
  Reader in(value);
  head.snapshot.last.term = in.Get<Term>();
  head.snapshot.last.index = in.Get<Index>();
  head.snapshot.time = in.GetTime();
  const BytesView config = in.String();
  head.bytes = in.Varint();
  head.checksum = in.U32();
  head.second = in.Bool();
  if (!in.done() || !raft::DecodeConfig(config, &head.snapshot.config)) {
    return Damaged(group, "snapshot");
  }
  return head;
}

}  // namespace

Bytes LogStore::Key(char what) const {
  Bytes key = "g";
  AppendBigEndian(group_.value, 4, &key);
  key.push_back(what);
  return key;
}

Bytes LogStore::Key(char what, uint64_t number) const {
  Bytes key = Key(what);
  AppendBigEndian(number, 8, &key);
  return key;
}

Result<LogStore::Loaded> LogStore::Load(StorageReader& storage) {
  Loaded loaded;
  raft::Recovered& recovered = loaded.recovered;
  SnapshotHead head;
  Bytes first, second;
  const auto visit = [&](BytesView key, BytesView value) -> Result<void> {
    loaded.found = true;
    const char what = key.size() > 5 ? key[5] : '?';
    if (what == 'h') {
      Reader in(value);
      recovered.hard.term = in.Get<Term>();
      recovered.hard.vote = in.Get<NodeId>();
      recovered.hard.copy = in.Get<Index>();
      return in.done() ? Result<void>() : Damaged(group_, "hard state");
    }
    if (what == 'l') return ReadEntry(group_, key.substr(6), value, &recovered.entries);
    if (what == 's') {
      Result<SnapshotHead> read = ReadSnapshotHead(group_, value);
      if (!read) return read.error();
      head = std::move(*read);
      return {};
    }
    if (what != 'p' && what != 't') return Damaged(group_, "key space");
    (what == 'p' ? first : second) += value;
    return {};
  };
  // The snapshot first: it says where the log begins. What lies below it, and what was fetched, may
  // be more than memory holds.
  const auto scan = [&](const Bytes& from, const Bytes& to) {
    return storage.Scan(from, to, visit);
  };
  Result<void> scanned = scan(Key('\0'), Key('l'));
  if (scanned.ok()) scanned = scan(Key('m'), Key('u'));
  if (scanned.ok()) scanned = scan(Key('v'), Key('\x7f'));
  covered_ = head.snapshot.last.index;
  if (scanned.ok()) scanned = scan(Key('l', Next(covered_).value), Key('m'));
  if (!scanned) return scanned.error();
  Bytes& data = head.second ? second : first;
  coming_ = {};
  // Of one that was not finished, at least one.
  coming_.pieces = (head.second ? first : second).empty() ? 0 : 1;
  second_ = head.second;
  has_pieces_ = !data.empty();
  if (data.size() != head.bytes || (head.bytes > 0 && Crc32c(data) != head.checksum)) {
    return Damaged(group_, "snapshot");
  }

  recovered.snapshot = std::move(head.snapshot);
  recovered.snapshot.data = std::move(data);
  std::vector<raft::Entry>& log = recovered.entries;
  if (!log.empty() && log.front().id.index != Next(covered_)) return Damaged(group_, "log");
  if (const char* what = WhatIsOutOfOrder(recovered)) return Damaged(group_, what);
  if (Planted(Mutant::kStartDropsSynced) && !log.empty()) log.pop_back();
  last_ = log.empty() ? covered_ : log.back().id.index;
  return loaded;
}

void LogStore::PutHardState(const raft::HardState& hard, WriteBatch* batch) {
  Bytes value;
  Writer out(&value);
  out.Put(hard.term);
  out.Put(hard.vote);
  out.Put(hard.copy);
  batch->Put(Key('h'), std::move(value));
}

void LogStore::Clear(const raft::HardState& hard, WriteBatch* batch) {
  batch->DeleteRange(Key('\0'), Key('\x7f'));
  *this = LogStore(group_, piece_bytes_);
  PutHardState(hard, batch);
}

void LogStore::Append(const std::vector<raft::Entry>& entries, WriteBatch* batch) {
  if (entries.empty()) return;
  const Index first = entries.front().id.index;
  CHECK(first > covered_);
  // A truncation.
  if (first <= last_) batch->DeleteRange(Key('l', first.value), Key('l', Next(last_).value));
  for (const raft::Entry& entry : entries) {
    Bytes value;
    Writer out(&value);
    raft::EncodeEntry(entry, &out);
    batch->Put(Key('l', entry.id.index.value), std::move(value));
  }
  last_ = entries.back().id.index;
}

// [from, to], but for those that are needed.
void LogStore::DropUnneeded(Index from, Index to, const Needs& needs, WriteBatch* batch) {
  const auto drop = [&](Index first, Index end) {
    if (Next(first) == end) {
      batch->Delete(Key('l', first.value));
    } else if (first < end) {
      batch->DeleteRange(Key('l', first.value), Key('l', end.value));
    }
  };
  Index first = from;
  for (Index i = from; i <= to; i = Next(i)) {
    if (!needs(i)) continue;
    drop(first, i);
    first = Next(i);
  }
  drop(first, Next(to));
}

Bytes LogStore::PieceKey(bool second, uint64_t number) const {
  return Key(second ? 't' : 'p', number);
}

void LogStore::AddToSnapshot(BytesView data, WriteBatch* batch) {
  coming_.bytes += data.size();
  coming_.checksum = Crc32cAfter(coming_.checksum, data);
  while (!data.empty()) {
    const size_t fits = std::min(data.size(), piece_bytes_ - coming_.rest.size());
    coming_.rest += data.substr(0, fits);
    data.remove_prefix(fits);
    if (coming_.rest.size() == piece_bytes_) PutPiece(batch);
  }
}

void LogStore::PutPiece(WriteBatch* batch) {
  batch->Put(PieceKey(!second_, coming_.pieces++), std::exchange(coming_.rest, {}));
}

void LogStore::PutHead(const raft::Snapshot& snapshot, WriteBatch* batch) {
  if (!coming_.rest.empty()) PutPiece(batch);
  Bytes value;
  Writer out(&value);
  out.Put(snapshot.last.term);
  out.Put(snapshot.last.index);
  out.Put(snapshot.time);
  out.String(raft::EncodeConfig(snapshot.config));
  out.Varint(coming_.bytes);
  out.U32(coming_.checksum);
  out.Bool(!second_);
  batch->Put(Key('s'), std::move(value));
  if (has_pieces_) batch->DeleteRange(PieceKey(second_, 0), PieceKey(second_, kLastNumber));
  second_ = !second_;
  has_pieces_ = coming_.pieces > 0;
  coming_ = {};
  covered_ = snapshot.last.index;
  last_ = std::max(last_, covered_);
}

void LogStore::DropUnfinished(WriteBatch* batch) {
  if (coming_.pieces > 0) {
    batch->DeleteRange(PieceKey(!second_, 0), PieceKey(!second_, kLastNumber));
  }
  coming_ = {};
}

void LogStore::FinishSnapshot(const raft::Snapshot& snapshot, const Needs& needs,
                              WriteBatch* batch) {
  DropUnneeded(Next(covered_), std::min(snapshot.last.index, last_), needs, batch);
  PutHead(snapshot, batch);
}

void LogStore::PutForeignSnapshot(const raft::Snapshot& snapshot, Index kept, const Needs& needs,
                                  WriteBatch* batch) {
  kept = std::min(kept, last_);
  DropUnneeded(Next(covered_), kept, needs, batch);
  const Index behind = Next(std::max(kept, covered_));
  if (behind <= last_) batch->DeleteRange(Key('l', behind.value), Key('l', Next(last_).value));
  last_ = snapshot.last.index;
  DropUnfinished(batch);
  AddToSnapshot(snapshot.data, batch);
  PutHead(snapshot, batch);
}

void LogStore::Drop(Index entry, WriteBatch* batch) {
  CHECK(entry <= covered_);
  batch->Delete(Key('l', entry.value));
  batch->Delete(Key('u', entry.value));
}

void LogStore::DropAll(Index from, Index to, WriteBatch* batch) {
  CHECK(to <= covered_);
  batch->DeleteRange(Key('l', from.value), Key('l', Next(to).value));
  batch->DeleteRange(Key('u', from.value), Key('u', Next(to).value));
}

void LogStore::DropFetched(Index entry, WriteBatch* batch) { batch->Delete(Key('u', entry.value)); }

void LogStore::PutFetched(Index entry, Bytes data, WriteBatch* batch) {
  batch->Put(Key('u', entry.value), std::move(data));
}

void LogStore::DropFetched(WriteBatch* batch) {
  batch->DeleteRange(Key('u', Next(covered_).value), Key('u', kLastNumber));
}

std::optional<Bytes> LogStore::DataOf(Index entry, const Read& read) const {
  const std::optional<Bytes> value = read(Key('l', entry.value));
  if (!value) return read(Key('u', entry.value));
  raft::Entry logged;
  Reader in(*value);
  CHECK_SAYS(raft::DecodeEntry(&in, &logged) && in.done(),
             "entry %lu of group %lu on disk does not decode, so the folder is damaged; %s",
             entry.value, group_.value, kWayOut);
  return std::move(logged.data);
}

}  // namespace lockstep
