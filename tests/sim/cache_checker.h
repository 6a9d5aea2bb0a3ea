// One writer or several readers: of each key that clients are at, what all nodes may show of it
// now, each by its own clock.
#pragma once

namespace lockstep::sim {

class World;

// Throws Failure if a node may write what another may write or read, or two may read different
// values.
void CheckCopies(World* world);

}  // namespace lockstep::sim
