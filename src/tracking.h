// CLIENT TRACKING: who of this node's clients has read what here, and who is told when it may have
// changed (Redis's tracking.c: its modes, its pushes and their order).
//
// A node that may read a key hears of every change before it happens, since the home asks it to
// give the key up first. So what its clients have read is watched by the cache itself: when the key
// is lost here (to a writer elsewhere, with the lease, by eviction) or written here, its readers
// are told, and forgotten until they read it again.
//
// Always true:
//   1. A key with readers can be read here, and is what they have read.
//   2. Who reads through this node is told in the turn in which the key is lost: on the client's
//      socket before this node's acknowledgement, hence before the write is answered
//      (Output::clients_first). A redirection to a RESP2 connection that is owed replies waits for
//      those.
//   3. What a client has written itself it is told behind that command's own reply.
//
// BCAST is weaker. Of keys that were readable here (2) holds too. Of all others the node that
// executes the write tells those that have broadcast clients, when it answers: a broadcast may come
// after the answer, and what was written before the other node heard of such clients is not told
// (nothing is here that they could have read of it). Where messages may have been lost, as when a
// link breaks or a shard's lines go all at once, broadcast clients get the nil that means: all.
//
// Not thread-safe; used on the node thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "commands/host.h"
#include "src/cache.h"
#include "src/node.h"
#include "src/outbox.h"

namespace lockstep {

class Tracking final : public Tracker {
 public:
  Tracking(Host* host, Outbox* outbox) : host_(host), outbox_(outbox) {}

  // How many keys may have readers; above it one is forgotten, with a push. 0: any number.
  void set_keys_max(size_t keys_max) { keys_max_ = keys_max; }

  // The client's options have changed, or it has left (it does not track any more).
  void Follow(const Client& client);
  // Whether anyone is to be told of anything: else nothing need be said to this at all.
  bool active() const { return !clients_.empty() || !wanting_.empty(); }

  // Commands. -------------------------------------------------------------------------------------
  // Whether what the client reads now is to be remembered.
  static bool Remembers(const Client& client);
  void Remember(ClientId reader, BytesView key, MonoTime expires);
  // What was written since the last call was written by this client.
  void Settle(ClientId writer);
  // Its own share of it. Call it when the client has its reply.
  void TellWriter(ClientId writer);

  // Tracker. At once, but what is written: that is told by Settle.
  void OnWritten(BytesView key) override { written_.emplace_back(key); }
  void OnUnreadable(BytesView key) override;
  void OnAllUnreadable(uint64_t shard) override;
  void OnFlush() override { written_.emplace_back(std::nullopt); }

  void Tick(MonoTime now);  // Keys that have expired; those above the limit.

  // Broadcasts. -----------------------------------------------------------------------------------
  // At the end of a turn: to this node's clients, and to the peers that have such clients.
  void Flush(std::span<const PeerAddress> peers);
  bool OnMessage(NodeId from, Reader* in);  // False: it makes no sense.
  void OnPeerUp(NodeId peer);
  void OnGap();  // What a peer has said may have been lost.

  bool TakePushed() { return std::exchange(pushed_, false); }  // Since the last call.
  size_t keys() const { return keys_; }
  size_t items() const { return items_; }  // Keys times readers.
  size_t prefixes() const { return prefixes_.size(); }
  size_t clients() const { return clients_.size(); }

 private:
  struct Row {
    std::vector<ClientId> readers;  // Sorted.
    MonoTime expires = kNeverMono;
  };
  using Table = std::map<Bytes, Row, std::less<>>;

  uint64_t ShardOf(BytesView key) const;
  Row Take(uint64_t shard, Table::iterator at);
  void Invalidate(BytesView key, ClientId writer);
  void EvictOne();
  void ForgetAll();
  void TellAll(ClientId writer);  // Of a flush.
  const Client* ReaderOf(ClientId id) const;
  void Say(ClientId id, const Reply& keys);
  void Changed(BytesView key, ClientId writer);
  void Broadcast();
  void Announce();

  Host* host_;
  Outbox* outbox_;
  size_t keys_max_ = 0;
  std::map<ClientId, std::set<Bytes, std::less<>>> clients_;  // Their prefixes (BCAST).
  std::map<uint64_t, Table> tables_;                          // By shard; none is empty.
  std::set<std::pair<MonoTime, Bytes>> expiring_;
  size_t keys_ = 0;
  size_t items_ = 0;
  std::pair<uint64_t, Bytes> evicted_;             // The last: the next one stands behind it.
  std::vector<std::optional<Bytes>> written_;      // Nothing: a flush.
  std::vector<std::optional<Bytes>> for_writer_;   // The same.

  std::map<Bytes, std::set<ClientId>, std::less<>> prefixes_;
  std::map<Bytes, ClientId, std::less<>> changed_;  // In this turn: who wrote it last. 0: a peer.
  bool all_changed_ = false;
  std::set<Bytes, std::less<>> to_announce_;
  bool announce_all_ = false;
  std::set<NodeId> wanting_;    // Peers that have broadcast clients.
  std::set<NodeId> to_answer_;  // Peers that are to hear whether we have.
  bool wants_told_ = false;     // What all peers were told last.
  bool pushed_ = false;
};

}  // namespace lockstep
