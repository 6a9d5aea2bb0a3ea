#include "tests/sim/disk_log.h"

#include <iterator>

#include "src/base/codec.h"
#include "tests/sim/failure.h"

namespace lockstep::sim {
namespace {

constexpr size_t kPrefixBytes = 6;  // 'g', the group in four bytes, what it is.

uint64_t NumberIn(BytesView bytes) {
  uint64_t number = 0;
  for (const char c : bytes) number = number << 8 | static_cast<uint8_t>(c);
  return number;
}

Bytes Key(GroupId group, char what) {
  Bytes key = "g";
  for (int shift = 24; shift >= 0; shift -= 8) key += static_cast<char>(group.value >> shift);
  key += what;
  return key;
}

Bytes Key(GroupId group, char what, Index index) {
  Bytes key = Key(group, what);
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(index.value >> shift);
  return key;
}

Index IndexOf(BytesView key) { return Index{NumberIn(key.substr(kPrefixBytes))}; }

Term TermIn(BytesView value) {  // As raft::EncodeEntry writes it.
  Reader in(value);
  const auto term = in.Get<Term>();
  in.Get<Index>();
  in.GetTime();
  in.U8();
  in.String();
  CHECK_SIM(in.done(), "an entry on a disk does not decode");
  return term;
}

}  // namespace

void DiskLog::Put(BytesView key, BytesView value) {
  if (key.size() < kPrefixBytes || key[0] != 'g') return;
  const GroupId group{NumberIn(key.substr(1, 4))};
  Reader in(value);
  switch (key[5]) {
    case 'h':
      hard_[group].term = in.Get<Term>();
      hard_[group].vote = in.Get<NodeId>();
      hard_[group].copy = in.Get<Index>();
      break;
    case 's':
      in.Get<Term>();
      snapshots_[group] = in.Get<Index>();
      break;
    case 'l':
      terms_[Bytes(key)] = TermIn(value);
      break;
    case 'u':
      fetched_.insert(Bytes(key));
      break;
    default: break;
  }
}

void DiskLog::Delete(const Bytes& key) {
  terms_.erase(key);
  fetched_.erase(key);
}

void DiskLog::DeleteRange(const Bytes& from, const Bytes& to) {
  if (from >= to) return;
  terms_.erase(terms_.lower_bound(from), terms_.lower_bound(to));
  fetched_.erase(fetched_.lower_bound(from), fetched_.lower_bound(to));
  std::erase_if(snapshots_, [&](const auto& snapshot) {
    const Bytes key = Key(snapshot.first, 's');
    return from <= key && key < to;
  });
}

bool DiskLog::HasData(GroupId group, Index index) const {
  return terms_.contains(Key(group, 'l', index)) || fetched_.contains(Key(group, 'u', index));
}

void DiskLog::Clear() {
  terms_.clear();
  fetched_.clear();
  hard_.clear();
  snapshots_.clear();
}

raft::HardState DiskLog::hard(GroupId group) const {
  const auto hard = hard_.find(group);
  return hard == hard_.end() ? raft::HardState{} : hard->second;
}

Index DiskLog::snapshot(GroupId group) const {
  const auto snapshot = snapshots_.find(group);
  return snapshot == snapshots_.end() ? Index{} : snapshot->second;
}

std::optional<Term> DiskLog::TermAt(GroupId group, Index index) const {
  const auto found = terms_.find(Key(group, 'l', index));
  return found == terms_.end() ? std::nullopt : std::optional(found->second);
}

bool DiskLog::Has(GroupId group, raft::LogId id) const {
  return id.index <= snapshot(group) || TermAt(group, id.index) == id.term;
}

Index DiskLog::last(GroupId group) const {
  const Bytes key = Key(group, 'l', Index{~uint64_t{0}});
  const auto behind = terms_.upper_bound(key);
  Index last = snapshot(group);
  if (behind == terms_.begin()) return last;
  const Bytes& at = std::prev(behind)->first;
  if (at.compare(0, kPrefixBytes, key, 0, kPrefixBytes) != 0) return last;
  return std::max(last, IndexOf(at));
}

}  // namespace lockstep::sim
