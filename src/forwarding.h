// How a request gets from the node that the client talks to (its gateway) to the group's leader,
// and the answer back.
//
// Links may lose, repeat and reorder, and a connection's requests must take effect in order. So
// each gateway numbers what it sends to a leader: a stream, restarted whenever the leader changes
// or something was lost (go-back-N). The leader takes position after position, passes over what it
// has, and says so when one is missing. What is sent twice is harmless: see commands/replica.h.
//
// A gateway that keeps nothing of a group has no replica of its own to hear answers in, or who
// leads. So answers are numbered within a stream, and the leader tells such gateways now and then
// that it leads, how many answers it has given them, and whether their session is open.
#pragma once

#include <map>
#include <vector>

#include "commands/replica.h"
#include "src/base/codec.h"
#include "src/group.h"
#include "src/outbox.h"

namespace lockstep {

// A kForward's data.
struct Forward {
  enum class Kind : uint8_t { kWrite = 0, kRead = 1, kOpenSession = 2 };
  struct Request {
    Kind kind = Kind::kWrite;
    uint64_t seq = 0;
    BytesView op;  // Borrows from the frame, or from the gateway.
  };
  SessionName session;
  uint64_t incarnation = 0;  // 0: the session is being opened.
  uint64_t stream = 0;
  uint64_t position = 0;  // Of the first of `requests` in the stream, from 0.
  Answered answered;
  std::vector<Request> requests;
};
void EncodeForward(const Forward& forward, Writer* out);
bool DecodeForward(Reader* in, Forward* out);

// A kForwardNack's data.
struct ForwardNack {
  enum class Why : uint8_t {
    kGap = 0,        // Something before this is missing.
    kNotLeader = 1,  // Find out who leads.
    kFull = 2,       // Too much is uncommitted. Nothing from `expected` on was or will be taken.
    kSessionOver = 3,  // The session is: nothing under it is taken any more.
  };
  SessionName session;
  uint64_t stream = 0;
  Why why = Why::kGap;
  uint64_t expected = 0;
};
void EncodeForwardNack(const ForwardNack& nack, Writer* out);
bool DecodeForwardNack(Reader* in, ForwardNack* out);

// A kAnswer's data. `taken`: positions of `stream` below it are in the leader's log, or answered.
// `given`: answers in the stream before these.
struct ForwardAnswer {
  struct One {
    uint64_t seq = 0;
    Reply reply;
  };
  SessionName session;
  uint64_t incarnation = 0;
  uint64_t stream = 0;
  uint64_t taken = 0;
  uint64_t given = 0;
  std::vector<One> answers;
};
void EncodeForwardAnswer(const ForwardAnswer& answer, Writer* out);
bool DecodeForwardAnswer(Reader* in, ForwardAnswer* out);

// Of a kLead's data: a group that the sender leads, and of which it writes nothing to the receiver.
struct Lead {
  GroupId group;
  Term term;
  std::vector<NodeId> voters, learners;
  bool changing = false;  // Members that are not named here may be needed as well.
  Index config_index;     // Where this configuration stands in the log.
  // Of the receiver, as of the request at `place` and all before it: its session, 0 if none is
  // open; and the answers that it was given in its latest stream.
  Index place;
  uint64_t incarnation = 0;
  uint64_t stream = 0;
  uint64_t given = 0;
};
void EncodeLeads(const std::vector<Lead>& leads, Writer* out);
bool DecodeLeads(Reader* in, std::vector<Lead>* out);

// The leader's side: takes what other nodes' gateways send, in order, and gathers the answers.
class Intake {
 public:
  explicit Intake(Outbox* outbox) : outbox_(outbox) {}

  // `term`: in which the gateway thinks that we lead. A stream of an older term has a past that our
  // log may have lost.
  void OnForward(NodeId from, Group& group, Term term, const Forward& forward);
  // An answer for a request of another node, heard in our Apply; goes out if we lead `group`.
  void OnAnswer(const Group& group, const RequestId& request, Reply reply);
  // What we lead, for a node to which the group writes nothing.
  Lead LeadOf(const Group& group, NodeId to) const;
  void Forget(GroupId group);  // It is gone from this node.
  // Sends what this turn has gathered.
  void Flush();

 private:
  struct Stream {
    const Group* group = nullptr;
    SessionName session;
    uint64_t incarnation = 0;
    uint64_t stream = 0;
    uint64_t expected = 0;
    uint64_t given = 0;   // Answers that were sent.
    bool moved = false;   // Its sender is owed a word.
    bool closed = false;  // Was refused: nothing more is taken, not even from a late copy.
    std::vector<ForwardAnswer::One> answers;
  };
  using Key = std::pair<NodeId, GroupId>;
  Group::Taken TakeOne(NodeId from, Group& group, const Forward& forward,
                       const Forward::Request& request, const Answered& answered);
  static bool IsOver(NodeId from, const Group& group, const Forward& forward);
  static void FollowOpening(NodeId from, Stream* stream);
  void Nack(NodeId to, const Group& group, const Forward& forward, ForwardNack::Why why,
            uint64_t expected);

  Outbox* outbox_;
  std::map<Key, Stream> streams_;  // At most one for each member and group.
};

}  // namespace lockstep
