// What a node says of its own cache, to whoever looks.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/mesi/stats.h"
#include "src/base/bytes.h"

namespace lockstep {

struct CacheFigures {
  mesi::Stats stats{};
  // Lines of shards whose home is elsewhere, by state; what is asked for or given up is `moving`.
  uint64_t modified = 0, exclusive = 0, shared = 0, moving = 0;
  // Lines of shards whose home this node is, by who has them: only the home; caches that may read;
  // a cache that owns it; on the way from one to the other.
  uint64_t home_alone = 0, home_shared = 0, home_owned = 0, home_busy = 0;
  uint64_t bytes = 0;
};

// A key that is much used on this node.
struct HotKey {
  Bytes key;
  uint64_t per_second = 0;  // Accesses, about.
  bool operator==(const HotKey&) const = default;
};

// One line as this node has it.
struct CachedLine {
  char state = 'I';       // M E S I.
  Bytes version{};        // "epoch.gen.seq". Empty: it has none.
  int64_t ttl_ms = -2;    // As PTTL says it.
  uint64_t bytes = 0;     // Of the value.
  int64_t lease_ms = 0;   // For how long it may be shown without a word from the home.
  std::vector<Bytes> events{};  // The latest of the protocol, newest last (cluster/mesi/events.h).
};

}  // namespace lockstep
