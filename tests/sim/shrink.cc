#include "tests/sim/shrink.h"

#include <algorithm>
#include <cctype>

namespace lockstep::sim {
namespace {

constexpr uint64_t kRolls = 3;

}  // namespace

Bytes KindOf(const Bytes& what) {
  const Bytes line = what.substr(0, what.find('\n'));
  Bytes kind;
  for (size_t i = 0; i < line.size();) {
    if (line[i] == '\'') {  // A name.
      const size_t end = line.find('\'', i + 1);
      i = end == Bytes::npos ? line.size() : end + 1;
      kind += '\'';
      continue;
    }
    if (line[i] == ' ') {
      kind += line[i++];
      continue;
    }
    const size_t end = std::min(line.find(' ', i), line.size());
    const Bytes word = line.substr(i, end - i);
    const bool counts = std::any_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isdigit(c) != 0;
    });
    kind += counts && word.find(".cc:") == Bytes::npos ? "#" : word;
    i = end;
  }
  return kind;
}

Plan Shrinker::Shrink(const Plan& whole, const Ending& first) {
  kind_ = KindOf(first.what);
  left_ = first.parts;
  roll_ = whole.roll;
  for (size_t at_a_time = (left_.size() + 1) / 2; at_a_time > 1; at_a_time = (at_a_time + 1) / 2) {
    LeaveOut(at_a_time);
    if (at_a_time == 2) break;
  }
  while (LeaveOut(1)) {
  }
  return PlanOf(left_, roll_);
}

bool Shrinker::LeaveOut(size_t at_a_time) {
  bool any = false;
  for (size_t at = 0; at < left_.size() && !enough_(runs_);) {
    const size_t end = std::min(at + at_a_time, left_.size());
    std::vector<Bytes> fewer(left_.begin(), left_.begin() + static_cast<std::ptrdiff_t>(at));
    fewer.insert(fewer.end(), left_.begin() + static_cast<std::ptrdiff_t>(end), left_.end());
    if (StillFails(fewer)) {
      any = true;
    } else {
      at = end;
    }
  }
  return any && !enough_(runs_);
}

bool Shrinker::StillFails(const std::vector<Bytes>& parts) {
  for (uint64_t i = 0; i < kRolls && !enough_(runs_); ++i) {
    const uint64_t roll = i == 0 ? roll_ : roll_ + i;
    ++runs_;
    const Ending ending = try_(PlanOf(parts, roll));
    const bool same = ending.failed && KindOf(ending.what) == kind_;
    progress_(runs_, same ? ending.parts.size() : left_.size());
    if (!same) continue;
    left_ = ending.parts;  // What would have come after the failure is not needed, either.
    roll_ = roll;
    return true;
  }
  return false;
}

}  // namespace lockstep::sim
