// What mesi_model.h is asked to play: how many caches, what may happen how often, and which rule is
// taken away.
#pragma once

#include <optional>

#include "cluster/mesi/agent_table.h"

namespace lockstep::mesi {

enum class Mutant : uint8_t {
  kNone,
  kNoWaitForInvAcks,      // A writer is granted while readers are being told.
  kHomeLeaseShorter,      // The home counts a cache as gone that still reads.
  kLinesSurviveSessions,  // A cache keeps its line when its session ends.
  kNewHomeWaitsForNoLease,
  kDeposedHomeServesOn,
  kUnordered,          // Channels do not keep the order.
  kNoForget,           // The home falls back to its own value when the owner is lost,
  kNoForgetOfReaders,  // ... when the owner had asked to read only.
  kDemotionEndsRecallX,
  kLateWriteBacks,    // What an ended session wrote back is taken.
  kOldHomeIsTrusted,  // The home before reports its value though there is an owner.
  kLeavingIsTrusted,  // Who gives the line up counts as its owner.
  kOlderEpochsReport,
  kGrantsOutliveSessions,
  kUpgradeUnchecked,      // UpgradeOK to whoever says that it has the value.
  kQueueOutlivesSession,  // The requests of an ended session stay in the home's queue.
  kGoneDoesNotAckInv,     // A cache that is gone is still waited for.
  kRequesterOutlivesSession,
  kAllOwnersAreSure,     // ... that its home cannot have given them up.
  kFormersWordIsLost,    // An owner that is sure counts though the home before has spoken.
  kOldHomeServesOn,      // ... after its answer.
  kLastReportWins,       // A new home takes what it was told last.
  kAnyKnownOwner,        // The home before knew an owner: so who gives the line up is believed.
  kReaderUnrecorded,     // The home does not note to whom it has shown the value,
  kKeeperUnrecorded,     // ... nor that an owner goes on reading.
  kWriteBackIsNoAnswer,  // A recall is answered by RecallAck only.
  kGenerationStays,      // An exclusive grant has the generation of the one before.
  kForgetKeepsGeneration,
  kRecallAckWithoutValue,
  kQueueStays,  // A line that is busy no more does not look at its queue.
};

struct CellChange {
  Copy state = Copy::kI;
  AgentEvent event = AgentEvent::kLoad;
  AgentStep step;
};

struct Config {
  size_t caches = 2;
  uint8_t stores = 2, losses = 0, moves = 0, crashes = 0, cuts = 0;
  bool reads_exclusive = false;
  bool reads_either = false;  // Exclusive or not, each time anew.
  bool ends = false;  // The line has a time to live: an owner does not go on reading it.
  Mutant mutant = Mutant::kNone;
  std::optional<CellChange> cell = {};
  bool values_only = false;  // Only look at what can be read, not at who is known or waits.
};

struct StepName {
  enum class Kind : uint8_t {
    // Only clients, caches that make room, and faults start these:
    kClientLoads,
    kClientStores,
    kEvict,
    kIdle,
    kHomeLoads,
    kHomeStores,
    kLeaseOver,
    kMove,
    kCrash,
    kCutOff,
    // These must come:
    kToCache,
    kToHome,
    kOpen,
    kGone,
    kFence,
    kLapsed,
    kOldHomeAnswers,
    kOldHomeLapsed,
  };
  Kind kind = Kind::kClientLoads;
  uint8_t who = 0;   // The cache.
  uint8_t home = 0;  // kOld or kNew.
  uint8_t at = 0;    // In the channel.
  bool exclusive = false;  // kToHome: a read, which is to own the line if nobody has it.
  bool must_come() const { return kind >= Kind::kToCache; }
};

}  // namespace lockstep::mesi
