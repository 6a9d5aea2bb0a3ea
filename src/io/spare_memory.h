// Gives back to the system what the process has freed and the allocator keeps.
//
// glibc returns only what lies free at the end of its heap. A crowd of clients that has gone leaves
// its pages in the middle: without this a node that had a bad hour would keep its memory for ever.
//
// Looking costs time that grows with the number of free pieces. So it looks only when the process
// has grown since it last gave back, and never spends more than a hundredth of the time on it.
#pragma once

#include "src/base/time.h"
#include "src/io/system.h"

namespace lockstep::io {

class SpareMemory {
 public:
  // Less than this, and less than a quarter of what is in use, is left for the next burst.
  static constexpr size_t kWorthwhileBytes = size_t{4} << 20;

  // Now and then, with what was just measured. True: some was given back.
  bool Look(MonoTime now, const ProcessFigures& process);

 private:
  MonoTime next_look_;
  size_t settled_bytes_ = 0;  // What the process held when it last gave back, or less since.
};

}  // namespace lockstep::io
