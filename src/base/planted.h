// Planted bugs: for tests of the tests only. `make mutants` compiles with LOCKSTEP_MUTANTS, and
// then a process has the one bug that the environment variable LOCKSTEP_MUTANT names; the tests
// that tests/README.md gives for it must find it. Without the switch Planted() is false while
// compiling, and nothing of a plant is left.
#pragma once

#include <cstdint>

#include "src/base/bytes.h"

namespace lockstep {

// Each with its name; what is wrong with it, and who finds it, is in tests/README.md.
#define LOCKSTEP_EACH_MUTANT(row)                                   \
  /* Log, votes, disk. */                                           \
  row(kVoteBeforeDisk, "vote-before-disk")                          \
  row(kVoteTwice, "vote-twice")                                     \
  row(kVoteForShorterLog, "vote-for-shorter-log")                   \
  row(kPreVoteSkipped, "prevote-skipped")                           \
  row(kAckBeforeSync, "ack-before-sync")                            \
  row(kLeaderCountsUnsynced, "leader-counts-unsynced")              \
  row(kOldTermCounted, "old-term-counted")                          \
  row(kOvertakenAppendCuts, "overtaken-append-cuts")                \
  row(kReplyForOverwritten, "reply-for-overwritten")                \
  row(kStaleDiskCompletion, "stale-disk-completion")                \
  row(kStartDropsSynced, "start-drops-synced")                      \
  row(kDamageTakenForTornTail, "damage-taken-for-torn-tail")        \
  row(kOldSnapshotInstalled, "old-snapshot-installed")              \
  /* Reads, time. */                                                \
  row(kReadBeforeFirstCommit, "read-before-first-commit")           \
  row(kReadByAnyRound, "read-by-any-round")                         \
  row(kReadByDeposedLeader, "read-by-deposed-leader")               \
  row(kExpiryByLocalClock, "expiry-by-local-clock")                 \
  row(kOldLeadersExpiry, "old-leaders-expiry")                      \
  /* Membership. */                                                 \
  row(kRemovedMemberCounted, "removed-member-counted")              \
  row(kLearnerCounted, "learner-counted")                           \
  row(kConfigNotRolledBack, "config-not-rolled-back")               \
  row(kCopyGivenUpEarly, "copy-given-up-early")                     \
  row(kVoteWithoutCopy, "vote-without-copy")                        \
  row(kFarSessionAskedAnew, "far-session-asked-anew")               \
  row(kLostAnswerNotMissed, "lost-answer-not-missed")               \
  /* Locks. */                                                      \
  row(kReleaseForgetsNext, "release-forgets-next")                  \
  row(kWaiterPastItsDeadline, "waiter-past-its-deadline")           \
  row(kLateRenewal, "late-renewal")                                 \
  row(kHangupForgetsBound, "hangup-forgets-bound")                  \
  row(kUpgradeLetsGo, "upgrade-lets-go")                            \
  row(kReaderOvertakesWriter, "reader-overtakes-writer")            \
  row(kMacquireShowsSubset, "macquire-shows-subset")                \
  row(kVictimKeepsOneLock, "victim-keeps-one-lock")                 \
  row(kVictimNotYoungest, "victim-not-youngest")                    \
  /* Queues. */                                                     \
  row(kIdBeforePush, "id-before-push")                              \
  row(kIdBeforeCommit, "id-before-commit")                          \
  row(kStaleReceipt, "stale-receipt")                               \
  row(kLateAckRefused, "late-ack-refused")                          \
  row(kGroupFreedByNack, "group-freed-by-nack")                     \
  row(kReleaseIsFailure, "release-is-failure")                      \
  row(kLeaseEndIsNoFailure, "lease-end-is-no-failure")              \
  row(kDeadForgetError, "dead-forget-error")                        \
  row(kDemandOutlivesSession, "demand-outlives-session")            \
  row(kDemandCountedTwice, "demand-counted-twice")                  \
  row(kUnheardStaysLeased, "unheard-stays-leased")                  \
  row(kPushForgetsWaiter, "push-forgets-waiter")                    \
  row(kDropsLeased, "drops-leased")                                 \
  row(kGroupMovesAtOnce, "group-moves-at-once")                     \
  row(kMovedIdForgotten, "moved-id-forgotten")                      \
  row(kGrowthForgetsWaiters, "growth-forgets-waiters")              \
  row(kSliceOfLater, "slice-of-later")                              \
  row(kSnapshotWithoutLeases, "snapshot-without-leases")            \
  row(kSnapshotWithoutDelays, "snapshot-without-delays")            \
  row(kSnapshotWithoutIds, "snapshot-without-ids")                  \
  /* What is remembered. */                                         \
  row(kRepeatDoneTwice, "repeat-done-twice")                        \
  row(kSnapshotWithoutWaits, "snapshot-without-waits")              \
  row(kSnapshotWithoutAges, "snapshot-without-ages")                \
  row(kSnapshotWithoutDedup, "snapshot-without-dedup")              \
  row(kSnapshotWithoutDeadlines, "snapshot-without-deadlines")      \
  row(kSnapshotWithoutLastToken, "snapshot-without-last-token")

#define LOCKSTEP_MUTANT_ENUM(mutant, name) mutant,
enum class Mutant : uint8_t { LOCKSTEP_EACH_MUTANT(LOCKSTEP_MUTANT_ENUM) };
#undef LOCKSTEP_MUTANT_ENUM

#define LOCKSTEP_MUTANT_NAME(mutant, name) name,
constexpr BytesView kMutantNames[] = {LOCKSTEP_EACH_MUTANT(LOCKSTEP_MUTANT_NAME)};
#undef LOCKSTEP_MUTANT_NAME

#ifdef LOCKSTEP_MUTANTS
// A name that is none aborts, with the list of those that there are.
bool Planted(Mutant mutant);
#else
constexpr bool Planted(Mutant) { return false; }
#endif

}  // namespace lockstep
