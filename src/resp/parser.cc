#include "src/resp/parser.h"

#include <algorithm>

namespace lockstep::resp {
namespace {

constexpr size_t kUnauthenticatedElements = 10;
constexpr size_t kUnauthenticatedBulkBytes = 16 * 1024;

// A bulk above the first gets its room at once instead of by doubling, so that a large value is
// copied once, from the socket into its place. But never more ahead of the bytes than the second: a
// client that only claims to send 64 MB must not make us hold them. And a little more than is
// missing, for the shell reads as much as is there.
constexpr size_t kBigBulkBytes = 32 * 1024;
constexpr size_t kReserveAheadBytes = 4 * 1024 * 1024;
constexpr size_t kReadSlackBytes = 64 * 1024;

// After a command with more arguments than this the lists of them go back to the system.
constexpr size_t kIdleArgsMax = 4096;

// What is read several at a time: small commands, as client libraries write them. Anything else is
// read byte by byte, and judged.
constexpr size_t kLotMax = 16;
constexpr size_t kPlainElementsMax = 16;
constexpr int kPlainDigitsMax = 4;

// Behind a type byte, a number without signs or zeroes in front, and CRLF; null: it is not that.
const char* SkipPlainNumber(const char* p, const char* end, char type, size_t* n) {
  if (end - p < 4 || p[0] != type || p[1] < '1' || p[1] > '9') return nullptr;
  const char* const last = p + kPlainDigitsMax;
  size_t value = static_cast<size_t>(p[1] - '0');
  for (p += 2; *p != '\r'; ++p) {  // Two more are there.
    if (*p < '0' || *p > '9' || p > last || end - p < 3) return nullptr;
    value = value * 10 + static_cast<size_t>(*p - '0');
  }
  *n = value;
  return p[1] == '\n' ? p + 2 : nullptr;
}

constexpr BytesView kHttpAnswer =
    "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"
    "This is the RESP port. Try redis-cli.\r\n";

template <class T>
void ClearAndBound(std::vector<T>* list) {
  list->clear();
  if (list->capacity() > kIdleArgsMax) list->shrink_to_fit();
}

}  // namespace

ParserLimits ParserLimits::Unauthenticated() {
  ParserLimits limits;
  limits.unauthenticated = true;
  limits.elements_max = kUnauthenticatedElements;
  limits.bulk_bytes_max = kUnauthenticatedBulkBytes;
  return limits;
}

ParseStatus Parser::Next() {
  if (state_ == State::kFailed) return failure_;
  if (state_ == State::kParsing && is_fresh() && TakeFromLot()) state_ = State::kReady;
  while (state_ == State::kParsing) {
    if (missing_ == 0) {
      if (buffer_.empty()) return ParseStatus::kNeedMore;
      const bool is_multibulk = buffer_.view().front() == '*';
      if (const Stop stop = is_multibulk ? ReadElementCount() : ReadInline()) return *stop;
      continue;
    }
    const BytesView in = buffer_.view();
    while (missing_ > 0) {
      if (const Stop stop = ReadBulk(in)) return *stop;
      --missing_;
    }
    state_ = State::kReady;
  }
  BuildArgs();
  return ParseStatus::kCommand;
}

// Pipelines ------------------------------------------------------------------------------------

// False: there is none, or none that is plain; nothing was kept of it.
bool Parser::ReadPlain(BytesView in, size_t at) {
  const char* const begin = in.data() + at;
  const char* const end = in.data() + in.size();
  size_t elements = 0;
  const char* p = SkipPlainNumber(begin, end, '*', &elements);
  if (p == nullptr || elements > std::min(kPlainElementsMax, limits_.elements_max)) return false;
  if (lot_spans_.size() < lot_spans_used_ + elements) {
    lot_spans_.resize(lot_spans_used_ + kLotMax * elements);
  }
  Span* span = lot_spans_.data() + lot_spans_used_;
  for (size_t i = 0; i < elements; ++i, ++span) {
    size_t size = 0;
    p = SkipPlainNumber(p, end, '$', &size);
    if (p == nullptr || size > limits_.bulk_bytes_max) return false;
    if (static_cast<size_t>(end - p) < size + 2) return false;
    if (p[size] != '\r' || p[size + 1] != '\n') return false;
    *span = {static_cast<size_t>(p - in.data()), size};
    p += size + 2;
  }
  if (static_cast<size_t>(p - begin) > limits_.buffer_bytes_max) return false;
  lot_spans_used_ += elements;
  lot_.push_back({static_cast<size_t>(p - in.data()), elements});
  return true;
}

void Parser::ReadLot(BytesView in) {
  DropLot();
  size_t at = 0;
  while (lot_.size() < kLotMax && ReadPlain(in, at)) at = lot_.back().end;
  lot_is_new_ = lot_.size() > 1;
  ++lot_number_;
}

void Parser::DropLot() {
  lot_.clear();
  lot_at_ = lot_spans_at_ = lot_spans_used_ = lot_gone_ = 0;
  lot_is_new_ = in_lot_ = false;
}

// Only where Next would begin with a lot too: not behind a command that waits or of which a part is
// there, nor while some of the last lot is left.
void Parser::ReadAhead(size_t n) {
  if (!is_fresh() || lot_at_ < lot_.size()) return;
  ReadLot(buffer_.ViewWith(n));
}

// What is ready stays so.
void Parser::LeaveLot() {
  if (in_lot_) {
    const size_t n = lot_[lot_at_ - 1].spans;
    const auto end = lot_spans_.begin() + static_cast<std::ptrdiff_t>(lot_spans_at_);
    spans_.assign(end - static_cast<std::ptrdiff_t>(n), end);
    for (Span& span : spans_) span.at -= lot_gone_;
  }
  DropLot();
}

// The next command, if it is a plain one.
bool Parser::TakeFromLot() {
  if (lot_at_ == lot_.size()) ReadLot(buffer_.view());
  if (lot_.empty()) return false;
  const Plain& plain = lot_[lot_at_++];
  lot_spans_at_ += plain.spans;
  at_ = plain.end - lot_gone_;
  in_lot_ = true;
  return true;
}

void Parser::TakeLot(std::vector<BytesView>* first_arguments) {
  lot_is_new_ = false;
  const char* base = buffer_.view().data();
  const Span* spans = lot_spans_.data();
  for (const Plain& plain : lot_) {
    first_arguments->push_back(plain.spans > 1 ? BytesView(base + spans[1].at, spans[1].size)
                                               : BytesView());
    spans += plain.spans;
  }
}

// One at a time ----------------------------------------------------------------------------------

// Reads a line. A blank one is dropped.
Parser::Stop Parser::ReadInline() {
  const BytesView in = buffer_.view();
  const size_t newline = in.find('\n', scanned_);
  scanned_ = std::min(newline, in.size());
  if (scanned_ > limits_.inline_bytes_max) return Fail("too big inline request");
  if (newline == BytesView::npos) return ParseStatus::kNeedMore;

  BytesView line = in.substr(0, newline);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (!SplitLine(line, &inline_args_)) return Fail("unbalanced quotes in request");
  if (inline_args_.empty()) {
    buffer_.Consume(newline + 1);
    scanned_ = 0;
    return std::nullopt;
  }

  // The first line of an HTTP request. POST and Host: are how a web page would smuggle commands to
  // a Redis that listens on loopback: nobody honest sends them (CVE-2016-10517).
  const BytesView first = inline_args_.front();
  if (EqualsIgnoreCase(first, "POST") || EqualsIgnoreCase(first, "Host:")) return Close("");
  const bool is_http_get = inline_args_.size() == 3 && EqualsIgnoreCase(first, "GET") &&
                           BytesView(inline_args_[2]).substr(0, 7) == "HTTP/1.";
  if (is_http_get) return Close(kHttpAnswer);

  at_ = newline + 1;
  state_ = State::kReady;
  return std::nullopt;
}

// Reads "*n". *0 and *-1 are dropped.
Parser::Stop Parser::ReadElementCount() {
  std::optional<int64_t> n;
  const Stop stop = ReadCount(buffer_.view(), "too big mbulk count string", &n);
  if (stop) return stop;
  if (!n) return Fail("invalid multibulk length");

  if (*n <= 0) {
    buffer_.Consume(at_);
    at_ = scanned_ = 0;
    return std::nullopt;
  }
  const auto count = static_cast<uint64_t>(*n);
  if (count > limits_.elements_max) {
    const bool fits_later = limits_.unauthenticated && count <= ParserLimits().elements_max;
    return Fail(fits_later ? "unauthenticated multibulk length" : "invalid multibulk length");
  }
  missing_ = count;
  return std::nullopt;
}

// Reads one element: "$n", and n bytes and CRLF when they are all there.
Parser::Stop Parser::ReadBulk(BytesView in) {
  if (!bulk_size_) {
    const Stop stop = ReadBulkLength(in);
    if (stop) return stop;
  }
  const size_t size = *bulk_size_;
  const size_t have = in.size() - at_;
  // Either byte of the CRLF is judged as soon as it is there: the answer must not depend on where
  // the input was cut.
  const bool cr_is_wrong = have > size && in[at_ + size] != '\r';
  const bool lf_is_wrong = have > size + 1 && in[at_ + size + 1] != '\n';
  if (cr_is_wrong || lf_is_wrong) return Fail("expected CRLF");
  if (have < size + 2) {
    const size_t missing = size + 2 - have;
    if (size > kBigBulkBytes) {
      buffer_.Reserve(std::min(missing, kReserveAheadBytes) + kReadSlackBytes);
    }
    return ParseStatus::kNeedMore;
  }
  spans_.push_back({at_, size});
  at_ += size + 2;
  scanned_ = at_;
  bulk_size_.reset();
  return std::nullopt;
}

Parser::Stop Parser::ReadBulkLength(BytesView in) {
  if (at_ == in.size()) return ParseStatus::kNeedMore;
  if (in[at_] != '$') {
    // The client's byte goes into a reply, so only a printable one is shown.
    const char shown = in[at_] >= ' ' && in[at_] <= '~' ? in[at_] : '?';
    return Fail(Bytes("expected '$', got '") + shown + "'");
  }
  std::optional<int64_t> n;
  const Stop stop = ReadCount(in, "too big bulk count string", &n);
  if (stop) return stop;
  if (!n || *n < 0) return Fail("invalid bulk length");

  const auto size = static_cast<uint64_t>(*n);
  if (size > limits_.bulk_bytes_max) {
    const bool fits_later = limits_.unauthenticated && size <= ParserLimits().bulk_bytes_max;
    return Fail(fits_later ? "unauthenticated bulk length" : "invalid bulk length");
  }
  // at_ is at most what has been received and size is bounded above: the sum cannot overflow.
  if (at_ + size > limits_.buffer_bytes_max) {
    return Fail("command over the limit set by client-query-buffer-limit");
  }
  bulk_size_ = size;
  return std::nullopt;
}

// Reads the line at at_, a type byte and a number; `too_long` is what to say when it does not end.
// *out stays empty when what stands there is no number.
Parser::Stop Parser::ReadCount(BytesView in, BytesView too_long, std::optional<int64_t>* out) {
  size_t end = std::max(scanned_, at_);
  while (end < in.size() && in[end] != '\r') ++end;
  scanned_ = end;
  if (end - at_ > limits_.inline_bytes_max) return Fail(too_long);
  if (in.size() - end < 2) return ParseStatus::kNeedMore;
  if (in[end + 1] != '\n') return Fail("expected CRLF");

  int64_t n = 0;
  if (ParseInt64(in.substr(at_ + 1, end - at_ - 1), &n)) *out = n;
  at_ = scanned_ = end + 2;
  return std::nullopt;
}

void Parser::BuildArgs() {
  if (!in_lot_ && spans_.empty()) {
    args_.assign(inline_args_.begin(), inline_args_.end());
    return;
  }
  const size_t n = in_lot_ ? lot_[lot_at_ - 1].spans : spans_.size();
  const Span* const spans = in_lot_ ? lot_spans_.data() + (lot_spans_at_ - n) : spans_.data();
  const size_t gone = in_lot_ ? lot_gone_ : 0;
  const char* const base = buffer_.view().data();
  if (args_.size() != n) args_.resize(n);
  BytesView* const args = args_.data();
  for (size_t i = 0; i < n; ++i) args[i] = {base + (spans[i].at - gone), spans[i].size};
}

void Parser::Consume() {
  CHECK(state_ == State::kReady);
  if (!in_lot_) {
    ClearAndBound(&args_);
    ClearAndBound(&spans_);
    ClearAndBound(&inline_args_);
  }
  buffer_.Consume(at_);
  lot_gone_ += at_;
  lot_is_new_ = in_lot_ = false;
  at_ = scanned_ = 0;
  state_ = State::kParsing;
}

void Parser::ReleaseIdle() {
  if (!buffer_.empty()) return;
  buffer_.Release();
  args_ = {};
  spans_ = {};
  inline_args_ = {};
  lot_ = {};
  lot_spans_ = {};
  DropLot();
}

Parser::Stop Parser::Fail(BytesView sentence) {
  error_ = "ERR Protocol error: ";
  error_ += sentence;
  state_ = State::kFailed;
  failure_ = ParseStatus::kError;
  return failure_;
}

Parser::Stop Parser::Close(BytesView raw) {
  error_ = raw;
  state_ = State::kFailed;
  failure_ = ParseStatus::kClose;
  return failure_;
}

}  // namespace lockstep::resp
