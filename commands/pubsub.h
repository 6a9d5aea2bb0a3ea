// Who listens to what on this node. Channels, glob patterns, and shard channels (their own
// namespace, as in Redis 7). Delivery is the caller's: Publish says to whom.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "commands/client.h"

namespace lockstep {

class PubSub {
 public:
  // False: already so. Keep the client's own sets and this table equal.
  bool Subscribe(Client* client, BytesView channel);
  bool Unsubscribe(Client* client, BytesView channel);
  bool PatternSubscribe(Client* client, BytesView pattern);
  bool PatternUnsubscribe(Client* client, BytesView pattern);
  bool ShardSubscribe(Client* client, BytesView channel);
  bool ShardUnsubscribe(Client* client, BytesView channel);
  void Leave(Client* client);  // The connection closes or is RESET.

  // Calls deliver(client, pattern) for each receiver; pattern is null for a direct subscriber. A
  // client that listens by channel and by pattern gets both, as in Redis. Returns how many.
  using Deliver = std::function<void(ClientId client, const Bytes* pattern)>;
  size_t Publish(BytesView channel, const Deliver& deliver) const;
  size_t ShardPublish(BytesView channel, const Deliver& deliver) const;

  bool anyone() const {
    return !channels_.empty() || !patterns_.empty() || !shard_channels_.empty();
  }
  // Whether anyone may listen to a channel that begins with `prefix` (patterns count as yes).
  bool AnyoneUnder(BytesView prefix) const;
  std::vector<Bytes> Channels(BytesView pattern, bool shard) const;  // PUBSUB CHANNELS; empty: all.
  size_t Subscribers(BytesView channel, bool shard) const;           // PUBSUB NUMSUB.
  size_t patterns() const { return patterns_.size(); }               // PUBSUB NUMPAT.

 private:
  using Table = std::map<Bytes, std::set<ClientId>, std::less<>>;
  Table channels_;
  Table patterns_;
  Table shard_channels_;
};

}  // namespace lockstep
