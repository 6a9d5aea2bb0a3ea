#include "tests/sim/shrink_seed.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <ctime>

#include "tests/sim/child.h"
#include "tests/sim/run.h"

namespace lockstep::sim {
namespace {

constexpr size_t kRunsMax = 600;
constexpr int64_t kShrinkSecondsMax = 900;

Bytes ReadAll(int pipe) {
  Bytes all;
  char piece[4096];
  for (ssize_t n; (n = read(pipe, piece, sizeof piece)) > 0;) {
    all.append(piece, static_cast<size_t>(n));
  }
  return all;
}

// In a process of its own. It sends home its parts and why it failed, if it did.
bool RunAndTell(uint64_t seed, const Plan& plan, int pipe) {
  auto* run = new Run(seed, false, plan);  // What is broken is not taken apart.
  const Ending ending = run->GoToTheEnd();
  if (plan.tells_parts && ending.failed) {
    std::printf("%11.6f -  %s\n", static_cast<double>(run->world().now_us()) / kUsPerSecond,
                ending.what.c_str());
  }
  const Bytes told = Text(PlanOf(ending.parts, 0)) + "\n" + ending.what;
  for (BytesView left = told; !left.empty();) {
    const ssize_t n = write(pipe, left.data(), left.size());
    if (n <= 0) return false;
    left.remove_prefix(static_cast<size_t>(n));
  }
  return !ending.failed;
}

Ending RunApart(uint64_t seed, const Plan& plan) {
  const Child child = StartChild([&](int pipe) { return RunAndTell(seed, plan, pipe); });
  const Bytes told = ReadAll(child.pipe);
  close(child.pipe);
  int status = 0;
  if (waitpid(child.pid, &status, 0) != child.pid) Die("waitpid");
  Ending ending;
  ending.failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  const size_t line = told.find('\n');
  if (line == Bytes::npos) {  // It did not come to its end, so it could not tell its parts.
    ending.what = WIFSIGNALED(status) ? Format("ended by signal %d", WTERMSIG(status))
                                      : Bytes("ended without a word");
    ending.parts = {plan.kept.begin(), plan.kept.end()};
    return ending;
  }
  const Plan parts = ParsePlan(BytesView(told).substr(0, line));
  ending.parts = {parts.kept.begin(), parts.kept.end()};
  ending.what = told.substr(line + 1);
  return ending;
}

void Show(uint64_t seed, Plan plan, size_t runs) {
  std::printf("\n%zu parts are left after %zu runs:\n", plan.kept.size(), runs);
  for (const Bytes& part : plan.kept) {
    if (part[0] != 'a' && part[0] != 'f') std::printf("            -  %s\n", part.c_str());
  }
  plan.tells_parts = true;
  RunApart(seed, plan);
  std::printf("make sim SEED=%" PRIu64 " KEEP=%s\n", seed, Text(plan).c_str());
}

}  // namespace

int ShrinkSeed(uint64_t seed, const Plan& whole) {
  const Ending first = RunApart(seed, whole);
  if (!first.failed) {
    std::printf("seed %" PRIu64 " does not fail\n", seed);
    return 0;
  }
  std::printf("%s\nshrinking %zu parts\n", first.what.c_str(), first.parts.size());
  const std::time_t end = std::time(nullptr) + kShrinkSecondsMax;
  const auto enough = [end](size_t runs) { return runs >= kRunsMax || std::time(nullptr) >= end; };
  size_t shown = first.parts.size();
  const auto progress = [&shown](size_t runs, size_t left) {
    if (left == shown && runs % 50 != 0) return;
    shown = left;
    std::printf("run %zu: %zu parts left\n", runs, left);
    std::fflush(stdout);
  };
  Shrinker shrinker([seed](const Plan& plan) { return RunApart(seed, plan); }, enough, progress);
  const Plan plan = shrinker.Shrink(whole, first);
  if (enough(shrinker.runs())) std::printf("enough runs; fewer parts may do\n");
  Show(seed, plan, shrinker.runs());
  return 1;
}

}  // namespace lockstep::sim
