// Replies that Redis gives in many places, in its own words: clients match on them.
#pragma once

#include <span>

#include "commands/args.h"
#include "src/resp/reply.h"

namespace lockstep {

inline Reply SyntaxErrorReply() { return Reply::Error("ERR", "syntax error"); }
inline Reply NotAnIntegerReply() {
  return Reply::Error("ERR", "value is not an integer or out of range");
}
// For a subcommand that takes an optional argument and got more.
// "ERR unknown subcommand or wrong number of arguments for 'cat'. Try ACL HELP."
Reply SubcommandSyntaxReply(const Args& args);

// What `X HELP` answers: a heading, `lines`, and HELP itself.
Reply HelpReply(BytesView command, std::span<const char* const> lines);

// "on" or "off", any case, and nothing else.
bool ParseOnOff(BytesView word, bool* out);

}  // namespace lockstep
