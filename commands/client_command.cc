// CLIENT: a connection asks about itself and others, and sets its modes.
#include "commands/client_command.h"
#include "commands/client_names.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"
#include "src/base/limits.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

// CLIENT ID
Action GetId(Context& ctx, Args&) {
  return Reply::Integer(static_cast<int64_t>(ctx.client.id.value));
}

// CLIENT SETNAME connection-name
Action SetName(Context& ctx, Args& args) {
  if (auto refused = SetClientName(args.Next(), &ctx.client.name)) return *refused;
  return Reply::Ok();
}

// CLIENT GETNAME
Action GetName(Context& ctx, Args&) {
  return ctx.client.name.empty() ? Reply::Nil() : Reply::Bulk(ctx.client.name);
}

// CLIENT SETINFO LIB-NAME|LIB-VER value (as Redis 7.2: newer clients send it on every connect)
Action SetInfo(Context& ctx, Args& args) {
  const BytesView option = args.Next();
  const BytesView value = args.Next();
  const bool is_name = EqualsIgnoreCase(option, "lib-name");
  if (!is_name && !EqualsIgnoreCase(option, "lib-ver")) {
    return Reply::Error("ERR", "Unrecognized option '" + Bytes(UpToZero(option)) + "'");
  }
  if (auto refused = RefuseLongName(is_name ? "lib-name" : "lib-ver", value)) return *refused;
  if (!IsListable(value)) {
    return Reply::Error("ERR",
                        Lower(option) + " cannot contain spaces, newlines or special characters.");
  }
  (is_name ? ctx.client.library_name : ctx.client.library_version) = value;
  return Reply::Ok();
}

// CLIENT NO-EVICT ON|OFF
Action NoEvict(Context& ctx, Args& args) {
  return ParseOnOff(args.Next(), &ctx.client.no_evict) ? Reply::Ok() : SyntaxErrorReply();
}

// CLIENT NO-TOUCH ON|OFF
Action NoTouch(Context& ctx, Args& args) {
  return ParseOnOff(args.Next(), &ctx.client.no_touch) ? Reply::Ok() : SyntaxErrorReply();
}

// CLIENT REPLY ON|OFF|SKIP. OFF and SKIP are not answered either.
Action SetReplyMode(Context& ctx, Args& args) {
  const BytesView mode = args.Next();
  if (EqualsIgnoreCase(mode, "on")) {
    ctx.client.reply_mode = Client::ReplyMode::kOn;
    return Reply::Ok();
  }
  if (EqualsIgnoreCase(mode, "off")) {
    ctx.client.reply_mode = Client::ReplyMode::kOff;
    return Reply::Nothing();
  }
  if (EqualsIgnoreCase(mode, "skip")) {
    if (ctx.client.reply_mode != Client::ReplyMode::kOff) {
      ctx.client.reply_mode = Client::ReplyMode::kSkipNext;
    }
    return Reply::Nothing();
  }
  return SyntaxErrorReply();
}

// CLIENT PAUSE timeout [WRITE|ALL]
Action Pause(Context& ctx, Args& args) {
  if (args.left() > 2) return SubcommandSyntaxReply(args);
  const BytesView timeout = args.Next();
  bool writes_only = false;
  if (args.More()) {
    const BytesView mode = args.Next();
    writes_only = EqualsIgnoreCase(mode, "write");
    if (!writes_only && !EqualsIgnoreCase(mode, "all")) {
      return Reply::Error("ERR", "CLIENT PAUSE mode must be WRITE or ALL");
    }
  }
  int64_t ms = 0;
  if (!ParseInt64(timeout, &ms)) {
    return Reply::Error("ERR", "timeout is not an integer or out of range");
  }
  if (ms < 0) return Reply::Error("ERR", "timeout is negative");
  ctx.host.PauseClients(ctx.host.Now() + std::min(ms, kBlockMsMax) * kUsPerMs, writes_only);
  return Reply::Ok();
}

// CLIENT UNPAUSE
Action Unpause(Context& ctx, Args&) {
  ctx.host.UnpauseClients();
  return Reply::Ok();
}

// CLIENT UNBLOCK client-id [TIMEOUT|ERROR]
Action Unblock(Context& ctx, Args& args) {
  if (args.left() > 2) return SubcommandSyntaxReply(args);
  const BytesView id_word = args.Next();
  bool with_error = false;
  if (args.More()) {
    const BytesView reason = args.Next();
    with_error = EqualsIgnoreCase(reason, "error");
    if (!with_error && !EqualsIgnoreCase(reason, "timeout")) {
      return Reply::Error("ERR", "CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  }
  int64_t id = 0;
  if (!ParseInt64(id_word, &id)) return NotAnIntegerReply();
  const bool unblocked = ctx.host.UnblockClient({static_cast<uint64_t>(id)}, with_error);
  return Reply::Integer(unblocked ? 1 : 0);
}

constexpr const char* kHelp[] = {
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
};

// CLIENT HELP
Action Help(Context&, Args&) {
  return HelpReply("CLIENT", kHelp);
}

constexpr Argument kCachingModes[] = {
    {.name = "yes", .type = Type::kPureToken, .token = "YES"},
    {.name = "no", .type = Type::kPureToken, .token = "NO"},
};
constexpr Argument kClientCachingArguments[] = {
    {.name = "mode", .type = Type::kOneOf, .children = kCachingModes},
};
constexpr const char* kClientInfoTips[] = {"nondeterministic_output"};
// Redis nests KILL's filters and LIST's ids deeper; hiredis 0.14 could not read that.
constexpr Argument kKillTypes[] = {
    {.name = "normal", .type = Type::kPureToken, .token = "NORMAL"},
    {.name = "master", .type = Type::kPureToken, .token = "MASTER"},
    {.name = "slave", .type = Type::kPureToken, .token = "SLAVE"},
    {.name = "replica", .type = Type::kPureToken, .token = "REPLICA"},
    {.name = "pubsub", .type = Type::kPureToken, .token = "PUBSUB"},
};
constexpr Argument kClientKillArguments[] = {
    {.name = "ip:port", .optional = true},
    {.name = "client-id", .type = Type::kInteger, .token = "ID", .optional = true},
    {.name = "normal_master_slave_pubsub",
     .type = Type::kOneOf,
     .token = "TYPE",
     .optional = true,
     .children = kKillTypes},
    {.name = "username", .token = "USER", .optional = true},
    {.name = "ip:port", .token = "ADDR", .optional = true},
    {.name = "ip:port", .token = "LADDR", .optional = true},
    {.name = "yes/no", .token = "SKIPME", .optional = true},
};
constexpr Argument kListTypes[] = {
    {.name = "normal", .type = Type::kPureToken, .token = "NORMAL"},
    {.name = "master", .type = Type::kPureToken, .token = "MASTER"},
    {.name = "replica", .type = Type::kPureToken, .token = "REPLICA"},
    {.name = "pubsub", .type = Type::kPureToken, .token = "PUBSUB"},
};
constexpr Argument kClientListArguments[] = {
    {.name = "normal_master_replica_pubsub",
     .type = Type::kOneOf,
     .token = "TYPE",
     .optional = true,
     .children = kListTypes},
    {.name = "client-id",
     .type = Type::kInteger,
     .token = "ID",
     .optional = true,
     .multiple = true},
};
constexpr const char* kClientListTips[] = {"nondeterministic_output"};
constexpr Argument kOnOff[] = {
    {.name = "on", .type = Type::kPureToken, .token = "ON"},
    {.name = "off", .type = Type::kPureToken, .token = "OFF"},
};
constexpr Argument kClientNoEvictArguments[] = {
    {.name = "enabled", .type = Type::kOneOf, .children = kOnOff},
};
constexpr Argument kPauseModes[] = {
    {.name = "write", .type = Type::kPureToken, .token = "WRITE"},
    {.name = "all", .type = Type::kPureToken, .token = "ALL"},
};
constexpr Argument kClientPauseArguments[] = {
    {.name = "timeout", .type = Type::kInteger},
    {.name = "mode", .type = Type::kOneOf, .optional = true, .children = kPauseModes},
};
constexpr Argument kReplyModes[] = {
    {.name = "on", .type = Type::kPureToken, .token = "ON"},
    {.name = "off", .type = Type::kPureToken, .token = "OFF"},
    {.name = "skip", .type = Type::kPureToken, .token = "SKIP"},
};
constexpr Argument kClientReplyArguments[] = {
    {.name = "on_off_skip", .type = Type::kOneOf, .children = kReplyModes},
};
constexpr Argument kClientSetnameArguments[] = {
    {.name = "connection-name"},
};
constexpr Argument kClientTrackingArguments[] = {
    {.name = "status", .type = Type::kOneOf, .children = kOnOff},
    {.name = "client-id", .type = Type::kInteger, .token = "REDIRECT", .optional = true},
    {.name = "prefix",
     .token = "PREFIX",
     .optional = true,
     .multiple = true,
     .multiple_token = true},
    {.name = "bcast", .type = Type::kPureToken, .token = "BCAST", .optional = true},
    {.name = "optin", .type = Type::kPureToken, .token = "OPTIN", .optional = true},
    {.name = "optout", .type = Type::kPureToken, .token = "OPTOUT", .optional = true},
    {.name = "noloop", .type = Type::kPureToken, .token = "NOLOOP", .optional = true},
};
constexpr Argument kUnblockReasons[] = {
    {.name = "timeout", .type = Type::kPureToken, .token = "TIMEOUT"},
    {.name = "error", .type = Type::kPureToken, .token = "ERROR"},
};
constexpr Argument kClientUnblockArguments[] = {
    {.name = "client-id", .type = Type::kInteger},
    {.name = "timeout_error", .type = Type::kOneOf, .optional = true, .children = kUnblockReasons},
};
constexpr Argument kSetInfoAttributes[] = {
    {.name = "libname", .token = "LIB-NAME"},
    {.name = "libver", .token = "LIB-VER"},
};
constexpr Argument kSetInfoArguments[] = {
    {.name = "attr", .type = Type::kOneOf, .children = kSetInfoAttributes},
};
constexpr CommandSpec kClientSubcommands[] = {
    {.name = "CACHING",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = ClientCaching,
     .summary = "Instruct the server about tracking or not keys in the next request",
     .since = "6.0.0",
     .group = "connection",
     .arguments = kClientCachingArguments},
    {.name = "GETNAME",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = GetName,
     .summary = "Get the current connection name",
     .since = "2.6.9",
     .group = "connection"},
    {.name = "GETREDIR",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = ClientGetredir,
     .summary = "Get tracking notifications redirection client ID if any",
     .since = "6.0.0",
     .group = "connection"},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kCatConnection,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands",
     .since = "5.0.0",
     .group = "connection"},
    {.name = "ID",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = GetId,
     .summary = "Returns the client ID for the current connection",
     .since = "5.0.0",
     .group = "connection"},
    {.name = "INFO",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = ClientInfo,
     .summary = "Returns information about the current client connection.",
     .since = "6.2.0",
     .group = "connection",
     .tips = kClientInfoTips},
    {.name = "KILL",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = ClientKill,
     .summary = "Kill the connection of a client",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "O(N) where N is the number of client connections",
     .arguments = kClientKillArguments},
    {.name = "LIST",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = ClientList,
     .summary = "Get the list of client connections",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "O(N) where N is the number of client connections",
     .arguments = kClientListArguments,
     .tips = kClientListTips},
    {.name = "NO-EVICT",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = NoEvict,
     .summary = "Set client eviction mode for the current connection",
     .since = "7.0.0",
     .group = "connection",
     .arguments = kClientNoEvictArguments},
    {.name = "NO-TOUCH",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = NoTouch,
     .summary = "Controls whether commands sent by the client affect the LRU/LFU of accessed keys",
     .since = "7.2.0",
     .group = "connection",
     .arguments = kClientNoEvictArguments},
    {.name = "PAUSE",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = Pause,
     .summary = "Stop processing commands from clients for some time",
     .since = "2.9.50",
     .group = "connection",
     .arguments = kClientPauseArguments},
    {.name = "REPLY",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = SetReplyMode,
     .summary = "Instruct the server whether to reply to commands",
     .since = "3.2.0",
     .group = "connection",
     .arguments = kClientReplyArguments},
    {.name = "SETINFO",
     .arity = 4,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = SetInfo,
     .summary = "Sets information specific to the client or connection",
     .since = "7.2.0",
     .group = "connection",
     .arguments = kSetInfoArguments},
    {.name = "SETNAME",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = SetName,
     .summary = "Set the current connection name",
     .since = "2.6.9",
     .group = "connection",
     .arguments = kClientSetnameArguments},
    {.name = "TRACKING",
     .arity = -3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = ClientTracking,
     .summary = "Enable or disable server assisted client side caching support",
     .since = "6.0.0",
     .group = "connection",
     .complexity = "O(1). Some options may introduce additional complexity.",
     .arguments = kClientTrackingArguments},
    {.name = "TRACKINGINFO",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = ClientTrackinginfo,
     .summary =
         "Return information about server assisted client side caching for the current connection",
     .since = "6.2.0",
     .group = "connection"},
    {.name = "UNBLOCK",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = Unblock,
     .summary = "Unblock a client blocked in a blocking command from a different connection",
     .since = "5.0.0",
     .group = "connection",
     .complexity = "O(log N) where N is the number of client connections",
     .arguments = kClientUnblockArguments},
    {.name = "UNPAUSE",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCatConnection,
     .handler = Unpause,
     .summary = "Resume processing of clients that were paused",
     .since = "6.2.0",
     .group = "connection",
     .complexity = "O(N) Where N is the number of paused clients"},
};
constexpr CommandSpec kClientRow = {.name = "CLIENT",
                                    .arity = -2,
                                    .summary = "A container for client connection commands",
                                    .since = "2.4.0",
                                    .group = "connection",
                                    .complexity = "Depends on subcommand.",
                                    .subcommands = kClientSubcommands};

}  // namespace

CommandSpec ClientCommand() {
  return kClientRow;
}

}  // namespace lockstep
