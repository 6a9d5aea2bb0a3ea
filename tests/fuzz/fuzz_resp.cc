// The client protocol, in and out. The first byte chooses what the rest is.
//
// Commands, as arrays and inline: how the input was cut changes nothing, what came out goes in
// again, and an error ends the connection with one line. Words in quotes read back. A reply that
// decodes encodes to the same bytes, and in RESP2 and RESP3 it is exactly one reply.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "src/base/check.h"
#include "src/resp/parser.h"
#include "src/resp/writer.h"
#include "tests/fuzz/fuzz.h"

namespace lockstep::resp {
namespace {

struct Outcome {
  std::vector<std::vector<Bytes>> commands;
  ParseStatus end = ParseStatus::kNeedMore;
  Bytes error;
  bool operator==(const Outcome&) const = default;
};

ParserLimits SmallLimits() {
  ParserLimits limits;
  limits.elements_max = 64;
  limits.bulk_bytes_max = 512;
  limits.inline_bytes_max = 128;
  limits.buffer_bytes_max = 1024;
  return limits;
}

// As the shell does when several threads read.
void AppendReadAhead(BytesView in, Parser* parser) {
  std::memcpy(parser->Reserve(in.size()), in.data(), in.size());
  parser->ReadAhead(in.size());
  parser->Commit(in.size());
}

using Bring = void (*)(BytesView in, Parser* parser);
void JustAppend(BytesView in, Parser* parser) { parser->Append(in); }

Outcome Parse(BytesView in, size_t piece, const ParserLimits& limits, Bring bring = JustAppend) {
  Parser parser;
  parser.set_limits(limits);
  Outcome outcome;
  for (size_t at = 0; at < in.size(); at += piece) {
    bring(in.substr(at, piece), &parser);
    while ((outcome.end = parser.Next()) == ParseStatus::kCommand) {
      CHECK(!parser.args().empty());
      outcome.commands.emplace_back(parser.args().begin(), parser.args().end());
      parser.Consume();
    }
  }
  outcome.error = parser.error();
  return outcome;
}

// How the input was cut and whether it was read ahead changes nothing, and what came out goes in
// again.
void FuzzParser(BytesView in, const ParserLimits& limits) {
  const Outcome whole = Parse(in, in.size() + 1, limits);
  CHECK(Parse(in, 1, limits) == whole);
  CHECK(Parse(in, 7, limits) == whole);
  CHECK(Parse(in, in.size() + 1, limits, AppendReadAhead) == whole);
  CHECK(Parse(in, 7, limits, AppendReadAhead) == whole);
  CHECK(whole.end == ParseStatus::kClose || whole.error.find_first_of("\r\n") == Bytes::npos);

  Bytes again;
  for (const auto& command : whole.commands) {
    WriteArrayHeader(command.size(), &again);
    for (const Bytes& arg : command) WriteBulk(arg, &again);
  }
  const Outcome second = Parse(again, again.size() + 1, ParserLimits());
  CHECK(second.commands == whole.commands);
  CHECK(second.end == ParseStatus::kNeedMore);
}

// What Printable writes between quotes, SplitLine reads back.
void FuzzSplitLine(BytesView in) {
  std::vector<Bytes> args;
  if (!SplitLine(in, &args)) return;
  Bytes quoted;
  for (const Bytes& arg : args) quoted += " \"" + Printable(arg, arg.size()) + '"';
  std::vector<Bytes> again;
  CHECK(SplitLine(quoted, &again));
  CHECK(again == args);
}

// What decodes, encodes to the same bytes; and in either protocol it is exactly one reply.
void FuzzReply(BytesView in) {
  Reader reader(in);
  const Reply reply = DecodeReply(&reader);
  if (!reader.ok()) return;
  Bytes encoded;
  Writer writer(&encoded);
  EncodeReply(reply, &writer);
  CHECK(encoded == in.substr(0, in.size() - reader.left()));
  CHECK(ReplyCost(reply) >= kReplyItemCost);

  for (const int protocol : {2, 3}) {
    Bytes written;
    WriteReply(reply, protocol, &written);
    BytesView rest = written;
    CHECK(reply.kind == Reply::Kind::kNothing ? rest.empty() : fuzz::TakeReply(&rest));
    CHECK(rest.empty());
  }
}

}  // namespace
}  // namespace lockstep::resp

namespace lockstep::fuzz {

std::vector<Property> Properties() {
  return {[](BytesView in) { resp::FuzzParser(in, resp::ParserLimits()); },
          [](BytesView in) { resp::FuzzParser(in, resp::ParserLimits::Unauthenticated()); },
          [](BytesView in) { resp::FuzzParser(in, resp::SmallLimits()); },
          resp::FuzzSplitLine,
          resp::FuzzReply};
}

std::vector<Bytes> Seeds() { return {}; }

}  // namespace lockstep::fuzz
