// Sequential consistency across keys of the cache, on programs as small as those that memory models
// are told apart by (litmus tests, Alglave, Maranget & Tautschnig 2014): whether one order of all
// steps, each thread's own kept, gives what was observed.
//
// Every key is a register that may forget, so a nil is always possible by itself, but then what was
// there is gone until somebody writes. An outcome is impossible only if no forgetting explains it:
// so the shapes find nothing in keys that are absent before, unless they are written first (see
// `before`).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "src/base/bytes.h"

namespace lockstep::sim {

struct Access {
  Bytes key;
  bool writes = false;
  std::optional<Bytes> value;  // Written (nothing: deleted), or observed (nothing: nil).
};

// What happens at one instant: a GET or a SET, or all of an MGET, an MSET, an EXEC. Its reads see
// the keys as they were before its writes.
struct LitmusStep {
  std::vector<Access> accesses;
  // False: the answer was lost. Its writes happen at any time after the steps before it, even after
  // those behind it, or never; its reads say nothing.
  bool answered = true;
};
using Thread = std::vector<LitmusStep>;

using Registers = std::map<Bytes, Bytes>;  // What each key holds; absent ones are left out.

// Whether the threads can have observed this, started on `before`. True as well if there is too
// much to try (kLitmusStatesMax): that is no violation.
constexpr size_t kLitmusStatesMax = 100'000;
bool Possible(const std::vector<Thread>& program, const Registers& before = {});

// The classical shapes on two keys, and what each forbids.
enum class Shape : uint8_t {
  kStoreBuffering,    // SB:   x=1 r(y) | y=1 r(x)                both old
  kMessagePassing,    // MP:   x=1 y=1 | r(y) r(x)                new, old
  kLoadBuffering,     // LB:   r(x) y=1 | r(y) x=1                both new
  kIndependentReads,  // IRIW: x=1 | y=1 | r(x) r(y) | r(y) r(x)  new, old and new, old
  kCoherentReads,     // CoRR: x=1 | r(x) r(x)                    new, old
  kCoherentWrites,    // CoWW: x=1 x=2 | r(x) r(x)                2, 1
};
constexpr Shape kShapes[] = {Shape::kStoreBuffering, Shape::kMessagePassing,
                             Shape::kLoadBuffering,  Shape::kIndependentReads,
                             Shape::kCoherentReads,  Shape::kCoherentWrites};

// Its threads, the loads with nothing observed yet. What is written is `stamp` and the number, so a
// key's values differ if the stamps do.
std::vector<Thread> ProgramOf(Shape shape, const Bytes& x, const Bytes& y, const Bytes& stamp);
const char* NameOf(Shape shape);

// One line a thread: "1: x="7.1" y->nil".
Bytes Describe(const std::vector<Thread>& program);

}  // namespace lockstep::sim
