// The history of real clients of real nodes, judged as the simulated ones are: it is played to a
// LockChecker, call by call and answer by answer, in a world that holds nothing but a clock.
//
// An operation is a line; their order does not matter, the times say it:
//
//     client node call_us return_us answer command ...
//     c3 2 1204567 1205012 :81 LOCK.ACQUIRE a.1 c3.7 TTL 2000 BLOCK 500
//
// Times are microseconds of one clock, which is also the nodes' (so all are on one machine). A call
// is noted no later than its first byte left, a return no earlier than its last byte came.
// The answer is `:n`, `nil`, an error (`-TRYAGAIN`), for LOCK.INFO its holders and the number of
// those who wait (`{ann:shared:81,bob:shared:82}0`), or `?`: nobody knows, and return_us is when
// the client gave up. BIND cannot be judged: that would take the connections' ends.
#pragma once

#include "src/base/bytes.h"

namespace lockstep::sim {

struct Judgement {
  bool legal = true;
  Bytes why;  // Not legal: what cannot be, or the line that cannot be read.
  size_t operations = 0;
  uint64_t grants = 0;
  uint64_t unknown = 0;
  uint64_t checked = 0;    // Histories of one lock each that were searched to the end.
  uint64_t contended = 0;  // Of all, those with several owners.
  uint64_t too_hard = 0;   // Given up: nothing was found, nothing was proved.
};

Judgement Judge(BytesView history);

// Prints the judgement; the exit code: 0 legal, 1 not, 2 the file cannot be read.
int JudgeFile(const char* path);

}  // namespace lockstep::sim
