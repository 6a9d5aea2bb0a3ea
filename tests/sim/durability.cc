#include "tests/sim/durability.h"

#include "cluster/bus/envelope.h"
#include "cluster/raft/raft.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

void Durability::OnFrame(const Process& from, NodeId to, BytesView body) {
  const Result<bus::Envelope> envelope = bus::DecodeEnvelope(body);
  CHECK_SIM(envelope.ok(), "node %lu sends what is no message: %s", from.id().value,
            envelope.error().message.c_str());
  if (envelope->header.type == bus::MessageType::kRaft) OnPromise(from, to, *envelope);
  if (envelope->header.type == bus::MessageType::kFetched) {
    ++world_->counters()[Count::kBodiesFetched];
  }
}

void Durability::OnPromise(const Process& from, NodeId to, const bus::Envelope& envelope) {
  // Entries and pieces of snapshots promise nothing, and to decode them is dear.
  const raft::Body append = raft::AppendRequest{};
  const raft::Body piece = raft::SnapshotChunk{};
  const auto type = static_cast<size_t>(envelope.data.empty() ? 0 : envelope.data[0]);
  if (type == append.index() || type == piece.index()) return;
  Reader in(envelope.data);
  raft::Body body;
  CHECK_SIM(raft::DecodeBody(&in, &body), "node %lu sends what does not decode", from.id().value);

  const GroupId group = envelope.header.group;
  const Term term = envelope.header.term;
  const raft::HardState hard = from.disk().log().hard(group);
  const auto votes_for = [&](NodeId candidate) {
    ++world_->counters()[Count::kPromisesChecked];
    CHECK_SIM(hard.term > term || (hard.term == term && hard.vote == candidate),
              "node %lu votes for %lu in term %lu of group %lu; its disk says %lu in term %lu",
              from.id().value, candidate.value, term.value, group.value, hard.vote.value,
              hard.term.value);
  };
  if (const auto* vote = std::get_if<raft::VoteReply>(&body)) {
    if (vote->granted && !vote->pre) votes_for(to);
  } else if (const auto* request = std::get_if<raft::VoteRequest>(&body)) {
    if (!request->pre) votes_for(from.id());
  } else if (const auto* reply = std::get_if<raft::AppendReply>(&body)) {
    if (reply->success) Acknowledges(from, group, reply->match);
  } else if (const auto* installed = std::get_if<raft::SnapshotReply>(&body)) {
    if (installed->installed) Acknowledges(from, group, installed->match);
  }
}

void Durability::Acknowledges(const Process& from, GroupId group, Index match) {
  ++world_->counters()[Count::kPromisesChecked];
  const DiskLog& disk = from.disk().log();
  CHECK_SIM(match <= disk.snapshot(group) || disk.TermAt(group, match),
            "node %lu acknowledges %lu of group %lu; its disk ends at %lu", from.id().value,
            match.value, group.value, disk.last(group).value);
}

void Durability::OnCommit(const Process& leader, GroupId group, const raft::Raft& raft) {
  if (raft.commit() < raft.first_index()) return;
  const raft::LogId id = raft.entry(raft.commit()).id;
  CHECK_SIM(id.term == raft.term(),
            "leader %lu of term %lu in group %lu commits %lu of term %lu by counting",
            leader.id().value, raft.term().value, group.value, id.index.value, id.term.value);
  const raft::Config& config = raft.config();
  const bool decided = MajorityHas(config.voters, group, id) &&
                       (!config.joint() || MajorityHas(config.outgoing, group, id));
  CHECK_SIM(decided, "leader %lu commits %lu of group %lu, which no majority has on disk",
            leader.id().value, id.index.value, group.value);
  ++world_->counters()[Count::kMajoritiesChecked];
}

// A disk that is gone may have had it: what was lost with it is no node's fault.
bool Durability::MajorityHas(const std::vector<raft::Member>& voters, GroupId group,
                             raft::LogId id) const {
  size_t have = 0;
  for (const raft::Member& voter : voters) {
    const Process* process = world_->FindProcess(voter.node);
    const bool gone = process == nullptr || process->disk_id() != voter.disk;
    if (gone || process->disk().log().Has(group, id)) ++have;
  }
  return have > voters.size() / 2;
}

void Durability::OnStart(const Process& process) {
  for (const GroupId id : {kControlGroup, kLocksGroup}) {
    const raft::Raft* raft = process.node()->group(id);
    const Index last = process.disk().log().last(id);
    CHECK_SIM(last.value == 0 || (raft != nullptr && raft->last().index >= last),
              "node %lu starts without what its disk has of group %lu up to %lu",
              process.id().value, id.value, last.value);
  }
}

}  // namespace lockstep::sim
