// Snapshots: pieces out to a follower that needs what is compacted away, pieces in, installing, and
// compaction itself (§5).
#include <algorithm>

#include "cluster/raft/state.h"
#include "src/base/crc32c.h"
#include "src/base/limits.h"
#include "src/base/planted.h"

namespace lockstep::raft {

// Out -------------------------------------------------------------------------------------------

void Raft::State::BeginSnapshot(NodeId to, Progress* other) {
  RAFT_SAYS("snapshot for %lu: it needs %lu, the log begins at %lu", to.value, other->next().value,
            log.first_index().value);
  other->BecomeSnapshot(now);
  // One that is under way to another follower will do, if the log goes on from it.
  const auto source = outgoing.lock();
  if (source != nullptr && source->snapshot.last.index >= log.base().index) {
    other->transfer().source = source;
    other->transfer().ask = true;
  } else if (!snapshot_asked) {
    snapshot_asked = wants_snapshot = true;
  }
}

void Raft::State::ProvideSnapshot(Snapshot snapshot) {
  snapshot_asked = false;
  if (role != Role::kLeader) return;
  const Index at = snapshot.last.index;
  const auto waits = [](const Progress& other) {
    return other.mode() == Progress::Mode::kSnapshot && other.transfer().source == nullptr;
  };
  const bool wanted = std::any_of(progress.begin(), progress.end(),
                                  [&](const auto& other) { return waits(other.second); });
  if (!wanted) return;
  if (at < log.base().index) {
    // The log was compacted while it was made: it would lead nowhere.
    snapshot_asked = wants_snapshot = true;
    return;
  }
  CHECK_SAYS(at <= applied, "a snapshot at %lu, applied is %lu", at.value, applied.value);
  CHECK(snapshot.last == log.IdAt(at));
  if (snapshot.data.size() > kSnapshotBytesMax) {
    LOCKSTEP_LOG(kError,
                 "a snapshot of %zu bytes is over the limit of %lu: followers that need it "
                 "stay behind",
                 snapshot.data.size(), kSnapshotBytesMax);
    return;
  }

  // Applied, so committed, and with it the configuration as of there (trap 24).
  snapshot.config = log.ConfigAt(at);
  auto made = std::make_shared<OutgoingSnapshot>();
  made->checksum = Crc32c(snapshot.data);
  made->snapshot = std::move(snapshot);
  const std::shared_ptr<const OutgoingSnapshot> source = std::move(made);
  outgoing = source;
  for (auto& [node, other] : progress) {
    if (!waits(other)) continue;
    other.transfer().source = source;
    other.transfer().ask = true;
    other.OnTransferProgress(now);
  }
}

void Raft::State::SendChunk(NodeId to, Progress* other) {
  SnapshotTransfer& transfer = other->transfer();
  const Snapshot& snapshot = transfer.source->snapshot;
  SnapshotChunk chunk;
  chunk.last = snapshot.last;
  chunk.time = snapshot.time;
  chunk.config = snapshot.config;
  chunk.offset = transfer.next;
  chunk.total = snapshot.data.size();
  chunk.checksum = transfer.source->checksum;
  // Empty at the end: asks whether all of it is on disk by now.
  chunk.data = snapshot.data.substr(transfer.next, kSnapshotChunkBytes);
  transfer.next += chunk.data.size();
  transfer.ask = false;
  Send(to, std::move(chunk));
}

void Raft::State::OnSnapshotReply(const Message& m, const SnapshotReply& reply) {
  Progress* other = ProgressOf(m.from);
  if (other == nullptr) return;
  if (reply.installed) {
    RAFT_SAYS("%lu has all up to %lu", m.from.value, reply.match.value);
    return OnMatch(m.from, other, reply.match);
  }
  SnapshotTransfer& transfer = other->transfer();
  if (transfer.source == nullptr || transfer.source->snapshot.last != reply.last) return;
  if (reply.offset > transfer.source->snapshot.data.size()) return;

  const bool goes_on = reply.offset > transfer.acked;
  const bool begins_anew = reply.offset < transfer.acked && transfer.resent;
  if (!goes_on && !begins_anew) return;
  transfer.acked = reply.offset;
  transfer.next = begins_anew ? reply.offset : std::max(transfer.next, reply.offset);
  transfer.resent = false;
  other->OnTransferProgress(now);
}

// A follower that is gone must not hold the snapshot's memory for ever. When it is back it is
// probed, and begins again.
void Raft::State::GiveUpIdleTransfers() {
  for (auto& [node, other] : progress) {
    if (other.mode() != Progress::Mode::kSnapshot) continue;
    if (other.IsActive(now, kSnapshotPatience * options.election_timeout_us)) continue;
    RAFT_SAYS("give up the snapshot for %lu: nothing heard from it", node.value);
    other.BecomeProbe(other.next(), now);
  }
}

// In --------------------------------------------------------------------------------------------

void Raft::State::OnSnapshotChunk(const Message& m, const SnapshotChunk& chunk) {
  FollowLeader(m);
  HearTime(m.term, chunk.time);
  // What we have committed is at least as new (trap 29). It may be ahead of our disk, so the answer
  // waits for it.
  if (chunk.last.index <= commit && !Planted(Mutant::kOldSnapshotInstalled)) {
    return Promise(
        m.from, SnapshotReply{
                    .last = chunk.last, .offset = chunk.total, .installed = true, .match = commit});
  }
  if (chunk.last == offered_id) {  // It is here, and the host is not ready yet.
    return Send(m.from, SnapshotReply{.last = chunk.last,
                                      .offset = chunk.total,
                                      .installed = false,
                                      .match = {}});
  }
  if (chunk.last.index < offered_id.index || !TakeChunk(chunk)) return;

  const uint64_t received = incoming->snapshot.data.size();
  const bool complete = received == incoming->total;
  if (complete && Crc32c(incoming->snapshot.data) != incoming->checksum) {
    RAFT_SAYS("drop snapshot %s from %lu: its checksum does not match", Text(chunk.last).c_str(),
              m.from.value);
    incoming.reset();
    return Send(m.from,
                SnapshotReply{.last = chunk.last, .offset = 0, .installed = false, .match = {}});
  }
  Send(m.from,
       SnapshotReply{.last = chunk.last, .offset = received, .installed = false, .match = {}});
  if (!complete) return;
  Snapshot snapshot = std::move(incoming->snapshot);
  incoming.reset();
  if (!options.offers_snapshots) return Install(std::move(snapshot), m.from);
  offered_id = snapshot.last;
  offered_by = m.from;
  offered = std::move(snapshot);
}

void Raft::State::AcceptSnapshot(Snapshot snapshot) {
  if (snapshot.last != offered_id) return;  // A newer one has come.
  offered_id = {};
  if (snapshot.last.index > commit) Install(std::move(snapshot), offered_by);
}

// Adds the piece if it is the next one. False: it belongs to a snapshot older than the one that is
// coming in. Memory grows with what has arrived, not with what is announced.
bool Raft::State::TakeChunk(const SnapshotChunk& chunk) {
  if (chunk.total > kSnapshotBytesMax) return false;
  if (incoming && chunk.last.index < incoming->snapshot.last.index) return false;
  const bool continues = incoming && incoming->snapshot.last == chunk.last &&
                         incoming->total == chunk.total && incoming->checksum == chunk.checksum;
  if (!continues) {
    incoming.emplace();
    incoming->snapshot.last = chunk.last;
    incoming->snapshot.time = chunk.time;
    incoming->snapshot.config = chunk.config;
    incoming->total = chunk.total;
    incoming->checksum = chunk.checksum;
  }
  Bytes& data = incoming->snapshot.data;
  const bool is_next = chunk.offset == data.size();
  const bool fits = chunk.data.size() <= chunk.total - data.size();
  if (is_next && fits) data += chunk.data;
  return true;
}

// `snapshot` is whole and newer than what we have committed.
void Raft::State::Install(Snapshot snapshot, NodeId from) {
  const LogId last = snapshot.last;
  if (log.Matches(last)) {
    // Our log has that very entry: it tells what to apply, and what follows it is kept (figure 13).
    RAFT_SAYS("no need of snapshot %s from %lu: the log has it", Text(last).c_str(), from.value);
    CommitTo(last.index);
  } else {
    RAFT_SAYS("install snapshot %s from %lu: our log ends at %s", Text(last).c_str(), from.value,
              Text(log.last()).c_str());
    log.ReplaceBy(snapshot);
    commit = applied = last.index;
    snapshot_id = last;
    install = std::move(snapshot);
  }
  Promise(from, SnapshotReply{.last = last, .offset = 0, .installed = true, .match = last.index});
}

// Compaction ------------------------------------------------------------------------------------

void Raft::State::Compact(Index to, size_t keep, size_t keep_bytes) {
  CHECK_SAYS(to <= applied, "compact to %lu, applied is %lu", to.value, applied.value);
  if (to <= snapshot_id.index) return;
  snapshot_id = log.IdAt(to);

  Index cut = std::min(to, log.BeforeTail(keep, keep_bytes));
  // A follower that takes a snapshot goes on with the entry behind it. While the transfer moves,
  // that one stays, or the next snapshot would have to follow, and the next.
  for (const auto& [node, other] : progress) {
    const auto& source = other.transfer().source;
    const int64_t quiet_us = now - other.quiet_since();
    if (source == nullptr || quiet_us > kSnapshotPatience * options.election_timeout_us) continue;
    cut = std::min(cut, source->snapshot.last.index);
  }
  log.CompactTo(cut);
}

}  // namespace lockstep::raft
