#include "commands/args.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/limits.h"

namespace lockstep {
namespace {

const char* const kNotAnInteger = "value is not an integer or out of range";

}  // namespace

bool Args::Options::Has(BytesView name) const {
  return std::any_of(all().begin(), all().end(), [name](const char* one) { return name == one; });
}

void Args::Options::Add(const char* name) {
  CHECK(count < names.size());
  names[count++] = name;
}

BytesView Args::Next() {
  if (failed()) return {};
  if (at_ >= argv_.size()) {
    SyntaxError();
    return {};
  }
  return argv_[at_++];
}

BytesView Args::Name(const char* what, size_t bytes_max) {
  const BytesView name = Next();
  if (failed()) return {};
  if (name.empty()) {
    Fail(Reply::Error("ERR", Format("%s is empty", what)));
    return {};
  }
  if (name.size() > bytes_max) {
    Fail(Reply::Error("ERR", Format("%s has %zu bytes, at most %zu are allowed", what, name.size(),
                                    bytes_max)));
    return {};
  }
  return name;
}

bool Args::Token(const char* token) {
  if (!More()) return false;
  if (!EqualsIgnoreCase(argv_[at_], token)) {
    if (!asked_.Has(token)) asked_.Add(token);
    return false;
  }
  if (taken_.Has(token)) {
    SyntaxError();
    return false;
  }
  taken_.Add(token);
  ++at_;
  return true;
}

int64_t Args::Integer(const char* what, int64_t low, int64_t high) {
  const BytesView text = Next();
  if (failed()) return 0;
  int64_t value = 0;
  if (!ParseInt64(text, &value)) {
    Fail(Reply::Error("ERR", kNotAnInteger));
    return 0;
  }
  if (value < low || value > high) {
    Fail(Reply::Error("ERR", Format("%s must be between %lld and %lld", what,
                                    static_cast<long long>(low), static_cast<long long>(high))));
    return 0;
  }
  return value;
}

// Redis's texts of getTimeoutFromObjectOrReply (timeout.c).
int64_t Args::BlockMs() {
  const BytesView text = Next();
  if (failed()) return 0;
  int64_t value = 0;
  if (!ParseInt64(text, &value)) {
    Fail(Reply::Error("ERR", "timeout is not an integer or out of range"));
  } else if (value < 0) {
    Fail(Reply::Error("ERR", "timeout is negative"));
  } else if (value > kBlockMsMax) {
    Fail(Reply::Error("ERR", "timeout is out of range"));
  }
  return failed() ? 0 : value;
}

void Args::SyntaxError() {
  if (failed()) return;
  if (at_ >= argv_.size()) {
    Fail(Reply::Error("ERR", "syntax error"));
    return;
  }
  const BytesView argument = argv_[at_];
  Bytes text = "syntax error near '" + Printable(argument) + "'";
  // The nearest option that was asked for, if it is near enough to be meant.
  const char* nearest = nullptr;
  size_t edits = std::min<size_t>(3, argument.size());  // Fewer than these, and than its letters.
  for (const char* token : asked_.all()) {
    const size_t distance = EditDistance(Upper(argument.substr(0, kNameBytesMax)), token);
    if (distance >= edits || distance >= BytesView(token).size()) continue;
    nearest = token;
    edits = distance;
  }
  if (nearest != nullptr) text += Format(" (did you mean %s?)", nearest);
  Fail(Reply::Error("ERR", text));
}

void Args::Fail(Reply error) {
  if (failed()) return;
  error_ = std::move(error);
}

}  // namespace lockstep
