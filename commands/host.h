// The node as its commands see it: what a handler may ask of it and do to it. Implemented by
// src/node.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "commands/acl_log.h"
#include "commands/cache_figures.h"
#include "commands/client.h"
#include "commands/cluster_view.h"
#include "commands/latency_monitor.h"
#include "commands/pubsub.h"
#include "commands/slowlog.h"
#include "commands/spread.h"
#include "commands/stats.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/resp/reply.h"

namespace lockstep {

class Host {
 public:
  virtual ~Host() = default;

  // Time. The wall clock is for people only (TIME, SLOWLOG, CLIENT LIST's age); it decides nothing.
  virtual MonoTime Now() const = 0;
  virtual int64_t WallClockUs() const = 0;

  // Settings (src/config). Values as text, as CONFIG GET gives them; secrets as "".
  virtual std::vector<std::pair<Bytes, Bytes>> ConfigGet(BytesView pattern) const = 0;
  // All or nothing. The error is Redis's whole reply text after "ERR ".
  virtual Result<void> ConfigSet(const std::vector<std::pair<Bytes, Bytes>>& values) = 0;
  virtual Result<void> ConfigRewrite() = 0;  // When it returns, the file is written or unchanged.
  virtual int64_t LockDefaultTtlMs() const = 0;
  virtual size_t MessageBytesMax() const = 0;
  virtual bool QueuesComeByThemselves() const = 0;  // With their first push.
  virtual bool DebugCommandAllowed(const Client& client) const = 0;

  // The default user's password. requirepass "" means none is needed.
  virtual bool PasswordNeeded() const = 0;
  virtual bool PasswordMatches(BytesView user, BytesView password) const = 0;  // Constant time.
  virtual Bytes PasswordHash() const = 0;  // SHA-256 of requirepass in hex, for ACL GETUSER.
  virtual AclLog& acl_log() = 0;
  // Fit for secrets (ACL GENPASS): from the operating system. In the simulator from its seed.
  virtual Bytes RandomBytes(size_t n) = 0;

  // Connections.
  virtual void ForEachClient(const std::function<void(Client&)>& visit) = 0;  // In order of id.
  virtual Client* FindClient(ClientId id) = 0;
  virtual void KillClient(ClientId id) = 0;        // At once, whatever it is owed.
  virtual void CloseAfterReplies(ClientId id) = 0; // When all that it has asked is answered.
  // A client blocked in a command is answered: nil, or -UNBLOCKED. False: it was not blocked.
  virtual bool UnblockClient(ClientId id, bool with_error) = 0;
  virtual void PauseClients(MonoTime until, bool writes_only) = 0;
  virtual void UnpauseClients() = 0;
  // RESET: MULTI queue, subscriptions, modes, name, protocol, authentication.
  virtual void ResetClient(Client* client) = 0;
  virtual void OnTracking(const Client&) {}  // The client's CLIENT TRACKING has changed.
  // A message to one client outside request and reply (SUBSCRIBE's confirmations, pushes).
  virtual void PushTo(ClientId id, const Reply& message) = 0;

  // Publish and subscribe. Publish reaches the subscribers of all nodes; the number is this node's.
  virtual PubSub& pubsub() = 0;
  virtual size_t Publish(BytesView channel, BytesView payload, bool shard) = 0;

  // Figures.
  virtual Stats& stats() = 0;
  virtual Slowlog& slowlog() = 0;
  virtual LatencyMonitor& latency() = 0;
  virtual Bytes Info(const std::vector<Bytes>& sections) const = 0;  // Empty: the default ones.
  virtual size_t MemoryUsed() const = 0;
  // Of this node's cache. All 0: it has none yet.
  virtual CacheFigures CacheNow() const { return {}; }
  virtual CachedLine LineHere(BytesView) const { return {}; }
  virtual std::vector<HotKey> HotKeysNow(size_t) { return {}; }  // The hottest first.
  virtual bool OverMemory() const = 0;  // More is used than maxmemory allows.

  // The cluster.
  virtual ClusterView Cluster() const = 0;
  virtual NodeId self() const = 0;
  virtual uint64_t Shards() const = 0;  // At least 1.
  virtual Spreads& spreads() = 0;       // Queues with several partitions.
  // Where the client is to be sent with what it asks of this queue, as host:port. Empty: it is done
  // here, or passed on (cluster-redirect).
  virtual Bytes SendsTo(BytesView queue) const = 0;
  // Asks the group's leader to hand over. An error: no such group, no leader, node no voter.
  virtual Result<void> TransferLeadership(GroupId group, NodeId target) = 0;
  virtual void Rebalance() = 0;  // Leaders go where the placement wants them.

  // The process.
  virtual void Shutdown(bool now) = 0;  // SHUTDOWN, SHUTDOWN NOW.
  virtual bool AbortShutdown() = 0;
  virtual void Sleep(int64_t us) = 0;   // DEBUG SLEEP: the whole node stands still.
};

}  // namespace lockstep
