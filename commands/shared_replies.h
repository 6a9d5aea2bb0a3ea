// Replies that Redis gives in many places, in its own words: clients match on them.
#pragma once

#include <optional>
#include <span>
#include <utility>

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

// What a client sent, in a sentence: a zero byte ends it, as it does in Redis's printf.
inline BytesView UpToZero(BytesView text) { return text.substr(0, text.find('\0')); }

// -LIMIT, if a glob pattern is longer than matching should take: it is quadratic at worst.
std::optional<Reply> RefuseLongPattern(BytesView pattern);

// Gathers a reply whose length the client chooses, and gives up when it is over kReplyCostMax.
class BoundedReply {
 public:
  explicit BoundedReply(Reply list) : list_(std::move(list)) {}

  // False: it is too long; what is added now is thrown away.
  bool Add(Reply item);
  bool Add(BytesView key, Reply value);  // Of a map.

  // The list, or -LIMIT. `way_out` says what to do: "ask for fewer names".
  Reply Take(BytesView way_out);

 private:
  Reply list_;
  size_t cost_ = 0;
};

// "on" or "off", any case, and nothing else.
bool ParseOnOff(BytesView word, bool* out);

}  // namespace lockstep
