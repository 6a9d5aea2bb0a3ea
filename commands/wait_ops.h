// The operations that a gateway sends to whatever machine its clients wait in: they end waits, and
// what is bound to a connection. One encoding for all machines.
#pragma once

#include "src/base/codec.h"

namespace lockstep {

// Their first bytes; no machine's own operations have these.
constexpr uint8_t kCancelTag = 5;
constexpr uint8_t kHangupTag = 6;
constexpr uint8_t kNoteTag = 63;

// Says nothing. It takes along what its gateway has to tell (Answered, in commands/replica.h) when
// nothing else does.
struct NoteOp {
  bool operator==(const NoteOp&) const = default;
  Bytes Encode() const { return Bytes(1, static_cast<char>(kNoteTag)); }
};

// A connection that something is bound to. Sorted by node, so that a node's sessions are a range.
struct BoundTo {
  NodeId origin;
  uint64_t incarnation = 0;
  ClientId client;
  auto operator<=>(const BoundTo&) const = default;
};

// Ends the wait of another request. The gateway's: CLIENT UNBLOCK, or a connection that closed.
struct CancelOp {
  enum class Why : uint8_t {
    kTimeout = 0,  // CLIENT UNBLOCK id TIMEOUT: the waiter is answered nil.
    kError = 1,    // CLIENT UNBLOCK id ERROR: it is answered -UNBLOCKED.
    kGone = 2,     // Its connection closed before the answer came. What it was given meanwhile by
                   // waiting is given back: nobody has received it.
  };
  RequestId target;
  Why why = Why::kTimeout;

  bool operator==(const CancelOp&) const = default;
  Bytes Encode() const;
  static CancelOp Decode(Reader* in);  // Behind the tag.
};

// A connection closed to which something is bound (BIND, TIED): that ends.
struct HangupOp {
  NodeId origin;
  uint64_t incarnation = 0;
  ClientId client;

  bool operator==(const HangupOp&) const = default;
  Bytes Encode() const;
  static HangupOp Decode(Reader* in);
};

}  // namespace lockstep
