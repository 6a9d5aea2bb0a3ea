// The requester's side of the protocol as a table: what a node that caches a line for its home does
// with it. Names follow Sorin, Hill & Wood, "A Primer on Memory Consistency and Cache Coherence".
//
// Pure: state and event in, actions and state out. Who has a value to send, and which one, is the
// caller's (Agent). A pair that is in no row cannot happen while home and agent both follow their
// tables over a channel that keeps the order: a peer that makes it happen is wrong, and its session
// is over. The search over both tables (tests/mesi_search_test.cc) shows that none of them does,
// and that each row is needed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lockstep::mesi {

enum class Copy : uint8_t {
  kI,   // Nothing; a line in this state has no record.
  kS,   // Readable.
  kE,   // The only copy; as the home has it.
  kM,   // The only copy; newer than the home's.
  kIS,  // Waits to read.
  kIX,  // Waits to write.
  kSX,  // Waits to write, may be read meanwhile.
  kMI,  // Given up; the value is kept until the home has it.
  kMS,  // To be kept for reading only; the value is kept, and may be read.
};
constexpr size_t kCopies = 9;
const char* NameOf(Copy state);

enum class AgentEvent : uint8_t {
  kLoad,
  kStore,
  kEvict,
  kIdle,        // Owned, and not written for a while.
  kDataS,
  kDataX,
  kUpgradeOk,
  kInv,
  kRecallS,     // Of the generation that we own, or give up.
  kRecallX,
  kWbAck,       // What we have given up is ours no more.
  kWbAckKeeps,  // The same, but to be read.
};
constexpr size_t kAgentEvents = 12;

// What is to be done, in this order.
enum AgentAction : uint16_t {
  kNothing = 0,
  kInstall = 1 << 0,         // The message's value, version and generation become the line's.
  kTakeGen = 1 << 1,         // Its generation only.
  kSendGetS = 1 << 2,
  kSendGetX = 1 << 3,
  kSendGetXHave = 1 << 4,    // And say that we have the value.
  kSendWbEvict = 1 << 5,     // With the value if the home's is older.
  kSendWbDemote = 1 << 6,
  kAckInv = 1 << 7,
  kAckRecall = 1 << 8,       // With the value if the home's is older.
  kKeeping = 1 << 9,         // ... and say that we keep it for reading.
  kDropValue = 1 << 10,
  kServe = 1 << 11,          // Whoever waits for the line may go on, as far as it lets them.
};

struct AgentStep {
  uint16_t actions = 0;
  Copy next = Copy::kI;
  bool possible = false;
};

constexpr bool IsReadable(Copy state) {
  return state == Copy::kS || state == Copy::kE || state == Copy::kM || state == Copy::kSX ||
         state == Copy::kMS;
}
constexpr bool IsWritable(Copy state) { return state == Copy::kE || state == Copy::kM; }
// Newer than the home's, or may be.
constexpr bool IsOwned(Copy state) {
  return IsWritable(state) || state == Copy::kMI || state == Copy::kMS;
}
// It has asked and was not answered.
constexpr bool IsAsking(Copy state) {
  return state == Copy::kIS || state == Copy::kIX || state == Copy::kSX;
}
constexpr bool IsLeaving(Copy state) { return state == Copy::kMI || state == Copy::kMS; }

AgentStep Step(Copy state, AgentEvent event);

}  // namespace lockstep::mesi
