// What tests of one home by itself begin with: the first that its shard has ever had, so it waits
// for nobody's word but its own.
#pragma once

#include "cluster/mesi/home.h"

namespace lockstep::mesi {

inline Home::Options FirstHome(NodeId self, MonoTime began) {
  return {.self = self,
          .shard = ShardGroup(0),
          .epoch = Term{1},
          .before = {},
          .home_before = {},
          .began = began,
          .not_before = {},
          .awaited = {self},
          .times = {}};
}

}  // namespace lockstep::mesi
