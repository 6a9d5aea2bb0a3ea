// A host of one: clients, settings, channels and the replicated machines in memory, on a clock
// that stands still until a test moves it. What the node does with Raft and sockets, this does at
// once and alone.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <map>
#include <memory>
#include <vector>

#include "commands/command.h"
#include "commands/control_machine.h"
#include "commands/host.h"
#include "commands/lock_table.h"
#include "commands/queue_store.h"
#include "src/base/rng.h"
#include "src/resp/writer.h"
#include "tests/machine_log.h"

namespace lockstep {

class FakeHost final : public Host {
 public:
  FakeHost() : control({{NodeId{1}, "127.0.0.1", 17379, DiskId{}}}) {
    config = {{"appendonly", "yes"}, {"maxclients", "10000"}, {"port", "7379"}, {"save", ""}};
    AddMember(1, true);
  }

  // Tests set and read these. -------------------------------------------------------------------
  MonoTime now{1'000 * kUsPerSecond};
  int64_t wall_us = 1'700'000'000 * kUsPerSecond + 123'456;
  std::map<Bytes, Bytes> config;
  Bytes password;  // Of `default`; empty: none is needed.
  bool debug_allowed = false;
  bool has_config_file = true;
  ClusterView view;
  ControlMachine control;
  LockTable locks;
  QueueStore queues{0};
  std::map<ClientId, std::unique_ptr<Client>> clients;
  std::vector<std::pair<ClientId, Reply>> pushed;
  std::vector<ClientId> killed;
  std::vector<ClientId> closed_after_replies;
  bool over_memory = false;
  std::map<ClientId, bool> blocked;  // To "with error", once it was unblocked.
  std::map<ClientId, bool> unblocked;
  std::optional<MonoTime> paused_until;
  bool paused_writes_only = false;
  std::vector<Bytes> info_sections;
  std::vector<std::pair<GroupId, NodeId>> transfers;
  int rebalanced = 0;
  std::optional<bool> shut_down;  // To "now".
  std::unique_ptr<Task> task;     // That a command asked for last; not begun.
  int64_t slept_us = 0;
  int rewrites = 0;

  Client& Connect(uint64_t id) {
    auto& client = clients[ClientId{id}];
    client = std::make_unique<Client>();
    client->id = ClientId{id};
    client->fd = static_cast<int>(id) + 7;
    client->address = "127.0.0.1:" + std::to_string(50'000 + id);
    client->local_address = "127.0.0.1:7379";
    client->authenticated = password.empty();
    client->connected_at = client->last_active = now;
    return *client;
  }
  ClusterView::Member& AddMember(uint64_t id, bool self = false) {
    ClusterView::Member member;
    member.id = NodeId{id};
    member.name = Bytes(39, 'a') + static_cast<char>('0' + id);
    member.host = "127.0.0.1";
    member.port = static_cast<uint16_t>(7378 + id);
    member.bus_port = static_cast<uint16_t>(17378 + id);
    member.self = self;
    member.connected = !self;
    view.members.push_back(std::move(member));
    return view.members.back();
  }
  // As the dispatcher does it, less queueing: find, refuse or run, and what a group is asked is
  // answered by its machine. Nothing: the answer waits, or it is a task's.
  Reply Run(Client& client, const std::vector<Bytes>& words, bool in_exec = false,
            Keys* keys = nullptr) {
    const std::vector<BytesView> argv(words.begin(), words.end());
    const FoundCommand found = CommandTable::Get().Find(argv);
    if (auto refused = RefuseBeforeRun(found, argv)) return *refused;
    Context context{client, *this, in_exec, keys};
    Args args(argv, found.subcommand != nullptr ? 2 : 1);
    CHECK(found.leaf().handler != nullptr);
    Action action = found.leaf().handler(context, args);
    if (auto* one = std::get_if<std::unique_ptr<Task>>(&action)) {
      task = std::move(*one);
      return Reply::Nothing();
    }
    if (const auto* propose = std::get_if<Propose>(&action)) return Apply(*propose);
    if (const auto* query = std::get_if<Query>(&action)) {
      return log_.Read(MachineOf(query->group).Query(ClusterTime{}, query->query));
    }
    return std::get<Reply>(action);
  }
  // The bytes that the client would see.
  Bytes Wire(Client& client, const std::vector<Bytes>& words) {
    const size_t seen = pushed.size();
    const Reply reply = Run(client, words);
    Bytes out;
    for (size_t i = seen; i < pushed.size(); ++i) {
      if (pushed[i].first == client.id) resp::WriteReply(pushed[i].second, client.protocol, &out);
    }
    if (reply.kind != Reply::Kind::kNothing) resp::WriteReply(reply, client.protocol, &out);
    return out;
  }

  // Host. ----------------------------------------------------------------------------------------
  MonoTime Now() const override { return now; }
  int64_t WallClockUs() const override { return wall_us; }

  std::vector<std::pair<Bytes, Bytes>> ConfigGet(BytesView pattern) const override {
    std::vector<std::pair<Bytes, Bytes>> found;
    for (const auto& [name, value] : config) {
      if (GlobMatch(pattern, name, true)) found.emplace_back(name, value);
    }
    return found;
  }
  Result<void> ConfigSet(const std::vector<std::pair<Bytes, Bytes>>& values) override {
    for (const auto& [name, value] : values) {
      if (!config.contains(name)) {
        return Error{"Unknown option or number of arguments for CONFIG SET - '" + name + "'"};
      }
    }
    for (const auto& [name, value] : values) config[name] = value;
    return {};
  }
  Result<void> ConfigRewrite() override {
    if (!has_config_file) return Error{"The server is running without a config file"};
    ++rewrites;
    return {};
  }
  int64_t LockDefaultTtlMs() const override { return 30'000; }
  size_t MessageBytesMax() const override { return kMessageBytesMax; }
  bool QueuesComeByThemselves() const override { return true; }
  bool DebugCommandAllowed(const Client&) const override { return debug_allowed; }

  bool PasswordNeeded() const override { return !password.empty(); }
  bool PasswordMatches(BytesView user, BytesView word) const override {
    return user == "default" && word == password;
  }
  Bytes PasswordHash() const override { return Bytes(64, 'e'); }
  AclLog& acl_log() override { return acl_log_; }
  Bytes RandomBytes(size_t n) override {
    Bytes out;
    while (out.size() < n) out += static_cast<char>(rng_.Below(256));
    return out;
  }

  void ForEachClient(const std::function<void(Client&)>& visit) override {
    for (auto& [id, client] : clients) visit(*client);
  }
  Client* FindClient(ClientId id) override {
    const auto at = clients.find(id);
    return at == clients.end() ? nullptr : at->second.get();
  }
  void KillClient(ClientId id) override { killed.push_back(id); }
  void CloseAfterReplies(ClientId id) override { closed_after_replies.push_back(id); }
  bool UnblockClient(ClientId id, bool with_error) override {
    if (blocked.erase(id) == 0) return false;
    unblocked[id] = with_error;
    return true;
  }
  void PauseClients(MonoTime until, bool writes_only) override {
    paused_until = until;
    paused_writes_only = writes_only;
  }
  void UnpauseClients() override { paused_until.reset(); }
  void ResetClient(Client* client) override {
    pubsub_.Leave(client);
    Client fresh;
    fresh.id = client->id;
    fresh.address = client->address;
    fresh.local_address = client->local_address;
    fresh.authenticated = password.empty();
    *client = std::move(fresh);
  }
  void PushTo(ClientId id, const Reply& message) override { pushed.emplace_back(id, message); }

  PubSub& pubsub() override { return pubsub_; }
  size_t Publish(BytesView channel, BytesView payload, bool shard) override {
    const auto deliver = [&](ClientId id, const Bytes* pattern) {
      Reply message = Reply::Push();
      message.Add(Reply::Bulk(shard ? "smessage" : pattern != nullptr ? "pmessage" : "message"));
      if (pattern != nullptr) message.Add(Reply::Bulk(*pattern));
      message.Add(Reply::Bulk(Bytes(channel))).Add(Reply::Bulk(Bytes(payload)));
      PushTo(id, message);
    };
    ++stats_.published;
    return shard ? pubsub_.ShardPublish(channel, deliver) : pubsub_.Publish(channel, deliver);
  }

  Stats& stats() override { return stats_; }
  Slowlog& slowlog() override { return slowlog_; }
  LatencyMonitor& latency() override { return latency_; }
  Bytes Info(const std::vector<Bytes>& sections) const override {
    Bytes text = "# Asked for\r\n";
    for (const Bytes& section : sections) text += section + "\r\n";
    return text;
  }
  size_t MemoryUsed() const override { return 1'000'000; }
  bool OverMemory() const override { return over_memory; }

  ClusterView Cluster() const override { return view; }
  NodeId self() const override { return NodeId{1}; }
  Spreads& spreads() override { return spreads_; }
  uint64_t Shards() const override { return 1; }
  Bytes SendsTo(BytesView) const override { return {}; }
  Result<void> TransferLeadership(GroupId group, NodeId target) override {
    const bool member = std::any_of(view.members.begin(), view.members.end(),
                                    [target](const auto& m) { return m.id == target; });
    if (!member) return Error{"that node is no voter of the group; nothing was changed"};
    transfers.emplace_back(group, target);
    return {};
  }
  void Rebalance() override { ++rebalanced; }

  void Shutdown(bool at_once) override { shut_down = at_once; }
  bool AbortShutdown() override { return std::exchange(shut_down, std::nullopt).has_value(); }
  void Sleep(int64_t us) override { slept_us += us; }

 private:
  Spreads spreads_;
  StateMachine& MachineOf(GroupId group) {
    if (group == kControlGroup) return control;
    if (group == kLocksGroup) return locks;
    CHECK(group == ShardGroup(0));
    return queues;
  }
  Reply Apply(const Propose& propose) {
    const RequestId request{NodeId{1}, 1, ++requests_};
    Effects effects;
    ++index_;
    const ClusterTime time{static_cast<int64_t>(index_)};
    const Position at = log_.Add(Index{index_}, time, propose.op);
    MachineOf(propose.group).Advance(at, &effects);
    MachineOf(propose.group).Apply(at, request, at.data, &effects);
    for (Effects::Answer& answer : effects.answers) {
      if (answer.request == request) return log_.Read(std::move(answer.reply));
    }
    return Reply::Nothing();
  }

  Rng rng_{1};
  AclLog acl_log_;
  PubSub pubsub_;
  Stats stats_;
  Slowlog slowlog_;
  LatencyMonitor latency_;
  uint64_t requests_ = 0;
  uint64_t index_ = 0;
  MachineLog log_;
};

}  // namespace lockstep
