// What producers pushed and workers were given, and what must hold between the two.
//
//   1. What was acknowledged as pushed is delivered until it is acknowledged as done, or dead.
//   2. What was refused, or never asked for, is not delivered.
//   3. What was acknowledged as done is delivered to nobody who asks afterwards.
//   4. A lease is given to one worker: no receipt is seen twice.
//   5. Nothing is delivered before its delay is over.
//   6. Of a group nothing is delivered while an older one is neither done nor dead.
//   7. A message that never failed is on its first attempt; known only where no POP's answer was
//      lost, or may be late by a whole lease: that ends, though nobody has heard of it.
//
// Each body is pushed once, but for retries under the same id.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "src/base/bytes.h"
#include "tests/sim/failure.h"

namespace lockstep::sim {

class World;

class QueueLedger {
 public:
  explicit QueueLedger(World* world) : world_(world) {}

  enum class Outcome : uint8_t { kDone, kRefused, kUnknown };

  struct Push {
    Bytes queue;
    Bytes body;
    Bytes group;            // Empty: none.
    int64_t delay_us = 0;
    bool may_die = false;   // Its workers fail on purpose.
  };
  void OnPush(const Push& push);  // Is asked for, for the first time.
  void OnPushed(const Bytes& body, Outcome outcome);

  // `asked_us`: when the POP was.
  void OnDelivered(const Bytes& queue, const Bytes& body, const Bytes& receipt, int64_t attempt,
                   int64_t asked_us);
  void OnAck(const Bytes& body);  // Is asked for.
  void OnAcked(const Bytes& body, bool counted);
  void OnFailure(const Bytes& body);  // Is about to be caused, or may be.
  void OnPopLost() { pop_lost_ = true; }
  // Is asked for,
  void OnPop(const Bytes& worker, std::vector<Bytes> queues, int64_t lease_us);
  void OnPopAnswered(const Bytes& worker);
  void OnSpread(const Bytes& queue) { spread_.insert(queue); }  // May have several partitions.

  // At the end, of a queue that nobody uses any more: what was left in it, and what is dead.
  void OnLeft(const Bytes& body);
  void OnDead(const Bytes& body);
  void CheckAll();

  const std::set<Bytes>& queues() const { return queues_; }

 private:
  struct Message {
    Push push;
    int64_t asked_us = 0;
    int64_t asked_fast_us = 0;
    Outcome outcome = Outcome::kUnknown;
    bool known = false;          // The outcome is.
    bool ack_asked = false;
    int64_t acked_us = INT64_MAX;  // Acknowledged as done, and known to be.
    bool may_have_failed = false;
    bool left = false, dead = false;
    uint64_t deliveries = 0;
  };
  Message& Known(const Bytes& body);
  void CheckOrder(const Message& message);

  World* world_;
  std::map<Bytes, Message> messages_;                  // By body.
  std::map<Bytes, std::vector<Bytes>> groups_;         // Bodies by group, in the order of pushes.
  std::set<Bytes> receipts_;
  std::set<Bytes> queues_;
  bool pop_lost_ = false;
  // When a lease of it could have ended: what it was given by then may have failed unseen.
  struct Pop {
    std::vector<Bytes> queues;
    int64_t lease_ends_us = 0;
  };
  std::map<Bytes, Pop> pops_;  // Under way, by worker.
  // Answered from one place while another may have given it something too, which goes back: perhaps
  // later than its lease ends.
  std::vector<Pop> elsewhere_;
  std::set<Bytes> spread_;
};

}  // namespace lockstep::sim
