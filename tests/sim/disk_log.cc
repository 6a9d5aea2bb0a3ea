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

Bytes RunKey(GroupId group, Index first) {
  Bytes key = "g";
  for (int shift = 24; shift >= 0; shift -= 8) key += static_cast<char>(group.value >> shift);
  key += 'l';
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(first.value >> shift);
  return key;
}

Index FirstOf(BytesView key) { return Index{NumberIn(key.substr(kPrefixBytes))}; }

std::vector<Term> TermsIn(BytesView value) {
  std::vector<Term> terms;
  Reader in(value);
  for (size_t n = in.Count(); n > 0; --n) {  // As raft::EncodeEntry writes it.
    terms.push_back(in.Get<Term>());
    in.Get<Index>();
    in.GetTime();
    in.U8();
    in.String();
  }
  CHECK_SIM(in.done(), "a run of entries on a disk does not decode");
  return terms;
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
      break;
    case 's':
      in.Get<Term>();
      snapshots_[group] = in.Get<Index>();
      break;
    case 'l':
      runs_[Bytes(key)] = TermsIn(value);
      break;
    default: break;
  }
}

void DiskLog::DeleteRange(const Bytes& from, const Bytes& to) {
  if (from < to) runs_.erase(runs_.lower_bound(from), runs_.lower_bound(to));
}

void DiskLog::Clear() {
  runs_.clear();
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

// The latest run that begins at or before it overrides those before.
std::optional<Term> DiskLog::TermAt(GroupId group, Index index) const {
  const Bytes key = RunKey(group, index);
  const auto behind = runs_.upper_bound(key);
  if (behind == runs_.begin()) return std::nullopt;
  const auto& [at, terms] = *std::prev(behind);
  if (at.compare(0, kPrefixBytes, key, 0, kPrefixBytes) != 0) return std::nullopt;
  const uint64_t place = index.value - FirstOf(at).value;
  if (place >= terms.size()) return std::nullopt;
  return terms[place];
}

bool DiskLog::Has(GroupId group, raft::LogId id) const {
  return id.index <= snapshot(group) || TermAt(group, id.index) == id.term;
}

Index DiskLog::last(GroupId group) const {
  const Bytes key = RunKey(group, Index{~uint64_t{0}});
  const auto behind = runs_.upper_bound(key);
  Index last = snapshot(group);
  if (behind == runs_.begin()) return last;
  const auto& [at, terms] = *std::prev(behind);
  if (at.compare(0, kPrefixBytes, key, 0, kPrefixBytes) != 0) return last;
  return std::max(last, Index{FirstOf(at).value + terms.size() - 1});
}

}  // namespace lockstep::sim
