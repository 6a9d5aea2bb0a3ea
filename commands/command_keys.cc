#include "commands/command_keys.h"

#include <algorithm>

namespace lockstep {
namespace {

// The positions [first, last] that one spec covers in a call of `argc` words; none if it does not
// fit.
struct Span {
  size_t first;
  size_t last;
};

std::optional<Span> SpanOf(const KeySpec& spec, std::span<const BytesView> argv) {
  const auto argc = static_cast<int64_t>(argv.size());
  int64_t first = spec.begin;
  int64_t last = spec.last >= 0 ? first + spec.last : argc + spec.last;
  if (spec.keynum) {
    int64_t count = 0;
    if (first >= argc || !ParseInt64(argv[static_cast<size_t>(first)], &count)) return std::nullopt;
    // Compared with what is there before anything is multiplied.
    if (count < 1 || count > argc) return std::nullopt;
    ++first;
    last = first + (count - 1) * spec.step;
  }
  if (first >= argc || last >= argc || last < first) return std::nullopt;
  return Span{static_cast<size_t>(first), static_cast<size_t>(last)};
}

}  // namespace

std::optional<std::vector<KeyAt>> KeysOf(const CommandSpec& leaf, std::span<const BytesView> argv) {
  std::vector<KeyAt> keys;
  for (const KeySpec& spec : leaf.keys) {
    if (spec.not_key) continue;
    const auto span = SpanOf(spec, argv);
    if (!span) return std::nullopt;
    for (size_t at = span->first; at <= span->last; at += static_cast<size_t>(spec.step)) {
      keys.push_back({at, &spec});
    }
  }
  return keys;
}

bool HasKeys(const CommandSpec& leaf) {
  return std::any_of(leaf.keys.begin(), leaf.keys.end(),
                     [](const KeySpec& spec) { return !spec.not_key; });
}

KeyRange LegacyKeyRange(const CommandSpec& leaf) {
  KeyRange range;
  for (const KeySpec& spec : leaf.keys) {
    if (spec.keynum) continue;
    const int last = spec.last >= 0 ? spec.begin + spec.last : spec.last;
    if (range.first == 0) {
      range = {spec.begin, last, spec.step};
    } else if (range.step == 1 && spec.begin == range.last + 1) {
      range.last = last;  // The one follows on the other's heels: RENAME.
    }
  }
  return range;
}

Reply KeyFlags(const KeySpec& spec) {
  static constexpr const char* kAccess[] = {"RO", "RW", "OW", "RM"};
  static constexpr const char* kIntent[] = {"", "access", "insert", "update", "delete"};
  Reply flags = Reply::Set();
  if (spec.not_key) return flags.Add(Reply::Simple("not_key"));
  flags.Add(Reply::Simple(kAccess[static_cast<size_t>(spec.access)]));
  if (spec.answers) flags.Add(Reply::Simple("access"));
  if (spec.intent != KeySpec::Intent::kNone) {
    flags.Add(Reply::Simple(kIntent[static_cast<size_t>(spec.intent)]));
  }
  return flags;
}

}  // namespace lockstep
