// A disk in memory: what was written is there, at once and for good.
#pragma once

#include <map>
#include <optional>

#include "src/storage.h"

namespace lockstep {

class MemoryDisk final : public StorageReader {
 public:
  Result<void> Scan(BytesView from, BytesView to, const Visit& visit) override {
    for (auto at = data_.lower_bound(Bytes(from)); at != data_.end() && at->first < to; ++at) {
      const Result<void> visited = visit(at->first, at->second);
      if (!visited) return visited;
    }
    return {};
  }
  std::optional<Bytes> Get(BytesView key) const {
    const auto found = data_.find(Bytes(key));
    return found == data_.end() ? std::nullopt : std::optional(found->second);
  }
  void Write(const WriteBatch& batch) {
    for (const WriteBatch::Op& op : batch.ops()) {
      switch (op.kind) {
        case WriteBatch::Kind::kPut:
          data_[op.key] = op.value;
          break;
        case WriteBatch::Kind::kDelete:
          data_.erase(op.key);
          break;
        case WriteBatch::Kind::kDeleteRange:
          data_.erase(data_.lower_bound(op.key), data_.lower_bound(op.value));
      }
    }
  }
  void Empty() { data_.clear(); }
  size_t bytes() const {
    size_t bytes = 0;
    for (const auto& [key, value] : data_) bytes += key.size() + value.size();
    return bytes;
  }

 private:
  std::map<Bytes, Bytes> data_;
};

}  // namespace lockstep
