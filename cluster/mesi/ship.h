// Commands that a cache has run at their key's home, since the line is contended (contended.h).
//
// A command is run at most once, as if it were one of the home's own clients': when the home may
// write the line, and no cache can read it. Those of one key, from one cache, are run in the order
// in which they were sent. One that is refused takes all with it that its session has sent before
// it hears of that, but for those that were run already: so nothing overtakes it.
#pragma once

#include <cstddef>

#include "src/base/bytes.h"

namespace lockstep::mesi {

// Of a session's commands that are not answered: their words, and how many they are. What would be
// above it is run the ordinary way.
constexpr size_t kShipBytesMax = size_t{1} << 20;
constexpr size_t kShipsMax = 4096;

// What became of a command.
struct Shipped {
  enum class Outcome : uint8_t {
    kRun,      // And `words` is its answer.
    kRefused,  // It was not run, and will not be.
    kLost,     // The session is over, and nobody can say.
  };
  Outcome outcome = Outcome::kLost;
  BytesView key{};
  BytesView words{};
  bool contended = false;  // kRun: its key still is.
};

}  // namespace lockstep::mesi
