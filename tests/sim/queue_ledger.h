// What producers pushed and workers were given, and what must hold between the two.
//
//   1. What was acknowledged as pushed is delivered until it is done, deleted, purged, past its
//      TTL, or dead.
//   2. What was refused, or never asked for, is not delivered; one push is one message.
//   3. What was acknowledged as done is delivered to nobody any more, whoever asked when.
//   4. One lease at a time: while a worker surely has a message, nobody else is given it.
//   5. Nothing is delivered before it is due: a delay, and the back-off after a failure.
//   6. Of a group nothing is delivered while an older one is neither done nor dead.
//   7. Attempts are counted once: by as much as there surely were failures, and by no more than
//      there may have been (queue_leases.h, as 4 and 5).
//   8. Dead is only what has failed as often as that takes, or was said to be.
//   9. No POP is told that there is nothing while there is, though it waited.
//  10. A message is leased for somebody who asked: no lease is left that nobody can have had.
//  11. A queue that is paused takes nothing, or gives nothing.
//
// Each body is pushed once, but for retries under the same id. What nobody was told widens what may
// have happened, and is never held against anybody.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "src/base/bytes.h"
#include "tests/sim/failure.h"
#include "tests/sim/queue_leases.h"

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
    int64_t ttl_us = 0;     // 0: none.
    int64_t retry = 16;     // As queues are set up by default.
    bool may_die = false;   // Its workers fail on purpose.
  };
  void OnPush(const Push& push);  // Is asked for, for the first time.
  void OnPushed(const Bytes& body, Outcome outcome, const Bytes& id);

  struct Pop {
    std::vector<Bytes> queues;
    int64_t lease_us = 0;
    int64_t block_us = 0;
    uint64_t count = 1;
    bool tied = false, noack = false;
    NodeId node;
    ClientId socket;
  };
  // Is asked for, on that connection.
  void OnPop(const Bytes& worker, Pop pop);
  // One message of its answer.
  struct Row {
    Bytes queue, receipt, body;
    int64_t attempt = 0;
  };
  void OnDelivered(const Bytes& worker, const Row& row);
  // After all of them. `nothing`: it was told so.
  void OnPopAnswered(const Bytes& worker, Outcome outcome, bool nothing);

  // What a worker says of a lease: is about to be sent; then what it was told.
  void OnSay(const Bytes& receipt, Lease::Said said, std::optional<int64_t> delay_us = {});
  void OnRefused(const Bytes& receipt);  // It has not happened.
  void OnTold(const Bytes& receipt, Lease::Told told);
  void OnTouch(const Bytes& receipt, int64_t lease_us);
  void OnTouched(const Bytes& receipt, int64_t asked_fast_us, int64_t lease_us);

  // By operators. First asked for, then how it ended.
  void OnDelete(const Bytes& body);
  void OnDeleted(const Bytes& body, Outcome outcome, bool was_there);
  void OnPurge(const Bytes& queue);
  void OnPurged(const Bytes& queue, Outcome outcome);
  void OnMove(const Bytes& queue) { moved_.insert(queue); }  // Its dead, back to it.
  void OnPause(const Bytes& queue, bool stops_in, bool stops_out);
  void OnPaused(const Bytes& queue, bool stops_in, bool stops_out, Outcome outcome);
  void OnSpread(const Bytes& queue) { spread_.insert(queue); }  // May have several partitions.

  // At the end, of a queue that nobody uses any more: what is left in it, and what is dead.
  void OnLeft(const Row& row) { OnDrained(row, false); }
  void OnDead(const Row& row) { OnDrained(row, true); }
  void CheckAll();

  const std::set<Bytes>& queues() const { return queues_; }

 private:
  struct Message {
    Push push;
    Bytes id;                    // Once anybody has been told it.
    int64_t asked_us = 0;
    int64_t asked_fast_us = 0;
    int64_t pushed_fast_us = 0;  // When it was answered.
    Outcome outcome = Outcome::kUnknown;
    bool known = false;          // The outcome is.
    bool may_be_deleted = false;
    int64_t deleted_us = INT64_MAX;  // Surely: answered then.
    int64_t there_us = INT64_MAX;    // DQ.DEL did not find it: answered then.
    int64_t passed_over_us = -1;     // Somebody was told, then, that there is nothing.
    Bytes passed_over;               // Who.
    bool left = false, dead = false;
    Leases leases;
  };
  struct Asked {
    Pop pop;
    int64_t asked_us = 0;
    int64_t asked_fast_us = 0;
    std::map<uint64_t, uint64_t> sessions;  // Of its node, by shard.
  };
  // What is known of a queue's pause.
  struct Paused {
    uint64_t open = 0;          // Of those who change it.
    bool contended = false;     // While it was asked for, others asked too.
    bool unknown = false;       // One may still come.
    bool sure = false, in = false, out = false;
    int64_t since_us = 0;
    int64_t may_stop_out_until_us = -1;
  };
  struct Purges {
    uint64_t open = 0;
    int64_t until_us = -1;      // What was pushed later has not gone by one.
  };
  Message& Known(const Bytes& body);
  Lease& LeaseOf(const Bytes& receipt, Message** message);
  void OnDrained(const Row& row, bool dead);
  void Deliver(const Row& row, Lease lease);
  void CheckOrder(const Message& message);
  void CheckPause(const Bytes& queue, const Asked& asked) const;
  void NotePassedOver(const Bytes& worker, const Asked& asked);
  bool MayBeDead(const Message& message) const;
  bool MayBePurged(const Message& message) const;
  bool MayBeGone(const Message& message) const;
  Leases::Terms TermsOf(const Message& message) const;
  Leases::Standing StandingOf(uint64_t shard, const Lease& lease) const;
  bool SessionStands(const Asked& asked, uint64_t shard) const;
  void CheckLost(std::map<Bytes, uint64_t>* lost);
  void CheckUnseen();

  World* world_;
  std::map<Bytes, Message> messages_;                  // By body.
  std::map<Bytes, std::vector<Bytes>> groups_;         // Bodies by group, in the order of pushes.
  std::map<Bytes, Bytes> bodies_;                      // By receipt.
  std::set<Bytes> queues_;
  std::map<Bytes, Asked> pops_;                        // Under way, by worker.
  // By queue: so many messages may have been leased, or taken for good, for nobody.
  std::map<Bytes, uint64_t> unheard_;
  std::map<Bytes, uint64_t> taken_unheard_;
  std::set<Bytes> uncounted_;                          // Queues of which nobody can say how many.
  std::map<Bytes, Paused> paused_;
  std::map<Bytes, Purges> purges_;
  std::set<Bytes> spread_, moved_;
};

}  // namespace lockstep::sim
