// How bytes between nodes become messages and back: u32 body size, u32 CRC-32C of the body, body;
// integers little-endian.
//
// TCP's own checksum misses about one damaged packet in some ten thousand (Stone & Partridge,
// SIGCOMM 2000), and a damaged entry that is replicated is damaged everywhere: so each frame
// carries its own. A frame that is too long or does not match ends the connection, there is no way
// to find the start of the next one. TCP made anew and Raft's retries do the rest.
#pragma once

#include <optional>

#include "src/base/limits.h"
#include "src/base/receive_buffer.h"
#include "src/base/result.h"

namespace lockstep::bus {

constexpr size_t kFrameHeaderBytes = 8;

// One whole frame. CHECKs that the body is within kFrameBodyBytesMax: whoever makes a message keeps
// it within what peers take.
void AppendFrame(BytesView body, Bytes* out);

// The same with no copy: the message is encoded straight into the peer's output buffer.
//
//   const size_t at = BeginFrame(out);
//   Writer writer(out);
//   ... encode ...
//   EndFrame(out, at);  // Fills in size and checksum.
size_t BeginFrame(Bytes* out);
void EndFrame(Bytes* out, size_t at);

// The receiving side of one connection. Add bytes as they come, take frames until there is none.
//
// A bad frame stays in front: once Next has given an error it gives it for ever. Cut the peer off.
class FrameReader {
 public:
  explicit FrameReader(size_t body_bytes_max = kFrameBodyBytesMax)
      : body_bytes_max_(body_bytes_max) {}

  // Small until the peer has said who it is (kHelloBytesMax), kFrameBodyBytesMax from then on.
  void set_body_bytes_max(size_t n) { body_bytes_max_ = n; }

  // Adds what came from the socket: a copy, or written straight into Reserve(n) and then Commit(n).
  // Both end the life of every body given out.
  void Append(BytesView data) { buffer_.Append(data); }
  char* Reserve(size_t n) { return buffer_.Reserve(n); }
  void Commit(size_t n) { buffer_.Commit(n); }

  // The body of the next frame, valid until the next call of any of these; nothing if it is not all
  // there yet; or why the peer must be cut off. The limit is tested before anything is allocated.
  Result<std::optional<BytesView>> Next();

  size_t buffered() const { return buffer_.size(); }
  size_t capacity() const { return buffer_.capacity(); }

 private:
  ReceiveBuffer buffer_;
  size_t body_bytes_max_;
  size_t given_ = 0;  // Bytes of the frame whose body is out; they go with the next Next.
};

}  // namespace lockstep::bus
