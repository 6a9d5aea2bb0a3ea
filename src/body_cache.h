// Data of log entries that were read back from the disk: a backlog is read in order, and an entry
// holds many messages. The latest used stay, up to a bound in bytes.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <utility>

#include "src/base/bytes.h"
#include "src/base/ids.h"

namespace lockstep {

class BodyCache {
 public:
  explicit BodyCache(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Null: it is not here.
  std::shared_ptr<const Bytes> Find(GroupId group, Index entry) {
    const auto found = index_.find({group, entry});
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->data;
  }

  std::shared_ptr<const Bytes> Add(GroupId group, Index entry, Bytes data) {
    entries_.push_front({{group, entry}, std::make_shared<const Bytes>(std::move(data))});
    index_[{group, entry}] = entries_.begin();
    const std::shared_ptr<const Bytes> added = entries_.front().data;
    bytes_ += added->size();
    while (bytes_ > bytes_max_ && entries_.size() > 1) {
      bytes_ -= entries_.back().data->size();
      index_.erase(entries_.back().key);
      entries_.pop_back();
    }
    return added;
  }

  void set_bytes_max(size_t bytes) { bytes_max_ = bytes; }
  size_t bytes() const { return bytes_; }

 private:
  using Key = std::pair<GroupId, Index>;
  struct Entry {
    Key key;
    std::shared_ptr<const Bytes> data;
  };
  size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // The latest used first.
  std::map<Key, std::list<Entry>::iterator> index_;
};

}  // namespace lockstep
