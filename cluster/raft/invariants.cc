// What always holds within one member, looked at after every step by tests and the simulator. The
// numbers are those of raft.h.
#include "cluster/raft/state.h"
#include "src/base/check.h"

namespace lockstep::raft {

Bytes Text(LogId id) {
  return Format("%lu/%lu", id.term.value, id.index.value);
}

Bytes Text(const Config& config) {
  Bytes text;
  const auto list = [&text](const char* name, const std::vector<Member>& members) {
    if (members.empty()) return;
    text += text.empty() ? name : Format("; %s", name);
    for (const Member& member : members) text += Format(" %lu", member.node.value);
  };
  list("voters", config.voters);
  list("outgoing", config.outgoing);
  list("learners", config.learners);
  return text.empty() ? "nobody" : text;
}

Bytes Text(const Entry& entry) {
  const Bytes id = Text(entry.id);
  switch (entry.kind) {
    case EntryKind::kNoop:
      return id + " no-op";
    case EntryKind::kPulse:
      return id + " pulse";
    case EntryKind::kOp:
      return id + " \"" + Printable(entry.data, 32) + "\"";
    case EntryKind::kConfig:
      break;
  }
  Config config;
  CHECK(DecodeConfig(entry.data, &config));
  return id + " " + Text(config);
}

void Raft::State::CheckInvariants() const {
  log.CheckInvariants();

  // 1: within one member, the leader of a term is the one that this member voted for.
  if (role == Role::kLeader) {
    CHECK(hard.vote == options.self.node);
    CHECK(leader == options.self.node);
  }
  if (role == Role::kPreCandidate || role == Role::kCandidate) CHECK(leader == kNoNode);
  if (role == Role::kCandidate) CHECK(hard.vote == options.self.node);

  // 2: positions.
  CHECK(commit <= log.last().index);
  CHECK(applied <= commit);
  CHECK(log.base().index <= applied);
  CHECK(log.base().index <= snapshot_id.index);
  CHECK(snapshot_id.index <= applied);
  CHECK(log.last().term <= hard.term);
  if (role == Role::kLeader) CHECK(log.last_time() <= Time());

  // 3: no promise of an older term waits, none waits that is covered, and all keep their order.
  uint64_t before = 0;
  for (const HeldMessage& held : promises) {
    CHECK(held.message.term == hard.term);
    CHECK(held.covered_by > persisted);
    CHECK(held.covered_by >= before);
    before = held.covered_by;
  }
  CHECK(hard.term >= handed_hard.term);

  // 5: only a leader has reads, in order, and none of a round that is still to come but the last.
  CHECK(role == Role::kLeader || (reads.empty() && !round_due));
  for (size_t i = 0; i < reads.size(); ++i) {
    CHECK(i == 0 || reads[i - 1].position < reads[i].position);
    CHECK(i == 0 || reads[i - 1].index <= reads[i].index);
    CHECK(reads[i].position <= read_round + (round_due ? 1 : 0));
    CHECK(reads[i].index <= log.last().index);
  }

  // The leader follows each other member, and nobody else.
  CHECK(role == Role::kLeader || (progress.empty() && transfer_target == kNoNode));
  if (role != Role::kLeader) return;
  size_t others = 0;
  for (const NodeId node : log.config().All()) {
    if (node == options.self.node) continue;
    ++others;
    CHECK(progress.count(node) == 1);
  }
  CHECK(progress.size() == others);
  for (const auto& [node, other] : progress) {
    other.CheckInvariants();
    CHECK(other.match() <= log.last().index);
    CHECK(other.next() <= Next(log.last().index));
    CHECK(other.told_commit() <= commit);
    CHECK(other.read_position() <= read_round);
  }
  // What Propose is bounded by are the entries behind the commit index.
  CHECK((uncommitted_bytes == 0) == (commit == log.last().index));
}

}  // namespace lockstep::raft
