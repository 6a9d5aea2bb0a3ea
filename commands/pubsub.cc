#include "commands/pubsub.h"

#include "src/base/check.h"

namespace lockstep {
namespace {

using Names = std::set<Bytes, std::less<>>;
using Table = std::map<Bytes, std::set<ClientId>, std::less<>>;

// Both sides of a subscription, the client's and the table's, change together or not at all.
bool Enter(ClientId id, BytesView name, Names* names, Table* table) {
  if (!names->emplace(name).second) return false;
  (*table)[Bytes(name)].insert(id);
  return true;
}

bool Remove(ClientId id, BytesView name, Names* names, Table* table) {
  const auto mine = names->find(name);
  if (mine == names->end()) return false;
  names->erase(mine);
  const auto row = table->find(name);
  CHECK(row != table->end());
  row->second.erase(id);
  if (row->second.empty()) table->erase(row);
  return true;
}

void RemoveAll(ClientId id, Names* names, Table* table) {
  while (!names->empty()) Remove(id, Bytes(*names->begin()), names, table);
}

size_t DeliverTo(const Table& table, BytesView channel, const PubSub::Deliver& deliver) {
  const auto row = table.find(channel);
  if (row == table.end()) return 0;
  for (const ClientId id : row->second) deliver(id, nullptr);
  return row->second.size();
}

}  // namespace

bool PubSub::Subscribe(Client* client, BytesView channel) {
  return Enter(client->id, channel, &client->channels, &channels_);
}
bool PubSub::Unsubscribe(Client* client, BytesView channel) {
  return Remove(client->id, channel, &client->channels, &channels_);
}
bool PubSub::PatternSubscribe(Client* client, BytesView pattern) {
  return Enter(client->id, pattern, &client->patterns, &patterns_);
}
bool PubSub::PatternUnsubscribe(Client* client, BytesView pattern) {
  return Remove(client->id, pattern, &client->patterns, &patterns_);
}
bool PubSub::ShardSubscribe(Client* client, BytesView channel) {
  return Enter(client->id, channel, &client->shard_channels, &shard_channels_);
}
bool PubSub::ShardUnsubscribe(Client* client, BytesView channel) {
  return Remove(client->id, channel, &client->shard_channels, &shard_channels_);
}

void PubSub::Leave(Client* client) {
  RemoveAll(client->id, &client->channels, &channels_);
  RemoveAll(client->id, &client->patterns, &patterns_);
  RemoveAll(client->id, &client->shard_channels, &shard_channels_);
}

size_t PubSub::Publish(BytesView channel, const Deliver& deliver) const {
  size_t receivers = DeliverTo(channels_, channel, deliver);
  for (const auto& [pattern, clients] : patterns_) {
    if (!GlobMatch(pattern, channel)) continue;
    for (const ClientId id : clients) deliver(id, &pattern);
    receivers += clients.size();
  }
  return receivers;
}

size_t PubSub::ShardPublish(BytesView channel, const Deliver& deliver) const {
  return DeliverTo(shard_channels_, channel, deliver);
}

bool PubSub::AnyoneUnder(BytesView prefix) const {
  if (!patterns_.empty()) return true;
  const auto first = channels_.lower_bound(prefix);
  return first != channels_.end() && BytesView(first->first).substr(0, prefix.size()) == prefix;
}

std::vector<Bytes> PubSub::Channels(BytesView pattern, bool shard) const {
  std::vector<Bytes> names;
  for (const auto& [name, clients] : shard ? shard_channels_ : channels_) {
    if (pattern.empty() || GlobMatch(pattern, name)) names.push_back(name);
  }
  return names;
}

size_t PubSub::Subscribers(BytesView channel, bool shard) const {
  const Table& table = shard ? shard_channels_ : channels_;
  const auto row = table.find(channel);
  return row == table.end() ? 0 : row->second.size();
}

}  // namespace lockstep
