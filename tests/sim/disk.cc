#include "tests/sim/disk.h"

#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace lockstep::sim {

void Disk::Write(uint64_t number, WriteBatch batch, Finished finished) {
  CHECK_SIM(writes_.empty() || writes_.back().number < number, "write %lu comes after write %lu",
            number, writes_.back().number);
  writes_.push_back({number, std::move(batch), std::move(finished)});
  if (under_way_ == 0) Begin();
}

// One sync at a time. What has gathered during the last one goes together, mostly.
void Disk::Begin() {
  under_way_ = world_->Chance(800'000) ? writes_.size() : 1;
  const int64_t typical_us = world_->swarm().sync_us;
  int64_t takes_us = world_->rng().Between(typical_us / 2, typical_us * 2);
  if (world_->Chance(20'000)) takes_us *= 20;
  world_->events().After(takes_us + slow_us_, [this, life = life_] { Finish(life); });
  if (!on_next_write_ || (only_snapshot_ && !WritesSnapshot())) return;
  const int64_t at_us = world_->rng().Between(0, takes_us + slow_us_ + world_->swarm().turn_us);
  auto then = std::exchange(on_next_write_, nullptr);
  world_->events().After(at_us, [this, life = life_, then = std::move(then)] {
    if (life == life_) then();
  });
}

void Disk::OnNextWrite(bool of_snapshot, std::function<void()> then) {
  on_next_write_ = std::move(then);
  only_snapshot_ = of_snapshot;
}

bool Disk::WritesSnapshot() const {
  const auto is_of_one = [](const WriteBatch::Op& op) {
    const char what = op.key.size() > 5 && op.key[0] == 'g' ? op.key[5] : '?';
    return op.kind == WriteBatch::Kind::kPut && (what == 's' || what == 'p' || what == 't');
  };
  return std::any_of(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(under_way_),
                     [&](const Waiting& waiting) {
                       const auto& ops = waiting.batch.ops();
                       return std::any_of(ops.begin(), ops.end(), is_of_one);
                     });
}

void Disk::Finish(uint64_t life) {
  if (life != life_) return;
  if (full_ || sync_fails_) return Fail();
  CHECK(under_way_ > 0 && under_way_ <= writes_.size());
  const uint64_t last = writes_[under_way_ - 1].number;
  const Finished finished = std::move(writes_[under_way_ - 1].finished);
  StoreFirst(under_way_);
  writes_.erase(writes_.begin(), writes_.begin() + static_cast<std::ptrdiff_t>(under_way_));
  under_way_ = 0;
  if (!writes_.empty()) Begin();
  finished(last);
}

// A full disk takes nothing. After a failed sync nobody knows.
void Disk::Fail() {
  const char* why = full_ ? "no space left on device" : "input/output error";
  ++world_->counters()[full_ ? Count::kWritesWithoutRoom : Count::kSyncErrors];
  if (!full_ && world_->Chance(500'000)) StoreFirst(under_way_);
  sync_fails_ = false;
  Forget();
  failed_(why);
}

void Disk::Mend() {
  slow_us_ = 0;
  sync_fails_ = false;
  full_ = false;
  on_next_write_ = nullptr;
}

void Disk::StoreFirst(size_t writes) {
  for (size_t i = 0; i < writes; ++i) Store(writes_[i].batch);
}

void Disk::Forget() {
  writes_.clear();
  under_way_ = 0;
  ++life_;
  on_next_write_ = nullptr;
}

void Disk::Store(const WriteBatch& batch) {
  for (const WriteBatch::Op& op : batch.ops()) {
    switch (op.kind) {
      case WriteBatch::Kind::kPut:
        log_.Put(op.key, op.value);
        stored_[op.key] = op.value;
        break;
      case WriteBatch::Kind::kDelete:
        log_.Delete(op.key);
        stored_.erase(op.key);
        break;
      case WriteBatch::Kind::kDeleteRange:
        if (op.key >= op.value) break;
        log_.DeleteRange(op.key, op.value);
        stored_.erase(stored_.lower_bound(op.key), stored_.lower_bound(op.value));
        break;
    }
  }
}

void Disk::Crash() {
  Counters& counters = world_->counters();
  counters[Count::kWritesLost] += writes_.size() - under_way_;
  if (under_way_ > 0 && world_->Chance(500'000)) {
    StoreFirst(under_way_);
    counters[Count::kWritesLanded] += under_way_;
  } else {
    counters[Count::kWritesTorn] += under_way_;
  }
  Forget();
}

void Disk::Empty() {
  CHECK(writes_.empty());
  stored_.clear();
  log_.Clear();
}

std::optional<Bytes> Disk::Get(BytesView key) {
  const auto found = stored_.find(key);
  if (found == stored_.end()) return std::nullopt;
  ++world_->counters()[Count::kBodiesRead];
  return found->second;
}

Result<void> Disk::Scan(BytesView from, BytesView to, const Visit& visit) {
  for (auto at = stored_.lower_bound(from); at != stored_.end() && at->first < to; ++at) {
    Result<void> visited = visit(at->first, at->second);
    if (!visited) return visited;
  }
  return {};
}

}  // namespace lockstep::sim
