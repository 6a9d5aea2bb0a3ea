// CLIENT INFO, LIST and KILL: the connections of this node, shown and ended.
#include <cinttypes>

#include "commands/client_command.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

// Redis's getClientType. A monitor counts as normal; masters and replicas do not exist here, but
// are types that may be asked for.
enum class ClientType : uint8_t { kNormal, kMaster, kReplica, kPubSub };

std::optional<ClientType> ParseType(BytesView name) {
  if (EqualsIgnoreCase(name, "normal")) return ClientType::kNormal;
  if (EqualsIgnoreCase(name, "slave") || EqualsIgnoreCase(name, "replica")) {
    return ClientType::kReplica;
  }
  if (EqualsIgnoreCase(name, "pubsub")) return ClientType::kPubSub;
  if (EqualsIgnoreCase(name, "master")) return ClientType::kMaster;
  return std::nullopt;
}

Reply UnknownType(BytesView name) {
  return Reply::Error("ERR", "Unknown client type '" + Bytes(UpToZero(name)) + "'");
}

ClientType TypeOf(const Client& client) {
  return client.subscriptions() > 0 ? ClientType::kPubSub : ClientType::kNormal;
}

Bytes FlagsOf(const Client& client) {
  Bytes flags;
  if (client.monitor) flags += 'O';
  if (client.subscriptions() > 0) flags += 'P';
  if (client.in_multi()) flags += 'x';
  if (!client.waiting_for.empty()) flags += 'b';
  if (client.tracking) flags += 't';
  if (client.tracking && client.tracking_options.bcast) flags += 'B';
  if (client.close_after_reply) flags += 'c';
  if (client.readonly) flags += 'r';
  if (client.no_evict) flags += 'e';
  if (client.no_touch) flags += 'T';
  return flags.empty() ? "N" : flags;
}

// A value that may hold any byte, as one word: readers split the line at blanks.
Bytes OneWord(BytesView value) {
  Bytes out;
  for (const char c : Printable(value)) {
    if (c == ' ') {
      out += "\\x20";
    } else {
      out += c;
    }
  }
  return out;
}

struct KillFilter {
  Bytes address;
  Bytes local_address;
  Bytes user;
  std::optional<ClientType> type;
  std::optional<ClientId> id;
  bool skip_me = true;

  bool Matches(const Client& client, const Client& me) const {
    if (!address.empty() && client.address != address) return false;
    if (!local_address.empty() && client.local_address != local_address) return false;
    if (!user.empty() && client.user != user) return false;
    if (type && TypeOf(client) != *type) return false;
    if (id && client.id != *id) return false;
    return !(skip_me && client.id == me.id);
  }
};

// One "option value" of CLIENT KILL's new form. Empty: taken.
std::optional<Reply> TakeKillOption(BytesView option, BytesView value, KillFilter* filter) {
  if (EqualsIgnoreCase(option, "id")) {
    int64_t id = 0;
    if (!ParseInt64(value, &id) || id < 1) {
      return Reply::Error("ERR", "client-id should be greater than 0");
    }
    filter->id = ClientId{static_cast<uint64_t>(id)};
  } else if (EqualsIgnoreCase(option, "type")) {
    filter->type = ParseType(value);
    if (!filter->type) return UnknownType(value);
  } else if (EqualsIgnoreCase(option, "addr")) {
    filter->address = value;
  } else if (EqualsIgnoreCase(option, "laddr")) {
    filter->local_address = value;
  } else if (EqualsIgnoreCase(option, "user")) {
    if (value != "default") {
      return Reply::Error("ERR", "No such user '" + Bytes(UpToZero(value)) + "'");
    }
    filter->user = value;
  } else if (EqualsIgnoreCase(option, "skipme") && EqualsIgnoreCase(value, "yes")) {
    filter->skip_me = true;
  } else if (EqualsIgnoreCase(option, "skipme") && EqualsIgnoreCase(value, "no")) {
    filter->skip_me = false;
  } else {
    return SyntaxErrorReply();
  }
  return std::nullopt;
}

// Visits none while it ends them: the host's list changes under a kill.
int64_t KillAll(Context& ctx, const KillFilter& filter) {
  std::vector<ClientId> victims;
  ctx.host.ForEachClient([&](Client& client) {
    if (filter.Matches(client, ctx.client)) victims.push_back(client.id);
  });
  for (const ClientId id : victims) {
    // Who ends itself is still told so.
    id == ctx.client.id ? ctx.host.CloseAfterReplies(id) : ctx.host.KillClient(id);
  }
  return static_cast<int64_t>(victims.size());
}

}  // namespace

Bytes ClientLine(const Client& client, MonoTime now) {
  const auto seconds = [now](MonoTime since) { return (now - since) / kUsPerSecond; };
  const size_t total =
      sizeof(Client) + client.input_capacity + client.output_buffered + client.queued_bytes;
  const size_t free =
      client.input_capacity - std::min(client.input_capacity, client.input_buffered);
  Bytes line =
      Format("id=%" PRIu64 " addr=%s laddr=%s fd=%d name=%s", client.id.value,
             client.address.c_str(), client.local_address.c_str(), client.fd, client.name.c_str());
  line += Format(" age=%" PRId64 " idle=%" PRId64 " flags=%s db=0", seconds(client.connected_at),
                 seconds(client.last_active), FlagsOf(client).c_str());
  line += Format(" sub=%zu psub=%zu ssub=%zu multi=%" PRId64, client.channels.size(),
                 client.patterns.size(), client.shard_channels.size(), client.queued);
  // argv-mem is 0 for ever: arguments are views into the query buffer.
  line += Format(" qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=%zu", client.input_buffered, free,
                 client.queued_bytes);
  line += Format(" obl=%zu oll=0 omem=%zu tot-mem=%zu events=%s", client.output_buffered,
                 client.output_buffered, total, client.output_buffered > 0 ? "rw" : "r");
  const int64_t redirect =
      client.tracking ? static_cast<int64_t>(client.tracking_options.redirect.value) : -1;
  line += Format(" cmd=%s user=%s redir=%" PRId64 " resp=%d",
                 client.last_command.empty() ? "NULL" : client.last_command.c_str(),
                 client.user.c_str(), redirect, client.protocol);
  line += Format(" lib-name=%s lib-ver=%s", client.library_name.c_str(),
                 client.library_version.c_str());
  return line + " waiting=" + OneWord(client.waiting_for);
}

// CLIENT INFO
Action ClientInfo(Context& ctx, Args&) {
  return Reply::Verbatim(ClientLine(ctx.client, ctx.host.Now()) + '\n');
}

// CLIENT LIST [TYPE type | ID id [id ...]]
Action ClientList(Context& ctx, Args& args) {
  const auto rest = args.rest();
  const MonoTime now = ctx.host.Now();
  Bytes out;
  const auto show = [&](const Client& client) { out += ClientLine(client, now) + '\n'; };

  if (rest.empty()) {
    ctx.host.ForEachClient(show);
  } else if (rest.size() == 2 && EqualsIgnoreCase(rest[0], "type")) {
    const auto type = ParseType(rest[1]);
    if (!type) return UnknownType(rest[1]);
    ctx.host.ForEachClient([&](Client& client) {
      if (TypeOf(client) == *type) show(client);
    });
  } else if (rest.size() >= 2 && EqualsIgnoreCase(rest[0], "id")) {
    for (const BytesView word : rest.subspan(1)) {
      int64_t id = 0;
      if (!ParseInt64(word, &id)) return Reply::Error("ERR", "Invalid client ID");
      // No such client: no line, as in Redis.
      if (const Client* client = ctx.host.FindClient({static_cast<uint64_t>(id)})) show(*client);
      if (out.size() > kReplyCostMax) {
        return Reply::Error("LIMIT", "the reply would be too long; ask for fewer clients at once");
      }
    }
  } else {
    return SyntaxErrorReply();
  }
  return Reply::Verbatim(std::move(out));
}

// CLIENT KILL addr  (the old form: an error if there is none)
// CLIENT KILL option value [option value ...]  (the number killed)
Action ClientKill(Context& ctx, Args& args) {
  const auto rest = args.rest();
  KillFilter filter;
  if (rest.size() == 1) {
    filter.address = rest[0];
    filter.skip_me = false;
    if (rest[0].empty() || KillAll(ctx, filter) == 0) return Reply::Error("ERR", "No such client");
    return Reply::Ok();
  }
  for (size_t i = 0; i < rest.size(); i += 2) {
    if (i + 1 == rest.size()) return SyntaxErrorReply();
    if (auto refused = TakeKillOption(rest[i], rest[i + 1], &filter)) return *refused;
  }
  return Reply::Integer(KillAll(ctx, filter));
}

}  // namespace lockstep
