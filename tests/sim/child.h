// A run in a process of its own: whatever it does, hang included, its parent goes on.
#pragma once

#include <sys/types.h>

#include <functional>

namespace lockstep::sim {

struct Child {
  pid_t pid;
  int pipe;  // What it has to tell. The parent reads it to the end and closes it.
};

// `work` writes to `pipe`; false: it has failed, and the exit code says so.
Child StartChild(const std::function<bool(int pipe)>& work);

// Bounds the processor time of this process: a run that needs more hangs.
void LimitTime();

[[noreturn]] void Die(const char* what);

}  // namespace lockstep::sim
