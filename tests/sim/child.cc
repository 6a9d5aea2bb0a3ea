#include "tests/sim/child.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

// There in a build that counts which lines were run.
extern "C" void __gcov_dump() __attribute__((weak));

namespace lockstep::sim {
namespace {

// Of processor time. The heaviest seeds take a quarter of it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kSecondsMax = 600;
#else
constexpr unsigned kSecondsMax = 60;
#endif

}  // namespace

Child StartChild(const std::function<bool(int pipe)>& work) {
  int ends[2];
  if (pipe(ends) != 0) Die("pipe");
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) Die("fork");
  if (child == 0) {
    close(ends[0]);
    LimitTime();
    const bool passed = work(ends[1]);
    std::fflush(stdout);
    if (__gcov_dump != nullptr) __gcov_dump();  // _exit would lose what this seed has run.
    _exit(passed ? 0 : 1);
  }
  close(ends[1]);
  return {child, ends[0]};
}

void LimitTime() {
  const rlimit limit{kSecondsMax, kSecondsMax};
  if (setrlimit(RLIMIT_CPU, &limit) != 0) std::perror("setrlimit");
}

void Die(const char* what) {
  std::perror(what);
  std::exit(2);
}

}  // namespace lockstep::sim
