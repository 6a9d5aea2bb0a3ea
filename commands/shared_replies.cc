#include "commands/shared_replies.h"

namespace lockstep {

Reply SubcommandSyntaxReply(const Args& args) {
  const auto all = args.all();
  return Reply::Error("ERR", "unknown subcommand or wrong number of arguments for '" +
                                 Bytes(all[1].substr(0, 128)) + "'. Try " + Upper(all[0]) +
                                 " HELP.");
}

Reply HelpReply(BytesView command, std::span<const char* const> lines) {
  Reply reply = Reply::Array();
  reply.Add(
      Reply::Simple(Bytes(command) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
  for (const char* line : lines) reply.Add(Reply::Simple(line));
  reply.Add(Reply::Simple("HELP"));
  reply.Add(Reply::Simple("    Prints this help."));
  return reply;
}

bool ParseOnOff(BytesView word, bool* out) {
  if (EqualsIgnoreCase(word, "on")) return *out = true, true;
  if (EqualsIgnoreCase(word, "off")) return *out = false, true;
  return false;
}

}  // namespace lockstep
