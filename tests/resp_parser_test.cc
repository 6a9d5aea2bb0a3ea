// What the parser takes and refuses. The first part follows the table of Redis 7.0's behaviour row
// by row; every input there is cut at every place, for the answer must not depend on how TCP cut
// it.
#include "src/resp/parser.h"

#include <gtest/gtest.h>

#include <cstring>

#include "src/base/rng.h"

namespace lockstep::resp {
namespace {

using Command = std::vector<Bytes>;

// All that a stream of bytes came to.
struct Outcome {
  std::vector<Command> commands;
  ParseStatus end = ParseStatus::kNeedMore;
  Bytes error;
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& os, const Outcome& outcome) {
  for (const Command& command : outcome.commands) {
    for (const Bytes& arg : command) os << '[' << Printable(arg) << ']';
    os << ' ';
  }
  return os << "end " << static_cast<int>(outcome.end) << ' ' << Printable(outcome.error);
}

// Brings bytes as the shell does when several threads read: see Parser::ReadAhead.
void AppendReadAhead(BytesView in, Parser* parser) {
  std::memcpy(parser->Reserve(in.size()), in.data(), in.size());
  parser->ReadAhead(in.size());
  parser->Commit(in.size());
}

enum class Reading { kAsAsked, kAhead };

class Feed {
 public:
  explicit Feed(const ParserLimits& limits, Reading reading = Reading::kAsAsked)
      : reading_(reading) {
    parser_.set_limits(limits);
  }

  void Add(BytesView in) {
    reading_ == Reading::kAhead ? AppendReadAhead(in, &parser_) : parser_.Append(in);
    while ((outcome_.end = parser_.Next()) == ParseStatus::kCommand) {
      outcome_.commands.emplace_back(parser_.args().begin(), parser_.args().end());
      parser_.Consume();
    }
    outcome_.error = parser_.error();
  }
  const Outcome& outcome() const { return outcome_; }
  const Parser& parser() const { return parser_; }

 private:
  Reading reading_;
  Parser parser_;
  Outcome outcome_;
};

Outcome ParseInPieces(BytesView in, size_t piece, const ParserLimits& limits = {},
                      Reading reading = Reading::kAsAsked) {
  Feed feed(limits, reading);
  for (size_t at = 0; at < in.size(); at += piece) feed.Add(in.substr(at, piece));
  return feed.outcome();
}

// Parses `in` whole, byte by byte and cut in two at each place, as asked and read ahead, and
// expects the same each time.
Outcome Parse(BytesView in, const ParserLimits& limits = {}) {
  const size_t size = std::max<size_t>(in.size(), 1);
  const Outcome whole = ParseInPieces(in, size, limits);
  EXPECT_EQ(ParseInPieces(in, size, limits, Reading::kAhead), whole) << "read ahead";
  for (const Reading reading : {Reading::kAsAsked, Reading::kAhead}) {
    const BytesView how = reading == Reading::kAhead ? ", read ahead" : "";
    EXPECT_EQ(ParseInPieces(in, 1, limits, reading), whole) << "byte by byte" << how;
    for (size_t cut = 1; cut < in.size() && in.size() <= 300; ++cut) {
      Feed feed(limits, reading);
      feed.Add(in.substr(0, cut));
      feed.Add(in.substr(cut));
      EXPECT_EQ(feed.outcome(), whole) << "cut at " << cut << how;
    }
  }
  return whole;
}

Outcome Commands(std::vector<Command> commands) {
  return {.commands = std::move(commands), .end = ParseStatus::kNeedMore, .error = ""};
}
Outcome Refused(const Bytes& what, std::vector<Command> before = {}) {
  return {.commands = std::move(before),
          .end = ParseStatus::kError,
          .error = "ERR Protocol error: " + what};
}
Bytes Bulk(BytesView text) { return Format("$%zu\r\n", text.size()) + Bytes(text) + "\r\n"; }
Bytes Request(const Command& args) {
  Bytes out = Format("*%zu\r\n", args.size());
  for (const Bytes& arg : args) out += Bulk(arg);
  return out;
}

// --- The table, row by row. ---

TEST(ParserTest, AnInlineLineIsACommandWithOrWithoutCr) {
  EXPECT_EQ(Parse("PING\n"), Commands({{"PING"}}));
  EXPECT_EQ(Parse("PING\r\n"), Commands({{"PING"}}));
  EXPECT_EQ(Parse("PING"), Commands({}));
}

TEST(ParserTest, BlanksAroundInlineArgumentsAndBlankLinesMeanNothing) {
  EXPECT_EQ(Parse("  SET \t k   v  \r\n"), Commands({{"SET", "k", "v"}}));
  EXPECT_EQ(Parse("\r\n\n   \r\nPING\r\n\n"), Commands({{"PING"}}));
}

TEST(ParserTest, InlineQuotesAreBinarySafe) {
  EXPECT_EQ(Parse("ECHO \"\\x41\\n\"\n"), Commands({{"ECHO", "A\n"}}));
  EXPECT_EQ(Parse("ECHO \"\\x00\\xff\"\r\n"), Commands({{"ECHO", Bytes("\0\xff", 2)}}));
  EXPECT_EQ(Parse("ECHO ''\r\n"), Commands({{"ECHO", ""}}));
  EXPECT_EQ(Parse("ECHO 'a b'\r\n"), Commands({{"ECHO", "a b"}}));
}

TEST(ParserTest, UnbalancedQuotesAreRefused) {
  const Outcome refused = Refused("unbalanced quotes in request");
  EXPECT_EQ(Parse("ECHO \"abc\r\n"), refused);
  EXPECT_EQ(Parse("ECHO 'abc\n"), refused);
  EXPECT_EQ(Parse("ECHO \"a\"b\n"), refused);
}

TEST(ParserTest, AnInlineLineOver64KiBIsRefused) {
  const Bytes longest(kInlineBytesMax, 'x');
  EXPECT_EQ(ParseInPieces(longest + "\n", 1000), Commands({{longest}}));
  EXPECT_EQ(ParseInPieces(longest, 1000), Commands({}));
  const Outcome refused = Refused("too big inline request");
  EXPECT_EQ(ParseInPieces(longest + "x", 1000), refused);
  EXPECT_EQ(ParseInPieces(longest + "x\n", 1000), refused);
  EXPECT_EQ(ParseInPieces(longest + "x\n", longest.size() + 2), refused);
}

TEST(ParserTest, EmptyAndNilArraysAreIgnored) {
  EXPECT_EQ(Parse("*-1\r\n*0\r\n*-7\r\nPING\r\n"), Commands({{"PING"}}));
}

TEST(ParserTest, AnElementCountThatIsNoNumberOrTooLargeIsRefused) {
  const Outcome refused = Refused("invalid multibulk length");
  EXPECT_EQ(Parse("*x\r\n"), refused);
  EXPECT_EQ(Parse("*99999999999\r\n"), refused);
  EXPECT_EQ(Parse("*\r\n"), refused);
  EXPECT_EQ(Parse("*+1\r\n"), refused);
  EXPECT_EQ(Parse("*01\r\n"), refused);
  EXPECT_EQ(Parse("* 1\r\n"), refused);
  EXPECT_EQ(Parse("*1 \r\n"), refused);
  EXPECT_EQ(Parse("*-0\r\n"), refused);
  EXPECT_EQ(Parse("*2147483648\r\n"), refused);
  EXPECT_EQ(Parse("*4294967296\r\n"), refused);
  EXPECT_EQ(Parse("*9223372036854775808\r\n"), refused);
  EXPECT_EQ(Parse("*18446744073709551617\r\n"), refused);
  EXPECT_EQ(Parse("*1048577\r\n"), refused);
  EXPECT_EQ(Parse("*1048576\r\n"), Commands({}));
}

TEST(ParserTest, ABulkLengthThatIsNoNumberOrOverTheLimitIsRefused) {
  const Outcome refused = Refused("invalid bulk length");
  EXPECT_EQ(Parse("*1\r\n$-5\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$600000000\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$-1\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$+4\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$04\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$ 4\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$2147483648\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$4294967296\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$9223372036854775808\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$18446744073709551615\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$67108865\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$67108864\r\n"), Commands({}));
}

TEST(ParserTest, AnElementThatIsNoBulkIsRefusedAndNamed) {
  EXPECT_EQ(Parse("*1\r\n:5\r\n"), Refused("expected '$', got ':'"));
  EXPECT_EQ(Parse("*2\r\n$1\r\na\r\n*1\r\n"), Refused("expected '$', got '*'"));
  EXPECT_EQ(Parse("*1\r\n\n"), Refused("expected '$', got '?'"));
  EXPECT_EQ(Parse(BytesView("*1\r\n\0", 5)), Refused("expected '$', got '?'"));
}

TEST(ParserTest, ABulkThatDoesNotEndInCrlfIsRefused) {
  const Outcome refused = Refused("expected CRLF");
  EXPECT_EQ(Parse("*1\r\n$4\r\nPINGxx"), refused);
  EXPECT_EQ(Parse("*1\r\n$4\r\nPINGx"), refused);
  EXPECT_EQ(Parse("*1\r\n$4\r\nPING\rx"), refused);
  EXPECT_EQ(Parse("*1\r\n$3\r\nPING\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$5\r\nPING\r\n"), refused);
  EXPECT_EQ(Parse("*1\r\n$6\r\nPING\r\n"), Commands({}));
  EXPECT_EQ(Parse("*1\rx"), refused);
  EXPECT_EQ(Parse("*1\r\n$4\rPING\r\n"), refused);
}

TEST(ParserTest, BeforeAuthOnlySmallCommandsAreTaken) {
  const ParserLimits limits = ParserLimits::Unauthenticated();
  EXPECT_EQ(Parse("*10\r\n", limits), Commands({}));
  EXPECT_EQ(Parse("*11\r\n", limits), Refused("unauthenticated multibulk length"));
  EXPECT_EQ(Parse("*1\r\n$16384\r\n", limits), Commands({}));
  EXPECT_EQ(Parse("*1\r\n$16385\r\n", limits), Refused("unauthenticated bulk length"));
  // What no AUTH would help is named by its own name.
  EXPECT_EQ(Parse("*99999999999\r\n", limits), Refused("invalid multibulk length"));
  EXPECT_EQ(Parse("*1\r\n$600000000\r\n", limits), Refused("invalid bulk length"));
}

TEST(ParserTest, AfterAuthTheLimitsOfTheSameConnectionGrow) {
  Parser parser;
  parser.set_limits(ParserLimits::Unauthenticated());
  const Bytes big(20'000, 'v');
  parser.Append(Request({"AUTH", "secret"}) + Request({"SET", "k", big}));
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  parser.Consume();
  parser.set_limits(ParserLimits());
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_EQ(parser.args()[2], big);
}

// Lots -------------------------------------------------------------------------------------------

TEST(ParserTest, APipelineTellsTheFirstArgumentsOfItsCommandsOnce) {
  Parser parser;
  parser.Append(Request({"GET", "a"}) + Request({"PING"}) + Request({"SET", "b", "1"}) +
                Request({"GET", ""}) + Request({"GET", "c"}));
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  ASSERT_TRUE(parser.lot_is_new());
  std::vector<BytesView> keys;
  parser.TakeLot(&keys);
  EXPECT_EQ(keys, (std::vector<BytesView>{"a", "", "b"}));  // GET "" is nothing plain.
  EXPECT_FALSE(parser.lot_is_new());
  const uint64_t lot = parser.lot();
  size_t place = 0;
  for (const char* name : {"GET", "PING", "SET", "GET", "GET"}) {
    ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
    EXPECT_FALSE(parser.lot_is_new());
    EXPECT_EQ(parser.args()[0], name);
    EXPECT_EQ(parser.lot() == lot, place < 3);
    if (place < 3) {
      EXPECT_EQ(parser.place_in_lot(), place);
    }
    ++place;
    parser.Consume();
  }
  EXPECT_EQ(parser.Next(), ParseStatus::kNeedMore);
}

TEST(ParserTest, ACommandThatWaitsStaysWhatItIsWhenTheLimitsChange) {
  Parser parser;
  parser.Append(Request({"GET", "a"}) + Request({"SET", "b", "1"}) + Request({"GET", "c"}));
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  parser.Consume();
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  parser.set_limits(ParserLimits::Unauthenticated());
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_EQ(parser.args(), (std::vector<BytesView>{"SET", "b", "1"}));
  parser.Consume();
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_EQ(parser.args(), (std::vector<BytesView>{"GET", "c"}));
}

TEST(ParserTest, WhatWasReadAheadIsFoundAgainWhenTheBufferHasMoved) {
  Parser parser;
  Bytes in;
  for (int i = 0; i < 40; ++i) in += Request({"GET", "key-" + std::to_string(i)});
  parser.Append(in);
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
    parser.Append(Request({"SET", "more", Bytes(5'000, 'x')}));
    ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
    EXPECT_EQ(parser.args()[1], "key-" + std::to_string(i));
    parser.Consume();
  }
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_EQ(parser.args()[1], "more");
}

TEST(ParserTest, NewLimitsAreInForceForCommandsThatWereReadAhead) {
  Parser parser;
  const Command many(12, "x");
  parser.Append(Request({"RESET"}) + Request(many));
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  parser.Consume();
  parser.set_limits(ParserLimits::Unauthenticated());
  ASSERT_EQ(parser.Next(), ParseStatus::kError);
  EXPECT_EQ(parser.error(), "ERR Protocol error: unauthenticated multibulk length");
}

TEST(ParserTest, WhatWasReadAheadOfTheQuestionIsALotOfItsOwn) {
  Parser parser;
  AppendReadAhead(Request({"GET", "a"}) + Request({"GET", "b"}) + "*2\r\n$3\r\nGE", &parser);
  AppendReadAhead("T\r\n$1\r\nc\r\n" + Request({"GET", "d"}), &parser);
  std::vector<BytesView> keys;
  for (const char* key : {"a", "b", "c", "d"}) {
    ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
    EXPECT_EQ(parser.args()[1], key);
    if (parser.lot_is_new()) parser.TakeLot(&keys);
    if (key[0] == 'a') {
      EXPECT_EQ(keys, (std::vector<BytesView>{"a", "b"}));
    }
    parser.Consume();
  }
  EXPECT_EQ(parser.Next(), ParseStatus::kNeedMore);
  EXPECT_EQ(parser.buffered(), 0u);
}

TEST(ParserTest, BehindACommandThatWaitsOrIsNotWholeNothingIsReadAhead) {
  Parser parser;
  parser.Append(Request({"GET", "a"}));
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  AppendReadAhead(Request({"GET", "b"}) + "*2\r\n$3\r\nGET", &parser);
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_EQ(parser.args()[1], "a");  // It is still the one.
  parser.Consume();
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_EQ(parser.args()[1], "b");
  parser.Consume();
  ASSERT_EQ(parser.Next(), ParseStatus::kNeedMore);
  AppendReadAhead("\r\n$1\r\nc\r\n" + Request({"GET", "d"}), &parser);
  for (const char* key : {"c", "d"}) {
    ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
    EXPECT_EQ(parser.args()[1], key);
    parser.Consume();
  }
}

TEST(ParserTest, WhatWasReadAheadIsJudgedByTheLimitsOfWhenItIsAskedFor) {
  const Bytes in = Request({"AUTH", "x"}) + Request(Command(12, "x"));
  Parser parser;
  AppendReadAhead(in, &parser);
  parser.set_limits(ParserLimits::Unauthenticated());
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  parser.Consume();
  EXPECT_EQ(parser.Next(), ParseStatus::kError);
}

TEST(ParserTest, AWebPageIsHungUpOnWithoutAWord) {
  const Outcome closed = {.commands = {}, .end = ParseStatus::kClose, .error = ""};
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), closed);
  EXPECT_EQ(Parse("post /\r\n"), closed);
  EXPECT_EQ(Parse("Host: localhost:6379\r\nPING\r\n"), closed);
  EXPECT_EQ(Parse("HOST: x\r\n"), closed);
}

TEST(ParserTest, ABrowserIsToldThatThisIsNotAWebServer) {
  const Outcome outcome = Parse("GET / HTTP/1.1\r\nHost: localhost:6379\r\n\r\n");
  EXPECT_EQ(outcome.end, ParseStatus::kClose);
  EXPECT_TRUE(outcome.commands.empty());
  EXPECT_EQ(outcome.error.substr(0, 26), "HTTP/1.0 400 Bad Request\r\n");
  EXPECT_NE(outcome.error.find("\r\n\r\nThis is the RESP port"), Bytes::npos);
}

TEST(ParserTest, AKeyThatLooksLikeAPathIsStillAKey) {
  EXPECT_EQ(Parse("GET /\r\n"), Commands({{"GET", "/"}}));
  EXPECT_EQ(Parse(Request({"GET", "/", "HTTP/1.1"})), Commands({{"GET", "/", "HTTP/1.1"}}));
  EXPECT_EQ(Parse(Request({"POST", "x"})), Commands({{"POST", "x"}}));
}

TEST(ParserTest, AnEmptyNameIsACommandForTheDispatcherToRefuse) {
  EXPECT_EQ(Parse("*1\r\n$0\r\n\r\n"), Commands({{""}}));
  EXPECT_EQ(Parse("\"\"\r\n"), Commands({{""}}));
}

// --- Beyond the table. ---

TEST(ParserTest, EveryByteValueTravelsInABulkUnchanged) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(Parse(Request({"SET", "\r\n$5\r\n", all})), Commands({{"SET", "\r\n$5\r\n", all}}));
}

TEST(ParserTest, PipelinedCommandsComeInOrderWhateverTheirForm) {
  EXPECT_EQ(Parse(Request({"A", "1"}) + "B 2\r\n" + Request({"C"}) + "\r\n*0\r\nD\n"),
            Commands({{"A", "1"}, {"B", "2"}, {"C"}, {"D"}}));
}

TEST(ParserTest, CommandsBeforeAnErrorAreStillGiven) {
  EXPECT_EQ(Parse(Request({"PING"}) + "*x\r\n" + Request({"PING"})),
            Refused("invalid multibulk length", {{"PING"}}));
}

TEST(ParserTest, AnErrorStays) {
  Parser parser;
  parser.Append("*x\r\n");
  EXPECT_EQ(parser.Next(), ParseStatus::kError);
  parser.Append(Request({"PING"}));
  EXPECT_EQ(parser.Next(), ParseStatus::kError);
  EXPECT_EQ(parser.error(), "ERR Protocol error: invalid multibulk length");
}

TEST(ParserTest, ACountThatNeverEndsIsRefusedAt64KiB) {
  const Bytes digits(kInlineBytesMax, '1');
  EXPECT_EQ(ParseInPieces("*" + digits, 1000), Refused("too big mbulk count string"));
  EXPECT_EQ(ParseInPieces("*1\r\n$" + digits, 1000), Refused("too big bulk count string"));
  EXPECT_EQ(ParseInPieces("*" + digits + "\r\n", digits.size() + 3),
            Refused("too big mbulk count string"));
  EXPECT_EQ(ParseInPieces("*" + digits.substr(1) + "\r\n", 1000),
            Refused("invalid multibulk length"));
}

TEST(ParserTest, ACommandOverTheBufferLimitIsRefusedBeforeItIsKept) {
  ParserLimits limits;
  limits.buffer_bytes_max = 1000;
  const Outcome refused = Refused("command over the limit set by client-query-buffer-limit");
  EXPECT_EQ(Parse("*2\r\n$600\r\n" + Bytes(600, 'a') + "\r\n$600\r\n", limits), refused);
  EXPECT_EQ(Parse("*1\r\n$995\r\n", limits), refused);
  // Many small ones add up as well.
  Bytes many = "*200\r\n";
  for (int i = 0; i < 200; ++i) many += "$0\r\n\r\n";
  EXPECT_EQ(ParseInPieces(many, 7, limits), refused);
  EXPECT_EQ(ParseInPieces(many, many.size(), limits), refused);
}

TEST(ParserTest, ACountAloneAsksForNoMemory) {
  Parser parser;
  parser.Append("*1048576\r\n$67108864\r\n");
  EXPECT_EQ(parser.Next(), ParseStatus::kNeedMore);
  EXPECT_LE(parser.capacity(), size_t{5} * 1024 * 1024);
}

TEST(ParserTest, AMillionPipelinedCommandsAreTakenInLinearTime) {
  const Bytes one = Request({"PING"});
  Bytes all;
  for (int i = 0; i < 1'000'000; ++i) all += one;
  Parser parser;
  parser.Append(all);
  size_t commands = 0;
  while (parser.Next() == ParseStatus::kCommand) {
    ASSERT_EQ(parser.args().size(), 1U);
    ++commands;
    parser.Consume();
  }
  EXPECT_EQ(commands, 1'000'000U);
  EXPECT_EQ(parser.buffered(), 0U);
}

// Were each call to start again at the command's first byte, this would take hours.
TEST(ParserTest, ACommandOfManyArgumentsFedByteByByteIsReadOnce) {
  const size_t n = 200'000;
  Bytes in = Format("*%zu\r\n", n);
  for (size_t i = 0; i < n; ++i) in += "$1\r\nx\r\n";
  const Outcome outcome = ParseInPieces(in, 1);
  ASSERT_EQ(outcome.commands.size(), 1U);
  EXPECT_EQ(outcome.commands[0].size(), n);
}

TEST(ParserTest, ALongInlineLineFedByteByByteIsReadOnce) {
  const Bytes word(60'000, 'w');
  EXPECT_EQ(ParseInPieces("ECHO " + word + "\r\n", 1), Commands({{"ECHO", word}}));
}

TEST(ParserTest, ABigBulkGetsItsRoomOnce) {
  const size_t size = 1024 * 1024;
  Parser parser;
  parser.Append(Format("*2\r\n$4\r\nECHO\r\n$%zu\r\n", size));
  ASSERT_EQ(parser.Next(), ParseStatus::kNeedMore);
  const size_t capacity = parser.capacity();
  EXPECT_GE(capacity, size);
  const Bytes piece(16 * 1024, 'v');
  for (size_t sent = 0; sent < size; sent += piece.size()) {
    std::copy(piece.begin(), piece.end(), parser.Reserve(piece.size()));
    parser.Commit(piece.size());
    ASSERT_EQ(parser.Next(), ParseStatus::kNeedMore);
  }
  EXPECT_EQ(parser.capacity(), capacity);
  parser.Append("\r\n");
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_EQ(parser.args()[1], Bytes(size, 'v'));
}

TEST(ParserTest, AnEmptyBufferGivesBackWhatIsAbove64KiB) {
  Parser parser;
  parser.Append(Request({"SET", "k", Bytes(1'000'000, 'v')}));
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  EXPECT_GE(parser.capacity(), 1'000'000U);
  parser.Consume();
  EXPECT_EQ(parser.buffered(), 0U);
  EXPECT_LE(parser.capacity(), 64U * 1024);
  parser.Append("PING");
  parser.ReleaseIdle();
  EXPECT_EQ(parser.buffered(), 4U);
  parser.Append("\r\n");
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  parser.Consume();
  parser.ReleaseIdle();
  EXPECT_EQ(parser.capacity(), 0U);
}

TEST(ParserTest, ACommandThatWaitsSurvivesTheArrivalOfMoreBytes) {
  Parser parser;
  parser.Append(Request({"LOCK.ACQUIRE", "k", "me"}));
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  parser.Append(Bytes(100'000, 'x'));  // The buffer moves: the views are made new by Next.
  ASSERT_EQ(parser.Next(), ParseStatus::kCommand);
  ASSERT_EQ(parser.args().size(), 3U);
  EXPECT_EQ(parser.args()[0], "LOCK.ACQUIRE");
  EXPECT_EQ(parser.args()[2], "me");
}

// Whatever is sent in whatever pieces, the same commands come out.
TEST(ParserTest, RandomCommandsInRandomPiecesComeOutUnchanged) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Command> sent;
    Bytes wire;
    for (uint64_t n = rng.Below(8) + 1; n > 0; --n) {
      Command& command = sent.emplace_back();
      for (uint64_t args = rng.Below(5) + 1; args > 0; --args) {
        Bytes& arg = command.emplace_back();
        const uint64_t size = rng.Below(20) == 0 ? rng.Below(70'000) : rng.Below(20);
        for (uint64_t i = 0; i < size; ++i) arg.push_back(static_cast<char>(rng.Next()));
      }
      wire += Request(command);
    }
    Feed feed(ParserLimits(), round % 2 == 0 ? Reading::kAsAsked : Reading::kAhead);
    for (size_t at = 0; at < wire.size();) {
      const size_t piece = rng.Below(rng.Below(2) == 0 ? 10 : 5'000) + 1;
      feed.Add(BytesView(wire).substr(at, piece));
      at += piece;
    }
    EXPECT_EQ(feed.outcome(), Commands(sent)) << "round " << round;
  }
}

// --- SplitLine. ---

std::vector<Bytes> Split(BytesView line) {
  std::vector<Bytes> out;
  EXPECT_TRUE(SplitLine(line, &out)) << Printable(line);
  return out;
}

TEST(SplitLineTest, EscapesAreReadInDoubleQuotesOnly) {
  EXPECT_EQ(Split(R"("\n\r\t\b\a\\\"\q")"), (Command{"\n\r\t\b\a\\\"q"}));
  EXPECT_EQ(Split(R"('\n\'')"), (Command{"\\n'"}));
  EXPECT_EQ(Split(R"(a\nb)"), (Command{"a\\nb"}));
}

TEST(SplitLineTest, AHexEscapeNeedsTwoDigits) {
  EXPECT_EQ(Split(R"("\x4a\X4a\x4g\x4")"), (Command{"JX4ax4gx4"}));
  EXPECT_EQ(Split(R"("\xFf")"), (Command{"\xff"}));
}

TEST(SplitLineTest, AQuoteMayOpenInsideAWordAndEndsIt) {
  EXPECT_EQ(Split(R"(foo"bar" baz)"), (Command{"foobar", "baz"}));
  EXPECT_EQ(Split(R"(it"'s")"), (Command{"it's"}));
}

TEST(SplitLineTest, AnythingButABlankAfterAClosingQuoteIsRefused) {
  std::vector<Bytes> out;
  for (const BytesView line :
       {R"("a"b)", R"('a'b)", R"("a""b")", R"("a)", R"('a)", R"("\)", R"(a")"}) {
    EXPECT_FALSE(SplitLine(line, &out)) << line;
  }
}

TEST(SplitLineTest, ALineOfNothingHasNoArguments) {
  EXPECT_EQ(Split(""), Command{});
  EXPECT_EQ(Split(" \t \r "), Command{});
  EXPECT_EQ(Split("\"\""), Command{""});
}

TEST(SplitLineTest, ZeroBytesAreBytes) {
  EXPECT_EQ(Split(BytesView("a\0b c", 5)), (Command{Bytes("a\0b", 3), "c"}));
}

}  // namespace
}  // namespace lockstep::resp
