#include "tests/sim/run.h"

#include <algorithm>
#include <exception>

#include "cluster/raft/raft.h"
#include "commands/control_machine.h"
#include "commands/replica.h"
#include "tests/sim/cache_checker.h"

namespace lockstep::sim {
namespace {

constexpr int64_t kSecond = kUsPerSecond;
constexpr size_t kLastKeysMax = 20;

}  // namespace

Run::Run(uint64_t seed, bool narrating, Plan plan)
    : world_(seed, narrating, std::move(plan)), locks_(&world_), nemesis_(&world_) {}

Run::~Run() = default;

void Run::Go() {
  Setup();
  Safety();
  Liveness();
  FinalReads();
  BodiesAreThere();
  QueuesAreEmptied();
  KeysAgree();
  LocksEndByTime();
  world_.checker().LookOver();
  locks_.Check();
}

Ending Run::GoToTheEnd() {
  SetCheckFailureHook([](const Bytes& what) { throw Failure{what}; });
  Ending ending;
  ending.failed = true;
  try {
    Go();
    ending.failed = false;
  } catch (const Failure& failure) {
    ending.what = failure.what;
  } catch (const std::exception& exception) {
    ending.what = Format("exception: %s", exception.what());
  }
  ending.parts = world_.parts();
  return ending;
}

void Run::Setup() {
  const Swarm& swarm = world_.swarm();
  world_.Say("%zu nodes, election timeout %ld ms, snapshot every %ld entries, %s links",
             swarm.nodes, swarm.election_timeout_ms, swarm.snapshot_entries,
             swarm.harsh_links ? "harsh" : "tame");
  std::vector<NodeId> nodes;
  for (uint64_t id = 1; id <= swarm.nodes; ++id) nodes.push_back(NodeId{id});
  for (const NodeId id : nodes) {
    Process* process = &world_.AddProcess(id, nodes);
    world_.events().After(world_.rng().Between(0, 300'000), [process] { process->Start(); });
  }
  SetupActors();
}

void Run::SetupActors() {
  const Swarm& swarm = world_.swarm();
  size_t part = 0;
  for (size_t work = 0; work < swarm.actors.size(); ++work) {
    for (uint32_t number = 0; number < swarm.actors[work]; ++number) {
      const Bytes name = Format("a%zu", part++);
      if (!world_.Happens(name)) continue;
      actors_.push_back(MakeActor(static_cast<Work>(work), &world_, &locks_, number));
      world_.set_at_part(true);
      world_.Say("%s: %s", name.c_str(), actors_.back()->owner().c_str());
      world_.set_at_part(false);
    }
  }
}

void Run::Safety() {
  for (const auto& actor : actors_) actor->Start();
  nemesis_.Start();
  world_.events().RunUntil(world_.now_us() + world_.swarm().safety_ms * kUsPerMs);
}

bool Run::ActorsIdle() const {
  return std::all_of(actors_.begin(), actors_.end(),
                     [](const auto& actor) { return actor->idle(); });
}

Bytes Run::WhoIsBusy() const {
  Bytes names;
  for (const auto& actor : actors_) {
    if (!actor->idle()) names += actor->owner() + " ";
  }
  return names;
}

void Run::Within(int64_t us, const char* what, const std::function<bool()>& done,
                 const std::function<Bytes()>& why) {
  const int64_t until_us = world_.now_us() + us;
  // Asking is dear, so not after every event.
  while (!done()) {
    CHECK_SIM(world_.now_us() < until_us, "%ld s after the faults have ended: %s %s", us / kSecond,
              what, (why ? why() : Disagreement()).c_str());
    world_.events().RunUntil(world_.now_us() + 50 * kUsPerMs);
  }
}

void Run::Liveness() {
  nemesis_.EndFaults();
  world_.events().RunUntil(world_.now_us() + 2 * kSecond);
  Within(60 * kSecond, "a change of members has no end;", [this] { return nemesis_.Settled(); },
         [this] { return nemesis_.membership().WhatIsOpen(); });
  core_ = nemesis_.Core(world_.swarm().core_only);
  world_.events().RunUntil(world_.now_us() + 2 * kSecond);
  for (const auto& actor : actors_) actor->Stop();
  Within(60 * kSecond, "a client still has no answer:", [this] { return ActorsIdle(); },
         [this] { return WhoIsBusy(); });
  ExpectAgreement();
  for (const NodeId node : Serving()) Probe(node);
  Within(10 * kSecond, "a node does not serve;", [this] { return open_probes_ == 0; });
  quiet_ = std::make_unique<Quiet>(&world_, Serving());
  quiet_->Check();
  if (core_.size() < nemesis_.membership().Staying().size()) return;  // Some are away already.
  quiet_->CheckDeath(nemesis_.membership());
  ExpectAgreement();
}

void Run::ExpectAgreement() {
  Within(20 * kSecond, "the nodes do not agree;", [this] { return Disagreement().empty(); });
  // What the operator was told has happened, and nothing else.
  const std::vector<NodeId> staying = nemesis_.membership().Staying();
  CHECK_SIM(world_.Members() == std::set<NodeId>(staying.begin(), staying.end()),
            "the cluster has %zu members, the operator knows of %zu", world_.Members().size(),
            staying.size());
}

// A client of each node: takes a lock and releases it.
void Run::Probe(NodeId node) {
  probes_.push_back(std::make_unique<Session>(&world_));
  Session* session = probes_.back().get();
  session->Prefer(node);
  const Bytes name = Format("probe-%lu", node.value);
  open_probes_ += 2;
  const auto done = [this, node](const Reply* reply, bool) {
    CHECK_SIM(reply != nullptr && reply->kind == Reply::Kind::kInteger && reply->integer > 0,
              "node %lu does not serve after the faults have ended: %s", node.value,
              reply == nullptr ? "no answer" : reply->text.c_str());
    --open_probes_;
  };
  session->Call({"LOCK.ACQUIRE", name, "probe"}, 9 * kSecond, done);
  session->Call({"LOCK.RELEASE", name, "probe"}, 9 * kSecond, done);
}

// Whether CLUSTER ADD or REMOVE happened is not known to whoever got no answer, so we look.
std::vector<NodeId> Run::Serving() const {
  const std::set<NodeId> members = world_.Members();
  std::vector<NodeId> serving;
  std::copy_if(core_.begin(), core_.end(), std::back_inserter(serving),
               [&](NodeId node) { return members.contains(node); });
  return serving;
}

// Who is to keep the group, and whether all of them serve.
std::vector<NodeId> Run::KeepersOf(GroupId id, const Process& process, bool* all_serve) const {
  std::vector<NodeId> serving = Serving();
  *all_serve = true;
  const Replica* control = process.node()->replica(kControlGroup);
  if (!IsShard(id) || control == nullptr) return serving;
  const auto& machine = dynamic_cast<const ControlMachine&>(control->machine());
  const std::vector<NodeId>& placed = machine.placement().at(ShardOf(id));
  std::erase_if(serving, [&placed](NodeId node) {
    return std::find(placed.begin(), placed.end(), node) == placed.end();
  });
  *all_serve = serving.size() == placed.size();
  return serving;
}

Bytes Run::Disagreement() const {
  for (const GroupId id : kGroups) {
    for (const NodeId node : Serving()) {
      const auto& process = world_.processes().at(node);
      if (!process->up() || process->node()->group(id) == nullptr) {
        return Format("node %lu has no group %lu", node.value, id.value);
      }
      const NodeId leader = process->node()->leader(id);
      const auto leads = world_.processes().find(leader);
      const bool is_one = leads != world_.processes().end() && leads->second->running() &&
                          leads->second->node()->group(id)->is_leader();
      if (!is_one) {
        return Format("node %lu knows no leader of group %lu", node.value, id.value);
      }
    }
    size_t leaders = 0;
    if (Serving().empty()) return "nobody serves";
    bool all_serve = false;
    const Process& any = *world_.processes().at(Serving().front());
    const std::vector<NodeId> keepers = KeepersOf(id, any, &all_serve);
    const Process* first = nullptr;
    for (const NodeId node : keepers) {
      const auto& process = world_.processes().at(node);
      const raft::Raft* raft = process->node()->group(id);
      if (raft->is_leader()) ++leaders;
      // Who was elected just now may have more than it knows to be committed.
      if (raft->applied() != raft->last().index) {
        return Format("node %lu has not applied all that it has of group %lu", node.value,
                      id.value);
      }
      if (first == nullptr) first = process.get();
      const auto votes = [raft](NodeId member) { return raft->config().IsVoter(member); };
      if (!std::all_of(keepers.begin(), keepers.end(), votes)) {
        return Format("not all who are to vote in group %lu", id.value);
      }
      if (IsShard(id) && all_serve && raft->config().All().size() > keepers.size()) {
        return Format("group %lu is kept by more than its keepers", id.value);
      }
      const raft::Raft* other = first->node()->group(id);
      if (raft->applied() != other->applied()) {
        return Format("nodes %lu and %lu have applied %lu and %lu of group %lu", node.value,
                      first->id().value, raft->applied().value, other->applied().value, id.value);
      }
      CHECK_SIM(process->node()->replica(id)->Hash() == first->node()->replica(id)->Hash(),
                "nodes %lu and %lu differ in group %lu", node.value, first->id().value, id.value);
    }
    for (const NodeId node : Serving()) {
      const raft::Raft* raft = world_.processes().at(node)->node()->group(id);
      const bool keeps = std::find(keepers.begin(), keepers.end(), node) != keepers.end();
      if (all_serve && !keeps && raft->last().index.value > 0) {
        return Format("node %lu keeps a copy of group %lu, which has moved", node.value, id.value);
      }
    }
    const bool may_lead_elsewhere = IsShard(id) && !all_serve;
    if (leaders != 1 && !may_lead_elsewhere) {
      return Format("group %lu has %zu leaders", id.value, leaders);
    }
  }
  return {};
}

// What is left, seen through every node that is whole.
void Run::FinalReads() {
  for (const auto& actor : actors_) actor->Check();
  ReadAll([](const LockCommand& command, const LockAnswer& answer) {
    CHECK_SIM(answer.waiters == 0, "'%s' has %zu waiters whom nobody will answer",
              command.name().c_str(), answer.waiters);
  });
}

// Nobody renews any more. Past the longest lease every lock must be free: those that were bound
// have lost their connections, and time has ended the others.
void Run::LocksEndByTime() {
  const int64_t longest_ms = locks_.longest_lease_ms() + locks_.longest_lease_ms() / 50;
  world_.events().RunUntil(world_.now_us() + longest_ms * kUsPerMs + 2 * kSecond +
                           world_.swarm().uncertain_after_ms * kUsPerMs);
  ReadAll([this](const LockCommand& command, const LockAnswer& answer) {
    if (locks_.kept().contains(command.name())) return;
    CHECK_SIM(answer.holders.empty(), "'%s' is held by %s still, long past every lease",
              command.name().c_str(), answer.holders.front().owner.c_str());
    ++world_.counters()[Count::kLocksFreeAtLast];
  });
}

// Whoever may come to lead a shard can give all that is in it.
void Run::BodiesAreThere() {
  for (const NodeId id : Serving()) {
    const Process& process = world_.process(id);
    for (uint64_t shard = 0; process.node()->group(ShardGroup(shard)) != nullptr; ++shard) {
      const GroupId group = ShardGroup(shard);
      if (!process.node()->group(group)->config().Contains(id)) continue;
      const Index in_memory = process.node()->group(group)->first_index();
      for (const Index entry :
           process.node()->replica(group)->machine().NeededAfter(Index{0})) {
        if (entry >= in_memory) break;
        CHECK_SIM(process.disk().log().HasData(group, entry),
                  "node %lu lacks entry %lu of shard %lu, and a message needs it", id.value,
                  entry.value, shard);
        ++world_.counters()[Count::kBodiesOnDisk];
      }
    }
  }
}

// Nobody works any more: what is left comes out, as its leases and back-offs end; then the dead.
void Run::QueuesAreEmptied() {
  for (const Bytes& queue : world_.queues().queues()) {
    probes_.push_back(std::make_unique<Session>(&world_));
    const std::vector<NodeId> serving = Serving();
    probes_.back()->Prefer(serving[world_.rng().Below(serving.size())]);
    ++open_queues_;
    Session* const session = probes_.back().get();
    Surely(session, {"DQ.PAUSE", queue, "NONE"},
           [=, this](const Reply&) { Drain(session, queue, false); });
  }
  Within(60 * kSecond, "a queue does not become empty;", [this] { return open_queues_ == 0; },
         [this] { return Format("%zu of them", open_queues_); });
  world_.queues().CheckAll();
}

// Twice, since what was in the hands of a node that died may be found to be lost only now.
void Run::KeysAgree() {
  if (!world_.swarm().has_cache_work) return;
  const std::vector<Bytes> keys = world_.cache().LastKeys(kLastKeysMax);
  ReadEverywhere(keys, [](NodeId, const Bytes&, const Reply&) {});
  // What has ended, or is about to, is shown or not, but hidden from nobody for ever.
  ReadEverywhere(world_.cache().LastKeys(kLastKeysMax, true),
                 [](NodeId, const Bytes&, const Reply&) {});
  std::map<Bytes, std::pair<NodeId, Reply>> seen;
  ReadEverywhere(keys, [&](NodeId node, const Bytes& key, const Reply& value) {
    const auto [first, is_new] = seen.try_emplace(key, node, value);
    const auto& [other, its] = first->second;
    CHECK_SIM(its.is_nil() == value.is_nil() && its.text == value.text,
              "at last nodes %lu and %lu read '%s' as %s and %s", other.value, node.value,
              key.c_str(), its.text.c_str(), value.text.c_str());
    if (!is_new) ++world_.counters()[Count::kLastGets];
  });
  world_.cache().JudgeAll();
}

void Run::ReadEverywhere(const std::vector<Bytes>& keys, const OnValue& on_value) {
  for (const NodeId node : Serving()) {
    probes_.push_back(std::make_unique<Session>(&world_));
    Session* const session = probes_.back().get();
    session->Prefer(node);
    for (const Bytes& key : keys) {
      const Bytes name = Format("%s@%lu", key.c_str(), node.value);
      open_gets_.insert(name);
      const CacheLedger::Ticket ticket = world_.cache().OnCall(key, {});
      world_.cache().OnNode(ticket, node);
      Surely(session, {"GET", key}, [=, this](const Reply& value) {
        CacheOperation told;
        told.told = CacheOperation::Told::kAnswered;
        if (!value.is_nil()) told.seen = value.text;
        world_.cache().OnReturn(ticket, told);
        on_value(node, key, value);
        open_gets_.erase(name);
      });
    }
  }
  Within(30 * kSecond, "a last GET has no answer:", [this] { return open_gets_.empty(); },
         [this] {
           const Bytes& first = *open_gets_.begin();
           return first + DescribeCopies(&world_, first.substr(0, first.find('@')));
         });
}

// Leaders go where they are wanted even now: what was refused for that is asked again.
void Run::Surely(Session* session, const std::vector<Bytes>& argv,
                 const std::function<void(const Reply&)>& then) {
  session->Call(argv, 29 * kSecond, [=, this](const Reply* reply, bool) {
    const bool again = reply != nullptr && (reply->text.starts_with("CLUSTERDOWN") ||
                                            reply->text.starts_with("TRYAGAIN"));
    if (reply != nullptr && !reply->is_error()) return then(*reply);
    CHECK_SIM(again, "when all is quiet, %s %s is answered: %s", argv[0].c_str(), argv[1].c_str(),
              reply == nullptr ? "nothing" : reply->text.c_str());
    world_.events().After(100 * kUsPerMs, [=, this] { Surely(session, argv, then); });
  });
}

void Run::Drain(Session* session, const Bytes& queue, bool dead) {
  const std::vector<Bytes> pop = {"DQ.POP", queue + (dead ? "!dead" : ""), "COUNT", "50", "NOACK"};
  Surely(session, pop, [=, this](const Reply& reply) {
    for (const Reply& row : reply.items) {
      const QueueLedger::Row left{row.items.at(0).text, row.items.at(1).text,
                                  row.items.at(2).text, row.items.at(3).integer};
      dead ? world_.queues().OnDead(left) : world_.queues().OnLeft(left);
    }
    if (!reply.items.empty()) return Drain(session, queue, dead);
    if (dead) {
      --open_queues_;
      return;
    }
    Surely(session, {"DQ.INFO", queue}, [=, this](const Reply& info) {
      int64_t waiting = 0;
      for (size_t i = 0; i + 1 < info.items.size(); i += 2) {
        const Bytes& key = info.items[i].text;
        if (key == "delayed" || key == "leased") waiting += info.items[i + 1].integer;
      }
      world_.events().After(100 * kUsPerMs, [=, this] { Drain(session, queue, waiting == 0); });
    });
  });
}

void Run::ReadAll(const OnRead& on_read) {
  std::vector<Session*> sessions;
  for (const NodeId node : Serving()) {
    probes_.push_back(std::make_unique<Session>(&world_));
    probes_.back()->Prefer(node);
    sessions.push_back(probes_.back().get());
  }
  for (const Bytes& name : locks_.names()) {
    LockCommand command;
    command.names = {name};
    const size_t ticket = locks_.Issue(command);
    Session* session = sessions[world_.rng().Below(sessions.size())];
    ++open_probes_;
    session->Call(Argv(command), 9 * kSecond,
                  [this, on_read, command, ticket](const Reply* reply, bool sent) {
                    const LockAnswer answer = Interpret(command, reply, sent);
                    CHECK_SIM(answer.kind == LockAnswer::Kind::kHolders,
                              "the last read of '%s' fails", command.name().c_str());
                    on_read(command, answer);
                    locks_.Conclude(ticket, answer, {});
                    --open_probes_;
                  });
  }
  Within(10 * kSecond, "a last read has no answer;",
         [this] { return open_probes_ == 0 && ActorsIdle(); });
}

}  // namespace lockstep::sim
