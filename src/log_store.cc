#include "src/log_store.h"

#include "src/base/crc32c.h"
#include "src/base/limits.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr uint64_t kLastNumber = ~uint64_t{0};
constexpr size_t kPieceBytes = 1024 * 1024;

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

Result<void> ReadRun(GroupId group, BytesView value, std::vector<raft::Entry>* log) {
  Reader in(value);
  const size_t n = in.Count();
  bool first = true;
  for (size_t i = 0; i < n; ++i) {
    raft::Entry entry;
    if (!raft::DecodeEntry(&in, &entry)) return Damaged(group, "log");
    // Rule 1: this run overrides what an earlier one has from here on.
    while (first && !log->empty() && log->back().id.index >= entry.id.index) log->pop_back();
    first = false;
    if (!log->empty() && Next(log->back().id.index) != entry.id.index) return Damaged(group, "log");
    log->push_back(std::move(entry));
  }
  if (!in.done()) return Damaged(group, "log");
  return {};
}

struct SnapshotHead {
  raft::Snapshot snapshot;
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
  Bytes data;
  const auto visit = [&](BytesView key, BytesView value) -> Result<void> {
    loaded.found = true;
    const char what = key.size() > 5 ? key[5] : '?';
    if (what == 'h') {
      Reader in(value);
      recovered.hard.term = in.Get<Term>();
      recovered.hard.vote = in.Get<NodeId>();
      return in.done() ? Result<void>() : Damaged(group_, "hard state");
    }
    if (what == 'l') {
      Index first;
      for (const char c : key.substr(6)) first.value = first.value << 8 | static_cast<uint8_t>(c);
      runs_.push_back(first);
      return ReadRun(group_, value, &recovered.entries);
    }
    if (what == 's') {
      Result<SnapshotHead> read = ReadSnapshotHead(group_, value);
      if (!read) return read.error();
      head = std::move(*read);
      return {};
    }
    if (what != 't') return Damaged(group_, "key space");
    data += value;
    ++pieces_;
    return {};
  };
  const Result<void> scanned = storage.Scan(Key('\0'), Key('\x7f'), visit);
  if (!scanned) return scanned.error();
  if (data.size() != head.bytes || (head.bytes > 0 && Crc32c(data) != head.checksum)) {
    return Damaged(group_, "snapshot");
  }

  recovered.snapshot = std::move(head.snapshot);
  recovered.snapshot.data = std::move(data);
  std::vector<raft::Entry>& log = recovered.entries;
  const auto covered = std::find_if(log.begin(), log.end(), [&](const raft::Entry& entry) {
    return entry.id.index > recovered.snapshot.last.index;
  });
  log.erase(log.begin(), covered);
  if (!log.empty() && log.front().id.index != Next(recovered.snapshot.last.index)) {
    return Damaged(group_, "log");
  }
  if (const char* what = WhatIsOutOfOrder(recovered)) return Damaged(group_, what);
  if (Planted(Mutant::kStartDropsSynced) && !log.empty()) log.pop_back();
  last_ = log.empty() ? recovered.snapshot.last.index : log.back().id.index;
  return loaded;
}

void LogStore::PutHardState(const raft::HardState& hard, WriteBatch* batch) {
  Bytes value;
  Writer out(&value);
  out.Put(hard.term);
  out.Put(hard.vote);
  batch->Put(Key('h'), std::move(value));
}

void LogStore::Append(const std::vector<raft::Entry>& entries, WriteBatch* batch) {
  if (entries.empty()) return;
  const Index first = entries.front().id.index;
  if (first <= last_) {  // A truncation.
    batch->DeleteRange(Key('l', first.value), Key('l', kLastNumber));
    while (!runs_.empty() && runs_.back() >= first) runs_.pop_back();
  }
  Bytes value;
  Writer out(&value);
  out.Varint(entries.size());
  for (const raft::Entry& entry : entries) raft::EncodeEntry(entry, &out);
  batch->Put(Key('l', first.value), std::move(value));
  runs_.push_back(first);
  last_ = entries.back().id.index;
}

void LogStore::DropRunsCovered(Index to, WriteBatch* batch) {
  // A run may go when the next one begins at or before to + 1: then all of it is covered.
  size_t covered = 0;
  while (covered + 1 < runs_.size() && runs_[covered + 1] <= Next(to)) ++covered;
  if (last_ <= to) covered = runs_.size();
  if (covered == 0) return;
  const uint64_t end = covered < runs_.size() ? runs_[covered].value : kLastNumber;
  batch->DeleteRange(Key('l', 0), Key('l', end));
  runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(covered));
}

void LogStore::PutSnapshot(const raft::Snapshot& snapshot, bool keep_log, WriteBatch* batch) {
  Bytes value;
  Writer out(&value);
  out.Put(snapshot.last.term);
  out.Put(snapshot.last.index);
  out.Put(snapshot.time);
  out.String(raft::EncodeConfig(snapshot.config));
  out.Varint(snapshot.data.size());
  out.U32(Crc32c(snapshot.data));
  batch->Put(Key('s'), std::move(value));

  uint64_t pieces = 0;
  for (size_t at = 0; at < snapshot.data.size(); at += kPieceBytes) {
    batch->Put(Key('t', pieces++), snapshot.data.substr(at, kPieceBytes));
  }
  if (pieces < pieces_) batch->DeleteRange(Key('t', pieces), Key('t', kLastNumber));
  pieces_ = pieces;

  if (!keep_log) last_ = std::min(last_, snapshot.last.index);
  if (!keep_log && !runs_.empty()) {
    batch->DeleteRange(Key('l', 0), Key('l', kLastNumber));
    runs_.clear();
  }
  if (keep_log) DropRunsCovered(snapshot.last.index, batch);
  last_ = std::max(last_, snapshot.last.index);
}

}  // namespace lockstep
