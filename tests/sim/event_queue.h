// What happens when: the simulator's only clock, and the only reason why anything happens.
//
// Always true: events happen in the order of their times, and at one time in the order in which
// they were made. So a seed always gives the same run.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "src/base/check.h"

namespace lockstep::sim {

class EventQueue {
 public:
  using Event = std::function<void()>;

  int64_t now_us() const { return now_us_; }
  uint64_t happened() const { return happened_; }

  void After(int64_t delay_us, Event event) {
    CHECK(delay_us >= 0);
    heap_.push_back({now_us_ + delay_us, made_++, Keep(std::move(event))});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }

  // Lets everything happen up to and including `until_us`, or until `enough` says so.
  void RunUntil(int64_t until_us, const std::function<bool()>& enough = nullptr) {
    while (!heap_.empty() && heap_.front().at_us <= until_us) {
      std::pop_heap(heap_.begin(), heap_.end(), Later);
      const Item item = heap_.back();
      heap_.pop_back();
      now_us_ = item.at_us;
      ++happened_;
      const Event event = std::move(events_[item.place]);
      free_.push_back(item.place);
      event();
      if (enough && enough()) return;
    }
    now_us_ = until_us;
  }

 private:
  struct Item {
    int64_t at_us;
    uint64_t number;
    size_t place;
  };
  static bool Later(const Item& a, const Item& b) {
    return a.at_us != b.at_us ? a.at_us > b.at_us : a.number > b.number;
  }
  size_t Keep(Event event) {
    if (free_.empty()) {
      events_.push_back(std::move(event));
      return events_.size() - 1;
    }
    const size_t place = free_.back();
    free_.pop_back();
    events_[place] = std::move(event);
    return place;
  }

  std::vector<Item> heap_;      // Small, for the heap moves them about.
  std::vector<Event> events_;   // By place.
  std::vector<size_t> free_;
  int64_t now_us_ = 0;
  uint64_t made_ = 0;
  uint64_t happened_ = 0;
};

}  // namespace lockstep::sim
