#include "tests/sim/cache_register.h"

#include <algorithm>

namespace lockstep::sim {
namespace {

using Kind = CacheOperation::Kind;
constexpr uint32_t kAbsent = CacheTexts::kAbsent;

int64_t Later(int64_t at_us, int64_t by_us) {
  return at_us > kNever - by_us ? kNever : at_us + by_us;
}

bool MayBePartOfNumber(const Bytes& text) {
  return text.find_first_not_of("-0123456789") == Bytes::npos;
}

bool Fits(const CacheOperation& operation, int64_t number) {
  return !operation.number || *operation.number == number;
}

}  // namespace

CacheTexts::CacheTexts(const std::vector<CacheOperation>& history) {
  for (const CacheOperation& operation : history) {
    if (operation.seen) named_.insert(*operation.seen);
    if (operation.kind == Kind::kCompareAndSet) named_.insert(operation.expected);
  }
}

uint32_t CacheTexts::Whole(const Bytes& text) {
  const auto next = named_.lower_bound(text);
  const bool starts_named = next != named_.end() && next->starts_with(text);
  return starts_named || MayBePartOfNumber(text) ? NumberOf(text) : Nameless(text);
}

uint32_t CacheTexts::Part(const Bytes& text) {
  const bool is_in_named = std::any_of(named_.begin(), named_.end(), [&](const Bytes& named) {
    return named.find(text) != Bytes::npos;
  });
  return is_in_named || MayBePartOfNumber(text) ? NumberOf(text) : Nameless(text);
}

uint32_t CacheTexts::Joined(uint32_t start, uint32_t part) {
  const Bytes text = (start == kAbsent ? Bytes() : TextOf(start)) + TextOf(part);
  const bool is_nameless =
      (start != kAbsent && entries_[start - 1].is_nameless) || entries_[part - 1].is_nameless;
  return is_nameless ? Nameless(text) : Whole(text);
}

uint32_t CacheTexts::NumberOf(const Bytes& text) {
  const auto next = static_cast<uint32_t>(entries_.size() + 1);
  const auto [found, is_new] = numbers_.try_emplace(text, next);
  if (is_new) entries_.push_back({text, false, false});
  return found->second;
}

uint32_t CacheTexts::Nameless(const Bytes& text) {
  const auto next = static_cast<uint32_t>(entries_.size() + 1);
  const auto [found, is_new] = nameless_.try_emplace(text.size(), next);
  if (is_new) entries_.push_back({text, true, false});
  Entry& entry = entries_[found->second - 1];
  entry.is_one_of_many = entry.is_one_of_many || entry.text != text;
  return found->second;
}

Bytes CacheTexts::Show(uint32_t number) const {
  const Entry& entry = entries_[number - 1];
  const Bytes text = "\"" + Printable(entry.text) + "\"";
  return entry.is_one_of_many ? text + " or another that nobody saw" : text;
}

CacheRegister::CacheRegister(const std::vector<CacheOperation>& history, bool may_forget,
                             int64_t ttl_slack_us)
    : may_forget_(may_forget), ttl_slack_us_(ttl_slack_us), texts_(history) {
  for (const CacheOperation& operation : history) is_timed_ = is_timed_ || operation.ttl_us != 0;
}

CacheStep CacheRegister::StepOf(const CacheOperation& operation) {
  CacheStep step;
  step.operation = &operation;
  step.call_us = operation.call_us;
  if (operation.ttl_us != 0) step.ttl_min_us = step.ttl_max_us = operation.ttl_us;
  switch (operation.kind) {
    case Kind::kRead:
    case Kind::kTake:
      if (operation.seen) step.value = texts_.Whole(*operation.seen);
      break;
    case Kind::kCompareAndSet: step.expected = texts_.Whole(operation.expected); [[fallthrough]];
    case Kind::kWrite:
    case Kind::kSetIfAbsent: step.value = texts_.Whole(operation.value); break;
    case Kind::kAppend: step.value = texts_.Part(operation.value); break;
    case Kind::kDelete:
    case Kind::kAdd: break;
  }
  return step;
}

std::optional<CacheLine> CacheRegister::Take(const CacheLine& line, const CacheStep& step,
                                             int64_t until_us) {
  const int64_t at_us = std::max(line.now_us, step.call_us);
  CacheLine next = line;
  if (at_us > line.ends_by_us) next.Clear();
  return TakeAt(line, next, step, at_us, until_us);
}

std::optional<CacheLine> CacheRegister::TakeForgotten(const CacheLine& line, const CacheStep& step,
                                                      int64_t until_us) {
  int64_t at_us = std::max(line.now_us, step.call_us);
  if (line.value == kAbsent || at_us > line.ends_by_us) return {};
  if (!may_forget_) {
    if (line.ends_from_us == kNever || line.ends_from_us > until_us) return {};
    at_us = std::max(at_us, line.ends_from_us);
  }
  CacheLine next = line;
  next.Clear();
  return TakeAt(line, next, step, at_us, until_us);
}

std::optional<CacheLine> CacheRegister::TakeAt(const CacheLine& before, CacheLine next,
                                               const CacheStep& step, int64_t at_us,
                                               int64_t until_us) {
  if (!Apply(step, at_us, until_us, &next)) return {};
  // Who only looks does not move the clock: so it makes no difference when he looks.
  if (is_timed_ && next != before) next.now_us = at_us;
  return next;
}

bool CacheRegister::Apply(const CacheStep& step, int64_t at_us, int64_t until_us,
                          CacheLine* line) {
  const CacheOperation& operation = *step.operation;
  const bool was_there = line->value != kAbsent;
  switch (operation.kind) {
    case Kind::kRead: return line->value == step.value;
    case Kind::kTake: {
      const bool fits = operation.told != CacheOperation::Told::kAnswered ||
                        line->value == step.value;
      line->Clear();
      return fits;
    }
    case Kind::kWrite: Put(step, at_us, until_us, line); return true;
    case Kind::kDelete: line->Clear(); return Fits(operation, was_there);
    case Kind::kSetIfAbsent:
      if (!was_there) Put(step, at_us, until_us, line);
      return Fits(operation, !was_there);
    case Kind::kCompareAndSet: {
      const bool is_equal = line->value == step.expected;
      if (is_equal) Put(step, at_us, until_us, line);
      return Fits(operation, is_equal);
    }
    case Kind::kAdd: return Add(operation, line);
    case Kind::kAppend: return Append(step, line);
  }
  return false;
}

bool CacheRegister::Add(const CacheOperation& operation, CacheLine* line) {
  int64_t number = 0;
  if (line->value != kAbsent && !ParseInt64(texts_.TextOf(line->value), &number)) return false;
  if (__builtin_add_overflow(number, operation.by, &number)) return false;
  line->value = texts_.Whole(std::to_string(number));
  return Fits(operation, number);
}

bool CacheRegister::Append(const CacheStep& step, CacheLine* line) {
  const size_t was = line->value == kAbsent ? 0 : texts_.TextOf(line->value).size();
  const size_t length = was + step.operation->value.size();
  if (!Fits(*step.operation, static_cast<int64_t>(length))) return false;
  line->value = texts_.Joined(line->value, step.value);
  return true;
}

void CacheRegister::Put(const CacheStep& step, int64_t at_us, int64_t until_us,
                        CacheLine* line) const {
  line->value = step.value;
  line->ends_from_us = line->ends_by_us = kNever;
  if (step.ttl_min_us != kNever) line->ends_from_us = at_us + step.ttl_min_us - ttl_slack_us_;
  if (step.ttl_max_us != kNever) {
    line->ends_by_us = Later(until_us, step.ttl_max_us + ttl_slack_us_);
  }
}

Bytes CacheRegister::Show(const CacheLine& line) const {
  if (line.value == kAbsent) return "nothing";
  if (line.ends_from_us == kNever) return texts_.Show(line.value);
  return texts_.Show(line.value) +
         Format(" which ends from %.3f to %.3f", static_cast<double>(line.ends_from_us) / 1000,
                static_cast<double>(line.ends_by_us) / 1000);
}

}  // namespace lockstep::sim
