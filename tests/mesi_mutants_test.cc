// The search must be able to fail: each rule of the protocol, taken away, is found missing, and so
// is each cell of the agent's table that is changed, but for those that are listed with a reason.
#include <gtest/gtest.h>

#include "tests/mesi_search.h"

namespace lockstep::mesi {
namespace {

struct Without {
  const char* rule;
  Config config;
};

const Without kRules[] = {
    {"a writer waits for the InvAcks", {.mutant = Mutant::kNoWaitForInvAcks}},
    {"the home's lease of a cache outlasts the cache's",
     {.losses = 1, .mutant = Mutant::kHomeLeaseShorter, .values_only = true}},
    {"a cache drops its lines when its session ends",
     {.losses = 1, .mutant = Mutant::kLinesSurviveSessions, .values_only = true}},
    {"a new home waits for the leases of the old",
     {.crashes = 1, .mutant = Mutant::kNewHomeWaitsForNoLease, .values_only = true}},
    {"a home that was cut off stops with its leader lease",
     {.cuts = 1, .mutant = Mutant::kDeposedHomeServesOn}},
    {"a channel keeps the order", {.mutant = Mutant::kUnordered}},
    {"what a lost owner had is forgotten", {.losses = 1, .mutant = Mutant::kNoForget}},
    {"... though it had asked to read only",
     {.losses = 1, .reads_exclusive = true, .mutant = Mutant::kNoForgetOfReaders}},
    {"a demotion does not complete Recall.X", {.mutant = Mutant::kDemotionEndsRecallX}},
    {"what an ended session wrote back is refused",
     {.losses = 1, .mutant = Mutant::kLateWriteBacks}},
    {"a home does not report its own copy when there is an owner",
     {.moves = 1, .mutant = Mutant::kOldHomeIsTrusted}},
    {"who gives a line up is believed only if the home knew it as the owner",
     {.cuts = 1, .mutant = Mutant::kLeavingIsTrusted}},
    {"... and if it is the same owner", {.moves = 1, .mutant = Mutant::kAnyKnownOwner}},
    {"a report of an older epoch is refused",
     {.moves = 1, .cuts = 1, .mutant = Mutant::kOlderEpochsReport}},
    {"reports have ranks", {.moves = 1, .mutant = Mutant::kLastReportWins}},
    {"a grant of an ended session is refused",
     {.crashes = 1, .mutant = Mutant::kGrantsOutliveSessions, .values_only = true}},
    {"UpgradeOK is for sharers only", {.mutant = Mutant::kUpgradeUnchecked}},
    {"an ended session's requests are dropped",
     {.losses = 1, .mutant = Mutant::kQueueOutlivesSession}},
    {"a cache that is gone has dropped its copy",
     {.losses = 1, .mutant = Mutant::kGoneDoesNotAckInv}},
    {"a requester that is gone is granted nothing",
     {.losses = 1, .mutant = Mutant::kRequesterOutlivesSession}},
    {"an owner whose lease may end before its home is not believed",
     {.cuts = 1, .mutant = Mutant::kAllOwnersAreSure}},
    {"the home before is heard first", {.moves = 1, .mutant = Mutant::kFormersWordIsLost}},
    {"a home that has answered stops", {.moves = 1, .mutant = Mutant::kOldHomeServesOn}},
    {"the home knows its readers", {.mutant = Mutant::kReaderUnrecorded}},
    {"... and the owner that goes on reading", {.mutant = Mutant::kKeeperUnrecorded}},
    {"what is written back answers a recall", {.mutant = Mutant::kWriteBackIsNoAnswer}},
    {"a grant to write has a new generation", {.mutant = Mutant::kGenerationStays}},
    {"what is forgotten has a new generation",
     {.losses = 1, .mutant = Mutant::kForgetKeepsGeneration}},
    {"an owner that has written gives its value", {.mutant = Mutant::kRecallAckWithoutValue}},
    {"a line that is free again serves its queue", {.mutant = Mutant::kQueueStays}},
};

TEST(MesiMutants, EachRuleIsNeeded) {
  for (const Without& without : kRules) {
    Search search(without.config);
    const Found found = search.Run();
    EXPECT_NE(found.broken, nullptr) << without.rule;
    if (found.broken == nullptr) continue;
    EXPECT_FALSE(found.trace.empty());
    std::printf("  without: %-70s %2zu steps: %s\n", without.rule, found.depth, found.broken);
  }
}

// Changes that hurt nobody. All others must be found.
struct Harmless {
  Copy state;
  AgentEvent event;
  uint16_t without = 0;        // An action; or
  std::optional<Copy> next{};  // a state.
};

using enum Copy;
using enum AgentEvent;

const Harmless kHarmless[] = {
    // A value that nobody can read any more only takes memory.
    {kS, kEvict, kDropValue},
    {kS, kInv, kDropValue},
    {kSX, kInv, kDropValue},
    {kE, kRecallX, kDropValue},
    {kM, kRecallX, kDropValue},
    {kMI, kWbAck, kDropValue},
    {kMS, kRecallX, kDropValue},
    // A line that is only read may be dropped at any time.
    {kS, kLoad, 0, kI},
    {kE, kRecallS, 0, kI},
    {kM, kRecallS, 0, kI},
    {kMS, kWbAckKeeps, 0, kI},
    // A clean line that is said to be newer is sent for nothing.
    {kE, kLoad, 0, kM},
    {kIS, kDataX, 0, kM},
    {kIX, kDataX, 0, kM},
    {kSX, kUpgradeOk, 0, kM},
    // Who waits to read takes Data.X too, as `READS exclusive` has it.
    {kI, kStore, 0, kIS},
    {kIX, kLoad, 0, kIS},
    {kIX, kStore, 0, kIS},
    {kIX, kInv, 0, kIS},
    {kSX, kInv, 0, kIS},
    // Who could read at once is served a little later.
    {kSX, kLoad, kServe},
    {kMS, kLoad, kServe},
};

bool IsHarmless(const CellChange& change, const AgentStep& was) {
  return std::any_of(std::begin(kHarmless), std::end(kHarmless), [&](const Harmless& h) {
    return h.state == change.state && h.event == change.event &&
           h.next.value_or(was.next) == change.step.next &&
           (was.actions & ~h.without) == change.step.actions;
  });
}

// Each action left out, each other state gone to.
std::vector<CellChange> ChangesOf(Copy state, AgentEvent event) {
  const AgentStep step = Step(state, event);
  std::vector<CellChange> changes;
  if (!step.possible) return changes;
  for (unsigned action = 1; action <= kServe; action *= 2) {
    const auto left = static_cast<uint16_t>(step.actions & ~action);
    if (left != step.actions) changes.push_back({state, event, {left, step.next, true}});
  }
  for (size_t next = 0; next < kCopies; ++next) {
    const auto to = static_cast<Copy>(next);
    if (to != step.next) changes.push_back({state, event, {step.actions, to, true}});
  }
  return changes;
}

bool IsFound(const CellChange& change) {
  const Config configs[] = {
      {.cell = change},
      {.stores = 3, .cell = change},
      {.losses = 1, .reads_exclusive = true, .cell = change},
  };
  return std::any_of(std::begin(configs), std::end(configs), [](const Config& config) {
    Search search(config);
    return search.Run().broken != nullptr;
  });
}

Bytes Say(const CellChange& change) {
  return Format("%s, event %d: actions %x, then %s", NameOf(change.state),
                static_cast<int>(change.event), change.step.actions, NameOf(change.step.next));
}

TEST(MesiMutants, EachCellOfTheAgentsTableIsNeeded) {
  size_t tried = 0;
  for (size_t state = 0; state < kCopies; ++state) {
    for (size_t event = 0; event < kAgentEvents; ++event) {
      const AgentStep was = Step(static_cast<Copy>(state), static_cast<AgentEvent>(event));
      for (const CellChange& change :
           ChangesOf(static_cast<Copy>(state), static_cast<AgentEvent>(event))) {
        ++tried;
        EXPECT_EQ(IsFound(change), !IsHarmless(change, was)) << Say(change);
      }
    }
  }
  std::printf("  %zu changes of a cell\n", tried);
}

}  // namespace
}  // namespace lockstep::mesi
