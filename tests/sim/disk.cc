#include "tests/sim/disk.h"

#include "tests/sim/world.h"

namespace lockstep::sim {

void Disk::Write(uint64_t number, WriteBatch batch, Finished finished) {
  CHECK_SIM(writes_.empty() || writes_.back().number < number, "write %lu comes after write %lu",
            number, writes_.back().number);
  writes_.push_back({number, std::move(batch), std::move(finished)});
  if (!busy_) Begin();
}

// One sync at a time. What has gathered during the last one goes together, mostly.
void Disk::Begin() {
  busy_ = true;
  const size_t joined = world_->Chance(800'000) ? writes_.size() : 1;
  const int64_t typical_us = world_->swarm().sync_us;
  int64_t takes_us = world_->rng().Between(typical_us / 2, typical_us * 2);
  if (world_->Chance(20'000)) takes_us *= 20;
  const uint64_t life = life_;
  world_->events().After(takes_us + slow_us_, [this, life, joined] { Finish(life, joined); });
}

void Disk::Finish(uint64_t life, size_t writes) {
  if (life != life_) return;
  CHECK(writes <= writes_.size());
  uint64_t last = 0;
  Finished finished;
  for (size_t i = 0; i < writes; ++i) {
    Store(writes_.front().batch);
    last = writes_.front().number;
    finished = std::move(writes_.front().finished);
    writes_.pop_front();
  }
  busy_ = false;
  if (!writes_.empty()) Begin();
  finished(last);
}

void Disk::Store(const WriteBatch& batch) {
  for (const WriteBatch::Op& op : batch.ops()) {
    switch (op.kind) {
      case WriteBatch::Kind::kPut:
        stored_[op.key] = op.value;
        break;
      case WriteBatch::Kind::kDelete:
        stored_.erase(op.key);
        break;
      case WriteBatch::Kind::kDeleteRange:
        if (op.key >= op.value) break;
        stored_.erase(stored_.lower_bound(op.key), stored_.lower_bound(op.value));
        break;
    }
  }
}

void Disk::Crash() {
  const auto under_way = static_cast<int64_t>(writes_.size());
  const auto landed = static_cast<size_t>(world_->rng().Between(0, under_way));
  for (size_t i = 0; i < landed; ++i) Store(writes_[i].batch);
  world_->counters()[Count::kWritesLanded] += landed;
  world_->counters()[Count::kWritesLost] += writes_.size() - landed;
  writes_.clear();
  busy_ = false;
  ++life_;
}

void Disk::Empty() {
  CHECK(writes_.empty());
  stored_.clear();
}

Result<void> Disk::Scan(BytesView from, BytesView to, const Visit& visit) {
  for (auto at = stored_.lower_bound(from); at != stored_.end() && at->first < to; ++at) {
    Result<void> visited = visit(at->first, at->second);
    if (!visited) return visited;
  }
  return {};
}

}  // namespace lockstep::sim
