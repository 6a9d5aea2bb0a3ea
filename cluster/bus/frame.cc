#include "cluster/bus/frame.h"

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace lockstep::bus {
namespace {

// As for a client's large value: a big frame gets its room at once, but not far ahead of its bytes.
constexpr size_t kBigBodyBytes = 32 * 1024;
constexpr size_t kReserveAheadBytes = 4 * 1024 * 1024;
constexpr size_t kReadSlackBytes = 64 * 1024;

}  // namespace

void AppendFrame(BytesView body, Bytes* out) {
  const size_t at = BeginFrame(out);
  out->append(body);
  EndFrame(out, at);
}

size_t BeginFrame(Bytes* out) {
  const size_t at = out->size();
  out->append(kFrameHeaderBytes, '\0');
  return at;
}

void EndFrame(Bytes* out, size_t at) {
  CHECK(out->size() >= at + kFrameHeaderBytes);
  const BytesView body = BytesView(*out).substr(at + kFrameHeaderBytes);
  CHECK_SAYS(body.size() <= kFrameBodyBytesMax, "a message of %zu bytes", body.size());

  Bytes header;  // Short enough to need no memory of its own.
  Writer writer(&header);
  writer.U32(static_cast<uint32_t>(body.size()));
  writer.U32(Crc32c(body));
  out->replace(at, kFrameHeaderBytes, header);
}

Result<std::optional<BytesView>> FrameReader::Next() {
  buffer_.Consume(given_);
  given_ = 0;

  const BytesView in = buffer_.view();
  if (in.size() < kFrameHeaderBytes) return std::optional<BytesView>();
  Reader header(in);
  const size_t size = header.U32();
  const uint32_t checksum = header.U32();
  if (size > body_bytes_max_) {
    return Error{Format("frame body of %zu bytes is over the limit of %zu", size, body_bytes_max_)};
  }
  const size_t have = in.size() - kFrameHeaderBytes;
  if (have < size) {
    if (size > kBigBodyBytes) {
      buffer_.Reserve(std::min(size - have, kReserveAheadBytes) + kReadSlackBytes);
    }
    return std::optional<BytesView>();
  }
  const BytesView body = in.substr(kFrameHeaderBytes, size);
  if (Crc32c(body) != checksum) return Error{"frame checksum does not match its body"};
  given_ = kFrameHeaderBytes + size;
  return std::optional<BytesView>(body);
}

}  // namespace lockstep::bus
