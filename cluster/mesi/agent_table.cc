#include "cluster/mesi/agent_table.h"

namespace lockstep::mesi {
namespace {

struct Row {
  Copy state;
  AgentEvent event;
  int actions;
  Copy next;
};

using enum Copy;
using enum AgentEvent;

// What is served and asked for again is the caller's: a line that became readable may still be
// waited for by writers.
constexpr Row kRows[] = {
    {kI, kLoad, kSendGetS, kIS},
    {kI, kStore, kSendGetX, kIX},
    // An Inv may find nothing: a line that is only read is dropped without a word.
    {kI, kInv, kAckInv, kI},

    {kS, kLoad, kServe, kS},
    {kS, kStore, kSendGetXHave, kSX},
    {kS, kEvict, kDropValue, kI},
    {kS, kInv, kDropValue | kAckInv, kI},

    {kE, kLoad, kServe, kE},
    {kE, kStore, kServe, kM},
    {kE, kEvict, kSendWbEvict, kMI},
    {kE, kIdle, kSendWbDemote, kMS},
    {kE, kRecallS, kAckRecall | kKeeping, kS},
    {kE, kRecallX, kAckRecall | kDropValue, kI},

    {kM, kLoad, kServe, kM},
    {kM, kStore, kServe, kM},
    {kM, kEvict, kSendWbEvict, kMI},
    {kM, kIdle, kSendWbDemote, kMS},
    {kM, kRecallS, kAckRecall | kKeeping, kS},
    {kM, kRecallX, kAckRecall | kDropValue, kI},

    {kIS, kLoad, kNothing, kIS},
    {kIS, kStore, kNothing, kIS},
    {kIS, kDataS, kInstall | kServe, kS},
    {kIS, kDataX, kInstall | kServe, kE},
    {kIS, kInv, kAckInv, kIS},

    {kIX, kLoad, kNothing, kIX},
    {kIX, kStore, kNothing, kIX},
    {kIX, kDataX, kInstall | kServe, kE},
    {kIX, kInv, kAckInv, kIX},

    {kSX, kLoad, kServe, kSX},
    {kSX, kStore, kNothing, kSX},
    {kSX, kUpgradeOk, kTakeGen | kServe, kE},
    // Somebody else was first: the copy is old, and what we asked for will bring the new one.
    {kSX, kInv, kDropValue | kAckInv, kIX},

    {kMI, kLoad, kNothing, kMI},
    {kMI, kStore, kNothing, kMI},
    // What was written back is the answer: it is on its way.
    {kMI, kRecallS, kNothing, kMI},
    {kMI, kRecallX, kNothing, kMI},
    {kMI, kWbAck, kDropValue | kServe, kI},

    {kMS, kLoad, kServe, kMS},
    {kMS, kStore, kNothing, kMS},
    {kMS, kRecallS, kNothing, kMS},
    // Here it is not: the home must not take what was sent as the end, since we would go on
    // reading. Who waits to write asks anew: no WbAck will come that could remind us.
    {kMS, kRecallX, kAckRecall | kDropValue | kServe, kI},
    {kMS, kWbAckKeeps, kServe, kS},
};

constexpr auto kTable = [] {
  std::array<std::array<AgentStep, kAgentEvents>, kCopies> table{};
  for (const Row& row : kRows) {
    AgentStep& step = table[static_cast<size_t>(row.state)][static_cast<size_t>(row.event)];
    step = {static_cast<uint16_t>(row.actions), row.next, true};
  }
  return table;
}();

constexpr bool EachPairOnce() {
  size_t possible = 0;
  for (const auto& state : kTable) {
    for (const AgentStep& step : state) possible += step.possible ? 1 : 0;
  }
  return possible == std::size(kRows);
}
static_assert(EachPairOnce());

}  // namespace

AgentStep Step(Copy state, AgentEvent event) {
  return kTable[static_cast<size_t>(state)][static_cast<size_t>(event)];
}

const char* NameOf(Copy state) {
  static constexpr const char* kNames[] = {"I", "S", "E", "M", "IS", "IX", "SX", "MI", "MS"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace lockstep::mesi
