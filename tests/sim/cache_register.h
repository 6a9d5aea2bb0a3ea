// One key of the cache as its checker sees it: a register that may forget, and what may be known of
// it from outside.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tests/sim/cache_history.h"

namespace lockstep::sim {

// The texts of a history as numbers from 1, for states are compared often.
//
// A text is named if a read saw it or a compare-and-set expects it. One that neither is named, nor
// can become so by appending, nor can become a number, is nameless: nothing tells it from another
// nameless text of its length. All those are one number. (Else a few lost appends were too many.)
class CacheTexts {
 public:
  static constexpr uint32_t kAbsent = 0;

  explicit CacheTexts(const std::vector<CacheOperation>& history);

  uint32_t Whole(const Bytes& text);  // As the value of a key,
  uint32_t Part(const Bytes& text);   // or as what is appended to one.
  uint32_t Joined(uint32_t start, uint32_t part);

  const Bytes& TextOf(uint32_t number) const { return entries_[number - 1].text; }
  Bytes Show(uint32_t number) const;

 private:
  struct Entry {
    Bytes text;  // Nameless: one of them.
    bool is_nameless = false;
    bool is_one_of_many = false;
  };
  uint32_t NumberOf(const Bytes& text);
  uint32_t Nameless(const Bytes& text);

  std::set<Bytes> named_;
  std::map<Bytes, uint32_t> numbers_;
  std::map<size_t, uint32_t> nameless_;  // By length.
  std::vector<Entry> entries_;
};

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct CacheLine {
  uint32_t value = CacheTexts::kAbsent;
  int64_t ends_from_us = kNever;  // No earlier than this can its time to live be over,
  int64_t ends_by_us = kNever;    // and after this it is.
  int64_t now_us = std::numeric_limits<int64_t>::min();  // No earlier than this is it.
  bool operator==(const CacheLine&) const = default;

  void Clear() {
    value = CacheTexts::kAbsent;
    ends_from_us = ends_by_us = kNever;
  }
  // Whether everything that can follow `other` can follow this as well.
  bool Covers(const CacheLine& other) const {
    return value == other.value && ends_from_us <= other.ends_from_us &&
           ends_by_us >= other.ends_by_us && now_us <= other.now_us;
  }
};

// An operation as the search takes it.
struct CacheStep {
  const CacheOperation* operation = nullptr;
  uint32_t value = CacheTexts::kAbsent;  // Read: what was seen. Others: what is written.
  uint32_t expected = CacheTexts::kAbsent;
  int64_t call_us = 0;
  // The time to live is one of these; kNever: without end.
  int64_t ttl_min_us = kNever;
  int64_t ttl_max_us = kNever;
};

// How a line answers. `until_us`: the step has to have taken effect by then.
class CacheRegister {
 public:
  CacheRegister(const std::vector<CacheOperation>& history, bool may_forget, int64_t ttl_slack_us);

  CacheStep StepOf(const CacheOperation& operation);

  // The line after `step`, if that can take effect now as its client was told.
  std::optional<CacheLine> Take(const CacheLine& line, const CacheStep& step, int64_t until_us);

  // The same, if the value can be forgotten first, or its time be over.
  std::optional<CacheLine> TakeForgotten(const CacheLine& line, const CacheStep& step,
                                         int64_t until_us);

  Bytes Show(const CacheLine& line) const;

 private:
  std::optional<CacheLine> TakeAt(const CacheLine& before, CacheLine next, const CacheStep& step,
                                  int64_t at_us, int64_t until_us);
  bool Apply(const CacheStep& step, int64_t at_us, int64_t until_us, CacheLine* line);
  bool Add(const CacheOperation& operation, CacheLine* line);
  bool Append(const CacheStep& step, CacheLine* line);
  void Put(const CacheStep& step, int64_t at_us, int64_t until_us, CacheLine* line) const;

  const bool may_forget_;
  const int64_t ttl_slack_us_;
  bool is_timed_ = false;  // Somebody sets a time to live; else the clock only keeps states apart.
  CacheTexts texts_;
};

}  // namespace lockstep::sim
