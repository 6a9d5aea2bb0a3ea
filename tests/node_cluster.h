// Whole nodes in memory with a perfect network and disk, but for what a test takes away: the
// smallest shell there is. Time moves in steps of one millisecond; what is sent in one step arrives
// in the next. As with sockets a node reaches those that it follows (Output.peer_addresses) and
// whose hello it was answered, and nobody else.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "cluster/bus/envelope.h"
#include "cluster/bus/frame.h"
#include "cluster/raft/raft.h"
#include "src/node.h"
#include "tests/memory_disk.h"

namespace lockstep {

class NodeCluster {
 public:
  // Settings as a configuration file has them, the same for all nodes. `named` nodes stand in
  // cluster-nodes (all, unless told otherwise).
  explicit NodeCluster(uint64_t nodes, Bytes settings = {}, uint64_t named = 0)
      : settings_(std::move(settings)), named_(named == 0 ? nodes : named) {
    for (uint64_t id = 1; id <= nodes; ++id) machines_[NodeId{id}];
  }

  void StartAll() {
    for (auto& [id, machine] : machines_) Start(id);
  }
  void Start(NodeId id) {
    Machine& machine = machines_[id];
    NodeOptions options;
    Bytes text = Format("node-id %lu\nport %lu\nshards 2\n", id.value, 7000 + id.value);
    text += settings_ + "\ncluster-nodes \"";
    for (const uint64_t n : NamesFor(id)) text += Format("%lu=host-%lu:%lu ", n, n, 17000 + n);
    const Result<void> read = options.config.ReadFile("test", text + "\"\n", {});
    ASSERT_TRUE(read.ok()) << read.error().message;
    options.seed = ++seeds_ * 7919;
    options.read_value = [&machine](BytesView key) { return machine.disk.Get(key); };
    Result<std::unique_ptr<Node>> opened = Node::Open(std::move(options), machine.disk, now_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    machine.node = std::move(*opened);
    ++machine.life;
    machine.exited = false;
  }
  // What stands in cluster-nodes of node `id`, instead.
  void Name(NodeId id, std::vector<uint64_t> nodes) { names_[id] = std::move(nodes); }
  // The process dies: what has not been written is lost, and its machine tells the others.
  void Kill(NodeId id) {
    KillSilently(id);
    BreakLinksTo(id);
  }
  // The machine goes with it: the others' links stand, and lead nowhere.
  void KillSilently(NodeId id) {
    Machine& machine = machines_[id];
    machine.node.reset();
    machine.writes.clear();
    machine.inbox.clear();
    machine.peers.clear();
    machine.links.clear();
    std::erase_if(clients_, [id](const auto& client) { return client.second.node == id; });
  }
  bool exited(NodeId id) { return machines_[id].exited; }
  const MemoryDisk& disk(NodeId id) { return machines_[id].disk; }
  uint64_t writes(NodeId id) { return machines_[id].batches; }  // Each is synced once.
  void EmptyDisk(NodeId id) { machines_[id].disk.Empty(); }
  void StopDisk(NodeId id, bool stopped) { machines_[id].disk_stopped = stopped; }

  // Nothing gets from `from` to `to`.
  void Cut(NodeId from, NodeId to) { cuts_.insert({from, to}); }
  void CutOff(NodeId id) {
    for (const auto& [other, machine] : machines_) {
      Cut(id, other);
      Cut(other, id);
    }
  }
  void Heal() { cuts_.clear(); }
  // A dial from `from` to `to` fails from now on; links that stand are not touched.
  void RefuseDials(NodeId from, NodeId to) { refused_dials_.insert({from, to}); }
  void BreakLink(NodeId from, NodeId to) { Break(from, to); }
  // The links between the two lead nowhere any more, and nobody says so.
  void DeafenLinks(NodeId one, NodeId other) {
    machines_[one].links[other] = 0;
    machines_[other].links[one] = 0;
  }
  // Frames for which this is true are lost.
  using Loses = std::function<bool(NodeId from, NodeId to, const bus::EnvelopeHeader& header)>;
  void Lose(Loses loses) { loses_ = std::move(loses); }

  void Run(int64_t ms) {
    for (int64_t i = 0; i < ms; ++i) Turn();
  }
  // Runs until it is so. False: not within `ms`.
  bool RunUntil(const std::function<bool()>& so, int64_t ms = 10'000) {
    for (int64_t i = 0; i < ms && !so(); ++i) Turn();
    return so();
  }

  // Who leads the group, as all running nodes that are not cut off agree; kNoNode: they do not.
  NodeId Leader(GroupId group = kLocksGroup) const {
    NodeId leader;
    for (const auto& [id, machine] : machines_) {
      if (machine.node == nullptr || cuts_.contains({id, id})) continue;
      const raft::Raft* raft = machine.node->group(group);
      if (raft == nullptr || raft->leader() == kNoNode) return kNoNode;
      if (leader != kNoNode && leader != raft->leader()) return kNoNode;
      leader = raft->leader();
    }
    return leader;
  }
  NodeId AwaitLeader() {
    EXPECT_TRUE(
        RunUntil([this] { return Leader() != kNoNode && Leader(kControlGroup) != kNoNode; }));
    return Leader();
  }
  NodeId OtherThan(NodeId one, NodeId two = {}) const {
    for (const auto& [id, machine] : machines_) {
      if (id != one && id != two && machine.node != nullptr) return id;
    }
    return kNoNode;
  }
  Node* node(NodeId id) { return machines_[id].node.get(); }
  MonoTime now() const { return now_; }

  // Clients. --------------------------------------------------------------------------------------
  ClientId Connect(NodeId to) {
    const ClientId id{++clients_ever_};
    clients_[id].node = to;
    node(to)->Step(now_, ClientOpened{id, Format("127.0.0.1:%lu", 40000 + id.value), "l", true});
    return id;
  }
  void Send(ClientId id, const Bytes& lines) { SendRaw(id, lines + "\r\n"); }
  // What a client sends while the node does not read stays in the kernel.
  void SendRaw(ClientId id, BytesView bytes) {
    Connection& client = clients_[id];
    if (client.reading) {
      node(client.node)->Step(now_, ClientData{id, bytes});
    } else {
      client.unread += bytes;
    }
  }
  void Disconnect(ClientId id) {
    node(clients_[id].node)->Step(now_, ClientClosed{id});
    clients_.erase(id);
  }
  // What has arrived since the last Take.
  Bytes Take(ClientId id) { return std::exchange(clients_[id].received, Bytes()); }
  bool closed(ClientId id) { return clients_[id].closed; }
  // Sends one line and gives what comes back first, or "" after ten virtual seconds.
  Bytes Ask(ClientId id, const Bytes& line) {
    Send(id, line);
    RunUntil([&] { return !clients_[id].received.empty(); });
    return Take(id);
  }
  Bytes Ask(NodeId to, const Bytes& line) {
    const ClientId id = Connect(to);
    const Bytes reply = Ask(id, line);
    Disconnect(id);
    return reply;
  }

 private:
  struct Arriving {
    NodeId from;
    DiskId disk;
    Bytes body;
  };
  struct Machine {
    std::unique_ptr<Node> node;
    uint64_t life = 0;  // Starts so far.
    bool exited = false;
    MemoryDisk disk;
    bool disk_stopped = false;
    std::vector<std::pair<uint64_t, WriteBatch>> writes;
    uint64_t batches = 0;
    std::vector<Arriving> inbox;
    std::vector<PeerAddress> peers;      // To be linked with.
    std::map<NodeId, uint64_t> links;    // That it has dialled: to which life of the other.
  };
  struct Connection {
    NodeId node;
    Bytes received;
    Bytes unread;  // Sent, and not read by the node.
    bool reading = true;
    bool closed = false;
  };

  std::vector<uint64_t> NamesFor(NodeId id) const {
    if (const auto names = names_.find(id); names != names_.end()) return names->second;
    std::vector<uint64_t> all;
    for (uint64_t n = 1; n <= std::max(named_, id.value); ++n) all.push_back(n);
    return all;
  }

  // A dial, the handshake, and the word to both sides, on both lanes.
  void Dial(NodeId from, NodeId to) {
    Machine& machine = machines_[from];
    const auto found = machines_.find(to);
    if (found == machines_.end() || found->second.node == nullptr || from == to) return;
    if (machine.links.contains(to) || refused_dials_.contains({from, to})) return;
    if (IsCut(from, to) || IsCut(to, from)) return;
    Node& one = *machine.node;
    Node& other = *found->second.node;
    const bus::Hello hello = bus::MakeHello(one.identity(), to, bus::Lane::kControl);
    const bus::HelloReply reply = bus::AnswerHello(other.identity(), hello);
    if (!reply.ok && bus::TakesUsForItsOwn(other.identity(), hello)) {
      other.Step(now_, PeerUp{.hello = hello, .refused = true});
    }
    if (!bus::CheckHelloReply(one.identity(), to, reply)) return;
    machine.links[to] = found->second.life;
    for (const bus::Lane lane : {bus::Lane::kControl, bus::Lane::kBulk}) {
      bus::Hello back = bus::MakeHello(other.identity(), from, lane);
      back.bus_port = 0;  // An answer does not say it.
      other.Step(now_, PeerUp{.hello = bus::MakeHello(one.identity(), to, lane)});
      one.Step(now_, PeerUp{.hello = back, .ours = true});
    }
  }
  void DialAll() {
    for (auto& [id, machine] : machines_) {
      if (machine.node == nullptr) continue;
      for (const PeerAddress& peer : machine.peers) Dial(id, peer.id);
    }
  }
  void Break(NodeId from, NodeId to) {
    Machine& machine = machines_[from];
    if (machine.links.erase(to) == 0 || machine.node == nullptr) return;
    for (const bus::Lane lane : {bus::Lane::kControl, bus::Lane::kBulk}) {
      machine.node->Step(now_, PeerDown{to, lane});
    }
  }
  void BreakLinksTo(NodeId id) {
    for (const auto& [other, machine] : machines_) Break(other, id);
  }
  void Follow(NodeId id, std::vector<PeerAddress> peers) {
    const std::vector<PeerAddress> before = std::exchange(machines_[id].peers, std::move(peers));
    for (const PeerAddress& old : before) {
      const auto& now = machines_[id].peers;
      if (std::find(now.begin(), now.end(), old) == now.end()) Break(id, old.id);
    }
  }
  bool IsCut(NodeId from, NodeId to) const { return cuts_.contains({from, to}); }

  void Turn() {
    now_ = now_ + kUsPerMs;
    DialAll();
    std::vector<std::pair<NodeId, Arriving>> sent;
    for (auto& [id, machine] : machines_) {
      if (machine.node != nullptr) TurnOf(id, &machine, &sent);
    }
    for (auto& [to, arriving] : sent) machines_[to].inbox.push_back(std::move(arriving));
  }

  void TurnOf(NodeId id, Machine* machine, std::vector<std::pair<NodeId, Arriving>>* sent) {
    Node& node = *machine->node;
    for (const Arriving& one : std::exchange(machine->inbox, {})) {
      node.Step(now_, PeerFrame{one.from, one.body, one.disk});
    }
    if (!machine->disk_stopped && !machine->writes.empty()) {
      for (const auto& [number, batch] : machine->writes) machine->disk.Write(batch);
      const uint64_t last = machine->writes.back().first;
      machine->writes.clear();
      node.Step(now_, Persisted{last});
    }
    node.Step(now_, Tick{});
    Output out = node.Drain(now_);
    node.CheckInvariants();
    if (out.write_number != 0) {
      ++machine->batches;
      machine->writes.emplace_back(out.write_number, std::move(out.write));
    }
    for (Output::ToClient& to : out.clients) {
      const auto client = clients_.find(to.id);
      if (client == clients_.end()) continue;
      client->second.received += to.bytes;
      if (!to.close) continue;
      client->second.closed = true;
      node.Step(now_, ClientClosed{to.id});
    }
    for (const ClientId client : out.stop_reading) clients_[client].reading = false;
    for (const ClientId client : out.read_again) {
      clients_[client].reading = true;
      SendRaw(client, std::exchange(clients_[client].unread, {}));
    }
    // First the new addresses, then what is sent there.
    if (out.peer_addresses) Follow(id, *out.peer_addresses);
    for (const Output::ToPeer& to : out.peers) Post(id, to, sent);
    if (out.relink) {
      for (const PeerAddress& peer : machine->peers) Break(id, peer.id);
      BreakLinksTo(id);
    }
    if (!out.exit) return;
    Kill(id);
    machine->exited = true;
  }

  void Post(NodeId from, const Output::ToPeer& to,
            std::vector<std::pair<NodeId, Arriving>>* sent) {
    const Machine& machine = machines_[from];
    const auto link = machine.links.find(to.to);
    const auto other = machines_.find(to.to);
    const bool up = link != machine.links.end() && other != machines_.end() &&
                    other->second.node != nullptr && other->second.life == link->second;
    const DiskId disk = node(from)->identity().disk;
    bus::FrameReader reader;
    reader.Append(to.frames);
    for (auto body = reader.Next(); body.ok() && body->has_value(); body = reader.Next()) {
      const Result<bus::Envelope> envelope = bus::DecodeEnvelope(**body);
      ASSERT_TRUE(envelope.ok());
      if (!up || IsCut(from, to.to)) continue;
      if (loses_ && loses_(from, to.to, envelope->header)) continue;
      sent->push_back({to.to, {from, disk, Bytes(**body)}});
    }
  }

  Bytes settings_;
  uint64_t named_;
  std::map<NodeId, std::vector<uint64_t>> names_;
  std::map<NodeId, Machine> machines_;
  std::map<ClientId, Connection> clients_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::set<std::pair<NodeId, NodeId>> refused_dials_;
  Loses loses_;
  MonoTime now_{1'000'000};
  uint64_t clients_ever_ = 0;
  uint64_t seeds_ = 0;
};

}  // namespace lockstep
