// DEBUG: for tests of clients and of this program. Refused unless enable-debug-command allows it.
#include <charconv>

#include "commands/host.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"
#include "src/base/log.h"

namespace lockstep {
namespace {

constexpr double kSleepSecondsMax = 3600;

// DEBUG SLEEP seconds: the whole node stands still, as a paused process would.
Reply Sleep(Context& ctx, BytesView word) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), seconds);
  if (error != std::errc() || end != word.data() + word.size()) {
    return Reply::Error("ERR", "value is not a valid float");
  }
  if (!(seconds >= 0 && seconds <= kSleepSecondsMax)) {
    return Reply::Error("ERR", "DEBUG SLEEP takes 0 to 3600 seconds");
  }
  ctx.host.Sleep(static_cast<int64_t>(seconds * static_cast<double>(kUsPerSecond)));
  return Reply::Ok();
}

// DEBUG ERROR string: the error is the whole of the string, its code with it.
Reply ErrorAsGiven(BytesView text) {
  Reply reply;
  reply.kind = Reply::Kind::kError;
  reply.text = text;
  return reply;
}

// DEBUG PROTOCOL type: one reply of each kind that is ever sent. Redis's values.
std::optional<Reply> Specimen(BytesView type) {
  const auto is = [type](BytesView name) { return EqualsIgnoreCase(type, name); };
  if (is("string")) return Reply::Bulk("Hello World");
  if (is("integer")) return Reply::Integer(12345);
  if (is("double")) return Reply::Double(3.141);
  if (is("null")) return Reply::Nil();
  if (is("true")) return Reply::Boolean(true);
  if (is("false")) return Reply::Boolean(false);
  if (is("verbatim")) return Reply::Verbatim("This is a verbatim\nstring");
  if (is("array")) {
    return Reply::Array({Reply::Integer(0), Reply::Integer(1), Reply::Integer(2)});
  }
  if (is("set")) return Reply::Set({Reply::Integer(0), Reply::Integer(1), Reply::Integer(2)});
  if (is("map")) {
    return Reply::Map({Reply::Integer(0), Reply::Boolean(false), Reply::Integer(1),
                       Reply::Boolean(true), Reply::Integer(2), Reply::Boolean(false)});
  }
  return std::nullopt;
}

constexpr const char* kHelp[] = {
    "BUS TAP (ON|OFF)",
    "    Show this connection every message between this node and its peers.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, null, array, set, map, verbatim, true, false.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
};

// DEBUG subcommand [arg ...]
Action Debug(Context& ctx, Args& args) {
  if (!ctx.host.DebugCommandAllowed(ctx.client)) {
    return Reply::Error("ERR",
                        "DEBUG command not allowed. If the enable-debug-command option is set to "
                        "\"local\", you can run it from a local connection, otherwise you need to "
                        "set this option in the configuration file, and then restart the server.");
  }
  const auto words = args.rest();
  const auto is = [&words](size_t at, BytesView name) { return EqualsIgnoreCase(words[at], name); };
  if (words.size() == 1 && is(0, "help")) return HelpReply("DEBUG", kHelp);
  if (words.size() == 2 && is(0, "sleep")) return Sleep(ctx, words[1]);
  if (words.size() == 2 && is(0, "error")) return ErrorAsGiven(words[1]);
  if (words.size() == 2 && is(0, "log")) {
    LOCKSTEP_LOG(kWarn, "DEBUG LOG: %s", Printable(words[1], 1024).c_str());
    return Reply::Ok();
  }
  if (words.size() == 2 && is(0, "protocol")) {
    if (auto specimen = Specimen(words[1])) return *specimen;
  }
  if (words.size() == 3 && is(0, "bus") && is(1, "tap")) {
    return ParseOnOff(words[2], &ctx.client.bus_tap) ? Reply::Ok() : SyntaxErrorReply();
  }
  return SubcommandSyntaxReply(args);
}

constexpr Argument kArguments[] = {
    {.name = "subcommand"},
    {.name = "arg", .optional = true, .multiple = true},
};

}  // namespace

CommandSpec DebugCommand() {
  return {.name = "DEBUG",
          .arity = -2,
          .flags = kAdmin | kNoScript | kLoading | kStale,
          .handler = Debug,
          .summary = "A container for debugging commands",
          .since = "1.0.0",
          .group = "server",
          .complexity = "Depends on subcommand.",
          .arguments = kArguments};
}

}  // namespace lockstep
