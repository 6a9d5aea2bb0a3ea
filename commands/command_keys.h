// Which arguments of a call are keys, by the rows' key specs alone: no command has code for it.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "commands/command.h"

namespace lockstep {

struct KeyAt {
  size_t position;      // In argv.
  const KeySpec* spec;  // How it is used.
};

// In order of the specs. Arity has been checked. None: the arguments contradict the specs (a number
// of keys that is no number, or more than follow).
std::optional<std::vector<KeyAt>> KeysOf(const CommandSpec& leaf, std::span<const BytesView> argv);

// Whether any spec names keys (and not only what is routed like one).
bool HasKeys(const CommandSpec& leaf);

// The first three numbers of COMMAND INFO, for clients that know no key specs: one range, or all 0.
struct KeyRange {
  int first = 0;
  int last = 0;
  int step = 0;
};
KeyRange LegacyKeyRange(const CommandSpec& leaf);

// "RW", "access" ...: a spec's flags as COMMAND INFO and GETKEYSANDFLAGS show them.
Reply KeyFlags(const KeySpec& spec);

}  // namespace lockstep
