// Replies in the client's own protocol, appended to its output buffer.
//
// Always true: a simple string or error never holds CR or LF, whatever a client named a lock
// (CVE-2025-67733): they become blanks here, the one place. Big numbers "(", attributes "|" and
// RESP3 blob errors "!" are never sent: redis-cli 7.0 dies of them.
#pragma once

#include "src/resp/reply.h"

namespace lockstep::resp {

// `protocol` is 2 or 3.
void WriteReply(const Reply& reply, int protocol, Bytes* out);

// The parts, for those who stream (COMMAND, long lists).
void WriteArrayHeader(size_t n, Bytes* out);
void WriteMapHeader(size_t pairs, int protocol, Bytes* out);
void WriteBulk(BytesView text, Bytes* out);
void WriteInteger(int64_t v, Bytes* out);
void WriteSimple(BytesView text, Bytes* out);
void WriteError(BytesView text, Bytes* out);

}  // namespace lockstep::resp
