// The node's side of its clients' connections.
#include <algorithm>
#include <utility>

#include "commands/lock_table.h"
#include "commands/redact.h"
#include "src/base/log.h"
#include "src/node_core.h"

namespace lockstep {
namespace {

constexpr size_t kReadPauseBytes = 1024 * 1024;  // Unread commands of a client that cannot run now.
constexpr size_t kOutputUnauthenticatedMax = 64 * 1024;
constexpr int64_t kAuthDeadlineUs = 10 * kUsPerSecond;

}  // namespace

Session* Node::Parts::FindSession(ClientId id) {
  std::unique_ptr<Session>* session = sessions.Find(id.value);
  return session == nullptr ? nullptr : session->get();
}

void Node::Parts::MakeRunnable(Session* session) {
  if (session->runnable) return;
  session->runnable = true;
  runnable.push_back(session->client.id);
}

void Node::Parts::MakeDirty(Session* session) {
  if (session->dirty) return;
  session->dirty = true;
  dirty.push_back(session->client.id);
}

void Node::Parts::ApplyParserLimits(Session* session) {
  resp::ParserLimits limits;
  if (PasswordNeeded() && !session->client.authenticated) {
    limits = resp::ParserLimits::Unauthenticated();
  } else {
    limits.bulk_bytes_max = static_cast<size_t>(settings().proto_max_bulk_len);
    limits.buffer_bytes_max = static_cast<size_t>(settings().client_query_buffer_limit);
  }
  session->parser.set_limits(limits);
}

void Node::Parts::On(const ClientOpened& input) {
  Client client;
  client.id = input.id;
  client.address = input.address;
  client.local_address = input.local_address;
  client.loopback = input.loopback;
  client.authenticated = !PasswordNeeded();
  client.connected_at = now;
  client.last_active = now;
  auto session = std::make_unique<Session>(std::move(client));
  session->stranger_since = now;
  ApplyParserLimits(session.get());
  sessions.Add(input.id.value, std::move(session));
  ++figures.connections_received;
}

void Node::Parts::On(const ClientData& input) {
  Session* session = FindSession(input.id);
  if (session == nullptr || session->closing) return;
  session->parser.Append(input.bytes);
  Received(session, input.bytes.size());
}

void Node::Parts::On(const ClientRead& input) {
  Session* session = FindSession(input.id);
  if (session == nullptr || session->closing) return;
  session->parser.Commit(input.bytes);
  Received(session, input.bytes);
}

void Node::Parts::Received(Session* session, size_t bytes) {
  figures.net_input_bytes += bytes;
  MakeRunnable(session);
  if (session->parser.buffered() >= kReadPauseBytes) MakeDirty(session);  // It may be ahead.
}

void Node::Parts::On(const ClientBacklog& input) {
  Session* session = FindSession(input.id);
  if (session == nullptr) return;
  session->backlog = input.bytes;
  EnforceLimits(session);
  MakeRunnable(session);
  MakeDirty(session);
}

void Node::Parts::On(const ClientClosed& input) {
  Session* session = FindSession(input.id);
  if (session != nullptr) HangUp(session, input.untaken);
}

// What has left is its client's.
void Node::Parts::TellDelivered(Session* session, size_t untaken) {
  for (const Session::Handed& one : session->TakeHandedBefore(untaken)) {
    if (one.end == kNoSeq) {
      gateway.Abandon(now, one.group, one.seq);
    } else {
      gateway.Delivered(one.group, one.seq);
    }
  }
}

void Node::Parts::TellDelivered() {
  for (const ClientId id : std::exchange(handing, {})) {
    Session* session = FindSession(id);
    if (session == nullptr || session->killed) continue;
    TellDelivered(session, session->backlog);
    if (session->has_handed()) handing.push_back(id);
  }
}

// The connection is gone: what it waits for ends, what did not reach it goes back, and what was
// bound to it ends.
void Node::Parts::HangUp(Session* session, size_t untaken) {
  if (!session->killed) TellDelivered(session, untaken);
  for (const Session::Handed& one : session->TakeHanded()) {
    gateway.Abandon(now, one.group, one.seq);
  }
  for (size_t i = 0; i < session->slots().size(); ++i) {
    Session::Slot& slot = *session->Find(session->FrontNumber() + i);
    if (slot.errand != nullptr) dispatcher.GiveUpErrand(now, &slot);
    if (slot.waiting != nullptr) cache->Forget({session->client.id, session->FrontNumber() + i});
    if (slot.seq == 0 || (slot.filled && !slot.gives())) continue;
    const bool may_happen = gateway.Abandon(now, slot.group, slot.seq);
    if (may_happen && slot.binds) session->Bind(slot.group);
  }
  // Without a session there is nothing bound: it has ended with the last one, and what would be
  // bound under the next one was withdrawn just now.
  for (const GroupId group : session->bound) {
    if (gateway.HasSession(group)) gateway.Hangup(now, group, session->client.id);
  }
  channels.Leave(&session->client);
  if (std::exchange(session->client.tracking, false)) OnTracking(session->client);
  FollowMonitor(session->client.id, false);
  if (session->client.bus_tap) --taps;
  sessions.Remove(session->client.id.value);
}

// By turns, a few commands each: a crowd with long pipelines delays nobody by more than a round of
// it, and never keeps the node from its peers.
void Node::Parts::RunSessions(int64_t* budget) {
  dispatcher.BeginRuns();
  while (!runnable.empty() && *budget > 0) {
    const ClientId id = runnable.front();
    runnable.pop_front();
    Session* session = FindSession(id);
    if (session == nullptr) continue;
    session->runnable = false;
    Client& client = session->client;
    const bool tapped = client.bus_tap;
    const bool authenticated = client.authenticated;
    const bool more = dispatcher.Run(now, session, budget);
    FollowMonitor(id, client.monitor);
    taps += (client.bus_tap ? 1 : 0) - static_cast<size_t>(tapped ? 1 : 0);
    if (client.authenticated != authenticated) {
      ApplyParserLimits(session);
      if (!client.authenticated) session->stranger_since = now;
    }
    if (more) MakeRunnable(session);
    client.input_buffered = session->parser.buffered();
    client.input_capacity = session->parser.capacity();
    MakeDirty(session);
  }
  if (taps > 0 && !tapping) {
    outbox.set_tap([this](NodeId to, BytesView body) { Tap(to, body, true); });
    tapping = true;
  } else if (taps == 0 && tapping) {
    outbox.set_tap(nullptr);
    tapping = false;
  }
}

void Node::Parts::OnReply(const Gateway::Asker& asker, Reply reply) {
  Session* session = FindSession(asker.client);
  if (session == nullptr) return;
  dispatcher.OnReply(now, session, asker.slot, asker.part, std::move(reply));
  MakeDirty(session);
  // What was held back behind this reply may run now.
  if (session->parser.buffered() > 0) MakeRunnable(session);
}

void Node::Parts::CollectClients(Output* out) {
  out->clients.reserve(dirty.size());
  for (const ClientId id : std::exchange(dirty, {})) {
    Session* session = FindSession(id);
    if (session == nullptr) continue;
    session->dirty = false;
    EnforceLimits(session);
    const bool close = session->killed || (session->closing && session->idle());
    Bytes bytes = session->TakeOutput();
    if (session->has_handed() && !session->killed) handing.push_back(id);
    // It has made as much as it may in one go. If the socket does not take that, its backlog stops
    // the session until it does.
    const bool has_room = session->backlog < Session::kOutputPauseBytes;
    if (session->lack == Session::Lack::kOutputRoom && has_room) MakeRunnable(session);
    if (session->killed) bytes.clear();
    if (!session->close_told && (close || !bytes.empty())) {
      figures.net_output_bytes += bytes.size();
      out->clients.push_back({id, std::move(bytes), close, session->killed,
                              std::exchange(session->leased, false)});
      session->close_told = close;
    }
    session->client.output_buffered = session->backlog;
    // One command may be larger than the pause: of it the parser's own limits are the bound.
    const bool ahead = session->parser.buffered() >= kReadPauseBytes &&
                       (session->lack != Session::Lack::kBytes || session->runnable);
    const bool read = !session->closing && !ahead;
    if (read != session->reading) {
      session->reading = read;
      (read ? out->read_again : out->stop_reading).push_back(id);
    }
  }
}

// A client that does not read what it asked for is cut off before it costs the others their memory.
void Node::Parts::EnforceLimits(Session* session) {
  const Client& client = session->client;
  const OutputLimits& limits = settings().client_output_buffer_limit;
  OutputLimit limit = client.subscriptions() > 0 ? limits.pubsub : limits.normal;
  if (PasswordNeeded() && !client.authenticated) {
    limit.hard_bytes = static_cast<int64_t>(kOutputUnauthenticatedMax);
  }
  const auto bytes = static_cast<int64_t>(session->output_bytes());
  if (limit.soft_bytes == 0 || bytes < limit.soft_bytes) {
    session->soft_limit_since.reset();
  } else if (!session->soft_limit_since) {
    session->soft_limit_since = now;
  }
  const bool soft = session->soft_limit_since &&
                    now - *session->soft_limit_since >= limit.soft_seconds * kUsPerSecond;
  if (!soft && (limit.hard_bytes == 0 || bytes < limit.hard_bytes)) return;
  if (session->closing) return;
  LOCKSTEP_LOG(kWarn, "client %s closed: %ld bytes of output not read, client-output-buffer-limit",
               client.address.c_str(), bytes);
  ++figures.output_buffer_disconnections;
  CloseSession(client.id);
}

// At once, whatever it is owed.
void Node::Parts::CloseSession(ClientId id) {
  Session* session = FindSession(id);
  if (session == nullptr) return;
  session->closing = true;
  session->killed = true;
  MakeDirty(session);
}

void Node::Parts::CloseIdleClients() {
  const int64_t timeout_us = settings().timeout * kUsPerSecond;
  std::vector<ClientId> idle;
  ForEachSession([&](Session* session) {
    const Client& client = session->client;
    const bool exempt = client.monitor || client.subscriptions() > 0 || !session->idle();
    const bool silent = timeout_us > 0 && !exempt && now - client.last_active >= timeout_us;
    const bool stranger = PasswordNeeded() && !client.authenticated &&
                          now - session->stranger_since >= kAuthDeadlineUs;
    if (silent || stranger) idle.push_back(client.id);
  });
  for (const ClientId id : idle) CloseSession(id);
}

// A crowd that says little must not hold a buffer each.
void Node::Parts::ReleaseIdleBuffers() {
  ForEachSession([&](Session* session) {
    if (now - session->client.last_active < kUsPerSecond) return;
    session->parser.ReleaseIdle();
    session->client.input_capacity = session->parser.capacity();
  });
}

// One that takes nothing at all makes no event by which the limit would be looked at.
void Node::Parts::CloseSlowReaders() {
  ForEachSession([&](Session* session) {
    if (session->soft_limit_since) EnforceLimits(session);
  });
}

// While nobody watches, commands are shown to nobody.
void Node::Parts::FollowMonitor(ClientId id, bool watches) {
  if (watches ? !monitors.insert(id).second : monitors.erase(id) == 0) return;
  if (monitors.empty()) return dispatcher.set_watch(nullptr);
  dispatcher.set_watch([this](const Session& session, const FoundCommand& found,
                              std::span<const BytesView> argv) {
    FeedMonitors(session, Redacted(found, argv));
  });
}

void Node::Parts::FeedMonitors(const Session& watched, std::span<const BytesView> argv) {
  const int64_t us = WallClockUs();
  Bytes line = Format("%ld.%06ld [0 %s]", us / kUsPerSecond, us % kUsPerSecond,
                      watched.client.address.c_str());
  for (const BytesView arg : argv) line += " \"" + Printable(arg, arg.size()) + "\"";
  for (const ClientId id : monitors) {
    if (id == watched.client.id) continue;
    Session* session = FindSession(id);
    session->Write(Reply::Simple(line));
    MakeDirty(session);
  }
}

void Node::Parts::OnTracking(const Client& client) {
  tracking.Follow(client);
  FollowTracking();
}

// Whoever runs commands and has keys asks nothing of it while nobody is to be told of anything.
void Node::Parts::FollowTracking() {
  Tracking* const told = tracking.active() ? &tracking : nullptr;
  dispatcher.set_tracking(told);
  if (cache != nullptr) cache->set_tracker(told);
}

void Node::Parts::FlushTracking(Output* out) {
  tracking.Flush(peers.addresses());
  out->clients_first = tracking.TakePushed();
}

// Events cost their making; none are made while nobody here can hear one.
void Node::Parts::WantEvents() {
  const auto locks = groups.find(kLocksGroup);
  if (locks == groups.end()) return;
  static_cast<LockTable&>(locks->second->replica().machine())
      .set_events_wanted(channels.AnyoneUnder("__lock__:"));
}

void Node::Parts::Deliver(BytesView channel, BytesView payload, bool shard) {
  const auto deliver = [&](ClientId id, const Bytes* pattern) {
    Reply message = Reply::Push();
    message.Add(Reply::Bulk(pattern != nullptr ? "pmessage" : shard ? "smessage" : "message"));
    if (pattern != nullptr) message.Add(Reply::Bulk(*pattern));
    message.Add(Reply::Bulk(Bytes(channel))).Add(Reply::Bulk(Bytes(payload)));
    PushTo(id, message);
  };
  if (shard) {
    channels.ShardPublish(channel, deliver);
  } else {
    channels.Publish(channel, deliver);
  }
}

// A command that is not whole will never run if no more of it comes.
Node::Owed Node::Owes(ClientId id) const {
  const Session* session = parts_->FindSession(id);
  if (session == nullptr) return Owed::kNothing;
  const bool may_run = session->runnable || session->lack != Session::Lack::kBytes;
  const bool has_commands = session->parser.buffered() > 0 && may_run;
  if (!has_commands && session->idle() && !session->HasOutput()) return Owed::kNothing;
  // Who waits for a message and has shut its side is most likely dead: the next one is not for it.
  const bool waits_for_message = session->open_slots() == 1 && session->IsBlocked() &&
                                 session->slots()[0].hands_over;
  if (!has_commands && waits_for_message && !session->HasOutput()) return Owed::kNothing;
  return session->stalled || session->IsBlocked() ? Owed::kLater : Owed::kSoon;
}

}  // namespace lockstep
