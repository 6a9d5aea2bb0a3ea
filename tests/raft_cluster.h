// A group of Raft nodes in one process: one virtual clock, a network that can lose, repeat, delay
// and cut, disks that take their time, crashes. Every step is followed by the checks of Host and
// Ledger and by one of its own: what a leader commits is on the disks of a quorum.
//
// As it comes, messages and writes take no time and nothing is lost: Settle() lets everything
// happen that needs no timeout. Tests then take away what they are about.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "src/base/rng.h"
#include "tests/raft_host.h"

namespace lockstep::raft::testing {

inline Member MemberOf(uint64_t node, uint64_t life = 0) {
  return {NodeId{node}, DiskId{node * 100 + life}};
}
inline std::vector<Member> MembersOf(std::initializer_list<uint64_t> nodes) {
  std::vector<Member> members;
  for (const uint64_t node : nodes) members.push_back(MemberOf(node));
  return members;
}

// How the world misbehaves. Parts in a million; microseconds.
struct Faults {
  uint64_t lose = 0;
  uint64_t repeat = 0;
  int64_t delay_min = 0, delay_max = 0;
  int64_t write_min = 0, write_max = 0;
  uint64_t lazy = 0;  // A host that handles several inputs before it drains.
};

class Cluster {
 public:
  struct Setup {
    uint64_t voters = 3;
    uint64_t learners = 0;
    uint64_t outsiders = 0;  // Up, but no members yet: they know no membership.
    uint64_t seed = 1;
    Options options{};
    std::function<Narrator*(NodeId)> narrator{};
    std::function<void(uint64_t, DiskImage*)> prior{};  // What a disk holds before the start.
  };

  explicit Cluster(uint64_t voters) : Cluster(Setup{.voters = voters}) {}
  explicit Cluster(Setup setup) : setup_(std::move(setup)), rng_(setup_.seed) {
    ThrowOnFailedChecks();
    Config bootstrap;
    for (uint64_t n = 1; n <= setup_.voters + setup_.learners; ++n) {
      (n <= setup_.voters ? bootstrap.voters : bootstrap.learners).push_back(MemberOf(n));
    }
    const uint64_t all = setup_.voters + setup_.learners + setup_.outsiders;
    for (uint64_t n = 1; n <= all; ++n) {
      AddHost(n, n <= setup_.voters + setup_.learners ? bootstrap : Config{});
    }
  }

  // Nodes. -----------------------------------------------------------------------------------
  Host& host(uint64_t n) { return *node(n).host; }
  Raft& operator[](uint64_t n) { return host(n).raft(); }
  uint64_t size() const { return nodes_.size(); }
  Ledger& ledger() { return ledger_; }
  MonoTime now() const { return now_; }
  Faults faults;

  // The leader of the highest term among nodes that are up; 0 if there is none.
  uint64_t leader() {
    uint64_t leader = 0;
    for (uint64_t n = 1; n <= size(); ++n) {
      if (!host(n).up() || !(*this)[n].is_leader()) continue;
      if (leader == 0 || (*this)[n].term() > (*this)[leader].term()) leader = n;
    }
    return leader;
  }

  // What clients and operators do. -----------------------------------------------------------
  Raft::Proposal Propose(uint64_t n, const Bytes& data) {
    const Raft::Proposal proposal = (*this)[n].Propose(Clock(n), EntryKind::kOp, data);
    After(n);
    return proposal;
  }
  Raft::Proposal Configure(uint64_t n, std::vector<Member> voters, std::vector<Member> learners) {
    const auto proposal =
        (*this)[n].ProposeConfig(Clock(n), std::move(voters), std::move(learners));
    After(n);
    return proposal;
  }
  uint64_t Read(uint64_t n) {
    const uint64_t position = host(n).Read(Clock(n), ledger_.committed());
    After(n);
    return position;
  }
  bool Transfer(uint64_t from, uint64_t to) {
    const bool begun = (*this)[from].TransferLeadership(Clock(from), NodeId{to});
    After(from);
    return begun;
  }
  void Compact(uint64_t n, size_t keep = 0) {
    host(n).Compact(keep);
    After(n);
  }

  // Proposes at whoever leads until `data` is committed; false if that takes longer than `us`.
  bool Commits(const Bytes& data, int64_t us = 20 * kUsPerSecond) {
    std::set<std::pair<uint64_t, Term>> asked;
    const auto try_it = [&] {
      const uint64_t at = leader();
      if (at != 0 && !asked.contains({at, (*this)[at].term()}) &&
          Propose(at, data).refusal == Raft::Refusal::kNone) {
        asked.insert({at, (*this)[at].term()});
      }
      return ledger_.HasCommitted(data);
    };
    return RunUntil(try_it, us);
  }

  void Unreachable(uint64_t n, uint64_t peer) {
    (*this)[n].Unreachable(NodeId{peer});
    After(n);
  }

  // Faults. ----------------------------------------------------------------------------------
  void CutOneWay(uint64_t from, uint64_t to) { cut_.insert({NodeId{from}, NodeId{to}}); }
  void Cut(uint64_t a, uint64_t b) {
    CutOneWay(a, b);
    CutOneWay(b, a);
  }
  void Isolate(uint64_t n) {
    for (uint64_t other = 1; other <= size(); ++other) {
      if (other != n) Cut(n, other);
    }
  }
  void HealOneWay(uint64_t from, uint64_t to) { cut_.erase({NodeId{from}, NodeId{to}}); }
  void Heal() { cut_.clear(); }
  void Heal(uint64_t n) {
    std::erase_if(cut_, [&](const auto& link) {
      return link.first == NodeId{n} || link.second == NodeId{n};
    });
  }
  bool IsCut(NodeId from, NodeId to) const { return cut_.contains({from, to}); }
  // Messages for which `hold` is true stay on the wire until Release().
  using Filter = std::function<bool(const Message&)>;
  void Hold(Filter hold) { hold_ = std::move(hold); }
  void Release() {
    hold_ = nullptr;
    for (Flight& flight : std::exchange(held_, {})) Fly(now_, std::move(flight));
  }
  // Forgets what is on the wire, held or not.
  void LoseAll() {
    wire_.clear();
    held_.clear();
  }
  size_t held() const { return held_.size(); }
  const Message& HeldMessage(size_t i) const { return held_[i].message; }
  // Once more, as a network may repeat what it has carried before.
  void Repeat(const Message& message) { Fly(now_, {message, host(message.from.value).self()}); }

  // A held disk finishes nothing by itself.
  void HoldDisk(uint64_t n) { node(n).disk_held = true; }
  void ReleaseDisk(uint64_t n) {
    node(n).disk_held = false;
    ScheduleWrite(n);
  }
  void FinishWrite(uint64_t n) {
    host(n).FinishWrite(Clock(n));
    After(n);
  }
  void Crash(uint64_t n, size_t landed = 0) {
    host(n).Crash(landed);
    node(n).write_due.reset();
    node(n).dirty = false;
  }
  void Restart(uint64_t n) {
    host(n).Restart(Clock(n));
    Started(n);
  }
  void RestartEmptied(uint64_t n) {
    host(n).RestartEmptied(Clock(n), MemberOf(n, ++node(n).lives).disk);
    Started(n);
  }
  // A paused process notices nothing; what is sent to it waits.
  void Pause(uint64_t n) { node(n).paused = true; }
  void Resume(uint64_t n) { node(n).paused = false; }

  // What node n's own clock shows. Clocks start anywhere and need not run at one rate.
  MonoTime Clock(uint64_t n) {
    return MonoTime{node(n).clock_start + now_.us * node(n).clock_rate / 1000};
  }
  // `rate` in thousandths: 1010 gains a hundredth. Only while the node is down or has just started.
  void SetClock(uint64_t n, int64_t start, int64_t rate) {
    node(n).clock_start = start;
    node(n).clock_rate = rate;
  }

  // Time. ------------------------------------------------------------------------------------

  // All that happens without a timeout: deliveries and writes that are due by now.
  void Settle() {
    for (int64_t steps = 0; HappenBy(now_); ++steps) {
      MUST(steps < 1'000'000, "the group never comes to rest");
    }
  }
  void RunFor(int64_t us) {
    RunUntil([] { return false; }, us);
  }
  void RunForMs(int64_t ms) { RunFor(ms * kUsPerMs); }
  // Lets time pass until `done`, at most for `us`. Whether it was done.
  template <class Done>
  bool RunUntil(Done done, int64_t us) {
    const MonoTime end = now_ + us;
    for (int64_t steps = 0;; ++steps) {
      MUST(steps < 10'000'000, "the group does not let time pass");
      Settle();
      if (done()) return true;
      const MonoTime next = std::min(NextEvent(), end);
      now_ = std::max(now_, next);
      TickAll();
      if (now_ >= end) {
        Settle();
        return done();
      }
    }
  }
  bool RunUntilLeader(int64_t us = 20 * kUsPerSecond) {
    return RunUntil([&] { return leader() != 0; }, us);
  }
  // Time passes, and nobody looks at a clock: no heartbeat is sent, no timeout noticed.
  void Pass(int64_t us) { now_ = now_ + us; }
  // Node n's clock runs ahead until it loses patience with its leader; for the others no time
  // passes.
  void LosePatience(uint64_t n) {
    MUST((*this)[n].NextTick() != kNeverMono, "node %lu waits for nothing", N(NodeId{n}));
    node(n).clock_start += std::max(int64_t{0}, (*this)[n].NextTick() - Clock(n));
    (*this)[n].Tick(Clock(n));
    After(n);
  }
  // Time passes for all until node n loses patience; only it looks at its clock.
  void Timeout(uint64_t n) {
    const Role before = (*this)[n].role();
    const Term term = (*this)[n].term();
    for (int i = 0; i < 100; ++i) {
      MUST((*this)[n].NextTick() != kNeverMono, "node %lu waits for nothing", N(NodeId{n}));
      now_ = std::max(now_, DueAt(n));
      (*this)[n].Tick(Clock(n));
      After(n);
      if ((*this)[n].role() != before || (*this)[n].term() != term) return;
      if (before != Role::kFollower) return;
    }
  }
  // Node n stands for election and wins; for the groups in which it must.
  void Elect(uint64_t n) {
    Timeout(n);
    Settle();
    MUST((*this)[n].is_leader(), "node %lu was not elected: it is %s in term %lu", N(NodeId{n}),
         RoleName((*this)[n].role()), N((*this)[n].term()));
  }

 private:
  struct Node {
    std::unique_ptr<Host> host;
    std::optional<MonoTime> write_due;
    bool disk_held = false;
    bool paused = false;
    bool dirty = false;  // Its outputs have not been drained yet.
    uint64_t lives = 0;
    int64_t clock_start = 0;
    int64_t clock_rate = 1000;
    Index commit_seen;
    ClusterTime time_seen;  // When it was last looked at,
    Term led_in;            // and the term in which it led then, if it did.
  };
  struct Flight {
    Message message;
    Member sender;
  };

  Node& node(uint64_t n) { return nodes_.at(n); }

  void AddHost(uint64_t n, const Config& bootstrap) {
    Host::Setup setup;
    setup.options = setup_.options;
    setup.options.self = MemberOf(n);
    setup.options.seed = setup_.seed * 1'000'003 + n * 1009;
    setup.disk.snapshot.config = bootstrap;
    if (setup_.prior) setup_.prior(n, &setup.disk);
    setup.ledger = &ledger_;
    setup.narrator = setup_.narrator ? setup_.narrator(NodeId{n}) : nullptr;
    nodes_[n].host = std::make_unique<Host>(std::move(setup), now_);
  }

  void Started(uint64_t n) {
    node(n).commit_seen = (*this)[n].commit();
    node(n).led_in = Term{0};
    After(n);
  }
  // After every input of a node: let out what it has, look at what it did.
  void After(uint64_t n) {
    Node& at = node(n);
    at.host->LookOver();
    CheckCommits(n);
    CheckTime(n);
    at.dirty = faults.lazy > 0 && rng_.ChanceInMillion(faults.lazy);
    if (!at.dirty) DrainNow(n);
  }
  void DrainNow(uint64_t n) {
    Node& at = node(n);
    at.dirty = false;
    at.host->Drain(Clock(n));
    CheckCommits(n);
    for (Message& message : at.host->TakeOutbox()) Send({std::move(message), at.host->self()});
    ScheduleWrite(n);
  }
  void ScheduleWrite(uint64_t n) {
    Node& at = node(n);
    if (at.host->writes_pending() == 0 || at.write_due.has_value() || at.disk_held) return;
    at.write_due = now_ + rng_.Between(faults.write_min, faults.write_max);
  }

  // What a leader says is committed is on the disks of a majority of each half of its config.
  void CheckCommits(uint64_t n) {
    Node& at = node(n);
    const Raft& raft = at.host->raft();
    const Index commit = raft.commit();
    if (commit <= at.commit_seen) return;
    at.commit_seen = commit;
    if (!raft.is_leader() || commit < raft.first_index()) return;
    const LogId id = raft.entry(commit).id;
    CheckHeldBy(raft.config().voters, id);
    if (raft.config().joint()) CheckHeldBy(raft.config().outgoing, id);
  }
  // Cluster time is time under leaders: it never outruns the fastest clock, and a leader's never
  // falls. A follower's may, when it hears from the next leader: the one before may have been
  // deposed without knowing, and its time ran on.
  void CheckTime(uint64_t n) {
    Node& at = node(n);
    fastest_ = std::max(fastest_, at.clock_rate);
    const ClusterTime time = at.host->raft().time(Clock(n));
    const Term leads_in = at.host->raft().is_leader() ? at.host->raft().term() : Term{0};
    MUST(leads_in == Term{0} || leads_in != at.led_in || time >= at.time_seen,
         "the time of leader %lu falls", N(NodeId{n}));
    MUST(time.ms <= now_.us * fastest_ / 1000 / kUsPerMs + 1,
         "node %lu says it is %ld ms, the group is %ld ms old", N(NodeId{n}),
         static_cast<long>(time.ms), static_cast<long>(now_.us / kUsPerMs));
    at.time_seen = time;
    at.led_in = leads_in;
  }
  void CheckHeldBy(const std::vector<Member>& voters, LogId id) {
    const auto held = std::count_if(voters.begin(), voters.end(), [&](const Member& member) {
      return host(member.node.value).EverHeld(id);
    });
    MUST(static_cast<size_t>(held) > voters.size() / 2, "%s is committed, but on %ld disks of %lu",
         Text(id).c_str(), static_cast<long>(held), static_cast<unsigned long>(voters.size()));
  }

  void Send(Flight flight) {
    if (hold_ && hold_(flight.message)) return held_.push_back(std::move(flight));
    if (IsCut(flight.message.from, flight.message.to)) return;
    if (faults.lose > 0 && rng_.ChanceInMillion(faults.lose)) return;
    if (faults.repeat > 0 && rng_.ChanceInMillion(faults.repeat)) Fly(Arrival(), flight);
    const MonoTime arrival = Arrival();
    Fly(arrival, std::move(flight));
  }
  MonoTime Arrival() { return now_ + rng_.Between(faults.delay_min, faults.delay_max); }
  void Fly(MonoTime arrival, Flight flight) { wire_.emplace(arrival, std::move(flight)); }

  // One thing that is due by `now`; false if there is none.
  bool HappenBy(MonoTime now) {
    for (auto& [n, at] : nodes_) {
      if (at.dirty && !at.paused) return DrainNow(n), true;
      if (at.paused || !at.write_due.has_value() || *at.write_due > now) continue;
      at.write_due.reset();
      at.host->FinishWrite(Clock(n));
      return After(n), true;
    }
    for (auto it = wire_.begin(); it != wire_.end() && it->first <= now; ++it) {
      if (node(it->second.message.to.value).paused) continue;
      const Flight flight = std::move(it->second);
      wire_.erase(it);
      Deliver(flight);
      return true;
    }
    return false;
  }
  // As it comes out of the wire's encoding.
  static Message Carried(const Message& message) {
    Bytes bytes;
    Writer writer(&bytes);
    EncodeBody(message.body, &writer);
    Reader reader(bytes);
    Message carried{message.from, message.to, message.term, {}};
    MUST(DecodeBody(&reader, &carried.body) && reader.done() && carried == message,
         "a %s does not survive its encoding", TypeName(message.body));
    return carried;
  }
  static bool IsReply(const Body& body) {
    return std::holds_alternative<VoteReply>(body) || std::holds_alternative<AppendReply>(body) ||
           std::holds_alternative<HeartbeatReply>(body) ||
           std::holds_alternative<SnapshotReply>(body);
  }
  void Deliver(const Flight& flight) {
    const Message& message = flight.message;
    Node& to = node(message.to.value);
    if (!to.host->up() || IsCut(message.from, message.to)) return;
    // The host's part of the contract: what counts as a member's promise comes from that member's
    // disk. Requests prove themselves by their term: a node that is far behind may know its leader
    // by a disk that it no longer has.
    const DiskId known = to.host->raft().config().DiskOf(message.from);
    if (IsReply(message.body) && known != DiskId{0} && known != flight.sender.disk) return;
    to.host->raft().Step(Clock(message.to.value), Carried(message));
    After(message.to.value);
  }

  // When node n's clock will show what it waits for.
  MonoTime DueAt(uint64_t n) {
    const MonoTime due = host(n).raft().NextTick();
    if (due == kNeverMono) return kNeverMono;
    const int64_t wait = std::max(int64_t{0}, due.us - node(n).clock_start) * 1000;
    return MonoTime{(wait + node(n).clock_rate - 1) / node(n).clock_rate};
  }
  MonoTime NextEvent() {
    MonoTime next = kNeverMono;
    for (auto& [n, at] : nodes_) {
      if (!at.host->up() || at.paused) continue;
      next = std::min(next, DueAt(n));
      if (at.write_due.has_value()) next = std::min(next, *at.write_due);
    }
    for (const auto& [due, flight] : wire_) {
      if (node(flight.message.to.value).paused) continue;
      next = std::min(next, due);
      break;
    }
    return next;
  }
  void TickAll() {
    for (auto& [n, at] : nodes_) {
      if (!at.host->up() || at.paused || DueAt(n) > now_) continue;
      at.host->raft().Tick(Clock(n));
      MUST(DueAt(n) > now_, "node %lu is due again at the same moment", N(NodeId{n}));
      After(n);
    }
  }

  Setup setup_;
  Rng rng_;
  MonoTime now_;
  int64_t fastest_ = 1000;
  Ledger ledger_;
  std::map<uint64_t, Node> nodes_;
  std::multimap<MonoTime, Flight> wire_;
  std::vector<Flight> held_;
  Filter hold_;
  std::set<std::pair<NodeId, NodeId>> cut_;
};

}  // namespace lockstep::raft::testing
