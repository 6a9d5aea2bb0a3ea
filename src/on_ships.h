// What of a command the dispatcher looks at before it has it run at the home of its key.
#pragma once

#include <span>
#include <vector>

#include "commands/command.h"

namespace lockstep {

inline bool Writes(const KeySpec& spec) { return spec.access != KeySpec::Access::kRO; }

inline std::vector<BytesView> ViewsOf(const std::vector<Bytes>& argv) {
  return {argv.begin(), argv.end()};
}

// The bytes of a command that writes its one key, and may be shipped for this client; 0: it may
// not. A client that tracks is told by the node that runs its command what it has changed itself.
size_t ShipBytes(const Client& client, const CommandSpec& leaf, std::span<const BytesView> argv);

}  // namespace lockstep
