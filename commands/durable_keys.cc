#include "commands/durable_keys.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/hash.h"
#include "src/base/limits.h"

namespace lockstep {
namespace {

uint64_t HashOf(BytesView key, const DurableKeys::Record& record) {
  uint64_t hash = HashMix(Hash64(key), Hash64(record.value));
  hash = HashMix(hash, static_cast<uint64_t>(record.deadline.ms));
  return HashMix(HashMix(hash, record.fence), record.present ? 1 : 2);
}

}  // namespace

void DurableKeys::Put(BytesView key, Record record) {
  Remove(key);
  hash_ ^= HashOf(key, record);
  if (record.deadline != kNeverCluster) deadlines_.emplace(record.deadline, Bytes(key));
  records_.emplace(Bytes(key), std::move(record));
}

void DurableKeys::Remove(BytesView key) {
  const auto found = records_.find(key);
  if (found == records_.end()) return;
  hash_ ^= HashOf(key, found->second);
  if (found->second.deadline != kNeverCluster) {
    deadlines_.erase({found->second.deadline, found->first});
  }
  records_.erase(found);
}

// The value goes; the fence stays for a while, if there is one.
void DurableKeys::Lose(ClusterTime now, BytesView key, uint64_t fence) {
  if (fence == 0) return Remove(key);
  Put(key, {.deadline = now + kFenceMemoryMs, .fence = fence});
}

void DurableKeys::Advance(ClusterTime now, Changes* changed) {
  for (size_t ended = 0; ended < kEndedMax; ++ended) {
    if (deadlines_.empty() || !IsOver(deadlines_.begin()->first, now)) return;
    const Bytes key = deadlines_.begin()->second;
    const Record* record = Find(key);
    Lose(now, key, record->present ? record->fence : 0);
    changed->push_back({key, false});
  }
}

bool DurableKeys::Apply(ClusterTime now, BytesView op, Changes* changed) {
  Reader in(op);
  std::vector<mesi::DurableWrite> writes;
  if (!mesi::DecodeDurableWrites(&in, &writes) || !in.done()) return false;
  for (mesi::DurableWrite& write : writes) {
    const Record* before = Find(write.key);
    const uint64_t fence = std::max(write.fence, before != nullptr ? before->fence : 0);
    // The time that it was to keep was over before this came into the log, and it with it.
    const bool over = write.keeps_ttl && (before == nullptr || !before->present);
    if (write.present && !over) {
      Record record{.present = true, .value = std::move(write.value), .fence = fence};
      if (write.keeps_ttl) {
        record.deadline = before->deadline;
      } else if (write.ttl_us != mesi::kNoTtl) {
        record.deadline = now + (write.ttl_us + kUsPerMs - 1) / kUsPerMs;
      }
      Put(write.key, std::move(record));
    } else {
      Lose(now, write.key, fence);
    }
    changed->push_back({std::move(write.key), true});
  }
  return true;
}

const DurableKeys::Record* DurableKeys::Find(BytesView key) const {
  const auto found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}

void DurableKeys::Save(Writer* out) const {
  out->Varint(records_.size());
  for (const auto& [key, record] : records_) {
    out->String(key);
    out->Bool(record.present);
    out->String(record.value);
    out->Put(record.deadline);
    out->Varint(record.fence);
  }
  out->U64(hash_);
}

bool DurableKeys::Load(Reader* in) {
  Clear();
  const size_t n = in->Count(5);
  for (size_t i = 0; i < n && in->ok(); ++i) {
    const BytesView key = in->String();
    Record record;
    record.present = in->Bool();
    record.value = Bytes(in->String());
    record.deadline = in->GetTime();
    record.fence = in->Varint();
    const bool is_fence =
        record.fence > 0 && record.deadline != kNeverCluster && record.value.empty();
    if (!record.present && !is_fence) in->Fail();
    if (key.size() > kNameBytesMax || records_.contains(key)) in->Fail();
    if (in->ok()) Put(key, std::move(record));
  }
  const bool same = in->U64() == hash_ && in->ok();
  if (!same) Clear();
  return same;
}

void DurableKeys::CheckInvariants() const {
  size_t with_deadline = 0;
  for (const auto& [key, record] : records_) {
    CHECK(record.present || (record.fence > 0 && record.deadline != kNeverCluster));
    CHECK(record.present || record.value.empty());
    if (record.deadline == kNeverCluster) continue;
    ++with_deadline;
    CHECK(deadlines_.contains({record.deadline, key}));
  }
  CHECK(with_deadline == deadlines_.size());
}

}  // namespace lockstep
