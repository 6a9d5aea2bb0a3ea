// The client's side of the protocol, written apart from the server's (src/resp) so that a mistake
// is not made twice: RESP2 and RESP3 replies from bytes, commands to bytes.
#pragma once

#include <optional>
#include <vector>

#include "src/resp/reply.h"

namespace lockstep::sim {

Bytes EncodeCommand(const std::vector<Bytes>& argv);

class ReplyReader {
 public:
  void Append(BytesView bytes) { buffer_.append(bytes); }
  // The next whole reply. Throws Failure on what no server may send.
  std::optional<Reply> Next();

 private:
  std::optional<Reply> Read(size_t* at, int depth);
  std::optional<BytesView> Line(size_t* at);
  std::optional<Reply> ReadBulk(size_t* at, int64_t size);
  std::optional<Reply> ReadItems(size_t* at, Reply list, int64_t count, int depth);

  Bytes buffer_;
};

}  // namespace lockstep::sim
