// One Raft node whose peers are the test: what they say is written by hand, what the node says is
// looked at. Its disk finishes nothing until Sync().
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "tests/raft_cluster.h"

namespace lockstep::raft::testing {

inline LogId At(uint64_t term, uint64_t index) {
  return {Term{term}, Index{index}};
}
inline Entry EntryAt(uint64_t term, uint64_t index, Bytes data = {}) {
  const EntryKind kind = data.empty() ? EntryKind::kNoop : EntryKind::kOp;
  return {At(term, index), ClusterTime{0}, kind, std::move(data)};
}
// A log from its terms: {1, 1, 4} is 1/1, 1/2, 4/3.
inline std::vector<Entry> LogOf(const std::vector<uint64_t>& terms) {
  std::vector<Entry> log;
  for (const uint64_t term : terms) log.push_back(EntryAt(term, log.size() + 1));
  return log;
}
inline std::vector<LogId> Ids(const std::vector<Entry>& log) {
  std::vector<LogId> ids;
  for (const Entry& entry : log) ids.push_back(entry.id);
  return ids;
}

// What peers say.
inline VoteRequest StandsWith(LogId last) {
  return {.pre = false, .transfer = false, .last = last};
}
inline VoteReply Grant() {
  return {.pre = false, .granted = true};
}
inline AppendRequest Appends(LogId previous, std::vector<Entry> entries, uint64_t commit = 0) {
  return {previous, Index{commit}, ClusterTime{0}, std::move(entries)};
}
inline AppendRequest Probe(LogId previous, uint64_t commit = 0) {
  return Appends(previous, {}, commit);
}
inline AppendReply Has(uint64_t match) {
  return {true, Index{match}, LogId{}, Index{0}};
}
inline AppendReply Lacks(uint64_t rejected, LogId hint) {
  return {false, Index{0}, hint, Index{rejected}};
}
inline HeartbeatRequest Beat(uint64_t commit = 0, uint64_t read_position = 0) {
  return {Index{commit}, read_position, ClusterTime{0}};
}

class Solo {
 public:
  struct Setup {
    uint64_t voters = 3;
    uint64_t learners = 0;
    uint64_t self = 1;
    HardState hard{};
    std::vector<Entry> log{};
    Options options{};
  };

  explicit Solo(uint64_t voters) : Solo(Setup{.voters = voters}) {}
  explicit Solo(Setup setup) {
    ThrowOnFailedChecks();
    Host::Setup host;
    host.options = setup.options;
    host.options.self = MemberOf(setup.self);
    for (uint64_t n = 1; n <= setup.voters + setup.learners; ++n) {
      Config& config = host.disk.snapshot.config;
      (n <= setup.voters ? config.voters : config.learners).push_back(MemberOf(n));
    }
    host.disk.hard = setup.hard;
    host.disk.entries = std::move(setup.log);
    host.ledger = &ledger_;
    host_.emplace(std::move(host), now_);
  }

  Raft& raft() { return host_->raft(); }
  Host& host() { return *host_; }
  Ledger& ledger() { return ledger_; }
  MonoTime now() const { return now_; }

  // Each input gives what it made the node say.
  std::vector<Message> Step(uint64_t from, uint64_t term, Body body) {
    raft().Step(now_, {NodeId{from}, NodeId{host_->id()}, Term{term}, std::move(body)});
    return Drain();
  }
  std::vector<Message> Sync() {
    std::vector<Message> said;
    while (host_->writes_pending() > 0) {
      host_->FinishWrite(now_);
      for (Message& message : Drain()) said.push_back(std::move(message));
    }
    return said;
  }
  // One write only.
  std::vector<Message> SyncOne() {
    host_->FinishWrite(now_);
    return Drain();
  }
  std::vector<Message> StepAndSync(uint64_t from, uint64_t term, Body body) {
    std::vector<Message> said = Step(from, term, std::move(body));
    for (Message& message : Sync()) said.push_back(std::move(message));
    return said;
  }
  std::vector<Message> Propose(Bytes data) {
    const auto proposal = raft().Propose(now_, EntryKind::kOp, std::move(data));
    MUST(proposal.refusal == Raft::Refusal::kNone, "a proposal is refused");
    return Drain();
  }
  std::vector<Message> Wait(int64_t us) {
    std::vector<Message> said;
    for (const MonoTime end = now_ + us; now_ < end;) {
      now_ = std::min(end, std::max(now_, raft().NextTick()));
      raft().Tick(now_);
      for (Message& message : Drain()) said.push_back(std::move(message));
    }
    return said;
  }
  // Lets the node lose patience once.
  std::vector<Message> Timeout() {
    now_ = std::max(now_, raft().NextTick());
    raft().Tick(now_);
    return Drain();
  }
  // To candidate of a new term, its vote on disk, its requests in the answer.
  std::vector<Message> Stand() {
    Timeout();
    const uint64_t term = raft().term().value;
    for (const NodeId peer : raft().config().All()) {
      if (raft().role() != Role::kPreCandidate || peer == host_->id()) continue;
      Step(peer.value, term, VoteReply{.pre = true, .granted = true});
    }
    MUST(raft().role() == Role::kCandidate || raft().role() == Role::kLeader || !raft().is_leader(),
         "the node does not stand");
    return Sync();
  }
  // To leader, with all that the votes of its peers need; the entry of its term is on its own disk.
  std::vector<Message> Lead() {
    Stand();
    const uint64_t term = raft().term().value;
    for (const NodeId peer : raft().config().All()) {
      if (raft().is_leader() || peer == host_->id()) continue;
      Step(peer.value, term, VoteReply{.pre = false, .granted = true});
    }
    MUST(raft().is_leader(), "the node does not lead");
    return Sync();
  }
  // A follower says that it has everything up to `match`.
  std::vector<Message> Ack(uint64_t from, uint64_t match) {
    return Step(from, raft().term().value, Has(match));
  }
  std::vector<Message> Drain() {
    host_->Drain(now_);
    return host_->TakeOutbox();
  }

 private:
  Ledger ledger_;
  MonoTime now_;
  std::optional<Host> host_;
};

// The messages of one kind among `messages`.
template <class T>
std::vector<Message> Only(const std::vector<Message>& messages) {
  std::vector<Message> only;
  for (const Message& message : messages) {
    if (std::holds_alternative<T>(message.body)) only.push_back(message);
  }
  return only;
}
template <class T>
std::optional<Message> Find(const std::vector<Message>& messages, uint64_t to) {
  for (const Message& message : messages) {
    if (std::holds_alternative<T>(message.body) && message.to == NodeId{to}) return message;
  }
  return std::nullopt;
}
template <class T>
T BodyOf(const std::optional<Message>& message) {
  MUST(message.has_value(), "there is no such message");
  return std::get<T>(message->body);
}

}  // namespace lockstep::raft::testing
