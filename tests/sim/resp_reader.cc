#include "tests/sim/resp_reader.h"

#include "tests/sim/failure.h"

namespace lockstep::sim {

Bytes EncodeCommand(const std::vector<Bytes>& argv) {
  Bytes out = Format("*%zu\r\n", argv.size());
  for (const Bytes& arg : argv) {
    out += Format("$%zu\r\n", arg.size());
    out += arg;
    out += "\r\n";
  }
  return out;
}

std::optional<Reply> ReplyReader::Next() {
  size_t at = 0;
  std::optional<Reply> reply = Read(&at, 0);
  if (reply) buffer_.erase(0, at);
  return reply;
}

std::optional<BytesView> ReplyReader::Line(size_t* at) {
  const size_t end = buffer_.find("\r\n", *at);
  if (end == Bytes::npos) return std::nullopt;
  const BytesView line = BytesView(buffer_).substr(*at, end - *at);
  *at = end + 2;
  return line;
}

std::optional<Reply> ReplyReader::Read(size_t* at, int depth) {
  CHECK_SIM(depth <= 8, "a reply nests deeper than any client reads");
  const std::optional<BytesView> line = Line(at);
  if (!line) return std::nullopt;
  CHECK_SIM(!line->empty(), "a reply without a type");
  const char type = line->front();
  const BytesView text = line->substr(1);

  if (type == '+') return Reply::Simple(Bytes(text));
  if (type == '_') return Reply::Nil();
  if (type == '#') return Reply::Boolean(text == "t");
  if (type == ',') return Reply::Bulk(Bytes(text));
  if (type == '-') {
    Reply error = Reply::Simple(Bytes(text));
    error.kind = Reply::Kind::kError;
    return error;
  }
  int64_t number = 0;
  CHECK_SIM(ParseInt64(text, &number), "'%s' is no number", Printable(*line).c_str());
  switch (type) {
    case ':': return Reply::Integer(number);
    case '$':
    case '=': return ReadBulk(at, number);
    case '*': return ReadItems(at, Reply::Array(), number, depth);
    case '%': return ReadItems(at, Reply::Map(), 2 * number, depth);
    case '~': return ReadItems(at, Reply::Set(), number, depth);
    case '>': return ReadItems(at, Reply::Push(), number, depth);
    default: break;
  }
  throw Failure{"a reply of unknown type: " + Printable(*line)};
}

std::optional<Reply> ReplyReader::ReadBulk(size_t* at, int64_t size) {
  if (size < 0) return Reply::Nil();
  const auto bytes = static_cast<size_t>(size);
  if (buffer_.size() - *at < bytes + 2) return std::nullopt;
  Reply bulk = Reply::Bulk(buffer_.substr(*at, bytes));
  *at += bytes + 2;
  return bulk;
}

std::optional<Reply> ReplyReader::ReadItems(size_t* at, Reply list, int64_t count, int depth) {
  if (count < 0) return Reply::NilArray();
  for (int64_t i = 0; i < count; ++i) {
    std::optional<Reply> item = Read(at, depth + 1);
    if (!item) return std::nullopt;
    list.items.push_back(std::move(*item));
  }
  return list;
}

}  // namespace lockstep::sim
