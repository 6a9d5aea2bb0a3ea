// What a connection is and who is on it: PING ECHO HELLO AUTH QUIT RESET SELECT, and CLIENT.
#include "commands/client_command.h"
#include "commands/client_names.h"
#include "commands/command.h"
#include "commands/host.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"
#include "src/base/version.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr const char* kWrongPassword = "invalid username-password pair or user is disabled.";

// Takes the client in as `user`, or counts the attempt. No password needed means that any will do
// for the default user, as in Redis.
bool Authenticate(Context& ctx, BytesView command, BytesView user, BytesView password) {
  const bool free_entry = user == "default" && !ctx.host.PasswordNeeded();
  if (!free_entry && !ctx.host.PasswordMatches(user, password)) {
    ++ctx.host.stats().auth_denied;
    const MonoTime now = ctx.host.Now();
    ctx.host.acl_log().AddRefusedLogin(now, command, user, ClientLine(ctx.client, now));
    return false;
  }
  ctx.client.user = user;
  ctx.client.authenticated = true;
  return true;
}

// PING [message]
Action Ping(Context& ctx, Args& args) {
  if (args.left() > 1) {
    return Reply::Error("ERR", "wrong number of arguments for 'ping' command");
  }
  const bool has_message = args.left() == 1;
  const Bytes message(has_message ? args.Next() : BytesView());
  // A RESP2 subscriber can only tell replies from messages by their shape.
  if (ctx.client.restricted_by_subscription()) {
    return Reply::Array({Reply::Bulk("pong"), Reply::Bulk(message)});
  }
  return has_message ? Reply::Bulk(message) : Reply::Simple("PONG");
}

// ECHO message
Action Echo(Context&, Args& args) {
  return Reply::Bulk(Bytes(args.Next()));
}

// What HELLO answers, in the protocol that it has just chosen.
Reply Greeting(const Client& client) {
  Reply reply = Reply::Map();
  reply.Add("server", Reply::Bulk("redis"));
  reply.Add("version", Reply::Bulk(kRedisVersionCompatible));
  reply.Add("proto", Reply::Integer(client.protocol));
  reply.Add("id", Reply::Integer(static_cast<int64_t>(client.id.value)));
  reply.Add("mode", Reply::Bulk("cluster"));
  reply.Add("role", Reply::Bulk("master"));
  reply.Add("modules", Reply::Array());
  return reply;
}

// The options of HELLO, left to right; each takes effect even if a later one is refused, as in
// Redis.
std::optional<Reply> TakeHelloOptions(Context& ctx, Args& args) {
  while (args.More()) {
    const BytesView option = args.Next();
    if (EqualsIgnoreCase(option, "AUTH") && args.left() >= 2) {
      const BytesView user = args.Next();
      if (!Authenticate(ctx, "hello", user, args.Next())) {
        return Reply::Error("WRONGPASS", kWrongPassword);
      }
    } else if (EqualsIgnoreCase(option, "SETNAME") && args.left() >= 1) {
      if (auto refused = SetClientName(args.Next(), &ctx.client.name)) return refused;
    } else {
      return Reply::Error("ERR", "Syntax error in HELLO option '" + Bytes(UpToZero(option)) + "'");
    }
  }
  return std::nullopt;
}

// HELLO [protover [AUTH username password] [SETNAME clientname]]
Action Hello(Context& ctx, Args& args) {
  int64_t version = ctx.client.protocol;
  if (args.More()) {
    if (!ParseInt64(args.Next(), &version)) {
      return Reply::Error("ERR", "Protocol version is not an integer or out of range");
    }
    if (version < 2 || version > 3) {
      return Reply::Error("NOPROTO", "unsupported protocol version");
    }
  }
  if (auto refused = TakeHelloOptions(ctx, args)) return *refused;
  if (!ctx.client.authenticated) {
    return Reply::Error(
        "NOAUTH",
        "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
        "<user> <pass> option can be used to authenticate the client and select the RESP protocol "
        "version at the same time");
  }
  ctx.client.protocol = static_cast<int>(version);
  return Greeting(ctx.client);
}

// AUTH [username] password
Action Auth(Context& ctx, Args& args) {
  if (args.left() > 2) return SyntaxErrorReply();
  const bool named = args.left() == 2;
  if (!named && !ctx.host.PasswordNeeded()) {
    return Reply::Error("ERR",
                        "AUTH <password> called without any password configured for the default "
                        "user. Are you sure your configuration is correct?");
  }
  const BytesView user = named ? args.Next() : BytesView("default");
  if (!Authenticate(ctx, "auth", user, args.Next()))
    return Reply::Error("WRONGPASS", kWrongPassword);
  return Reply::Ok();
}

// QUIT
Action Quit(Context& ctx, Args&) {
  ctx.client.close_after_reply = true;
  return Reply::Ok();
}

// RESET. Locks are not released: they belong to owners, not to connections.
Action Reset(Context& ctx, Args&) {
  ctx.host.ResetClient(&ctx.client);
  return Reply::Simple("RESET");
}

// SELECT index
Action Select(Context&, Args& args) {
  int64_t index = 0;
  if (!ParseInt64(args.Next(), &index)) return NotAnIntegerReply();
  if (index != 0) return Reply::Error("ERR", "SELECT is not allowed in cluster mode");
  return Reply::Ok();
}

constexpr Argument kPingArguments[] = {
    {.name = "message", .optional = true},
};
constexpr const char* kPingTips[] = {"request_policy:all_shards", "response_policy:all_succeeded"};
constexpr Argument kEchoArguments[] = {
    {.name = "message"},
};
constexpr Argument kHelloCredentials[] = {
    {.name = "username"},
    {.name = "password"},
};
constexpr Argument kHelloOptions[] = {
    {.name = "protover", .type = Type::kInteger},
    {.name = "username_password",
     .type = Type::kBlock,
     .token = "AUTH",
     .optional = true,
     .children = kHelloCredentials},
    {.name = "clientname", .token = "SETNAME", .optional = true},
};
constexpr Argument kHelloArguments[] = {
    {.name = "arguments", .type = Type::kBlock, .optional = true, .children = kHelloOptions},
};
constexpr Argument kAuthArguments[] = {
    {.name = "username", .optional = true},
    {.name = "password"},
};
constexpr Argument kSelectArguments[] = {
    {.name = "index", .type = Type::kInteger},
};
constexpr CommandSpec kConnectionRows[] = {
    {.name = "PING",
     .arity = -1,
     .flags = kFast,
     .categories = kCatConnection,
     .handler = Ping,
     .summary = "Ping the server",
     .since = "1.0.0",
     .group = "connection",
     .arguments = kPingArguments,
     .tips = kPingTips},
    {.name = "ECHO",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .categories = kCatConnection,
     .handler = Echo,
     .summary = "Echo the given string",
     .since = "1.0.0",
     .group = "connection",
     .arguments = kEchoArguments},
    {.name = "HELLO",
     .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .categories = kCatConnection,
     .handler = Hello,
     .summary = "Chooses the protocol, and authenticates on the way",
     .since = "6.0.0",
     .group = "connection",
     .arguments = kHelloArguments},
    {.name = "AUTH",
     .arity = -2,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .categories = kCatConnection,
     .handler = Auth,
     .summary = "Authenticate to the server",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(N) where N is the number of passwords defined for the user",
     .arguments = kAuthArguments},
    {.name = "QUIT",
     .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .categories = kCatConnection,
     .handler = Quit,
     .summary = "Close the connection",
     .since = "1.0.0",
     .group = "connection"},
    {.name = "RESET",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .categories = kCatConnection,
     .handler = Reset,
     .summary = "Reset the connection",
     .since = "6.2.0",
     .group = "connection"},
    {.name = "SELECT",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .categories = kCatConnection,
     .handler = Select,
     .summary = "Change the selected database for the current connection",
     .since = "1.0.0",
     .group = "connection",
     .arguments = kSelectArguments},
};

}  // namespace

std::span<const CommandSpec> ConnectionCommands() {
  static const std::vector<CommandSpec> rows = [] {
    std::vector<CommandSpec> all(std::begin(kConnectionRows), std::end(kConnectionRows));
    all.push_back(ClientCommand());
    return all;
  }();
  return rows;
}

}  // namespace lockstep
