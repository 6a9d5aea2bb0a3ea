// The clients' side of the replicated groups: this node's requests that are not answered yet.
//
// A request gets its number here, goes to the group's leader (this node or another), and is sent
// again under the same number when the leader changes or something was lost, until it is answered.
// So a failover costs a client time, not an error, unless it takes too long:
//
//   CLUSTERDOWN   never sent to a leader, and there has been none for `leader_wait`.
//   TRYAGAIN      refused by the leader before it entered the log, and never sent to another.
//   UNCERTAIN     sent, and its outcome not heard for `uncertain_after`. It may have happened.
//
// Always true:
//   1. Each Ask is followed by exactly one OnReply, or by Forget.
//   2. Requests of one group reach its leader's log in the order of Ask, and reads are answered in
//      that order.
//   3. A request that has been given up is never left waiting in the machine: a Cancel follows it,
//      under the same session, and under the next one where both are asked anew.
//   4. Of a group that this node keeps nothing of, the leader tells that it leads (Lead); if it
//      says that our session is over, what was on its way is uncertain.
//   5. A group is told that an answer is needed no more only when its client has it, or when what
//      it handed over was given back; and then within a moment, though nothing else be asked. An
//      answer that hands something over is with its client when its bytes have left (Delivered);
//      until then it may be Abandoned.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "commands/wait_ops.h"
#include "commands/replica.h"
#include "src/base/seq_map.h"
#include "src/forwarding.h"
#include "src/group.h"
#include "src/outbox.h"

namespace lockstep {

class Gateway {
 public:
  struct Options {
    NodeId self;
    int64_t leader_wait_us = 2 * kUsPerSecond;
    int64_t uncertain_after_us = 5 * kUsPerSecond;
    size_t pending_max = 1'000'000;                 // Requests of one group.
    size_t pending_bytes_max = size_t{256} << 20;  // Operations of all groups together.
    // On their way to one leader, of all groups: what waits in the link before them delays others,
    // and too much of it breaks the link.
    size_t in_flight_max = size_t{8} << 20;
  };
  // Who wants the answer. `client` 0: nobody, the request is the node's own, and never refused.
  struct Asker {
    ClientId client;
    uint64_t slot = 0;
    size_t part = 0;  // Of what the slot asks for.
  };
  enum class Kind : uint8_t { kWrite, kRead };
  struct Request {
    Kind kind = Kind::kWrite;
    Bytes op;
    bool may_wait = false;    // The answer may rightly be long in coming.
    bool hands_over = false;  // The answer hands something over: see Propose.
  };

  class Listener {
   public:
    virtual ~Listener() = default;
    // If it points elsewhere, it holds the operation that was asked for as its one item.
    virtual void OnReply(const Asker& asker, Reply reply) = 0;
  };

  Gateway(const Options& options, Outbox* outbox, Listener* listener);
  void AddGroup(MonoTime now, Group* group);
  void ReplaceGroup(Group* group);  // By one that has nothing.

  // 0: there is no such group, or too many requests are pending; nothing follows. Else the number.
  uint64_t Ask(MonoTime now, GroupId group, Request request, const Asker& asker);
  // Ends the wait of such a request, in the log like the grant that may be on its way.
  void Cancel(MonoTime now, GroupId group, uint64_t seq, CancelOp::Why why);
  // Ends what is bound to the client, by requests before this one.
  void Hangup(MonoTime now, GroupId group, ClientId client);
  // Nobody is there any more to take this answer. It is taken back if it was never sent; else its
  // wait is ended, and what it was handed is given back. What does neither is sent again as for
  // anybody, and given up as for anybody: no request comes alive long after its client has gone.
  // False: it never was and will never be in the log.
  bool Abandon(MonoTime now, GroupId group, uint64_t seq);
  // The client has the answer of a request that handed something over.
  void Delivered(GroupId group, uint64_t seq);
  // Takes back a request that was never sent: it is gone, nothing follows. False: it may be in the
  // log, and needs a Cancel.
  bool Withdraw(GroupId group, uint64_t seq);
  bool HasSession(GroupId group) const;

  // Opens sessions from now on, named after this start of the node, which the disk remembers: no
  // two starts may have the same name.
  void Start(DiskId disk, uint64_t boot);

  // Whether that answer would be somebody's.
  bool Awaits(GroupId group, const RequestId& request) const;
  void OnAnswer(GroupId group, const RequestId& request, Reply reply);
  // It was answered here, but what the answer holds can not be read on this node yet.
  void OnUnreadable(GroupId group, uint64_t seq);
  void OnForwardAnswer(MonoTime now, NodeId from, GroupId group, ForwardAnswer answer);
  void OnForwardNack(MonoTime now, NodeId from, GroupId group, const ForwardNack& nack);
  void OnLead(MonoTime now, NodeId from, Lead lead);
  // The group's replica took a snapshot in: answers that lie before it were not seen, and are there
  // for whoever asks again.
  void OnInstalled(GroupId group);
  void OnPeerUp(NodeId peer);    // What was under way to it may be lost.
  void OnPeerDown(NodeId peer);  // Nothing is sent to it, so nothing becomes uncertain by it.

  void Tick(MonoTime now);
  MonoTime NextWakeup() const;
  // Sends what can be sent. At the end of each turn.
  void Flush(MonoTime now);

  void set_timeouts(int64_t leader_wait_us, int64_t uncertain_after_us);
  void set_down_reason(Bytes reason) { down_reason_ = std::move(reason); }
  // Who leads, by our own replica or by its own word; kNoNode: not known.
  NodeId LeaderOf(MonoTime now, GroupId group) const;
  // The same, with the term in which it does.
  struct LeaderAt {
    NodeId node;
    Term term;
  };
  LeaderAt LeaderAndTermOf(MonoTime now, GroupId group) const;
  // The session that is open in the group's log; 0: none, as far as is known here.
  uint64_t IncarnationIn(GroupId group) const;
  // What the leader has told, if nothing here is newer; null: nothing has come, or our own replica
  // knows as much.
  const Lead* ToldOf(MonoTime now, GroupId group) const;
  size_t pending(GroupId group) const;  // Requests that are not answered yet, or not delivered.
  // Something that a client left behind is still to be ended, and there is a leader who could.
  bool HasEndings() const;
  uint64_t asked() const { return asked_; }  // Requests, so far.
  uint64_t forwarded() const { return forwarded_; }
  uint64_t resent() const { return resent_; }
  // With groups that this node keeps nothing of.
  struct Far {
    uint64_t requests = 0;       // That were forwarded,
    uint64_t answers_lost = 0;   // gaps in answers, after which all was asked again,
    uint64_t sessions_lost = 0;  // and sessions that were over.
  };
  const Far& far() const { return far_; }
  void CheckInvariants() const;

 private:
  // A Cancel or a Hangup: its operation names a session, so it is written anew with the session.
  struct Ending {
    uint64_t seq = 0;  // Of the request that it cancels; 0: it hangs up.
    CancelOp::Why why = CancelOp::Why::kGone;
    ClientId client;
  };
  struct Pending {
    Kind kind = Kind::kWrite;
    bool may_wait = false;
    bool hands_over = false;
    bool own = false;        // The node's: it is never given up.
    bool in_stream = false;  // Sent in the route's stream, as number `position`.
    bool sent_before = false;  // In an earlier stream: a leader may have logged it.
    bool missed = false;       // It may have been applied here unseen, within a snapshot.
    bool half_done = false;    // Its wait has ended with a session; what else it does (a POP's ACK)
                               // it may have done under that.
    uint64_t position = 0;
    Asker asker;
    MonoTime asked;  // Or, of one that may wait, when it had to be asked anew.
    MonoTime sent;
    Bytes op;
    std::optional<Ending> ending;
    uint64_t ended_by = 0;  // The request that cancels this one; none if 0.
    bool over = false;      // Its client was answered or is gone; kept until it is delivered, or
                            // what ends it is answered.
    bool carries_word = false;  // It told the group what is owed to it: see Route::owes_word.
    // What it tells the machine, if it was the first of a message to have something to tell; told
    // again when it is sent again.
    std::unique_ptr<IntervalSet> answered;

    bool may_be_logged() const { return in_stream || sent_before; }
  };
  struct Leader {
    NodeId node;
    Term term;
    bool far = false;  // By its own word: what it does is not seen here, or not yet.
    bool operator==(const Leader&) const = default;
  };
  struct Told {
    NodeId from;
    Lead lead;
    MonoTime at;
  };
  // The way to one group's leader.
  struct Route {
    Group* group = nullptr;
    SessionName session;
    uint64_t incarnation = 0;  // 0: not open yet.
    bool opening = false;      // Asked for, in this stream.
    NodeId leader;
    Term term;
    bool far = false;          // As of Leader.
    std::optional<Told> told;
    uint64_t heard = 0;        // Answers of the stream, without a gap.
    MonoTime leaderless_since;
    uint64_t stream = 0;
    uint64_t position = 0;    // Of the next request sent in the stream.
    uint64_t taken = 0;       // The leader has said that it has everything below.
    MonoTime moved;           // When something was last sent or acknowledged.
    MonoTime retry_at;        // Not before: the leader refused.
    uint64_t seen_turns = 0;  // Of the group, when it was last looked.
    uint64_t next_seq = 1;
    uint64_t first_unsent = 1;
    SeqMap<Pending> pending;
    std::deque<uint64_t> reads;  // In order; the first is pending, those behind it may be no more.
    IntervalSet answered;     // Above the lowest pending, not yet told.
    bool owes_word = false;   // Something was delivered, and the group was not told so yet.
    bool owed_word = false;   // The same, when it was last looked.
    uint64_t note = 0;        // The request that was made to tell it.
    // Sent and not yet taken by the leader: position and size.
    std::deque<std::pair<uint64_t, size_t>> in_flight;
    size_t in_flight_bytes = 0;
  };

  uint64_t AskToEnd(MonoTime now, GroupId group, const Ending& ending);
  void WriteEnding(Route* route, Pending* pending);
  static bool IsOldestRead(const Route& route, uint64_t seq);
  static void DropFinishedReads(Route* route);
  void FollowLeader(MonoTime now, Route* route);
  void FollowSession(MonoTime now, Route* route);
  void OpenedAs(Route* route, uint64_t incarnation);
  void LoseSession(MonoTime now, Route* route);
  void LoseFarSession(MonoTime now, Route* route);
  void AskLostAgain(Route* route);
  Leader LeaderSeen(MonoTime now, const Route& route) const;
  static bool HasWaitedLong(MonoTime now, const Route& route);
  void OpenSession(MonoTime now, Route* route);
  void Restart(Route* route);
  void FlushHere(MonoTime now, Route* route);
  void FlushAway(MonoTime now, Route* route);
  // What goes with the request to the machine: told once, by whichever comes first.
  void Tell(Route* route, Pending* pending, Answered* out);
  void Finish(Route* route, uint64_t seq, Reply reply);
  void Remove(Route* route, uint64_t seq);
  void SayWhatIsOwed(MonoTime now, Route* route);
  void TakeBackWord(Route* route, Pending* pending);
  void ForgetInFlight(Route* route, uint64_t below);
  size_t InFlightTo(NodeId leader) const;
  void RefuseWhatWasNeverLogged(Route* route);
  void GiveUpLate(MonoTime now, Route* route);
  void GiveUp(MonoTime now, Route* route, uint64_t seq, Reply reply);
  void ResendIfLost(MonoTime now, Route* route);

  Options options_;
  Outbox* outbox_;
  Listener* listener_;
  SessionName name_;  // Of the next sessions; boot 0: not started.
  std::map<GroupId, Route> routes_;
  size_t pending_bytes_ = 0;  // Of all operations that are pending.
  std::set<NodeId> unreachable_;
  Bytes down_reason_;
  MonoTime next_look_{0};
  uint64_t asked_ = 0;
  uint64_t forwarded_ = 0;
  uint64_t resent_ = 0;
  Far far_;
};

}  // namespace lockstep
