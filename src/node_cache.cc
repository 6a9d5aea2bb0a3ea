// The node's side of its cache: the groups that it follows, the clients that wait for it.
#include "src/node_core.h"

namespace lockstep {
namespace {

// A key's home may be away for an election, and one of its caches for a lease, one after the other.
constexpr int64_t kKeysWaitUs = 5 * kUsPerSecond;

}  // namespace

void Node::Parts::OpenCache() {
  cache = std::make_unique<Cache>(Cache::Options{.self = me.node,
                                                 .shards = Shards(),
                                                 .dirty_us = settings().dcache_dirty_max_age *
                                                             kUsPerMs,
                                                 .group_of = [this](GroupId id) {
                                                   return groups.at(id).get();
                                                 },
                                                 .seed = options.seed},
                                  &outbox, this, now);
  cache->set_spaces(&control()->spaces());
  dispatcher.set_cache(cache.get());
  FollowTracking();
}

void Node::Parts::FollowCache(const Group& group) {
  if (cache != nullptr && IsShard(group.id())) cache->Follow(now, group, gateway);
}

void Node::Parts::FollowCacheOfAll() {
  for (const Group* group : all_groups) FollowCache(*group);
}

void Node::Parts::OnInstalled(Group& group) {
  gateway.OnInstalled(group.id());
  if (cache != nullptr) cache->OnInstalled(now, group.id());
}

bool Node::Parts::MayRun(const Cache::Ticket& ticket) {
  const Session* session = FindSession(ticket.client);
  return session != nullptr && !session->idle() && session->FrontNumber() == ticket.slot;
}

void Node::Parts::OnHeld(const Cache::Ticket& ticket) {
  Session* session = FindSession(ticket.client);
  if (session == nullptr) return;
  dispatcher.OnHeld(now, session, ticket.slot);
  MakeDirty(session);
  if (session->parser.buffered() > 0) MakeRunnable(session);
}

void Node::Parts::OnCommitted(const Cache::Ticket& ticket, Reply reply) {
  Session* session = FindSession(ticket.client);
  if (session == nullptr) return;
  dispatcher.Complete(now, session, ticket.slot, std::move(reply));
  MakeDirty(session);
  if (session->parser.buffered() > 0) MakeRunnable(session);
}

void Node::Parts::OnShips(const Cache::Ticket& ticket) {
  Session* session = FindSession(ticket.client);
  if (session != nullptr) dispatcher.Ship(now, session, ticket.slot);
}

void Node::Parts::OnShipped(const Cache::Ticket& ticket, mesi::Shipped::Outcome outcome,
                            Reply reply) {
  Session* session = FindSession(ticket.client);
  if (session == nullptr) return;
  dispatcher.OnShipped(now, session, ticket.slot, outcome, std::move(reply));
  MakeDirty(session);
  if (session->parser.buffered() > 0) MakeRunnable(session);
}

std::optional<Reply> Node::Parts::RunForCache(std::span<const BytesView> argv) {
  return dispatcher.RunForCache(argv);
}

void Node::Parts::OnKeys(Group& group, std::vector<Effects::KeyChange> changed) {
  if (cache != nullptr) cache->OnLogged(group.id(), std::move(changed));
}

CacheFigures Node::Parts::CacheNow() const {
  return cache == nullptr ? CacheFigures() : cache->Figures();
}

CachedLine Node::Parts::LineHere(BytesView key) const {
  return cache == nullptr ? CachedLine() : cache->LineHere(key);
}

std::vector<HotKey> Node::Parts::HotKeysNow(size_t n) {
  return cache == nullptr ? std::vector<HotKey>() : cache->hot_keys().Top(now, n);
}

// A node that takes too much memory refuses writes; before it does, the cache makes room.
void Node::Parts::TidyCache() {
  if (cache == nullptr) return;
  const Settings& s = settings();
  cache->set_memory(static_cast<size_t>(s.dcache_memory > 0 ? s.dcache_memory : s.maxmemory / 2));
  cache->Tidy(now);
  cache->Audit(now);
  GiveUpKeys();
}

void Node::Parts::GiveUpKeys() {
  for (const Cache::Ticket& ticket :
       cache->TakeOverdue(now + -settings().uncertain_after_ms * kUsPerMs)) {
    OnCommitted(ticket, Reply::Error("UNCERTAIN", "what was written is not yet where it is to be; "
                                                  "the command may happen, or a part of it"));
  }
  for (const Cache::Ticket& ticket : cache->TakeOverdueShips(now + -kKeysWaitUs)) {
    OnShipped(ticket, mesi::Shipped::Outcome::kLost, Reply::Nil());
  }
  for (const Cache::Ticket& ticket : cache->WaitingSince(now + -kKeysWaitUs)) {
    Session* session = FindSession(ticket.client);
    if (session == nullptr) {
      cache->Forget(ticket);
      continue;
    }
    dispatcher.GiveUpKeys(now, session, ticket.slot);
    MakeDirty(session);
    if (session->parser.buffered() > 0) MakeRunnable(session);
  }
}

}  // namespace lockstep
