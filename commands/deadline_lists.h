// Deadlines of very many things, the earliest at hand, at four bytes each: what DeadlineHeap is for
// few.
//
// The things stand in lists of at most kListMax, as in the leaves of a B+-tree (Comer, "The
// Ubiquitous B-Tree", 1979): a list holds those from its own key up to the next list's. Only the
// first list is in order; of the others nobody asks yet. Keys are not kept here: `key_of(thing)`
// finds a thing's in its record, where it must not change while the thing is in here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/base/time.h"

namespace lockstep {

class DeadlineLists {
 public:
  // By deadline; those with the same one in the order of `seq`, which differs from thing to thing.
  using Key = std::pair<ClusterTime, uint64_t>;

  bool empty() const { return lists_.empty(); }
  size_t size() const { return size_; }
  uint32_t top() const { return lists_.begin()->second.back(); }

  // `thing` must not be in here yet.
  template <class KeyOf>
  void Add(uint32_t thing, const KeyOf& key_of) {
    const Key key = key_of(thing);
    if (lists_.empty()) lists_.emplace(kFirst, List());
    auto list = ListOf(key);
    const bool behind_all = last_key_ < key;
    if (behind_all) last_key_ = key;
    if (behind_all && list->second.size() == kListMax) {
      list = lists_.emplace(key, List()).first;  // What comes in order leaves full lists behind.
    } else if (list->second.size() == kListMax) {
      Split(list, key_of);
      list = ListOf(key);
    }
    List& things = list->second;
    const auto at = IsFirst(list) ? PlaceOf(&things, key, key_of) : things.end();
    things.insert(at, thing);
    ++size_;
  }

  // `thing` must be in here.
  template <class KeyOf>
  void Remove(uint32_t thing, const KeyOf& key_of) {
    const Key key = key_of(thing);
    CHECK(!lists_.empty());
    const auto list = ListOf(key);
    List& things = list->second;
    if (IsFirst(list)) {
      const auto at = PlaceOf(&things, key, key_of) - 1;
      CHECK(*at == thing);
      things.erase(at);
    } else {
      const auto at = std::find(things.begin(), things.end(), thing);
      CHECK(at != things.end());
      *at = things.back();
      things.pop_back();
    }
    --size_;
    if (!things.empty()) return;
    const bool was_first = IsFirst(list);
    lists_.erase(list);
    if (was_first) MakeFirst(key_of);
  }

 private:
  static constexpr size_t kListMax = 512;
  static constexpr Key kFirst{ClusterTime{INT64_MIN}, 0};
  using List = std::vector<uint32_t>;
  using Lists = std::map<Key, List>;  // By the lowest key that may be in them, the first by kFirst.

  bool IsFirst(Lists::iterator list) { return list == lists_.begin(); }

  Lists::iterator ListOf(const Key& key) { return std::prev(lists_.upper_bound(key)); }

  // In the first list, the earliest at the end: behind all whose key is `key` or later.
  template <class KeyOf>
  static List::iterator PlaceOf(List* things, const Key& key, const KeyOf& key_of) {
    return std::partition_point(things->begin(), things->end(),
                                [&](uint32_t other) { return !(key_of(other) < key); });
  }

  // Of the list that is the first now. What comes before all that is in it is its own too.
  template <class KeyOf>
  void MakeFirst(const KeyOf& key_of) {
    if (lists_.empty()) {
      last_key_ = kFirst;
      return;
    }
    auto list = lists_.extract(lists_.begin());
    list.key() = kFirst;
    std::sort(list.mapped().begin(), list.mapped().end(),
              [&](uint32_t a, uint32_t b) { return key_of(b) < key_of(a); });
    lists_.insert(std::move(list));
  }

  // The later half becomes a list of its own.
  template <class KeyOf>
  void Split(Lists::iterator list, const KeyOf& key_of) {
    List& things = list->second;
    const auto middle = things.begin() + kListMax / 2;
    if (!IsFirst(list)) {
      std::nth_element(things.begin(), middle - 1, things.end(),
                       [&](uint32_t a, uint32_t b) { return key_of(b) < key_of(a); });
    }
    List later(things.begin(), middle);
    things.erase(things.begin(), middle);
    const Key from = key_of(later.back());  // The earliest of them.
    lists_.emplace(from, std::move(later));
  }

  Lists lists_;            // None is empty.
  Key last_key_ = kFirst;  // No key in here is above it.
  size_t size_ = 0;
};

}  // namespace lockstep
