// What this program calls itself.
#pragma once

namespace lockstep {

constexpr const char* kLockstepVersion = "0.1.0";

// What clients that ask for a Redis version are told: the one whose replies ours are compared with.
// They switch features on by it (cache-manager wants 6.2 at least), so it is a promise.
constexpr const char* kRedisVersionCompatible = "7.0.15";

}  // namespace lockstep
