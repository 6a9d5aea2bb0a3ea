// Gives back to the system what the process has freed and the allocator keeps.
//
// glibc returns only what lies free at the end of its heap. A crowd of clients that has gone leaves
// its pages in the middle: without this a node that had a bad hour would keep its memory for ever.
//
// Looking costs time that grows with the number of free pieces, giving back with their pages.
// Neither takes more than a hundredth of the time, and a heap that is slow to look over is left
// alone for an hour: nobody waits for a tidy heap.
#pragma once

#include "src/base/time.h"
#include "src/io/system.h"

namespace lockstep::io {

class SpareMemory {
 public:
  // Less than this, or than a quarter of what is in use, is left for the next burst.
  static constexpr size_t kWorthwhileBytes = size_t{4} << 20;

  // Now and then, with what was just measured. True: some was given back.
  bool Look(MonoTime now, const ProcessFigures& process);

 private:
  MonoTime next_look_;
  size_t scraps_bytes_ = 0;  // Spare, but in pieces smaller than a page: was left last time.
};

}  // namespace lockstep::io
