// ACL: who may do what. There is one user, `default`, who may do everything once the password given
// by requirepass (if any) is known; what is told about it here is derived from that.
#include <cinttypes>

#include "commands/command_docs.h"
#include "commands/host.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr int64_t kPasswordBitsMax = 4096;

// ACL WHOAMI
Action AclWhoami(Context& ctx, Args&) {
  return Reply::Bulk(ctx.client.user);
}

// ACL USERS
Action AclUsers(Context&, Args&) {
  return Reply::Array({Reply::Bulk("default")});
}

// ACL LIST
Action AclList(Context& ctx, Args&) {
  const Bytes password =
      ctx.host.PasswordNeeded() ? "#" + ctx.host.PasswordHash() : Bytes("nopass");
  return Reply::Array({Reply::Bulk("user default on " + password + " ~* &* +@all")});
}

// ACL GETUSER username
Action AclGetuser(Context& ctx, Args& args) {
  if (args.Next() != "default") return Reply::Nil();
  Reply flags = Reply::Set({Reply::Bulk("on")});
  Reply passwords = Reply::Array();
  if (ctx.host.PasswordNeeded()) {
    passwords.Add(Reply::Bulk(ctx.host.PasswordHash()));
  } else {
    flags.Add(Reply::Bulk("nopass"));
  }
  Reply user = Reply::Map();
  user.Add("flags", std::move(flags));
  user.Add("passwords", std::move(passwords));
  user.Add("commands", Reply::Bulk("+@all"));
  user.Add("keys", Reply::Bulk("~*"));
  user.Add("channels", Reply::Bulk("&*"));
  user.Add("selectors", Reply::Array());
  return user;
}

// ACL CAT [category]: the categories, or the commands and subcommands in one.
Action AclCat(Context&, Args& args) {
  if (args.left() > 1) return SubcommandSyntaxReply(args);
  Reply list = Reply::Array();
  if (!args.More()) {
    for (const char* name : CategoryNames()) list.Add(Reply::Bulk(name));
    return list;
  }
  const BytesView name = args.Next();
  const auto category = CategoryByName(name);
  if (!category) return Reply::Error("ERR", "Unknown category '" + Bytes(UpToZero(name)) + "'");
  const CommandTable& table = CommandTable::Get();
  const auto add_if_in = [&](const CommandSpec& spec) {
    if (CategoriesOf(spec) & *category) list.Add(Reply::Bulk(table.LeafName(spec)));
  };
  for (const CommandSpec* spec : table.all()) {
    add_if_in(*spec);
    for (const CommandSpec& sub : spec->subcommands) add_if_in(sub);
  }
  return list;
}

// ACL GENPASS [bits]: as many hex digits as hold that many bits.
Action AclGenpass(Context& ctx, Args& args) {
  if (args.left() > 1) return SubcommandSyntaxReply(args);
  int64_t bits = 256;
  if (args.More() && !ParseInt64(args.Next(), &bits)) return NotAnIntegerReply();
  if (bits <= 0 || bits > kPasswordBitsMax) {
    return Reply::Error(
        "ERR",
        "ACL GENPASS argument must be the number of bits for the output password, a "
        "positive number up to 4096");
  }
  const auto digits = static_cast<size_t>((bits + 3) / 4);
  Bytes hex;
  for (const char byte : ctx.host.RandomBytes((digits + 1) / 2)) {
    hex += Format("%02x", static_cast<unsigned char>(byte));
  }
  hex.resize(digits);
  return Reply::Bulk(std::move(hex));
}

// ACL DRYRUN username command [arg ...]: whether the user might run it. Nothing runs.
Action AclDryrun(Context&, Args& args) {
  const BytesView user = args.Next();
  if (user != "default") {
    return Reply::Error("ERR", "User '" + Bytes(UpToZero(user)) + "' not found");
  }
  const auto call = args.rest();
  const FoundCommand found = CommandTable::Get().Find(call);
  const bool container = found.command != nullptr && !found.command->subcommands.empty();
  if (found.command == nullptr || (container && found.subcommand == nullptr && call.size() > 1)) {
    return Reply::Error("ERR", "Command '" + Bytes(UpToZero(call[0])) + "' not found");
  }
  if (auto refused = RefuseBeforeRun(found, call)) return *refused;
  return Reply::Ok();
}

Reply ShowRefusedLogin(const AclLog::Entry& entry, MonoTime now) {
  const double age = static_cast<double>((now - entry.at) / kUsPerMs) / 1000;
  Reply map = Reply::Map();
  map.Add("count", Reply::Integer(static_cast<int64_t>(entry.count)));
  map.Add("reason", Reply::Bulk("auth"));
  map.Add("context", Reply::Bulk("toplevel"));
  map.Add("object", Reply::Bulk(entry.command));
  map.Add("username", Reply::Bulk(entry.user));
  map.Add("age-seconds", Reply::Double(age));
  map.Add("client-info", Reply::Bulk(entry.client_line));
  return map;
}

// ACL LOG [count | RESET]: refused logins, the latest first.
Action AclLogCommand(Context& ctx, Args& args) {
  if (args.left() > 1) return SubcommandSyntaxReply(args);
  int64_t count = 10;
  if (args.More()) {
    const BytesView word = args.Next();
    if (EqualsIgnoreCase(word, "reset")) {
      ctx.host.acl_log().Clear();
      return Reply::Ok();
    }
    if (!ParseInt64(word, &count)) return NotAnIntegerReply();
  }
  Reply list = Reply::Array();
  for (const AclLog::Entry& entry : ctx.host.acl_log().entries()) {
    if (count-- <= 0) break;
    list.Add(ShowRefusedLogin(entry, ctx.host.Now()));
  }
  return list;
}

// ACL SETUSER, DELUSER
Action AclOneUserOnly(Context&, Args&) {
  return Reply::Error(
      "ERR",
      "there is one user here, 'default', who may do everything; its password is set "
      "with CONFIG SET requirepass; nothing was changed");
}

// ACL LOAD, SAVE
Action AclNoFile(Context&, Args&) {
  return Reply::Error(
      "ERR",
      "This node is not configured to use an ACL file: its one user's password is the "
      "setting requirepass, which CONFIG REWRITE keeps; nothing was changed");
}

constexpr const char* kHelp[] = {
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
};

// ACL HELP
Action AclHelp(Context&, Args&) {
  return HelpReply("ACL", kHelp);
}

constexpr Argument kAclCatArguments[] = {
    {.name = "categoryname", .optional = true},
};
constexpr Argument kAclDeluserArguments[] = {
    {.name = "username", .multiple = true},
};
constexpr Argument kAclDryrunArguments[] = {
    {.name = "username"},
    {.name = "command"},
    {.name = "arg", .optional = true, .multiple = true},
};
constexpr Argument kAclGenpassArguments[] = {
    {.name = "bits", .type = Type::kInteger, .optional = true},
};
constexpr Argument kAclGetuserArguments[] = {
    {.name = "username"},
};
constexpr Argument kAclLogOperations[] = {
    {.name = "count", .type = Type::kInteger},
    {.name = "reset", .type = Type::kPureToken, .token = "RESET"},
};
constexpr Argument kAclLogArguments[] = {
    {.name = "operation", .type = Type::kOneOf, .optional = true, .children = kAclLogOperations},
};
constexpr Argument kAclSetuserArguments[] = {
    {.name = "username"},
    {.name = "rule", .optional = true, .multiple = true},
};
constexpr CommandSpec kAclSubcommands[] = {
    {.name = "CAT",
     .arity = -2,
     .flags = kNoScript | kLoading | kStale,
     .handler = AclCat,
     .summary = "List the ACL categories or the commands inside a category",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(1) since the categories and commands are a fixed set.",
     .arguments = kAclCatArguments},
    {.name = "DELUSER",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclOneUserOnly,
     .summary = "Remove the specified ACL users and the associated rules",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(1) amortized time considering the typical user.",
     .arguments = kAclDeluserArguments},
    {.name = "DRYRUN",
     .arity = -4,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclDryrun,
     .summary =
         "Returns whether the user can execute the given command without executing the command.",
     .since = "7.0.0",
     .group = "server",
     .complexity = "O(1).",
     .arguments = kAclDryrunArguments},
    {.name = "GENPASS",
     .arity = -2,
     .flags = kNoScript | kLoading | kStale,
     .handler = AclGenpass,
     .summary = "Generate a pseudorandom secure password to use for ACL users",
     .since = "6.0.0",
     .group = "server",
     .arguments = kAclGenpassArguments},
    {.name = "GETUSER",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclGetuser,
     .summary = "Get the rules for a specific ACL user",
     .since = "6.0.0",
     .group = "server",
     .complexity =
         "O(N). Where N is the number of password, command and pattern rules that the user has.",
     .arguments = kAclGetuserArguments},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = AclHelp,
     .summary = "Show helpful text about the different subcommands",
     .since = "6.0.0",
     .group = "server"},
    {.name = "LIST",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclList,
     .summary = "List the current ACL rules in ACL config file format",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(N). Where N is the number of configured users."},
    {.name = "LOAD",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclNoFile,
     .summary = "Reload the ACLs from the configured ACL file",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(N). Where N is the number of configured users."},
    {.name = "LOG",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclLogCommand,
     .summary = "List latest events denied because of ACLs in place",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(N) with N being the number of entries shown.",
     .arguments = kAclLogArguments},
    {.name = "SAVE",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclNoFile,
     .summary = "Save the current ACL rules in the configured ACL file",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(N). Where N is the number of configured users."},
    {.name = "SETUSER",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclOneUserOnly,
     .summary = "Modify or create the rules for a specific ACL user",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(N). Where N is the number of rules provided.",
     .arguments = kAclSetuserArguments},
    {.name = "USERS",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = AclUsers,
     .summary = "List the username of all the configured ACL rules",
     .since = "6.0.0",
     .group = "server",
     .complexity = "O(N). Where N is the number of configured users."},
    {.name = "WHOAMI",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .handler = AclWhoami,
     .summary = "Return the name of the user associated to the current connection",
     .since = "6.0.0",
     .group = "server"},
};
constexpr CommandSpec kAclRows[] = {
    {.name = "ACL",
     .arity = -2,
     .summary = "A container for Access List Control commands ",
     .since = "6.0.0",
     .group = "server",
     .complexity = "Depends on subcommand.",
     .subcommands = kAclSubcommands},
};

}  // namespace

std::span<const CommandSpec> AclCommands() {
  return kAclRows;
}

}  // namespace lockstep
