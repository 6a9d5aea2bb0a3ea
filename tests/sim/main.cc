// lockstep-sim: runs seeds, or one seed again with all that it has to tell.
//
//   lockstep-sim [--seeds N] [--from K]   the seeds that once failed, then N from K on
//   lockstep-sim --seed N [--keep PARTS]  that seed, or these of its parts (plan.h), narrated
//   lockstep-sim --seed N --shrink        the fewest of its faults and clients that make it fail
//   lockstep-sim --check-determinism N    that seed twice: both runs must tell the same story
//   lockstep-sim --wrong-clocks PPM ...   with clocks that go worse than is promised, or
//   lockstep-sim --late-clients --ignore-leases ...  answers that leave though a lease is over:
//                                         they must fail; without the second they must not
//   lockstep-sim --judge FILE             no simulation: whether what real clients saw can be,
//   lockstep-sim --judge-keys FILE        of locks, of keys of the cache
//
// Each seed runs in a process of its own: whatever it does, hang included, the others go on.
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>

#include "tests/sim/child.h"
#include "tests/sim/judge.h"
#include "tests/sim/key_judge.h"
#include "tests/sim/run.h"
#include "tests/sim/shrink_seed.h"
#include "tests/sim/swarm.h"

namespace lockstep::sim {
namespace {

constexpr size_t kProcesses = 2;
constexpr uint64_t kCountersFrom = 300; // Seeds from which every counter has to have moved.

struct Outcome {
  bool passed = false;
  Counters counters;
  uint64_t story_hash = 0;
};

// A run asks for large pieces again and again: what is given back to the kernel each time comes
// back as a fault a page.
void KeepMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 16 << 20);
}

// Left standing after a failure: what is broken is not taken apart.
Outcome RunSeed(uint64_t seed, bool narrating, const Plan& plan = {}) {
  auto* run = new Run(seed, narrating, plan);
  const Ending ending = run->GoToTheEnd();
  Outcome outcome;
  outcome.passed = !ending.failed;
  outcome.counters = run->world().counters();
  outcome.story_hash = run->world().story_hash();
  if (outcome.passed) {
    delete run;
  } else {
    std::printf("at %.6f s: %s\n", static_cast<double>(run->world().now_us()) / kUsPerSecond,
                ending.what.c_str());
  }
  return outcome;
}

class Runner {
 public:
  explicit Runner(Plan plan) : plan_(std::move(plan)) {}

  void Add(uint64_t seed) {
    if (running_.size() == kProcesses) WaitForOne();
    const Child child =
        StartChild([this, seed](int pipe) { return RunAndTell(seed, plan_, pipe); });
    running_[child.pid] = {seed, child.pipe};
  }

  bool Finish() {
    while (!running_.empty()) WaitForOne();
    PrintCounters();
    bool all = failed_ == 0;
    if (passed_ + failed_ >= kCountersFrom) all = EveryCounterMoved() && FewWereTooHard() && all;
    std::printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed_, failed_);
    return all;
  }

 private:
  struct Running {
    uint64_t seed;
    int pipe;
  };

  static bool RunAndTell(uint64_t seed, const Plan& plan, int pipe) {
    const Outcome outcome = RunSeed(seed, false, plan);
    const ssize_t told = write(pipe, &outcome, sizeof outcome);
    return told == static_cast<ssize_t>(sizeof outcome) && outcome.passed;
  }

  void WaitForOne() {
    int status = 0;
    const pid_t child = wait(&status);
    const auto found = running_.find(child);
    if (found == running_.end()) Die("wait");
    const Running ended = found->second;
    running_.erase(found);
    Outcome outcome;
    const bool told = read(ended.pipe, &outcome, sizeof outcome) ==
                      static_cast<ssize_t>(sizeof outcome);
    close(ended.pipe);
    if (told) counters_.Add(outcome.counters);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      if (++passed_ % 50 == 0) std::printf("%" PRIu64 " seeds passed\n", passed_);
    } else {
      ++failed_;
      if (WIFSIGNALED(status)) std::printf("ended by signal %d\n", WTERMSIG(status));
      std::printf("make sim SEED=%" PRIu64 "  (SHRINK=1 finds the fewest faults that do it)\n",
                  ended.seed);
    }
    std::fflush(stdout);
  }

  void PrintCounters() const {
    for (size_t i = 0; i < kCountNames.size(); ++i) {
      std::printf("  %12" PRIu64 "  %s\n", counters_[static_cast<Count>(i)], kCountNames[i]);
    }
  }

  bool EveryCounterMoved() const {
    bool all = true;
    for (size_t i = 0; i < kCountNames.size(); ++i) {
      const auto count = static_cast<Count>(i);
      if (count == Count::kHistoriesTooHard || counters_[count] > 0) continue;
      std::printf("nothing was seen of: %s\n", kCountNames[i]);
      all = false;
    }
    return all;
  }

  // What is not checked finds nothing.
  bool FewWereTooHard() const {
    const uint64_t hard = counters_[Count::kHistoriesTooHard];
    const uint64_t contended = counters_[Count::kHistoriesContended];
    if (hard * 100 <= contended) return true;
    std::printf("%" PRIu64 " of %" PRIu64 " histories were too hard to check, over 1 %%\n", hard,
                contended);
    return false;
  }

  const Plan plan_;
  std::map<pid_t, Running> running_;
  Counters counters_;
  uint64_t passed_ = 0;
  uint64_t failed_ = 0;
};

// One a line; what follows the number says what it once found.
std::vector<uint64_t> SeedsThatOnceFailed() {
  std::vector<uint64_t> seeds;
  std::FILE* file = std::fopen("tests/sim/seeds.txt", "r");
  if (file == nullptr) return seeds;
  char line[1024];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (line[0] >= '0' && line[0] <= '9') seeds.push_back(std::strtoull(line, nullptr, 10));
  }
  std::fclose(file);
  return seeds;
}

int CheckDeterminism(uint64_t seed) {
  const uint64_t first = RunSeed(seed, false).story_hash;
  const uint64_t second = RunSeed(seed, false).story_hash;
  std::printf("seed %" PRIu64 ": %016" PRIx64 " and %016" PRIx64 "\n", seed, first, second);
  std::printf("%d passed, %d failed\n", first == second ? 1 : 0, first == second ? 0 : 1);
  return first == second ? 0 : 1;
}

int Replay(uint64_t seed, const Plan& plan) {
  LimitTime();
  const bool passed = RunSeed(seed, true, plan).passed;
  std::printf("seed %" PRIu64 ": %d passed, %d failed\n", seed, passed ? 1 : 0, passed ? 0 : 1);
  return passed ? 0 : 1;
}

struct Asked {
  uint64_t seeds = 300;
  uint64_t from = 1;
  std::optional<uint64_t> seed;
  bool shrink = false;
  bool determinism = false;
  Plan plan;
};

std::optional<Asked> Parse(int argc, char** argv) {
  Asked asked;
  for (int i = 1; i < argc; ++i) {
    const BytesView option = argv[i];
    if (option == "--shrink") {
      asked.shrink = true;
      continue;
    }
    if (option == "--ignore-leases" || option == "--late-clients") {
      (option[2] == 'i' ? asked.plan.ignores_valid_until : asked.plan.late_clients) = true;
      continue;
    }
    if (++i == argc) return std::nullopt;
    const uint64_t value = std::strtoull(argv[i], nullptr, 10);
    if (option == "--seed" || option == "--check-determinism") {
      asked.seed = value;
      asked.determinism = option != "--seed";
    } else if (option == "--keep") {
      const Plan kept = ParsePlan(argv[i]);
      asked.plan.all = kept.all;
      asked.plan.kept = kept.kept;
      asked.plan.roll = kept.roll;
    } else if (option == "--seeds") {
      asked.seeds = value;
    } else if (option == "--wrong-clocks") {
      asked.plan.clock_ppm = static_cast<int64_t>(value);
    } else if (option == "--from") {
      asked.from = value;
    } else {
      return std::nullopt;
    }
  }
  return asked;
}

}  // namespace
}  // namespace lockstep::sim

int main(int argc, char** argv) {
  using namespace lockstep::sim;
  KeepMemory();
  if (argc == 3 && std::strcmp(argv[1], "--judge") == 0) return JudgeFile(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "--judge-keys") == 0) return JudgeKeysFile(argv[2]);
  const std::optional<Asked> asked = Parse(argc, argv);
  if (!asked || (asked->shrink && !asked->seed)) {
    std::fprintf(stderr, "lockstep-sim [--seeds N] [--from K] | --seed N [--keep PARTS] [--shrink] "
                         "| --check-determinism N | --judge FILE | --judge-keys FILE\n");
    return 2;
  }
  if (asked->determinism) return CheckDeterminism(*asked->seed);
  if (asked->shrink) return ShrinkSeed(*asked->seed, asked->plan);
  if (asked->seed) return Replay(*asked->seed, asked->plan);
  Runner runner(asked->plan);
  for (const uint64_t seed : SeedsThatOnceFailed()) runner.Add(seed);
  for (uint64_t seed = asked->from; seed < asked->from + asked->seeds; ++seed) runner.Add(seed);
  return runner.Finish() ? 0 : 1;
}
