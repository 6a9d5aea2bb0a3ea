#include "src/tracking.h"

#include <algorithm>

#include "src/base/hash.h"

namespace lockstep {
namespace {

constexpr size_t kKeysAPush = 1024;
constexpr size_t kAnnounceBytes = 256 * 1024;  // Of a message to a peer.
constexpr int kWorkATick = 10'000;             // Keys that a tick forgets.

enum class Said : uint8_t { kWant, kWantNot, kKeys, kAll };

bool IsReader(const Client* client) {
  return client != nullptr && client->tracking && !client->tracking_options.bcast;
}

Reply OneKey(BytesView key) { return Reply::Array().Add(Reply::Bulk(Bytes(key))); }

}  // namespace

// Clients -----------------------------------------------------------------------------------------

void Tracking::Follow(const Client& client) {
  const auto known = clients_.find(client.id);
  if (known != clients_.end()) {
    for (const Bytes& prefix : known->second) {
      const auto at = prefixes_.find(prefix);
      at->second.erase(client.id);
      if (at->second.empty()) prefixes_.erase(at);
    }
    clients_.erase(known);
  }
  if (client.tracking) {
    clients_[client.id] = client.tracking_options.prefixes;
    for (const Bytes& prefix : client.tracking_options.prefixes) {
      prefixes_[prefix].insert(client.id);
    }
  }
  if (!clients_.empty()) return;
  ForgetAll();
  for_writer_.clear();
  if (wanting_.empty()) written_.clear();
}

// A reader that has left, or broadcasts now, stays in the table until its keys are lost.
const Client* Tracking::ReaderOf(ClientId id) const {
  const Client* client = host_->FindClient(id);
  return IsReader(client) ? client : nullptr;
}

// `keys`: an array, or nil for all of them.
void Tracking::Say(ClientId id, const Reply& keys) {
  const Client* client = host_->FindClient(id);
  if (client == nullptr || !client->tracking) return;
  const ClientId redirect = client->tracking_options.redirect;
  const bool redirected = redirect != ClientId{};
  const Client* to = redirected ? host_->FindClient(redirect) : client;
  Reply push = Reply::Push();
  if (to == nullptr) {
    if (client->protocol == 2) return;
    push.Add(Reply::Bulk("tracking-redir-broken"));
    push.Add(Reply::Integer(static_cast<int64_t>(redirect.value)));
    to = client;
  } else if (to->protocol != 2) {
    push.Add(Reply::Bulk("invalidate")).Add(keys);
  } else if (redirected && to->subscriptions() > 0) {
    push.Add(Reply::Bulk("message")).Add(Reply::Bulk("__redis__:invalidate")).Add(keys);
  } else {
    return;  // It speaks a protocol that has no pushes.
  }
  host_->PushTo(to->id, push);
  pushed_ = true;
}

// Readers -----------------------------------------------------------------------------------------

uint64_t Tracking::ShardOf(BytesView key) const {
  return ShardOfSlot(SlotOf(key), host_->Shards());
}

bool Tracking::Remembers(const Client& client) {
  const TrackingOptions& options = client.tracking_options;
  if (!client.tracking || options.bcast) return false;
  return options.optin ? options.caching : !(options.optout && options.caching);
}

void Tracking::Remember(ClientId reader, BytesView key, MonoTime expires) {
  Table& table = tables_[ShardOf(key)];
  auto at = table.find(key);
  if (at == table.end()) {
    at = table.emplace(Bytes(key), Row()).first;
    at->second.expires = expires;
    if (expires != kNeverMono) expiring_.emplace(expires, at->first);
    ++keys_;
  }
  std::vector<ClientId>& readers = at->second.readers;
  const auto place = std::lower_bound(readers.begin(), readers.end(), reader);
  if (place == readers.end() || *place != reader) {
    readers.insert(place, reader);
    ++items_;
  }
  if (keys_max_ != 0 && keys_ > keys_max_) EvictOne();
}

// Out of the table. The caller tells its readers.
Tracking::Row Tracking::Take(uint64_t shard, Table::iterator at) {
  Row row = std::move(at->second);
  if (row.expires != kNeverMono) expiring_.erase({row.expires, at->first});
  --keys_;
  items_ -= row.readers.size();
  Table& table = tables_[shard];
  table.erase(at);
  if (table.empty()) tables_.erase(shard);
  return row;
}

void Tracking::Invalidate(BytesView key, ClientId writer) {
  const uint64_t shard = ShardOf(key);
  const auto table = tables_.find(shard);
  if (table == tables_.end()) return;
  const auto at = table->second.find(key);
  if (at == table->second.end()) return;
  const Bytes name = at->first;
  const Row row = Take(shard, at);
  for (const ClientId id : row.readers) {
    const Client* reader = ReaderOf(id);
    if (reader == nullptr) continue;
    if (id != writer) {
      Say(id, OneKey(name));
    } else if (!reader->tracking_options.noloop) {
      for_writer_.emplace_back(name);
    }
  }
}

// The key behind the one that went last, in order of shards and names: so each has its turn.
void Tracking::EvictOne() {
  auto table = tables_.lower_bound(evicted_.first);
  if (table == tables_.end()) table = tables_.begin();
  auto at = table->second.begin();
  if (table->first == evicted_.first) {
    at = table->second.upper_bound(evicted_.second);
    if (at == table->second.end()) {
      table = std::next(table) == tables_.end() ? tables_.begin() : std::next(table);
      at = table->second.begin();
    }
  }
  evicted_ = {table->first, at->first};
  Invalidate(evicted_.second, {});
}

void Tracking::ForgetAll() {
  tables_.clear();
  expiring_.clear();
  keys_ = items_ = 0;
}

void Tracking::Tick(MonoTime now) {
  for (int i = 0; i < kWorkATick && !expiring_.empty(); ++i) {
    const auto [expires, key] = *expiring_.begin();
    if (expires > now) break;
    OnUnreadable(key);
  }
  for (int i = 0; i < kWorkATick && keys_max_ != 0 && keys_ > keys_max_; ++i) EvictOne();
}

// What becomes of keys ----------------------------------------------------------------------------

void Tracking::OnUnreadable(BytesView key) {
  Changed(key, {});
  Invalidate(key, {});
}

// As many keys in one push as there are, since a client may have read very many.
void Tracking::OnAllUnreadable(uint64_t shard) {
  all_changed_ = !prefixes_.empty();
  std::map<ClientId, Reply> lost;
  for (auto table = tables_.find(shard); table != tables_.end(); table = tables_.find(shard)) {
    const Bytes key = table->second.begin()->first;
    const Row row = Take(shard, table->second.begin());
    for (const ClientId id : row.readers) {
      if (ReaderOf(id) == nullptr) continue;
      Reply& keys = lost.try_emplace(id, Reply::Array()).first->second;
      keys.Add(Reply::Bulk(key));
      if (keys.items.size() < kKeysAPush) continue;
      Say(id, keys);
      lost.erase(id);
    }
  }
  for (const auto& [id, keys] : lost) Say(id, keys);
}

void Tracking::Settle(ClientId writer) {
  for (const std::optional<Bytes>& key : std::exchange(written_, {})) {
    if (key) {
      Changed(*key, writer);
      if (!wanting_.empty()) to_announce_.insert(*key);
      Invalidate(*key, writer);
    } else {
      TellAll(writer);
    }
  }
}

void Tracking::TellAll(ClientId writer) {
  announce_all_ = !wanting_.empty();
  ForgetAll();
  for (const auto& [id, prefixes] : clients_) {
    if (id == writer) {
      for_writer_.emplace_back(std::nullopt);
    } else {
      Say(id, Reply::Nil());
    }
  }
}

void Tracking::TellWriter(ClientId writer) {
  for (const std::optional<Bytes>& key : std::exchange(for_writer_, {})) {
    Say(writer, key ? OneKey(*key) : Reply::Nil());
  }
}

// Broadcasts --------------------------------------------------------------------------------------

void Tracking::Changed(BytesView key, ClientId writer) {
  if (!prefixes_.empty()) changed_.insert_or_assign(Bytes(key), writer);
}

// One push for each prefix and turn.
void Tracking::Broadcast() {
  const auto changed = std::exchange(changed_, {});
  if (std::exchange(all_changed_, false)) {
    for (const auto& [id, prefixes] : clients_) {
      if (!prefixes.empty()) Say(id, Reply::Nil());
    }
    return;
  }
  if (changed.empty()) return;
  for (const auto& [prefix, clients] : prefixes_) {
    for (const ClientId id : clients) {
      const Client* client = host_->FindClient(id);
      Reply keys = Reply::Array();
      for (auto at = changed.lower_bound(prefix);
           at != changed.end() && at->first.starts_with(prefix); ++at) {
        const bool own = at->second == id && client != nullptr && client->tracking_options.noloop;
        if (!own) keys.Add(Reply::Bulk(at->first));
      }
      if (!keys.items.empty()) Say(id, keys);
    }
  }
}

void Tracking::Announce() {
  const auto send = [this](NodeId to, const auto& encode) {
    outbox_->Send(to, bus::Lane::kBulk, bus::MessageType::kTracking, kControlGroup, Term{0},
                  encode);
  };
  for (const NodeId peer : std::exchange(to_answer_, {})) {
    send(peer, [this](Writer* out) {
      out->U8(static_cast<uint8_t>(prefixes_.empty() ? Said::kWantNot : Said::kWant));
    });
  }
  const bool all = std::exchange(announce_all_, false);
  const std::set<Bytes, std::less<>> keys = std::exchange(to_announce_, {});
  for (const NodeId peer : wanting_) {
    if (all) send(peer, [](Writer* out) { out->U8(static_cast<uint8_t>(Said::kAll)); });
    for (auto at = keys.begin(); at != keys.end();) {
      send(peer, [&](Writer* out) {
        out->U8(static_cast<uint8_t>(Said::kKeys));
        for (size_t bytes = 0; at != keys.end() && bytes < kAnnounceBytes; ++at) {
          out->String(*at);
          bytes += at->size();
        }
      });
    }
  }
}

void Tracking::Flush(std::span<const PeerAddress> peers) {
  if (!written_.empty()) Settle({});
  Broadcast();
  if (std::exchange(wants_told_, !prefixes_.empty()) != !prefixes_.empty()) {
    for (const PeerAddress& peer : peers) to_answer_.insert(peer.id);
  }
  if (!to_answer_.empty() || !wanting_.empty()) Announce();
}

bool Tracking::OnMessage(NodeId from, Reader* in) {
  const auto said = static_cast<Said>(in->U8());
  if (!in->ok()) return false;
  switch (said) {
    case Said::kWant:
      wanting_.insert(from);
      return in->done();
    case Said::kWantNot:
      wanting_.erase(from);
      return in->done();
    case Said::kAll:
      all_changed_ = !prefixes_.empty();
      return in->done();
    case Said::kKeys:
      break;
  }
  if (said != Said::kKeys) return false;
  if (prefixes_.empty()) to_answer_.insert(from);  // It has not heard that nobody listens now.
  while (in->ok() && in->left() > 0) {
    const BytesView key = in->String();
    if (in->ok()) Changed(key, {});
  }
  return in->done();
}

void Tracking::OnPeerUp(NodeId peer) {
  if (!prefixes_.empty()) to_answer_.insert(peer);
}

void Tracking::OnGap() { all_changed_ = !prefixes_.empty(); }

}  // namespace lockstep
