#include "src/gateway.h"

#include <algorithm>
#include <utility>

#include "src/base/log.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

constexpr int64_t kLookEveryUs = 50 * kUsPerMs;   // For what is late.
constexpr int64_t kToldForUs = 2 * kUsPerSecond;  // A leader that says nothing may be none.
constexpr int64_t kResendAfterUs = kUsPerSecond;  // No answer, though the leader stayed.
constexpr int64_t kRefusedPauseUs = 20 * kUsPerMs;
constexpr size_t kForwardBytesMax = 1024 * 1024;
constexpr size_t kForwardRequestsMax = 4096;
constexpr size_t kAnsweredRunsToldMax = 64;

Reply ClusterDown(const Bytes& reason) {
  return Reply::Error("CLUSTERDOWN",
                      (reason.empty() ? Bytes("no leader: a majority of the nodes is "
                                              "not reachable")
                                      : reason) +
                          "; nothing was changed; see CLUSTER STATUS, then try again");
}

// The leader has more uncommitted than it may hold.
Reply TryAgainFull() {
  return Reply::Error("TRYAGAIN", "the leader holds raft-uncommitted-bytes that no majority has "
                                  "yet; nothing was changed, try again in a moment");
}

Reply Uncertain() {
  return Reply::Error("UNCERTAIN",
                      "the leader was lost while this was in flight; it may have happened: read "
                      "before you retry");
}

}  // namespace

Gateway::Gateway(const Options& options, Outbox* outbox, Listener* listener)
    : options_(options), outbox_(outbox), listener_(listener) {}

void Gateway::AddGroup(MonoTime now, Group* group) {
  Route& route = routes_[group->id()];
  route.group = group;
  route.leaderless_since = now;
}

void Gateway::ReplaceGroup(Group* group) { routes_.at(group->id()).group = group; }

void Gateway::set_timeouts(int64_t leader_wait_us, int64_t uncertain_after_us) {
  options_.leader_wait_us = leader_wait_us;
  options_.uncertain_after_us = uncertain_after_us;
}

uint64_t Gateway::Ask(MonoTime now, GroupId group, Request request, const Asker& asker) {
  const auto found = routes_.find(group);
  if (found == routes_.end()) return 0;
  Route& route = found->second;
  const bool own = asker.client.value == 0;
  const bool full = route.pending.size() >= options_.pending_max ||
                    pending_bytes_ + request.op.size() > options_.pending_bytes_max;
  if (full && !own) return 0;
  const uint64_t seq = route.next_seq++;
  ++asked_;
  if (request.kind == Kind::kRead) route.reads.push_back(seq);
  pending_bytes_ += request.op.size();
  route.pending.Add(seq, Pending{.kind = request.kind,
                                 .may_wait = request.may_wait,
                                 .hands_over = request.hands_over,
                                 .own = own,
                                 .asker = asker,
                                 .asked = now,
                                 .sent = {},
                                 .op = std::move(request.op),
                                 .ending = std::nullopt,
                                 .answered = nullptr});
  return seq;
}

void Gateway::Cancel(MonoTime now, GroupId group, uint64_t seq, CancelOp::Why why) {
  AskToEnd(now, group, {seq, why, {}});
}

void Gateway::Hangup(MonoTime now, GroupId group, ClientId client) {
  AskToEnd(now, group, {0, CancelOp::Why::kGone, client});
}

uint64_t Gateway::AskToEnd(MonoTime now, GroupId group, const Ending& ending) {
  const uint64_t seq = Ask(now, group, {}, Asker{});
  if (seq == 0) return 0;  // There is no such group.
  Route& route = routes_.at(group);
  Pending& pending = route.pending.At(seq);
  pending.ending = ending;
  if (route.incarnation != 0) WriteEnding(&route, &pending);  // Else when a session is open.
  return seq;
}

void Gateway::WriteEnding(Route* route, Pending* pending) {
  const Ending& ending = *pending->ending;
  pending_bytes_ -= pending->op.size();
  if (ending.seq != 0) {
    pending->op = CancelOp{{options_.self, route->incarnation, ending.seq}, ending.why}.Encode();
  } else {
    pending->op = HangupOp{options_.self, route->incarnation, ending.client}.Encode();
  }
  pending_bytes_ += pending->op.size();
}

bool Gateway::Abandon(MonoTime now, GroupId group, uint64_t seq) {
  if (Withdraw(group, seq)) return false;
  const auto route = routes_.find(group);
  if (route == routes_.end()) return false;
  Pending* pending = route->second.pending.Find(seq);
  if (pending == nullptr) return true;
  pending->asker = Asker{};
  if ((!pending->may_wait && !pending->hands_over) || pending->ended_by != 0) return true;
  const uint64_t ended_by = AskToEnd(now, group, {seq, CancelOp::Why::kGone, {}});
  route->second.pending.At(seq).ended_by = ended_by;
  return true;
}

void Gateway::Delivered(GroupId group, uint64_t seq) {
  const auto route = routes_.find(group);
  if (route == routes_.end()) return;
  const Pending* pending = route->second.pending.Find(seq);
  if (pending == nullptr || !pending->over || pending->ended_by != 0) return;
  route->second.owes_word = true;
  Remove(&route->second, seq);
}

bool Gateway::HasEndings() const {
  return std::any_of(routes_.begin(), routes_.end(), [this](const auto& entry) {
    bool any = false;
    const NodeId leader = entry.second.leader;
    if (leader == kNoNode || unreachable_.contains(leader)) return false;
    entry.second.pending.ForEach(
        [&any](uint64_t, const Pending* pending) { any |= pending->ending.has_value(); });
    return any;
  });
}

bool Gateway::Withdraw(GroupId group, uint64_t seq) {
  const auto route = routes_.find(group);
  if (route == routes_.end()) return false;
  Pending* pending = route->second.pending.Find(seq);
  if (pending == nullptr || pending->may_be_logged()) return false;
  pending->asker = Asker{};
  Finish(&route->second, seq, Reply::Nil());
  return true;
}

size_t Gateway::pending(GroupId group) const {
  const auto route = routes_.find(group);
  return route == routes_.end() ? 0 : route->second.pending.size();
}

bool Gateway::HasSession(GroupId group) const {
  const auto route = routes_.find(group);
  return route != routes_.end() && route->second.incarnation != 0;
}

void Gateway::Start(DiskId disk, uint64_t boot) { name_ = {disk, boot, 1}; }

// What our own replica says about our session decides, if it is as far: whoever opened or ended it,
// it is in the log.
void Gateway::FollowSession(MonoTime now, Route* route) {
  if (name_.boot == 0) return;
  if (route->session.boot == 0) route->session = name_;
  const Replica& replica = route->group->replica();
  const Replica::OpenSession seen = replica.SessionOf(options_.self);
  if (route->incarnation != 0) {
    const bool is_behind = replica.last_place().value < route->incarnation;
    if (!is_behind && seen.incarnation != route->incarnation) LoseSession(now, route);
  } else if (seen.name == route->session) {
    if (seen.incarnation == 0) return LoseSession(now, route);  // And ended before we saw it.
    OpenedAs(route, seen.incarnation);
  }
}

void Gateway::OpenedAs(Route* route, uint64_t incarnation) {
  route->incarnation = incarnation;
  route->opening = false;
  route->pending.ForEach([&](uint64_t, Pending* pending) {
    if (pending->ending) WriteEnding(route, pending);
  });
}

// The cluster has given this node up. Our replica has applied the log up to the end of the session:
// what was not answered until then was not done, or it waited, and its wait is over. Under the old
// number it never will be, so it is asked anew under the next session, and the client sees no more
// than a delay (a waiting one has lost its place in the line). What ends it, if its client has gone
// meanwhile, follows it under the next session as well. Only of what a snapshot may have passed
// over nobody can tell.
void Gateway::LoseSession(MonoTime now, Route* route) {
  LOCKSTEP_LOG(kWarn, "%s: the cluster has ended this node's session (it was not heard for "
                      "node-timeout); opening another", route->group->name().c_str());
  ++route->session.number;
  route->incarnation = 0;
  route->pending.ForEach([&](uint64_t seq, Pending* pending) {
    pending->answered.reset();
    pending->carries_word = false;
    if (pending->over || pending->ended_by != 0) {
      // What it was handed was given back with the session, or its wait has ended with it.
      Remove(route, seq);
    } else if (pending->missed && pending->kind == Kind::kWrite && !pending->own) {
      Finish(route, seq, Uncertain());
    } else {
      pending->half_done |= pending->hands_over && pending->may_wait && pending->may_be_logged();
      pending->in_stream = pending->sent_before = pending->missed = false;
      if (pending->may_wait) pending->asked = now;
    }
  });
  route->answered.clear();
  route->owes_word = route->owed_word = false;
  Restart(route);
}

// Whether what was on its way was done, nobody here has seen.
void Gateway::LoseFarSession(MonoTime now, Route* route) {
  ++far_.sessions_lost;
  route->pending.ForEach([](uint64_t, Pending* pending) {
    pending->missed |= pending->may_be_logged() && !Planted(Mutant::kFarSessionAskedAnew);
  });
  LoseSession(now, route);
}

void Gateway::OnUnreadable(GroupId group, uint64_t seq) {
  const auto route = routes_.find(group);
  if (route == routes_.end()) return;
  Pending* pending = route->second.pending.Find(seq);
  if (pending != nullptr) pending->missed = true;
}

void Gateway::OnInstalled(GroupId group) {
  const auto route = routes_.find(group);
  if (route == routes_.end()) return;
  bool any = false;
  route->second.pending.ForEach([&any](uint64_t, Pending* pending) {
    if (pending->may_be_logged()) any = pending->missed = true;
  });
  if (any) Restart(&route->second);
}

void Gateway::OpenSession(MonoTime now, Route* route) {
  if (std::exchange(route->opening, true)) return;
  route->moved = now;
  if (route->leader == options_.self) {
    Bytes logged;
    Writer out(&logged);
    EncodeOpenSession(options_.self, route->session, &out);
    if (route->group->WriteAlone(std::move(logged)) != Group::Taken::kYes) route->opening = false;
    return;
  }
  Forward forward{route->session, 0, route->stream, route->position++, {}, {}};
  forward.requests.push_back({Forward::Kind::kOpenSession, 0, {}});
  outbox_->Send(route->leader, bus::Lane::kBulk, bus::MessageType::kForward, route->group->id(),
                route->term, [&](Writer* out) { EncodeForward(forward, out); });
}

void Gateway::Finish(Route* route, uint64_t seq, Reply reply) {
  Pending& pending = route->pending.At(seq);
  const Asker asker = std::exchange(pending.asker, Asker{});
  const uint64_t ended = pending.ending ? pending.ending->seq : 0;
  const bool gives = !reply.is_nil() && !reply.is_error() && !reply.is_elsewhere();
  const bool hands_over = pending.hands_over && asker.client.value != 0 && gives;
  if (reply.is_elsewhere()) reply.Add(Reply::Bulk(pending.op));
  const bool is_ended = pending.ended_by != 0 && route->pending.Find(pending.ended_by) != nullptr;
  if (hands_over || is_ended) {
    pending.over = true;
  } else {
    Remove(route, seq);
  }
  if (asker.client.value != 0) listener_->OnReply(asker, std::move(reply));
  const Pending* target = ended == 0 ? nullptr : route->pending.Find(ended);
  if (target != nullptr && target->over) Remove(route, ended);
}

void Gateway::Remove(Route* route, uint64_t seq) {
  Pending& pending = route->pending.At(seq);
  pending_bytes_ -= pending.op.size();
  if (!pending.may_be_logged()) TakeBackWord(route, &pending);
  route->pending.Remove(seq);
  DropFinishedReads(route);
  const bool lowest = seq < route->pending.first();
  if (!lowest) route->answered.Add(seq);
}

// What it was to tell the group may never get there: told again, it changes nothing.
void Gateway::TakeBackWord(Route* route, Pending* pending) {
  route->owes_word |= std::exchange(pending->carries_word, false);
  if (pending->answered == nullptr) return;
  for (const auto& [from, to] : pending->answered->all()) route->answered.AddRun(from, to);
  pending->answered.reset();
}

bool Gateway::Awaits(GroupId group, const RequestId& request) const {
  const auto route = routes_.find(group);
  if (route == routes_.end() || request.origin != options_.self) return false;
  if (request.incarnation == 0 || request.incarnation != route->second.incarnation) return false;
  const Pending* pending = route->second.pending.Find(request.seq);
  return pending != nullptr && !pending->over;
}

void Gateway::OnAnswer(GroupId group, const RequestId& request, Reply reply) {
  const auto route = routes_.find(group);
  if (route == routes_.end() || request.origin != options_.self) return;
  if (request.incarnation == 0 || request.incarnation != route->second.incarnation) return;
  const Pending* pending = route->second.pending.Find(request.seq);
  if (pending == nullptr || pending->over) return;
  if (pending->kind == Kind::kRead && !IsOldestRead(route->second, request.seq)) return;
  Finish(&route->second, request.seq, std::move(reply));
}

// A leader answers reads in their order, so the answer of one before this was lost. It will be
// asked anew and see what is new by then; this one must not have seen less, so it is too.
bool Gateway::IsOldestRead(const Route& route, uint64_t seq) { return route.reads.front() == seq; }

// Reads are given up in any order, but none stays for longer than uncertain-after-ms.
void Gateway::DropFinishedReads(Route* route) {
  std::deque<uint64_t>& reads = route->reads;
  while (!reads.empty() && route->pending.Find(reads.front()) == nullptr) reads.pop_front();
}

void Gateway::OnForwardAnswer(MonoTime now, NodeId from, GroupId group, ForwardAnswer answer) {
  const auto found = routes_.find(group);
  if (found == routes_.end() || answer.session != found->second.session) return;
  Route& route = found->second;
  bool is_gap = false;
  if (from == route.leader && answer.stream == route.stream) {
    if (route.far) route.told->at = now;
    route.taken = std::max(route.taken, answer.taken);
    ForgetInFlight(&route, route.taken);
    is_gap = route.far && answer.given > route.heard;
    route.heard = std::max(route.heard, answer.given + answer.answers.size());
    const bool is_opened = route.far && route.incarnation == 0 && answer.incarnation != 0;
    if (is_opened) OpenedAs(&route, answer.incarnation);
  }
  for (ForwardAnswer::One& one : answer.answers) {
    OnAnswer(group, {options_.self, answer.incarnation, one.seq}, std::move(one.reply));
  }
  if (is_gap) AskLostAgain(&route);
}

// What was sent before on the same lane has come, or was lost.
void Gateway::OnLead(MonoTime now, NodeId from, Lead lead) {
  const auto found = routes_.find(lead.group);
  if (found == routes_.end()) return;
  Route& route = found->second;
  if (route.told && route.told->lead.term > lead.term) return;
  route.told = Told{from, std::move(lead), now};
  FollowLeader(now, &route);
  if (!route.far) return;
  const Lead& told = route.told->lead;
  if (route.incarnation == 0 || told.place.value < route.incarnation) return;
  if (told.incarnation != route.incarnation) {
    LoseFarSession(now, &route);
  } else if (told.stream == route.stream ? told.given > route.heard : HasWaitedLong(now, route)) {
    AskLostAgain(&route);
  }
}

// For what the leader has not heard of in this stream, though it says that it takes everything.
bool Gateway::HasWaitedLong(MonoTime now, const Route& route) {
  bool any = false;
  route.pending.ForEach([&](uint64_t, const Pending* pending) {
    any |= pending->in_stream && !pending->over && now - pending->sent >= kResendAfterUs;
  });
  return any;
}

// Answers were lost on their way; the leader remembers them.
void Gateway::AskLostAgain(Route* route) {
  if (Planted(Mutant::kLostAnswerNotMissed)) return;
  ++far_.answers_lost;
  Restart(route);
}

void Gateway::OnForwardNack(MonoTime now, NodeId from, GroupId group, const ForwardNack& nack) {
  const auto found = routes_.find(group);
  if (found == routes_.end() || nack.session != found->second.session) return;
  Route& route = found->second;
  if (from != route.leader || nack.stream != route.stream) return;
  if (nack.why == ForwardNack::Why::kSessionOver) {
    if (route.far) LoseFarSession(now, &route);  // Else our own replica will say so, and when.
    return;
  }
  if (nack.why == ForwardNack::Why::kFull) {
    route.pending.ForEach([&](uint64_t, Pending* pending) {
      if (pending->in_stream && pending->position >= nack.expected) pending->in_stream = false;
    });
    RefuseWhatWasNeverLogged(&route);
  }
  Restart(&route);
  if (nack.why != ForwardNack::Why::kGap) route.retry_at = now + kRefusedPauseUs;
}

// The leader is full. What may be in some log already must not be called off: it is sent again
// until its outcome is known, or given up as uncertain.
void Gateway::RefuseWhatWasNeverLogged(Route* route) {
  route->pending.ForEach([&](uint64_t seq, Pending* pending) {
    if (pending->may_be_logged() || pending->own) return;
    Finish(route, seq, pending->half_done ? Uncertain() : TryAgainFull());
  });
}

void Gateway::OnPeerDown(NodeId peer) { unreachable_.insert(peer); }

void Gateway::OnPeerUp(NodeId peer) {
  unreachable_.erase(peer);
  for (auto& [id, route] : routes_) {
    if (route.leader == peer) Restart(&route);
  }
}

// Everything pending is sent again, in order, as a new stream.
void Gateway::Restart(Route* route) {
  route->pending.ForEach([](uint64_t, Pending* pending) {
    if (std::exchange(pending->in_stream, false)) pending->sent_before = true;
  });
  ++route->stream;
  ForgetInFlight(route, kNoSeq);
  route->position = 0;
  route->taken = 0;
  route->heard = 0;
  route->opening = false;
  route->first_unsent = std::min(route->pending.first(), route->next_seq);
}

// A learner may be long behind: what its leader does it does not see either.
Gateway::Leader Gateway::LeaderSeen(MonoTime now, const Route& route) const {
  const raft::Raft& raft = route.group->raft();
  const bool is_told = route.told && now - route.told->at < kToldForUs;
  const auto told = [&route] { return Leader{route.told->from, route.told->lead.term, true}; };
  if (raft.HearsLeader(now)) {
    const bool is_newer = is_told && route.told->lead.term > raft.term();
    const bool is_learner = is_told && route.told->lead.term == raft.term() &&
                            !raft.config().IsVoter(options_.self) && !raft.is_leader();
    if (is_newer || is_learner) return told();
    return {raft.leader(), raft.term(), false};
  }
  return is_told ? told() : Leader{kNoNode, raft.term(), false};
}

void Gateway::FollowLeader(MonoTime now, Route* route) {
  const Leader seen = LeaderSeen(now, *route);
  // Where our own replica hears of it, nobody tells us any more: what we were told grows old.
  if (seen.node != kNoNode && !seen.far) route->told.reset();
  const bool is_same = seen == Leader{route->leader, route->term, route->far};
  if (is_same || (seen.node == kNoNode && route->leader == kNoNode)) return;
  if (seen.node == kNoNode) route->leaderless_since = now;
  route->leader = seen.node;
  route->term = seen.term;
  route->far = seen.far;
  route->retry_at = MonoTime{0};
  Restart(route);
}

NodeId Gateway::LeaderOf(MonoTime now, GroupId group) const {
  const auto route = routes_.find(group);
  return route == routes_.end() ? kNoNode : LeaderSeen(now, route->second).node;
}

Gateway::LeaderAt Gateway::LeaderAndTermOf(MonoTime now, GroupId group) const {
  const auto route = routes_.find(group);
  if (route == routes_.end()) return {};
  const Leader seen = LeaderSeen(now, route->second);
  return {seen.node, seen.term};
}

uint64_t Gateway::IncarnationIn(GroupId group) const {
  const auto route = routes_.find(group);
  return route == routes_.end() ? 0 : route->second.incarnation;
}

const Lead* Gateway::ToldOf(MonoTime now, GroupId group) const {
  const auto route = routes_.find(group);
  if (route == routes_.end() || !LeaderSeen(now, route->second).far) return nullptr;
  return &route->second.told->lead;
}

void Gateway::Tell(Route* route, Pending* pending, Answered* out) {
  out->below = route->pending.first();
  route->answered.DropBelow(out->below);
  if (!pending->may_be_logged() && !route->answered.empty()) {
    if (pending->answered == nullptr) pending->answered = std::make_unique<IntervalSet>();
    while (!route->answered.empty() && pending->answered->runs() < kAnsweredRunsToldMax) {
      const auto [from, to] = *route->answered.all().begin();
      pending->answered->AddRun(from, to);
      route->answered.DropBelow(to);
    }
  }
  if (route->answered.empty()) {
    pending->carries_word |= route->owes_word;
    route->owes_word = route->owed_word = false;
  }
  if (pending->may_be_logged()) ++resent_;
  if (pending->answered == nullptr) return;
  for (const auto& [from, to] : pending->answered->all()) out->others.AddRun(from, to);
}

void Gateway::Flush(MonoTime now) {
  for (auto& [id, route] : routes_) {
    const bool quiet = route.group->turns() == route.seen_turns && route.incarnation != 0 &&
                       route.first_unsent >= route.next_seq;
    if (quiet) continue;  // As most of many shards are in most turns.
    route.seen_turns = route.group->turns();
    FollowLeader(now, &route);
    FollowSession(now, &route);
    if (route.session.boot == 0 || route.leader == kNoNode || now < route.retry_at) continue;
    if (unreachable_.contains(route.leader)) continue;
    if (route.incarnation == 0) {
      OpenSession(now, &route);
    } else if (route.leader == options_.self) {
      FlushHere(now, &route);
    } else {
      FlushAway(now, &route);
    }
  }
}

void Gateway::FlushHere(MonoTime now, Route* route) {
  for (uint64_t seq = route->pending.FirstFrom(route->first_unsent); seq != kNoSeq;
       seq = route->pending.FirstFrom(seq + 1)) {
    Pending& pending = route->pending.At(seq);
    const RequestId id{options_.self, route->incarnation, seq};
    Group::Taken taken = Group::Taken::kYes;
    if (pending.kind == Kind::kRead) {
      taken = route->group->Read(id, pending.op);
    } else {
      Answered answered;
      Tell(route, &pending, &answered);
      taken = route->group->Write(id, pending.op, answered);
    }
    if (taken == Group::Taken::kYes) {
      pending.in_stream = true;
      pending.sent = now;
      route->first_unsent = seq + 1;
      route->moved = now;
    } else if (taken == Group::Taken::kFull && !pending.may_be_logged() && !pending.own) {
      route->first_unsent = seq + 1;
      Finish(route, seq, pending.half_done ? Uncertain() : TryAgainFull());
    } else {
      route->retry_at = now + kRefusedPauseUs;
      return;
    }
  }
}

void Gateway::ForgetInFlight(Route* route, uint64_t below) {
  while (!route->in_flight.empty() && route->in_flight.front().first < below) {
    route->in_flight_bytes -= route->in_flight.front().second;
    route->in_flight.pop_front();
  }
}

size_t Gateway::InFlightTo(NodeId leader) const {
  size_t bytes = 0;
  for (const auto& [id, route] : routes_) {
    if (route.leader == leader) bytes += route.in_flight_bytes;
  }
  return bytes;
}

void Gateway::FlushAway(MonoTime now, Route* route) {
  uint64_t seq = route->pending.FirstFrom(route->first_unsent);
  while (seq != kNoSeq && InFlightTo(route->leader) < options_.in_flight_max) {
    Forward forward{route->session, route->incarnation, route->stream, route->position, {}, {}};
    size_t bytes = 0;
    for (; seq != kNoSeq && bytes < kForwardBytesMax &&
           forward.requests.size() < kForwardRequestsMax;
         seq = route->pending.FirstFrom(seq + 1)) {
      Pending& pending = route->pending.At(seq);
      bytes += pending.op.size();
      const bool is_read = pending.kind == Kind::kRead;
      if (!is_read) Tell(route, &pending, &forward.answered);
      forward.requests.push_back(
          {is_read ? Forward::Kind::kRead : Forward::Kind::kWrite, seq, pending.op});
      pending.position = route->position + forward.requests.size() - 1;
      pending.in_stream = true;
      pending.sent = now;
      route->first_unsent = seq + 1;
    }
    outbox_->Send(route->leader, bus::Lane::kBulk, bus::MessageType::kForward, route->group->id(),
                  route->term, [&](Writer* out) { EncodeForward(forward, out); });
    route->position += forward.requests.size();
    route->in_flight.emplace_back(route->position - 1, bytes);
    route->in_flight_bytes += bytes;
    route->moved = now;
    forwarded_ += forward.requests.size();
    if (route->far) far_.requests += forward.requests.size();
  }
}

void Gateway::Tick(MonoTime now) {
  if (now < next_look_) return;
  next_look_ = now + kLookEveryUs;
  for (auto& [id, route] : routes_) {
    FollowLeader(now, &route);
    GiveUpLate(now, &route);
    ResendIfLost(now, &route);
    SayWhatIsOwed(now, &route);
  }
}

// What was handed over is still to be given back for all that the group knows: should this node die
// now, it would be delivered again, and its client at work on it. What is asked next says so by the
// way; if nothing is for a while, this does.
void Gateway::SayWhatIsOwed(MonoTime now, Route* route) {
  const bool told = route->note != 0 && route->pending.Find(route->note) != nullptr;
  if (route->owed_word && !told) {
    route->note = Ask(now, route->group->id(), {.op = NoteOp{}.Encode()}, Asker{});
  }
  route->owed_word = route->owes_word;
}

MonoTime Gateway::NextWakeup() const {
  const bool any = std::any_of(routes_.begin(), routes_.end(),
                               [](const auto& entry) {
                                 const Route& route = entry.second;
                                 return !route.pending.empty() || route.incarnation == 0 ||
                                        route.owes_word;
                               });
  return any ? next_look_ : kNeverMono;
}

void Gateway::GiveUpLate(MonoTime now, Route* route) {
  const bool leaderless = route->leader == kNoNode;
  const int64_t leaderless_us = leaderless ? now - route->leaderless_since : 0;
  route->pending.ForEach([&](uint64_t seq, const Pending* pending) {
    // What waits in the machine may wait there; what has got no farther than here may not.
    const bool waits = pending->may_wait && pending->may_be_logged();
    const bool overdue = !waits && now - pending->asked >= options_.uncertain_after_us;
    if (pending->own || pending->over) {
      // Waits for ever: a Cancel must not be lost.
    } else if (!pending->may_be_logged() || pending->kind == Kind::kRead) {
      if (leaderless_us >= options_.leader_wait_us || overdue) {
        GiveUp(now, route, seq, pending->half_done ? Uncertain() : ClusterDown(down_reason_));
      }
    } else if (leaderless_us >= options_.uncertain_after_us || overdue) {
      GiveUp(now, route, seq, Uncertain());
    }
  });
}

void Gateway::GiveUp(MonoTime now, Route* route, uint64_t seq, Reply reply) {
  Pending& pending = route->pending.At(seq);
  TakeBackWord(route, &pending);
  if ((pending.may_wait || pending.hands_over) && pending.may_be_logged()) {
    const uint64_t ended_by =
        AskToEnd(now, route->group->id(), {seq, CancelOp::Why::kGone, {}});
    route->pending.At(seq).ended_by = ended_by;
  }
  Finish(route, seq, std::move(reply));
}

// The leader stayed, and yet something that should have been answered was not: a message was lost.
// Where we lead ourselves nothing can be; what is not answered waits for a disk or a majority. A
// write may be slow while others are served, and our own replica will tell its answer; a read's is
// told by the leader only.
void Gateway::ResendIfLost(MonoTime now, Route* route) {
  if (route->leader == kNoNode) return;
  const bool here = route->leader == options_.self;
  const bool quiet = now - route->moved >= kResendAfterUs;
  bool lost = quiet && (route->opening || (!here && route->taken < route->position));
  if (!here) {
    route->pending.ForEach([&](uint64_t, const Pending* pending) {
      const bool awaited = pending->in_stream && !pending->may_wait && !pending->over &&
                           (quiet || pending->kind == Kind::kRead);
      lost |= awaited && now - pending->sent >= kResendAfterUs;
    });
  }
  if (!lost) return;
  route->moved = now;
  Restart(route);
}

void Gateway::CheckInvariants() const {
  size_t bytes = 0;
  for (const auto& [id, route] : routes_) {
    CHECK(route.reads.empty() || route.pending.Find(route.reads.front()) != nullptr);
    route.pending.ForEach([&bytes, &route = route](uint64_t seq, const Pending* pending) {
      CHECK(seq < route.next_seq);
      CHECK(!route.answered.Contains(seq));
      bytes += pending->op.size();
    });
  }
  CHECK(bytes == pending_bytes_);
}

}  // namespace lockstep
