// What clients send: RESP arrays of bulk strings, or inline lines, as redis-server 7.0 takes them.
//
// Incremental: feed bytes as they come, take commands until there is none; no byte is looked at
// more than a few times however the input is cut up. Zero-copy: the arguments of a command are
// views into the buffer that Append fills (of an inline command, into the parser), valid until the
// next Append, Reserve, Consume or Next. Bounded: lengths are tested before anything is kept for
// them.
//
// Pure; knows no connection. Rules and texts: Redis 7.0 (networking.c). Stricter in three places: a
// count or bulk whose CRLF is missing is refused ("expected CRLF") where Redis takes what follows,
// a wrong type byte is refused before its line is complete, and an inline line over the limit is
// refused even when all of it came at once.
#pragma once

#include <optional>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/limits.h"
#include "src/base/receive_buffer.h"

namespace lockstep::resp {

struct ParserLimits {
  size_t bulk_bytes_max = size_t{64} * 1024 * 1024;     // proto-max-bulk-len
  size_t elements_max = kMultibulkElementsMax;
  size_t inline_bytes_max = kInlineBytesMax;            // And of the line of a count.
  size_t buffer_bytes_max = size_t{128} * 1024 * 1024;  // client-query-buffer-limit: one command.

  // Before AUTH where one is needed (CVE-2021-32675): `elements` 10, `bulk` 16 KiB, and Redis's own
  // texts "unauthenticated multibulk length" / "unauthenticated bulk length".
  static ParserLimits Unauthenticated();
  bool unauthenticated = false;
};

enum class ParseStatus : uint8_t {
  kCommand,   // args() holds the next command, at least one; call Consume() when done with it.
  kNeedMore,  // Wait for more bytes.
  kError,     // error() is the reply text ("ERR Protocol error: ..."); answer it, then close.
  kClose,     // Send error() as it stands, no RESP around it, then close. Empty for POST and Host:
              // (a browser was made to talk to us: not a word); a "400" for GET / HTTP/1.1.
};

class Parser {
 public:
  // In force from the next count or bulk on.
  void set_limits(const ParserLimits& limits) {
    limits_ = limits;
    LeaveLot();
  }

  // Adds what came from the socket. The shell may also write straight into the buffer:
  // Reserve(n) gives room for n bytes at the end, Commit(n) says how many were written.
  void Append(BytesView data) { buffer_.Append(data); }
  char* Reserve(size_t n) { return buffer_.Reserve(n); }
  void Commit(size_t n) { buffer_.Commit(n); }

  // Between the two, for whoever has time: reads what the n bytes make whole, so that Next finds it
  // read. What Next gives is the same without; only where a lot ends (below) may differ. Commit(n)
  // must come next. On any thread, as long as one at a time has the parser.
  void ReadAhead(size_t n);

  // Looks for the next command. Empty commands (*0, *-1, blank lines) are skipped, as in Redis.
  // After kCommand gives the same command again until Consume, its views made new; kError and
  // kClose stay.
  ParseStatus Next();
  const std::vector<BytesView>& args() const { return args_; }
  const Bytes& error() const { return error_; }

  // The command in args() is done with; its bytes may go. Needs a kCommand before.
  void Consume();

  // Commands of a pipeline are read several at a time. Once for each such lot, when its first is in
  // args(): appends the first argument of each command, of that one too; empty, if it has none. As
  // long-lived as args().
  bool lot_is_new() const { return lot_is_new_; }
  void TakeLot(std::vector<BytesView>* first_arguments);
  // Of this parser's lots, the one that the command in args() came in, and its place there. Lot 0:
  // it was read byte by byte.
  uint64_t lot() const { return in_lot_ ? lot_number_ : 0; }
  size_t place_in_lot() const { return lot_at_ - 1; }

  size_t buffered() const { return buffer_.size(); }
  size_t capacity() const { return buffer_.capacity(); }

  // For a connection that has been idle: with nothing unread, all memory goes back.
  void ReleaseIdle();

 private:
  enum class State : uint8_t { kParsing, kReady, kFailed };
  // Where an argument lies, counted from the start of the buffer's unread bytes: the buffer may
  // move before the command is complete.
  struct Span {
    size_t at;
    size_t size;
  };

  // Of a lot: a command that is there, whole.
  struct Plain {
    size_t end;
    size_t spans;
  };

  bool is_fresh() const { return missing_ == 0 && at_ == 0 && scanned_ == 0; }
  bool ReadPlain(BytesView in, size_t at);
  void ReadLot(BytesView in);
  bool TakeFromLot();
  void LeaveLot();
  void DropLot();

  // A step of Next: what Next must return now, or nothing: go on.
  using Stop = std::optional<ParseStatus>;
  Stop ReadInline();
  Stop ReadElementCount();
  Stop ReadBulkLength(BytesView in);
  Stop ReadBulk(BytesView in);
  Stop ReadCount(BytesView in, BytesView too_long, std::optional<int64_t>* out);
  Stop Fail(BytesView sentence);
  Stop Close(BytesView raw);
  void BuildArgs();

  ReceiveBuffer buffer_;
  ParserLimits limits_;

  // The command that is being read. All offsets count from the start of the unread bytes.
  size_t at_ = 0;       // The first byte that is not understood yet.
  size_t scanned_ = 0;  // No line ends between at_ and here.
  size_t missing_ = 0;  // Elements still to come; 0: none begun.
  std::optional<size_t> bulk_size_;  // Of the element that is being read, once its length is known.
  std::vector<Span> spans_;

  // Of the commands behind the present one, all that was read ahead; counted from where the unread
  // bytes began then: since, `lot_gone_` of them have gone.
  std::vector<Plain> lot_;
  std::vector<Span> lot_spans_;  // Of them those that are used; there is room for more.
  size_t lot_spans_used_ = 0;
  size_t lot_at_ = 0;        // The next command,
  size_t lot_spans_at_ = 0;  // and its first argument.
  size_t lot_gone_ = 0;
  uint64_t lot_number_ = 0;
  bool lot_is_new_ = false;
  bool in_lot_ = false;  // The command that is ready is the one before the next.

  State state_ = State::kParsing;
  ParseStatus failure_ = ParseStatus::kError;
  std::vector<Bytes> inline_args_;  // An inline argument may differ from its bytes: "\x41".
  std::vector<BytesView> args_;
  Bytes error_;
};

// Splits a line as Redis's sdssplitargs: blanks separate, "..." with \n \r \t \b \a \\ \" \xHH,
// '...' with \'. False: unbalanced quotes. Also reads configuration lines.
bool SplitLine(BytesView line, std::vector<Bytes>* out);

}  // namespace lockstep::resp
