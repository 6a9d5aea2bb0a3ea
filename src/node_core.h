// The parts of a node and how they hang together. Private to src/node*.cc.
//
//   client bytes -> Session -> Dispatcher -> handler -> Gateway ----> Group (the leader is here)
//                                                          \---> Outbox -> leader's Intake -> Group
//   Group -> Raft -> records, messages;   applied -> Replica -> answers -> Gateway -> Session
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "commands/host.h"
#include "src/base/seq_map.h"
#include "src/cache.h"
#include "src/dispatcher.h"
#include "src/formation.h"
#include "src/forwarding.h"
#include "src/gateway.h"
#include "src/group.h"
#include "src/info.h"
#include "src/node.h"
#include "src/outbox.h"
#include "src/peers.h"
#include "src/self.h"
#include "src/session.h"
#include "src/tracking.h"

namespace lockstep {

// An engine's narration as lines of the debug log.
class LogNarrator final : public Narrator {
 public:
  explicit LogNarrator(Bytes name) : name_(std::move(name)) {}
  bool Narrating() const override { return LogEnabled(LogLevel::kDebug); }
  void Say(Bytes line) override { Log(LogLevel::kDebug, name_ + ": " + line); }

 private:
  Bytes name_;
};

struct Node::Parts final : public Host,
                           public Group::Listener,
                           public Gateway::Listener,
                           public Cache::Runner {
  Parts(NodeOptions o, const Self& s, MonoTime at);

  // src/node.cc: a turn. --------------------------------------------------------------------------
  void Step(MonoTime at, const Input& input);
  Output Drain(MonoTime at);
  MonoTime NextWakeup() const;
  void On(const ClientOpened& input);
  void On(const ClientData& input);
  void On(const ClientRead& input);
  void On(const ClientBacklog& input);
  void On(const ClientClosed& input);
  void On(const PeerUp& input);
  void On(const PeerDown& input);
  void On(const PeerFrame& input);
  void On(const Persisted& input);
  void On(const Tick& input);
  void On(const Terminate& input);
  void On(const SystemFigures& input);
  void Housekeep();       // What is done every kHousekeepUs.
  void ApplySettings();   // After CONFIG SET.

  // src/node_open.cc: from the disk to running groups. -------------------------------------------
  Result<void> LoadGroups(StorageReader& storage);
  Result<void> AddGroup(GroupId id, StorageReader* storage);
  void MakeGroup(GroupId id, LogStore store, raft::Recovered recovered,
                 std::unique_ptr<Replica> replica);
  raft::Config FirstConfig(GroupId id) const;
  // Its copy of the group: `leader` leads it in `term`, without this node.
  void ThrowAway(GroupId id, NodeId leader, Term term, Index copy);
  void FinishForming();
  raft::Options RaftOptions(GroupId id) const;

  // src/node_clients.cc: sessions. ---------------------------------------------------------------
  Session* FindSession(ClientId id);
  template <class Visit>
  void ForEachSession(const Visit& visit) const {
    sessions.ForEach([&](uint64_t, const std::unique_ptr<Session>* one) { visit(one->get()); });
  }
  void Received(Session* session, size_t bytes);
  void MakeRunnable(Session* session);
  void MakeDirty(Session* session);
  void RunSessions(int64_t* budget);
  void CollectClients(Output* out);
  void CloseSession(ClientId id);
  void HangUp(Session* session, size_t untaken);
  void TellDelivered();
  void TellDelivered(Session* session, size_t untaken);
  void EnforceLimits(Session* session);
  void CloseIdleClients();
  void CloseSlowReaders();
  void ReleaseIdleBuffers();
  void ApplyParserLimits(Session* session);
  void FollowTracking();
  void FlushTracking(Output* out);
  void FollowMonitor(ClientId id, bool watches);
  void FeedMonitors(const Session& session, std::span<const BytesView> argv);
  void Deliver(BytesView channel, BytesView payload, bool shard);
  void WantEvents();

  // src/node_peers.cc: messages, membership. -----------------------------------------------------
  struct Sender {  // Of a frame.
    NodeId node;
    DiskId disk;  // That its link's hello named.
  };
  bool OnMessage(const Sender& from, const bus::Envelope& envelope);  // False: it makes no sense.
  bool OnRaftMessage(const Sender& from, const bus::Envelope& envelope);
  bool OnHeartbeats(const Sender& from, const bus::Envelope& envelope);
  void OnStateHash(const Sender& from, const bus::EnvelopeHeader& header, Index index,
                   uint64_t hash);
  void StepGroup(const Sender& from, GroupId group, Term term, raft::Body body);
  void SendHeartbeats();
  bool OnLeads(NodeId from, const bus::Envelope& envelope);
  void LeaveIfLetGo(NodeId from, const Lead& lead);
  bool OnForwarding(NodeId from, const bus::Envelope& envelope);
  bool OnFetching(NodeId from, const bus::Envelope& envelope);
  bool OnForming(NodeId from, const bus::Envelope& envelope);
  void Tap(NodeId to, BytesView body, bool sent);
  void FollowMembers();
  std::vector<PeerAddress> WhomToFollow() const;
  std::set<NodeId> NamedByGroups() const;
  void GuideMembership();
  std::map<NodeId, NodeRecord> MembersOf(const Group& group, const ControlMachine& machine) const;
  std::map<NodeId, NodeRecord> MembersOfControl(const ControlMachine& machine) const;
  bool Needs(const Group& group, NodeId id) const;
  bool HandOverControl(const ControlMachine& machine);
  void TellDisks(const ControlMachine& machine);
  void TellFormed(NodeId id);    // If it is a member that does not know the cluster (any more).
  void TellAllFormed();
  void EndSessionsOfLost();
  void EndSession(Group& group, NodeId origin);
  void StopAsImpostor(const bus::Hello& hello);

  // src/node_leaders.cc: who leads. ---------------------------------------------------------------
  void FollowPlacement();
  NodeId WantedLeader(const Group& group) const;  // kNoNode: nobody in particular.
  bool MayTakeOver(const Group& group, NodeId id) const;
  void HandOver();
  // The farthest of those voters that are there and `may_lead`; kNoNode: there is none.
  NodeId BestSuccessor(const Group& group,
                       const std::function<bool(NodeId)>& may_lead) const;
  void Move(GroupId id, NodeId target);
  void GoOnMoving();
  void EndWaitsForMessages();
  void NoteLeading(const Group& group);
  void SendLeads();

  // Group::Listener
  void OnAnswer(Group& group, const RequestId& request, Reply reply) override;
  void OnEvent(const Bytes& channel, const Bytes& payload) override;
  void OnKeys(Group& group, std::vector<Effects::KeyChange> changed) override;
  void OnMessage(Group& group, raft::Message message) override;
  void OnInstalled(Group& group) override;
  void OnStateHash(Group& group, Index index, uint64_t hash) override;
  bool OnFetch(Group& group, std::vector<Index> entries) override;
  // Gateway::Listener
  void OnReply(const Gateway::Asker& asker, Reply reply) override;

  // Cache::Runner
  bool MayRun(const Cache::Ticket& ticket) override;
  void OnHeld(const Cache::Ticket& ticket) override;
  void OnCommitted(const Cache::Ticket& ticket, Reply reply) override;
  void OnShips(const Cache::Ticket& ticket) override;
  void OnShipped(const Cache::Ticket& ticket, mesi::Shipped::Outcome outcome,
                 Reply reply) override;
  std::optional<Reply> RunForCache(std::span<const BytesView> argv) override;
  void OpenCache();
  void FollowCache(const Group& group);
  void FollowCacheOfAll();
  void TidyCache();
  void GiveUpKeys();

  // src/node_host.cc: Host. ----------------------------------------------------------------------
  MonoTime Now() const override { return now; }
  int64_t WallClockUs() const override { return options.wall_clock_us + (now - started); }
  std::vector<std::pair<Bytes, Bytes>> ConfigGet(BytesView pattern) const override;
  Result<void> ConfigSet(const std::vector<std::pair<Bytes, Bytes>>& values) override;
  Result<void> ConfigRewrite() override;
  int64_t LockDefaultTtlMs() const override { return settings().lock_default_ttl; }
  size_t MessageBytesMax() const override {
    return static_cast<size_t>(settings().dq_max_message);
  }
  bool QueuesComeByThemselves() const override { return settings().dq_auto_create; }
  bool DebugCommandAllowed(const Client& client) const override;
  bool PasswordNeeded() const override { return !settings().requirepass.empty(); }
  bool PasswordMatches(BytesView user, BytesView password) const override;
  Bytes PasswordHash() const override;
  AclLog& acl_log() override { return refused_logins; }
  Bytes RandomBytes(size_t n) override;
  void ForEachClient(const std::function<void(Client&)>& visit) override;
  Client* FindClient(ClientId id) override;
  void KillClient(ClientId id) override;
  void CloseAfterReplies(ClientId id) override;
  bool UnblockClient(ClientId id, bool with_error) override;
  void PauseClients(MonoTime until, bool writes_only) override;
  void UnpauseClients() override;
  void ResetClient(Client* client) override;
  void OnTracking(const Client& client) override;
  void PushTo(ClientId id, const Reply& message) override;
  PubSub& pubsub() override { return channels; }
  size_t Publish(BytesView channel, BytesView payload, bool shard) override;
  Stats& stats() override { return figures; }
  Slowlog& slowlog() override { return slow; }
  LatencyMonitor& latency() override { return latencies; }
  Bytes Info(const std::vector<Bytes>& sections) const override;
  size_t MemoryUsed() const override { return system.rss_bytes; }
  bool OverMemory() const override;
  CacheFigures CacheNow() const override;
  CachedLine LineHere(BytesView key) const override;
  std::vector<HotKey> HotKeysNow(size_t n) override;
  ClusterView Cluster() const override;
  NodeId self() const override { return me.node; }
  uint64_t Shards() const override { return std::max<uint64_t>(1, me.shards); }
  Spreads& spreads() override { return known_spreads; }
  Bytes SendsTo(BytesView queue) const override;
  Result<void> TransferLeadership(GroupId group, NodeId target) override;
  void Rebalance() override;
  void Shutdown(bool at_once) override { On(Terminate{at_once}); }
  bool AbortShutdown() override;
  void Sleep(int64_t us) override { sleep_us += us; }

  const Settings& settings() const { return options.config.settings(); }
  const ControlMachine* control() const;
  void FillMember(const NodeRecord& record, ClusterView::Member* member) const;
  ClusterView::Group ViewOf(const Group& group) const;
  void FillSlots(ClusterView* view) const;

  NodeOptions options;
  Self me;
  MonoTime started;
  MonoTime now;
  Outbox outbox;
  Peers peers;
  std::unique_ptr<Formation> formation;  // Only until the cluster has formed.
  std::map<GroupId, std::unique_ptr<LogNarrator>> narrators;
  std::map<GroupId, std::unique_ptr<Group>> groups;
  ring::Placement first_placement;  // As the cluster was formed.
  BodyCache bodies;
  Spreads known_spreads;
  uint64_t flushed = 0;    // Of what the gateway was asked, so much it has looked at.
  bool is_saving = false;  // One of the groups is making a snapshot.
  GroupId fetching;  // The group that fetches what a snapshot needs, or the last that did.
  std::vector<Group*> all_groups;  // The same, side by side.
  Intake intake;
  Gateway gateway;
  std::unique_ptr<Cache> cache;  // Once the cluster has formed.
  Dispatcher dispatcher;
  Tracking tracking;
  PubSub channels;
  Stats figures;
  Slowlog slow;
  LatencyMonitor latencies;
  AclLog refused_logins;
  SystemFigures system;
  size_t rss_peak = 0;
  Bytes run_id;

  SeqMap<std::unique_ptr<Session>> sessions;  // By ClientId.
  std::deque<ClientId> runnable;
  std::vector<ClientId> dirty;
  std::vector<ClientId> handing;  // Given an answer that hands something over: has it left?
  std::set<ClientId> monitors;  // In MONITOR.
  size_t taps = 0;
  bool tapping = false;  // A tap's own output is not tapped.

  struct Heartbeat {
    GroupId group;
    Term term;
    raft::Body body;
  };
  std::map<NodeId, std::vector<Heartbeat>> heartbeats;  // Of this turn, by receiver.

  WriteBatch batch;             // Of this turn.
  uint64_t next_write = 1;
  uint64_t persisted = 0;
  uint64_t self_write = 0;      // The write that holds this start's record.
  bool birth_persisted = false;
  MonoTime next_housekeeping;
  MonoTime last_housekeeping;
  MonoTime next_ping;
  MonoTime next_second;
  MonoTime next_leads;
  // Of what it leads this node has told in these terms, and of members as of these indexes.
  std::map<GroupId, std::pair<Term, Index>> leads_told;
  std::map<GroupId, uint64_t> thrown_away;  // With which write; until it is on disk.
  // Sessions whose end is in this node's log, as the leader of that term: told once.
  struct SessionEnded {
    uint64_t incarnation = 0;
    Term term;
    bool operator==(const SessionEnded&) const = default;
  };
  std::map<std::pair<GroupId, NodeId>, SessionEnded> sessions_ended;
  struct Seen {
    DiskId disk;
    Bytes zone;
    bool operator==(const Seen&) const = default;
  };
  struct DiskTold {
    Seen seen;
    MonoTime again_at;
  };
  std::map<NodeId, DiskTold> disks_told;  // To group control, which has another on record still.
  struct Leading {
    Term term;
    MonoTime since;
  };
  std::map<GroupId, std::pair<NodeId, MonoTime>> moves;  // To whom, if it can be until then.
  std::map<GroupId, Leading> leading_since;  // Of the shards; when it was last looked.

  bool peers_changed = false;
  bool relink = false;
  std::vector<NodeId> cut_peers;
  int64_t sleep_us = 0;
  bool impostor = false;  // A member of another cluster that has forgotten it: not a word more.
  bool terminating = false;
  bool exit = false;
  MonoTime terminate_by;
  uint64_t seeds_used = 0;
};

}  // namespace lockstep
