// The history of real clients of the cache, judged key by key as the simulated ones are
// (cache_model.h). Its format is that of redis-tests/chaos_cache_judge.py, which judges what this
// cannot: several keys at once, copies of tracking clients, what may be forgotten and when, waits.
//
//     client node call_us return_us answer command ...
//     u3 2 1204567 1205012 =u3.7 GETSET a u3.8
//
// A swap is taken for a look and a write at the same time, and a CAS that found another value for
// nothing at all: that permits more than is right, never less.
#pragma once

#include "src/base/bytes.h"

namespace lockstep::sim {

struct KeyJudgement {
  bool legal = true;
  Bytes why;  // Not legal: the key and what cannot be, or the line that cannot be read.
  size_t operations = 0;
  size_t keys = 0;
  size_t too_hard = 0;  // Keys given up: nothing was found, nothing was proved.
};

KeyJudgement JudgeKeys(BytesView history);

// Prints the judgement; the exit code: 0 legal, 1 not, 2 the file cannot be read.
int JudgeKeysFile(const char* path);

}  // namespace lockstep::sim
