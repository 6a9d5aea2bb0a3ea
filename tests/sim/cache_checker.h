// One writer or several readers: of each key that clients are at, what all nodes may show of it
// now, each by its own clock.
#pragma once

#include "src/base/bytes.h"

namespace lockstep::sim {

class World;

// Throws Failure if a node may write what another may write or read, or two may read different
// values.
void CheckCopies(World* world);

// How each node has the key. One line a node.
Bytes DescribeCopies(World* world, const Bytes& key);

}  // namespace lockstep::sim
