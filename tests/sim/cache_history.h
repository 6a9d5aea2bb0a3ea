// What clients asked of one key of the cache and what they were told: the input of the checker in
// cache_model.h.
//
// Times are microseconds of the world's clock. A command on several keys is one operation on each.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep::sim {

struct CacheOperation {
  enum class Kind : uint8_t {
    kRead,
    kWrite,          // What was there, and its time to live, is gone.
    kDelete,         // Answers 1 if there was something, 0 if not.
    kSetIfAbsent,    // Answers 1 if it was applied, 0 if there was something.
    kAdd,            // INCR: answers the sum. Absent counts as 0. The time to live stays.
    kCompareAndSet,  // Answers 1 if it was applied, 0 if there was another value or none.
    kAppend,         // Answers the length. Absent counts as empty. The time to live stays.
    kTake,           // GETDEL: answers what there was, and deletes it.
  };
  enum class Told : uint8_t {
    kUnknown,   // Nothing, or UNCERTAIN: it takes effect at any time after `call_us`, or never.
    kAnswered,  // It took effect between `call_us` and `return_us`.
    kRefused,   // An error that promises that nothing happened: it never takes effect.
  };
  static constexpr int64_t kNoReturn = std::numeric_limits<int64_t>::max();

  Kind kind = Kind::kRead;
  int64_t call_us = 0;
  int64_t return_us = kNoReturn;  // Answered only.
  Bytes who;           // For explanations only: the client, and the node that it asked.
  Bytes value;         // Write, set if absent, compare and set: the new one. Append: the addition.
  Bytes expected;      // Compare and set: the old one.
  int64_t by = 0;      // Add.
  int64_t ttl_us = 0;  // Write, set if absent, compare and set: the time to live; 0: without end.

  Told told = Told::kUnknown;
  std::optional<Bytes> seen;  // Read and take, answered: the value, nothing for nil.
  // The others, answered: see Kind. Nothing: it took effect, and the client was not told how (DEL
  // of many keys answers one number for all).
  std::optional<int64_t> number;
};

// "[12.300 14.100] c1@n2 write "v7" ttl 500.000 -> OK", times in ms.
Bytes Describe(const CacheOperation& operation);

}  // namespace lockstep::sim
