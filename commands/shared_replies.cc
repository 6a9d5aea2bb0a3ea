#include "commands/shared_replies.h"

namespace lockstep {

Reply SubcommandSyntaxReply(const Args& args) {
  const auto all = args.all();
  return Reply::Error("ERR", "unknown subcommand or wrong number of arguments for '" +
                                 Bytes(UpToZero(all[1].substr(0, 128))) + "'. Try " +
                                 Upper(all[0]) +
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

std::optional<Reply> RefuseLongPattern(BytesView pattern) {
  if (pattern.size() <= kNameBytesMax) return std::nullopt;
  return Reply::Error("LIMIT", Format("a pattern has at most %zu bytes", kNameBytesMax));
}

bool BoundedReply::Add(Reply item) {
  cost_ += ReplyCost(item);
  if (cost_ > kReplyCostMax) return false;
  list_.Add(std::move(item));
  return true;
}

bool BoundedReply::Add(BytesView key, Reply value) {
  return Add(Reply::Bulk(Bytes(key))) && Add(std::move(value));
}

Reply BoundedReply::Take(BytesView way_out) {
  if (cost_ <= kReplyCostMax) return std::move(list_);
  return Reply::Error("LIMIT", Format("the reply would take more than the %zu MB that one may; ",
                                      kReplyCostMax / (1024 * 1024)) +
                                   Bytes(way_out));
}

bool ParseOnOff(BytesView word, bool* out) {
  if (EqualsIgnoreCase(word, "on")) return *out = true, true;
  if (EqualsIgnoreCase(word, "off")) return *out = false, true;
  return false;
}

}  // namespace lockstep
