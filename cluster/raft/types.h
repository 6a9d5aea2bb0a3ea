// What Raft's engine, its host and its messages share.
#pragma once

#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep::raft {

// Where a log ends, or what an entry follows: compares by term, then by index (Raft §5.4.1).
struct LogId {
  Term term;
  Index index;
  auto operator<=>(const LogId&) const = default;
};

enum class EntryKind : uint8_t {
  kNoop = 0,    // A new leader's first entry: nothing of an older term commits before it (§5.4.2).
  kOp = 1,      // `data` is the host's.
  kConfig = 2,  // `data` is an encoded Config; in force from the moment it is in the log (§6).
  kPulse = 3,   // Carries the time only: some deadline has passed and nobody spoke.
};

struct Entry {
  LogId id;
  ClusterTime time;  // Stamped by the leader; never falls along a log.
  EntryKind kind = EntryKind::kNoop;
  Bytes data;
  bool operator==(const Entry&) const = default;
};

// What must never be forgotten (Raft figure 2, "persistent state"), less the log.
struct HardState {
  Term term;
  NodeId vote = kNoNode;
  // The copy of the group's log that this member keeps. It grows when the member throws its copy
  // away: to where the configuration stands by which it has left the group. Until its log is as
  // long again it promises nothing: it has forgotten what it promised before.
  Index copy{};
  bool operator==(const HardState&) const = default;
};

// A member: a node with the disk that it had when it was added. A node that comes back with another
// disk has forgotten its votes and its entries and is not that member any more.
struct Member {
  NodeId node;
  DiskId disk;
  auto operator<=>(const Member&) const = default;
};

// Who decides. Joint while `outgoing` is not empty: then each decision needs a majority of `voters`
// and one of `outgoing` (thesis §4.3). All lists sorted by node, no node twice within voters and
// learners together, and no node with another disk in `outgoing`: a disk is changed by leaving
// first.
struct Config {
  std::vector<Member> voters;
  std::vector<Member> outgoing;
  std::vector<Member> learners;
  bool operator==(const Config&) const = default;

  bool joint() const { return !outgoing.empty(); }
  bool IsVoter(NodeId node) const;    // In voters or outgoing.
  bool IsLearner(NodeId node) const;  // Receives, and does not vote (any more).
  bool Contains(NodeId node) const;
  DiskId DiskOf(NodeId node) const;   // DiskId{0} if it is no member.
  std::vector<NodeId> All() const;    // Sorted, each once.
  bool Valid() const;  // Keeps the rules above, and somebody votes if there is anyone.
  // Whether it may be the next in a log: a joint configuration is left before the next begins, and
  // left for its own new half.
  bool MayFollow(const Config& before) const {
    return !before.joint() || (voters == before.voters && !joint());
  }
};
Bytes EncodeConfig(const Config& config);
bool DecodeConfig(BytesView in, Config* out);  // False: damaged, or breaks a rule above.

// The state machine's state after applying everything up to `last`, and what Raft needs beside it.
struct Snapshot {
  LogId last;
  ClusterTime time;  // Stamp of the entry at `last`.
  Config config;     // In force at `last`; never one that is not committed there.
  Bytes data;        // The host's.
  bool operator==(const Snapshot&) const = default;
};

}  // namespace lockstep::raft
