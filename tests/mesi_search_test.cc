// The protocol of the cache, searched: the real tables under all orders of messages, evictions,
// lost leases, moves, crashes and cuts of a bounded number (mesi_model.h says how).
// MESI_SEARCH=full runs the larger ones too: a minute and a half.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "tests/mesi_search.h"

namespace lockstep::mesi {
namespace {

Found SearchAll(const Config& config, Coverage* coverage = nullptr) {
  const std::clock_t begin = std::clock();
  Search search(config);
  const Found found = search.Run();
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf(
      "  %zu caches, %d stores, %d losses, %d moves, %d crashes, %d cuts%s: %zu states, "
      "%zu transitions, %zu deep, %.1f s\n",
      config.caches, config.stores, config.losses, config.moves, config.crashes, config.cuts,
      config.reads_exclusive ? ", reads exclusive"
      : config.reads_either  ? ", reads exclusive or not"
                             : "",
      found.states, found.transitions,
      found.depth, seconds);
  if (coverage != nullptr) coverage->Add(search.coverage());
  return found;
}

void NothingBreaks(std::initializer_list<Config> configs) {
  for (const Config& config : configs) {
    const Found found = SearchAll(config);
    EXPECT_EQ(found.broken, nullptr) << found.trace;
  }
}

TEST(MesiSearch, TwoCachesAndNoFaults) {
  NothingBreaks({
      {.stores = 3},
      {.stores = 3, .reads_exclusive = true},
      {.stores = 3, .reads_either = true},
  });
}

TEST(MesiSearch, TwoCachesThatLoseTheirLeases) {
  NothingBreaks({
      {.stores = 3, .losses = 2},
      {.stores = 2, .losses = 1, .reads_exclusive = true},
      {.stores = 2, .losses = 1, .reads_either = true},
  });
}

TEST(MesiSearch, TwoCachesWhoseHomeMoves) {
  NothingBreaks({
      {.losses = 1, .moves = 1},
      {.losses = 1, .moves = 1, .ends = true},
      {.losses = 1, .moves = 1, .reads_exclusive = true},
      {.moves = 1, .reads_either = true},
      {.moves = 2},
  });
}

TEST(MesiSearch, TwoCachesWhoseHomeCrashesOrIsCutOff) {
  NothingBreaks({
      {.losses = 1, .crashes = 1},
      {.losses = 1, .cuts = 1},
      {.losses = 1, .crashes = 1, .reads_exclusive = true},
      {.losses = 1, .cuts = 1, .reads_exclusive = true},
      {.crashes = 1, .reads_either = true},
      {.cuts = 1, .reads_either = true},
  });
}

TEST(MesiSearch, TwoCachesAndOneFaultAfterAnother) {
  NothingBreaks({
      {.losses = 1, .moves = 1, .crashes = 1},
      {.moves = 1, .crashes = 1, .cuts = 1},
  });
}

TEST(MesiSearch, ThreeCaches) {
  NothingBreaks({
      {.caches = 3, .stores = 3},
      {.caches = 3, .losses = 1},
      {.caches = 3, .crashes = 1},
      {.caches = 3, .stores = 1, .losses = 1, .moves = 1},
  });
}

TEST(MesiSearch, TheLargerOnesToo) {
  const char* how = std::getenv("MESI_SEARCH");
  if (how == nullptr || Bytes(how) != "full") GTEST_SKIP() << "MESI_SEARCH=full runs them";
  NothingBreaks({
      {.stores = 3, .losses = 2, .moves = 1},
      {.losses = 1, .moves = 1, .crashes = 1, .cuts = 1},
      {.losses = 1, .moves = 1, .cuts = 1, .reads_exclusive = true},
      {.losses = 1, .moves = 1, .crashes = 1, .reads_either = true},
      {.losses = 1, .moves = 2, .crashes = 1},
      {.caches = 3, .losses = 1, .reads_exclusive = true},
      {.caches = 3, .losses = 1, .crashes = 1},
      {.caches = 3, .losses = 1, .moves = 1},
      {.caches = 3, .losses = 1, .cuts = 1},
      {.caches = 3, .stores = 3, .losses = 2},
  });
}

Coverage CoverageOfSmallOnes() {
  Coverage coverage;
  for (const Config& config : {
           Config{.stores = 3, .losses = 1},
           Config{.losses = 1, .reads_exclusive = true},
           Config{.stores = 1, .ends = true},
           Config{.moves = 1},
           Config{.caches = 3, .losses = 1},
       })
    SearchAll(config, &coverage);
  return coverage;
}

constexpr const char* kRowsOfTheHome =
    R"(request U: read write
request Sh: read read(others) write write(others)
request X: read(others) write(others)
request B_INV: read write
request B_RS: read write
request B_RX: read write
InvAck B_INV: more last
RecallAck B_RS: drops keeps
RecallAck B_RX: drops
WriteBack X: evict demote
WriteBack B_RS: evict demote
WriteBack B_RX: evict demote
gone U: other
gone Sh: other reader last-reader
gone X: other owner
gone B_INV: other reader last-reader requester
gone B_RS: other owner requester
gone B_RX: other owner requester
granted, then U: S-home X-home S-nobody X-nobody
granted, then Sh: S S-home S-nobody
granted, then X: X upgrade
)";

TEST(MesiSearch, EveryRowOfTheTablesIsReached) {
  const Coverage coverage = CoverageOfSmallOnes();

  for (size_t state = 0; state < kCopies; ++state) {
    for (size_t event = 0; event < kAgentEvents; ++event) {
      const bool row = Step(static_cast<Copy>(state), static_cast<AgentEvent>(event)).possible;
      EXPECT_EQ(coverage.agent[state][event], row)
          << NameOf(static_cast<Copy>(state)) << ", event " << event;
    }
  }
  EXPECT_EQ(coverage.reports, 0b11111);
  EXPECT_EQ(coverage.SayHome(), kRowsOfTheHome);
}

}  // namespace
}  // namespace lockstep::mesi
