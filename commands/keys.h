// The keys of a command as it sees them while it runs: held, so that nobody else sees or changes
// them meanwhile. What it does to them is done at one instant, on all nodes.
//
// Whoever runs a command that works on keys (CommandSpec::on_keys) gathers what its key specs name,
// with the access that they name, and runs the handler when all of it is held at once; the handler
// must touch no other key. It may run as often as it is asked: it waits for nothing.
#pragma once

#include <optional>

#include "cluster/mesi/line.h"
#include "src/base/bytes.h"

namespace lockstep {

class Keys {
 public:
  struct Value {
    BytesView bytes;                    // Good until the key is written.
    std::optional<int64_t> ttl_us;      // What is left of it, above 0. None: it stays.
    mesi::Version version;
  };
  // What becomes of the key's time to live when it is written.
  struct Expiry {
    enum class Kind : uint8_t { kNone, kKeep, kIn } kind = Kind::kNone;
    int64_t us = 0;  // From now, above 0 (kIn).
    static Expiry None() { return {}; }
    static Expiry Keep() { return {Kind::kKeep, 0}; }
    static Expiry In(int64_t us) { return {Kind::kIn, us}; }
  };

  virtual ~Keys() = default;
  // Nothing: there is no such key, or its time is over.
  virtual std::optional<Value> Find(BytesView key) = 0;
  // `value` must not lie in what Find gave of the same key.
  virtual void Put(BytesView key, BytesView value, Expiry expiry) = 0;
  // Of the line, whether the key is there or not: equal versions, and nothing has happened to it.
  virtual mesi::Version VersionOf(BytesView key) = 0;
  // The same; from now on the line is remembered for a while though the key be absent.
  virtual mesi::Version Watch(BytesView key) { return VersionOf(key); }
  // Of a key that is there; not kKeep.
  virtual void Expire(BytesView key, Expiry expiry) = 0;
  // Whether it was there.
  virtual bool Erase(BytesView key) = 0;
  // What is written of the key by this command is to be on a majority's disks before anybody hears
  // of it, the client included. Before it is written. `fence`, if it is not 0: refused if the key
  // has seen a higher one.
  virtual void MakeDurable(BytesView /*key*/, uint64_t /*fence*/) {}
  virtual bool IsDurable(BytesView /*key*/) { return false; }
  // In which state this node has the key's line, in one letter: M E S I. For people only.
  virtual char StateOf(BytesView) const { return 'I'; }
};

}  // namespace lockstep
